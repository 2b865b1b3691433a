package db

import (
	"context"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Counter counts the statements of one context.
type Counter struct {
	mu   sync.Mutex // guards seen
	seen []string
}

// N is how many statements were run so far.
func (c *Counter) N() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// Statements are their texts in order, for the message of a test that counted too many.
func (c *Counter) Statements() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.seen...)
}

func (c *Counter) add(sql string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, sql)
}

type counterKey struct{}

// CountStatements returns a context whose statements are counted, through bun
// and pgx alike. Setting the tenant, pings and the ends of transactions do not count.
func CountStatements(ctx context.Context) (context.Context, *Counter) {
	c := &Counter{}
	return context.WithValue(ctx, counterKey{}, c), c
}

// counterTracer is pgx's hook for CountStatements. It costs a look into the
// context where nobody counts.
type counterTracer struct{}

func count(ctx context.Context, sql string) {
	c, ok := ctx.Value(counterKey{}).(*Counter)
	if !ok || sql == setTenant || sql == setTenantLocal {
		return
	}
	word, _, _ := strings.Cut(strings.ToLower(sql), " ")
	switch word {
	case "begin", "begin;", "commit", "rollback", "savepoint", "release", "--", ";", "":
		return
	}
	c.add(sql)
}

// TraceQueryStart counts a statement.
func (counterTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	count(ctx, q.SQL)
	return ctx
}

// TraceQueryEnd does nothing.
func (counterTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart does nothing.
func (counterTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery counts a statement of a batch.
func (counterTracer) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, q pgx.TraceBatchQueryData) {
	count(ctx, q.SQL)
}

// TraceBatchEnd does nothing.
func (counterTracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
