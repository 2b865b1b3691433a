package contact_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

// machine is an API key that may write contacts and records.
func (b *bundle) machine() access.Actor {
	b.t.Helper()
	key, role := id.New(id.APIKey), id.New(id.Role)
	b.exec(`INSERT INTO role (organization_id, id, name, updated_at) VALUES ($1, $2, $3, $4)`, b.org, role, role.String(), start)
	b.exec(`INSERT INTO api_key (organization_id, id, name, role_id, hint, hash, created_by) VALUES ($1, $2, 'CRM', $3, 'sb_key_x', $4, $5)`,
		b.org, key, role, []byte(key.String()), b.admin.UserID)
	return access.Actor{OrganizationID: b.org, APIKeyID: key, Visibility: access.SeesOrganization,
		Permissions: access.SetOf(access.ContactView, access.ContactEdit, access.RecordEventAdd)}
}

// own is somebody who sees only their own, with the permissions.
func (b *bundle) own(name string, p ...access.Permission) access.Actor {
	b.t.Helper()
	return access.Actor{OrganizationID: b.org, UserID: b.user(b.org, name), Visibility: access.SeesOwn, IsFieldworker: true, Permissions: access.SetOf(p...)}
}

func (b *bundle) records(who access.Actor, key string, in ...contact.RecordUpsert) []contact.UpsertRow {
	b.t.Helper()
	rows, err := b.svc.UpsertRecords(b.t.Context(), who, in, key)
	if err != nil {
		b.t.Fatal(err)
	}
	return rows
}

func (b *bundle) contacts(who access.Actor, key string, in ...contact.ContactUpsert) []contact.UpsertRow {
	b.t.Helper()
	rows, err := b.svc.UpsertContacts(b.t.Context(), who, in, key)
	if err != nil {
		b.t.Fatal(err)
	}
	return rows
}

// booking is a row of a record.
func booking(external string, in contact.RecordUpdate) contact.RecordUpsert {
	return contact.RecordUpsert{Kind: contact.RecordBooking, ExternalID: external, RecordUpdate: in}
}

func titled(s string) contact.RecordUpdate { return contact.RecordUpdate{Title: patch.To(s)} }

// customer is a row of a contact.
func customer(external, name string, numbers ...string) contact.ContactUpsert {
	return contact.ContactUpsert{ExternalID: external, Update: contact.Update{
		Kind: patch.To(contact.KindCustomer), Name: patch.To(name), Phones: patch.To(phones(numbers...)),
	}}
}

