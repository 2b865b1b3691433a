package event

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"

	"switchboard/internal/db"
	"switchboard/internal/errs"
)

// batchSize is how many events one transaction stamps and one query reads.
const batchSize = 500

// relay is the one goroutine that feeds the hub. Every node stamps what its own
// transactions wrote, at once; the sweep takes what a dead node left behind.
func (l *Log) relay(ctx context.Context) {
	tick := time.NewTicker(l.o.Sweep)
	defer tick.Stop()
	var copies <-chan *nats.Msg
	if l.bus != nil {
		copies = l.bus.in
	}
	failing := false
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-l.poked:
			err = l.stampAll(ctx)
		case m := <-copies:
			err = l.receive(ctx, m.Data)
		case <-tick.C:
			err = l.sweep(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.counters.failures.Add(1)
		}
		if (err != nil) != failing { // once for each change, not four times a second
			failing = err != nil
			if failing {
				l.o.Logger.Error("event relay stands still", "error", err)
			} else {
				l.o.Logger.Info("event relay runs again")
			}
		}
	}
}

func (l *Log) stampAll(ctx context.Context) error {
	for ctx.Err() == nil {
		events, err := l.stamp(ctx)
		if err != nil {
			return err
		}
		if len(events) > 0 {
			l.counters.stamped.Add(int64(len(events)))
			if err := l.deliver(ctx, events); err != nil {
				return err
			}
			if l.bus != nil {
				l.counters.published.Add(l.bus.publish(events))
			}
		}
		if len(events) < batchSize {
			return nil
		}
	}
	return nil
}

// stamp gives the next sequence numbers to committed events. The row lock is
// taken in a statement of its own: only a statement that begins after the lock
// was granted sees what the holder before it has stamped. The batch is one
// implicit transaction, so a process that dies in here holds the lock no longer
// than the server needs to notice.
func (l *Log) stamp(ctx context.Context) ([]Event, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var events []Event
	b := &pgx.Batch{}
	b.Queue(`SELECT last_seq FROM system.relay FOR UPDATE`)
	b.Queue(`WITH b AS (
			SELECT log_id, row_number() OVER (ORDER BY log_id) AS n
			FROM (SELECT log_id FROM event WHERE seq IS NULL ORDER BY log_id LIMIT $1) x
		), r AS (
			UPDATE system.relay SET last_seq = last_seq + (SELECT count(*) FROM b)
			WHERE EXISTS (SELECT FROM b)
			RETURNING last_seq - (SELECT count(*) FROM b) AS base
		), stamped AS (
			UPDATE event e SET seq = r.base + b.n FROM b, r WHERE e.log_id = b.log_id AND e.seq IS NULL
			RETURNING e.seq, e.id, e.organization_id, e.kind, e.subject, e.data, e.actor_id, e.at
		)
		SELECT `+columns+` FROM stamped ORDER BY seq`, batchSize).
		Query(func(rows pgx.Rows) (err error) {
			events, err = pgx.CollectRows(rows, scan)
			return err
		})
	if err := l.d.WorkerPool().SendBatch(ctx, b).Close(); err != nil {
		return nil, db.Translate(err)
	}
	return events, nil
}

// deliver hands events to the hub and reads from the table what is missing before them.
func (l *Log) deliver(ctx context.Context, events []Event) error {
	if l.hub.deliver(events) {
		return nil
	}
	return l.fill(ctx, events[len(events)-1].Seq)
}

// receive takes a copy from the bus.
func (l *Log) receive(ctx context.Context, m []byte) error {
	events, err := decode(m)
	if err != nil || len(events) == 0 {
		return err
	}
	l.counters.received.Add(int64(len(events)))
	return l.deliver(ctx, events)
}

