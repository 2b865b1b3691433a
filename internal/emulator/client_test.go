package emulator_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twilio/twilio-go/client/jwt"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

// sdk is an account with an API key and a TwiML App, as the Voice SDK needs them.
type sdk struct {
	*stage
	key, secret, app string
}

func newSDK(t *testing.T) *sdk {
	s := &sdk{stage: newStage(t, emulator.Options{})}
	k, err := s.tw.Api.CreateNewKey(nil)
	s.must(err)
	p, err := s.tw.Api.CreateApplication((&api.CreateApplicationParams{}).SetVoiceUrl(s.hooks.URL + "/app").SetStatusCallback(s.hooks.URL + "/appstatus"))
	s.must(err)
	s.key, s.secret, s.app = *k.Sid, *k.Secret, *p.Sid
	return s
}

// token mints an access token with Twilio's own library.
func (s *sdk) token(identity string, life time.Duration, change func(*jwt.AccessTokenParams, *jwt.VoiceGrant)) string {
	s.Helper()
	g := &jwt.VoiceGrant{Incoming: jwt.Incoming{Allow: true}, Outgoing: jwt.Outgoing{ApplicationSid: s.app}}
	now := s.clock.Now()
	p := jwt.AccessTokenParams{AccountSid: accountSID, SigningKeySid: s.key, Secret: s.secret, Identity: identity,
		Nbf: float64(now.Unix()), ValidUntil: float64(now.Add(life).Unix()), Grants: []jwt.BaseGrant{g}}
	if change != nil {
		change(&p, g)
	}
	t := jwt.CreateAccessToken(p)
	out, err := t.ToJwt()
	s.must(err)
	return out
}

func TestDeviceRegistersWithAToken(t *testing.T) {
	t.Parallel()
	s := newSDK(t)
	id, err := s.e.RegisterToken(s.token("t7_u42", time.Hour, nil))
	s.must(err)
	if id != "t7_u42" || s.e.Clients(accountSID)[id] != 1 {
		t.Errorf("registered %q: %v", id, s.e.Clients(accountSID))
	}
	for range 12 {
		_, err = s.e.RegisterToken(s.token("t7_u42", 24*time.Hour, nil))
		s.must(err)
	}
	if got := s.e.Clients(accountSID)[id]; got != 10 {
		t.Errorf("%d registrations, ten at most", got)
	}
	s.e.UnregisterClient(accountSID, id)
	if len(s.e.Clients(accountSID)) != 0 {
		t.Error("still registered")
	}
}

func TestTokensAreValidated(t *testing.T) {
	t.Parallel()
	s := newSDK(t)
	good := s.token("u", time.Hour, nil)
	for name, tc := range map[string]struct {
		why, token string
		code       int
	}{
		"nonsense":       {"", "a.b.c", 20101},
		"expired":        {"", s.token("u", -time.Minute, nil), 20104},
		"24 h and 1 s":   {"Twilio's limit", s.token("u", 24*time.Hour+time.Second, nil), 31207},
		"wrong secret":   {"", s.token("u", time.Hour, func(p *jwt.AccessTokenParams, _ *jwt.VoiceGrant) { p.Secret = "wrong" }), 31202},
		"unknown key":    {"", s.token("u", time.Hour, func(p *jwt.AccessTokenParams, _ *jwt.VoiceGrant) { p.SigningKeySid = "SKx" }), 20101},
		"other account":  {"", s.token("u", time.Hour, func(p *jwt.AccessTokenParams, _ *jwt.VoiceGrant) { p.AccountSid = "ACx" }), 31203},
		"bad identity":   {"", s.token("an n", time.Hour, nil), 31105},
		"no voice grant": {"", s.token("u", time.Hour, func(p *jwt.AccessTokenParams, _ *jwt.VoiceGrant) { p.Grants = nil }), 31201},
		"no incoming":    {"it may only call out", s.token("u", time.Hour, func(_ *jwt.AccessTokenParams, g *jwt.VoiceGrant) { g.Incoming.Allow = false }), 31201},
		"tampered":       {"", good[:len(good)-4] + "AAAA", 31202},
	} {
		_, err := s.e.RegisterToken(tc.token)
		var refused *emulator.TokenError
		if !errors.As(err, &refused) || refused.Code != tc.code {
			t.Errorf("%s: %v, want %d (%s)", name, err, tc.code, tc.why)
		}
	}
	status, out := s.control("clients", map[string]string{"token": "a.b.c"})
	if status != 422 || out["code"] != 20101.0 {
		t.Errorf("by control: %d %v", status, out)
	}
}

func TestDeviceCallsThroughItsApplication(t *testing.T) {
	t.Parallel()
	s := newSDK(t)
	s.answer("/app", `<Response><Dial callerId="`+office+`"><Number>`+second+`</Number></Dial></Response>`)
	sid, err := s.e.Connect(s.token("t7_u42", time.Hour, nil), map[string]string{"To": second, "call": "C1", "From": "client:somebody_else", "CallSid": "CAx"})
	s.must(err)
	s.idle()
	f := s.last("/app")
	for k, v := range map[string]string{"From": "client:t7_u42", "To": second, "call": "C1", "CallSid": sid, "Direction": "inbound", "CallStatus": "ringing"} {
		if f.Get(k) != v {
			t.Errorf("%s is %q, want %q", k, f.Get(k), v)
		}
	}
	if ring := s.e.Ringing(second); len(ring) != 1 || ring[0].From != office {
		t.Errorf("ringing %+v", ring)
	}
	s.must(s.e.HangUp(sid))
	s.idle()
	if got := s.last("/appstatus").Get("CallStatus"); got != "completed" {
		t.Errorf("the application's status callback: %s", got)
	}
	s.quiet()
}

func TestDeviceNeedsACallerIDOfTheAccount(t *testing.T) {
	t.Parallel()
	s := newSDK(t)
	s.answer("/app", `<Response><Dial><Number>`+second+`</Number></Dial></Response>`)
	_, err := s.e.Connect(s.token("u", time.Hour, nil), map[string]string{"To": second})
	s.must(err)
	s.idle()
	if codes := s.codes(); len(codes) != 1 || codes[0] != 13214 {
		t.Errorf("debugger %v", codes)
	}
	_, err = s.e.Connect(s.token("u", time.Hour, func(_ *jwt.AccessTokenParams, g *jwt.VoiceGrant) {
		g.Outgoing.ApplicationSid = "AP" + strings.Repeat("0", 32)
	}), nil)
	var refused *emulator.TokenError
	if !errors.As(err, &refused) || refused.Code != 31001 {
		t.Errorf("unknown application: %v", err)
	}
}
