package message_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/testkit"
)

// inbox fills 2,000 threads with five messages each.
func inbox(b testing.TB) (*stage, id.ID) {
	b.Helper()
	s := newStage(b, options{idle: true})
	s.exec(`INSERT INTO sms_thread (organization_id, id, phone_number_id, their_number, branch_id, last_message_at, updated_at)
		SELECT $1, gen_random_uuid(), $2, '+6149' || (1000000 + i), $3, $4::timestamptz + i * interval '1 min', $4 FROM generate_series(1, 2000) i`, s.org, s.office, s.north, start)
	s.exec(`INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, at, updated_at)
		SELECT t.organization_id, gen_random_uuid(), t.id, 'INBOUND', 'RECEIVED', 'are you open today?', t.their_number, $2, t.last_message_at - i * interval '1 min', $3
		FROM sms_thread t, generate_series(0, 4) i WHERE t.organization_id = $1`, s.org, office, start)
	s.exec(`UPDATE sms_thread t SET last_message_id = m.id, last_inbound_at = m.at FROM message m
		WHERE m.organization_id = t.organization_id AND m.thread_id = t.id AND m.at = t.last_message_at`)
	var long struct {
		ID id.ID `bun:"id"`
	}
	s.must(db.Select(s.ctx, s.db.Worker(), &long, `SELECT id FROM sms_thread LIMIT 1`))
	s.exec(`INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, at, updated_at)
		SELECT $1, gen_random_uuid(), $2, 'INBOUND', 'RECEIVED', 'hello', '+614910000', $3, $4::timestamptz + i * interval '1 s', $4 FROM generate_series(1, 10000) i`,
		s.org, long.ID, office, start)
	s.analyze()
	return s, long.ID
}

// analyze lets the planner know the rows, as autovacuum does: only an owner may.
func (s *stage) analyze() {
	s.Helper()
	var name struct{ N string }
	s.must(db.Select(s.ctx, s.db.Worker(), &name, `SELECT current_database() AS n`))
	cfg, err := pgx.ParseConfig(testkit.AdminURL(s))
	s.must(err)
	cfg.Database = name.N
	c, err := pgx.ConnectConfig(s.ctx, cfg)
	s.must(err)
	_, err = c.Exec(s.ctx, `VACUUM ANALYZE`)
	s.must(errors.Join(err, c.Close(s.ctx)))
}

func BenchmarkInboxPageOf30(b *testing.B) {
	s, _ := inbox(b)
	for name, who := range map[string]access.Actor{"organization": s.admin, "branch": s.bea, "own": s.owen} {
		b.Run(name, func(b *testing.B) {
			ctx := access.With(b.Context(), who)
			for b.Loop() {
				w, err := s.svc.Threads(ctx, who, message.Filter{}, db.Page{First: 30})
				if err != nil || who.Visibility != access.SeesOwn && len(w.Nodes) != 30 {
					b.Fatal(len(w.Nodes), err)
				}
				threads, last := make([]id.ID, len(w.Nodes)), make([]id.ID, len(w.Nodes))
				for i, t := range w.Nodes {
					threads[i], last[i] = t.ID, t.LastMessageID
				}
				if _, err := s.svc.Unread(ctx, threads); err != nil {
					b.Fatal(err)
				}
				if _, err := s.svc.ReplyProblems(ctx, threads); err != nil {
					b.Fatal(err)
				}
				if list, err := s.svc.ByIDs(ctx, last); err != nil || len(list) != len(last) {
					b.Fatal(len(list), err)
				}
			}
		})
	}
}

func BenchmarkInboxCounts(b *testing.B) {
	s, _ := inbox(b)
	for name, who := range map[string]access.Actor{"organization": s.admin, "branch": s.bea, "own": s.owen} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if i, err := s.svc.Inbox(b.Context(), who); err != nil || who.Visibility != access.SeesOwn && i.Open != message.MaxInboxCount {
					b.Fatal(i, err)
				}
			}
		})
	}
}

func BenchmarkSearch(b *testing.B) {
	s, _ := inbox(b)
	for name, words := range map[string]string{"everywhere": "open tod", "nowhere": "roof"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.svc.List(b.Context(), s.admin, message.LogFilter{Search: words}, db.Page{First: 30}); err != nil {
					b.Fatal(err)
				}
				if _, err := s.svc.Threads(b.Context(), s.admin, message.Filter{Search: words}, db.Page{First: 30}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMessagesPageOf50(b *testing.B) {
	s, long := inbox(b)
	ctx := access.With(b.Context(), s.admin)
	t, err := s.svc.Thread(ctx, s.admin, long)
	s.must(err)
	deep := db.Keyset{At: start.Add(5000 * time.Second), ID: db.Top.ID}.String()
	for name, page := range map[string]db.Page{"first": {First: 50}, "deep": {First: 50, After: deep}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w, err := s.svc.Messages(ctx, t, page)
				if err != nil || len(w.Nodes) != 50 || !w.HasNext {
					b.Fatal(len(w.Nodes), err)
				}
			}
		})
	}
}
