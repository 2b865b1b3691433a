package emulator

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
)

// pushCredential lets Twilio wake a mobile app (twilio: notify/api/credential-resource).
type pushCredential struct {
	account          *account
	sid, name        string
	typ              string // apn, fcm or gcm
	sandbox          bool
	created, updated time.Time
}

// registration is one device of an identity.
type registration struct {
	id       string
	platform string // web, ios or android
	token    string // the push token of a mobile
	push     string // the credential that wakes it; "" needs a running app
}

// pushTypes are the credentials that a platform can be woken with.
var pushTypes = map[string][]string{"ios": {"apn"}, "android": {"fcm", "gcm"}}

func (a *account) pushCredential(sid string) *pushCredential {
	for _, p := range a.pushes {
		if p.sid == sid {
			return p
		}
	}
	return nil
}

// rings reports whether an identity has a device to ring: one whose app runs, or one that
// a push can wake. A mobile whose credential is gone stays asleep.
func (e *Emulator) rings(c *call, identity string) bool {
	found := false
	for _, r := range c.account.clients[identity] {
		if r.push != "" && c.account.pushCredential(r.push) == nil {
			e.alert(Alert{Code: 52002, Account: c.account.sid, Resource: c.sid})
			continue
		}
		found = true
	}
	return found
}

// Device is a device that registers.
type Device struct {
	Token string `json:"token"` // the access token
	// Platform is web, ios or android; "" is web.
	Platform string `json:"platform,omitempty"`
	// PushToken is what a mobile registers by push with; without it the app must run.
	PushToken string `json:"pushToken,omitempty"`
}

// RegisterDevice registers a device as the Voice SDK does, and returns its identity. The
// error is a *TokenError. A mobile that gives a push token rings also when no app runs.
func (e *Emulator) RegisterDevice(d Device) (identity string, err error) {
	e.do(func() {
		var g *grant
		if g, err = e.readToken(d.Token); err != nil {
			return
		}
		r := registration{id: e.random()[:8], platform: cmp.Or(d.Platform, "web"), token: d.PushToken}
		types, mobile := pushTypes[r.platform]
		switch {
		case !mobile && r.platform != "web":
			err = &TokenError{31106, "unknown platform " + clip(d.Platform, 20)}
		case !mobile && d.PushToken != "":
			err = &TokenError{31106, "a browser does not register by push"}
		case !g.incoming:
			err = &TokenError{31201, "the access token does not allow incoming calls"}
		case mobile && d.PushToken != "":
			p := g.account.pushCredential(g.push)
			switch {
			case g.push == "":
				err = &TokenError{52004, "the access token has no push credential"}
			case p == nil:
				err = &TokenError{52002, "the push credential of the access token does not exist in this account"}
			case !slices.Contains(types, p.typ):
				err = &TokenError{52003, "a push credential of type " + p.typ + " cannot wake " + r.platform}
			}
			r.push = g.push
		}
		if err != nil {
			return
		}
		identity = g.identity
		e.register(g.account, identity, r)
	})
	return identity, err
}

// CloseApp ends the apps and pages of an identity. Mobiles that registered by push still
// ring.
func (e *Emulator) CloseApp(accountSID, identity string) {
	e.do(func() {
		a := e.account(accountSID)
		if a == nil {
			return
		}
		identity = strings.TrimPrefix(identity, "client:")
		list := slices.DeleteFunc(a.clients[identity], func(r registration) bool { return r.push == "" })
		if a.clients[identity] = list; len(list) == 0 {
			delete(a.clients, identity)
		}
	})
}

func (p *pushCredential) json(base string) map[string]any {
	sandbox := "False" // text, in the words of Twilio's example
	if p.sandbox {
		sandbox = "True"
	}
	return map[string]any{"sid": p.sid, "account_sid": p.account.sid, "friendly_name": p.name, "type": p.typ, "sandbox": sandbox,
		"date_created": iso(p.created), "date_updated": iso(p.updated), "url": base + "/Credentials/" + p.sid}
}

// routePush is notify.twilio.com/v1/Credentials, and the same under chat.twilio.com/v2.
func (e *Emulator) routePush(q *request, version string) result {
	if q.path[0] != "Credentials" || len(q.path) > 2 {
		return e.unknownPath(q)
	}
	a := q.account
	base := "https://" + q.product + ".twilio.com/" + version
	show := func(p *pushCredential) map[string]any { return p.json(base) }
	set := func(p *pushCredential, fresh bool) result {
		apn := p.typ == "apn"
		switch {
		case fresh && apn && (q.get("Certificate") == "" || q.get("PrivateKey") == ""):
			return fail(20001, "Certificate and PrivateKey are required for APN")
		case fresh && p.typ == "fcm" && q.get("Secret") == "", fresh && p.typ == "gcm" && q.get("ApiKey") == "":
			return fail(20001, "Secret is required for FCM and ApiKey for GCM")
		}
		if v := q.get("Sandbox"); v != "" {
			p.sandbox = v == "true"
		}
		p.name, p.updated = cmp.Or(q.get("FriendlyName"), p.name), e.at
		return result{}
	}
	if len(q.path) == 1 {
		switch q.Method {
		case http.MethodGet:
			return metaPage(q, "credentials", newestFirst(a.pushes), show)
		case http.MethodPost:
			p := &pushCredential{account: a, sid: e.sid("CR"), typ: q.get("Type"), created: e.at}
			if !slices.Contains([]string{"apn", "fcm", "gcm"}, p.typ) {
				return fail(20001, "Type must be apn, fcm or gcm")
			}
			if bad := set(p, true); bad.status != 0 {
				return bad
			}
			a.pushes = append(a.pushes, p)
			return created(show(p))
		}
		return e.unknownPath(q)
	}
	i := slices.IndexFunc(a.pushes, func(p *pushCredential) bool { return p.sid == q.path[1] })
	if i < 0 {
		return q.notFound()
	}
	switch q.Method {
	case http.MethodDelete:
		a.pushes = slices.Delete(a.pushes, i, i+1)
		return gone()
	case http.MethodPost:
		if bad := set(a.pushes[i], false); bad.status != 0 {
			return bad
		}
	}
	return ok(show(a.pushes[i]))
}
