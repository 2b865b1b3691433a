package app_test

import (
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/id"
)

// dropper is a user who leaves messages on machines.
type dropper struct {
	*outbound
	message string
}

const message = "This is Acme about your booking. Please call us back, any day."

func newDropper(t *testing.T) *dropper {
	t.Helper()
	d := &dropper{outbound: newOutbound(t)}
	var out struct{ DropMessageCreate struct{ DropMessage ref } }
	d.Do(`mutation($i: DropMessageCreateInput!) { dropMessageCreate(input: $i) { dropMessage { id name } userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"name": "Call back", "text": message}}, &out)
	d.message = out.DropMessageCreate.DropMessage.ID
	return d
}

// reach calls the callee, whose phone behaves so, and has the own device answer.
func (d *dropper) reach(b emulator.PhoneBehaviour, more demo.Vars) (id, sid string) {
	d.t.Helper()
	d.Emulator.Behave(callee, b)
	input := demo.Vars{"to": callee}
	for k, v := range more {
		input[k] = v
	}
	id = d.start(input, nil)
	d.rings(d.desk)
	d.answer(d.desk)
	return id, d.legOf(d.callByID(id).TwilioSid, callee)
}

// heard is what the callee's machine kept.
func (d *dropper) heard(leg string) []emulator.Heard {
	d.t.Helper()
	c, ok := d.Emulator.Call(leg)
	if !ok {
		d.t.Fatalf("there is no leg %s", leg)
	}
	return c.Left
}

func (d *dropper) wantLeft(leg string) {
	d.t.Helper()
	got := d.heard(leg)
	if len(got) != 1 || got[0].Text != message || got[0].From != 0 || !got[0].Whole {
		d.t.Errorf("the machine kept %+v, want the whole message from its first word", got)
	}
}

func (d *dropper) answerer(id string) string {
	d.t.Helper()
	var out struct{ Call struct{ Answerer *string } }
	d.Do(`query($id: ID!) { call(id: $id) { answerer } }`, demo.Vars{"id": id}, &out)
	return word(out.Call.Answerer)
}

const (
	dropMutation     = `mutation($c: ID!, $m: ID!, $n: Boolean, $k: String) { voicemailDrop(id: $c, dropMessageId: $m, now: $n, idempotencyKey: $k) { call { id status } userErrors { code field message } } }`
	answererMutation = `mutation($c: ID!, $a: CallAnswerer!) { callAnswererSet(id: $c, answerer: $a) { call { id answerer } userErrors { code field message } } }`
)

// machine picks up after a second and speaks for six before its beep.
var machine = emulator.PhoneBehaviour{Do: emulator.Voicemail, After: time.Second, Speak: 6 * time.Second}

func TestAMessageIsLeftAtTheBeepAndTheUserIsFree(t *testing.T) { // R108-R110, T10
	d := newDropper(t)
	id, leg := d.reach(machine, demo.Vars{"dropMessageId": d.message})
	d.PassSettling(5*time.Second, time.Second)
	if c := d.callByID(id); c.Status != "IN_PROGRESS" || len(d.heard(leg)) != 0 {
		t.Errorf("while the machine speaks the log says %s", c)
	}
	d.PassSettling(3*time.Second, time.Second) // its greeting is over
	c := d.callByID(id)
	if c.Status != "COMPLETED" || word(c.EndReason) != "LEFT_MESSAGE" || d.answerer(id) != "MACHINE" {
		t.Errorf("while the message plays the log says %s, answered by %s", c, d.answerer(id))
	}
	if own, ok := d.Emulator.Call(c.TwilioSid); !ok || own.Status != "completed" {
		t.Errorf("the user's own leg is %s, want it free at once (R110)", own.Status)
	}
	if far, _ := d.Emulator.Call(leg); far.Status != "in-progress" {
		t.Errorf("the machine's leg is %s, want it to hear the message out", far.Status)
	}
	d.PassSettling(time.Minute, 20*time.Second)
	d.wantLeft(leg)
	if c := d.callByID(id); word(c.EndReason) != "LEFT_MESSAGE" || word(c.leg(callee).Outcome) != "ANSWERED" {
		t.Errorf("in the end the log says %s", c)
	}
	d.clean()
}

func TestAMessageIsLeftAtOnceByHand(t *testing.T) { // R109, R110
	d := newDropper(t)
	id, leg := d.reach(machine, nil)
	vars := demo.Vars{"c": id, "m": d.message, "n": true, "k": "press"}
	if code := d.try(d.ann.Client, dropMutation, vars, nil); code != "CONFLICT" {
		t.Errorf("before anybody answered: %q", code)
	}
	d.PassSettling(8*time.Second, time.Second) // the beep was heard
	for range 2 {                              // pressed twice with one key
		d.Must(d.ann.Client.Do(t.Context(), dropMutation, vars, nil))
	}
	d.Settle()
	c := d.callByID(id)
	if own, _ := d.Emulator.Call(c.TwilioSid); own.Status != "completed" || word(c.EndReason) != "LEFT_MESSAGE" {
		t.Errorf("at once the user's leg is %s and the log says %s", own.Status, c)
	}
	d.PassSettling(time.Minute, 20*time.Second)
	d.wantLeft(leg)
	if code := d.try(d.ann.Client, dropMutation, demo.Vars{"c": id, "m": d.message}, nil); code != "CONFLICT" {
		t.Errorf("on a call that is over: %q", code)
	}
	d.clean()
}

func TestAMessageWaitsForTheBeepAndAPersonCallsItOff(t *testing.T) { // T10
	d := newDropper(t)
	id, leg := d.reach(machine, demo.Vars{"detectMachine": true})
	d.PassSettling(2*time.Second, time.Second)
	d.Must(d.ann.Client.Do(t.Context(), dropMutation, demo.Vars{"c": id, "m": d.message}, nil))
	d.PassSettling(time.Second, time.Second)
	if len(d.heard(leg)) != 0 {
		t.Error("the message did not wait for the beep")
	}
	d.Must(d.ann.Client.Do(t.Context(), answererMutation, demo.Vars{"c": id, "a": "HUMAN"}, nil))
	d.PassSettling(15*time.Second, time.Second) // a verdict comes, too late
	if c := d.callByID(id); c.Status != "IN_PROGRESS" || d.answerer(id) != "HUMAN" || len(d.heard(leg)) != 0 {
		t.Errorf("called off, the log says %s, answered by %s", c, d.answerer(id))
	}
	d.hangUp(leg)
	d.Settle()
	if c := d.callByID(id); word(c.EndReason) != "HUNG_UP" {
		t.Errorf("the log says %s", c)
	}
	d.clean()
}

func TestAWrongVerdictIsOverridden(t *testing.T) { // T10
	d := newDropper(t)
	wrong := machine
	wrong.AnsweredBy, wrong.VerdictAfter = emulator.Human, 2*time.Second
	id, leg := d.reach(wrong, demo.Vars{"dropMessageId": d.message})
	d.PassSettling(10*time.Second, time.Second)
	if c := d.callByID(id); c.Status != "IN_PROGRESS" || d.answerer(id) != "HUMAN" || len(d.heard(leg)) != 0 {
		t.Errorf("taken for a person, the log says %s, answered by %s", c, d.answerer(id))
	}
	d.Must(d.ann.Client.Do(t.Context(), answererMutation, demo.Vars{"c": id, "a": "MACHINE"}, nil))
	d.PassSettling(time.Minute, 20*time.Second)
	d.wantLeft(leg)
	if c := d.callByID(id); word(c.EndReason) != "LEFT_MESSAGE" || d.answerer(id) != "MACHINE" {
		t.Errorf("corrected, the log says %s, answered by %s", c, d.answerer(id))
	}
	d.clean()
}

func TestAPersonWhoAnswersHearsNoMessage(t *testing.T) { // R109
	d := newDropper(t)
	call, leg := d.reach(emulator.PhoneBehaviour{Do: emulator.Answers, After: time.Second}, demo.Vars{"dropMessageId": d.message})
	d.PassSettling(15*time.Second, time.Second)
	if c := d.callByID(call); c.Status != "IN_PROGRESS" || d.answerer(call) != "HUMAN" {
		t.Errorf("the log says %s, answered by %s", c, d.answerer(call))
	}
	bob := d.User("bob", "OFFICE", "", d.branch)
	nothing := id.New(id.DropMessage).String()
	for name, x := range map[string]struct {
		code string
		got  string
	}{
		"of another":     {"FORBIDDEN", d.try(bob.Client, dropMutation, demo.Vars{"c": call, "m": d.message, "n": true}, nil)},
		"no such":        {"NOT_FOUND", d.try(d.ann.Client, dropMutation, demo.Vars{"c": call, "m": nothing, "n": true}, nil)},
		"by a clerk":     {"FORBIDDEN", d.try(d.ann.Client, `mutation { dropMessageCreate(input: {name: "x", text: "y"}) { userErrors { code field message } } }`, nil, nil)},
		"says nothing":   {"REQUIRED", d.try(d.Admin, `mutation { dropMessageCreate(input: {name: "x"}) { userErrors { code field message } } }`, nil, nil)},
		"the same name":  {"TAKEN", d.try(d.Admin, `mutation { dropMessageCreate(input: {name: "Call back", text: "y"}) { userErrors { code field message } } }`, nil, nil)},
		"much too long":  {"INVALID", d.try(d.Admin, `mutation($t: String!) { dropMessageCreate(input: {name: "x", text: $t}) { userErrors { code field message } } }`, demo.Vars{"t": strings.Repeat("x", 3001)}, nil)},
		"no such voice":  {"INVALID", d.try(d.Admin, `mutation { dropMessageCreate(input: {name: "x", text: "y", voice: "<Say>"}) { userErrors { code field message } } }`, nil, nil)},
		"cleared wholly": {"REQUIRED", d.try(d.Admin, `mutation($m: ID!) { dropMessageUpdate(id: $m, input: {text: null}) { userErrors { code field message } } }`, demo.Vars{"m": d.message}, nil)},
	} {
		if x.got != x.code {
			t.Errorf("a message %s: %q, want %s", name, x.got, x.code)
		}
	}
	d.company(demo.Vars{"features": []demo.Vars{{"name": "VOICEMAIL_DROP", "isOn": false}}})
	if code := d.try(d.ann.Client, dropMutation, demo.Vars{"c": call, "m": d.message, "n": true}, nil); code != "FORBIDDEN" { // R285
		t.Errorf("switched off: %q", code)
	}
	d.hangUp(leg)
	d.Settle()
	d.Do(`mutation($m: ID!) { dropMessageDelete(id: $m) { deletedDropMessageId userErrors { code field message } } }`, demo.Vars{"m": d.message}, nil)
	var out struct {
		DropMessages struct{ Nodes []ref }
		Node         *struct{ ID string }
	}
	d.Do(`query($m: ID!) { dropMessages { nodes { id name } } node(id: $m) { id } }`, demo.Vars{"m": d.message}, &out)
	if len(out.DropMessages.Nodes) != 0 || out.Node != nil {
		t.Errorf("a deleted message is still there: %+v", out)
	}
	d.clean()
}
