package route_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/id"
	"switchboard/internal/route"
)

// office is open from nine to half past twelve and from one to five on weekdays,
// all of Saturday, and on New Year's Eve in the morning.
func office(zone string) *route.Hours {
	h := &route.Hours{ID: id.New(id.Schedule), Zone: zone, Closed: route.AfterHours{Action: route.ClosedVoicemail}, Holidays: []route.Holiday{
		{Date: "2026-12-25", Name: "Christmas Day"},
		{Date: "2026-12-31", Name: "New Year's Eve", Open: []route.Span{{From: 9 * 60, To: 12 * 60}}},
	}}
	for d := time.Monday; d <= time.Friday; d++ {
		h.Week = append(h.Week, route.Span{Day: d, From: 9 * 60, To: 12*60 + 30}, route.Span{Day: d, From: 13 * 60, To: 17 * 60})
	}
	h.Week = append(h.Week, route.Span{Day: time.Saturday, From: 0, To: 24 * 60})
	return h
}

func TestHoursGoByTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why, zone, at string
		want          bool
	}{
		"in the morning":          {why: "2026-03-02 is a Monday", zone: "UTC", at: "2026-03-02T09:00:00Z", want: true},
		"a second early":          {why: "from nine", zone: "UTC", at: "2026-03-02T08:59:59Z"},
		"the last second":         {why: "to half past twelve", zone: "UTC", at: "2026-03-02T12:29:59Z", want: true},
		"at lunch":                {why: "between two spans of a day", zone: "UTC", at: "2026-03-02T12:30:00Z"},
		"after lunch":             {why: "the second span", zone: "UTC", at: "2026-03-02T13:00:00Z", want: true},
		"at five":                 {why: "the end is not open", zone: "UTC", at: "2026-03-02T17:00:00Z"},
		"the last minute of day":  {why: "a span to 24:00", zone: "UTC", at: "2026-03-07T23:59:59Z", want: true},
		"the next day":            {why: "Sunday has no span", zone: "UTC", at: "2026-03-08T00:00:00Z"},
		"another zone":            {why: "09:30 on Tuesday in Sydney is Monday in UTC", zone: "Australia/Sydney", at: "2026-03-02T22:30:00Z", want: true},
		"winter time":             {why: "09:00 in New York is 14:00 UTC", zone: "America/New_York", at: "2026-03-06T14:00:00Z", want: true},
		"before winter's opening": {why: "08:30 in New York", zone: "America/New_York", at: "2026-03-06T13:30:00Z"},
		"summer time":             {why: "after 8 March 09:00 in New York is 13:00 UTC", zone: "America/New_York", at: "2026-03-09T13:00:00Z", want: true},
		"the hour that is twice":  {why: "Saturday night to Sunday in the fall: 01:30 happens twice, on a closed Sunday", zone: "America/New_York", at: "2026-11-01T06:30:00Z"},
		"a holiday":               {why: "Christmas Day 2026 is a Friday", zone: "UTC", at: "2026-12-25T10:00:00Z"},
		"a holiday elsewhere":     {why: "it is the 25th in Sydney already", zone: "Australia/Sydney", at: "2026-12-24T23:00:00Z"},
		"a holiday with hours":    {why: "open as the holiday says", zone: "UTC", at: "2026-12-31T09:00:00Z", want: true},
		"its afternoon":           {why: "the week does not count", zone: "UTC", at: "2026-12-31T14:00:00Z"},
		"no such zone":            {why: "counts as UTC", zone: "Mars/Olympus", at: "2026-03-02T09:00:00Z", want: true},
		"the server's own zone":   {why: "is nobody's opening hours: UTC", zone: "Local", at: "2026-03-02T09:00:00Z", want: true},
		"the day a zone skipped":  {why: "Samoa had no 30 December 2011; the 31st was a Saturday", zone: "Pacific/Apia", at: "2011-12-30T10:30:00Z", want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			if got, local, _ := office(c.zone).Open(at); got != c.want {
				t.Errorf("%s: open %t at %s", c.why, got, local)
			}
		})
	}
}

