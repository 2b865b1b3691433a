package report_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/report"
	"switchboard/internal/testkit"
)

// analyze lets the planner know the rows, as autovacuum does: only an owner may.
func (s *stage) analyze() {
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
	_, err = c.Exec(s.Context(), `VACUUM ANALYZE`)
	if err = errors.Join(err, c.Close(s.Context())); err != nil {
		s.Fatal(err)
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
