package app_test

import (
	"errors"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
)

// recorded is a number whose calls are recorded from the answer on.
var recorded = demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER_DUAL"}}

// tapes are the recordings at Twilio as "source status".
func (o *office) tapes() (list []string) {
	for _, r := range o.Emulator.Recordings() {
		list = append(list, r.Source+" "+r.Status)
	}
	return list
}

func (o *office) wantTapes(want ...string) {
	o.t.Helper()
	if got := o.tapes(); asJSON(got) != asJSON(want) {
		o.t.Fatalf("recordings %v, want %v", got, want)
	}
}

func TestAPauseSurvivesPromotionAndTheNextRecordingGoesOnAfterIt(t *testing.T) { // R117-R119, T05, D23
	o := newOffice(t, recorded)
	o.talk()
	o.wantTapes("DialVerb in-progress")
	o.must(o.ann, "callRecordingPause", "")
	o.wantTapes("DialVerb paused")
	if _, code := o.do(o.ann, "callRecordingPause", ""); code != "CONFLICT" {
		t.Errorf("a second pause: %q", code)
	}
	o.must(o.ann, "callHold", "") // promotion
	o.must(o.ann, "callResume", "")
	o.PassSettling(6*time.Second, 2*time.Second)
	o.wantTapes("DialVerb completed") // nothing records
	o.must(o.ann, "callRecordingResume", "")
	o.wantTapes("DialVerb completed", "StartCallRecordingAPI in-progress")
	o.must(o.ann, "callRecordingPause", "")
	o.must(o.ann, "callTransfer", `, input: {userId: "`+o.bob.ID+`"}`)
	o.answer(o.desks["bob"])
	o.Settle()
	o.wantTapes("DialVerb completed", "StartCallRecordingAPI paused") // a transfer resumes nothing
	o.must(o.bob, "callRecordingResume", "")
	o.wantTapes("DialVerb completed", "StartCallRecordingAPI in-progress")
	o.hangUp(o.caller)
	o.PassSettling(10*time.Second, 5*time.Second)
	if c := o.call(o.caller); len(c.Recordings) != 2 || c.Status != "COMPLETED" {
		t.Errorf("in the end %s: %s", c, asJSON(c.Recordings))
	}
	o.proved()
}

func TestAPromotedCallIsRecordedOnInTheBackground(t *testing.T) { // D23
	o := newOffice(t, recorded)
	o.talk()
	o.must(o.ann, "callHold", "")
	o.wantTapes("DialVerb completed", "StartCallRecordingTwiML in-progress")
	o.must(o.ann, "callSendDigits", `, digits: "1"`) // another document does not begin another
	o.PassSettling(12*time.Second, 2*time.Second)
	o.wantTapes("DialVerb completed", "StartCallRecordingTwiML in-progress")
	o.must(o.ann, "callRecordingPause", "")
	o.wantTapes("DialVerb completed", "StartCallRecordingTwiML paused")
	o.must(o.ann, "callRecordingResume", "")
	o.wantTapes("DialVerb completed", "StartCallRecordingTwiML in-progress")
	o.hangUp(o.caller)
	o.Settle()
	o.proved()
}

