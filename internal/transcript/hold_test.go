package transcript_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/transcript"
)

// R229, R230: a transcript outlives its recording, keeps its tombstone, and a legal hold keeps it.
func TestDeletionLeavesATombstoneAndHoldsAreKept(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	x, held := s.made(s.admin, id.ID{}, 0, "secret words", "yes"), s.made(s.admin, id.ID{}, time.Hour, "held words", "yes")
	s.exec(`DELETE FROM recording WHERE organization_id = $1`, s.org)
	if got := s.get(x); got.Status != transcript.Completed || !got.RecordingID.IsZero() {
		t.Fatalf("it went with its recording: %+v", got)
	}
	s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'court', $4)`, s.org, id.New(id.LegalHold), s.get(held).CallID, start)
	gone, kept, err := s.svc.Delete(s.ctx, s.admin, []id.ID{x, held}, "asked to")
	s.must(err)
	if len(gone) != 1 || gone[0].ID != x || len(kept) != 1 || kept[0].ID != held {
		t.Fatalf("%d gone, %d kept", len(gone), len(kept))
	}
	if len(s.lines(x)) != 0 || gone[0].CallID.IsZero() || gone[0].DeletedByID != s.admin.UserID || len(s.found(s.admin, transcript.Filter{Text: "secret"})) != 0 {
		t.Errorf("the tombstone is %+v", gone[0])
	}
	if n := s.number(`SELECT count(*) FROM audit_entry WHERE organization_id = $1 AND action = 'transcript.delete'`, s.org); n != 1 {
		t.Errorf("%d entries in the audit log", n)
	}
	var again []id.ID
	s.must(s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		again, err = s.svc.Purge(ctx, tx, []id.ID{x, held}, transcript.Deletion{Why: "rule"})
		return err
	}))
	if len(again) != 0 {
		t.Errorf("it was deleted twice: %v", again)
	}
	who := s.admin
	who.Permissions = access.SetOf(access.TranscriptView, access.TranscriptEdit)
	if _, _, err := s.svc.Delete(s.ctx, who, []id.ID{held}, "x"); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "TRANSCRIPT_DELETE") {
		t.Errorf("without the permission: %v", err)
	}
	for name, c := range map[string]struct {
		ids    []id.ID
		reason string
		code   errs.Code
	}{"no reason": {[]id.ID{held}, " ", errs.Required}, "nothing": {nil, "x", errs.Required}, "not there": {[]id.ID{id.New(id.Transcript)}, "x", errs.NotFound}} {
		if _, _, err := s.svc.Delete(s.ctx, s.admin, c.ids, c.reason); !errs.IsCode(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// R226: a hold on anything that a transcript belongs to keeps it with its notes, also
// when somebody links it to another contact meanwhile.
func TestAHoldKeepsATranscriptWithItsNotes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	bob, eve, record, mail := id.New(id.Contact), id.New(id.Contact), id.New(id.Record), id.New(id.Voicemail)
	for _, c := range []id.ID{bob, eve} {
		s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Bob', $3)`, s.org, c, start)
	}
	s.exec(`INSERT INTO record (organization_id, id, kind, title, status, contact_id, updated_at) VALUES ($1, $2, 'BOOKING', 'Boiler', 'OPEN', $3, $4)`, s.org, record, bob, start)
	x := s.made(s.admin, bob, 0, "held words", "yes")
	got := s.get(x)
	s.exec(`UPDATE call SET contact_id = $3, record_id = $4 WHERE organization_id = $1 AND id = $2`, s.org, got.CallID, bob, record)
	s.exec(`INSERT INTO voicemail (organization_id, id, call_id, recording_id, from_number, received_at, updated_at) VALUES ($1, $2, $3, $4, '+61400999888', $5, $5)`,
		s.org, mail, got.CallID, got.RecordingID, start)
	s.exec(`UPDATE transcript SET voicemail_id = $3 WHERE organization_id = $1 AND id = $2`, s.org, x, mail)
	if _, err := s.svc.Update(s.ctx, s.admin, x, transcript.Update{ContactID: patch.To(eve), RecordID: patch.Clear[id.ID]()}); err != nil {
		t.Fatal(err)
	}
	note, err := s.svc.AddNote(s.ctx, s.admin, x, transcript.NewNote{Text: "he admits it"}, "")
	s.must(err)
	for name, subject := range map[string]id.ID{"itself": x, "its call": got.CallID, "its recording": got.RecordingID, "its voicemail": mail,
		"its contact": eve, "its call's contact": bob, "its call's record": record} {
		hold := id.New(id.LegalHold)
		s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'court', $4)`, s.org, hold, subject, start)
		if gone, kept, err := s.svc.Delete(s.ctx, s.admin, []id.ID{x}, "asked to"); err != nil || len(gone) != 0 || len(kept) != 1 {
			t.Errorf("a hold on %s: %d gone, %d kept, %v", name, len(gone), len(kept), err)
		}
		if err := s.svc.DeleteNote(s.ctx, s.admin, note.ID); !errs.IsCode(err, errs.Conflict) {
			t.Errorf("a hold on %s: the note was deleted: %v", name, err)
		}
		s.exec(`UPDATE legal_hold SET released_at = $3 WHERE organization_id = $1 AND id = $2`, s.org, hold, start)
	}
	s.must(s.svc.DeleteNote(s.ctx, s.admin, note.ID))
}

// R226: nobody links a transcript out of a hold on whom or what it belongs to; where
// its call belongs there too, it stays held without the link.
func TestATranscriptIsNotRelinkedOutOfAHold(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	bob, eve, record := id.New(id.Contact), id.New(id.Contact), id.New(id.Record)
	for _, c := range []id.ID{bob, eve} {
		s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Bob', $3)`, s.org, c, start)
	}
	s.exec(`INSERT INTO record (organization_id, id, kind, title, status, contact_id, updated_at) VALUES ($1, $2, 'BOOKING', 'Boiler', 'OPEN', $3, $4)`, s.org, record, bob, start)
	x := s.made(s.admin, bob, 0, "held words", "yes")
	update := func(in transcript.Update) error {
		_, err := s.svc.Update(s.ctx, s.admin, x, in)
		return err
	}
	hold := func(subject id.ID) (release func()) {
		h := id.New(id.LegalHold)
		s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'court', $4)`, s.org, h, subject, start)
		return func() {
			s.exec(`UPDATE legal_hold SET released_at = $3 WHERE organization_id = $1 AND id = $2`, s.org, h, start)
		}
	}
	refused := func(in transcript.Update, field string) {
		t.Helper()
		err := update(in)
		if e, ok := errs.As(err); !ok || e.Code != errs.Conflict || !slices.Equal(e.Field, []string{"input", field}) {
			t.Errorf("out of a hold on its %s: %v", field, err)
		}
	}
	s.must(update(transcript.Update{ContactID: patch.To(bob), RecordID: patch.To(record)}))
	s.exec(`UPDATE call SET contact_id = NULL WHERE organization_id = $1 AND id = $2`, s.org, s.get(x).CallID)
	release := hold(bob)
	refused(transcript.Update{ContactID: patch.To(eve)}, "contactId")
	refused(transcript.Update{ContactID: patch.Clear[id.ID]()}, "contactId")
	s.must(update(transcript.Update{ContactID: patch.To(bob), Subject: patch.To("Boiler")}))
	s.exec(`UPDATE call SET contact_id = $3 WHERE organization_id = $1 AND id = $2`, s.org, s.get(x).CallID, bob)
	s.must(update(transcript.Update{ContactID: patch.To(eve)}))
	if _, kept, err := s.svc.Delete(s.ctx, s.admin, []id.ID{x}, "asked to"); err != nil || len(kept) != 1 {
		t.Errorf("another link takes it out of the hold on its call's contact: %v", err)
	}
	release()
	release = hold(record)
	refused(transcript.Update{RecordID: patch.Clear[id.ID]()}, "recordId")
	release()
	s.must(update(transcript.Update{RecordID: patch.Clear[id.ID]()}))
}
