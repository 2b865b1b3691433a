package number_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/patch"
	"switchboard/internal/route"
)

// told is how many events of the number there are.
func (s *stage) told(n id.ID) int {
	s.Helper()
	return s.count(`SELECT count(*) AS n FROM event WHERE kind = 'PHONE_NUMBER_UPDATED' AND subject = $1`, n)
}

func (s *stage) team(name string, users ...id.ID) *number.Team {
	s.Helper()
	t, err := s.svc.CreateTeam(s.Context(), s.admin, number.TeamCreate{Name: name, UserIDs: users})
	s.must(err)
	return t
}

// refused fails unless the error has the code, is at the field and says the words.
func refused(t *testing.T, why string, err error, code errs.Code, at, says string) {
	t.Helper()
	e, ok := errs.As(err)
	if !ok || e.Code != code || strings.Join(e.Field, " ") != at || !strings.Contains(e.Message, says) {
		t.Errorf("%s: got %v (%+v), want %s at %q saying %q", why, err, e, code, at, says)
	}
}

func TestATeamRingsInItsOrder(t *testing.T) { // R025, R262
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	org := s.admin.OrganizationID
	a, b, c := s.user(org, "a", false, ""), s.user(org, "b", false, ""), s.user(org, "c", false, "")
	team := s.team(" Support ", c, a, b, c)
	read := func() *number.Team {
		t.Helper()
		x, err := s.svc.Team(t.Context(), s.admin, team.ID)
		s.must(err)
		return x
	}
	if got := read(); got.Name != "Support" || !slices.Equal(got.UserIDs, []id.ID{c, a, b}) || got.Version != 1 {
		t.Errorf("%s", show(got))
	}
	_, warnings, err := s.update(n.ID, number.Update{Routing: number.RoutingUpdate{Mode: patch.To(number.RouteTeam)}})
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "has none") {
		t.Errorf("TEAM without a team is accepted with a warning: %v, %v", warnings, err)
	}
	got, warnings, err := s.update(n.ID, number.Update{Routing: number.RoutingUpdate{TeamID: patch.To(team.ID), RingStrategy: patch.To(number.RingRoundRobin), PreferredUser: patch.To(true)}})
	if err != nil || len(warnings) != 0 || got.TeamID != team.ID || got.RingStrategy != number.RingRoundRobin || !got.PreferredUser {
		t.Errorf("%s %v %v", show(got), warnings, err)
	}
	events := s.told(n.ID)
	_, err = s.svc.UpdateTeam(t.Context(), s.admin, team.ID, number.TeamUpdate{UserIDs: patch.To([]id.ID{b, c})})
	s.must(err)
	if got := read(); !slices.Equal(got.UserIDs, []id.ID{b, c}) || got.Name != "Support" || got.Version != 2 {
		t.Errorf("%s", show(got))
	}
	if s.told(n.ID) != events+1 {
		t.Error("the number of the team was not told of")
	}
	_, err = s.svc.UpdateTeam(t.Context(), s.admin, team.ID, number.TeamUpdate{UserIDs: patch.To([]id.ID{})})
	s.must(err)
	if w := s.get(n.ID).Warnings(); len(w) != 1 || !strings.Contains(w[0], "no people") {
		t.Error(w)
	}
	byTeam, err := s.svc.ByTeams(s.ctx(), []id.ID{team.ID})
	if err != nil || len(byTeam[team.ID]) != 1 {
		t.Error(byTeam, err)
	}
}

func TestATeamThatIsUsedStays(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	used, pressed, free := s.team("Used", s.admin.UserID), s.team("Pressed"), s.team("Free")
	_, _, err := s.update(n.ID, number.Update{Routing: number.RoutingUpdate{TeamID: patch.To(used.ID)}})
	s.must(err)
	m := s.menu("Main", key("1", number.DestinationInput{Kind: route.ToTeam, TeamID: pressed.ID}))
	del := func(x id.ID) error { return s.svc.DeleteTeam(t.Context(), s.admin, x) }
	refused(t, "a number uses it", del(used.ID), errs.Conflict, "", office)
	refused(t, "a menu leads to it", del(pressed.ID), errs.Conflict, "", "Main")
	s.must(del(free.ID))
	refused(t, "it is gone", del(free.ID), errs.NotFound, "", "")
	s.must(s.svc.DeleteMenu(t.Context(), s.admin, m.ID))
	s.must(del(pressed.ID))
	_, _, err = s.update(n.ID, number.Update{Routing: number.RoutingUpdate{TeamID: patch.Clear[id.ID]()}})
	s.must(err)
	s.must(del(used.ID))
	if w, err := s.svc.Teams(t.Context(), s.admin, db.Page{}); err != nil || len(w.Nodes) != 0 {
		t.Error(w.Nodes, err)
	}
}

