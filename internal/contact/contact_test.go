package contact_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
	"switchboard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

type bundle struct {
	t     *testing.T
	db    *db.DB
	clock *clock.Fake
	svc   *contact.Service
	org   id.ID
	admin access.Actor
}

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func setup(t *testing.T) *bundle {
	t.Helper()
	clk := clock.NewFake(start)
	d := testkit.DB(t, testkit.Clock(clk))
	b := &bundle{t: t, db: d, clock: clk, svc: contact.New(contact.Deps{DB: d})}
	b.org, b.admin = b.organization("AU")
	return b
}

// organization adds an organization and its administrator.
func (b *bundle) organization(country string) (id.ID, access.Actor) {
	b.t.Helper()
	org := id.New(id.Organization)
	b.exec(`INSERT INTO organization (organization_id, name, default_country, updated_at) VALUES ($1, 'Acme', $2, $3)`, org, country, start)
	user := b.user(org, "ann")
	return org, access.Actor{OrganizationID: org, UserID: user, Visibility: access.SeesOrganization,
		Permissions: access.SetOf(access.ContactView, access.ContactEdit)}
}

func (b *bundle) user(org id.ID, name string) id.ID {
	b.t.Helper()
	role, user := id.New(id.Role), id.New(id.User)
	b.exec(`INSERT INTO role (organization_id, id, name, updated_at) VALUES ($1, $2, $3, $4)`, org, role, role.String(), start)
	b.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		org, user, id.New(id.Login), name+"@demo.test", name, role, start)
	return user
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := db.Exec(context.Background(), b.db.Worker(), sql, args...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) ctx() context.Context { return access.With(b.t.Context(), b.admin) }

