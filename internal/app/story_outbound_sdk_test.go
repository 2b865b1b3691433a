package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/testkit/stage"
)

// token is a new access token of a device that is registered.
func (s *story) token(who stage.Person, device string) string {
	s.t.Helper()
	var out struct {
		DeviceRegister struct{ VoiceToken struct{ Token string } }
	}
	s.Must(who.Client.Do(s.t.Context(), `mutation($d: ID!) { deviceRegister(input: {id: $d, name: "Desk", platform: WEB}) { voiceToken { token } userErrors { code field message } } }`,
		demo.Vars{"d": device}, &out))
	return out.DeviceRegister.VoiceToken.Token
}

// connect has a device call by itself, as the Voice SDK does.
func (s *story) connect(token string, params map[string]string) (sid string) {
	s.t.Helper()
	sid, err := s.Emulator.Connect(token, params)
	s.Must(err)
	s.idle()
	return sid
}

// hears is the last document that a call was given.
func (s *story) hears(sid string) string {
	s.t.Helper()
	if list := s.asked(sid); len(list) > 0 {
		return list[len(list)-1].Answer
	}
	return ""
}

func TestADeviceCallsThroughTheVoiceSDK(t *testing.T) { // R079, R092, T03
	o := newOutbound(t)
	known := o.contact("CUSTOMER", "Carla", callee, nil)
	token, after := o.token(o.ann, o.desk), o.cursor()
	sid := o.connect(token, map[string]string{"To": "(202) 555-0188", "From": "client:somebody", "callerId": "+15550001111"})
	o.wantRinging(callee)
	if shown := o.Emulator.Ringing(callee)[0].From; shown != officeNumber {
		t.Errorf("the callee sees %q", shown)
	}
	c := o.call(sid)
	if c.Status != "RINGING" || c.Direction != "OUTBOUND" || name(c.User) != "ann" || c.To.E164 != callee || c.Contact == nil || c.Contact.ID != known || len(c.Legs) != 2 || c.leg(o.desk).Status != "IN_PROGRESS" {
		t.Errorf("while it rings the log says %s", c)
	}
	o.Pass(6 * time.Second)
	o.answer(callee)
	o.Pass(30 * time.Second)
	o.hangUp(sid)
	o.Settle()
	c = o.call(sid)
	if c.Status != "COMPLETED" || word(c.EndReason) != "HUNG_UP" || number(c.TalkSeconds) != 30 || word(c.leg(o.desk).Outcome) != "ANSWERED" || word(c.leg(callee).Outcome) != "ANSWERED" {
		t.Errorf("the log says %s", c)
	}
	kinds := types(o.facts(o.ann.Client, after))
	if slices.Contains(kinds, "RingStarted") || slices.Contains(kinds, "RingEnded") || !slices.Contains(kinds, "CallStarted") || !slices.Contains(kinds, "CallAnswered") || !slices.Contains(kinds, "CallEnded") {
		t.Errorf("the events were %v", kinds)
	}
	if o.created() != 0 {
		t.Error("a call was made for a device that had called by itself")
	}
	o.clean()
}

