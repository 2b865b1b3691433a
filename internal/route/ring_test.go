package route_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/id"
	"switchboard/internal/route"
)

var (
	teamID = id.New(id.Team)
	cas    = person("Cas", func(p *route.Person) { p.Phone = "+61400000003" })
)

// member puts a person into the number's team at a place.
func member(p route.Person, position int) route.Person {
	return with(p, func(p *route.Person) { p.InTeam, p.InBranch, p.LineReceive, p.Position = true, false, true, position })
}

// phases are the ringing steps in words: who rings and for how long.
func phases(s route.Snapshot, steps []route.Step) (out []string) {
	for _, step := range steps {
		if step.Kind != route.Ring {
			continue
		}
		var who []string
		for _, t := range step.Targets {
			i := slices.IndexFunc(s.People, func(p route.Person) bool { return p.ID == t.UserID })
			who = append(who, s.People[i].Name)
		}
		slices.Sort(who)
		out = append(out, fmt.Sprintf("%v %d", slices.Compact(who), *step.TimeoutSeconds))
	}
	return out
}

func TestPeopleRingInTheOrderOfTheStrategy(t *testing.T) {
	t.Parallel()
	// Cas, Ann, Bob by position; Ann, Bob, Cas by name.
	team := func(change func(*route.Snapshot)) route.Snapshot {
		return snapshot(route.Team, func(s *route.Snapshot) {
			s.Number.TeamID, s.Number.TeamName = teamID, "Sales"
			s.People = []route.Person{member(ann, 1), member(bob, 2), member(cas, 0)}
			change(s)
		})
	}
	branch := func(change func(*route.Snapshot)) route.Snapshot {
		return snapshot(route.Branch, func(s *route.Snapshot) { s.People = []route.Person{cas, bob, ann}; change(s) })
	}
	prefers := func(s *route.Snapshot, p route.Person) {
		s.Number.PreferredUser = true
		s.Contacts = []route.Contact{{ID: id.New(id.Contact), AssignedUserID: p.ID, CreatedAt: noon}}
	}
	quiet := func(s *route.Snapshot, p route.Person, change func(*route.Person)) {
		i := slices.IndexFunc(s.People, func(x route.Person) bool { return x.ID == p.ID })
		change(&s.People[i])
	}
	dnd := func(p *route.Person) { p.DoNotDisturb = true }
	cases := map[string]struct {
		why     string
		have    route.Snapshot
		want    []string
		rule    string
		verdict route.Verdict
		first   id.ID
	}{
		"the team at once": {
			why: "simultaneous is the default (D01, R061)", have: team(func(*route.Snapshot) {}),
			want: []string{"[Ann Bob Cas] 25"}, rule: "TEAM", verdict: route.Chosen,
		},
		"a team member's switch": {
			why:  "each user of the number has a switch for incoming calls (R026)",
			have: team(func(s *route.Snapshot) { s.People[1].LineReceive = false }),
			want: []string{"[Ann Cas] 25"}, rule: "USER_LINE_RECEIVE", verdict: route.Skipped,
		},
		"the branch does not ring for a team": {
			why:  "the mode settles which rule applies (D03)",
			have: team(func(s *route.Snapshot) { s.People = append(s.People, person("Dan", func(*route.Person) {})) }),
			want: []string{"[Ann Bob Cas] 25"},
		},
		"a team with the general fieldworker": {
			why:  "the toggle is the number's, whatever its group (R024)",
			have: team(func(s *route.Snapshot) { s.People, s.Number.IncludeGeneralFieldworker = append(s.People, cover), true }),
			want: []string{"[Ann Bob Cas Cover] 25"}, rule: "GENERAL_FIELDWORKER", verdict: route.Included,
		},
		"a number without a team": {
			why: "its branch rings, and the trace says so", have: branch(func(s *route.Snapshot) { s.Number.Mode = route.Team }),
			want: []string{"[Ann Bob Cas] 25"}, rule: "TEAM", verdict: route.NotApplicable,
		},
		"an empty team": {
			why: "nobody rings and the fallback is left (D05)", have: team(func(s *route.Snapshot) { s.People = nil }),
			rule: "TEAM", verdict: route.Skipped,
		},
		"one after another in a team": {
			why: "as they stand in the team, each for the agent timeout (R262, D07)",
			have: team(func(s *route.Snapshot) {
				s.Number.Strategy, s.Number.AgentTimeout, s.Number.RingTimeout = route.Sequential, 20, 60
			}),
			want: []string{"[Cas] 20", "[Ann] 20", "[Bob] 20"},
		},
		"one after another in a branch": {
			why: "a branch has no order of its own: by name",
			have: branch(func(s *route.Snapshot) {
				s.Number.Strategy, s.Number.AgentTimeout, s.Number.RingTimeout = route.Sequential, 20, 60
			}),
			want: []string{"[Ann] 20", "[Bob] 20", "[Cas] 20"},
		},
		"equal shares": {
			why:  "without an agent timeout each has an equal share of the ring timeout",
			have: branch(func(s *route.Snapshot) { s.Number.Strategy, s.Number.RingTimeout = route.Sequential, 45 }),
			want: []string{"[Ann] 15", "[Bob] 15", "[Cas] 15"},
		},
		"shares of ten seconds": {
			why:  "a share is long enough to be answered, and the ring timeout caps the sum",
			have: branch(func(s *route.Snapshot) { s.Number.Strategy, s.Number.RingTimeout = route.Sequential, 25 }),
			want: []string{"[Ann] 10", "[Bob] 10", "[Cas] 5"},
		},
		"whom the time does not reach": {
			why:  "the ring timeout caps the whole phase (D07)",
			have: branch(func(s *route.Snapshot) { s.Number.Strategy, s.Number.AgentTimeout = route.Sequential, 20 }),
			want: []string{"[Ann] 20", "[Bob] 5"}, rule: "RING_TIME", verdict: route.Skipped,
		},
		"the dial timeout caps a turn": {
			why: "one <Dial> is no longer than it (D07)",
			have: branch(func(s *route.Snapshot) {
				s.Number.Strategy, s.Number.DialTimeout, s.Number.RingTimeout = route.Sequential, 8, 60
			}),
			want: []string{"[Ann] 8", "[Bob] 8", "[Cas] 8"},
		},
		"nobody's time is spent on the absent": {
			why: "whoever cannot be rung has no turn",
			have: branch(func(s *route.Snapshot) {
				s.Number.Strategy = route.Sequential
				quiet(s, bob, dnd)
			}),
			want: []string{"[Ann] 12", "[Cas] 12"}, rule: "USER_DO_NOT_DISTURB", verdict: route.Skipped,
		},
		"round robin begins after the last": {
			why: "everybody is first in turn (D01)",
			have: branch(func(s *route.Snapshot) {
				s.Number.Strategy, s.LastFirst, s.Number.RingTimeout = route.RoundRobin, ann.ID, 30
			}),
			want: []string{"[Bob] 10", "[Cas] 10", "[Ann] 10"}, first: bob.ID, rule: "ROUND_ROBIN", verdict: route.Chosen,
		},
		"round robin wraps": {
			why: "after the last of the list comes the first",
			have: branch(func(s *route.Snapshot) {
				s.Number.Strategy, s.LastFirst, s.Number.RingTimeout = route.RoundRobin, cas.ID, 30
			}),
			want: []string{"[Ann] 10", "[Bob] 10", "[Cas] 10"}, first: ann.ID,
		},
		"round robin keeps the place of the absent": {
			why: "the turn goes to the next who can be rung",
			have: branch(func(s *route.Snapshot) {
				s.Number.Strategy, s.LastFirst, s.Number.RingTimeout = route.RoundRobin, ann.ID, 30
				quiet(s, bob, dnd)
			}),
			want: []string{"[Cas] 15", "[Ann] 15"}, first: cas.ID,
		},
		"round robin after one who left": {
			why: "the list begins at its beginning",
			have: branch(func(s *route.Snapshot) {
				s.Number.Strategy, s.LastFirst, s.Number.RingTimeout = route.RoundRobin, id.New(id.User), 30
			}),
			want: []string{"[Ann] 10", "[Bob] 10", "[Cas] 10"}, first: ann.ID,
		},
		"the preferred user first": {
			why:  "the record's assigned user rings before the list (R054)",
			have: team(func(s *route.Snapshot) { prefers(s, bob); s.Number.AgentTimeout, s.Number.RingTimeout = 15, 40 }),
			want: []string{"[Bob] 15", "[Ann Bob Cas] 15"}, rule: "PREFERRED_USER", verdict: route.Chosen,
		},
		"the list keeps some time": {
			why:  "no answer goes on to the list (D09), within the ring timeout (D07)",
			have: team(func(s *route.Snapshot) { prefers(s, bob); s.Number.AgentTimeout = 25 }),
			want: []string{"[Bob] 20", "[Ann Bob Cas] 5"},
		},
		"the preferred user does not ring twice in a row": {
			why: "the list goes on with somebody else",
			have: team(func(s *route.Snapshot) {
				prefers(s, cas)
				s.Number.Strategy, s.Number.AgentTimeout, s.Number.RingTimeout = route.Sequential, 15, 60
			}),
			want: []string{"[Cas] 15", "[Ann] 15", "[Bob] 15", "[Cas] 15"},
		},
		"the preferred user outside the team": {
			why: "any user whom the snapshot knows (R054)",
			have: team(func(s *route.Snapshot) {
				dan := person("Dan", func(*route.Person) {})
				s.People = append(s.People, dan)
				prefers(s, dan)
				s.Number.AgentTimeout = 10
			}),
			want: []string{"[Dan] 10", "[Ann Bob Cas] 10"},
		},
		"the preferred user alone": {
			why:  "there is no list to go on with: they have the whole time",
			have: team(func(s *route.Snapshot) { s.People = s.People[:1]; prefers(s, ann) }),
			want: []string{"[Ann] 25"},
		},
		"the preferred user is not to be disturbed": {
			why:  "the list rings, and the trace says why (D09)",
			have: team(func(s *route.Snapshot) { prefers(s, bob); quiet(s, bob, dnd) }),
			want: []string{"[Ann Cas] 25"}, rule: "PREFERRED_USER", verdict: route.Skipped,
		},
		"the preferred user has no device": {
			why:  "D09",
			have: team(func(s *route.Snapshot) { prefers(s, bob); quiet(s, bob, func(p *route.Person) { p.Devices = nil }) }),
			want: []string{"[Ann Cas] 25"}, rule: "PREFERRED_USER", verdict: route.Skipped,
		},
		"the preferred user switched the number off": {
			why: "R026 holds for them too",
			have: team(func(s *route.Snapshot) {
				prefers(s, bob)
				quiet(s, bob, func(p *route.Person) { p.LineReceive = false })
			}),
			want: []string{"[Ann Cas] 25"}, rule: "PREFERRED_USER", verdict: route.Skipped,
		},
		"the caller is nobody's": {
			why:  "an unassigned contact rings the list",
			have: team(func(s *route.Snapshot) { prefers(s, route.Person{}) }),
			want: []string{"[Ann Bob Cas] 25"}, rule: "PREFERRED_USER", verdict: route.NotApplicable,
		},
		"preferred in a branch": {
			why:  "if the user is of the branch",
			have: branch(func(s *route.Snapshot) { prefers(s, bob); s.Number.AgentTimeout = 10 }),
			want: []string{"[Bob] 10", "[Ann Bob Cas] 10"},
		},
		"preferred outside the branch": {
			why: "a branch rings only its own (R023)",
			have: branch(func(s *route.Snapshot) {
				prefers(s, bob)
				quiet(s, bob, func(p *route.Person) { p.InBranch = false })
			}),
			want: []string{"[Ann Cas] 25"}, rule: "PREFERRED_USER", verdict: route.Skipped,
		},
		"round robin counts the list, not the preferred user": {
			why: "who was preferred had no turn",
			have: branch(func(s *route.Snapshot) {
				prefers(s, bob)
				s.Number.Strategy, s.LastFirst, s.Number.RingTimeout, s.Number.AgentTimeout = route.RoundRobin, ann.ID, 60, 15
			}),
			want: []string{"[Bob] 15", "[Cas] 15", "[Ann] 15", "[Bob] 15"}, first: cas.ID,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := route.Decide(c.have)
			if diff := cmp.Diff(c.want, phases(c.have, d.Steps)); diff != "" {
				t.Errorf("%s:\n%s", c.why, diff)
			}
			if d.First != c.first {
				t.Errorf("%s: first is %s, want %s", c.why, d.First, c.first)
			}
			if c.rule != "" && !said(d, c.rule, c.verdict) {
				t.Errorf("%s: the trace lacks %s %s: %+v", c.why, c.rule, c.verdict, d.Trace)
			}
		})
	}
}

