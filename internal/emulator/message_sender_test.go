package emulator_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

const (
	australian = "+61491570156"
	tollFree   = "+18005550100"
)

// get reads a resource of one of the newer APIs.
func (s *stage) get(path string) (status int, body map[string]any) {
	s.Helper()
	status, _, b := s.raw("GET", path, accountSID, authToken, nil)
	s.must(json.Unmarshal(b, &body))
	return status, body
}

func TestAlphanumericSenders(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	s.must(s.e.AllowAlpha(accountSID, "Acme", "Acme Ltd 1"))
	mg := s.service(emulator.ServiceSpec{Name: "texts", Numbers: []string{office}, Alpha: []string{"Service"}})
	for name, tc := range map[string]struct {
		why, from, service, to string
		media                  bool
		want                   int
	}{
		"allowed":                {"", "Acme", "", australian, false, 0},
		"with a space":           {"", "Acme Ltd 1", "", australian, false, 0},
		"of nobody":              {"the account may not use it", "Other", "", australian, false, 21606},
		"to the United States":   {"no names there", "Acme", "", mobile, false, 21612},
		"to Canada":              {"", "Acme", "", "+14165550100", false, 21612},
		"twelve characters":      {"", "Acme Limited", "", australian, false, 21212},
		"no letter":              {"", "12345", "", australian, false, 21212},
		"a sign":                 {"", "Acme!", "", australian, false, 21212},
		"MMS":                    {"names send no files", "Acme", "", australian, true, 21612},
		"of a service":           {"", "Service", mg, australian, false, 0},
		"not of the service":     {"", "Acme", mg, australian, false, 21606},
		"of the service, beside": {"it belongs to the service", "Service", "", australian, false, 21606},
	} {
		_, err := s.text(tc.to, "x", func(p *api.CreateMessageParams) {
			p.SetFrom(tc.from)
			if tc.service != "" {
				p.SetMessagingServiceSid(tc.service)
			}
			if tc.media {
				p.SetMediaUrl([]string{s.hooks.URL + "/x.png"})
			}
		})
		if code(err) != tc.want {
			t.Errorf("%s: %v, want %d %s", name, err, tc.want, tc.why)
		}
	}
	if _, err := s.e.SendText(mobile, "Acme", "hello?"); err == nil {
		t.Error("a name received a text")
	}
	if err := s.e.AllowAlpha(accountSID, "far too long a name"); err == nil {
		t.Error("a name of 19 characters was allowed")
	}
}

func TestAServiceChoosesItsSender(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	const near, ours, noFiles = "+15557650000", "+61255500001", "+12125550100"
	for _, n := range []string{near, ours} {
		s.number(n)
	}
	_, err := s.e.AddNumber(accountSID, emulator.NumberSpec{E164: noFiles, NoMMS: true})
	s.must(err)
	plain := s.service(emulator.ServiceSpec{Name: "plain", Numbers: []string{noFiles, office, near, ours}})
	named := s.service(emulator.ServiceSpec{Name: "named", Alpha: []string{"Acme"}})
	empty := s.service(emulator.ServiceSpec{Name: "empty"})
	from := func(to, mg string) string {
		t.Helper()
		m, err := s.text(to, "x", by(mg))
		if err != nil {
			return fmt.Sprint(code(err))
		}
		if *m.Status != "accepted" || m.From != nil || *m.NumSegments != "0" {
			t.Errorf("no sender is chosen yet: %+v", m)
		}
		s.idle()
		f, err := s.tw.Api.FetchMessage(*m.Sid, nil)
		s.must(err)
		if *f.NumSegments != "1" {
			t.Errorf("%s segments", *f.NumSegments)
		}
		return *f.From
	}
	for _, step := range []struct{ why, to, service, want string }{
		{"the first of its area", "+15551234567", plain, office},
		{"the number of its country", australian, plain, ours},
		{"the same once more", "+15551234567", plain, office},
		{"the first where none is near", "+6421555123", plain, noFiles},
		{"a name where the country takes names", australian, named, "Acme"},
		{"names do not go there", mobile, named, "21703"},
		{"nobody in it", mobile, empty, "21704"},
	} {
		if got := from(step.to, step.service); got != step.want {
			t.Errorf("%s: %s, want %s", step.why, got, step.want)
		}
	}
	s.must(s.e.UpdateNumber(office, func(n *emulator.NumberSpec) { n.NoSMS = true }))
	if got := from("+15551234567", plain); got != near {
		t.Errorf("where the known sender cannot send: %s", got)
	}
	if _, err := s.e.AddService(accountSID, emulator.ServiceSpec{Name: "twice", Numbers: []string{near}}); err == nil {
		t.Error("a number is in two services")
	}
}

