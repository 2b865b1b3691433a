package emulator

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (a *account) json() map[string]any {
	uri := "/2010-04-01/Accounts/" + a.sid
	sub := map[string]any{}
	for k, v := range map[string]string{"calls": "Calls", "incoming_phone_numbers": "IncomingPhoneNumbers", "recordings": "Recordings", "messages": "Messages",
		"keys": "Keys", "applications": "Applications", "outgoing_caller_ids": "OutgoingCallerIds", "conferences": "Conferences", "queues": "Queues"} {
		sub[k] = uri + "/" + v + ".json"
	}
	owner := a.sid
	if a.parent != nil {
		owner = a.parent.sid
	}
	typ := a.typ
	if typ == Test {
		typ = Full
	}
	return map[string]any{"sid": a.sid, "auth_token": a.token, "friendly_name": a.name, "status": a.status, "type": typ, "owner_account_sid": owner,
		"date_created": rfc2822(a.created), "date_updated": rfc2822(a.created), "subresource_uris": sub, "uri": uri + ".json"}
}

func (e *Emulator) accountList(q *request) result {
	if q.key != nil {
		return fail(20003)
	}
	if q.Method != http.MethodGet {
		return e.unknownPath(q)
	}
	var list []*account
	for _, a := range e.accounts {
		if a == q.account || a.parent == q.account {
			list = append(list, a)
		}
	}
	return page(q, "accounts", list, func(a *account) string { return a.sid }, (*account).json)
}

func (e *Emulator) accountResource(q *request) result {
	if q.key != nil { // a standard key may not see the account
		return fail(20003)
	}
	switch q.Method {
	case http.MethodGet:
	case http.MethodPost:
		if v := q.get("FriendlyName"); v != "" {
			q.account.name = v
		}
		if v := q.get("Status"); v == "active" || v == "suspended" || v == "closed" {
			q.account.status = v
		}
	default:
		return e.unknownPath(q)
	}
	return ok(q.account.json())
}

func (k *key) json() map[string]any {
	return map[string]any{"sid": k.sid, "friendly_name": k.name, "date_created": rfc2822(k.created), "date_updated": rfc2822(k.updated)}
}

// keys is /Keys of the v2010 API. The secret is shown once.
func (e *Emulator) keys(q *request) result {
	a := q.account
	if len(q.path) == 1 {
		switch q.Method {
		case http.MethodPost:
			k := e.newKey(a, q.get("FriendlyName"))
			body := k.json()
			body["secret"] = k.secret
			return created(body)
		case http.MethodGet:
			plural := "keys"
			if q.path[0] == "SigningKeys" {
				plural = "signing_keys"
			}
			return page(q, plural, newestFirst(a.keys), func(k *key) string { return k.sid }, (*key).json)
		}
		return e.unknownPath(q)
	}
	i := slices.IndexFunc(a.keys, func(k *key) bool { return k.sid == q.path[1] })
	if i < 0 {
		return q.notFound()
	}
	switch q.Method {
	case http.MethodDelete:
		a.keys = slices.Delete(a.keys, i, i+1)
		return gone()
	case http.MethodPost:
		a.keys[i].name = cmp.Or(q.get("FriendlyName"), a.keys[i].name)
		a.keys[i].updated = e.at
	}
	return ok(a.keys[i].json())
}

func (e *Emulator) newKey(a *account, name string) *key {
	k := &key{sid: e.sid("SK"), secret: e.random()[:32], name: name, created: e.at, updated: e.at}
	a.keys = append(a.keys, k)
	return k
}

// routeIAM is iam.twilio.com/v1/Keys, the newer way to the same keys.
func (e *Emulator) routeIAM(q *request) result {
	if q.path[0] != "Keys" {
		return e.unknownPath(q)
	}
	if q.key != nil {
		return fail(20003)
	}
	if sid := q.get("AccountSid"); sid != "" {
		a := e.account(sid)
		if a == nil || a != q.account && a.parent != q.account {
			return q.notFound()
		}
		q.account = a
	}
	show := func(k *key) map[string]any {
		return map[string]any{"sid": k.sid, "friendly_name": k.name, "date_created": rfc2822(k.created), "date_updated": rfc2822(k.updated), "policy": nil}
	}
	if len(q.path) == 1 {
		switch q.Method {
		case http.MethodPost:
			k := e.newKey(q.account, q.get("FriendlyName"))
			k.restricted = q.get("KeyType") == "restricted"
			body := show(k)
			body["secret"] = k.secret
			return created(body)
		case http.MethodGet:
			return metaPage(q, "keys", newestFirst(q.account.keys), show)
		}
		return e.unknownPath(q)
	}
	for _, a := range e.accounts {
		if a != q.account && a.parent != q.account {
			continue
		}
		i := slices.IndexFunc(a.keys, func(k *key) bool { return k.sid == q.path[1] })
		if i < 0 {
			continue
		}
		switch q.Method {
		case http.MethodDelete:
			a.keys = slices.Delete(a.keys, i, i+1)
			return gone()
		case http.MethodPost:
			a.keys[i].name = cmp.Or(q.get("FriendlyName"), a.keys[i].name)
			a.keys[i].updated = e.at
		}
		return ok(show(a.keys[i]))
	}
	return q.notFound()
}

