package number

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
)

// Branch is a business location (R021).
type Branch struct {
	bun.BaseModel `bun:"table:branch,alias:branch"`

	OrganizationID id.ID     `bun:"organization_id,pk,type:uuid"`
	ID             id.ID     `bun:"id,pk,type:uuid"`
	Name           string    `bun:"name"`
	TimeZone       *string   `bun:"time_zone"`
	CreatedAt      time.Time `bun:"created_at"`
	UpdatedAt      time.Time `bun:"updated_at"`
}

// BranchCreate is a new branch.
type BranchCreate struct {
	Name     string
	TimeZone *string
	UserIDs  []id.ID
}

// BranchUpdate is a change: absent keeps, null clears.
type BranchUpdate struct {
	Name     patch.Field[string]
	TimeZone patch.Field[string]
	UserIDs  patch.Field[[]id.ID]
}

const branchColumns = `b.organization_id, b.id, b.name, b.time_zone, b.created_at, b.updated_at`

var errNoBranch = errs.New(errs.NotFound, "there is no such branch, or you may not see it")

// CreateBranch adds a branch and its people. Codes: errs.Forbidden,
// errs.Required, errs.Invalid, errs.Taken, errs.NotFound for a user.
func (s *Service) CreateBranch(ctx context.Context, who access.Actor, in BranchCreate) (_ *Branch, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	b := &Branch{OrganizationID: who.OrganizationID, ID: id.New(id.Branch)}
	if b.Name, err = checkText(in.Name, maxName, "name"); err != nil {
		return nil, err
	}
	if in.TimeZone != nil && *in.TimeZone != "" {
		if err := checkZone(*in.TimeZone); err != nil {
			return nil, err
		}
		b.TimeZone = in.TimeZone
	}
	users, err := checkIDs(in.UserIDs, id.User, maxBranchers, "userIds")
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		b.CreatedAt, b.UpdatedAt = tx.Now, tx.Now
		if _, err := tx.NewInsert().Model(b).Exec(ctx); err != nil {
			return err
		}
		if err := setPeople(ctx, tx, who, b.ID, users); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "branch.create", b.ID, map[string]any{"name": b.Name})
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// UpdateBranch changes a branch. Codes: those of CreateBranch, errs.NotFound.
func (s *Service) UpdateBranch(ctx context.Context, who access.Actor, branch id.ID, in BranchUpdate) (b *Branch, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	users, err := checkIDs(in.UserIDs.Value, id.User, maxBranchers, "userIds")
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if b, err = branchByID(ctx, tx, who.OrganizationID, branch, " FOR UPDATE"); err != nil {
			return err
		}
		if in.Name.Set {
			if b.Name, err = checkText(in.Name.Value, maxName, "name"); err != nil {
				return err
			}
		}
		if in.TimeZone.Has() {
			if err := checkZone(in.TimeZone.Value); err != nil {
				return err
			}
		}
		in.TimeZone.ApplyPtr(&b.TimeZone)
		b.UpdatedAt = tx.Now
		if _, err := tx.NewUpdate().Model(b).WherePK().Exec(ctx); err != nil {
			return err
		}
		if in.UserIDs.Set {
			if err := setPeople(ctx, tx, who, b.ID, users); err != nil {
				return err
			}
		}
		return told(ctx, tx, who, "", "branch.update", b.ID, map[string]any{"name": b.Name})
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// DeleteBranch deletes a branch that no connected number is assigned to. Its
// calls and messages stay. Codes: errs.Forbidden, errs.NotFound, errs.Conflict
// naming a number, a menu that leads to it, or its deletion rules.
func (s *Service) DeleteBranch(ctx context.Context, who access.Actor, branch id.ID) error {
	if err := who.Require(access.NumberManage); err != nil {
		return err
	}
	return s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if _, err := branchByID(ctx, tx, who.OrganizationID, branch, " FOR UPDATE"); err != nil {
			return err
		}
		var n struct {
			E164  phone.E164 `bun:"e164"`
			Name  string     `bun:"name"`
			Count int        `bun:"count"`
		}
		err := db.Select(ctx, tx, &n, `SELECT e164, name, count(*) OVER () AS count FROM phone_number
			WHERE organization_id = $1 AND branch_id = $2 AND disconnected_at IS NULL ORDER BY id LIMIT 1`, who.OrganizationID, branch)
		switch {
		case err == nil && n.Count > 1:
			return errs.New(errs.Conflict, "%d numbers are assigned to this branch, among them %s (%s); give them another branch first", n.Count, n.E164, n.Name)
		case err == nil:
			return errs.New(errs.Conflict, "number %s (%s) is assigned to this branch; give it another branch first", n.E164, n.Name)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		if err := noMenuLeadsTo(ctx, tx, who.OrganizationID, "branch", branch); err != nil {
			return err
		}
		_, err = db.Exec(ctx, tx, `UPDATE phone_number SET branch_id = NULL, updated_at = $3 WHERE organization_id = $1 AND branch_id = $2`,
			who.OrganizationID, branch, tx.Now)
		if err != nil {
			return err
		}
		if err := setPeople(ctx, tx, who, branch, nil); err != nil {
			return err
		}
		if _, err := db.Exec(ctx, tx, `DELETE FROM branch WHERE organization_id = $1 AND id = $2`, who.OrganizationID, branch); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "branch.delete", branch, nil)
	})
}

type member struct {
	User   id.ID `bun:"user_id"`
	Branch id.ID `bun:"branch_id"`
}

