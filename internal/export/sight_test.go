package export_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/export"
	"switchboard/internal/id"
)

// lacking is the boss without permissions.
func (s *stage) lacking(gone ...access.Permission) access.Actor {
	who := s.boss
	who.Permissions = access.SetOf(slices.DeleteFunc(slices.Clone(access.All), func(p access.Permission) bool { return slices.Contains(gone, p) })...)
	return who
}

func (s *stage) setAuthority(who access.Actor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authority = who
}

// R241, R243: a file is given to its maker while they see all that was written into it.
func TestAFileIsNotGivenToWhoeverSeesLessNow(t *testing.T) {
	t.Parallel()
	s := newStage(t, 5)
	branches := []id.ID{id.New(id.Branch), id.New(id.Branch)}
	as := func(v access.Visibility, branches ...id.ID) access.Actor {
		who := s.boss
		who.Visibility, who.BranchIDs = v, branches
		return who
	}
	without := func(o access.FieldworkerOption) access.Actor {
		who := s.boss
		who.IsFieldworker, who.Switched = true, []access.FieldworkerOption{o}
		return who
	}
	for why, c := range map[string]struct {
		then, now access.Actor
		in        export.NewExport
		lost      string // "" is nothing
	}{
		"as it was":                 {s.boss, s.boss, export.NewExport{Kind: export.Contacts}, ""},
		"contact details hidden":    {s.boss, without(access.DisplayContactDetails), export.NewExport{Kind: export.Contacts}, "DISPLAY_CONTACT_DETAILS"},
		"they were hidden already":  {without(access.DisplayContactDetails), without(access.DisplayContactDetails), export.NewExport{Kind: export.Contacts}, ""},
		"own customers alone":       {s.boss, without(access.WholeCustomerBase), export.NewExport{Kind: export.Contacts}, "WHOLE_CUSTOMER_BASE"},
		"calls of own alone":        {s.boss, as(access.SeesOwn), export.NewExport{Kind: export.Calls}, "ORGANIZATION"},
		"calls of a branch alone":   {s.boss, as(access.SeesBranch, branches...), export.NewExport{Kind: export.Calls}, "ORGANIZATION"},
		"one branch less":           {as(access.SeesBranch, branches...), as(access.SeesBranch, branches[0]), export.NewExport{Kind: export.Calls}, "branches"},
		"one branch more":           {as(access.SeesBranch, branches[0]), as(access.SeesBranch, branches...), export.NewExport{Kind: export.Calls}, ""},
		"the organization by now":   {as(access.SeesBranch, branches...), s.boss, export.NewExport{Kind: export.Calls}, ""},
		"names of contacts":         {s.boss, s.lacking(access.ContactView), export.NewExport{Kind: export.Calls}, "CONTACT_VIEW"},
		"a column":                  {s.boss, s.lacking(access.RecordingListen), export.NewExport{Kind: export.Calls, Columns: []string{"id", "recordings"}}, "recordings"},
		"a column that is not in":   {s.boss, s.lacking(access.RecordingListen), export.NewExport{Kind: export.Calls, Columns: []string{"id"}}, ""},
		"ledgers of recordings":     {s.boss, s.lacking(access.AuditView, access.RecordingDelete), export.NewExport{Kind: export.RecordingAudio}, "ledgers"},
		"what is nothing to a file": {s.boss, s.lacking(access.AuditView, access.RecordingDelete, access.CallMake), export.NewExport{Kind: export.Calls}, ""},
	} {
		s.setAuthority(c.then)
		e, err := s.svc.Create(access.With(t.Context(), c.then), c.then, c.in, "")
		if err != nil {
			t.Fatalf("%s: %v", why, err)
		}
		e = s.until(e.ID, export.Done)
		f, _, err := s.svc.Open(access.With(t.Context(), c.now), c.now, e.ID)
		if err == nil {
			_ = f.Close()
		}
		if link := s.svc.Downloadable(c.now, e); link != (c.lost == "") {
			t.Errorf("%s: there is a link: %t", why, link)
		}
		if c.lost == "" && err != nil {
			t.Errorf("%s: %v", why, err)
		} else if c.lost != "" {
			refused(t, why, err, errs.Forbidden, c.lost)
		}
	}
}

// R241: what is taken away while a file is written ends it; what was written unmasked goes.
func TestAnExportEndsWhenItsMakerSeesLess(t *testing.T) {
	t.Parallel()
	s := newStage(t, 50)
	at, release := s.holdAt(3)
	e := s.create(export.NewExport{Kind: export.Calls})
	<-at
	narrow := s.boss
	narrow.IsFieldworker, narrow.Switched = true, []access.FieldworkerOption{access.DisplayContactDetails}
	s.setAuthority(narrow)
	release()
	e = s.until(e.ID, export.Failed)
	if e.Problem == nil || !strings.Contains(*e.Problem, "DISPLAY_CONTACT_DETAILS") || len(s.files()) != 0 {
		t.Errorf("problem %v, files %q", e.Problem, s.files())
	}
	// Made anew, it shows what they see by now.
	s.mu.Lock()
	s.gate = nil
	s.mu.Unlock()
	e = s.until(s.create(export.NewExport{Kind: export.Calls}).ID, export.Done)
	if text := string(s.read(e.ID)); strings.Contains(text, "+614") {
		t.Error("it shows numbers of customers")
	}
}

