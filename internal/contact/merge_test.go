package contact_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

// linked makes a service that moves and looks at calls.
func (b *bundle) linked() {
	b.svc = contact.New(contact.Deps{DB: b.db, Linked: []contact.Link{{Table: "call", Contacts: true, Records: true, Holds: true}}})
}

// call adds a call of a contact, as the network would.
func (b *bundle) call(c, record id.ID) id.ID {
	b.t.Helper()
	connection, x := id.New(id.Connection), id.New(id.Call)
	b.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at)
		VALUES ($1, $2, 'x', 'AC' || replace($2::uuid::text, '-', ''), 'FULL', 'ACTIVE', $3)`, b.org, connection, start)
	b.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, contact_id, record_id, from_number, to_number, started_at, updated_at)
		VALUES ($1, $2, 'INBOUND', 'RINGING', $3, $4, $5, '+61255501234', '+61255500000', $6, $6)`, b.org, x, connection, c, record, start)
	return x
}

func (b *bundle) callOf(x id.ID) (c, record id.ID) {
	b.t.Helper()
	var row struct {
		Contact id.ID `bun:"contact_id"`
		Record  id.ID `bun:"record_id"`
	}
	if err := db.Select(context.Background(), b.db.Worker(), &row, `SELECT contact_id, record_id FROM call WHERE id = $1`, x); err != nil {
		b.t.Fatal(err)
	}
	return row.Contact, row.Record
}

