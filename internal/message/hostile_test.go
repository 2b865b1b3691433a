package message_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/patch"
)

func TestANumberIsNotReachedEarlyUnderAnothersName(t *testing.T) { // R242
	t.Parallel()
	s := newStage(t, options{idle: true})
	ann, bob := s.contact("Ann", other), s.contact("Bob", mobile)
	driver := s.owen
	driver.IsFieldworker, driver.Switched = true, []access.FieldworkerOption{access.RestrictBeforeStart}
	s.exec(`UPDATE "user" SET is_fieldworker = true, fieldworker_switched = '{RESTRICT_BEFORE_START}' WHERE id = $1`, driver.UserID)
	tomorrow := contact.RecordUpdate{AssignedUserID: patch.To(driver.UserID), StartsAt: patch.To(start.Add(24 * time.Hour))}
	booking := s.record(contact.RecordBooking, bob.ID, tomorrow)
	complaint := s.record(contact.RecordComplaint, ann.ID, contact.RecordUpdate{AssignedUserID: patch.To(driver.UserID)})
	for name, c := range map[string]struct {
		why  string
		send message.Send
		code errs.Code // "": it is sent
	}{
		"alone":             {"Bob's booking begins tomorrow", message.Send{To: mobile}, errs.Forbidden},
		"by the contact":    {"likewise", message.Send{ContactID: bob.ID}, errs.Forbidden},
		"another's contact": {"Ann may be written to, the number is Bob's", message.Send{To: mobile, ContactID: ann.ID}, errs.Forbidden},
		"another's record":  {"a complaint of Ann's says nothing of Bob", message.Send{To: mobile, RecordID: complaint.ID}, errs.Forbidden},
		"their own record":  {"likewise", message.Send{To: mobile, RecordID: booking.ID}, errs.Forbidden},
		"later":             {"what is written for later is looked at again then", message.Send{To: mobile, ContactID: ann.ID, SendAt: ptr(start.Add(time.Hour))}, errs.Forbidden},
		"Ann":               {"nothing of hers is to come", message.Send{To: other, ContactID: ann.ID}, ""},
		"Ann's other phone": {"nobody's number", message.Send{To: "+61491570333", RecordID: complaint.ID}, ""},
	} {
		c.send.Body = "on my way, " + name
		_, err := s.svc.Send(s.ctx, driver, c.send)
		if code := errs.CodeOf(err); code != c.code && (c.code != "" || err != nil) {
			t.Errorf("%s: %v, want %q: %s", name, err, c.code, c.why)
		}
	}
}

func TestATextThatEndsLikeAnotherIsNotTakenForIt(t *testing.T) { // T09
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.Hold(true) // no callbacks: they are looked up
	s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: emulator.Fate500, Times: 1})
	yes := s.send(s.admin, message.Send{To: mobile, Body: "yes"})
	s.drain()
	s.pass(time.Second, time.Second)
	s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: emulator.LostReset, Times: 1})
	oh := s.send(s.admin, message.Send{To: mobile, Body: "oh yes"})
	s.drain()
	s.settle()
	if a, b := s.get(yes), s.get(oh); a.Status != message.Failed || b.TwilioSID == nil || b.Status.Final() && b.Status != message.Delivered {
		t.Errorf("Twilio took %q only, and %q is %s, %q is %s", "oh yes", a.Body, a.Status, b.Body, b.Status)
	}
}

func TestWhatIsLostMeanwhileKeepsAMessageForLater(t *testing.T) { // R026, R158, R236
	t.Parallel()
	for name, c := range map[string]struct {
		why     string
		change  string // $1 is who wrote it, $2 the number
		invoice bool
		last    message.Status
	}{
		"nothing":         {"it is sent", `SELECT $1::uuid, $2::uuid`, true, message.Delivered},
		"the switch":      {"R026", `INSERT INTO phone_number_user (organization_id, phone_number_id, user_id, sms, mms, updated_at) SELECT organization_id, $2, $1, false, true, now() FROM "user" WHERE id = $1`, false, message.Failed},
		"the role":        {"R236", `UPDATE role SET permissions = '{SMS_VIEW}' FROM "user" u WHERE u.role_id = role.id AND u.id = $1 AND $2::uuid IS NOT NULL`, false, message.Failed},
		"invoices":        {"R158", `UPDATE role SET permissions = '{SMS_VIEW,SMS_SEND}' FROM "user" u WHERE u.role_id = role.id AND u.id = $1 AND $2::uuid IS NOT NULL`, true, message.Failed},
		"invoices, other": {"it is about none", `UPDATE role SET permissions = '{SMS_VIEW,SMS_SEND}' FROM "user" u WHERE u.role_id = role.id AND u.id = $1 AND $2::uuid IS NOT NULL`, false, message.Delivered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			in := message.Send{To: mobile, Body: "later", SendAt: ptr(start.Add(time.Hour))}
			if c.invoice {
				in.RecordID = s.record(contact.RecordInvoice, s.contact("Bob", mobile).ID, contact.RecordUpdate{}).ID
			}
			m := s.send(s.bea, in)
			s.exec(c.change, s.bea.UserID, s.office)
			s.pass(62*time.Minute, time.Minute)
			got := s.get(m)
			if got.Status != c.last || (got.ErrorReason != nil) != (c.last == message.Failed) {
				t.Errorf("%s: it is %s because %s", c.why, got.Status, deref(got.ErrorReason))
			}
		})
	}
}

func TestAKeySendsNoFilesOfAnother(t *testing.T) { // R144
	t.Parallel()
	s := newStage(t, options{idle: true})
	key := func(name string) access.Actor {
		who := s.admin
		who.UserID, who.APIKeyID = id.ID{}, id.New(id.APIKey)
		s.exec(`INSERT INTO api_key (organization_id, id, name, role_id, hint, hash, created_by) SELECT organization_id, $2, $3, role_id, $3, decode(md5($3), 'hex'), id FROM "user" WHERE id = $1`,
			s.admin.UserID, who.APIKeyID, name)
		return who
	}
	mine, theirs := key("mine"), key("theirs")
	file := s.upload(mine, jpeg, 100)
	for name, c := range map[string]struct {
		who  access.Actor
		code errs.Code
	}{"the key": {mine, ""}, "another key": {theirs, errs.NotFound}, "a user": {s.admin, errs.NotFound}} {
		_, _, err := s.svc.OpenMedia(s.ctx, c.who, file)
		if code := errs.CodeOf(err); code != c.code {
			t.Errorf("%s opens it: %v", name, err)
		}
		_, err = s.svc.Send(s.ctx, c.who, message.Send{To: mobile, Body: name, MediaIDs: []id.ID{file}})
		if code := errs.CodeOf(err); code != c.code {
			t.Errorf("%s sends it: %v", name, err)
		}
	}
}

func TestATextThatGrowsTooLongIsNotKept(t *testing.T) { // R163
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact(strings.Repeat("😀", 200), mobile)
	p, err := s.svc.Preview(s.ctx, s.admin, message.Draft{Recipients: []message.Recipient{{ContactID: bob.ID}}, Body: strings.Repeat("{{contact.name}}", 50)})
	s.must(err)
	if r := p.All[0]; r.IsSendable() || utf8.RuneCountInString(r.Body) != message.MaxBody || len(r.Problems) == 0 || !strings.Contains(r.Problems[0].Message, "10000 characters") {
		t.Errorf("%d characters are kept: %+v", utf8.RuneCountInString(r.Body), r.Problems)
	}
}
