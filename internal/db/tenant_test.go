package db_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/testkit"
)

func TestATenantSeesItsOwnRowsAndNobodyElseDoes(t *testing.T) {
	t.Parallel()
	r := openNotes(t)
	r.add(t, r.a, "a1", "a2")
	r.add(t, r.b, "b1")

	for name, c := range map[string]struct {
		why  string
		ctx  context.Context
		want []string
	}{
		"a":       {"its two rows", db.WithTenant(t.Context(), r.a), []string{"a1", "a2"}},
		"b":       {"its one row", db.WithTenant(t.Context(), r.b), []string{"b1"}},
		"nobody":  {"without a tenant there are no rows and no error", t.Context(), []string{}},
		"zero":    {"the zero ID is no tenant", db.WithTenant(t.Context(), id.ID{}), []string{}},
		"changed": {"the innermost tenant counts", db.WithTenant(db.WithTenant(t.Context(), r.a), r.b), []string{"b1"}},
	} {
		if diff := cmp.Diff(c.want, r.bodies(t, c.ctx)); diff != "" {
			t.Errorf("%s (%s):\n%s", name, c.why, diff)
		}
	}
	var all int
	if err := db.Select(t.Context(), r.Worker(), &all, "SELECT count(*) FROM note"); err != nil || all != 3 {
		t.Errorf("the worker sees %d rows, %v; want 3", all, err)
	}
}

func TestATenantCannotWriteForAnother(t *testing.T) {
	t.Parallel()
	r := openNotes(t)
	r.add(t, r.b, "b1")
	asA := db.WithTenant(t.Context(), r.a)

	_, err := db.Exec(asA, r.App(), insertNote, r.b, id.New(id.Record), "planted")
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "42501" {
		t.Errorf("inserting for b as a: %v; want 42501", err)
	}
	for _, sql := range []string{
		"UPDATE note SET body = 'taken' WHERE organization_id = $1",
		"DELETE FROM note WHERE organization_id = $1",
	} {
		if n, err := db.Exec(asA, r.App(), sql, r.b); n != 0 || err != nil {
			t.Errorf("%s: %d rows, %v; want none", sql, n, err)
		}
	}
	if diff := cmp.Diff([]string{"b1"}, r.bodies(t, db.WithTenant(t.Context(), r.b))); diff != "" {
		t.Error(diff)
	}
}

// The pool hands connections around while contexts are cancelled in the middle
// of statements: the case in which a tenant set once per connection goes wrong.
func TestNoQueryEverSeesAnotherTenantOrNothing(t *testing.T) {
	t.Parallel()
	r := openNotes(t, func(o *db.Options) { o.MaxConns = 4 })
	r.add(t, r.a, "a")
	r.add(t, r.b, "b")
	want := map[id.ID]string{r.a: "a", r.b: "b"}

	var done, cancelled atomic.Int64
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 7))
			for i := range 40 {
				org := []id.ID{r.a, r.b}[rnd.IntN(2)]
				ctx, cancel := context.WithCancel(db.WithTenant(context.Background(), org))
				if rnd.IntN(5) == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rnd.IntN(1500))*time.Microsecond)
				}
				var got []string
				var err error
				switch i % 4 {
				case 0:
					err = db.Select(ctx, r.App(), &got, "SELECT body FROM note")
				case 1:
					err = r.App().NewSelect().TableExpr("note").Column("body").Scan(ctx, &got)
				case 2:
					err = r.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
						if err := db.Select(ctx, tx, &got, "SELECT body FROM note"); err != nil || i%8 == 2 {
							return err
						}
						return errRollBack
					})
				case 3:
					b := &pgx.Batch{}
					b.Queue("SELECT body FROM note").Query(func(rows pgx.Rows) (err error) {
						got, err = pgx.CollectRows(rows, pgx.RowTo[string])
						return err
					})
					err = r.Batch(ctx, org, b)
				}
				cancel()
				if err != nil && !errors.Is(err, errRollBack) {
					cancelled.Add(1)
					continue
				}
				done.Add(1)
				if len(got) != 1 || got[0] != want[org] {
					t.Errorf("tenant %s saw %q, want %q", org, got, want[org])
				}
			}
		})
	}
	wg.Wait()
	if done.Load() < 600 {
		t.Errorf("only %d queries completed (%d cancelled)", done.Load(), cancelled.Load())
	}
}

var errRollBack = errors.New("roll back")

