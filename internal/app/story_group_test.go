package app_test

import (
	"slices"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/testkit/stage"
)

// ringView is what the subscription `ringing` tells one user.
type ringView struct {
	Ringing struct {
		Cursor string
		Call   struct{ ID, Status string }
		Leg    legView
	}
}

const ringingQuery = `subscription($after: Cursor, $device: ID) { ringing(after: $after, deviceId: $device) { cursor call { id status } leg { ` + legFields + ` } } }`

// untilRung reads what a user is told of a device until its ring has ended.
func (f *feed) untilRung(device string) legView {
	f.t.Helper()
	for {
		var r ringView
		f.next(&r)
		if l := r.Ringing.Leg; l.Device != nil && l.Device.ID == device && l.Outcome != nil {
			return l
		}
	}
}

// group is a branch of three: ann with a browser and a phone, bob and cec with one
// device each; dan works in another branch.
type group struct {
	*story
	branch, elsewhere, line string
	ann, bob, cec, dan      stage.Person
	web, ios, bobs, cecs    string
	dans                    string
}

func newGroup(t *testing.T, settings demo.Vars) *group {
	t.Helper()
	g := &group{story: newStory(t)}
	g.branch, g.elsewhere = g.Branch("Office"), g.Branch("Elsewhere")
	if settings == nil {
		settings = demo.Vars{}
	}
	settings["branchId"] = g.branch
	g.line = g.Number(officeNumber, settings)
	g.ann, g.bob, g.cec = g.User("ann", "OFFICE", "", g.branch), g.User("bob", "OFFICE", "", g.branch), g.User("cec", "SALES", "", g.branch)
	g.dan = g.User("dan", "OFFICE", "", g.elsewhere)
	g.web, g.ios = g.DeviceOn(g.ann, "Browser", "WEB"), g.DeviceOn(g.ann, "iPhone", "IOS")
	g.bobs, g.cecs = g.DeviceOn(g.bob, "Android", "ANDROID"), g.Device(g.cec, "Desk")
	g.dans = g.Device(g.dan, "Desk")
	return g
}

func TestTheFirstAnswerWinsAndTheOthersAreToldWhoAnswered(t *testing.T) {
	g := newGroup(t, nil)
	after := g.cursor()
	vars := demo.Vars{"after": after}
	anns, cecs := g.watch(g.ann.Client, ringingQuery, vars), g.watch(g.cec.Client, ringingQuery, vars)
	bobs := g.watch(g.bob.Client, ringingQuery, demo.Vars{"after": after, "device": g.bobs})

	sid := g.dial(customer, officeNumber)
	g.wantRinging(g.web, g.ios, g.bobs, g.cecs) // R061, R263
	g.Pass(3 * time.Second)
	g.answer(g.bobs)
	g.wantRinging() // R062

	for device, f := range map[string]*feed{g.web: anns, g.cecs: cecs} {
		if l := f.untilRung(device); word(l.Outcome) != "ANSWERED_ELSEWHERE" || name(l.AnsweredBy) != "bob" || l.EndedAt == nil { // R063, R264, T02
			t.Errorf("the device %s is told: %s by %q", l.Device.Name, word(l.Outcome), name(l.AnsweredBy))
		}
	}
	if l := bobs.untilRung(g.bobs); word(l.Outcome) != "ANSWERED" || l.AnsweredBy != nil {
		t.Errorf("the device that answered is told: %s by %q", word(l.Outcome), name(l.AnsweredBy))
	}
	g.Pass(10 * time.Second)
	g.hangUp(sid)
	c := g.call(sid)
	if c.Status != "COMPLETED" || name(c.AnsweredBy) != "bob" || number(c.TalkSeconds) != 10 {
		t.Errorf("the log says %s", c)
	}
	for _, d := range []string{g.web, g.ios, g.cecs} {
		if l := c.leg(d); word(l.Outcome) != "ANSWERED_ELSEWHERE" || name(l.AnsweredBy) != "bob" {
			t.Errorf("the log says of a device that lost: %s by %q", word(l.Outcome), name(l.AnsweredBy))
		}
	}
	// R023: the other branch hears nothing of it, now or in a replay, and finds nothing.
	if told := g.facts(g.dan.Client, after); len(told) != 0 {
		t.Errorf("another branch was told %v", types(told))
	}
	if _, found := g.callAs(g.dan.Client, sid); found {
		t.Error("another branch finds the call in its log")
	}
	ends := 0
	for _, f := range g.facts(g.ann.Client, after, "RING_ENDED") {
		if word(f.Leg.Outcome) == "ANSWERED_ELSEWHERE" {
			ends++
		}
	}
	if ends != 3 {
		t.Errorf("the ring group was told %d times that a ring ended elsewhere, want once for each of 3 devices", ends)
	}
	g.clean()
}

