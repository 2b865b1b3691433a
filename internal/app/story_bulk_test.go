package app_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/testkit/stage"
)

type bulkView struct {
	ID, Name, Status, Body string
	StopReason             *string
	RecipientCount         int
	Counts                 struct{ Pending, Skipped, Waiting, Queued, Sent, Delivered, Failed, Unknown int }
	EstimatedCosts, Costs  []struct{ Amount, Currency string }
	Recipients             struct{ Nodes []bulkRecipientView }
	CreatedBy              *ref
	EndedAt                *string
	Version                int
}

type bulkRecipientView struct {
	Position int
	Given    string
	To       *string
	State    string
	Contact  *ref
	Problem  *struct{ Code, Message string }
	Message  *struct{ ID, Status, Body string }
}

const bulkFields = `id name status body stopReason recipientCount counts { pending skipped waiting queued sent delivered failed unknown }
	estimatedCosts { amount currency } costs { amount currency } createdBy { id name } endedAt version`

const bulkRecipients = ` recipients(first: 100) { nodes { position given to state contact { id name } problem { code message } message { id status body } } }`

const bulkMutation = `mutation($i: BulkMessageCreateInput!, $k: String) { bulkMessageCreate(input: $i, idempotencyKey: $k) { bulkMessage { ` + bulkFields + ` } userErrors { code field message } } }`

func (s *story) bulkAs(who *demo.Client, input demo.Vars, key any) bulkView {
	s.t.Helper()
	var out struct {
		BulkMessageCreate struct{ BulkMessage bulkView }
	}
	s.Must(who.Do(s.t.Context(), bulkMutation, demo.Vars{"i": input, "k": key}, &out))
	return out.BulkMessageCreate.BulkMessage
}

func (s *story) bulk(id string) bulkView {
	s.t.Helper()
	var out struct{ BulkMessage *bulkView }
	s.Do(`query($id: ID!) { bulkMessage(id: $id) { `+bulkFields+bulkRecipients+` } }`, demo.Vars{"id": id}, &out)
	if out.BulkMessage == nil {
		s.t.Fatalf("there is no bulk message %s", id)
	}
	return *out.BulkMessage
}

// handed are the texts that the emulator took from us, by recipient.
func (s *story) handed() map[string][]string {
	out := map[string][]string{}
	for _, m := range s.Emulator.Messages() {
		if m.Direction == "outbound-api" {
			out[m.To] = append(out[m.To], m.Body)
		}
	}
	return out
}

func mobiles(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("+1202556%04d", i))
	}
	return list
}

func asRecipients(numbers []string) (list []demo.Vars) {
	for _, n := range numbers {
		list = append(list, demo.Vars{"to": n})
	}
	return list
}