func TestAForgottenPauseIsToldOnce(t *testing.T) { // T05
	o := newOffice(t, recorded)
	o.talk()
	after := o.cursor()
	o.must(o.ann, "callRecordingPause", "")
	o.PassSettling(5*time.Minute, 20*time.Second)
	told := 0
	for _, f := range o.facts(o.Admin, after, "CALL_NOTICE") {
		if f.Type == "CallNoticed" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	var out struct {
		Call struct{ Notices []struct{ Code string } }
	}
	o.Do(`query($id: ID!) { call(id: $id) { notices { code } } }`, demo.Vars{"id": o.id}, &out)
	if asJSON(out.Call.Notices) != `[{"Code":"RECORDING_STILL_PAUSED"}]` {
		t.Errorf("notices %s", asJSON(out.Call.Notices))
	}
}

// Two press at once: one wins, the other is told.
func TestOfTwoWhoPressAtOnceOneWins(t *testing.T) {
	o := newOffice(t, nil)
	o.talk()
	o.must(o.ann, "callHold", "")
	type answer struct{ code string }
	for range 3 {
		codes := make(chan answer, 2)
		for _, who := range []*demo.Client{o.ann.Client, o.cec.Client} {
			go func() {
				codes <- answer{o.code(who, `mutation($id: ID!) { callResume(id: $id) { userErrors { code field message } } }`)}
			}()
		}
		a, b := (<-codes).code, (<-codes).code
		if a > b {
			a, b = b, a
		}
		if a != "" || b != "CONFLICT" {
			t.Fatalf("resume against resume: %q and %q", a, b)
		}
		o.Settle()
		o.together(o.caller, o.leg(o.desks["ann"]).SID)
		o.must(o.ann, "callHold", "")
	}
}

// code is how a command on the call ends, from any goroutine.
func (o *office) code(who *demo.Client, query string) string {
	err := who.Do(o.t.Context(), query, demo.Vars{"id": o.id}, nil)
	if err == nil {
		return ""
	}
	var f *demo.Failure
	if errors.As(err, &f) && len(f.Problems) > 0 {
		return f.Problems[0].Code
	}
	return err.Error()
}

// A command and a hang-up at once leave no leg behind, whoever is first.
func TestCommandsAgainstHangingUpLeaveNothingBehind(t *testing.T) {
	for name, command := range map[string]string{
		"hold":     `mutation($id: ID!) { callHold(id: $id) { userErrors { code field message } } }`,
		"transfer": "",
	} {
		for by, who := range map[string]string{"the caller": "caller", "ann": "ann"} {
			t.Run(name+" and "+by, func(t *testing.T) {
				o := newOffice(t, nil)
				o.talk()
				query := command
				if query == "" {
					query = `mutation($id: ID!) { callTransfer(id: $id, input: {userId: "` + o.bob.ID + `"}) { userErrors { code field message } } }`
				}
				sid := o.caller
				if who == "ann" {
					sid = o.leg(o.desks["ann"]).SID
				}
				done := make(chan string, 1)
				go func() { done <- o.code(o.ann.Client, query) }()
				if err := o.Emulator.HangUp(sid); err != nil && who != "ann" {
					t.Fatal(err) // a transfer may have ended ann's leg before
				}
				if code := <-done; code != "" && code != "CONFLICT" {
					t.Errorf("the command: %s", code)
				}
				o.Settle()
				o.PassSettling(100*time.Second, 5*time.Second)
				if c := o.now(); c.Status != "COMPLETED" {
					t.Errorf("in the end %s", asJSON(c))
				}
				for _, x := range o.Emulator.Calls() {
					if x.Ended.IsZero() {
						t.Errorf("%s is still %s", x.Target, x.Status)
					}
				}
			})
		}
	}
}

// Repeated with its key a command acts once, also when Twilio did it and the answer was lost.
func TestEveryCommandActsOnceWithItsKey(t *testing.T) { // B11
	o := newOffice(t, nil)
	o.talk()
	o.must(o.ann, "callHold", `, idempotencyKey: "h"`)
	o.must(o.ann, "callHold", `, idempotencyKey: "h"`)
	o.Emulator.FailNext(emulator.Fault{Method: "POST", Path: "/Participants/", Fate: emulator.LostReset})
	o.must(o.ann, "callResume", `, idempotencyKey: "r"`)
	o.must(o.ann, "callResume", `, idempotencyKey: "r"`)
	o.PassSettling(10*time.Second, 2*time.Second)
	if o.now().IsOnHold {
		t.Error("the answer to the resume was lost, and it is still on hold")
	}
	before := o.created()
	o.Emulator.FailNext(emulator.Fault{Method: "POST", Path: "/Calls.json", Fate: emulator.LostReset})
	o.must(o.ann, "callAddParticipant", `, input: {to: "`+callee+`"}, idempotencyKey: "a"`)
	o.must(o.ann, "callAddParticipant", `, input: {to: "`+callee+`"}, idempotencyKey: "a"`)
	o.PassSettling(10*time.Second, 5*time.Second)
	o.wantRinging(callee)
	o.answer(callee)
	o.Settle()
	if n := o.created() - before; n != 1 {
		t.Errorf("%d calls were made", n)
	}
	o.together(o.caller, o.leg(callee).SID)
	if _, code := o.do(o.ann, "callAddParticipant", `, input: {to: "+12025550187"}, idempotencyKey: "a"`); code != "IDEMPOTENCY_KEY_REUSED" {
		t.Errorf("the same key for another: %q", code)
	}
	o.must(o.ann, "callSendDigits", `, digits: "5", idempotencyKey: "d"`)
	o.PassSettling(10*time.Second, 2*time.Second)
	o.must(o.ann, "callSendDigits", `, digits: "5", idempotencyKey: "d"`)
	o.PassSettling(10*time.Second, 2*time.Second)
	if c, _ := o.Emulator.Call(o.caller); c.Keys != "5" {
		t.Errorf("the caller heard the keys %q", c.Keys)
	}
	o.must(o.ann, "callTransfer", `, input: {userId: "`+o.bob.ID+`"}, idempotencyKey: "t"`)
	o.must(o.ann, "callTransfer", `, input: {userId: "`+o.bob.ID+`"}, idempotencyKey: "t"`)
	o.wantRinging(o.desks["bob"])
	o.proved()
}

func TestAHeldCallerWhoHangsUpEndsTheCall(t *testing.T) { // T04
	o := newOffice(t, nil)
	o.talk()
	o.must(o.ann, "callHold", "")
	o.Pass(20 * time.Second)
	o.hangUp(o.caller)
	o.Settle()
	if c := o.call(o.caller); c.Status != "COMPLETED" || o.leg(o.desks["ann"]).SID != "" {
		t.Errorf("in the end %s", c)
	}
	o.proved()
}

func TestTheOrganizationsMusicIsHeardOnHold(t *testing.T) { // R098
	o := newOffice(t, nil)
	o.company(demo.Vars{"holdMusicId": o.upload("music.wav", wav())})
	o.talk()
	o.must(o.ann, "callHold", "")
	o.hears(o.caller, "/twilio/media/")
	o.Pass(5 * time.Minute) // again and again
	o.hears(o.caller, "/twilio/media/")
	o.must(o.ann, "callResume", "")
	o.together(o.caller, o.leg(o.desks["ann"]).SID)
	o.must(o.ann, "callTransfer", `, input: {userId: "`+o.bob.ID+`"}`) // and by whom is transferred
	o.hears(o.caller, "/twilio/media/")
	o.proved()
}

// Between colleagues nobody is outside: the other one is meant.
func TestColleaguesHoldEachOther(t *testing.T) {
	o := newOffice(t, nil)
	var out struct{ CallStart struct{ Call ref } }
	o.Must(o.ann.Client.Do(t.Context(), startMutation, demo.Vars{"i": demo.Vars{"userId": o.bob.ID}, "k": nil}, &out))
	o.id = out.CallStart.Call.ID
	o.Settle()
	o.answer(o.desks["ann"])
	o.answer(o.desks["bob"])
	o.Settle()
	ann, bob := o.leg(o.desks["ann"]).SID, o.leg(o.desks["bob"]).SID
	o.must(o.ann, "callHold", "")
	if !o.now().IsOnHold {
		t.Errorf("the log says %s", asJSON(o.now()))
	}
	o.hears(bob, emulator.DefaultMusic)
	o.must(o.ann, "callResume", "")
	o.together(ann, bob)
	o.must(o.bob, "callTransfer", `, input: {userId: "`+o.cec.ID+`"}`)
	o.answer(o.desks["cec"])
	o.Settle()
	o.together(ann, o.leg(o.desks["cec"]).SID)
	o.hangUp(ann)
	o.Settle()
	if c := o.now(); c.Status != "COMPLETED" || o.leg(o.desks["cec"]).SID != "" {
		t.Errorf("in the end %s", asJSON(c))
	}
	o.proved()
}

// A party outside counts for the caps like a call, or a handset would open the door to any number of them.
func TestPartiesOutsideCountForTheCaps(t *testing.T) {
	o := newOffice(t, nil)
	o.Do(`mutation { organizationUpdate(input: {maxCallsPerUserHour: 1}) { userErrors { code field message } } }`, nil, nil)
	o.talk()
	o.must(o.ann, "callAddParticipant", `, input: {to: "`+callee+`"}`)
	o.answer(callee)
	for _, way := range []string{"callAddParticipant", "callTransfer"} {
		if _, code := o.do(o.ann, way, `, input: {to: "+12025550187"}`); code != "LIMIT_REACHED" {
			t.Errorf("%s of a second party within the hour: %q", way, code)
		}
	}
	if _, code := o.do(o.ann, "callAddParticipant", `, input: {userId: "`+o.bob.ID+`"}`); code != "" {
		t.Errorf("a colleague costs no call outside: %q", code)
	}
	o.hangUp(o.caller)
	o.proved()
}
