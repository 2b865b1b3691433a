package access

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

// BuiltInRole is one of the roles that every organization starts with.
type BuiltInRole string

// The built-in roles.
const (
	Admin       BuiltInRole = "ADMIN"
	Dispatcher  BuiltInRole = "DISPATCHER"
	Office      BuiltInRole = "OFFICE"
	Sales       BuiltInRole = "SALES"
	Fieldworker BuiltInRole = "FIELDWORKER"
)

// Role is the master gate (R234): what its people may do and how far they see.
type Role struct {
	bun.BaseModel `bun:"table:role,alias:role"`

	OrganizationID id.ID        `bun:"organization_id,pk,type:uuid"`
	ID             id.ID        `bun:"id,pk,type:uuid"`
	Name           string       `bun:"name"`
	BuiltIn        *BuiltInRole `bun:"built_in"` // nil for a custom role
	Permissions    []Permission `bun:"permissions,array"`
	Visibility     Visibility   `bun:"visibility"`
	CreatedAt      time.Time    `bun:"created_at"`
	UpdatedAt      time.Time    `bun:"updated_at"`
}

// Is reports whether the role is the built-in one.
func (r *Role) Is(b BuiltInRole) bool { return r.BuiltIn != nil && *r.BuiltIn == b }

// Allows reports whether the role has the permission.
func (r *Role) Allows(p Permission) bool { return slices.Contains(r.Permissions, p) }

// kept are the permissions that the role ADMIN never loses, nor its view of the
// whole organization: somebody must be able to give everything else back.
var kept = []Permission{
	SettingsManage, UserManage, NumberManage, ConnectionManage, APIKeyManage, SchemaIntrospect, AuditView,
}

// builtIn is what a new organization starts with.
var builtIn = []Role{
	{Name: "Admin", BuiltIn: word(Admin), Visibility: SeesOrganization, Permissions: All},
	{Name: "Dispatcher", BuiltIn: word(Dispatcher), Visibility: SeesOrganization, Permissions: []Permission{
		CallReceive, CallMake, CallView, CallControl, CallTransfer, CallInternal, CallMonitor, LiveView, SMSSend, SMSView, SMSBulk, SMSSendInvoice, RecordingListen,
		VoicemailListen, TranscriptView, TranscriptEdit, FollowUpView, FollowUpManage, ContactView, ContactEdit, ContactImport, RecordEventAdd, ReportView, RouteExplain, TemplateManage,
	}},
	{Name: "Office", BuiltIn: word(Office), Visibility: SeesBranch, Permissions: []Permission{
		CallReceive, CallMake, CallView, CallTransfer, CallInternal, SMSSend, SMSView, SMSSendInvoice, VoicemailListen, FollowUpView, FollowUpManage, ContactView, ContactEdit, RecordEventAdd,
	}},
	{Name: "Sales", BuiltIn: word(Sales), Visibility: SeesBranch, Permissions: []Permission{
		CallReceive, CallMake, CallView, CallTransfer, CallInternal, SMSSend, SMSView, SMSSendInvoice, VoicemailListen, FollowUpView, ContactView, ContactEdit, RecordEventAdd,
	}},
	{Name: "Fieldworker", BuiltIn: word(Fieldworker), Visibility: SeesOwn, Permissions: []Permission{
		CallReceive, CallMake, CallView, CallTransfer, CallInternal, SMSSend, SMSView, FollowUpView, ContactView, RecordEventAdd,
	}},
}

// BuiltIn is what a new organization's role of that word is.
func BuiltIn(b BuiltInRole) Role {
	i := slices.IndexFunc(builtIn, func(r Role) bool { return r.Is(b) })
	r := builtIn[i]
	r.Permissions = slices.Clone(r.Permissions)
	return r
}

func word(b BuiltInRole) *BuiltInRole { return &b }

const (
	maxRoles    = 100
	maxRoleName = 60
)

// Deps are what roles need.
type Deps struct {
	DB *db.DB
	// Changed is told of each role whose permissions or visibility changed, after
	// the commit, so that live sockets of its people end. It may be nil.
	Changed func(role id.ID)
}

// Service is the roles of an organization.
type Service struct{ d Deps }

// New makes a Service.
func New(d Deps) *Service { return &Service{d} }

// CreateBuiltIn writes the built-in roles of a new organization, the context's
// tenant, and returns them by their words.
func CreateBuiltIn(ctx context.Context, tx *db.Tx) (_ map[BuiltInRole]*Role, err error) {
	defer errs.Wrap(&err, "access.CreateBuiltIn")
	out := map[BuiltInRole]*Role{}
	for _, r := range builtIn {
		r.OrganizationID, r.ID = db.TenantFrom(ctx), id.New(id.Role)
		r.CreatedAt, r.UpdatedAt = tx.Now, tx.Now
		if err := insertRole(ctx, tx, &r); err != nil {
			return nil, err
		}
		out[*r.BuiltIn] = &r
	}
	return out, nil
}

// List gives every role of the organization, built-in ones first.
func (s *Service) List(ctx context.Context, who Actor) (_ []*Role, err error) {
	defer errs.Wrap(&err, "access.List")
	if err := who.known(); err != nil {
		return nil, err
	}
	return listRoles(ctx, s.d.DB.App(), who.OrganizationID)
}

// Get gives one role; errs.NotFound when there is none.
func (s *Service) Get(ctx context.Context, who Actor, role id.ID) (_ *Role, err error) {
	defer errs.Wrap(&err, "access.Get(%s)", role)
	if err := who.known(); err != nil {
		return nil, err
	}
	return RoleByID(ctx, s.d.DB.App(), role)
}