// Files of which nobody noted what their maker saw are for those who see everything.
func TestAnOldFileIsForWhoeverSeesEverything(t *testing.T) {
	t.Parallel()
	s := newStage(t, 5)
	e := s.until(s.create(export.NewExport{Kind: export.Calls}).ID, export.Done)
	s.exec(`UPDATE export SET sight = NULL WHERE id = $1`, e.ID)
	s.read(e.ID)
	narrow := s.boss
	narrow.Visibility = access.SeesBranch
	_, _, err := s.svc.Open(s.ctx(), narrow, e.ID)
	refused(t, "an old file", err, errs.Forbidden, "ORGANIZATION")
}

// R218: whoever reads the audit log learns that something was looked for, and not which number.
func TestOthersAreNotToldWhatWasLookedFor(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	e := s.until(s.create(export.NewExport{Kind: export.Contacts, Filter: contact.Filter{Number: "+61400000001", NameStartsWith: "Ja", Kind: contact.KindCustomer}}).ID, export.Done)
	if d := cmp.Diff([]export.Condition{{Field: "kind", Value: "CUSTOMER"}, {Field: "nameStartsWith", Value: "Ja"}, {Field: "number", Value: "+61400000001"}}, e.Conditions()); d != "" {
		t.Error(d)
	}
	auditor := s.boss
	auditor.UserID = id.New(id.User)
	one, err := s.svc.Get(s.ctx(), auditor, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.svc.List(s.ctx(), auditor, export.Filter{}, db.Page{})
	if err != nil || len(page.Nodes) != 1 {
		t.Fatalf("%d exports, %v", len(page.Nodes), err)
	}
	some, err := s.svc.Visible(s.ctx(), auditor, []id.ID{e.ID})
	if err != nil || some[e.ID] == nil {
		t.Fatal(err)
	}
	ended, err := s.svc.Cancel(s.ctx(), auditor, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	for how, x := range map[string]*export.Export{"one": one, "a page": page.Nodes[0], "several": some[e.ID], "ended": ended} {
		b, err := json.Marshal(x.Conditions())
		if err != nil || strings.Contains(string(b), "400000001") || strings.Contains(string(b), "Ja\"") || !strings.Contains(string(b), "CUSTOMER") || !strings.Contains(string(b), `"number"`) {
			t.Errorf("%s: %s, %v", how, b, err)
		}
	}
}

// recording makes a recording of the newest call, and a voicemail that was left.
func (s *stage) recording() (call, recording, voicemail id.ID) {
	s.Helper()
	if err := db.Select(s.ctx(), s.db.App(), &call, `SELECT id FROM call WHERE organization_id = $1 ORDER BY started_at DESC LIMIT 1`, s.org); err != nil {
		s.Fatal(err)
	}
	recording, voicemail = id.New(id.Recording), id.New(id.Voicemail)
	left := id.New(id.Recording)
	for _, r := range []struct {
		id      id.ID
		purpose string
	}{{recording, "CALL"}, {left, "VOICEMAIL"}} {
		s.exec(`INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, started_at, media_state, updated_at) VALUES ($1, $2, $3, $4, $5, 'COMPLETED', $6, 'GONE', $6)`,
			s.org, r.id, call, "RE"+r.purpose, r.purpose, noon)
	}
	s.exec(`INSERT INTO voicemail (organization_id, id, call_id, recording_id, from_number, received_at, updated_at) VALUES ($1, $2, $3, $4, '+61400000001', $5, $5)`, s.org, voicemail, call, left, noon)
	s.exec(`INSERT INTO recording_ledger (organization_id, id, recording_id, kind, at) VALUES ($1, $2, $3, 'LISTENED', $4)`, s.org, id.New(id.Fact), recording, noon)
	return call, recording, voicemail
}

// R214: the log of calls says what there is to hear of each.
func TestCallsNameTheirRecordingsAndVoicemail(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	call, recording, voicemail := s.recording()
	e := s.until(s.create(export.NewExport{Kind: export.Calls, Columns: []string{"id", "recordings", "voicemail"}}).ID, export.Done)
	rows := s.rows(e.ID)
	if d := cmp.Diff([]string{call.String(), recording.String(), voicemail.String()}, rows[1]); d != "" || rows[2][1]+rows[2][2] != "" {
		t.Errorf("%s\n%q", d, rows)
	}
	deaf := s.lacking(access.RecordingListen, access.VoicemailListen)
	columns, err := s.svc.Columns(deaf, export.Calls)
	if err != nil || slices.ContainsFunc(columns, func(c export.Column) bool { return c.Name == "recordings" || c.Name == "voicemail" }) {
		t.Errorf("who may not listen is offered %+v, %v", columns, err)
	}
}

// R283: the manifest has the ledgers for those alone whom recordings show them.
func TestTheManifestHasNoLedgerForWhomItIsHidden(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	_, recording, _ := s.recording()
	for name, c := range map[string]struct {
		who  access.Actor
		want int
	}{"everything": {s.boss, 1}, "deleting": {s.lacking(access.AuditView), 1}, "listening": {s.lacking(access.AuditView, access.RecordingDelete), 0}} {
		s.setAuthority(c.who)
		e := s.until(s.create(export.NewExport{Kind: export.RecordingAudio}).ID, export.Done)
		b := s.read(e.ID)
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		f, err := z.Open("manifest.json")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		var entries []struct {
			RecordingID id.ID
			Ledger      []struct{ Kind string }
		}
		if err := json.Unmarshal(text, &entries); err != nil {
			t.Fatal(err)
		}
		if len(entries) != 1 || entries[0].RecordingID != recording || len(entries[0].Ledger) != c.want {
			t.Errorf("%s: the manifest is %s", name, text)
		}
	}
}

// A file that cannot be erased is not forgotten: it is tried again.
func TestAFileThatCannotBeErasedIsNotForgotten(t *testing.T) {
	t.Parallel()
	s := newStage(t, 60)
	stuck := func(x id.ID) (free func()) { // a folder in the file's place that is not empty
		var key string
		if err := db.Select(s.ctx(), s.db.App(), &key, `SELECT media_key FROM export WHERE organization_id = $1 AND id = $2`, s.org, x); err != nil {
			t.Fatal(err)
		}
		place := filepath.Join(s.folder, s.org.String(), key[:2], key+".stuck.tmp")
		if err := os.MkdirAll(filepath.Join(place, "full"), 0o700); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.RemoveAll(place); err != nil {
				t.Fatal(err)
			}
		}
	}
	held := func(x id.ID) int {
		return s.count(`SELECT count(*) FROM export WHERE id = $1 AND media_key IS NOT NULL`, x)
	}
	erased := func(x id.ID) {
		t.Helper()
		s.clk.Advance(2 * time.Minute)
		if err := s.jobs.RunSweeps(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.settled(x)
		if files := s.files(); len(files) != 0 {
			t.Errorf("left %q", files)
		}
	}

	at, release := s.holdAt(3)
	failed := s.create(export.NewExport{Kind: export.Calls})
	<-at
	free := stuck(failed.ID)
	s.setAuthority(s.lacking(access.CallView))
	release()
	s.until(failed.ID, export.Failed)
	if held(failed.ID) != 1 {
		t.Error("the file of an export that failed is forgotten")
	}
	free()
	erased(failed.ID)

	s.setAuthority(s.boss)
	at, release = s.holdAt(3)
	canceled := s.create(export.NewExport{Kind: export.Calls})
	<-at
	free = stuck(canceled.ID)
	if _, err := s.svc.Cancel(s.ctx(), s.boss, canceled.ID); err != nil {
		t.Fatal(err)
	}
	release()
	s.idle()
	if held(canceled.ID) != 1 {
		t.Error("the file of an export that was ended is forgotten")
	}
	free()
	erased(canceled.ID)
}

// What a killed process left is erased before its key is forgotten.
func TestWhatAKilledProcessLeftIsErasedBeforeItsKeyIsForgotten(t *testing.T) {
	t.Parallel()
	s := newStage(t, 60)
	at, release := s.holdAt(3)
	e := s.create(export.NewExport{Kind: export.Calls})
	<-at // it says nothing any more
	var key string
	if err := db.Select(s.ctx(), s.db.App(), &key, `SELECT media_key FROM export WHERE organization_id = $1 AND id = $2`, s.org, e.ID); err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(s.folder, s.org.String(), key[:2], key+".stuck.tmp")
	if err := os.MkdirAll(filepath.Join(place, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.clk.Advance(3 * time.Minute)
	if got := s.until(e.ID, export.Queued, export.Failed); got.MediaKey == nil || *got.MediaKey != key {
		t.Errorf("the key of what was left is %v", got.MediaKey)
	}
	if err := os.RemoveAll(place); err != nil {
		t.Fatal(err)
	}
	s.clk.Advance(2 * time.Minute)
	release()
	s.until(e.ID, export.Done)
	s.idle()
	if files := s.files(); len(files) != 1 || strings.Contains(files[0], key) {
		t.Errorf("files %q", files)
	}
}
