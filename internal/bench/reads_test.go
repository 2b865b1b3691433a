package bench_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"net/http"

	"switchboard/internal/bench"
	"switchboard/internal/demo"
	"switchboard/internal/id"
)

// question is one of Q1 to Q4 with its three ways to an answer.
type question struct {
	name  string
	query string
	vars  demo.Vars
	json  func(*pgxpool.Pool, http.ResponseWriter, *http.Request) error
	rows  func(*pgxpool.Pool, http.ResponseWriter, *http.Request) error
}

func questions(t testing.TB, s bench.Scale, owner *pgxpool.Pool, first int) []question {
	t.Helper()
	org := s.Organization(0)
	// The newest inbound call with a contact that was recorded twice, or the like.
	var call id.ID
	must(t, owner.QueryRow(context.Background(), `SELECT id FROM call c WHERE organization_id = $1 AND direction = 'INBOUND' AND contact_id IS NOT NULL AND status = 'COMPLETED'
		ORDER BY (SELECT count(*) FROM recording r WHERE r.organization_id = $1 AND r.call_id = c.id) DESC, started_at DESC LIMIT 1`, org).Scan(&call))
	return []question{
		{"Q1", q1, demo.Vars{"first": first}, answerJSON(q1Page+q1JSON, org, first), logByRows(org, first)},
		{"Q2", q2, demo.Vars{"id": call.String()}, answerJSON(q2JSON, org, call), callByRows(org, call)},
		{"Q3", q3, nil, answerJSON(q3JSON, org), inboxByRows(org)},
		{"Q4", q4, q4Vars, answerJSON(q4JSON, q4Args(org)...), reportByRows(org)},
	}
}

// fleets are the server and the two limits of each question.
func fleets(t testing.TB, s bench.Scale, first int) map[string][]*fleet {
	t.Helper()
	owner, url := seeded(t, s)
	all := questions(t, s, owner, first)
	handlers := map[string]func(*pgxpool.Pool, http.ResponseWriter, *http.Request) error{}
	for _, q := range all {
		handlers["/"+q.name+"/json"], handlers["/"+q.name+"/rows"] = q.json, q.rows
	}
	srv, bare := start(t, s, url), limits(t, url, handlers)
	out := map[string][]*fleet{}
	for _, q := range all {
		request := srv.post(q.query, q.vars)
		// The limits get the same bytes and look at none of them.
		other := func(way string) []byte {
			return []byte(strings.Replace(string(request), "/graphql", "/"+q.name+"/"+way, 1))
		}
		out[q.name] = []*fleet{
			newFleet(target{name: "server", addr: strings.TrimPrefix(srv.url, "http://"), next: same(request)}),
			newFleet(target{name: "limit-json", addr: bare, next: same(other("json"))}),
			newFleet(target{name: "limit-rows", addr: bare, next: same(other("rows"))}),
		}
	}
	return out
}

// agree fails unless all three ways give one answer.
func agree(t testing.TB, name string, f []*fleet) {
	t.Helper()
	want, size := answer(t, f[0])
	if size < 500 {
		t.Fatalf("%s: the answer has %d bytes only", name, size)
	}
	for _, other := range f[1:] {
		got, otherSize := answer(t, other)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s: %s answers otherwise (-server +%s):\n%s", name, other.name, other.name, d)
		}
		if float64(otherSize) < 0.7*float64(size) || float64(otherSize) > 1.5*float64(size) {
			t.Fatalf("%s: the server's answer has %d bytes, that of %s %d", name, size, other.name, otherSize)
		}
	}
}

func TestTheLimitsAnswerLikeTheServer(t *testing.T) {
	t.Parallel()
	for name, f := range fleets(t, bench.Scale{Organizations: 3, Calls: 1200, Messages: 1200}, 50) {
		agree(t, name, f)
	}
}

// BenchmarkReads asks Q1 to Q4 of the server and of two hand-written limits beside
// it in turns: x-limit-json is the server's rate by that of one SQL that returns the
// JSON, x-limit-rows by that of binary rows appended to JSON.
func BenchmarkReads(b *testing.B) {
	all := fleets(b, scale(b), 50)
	for _, name := range []string{"Q1", "Q2", "Q3", "Q4"} {
		agree(b, name, all[name])
		b.Run(name, func(b *testing.B) { compare(b, all[name]...) })
	}
}
