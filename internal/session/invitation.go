package session

import (
	"context"

	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

// UserUpdated is the kind of the event that follows every change of a user; its
// subject is the user's id.
const UserUpdated event.Kind = "USER_UPDATED"

// Invite makes an invitation for a user of the context's tenant in the caller's
// transaction. Earlier ones of the user end.
func (s *Service) Invite(ctx context.Context, tx *db.Tx, user id.ID) (_ Invitation, err error) {
	defer errs.Wrap(&err, "session.Invite(%s)", user)
	token, hash, err := random(invitationPrefix)
	if err != nil {
		return Invitation{}, err
	}
	org, expires := db.TenantFrom(ctx), tx.Now.Add(invitationLife)
	if err := endInvitations(ctx, tx, org, user, tx.Now); err != nil {
		return Invitation{}, err
	}
	if err := insertInvitation(ctx, tx, org, id.New(id.Invitation), user, hash, expires, tx.Now); err != nil {
		return Invitation{}, err
	}
	return Invitation{Token: token, ExpiresAt: expires}, nil
}

// HasAccepted reports whether the user ever took up an invitation.
func (s *Service) HasAccepted(ctx context.Context, tx *db.Tx, user id.ID) (bool, error) {
	return hasAccepted(ctx, tx, db.TenantFrom(ctx), user)
}

// EnsureLogin gives the login of a canonical e-mail, making it if there is none.
func (s *Service) EnsureLogin(ctx context.Context, tx *db.Tx, email string) (id.ID, error) {
	return ensureLogin(ctx, tx, id.New(id.Login), email, tx.Now)
}

// Acceptance is an invitation taken up.
type Acceptance struct {
	Token    string
	Password string // a new one, or the present one of a login that has one
	Name     string // empty: as invited
}

var errInvitation = errs.New(errs.WrongCredentials,
	"the invitation is not valid any more, or the password is not the one this e-mail signs in with")

// Accept takes up an invitation and signs in. A used, expired or unknown token,
// a disabled user and a wrong password get the same errs.WrongCredentials. An
// invitation works once.
func (s *Service) Accept(ctx context.Context, in Acceptance) (_ *Session, err error) {
	defer errs.Wrap(&err, "session.Accept")
	if err := checkPassword(in.Password, "password"); err != nil {
		return nil, err
	}
	name, err := personName(in.Name)
	if err != nil {
		return nil, err
	}
	if wait, ok := s.limits.ip.take(clientOf(ctx).ip, s.clk.Now()); !ok {
		return nil, limited(wait)
	}
	if len(in.Token) > maxToken {
		in.Token = ""
	}
	hash := digest(in.Token)
	found, err := findInvitation(ctx, s.d.DB.App(), hash)
	if err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, found.OrganizationID)
	inv, err := openInvitation(ctx, s.d.DB.App(), found.OrganizationID, found.ID, s.clk.Now())
	if err != nil {
		return nil, err
	}
	if inv == nil {
		return nil, errInvitation
	}
	if err := s.limits.attempt(ctx, inv.Email, s.clk.Now()); err != nil {
		return nil, err
	}
	login, err := findLogin(ctx, s.d.DB.App(), inv.Email)
	if err != nil {
		return nil, err
	}
	var fresh string
	if login.PasswordHash == "" {
		fresh, err = s.hasher.hash(ctx, in.Password)
	} else {
		var right bool
		if right, err = s.hasher.verify(ctx, in.Password, login.PasswordHash); err == nil && !right {
			err = errInvitation
		}
	}
	if err != nil {
		return nil, err
	}
	s.limits.right(ctx, inv.Email)

	var out *Session
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := lockLogin(ctx, tx, login.ID, true); err != nil {
			return err
		}
		if now, err := findLogin(ctx, tx, inv.Email); err != nil {
			return err
		} else if now != login {
			return errInvitation // another invitation of this login was faster
		}
		if ok, err := activate(ctx, tx, found.OrganizationID, inv.UserID, name, tx.Now); err != nil {
			return err
		} else if !ok {
			return errInvitation
		}
		if ok, err := useInvitation(ctx, tx, found.OrganizationID, found.ID, tx.Now); err != nil {
			return err
		} else if !ok {
			return errInvitation
		}
		if fresh != "" {
			if err := setPassword(ctx, tx, login.ID, fresh, tx.Now); err != nil {
				return err
			}
		}
		if err := event.Append(ctx, tx, event.Event{Kind: UserUpdated, Subject: inv.UserID, ActorID: inv.UserID}); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Entry{ActorID: inv.UserID, Action: "invitation.accept", Subject: inv.UserID}); err != nil {
			return err
		}
		out, err = s.open(ctx, tx, found.OrganizationID, inv.UserID, login.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
