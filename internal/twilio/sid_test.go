package twilio_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"switchboard/internal/errs"
	"switchboard/internal/twilio"
)

func TestWrongSIDIsExplained(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		why   string
		kind  twilio.SIDKind
		value string
		says  string // "" when it is right
	}{
		"account":            {why: "R002", kind: twilio.AccountSID, value: ac},
		"phone number":       {why: "R002", kind: twilio.PhoneNumberSID, value: pn},
		"upper-case hex":     {why: "the Console shows lower case, people do not", kind: twilio.PhoneNumberSID, value: "PN" + strings.ToUpper(hex32)},
		"media message":      {why: "MM is a message too", kind: twilio.MessageSID, value: "MM" + hex32},
		"messaging service":  {why: "R003", kind: twilio.PhoneNumberSID, value: mg, says: "MG… is the SID of a Messaging Service; the SID of a Phone Number begins with PN"},
		"account for number": {why: "R003", kind: twilio.PhoneNumberSID, value: ac, says: "AC… is the SID of an Account; the SID of a Phone Number begins with PN"},
		"unknown kind":       {why: "R003", kind: twilio.PhoneNumberSID, value: "QQ" + hex32, says: "QQ… is the SID of something else"},
		"cut service SID":    {why: "R003", kind: twilio.PhoneNumberSID, value: "MG0123", says: "MG… looks like the SID of a Messaging Service"},
		"empty":              {why: "required", kind: twilio.AccountSID, says: "enter the Account SID; it begins with AC"},
		"too short":          {why: "a character was lost", kind: twilio.AccountSID, value: ac[:33], says: "33 characters instead of 34"},
		"a phone number":     {why: "the field wants its SID", kind: twilio.PhoneNumberSID, value: "+61255501234", says: "this is a phone number, not its SID"},
		"an auth token":      {why: "fields were mixed up", kind: twilio.AccountSID, value: hex32, says: "looks like an auth token"},
		"a space":            {why: "copied with it", kind: twilio.AccountSID, value: ac + " ", says: "a space before or after"},
		"lower case":         {why: "the letters are capitals", kind: twilio.AccountSID, value: "ac" + hex32, says: "in capitals"},
		"no hex":             {why: "not a SID", kind: twilio.AccountSID, value: "AC" + strings.Repeat("z", 32), says: "an Account SID is AC followed by 32"},
		"path":               {why: "SIDs end up in URLs", kind: twilio.AccountSID, value: "AC/../" + hex32[:28], says: "an Account SID is AC followed by 32"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := twilio.CheckSID(c.kind, c.value)
			if c.says == "" {
				if err != nil {
					t.Fatalf("%s: %v", c.why, err)
				}
				return
			}
			code := errs.Invalid
			if c.value == "" {
				code = errs.Required
			}
			if !errs.IsCode(err, code) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%s: got %v; want %q", c.why, err, c.says)
			}
			if len(c.value) > 20 && strings.Contains(err.Error(), c.value) {
				t.Fatal("the message repeats the value, which may be a secret")
			}
		})
	}
}

func TestVoiceTokenIsAsTwilioReadsIt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	g := twilio.Grant{AccountSID: ac, KeySID: sk, KeySecret: "s3cret", Identity: "t7_u42", AppSID: ap, TTL: 10 * time.Minute, Incoming: true, Now: now}
	s, err := twilio.VoiceToken(g)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := jwt.Parse(s, func(*jwt.Token) (any, error) { return []byte("s3cret"), nil }, jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithValidMethods([]string{"HS256"}))
	if err != nil {
		t.Fatal(err)
	}
	if tok.Header["cty"] != "twilio-fpa;v=1" || tok.Header["typ"] != "JWT" {
		t.Errorf("header %v", tok.Header)
	}
	c := tok.Claims.(jwt.MapClaims)
	jti, _ := c["jti"].(string)
	delete(c, "jti")
	want := jwt.MapClaims{"iss": sk, "sub": ac, "nbf": float64(now.Unix()), "exp": float64(now.Unix() + 600), "grants": map[string]any{
		"identity": "t7_u42", "voice": map[string]any{"incoming": map[string]any{"allow": true}, "outgoing": map[string]any{"application_sid": ap}}}}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if again, _ := twilio.VoiceToken(g); again == s || !strings.HasPrefix(jti, sk+"-") {
		t.Error("two tokens share their id")
	}
	for name, change := range map[string]func(*twilio.Grant){
		"too long a life":  func(g *twilio.Grant) { g.TTL = 24*time.Hour + time.Second },
		"no life":          func(g *twilio.Grant) { g.TTL = 0 },
		"bad identity":     func(g *twilio.Grant) { g.Identity = "ann@example.com" },
		"no identity":      func(g *twilio.Grant) { g.Identity = "" },
		"auth token's SID": func(g *twilio.Grant) { g.KeySID = ac },
		"no secret":        func(g *twilio.Grant) { g.KeySecret = "" },
		"no time":          func(g *twilio.Grant) { g.Now = time.Time{} },
	} {
		bad := g
		change(&bad)
		if _, err := twilio.VoiceToken(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestHookURLsCarryHowToConnect(t *testing.T) {
	t.Parallel()
	base, _ := url.Parse("https://u:p@pbx.example.com:8443/sb/")
	q := url.Values{"leg": {"leg_1"}, "a": {"x&y"}}
	if got, want := twilio.CallbackURL(base, "/twilio/c/k/leg", q), "https://pbx.example.com:8443/sb/twilio/c/k/leg?a=x%26y&leg=leg_1#rc=3&rp=all&ct=2000&rt=5000"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := twilio.TwiMLURL(base, "twilio/c/k/voice", nil), "https://pbx.example.com:8443/sb/twilio/c/k/voice#rt=5000"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := twilio.PublicURL(base, "/m", nil); got != "https://pbx.example.com:8443/sb/m" {
		t.Error(got)
	}
	if !twilio.SameHook("https://a/x#rt=1", "https://a/x") || twilio.SameHook("https://a/x?1", "https://a/x") {
		t.Error("hooks are the same but for their overrides")
	}
}
