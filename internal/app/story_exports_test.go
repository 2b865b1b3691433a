package app_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
)

type exportView struct {
	ID, Kind, Format, Status, FileName, TimeZone string
	Columns                                      []string
	Conditions                                   []struct{ Field, Value string }
	RowCount, ByteCount, Version                 int
	EstimatedRowCount                            *int
	Problem, URL, Sha256                         *string
	CreatedBy                                    *ref
	ExpiresAt                                    *time.Time
}

const exportFields = `id kind format status fileName timeZone columns conditions { field value } rowCount byteCount version estimatedRowCount problem url sha256 createdBy { id name } expiresAt`

const exportCreate = `mutation($i: ExportCreateInput!, $k: String) { exportCreate(input: $i, idempotencyKey: $k) { export { ` + exportFields + ` } userErrors { code field message } } }`

// export asks for one, as somebody, and gives the code of the refusal if there is one.
func (s *story) export(who *demo.Client, input demo.Vars) (e exportView, code string) {
	s.t.Helper()
	var out struct{ ExportCreate struct{ Export *exportView } }
	code = s.try(who, exportCreate, demo.Vars{"i": input}, &out)
	if out.ExportCreate.Export != nil {
		e = *out.ExportCreate.Export
	}
	return e, code
}

// exported waits until an export is as wanted, for its maker.
func (s *story) exported(who *demo.Client, x, want string) (e exportView) {
	s.t.Helper()
	s.Settle()
	var out struct{ Export *exportView }
	s.Must(who.Do(s.t.Context(), `query($id: ID!) { export(id: $id) { `+exportFields+` } }`, demo.Vars{"id": x}, &out))
	if out.Export == nil || out.Export.Status != want {
		s.t.Fatalf("the export is %s, want %s", asJSON(out.Export), want)
	}
	return *out.Export
}

// fetch gets a file by its link.
func (s *story) download(link string, header ...string) (status int, body []byte, h http.Header) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, link, nil)
	s.Must(err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	s.Must(err)
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	s.Must(err)
	return resp.StatusCode, body, resp.Header
}

func (s *story) table(link string) [][]string {
	s.t.Helper()
	status, body, _ := s.download(link)
	if status != http.StatusOK {
		s.t.Fatalf("the file answers %d: %s", status, body)
	}
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(body, []byte("\uFEFF")))).ReadAll()
	s.Must(err)
	return rows
}

