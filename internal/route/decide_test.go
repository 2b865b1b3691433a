package route_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"switchboard/internal/id"
	"switchboard/internal/route"
)

var (
	noon   = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	branch = id.New(id.Branch)
	number = id.New(id.PhoneNumber)
	ann    = person("Ann", func(p *route.Person) { p.Phone = "+61400000001" })
	bob    = person("Bob", func(p *route.Person) { p.Phone = "+61400000002" })
	cover  = person("Cover", func(p *route.Person) { p.InBranch, p.GeneralFieldworker, p.Fieldworker = false, true, true })
)

const (
	called  = "+61255501234"
	caller  = "+61400999888"
	company = "+61255500000"
	forward = "+61255507777"
)

func person(name string, change func(*route.Person)) route.Person {
	p := route.Person{ID: id.New(id.User), Name: name, Active: true, InBranch: true, MayReceive: true,
		Devices: []route.Handset{{ID: id.New(id.Device), Name: "web", LastSeen: noon}}}
	change(&p)
	return p
}

func with(p route.Person, change func(*route.Person)) route.Person { change(&p); return p }

func snapshot(mode route.RoutingMode, change func(*route.Snapshot)) route.Snapshot {
	s := route.Snapshot{At: noon, From: caller, People: []route.Person{ann, bob},
		Number: route.Number{ID: number, E164: called, BranchID: branch, Enabled: true, ForInbound: true, Mode: mode, RingTimeout: 25, Voicemail: true}}
	change(&s)
	return s
}

func lead(owner id.ID, campaigns ...route.Campaign) route.Contact {
	return route.Contact{ID: id.New(id.Contact), IsLead: true, AssignedUserID: owner, Campaigns: campaigns, CreatedAt: noon}
}

func campaignOf(owner id.ID, at time.Time) route.Campaign {
	return route.Campaign{ID: id.New(id.Campaign), Name: "spring", AssignedUserID: owner, ContactedAt: at}
}

// kinds are the steps of a decision in words.
func kinds(d route.Decision) (out []route.StepKind) {
	for _, s := range d.Steps {
		out = append(out, s.Kind)
	}
	return out
}

// rings is whom the first ringing step rings.
func rings(d route.Decision) (out []string) {
	for _, s := range d.Steps {
		if s.Kind != route.Ring {
			continue
		}
		for _, t := range s.Targets {
			out = append(out, string(t.Kind)+" "+t.Address)
		}
	}
	return out
}

func said(d route.Decision, rule string, v route.Verdict) bool {
	return slices.ContainsFunc(d.Trace, func(t route.Trace) bool { return t.Rule == rule && t.Verdict == v })
}

func device(p route.Person) string { return "DEVICE client:" + p.Devices[0].ID.String() }