func TestATextToManyReachesEachOnceAndListsWhoWasLeftOut(t *testing.T) { // R135, R136
	s := newStory(t)
	s.Number(officeNumber, nil)
	carol := s.contact("CUSTOMER", "Carol", customer, demo.Vars{"status": "ACTIVE"})
	out := s.contact("CUSTOMER", "Otto", "+12025560901", demo.Vars{"status": "ACTIVE"})
	s.contact("CUSTOMER", "Gone", "+12025560902", demo.Vars{"status": "OLD"})
	s.text("+12025560901", officeNumber, "STOP")
	s.Settle()

	list := append(asRecipients(mobiles(20)), demo.Vars{"contactId": carol}, demo.Vars{"contactId": out},
		demo.Vars{"to": mobiles(1)[0]}, demo.Vars{"to": "12"})
	input := demo.Vars{"name": "Spring", "body": "Hello {{contact.firstName|there}}", "audience": demo.Vars{"recipients": list}, "ratePerSecond": 100}
	b := s.bulkAs(s.Admin, input, "k1")
	if b.RecipientCount != 24 || b.Counts.Skipped != 3 || b.Counts.Pending+b.Counts.Waiting+b.Counts.Queued+b.Counts.Sent+b.Counts.Delivered != 21 {
		t.Fatalf("it begins as %+v", b)
	}
	if again := s.bulkAs(s.Admin, input, "k1"); again.ID != b.ID {
		t.Errorf("the same key made %s and %s", b.ID, again.ID)
	}
	s.Settle()
	got := s.bulk(b.ID)
	if got.Status != "DONE" || got.EndedAt == nil || got.Counts.Delivered != 21 || got.Counts.Skipped != 3 || got.Counts.Pending+got.Counts.Waiting+got.Counts.Failed+got.Counts.Unknown != 0 {
		t.Errorf("it ends as %+v", got)
	}
	if len(got.EstimatedCosts) != 1 || got.EstimatedCosts[0].Currency != "USD" {
		t.Errorf("it is expected to cost %+v", got.EstimatedCosts)
	}
	handed := s.handed()
	for _, n := range append(mobiles(20), customer) {
		if len(handed[n]) != 1 {
			t.Errorf("%s got %q", n, handed[n])
		}
	}
	if len(handed["+12025560901"]) != 0 || handed[customer][0] != "Hello Carol" {
		t.Errorf("Otto got %q, Carol %q", handed["+12025560901"], handed[customer])
	}
	var left []string
	for _, r := range got.Recipients.Nodes {
		if r.State == "SKIPPED" {
			left = append(left, r.Problem.Code)
		} else if r.Message == nil || r.Message.Status != "DELIVERED" || r.Problem != nil {
			t.Errorf("recipient %+v", r)
		}
	}
	if !slices.Equal(left, []string{"OPTED_OUT", "DUPLICATE", "INVALID_NUMBER"}) {
		t.Errorf("left out were %v", left)
	}

	found := s.bulkAs(s.Admin, demo.Vars{"name": "Active", "body": "Hi", "audience": demo.Vars{"contacts": demo.Vars{"status": "ACTIVE"}}}, nil)
	if found.RecipientCount != 2 || found.Counts.Skipped != 1 {
		t.Errorf("the filter found %+v", found)
	}
	s.clean()
}

func TestATextToManyIsRefusedForWhatConcernsAll(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	ann := s.User("ann", "FIELDWORKER", "")
	one := demo.Vars{"recipients": asRecipients(mobiles(1))}
	for why, c := range map[string]struct {
		input demo.Vars
		want  string
	}{
		"no recipients":        {demo.Vars{"name": "x", "body": "Hi", "audience": demo.Vars{}}, "REQUIRED"},
		"no text":              {demo.Vars{"name": "x", "audience": one}, "REQUIRED"},
		"no name":              {demo.Vars{"name": " ", "body": "Hi", "audience": one}, "REQUIRED"},
		"a rate of nothing":    {demo.Vars{"name": "x", "body": "Hi", "audience": one, "ratePerSecond": 0}, "INVALID"},
		"a time that is over":  {demo.Vars{"name": "x", "body": "Hi", "audience": one, "sendAt": stage.Start.Add(-time.Hour)}, "INVALID"},
		"nobody can have it":   {demo.Vars{"name": "x", "body": "Hi", "audience": demo.Vars{"recipients": asRecipients([]string{"12"})}}, "CONFLICT"},
		"nobody is found":      {demo.Vars{"name": "x", "body": "Hi", "audience": demo.Vars{"contacts": demo.Vars{"status": "NONE"}}}, "CONFLICT"},
		"an unknown merge tag": {demo.Vars{"name": "x", "body": "Hi {{nonsense}}", "audience": one}, "INVALID"},
		"a list and a filter":  {demo.Vars{"name": "x", "body": "Hi", "audience": demo.Vars{"recipients": asRecipients(mobiles(1)), "contacts": demo.Vars{}}}, "INVALID"},
	} {
		if code := s.try(s.Admin, bulkMutation, demo.Vars{"i": c.input}, nil); code != c.want {
			t.Errorf("%s: %s, want %s", why, code, c.want)
		}
	}
	if code := s.try(ann.Client, bulkMutation, demo.Vars{"i": demo.Vars{"name": "x", "body": "Hi", "audience": one}}, nil); code != "FORBIDDEN" {
		t.Errorf("without the permission: %s", code)
	}
	if len(s.handed()) != 0 {
		t.Errorf("handed over were %v", s.handed())
	}
}

