package report_test

import (
	"math/rand/v2"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/report"
)

// life changes calls as the product and people do: begin, end, correct, relink,
// unlog, delete; also a branch that is deleted.
type life struct {
	*stage
	r     *rand.Rand
	zone  *time.Location
	calls []id.ID
}

func (l *life) some(ids []id.ID) id.ID {
	if i := l.r.IntN(len(ids) + 1); i < len(ids) {
		return ids[i]
	}
	return id.ID{}
}

func (l *life) pick(words ...string) string { return words[l.r.IntN(len(words))] }

func (l *life) step() {
	l.Helper()
	if len(l.calls) == 0 || l.r.IntN(3) == 0 {
		x := id.New(id.Call)
		at := time.Date(2026, 10, 3, 0, 0, 0, 0, l.zone).Add(time.Duration(l.r.Int64N(int64(72 * time.Hour)))).Truncate(time.Microsecond)
		l.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, phone_number_id, branch_id, business_unit, user_id, from_number, to_number, started_at, updated_at, is_test)
			VALUES ($1, $2, $3, 'RINGING', $4, $5, $6, nullif($7, ''), $8, 'a', 'b', $9, $9, $10)`, l.org, x, l.pick("INBOUND", "OUTBOUND", "INTERNAL"), l.connection,
			l.some(l.numbers), l.some(l.branches), l.pick("", "Care", "Sales"), l.some(l.users), at, l.r.IntN(10) == 0)
		if u := l.some(l.users); !u.IsZero() {
			l.exec(`INSERT INTO call_leg (organization_id, id, call_id, kind, user_id, to_address, status, started_at, updated_at) VALUES ($1, $2, $3, 'DEVICE', $4, 'x', 'ENDED', $5, $5)`,
				l.org, id.New(id.Leg), x, u, at)
		}
		l.calls = append(l.calls, x)
		return
	}
	i := l.r.IntN(len(l.calls))
	x := l.calls[i]
	switch l.r.IntN(8) {
	case 0, 1, 2: // it ends, or a late callback ends it otherwise
		status := l.pick("COMPLETED", "COMPLETED", "MISSED", "VOICEMAIL", "REJECTED", "BUSY", "CANCELED")
		reason := l.pick("HUNG_UP", "CALLER_HUNG_UP", "NO_ANSWER")
		l.exec(`UPDATE call SET status = $3, end_reason = $4, ended_at = started_at + interval '5 min', duration_seconds = $5, ring_seconds = nullif($6, 0), talk_seconds = nullif($7, 0),
				answered_by_user_id = $8, answered_at = CASE WHEN $3 = 'COMPLETED' THEN started_at + interval '9 s' END WHERE organization_id = $1 AND id = $2`,
			l.org, x, status, reason, l.r.IntN(900), l.r.IntN(700), l.r.IntN(500), l.some(l.users))
	case 3:
		l.exec(`UPDATE call SET branch_id = $3, phone_number_id = $4, started_at = started_at + $5 * interval '1 hour' WHERE organization_id = $1 AND id = $2`,
			l.org, x, l.some(l.branches), l.some(l.numbers), l.r.IntN(5)-2)
	case 4:
		l.exec(`UPDATE call SET is_logged = NOT is_logged WHERE organization_id = $1 AND id = $2`, l.org, x)
	case 5:
		l.exec(`UPDATE call SET notes = 'x', version = version + 1 WHERE organization_id = $1 AND id = $2`, l.org, x)
	case 6:
		l.exec(`DELETE FROM call WHERE organization_id = $1 AND id = $2`, l.org, x)
		l.calls = append(l.calls[:i], l.calls[i+1:]...)
	case 7: // as when a branch is deleted: the foreign key clears it
		if b := id.New(id.Branch); l.r.IntN(4) == 0 {
			l.exec(`INSERT INTO branch (organization_id, id, name, updated_at) SELECT $1, $2::uuid, 'Gone ' || $3, updated_at FROM branch WHERE organization_id = $1 LIMIT 1`, l.org, b, b.String())
			l.exec(`UPDATE call SET branch_id = $3 WHERE organization_id = $1 AND id = $2`, l.org, x, b)
			l.exec(`DELETE FROM branch WHERE organization_id = $1 AND id = $2`, l.org, b)
		}
	}
}

func TestSumsAreWhatAScanCounts(t *testing.T) { // R215
	t.Parallel()
	for _, zoneName := range []string{"Australia/Sydney", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"} { // DST; +5:45; DST of half an hour
		t.Run(zoneName, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			l := &life{stage: s, r: rand.New(rand.NewPCG(seed, 1)), zone: zone(zoneName)}
			s.exec(`UPDATE organization SET time_zone = $2 WHERE organization_id = $1`, s.org, zoneName)
			day := func(n int) time.Time { return time.Date(2026, 10, n, 0, 0, 0, 0, l.zone) }
			branch := s.admin
			branch.Visibility, branch.BranchIDs, branch.UserID = access.SeesBranch, s.branches[:1], s.users[1]
			filters := map[string]report.CallFilter{
				"all": {}, "a branch": {BranchIDs: s.branches[:2]}, "a number": {PhoneNumberIDs: s.numbers[1:2]}, "a person": {UserIDs: s.users[:1]},
				"a unit": {BusinessUnit: "Care"}, "some states": {Statuses: []call.Status{call.Missed, call.Completed}},
				"in": {Directions: []call.Direction{call.Inbound}, ExcludeInternal: true},
			}
			for round := range 5 {
				for range 60 {
					l.step()
				}
				switch round {
				case 1, 4:
					if err := s.svc.Fold(t.Context()); err != nil {
						t.Fatal(err)
					}
				case 3:
					if err := s.svc.Rebuild(t.Context(), s.org); err != nil {
						t.Fatal(err)
					}
				}
				for name, f := range filters {
					if name != "all" && l.r.IntN(3) > 0 {
						continue // enough of them over the rounds
					}
					f.From, f.Until, f.TimeZone = day(3), day(6), zoneName
					for eyes, who := range map[string]access.Actor{"all": s.admin, "branch": branch} {
						if eyes == "branch" && name == "a person" {
							continue // two things at once: a scan
						}
						got, err := s.svc.Dashboard(t.Context(), who, f, 20)
						if err != nil {
							t.Fatal(err)
						}
						want, err := s.svc.Scanning().Dashboard(t.Context(), who, f, 20)
						if err != nil {
							t.Fatal(err)
						}
						if got.Source != report.Rollup || want.Source != report.Scan {
							t.Fatalf("%s, seen by %s: from %s", name, eyes, got.Source)
						}
						if d := gocmp.Diff(want, got, cmpopts.IgnoreFields(report.Dashboard{}, "Source", "CountedAt", "Asked")); d != "" {
							t.Fatalf("round %d, %s, seen by %s (-scan +sums):\n%s", round, name, eyes, d)
						}
						for _, g := range []report.ActivityGroup{report.ActivityByUser, report.ActivityByDay, report.ActivityByBranch, report.ActivityByPhoneNumber} {
							got, err := s.svc.Activity(t.Context(), who, f, g)
							if err != nil {
								t.Fatal(err)
							}
							want, err := s.svc.Scanning().Activity(t.Context(), who, f, g)
							if err != nil {
								t.Fatal(err)
							}
							if d := gocmp.Diff(want, got, cmpopts.IgnoreFields(report.Activity{}, "Source")); d != "" {
								t.Fatalf("activity by %s, %s, seen by %s (-scan +sums):\n%s", g, name, eyes, d)
							}
						}
						answered, err := s.svc.AnsweredBy(t.Context(), who, f)
						if err != nil {
							t.Fatal(err)
						}
						scanned, err := s.svc.Scanning().AnsweredBy(t.Context(), who, f)
						if err != nil {
							t.Fatal(err)
						}
						if d := gocmp.Diff(scanned, answered, cmpopts.IgnoreFields(report.AnsweredBy{}, "Source"), cmpopts.EquateComparable(id.ID{})); d != "" {
							t.Fatalf("answered by, %s, seen by %s (-scan +sums):\n%s", name, eyes, d)
						}
					}
				}
			}
			// The clock of the organization is another one from now on.
			s.exec(`UPDATE organization SET time_zone = 'America/St_Johns' WHERE organization_id = $1`, s.org)
			other := zone("America/St_Johns")
			f := report.CallFilter{From: time.Date(2026, 10, 3, 0, 0, 0, 0, other), Until: time.Date(2026, 10, 6, 0, 0, 0, 0, other), TimeZone: "America/St_Johns"}
			for _, source := range []report.Source{report.Scan, report.Rollup} {
				got, err := s.svc.Dashboard(t.Context(), s.admin, f, 20)
				if err != nil || got.Source != source {
					t.Fatalf("after the zone changed: %v, %v", got, err)
				}
				want, err := s.svc.Scanning().Dashboard(t.Context(), s.admin, f, 20)
				if err != nil {
					t.Fatal(err)
				}
				if d := gocmp.Diff(want, got, cmpopts.IgnoreFields(report.Dashboard{}, "Source", "CountedAt", "Asked")); d != "" {
					t.Fatalf("after the zone changed, by %s:\n%s", source, d)
				}
				if err := s.svc.Fold(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			var left struct {
				N int `bun:"n"`
			}
			if err := db.Select(t.Context(), s.db.Worker(), &left, `SELECT count(*) AS n FROM call_rollup_delta WHERE organization_id = $1`, s.org); err != nil || left.N != 0 {
				t.Errorf("%d parts are not folded, %v", left.N, err)
			}
		})
	}
}

func TestOddFiltersAreCountedCallByCall(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.random(rand.New(rand.NewPCG(1, 2)), 80)
	from := time.Date(2026, 10, 3, 0, 0, 0, 0, sydney)
	own := s.admin
	own.Visibility = access.SeesOwn
	for name, x := range map[string]struct {
		why string
		who access.Actor
		f   report.CallFilter
	}{
		"own calls":             {"there are no sums for each person's sight", own, report.CallFilter{}},
		"a campaign":            {"no sum knows it", s.admin, report.CallFilter{CampaignID: id.New(id.Campaign)}},
		"contacts of a kind":    {"that may change at any time", s.admin, report.CallFilter{ContactKind: contact.KindLead}},
		"a branch and a person": {"that would be as many sums as calls", s.admin, report.CallFilter{BranchIDs: s.branches[:1], UserIDs: s.users[:1]}},
	} {
		x.f.From, x.f.Until, x.f.TimeZone = from, from.AddDate(0, 0, 3), "Australia/Sydney"
		got, err := s.svc.Dashboard(t.Context(), x.who, x.f, 20)
		if err != nil || got.Source != report.Scan {
			t.Errorf("%s (%s): %v, %v", name, x.why, got, err)
		}
	}
}
