package session

import (
	"context"
	"crypto/subtle"
	"errors"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/secret"
)

// Deps are what sessions need.
type Deps struct {
	DB   *db.DB
	Keys *secret.Keyring
}

// Service signs people and machines in.
type Service struct {
	d       Deps
	clk     clock.Clock
	hasher  *hasher
	limits  *limits
	minter  *minter
	live    *Registry
	keyOrgs *lru.Cache[[32]byte, id.ID] // of API keys; a key never moves
}

// New makes a Service. Its Registry is started by whoever serves live sockets.
func New(d Deps) (*Service, error) {
	h, err := newHasher()
	if err != nil {
		return nil, err
	}
	orgs, err := lru.New[[32]byte, id.ID](4096)
	if err != nil {
		return nil, err
	}
	clk := d.DB.Clock()
	return &Service{d: d, clk: clk, hasher: h, limits: newLimits(), minter: newMinter(d.Keys, clk),
		live: newRegistry(d.DB), keyOrgs: orgs}, nil
}

// Live is the sessions and keys with live sockets.
func (s *Service) Live() *Registry { return s.live }

// Why a session ended.
const (
	SignedOut       = "SIGNED_OUT"
	PasswordChanged = "PASSWORD_CHANGED"
	UserDisabled    = "USER_DISABLED"
	RefreshReused   = "REFRESH_REUSED"
)

var errSignIn = errs.New(errs.WrongCredentials, "the e-mail or the password is not right")

// SignIn is what a person signs in with.
type SignIn struct {
	Email        string
	Password     string
	Organization id.ID // needed only by a login with several
}