// routeAccounts is accounts.twilio.com: geo permissions, rotation of the auth token. The secondary token
// works for REST at once and signs webhooks only when promoted (twilio: usage/security).
func (e *Emulator) routeAccounts(q *request) result {
	path := strings.Join(q.path, "/")
	if path == "Messaging/GeoPermissions" && q.Method == http.MethodGet {
		return e.geoPermissions(q)
	}
	if q.key != nil {
		return fail(20003)
	}
	a := q.account
	body := func(name, token string) map[string]any {
		return map[string]any{"account_sid": a.sid, name: token, "date_created": iso(e.at), "date_updated": iso(e.at), "url": "https://accounts.twilio.com/v1/" + path}
	}
	switch q.Method + " " + path {
	case "POST AuthTokens/Secondary":
		if a.secondary != "" {
			return fail(20409, "a secondary auth token exists already")
		}
		a.secondary = e.random()[:32]
		return created(body("secondary_auth_token", a.secondary))
	case "DELETE AuthTokens/Secondary":
		if a.secondary == "" {
			return q.notFound()
		}
		a.secondary = ""
		return gone()
	case "POST AuthTokens/Promote":
		if a.secondary == "" {
			return fail(20409, "there is no secondary auth token to promote")
		}
		a.token, a.secondary = a.secondary, ""
		return ok(body("auth_token", a.token))
	}
	return e.unknownPath(q)
}

// appFields are the writable fields of an application: REST parameter and JSON name.
var appFields = []struct{ param, json string }{
	{"FriendlyName", "friendly_name"}, {"VoiceUrl", "voice_url"}, {"VoiceMethod", "voice_method"}, {"VoiceFallbackUrl", "voice_fallback_url"},
	{"VoiceFallbackMethod", "voice_fallback_method"}, {"StatusCallback", "status_callback"}, {"StatusCallbackMethod", "status_callback_method"},
	{"SmsUrl", "sms_url"}, {"SmsMethod", "sms_method"}, {"SmsFallbackUrl", "sms_fallback_url"}, {"SmsFallbackMethod", "sms_fallback_method"},
	{"SmsStatusCallback", "sms_status_callback"}, {"MessageStatusCallback", "message_status_callback"},
}

func (p *application) json() map[string]any {
	body := map[string]any{"sid": p.sid, "account_sid": p.account.sid, "api_version": "2010-04-01", "date_created": rfc2822(p.created), "date_updated": rfc2822(p.updated),
		"uri": "/2010-04-01/Accounts/" + p.account.sid + "/Applications/" + p.sid + ".json"}
	for _, f := range appFields {
		v := p.fields[f.param]
		if strings.HasSuffix(f.param, "Method") {
			v = cmp.Or(v, http.MethodPost)
		}
		body[f.json] = null(v)
	}
	body["voice_caller_id_lookup"] = p.fields["VoiceCallerIdLookup"] == "true"
	body["public_application_connect_enabled"] = p.fields["PublicApplicationConnectEnabled"] == "true"
	return body
}

// set writes the fields that the request carries; an empty value clears.
func (p *application) set(q *request) result {
	for _, name := range append([]string{"VoiceCallerIdLookup", "PublicApplicationConnectEnabled"}, appParams()...) {
		if !q.form.Has(name) {
			continue
		}
		v := q.form.Get(name)
		if v != "" && (strings.HasSuffix(name, "Url") || strings.HasSuffix(name, "Callback")) && !webURL(v) {
			return fail(21205, name+" is not a valid URL")
		}
		p.fields[name] = v
	}
	p.updated = q.e.at
	return result{}
}

func appParams() (list []string) {
	for _, f := range appFields {
		list = append(list, f.param)
	}
	return list
}

