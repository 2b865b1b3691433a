package app_test

import (
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

// office is a number with three people, each with a desk, and a call that comes in.
type office struct {
	*story
	line, branch  string
	ann, bob, cec stage.Person
	desks         map[string]string // by name
	caller        string            // Twilio's SID
	id            string            // the call
}

func newOffice(t *testing.T, settings demo.Vars, options ...stage.Option) *office {
	t.Helper()
	o := &office{story: newStory(t, options...), desks: map[string]string{}}
	o.branch = o.Branch("Sales")
	input := demo.Vars{"branchId": o.Branch("Office")}
	home := input["branchId"].(string)
	for k, v := range settings {
		input[k] = v
	}
	o.line = o.Number(officeNumber, input)
	o.ann = o.User("ann", "OFFICE", "", home)
	o.bob = o.User("bob", "OFFICE", "", o.branch)
	o.cec = o.User("cec", "DISPATCHER", "")
	for n, p := range map[string]stage.Person{"ann": o.ann, "bob": o.bob, "cec": o.cec} {
		o.desks[n] = o.Device(p, n+"'s desk")
	}
	return o
}

// talk lets the customer talk with ann.
func (o *office) talk() {
	o.t.Helper()
	o.caller = o.dial(customer, officeNumber)
	o.wantRinging(o.desks["ann"])
	o.Pass(3 * time.Second)
	o.answer(o.desks["ann"])
	o.id = o.call(o.caller).ID
	o.Must(o.Emulator.Speak(o.caller, time.Second))
	o.Pass(2 * time.Second)
}

const controlFields = `{ call { id status isOnHold transfer { mode status } legs { id kind purpose status outcome isOnHold isMuted monitorMode user { id name } to { e164 } } } userErrors { code field message } }`

type controlled struct {
	ID, Status string
	IsOnHold   bool
	Transfer   *struct{ Mode, Status string }
	Legs       []controlledLeg
}

type controlledLeg struct {
	ID, Kind, Purpose, Status string
	Outcome, MonitorMode      *string
	IsOnHold, IsMuted         bool
	User                      *ref
	To                        struct{ E164 string }
}

// do carries out a command of somebody; the arguments stand as they are written.
func (o *office) do(who stage.Person, name, args string) (controlled, string) {
	o.t.Helper()
	var out map[string]struct{ Call *controlled }
	code := o.try(who.Client, `mutation($id: ID!) { `+name+`(id: $id`+args+`) `+controlFields+` }`, demo.Vars{"id": o.id}, &out)
	if x := out[name]; x.Call != nil {
		return *x.Call, code
	}
	return controlled{}, code
}

// must is do that succeeds, with all that follows from it.
func (o *office) must(who stage.Person, name, args string) controlled {
	o.t.Helper()
	c, code := o.do(who, name, args)
	if code != "" {
		o.t.Fatalf("%s(%s): %s", name, args, code)
	}
	o.Settle()
	return c
}

// now is the call as it is.
func (o *office) now() controlled {
	o.t.Helper()
	var out struct{ Call controlled }
	o.Do(`query($id: ID!) { call(id: $id) { id status isOnHold transfer { mode status } legs { id kind purpose status outcome isOnHold isMuted monitorMode user { id name } to { e164 } } } }`,
		demo.Vars{"id": o.id}, &out)
	return out.Call
}

// at Twilio: the leg of a device or phone that lives.
func (o *office) leg(target string) emulator.Call {
	o.t.Helper()
	for _, c := range o.Emulator.Calls() {
		if c.Target == at(target) && c.Ended.IsZero() {
			return c
		}
	}
	return emulator.Call{}
}

func (o *office) hears(sid, want string) {
	o.t.Helper()
	c, _ := o.Emulator.Call(sid)
	if c.Hears != want && !(want != "" && strings.Contains(c.Hears, want)) {
		o.t.Errorf("%s (%s) hears %q, want %q", c.Target, c.Status, c.Hears, want)
	}
}

// together says who talks in the call's room, by device or phone.
func (o *office) together(sids ...string) {
	o.t.Helper()
	for _, sid := range sids {
		o.hears(sid, "room:"+o.id)
	}
}

// is fails unless the transfer stands so.
func (o *office) transferIs(want string) {
	o.t.Helper()
	if x := o.now().Transfer; x == nil || x.Status != want {
		o.t.Fatalf("the transfer is %s, want %s: %s", asJSON(x), want, asJSON(o.now()))
	}
}

func TestHoldAndResumeInEveryOrderOfPromotion(t *testing.T) { // R096, R098
	for name, order := range map[string]string{"action first": emulator.PromotionFirst, "action last": emulator.PromotionLast, "action never": emulator.PromotionNever} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, nil, stage.WithEmulator(func(e *emulator.Options) { e.Promotion = order }))
			o.talk()
			o.must(o.ann, "callHold", "")
			o.PassSettling(12*time.Second, 2*time.Second)
			if c := o.now(); !c.IsOnHold || c.Status != "IN_PROGRESS" {
				t.Fatalf("after the hold: %s", asJSON(c))
			}
			o.hears(o.caller, emulator.DefaultMusic)
			if _, code := o.do(o.ann, "callHold", ""); code != "CONFLICT" {
				t.Errorf("a second hold: %q", code)
			}
			o.must(o.ann, "callResume", "")
			o.together(o.caller, o.leg(o.desks["ann"]).SID)
			if o.now().IsOnHold {
				t.Error("still on hold")
			}
			o.hangUp(o.leg(o.desks["ann"]).SID)
			o.Settle()
			c := o.call(o.caller)
			if c.Status != "COMPLETED" || word(c.EndReason) != "HUNG_UP" || len(c.Legs) != 2 {
				t.Errorf("in the end: %s", c)
			}
			if x, _ := o.Emulator.Call(o.caller); x.Status != "completed" {
				t.Errorf("the caller is still there: %s", x.Status)
			}
			o.proved()
		})
	}
}

