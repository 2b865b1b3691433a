package app_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

// crowd is a branch of 25 with 40 devices, of which one <Dial> rings ten (T01).
type crowd struct {
	*story
	line    string
	devices []string // in the order in which they were seen last, the last first
	owner   map[string]string
}

func newCrowd(t *testing.T, perSecond int) *crowd {
	t.Helper()
	c := &crowd{story: newStory(t, stage.WithEmulator(func(o *emulator.Options) { o.CallsPerSecond = float64(perSecond) })), owner: map[string]string{}}
	branch := c.Branch("Office")
	c.line = c.Number(officeNumber, demo.Vars{"branchId": branch, "routing": demo.Vars{"ringTimeoutSeconds": 25}, "voicemail": demo.Vars{"isEnabled": false}})
	c.Do(`mutation($c: ID!, $n: Int!) { twilioConnectionUpdate(id: $c, input: {callsPerSecond: $n}) { userErrors { code field message } } }`,
		demo.Vars{"c": c.ConnectionID, "n": perSecond}, nil)
	for n := range 25 {
		who := fmt.Sprintf("user%02d", n)
		p := c.User(who, "OFFICE", "", branch)
		devices := 1
		if n < 15 {
			devices = 2
		}
		for d := range devices {
			c.Clock.Advance(time.Second)
			device := c.Device(p, fmt.Sprintf("%s/%d", who, d))
			c.devices = append(c.devices, device)
			c.owner[device] = who
		}
	}
	slices.Reverse(c.devices)
	return c
}

// tenAtMost looks at every document: no <Dial> has more than ten nouns.
func (c *crowd) tenAtMost() {
	c.t.Helper()
	for _, d := range c.Emulator.Deliveries() {
		for _, dial := range strings.Split(d.Answer, "<Dial")[1:] {
			dial, _, _ = strings.Cut(dial, "</Dial>")
			if n := strings.Count(dial, "<Client") + strings.Count(dial, "<Number") + strings.Count(dial, "<Sip"); n > 10 {
				c.t.Errorf("a <Dial> has %d nouns", n)
			}
		}
	}
}

// ours are the calls that we started ourselves, in their order.
func (c *crowd) ours() (list []emulator.Call) {
	for _, x := range c.Emulator.Calls() {
		if x.Direction == "outbound-api" {
			list = append(list, x)
		}
	}
	slices.SortFunc(list, func(a, b emulator.Call) int { return a.Created.Compare(b.Created) })
	return list
}

func (c *crowd) want(n int) []string { return slices.Sorted(slices.Values(c.devices[:n])) }

// settled says what every device but the winner learned.
func (c *crowd) settled(x callView, winner, outcome, by string) {
	c.t.Helper()
	if len(x.Legs) != 41 {
		c.t.Errorf("%d legs, want the caller and 40 devices", len(x.Legs))
	}
	for _, l := range x.Legs {
		switch {
		case l.Kind == "CALLER":
		case l.Device.ID == winner:
			if word(l.Outcome) != "ANSWERED" {
				c.t.Errorf("the winner reads %q", word(l.Outcome))
			}
		case word(l.Outcome) != outcome || name(l.AnsweredBy) != by || l.EndedAt == nil:
			c.t.Errorf("%s reads %q by %q, want %q by %q", l.Device.Name, word(l.Outcome), name(l.AnsweredBy), outcome, by)
		}
	}
}

// T01: at one a second exactly those ring whom the arithmetic allows, and the trace
// names the others.
func TestAtOneASecondThoseRingWhomTheTimeReaches(t *testing.T) {
	c := newCrowd(t, 1)
	sid := c.dial(customer, officeNumber)
	c.Settle()
	c.wantRinging(c.want(11)...) // ten in the <Dial>, and the first of our own at once
	began := c.Clock.Now()
	c.PassSettling(10*time.Second, 500*time.Millisecond)
	c.wantRinging(c.want(21)...)
	c.PassSettling(14*time.Second, 500*time.Millisecond)
	// 25 s of ringing, of which the last leg has one: 24 are started, at 0 to 23 s.
	own := c.ours()
	if len(own) != 24 {
		t.Fatalf("%d calls of our own, want 24", len(own))
	}
	for i, x := range own {
		if at := x.Created.Sub(began).Round(time.Second); at != time.Duration(i)*time.Second || x.Target != "client:"+c.devices[10+i] {
			t.Errorf("call %d of our own rings %s after %v", i, x.Target, at)
		}
	}
	v := c.call(sid)
	left := v.rule("DEVICE_PACE", "SKIPPED")
	if len(left) != 6 {
		t.Errorf("the trace names %d whom the time did not reach: %q", len(left), left)
	}
	for i, d := range left {
		if who := c.owner[c.devices[34+i]]; !strings.Contains(d, who) {
			t.Errorf("the trace says %q of the device of %s", d, who)
		}
	}
	c.PassSettling(10*time.Second, 500*time.Millisecond)
	c.wantRinging()
	v = c.call(sid)
	if v.Status != "MISSED" || word(v.EndReason) != "NO_ANSWER" {
		t.Errorf("nobody answered: %s", v)
	}
	for _, l := range v.Legs {
		if l.Kind == "DEVICE" && word(l.Outcome) != "TIMED_OUT" {
			t.Errorf("%s reads %q", l.Device.Name, word(l.Outcome))
		}
	}
	c.tenAtMost()
	c.clean()
}

