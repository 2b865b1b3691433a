package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/audit"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func write(ctx context.Context, d *db.DB, entries ...audit.Entry) error {
	return d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		for _, e := range entries {
			if err := audit.Write(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestEntriesAreListedNewestFirstPageByPage(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	d := testkit.DB(t, testkit.Clock(clk))
	ours := db.WithTenant(t.Context(), id.New(id.Organization))
	theirs := db.WithTenant(t.Context(), id.New(id.Organization))
	who, about := id.New(id.User), id.New(id.User)
	var want []string
	for i := range 7 {
		e := audit.Entry{ActorID: who, Action: fmt.Sprintf("user.change%d", i), Detail: map[string]any{"n": float64(i)}}
		if i%2 == 0 {
			e.Subject = about
		}
		if i%3 != 0 {
			clk.Advance(time.Second) // some share their time
		}
		if err := write(ours, d, e); err != nil {
			t.Fatal(err)
		}
		want = append([]string{e.Action}, want...)
	}
	if err := write(theirs, d, audit.Entry{Action: "user.other"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	page := db.Page{First: 3}
	for pages := 1; ; pages++ {
		w, err := audit.List(ours, d.App(), id.ID{}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range w.Nodes {
			got = append(got, e.Action)
			if e.ActorID != who || e.OrganizationID != db.TenantFrom(ours) || e.Detail["n"] == nil || e.ID.Kind() != id.Audit {
				t.Errorf("got %+v", e)
			}
		}
		if !w.HasNext {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		page.After = w.EndCursor()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	w, err := audit.List(ours, d.App(), about, db.Page{})
	if err != nil || len(w.Nodes) != 4 {
		t.Errorf("%d entries about the subject, %v", len(w.Nodes), err)
	}
}

func TestNobodyChangesOrRemovesAnEntry(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	ctx := db.WithTenant(t.Context(), id.New(id.Organization))
	if err := write(ctx, d, audit.Entry{Action: "user.disable"}); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{`UPDATE audit_entry SET action = 'x'`, `DELETE FROM audit_entry`, `TRUNCATE audit_entry`} {
		if _, err := db.Exec(ctx, d.App(), q); err == nil {
			t.Errorf("the app role may %s", q)
		}
		if _, err := db.Exec(ctx, d.Worker(), q); err == nil {
			t.Errorf("the worker role may %s", q)
		}
	}
	if w, err := audit.List(ctx, d.App(), id.ID{}, db.Page{}); err != nil || len(w.Nodes) != 1 {
		t.Errorf("%d entries, %v", len(w.Nodes), err)
	}
}

func TestWhatIsNoEntryIsRefused(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	ctx := db.WithTenant(t.Context(), id.New(id.Organization))
	for name, e := range map[string]audit.Entry{
		"no action":      {},
		"a long action":  {Action: strings.Repeat("a", 65)},
		"a large detail": {Action: "a", Detail: map[string]any{"x": strings.Repeat("a", audit.MaxDetail)}},
	} {
		if err := write(ctx, d, e); !errs.IsCode(err, errs.Internal) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := write(t.Context(), d, audit.Entry{Action: "a"}); !errs.IsCode(err, errs.Internal) {
		t.Errorf("no organization: got %v", err)
	}
}
