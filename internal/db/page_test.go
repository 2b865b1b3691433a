package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

func TestACursorLeadsBackToItsPlace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := db.Keyset{
			At: time.UnixMicro(rapid.Int64Range(-62135596800000000, 253402300799999999).Draw(t, "at")).UTC(),
			ID: id.FromUUID([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))),
		}
		got, err := db.ParseKeyset(k.String())
		if err != nil || got != k {
			t.Fatalf("%v became %v, %v", k, got, err)
		}
	})
}

func TestAnythingElseIsNoCursor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z0-9_-]{32}`)).Draw(t, "cursor")
		k, err := db.ParseKeyset(s)
		if err == nil && k.String() != s {
			t.Fatalf("%q was read as %v", s, k)
		}
		if err != nil && errs.CodeOf(err) != errs.Invalid {
			t.Fatalf("%q: %v", s, err)
		}
	})
}

func TestPageSizesHaveBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why  string
		page db.Page
		want int
	}{
		"unsaid":   {"25 by default", db.Page{}, 25},
		"one":      {"the least", db.Page{First: 1}, 1},
		"hundred":  {"the most", db.Page{First: 100}, 100},
		"more":     {"refused, not cut", db.Page{First: 101}, 0},
		"negative": {"refused", db.Page{First: -1}, 0},
		"cursor":   {"refused", db.Page{After: "x"}, 0},
	} {
		got, _, err := c.page.Keyset()
		if got != c.want && c.want != 0 || (err == nil) != (c.want > 0) || err != nil && errs.CodeOf(err) != errs.Invalid {
			t.Errorf("%s (%s): %d, %v", name, c.why, got, err)
		}
	}
}

// Rows of one instant are told apart by their ids: pages neither repeat nor skip.
func TestPagesMeetWithoutGapOrRepeat(t *testing.T) {
	t.Parallel()
	r := openNotes(t)
	ctx := db.WithTenant(t.Context(), r.a)
	type note struct {
		ID id.ID
		At time.Time
	}
	for i := range 23 {
		at := time.Date(2026, 3, 1, 0, i/5, 0, 0, time.UTC)
		if _, err := db.Exec(ctx, r.App(), "INSERT INTO note (organization_id, id, at, body) VALUES ($1, $2, $3, $4)", r.a, id.New(id.Record), at, id.New(id.Record).String()); err != nil {
			t.Fatal(err)
		}
	}
	var want, got []note
	if err := db.Select(ctx, r.App(), &want, "SELECT id, at FROM note ORDER BY at DESC, id DESC"); err != nil {
		t.Fatal(err)
	}
	page := db.Page{First: 4}
	for pages := 1; ; pages++ {
		limit, after, err := page.Keyset()
		if err != nil {
			t.Fatal(err)
		}
		var rows []note
		err = db.Select(ctx, r.App(), &rows, "SELECT id, at FROM note WHERE organization_id = $1 AND (at, id) < ($2, $3) ORDER BY at DESC, id DESC LIMIT $4", r.a, after.At, after.ID, limit+1)
		if err != nil {
			t.Fatal(err)
		}
		w := db.NewWindow(rows, limit, func(n note) db.Keyset { return db.Keyset{At: n.At, ID: n.ID} })
		got = append(got, w.Nodes...)
		if w.StartCursor() != w.Cursor(0) {
			t.Error("the start cursor is not that of the first node")
		}
		if !w.HasNext {
			if pages != 6 {
				t.Errorf("%d pages of 4 for 23 rows", pages)
			}
			break
		}
		page.After = w.EndCursor()
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b id.ID) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if w := (db.Window[note]{}); w.StartCursor() != "" || w.EndCursor() != "" || w.HasNext {
		t.Error("an empty window has cursors")
	}
}

func TestStatementsOfAContextAreCounted(t *testing.T) {
	t.Parallel()
	r := openNotes(t)
	plain := db.WithTenant(t.Context(), r.a)
	ctx, counter := db.CountStatements(plain)
	r.bodies(t, ctx)
	r.bodies(t, plain) // nobody counts
	if _, err := r.App().NewSelect().TableExpr("note").Count(ctx); err != nil {
		t.Fatal(err)
	}
	err := r.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		b := &pgx.Batch{}
		b.Queue("SELECT 1")
		b.Queue("SELECT 2")
		return tx.Pgx().SendBatch(ctx, b).Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &pgx.Batch{}
	b.Queue("SELECT 3")
	if err := r.Batch(ctx, r.a, b); err != nil {
		t.Fatal(err)
	}
	if counter.N() != 5 {
		t.Errorf("%d statements, want 5: %q", counter.N(), counter.Statements())
	}
}