// SignIn gives a session. An unknown e-mail, a wrong password and a disabled
// user get the same errs.WrongCredentials after the same time. A login with
// several organizations that names none gets errs.Required, after its password
// was right. Guessing gets errs.RateLimited.
func (s *Service) SignIn(ctx context.Context, in SignIn) (_ *Session, err error) {
	defer errs.Wrap(&err, "session.SignIn")
	email, emailErr := CanonicalEmail(in.Email)
	if emailErr != nil {
		email = "-" // no e-mail: it takes the same way and finds nobody
	}
	if err := s.limits.attempt(ctx, email, s.clk.Now()); err != nil {
		return nil, err
	}
	// Every statement runs whatever the first one finds.
	login, err := findLogin(ctx, s.d.DB.App(), email)
	if err != nil {
		return nil, err
	}
	members, err := memberships(ctx, s.d.DB.App(), login.ID)
	if err != nil {
		return nil, err
	}
	defer func() {
		if errors.Is(err, errSignIn) {
			if failed := s.refused(ctx, login.ID); failed != nil {
				err = failed
			}
		}
	}()
	right, err := s.hasher.verify(ctx, in.Password, login.PasswordHash)
	if err != nil {
		return nil, err
	}
	if !right {
		return nil, errSignIn
	}
	m, err := choose(members, in.Organization)
	if err == nil || errs.IsCode(err, errs.Required) {
		s.limits.right(ctx, email)
	}
	if err != nil {
		return nil, err
	}
	var out *Session
	err = s.d.DB.InTx(db.WithTenant(ctx, m.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if err := sameLogin(ctx, tx, email, login); err != nil {
			return err
		}
		out, err = s.open(ctx, tx, m.OrganizationID, m.UserID, login.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// choose picks the membership to sign in to.
func choose(members []membership, org id.ID) (membership, error) {
	var usable []membership
	for _, m := range members {
		if m.Status == "ACTIVE" && (org.IsZero() || m.OrganizationID == org) {
			usable = append(usable, m)
		}
	}
	switch len(usable) {
	case 0:
		return membership{}, errSignIn
	case 1:
		return usable[0], nil
	}
	names := make([]string, len(usable))
	for i, m := range usable {
		names[i] = m.OrganizationID.String()
	}
	return membership{}, errs.New(errs.Required, "you belong to several organizations; name one of %s", strings.Join(names, ", ")).At("organization")
}

// sameLogin refuses a password that was changed since it was verified. Whoever
// changes it waits for this transaction and then ends the session it made.
func sameLogin(ctx context.Context, tx *db.Tx, email string, verified login) error {
	if err := lockLogin(ctx, tx, verified.ID, false); err != nil {
		return err
	}
	now, err := findLogin(ctx, tx, email)
	if err != nil {
		return err
	}
	if now != verified {
		return errSignIn
	}
	return nil
}

// open writes a session of an active user and makes its tokens.
func (s *Service) open(ctx context.Context, tx *db.Tx, org, user, login id.ID) (*Session, error) {
	if ok, err := holdActive(ctx, tx, org, user); err != nil {
		return nil, err
	} else if !ok {
		return nil, errSignIn
	}
	sid := id.New(id.Session)
	refresh, hash, err := s.minter.refresh(org, sid)
	if err != nil {
		return nil, err
	}
	err = insertSession(ctx, tx, row{OrganizationID: org, ID: sid, UserID: user, LoginID: login, RefreshHash: hash,
		UserAgent: clientOf(ctx).agent, ExpiresAt: tx.Now.Add(refreshLife), RefreshedAt: tx.Now, CreatedAt: tx.Now})
	if err != nil {
		return nil, err
	}
	if err := audit.Write(ctx, tx, audit.Entry{ActorID: user, Action: "session.create", Subject: sid}); err != nil {
		return nil, err
	}
	return s.tokens(bearer{org: org, user: user, session: sid}, refresh, tx.Now)
}

func (s *Service) tokens(b bearer, refresh string, now time.Time) (*Session, error) {
	b.expires = now.Add(accessLife).Truncate(time.Second) // what the token can say
	access, err := s.minter.access(b, now)
	if err != nil {
		return nil, err
	}
	return &Session{ID: b.session, AccessToken: access, RefreshToken: refresh, ExpiresAt: b.expires, UserID: b.user}, nil
}

var errRefresh = errs.New(errs.WrongCredentials, "the refresh token is not valid, or not any more; sign in again")

// Refresh trades the newest refresh token of a session for a new pair. Any
// older token of the session ends it: somebody else has a copy.
func (s *Service) Refresh(ctx context.Context, token string) (_ *Session, err error) {
	defer errs.Wrap(&err, "session.Refresh")
	if wait, ok := s.limits.refresh.take(clientOf(ctx).ip, s.clk.Now()); !ok {
		return nil, limited(wait)
	}
	org, sid, ok := s.minter.readRefresh(token)
	if !ok {
		return nil, errRefresh
	}
	var out *Session
	err = s.d.DB.InTx(db.WithTenant(ctx, org), func(ctx context.Context, tx *db.Tx) error {
		r, err := lockSession(ctx, tx, org, sid)
		if err != nil || r == nil {
			return err
		}
		if subtle.ConstantTimeCompare(r.RefreshHash, digest(token)) != 1 {
			return s.end(ctx, tx, id.ID{}, sid, RefreshReused) // committed: the refusal comes after
		}
		refresh, hash, err := s.minter.refresh(org, sid)
		if err != nil {
			return err
		}
		if err := rotate(ctx, tx, org, sid, hash, tx.Now, tx.Now.Add(refreshLife)); err != nil {
			return err
		}
		out, err = s.tokens(bearer{org: org, user: r.UserID, session: sid}, refresh, tx.Now)
		return err
	})
	if err == nil && out == nil {
		err = errRefresh
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// end ends one session and closes its sockets when that is committed.
func (s *Service) end(ctx context.Context, tx *db.Tx, by, sid id.ID, reason string) error {
	ended, err := endSession(ctx, tx, db.TenantFrom(ctx), sid, reason, tx.Now)
	if err != nil || !ended {
		return err
	}
	tx.AfterCommit(func() { s.live.end(sid) })
	return audit.Write(ctx, tx, audit.Entry{ActorID: by, Action: "session.end", Subject: sid, Detail: map[string]any{"reason": reason}})
}

// End signs out: the actor's own session when sid is zero, else another of
// theirs. It is idempotent; anybody else's session is an errs.NotFound.
func (s *Service) End(ctx context.Context, who access.Actor, sid id.ID) (_ id.ID, err error) {
	defer errs.Wrap(&err, "session.End(%s)", sid)
	if !who.Known() {
		return id.ID{}, who.Require("")
	}
	if sid.IsZero() {
		sid = who.SessionID
	}
	notFound := errs.New(errs.NotFound, "you have no such session")
	if who.UserID.IsZero() || sid.IsZero() {
		return id.ID{}, notFound
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		owner, err := sessionOwner(ctx, tx, who.OrganizationID, sid)
		if err != nil {
			return err
		}
		if owner != who.UserID {
			return notFound
		}
		return s.end(ctx, tx, who.UserID, sid, SignedOut)
	})
	if err != nil {
		return id.ID{}, err
	}
	return sid, nil
}

// EndOfUser ends every session of a user in the caller's transaction; their sockets,
// and those of the API keys they made, close when it has committed.
func (s *Service) EndOfUser(ctx context.Context, tx *db.Tx, user id.ID, reason string) (int, error) {
	ended, err := endUserSessions(ctx, tx, db.TenantFrom(ctx), user, reason, tx.Now)
	if err != nil {
		return 0, err
	}
	keys, err := keysOf(ctx, tx, db.TenantFrom(ctx), user)
	if err != nil {
		return 0, err
	}
	tx.AfterCommit(func() { s.live.end(append(ended, keys...)...) })
	return len(ended), nil
}

// PasswordChange sets the actor's own password and ends every other session of
// their login, in every organization. It returns how many. A wrong present
// password is an errs.WrongCredentials and counts as a guess.
func (s *Service) PasswordChange(ctx context.Context, who access.Actor, current, next string) (n int, err error) {
	defer errs.Wrap(&err, "session.PasswordChange")
	if !who.Known() {
		return 0, who.Require("")
	}
	if who.UserID.IsZero() {
		return 0, errs.New(errs.Forbidden, "an API key has no password; sign in as a person")
	}
	if err := checkPassword(next, "newPassword"); err != nil {
		return 0, err
	}
	email, err := emailOf(ctx, s.d.DB.App(), who.OrganizationID, who.UserID)
	if err != nil {
		return 0, err
	}
	if err := s.limits.attempt(ctx, email, s.clk.Now()); err != nil {
		return 0, err
	}
	wrong := errs.New(errs.WrongCredentials, "this is not your present password").At("currentPassword")
	login, err := findLogin(ctx, s.d.DB.App(), email)
	if err != nil {
		return 0, err
	}
	if right, err := s.hasher.verify(ctx, current, login.PasswordHash); err != nil {
		return 0, err
	} else if !right {
		return 0, wrong
	}
	s.limits.right(ctx, email)
	hash, err := s.hasher.hash(ctx, next)
	if err != nil {
		return 0, err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := lockLogin(ctx, tx, login.ID, true); err != nil {
			return err
		}
		if now, err := findLogin(ctx, tx, email); err != nil {
			return err
		} else if now != login {
			return wrong // somebody was faster
		}
		if err := setPassword(ctx, tx, login.ID, hash, tx.Now); err != nil {
			return err
		}
		ended, err := endLoginSessions(ctx, tx, login.ID, who.SessionID, PasswordChanged, tx.Now)
		if err != nil {
			return err
		}
		n = len(ended)
		tx.AfterCommit(func() { s.live.end(ended...) })
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.UserID, Action: "password.change", Subject: who.UserID,
			Detail: map[string]any{"endedSessions": n}})
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// IssueFor gives a session without a password. It is for the operator at the
// machine, never for a client. The organization is needed only by a login with
// several.
func (s *Service) IssueFor(ctx context.Context, email string, org id.ID) (_ *Session, err error) {
	defer errs.Wrap(&err, "session.IssueFor")
	if email, err = CanonicalEmail(email); err != nil {
		return nil, err
	}
	login, err := findLogin(ctx, s.d.DB.App(), email)
	if err != nil {
		return nil, err
	}
	members, err := memberships(ctx, s.d.DB.App(), login.ID)
	if err != nil {
		return nil, err
	}
	m, err := choose(members, org)
	if errors.Is(err, errSignIn) {
		return nil, errs.New(errs.NotFound, "nobody who may sign in has this e-mail; an invitation must be accepted first")
	}
	if err != nil {
		return nil, err
	}
	var out *Session
	err = s.d.DB.InTx(db.WithTenant(ctx, m.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		out, err = s.open(ctx, tx, m.OrganizationID, m.UserID, login.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Opens reports whether an e-mail signs in with a password: an operator makes sure
// that one that everybody knows does not. It is never for a client.
func (s *Service) Opens(ctx context.Context, email, password string) (_ bool, err error) {
	defer errs.Wrap(&err, "session.Opens")
	if email, err = CanonicalEmail(email); err != nil {
		return false, err
	}
	login, err := findLogin(ctx, s.d.DB.App(), email)
	if err != nil || login.PasswordHash == "" {
		return false, err
	}
	return s.hasher.verify(ctx, password, login.PasswordHash)
}

// Trim drops what ended long ago. A sweep calls it.
func (s *Service) Trim(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "session.Trim")
	return trim(ctx, s.d.DB.Worker(), now.Add(-90*24*time.Hour))
}
