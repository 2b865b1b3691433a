package call_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// claim is what a leg that was picked up was told.
func (s *story) claim(t route.Target, n, at int, word string) *story {
	return s.add(call.Fact{Key: "claim/" + t.LegID.String(), Kind: call.FactClaim, At: sec(at), Data: call.FactData{Leg: t.LegID, SID: sid("CA", n), Status: word}})
}

// asks is what became of asking Twilio for a call of our own.
func (s *story) asks(t route.Target, n, at int) *story {
	s.add(call.Fact{Key: "request/" + t.LegID.String(), Kind: call.FactRESTRequest, At: sec(at), Data: call.FactData{Leg: t.LegID}})
	return s.add(call.Fact{Key: "answer/" + t.LegID.String() + "/1", Kind: call.FactRESTAnswer, At: sec(at), Data: call.FactData{Leg: t.LegID, SID: sid("CA", n), Status: "queued"}})
}

// key is a key of a menu and what it added to the route.
func (s *story) key(step, at int, key string, next ...route.Step) *story {
	s.add(call.Fact{Key: fmt.Sprintf("keys/%d", step), Kind: call.FactKeys, At: sec(at), Data: call.FactData{Step: step, Keys: key}})
	return s.add(call.Fact{Key: fmt.Sprintf("routed/%d", step), Kind: call.FactRouted, At: sec(at), Data: call.FactData{Step: step + 1, Steps: next,
		Trace: []route.Trace{{Rule: "MENU_KEY", Verdict: route.Chosen, Detail: key}}}})
}

