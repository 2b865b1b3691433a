// Package clock is the only place that reads the wall clock. Server and emulator
// share one Clock in tests, so that time moves when a test says so.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time and wakes its callers.
type Clock interface {
	// Now is the current time in UTC.
	Now() time.Time
	// After sends once when d has passed on this clock; the returned stop releases it earlier.
	After(d time.Duration) (c <-chan time.Time, stop func())
}

// Real is the machine's clock.
type Real struct{}

// Now returns the wall clock in UTC.
func (Real) Now() time.Time { return time.Now().UTC() }

// After is time.NewTimer.
func (Real) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// Fake is a clock that stands still until Advance or Set moves it. The zero value is not
// usable; call NewFake.
type Fake struct {
	mu     sync.Mutex // guards the rest
	now    time.Time
	waiter []*wait
}

type wait struct {
	at time.Time
	c  chan time.Time
}

// NewFake returns a clock that stands at the given time.
func NewFake(at time.Time) *Fake { return &Fake{now: at.UTC()} }

// Now is where the clock stands.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// After sends when Advance has moved the clock by d or more; at once when d is not positive.
func (f *Fake) After(d time.Duration) (<-chan time.Time, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &wait{at: f.now.Add(d), c: make(chan time.Time, 1)}
	if d <= 0 {
		w.c <- f.now
		return w.c, func() {}
	}
	f.waiter = append(f.waiter, w)
	return w.c, func() { f.drop(w) }
}

func (f *Fake) drop(w *wait) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, x := range f.waiter {
		if x == w {
			f.waiter = append(f.waiter[:i], f.waiter[i+1:]...)
			return
		}
	}
}

// Advance moves the clock forward and wakes everybody whose time has come, earliest first.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	keep := f.waiter[:0]
	for _, w := range f.waiter {
		if w.at.After(f.now) {
			keep = append(keep, w)
			continue
		}
		w.c <- f.now
	}
	f.waiter = keep
}

// Next is the time of the earliest waiter; ok is false when nobody waits.
func (f *Fake) Next() (at time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.waiter {
		if !ok || w.at.Before(at) {
			at, ok = w.at, true
		}
	}
	return at, ok
}
