package contact_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

// boss may do everything with contacts.
func (b *bundle) boss() access.Actor {
	who := b.admin
	who.Permissions = access.SetOf(access.ContactView, access.ContactEdit, access.ContactDelete, access.ContactImport, access.SettingsManage)
	return who
}

func (b *bundle) card(who access.Actor, number string) *contact.CallerCard {
	b.t.Helper()
	c, err := b.svc.Card(b.t.Context(), who, number, false)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bundle) settings(in contact.CardSettingsUpdate) {
	b.t.Helper()
	if _, err := b.svc.UpdateCardSettings(b.t.Context(), b.boss(), in); err != nil {
		b.t.Fatal(err)
	}
}

func names(list []*contact.Contact) []string {
	out := []string{}
	for _, c := range list {
		out = append(out, c.Name)
	}
	return out
}

const line = "+61255501234"

func TestTheCardShowsWhomTheSettingsPermit(t *testing.T) { // R056, R179-R181
	t.Parallel()
	b := setup(t)
	who := b.boss()
	acme := b.contact(who, contact.Create{Kind: contact.KindAccount, Name: "Acme", Phones: phones(line)})
	other := b.contact(who, contact.Create{Kind: contact.KindAccount, Name: "Other", Phones: phones(line)})
	b.contact(who, contact.Create{Kind: contact.KindContact, Name: "Cleo", Phones: phones(line), AccountID: acme.ID})
	b.contact(who, contact.Create{Kind: contact.KindLead, Name: "Lee", Phones: phones(line)})
	b.contact(who, contact.Create{Kind: contact.KindFieldworker, Name: "Fred", Phones: phones(line)})
	b.contact(who, contact.Create{Kind: contact.KindLead, Name: "Lone", Phones: phones("+61255509999")})

	for _, x := range []struct {
		why                string
		in                 contact.CardSettingsUpdate
		number             string
		contacts, accounts []string
		hidden             int
	}{
		{"the lead is hidden, all accounts are there", contact.CardSettingsUpdate{}, line, []string{"Fred", "Cleo"}, []string{"Other", "Acme"}, 1},
		{"a lead alone is shown", contact.CardSettingsUpdate{}, "02 5550 9999", []string{"Lone"}, []string{}, 0},
		{"leads may be shown", contact.CardSettingsUpdate{HidesLeads: patch.To(false)}, line, []string{"Fred", "Cleo", "Lee"}, []string{"Other", "Acme"}, 0},
		{"only Cleo's account", contact.CardSettingsUpdate{ShowsRelatedAccountsOnly: patch.To(true)}, line, []string{"Fred", "Cleo", "Lee"}, []string{"Acme"}, 0},
		{"accounts stay where no contact matches", contact.CardSettingsUpdate{ContactKinds: patch.To([]contact.Kind{contact.KindAccount})}, line, []string{}, []string{"Other", "Acme"}, 0},
		{"who is not permitted is not there", contact.CardSettingsUpdate{ContactKinds: patch.To([]contact.Kind{contact.KindLead, contact.KindContact})}, line, []string{"Cleo", "Lee"}, []string{}, 0},
		{"nobody has no number", contact.CardSettingsUpdate{}, "anonymous", []string{}, []string{}, 0}, // D11
		{"nor an empty one", contact.CardSettingsUpdate{}, " ", []string{}, []string{}, 0},
	} {
		b.settings(x.in)
		c := b.card(who, x.number)
		if d := cmp.Diff([]any{x.contacts, x.accounts, x.hidden}, []any{names(c.Contacts), names(c.Accounts), c.HiddenLeadCount}); d != "" {
			t.Errorf("%s -want +got:\n%s", x.why, d)
		}
	}
	// They identify callers, too; texts are told from everybody.
	found, err := contact.Match(b.ctx(), b.db.App(), line)
	if err != nil || len(found) != 2 || found[0].Name != "Cleo" {
		t.Errorf("%v %v", found, err)
	}
	if all, err := b.svc.Match(b.ctx(), b.db.App(), line); err != nil || len(all) != 5 {
		t.Errorf("%v %v", all, err)
	}
	if _, err := b.svc.UpdateCardSettings(t.Context(), who, contact.CardSettingsUpdate{ContactKinds: patch.To([]contact.Kind{})}); !errs.IsCode(err, errs.Required) {
		t.Errorf("nobody identifies callers: %v", err)
	}
	if _, err := b.svc.UpdateCardSettings(t.Context(), b.admin, contact.CardSettingsUpdate{}); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("settings without permission: %v", err)
	}
	if _, err := b.svc.Card(t.Context(), access.Actor{OrganizationID: b.org, UserID: b.admin.UserID}, line, false); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("a card without permission: %v", err)
	}
	_ = other
}

