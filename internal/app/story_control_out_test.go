package app_test

import (
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

// calls lets ann talk with somebody whom she called.
func (o *office) calls() {
	o.t.Helper()
	var out struct{ CallStart struct{ Call ref } }
	o.Must(o.ann.Client.Do(o.t.Context(), startMutation, demo.Vars{"i": demo.Vars{"to": callee}, "k": nil}, &out))
	o.id = out.CallStart.Call.ID
	o.Settle()
	o.answer(o.desks["ann"])
	o.answer(callee)
	o.Pass(3 * time.Second)
	o.Settle()
}

// In a call that somebody started, their own leg is the first, and the call outlives it.
func TestAnOutboundCallOutlivesTheLegOfWhoStartedIt(t *testing.T) { // R100
	for name, order := range map[string]string{"action first": emulator.PromotionFirst, "action last": emulator.PromotionLast, "action never": emulator.PromotionNever} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, nil, stage.WithEmulator(func(e *emulator.Options) { e.Promotion = order }))
			o.calls()
			o.must(o.ann, "callTransfer", `, input: {userId: "`+o.bob.ID+`"}`)
			o.PassSettling(6*time.Second, 2*time.Second)
			o.wantRinging(o.desks["bob"])
			if l := o.leg(o.desks["ann"]); l.SID != "" {
				t.Fatalf("ann's leg is %s", l.Status)
			}
			o.hears(o.leg(callee).SID, emulator.DefaultMusic)
			o.answer(o.desks["bob"])
			o.Settle()
			o.together(o.leg(callee).SID, o.leg(o.desks["bob"]).SID)
			if c := o.now(); c.Status != "IN_PROGRESS" || c.Transfer.Status != "COMPLETED" {
				t.Errorf("transferred: %s", asJSON(c))
			}
			o.Pass(30 * time.Second)
			o.hangUp(o.leg(callee).SID)
			o.Settle()
			if c := o.callByID(o.id); c.Status != "COMPLETED" || number(c.TalkSeconds) < 39 || o.leg(o.desks["bob"]).SID != "" {
				t.Errorf("in the end %s", c)
			}
			o.proved()
		})
	}
}

// A number whose calls are held in a room from the first answer.
func TestACallIsHeldInARoomFromTheFirstAnswer(t *testing.T) {
	o := newOffice(t, demo.Vars{"routing": demo.Vars{"bridge": "CONFERENCE"}})
	o.talk()
	o.PassSettling(4*time.Second, 2*time.Second)
	o.together(o.caller, o.leg(o.desks["ann"]).SID)
	o.hangUp(o.leg(o.desks["ann"]).SID)
	o.Settle()
	if c := o.call(o.caller); c.Status != "COMPLETED" || word(c.EndReason) != "HUNG_UP" {
		t.Errorf("in the end %s", c)
	}
	o.proved()
}

// No callback tells the end: a sweep asks, within a minute.
func TestNothingStaysInProgressForAMinuteAfterItsEnd(t *testing.T) {
	for name, held := range map[string]bool{"bridged": false, "in a room": true} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, nil)
			o.talk()
			if held {
				o.must(o.ann, "callHold", "")
				o.must(o.ann, "callResume", "")
			}
			o.PassSettling(2*time.Minute, 10*time.Second)
			o.Emulator.Hold(true) // every callback is lost
			o.hangUp(o.caller)
			o.PassSettling(time.Minute, 5*time.Second)
			if c := o.now(); c.Status != "COMPLETED" {
				t.Errorf("a minute later: %s", asJSON(c))
			}
		})
	}
}

