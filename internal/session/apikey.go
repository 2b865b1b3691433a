package session

import (
	"context"
	"strings"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

const (
	maxKeys    = 100 // that work, per organization
	hintLength = 8
	maxName    = 100
)

// NewKey is what an API key is made from.
type NewKey struct {
	Name   string
	RoleID id.ID
}

// CreateKey makes an API key whose role lies within the actor's own, and sheds no
// option of theirs, and returns its secret, which is not kept. It needs API_KEY_MANAGE and a person: a key
// that makes keys could never be got rid of.
func (s *Service) CreateKey(ctx context.Context, who access.Actor, in NewKey) (k *ApiKey, secret string, err error) {
	defer errs.Wrap(&err, "session.CreateKey")
	if err := who.Require(access.APIKeyManage); err != nil {
		return nil, "", err
	}
	if who.UserID.IsZero() {
		return nil, "", errs.New(errs.Forbidden, "an API key cannot make API keys; sign in as a person")
	}
	name, err := personName(in.Name)
	if err != nil {
		return nil, "", err
	}
	if name == "" {
		return nil, "", errs.New(errs.Required, "an API key needs a name that says what it is for").At("name")
	}
	secret, hash, err := random(apiKeyPrefix)
	if err != nil {
		return nil, "", err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		role, err := access.RoleByID(ctx, tx, in.RoleID)
		if errs.IsCode(err, errs.NotFound) {
			return errs.New(errs.NotFound, "there is no such role").At("roleId")
		}
		if err != nil {
			return err
		}
		if err := who.Lends(role); err != nil {
			return err
		}
		if n, err := countKeys(ctx, tx, who.OrganizationID); err != nil {
			return err
		} else if n >= maxKeys {
			return errs.New(errs.LimitReached, "an organization has %d working API keys at most; revoke one first", maxKeys)
		}
		k = &ApiKey{OrganizationID: who.OrganizationID, ID: id.New(id.APIKey), Name: name, RoleID: role.ID,
			Hint: secret[:hintLength], CreatedByID: who.UserID, CreatedAt: tx.Now}
		if err := insertKey(ctx, tx, k, hash); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.UserID, Action: "apiKey.create", Subject: k.ID,
			Detail: map[string]any{"name": name, "role": role.ID.String()}})
	})
	if err != nil {
		return nil, "", err
	}
	return k, secret, nil
}

// RevokeKey ends an API key and its sockets at once. It is idempotent and needs
// API_KEY_MANAGE.
func (s *Service) RevokeKey(ctx context.Context, who access.Actor, key id.ID) (k *ApiKey, err error) {
	defer errs.Wrap(&err, "session.RevokeKey(%s)", key)
	if err := who.Require(access.APIKeyManage); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if k, err = lockKey(ctx, tx, who.OrganizationID, key); err != nil {
			return err
		}
		if k.RevokedAt != nil {
			return nil
		}
		k.RevokedAt = &tx.Now
		if err := revokeKey(ctx, tx, who.OrganizationID, key, tx.Now); err != nil {
			return err
		}
		tx.AfterCommit(func() { s.live.end(key) })
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "apiKey.revoke", Subject: key})
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Keys lists the API keys, newest first, revoked ones too. It needs API_KEY_MANAGE.
func (s *Service) Keys(ctx context.Context, who access.Actor, page db.Page) (_ db.Window[*ApiKey], err error) {
	defer errs.Wrap(&err, "session.Keys")
	if err := who.Require(access.APIKeyManage); err != nil {
		return db.Window[*ApiKey]{}, err
	}
	limit, after, err := page.Keyset()
	if err != nil {
		return db.Window[*ApiKey]{}, err
	}
	rows, err := listKeys(ctx, s.d.DB.App(), who.OrganizationID, after, limit+1)
	if err != nil {
		return db.Window[*ApiKey]{}, err
	}
	return db.NewWindow(rows, limit, func(k *ApiKey) db.Keyset { return db.Keyset{At: k.CreatedAt, ID: k.ID} }), nil
}

// Key gives one API key to itself and to those with API_KEY_MANAGE.
func (s *Service) Key(ctx context.Context, who access.Actor, key id.ID) (_ *ApiKey, err error) {
	defer errs.Wrap(&err, "session.Key(%s)", key)
	if !who.Known() {
		return nil, who.Require("")
	}
	if !who.Can(access.APIKeyManage) && who.APIKeyID != key {
		return nil, errNoKey
	}
	return keyByID(ctx, s.d.DB.App(), who.OrganizationID, key)
}

// KeysByIDs gives the API keys that exist, in no order, for the loaders.
func (s *Service) KeysByIDs(ctx context.Context, ids []id.ID) ([]*ApiKey, error) {
	return keysByIDs(ctx, s.d.DB.App(), db.TenantFrom(ctx), ids)
}

var errNoKey = errs.New(errs.NotFound, "there is no such API key")

// personName trims a name that people read; empty stays empty.
func personName(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", errs.New(errs.Invalid, "the name holds characters that cannot be shown").At("name")
	case utf8.RuneCountInString(s) > maxName:
		return "", errs.New(errs.Invalid, "the name has more than %d characters", maxName).At("name")
	}
	return s, nil
}
