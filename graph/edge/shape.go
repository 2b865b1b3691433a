package edge

import (
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"switchboard/internal/errs"
)

// shape is what a selection amounts to once every fragment is spread in its place.
// The numbers saturate, so that a bomb cannot wrap them round.
type shape struct {
	nodes, depth, introspectionDepth, aliases, directives int
	top                                                   int // fields at its own level
	introspects                                           bool
}

const saturated = 1 << 30

func plus(a, b int) int { return min(a+b, saturated) }

func (s *shape) add(o shape) {
	s.nodes = plus(s.nodes, o.nodes)
	s.aliases = plus(s.aliases, o.aliases)
	s.directives = plus(s.directives, o.directives)
	s.top = plus(s.top, o.top)
	s.depth = max(s.depth, o.depth)
	s.introspectionDepth = max(s.introspectionDepth, o.introspectionDepth)
	s.introspects = s.introspects || o.introspects
}

// walker measures a parsed, not yet validated document. Every fragment is measured
// once and its measure added wherever it is spread, so the work is bounded by the text
// and not by what the text stands for: 26 fragments that double each other are 26
// steps, not 33 million. It ends at the first limit that is broken.
type walker struct {
	limits    *DocumentLimits
	fragments map[string]*measured
	visits    int // selections looked at
	pairs     int // of one name in one place
	merged    int // fields looked at to count them
}

// malformedDocument is a fault that validation would find as well, but later and at a
// higher price.
func malformedDocument(what string) error {
	err := gqlerror.Errorf("%s", what)
	errcode.Set(err, errcode.ValidationFailed)
	return err
}

type measured struct {
	definition *ast.FragmentDefinition
	shape      shape
	state      byte // 0 unseen, 1 being measured, 2 done
}

func tooMuch(what string, limit int) error {
	return errs.New(errs.LimitReached, "the document has too many %s; %d are allowed", what, limit)
}

// document measures every operation and fragment.
func (w *walker) document(doc *ast.QueryDocument) (map[*ast.OperationDefinition]shape, error) {
	if len(doc.Operations) > w.limits.Operations {
		return nil, tooMuch("operations", w.limits.Operations)
	}
	if len(doc.Fragments) > w.limits.Fragments {
		return nil, tooMuch("fragments", w.limits.Fragments)
	}
	w.fragments = make(map[string]*measured, len(doc.Fragments))
	for _, f := range doc.Fragments {
		if w.fragments[f.Name] != nil {
			return nil, malformedDocument("two fragments of the document have one name")
		}
		w.fragments[f.Name] = &measured{definition: f}
	}
	shapes := make(map[*ast.OperationDefinition]shape, len(doc.Operations))
	for _, op := range doc.Operations {
		if len(op.VariableDefinitions) > w.limits.Variables {
			return nil, tooMuch("variables", w.limits.Variables)
		}
		s, err := w.set(op.SelectionSet, 1)
		if err != nil {
			return nil, err
		}
		s.directives = plus(s.directives, len(op.Directives))
		for _, v := range op.VariableDefinitions {
			s.directives = plus(s.directives, len(v.Directives))
		}
		limit := w.limits.RootFields
		if op.Operation == ast.Mutation {
			limit = w.limits.MutationFields
		}
		if s.top > limit {
			return nil, tooMuch("root fields", limit)
		}
		if err := w.check(s); err != nil {
			return nil, err
		}
		shapes[op] = s
	}
	for _, f := range w.fragments {
		if f.state == 0 {
			return nil, malformedDocument("the document defines a fragment that no operation spreads")
		}
	}
	for _, op := range doc.Operations { // bounded now: what it spreads has at most Nodes fields
		if err := w.overlaps(op.SelectionSet); err != nil {
			return nil, err
		}
	}
	return shapes, nil
}

func (w *walker) check(s shape) error {
	switch l := w.limits; {
	case s.depth > l.Depth:
		return errs.New(errs.LimitReached, "the document nests too deeply; %d levels are allowed", l.Depth)
	case s.introspectionDepth > l.IntrospectionDepth:
		return errs.New(errs.LimitReached, "the introspection nests too deeply; %d levels are allowed", l.IntrospectionDepth)
	case s.nodes > l.Nodes:
		return tooMuch("fields", l.Nodes)
	case s.aliases > l.Aliases:
		return tooMuch("aliases", l.Aliases)
	case s.directives > l.Directives:
		return tooMuch("directives", l.Directives)
	}
	return nil
}

