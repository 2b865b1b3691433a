package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/bench"
	"switchboard/internal/demo"
)

// witness sees every statement that the app role runs. Setting the tenant and
// the ends of transactions do not count.
type witness struct {
	mu   sync.Mutex // guards seen
	seen []string
}

func (w *witness) note(c *pgx.Conn, sql string) {
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(sql)), " ")
	switch {
	case strings.Contains(sql, "set_config('app.organization_id'"), word == "begin", word == "commit", word == "rollback", word == ";", word == "--":
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, strings.Join(strings.Fields(sql), " "))
}

func (w *witness) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.seen
	w.seen = nil
	return out
}

func (w *witness) TraceQueryStart(ctx context.Context, c *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	w.note(c, q.SQL)
	return ctx
}

func (*witness) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (w *witness) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (w *witness) TraceBatchQuery(_ context.Context, c *pgx.Conn, q pgx.TraceBatchQueryData) {
	w.note(c, q.SQL)
}

func (*witness) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// The pages of a front end; each costs the same number of statements whatever its
// length, and no more than most.
var pages = map[string]struct {
	query, why string
	most       int
	few        int // rows of the short page, 5 unless told: enough to hold what is rare
}{
	"calls": {query: q1, most: 6, why: "calls, numbers, branches, contacts, users, recordings: one each"},
	"calls by edges": {most: 6, why: "the other way to write the same page", query: `query($first: Int!) { calls(first: $first) { edges { cursor node {
		id phoneNumber { id } branch { id } contact { id } answeredBy { id } recordings { id } } } } }`},
	"calls with a total": {query: strings.Replace(q1, "nodes {", "totalCount nodes {", 1), most: 7, why: "the total is one more"},
	"calls with legs": {most: 6, few: 30, why: "calls, legs, devices, voicemails, recordings, users of all levels", query: `query($first: Int!) { calls(first: $first) { nodes {
		id answeredBy { name } legs { kind outcome user { name } device { name } } voicemail { owner { name } recording { mediaState } } } } }`},
	"threads": {most: 6, why: "threads, numbers, contacts, branches, last messages, opt-outs", query: `query($first: Int!) { smsThreads(first: $first) { nodes {
		id isOptedOut phoneNumber { name } branch { name } contact { name } lastMessage { body } } } }`},
	"voicemails": {most: 7, why: "voicemails, calls, numbers, branches, contacts, users, recordings", query: `query($first: Int!) { voicemails(first: $first) { nodes {
		id call { status } phoneNumber { name } branch { name } contact { name } owner { name } heardBy { name } recording { mediaState } } } }`},
	"users": {most: 7, why: "users, roles, phones, quiet lines, memberships, branches, assignments; their numbers when there are any", query: `query($first: Int!) { users(first: $first) { nodes {
		id role { name } phones { e164 } doNotDisturbLines { name } branches { name } inboundPhoneNumber { name } } } }`},
	"contacts": {most: 4, why: "contacts, phones, users, campaigns", query: `query($first: Int!) { contacts(first: $first) { nodes {
		id phones { e164 } assignedUser { name } lastCampaign { name } } } }`},
	"phone numbers": {most: 4, why: "numbers, branches, connections, users", query: `query($first: Int!) { phoneNumbers(first: $first) { nodes {
		id branch { name } connection { name } assignedUser { name } } } }`},
}

func TestAPageCostsTheSameStatementsWhateverItsLength(t *testing.T) {
	t.Parallel()
	s := bench.Scale{Organizations: 1, Calls: 1000, Messages: 2000}
	_, url := seeded(t, s)
	w := &witness{}
	srv := open(t, s, url, w)
	handler := srv.Handler()
	ask := func(query string, vars demo.Vars) (nodes int, statements []string) {
		t.Helper()
		w.take()
		r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(marshal(map[string]any{"query": query, "variables": vars})))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+srv.token)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		var out struct {
			Data map[string]struct {
				Nodes []any
				Edges []any
			}
			Errors []any
		}
		must(t, json.Unmarshal(answer.Body.Bytes(), &out))
		if answer.Code != http.StatusOK || out.Errors != nil {
			t.Fatalf("%s: %.600s", query, answer.Body)
		}
		for _, x := range out.Data {
			nodes += len(x.Nodes) + len(x.Edges)
		}
		return nodes, w.take()
	}
	// What every request costs: who is asking.
	session := 1
	if r := httptest.NewRequest(http.MethodGet, "/graphql?query={__typename}", nil); r != nil {
		r.Header.Set("Authorization", "Bearer "+srv.token)
		w.take()
		handler.ServeHTTP(httptest.NewRecorder(), r)
		if got := w.take(); len(got) != session {
			t.Fatalf("a request that reads nothing costs %d statements:\n%s", len(got), strings.Join(got, "\n"))
		}
	}
	for name, p := range pages {
		few, short := ask(p.query, demo.Vars{"first": max(p.few, 5)})
		many, long := ask(p.query, demo.Vars{"first": 50})
		if few != max(p.few, 5) || many <= 10 || many <= few {
			t.Fatalf("%s: the pages have %d and %d rows", name, few, many)
		}
		if len(short) != len(long) {
			t.Errorf("%s: %d rows cost %d statements, %d rows cost %d:\n%s", name, few, len(short), many, len(long), strings.Join(long, "\n"))
		}
		if n := len(long) - session; n > p.most {
			t.Errorf("%s: %d rows cost %d statements besides the session's; %d are allowed (%s):\n%s", name, many, n, p.most, p.why, strings.Join(long, "\n"))
		}
	}
}
