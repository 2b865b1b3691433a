package app_test

import (
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
			o.clean()
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
	o.clean()
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