func (b *bundle) contact(who access.Actor, in contact.Create) *contact.Contact {
	b.t.Helper()
	if in.Kind == "" {
		in.Kind = contact.KindCustomer
	}
	if in.Name == "" {
		in.Name = "Bob"
	}
	c, err := b.svc.Create(b.t.Context(), who, in)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func phones(numbers ...string) (out []contact.PhoneInput) {
	for _, n := range numbers {
		out = append(out, contact.PhoneInput{Number: n})
	}
	return out
}

func ptr[T any](v T) *T { return &v }

func TestContactIsKeptAsTyped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.contact(b.admin, contact.Create{
		Kind: contact.KindAccount, Name: "  Bob & Söhne ", Company: ptr("B"), Email: ptr("bob@example.com"), Country: ptr("nz"),
		Status: ptr("ACTIVE"), Tags: []string{"vip", "vip", "north"}, ExternalID: ptr("crm-1"), AssignedUserID: b.admin.UserID,
		Phones: []contact.PhoneInput{{Number: "09 555 1234", Label: "office"}, {Number: "+61 2 5550 1234", IsPrimary: true}},
	})
	got, err := b.svc.Get(t.Context(), b.admin, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := contact.Contact{
		OrganizationID: b.org, ID: c.ID, Kind: contact.KindAccount, Name: "Bob & Söhne", Company: ptr("B"), Email: ptr("bob@example.com"),
		Country: ptr("NZ"), Status: ptr("ACTIVE"), Tags: []string{"vip", "north"}, ExternalID: ptr("crm-1"),
		AssignedUserID: b.admin.UserID, CreatedByID: b.admin.UserID, Version: 1, CreatedAt: start, UpdatedAt: start,
	}
	if diff := cmp.Diff(want, *got, cmp.Comparer(func(a, b id.ID) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	byContact, err := b.svc.PhonesByContacts(b.ctx(), []id.ID{c.ID})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, p := range byContact[c.ID] {
		said = append(said, fmt.Sprint(p.E164, " ", p.Label, " ", p.IsPrimary))
	}
	// The contact's own country reads its numbers, and the primary phone comes first.
	if diff := cmp.Diff([]string{"+61255501234  true", "+6495551234 office false"}, said); diff != "" {
		t.Error(diff)
	}
	if n := b.count(`SELECT count(*) AS n FROM event WHERE kind = 'CONTACT_UPDATED' AND subject = $1 AND actor_id = $2`, c.ID, b.admin.UserID); n != 1 {
		t.Errorf("%d events", n)
	}
	if n := b.count(`SELECT count(*) AS n FROM audit_entry WHERE action = 'contact.create' AND subject = $1`, c.ID); n != 1 {
		t.Errorf("%d audit entries", n)
	}
}

func (b *bundle) count(sql string, args ...any) int {
	b.t.Helper()
	var n struct{ N int }
	if err := db.Select(context.Background(), b.db.Worker(), &n, sql, args...); err != nil {
		b.t.Fatal(err)
	}
	return n.N
}

func TestBadInputIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.contact(b.admin, contact.Create{ExternalID: ptr("crm-1")})
	_, other := b.organization("US")
	for name, tc := range map[string]struct {
		why  string
		in   contact.Create
		code errs.Code
		at   string
	}{
		"no name":         {"a contact needs a name", contact.Create{Kind: contact.KindLead, Name: " "}, errs.Required, "name"},
		"NUL":             {"PostgreSQL takes no NUL", contact.Create{Kind: contact.KindLead, Name: "a\x00b"}, errs.Invalid, "name"},
		"not UTF-8":       {"text is UTF-8", contact.Create{Kind: contact.KindLead, Name: "a\xffb"}, errs.Invalid, "name"},
		"kind":            {"kinds are known", contact.Create{Kind: "BOSS", Name: "B"}, errs.Invalid, "kind"},
		"e-mail":          {"it must be one address", contact.Create{Kind: contact.KindLead, Name: "B", Email: ptr("Bob <b@x.test>")}, errs.Invalid, "email"},
		"country":         {"two letters that exist", contact.Create{Kind: contact.KindLead, Name: "B", Country: ptr("XX")}, errs.Invalid, "country"},
		"phone":           {"a number that cannot be", contact.Create{Kind: contact.KindLead, Name: "B", Phones: phones("12")}, errs.Invalid, "phones"},
		"same phone":      {"two forms of one number", contact.Create{Kind: contact.KindLead, Name: "B", Phones: phones("0255501234", "+61255501234")}, errs.Invalid, "phones"},
		"two primaries":   {"one is first", contact.Create{Kind: contact.KindLead, Name: "B", Phones: []contact.PhoneInput{{Number: "0255501234", IsPrimary: true}, {Number: "0255501235", IsPrimary: true}}}, errs.Invalid, "phones"},
		"external id":     {"it is unique", contact.Create{Kind: contact.KindLead, Name: "B", ExternalID: ptr("crm-1")}, errs.Taken, "externalId"},
		"another's user":  {"users of other organizations do not exist", contact.Create{Kind: contact.KindLead, Name: "B", AssignedUserID: other.UserID}, errs.NotFound, "assignedUserId"},
		"not a user's id": {"ids know what they are", contact.Create{Kind: contact.KindLead, Name: "B", AssignedUserID: id.New(id.Call)}, errs.Invalid, "assignedUserId"},
		"too many tags":   {"sizes are bounded", contact.Create{Kind: contact.KindLead, Name: "B", Tags: make([]string, 51)}, errs.Invalid, "tags"},
		"too many phones": {"sizes are bounded", contact.Create{Kind: contact.KindLead, Name: "B", Phones: make([]contact.PhoneInput, 21)}, errs.Invalid, "phones"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := b.svc.Create(t.Context(), b.admin, tc.in)
			e, ok := errs.As(err)
			if !ok || e.Code != tc.code || len(e.Field) == 0 || e.Field[0] != tc.at {
				t.Errorf("%s: got %v, want %s at %s", tc.why, err, tc.code, tc.at)
			}
		})
	}
}

func TestUpdateKeepsWhatIsAbsentAndClearsNull(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.contact(b.admin, contact.Create{Company: ptr("B"), Email: ptr("b@x.test"), Tags: []string{"a"}, Phones: phones("0255501234")})
	got, err := b.svc.Update(t.Context(), b.admin, c.ID, contact.Update{
		Name: patch.To("Bea"), Company: patch.Clear[string](), Tags: patch.Clear[[]string](),
		Phones: patch.To(phones("+14155550100", "0255501239")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "Bea" || got.Company != nil || *got.Email != "b@x.test" || len(got.Tags) != 0 || got.Version != 2 {
		t.Errorf("%+v", got)
	}
	p, _ := b.svc.PhonesByContacts(b.ctx(), []id.ID{c.ID})
	if len(p[c.ID]) != 2 || p[c.ID][0].E164 != "+14155550100" || !p[c.ID][0].IsPrimary {
		t.Errorf("%+v", p[c.ID])
	}
	if _, err := b.svc.Update(t.Context(), b.admin, c.ID, contact.Update{Name: patch.Clear[string]()}); !errs.IsCode(err, errs.Required) {
		t.Errorf("a name cannot be cleared: %v", err)
	}
	if _, err := b.svc.Update(t.Context(), b.admin, c.ID, contact.Update{AssignedUserID: patch.Clear[id.ID]()}); err != nil {
		t.Error(err)
	}
}

func TestOnlyThoseAllowedMayReadAndEdit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.contact(b.admin, contact.Create{Phones: phones("0255501234")})
	nobody := b.admin
	nobody.Permissions = access.SetOf()
	if _, err := b.svc.Create(t.Context(), nobody, contact.Create{Kind: contact.KindLead, Name: "B"}); !errs.IsCode(err, errs.Forbidden) {
		t.Error(err)
	}
	if _, err := b.svc.Update(t.Context(), nobody, c.ID, contact.Update{}); !errs.IsCode(err, errs.Forbidden) {
		t.Error(err)
	}
	if _, err := b.svc.List(t.Context(), nobody, contact.Filter{}, db.Page{}); !errs.IsCode(err, errs.Forbidden) {
		t.Error(err)
	}
	if _, err := b.svc.Get(t.Context(), nobody, c.ID); !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}

	_, stranger := b.organization("US")
	if _, err := b.svc.Get(t.Context(), stranger, c.ID); !errs.IsCode(err, errs.NotFound) {
		t.Error("another organization reads the contact")
	}
	if _, err := b.svc.Update(t.Context(), stranger, c.ID, contact.Update{Name: patch.To("x")}); !errs.IsCode(err, errs.NotFound) {
		t.Error("another organization changes the contact")
	}
	if _, err := b.svc.CreateCampaign(t.Context(), stranger, contact.CampaignCreate{Name: "C", ContactIDs: []id.ID{c.ID}}); !errs.IsCode(err, errs.NotFound) {
		t.Error("another organization takes the contact into a campaign", err)
	}
	if _, err := b.svc.CreateRecord(t.Context(), stranger, contact.RecordCreate{Kind: contact.RecordQuote, Title: "Q", ContactID: c.ID}); !errs.IsCode(err, errs.NotFound) {
		t.Error("another organization links the contact", err)
	}
	ctx := access.With(t.Context(), stranger)
	if m, err := b.svc.ByIDs(ctx, []id.ID{c.ID}); err != nil || len(m) != 0 {
		t.Error("another organization loads the contact", m, err)
	}
	if m, err := b.svc.PhonesByContacts(ctx, []id.ID{c.ID}); err != nil || len(m) != 0 {
		t.Error("another organization loads the phones", m, err)
	}
	if m, err := b.svc.Match(ctx, b.db.App(), "+61255501234"); err != nil || len(m) != 0 {
		t.Error("another organization knows the caller", m, err)
	}
}

func TestOwnVisibilitySeesOnlyWhatIsTheirs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fw := access.Actor{OrganizationID: b.org, UserID: b.user(b.org, "fin"), Visibility: access.SeesOwn, IsFieldworker: true,
		Permissions: access.SetOf(access.ContactView, access.ContactEdit)}
	stranger := b.contact(b.admin, contact.Create{Name: "stranger"})
	assigned := b.contact(b.admin, contact.Create{Name: "assigned", AssignedUserID: fw.UserID})
	booked := b.contact(b.admin, contact.Create{Name: "booked"})
	made := b.contact(fw, contact.Create{Name: "made"})
	if _, err := b.svc.CreateRecord(t.Context(), b.admin, contact.RecordCreate{
		Kind: contact.RecordBooking, Title: "Roof", ContactID: booked.ID, AssignedUserID: fw.UserID, StartsAt: ptr(start.Add(time.Hour)),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.CreateRecord(t.Context(), b.admin, contact.RecordCreate{Kind: contact.RecordQuote, Title: "Other", ContactID: stranger.ID}); err != nil {
		t.Fatal(err)
	}
	names := func(who access.Actor) (out []string) {
		w, err := b.svc.List(t.Context(), who, contact.Filter{}, db.Page{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range w.Nodes {
			out = append(out, c.Name)
		}
		if n, err := b.svc.Count(t.Context(), who, contact.Filter{}); err != nil || n != len(out) {
			t.Errorf("count %d of %d: %v", n, len(out), err)
		}
		return out
	}
	if diff := cmp.Diff([]string{"made", "booked", "assigned"}, names(fw)); diff != "" {
		t.Error(diff)
	}
	branch := fw
	branch.Visibility = access.SeesBranch
	if diff := cmp.Diff([]string{"made", "booked", "assigned", "stranger"}, names(branch)); diff != "" {
		t.Error(diff)
	}
	for _, c := range []*contact.Contact{assigned, booked, made} {
		if _, err := b.svc.Get(t.Context(), fw, c.ID); err != nil {
			t.Error(c.Name, err)
		}
	}
	if _, err := b.svc.Get(t.Context(), fw, stranger.ID); !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
	if _, err := b.svc.Update(t.Context(), fw, stranger.ID, contact.Update{Name: patch.To("x")}); !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
	if _, err := b.svc.CreateRecord(t.Context(), fw, contact.RecordCreate{Kind: contact.RecordBooking, Title: "Mine", ContactID: stranger.ID, AssignedUserID: fw.UserID}); !errs.IsCode(err, errs.NotFound) {
		t.Error("a booking of one's own opens any contact:", err)
	}
	if _, err := b.svc.CreateCampaign(t.Context(), fw, contact.CampaignCreate{Name: "C", ContactIDs: []id.ID{stranger.ID}}); !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
	w, err := b.svc.Records(t.Context(), fw, contact.RecordFilter{}, db.Page{})
	if err != nil || len(w.Nodes) != 1 || w.Nodes[0].Title != "Roof" {
		t.Error(w.Nodes, err)
	}
	key := access.Actor{OrganizationID: b.org, APIKeyID: id.New(id.APIKey), Visibility: access.SeesOwn, Permissions: fw.Permissions}
	if got := names(key); len(got) != 0 {
		t.Errorf("a key of its own visibility sees %v", got)
	}
}

func TestListPagesAndFilters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 7 {
		b.contact(b.admin, contact.Create{Name: fmt.Sprint("Zoë ", i), Phones: phones(fmt.Sprint("025550123", i))})
	}
	b.contact(b.admin, contact.Create{Name: "100%_x", Kind: contact.KindLead, AssignedUserID: b.admin.UserID})
	var got []string
	page := db.Page{First: 3}
	for range 4 {
		w, err := b.svc.List(t.Context(), b.admin, contact.Filter{NameStartsWith: "zO"}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range w.Nodes {
			got = append(got, c.Name)
		}
		page.After = w.EndCursor()
		if !w.HasNext {
			break
		}
	}
	if diff := cmp.Diff([]string{"Zoë 6", "Zoë 5", "Zoë 4", "Zoë 3", "Zoë 2", "Zoë 1", "Zoë 0"}, got); diff != "" {
		t.Error(diff)
	}
	for name, tc := range map[string]struct {
		f    contact.Filter
		want int
	}{
		"number in any form":           {contact.Filter{Number: "(02) 5550-1233"}, 1},
		"unknown number":               {contact.Filter{Number: "+14155550100"}, 0},
		"kind":                         {contact.Filter{Kind: contact.KindLead}, 1},
		"assignee":                     {contact.Filter{AssignedUserID: b.admin.UserID}, 1},
		"wildcards are text":           {contact.Filter{NameStartsWith: "100%_"}, 1},
		"wildcards match nothing else": {contact.Filter{NameStartsWith: "%"}, 0},
		"all at once":                  {contact.Filter{Kind: contact.KindCustomer, Number: "0255501233", NameStartsWith: "zoë", AssignedUserID: b.admin.UserID}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := b.svc.Count(t.Context(), b.admin, tc.f)
			if err != nil || n != tc.want {
				t.Errorf("%d, %v; want %d", n, err, tc.want)
			}
		})
	}
	if _, err := b.svc.List(t.Context(), b.admin, contact.Filter{Number: "12"}, db.Page{}); !errs.IsCode(err, errs.Invalid) {
		t.Error(err)
	}
	if _, err := b.svc.List(t.Context(), b.admin, contact.Filter{}, db.Page{First: 101}); !errs.IsCode(err, errs.Invalid) {
		t.Error(err)
	}
}

func TestACallerWithoutANumberIsNobody(t *testing.T) { // D11
	t.Parallel()
	b := setup(t)
	b.contact(b.admin, contact.Create{Phones: phones("0255501234")})
	for _, n := range []phone.E164{"", "anonymous", "+266696687", "+", "0255501234", "unknown", "client:dev_1"} {
		if got, err := b.svc.Match(b.ctx(), b.db.App(), n); err != nil || got != nil {
			t.Errorf("%q is %v, %v", n, got, err)
		}
	}
	ctx, counter := db.CountStatements(b.ctx())
	got, err := b.svc.Match(ctx, b.db.App(), "+61255501234")
	if err != nil || len(got) != 1 || counter.N() != 1 {
		t.Errorf("%v, %v with %d statements", got, err, counter.N())
	}
}

func TestMatchPrefersAsTheRulesSay(t *testing.T) { // D04, R180
	t.Parallel()
	b := setup(t)
	same := phones("0255501234")
	oldLead := b.contact(b.admin, contact.Create{Kind: contact.KindLead, Name: "old lead", Phones: same, AssignedUserID: b.admin.UserID})
	touched := b.contact(b.admin, contact.Create{Kind: contact.KindLead, Name: "touched lead", Phones: same})
	b.contact(b.admin, contact.Create{Kind: contact.KindLead, Name: "new lead", Phones: same})
	b.contact(b.admin, contact.Create{Kind: contact.KindAccount, Name: "account", Phones: same})
	cust := b.contact(b.admin, contact.Create{Kind: contact.KindCustomer, Name: "customer", Phones: same})
	b.contact(b.admin, contact.Create{Kind: contact.KindContact, Name: "contact", Phones: same})
	sally := b.user(b.org, "sally")
	mine := b.campaign("mine", b.admin.UserID, oldLead.ID, touched.ID)
	hers := b.campaign("hers", sally, touched.ID)
	b.touch(touched.ID, hers, start.Add(time.Hour))
	b.touch(cust.ID, id.ID{}, start.Add(time.Minute))

	names := func() (out []string) {
		got, err := b.svc.Match(b.ctx(), b.db.App(), "+61255501234")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range got {
			out = append(out, c.Name)
		}
		return out
	}
	if diff := cmp.Diff([]string{"customer", "contact", "account", "touched lead", "new lead", "old lead"}, names()); diff != "" {
		t.Error(diff)
	}
	all, err := b.svc.Match(b.ctx(), b.db.App(), "+61255501234")
	if err != nil {
		t.Fatal(err)
	}
	lead, ok := contact.Lead(all)
	if !ok || lead.ContactID != touched.ID || len(lead.Campaigns) != 2 || lead.Campaigns[0].CampaignID != hers ||
		lead.Campaigns[0].AssignedUserID != sally || !lead.Campaigns[0].IsActive || lead.Campaigns[0].LastContactedAt == nil {
		t.Errorf("%+v", lead)
	}
	// Another campaign contacts the old lead later.
	b.touch(oldLead.ID, mine, start.Add(2*time.Hour))
	if diff := cmp.Diff([]string{"customer", "contact", "account", "old lead", "touched lead", "new lead"}, names()); diff != "" {
		t.Error(diff)
	}
}

func (b *bundle) campaign(name string, user id.ID, members ...id.ID) id.ID {
	b.t.Helper()
	c, err := b.svc.CreateCampaign(b.t.Context(), b.admin, contact.CampaignCreate{Name: name, AssignedUserID: user, ContactIDs: members})
	if err != nil {
		b.t.Fatal(err)
	}
	return c.ID
}

func (b *bundle) touch(c, campaign id.ID, at time.Time) {
	b.t.Helper()
	err := b.db.InTx(b.ctx(), func(ctx context.Context, tx *db.Tx) error {
		return b.svc.Touch(ctx, tx, c, campaign, id.ID{}, at)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestAManyHeadedNumberDoesNotHideTheLead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.contact(b.admin, contact.Create{Kind: contact.KindLead, Name: "lead", Phones: phones("0255501234")})
	for i := range 40 {
		b.contact(b.admin, contact.Create{Name: fmt.Sprint("clerk ", i), Phones: phones("0255501234")})
	}
	got, err := b.svc.Match(b.ctx(), b.db.App(), "+61255501234")
	if err != nil || len(got) != 26 || got[25].Name != "lead" || got[0].Name != "clerk 39" {
		t.Errorf("%d, %v", len(got), err)
	}
}

func TestTouchKeepsTheLastContactInAnyOrder(t *testing.T) { // R287
	t.Parallel()
	b := setup(t)
	c := b.contact(b.admin, contact.Create{})
	first, second := b.campaign("first", id.ID{}, c.ID), b.campaign("second", id.ID{}, c.ID)
	b.touch(c.ID, second, start.Add(time.Hour))
	b.touch(c.ID, first, start) // an older fact that comes later
	b.touch(c.ID, second, start.Add(time.Hour))
	b.touch(c.ID, id.ID{}, start.Add(2*time.Hour)) // without a campaign: the last campaign stays
	got, err := b.svc.Get(t.Context(), b.admin, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.LastCampaignID != second || !got.LastContactedAt.Equal(start.Add(2*time.Hour)) || got.Version != 3 {
		t.Errorf("%+v", got)
	}
	if n := b.count(`SELECT count(*) AS n FROM event WHERE kind = 'CONTACT_UPDATED' AND subject = $1`, c.ID); n != 3 {
		t.Errorf("%d events for one creation and two changes", n)
	}
	_, stranger := b.organization("US")
	err = b.db.InTx(access.With(t.Context(), stranger), func(ctx context.Context, tx *db.Tx) error {
		return b.svc.Touch(ctx, tx, c.ID, id.ID{}, id.ID{}, start.Add(9*time.Hour))
	})
	if err != nil {
		t.Error(err)
	}
	if again, _ := b.svc.Get(t.Context(), b.admin, c.ID); again.Version != 3 {
		t.Error("another organization touched the contact")
	}
}

func TestCampaignsAndRecords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.contact(b.admin, contact.Create{})
	k := b.campaign("Spring", b.admin.UserID, c.ID, c.ID)
	got, err := b.svc.Campaign(t.Context(), b.admin, k)
	if err != nil || got.MemberCount != 1 || got.AssignedUserID != b.admin.UserID || !got.IsActive {
		t.Errorf("%+v, %v", got, err)
	}
	w, err := b.svc.Campaigns(t.Context(), b.admin, db.Page{})
	if err != nil || len(w.Nodes) != 1 || w.Nodes[0].MemberCount != 1 {
		t.Error(w, err)
	}
	if _, err := b.svc.CreateCampaign(t.Context(), b.admin, contact.CampaignCreate{Name: "x", ContactIDs: make([]id.ID, 1001)}); !errs.IsCode(err, errs.LimitReached) {
		t.Error(err)
	}
	if _, err := b.svc.CreateCampaign(t.Context(), b.admin, contact.CampaignCreate{Name: "x", ContactIDs: []id.ID{id.New(id.Contact)}}); !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
	if n := b.count(`SELECT count(*) AS n FROM campaign`); n != 1 {
		t.Errorf("%d campaigns: a refused one was half-written", n)
	}

	r, err := b.svc.CreateRecord(t.Context(), b.admin, contact.RecordCreate{Kind: contact.RecordBooking, Title: "Roof", ExternalID: ptr("7"), ContactID: c.ID})
	if err != nil || r.Status != "OPEN" {
		t.Fatal(r, err)
	}
	if _, err := b.svc.CreateRecord(t.Context(), b.admin, contact.RecordCreate{Kind: contact.RecordBooking, Title: "Roof", ExternalID: ptr("7")}); !errs.IsCode(err, errs.Taken) {
		t.Error(err)
	}
	if _, err := b.svc.CreateRecord(t.Context(), b.admin, contact.RecordCreate{Kind: contact.RecordQuote, Title: "Roof", ExternalID: ptr("7"), Status: ptr("SENT")}); err != nil {
		t.Error("another kind may have the same external id:", err)
	}
	rw, err := b.svc.Records(t.Context(), b.admin, contact.RecordFilter{ContactID: c.ID, Kind: contact.RecordBooking}, db.Page{})
	if err != nil || len(rw.Nodes) != 1 || rw.Nodes[0].ID != r.ID {
		t.Error(rw, err)
	}
	if one, err := b.svc.Record(t.Context(), b.admin, r.ID); err != nil || one.ContactID != c.ID {
		t.Error(one, err)
	}
}

// R241, R243: a call may name a contact; its phones are shown with the contact alone.
func TestPhonesAreShownWithTheContactThatOneSees(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fw := access.Actor{OrganizationID: b.org, UserID: b.user(b.org, "fin"), Visibility: access.SeesOwn, Permissions: access.SetOf(access.ContactView)}
	own := b.contact(b.admin, contact.Create{AssignedUserID: fw.UserID, Phones: phones("+61255501111")})
	bare := b.contact(b.admin, contact.Create{AssignedUserID: fw.UserID})
	other := b.contact(b.admin, contact.Create{Phones: phones("+61255502222")})
	all := []id.ID{own.ID, bare.ID, other.ID}
	blind := b.admin
	blind.Permissions = nil
	for name, x := range map[string]struct {
		who  access.Actor
		want [3]int // -1: nothing is said
	}{
		"everything":    {b.admin, [3]int{1, 0, 1}},
		"own":           {fw, [3]int{1, 0, -1}},
		"no permission": {blind, [3]int{-1, -1, -1}},
	} {
		got, err := b.svc.PhonesFor(t.Context(), x.who, all)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range all {
			n := len(got[c])
			if got[c] == nil {
				n = -1
			}
			if n != x.want[i] {
				t.Errorf("%s: contact %d has %d phones, want %d", name, i, n, x.want[i])
			}
		}
	}
}

// R243: whom a call of theirs speaks of somebody knows by name, and no more of
// them than of anybody else whom they do not see.
func TestACallNamesAContactAndNoMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fw := access.Actor{OrganizationID: b.org, UserID: b.user(b.org, "fin"), Visibility: access.SeesOwn, Permissions: access.SetOf(access.ContactView)}
	full := contact.Create{Name: "Bob", Company: ptr("B"), Email: ptr("bob@example.com"), Country: ptr("AU"), Status: ptr("VIP"), Tags: []string{"x"}, ExternalID: ptr("1")}
	other := b.contact(b.admin, full)
	full.AssignedUserID, full.ExternalID = fw.UserID, ptr("2")
	own := b.contact(b.admin, full)
	blind := b.admin
	blind.Permissions = nil
	for name, x := range map[string]struct {
		who  access.Actor
		want map[id.ID]bool // whether all of it is there
	}{
		"everything":    {b.admin, map[id.ID]bool{own.ID: true, other.ID: true}},
		"own":           {fw, map[id.ID]bool{own.ID: true, other.ID: false}},
		"no permission": {blind, map[id.ID]bool{}},
	} {
		got, err := b.svc.Named(t.Context(), x.who, []id.ID{own.ID, other.ID})
		if err != nil || len(got) != len(x.want) {
			t.Fatalf("%s: %d contacts, %v", name, len(got), err)
		}
		for c, all := range x.want {
			g := got[c]
			whole := g.Company != nil && g.Email != nil && g.Country != nil && g.Status != nil && len(g.Tags) == 1 && g.ExternalID != nil
			bare := g.Company == nil && g.Email == nil && g.Country == nil && g.Status == nil && len(g.Tags) == 0 && g.ExternalID == nil && g.AssignedUserID.IsZero()
			if g.Name != "Bob" || all && !whole || !all && !bare {
				t.Errorf("%s: %+v", name, g)
			}
		}
	}
}