func statuses(rows []contact.UpsertRow) string {
	var out []string
	for _, r := range rows {
		s := string(r.Status)
		if r.Status == contact.Failed {
			s = fmt.Sprintf("%s %s", r.Code, strings.Join(r.Field, "."))
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func (b *bundle) record(x id.ID) *contact.Record {
	b.t.Helper()
	r, err := b.svc.Record(b.t.Context(), b.admin, x)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func wantStatuses(t *testing.T, rows []contact.UpsertRow, want string) {
	t.Helper()
	if got := statuses(rows); got != want {
		t.Errorf("the rows are\n%s, want\n%s", got, want)
	}
}

func TestARecordHoldsWhatMessagesMerge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.contact(b.admin, contact.Create{ExternalID: ptr("crm-1")})
	at := func(h int) time.Time { return start.Add(time.Duration(h) * time.Hour) }
	in := booking("b-1", contact.RecordUpdate{
		Title: patch.To(" Roof "), Status: patch.To("BOOKED"), Tags: patch.To([]string{`a"b\c,{d}`, "vip?", "vip?"}), Service: patch.To("Roofing"),
		Location: patch.To("North"), Amount: patch.To(contact.Money{AmountMinor: 105_000_000_000, Currency: "aud"}), StartsAt: patch.To(at(1)),
		EndsAt: patch.To(at(2)), DueAt: patch.To(at(3)), ExpiresAt: patch.To(at(4)), NextServiceAt: patch.To(at(5)), EtaAt: patch.To(at(6)),
		TrackingURL: patch.To("https://track.example.com/1?a=b"), URL: patch.To("https://pay.example.com/1"),
		Data: patch.To([]contact.Datum{{Key: "gateCode", Value: `12'34"\`}, {Key: "dog", Value: ""}}), ConfirmedAt: patch.To(at(7)),
	})
	in.ContactExternalID, in.AssignedUserEmail = patch.To("crm-1"), patch.To("ANN@demo.test")
	rows := b.records(b.machine(), "", in)
	wantStatuses(t, rows, "CREATED")
	want := contact.Record{
		OrganizationID: b.org, ID: rows[0].ID, Kind: contact.RecordBooking, ExternalID: ptr("b-1"), Title: "Roof", Status: "BOOKED",
		Tags: []string{`a"b\c,{d}`, "vip?"}, Service: ptr("Roofing"), Location: ptr("North"), ContactID: c.ID, AssignedUserID: b.admin.UserID,
		AmountMinor: ptr(int64(105_000_000_000)), Currency: ptr("AUD"), StartsAt: ptr(at(1)), EndsAt: ptr(at(2)), DueAt: ptr(at(3)), ExpiresAt: ptr(at(4)),
		NextServiceAt: ptr(at(5)), EtaAt: ptr(at(6)), TrackingURL: ptr("https://track.example.com/1?a=b"), URL: ptr("https://pay.example.com/1"),
		Data: map[string]string{"gateCode": `12'34"\`, "dog": ""}, ConfirmedAt: ptr(at(7)), Version: 1, CreatedAt: start, UpdatedAt: start,
	}
	same := cmp.Comparer(func(a, b id.ID) bool { return a == b })
	if diff := cmp.Diff(want, *b.record(rows[0].ID), same); diff != "" {
		t.Error(diff)
	}
	// The same row again says nothing new; absent keeps and null clears.
	wantStatuses(t, b.records(b.machine(), "", in), "UNCHANGED")
	b.clock.Advance(time.Minute)
	clear := booking("b-1", contact.RecordUpdate{Status: patch.Clear[string](), Tags: patch.Clear[[]string](), Service: patch.Clear[string](),
		Amount: patch.Clear[contact.Money](), EtaAt: patch.Clear[time.Time](), URL: patch.Clear[string](), Data: patch.Clear[[]contact.Datum]()})
	clear.ContactExternalID, clear.AssignedUserEmail = patch.Clear[string](), patch.Clear[string]()
	wantStatuses(t, b.records(b.machine(), "", clear), "UPDATED")
	want.Status, want.Tags, want.Service, want.AmountMinor, want.Currency, want.EtaAt, want.URL, want.Data = "OPEN", []string{}, nil, nil, nil, nil, nil, map[string]string{}
	want.ContactID, want.AssignedUserID, want.Version, want.UpdatedAt = id.ID{}, id.ID{}, 2, start.Add(time.Minute)
	if diff := cmp.Diff(want, *b.record(rows[0].ID), same); diff != "" {
		t.Error(diff)
	}
	if n := b.count(`SELECT count(*) AS n FROM event WHERE kind = 'RECORD_UPDATED' AND subject = $1`, rows[0].ID); n != 2 {
		t.Errorf("%d events for what was created and changed once", n)
	}
}

func TestEachRowOfABatchFailsByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, other := b.organization("US")
	foreign := b.contact(other, contact.Create{ExternalID: ptr("theirs")})
	long := strings.Repeat("x", 501)
	data := func(d ...contact.Datum) contact.RecordUpdate {
		return contact.RecordUpdate{Title: patch.To("T"), Data: patch.To(d)}
	}
	for name, tc := range map[string]struct {
		why  string
		in   contact.RecordUpsert
		code errs.Code
		at   string
	}{
		"no title":            {"a new record needs one", booking("x", contact.RecordUpdate{}), errs.Required, "title"},
		"no external id":      {"it is the key", booking(" ", titled("T")), errs.Required, "externalId"},
		"no kind":             {"it is the key", contact.RecordUpsert{Kind: "TAXI", ExternalID: "x", RecordUpdate: titled("T")}, errs.Invalid, "kind"},
		"contact":             {"another's contact does not exist", booking("x", contact.RecordUpdate{Title: patch.To("T"), ContactID: patch.To(foreign.ID)}), errs.NotFound, "contactId"},
		"contact's name":      {"nor by its external id", contact.RecordUpsert{Kind: contact.RecordQuote, ExternalID: "x", RecordUpdate: titled("T"), ContactExternalID: patch.To("theirs")}, errs.NotFound, "contactExternalId"},
		"two contacts":        {"which one counts?", contact.RecordUpsert{Kind: contact.RecordQuote, ExternalID: "x", RecordUpdate: contact.RecordUpdate{ContactID: patch.To(foreign.ID)}, ContactExternalID: patch.To("theirs")}, errs.Invalid, "contactExternalId"},
		"user":                {"users of other organizations do not exist", booking("x", contact.RecordUpdate{Title: patch.To("T"), AssignedUserID: patch.To(other.UserID)}), errs.NotFound, "assignedUserId"},
		"user's mail":         {"nobody has it", contact.RecordUpsert{Kind: contact.RecordQuote, ExternalID: "x", RecordUpdate: titled("T"), AssignedUserEmail: patch.To("eve@demo.test")}, errs.NotFound, "assignedUserEmail"},
		"not a user's id":     {"ids know what they are", booking("x", contact.RecordUpdate{Title: patch.To("T"), AssignedUserID: patch.To(id.New(id.Call))}), errs.Invalid, "assignedUserId"},
		"http":                {"customers open it", booking("x", contact.RecordUpdate{Title: patch.To("T"), URL: patch.To("http://example.com")}), errs.Invalid, "url"},
		"script":              {"customers open it", booking("x", contact.RecordUpdate{Title: patch.To("T"), TrackingURL: patch.To("javascript:alert(1)")}), errs.Invalid, "trackingUrl"},
		"credentials":         {"it goes out as text", booking("x", contact.RecordUpdate{Title: patch.To("T"), URL: patch.To("https://a:b@example.com")}), errs.Invalid, "url"},
		"currency":            {"ISO 4217", booking("x", contact.RecordUpdate{Title: patch.To("T"), Amount: patch.To(contact.Money{AmountMinor: 1, Currency: "XTS"})}), errs.Invalid, "amount.currency"},
		"amount":              {"JSON numbers are exact up to here", booking("x", contact.RecordUpdate{Title: patch.To("T"), Amount: patch.To(contact.Money{AmountMinor: 1e15, Currency: "AUD"})}), errs.Invalid, "amount.amountMinor"},
		"end before start":    {"time goes on", booking("x", contact.RecordUpdate{Title: patch.To("T"), StartsAt: patch.To(start), EndsAt: patch.To(start.Add(-1))}), errs.Invalid, "endsAt"},
		"year 1":              {"templates print it", booking("x", contact.RecordUpdate{Title: patch.To("T"), DueAt: patch.To(time.Time{})}), errs.Invalid, "dueAt"},
		"key of a field":      {"merge fields are named by it", booking("x", data(contact.Datum{Key: "Gate code", Value: "1"})), errs.Invalid, "data.0.key"},
		"key twice":           {"which one counts?", booking("x", data(contact.Datum{Key: "a"}, contact.Datum{Key: "a"})), errs.Invalid, "data.1.key"},
		"long value":          {"sizes are bounded", booking("x", data(contact.Datum{Key: "a", Value: long})), errs.Invalid, "data.0.value"},
		"NUL":                 {"PostgreSQL takes no NUL", booking("x", data(contact.Datum{Key: "a", Value: "x\x00y"})), errs.Invalid, "data.0.value"},
		"too many own fields": {"sizes are bounded", booking("x", data(make([]contact.Datum, 33)...)), errs.Invalid, "data"},
		"source's time":       {"it must be one", contact.RecordUpsert{Kind: contact.RecordQuote, ExternalID: "x", RecordUpdate: titled("T"), Source: contact.Source{UpdatedAt: &time.Time{}}}, errs.Invalid, "sourceUpdatedAt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, last := booking("first of "+name, titled("T")), booking("last of "+name, titled("T"))
			rows := b.records(b.admin, "", first, tc.in, last)
			wantStatuses(t, rows, fmt.Sprintf("CREATED, %s input.1.%s, CREATED", tc.code, tc.at))
			if !rows[1].ID.IsZero() {
				t.Errorf("%s: a row that failed has a record", tc.why)
			}
		})
	}
	for name, n := range map[string]int{"none": 0, "too many": contact.MaxBatch + 1} {
		if _, err := b.svc.UpsertRecords(t.Context(), b.admin, make([]contact.RecordUpsert, n), ""); err == nil || errs.CodeOf(err) == errs.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
	blind := b.admin
	blind.Permissions = access.SetOf(access.ContactView, access.RecordEventAdd)
	if _, err := b.svc.UpsertRecords(t.Context(), blind, []contact.RecordUpsert{booking("x", titled("T"))}, ""); !errs.IsCode(err, errs.Forbidden) {
		t.Error("without CONTACT_EDIT:", err)
	}
}

func TestContactsComeInWithTheirPhones(t *testing.T) {
	t.Parallel()
	b := setup(t)
	full := customer("c-1", "Bob", "0255501234", "+1 202 555 0100")
	full.Timezone, full.Service, full.Location, full.AssignedUserEmail = patch.To("Pacific/Auckland"), patch.To("Roofing"), patch.To("North"), patch.To("ann@demo.test")
	twice := customer("c-3", "Cy", "0255501235", "+61 2 5550 1235")
	zone := customer("c-4", "Dee")
	zone.Timezone = patch.To("Local")
	rows := b.contacts(b.machine(), "", full, customer("c-2", " "), twice, customer("c-5", "Eve", "0255501236", "12"), zone, contact.ContactUpsert{ExternalID: "c-6", Update: contact.Update{Name: patch.To("Fay")}})
	wantStatuses(t, rows, "CREATED, REQUIRED input.1.name, INVALID input.2.phones.1.number, INVALID input.3.phones.1.number, INVALID input.4.timezone, INVALID input.5.kind")
	got, err := b.svc.Get(t.Context(), b.admin, rows[0].ID)
	if err != nil || *got.Timezone != "Pacific/Auckland" || *got.Service != "Roofing" || *got.Location != "North" || got.AssignedUserID != b.admin.UserID || !got.CreatedByID.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	numbers := func() string {
		p, err := b.svc.PhonesByContacts(b.ctx(), []id.ID{rows[0].ID})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, x := range p[rows[0].ID] {
			out = append(out, fmt.Sprint(x.E164, x.Label, x.IsPrimary))
		}
		return strings.Join(out, " ")
	}
	if got := numbers(); got != "+61255501234true +12025550100false" {
		t.Error(got)
	}
	wantStatuses(t, b.contacts(b.machine(), "", full), "UNCHANGED")
	// The phones are written anew only when they change; other fields leave them.
	rename := contact.ContactUpsert{ExternalID: "c-1", Update: contact.Update{Name: patch.To("Bobby")}}
	wantStatuses(t, b.contacts(b.machine(), "", rename), "UPDATED")
	if got := numbers(); got != "+61255501234true +12025550100false" {
		t.Error(got)
	}
	wantStatuses(t, b.contacts(b.machine(), "", contact.ContactUpsert{ExternalID: "c-1", Update: contact.Update{
		Phones: patch.To([]contact.PhoneInput{{Number: "0255501234"}, {Number: "+12025550100", IsPrimary: true}})}}), "UPDATED")
	if got := numbers(); got != "+12025550100true +61255501234false" {
		t.Error(got)
	}
	if n := b.count(`SELECT count(*) AS n FROM event WHERE kind = 'CONTACT_UPDATED' AND subject = $1`, rows[0].ID); n != 3 {
		t.Errorf("%d events for one creation and two changes", n)
	}
}

func TestAnOlderRowIsSkipped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, tc := range map[string]struct {
		why          string
		first, later contact.Source
		want         contact.UpsertStatus
	}{
		"newer":            {"news", contact.Source{UpdatedAt: ptr(start)}, contact.Source{UpdatedAt: ptr(start.Add(1000))}, contact.Changed},
		"same":             {"the same moment may be sent in two halves", contact.Source{UpdatedAt: ptr(start)}, contact.Source{UpdatedAt: ptr(start)}, contact.Changed},
		"older":            {"it came late", contact.Source{UpdatedAt: ptr(start)}, contact.Source{UpdatedAt: ptr(start.Add(-1000))}, contact.Stale},
		"says nothing":     {"it counts", contact.Source{UpdatedAt: ptr(start)}, contact.Source{}, contact.Changed},
		"lower version":    {"versions count before times", contact.Source{UpdatedAt: ptr(start), Version: ptr(int64(7))}, contact.Source{UpdatedAt: ptr(start.Add(1000)), Version: ptr(int64(6))}, contact.Stale},
		"higher version":   {"versions count before times", contact.Source{UpdatedAt: ptr(start), Version: ptr(int64(7))}, contact.Source{UpdatedAt: ptr(start.Add(-1000)), Version: ptr(int64(8))}, contact.Changed},
		"version and time": {"they cannot be compared", contact.Source{Version: ptr(int64(7))}, contact.Source{UpdatedAt: ptr(start)}, contact.Changed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, c := booking(name, titled("first")), customer(name, "first")
			r.Source, c.Source = tc.first, tc.first
			b.records(b.admin, "", r)
			b.contacts(b.admin, "", c)
			r, c = booking(name, titled("later")), customer(name, "later")
			r.Source, c.Source = tc.later, tc.later
			if rows := b.records(b.admin, "", r); rows[0].Status != tc.want || (b.record(rows[0].ID).Title == "later") != (tc.want == contact.Changed) {
				t.Errorf("%s: a record is %s", tc.why, rows[0].Status)
			}
			if rows := b.contacts(b.admin, "", c); rows[0].Status != tc.want {
				t.Errorf("%s: a contact is %s", tc.why, rows[0].Status)
			}
		})
	}
	// What says the same but later moves the time and tells nobody.
	x := booking("again", titled("T"))
	x.Source.UpdatedAt = ptr(start)
	b.records(b.admin, "", x)
	x.Source.UpdatedAt = ptr(start.Add(time.Hour))
	wantStatuses(t, b.records(b.admin, "", x), "UNCHANGED")
	x.Source.UpdatedAt, x.Title = ptr(start.Add(time.Minute)), patch.To("late")
	wantStatuses(t, b.records(b.admin, "", x), "STALE")
}

func TestTheLaterOfTwoRowsOfOneExternalIDCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	quote := contact.RecordUpsert{Kind: contact.RecordQuote, ExternalID: "1", RecordUpdate: titled("quote")}
	rows := b.records(b.admin, "", booking("1", titled("first")), quote, booking(" 1 ", titled("second")), booking("1", contact.RecordUpdate{Title: patch.To("bad"), URL: patch.To("no")}))
	wantStatuses(t, rows, "CONFLICT input.0.externalId, CREATED, CREATED, INVALID input.3.url")
	if got := b.record(rows[2].ID).Title; got != "second" {
		t.Errorf("%q is kept", got)
	}
	wantStatuses(t, b.contacts(b.admin, "", customer("1", "A"), customer("2", "B"), customer("1", "C")), "CONFLICT input.0.externalId, CREATED, CREATED")
}

func TestARepetitionWithItsKeyGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who := b.machine()
	in := []contact.RecordUpsert{booking("1", titled("first")), booking("2", contact.RecordUpdate{})}
	first := b.records(who, "k", in...)
	wantStatuses(t, first, "CREATED, REQUIRED input.1.title")
	b.records(who, "", booking("1", titled("second")))
	if diff := cmp.Diff(first, b.records(who, "k", in...), cmp.Comparer(func(a, b id.ID) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if got := b.record(first[0].ID).Title; got != "second" {
		t.Errorf("a repetition wrote %q over what came after it", got)
	}
	if _, err := b.svc.UpsertRecords(t.Context(), who, in[:1], "k"); !errs.IsCode(err, errs.IdempotencyReused) {
		t.Error("another input with the key:", err)
	}
	// After its time the key is new, and the answer is gone.
	b.clock.Advance(25 * time.Hour)
	wantStatuses(t, b.records(who, "k", in...), "UPDATED, REQUIRED input.1.title")
	if n := b.count(`SELECT count(*) AS n FROM upsert_batch`); n != 1 {
		t.Errorf("%d answers are kept", n)
	}
}

func TestAnUpsertDoesNotReachWhatIsNotSeen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fw := b.own("fin", access.ContactView, access.ContactEdit)
	b.contacts(b.admin, "", customer("hidden", "H"))
	b.records(b.admin, "", booking("hidden", titled("H")))
	wantStatuses(t, b.contacts(fw, "", customer("hidden", "X"), customer("mine", "M")), "NOT_FOUND input.0.externalId, CREATED")
	wantStatuses(t, b.contacts(fw, "", customer("mine", "N")), "UPDATED")
	mine := booking("mine", contact.RecordUpdate{Title: patch.To("M"), AssignedUserID: patch.To(fw.UserID)})
	bridge := booking("bridge", titled("B"))
	bridge.ContactExternalID = patch.To("hidden")
	wantStatuses(t, b.records(fw, "", booking("hidden", titled("X")), mine, bridge), "NOT_FOUND input.0.externalId, CREATED, NOT_FOUND input.2.contactExternalId")
	// The same external id in another organization is another record.
	_, other := b.organization("US")
	wantStatuses(t, b.records(other, "", booking("hidden", titled("X"))), "CREATED")
	wantStatuses(t, b.contacts(other, "", customer("hidden", "X")), "CREATED")
	if n := b.count(`SELECT count(*) AS n FROM record WHERE title = 'H'`); n != 1 {
		t.Error("another organization wrote over the record")
	}
}

func TestABatchTakesFewStatementsAndBatchesMayMeet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	batch := func(title string) (r []contact.RecordUpsert, c []contact.ContactUpsert) {
		for i := range contact.MaxBatch {
			x := booking(fmt.Sprint(i), titled(title))
			x.ContactExternalID, x.AssignedUserEmail = patch.To(fmt.Sprint(i)), patch.To("ann@demo.test")
			r, c = append(r, x), append(c, customer(fmt.Sprint(i), title, fmt.Sprintf("+6125550%04d", i)))
		}
		return r, c
	}
	for i, title := range []string{"first", "second"} {
		r, c := batch(title)
		want := []contact.UpsertStatus{contact.Created, contact.Changed}[i]
		ctx, n := db.CountStatements(t.Context())
		began := time.Now()
		rows, err := b.svc.UpsertContacts(ctx, b.admin, c, "k"+title)
		if err != nil || rows[0].Status != want || rows[499].Status != want {
			t.Fatal(statuses(rows), err)
		}
		if rows, err = b.svc.UpsertRecords(ctx, b.admin, r, "k"+title); err != nil || rows[0].Status != want || rows[499].Status != want {
			t.Fatal(statuses(rows), err)
		}
		if n.N() > 45 {
			t.Errorf("two batches took %d statements:\n%s", n.N(), strings.Join(n.Statements(), "\n"))
		}
		t.Logf("%s: %d statements, %s", title, n.N(), time.Since(began).Round(time.Millisecond))
	}
	// Batches of the same new rows at once, in every order: each row is made once.
	var wg sync.WaitGroup
	made := make([]int, 6)
	for k := range made {
		wg.Go(func() {
			var in []contact.RecordUpsert
			for i := range 60 {
				in = append(in, booking(fmt.Sprint("meet ", (i*7+k*13)%60), titled(fmt.Sprint(k))))
			}
			rows, err := b.svc.UpsertRecords(context.Background(), b.admin, in, "")
			if err != nil {
				t.Error(err)
			}
			for _, r := range rows {
				switch r.Status {
				case contact.Created:
					made[k]++
				case contact.Failed:
					t.Error(r)
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range made {
		sum += n
	}
	if n := b.count(`SELECT count(*) AS n FROM record WHERE external_id LIKE 'meet %'`); n != 60 || sum != 60 {
		t.Errorf("%d records, %d said to be created; want 60", n, sum)
	}
}