func TestABatchCarriesItsTenantAndLeavesNone(t *testing.T) {
	t.Parallel()
	r := openNotes(t, func(o *db.Options) { o.MaxConns = 1 })
	count := func(n *int) *pgx.Batch {
		b := &pgx.Batch{}
		b.Queue("SELECT count(*) FROM note").QueryRow(func(row pgx.Row) error { return row.Scan(n) })
		return b
	}
	r.add(t, r.a, "a1", "a2")
	r.add(t, r.b, "b1")

	var n int
	if err := r.Batch(db.WithTenant(t.Context(), r.b), r.a, count(&n)); err != nil || n != 2 {
		t.Errorf("batch as a: %d rows, %v; want 2", n, err)
	}
	if got := r.bodies(t, t.Context()); len(got) != 0 {
		t.Errorf("after the batch, without a tenant: %q", got)
	}
	if got := r.bodies(t, db.WithTenant(t.Context(), r.b)); len(got) != 1 {
		t.Errorf("after the batch, as b: %q", got)
	}
	// The connection was b's just now.
	if err := r.Batch(t.Context(), id.ID{}, count(&n)); err != nil || n != 0 {
		t.Errorf("batch without a tenant: %d rows, %v; want none", n, err)
	}
}

func TestABatchIsOneTransaction(t *testing.T) {
	t.Parallel()
	r := openNotes(t)
	b := &pgx.Batch{}
	b.Queue(insertNote, r.a, id.New(id.Record), "x")
	b.Queue(insertNote, r.a, id.New(id.Record), "x") // note_body_key
	if err := r.Batch(t.Context(), r.a, b); !db.IsUnique(err, "note_body_key") {
		t.Errorf("second insert: %v; want a violation of note_body_key", err)
	}
	if got := r.bodies(t, db.WithTenant(t.Context(), r.a)); len(got) != 0 {
		t.Errorf("half of the batch stayed: %q", got)
	}
	for _, sql := range []string{"commit", "COMMIT;", " rollback", "BEGIN", "end"} {
		b := &pgx.Batch{}
		b.Queue(sql)
		if err := r.Batch(t.Context(), r.a, b); err == nil || !strings.Contains(err.Error(), "one transaction") {
			t.Errorf("%q in a batch: %v", sql, err)
		}
	}
}

func TestOpenRefusesARoleThatGoesAroundTheBarrier(t *testing.T) {
	t.Parallel()
	admin := connect(t, testkit.AdminURL(t))
	var super bool
	if err := admin.QueryRow(t.Context(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&super); err != nil {
		t.Fatal(err)
	}
	if !super {
		t.Skip("making a role with BYPASSRLS needs a superuser; this server's login is none")
	}
	for name, c := range map[string]struct{ why, role, options string }{
		"bypass": {"the role ignores every policy", "around_bypass", "BYPASSRLS"},
		"super":  {"a superuser ignores every policy", "around_super", "SUPERUSER"},
	} {
		exec1(t, admin, "CREATE ROLE "+c.role+" "+c.options)
		t.Cleanup(func() { _, _ = admin.Exec(context.Background(), "DROP ROLE "+c.role) })
		exec1(t, admin, "GRANT "+c.role+" TO switchboard")
		if err := openAs(t, c.role); err == nil || !strings.Contains(err.Error(), "row-level security") {
			t.Errorf("%s (%s): %v", name, c.why, err)
		}
		exec1(t, admin, "REVOKE "+c.role+" FROM switchboard")
	}
	if err := openAs(t, "switchboard"); err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("the owner as app role: %v", err)
	}
}

func openAs(t *testing.T, appRole string) error {
	t.Helper()
	u := testkit.URL(t)
	exec1(t, connect(t, u), "UPDATE system.installation SET app_role = $1", appRole)
	d, err := db.Open(t.Context(), db.Options{URL: u, SkipMigrations: true, Logger: quiet})
	if err == nil {
		d.Close()
	}
	return err
}

func TestTenantTableRefusesATableWithoutATenant(t *testing.T) {
	t.Parallel()
	owner := connect(t, testkit.URL(t))
	for i, columns := range []string{"id uuid", "organization_id uuid", "organization_id text NOT NULL"} {
		exec1(t, owner, fmt.Sprintf("CREATE TABLE bare_%d (%s)", i, columns))
		if _, err := owner.Exec(t.Context(), fmt.Sprintf("CALL tenant_table('bare_%d')", i)); err == nil || !strings.Contains(err.Error(), "organization_id") {
			t.Errorf("table (%s): %v", columns, err)
		}
	}
}
