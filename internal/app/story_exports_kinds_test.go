package app_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
)

// workbook is the table of the first sheet of a workbook.
func (s *story) workbook(link string) (rows [][]string) {
	s.t.Helper()
	status, body, _ := s.download(link)
	if status != http.StatusOK {
		s.t.Fatalf("the file answers %d: %s", status, body)
	}
	z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	s.Must(err)
	f, err := z.Open("xl/worksheets/sheet1.xml")
	s.Must(err)
	var page struct {
		Rows []struct {
			Cells []struct {
				Text  string `xml:"is>t"`
				Value string `xml:"v"`
			} `xml:"c"`
		} `xml:"sheetData>row"`
	}
	s.Must(xml.NewDecoder(f).Decode(&page))
	for _, r := range page.Rows {
		var cells []string
		for _, c := range r.Cells {
			cells = append(cells, c.Text+c.Value)
		}
		rows = append(rows, cells)
	}
	return rows
}

// Each log is written as it is listed, row for row and in both formats (R216-R218).
func TestEachLogIsExportedAsItIsListed(t *testing.T) {
	s := newStory(t)
	o := furnish(s, "Log", officeNumber)
	kinds := map[string]struct {
		list    string   // its query, of what the columns hold
		columns []string // the first is the id
		row     func(n map[string]any) []string
	}{
		"CALLS": {`calls(first: 100) { nodes { id direction status from { display } contact { name } } }`, []string{"id", "direction", "status", "from", "contact"},
			func(n map[string]any) []string {
				return []string{shownAt(n, "id"), shownAt(n, "direction"), shownAt(n, "status"), shownAt(n, "from", "display"), shownAt(n, "contact", "name")}
			}},
		"MESSAGES": {`messages(first: 100) { nodes { id direction status from { display } body } }`, []string{"id", "direction", "status", "from", "body"},
			func(n map[string]any) []string {
				return []string{shownAt(n, "id"), shownAt(n, "direction"), shownAt(n, "status"), shownAt(n, "from", "display"), shownAt(n, "body")}
			}},
		"RECORDINGS": {`recordings(first: 100) { nodes { id status mediaState channels call { id } } }`, []string{"id", "status", "mediaState", "channels", "callId"},
			func(n map[string]any) []string {
				return []string{shownAt(n, "id"), shownAt(n, "status"), shownAt(n, "mediaState"), shownAt(n, "channels"), shownAt(n, "call", "id")}
			}},
		"VOICEMAILS": {`voicemails(first: 100) { nodes { id from { display } durationSeconds contact { name } call { id } } }`, []string{"id", "from", "durationSeconds", "contact", "callId"},
			func(n map[string]any) []string {
				return []string{shownAt(n, "id"), shownAt(n, "from", "display"), shownAt(n, "durationSeconds"), shownAt(n, "contact", "name"), shownAt(n, "call", "id")}
			}},
		"TRANSCRIPTS": {`transcripts(first: 100) { nodes { id source status language recording { id } } }`, []string{"id", "source", "status", "language", "recordingId"},
			func(n map[string]any) []string {
				return []string{shownAt(n, "id"), shownAt(n, "source"), shownAt(n, "status"), shownAt(n, "language"), shownAt(n, "recording", "id")}
			}},
		"FOLLOW_UPS": {`followUps(first: 100) { nodes { id kind status from { display } attemptCount } }`, []string{"id", "kind", "status", "from", "attemptCount"},
			func(n map[string]any) []string {
				return []string{shownAt(n, "id"), shownAt(n, "kind"), shownAt(n, "status"), shownAt(n, "from", "display"), shownAt(n, "attemptCount")}
			}},
		"CONTACTS": {`contacts(first: 100) { nodes { id kind name assignedUser { name } } }`, []string{"id", "kind", "name", "assignedUser"},
			func(n map[string]any) []string {
				return []string{shownAt(n, "id"), shownAt(n, "kind"), shownAt(n, "name"), shownAt(n, "assignedUser", "name")}
			}},
		"RECORDS": {`records(first: 100) { nodes { id kind title contact { name } assignedUser { name } } }`, []string{"id", "kind", "title", "contact", "assignedUser"},
			func(n map[string]any) []string {
				return []string{shownAt(n, "id"), shownAt(n, "kind"), shownAt(n, "title"), shownAt(n, "contact", "name"), shownAt(n, "assignedUser", "name")}
			}},
		"AUDIT": {`auditEntries(first: 100, filter: {action: "number."}) { nodes { id action words subjectReference } }`, []string{"id", "action", "words", "subject"},
			func(n map[string]any) []string {
				return []string{shownAt(n, "id"), shownAt(n, "action"), shownAt(n, "words"), shownAt(n, "subjectReference")}
			}},
	}
	o.settled()
	for kind, k := range kinds {
		var out map[string]struct{ Nodes []map[string]any }
		s.Do(`{ `+k.list+` }`, nil, &out)
		var want [][]string
		for _, list := range out {
			for _, n := range list.Nodes {
				want = append(want, k.row(n))
			}
		}
		if len(want) == 0 || len(want) == 100 {
			t.Errorf("%s: %d are listed", kind, len(want))
		}
		for _, format := range []string{"CSV", "XLSX"} {
			input := demo.Vars{"kind": kind, "format": format, "columns": k.columns}
			if kind == "AUDIT" { // the log grows with each export
				input["audit"] = demo.Vars{"action": "number."}
			}
			e, code := s.export(s.Admin, input)
			if code != "" {
				t.Fatalf("%s: %s", kind, code)
			}
			e = s.exported(s.Admin, e.ID, "DONE")
			var rows [][]string
			if format == "CSV" {
				rows = s.table(*e.URL)
				for _, r := range rows {
					for i := range r { // what keeps a spreadsheet from running it
						r[i] = strings.TrimPrefix(r[i], "'")
					}
				}
			} else {
				rows = s.workbook(*e.URL)
			}
			if len(rows) != len(want)+1 || e.RowCount != len(want) || len(rows[0]) != len(k.columns) {
				t.Errorf("%s as %s: %d rows under %v, %d are listed", kind, format, len(rows)-1, rows[:min(1, len(rows))], len(want))
				continue
			}
			for i, r := range rows[1:] {
				for len(r) < len(k.columns) { // a workbook leaves empty cells out at the end
					r = append(r, "")
				}
				if !slices.Equal(r, want[i]) {
					t.Errorf("%s as %s: row %d is %q, listed is %q", kind, format, i+1, r, want[i])
					break
				}
			}
		}
	}
}

