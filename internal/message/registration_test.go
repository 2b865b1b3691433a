package message_test

import (
	"strings"
	"testing"
	"time"

	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/phone"
	"switchboard/internal/twilio"
)

func TestWhatKeepsMessagesFromArrivingIsSaidWithWhatToDo(t *testing.T) { // R149, R151-R153
	t.Parallel()
	checked := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	conn := id.New(id.Connection)
	base := func(e164 string) *number.PhoneNumber {
		return &number.PhoneNumber{ID: id.New(id.PhoneNumber), ConnectionID: conn, E164: phone.E164(e164), CanSms: true, UseForMessages: true, IsEnabled: true,
			MessagingCheckedAt: &checked, WrittenWebhooks: []byte(`{}`)}
	}
	say := func(s string) *string { return &s }
	yes, no := true, false
	others := []number.Sender{{NumberID: id.New(id.PhoneNumber), E164: "+61255500009", CanSms: true, UseForMessages: true}}
	for why, c := range map[string]struct {
		e164      string
		change    func(n *number.PhoneNumber)
		countries []string
		want      []string // a part of each warning
	}{
		"all is well":                       {e164: "+61255500001"},
		"nothing is known yet":              {e164: "+12025550100", change: func(n *number.PhoneNumber) { n.MessagingCheckedAt = nil }},
		"no texts":                          {e164: "+61255500001", change: func(n *number.PhoneNumber) { n.CanSms = false }, want: []string{"use +61255500009"}},
		"an American number of no campaign": {e164: "+12025550100", want: []string{"not registered"}},
		"its campaign is looked at":         {e164: "+12025550100", change: func(n *number.PhoneNumber) { n.A2pStatus = say("IN_PROGRESS") }, want: []string{"not done yet (IN_PROGRESS)"}},
		"its campaign was refused":          {e164: "+12025550100", change: func(n *number.PhoneNumber) { n.A2pStatus = say("FAILED") }, want: []string{"was refused"}},
		"its campaign is good":              {e164: "+12025550100", change: func(n *number.PhoneNumber) { n.A2pStatus = say(twilio.CampaignVerified) }},
		"a Canadian number":                 {e164: "+14165550100"},
		"a toll-free number of no word":     {e164: "+18885550123", want: []string{"not verified"}},
		"its verification waits":            {e164: "+18885550123", change: func(n *number.PhoneNumber) { n.TollFreeStatus = say("PENDING_REVIEW") }, want: []string{"not done yet"}},
		"its verification was refused":      {e164: "+18885550123", change: func(n *number.PhoneNumber) { n.TollFreeStatus = say("TWILIO_REJECTED") }, want: []string{"was refused"}},
		"its verification is good":          {e164: "+18885550123", change: func(n *number.PhoneNumber) { n.TollFreeStatus = say(twilio.TollFreeApproved) }},
		"the country is off":                {e164: "+61255500001", countries: []string{"NZ", "US"}, want: []string{"may not write to AU"}},
		"the country is on":                 {e164: "+61255500001", countries: []string{"AU"}},
		"a name":                            {e164: "+61255500001", change: func(n *number.PhoneNumber) { n.SenderName = say("Acme") }, want: []string{"send from +61255500001", "in AU"}},
		"a service that goes elsewhere": {e164: "+61255500001", change: func(n *number.PhoneNumber) {
			n.MessagingServiceSid, n.ServiceUsesNumber, n.ServiceInboundURL = say(service), &no, say("https://them.example/x")
		}, want: []string{"connect the service"}},
		"a service that goes nowhere": {e164: "+61255500001", change: func(n *number.PhoneNumber) { n.MessagingServiceSid, n.ServiceUsesNumber = say(service), &no }, want: []string{"connect the service"}},
		"a service that comes here": {e164: "+61255500001", change: func(n *number.PhoneNumber) {
			n.MessagingServiceSid, n.ServiceUsesNumber, n.ServiceInboundURL = say(service), &no, say("https://us.example/twilio/"+conn.String()+"/{accessKey}/sms")
		}},
		"a service that asks the number":     {e164: "+61255500001", change: func(n *number.PhoneNumber) { n.MessagingServiceSid, n.ServiceUsesNumber = say(service), &yes }},
		"a number whose address was changed": {e164: "+61255500001", change: func(n *number.PhoneNumber) { n.Drift = []byte(`["messages are sent nowhere"]`) }, want: []string{"write our addresses again"}},
		"a number whose calls go elsewhere":  {e164: "+61255500001", change: func(n *number.PhoneNumber) { n.Drift = []byte(`["calls are sent nowhere"]`) }},
	} {
		n := base(c.e164)
		if c.change != nil {
			c.change(n)
		}
		got := message.SenderWarnings(n, c.countries, "AU", others)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", why, got)
			continue
		}
		for i, w := range c.want {
			if !strings.Contains(got[i], w) {
				t.Errorf("%s: %q does not say %q", why, got[i], w)
			}
		}
	}
}