// The eight rows of the truth table of R031-R036.
func TestTheFourLayersFollowTheTruthTable(t *testing.T) {
	t.Parallel()
	for row := range 8 {
		a, b, c := row&4 != 0, row&2 != 0, row&1 != 0
		for _, byCampaign := range []bool{false, true} {
			t.Run(fmt.Sprintf("number user %t, lead %t, forwarding %t, by campaign %t", a, b, c, byCampaign), func(t *testing.T) {
				t.Parallel()
				s := snapshot(route.Layered, func(s *route.Snapshot) {
					s.CompanyPhone = company
					if a {
						s.Number.AssignedUserID = ann.ID
					}
					switch {
					case b && byCampaign:
						s.Contacts = []route.Contact{lead(id.ID{}, campaignOf(bob.ID, noon))}
					case b:
						s.Contacts = []route.Contact{lead(bob.ID)}
					default:
						s.Contacts = []route.Contact{lead(id.ID{}, campaignOf(id.ID{}, noon))}
					}
					if c {
						s.CallForwardingNumber = forward
					}
				})
				want, layer := "COMPANY_PHONE "+company, 1
				switch {
				case a:
					want, layer = "USER_PHONE "+ann.Phone, 4
				case b:
					want, layer = "USER_PHONE "+bob.Phone, 3
				case c:
					want, layer = "FORWARD "+forward, 2
				}
				d := route.Decide(s)
				if diff := cmp.Diff([]string{want}, rings(d)); diff != "" {
					t.Errorf("rings:\n%s", diff)
				}
				if d.Layer == nil || *d.Layer != layer {
					t.Errorf("layer %v, want %d", d.Layer, layer)
				}
				if diff := cmp.Diff([]route.StepKind{route.Ring, route.Voicemail}, kinds(d)); diff != "" {
					t.Errorf("no answer goes on to voicemail, not to a lower layer (D20):\n%s", diff)
				}
			})
		}
	}
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	type want struct {
		steps   []route.StepKind
		rings   []string
		rule    string
		verdict route.Verdict
		layer   int
		reason  route.EndReason
		timeout int
	}
	older, newer := noon.Add(-2*time.Hour), noon.Add(-time.Hour)
	twoLeads := []route.Contact{lead(ann.ID, campaignOf(id.ID{}, older)), lead(bob.ID, campaignOf(id.ID{}, newer))}
	newest := []route.Contact{lead(ann.ID), lead(bob.ID)}
	newest[0].CreatedAt = noon.Add(time.Minute)
	cases := map[string]struct {
		why  string
		have route.Snapshot
		want want
	}{
		"the branch rings": {
			why:  "a branch number rings the users of its branch and nobody else (R023)",
			have: snapshot(route.Branch, func(s *route.Snapshot) { s.People = append(s.People, with(cover, func(*route.Person) {})) }),
			want: want{steps: []route.StepKind{route.Ring, route.Voicemail}, rings: []string{device(ann), device(bob)}, timeout: 25},
		},
		"the general fieldworker is added": {
			why: "the toggle of R024",
			have: snapshot(route.Branch, func(s *route.Snapshot) {
				s.People, s.Number.IncludeGeneralFieldworker = []route.Person{ann, cover}, true
			}),
			want: want{rings: []string{device(ann), device(cover)}, rule: "GENERAL_FIELDWORKER", verdict: route.Included},
		},
		"welcome comes first": {
			why:  "the prompt plays before anything else (R044)",
			have: snapshot(route.Branch, func(s *route.Snapshot) { s.Number.HasWelcome = true }),
			want: want{steps: []route.StepKind{route.Welcome, route.Ring, route.Voicemail}},
		},
		"the role forbids": {
			why: "only those whose role permits it are rung (R073)",
			have: snapshot(route.Branch, func(s *route.Snapshot) {
				s.People = []route.Person{ann, with(bob, func(p *route.Person) { p.MayReceive = false })}
			}),
			want: want{rings: []string{device(ann)}, rule: "USER_ROLE", verdict: route.Skipped},
		},
		"do not disturb": {
			why: "for the user (R072)",
			have: snapshot(route.Branch, func(s *route.Snapshot) {
				s.People = []route.Person{ann, with(bob, func(p *route.Person) { p.DoNotDisturb = true })}
			}),
			want: want{rings: []string{device(ann)}, rule: "USER_DO_NOT_DISTURB", verdict: route.Skipped},
		},
		"do not disturb on this line": {
			why: "for the line (R072)",
			have: snapshot(route.Branch, func(s *route.Snapshot) {
				s.People = []route.Person{ann, with(bob, func(p *route.Person) { p.LineDoNotDisturb = true })}
			}),
			want: want{rings: []string{device(ann)}, rule: "USER_LINE_DO_NOT_DISTURB", verdict: route.Skipped},
		},
		"nobody to ring": {
			why: "no device: on to the external numbers, then voicemail (R052)",
			have: snapshot(route.Branch, func(s *route.Snapshot) {
				s.People = []route.Person{with(ann, func(p *route.Person) { p.Devices = nil })}
				s.Number.ForwardingNumbers = []string{forward, company}
			}),
			want: want{steps: []route.StepKind{route.Forward, route.Voicemail}, rule: "USER_DEVICE", verdict: route.Skipped},
		},
		"nothing left": {
			why:  "a call is never dropped silently (D05)",
			have: snapshot(route.Branch, func(s *route.Snapshot) { s.People, s.Number.Voicemail = nil, false }),
			want: want{steps: []route.StepKind{route.Farewell}, rule: "BRANCH_GROUP", verdict: route.Skipped},
		},
		"a fieldworker's own phone": {
			why: "a branch never sends a call to a fieldworker's personal phone (R028)",
			have: snapshot(route.Branch, func(s *route.Snapshot) {
				s.Number.ReachBy = route.ByPhone
				s.People = []route.Person{ann, with(bob, func(p *route.Person) { p.Fieldworker = true })}
			}),
			want: want{rings: []string{"USER_PHONE " + ann.Phone}, rule: "USER_PHONE", verdict: route.Skipped},
		},
		"the smallest timeout": {
			why:  "agent, dial and ring timeout: the smaller wins (D07)",
			have: snapshot(route.Branch, func(s *route.Snapshot) { s.Number.DialTimeout, s.Number.AgentTimeout = 20, 15 }),
			want: want{timeout: 15},
		},
		"disabled": {
			why:  "refused as busy with its reason (D26)",
			have: snapshot(route.Branch, func(s *route.Snapshot) { s.Number.Enabled = false }),
			want: want{steps: []route.StepKind{route.Reject}, reason: route.NumberDisabled},
		},
		"not for inbound": {
			why:  "the business-number usage (R030)",
			have: snapshot(route.Branch, func(s *route.Snapshot) { s.Number.ForInbound = false }),
			want: want{steps: []route.StepKind{route.Reject}, reason: route.NumberNotInUse},
		},
		"anonymous": {
			why: "matches nobody, even where a contact has an empty number (D11)",
			have: snapshot(route.Layered, func(s *route.Snapshot) {
				s.From, s.Contacts, s.CompanyPhone = "anonymous", []route.Contact{lead(bob.ID)}, company
			}),
			want: want{rings: []string{"COMPANY_PHONE " + company}, layer: 1, rule: "CALLER", verdict: route.NotApplicable},
		},
		"the lead's own user beats the campaign's": {
			why:  "D04",
			have: snapshot(route.Layered, func(s *route.Snapshot) { s.Contacts = []route.Contact{lead(ann.ID, campaignOf(bob.ID, noon))} }),
			want: want{rings: []string{"USER_PHONE " + ann.Phone}, layer: 3, rule: "LAYER_3_LEAD_OWNER", verdict: route.Chosen},
		},
		"several leads, one contacted last": {
			why:  "the one that a campaign contacted last (D04)",
			have: snapshot(route.Layered, func(s *route.Snapshot) { s.Contacts = twoLeads }),
			want: want{rings: []string{"USER_PHONE " + bob.Phone}, layer: 3},
		},
		"several leads, none contacted": {
			why:  "the newest (D04)",
			have: snapshot(route.Layered, func(s *route.Snapshot) { s.Contacts = newest }),
			want: want{rings: []string{"USER_PHONE " + ann.Phone}, layer: 3},
		},
		"a missing user phone": {
			why: "falls to the next layer and says why (D05, R037)",
			have: snapshot(route.Layered, func(s *route.Snapshot) {
				s.Number.AssignedUserID, s.CompanyPhone = ann.ID, company
				s.People = []route.Person{with(ann, func(p *route.Person) { p.Phone = "" })}
			}),
			want: want{rings: []string{"COMPANY_PHONE " + company}, layer: 1, rule: "LAYER_4_NUMBER_USER", verdict: route.Skipped},
		},
		"an invalid user phone": {
			why: "is checked again at call time (R037)",
			have: snapshot(route.Layered, func(s *route.Snapshot) {
				s.Number.AssignedUserID, s.CallForwardingNumber = ann.ID, forward
				s.People = []route.Person{with(ann, func(p *route.Person) { p.Phone = "0400" })}
			}),
			want: want{rings: []string{"FORWARD " + forward}, layer: 2, rule: "LAYER_4_NUMBER_USER", verdict: route.Skipped},
		},
		"a disabled user": {
			why: "counts as a missing phone (D20)",
			have: snapshot(route.Layered, func(s *route.Snapshot) {
				s.Contacts, s.CompanyPhone = []route.Contact{lead(bob.ID)}, company
				s.People = []route.Person{with(bob, func(p *route.Person) { p.Active = false })}
			}),
			want: want{rings: []string{"COMPANY_PHONE " + company}, layer: 1, rule: "LAYER_3_LEAD_OWNER", verdict: route.Skipped},
		},
		"layers ring phones whatever the person set": {
			why: "do not disturb, role and devices do not apply (D20)",
			have: snapshot(route.Layered, func(s *route.Snapshot) {
				s.Number.AssignedUserID = ann.ID
				s.People = []route.Person{with(ann, func(p *route.Person) { p.DoNotDisturb, p.MayReceive, p.Devices = true, false, nil })}
			}),
			want: want{rings: []string{"USER_PHONE " + ann.Phone}, layer: 4},
		},
		"no layer can be rung": {
			why:  "the number's forwarding and voicemail are left (D05, D20)",
			have: snapshot(route.Layered, func(s *route.Snapshot) { s.Number.ForwardingNumbers = []string{forward} }),
			want: want{steps: []route.StepKind{route.Forward, route.Voicemail}, rule: "LAYERS", verdict: route.Skipped},
		},
		"a phone that is the number called": {
			why:  "would ring for ever",
			have: snapshot(route.Layered, func(s *route.Snapshot) { s.CallForwardingNumber, s.CompanyPhone = called, company }),
			want: want{rings: []string{"COMPANY_PHONE " + company}, layer: 1, rule: "LAYER_2_CALL_FORWARDING", verdict: route.Skipped},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := route.Decide(c.have)
			if c.want.steps != nil {
				if diff := cmp.Diff(c.want.steps, kinds(d)); diff != "" {
					t.Errorf("%s: steps\n%s", c.why, diff)
				}
			}
			if c.want.rings != nil {
				got := rings(d)
				slices.Sort(got)
				slices.Sort(c.want.rings)
				if diff := cmp.Diff(c.want.rings, got); diff != "" {
					t.Errorf("%s: rings\n%s", c.why, diff)
				}
			}
			if c.want.rule != "" && !said(d, c.want.rule, c.want.verdict) {
				t.Errorf("%s: the trace lacks %s %s: %+v", c.why, c.want.rule, c.want.verdict, d.Trace)
			}
			if c.want.layer != 0 && (d.Layer == nil || *d.Layer != c.want.layer) {
				t.Errorf("%s: layer %v, want %d", c.why, d.Layer, c.want.layer)
			}
			if c.want.reason != "" && (d.RejectReason == nil || *d.RejectReason != c.want.reason) {
				t.Errorf("%s: reason %v, want %s", c.why, d.RejectReason, c.want.reason)
			}
			if c.want.timeout != 0 && *d.Steps[0].TimeoutSeconds != c.want.timeout {
				t.Errorf("%s: timeout %d, want %d", c.why, *d.Steps[0].TimeoutSeconds, c.want.timeout)
			}
		})
	}
}

