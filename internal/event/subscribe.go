package event

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// ErrSlow ends a subscription whose reader left its buffer full for too long. The
// cursor of the last event it read brings it back without a gap.
var ErrSlow = errs.New(errs.RateLimited, "the reader is slower than the events; subscribe again after the last event you got")

// ErrStopped ends the subscriptions of a node that shuts down.
var ErrStopped = errs.New(errs.Unavailable, "this server is going down; subscribe again after the last event you got")

var errResync = errs.New(errs.Resync, "the events after this cursor are not kept any more; read the state anew and subscribe from there")

// SubscribeOptions say which events.
type SubscribeOptions struct {
	Organization id.ID
	After        string // a cursor; "" is from now
	Kinds        []Kind // none is all
}

// Subscription is a reader's place in the log of one organization. It says
// nothing about permission: ask for each event when it is delivered.
type Subscription struct {
	log   *Log
	org   id.ID
	kinds []Kind
	c     chan Event
	wake  chan struct{}
	err   atomic.Value // holds an error, set before c is closed

	pos  int64 // read up to here; guarded by the hub
	idle bool  // waits to be woken; guarded by the hub
}

// Subscribe delivers the organization's events after the cursor, from the table
// and then live, each once and in order, until ctx ends. It returns an
// errs.Invalid for a cursor that is not of this organization and an errs.Resync
// for one that is older than the kept log.
func (l *Log) Subscribe(ctx context.Context, o SubscribeOptions) (_ *Subscription, err error) {
	s := &Subscription{
		log: l, org: o.Organization, kinds: slices.Clone(o.Kinds),
		c: make(chan Event, l.o.Buffer), wake: make(chan struct{}, 1),
	}
	if o.After != "" {
		if s.pos, err = l.OpenCursor(o.Organization, o.After); err != nil {
			return nil, err
		}
	}
	tooOld, last := l.hub.join(s, o.After == "")
	if tooOld {
		return nil, errResync
	}
	if s.pos > last {
		// Another node is ahead of this one, or the database was set back to an
		// older state: then its next events would be taken for known ones.
		head, err := l.head(ctx)
		if err == nil && s.pos > head {
			err = errResync
		}
		if err != nil {
			l.hub.leave(s)
			return nil, err
		}
	}
	if !l.alive(func() { s.run(ctx) }) {
		l.hub.leave(s)
		return nil, ErrStopped
	}
	l.counters.subscribed.Add(1)
	return s, nil
}

// C gives the events; it is closed when the subscription has ended, and Err says why.
func (s *Subscription) C() <-chan Event { return s.c }

// Err is nil while the subscription runs; then ErrSlow, ErrStopped, an
// errs.Resync, the database's error or that of the context.
func (s *Subscription) Err() error {
	err, _ := s.err.Load().(ended)
	return err.error
}

// ended makes every error one type, as atomic.Value wants it.
type ended struct{ error }

func (s *Subscription) wants(k Kind) bool { return len(s.kinds) == 0 || slices.Contains(s.kinds, k) }

// rouse is called with the hub locked.
func (s *Subscription) rouse() {
	s.idle = false
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Subscription) run(ctx context.Context) {
	err := s.pump(ctx)
	s.log.hub.leave(s)
	if err == ErrSlow {
		s.log.counters.cut.Add(1)
	}
	s.err.Store(ended{err})
	close(s.c)
}

// pump moves events from the ring to the reader, and from the table when the
// ring does not reach back far enough. Both meet without a seam because one
// place in one sequence decides what comes next.
func (s *Subscription) pump(ctx context.Context) error {
	for {
		events, behind := s.log.hub.take(s, 64)
		if behind {
			var err error
			if events, err = s.patiently(ctx); err != nil {
				return err
			}
		}
		for _, e := range events {
			if err := s.send(ctx, e); err != nil {
				return err
			}
		}
		if len(events) > 0 || behind {
			continue
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.log.ctx.Done():
			return ErrStopped
		}
	}
}

func (s *Subscription) send(ctx context.Context, e Event) error {
	select {
	case s.c <- e:
		s.log.counters.delivered.Add(1)
		return nil
	default:
	}
	patience := time.NewTimer(s.log.o.SlowAfter)
	defer patience.Stop()
	select {
	case s.c <- e:
		s.log.counters.delivered.Add(1)
		return nil
	case <-patience.C:
		return ErrSlow
	case <-ctx.Done():
		return ctx.Err()
	case <-s.log.ctx.Done():
		return ErrStopped
	}
}

// patiently outlasts a restart of the database.
func (s *Subscription) patiently(ctx context.Context) (events []Event, err error) {
	for range 40 {
		if events, err = s.replay(ctx); !errs.IsCode(err, errs.Unavailable) || ctx.Err() != nil || s.log.ctx.Err() != nil {
			return events, err
		}
		t := time.NewTimer(s.log.o.Sweep)
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-s.log.ctx.Done():
		}
		t.Stop()
	}
	return events, err
}

// page is how many events a replay reads at once.
const page = 200

// replay reads one page of the organization's events up to where the hub stands.
// The floor comes with the page, in one snapshot: a page that was read while its
// beginning was trimmed is not mistaken for a whole one.
func (s *Subscription) replay(ctx context.Context) (events []Event, err error) {
	defer errs.Wrap(&err, "event.Subscribe")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stop := context.AfterFunc(s.log.ctx, cancel)
	defer stop()
	upTo := s.log.hub.position()
	var kinds []string
	for _, k := range s.kinds {
		kinds = append(kinds, string(k))
	}
	var floor int64
	b := &pgx.Batch{}
	b.Queue(`SELECT f.seq, e.seq IS NOT NULL, coalesce(e.seq, 0), e.id, e.organization_id, coalesce(e.kind, ''), e.subject, e.data,
			e.actor_id, coalesce(e.at, 'epoch')
		FROM system.event_floor f LEFT JOIN LATERAL (
			SELECT `+columns+` FROM event
			WHERE organization_id = $1 AND seq > $2 AND seq <= $3 AND ($4::text[] IS NULL OR kind = ANY ($4))
			ORDER BY seq LIMIT $5
		) e ON true
		ORDER BY e.seq`, s.org, s.pos, upTo, kinds, page).
		Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var e Event
				var found bool
				if err := rows.Scan(&floor, &found, &e.Seq, &e.ID, &e.OrganizationID, (*string)(&e.Kind), &e.Subject,
					(*[]byte)(&e.Data), &e.ActorID, &e.At); err != nil {
					return err
				}
				if found {
					e.At = e.At.UTC()
					events = append(events, e)
				}
			}
			return rows.Err()
		})
	if err := s.log.d.Batch(ctx, s.org, b); err != nil {
		if s.log.ctx.Err() != nil {
			return nil, ErrStopped
		}
		return nil, err
	}
	if s.pos < floor {
		return nil, errResync
	}
	if len(events) == page {
		upTo = events[page-1].Seq
	}
	s.log.hub.moveTo(s, upTo)
	return events, nil
}