// shownAt is what stands at a path of an answer, as a table has it.
func shownAt(v any, path ...string) string {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64, json.Number:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%v", v)
}

// A set of recordings is chosen by a filter, and only their audio is taken away (R283).
func TestTheAudioOfAFilteredSetIsExported(t *testing.T) {
	s := newOffice(t, demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER"}})
	for range 2 {
		s.talk()
		s.Pass(5 * time.Second)
		s.hangUp(s.caller)
		s.PassSettling(10*time.Second, 2*time.Second)
	}
	all := s.archive(s.Admin, nil)
	if len(all) != 2 {
		t.Fatalf("%d recordings", len(all))
	}
	e, code := s.export(s.Admin, demo.Vars{"kind": "RECORDING_AUDIO", "recordings": demo.Vars{"callId": s.id}})
	if code != "" {
		t.Fatal(code)
	}
	e = s.exported(s.Admin, e.ID, "DONE")
	_, body, _ := s.download(*e.URL)
	z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	s.Must(err)
	var sounds []string
	for _, f := range z.File {
		if strings.HasPrefix(f.Name, "audio/") {
			sounds = append(sounds, f.Name)
		}
	}
	f, err := z.Open("manifest.json")
	s.Must(err)
	var manifest []struct{ File, RecordingID, CallID string }
	s.Must(json.NewDecoder(f).Decode(&manifest))
	if e.RowCount != 1 || len(sounds) != 1 || len(manifest) != 1 || manifest[0].CallID != s.id || manifest[0].File != sounds[0] {
		t.Errorf("%d rows, %v, %s", e.RowCount, sounds, asJSON(manifest))
	}
	for _, x := range all {
		if of := x.Call != nil && x.Call.ID == s.id; slices.Contains(s.tape(s.Admin, x.ID).life(), "EXPORTED") != of || of != (manifest[0].RecordingID == x.ID) {
			t.Errorf("of the set: %t, and the ledger of %s is %q", of, x.ID, s.tape(s.Admin, x.ID).life())
		}
	}
}

// What a rule of retention would delete is taken away before it does: the preview says
// how much, an export of the same days has all of it, and outlives what it is of (R227).
func TestWhatARuleWouldDeleteIsExportedBefore(t *testing.T) {
	s := newOffice(t, demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER"}})
	record := func() string {
		t.Helper()
		s.talk()
		s.Pass(5 * time.Second)
		s.hangUp(s.caller)
		s.PassSettling(10*time.Second, 2*time.Second)
		return s.call(s.caller).Recordings[0].ID
	}
	old := record()
	s.Pass(31 * 24 * time.Hour)
	s.Admin = s.SignIn("admin") // tokens do not live that long
	p := s.preview("RECORDINGS", 30)
	if p.Count != 1 || len(p.Sample) != 1 || p.Sample[0].ID != old {
		t.Fatalf("the preview is %+v", p)
	}
	e, code := s.export(s.Admin, demo.Vars{"kind": "RECORDING_AUDIO", "recordings": demo.Vars{"startedBefore": s.Clock.Now().AddDate(0, 0, -30)}})
	if code != "" {
		t.Fatal(code)
	}
	e = s.exported(s.Admin, e.ID, "DONE")
	audio := func() (data []byte) {
		t.Helper()
		_, body, _ := s.download(*s.exported(s.Admin, e.ID, "DONE").URL)
		z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
		s.Must(err)
		for _, f := range z.File {
			if strings.HasPrefix(f.Name, "audio/") {
				r, err := f.Open()
				s.Must(err)
				data, err = io.ReadAll(r)
				s.Must(err)
			}
		}
		return data
	}
	before := audio()
	if e.RowCount != p.Count || len(before) != p.Bytes {
		t.Errorf("%d recordings of %d bytes are in the file, the rule would delete %d of %d", e.RowCount, len(before), p.Count, p.Bytes)
	}
	rule, code := s.rule("RECORDINGS", 30, true, p.Confirmation)
	if code != "" {
		t.Fatal(code)
	}
	s.Do(`mutation($r: ID!) { retentionRunStart(ruleId: $r) { userErrors { code field message } } }`, demo.Vars{"r": rule}, nil)
	s.Settle()
	if x := s.tape(s.Admin, old); x.Status != "DELETED" || x.URL != nil || !slices.Contains(x.life(), "EXPORTED") {
		t.Errorf("after the rule it is %s", asJSON(x))
	}
	if !bytes.Equal(audio(), before) {
		t.Error("the file went with what it is of")
	}
}