func TestABlindTransferToAColleague(t *testing.T) { // R100
	o := newOffice(t, nil)
	o.talk()
	c := o.must(o.ann, "callTransfer", `, input: {userId: "`+o.bob.ID+`"}`)
	if c.Transfer == nil || c.Transfer.Status != "RINGING" {
		t.Fatalf("the answer: %s", asJSON(c))
	}
	o.wantRinging(o.desks["bob"])
	if l := o.leg(o.desks["ann"]); l.SID != "" {
		t.Errorf("ann's leg is %s", l.Status)
	}
	o.hears(o.caller, emulator.DefaultMusic)
	if _, code := o.do(o.ann, "callHold", ""); code != "CONFLICT" {
		t.Errorf("ann holds a call that she has left: %q", code)
	}
	o.Pass(4 * time.Second)
	o.answer(o.desks["bob"])
	o.Settle()
	o.transferIs("COMPLETED")
	o.together(o.caller, o.leg(o.desks["bob"]).SID)
	o.must(o.bob, "callHold", "")
	o.must(o.bob, "callResume", "")
	o.hangUp(o.caller)
	o.Settle()
	if v := o.call(o.caller); v.Status != "COMPLETED" || len(v.Legs) != 3 || o.leg(o.desks["bob"]).SID != "" {
		t.Errorf("in the end: %s", v)
	}
	o.proved()
}

func TestABlindTransferThatNobodyTakesComesBackAndThenGoesToVoicemail(t *testing.T) {
	o := newOffice(t, demo.Vars{"voicemail": demo.Vars{"isEnabled": true}})
	o.talk()
	o.must(o.ann, "callTransfer", `, input: {userId: "`+o.bob.ID+`"}`)
	o.decline(o.desks["bob"])
	o.Settle()
	o.transferIs("RETURNING")
	o.wantRinging(o.desks["ann"])
	o.hears(o.caller, emulator.DefaultMusic)
	o.answer(o.desks["ann"])
	o.Settle()
	o.transferIs("FAILED")
	o.together(o.caller, o.leg(o.desks["ann"]).SID)

	o.must(o.ann, "callTransfer", `, input: {branchId: "`+o.branch+`"}`)
	o.wantRinging(o.desks["bob"])
	for range 40 {
		o.PassSettling(2*time.Second, 2*time.Second)
		if o.now().Transfer.Status == "FAILED" {
			break
		}
	}
	o.transferIs("FAILED")
	o.Pass(4 * time.Second)
	o.Must(o.Emulator.SpeakWords(o.caller, "call me back"))
	o.PassSettling(20*time.Second, 5*time.Second)
	v := o.call(o.caller)
	if v.Status != "COMPLETED" || v.Voicemail == nil {
		t.Errorf("in the end: %s, voicemail %v", v, v.Voicemail)
	}
	o.proved()
}