// sweep covers a lost poke, a silent bus and the death of another node.
func (l *Log) sweep(ctx context.Context) error {
	q, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var head, floor int64
	var waiting bool
	err := l.d.WorkerPool().QueryRow(q, `SELECT r.last_seq, f.seq, EXISTS (SELECT FROM event WHERE seq IS NULL)
		FROM system.relay r, system.event_floor f`).Scan(&head, &floor, &waiting)
	if err != nil {
		return db.Translate(err)
	}
	l.hub.setFloor(floor)
	if err := l.fill(ctx, head); err != nil {
		return err
	}
	for _, c := range l.consumers {
		if c.behind(head) {
			c.wakeUp()
		}
	}
	if waiting {
		return l.stampAll(ctx)
	}
	return nil
}

// fill brings the hub up to the sequence from the table.
func (l *Log) fill(ctx context.Context, upTo int64) (err error) {
	defer errs.Wrap(&err, "reading missing events")
	for ctx.Err() == nil {
		last := l.hub.position()
		if last >= upTo {
			return nil
		}
		q, cancel := context.WithTimeout(ctx, 10*time.Second)
		rows, err := l.d.WorkerPool().Query(q, `SELECT `+columns+` FROM event WHERE seq > $1 ORDER BY seq LIMIT $2`, last, batchSize)
		if err != nil {
			cancel()
			return db.Translate(err)
		}
		events, err := pgx.CollectRows(rows, scan)
		cancel()
		if err != nil {
			return db.Translate(err)
		}
		if len(events) == 0 { // stamped and trimmed already
			l.hub.jump(upTo)
			return nil
		}
		l.counters.filled.Add(int64(len(events)))
		if !l.hub.deliver(events) {
			// The table has a hole where this node stands: it slept through the
			// time that events are kept. Readers compare their cursors with the floor.
			l.hub.jump(events[0].Seq - 1)
		}
	}
	return nil
}

// Trim forgets events older than Keep, in batches, and remembers up to where. It
// stops before what a consumer of this node still has to take. Run it as a sweep.
func (l *Log) Trim(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "event.Trim")
	limit := int64(1<<63 - 1)
	for _, c := range l.consumers {
		var next *int64
		err := l.d.WorkerPool().QueryRow(ctx, `SELECT (SELECT min(e.seq) FROM event e
				WHERE e.seq > c.last_seq AND ($2::text[] IS NULL OR e.kind = ANY ($2)))
			FROM system.event_consumer c WHERE c.name = $1`, c.Name, c.kinds()).Scan(&next)
		if err != nil {
			return db.Translate(err)
		}
		if next != nil {
			limit = min(limit, *next-1)
		}
	}
	for {
		n, err := l.trim(ctx, now.Add(-l.o.Keep), limit)
		if err != nil || n < batchSize {
			return err
		}
	}
}

// trim removes the oldest events up to the first one that is young enough to
// stay. The floor's row lock keeps two nodes from doing so at once.
func (l *Log) trim(ctx context.Context, before time.Time, limit int64) (n int, err error) {
	var floor int64
	err = l.d.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p := tx.Pgx()
		b := &pgx.Batch{}
		b.Queue(`SELECT seq FROM system.event_floor FOR UPDATE`)
		b.Queue(`WITH old AS (
				SELECT seq, at < $1 AND seq <= $2 AS goes FROM event WHERE seq IS NOT NULL ORDER BY seq LIMIT $3
			), gone AS (
				DELETE FROM event WHERE seq IN (SELECT seq FROM old)
					AND seq < coalesce((SELECT min(seq) FROM old WHERE NOT goes), 9223372036854775807)
				RETURNING seq
			), f AS (
				UPDATE system.event_floor SET seq = (SELECT max(seq) FROM gone) WHERE EXISTS (SELECT FROM gone)
			)
			SELECT count(*), coalesce(max(seq), 0) FROM gone`, before, limit, batchSize).
			QueryRow(func(row pgx.Row) error { return row.Scan(&n, &floor) })
		return p.SendBatch(ctx, b).Close()
	})
	if err == nil && n > 0 {
		l.hub.setFloor(floor)
	}
	return n, err
}
