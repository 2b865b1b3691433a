package diagnose

import (
	"context"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"switchboard/internal/automation"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/delivery"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/session"
	"switchboard/internal/user"
)

// Deps are what the Service needs.
type Deps struct {
	DB          *db.DB
	Base        *url.URL // the public address, as it is configured
	Numbers     *number.Service
	Users       *user.Service
	Calls       *call.Service
	Messages    *message.Service
	Automations *automation.Service
	// MaySpend refuses a message out that a cap of costs bars (R102); nil: none does.
	MaySpend func(ctx context.Context, tx *db.Tx, on message.Spending) error
	Logger   *slog.Logger // slog.Default when nil
}

// Service is the doctor.
type Service struct {
	d Deps

	// What was noticed since the last flush, bounded: whoever knows a connection's id
	// can have posts refused.
	mu     sync.Mutex
	posts  map[noticed]*refusedCount
	tokens map[string]bool // account SIDs that Twilio refused

	problems, warnings atomic.Int64 // open when last counted
}

// noticed is what refused posts are counted by.
type noticed struct {
	connection id.ID
	why        string
}

type refusedCount struct {
	n           int64
	first, last time.Time
	seen        string
}

// maxNoticed is how many connections and accounts are remembered between flushes.
const maxNoticed = 1000

// How posts are refused although half of their proof is right.
const (
	wrongSignature = "SIGNATURE"
	wrongKey       = "ACCESS_KEY"
)

// New makes a Service.
func New(d Deps) *Service {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.MaySpend == nil {
		d.MaySpend = func(context.Context, *db.Tx, message.Spending) error { return nil }
	}
	return &Service{d: d, posts: map[noticed]*refusedCount{}, tokens: map[string]bool{}}
}

// How often the doctor looks, and for what is due.
const (
	every      = 15 * time.Minute
	lookEvery  = time.Minute
	flushEvery = 10 * time.Second
	maxDue     = 2000
)

// Register tells the runner of the doctor's jobs and sweeps, and the log of what
// changes make it look again. Call it before they start.
func (s *Service) Register(r *job.Runner, l *event.Log) {
	job.Handle(r, s.look)
	r.Sweep("diagnose.notice", flushEvery, s.flushAll)
	r.Sweep("diagnose.due", lookEvery, s.due)
	l.Register(event.Consumer{
		Name: "diagnose", Kinds: []event.Kind{number.NumberUpdated, number.ConnectionUpdated, session.UserUpdated, delivery.EventEndpointDisabled},
		Handle: s.hear,
	})
}

// RefusedPost notices a post to a connection's address that was half right: with the
// right access key and a wrong signature, or signed and with a wrong key. seen is
// where our server saw it addressed to, without the key. Others are strangers' and
// nobody's news.
func (s *Service) RefusedPost(connection id.ID, signed, keyOK bool, seen string) {
	if signed == keyOK {
		return
	}
	k := noticed{connection, wrongSignature}
	if signed {
		k.why = wrongKey
	}
	now := s.d.DB.Clock().Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.posts[k]
	if c == nil {
		if len(s.posts) >= maxNoticed {
			return
		}
		c = &refusedCount{first: now}
		s.posts[k] = c
	}
	c.n, c.last, c.seen = c.n+1, now, clip(seen, 300)
}

// RefusedToken notices that Twilio refused an account's credentials.
func (s *Service) RefusedToken(accountSID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) < maxNoticed {
		s.tokens[accountSID] = true
	}
}