func TestATextToManyKeepsItsRatePausesAndGoesOn(t *testing.T) { // R136
	s := newStory(t)
	s.Number(officeNumber, nil)
	b := s.bulkAs(s.Admin, demo.Vars{"name": "Slow", "body": "Hi", "audience": demo.Vars{"recipients": asRecipients(mobiles(35))}, "ratePerSecond": 10}, nil)
	feed := s.watch(s.Admin, `subscription($id: ID!) { bulkMessageChanged(id: $id) { `+bulkFields+` } }`, demo.Vars{"id": b.ID})
	var seen struct{ BulkMessageChanged bulkView }
	if s.Must(feed.first(&seen)); seen.BulkMessageChanged.ID != b.ID {
		t.Fatalf("the subscription begins with %+v", seen)
	}
	do := func(what string) bulkView {
		t.Helper()
		var out map[string]struct{ BulkMessage bulkView }
		s.Do(`mutation($id: ID!) { bulkMessage`+what+`(id: $id) { bulkMessage { `+bulkFields+` } userErrors { code field message } } }`, demo.Vars{"id": b.ID}, &out)
		return out["bulkMessage"+what].BulkMessage
	}
	s.Settle()
	if n := len(s.handed()); n != 10 {
		t.Errorf("%d were handed over at once, want 10", n)
	}
	for second, want := range []int{20, 30} {
		s.PassSettling(time.Second, 250*time.Millisecond)
		if n := len(s.handed()); n != want {
			t.Errorf("after %d seconds %d were handed over, want %d", second+1, n, want)
		}
	}
	if got := do("Pause"); got.Status != "PAUSED" || do("Pause").Version != got.Version {
		t.Errorf("paused it is %+v", got)
	}
	s.PassSettling(3*time.Second, time.Second)
	if n := len(s.handed()); n != 30 {
		t.Errorf("%d were handed over in a pause", n)
	}
	if got := do("Resume"); got.Status != "RUNNING" {
		t.Errorf("resumed it is %+v", got)
	}
	s.PassSettling(time.Second, 500*time.Millisecond)
	if got := s.bulk(b.ID); got.Status != "DONE" || len(s.handed()) != 35 {
		t.Errorf("it ends as %+v with %d", got, len(s.handed()))
	}
	for seen.BulkMessageChanged.Status != "DONE" || seen.BulkMessageChanged.Counts.Delivered != 35 {
		feed.next(&seen)
	}
	if code := s.try(s.Admin, `mutation($id: ID!) { bulkMessageCancel(id: $id) { userErrors { code field message } } }`, demo.Vars{"id": b.ID}, nil); code != "CONFLICT" {
		t.Errorf("canceling what is done: %s", code)
	}
	s.clean()
}

func TestATextToManyBeginsLaterAndIsCanceled(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	b := s.bulkAs(s.Admin, demo.Vars{"name": "Later", "body": "Hi", "audience": demo.Vars{"recipients": asRecipients(mobiles(25))}, "ratePerSecond": 10,
		"sendAt": stage.Start.Add(5 * time.Minute)}, nil)
	s.Settle()
	if b.Status != "SCHEDULED" || len(s.handed()) != 0 {
		t.Fatalf("before its time it is %+v, and %d were handed over", b, len(s.handed()))
	}
	s.Pass(5 * time.Minute)
	s.Settle()
	if got := s.bulk(b.ID); got.Status != "RUNNING" || len(s.handed()) != 10 {
		t.Errorf("at its time it is %+v", got)
	}
	var out struct {
		BulkMessageCancel struct{ BulkMessage bulkView }
	}
	for range 2 {
		s.Do(`mutation($id: ID!) { bulkMessageCancel(id: $id) { bulkMessage { `+bulkFields+` } userErrors { code field message } } }`, demo.Vars{"id": b.ID}, &out)
		if got := out.BulkMessageCancel.BulkMessage; got.Status != "CANCELED" || got.Counts.Pending != 15 {
			t.Errorf("canceled it is %+v", got)
		}
	}
	s.PassSettling(3*time.Second, time.Second)
	if n := len(s.handed()); n != 10 {
		t.Errorf("%d were handed over", n)
	}
}

