package call

import (
	"context"
	"strconv"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/tenant"
)

// stillPaused is after how long people are told that a recording is paused.
const stillPaused = 2 * time.Minute

// pauses folds the pauses of the recordings: it is one for all that run and all
// that begin (T05).
func (t *tally) pauses(st *State, r *room) {
	for _, f := range t.orders {
		switch f.Data.Command {
		case CommandRecordingPause:
			if r.pausedAt == nil {
				r.pause++
				r.pausedAt, r.told = &f.At, t.notices[pauseNotice(r.pause)]
				st.Pauses = append(st.Pauses, RecordingPause{From: f.At, By: f.Data.By})
			}
		case CommandRecordingResume:
			if r.pausedAt != nil {
				p := &st.Pauses[len(st.Pauses)-1]
				p.To, p.ResumedBy = &f.At, f.Data.By
			}
			r.pausedAt, r.told = nil, false
		}
	}
}

func pauseNotice(n int) string { return "notice/paused/" + strconv.Itoa(n) }

// showPause writes the pause into the row.
func (r *room) showPause(st *State) {
	st.Call.RecordingPausedAt = r.pausedAt
	if r.pausedAt == nil || st.Call.EndedAt != nil {
		return
	}
	if r.told {
		st.Call.NoticeCodes = append(st.Call.NoticeCodes, RecordingStillPaused)
		return
	}
	st.PauseDueAt = at(r.pausedAt.Add(stillPaused))
}

// remind tells of recordings that have been paused for long, once a pause (T05).
func (s *Service) remind(ctx context.Context, now time.Time) error {
	var due []struct {
		OrganizationID id.ID `bun:"organization_id"`
		ID             id.ID `bun:"id"`
	}
	err := s.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return db.Select(ctx, tx, &due, `SELECT organization_id, id FROM call WHERE pause_due_at <= $1 ORDER BY pause_due_at LIMIT 200`, now)
	})
	if err != nil {
		return err
	}
	for _, c := range due {
		err := s.DB.InTx(db.WithTenant(ctx, c.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
			st, found, err := s.take(ctx, tx, c.ID, id.ID{})
			if err != nil || !found || st.PauseDueAt == nil || st.PauseDueAt.After(now) {
				return err
			}
			_, _, err = s.take(ctx, tx, c.ID, id.ID{}, Fact{Key: pauseNotice(st.room.pause), Kind: FactNotice, At: tx.Now, Data: FactData{Status: string(RecordingStillPaused)}})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// PauseRecording stops every recording of the call until it is resumed (R117, T05).
// Whoever takes part may; others need CALL_CONTROL. Codes: errs.Forbidden, also for
// a switched-off feature, errs.NotFound, errs.Conflict in another state.
func (s *Service) PauseRecording(ctx context.Context, who access.Actor, call id.ID, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.PauseRecording")
	return s.order(ctx, who, call, "callRecordingPause", key, nil, func(c *control) error {
		if err := c.part(); err != nil {
			return err
		}
		if err := c.feature(tenant.RecordingPause); err != nil {
			return err
		}
		r := c.st.room
		switch {
		case r.pausedAt != nil:
			return errs.New(errs.Conflict, "the recording is paused already")
		case c.st.Plan.Record == "" && !c.st.recording():
			return errs.New(errs.Conflict, "the call is not being recorded")
		}
		c.add(CommandRecordingPause, id.ID{}, nil)
		return nil
	})
}

// ResumeRecording goes on with the same recordings (R118). Codes: those of PauseRecording.
func (s *Service) ResumeRecording(ctx context.Context, who access.Actor, call id.ID, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.ResumeRecording")
	return s.order(ctx, who, call, "callRecordingResume", key, nil, func(c *control) error {
		if err := c.part(); err != nil {
			return err
		}
		if c.st.room.pausedAt == nil {
			return errs.New(errs.Conflict, "the recording is not paused")
		}
		c.add(CommandRecordingResume, id.ID{}, nil)
		return nil
	})
}

// recording reports whether something of the conversation is being recorded.
func (s *State) recording() bool {
	for _, r := range s.Recordings {
		if !r.ForVoicemail && r.Status == wordInProgress {
			return true
		}
	}
	return false
}