// T01, R061-R063: at thirty a second all ring within two seconds; whoever answers
// first has the call, whether the <Dial> rang them or we did.
func TestAtThirtyASecondAllRingAndEitherKindCanWin(t *testing.T) {
	c := newCrowd(t, 30)
	for claim, place := range map[string]int{"a device of the <Dial>": 3, "a device that we rang": 25} {
		winner := c.devices[place]
		sid := c.dial(customer, officeNumber)
		c.PassSettling(2*time.Second, 250*time.Millisecond)
		c.wantRinging(c.want(40)...)
		if v := c.call(sid); len(v.rule("DEVICE_PACE", "SKIPPED")) != 0 {
			t.Errorf("%s: the trace leaves somebody out: %+v", claim, v.Route.Trace)
		}
		c.answer(winner)
		c.Settle()
		c.wantRinging()
		v := c.call(sid)
		if v.Status != "IN_PROGRESS" || name(v.AnsweredBy) != c.owner[winner] {
			t.Errorf("%s answers: %s", claim, v)
		}
		c.settled(v, winner, "ANSWERED_ELSEWHERE", c.owner[winner])
		c.PassSettling(5*time.Second, time.Second)
		c.hangUp(sid)
		c.Settle()
		v = c.call(sid)
		if v.Status != "COMPLETED" || word(v.EndReason) != "HUNG_UP" || number(v.TalkSeconds) != 5 {
			t.Errorf("%s talked: %s", claim, v)
		}
		for _, x := range c.Emulator.Calls() {
			if x.Ended.IsZero() {
				t.Errorf("%s: %s to %s still goes on", claim, x.SID, x.Target)
			}
		}
		c.settled(v, winner, "ANSWERED_ELSEWHERE", c.owner[winner])
	}
	c.tenAtMost()
	c.clean()
}

// The caller gives up while calls of our own wait for their turn: they are not made.
func TestACallerWhoGivesUpLeavesNobodyRinging(t *testing.T) {
	c := newCrowd(t, 1)
	sid := c.dial(customer, officeNumber)
	c.PassSettling(5*time.Second, 500*time.Millisecond)
	c.wantRinging(c.want(16)...)
	// A ring is restored on a device that we rang ourselves, too.
	var out struct {
		RingingCalls struct{ Nodes []struct{ TwilioSid string } }
	}
	who := c.SignIn(c.owner[c.devices[12]])
	c.Must(who.Do(t.Context(), `query($d: ID!) { ringingCalls(deviceId: $d) { nodes { twilioSid } } }`, demo.Vars{"d": c.devices[12]}, &out))
	if len(out.RingingCalls.Nodes) != 1 || out.RingingCalls.Nodes[0].TwilioSid != sid {
		t.Errorf("after a reload the device finds %+v", out.RingingCalls.Nodes)
	}
	c.hangUp(sid)
	c.Settle()
	c.wantRinging()
	made := len(c.ours())
	c.PassSettling(20*time.Second, time.Second)
	if n := len(c.ours()); n != made {
		t.Errorf("%d calls were made after the caller gave up", n-made)
	}
	v := c.call(sid)
	if v.Status != "MISSED" || word(v.EndReason) != "CALLER_HUNG_UP" {
		t.Errorf("the log says %s", v)
	}
	for _, l := range v.Legs {
		if l.Kind == "DEVICE" && word(l.Outcome) != "CALLER_HUNG_UP" {
			t.Errorf("%s reads %q", l.Device.Name, word(l.Outcome))
		}
	}
	c.clean()
}

// The welcome is heard before anybody rings, however long it takes.
func TestALargeRingBeginsAfterTheWelcome(t *testing.T) {
	c := newCrowd(t, 30)
	c.set(c.line, demo.Vars{"prompts": demo.Vars{"welcomeText": strings.Repeat("Welcome to us. ", 8)}})
	sid := c.dial(customer, officeNumber)
	c.PassSettling(4*time.Second, 500*time.Millisecond)
	c.wantRinging()
	c.PassSettling(7*time.Second, 250*time.Millisecond)
	c.wantRinging(c.want(40)...)
	c.answer(c.devices[30])
	c.Settle()
	c.wantRinging()
	c.hangUp(sid)
	c.clean()
}

// Five answer at once, of either kind: one has the call, and all agree who.
func TestOfFiveWhoAnswerAtOnceOneHasTheCall(t *testing.T) {
	c := newCrowd(t, 30)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 5))
	for round := range 4 {
		sid := c.dial(customer, officeNumber)
		c.PassSettling(2*time.Second, 250*time.Millisecond)
		for _, i := range r.Perm(40)[:5] {
			_, err := c.Emulator.Answer(at(c.devices[i]))
			if err != nil && !strings.Contains(err.Error(), "nothing rings") { // another was faster
				t.Fatal(err)
			}
		}
		c.Settle()
		c.wantRinging()
		v := c.call(sid)
		winners, winner := 0, ""
		for _, l := range v.Legs {
			if l.Kind == "DEVICE" && word(l.Outcome) == "ANSWERED" || l.Kind == "DEVICE" && l.Status == "IN_PROGRESS" {
				winners++
				winner = l.Device.ID
			}
		}
		if winners != 1 || v.Status != "IN_PROGRESS" || name(v.AnsweredBy) != c.owner[winner] {
			t.Fatalf("seed %d, round %d: %d winners: %s", seed, round, winners, v)
		}
		c.hangUp(sid)
		c.Settle()
		c.settled(c.call(sid), winner, "ANSWERED_ELSEWHERE", c.owner[winner])
	}
	c.tenAtMost()
	c.clean()
}
