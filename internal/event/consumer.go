package event

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"switchboard/internal/db"
	"switchboard/internal/errs"
)

// Consumer reacts to events, each once and in order. Handle runs in a worker
// transaction that also moves the consumer's place, with the event's organization
// as the tenant: what it writes in tx happens exactly once. Anything else it does
// may happen again. A handler that keeps failing gets its event parked.
type Consumer struct {
	Name   string // names the place for ever; 1 to 64 bytes
	Kinds  []Kind // none is all
	Handle func(ctx context.Context, tx *db.Tx, e Event) error
	// Pick gives those of some events that Handle must see, in their order; nil is
	// all. It saves a transaction for each of the others, which may be asked about
	// again after a restart.
	Pick func(ctx context.Context, events []Event) ([]Event, error)
}

// Register adds a consumer. Call it before Start. One that the database does not
// know begins with what happens after its first start.
func (l *Log) Register(c Consumer) {
	l.life.Lock()
	defer l.life.Unlock()
	if l.started {
		panic("event: consumer " + c.Name + " is registered after Start")
	}
	if c.Name == "" || len(c.Name) > 64 || c.Handle == nil {
		panic("event: a consumer needs a name of 1 to 64 bytes and a handler")
	}
	if slices.ContainsFunc(l.consumers, func(x *consumer) bool { return x.Name == c.Name }) {
		panic("event: two consumers are called " + c.Name)
	}
	c.Kinds = slices.Clone(c.Kinds)
	x := &consumer{Consumer: c, log: l, wake: make(chan struct{}, 1)}
	l.consumers = append(l.consumers, x)
	l.hub.listen = append(l.hub.listen, x)
}

// consumer is one node's part in a durable consumer. All nodes try; the row of
// the consumer lets one at a time through.
type consumer struct {
	Consumer
	log  *Log
	wake chan struct{}
	seen atomic.Int64 // nothing for it up to here

	loaded   bool
	row      int64 // last_seq of the row, as this node knows it
	attempts int
}

// errElsewhere means that another node has the event, or had it already.
var errElsewhere = errors.New("another node runs the consumer")

func (c *consumer) wants(k Kind) bool { return len(c.Kinds) == 0 || slices.Contains(c.Kinds, k) }

// kinds is NULL for all of them.
func (c *consumer) kinds() (out []string) {
	for _, k := range c.Kinds {
		out = append(out, string(k))
	}
	return out
}

func (c *consumer) behind(head int64) bool { return c.seen.Load() < head }

func (c *consumer) wakeUp() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *consumer) run(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		worked, err := c.step(ctx)
		if ctx.Err() != nil {
			return
		}
		if (err != nil) != failing {
			if failing = err != nil; failing {
				c.log.o.Logger.Error("event consumer stands still", "consumer", c.Name, "error", err)
			}
		}
		switch {
		case err != nil:
			c.loaded = false
			c.pause(ctx, 200*time.Millisecond)
		case !worked:
			select {
			case <-ctx.Done():
			case <-c.wake:
			}
		}
	}
}

func (c *consumer) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// step takes the next few events; it reports false when there are none.
func (c *consumer) step(ctx context.Context) (bool, error) {
	if !c.loaded {
		if err := c.load(ctx); err != nil {
			return false, err
		}
	}
	events, upTo, ok := c.log.hub.since(c, c.seen.Load(), 64)
	if !ok {
		var err error
		if events, upTo, err = c.read(ctx, upTo); err != nil {
			return false, err
		}
	}
	found := len(events)
	if c.Pick != nil && found > 0 {
		var err error
		if events, err = c.Pick(ctx, events); err != nil {
			return false, err
		}
	}
	for _, e := range events {
		if err := c.take(ctx, e); errors.Is(err, errElsewhere) {
			return true, c.yield(ctx)
		} else if err != nil {
			return false, err
		}
	}
	if seen := c.seen.Load(); upTo > seen {
		c.seen.Store(upTo)
	}
	switch {
	case found > len(events): // left out: the place goes on without them, once for all of them
		return true, c.save(ctx)
	case found == 0:
		return !ok, c.skip(ctx)
	}
	return true, nil
}