func TestEachUserOfATeamHasSwitchesOnTheNumber(t *testing.T) { // R026
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	org := s.admin.OrganizationID
	a, b, c := s.user(org, "a", false, ""), s.user(org, "b", false, ""), s.user(org, "c", false, "")
	set := func(u id.ID, in number.NumberUserSet) error {
		in.PhoneNumberID, in.UserID = n.ID, u
		_, err := s.svc.SetNumberUser(t.Context(), s.admin, in)
		return err
	}
	refused(t, "the number has no team", set(a, number.NumberUserSet{}), errs.Conflict, "phoneNumberId", "team")
	team := s.team("Support", b, a)
	_, _, err := s.update(n.ID, number.Update{Routing: number.RoutingUpdate{TeamID: patch.To(team.ID)}})
	s.must(err)
	read := func() []*number.NumberUser {
		t.Helper()
		m, err := s.svc.UsersByNumbers(s.ctx(), []id.ID{n.ID})
		s.must(err)
		return m[n.ID]
	}
	on := func(x *number.NumberUser) bool { return x.IncomingCalls && x.OutgoingCalls && x.Sms && x.Mms }
	if got := read(); len(got) != 2 || got[0].UserID != b || got[1].UserID != a || !on(got[0]) || !on(got[1]) {
		t.Errorf("without a row everything is on: %s", show(got))
	}
	events, version := s.told(n.ID), s.get(n.ID).Version
	s.must(set(a, number.NumberUserSet{IncomingCalls: patch.To(false), Mms: patch.To(false)}))
	s.must(set(a, number.NumberUserSet{Mms: patch.Clear[bool](), Sms: patch.To(false)}))
	if got := read()[1]; got.IncomingCalls || !got.OutgoingCalls || got.Sms || !got.Mms {
		t.Errorf("absent keeps, null is on: %s", show(got))
	}
	if s.told(n.ID) != events+2 || s.get(n.ID).Version != version+2 {
		t.Error("the number does not say that it changed")
	}
	refused(t, "not of the team", set(c, number.NumberUserSet{}), errs.NotFound, "userId", "Support")
	_, stranger := s.organization("US")
	refused(t, "of another organization", set(stranger.UserID, number.NumberUserSet{}), errs.NotFound, "userId", "Support")
	// Whoever comes back begins anew.
	for _, users := range [][]id.ID{{b}, {b, a}} {
		_, err = s.svc.UpdateTeam(t.Context(), s.admin, team.ID, number.TeamUpdate{UserIDs: patch.To(users)})
		s.must(err)
	}
	if got := read(); len(got) != 2 || !on(got[1]) {
		t.Errorf("%s", show(got))
	}
}

func week(spans ...string) []number.OpeningSpan {
	var out []number.OpeningSpan
	for _, x := range spans {
		p := strings.Fields(x)
		out = append(out, number.OpeningSpan{Day: number.Weekday(p[0]), From: p[1], To: p[2]})
	}
	return out
}

func TestOpeningHoursAreReadInTheirZone(t *testing.T) { // D02
	t.Parallel()
	s := setup(t)
	h, err := s.svc.CreateHours(t.Context(), s.admin, number.HoursCreate{
		Name: "Office", TimeZone: ptr("Australia/Sydney"),
		Week:     week("SUNDAY 22:00 24:00", "MONDAY 13:00 17:30", "MONDAY 09:00 13:00"),
		Holidays: []number.Holiday{{Date: "2026-12-25", Name: "Christmas"}, {Date: "2026-03-09", Name: "Labour Day", Open: []number.HolidaySpan{{From: "10:00", To: "12:00"}}}},
	})
	s.must(err)
	if h.Week[0].From != "09:00" || h.Week[2].Day != number.Sunday || h.Holidays[0].Date != "2026-03-09" {
		t.Errorf("it is kept in order: %s", show(h))
	}
	again, err := s.svc.Hours(t.Context(), s.admin, h.ID)
	if err != nil || show(again) != show(h) {
		t.Errorf("%s, %v", show(again), err)
	}
	sydney, _ := time.LoadLocation("Australia/Sydney")
	for at, want := range map[string]bool{
		"2026-03-02 08:59": false, "2026-03-02 09:00": true, "2026-03-02 13:00": true, "2026-03-02 17:30": false, // a Monday
		"2026-03-01 23:59": true, "2026-03-03 00:00": false, "2026-03-09 09:30": false, "2026-03-09 11:59": true,
		"2026-10-05 09:00": true, // the Monday after the clocks went forward
	} {
		moment, err := time.ParseInLocation("2006-01-02 15:04", at, sydney)
		s.must(err)
		if got := again.IsOpenAt(moment); got != want {
			t.Errorf("%s: open %v", at, got)
		}
	}
	plain, err := s.svc.CreateHours(t.Context(), s.admin, number.HoursCreate{Name: "Plain"})
	if err != nil || plain.TimeZone != "UTC" || plain.IsOpenAt(start) {
		t.Errorf("the organization's zone, never open: %s, %v", show(plain), err)
	}
}

