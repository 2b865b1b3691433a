package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"switchboard/graph"
	"switchboard/internal/demo"
	"switchboard/internal/id"
)

// samples are values for what a field must be given, by the name of the argument or
// input field; other values follow from the type.
var samples = map[string]any{
	"to": "+12025550155", "body": "Hello", "email": "new@b.test", "number": "+12025550156", "phoneNumber": "+12025550157",
	"accountSid": "ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "authToken": strings.Repeat("a", 32), "phoneNumberSid": "PN" + strings.Repeat("b", 32),
	"password": "some horse battery", "newPassword": "some horse battery", "currentPassword": "wrong horse battery",
	"url":   "http://127.0.0.1:1025/",
	"token": "none", "refreshToken": "none", "digits": "1",
}

// roots are the root fields of the contract, by "Query.call".
func roots(schema *ast.Schema) map[string]*ast.FieldDefinition {
	all := map[string]*ast.FieldDefinition{}
	for _, t := range []*ast.Definition{schema.Query, schema.Mutation, schema.Subscription} {
		for _, f := range t.Fields {
			if !strings.HasPrefix(f.Name, "__") {
				all[t.Name+"."+f.Name] = f
			}
		}
	}
	return all
}

// asking builds operations from the schema.
type asking struct {
	schema *ast.Schema
	// edges asks nodes for the lists that they lead to.
	edges bool
}

// operation is a document that asks a root field for everything it gives, its arguments
// as variables.
func (a asking) operation(field string, f *ast.FieldDefinition) string {
	kind, _, _ := strings.Cut(field, ".")
	var declared, passed []string
	for _, x := range f.Arguments {
		declared = append(declared, "$"+x.Name+": "+x.Type.String())
		passed = append(passed, x.Name+": $"+x.Name)
	}
	args := func(l []string) string {
		if len(l) == 0 {
			return ""
		}
		return "(" + strings.Join(l, ", ") + ")"
	}
	return fmt.Sprintf("%s%s { %s%s %s }", strings.ToLower(kind), args(declared), f.Name, args(passed), a.selection(f.Type.Name(), 2))
}

// selection is every leaf of a type, and of what it leads to.
func (a asking) selection(name string, depth int) string {
	t := a.schema.Types[name]
	switch t.Kind {
	case ast.Scalar, ast.Enum:
		return ""
	case ast.Interface, ast.Union:
		b := "{ __typename"
		for _, p := range a.schema.GetPossibleTypes(t) {
			b += " ... on " + p.Name + " { id_" + p.Name + ": __typename " + strings.Trim(a.selection(p.Name, 0), "{}") + " }"
		}
		return b + " }"
	}
	b := "{ __typename"
	for _, f := range t.Fields {
		under := a.schema.Types[f.Type.Name()]
		switch {
		case a.edges && depth > 0 && f.Name != "edges" && leadsTo(f, under) != nil:
			list := ""
			if f.Arguments.ForName("first") != nil {
				list = "(first: 5)"
			}
			b += " " + f.Name + list + " { nodes " + a.selection(leadsTo(f, under).Name(), 0) + " }"
		case strings.HasPrefix(f.Name, "__"), len(f.Arguments) > 0, f.Name == "edges":
		case under.Kind == ast.Scalar || under.Kind == ast.Enum:
			if depth > 0 || f.Name == "id" || f.Name == "name" || t.Name == "UserError" {
				b += " " + f.Name
			}
		case depth > 0 && under.Kind == ast.Object:
			b += " " + f.Name + " " + a.selection(f.Type.Name(), depth-1)
		}
	}
	return b + " }"
}

// leadsTo is what a field is a list of, page by page, if it can be asked without
// arguments; nil for other fields.
func leadsTo(f *ast.FieldDefinition, t *ast.Definition) *ast.Type {
	nodes := t.Fields.ForName("nodes")
	if nodes == nil || slices.ContainsFunc(f.Arguments, func(x *ast.ArgumentDefinition) bool { return x.Type.NonNull && x.DefaultValue == nil }) {
		return nil
	}
	return nodes.Type
}

