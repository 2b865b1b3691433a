package export_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/export"
	"switchboard/internal/id"
)

// R216: the file has the rows of the list, newest first, in the columns that were chosen.
func TestAnExportHasTheRowsOfTheList(t *testing.T) {
	t.Parallel()
	s := newStage(t, 95)
	e := s.create(export.NewExport{Kind: export.Calls, Columns: []string{"startedAt", "from", "contact", "phoneNumber", "branch", "notes"}})
	if e.Status != export.Queued || e.FileName != "calls-2026-11-20-2300.csv" {
		t.Errorf("got %s, %s", e.Status, e.FileName)
	}
	e = s.until(e.ID, export.Done)
	rows := s.rows(e.ID)
	if len(rows) != 96 || e.RowCount != 95 || *e.EstimatedRowCount != 95 || e.ByteCount != int64(len(s.read(e.ID))) {
		t.Fatalf("%d rows, %+v", len(rows), e)
	}
	want := [][]string{
		{"Started", "From", "Contact", "Number", "Branch", "Notes"},
		{"2026-11-20 23:00:00", "'+61400000095", "", "'+61255501234", "Sydney", "note 95"},
		{"2026-11-20 22:59:59", "'+61400000094", "", "'+61255501234", "Sydney", "note 94"},
		{"2026-11-20 22:59:58", "'+61400000093", "'=HYPERLINK(\"http://evil\")", "'+61255501234", "Sydney", "note 93"},
	}
	if d := cmp.Diff(want, rows[:4]); d != "" {
		t.Error(d)
	}
	if last := rows[95][5]; last != "note 1" {
		t.Errorf("the last row is %q", last)
	}
	if e.ExpiresAt == nil || !e.ExpiresAt.Equal(noon.Add(7*24*time.Hour)) {
		t.Errorf("expires %v", e.ExpiresAt)
	}
}

// R217: Excel gets a workbook.
func TestAWorkbookAndAFilter(t *testing.T) {
	t.Parallel()
	s := newStage(t, 30)
	e := s.create(export.NewExport{Kind: export.Calls, Format: export.XLSX, Filter: call.Filter{ContactID: s.contacts[0], StartedFrom: noon.Add(-10 * time.Second)}})
	e = s.until(e.ID, export.Done)
	if b := s.read(e.ID); e.RowCount != 4 || !bytes.HasPrefix(b, []byte("PK")) || !strings.HasSuffix(e.FileName, ".xlsx") {
		t.Errorf("%d rows, %q", e.RowCount, e.FileName)
	}
	want := []export.Condition{{Field: "contactId", Value: s.contacts[0].String()}, {Field: "startedFrom", Value: "2026-11-20T11:59:50Z"}}
	if d := cmp.Diff(want, e.Conditions()); d != "" {
		t.Error(d)
	}
}

func TestContactsAreExportedAsTheirReaderSeesThem(t *testing.T) {
	t.Parallel()
	s := newStage(t, 0)
	in := export.NewExport{Kind: export.Contacts, Columns: []string{"name", "phone", "email"}}
	e := s.create(in)
	s.until(e.ID, export.Done)
	want := [][]string{{"Name", "Phone", "E-mail"}, {"'+1 (555) 0100", "'+61400000002", "j@x.test"}, {`Jane "J" Citizen`, "'+61400000001", "j@x.test"}, {`'=HYPERLINK("http://evil")`, "'+61400000000", "j@x.test"}}
	if d := cmp.Diff(want, s.rows(e.ID)); d != "" {
		t.Error(d)
	}
	// A fieldworker from whom contact details are hidden gets none of them (R241).
	s.boss.IsFieldworker, s.boss.Switched = true, []access.FieldworkerOption{access.DisplayContactDetails}
	s.authority = s.boss
	e = s.create(in)
	s.until(e.ID, export.Done)
	if text := string(s.read(e.ID)); strings.Contains(text, "6140000") || strings.Contains(text, "x.test") || strings.Contains(text, "0100") {
		t.Errorf("details are shown: %s", text)
	}
}

func TestBadInputIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3)
	for name, c := range map[string]struct {
		in    export.NewExport
		code  errs.Code
		words string
	}{
		"an unknown kind":       {export.NewExport{Kind: "SECRETS"}, errs.Invalid, "no such kind"},
		"calls as ZIP":          {export.NewExport{Kind: export.Calls, Format: export.ZIP}, errs.Unsupported, "ZIP"},
		"audio as CSV":          {export.NewExport{Kind: export.RecordingAudio, Format: export.CSV}, errs.Unsupported, "ZIP"},
		"audio with columns":    {export.NewExport{Kind: export.RecordingAudio, Columns: []string{"id"}}, errs.Unsupported, "manifest"},
		"an unknown column":     {export.NewExport{Kind: export.Calls, Columns: []string{"password"}}, errs.Invalid, `"password"`},
		"SQL as a column":       {export.NewExport{Kind: export.Calls, Columns: []string{"id; DROP TABLE call"}}, errs.Invalid, "no column"},
		"a column twice":        {export.NewExport{Kind: export.Calls, Columns: []string{"id", "id"}}, errs.Invalid, "twice"},
		"no columns":            {export.NewExport{Kind: export.Calls, Columns: []string{}}, errs.Required, "no column"},
		"an unknown time zone":  {export.NewExport{Kind: export.Calls, TimeZone: "../../etc/passwd"}, errs.Invalid, "time zone"},
		"this machine's zone":   {export.NewExport{Kind: export.Calls, TimeZone: "Local"}, errs.Invalid, "time zone"},
		"a name that is no one": {export.NewExport{Kind: export.Contacts, Filter: contact.Filter{NameStartsWith: strings.Repeat("x", 5000)}}, errs.Invalid, ""},
	} {
		_, err := s.svc.Create(s.ctx(), s.boss, c.in, "")
		refused(t, name, err, c.code, c.words)
	}
	if n := s.count(`SELECT count(*) FROM export`); n != 0 {
		t.Errorf("%d exports were made", n)
	}
}

