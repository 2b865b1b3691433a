package emulator_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/emulator"
)

// openapi.json holds facts of Twilio's OpenAPI files (twilio/twilio-oai, commit d50069b4):
// for every operation that the emulator serves the answer's code and schema, for every
// schema the properties. A property that refers to an enum may be null, because OpenAPI 3.0
// cannot say whether it is.
//
//go:embed testdata/openapi.json
var openapi []byte

type operation struct {
	Code         int
	Schema, List string
}

type property struct {
	Null                         bool
	Type, Format, Pattern, Items string
	Enum                         []string
}

// contract drives the emulator and holds every answer against Twilio's own description.
type contract struct {
	*stage
	Operations map[string][]operation
	Schemas    map[string]map[string]property
	driven     map[string]bool
}

func newContract(t *testing.T) *contract {
	c := &contract{stage: newStage(t, emulator.Options{}), driven: map[string]bool{}}
	c.must(json.Unmarshal(openapi, c))
	return c
}

var inBraces = regexp.MustCompile(`\{(\w+)\}`)

// v2010 is api for a path below the account.
func (c *contract) v2010(method, path string, ids []string, form ...string) map[string]any {
	c.Helper()
	return c.do(method, "api", "/2010-04-01/Accounts/{AccountSid}"+path, append([]string{accountSID}, ids...), form...)
}

// do makes a request to a path whose braces are filled with ids. The form is name, value …
func (c *contract) do(method, product, path string, ids []string, form ...string) map[string]any {
	c.Helper()
	key := method + " " + product + " " + path
	ops := c.Operations[key]
	if ops == nil {
		c.Fatalf("Twilio has no %s", key)
	}
	c.driven[key] = true
	n := 0
	at := inBraces.ReplaceAllStringFunc(path, func(string) string { n++; return ids[n-1] })
	v := url.Values{}
	for i := 0; i < len(form); i += 2 {
		v.Add(form[i], form[i+1])
	}
	q, err := http.NewRequestWithContext(c.ctx, method, c.rest.URL+at, strings.NewReader(v.Encode()))
	c.must(err)
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.Header.Set("X-Original-Host", product+".twilio.com")
	q.SetBasicAuth(accountSID, authToken)
	res, err := http.DefaultClient.Do(q)
	c.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	c.must(err)
	c.idle()
	i := slices.IndexFunc(ops, func(o operation) bool { return o.Code == res.StatusCode })
	if i < 0 {
		c.Fatalf("%s: answered %d %s", key, res.StatusCode, b)
	}
	op := ops[i]
	if op.Schema == "" {
		if len(b) > 0 {
			c.Errorf("%s: a body where none is: %s", key, b)
		}
		return nil
	}
	body := map[string]any{}
	c.must(json.Unmarshal(b, &body))
	if op.List == "" {
		c.check(key, op.Schema, body)
		return body
	}
	items, ok := body[op.List].([]any)
	if !ok || len(items) == 0 {
		c.Errorf("%s: no %s in %s", key, op.List, b)
	}
	for _, item := range items {
		c.check(key, op.Schema, item.(map[string]any))
	}
	return body
}

// check holds one resource against its schema.
func (c *contract) check(key, schema string, body map[string]any) {
	c.Helper()
	props := c.Schemas[schema]
	for name := range body {
		if _, known := props[name]; !known {
			c.Errorf("%s: %s is not in %s", key, name, schema)
		}
	}
	for name, p := range props {
		v, there := body[name]
		if !there {
			c.Errorf("%s: %s is missing", key, name)
		} else if wrong := p.wrong(v); wrong != "" {
			c.Errorf("%s: %s is %v: %s", key, name, v, wrong)
		}
	}
}

