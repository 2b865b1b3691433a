package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

// inboxThread is a thread as an inbox lists it.
type inboxThread struct {
	ID                    string
	Version, UnreadCount  int
	Contact, AssignedUser *ref
	ClosedBy              *ref
	IsOpen                bool
	ReplyProblem          *string
	LastMessage           *messageView
}

const inboxFields = `id version unreadCount contact { id name } assignedUser { id name } closedBy { id name } isOpen replyProblem
	lastMessage { id direction status body sender { e164 reason } user { id name } }`

type inboxCounts struct{ Open, Unread, Mine, Unassigned int }

type inboxChange struct {
	SmsInboxChanged struct {
		Seq, Cause string
		Thread     inboxThread
		Message    *messageView
		Inbox      inboxCounts
	}
}

const inboxQuery = `subscription($after: Cursor) { smsInboxChanged(after: $after) { seq cause thread { ` + inboxFields + ` } message { id body }
	inbox { open unread mine unassigned } } }`

func (s *story) inboxOf(who *demo.Client) (out inboxCounts) {
	s.t.Helper()
	var got struct{ SmsInbox inboxCounts }
	s.Must(who.Do(s.t.Context(), `{ smsInbox { open unread mine unassigned } }`, nil, &got))
	return got.SmsInbox
}

func (s *story) inboxPage(who *demo.Client, filter demo.Vars) []inboxThread {
	s.t.Helper()
	var got struct{ SmsThreads struct{ Nodes []inboxThread } }
	s.Must(who.Do(s.t.Context(), `query($f: SmsThreadFilter) { smsThreads(first: 30, filter: $f) { nodes { `+inboxFields+` } } }`, demo.Vars{"f": filter}, &got))
	return got.SmsThreads.Nodes
}

func (s *story) threadDo(who *demo.Client, mutation string, vars demo.Vars) (code string) {
	s.t.Helper()
	args, given := "", ""
	for k, v := range vars {
		kind := "ID"
		if _, ok := v.(bool); ok {
			kind = "Boolean!"
		} else if k == "id" {
			kind = "ID!"
		}
		args, given = args+"$"+k+": "+kind+" ", given+k+": $"+k+" "
	}
	return s.try(who, `mutation(`+args+`) { `+mutation+`(`+given+`) { thread { id } userErrors { code field message } } }`, vars, nil)
}

func (s *story) answersTexts(line string, input demo.Vars) {
	s.t.Helper()
	s.Do(`mutation($n: ID!, $i: NumberMessagingUpdateInput!) { numberMessagingUpdate(id: $n, input: $i) { userErrors { code field message } } }`, demo.Vars{"n": line, "i": input}, nil)
}

