package route_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/route"
)

func reception() *route.Menu {
	sub := &route.Menu{ID: id.New(id.Menu), Name: "service", Say: "Press 1.", TimeoutSeconds: 5, Repeats: 1,
		Options: []route.Option{{Key: "1", To: route.Destination{Kind: route.ToVoicemail}}}, Otherwise: route.Destination{Kind: route.ToHangUp}}
	return &route.Menu{ID: id.New(id.Menu), Name: "reception", Say: "Press a key.", TimeoutSeconds: 5, Repeats: 2, InvalidSay: "That is no key.",
		Options: []route.Option{
			{Key: "0", Label: "anybody", To: route.Destination{Kind: route.ToNumberRoute}},
			{Key: "1", Label: "sales", To: route.Destination{Kind: route.ToTeam, ID: teamID}},
			{Key: "2", To: route.Destination{Kind: route.ToBranch, ID: branch}},
			{Key: "3", To: route.Destination{Kind: route.ToUser, ID: bob.ID}},
			{Key: "4", To: route.Destination{Kind: route.ToForward, Number: forward}},
			{Key: "5", To: route.Destination{Kind: route.ToVoicemail}},
			{Key: "6", To: route.Destination{Kind: route.ToMenu, Menu: sub}},
			{Key: "8", To: route.Destination{Kind: route.ToUser, ID: id.New(id.User)}},
			{Key: "9", To: route.Destination{Kind: route.ToHangUp}},
			{Key: "#", To: route.Destination{Kind: route.ToTeam, ID: id.New(id.Team)}},
			{Key: "*", To: route.Destination{Kind: route.ToRepeat}},
		},
		Otherwise: route.Destination{Kind: route.ToBranch, ID: branch}}
}

func withMenu(change func(*route.Snapshot)) route.Snapshot {
	return snapshot(route.Branch, func(s *route.Snapshot) {
		s.Menu, s.Number.ForwardingNumbers = reception(), []string{company}
		s.People = []route.Person{ann, bob, with(cas, func(p *route.Person) { p.InBranch = false })}
		s.Groups = map[id.ID]route.Group{
			teamID: {ID: teamID, Name: "Sales", Users: []id.ID{cas.ID, ann.ID}},
			branch: {ID: branch, Name: "Sydney", Users: []id.ID{bob.ID}},
		}
		change(s)
	})
}

func TestAMenuIsAskedAndNothingFollowsUntilAKeyComes(t *testing.T) {
	t.Parallel()
	d := route.Decide(withMenu(func(s *route.Snapshot) { s.Number.HasWelcome = true }))
	if diff := cmp.Diff([]route.StepKind{route.Welcome, route.MenuStep}, kinds(d)); diff != "" {
		t.Errorf("steps:\n%s", diff)
	}
	if m := d.Steps[1]; m.Visit != 1 || m.Menu == nil || !said(d, "MENU", route.Chosen) {
		t.Errorf("the step is %+v", m)
	}
}