func TestThePoolOfAService(t *testing.T) { // twilio: 21710, 21712, 21715
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.number("+15550001112")
	_, err := s.e.AddNumber(accountSID, emulator.NumberSpec{E164: "+15550001113", NoSMS: true, NoMMS: true})
	s.must(err)
	one := s.service(emulator.ServiceSpec{Name: "one", Numbers: []string{office}})
	other := s.service(emulator.ServiceSpec{Name: "other"})
	sidOf := func(n string) string {
		spec, ok := s.e.Number(n)
		if !ok {
			t.Fatalf("no number %s", n)
		}
		return spec.SID
	}
	for _, step := range []struct {
		why, service, sid string
		want              string
	}{
		{"", one, sidOf("+15550001112"), `"phone_number":"+15550001112"`},
		{"twice", one, sidOf("+15550001112"), `"code":21710`},
		{"in another", other, sidOf(office), `"code":21712`},
		{"no messages", other, sidOf("+15550001113"), `"code":21715`},
		{"of nobody", other, "PN00000000000000000000000000000000", `"code":20404`},
	} {
		_, _, b := s.raw("POST", "/v1/Services/"+step.service+"/PhoneNumbers", accountSID, authToken, url.Values{"PhoneNumberSid": {step.sid}})
		if !strings.Contains(string(b), step.want) {
			t.Errorf("%s: %s, want %s", step.why, b, step.want)
		}
	}
	_, err = s.e.SendText(mobile, "+15550001112", "STOP")
	s.must(err)
	if !s.e.OptedOut(office, mobile) {
		t.Error("who joined the pool does not share its opt-outs")
	}
}

func TestRegistrationIsRequiredOnlyWhenAsked(t *testing.T) { // twilio: 30032, 30034
	t.Parallel()
	for name, tc := range map[string]struct {
		why, from, to string
		set           string // status of the campaign or the verification
		off           bool
		want          int
	}{
		"not enforced":           {"", office, mobile, "", true, 0},
		"no campaign":            {"", office, mobile, "", false, 30034},
		"campaign in progress":   {"", office, mobile, emulator.CampaignInProgress, false, 30034},
		"campaign failed":        {"", office, mobile, emulator.CampaignFailed, false, 30034},
		"campaign verified":      {"", office, mobile, emulator.CampaignVerified, false, 0},
		"abroad":                 {"a rule of the United States", office, australian, "", false, 0},
		"toll-free, none":        {"", tollFree, mobile, "", false, 30032},
		"toll-free, pending":     {"", tollFree, mobile, emulator.TollFreePending, false, 30032},
		"toll-free, rejected":    {"", tollFree, mobile, emulator.TollFreeRejected, false, 30032},
		"toll-free, approved":    {"", tollFree, mobile, emulator.TollFreeApproved, false, 0},
		"toll-free to Canada":    {"Canada's too", tollFree, "+14165550100", "", false, 30032},
		"a long code to Canada":  {"campaigns are the United States'", office, "+14165550100", "", false, 0},
		"a long code of Ireland": {"", "+35315550100", mobile, "", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{MessageDelay: -1, RegistrationRequired: !tc.off})
			if tc.from != office {
				s.number(tc.from)
			}
			mg := s.service(emulator.ServiceSpec{Name: "texts", Numbers: []string{tc.from}})
			if tc.from == tollFree {
				s.must(s.e.SetTollFree(tollFree, tc.set))
			} else {
				s.must(s.e.SetCampaign(mg, tc.set))
			}
			_, err := s.text(tc.to, "x", func(p *api.CreateMessageParams) { p.SetFrom(tc.from) })
			s.must(err)
			s.idle()
			if m := s.e.Messages()[0]; m.ErrorCode != tc.want || (m.Status == "undelivered") != (tc.want != 0) {
				t.Errorf("%s %d, want %d %s", m.Status, m.ErrorCode, tc.want, tc.why)
			}
			list := func(path, key, status string) {
				t.Helper()
				_, body := s.get(path)
				items, _ := body[key].([]any)
				if len(items) == 0 && tc.set == "" {
					return
				}
				if len(items) != 1 || items[0].(map[string]any)[status] != tc.set {
					t.Errorf("%s lists %v", path, items)
				}
			}
			if tc.from == tollFree {
				list("/v1/Tollfree/Verifications", "verifications", "status")
				return
			}
			list("/v1/Services/"+mg+"/Compliance/Usa2p", "compliance", "campaign_status")
			_, body := s.get("/v1/Services/" + mg)
			if body["us_app_to_person_registered"] != (tc.set == emulator.CampaignVerified) {
				t.Errorf("the service says %v", body["us_app_to_person_registered"])
			}
		})
	}
	s := newStage(t, emulator.Options{})
	if s.e.SetTollFree(office, emulator.TollFreeApproved) == nil || s.e.SetCampaign("MGx", "VERIFIED") == nil {
		t.Error("registrations of what does not exist")
	}
	for _, status := range []string{"PENDING", "APPROVED"} {
		s.must(s.e.SetBrand(accountSID, status))
		_, body := s.get("/v1/a2p/BrandRegistrations")
		if got := body["data"].([]any)[0].(map[string]any)["status"]; got != status {
			t.Errorf("brand %v", got)
		}
	}
}

