package user

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// Get gives one person. Everybody in the organization may; e-mail and phones are
// for those of MayReadPrivate.
func (s *Service) Get(ctx context.Context, who access.Actor, user id.ID) (_ *User, err error) {
	defer errs.Wrap(&err, "user.Get(%s)", user)
	if !who.Known() {
		return nil, who.Require("")
	}
	return byID(ctx, s.d.DB.App(), who.OrganizationID, user)
}

// ByIDs gives the people that exist, in no order, for the loaders.
func (s *Service) ByIDs(ctx context.Context, ids []id.ID) ([]*User, error) {
	return byIDs(ctx, s.d.DB.App(), db.TenantFrom(ctx), ids)
}

// Filter says which people. Its zero value is all of them.
type Filter struct {
	Status   Status
	BranchID id.ID
	RoleID   id.ID
}

// List gives the people of the organization, newest first.
func (s *Service) List(ctx context.Context, who access.Actor, f Filter, page db.Page) (_ db.Window[*User], err error) {
	defer errs.Wrap(&err, "user.List")
	if !who.Known() {
		return db.Window[*User]{}, who.Require("")
	}
	limit, after, err := page.Keyset()
	if err != nil {
		return db.Window[*User]{}, err
	}
	rows, err := list(ctx, s.d.DB.App(), who.OrganizationID, f, after, limit+1)
	if err != nil {
		return db.Window[*User]{}, err
	}
	return db.NewWindow(rows, limit, func(u *User) db.Keyset { return db.Keyset{At: u.CreatedAt, ID: u.ID} }), nil
}

// Count is how many people List would give in all.
func (s *Service) Count(ctx context.Context, who access.Actor, f Filter) (n int, err error) {
	defer errs.Wrap(&err, "user.Count")
	if !who.Known() {
		return 0, who.Require("")
	}
	return count(ctx, s.d.DB.App(), who.OrganizationID, f)
}

// PhonesByUsers gives people's phones, primary first.
func (s *Service) PhonesByUsers(ctx context.Context, users []id.ID) (map[id.ID][]*Phone, error) {
	rows, err := phonesOf(ctx, s.d.DB.App(), db.TenantFrom(ctx), users)
	if err != nil {
		return nil, err
	}
	out := map[id.ID][]*Phone{}
	for _, p := range rows {
		out[p.UserID] = append(out[p.UserID], p)
	}
	return out, nil
}

// DndLinesByUsers gives the lines on which people are not to be disturbed (R072).
func (s *Service) DndLinesByUsers(ctx context.Context, users []id.ID) (map[id.ID][]id.ID, error) {
	rows, err := linesOf(ctx, s.d.DB.App(), db.TenantFrom(ctx), users)
	if err != nil {
		return nil, err
	}
	out := map[id.ID][]id.ID{}
	for _, l := range rows {
		out[l.UserID] = append(out[l.UserID], l.PhoneNumberID)
	}
	return out, nil
}

// Acting is a person as they may act now, where no session says so; errs.NotFound
// when there is none, errs.Forbidden for who is switched off.
func Acting(ctx context.Context, tx *db.Tx, user id.ID) (access.Actor, error) {
	a := access.Actor{OrganizationID: db.TenantFrom(ctx), UserID: user}
	var permissions []access.Permission
	var active bool
	err := tx.Pgx().QueryRow(ctx, `SELECT u.login_id, u.role_id, r.permissions, r.visibility, u.is_fieldworker, u.fieldworker_switched, u.status = 'ACTIVE',
			ARRAY(SELECT m.branch_id FROM branch_user m WHERE m.organization_id = $1 AND m.user_id = u.id ORDER BY m.branch_id)
		FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE u.organization_id = $1 AND u.id = $2`, a.OrganizationID, user).
		Scan(&a.LoginID, &a.RoleID, &permissions, &a.Visibility, &a.IsFieldworker, &a.Switched, &active, &a.BranchIDs)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return access.Actor{}, errNoUser
	case err != nil:
		return access.Actor{}, db.Translate(err)
	case !active:
		return access.Actor{}, errs.New(errs.Forbidden, "this person is not an active user")
	}
	a.Permissions = access.SetOf(permissions...)
	return a, nil
}

// Ringable is what routing needs to know of a person, to ring them or to say why not.
type Ringable struct {
	UserID            id.ID
	Name              string
	Status            Status
	MayReceive        bool // the role has CALL_RECEIVE (R237)
	IsFieldworker     bool
	DoNotDisturb      bool
	DoNotDisturbLines []id.ID
	DeviceIDs         []id.ID    // not removed; most recently seen first
	PrimaryPhone      phone.E164 // empty: none
	SIPAddress        string     // empty: none
}

// Ringable reads people for routing in one statement, in the order they are
// asked for. Who does not exist in the context's tenant is left out.
func (s *Service) Ringable(ctx context.Context, tx *db.Tx, users []id.ID) ([]Ringable, error) {
	return readRingable(ctx, tx, `FROM unnest($2::uuid[]) WITH ORDINALITY AS w (id, n) JOIN "user" u ON u.organization_id = $1 AND u.id = w.id`,
		`ORDER BY w.n`, users)
}

// GeneralFieldworkers reads the shared cover of R024 for routing, oldest first.
func (s *Service) GeneralFieldworkers(ctx context.Context, tx *db.Tx) ([]Ringable, error) {
	return readRingable(ctx, tx, `FROM "user" u`, `WHERE u.organization_id = $1 AND u.is_general_fieldworker ORDER BY u.id LIMIT 50`)
}

func readRingable(ctx context.Context, tx *db.Tx, from, which string, args ...any) ([]Ringable, error) {
	query := `SELECT u.id, u.name, u.status, 'CALL_RECEIVE' = ANY (r.permissions), u.is_fieldworker, u.do_not_disturb,
		ARRAY(SELECT l.phone_number_id FROM user_line_dnd l WHERE l.organization_id = $1 AND l.user_id = u.id ORDER BY l.phone_number_id),
		ARRAY(SELECT d.id FROM device d WHERE d.organization_id = $1 AND d.user_id = u.id AND d.removed_at IS NULL ORDER BY d.last_seen_at DESC, d.id DESC),
		coalesce((SELECT p.e164 FROM user_phone p WHERE p.organization_id = $1 AND p.user_id = u.id AND p.is_primary), ''),
		coalesce(u.sip_address, '') ` + from + ` JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id ` + which
	rows, err := tx.Pgx().Query(ctx, query, append([]any{pgx.QueryExecModeCacheStatement, db.TenantFrom(ctx)}, args...)...)
	if err != nil {
		return nil, db.Translate(err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Ringable, err error) {
		err = row.Scan(&r.UserID, &r.Name, &r.Status, &r.MayReceive, &r.IsFieldworker, &r.DoNotDisturb, &r.DoNotDisturbLines,
			&r.DeviceIDs, &r.PrimaryPhone, &r.SIPAddress)
		return r, err
	})
	return out, db.Translate(err)
}
