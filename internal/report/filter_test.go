package report_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/report"
)

// lets reports whether the filter lets a call through, as it is promised.
func lets(f report.CallFilter, r row) bool {
	among := func(list []id.ID, x ...id.ID) bool {
		return len(list) == 0 || slices.ContainsFunc(x, func(x id.ID) bool { return slices.Contains(list, x) })
	}
	return !r.started.Before(f.From) && r.started.Before(f.Until) &&
		(len(f.Directions) == 0 || slices.Contains(f.Directions, call.Direction(r.direction))) &&
		(len(f.Statuses) == 0 || slices.Contains(f.Statuses, call.Status(r.status))) &&
		!(f.ExcludeInternal && r.direction == "INTERNAL") &&
		among(f.BranchIDs, r.branch) && among(f.PhoneNumberIDs, r.number) && among(f.UserIDs, r.user, r.answerer) &&
		(f.BusinessUnit == "" || f.BusinessUnit == r.unit) &&
		(f.CampaignID.IsZero() || f.CampaignID == r.campaign) &&
		(f.ContactKind == "" || f.ContactKind == r.kind)
}

// statistics are a part of a dashboard as the reference has it.
func statistics(total report.Totals, rows []report.Row) *report.Statistics {
	one := func(label string, key *string, t report.Totals) report.StatisticsRow {
		return report.StatisticsRow{Key: key, Label: label, Count: t.Count, Answered: t.Answered, Missed: t.Missed, Voicemail: t.Voicemail,
			AverageTalkSeconds: t.AverageTalkSeconds, AverageRingSeconds: t.AverageRingSeconds}
	}
	out := &report.Statistics{Total: one("Total", nil, total), Rows: []report.StatisticsRow{}}
	for _, r := range rows {
		out.Rows = append(out.Rows, one(r.Label, r.Key, r.Totals))
	}
	return out
}

func TestEveryFilterIsCountedByHandAloneAndTogether(t *testing.T) { // R215
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	s := newStage(t)
	s.exec(`UPDATE organization SET time_zone = 'Australia/Sydney' WHERE organization_id = $1`, s.org)
	rows := s.random(r, 200)
	if err := s.svc.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows = append(rows, s.random(r, 100)...)
	narrowings := map[string]func(*report.CallFilter){
		"directions":  func(f *report.CallFilter) { f.Directions = []call.Direction{call.Inbound, call.Internal} },
		"statuses":    func(f *report.CallFilter) { f.Statuses = []call.Status{call.Completed, call.Missed, call.Ringing} },
		"no internal": func(f *report.CallFilter) { f.ExcludeInternal = true },
		"branches":    func(f *report.CallFilter) { f.BranchIDs = s.branches[:2] },
		"numbers":     func(f *report.CallFilter) { f.PhoneNumberIDs = s.numbers[1:] },
		"people":      func(f *report.CallFilter) { f.UserIDs = s.users[:2] },
		"many people": func(f *report.CallFilter) {
			f.UserIDs = s.users[1:2]
			for range 11 {
				f.UserIDs = append(slices.Clip(f.UserIDs), id.New(id.User))
			}
		},
		"business unit": func(f *report.CallFilter) { f.BusinessUnit = "Care" },
		"campaign":      func(f *report.CallFilter) { f.CampaignID = s.campaigns[0] },
		"contact kind":  func(f *report.CallFilter) { f.ContactKind = contact.KindLead },
		"a day":         func(f *report.CallFilter) { f.Until = time.Date(2026, 10, 4, 0, 0, 0, 0, sydney) },
	}
	filters := map[string]report.CallFilter{}
	narrowed := func(names ...string) {
		f := report.CallFilter{From: time.Date(2026, 10, 3, 0, 0, 0, 0, sydney), Until: time.Date(2026, 10, 6, 0, 0, 0, 0, sydney), TimeZone: "Australia/Sydney"}
		text := ""
		for _, n := range names {
			narrowings[n](&f)
			text += n + ", "
		}
		filters[text] = f
	}
	var names []string
	for n := range narrowings {
		names = append(names, n)
	}
	slices.Sort(names)
	narrowed()
	for i, a := range names {
		narrowed(a)
		for _, b := range names[i+1:] {
			narrowed(a, b)
		}
	}
	narrowed("branches", "business unit", "campaign", "contact kind", "no internal", "numbers", "people")
	branch := s.admin
	branch.Visibility, branch.BranchIDs, branch.UserID = access.SeesBranch, s.branches[:1], s.users[1]
	counted := map[report.Source]int{}
	for what, f := range filters {
		for eyes, who := range map[string]access.Actor{"all": s.admin, "a branch": branch} {
			got, err := s.svc.Dashboard(t.Context(), who, f, 20)
			if err != nil {
				t.Fatal(err)
			}
			counted[got.Source]++
			for g, part := range map[report.Group][]report.Row{report.ByDay: got.Days, report.ByBranch: got.Branches, report.ByPhoneNumber: got.PhoneNumbers, report.ByUser: got.Users} {
				if d := gocmp.Diff(s.reference(who, f, g, rows), statistics(got.Total, part), near); d != "" {
					t.Errorf("by %s of %s %s, seen by %s (-by hand +counted):\n%s", g, what, got.Source, eyes, d)
				}
			}
		}
	}
	if counted[report.Rollup] == 0 || counted[report.Scan] == 0 {
		t.Errorf("counted from %v", counted)
	}
}