func TestADeviceThatIsNotReadyDoesNotRing(t *testing.T) {
	t.Parallel()
	s := snapshot(route.Branch, func(s *route.Snapshot) {
		mute := func(p *route.Person) {
			p.Devices = append(slices.Clone(p.Devices), route.Handset{ID: id.New(id.Device), Name: "phone", LastSeen: noon})
			p.Devices[0].NotReady = "no microphone"
		}
		s.People = []route.Person{with(ann, mute), with(bob, func(p *route.Person) { mute(p); p.Devices = p.Devices[:1] })}
	})
	d := route.Decide(s)
	if diff := cmp.Diff([]string{"DEVICE client:" + s.People[0].Devices[1].ID.String()}, rings(d)); diff != "" {
		t.Errorf("rings:\n%s", diff)
	}
	var notes []string
	for _, x := range d.Trace {
		if x.Verdict == route.Skipped {
			notes = append(notes, x.Rule+": "+x.Detail)
		}
	}
	want := []string{
		"DEVICE_READY: web of Ann does not ring: no microphone",
		"DEVICE_READY: web of Bob does not ring: no microphone",
		"USER_DEVICE: the device of Bob is not ready: no microphone",
	}
	if diff := cmp.Diff(want, notes); diff != "" {
		t.Errorf("the trace:\n%s", diff)
	}
}

