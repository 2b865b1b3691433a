package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
)

// record makes a business record about a contact.
func (s *story) record(kind, contact string, more demo.Vars) string {
	s.t.Helper()
	input := demo.Vars{"kind": kind, "title": "Roof", "contactId": contact}
	for k, v := range more {
		input[k] = v
	}
	var out struct{ RecordCreate struct{ Record ref } }
	s.Do(`mutation($i: RecordCreateInput!) { recordCreate(input: $i) { record { id } userErrors { code field message } } }`, demo.Vars{"i": input}, &out)
	return out.RecordCreate.Record.ID
}

func TestACallAboutARecordOfACampaignIsKeptWithBoth(t *testing.T) { // R078, R287
	o := newOutbound(t)
	carla := o.contact("LEAD", "Carla", callee, nil)
	spring := o.campaign("Spring", nil, carla)
	token := o.token(o.ann, o.desk)
	for i, kind := range []string{"BOOKING", "QUOTE", "INVOICE", "INQUIRY", "COMPLAINT"} {
		record := o.record(kind, carla, nil)
		var c callView
		if i%2 == 0 {
			id := o.start(demo.Vars{"recordId": record, "campaignId": spring}, nil)
			o.rings(o.desk)
			c = o.callByID(id)
		} else {
			c = o.call(o.connect(token, map[string]string{"recordId": record, "campaignId": spring}))
		}
		if c.Record == nil || c.Record.ID != record || c.Campaign == nil || c.Campaign.ID != spring || c.Contact == nil || c.Contact.ID != carla || c.To.E164 != callee {
			t.Errorf("%s: the log says record %v, campaign %v, contact %v", kind, c.Record, c.Campaign, c.Contact)
		}
		o.hangUp(c.TwilioSid)
		o.Settle()
		o.Pass(time.Minute)
	}
	var out struct {
		Contact struct {
			LastCampaign    *ref
			LastPhoneNumber *struct{ ID string }
			LastContactedAt *time.Time
		}
	}
	o.Do(`query($c: ID!) { contact(id: $c) { lastCampaign { id } lastPhoneNumber { id } lastContactedAt } }`, demo.Vars{"c": carla}, &out)
	if x := out.Contact; x.LastCampaign == nil || x.LastCampaign.ID != spring || x.LastPhoneNumber == nil || x.LastPhoneNumber.ID != o.line || x.LastContactedAt == nil {
		t.Errorf("the contact keeps %+v", x)
	}
	o.clean()
}

func TestEmergencyPremiumAndForeignNumbersAreRefused(t *testing.T) {
	o := newOutbound(t)
	for to, code := range map[string]string{"911": "UNSUPPORTED", "112": "UNSUPPORTED", "+19005550123": "FORBIDDEN", "+33123456789": "FORBIDDEN", "12": "INVALID", "": "REQUIRED"} {
		if got := o.try(o.ann.Client, startMutation, demo.Vars{"i": demo.Vars{"to": to}}, nil); got != code {
			t.Errorf("%q is refused with %s, want %s", to, got, code)
		}
	}
	o.company(demo.Vars{"callCountries": []string{"FR"}})
	if got := o.try(o.ann.Client, startMutation, demo.Vars{"i": demo.Vars{"to": callee}}, nil); got != "FORBIDDEN" {
		t.Errorf("a country that is not on the list: %s", got)
	}
	o.start(demo.Vars{"to": "+33123456789"}, nil)
	o.rings(o.desk)
	if o.created() != 1 {
		t.Errorf("%d calls were made", o.created())
	}
}