// ByIDs gives the roles that exist, in no order.
func (s *Service) ByIDs(ctx context.Context, ids []id.ID) ([]*Role, error) {
	return rolesByIDs(ctx, s.d.DB.App(), ids)
}

// NewRole is what a custom role is made from.
type NewRole struct {
	Name        string
	Permissions []Permission
	Visibility  Visibility
}

// Create makes a custom role. Nobody gives away more than they have: that is an
// errs.Forbidden. It needs USER_MANAGE.
func (s *Service) Create(ctx context.Context, who Actor, in NewRole) (_ *Role, err error) {
	defer errs.Wrap(&err, "access.Create")
	if err := who.Require(UserManage); err != nil {
		return nil, err
	}
	r := &Role{OrganizationID: who.OrganizationID, ID: id.New(id.Role), Visibility: in.Visibility}
	if r.Name, err = roleName(in.Name); err != nil {
		return nil, err
	}
	if r.Permissions, err = permissions(in.Permissions); err != nil {
		return nil, err
	}
	if err := checkVisibility(r.Visibility); err != nil {
		return nil, err
	}
	if err := who.Within(r.Permissions, r.Visibility); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		r.CreatedAt, r.UpdatedAt = tx.Now, tx.Now
		if n, err := countRoles(ctx, tx, who.OrganizationID); err != nil {
			return err
		} else if n >= maxRoles {
			return errs.New(errs.LimitReached, "an organization has %d roles at most", maxRoles)
		}
		if err := insertRole(ctx, tx, r); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "role.create", Subject: r.ID,
			Detail: map[string]any{"name": r.Name, "permissions": r.Permissions, "visibility": r.Visibility}})
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// RoleChange is what changes about a role.
type RoleChange struct {
	Name        patch.Field[string]
	Permissions patch.Field[[]Permission] // all of them
	Visibility  patch.Field[Visibility]
}

// Update changes a role. It needs USER_MANAGE, and the role must lie within the
// actor's own before and after. The role ADMIN keeps what administration needs;
// its people may switch its other permissions (R236), also back on.
func (s *Service) Update(ctx context.Context, who Actor, role id.ID, in RoleChange) (r *Role, err error) {
	defer errs.Wrap(&err, "access.Update(%s)", role)
	if err := who.Require(UserManage); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if r, err = lockRole(ctx, tx, who.OrganizationID, role); err != nil {
			return err
		}
		before := *r
		if err := r.apply(in); err != nil {
			return err
		}
		if !(r.Is(Admin) && who.RoleID == r.ID) {
			if err := who.Within(before.Permissions, before.Visibility); err != nil {
				return err
			}
			if err := who.Within(r.Permissions, r.Visibility); err != nil {
				return err
			}
		}
		if err := r.neverLockedOut(); err != nil {
			return err
		}
		r.UpdatedAt = tx.Now
		if err := updateRole(ctx, tx, r); err != nil {
			return err
		}
		if s.d.Changed != nil && (r.Visibility != before.Visibility || !slices.Equal(r.Permissions, before.Permissions)) {
			tx.AfterCommit(func() { s.d.Changed(role) })
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "role.update", Subject: r.ID, Detail: map[string]any{
			"name": r.Name, "permissions": r.Permissions, "visibility": r.Visibility,
			"permissionsBefore": before.Permissions, "visibilityBefore": before.Visibility}})
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Role) apply(in RoleChange) (err error) {
	if in.Name.Set {
		if r.Name, err = roleName(in.Name.Value); err != nil {
			return err
		}
	}
	if in.Permissions.Set {
		if r.Permissions, err = permissions(in.Permissions.Value); err != nil {
			return err
		}
	}
	if in.Visibility.Set {
		r.Visibility = in.Visibility.Value
		return checkVisibility(r.Visibility)
	}
	return nil
}

// neverLockedOut keeps the role ADMIN able to administer.
func (r *Role) neverLockedOut() error {
	if !r.Is(Admin) {
		return nil
	}
	for _, p := range kept {
		if !r.Allows(p) {
			return errs.New(errs.Conflict, "the role %s keeps the permission %s, or nobody could give it back", r.Name, p).At("permissions")
		}
	}
	if r.Visibility != SeesOrganization {
		return errs.New(errs.Conflict, "the role %s keeps seeing the whole organization", r.Name).At("visibility")
	}
	return nil
}

// ID is who acts, for records: the user, else the API key, else the zero ID.
func (a Actor) ID() id.ID {
	if a.UserID.IsZero() {
		return a.APIKeyID
	}
	return a.UserID
}

func (a Actor) known() error {
	if !a.Known() {
		return a.Require("")
	}
	return nil
}

func roleName(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", errs.New(errs.Required, "a role needs a name").At("name")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }):
		return "", errs.New(errs.Invalid, "the name holds characters that cannot be shown").At("name")
	case utf8.RuneCountInString(s) > maxRoleName:
		return "", errs.New(errs.Invalid, "the name has more than %d characters", maxRoleName).At("name")
	}
	return s, nil
}

// permissions puts them in the order of All, each once.
func permissions(list []Permission) ([]Permission, error) {
	for _, p := range list {
		if !slices.Contains(All, p) {
			return nil, errs.New(errs.Invalid, "%q is no permission", cut(string(p))).At("permissions")
		}
	}
	return SetOf(list...).List(), nil
}

func checkVisibility(v Visibility) error {
	if v != SeesOrganization && v != SeesBranch && v != SeesOwn {
		return errs.New(errs.Invalid, "%q is no visibility; choose ORGANIZATION, BRANCH or OWN", cut(string(v))).At("visibility")
	}
	return nil
}

func cut(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
