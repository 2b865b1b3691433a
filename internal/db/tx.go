package db

import (
	"context"
	"errors"
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
// error is translated (Translate). Do not open a second transaction inside fn:
// it would be another connection.
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
		wake, stop := d.clockless(time.Duration(attempt) * time.Duration(2+rand.IntN(8)) * time.Millisecond)
		select {
		case <-wake:
		case <-ctx.Done():
			stop()
			return ctx.Err()
		}
	}
}

// clockless waits real time: a deadlock resolves in PostgreSQL's time, which
// does not stand still with the clock of a test.
func (d *DB) clockless(t time.Duration) (<-chan time.Time, func() bool) {
	timer := time.NewTimer(t)
	return timer.C, timer.Stop
}

func (d *DB) run(ctx context.Context, b *bun.DB, fn func(ctx context.Context, tx *Tx) error) error {
	conn, err := b.Conn(ctx)
	if err != nil {
		return err
	}
	tx := &Tx{Now: d.clock.Now().UTC().Truncate(time.Microsecond)} // what timestamptz keeps
	err = conn.Raw(func(driver any) error {
		tx.conn = driver.(*stdlib.Conn).Conn()
		return nil
	})
	if err == nil {
		err = conn.RunInTx(ctx, nil, func(ctx context.Context, inner bun.Tx) error {
			tx.Tx = inner
			return fn(ctx, tx)
		})
	}
	// The connection goes back before the hooks run, so that a hook may use the pool.
	if e := conn.Close(); err == nil && e != nil && !errors.Is(e, context.Canceled) {
		err = nil // committed: the connection's end is the pool's business
	}
	if err != nil {
		return err
	}
	for _, hook := range tx.after {
		hook()
	}
	return nil
}

// AfterCommit has fn called after a successful commit, in the order of the
// calls, on the goroutine of InTx and before it returns: be quick, do not block.
func (t *Tx) AfterCommit(fn func()) { t.after = append(t.after, fn) }

// Pgx is the transaction's own connection as a pgx.Tx, for River, $n SQL and
// batches. Begin is a savepoint; Commit and Rollback of the whole are refused.
func (t *Tx) Pgx() pgx.Tx { return &rawTx{c: t.conn} }