// R028, R029: a branch is not the way to one fieldworker's personal phone.
func TestABranchOfOneFieldworkerRingsNobodyAndNamesTheAlternatives(t *testing.T) {
	t.Parallel()
	field := with(bob, func(p *route.Person) { p.Fieldworker = true })
	for name, c := range map[string]struct {
		why  string
		mode route.RoutingMode
		who  []route.Person
		want []string
		rule string
	}{
		"alone":        {why: "the step is skipped", mode: route.Branch, who: []route.Person{field}, rule: "BRANCH_GROUP"},
		"with another": {why: "the other rings", mode: route.Branch, who: []route.Person{field, ann}, want: []string{"USER_PHONE " + ann.Phone}, rule: "USER_PHONE"},
		"in a team":    {why: "R028 is about branches", mode: route.Team, who: []route.Person{member(field, 0)}, want: []string{"USER_PHONE " + bob.Phone}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := route.Decide(snapshot(c.mode, func(s *route.Snapshot) {
				s.People, s.Number.ReachBy, s.Number.ForwardingNumbers = c.who, route.ByPhone, []string{forward}
				if c.mode == route.Team {
					s.Number.TeamID = teamID
				}
			}))
			if diff := cmp.Diff(c.want, rings(d)); diff != "" {
				t.Errorf("%s:\n%s", c.why, diff)
			}
			if c.rule != "" && !said(d, c.rule, route.Skipped) {
				t.Errorf("%s: the trace lacks %s: %+v", c.why, c.rule, d.Trace)
			}
		})
	}
}

