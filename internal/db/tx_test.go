package db_test

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/testkit"
)

func TestHooksRunInOrderAfterACommitOnly(t *testing.T) {
	t.Parallel()
	r := openNotes(t, func(o *db.Options) { o.MaxConns = 1 }) // a hook may use the pool
	ctx := db.WithTenant(t.Context(), r.a)
	var said []string
	hooks := func(fail error) error {
		return r.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			if _, err := tx.Pgx().Exec(ctx, insertNote, r.a, id.New(id.Record), "x"); err != nil {
				return err
			}
			tx.AfterCommit(func() { said = append(said, "one") })
			tx.AfterCommit(func() { said = append(said, r.bodies(t, ctx)...) })
			return fail
		})
	}
	if err := hooks(errRollBack); !errors.Is(err, errRollBack) {
		t.Fatal(err)
	}
	if len(said) != 0 {
		t.Errorf("hooks ran after a rollback: %q", said)
	}
	if err := hooks(nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "x"}, said); diff != "" {
		t.Error(diff)
	}
}

func TestFirstAndLastStatementsAreOfTheTransaction(t *testing.T) {
	t.Parallel()
	r := openNotes(t, func(o *db.Options) { o.MaxConns = 1 })
	ctx := db.WithTenant(t.Context(), r.a)
	insert := func(org id.ID, body string) *pgx.Batch {
		b := &pgx.Batch{}
		b.Queue(insertNote, org, id.New(id.Record), body+id.New(id.Record).String())
		return b
	}
	for why, x := range map[string]struct {
		first, last *pgx.Batch
		fn          error
		want        bool // the transaction holds
	}{
		"both are committed":                         {first: insert(r.a, "first"), last: insert(r.a, "last"), want: true},
		"a refused first statement ends it":          {first: insert(r.b, "of another tenant"), last: insert(r.a, "last")},
		"a refused last statement undoes it":         {first: insert(r.a, "first"), last: insert(r.b, "of another tenant")},
		"after an error the last statements are out": {first: insert(r.a, "first"), last: insert(r.a, "last"), fn: errRollBack},
	} {
		before := len(r.bodies(t, ctx))
		hooks := 0
		err := r.InTxWith(ctx, x.first, func(_ context.Context, tx *db.Tx) error {
			tx.AfterCommit(func() { hooks++ })
			tx.Last(x.last)
			return x.fn
		})
		after := len(r.bodies(t, ctx))
		if x.want && (err != nil || after != before+2 || hooks != 1) || !x.want && (err == nil || after != before || hooks != 0) {
			t.Errorf("%s: error %v, %d rows more, %d hooks", why, err, after-before, hooks)
		}
	}
	err := r.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		count := func() (n int) {
			if err := tx.Pgx().QueryRow(ctx, "SELECT count(*) FROM note").Scan(&n); err != nil {
				t.Error(err)
			}
			return n
		}
		before := count()
		tx.Last(insert(r.a, "withdrawn"))
		tx.Withdraw()
		tx.Last(insert(r.a, "flushed"))
		if err := tx.Flush(ctx); err != nil {
			return err
		}
		if n := count(); n != before+1 {
			t.Errorf("%d rows after Flush, %d before", n, before)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPanicRollsBackAndFreesTheConnection(t *testing.T) {
	t.Parallel()
	r := openNotes(t, func(o *db.Options) { o.MaxConns = 1 })
	ctx := db.WithTenant(t.Context(), r.a)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = r.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			if _, err := db.Exec(ctx, tx, insertNote, r.a, id.New(id.Record), "x"); err != nil {
				t.Error(err)
			}
			panic("oops")
		})
	}()
	if got := r.bodies(t, ctx); len(got) != 0 {
		t.Errorf("rows after a panic: %q", got)
	}
}

