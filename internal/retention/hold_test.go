package retention_test

import (
	"context"
	"testing"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/retention"
)

// R226: a deletion that comes while a hold is being placed waits, and then finds it,
// whatever the hold is on.
func TestADeletionThatMeetsAHoldBeingPlacedWaitsForIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	type held struct{ subject, thing id.ID }
	for name, c := range map[string]struct {
		kind retention.Kind
		of   func() held
	}{
		"a recording":                   {retention.Recordings, func() held { c := s.call(start, id.ID{}); return held{c.recording, c.recording} }},
		"the call of a recording":       {retention.Recordings, func() held { c := s.call(start, id.ID{}); return held{c.call, c.recording} }},
		"the contact of a recording":    {retention.Recordings, func() held { c := s.call(start, id.ID{}); return held{c.contact, c.recording} }},
		"the record of a recording":     {retention.Recordings, func() held { c := s.call(start, id.ID{}); return held{c.record, c.recording} }},
		"a voicemail":                   {retention.Voicemails, func() held { c := s.call(start, id.ID{}); return held{c.voicemail, c.voicemail} }},
		"a transcript":                  {retention.Transcripts, func() held { c := s.call(start, id.ID{}); return held{c.transcript, c.transcript} }},
		"the recording of a transcript": {retention.Transcripts, func() held { c := s.call(start, id.ID{}); return held{c.recording, c.transcript} }},
		"a message":                     {retention.MessageBodies, func() held { m := s.texted(start); return held{m.message, m.message} }},
	} {
		// One after the other: what waits is looked for in the whole database.
		t.Run(name, func(t *testing.T) {
			s.T = t
			x := c.of()
			type end struct {
				gone []id.ID
				err  error
			}
			done := make(chan end, 1)
			s.noted = func(ctx context.Context, _ *db.Tx, _ *retention.Hold) error {
				go func() {
					var e end
					e.err = s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) (err error) {
						e.gone, err = s.purges[c.kind](ctx, tx, []id.ID{x.thing}, id.ID{}, "a rule")
						return err
					})
					done <- e
				}()
				for waiting := 0; waiting == 0 && len(done) == 0; {
					if err := db.Select(ctx, s.db.Worker(), &waiting, `SELECT count(*) FROM pg_locks WHERE NOT granted
						AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`); err != nil {
						return err
					}
				}
				return nil
			}
			if _, err := s.svc.Place(s.ctx, s.admin, x.subject, "a claim"); err != nil {
				t.Fatal(err)
			}
			if e := <-done; e.err != nil || len(e.gone) != 0 {
				t.Errorf("%v was deleted under a hold (%v)", e.gone, e.err)
			}
		})
	}
}

// R226: a recording names the hold that keeps it, whatever that is on; the oldest first.
func TestARecordingNamesItsHold(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	c := s.call(start, id.ID{})
	for _, x := range []struct {
		name          string
		subject, rec  id.ID
		alsoRecording bool // of the conversation
	}{{"its voicemail", c.voicemail, c.mailAudio, false}, {"its record", c.record, c.mailAudio, true}, {"its contact", c.contact, c.mailAudio, true},
		{"its call", c.call, c.recording, true}, {"itself", c.recording, c.recording, true}} {
		h, err := s.svc.Place(s.ctx, s.admin, x.subject, x.name)
		s.must(err)
		holds, err := s.svc.HoldsOf(s.ctx, s.admin, []id.ID{x.rec, c.recording})
		s.must(err)
		if got := holds[x.rec]; got == nil || got.ID != h.ID {
			t.Errorf("%s: the hold is %+v", x.name, got)
		}
		if (holds[c.recording] != nil) != x.alsoRecording {
			t.Errorf("%s: the conversation's hold is %+v", x.name, holds[c.recording])
		}
		if _, err := s.svc.Release(s.ctx, s.admin, h.ID, "settled"); err != nil {
			t.Fatal(err)
		}
	}
}
