package user_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/session"
	"switchboard/internal/user"
)

func TestANewPersonIsInvitedAsGiven(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	north := s.branch(ann, "North")
	u, inv, err := s.users.Create(ann.ctx, ann.who, user.Create{Email: "Cid@A.test", Name: " Cid ", RoleID: s.role(ann, access.Fieldworker),
		BranchIDs: []id.ID{north}, Phones: []user.PhoneInput{{Label: "Desk", Number: "02 5550 1234"}, {Number: "+61491570156", IsPrimary: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(u, s.get(ann, u.ID), cmpopts.EquateComparable(id.ID{})); diff != "" {
		t.Errorf("the answer is not what was stored: %s", diff)
	}
	if u.Email != "cid@a.test" || u.Name != "Cid" || !u.IsFieldworker || u.Status != user.Invited || u.Version != 1 || inv.Token == "" {
		t.Errorf("unexpected user %+v", u)
	}
	phones, err := s.users.PhonesByUsers(ann.ctx, []id.ID{u.ID, ann.who.UserID})
	if err != nil {
		t.Fatal(err)
	}
	if p := phones[u.ID]; len(phones) != 1 || len(p) != 2 || p[0].E164 != "+61491570156" || !p[0].IsPrimary || p[1].E164 != "+61255501234" || p[1].IsPrimary || p[1].Label != "Desk" {
		t.Errorf("unexpected phones %v (R018, R288)", p)
	}
	if events := s.told(u.ID); len(events) != 1 || events[0].Actor != ann.who.UserID || !strings.Contains(string(events[0].Data), `"version": 1`) {
		t.Errorf("unexpected events %v", events)
	}
	if s.audited(u.ID, "user.create") != 1 {
		t.Error("nobody wrote down who invited")
	}
	cid := s.accept(inv.Token)
	if !slices.Equal(cid.who.BranchIDs, []id.ID{north}) || !cid.who.IsFieldworker {
		t.Errorf("unexpected actor %+v", cid.who)
	}
}

func TestInvitingAgainReplacesTheInvitation(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	u, old := s.invite(ann, "cid@a.test", s.role(ann, access.Office))
	again, inv, err := s.users.Create(ann.ctx, ann.who, user.Create{Email: "cid@a.test", Name: "Cid", RoleID: s.role(ann, access.Sales)})
	if err != nil || again.ID != u.ID || again.Version != 2 || again.RoleID != s.role(ann, access.Sales) {
		t.Fatalf("invited anew: %+v, %v", again, err)
	}
	_, err = s.sessions.Accept(t.Context(), session.Acceptance{Token: old, Password: password})
	want(t, err, errs.WrongCredentials, "the replaced invitation")
	s.accept(inv.Token)
	_, _, err = s.users.Create(ann.ctx, ann.who, user.Create{Email: "CID@a.test", Name: "Cid", RoleID: s.role(ann, access.Sales)})
	want(t, err, errs.Taken, "somebody who has accepted")
}

func TestInvitingIsRefusedWhen(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann, eve := s.found("Acme", "ann@a.test"), s.found("Evil", "eve@b.test")
	office := s.role(ann, access.Office)
	hr := s.manager(ann, "hr@a.test", access.CallReceive)
	theirs := s.branch(ann, "South")
	bob := s.join(ann, "bob@a.test", access.Dispatcher)
	small, err := s.roles.Create(ann.ctx, ann.who, access.NewRole{Name: "Small", Visibility: access.SeesOwn, Permissions: []access.Permission{access.CallReceive}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		why  string
		by   *person
		have user.Create
		want errs.Code
	}{
		"no permission":      {"people are the administrators' (R252)", bob, user.Create{Email: "x@a.test", Name: "X", RoleID: small.ID}, errs.Forbidden},
		"above oneself":      {"nobody gives away more than they have", hr, user.Create{Email: "x@a.test", Name: "X", RoleID: office}, errs.Forbidden},
		"a foreign branch":   {"who sees a branch gives none but theirs", hr, user.Create{Email: "x@a.test", Name: "X", RoleID: small.ID, BranchIDs: []id.ID{theirs}}, errs.Forbidden},
		"role of others":     {"another organization's role", ann, user.Create{Email: "x@a.test", Name: "X", RoleID: s.role(eve, access.Office)}, errs.NotFound},
		"branch of others":   {"another organization's branch", ann, user.Create{Email: "x@a.test", Name: "X", RoleID: office, BranchIDs: []id.ID{s.branch(eve, "B")}}, errs.NotFound},
		"no role":            {"silence must not mean everything", ann, user.Create{Email: "x@a.test", Name: "X"}, errs.NotFound},
		"no e-mail":          {"the invitation goes there", ann, user.Create{Name: "X", RoleID: office}, errs.Required},
		"malformed e-mail":   {"the invitation goes there", ann, user.Create{Email: "x", Name: "X", RoleID: office}, errs.Invalid},
		"no name":            {"colleagues see it", ann, user.Create{Email: "x@a.test", Name: " ", RoleID: office}, errs.Required},
		"long name":          {"everything from outside has a limit", ann, user.Create{Email: "x@a.test", Name: strings.Repeat("x", 101), RoleID: office}, errs.Invalid},
		"impossible phone":   {"R037", ann, user.Create{Email: "x@a.test", Name: "X", RoleID: office, Phones: []user.PhoneInput{{Number: "12"}}}, errs.Invalid},
		"premium phone":      {"forwarding would pay for it", ann, user.Create{Email: "x@a.test", Name: "X", RoleID: office, Phones: []user.PhoneInput{{Number: "+611900654321"}}}, errs.Invalid},
		"the same phone":     {"one number, one row", ann, user.Create{Email: "x@a.test", Name: "X", RoleID: office, Phones: []user.PhoneInput{{Number: "+61491570156"}, {Number: "0491 570 156"}}}, errs.Invalid},
		"two primary phones": {"R288", ann, user.Create{Email: "x@a.test", Name: "X", RoleID: office, Phones: []user.PhoneInput{{Number: "+61491570156", IsPrimary: true}, {Number: "+61491570157", IsPrimary: true}}}, errs.Invalid},
		"eleven phones":      {"everything from outside has a limit", ann, user.Create{Email: "x@a.test", Name: "X", RoleID: office, Phones: make([]user.PhoneInput, 11)}, errs.LimitReached},
	} {
		_, _, err := s.users.Create(tc.by.ctx, tc.by.who, tc.have)
		want(t, err, tc.want, name+": "+tc.why)
	}
	if n, err := s.users.Count(ann.ctx, ann.who, user.Filter{}); err != nil || n != 3 {
		t.Errorf("a refused invitation left a person behind: %d, %v", n, err)
	}
}

func TestAdministratorsChangeTheRest(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	north, line := s.branch(ann, "North"), s.number(ann, "+61255500001")

	_, err := s.users.Update(ann.ctx, ann.who, bob.who.UserID, user.Update{InboundPhoneNumberID: patch.To(line)})
	want(t, err, errs.Invalid, "layer 4 rings the person's phone, so there must be one (R037)")

	u, err := s.users.Update(ann.ctx, ann.who, bob.who.UserID, user.Update{RoleID: patch.To(s.role(ann, access.Fieldworker)), BranchIDs: patch.To([]id.ID{north}),
		IsFieldworker: patch.To(true), IsGeneralFieldworker: patch.To(true), RestrictBeforeStart: patch.To(true), Extension: patch.To(" 12 "),
		SIPAddress: patch.To("user1@espo.sip.us1.twilio.com"), Phones: patch.To([]user.PhoneInput{{Number: "0491570156"}}), InboundPhoneNumberID: patch.To(line)})
	if err != nil {
		t.Fatal(err)
	}
	got := s.get(ann, bob.who.UserID)
	if diff := cmp.Diff(u, got, cmpopts.EquateComparable(id.ID{})); diff != "" {
		t.Error(diff)
	}
	if *got.Extension != "12" || *got.SIPAddress != "sip:user1@espo.sip.us1.twilio.com" || !got.RestrictBeforeStart() || got.Version != 3 {
		t.Errorf("unexpected user %+v", got)
	}
	who, _, err := s.sessions.Authenticate(t.Context(), s.token(bob))
	if err != nil || !who.RestrictedBeforeStart() || !slices.Equal(who.BranchIDs, []id.ID{north}) || who.Can(access.ContactEdit) {
		t.Errorf("what Bob may do is not what he may do now: %+v, %v", who, err)
	}
	got, err = s.users.Update(ann.ctx, ann.who, bob.who.UserID, user.Update{Extension: patch.Clear[string](), SIPAddress: patch.To(""), InboundPhoneNumberID: patch.Clear[id.ID]()})
	if err != nil || got.Extension != nil || got.SIPAddress != nil || !got.RestrictBeforeStart() {
		t.Errorf("null clears, absence keeps: %+v, %v", got, err)
	}
	for name, in := range map[string]user.Update{
		"extension of letters":    {Extension: patch.To("12a")},
		"SIP address with markup": {SIPAddress: patch.To(`sip:a@x.test"/><Dial>`)},
		"SIP address with query":  {SIPAddress: patch.To("sip:a@x.test?Header=1")},
		"null name":               {Name: patch.Clear[string]()},
	} {
		_, err := s.users.Update(ann.ctx, ann.who, bob.who.UserID, in)
		if code := errs.CodeOf(err); code != errs.Invalid && code != errs.Required {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (s *stage) token(p *person) string {
	s.t.Helper()
	x, err := s.sessions.IssueFor(s.t.Context(), s.get(p, p.who.UserID).Email, p.who.OrganizationID)
	if err != nil {
		s.t.Fatal(err)
	}
	return x.AccessToken
}

func TestNobodyRaisesAnybodyAboveThemselves(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	hr := s.manager(ann, "hr@a.test", access.CallReceive)
	bob := s.join(ann, "bob@a.test", access.Office)
	small, err := s.roles.Create(ann.ctx, ann.who, access.NewRole{Name: "Small", Visibility: access.SeesOwn, Permissions: []access.Permission{access.CallReceive}})
	if err != nil {
		t.Fatal(err)
	}
	low, _ := s.invite(ann, "low@a.test", small.ID)
	office, admin := s.role(ann, access.Office), s.role(ann, access.Admin)

	_, err = s.users.Update(hr.ctx, hr.who, hr.who.UserID, user.Update{RoleID: patch.To(admin)})
	want(t, err, errs.Forbidden, "raising oneself")
	_, err = s.users.Update(ann.ctx, ann.who, ann.who.UserID, user.Update{RoleID: patch.To(admin)})
	want(t, err, errs.Forbidden, "one's own role, even to the same")
	_, err = s.users.Update(hr.ctx, hr.who, low.ID, user.Update{RoleID: patch.To(office)})
	want(t, err, errs.Forbidden, "giving a role above one's own")
	_, err = s.users.Update(hr.ctx, hr.who, bob.who.UserID, user.Update{RoleID: patch.To(small.ID)})
	want(t, err, errs.Forbidden, "taking a role above one's own")
	_, err = s.users.Disable(hr.ctx, hr.who, ann.who.UserID)
	want(t, err, errs.Forbidden, "disabling somebody above oneself")
	_, err = s.users.Update(hr.ctx, hr.who, ann.who.UserID, user.Update{Phones: patch.To([]user.PhoneInput{{Number: "+61491570156"}})})
	want(t, err, errs.Forbidden, "sending the calls of somebody above oneself to another phone")
	if _, err := s.users.Update(hr.ctx, hr.who, low.ID, user.Update{Phones: patch.To([]user.PhoneInput{{Number: "+61491570156"}})}); err != nil {
		t.Errorf("a manager may change whom they could have invited: %v", err)
	}
	_, err = s.users.Update(hr.ctx, hr.who, hr.who.UserID, user.Update{BranchIDs: patch.To([]id.ID{s.branch(ann, "North")})})
	want(t, err, errs.Forbidden, "giving oneself a branch")
	if _, err := s.users.Disable(hr.ctx, hr.who, low.ID); err != nil {
		t.Errorf("a manager may disable whom they could have invited: %v", err)
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	office := s.role(ann, access.Office)
	root, err := s.roles.Create(ann.ctx, ann.who, access.NewRole{Name: "Root", Visibility: access.SeesOrganization, Permissions: access.All})
	if err != nil {
		t.Fatal(err)
	}
	_, token := s.invite(ann, "root@a.test", root.ID)
	other := s.accept(token)
	s.invite(ann, "later@a.test", s.role(ann, access.Admin)) // who is only invited cannot help

	_, err = s.users.Disable(ann.ctx, ann.who, ann.who.UserID)
	want(t, err, errs.Forbidden, "disabling oneself")
	_, err = s.users.Disable(other.ctx, other.who, ann.who.UserID)
	want(t, err, errs.Conflict, "disabling the last administrator")
	_, err = s.users.Update(other.ctx, other.who, ann.who.UserID, user.Update{RoleID: patch.To(office)})
	want(t, err, errs.Conflict, "lowering the last administrator")

	// Two administrators switch each other off at the same moment.
	bob := s.join(ann, "bob@a.test", access.Admin)
	var wg sync.WaitGroup
	codes := make([]errs.Code, 2)
	for i, pair := range [][2]*person{{ann, bob}, {bob, ann}} {
		wg.Go(func() {
			_, err := s.users.Disable(pair[0].ctx, pair[0].who, pair[1].who.UserID)
			codes[i] = errs.CodeOf(err)
		})
	}
	wg.Wait()
	if (codes[0] == "") == (codes[1] == "") {
		t.Errorf("both or neither were switched off: %q", codes)
	}
}

func TestADisabledPersonIsOutAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	token := s.token(bob)
	invited, inv := s.invite(ann, "cid@a.test", s.role(ann, access.Office))
	for range 2 {
		if u, err := s.users.Disable(ann.ctx, ann.who, bob.who.UserID); err != nil || u.Status != user.Disabled || u.Version != 3 {
			t.Fatalf("disabling, also twice: %+v, %v", u, err)
		}
	}
	if got := len(s.told(bob.who.UserID)); got != 3 {
		t.Errorf("%d events; a second disabling is none", got)
	}
	_, _, err := s.sessions.Authenticate(t.Context(), token)
	want(t, err, errs.Unauthenticated, "the token of a disabled person")

	u, err := s.users.Enable(ann.ctx, ann.who, bob.who.UserID)
	if err != nil || u.Status != user.Active || u.Version != 4 {
		t.Errorf("enabled again: %+v, %v", u, err)
	}
	_, _, err = s.sessions.Authenticate(t.Context(), token)
	want(t, err, errs.Unauthenticated, "an old token after enabling")
	s.token(bob)

	// Who never accepted is invited again, not let in.
	if _, err := s.users.Disable(ann.ctx, ann.who, invited.ID); err != nil {
		t.Fatal(err)
	}
	if u, err := s.users.Enable(ann.ctx, ann.who, invited.ID); err != nil || u.Status != user.Invited {
		t.Errorf("enabled before accepting: %+v, %v", u, err)
	}
	s.accept(inv)
}

func TestPhonesKeepTheirIdentity(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	set := func(in ...user.PhoneInput) []*user.Phone {
		t.Helper()
		if _, err := s.users.Update(ann.ctx, ann.who, ann.who.UserID, user.Update{Phones: patch.To(in)}); err != nil {
			t.Fatal(err)
		}
		m, err := s.users.PhonesByUsers(ann.ctx, []id.ID{ann.who.UserID})
		if err != nil {
			t.Fatal(err)
		}
		return m[ann.who.UserID]
	}
	before := set(user.PhoneInput{Number: "0491570156"}, user.PhoneInput{Number: "0491570157"})
	after := set(user.PhoneInput{Number: "0491570158"}, user.PhoneInput{Number: "0491570156", Label: "Old", IsPrimary: true})
	if len(after) != 2 || after[0].ID != before[0].ID || after[0].Label != "Old" || !after[0].IsPrimary || after[1].E164 != "+61491570158" {
		t.Errorf("before %v, after %v", before, after)
	}
	if user.PrimaryPhone(after) != "+61491570156" {
		t.Errorf("the primary phone is %s", user.PrimaryPhone(after))
	}
	if left := set(); len(left) != 0 || user.PrimaryPhone(left) != "" {
		t.Errorf("no phones are %v", left)
	}
}

func TestDoNotDisturbIsForEverythingOrOneLine(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann, eve := s.found("Acme", "ann@a.test"), s.found("Evil", "eve@b.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	one, two, foreign := s.number(ann, "+61255500001"), s.number(ann, "+61255500002"), s.number(eve, "+61255500003")
	set := func(p *person, in user.DoNotDisturb) error {
		_, err := s.users.DoNotDisturbSet(p.ctx, p.who, in)
		return err
	}
	lines := func() []id.ID {
		t.Helper()
		m, err := s.users.DndLinesByUsers(ann.ctx, []id.ID{bob.who.UserID, ann.who.UserID})
		if err != nil {
			t.Fatal(err)
		}
		return m[bob.who.UserID]
	}
	for _, in := range []user.DoNotDisturb{{IsOn: true}, {PhoneNumberID: one, IsOn: true}, {PhoneNumberID: one, IsOn: true}, {PhoneNumberID: two, IsOn: true}} {
		if err := set(bob, in); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.get(ann, bob.who.UserID); !got.DoNotDisturb || got.Version != 6 || len(s.told(got.ID)) != 6 {
		t.Errorf("unexpected user %+v", got)
	}
	if got := lines(); !slices.Equal(got, []id.ID{one, two}) {
		t.Errorf("lines %v", got)
	}
	if err := set(ann, user.DoNotDisturb{UserID: bob.who.UserID, PhoneNumberID: one}); err != nil {
		t.Errorf("an administrator sets another's: %v", err)
	}
	if got := lines(); !slices.Equal(got, []id.ID{two}) {
		t.Errorf("lines %v", got)
	}
	want(t, set(bob, user.DoNotDisturb{UserID: ann.who.UserID, IsOn: true}), errs.Forbidden, "another's")
	want(t, set(eve, user.DoNotDisturb{UserID: bob.who.UserID, IsOn: true}), errs.NotFound, "another organization's person")
	for _, on := range []bool{true, false} {
		want(t, set(bob, user.DoNotDisturb{PhoneNumberID: foreign, IsOn: on}), errs.NotFound, "another organization's line")
		want(t, set(bob, user.DoNotDisturb{PhoneNumberID: id.New(id.PhoneNumber), IsOn: on}), errs.NotFound, "no line at all")
	}
}

func TestPeopleAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	s.found("Evil", "eve@b.test")
	north := s.branch(ann, "North")
	var ids []id.ID
	for _, email := range []string{"b@a.test", "c@a.test", "d@a.test"} {
		s.clk.Advance(time.Second)
		u, _ := s.invite(ann, email, s.role(ann, access.Office))
		ids = append(ids, u.ID)
	}
	if _, err := s.users.Update(ann.ctx, ann.who, ids[1], user.Update{BranchIDs: patch.To([]id.ID{north})}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		why  string
		have user.Filter
		want []id.ID
	}{
		"all":     {"everybody of this organization and nobody else", user.Filter{}, []id.ID{ids[2], ids[1], ids[0], ann.who.UserID}},
		"status":  {"only Ann has accepted", user.Filter{Status: user.Active}, []id.ID{ann.who.UserID}},
		"branch":  {"one is in it", user.Filter{BranchID: north}, []id.ID{ids[1]}},
		"role":    {"three are in the office", user.Filter{RoleID: s.role(ann, access.Office)}, []id.ID{ids[2], ids[1], ids[0]}},
		"nothing": {"filters narrow each other", user.Filter{Status: user.Active, BranchID: north}, nil},
	} {
		var got []id.ID
		page := db.Page{First: 2}
		for {
			w, err := s.users.List(ann.ctx, ann.who, tc.have, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range w.Nodes {
				got = append(got, u.ID)
			}
			if page.After = w.EndCursor(); !w.HasNext {
				break
			}
		}
		if n, err := s.users.Count(ann.ctx, ann.who, tc.have); err != nil || n != len(tc.want) || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %s: got %v, counted %d, want %v (%v)", name, tc.why, got, n, tc.want, err)
		}
	}
}

func TestPrivateIsForOneselfAndManagers(t *testing.T) {
	t.Parallel()
	me, other := id.New(id.User), id.New(id.User)
	org := id.New(id.Organization)
	plain := access.Actor{OrganizationID: org, UserID: me, Permissions: access.SetOf(access.ContactView)}
	boss := access.Actor{OrganizationID: org, UserID: other, Permissions: access.SetOf(access.UserManage)}
	key := access.Actor{OrganizationID: org, APIKeyID: id.New(id.APIKey)}
	for name, tc := range map[string]struct {
		who  access.Actor
		of   id.ID
		want bool
	}{
		"own": {plain, me, true}, "another's": {plain, other, false}, "manager": {boss, me, true},
		"key": {key, me, false}, "key of nobody": {key, id.ID{}, false}, "nobody": {access.Actor{}, id.ID{}, false},
	} {
		if got := user.MayReadPrivate(tc.who, tc.of); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAnotherOrganizationsPeopleAreNotThere(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann, eve := s.found("Acme", "ann@a.test"), s.found("Evil", "eve@b.test")
	victim := ann.who.UserID
	d, err := s.users.DeviceRegister(ann.ctx, ann.who, user.Register{Name: "Laptop", Platform: user.Web})
	if err != nil {
		t.Fatal(err)
	}
	before := s.get(ann, victim)
	for name, do := range map[string]func() error{
		"get": func() error { _, err := s.users.Get(eve.ctx, eve.who, victim); return err },
		"update": func() error {
			_, err := s.users.Update(eve.ctx, eve.who, victim, user.Update{Name: patch.To("x")})
			return err
		},
		"update the role": func() error {
			_, err := s.users.Update(eve.ctx, eve.who, victim, user.Update{RoleID: patch.To(s.role(eve, access.Office))})
			return err
		},
		"disable":       func() error { _, err := s.users.Disable(eve.ctx, eve.who, victim); return err },
		"enable":        func() error { _, err := s.users.Enable(eve.ctx, eve.who, victim); return err },
		"device":        func() error { _, err := s.users.Device(eve.ctx, eve.who, d.ID); return err },
		"device touch":  func() error { _, err := s.users.DeviceTouch(eve.ctx, eve.who, d.ID); return err },
		"device remove": func() error { _, err := s.users.DeviceRemove(eve.ctx, eve.who, d.ID); return err },
		"device register": func() error {
			_, err := s.users.DeviceRegister(eve.ctx, eve.who, user.Register{Name: "x", Platform: user.Web, ID: d.ID})
			return err
		},
		"wrong kind of id": func() error { _, err := s.users.Get(eve.ctx, eve.who, d.ID); return err },
	} {
		want(t, do(), errs.NotFound, name)
	}
	if w, err := s.users.Devices(eve.ctx, eve.who, victim, db.Page{}); err != nil || len(w.Nodes) != 0 {
		t.Errorf("devices: %v, %v", w.Nodes, err)
	}
	if got, err := s.users.ByIDs(eve.ctx, []id.ID{victim, eve.who.UserID}); err != nil || len(got) != 1 {
		t.Errorf("loading: %v, %v", got, err)
	}
	if got, err := s.users.DevicesByIDs(eve.ctx, []id.ID{d.ID}); err != nil || len(got) != 0 {
		t.Errorf("loading devices: %v, %v", got, err)
	}
	for name, n := range map[string]func() (int, error){
		"phones":  func() (int, error) { m, err := s.users.PhonesByUsers(eve.ctx, []id.ID{victim}); return len(m), err },
		"lines":   func() (int, error) { m, err := s.users.DndLinesByUsers(eve.ctx, []id.ID{victim}); return len(m), err },
		"devices": func() (int, error) { m, err := s.users.DevicesByUsers(eve.ctx, []id.ID{victim}); return len(m), err },
	} {
		if got, err := n(); err != nil || got != 0 {
			t.Errorf("loading %s: %d, %v", name, got, err)
		}
	}
	if diff := cmp.Diff(before, s.get(ann, victim), cmpopts.EquateComparable(id.ID{})); diff != "" {
		t.Errorf("the attempts had an effect: %s", diff)
	}
}

// R252: every field of a change to a person is either one's own or the administrator's.
func TestPeopleChangeOnlyTheirOwnVoIPSettings(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	line, branch := s.number(ann, "+61255500001"), s.branch(ann, "North")
	fields := map[string]struct {
		own bool
		in  user.Update
	}{
		"Name":                 {true, user.Update{Name: patch.To("Bob")}},
		"Phones":               {true, user.Update{Phones: patch.To([]user.PhoneInput{{Number: "0491570156"}})}},
		"DisplayNotifications": {true, user.Update{DisplayNotifications: patch.To(false)}},
		"SilentNotifications":  {true, user.Update{SilentNotifications: patch.To(true)}},
		"InternalClickToCall":  {true, user.Update{InternalClickToCall: patch.To(false)}},
		"RoleID":               {false, user.Update{RoleID: patch.To(s.role(ann, access.Office))}},
		"BranchIDs":            {false, user.Update{BranchIDs: patch.To([]id.ID{branch})}},
		"IsFieldworker":        {false, user.Update{IsFieldworker: patch.To(true)}},
		"IsGeneralFieldworker": {false, user.Update{IsGeneralFieldworker: patch.To(true)}},
		"RestrictBeforeStart":  {false, user.Update{RestrictBeforeStart: patch.To(false)}},
		"Options":              {false, user.Update{Options: []access.Switch{{Option: access.CallAdmins}}}},
		"InboundPhoneNumberID": {false, user.Update{InboundPhoneNumberID: patch.To(line)}},
		"Extension":            {false, user.Update{Extension: patch.To("12")}},
		"SIPAddress":           {false, user.Update{SIPAddress: patch.To("bob@acme.sip.twilio.com")}},
		"SIPDomainID":          {false, user.Update{SIPDomainID: patch.Clear[id.ID]()}},
	}
	for f := range reflect.TypeFor[user.Update]().Fields() {
		if _, ok := fields[f.Name]; !ok {
			t.Errorf("nobody says whether people change their own %s", f.Name)
		}
	}
	for name, f := range fields {
		_, err := s.users.Update(bob.ctx, bob.who, bob.who.UserID, f.in)
		if f.own && err != nil || !f.own && errs.CodeOf(err) != errs.Forbidden {
			t.Errorf("%s of oneself (own: %v): %v", name, f.own, err)
		}
		_, err = s.users.Update(bob.ctx, bob.who, ann.who.UserID, f.in)
		want(t, err, errs.Forbidden, name+" of a colleague")
	}
	_, err := s.users.Update(ann.ctx, access.Actor{}, bob.who.UserID, user.Update{Name: patch.To("x")})
	want(t, err, errs.Unauthenticated, "nobody")
	// With one field of the administrator's, nothing of the change is made.
	_, err = s.users.Update(bob.ctx, bob.who, bob.who.UserID, user.Update{Name: patch.To("Robert"), Extension: patch.To("13")})
	want(t, err, errs.Forbidden, "a mixed change")
	if got := s.get(ann, bob.who.UserID); got.Name != "Bob" || got.Extension != nil || got.DisplayNotifications || !got.SilentNotifications || got.InternalClickToCall {
		t.Errorf("unexpected user %+v", got)
	}
}

func TestExtensionAndSipAddressBelongToOnePerson(t *testing.T) { // R091, R258
	t.Parallel()
	s := open(t)
	ann, eve := s.found("Acme", "ann@a.test"), s.found("Evil", "eve@b.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	set := func(by *person, who id.ID, in user.Update) error {
		_, err := s.users.Update(by.ctx, by.who, who, in)
		return err
	}
	full := user.Update{Extension: patch.To("101"), SIPAddress: patch.To("Line1@acme.sip.twilio.com")}
	if err := set(ann, bob.who.UserID, full); err != nil {
		t.Fatal(err)
	}
	if err := set(eve, eve.who.UserID, full); err != nil {
		t.Errorf("another organization has its own: %v", err)
	}
	for name, in := range map[string]user.Update{"extension": {Extension: patch.To("101")}, "sipAddress": {SIPAddress: patch.To("sip:line1@ACME.sip.twilio.com")}} {
		err := set(ann, ann.who.UserID, in)
		if e, ok := errs.As(err); !ok || e.Code != errs.Taken || len(e.Field) != 1 || e.Field[0] != name {
			t.Errorf("%s of somebody else: %v", name, err)
		}
	}
	// Whoever is disabled keeps nobody from it, and does not come back with it.
	if _, err := s.users.Disable(ann.ctx, ann.who, bob.who.UserID); err != nil {
		t.Fatal(err)
	}
	if err := set(ann, ann.who.UserID, full); err != nil {
		t.Errorf("of a disabled person: %v", err)
	}
	_, err := s.users.Enable(ann.ctx, ann.who, bob.who.UserID)
	want(t, err, errs.Taken, "enabling somebody whose extension is another's now")
}

func TestTheVoipServerIsAnEnabledDomain(t *testing.T) { // R257
	t.Parallel()
	s := open(t)
	ann, eve := s.found("Acme", "ann@a.test"), s.found("Evil", "eve@b.test")
	domain := func(p *person, enabled bool) id.ID {
		org, conn, x := p.who.OrganizationID, id.New(id.Connection), id.New(id.SIPDomain)
		s.exec(p, `INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at) VALUES ($1, $2, 'x', $3, 'FULL', 'active', $4)`, org, conn, fmt.Sprintf("AC%x", conn.UUID()), s.clk.Now())
		s.exec(p, `INSERT INTO sip_domain (organization_id, id, connection_id, twilio_sid, domain_name, is_enabled, updated_at) VALUES ($1, $2, $3, $4, 'a.sip.twilio.com', $5, $6)`,
			org, x, conn, x.String(), enabled, s.clk.Now())
		return x
	}
	on, off, theirs := domain(ann, true), domain(ann, false), domain(eve, true)
	set := func(x id.ID) error {
		_, err := s.users.Update(ann.ctx, ann.who, ann.who.UserID, user.Update{SIPDomainID: patch.To(x)})
		return err
	}
	if err := set(on); err != nil || s.get(ann, ann.who.UserID).SIPDomainID != on {
		t.Errorf("an enabled domain: %v", err)
	}
	want(t, set(off), errs.NotFound, "a domain that is not enabled")
	want(t, set(theirs), errs.NotFound, "another organization's domain")
	want(t, set(id.New(id.SIPDomain)), errs.NotFound, "no domain at all")
	want(t, set(id.New(id.Call)), errs.Invalid, "a call")
	if err := set(id.ID{}); err != nil || !s.get(ann, ann.who.UserID).SIPDomainID.IsZero() {
		t.Errorf("none: %v", err)
	}
}
