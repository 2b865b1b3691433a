package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"switchboard/internal/bench"
	"switchboard/internal/demo"
	"switchboard/internal/id"
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
	owner, url := seeded(t, s)
	furnish(t, owner, s.Organization(0))
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

// furnish gives each of the organization's numbers a team, hours and a menu of its own, and adds
// as many rules to the ignored list.
func furnish(t *testing.T, owner *pgxpool.Pool, org id.ID) {
	t.Helper()
	ctx := context.Background()
	users, numbers := idsOf(t, owner, `"user"`, org), idsOf(t, owner, `phone_number`, org)
	branch := idsOf(t, owner, `branch`, org)[0]
	run := func(sql string, args ...any) {
		t.Helper()
		_, err := owner.Exec(ctx, sql, args...)
		must(t, err)
	}
	hours, below := id.New(id.Schedule), id.New(id.Menu)
	run(`INSERT INTO opening_hours (organization_id, id, name, time_zone, updated_at) VALUES ($1, $2, 'Office', 'UTC', $3)`, org, hours, time.Now())
	run(`INSERT INTO menu (organization_id, id, name, prompt_text, options, updated_at) VALUES ($1, $2, 'Below', 'x', '[]', $3)`, org, below, time.Now())
	for i, n := range numbers {
		team, menu := id.New(id.Team), id.New(id.Menu)
		run(`INSERT INTO team (organization_id, id, name, updated_at) VALUES ($1, $2, $3, $4)`, org, team, team.String(), time.Now())
		run(`INSERT INTO team_user (organization_id, team_id, user_id, position) VALUES ($1, $2, $3, 0), ($1, $2, $4, 1)`, org, team, users[i%len(users)], users[(i+1)%len(users)])
		run(`INSERT INTO menu (organization_id, id, name, prompt_text, options, otherwise, updated_at) VALUES ($1, $2, $3, 'x', $4::jsonb, $5::jsonb, $6)`, org, menu, menu.String(),
			fmt.Sprintf(`[{"key": "1", "label": "", "to": {"kind": "TEAM", "team": %q}}, {"key": "2", "label": "", "to": {"kind": "BRANCH", "branch": %q}}, {"key": "3", "label": "", "to": {"kind": "MENU", "menu": %q}}]`,
				team, branch, below), fmt.Sprintf(`{"kind": "USER", "user": %q}`, users[i%len(users)]), time.Now())
		run(`UPDATE phone_number SET team_id = $3, opening_hours_id = $4, menu_id = $5 WHERE organization_id = $1 AND id = $2`, org, n, team, hours, menu)
		run(`INSERT INTO ignored_number (organization_id, id, rule, created_by) VALUES ($1, $2, $3, $4)`, org, id.New(id.IgnoredNumber), fmt.Sprintf("+1202555%04d", i), users[i%len(users)])
	}
}

func idsOf(t *testing.T, owner *pgxpool.Pool, table string, org id.ID) []id.ID {
	t.Helper()
	rows, err := owner.Query(context.Background(), `SELECT id FROM `+table+` WHERE organization_id = $1 ORDER BY id`, org)
	must(t, err)
	out, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	must(t, err)
	return out
}
