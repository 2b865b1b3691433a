package app_test

import (
	"testing"
	"time"

	"switchboard/internal/emulator"
)

// Callbacks late, twice and in any order, reads that trail, and a Twilio that is
// busy: the controls come to the same end.
func TestControlsComeToTheSameEndInDisorder(t *testing.T) { // T11
	for name, chaos := range map[string]emulator.Chaos{
		"out of order and twice":           {Reorder: 0.5, Duplicate: 0.5},
		"late":                             {Delay: 0.4, MaxDelay: 6 * time.Second},
		"callbacks before the answer":      {CallbackFirst: true, Parallel: true},
		"Twilio is busy, answers get lost": {TooMany: 0.2, Burst: 1, ServerError: 0.1, Lost: 0.15},
		"reads trail":                      {ReadLag: 5 * time.Second, Reorder: 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, nil)
			o.talk()
			chaos.Seed = 7
			o.Emulator.SetChaos(chaos)
			settle := func() { o.PassSettling(20*time.Second, 2*time.Second) }
			o.must(o.ann, "callHold", "")
			settle()
			o.hears(o.caller, emulator.DefaultMusic)
			o.must(o.ann, "callResume", "")
			settle()
			o.together(o.caller, o.leg(o.desks["ann"]).SID)
			o.must(o.ann, "callTransfer", `, input: {mode: WARM, userId: "`+o.bob.ID+`"}`)
			o.PassSettling(10*time.Second, 2*time.Second)
			o.answer(o.desks["bob"])
			settle()
			o.transferIs("CONSULTING")
			o.together(o.leg(o.desks["ann"]).SID, o.leg(o.desks["bob"]).SID)
			o.hears(o.caller, emulator.DefaultMusic)
			o.must(o.ann, "callTransferComplete", "")
			settle()
			o.transferIs("COMPLETED")
			o.together(o.caller, o.leg(o.desks["bob"]).SID)
			if l := o.leg(o.desks["ann"]); l.SID != "" {
				t.Errorf("ann's leg is %s", l.Status)
			}
			o.hangUp(o.caller)
			o.PassSettling(2*time.Minute, 5*time.Second)
			if c := o.now(); c.Status != "COMPLETED" || c.Transfer.Status != "COMPLETED" {
				t.Errorf("in the end %s", asJSON(c))
			}
			for _, x := range o.Emulator.Calls() {
				if x.Ended.IsZero() {
					t.Errorf("%s is still %s", x.Target, x.Status)
				}
			}
			o.Emulator.ClearDebugger()
			o.proved()
		})
	}
}