func TestBadOpeningHoursAreNamed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	h, err := s.svc.CreateHours(t.Context(), s.admin, number.HoursCreate{Name: "Office"})
	s.must(err)
	holidays := func(list ...number.Holiday) number.HoursUpdate { return number.HoursUpdate{Holidays: patch.To(list)} }
	many := func(n int) (out []number.Holiday) {
		for i := range n {
			out = append(out, number.Holiday{Date: start.AddDate(0, 0, i).Format(time.DateOnly), Name: "x"})
		}
		return out
	}
	for name, tc := range map[string]struct {
		why  string
		in   number.HoursUpdate
		code errs.Code
		at   string
	}{
		"no name":           {"they have one", number.HoursUpdate{Name: patch.To(" ")}, errs.Required, "name"},
		"the server's zone": {"it is nobody's", number.HoursUpdate{TimeZone: patch.To("Local")}, errs.Invalid, "timeZone"},
		"null zone":         {"times count somewhere", number.HoursUpdate{TimeZone: patch.Clear[string]()}, errs.Invalid, "timeZone"},
		"no day":            {"words are known", number.HoursUpdate{Week: patch.To(week("FUNDAY 09:00 10:00"))}, errs.Invalid, "week 0 day"},
		"no time":           {"HH:MM", number.HoursUpdate{Week: patch.To(week("MONDAY 9:00 10:00"))}, errs.Invalid, "week 0 from"},
		"25 o'clock":        {"a day ends", number.HoursUpdate{Week: patch.To(week("MONDAY 09:00 25:00"))}, errs.Invalid, "week 0 to"},
		"from 24:00":        {"that is the next day", number.HoursUpdate{Week: patch.To(week("MONDAY 24:00 24:00"))}, errs.Invalid, "week 0 from"},
		"a night":           {"two stretches", number.HoursUpdate{Week: patch.To(week("MONDAY 18:00 02:00"))}, errs.Invalid, "week 0 to"},
		"nothing":           {"a stretch has a length", number.HoursUpdate{Week: patch.To(week("MONDAY 09:00 09:00"))}, errs.Invalid, "week 0 to"},
		"overlap":           {"the later one is named", number.HoursUpdate{Week: patch.To(week("MONDAY 12:00 15:00", "TUESDAY 09:00 10:00", "MONDAY 09:00 12:01"))}, errs.Invalid, "week 0 from"},
		"71 stretches":      {"70 at most", number.HoursUpdate{Week: patch.To(make([]number.OpeningSpan, 71))}, errs.LimitReached, "week"},
		"no date":           {"a day of the calendar", holidays(number.Holiday{Date: "2026-02-30", Name: "x"}), errs.Invalid, "holidays 0 date"},
		"a day twice":       {"which one counts?", holidays(number.Holiday{Date: "2026-12-25", Name: "x"}, number.Holiday{Date: "2026-12-25", Name: "y"}), errs.Invalid, "holidays 1 date"},
		"nameless holiday":  {"the trace names it", holidays(number.Holiday{Date: "2026-12-25"}), errs.Required, "holidays 0 name"},
		"holiday backwards": {"forwards", holidays(number.Holiday{Date: "2026-12-25", Name: "x", Open: []number.HolidaySpan{{From: "12:00", To: "10:00"}}}), errs.Invalid, "holidays 0 open 0 to"},
		"401 holidays":      {"400 at most", number.HoursUpdate{Holidays: patch.To(many(401))}, errs.LimitReached, "holidays"},
	} {
		_, err := s.svc.UpdateHours(t.Context(), s.admin, h.ID, tc.in)
		refused(t, name+": "+tc.why, err, tc.code, tc.at, "")
	}
	_, err = s.svc.CreateHours(t.Context(), s.admin, number.HoursCreate{Name: "Office"})
	refused(t, "a name twice", err, errs.Taken, "name", "")
	if got, err := s.svc.Hours(t.Context(), s.admin, h.ID); err != nil || got.Version != 1 {
		t.Errorf("a refused change was half-written: %s, %v", show(got), err)
	}
}

func TestAfterHoursAreSettingsOfTheNumber(t *testing.T) { // D02
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	h, err := s.svc.CreateHours(t.Context(), s.admin, number.HoursCreate{Name: "Office"})
	s.must(err)
	set := func(in number.RoutingUpdate) (*number.PhoneNumber, []string, error) {
		return s.update(n.ID, number.Update{Routing: in})
	}
	_, _, err = set(number.RoutingUpdate{AfterHours: number.AfterHoursUpdate{Action: patch.To(route.ClosedForward)}})
	refused(t, "forward where?", err, errs.Required, "routing afterHours numbers", "")
	_, _, err = set(number.RoutingUpdate{AfterHours: number.AfterHoursUpdate{Action: patch.To(route.ClosedAction("X"))}})
	refused(t, "words are known", err, errs.Invalid, "routing afterHours action", "")
	_, _, err = set(number.RoutingUpdate{AfterHours: number.AfterHoursUpdate{Numbers: patch.To([]string{"1900 654 321"})}})
	refused(t, "premium numbers run up the bill", err, errs.Invalid, "routing afterHours numbers", "costs extra")
	_, _, err = set(number.RoutingUpdate{AfterHours: number.AfterHoursUpdate{Numbers: patch.To([]string{"000"})}})
	refused(t, "no emergency numbers", err, errs.Unsupported, "routing afterHours numbers", "emergency")
	_, _, err = set(number.RoutingUpdate{OpeningHoursID: patch.To(id.New(id.Schedule))})
	refused(t, "they must exist", err, errs.NotFound, "routing openingHoursId", "")
	got, warnings, err := set(number.RoutingUpdate{OpeningHoursID: patch.To(h.ID),
		AfterHours: number.AfterHoursUpdate{Action: patch.To(route.ClosedForward), Numbers: patch.To([]string{"0400 111 222"})}})
	if err != nil || len(warnings) != 2 || !strings.Contains(warnings[0], "told nothing") || !strings.Contains(warnings[1], "charged twice") { // R261
		t.Errorf("%v, %v", warnings, err)
	}
	if a := got.Routing().AfterHours; a.Action != route.ClosedForward || !slices.Equal(a.Numbers, got.ClosedNumbers) || a.Numbers[0] != "+61400111222" {
		t.Errorf("%s", show(a))
	}
	refused(t, "a number uses them", s.svc.DeleteHours(t.Context(), s.admin, h.ID), errs.Conflict, "", office)
	events := s.told(n.ID)
	_, err = s.svc.UpdateHours(t.Context(), s.admin, h.ID, number.HoursUpdate{Week: patch.To(week("MONDAY 09:00 17:00"))})
	if err != nil || s.told(n.ID) != events+1 {
		t.Errorf("the number's calls go another way now: %v", err)
	}
	_, _, err = set(number.RoutingUpdate{OpeningHoursID: patch.Clear[id.ID]()})
	s.must(err)
	s.must(s.svc.DeleteHours(t.Context(), s.admin, h.ID))
}

