package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/testkit/stage"
)

const (
	companyPhone    = "+12025550120"
	forwardingPhone = "+12025550121"
	olasPhone       = "+12025550122" // of the number's user
	lenasPhone      = "+12025550123" // of the lead's user
	carasPhone      = "+12025550124" // of the campaign's user
)

// layered is a number in LAYERED mode with everybody who may take its calls.
type layered struct {
	*story
	line            string
	ola, lena, cara stage.Person
	lead            string
}

func newLayered(t *testing.T) *layered {
	t.Helper()
	l := &layered{story: newStory(t)}
	l.line = l.Number(officeNumber, demo.Vars{"routing": demo.Vars{"mode": "LAYERED"}, "voicemail": demo.Vars{"isEnabled": true}})
	l.Do(`mutation($n: ID!) { phoneNumberSetDefault(id: $n) { userErrors { code field message } } }`, demo.Vars{"n": l.line}, nil)
	l.company(demo.Vars{"companyPhone": companyPhone})
	l.ola, l.lena, l.cara = l.User("ola", "SALES", olasPhone), l.User("lena", "SALES", lenasPhone), l.User("cara", "SALES", carasPhone)
	l.lead = l.contact("LEAD", "Lead", customer, nil)
	return l
}

// goes makes a call and says where it rang; routeExplain must have said the same.
func (l *layered) goes(from, to, line string) (rang string, c callView) {
	l.t.Helper()
	said := l.explain(line, from)
	sid := l.dial(from, to)
	rang = strings.Join(l.ringing(), " ")
	c = l.call(sid)
	if !sameRoute(said, *c.Route) {
		l.t.Errorf("routeExplain says %+v\nthe call did %+v", said, *c.Route)
	}
	l.hangUp(sid)
	return rang, c
}

// The truth table of R031-R036, each row by a real call.
func TestEachRowOfTheTruthTableRingsItsLayer(t *testing.T) {
	l := newLayered(t)
	for _, b := range []string{"", "lead", "campaign"} {
		switch b {
		case "lead":
			l.assign(l.lead, l.lena.ID)
		case "campaign":
			l.assign(l.lead, nil)
			l.campaign("Spring", l.cara.ID, l.lead)
		}
		for _, a := range []bool{false, true} {
			var owner any
			if a {
				owner = l.ola.ID
			}
			l.set(l.line, demo.Vars{"assignedUserId": owner})
			for _, c := range []bool{false, true} {
				var forward any
				if c {
					forward = forwardingPhone
				}
				l.set(l.line, demo.Vars{"routing": demo.Vars{"callForwardingNumber": forward}})
				want, layer := companyPhone, 1 // R034, R035, R038
				switch {
				case a:
					want, layer = olasPhone, 4 // R031
				case b == "lead":
					want, layer = lenasPhone, 3 // R032
				case b == "campaign":
					want, layer = carasPhone, 3 // R032
				case c:
					want, layer = forwardingPhone, 2 // R033, R036, R039
				}
				row := fmt.Sprintf("number's user %v, lead's %q, forwarding %v", a, b, c)
				rang, call := l.goes(customer, officeNumber, l.line)
				if rang != want || number(call.Route.Layer) != layer || call.Route.Mode != "LAYERED" {
					t.Errorf("%s: %q rings by layer %d, want %q by %d", row, rang, number(call.Route.Layer), want, layer)
				}
				chosen := 0
				for _, r := range call.Route.Trace {
					if strings.HasPrefix(r.Rule, "LAYER_") && r.Verdict == "CHOSEN" {
						chosen++
					}
				}
				if chosen != 1 || call.Contact == nil || call.Contact.ID != l.lead { // R043
					t.Errorf("%s: %d layers are chosen in the trace %+v", row, chosen, call.Route.Trace)
				}
			}
		}
	}
	l.clean()
}