func TestAWarmTransfer(t *testing.T) {
	for name, tc := range map[string]struct {
		why  string
		end  func(o *office)
		want string
		left []string // who talks then, besides the caller
		over bool
	}{
		"completed":                {"who transferred leaves", func(o *office) { o.must(o.ann, "callTransferComplete", "") }, "COMPLETED", []string{"bob"}, false},
		"cancelled":                {"the first two talk again", func(o *office) { o.must(o.ann, "callTransferCancel", "") }, "CANCELED", []string{"ann"}, false},
		"the transferrer hangs up": {"that hands it over", func(o *office) { o.hangUp(o.leg(o.desks["ann"]).SID) }, "COMPLETED", []string{"bob"}, false},
		"the target hangs up":      {"the first two talk again", func(o *office) { o.hangUp(o.leg(o.desks["bob"]).SID) }, "FAILED", []string{"ann"}, false},
		"the caller hangs up":      {"the call is over", func(o *office) { o.hangUp(o.caller) }, "FAILED", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, nil)
			o.talk()
			o.must(o.ann, "callTransfer", `, input: {mode: WARM, userId: "`+o.bob.ID+`"}`)
			o.wantRinging(o.desks["bob"])
			if _, code := o.do(o.ann, "callTransferComplete", ""); code != "CONFLICT" {
				t.Errorf("completed before anybody answered: %q", code)
			}
			o.answer(o.desks["bob"])
			o.Settle()
			o.transferIs("CONSULTING")
			o.together(o.leg(o.desks["ann"]).SID, o.leg(o.desks["bob"]).SID)
			o.hears(o.caller, emulator.DefaultMusic)
			o.Pass(5 * time.Second)
			tc.end(o)
			o.Settle()
			o.transferIs(tc.want)
			c := o.now()
			if over := c.Status == "COMPLETED"; over != tc.over {
				t.Fatalf("%s: %s", tc.why, asJSON(c))
			}
			for _, n := range []string{"ann", "bob"} {
				l, wanted := o.leg(o.desks[n]), false
				for _, x := range tc.left {
					wanted = wanted || x == n
				}
				if (l.SID != "") != wanted {
					t.Errorf("%s: %s's leg is %q", tc.why, n, l.Status)
				}
				if wanted {
					o.together(l.SID)
				}
			}
			if !tc.over {
				o.together(o.caller)
				o.hangUp(o.caller)
				o.Settle()
			}
			if c := o.now(); c.Status != "COMPLETED" || c.Transfer.Status != tc.want {
				t.Errorf("%s: in the end %s", tc.why, asJSON(c))
			}
			for _, x := range o.Emulator.Calls() {
				if x.Ended.IsZero() {
					t.Errorf("%s: %s is still %s", tc.why, x.Target, x.Status)
				}
			}
			o.proved()
		})
	}
}

func TestThreePartiesTalkAndOneIsTakenOut(t *testing.T) { // R101, R102, T04
	o := newOffice(t, nil)
	o.talk()
	ann := o.leg(o.desks["ann"]).SID
	o.must(o.ann, "callHold", "")
	c := o.must(o.ann, "callAddParticipant", `, input: {to: "`+callee+`"}`)
	o.wantRinging(callee)
	for _, l := range o.Emulator.Ringing(callee) {
		if l.From != officeNumber {
			t.Errorf("the third sees %s", l.From)
		}
	}
	o.answer(callee)
	o.Settle()
	third := o.leg(callee).SID
	o.together(ann, third)
	o.hears(o.caller, emulator.DefaultMusic) // adding somebody takes nobody off hold
	o.must(o.ann, "callResume", "")
	o.together(o.caller, ann, third)
	var notices struct {
		Call struct {
			Notices []struct{ Code string }
			Legs    []struct{ Purpose, Notice string }
		}
	}
	o.Do(`query($id: ID!) { call(id: $id) { notices { code } } }`, demo.Vars{"id": o.id}, &notices)
	if len(notices.Call.Notices) != 1 || notices.Call.Notices[0].Code != "CONFERENCE_BILLED" {
		t.Errorf("notices %+v", notices.Call.Notices)
	}
	for _, l := range o.now().Legs {
		if l.Purpose == "ADDED" {
			c.ID = l.ID
		}
	}
	o.must(o.ann, "callRemoveParticipant", `, legId: "`+c.ID+`"`)
	if o.leg(callee).SID != "" {
		t.Error("the third is still there")
	}
	o.together(o.caller, ann)
	if _, code := o.do(o.ann, "callRemoveParticipant", `, legId: "`+o.now().Legs[1].ID+`"`); code != "CONFLICT" {
		t.Errorf("one of two is taken out: %q", code)
	}
	o.must(o.ann, "callAddParticipant", `, input: {userId: "`+o.bob.ID+`"}`)
	o.answer(o.desks["bob"])
	o.Settle()
	o.hangUp(ann) // the others go on
	o.Settle()
	o.together(o.caller, o.leg(o.desks["bob"]).SID)
	o.must(o.bob, "callHangUp", "")
	if c := o.now(); c.Status != "COMPLETED" {
		t.Errorf("in the end %s", asJSON(c))
	}
	o.proved()
}