func key(k string, to number.DestinationInput) number.OptionInput {
	return number.OptionInput{Key: k, Label: "Key " + k, To: to}
}

func (s *stage) menu(name string, keys ...number.OptionInput) *number.Menu {
	s.Helper()
	m, err := s.svc.CreateMenu(s.Context(), s.admin, number.MenuChange{Name: patch.To(name), PromptText: patch.To("Press a key"), Options: patch.To(keys)})
	s.must(err)
	return m
}

var toVoicemail = number.DestinationInput{Kind: route.ToVoicemail}

func subMenu(m *number.Menu) number.DestinationInput {
	return number.DestinationInput{Kind: route.ToMenu, MenuID: m.ID}
}

func TestAMenuLeadsWhereItsKeysSay(t *testing.T) { // R048
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	b, team := s.branch(s.admin.UserID), s.team("Support", s.admin.UserID)
	sub := s.menu("Sub", key("1", toVoicemail))
	if sub.TimeoutSeconds != 5 || sub.Repeats != 2 || sub.Otherwise.Kind != route.ToNumberRoute {
		t.Errorf("what is usual: %s", show(sub))
	}
	m := s.menu("Main", key("1", number.DestinationInput{Kind: route.ToBranch, BranchID: b.ID}), key("2", number.DestinationInput{Kind: route.ToTeam, TeamID: team.ID}),
		key("3", number.DestinationInput{Kind: route.ToUser, UserID: s.admin.UserID}), key("4", number.DestinationInput{Kind: route.ToForward, Number: "0400 111 222"}),
		key("5", subMenu(sub)), key("*", number.DestinationInput{Kind: route.ToRepeat}), key("#", number.DestinationInput{Kind: route.ToHangUp}))
	read, err := s.svc.Menu(t.Context(), s.admin, m.ID)
	if err != nil || show(read) != show(m) || *read.Options[3].To.Number != "+61400111222" || read.Options[4].To.MenuID != sub.ID {
		t.Errorf("%s, %v", show(read), err)
	}
	_, _, err = s.update(n.ID, number.Update{Routing: number.RoutingUpdate{MenuID: patch.To(m.ID)}})
	s.must(err)
	events := s.told(n.ID)
	_, err = s.svc.UpdateMenu(t.Context(), s.admin, sub.ID, number.MenuChange{PromptText: patch.To("Again"), Repeats: patch.To(0)})
	if err != nil || s.told(n.ID) != events+1 {
		t.Errorf("a menu below the number's changed: %v", err)
	}
	del := func(x id.ID) error { return s.svc.DeleteMenu(t.Context(), s.admin, x) }
	refused(t, "the number uses it", del(m.ID), errs.Conflict, "", office)
	refused(t, "a menu leads to it", del(sub.ID), errs.Conflict, "", "Main")
	refused(t, "a menu leads to it", s.svc.DeleteBranch(t.Context(), s.admin, b.ID), errs.Conflict, "", "Main")
	_, _, err = s.update(n.ID, number.Update{Routing: number.RoutingUpdate{MenuID: patch.Clear[id.ID]()}})
	s.must(err)
	s.must(del(m.ID))
	s.must(del(sub.ID))
}