func TestALeadsOwnUserComesBeforeItsCampaigns(t *testing.T) { // D04
	l := newLayered(t)
	l.campaign("Spring", l.cara.ID, l.lead)
	l.assign(l.lead, l.lena.ID)
	if rang, _ := l.goes(customer, officeNumber, l.line); rang != lenasPhone {
		t.Errorf("the lead has a user and a campaign: %q rings, want the lead's user", rang)
	}
	// Another lead with the same phone: the newest, until a campaign contacts the first.
	l.Clock.Advance(time.Minute)
	twin := l.contact("LEAD", "Twin", customer, demo.Vars{"assignedUserId": l.ola.ID})
	if rang, c := l.goes(customer, officeNumber, l.line); rang != olasPhone || c.Contact.ID != twin {
		t.Errorf("of two leads the newest counts: %q rings for %+v", rang, c.Contact)
	}
	old := l.campaign("Autumn", nil, l.lead)
	l.Clock.Advance(time.Minute)
	l.Do(`mutation($i: MessageSendInput!) { messageSend(input: $i) { userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"contactId": l.lead, "body": "Call us back", "campaignId": old}}, nil) // R287, R042
	l.Settle()
	rang, c := l.goes(customer, officeNumber, l.line)
	if rang != lenasPhone || c.Contact.ID != l.lead || c.Campaign == nil || c.Campaign.ID != old {
		t.Errorf("the lead that a campaign contacted last counts: %q rings for %+v of %+v", rang, c.Contact, c.Campaign)
	}
}

func TestALayerWhosePhoneCannotBeRungFallsToTheNext(t *testing.T) { // D05, R037
	l := newLayered(t)
	l.set(l.line, demo.Vars{"assignedUserId": l.ola.ID})
	l.assign(l.lead, l.lena.ID)
	skipped := func(c callView, rule string) bool {
		return slices.ContainsFunc(c.Route.Trace, func(r struct {
			Rule, Verdict, Detail string
			User                  *ref
		}) bool {
			return r.Rule == rule && r.Verdict == "SKIPPED" && r.Detail != ""
		})
	}
	// Do-not-disturb and devices do not count here (D20).
	l.Must(l.ola.Client.Do(t.Context(), `mutation { userDoNotDisturbSet(input: {isOn: true}) { userErrors { code field message } } }`, nil, nil))
	if rang, _ := l.goes(customer, officeNumber, l.line); rang != olasPhone {
		t.Errorf("the number's user does not want to be disturbed: %q rings, want their phone all the same (D20)", rang)
	}
	l.change(l.ola, demo.Vars{"phones": []demo.Vars{}})
	rang, c := l.goes(customer, officeNumber, l.line)
	if rang != lenasPhone || number(c.Route.Layer) != 3 || !skipped(c, "LAYER_4_NUMBER_USER") {
		t.Errorf("the number's user has no phone: %q rings by %+v", rang, c.Route)
	}
	l.Do(`mutation($u: ID!) { userDisable(id: $u) { userErrors { code field message } } }`, demo.Vars{"u": l.lena.ID}, nil)
	rang, c = l.goes(customer, officeNumber, l.line)
	if rang != companyPhone || number(c.Route.Layer) != 1 || !skipped(c, "LAYER_3_LEAD_OWNER") {
		t.Errorf("the lead's user is disabled: %q rings by %+v (D20, D05)", rang, c.Route)
	}
	l.company(demo.Vars{"companyPhone": nil})
	rang, c = l.goes(customer, officeNumber, l.line)
	if last := c.Route.Steps[len(c.Route.Steps)-1].Kind; rang != "" || c.Route.Layer != nil || last != "VOICEMAIL" {
		t.Errorf("nobody can be rung: %q rings by %+v; a call is never dropped silently", rang, c.Route)
	}
	l.clean()
}

func TestTheForwardingNumberIsTheDefaultNumbers(t *testing.T) { // D06, R039
	l := newLayered(t)
	second := l.Number("+12025550101", demo.Vars{"routing": demo.Vars{"mode": "LAYERED", "callForwardingNumber": "+12025550125"}})
	if rang, _ := l.goes(customer, "+12025550101", second); rang != companyPhone {
		t.Errorf("only the number called has a forwarding number: %q rings, want the Company Phone", rang)
	}
	l.set(l.line, demo.Vars{"routing": demo.Vars{"callForwardingNumber": forwardingPhone}})
	if rang, _ := l.goes(customer, "+12025550101", second); rang != forwardingPhone {
		t.Errorf("the default number has a forwarding number: %q rings", rang)
	}
}

func TestANumberBelongsToOneUserAndAUserHasOne(t *testing.T) { // D19, R041
	l := newLayered(t)
	second := l.Number("+12025550101", demo.Vars{"routing": demo.Vars{"mode": "LAYERED"}})
	l.set(l.line, demo.Vars{"assignedUserId": l.ola.ID})
	for claim, x := range map[string]struct{ mutation, names string }{
		"the number to another user, from the number": {`mutation { phoneNumberUpdate(id: "` + l.line + `", input: {assignedUserId: "` + l.lena.ID + `"}) { userErrors { code field message } } }`, "ola"},
		"the number to another user, from the user":   {`mutation { userUpdate(id: "` + l.lena.ID + `", input: {inboundPhoneNumberId: "` + l.line + `"}) { userErrors { code field message } } }`, "ola"},
		"a second number to the user":                 {`mutation { phoneNumberUpdate(id: "` + second + `", input: {assignedUserId: "` + l.ola.ID + `"}) { userErrors { code field message } } }`, "ola"},
	} {
		err := l.Admin.Do(t.Context(), x.mutation, nil, nil)
		if !demo.HasCode(err, "TAKEN") || !strings.Contains(err.Error(), x.names) {
			t.Errorf("assigning %s: %v; want TAKEN, naming %s", claim, err, x.names)
		}
	}
	var out struct {
		User struct{ InboundPhoneNumber *struct{ ID string } }
	}
	l.Do(`query($u: ID!) { user(id: $u) { inboundPhoneNumber { id } } }`, demo.Vars{"u": l.ola.ID}, &out)
	if out.User.InboundPhoneNumber == nil || out.User.InboundPhoneNumber.ID != l.line {
		t.Errorf("the number's user has %+v", out.User.InboundPhoneNumber)
	}
}

func TestALayerThatDoesNotAnswerGoesOnToVoicemailAndNeverToALowerLayer(t *testing.T) { // D20
	l := newLayered(t)
	l.set(l.line, demo.Vars{"assignedUserId": l.ola.ID, "routing": demo.Vars{"callForwardingNumber": forwardingPhone, "ringTimeoutSeconds": 15}})
	sid := l.dial(customer, officeNumber)
	l.wantRinging(olasPhone)
	l.Pass(16 * time.Second)
	l.wantRinging()
	l.speakAndHangUp(sid, 4*time.Second)
	c := l.call(sid)
	if c.Status != "VOICEMAIL" || len(c.Legs) != 2 || word(c.leg(olasPhone).Outcome) != "TIMED_OUT" {
		t.Errorf("the log says %s", c)
	}
	l.clean()
}
