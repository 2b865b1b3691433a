package session

import (
	"context"
	"database/sql"
	"errors"

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
