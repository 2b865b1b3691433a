package edge_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"switchboard/graph/edge"
)

// attacks are documents that must be refused without being run, whichever way they come.
func attacks() map[string]struct{ query, code string } {
	numbered := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	var bomb strings.Builder
	bomb.WriteString("{ viewer { ...F0 } }")
	for i := range 26 {
		fmt.Fprintf(&bomb, " fragment F%d on User { a: friends { ...F%d } b: friends { ...F%d } }", i, i+1, i+1)
	}
	bomb.WriteString(" fragment F26 on User { id }")
	const limit, parse, valid = "LIMIT_REACHED", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"
	return map[string]struct{ query, code string }{
		"200 levels of friends":               {"{viewer" + strings.Repeat("{friends", 200) + "{id}" + strings.Repeat("}", 201), limit},
		"18 levels of friends":                {"{viewer" + strings.Repeat("{friends", 18) + "{id}" + strings.Repeat("}", 19), limit},
		"26 fragments that double each other": {bomb.String(), limit},
		"a fragment of itself":                {"{ ...A } fragment A on Query { ...A }", valid},
		"1 000 aliases":                       {"{" + numbered("a%d: ping ", 1000) + "}", limit},
		"10 000 sign-ins by alias":            {"mutation {" + numbered(`a%d: signIn(name: "ann", password: "x") `, 10_000) + "}", limit},
		"100 mutations":                       {"mutation {" + numbered(`a%d: touch(id: "%[1]d") `, 100) + "}", limit},
		"11 mutations without alias":          {"mutation {" + strings.Repeat(`touch(id: "1") `, 11) + "}", limit},
		"11 mutations in fragments":           {"mutation { ...A ...B } fragment A on Mutation {" + numbered(`a%d: touch(id: "1") `, 6) + "} fragment B on Mutation {" + numbered(`b%d: touch(id: "1") `, 6) + "}", limit},
		"two mutations that cost money":       {`mutation { a: spend(id: "1") ...B } fragment B on Mutation { b: spend(id: "2") }`, limit},
		"500 directives on one field":         {"{ ping " + strings.Repeat("@include(if: true) ", 500) + "}", limit},
		"500 unknown directives":              {"{ ping " + strings.Repeat("@aa ", 500) + "}", limit},
		"100 000 tokens":                      {"{" + strings.Repeat("(", 100_000) + "}", limit},
		"10 000 __typename":                   {"{" + strings.Repeat("__typename ", 10_000) + "}", limit},
		"3 000 __type of one alias":           {"{" + strings.Repeat(`x:__type(name:"a"){name} `, 3000) + "}", limit},
		"a long list in an argument":          {"{ weigh(values: [" + strings.Repeat("1,", 10_000) + "]) }", limit},
		"1 000 operations":                    {numbered("query q%d { ping } ", 1000), limit},
		"1 000 fragments":                     {"{ ping }" + numbered("fragment f%d on Query { ping } ", 1000), limit},
		"900 unknown fragments":               {"{" + numbered("...G%d ", 900) + "}", valid},
		"900 fields that merge":               {"{ viewer {" + strings.Repeat("friends {"+strings.Repeat(" id ", 29)+"} ", 29) + "} }", limit},
		"1 000 variables":                     {"query q(" + numbered("$v%d: Int ", 1000) + ") { ping }", limit},
		"a page of ten million":               {"{ calls(first: 10000000) { nodes { id } } }", limit},
		"pages in lists":                      {"{ viewer { friends { friends { calls(first: 1000) { nodes { id legs { id } } } } } } }", limit},
		"a page without a size":               {"{ viewer { friends { friends { calls { nodes { legs { id } } } friends { calls { nodes { legs { id } } } } } } } }", limit},
		"introspection in circles":            {"{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }", valid},
		"@defer":                              {"{ ... @defer { ping } }", "UNSUPPORTED"},
		"no operation":                        {"fragment A on Query { ping }", valid},
		"a comment only":                      {"# nothing", valid},
		"an unclosed string":                  {`{ echo(text: "`, parse},
		"two operations and no name":          {"query a { ping } query b { ping }", valid},
		"schema language":                     {"type Query { a: Int }", parse},
	}
}

