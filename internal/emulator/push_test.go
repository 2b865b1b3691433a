package emulator_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twilio/twilio-go/client/jwt"
	notify "github.com/twilio/twilio-go/rest/notify/v1"

	"switchboard/internal/emulator"
)

func (s *sdk) push(typ string) string {
	s.Helper()
	p := (&notify.CreateCredentialParams{}).SetType(typ).SetFriendlyName(typ + " production")
	if typ == "apn" {
		p.SetCertificate("-----BEGIN CERTIFICATE-----").SetPrivateKey("-----BEGIN PRIVATE KEY-----")
	} else {
		p.SetSecret("server key")
	}
	c, err := s.tw.NotifyV1.CreateCredential(p)
	s.must(err)
	return *c.Sid
}

func TestMobileRegistersByPush(t *testing.T) {
	t.Parallel()
	s := newSDK(t)
	apn, fcm := s.push("apn"), s.push("fcm")
	for name, tc := range map[string]struct {
		why, platform, token, push string
		code                       int
	}{
		"iPhone":               {"", "ios", "abc", apn, 0},
		"Android":              {"", "android", "abc", fcm, 0},
		"Android with APN":     {"each platform has its credential", "android", "abc", apn, 52003},
		"iPhone with FCM":      {"", "ios", "abc", fcm, 52003},
		"no credential":        {"", "ios", "abc", "", 52004},
		"another account's":    {"", "ios", "abc", "CR" + strings.Repeat("0", 32), 52002},
		"running app":          {"without a push token no credential is needed", "ios", "", "", 0},
		"browser with a token": {"", "web", "abc", apn, 31106},
	} {
		token := s.token("u", time.Hour, func(_ *jwt.AccessTokenParams, g *jwt.VoiceGrant) { g.PushCredentialSid = tc.push })
		_, err := s.e.RegisterDevice(emulator.Device{Token: token, Platform: tc.platform, PushToken: tc.token})
		var refused *emulator.TokenError
		if got := errors.As(err, &refused); got != (tc.code != 0) || got && refused.Code != tc.code {
			t.Errorf("%s: %v, want %d (%s)", name, err, tc.code, tc.why)
		}
	}
}

func TestPushWakesAMobileWhoseAppIsClosed(t *testing.T) {
	t.Parallel()
	s := newSDK(t)
	apn := s.push("apn")
	s.answer("/voice", `<Response><Dial timeout="20" action="/done"><Client>u</Client></Dial></Response>`)
	s.answer("/done", `<Response/>`)
	token := s.token("u", time.Hour, func(_ *jwt.AccessTokenParams, g *jwt.VoiceGrant) { g.PushCredentialSid = apn })
	_, err := s.e.RegisterDevice(emulator.Device{Token: token})
	s.must(err)
	s.e.CloseApp(accountSID, "u")
	sid := s.call(mobile, office)
	if len(s.e.Ringing("client:u")) != 0 {
		t.Error("a closed page rings")
	}
	s.must(s.e.HangUp(sid))
	for range 2 { // the same device twice is one
		_, err = s.e.RegisterDevice(emulator.Device{Token: token, Platform: "ios", PushToken: "device-1"})
		s.must(err)
	}
	s.e.CloseApp(accountSID, "u")
	if got := s.e.Clients(accountSID)["u"]; got != 1 {
		t.Errorf("%d registrations", got)
	}
	sid = s.call(mobile, office)
	if len(s.e.Ringing("client:u")) != 1 {
		t.Error("a mobile that registered by push must ring")
	}
	s.must(s.e.HangUp(sid))
	s.quiet()
	s.must(s.tw.NotifyV1.DeleteCredential(apn))
	s.call(mobile, office)
	if codes := s.codes(); len(s.e.Ringing("client:u")) != 0 || len(codes) != 1 || codes[0] != 52002 {
		t.Errorf("without its credential it sleeps; debugger %v", codes)
	}
}

func TestIdentitiesHaveAForm(t *testing.T) {
	t.Parallel()
	s := newSDK(t)
	for identity, fine := range map[string]bool{"t7_u42": true, "ann.lee@acme": true, strings.Repeat("x", 256): true, strings.Repeat("x", 257): false,
		"an\tn": false, "a#b": false, "a[b": false, "a\x7fb": false} {
		if _, err := s.e.RegisterToken(s.token(identity, time.Hour, nil)); (err == nil) != fine {
			t.Errorf("identity %.20q: %v", identity, err)
		}
	}
}

func TestKeysPressedOnOneLegAreHeardOnTheOther(t *testing.T) {
	t.Parallel()
	s := newSDK(t)
	s.answer("/app", `<Response><Dial callerId="`+office+`"><Number>`+second+`</Number></Dial></Response>`)
	sid, err := s.e.Connect(s.token("u", time.Hour, nil), nil)
	s.must(err)
	s.idle()
	other := s.pickUp(second)
	s.must(s.e.Press(sid, "12#"))
	if c, _ := s.e.Call(other); c.Keys != "12#" {
		t.Errorf("the other end heard %q", c.Keys)
	}
}

func TestMutedMicrophoneIsNotRecorded(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Record timeout="3" action="/taken"/></Response>`)
	s.answer("/taken", `<Response/>`)
	sid := s.call(mobile, office)
	s.must(s.e.Mute(sid, true))
	s.must(s.e.Speak(sid, 5*time.Second))
	s.advance(10 * time.Second)
	if len(s.sent("/taken")) != 0 {
		t.Error("a muted party was recorded")
	}
}