func TestADeclineSilencesOnlyTheDeviceThatDeclines(t *testing.T) {
	g := newGroup(t, nil)
	sid := g.dial(customer, officeNumber)

	g.decline(g.web) // on the device itself (T03)
	g.wantRinging(g.ios, g.bobs, g.cecs)
	var out struct {
		CallDecline struct{ Call struct{ ID string } }
	}
	g.Must(g.bob.Client.Do(t.Context(), `mutation($c: ID!, $d: ID) { callDecline(id: $c, deviceId: $d) { call { id } userErrors { code field message } } }`,
		demo.Vars{"c": g.call(sid).ID, "d": g.bobs}, &out)) // by the API
	g.Settle()
	g.wantRinging(g.ios, g.cecs)
	c := g.call(sid)
	if word(c.leg(g.web).Outcome) != "DECLINED" || word(c.leg(g.bobs).Outcome) != "DECLINED" || c.leg(g.ios).Outcome != nil || c.Status != "RINGING" {
		t.Fatalf("after two declines the log says %s", c)
	}
	// Nobody declines for somebody else.
	err := g.cec.Client.Do(t.Context(), `mutation($c: ID!, $d: ID) { callDecline(id: $c, deviceId: $d) { call { id } userErrors { code field message } } }`,
		demo.Vars{"c": c.ID, "d": g.ios}, nil)
	if !demo.HasCode(err, "NOT_FOUND") {
		t.Errorf("declining on another's device: %v", err)
	}
	g.wantRinging(g.ios, g.cecs)

	g.Must(g.ann.Client.Do(t.Context(), `mutation($c: ID!) { callDecline(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": c.ID}, nil))
	g.Settle()
	g.decline(g.cecs)
	g.Pass(20 * time.Second)
	c = g.call(sid)
	if c.Status != "MISSED" || word(c.EndReason) != "DECLINED" {
		t.Errorf("when everybody declined the log says %s", c)
	}
	rang := map[string]int{}
	for _, x := range g.Emulator.Calls() {
		if x.Parent == sid {
			rang[x.Target]++
		}
	}
	for target, n := range rang {
		if n != 1 {
			t.Errorf("%s was rung %d times: a declined leg is not dialled again (T12)", target, n)
		}
	}
	g.clean()
}

// Who rings: do-not-disturb, role, branch, cover, state of user and device.
func TestOnlyEligibleDevicesRing(t *testing.T) {
	g := newGroup(t, nil)
	other := g.Number("+12025550101", demo.Vars{"branchId": g.branch})
	gus := g.User("gus", "FIELDWORKER", "")
	truck := g.Device(gus, "Truck")
	g.Do(`mutation($u: ID!) { userUpdate(id: $u, input: {isGeneralFieldworker: true}) { userErrors { code field message } } }`, demo.Vars{"u": gus.ID}, nil)
	var role struct{ RoleCreate struct{ Role ref } }
	g.Do(`mutation { roleCreate(input: {name: "Deaf", permissions: [CALL_VIEW, CALL_MAKE], visibility: BRANCH}) { role { id } userErrors { code field message } } }`, nil, &role)

	everybody := []string{g.web, g.ios, g.bobs, g.cecs}
	without := func(out ...string) []string {
		return slices.DeleteFunc(slices.Clone(everybody), func(d string) bool { return slices.Contains(out, d) })
	}
	disturb := func(who stage.Person, line any, on bool) {
		g.Must(who.Client.Do(t.Context(), `mutation($l: ID, $on: Boolean!) { userDoNotDisturbSet(input: {phoneNumberId: $l, isOn: $on}) { userErrors { code field message } } }`,
			demo.Vars{"l": line, "on": on}, nil))
	}
	cover := func(on bool) { g.set(g.line, demo.Vars{"routing": demo.Vars{"includeGeneralFieldworker": on}}) }
	for _, x := range []struct {
		claim   string
		why     string
		change  func()
		line    string
		want    []string
		rule    string // in the trace
		restore func()
	}{
		{"everybody of the branch rings", "R023, R061", nil, "", everybody, "USER_DEVICE", nil},
		{"do not disturb silences a user", "R072", func() { disturb(g.ann, nil, true) }, "", without(g.web, g.ios), "USER_DO_NOT_DISTURB", func() { disturb(g.ann, nil, false) }},
		{"do not disturb of a line silences that line", "R072, R260", func() { disturb(g.bob, g.line, true) }, "", without(g.bobs), "USER_LINE_DO_NOT_DISTURB", nil},
		{"and no other", "R072, R260", nil, "+12025550101", everybody, "USER_DEVICE", func() { disturb(g.bob, g.line, false) }},
		{"a role without CALL_RECEIVE is not rung", "R073, R237, R251", func() { g.change(g.cec, demo.Vars{"roleId": role.RoleCreate.Role.ID}) }, "", without(g.cecs), "USER_ROLE",
			func() { g.change(g.cec, demo.Vars{"roleId": g.Role("SALES")}) }},
		{"the General Fieldworker rings where the number says so", "R024", func() { cover(true) }, "", append(slices.Clone(everybody), truck), "GENERAL_FIELDWORKER", func() { cover(false) }},
		{"a disabled user is not rung", "R023", func() {
			g.Do(`mutation($u: ID!) { userDisable(id: $u) { userErrors { code field message } } }`, demo.Vars{"u": g.cec.ID}, nil)
		}, "", without(g.cecs), "USER_ACTIVE", nil},
		{"a removed device is not rung", "R067, R284", func() {
			g.Do(`mutation($d: ID!) { deviceRemove(id: $d) { userErrors { code field message } } }`, demo.Vars{"d": g.ios}, nil)
		}, "", without(g.cecs, g.ios), "USER_DEVICE", nil},
		{"whoever leaves the branch is not rung", "R023", func() { g.change(g.bob, demo.Vars{"branchIds": []string{g.elsewhere}}) }, "", without(g.cecs, g.ios, g.bobs), "USER_DEVICE", nil},
	} {
		if x.change != nil {
			x.change()
		}
		line := officeNumber
		if x.line != "" {
			line = x.line
		}
		sid := g.dial(customer, line)
		want := slices.Clone(x.want)
		slices.Sort(want)
		if got := g.ringing(); !slices.Equal(got, want) {
			t.Errorf("%s (%s): %v ring, want %v", x.claim, x.why, got, want)
		}
		c := g.call(sid)
		if !slices.ContainsFunc(c.Route.Trace, func(r struct {
			Rule, Verdict, Detail string
			User                  *ref
		}) bool {
			return r.Rule == x.rule
		}) {
			t.Errorf("%s (%s): the trace does not name %s: %v", x.claim, x.why, x.rule, c.Route.Trace)
		}
		// What was explained before is what happened (R043).
		id := g.line
		if x.line != "" {
			id = other
		}
		if said := g.explain(id, customer); !sameRoute(said, *c.Route) {
			t.Errorf("%s: routeExplain says %+v, the call did %+v", x.claim, said, *c.Route)
		}
		g.hangUp(sid)
		if c := g.call(sid); c.Status != "MISSED" || word(c.EndReason) != "CALLER_HUNG_UP" {
			t.Errorf("%s: after the caller gave up the log says %s", x.claim, c)
		}
		if x.restore != nil {
			x.restore()
		}
	}
	g.clean()
}

// explain asks where a call would go.
func (s *story) explain(line, from string) routeView {
	s.t.Helper()
	var out struct{ RouteExplain routeView }
	s.Do(`query($n: ID!, $f: String) { routeExplain(input: {phoneNumberId: $n, from: $f}) { `+routeFields+` } }`, demo.Vars{"n": line, "f": from}, &out)
	return out.RouteExplain
}

// sameRoute compares all of two decisions but for the ids of legs, which are not shown.
func sameRoute(a, b routeView) bool { return asJSON(a) == asJSON(b) }