func (c *consumer) load(ctx context.Context) error {
	err := c.log.d.WorkerPool().QueryRow(ctx, `SELECT last_seq, attempts FROM system.event_consumer WHERE name = $1`, c.Name).
		Scan(&c.row, &c.attempts)
	if err != nil {
		return db.Translate(err)
	}
	c.seen.Store(c.row)
	c.loaded = true
	return nil
}

// yield looks again where the consumer stands. When that is where it stood, the
// other node is in the middle of the event.
func (c *consumer) yield(ctx context.Context) error {
	before := c.row
	if err := c.load(ctx); err != nil {
		return err
	}
	if c.row == before {
		c.pause(ctx, 20*time.Millisecond)
	}
	return nil
}

// read looks for events that are older than the ring.
func (c *consumer) read(ctx context.Context, upTo int64) ([]Event, int64, error) {
	const most = 64
	rows, err := c.log.d.WorkerPool().Query(ctx, `SELECT `+columns+` FROM event
		WHERE seq > $1 AND seq <= $2 AND ($3::text[] IS NULL OR kind = ANY ($3)) ORDER BY seq LIMIT $4`,
		c.seen.Load(), upTo, c.kinds(), most)
	if err != nil {
		return nil, 0, db.Translate(err)
	}
	events, err := pgx.CollectRows(rows, scan)
	if err == nil && len(events) == most {
		upTo = events[most-1].Seq
	}
	return events, upTo, db.Translate(err)
}

// skip saves the place now and then while there is nothing to do, so that a
// restart need not look through what is not for this consumer.
func (c *consumer) skip(ctx context.Context) error {
	if c.seen.Load()-c.row < 1000 {
		return nil
	}
	return c.save(ctx)
}

// save keeps the place, unless another node has gone on.
func (c *consumer) save(ctx context.Context) error {
	seen := c.seen.Load()
	tag, err := c.log.d.WorkerPool().Exec(ctx, `UPDATE system.event_consumer SET last_seq = $3, attempts = 0, error = NULL WHERE name = $1 AND last_seq = $2`, c.Name, c.row, seen)
	if err != nil || tag.RowsAffected() == 0 {
		c.loaded = false
		return db.Translate(err)
	}
	c.row, c.attempts = seen, 0
	return nil
}

// take runs the handler until the event is done or parked.
func (c *consumer) take(ctx context.Context, e Event) error {
	for {
		if waits := c.log.o.Backoff; c.attempts > 0 && len(waits) > 0 {
			c.pause(ctx, waits[min(c.attempts, len(waits))-1])
		}
		err := c.try(ctx, e)
		switch {
		case err == nil:
			c.done(e)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errElsewhere):
			return err
		}
		// When the database is the trouble, this fails as well and nothing is counted.
		if parked, err := c.failed(ctx, e, err); err != nil {
			return err
		} else if parked {
			c.done(e)
			return nil
		}
	}
}

func (c *consumer) done(e Event) {
	c.row, c.attempts = e.Seq, 0
	c.seen.Store(e.Seq)
}

const advance = `UPDATE system.event_consumer SET last_seq = $3, attempts = 0, error = NULL
	WHERE name = (SELECT name FROM system.event_consumer WHERE name = $1 AND last_seq = $2 FOR UPDATE SKIP LOCKED)`

func (c *consumer) try(ctx context.Context, e Event) error {
	ctx, cancel := context.WithTimeout(db.WithTenant(ctx, e.OrganizationID), c.log.o.HandlerTimeout)
	defer cancel()
	return c.log.d.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var mine bool
		b := &pgx.Batch{}
		setTenant(b, e)
		b.Queue(advance, c.Name, c.row, e.Seq).Exec(func(tag pgconn.CommandTag) error {
			mine = tag.RowsAffected() == 1
			return nil
		})
		if err := tx.Pgx().SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		if !mine {
			return errElsewhere
		}
		return c.handle(ctx, tx, e)
	})
}

