package followup

import (
	"context"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// person is somebody who may be told: what they may do now, and how they like it.
type person struct {
	access.Actor
	Email  string
	Shows  bool // call notifications (R076)
	Silent bool // R077
}

// people are those of the users who may sign in, with what they may do now.
func people(ctx context.Context, tx *db.Tx, org id.ID, users []id.ID) (map[id.ID]*person, error) {
	out := map[id.ID]*person{}
	if len(users) == 0 {
		return out, nil
	}
	rows, err := tx.Pgx().Query(ctx, `SELECT u.id, u.login_id, u.role_id, r.permissions, r.visibility, u.is_fieldworker, u.fieldworker_switched,
			ARRAY(SELECT m.branch_id FROM branch_user m WHERE m.organization_id = u.organization_id AND m.user_id = u.id ORDER BY m.branch_id),
			u.email, u.display_notifications, u.silent_notifications
		FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE u.organization_id = $1 AND u.id = ANY ($2::uuid[]) AND u.status = 'ACTIVE'`, org, users)
	if err != nil {
		return nil, db.Translate(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*person, error) {
		p := &person{Actor: access.Actor{OrganizationID: org}}
		var permissions []access.Permission
		err := row.Scan(&p.UserID, &p.LoginID, &p.RoleID, &permissions, &p.Visibility, &p.IsFieldworker, &p.Switched, &p.BranchIDs, &p.Email, &p.Shows, &p.Silent)
		p.Permissions = access.SetOf(permissions...)
		return p, err
	})
	for _, p := range all {
		out[p.UserID] = p
	}
	return out, db.Translate(err)
}

// mayWork refuses somebody who cannot be given a follow-up.
func (s *Service) mayWork(ctx context.Context, tx *db.Tx, org, user id.ID, field string) error {
	all, err := people(ctx, tx, org, []id.ID{user})
	switch p := all[user]; {
	case err != nil:
		return err
	case p == nil:
		return errs.New(errs.NotFound, "there is no such user, or they are not active; choose one of your organization").At(field)
	case !p.Can(access.FollowUpView):
		return errs.New(errs.Invalid, "this person's role lacks the permission %s; choose somebody else", access.FollowUpView).At(field)
	}
	return nil
}

// group are the people who are asked when nobody in particular is: those of the
// branch, or, where there is none, those who see the whole organization.
func group(ctx context.Context, tx *db.Tx, org, branch id.ID) ([]id.ID, error) {
	query := `SELECT u.id FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE u.organization_id = $1 AND u.status = 'ACTIVE' AND r.visibility = 'ORGANIZATION' ORDER BY u.id LIMIT $2`
	args := []any{org, maxTold}
	if !branch.IsZero() {
		query = `SELECT u.id FROM branch_user b JOIN "user" u ON u.organization_id = b.organization_id AND u.id = b.user_id
			WHERE b.organization_id = $1 AND b.branch_id = $3 AND u.status = 'ACTIVE' ORDER BY u.id LIMIT $2`
		args = append(args, branch)
	}
	rows, err := tx.Pgx().Query(ctx, query, args...)
	if err != nil {
		return nil, db.Translate(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	return out, db.Translate(err)
}