// Ann sits before two browsers, Ben before one. Everything is live.
func TestTheSharedInboxIsLive(t *testing.T) { // R138-R140, R145, R276
	s := newStory(t)
	branch, elsewhere := s.Branch("Office"), s.Branch("Elsewhere")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann, ben, dan := s.User("ann", "OFFICE", "", branch), s.User("ben", "OFFICE", "", branch), s.User("dan", "OFFICE", "", elsewhere)
	s.answersTexts(line, demo.Vars{"smsAssigneeId": ann.ID})
	after := s.cursor()
	desk, phone, bens, dans := s.watch(ann.Client, inboxQuery, demo.Vars{"after": after}), s.watch(ann.Client, inboxQuery, demo.Vars{"after": after}),
		s.watch(ben.Client, inboxQuery, demo.Vars{"after": after}), s.watch(dan.Client, inboxQuery, demo.Vars{"after": after})
	next := func(f *feed, cause string, want inboxCounts) inboxThread {
		t.Helper()
		var c inboxChange
		f.next(&c)
		if got := c.SmsInboxChanged; got.Cause != cause || got.Inbox != want || (got.Message != nil) != (cause == "MESSAGE_RECEIVED" || cause == "MESSAGE_UPDATED") {
			t.Errorf("%s: %+v, want %+v", cause, got, want)
		}
		return c.SmsInboxChanged.Thread
	}

	s.text(customer, officeNumber, "Are you open?")
	waits := inboxCounts{Open: 1, Unread: 1, Mine: 1}
	others := inboxCounts{Open: 1, Unread: 1}
	var thread string
	for _, f := range []*feed{desk, phone} {
		th := next(f, "MESSAGE_RECEIVED", waits)
		next(f, "THREAD_UPDATED", waits)
		if thread = th.ID; th.UnreadCount != 1 || name(th.AssignedUser) != "ann" || th.Contact == nil || th.LastMessage == nil || th.LastMessage.Body != "Are you open?" {
			t.Errorf("the thread is %+v", th)
		}
	}
	next(bens, "MESSAGE_RECEIVED", others)
	next(bens, "THREAD_UPDATED", others)

	// Read at the desk, read on the phone; Ben is not told.
	if code := s.threadDo(ann.Client, "smsThreadRead", demo.Vars{"id": thread}); code != "" {
		t.Fatal(code)
	}
	for _, f := range []*feed{desk, phone} {
		if th := next(f, "THREAD_READ", inboxCounts{Open: 1, Mine: 1}); th.UnreadCount != 0 {
			t.Errorf("read: %+v", th)
		}
	}
	// Ann hands it over.
	if code := s.threadDo(ann.Client, "smsThreadAssign", demo.Vars{"id": thread, "userId": ben.ID}); code != "" {
		t.Fatal(code)
	}
	next(desk, "THREAD_UPDATED", inboxCounts{Open: 1})
	if th := next(bens, "THREAD_UPDATED", waits); name(th.AssignedUser) != "ben" {
		t.Errorf("assigned: %+v", th)
	}
	if code := s.threadDo(ann.Client, "smsThreadAssign", demo.Vars{"id": thread, "userId": dan.ID}); code != "" {
		t.Errorf("given to somebody of another branch: %s", code)
	}
	next(bens, "THREAD_UPDATED", others)
	// What is Dan's alone to see begins here.
	if th := next(dans, "THREAD_UPDATED", waits); name(th.AssignedUser) != "dan" {
		t.Errorf("assigned: %+v", th)
	}
	if code := s.threadDo(dan.Client, "smsThreadClose", demo.Vars{"id": thread}); code != "" {
		t.Fatal(code)
	}
	if th := next(bens, "THREAD_UPDATED", inboxCounts{Unread: 1}); th.IsOpen || name(th.ClosedBy) != "dan" {
		t.Errorf("closed: %+v", th)
	}
	s.text(customer, officeNumber, "Hello?")
	if th := next(bens, "MESSAGE_RECEIVED", others); !th.IsOpen || name(th.AssignedUser) != "dan" || th.UnreadCount != 2 {
		t.Errorf("opened again: %+v", th)
	}

	// What one read is no fact of the log.
	for _, f := range s.facts(ann.Client, after) {
		if f.Type == "SmsThreadRead" {
			t.Error("the log tells what somebody read")
		}
	}
	if got := types(s.facts(ann.Client, after, "SMS_THREAD_UPDATED")); len(got) != 5 || got[0] != "SmsThreadUpdated" {
		t.Errorf("Ann is told %v", got)
	}
	if got := types(s.facts(ben.Client, after, "CONSENT_CHANGED", "BULK_MESSAGE_UPDATED", "AUTOMATION_RAN")); len(got) != 0 {
		t.Errorf("Ben is told %v", got)
	}
	if got := s.inboxOf(s.Admin); got != (inboxCounts{Open: 1, Unread: 1}) {
		t.Errorf("the administrator's inbox is %+v", got)
	}
	for what, c := range map[string]struct {
		filter demo.Vars
		want   int
	}{
		"unread": {demo.Vars{"isUnread": true}, 1}, "mine": {demo.Vars{"isMine": true}, 0}, "of dan": {demo.Vars{"assignedUserId": dan.ID}, 1},
		"unassigned": {demo.Vars{"isUnassigned": true}, 0}, "closed": {demo.Vars{"isOpen": false}, 0}, "all at once": {demo.Vars{
			"isUnread": true, "isMine": false, "isUnassigned": false, "isOpen": true, "phoneNumberId": line, "branchId": branch, "number": customer, "search": "hello"}, 1},
		"words of no message": {demo.Vars{"search": "goodbye"}, 0}, "the beginning of a word": {demo.Vars{"search": "open hel"}, 0},
		"words of one message": {demo.Vars{"search": "you op"}, 1}, "digits": {demo.Vars{"search": "555-0199"}, 1},
	} {
		if got := len(s.inboxPage(ann.Client, c.filter)); got != c.want {
			t.Errorf("%s: %d threads, want %d", what, got, c.want)
		}
	}
	s.clean()
}

