package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/emulator"
)

type cardView struct {
	Number              *string
	Contacts, Accounts  []ref
	Records             []struct{ ID, Title string }
	HiddenLeadCount     int
	Saving              string
	QuickCreateContacts []string
	Opening             struct {
		Contact *ref
		Record  *struct{ ID string }
		Reason  *string
	}
}

const cardFields = `number contacts { id name } accounts { id name } records { id title } hiddenLeadCount saving quickCreateContacts
	opening { contact { id name } record { id } reason }`

type savedView struct {
	ID, FromNumber  string
	IsSaved         bool
	Contact, Record *ref
	Outcome         *string
	CallerCard      *cardView
	Voicemail       *struct{ Contact *ref }
}

// saved reads a call with its card.
func (s *story) saved(who *demo.Client, call string) savedView {
	s.t.Helper()
	var out struct{ Call *savedView }
	s.Must(who.Do(s.t.Context(), `query($id: ID!) { call(id: $id) { id isSaved contact { id name } record { id } outcome voicemail { contact { id name } } callerCard { `+cardFields+` } } }`,
		demo.Vars{"id": call}, &out))
	if out.Call == nil {
		s.t.Fatalf("there is no call %s", call)
	}
	return *out.Call
}

func (s *story) cardSettings(input demo.Vars) {
	s.t.Helper()
	s.Do(`mutation($i: CallerCardSettingsUpdateInput!) { callerCardSettingsUpdate(input: $i) { settings { inboundSaving } userErrors { code field message } } }`, demo.Vars{"i": input}, nil)
}