func TestATextToManyStopsWhenItsSenderOrAccountCannotSend(t *testing.T) {
	for why, c := range map[string]struct{ breaks, mends func(s *story, number string) }{
		"the number is disabled": {
			func(s *story, number string) { s.set(number, demo.Vars{"isEnabled": false}) },
			func(s *story, number string) { s.set(number, demo.Vars{"isEnabled": true}) },
		},
		"the account is suspended": {
			func(s *story, _ string) { s.Must(s.Emulator.SetAccountStatus(s.AccountSID, "suspended")) },
			func(s *story, _ string) { s.Must(s.Emulator.SetAccountStatus(s.AccountSID, "active")) },
		},
	} {
		t.Run(why, func(t *testing.T) {
			s := newStory(t)
			number := s.Number(officeNumber, nil)
			b := s.bulkAs(s.Admin, demo.Vars{"name": "Stops", "body": "Hi", "audience": demo.Vars{"recipients": asRecipients(mobiles(30))}, "ratePerSecond": 10}, nil)
			s.Settle()
			c.breaks(s, number)
			s.PassSettling(2*time.Second, time.Second)
			got := s.bulk(b.ID)
			if got.Status != "PAUSED" || got.StopReason == nil || got.Counts.Pending != 20 || got.Counts.Delivered != 10 || got.Counts.Failed != 0 {
				t.Fatalf("it is %+v (%s)", got, word(got.StopReason))
			}
			c.mends(s, number)
			s.Do(`mutation($id: ID!) { bulkMessageResume(id: $id) { userErrors { code field message } } }`, demo.Vars{"id": b.ID}, nil)
			s.PassSettling(4*time.Second, time.Second)
			if got := s.bulk(b.ID); got.Status != "DONE" || got.Counts.Delivered != 30 {
				t.Errorf("after it went on it is %+v (%s)", got, word(got.StopReason))
			}
			for to, texts := range s.handed() {
				if len(texts) != 1 {
					t.Errorf("%s got %q", to, texts)
				}
			}
		})
	}
}

func TestOnlyWhoMadeABulkMessageOrSeesAllSeesIt(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	var out struct{ RoleCreate struct{ Role ref } }
	s.Do(`mutation { roleCreate(input: {name: "Sender", visibility: OWN, permissions: [SMS_SEND, SMS_VIEW, SMS_BULK, CONTACT_VIEW]}) { role { id } userErrors { code field message } } }`, nil, &out)
	ann, ben := s.User("ann", "OFFICE", "", branch), s.User("ben", "OFFICE", "", branch)
	for _, p := range []stage.Person{ann, ben} {
		s.change(p, demo.Vars{"roleId": out.RoleCreate.Role.ID})
	}
	annC, benC := s.SignIn("ann"), s.SignIn("ben")
	b := s.bulkAs(annC, demo.Vars{"name": "Mine", "body": "Hi", "audience": demo.Vars{"recipients": asRecipients(mobiles(3))}}, nil)
	count := func(who *demo.Client) int {
		t.Helper()
		var out struct {
			BulkMessage  *ref
			BulkMessages struct{ Nodes []bulkView }
			Node         *ref
		}
		s.Must(who.Do(t.Context(), `query($id: ID!) { bulkMessage(id: $id) { id } node(id: $id) { id } bulkMessages { nodes { `+bulkFields+bulkRecipients+` } } }`, demo.Vars{"id": b.ID}, &out))
		n := len(out.BulkMessages.Nodes)
		if (out.BulkMessage != nil) != (n == 1) || (out.Node != nil) != (n == 1) {
			t.Errorf("the ways to see it disagree: %+v", out)
		}
		return n
	}
	if a, b, all := count(annC), count(benC), count(s.Admin); a != 1 || b != 0 || all != 1 {
		t.Errorf("ann sees %d, ben %d, the administrator %d", a, b, all)
	}
	if code := s.try(benC, `mutation($id: ID!) { bulkMessageCancel(id: $id) { userErrors { code field message } } }`, demo.Vars{"id": b.ID}, nil); code != "NOT_FOUND" {
		t.Errorf("ben cancels it: %s", code)
	}
}
