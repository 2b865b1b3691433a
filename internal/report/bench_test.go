package report_test

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/report"
	"switchboard/internal/testkit"
)

// analyze lets the planner know the rows, as autovacuum does: only an owner may.
func (s *stage) analyze() {
	s.Helper()
	s.owner(`VACUUM ANALYZE`)
}

// owner runs statements that only an owner may.
func (s *stage) owner(statements ...string) {
	s.Helper()
	var name struct{ N string }
	err := db.Select(s.Context(), s.db.Worker(), &name, `SELECT current_database() AS n`)
	if err != nil {
		s.Fatal(err)
	}
	cfg, err := pgx.ParseConfig(testkit.AdminURL(s))
	if err != nil {
		s.Fatal(err)
	}
	cfg.Database = name.N
	c, err := pgx.ConnectConfig(s.Context(), cfg)
	if err != nil {
		s.Fatal(err)
	}
	for _, sql := range statements {
		_, x := c.Exec(s.Context(), sql)
		err = errors.Join(err, x)
	}
	if err = errors.Join(err, c.Close(s.Context())); err != nil {
		s.Fatal(err)
	}
}

// month makes so many calls in the thirty days from a moment, and the sums of them.
func (s *stage) month(from time.Time, n int) {
	s.Helper()
	// The sums are made at once, not call by call.
	s.owner(`ALTER TABLE call DISABLE TRIGGER call_rollup_added`)
	const batch = 50_000
	for first := 0; first < n; first += batch {
		s.exec(`INSERT INTO call (organization_id, id, direction, status, end_reason, connection_id, phone_number_id, branch_id, answered_by_user_id, user_id, from_number, to_number,
			started_at, answered_at, ended_at, ring_seconds, talk_seconds, duration_seconds, updated_at)
		SELECT $1, gen_random_uuid(), CASE WHEN i % 4 = 3 THEN 'OUTBOUND' ELSE 'INBOUND' END, (ARRAY['COMPLETED', 'COMPLETED', 'MISSED', 'VOICEMAIL', 'COMPLETED'])[1 + i % 5],
			CASE WHEN i % 2 = 0 THEN 'CALLER_HUNG_UP' ELSE 'NO_ANSWER' END, $2, ($3::uuid[])[1 + i % 3], ($4::uuid[])[1 + i % 3],
			CASE WHEN i % 5 IN (0, 1, 4) AND i % 4 <> 3 THEN ($5::uuid[])[1 + i % $8] END, CASE WHEN i % 4 = 3 THEN ($5::uuid[])[1 + i % $8] END, 'a', 'b', t,
			CASE WHEN i % 5 IN (0, 1, 4) THEN t + interval '9 s' END, t + interval '1 min', i % 47, i % 611, i % 660, t
		FROM (SELECT i, $6::timestamptz + i * (interval '30 days' / $7) AS t FROM generate_series($9::int, least($9 + $10, $7) - 1) i) x`,
			s.org, s.connection, s.numbers, s.branches, s.users, from, n, len(s.users), first, batch)
	}
	s.owner(`ALTER TABLE call ENABLE TRIGGER call_rollup_added`)
	if err := s.svc.Rebuild(s.Context(), s.org); err != nil {
		s.Fatal(err)
	}
}

// dashboardWithin is how long half of the dashboards of a million calls may take.
const dashboardWithin = 50 * time.Millisecond

