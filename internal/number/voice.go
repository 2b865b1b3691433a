package number

import (
	"context"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// voiceTokenLife is how long an access token of the Voice SDK works; apps take a
// new one before.
const voiceTokenLife = time.Hour

// VoiceToken is an access token with which a device registers at one Twilio account.
type VoiceToken struct {
	Token          string
	Identity       string // the device's id (T03)
	ConnectionName string
	ExpiresAt      time.Time
}

// VoiceTokens makes the access tokens with which a device of the context's tenant
// registers at Twilio: one for every account that is connected, because an account
// rings the devices that registered with it and no others (R007). The account of
// the default number comes first. The token of a mobile device names what wakes it,
// where the account has that for its platform; else the app rings only while it is
// open. Codes: errs.Invalid, errs.Conflict when no account is connected.
func (s *Service) VoiceTokens(ctx context.Context, device, user id.ID, platform string) ([]*VoiceToken, error) {
	if device.Kind() != id.Device || user.Kind() != id.User {
		return nil, errs.New(errs.Invalid, "a token is made for a device of a user")
	}
	org := db.TenantFrom(ctx)
	var connections []*struct {
		Connection
		PushSid string `bun:"push_sid"`
	}
	err := db.Select(ctx, s.db.App(), &connections, `SELECT `+connectionColumns+`, COALESCE(p.twilio_sid, '') AS push_sid FROM twilio_connection c
		LEFT JOIN push_credential p ON p.organization_id = c.organization_id AND p.connection_id = c.id AND p.platform = $2
		LEFT JOIN phone_number n ON n.organization_id = c.organization_id AND n.connection_id = c.id AND n.is_default
		WHERE c.organization_id = $1 AND c.disconnected_at IS NULL AND c.is_enabled AND c.api_key_sid IS NOT NULL AND c.application_sid IS NOT NULL
		ORDER BY n.id IS NULL, c.id`, org, platform)
	if err != nil {
		return nil, err
	}
	if len(connections) == 0 {
		return nil, errs.New(errs.Conflict, "no Twilio account is connected; an administrator connects one first")
	}
	now := s.clock.Now()
	out := make([]*VoiceToken, len(connections))
	for i, c := range connections {
		secrets, err := s.unseal(ctx, s.db.App(), org, c.ID)
		if err != nil {
			return nil, err
		}
		token, err := twilio.VoiceToken(twilio.Grant{
			AccountSID: c.AccountSid, KeySID: *c.APIKeySid, KeySecret: secrets[apiKeySecret], AppSID: *c.ApplicationSid,
			Identity: device.String(), TTL: voiceTokenLife, Incoming: true, Now: now,
			PushCredentialSID: c.PushSid,
		})
		if err != nil {
			return nil, err
		}
		out[i] = &VoiceToken{Token: token, Identity: device.String(), ConnectionName: c.Name, ExpiresAt: now.Add(voiceTokenLife)}
	}
	return out, nil
}
