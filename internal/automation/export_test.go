package automation

import (
	"context"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

// Hear is what the consumer does with an event.
func (s *Service) Hear(ctx context.Context, tx *db.Tx, e event.Event) error {
	return s.hear(ctx, tx, e)
}

// Look is the sweep for dates.
func (s *Service) Look(ctx context.Context, now time.Time) error { return s.look(ctx, now) }

// Wake is the sweep for runs.
func (s *Service) Wake(ctx context.Context, now time.Time) error { return s.wake(ctx, now) }

// Work is the job of one run.
func (s *Service) Work(ctx context.Context, org, run id.ID) error {
	return s.work(db.WithTenant(ctx, org), runArgs{Organization: org, Run: run})
}

// Dies has a run end before its transaction does.
func (s *Service) Dies(fn func(where string) error) { s.dies = fn }