// setTenant lets functions that read the tenant from the session work for the
// worker role too, which sees every tenant without it.
func setTenant(b *pgx.Batch, e Event) {
	org, _ := e.OrganizationID.Value()
	b.Queue(`SELECT set_config('app.organization_id', $1, true)`, org)
}

// handle turns a panic into an error: one bad event must not end the node.
func (c *consumer) handle(ctx context.Context, tx *db.Tx, e Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.o.Logger.Error("event handler panicked", "consumer", c.Name, "event_id", e.ID.String(), "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return c.Handle(ctx, tx, e)
}

// failed counts a failure, and parks the event after the last one.
func (c *consumer) failed(ctx context.Context, e Event, cause error) (parked bool, err error) {
	text := strings.ToValidUTF8(strings.ReplaceAll(cause.Error(), "\x00", ""), "")
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + "…"
	}
	attempts := 0
	err = c.log.d.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p := tx.Pgx()
		err := p.QueryRow(ctx, `UPDATE system.event_consumer SET attempts = attempts + 1, error = $3
			WHERE name = $1 AND last_seq = $2 RETURNING attempts`, c.Name, c.row, text).Scan(&attempts)
		if errors.Is(err, pgx.ErrNoRows) {
			return errElsewhere
		}
		if err != nil || attempts <= len(c.log.o.Backoff) {
			return err
		}
		parked = true
		b := &pgx.Batch{}
		b.Queue(`INSERT INTO event_parked (organization_id, consumer, seq, id, kind, subject, data, actor_id, at, attempts, error, parked_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
			e.OrganizationID, c.Name, e.Seq, e.ID, string(e.Kind), e.Subject, string(e.Data), e.ActorID, e.At, attempts, text, tx.Now)
		b.Queue(`UPDATE system.event_consumer SET last_seq = $3, attempts = 0, error = NULL WHERE name = $1 AND last_seq = $2`, c.Name, c.row, e.Seq)
		return p.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return false, err
	}
	c.attempts = attempts
	if parked {
		c.log.o.Logger.Error("event parked", "consumer", c.Name, "event_id", e.ID.String(), "kind", string(e.Kind),
			"organization_id", e.OrganizationID.String(), "attempts", attempts, "error", cause)
	}
	return parked, nil
}

// Unpark runs the parked events of a consumer again, oldest first, and stops at
// the first that fails; it returns how many went well. They act after events
// that are younger: the consumer has gone on without them.
func (l *Log) Unpark(ctx context.Context, name string) (n int, err error) {
	defer errs.Wrap(&err, "event.Unpark(%s)", name)
	i := slices.IndexFunc(l.consumers, func(c *consumer) bool { return c.Name == name })
	if i < 0 {
		return 0, errs.New(errs.NotFound, "no consumer is called %q", name)
	}
	c := l.consumers[i]
	for {
		none := false
		err := l.d.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			rows, err := tx.Pgx().Query(ctx, `DELETE FROM event_parked WHERE (organization_id, consumer, seq) = (
					SELECT organization_id, consumer, seq FROM event_parked WHERE consumer = $1 ORDER BY seq LIMIT 1 FOR UPDATE)
				RETURNING `+columns, name)
			if err != nil {
				return err
			}
			e, err := pgx.CollectExactlyOneRow(rows, scan)
			if errors.Is(err, pgx.ErrNoRows) {
				none = true
				return nil
			}
			if err != nil {
				return err
			}
			b := &pgx.Batch{}
			setTenant(b, e)
			if err := tx.Pgx().SendBatch(ctx, b).Close(); err != nil {
				return err
			}
			return c.handle(db.WithTenant(ctx, e.OrganizationID), tx, e)
		})
		if err != nil || none {
			return n, err
		}
		n++
	}
}
