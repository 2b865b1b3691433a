package session

import (
	"context"
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"switchboard/internal/errs"
)

type clientKey struct{}

type client struct{ ip, agent string }

// WithClientIP tells who is at the other end, for the limits on guessing. The
// edge alone knows which address to believe.
func WithClientIP(ctx context.Context, ip netip.Addr) context.Context {
	c, _ := ctx.Value(clientKey{}).(client)
	ip = ip.Unmap()
	if ip.Is6() { // one customer has a /64
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			ip = p.Addr()
		}
	}
	c.ip = ip.String()
	return context.WithValue(ctx, clientKey{}, c)
}

// WithUserAgent tells what program is at the other end; it is kept with the session.
func WithUserAgent(ctx context.Context, agent string) context.Context {
	c, _ := ctx.Value(clientKey{}).(client)
	if len(agent) > 256 {
		agent = agent[:256]
	}
	c.agent = strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return -1
		}
		return r
	}, agent)
	return context.WithValue(ctx, clientKey{}, c)
}

func clientOf(ctx context.Context) client {
	c, _ := ctx.Value(clientKey{}).(client)
	return c
}

// limiter is a token bucket for each key. What is used least is forgotten, so
// its memory is bounded.
type limiter struct {
	burst float64
	every time.Duration // one more

	mu  sync.Mutex // guards lru
	lru *simplelru.LRU[string, *bucket]
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter(burst int, every time.Duration) *limiter {
	lru, err := simplelru.NewLRU[string, *bucket](50_000, nil)
	if err != nil { // only for a size that is not positive
		panic(err)
	}
	return &limiter{burst: float64(burst), every: every, lru: lru}
}

// take counts one attempt, or says how long to wait for the next.
func (l *limiter) take(key string, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.lru.Get(key)
	if !known {
		b = &bucket{tokens: l.burst, at: now}
		l.lru.Add(key, b)
	}
	if past := now.Sub(b.at); past > 0 {
		b.tokens = math.Min(l.burst, b.tokens+float64(past)/float64(l.every))
		b.at = now
	}
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) * float64(l.every)), false
	}
	b.tokens--
	return 0, true
}

// give takes an attempt back that was no guess.
func (l *limiter) give(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.lru.Get(key); ok {
		b.tokens = math.Min(l.burst, b.tokens+1)
	}
}

// limits bound guessing. An e-mail is bounded from each address strictly and
// from all of them together widely, so that a stranger cannot easily keep its
// owner out. They count in this process only.
type limits struct {
	pair, email, ip, refresh *limiter
}

func newLimits() *limits {
	return &limits{
		pair:    newLimiter(10, 30*time.Second),
		email:   newLimiter(50, 10*time.Second),
		ip:      newLimiter(100, 2*time.Second),
		refresh: newLimiter(300, 200*time.Millisecond),
	}
}

// attempt counts a guess at the password of a login (an e-mail).
func (l *limits) attempt(ctx context.Context, login string, now time.Time) error {
	ip := clientOf(ctx).ip
	for _, x := range []struct {
		l   *limiter
		key string
	}{{l.ip, ip}, {l.pair, ip + " " + login}, {l.email, login}} {
		if wait, ok := x.l.take(x.key, now); !ok {
			return limited(wait)
		}
	}
	return nil
}

// right takes back the count of an attempt that knew the password.
func (l *limits) right(ctx context.Context, login string) {
	l.pair.give(clientOf(ctx).ip + " " + login)
	l.email.give(login)
}

func limited(wait time.Duration) error {
	return errs.New(errs.RateLimited, "too many attempts; try again in %d seconds", int(math.Ceil(wait.Seconds())))
}
