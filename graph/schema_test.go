package graph_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"

	"switchboard/graph"
)

var update = flag.Bool("update", false, "write the goldens anew")

// The printed contract is committed: whoever changes the schema sees what
// clients will see.
func TestContractIsTheCommittedOne(t *testing.T) {
	t.Parallel()
	const file = "../schema.graphqls"
	got := graph.Contract()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("schema.graphqls is not the printed contract; run `make generate` (-committed +printed):\n%s", d)
	}
}

var (
	pascal = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	camel  = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
	caps   = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
)

// The rules of the contract: names, descriptions, connections, payloads.
func TestContractKeepsItsOwnRules(t *testing.T) {
	t.Parallel()
	schema := graph.Schema()
	for name, def := range schema.Types {
		if def.BuiltIn || strings.HasPrefix(name, "__") {
			continue
		}
		if !pascal.MatchString(name) {
			t.Errorf("type %s: types are PascalCase", name)
		}
		if def.Description == "" {
			t.Errorf("type %s has no description", name)
		}
		for _, v := range def.EnumValues {
			if !caps.MatchString(v.Name) {
				t.Errorf("%s.%s: enum values are CAPS", name, v.Name)
			}
			if v.Description == "" {
				t.Errorf("%s.%s has no description", name, v.Name)
			}
		}
		for _, f := range def.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			checkField(t, def, f)
		}
		switch {
		case strings.HasSuffix(name, "Connection") && name != "TwilioConnection":
			for _, want := range []string{"edges", "nodes", "pageInfo"} {
				if f := def.Fields.ForName(want); f == nil || !f.Type.NonNull {
					t.Errorf("%s.%s is missing or nullable: every connection has it", name, want)
				}
			}
		case strings.HasSuffix(name, "Payload"):
			if f := def.Fields.ForName("userErrors"); f == nil || f.Type.String() != "[UserError!]!" {
				t.Errorf("%s has no userErrors: [UserError!]!", name)
			}
			for _, f := range def.Fields {
				if f.Type.NonNull && f.Type.Elem == nil {
					t.Errorf("%s.%s is non-null: a payload with errors could not be answered", name, f.Name)
				}
			}
		}
	}
	for _, m := range schema.Mutation.Fields {
		if want := strings.ToUpper(m.Name[:1]) + m.Name[1:] + "Payload"; m.Type.Name() != want {
			t.Errorf("mutation %s answers %s, want %s", m.Name, m.Type.Name(), want)
		}
	}
}

func checkField(t *testing.T, def *ast.Definition, f *ast.FieldDefinition) {
	t.Helper()
	at := def.Name + "." + f.Name
	if !camel.MatchString(f.Name) {
		t.Errorf("%s: fields are camelCase", at)
	}
	if f.Description == "" {
		t.Errorf("%s has no description", at)
	}
	if f.Type.Name() == "Time" && !strings.HasSuffix(f.Name, "At") && f.Name != "at" && def.Kind != ast.InputObject {
		t.Errorf("%s is a Time: its name ends in At", at)
	}
	if f.Type.Name() == "Boolean" && f.Type.Elem != nil {
		t.Errorf("%s is a list of booleans", at)
	}
	for _, a := range f.Arguments {
		if a.Description == "" {
			t.Errorf("%s(%s:) has no description", at, a.Name)
		}
	}
	// Whoever pages a list must be able to go on.
	if strings.HasSuffix(f.Type.Name(), "Connection") && f.Type.Name() != "TwilioConnection" {
		if f.Arguments.ForName("first") == nil || f.Arguments.ForName("after") == nil {
			t.Errorf("%s answers a connection without first and after", at)
		}
	}
	if def.Name == "WebhookDelivery" { // eventId and subjectId: as they stand in the posted body
		return
	}
	if def.Kind == ast.Object && strings.HasSuffix(f.Name, "Id") && f.Type.Name() == "ID" && f.Name != "sessionId" && !strings.HasPrefix(f.Name, "deleted") {
		t.Errorf("%s is a bare id: references are objects", at)
	}
}