// applications is the CRUD of TwiML Apps.
func (e *Emulator) applications(q *request) result {
	a := q.account
	if len(q.path) == 1 {
		switch q.Method {
		case http.MethodPost:
			p := &application{account: a, sid: e.sid("AP"), fields: map[string]string{}, created: e.at}
			if bad := p.set(q); bad.status != 0 {
				return bad
			}
			a.apps = append(a.apps, p)
			return created(p.json())
		case http.MethodGet:
			var list []*application
			for _, p := range newestFirst(a.apps) {
				if name := q.get("FriendlyName"); name == "" || p.fields["FriendlyName"] == name {
					list = append(list, p)
				}
			}
			return page(q, "applications", list, func(p *application) string { return p.sid }, (*application).json)
		}
		return e.unknownPath(q)
	}
	p := a.app(q.path[1])
	if p == nil || len(q.path) > 2 {
		return q.notFound()
	}
	switch q.Method {
	case http.MethodDelete:
		a.apps = slices.DeleteFunc(a.apps, func(x *application) bool { return x == p })
		return gone()
	case http.MethodPost:
		if bad := p.set(q); bad.status != 0 {
			return bad
		}
	}
	return ok(p.json())
}

func (e *Emulator) outgoingCallerIDs(q *request) result {
	a := q.account
	show := func(c *callerID) map[string]any {
		return map[string]any{"sid": c.sid, "account_sid": a.sid, "phone_number": c.e164, "friendly_name": c.name, "date_created": rfc2822(c.created),
			"date_updated": rfc2822(c.created), "uri": "/2010-04-01/Accounts/" + a.sid + "/OutgoingCallerIds/" + c.sid + ".json"}
	}
	if len(q.path) == 1 {
		switch q.Method {
		case http.MethodGet:
			var list []*callerID
			for _, c := range a.callerIDs {
				if (q.get("PhoneNumber") == "" || q.get("PhoneNumber") == c.e164) && (q.get("FriendlyName") == "" || q.get("FriendlyName") == c.name) {
					list = append(list, c)
				}
			}
			return page(q, "outgoing_caller_ids", list, func(c *callerID) string { return c.sid }, show)
		default:
			return e.unknownPath(q) // verification by a telephone call is not imitated
		}
	}
	i := slices.IndexFunc(a.callerIDs, func(c *callerID) bool { return c.sid == q.path[1] })
	if i < 0 {
		return q.notFound()
	}
	switch q.Method {
	case http.MethodDelete:
		a.callerIDs = slices.Delete(a.callerIDs, i, i+1)
		return gone()
	case http.MethodPost:
		a.callerIDs[i].name = cmp.Or(q.get("FriendlyName"), a.callerIDs[i].name)
	}
	return ok(show(a.callerIDs[i]))
}

// routeMonitor is monitor.twilio.com: the debugger list as Alerts.
func (e *Emulator) routeMonitor(q *request) result {
	if q.path[0] != "Alerts" || q.Method != http.MethodGet {
		return e.unknownPath(q)
	}
	show := func(a Alert) map[string]any {
		return map[string]any{"sid": a.SID, "account_sid": a.Account, "alert_text": a.Text, "error_code": itoa(a.Code), "log_level": a.Level,
			"more_info": "https://www.twilio.com/docs/errors/" + itoa(a.Code), "request_method": null(a.Method), "request_url": null(a.URL), "resource_sid": null(a.Resource),
			"service_sid": nil, "date_created": iso(a.At), "date_generated": iso(a.At), "date_updated": iso(a.At), "api_version": "2010-04-01",
			"url": "https://monitor.twilio.com/v1/Alerts/" + a.SID}
	}
	if len(q.path) == 2 {
		for _, a := range e.alerts {
			if a.SID == q.path[1] && a.Account == q.account.sid {
				return ok(show(a))
			}
		}
		return q.notFound()
	}
	from, _ := time.Parse(time.RFC3339, q.get("StartDate")) // zero when it is not given
	to, _ := time.Parse(time.RFC3339, q.get("EndDate"))
	within := func(at time.Time) bool {
		at = at.Truncate(time.Second)
		return !at.Before(from) && (to.IsZero() || !at.After(to))
	}
	var list []Alert
	for _, a := range newestFirst(e.alerts) {
		if a.Account == q.account.sid && (q.get("LogLevel") == "" || q.get("LogLevel") == a.Level) && within(a.At) {
			list = append(list, a)
		}
	}
	return metaPage(q, "alerts", list, show)
}