func (b *bundle) hold(x id.ID) id.ID {
	hold := id.New(id.LegalHold)
	b.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'court', $4)`, b.org, hold, x, start)
	return hold
}

func TestMergedContactsAreOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.linked()
	who := b.boss()
	keep := b.contact(who, contact.Create{Name: "Bob", Phones: phones(line), Tags: []string{"a"}, ExternalID: ptr("K")})
	old := b.contact(who, contact.Create{Name: "Robert", Company: ptr("Acme"), Email: ptr("bob@example.com"), Phones: phones(line, "+61255509999"), Tags: []string{"b"}, ExternalID: ptr("O")})
	lead := b.contact(who, contact.Create{Kind: contact.KindLead, Name: "B.", Company: ptr("Other")})
	campaign, err := b.svc.CreateCampaign(t.Context(), who, contact.CampaignCreate{Name: "Spring", ContactIDs: []id.ID{keep.ID, lead.ID}})
	if err != nil {
		t.Fatal(err)
	}
	record, err := b.svc.CreateRecord(t.Context(), who, contact.RecordCreate{Kind: contact.RecordQuote, Title: "Q", ContactID: old.ID})
	if err != nil {
		t.Fatal(err)
	}
	call := b.call(old.ID, id.ID{})

	for why, x := range map[string]struct {
		who  access.Actor
		id   id.ID
		from []id.ID
		code errs.Code
	}{
		"may not delete":        {b.admin, keep.ID, []id.ID{old.ID}, errs.Forbidden},
		"into itself":           {who, keep.ID, []id.ID{keep.ID}, errs.Invalid},
		"nobody":                {who, keep.ID, nil, errs.Required},
		"one that is not there": {who, keep.ID, []id.ID{id.New(id.Contact)}, errs.NotFound},
		"into one not there":    {who, id.New(id.Contact), []id.ID{old.ID}, errs.NotFound},
		"no contact at all":     {who, keep.ID, []id.ID{record.ID}, errs.Invalid},
		"more than a screenful": {who, keep.ID, make([]id.ID, contact.MaxMerged+1), errs.LimitReached},
	} {
		if _, err := b.svc.Merge(t.Context(), x.who, x.id, x.from); !errs.IsCode(err, x.code) {
			t.Errorf("%s: %v", why, err)
		}
	}
	c, err := b.svc.Merge(t.Context(), who, keep.ID, []id.ID{old.ID, lead.ID})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]any{"Bob", "Acme", "bob@example.com", []string{"a", "b"}, "K"}, []any{c.Name, *c.Company, *c.Email, c.Tags, *c.ExternalID}); d != "" {
		t.Errorf("kept wins, empty is filled -want +got:\n%s", d)
	}
	got, err := b.svc.PhonesByContacts(b.ctx(), []id.ID{keep.ID})
	if err != nil || len(got[keep.ID]) != 2 || got[keep.ID][0].E164 != line || !got[keep.ID][0].IsPrimary || got[keep.ID][1].IsPrimary {
		t.Errorf("phones: %v %v", got[keep.ID], err)
	}
	if c, _ := b.callOf(call); c != keep.ID {
		t.Errorf("the call is %v's", c)
	}
	if r, err := b.svc.Record(t.Context(), who, record.ID); err != nil || r.ContactID != keep.ID {
		t.Errorf("the record: %v %v", r, err)
	}
	if k, err := b.svc.Campaign(t.Context(), who, campaign.ID); err != nil || k.MemberCount != 1 {
		t.Errorf("the campaign: %+v %v", k, err)
	}
	for _, x := range []id.ID{old.ID, lead.ID} { // the merged ids go on answering
		if c, err := b.svc.Get(t.Context(), who, x); err != nil || c.ID != keep.ID {
			t.Errorf("%v answers %v %v", x, c, err)
		}
	}
	// Again, and half of it again: nothing is left to do.
	if again, err := b.svc.Merge(t.Context(), who, keep.ID, []id.ID{old.ID, lead.ID}); err != nil || again.Version != c.Version {
		t.Errorf("again: %v %v", again, err)
	}
	// The other system has two still: the one that stayed is its own.
	rows := b.contacts(b.admin, "", contact.ContactUpsert{ExternalID: "O", Update: contact.Update{Kind: patch.To(contact.KindCustomer), Name: patch.To("Robert")}})
	if rows[0].Status != contact.Unchanged || rows[0].ID != keep.ID {
		t.Errorf("%+v", rows)
	}
	records := b.records(b.admin, "", contact.RecordUpsert{Kind: contact.RecordQuote, ExternalID: "q", RecordUpdate: contact.RecordUpdate{Title: patch.To("Q")}, ContactExternalID: patch.To("O")})
	if r, err := b.svc.Record(t.Context(), who, records[0].ID); err != nil || r.ContactID != keep.ID {
		t.Errorf("%+v %v", r, err)
	}
	// A fact of a call names the old one: the call is the survivor's.
	b.exec(`UPDATE call SET contact_id = $2 WHERE id = $1`, call, lead.ID)
	if c, _ := b.callOf(call); c != keep.ID {
		t.Errorf("linked to a merged contact: %v", c)
	}
	// The survivor goes, too: nothing answers any more.
	if gone, kept, err := b.svc.Delete(t.Context(), who, []id.ID{keep.ID}); err != nil || len(gone) != 1 || len(kept) != 0 {
		t.Fatalf("%v %v %v", gone, kept, err)
	}
	if _, err := b.svc.Get(t.Context(), who, old.ID); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("after the survivor: %v", err)
	}
	b.exec(`UPDATE call SET contact_id = $2 WHERE id = $1`, call, old.ID)
	if c, _ := b.callOf(call); !c.IsZero() {
		t.Errorf("linked to a deleted contact: %v", c)
	}
}

func TestDeletedContactsLeaveNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.linked()
	who := b.boss()
	c := b.contact(who, contact.Create{Name: "Zebedee Quux", Email: ptr("zeb@example.com"), Phones: phones(line), ExternalID: ptr("E")})
	held := b.contact(who, contact.Create{Name: "Held"})
	called := b.contact(who, contact.Create{Name: "Held by a call"})
	booked := b.contact(who, contact.Create{Name: "Held by a record"})
	record, err := b.svc.CreateRecord(t.Context(), who, contact.RecordCreate{Kind: contact.RecordQuote, Title: "Q", ContactID: c.ID})
	if err != nil {
		t.Fatal(err)
	}
	keeps, err := b.svc.CreateRecord(t.Context(), who, contact.RecordCreate{Kind: contact.RecordQuote, Title: "H", ContactID: booked.ID})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := b.svc.CreateRecord(t.Context(), who, contact.RecordCreate{Kind: contact.RecordQuote, Title: "T", ContactID: held.ID})
	if err != nil {
		t.Fatal(err)
	}
	call := b.call(c.ID, record.ID)
	hold := b.hold(held.ID)
	if _, err := b.svc.UpdateRecord(t.Context(), who, theirs.ID, contact.RecordUpdate{ContactID: patch.To(called.ID)}); !errs.IsCode(err, errs.Conflict) {
		t.Errorf("the record leaves the hold of its contact: %v", err)
	}
	if gone, kept, err := b.svc.DeleteRecords(t.Context(), who, []id.ID{theirs.ID}); err != nil || len(gone) != 0 || len(kept) != 1 {
		t.Errorf("the record of a held contact: %v %v %v", gone, kept, err)
	}
	b.hold(b.call(called.ID, id.ID{}))
	b.hold(keeps.ID)

	ids := []id.ID{c.ID, held.ID, called.ID, booked.ID, id.New(id.Contact)}
	if _, _, err := b.svc.Delete(t.Context(), b.admin, ids); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without permission: %v", err)
	}
	for range 2 { // the second time nothing changes
		gone, kept, err := b.svc.Delete(t.Context(), who, ids)
		if err != nil || !slices.Equal(gone, ids[:1]) {
			t.Fatalf("%v %v", gone, err)
		}
		var codes []errs.Code
		for _, k := range kept {
			e, _ := errs.As(k)
			codes = append(codes, e.Code)
		}
		if d := cmp.Diff([]errs.Code{errs.Conflict, errs.Conflict, errs.Conflict, errs.NotFound}, codes); d != "" {
			t.Error(d)
		}
	}
	if c, r := b.callOf(call); !c.IsZero() || r != record.ID {
		t.Errorf("the call stays without the link: %v %v", c, r)
	}
	if r, err := b.svc.Record(t.Context(), who, record.ID); err != nil || !r.ContactID.IsZero() {
		t.Errorf("the record stays: %v %v", r, err)
	}
	// Nowhere in the database is anything left of them.
	var tables []struct {
		Name string `bun:"name"`
	}
	if err := db.Select(t.Context(), b.db.Worker(), &tables, `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`); err != nil {
		t.Fatal(err)
	}
	for _, x := range tables {
		var n struct{ Count int }
		if err := db.Select(t.Context(), b.db.Worker(), &n, `SELECT count(*) AS count FROM "`+x.Name+`" x WHERE x::text ILIKE '%zebedee%' OR x::text ILIKE '%zeb@%'`); err != nil {
			t.Fatal(err)
		}
		if n.Count > 0 {
			t.Errorf("%s still knows them", x.Name)
		}
	}
	// A hold that is released, and an external id that comes again as somebody new.
	b.exec(`UPDATE legal_hold SET released_at = $2 WHERE id = $1`, hold, start)
	if gone, kept, err := b.svc.Delete(t.Context(), who, ids[1:2]); err != nil || len(gone) != 1 || len(kept) != 0 {
		t.Errorf("%v %v %v", gone, kept, err)
	}
	rows := b.contacts(b.admin, "", contact.ContactUpsert{ExternalID: "E", Update: contact.Update{Kind: patch.To(contact.KindCustomer), Name: patch.To("New")}})
	if rows[0].Status != contact.Created {
		t.Errorf("%+v", rows)
	}
	if gone, kept, err := b.svc.DeleteRecords(t.Context(), who, []id.ID{record.ID, keeps.ID}); err != nil || len(gone) != 1 || len(kept) != 1 {
		t.Errorf("%v %v %v", gone, kept, err)
	}
	if _, r := b.callOf(call); !r.IsZero() {
		t.Errorf("the call without the record: %v", r)
	}
	b.exec(`UPDATE call SET record_id = $2 WHERE id = $1`, call, record.ID)
	if _, r := b.callOf(call); !r.IsZero() {
		t.Errorf("linked to a deleted record: %v", r)
	}
}

func TestACallThatComesWhileItsContactIsMergedIsTheSurvivors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.linked()
	who := b.boss()
	keep := b.contact(who, contact.Create{Name: "Keep"})
	const n = 6
	from := make([]id.ID, n)
	for i := range from {
		from[i] = b.contact(who, contact.Create{Name: "Old"}).ID
	}
	calls := make(chan id.ID, n*3)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for range 3 {
				calls <- b.call(from[i], id.ID{})
			}
		})
		wg.Go(func() {
			if _, err := b.svc.Merge(t.Context(), who, keep.ID, from[i:i+1]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(calls)
	for x := range calls {
		if c, _ := b.callOf(x); c != keep.ID {
			t.Errorf("a call is %v's, not the survivor's", c)
		}
	}
}

func TestManyAreAssignedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	who := b.boss()
	user := b.user(b.org, "bea")
	one, two := b.contact(who, contact.Create{Name: "1"}), b.contact(who, contact.Create{Name: "2", AssignedUserID: user})
	got, err := b.svc.AssignContacts(t.Context(), b.admin, []id.ID{two.ID, one.ID, two.ID}, user)
	if err != nil || len(got) != 2 || got[0].ID != two.ID || got[1].AssignedUserID != user || got[0].Version != two.Version || got[1].Version != one.Version+1 {
		t.Fatalf("%v %v", got, err)
	}
	if got, err = b.svc.AssignContacts(t.Context(), b.admin, []id.ID{one.ID}, id.ID{}); err != nil || !got[0].AssignedUserID.IsZero() {
		t.Errorf("%v %v", got, err)
	}
	for why, f := range map[string]func() error{
		"no such user": func() error {
			_, err := b.svc.AssignContacts(t.Context(), b.admin, []id.ID{one.ID}, id.New(id.User))
			return err
		},
		"no such contact": func() error {
			_, err := b.svc.AssignContacts(t.Context(), b.admin, []id.ID{one.ID, id.New(id.Contact)}, user)
			return err
		},
		"not theirs": func() error {
			_, err := b.svc.AssignContacts(t.Context(), b.own("fred", access.ContactView, access.ContactEdit), []id.ID{one.ID}, user)
			return err
		},
		"no such record": func() error {
			_, err := b.svc.AssignRecords(t.Context(), b.admin, []id.ID{id.New(id.Record)}, user)
			return err
		},
	} {
		if err := f(); !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

func TestACampaignChangesItsMembers(t *testing.T) { // R185
	t.Parallel()
	b := setup(t)
	a, c := b.contact(b.admin, contact.Create{Name: "A"}), b.contact(b.admin, contact.Create{Name: "C"})
	k, err := b.svc.CreateCampaign(t.Context(), b.admin, contact.CampaignCreate{Name: "Spring", ContactIDs: []id.ID{a.ID}})
	if err != nil {
		t.Fatal(err)
	}
	if k, err = b.svc.AddMembers(t.Context(), b.admin, k.ID, []id.ID{a.ID, c.ID}); err != nil || k.MemberCount != 2 {
		t.Fatalf("%v %v", k, err)
	}
	w, err := b.svc.Members(t.Context(), b.admin, k.ID, db.Page{First: 1})
	if err != nil || len(w.Nodes) != 1 || w.Nodes[0].Name != "C" || !w.HasNext {
		t.Errorf("%v %v", w, err)
	}
	if k, err = b.svc.RemoveMembers(t.Context(), b.admin, k.ID, []id.ID{a.ID, a.ID}); err != nil || k.MemberCount != 1 {
		t.Errorf("%v %v", k, err)
	}
	if k, err = b.svc.UpdateCampaign(t.Context(), b.admin, k.ID, contact.CampaignUpdate{Name: patch.To("Summer"), IsActive: patch.To(false)}); err != nil || k.Name != "Summer" || k.IsActive {
		t.Errorf("%v %v", k, err)
	}
	if _, err := b.svc.AddMembers(t.Context(), b.admin, k.ID, []id.ID{id.New(id.Contact)}); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("%v", err)
	}
	if _, err := b.svc.AddMembers(t.Context(), b.admin, id.New(id.Campaign), []id.ID{a.ID}); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("%v", err)
	}
	fred := b.own("fred", access.ContactView, access.ContactEdit)
	his := b.contact(b.admin, contact.Create{Name: "His", AssignedUserID: fred.UserID})
	if k, err = b.svc.AddMembers(t.Context(), fred, k.ID, []id.ID{his.ID}); err != nil || k.MemberCount != 1 {
		t.Errorf("of two members one is his: %v %v", k, err)
	}
	if w, err := b.svc.Members(t.Context(), fred, k.ID, db.Page{}); err != nil || len(w.Nodes) != 1 {
		t.Errorf("members who are not theirs: %v %v", w.Nodes, err)
	}
	if all, err := b.svc.Campaigns(t.Context(), fred, db.Page{}); err != nil || all.Nodes[0].MemberCount != 1 {
		t.Errorf("the members counted for him: %v %v", all.Nodes, err)
	}
	narrowed := fred // R243
	narrowed.Visibility, narrowed.Switched = access.SeesOrganization, []access.FieldworkerOption{access.WholeCustomerBase}
	for n, who := range map[int]access.Actor{1: narrowed, 2: b.admin} {
		if k, err := b.svc.Campaign(t.Context(), who, k.ID); err != nil || k.MemberCount != n {
			t.Errorf("%d are counted: %v %v", n, k, err)
		}
	}
}
