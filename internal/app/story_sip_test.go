package app_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

const (
	sipDomain   = "acme.sip.twilio.com"
	sipPassword = "Sip-Password-1"
)

// twilio is a request of somebody with the account's token, such as the Console's.
func (s *story) twilio(method, path string, form url.Values) map[string]any {
	s.t.Helper()
	r := httptest.NewRequest(method, "https://api.twilio.com/2010-04-01/Accounts/"+s.AccountSID+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(s.AccountSID, stage.AuthToken)
	w := httptest.NewRecorder()
	s.Emulator.ServeHTTP(w, r)
	if w.Code >= http.StatusMultipleChoices {
		s.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	var out map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &out) // a deletion says nothing
	return out
}

type sipView struct {
	ID, DomainName string
	IsEnabled      bool
	Checks         []struct {
		Code string
		IsOk bool
		Fix  *string
	}
}

// lacks are the needs of the domain that are not met.
func (d sipView) lacks() (codes []string) {
	for _, c := range d.Checks {
		if !c.IsOk {
			codes = append(codes, c.Code)
		}
	}
	return codes
}

const sipFields = `id domainName isEnabled checks { code isOk fix }`

// domains reads the account's SIP domains anew.
func (s *story) domains() []sipView {
	s.t.Helper()
	var out struct {
		SipDomainsImport struct{ SipDomains []sipView }
	}
	s.Do(`mutation($c: ID!) { sipDomainsImport(connectionId: $c) { sipDomains { `+sipFields+` } userErrors { code field message } } }`, demo.Vars{"c": s.ConnectionID}, &out)
	return out.SipDomainsImport.SipDomains
}

func (s *story) useDomain(id string, on bool) sipView {
	s.t.Helper()
	var out struct{ SipDomainUpdate struct{ SipDomain sipView } }
	s.Do(`mutation($d: ID!, $on: Boolean!) { sipDomainUpdate(id: $d, isEnabled: $on) { sipDomain { `+sipFields+` } userErrors { code field message } } }`,
		demo.Vars{"d": id, "on": on}, &out)
	return out.SipDomainUpdate.SipDomain
}

// sipPhones sets a SIP domain up as R256 says, enables it and registers a phone for each user.
func (s *story) sipPhones(users ...string) (domain, twilioSid string) {
	s.t.Helper()
	sid, err := s.Emulator.AddSIPDomain(s.AccountSID, sipDomain, map[string]string{"FriendlyName": "Phones", "SipRegistration": "true"})
	s.Must(err)
	list := s.twilio("POST", "/SIP/CredentialLists.json", url.Values{"FriendlyName": {"phones"}})["sid"].(string)
	for _, u := range users {
		s.twilio("POST", "/SIP/CredentialLists/"+list+"/Credentials.json", url.Values{"Username": {u}, "Password": {sipPassword}})
	}
	for _, what := range []string{"Calls", "Registrations"} {
		s.twilio("POST", "/SIP/Domains/"+sid+"/Auth/"+what+"/CredentialListMappings.json", url.Values{"CredentialListSid": {list}})
	}
	for _, u := range users {
		s.Must(s.Emulator.RegisterSIP(sipDomain, u, sipPassword))
	}
	d := s.domains()[0]
	s.useDomain(d.ID, true)
	return d.ID, sid
}

func TestASIPDomainIsCheckedUsedAndGivenBack(t *testing.T) { // R255, R256, D22
	s := newStory(t)
	s.Number(officeNumber, nil)
	const theirs = "https://pbx.example.com/voice"
	sid, err := s.Emulator.AddSIPDomain(s.AccountSID, sipDomain, map[string]string{"VoiceUrl": theirs})
	s.Must(err)
	d := s.domains()[0]
	if want := []string{"FRIENDLY_NAME", "CALL_CREDENTIALS", "REGISTRATION", "REGISTRATION_CREDENTIALS", "WEBHOOK"}; !slices.Equal(d.lacks(), want) || d.IsEnabled || d.DomainName != sipDomain {
		t.Errorf("a bare domain lacks %v, want %v", d.lacks(), want)
	}
	for _, c := range d.Checks {
		if c.IsOk != (c.Fix == nil) {
			t.Errorf("%s: ok %v, fix %v", c.Code, c.IsOk, c.Fix)
		}
	}
	s.twilio("POST", "/SIP/Domains/"+sid+".json", url.Values{"FriendlyName": {"Phones"}, "SipRegistration": {"true"}})
	list := s.twilio("POST", "/SIP/CredentialLists.json", url.Values{"FriendlyName": {"phones"}})["sid"].(string)
	for _, what := range []string{"Calls", "Registrations"} {
		s.twilio("POST", "/SIP/Domains/"+sid+"/Auth/"+what+"/CredentialListMappings.json", url.Values{"CredentialListSid": {list}})
	}
	if d = s.useDomain(d.ID, true); len(d.lacks()) != 0 || !d.IsEnabled {
		t.Errorf("set up and enabled it lacks %v", d.lacks())
	}
	at := func() string {
		v, _ := s.twilio("GET", "/SIP/Domains/"+sid+".json", nil)["voice_url"].(string)
		return v
	}
	if !strings.HasPrefix(at(), s.URL+"/twilio/"+s.ConnectionID) {
		t.Errorf("its calls go to %s", at())
	}
	s.useDomain(d.ID, true) // again: what stood there before is not forgotten
	if s.useDomain(d.ID, false); at() != theirs {
		t.Errorf("given back it sends calls to %s, want %s", at(), theirs)
	}
	s.useDomain(d.ID, true)
	s.twilio("POST", "/SIP/Domains/"+sid+".json", url.Values{"VoiceUrl": {"https://other.example.com/"}})
	if s.useDomain(d.ID, false); at() != "https://other.example.com/" {
		t.Errorf("what somebody changed since was pushed aside: %s", at())
	}
	s.useDomain(d.ID, true)
	s.Do(`mutation($c: ID!) { twilioConnectionDisconnect(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": s.ConnectionID}, nil)
	if at() != "https://other.example.com/" {
		t.Errorf("disconnected, it sends calls to %s", at())
	}
}

func TestCallsToAndFromSIPPhones(t *testing.T) { // R060, R090, R091, R257, R258, D22
	o := newOutbound(t)
	bob := o.User("bob", "OFFICE", "", o.branch)
	o.change(o.ann, demo.Vars{"sipAddress": "ann@" + sipDomain})
	o.change(bob, demo.Vars{"sipAddress": "bob@" + sipDomain, "extension": "12"})
	domain, _ := o.sipPhones("ann", "bob", "cec")
	o.set(o.line, demo.Vars{"routing": demo.Vars{"reachBy": "SIP_ADDRESS"}})

	sid := o.dial(customer, officeNumber)
	o.wantRinging("sip:ann@"+sipDomain, "sip:bob@"+sipDomain) // R060
	o.answer("sip:bob@" + sipDomain)
	o.Pass(5 * time.Second)
	if c := o.call(sid); c.Status != "IN_PROGRESS" || name(c.AnsweredBy) != "bob" {
		t.Errorf("answered on a SIP phone: %s", c)
	}
	o.hangUp(sid)

	calls := func(user, to string) string {
		t.Helper()
		sid, err := o.Emulator.CallSIP(emulator.SIPCall{Domain: sipDomain, User: user, Password: sipPassword, To: to})
		o.Must(err)
		o.idle()
		return sid
	}
	said := func(sid string) string {
		list := o.asked(sid)
		return list[len(list)-1].Answer
	}
	for _, x := range []struct {
		claim, to, rings, shown string
	}{
		{"a national number", "2025550188", callee, officeNumber}, // R018
		{"an international number", "+12025550188", callee, officeNumber},
		{"an extension", "12", "sip:bob@" + sipDomain, ""}, // R258
		{"a colleague by name", "bob", "sip:bob@" + sipDomain, ""},
	} {
		sid := calls("ann", x.to)
		o.wantRinging(x.rings)
		for _, l := range o.Emulator.Ringing(x.rings) {
			if x.shown != "" && l.From != x.shown {
				t.Errorf("%s: the other side sees %s", x.claim, l.From)
			}
		}
		o.answer(x.rings)
		o.Pass(3 * time.Second)
		c := o.call(sid)
		if c.Status != "IN_PROGRESS" || name(c.User) != "ann" || c.Legs[0].Kind != "SIP" {
			t.Errorf("%s: the log says %s", x.claim, c)
		}
		o.hangUp(sid)
		o.Settle()
		if c = o.call(sid); c.Status != "COMPLETED" || number(c.TalkSeconds) != 3 {
			t.Errorf("%s: in the end the log says %s", x.claim, c)
		}
	}
	for _, x := range []struct{ claim, user, to, words string }{
		{"help", "ann", "911", "emergency"},
		{"a number that is none", "ann", "99", ""},
		{"nobody's phone", "cec", "2025550188", "nobody"},
		{"a phone that calls itself", "bob", "12", "own extension"},
	} {
		sid := calls(x.user, x.to)
		o.wantRinging()
		if doc := said(sid); !strings.Contains(doc, "<Say") || !strings.Contains(strings.ToLower(doc), x.words) {
			t.Errorf("%s is answered\n%s", x.claim, doc)
		}
		o.Pass(time.Minute)
	}
	o.useDomain(domain, false)
	o.dial(customer, officeNumber)
	o.wantRinging() // an address at a domain that is not in use is not rung
	o.clean()
}