// R216-R218: the log is written to a file, fetched by a link of one's own, and expires.
func TestACallLogIsExportedFetchedAndErased(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	for range 3 {
		s.hangUp(s.dial(customer, officeNumber))
	}
	after := s.cursor()
	e, code := s.export(s.Admin, demo.Vars{"kind": "CALLS", "columns": []string{"from", "direction", "startedAt"}, "timeZone": "UTC", "delimiter": "SEMICOLON",
		"withByteOrderMark": false, "calls": demo.Vars{"direction": "INBOUND"}})
	if code != "" || e.Status != "QUEUED" || e.URL != nil || len(e.Conditions) != 1 || e.Conditions[0].Field != "direction" {
		t.Fatalf("%s, %+v", code, e)
	}
	e = s.exported(s.Admin, e.ID, "DONE")
	if e.RowCount != 3 || e.EstimatedRowCount == nil || *e.EstimatedRowCount != 3 || e.URL == nil || e.Sha256 == nil || e.CreatedBy == nil || !strings.HasSuffix(e.FileName, ".csv") {
		t.Fatalf("got %s", asJSON(e))
	}
	status, body, head := s.download(*e.URL)
	sum := sha256.Sum256(body)
	if status != http.StatusOK || hex.EncodeToString(sum[:]) != *e.Sha256 || len(body) != e.ByteCount || head.Get("Content-Disposition") != `attachment; filename="`+e.FileName+`"` ||
		!strings.HasPrefix(head.Get("Content-Type"), "text/csv") {
		t.Errorf("%d, %d bytes, %v", status, len(body), head)
	}
	if lines := strings.Split(string(body), "\r\n"); len(lines) != 5 || lines[0] != `"From";"Direction";"Started"` || !strings.HasPrefix(lines[1], `"'`+customer+`";"INBOUND";20`) {
		t.Errorf("the file is %q", lines)
	}
	if status, part, head := s.download(*e.URL, "Range", "bytes=5-9"); status != http.StatusPartialContent || string(part) != string(body[5:10]) || head.Get("Content-Range") == "" {
		t.Errorf("a range answers %d, %q", status, part)
	}

	// Progress comes in order, to whoever may know of it.
	f := s.watch(s.Admin, `subscription($a: Cursor) { events(after: $a, types: [EXPORT_UPDATED]) { __typename ... on ExportUpdated { export { id } } } }`, demo.Vars{"after": after, "a": after})
	var told struct {
		Events struct {
			Type   string `json:"__typename"`
			Export struct{ ID string }
		}
	}
	if f.next(&told); told.Events.Type != "ExportUpdated" || told.Events.Export.ID != e.ID {
		t.Errorf("told %+v", told)
	}
	f.Stop()

	// A signature of another file, an old link, no link.
	other, _ := s.export(s.Admin, demo.Vars{"kind": "CALLS"})
	other = s.exported(s.Admin, other.ID, "DONE")
	if status, _, _ := s.download(strings.Replace(*e.URL, e.ID, other.ID, 1)); status != http.StatusUnauthorized {
		t.Errorf("the link of another file answers %d", status)
	}
	s.Pass(6 * time.Minute)
	if status, _, _ := s.download(*e.URL); status != http.StatusUnauthorized {
		t.Errorf("an old link answers %d", status)
	}
	if status, _, _ := s.download(s.URL + "/media/" + e.ID); status != http.StatusUnauthorized {
		t.Errorf("no link answers %d", status)
	}
	if rows := s.table(*s.exported(s.Admin, other.ID, "DONE").URL); len(rows) != 4 {
		t.Errorf("%d rows", len(rows))
	}

	// Another tenant, with the same name for it.
	theirs := s.Another("Other")
	if code := s.try(theirs.Admin, `query($id: ID!) { export(id: $id) { id } }`, demo.Vars{"id": e.ID}, nil); code != "" {
		t.Errorf("asking for a foreign export: %s", code)
	}
	if status, _, _ := s.download(s.URL+"/media/"+e.ID, "Authorization", "Bearer "+theirs.Admin.Token()); status != http.StatusNotFound {
		t.Errorf("a foreign token answers %d", status)
	}

	s.Pass(8 * 24 * time.Hour)
	s.Admin = s.SignIn("admin") // tokens do not live that long
	e = s.exported(s.Admin, e.ID, "EXPIRED")
	if e.URL != nil {
		t.Error("an expired export has a link")
	}
	if status, _, _ := s.download(s.URL+"/media/"+e.ID, "Authorization", "Bearer "+s.Admin.Token()); status != http.StatusNotFound && status != http.StatusUnauthorized {
		t.Errorf("an expired file answers %d", status)
	}
	var acts []string
	for _, x := range s.entries(demo.Vars{"subjectId": e.ID}) {
		acts = append(acts, x.Action)
	}
	if slices.Reverse(acts); !slices.Equal(acts, []string{"export.create", "export.complete", "export.download", "export.expire"}) {
		t.Errorf("the audit log has %q", acts)
	}
}

// A role that changes meanwhile closes the file, the list and the way to new ones.
func TestARoleThatChangesClosesItsExports(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	s.hangUp(s.dial(customer, officeNumber))
	p := s.User("mia", "ADMIN", "")
	e, code := s.export(p.Client, demo.Vars{"kind": "CALLS"})
	if code != "" {
		t.Fatal(code)
	}
	e = s.exported(p.Client, e.ID, "DONE")
	s.change(p, demo.Vars{"roleId": s.Role("OFFICE")})
	if status, _, _ := s.download(*e.URL); status != http.StatusForbidden {
		t.Errorf("the link answers %d", status)
	}
	if _, code := s.export(p.Client, demo.Vars{"kind": "CALLS"}); code != "FORBIDDEN" {
		t.Errorf("another export: %s", code)
	}
	if code := s.try(p.Client, `{ exports { nodes { id } } }`, nil, nil); code != "FORBIDDEN" {
		t.Errorf("the list: %s", code)
	}
	if code := s.try(p.Client, `mutation($id: ID!) { exportCancel(id: $id) { userErrors { code field message } } }`, demo.Vars{"id": e.ID}, nil); code != "FORBIDDEN" {
		t.Errorf("ending it: %s", code)
	}
	// Its administrator knows of it, ends it, and never has its file.
	var out struct{ Export exportView }
	s.Do(`query($id: ID!) { export(id: $id) { `+exportFields+` } }`, demo.Vars{"id": e.ID}, &out)
	if out.Export.URL != nil || out.Export.CreatedBy.ID != p.ID {
		t.Errorf("got %s", asJSON(out.Export))
	}
	s.Do(`mutation($id: ID!) { exportCancel(id: $id) { export { status } userErrors { code field message } } }`, demo.Vars{"id": e.ID}, nil)
	s.exported(s.Admin, e.ID, "CANCELED")
}