// crowd is a branch of so many people with a device each, the last seen last.
func crowd(n int, change func(*route.Snapshot)) route.Snapshot {
	return snapshot(route.Branch, func(s *route.Snapshot) {
		s.People = nil
		for i := range n {
			s.People = append(s.People, person(fmt.Sprintf("User %02d", i), func(p *route.Person) {
				p.Devices[0].LastSeen = noon.Add(time.Duration(i) * time.Minute)
			}))
		}
		change(s)
	})
}

// T01: a <Dial> has ten nouns; the others are rung by calls of our own at the
// connection's pace, and the trace names those whom the time did not reach.
func TestMoreThanTenDevicesRingAtThePaceOfTheConnection(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		why     string
		people  int
		pace    route.Pace
		ring    int
		reached int // by calls of our own
		last    int // when the last of them starts, in milliseconds
	}{
		"the default pace":   {why: "one a second, one second left to ring: 0 to 23 s", people: 40, ring: 25, reached: 24, last: 23_000},
		"a fast connection":  {why: "30 a second: all 40 within a second", people: 40, pace: route.Pace{PerSecond: 30}, ring: 25, reached: 30, last: 966},
		"a slow connection":  {why: "one in four seconds", people: 40, pace: route.Pace{PerSecond: 0.25}, ring: 25, reached: 6, last: 20_000},
		"a busy connection":  {why: "calls asked for before come first", people: 40, pace: route.Pace{PerSecond: 1, Backlog: 20 * time.Second}, ring: 25, reached: 4, last: 23_000},
		"a hopeless backlog": {why: "the ten ring all the same", people: 40, pace: route.Pace{Backlog: time.Hour}, ring: 25},
		"exactly ten":        {why: "one <Dial> is enough", people: 10, ring: 25},
		"eleven":             {why: "the eleventh starts at once", people: 11, ring: 25, reached: 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := crowd(c.people, func(s *route.Snapshot) { s.Pace, s.Number.RingTimeout = c.pace, c.ring })
			d := route.Decide(s)
			targets := d.Steps[0].Targets
			if len(targets) != min(10, c.people)+c.reached {
				t.Fatalf("%s: %d ring", c.why, len(targets))
			}
			for i, target := range targets {
				if want := s.People[c.people-1-i].ID; target.UserID != want || target.Own != (i >= 10) {
					t.Errorf("place %d rings %s, own %t, want %s", i, target.UserID, target.Own, want)
				}
			}
			if last := targets[len(targets)-1].After; last != c.last {
				t.Errorf("%s: the last starts after %d ms, want %d", c.why, last, c.last)
			}
			var left []string
			for _, x := range d.Trace {
				if x.Rule == "DEVICE_PACE" && x.Verdict == route.Skipped {
					left = append(left, x.Detail)
				}
			}
			if len(left) != c.people-len(targets) {
				t.Fatalf("the trace names %q", left)
			}
			if len(left) > 0 && left[len(left)-1] != "the time did not reach web of User 00" {
				t.Errorf("the trace names %q", left)
			}
		})
	}
}

