package app_test

import (
	"slices"
	"strings"
	"testing"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
)

type threadView struct {
	ID                 string
	PhoneNumber        struct{ E164 string }
	Them               struct{ E164, Display string }
	Contact, Branch    *ref
	IsOpen, IsOptedOut bool
	Messages           struct{ Nodes []messageView }
}

type messageView struct {
	ID, Direction, Status, Body string
	ErrorCode                   *int
	ErrorReason                 *string
	Sender                      *struct{ E164, Reason string }
	User                        *ref
}

const threadFields = `id phoneNumber { e164 } them { e164 display } contact { id name } branch { id name } isOpen isOptedOut
	messages { nodes { id direction status body errorCode errorReason sender { e164 reason } user { id name } } }`

// threads are the conversations somebody sees.
func (s *story) threads(who *demo.Client) []threadView {
	s.t.Helper()
	var out struct{ SmsThreads struct{ Nodes []threadView } }
	s.Must(who.Do(s.t.Context(), `{ smsThreads(first: 10) { nodes { `+threadFields+` } } }`, nil, &out))
	return out.SmsThreads.Nodes
}

func (s *story) text(from, to, body string) {
	s.t.Helper()
	_, err := s.Emulator.SendText(from, to, body)
	s.Must(err)
	s.idle()
}

const sendMutation = `mutation($i: MessageSendInput!, $k: String) { messageSend(input: $i, idempotencyKey: $k) { message { id status } warnings userErrors { code field message } } }`

func (s *story) sendAs(who *demo.Client, input demo.Vars, key any) (id string) {
	s.t.Helper()
	var out struct {
		MessageSend struct{ Message struct{ ID, Status string } }
	}
	s.Must(who.Do(s.t.Context(), sendMutation, demo.Vars{"i": input, "k": key}, &out))
	return out.MessageSend.Message.ID
}

func (s *story) message(id string) messageView {
	s.t.Helper()
	var out struct{ Node *messageView }
	s.Do(`query($id: ID!) { node(id: $id) { ... on Message { id direction status body errorCode errorReason sender { e164 reason } user { id name } } } }`, demo.Vars{"id": id}, &out)
	if out.Node == nil {
		s.t.Fatalf("there is no message %s", id)
	}
	return *out.Node
}

func TestAnSMSBelongsToItsBranchAndIsAnsweredThere(t *testing.T) { // R138-R141, R160, R266, R276
	s := newStory(t)
	branch, elsewhere := s.Branch("Office"), s.Branch("Elsewhere")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann, dan := s.User("ann", "OFFICE", "", branch), s.User("dan", "OFFICE", "", elsewhere)
	known := s.contact("CUSTOMER", "Carol", customer, nil)
	after := s.cursor()

	s.text(customer, officeNumber, "Are you open? 👋")
	list := s.threads(ann.Client)
	if len(list) != 1 || list[0].Them.E164 != customer || list[0].Contact == nil || list[0].Contact.ID != known || list[0].Branch == nil || list[0].Branch.ID != branch ||
		!list[0].IsOpen || len(list[0].Messages.Nodes) != 1 || list[0].Messages.Nodes[0].Body != "Are you open? 👋" || list[0].Messages.Nodes[0].Status != "RECEIVED" {
		t.Fatalf("the inbox shows %+v", list)
	}
	if other := s.threads(dan.Client); len(other) != 0 {
		t.Errorf("another branch sees %+v", other)
	}
	thread := list[0].ID
	id := s.sendAs(ann.Client, demo.Vars{"threadId": thread, "body": "Yes, until five."}, nil)
	s.Settle()
	m := s.message(id)
	if m.Status != "DELIVERED" || m.Sender == nil || m.Sender.E164 != officeNumber || m.Sender.Reason != "THREAD" || name(m.User) != "ann" {
		t.Errorf("the reply is %+v", m)
	}
	if list := s.threads(ann.Client); len(list) != 1 || len(list[0].Messages.Nodes) != 2 || list[0].Messages.Nodes[0].Direction != "OUTBOUND" {
		t.Errorf("after the reply the inbox shows %+v", list)
	}
	told := types(s.facts(ann.Client, after, "MESSAGE_RECEIVED", "MESSAGE_UPDATED"))
	if len(told) < 3 || told[0] != "MessageReceived" {
		t.Errorf("the branch was told %v", told)
	}
	if told := s.facts(dan.Client, after, "MESSAGE_RECEIVED", "MESSAGE_UPDATED"); len(told) != 0 {
		t.Errorf("another branch was told %v", types(told))
	}
	if code := s.try(dan.Client, sendMutation, demo.Vars{"i": demo.Vars{"threadId": thread, "body": "Hello"}}, nil); code != "NOT_FOUND" {
		t.Errorf("another branch answers in the thread: %s", code)
	}
	s.clean()
}

