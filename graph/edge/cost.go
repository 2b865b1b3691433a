package edge

import (
	"context"
	"encoding/json"
	"math"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"switchboard/internal/errs"
)

// Field is a field whose cost is asked for. Where neither Options.Cost nor the schema
// answers, a field costs 1 and what is below it; a field with the argument first or
// last as many times that; another list of objects ten times that, except the lists of
// a connection, which its field has counted already. Introspection is not multiplied.
type Field struct {
	Type, Name string
	Children   int // what the selection below costs
	Arguments  map[string]any
}

const (
	listFactor  = 10 // a list without first: bounded by nature
	defaultPage = 25 // first is null or absent: what the product then gives (package db)
)

// costing adds up one operation. The walker has bounded the number of fields, so this
// needs no early exit.
type costing struct {
	edge *Edge
	ctx  context.Context
	vars map[string]any
}

func (c *costing) set(set ast.SelectionSet) int {
	total := 0
	for _, selection := range set {
		switch x := selection.(type) {
		case *ast.Field:
			total = plus(total, c.field(x))
		case *ast.InlineFragment:
			total = plus(total, c.set(x.SelectionSet))
		case *ast.FragmentSpread:
			if x.Definition != nil {
				total = plus(total, c.set(x.Definition.SelectionSet))
			}
		}
	}
	return total
}

func (c *costing) field(f *ast.Field) int {
	below := c.set(f.SelectionSet)
	if f.Definition == nil || f.ObjectDefinition == nil || strings.HasPrefix(f.ObjectDefinition.Name, "__") || strings.HasPrefix(f.Name, "__") {
		return plus(below, 1)
	}
	var arguments map[string]any
	if len(f.Definition.Arguments) > 0 {
		arguments = f.ArgumentMap(c.vars)
	}
	if cost, ok := c.known(f.ObjectDefinition, f.Name, below, arguments); ok {
		return max(cost, 0)
	}
	return plus(1, times(below, factor(f, arguments)))
}

// known asks the configured functions; for an interface the dearest object counts.
func (c *costing) known(parent *ast.Definition, name string, below int, arguments map[string]any) (int, bool) {
	types := []*ast.Definition{parent}
	if parent.IsAbstractType() {
		types = append(types, c.edge.schema.Schema().GetPossibleTypes(parent)...)
	}
	dearest, found := 0, false
	for _, t := range types {
		cost, ok := 0, false
		if c.edge.opts.Cost != nil {
			cost, ok = c.edge.opts.Cost(c.ctx, Field{Type: t.Name, Name: name, Children: below, Arguments: arguments})
		}
		if !ok && !t.IsAbstractType() {
			cost, ok = c.edge.schema.Complexity(c.ctx, t.Name, name, below, arguments)
		}
		if ok {
			dearest, found = max(dearest, min(cost, saturated)), true
		}
	}
	return dearest, found
}

func factor(f *ast.Field, arguments map[string]any) int {
	paged := false
	for _, name := range [...]string{"first", "last"} {
		if f.Definition.Arguments.ForName(name) == nil {
			continue
		}
		paged = true
		if n, ok := number(arguments[name]); ok {
			return min(max(n, 1), saturated)
		}
	}
	switch {
	case paged:
		return defaultPage
	case f.Definition.Type.Elem == nil || strings.HasSuffix(f.ObjectDefinition.Name, "Connection"):
		return 1
	}
	return listFactor
}

func number(v any) (int, bool) {
	switch n := v.(type) {
	case int64:
		return int(min(max(n, 0), saturated)), true
	case int:
		return min(max(n, 0), saturated), true
	case float64:
		return int(math.Min(math.Max(n, 0), saturated)), true
	case json.Number:
		i, err := n.Int64()
		return int(min(max(i, 0), saturated)), err == nil
	}
	return 0, false
}

func times(a, b int) int {
	if a != 0 && b > saturated/a {
		return saturated
	}
	return a * b
}

// permit checks what depends on who asks and on the variables: introspection, cost,
// mutations that cost money.
func (e *Edge) permit(ctx context.Context, r *Request, doc *document, oc *graphql.OperationContext) gqlerror.List {
	if doc.shapes[oc.Operation].introspects && !r.Who.MayIntrospect {
		return refuse(errs.New(errs.Forbidden, "introspection is not allowed for this role; the schema is published as a file"))
	}
	c := costing{edge: e, ctx: ctx, vars: oc.Variables}
	if cost := c.set(oc.Operation.SelectionSet); cost > r.limits.Cost {
		return refuse(errs.New(errs.LimitReached, "the operation costs %d; %d are allowed: ask for fewer fields or smaller pages", cost, r.limits.Cost))
	}
	if oc.Operation.Operation == ast.Mutation && e.opts.Costly != nil {
		if n := e.costly(oc.Operation.SelectionSet); n > r.limits.CostlyFields {
			return refuse(errs.New(errs.LimitReached, "the operation has %d mutations that cost money; %d are allowed at a time", n, r.limits.CostlyFields))
		}
	}
	return nil
}

func (e *Edge) costly(set ast.SelectionSet) int {
	n := 0
	for _, selection := range set {
		switch x := selection.(type) {
		case *ast.Field:
			if e.opts.Costly(x.Name) {
				n++
			}
		case *ast.InlineFragment:
			n += e.costly(x.SelectionSet)
		case *ast.FragmentSpread:
			if x.Definition != nil {
				n += e.costly(x.Definition.SelectionSet)
			}
		}
	}
	return n
}