// R052: whoever picks up a forwarded call presses 1 where the number asks for it.
func TestPhonesOutsideAreScreened(t *testing.T) {
	t.Parallel()
	for _, screen := range []bool{true, false} {
		for name, s := range map[string]route.Snapshot{
			"forward":       snapshot(route.Branch, func(s *route.Snapshot) { s.People, s.Number.ForwardingNumbers = nil, []string{forward} }),
			"user phone":    snapshot(route.Branch, func(s *route.Snapshot) { s.Number.ReachBy = route.ByPhone }),
			"company phone": snapshot(route.Layered, func(s *route.Snapshot) { s.CompanyPhone = company }),
			"layer phone":   snapshot(route.Layered, func(s *route.Snapshot) { s.Number.AssignedUserID = ann.ID }),
		} {
			s.Number.Screen = screen
			for _, step := range route.Decide(s).Steps {
				for _, target := range step.Targets {
					if target.Screen != screen {
						t.Errorf("%s with screening %t: %+v", name, screen, target)
					}
				}
			}
		}
	}
	s := snapshot(route.Branch, func(s *route.Snapshot) { s.Number.Screen = true })
	for _, target := range route.Decide(s).Steps[0].Targets {
		if target.Screen {
			t.Errorf("a device of ours is screened: %+v", target)
		}
	}
}