// A call rings: the card says who it is, and somebody saves it.
func TestACallIsSavedFromItsCard(t *testing.T) { // R056, R179-R184
	s := newStory(t)
	branch := s.Branch("Office")
	ann := s.User("ann", "OFFICE", "", branch)
	s.Number(officeNumber, demo.Vars{"branchId": branch, "routing": demo.Vars{"ringTimeoutSeconds": 20}})
	desk := s.Device(ann, "Desk")
	carol := s.contact("CUSTOMER", "Carol", customer, nil)
	s.contact("LEAD", "Carol the lead", customer, nil)
	s.cardSettings(demo.Vars{"inboundSaving": "OFF", "opensInbound": true, "quickCreateContacts": []string{"LEAD"}})

	sid := s.dial(customer, officeNumber)
	call := s.call(sid).ID
	c := s.saved(ann.Client, call)
	if c.IsSaved || c.Contact != nil || c.CallerCard == nil || len(c.CallerCard.Contacts) != 1 || c.CallerCard.Contacts[0].ID != carol || c.CallerCard.HiddenLeadCount != 1 {
		t.Fatalf("%+v", c)
	}
	if o := c.CallerCard.Opening; o.Contact == nil || o.Contact.ID != carol || c.CallerCard.Saving != "OFF" || *c.CallerCard.Number != customer {
		t.Errorf("%+v", c.CallerCard)
	}
	s.answer(desk)
	s.hangUp(sid)

	const save = `mutation($c: ID!, $i: CallSaveInput!, $k: String) { callSave(id: $c, input: $i, idempotencyKey: $k) { call { id isSaved } userErrors { code field message } } }`
	for range 2 {
		s.Must(ann.Client.Do(t.Context(), save, demo.Vars{"c": call, "k": "one", "i": demo.Vars{"contactId": carol, "outcome": "Booked",
			"createRecord": demo.Vars{"kind": "BOOKING", "title": "Clean the roof"}}}, nil))
	}
	c = s.saved(ann.Client, call)
	if !c.IsSaved || c.Contact == nil || c.Contact.ID != carol || c.Record == nil || word(c.Outcome) != "Booked" || len(c.CallerCard.Records) != 1 {
		t.Errorf("saved: %+v", c)
	}
	if o := c.CallerCard.Opening; o.Record == nil || o.Record.ID != c.Record.ID {
		t.Errorf("the record of the call opens: %+v", o)
	}
	for why, x := range map[string]struct {
		input demo.Vars
		code  string
	}{
		"a kind that may not be created": {demo.Vars{"createContact": demo.Vars{"kind": "CUSTOMER", "name": "X"}}, "FORBIDDEN"},
		"nor may such a record":          {demo.Vars{"createRecord": demo.Vars{"kind": "INVOICE", "title": "X"}}, "FORBIDDEN"},
		"both":                           {demo.Vars{"contactId": carol, "createContact": demo.Vars{"kind": "LEAD", "name": "X"}}, "INVALID"},
		"a name is missing":              {demo.Vars{"createContact": demo.Vars{"kind": "LEAD", "name": " "}}, "REQUIRED"},
	} {
		if code := s.try(ann.Client, save, demo.Vars{"c": call, "i": x.input}, nil); code != x.code {
			t.Errorf("%s: %q", why, code)
		}
	}

	// A caller whom nobody knows becomes a lead with their number.
	stranger := "+12025550144"
	sid = s.dial(stranger, officeNumber)
	call = s.call(sid).ID
	if o := s.saved(ann.Client, call).CallerCard.Opening; word(o.Reason) != "NO_MATCH" {
		t.Errorf("%+v", o)
	}
	s.Must(ann.Client.Do(t.Context(), save, demo.Vars{"c": call, "i": demo.Vars{"createContact": demo.Vars{"kind": "LEAD", "name": "Newcomer"}}}, nil))
	if c := s.saved(ann.Client, call); c.Contact == nil || c.Contact.Name != "Newcomer" || len(c.CallerCard.Contacts) != 1 {
		t.Errorf("%+v", c)
	}
	s.hangUp(sid)

	// A withheld number is nobody (D11); and what is saved by itself is, contact and record.
	s.cardSettings(demo.Vars{"inboundSaving": "CONTACT_AND_RECORD"})
	sid = s.dial("anonymous", officeNumber)
	if c := s.saved(ann.Client, s.call(sid).ID); c.IsSaved || c.CallerCard.Number != nil || len(c.CallerCard.Contacts) != 0 {
		t.Errorf("%+v", c)
	}
	s.hangUp(sid)
	sid = s.dial(customer, officeNumber)
	if c := s.saved(ann.Client, s.call(sid).ID); c.Contact == nil || c.Contact.ID != carol || c.Record == nil {
		t.Errorf("%+v", c)
	}
	s.hangUp(sid)

	// The other way has its own setting.
	for _, saving := range []string{"OFF", "CONTACT", "CONTACT_AND_RECORD"} {
		s.cardSettings(demo.Vars{"inboundSaving": "OFF", "outboundSaving": saving})
		var out struct{ CallStart struct{ Call ref } }
		s.Must(ann.Client.Do(t.Context(), `mutation($i: CallStartInput!) { callStart(input: $i) { call { id } userErrors { code field message } } }`,
			demo.Vars{"i": demo.Vars{"to": customer, "deviceId": desk}}, &out))
		call = out.CallStart.Call.ID
		c := s.saved(ann.Client, call)
		if len(c.CallerCard.Contacts) != 1 || c.CallerCard.Contacts[0].ID != carol || c.CallerCard.Saving != saving {
			t.Errorf("a call out, %s: the card is %+v", saving, c.CallerCard)
		}
		if c.IsSaved != (saving != "OFF") || (c.Contact != nil) != (saving != "OFF") || (c.Record != nil) != (saving == "CONTACT_AND_RECORD") {
			t.Errorf("a call out, %s: %+v", saving, c)
		}
		s.Settle()
		s.Must(ann.Client.Do(t.Context(), `mutation($c: ID!) { callHangUp(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": call}, nil))
		s.Settle()
	}
	s.clean()
}

// A voicemail and what was said in it belong to the record that their call is linked to.
func TestAVoicemailFollowsItsCallToARecord(t *testing.T) { // R186, R278
	s := newStory(t)
	s.Number(officeNumber, demo.Vars{"voicemail": demo.Vars{"isEnabled": true, "greetingText": "Speak."}})
	s.Emulator.TranscriptDelay(-1, false)
	s.transcribing(demo.Vars{"mode": "VOICEMAILS", "language": "en-AU"})
	news := s.watch(s.Admin, transcriptNews, nil)
	carol := s.contact("CUSTOMER", "Carol", customer, nil)
	lawn, roof := s.recordOf("BOOKING", "Lawn", carol, nil), s.recordOf("BOOKING", "Roof", carol, nil)
	sid := s.dial(customer, officeNumber)
	s.Emulator.Say(sid, emulator.Sentence{Channel: 1, Start: 0, End: time.Second, Text: "Please mow the lawn."})
	s.speakAndHangUp(sid, 10*time.Second)
	s.PassSettling(10*time.Second, 2*time.Second)
	text := news.completed()
	call := s.call(sid)
	said := demo.Vars{"kinds": []string{"CALL", "RECORDING", "TRANSCRIPT", "VOICEMAIL"}}
	for _, x := range []struct{ to, from string }{{lawn, roof}, {roof, lawn}} {
		s.Do(`mutation($c: [ID!]!, $r: ID!) { callsRelink(ids: $c, input: {recordId: $r}) { userErrors { code field message } } }`, demo.Vars{"c": []string{call.ID}, "r": x.to}, nil)
		s.Settle()
		m := s.mails(s.Admin, demo.Vars{"recordId": x.to})
		if len(m) != 1 || m[0].ID != call.Voicemail.ID || m[0].Record == nil || m[0].Record.ID != x.to || m[0].Contact == nil {
			t.Errorf("the voicemails of the record are %s", asJSON(m))
		}
		if got := s.transcriptsOf(s.Admin, demo.Vars{"recordId": x.to}); len(got) != 1 || got[0].ID != text.ID {
			t.Errorf("the transcripts of the record are %s", asJSON(got))
		}
		if got := kindsOf(s.timelineOf(s.Admin, x.to, 100, said)); got != "CALL TRANSCRIPT VOICEMAIL" {
			t.Errorf("the record's timeline is %s", got)
		}
		if got := s.timelineOf(s.Admin, x.from, 100, said); len(got) != 0 || len(s.mails(s.Admin, demo.Vars{"recordId": x.from})) != 0 || len(s.transcriptsOf(s.Admin, demo.Vars{"recordId": x.from})) != 0 {
			t.Errorf("the other record has %s, and more perhaps", kindsOf(got))
		}
	}
	s.clean()
}

// A wrong link is corrected, and what belongs to the call follows; then two contacts
// turn out to be one, and in the end it is deleted.
func TestLinksFollowContactsThatAreMergedAndDeleted(t *testing.T) { // R186, R278
	s := newStory(t)
	ann := s.User("ann", "OFFICE", "")
	s.Number(officeNumber, demo.Vars{"voicemail": demo.Vars{"isEnabled": true, "greetingText": "Speak."}})
	carol := s.contact("CUSTOMER", "Carol", customer, nil)
	dora := s.contact("CUSTOMER", "Dora", "+12025550155", demo.Vars{"email": "dora@example.com"})
	sid := s.dial(customer, officeNumber)
	s.speakAndHangUp(sid, 10*time.Second)
	s.Settle()
	call := s.call(sid).ID
	const relink = `mutation($c: [ID!]!, $i: CallsRelinkInput!) { callsRelink(ids: $c, input: $i) { calls { id contact { id } } userErrors { code field message } } }`
	s.Do(relink, demo.Vars{"c": []string{call}, "i": demo.Vars{"contactId": dora}}, nil)
	if c := s.saved(s.Admin, call); c.Contact == nil || c.Contact.ID != dora || c.Voicemail == nil || c.Voicemail.Contact == nil || c.Voicemail.Contact.ID != dora {
		t.Errorf("%+v", c)
	}
	if code := s.try(s.Admin, relink, demo.Vars{"c": []string{call}, "i": demo.Vars{}}, nil); code != "REQUIRED" {
		t.Errorf("to nothing: %q", code)
	}

	feed := s.watch(s.Admin, `subscription { events(types: [CONTACT_REMOVED]) { ... on ContactRemoved { deletedContactId mergedInto { id } } } }`, nil)
	const merge = `mutation($c: ID!, $f: [ID!]!) { contactMerge(id: $c, from: $f) { contact { id email phones { e164 } } userErrors { code field message } } }`
	if code := s.try(ann.Client, merge, demo.Vars{"c": carol, "f": []string{dora}}, nil); code != "FORBIDDEN" {
		t.Errorf("the office merges: %q", code)
	}
	s.Do(merge, demo.Vars{"c": carol, "f": []string{dora}}, nil)
	type goneEvent struct {
		Events struct {
			DeletedContactID string
			MergedInto       *ref
		}
	}
	var told goneEvent
	feed.next(&told)
	if told.Events.DeletedContactID != dora || told.Events.MergedInto == nil || told.Events.MergedInto.ID != carol {
		t.Errorf("%+v", told)
	}
	var node struct {
		Node    *ref
		Contact *struct {
			ID, Email string
			Phones    []struct{ E164 string }
		}
	}
	s.Do(`query($id: ID!) { node(id: $id) { id } contact(id: $id) { id email phones { e164 } } }`, demo.Vars{"id": dora}, &node)
	if node.Node == nil || node.Node.ID != carol || node.Contact.Email != "dora@example.com" || len(node.Contact.Phones) != 2 {
		t.Errorf("the merged id answers %+v", node)
	}
	if c := s.saved(s.Admin, call); c.Contact == nil || c.Contact.ID != carol || c.Voicemail.Contact.ID != carol {
		t.Errorf("%+v", c)
	}
	s.Do(`mutation($c: ID!) { callUpdate(id: $c, input: {notes: "folded anew"}) { call { id } userErrors { code field message } } }`, demo.Vars{"c": call}, nil)
	if c := s.saved(s.Admin, call); c.Contact == nil || c.Contact.ID != carol {
		t.Errorf("the facts name the old one still: %+v", c)
	}

	var deleted struct {
		ContactDelete struct{ DeletedIds []string }
	}
	const del = `mutation($c: [ID!]!) { contactDelete(ids: $c) { deletedIds userErrors { code field message } } }`
	s.Do(del, demo.Vars{"c": []string{carol}}, &deleted)
	if !slices.Equal(deleted.ContactDelete.DeletedIds, []string{carol}) {
		t.Errorf("%+v", deleted)
	}
	feed.next(&told)
	s.Do(`query($id: ID!) { node(id: $id) { id } contact(id: $id) { id } }`, demo.Vars{"id": dora}, &node)
	if c := s.saved(s.Admin, call); c.Contact != nil || told.Events.DeletedContactID != carol {
		t.Errorf("%+v %+v", c, told)
	}
	s.Do(`mutation($c: ID!) { callUpdate(id: $c, input: {notes: "and once more"}) { call { id } userErrors { code field message } } }`, demo.Vars{"c": call}, nil)

	// A record that is deleted is told of, too.
	var made struct {
		RecordCreate struct{ Record ref }
	}
	s.Do(`mutation { recordCreate(input: {kind: QUOTE, title: "Roof"}) { record { id } userErrors { code field message } } }`, nil, &made)
	feed = s.watch(s.Admin, `subscription { events(types: [RECORD_REMOVED]) { ... on RecordRemoved { deletedRecordId } } }`, nil)
	s.Do(`mutation($r: [ID!]!) { recordDelete(ids: $r) { deletedIds userErrors { code field message } } }`, demo.Vars{"r": []string{made.RecordCreate.Record.ID}}, nil)
	var gone struct {
		Events struct{ DeletedRecordID string }
	}
	feed.next(&gone)
	if gone.Events.DeletedRecordID != made.RecordCreate.Record.ID {
		t.Errorf("%+v", gone)
	}
	s.clean()
}

// importFile sends a file as somebody and gives the status and the id of the upload.
func (s *story) importFile(who *demo.Client, text string) (status int, upload string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+"/media?for=import&name="+url.QueryEscape("people.csv"), strings.NewReader(text))
	s.Must(err)
	r.Header.Set("Authorization", "Bearer "+who.Token())
	res, err := http.DefaultClient.Do(r)
	s.Must(err)
	defer res.Body.Close()
	var out struct{ ID string }
	s.Must(json.NewDecoder(res.Body).Decode(&out))
	return res.StatusCode, out.ID
}

func TestAFileIsImportedOverTheContract(t *testing.T) {
	s := newStory(t)
	ann := s.User("ann", "OFFICE", "")
	const create = `mutation($i: ContactImportCreateInput!, $k: String) { contactImportCreate(input: $i, idempotencyKey: $k) { contactImport { id status rowCount } userErrors { code field message } } }`
	if status, _ := s.importFile(ann.Client, "name\nX\n"); status != http.StatusForbidden {
		t.Errorf("the office sends a file: %d", status)
	}
	if status, _ := s.importFile(s.Admin, "PK\x03\x04\x00\x00\x00\x00"); status != http.StatusUnsupportedMediaType {
		t.Errorf("a spreadsheet: %d", status)
	}
	status, upload := s.importFile(s.Admin, "Name,Phone\nCarol,+12025550101\n=1+2,nonsense\nDora,+12025550102\n")
	if status != http.StatusOK && status != http.StatusCreated {
		t.Fatal(status)
	}
	var preview struct {
		ContactImportPreview struct {
			RowCount int
			Columns  []struct{ ContactField *string }
		}
	}
	s.Do(`query($u: ID!) { contactImportPreview(uploadId: $u) { rowCount columns { contactField } } }`, demo.Vars{"u": upload}, &preview)
	if p := preview.ContactImportPreview; p.RowCount != 3 || len(p.Columns) != 2 || word(p.Columns[1].ContactField) != "PHONE" {
		t.Errorf("%+v", preview)
	}
	feed := s.watch(s.Admin, `subscription { events(types: [CONTACT_IMPORT_UPDATED]) { ... on ContactImportUpdated { contactImport { id status doneCount } } } }`, nil)
	var made struct {
		ContactImportCreate struct{ ContactImport struct{ ID string } }
	}
	for range 2 {
		s.Do(create, demo.Vars{"k": "k1", "i": demo.Vars{"uploadId": upload, "kind": "LEAD"}}, &made)
	}
	s.Settle()
	feed.next(nil)
	var out struct {
		ContactImport *struct {
			Status                    string
			CreatedCount, FailedCount int
			FailedRowsURL             *string `json:"failedRowsUrl"`
			Rows, Failed              struct {
				Nodes []struct {
					Line       int
					Status     string
					Contact    *ref
					UserErrors []struct{ Code string }
				}
			}
		}
	}
	const read = `query($id: ID!) { contactImport(id: $id) { status createdCount failedCount failedRowsUrl
		rows { nodes { line status contact { id name } userErrors { code } } } failed: rows(status: FAILED, first: 1) { nodes { line status userErrors { code } } } } }`
	id := made.ContactImportCreate.ContactImport.ID
	s.Do(read, demo.Vars{"id": id}, &out)
	x := out.ContactImport
	if x == nil || x.Status != "DONE" || x.CreatedCount != 2 || x.FailedCount != 1 || len(x.Rows.Nodes) != 3 || len(x.Failed.Nodes) != 1 || x.Failed.Nodes[0].Line != 3 || x.FailedRowsURL == nil {
		t.Fatalf("%+v", x)
	}
	if c := x.Rows.Nodes[0].Contact; c == nil || c.Name != "Carol" {
		t.Errorf("%+v", x.Rows.Nodes)
	}
	status, kind, body := s.get(*x.FailedRowsURL)
	if status != http.StatusOK || !strings.HasPrefix(kind, "text/csv") || !strings.Contains(string(body), `"'=1+2"`) {
		t.Errorf("the refused rows: %d %s %s", status, kind, body)
	}
	s.Must(ann.Client.Do(t.Context(), read, demo.Vars{"id": id}, &out))
	if out.ContactImport != nil {
		t.Error("another's import is seen")
	}
	if code := s.try(s.Admin, create, demo.Vars{"i": demo.Vars{"uploadId": id}}, nil); code != "INVALID" {
		t.Errorf("no upload: %q", code)
	}
}

// A table that links to contacts or records by a foreign key takes part in merging.
func TestEveryTableThatLinksToAContactIsKnown(t *testing.T) {
	s := newStory(t)
	var rows []struct {
		Table   string `bun:"table_name"`
		Column  string `bun:"column_name"`
		Follows bool   `bun:"follows"`
	}
	s.Must(db.Select(t.Context(), s.App.DB.Worker(), &rows, `
		SELECT c.conrelid::regclass::text AS table_name, a.attname AS column_name,
			EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.conrelid AND g.tgname LIKE 'follow_removed_' || c.confrelid::regclass::text || '%') AS follows
		FROM pg_constraint c
		JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[2]
		WHERE c.contype = 'f' AND c.confrelid IN ('contact'::regclass, 'record'::regclass) AND c.confdeltype = 'n'
		ORDER BY 1, 2`))
	own := []string{"contact.account_id", "record.contact_id", "tombstone.merged_into", "masked_pair.contact_id", "masked_pair.record_id"} // those that package contact moves itself
	for _, r := range rows {
		if !r.Follows && !slices.Contains(own, r.Table+"."+r.Column) {
			t.Errorf("%s.%s: call links_to_contact or links_to_record for it in a migration, and name the table in linked", r.Table, r.Column)
		}
	}
	if len(rows) < 12 {
		t.Errorf("%d links were found", len(rows))
	}
}

func TestAPageOfCardsCostsTheSameHoweverLong(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	for i := range 8 {
		from := fmt.Sprintf("+120255503%02d", i)
		s.contact("CUSTOMER", fmt.Sprint("Caller ", i), from, nil)
		s.hangUp(s.dial(from, officeNumber))
	}
	cost := func(first int) (int, []string) {
		ctx, counted := db.CountStatements(t.Context())
		body, err := json.Marshal(demo.Vars{"query": fmt.Sprintf(`{ calls(first: %d) { nodes { id isSaved callerCard { `+cardFields+` } } } }`, first)})
		s.Must(err)
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+s.Admin.Token())
		w := httptest.NewRecorder()
		s.App.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusOK || bytes.Contains(w.Body.Bytes(), []byte(`"errors"`)) || bytes.Count(w.Body.Bytes(), []byte(`"hiddenLeadCount":0`)) != first {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		return counted.N(), counted.Statements()
	}
	few, _ := cost(2)
	many, statements := cost(8)
	if few < 4 || many != few || many > 14 {
		t.Errorf("2 calls cost %d statements, 8 cost %d: %q", few, many, statements)
	}
}