func TestTheCapsOfAnOrganizationHold(t *testing.T) {
	o := newOutbound(t)
	o.company(demo.Vars{"maxConcurrentCalls": 1, "maxCallsPerUserHour": 3})
	token := o.token(o.ann, o.desk)
	for i := range 3 {
		sid := o.connect(token, map[string]string{"To": callee})
		if got := o.try(o.ann.Client, startMutation, demo.Vars{"i": demo.Vars{"to": callee}}, nil); got != "LIMIT_REACHED" {
			t.Errorf("a second call at once, time %d: %q", i, got)
		}
		if doc := o.hears(o.connect(token, map[string]string{"To": callee})); !strings.Contains(doc, "which is the most") {
			t.Errorf("a second call of the device at once: %s", doc)
		}
		o.hangUp(sid)
		o.Settle()
	}
	if got := o.try(o.ann.Client, startMutation, demo.Vars{"i": demo.Vars{"to": callee}}, nil); got != "LIMIT_REACHED" {
		t.Errorf("a fourth call within the hour: %q", got)
	}
	o.Pass(time.Hour)
	o.ann.Client = o.SignIn("ann")
	o.start(demo.Vars{"to": callee}, nil)
	o.rings(o.desk)
	o.clean()
}

func TestTheDialFormatStandsOnTheWireAndNowhereElse(t *testing.T) { // R089
	o := newOutbound(t)
	o.company(demo.Vars{"dialFormat": "+{digits}"})
	sid := o.connect(o.token(o.ann, o.desk), map[string]string{"To": callee})
	o.wantRinging(callee)
	o.hangUp(sid)
	o.company(demo.Vars{"dialFormat": "9w{national}"})
	sid = o.connect(o.token(o.ann, o.desk), map[string]string{"To": callee})
	if doc := o.hears(sid); strings.Contains(doc, callee+"<") {
		t.Errorf("dialled as %s", doc)
	}
	if first := o.asked(sid)[0].Answer; !strings.Contains(first, ">9w"+strings.TrimPrefix(callee, "+1")+"<") {
		t.Errorf("dialled as %s", first)
	}
	if c := o.call(sid); c.To.E164 != callee {
		t.Errorf("kept as %s", c.To.E164)
	}
}

func TestClickToCallRingsTheSIPAddressAndBelongsToWhomeverItIsLeftTo(t *testing.T) { // R087, R088, R090, R091
	o := newOutbound(t)
	const sip = "sip:ann@" + sipDomain
	o.sipPhones("ann")
	o.change(o.ann, demo.Vars{"sipAddress": strings.TrimPrefix(sip, "sip:")})
	id := o.start(demo.Vars{"to": callee, "ringMySip": true}, nil)
	o.rings(sip)
	o.answer(sip)
	o.wantRinging(callee)
	o.answer(callee)
	o.Pass(5 * time.Second)
	if c := o.callByID(id); c.Status != "IN_PROGRESS" || c.Legs[0].Kind != "SIP" {
		t.Errorf("by SIP: %s", c)
	}
	o.hangUp(o.callByID(id).TwilioSid)
	o.Settle()
	o.change(o.ann, demo.Vars{"internalClickToCall": false})
	if got := o.try(o.ann.Client, startMutation, demo.Vars{"i": demo.Vars{"to": callee}}, nil); got != "CONFLICT" {
		t.Errorf("clicks are left to an application: %q", got)
	}
	o.start(demo.Vars{"to": callee, "ringMySip": true}, nil)
	o.rings(sip)
	o.clean()
}

const explainQuery = `query($i: CallerIdExplainInput!) { callerIdExplain(input: $i) { callerId { e164 reason } phoneNumber { id } to dialled
	trace { rule verdict detail } problems { code field message } notices { code message } } }`

type explanation struct {
	CallerIDExplain struct {
		CallerID    *struct{ E164, Reason string }
		PhoneNumber *ref
		To, Dialled *string
		Trace       []struct{ Rule, Verdict, Detail string }
		Problems    []struct{ Code, Message string }
		Notices     []struct{ Code, Message string }
	}
}

