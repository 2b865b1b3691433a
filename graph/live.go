package graph

import (
	"context"
	"errors"
	"time"

	"switchboard/graph/edge"
	"switchboard/internal/access"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/report"
	"switchboard/internal/session"
	"switchboard/internal/voicemail"
)

const (
	// livePace is the shortest time between two pushes of the live dashboard, of the
	// machine and not of the business.
	livePace = 250 * time.Millisecond
	// liveLook is how often it is looked at without an event: devices fall silent.
	liveLook = 30 * time.Second
)

// liveKinds are the events after which the live dashboard may show something else.
var liveKinds = append([]event.Kind{voicemail.EventReceived, session.UserUpdated}, callKinds...)

// liveNow is the live dashboard with the place in the log that it holds all of. The
// place is read first: what happens in between is looked at again.
func (r *Resolver) liveNow(ctx context.Context) (*report.Live, error) {
	who := access.From(ctx)
	head, err := r.d.Events.Head(ctx, who.OrganizationID)
	if err != nil {
		return nil, err
	}
	l, err := r.d.Reports.Live(ctx, who)
	if err != nil {
		return nil, err
	}
	l.Cursor = r.d.Events.Cursor(who.OrganizationID, head)
	return l, nil
}

// liveDashboard pushes the live dashboard whenever it shows something else: after
// events, at midnight, and when nobody said anything for a while. Each push is the
// whole, so a client that was cut misses nothing; its cursor is checked all the same.
func (r *Resolver) liveDashboard(ctx context.Context, after *string) (<-chan *report.Live, error) {
	who := access.From(ctx)
	if err := who.Require(access.LiveView); err != nil {
		return nil, err
	}
	if after != nil && *after == "" {
		return nil, errs.New(errs.Invalid, "after is empty; leave it out to begin now, or send the last cursor you saw").At("after")
	}
	sub, err := r.d.Events.Subscribe(ctx, event.SubscribeOptions{Organization: who.OrganizationID, After: of(after), Kinds: liveKinds})
	if errs.IsCode(err, errs.Resync) { // what comes first is the state now
		sub, err = r.d.Events.Subscribe(ctx, event.SubscribeOptions{Organization: who.OrganizationID, Kinds: liveKinds})
	}
	if err != nil {
		return nil, err
	}
	out := make(chan *report.Live)
	go func() {
		defer close(out)
		if err := r.pushLive(ctx, sub, out); err != nil && ctx.Err() == nil {
			if errors.Is(err, event.ErrSlow) {
				err = errs.New(errs.Unavailable, "you read too slowly; come back with the last cursor you saw as `after`")
			}
			edge.Fail(ctx, err)
		}
	}()
	return out, nil
}

// pushLive sends until the subscription ends. Events are taken at all times: who
// reads slowly sees fewer pushes and is not cut.
func (r *Resolver) pushLive(ctx context.Context, sub *event.Subscription, out chan<- *report.Live) error {
	var last *report.Live
	for {
		now, err := r.liveNow(ctx)
		if err != nil {
			return err
		}
		again := false // something happened since it was counted
		if last == nil || !last.Same(now) {
			for sent := false; !sent; {
				select {
				case out <- now:
					last, sent = now, true
				case _, open := <-sub.C():
					if again = true; !open {
						return sub.Err()
					}
				case <-ctx.Done():
					return nil
				}
			}
		}
		pace := time.NewTimer(livePace)
		for waiting := true; waiting; {
			select {
			case <-pace.C:
				waiting = false
			case _, open := <-sub.C():
				if again = true; !open {
					pace.Stop()
					return sub.Err()
				}
			case <-ctx.Done():
				pace.Stop()
				return nil
			}
		}
		tick, stop := r.d.Clock.After(max(min(liveLook, now.Tomorrow.Sub(r.d.Clock.Now())), 0))
		if again || !r.d.Clock.Now().Before(now.Tomorrow) { // the clock may have moved before the tick was set
			stop()
			continue
		}
		select {
		case _, open := <-sub.C():
			stop()
			if !open {
				return sub.Err()
			}
		case <-tick:
		case <-ctx.Done():
			stop()
			return nil
		}
	}
}