func TestTheSameKeyMakesOneExport(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3)
	a, err := s.svc.Create(s.ctx(), s.boss, export.NewExport{Kind: export.Calls}, "k1")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := s.svc.Create(s.ctx(), s.boss, export.NewExport{Kind: export.Calls}, "k1"); err != nil || b.ID != a.ID {
		t.Errorf("got %v, %v", b, err)
	}
	_, err = s.svc.Create(s.ctx(), s.boss, export.NewExport{Kind: export.Contacts}, "k1")
	refused(t, "another input", err, errs.IdempotencyReused, "")
}

// Every permission is named when it is missing, when the export is made, while it
// runs, and when its file is read.
func TestARoleIsAskedAtEveryStep(t *testing.T) {
	t.Parallel()
	s := newStage(t, 50)
	needs := map[export.Kind][]access.Permission{
		export.Calls: {access.CallView}, export.Messages: {access.SMSView}, export.Recordings: {access.RecordingListen},
		export.RecordingAudio: {access.RecordingListen, access.RecordingExport}, export.Voicemails: {access.VoicemailListen},
		export.Transcripts: {access.TranscriptView}, export.FollowUps: {access.FollowUpView}, export.Contacts: {access.ContactView},
		export.Records: {access.ContactView}, export.Audit: {access.AuditView},
	}
	without := func(gone access.Permission) access.Actor {
		who := s.boss
		who.Permissions = access.SetOf(slices.DeleteFunc(slices.Clone(access.All), func(p access.Permission) bool { return p == gone })...)
		return who
	}
	for kind, all := range needs {
		for _, p := range append(all, access.ReportExport) {
			_, err := s.svc.Create(s.ctx(), without(p), export.NewExport{Kind: kind}, "")
			refused(t, string(kind)+" without "+string(p), err, errs.Forbidden, string(p))
			_, err = s.svc.Columns(without(p), kind)
			refused(t, "columns of "+string(kind)+" without "+string(p), err, errs.Forbidden, string(p))
		}
	}
	for _, c := range []struct {
		column string
		p      access.Permission
	}{{"cost", access.CostView}, {"currency", access.CostView}} {
		_, err := s.svc.Create(s.ctx(), without(c.p), export.NewExport{Kind: export.Messages, Columns: []string{c.column}}, "")
		refused(t, c.column, err, errs.Invalid, "no column")
	}

	// While it runs.
	at, release := s.holdAt(3)
	e := s.create(export.NewExport{Kind: export.Calls})
	<-at
	s.mu.Lock()
	s.authority = without(access.CallView)
	s.mu.Unlock()
	release()
	e = s.until(e.ID, export.Failed)
	if e.Problem == nil || !strings.Contains(*e.Problem, "CALL_VIEW") || len(s.files()) != 0 {
		t.Errorf("problem %v, files %q", e.Problem, s.files())
	}

	// Of one who is gone.
	s.mu.Lock()
	s.authority, s.refused, s.gate = s.boss, errs.New(errs.Unauthenticated, "sign in again"), nil
	s.mu.Unlock()
	e = s.until(s.create(export.NewExport{Kind: export.Calls}).ID, export.Failed)
	if !strings.Contains(*e.Problem, "no active user") {
		t.Errorf("problem %q", *e.Problem)
	}

	// When the file is read.
	s.mu.Lock()
	s.refused = nil
	s.mu.Unlock()
	e = s.until(s.create(export.NewExport{Kind: export.Calls}).ID, export.Done)
	for _, p := range []access.Permission{access.CallView, access.ReportExport} {
		_, _, err := s.svc.Open(s.ctx(), without(p), e.ID)
		refused(t, "reading without "+string(p), err, errs.Forbidden, string(p))
		if s.svc.Downloadable(without(p), e) {
			t.Errorf("there is a link without %s", p)
		}
	}
}

