package followup_test

import (
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/voicemail"
)

func TestTryingAgainTakesNoContactAndNoRecordAway(t *testing.T) {
	s := newStage(t)
	known, other := s.contact("Carl Jones", carl, id.ID{}), s.contact("Carla Jones", dora, id.ID{})
	record := id.New(id.Record)
	s.exec(`INSERT INTO record (organization_id, id, kind, title, contact_id, updated_at) VALUES ($1, $2, 'QUOTE', 'Roof', $3, $4)`, s.org, record, known, start)
	first := s.inbound(carl, func(c *calling) { c.contact = known })
	s.exec(`UPDATE call SET record_id = $3 WHERE organization_id = $1 AND id = $2`, s.org, first.id, record)
	s.ended(first)
	s.pass(time.Minute)
	second := s.inbound(carl) // the card was closed: it is linked to nobody
	s.ended(second)
	wants := func(why string, contact, record id.ID) {
		t.Helper()
		if f := s.open1(); f.ContactID != contact || f.RecordID != record {
			t.Errorf("%s: it is about %s and %s", why, f.ContactID, f.RecordID)
		}
	}
	link := func(c *calling, contact, record id.ID) {
		t.Helper()
		s.exec(`UPDATE call SET contact_id = $3, record_id = $4 WHERE organization_id = $1 AND id = $2`, s.org, c.id, contact, record)
		s.tell(call.EventUpdated, c.id, nil)
		s.settle()
	}
	wants("the second has none", known, record)
	s.received(s.voicemail(second, id.ID{}), second)
	s.tell(call.EventUpdated, second.id, nil)
	s.settle()
	wants("more was told of the second", known, record)
	link(second, other, id.ID{})
	wants("the second was linked", other, record) // R186
	link(second, id.ID{}, id.ID{})
	wants("the second was unlinked", known, record)
	link(first, id.ID{}, id.ID{})
	wants("the one that had them was unlinked", id.ID{}, id.ID{})
}

func TestGivingTheVoicemailGivesTheItem(t *testing.T) { // D25
	s := newStage(t)
	c := s.inbound(carl, func(c *calling) { c.status = call.Voicemail })
	vm := s.voicemail(c, s.ann.UserID)
	s.ended(c)
	s.received(vm, c)
	give := func(to, want id.ID) {
		t.Helper()
		_, err := s.mails.Assign(s.ctx, s.admin, []id.ID{vm}, to)
		s.must(err)
		s.settle()
		if got := s.open1().OwnerID; got != want {
			t.Errorf("given to %s, it is %s's", to, got)
		}
	}
	give(s.bob.UserID, s.bob.UserID)
	if got := s.told(s.bob, followup.ToldFollowUpAssigned); len(got) != 1 || got[0].ActorID != s.admin.UserID {
		t.Errorf("bob was told %q", titles(got))
	}
	give(id.ID{}, id.ID{})
	give(s.ann.UserID, s.ann.UserID)
	w, err := s.svc.History(s.ctx, s.admin, s.open1(), db.Page{First: 100})
	s.must(err)
	for _, e := range w.Nodes {
		if e.Change == followup.Assigned && e.ActorID != s.admin.UserID {
			t.Errorf("it was handed over by %s", e.ActorID)
		}
	}
	// Somebody else's since, it stays theirs when the voicemail is nobody's.
	_, err = s.svc.Assign(s.ctx, s.admin, s.open1().ID, s.bob.UserID)
	s.must(err)
	give(id.ID{}, s.bob.UserID)
	// Whoever hears voicemails but sees no follow-ups cannot be given one, nor who may not hear it.
	deaf := s.user("deaf", access.SeesOrganization, nil, access.VoicemailListen)
	for _, x := range []id.ID{deaf.UserID, s.cat.UserID} {
		_, err = s.mails.Assign(s.ctx, s.admin, []id.ID{vm}, x)
		s.refused(err, errs.Invalid)
	}
	// A role may change after the voicemail was given.
	give(s.ann.UserID, s.ann.UserID)
	s.exec(`UPDATE voicemail SET owner_user_id = $2 WHERE organization_id = $1`, s.org, deaf.UserID)
	s.tell(voicemail.EventUpdated, vm, map[string]any{"callId": c.id})
	s.settle()
	if got := s.open1().OwnerID; !got.IsZero() {
		t.Errorf("it is %s's, and the voicemail of somebody who sees none", got)
	}
}

func TestAMissedCallerIsCalledBackOnce(t *testing.T) { // B11, R241
	s := newStage(t)
	s.exec(`INSERT INTO device (organization_id, id, user_id, name, platform, registered_at, last_seen_at) VALUES ($1, $2, $3, 'Desk', 'WEB', $4, $4)`,
		s.org, id.New(id.Device), s.ann.UserID, start)
	known := s.contact("Carl Jones", carl, id.ID{})
	other := s.number("+61255500002", s.branch)
	s.exec(`UPDATE phone_number SET is_default = id = $2 WHERE organization_id = $1`, s.org, other)
	s.ended(s.inbound(carl, func(c *calling) { c.contact = known }))
	f := s.open1()
	back := func(who access.Actor, key string, in followup.CallBack) *call.Call {
		t.Helper()
		_, c, err := s.svc.CallBack(access.With(s.ctx, who), who, f.ID, in, key)
		s.must(err)
		return c
	}
	first := back(s.ann, "a", followup.CallBack{})
	if first.PhoneNumberID != s.line || first.ContactID != known || first.ToNumber != carl {
		t.Errorf("%s called %s, about %s", first.PhoneNumberID, phone.Mask(carl), first.ContactID)
	}
	// The number that they called may be shown no more, and the item is about nobody.
	s.exec(`UPDATE phone_number SET use_for_caller_id = false WHERE organization_id = $1 AND id = $2`, s.org, s.line)
	s.exec(`UPDATE follow_up SET contact_id = NULL WHERE organization_id = $1`, s.org)
	if again := back(s.ann, "a", followup.CallBack{}); again.ID != first.ID {
		t.Error("asked again with the same key, she called twice")
	}
	_, _, err := s.svc.CallBack(s.ctx, s.ann, f.ID, followup.CallBack{RingMyPhone: true}, "a")
	s.refused(err, errs.IdempotencyReused)
	if c := back(s.ann, "b", followup.CallBack{}); c.PhoneNumberID != other {
		t.Errorf("shown is %s, want the one that may be", c.PhoneNumberID)
	} else if again := back(s.ann, "b", followup.CallBack{}); again.ID != c.ID {
		t.Error("shown another number, she called twice")
	}
	_, _, err = s.svc.CallBack(s.ctx, s.ann, f.ID, followup.CallBack{PhoneNumberID: s.line}, "c")
	s.refused(err, errs.Invalid)
	// Who sees no contact details calls what they are shown, not what they type.
	hidden := s.ann
	hidden.IsFieldworker, hidden.Switched = true, []access.FieldworkerOption{access.DisplayContactDetails}
	if c := back(hidden, "d", followup.CallBack{}); c.ToNumber != carl {
		t.Error("somebody else is called")
	}
}
