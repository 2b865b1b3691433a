package twilio

import (
	"crypto/rand"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"switchboard/internal/errs"
)

// MaxTokenTTL is the longest life that Twilio allows an access token (31207).
const MaxTokenTTL = 24 * time.Hour

// Grant says what an app may do with its access token.
type Grant struct {
	AccountSID        string
	KeySID, KeySecret string // a standard API key of that account
	Identity          string // letters, digits and _, as all SDKs take it
	AppSID            string // the TwiML App that calls of the app go to; "" forbids calling out
	PushCredentialSID string // per platform; "" for browsers
	TTL               time.Duration
	Incoming          bool // may register and be called
	Now               time.Time
}

// VoiceToken makes an access token of the Voice SDKs. Codes: errs.Invalid.
func VoiceToken(g Grant) (string, error) {
	for _, c := range []struct {
		kind  SIDKind
		value string
		must  bool
	}{{AccountSID, g.AccountSID, true}, {KeySID, g.KeySID, true}, {ApplicationSID, g.AppSID, false}, {PushCredentialSID, g.PushCredentialSID, false}} {
		if !c.must && c.value == "" {
			continue
		}
		if err := CheckSID(c.kind, c.value); err != nil {
			return "", err
		}
	}
	switch {
	case g.KeySecret == "":
		return "", errs.New(errs.Required, "the API key has no secret")
	case !goodIdentity(g.Identity):
		return "", errs.New(errs.Invalid, "a client identity is 1 to 121 letters, digits and underscores")
	case g.TTL < time.Minute || g.TTL > MaxTokenTTL:
		return "", errs.New(errs.Invalid, "an access token lives between a minute and 24 hours")
	case g.Now.IsZero():
		return "", errs.New(errs.Invalid, "the time of an access token is missing")
	}
	voice := map[string]any{}
	if g.Incoming {
		voice["incoming"] = map[string]any{"allow": true}
	}
	if g.AppSID != "" {
		voice["outgoing"] = map[string]any{"application_sid": g.AppSID}
	}
	if g.PushCredentialSID != "" {
		voice["push_credential_sid"] = g.PushCredentialSID
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"jti": g.KeySID + "-" + rand.Text(), // twilio-go's is the second, which two tokens share
		"iss": g.KeySID, "sub": g.AccountSID, "nbf": g.Now.Unix(), "exp": g.Now.Add(g.TTL).Unix(),
		"grants": map[string]any{"identity": g.Identity, "voice": voice},
	})
	t.Header["cty"] = "twilio-fpa;v=1"
	return t.SignedString([]byte(g.KeySecret))
}

func goodIdentity(s string) bool {
	if s == "" || len(s) > 121 {
		return false
	}
	for _, c := range []byte(s) {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