func TestDeliveryStatesComeWithTheirReason(t *testing.T) { // R160, R161, T13
	s := newStory(t)
	s.Number(officeNumber, nil)
	s.Emulator.Behave("+12025550140", emulator.PhoneBehaviour{MessageStatus: "undelivered", MessageError: 30003})
	s.Emulator.Behave("+12025550141", emulator.PhoneBehaviour{MessageStatus: "failed", MessageError: 30034})
	s.Emulator.Behave("+12025550142", emulator.PhoneBehaviour{MessageStatus: "sent"})
	for to, want := range map[string]struct {
		status string
		code   int
	}{
		customer:       {"DELIVERED", -1},
		"+12025550140": {"UNDELIVERED", 30003},
		"+12025550141": {"FAILED", 30034},
		"+12025550142": {"SENT", -1},
	} {
		id := s.sendAs(s.Admin, demo.Vars{"to": to, "body": "Hello"}, nil)
		s.Settle()
		m := s.message(id)
		if m.Status != want.status || number(m.ErrorCode) != want.code || (m.ErrorReason != nil) != (want.code > 0) {
			t.Errorf("to %s: %s %d %q, want %s %d", to, m.Status, number(m.ErrorCode), word(m.ErrorReason), want.status, want.code)
		}
	}
}

func TestWhoeverSaysStopIsSentNothingUntilTheySayStart(t *testing.T) { // R154, R155
	s := newStory(t)
	s.Number(officeNumber, nil)
	s.text(customer, officeNumber, "Hello")
	thread := s.threads(s.Admin)[0].ID
	before := len(s.Emulator.Messages())
	s.text(customer, officeNumber, " stop ")
	if list := s.threads(s.Admin); len(list) != 1 || !list[0].IsOptedOut {
		t.Fatalf("after STOP the thread is %+v", list)
	}
	for claim, input := range map[string]demo.Vars{
		"in the thread": {"threadId": thread, "body": "Please come back"},
		"to the number": {"to": customer, "body": "Please come back"},
	} {
		err := s.Admin.Do(t.Context(), sendMutation, demo.Vars{"i": input}, nil)
		if !demo.HasCode(err, "OPTED_OUT") || !strings.Contains(err.Error(), "START") {
			t.Errorf("%s: %v", claim, err)
		}
	}
	s.Settle()
	sent := slices.DeleteFunc(s.Emulator.Messages(), func(m emulator.Message) bool {
		return m.Direction == "inbound" || strings.Contains(m.Direction, "reply")
	})
	if len(sent) != 0 {
		t.Errorf("after STOP Twilio was asked to send %+v (%d messages before)", sent, before)
	}
	s.text(customer, officeNumber, "START")
	if list := s.threads(s.Admin); list[0].IsOptedOut {
		t.Error("after START the thread is still opted out")
	}
	id := s.sendAs(s.Admin, demo.Vars{"threadId": thread, "body": "Welcome back"}, nil)
	s.Settle()
	if m := s.message(id); m.Status != "DELIVERED" {
		t.Errorf("after START the message is %+v", m)
	}
	s.text(customer, officeNumber, "HELP")
	if list := s.threads(s.Admin); list[0].IsOptedOut {
		t.Error("HELP opts out")
	}
}

func TestAnSMSToADisabledNumberIsKeptAndNobodyIsTold(t *testing.T) { // D26
	s := newStory(t)
	line := s.Number(officeNumber, nil)
	s.set(line, demo.Vars{"isEnabled": false})
	after := s.cursor()
	s.text(customer, officeNumber, "Anybody there?")
	if list := s.threads(s.Admin); len(list) != 1 || len(list[0].Messages.Nodes) != 1 {
		t.Errorf("the message is not kept: %+v", list)
	}
	if told := s.facts(s.Admin, after, "MESSAGE_RECEIVED"); len(told) != 0 {
		t.Errorf("somebody was told: %v", types(told))
	}
	if code := s.try(s.Admin, sendMutation, demo.Vars{"i": demo.Vars{"to": customer, "body": "Hello", "phoneNumberId": line}}, nil); code != "CONFLICT" {
		t.Errorf("sending from a disabled number: %s", code)
	}
}

func TestALostAnswerOfTwilioNeverSendsAMessageTwice(t *testing.T) { // B11
	for claim, fate := range map[string]string{
		"the connection is cut": emulator.LostReset,
		"it answers 500":        emulator.Lost500,
	} {
		t.Run(claim, func(t *testing.T) {
			s := newStory(t)
			s.Number(officeNumber, nil)
			s.Emulator.FailNext(emulator.Fault{Method: "POST", Path: "/Messages.json", Fate: fate})
			id := s.sendAs(s.Admin, demo.Vars{"to": customer, "body": "Once only"}, "key-1")
			if again := s.sendAs(s.Admin, demo.Vars{"to": customer, "body": "Once only"}, "key-1"); again != id {
				t.Errorf("the same key gave %s and %s", id, again)
			}
			for range 20 {
				s.Settle()
				if s.message(id).Status == "DELIVERED" {
					break
				}
				s.Pass(secs(30))
			}
			n := 0
			for _, m := range s.Emulator.Messages() {
				if m.Body == "Once only" {
					n++
				}
			}
			if m := s.message(id); m.Status != "DELIVERED" || n != 1 {
				t.Errorf("the message is %+v and was sent %d times", m, n)
			}
			if code := s.try(s.Admin, sendMutation, demo.Vars{"i": demo.Vars{"to": customer, "body": "Other"}, "k": "key-1"}, nil); code != "IDEMPOTENCY_KEY_REUSED" {
				t.Errorf("the same key for another message: %s", code)
			}
		})
	}
}