func TestADevicesCallThatEndsEarlyIsTold(t *testing.T) {
	o := newOutbound(t)
	token := o.token(o.ann, o.desk)
	gaveUp := o.connect(token, map[string]string{"To": callee})
	o.Pass(4 * time.Second)
	o.hangUp(gaveUp)
	o.wantRinging()
	if c := o.call(gaveUp); c.Status != "CANCELED" && c.Status != "MISSED" || c.AnsweredAt != nil || c.EndedAt == nil {
		t.Errorf("the device gave up: %s", c)
	}
	by := o.connect(token, map[string]string{"To": callee})
	o.Must(o.ann.Client.Do(t.Context(), `mutation($c: ID!) { callHangUp(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": o.call(by).ID}, nil))
	o.Settle()
	o.wantRinging()
	if c := o.call(by); c.Status != "CANCELED" || c.EndedAt == nil {
		t.Errorf("hung up by callHangUp: %s", c)
	}
	nobody := o.connect(token, map[string]string{"To": callee})
	o.Pass(60 * time.Second)
	if c := o.call(nobody); c.Status != "MISSED" || word(c.EndReason) != "NO_ANSWER" || !strings.Contains(o.hears(nobody), "There was no answer.") {
		t.Errorf("nobody answered: %s", c)
	}
	o.clean()
}

func TestADeviceIsToldWhyItsCallIsRefused(t *testing.T) {
	o := newOutbound(t)
	token := o.token(o.ann, o.desk)
	for why, x := range map[string]struct {
		params map[string]string
		says   string
	}{
		"emergency":  {map[string]string{"To": "911"}, "Emergency numbers cannot be called"},
		"premium":    {map[string]string{"To": "+19005550123"}, "premium-rate"},
		"abroad":     {map[string]string{"To": "+33123456789"}, "Calls to FR are switched off"},
		"no TwiML":   {map[string]string{"To": "</Say><Dial>+12025550111</Dial>"}, "&lt;/Say"},
		"malformed":  {map[string]string{"To": callee, "contactId": "x"}, "contactId is not what it should be"},
		"nobody":     {nil, "Whom to call?"},
		"another id": {map[string]string{"contactId": o.branch}, "contactId is not what it should be"},
	} {
		sid := o.connect(token, x.params)
		if doc := o.hears(sid); !strings.Contains(doc, x.says) || strings.Contains(doc, "<Dial") || !strings.Contains(doc, "<Hangup") {
			t.Errorf("%s: the device hears %s", why, doc)
		}
		if _, found := o.callAs(o.Admin, sid); found {
			t.Errorf("%s: a call stands in the log", why)
		}
	}
	o.Must(o.ann.Client.Do(t.Context(), `mutation($d: ID!) { deviceRemove(id: $d) { userErrors { code field message } } }`, demo.Vars{"d": o.desk}, nil))
	if doc := o.hears(o.connect(token, map[string]string{"To": callee})); !strings.Contains(doc, "This device was removed") { // R284
		t.Errorf("a removed device hears %s", doc)
	}
	mobile := o.Device(o.ann, "Other")
	token = o.token(o.ann, mobile)
	o.Do(`mutation($u: ID!) { userDisable(id: $u) { userErrors { code field message } } }`, demo.Vars{"u": o.ann.ID}, nil)
	if doc := o.hears(o.connect(token, map[string]string{"To": callee})); !strings.Contains(doc, "switched off") {
		t.Errorf("a disabled user hears %s", doc)
	}
	o.wantRinging()
	o.clean()
}

// R093-R095.
func TestColleaguesCallEachOtherOnAllTheirDevices(t *testing.T) {
	for claim, logged := range map[string]bool{"logged": true, "not logged": false} {
		t.Run(claim, func(t *testing.T) {
			o := newOutbound(t)
			if !logged {
				o.company(demo.Vars{"features": []demo.Vars{{"name": "INTERNAL_CALL_LOG", "isOn": false}}})
			}
			bob := o.User("bob", "FIELDWORKER", "")
			desk, mobile := o.Device(bob, "Desk"), o.DeviceOn(bob, "Mobile", "ANDROID")
			id := o.start(demo.Vars{"userId": bob.ID}, nil)
			o.rings(o.desk)
			o.answer(o.desk)
			o.wantRinging(desk, mobile)
			var ringing struct {
				RingingCalls struct {
					Nodes []struct{ ID, Direction string }
				}
			}
			o.Must(bob.Client.Do(t.Context(), `{ ringingCalls { nodes { id direction } } }`, nil, &ringing))
			if n := ringing.RingingCalls.Nodes; len(n) != 1 || n[0].ID != id || n[0].Direction != "INTERNAL" {
				t.Errorf("the colleague's calls that ring: %+v", n)
			}
			o.answer(mobile)
			o.wantRinging()
			o.Pass(20 * time.Second)
			read := func(who *demo.Client) *callView {
				var out struct{ Call *callView }
				o.Must(who.Do(t.Context(), `query($id: ID!) { call(id: $id) { `+callFields+` } }`, demo.Vars{"id": id}, &out))
				return out.Call
			}
			c := read(o.ann.Client)
			if c == nil || c.Status != "IN_PROGRESS" || name(c.AnsweredBy) != "bob" || c.From.Display != "ann" || c.To.Display != "bob" || word(c.leg(desk).Outcome) != "ANSWERED_ELSEWHERE" {
				t.Fatalf("while they talk the call is %v", c)
			}
			if seen := read(o.Admin) != nil; seen != logged {
				t.Errorf("the administrator sees it: %t", seen)
			}
			o.hangUp(o.legOf(c.TwilioSid, mobile))
			o.Settle()
			if c = read(bob.Client); c == nil || c.Status != "COMPLETED" || number(c.TalkSeconds) != 20 || len(c.Recordings) != 0 {
				t.Errorf("in the end the call is %v", c)
			}
			for who, client := range map[string]*demo.Client{"the administrator": o.Admin, "the caller": o.ann.Client, "the colleague": bob.Client} {
				if _, found := o.callAs(client, c.TwilioSid); found != logged {
					t.Errorf("%s finds it in the log: %t", who, found)
				}
			}
			sid := o.connect(o.token(bob, mobile), map[string]string{"userId": o.ann.ID}) // R095
			o.wantRinging(o.desk)
			o.answer(o.desk)
			o.hangUp(sid)
			day := c.StartedAt.Format(time.DateOnly)
			var counted struct {
				CallStatistics struct{ Total struct{ Count int } }
			}
			o.Do(`query($d: Date!) { callStatistics(filter: {from: $d, to: $d}) { total { count } } }`, demo.Vars{"d": day}, &counted)
			if want := map[bool]int{true: 2, false: 0}[logged]; counted.CallStatistics.Total.Count != want {
				t.Errorf("the statistics count %d calls, want %d", counted.CallStatistics.Total.Count, want)
			}
			o.clean()
		})
	}
}

func TestAColleagueWhoDeclinesOneDeviceRingsOnTheOther(t *testing.T) { // T03, T12
	o := newOutbound(t)
	bob := o.User("bob", "OFFICE", "", o.branch)
	desk, mobile := o.Device(bob, "Desk"), o.DeviceOn(bob, "Mobile", "IOS")
	sid := o.connect(o.token(o.ann, o.desk), map[string]string{"userId": bob.ID})
	o.wantRinging(desk, mobile)
	o.decline(desk)
	o.wantRinging(mobile)
	o.decline(mobile)
	o.wantRinging()
	o.Settle()
	c := o.call(sid)
	if c.Status != "MISSED" && c.EndedAt != nil || word(c.leg(desk).Outcome) != "DECLINED" || !strings.Contains(o.hears(sid), "cannot take the call") {
		t.Errorf("both declined: %s; the caller hears %s", c, o.hears(sid))
	}
	o.clean()
}

// R095: whether people call colleagues, and whether they call outside, are two permissions.
func TestAnInternalPhoneCallsColleaguesAndNobodyElse(t *testing.T) {
	o := newOutbound(t)
	var role struct{ RoleCreate struct{ Role ref } }
	o.Do(`mutation { roleCreate(input: {name: "Inside", permissions: [CALL_RECEIVE, CALL_INTERNAL], visibility: OWN}) { role { id } userErrors { code field message } } }`, nil, &role)
	bob := o.User("bob", "OFFICE", "", o.branch)
	bobs := o.Device(bob, "Desk")
	o.change(bob, demo.Vars{"roleId": role.RoleCreate.Role.ID})
	bob.Client = o.SignIn("bob")
	if code := o.try(bob.Client, startMutation, demo.Vars{"i": demo.Vars{"to": callee}}, nil); code != "FORBIDDEN" {
		t.Errorf("calling outside: %q", code)
	}
	if code := o.try(bob.Client, startMutation, demo.Vars{"i": demo.Vars{"userId": o.ann.ID}}, nil); code != "" {
		t.Errorf("calling a colleague: %q", code)
	}
	o.rings(bobs)
	o.answer(bobs)
	o.wantRinging(o.desk)
}

// What is done in a call is the same whoever began it and how.
func TestACallThatADeviceBeganIsHeldAndTransferredLikeAnyOther(t *testing.T) {
	o := newOutbound(t)
	bob := o.User("bob", "OFFICE", "", o.branch)
	bobs := o.Device(bob, "Desk")
	sid := o.connect(o.token(o.ann, o.desk), map[string]string{"To": callee})
	o.answer(callee)
	o.Pass(5 * time.Second)
	id := o.call(sid).ID
	act := func(mutation string) {
		t.Helper()
		o.Must(o.ann.Client.Do(t.Context(), `mutation($c: ID!) { `+mutation+` { userErrors { code field message } } }`, demo.Vars{"c": id}, nil))
		o.Settle()
	}
	act(`callHold(id: $c)`)
	var out struct{ Call struct{ IsOnHold bool } }
	o.Do(`query($c: ID!) { call(id: $c) { isOnHold } }`, demo.Vars{"c": id}, &out)
	if !out.Call.IsOnHold {
		t.Errorf("held: %s", o.callByID(id))
	}
	act(`callResume(id: $c)`)
	act(`callTransfer(id: $c, input: {mode: BLIND, userId: "` + bob.ID + `"})`)
	o.wantRinging(bobs)
	o.answer(bobs)
	o.Settle()
	o.Pass(10 * time.Second)
	c := o.callByID(id)
	if c.Status != "IN_PROGRESS" || c.leg(bobs).Status != "IN_PROGRESS" || c.leg(o.desk).Status != "ENDED" || c.leg(callee).Status != "IN_PROGRESS" {
		t.Errorf("transferred: %s", c)
	}
	o.hangUp(c.leg(callee).sid())
	o.Settle()
	if c = o.callByID(id); c.Status != "COMPLETED" {
		t.Errorf("in the end: %s", c)
	}
}

func (l legView) sid() string {
	if l.TwilioSid == nil {
		return ""
	}
	return *l.TwilioSid
}
