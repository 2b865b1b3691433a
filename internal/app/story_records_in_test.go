package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
)

// upserted is the answer of recordUpsert and of contactUpsert.
type upserted struct {
	Rows []struct {
		Index      int
		Status     string
		Record     *recordView
		Contact    *contactView
		UserErrors []struct {
			Code, Message string
			Field         []string
		}
	}
}

type recordView struct {
	ID, Title, Status, ExternalID string
	Version                       int
	Contact, AssignedUser         *ref
	Amount                        *struct {
		AmountMinor int
		Currency    string
	}
	Tags                         []string
	Service, URL, TrackingURL    *string
	EtaAt, ConfirmedAt, StartsAt *time.Time
	Data                         []struct{ Key, Value string }
	Events                       struct {
		Nodes []struct {
			Event string
			User  *ref
			Data  []struct{ Key, Value string }
		}
	}
}

type contactView struct {
	ID, Name string
	Timezone *string
	Phones   []struct{ E164 string }
}

func (u upserted) statuses() string {
	var out []string
	for _, r := range u.Rows {
		s := r.Status
		for _, e := range r.UserErrors {
			s += " " + e.Code + " " + strings.Join(e.Field, ".")
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

const (
	recordFields = `id title status externalId version contact { id name } assignedUser { id name } amount { amountMinor currency } tags service url trackingUrl
		etaAt confirmedAt startsAt data { key value } events { nodes { event user { name } data { key value } } }`
	recordUpsertMutation = `mutation($i: [RecordUpsertInput!]!, $k: String) { recordUpsert(input: $i, idempotencyKey: $k) {
		rows { index status record { ` + recordFields + ` } userErrors { code field message } } userErrors { code field message } } }`
	contactUpsertMutation = `mutation($i: [ContactUpsertInput!]!, $k: String) { contactUpsert(input: $i, idempotencyKey: $k) {
		rows { index status contact { id name timezone phones { e164 } } userErrors { code field message } } userErrors { code field message } } }`
	recordEventMutation = `mutation($i: RecordEventInput!) { recordEvent(input: $i) { event { id event } record { ` + recordFields + ` } userErrors { code field message } } }`
)

func (s *story) upsertRecords(who *demo.Client, key any, rows ...demo.Vars) upserted {
	s.t.Helper()
	var out struct{ RecordUpsert upserted }
	s.Must(who.Do(s.t.Context(), recordUpsertMutation, demo.Vars{"i": rows, "k": key}, &out))
	return out.RecordUpsert
}

func (s *story) upsertContacts(who *demo.Client, key any, rows ...demo.Vars) upserted {
	s.t.Helper()
	var out struct{ ContactUpsert upserted }
	s.Must(who.Do(s.t.Context(), contactUpsertMutation, demo.Vars{"i": rows, "k": key}, &out))
	return out.ContactUpsert
}

func (s *story) happens(who *demo.Client, in demo.Vars) (event string, r *recordView) {
	s.t.Helper()
	var out struct {
		RecordEvent struct {
			Event  struct{ ID, Event string }
			Record *recordView
		}
	}
	s.Must(who.Do(s.t.Context(), recordEventMutation, demo.Vars{"i": in}, &out))
	return out.RecordEvent.Event.ID, out.RecordEvent.Record
}

// key is an API key that may do no more than the permissions say.
func (s *story) key(called string, permissions ...string) *demo.Client {
	s.t.Helper()
	var role struct{ RoleCreate struct{ Role ref } }
	s.Do(`mutation($n: String!, $p: [Permission!]!) { roleCreate(input: {name: $n, permissions: $p, visibility: ORGANIZATION}) { role { id } userErrors { code field message } } }`,
		demo.Vars{"n": called, "p": permissions}, &role)
	var made struct{ ApiKeyCreate struct{ Secret string } }
	s.Do(`mutation($r: ID!, $n: String!) { apiKeyCreate(input: {name: $n, roleId: $r}) { secret userErrors { code field message } } }`,
		demo.Vars{"r": role.RoleCreate.Role.ID, "n": called}, &made)
	return s.Admin.As(made.ApiKeyCreate.Secret)
}

func TestAnotherSystemSendsItsRecords(t *testing.T) { // R135, R158, R188, R198
	s := newStory(t)
	crm := s.key("CRM", "CONTACT_VIEW", "CONTACT_EDIT")
	fay := s.User("fay", "FIELDWORKER", "")
	from := s.cursor()

	contacts := s.upsertContacts(crm, nil,
		demo.Vars{"externalId": "c-1", "kind": "CUSTOMER", "name": "Bob", "timezone": "America/New_York", "phones": []demo.Vars{{"number": customer}}},
		demo.Vars{"externalId": "c-2", "kind": "CUSTOMER", "name": "Cy", "phones": []demo.Vars{{"number": customer}, {"number": "12"}}})
	if got := contacts.statuses(); got != "CREATED, FAILED INVALID input.1.phones.1.number" {
		t.Errorf("the contacts: %s", got)
	}
	if c := contacts.Rows[0].Contact; c == nil || c.Name != "Bob" || len(c.Phones) != 1 || c.Phones[0].E164 != customer || contacts.Rows[1].Contact != nil {
		t.Errorf("%+v", contacts.Rows)
	}
	job := demo.Vars{"kind": "BOOKING", "externalId": "b-1", "title": "Roof", "contactExternalId": "c-1", "assignedUserEmail": "FAY@stage.test", "tags": []string{"vip"},
		"service": "Roofing", "startsAt": s.Clock.Now().Add(time.Hour), "url": "https://pay.example.com/b-1", "trackingUrl": "https://track.example.com/b-1",
		"amount": demo.Vars{"amountMinor": 105_050, "currency": "AUD"}, "data": []demo.Vars{{"key": "gate", "value": "12"}}, "sourceUpdatedAt": s.Clock.Now()}
	rows := s.upsertRecords(crm, "monday", job, demo.Vars{"kind": "INVOICE", "externalId": "i-1", "title": "Invoice", "contactExternalId": "nobody"},
		demo.Vars{"kind": "QUOTE", "externalId": "q-1", "title": "Quote", "url": "http://example.com"}, demo.Vars{"kind": "QUOTE", "externalId": "q-2", "title": "Quote"})
	if got := rows.statuses(); got != "CREATED, FAILED NOT_FOUND input.1.contactExternalId, FAILED INVALID input.2.url, CREATED" {
		t.Errorf("the records: %s", got)
	}
	r := rows.Rows[0].Record
	if r == nil || name(r.Contact) != "Bob" || r.AssignedUser == nil || r.AssignedUser.ID != fay.ID || r.Amount == nil || r.Amount.AmountMinor != 105_050 || len(r.Data) != 1 || r.Version != 1 {
		t.Fatalf("%+v", r)
	}
	// The same batch again answers the same and writes nothing; without the key it finds nothing to do.
	again := s.upsertRecords(crm, "monday", job, demo.Vars{"kind": "INVOICE", "externalId": "i-1", "title": "Invoice", "contactExternalId": "nobody"},
		demo.Vars{"kind": "QUOTE", "externalId": "q-1", "title": "Quote", "url": "http://example.com"}, demo.Vars{"kind": "QUOTE", "externalId": "q-2", "title": "Quote"})
	if again.statuses() != rows.statuses() || again.Rows[0].Record.ID != r.ID {
		t.Errorf("a repetition answers %s", again.statuses())
	}
	if got := s.upsertRecords(crm, nil, job).statuses(); got != "UNCHANGED" {
		t.Errorf("the same row again is %s", got)
	}
	if got := s.try(crm, recordUpsertMutation, demo.Vars{"i": []demo.Vars{job}, "k": "monday"}, nil); got != "IDEMPOTENCY_KEY_REUSED" {
		t.Errorf("the key with other rows: %q", got)
	}
	late := demo.Vars{"kind": "BOOKING", "externalId": "b-1", "title": "Old title", "sourceUpdatedAt": s.Clock.Now().Add(-time.Hour)}
	if got := s.upsertRecords(crm, nil, late); got.statuses() != "STALE" || got.Rows[0].Record.Title != "Roof" {
		t.Errorf("an older row: %+v", got)
	}
	if got := s.upsertRecords(crm, nil, demo.Vars{"kind": "BOOKING", "externalId": "b-1", "amount": nil}); got.statuses() != "UPDATED" || got.Rows[0].Record.Amount != nil || got.Rows[0].Record.Title != "Roof" {
		t.Errorf("null clears and absent keeps: %+v", got)
	}
	if got := fmt.Sprint(types(s.facts(s.Admin, from, "CONTACT_UPDATED", "RECORD_UPDATED"))); got != "[ContactUpdated RecordUpdated RecordUpdated RecordUpdated]" {
		t.Errorf("told: %s", got)
	}

	// Lists are filtered by what came in.
	var found struct {
		Records struct{ Nodes []struct{ ID string } }
	}
	s.Do(`query($at: Time!) { records(filter: {tag: "vip", service: "Roofing", status: "OPEN", startsAfter: $at}) { nodes { id } } }`, demo.Vars{"at": s.Clock.Now()}, &found)
	if len(found.Records.Nodes) != 1 || found.Records.Nodes[0].ID != r.ID {
		t.Errorf("%+v", found)
	}
}

func TestABatchOfFiveHundredComesInAtOnce(t *testing.T) {
	s := newStory(t)
	crm := s.key("CRM", "CONTACT_VIEW", "CONTACT_EDIT")
	batch := make([]demo.Vars, 500)
	for i := range batch {
		batch[i] = demo.Vars{"externalId": fmt.Sprint("c-", i), "kind": "CUSTOMER", "name": fmt.Sprint("Customer ", i), "phones": []demo.Vars{{"number": fmt.Sprintf("+1202555%04d", i)}}}
	}
	batch[250]["name"] = ""
	out := s.upsertContacts(crm, "k", batch...)
	created := 0
	for i, r := range out.Rows {
		if r.Index != i {
			t.Fatalf("row %d stands at %d", r.Index, i)
		}
		if r.Status == "CREATED" && r.Contact != nil && len(r.Contact.Phones) == 1 {
			created++
		}
	}
	if created != 499 || out.Rows[250].Status != "FAILED" {
		t.Errorf("%d rows were created; row 250 is %s", created, out.Rows[250].Status)
	}
	if code := s.try(crm, contactUpsertMutation, demo.Vars{"i": append(batch, batch[0])}, nil); code != "LIMIT_REACHED" {
		t.Errorf("501 rows: %q", code)
	}
	if code := s.try(s.key("Reader", "CONTACT_VIEW"), contactUpsertMutation, demo.Vars{"i": batch[:1]}, nil); code != "FORBIDDEN" {
		t.Errorf("without CONTACT_EDIT: %q", code)
	}
}

func TestWhatHappensToARecordIsToldInAnyOrder(t *testing.T) { // R164-R173, R198
	s := newStory(t)
	crm, board := s.key("CRM", "CONTACT_VIEW", "CONTACT_EDIT"), s.key("Board", "RECORD_EVENT_ADD")
	fay := s.User("fay", "FIELDWORKER", "")
	s.change(fay, demo.Vars{"isFieldworker": true})
	fay.Client = s.SignIn("fay")
	rows := s.upsertRecords(crm, nil, demo.Vars{"kind": "BOOKING", "externalId": "b-1", "title": "Roof", "assignedUserId": fay.ID}, demo.Vars{"kind": "BOOKING", "externalId": "b-2", "title": "Wall"})
	mine, other := rows.Rows[0].Record.ID, rows.Rows[1].Record.ID
	from := s.cursor()
	at := func(m int) time.Time { return s.Clock.Now().Add(time.Duration(m) * time.Minute) }

	if _, r := s.happens(fay.Client, demo.Vars{"recordId": mine, "event": "ON_THE_WAY", "at": at(-30), "etaAt": at(10), "externalId": "f-1"}); r.Status != "ON_THE_WAY" || !r.EtaAt.Equal(at(10)) {
		t.Errorf("on the way: %+v", r)
	}
	first, r := s.happens(board, demo.Vars{"recordKind": "BOOKING", "recordExternalId": "b-1", "event": "ARRIVED", "at": at(-5), "externalId": "e-2", "data": []demo.Vars{{"key": "van", "value": "7"}}})
	if r != nil {
		t.Errorf("a key without CONTACT_VIEW is answered %+v", r)
	}
	s.happens(board, demo.Vars{"recordId": mine, "event": "RUNNING_LATE", "at": at(-20), "etaAt": at(-6)})
	s.happens(board, demo.Vars{"recordId": mine, "event": "BOOKING_CONFIRMED", "at": at(-90)})
	if again, _ := s.happens(board, demo.Vars{"recordId": mine, "event": "CANCELLED", "externalId": "e-2"}); again != first {
		t.Errorf("the same external id is another event: %s, %s", again, first)
	}
	var out struct{ Record *recordView }
	s.Do(`query($id: ID!) { record(id: $id) { `+recordFields+` } }`, demo.Vars{"id": mine}, &out)
	r = out.Record
	if r.Status != "ARRIVED" || !r.EtaAt.Equal(at(-6)) || r.ConfirmedAt == nil || !r.ConfirmedAt.Equal(at(-90)) {
		t.Errorf("the record says %s, %v, %v", r.Status, r.EtaAt, r.ConfirmedAt)
	}
	var told []string
	for _, e := range r.Events.Nodes {
		told = append(told, e.Event+name(e.User))
	}
	if got := strings.Join(told, " "); got != "ARRIVED RUNNING_LATE ON_THE_WAYfay BOOKING_CONFIRMED" {
		t.Errorf("its events are %s", got)
	}
	for claim, x := range map[string]struct {
		who  *demo.Client
		in   demo.Vars
		code string
	}{
		"of another's record":                     {fay.Client, demo.Vars{"recordId": other, "event": "ON_THE_WAY"}, "NOT_FOUND"},
		"of the office's work":                    {fay.Client, demo.Vars{"recordId": mine, "event": "PAID"}, "FORBIDDEN"},
		"with a key that edits and does not tell": {crm, demo.Vars{"recordId": mine, "event": "PAID"}, "FORBIDDEN"},
		"late without saying until when":          {board, demo.Vars{"recordId": mine, "event": "RUNNING_LATE"}, "REQUIRED"},
	} {
		if code := s.try(x.who, recordEventMutation, demo.Vars{"i": x.in}, nil); code != x.code {
			t.Errorf("an event %s: %q, want %s", claim, code, x.code)
		}
	}
	if code := s.try(board, recordUpsertMutation, demo.Vars{"i": []demo.Vars{{"kind": "BOOKING", "externalId": "b-1", "title": "Mine"}}}, nil); code != "FORBIDDEN" {
		t.Errorf("a key for events alone changes records: %q", code)
	}
	// Whoever may see the record hears of it, with the event.
	s.happens(board, demo.Vars{"recordId": other, "event": "CONTACT_ATTEMPT_FAILED"})
	want := map[*demo.Client]string{s.Admin: "RecordEventAdded RecordUpdated RecordEventAdded RecordUpdated RecordEventAdded RecordUpdated RecordEventAdded RecordUpdated RecordEventAdded"}
	want[fay.Client] = strings.TrimSuffix(want[s.Admin], " RecordEventAdded")
	for who, list := range want {
		if got := strings.Join(types(s.facts(who, from, "RECORD_UPDATED", "RECORD_EVENT")), " "); got != list {
			t.Errorf("told: %s\nwant: %s", got, list)
		}
	}
	f := s.watch(fay.Client, `subscription($after: Cursor) { events(after: $after, types: [RECORD_EVENT]) { ... on RecordEventAdded { record { id } event { event etaAt } } } }`, demo.Vars{"after": from})
	var one struct {
		Events struct {
			Record *ref
			Event  *struct{ Event string }
		}
	}
	f.next(&one)
	if one.Events.Record == nil || one.Events.Record.ID != mine || one.Events.Event == nil || one.Events.Event.Event != "ON_THE_WAY" {
		t.Errorf("%+v", one)
	}
}

func TestPeopleEditRecordsByHand(t *testing.T) {
	s := newStory(t)
	bob := s.contact("CUSTOMER", "Bob", customer, demo.Vars{"service": "Roofing", "location": "North", "timezone": "America/New_York"})
	record := s.record("INVOICE", bob, demo.Vars{"dueAt": s.Clock.Now().Add(time.Hour), "amount": demo.Vars{"amountMinor": 1050, "currency": "usd"}})
	var out struct{ RecordUpdate struct{ Record recordView } }
	s.Do(`mutation($r: ID!, $i: RecordUpdateInput!) { recordUpdate(id: $r, input: $i) { record { `+recordFields+` } userErrors { code field message } } }`,
		demo.Vars{"r": record, "i": demo.Vars{"status": "SENT", "url": "https://pay.example.com/7"}}, &out)
	if r := out.RecordUpdate.Record; r.Status != "SENT" || word(r.URL) != "https://pay.example.com/7" || r.Amount == nil || r.Amount.Currency != "USD" || r.Version != 2 {
		t.Errorf("%+v", r)
	}
	var list struct {
		Contacts struct {
			TotalCount int
			Nodes      []struct{ ID string }
		}
		Records struct{ Nodes []struct{ ID string } }
	}
	s.Do(`query($d: Time!) { contacts(filter: {service: "Roofing", location: "North"}) { totalCount nodes { id } } records(filter: {kind: INVOICE, dueBefore: $d}) { nodes { id } } }`,
		demo.Vars{"d": s.Clock.Now().Add(2 * time.Hour)}, &list)
	if list.Contacts.TotalCount != 1 || list.Contacts.Nodes[0].ID != bob || len(list.Records.Nodes) != 1 {
		t.Errorf("%+v", list)
	}
	// An appointment's own words are its own: null clears, and what cannot be is refused with its field.
	err := s.Admin.Do(t.Context(), `mutation($r: ID!) { recordUpdate(id: $r, input: {amount: {amountMinor: 1, currency: "XTS"}}) { userErrors { code field message } } }`, demo.Vars{"r": record}, nil)
	if !demo.HasCode(err, "INVALID") {
		t.Errorf("no such currency: %v", err)
	}
}
