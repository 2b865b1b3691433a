package edge

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"switchboard/internal/errs"
)

// None of the errors here repeats a byte of what came: a body may hold a password.

func malformed(what string) error { return errs.New(errs.Invalid, "%s", what) }

// parse reads exactly one JSON object with the members of a GraphQL request.
// Unknown members are ignored, as the specification wants; known ones are typed, and
// may come once only, so that two readers of one body never see two requests.
func (e *Edge) parse(body []byte) (*params, error) {
	members, err := object(body, e.limits.Nesting)
	if err != nil {
		return nil, err
	}
	return e.request(members)
}

func (e *Edge) request(members map[string]json.RawMessage) (*params, error) {
	p := &params{}
	text := func(name string, into *string) (given bool, err error) {
		raw := members[name]
		if raw == nil || string(raw) == "null" {
			return false, nil
		}
		if raw[0] != '"' || json.Unmarshal(raw, into) != nil {
			return false, malformed(name + " must be a string")
		}
		return true, nil
	}
	given, err := text("query", &p.Query)
	if err != nil {
		return nil, err
	}
	if !given || p.Query == "" {
		return nil, errs.New(errs.Required, "query is missing")
	}
	if strings.IndexByte(p.Query, 0) >= 0 {
		return nil, malformed("query must not contain NUL")
	}
	if _, err := text("operationName", &p.OperationName); err != nil {
		return nil, err
	}
	if p.Variables, err = e.mapping(members["variables"], "variables"); err != nil {
		return nil, err
	}
	if p.Extensions, err = e.mapping(members["extensions"], "extensions"); err != nil {
		return nil, err
	}
	return p, nil
}

// mapping decodes a member that is an object, null or absent. Numbers keep their digits.
func (e *Edge) mapping(raw json.RawMessage, name string) (map[string]any, error) {
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	if raw[0] != '{' {
		return nil, malformed(name + " must be an object")
	}
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return nil, malformed(name + " must be an object")
	}
	values, pure := inspect(m)
	if !pure {
		return nil, malformed(name + " must not contain NUL") // PostgreSQL stores none
	}
	if values > e.limits.Values { // coercing them costs far more than reading them
		return nil, errs.New(errs.LimitReached, "%s has too many values; %d are allowed", name, e.limits.Values)
	}
	return m, nil
}

// inspect counts the values in v; pure is false when a text among them contains NUL.
func inspect(v any) (values int, pure bool) {
	values, pure = 1, true
	switch x := v.(type) {
	case string:
		pure = strings.IndexByte(x, 0) < 0
	case []any:
		for _, each := range x {
			n, ok := inspect(each)
			values, pure = values+n, pure && ok
		}
	case map[string]any:
		for key, each := range x {
			n, ok := inspect(each)
			values, pure = values+n, pure && ok && strings.IndexByte(key, 0) < 0
		}
	}
	return values, pure
}

var knownMembers = map[string]bool{
	"query": true, "operationName": true, "variables": true, "extensions": true, // a request
	"id": true, "type": true, "payload": true, // a message on a socket
}

// object splits one JSON object into its members.
func object(body []byte, nesting int) (map[string]json.RawMessage, error) {
	if err := plain(body, nesting); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, malformed("send one JSON object; batches are not offered")
	}
	broken := malformed("the JSON is malformed")
	members := make(map[string]json.RawMessage, 4)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, broken
		}
		name, _ := key.(string)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, broken
		}
		if !knownMembers[name] {
			continue
		}
		if _, twice := members[name]; twice {
			return nil, malformed(name + " is given twice")
		}
		members[name] = raw
	}
	if _, err := d.Token(); err != nil {
		return nil, broken
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, malformed("send exactly one JSON object")
	}
	return members, nil
}

// plain refuses bytes that are no text and JSON that nests too deeply, before any
// decoder recurses into it.
func plain(body []byte, nesting int) error {
	if !utf8.Valid(body) {
		return malformed("the body is not valid UTF-8")
	}
	if bytes.IndexByte(body, 0) >= 0 {
		return malformed("the body must not contain NUL")
	}
	depth, inText := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inText:
			if c == '\\' {
				i++
			} else if c == '"' {
				inText = false
			}
		case c == '"':
			inText = true
		case c == '{' || c == '[':
			if depth++; depth > nesting {
				return errs.New(errs.LimitReached, "the JSON nests too deeply; %d levels are allowed", nesting)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// fromURL reads a GET.
func (e *Edge) fromURL(raw string) (*params, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, malformed("the query string is malformed")
	}
	members := make(map[string]json.RawMessage, 4)
	for _, name := range [...]string{"query", "operationName", "variables", "extensions"} {
		given := values[name]
		if len(given) > 1 {
			return nil, malformed(name + " is given twice")
		}
		if len(given) == 0 || given[0] == "" {
			continue
		}
		text := given[0]
		if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
			return nil, malformed(name + " is not valid UTF-8 text")
		}
		if name == "query" || name == "operationName" {
			quoted, err := json.Marshal(text)
			if err != nil {
				return nil, malformed(name + " is not valid UTF-8 text")
			}
			members[name] = quoted
			continue
		}
		trimmed := bytes.TrimSpace([]byte(text))
		if err := plain(trimmed, e.limits.Nesting); err != nil {
			return nil, err
		}
		if len(trimmed) == 0 || !json.Valid(trimmed) {
			return nil, malformed(name + " must be a JSON object")
		}
		members[name] = trimmed
	}
	return e.request(members)
}

// appendResponse writes an answer without decoding the data again.
func appendResponse(b []byte, r *graphql.Response) []byte {
	b = append(b, '{')
	comma := false
	member := func(name string) {
		if comma {
			b = append(b, ',')
		}
		comma = true
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, '"', ':')
	}
	if len(r.Errors) > 0 {
		member("errors")
		b = appendJSON(b, r.Errors)
	}
	if len(r.Data) > 0 {
		member("data")
		b = append(b, r.Data...)
	}
	if len(r.Extensions) > 0 {
		member("extensions")
		b = appendJSON(b, r.Extensions)
	}
	return append(b, '}')
}

func appendJSON(b []byte, v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil { // an extension that is no JSON: ours, and worth no request
		return append(b, "null"...)
	}
	return append(b, encoded...)
}
