package emulator

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// TokenError is why an access token was refused, with the code that the Voice SDK shows.
type TokenError struct {
	Code    int
	Message string
}

func (t *TokenError) Error() string { return fmt.Sprintf("%d: %s", t.Code, t.Message) }

// grant is what a valid access token allows.
type grant struct {
	account  *account
	identity string
	incoming bool
	app      string
	push     string // push credential
	params   map[string]any
}

// readToken validates an access token as Twilio does (twilio: iam/access-tokens).
func (e *Emulator) readToken(token string) (*grant, error) {
	bad := func(code int, format string, args ...any) (*grant, error) {
		return nil, &TokenError{code, fmt.Sprintf(format, args...)}
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > 16<<10 {
		return bad(20101, "invalid access token: not a JWT")
	}
	var head struct{ Alg, Cty, Typ string }
	var claims struct {
		Iss, Sub, Jti string
		Nbf, Exp      float64
		Grants        struct {
			Identity string
			Voice    *struct {
				Incoming struct{ Allow bool }
				Outgoing struct {
					ApplicationSid string         `json:"application_sid"`
					Params         map[string]any `json:"params"`
				}
				PushCredentialSid string `json:"push_credential_sid"`
			}
		}
	}
	for i, into := range []any{&head, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[i], "="))
		if err != nil || json.Unmarshal(b, into) != nil {
			return bad(20101, "invalid access token: part %d is not JSON", i+1)
		}
	}
	if head.Alg != "HS256" || !strings.HasPrefix(head.Cty, "twilio-fpa") {
		return bad(20101, "invalid access token: header needs alg HS256 and cty twilio-fpa;v=1")
	}
	a := e.account(claims.Sub)
	if a == nil || a.status != "active" {
		return bad(31203, "no valid account")
	}
	var k *key
	for _, x := range a.keys {
		if x.sid == claims.Iss {
			k = x
		}
	}
	if k == nil || k.restricted {
		return bad(20101, "invalid access token: the issuer is not a standard key of the account")
	}
	m := hmac.New(sha256.New, []byte(k.secret))
	_, _ = m.Write([]byte(parts[0] + "." + parts[1]))
	sig, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[2], "="))
	if err != nil || !hmac.Equal(sig, m.Sum(nil)) {
		return bad(31202, "signature validation failed")
	}
	now := float64(e.clk.Now().Unix())
	from := claims.Nbf
	if from == 0 { // nbf is optional: the second is in the token's id
		from = now
		if _, at, ok := strings.Cut(claims.Jti, "-"); ok {
			var n int64
			if _, err := fmt.Sscan(at, &n); err == nil {
				from = float64(n)
			}
		}
	}
	switch {
	case claims.Exp <= now:
		return bad(20104, "access token expired")
	case claims.Nbf > now+60:
		return bad(31205, "access token is not valid yet")
	case claims.Exp-from > 24*3600:
		return bad(31207, "expiration time in the access token is too far in the future")
	case !identityForm(claims.Grants.Identity):
		return bad(31105, "invalid client name")
	case claims.Grants.Voice == nil:
		return bad(31201, "the access token has no voice grant")
	}
	return &grant{account: a, identity: claims.Grants.Identity, incoming: claims.Grants.Voice.Incoming.Allow,
		app: claims.Grants.Voice.Outgoing.ApplicationSid, params: claims.Grants.Voice.Outgoing.Params, push: claims.Grants.Voice.PushCredentialSid}, nil
}

// identityForm reports whether a client may have this name: up to 256 characters, none of
// them a control, a space, a delimiter or "unwise" (twilio: voice/twiml/client).
func identityForm(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= 256 &&
		!strings.ContainsFunc(s, func(r rune) bool {
			return unicode.IsControl(r) || unicode.IsSpace(r) || strings.ContainsRune(`<>#%"{}|\^[]`+"`", r)
		})
}

// RegisterToken is RegisterDevice of a browser.
func (e *Emulator) RegisterToken(token string) (identity string, err error) {
	return e.RegisterDevice(Device{Token: token})
}

// RegisterClient registers a device without a token.
func (e *Emulator) RegisterClient(accountSID, identity string) (err error) {
	e.do(func() {
		a := e.account(accountSID)
		if a == nil {
			err = errNoAccount(accountSID)
			return
		}
		e.register(a, strings.TrimPrefix(identity, "client:"), registration{id: e.random()[:8], platform: "web"})
	})
	return err
}

// register adds a device. An identity holds ten; the oldest gives way. A mobile that
// registers again is the same one.
func (e *Emulator) register(a *account, identity string, r registration) {
	list := slices.DeleteFunc(a.clients[identity], func(o registration) bool { return r.token != "" && o.token == r.token })
	list = append(list, r)
	if len(list) > 10 {
		list = list[len(list)-10:]
	}
	a.clients[identity] = list
	for _, c := range e.calls { // a device woken by push hears what has been waiting for it
		if c.account == a && c.status == initiated && c.target == "client:"+identity {
			e.dropTimers(c)
			e.reach(c)
		}
	}
}

// UnregisterClient takes every registration of an identity away.
func (e *Emulator) UnregisterClient(accountSID, identity string) {
	e.do(func() {
		if a := e.account(accountSID); a != nil {
			delete(a.clients, strings.TrimPrefix(identity, "client:"))
		}
	})
}

// Clients returns the registered identities of an account with their registrations.
func (e *Emulator) Clients(accountSID string) map[string]int {
	out := map[string]int{}
	e.read(func() {
		if a := e.account(accountSID); a != nil {
			for id, list := range a.clients {
				out[id] = len(list)
			}
		}
	})
	return out
}

// Connect is a Voice SDK placing a call: the TwiML App of its token decides what happens.
// The parameters arrive there as form fields, whatever the client wrote into them.
func (e *Emulator) Connect(token string, params map[string]string) (sid string, err error) {
	e.do(func() {
		var g *grant
		if g, err = e.readToken(token); err != nil {
			return
		}
		if g.app == "" {
			err = &TokenError{31201, "the access token has no application for outgoing calls"}
			return
		}
		app := g.account.app(g.app)
		if app == nil {
			err = &TokenError{31001, "application not found"}
			return
		}
		c := e.newCall(g.account, "client:"+g.identity, params["To"], "inbound")
		c.started = e.at
		sid = c.sid
		e.setStatus(c, ringing)
		c.plan = app.plan()
		c.events["completed"] = true
		extra := url.Values{}
		for k, v := range g.params {
			extra.Set(k, fmt.Sprint(v))
		}
		for k, v := range params {
			switch k {
			case "CallSid", "AccountSid", "From", "Caller", "CallStatus", "Direction", "ApiVersion": // Twilio's own stand
			default:
				extra.Set(k, v)
			}
		}
		if c.url == "" {
			e.end(c, failed)
			err = errors.New("emulator: the application has no VoiceUrl")
			return
		}
		e.fetch(c, c.url, c.method, extra)
	})
	return sid, err
}

// plan is what controls a call and who hears of it.
type plan struct {
	url, method, fallback, fallbackMethod string
	inline                                string
	callback, callbackMethod              string
}

func (p *application) plan() plan {
	f := p.fields
	post := http.MethodPost
	return plan{url: f["VoiceUrl"], method: cmp.Or(f["VoiceMethod"], post), fallback: f["VoiceFallbackUrl"], fallbackMethod: cmp.Or(f["VoiceFallbackMethod"], post),
		callback: f["StatusCallback"], callbackMethod: cmp.Or(f["StatusCallbackMethod"], post)}
}