func TestWhatOpensByItself(t *testing.T) { // R183
	t.Parallel()
	b := setup(t)
	who := b.boss()
	b.contact(who, contact.Create{Name: "One", Phones: phones("+61255500001")})
	b.contact(who, contact.Create{Name: "Two", Phones: phones("+61255500002")})
	b.contact(who, contact.Create{Name: "Too", Phones: phones("+61255500002")})
	acme := b.contact(who, contact.Create{Kind: contact.KindAccount, Name: "Acme", Phones: phones("+61255500003")})
	b.contact(who, contact.Create{Name: "Ann of Acme", AccountID: acme.ID, Phones: phones("+61255500004")})

	if r := b.card(who, "+61255500001").Opening; r.Contact != nil || *r.Reason != contact.OpensOff {
		t.Errorf("nothing opens unless told: %+v", r)
	}
	b.settings(contact.CardSettingsUpdate{OpensInbound: patch.To(true)})
	for number, want := range map[string]string{
		"+61255500001": "One", "+61255500002": "SEVERAL_MATCHES", "+61255500003": "Acme", "+61255500004": "Ann of Acme", "+61255500005": "NO_MATCH",
	} {
		o := b.card(who, number).Opening
		got := ""
		if o.Contact != nil {
			got = o.Contact.Name
		} else {
			got = string(*o.Reason)
		}
		if got != want {
			t.Errorf("%s opens %s, want %s", number, got, want)
		}
	}
	out, err := b.svc.Card(t.Context(), who, "+61255500001", true)
	if err != nil || *out.Opening.Reason != contact.OpensOff {
		t.Errorf("the other direction is another option: %v %v", out.Opening, err)
	}
	b.settings(contact.CardSettingsUpdate{OpensInbound: patch.To(false), OpensOutbound: patch.To(true)})
	if out, err = b.svc.Card(t.Context(), who, "+61255500001", true); err != nil || out.Opening.Contact == nil || out.Opening.Contact.Name != "One" {
		t.Errorf("of a call out: %v %v", out.Opening, err)
	}
	if r := b.card(who, "+61255500001").Opening; r.Contact != nil || *r.Reason != contact.OpensOff {
		t.Errorf("of a call in nothing: %+v", r)
	}
	// A call names who it is, and does not open what is not theirs.
	fred := b.own("fred", access.ContactView)
	cards, err := b.svc.Cards(t.Context(), fred, []contact.CardAsk{{Number: "+61255500001", Outbound: true, OfCall: true}})
	if err != nil || len(cards) != 1 || len(cards[0].Contacts) != 1 || cards[0].Opening.Contact != nil || *cards[0].Opening.Reason != contact.NotYours {
		t.Errorf("of a call with somebody else's customer: %+v %v", cards[0].Opening, err)
	}
}

