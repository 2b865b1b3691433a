package recording_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"switchboard/internal/blob"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/recording"
)

// meanwhile runs other while a statement of ours is not committed yet, and commits it
// once other waits for it, or is over without having waited.
func (s *stage) meanwhile(sql string, args []any, other func() error) {
	s.t.Helper()
	done := make(chan error, 1)
	if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Pgx().Exec(ctx, sql, args...); err != nil {
			return err
		}
		go func() { done <- other() }()
		for waiting := 0; waiting == 0 && len(done) == 0; {
			if err := db.Select(ctx, s.db.Worker(), &waiting, `SELECT count(*) FROM pg_locks WHERE NOT granted
				AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
}

// What Twilio tells of a recording does not undo that its audio was stored meanwhile.
func TestNewsOfACallDoNotUndoWhatWasStored(t *testing.T) {
	t.Parallel()
	s := newStage(t, status(404))
	x, key := s.only().ID, blob.NewKey()
	s.meanwhile(`UPDATE recording SET media_state = 'STORED', blob_key = $3, due_at = NULL WHERE organization_id = $1 AND id = $2`, []any{s.org, x, key}, func() error {
		longer := 9
		st := call.State{Call: call.Call{OrganizationID: s.org, ID: s.call}, Recordings: []call.Recorded{{SID: sid("RE", 1), Status: "completed", Channels: 1, StartedAt: start, DurationSeconds: &longer}}}
		return s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error { return s.recs.Apply(ctx, tx, st) })
	})
	if r := s.get(x); r.MediaState != recording.MediaStored || r.DueAt != nil || *r.DurationSeconds != 9 || *r.BlobKey != key {
		t.Errorf("it is %s, due %v", r.MediaState, r.DueAt)
	}
}

// Two people who change different parts of the policy at once both get what they want.
func TestChangesOfThePolicyAtOnceAreBothKept(t *testing.T) {
	t.Parallel()
	s := newStage(t, status(404))
	who := s.boss()
	if _, err := s.recs.UpdatePolicy(s.ctx, who, recording.PolicyChange{AreChannelsSwapped: patch.To(false)}); err != nil {
		t.Fatal(err)
	}
	s.meanwhile(`UPDATE recording_policy SET are_channels_swapped = true WHERE organization_id = $1`, []any{s.org}, func() error {
		_, err := s.recs.UpdatePolicy(s.ctx, who, recording.PolicyChange{WhenDeletedAtTwilio: patch.To(recording.KeepCopy)})
		return err
	})
	if p, err := s.recs.Policy(s.ctx, who); err != nil || !p.AreChannelsSwapped || p.WhenDeletedAtTwilio != recording.KeepCopy {
		t.Errorf("the policy is %+v, %v", p, err)
	}
}

// A file is written down before there is one, so that one whose process died before it
// could say so is deleted by the next attempt.
func TestNoFileIsLeftByAnAttemptThatDies(t *testing.T) {
	t.Parallel()
	audio := wav()
	var s *stage
	noted := false
	s = newStage(t, status(404), func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "audio/x-wav")
		w.Header().Set("Content-Length", fmt.Sprint(len(audio)))
		_, _ = w.Write(audio[:8000])
		w.(http.Flusher).Flush()
		for range 10_000 { // until our side has seen what is there so far
			if noted = s.count(`SELECT count(*) FROM recording WHERE organization_id = $1 AND blob_key IS NOT NULL AND media_state = 'PENDING'`, s.org) == 1; noted {
				break
			}
		}
		_, _ = w.Write(audio[8000:])
	})
	s.work() // the attempt that is not answered
	info, err := s.blobs.Put(s.ctx, s.org, bytes.NewReader(audio), 1<<20, blob.Audio)
	if err != nil {
		t.Fatal(err)
	}
	s.exec(`UPDATE recording SET blob_key = $2 WHERE organization_id = $1`, s.org, info.Key) // as one left it that died
	r := s.until(recording.MediaStored)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !noted || *r.BlobKey == info.Key {
		t.Errorf("its file was noted before: %t", noted)
	}
	if _, _, err := s.blobs.Open(s.ctx, s.org, info.Key); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("what was left is still there: %v", err)
	}
	f, _, err := s.recs.Open(s.ctx, s.boss(), r.ID, recording.Playing{})
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}

// An attempt that fails for good names no file.
func TestAnAttemptThatFailsLeavesNoFile(t *testing.T) {
	t.Parallel()
	audio := wav()
	s := newStage(t, send("audio/x-wav", audio[:8000], 0))
	s.exec(`UPDATE recording SET attempts = 15 WHERE organization_id = $1`, s.org)
	s.clock.Advance(11 * time.Minute)
	s.work()
	s.work()
	if r := s.only(); r.MediaState != recording.MediaFailed || r.BlobKey != nil {
		t.Errorf("it is %s after %d attempts, with the file %v", r.MediaState, r.Attempts, r.BlobKey)
	}
}

// R226: what a hold is on and what it keeps are the same list, whichever way it is asked.
func TestAHoldKeepsTheRecordingsThatSayIt(t *testing.T) {
	t.Parallel()
	s := newStage(t, status(404))
	x, contact, record, mail := s.only().ID, id.New(id.Contact), id.New(id.Record), id.New(id.Voicemail)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Alice', $3)`, s.org, contact, start)
	s.exec(`INSERT INTO record (organization_id, id, kind, title, contact_id, updated_at) VALUES ($1, $2, 'BOOKING', 'B-1', $3, $4)`, s.org, record, contact, start)
	s.exec(`UPDATE call SET contact_id = $2, record_id = $3 WHERE organization_id = $1`, s.org, contact, record)
	s.exec(`INSERT INTO voicemail (organization_id, id, call_id, recording_id, from_number, received_at, updated_at) VALUES ($1, $2, $3, $4, '+61400999888', $5, $5)`,
		s.org, mail, s.call, x, start)
	for name, c := range map[string]struct {
		subject id.ID
		keeps   bool
	}{"itself": {x, true}, "its call": {s.call, true}, "its contact": {contact, true}, "its record": {record, true}, "its voicemail": {mail, true},
		"another call": {id.New(id.Call), false}, "a message": {id.New(id.Message), false}} {
		var keeps []id.ID
		if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			keeps, err = recording.KeptBy(ctx, tx, c.subject)
			return err
		}); err != nil || (len(keeps) == 1 && keeps[0] == x) != c.keeps {
			t.Errorf("%s: a hold keeps %v, %v", name, keeps, err)
		}
		hold := id.New(id.LegalHold)
		s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'Case 17', $4)`, s.org, hold, c.subject, start)
		why, err := s.recs.HoldsOn(s.ctx, s.boss(), []id.ID{x})
		if got := s.get(x).IsHeld; err != nil || got != c.keeps || (why[x] == "Case 17") != c.keeps {
			t.Errorf("%s: held %t because of %q, %v", name, got, why[x], err)
		}
		s.exec(`UPDATE legal_hold SET released_at = $2 WHERE organization_id = $1`, s.org, start)
	}
}