func TestTwoFirstMessagesAtOnceAreOneContact(t *testing.T) { // R138, D11
	s := newStory(t)
	lines := []string{officeNumber, "+12025550101"}
	for _, l := range lines {
		s.Number(l, nil)
	}
	var sent sync.WaitGroup
	for i := range 6 {
		sent.Go(func() {
			if _, err := s.Emulator.SendText(customer, lines[i%2], fmt.Sprint("Hello ", i)); err != nil {
				t.Error(err)
			}
		})
	}
	sent.Wait()
	s.idle()
	list := s.inboxPage(s.Admin, nil)
	if len(list) != 2 || list[0].Contact == nil || list[1].Contact == nil || list[0].Contact.ID != list[1].Contact.ID {
		t.Fatalf("the inbox shows %+v", list)
	}
	var out struct {
		Contacts struct {
			Nodes []struct{ ID, Kind, Name string }
		}
		Contact struct{ Messages struct{ Nodes []messageView } }
	}
	s.Do(`query($c: ID!) { contacts { nodes { id kind name } } contact(id: $c) { messages { nodes { id body } } } }`, demo.Vars{"c": list[0].Contact.ID}, &out)
	if c := out.Contacts.Nodes; len(c) != 1 || c[0].Kind != "LEAD" || c[0].Name == "" || len(out.Contact.Messages.Nodes) != 6 {
		t.Errorf("there are %+v", out)
	}
	s.clean()
}

func TestAKnownSenderGoesToThePreferredUser(t *testing.T) { // R055, R146, R147
	s := newStory(t)
	line := s.Number(officeNumber, demo.Vars{"routing": demo.Vars{"preferredUser": true}})
	ann, ben := s.User("ann", "OFFICE", ""), s.User("ben", "OFFICE", "")
	s.answersTexts(line, demo.Vars{"smsAssigneeId": ann.ID, "mmsAssigneeId": ann.ID})
	carol := s.contact("CUSTOMER", "Carol", customer, nil)
	s.assign(carol, ben.ID)
	s.text(customer, officeNumber, "It is me")
	_, err := s.Emulator.SendText("+12025550177", officeNumber, "", emulator.Media{ContentType: "image/png", Data: []byte("\x89PNG\r\n\x1a\n")})
	s.Must(err)
	s.idle()
	for _, th := range s.inboxPage(s.Admin, nil) {
		want := "ann"
		if th.Contact.ID == carol {
			want = "ben"
		}
		if name(th.AssignedUser) != want {
			t.Errorf("the thread of %s is %s's, want %s", th.Contact.Name, name(th.AssignedUser), want)
		}
	}
	// Whoever has left answers nothing.
	s.Do(`mutation($u: ID!) { userDisable(id: $u) { userErrors { code field message } } }`, demo.Vars{"u": ben.ID}, nil)
	s.contact("CUSTOMER", "Dora", "+12025550188", demo.Vars{"assignedUserId": ben.ID})
	s.text("+12025550188", officeNumber, "And me")
	if list := s.inboxPage(s.Admin, demo.Vars{"isUnassigned": true}); len(list) != 1 || list[0].Contact.Name != "Dora" {
		t.Errorf("unassigned are %+v", list)
	}
	if code := s.threadDo(s.Admin, "smsThreadAssign", demo.Vars{"id": s.inboxPage(s.Admin, nil)[0].ID, "userId": ben.ID}); code != "CONFLICT" {
		t.Errorf("given to somebody who has left: %s", code)
	}
}

func TestAFieldworkerSeesRepliesOfTheirOwn(t *testing.T) { // R286
	s := newStory(t)
	s.Number(officeNumber, nil)
	fay := s.User("fay", "FIELDWORKER", "")
	mine := s.contact("CUSTOMER", "Carol", customer, demo.Vars{"assignedUserId": fay.ID})
	other := s.contact("CUSTOMER", "Dora", "+12025550188", nil)
	booking := s.record("BOOKING", other, demo.Vars{"assignedUserId": fay.ID})
	f := s.watch(fay.Client, inboxQuery, demo.Vars{"after": s.cursor()})
	s.text("+12025550177", officeNumber, "for nobody's eyes but the office's")
	s.text("+12025550188", officeNumber, "before the booking")
	s.text(customer, officeNumber, "hello Fay")
	var c inboxChange
	f.next(&c)
	if got := c.SmsInboxChanged; got.Thread.Contact == nil || got.Thread.Contact.ID != mine || got.Inbox != (inboxCounts{Open: 1, Unread: 1, Unassigned: 1}) {
		t.Errorf("the first that Fay is told is %+v", got)
	}
	s.sendAs(s.Admin, demo.Vars{"to": "+12025550188", "body": "We come at nine", "recordId": booking}, nil)
	s.Settle()
	s.Pass(time.Minute)
	s.text("+12025550188", officeNumber, "Fine")
	var log struct {
		Messages struct{ Nodes []messageView }
		Record   struct{ Messages struct{ Nodes []messageView } }
	}
	s.Must(fay.Client.Do(t.Context(), `query($r: ID!) { messages { nodes { id body } } record(id: $r) { messages { nodes { id body } } } }`, demo.Vars{"r": booking}, &log))
	var bodies []string
	for _, m := range log.Messages.Nodes {
		bodies = append(bodies, m.Body)
	}
	if !slices.Equal(bodies, []string{"Fine", "We come at nine", "hello Fay"}) || len(log.Record.Messages.Nodes) != 1 {
		t.Errorf("Fay reads %q, and %d about the booking", bodies, len(log.Record.Messages.Nodes))
	}
}