func TestTheAfterHoursRoute(t *testing.T) {
	t.Parallel()
	sunday := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		why    string
		mode   route.RoutingMode
		closed route.AfterHours
		change func(*route.Snapshot)
		want   []route.StepKind
		rule   string
	}{
		"voicemail": {why: "even where the number has none in the day", closed: route.AfterHours{Action: route.ClosedVoicemail},
			change: func(s *route.Snapshot) { s.Number.Voicemail = false }, want: []route.StepKind{route.Voicemail}, rule: "BRANCH_GROUP"},
		"hang up":          {why: "with the farewell", closed: route.AfterHours{Action: route.ClosedHangUp}, want: []route.StepKind{route.Farewell}, rule: "BRANCH_GROUP"},
		"prompt, hang up":  {why: "the closed prompt comes first", closed: route.AfterHours{Action: route.ClosedHangUp, Say: "We are closed."}, want: []route.StepKind{route.ClosedStep, route.Farewell}},
		"audio":            {why: "a file is a prompt", closed: route.AfterHours{Action: route.ClosedHangUp, Audio: "token"}, want: []route.StepKind{route.ClosedStep, route.Farewell}},
		"forward":          {why: "then the farewell", closed: route.AfterHours{Action: route.ClosedForward, Numbers: []string{forward}}, want: []route.StepKind{route.Forward, route.Farewell}, mode: route.Layered, rule: "LAYERS"},
		"forward, message": {why: "then the voicemail", closed: route.AfterHours{Action: route.ClosedForward, Numbers: []string{forward}, Voicemail: true}, want: []route.StepKind{route.Forward, route.Voicemail}, mode: route.Team, rule: "TEAM"},
		"forward nowhere":  {why: "the number called cannot be rung", closed: route.AfterHours{Action: route.ClosedForward, Numbers: []string{called, "junk"}}, want: []route.StepKind{route.Farewell}},
		"nothing said":     {why: "a call is never dropped silently (D05)", want: []route.StepKind{route.Voicemail}},
		"welcome": {why: "plays where there is no closed prompt", closed: route.AfterHours{Action: route.ClosedHangUp},
			change: func(s *route.Snapshot) { s.Number.HasWelcome = true }, want: []route.StepKind{route.Welcome, route.Farewell}},
		"welcome and prompt": {why: "the closed prompt stands for it", closed: route.AfterHours{Action: route.ClosedHangUp, Say: "We are closed."},
			change: func(s *route.Snapshot) { s.Number.HasWelcome = true }, want: []route.StepKind{route.ClosedStep, route.Farewell}},
		"a menu": {why: "is not asked", closed: route.AfterHours{Action: route.ClosedHangUp},
			change: func(s *route.Snapshot) { s.Menu = &route.Menu{Say: "Press 1."} }, want: []route.StepKind{route.Farewell}, rule: "MENU"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(c.mode, func(s *route.Snapshot) {
				s.At, s.Hours, s.Number.Screen = sunday, office("UTC"), true
				s.Hours.Closed = c.closed
				if c.change != nil {
					c.change(s)
				}
			})
			d := route.Decide(s)
			if diff := cmp.Diff(c.want, kinds(d)); diff != "" {
				t.Errorf("%s:\n%s", c.why, diff)
			}
			if d.RejectReason != nil || !said(d, "OPENING_HOURS", route.Chosen) || c.rule != "" && !said(d, c.rule, route.NotApplicable) {
				t.Errorf("%s: %+v", c.why, d)
			}
			for _, step := range d.Steps {
				if step.Kind == route.ClosedStep && (step.Say != c.closed.Say || step.Audio != c.closed.Audio) {
					t.Errorf("%s: says %q, plays %q", c.why, step.Say, step.Audio)
				}
				for _, target := range step.Targets {
					if !target.Screen {
						t.Errorf("%s: %+v is not screened", c.why, target)
					}
				}
			}
			s.At = noon // a Monday, before lunch
			if open := route.Decide(s); !said(open, "OPENING_HOURS", route.NotApplicable) {
				t.Errorf("open at noon: %+v", open.Trace)
			}
		})
	}
}

func TestTheTraceOfOpeningHoursTellsTheLocalTime(t *testing.T) {
	t.Parallel()
	d := route.Decide(snapshot(route.Branch, func(s *route.Snapshot) {
		s.At, s.Hours = time.Date(2026, 12, 24, 23, 15, 0, 0, time.UTC), office("Australia/Sydney")
	}))
	var got string
	for _, x := range d.Trace {
		if x.Rule == "OPENING_HOURS" {
			got = x.Detail
		}
	}
	if want := "the business is closed: Friday 25 December 2026 10:15 AEDT, a holiday (Christmas Day)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	d = route.Decide(snapshot(route.Branch, func(s *route.Snapshot) { s.Hours = office("Mars/Olympus") }))
	if !strings.Contains(d.Trace[1].Detail, "UTC") || d.Trace[1].Verdict != route.Skipped {
		t.Errorf("a zone that does not exist: %+v", d.Trace)
	}
}
