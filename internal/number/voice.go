package number

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// voiceTokenLife is how long an access token of the Voice SDK works; apps take a
// new one before.
const voiceTokenLife = time.Hour

// VoiceToken makes the access token with which a device of the context's tenant
// registers at Twilio. Its identity there is the device's id (T03). The account
// is the one of the default number, else the first that is connected: a device
// registers with one account. Codes: errs.Invalid, errs.Conflict when no account
// is connected.
func (s *Service) VoiceToken(ctx context.Context, device, user id.ID) (token, identity string, expires time.Time, err error) {
	if device.Kind() != id.Device || user.Kind() != id.User {
		return "", "", time.Time{}, errs.New(errs.Invalid, "a token is made for a device of a user")
	}
	org := db.TenantFrom(ctx)
	c := &Connection{}
	err = db.Select(ctx, s.db.App(), c, selectConnection+`
		LEFT JOIN phone_number n ON n.organization_id = c.organization_id AND n.connection_id = c.id AND n.is_default
		WHERE c.organization_id = $1 AND c.disconnected_at IS NULL AND c.is_enabled AND c.api_key_sid IS NOT NULL AND c.application_sid IS NOT NULL
		ORDER BY n.id IS NULL, c.id LIMIT 1`, org)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", time.Time{}, errs.New(errs.Conflict, "no Twilio account is connected; an administrator connects one first")
	}
	if err != nil {
		return "", "", time.Time{}, err
	}
	secrets, err := s.unseal(ctx, s.db.App(), org, c.ID)
	if err != nil {
		return "", "", time.Time{}, err
	}
	now := s.clock.Now()
	identity = device.String()
	token, err = twilio.VoiceToken(twilio.Grant{
		AccountSID: c.AccountSid, KeySID: *c.APIKeySid, KeySecret: secrets[apiKeySecret], AppSID: *c.ApplicationSid,
		Identity: identity, TTL: voiceTokenLife, Incoming: true, Now: now,
	})
	return token, identity, now.Add(voiceTokenLife), err
}
