package emulator

import (
	"cmp"
	"net/http"
	"path"
	"slices"
	"strings"
)

func (n *number) json() map[string]any {
	s := n.spec
	return map[string]any{
		"sid": n.sid, "account_sid": n.account.sid, "phone_number": s.E164, "friendly_name": s.FriendlyName, "api_version": "2010-04-01",
		"capabilities": map[string]bool{"voice": !s.NoVoice, "sms": !s.NoSMS, "mms": !s.NoMMS, "fax": false},
		"voice_url":    s.VoiceURL, "voice_method": s.VoiceMethod, "voice_fallback_url": s.VoiceFallbackURL, "voice_fallback_method": s.VoiceFallbackMethod,
		"voice_application_sid": s.VoiceApplicationSID, "trunk_sid": null(s.TrunkSID), "status_callback": s.StatusCallback, "status_callback_method": s.StatusCallbackMethod,
		"sms_url": s.SMSURL, "sms_method": s.SMSMethod, "sms_fallback_url": s.SMSFallbackURL, "sms_fallback_method": s.SMSFallbackMethod,
		"sms_application_sid": s.SMSApplicationSID, "voice_caller_id_lookup": s.CallerIDLookup, "voice_receive_mode": "voice", "origin": s.Origin, "beta": false,
		"address_requirements": "none", "address_sid": nil, "bundle_sid": nil, "identity_sid": nil, "emergency_status": "Inactive", "emergency_address_sid": nil,
		"emergency_address_status": "unregistered", "status": "in-use", "type": s.Type, "date_created": rfc2822(n.created), "date_updated": rfc2822(n.updated),
		"uri": "/2010-04-01/Accounts/" + n.account.sid + "/IncomingPhoneNumbers/" + n.sid + ".json",
	}
}

// numbers is IncomingPhoneNumbers: list, buy, fetch, update, release.
func (e *Emulator) numbers(q *request) result {
	a := q.account
	if len(q.path) == 2 {
		kinds := map[string]string{"Local": "local", "Mobile": "mobile", "TollFree": "tollfree"}
		if kind, ok := kinds[q.path[1]]; ok && q.Method == http.MethodGet {
			return e.numberList(q, kind)
		}
		for _, n := range a.numbers {
			if n.sid == q.path[1] {
				return e.numberResource(q, n)
			}
		}
		return q.notFound()
	}
	if len(q.path) > 2 {
		return e.unknownPath(q)
	}
	switch q.Method {
	case http.MethodGet:
		return e.numberList(q, "")
	case http.MethodPost:
		return e.buy(q)
	}
	return e.unknownPath(q)
}

func (e *Emulator) numberList(q *request, kind string) result {
	var list []*number
	for _, n := range newestFirst(q.account.numbers) {
		if kind != "" && n.spec.Type != kind || q.get("FriendlyName") != "" && n.spec.FriendlyName != q.get("FriendlyName") ||
			q.get("Origin") != "" && n.spec.Origin != q.get("Origin") || q.get("Beta") == "true" {
			continue
		}
		if want := q.get("PhoneNumber"); want != "" {
			if match, err := path.Match(want, n.spec.E164); err != nil || !match && !strings.Contains(n.spec.E164, want) {
				continue
			}
		}
		list = append(list, n)
	}
	show := (*number).json
	if kind != "" { // those lists do not say the type
		show = func(n *number) map[string]any {
			body := n.json()
			delete(body, "type")
			return body
		}
	}
	return page(q, "incoming_phone_numbers", list, func(n *number) string { return n.sid }, show)
}

func (e *Emulator) buy(q *request) result {
	want := q.get("PhoneNumber")
	switch {
	case !isE164(want):
		return fail(21421)
	case e.byNumber[want] != nil:
		return fail(21422)
	}
	n := &number{account: q.account, spec: NumberSpec{E164: want}}
	if bad := e.updateNumber(q, n); bad.status != 0 {
		return bad
	}
	return created(e.addNumber(q.account, n.spec).json())
}

func (e *Emulator) numberResource(q *request, n *number) result {
	switch q.Method {
	case http.MethodGet:
		return ok(n.json())
	case http.MethodPost:
		if bad := e.updateNumber(q, n); bad.status != 0 {
			return bad
		}
		return ok(n.json())
	case http.MethodDelete:
		q.account.numbers = slices.DeleteFunc(q.account.numbers, func(x *number) bool { return x == n })
		delete(e.byNumber, n.spec.E164)
		n.leave()
		return gone()
	}
	return e.unknownPath(q)
}

// updateNumber writes what the request carries; an empty value clears. A trunk and a
// voice application exclude each other: the later one stands.
func (e *Emulator) updateNumber(q *request, n *number) result {
	s := n.spec
	for name, field := range map[string]*string{
		"VoiceUrl": &s.VoiceURL, "VoiceFallbackUrl": &s.VoiceFallbackURL, "StatusCallback": &s.StatusCallback, "SmsUrl": &s.SMSURL, "SmsFallbackUrl": &s.SMSFallbackURL,
	} {
		if !q.form.Has(name) {
			continue
		}
		v := q.form.Get(name)
		if v != "" && !webURL(v) {
			return fail(21502, name+" is not a valid URL")
		}
		*field = v
	}
	for name, field := range map[string]*string{
		"VoiceMethod": &s.VoiceMethod, "VoiceFallbackMethod": &s.VoiceFallbackMethod, "StatusCallbackMethod": &s.StatusCallbackMethod,
		"SmsMethod": &s.SMSMethod, "SmsFallbackMethod": &s.SMSFallbackMethod,
	} {
		if !q.form.Has(name) {
			continue
		}
		switch v := strings.ToUpper(q.form.Get(name)); v {
		case http.MethodGet, http.MethodPost:
			*field = v
		default:
			return fail(20001, name+" must be GET or POST")
		}
	}
	for _, f := range []struct {
		name, prefix string
		field        *string
	}{{"VoiceApplicationSid", "AP", &s.VoiceApplicationSID}, {"SmsApplicationSid", "AP", &s.SMSApplicationSID}, {"TrunkSid", "TK", &s.TrunkSID}} {
		if !q.form.Has(f.name) {
			continue
		}
		v := q.form.Get(f.name)
		if v != "" && (!isSID(v, f.prefix) || f.prefix == "AP" && q.account.app(v) == nil) {
			return fail(21218, f.name+" is not valid")
		}
		*f.field = v
	}
	switch {
	case q.form.Get("TrunkSid") != "":
		s.VoiceApplicationSID = ""
	case q.form.Get("VoiceApplicationSid") != "":
		s.TrunkSID = ""
	}
	if q.form.Has("FriendlyName") {
		s.FriendlyName = cmp.Or(q.form.Get("FriendlyName"), s.E164)
	}
	if q.form.Has("VoiceCallerIdLookup") {
		s.CallerIDLookup = q.form.Get("VoiceCallerIdLookup") == "true"
	}
	if to := q.form.Get("AccountSid"); to != "" && n.sid != "" && to != n.account.sid {
		target := e.account(to)
		family := func(a *account) *account {
			if a.parent != nil {
				return a.parent
			}
			return a
		}
		if target == nil || family(target) != family(n.account) {
			return fail(20404, "The requested resource /2010-04-01/Accounts/"+clip(to, 40)+" was not found")
		}
		n.account.numbers = slices.DeleteFunc(n.account.numbers, func(x *number) bool { return x == n })
		n.leave()
		n.account = target
		target.numbers = append(target.numbers, n)
	}
	n.spec, n.updated = s, e.at
	return result{}
}
