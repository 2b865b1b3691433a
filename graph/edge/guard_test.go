package edge_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.uber.org/goleak"

	"switchboard/graph/edge"
	"switchboard/internal/errs"
)

// No goroutine of a socket, stream or operation outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyPOSTAndGETAreServed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, method := range []string{"PUT", "DELETE", "PATCH", "HEAD", "TRACE", "BREW"} {
		got := s.do(s.request(method, "/", `{"query":"{ ping }"}`, "Content-Type", asJSON))
		if got.status != 405 || got.header.Get("Allow") != "GET, POST, OPTIONS" {
			t.Errorf("%s: %d %q", method, got.status, got.header.Get("Allow"))
		}
	}
	if got := s.do(s.request("OPTIONS", "/", "")); got.status != 204 {
		t.Errorf("OPTIONS: %d", got.status)
	}
}

func TestEveryAnswerIsMarkedAndNumbered(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	seen := map[string]bool{}
	for _, r := range []*http.Request{
		s.request("POST", "/", asBody(`{ ping }`), "Content-Type", asJSON, "Authorization", "Bearer "+good),
		s.request("POST", "/", asBody(`{ nothing }`), "Content-Type", asJSON, "X-Request-Id", "mine"),
		s.request("PUT", "/", ""), s.request("GET", "/", ""), s.request("OPTIONS", "/", ""),
		s.request("POST", "/", "{}", "Content-Type", asJSON, "Authorization", "Bearer wrong"),
		s.request("POST", "/", asBody(`subscription { count(to: 1) }`), "Content-Type", asJSON, "Accept", "text/event-stream", "Authorization", "Bearer "+good),
	} {
		got := s.do(r)
		id := got.header.Get("X-Request-Id")
		if len(id) != 24 || seen[id] {
			t.Errorf("%s: request id %q", r.Method, id)
		}
		seen[id] = true
		if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Cache-Control") != "no-store" || !strings.Contains(strings.Join(got.header.Values("Vary"), ","), "Accept") {
			t.Errorf("%s: headers %v", r.Method, got.header)
		}
		for _, e := range got.errors {
			if e.Extensions.RequestID != id || e.Extensions.Code == "" {
				t.Errorf("error %+v in answer %s", e, id)
			}
		}
	}
}

func TestBadTokensAreAnswered401WithoutSayingWhy(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var bodies []string
	for why, header := range map[string]string{
		"wrong": "Bearer wrong", "expired": "Bearer past-token", "basic": "Basic YTpi", "no scheme": good, "empty": "Bearer ", "scheme only": "Bearer",
		"two words": "Bearer a b", "not ASCII": "Bearer é", "very long": "Bearer " + strings.Repeat("x", 9000),
	} {
		got := s.post(`{ ping }`, "Authorization", header)
		if got.status != 401 || got.code() != "UNAUTHENTICATED" || got.header.Get("WWW-Authenticate") != `Bearer realm="graphql", error="invalid_token"` {
			t.Errorf("%s: %d %s", why, got.status, got.body)
		}
		bodies = append(bodies, strings.ReplaceAll(got.body, got.header.Get("X-Request-Id"), ""))
	}
	for _, b := range bodies {
		if b != bodies[0] {
			t.Errorf("answers differ: %s and %s", b, bodies[0])
		}
	}
	twice := s.request("POST", "/", asBody(`{ ping }`), "Content-Type", asJSON)
	twice.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + other}
	if got := s.do(twice); got.status != 401 {
		t.Errorf("two tokens: %d", got.status)
	}
	if got := s.post(`{ ping }`, "Authorization", "Bearer no-database"); got.status != 503 || got.code() != "UNAVAILABLE" {
		t.Errorf("database away: %d %s", got.status, got.body)
	}
	if log := s.log.String(); strings.Contains(log, "Bearer") {
		t.Errorf("a token stands in the log: %s", log)
	}
}

func TestIdentityReachesTheResolvers(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(o *edge.Options) {
		o.ClientIP = func(r *http.Request) string { return r.Header.Get("X-Real-Ip") }
	})
	got := s.post(`{ who }`, "X-Real-Ip", "203.0.113.9")
	if string(got.data["who"]) != `"ann tenant-of-ann post 203.0.113.9"` {
		t.Error(got.body)
	}
	got = s.do(s.request("GET", "/?query=%7Bwho%7D", "", "X-Real-Ip", "203.0.113.9"))
	if string(got.data["who"]) != `" tenant-of- get 203.0.113.9"` {
		t.Error(got.body)
	}
}

func TestGETReadsOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for params, want := range map[string]int{
		"query=%7Bping%7D":                              200,
		"query=query%20a%7Bping%7D&operationName=a":     200,
		"query=%7Bping%7D&variables=%7B%7D&extensions=": 200,
		"query=%7Bping%7D&variables=null":               200,
		"query=%7Bping%7D&variables=%5B%5D":             400,
		"query=%7Bping%7D&variables=x":                  400,
		"query=%7Bping%7D&variables=%7B%7D%7B%7D":       400,
		"query=%7Bping%7D&query=%7Bwho%7D":              400,
		"query=%7Bping%7D%00":                           400,
		"query=%ff":                                     400,
		"query=%zz":                                     400,
		"":                                              400,
		"query=mutation%7Btouch(id%3A1)%7D":             405,
		"query=query%20a%7Bping%7Dmutation%20b%7Btouch(id%3A1)%7D&operationName=b": 405,
	} {
		got := s.do(s.request("GET", "/?"+params, "", "Authorization", "Bearer "+good))
		if got.status != want {
			t.Errorf("%s: %d %s", params, got.status, got.body)
		}
		if want == 405 && got.header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow is %q", params, got.header.Get("Allow"))
		}
	}
	if len(s.schema.Began) > 0 {
		t.Error("a mutation ran by GET")
	}
}

func TestSubscriptionsNeedAStream(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	got := s.post(`subscription { count(to: 1) }`, "Accept", asGraphQL)
	if got.status != 400 || got.code() != "UNSUPPORTED" || len(s.schema.Began) > 0 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAcceptIsNegotiated(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for accept, want := range map[string]string{
		"":                                   asJSON,
		"*/*":                                asJSON,
		"application/*":                      asJSON,
		"text/html, */*;q=0.1":               asJSON,
		asGraphQL + ", " + asJSON + ";q=0.9": asGraphQL,
		asJSON + ";q=0.5, " + asGraphQL:      asGraphQL,
		asGraphQL + ";q=0.5, " + asJSON:      asJSON,
		"*/*, " + asGraphQL:                  asGraphQL,
		asGraphQL + "; charset=utf-8":        asGraphQL,
		"nonsense;;, " + asGraphQL:           asGraphQL,
	} {
		got := s.post(`{ ping }`, "Accept", accept)
		if got.status != 200 || got.header.Get("Content-Type") != want+"; charset=utf-8" {
			t.Errorf("%q: %d %q, want %q", accept, got.status, got.header.Get("Content-Type"), want)
		}
	}
}

func TestForeignOriginsMayCallOnlyWhenListed(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(o *edge.Options) { o.Origins = []string{"https://app.example.com"} })
	preflight := func(origin string) reply {
		return s.do(s.request("OPTIONS", "/", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type"))
	}
	got := preflight("https://app.example.com")
	if got.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || got.header.Get("Access-Control-Allow-Headers") == "" || got.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("listed: %v", got.header)
	}
	if got := preflight("https://evil.example"); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("not listed: %v", got.header)
	}
	got = s.post(`{ ping }`, "Origin", "https://app.example.com")
	if got.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || !strings.EqualFold(got.header.Get("Access-Control-Expose-Headers"), "X-Request-Id, Retry-After") {
		t.Errorf("request: %v", got.header)
	}
	closed := newStage(t)
	got = closed.do(closed.request("OPTIONS", "/", "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST"))
	if got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without a list: %v", got.header)
	}
}

func TestOwnErrorPresenterComesFirstAndMayPass(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(o *edge.Options) {
		o.PresentError = func(_ context.Context, err error) *gqlerror.Error {
			if errs.IsCode(err, errs.Conflict) {
				return &gqlerror.Error{Message: "mine", Extensions: map[string]any{"code": "MINE"}}
			}
			return nil
		}
	})
	if got := s.post(`{ refused }`); got.code() != "MINE" || got.errors[0].Message != "mine" || len(got.errors[0].Path) != 1 || got.errors[0].Extensions.RequestID == "" {
		t.Error(got.body)
	}
	if got := s.post(`{ broken }`); got.code() != "INTERNAL" {
		t.Error(got.body)
	}
}

func TestEveryOperationIsObservedOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []edge.Outcome
	told := make(chan struct{}, 100)
	s := newStage(t, func(o *edge.Options) {
		o.Observe = func(_ context.Context, x edge.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, x)
			told <- struct{}{}
		}
	})
	w := s.open(good)
	for _, c := range []struct {
		do   func()
		want edge.Outcome
	}{
		{func() { s.post(`query Q { ping }`) }, edge.Outcome{Transport: edge.POST, Kind: "query", Name: "Q"}},
		{func() { s.post(`{ refused broken }`) }, edge.Outcome{Transport: edge.POST, Kind: "query", Errors: 2}},
		{func() { s.post(`{ nothing }`) }, edge.Outcome{Transport: edge.POST, Errors: 1, Refused: true}},
		{func() { s.stream(`mutation M { touch(id: 1) }`) }, edge.Outcome{Transport: edge.SSE, Kind: "mutation", Name: "M"}},
		{func() { w.subscribe("1", `subscription S { ends }`) }, edge.Outcome{Transport: edge.Socket, Kind: "subscription", Name: "S", Errors: 1}},
		{func() { w.subscribe("2", `{`) }, edge.Outcome{Transport: edge.Socket, Errors: 1, Refused: true}},
	} {
		c.do()
		<-told
		mu.Lock()
		if got := seen[len(seen)-1]; got != c.want {
			t.Errorf("observed %+v, want %+v", got, c.want)
		}
		mu.Unlock()
	}
}

func TestCostIsCountedByPageAndByTheOptionsFunction(t *testing.T) {
	t.Parallel()
	cost := func(change func(*edge.Options), query, variables string) string {
		s := newStage(t, limits(func(l *edge.Limits) { l.Signed.Cost = 1 }), change)
		got := s.raw(`{"query":"` + query + `","variables":` + variables + `}`)
		if len(got.errors) == 0 {
			return ""
		}
		message, _, _ := strings.Cut(got.errors[0].Message, ";")
		return message
	}
	none := func(*edge.Options) {}
	for why, c := range map[string]struct {
		change           func(*edge.Options)
		query, variables string
		want             string
	}{
		"a scalar":                 {none, `{ ping }`, `{}`, ""},
		"the page asked for":       {none, `{ calls(first: 7) { nodes { id } } }`, `{}`, "the operation costs 15"},
		"the default page":         {none, `{ calls { nodes { id } } }`, `{}`, "the operation costs 51"},
		"a page in a variable":     {none, `query q($n: Int) { calls(first: $n) { nodes { id } } }`, `{"n":3}`, "the operation costs 7"},
		"a page of null":           {none, `{ viewer { calls(first: null) { nodes { id } } } }`, `{}`, "the operation costs 52"},
		"no page and no default":   {none, `{ viewer { calls { nodes { id } } } }`, `{}`, "the operation costs 52"},
		"a negative page":          {none, `{ calls(first: -5) { nodes { id } } }`, `{}`, "the operation costs 3"},
		"a list by nature":         {none, `{ viewer { friends { id } } }`, `{}`, "the operation costs 12"},
		"fragments are spread":     {none, `{ viewer { ...F } a: viewer { ...F } } fragment F on User { friends { id name } }`, `{}`, "the operation costs 44"},
		"an interface":             {none, `{ node(id: 1) { id ... on User { friends { id } } } }`, `{}`, "the operation costs 13"},
		"one's own function":       {func(o *edge.Options) { o.Cost = ownCost }, `{ node(id: 1) { id } ping }`, `{}`, "the operation costs 902"},
		"saturates, does not wrap": {none, `{ viewer { calls(first: 2147483647) { nodes { legs { id } } } } }`, `{}`, "the operation costs 1073741824"},
	} {
		if got := cost(c.change, c.query, c.variables); got != c.want && !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", why, got, c.want)
		}
	}
}

func ownCost(_ context.Context, f edge.Field) (int, bool) {
	return 900, f.Type == "Call" && f.Name == "id" // dearer than User's: an interface costs what its dearest object costs
}

type broken struct{}

func (broken) ExtensionName() string                   { return "Broken" }
func (broken) Validate(graphql.ExecutableSchema) error { return nil }
func (broken) InterceptOperation(context.Context, graphql.OperationHandler) graphql.ResponseHandler {
	panic("an extension fails")
}

func TestPanicOfAnExtensionIsAnAnswerAndNotADeadSocket(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(o *edge.Options) { o.Extensions = []graphql.HandlerExtension{broken{}} })
	if got := s.post(`{ ping }`); got.code() != "INTERNAL" {
		t.Errorf("%d %s", got.status, got.body)
	}
	w := s.open(good)
	w.subscribe("1", `{ ping }`)
	if got := w.expect("1", "error"); !strings.Contains(got, "INTERNAL") {
		t.Error(got)
	}
	w.send(`{"type":"ping"}`)
	w.expect("", "pong")

	s = newStage(t, func(o *edge.Options) {
		o.Authenticate = func(context.Context, string) (edge.Identity, error) { panic(errors.New("hunter2")) }
	})
	if got := s.post(`{ ping }`); got.status != 500 || got.code() != "INTERNAL" || strings.Contains(got.body, "hunter") {
		t.Errorf("%d %s", got.status, got.body)
	}
	w = s.dial()
	w.send(initGood)
	w.closed(4500, "Internal server error")
}