func TestBadMenusAreNamed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, stranger := s.organization("US")
	theirs, err := s.svc.CreateMenu(t.Context(), stranger, number.MenuChange{Name: patch.To("Theirs"), PromptText: patch.To("x"), Options: patch.To([]number.OptionInput{key("1", toVoicemail)})})
	s.must(err)
	m := s.menu("Main", key("1", toVoicemail))
	keys := func(k ...number.OptionInput) number.MenuChange { return number.MenuChange{Options: patch.To(k)} }
	for name, tc := range map[string]struct {
		why  string
		in   number.MenuChange
		code errs.Code
		at   string
	}{
		"no name":            {"it has one", number.MenuChange{Name: patch.Clear[string]()}, errs.Required, "name"},
		"silence":            {"nobody knows the keys", number.MenuChange{PromptText: patch.Clear[string]()}, errs.Invalid, "promptText"},
		"long prompt":        {"3,000 characters", number.MenuChange{PromptText: patch.To(strings.Repeat("x", 3001))}, errs.Invalid, "promptText"},
		"long scolding":      {"500 characters", number.MenuChange{InvalidText: patch.To(strings.Repeat("x", 501))}, errs.Invalid, "invalidText"},
		"no audio":           {"it must be there", number.MenuChange{PromptAudioID: patch.To(id.New(number.AudioID))}, errs.NotFound, "promptAudioId"},
		"no time":            {"1 to 60", number.MenuChange{TimeoutSeconds: patch.To(0)}, errs.Invalid, "timeoutSeconds"},
		"for ever":           {"0 to 5", number.MenuChange{Repeats: patch.To(6)}, errs.Invalid, "repeats"},
		"no keys":            {"there is one at least", keys(), errs.Invalid, "options"},
		"13 keys":            {"a telephone has 12", number.MenuChange{Options: patch.To(make([]number.OptionInput, 13))}, errs.LimitReached, "options"},
		"no key":             {"0-9, * and #", keys(key("A", toVoicemail)), errs.Invalid, "options 0 key"},
		"a key twice":        {"which?", keys(key("1", toVoicemail), key("1", toVoicemail)), errs.Invalid, "options 1 key"},
		"nowhere":            {"words are known", keys(key("1", number.DestinationInput{Kind: "X"})), errs.Invalid, "options 0 to kind"},
		"team unsaid":        {"which team?", keys(key("1", number.DestinationInput{Kind: route.ToTeam})), errs.Required, "options 0 to teamId"},
		"no team":            {"it must be there", keys(key("1", number.DestinationInput{Kind: route.ToTeam, TeamID: id.New(id.Team)})), errs.NotFound, "options 0 to teamId"},
		"no branch":          {"it must be there", keys(key("1", number.DestinationInput{Kind: route.ToBranch, BranchID: id.New(id.Branch)})), errs.NotFound, "options 0 to branchId"},
		"user of others":     {"they do not exist", keys(key("1", number.DestinationInput{Kind: route.ToUser, UserID: stranger.UserID})), errs.NotFound, "options 0 to userId"},
		"menu of others":     {"it does not exist", keys(key("1", subMenu(theirs))), errs.NotFound, "options 0 to menuId"},
		"a branch as a team": {"ids know what they are", keys(key("1", number.DestinationInput{Kind: route.ToTeam, TeamID: id.New(id.Branch)})), errs.Invalid, "options 0 to teamId"},
		"two places":         {"which?", keys(key("1", number.DestinationInput{Kind: route.ToVoicemail, TeamID: id.New(id.Team)})), errs.Invalid, "options 0 to teamId"},
		"no number":          {"it must be one", keys(key("1", number.DestinationInput{Kind: route.ToForward, Number: "12"})), errs.Invalid, "options 0 to number"},
		"premium":            {"callers would run up the bill", keys(key("1", number.DestinationInput{Kind: route.ToForward, Number: "1900 654 321"})), errs.Invalid, "options 0 to number"},
		"to itself":          {"a call would never end", keys(key("1", subMenu(m))), errs.Invalid, "options 0 to menuId"},
		"repeat at the end":  {"it was repeated already", number.MenuChange{Otherwise: patch.To(number.DestinationInput{Kind: route.ToRepeat})}, errs.Invalid, "otherwise kind"},
	} {
		_, err := s.svc.UpdateMenu(t.Context(), s.admin, m.ID, tc.in)
		refused(t, name+": "+tc.why, err, tc.code, tc.at, "")
	}
	if got, err := s.svc.Menu(t.Context(), s.admin, m.ID); err != nil || got.Version != 1 {
		t.Errorf("a refused change was half-written: %s, %v", show(got), err)
	}
}

func TestMenusNeitherGoRoundNorTooDeep(t *testing.T) {
	t.Parallel()
	s := setup(t)
	deepest := s.menu("Menu 1", key("1", toVoicemail))
	top := deepest
	for i := 2; i <= route.MaxMenuDepth; i++ {
		top = s.menu("Menu "+strconv.Itoa(i), key("1", subMenu(top)))
	}
	_, err := s.svc.CreateMenu(t.Context(), s.admin, number.MenuChange{Name: patch.To("Too deep"), PromptText: patch.To("x"), Options: patch.To([]number.OptionInput{key("1", subMenu(top))})})
	refused(t, "one above the deepest", err, errs.Invalid, "options 0 to menuId", "deep")
	_, err = s.svc.UpdateMenu(t.Context(), s.admin, deepest.ID, number.MenuChange{Options: patch.To([]number.OptionInput{key("1", subMenu(top))})})
	refused(t, "a circle through all", err, errs.Invalid, "options 0 to menuId", "")
	lone := s.menu("Lone", key("1", toVoicemail))
	_, err = s.svc.UpdateMenu(t.Context(), s.admin, deepest.ID, number.MenuChange{Options: patch.To([]number.OptionInput{key("1", subMenu(lone))})})
	refused(t, "the menus above would be too deep", err, errs.Invalid, "options", "would not work")
	// Twelve keys to twelve keys: the number of ways is limited, and so is the time to see it.
	wide := lone
	for i := range 3 {
		var all []number.OptionInput
		for _, k := range route.MenuKeys {
			all = append(all, key(string(k), subMenu(wide)))
		}
		m, err := s.svc.CreateMenu(t.Context(), s.admin, number.MenuChange{Name: patch.To("Wide " + strconv.Itoa(i)), PromptText: patch.To("x"), Options: patch.To(all)})
		if i == 0 {
			s.must(err)
			wide = m
			continue
		}
		refused(t, "144 ways", err, errs.Invalid, "options 3 to menuId", "menus at most")
	}
}