func TestSwitchesAndSettingsRefuseByName(t *testing.T) { // R099, R285
	o := newOffice(t, demo.Vars{"routing": demo.Vars{"allowTransfer": false}})
	o.company(demo.Vars{"features": []demo.Vars{{"name": "CONFERENCE", "isOn": false}, {"name": "RECORDING_PAUSE", "isOn": false}}})
	o.talk()
	for _, x := range []struct{ name, args, names string }{
		{"callTransfer", `, input: {userId: "` + o.bob.ID + `"}`, "allowTransfer"},
		{"callAddParticipant", `, input: {userId: "` + o.bob.ID + `"}`, "CONFERENCE"},
		{"callRecordingPause", ``, "RECORDING_PAUSE"},
	} {
		err := o.ann.Client.Do(t.Context(), `mutation($id: ID!) { `+x.name+`(id: $id`+x.args+`) { call { id } userErrors { code field message } } }`, demo.Vars{"id": o.id}, nil)
		if err == nil || !strings.Contains(err.Error(), x.names) || !strings.Contains(err.Error(), "FORBIDDEN") {
			t.Errorf("%s: %v does not name %s", x.name, err, x.names)
		}
	}
	o.must(o.ann, "callHold", "") // hold works all the same
	if _, code := o.do(o.bob, "callResume", ""); code != "NOT_FOUND" {
		t.Errorf("somebody who does not see the call: %q", code)
	}
	if _, code := o.do(o.cec, "callResume", ""); code != "" { // CALL_CONTROL
		t.Errorf("a dispatcher: %q", code)
	}
}

func TestKeyTonesReachTheOtherEndAndItComesBack(t *testing.T) { // R097
	o := newOffice(t, nil)
	o.talk()
	ann := o.leg(o.desks["ann"]).SID
	o.must(o.ann, "callSendDigits", `, digits: "12w#"`)
	o.PassSettling(12*time.Second, 2*time.Second)
	o.must(o.ann, "callSendDigits", `, digits: "7"`)
	o.PassSettling(12*time.Second, 2*time.Second)
	if c, _ := o.Emulator.Call(o.caller); !strings.Contains(strings.ReplaceAll(c.Keys, "w", ""), "12#7") {
		t.Errorf("the caller heard the keys %q", c.Keys)
	}
	o.together(o.caller, ann)
	if c := o.now(); c.Status != "IN_PROGRESS" {
		t.Errorf("afterwards %s", asJSON(c))
	}
	if _, code := o.do(o.ann, "callSendDigits", `, digits: "abc"`); code != "INVALID" {
		t.Errorf("letters: %q", code)
	}
	o.proved()
}

func TestMutingAndMonitoring(t *testing.T) { // R096
	o := newOffice(t, nil)
	o.talk()
	ann := o.leg(o.desks["ann"]).SID
	o.must(o.ann, "callMute", "")
	o.Pass(5 * time.Second)
	o.Settle()
	if c := o.leg(o.desks["ann"]); !c.Muted {
		t.Errorf("ann is not muted: %+v", c)
	}
	muted := false
	for _, l := range o.now().Legs {
		muted = muted || l.IsMuted
	}
	if !muted {
		t.Errorf("the log says %s", asJSON(o.now()))
	}
	o.must(o.ann, "callUnmute", "")
	if o.leg(o.desks["ann"]).Muted {
		t.Error("ann is still muted")
	}
	if _, code := o.do(o.ann, "callMonitorStart", `, input: {mode: LISTEN}`); code != "FORBIDDEN" {
		t.Errorf("without CALL_MONITOR: %q", code)
	}
	o.must(o.cec, "callMonitorStart", `, input: {mode: LISTEN}`)
	o.wantRinging(o.desks["cec"])
	o.answer(o.desks["cec"])
	o.Settle()
	if c := o.leg(o.desks["cec"]); !c.Muted || c.Coaching != "" || !strings.Contains(c.Hears, o.id) {
		t.Errorf("listening: %+v", c)
	}
	o.must(o.cec, "callMonitorStart", `, input: {mode: WHISPER}`)
	if c := o.leg(o.desks["cec"]); c.Muted || c.Coaching != ann {
		t.Errorf("whispering: %+v", c)
	}
	o.must(o.cec, "callMonitorStart", `, input: {mode: BARGE}`)
	if c := o.leg(o.desks["cec"]); c.Muted || c.Coaching != "" {
		t.Errorf("joining: %+v", c)
	}
	o.must(o.cec, "callMonitorStop", "")
	if o.leg(o.desks["cec"]).SID != "" {
		t.Error("cec still listens")
	}
	o.must(o.cec, "callMonitorStart", `, input: {mode: LISTEN}`)
	o.answer(o.desks["cec"])
	o.Settle()
	o.hangUp(ann) // whoever listens keeps no call alive
	o.Settle()
	if c := o.now(); c.Status != "COMPLETED" || o.leg(o.desks["cec"]).SID != "" {
		t.Errorf("in the end %s", asJSON(c))
	}
	o.proved()
}
