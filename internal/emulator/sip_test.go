package emulator_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

const (
	domain = "acme.sip.twilio.com"
	secret = "IWasAtSignal2018"
)

// sipStage is an account with a domain, whose credential list holds desk.
func sipStage(t *testing.T, calls, registrations bool) *stage {
	s := newStage(t, emulator.Options{})
	d, err := s.tw.Api.CreateSipDomain((&api.CreateSipDomainParams{}).SetDomainName(domain).SetVoiceUrl(s.hooks.URL + "/sip").SetSipRegistration(true).
		SetVoiceStatusCallbackUrl(s.hooks.URL + "/sipstatus"))
	s.must(err)
	l, err := s.tw.Api.CreateSipCredentialList((&api.CreateSipCredentialListParams{}).SetFriendlyName("phones"))
	s.must(err)
	_, err = s.tw.Api.CreateSipCredential(*l.Sid, (&api.CreateSipCredentialParams{}).SetUsername("desk").SetPassword(secret))
	s.must(err)
	if calls {
		_, err = s.tw.Api.CreateSipAuthCallsCredentialListMapping(*d.Sid, (&api.CreateSipAuthCallsCredentialListMappingParams{}).SetCredentialListSid(*l.Sid))
		s.must(err)
	}
	if registrations {
		_, err = s.tw.Api.CreateSipAuthRegistrationsCredentialListMapping(*d.Sid, (&api.CreateSipAuthRegistrationsCredentialListMappingParams{}).SetCredentialListSid(*l.Sid))
		s.must(err)
	}
	return s
}

func sipCode(err error) int {
	var s *emulator.SIPError
	if errors.As(err, &s) {
		return s.Code
	}
	return 0
}

func TestSIPPhoneCallsThroughItsDomain(t *testing.T) {
	t.Parallel()
	s := sipStage(t, true, false)
	s.answer("/sip", `<Response><Dial callerId="`+office+`"><Number>`+second+`</Number></Dial></Response>`)
	sid, err := s.e.CallSIP(emulator.SIPCall{Domain: domain, User: "desk", Password: secret, To: "5557654322", Headers: map[string]string{"X-Lead": "7", "Via": "x"}})
	s.must(err)
	s.idle()
	f := s.last("/sip")
	for k, v := range map[string]string{"From": "sip:desk@" + domain, "To": "sip:5557654322@" + domain, "SipDomain": domain, "SipUsername": "desk",
		"SipHeader_X-Lead": "7", "SipHeader_Via": "", "Direction": "inbound", "CallStatus": "ringing", "SipSourceIp": "203.0.113.5"} {
		if f.Get(k) != v {
			t.Errorf("%s is %q, want %q", k, f.Get(k), v)
		}
	}
	if f.Get("SipCallId") == "" || len(f.Get("SipDomainSid")) != 34 {
		t.Errorf("SipCallId %q, SipDomainSid %q", f.Get("SipCallId"), f.Get("SipDomainSid"))
	}
	if len(s.e.Ringing(second)) != 1 {
		t.Error("nothing rings")
	}
	s.must(s.e.HangUp(sid))
	s.idle()
	if got := s.last("/sipstatus").Get("CallStatus"); got != "completed" {
		t.Errorf("the domain's status callback: %s", got)
	}
	s.quiet()
}

func TestSIPPhonesAreAuthenticatedForCallsAndRegistrationsApart(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why                  string
		calls, registrations bool
		user, password       string
		call, register       int
	}{
		"both mapped":        {"", true, true, "desk", secret, 0, 0},
		"calls only":         {"a list for calls grants no registration", true, false, "desk", secret, 0, 32212},
		"registrations only": {"and the reverse", false, true, "desk", secret, 32200, 0},
		"wrong password":     {"", true, true, "desk", "nonsense", 32202, 32202},
		"unknown user":       {"", true, true, "nobody", secret, 32202, 32202},
	} {
		s := sipStage(t, tc.calls, tc.registrations)
		s.answer("/sip", `<Response/>`)
		if _, err := s.e.CallSIP(emulator.SIPCall{Domain: domain, User: tc.user, Password: tc.password, To: "1"}); sipCode(err) != tc.call {
			t.Errorf("%s: call: %v, want %d (%s)", name, err, tc.call, tc.why)
		}
		if err := s.e.RegisterSIP(domain, tc.user, tc.password); sipCode(err) != tc.register {
			t.Errorf("%s: register: %v, want %d (%s)", name, err, tc.register, tc.why)
		}
	}
}