func TestTheIgnoredListTakesRules(t *testing.T) { // R057, R058, D08, D27
	t.Parallel()
	s := setup(t)
	add := func(rules ...string) ([]*number.IgnoredNumber, error) {
		return s.svc.AddIgnored(t.Context(), s.admin, rules, " Robots ")
	}
	got, err := add("+1 484 460 8117", "#^\\+1900#", "+14844608117")
	s.must(err)
	if len(got) != 2 || got[0].Rule != "+14844608117" || got[1].Rule != "#^\\+1900#" || got[0].Note != "Robots" || got[0].CreatedByID != s.admin.UserID {
		t.Errorf("%s", show(got))
	}
	again, err := add("#4844608117#", "+14844608117")
	if err != nil || len(again) != 2 || again[1].ID != got[0].ID || again[0].Rule != "#4844608117#" {
		t.Errorf("what is there already stays: %s, %v", show(again), err)
	}
	for name, tc := range map[string]struct {
		why   string
		rules []string
		code  errs.Code
		at    string
	}{
		"nothing":      {"say what", nil, errs.Required, "rules"},
		"1,001":        {"1,000 at once", make([]string, 1001), errs.LimitReached, "rules"},
		"no number":    {"the second is named", []string{"+14844608118", "4844608117"}, errs.Invalid, "rules 1"},
		"no end":       {"a pattern stands between hashes", []string{"#48"}, errs.Invalid, "rules 0"},
		"empty":        {"it would meet everybody", []string{"##"}, errs.Invalid, "rules 0"},
		"no pattern":   {"RE2", []string{"#(#"}, errs.Invalid, "rules 0"},
		"long pattern": {"200 characters", []string{"#" + strings.Repeat("1", 201) + "#"}, errs.Invalid, "rules 0"},
	} {
		_, err := add(tc.rules...)
		refused(t, name+": "+tc.why, err, tc.code, tc.at, "")
	}
	if n := s.count(`SELECT count(*) AS n FROM ignored_number`); n != 3 {
		t.Errorf("all or none are added: %d rules", n)
	}
	_, err = s.svc.AddIgnored(t.Context(), s.admin, []string{"+14844608119"}, strings.Repeat("x", 201))
	refused(t, "a long note", err, errs.Invalid, "note", "")
	s.must(s.svc.RemoveIgnored(t.Context(), s.admin, got[0].ID))
	refused(t, "it is gone", s.svc.RemoveIgnored(t.Context(), s.admin, got[0].ID), errs.NotFound, "", "")
	w, err := s.svc.IgnoredList(t.Context(), s.admin, db.Page{First: 1})
	if err != nil || len(w.Nodes) != 1 || !w.HasNext {
		t.Errorf("%v, %v", w.Nodes, err)
	}
	w, err = s.svc.IgnoredList(t.Context(), s.admin, db.Page{First: 5, After: w.EndCursor()})
	if err != nil || len(w.Nodes) != 1 || w.HasNext {
		t.Errorf("%v, %v", w.Nodes, err)
	}
}

func TestTheIgnoredListHasTenThousandRules(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.exec(`INSERT INTO ignored_number (organization_id, id, rule) SELECT $1, gen_random_uuid(), '+1202' || n FROM generate_series(5550001, 5559999) n`, s.admin.OrganizationID)
	_, err := s.svc.AddIgnored(t.Context(), s.admin, []string{"+12025550001", "+12025550000"}, "")
	s.must(err)
	_, err = s.svc.AddIgnored(t.Context(), s.admin, []string{"+12025550001", "+12025540000"}, "")
	refused(t, "10,000 in all", err, errs.LimitReached, "rules", "10001")
	_, err = s.svc.AddIgnored(t.Context(), s.admin, []string{"+12025550002"}, "")
	s.must(err)
}