func drawID(t *rapid.T, kind id.Kind, n int) id.ID {
	b := [16]byte{0: byte(rapid.IntRange(1, n).Draw(t, kind.String())), 15: byte(kind)}
	return id.FromUUID(b)
}

func drawSnapshot(t *rapid.T) route.Snapshot {
	flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
	number := rapid.SampledFrom([]string{"", "junk", called, "+61400000001", company, forward, "anonymous"})
	maybe := func(kind id.Kind) id.ID {
		if flag("some " + kind.String()) {
			return drawID(t, kind, 4)
		}
		return id.ID{}
	}
	s := route.Snapshot{At: noon, From: number.Draw(t, "from"), CompanyPhone: number.Draw(t, "company"), CallForwardingNumber: number.Draw(t, "forwarding")}
	s.Number = route.Number{ID: maybe(id.PhoneNumber), E164: called, BranchID: maybe(id.Branch), AssignedUserID: maybe(id.User),
		Enabled: rapid.IntRange(0, 9).Draw(t, "enabled") > 0, ForInbound: rapid.IntRange(0, 9).Draw(t, "inbound") > 0,
		Mode:     rapid.SampledFrom([]route.RoutingMode{"", route.Branch, route.Layered, route.Team}).Draw(t, "mode"),
		ReachBy:  rapid.SampledFrom([]route.ReachBy{"", route.ByDevices, route.ByPhone, route.BySIPAddress}).Draw(t, "reach"),
		Strategy: rapid.SampledFrom([]route.RingStrategy{"", route.Simultaneous, route.Sequential, route.RoundRobin}).Draw(t, "strategy"),
		TeamID:   maybe(id.Team), PreferredUser: flag("preferred"), Screen: flag("screen"),
		IncludeGeneralFieldworker: flag("general"), RingTimeout: rapid.IntRange(0, 60).Draw(t, "ring"), DialTimeout: rapid.IntRange(0, 60).Draw(t, "dial"),
		AgentTimeout:      rapid.IntRange(0, 60).Draw(t, "agent"),
		ForwardingNumbers: rapid.SliceOfN(number, 0, 12).Draw(t, "forwards"), HasWelcome: flag("welcome"), HasFarewell: flag("farewell"), Voicemail: flag("voicemail")}
	s.Hops, s.LastFirst, s.IgnoredBy = rapid.IntRange(0, 3).Draw(t, "hops"), maybe(id.User), rapid.SampledFrom([]string{"", caller, "#61#"}).Draw(t, "ignored")
	s.Pace = route.Pace{PerSecond: rapid.SampledFrom([]float64{0, 0.3, 1, 30, -1, math.NaN(), math.Inf(1)}).Draw(t, "pace"),
		Backlog: time.Duration(rapid.IntRange(-5, 30).Draw(t, "backlog")) * time.Second}
	if flag("hours") {
		s.Hours = office("UTC")
		s.At = noon.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "hour")) * time.Hour)
		s.Hours.Closed = route.AfterHours{Action: rapid.SampledFrom([]route.ClosedAction{"", route.ClosedVoicemail, route.ClosedForward, route.ClosedHangUp}).Draw(t, "closed"),
			Say: rapid.SampledFrom([]string{"", "We are closed."}).Draw(t, "closed text"), Numbers: rapid.SliceOfN(number, 0, 3).Draw(t, "closed numbers"), Voicemail: flag("closed voicemail")}
	}
	if rapid.IntRange(0, 3).Draw(t, "menu") == 0 {
		s.Menu = reception()
		s.Groups = map[id.ID]route.Group{teamID: {ID: teamID, Name: "Sales", Users: []id.ID{drawID(t, id.User, 6), drawID(t, id.User, 6)}}}
	}
	if rapid.IntRange(0, 3).Draw(t, "mask") == 0 {
		s.Mask = &route.Mask{ID: drawID(t, id.MaskedPair, 9), RecordID: drawID(t, id.Record, 9), FromCustomer: flag("from customer"), Fieldworker: drawID(t, id.User, 6),
			CustomerNumber: number.Draw(t, "customer"), Expired: flag("expired"), BeforeStart: flag("before start")}
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "people") {
		p := route.Person{ID: id.FromUUID([16]byte{0: byte(i + 1), 15: byte(id.User)}), Name: fmt.Sprintf("P%d", i), Active: flag("active"), Fieldworker: flag("fieldworker"),
			GeneralFieldworker: flag("cover"), InBranch: flag("in branch"), InTeam: flag("in team"), LineReceive: flag("receives"), Position: rapid.IntRange(0, 3).Draw(t, "position"), MayReceive: flag("may"), DoNotDisturb: flag("dnd"), LineDoNotDisturb: flag("line"),
			Phone: number.Draw(t, "phone"), SIPAddress: rapid.SampledFrom([]string{"", "sip:a@b.sip.twilio.com"}).Draw(t, "sip")}
		for j := range rapid.IntRange(0, 7).Draw(t, "devices") {
			p.Devices = append(p.Devices, route.Handset{ID: id.FromUUID([16]byte{0: byte(i), 1: byte(j + 1), 15: byte(id.Device)}), Name: "d",
				LastSeen: noon.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "seen")) * time.Second), NotReady: rapid.SampledFrom([]string{"", "", "", "no microphone"}).Draw(t, "ready")})
		}
		s.People = append(s.People, p)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "contacts") {
		s.Contacts = append(s.Contacts, route.Contact{ID: id.FromUUID([16]byte{0: byte(i + 1), 15: byte(id.Contact)}), IsLead: flag("lead"), AssignedUserID: maybe(id.User),
			Campaigns: []route.Campaign{{ID: drawID(t, id.Campaign, 9), AssignedUserID: maybe(id.User), ContactedAt: noon.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "contacted")) * time.Hour)}}})
	}
	return s
}

func TestEveryDecisionHoldsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawSnapshot(t)
		d := route.Decide(s)
		holds(t, s, d)
		if last := d.Steps[len(d.Steps)-1]; last.Kind == route.MenuStep {
			for _, key := range []string{"", "7", "0", "1", "2", "3", "4", "5", "6", "8", "9", "#", "*"} {
				last.Tries = rapid.IntRange(0, 5).Draw(t, "tries")
				last.Visit = rapid.IntRange(1, 30).Draw(t, "visit")
				next := s.AfterMenu(last, key)
				holds(t, s, route.Decision{Mode: d.Mode, Steps: next.Steps, Trace: next.Trace})
			}
		}
		slices.Reverse(s.People)
		slices.Reverse(s.Contacts)
		if again := route.Decide(s); !reflect.DeepEqual(d, again) {
			t.Fatalf("another order of the same people decides otherwise:\n%+v\n%+v", d, again)
		}
	})
}

// holds checks what is true of every decision.
func holds(t *rapid.T, s route.Snapshot, d route.Decision) {
	t.Helper()
	if len(d.Steps) == 0 || len(d.Trace) == 0 {
		t.Fatalf("no steps or no trace: %+v", d)
	}
	for _, x := range d.Trace {
		if x.Rule == "" || x.Verdict == "" || x.Detail == "" {
			t.Fatalf("an empty note: %+v", x)
		}
	}
	last := d.Steps[len(d.Steps)-1].Kind
	if last != route.Voicemail && last != route.Farewell && last != route.Reject && last != route.MenuStep {
		t.Fatalf("the call ends with %s", last)
	}
	if (last == route.Reject) != (d.RejectReason != nil) {
		t.Fatalf("%s with the reason %v", last, d.RejectReason)
	}
	ringing := 0
	for _, step := range d.Steps {
		nouns := 0
		for _, target := range step.Targets {
			if !target.Own {
				nouns++
			} else if target.After < 0 || target.After >= *step.TimeoutSeconds*1000 {
				t.Fatalf("a leg of our own starts after %d ms of %d s", target.After, *step.TimeoutSeconds)
			}
		}
		if nouns > route.MaxTargets {
			t.Fatalf("%d ring in one <Dial>", nouns)
		}
		if (step.Kind == route.Ring || step.Kind == route.Forward) != (len(step.Targets) > 0) {
			t.Fatalf("step %s with %d targets", step.Kind, len(step.Targets))
		}
		if step.Kind == route.Ring {
			ringing += *step.TimeoutSeconds
		}
		if step.TimeoutSeconds != nil && *step.TimeoutSeconds < 1 {
			t.Fatalf("rings for %d s", *step.TimeoutSeconds)
		}
		for _, target := range step.Targets {
			if target.Address == "" || target.Address == called {
				t.Fatalf("rings %q", target.Address)
			}
			for _, p := range s.People {
				if p.ID != target.UserID {
					continue
				}
				if (d.Mode != route.Layered || target.Kind == route.Device) && (!p.Active || !p.MayReceive || p.DoNotDisturb || p.LineDoNotDisturb) {
					t.Fatalf("rings %s, who may not be rung", p.Name)
				}
				for _, h := range p.Devices {
					if h.ID == target.DeviceID && h.NotReady != "" {
						t.Fatalf("rings a device of %s that has %s", p.Name, h.NotReady)
					}
				}
			}
		}
	}
	if most := orElse(s.Number.RingTimeout, 25); ringing > most {
		t.Fatalf("rings for %d s of %d", ringing, most)
	}
}

func orElse(a, b int) int {
	if a == 0 {
		return b
	}
	return a
}