func TestBunAndPgxShareOneTransaction(t *testing.T) {
	t.Parallel()
	r := openNotes(t)
	ctx := db.WithTenant(t.Context(), r.a)
	err := r.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.NewRaw("INSERT INTO note (organization_id, id, body) VALUES (?, ?, ?)", r.a, id.New(id.Record), "bun's ? and $1").Exec(ctx); err != nil {
			return err
		}
		var n int
		if err := tx.Pgx().QueryRow(ctx, "SELECT count(*) FROM note WHERE body LIKE $1", "bun%").Scan(&n); err != nil || n != 1 {
			t.Errorf("pgx sees %d rows of bun, %v", n, err)
		}

		inner, err := tx.Pgx().Begin(ctx)
		if err != nil {
			return err
		}
		if _, err := inner.Exec(ctx, "SELECT 1/$1::int", 0); err == nil {
			t.Error("division by zero went well")
		}
		if err := inner.Rollback(ctx); err != nil {
			return err
		}
		if err := tx.Pgx().Commit(ctx); err == nil {
			t.Error("the whole transaction was committed through Pgx")
		}

		b := &pgx.Batch{}
		b.Queue(insertNote, r.a, id.New(id.Record), "batched")
		b.Queue("SELECT count(*) FROM note").QueryRow(func(row pgx.Row) error { return row.Scan(&n) })
		if err := tx.Pgx().SendBatch(ctx, b).Close(); err != nil || n != 2 {
			t.Errorf("batch: %d rows, %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.bodies(t, ctx); len(got) != 2 {
		t.Errorf("committed %q", got)
	}
}

type greet struct {
	Subject id.ID `json:"subject"`
}

func (greet) Kind() string { return "greet" }

func TestAJobIsInsertedInTheTransactionOfItsEffect(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	client, err := river.NewClient(riverpgxv5.New(nil), &river.Config{Schema: "system"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := db.WithTenant(t.Context(), id.New(id.Organization))
	insert := func(fail error) error {
		return d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			if _, err := client.InsertTx(ctx, tx.Pgx(), greet{id.New(id.Call)}, nil); err != nil {
				t.Errorf("inserting as the app role: %v", err)
			}
			_, err := client.InsertTx(ctx, tx.Pgx(), greet{}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}})
			if err != nil {
				t.Errorf("inserting a unique job as the app role: %v", err)
			}
			return fail
		})
	}
	for _, c := range []struct {
		fail error
		want int
	}{{errRollBack, 0}, {nil, 2}, {nil, 3}} {
		if err := insert(c.fail); !errors.Is(err, c.fail) {
			t.Fatal(err)
		}
		var n int
		if err := d.WorkerPool().QueryRow(ctx, "SELECT count(*) FROM system.river_job").Scan(&n); err != nil || n != c.want {
			t.Errorf("after %v: %d jobs, %v; want %d", c.fail, n, err, c.want)
		}
	}
}

func TestATransactionInTheWayIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := openNotes(t)
	for name, c := range map[string]struct {
		why   string
		fails int
		code  string
		tries int
		ok    bool
	}{
		"once":          {"the second attempt is free to go", 1, "40P01", 2, true},
		"always":        {"three attempts are enough", 9, "40001", 3, false},
		"another error": {"a mistake stays one", 9, "22012", 1, false},
	} {
		tries := 0
		err := r.InTxAgain(t.Context(), func(context.Context, *db.Tx) error {
			if tries++; tries <= c.fails {
				return &pgconn.PgError{Code: c.code}
			}
			return nil
		})
		if tries != c.tries || (err == nil) != c.ok {
			t.Errorf("%s (%s): %d attempts, %v", name, c.why, tries, err)
		}
	}
}

func TestSelectScansByBunsRules(t *testing.T) {
	t.Parallel()
	r := openNotes(t)
	r.add(t, r.a, "one", "two")
	ctx := db.WithTenant(t.Context(), r.a)
	type note struct {
		ID             id.ID
		OrganizationID id.ID
		Body           string
	}
	const q = "SELECT id, organization_id, body FROM note WHERE body = ANY($1) ORDER BY body"

	var all []note
	if err := db.Select(ctx, r.App(), &all, q, []string{"one", "two"}); err != nil || len(all) != 2 || all[1].Body != "two" || all[0].OrganizationID != r.a {
		t.Errorf("all: %+v, %v", all, err)
	}
	var one note
	if err := db.Select(ctx, r.App(), &one, q, []string{"two"}); err != nil || one != all[1] {
		t.Errorf("one: %+v, %v", one, err)
	}
	if err := db.Select(ctx, r.App(), &one, q, []string{}); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("none: %v; want sql.ErrNoRows", err)
	}
	var none []note
	if err := db.Select(ctx, r.App(), &none, q, []string{}); err != nil || len(none) != 0 {
		t.Errorf("none of many: %v, %v", none, err)
	}
}

func TestSelectPreparesAStatementOncePerConnection(t *testing.T) {
	t.Parallel()
	r := openNotes(t, func(o *db.Options) { o.MaxConns = 1 })
	ctx := db.WithTenant(t.Context(), r.a)
	for i := range 20 {
		var got []string
		if err := db.Select(ctx, r.App(), &got, "SELECT body FROM note WHERE body = $1", id.New(id.Record).String()); err != nil {
			t.Fatal(err)
		}
		if err := r.App().NewSelect().TableExpr("note").Column("body").Where("body = ?", strconv.Itoa(i)).Scan(ctx, &got); err != nil {
			t.Fatal(err)
		}
	}
	var prepared []string
	if err := db.Select(ctx, r.App(), &prepared, "SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%FROM note%' AND statement NOT LIKE '%pg_prep%'"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"SELECT body FROM note WHERE body = $1"}, prepared); diff != "" {
		t.Error(diff)
	}
}
