package edge_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	asJSON    = "application/json"
	asGraphQL = "application/graphql-response+json"
)

// audit is one of the 61 checks of the npm package graphql-http, by its own number.
type audit struct {
	why     string // its own name
	method  string // POST
	params  string // of a GET
	body    string // a query, unless raw
	raw     bool
	accept  string
	content string // application/json
	status  []int  // allowed ranges, in pairs
	typed   string // in the answer's content type
	clean   bool   // no errors in the answer
	noData  bool   // no data entry
}

func TestEveryAuditOfGraphQLOverHTTPPasses(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ok, bad, client, failure := []int{200, 200}, []int{400, 400}, []int{400, 499}, []int{400, 599}
	ping := asBody(`{ __typename }`)
	typed := `query Type($name: String!) { __type(name: $name) { name } }`
	coerce := `{"query":"query CoerceFailure($id: ID!){ __typename }","variables":{"id":null}}`
	unknown := asBody(`{ 8f31403dfe404bccbb0e835f2629c6a7 }`)
	byURL := url.Values{"query": {typed}, "variables": {`{"name":"sometype"}`}}.Encode()
	audits := map[string]audit{
		"22EB": {why: "accepts graphql-response+json and matches the content type", body: ping, accept: asGraphQL, status: ok, typed: asGraphQL},
		"4655": {why: "accepts json and matches the content type", body: ping, accept: asJSON, status: ok, typed: asJSON},
		"47DE": {why: "accepts */* and uses json", body: ping, accept: "*/*", status: ok, typed: asJSON},
		"80D8": {why: "assumes json when accept is missing", body: ping, status: ok, typed: asJSON},
		"82A3": {why: "answers in utf-8", body: ping, status: ok, typed: "charset=utf-8"},
		"BF61": {why: "accepts a utf-8 request", body: asBody(`{ __type(name: "Run🏃Swim🏊") { name } }`), content: "application/json; charset=utf-8", status: ok},
		"78D5": {why: "assumes utf-8", body: ping, status: ok},
		"2C94": {why: "accepts POST", body: ping, status: ok},
		"5A70": {why: "accepts GET", method: "GET", params: "query=%7B__typename%7D", status: ok},
		"9C48": {why: "does not mutate on GET", method: "GET", params: "query=mutation%7B__typename%7D", accept: asGraphQL, status: client},
		"9ABE": {why: "4xx without content type", body: ping, content: "-", status: client},
		"03D4": {why: "accepts json POST", body: ping, status: ok},
		"A5BF": {why: "400 without body", raw: true, status: bad},
		"423L": {why: "400 without query", body: `{"notquery":"{ __typename }"}`, accept: asGraphQL, status: bad},
		"34A2": {why: "string query, graphql-response+json", body: ping, accept: asGraphQL, status: ok},
		"13EE": {why: "string query, json", body: ping, accept: asJSON, status: ok, clean: true},
		"8161": {why: "string operationName, graphql-response+json", body: `{"operationName":"Query","query":"query Query { __typename }"}`, accept: asGraphQL, status: ok},
		"B8B3": {why: "string operationName, json", body: `{"operationName":"Query","query":"query Query { __typename }"}`, accept: asJSON, status: ok, clean: true},
		"2EA1": {why: "map variables, graphql-response+json", body: fmt.Sprintf(`{"query":%q,"variables":{"name":"sometype"}}`, typed), accept: asGraphQL, status: ok},
		"28B9": {why: "map variables, json", body: fmt.Sprintf(`{"query":%q,"variables":{"name":"sometype"}}`, typed), accept: asJSON, status: ok, clean: true},
		"D6D5": {why: "variables in the URL, graphql-response+json", method: "GET", params: byURL, accept: asGraphQL, status: ok, clean: true},
		"6A70": {why: "variables in the URL, json", method: "GET", params: byURL, accept: asJSON, status: ok, clean: true},
		"428F": {why: "map extensions, graphql-response+json", body: `{"query":"{ __typename }","extensions":{"some":"value"}}`, accept: asGraphQL, status: ok},
		"1B7A": {why: "map extensions, json", body: `{"query":"{ __typename }","extensions":{"some":"value"}}`, accept: asJSON, status: ok, clean: true},
		"B6DC": {why: "some status on malformed JSON", body: `{ "not a JSON`, accept: asJSON, status: []int{200, 299, 400, 499, 500, 599}},
		"BCF8": {why: "400 on malformed JSON, json", body: `{ "not a JSON`, accept: asJSON, status: bad},
		"B7N8": {why: "400 on malformed JSON, graphql-response+json", body: `{ "not a JSON`, accept: asGraphQL, status: bad},
		"8764": {why: "4xx or 5xx on invalid parameters", body: `{"qeury":"{ __typename }"}`, status: failure},
		"3E3A": {why: "400 on invalid parameters", body: `{"qeury":"{ __typename }"}`, status: bad},
		"572B": {why: "200 on a document that does not parse, json", body: asBody(`{`), accept: asJSON, status: ok},
		"FDE2": {why: "200 on an invalid document, json", body: unknown, accept: asJSON, status: ok},
		"7B9B": {why: "200 on a variable that does not coerce, json", body: coerce, accept: asJSON, status: ok},
		"865D": {why: "4xx or 5xx on a document that does not parse", body: asBody(`{`), accept: asGraphQL, status: failure},
		"556A": {why: "400 on a document that does not parse", body: asBody(`{`), accept: asGraphQL, status: bad},
		"D586": {why: "no data for a document that does not parse", body: asBody(`{`), accept: asGraphQL, status: failure, noData: true},
		"51FE": {why: "4xx or 5xx on an invalid document", body: unknown, accept: asGraphQL, status: failure},
		"74FF": {why: "400 on an invalid document", body: unknown, accept: asGraphQL, status: bad},
		"5E5B": {why: "no data for an invalid document", body: unknown, accept: asGraphQL, status: failure, noData: true},
		"86EE": {why: "400 on a variable that does not coerce", body: coerce, accept: asGraphQL, status: bad},
	}
	for i, v := range []string{`{"obj":"ect"}`, `0`, `false`, `["array"]`} {
		audits[fmt.Sprintf("LKJ%d", i)] = audit{why: "400 on query " + v, body: `{"query":` + v + `}`, status: bad}
		audits[fmt.Sprintf("6C0%d", i)] = audit{why: "400 on operationName " + v, body: `{"operationName":` + v + `,"query":"{ __typename }"}`, status: bad}
	}
	for i, name := range []string{"variables", "operationName", "extensions"} {
		body := `{"query":"{ __typename }","` + name + `":null}`
		audits[fmt.Sprintf("94B%d", i)] = audit{why: "null " + name + ", graphql-response+json", body: body, accept: asGraphQL, status: ok, clean: true}
		audits[fmt.Sprintf("022%d", i)] = audit{why: "null " + name + ", json", body: body, accept: asJSON, status: ok, clean: true}
	}
	for i, v := range []string{`"string"`, `0`, `false`, `["array"]`} {
		audits[fmt.Sprintf("476%d", i)] = audit{why: "400 on variables " + v, body: `{"query":"{ __typename }","variables":` + v + `}`, status: bad}
		audits[fmt.Sprintf("58B%d", i)] = audit{why: "400 on extensions " + v, body: `{"query":"{ __typename }","extensions":` + v + `}`, status: bad}
	}
	if len(audits) != 61 {
		t.Fatalf("%d audits, want 61", len(audits))
	}
	for number, a := range audits {
		t.Run(number, func(t *testing.T) {
			method, content := a.method, a.content
			if method == "" {
				method = "POST"
			}
			switch {
			case method == "GET" || content == "-":
				content = ""
			case content == "":
				content = asJSON
			}
			got := s.do(s.request(method, "/?"+a.params, a.body, "Content-Type", content, "Accept", a.accept, "Authorization", "Bearer "+good))
			inside := false
			for i := 0; i < len(a.status); i += 2 {
				inside = inside || got.status >= a.status[i] && got.status <= a.status[i+1]
			}
			if !inside {
				t.Errorf("%s: status %d, want %v: %s", a.why, got.status, a.status, got.body)
			}
			if !strings.Contains(got.header.Get("Content-Type"), a.typed) {
				t.Errorf("%s: content type %q", a.why, got.header.Get("Content-Type"))
			}
			if a.clean && len(got.errors) > 0 || a.noData && got.has || !utf8.ValidString(got.body) {
				t.Errorf("%s: %s", a.why, got.body)
			}
		})
	}
}
