package tenant_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"switchboard/internal/access"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/tenant"
	"switchboard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// founder is package user's part of a founding, which is tested there.
type founder struct{ role id.ID }

func (f *founder) InviteFirst(_ context.Context, _ *db.Tx, role id.ID, _, _ string) (tenant.First, error) {
	f.role = role
	return tenant.First{UserID: id.New(id.User), Token: "sbi_x"}, nil
}

func open(t *testing.T) (*db.DB, *tenant.Service, *founder) {
	t.Helper()
	f := &founder{}
	d := testkit.DB(t, testkit.Clock(clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))))
	return d, tenant.New(tenant.Deps{DB: d, Founder: f}), f
}

func found(t *testing.T, s *tenant.Service, name string) (*tenant.Organization, context.Context, access.Actor) {
	t.Helper()
	o, first, err := s.Create(t.Context(), tenant.Founding{Name: name, TimeZone: "Australia/Sydney", DefaultCountry: "au", AdminEmail: "ann@a.test"})
	if err != nil {
		t.Fatal(err)
	}
	who := access.Actor{OrganizationID: o.ID, UserID: first.UserID, Permissions: access.SetOf(access.All...), Visibility: access.SeesOrganization}
	return o, access.With(t.Context(), who), who
}

func TestANewOrganizationHasTheBuiltInRoles(t *testing.T) {
	t.Parallel()
	d, s, f := open(t)
	_, ctx, who := found(t, s, "Acme")
	roles, err := access.New(access.Deps{DB: d}).List(ctx, who)
	if err != nil {
		t.Fatal(err)
	}
	got := map[access.BuiltInRole]access.Visibility{}
	for _, r := range roles {
		got[*r.BuiltIn] = r.Visibility
		if r.Is(access.Admin) {
			if diff := cmp.Diff(access.All, r.Permissions); diff != "" {
				t.Errorf("the administrator's permissions: %s", diff)
			}
			if f.role != r.ID {
				t.Error("the first person is not invited as administrator")
			}
		}
		if r.Is(access.Fieldworker) {
			want := []access.Permission{access.CallReceive, access.CallMake, access.CallView, access.CallTransfer, access.CallInternal, access.SMSSend, access.SMSView, access.FollowUpView, access.ContactView, access.RecordEventAdd}
			if diff := cmp.Diff(want, r.Permissions); diff != "" {
				t.Errorf("the fieldworker's permissions: %s", diff)
			}
		}
	}
	want := map[access.BuiltInRole]access.Visibility{access.Admin: "ORGANIZATION", access.Dispatcher: "ORGANIZATION",
		access.Office: "BRANCH", access.Sales: "BRANCH", access.Fieldworker: "OWN"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUpdateChangesWhatIsMentionedOnly(t *testing.T) {
	t.Parallel()
	_, s, _ := open(t)
	_, ctx, who := found(t, s, "Acme")
	if _, err := s.Update(ctx, who, tenant.Change{CompanyPhone: patch.To("02 5550 1234"), Features: []tenant.Feature{{Name: tenant.Masking, IsOn: false}}}); err != nil {
		t.Fatal(err)
	}
	o, err := s.Update(ctx, who, tenant.Change{Name: patch.To(" Acme Ltd ")})
	if err != nil {
		t.Fatal(err)
	}
	read, err := s.Get(ctx, who)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o, read, cmpopts.EquateComparable(id.ID{})); diff != "" {
		t.Errorf("the answer is not what was stored: %s", diff)
	}
	if read.Name != "Acme Ltd" || read.TimeZone != "Australia/Sydney" || read.DefaultCountry != "AU" || read.Location().String() != "Australia/Sydney" {
		t.Errorf("unexpected organization %+v", read)
	}
	if read.CompanyPhone == nil || *read.CompanyPhone != "+61255501234" {
		t.Errorf("the Company Phone typed without a country code is %v (R018, R038)", read.CompanyPhone)
	}
	if read.HasFeature(tenant.Masking) || !read.HasFeature(tenant.Conference) || read.HasFeature("NONSENSE") {
		t.Errorf("features %v", read.Features())
	}
	read, err = s.Update(ctx, who, tenant.Change{CompanyPhone: patch.Clear[string](), Features: []tenant.Feature{{Name: tenant.Masking, IsOn: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if read.CompanyPhone != nil || !read.HasFeature(tenant.Masking) {
		t.Errorf("null did not clear, or a switch did not go on: %+v", read)
	}
}

func TestUpdateRefuses(t *testing.T) {
	t.Parallel()
	_, s, _ := open(t)
	_, ctx, who := found(t, s, "Acme")
	weak := who
	weak.Permissions = access.SetOf(access.UserManage)
	for name, tc := range map[string]struct {
		why  string
		who  access.Actor
		have tenant.Change
		want errs.Code
	}{
		"no place":         {"a zone must be loadable", who, tenant.Change{TimeZone: patch.To("Mars/Olympus")}, errs.Invalid},
		"the server's own": {"Local is another zone on every machine", who, tenant.Change{TimeZone: patch.To("Local")}, errs.Invalid},
		"a path":           {"zones are not files of ours", who, tenant.Change{TimeZone: patch.To("../../etc/passwd")}, errs.Invalid},
		"no country":       {"numbers could not be read (R018)", who, tenant.Change{DefaultCountry: patch.To("ZZ")}, errs.Invalid},
		"no number":        {"layer 1 must ring something (R038)", who, tenant.Change{CompanyPhone: patch.To("12")}, errs.Invalid},
		"no name":          {"people must tell organizations apart", who, tenant.Change{Name: patch.To("  ")}, errs.Required},
		"null name":        {"the name cannot be cleared", who, tenant.Change{Name: patch.Clear[string]()}, errs.Required},
		"unknown feature":  {"a typing error must not pass", who, tenant.Change{Features: []tenant.Feature{{Name: "X"}}}, errs.Invalid},
		"no dial format":   {"a format without the number dials nothing (R089)", who, tenant.Change{DialFormat: patch.To("0011")}, errs.Invalid},
		"no such country":  {"a typing error would refuse every call", who, tenant.Change{CallCountries: patch.To([]string{"AU", "Australia"})}, errs.Invalid},
		"cap of nothing":   {"nobody could call", who, tenant.Change{MaxConcurrentCalls: patch.To(0)}, errs.Invalid},
		"cap of all":       {"a cap caps", who, tenant.Change{MaxCallsPerUserHour: patch.To(10_001)}, errs.Invalid},
		"null cap":         {"a cap is a number", who, tenant.Change{MaxConcurrentCalls: patch.Clear[int]()}, errs.Required},
		"no such music":    {"it must be there (R098)", who, tenant.Change{HoldMusicID: patch.To(id.New(id.Upload))}, errs.NotFound},
		"music of a call":  {"ids know what they are", who, tenant.Change{HoldMusicID: patch.To(id.New(id.Call))}, errs.Invalid},
		"no permission":    {"R252", weak, tenant.Change{Name: patch.To("x")}, errs.Forbidden},
		"nobody":           {"the zero actor may do nothing", access.Actor{}, tenant.Change{Name: patch.To("x")}, errs.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Update(ctx, tc.who, tc.have); errs.CodeOf(err) != tc.want {
				t.Errorf("%s: got %v, want %s", tc.why, err, tc.want)
			}
		})
	}
}

func TestAnotherOrganizationIsNotThere(t *testing.T) {
	t.Parallel()
	d, s, _ := open(t)
	_, ctxA, whoA := found(t, s, "A")
	b, ctxB, whoB := found(t, s, "B")

	if got, err := s.ByIDs(ctxA, []id.ID{b.ID}); err != nil || len(got) != 0 {
		t.Errorf("A loads B: %v, %v", got, err)
	}
	roles := access.New(access.Deps{DB: d})
	theirs, err := roles.List(ctxB, whoB)
	if err != nil {
		t.Fatal(err)
	}
	role := theirs[1].ID
	if _, err := roles.Get(ctxA, whoA, role); errs.CodeOf(err) != errs.NotFound {
		t.Errorf("A reads B's role: %v", err)
	}
	if _, err := roles.Update(ctxA, whoA, role, access.RoleChange{Name: patch.To("mine")}); errs.CodeOf(err) != errs.NotFound {
		t.Errorf("A changes B's role: %v", err)
	}
	if got, err := roles.ByIDs(ctxA, []id.ID{role}); err != nil || len(got) != 0 {
		t.Errorf("A loads B's role: %v, %v", got, err)
	}
}

func TestTheRulesForCallsAreTheOrganizations(t *testing.T) { // R089, R098, R106, R107, R277
	t.Parallel()
	d, s, _ := open(t)
	o, ctx, who := found(t, s, "Acme")
	other, _, _ := found(t, s, "Other")
	if o.DialFormat != "E164" || o.MaxConcurrentCalls != 100 || o.MaxCallsPerUserHour != 60 || len(o.CallCountries) != 0 || len(o.Warnings()) != 0 {
		t.Errorf("a new organization has %+v", o)
	}
	audio := func(org id.ID) id.ID {
		x := id.New(id.Upload)
		_, err := db.Exec(t.Context(), d.Worker(), `INSERT INTO audio (organization_id, id, name, content_type, size_bytes, blob_key, public_token)
			VALUES ($1, $2, 'Music', 'audio/mpeg', 1, $3, $3)`, org, x, x.String())
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	music := audio(o.ID)
	if _, err := s.Update(ctx, who, tenant.Change{HoldMusicID: patch.To(audio(other.ID))}); errs.CodeOf(err) != errs.NotFound {
		t.Errorf("another organization's music is taken: %v", err)
	}
	_, err := s.Update(ctx, who, tenant.Change{HoldMusicID: patch.To(music), DialFormat: patch.To("0011{digits}"), CallCountries: patch.To([]string{"au", "NZ", "AU"}),
		MaxConcurrentCalls: patch.To(7), MaxCallsPerUserHour: patch.To(8), CustomersMayCallFieldworkers: patch.To(true)})
	if err != nil {
		t.Fatal(err)
	}
	read, err := s.Update(ctx, who, tenant.Change{Name: patch.To("Acme Ltd")})
	if err != nil {
		t.Fatal(err)
	}
	if read.HoldMusicAudioID != music || read.DialFormat != "0011{digits}" || !slices.Equal(read.CallCountries, []string{"AU", "NZ"}) ||
		read.MaxConcurrentCalls != 7 || read.MaxCallsPerUserHour != 8 || !read.CustomersMayCallFieldworkers || len(read.Warnings()) != 1 {
		t.Errorf("what was not mentioned changed: %+v", read)
	}
	read, err = s.Update(ctx, who, tenant.Change{HoldMusicID: patch.Clear[id.ID](), DialFormat: patch.Clear[string](), CallCountries: patch.Clear[[]string]()})
	if err != nil || !read.HoldMusicAudioID.IsZero() || read.DialFormat != "E164" || len(read.CallCountries) != 0 {
		t.Errorf("null gives back what is usual: %+v, %v", read, err)
	}
}

func TestARefusalNamesTheSwitch(t *testing.T) { // R285
	t.Parallel()
	for _, f := range tenant.AllFeatures {
		o := &tenant.Organization{}
		if err := o.Require(f); err != nil {
			t.Errorf("%s is on until somebody switches it off: %v", f, err)
		}
		o.DisabledFeatures = []tenant.FeatureName{f}
		if err := o.Require(f); errs.CodeOf(err) != errs.Forbidden || !strings.Contains(err.Error(), string(f)) {
			t.Errorf("%s is off: %v", f, err)
		}
	}
}