// wrong says what is wrong with a value.
func (p property) wrong(v any) string {
	if v == nil {
		if !p.Null {
			return "it is never null"
		}
		return ""
	}
	is := func(want string) bool {
		switch v := v.(type) {
		case string:
			return want == "string"
		case bool:
			return want == "boolean"
		case float64:
			return want == "number" || want == "integer" && v == float64(int64(v))
		case []any:
			return want == "array"
		case map[string]any:
			return want == "object"
		}
		return false
	}
	if p.Type != "any" && !is(p.Type) {
		return "not of type " + p.Type
	}
	if list, ok := v.([]any); ok && p.Items != "" {
		for _, x := range list {
			if wrong := (property{Type: p.Items}).wrong(x); wrong != "" {
				return "an item is " + wrong
			}
		}
	}
	s, ok := v.(string)
	if !ok || s == "" { // Twilio clears many properties to the empty text
		return ""
	}
	var err error
	switch p.Format {
	case "date-time-rfc-2822":
		_, err = time.Parse(time.RFC1123Z, s)
	case "date-time":
		_, err = time.Parse(time.RFC3339, s)
	case "uri":
		_, err = url.Parse(s)
	case "phone-number":
		if strings.HasPrefix(s, "+") && !regexp.MustCompile(`^\+[0-9]{7,15}$`).MatchString(s) {
			err = fmt.Errorf("not a phone number")
		}
	case "currency":
		if len(s) != 3 {
			err = fmt.Errorf("not a currency")
		}
	}
	switch {
	case err != nil:
		return "not " + p.Format
	case len(p.Enum) > 0 && !slices.Contains(p.Enum, s):
		return fmt.Sprintf("not one of %v", p.Enum)
	case p.Pattern != "" && !regexp.MustCompile(p.Pattern).MatchString(s):
		return "not like " + p.Pattern
	}
	return ""
}

func sid(body map[string]any) string { return body["sid"].(string) }

// crud drives create, list, fetch, update and delete of a resource and returns its SID;
// delete is left to the function it returns.
func (c *contract) crud(list, one string, ids []string, create, update []string) (string, func()) {
	c.Helper()
	id := sid(c.v2010("POST", list, ids, create...))
	all := append(slices.Clone(ids), id)
	c.v2010("GET", list, ids)
	c.v2010("GET", one, all)
	if update != nil {
		c.v2010("POST", one, all, update...)
	}
	return id, func() { c.v2010("DELETE", one, all) }
}

func TestAnswersAreThoseOfTwiliosOpenAPI(t *testing.T) {
	t.Parallel()
	c := newContract(t)
	c.settings()
	c.sipAndPush()
	c.texts()
	c.callsAndRecordings()
	c.conferences()
	c.queuesOfCalls()
	for key := range c.Operations {
		if !c.driven[key] {
			t.Errorf("nothing drives %s", key)
		}
	}
}

func (c *contract) settings() {
	c.do("GET", "api", "/2010-04-01/Accounts.json", nil)
	c.do("GET", "api", "/2010-04-01/Accounts/{Sid}.json", []string{accountSID})
	c.do("POST", "api", "/2010-04-01/Accounts/{Sid}.json", []string{accountSID}, "FriendlyName", "Acme")
	_, drop := c.crud("/Applications.json", "/Applications/{Sid}.json", nil, []string{"FriendlyName", "a", "VoiceUrl", "https://example.com/v"}, []string{"FriendlyName", "b"})
	drop()
	for _, kind := range []string{"Keys", "SigningKeys"} {
		_, drop = c.crud("/"+kind+".json", "/"+kind+"/{Sid}.json", nil, []string{"FriendlyName", "a"}, []string{"FriendlyName", "b"})
		drop()
	}
	_, drop = c.crud("/IncomingPhoneNumbers.json", "/IncomingPhoneNumbers/{Sid}.json", nil, []string{"PhoneNumber", "+15550007777"}, []string{"VoiceUrl", "https://example.com/v"})
	for kind, name := range map[string]string{"local": "Local", "mobile": "Mobile", "tollfree": "TollFree"} {
		_, err := c.e.AddNumber(accountSID, emulator.NumberSpec{E164: fmt.Sprintf("+1555000%04d", 8000+len(kind)), Type: kind})
		c.must(err)
		c.v2010("GET", "/IncomingPhoneNumbers/"+name+".json", nil)
	}
	drop()
	c.must(c.e.AddCallerID(accountSID, "+15558880000", "home"))
	ids := c.v2010("GET", "/OutgoingCallerIds.json", nil)["outgoing_caller_ids"].([]any)
	id := []string{sid(ids[0].(map[string]any))}
	c.v2010("GET", "/OutgoingCallerIds/{Sid}.json", id)
	c.v2010("POST", "/OutgoingCallerIds/{Sid}.json", id, "FriendlyName", "cottage")
	c.v2010("DELETE", "/OutgoingCallerIds/{Sid}.json", id)
	c.do("POST", "accounts", "/v1/AuthTokens/Secondary", nil)
	c.do("DELETE", "accounts", "/v1/AuthTokens/Secondary", nil)
}