// A dashboard of thirty days: 1,000,000 calls where SWITCHBOARD_BENCH_CALLS says so,
// and then it fails where all of them take too long.
func BenchmarkDashboard(b *testing.B) {
	s := newStage(b)
	n := 20_000
	if text := os.Getenv("SWITCHBOARD_BENCH_CALLS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 47 { // fifty people
		u := id.New(id.User)
		s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, updated_at) SELECT $1, $2, $3, $4, $4, role_id, updated_at FROM "user" WHERE organization_id = $1 LIMIT 1`,
			s.org, u, id.New(id.Login), "user "+strconv.Itoa(i))
		s.users = append(s.users, u)
	}
	s.exec(`UPDATE organization SET time_zone = 'Australia/Sydney' WHERE organization_id = $1`, s.org)
	from := time.Date(2026, 9, 1, 0, 0, 0, 0, sydney)
	s.month(from, n)
	s.analyze()
	for name, f := range map[string]report.CallFilter{"all": {}, "branch": {BranchIDs: s.branches[:1]}, "person": {UserIDs: s.users[:1]}} {
		f.From, f.Until, f.TimeZone = from, from.AddDate(0, 0, 30), "Australia/Sydney"
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				got, err := s.svc.Dashboard(b.Context(), s.admin, f, 20)
				took = append(took, time.Since(began))
				if err != nil || got.Source != report.Rollup || name == "all" && got.Total.Count != n {
					b.Fatalf("%+v, %v", got, err)
				}
			}
			slices.Sort(took)
			p50 := took[len(took)/2]
			b.ReportMetric(float64(p50.Microseconds())/1000, "p50-ms")
			if name == "all" && n == 1_000_000 && p50 > dashboardWithin {
				b.Errorf("half of the dashboards of %d calls take more than %s: %s", n, dashboardWithin, p50)
			}
		})
	}
}

func TestADashboardReadsNoCallsThatEnded(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(`UPDATE organization SET time_zone = 'Australia/Sydney' WHERE organization_id = $1`, s.org)
	from := time.Date(2026, 9, 1, 0, 0, 0, 0, sydney)
	s.month(from, 3000)
	f := report.CallFilter{From: from, Until: from.AddDate(0, 0, 30), TimeZone: "Australia/Sydney"}
	ctx, counted := db.CountStatements(t.Context())
	want, err := s.svc.Dashboard(ctx, s.admin, f, 20)
	if err != nil || want.Total.Count != 3000 {
		t.Fatalf("%+v, %v", want, err)
	}
	if counted.N() > 9 {
		t.Errorf("%d statements", counted.N())
	}
	s.owner(`ALTER TABLE call DISABLE TRIGGER call_rollup_removed`, `DELETE FROM call`)
	got, err := s.svc.Dashboard(t.Context(), s.admin, f, 20)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(want, got, cmpopts.IgnoreFields(report.Dashboard{}, "CountedAt", "Asked")); d != "" {
		t.Errorf("without the rows of the calls (-before +after):\n%s", d)
	}
}

func BenchmarkStatisticsOver10kCalls(b *testing.B) {
	s := newStage(b)
	from := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, phone_number_id, branch_id, answered_by_user_id, from_number, to_number,
			started_at, answered_at, ended_at, ring_seconds, talk_seconds, updated_at)
		SELECT $1, gen_random_uuid(), 'INBOUND', (ARRAY['COMPLETED', 'MISSED', 'VOICEMAIL'])[1 + i % 3], $2, ($3::uuid[])[1 + i % 3], ($4::uuid[])[1 + i % 3],
			CASE WHEN i % 3 = 0 THEN ($5::uuid[])[1 + i % 2] END, 'a', 'b', t, CASE WHEN i % 3 = 0 THEN t + interval '9 s' END, t + interval '1 min', 9, 51, t
		FROM (SELECT i, $6::timestamptz + i * interval '4 min' AS t FROM generate_series(0, 9999) i) x`,
		s.org, s.connection, s.numbers, s.branches, s.users, from)
	s.analyze()
	for _, by := range []report.Group{"", report.ByDay, report.ByBranch, report.ByUser, report.ByStatus} {
		name := string(by)
		if by == "" {
			name = "TOTAL"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				got, err := s.svc.Calls(b.Context(), s.admin, report.Filter{From: from, Until: from.AddDate(0, 0, 30), TimeZone: "Australia/Sydney", GroupBy: by})
				if err != nil || got.Total.Count != 10_000 {
					b.Fatalf("%+v, %v", got, err)
				}
			}
		})
	}
}
