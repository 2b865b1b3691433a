package emulator

import (
	"container/heap"
	"context"
	"errors"
	"time"
)

// timer is one thing to do at a time. Equal times run in the order they were made.
type timer struct {
	at    time.Time
	order uint64
	index int // in the heap, -1 when out
	fn    func()
}

type timers []*timer

func (h timers) Len() int { return len(h) }
func (h timers) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}
func (h timers) Swap(i, j int) { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *timers) Push(x any)   { t := x.(*timer); t.index = len(*h); *h = append(*h, t) }
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}

// after does fn when d has passed in logical time. The lock is held, now and then.
func (e *Emulator) after(d time.Duration, fn func()) *timer { return e.when(e.at.Add(max(d, 0)), fn) }

func (e *Emulator) when(at time.Time, fn func()) *timer {
	e.order++
	t := &timer{at: at, order: e.order, fn: fn}
	heap.Push(&e.timers, t)
	e.wake()
	return t
}

func (e *Emulator) drop(t *timer) {
	if t != nil && t.index >= 0 {
		heap.Remove(&e.timers, t.index)
	}
}

// do is the only way to change the state: what is already due runs first, then fn, then
// what fn made due.
func (e *Emulator) do(fn func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runDue()
	fn()
	e.runDue()
	e.notify()
}

// read looks at the state and changes nothing.
func (e *Emulator) read(fn func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fn()
}

// pump runs what is due, if anything.
func (e *Emulator) pump() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.runDue() > 0 {
		e.notify()
	}
}

func (e *Emulator) notify() {
	e.remember()
	close(e.changed)
	e.changed = make(chan struct{})
	e.wake()
}

// wake makes the loop look at the timers again.
func (e *Emulator) wake() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// runDue runs the timers whose time has come, each at its own time: a test that jumps a
// minute ahead still sees a ring of 25 seconds end after 25 seconds.
func (e *Emulator) runDue() (ran int) {
	now := e.clk.Now()
	for !e.stopped && len(e.timers) > 0 && !e.timers[0].at.After(now) {
		t := heap.Pop(&e.timers).(*timer)
		e.at = t.at
		t.fn()
		ran++
	}
	e.at = now
	return ran
}

func (e *Emulator) loop() {
	defer e.wg.Done()
	for e.ctx.Err() == nil {
		e.mu.Lock()
		var next time.Time
		if len(e.timers) > 0 {
			next = e.timers[0].at
		}
		e.mu.Unlock()
		if next.IsZero() {
			select {
			case <-e.ctx.Done():
				return
			case <-e.kick:
			}
			continue
		}
		c, stop := e.clk.After(next.Sub(e.clk.Now()))
		if !next.After(e.clk.Now()) { // a held clock may have moved between the two readings
			stop()
			e.pump()
			continue
		}
		select {
		case <-e.ctx.Done():
			stop()
			return
		case <-e.kick:
			stop()
		case <-c:
			e.pump()
		}
	}
}

// WaitIdle returns when no timer is due, no webhook is on its way and what REST asked for
// has begun. Callbacks that are held do not count.
func (e *Emulator) WaitIdle(ctx context.Context) error {
	return e.wait(ctx, func() bool {
		return e.inflight+e.pending+len(e.parked) == 0 && (len(e.timers) == 0 || e.timers[0].at.After(e.clk.Now()))
	})
}

// WaitFor returns when the predicate is true. It is asked again after every change and
// may call the reading methods of the Emulator.
func (e *Emulator) WaitFor(ctx context.Context, predicate func() bool) error {
	return e.await(ctx, predicate)
}

// wait is WaitFor with the lock held for the predicate.
func (e *Emulator) wait(ctx context.Context, predicate func() bool) error {
	return e.await(ctx, func() (ok bool) {
		e.read(func() { ok = predicate() })
		return ok
	})
}

func (e *Emulator) await(ctx context.Context, predicate func() bool) error {
	for {
		e.pump()
		e.mu.Lock()
		stopped, changed := e.stopped, e.changed
		e.mu.Unlock()
		if predicate() {
			return nil
		}
		if stopped {
			return errors.New("emulator: stopped")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Advance moves a held clock forward by d, stopping at every timer of the emulator on
// the way until all it set off has been delivered.
func (e *Emulator) Advance(ctx context.Context, d time.Duration) error {
	return e.AdvanceTo(ctx, e.clk.Now().Add(d))
}

// AdvanceTo is Advance to a time. It fails unless the clock can be moved (clock.Fake).
func (e *Emulator) AdvanceTo(ctx context.Context, to time.Time) error {
	held, ok := e.clk.(interface{ Advance(time.Duration) })
	if !ok {
		return errors.New("emulator: this clock moves by itself")
	}
	for {
		if err := e.WaitIdle(ctx); err != nil {
			return err
		}
		now := e.clk.Now()
		if !now.Before(to) {
			return nil
		}
		next := to
		e.mu.Lock()
		if len(e.timers) > 0 && e.timers[0].at.Before(to) {
			next = e.timers[0].at
		}
		e.mu.Unlock()
		if next.After(now) {
			held.Advance(next.Sub(now))
		}
	}
}

// NextTimer is the time of the emulator's earliest timer; ok is false when it has none.
func (e *Emulator) NextTimer() (at time.Time, ok bool) {
	e.read(func() {
		if len(e.timers) > 0 {
			at, ok = e.timers[0].at, true
		}
	})
	return at, ok
}