func TestOthersSeeAnExportOnlyInTheAuditLog(t *testing.T) {
	t.Parallel()
	s := newStage(t, 5)
	e := s.until(s.create(export.NewExport{Kind: export.Calls}).ID, export.Done)
	other := s.boss
	other.UserID = id.New(id.User)
	if _, err := s.svc.Get(s.ctx(), other, e.ID); err != nil {
		t.Errorf("whoever reads the audit log knows of it: %v", err)
	}
	_, _, err := s.svc.Open(s.ctx(), other, e.ID)
	refused(t, "the file of another", err, errs.NotFound, "no such export")
	other.Permissions = access.SetOf(access.ReportExport, access.CallView)
	_, err = s.svc.Get(s.ctx(), other, e.ID)
	refused(t, "another's export", err, errs.NotFound, "")
	_, err = s.svc.Cancel(s.ctx(), other, e.ID)
	refused(t, "ending another's export", err, errs.NotFound, "")
	if w, err := s.svc.List(s.ctx(), other, export.Filter{}, db.Page{}); err != nil || len(w.Nodes) != 0 {
		t.Errorf("%d exports, %v", len(w.Nodes), err)
	}
	if w, err := s.svc.List(s.ctx(), s.boss, export.Filter{Kind: export.Calls, Statuses: []export.Status{export.Done}}, db.Page{}); err != nil || len(w.Nodes) != 1 {
		t.Errorf("%d exports, %v", len(w.Nodes), err)
	}
	foreign := access.Actor{OrganizationID: id.New(id.Organization), UserID: s.boss.UserID, Visibility: access.SeesOrganization, Permissions: everything}
	_, _, err = s.svc.Open(s.ctx(), foreign, e.ID)
	refused(t, "another tenant", err, errs.NotFound, "")
}

// R218: who exported what, how many rows, and who took the file; no number that somebody looked for.
func TestExportsAreWrittenToTheAuditLog(t *testing.T) {
	t.Parallel()
	s := newStage(t, 5)
	e := s.until(s.create(export.NewExport{Kind: export.Contacts, Filter: contact.Filter{Number: "+61400000001", NameStartsWith: "Ja"}}).ID, export.Done)
	s.read(e.ID)
	s.read(e.ID) // ranges and second tries are one entry
	var rows []struct {
		Action string         `bun:"action"`
		Actor  id.ID          `bun:"actor_id"`
		Detail map[string]any `bun:"detail,type:jsonb"`
	}
	if err := db.Select(t.Context(), s.db.Worker(), &rows, `SELECT action, actor_id, detail FROM audit_entry WHERE subject = $1 ORDER BY at, id`, e.ID); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		if got = append(got, r.Action); r.Actor != s.boss.UserID {
			t.Errorf("%s by %s", r.Action, r.Actor)
		}
	}
	if d := cmp.Diff([]string{"export.create", "export.complete", "export.download"}, got); d != "" {
		t.Fatal(d)
	}
	if b, _ := json.Marshal(rows[0].Detail); strings.Contains(string(b), "400000001") || strings.Contains(string(b), "Ja\"") || !strings.Contains(string(b), "CSV") {
		t.Errorf("the detail is %s", b)
	}
	if rows[1].Detail["rows"] != 1.0 {
		t.Errorf("rows are %v", rows[1].Detail["rows"])
	}
}

// Filters never become SQL: whatever stands in them finds nothing more and breaks nothing.
func TestFiltersNeverBecomeSQL(t *testing.T) {
	t.Parallel()
	s := newStage(t, 7)
	hostile := []string{"'", "''; DROP TABLE call; --", "$1", "$$", "\\", "%", "_", ") OR (true", "\x00", "*/", "{}", "NULL", "\u202e", strings.Repeat("a", 300), "&|!:*<->", "ſ", "\xff"}
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.OneOf(rapid.SampledFrom(hostile), rapid.String()).Draw(r, "text")
		for _, in := range []export.NewExport{
			{Kind: export.Calls, Filter: call.Filter{BusinessUnit: text}},
			{Kind: export.Calls, Filter: call.Filter{Status: []call.Status{call.Status(text)}, Direction: call.Direction(text)}},
			{Kind: export.Contacts, Filter: contact.Filter{Number: text}},
			{Kind: export.Contacts, Filter: contact.Filter{NameStartsWith: text + "q"}},
			{Kind: export.Contacts, Filter: contact.Filter{Status: text + "q", Tag: text, Service: text, Location: text, Kind: contact.Kind(text)}},
			{Kind: export.Records, Filter: contact.RecordFilter{Status: text, Tag: text, Service: text, Location: text, Kind: contact.RecordKind(text)}},
			{Kind: export.Calls, Columns: []string{text}},
			{Kind: export.Calls, TimeZone: text + "/x"},
		} {
			e, err := s.svc.Create(s.ctx(), s.boss, in, "")
			if err != nil {
				known, ok := errs.As(err)
				if !ok || known.Code == errs.Internal || known.Code == errs.Unavailable {
					r.Fatalf("%+v: %v", in, err)
				}
				continue
			}
			if _, err := s.svc.Cancel(s.ctx(), s.boss, e.ID); err != nil {
				r.Fatal(err)
			}
		}
	})
	if n := s.count(`SELECT count(*) FROM call`); n != 7 {
		t.Errorf("%d calls are left", n)
	}
}