func TestGeoPermissionsDecideWhereMessagesGo(t *testing.T) { // twilio: 21408
	t.Parallel()
	s := newStage(t, emulator.Options{})
	for _, on := range []bool{false, true} {
		s.must(s.e.SetGeoPermission(accountSID, "au", on))
		_, err := s.text(australian, "x", nil)
		if (code(err) == 21408) == on {
			t.Errorf("permission %v: %v", on, err)
		}
		_, body := s.get("/v1/Messaging/GeoPermissions?CountryCode=AU")
		want := []any{map[string]any{"country_code": "AU", "type": "country", "enabled": on, "prefix": "+61", "message": ""}}
		if d := cmp.Diff(want, body["permissions"]); d != "" {
			t.Error(d)
		}
	}
	if _, body := s.get("/v1/Messaging/GeoPermissions"); len(body["permissions"].([]any)) < 30 {
		t.Error("not all countries are listed")
	}
	if status, _ := s.get("/v1/Messaging/GeoPermissions?CountryCode=ZZ"); status != 400 {
		t.Errorf("a country that is none: %d", status)
	}
	if s.e.SetGeoPermission(accountSID, "ZZ", true) == nil {
		t.Error("a country that is none has a permission")
	}
}

func TestPricesAreThoseThatMessagesCost(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1, PriceDelay: -1})
	s.must(s.e.SetPrice("AU", emulator.Price{Outbound: 0.0515, Inbound: 0.0075}))
	_, body := s.get("/v1/Messaging/Countries/AU")
	prices := body["outbound_sms_prices"].([]any)[0].(map[string]any)["prices"].([]any)[0].(map[string]any)
	m, err := s.text(australian, "x", nil)
	s.must(err)
	s.idle()
	f, err := s.tw.Api.FetchMessage(*m.Sid, nil)
	s.must(err)
	if body["price_unit"] != "USD" || "-"+prices["current_price"].(string) != *f.Price || *f.Price != "-0.05150" {
		t.Errorf("listed %v, charged %s", prices, *f.Price)
	}
	if status, _ := s.get("/v1/Messaging/Countries/ZZ"); status != 404 {
		t.Errorf("a country that is none: %d", status)
	}
	c, err := s.tw.PricingV1.FetchMessagingCountry("US")
	s.must(err)
	if (*c.OutboundSmsPrices)[0].Prices[0].CurrentPrice < 0.008 {
		t.Errorf("Twilio's library reads %+v", c)
	}
}

func TestTollFreeOptOutsAreTheCarriers(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	s.number(tollFree)
	s.service(emulator.ServiceSpec{Name: "texts", Numbers: []string{office, tollFree}, AdvancedOptOut: true, OptOut: emulator.OptOut{Stop: []string{"ENOUGH"}}})
	for _, step := range []struct {
		why, body string
		reply     string
		out       bool
	}{
		{"only STOP", "QUIT", "", false},
		{"nobody's own words", "ENOUGH", "", false},
		{"", "stop", "NETWORK MSG: You replied", true},
		{"told once", "stop", "", true},
		{"only UNSTOP and START", "YES", "", true},
		{"", "Unstop", "NETWORK MSG: You have replied", false},
		{"no help either", "HELP", "", false},
	} {
		before := len(s.e.MessagesTo(mobile))
		_, err := s.e.SendText(mobile, tollFree, step.body)
		s.must(err)
		s.idle()
		replies := s.e.MessagesTo(mobile)[before:]
		if (step.reply != "") != (len(replies) == 1) || len(replies) == 1 && !strings.HasPrefix(replies[0].Body, step.reply) {
			t.Errorf("%q %s: replies %+v", step.body, step.why, replies)
		}
		if s.e.OptedOut(tollFree, mobile) != step.out || s.e.OptedOut(office, mobile) {
			t.Errorf("%q %s: out of the toll-free number %v, of the other %v", step.body, step.why, s.e.OptedOut(tollFree, mobile), s.e.OptedOut(office, mobile))
		}
	}
}

func TestAdvancedOptOutHasWordsOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	s.service(emulator.ServiceSpec{Name: "texts", Numbers: []string{office}, AdvancedOptOut: true, Fields: map[string]string{"UseInboundWebhookOnNumber": "true"},
		OptOut: emulator.OptOut{Stop: []string{"Arrêt"}, StopReply: "Au revoir.", Help: []string{"AIDE"}, HelpReply: "Appelez-nous."}})
	for _, step := range []struct{ body, kind, reply string }{
		{"STOP", "", ""}, {"aide", "HELP", "Appelez-nous."}, {" arrêt ", "STOP", "Au revoir."}, {"START", "START", "You have successfully been re-subscribed"},
	} {
		before := len(s.e.MessagesTo(mobile))
		_, err := s.e.SendText(mobile, office, step.body)
		s.must(err)
		s.idle()
		if got := s.last("/sms"); got.Get("OptOutType") != step.kind || got.Get("Body") != step.body {
			t.Errorf("%q: webhook %v", step.body, got)
		}
		replies := s.e.MessagesTo(mobile)[before:]
		if (step.reply != "") != (len(replies) == 1) || len(replies) == 1 && !strings.HasPrefix(replies[0].Body, step.reply) {
			t.Errorf("%q: replies %+v", step.body, replies)
		}
		if s.e.OptedOut(office, mobile) != (step.kind == "STOP") {
			t.Errorf("%q: opted out %v", step.body, s.e.OptedOut(office, mobile))
		}
	}
}

func TestKeywordsCanBeLeftToTheCustomer(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	s.must(s.e.SetKeywords(accountSID, false))
	_, err := s.e.SendText(mobile, office, "STOP")
	s.must(err)
	s.idle()
	if s.e.OptedOut(office, mobile) || len(s.e.Messages()) != 1 || len(s.sent("/sms")) != 1 {
		t.Errorf("messages %+v", s.e.Messages())
	}
	for _, out := range []bool{true, false} {
		s.must(s.e.SetOptedOut(office, mobile, out))
		if _, err := s.text(mobile, "x", nil); (code(err) == 21610) != out {
			t.Errorf("opted out %v by hand: %v", out, err)
		}
	}
}

func TestSmartEncodingSavesParts(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	body := strings.Repeat("a", 100) + "\u201cquoted\u201d \u2013 it\u2019s\u2026"
	for _, tc := range []struct{ smart, segments string }{{"false", "2"}, {"true", "1"}} {
		_, _, b := s.raw("POST", "/2010-04-01/Accounts/"+accountSID+"/Messages.json", accountSID, authToken,
			url.Values{"From": {office}, "To": {mobile}, "Body": {body}, "SmartEncoded": {tc.smart}})
		if !strings.Contains(string(b), `"num_segments":"`+tc.segments+`"`) {
			t.Errorf("smart %s: %s", tc.smart, b)
		}
	}
	if got := s.e.Messages()[1].Body; !strings.HasSuffix(got, `"quoted" - it's...`) {
		t.Errorf("body %q", got)
	}
	s.advance(time.Second)
}

func TestCountriesOfNumbers(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	for number, want := range map[string]string{"+12025550100": "US", "+14165550100": "CA", "+18005550100": "US", australian: "AU", "+35315550100": "IE", "+6795550100": "FJ", "+2995550100": ""} {
		_, err := s.e.SendText(number, office, "x")
		s.must(err)
		s.idle()
		if got := s.last("/sms").Get("FromCountry"); got != want {
			t.Errorf("%s is of %q, want %q", number, got, want)
		}
	}
	if !slices.Contains(s.values("/sms", "ToCountry"), "US") {
		t.Error("the office is not in the United States")
	}
}
