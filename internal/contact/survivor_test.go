package contact_test

import (
	"slices"
	"testing"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

func (b *bundle) merge(keep id.ID, from ...id.ID) *contact.Contact {
	b.t.Helper()
	c, err := b.svc.Merge(b.t.Context(), b.boss(), keep, from)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// told is how many events of the kind there are about the subject.
func (b *bundle) told(kind string, subject id.ID) int {
	b.t.Helper()
	return b.count(`SELECT count(*) AS n FROM event WHERE kind = $1 AND subject = $2`, kind, subject)
}

func TestAnExternalIdMeansTheLastContactThatHadIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.contact(b.admin, contact.Create{Name: "A", ExternalID: ptr("Y")})
	other := b.contact(b.admin, contact.Create{Name: "Other", ExternalID: ptr("Z")})
	row := contact.ContactUpsert{ExternalID: "X", Update: contact.Update{Kind: patch.To(contact.KindCustomer), Name: patch.To("B")}}
	b.merge(a.ID, b.contact(b.admin, contact.Create{Name: "B", ExternalID: ptr("X")}).ID)
	for _, keep := range []*contact.Contact{a, other} { // somebody makes another by hand, twice
		twin := b.contact(b.admin, contact.Create{Name: "B", ExternalID: ptr("X")})
		if rows := b.contacts(b.admin, "", row); rows[0].ID != twin.ID {
			t.Errorf("whoever has it now counts: %+v", rows)
		}
		records := b.records(b.admin, "", contact.RecordUpsert{Kind: contact.RecordQuote, ExternalID: "q " + keep.Name, RecordUpdate: contact.RecordUpdate{Title: patch.To("Q")}, ContactExternalID: patch.To("X")},
			contact.RecordUpsert{Kind: contact.RecordQuote, ExternalID: "none", ContactExternalID: patch.To("nobody")})
		if r, err := b.svc.Record(t.Context(), b.admin, records[0].ID); err != nil || r.ContactID != twin.ID {
			t.Errorf("and for records: %v %v", r, err)
		}
		b.merge(keep.ID, twin.ID)
		if rows := b.contacts(b.admin, "", row); rows[0].Status != contact.Unchanged || rows[0].ID != keep.ID {
			t.Errorf("%+v, not %s", rows, keep.Name)
		}
	}
	// Whoever does not see the survivor makes no second one of it.
	if rows := b.contacts(b.own("fred", access.ContactView, access.ContactEdit), "", row); rows[0].Status != contact.Failed || rows[0].Code != errs.NotFound {
		t.Errorf("%+v", rows)
	}
}

func TestAnAccountStaysOneWhileContactsBelongToIt(t *testing.T) { // R181
	t.Parallel()
	b := setup(t)
	acme := b.contact(b.admin, contact.Create{Kind: contact.KindAccount, Name: "Acme", ExternalID: ptr("A1")})
	carol := b.contact(b.admin, contact.Create{Name: "Carol", ExternalID: ptr("C1")})
	bob := b.contact(b.admin, contact.Create{Name: "Bob", AccountID: acme.ID, ExternalID: ptr("B1")})
	turn := contact.ContactUpsert{ExternalID: "A1", Update: contact.Update{Kind: patch.To(contact.KindCustomer)}}
	refused := func(why string, err error) {
		t.Helper()
		if !errs.IsCode(err, errs.Conflict) {
			t.Errorf("%s: %v", why, err)
		}
	}
	_, err := b.svc.Merge(t.Context(), b.boss(), carol.ID, []id.ID{acme.ID})
	refused("merged into a customer", err)
	_, err = b.svc.Update(t.Context(), b.admin, acme.ID, contact.Update{Kind: patch.To(contact.KindCustomer)})
	refused("changed", err)
	refused("sent", b.contacts(b.admin, "", turn)[0].Problem())
	if _, err := b.svc.Update(t.Context(), b.admin, bob.ID, contact.Update{AccountID: patch.Clear[id.ID]()}); err != nil {
		t.Fatal(err)
	}
	rows := b.contacts(b.admin, "", turn, contact.ContactUpsert{ExternalID: "B1", AccountExternalID: patch.To("A1")})
	refused("sent with a new member", rows[0].Problem())
	if rows[1].Status != contact.Changed {
		t.Errorf("%+v", rows[1])
	}
	// Into another account it goes, and by its external id its members find that one.
	corp := b.contact(b.admin, contact.Create{Kind: contact.KindAccount, Name: "Corp", ExternalID: ptr("A2")})
	b.merge(corp.ID, acme.ID)
	rows = b.contacts(b.admin, "", contact.ContactUpsert{ExternalID: "C1", AccountExternalID: patch.To("A1")})
	if c, err := b.svc.Get(t.Context(), b.admin, carol.ID); err != nil || c.AccountID != corp.ID {
		t.Errorf("%v %v %v", rows, c, err)
	}
	// With its members it may go into anybody; and an account that nobody belongs to becomes what it likes.
	dan := b.contact(b.admin, contact.Create{Name: "Dan"})
	if c := b.merge(dan.ID, carol.ID, corp.ID, bob.ID); !c.AccountID.IsZero() {
		t.Errorf("belongs to what is gone: %v", c.AccountID)
	}
	lone := b.contact(b.admin, contact.Create{Kind: contact.KindAccount, Name: "Lone"})
	if _, err := b.svc.Update(t.Context(), b.admin, lone.ID, contact.Update{Kind: patch.To(contact.KindCustomer)}); err != nil {
		t.Error(err)
	}
}

func TestWhatAMergeMovesIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	keep := b.contact(b.admin, contact.Create{Kind: contact.KindAccount, Name: "Keep"})
	old := b.contact(b.admin, contact.Create{Kind: contact.KindAccount, Name: "Old"})
	member := b.contact(b.admin, contact.Create{Name: "Member", AccountID: old.ID})
	record, err := b.svc.CreateRecord(t.Context(), b.admin, contact.RecordCreate{Kind: contact.RecordQuote, Title: "Q", ContactID: old.ID})
	if err != nil {
		t.Fatal(err)
	}
	b.merge(keep.ID, old.ID)
	for what, n := range map[string]int{
		"the contact that stays": b.told("CONTACT_UPDATED", keep.ID), "the member": b.told("CONTACT_UPDATED", member.ID),
		"the record": b.told("RECORD_UPDATED", record.ID), "the one that goes, gone": b.told("CONTACT_REMOVED", old.ID) + 1,
	} {
		if n != 2 { // created, and now
			t.Errorf("%s is told of %d times", what, n)
		}
	}
}

func TestADeletedRecordIsToldToThoseItWasFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fred := b.own("fred", access.ContactView)
	record, err := b.svc.CreateRecord(t.Context(), b.admin, contact.RecordCreate{Kind: contact.RecordQuote, Title: "Q", AssignedUserID: fred.UserID})
	if err != nil {
		t.Fatal(err)
	}
	gone, _, err := b.svc.DeleteRecords(t.Context(), b.boss(), []id.ID{record.ID})
	if err != nil || !slices.Equal(gone, []id.ID{record.ID}) {
		t.Fatal(gone, err)
	}
	if n := b.count(`SELECT count(*) AS n FROM event WHERE kind = 'RECORD_REMOVED' AND subject = $1 AND data->'users' = to_jsonb(ARRAY[$2::text])`, record.ID, fred.UserID.String()); n != 1 {
		t.Errorf("%d events", n)
	}
}