func (c *contract) sipAndPush() {
	d, dropDomain := c.crud("/SIP/Domains.json", "/SIP/Domains/{Sid}.json", nil,
		[]string{"DomainName", "acme.sip.twilio.com", "VoiceUrl", "https://example.com/v", "SipRegistration", "true"}, []string{"FriendlyName", "Acme"})
	list, dropList := c.crud("/SIP/CredentialLists.json", "/SIP/CredentialLists/{Sid}.json", nil, []string{"FriendlyName", "phones"}, []string{"FriendlyName", "desks"})
	_, dropUser := c.crud("/SIP/CredentialLists/{CredentialListSid}/Credentials.json", "/SIP/CredentialLists/{CredentialListSid}/Credentials/{Sid}.json", []string{list},
		[]string{"Username", "desk", "Password", "IWasAtSignal2018"}, []string{"Password", "IWasAtSignal2019"})
	acl, dropACL := c.crud("/SIP/IpAccessControlLists.json", "/SIP/IpAccessControlLists/{Sid}.json", nil, []string{"FriendlyName", "office"}, []string{"FriendlyName", "branch"})
	_, dropIP := c.crud("/SIP/IpAccessControlLists/{IpAccessControlListSid}/IpAddresses.json", "/SIP/IpAccessControlLists/{IpAccessControlListSid}/IpAddresses/{Sid}.json", []string{acl},
		[]string{"FriendlyName", "router", "IpAddress", "198.51.100.1"}, []string{"CidrPrefixLength", "28"})
	for path, param := range map[string]string{"/Auth/Calls/CredentialListMappings": "CredentialListSid", "/Auth/Calls/IpAccessControlListMappings": "IpAccessControlListSid",
		"/Auth/Registrations/CredentialListMappings": "CredentialListSid", "/CredentialListMappings": "CredentialListSid", "/IpAccessControlListMappings": "IpAccessControlListSid"} {
		what := list
		if strings.HasPrefix(param, "Ip") {
			what = acl
		}
		_, drop := c.crud("/SIP/Domains/{DomainSid}"+path+".json", "/SIP/Domains/{DomainSid}"+path+"/{Sid}.json", []string{d}, []string{param, what}, nil)
		drop()
	}
	for _, drop := range []func(){dropIP, dropACL, dropUser, dropList, dropDomain} {
		drop()
	}
	p := sid(c.do("POST", "notify", "/v1/Credentials", nil, "Type", "fcm", "Secret", "key", "FriendlyName", "phones"))
	c.do("GET", "notify", "/v1/Credentials", nil)
	c.do("GET", "notify", "/v1/Credentials/{Sid}", []string{p})
	c.do("POST", "notify", "/v1/Credentials/{Sid}", []string{p}, "FriendlyName", "Android")
	c.do("DELETE", "notify", "/v1/Credentials/{Sid}", []string{p})
}