// value is a valid value of a type: what is optional is left out.
func (a asking) value(name string, t *ast.Type) any {
	if t.Elem != nil {
		return []any{}
	}
	def := a.schema.Types[t.Name()]
	switch def.Kind {
	case ast.Enum:
		return def.EnumValues[0].Name
	case ast.InputObject:
		v := map[string]any{}
		for _, f := range def.Fields {
			if f.Type.NonNull && f.DefaultValue == nil {
				v[f.Name] = a.value(f.Name, f.Type)
			}
		}
		return v
	}
	if s, ok := samples[name]; ok && t.Name() == "String" {
		return s
	}
	switch t.Name() {
	case "Date":
		return "2026-03-02"
	case "Int":
		return 1
	case "Boolean":
		return true
	case "Time":
		return "2026-03-02T09:00:00Z"
	case "ID":
		return id.New(id.Contact).String()
	}
	return "Sample"
}

// arguments are valid ones for a root field, without what is optional.
func (a asking) arguments(f *ast.FieldDefinition) demo.Vars {
	vars := demo.Vars{}
	for _, x := range f.Arguments {
		if x.Type.NonNull {
			vars[x.Name] = a.value(x.Name, x.Type)
		}
	}
	return vars
}

// ids are the paths to every ID among a field's arguments, such as input.voicemail.ownerId.
func (a asking) ids(f *ast.FieldDefinition) (paths [][]string) {
	var walk func(t *ast.Type, path []string, seen []string)
	walk = func(t *ast.Type, path []string, seen []string) {
		def := a.schema.Types[t.Name()]
		switch {
		case t.Name() == "ID":
			paths = append(paths, slices.Clone(path))
		case def.Kind == ast.InputObject && !slices.Contains(seen, def.Name):
			for _, x := range def.Fields {
				walk(x.Type, append(path, x.Name), append(seen, def.Name))
			}
		}
	}
	for _, x := range f.Arguments {
		walk(x.Type, []string{x.Name}, nil)
	}
	return paths
}

// places are the kinds of a menu's destination by the id that each needs.
var places = map[string]string{"teamId": "TEAM", "branchId": "BRANCH", "userId": "USER", "menuId": "MENU"}

// put sets the value at a path; where the schema wants a list it is a list of one.
func (a asking) put(f *ast.FieldDefinition, vars demo.Vars, path []string, value string) {
	t := f.Arguments.ForName(path[0]).Type
	at := map[string]any(vars)
	for _, name := range path[1:] {
		under, _ := at[path[0]].(map[string]any)
		if under == nil { // with what it cannot be without
			under, _ = a.value(path[0], ast.NamedType(t.Name(), nil)).(map[string]any)
			at[path[0]] = under
		}
		at, path = under, path[1:]
		t = a.schema.Types[t.Name()].Fields.ForName(name).Type
	}
	if kind := places[path[0]]; kind != "" && at["kind"] == "ROUTE" {
		at["kind"] = kind
	}
	if t.Elem != nil {
		at[path[0]] = []any{value}
		return
	}
	at[path[0]] = value
}