func TestAMessageIsLinkedAnewWithATrace(t *testing.T) { // R142, R186
	s := newStory(t)
	s.Number(officeNumber, nil)
	ann := s.User("ann", "OFFICE", "")
	carol, dora := s.contact("CUSTOMER", "Carol", customer, nil), s.contact("CUSTOMER", "Dora", "+12025550188", nil)
	quote := s.record("QUOTE", dora, nil)
	s.text(customer, officeNumber, "I write for Dora")
	m := s.inboxPage(s.Admin, nil)[0].LastMessage.ID
	const relink = `mutation($m: ID!, $i: MessageRelinkInput!) { messageRelink(id: $m, input: $i) { message { id contact { id } record { id } version } userErrors { code field message } } }`
	var out struct {
		MessageRelink struct {
			Message struct {
				Contact, Record *ref
				Version         int
			}
		}
	}
	after := s.cursor()
	if code := s.try(s.Admin, relink, demo.Vars{"m": m, "i": demo.Vars{"contactId": dora, "recordId": quote}}, &out); code != "" {
		t.Fatal(code)
	}
	if got := out.MessageRelink.Message; got.Contact == nil || got.Contact.ID != dora || got.Record == nil || got.Record.ID != quote {
		t.Errorf("linked: %+v", got)
	}
	if th := s.inboxPage(s.Admin, nil)[0]; th.Contact.ID != carol {
		t.Errorf("the thread went to %s", th.Contact.Name)
	}
	if told := types(s.facts(s.Admin, after, "MESSAGE_UPDATED")); len(told) != 1 {
		t.Errorf("told %v", told)
	}
	var trace struct {
		Before string `bun:"before"`
		After  string `bun:"after"`
	}
	s.Must(db.Select(t.Context(), s.App.DB.Worker(), &trace, `SELECT detail->'before'->>'contactId' AS before, detail->'after'->>'contactId' AS after
		FROM audit_entry WHERE action = 'message.relink' ORDER BY at DESC LIMIT 1`))
	if trace.Before != carol || trace.After != dora {
		t.Errorf("the audit log says %+v", trace)
	}
	for _, who := range []stage.Person{ann} {
		if code := s.try(who.Client, relink, demo.Vars{"m": m, "i": demo.Vars{"contactId": nil}}, nil); code != "FORBIDDEN" {
			t.Errorf("the office links: %q", code)
		}
	}
}

func TestAPageOfTheInboxCostsTheSameHoweverLong(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	for i := range 12 {
		s.text(fmt.Sprintf("+120255502%02d", i), officeNumber, "Hello")
	}
	whole := `id version isOpen unreadCount replyProblem isOptedOut lastMessageAt phoneNumber { id e164 branch { id } } them { e164 display } branch { id name } closedBy { id }
		contact { id name phones { e164 } assignedUser { id } } assignedUser { id name } lastMessage { id body statusText isRetryable contact { id } media { id url } user { id }
		record { id } campaign { id } template { id } retryOf { id } segments cost { amount } }`
	cost := func(first int) (int, []string) {
		ctx, counted := db.CountStatements(t.Context())
		body, err := json.Marshal(demo.Vars{"query": fmt.Sprintf(`{ smsThreads(first: %d) { nodes { %s } } smsInbox { open unread mine unassigned } }`, first, whole)})
		s.Must(err)
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+s.Admin.Token())
		w := httptest.NewRecorder()
		s.App.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusOK || bytes.Contains(w.Body.Bytes(), []byte(`"errors"`)) || bytes.Count(w.Body.Bytes(), []byte(`"unreadCount":1`)) != first {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		return counted.N(), counted.Statements()
	}
	few, _ := cost(2)
	many, statements := cost(12)
	if few < 5 || many != few || many > 24 {
		t.Errorf("2 threads cost %d statements, 12 cost %d: %q", few, many, statements)
	}
}
