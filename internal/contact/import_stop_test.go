package contact_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/testkit"
)

// dying is a bundle whose import dies once, in the transaction of its second batch,
// as that of a killed worker would.
func dying(t *testing.T) *bundle {
	t.Helper()
	url := testkit.URL(t)
	owner, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = owner.Exec(t.Context(), `
		CREATE SEQUENCE deaths;
		GRANT USAGE ON SEQUENCE deaths TO PUBLIC;
		CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $f$
		BEGIN
			IF NEW.line > 501 AND nextval('deaths') = 1 THEN
				PERFORM pg_terminate_backend(pg_backend_pid());
			END IF;
			RETURN NEW;
		END
		$f$;
		CREATE TRIGGER die BEFORE INSERT ON contact_import_row FOR EACH ROW EXECUTE FUNCTION die()`)
	if err := owner.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.NewFake(start)
	d, err := db.Open(t.Context(), db.Options{URL: url, SkipMigrations: true, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	b := &bundle{t: t, db: d, clock: clk}
	b.org, b.admin = b.organization("AU")
	return b
}

// people is a file of 1200 contacts, of whom the first is refused.
func people() string {
	var file strings.Builder
	file.WriteString("name,phone\nNobody,x\n")
	for i := range 1199 {
		fmt.Fprintf(&file, "Person %d,\n", i)
	}
	return file.String()
}

// imported imports people, and does something each time that a worker begins or goes
// on, when that many rows are done.
func (b *bundle) imported(begins func(imp id.ID, done int)) *contact.Import {
	b.t.Helper()
	jobs := b.importingAs(func() access.Actor {
		var at struct {
			ID   id.ID `bun:"id"`
			Done int   `bun:"done_count"`
		}
		if err := db.Select(context.Background(), b.db.Worker(), &at, `SELECT id, done_count FROM contact_import`); err != nil {
			b.t.Error(err)
		}
		begins(at.ID, at.Done)
		return b.boss()
	})
	imp, _ := b.run(jobs, contact.ImportCreate{Subject: contact.ImportsContacts, Kind: "LEAD"}, people())
	return imp
}

func TestAnImportThatDiesBetweenBatchesGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	b := dying(t)
	begun := make(chan int, 10)
	imp := b.imported(func(_ id.ID, done int) { begun <- done })
	close(begun)
	var from []int
	for done := range begun {
		from = append(from, done)
	}
	if !slices.Equal(from, []int{0, 500}) {
		t.Errorf("workers began at the rows %v", from)
	}
	if imp.Status != contact.ImportDone || imp.DoneCount != 1200 || imp.CreatedCount != 1199 || imp.FailedCount != 1 {
		t.Errorf("%+v", imp)
	}
	if n := b.count(`SELECT count(DISTINCT name) * 10000 + count(*) AS n FROM contact`); n != 1199*10001 {
		t.Errorf("%d names of %d contacts", n/10000, n%10000)
	}
	if n := b.count(`SELECT count(*) AS n FROM event WHERE kind = 'CONTACT_UPDATED'`); n != 1199 {
		t.Errorf("%d contacts are told of", n)
	}
}

func TestACanceledImportKeepsItsBatchesAndReportsNoOtherRow(t *testing.T) {
	t.Parallel()
	b := dying(t)
	imp := b.imported(func(imp id.ID, done int) {
		if done == 0 {
			return
		}
		if x, err := b.svc.CancelImport(t.Context(), b.boss(), imp); err != nil || x.Status != contact.ImportCanceled {
			t.Errorf("%v %v", x, err)
		}
	})
	if imp.Status != contact.ImportCanceled || imp.RowCount != 1200 || imp.DoneCount != 500 || imp.CreatedCount != 499 || imp.FailedCount != 1 || imp.EndedAt == nil {
		t.Errorf("%+v", imp)
	}
	if n := b.count(`SELECT count(*) AS n FROM contact`); n != 499 {
		t.Errorf("%d contacts", n)
	}
	// The rows of the report are those that were read; whoever mends the file knows where to go on.
	if n := b.count(`SELECT count(*) * 10000 + max(line) AS n FROM contact_import_row WHERE import_id = $1`, imp.ID); n != 500*10000+501 {
		t.Errorf("%d rows, the last at line %d", n/10000, n%10000)
	}
	f, _, err := b.svc.OpenFailed(t.Context(), b.boss(), imp.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || strings.Count(string(text), "\n") != 2 || !strings.Contains(string(text), "Nobody") {
		t.Errorf("the file of what was refused: %s %v", text, err)
	}
}