func ringScenarios() map[string]scenario {
	out := map[string]scenario{}
	screened := func(number string) route.Target {
		t := target(route.ForwardPhone, number)
		t.Screen = true
		return t
	}
	own := func(after int) route.Target {
		t := devices(1)[0]
		t.Own, t.After = true, after
		return t
	}
	{
		d, menu := devices(2), route.Step{Kind: route.MenuStep, Menu: &route.Menu{Name: "Main", TimeoutSeconds: 5}}
		out["two keys, then answered"] = scenario{"steps stand where their keys put them (R048)",
			inbound(menu).step(1, start).key(1, 3, "2", menu).step(2, sec(3)).key(2, 6, "1", ring(d...), route.Step{Kind: route.Voicemail}).step(3, sec(6)).
				leg(d[0], 11, "initiated@6", "ringing@7", "canceled@9").leg(d[1], 12, "initiated@6", "ringing@7", "in-progress@9", "completed=5@14").
				dialled(3, "completed", 12, 14, 5, "in-progress").call("completed", 14, 14),
			"COMPLETED HUNG_UP ring=9 talk=5 long=14 recorded=false\n0 CALLER ENDED ANSWERED\n3 DEVICE ENDED ANSWERED_ELSEWHERE by other\n3 DEVICE ENDED ANSWERED"}
	}
	{
		menu := route.Step{Kind: route.MenuStep, Menu: &route.Menu{Name: "Main", TimeoutSeconds: 5}}
		out["gave up in the menu"] = scenario{"whoever hangs up while a menu asks gave up",
			inbound(menu).step(1, start).call("completed", 4, 4),
			"MISSED CALLER_HUNG_UP ring=4 talk=- long=4 recorded=false\n0 CALLER ENDED CALLER_HUNG_UP"}
	}
	{
		a, b := screened("+61255507777"), screened("+61255508888")
		out["a machine picked up, a person pressed 1"] = scenario{"only a key is an answer (R052)",
			inbound(route.Step{Kind: route.Forward, Targets: []route.Target{a, b}, TimeoutSeconds: timeout(25)}).step(1, start).
				leg(a, 11, "initiated@0", "ringing@1", "in-progress@4", "completed=14@18").
				leg(b, 12, "initiated@0", "ringing@1", "in-progress@8", "completed=22@30").claim(b, 12, 10, "won").
				dialled(1, "completed", 12, 30, 20, "in-progress").call("completed", 30, 30),
			"COMPLETED HUNG_UP ring=10 talk=20 long=30 recorded=false\n0 CALLER ENDED ANSWERED\n1 FORWARD ENDED ANSWERED_ELSEWHERE\n1 FORWARD ENDED ANSWERED"}
	}
	{
		a := screened("+61255507777")
		s := inbound(route.Step{Kind: route.Forward, Targets: []route.Target{a}, TimeoutSeconds: timeout(25)}, route.Step{Kind: route.Farewell}).step(1, start).
			leg(a, 11, "initiated@0", "ringing@1", "in-progress@4", "completed=14@18")
		no := false
		s.add(call.Fact{Key: "dial/1", Kind: call.FactDialResult, At: sec(18), Data: call.FactData{Step: 1, SID: sid("CA", 11), Status: "completed", Bridged: &no, Parent: "in-progress"}})
		out["only a machine picked up"] = scenario{"completed is no answer where a key is asked for (R052)", s.step(2, sec(18)).call("completed", 22, 22),
			"MISSED NO_ANSWER ring=22 talk=- long=22 recorded=false\n0 CALLER ENDED TIMED_OUT\n1 FORWARD ENDED TIMED_OUT"}
	}
	{
		a := screened("+61255507777")
		out["another key was pressed"] = scenario{"whoever presses another key declines (R052)",
			inbound(route.Step{Kind: route.Forward, Targets: []route.Target{a}, TimeoutSeconds: timeout(25)}, route.Step{Kind: route.Farewell}).step(1, start).
				leg(a, 11, "initiated@0", "ringing@1", "in-progress@4", "completed=4@8").claim(a, 11, 8, "declined").
				dialled(1, "no-answer", 0, 8, 0, "in-progress").step(2, sec(8)).call("completed", 12, 12),
			"MISSED DECLINED ring=12 talk=- long=12 recorded=false\n0 CALLER ENDED TIMED_OUT\n1 FORWARD ENDED DECLINED"}
	}
	{
		a := screened("+61255507777")
		s := inbound(route.Step{Kind: route.Forward, Targets: []route.Target{a}, TimeoutSeconds: timeout(25)}, route.Step{Kind: route.Farewell}).step(1, start).
			leg(a, 11, "initiated@0", "ringing@1", "in-progress@4", "completed=4@8").claim(a, 11, 8, "won")
		no := false
		s.add(call.Fact{Key: "dial/1", Kind: call.FactDialResult, At: sec(8), Data: call.FactData{Step: 1, Status: "canceled", Bridged: &no, Parent: "completed"}})
		out["gave up as 1 was pressed"] = scenario{"a claim without a bridge is no conversation", s.call("completed", 8, 8),
			"MISSED CALLER_HUNG_UP ring=8 talk=- long=8 recorded=false\n0 CALLER ENDED CALLER_HUNG_UP\n1 FORWARD ENDED CALLER_HUNG_UP"}
	}
	{
		d, x, y, z := devices(1)[0], own(0), own(1000), own(9000)
		out["a call of our own wins"] = scenario{"the claim decides, not the first in-progress (T01)",
			inbound(ring(d, x, y, z)).step(1, start).asks(x, 12, 0).asks(y, 13, 1).
				leg(d, 11, "initiated@0", "ringing@1", "canceled@6").
				leg(x, 12, "initiated@0", "ringing@1", "in-progress@5", "completed=1@6").claim(x, 12, 5, "lost").
				leg(y, 13, "initiated@1", "ringing@2", "in-progress@5", "completed=20@25").claim(y, 13, 5, "won").
				dialled(1, "canceled", 0, 6, 0, "in-progress").call("completed", 25, 25),
			"COMPLETED HUNG_UP ring=5 talk=20 long=25 recorded=false\n0 CALLER ENDED ANSWERED\n1 DEVICE ENDED ANSWERED_ELSEWHERE by other\n1 DEVICE ENDED ANSWERED_ELSEWHERE by other\n1 DEVICE ENDED ANSWERED\n1 DEVICE ENDED ANSWERED_ELSEWHERE by other"}
	}
	{
		d, x, y := devices(1)[0], own(0), own(9000)
		out["gave up while one waits"] = scenario{"a leg that was never started ends like those that rang",
			inbound(ring(d, x, y)).step(1, start).asks(x, 12, 0).
				leg(d, 11, "initiated@0", "ringing@1", "canceled@5").leg(x, 12, "initiated@0", "ringing@1", "canceled@5").
				dialled(1, "canceled", 0, 5, 0, "no-answer").call("no-answer", 5, 0),
			"MISSED CALLER_HUNG_UP ring=5 talk=- long=5 recorded=false\n0 CALLER ENDED CALLER_HUNG_UP\n1 DEVICE ENDED CALLER_HUNG_UP\n1 DEVICE ENDED CALLER_HUNG_UP\n1 DEVICE ENDED CALLER_HUNG_UP"}
	}
	return out
}