// setPeople makes these all the people of a branch and says so of those who came
// or went: what they see depends on it.
func setPeople(ctx context.Context, tx *db.Tx, who access.Actor, branch id.ID, users []id.ID) error {
	return setMembers(ctx, tx, who, `
		WITH gone AS (
			DELETE FROM branch_user WHERE organization_id = $1 AND branch_id = $2 AND NOT user_id = ANY ($3::uuid[]) RETURNING user_id, branch_id
		), come AS (
			INSERT INTO branch_user (organization_id, branch_id, user_id, created_at) SELECT $1, $2, u, $4 FROM unnest($3::uuid[]) AS u
			ON CONFLICT DO NOTHING RETURNING user_id, branch_id
		) SELECT user_id, branch_id FROM gone UNION ALL SELECT user_id, branch_id FROM come`, who.OrganizationID, branch, users, tx.Now)
}

func setMembers(ctx context.Context, tx *db.Tx, who access.Actor, query string, args ...any) error {
	var changed []member
	if err := db.Select(ctx, tx, &changed, query, args...); err != nil {
		return err
	}
	var users []id.ID
	for _, m := range changed {
		if !slices.Contains(users, m.User) {
			users = append(users, m.User)
		}
	}
	events := make([]event.Event, len(users))
	for i, u := range users {
		events[i] = event.Event{OrganizationID: who.OrganizationID, Kind: userUpdated, Subject: u, ActorID: who.UserID}
	}
	return event.Append(ctx, tx, events...)
}

// SetForUser makes these all the branches of the user, in the transaction of
// package user, which tells of it. Codes: errs.Invalid, errs.NotFound.
func (s *Service) SetForUser(ctx context.Context, tx *db.Tx, user id.ID, branches []id.ID) error {
	branches, err := checkIDs(branches, id.Branch, maxBranchers, "branchIds")
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, tx, `
		WITH gone AS (
			DELETE FROM branch_user WHERE organization_id = $1 AND user_id = $2 AND NOT branch_id = ANY ($3::uuid[])
		) INSERT INTO branch_user (organization_id, branch_id, user_id, created_at) SELECT $1, b, $2, $4 FROM unnest($3::uuid[]) AS b
		ON CONFLICT DO NOTHING`, db.TenantFrom(ctx), user, branches, tx.Now)
	return err
}

// ForUsers are the branches of users of the context's tenant, in one statement.
func (s *Service) ForUsers(ctx context.Context, users []id.ID) (map[id.ID][]id.ID, error) {
	return s.members(ctx, `SELECT user_id, branch_id FROM branch_user WHERE organization_id = $1 AND user_id = ANY ($2::uuid[])
		ORDER BY branch_id`, users, func(m member) (id.ID, id.ID) { return m.User, m.Branch })
}

// UsersByBranches are the people of branches of the context's tenant, in one statement.
func (s *Service) UsersByBranches(ctx context.Context, branches []id.ID) (map[id.ID][]id.ID, error) {
	return s.members(ctx, `SELECT user_id, branch_id FROM branch_user WHERE organization_id = $1 AND branch_id = ANY ($2::uuid[])
		ORDER BY user_id`, branches, func(m member) (id.ID, id.ID) { return m.Branch, m.User })
}

func (s *Service) members(ctx context.Context, query string, ids []id.ID, pair func(member) (of, to id.ID)) (map[id.ID][]id.ID, error) {
	var rows []member
	if err := db.Select(ctx, s.db.App(), &rows, query, db.TenantFrom(ctx), ids); err != nil {
		return nil, err
	}
	out := make(map[id.ID][]id.ID, len(ids))
	for _, m := range rows {
		of, to := pair(m)
		out[of] = append(out[of], to)
	}
	return out, nil
}

func branchByID(ctx context.Context, q bun.IDB, org, branch id.ID, suffix string) (*Branch, error) {
	b := &Branch{}
	err := db.Select(ctx, q, b, `SELECT `+branchColumns+` FROM branch b WHERE b.organization_id = $1 AND b.id = $2`+suffix, org, branch)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoBranch
	}
	return b, err
}

// Branch is one branch, else errs.NotFound.
func (s *Service) Branch(ctx context.Context, who access.Actor, branch id.ID) (*Branch, error) {
	if !who.Known() {
		return nil, errNoBranch
	}
	return branchByID(db.WithTenant(ctx, who.OrganizationID), s.db.App(), who.OrganizationID, branch, "")
}

// Branches is a page of the organization's branches, newest first.
func (s *Service) Branches(ctx context.Context, who access.Actor, p db.Page) (w db.Window[*Branch], err error) {
	if err := known(who); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []*Branch
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, `SELECT `+branchColumns+` FROM branch b
		WHERE b.organization_id = $1 AND b.id < $2 ORDER BY b.id DESC LIMIT $3`, who.OrganizationID, after.ID, limit+1)
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(b *Branch) db.Keyset { return db.Keyset{At: b.CreatedAt, ID: b.ID} }), nil
}

// BranchesByIDs are branches of the context's tenant by id, in one statement.
func (s *Service) BranchesByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Branch, error) {
	var rows []*Branch
	err := db.Select(ctx, s.db.App(), &rows, `SELECT `+branchColumns+` FROM branch b WHERE b.organization_id = $1 AND b.id = ANY ($2::uuid[])`,
		db.TenantFrom(ctx), ids)
	out := make(map[id.ID]*Branch, len(rows))
	for _, b := range rows {
		out[b.ID] = b
	}
	return out, err
}
