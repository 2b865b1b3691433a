package access_test

import (
	"context"
	"slices"
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
	"switchboard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

type fixture struct {
	*access.Service
	ctx     context.Context
	roles   map[access.BuiltInRole]*access.Role
	admin   access.Actor
	changed []id.ID
}

func open(t *testing.T) *fixture {
	t.Helper()
	d := testkit.DB(t, testkit.Clock(clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))))
	org := id.New(id.Organization)
	f := &fixture{ctx: db.WithTenant(t.Context(), org)}
	f.Service = access.New(access.Deps{DB: d, Changed: func(r id.ID) { f.changed = append(f.changed, r) }})
	err := d.InWorkerTx(f.ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if _, err := db.Exec(ctx, tx, `INSERT INTO organization (organization_id, name, updated_at) VALUES ($1, 'Acme', $2)`, org, tx.Now); err != nil {
			return err
		}
		f.roles, err = access.CreateBuiltIn(ctx, tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.admin = f.actor(access.Admin)
	return f
}

func (f *fixture) actor(b access.BuiltInRole) access.Actor {
	r := f.roles[b]
	return access.Actor{OrganizationID: r.OrganizationID, UserID: id.New(id.User), RoleID: r.ID,
		Permissions: access.SetOf(r.Permissions...), Visibility: r.Visibility}
}

func TestARoleKeepsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	f := open(t)
	r, err := f.Create(f.ctx, f.admin, access.NewRole{Name: " Night desk ", Visibility: access.SeesBranch,
		Permissions: []access.Permission{access.SMSSend, access.CallReceive, access.SMSSend}})
	if err != nil {
		t.Fatal(err)
	}
	read, err := f.Get(f.ctx, f.admin, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, read, cmpopts.EquateComparable(id.ID{})); diff != "" {
		t.Error(diff)
	}
	if read.Name != "Night desk" || !slices.Equal(read.Permissions, []access.Permission{access.CallReceive, access.SMSSend}) {
		t.Errorf("unexpected role %+v", read)
	}
	empty, err := f.Update(f.ctx, f.admin, r.ID, access.RoleChange{Permissions: patch.To([]access.Permission{})})
	if err != nil || len(empty.Permissions) != 0 || empty.Name != "Night desk" || empty.Visibility != access.SeesBranch {
		t.Errorf("taking every permission gave %+v, %v", empty, err)
	}
	if !slices.Equal(f.changed, []id.ID{r.ID}) {
		t.Errorf("live sockets were told of %v", f.changed)
	}
	if _, err := f.Update(f.ctx, f.admin, r.ID, access.RoleChange{Name: patch.To("Night")}); err != nil || len(f.changed) != 1 {
		t.Errorf("a new name alone ended sockets, or: %v", err)
	}
}

func TestNobodyGivesMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	f := open(t)
	desk := f.actor(access.Office)
	desk.Permissions[access.UserManage] = struct{}{}
	for name, tc := range map[string]struct {
		why string
		do  func() error
	}{
		"create with more": {"RECORDING_LISTEN is not theirs", func() error {
			_, err := f.Create(f.ctx, desk, access.NewRole{Name: "x", Visibility: access.SeesOwn, Permissions: []access.Permission{access.RecordingListen}})
			return err
		}},
		"create wider": {"they see a branch only", func() error {
			_, err := f.Create(f.ctx, desk, access.NewRole{Name: "x", Visibility: access.SeesOrganization})
			return err
		}},
		"raise a role": {"SALES may not get what they lack", func() error {
			_, err := f.Update(f.ctx, desk, f.roles[access.Sales].ID, access.RoleChange{
				Permissions: patch.To([]access.Permission{access.CallReceive, access.AuditView})})
			return err
		}},
		"weaken a role above": {"the administrators' role is above theirs", func() error {
			_, err := f.Update(f.ctx, desk, f.roles[access.Admin].ID, access.RoleChange{Permissions: patch.To(desk.Permissions.List())})
			return err
		}},
		"without USER_MANAGE": {"roles are the administrators' (R252)", func() error {
			_, err := f.Create(f.ctx, f.actor(access.Dispatcher), access.NewRole{Name: "x", Visibility: access.SeesOwn})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.do(); errs.CodeOf(err) != errs.Forbidden {
				t.Errorf("%s: %v", tc.why, err)
			}
		})
	}
}

func TestTheAdministratorsAreNeverLockedOut(t *testing.T) {
	t.Parallel()
	f := open(t)
	admin := f.roles[access.Admin].ID
	without := func(drop access.Permission) patch.Field[[]access.Permission] {
		return patch.To(slices.DeleteFunc(slices.Clone(access.All), func(p access.Permission) bool { return p == drop }))
	}
	for _, p := range []access.Permission{access.UserManage, access.SettingsManage, access.APIKeyManage} {
		if _, err := f.Update(f.ctx, f.admin, admin, access.RoleChange{Permissions: without(p)}); errs.CodeOf(err) != errs.Conflict {
			t.Errorf("the administrators lost %s: %v", p, err)
		}
	}
	if _, err := f.Update(f.ctx, f.admin, admin, access.RoleChange{Visibility: patch.To(access.SeesOwn)}); errs.CodeOf(err) != errs.Conflict {
		t.Errorf("the administrators lost sight: %v", err)
	}
	// R236: calls may be switched off for any role, and on again.
	r, err := f.Update(f.ctx, f.admin, admin, access.RoleChange{Permissions: without(access.CallReceive)})
	if err != nil {
		t.Fatal(err)
	}
	weaker := f.admin
	weaker.Permissions = access.SetOf(r.Permissions...)
	if r, err = f.Update(f.ctx, weaker, admin, access.RoleChange{Permissions: patch.To(access.All)}); err != nil || !r.Allows(access.CallReceive) {
		t.Errorf("the administrators cannot have CALL_RECEIVE back: %v", err)
	}
}

func TestARoleIsRefusedWhen(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, tc := range map[string]struct {
		why  string
		have access.NewRole
		want errs.Code
	}{
		"no name":            {"people choose it by name", access.NewRole{Visibility: access.SeesOwn}, errs.Required},
		"name is taken":      {"people choose it by name", access.NewRole{Name: "Office", Visibility: access.SeesOwn}, errs.Taken},
		"unknown permission": {"a typing error must not pass", access.NewRole{Name: "x", Visibility: access.SeesOwn, Permissions: []access.Permission{"FLY"}}, errs.Invalid},
		"unknown visibility": {"a typing error must not pass", access.NewRole{Name: "x", Visibility: "ALL"}, errs.Invalid},
		"no visibility":      {"silence must not mean everything", access.NewRole{Name: "x"}, errs.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := f.Create(f.ctx, f.admin, tc.have); errs.CodeOf(err) != tc.want {
				t.Errorf("%s: %v", tc.why, err)
			}
		})
	}
}