func (c *contract) texts() {
	m := sid(c.v2010("POST", "/Messages.json", nil, "From", office, "To", mobile, "Body", "hello"))
	c.advance(5 * time.Second)
	c.v2010("GET", "/Messages/{Sid}.json", []string{m})
	c.v2010("POST", "/Messages/{Sid}.json", []string{m}, "Body", "")
	in, err := c.e.SendText(mobile, office, "look", emulator.Media{ContentType: "image/png", Data: []byte("x")})
	c.must(err)
	c.idle()
	c.v2010("GET", "/Messages.json", nil)
	media := c.v2010("GET", "/Messages/{MessageSid}/Media.json", []string{in})["media_list"].([]any)
	ids := []string{in, sid(media[0].(map[string]any))}
	c.v2010("GET", "/Messages/{MessageSid}/Media/{Sid}.json", ids)
	c.v2010("DELETE", "/Messages/{MessageSid}/Media/{Sid}.json", ids)
	c.v2010("DELETE", "/Messages/{Sid}.json", []string{in})
	mg, err := c.e.AddService(accountSID, emulator.ServiceSpec{Name: "alerts", Numbers: []string{office}, Alpha: []string{"Acme"}})
	c.must(err)
	c.do("GET", "messaging", "/v1/Services", nil)
	c.do("GET", "messaging", "/v1/Services/{Sid}", []string{mg})
	list := c.do("GET", "messaging", "/v1/Services/{ServiceSid}/PhoneNumbers", []string{mg})["phone_numbers"].([]any)
	ids = []string{mg, sid(list[0].(map[string]any))}
	c.do("GET", "messaging", "/v1/Services/{ServiceSid}/PhoneNumbers/{Sid}", ids)
	c.do("DELETE", "messaging", "/v1/Services/{ServiceSid}/PhoneNumbers/{Sid}", ids)
	c.do("POST", "messaging", "/v1/Services/{ServiceSid}/PhoneNumbers", ids[:1], "PhoneNumberSid", ids[1])
	c.registrations(mg)
}

func (c *contract) registrations(mg string) {
	c.number(tollFree)
	for _, status := range []string{emulator.TollFreeRejected, emulator.TollFreeApproved} {
		c.must(c.e.SetTollFree(tollFree, status))
		first := c.do("GET", "messaging", "/v1/Tollfree/Verifications", nil)["verifications"].([]any)[0].(map[string]any)
		c.do("GET", "messaging", "/v1/Tollfree/Verifications/{Sid}", []string{sid(first)})
	}
	for _, status := range []string{emulator.CampaignFailed, emulator.CampaignVerified} {
		c.must(c.e.SetCampaign(mg, status))
		first := c.do("GET", "messaging", "/v1/Services/{MessagingServiceSid}/Compliance/Usa2p", []string{mg})["compliance"].([]any)[0].(map[string]any)
		c.do("GET", "messaging", "/v1/Services/{MessagingServiceSid}/Compliance/Usa2p/{Sid}", []string{mg, sid(first)})
	}
	brand := c.do("GET", "messaging", "/v1/a2p/BrandRegistrations", nil)["data"].([]any)[0].(map[string]any)
	c.do("GET", "messaging", "/v1/a2p/BrandRegistrations/{Sid}", []string{sid(brand)})
	alpha := c.do("GET", "messaging", "/v1/Services/{ServiceSid}/AlphaSenders", []string{mg})["alpha_senders"].([]any)[0].(map[string]any)
	c.do("GET", "messaging", "/v1/Services/{ServiceSid}/AlphaSenders/{Sid}", []string{mg, sid(alpha)})
	c.do("GET", "accounts", "/v1/Messaging/GeoPermissions", nil)
	c.do("GET", "pricing", "/v1/Messaging/Countries", nil)
	c.do("GET", "pricing", "/v1/Messaging/Countries/{IsoCountry}", []string{"AU"})
}