// answered is the whole answer to an operation, without the number of the request.
func (s *story) answered(who *demo.Client, query string, vars demo.Vars) string {
	s.t.Helper()
	if strings.HasPrefix(query, "subscription") {
		return s.streamed(who, query, vars)
	}
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	s.Must(err)
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, who.URL, bytes.NewReader(body))
	s.Must(err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/graphql-response+json")
	if t := who.Token(); t != "" {
		r.Header.Set("Authorization", "Bearer "+t)
	}
	res, err := who.HTTP.Do(r)
	s.Must(err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	s.Must(err)
	return res.Status + " " + requestIDs.ReplaceAllString(string(raw), `"requestId":"…"`)
}

// streamed is the first answer of a subscription, or how it is refused.
func (s *story) streamed(who *demo.Client, query string, vars demo.Vars) string {
	s.t.Helper()
	st, err := who.WatchSSE(s.t.Context(), query, vars)
	if err != nil {
		return requestIDs.ReplaceAllString(err.Error(), "…")
	}
	defer st.Stop()
	var raw json.RawMessage
	f := feed{t: s.t, Stream: st}
	if err := f.first(&raw); err != nil {
		return err.Error()
	}
	return string(raw)
}

var requestIDs = regexp.MustCompile(`"requestId":"[^"]*"`)

// Every root field needs a token, unless the contract says otherwise.
func TestWithoutATokenNothingIsAnsweredThatIsNotPublic(t *testing.T) {
	s := newStory(t)
	a := asking{schema: graph.Schema()}
	nobody := s.Admin.As("")
	public := 0
	for field, f := range roots(a.schema) {
		answer := s.answered(nobody, a.operation(field, f), a.arguments(f))
		if f.Directives.ForName("public") != nil {
			public++
			if strings.Contains(answer, "UNAUTHENTICATED") && !strings.HasPrefix(field, "Mutation.session") {
				t.Errorf("%s is public and answers %s", field, answer)
			}
			continue
		}
		if !strings.Contains(answer, "UNAUTHENTICATED") && !strings.Contains(answer, "LIMIT_REACHED") {
			t.Errorf("%s answers nobody: %s", field, answer)
		}
		if strings.Contains(answer, s.OrganizationID) {
			t.Errorf("%s shows nobody: %s", field, answer)
		}
	}
	if public != 3 {
		t.Errorf("%d fields are public, want signing in, refreshing and accepting an invitation", public)
	}
}

// The role is the master gate (R234): each field with a permission is refused to a role
// that has every other one, and to every built-in role that lacks it.
func TestEveryFieldWithAPermissionIsRefusedWithoutIt(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	a := asking{schema: graph.Schema()}
	var everything []string
	for _, v := range a.schema.Types["Permission"].EnumValues {
		everything = append(everything, v.Name)
	}
	guarded := map[string][]string{} // fields by permission
	for field, f := range roots(a.schema) {
		if d := f.Directives.ForName("can"); d != nil {
			p := d.Arguments.ForName("do").Value.Raw
			guarded[p] = append(guarded[p], field)
		}
	}
	if len(guarded) < 12 {
		t.Fatalf("only %d permissions guard anything: %v", len(guarded), guarded)
	}
	var made struct{ RoleCreate struct{ Role ref } }
	s.Do(`mutation($p: [Permission!]!) { roleCreate(input: {name: "Probe", permissions: $p, visibility: ORGANIZATION}) { role { id } userErrors { code field message } } }`,
		demo.Vars{"p": everything}, &made)
	probe := s.User("probe", "OFFICE", "")
	s.change(probe, demo.Vars{"roleId": made.RoleCreate.Role.ID})
	probe.Client = s.SignIn("probe")
	forbidden := func(who *demo.Client, field string) (string, bool) {
		f := roots(a.schema)[field]
		answer := s.answered(who, a.operation(field, f), a.arguments(f))
		return answer, strings.Contains(answer, "FORBIDDEN")
	}
	for p, fields := range guarded {
		s.Do(`mutation($r: ID!, $p: [Permission!]!) { roleUpdate(id: $r, input: {permissions: $p}) { userErrors { code field message } } }`,
			demo.Vars{"r": made.RoleCreate.Role.ID, "p": slices.DeleteFunc(slices.Clone(everything), func(x string) bool { return x == p })}, nil)
		for _, field := range fields {
			answer, refused := forbidden(probe.Client, field)
			if !refused || !strings.Contains(answer, p) {
				t.Errorf("%s without %s answers %s", field, p, answer)
			}
			if strings.HasPrefix(field, "Mutation.") && !strings.Contains(answer, `"userErrors":[{`) {
				t.Errorf("%s without %s says so, and not as a userError: %s", field, p, answer)
			}
		}
	}
	var list struct {
		Roles []struct {
			BuiltIn     string
			Permissions []string
		}
	}
	s.Do(`{ roles { builtIn permissions } }`, nil, &list)
	for _, r := range list.Roles {
		if r.BuiltIn == "" || r.BuiltIn == "ADMIN" {
			continue
		}
		who := s.User(strings.ToLower(r.BuiltIn), r.BuiltIn, "").Client
		for p, fields := range guarded {
			for _, field := range fields {
				answer, refused := forbidden(who, field)
				if want := !slices.Contains(r.Permissions, p); refused != want {
					t.Errorf("%s for the role %s, which has %v: refused %v: %s", field, r.BuiltIn, r.Permissions, refused, answer)
				}
			}
		}
	}
}
