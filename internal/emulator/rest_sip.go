package emulator

import (
	"cmp"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

var domainForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,60}\.sip\.twilio\.com$`)

// domainFields are the settings of a domain in REST and in JSON.
var domainFields = []struct{ param, json string }{
	{"VoiceUrl", "voice_url"}, {"VoiceFallbackUrl", "voice_fallback_url"}, {"VoiceStatusCallbackUrl", "voice_status_callback_url"},
	{"VoiceMethod", "voice_method"}, {"VoiceFallbackMethod", "voice_fallback_method"}, {"VoiceStatusCallbackMethod", "voice_status_callback_method"},
	{"FriendlyName", "friendly_name"}, {"ByocTrunkSid", "byoc_trunk_sid"}, {"EmergencyCallerSid", "emergency_caller_sid"},
}

var domainFlags = []struct{ param, json string }{
	{"SipRegistration", "sip_registration"}, {"EmergencyCallingEnabled", "emergency_calling_enabled"}, {"Secure", "secure"},
}

func (d *sipDomain) uri() string {
	return "/2010-04-01/Accounts/" + d.account.sid + "/SIP/Domains/" + d.sid
}

func (d *sipDomain) json() map[string]any {
	u := d.uri()
	var auth []string
	if len(d.acls) > 0 {
		auth = append(auth, "IP_ACL")
	}
	if len(d.calls) > 0 {
		auth = append(auth, "CREDENTIAL_LIST")
	}
	body := map[string]any{"sid": d.sid, "account_sid": d.account.sid, "api_version": "2010-04-01", "domain_name": d.name, "auth_type": strings.Join(auth, ","),
		"date_created": rfc2822(d.created), "date_updated": rfc2822(d.updated), "uri": u + ".json",
		"subresource_uris": map[string]any{"credential_list_mappings": u + "/CredentialListMappings.json", "ip_access_control_list_mappings": u + "/IpAccessControlListMappings.json"}}
	for _, f := range domainFields {
		v := d.fields[f.param]
		if strings.HasSuffix(f.param, "Method") {
			v = cmp.Or(v, http.MethodPost)
		}
		body[f.json] = null(v)
	}
	for _, f := range domainFlags {
		body[f.json] = d.flag(f.param)
	}
	return body
}

// sipResource is everything below /SIP.
func (e *Emulator) sipResource(q *request) result {
	if len(q.path) < 2 {
		return e.unknownPath(q)
	}
	s := &q.account.sip
	kind := q.path[1]
	q.path = q.path[2:]
	switch kind {
	case "Domains":
		return e.sipDomains(q)
	case "CredentialLists":
		return e.sipLists(q, &s.lists, credentials)
	case "IpAccessControlLists":
		return e.sipLists(q, &s.acls, addresses)
	}
	return e.unknownPath(q)
}

func (e *Emulator) sipDomains(q *request) result {
	s := &q.account.sip
	if len(q.path) == 0 {
		switch q.Method {
		case http.MethodGet:
			return page(q, "domains", newestFirst(s.domains), func(d *sipDomain) string { return d.sid }, (*sipDomain).json)
		case http.MethodPost:
			d := &sipDomain{account: q.account, sid: e.sid("SD"), fields: map[string]string{}, created: e.at, updated: e.at}
			if q.get("DomainName") == "" {
				return fail(21232, "DomainName is required")
			}
			if bad := e.setDomain(q, d); bad.status != 0 {
				return bad
			}
			s.domains = append(s.domains, d)
			return created(d.json())
		}
		return e.unknownPath(q)
	}
	i := slices.IndexFunc(s.domains, func(d *sipDomain) bool { return d.sid == q.path[0] })
	if i < 0 {
		return q.notFound()
	}
	d := s.domains[i]
	switch rest := strings.Join(q.path[1:min(len(q.path), 4)], "/"); {
	case rest == "":
	case strings.HasPrefix(rest, "Auth/Calls/CredentialListMappings"):
		return e.sipMappings(q, q.path[4:], d, &d.calls, s.lists, "CredentialListSid", "contents")
	case strings.HasPrefix(rest, "Auth/Calls/IpAccessControlListMappings"):
		return e.sipMappings(q, q.path[4:], d, &d.acls, s.acls, "IpAccessControlListSid", "contents")
	case strings.HasPrefix(rest, "Auth/Registrations/CredentialListMappings"):
		return e.sipMappings(q, q.path[4:], d, &d.registrations, s.lists, "CredentialListSid", "contents")
	case q.path[1] == "CredentialListMappings":
		return e.sipMappings(q, q.path[2:], d, &d.calls, s.lists, "CredentialListSid", "credential_list_mappings")
	case q.path[1] == "IpAccessControlListMappings":
		return e.sipMappings(q, q.path[2:], d, &d.acls, s.acls, "IpAccessControlListSid", "ip_access_control_list_mappings")
	default:
		return e.unknownPath(q)
	}
	switch q.Method {
	case http.MethodDelete:
		s.domains = slices.Delete(s.domains, i, i+1)
		for at := range s.contacts {
			if strings.HasSuffix(at, "@"+d.name) {
				delete(s.contacts, at)
			}
		}
		return gone()
	case http.MethodPost:
		if bad := e.setDomain(q, d); bad.status != 0 {
			return bad
		}
	}
	return ok(d.json())
}

// setDomain writes what the request carries, or nothing.
func (e *Emulator) setDomain(q *request, d *sipDomain) result {
	name := d.name
	if v := strings.ToLower(q.form.Get("DomainName")); v != "" && v != name {
		if !domainForm.MatchString(v) {
			return fail(21232, "DomainName must end with .sip.twilio.com")
		}
		if e.sipDomain(v) != nil {
			return fail(21231, "The domain "+clip(v, 80)+" is taken")
		}
		name = v
	}
	fields := map[string]string{}
	for _, f := range append(slices.Clone(domainFields), domainFlags...) {
		if !q.form.Has(f.param) {
			continue
		}
		v := q.form.Get(f.param)
		switch {
		case strings.HasSuffix(f.param, "Url") && v != "" && !webURL(v):
			return fail(21231, f.param+" is not a valid URL")
		case strings.HasSuffix(f.param, "Method") && v != http.MethodGet && v != http.MethodPost:
			return fail(21231, f.param+" must be GET or POST")
		case f.param == "FriendlyName" && len([]rune(v)) > 64:
			return fail(21231, "FriendlyName is longer than 64 characters")
		}
		fields[f.param] = v
	}
	d.name, d.updated = name, e.at
	for k, v := range fields {
		d.fields[k] = v
	}
	return result{}
}

// sipMappings puts lists in force for calls or registrations of a domain.
func (e *Emulator) sipMappings(q *request, path []string, d *sipDomain, maps *[]*sipMapping, lists []*sipList, param, plural string) result {
	show := func(m *sipMapping) map[string]any {
		body := map[string]any{"account_sid": d.account.sid, "sid": m.list.sid, "friendly_name": m.list.name, "date_created": rfc2822(m.at), "date_updated": rfc2822(m.at)}
		if plural != "contents" { // the older way
			kind := "CredentialListMappings"
			if param != "CredentialListSid" {
				kind = "IpAccessControlListMappings"
			}
			body["domain_sid"], body["uri"] = d.sid, d.uri()+"/"+kind+"/"+m.list.sid+".json"
		}
		return body
	}
	find := func(sid string) int {
		return slices.IndexFunc(*maps, func(m *sipMapping) bool { return m.list.sid == sid })
	}
	if len(path) == 0 {
		switch q.Method {
		case http.MethodGet:
			return page(q, plural, *maps, func(m *sipMapping) string { return m.list.sid }, show)
		case http.MethodPost:
			sid := q.get(param)
			i := slices.IndexFunc(lists, func(l *sipList) bool { return l.sid == sid })
			if i < 0 {
				return fail(21231, param+" is not a list of this account")
			}
			if j := find(sid); j >= 0 {
				return created(show((*maps)[j]))
			}
			m := &sipMapping{list: lists[i], at: e.at}
			*maps = append(*maps, m)
			return created(show(m))
		}
		return e.unknownPath(q)
	}
	i := find(path[0])
	if i < 0 || len(path) > 1 {
		return q.notFound()
	}
	switch q.Method {
	case http.MethodGet:
		return ok(show((*maps)[i]))
	case http.MethodDelete:
		*maps = slices.Delete(*maps, i, i+1)
		return gone()
	}
	return e.unknownPath(q)
}

// sipKind is what credential lists and IP lists differ in.
type sipKind struct {
	path, plural, prefix     string // of the lists
	sub, subPlural, subSID   string // of their entries
	listField                string
	invalid, inUse, badEntry int
	show                     func(*sipEntry, map[string]any)
	set                      func(*request, *sipList, *sipEntry, bool) string // what is wrong
}

var credentials = &sipKind{path: "CredentialLists", plural: "credential_lists", prefix: "CL", sub: "Credentials", subPlural: "credentials", subSID: "CR",
	listField: "credential_list_sid", invalid: 21240, inUse: 21241, badEntry: 21243,
	show: func(x *sipEntry, body map[string]any) { body["username"] = x.username },
	set: func(q *request, l *sipList, x *sipEntry, fresh bool) string {
		if fresh {
			x.username = q.get("Username")
			if x.username == "" || len(x.username) > 32 || strings.ContainsAny(x.username, " @:\r\n") {
				return "Username must have 1 to 32 characters and no blanks"
			}
			if slices.ContainsFunc(l.entries, func(o *sipEntry) bool { return o.username == x.username }) {
				return "the list has this Username already"
			}
			if len(l.entries) >= 1000 {
				return "a list holds 1000 credentials"
			}
		}
		if !fresh && !q.form.Has("Password") {
			return ""
		}
		if x.secret = q.get("Password"); !strongSecret(x.secret) {
			return "Password must have 12 characters, a digit and mixed case"
		}
		return ""
	}}

var addresses = &sipKind{path: "IpAccessControlLists", plural: "ip_access_control_lists", prefix: "AL", sub: "IpAddresses", subPlural: "ip_addresses", subSID: "IP",
	listField: "ip_access_control_list_sid", invalid: 21235, inUse: 21236, badEntry: 21238,
	show: func(x *sipEntry, body map[string]any) {
		body["friendly_name"], body["ip_address"], body["cidr_prefix_length"] = x.name, x.ip, x.bits
	},
	set: func(q *request, _ *sipList, x *sipEntry, _ bool) string {
		x.name, x.ip = cmp.Or(q.get("FriendlyName"), x.name), cmp.Or(q.get("IpAddress"), x.ip)
		addr, err := netip.ParseAddr(x.ip)
		if err != nil || x.name == "" {
			return "IpAddress and FriendlyName are required"
		}
		if x.bits == 0 {
			x.bits = addr.BitLen()
		}
		if v := q.get("CidrPrefixLength"); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > addr.BitLen() {
				return "CidrPrefixLength is out of range"
			}
			x.bits = n
		}
		return ""
	}}

// strongSecret is Twilio's rule for the passwords of SIP phones.
func strongSecret(s string) bool {
	return len(s) >= 12 && strings.ContainsFunc(s, unicode.IsDigit) && strings.ContainsFunc(s, unicode.IsUpper) && strings.ContainsFunc(s, unicode.IsLower)
}

// sipLists is the CRUD of lists and, below one, of its entries.
func (e *Emulator) sipLists(q *request, lists *[]*sipList, k *sipKind) result {
	base := "/2010-04-01/Accounts/" + q.account.sid + "/SIP/" + k.path + "/"
	show := func(l *sipList) map[string]any {
		entries := base + l.sid + "/" + k.sub + ".json"
		return map[string]any{"sid": l.sid, "account_sid": l.account.sid, "friendly_name": l.name, "date_created": rfc2822(l.created), "date_updated": rfc2822(l.updated),
			"subresource_uris": map[string]any{k.subPlural: entries}, "uri": base + l.sid + ".json"}
	}
	if len(q.path) == 0 {
		switch q.Method {
		case http.MethodGet:
			return page(q, k.plural, newestFirst(*lists), func(l *sipList) string { return l.sid }, show)
		case http.MethodPost:
			if n := len([]rune(q.get("FriendlyName"))); n == 0 || n > 64 {
				return fail(k.invalid, "FriendlyName must have 1 to 64 characters")
			}
			l := &sipList{account: q.account, sid: e.sid(k.prefix), name: q.get("FriendlyName"), created: e.at, updated: e.at}
			*lists = append(*lists, l)
			return created(show(l))
		}
		return e.unknownPath(q)
	}
	i := slices.IndexFunc(*lists, func(l *sipList) bool { return l.sid == q.path[0] })
	if i < 0 {
		return q.notFound()
	}
	l := (*lists)[i]
	if len(q.path) > 1 {
		if q.path[1] != k.sub || len(q.path) > 3 {
			return e.unknownPath(q)
		}
		return e.sipEntries(q, l, k, base+l.sid+"/"+k.sub+"/")
	}
	switch q.Method {
	case http.MethodDelete:
		for _, d := range q.account.sip.domains {
			uses := func(m *sipMapping) bool { return m.list == l }
			if slices.ContainsFunc(d.calls, uses) || slices.ContainsFunc(d.acls, uses) || slices.ContainsFunc(d.registrations, uses) {
				return fail(k.inUse, "the list is in use by the domain "+d.name)
			}
		}
		*lists = slices.Delete(*lists, i, i+1)
		return gone()
	case http.MethodPost:
		l.name, l.updated = cmp.Or(q.get("FriendlyName"), l.name), e.at
	}
	return ok(show(l))
}

func (e *Emulator) sipEntries(q *request, l *sipList, k *sipKind, base string) result {
	show := func(x *sipEntry) map[string]any {
		body := map[string]any{"sid": x.sid, "account_sid": l.account.sid, k.listField: l.sid, "date_created": rfc2822(x.created), "date_updated": rfc2822(x.updated),
			"uri": base + x.sid + ".json"}
		k.show(x, body)
		return body
	}
	if len(q.path) == 2 {
		switch q.Method {
		case http.MethodGet:
			return page(q, k.subPlural, newestFirst(l.entries), func(x *sipEntry) string { return x.sid }, show)
		case http.MethodPost:
			x := &sipEntry{sid: e.sid(k.subSID), created: e.at, updated: e.at}
			if wrong := k.set(q, l, x, true); wrong != "" {
				return fail(k.badEntry, wrong)
			}
			l.entries = append(l.entries, x)
			return created(show(x))
		}
		return e.unknownPath(q)
	}
	i := slices.IndexFunc(l.entries, func(x *sipEntry) bool { return x.sid == q.path[2] })
	if i < 0 {
		return q.notFound()
	}
	switch q.Method {
	case http.MethodDelete:
		l.entries = slices.Delete(l.entries, i, i+1)
		return gone()
	case http.MethodPost:
		next := *l.entries[i]
		if wrong := k.set(q, l, &next, false); wrong != "" {
			return fail(k.badEntry, wrong)
		}
		next.updated = e.at
		*l.entries[i] = next
	}
	return ok(show(l.entries[i]))
}
