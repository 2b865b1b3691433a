package demo

import (
	"sync"
	"time"

	"switchboard/internal/clock"
)

// Past is a clock that stands still at a time gone by until Release; from then on it
// is the machine's. A server started with it lives through the demo's history,
// yesterday's calls with their real lengths, in the moment that seeding takes.
type Past struct {
	mu       sync.Mutex // guards the rest
	now      time.Time
	held     bool
	sleepers map[*sleeper]struct{}
}

// sleeper is somebody who waits while the clock stands.
type sleeper struct {
	at    time.Time
	c     chan time.Time
	timer *time.Timer // after the release
}

// NewPast returns a clock that stands the given time before now.
func NewPast(ago time.Duration) *Past {
	return &Past{now: clock.Real{}.Now().Add(-ago), held: true, sleepers: map[*sleeper]struct{}{}}
}

// Now is where the clock stands, or the machine's time once released.
func (p *Past) Now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held {
		return p.now
	}
	return clock.Real{}.Now()
}

// Held reports whether the clock still stands.
func (p *Past) Held() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// After sends once when d has passed on this clock.
func (p *Past) After(d time.Duration) (<-chan time.Time, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.held {
		return clock.Real{}.After(d)
	}
	s := &sleeper{at: p.now.Add(d), c: make(chan time.Time, 1)}
	if d <= 0 {
		s.c <- p.now
		return s.c, func() {}
	}
	p.sleepers[s] = struct{}{}
	return s.c, func() { p.drop(s) }
}

func (p *Past) drop(s *sleeper) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sleepers, s)
	if s.timer != nil {
		s.timer.Stop()
	}
}

// Advance moves the clock forward and wakes whose time has come. A released clock
// moves by itself: Advance then waits for it.
func (p *Past) Advance(d time.Duration) {
	p.mu.Lock()
	if !p.held {
		p.mu.Unlock()
		c, _ := clock.Real{}.After(d)
		<-c
		return
	}
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
	p.wake(p.now)
}

// Release lets the clock jump to the machine's time and run from there. Whoever waits
// for a time in between wakes. It may be called again.
func (p *Past) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.held {
		return
	}
	p.held = false
	now := clock.Real{}.Now()
	p.wake(now)
	for s := range p.sleepers {
		s.timer = time.AfterFunc(s.at.Sub(now), func() { s.c <- s.at })
	}
}

func (p *Past) wake(now time.Time) {
	for s := range p.sleepers {
		if !s.at.After(now) {
			s.c <- now
			delete(p.sleepers, s)
		}
	}
}
