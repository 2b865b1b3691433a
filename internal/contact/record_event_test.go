package contact_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
)

func (b *bundle) happens(who access.Actor, in contact.EventAdd) (*contact.RecordEvent, *contact.Record) {
	b.t.Helper()
	e, r, err := b.svc.AddEvent(b.t.Context(), who, in)
	if err != nil {
		b.t.Fatal(in.Kind, err)
	}
	return e, r
}

func TestEventsMoveTheirRecordWhateverTheOrder(t *testing.T) { // R164-R173
	t.Parallel()
	b := setup(t)
	who := b.machine()
	at := func(m int) *time.Time { return ptr(start.Add(time.Duration(m-300) * time.Minute)) }
	told := []contact.EventAdd{
		{Kind: contact.BookingConfirmed, At: at(0)}, {Kind: contact.JobAccepted, At: at(10)}, {Kind: contact.OnTheWay, At: at(20), EtaAt: at(60), TrackingURL: ptr("https://track.example.com/1")},
		{Kind: contact.RunningLate, At: at(30), EtaAt: at(90), TrackingURL: ptr("https://track.example.com/2")}, {Kind: contact.ContactAttemptFailed, At: at(40)}, {Kind: contact.Arrived, At: at(95)},
		{Kind: contact.Completed, At: at(150)}, {Kind: contact.ContactAttemptFailed, At: at(160)},
	}
	// As they happened, one after the other.
	inOrder := b.records(b.admin, "", booking("in order", titled("T")))[0].ID
	for i, want := range []string{"CONFIRMED", "ACCEPTED", "ON_THE_WAY", "ON_THE_WAY", "ON_THE_WAY", "ARRIVED", "COMPLETED", "COMPLETED"} {
		in := told[i]
		in.RecordID = inOrder
		if _, r := b.happens(who, in); r.Status != want {
			t.Errorf("after %s the status is %s, want %s", in.Kind, r.Status, want)
		}
	}
	seed := uint64(7)
	rnd := rand.New(rand.NewPCG(seed, seed))
	for n := range 8 {
		name := fmt.Sprint("shuffled ", n)
		b.records(b.admin, "", booking(name, titled("T")))
		order := slices.Clone(told)
		rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		var r *contact.Record
		for _, in := range order {
			in.RecordKind, in.RecordExternalID = contact.RecordBooking, name
			_, r = b.happens(who, in)
		}
		if r.Status != "COMPLETED" || !r.EtaAt.Equal(*at(90)) || *r.TrackingURL != "https://track.example.com/2" || !r.ConfirmedAt.Equal(*at(0)) {
			t.Errorf("seed %d, order %v: %s, %v, %v", seed, order, r.Status, r.EtaAt, r.ConfirmedAt)
		}
		w, err := b.svc.Events(t.Context(), b.admin, r, db.Page{First: 3})
		if err != nil || len(w.Nodes) != 3 || !w.HasNext || w.Nodes[0].Kind != contact.ContactAttemptFailed || w.Nodes[1].Kind != contact.Completed {
			t.Errorf("the latest comes first: %+v, %v", w.Nodes, err)
		}
		rest, err := b.svc.Events(t.Context(), b.admin, r, db.Page{First: 10, After: w.EndCursor()})
		if err != nil || len(rest.Nodes) != 5 || rest.HasNext || rest.Nodes[4].Kind != contact.BookingConfirmed {
			t.Errorf("%+v, %v", rest.Nodes, err)
		}
	}
}

func TestAnEventIsKeptOnceAndTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who := b.machine()
	rows := b.records(b.admin, "", booking("1", titled("T")), booking("2", titled("T")))
	in := contact.EventAdd{RecordID: rows[0].ID, Kind: contact.OnTheWay, ExternalID: ptr("e-1"), EtaAt: ptr(start.Add(time.Hour)), Note: ptr(" soon "),
		Data: []contact.Datum{{Key: "van", Value: "7"}}}
	e, r := b.happens(who, in)
	if e.Kind != contact.OnTheWay || !e.At.Equal(start) || *e.Note != "soon" || e.Data["van"] != "7" || e.APIKeyID != who.APIKeyID || r.Version != 2 {
		t.Errorf("%+v of %+v", e, r)
	}
	b.clock.Advance(time.Minute)
	var wg sync.WaitGroup
	for range 8 { // also at once
		wg.Go(func() {
			other := in
			other.Kind, other.Note = contact.Arrived, nil
			again, r, err := b.svc.AddEvent(context.Background(), who, other)
			if err != nil || again.ID != e.ID || again.Kind != contact.OnTheWay || r.Status != "ON_THE_WAY" || r.Version != 2 {
				t.Errorf("%+v of %+v: %v", again, r, err)
			}
		})
	}
	wg.Wait()
	for kind, want := range map[string]int{"RECORD_EVENT": 1, "RECORD_UPDATED": 2} { // made, and moved
		if n := b.count(`SELECT count(*) AS n FROM event WHERE kind = $1 AND subject = $2`, kind, rows[0].ID); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
	if n := b.count(`SELECT count(*) AS n FROM event WHERE kind = 'RECORD_EVENT' AND data ->> 'eventId' = $1 AND data ->> 'kind' = 'ON_THE_WAY'`, e.ID.String()); n != 1 {
		t.Error("the event of the log does not name ours")
	}
	in.RecordID = rows[1].ID
	if _, _, err := b.svc.AddEvent(t.Context(), who, in); !errs.IsCode(err, errs.Taken) {
		t.Error("one event of two records:", err)
	}
	// Without an external id the same words are told twice.
	b.happens(who, contact.EventAdd{RecordID: rows[1].ID, Kind: contact.ContactAttemptFailed})
	b.happens(who, contact.EventAdd{RecordID: rows[1].ID, Kind: contact.ContactAttemptFailed})
	if r := b.record(rows[1].ID); r.Version != 1 || r.Status != "OPEN" {
		t.Errorf("a failed attempt moved the record: %+v", r)
	}
}

func TestWhoMayReportWhat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fw := b.own("fin", access.ContactView, access.RecordEventAdd)
	rows := b.records(b.admin, "", booking("mine", contact.RecordUpdate{Title: patch.To("T"), AssignedUserID: patch.To(fw.UserID)}), booking("other", titled("T")))
	mine, other := rows[0].ID, rows[1].ID
	_, stranger := b.organization("US")
	stranger.Permissions = access.SetOf(access.RecordEventAdd)
	narrow, branch, keyOfOwn := b.machine(), fw, b.machine()
	narrow.Permissions = access.SetOf(access.RecordEventAdd)
	branch.Visibility = access.SeesBranch
	keyOfOwn.Visibility = access.SeesOwn
	edit := b.admin
	for name, tc := range map[string]struct {
		why  string
		who  access.Actor
		in   contact.EventAdd
		code errs.Code
		at   string
	}{
		"own":              {"R170", fw, contact.EventAdd{RecordID: mine, Kind: contact.OnTheWay}, "", ""},
		"own, not field":   {"the office takes the money", fw, contact.EventAdd{RecordID: mine, Kind: contact.Paid}, errs.Forbidden, "event"},
		"another's":        {"they do not see it", fw, contact.EventAdd{RecordID: other, Kind: contact.OnTheWay}, errs.NotFound, "recordId"},
		"another's, named": {"they do not see it", fw, contact.EventAdd{RecordKind: contact.RecordBooking, RecordExternalID: "other", Kind: contact.OnTheWay}, errs.NotFound, "recordExternalId"},
		"of the branch":    {"a fieldworker reports of their own, whatever they see", branch, contact.EventAdd{RecordID: other, Kind: contact.OnTheWay}, errs.NotFound, "recordId"},
		"key, own":         {"a key has nothing of its own", keyOfOwn, contact.EventAdd{RecordID: mine, Kind: contact.OnTheWay}, errs.NotFound, "recordId"},
		"key":              {"a narrow key tells everything that happens", narrow, contact.EventAdd{RecordID: other, Kind: contact.Paid}, "", ""},
		"edit alone":       {"it is a permission of its own", edit, contact.EventAdd{RecordID: other, Kind: contact.Paid}, errs.Forbidden, ""},
		"stranger":         {"tenants", stranger, contact.EventAdd{RecordID: other, Kind: contact.Paid}, errs.NotFound, "recordId"},
		"no record":        {"which?", narrow, contact.EventAdd{Kind: contact.Paid}, errs.Required, "recordId"},
		"no kind":          {"external ids are unique by kind", narrow, contact.EventAdd{RecordExternalID: "other", Kind: contact.Paid}, errs.Required, "recordKind"},
		"twice named":      {"which?", narrow, contact.EventAdd{RecordID: other, RecordKind: contact.RecordBooking, RecordExternalID: "other", Kind: contact.Paid}, errs.Invalid, "recordId"},
		"not a record":     {"ids know what they are", narrow, contact.EventAdd{RecordID: id.New(id.Call), Kind: contact.Paid}, errs.Invalid, "recordId"},
		"kind":             {"the list is known", narrow, contact.EventAdd{RecordID: other, Kind: "LOST"}, errs.Invalid, "event"},
		"late without eta": {"the customer is told when", narrow, contact.EventAdd{RecordID: other, Kind: contact.RunningLate}, errs.Required, "etaAt"},
		"tomorrow":         {"it would keep all others from counting", narrow, contact.EventAdd{RecordID: other, Kind: contact.Paid, At: ptr(start.Add(24 * time.Hour))}, errs.Invalid, "at"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, r, err := b.svc.AddEvent(t.Context(), tc.who, tc.in)
			e, _ := errs.As(err)
			if errs.CodeOf(err) != tc.code || tc.at != "" && (len(e.Field) == 0 || e.Field[0] != tc.at) {
				t.Errorf("%s: %v, want %s at %s", tc.why, err, tc.code, tc.at)
			}
			if err == nil && (r != nil) != tc.who.Can(access.ContactView) {
				t.Errorf("%s: the record is answered to who may not see it", tc.why)
			}
		})
	}
}