func TestBadExportsAreToldWhatIsWrong(t *testing.T) {
	s := newStory(t)
	for name, c := range map[string]struct {
		input demo.Vars
		code  string
	}{
		"the filter of another kind": {demo.Vars{"kind": "CALLS", "contacts": demo.Vars{"number": "1"}}, "INVALID"},
		"audio as CSV":               {demo.Vars{"kind": "RECORDING_AUDIO", "format": "CSV"}, "UNSUPPORTED"},
		"calls as ZIP":               {demo.Vars{"kind": "CALLS", "format": "ZIP"}, "UNSUPPORTED"},
		"no such column":             {demo.Vars{"kind": "CALLS", "columns": []string{"x'; DROP TABLE call; --"}}, "INVALID"},
		"no such zone":               {demo.Vars{"kind": "CALLS", "timeZone": "Mars/Olympus"}, "INVALID"},
		"a zero byte":                {demo.Vars{"kind": "CALLS", "calls": demo.Vars{"businessUnit": "a\x00b"}}, "INVALID"},
		"an act that is SQL":         {demo.Vars{"kind": "AUDIT", "audit": demo.Vars{"action": "' OR 1=1"}}, "INVALID"},
	} {
		if _, code := s.export(s.Admin, c.input); code != c.code {
			t.Errorf("%s: %q, want %s", name, code, c.code)
		}
	}
	var all struct {
		ExportColumns []struct {
			Name, Title, Description string
			IsDefault                bool
		}
	}
	for _, kind := range []string{"CALLS", "MESSAGES", "RECORDINGS", "VOICEMAILS", "TRANSCRIPTS", "FOLLOW_UPS", "CONTACTS", "RECORDS", "AUDIT"} {
		s.Do(`query($k: ExportKind!) { exportColumns(kind: $k) { name title description isDefault } }`, demo.Vars{"k": kind}, &all)
		names := []string{}
		for _, c := range all.ExportColumns {
			if names = append(names, c.Name); c.Title == "" || c.Description == "" {
				t.Errorf("%s: %+v", kind, c)
			}
		}
		// Every column of every kind can be written.
		e, code := s.export(s.Admin, demo.Vars{"kind": kind, "columns": names, "format": "XLSX"})
		if code != "" {
			t.Fatalf("%s: %s", kind, code)
		}
		s.exported(s.Admin, e.ID, "DONE")
	}
	// The same key gives the same export.
	var a, b struct{ ExportCreate struct{ Export ref } }
	s.Do(exportCreate, demo.Vars{"i": demo.Vars{"kind": "CALLS"}, "k": "one"}, &a)
	s.Do(exportCreate, demo.Vars{"i": demo.Vars{"kind": "CALLS"}, "k": "one"}, &b)
	if a.ExportCreate.Export.ID != b.ExportCreate.Export.ID {
		t.Error("a repetition made another export")
	}
}

// R227, R283: sound and a manifest are taken away before they are deleted, and each
// recording knows it.
func TestTheAudioOfRecordingsIsExportedWithAManifest(t *testing.T) {
	s := newOffice(t, demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER"}})
	s.talk()
	s.Pass(5 * time.Second)
	s.hangUp(s.caller)
	s.PassSettling(10*time.Second, 2*time.Second)
	var g []string
	for _, x := range s.archive(s.Admin, nil) {
		g = append(g, x.ID)
	}
	if len(g) != 1 {
		t.Fatalf("%d recordings", len(g))
	}
	e, code := s.export(s.Admin, demo.Vars{"kind": "RECORDING_AUDIO"})
	if code != "" {
		t.Fatal(code)
	}
	e = s.exported(s.Admin, e.ID, "DONE")
	status, body, _ := s.download(*e.URL)
	z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil || status != http.StatusOK || e.RowCount != len(g) {
		t.Fatalf("%d, %d recordings, %v", status, e.RowCount, err)
	}
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		s.Must(err)
		if files[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	var manifest []struct {
		File, RecordingID, CallID, From, SHA256 string
		SizeBytes                               int
		IsHeld                                  bool
		Ledger                                  []struct{ Kind string }
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != len(g) {
		t.Fatalf("%s, %v", files["manifest.json"], err)
	}
	for _, m := range manifest {
		sum := sha256.Sum256(files[m.File])
		if !strings.HasPrefix(m.File, "audio/20") || m.SHA256 != hex.EncodeToString(sum[:]) || m.SizeBytes != len(files[m.File]) || m.SizeBytes == 0 || m.From != customer || len(m.Ledger) == 0 || !slices.Contains(g, m.RecordingID) {
			t.Errorf("the manifest says %s", asJSON(m))
		}
		if life := s.tape(s.Admin, m.RecordingID).life(); !slices.Contains(life, "EXPORTED") {
			t.Errorf("the ledger of %s is %q", m.RecordingID, life)
		}
	}
	if rows := bytes.Count(files["manifest.csv"], []byte("\r\n")); rows != len(g)+1 {
		t.Errorf("%d rows in manifest.csv", rows)
	}
	if n := len(s.entries(demo.Vars{"action": "recording.export"})); n != len(g) {
		t.Errorf("%d entries in the audit log", n)
	}
}