func TestARuleCanBeTried(t *testing.T) { // D08, D27
	t.Parallel()
	s := setup(t)
	_, err := s.svc.AddIgnored(t.Context(), s.admin, []string{"+61400111222", "#61290#"}, "")
	s.must(err)
	for name, tc := range map[string]struct {
		from    string
		rule    *string
		ignored bool
		met     string
		number  string
		problem string
	}{
		"the list, as typed":      {"0400 111 222", nil, true, "+61400111222", "+61400111222", ""},
		"the list's pattern":      {"+61290001234", nil, true, "#61290#", "+61290001234", ""},
		"nobody":                  {"+61400111223", nil, false, "", "+61400111223", ""},
		"no number":               {"anonymous", nil, false, "", "", ""},
		"far too long":            {strings.Repeat("4", 1000), nil, false, "", "", ""},
		"a rule that meets":       {"+14844608117", ptr("#4844608117#"), true, "#4844608117#", "+14844608117", ""},
		"a rule that does not":    {"0400 111 222", ptr("+14844608117"), false, "", "+61400111222", ""},
		"a rule that is wrong":    {"+14844608117", ptr("#(#"), false, "", "+14844608117", "cannot be read"},
		"a rule without a caller": {"", ptr("#1#"), false, "", "", ""},
	} {
		got, err := s.svc.TestIgnored(t.Context(), s.admin, tc.from, tc.rule)
		s.must(err)
		var met, number, problem string
		if got.Rule != nil {
			met = *got.Rule
		}
		if got.Number != nil {
			number = string(*got.Number)
		}
		if got.Problem != nil {
			problem = *got.Problem
		}
		if got.IsIgnored != tc.ignored || met != tc.met || number != tc.number || (problem == "") != (tc.problem == "") || !strings.Contains(problem, tc.problem) {
			t.Errorf("%s: %s", name, show(got))
		}
	}
	if n := s.count(`SELECT count(*) AS n FROM ignored_number`); n != 2 {
		t.Errorf("trying a rule adds it: %d", n)
	}
}

func TestSettingsOfRoutingAreNobodyElses(t *testing.T) { // R252
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	_, stranger := s.organization("US")
	plain := access.Actor{OrganizationID: s.admin.OrganizationID, UserID: s.admin.UserID, Permissions: access.SetOf(access.CallReceive), Visibility: access.SeesOrganization}
	team, menu := s.team("Support", s.admin.UserID), s.menu("Main", key("1", toVoicemail))
	h, err := s.svc.CreateHours(t.Context(), s.admin, number.HoursCreate{Name: "Office"})
	s.must(err)
	rule, err := s.svc.AddIgnored(t.Context(), s.admin, []string{"+14844608117"}, "")
	s.must(err)
	ctx := t.Context()
	for name, do := range map[string]func(who access.Actor) error{
		"team update": func(who access.Actor) error {
			_, err := s.svc.UpdateTeam(ctx, who, team.ID, number.TeamUpdate{})
			return err
		},
		"team delete": func(who access.Actor) error { return s.svc.DeleteTeam(ctx, who, team.ID) },
		"hours update": func(who access.Actor) error {
			_, err := s.svc.UpdateHours(ctx, who, h.ID, number.HoursUpdate{})
			return err
		},
		"hours delete": func(who access.Actor) error { return s.svc.DeleteHours(ctx, who, h.ID) },
		"menu update": func(who access.Actor) error {
			_, err := s.svc.UpdateMenu(ctx, who, menu.ID, number.MenuChange{})
			return err
		},
		"menu delete":    func(who access.Actor) error { return s.svc.DeleteMenu(ctx, who, menu.ID) },
		"ignored remove": func(who access.Actor) error { return s.svc.RemoveIgnored(ctx, who, rule[0].ID) },
		"number user": func(who access.Actor) error {
			_, err := s.svc.SetNumberUser(ctx, who, number.NumberUserSet{PhoneNumberID: n.ID, UserID: s.admin.UserID})
			return err
		},
	} {
		if err := do(stranger); !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s by another organization: %v", name, err)
		}
		if err := do(plain); !errs.IsCode(err, errs.Forbidden) {
			t.Errorf("%s without the permission: %v", name, err)
		}
	}
	for name, read := range map[string]func(who access.Actor) error{
		"team":    func(who access.Actor) error { _, err := s.svc.Team(ctx, who, team.ID); return err },
		"hours":   func(who access.Actor) error { _, err := s.svc.Hours(ctx, who, h.ID); return err },
		"menu":    func(who access.Actor) error { _, err := s.svc.Menu(ctx, who, menu.ID); return err },
		"ignored": func(who access.Actor) error { _, err := s.svc.Ignored(ctx, who, rule[0].ID); return err },
	} {
		if err := read(stranger); !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s read by another organization: %v", name, err)
		}
		if err := read(s.admin); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = s.svc.CreateTeam(ctx, s.admin, number.TeamCreate{Name: "Mixed", UserIDs: []id.ID{stranger.UserID}})
	refused(t, "a stranger in the team", err, errs.NotFound, "userIds", "")
	for name, in := range map[string]number.RoutingUpdate{"teamId": {TeamID: patch.To(id.New(id.Team))}, "menuId": {MenuID: patch.To(id.New(id.Menu))}} {
		_, _, err := s.update(n.ID, number.Update{Routing: in})
		refused(t, "it must be there", err, errs.NotFound, "routing "+name, "")
	}
}

