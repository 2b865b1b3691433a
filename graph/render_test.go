package graph

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryNodeCanBeShownToAMachine(t *testing.T) { // webhooks out
	t.Parallel()
	schema := Schema()
	var want []string
	for _, x := range schema.GetPossibleTypes(schema.Types["Node"]) {
		want = append(want, x.Name)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(maps.Values(nodeTypes))); diff != "" {
		t.Errorf("the types of nodes (-schema +nodeTypes):\n%s", diff)
	}
	x := New(Domains{}).Renderer() // panics when a document is not valid
	for _, name := range want {
		if x.documents[name] == "" {
			t.Errorf("%s has no document", name)
		}
	}
}