func TestAttackDocumentsAreRefusedOverEveryTransport(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.open(good)
	for why, a := range attacks() {
		t.Run(why, func(t *testing.T) {
			got := s.post(a.query)
			if got.status != 200 || got.code() != a.code || got.has || len(got.body) > 2000 {
				t.Errorf("post: %d %.300s", got.status, got.body)
			}
			if got := s.post(a.query, "Accept", asGraphQL); got.status != 400 || got.code() != a.code {
				t.Errorf("post: %d %.300s", got.status, got.body)
			}
			if len(a.query) > 60<<10 {
				return // a frame this long is closed with 1009
			}
			f := s.stream(a.query)
			f.expect(":", "")
			f.expect("next", a.code)
			f.expect("complete", "")
			w.subscribe("1", a.query)
			if got := w.expect("1", "error"); !strings.Contains(got, a.code) {
				t.Errorf("socket: %.300s", got)
			}
		})
	}
	if len(s.schema.Began) > 0 {
		t.Errorf("%s ran", <-s.schema.Began)
	}
}

func TestAnonymousAreHeldToStricterLimits(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	anonymous := func(query string) reply {
		return s.do(s.request("POST", "/", asBody(query), "Content-Type", asJSON))
	}
	if got := anonymous(`mutation { signIn(name: "ann", password: "x") }`); got.status != 200 || len(got.errors) > 0 {
		t.Fatalf("signing in: %s", got.body)
	}
	for why, query := range map[string]string{
		"two mutations":    `mutation { a: signIn(name: "ann", password: "x") b: signIn(name: "ann", password: "y") }`,
		"four root fields": `{ a: ping b: who c: ping ping }`,
		"a deep document":  `{ viewer { friends { friends { friends { friends { friends { id } } } } } } }`,
		"many tokens":      `{ weigh(values: [` + strings.Repeat("1,", 500) + `]) }`,
		"a large page":     `{ calls(first: 1000) { nodes { id } } }`,
	} {
		if got := anonymous(query); got.code() != "LIMIT_REACHED" {
			t.Errorf("%s: %s", why, got.body)
		}
	}
	if got := anonymous(`{ ping } #` + strings.Repeat("x", 32<<10)); got.status != 413 {
		t.Errorf("a long body: %d", got.status)
	}
	if got := anonymous(`{ __schema { queryType { name } } }`); got.code() != "LIMIT_REACHED" && got.code() != "FORBIDDEN" {
		t.Errorf("introspection: %s", got.body)
	}
}

func TestIntrospectionIsByRole(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, query := range []string{`{ __schema { queryType { name } } }`, `{ __type(name: "User") { name } }`, `{ ...A } fragment A on Query { ... { __schema { queryType { name } } } }`} {
		if got := s.post(query); len(got.errors) > 0 {
			t.Errorf("with permission: %s", got.body)
		}
		if got := s.post(query, "Authorization", "Bearer "+blind); got.code() != "FORBIDDEN" || got.has {
			t.Errorf("without: %s", got.body)
		}
	}
	if got := s.post(`{ __typename }`, "Authorization", "Bearer "+blind); len(got.errors) > 0 {
		t.Errorf("__typename is for everybody: %s", got.body)
	}
}

// GraphiQL's query, whose depth and size set the limits.
func TestIntrospectionQueryOfGraphiQLFits(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ofType := "kind name"
	for range 9 {
		ofType = "kind name ofType { " + ofType + " }"
	}
	query := `query IntrospectionQuery { __schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind }
		types { ...FullType } directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
		fragment FullType on __Type { kind name description specifiedByURL isOneOf
			fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
			inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
			enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
		fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
		fragment TypeRef on __Type { ` + ofType + ` }`
	if got := s.post(query); len(got.errors) > 0 {
		t.Errorf("%.500s", got.body)
	}
}