func TestPeopleEditRecords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.contact(b.admin, contact.Create{})
	r, err := b.svc.CreateRecord(t.Context(), b.admin, contact.RecordCreate{Kind: contact.RecordInvoice, Title: "I-7", ContactID: c.ID, StartsAt: ptr(start),
		More: contact.RecordUpdate{Amount: patch.To(contact.Money{AmountMinor: 1050, Currency: "AUD"}), DueAt: patch.To(start.Add(time.Hour)), Tags: patch.To([]string{"net30"})}})
	if err != nil || r.Amount().AmountMinor != 1050 || r.Status != "OPEN" {
		t.Fatal(r, err)
	}
	got, err := b.svc.UpdateRecord(t.Context(), b.admin, r.ID, contact.RecordUpdate{Status: patch.To("SENT"), DueAt: patch.Clear[time.Time](), URL: patch.To("https://pay.example.com")})
	if err != nil || got.Status != "SENT" || got.DueAt != nil || got.Amount().Currency != "AUD" || got.Version != 2 || *got.URL != "https://pay.example.com" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = b.svc.UpdateRecord(t.Context(), b.admin, r.ID, contact.RecordUpdate{Status: patch.To("SENT")}); err != nil || got.Version != 2 {
		t.Errorf("what changes nothing leaves a trace: %+v, %v", got, err)
	}
	if n := b.count(`SELECT count(*) AS n FROM event WHERE kind = 'RECORD_UPDATED' AND subject = $1`, r.ID); n != 2 {
		t.Errorf("%d events", n)
	}
	fw := b.own("fin", access.ContactView, access.ContactEdit)
	mine := b.records(b.admin, "", booking("mine", contact.RecordUpdate{Title: patch.To("T"), AssignedUserID: patch.To(fw.UserID)}))[0].ID
	_, stranger := b.organization("US")
	for name, tc := range map[string]struct {
		who    access.Actor
		record id.ID
		in     contact.RecordUpdate
		code   errs.Code
	}{
		"not theirs":             {fw, r.ID, titled("X"), errs.NotFound},
		"theirs":                 {fw, mine, titled("X"), ""},
		"a contact not theirs":   {fw, mine, contact.RecordUpdate{ContactID: patch.To(c.ID)}, errs.NotFound},
		"another's organization": {stranger, r.ID, titled("X"), errs.NotFound},
		"no such user":           {b.admin, r.ID, contact.RecordUpdate{AssignedUserID: patch.To(stranger.UserID)}, errs.NotFound},
		"no title":               {b.admin, r.ID, contact.RecordUpdate{Title: patch.Clear[string]()}, errs.Required},
	} {
		if _, err := b.svc.UpdateRecord(t.Context(), tc.who, tc.record, tc.in); errs.CodeOf(err) != tc.code {
			t.Errorf("%s: %v, want %q", name, err, tc.code)
		}
	}
	// R243: a record that a call speaks of says what it is and no more.
	named, err := b.svc.RecordsNamed(t.Context(), fw, []id.ID{r.ID, mine})
	if x := named[r.ID]; err != nil || x.Title != "I-7" || x.Amount() != nil || x.URL != nil || len(x.Tags) != 0 || named[mine] == nil {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestFiltersFindRecipients(t *testing.T) { // R135
	t.Parallel()
	b := setup(t)
	fw := b.own("fin", access.ContactView)
	roof := func(name string, in contact.Update) contact.ContactUpsert {
		c := customer(name, name, "+61255501234")
		c.Service, c.Location, c.Status, c.Tags = patch.To("Roofing"), patch.To("North"), patch.To("ACTIVE"), patch.To([]string{"vip", "x"})
		if in.Location.Set {
			c.Location = in.Location
		}
		if in.Tags.Set {
			c.Tags = in.Tags
		}
		if in.Phones.Set {
			c.Phones = in.Phones
		}
		return c
	}
	two := []contact.PhoneInput{{Number: "+61255501111"}, {Number: "+61255502222", IsPrimary: true}}
	rows := b.contacts(b.admin, "", roof("a", contact.Update{}), roof("b", contact.Update{Location: patch.To("South")}), roof("c", contact.Update{Tags: patch.To([]string{"x"})}),
		roof("d", contact.Update{Phones: patch.To(two)}), roof("e", contact.Update{Phones: patch.Clear[[]contact.PhoneInput]()}))
	on := func(name string, who id.ID, h int, in contact.RecordUpdate) contact.RecordUpsert {
		in.Title, in.AssignedUserID, in.StartsAt = patch.To(name), patch.To(who), patch.To(start.Add(time.Duration(h)*time.Hour))
		x := booking(name, in)
		x.ContactExternalID = patch.To(name[:1])
		return x
	}
	b.records(b.admin, "", on("a1", fw.UserID, 1, contact.RecordUpdate{Service: patch.To("Gutter"), Tags: patch.To([]string{"big"})}), on("a2", b.admin.UserID, 2, contact.RecordUpdate{}),
		on("b1", b.admin.UserID, 3, contact.RecordUpdate{DueAt: patch.To(start), Location: patch.To("West"), Status: patch.To("SENT")}), booking("nobody", titled("nobody")))
	list := func(who access.Actor, f contact.RecipientFilter) (out string) {
		t.Helper()
		for { // one by one: the pages meet
			page, err := b.svc.Recipients(t.Context(), who, f, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				return out
			}
			out += page[0].Name + string(page[0].E164[max(0, len(page[0].E164)-4):]) + " "
			if f.After = page[0].ContactID; f.Records != nil {
				f.After = page[0].RecordID
			}
		}
	}
	for name, tc := range map[string]struct {
		who  access.Actor
		f    contact.RecipientFilter
		want string
	}{
		"all contacts":       {b.admin, contact.RecipientFilter{Contacts: &contact.Filter{}}, "a1234 b1234 c1234 d2222 e "},
		"all words":          {b.admin, contact.RecipientFilter{Contacts: &contact.Filter{Status: "ACTIVE", Service: "Roofing", Location: "North", Tag: "vip"}}, "a1234 d2222 e "},
		"south":              {b.admin, contact.RecipientFilter{Contacts: &contact.Filter{Location: "South"}}, "b1234 "},
		"no such word":       {b.admin, contact.RecipientFilter{Contacts: &contact.Filter{Tag: "vi"}}, ""},
		"own contacts":       {fw, contact.RecipientFilter{Contacts: &contact.Filter{}}, "a1234 "},
		"records":            {b.admin, contact.RecipientFilter{Records: &contact.RecordFilter{}}, "a1234 a1234 b1234 "},
		"own records":        {fw, contact.RecipientFilter{Records: &contact.RecordFilter{}}, "a1234 "},
		"of a service":       {b.admin, contact.RecipientFilter{Records: &contact.RecordFilter{Service: "Gutter", Tag: "big"}}, "a1234 "},
		"starts":             {b.admin, contact.RecipientFilter{Records: &contact.RecordFilter{StartsAfter: start.Add(time.Hour), StartsBefore: start.Add(3 * time.Hour)}}, "a1234 "},
		"due":                {b.admin, contact.RecipientFilter{Records: &contact.RecordFilter{DueBefore: start.Add(1000), Status: "SENT", Location: "West"}}, "b1234 "},
		"records and people": {b.admin, contact.RecipientFilter{Records: &contact.RecordFilter{}, Contacts: &contact.Filter{Location: "South"}}, "b1234 "},
		"own of both":        {fw, contact.RecipientFilter{Records: &contact.RecordFilter{}, Contacts: &contact.Filter{Location: "North"}}, "a1234 "},
	} {
		if got := list(tc.who, tc.f); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	if _, err := b.svc.Recipients(t.Context(), b.admin, contact.RecipientFilter{}, 10); !errs.IsCode(err, errs.Required) {
		t.Error("everybody by mistake:", err)
	}
	w, err := b.svc.Records(t.Context(), b.admin, contact.RecordFilter{Tag: "big"}, db.Page{})
	if err != nil || len(w.Nodes) != 1 {
		t.Error(w.Nodes, err)
	}
	r := w.Nodes[0]
	ctx, n := db.CountStatements(b.ctx())
	c, recs, err := b.svc.MergeData(ctx, []id.ID{rows[1].ID}, []id.ID{r.ID})
	if err != nil || len(c) != 2 || c[rows[0].ID].Name != "a" || recs[r.ID].Title != "a1" || n.N() > 2 {
		t.Errorf("%v %v in %d statements, %v", c, recs, n.N(), err)
	}
	if _, _, err := b.svc.MergeData(context.Background(), nil, []id.ID{r.ID}); err == nil {
		t.Error("merge data without a tenant")
	}
}

func TestAnUnknownSenderBecomesOneContact(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const from phone.E164 = "+61255509999"
	match := func(ctx context.Context, number phone.E164) (x id.ID, created bool) {
		err := b.db.InTx(db.WithTenant(ctx, b.org), func(ctx context.Context, tx *db.Tx) (err error) {
			x, created, err = b.svc.MatchOrCreate(ctx, tx, number, contact.KindLead)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return x, created
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	found, made := map[id.ID]bool{}, 0
	for range 20 {
		wg.Go(func() {
			x, created := match(context.Background(), from)
			mu.Lock()
			defer mu.Unlock()
			found[x] = true
			if created {
				made++
			}
		})
	}
	wg.Wait()
	if len(found) != 1 || made != 1 {
		t.Fatalf("%d contacts, %d made", len(found), made)
	}
	for x := range found {
		c, err := b.svc.Get(t.Context(), b.admin, x)
		if err != nil || c.Name != "(02) 5550 9999" || c.Kind != contact.KindLead {
			t.Errorf("%+v, %v", c, err)
		}
		p, err := b.svc.PhonesByContacts(b.ctx(), []id.ID{x})
		if err != nil || len(p[x]) != 1 || p[x][0].E164 != from || !p[x][0].IsPrimary {
			t.Errorf("%+v, %v", p, err)
		}
		if n := b.count(`SELECT count(*) AS n FROM event WHERE kind = 'CONTACT_UPDATED' AND subject = $1`, x); n != 1 {
			t.Errorf("%d events", n)
		}
	}
	known := b.contact(b.admin, contact.Create{Phones: phones("+61255508888")})
	if x, created := match(t.Context(), "+61255508888"); x != known.ID || created {
		t.Error("somebody known is made anew")
	}
	for _, nobody := range []phone.E164{"", "ACME", "anonymous"} {
		if x, created := match(t.Context(), nobody); !x.IsZero() || created {
			t.Errorf("%q becomes a contact (D11)", nobody)
		}
	}
}
