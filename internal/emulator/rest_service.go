package emulator

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
)

func (s *service) json() map[string]any {
	u := "https://messaging.twilio.com/v1/Services/" + s.sid
	flag := func(name string, def bool) bool {
		if v, ok := s.fields[name]; ok {
			return v == "true"
		}
		return def
	}
	validity, err := strconv.Atoi(s.fields["ValidityPeriod"])
	if err != nil {
		validity = int(longestValidity.Seconds())
	}
	return map[string]any{"sid": s.sid, "account_sid": s.account.sid, "friendly_name": s.name, "date_created": iso(s.created), "date_updated": iso(s.updated),
		"inbound_request_url": null(s.fields["InboundRequestUrl"]), "inbound_method": cmp.Or(s.fields["InboundMethod"], http.MethodPost),
		"fallback_url": null(s.fields["FallbackUrl"]), "fallback_method": cmp.Or(s.fields["FallbackMethod"], http.MethodPost),
		"status_callback": null(s.fields["StatusCallback"]), "sticky_sender": flag("StickySender", true), "smart_encoding": flag("SmartEncoding", false),
		"mms_converter": flag("MmsConverter", true), "fallback_to_long_code": flag("FallbackToLongCode", false), "scan_message_content": cmp.Or(s.fields["ScanMessageContent"], "inherit"),
		"area_code_geomatch": flag("AreaCodeGeomatch", true), "validity_period": validity, "synchronous_validation": false, "usecase": cmp.Or(s.fields["Usecase"], "undeclared"),
		"us_app_to_person_registered": s.campaign.is(CampaignVerified), "use_inbound_webhook_on_number": flag("UseInboundWebhookOnNumber", false),
		"links": map[string]any{"phone_numbers": u + "/PhoneNumbers", "alpha_senders": u + "/AlphaSenders", "us_app_to_person": u + "/Compliance/Usa2p"}, "url": u}
}

// routeMessaging is messaging.twilio.com: services with their senders and campaigns,
// brands and toll-free verifications.
func (e *Emulator) routeMessaging(q *request) result {
	get := q.Method == http.MethodGet
	switch {
	case q.path[0] == "Services":
		return e.services(q)
	case q.path[0] == "a2p" && get && (len(q.path) == 2 || len(q.path) == 3) && q.path[1] == "BrandRegistrations":
		return e.brands(q)
	case q.path[0] == "Tollfree" && get && (len(q.path) == 2 || len(q.path) == 3) && q.path[1] == "Verifications":
		return e.tollFreeVerifications(q)
	}
	return e.unknownPath(q)
}

func (e *Emulator) services(q *request) result {
	a, get := q.account, q.Method == http.MethodGet
	if len(q.path) == 1 {
		if !get {
			return e.unknownPath(q)
		}
		return metaPage(q, "services", a.services, (*service).json)
	}
	i := slices.IndexFunc(a.services, func(s *service) bool { return s.sid == q.path[1] })
	if i < 0 {
		return q.notFound()
	}
	s := a.services[i]
	switch {
	case len(q.path) == 2 && get:
		return ok(s.json())
	case len(q.path) == 2 && q.Method == http.MethodPost:
		return e.changeService(q, s)
	case len(q.path) == 2:
		return e.unknownPath(q)
	case q.path[2] == "PhoneNumbers" && len(q.path) <= 4:
		return e.pool(q, s)
	case q.path[2] == "AlphaSenders" && len(q.path) <= 4 && get:
		return e.alphaSenders(q, s)
	case q.path[2] == "Compliance" && (len(q.path) == 4 || len(q.path) == 5) && q.path[3] == "Usa2p" && get:
		return e.campaigns(q, s)
	}
	return e.unknownPath(q)
}

// changeService writes what the request carries; an empty value clears.
func (e *Emulator) changeService(q *request, s *service) result {
	changed := map[string]string{}
	for name, check := range serviceFields {
		if !q.form.Has(name) {
			continue
		}
		v := q.form.Get(name)
		if v != "" && !check(v) {
			return fail(20001, name+" is not valid")
		}
		changed[name] = v
	}
	for name, v := range changed {
		s.fields[name] = v
	}
	if v := q.form.Get("FriendlyName"); v != "" {
		s.name = v
	}
	s.updated = e.at
	return ok(s.json())
}

