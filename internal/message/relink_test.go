package message_test

import (
	"testing"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/patch"
)

func TestAMessageIsLinkedToWhomItBelongs(t *testing.T) { // R142, R186
	t.Parallel()
	s := newStage(t, options{idle: true})
	s.admin.Permissions = access.SetOf(access.SMSView, access.SMSRelink, access.ContactView, access.ContactEdit)
	bob, ann := s.contact("Bob", mobile), s.contact("Ann")
	m, rest := s.receive(mobile, office, "about the roof"), s.receive(mobile, office, "and the door")
	booking, err := s.contacts.CreateRecord(s.ctx, s.admin, contact.RecordCreate{Kind: contact.RecordBooking, Title: "Roof", ContactID: ann.ID})
	s.must(err)
	got, err := s.svc.Relink(s.ctx, s.admin, m.ID, message.Relink{ContactID: patch.To(ann.ID), RecordID: patch.To(booking.ID)})
	s.must(err)
	if got.ContactID != ann.ID || got.RecordID != booking.ID || got.Version != m.Version+1 || s.thread(m).ContactID != bob.ID || s.get(rest).ContactID != bob.ID {
		t.Errorf("linked: %+v", got)
	}
	var entry struct {
		Detail map[string]map[string]*string `bun:"detail,type:jsonb"`
		Actor  id.ID                         `bun:"actor_id"`
	}
	s.must(db.Select(s.ctx, s.db.Worker(), &entry, `SELECT detail, actor_id FROM audit_entry WHERE action = 'message.relink' AND subject = $1`, m.ID))
	if d := entry.Detail; deref(d["before"]["contactId"]) != bob.ID.String() || d["before"]["recordId"] != nil ||
		deref(d["after"]["contactId"]) != ann.ID.String() || deref(d["after"]["recordId"]) != booking.ID.String() || entry.Actor != s.admin.UserID {
		t.Errorf("the audit log says %+v", entry)
	}
	if n := s.count(`SELECT count(*) AS n FROM event WHERE kind = 'MESSAGE_UPDATED' AND subject = $1`, m.ID); n != 1 {
		t.Errorf("%d events", n)
	}
	same, err := s.svc.Relink(s.ctx, s.admin, m.ID, message.Relink{ContactID: patch.To(ann.ID)})
	if err != nil || same.Version != got.Version || same.RecordID != booking.ID || s.count(`SELECT count(*) AS n FROM audit_entry WHERE action = 'message.relink'`) != 1 {
		t.Errorf("linking again changes it: %+v, %v", same, err)
	}
	if got, err = s.svc.Relink(s.ctx, s.admin, m.ID, message.Relink{RecordID: patch.From[id.ID](true, nil)}); err != nil || !got.RecordID.IsZero() || got.ContactID != ann.ID {
		t.Errorf("cleared: %+v, %v", got, err)
	}
	// A thread of nobody gets the contact.
	hidden := s.receive("12345", office, "your code")
	_, err = s.svc.Relink(s.ctx, s.admin, hidden.ID, message.Relink{ContactID: patch.To(ann.ID)})
	s.must(err)
	if s.thread(hidden).ContactID != ann.ID {
		t.Error("the thread has no contact")
	}

	_, err = s.svc.Relink(s.ctx, s.admin, m.ID, message.Relink{ContactID: patch.To(id.New(id.Contact))})
	s.wants(err, errs.NotFound, "input.contactId")
	_, err = s.svc.Relink(s.ctx, s.admin, m.ID, message.Relink{RecordID: patch.To(id.New(id.Record))})
	s.wants(err, errs.NotFound, "input.recordId")
	_, err = s.svc.Relink(s.ctx, s.bea, m.ID, message.Relink{})
	s.wants(err, errs.Forbidden, "")
	blind := s.owen
	blind.Permissions = s.admin.Permissions
	_, err = s.svc.Relink(s.ctx, blind, m.ID, message.Relink{})
	s.wants(err, errs.NotFound, "")
	s.exec(`UPDATE sms_thread SET assigned_user_id = $2 WHERE id = $1`, m.ThreadID, blind.UserID)
	_, err = s.svc.Relink(s.ctx, blind, m.ID, message.Relink{ContactID: patch.To(bob.ID)})
	s.wants(err, errs.NotFound, "input.contactId") // not a contact of theirs
}

// A hold on whom or what a message belongs to keeps it there; one on its thread's
// contact keeps it wherever it is linked to.
func TestAMessageIsNotRelinkedOutOfAHold(t *testing.T) { // R226
	t.Parallel()
	s := newStage(t, options{idle: true})
	s.admin.Permissions = access.SetOf(access.SMSView, access.SMSRelink, access.ContactView, access.ContactEdit)
	bob, ann := s.contact("Bob", mobile), s.contact("Ann")
	m := s.receive(mobile, office, "about the roof")
	booking, err := s.contacts.CreateRecord(s.ctx, s.admin, contact.RecordCreate{Kind: contact.RecordBooking, Title: "Roof", ContactID: ann.ID})
	s.must(err)
	hold := func(subject id.ID) (release func()) {
		x := id.New(id.LegalHold)
		s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'court', $4)`, s.org, x, subject, s.clock.Now())
		return func() { s.exec(`UPDATE legal_hold SET released_at = $2 WHERE id = $1`, x, s.clock.Now()) }
	}
	relink := func(in message.Relink) error {
		_, err := s.svc.Relink(s.ctx, s.admin, m.ID, in)
		return err
	}
	release := hold(bob.ID)
	s.must(relink(message.Relink{ContactID: patch.To(ann.ID), RecordID: patch.To(booking.ID)}))
	if n := s.count(`SELECT count(*) AS n FROM message m JOIN sms_thread t ON t.id = m.thread_id WHERE m.id = $1 AND `+message.Held, m.ID); n != 1 {
		t.Error("another link takes it out of the hold on its thread's contact")
	}
	release()
	release = hold(ann.ID)
	s.wants(relink(message.Relink{ContactID: patch.To(bob.ID)}), errs.Conflict, "input.contactId")
	s.must(relink(message.Relink{ContactID: patch.To(ann.ID)})) // where it is
	release()
	release = hold(booking.ID)
	s.wants(relink(message.Relink{RecordID: patch.From[id.ID](true, nil)}), errs.Conflict, "input.recordId")
	s.must(relink(message.Relink{ContactID: patch.To(bob.ID)}))
	release()
	s.must(relink(message.Relink{RecordID: patch.From[id.ID](true, nil)}))
}
