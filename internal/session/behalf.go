package session

import (
	"context"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Behalf tells what a user, or an API key, may do now, for work that goes on after
// they have signed out. One that is disabled or revoked gets errs.Unauthenticated.
// The actor has no session: what they may do may have changed since they began it.
func (s *Service) Behalf(ctx context.Context, org, principal id.ID) (a access.Actor, err error) {
	defer errs.Wrap(&err, "session.Behalf")
	if principal.Kind() == id.APIKey {
		return s.Resume(ctx, org, principal)
	}
	a = access.Actor{OrganizationID: org, UserID: principal}
	var permissions []access.Permission
	found := false
	batch := &pgx.Batch{}
	batch.Queue(`SELECT u.login_id, u.role_id, r.permissions, r.visibility, u.is_fieldworker, u.fieldworker_switched,
			ARRAY(SELECT m.branch_id FROM branch_user m WHERE m.organization_id = $1 AND m.user_id = u.id ORDER BY m.branch_id)
		FROM "user" u
		JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE u.organization_id = $1 AND u.id = $2 AND u.status = 'ACTIVE'`, org, principal).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			found = true
			if err := rows.Scan(&a.LoginID, &a.RoleID, &permissions, &a.Visibility, &a.IsFieldworker, &a.Switched, &a.BranchIDs); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err := s.d.DB.Batch(db.WithTenant(ctx, org), org, batch); err != nil {
		return access.Actor{}, err
	}
	if !found {
		return access.Actor{}, errToken
	}
	a.Permissions = access.SetOf(permissions...)
	return a, nil
}