func TestATextIsAsLongAsItsVoiceSpeaks(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	text := func(length int) number.PromptUpdate {
		return number.PromptUpdate{WelcomeText: patch.To(strings.Repeat("é", length))}
	}
	with := func(voice string, p number.PromptUpdate) number.PromptUpdate {
		p.Voice = patch.To(voice)
		return p
	}
	set := func(p number.PromptUpdate) error { _, _, err := s.update(n.ID, number.Update{Prompts: p}); return err }
	for voice, most := range map[string]int{"Polly.Joanna": 3000, "Google.en-US-Chirp3-HD-Aoede": 5000, "man": 4096, "woman": 4096} {
		s.must(set(with(voice, text(most))))
		refused(t, voice, set(with(voice, text(most+1))), errs.Invalid, "prompts welcomeText", fmt.Sprint(most))
	}
	s.must(set(with("Google.en-US-Chirp3-HD-Aoede", text(4500))))
	refused(t, "a voice that cannot speak what is there", set(number.PromptUpdate{Voice: patch.To("man")}), errs.Invalid, "prompts voice", "welcome")
	s.must(set(with("man", text(10))))
}

func TestAGroupThatShrinksToOneFieldworkerIsWarnedOf(t *testing.T) { // R028, R029
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	org := s.admin.OrganizationID
	fin, eve := s.user(org, "fin", true, "+61400000002"), s.user(org, "eve", false, "+61400000003")
	b := s.branch(fin, eve)
	_, _, err := s.update(n.ID, number.Update{BranchID: patch.To(b.ID), Routing: number.RoutingUpdate{ReachBy: patch.To(number.ReachPrimaryPhone)}})
	s.must(err)
	warned := func() bool {
		return slices.ContainsFunc(s.get(n.ID).Warnings(), func(w string) bool {
			return strings.Contains(w, "fin") && strings.Contains(w, "ring group") && strings.Contains(w, "masked")
		})
	}
	if warned() {
		t.Error("a group of two is warned of")
	}
	_, err = s.svc.UpdateBranch(t.Context(), s.admin, b.ID, number.BranchUpdate{UserIDs: patch.To([]id.ID{fin})})
	if err != nil || !warned() {
		t.Errorf("the change of people is made, and the number says what is wrong: %v", err)
	}
	s.exec(`UPDATE "user" SET is_fieldworker = false WHERE id = $1`, fin)
	if warned() {
		t.Error("somebody of the office is no fieldworker")
	}
	s.exec(`UPDATE "user" SET is_fieldworker = true WHERE id = $1`, fin)
	if !warned() {
		t.Error("a user who becomes a fieldworker")
	}
	_, _, err = s.update(n.ID, number.Update{Routing: number.RoutingUpdate{ReachBy: patch.To(number.ReachPrimaryPhone)}})
	refused(t, "to set it is refused", err, errs.Unsupported, "routing reachBy", "masked")
}

func TestNumbersOfABusinessUnitAreFound(t *testing.T) { // R022
	t.Parallel()
	s := setup(t)
	s.number("+61255501250", emulator.NumberSpec{})
	_, n := s.connect()
	s.drain()
	_, _, err := s.update(n.ID, number.Update{BusinessUnit: patch.To("Sales")})
	s.must(err)
	for unit, want := range map[string]int{"Sales": 1, "Support": 0, "": 2} {
		f := number.Filter{BusinessUnit: unit}
		w, err := s.svc.List(t.Context(), s.admin, f, db.Page{})
		s.must(err)
		if c, err := s.svc.Count(t.Context(), s.admin, f); err != nil || c != want || len(w.Nodes) != want {
			t.Errorf("%q: %d of %d, %v", unit, len(w.Nodes), c, err)
		}
	}
}

func TestMobileTokensNameWhatWakesTheApp(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c, _ := s.connect()
	sid := "CR" + strings.Repeat("a", 32)
	s.exec(`INSERT INTO push_credential (organization_id, id, connection_id, platform, twilio_sid, updated_at) VALUES ($1, $2, $3, 'IOS', $4, $5)`,
		s.admin.OrganizationID, id.New(id.PushCredential), c.ID, sid, start)
	for platform, want := range map[string]string{"IOS": sid, "ANDROID": "", "WEB": ""} {
		tokens, err := s.svc.VoiceTokens(s.ctx(), id.New(id.Device), s.admin.UserID, platform)
		s.must(err)
		if got := claim(t, tokens[0].Token); len(tokens) != 1 || got != want {
			t.Errorf("%s: the token names %q", platform, got)
		}
	}
	m, err := s.svc.PushCredentialsByConnections(s.ctx(), []id.ID{c.ID})
	if err != nil || len(m[c.ID]) != 1 || m[c.ID][0].TwilioSid != sid {
		t.Error(show(m), err)
	}
}

// Two administrators lead two menus to each other at the same moment: one is refused.
func TestTwoMenusAtOnceMakeNoCircle(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for i := range 10 {
		pair := [2]*number.Menu{s.menu(fmt.Sprintf("A%d", i), key("1", toVoicemail)), s.menu(fmt.Sprintf("B%d", i), key("1", toVoicemail))}
		var wg sync.WaitGroup
		var codes [2]errs.Code
		for j := range pair {
			wg.Go(func() {
				_, err := s.svc.UpdateMenu(t.Context(), s.admin, pair[j].ID, number.MenuChange{Options: patch.To([]number.OptionInput{key("1", subMenu(pair[1-j]))})})
				codes[j] = errs.CodeOf(err)
			})
		}
		wg.Wait()
		if (codes[0] == "") == (codes[1] == "") || codes[0]+codes[1] != errs.Invalid {
			t.Errorf("round %d: %q", i, codes)
		}
	}
}