func TestOtherWaysATransferCanGo(t *testing.T) { // R100
	warm := `, input: {mode: WARM, userId: "%"}`
	for name, tc := range map[string]struct {
		why, input string
		act        func(o *office)
		want       string
		ann, bob   bool // talk in the end
		over       bool
	}{
		"a warm one that nobody answers":       {"the first two talk again", warm, func(o *office) { o.decline(o.desks["bob"]) }, "FAILED", true, false, false},
		"a warm one taken back while it rings": {"the first two talk again", warm, func(o *office) { o.must(o.ann, "callTransferCancel", "") }, "CANCELED", true, false, false},
		"a warm one that is left while it rings": {"it goes on as a blind one", warm, func(o *office) {
			o.hangUp(o.leg(o.desks["ann"]).SID)
			o.Settle()
			o.answer(o.desks["bob"])
		}, "COMPLETED", false, true, false},
		"a blind one taken back": {"it rings who transferred", `, input: {userId: "%"}`, func(o *office) {
			o.must(o.ann, "callTransferCancel", "")
			o.transferIs("RETURNING")
			o.answer(o.desks["ann"])
		}, "CANCELED", true, false, false},
		"a blind one whose caller hangs up": {"the ring ends", `, input: {userId: "%"}`, func(o *office) { o.hangUp(o.caller) }, "FAILED", false, false, true},
		"to a number outside": {"it shows ours", `, input: {to: "` + callee + `"}`, func(o *office) {
			for _, l := range o.Emulator.Ringing(callee) {
				if l.From != officeNumber {
					o.t.Errorf("it shows %s", l.From)
				}
			}
			o.answer(callee)
		}, "COMPLETED", false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, nil)
			o.talk()
			o.must(o.ann, "callTransfer", strings.ReplaceAll(tc.input, "%", o.bob.ID))
			o.PassSettling(2*time.Second, 2*time.Second)
			tc.act(o)
			o.PassSettling(6*time.Second, 2*time.Second)
			o.transferIs(tc.want)
			for n, talks := range map[string]bool{"ann": tc.ann, "bob": tc.bob} {
				if l := o.leg(o.desks[n]); talks != (l.SID != "") {
					t.Errorf("%s: %s's leg is %q", tc.why, n, l.Status)
				} else if talks {
					o.together(l.SID)
				}
			}
			if over := o.now().Status == "COMPLETED"; over != tc.over {
				t.Errorf("%s: %s", tc.why, asJSON(o.now()))
			}
			if !tc.over {
				o.together(o.caller)
				o.must(o.cec, "callHangUp", "")
				o.Settle()
			}
			for _, x := range o.Emulator.Calls() {
				if x.Ended.IsZero() {
					t.Errorf("%s: %s is still %s", tc.why, x.Target, x.Status)
				}
			}
			if c := o.now(); c.Status != "COMPLETED" {
				t.Errorf("in the end %s", asJSON(c))
			}
			o.proved()
		})
	}
}

func TestTransfersAreRefusedWithTheState(t *testing.T) {
	o := newOffice(t, nil)
	o.talk()
	for _, x := range []struct{ why, name, args, code string }{
		{"whom?", "callTransfer", `, input: {}`, "REQUIRED"},
		{"one only", "callTransfer", `, input: {userId: "` + o.bob.ID + `", to: "+12025550188"}`, "INVALID"},
		{"who is in the call", "callTransfer", `, input: {userId: "` + o.ann.ID + `"}`, "CONFLICT"},
		{"no such number", "callTransfer", `, input: {to: "12"}`, "INVALID"},
		{"an emergency number", "callTransfer", `, input: {to: "911"}`, "UNSUPPORTED"},
		{"nothing to complete", "callTransferComplete", ``, "CONFLICT"},
		{"nothing to take back", "callTransferCancel", ``, "CONFLICT"},
	} {
		if _, code := o.do(o.ann, x.name, x.args); code != x.code {
			t.Errorf("%s: %q, want %s", x.why, code, x.code)
		}
	}
	o.Must(o.bob.Client.Do(t.Context(), `mutation($i: UserDoNotDisturbSetInput!) { userDoNotDisturbSet(input: $i) { userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"userId": o.bob.ID, "isOn": true}}, nil))
	if _, code := o.do(o.ann, "callTransfer", `, input: {userId: "`+o.bob.ID+`"}`); code != "CONFLICT" {
		t.Errorf("to whom is not to be disturbed: %q", code)
	}
	o.hangUp(o.caller)
	o.Settle()
	err := o.ann.Client.Do(t.Context(), `mutation($id: ID!) { callHold(id: $id) { userErrors { code field message } } }`, demo.Vars{"id": o.id}, nil)
	if err == nil || !strings.Contains(err.Error(), "COMPLETED") {
		t.Errorf("a hold after the end does not name the state: %v", err)
	}
}