func TestNothingOfARefusedBodyIsRepeated(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var squeezed bytes.Buffer
	z := gzip.NewWriter(&squeezed)
	_, _ = z.Write(bytes.Repeat([]byte("hunter2"), 100_000))
	_ = z.Close()
	for why, c := range map[string]struct {
		body    string
		headers []string
		status  int
	}{
		"cut in the middle":            {`{"query":"{ ping }","variables":{"password":"hunter2"`, nil, 400},
		"a bare word":                  {`hunter2`, nil, 400},
		"a batch":                      {`[{"query":"{ ping }"},{"query":"hunter2"}]`, nil, 400},
		"two objects":                  {`{"query":"{ ping }"}{"query":"hunter2"}`, nil, 400},
		"something after":              {`{"query":"{ ping }"} hunter2`, nil, 400},
		"a query that is an object":    {`{"query":{"hunter2":1}}`, nil, 400},
		"a query given twice":          {`{"query":"{ ping }","query":"hunter2"}`, nil, 400},
		"variables in a string":        {`{"query":"{ ping }","variables":"hunter2"}`, nil, 400},
		"variables in an array":        {`{"query":"{ ping }","variables":["hunter2"]}`, nil, 400},
		"an empty query":               {`{"query":"","variables":{"a":"hunter2"}}`, nil, 400},
		"a query in capitals":          {`{"QUERY":"{ ping }","a":"hunter2"}`, nil, 400},
		"invalid UTF-8":                {"{\"query\":\"{ ping } #hunter2 \xff\"}", nil, 400},
		"NUL":                          {"{\"query\":\"{ ping } #hunter2 \x00\"}", nil, 400},
		"NUL escaped in the query":     {`{"query":"{ ping } #hunter2 \u0000"}`, nil, 400},
		"NUL escaped in a variable":    {`{"query":"{ ping }","variables":{"a":{"b":["hunter2\u0000"]}}}`, nil, 400},
		"NUL escaped in a key":         {`{"query":"{ ping }","variables":{"hunter2\u0000":1}}`, nil, 400},
		"deep JSON":                    {`{"query":"{ ping }","variables":{"hunter2":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}}`, nil, 400},
		"a body of 2 MiB and a byte":   {`{"query":"{ ping }","a":"hunter2` + strings.Repeat("x", 2<<20) + `"}`, nil, 413},
		"the same without a length":    {`{"query":"{ ping }","a":"hunter2` + strings.Repeat("x", 2<<20) + `"}`, []string{"chunked", "yes"}, 413},
		"a compressed body":            {squeezed.String(), []string{"Content-Encoding", "gzip"}, 415},
		"a form":                       {"query=hunter2", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		"plain text, as forms send":    {`{"query":"mutation { touch(id: \"hunter2\") }"}`, []string{"Content-Type", "text/plain"}, 415},
		"multipart":                    {"--x\r\n\r\nhunter2", []string{"Content-Type", "multipart/form-data; boundary=x"}, 415},
		"application/graphql":          {"{ hunter2 }", []string{"Content-Type", "application/graphql"}, 415},
		"another charset":              {`{"query":"{ hunter2 }"}`, []string{"Content-Type", "application/json; charset=utf-16"}, 415},
		"an accept nobody can satisfy": {`{"query":"{ hunter2 }"}`, []string{"Accept", "text/html, image/*;q=0.5"}, 406},
		"an accept with quality 0":     {`{"query":"{ hunter2 }"}`, []string{"Accept", "application/json;q=0"}, 406},
	} {
		t.Run(why, func(t *testing.T) {
			r := s.request("POST", "/", c.body, append([]string{"Content-Type", asJSON, "Authorization", "Bearer " + good}, c.headers...)...)
			if len(c.headers) > 0 && c.headers[0] == "chunked" {
				r.ContentLength = -1
			}
			got := s.do(r)
			if got.status != c.status || got.code() == "" || got.has {
				t.Errorf("%d %.200s, want %d", got.status, got.body, c.status)
			}
			if strings.Contains(got.body, "hunter") || len(got.body) > 400 {
				t.Errorf("the answer repeats the body: %.200s", got.body)
			}
			if len(got.errors) == 1 && got.errors[0].Extensions.RequestID != got.header.Get("X-Request-Id") {
				t.Errorf("request id %q, header %q", got.errors[0].Extensions.RequestID, got.header.Get("X-Request-Id"))
			}
		})
	}
	if strings.Contains(s.log.String(), "hunter") {
		t.Error("the log repeats a body")
	}
	if len(s.schema.Began) > 0 {
		t.Error("a refused mutation ran")
	}
}

func TestHugeVariablesWithinTheLimitAreTaken(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	weigh := func(n int) reply {
		values := strings.TrimSuffix(strings.Repeat("1,", n), ",")
		return s.raw(`{"query":"query q($v: [Int!]!) { weigh(values: $v) }","variables":{"v":[` + values + `]}}`)
	}
	if got := weigh(19_000); string(got.data["weigh"]) != "19000" {
		t.Errorf("%.200s", got.body)
	}
	if got := weigh(400_000); got.status != 400 || got.code() != "LIMIT_REACHED" {
		t.Errorf("%.200s", got.body)
	}
	text := strings.Repeat("x", 1_000_000)
	if got := s.raw(`{"query":"query q($t: String!) { echo(text: $t) }","variables":{"t":"` + text + `"}}`); len(got.data["echo"]) != 1_000_002 {
		t.Errorf("%.200s", got.body)
	}
}

func TestErrorsInOneAnswerAreCut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	got := s.post(`{ many(count: 4000) { bad } }`)
	if len(got.errors) != 50 || got.errors[49].Message != "3951 more errors are not shown" || !got.has {
		t.Errorf("%d errors, the last is %+v", len(got.errors), got.errors[len(got.errors)-1])
	}
	got = s.post(`{ ` + strings.Repeat("x"+strings.Repeat("y", 400)+" ", 20) + ` }`)
	if len(got.body) > 40_000 {
		t.Errorf("%d bytes of errors", len(got.body))
	}
	long := s.post(`{ ` + strings.Repeat("y", 10_000) + ` }`)
	if len(long.body) > 1000 || long.code() != "GRAPHQL_VALIDATION_FAILED" {
		t.Errorf("%d bytes: %.200s", len(long.body), long.body)
	}
}

func TestRefusalsSuggestNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, query := range []string{`{ pin }`, `{ viewer }`, `{ echo(tex: "a") }`, `query q($a: Use) { ping }`, `{ ping { a } }`, `{ node(id: 1) { ... on Usr { id } } }`} {
		got := s.post(query)
		if got.code() != "GRAPHQL_VALIDATION_FAILED" || strings.Contains(got.body, "Did you mean") {
			t.Errorf("%s: %s", query, got.body)
		}
	}
}

func TestInternalErrorsAndPanicsAreLoggedAndNotShown(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for query, logged := range map[string]string{
		`{ broken }`: "secret_table", `{ requires }`: "secret_table is gone", `{ panics }`: "hunter2 in a panic",
	} {
		got := s.post(query)
		if got.status != 200 || got.code() != "INTERNAL" || strings.Contains(got.body, "secret") || strings.Contains(got.body, "hunter") {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
		id := got.header.Get("X-Request-Id")
		if len(got.errors) != 1 || got.errors[0].Extensions.RequestID != id || len(got.errors[0].Path) != 1 {
			t.Errorf("%s: %s", query, got.body)
		}
		if log := s.log.String(); !strings.Contains(log, logged) || !strings.Contains(log, id) {
			t.Errorf("%s: the log says %s", query, log)
		}
	}
	if !strings.Contains(s.log.String(), "resolver.go") {
		t.Error("the log has no stack of the panic")
	}
	got := s.post(`{ refused }`)
	if e := got.errors[0]; e.Extensions.Code != "CONFLICT" || e.Message != "the call has ended" || len(e.Extensions.Field) != 2 || strings.Contains(got.body, "4711") {
		t.Errorf("%s", got.body)
	}
}

func TestOperationEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	s := newStage(t, limits(func(l *edge.Limits) { l.Execution = 20 * time.Millisecond }))
	got := s.post(`{ waits }`)
	if got.code() != "UNAVAILABLE" || !strings.Contains(got.body, "longer than 20ms") {
		t.Errorf("%s", got.body)
	}
	s.signal(s.schema.Ended, "query")
	w := s.open(good)
	w.subscribe("1", `{ waits }`)
	if got := w.expect("1", "next"); !strings.Contains(got, "UNAVAILABLE") {
		t.Error(got)
	}
}

func TestOperationEndsWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body := asBody(`{ waits }`)
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", good, len(body), body)
	s.signal(s.schema.Began, "query")
	conn.Close()
	s.signal(s.schema.Ended, "query")
}

func TestTooManyOperationsAtOnceAreRefusedNotQueued(t *testing.T) {
	t.Parallel()
	s := newStage(t, limits(func(l *edge.Limits) { l.Concurrent = 1 }))
	w := s.open(good)
	w.subscribe("1", `{ waits }`)
	s.signal(s.schema.Began, "query")
	for _, accept := range []string{asJSON, asGraphQL, "text/event-stream"} {
		got := s.post(`{ ping }`, "Accept", accept)
		if got.status != 503 || got.code() != "UNAVAILABLE" || got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s", accept, got.status, got.body)
		}
	}
	w.subscribe("2", `{ ping }`)
	if got := w.expect("2", "error"); !strings.Contains(got, "UNAVAILABLE") {
		t.Error(got)
	}
	s.schema.Release <- struct{}{}
	w.expect("1", "next")
	w.expect("1", "complete")
}

func TestServerOutlastsSlowClients(t *testing.T) {
	t.Parallel()
	if h := edge.HTTPServer(nil); h.ReadHeaderTimeout != 3*time.Second || h.ReadTimeout != 5*time.Second || h.IdleTimeout != 30*time.Second || h.WriteTimeout != 0 || h.MaxHeaderBytes != 16<<10 {
		t.Errorf("timeouts are %+v", h)
	}
	s := newStage(t)
	got := s.post(`{ ping }`, "X-Long", strings.Repeat("x", 32<<10))
	if got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("long header: %d", got.status)
	}
}

func TestBodyThatDoesNotArriveIsAnswered408(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	impatient := httptest.NewUnstartedServer(s.edge)
	impatient.Config = edge.HTTPServer(s.edge)
	impatient.Config.ReadTimeout = 50 * time.Millisecond
	impatient.Start()
	defer impatient.Close()
	conn, err := net.Dial("tcp", impatient.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	answer := make([]byte, 12)
	if _, err := conn.Read(answer); err != nil || string(answer) != "HTTP/1.1 408" {
		t.Errorf("%q %v", answer, err)
	}
}

// The server's read timeout must not reach into the execution of an operation: Go would
// cancel the request's context when it passes.
func TestReadTimeoutDoesNotCancelARunningOperation(t *testing.T) {
	t.Parallel()
	s := newStage(t, limits(func(l *edge.Limits) { l.Execution = 250 * time.Millisecond }))
	impatient := httptest.NewUnstartedServer(s.edge)
	impatient.Config = edge.HTTPServer(s.edge)
	impatient.Config.ReadTimeout = 50 * time.Millisecond
	impatient.Start()
	defer impatient.Close()
	r := s.request("POST", "/", asBody(`{ waits }`), "Content-Type", asJSON, "Authorization", "Bearer "+good)
	r.URL.Host = impatient.Listener.Addr().String()
	if got := s.do(r); !strings.Contains(got.body, "longer than 250ms") {
		t.Errorf("%s", got.body)
	}
}

func TestClientThatDoesNotReadItsAnswerIsCut(t *testing.T) {
	t.Parallel()
	s := newStage(t, limits(func(l *edge.Limits) { l.Write = 50 * time.Millisecond }))
	ended := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.edge.ServeHTTP(w, r)
		close(ended)
	}))
	defer slow.Close()
	conn, err := net.Dial("tcp", slow.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := asBody(`{ big(bytes: 50000000) }`)
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", good, len(body), body)
	select {
	case <-ended:
	case <-s.ctx.Done():
		t.Error("the handler still waits for its reader")
	}
}

func TestAnswersSurviveTheJourney(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	text := "\u2028 \"quoted\" \\ \n \u0001 😀 </script>"
	body, _ := json.Marshal(map[string]any{"query": `query q($t: String!) { echo(text: $t) }`, "variables": map[string]any{"t": text}})
	var back string
	if got := s.raw(string(body)); json.Unmarshal(got.data["echo"], &back) != nil || back != text {
		t.Errorf("%q came back as %q", text, back)
	}
}