func TestAKeyLeadsWhereItSays(t *testing.T) {
	t.Parallel()
	fallback := []route.StepKind{route.Forward, route.Voicemail}
	ringing := append([]route.StepKind{route.Ring}, fallback...)
	for name, c := range map[string]struct {
		why, key string
		change   func(*route.Snapshot)
		steps    []route.StepKind
		rings    []string
		rule     string
		first    id.ID
	}{
		"route":               {why: "what the mode says", key: "0", steps: ringing, rings: []string{"[Ann Bob] 25"}},
		"team":                {why: "it rings", key: "1", steps: ringing, rings: []string{"[Ann Cas] 25"}, rule: "TEAM"},
		"branch":              {why: "it rings", key: "2", steps: ringing, rings: []string{"[Bob] 25"}, rule: "BRANCH_GROUP"},
		"user":                {why: "they ring", key: "3", steps: ringing, rings: []string{"[Bob] 25"}},
		"forward":             {why: "then voicemail, not the number's own forwarding", key: "4", steps: []route.StepKind{route.Forward, route.Voicemail}, rule: "MENU_FORWARD"},
		"voicemail":           {why: "at once", key: "5", steps: []route.StepKind{route.Voicemail}},
		"no voicemail":        {why: "where it is off: the farewell", key: "5", change: func(s *route.Snapshot) { s.Number.Voicemail = false }, steps: []route.StepKind{route.Farewell}, rule: "VOICEMAIL"},
		"submenu":             {why: "asks", key: "6", steps: []route.StepKind{route.MenuStep}, rule: "MENU"},
		"repeat":              {why: "asks again", key: "*", steps: []route.StepKind{route.MenuStep}},
		"hang up":             {why: "with the farewell", key: "9", steps: []route.StepKind{route.Farewell}},
		"a team that is gone": {why: "the fallback (D05)", key: "#", steps: fallback, rule: "TEAM"},
		"a user who is gone":  {why: "the fallback (D05)", key: "8", steps: fallback, rule: "MENU_USER"},
		"a team in its order": {why: "by the number's strategy", key: "1", rings: []string{"[Cas] 12", "[Ann] 12"},
			change: func(s *route.Snapshot) { s.Number.Strategy = route.Sequential }},
		"a team by turns": {why: "by the number's strategy", key: "1", rings: []string{"[Ann] 12", "[Cas] 12"}, first: ann.ID,
			change: func(s *route.Snapshot) { s.Number.Strategy, s.LastFirst = route.RoundRobin, cas.ID }},
		"a fieldworker's phone": {why: "a branch is not the way to it (R028)", key: "2", steps: fallback, rule: "BRANCH_GROUP",
			change: func(s *route.Snapshot) { s.Number.ReachBy, s.People[1].Fieldworker = route.ByPhone, true }},
		"a fieldworker by key": {why: "nor is a key of a branch's number (R028)", key: "3", steps: fallback, rule: "USER_PHONE",
			change: func(s *route.Snapshot) { s.Number.ReachBy, s.People[1].Fieldworker = route.ByPhone, true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withMenu(func(s *route.Snapshot) {
				if c.change != nil {
					c.change(s)
				}
			})
			next := s.AfterMenu(route.Decide(s).Steps[0], c.key)
			d := route.Decision{Steps: next.Steps, Trace: next.Trace}
			if c.steps != nil {
				if diff := cmp.Diff(c.steps, kinds(d)); diff != "" {
					t.Errorf("%s: steps\n%s", c.why, diff)
				}
			}
			if c.rings != nil {
				if diff := cmp.Diff(c.rings, phases(s, next.Steps)); diff != "" {
					t.Errorf("%s: rings\n%s", c.why, diff)
				}
			}
			if !said(d, "MENU_KEY", route.Chosen) || c.rule != "" && !(said(d, c.rule, route.Chosen) || said(d, c.rule, route.Skipped) || said(d, c.rule, route.Included) || said(d, c.rule, route.NotApplicable)) {
				t.Errorf("%s: the trace is %+v", c.why, d.Trace)
			}
			if next.First != c.first {
				t.Errorf("%s: first is %s", c.why, next.First)
			}
		})
	}
}

func TestALayeredNumberBehindAMenuSaysItsLayer(t *testing.T) {
	t.Parallel()
	s := withMenu(func(s *route.Snapshot) { s.Number.Mode, s.CompanyPhone = route.Layered, company })
	next := s.AfterMenu(route.Decide(s).Steps[0], "0")
	if next.Layer == nil || *next.Layer != 1 {
		t.Errorf("layer %v", next.Layer)
	}
}

func TestAWrongKeyIsToldAndThenTheMenuGivesUp(t *testing.T) {
	t.Parallel()
	s := withMenu(func(*route.Snapshot) {})
	step := route.Decide(s).Steps[0]
	for try, key := range []string{"7", ""} {
		next := s.AfterMenu(step, key)
		step = next.Steps[0]
		if len(next.Steps) != 1 || step.Kind != route.MenuStep || step.Visit != try+2 || (step.Say != "") != (key != "") {
			t.Fatalf("after key %q: %+v", key, next.Steps)
		}
	}
	next := s.AfterMenu(step, "7")
	if diff := cmp.Diff([]string{"[Bob] 25"}, phases(s, next.Steps)); diff != "" {
		t.Errorf("asked three times, the caller goes where no key leads:\n%s", diff)
	}
}

func TestNobodyHearsMenusForEver(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := withMenu(func(*route.Snapshot) {})
		step := route.Decide(s).Steps[0]
		stubborn := rapid.Bool().Draw(t, "stubborn")
		for visits := 1; ; visits++ {
			if visits > route.MaxMenuVisits {
				t.Fatal("asked again")
			}
			key := "*"
			if !stubborn {
				key = rapid.SampledFrom([]string{"", "*", "6", "7", "12", "x"}).Draw(t, "key")
			}
			next := s.AfterMenu(step, key)
			if len(next.Steps) == 0 || len(next.Trace) == 0 {
				t.Fatalf("nothing follows: %+v", next)
			}
			last := next.Steps[len(next.Steps)-1]
			if last.Kind == route.Voicemail || last.Kind == route.Farewell {
				return
			}
			if last.Kind != route.MenuStep || last.Visit != visits+1 {
				t.Fatalf("after %d visits: %+v", visits, last)
			}
			step = last
		}
	})
}

