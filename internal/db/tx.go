package db

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
)

// Tx is one transaction: bun's, with the time that all its rows share.
type Tx struct {
	bun.Tx
	// Now is one instant for all rows of the transaction, from the DB's clock.
	Now time.Time

	conn  *pgx.Conn
	after []func()
}

// InTx runs fn in one transaction as the app role, bound to the tenant of ctx.
// It commits when fn returns nil and rolls back otherwise, also on a panic. The
// error is translated (Translate), so fn must not return network errors of other
// services. Do not open a second transaction inside fn: it would be another
// connection.
func (d *DB) InTx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return Translate(d.run(ctx, d.app, fn))
}

// InWorkerTx is InTx as the worker role, which sees every tenant.
func (d *DB) InWorkerTx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return Translate(d.run(ctx, d.worker, fn))
}

// InTxAgain is InTx for a function that may run more than once: when another
// transaction was in the way (deadlock, serialization), it is tried up to three
// times. fn must not touch anything outside the transaction.
func (d *DB) InTxAgain(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) (err error) {
	for attempt := 1; ; attempt++ {
		err = d.run(ctx, d.app, fn)
		if attempt == 3 || !inTheWay(err) {
			return Translate(err)
		}
		// Real time: PostgreSQL's does not stand still with the clock of a test.
		if err := pause(ctx, time.Duration(attempt*(2+rand.IntN(8)))*time.Millisecond); err != nil {
			return err
		}
	}
}

func (d *DB) run(ctx context.Context, b *bun.DB, fn func(ctx context.Context, tx *Tx) error) error {
	tx := &Tx{Now: d.clock.Now().UTC().Truncate(time.Microsecond)} // what timestamptz keeps
	// The connection goes back before the hooks run, so that a hook may use the pool.
	if err := tx.run(ctx, b, fn); err != nil {
		return err
	}
	for _, hook := range tx.after {
		hook()
	}
	return nil
}

func (t *Tx) run(ctx context.Context, b *bun.DB, fn func(ctx context.Context, tx *Tx) error) error {
	conn, err := b.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // whether the transaction held is told by COMMIT
	err = conn.Raw(func(driver any) error {
		t.conn = driver.(*stdlib.Conn).Conn()
		return nil
	})
	if err != nil {
		return err
	}
	// When its context ends, database/sql rolls back from a goroutine of its own,
	// while Pgx() may be in the middle of a statement on the same connection. The
	// transaction therefore has no end of its own: its statements have, and what
	// was cancelled is not committed.
	return conn.RunInTx(context.WithoutCancel(ctx), nil, func(_ context.Context, inner bun.Tx) error {
		t.Tx = inner
		if err := fn(ctx, t); err != nil {
			return err
		}
		return ctx.Err()
	})
}

// AfterCommit has fn called after a successful commit, in the order of the
// calls, on the goroutine of InTx and before it returns: be quick, do not block.
func (t *Tx) AfterCommit(fn func()) { t.after = append(t.after, fn) }

// Pgx is the transaction's own connection as a pgx.Tx, for River, $n SQL and
// batches. Begin is a savepoint; Commit and Rollback of the whole are refused.
func (t *Tx) Pgx() pgx.Tx { return &rawTx{c: t.conn} }
