package db

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// scanner scans rows by bun's models; it has no database behind it.
var scanner = bun.NewDB(nil, pgdialect.New())

// queryer is what database/sql has under each of bun's handles. bun's own
// methods of these names write the arguments into the text.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func plain(q bun.IDB) (queryer, error) {
	switch q := q.(type) {
	case *bun.DB:
		return q.DB, nil
	case *Tx:
		return q.Conn.Conn, nil
	case bun.Tx:
		return q.Tx, nil
	case *bun.Tx:
		return q.Tx, nil
	case bun.Conn:
		return q.Conn, nil
	}
	return nil, fmt.Errorf("db: cannot query through a %T", q)
}

// Select runs $n SQL, prepared once per connection, and scans it by bun's rules
// into dest: a *[]T gets every row, a *T the first one or sql.ErrNoRows. The
// text must be constant: every other text is another prepared statement.
func Select(ctx context.Context, q bun.IDB, dest any, query string, args ...any) error {
	p, err := plain(q)
	if err != nil {
		return err
	}
	rows, err := p.QueryContext(ctx, query, withCache(args)...)
	if err != nil {
		return Translate(err)
	}
	if reflect.Indirect(reflect.ValueOf(dest)).Kind() == reflect.Slice {
		return Translate(scanner.ScanRows(ctx, rows, dest)) // closes rows
	}
	defer rows.Close()
	if !rows.Next() { // ScanRows would leave dest as it is and say nothing
		if err := rows.Err(); err != nil {
			return Translate(err)
		}
		return sql.ErrNoRows
	}
	if err := scanner.ScanRow(ctx, rows, dest); err != nil {
		return Translate(err)
	}
	return Translate(rows.Err())
}

// Exec runs $n SQL like Select and returns how many rows it touched.
func Exec(ctx context.Context, q bun.IDB, query string, args ...any) (int64, error) {
	p, err := plain(q)
	if err != nil {
		return 0, err
	}
	res, err := p.ExecContext(ctx, query, withCache(args)...)
	if err != nil {
		return 0, Translate(err)
	}
	return res.RowsAffected()
}

func withCache(args []any) []any {
	return append([]any{pgx.QueryExecModeCacheStatement}, args...)
}

// pause waits in real time.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