func TestAStepWithoutAMenuGoesOn(t *testing.T) {
	t.Parallel()
	s := withMenu(func(s *route.Snapshot) { s.Menu = nil })
	next := s.AfterMenu(route.Step{Kind: route.MenuStep}, "1")
	if diff := cmp.Diff([]string{"[Ann Bob] 25"}, phases(s, next.Steps)); diff != "" {
		t.Errorf("the number's own route:\n%s", diff)
	}
}

func TestAMenuIsChecked(t *testing.T) {
	t.Parallel()
	nested := func(m *route.Menu, depth int) {
		for range depth - 1 {
			sub := reception()
			m.Options = []route.Option{{Key: "1", To: route.Destination{Kind: route.ToMenu, Menu: sub}}}
			m = sub
		}
		m.Options = m.Options[:1]
	}
	for name, c := range map[string]struct {
		why    string
		change func(*route.Menu)
		at     string // "" for a good menu
	}{
		"as it is":           {why: "good", change: func(*route.Menu) {}},
		"audio alone":        {why: "good", change: func(m *route.Menu) { m.Say, m.Audio = "", "token" }},
		"five deep":          {why: "good", change: func(m *route.Menu) { nested(m, 5) }},
		"a submenu twice":    {why: "good: two keys may lead to one menu", change: func(m *route.Menu) { m.Otherwise = m.Options[6].To }},
		"six deep":           {why: "nobody finds the way", change: func(m *route.Menu) { nested(m, 6) }, at: "options 0 to menu options 0 to menu options 0 to menu options 0 to menu options 0 to menu id"},
		"a key twice":        {why: "which one?", change: func(m *route.Menu) { m.Options[1].Key = "0" }, at: "options 1 key"},
		"two digits":         {why: "one key is one digit", change: func(m *route.Menu) { m.Options[1].Key = "12" }, at: "options 1 key"},
		"a letter":           {why: "not on a telephone", change: func(m *route.Menu) { m.Options[1].Key = "A" }, at: "options 1 key"},
		"no options":         {why: "nothing to press", change: func(m *route.Menu) { m.Options = nil }, at: "options"},
		"no prompt":          {why: "nothing to hear", change: func(m *route.Menu) { m.Say = "" }, at: "say"},
		"a sermon":           {why: "text to speech has a limit", change: func(m *route.Menu) { m.Say = strings.Repeat("x", 3001) }, at: "say"},
		"not text":           {why: "not UTF-8", change: func(m *route.Menu) { m.Name = "\xff" }, at: "name"},
		"no time":            {why: "nobody is that fast", change: func(m *route.Menu) { m.TimeoutSeconds = 0 }, at: "timeout"},
		"many repeats":       {why: "nobody listens so often", change: func(m *route.Menu) { m.Repeats = 6 }, at: "repeats"},
		"a long label":       {why: "labels are short", change: func(m *route.Menu) { m.Options[0].Label = strings.Repeat("x", 101) }, at: "options 0 label"},
		"into itself":        {why: "a circle", change: func(m *route.Menu) { m.Options[6].To.Menu.ID = m.ID }, at: "options 6 to menu id"},
		"a team's user":      {why: "an id of another kind", change: func(m *route.Menu) { m.Options[1].To.ID = ann.ID }, at: "options 1 to id"},
		"no number":          {why: "cannot be dialled", change: func(m *route.Menu) { m.Options[4].To.Number = "0400" }, at: "options 4 to number"},
		"no submenu":         {why: "leads nowhere", change: func(m *route.Menu) { m.Options[6].To.Menu = nil }, at: "options 6 to menu"},
		"an unknown kind":    {why: "leads nowhere", change: func(m *route.Menu) { m.Options[0].To.Kind = "FAX" }, at: "options 0 to kind"},
		"nothing otherwise":  {why: "a caller who presses nothing has to go somewhere", change: func(m *route.Menu) { m.Otherwise.Kind = "" }, at: "otherwise kind"},
		"repeated otherwise": {why: "it was repeated already", change: func(m *route.Menu) { m.Otherwise.Kind = route.ToRepeat }, at: "otherwise kind"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := reception()
			c.change(m)
			err := m.Check()
			if c.at == "" {
				if err != nil {
					t.Errorf("%s: %v", c.why, err)
				}
				return
			}
			var e *errs.Error
			if !errors.As(err, &e) || e.Code != errs.Invalid || strings.Join(e.Field, " ") != c.at {
				t.Errorf("%s: %v at %v, want at %s", c.why, err, fmt.Sprintf("%+v", e), c.at)
			}
		})
	}
	if err := (*route.Menu)(nil).Check(); err == nil {
		t.Error("no menu is not a good menu")
	}
}