func TestRegistrationMustBeOn(t *testing.T) {
	t.Parallel()
	s := sipStage(t, true, true)
	list, err := s.tw.Api.ListSipDomain(nil)
	s.must(err)
	_, err = s.tw.Api.UpdateSipDomain(*list[0].Sid, (&api.UpdateSipDomainParams{}).SetSipRegistration(false))
	s.must(err)
	if err := s.e.RegisterSIP(domain, "desk", secret); sipCode(err) != 32210 {
		t.Errorf("registered: %v", err)
	}
	if err := s.e.RegisterSIP("other.sip.twilio.com", "desk", secret); sipCode(err) != 32002 {
		t.Errorf("unknown domain: %v", err)
	}
}

func TestOnlyRegisteredUsersOfADomainRing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, to, code string
		register      bool
		status        string
	}{
		"registered":   {"", "sip:desk@" + domain, "", true, "ringing"},
		"not there":    {"a known user is unavailable", "sip:desk@" + domain, "480", false, "failed"},
		"unknown user": {"", "sip:ghost@" + domain, "404", false, "failed"},
		"elsewhere":    {"foreign addresses ring by their phone's behaviour", "sip:bob@pbx.example.com", "", false, "ringing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sipStage(t, true, true)
			if tc.register {
				s.must(s.e.RegisterSIP(domain, "desk", secret))
			}
			sid := s.create(tc.to, nil)
			if got := s.status(sid); got != tc.status {
				t.Errorf("call is %s, want %s (%s)", got, tc.status, tc.why)
			}
			if tc.status == "failed" {
				if got := s.last("/progress").Get("SipResponseCode"); got != tc.code {
					t.Errorf("SipResponseCode %s, want %s", got, tc.code)
				}
				if d := cmp.Diff([]int{32009}, s.codes()); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

func TestSIPListsAreGuarded(t *testing.T) {
	t.Parallel()
	s := sipStage(t, true, true)
	lists, err := s.tw.Api.ListSipCredentialList(nil)
	s.must(err)
	cl := *lists[0].Sid
	if err := s.tw.Api.DeleteSipCredentialList(cl, nil); code(err) != 21241 {
		t.Errorf("a list in use was deleted: %v", err)
	}
	for _, weak := range []string{"Short1", "alllowercase123", "NoDigitsAtAllHere"} {
		if _, err := s.tw.Api.CreateSipCredential(cl, (&api.CreateSipCredentialParams{}).SetUsername("u").SetPassword(weak)); code(err) != 21243 {
			t.Errorf("password %q: %v", weak, err)
		}
	}
	if _, err := s.tw.Api.CreateSipCredential(cl, (&api.CreateSipCredentialParams{}).SetUsername("desk").SetPassword(secret)); code(err) != 21243 {
		t.Errorf("the same user twice: %v", err)
	}
	for _, bad := range []string{"acme.example.com", domain} {
		if _, err := s.tw.Api.CreateSipDomain((&api.CreateSipDomainParams{}).SetDomainName(bad)); code(err) == 0 {
			t.Errorf("domain %s was made", bad)
		}
	}
	d, err := s.tw.Api.FetchSipDomain(s.domainSID(), nil)
	s.must(err)
	if *d.AuthType != "CREDENTIAL_LIST" {
		t.Errorf("auth_type %s", *d.AuthType)
	}
	// The password changes at once; deleting the credential ends it.
	creds, err := s.tw.Api.ListSipCredential(cl, nil)
	s.must(err)
	_, err = s.tw.Api.UpdateSipCredential(cl, *creds[0].Sid, (&api.UpdateSipCredentialParams{}).SetPassword("AnotherSecret9"))
	s.must(err)
	if err := s.e.RegisterSIP(domain, "desk", secret); sipCode(err) != 32202 {
		t.Errorf("the old password registers: %v", err)
	}
	s.must(s.e.RegisterSIP(domain, "desk", "AnotherSecret9"))
	s.must(s.tw.Api.DeleteSipCredential(cl, *creds[0].Sid, nil))
	if err := s.e.RegisterSIP(domain, "desk", "AnotherSecret9"); sipCode(err) != 32202 {
		t.Errorf("a deleted credential registers: %v", err)
	}
}

func (s *stage) domainSID() string {
	s.Helper()
	list, err := s.tw.Api.ListSipDomain(nil)
	s.must(err)
	return *list[0].Sid
}

func TestSourceAddressMustBeAllowed(t *testing.T) {
	t.Parallel()
	s := sipStage(t, true, false)
	s.answer("/sip", `<Response/>`)
	l, err := s.tw.Api.CreateSipIpAccessControlList((&api.CreateSipIpAccessControlListParams{}).SetFriendlyName("office"))
	s.must(err)
	_, err = s.tw.Api.CreateSipIpAddress(*l.Sid, (&api.CreateSipIpAddressParams{}).SetFriendlyName("router").SetIpAddress("198.51.100.0").SetCidrPrefixLength(24))
	s.must(err)
	_, err = s.tw.Api.CreateSipAuthCallsIpAccessControlListMapping(s.domainSID(), (&api.CreateSipAuthCallsIpAccessControlListMappingParams{}).SetIpAccessControlListSid(*l.Sid))
	s.must(err)
	call := emulator.SIPCall{Domain: domain, User: "desk", Password: secret, To: "1", SourceIP: "192.0.2.1"}
	if _, err := s.e.CallSIP(call); sipCode(err) != 32201 {
		t.Errorf("from anywhere: %v", err)
	}
	call.SourceIP = "198.51.100.7"
	_, err = s.e.CallSIP(call)
	s.must(err)
}

func TestReferOfASIPLeg(t *testing.T) {
	t.Parallel()
	s := sipStage(t, true, true)
	s.answer("/sip", `<Response><Refer action="/referred"><Sip>sip:bob@pbx.example.com</Sip></Refer></Response>`)
	s.answer("/referred", `<Response/>`)
	sid, err := s.e.CallSIP(emulator.SIPCall{Domain: domain, User: "desk", Password: secret, To: "1"})
	s.must(err)
	s.advance(time.Second)
	if f := s.last("/referred"); f.Get("ReferCallStatus") != "completed" || f.Get("ReferSipResponseCode") != "202" || s.status(sid) != "completed" {
		t.Errorf("%v; call %s", f, s.status(sid))
	}
	s.quiet()
	s.answer("/voice", `<Response><Refer><Sip>sip:bob@pbx.example.com</Sip></Refer></Response>`)
	s.call(mobile, office)
	if d := cmp.Diff([]int{13801}, s.codes()); d != "" {
		t.Errorf("a leg that is not SIP: %s", d)
	}
}

func TestPhoneTransfersItsCaller(t *testing.T) {
	t.Parallel()
	s := sipStage(t, true, true)
	s.must(s.e.RegisterSIP(domain, "desk", secret))
	s.answer("/voice", `<Response><Dial referUrl="/refer" action="/done"><Sip>sip:desk@`+domain+`</Sip></Dial></Response>`)
	s.answer("/refer", `<Response><Pause length="60"/></Response>`)
	s.answer("/done", `<Response/>`)
	caller := s.call(mobile, office)
	desk := s.pickUp("sip:desk@" + domain)
	s.must(s.e.ReferSIP(desk, "sip:bob@pbx.example.com"))
	s.idle()
	if f := s.last("/refer"); f.Get("ReferTransferTarget") != "sip:bob@pbx.example.com" || f.Get("CallSid") != caller {
		t.Errorf("referUrl got %v", f)
	}
	if s.status(caller) != "in-progress" || s.status(desk) != "completed" {
		t.Errorf("caller %s, desk %s", s.status(caller), s.status(desk))
	}
	s.quiet()
}

func TestSIPSurvivesARestart(t *testing.T) {
	t.Parallel()
	s := sipStage(t, true, true)
	b, err := s.e.Snapshot()
	s.must(err)
	e := emulator.New(emulator.Options{Clock: s.clock, Seed: 9})
	defer e.Stop()
	s.must(e.Restore(b))
	s.must(e.RegisterSIP(domain, "desk", secret))
}

func TestSIPByControl(t *testing.T) {
	t.Parallel()
	s := sipStage(t, true, true)
	s.answer("/sip", `<Response><Pause length="9"/></Response>`)
	if status, out := s.control("sip/register", map[string]string{"domain": domain, "user": "desk", "password": "wrong"}); status != 422 || out["code"] != 32202.0 || out["status"] != 403.0 {
		t.Errorf("%d %v", status, out)
	}
	if status, out := s.control("sip/call", map[string]string{"domain": domain, "user": "desk", "password": secret, "to": "1001"}); status != 200 || out["sid"] == nil {
		t.Errorf("%d %v", status, out)
	}
	if status, out := s.control("sip/domains", map[string]any{"domain": "b.sip.twilio.com", "fields": map[string]string{"SipRegistration": "true"}}); status != 200 {
		t.Errorf("%d %v", status, out)
	}
}
