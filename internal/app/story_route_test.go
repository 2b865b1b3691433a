package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

// rule finds what the trace of a call says of a rule.
func (c callView) rule(rule, verdict string) (details []string) {
	for _, r := range c.Route.Trace {
		if r.Rule == rule && r.Verdict == verdict {
			details = append(details, r.Detail)
		}
	}
	return details
}

// kinds are the steps of a call's route.
func (c callView) kinds() string {
	var out []string
	for _, s := range c.Route.Steps {
		out = append(out, s.Kind)
	}
	return strings.Join(out, " ")
}

func (s *story) press(leg, keys string) {
	s.t.Helper()
	s.Must(s.Emulator.Press(leg, keys))
	s.idle()
}

func (s *story) team(name string, people ...stage.Person) string {
	s.t.Helper()
	var ids []string
	for _, p := range people {
		ids = append(ids, p.ID)
	}
	var out struct{ TeamCreate struct{ Team ref } }
	s.Do(`mutation($n: String!, $u: [ID!]!) { teamCreate(input: {name: $n, userIds: $u}) { team { id name } userErrors { code field message } } }`, demo.Vars{"n": name, "u": ids}, &out)
	return out.TeamCreate.Team.ID
}

func (s *story) menu(input demo.Vars) string {
	s.t.Helper()
	var out struct{ MenuCreate struct{ Menu ref } }
	s.Do(`mutation($i: MenuCreateInput!) { menuCreate(input: $i) { menu { id name } userErrors { code field message } } }`, demo.Vars{"i": input}, &out)
	return out.MenuCreate.Menu.ID
}

// over lets the caller hang up, unless the call is over.
func (s *story) over(sid string) {
	s.t.Helper()
	if x, _ := s.Emulator.Call(sid); x.Ended.IsZero() {
		s.hangUp(sid)
	}
}

func option(key, label string, to demo.Vars) demo.Vars {
	return demo.Vars{"key": key, "label": label, "to": to}
}

// R048: keys lead to teams, submenus and voicemail; a wrong key and none ask again;
// what came is in the route of the call.
func TestAMenuLeadsWhereItsKeysSay(t *testing.T) {
	g := newGroup(t, demo.Vars{"prompts": demo.Vars{"welcomeText": "Welcome"}, "voicemail": demo.Vars{"isEnabled": true}})
	sales, support := g.team("Sales", g.ann), g.team("Support", g.bob, g.cec)
	deeper := g.menu(demo.Vars{"name": "Support", "promptText": "Press 1 for help, 9 to go back", "timeoutSeconds": 3, "repeats": 0, "options": []demo.Vars{
		option("1", "help", demo.Vars{"kind": "TEAM", "teamId": support}), option("9", "again", demo.Vars{"kind": "REPEAT"}),
	}, "otherwise": demo.Vars{"kind": "VOICEMAIL"}})
	top := g.menu(demo.Vars{"name": "Main", "promptText": "Press 1 for sales, 2 for support, # for a message", "invalidText": "That key leads nowhere", "timeoutSeconds": 4, "repeats": 1, "options": []demo.Vars{
		option("1", "sales", demo.Vars{"kind": "TEAM", "teamId": sales}), option("2", "support", demo.Vars{"kind": "MENU", "menuId": deeper}),
		option("#", "message", demo.Vars{"kind": "VOICEMAIL"}), option("0", "anybody", demo.Vars{"kind": "ROUTE"}), option("*", "bye", demo.Vars{"kind": "HANG_UP"}),
	}, "otherwise": demo.Vars{"kind": "ROUTE"}})
	g.set(g.line, demo.Vars{"routing": demo.Vars{"menuId": top}})
	for claim, x := range map[string]struct {
		keys  []string // "": none
		rings []string
		kinds string
		why   string
	}{
		"a key leads to a team":           {[]string{"1"}, []string{g.web, g.ios}, "WELCOME MENU RING VOICEMAIL", "R048"},
		"a key leads to a submenu":        {[]string{"2", "1"}, []string{g.bobs, g.cecs}, "WELCOME MENU MENU RING VOICEMAIL", "R048"},
		"a wrong key asks again":          {[]string{"7", "1"}, []string{g.web, g.ios}, "WELCOME MENU MENU RING VOICEMAIL", "R048"},
		"the hash is a key":               {[]string{"#"}, nil, "WELCOME MENU VOICEMAIL", "R048"},
		"no key at all leads on":          {[]string{"", ""}, []string{g.web, g.ios, g.bobs, g.cecs}, "WELCOME MENU MENU RING VOICEMAIL", "R048, D02"},
		"a submenu is heard again":        {[]string{"2", "9", "1"}, []string{g.bobs, g.cecs}, "WELCOME MENU MENU MENU RING VOICEMAIL", "R048"},
		"no key in a submenu":             {[]string{"2", ""}, nil, "WELCOME MENU MENU VOICEMAIL", "R048"},
		"the number's own route by a key": {[]string{"0"}, []string{g.web, g.ios, g.bobs, g.cecs}, "WELCOME MENU RING VOICEMAIL", "R047"},
	} {
		sid := g.dial(customer, officeNumber)
		for _, k := range x.keys {
			g.Pass(time.Second)
			if k == "" {
				g.Pass(12 * time.Second)
			} else {
				g.press(sid, k)
			}
		}
		slices.Sort(x.rings)
		if got := g.ringing(); !slices.Equal(got, x.rings) {
			t.Errorf("%s (%s): %v ring, want %v", claim, x.why, got, x.rings)
		}
		if c := g.call(sid); c.kinds() != x.kinds {
			t.Errorf("%s (%s): the route is %s, want %s: %+v", claim, x.why, c.kinds(), x.kinds, c.Route.Trace)
		}
		g.over(sid)
		g.Pass(time.Second)
	}
	sid := g.dial(customer, officeNumber)
	g.press(sid, "2")
	g.press(sid, "1")
	g.Pass(2 * time.Second)
	g.answer(g.cecs)
	g.Pass(5 * time.Second)
	g.hangUp(sid)
	if c := g.call(sid); c.Status != "COMPLETED" || name(c.AnsweredBy) != "cec" || word(c.leg(g.bobs).Outcome) != "ANSWERED_ELSEWHERE" || len(c.rule("MENU_KEY", "CHOSEN")) != 2 {
		t.Errorf("through two menus: %s, trace %+v", c, c.Route.Trace)
	}
	sid = g.dial(customer, officeNumber)
	g.press(sid, "*")
	g.Pass(10 * time.Second)
	if c := g.call(sid); c.Status != "MISSED" || c.kinds() != "WELCOME MENU FAREWELL" {
		t.Errorf("a key ends the call: %s, route %s", c, c.kinds())
	}
	g.clean()
}