func (c *contract) callsAndRecordings() {
	c.answer("/out", `<Response><Pause length="60"/></Response>`)
	call := []string{sid(c.v2010("POST", "/Calls.json", nil, "From", office, "To", mobile, "Url", c.hooks.URL+"/out", "MachineDetection", "Enable"))}
	c.v2010("GET", "/Calls/{Sid}.json", call)
	c.pickUp(mobile)
	c.advance(3 * time.Second)
	rec := append(call, sid(c.v2010("POST", "/Calls/{CallSid}/Recordings.json", call)))
	c.v2010("POST", "/Calls/{CallSid}/Recordings/{Sid}.json", rec, "Status", "paused")
	c.v2010("POST", "/Calls/{CallSid}/Recordings/{Sid}.json", rec, "Status", "in-progress")
	c.must(c.e.Speak(call[0], 5*time.Second))
	c.advance(5 * time.Second)
	c.v2010("GET", "/Recordings/{Sid}.json", rec[1:])
	c.v2010("POST", "/Calls/{CallSid}/Recordings/{Sid}.json", rec, "Status", "stopped")
	c.v2010("GET", "/Recordings/{Sid}.json", rec[1:]) // processing
	c.advance(2 * time.Second)
	c.v2010("GET", "/Calls/{CallSid}/Recordings.json", call)
	c.v2010("GET", "/Calls/{CallSid}/Recordings/{Sid}.json", rec)
	c.v2010("GET", "/Recordings.json", nil)
	c.v2010("GET", "/Recordings/{Sid}.json", rec[1:])
	c.v2010("DELETE", "/Recordings/{Sid}.json", rec[1:])
	again := append(call, sid(c.v2010("POST", "/Calls/{CallSid}/Recordings.json", call)))
	c.must(c.e.Speak(call[0], 3*time.Second))
	c.advance(3 * time.Second)
	c.v2010("POST", "/Calls/{Sid}.json", call, "Status", "completed")
	c.advance(2 * time.Second)
	c.v2010("DELETE", "/Calls/{CallSid}/Recordings/{Sid}.json", again)
	c.v2010("GET", "/Calls/{Sid}.json", call)
	c.call(second, office) // inbound, ended at once
	c.v2010("GET", "/Calls.json", nil)
	c.v2010("DELETE", "/Calls/{Sid}.json", call)
}

func (c *contract) conferences() {
	c.answer("/voice", `<Response><Dial><Conference record="record-from-start">room</Conference></Dial></Response>`)
	caller := c.call(mobile, office)
	room := sid(c.v2010("GET", "/Conferences.json", nil)["conferences"].([]any)[0].(map[string]any))
	one := []string{room}
	guest := c.v2010("POST", "/Conferences/{ConferenceSid}/Participants.json", one, "From", office, "To", second, "Label", "guest")["call_sid"].(string)
	c.v2010("GET", "/Conferences/{ConferenceSid}/Participants.json", one)
	c.pickUp(second)
	c.advance(time.Second)
	c.must(c.e.Speak(caller, 3*time.Second))
	c.advance(3 * time.Second)
	c.v2010("GET", "/Conferences/{Sid}.json", one)
	c.v2010("GET", "/Conferences/{ConferenceSid}/Participants/{CallSid}.json", []string{room, guest})
	c.v2010("POST", "/Conferences/{ConferenceSid}/Participants/{CallSid}.json", []string{room, "guest"}, "Muted", "true")
	rec := c.v2010("GET", "/Conferences/{ConferenceSid}/Recordings.json", one)["recordings"].([]any)
	ids := []string{room, sid(rec[0].(map[string]any))}
	c.v2010("GET", "/Conferences/{ConferenceSid}/Recordings/{Sid}.json", ids)
	c.v2010("POST", "/Conferences/{ConferenceSid}/Recordings/{Sid}.json", ids, "Status", "paused")
	c.v2010("DELETE", "/Conferences/{ConferenceSid}/Participants/{CallSid}.json", []string{room, guest})
	c.v2010("POST", "/Conferences/{Sid}.json", one, "Status", "completed")
	c.advance(2 * time.Second)
	c.v2010("GET", "/Conferences/{Sid}.json", one)
	c.v2010("DELETE", "/Conferences/{ConferenceSid}/Recordings/{Sid}.json", ids)
}

func (c *contract) queuesOfCalls() {
	q, drop := c.crud("/Queues.json", "/Queues/{Sid}.json", nil, []string{"FriendlyName", "support"}, []string{"MaxSize", "50"})
	c.answer("/voice", `<Response><Enqueue>support</Enqueue></Response>`)
	c.answer("/next", `<Response><Hangup/></Response>`)
	ids := []string{q, c.call(mobile, office)}
	c.v2010("GET", "/Queues/{QueueSid}/Members.json", ids[:1])
	c.v2010("GET", "/Queues/{QueueSid}/Members/{CallSid}.json", ids)
	c.v2010("POST", "/Queues/{QueueSid}/Members/{CallSid}.json", ids, "Url", c.hooks.URL+"/next")
	drop()
	c.do("POST", "accounts", "/v1/AuthTokens/Secondary", nil)
	c.do("POST", "accounts", "/v1/AuthTokens/Promote", nil) // the last: the old token is dead
}
