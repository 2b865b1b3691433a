package session

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Resume tells who a session or API key speaks for now, for what was signed on
// its behalf earlier. One that has ended gets errs.Unauthenticated.
func (s *Service) Resume(ctx context.Context, org, credential id.ID) (_ access.Actor, err error) {
	defer errs.Wrap(&err, "session.Resume")
	ctx = db.WithTenant(ctx, org)
	var a access.Actor
	var ok bool
	if credential.Kind() == id.APIKey {
		var key struct {
			Hash []byte `bun:"hash"`
		}
		err = db.Select(ctx, s.d.DB.App(), &key, `SELECT hash FROM api_key WHERE organization_id = $1 AND id = $2`, org, credential)
		if err == nil {
			a, _, ok, err = loadKeyActor(ctx, s.d.DB, org, key.Hash)
		}
	} else {
		var user id.ID
		if user, err = sessionOwner(ctx, s.d.DB.App(), org, credential); err == nil {
			a, ok, err = loadActor(ctx, s.d.DB, bearer{org: org, user: user, session: credential}, s.clk.Now())
		}
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return access.Actor{}, errToken
	case err != nil:
		return access.Actor{}, err
	case !ok:
		return access.Actor{}, errToken
	}
	return a, nil
}

// ActorOf tells what a user or an API key may do now, for work that goes on after
// whoever asked for it has gone. One that is disabled or revoked gets
// errs.Unauthenticated.
func (s *Service) ActorOf(ctx context.Context, org, principal id.ID) (_ access.Actor, err error) {
	defer errs.Wrap(&err, "session.ActorOf")
	if principal.Kind() == id.APIKey {
		return s.Resume(ctx, org, principal)
	}
	a := access.Actor{OrganizationID: org}
	var permissions []access.Permission
	found := false
	batch := &pgx.Batch{}
	batch.Queue(`SELECT u.id, u.login_id, u.role_id, r.permissions, r.visibility, u.is_fieldworker, u.fieldworker_switched,
			ARRAY(SELECT m.branch_id FROM branch_user m WHERE m.organization_id = $1 AND m.user_id = u.id ORDER BY m.branch_id)
		FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE u.organization_id = $1 AND u.id = $2 AND u.status = 'ACTIVE'`, org, principal).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			found = true
			if err := rows.Scan(&a.UserID, &a.LoginID, &a.RoleID, &permissions, &a.Visibility, &a.IsFieldworker, &a.Switched, &a.BranchIDs); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err := s.d.DB.Batch(ctx, org, batch); err != nil {
		return access.Actor{}, err
	}
	if !found {
		return access.Actor{}, errs.New(errs.Unauthenticated, "whoever asked for this is no active user any more")
	}
	a.Permissions = access.SetOf(permissions...)
	return a, nil
}