// D02: opening hours go by the wall clock of their zone; outside them the after-hours route is taken.
func TestOutsideOpeningHoursTheAfterHoursRouteIsTaken(t *testing.T) {
	g := newGroup(t, demo.Vars{"voicemail": demo.Vars{"isEnabled": true}})
	var out struct{ OpeningHoursCreate struct{ OpeningHours ref } }
	var week []demo.Vars
	for _, d := range []string{"MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"} {
		week = append(week, demo.Vars{"day": d, "from": "09:00", "to": "17:00"})
	}
	g.Do(`mutation($i: OpeningHoursCreateInput!) { openingHoursCreate(input: $i) { openingHours { id name } userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"name": "Office", "timeZone": "Australia/Sydney", "week": week}}, &out)
	g.set(g.line, demo.Vars{"routing": demo.Vars{"openingHoursId": out.OpeningHoursCreate.OpeningHours.ID, "screening": false}})

	closed := func(input demo.Vars) callView {
		t.Helper()
		input["text"] = "We are closed"
		g.set(g.line, demo.Vars{"routing": demo.Vars{"afterHours": input}})
		sid := g.dial(customer, officeNumber)
		g.Pass(3 * time.Second)
		c := g.call(sid)
		for _, r := range g.ringing() {
			if strings.HasPrefix(r, "dev_") {
				t.Errorf("outside opening hours %s rings", r)
			}
		}
		if rung := g.ringing(); len(rung) > 0 {
			g.answer(rung[0])
		}
		g.Pass(3 * time.Second)
		g.over(sid)
		c2 := g.call(sid)
		c.Status, c.EndReason, c.AnsweredBy, c.Legs = c2.Status, c2.EndReason, c2.AnsweredBy, c2.Legs
		return c
	}
	// The stage's Monday 09:00 UTC is Monday 20:00 in Sydney.
	if c := closed(demo.Vars{"action": "VOICEMAIL"}); c.kinds() != "CLOSED VOICEMAIL" {
		t.Errorf("closed with voicemail: %s", c.kinds())
	}
	if c := closed(demo.Vars{"action": "HANG_UP"}); c.kinds() != "CLOSED FAREWELL" || word(c.EndReason) != "CLOSED" || c.Status != "MISSED" {
		t.Errorf("closed: %s %s", c.kinds(), c)
	}
	if c := closed(demo.Vars{"action": "FORWARD", "numbers": []string{manager}}); c.kinds() != "CLOSED FORWARD VOICEMAIL" || c.Status != "COMPLETED" || c.leg(manager).Kind != "FORWARD" {
		t.Errorf("closed with forwarding: %s %s", c.kinds(), c)
	}
	g.Clock.Advance(14 * time.Hour) // Tuesday 10:00 in Sydney
	g.Admin = g.SignIn("admin")
	sid := g.dial(customer, officeNumber)
	g.wantRinging(g.web, g.ios, g.bobs, g.cecs)
	if c := g.call(sid); len(c.rule("OPENING_HOURS", "NOT_APPLICABLE")) != 1 {
		t.Errorf("open: %+v", c.Route.Trace)
	}
	g.hangUp(sid)
	g.clean()
}

// R052: whoever picks up a forwarded call presses 1; a machine never does.
func TestAMobilesVoicemailNeverHasTheCall(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, demo.Vars{
		"routing": demo.Vars{"ringTimeoutSeconds": 25, "forwardingNumbers": []string{manager, "+12025550178"}}, "voicemail": demo.Vars{"isEnabled": true},
	})
	s.Emulator.Behave(manager, emulator.PhoneBehaviour{Do: emulator.Voicemail, After: 4 * time.Second, Speak: 6 * time.Second})

	sid := s.dial(customer, officeNumber)
	s.Pass(8 * time.Second)
	if c := s.call(sid); c.Status != "RINGING" || c.leg(manager).AnsweredAt != nil || c.leg(manager).Outcome != nil {
		t.Errorf("while a machine listens to the question: %s", c)
	}
	s.Pass(50 * time.Second)
	c := s.call(sid)
	if c.kinds() != "FORWARD VOICEMAIL" || c.AnsweredBy != nil || word(c.leg(manager).Outcome) != "TIMED_OUT" {
		t.Errorf("a machine picked up and the call goes on: %s", c)
	}
	s.over(sid)

	// A person who presses another key declines; the other phone goes on and takes it with 1.
	s.Emulator.Behave(manager, emulator.PhoneBehaviour{})
	sid = s.dial(customer, officeNumber)
	leg := s.answer(manager)
	s.Pass(time.Second)
	s.press(leg, "5")
	if c := s.call(sid); word(c.leg(manager).Outcome) != "DECLINED" || c.Status != "RINGING" {
		t.Errorf("another key declines: %s", c)
	}
	s.wantRinging("+12025550178")
	leg = s.answer("+12025550178")
	s.Pass(time.Second)
	if c := s.call(sid); c.Status != "RINGING" || c.AnsweredAt != nil {
		t.Errorf("picked up and nothing pressed: %s", c)
	}
	s.press(leg, "1")
	if c := s.call(sid); c.Status != "IN_PROGRESS" || c.leg("+12025550178").AnsweredAt == nil {
		t.Errorf("pressed 1: %s", c)
	}
	s.Pass(7 * time.Second)
	s.hangUp(sid)
	if c := s.call(sid); c.Status != "COMPLETED" || number(c.TalkSeconds) != 7 || word(c.leg("+12025550178").Outcome) != "ANSWERED" {
		t.Errorf("talked: %s", c)
	}

	// Both press at once: one has it, the other is hung up.
	sid = s.dial(customer, officeNumber)
	a, b := s.answer(manager), s.answer("+12025550178")
	s.Must(s.Emulator.Press(a, "1"))
	s.Must(s.Emulator.Press(b, "1"))
	s.Settle()
	c = s.call(sid)
	outcomes := []string{word(c.leg(manager).Outcome), word(c.leg("+12025550178").Outcome)}
	slices.Sort(outcomes)
	if c.Status != "IN_PROGRESS" || !slices.Equal(outcomes, []string{"ANSWERED", "ANSWERED_ELSEWHERE"}) {
		t.Errorf("both pressed 1: %s", c)
	}
	s.hangUp(sid)
	s.clean()
}

// R071, R262, D01, D07: one after another, each for the agent timeout, within the ring timeout.
func TestPeopleRingOneAfterAnother(t *testing.T) {
	g := newGroup(t, demo.Vars{"voicemail": demo.Vars{"isEnabled": true}})
	team := g.team("Line", g.cec, g.ann, g.bob)
	g.set(g.line, demo.Vars{"routing": demo.Vars{"mode": "TEAM", "teamId": team, "ringStrategy": "SEQUENTIAL", "agentTimeoutSeconds": 12, "ringTimeoutSeconds": 60}})
	sid := g.dial(customer, officeNumber)
	g.wantRinging(g.cecs)
	g.Pass(13 * time.Second)
	g.wantRinging(g.web, g.ios)
	if c := g.call(sid); word(c.leg(g.cecs).Outcome) != "TIMED_OUT" || c.Status != "RINGING" {
		t.Errorf("after the first turn: %s", c)
	}
	g.decline(g.web)
	g.decline(g.ios)
	g.wantRinging(g.bobs)
	g.answer(g.bobs)
	g.Pass(3 * time.Second)
	g.hangUp(sid)
	if c := g.call(sid); c.Status != "COMPLETED" || name(c.AnsweredBy) != "bob" || word(c.leg(g.web).Outcome) != "DECLINED" || word(c.leg(g.cecs).Outcome) != "TIMED_OUT" {
		t.Errorf("the log says %s", c)
	}

	// Everybody has the first turn once (ROUND_ROBIN), also where nobody answered.
	g.set(g.line, demo.Vars{"routing": demo.Vars{"ringStrategy": "ROUND_ROBIN"}})
	var first []string
	for range 4 {
		sid := g.dial(customer, officeNumber)
		rung := g.ringing()
		switch {
		case slices.Contains(rung, g.cecs):
			first = append(first, "cec")
		case slices.Contains(rung, g.web):
			first = append(first, "ann")
		case slices.Contains(rung, g.bobs):
			first = append(first, "bob")
		}
		g.hangUp(sid)
		g.Pass(time.Second)
	}
	if want := []string{"cec", "ann", "bob", "cec"}; !slices.Equal(first, want) {
		t.Errorf("rung first: %v, want %v", first, want)
	}

	// R054, D09: the user of the caller's contact rings before the list, which rings when they do not answer.
	g.set(g.line, demo.Vars{"routing": demo.Vars{"ringStrategy": "SIMULTANEOUS", "preferredUser": true, "ringTimeoutSeconds": 30}})
	g.contact("CUSTOMER", "Known", customer, demo.Vars{"assignedUserId": g.bob.ID})
	sid = g.dial(customer, officeNumber)
	g.wantRinging(g.bobs)
	g.decline(g.bobs)
	if got := g.ringing(); !slices.Contains(got, g.web) || !slices.Contains(got, g.cecs) {
		t.Errorf("without the preferred user %v ring", got)
	}
	if c := g.call(sid); len(c.rule("PREFERRED_USER", "CHOSEN")) != 1 {
		t.Errorf("%+v", c.Route.Trace)
	}
	g.hangUp(sid)
	g.clean()
}

// R057, D08: the popup is suppressed, not the call.
func TestAnIgnoredCallerRingsWithoutAPopup(t *testing.T) {
	g := newGroup(t, nil)
	after := g.cursor()
	g.Do(`mutation { ignoredNumberAdd(input: {rules: ["#2025550199#"], note: "noise"}) { userErrors { code field message } } }`, nil, nil)
	feed := g.watch(g.bob.Client, `subscription($after: Cursor) { ringing(after: $after) { showPopup playSound call { isIgnored } } }`, demo.Vars{"after": after})
	type told struct {
		Ringing struct {
			ShowPopup, PlaySound bool
			Call                 struct{ IsIgnored bool }
		}
	}
	sid := g.dial(customer, officeNumber)
	g.wantRinging(g.web, g.ios, g.bobs, g.cecs)
	for _, l := range g.Emulator.Ringing("client:" + g.bobs) {
		if l.Parameters["ignored"] != "true" {
			t.Errorf("the app is told %v", l.Parameters)
		}
	}
	var x told
	if feed.next(&x); x.Ringing.ShowPopup || x.Ringing.PlaySound || !x.Ringing.Call.IsIgnored {
		t.Errorf("ignored: %+v", x.Ringing)
	}
	g.hangUp(sid)
	feed.next(&x) // it ended
	var rules struct {
		IgnoredNumbers struct{ Nodes []ref }
	}
	g.Do(`{ ignoredNumbers { nodes { id } } }`, nil, &rules)
	g.Do(`mutation($id: ID!) { ignoredNumberRemove(id: $id) { userErrors { code field message } } }`, demo.Vars{"id": rules.IgnoredNumbers.Nodes[0].ID}, nil)
	sid = g.dial(customer, officeNumber)
	if feed.next(&x); !x.Ringing.ShowPopup || !x.Ringing.PlaySound || x.Ringing.Call.IsIgnored {
		t.Errorf("no longer ignored: %+v", x.Ringing)
	}
	g.hangUp(sid)
	g.clean()
}

// R076, R077: what people set for themselves decides what their devices show and play.
func TestAPersonsOwnSwitchesQuietTheirRings(t *testing.T) {
	g := newGroup(t, nil)
	g.change(g.bob, demo.Vars{"silentNotifications": true})
	feed := g.watch(g.bob.Client, `subscription($after: Cursor) { ringing(after: $after) { showPopup playSound } }`, demo.Vars{"after": g.cursor()})
	type told struct {
		Ringing struct{ ShowPopup, PlaySound bool }
	}
	var x told
	sid := g.dial(customer, officeNumber)
	if feed.next(&x); !x.Ringing.ShowPopup || x.Ringing.PlaySound {
		t.Errorf("silent: %+v", x.Ringing)
	}
	g.hangUp(sid)
	feed.next(&x) // it ended
	g.change(g.bob, demo.Vars{"displayNotifications": false})
	sid = g.dial(customer, officeNumber)
	if feed.next(&x); x.Ringing.ShowPopup || x.Ringing.PlaySound {
		t.Errorf("no notifications: %+v", x.Ringing)
	}
	g.wantRinging(g.web, g.ios, g.bobs, g.cecs) // the call itself rings all the same
	g.hangUp(sid)
	g.clean()
}

// R059, R090: in call-forwarding mode people are reached on their primary phones, and
// whoever has none is passed over by name. R254: the call says who carries it.
func TestPeopleAreReachedOnTheirPrimaryPhones(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Desk")
	const phone = "+12025550171"
	ann := s.User("ann", "OFFICE", phone, branch)
	nobody := s.User("nil", "OFFICE", "", branch)
	s.Number(officeNumber, demo.Vars{"branchId": branch, "routing": demo.Vars{"reachBy": "PRIMARY_PHONE", "screening": false}})
	sid := s.dial(customer, officeNumber)
	s.wantRinging(phone)
	s.answer(phone)
	var got struct {
		Calls struct{ Nodes []struct{ Provider string } }
	}
	s.Do(`{ calls(first: 1) { nodes { provider } } }`, nil, &got)
	c := s.call(sid)
	if c.Status != "IN_PROGRESS" || c.AnsweredBy == nil || c.AnsweredBy.ID != ann.ID || got.Calls.Nodes[0].Provider != "TWILIO" {
		t.Errorf("%s is carried by %v", c, got.Calls.Nodes)
	}
	if skipped := c.rule("USER_PHONE", "SKIPPED"); len(skipped) != 1 {
		t.Errorf("%s has no phone: %+v", nobody.ID, c.Route.Trace)
	}
	s.hangUp(sid)
	s.clean()
}

// Two numbers that forward to each other stop at the third hop.
func TestAForwardingLoopIsStopped(t *testing.T) {
	s := newStory(t)
	const other = "+12025550101"
	first := s.Number(officeNumber, nil)
	second := s.Number(other, nil)
	for line, to := range map[string]string{first: other, second: officeNumber} {
		s.set(line, demo.Vars{"routing": demo.Vars{"forwardingNumbers": []string{to}}, "voicemail": demo.Vars{"isEnabled": false}})
	}
	s.dial(customer, officeNumber)
	s.Settle()
	var list struct {
		Calls struct {
			Nodes []struct{ EndReason *string }
		}
	}
	s.Do(`{ calls(first: 50) { nodes { endReason } } }`, nil, &list)
	stopped := 0
	for _, c := range list.Calls.Nodes {
		if word(c.EndReason) == "FORWARDING_LOOP" {
			stopped++
		}
	}
	if len(list.Calls.Nodes) != 4 || stopped != 1 {
		t.Errorf("%d calls, %d of them stopped as a loop; want 4 and 1", len(list.Calls.Nodes), stopped)
	}
}
