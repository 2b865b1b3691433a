package db_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/testkit"
)

// BenchmarkCheckout shows what a tenant costs on each of the ways to the database.
func BenchmarkCheckout(b *testing.B) {
	d := testkit.DB(b)
	org := id.New(id.Organization)
	ctx := db.WithTenant(b.Context(), org)
	const q = "SELECT count(*) FROM event WHERE organization_id = $1"
	for name, run := range map[string]func(n *int) error{
		"prepared": func(n *int) error { return db.Select(ctx, d.App(), n, q, org) },
		"bun": func(n *int) error {
			return d.App().NewSelect().TableExpr("event").ColumnExpr("count(*)").Where("organization_id = ?", org).Scan(ctx, n)
		},
		"batch": func(n *int) error {
			q1 := &pgx.Batch{}
			q1.Queue(q, org).QueryRow(func(r pgx.Row) error { return r.Scan(n) })
			return d.Batch(ctx, org, q1)
		},
		"transaction": func(n *int) error {
			return d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
				return tx.Pgx().QueryRow(ctx, q, org).Scan(n)
			})
		},
		"worker": func(n *int) error { return db.Select(ctx, d.Worker(), n, q, org) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var n int
				if err := run(&n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