// A leg of our own waits for its turn, which the pace of the connection may put off.
func TestALegOfOurOwnWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	d, x, y := devices(1)[0], devices(1)[0], devices(1)[0]
	x.Own, y.Own, y.After = true, true, 1000
	s := inbound(ring(d, x, y)).add(call.Fact{Key: "step/1", Kind: call.FactStep, At: start, Data: call.FactData{Step: 1, Delay: 4000}})
	turn := func(x route.Target, why string, want *time.Time) {
		t.Helper()
		st := call.Fold(s.facts)
		l := st.Find(x.LegID)
		switch {
		case l == nil:
			t.Errorf("%s: there is no such leg", why)
		case (l.StartAt == nil) != (want == nil) || want != nil && !l.StartAt.Equal(*want):
			t.Errorf("%s: its turn is %v, want %v", why, l.StartAt, want)
		}
	}
	at := func(n int) *time.Time { w := start.Add(time.Duration(n) * time.Second); return &w }
	turn(d, "a device of the <Dial>", nil)
	turn(x, "the first", at(4))
	turn(y, "the second, at one a second", at(5))
	s.asks(x, 12, 4)
	turn(x, "once it was asked for", nil)
	s.leg(d, 11, "ringing@1", "in-progress@6").claim(d, 11, 6, "won")
	turn(y, "once somebody has the call", nil)
}

// R048: each visit of a menu is a step; the same request gets the same answer.
func TestAMenuIsServedStepByStep(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	menu, team := id.New(id.Menu), id.New(id.Team)
	now := s.clock.Now()
	s.exec(`INSERT INTO team (organization_id, id, name, updated_at) VALUES ($1, $2, 'Sales', $3)`, s.org, team, now)
	s.exec(`INSERT INTO team_user (organization_id, team_id, user_id, position) VALUES ($1, $2, $3, 0)`, s.org, team, s.bob)
	s.exec(`INSERT INTO menu (organization_id, id, name, prompt_text, invalid_text, timeout_seconds, repeats, options, otherwise, updated_at)
		VALUES ($1, $2, 'Main', 'Press 1', 'Wrong', 4, 1, $3::text::jsonb, '{"kind":"VOICEMAIL"}', $4)`, s.org, menu,
		fmt.Sprintf(`[{"key":"1","label":"sales","to":{"kind":"TEAM","team":%q}}]`, team), now)
	s.exec(`UPDATE phone_number SET menu_id = $2, welcome_text = 'Hello' WHERE organization_id = $1`, s.org, menu)

	doc := body(t, s.arrives(1, theirs), nil)
	c, _ := s.only()
	doc = strings.ReplaceAll(doc, c.ID.String(), "C")
	want := func(step int, more string) string {
		say := func(text string) string { return `<Say voice="Polly.Joanna" language="en-US">` + text + `</Say>` }
		return fmt.Sprintf(`<Response><Gather action="call/C/menu/%d" numDigits="1" finishOnKey="" timeout="4">%s%s</Gather><Redirect>call/C/menu/%d</Redirect></Response>`, step, say(more), say("Press 1"), step)
	}
	if doc != want(2, "Hello") {
		t.Errorf("first:\n%s\nwant\n%s", doc, want(2, "Hello"))
	}
	press := func(step int, key, status string) string {
		t.Helper()
		var doc twilio.Response
		s.tx(func(ctx context.Context, tx *db.Tx) (err error) {
			doc, err = s.calls.AfterMenu(ctx, tx, c.ID, step, twilio.CallForm{CallSID: *c.TwilioSID, Status: status, Digits: key}, hooks{})
			return err
		})
		return body(t, doc, c)
	}
	again := press(2, "7", "in-progress")
	if again != want(3, "Wrong") {
		t.Errorf("a wrong key:\n%s\nwant\n%s", again, want(3, "Wrong"))
	}
	if twice := press(2, "1", "in-progress"); twice != again {
		t.Errorf("the same menu is answered differently:\n%s", twice)
	}
	// What the caller heard counts, whatever became of the menu meanwhile.
	s.exec(`UPDATE phone_number SET menu_id = NULL WHERE organization_id = $1`, s.org)
	doc = press(3, "1", "in-progress")
	if strings.Count(doc, "<Client") != 1 || !strings.Contains(doc, s.bobDev.String()) || strings.Contains(doc, "answerOnBridge") {
		t.Errorf("the team rings:\n%s", doc)
	}
	c, legs := s.only()
	if c.Status != call.Ringing || len(legs) != 2 || legs[1].Step != 4 {
		t.Errorf("%s with %d legs", c.Status, len(legs))
	}
	d, err := s.calls.DecisionsByCalls(access.With(s.ctx, s.boss()), s.boss(), []id.ID{c.ID})
	if err != nil || len(d[c.ID].Steps) != 5 || d[c.ID].Steps[3].Kind != route.Ring {
		t.Errorf("the stored route: %+v, %v", d[c.ID], err)
	}
	if s.afterDial(c, 4, "no-answer", "in-progress", 0, 0); len(d[c.ID].Steps) == 5 {
		if c, _ = s.only(); c.Status != call.InProgress {
			t.Errorf("nobody answered: %s, want the voicemail", c.Status)
		}
	}
	if doc := press(3, "1", "completed"); doc != "<Response/>" && doc != "<Response></Response>" {
		t.Errorf("a caller who is gone hears %s", doc)
	}
}