func TestTheCallerIDIsExplainedBeforeACall(t *testing.T) { // D17, R080
	o := newOutbound(t)
	var out explanation
	o.Must(o.ann.Client.Do(t.Context(), explainQuery, demo.Vars{"i": demo.Vars{"to": "(202) 555-0188"}}, &out))
	x := out.CallerIDExplain
	if x.CallerID == nil || x.CallerID.E164 != officeNumber || x.CallerID.Reason != "BRANCH_AND_COUNTRY" || x.PhoneNumber == nil || x.PhoneNumber.ID != o.line ||
		x.To == nil || *x.To != callee || len(x.Trace) == 0 || len(x.Problems) != 0 || len(x.Notices) != 1 || x.Notices[0].Code != "TWO_LEGS_BILLED" {
		t.Errorf("%+v", x)
	}
	for to, code := range map[string]string{"911": "UNSUPPORTED", "+33123456789": "FORBIDDEN"} {
		var out explanation
		o.Must(o.ann.Client.Do(t.Context(), explainQuery, demo.Vars{"i": demo.Vars{"to": to}}, &out))
		if x := out.CallerIDExplain; len(x.Problems) != 1 || x.Problems[0].Code != code || x.CallerID != nil {
			t.Errorf("%s: %+v", to, x)
		}
	}
	if o.created() != 0 {
		t.Error("explaining called somebody")
	}
}

const testMutation = `mutation($i: TestCallInput!, $k: String) { testCall(input: $i, idempotencyKey: $k) { call { id } steps { what expected isReady } userErrors { code field message } } }`

func TestATestCallSaysWhichNumberItShowsAndWhy(t *testing.T) { // R085, R133
	o := newOutbound(t)
	var me struct{ Viewer struct{ User ref } }
	o.Do(`{ viewer { user { id } } }`, nil, &me)
	const mine = "+12025550140"
	if got := o.try(o.Admin, testMutation, demo.Vars{"i": demo.Vars{}}, nil); got != "REQUIRED" {
		t.Errorf("without a phone: %q", got)
	}
	o.change(o.person(me.Viewer.User.ID), demo.Vars{"phones": []demo.Vars{{"number": mine, "isPrimary": true}}})
	if got := o.try(o.ann.Client, testMutation, demo.Vars{"i": demo.Vars{}}, nil); got != "FORBIDDEN" {
		t.Errorf("by the office: %q", got)
	}
	if got := o.try(o.Admin, testMutation, demo.Vars{"i": demo.Vars{"to": callee}}, nil); got != "INVALID" {
		t.Errorf("somebody else's phone: %q", got)
	}
	o.set(o.line, demo.Vars{"voicemail": demo.Vars{"isEnabled": true, "greetingText": "Leave word.", "notifiedUserIds": []string{o.ann.ID}}})
	var out struct {
		TestCall struct {
			Call  ref
			Steps []struct {
				What, Expected string
				IsReady        bool
			}
		}
	}
	for range 2 {
		o.Do(testMutation, demo.Vars{"i": demo.Vars{}, "k": "once"}, &out)
	}
	o.rings(mine)
	if shown := o.Emulator.Ringing(mine)[0].From; shown != officeNumber {
		t.Errorf("the phone shows %s", shown)
	}
	o.answer(mine)
	o.Pass(2 * time.Second)
	c := o.callByID(out.TestCall.Call.ID)
	if doc := o.hears(c.TwilioSid); !strings.Contains(doc, "plus 1 2 0 2 5 5 5 0 1 0 0, because it") || strings.Contains(doc, "<Dial") {
		t.Errorf("it says %s", doc)
	}
	o.Pass(2 * time.Minute)
	o.Settle()
	if c = o.callByID(c.ID); c.Status != "COMPLETED" || len(c.Legs) != 1 || word(c.Legs[0].Outcome) != "ANSWERED" || o.created() != 1 {
		t.Errorf("in the end: %s", c)
	}
	said := fmt.Sprint(out.TestCall.Steps)
	for _, want := range []string{officeNumber, "The greeting plays", "saved as a voicemail", "told of it: ann"} {
		if !strings.Contains(said, want) {
			t.Errorf("the steps lack %q: %s", want, said)
		}
	}
	for _, x := range out.TestCall.Steps {
		if !x.IsReady {
			t.Errorf("not ready: %+v", x)
		}
	}
	o.clean()
}