func TestALoopStopsAtTheThirdHop(t *testing.T) {
	t.Parallel()
	for hops, rejected := range map[int]bool{0: false, 2: false, 3: true, 9: true} {
		d := route.Decide(snapshot(route.Branch, func(s *route.Snapshot) { s.Hops = hops }))
		if got := d.RejectReason != nil && *d.RejectReason == route.ForwardingLoop; got != rejected || said(d, "FORWARDING_LOOP", route.Chosen) != rejected {
			t.Errorf("at hop %d: %+v", hops, d)
		}
	}
}

func TestAnIgnoredCallerIsRoutedWithoutAPopup(t *testing.T) {
	t.Parallel()
	plain := snapshot(route.Branch, func(*route.Snapshot) {})
	ignored := plain
	ignored.IgnoredBy = "+61400999888"
	d := route.Decide(ignored)
	if !d.Ignored || !said(d, "IGNORED_NUMBER", route.Included) {
		t.Errorf("the decision does not say so: %+v", d)
	}
	if diff := cmp.Diff(route.Decide(plain).Steps, d.Steps, cmp.Comparer(func(a, b id.ID) bool { return a == b })); diff != "" {
		t.Errorf("the call is routed as any other (D08):\n%s", diff)
	}
}

func TestSeveralDevicesOfOneTurnRingTogether(t *testing.T) {
	t.Parallel()
	s := snapshot(route.Branch, func(s *route.Snapshot) {
		s.Number.Strategy = route.Sequential
		s.People = []route.Person{with(ann, func(p *route.Person) {
			p.Devices = nil
			for i := range 12 {
				p.Devices = append(p.Devices, route.Handset{ID: id.New(id.Device), Name: "d", LastSeen: noon.Add(time.Duration(i) * time.Second)})
			}
		}), bob}
	})
	d := route.Decide(s)
	if n := len(d.Steps[0].Targets); n != 12 || d.Steps[0].Targets[11].After != 1000 {
		t.Errorf("%d ring first: %+v", n, d.Steps[0].Targets)
	}
	if n := len(d.Steps[1].Targets); n != 1 {
		t.Errorf("%d ring second", n)
	}
}
