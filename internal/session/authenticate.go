package session

import (
	"context"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Authenticate tells who sends a bearer token: an access token or an API key. It
// returns when the token ends, the zero time for an API key. What the bearer may
// do is as of now: an ended session, a disabled user and a revoked key get
// errs.Unauthenticated like any token that was never valid.
func (s *Service) Authenticate(ctx context.Context, token string) (_ access.Actor, expires time.Time, err error) {
	defer errs.Wrap(&err, "session.Authenticate")
	if len(token) > maxToken {
		return access.Actor{}, time.Time{}, errToken
	}
	if strings.HasPrefix(token, apiKeyPrefix) {
		a, err := s.authenticateKey(ctx, token)
		return a, time.Time{}, err
	}
	b, ok := s.minter.read(token)
	if !ok {
		return access.Actor{}, time.Time{}, errToken
	}
	a, ok, err := loadActor(ctx, s.d.DB, b, s.clk.Now())
	if err != nil {
		return access.Actor{}, time.Time{}, err
	}
	if !ok {
		return access.Actor{}, time.Time{}, errToken
	}
	return a, b.expires, nil
}

func (s *Service) authenticateKey(ctx context.Context, token string) (access.Actor, error) {
	hash := digest(token)
	org, known := s.keyOrgs.Get([32]byte(hash))
	if !known {
		var err error
		if org, err = findKey(ctx, s.d.DB.App(), hash); err != nil {
			return access.Actor{}, err
		}
		if org.IsZero() {
			return access.Actor{}, errToken
		}
		s.keyOrgs.Add([32]byte(hash), org)
	}
	a, used, ok, err := loadKeyActor(ctx, s.d.DB, org, hash)
	if err != nil {
		return access.Actor{}, err
	}
	if !ok {
		return access.Actor{}, errToken
	}
	minute := s.clk.Now().Truncate(time.Minute)
	if used == nil || used.Before(minute) {
		// Nice to know, and no reason to refuse: another request writes it.
		_ = touchKey(ctx, s.d.DB, org, a.APIKeyID, minute)
	}
	return a, nil
}

// principal is what a live socket hangs on: the session or the API key.
func principal(a access.Actor) id.ID {
	if a.SessionID.IsZero() {
		return a.APIKeyID
	}
	return a.SessionID
}
