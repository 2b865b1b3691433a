package db

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var errNotYours = errors.New("db: the transaction is ended by InTx, not through Pgx()")

// rawTx shows the connection that bun's transaction runs on as a pgx.Tx. Its
// statements are prepared once per connection, so keep their text constant.
type rawTx struct {
	c      *pgx.Conn
	depth  int
	closed bool
}

func (t *rawTx) savepoint() string { return "pgx_" + strconv.Itoa(t.depth) }

// Begin opens a savepoint.
func (t *rawTx) Begin(ctx context.Context) (pgx.Tx, error) {
	inner := &rawTx{c: t.c, depth: t.depth + 1}
	if _, err := t.c.Exec(ctx, "SAVEPOINT "+inner.savepoint()); err != nil {
		return nil, err
	}
	return inner, nil
}

// Commit releases a savepoint.
func (t *rawTx) Commit(ctx context.Context) error {
	if t.depth == 0 {
		return errNotYours
	}
	if t.closed {
		return pgx.ErrTxClosed
	}
	t.closed = true
	_, err := t.c.Exec(ctx, "RELEASE SAVEPOINT "+t.savepoint())
	return err
}

// Rollback goes back to a savepoint; after Commit it does nothing, so that it can be deferred.
func (t *rawTx) Rollback(ctx context.Context) error {
	if t.depth == 0 {
		return errNotYours
	}
	if t.closed {
		return pgx.ErrTxClosed
	}
	t.closed = true
	_, err := t.c.Exec(ctx, "ROLLBACK TO SAVEPOINT "+t.savepoint())
	return err
}

// CopyFrom is refused by PostgreSQL for tables with row-level security; it
// serves tables of schema system.
func (t *rawTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	return t.c.CopyFrom(ctx, table, columns, src)
}

// SendBatch prepares the statements first, each once per connection.
func (t *rawTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if err := prepareAll(ctx, t.c, b); err != nil {
		return failedBatch{err}
	}
	return t.c.SendBatch(ctx, b)
}

// LargeObjects are not used here.
func (t *rawTx) LargeObjects() pgx.LargeObjects { panic("db: no large objects") }

// Prepare prepares a statement on the connection.
func (t *rawTx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	return t.c.Prepare(ctx, name, sql)
}

// Exec runs a statement.
func (t *rawTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return t.c.Exec(ctx, sql, prepared(args)...)
}

// Query runs a statement that returns rows.
func (t *rawTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.c.Query(ctx, sql, prepared(args)...)
}

// QueryRow runs a statement that returns one row.
func (t *rawTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return t.c.QueryRow(ctx, sql, prepared(args)...)
}

// Conn is the connection itself.
func (t *rawTx) Conn() *pgx.Conn { return t.c }

// prepared puts the statement cache in front of the arguments: the connection's
// own default is exec mode, which suits bun, and which cannot tell jsonb from
// bytea. A mode that the caller gives comes later and wins.
func prepared(args []any) []any {
	if len(args) == 0 {
		return args
	}
	return append([]any{pgx.QueryExecModeCacheStatement}, args...)
}

// failedBatch is a batch that never left.
type failedBatch struct{ err error }

func (f failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, f.err }
func (f failedBatch) Query() (pgx.Rows, error)         { return nil, f.err }
func (f failedBatch) QueryRow() pgx.Row                { return f }
func (f failedBatch) Scan(...any) error                { return f.err }
func (f failedBatch) Close() error                     { return f.err }
func (f failedBatch) Tx() pgx.Tx                       { return nil }