// set measures one selection set.
func (w *walker) set(set ast.SelectionSet, level int) (shape, error) {
	var s shape
	if level > w.limits.Depth+w.limits.IntrospectionDepth {
		return s, errs.New(errs.LimitReached, "the document nests too deeply; %d levels are allowed", w.limits.Depth)
	}
	for _, selection := range set {
		if w.visits++; w.visits > w.limits.Nodes {
			return s, tooMuch("fields", w.limits.Nodes)
		}
		var part shape
		var err error
		switch x := selection.(type) {
		case *ast.Field:
			part, err = w.field(x, level)
		case *ast.InlineFragment:
			if part, err = w.set(x.SelectionSet, level+1); err == nil {
				part.directives = plus(part.directives, len(x.Directives))
				err = deferred(x.Directives)
			}
		case *ast.FragmentSpread:
			if part, err = w.fragment(x.Name, level+1); err == nil {
				part.directives = plus(part.directives, len(x.Directives))
				err = deferred(x.Directives)
			}
		}
		if err != nil {
			return s, err
		}
		s.add(part)
		if err := w.check(s); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (w *walker) field(f *ast.Field, level int) (shape, error) {
	s, err := w.set(f.SelectionSet, level+1)
	if err != nil {
		return s, err
	}
	s.nodes = plus(s.nodes, 1)
	s.directives = plus(s.directives, len(f.Directives))
	if f.Alias != f.Name {
		s.aliases = plus(s.aliases, 1)
	}
	s.top = 1
	if f.Name == "__schema" || f.Name == "__type" {
		s.introspects, s.introspectionDepth, s.depth = true, s.depth+1, 1
	} else {
		s.depth++
	}
	return s, nil
}

func (w *walker) fragment(name string, level int) (shape, error) {
	m := w.fragments[name]
	switch {
	case m == nil:
		return shape{}, malformedDocument("the document spreads a fragment that it does not define")
	case m.state == 1:
		return shape{}, malformedDocument("a fragment of the document spreads itself")
	case m.state == 2:
		return m.shape, nil
	}
	m.state = 1
	s, err := w.set(m.definition.SelectionSet, level)
	if err != nil {
		return s, err
	}
	s.directives = plus(s.directives, len(m.definition.Directives))
	m.shape, m.state = s, 2
	return s, nil
}

// overlaps counts the pairs of fields that answer under one name in one place. Each is
// compared with each when the document is validated, and their selections likewise, so
// that a thousand fields can cost half a million comparisons.
func (w *walker) overlaps(sets ...ast.SelectionSet) error {
	type place struct {
		fields int
		below  []ast.SelectionSet
	}
	places := map[string]*place{}
	var gather func(ast.SelectionSet) error
	gather = func(set ast.SelectionSet) error {
		for _, selection := range set {
			var err error
			switch x := selection.(type) {
			case *ast.Field:
				w.merged++
				p := places[x.Alias]
				if p == nil {
					p = &place{}
					places[x.Alias] = p
				}
				if w.pairs += p.fields; w.pairs > w.limits.Overlaps {
					return errs.New(errs.LimitReached, "the document selects the same fields too often in one place")
				}
				p.fields++
				if len(x.SelectionSet) > 0 {
					p.below = append(p.below, x.SelectionSet)
				}
			case *ast.InlineFragment:
				err = gather(x.SelectionSet)
			case *ast.FragmentSpread:
				err = gather(w.fragments[x.Name].definition.SelectionSet)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, set := range sets {
		if err := gather(set); err != nil {
			return err
		}
	}
	for _, p := range places {
		if len(p.below) > 0 {
			if err := w.overlaps(p.below...); err != nil {
				return err
			}
		}
	}
	return nil
}

// deferred refuses @defer, which gqlparser's prelude declares and no transport here offers.
func deferred(list ast.DirectiveList) error {
	if list.ForName("defer") != nil {
		return errs.New(errs.Unsupported, "@defer is not offered; ask for the rest in a second operation")
	}
	return nil
}
