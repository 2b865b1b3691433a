package contact_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/secret"
)

// importing makes a service with a place for files, and what carries out its jobs,
// as whoever may do everything.
func (b *bundle) importing() *job.Runner {
	b.t.Helper()
	return b.importingAs(b.boss)
}

// importingAs is importing as whoever it is when the file is read.
func (b *bundle) importingAs(who func() access.Actor) *job.Runner {
	b.t.Helper()
	keys, err := secret.New()
	if err != nil {
		b.t.Fatal(err)
	}
	store, err := blob.OpenStore(b.t.Context(), "mem://", keys)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = store.Close() })
	b.svc = contact.New(contact.Deps{DB: b.db, Files: store, Actor: func(context.Context, id.ID, id.ID) (access.Actor, error) { return who(), nil }})
	jobs := job.New(b.db, b.clock, job.RunnerOptions{FirstRetry: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	b.svc.Register(jobs)
	if err := jobs.Start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(jobs.Stop)
	return jobs
}

func (b *bundle) upload(file string) id.ID {
	b.t.Helper()
	x, _, err := b.svc.Upload(b.t.Context(), b.boss(), "people.csv", strings.NewReader(file))
	if err != nil {
		b.t.Fatal(err)
	}
	return x
}

// run imports a file to its end and gives what became of its rows, a word each.
func (b *bundle) run(jobs *job.Runner, in contact.ImportCreate, file string) (*contact.Import, []string) {
	b.t.Helper()
	in.UploadID = b.upload(file)
	imp, err := b.svc.CreateImport(b.t.Context(), b.boss(), in, "")
	if err != nil {
		b.t.Fatal(err)
	}
	if err := jobs.Drain(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	if imp, err = b.svc.Import(b.t.Context(), b.boss(), imp.ID); err != nil {
		b.t.Fatal(err)
	}
	rows, _, err := b.svc.ImportRows(b.t.Context(), b.boss(), imp.ID, "", ptr(100), "")
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		s := fmt.Sprintf("%d %s", r.Line, r.Status)
		if p := r.Problem(); p != nil {
			e, _ := errs.As(p)
			s += " " + strings.Join(e.Field, ".")
		}
		out = append(out, s)
	}
	return imp, out
}

func TestAFileOfContactsIsImported(t *testing.T) {
	t.Parallel()
	b := setup(t)
	jobs := b.importing()
	who := b.boss()
	bob := b.contact(who, contact.Create{Name: "Bob", Phones: phones(line)})
	twice := "+61255507777"
	b.contact(who, contact.Create{Name: "T1", Phones: phones(twice)})
	b.contact(who, contact.Create{Name: "T2", Phones: phones(twice)})
	file := "Id,First name,Last name,Mobile,Work phone,E-mail,Company,Owner,Account id,Type\n" +
		"C1,Cleo,Quux,02 5550 8888,,cleo@example.com,,,A1,contact\n" + // 2: its account comes later, in the same batch
		"A1,,,,,,Acme,,,ACCOUNT\n" + // 3
		",Robert,,02 5550 1234,02 5550 1235,bob@example.com,,,,\n" + // 4: changes Bob by his number
		",Anybody,,02 5550 7777,,,,,,\n" + // 5: two have it
		",,,nonsense,,,,,,\n" + // 6
		",Dan,,02 5550 6666,,not an address,,,,\n" + // 7
		",Eve,,02 5550 5555,,,,nobody@demo.test,,\n" + // 8
		",=HYPERLINK(\"x\"),,02 5550 4444,,,,,,\n" + // 9: a formula is a name here
		",Gus,,02 5550 4444,,gus@example.com,,,,\n" + // 10: the one of line 9, by its number
		",Hal,,02 5550 3333,,,,ann@demo.test,,spaceman\n" // 11
	imp, rows := b.run(jobs, contact.ImportCreate{Subject: contact.ImportsContacts, Kind: "LEAD", UpdateBy: contact.MatchesNumber}, strings.ReplaceAll(file, "\"x\"", "x"))
	want := []string{"2 CREATED", "3 CREATED", "4 UPDATED", "5 FAILED phones", "6 FAILED phones.0.number", "7 FAILED email", "8 FAILED assignedUserEmail",
		"9 CREATED", "10 UPDATED", "11 FAILED kind"}
	if d := cmp.Diff(want, rows); d != "" {
		t.Fatalf("-want +got:\n%s", d)
	}
	if imp.Status != contact.ImportDone || imp.RowCount != 10 || imp.DoneCount != 10 || imp.CreatedCount != 3 || imp.UpdatedCount != 2 || imp.FailedCount != 5 || imp.EndedAt == nil {
		t.Errorf("%+v", imp)
	}
	got, err := b.svc.Get(t.Context(), who, bob.ID)
	if err != nil || got.Name != "Robert" || got.Kind != contact.KindCustomer || *got.Email != "bob@example.com" {
		t.Errorf("the kind of the file is for new ones: %+v %v", got, err)
	}
	if p, err := b.svc.PhonesByContacts(b.ctx(), []id.ID{bob.ID}); err != nil || len(p[bob.ID]) != 2 || p[bob.ID][0].E164 != line {
		t.Errorf("phones are added, none is taken away: %v %v", p[bob.ID], err)
	}
	w, err := b.svc.List(t.Context(), who, contact.Filter{Kind: contact.KindContact}, db.Page{})
	if err != nil || len(w.Nodes) != 1 || w.Nodes[0].Name != "Cleo Quux" || w.Nodes[0].AccountID.IsZero() {
		t.Errorf("%+v %v", w.Nodes, err)
	}
	// The refused rows as a file: harmless to open, and good to import again.
	f, info, err := b.svc.OpenFailed(t.Context(), who, imp.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil || info.ContentType != "text/csv; charset=utf-8" || strings.Count(string(text), "\r\n") != 6 || !strings.Contains(string(text), `"line","problem"`) {
		t.Errorf("%s %v", text, err)
	}
	// The same file again changes nothing and doubles nobody.
	again, rows := b.run(jobs, contact.ImportCreate{Subject: contact.ImportsContacts, Kind: "LEAD", UpdateBy: contact.MatchesNumber}, strings.ReplaceAll(file, "\"x\"", "x"))
	if again.CreatedCount != 0 {
		t.Errorf("%v", rows)
	}
}

func TestADryRunKeepsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	jobs := b.importing()
	imp, rows := b.run(jobs, contact.ImportCreate{Subject: contact.ImportsContacts, Kind: "LEAD", DryRun: true}, "name;phone\nAnn;0255500001\nBob;x\n")
	if d := cmp.Diff([]string{"2 CREATED", "3 FAILED phones.0.number"}, rows); d != "" || imp.CreatedCount != 1 {
		t.Errorf("%s %+v", d, imp)
	}
	if n, err := b.svc.Count(t.Context(), b.admin, contact.Filter{}); err != nil || n != 0 {
		t.Errorf("%d contacts, %v", n, err)
	}
}

func TestAFileOfRecordsIsImported(t *testing.T) {
	t.Parallel()
	b := setup(t)
	jobs := b.importing()
	who := b.boss()
	bob := b.contact(who, contact.Create{Name: "Bob", Email: ptr("bob@example.com"), Phones: phones(line), ExternalID: ptr("C1")})
	_, rows := b.run(jobs, contact.ImportCreate{Subject: contact.ImportsRecords, Kind: "INVOICE"},
		"id\ttitle\tkind\tcustomer id\tphone\temail\tdue\ttotal\tcurrency\n"+
			"I1\tOne\t\tC1\t\t\t2026-04-01\t1,050.50\taud\n"+
			"I2\tTwo\t\t\t02 5550 1234\t\t2026-04-01 09:30\t10\tJPY\n"+
			"B1\tThree\tbooking\t\t\tBOB@example.com\tnext week\t\t\n"+
			"I4\tFour\t\t\t02 5550 9999\t\t\t\t\n"+
			"I5\tFive\t\t\t\t\t\t1.234\tAUD\n"+
			"I1\tOne again\t\t\t\t\t\t\t\n")
	want := []string{"2 CREATED", "3 CREATED", "4 FAILED due_at", "5 FAILED phones", "6 FAILED amount", "7 UPDATED"}
	if d := cmp.Diff(want, rows); d != "" {
		t.Fatalf("-want +got:\n%s", d)
	}
	w, err := b.svc.Records(t.Context(), who, contact.RecordFilter{ContactID: bob.ID}, db.Page{})
	if err != nil || len(w.Nodes) != 2 {
		t.Fatalf("%v %v", w.Nodes, err)
	}
	two, one := w.Nodes[0], w.Nodes[1]
	if one.Title != "One again" || *one.AmountMinor != 105050 || *two.AmountMinor != 10 || one.DueAt == nil {
		t.Errorf("%+v %+v", one, two)
	}
}

func TestAFileThatCannotBeReadIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.importing()
	who := b.boss()
	in := contact.ImportCreate{Subject: contact.ImportsContacts, Kind: "LEAD"}
	column := func(c ...contact.ImportColumn) []contact.ImportColumn { return c }
	for why, x := range map[string]struct {
		file    string
		columns []contact.ImportColumn
		code    errs.Code
		says    string
	}{
		"Latin-1":              {"name\n" + strings.Repeat("Ann\n", 30000) + "Zo\xeb\n", nil, errs.Invalid, "line 30002"},
		"too many rows":        {"name\n" + strings.Repeat("A\n", contact.MaxImportRows+1), nil, errs.LimitReached, "200000 rows"},
		"only a head":          {"name\n", nil, errs.Required, "no rows"},
		"nothing known":        {"foo,bar\n1,2\n", nil, errs.Required, "says"},
		"no such column":       {"name\nAnn\n", column(contact.ImportColumn{Column: 1, Field: "NAME"}), errs.Invalid, "columns are 0 to 0"},
		"a column twice":       {"name,x\nAnn,1\n", column(contact.ImportColumn{Field: "NAME"}, contact.ImportColumn{Field: "EMAIL"}), errs.Invalid, "twice"},
		"a field twice":        {"name,x\nAnn,1\n", column(contact.ImportColumn{Field: "NAME"}, contact.ImportColumn{Column: 1, Field: "NAME"}), errs.Invalid, "two columns"},
		"a quote never closed": {"name\n\"Ann\n", nil, errs.Invalid, "line 2"},
	} {
		in.UploadID, in.Columns = b.upload(x.file), x.columns
		_, err := b.svc.CreateImport(t.Context(), who, in, "")
		e, _ := errs.As(err)
		if e == nil || e.Code != x.code || !strings.Contains(e.Message+" says", x.says) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, _, err := b.svc.Upload(t.Context(), who, "x", strings.NewReader("PK\x03\x04\x00\x00\x00\x00")); !errs.IsCode(err, errs.Invalid) {
		t.Errorf("a spreadsheet: %v", err)
	}
	if _, _, err := b.svc.Upload(t.Context(), b.admin, "x", strings.NewReader("a\n")); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without permission: %v", err)
	}
	// Another's upload is not there, nor one that has expired.
	in.UploadID, in.Columns = b.upload("name\nAnn\n"), nil
	other := b.boss()
	other.UserID = b.user(b.org, "eve")
	if _, err := b.svc.CreateImport(t.Context(), other, in, ""); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("another's: %v", err)
	}
	b.clock.Advance(25 * time.Hour)
	if _, err := b.svc.Preview(t.Context(), who, in.UploadID); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("expired: %v", err)
	}
}

func TestThePreviewGuesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.importing()
	p, err := b.svc.Preview(t.Context(), b.boss(), b.upload("\ufeffFull Name;Phone;Phone;E-Mail;E-Mail;;shoe size\r\nAnn;1;2;a@b.c;;;7\r\n\r\nBob\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range p.Columns {
		s := c.Header + "="
		if c.ContactField != nil {
			s += string(*c.ContactField)
		}
		got = append(got, s)
	}
	want := []string{"Full Name=NAME", "Phone=PHONE", "Phone=PHONE", "E-Mail=EMAIL", "E-Mail=", "=", "shoe size="}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if p.RowCount != 2 || p.Separator != ";" || len(p.Warnings) != 3 || p.Rows[1].Line != 4 {
		t.Errorf("%+v", p)
	}
}

// killer fails the transactions of an import now and then, as a killed process would.
func TestAKilledImportGoesOnWithoutDoubling(t *testing.T) {
	t.Parallel()
	b := setup(t)
	keys, err := secret.New()
	if err != nil {
		t.Fatal(err)
	}
	store, err := blob.OpenStore(t.Context(), "mem://", keys)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	deaths := 2
	b.svc = contact.New(contact.Deps{DB: b.db, Files: store, Actor: func(context.Context, id.ID, id.ID) (access.Actor, error) {
		if deaths--; deaths >= 0 {
			return access.Actor{}, errors.New("killed")
		}
		return b.boss(), nil
	}})
	jobs := job.New(b.db, b.clock, job.RunnerOptions{FirstRetry: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	b.svc.Register(jobs)
	var file strings.Builder
	file.WriteString("name\n")
	for i := range 1200 {
		fmt.Fprintf(&file, "Person %d\n", i)
	}
	imp, err := b.svc.CreateImport(t.Context(), b.boss(), contact.ImportCreate{Subject: contact.ImportsContacts, Kind: "LEAD", UploadID: b.upload(file.String())}, "once")
	if err != nil {
		t.Fatal(err)
	}
	// A second job for the same file, as a rescue would make one.
	b.exec(`UPDATE contact_import SET done_count = 0 WHERE id = $1`, imp.ID)
	if err := jobs.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer jobs.Stop()
	if err := jobs.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if imp, err = b.svc.Import(t.Context(), b.boss(), imp.ID); err != nil || imp.Status != contact.ImportDone || imp.CreatedCount != 1200 {
		t.Fatalf("%+v %v", imp, err)
	}
	if n, err := b.svc.Count(t.Context(), b.admin, contact.Filter{}); err != nil || n != 1200 {
		t.Errorf("%d contacts, %v", n, err)
	}
	if x, err := b.svc.CancelImport(t.Context(), b.boss(), imp.ID); err != nil || x.Status != contact.ImportDone {
		t.Errorf("what ended stays ended: %v %v", x, err)
	}
	// After a week the report of its rows is gone; how it went is not.
	b.clock.Advance(8 * 24 * time.Hour)
	if err := jobs.RunSweeps(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, _, err := b.svc.ImportRows(t.Context(), b.boss(), imp.ID, "", nil, "")
	if x, err2 := b.svc.Import(t.Context(), b.boss(), imp.ID); err != nil || err2 != nil || len(rows) != 0 || x.CreatedCount != 1200 {
		t.Errorf("%v %v %v %v", rows, x, err, err2)
	}
}

func TestACanceledImportStops(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.importing()
	in := contact.ImportCreate{Subject: contact.ImportsContacts, Kind: "LEAD", UploadID: b.upload("name\nAnn\n")}
	who := b.boss()
	imp, err := b.svc.CreateImport(t.Context(), who, in, "key")
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.svc.CreateImport(t.Context(), who, in, "key")
	if err != nil || again.ID != imp.ID {
		t.Errorf("the same key: %v %v", again, err)
	}
	if _, err := b.svc.Import(t.Context(), access.Actor{OrganizationID: b.org, UserID: b.user(b.org, "eve"), Permissions: access.SetOf(access.ContactImport)}, imp.ID); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("another's import: %v", err)
	}
}
