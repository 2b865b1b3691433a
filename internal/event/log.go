package event

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Options of a Log. Only Sealer is needed. The durations are those of machines
// and not business time, so they run on the machine's clock.
type Options struct {
	// Sealer makes the cursors.
	Sealer Sealer
	// NATS is the URL of a NATS cluster that carries events between nodes; empty
	// for one node. Nodes without it find each other's events by the sweep.
	NATS string
	// Logger takes what an operator may care about; slog.Default when nil.
	Logger *slog.Logger
	// Keep is how long an event can be replayed (default 72 h, on the DB's clock).
	Keep time.Duration
	// Sweep is how often the relay looks for what no poke told (default 250 ms).
	Sweep time.Duration
	// SlowAfter is how long a subscriber may leave a full buffer untouched (default 5 s).
	SlowAfter time.Duration
	// Buffer is how many events wait for a subscriber outside the ring (default 32).
	Buffer int
	// Ring is how many of the last events every node keeps in memory (default 4096).
	Ring int
	// Backoff are the waits before a consumer's handler is tried again; after
	// the last one the event is parked.
	Backoff []time.Duration
	// HandlerTimeout bounds one run of a consumer's handler (default 30 s).
	HandlerTimeout time.Duration
}

func (o *Options) defaults() {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Keep = or(o.Keep, 72*time.Hour)
	o.Sweep = or(o.Sweep, 250*time.Millisecond)
	o.SlowAfter = or(o.SlowAfter, 5*time.Second)
	o.Buffer = or(o.Buffer, 32)
	o.Ring = or(o.Ring, 4096)
	o.HandlerTimeout = or(o.HandlerTimeout, 30*time.Second)
	if o.Backoff == nil {
		o.Backoff = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second, 3 * time.Second}
	}
}

func or[T int | time.Duration](v, fallback T) T {
	if v <= 0 {
		return fallback
	}
	return v
}

// Log is one node's view of the event log: it stamps, delivers to subscribers
// and runs the consumers. Any number of nodes may do so on one database.
type Log struct {
	d   *db.DB
	o   Options
	hub *hub

	poked     chan struct{}
	consumers []*consumer
	bus       *bus // nil on a single node

	life    sync.Mutex // guards started, stopped and the start of goroutines
	started bool
	stopped bool
	ctx     context.Context // ends with Stop
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	key     string

	counters struct{ stamped, published, received, filled, delivered, cut, failures, subscribed atomic.Int64 }
}

// New makes a Log; Start runs it. It returns an error when the sealer does not work.
func New(d *db.DB, o Options) (*Log, error) {
	if o.Sealer == nil {
		return nil, errors.New("event: a Log needs a sealer for its cursors")
	}
	o.defaults()
	l := &Log{d: d, o: o, hub: newHub(o.Ring), poked: make(chan struct{}, 1)}
	return l, l.trySealer()
}