func TestWhatIsCreatedFromTheCardIsAllowed(t *testing.T) { // R184
	t.Parallel()
	b := setup(t)
	for name, x := range map[string]struct {
		contact contact.Kind
		record  contact.RecordKind
		field   string // "": allowed
	}{
		"a lead": {contact.KindLead, "", ""}, "a booking": {"", contact.RecordBooking, ""}, "both": {contact.KindCustomer, contact.RecordQuote, ""},
		"an account": {contact.KindAccount, "", "createContact.kind"}, "an invoice": {"", contact.RecordInvoice, "createRecord.kind"},
		"a lead with an invoice": {contact.KindLead, contact.RecordInvoice, "createRecord.kind"},
	} {
		err := contact.MayQuickCreate(b.ctx(), b.db.App(), x.contact, x.record)
		e, _ := errs.As(err)
		if (err == nil) != (x.field == "") || err != nil && (!errs.IsCode(err, errs.Forbidden) || strings.Join(e.Field, ".") != x.field) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.settings(contact.CardSettingsUpdate{QuickCreateRecords: patch.To([]contact.RecordKind{contact.RecordInvoice})})
	if err := contact.MayQuickCreate(b.ctx(), b.db.App(), "", contact.RecordInvoice); err != nil {
		t.Errorf("an invoice that the settings allow: %v", err)
	}
}

func TestTheCardHasTheOpenRecords(t *testing.T) { // R184
	t.Parallel()
	b := setup(t)
	who := b.boss()
	c := b.contact(who, contact.Create{Name: "One", Phones: phones(line)})
	add := func(kind contact.RecordKind, title, status string) *contact.Record {
		r, err := b.svc.CreateRecord(t.Context(), who, contact.RecordCreate{Kind: kind, Title: title, Status: &status, ContactID: c.ID})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	open := add(contact.RecordBooking, "Booking", "CONFIRMED")
	add(contact.RecordBooking, "Done", "Completed")
	add(contact.RecordInvoice, "Invoice", "SENT")
	titles := func() (out []string) {
		for _, r := range b.card(who, line).Records {
			out = append(out, r.Title)
		}
		return out
	}
	if d := cmp.Diff([]string{"Invoice", "Booking"}, titles()); d != "" {
		t.Error(d)
	}
	ctx := b.ctx()
	if r, err := contact.OpenRecord(ctx, b.db.App(), c.ID); err != nil || !r.IsZero() {
		t.Errorf("two are not one: %v %v", r, err)
	}
	b.settings(contact.CardSettingsUpdate{RecordKinds: patch.To([]contact.RecordKind{contact.RecordBooking})})
	if d := cmp.Diff([]string{"Booking"}, titles()); d != "" {
		t.Error(d)
	}
	if r, err := contact.OpenRecord(ctx, b.db.App(), c.ID); err != nil || r != open.ID {
		t.Errorf("%v %v", r, err)
	}
	who.Permissions = access.SetOf(access.ContactView)
	if c := b.card(who, line); len(c.QuickCreateContacts)+len(c.QuickCreateRecords) != 0 {
		t.Errorf("who may not edit creates nothing: %v", c)
	}
}

func TestWhoSeesTheirOwnGetsTheirOwnCard(t *testing.T) { // R243
	t.Parallel()
	b := setup(t)
	own := b.own("fred", access.ContactView)
	mine := b.contact(b.admin, contact.Create{Name: "Mine", Phones: phones(line), AssignedUserID: own.UserID})
	b.contact(b.admin, contact.Create{Name: "Not mine", Email: ptr("x@example.com"), Phones: phones(line)})
	if d := cmp.Diff([]string{"Mine"}, names(b.card(own, line).Contacts)); d != "" {
		t.Error(d)
	}
	// The call is theirs: it names whoever calls, and says no more.
	cards, err := b.svc.Cards(t.Context(), own, []contact.CardAsk{{Number: line, OfCall: true, ContactID: mine.ID}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"Mine", "Not mine"}, names(cards[0].Contacts)); d != "" {
		t.Error(d)
	}
	if cards[0].Contacts[1].Email != nil {
		t.Error("the e-mail of a contact that is not theirs")
	}
}

func TestACardOfATypedNumberTellsNothingOfWhomTheyDoNotSee(t *testing.T) { // R180, R241, R243
	t.Parallel()
	b := setup(t)
	own := b.own("fred", access.ContactView)
	hides := own
	hides.Switched = []access.FieldworkerOption{access.DisplayContactDetails}
	b.contact(b.admin, contact.Create{Name: "Not theirs", Phones: phones(line)})
	b.contact(b.admin, contact.Create{Name: "Theirs", Phones: phones("+61255500001"), AssignedUserID: own.UserID})
	b.contact(b.admin, contact.Create{Kind: contact.KindLead, Name: "Their lead", Phones: phones("+61255500002"), AssignedUserID: own.UserID})
	b.contact(b.admin, contact.Create{Name: "Who hides the lead", Phones: phones("+61255500002")})
	b.settings(contact.CardSettingsUpdate{OpensInbound: patch.To(true), HidesLeads: patch.To(true)})
	said := func(who access.Actor, number string) []any {
		c := b.card(who, number)
		reason := contact.OpeningReason("")
		if c.Opening.Reason != nil {
			reason = *c.Opening.Reason
		}
		return []any{names(c.Contacts), c.HiddenLeadCount, reason}
	}
	nobody := said(own, "+61255509999")
	for why, got := range map[string][]any{
		"another's":       said(own, line),
		"theirs, hidden":  said(hides, "+61255500001"),
		"others', hidden": said(hides, line),
	} {
		if d := cmp.Diff(nobody, got); d != "" {
			t.Errorf("%s -nobody's +got:\n%s", why, d)
		}
	}
	if d := cmp.Diff([]any{[]string{"Their lead"}, 0, contact.OpeningReason("")}, said(own, "+61255500002")); d != "" {
		t.Errorf("a lead that somebody hides whom they do not see -want +got:\n%s", d)
	}
}

func TestACardIsTheSameAloneAndAmongOthers(t *testing.T) { // R183, R184
	t.Parallel()
	b := setup(t)
	who := b.boss()
	c := b.contact(who, contact.Create{Name: "One", Phones: phones(line)})
	b.settings(contact.CardSettingsUpdate{OpensInbound: patch.To(true)})
	record := func(title, status string) id.ID {
		r, err := b.svc.CreateRecord(t.Context(), who, contact.RecordCreate{Kind: contact.RecordBooking, Title: title, Status: &status, ContactID: c.ID})
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	open, done := record("Open", "CONFIRMED"), record("Done", "COMPLETED")
	asks := []contact.CardAsk{{Number: line, OfCall: true, ContactID: c.ID}, {Number: line, OfCall: true, ContactID: c.ID, RecordID: done},
		{Number: line, OfCall: true, ContactID: c.ID, RecordID: open}}
	cards, err := b.svc.Cards(t.Context(), who, asks)
	if err != nil {
		t.Fatal(err)
	}
	for i, ask := range asks {
		alone, err := b.svc.Cards(t.Context(), who, []contact.CardAsk{ask})
		if err != nil {
			t.Fatal(err)
		}
		for why, card := range map[string]*contact.CallerCard{"among others": cards[i], "alone": alone[0]} {
			if len(card.Records) != 1 || card.Records[0].ID != open {
				t.Errorf("card %d %s has records that are not open: %v", i, why, card.Records)
			}
			if r := card.Opening.Record; !ask.RecordID.IsZero() && (r == nil || r.ID != ask.RecordID) {
				t.Errorf("card %d %s opens %+v, not the record of its call", i, why, card.Opening)
			}
		}
	}
}

func TestAContactBelongsToAnAccount(t *testing.T) { // R181
	t.Parallel()
	b := setup(t)
	acme := b.contact(b.admin, contact.Create{Kind: contact.KindAccount, Name: "Acme", ExternalID: ptr("A1")})
	bob := b.contact(b.admin, contact.Create{Name: "Bob"})
	for why, in := range map[string]contact.Create{
		"a customer is no account":     {Kind: contact.KindContact, Name: "x", AccountID: bob.ID},
		"an account belongs to nobody": {Kind: contact.KindAccount, Name: "x", AccountID: acme.ID},
		"there is no such account":     {Kind: contact.KindContact, Name: "x", AccountID: id.New(id.Contact)},
		"this is no contact":           {Kind: contact.KindContact, Name: "x", AccountID: id.New(id.Call)},
	} {
		if _, err := b.svc.Create(t.Context(), b.admin, in); err == nil {
			t.Errorf("%s: accepted", why)
		}
	}
	if _, err := b.svc.Update(t.Context(), b.admin, bob.ID, contact.Update{AccountID: patch.To(acme.ID)}); err != nil {
		t.Fatal(err)
	}
	rows := b.contacts(b.admin, "", contact.ContactUpsert{ExternalID: "B1", Update: contact.Update{Kind: patch.To(contact.KindContact), Name: patch.To("Cleo")},
		AccountExternalID: patch.To("A1")}, contact.ContactUpsert{ExternalID: "B2", Update: contact.Update{Kind: patch.To(contact.KindContact), Name: patch.To("Dan")},
		AccountExternalID: patch.To("none")})
	if rows[0].Status != contact.Created || rows[1].Status != contact.Failed {
		t.Errorf("%+v", rows)
	}
	w, err := b.svc.List(t.Context(), b.admin, contact.Filter{AccountID: acme.ID}, db.Page{})
	if err != nil || !slices.Equal(names(w.Nodes), []string{"Cleo", "Bob"}) {
		t.Errorf("%v %v", names(w.Nodes), err)
	}
}