// serviceFields are what may be changed about a service, and how each value looks.
var serviceFields = func() map[string]func(string) bool {
	m := map[string]func(string) bool{"ValidityPeriod": func(v string) bool {
		n, err := strconv.Atoi(v)
		return err == nil && n > 0 && n <= int(longestValidity.Seconds())
	}}
	for _, name := range []string{"InboundRequestUrl", "FallbackUrl", "StatusCallback"} {
		m[name] = webURL
	}
	for _, name := range []string{"InboundMethod", "FallbackMethod"} {
		m[name] = func(v string) bool { return v == http.MethodGet || v == http.MethodPost }
	}
	for _, name := range []string{"StickySender", "SmartEncoding", "MmsConverter", "FallbackToLongCode", "AreaCodeGeomatch", "UseInboundWebhookOnNumber"} {
		m[name] = func(v string) bool { return v == "true" || v == "false" }
	}
	return m
}()

// pool is the numbers of a service.
func (e *Emulator) pool(q *request, s *service) result {
	show := func(n *number) map[string]any {
		caps := []string{}
		for name, no := range map[string]bool{"MMS": n.spec.NoMMS, "SMS": n.spec.NoSMS, "Voice": n.spec.NoVoice} {
			if !no {
				caps = append(caps, name)
			}
		}
		slices.Sort(caps)
		return map[string]any{"sid": n.sid, "account_sid": s.account.sid, "service_sid": s.sid, "phone_number": n.spec.E164, "country_code": n.country,
			"capabilities": caps, "date_created": iso(n.created), "date_updated": iso(n.updated), "url": "https://messaging.twilio.com/v1/Services/" + s.sid + "/PhoneNumbers/" + n.sid}
	}
	if len(q.path) == 3 {
		switch q.Method {
		case http.MethodGet:
			return metaPage(q, "phone_numbers", s.numbers, show)
		case http.MethodPost:
			i := slices.IndexFunc(s.account.numbers, func(n *number) bool { return n.sid == q.get("PhoneNumberSid") })
			if i < 0 {
				return fail(20404, "The requested resource "+clip(q.get("PhoneNumberSid"), 40)+" was not found")
			}
			switch n := s.account.numbers[i]; {
			case n.service == s:
				return fail(21710)
			case n.service != nil:
				return fail(21712)
			case len(s.numbers) >= mostNumbers:
				return fail(21714)
			case n.spec.NoSMS && n.spec.NoMMS:
				return fail(21715)
			default:
				s.join(n)
				return created(show(n))
			}
		}
		return e.unknownPath(q)
	}
	i := slices.IndexFunc(s.numbers, func(n *number) bool { return n.sid == q.path[3] })
	if i < 0 {
		return q.notFound()
	}
	switch q.Method {
	case http.MethodGet:
		return ok(show(s.numbers[i]))
	case http.MethodDelete:
		s.numbers[i].leave()
		return gone()
	}
	return e.unknownPath(q)
}

func (e *Emulator) alphaSenders(q *request, s *service) result {
	show := func(x alphaSender) map[string]any {
		return map[string]any{"sid": x.sid, "account_sid": s.account.sid, "service_sid": s.sid, "date_created": iso(x.created), "date_updated": iso(x.created),
			"alpha_sender": x.name, "capabilities": []string{"SMS"}, "url": "https://messaging.twilio.com/v1/Services/" + s.sid + "/AlphaSenders/" + x.sid}
	}
	if len(q.path) == 3 {
		return metaPage(q, "alpha_senders", s.alpha, show)
	}
	i := slices.IndexFunc(s.alpha, func(x alphaSender) bool { return x.sid == q.path[3] })
	if i < 0 {
		return q.notFound()
	}
	return ok(show(s.alpha[i]))
}
