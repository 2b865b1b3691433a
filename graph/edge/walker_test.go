package edge

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"

	"switchboard/internal/errs"
)

// Time is measured in selections looked at: the text has n of them, so the work is n at most.
func TestWalkerWorksInProportionToTheTextAndNotToWhatItStandsFor(t *testing.T) {
	t.Parallel()
	doubling := func(n int) string {
		var b strings.Builder
		b.WriteString("{ viewer { ...F0 } }")
		for i := range n {
			fmt.Fprintf(&b, " fragment F%d on User { a: friends { ...F%d } b: friends { ...F%d } }", i, i+1, i+1)
		}
		fmt.Fprintf(&b, " fragment F%d on User { id }", n)
		return b.String()
	}
	for why, c := range map[string]struct {
		text   string
		visits int       // at most
		code   errs.Code // "fine" is not refused, "" is what validation would refuse too
	}{
		"26 fragments that double each other":  {doubling(26), 130, errs.LimitReached},
		"45 of them":                           {doubling(45), 225, errs.LimitReached},
		"200 levels":                           {strings.Repeat("{friends", 200) + "{id}" + strings.Repeat("}", 200), 60, errs.LimitReached},
		"a flood of one name":                  {"{ viewer {" + strings.Repeat("id ", 900) + "} }", 901, errs.LimitReached},
		"the flood in inline fragments":        {"{ viewer {" + strings.Repeat("... on User { id } ", 450) + "} }", 901, errs.LimitReached},
		"the flood in fragments":               {"{ viewer {" + numbered("...F%d ", 45) + "} }" + numbered(" fragment F%d on User {"+strings.Repeat(" id ", 20)+"}", 45), 946, errs.LimitReached},
		"the flood spread over two levels":     {"{ viewer {" + strings.Repeat("friends {"+strings.Repeat(" id ", 29)+"} ", 29) + "} }", 872, errs.LimitReached},
		"a flood of root fields":               {"{" + strings.Repeat("__typename ", 900) + "}", 901, errs.LimitReached},
		"a flood of aliases":                   {"{" + numbered("a%d: ping ", 900) + "}", 51, errs.LimitReached},
		"a flood of spreads":                   {"{" + strings.Repeat("...F ", 2000) + "} fragment F on Query { ping }", 1001, errs.LimitReached},
		"a flood of unknown spreads":           {"{" + numbered("...F%d ", 900) + "}", 1, ""},
		"a flood of empty wrappers":            {strings.Repeat("{ ... ", 900) + "{ ping }" + strings.Repeat("}", 900), 60, errs.LimitReached},
		"a fragment of itself":                 {"{ ...A } fragment A on Query { ...A }", 2, ""},
		"a ring of fragments":                  {"{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }", 3, ""},
		"a ring nobody spreads":                {"{ ping } fragment A on Query { ...B } fragment B on Query { ...A }", 1, ""},
		"a flood in a fragment nobody spreads": {"{ ping } fragment A on Query { " + strings.Repeat("ping ", 900) + "}", 1, ""},
		"two fragments of one name":            {"{ ...A } fragment A on Query { ping } fragment A on Query { ping }", 0, ""},
		"an honest document":                   {"query A { viewer { id ...N } calls { nodes { id } } } fragment N on User { name }", 7, "fine"},
	} {
		t.Run(why, func(t *testing.T) {
			doc, err := parser.ParseQuery(&ast.Source{Input: c.text})
			if err != nil {
				t.Fatal(err)
			}
			limits := DefaultLimits().Signed
			w := walker{limits: &limits}
			_, refused := w.document(doc)
			var invalid *gqlerror.Error
			got := errs.CodeOf(refused)
			switch {
			case refused == nil:
				got = "fine"
			case errors.As(refused, &invalid):
				got = ""
			}
			if got != c.code {
				t.Errorf("refused as %v, want %q", refused, c.code)
			}
			if w.visits > c.visits || w.merged > limits.Nodes || w.pairs > limits.Overlaps+limits.Nodes {
				t.Errorf("%d visits, want %d at most; %d merged, %d pairs", w.visits, c.visits, w.merged, w.pairs)
			}
		})
	}
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestShapeCountsWhatFragmentsStandFor(t *testing.T) {
	t.Parallel()
	doc, err := parser.ParseQuery(&ast.Source{Input: `
		query A { x: viewer @include(if: true) { ...N ... { friends { ...N } } } __schema { types { name } } ...R }
		fragment N on User { id n: name }
		fragment R on Query { ping viewer { id } }`})
	if err != nil {
		t.Fatal(err)
	}
	limits := DefaultLimits().Signed
	shapes, err := (&walker{limits: &limits}).document(doc)
	if err != nil {
		t.Fatal(err)
	}
	want := shape{nodes: 12, depth: 3, introspectionDepth: 3, aliases: 3, directives: 1, top: 4, introspects: true}
	if got := shapes[doc.Operations[0]]; got != want {
		t.Errorf("shape is %+v, want %+v", got, want)
	}
}

func TestDocumentsAreBoundedByCountAndBytes(t *testing.T) {
	t.Parallel()
	d := newDocuments(3, 100)
	for i := range 5 {
		d.add(fmt.Sprint(i), &document{})
	}
	if d.lru.Len() != 3 || d.bytes != 3 {
		t.Errorf("%d documents of %d bytes, want 3 of 3", d.lru.Len(), d.bytes)
	}
	d.add(strings.Repeat("a", 60), &document{})
	d.add(strings.Repeat("b", 60), &document{})
	d.add(strings.Repeat("c", 101), &document{})
	if d.lru.Len() != 1 || d.bytes != 60 || d.get(strings.Repeat("b", 60)) == nil {
		t.Errorf("%d documents of %d bytes, want the last of 60", d.lru.Len(), d.bytes)
	}
}
