package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/db"
)

// page reads the arguments of a connection.
func page(first *int, after *string) db.Page {
	var p db.Page
	if first != nil {
		p.First = *first
		if *first == 0 { // asked for nothing: said apart from "unless told"
			p.First = -1
		}
	}
	if after != nil {
		p.After = *after
	}
	return p
}

// edges makes the parts of a connection from a window. What the client asks of
// every node is read now, one statement a table, so that a page costs the same
// however long it is.
func edges[T, E any](ctx context.Context, p db.Page, w db.Window[T], edge func(cursor string, node T) E) ([]E, []T, *model.PageInfo, error) {
	out := make([]E, len(w.Nodes))
	for i, n := range w.Nodes {
		out[i] = edge(w.Cursor(i), n)
	}
	nodes := w.Nodes
	if nodes == nil {
		nodes = []T{}
	}
	info := &model.PageInfo{HasNextPage: w.HasNext, HasPreviousPage: p.After != ""}
	if len(nodes) > 0 {
		start, end := w.StartCursor(), w.EndCursor()
		info.StartCursor, info.EndCursor = &start, &end
	}
	return out, nodes, info, loader.Ahead(ctx, nodes, askedOfNodes(ctx))
}

// asked reports whether the client selected a field directly below the current
// one. Counting is done only for who asks.
func asked(ctx context.Context, field string) bool {
	return named(graphql.CollectFieldsCtx(ctx, nil), field) != nil
}

// askedOfNodes tells what the client selected below the nodes of the connection
// being made, whichever way it writes them.
func askedOfNodes(ctx context.Context) loader.Asked {
	op := graphql.GetOperationContext(ctx)
	below := func(f *graphql.CollectedField) []graphql.CollectedField {
		if f == nil {
			return nil
		}
		return graphql.CollectFields(op, f.Selections, nil)
	}
	connection := graphql.CollectFieldsCtx(ctx, nil)
	ways := [][]graphql.CollectedField{below(named(connection, "nodes")), below(named(below(named(connection, "edges")), "node"))}
	return func(path ...string) bool {
		for _, fields := range ways {
			f := named(fields, path[0])
			for _, name := range path[1:] {
				f = named(below(f), name)
			}
			if f != nil {
				return true
			}
		}
		return false
	}
}

// named is the first field of the name, nil when there is none.
func named(fields []graphql.CollectedField, name string) *graphql.CollectedField {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}