// T01: 200 rounds of five that answer at once, in any order, of either kind. Exactly
// one is connected, and all legs agree on who.
func TestOfFiveAtOnceExactlyOneIsConnected(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(`UPDATE twilio_connection SET calls_per_second = 30 WHERE organization_id = $1`, s.org)
	for n := range 12 {
		s.clock.Advance(time.Second)
		s.person(fmt.Sprintf("Extra%02d", n))
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 9))
	for round := range 200 {
		s.clock.Advance(time.Minute)
		s.arrives(round+1, theirs)
		w, err := s.calls.List(access.With(s.ctx, s.boss()), s.boss(), call.Filter{}, db.Page{First: 1})
		if err != nil {
			t.Fatal(err)
		}
		c := w.Nodes[0]
		read := func() []*call.Leg {
			m, err := s.calls.LegsByCalls(access.With(s.ctx, s.boss()), []id.ID{c.ID})
			if err != nil {
				t.Fatal(err)
			}
			return m[c.ID]
		}
		legs := read()
		if len(legs) != 15 {
			t.Fatalf("%d legs", len(legs))
		}
		// The last four are calls of our own: two of them, and three of the <Dial>.
		five := append(r.Perm(10)[:3], 10+r.IntN(2), 12+r.IntN(2))
		r.Shuffle(len(five), func(i, j int) { five[i], five[j] = five[j], five[i] })
		docs := make([]string, len(five))
		var wg sync.WaitGroup
		for i, n := range five {
			l := legs[1+n]
			wg.Go(func() {
				var doc twilio.Response
				s.tx(func(ctx context.Context, tx *db.Tx) (err error) {
					f := twilio.CallForm{CallSID: sid("CA", 100000+round*100+n), Status: "in-progress"}
					if n >= 10 {
						doc, err = s.calls.Join(ctx, tx, c.ID, l.ID, f, hooks{})
					} else {
						doc, err = s.calls.Claim(ctx, tx, c.ID, l.ID, f, hooks{})
					}
					return err
				})
				b, err := doc.Bytes()
				if err != nil {
					t.Error(err)
				}
				docs[i] = string(b)
			})
		}
		wg.Wait()
		connected := -1
		for i, d := range docs {
			if strings.Contains(d, "<Hangup/>") {
				continue
			}
			if connected >= 0 {
				t.Fatalf("seed %d, round %d: two are connected:\n%s\n%s", seed, round, docs[connected], d)
			}
			if connected = i; (five[i] >= 10) != strings.Contains(d, "<Conference") {
				t.Fatalf("seed %d, round %d: leg %d is told %s", seed, round, five[i], d)
			}
		}
		if connected < 0 {
			t.Fatalf("seed %d, round %d: nobody is connected: %q", seed, round, docs)
		}
		winner := legs[1+five[connected]]
		for i, l := range read() {
			switch {
			case i == 0:
			case l.ID == winner.ID && (l.Status != call.LegInProgress || *l.Outcome != call.Answered):
				t.Fatalf("seed %d, round %d: the winner is %s %v", seed, round, l.Status, l.Outcome)
			case l.ID != winner.ID && (l.Outcome == nil || *l.Outcome != call.AnsweredElsewhere || l.AnsweredByID != winner.UserID):
				t.Fatalf("seed %d, round %d: a loser is %s %v by %s", seed, round, l.Status, l.Outcome, l.AnsweredByID)
			}
		}
		s.over(round+1, "completed", 1, 1)
	}
}
