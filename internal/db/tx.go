package db

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"

	"switchboard/internal/errs"
)

// Tx is one transaction on one connection, with the time that all its rows
// share. It is a bun.IDB; only InTx ends it.
type Tx struct {
	bun.Conn
	// Now is one instant for all rows of the transaction, from the DB's clock.
	Now time.Time

	conn  *pgx.Conn
	last  pgx.Batch
	after []func()
}

// InTx runs fn in one transaction as the app role, bound to the tenant of ctx.
// It commits when fn returns nil and rolls back otherwise, also on a panic. The
// error is translated (Translate), so fn must not return network errors of other
// services. Do not open a second transaction inside fn: it would be another
// connection.
func (d *DB) InTx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return Translate(d.run(ctx, d.app, "BEGIN", true, nil, fn))
}

// InTxWith is InTx with the transaction's first statements known: they go to the
// database together with BEGIN and the tenant, in one round trip. Results are
// taken by the functions given to Queue(…).Query, QueryRow and Exec; the first
// error ends the transaction before fn is called.
func (d *DB) InTxWith(ctx context.Context, first *pgx.Batch, fn func(ctx context.Context, tx *Tx) error) error {
	return Translate(d.run(ctx, d.app, "BEGIN", true, first, fn))
}

// InSnapshot is InTx for several reads that must be of one moment; it cannot write.
func (d *DB) InSnapshot(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return Translate(d.run(ctx, d.app, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", true, nil, fn))
}

// InWorkerTx is InTx as the worker role, which sees every tenant.
func (d *DB) InWorkerTx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return Translate(d.run(ctx, d.worker, "BEGIN", false, nil, fn))
}

// InTxAgain is InTx for a function that may run more than once: when another
// transaction was in the way (deadlock, serialization), it is tried up to three
// times. fn must not touch anything outside the transaction.
func (d *DB) InTxAgain(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) (err error) {
	for attempt := 1; ; attempt++ {
		err = d.run(ctx, d.app, "BEGIN", true, nil, fn)
		if attempt == 3 || !inTheWay(err) {
			return Translate(err)
		}
		// Real time: PostgreSQL's does not stand still with the clock of a test.
		if err := pause(ctx, time.Duration(attempt*(2+rand.IntN(8)))*time.Millisecond); err != nil {
			return err
		}
	}
}

func (d *DB) run(ctx context.Context, b *bun.DB, begin string, bound bool, first *pgx.Batch, fn func(ctx context.Context, tx *Tx) error) error {
	tx := &Tx{Now: d.clock.Now().UTC().Truncate(time.Microsecond)} // what timestamptz keeps
	// The connection goes back before the hooks run, so that a hook may use the pool.
	if err := tx.run(ctx, b, begin, bound, first, fn); err != nil {
		return err
	}
	for _, hook := range tx.after {
		hook()
	}
	return nil
}

// run begins, binds the tenant in the same round trip when the role is bound to
// one, and ends the transaction. database/sql is told nothing of it: when a
// context ends, it would roll back from a goroutine of its own, while Pgx() may be
// in the middle of a statement on the same connection.
func (t *Tx) run(ctx context.Context, b *bun.DB, begin string, bound bool, first *pgx.Batch, fn func(ctx context.Context, tx *Tx) error) (err error) {
	checkout := ctx
	if bound {
		checkout = context.WithValue(ctx, carriesTenant{}, true)
	}
	if t.Conn, err = b.Conn(checkout); err != nil {
		return err
	}
	// What was not ended here goes to the pool in the middle of a transaction, and
	// the pool throws it away.
	defer func() { _ = t.Conn.Close() }()
	ended := false
	defer func() {
		if !ended { // beginning or fn failed, or fn panicked
			_, _ = t.exec(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	if err := t.begin(ctx, begin, bound, first); err != nil {
		return err
	}
	err = fn(ctx, t)
	if gone := ctx.Err(); gone != nil && (err == nil || errs.IsCode(err, errs.Unavailable) || lostConnection(err)) {
		return gone // what was cancelled is not committed, and not the database's fault
	}
	if err != nil {
		return err
	}
	tag, err := t.commit(context.WithoutCancel(ctx))
	if ended = err == nil || t.last.Len() == 0; err == nil && tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return err
}

// commit runs what Last was given and ends the transaction, in one round trip.
func (t *Tx) commit(ctx context.Context) (tag pgconn.CommandTag, err error) {
	if t.last.Len() == 0 {
		return t.exec(ctx, "COMMIT")
	}
	t.last.Queue("COMMIT").Exec(func(x pgconn.CommandTag) error {
		tag = x
		return nil
	})
	return tag, t.send(ctx, &t.last)
}

// Last has the statements run when fn has returned nil, together with COMMIT in
// one round trip: for writes that nothing in the transaction reads back. Their
// first error undoes the transaction and is what InTx returns.
func (t *Tx) Last(b *pgx.Batch) {
	t.last.QueuedQueries = append(t.last.QueuedQueries, b.QueuedQueries...)
}

// Flush runs what Last was given now.
func (t *Tx) Flush(ctx context.Context) error {
	if t.last.Len() == 0 {
		return nil
	}
	b := t.last
	t.last = pgx.Batch{}
	return Translate(t.send(ctx, &b))
}

// Withdraw forgets what Last was given: its cause was undone by a savepoint.
func (t *Tx) Withdraw() { t.last = pgx.Batch{} }

// send is exec for a batch.
func (t *Tx) send(ctx context.Context, b *pgx.Batch) error {
	return t.Conn.Raw(func(driver any) error {
		t.conn = driver.(*stdlib.Conn).Conn()
		if err := prepareAll(ctx, t.conn, b); err != nil {
			return err
		}
		return t.conn.SendBatch(ctx, b).Close()
	})
}

// begin begins, binds the tenant and runs the first statements, in one round trip.
func (t *Tx) begin(ctx context.Context, begin string, bound bool, first *pgx.Batch) error {
	if first == nil {
		if bound {
			begin += "; SELECT set_config('app.organization_id', '" + tenantText(TenantFrom(ctx)) + "', true)"
		}
		_, err := t.exec(ctx, begin)
		return err
	}
	full := &pgx.Batch{}
	full.Queue(begin)
	if bound {
		full.Queue(setTenantLocal, tenantText(TenantFrom(ctx)))
	}
	full.QueuedQueries = append(full.QueuedQueries, first.QueuedQueries...)
	return t.send(ctx, full)
}

// exec runs one text while database/sql still holds the connection: one that it
// gave up as broken may be somebody else's by now.
func (t *Tx) exec(ctx context.Context, text string) (tag pgconn.CommandTag, err error) {
	err = t.Conn.Raw(func(driver any) (err error) {
		t.conn = driver.(*stdlib.Conn).Conn()
		tag, err = t.conn.Exec(ctx, text)
		return err
	})
	return tag, err
}

// AfterCommit has fn called after a successful commit, in the order of the
// calls, on the goroutine of InTx and before it returns: be quick, do not block.
func (t *Tx) AfterCommit(fn func()) { t.after = append(t.after, fn) }

// Pgx is the transaction's own connection as a pgx.Tx, for River, $n SQL and
// batches. Begin is a savepoint; Commit and Rollback of the whole are refused.
func (t *Tx) Pgx() pgx.Tx { return &rawTx{c: t.conn} }
