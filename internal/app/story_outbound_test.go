package app_test

import (
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

const callee = "+12025550188"

// outbound is a user who calls people.
type outbound struct {
	*story
	line, branch string
	ann          stage.Person
	desk         string
}

const annsPhone = "+12025550130"

func newOutbound(t *testing.T) *outbound {
	t.Helper()
	o := &outbound{story: newStory(t)}
	o.branch = o.Branch("Office")
	o.line = o.Number(officeNumber, demo.Vars{"branchId": o.branch})
	o.ann = o.User("ann", "OFFICE", annsPhone, o.branch)
	o.desk = o.Device(o.ann, "Desk")
	return o
}

const startMutation = `mutation($i: CallStartInput!, $k: String) { callStart(input: $i, idempotencyKey: $k) { call { id status } notice userErrors { code field message } } }`

// start starts a call and gives its id.
func (o *outbound) start(input demo.Vars, key any) string {
	o.t.Helper()
	var out struct {
		CallStart struct {
			Call   struct{ ID, Status string }
			Notice string
		}
	}
	o.Must(o.ann.Client.Do(o.t.Context(), startMutation, demo.Vars{"i": input, "k": key}, &out))
	// How far it is already is a matter of moments: the job runs right after the commit.
	if out.CallStart.Call.ID == "" || out.CallStart.Call.Status == "" || !strings.Contains(out.CallStart.Notice, "billed") { // R087
		o.t.Errorf("callStart answers %+v", out.CallStart)
	}
	return out.CallStart.Call.ID
}

// rings waits until the server has had Twilio ring a target.
func (o *outbound) rings(target string) {
	o.t.Helper()
	o.Settle()
	o.wantRinging(target)
}

func TestAStartedCallRingsTheOwnDeviceFirstAndThenTheCallee(t *testing.T) { // R087, R078, R079
	o := newOutbound(t)
	for _, x := range []struct {
		claim string
		input demo.Vars
		own   string
		kind  string
	}{
		{"the device seen last", demo.Vars{"to": callee}, o.desk, "DEVICE"},
		{"a chosen device", demo.Vars{"to": callee, "deviceId": o.desk}, o.desk, "DEVICE"},
		{"the primary phone", demo.Vars{"to": "(202) 555-0188", "ringMyPhone": true}, annsPhone, "USER_PHONE"}, // R018, R288
	} {
		id := o.start(x.input, nil)
		o.rings(x.own)
		if c := o.callByID(id); c.Status != "RINGING" || len(c.Legs) == 0 || c.Legs[0].Kind != x.kind {
			t.Errorf("%s: while it rings the log says %s", x.claim, c)
		}
		leg := o.answer(x.own)
		if x.kind == "USER_PHONE" { // whoever picks up presses a key, so that no machine is connected
			o.wantRinging()
			o.Must(o.Emulator.Press(leg, "1"))
			o.idle()
		}
		o.wantRinging(callee)
		var shown string
		for _, l := range o.Emulator.Ringing(callee) {
			shown = l.From
		}
		if shown != officeNumber {
			t.Errorf("%s: the callee sees %q", x.claim, shown)
		}
		o.Pass(7 * time.Second)
		o.answer(callee)
		o.Pass(30 * time.Second)
		c := o.callByID(id)
		if c.Status != "IN_PROGRESS" || c.Direction != "OUTBOUND" || name(c.User) != "ann" || c.To.E164 != callee {
			t.Errorf("%s: while they talk the log says %s", x.claim, c)
		}
		o.hangUp(o.legOf(c.TwilioSid, callee))
		o.Pass(5 * time.Second)
		c = o.callByID(id)
		if c.Status != "COMPLETED" || word(c.EndReason) != "HUNG_UP" || number(c.TalkSeconds) != 30 || len(c.Legs) != 2 ||
			word(c.Legs[0].Outcome) != "ANSWERED" || c.Legs[1].Kind != "CALLEE" || word(c.Legs[1].Outcome) != "ANSWERED" {
			t.Errorf("%s: the log says %s", x.claim, c)
		}
		if c.CallerID == nil || c.CallerID.E164 != officeNumber || c.CallerID.Reason == "" {
			t.Errorf("%s: caller ID %+v", x.claim, c.CallerID)
		}
	}
	o.clean()
}

func TestABusyCalleeAndADeviceThatDoesNotAnswerAreTold(t *testing.T) {
	o := newOutbound(t)
	o.Emulator.Behave(callee, emulator.PhoneBehaviour{Do: emulator.IsBusy})
	id := o.start(demo.Vars{"to": callee}, nil)
	o.rings(o.desk)
	o.answer(o.desk)
	o.Pass(20 * time.Second)
	c := o.callByID(id)
	if c.Status != "BUSY" || word(c.EndReason) != "BUSY" || word(c.leg(callee).Outcome) != "BUSY" || c.AnsweredAt != nil {
		t.Errorf("a busy callee: the log says %s", c)
	}
	if documents := o.asked(c.TwilioSid); !strings.Contains(documents[len(documents)-1].Answer, "busy") {
		t.Error("the person who called is not told that the callee is busy")
	}

	o.Emulator.Behave(callee, emulator.PhoneBehaviour{Do: emulator.NoAnswer})
	id = o.start(demo.Vars{"to": callee}, nil)
	o.rings(o.desk)
	o.answer(o.desk)
	o.Pass(90 * time.Second)
	if c := o.callByID(id); c.Status != "MISSED" || word(c.EndReason) != "NO_ANSWER" || word(c.leg(callee).Outcome) != "TIMED_OUT" {
		t.Errorf("a callee who does not answer: the log says %s", c)
	}

	id = o.start(demo.Vars{"to": callee}, nil)
	o.rings(o.desk)
	o.Pass(60 * time.Second)
	o.wantRinging()
	if c := o.callByID(id); c.Status != "CANCELED" || word(c.EndReason) != "NO_ANSWER" || word(c.leg(o.desk).Outcome) != "TIMED_OUT" {
		t.Errorf("the own device does not answer: the log says %s", c)
	}

	id = o.start(demo.Vars{"to": callee}, nil)
	o.rings(o.desk)
	o.Must(o.ann.Client.Do(t.Context(), `mutation($c: ID!) { callHangUp(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": id}, nil))
	o.Settle()
	o.wantRinging()
	if c := o.callByID(id); c.Status != "CANCELED" || word(c.EndReason) != "CANCELED" {
		t.Errorf("hung up while it rings: the log says %s", c)
	}
	o.clean()
}

// The caller ID of D17, with the example of R082: Australian and American numbers.
func TestTheCallerIDIsChosenByBranchCountryAndDefault(t *testing.T) { // R080-R085, R011, R267
	s := newStory(t)
	sydney, austin := s.Branch("Sydney"), s.Branch("Austin")
	home := s.Number(officeNumber, demo.Vars{"branchId": austin})
	s.Number("+61255501234", demo.Vars{"branchId": sydney})
	s.Number("+12025550102", nil)
	gb := s.Number("+442079460123", nil)
	s.Do(`mutation($n: ID!) { phoneNumberSetDefault(id: $n) { userErrors { code field message } } }`, demo.Vars{"n": gb}, nil)
	s.company(demo.Vars{"callCountries": []string{"AU", "US", "GB", "FR"}})
	ann, bob, cec := s.User("ann", "OFFICE", "", sydney), s.User("bob", "OFFICE", "", austin), s.User("cec", "OFFICE", "")
	for _, p := range []stage.Person{ann, bob, cec} {
		s.Device(p, "Desk")
	}
	for _, x := range []struct {
		why    string
		who    stage.Person
		to     string
		number any
		want   string
		reason string
	}{
		{"a branch's own country", ann, "+61491570006", nil, "+61255501234", "BRANCH_AND_COUNTRY"},
		{"R082: an American sees an American number", ann, callee, nil, officeNumber + " +12025550102", "COUNTRY"},
		{"the branch's number of the country", bob, callee, nil, officeNumber, "BRANCH_AND_COUNTRY"},
		{"an Australian sees an Australian number", bob, "+61491570006", nil, "+61255501234", "COUNTRY"},
		{"no number of the country: the branch's", bob, "+33612345678", nil, officeNumber, "BRANCH"},
		{"no branch, no country: the default", cec, "+33612345678", nil, "+442079460123", "DEFAULT"},
		{"an explicit choice wins", ann, callee, gb, "+442079460123", "EXPLICIT"},
		{"an explicit choice wins over the branch", bob, "+61491570006", home, officeNumber, "EXPLICIT"},
	} {
		var out struct{ CallStart struct{ Call ref } }
		s.Must(x.who.Client.Do(t.Context(), `mutation($i: CallStartInput!) { callStart(input: $i) { call { id } userErrors { code field message } } }`,
			demo.Vars{"i": demo.Vars{"to": x.to, "phoneNumberId": x.number}}, &out))
		c := s.callByID(out.CallStart.Call.ID)
		if c.CallerID == nil || !strings.Contains(x.want, c.CallerID.E164) || c.CallerID.Reason != x.reason {
			t.Errorf("%s: %+v, want %s for %s", x.why, c.CallerID, x.want, x.reason)
		}
		s.Settle()
		var message struct {
			MessageSend struct {
				Message struct {
					Sender *struct{ E164, Reason string }
				}
			}
		}
		s.Must(x.who.Client.Do(t.Context(), `mutation($i: MessageSendInput!) { messageSend(input: $i) { message { sender { e164 reason } } userErrors { code field message } } }`,
			demo.Vars{"i": demo.Vars{"to": x.to, "body": "Hello", "phoneNumberId": x.number}}, &message)) // R083
		if m := message.MessageSend.Message.Sender; m == nil || !strings.Contains(x.want, m.E164) || m.Reason != x.reason {
			t.Errorf("%s, by SMS: %+v, want %s for %s", x.why, m, x.want, x.reason)
		}
		s.Must(x.who.Client.Do(t.Context(), `mutation($c: ID!) { callHangUp(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": c.ID}, nil))
		s.Settle()
	}
}

// Twilio takes the order and its answer is lost: the call exists once, and the log
// finds out about it.
func TestALostAnswerOfTwilioNeverMakesASecondCall(t *testing.T) { // B11
	for claim, fate := range map[string]string{
		"the connection is cut": emulator.LostReset,
		"it answers 500":        emulator.Lost500,
	} {
		t.Run(claim, func(t *testing.T) {
			o := newOutbound(t)
			o.Emulator.FailNext(emulator.Fault{Method: "POST", Path: "/Calls.json", Fate: fate})
			id := o.start(demo.Vars{"to": callee}, nil)
			o.rings(o.desk)
			o.answer(o.desk)
			o.wantRinging(callee)
			o.answer(callee)
			o.Pass(5 * time.Second)
			o.Settle()
			c := o.callByID(id)
			if c.Status != "IN_PROGRESS" || c.TwilioSid == "" {
				t.Errorf("the log says %s", c)
			}
			o.hangUp(c.TwilioSid)
			o.PassSettling(3*time.Minute, 30*time.Second)
			if n := o.created(); n != 1 {
				t.Errorf("%d calls were made", n)
			}
			if c := o.callByID(id); c.Status != "COMPLETED" {
				t.Errorf("in the end the log says %s", c)
			}
		})
	}
}

// created counts the calls that the server had Twilio make.
func (s *story) created() (n int) {
	for _, c := range s.Emulator.Calls() {
		if c.Direction == "outbound-api" {
			n++
		}
	}
	return n
}

func TestARefusalOfTwilioEndsTheCallWithItsReasonAndABusyTwilioIsAskedAgain(t *testing.T) {
	o := newOutbound(t)
	o.Emulator.FailNext(emulator.Fault{Method: "POST", Path: "/Calls.json", Fate: emulator.FateRefuse, Code: 21215})
	id := o.start(demo.Vars{"to": callee}, nil)
	o.Settle()
	if c := o.callByID(id); c.Status != "FAILED" || word(c.EndReason) != "FAILED" || o.created() != 0 {
		t.Errorf("after a refusal the log says %s", c)
	}
	o.Emulator.FailNext(emulator.Fault{Method: "POST", Path: "/Calls.json", Fate: emulator.Fate429, Times: 1})
	id = o.start(demo.Vars{"to": callee}, nil)
	for range 12 {
		o.PassSettling(5*time.Second, 5*time.Second)
		if len(o.ringing()) > 0 {
			break
		}
	}
	o.wantRinging(o.desk)
	if o.created() != 1 {
		t.Errorf("%d calls were made", o.created())
	}
	o.hangUp(o.callByID(id).TwilioSid)
}

func TestTheSameKeyStartsOneCall(t *testing.T) { // B11
	o := newOutbound(t)
	first := o.start(demo.Vars{"to": callee}, "key-1")
	o.Settle()
	if again := o.start(demo.Vars{"to": callee}, "key-1"); again != first {
		t.Errorf("the same key gave %s and %s", first, again)
	}
	if code := o.try(o.ann.Client, startMutation, demo.Vars{"i": demo.Vars{"to": "+12025550187"}, "k": "key-1"}, nil); code != "IDEMPOTENCY_KEY_REUSED" {
		t.Errorf("the same key for another call: %s", code)
	}
	o.Settle()
	if n := o.created(); n != 1 {
		t.Errorf("%d calls were made", n)
	}
}