// Start begins to stamp, to deliver and to run the consumers. What was committed
// while nobody relayed is delivered now.
func (l *Log) Start(ctx context.Context) (err error) {
	defer errs.Wrap(&err, "event.Start")
	l.life.Lock()
	defer l.life.Unlock()
	if l.started {
		return errors.New("started twice")
	}
	var last, floor int64
	var installation id.ID
	conn, err := l.d.WorkerPool().Acquire(ctx)
	if err != nil {
		return db.Translate(err)
	}
	l.key = databaseOf(conn.Conn())
	err = conn.QueryRow(ctx, `SELECT r.last_seq, f.seq, r.installation FROM system.relay r, system.event_floor f`).Scan(&last, &floor, &installation)
	conn.Release()
	if err != nil {
		return db.Translate(err)
	}
	l.hub.begin(last, floor)
	for _, c := range l.consumers {
		// A new consumer begins with what happens from now on.
		if _, err := l.d.WorkerPool().Exec(ctx, `INSERT INTO system.event_consumer (name, last_seq)
			VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, c.Name, last); err != nil {
			return db.Translate(err)
		}
	}
	if l.o.NATS != "" {
		if l.bus, err = openBus(l.o.NATS, installation, l.o.Logger); err != nil {
			return err
		}
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.started = true
	enlist(l.key, l)
	l.wg.Go(func() { l.relay(l.ctx) })
	for _, c := range l.consumers {
		l.wg.Go(func() { c.run(l.ctx) })
	}
	return nil
}

// Stop ends subscriptions, consumers and the relay and waits for them. A handler
// in the middle of its work is rolled back and runs again at the next start.
func (l *Log) Stop() {
	l.life.Lock()
	if !l.started || l.stopped {
		l.stopped = true
		l.life.Unlock()
		return
	}
	l.stopped = true
	l.cancel()
	l.life.Unlock()
	discharge(l.key, l)
	l.wg.Wait()
	if l.bus != nil {
		l.bus.close()
	}
}

// alive starts a goroutine that Stop waits for, unless the log does not run.
func (l *Log) alive(fn func()) bool {
	l.life.Lock()
	defer l.life.Unlock()
	if !l.started || l.stopped {
		return false
	}
	l.wg.Go(fn)
	return true
}

// Head is a sequence that every event to come is after, and whose own effects
// can be read: take it before the rows of a snapshot, and subscribe from its
// cursor. What happens in between is then seen twice rather than never.
func (l *Log) Head(ctx context.Context, _ id.ID) (int64, error) {
	l.life.Lock()
	running := l.started && !l.stopped
	l.life.Unlock()
	if running {
		return l.hub.position(), nil
	}
	return l.head(ctx)
}

func (l *Log) head(ctx context.Context) (seq int64, err error) {
	err = l.d.WorkerPool().QueryRow(ctx, `SELECT last_seq FROM system.relay`).Scan(&seq)
	return seq, db.Translate(err)
}

// Counters count since the start of this node.
type Counters struct {
	Stamped     int64 // events that got their sequence here
	Published   int64 // sent to the bus
	Received    int64 // taken from the bus
	Filled      int64 // read from the table because a copy was missing
	Delivered   int64 // put into subscribers' buffers
	Cut         int64 // slow subscribers
	Failures    int64 // errors of the relay
	Subscribers int64 // now
	Subscribed  int64 // subscriptions that began
	LastSeq     int64 // what this node has delivered
}

// Counters are the numbers that cost nothing to read.
func (l *Log) Counters() Counters {
	c := &l.counters
	return Counters{
		Stamped: c.stamped.Load(), Published: c.published.Load(), Received: c.received.Load(), Filled: c.filled.Load(),
		Delivered: c.delivered.Load(), Cut: c.cut.Load(), Failures: c.failures.Load(),
		Subscribers: l.hub.subscribers(), Subscribed: c.subscribed.Load(), LastSeq: l.hub.position(),
	}
}

// Health is what an operator looks at.
type Health struct {
	// Outbox is how many committed events have no sequence yet (counted up to 10,000).
	Outbox int64
	// Lag is how many stamped events this node has not delivered yet.
	Lag int64
	// Consumers in the order of their registration.
	Consumers []ConsumerHealth
}

// ConsumerHealth is the state of one durable consumer.
type ConsumerHealth struct {
	Name     string
	Lag      int64  // events that wait for it (counted up to 10,000)
	Parked   int64  // events it could not take; each needs a person
	Attempts int    // failures of the event at its head
	Error    string // of the last failure
}

// Parked is the number of events that no consumer could take.
func (h Health) Parked() (n int64) {
	for _, c := range h.Consumers {
		n += c.Parked
	}
	return n
}

// Health asks the database how the log does.
func (l *Log) Health(ctx context.Context) (h Health, err error) {
	defer errs.Wrap(&err, "event.Health")
	b := &pgx.Batch{}
	var head int64
	b.Queue(`SELECT (SELECT count(*) FROM (SELECT FROM event WHERE seq IS NULL LIMIT 10000) x), (SELECT last_seq FROM system.relay)`).
		QueryRow(func(row pgx.Row) error { return row.Scan(&h.Outbox, &head) })
	h.Consumers = make([]ConsumerHealth, len(l.consumers))
	for i, c := range l.consumers {
		s := &h.Consumers[i]
		b.Queue(`SELECT name, attempts, coalesce(error, ''),
				(SELECT count(*) FROM event_parked WHERE consumer = $1),
				(SELECT count(*) FROM (SELECT FROM event WHERE seq > c.last_seq AND ($2::text[] IS NULL OR kind = ANY ($2)) LIMIT 10000) x)
			FROM system.event_consumer c WHERE name = $1`, c.Name, c.kinds()).
			QueryRow(func(row pgx.Row) error { return row.Scan(&s.Name, &s.Attempts, &s.Error, &s.Parked, &s.Lag) })
	}
	if err := l.d.WorkerPool().SendBatch(ctx, b).Close(); err != nil {
		return Health{}, db.Translate(err)
	}
	h.Lag = max(0, head-l.hub.position())
	return h, nil
}

// Drain waits until every committed event is stamped, delivered by this node and
// taken or parked by its consumers. It is for tests and for the end of a
// demonstration.
func (l *Log) Drain(ctx context.Context) (err error) {
	defer errs.Wrap(&err, "event.Drain")
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for {
		h, err := l.Health(ctx)
		if err != nil {
			return err
		}
		waiting := h.Outbox + h.Lag
		for _, c := range h.Consumers {
			waiting += c.Lag
		}
		if waiting == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}
