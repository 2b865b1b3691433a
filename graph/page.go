package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

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

// edges makes the parts of a connection from a window.
func edges[T, E any](p db.Page, w db.Window[T], edge func(cursor string, node T) E) ([]E, []T, *model.PageInfo) {
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
	return out, nodes, info
}

// asked reports whether the client selected a field directly below the current
// one. Counting and preloading are done only for who asks.
func asked(ctx context.Context, path ...string) bool {
	op := graphql.GetOperationContext(ctx)
	fields := graphql.CollectFieldsCtx(ctx, nil)
	for i, name := range path {
		var below *graphql.CollectedField
		for j := range fields {
			if fields[j].Name == name {
				below = &fields[j]
				break
			}
		}
		if below == nil {
			return false
		}
		if i < len(path)-1 {
			fields = graphql.CollectFields(op, below.Selections, nil)
		}
	}
	return true
}

// askedNode reports whether the client selected a field of the nodes of a connection.
func askedNode(ctx context.Context, field string) bool {
	return asked(ctx, "nodes", field) || asked(ctx, "edges", "node", field)
}
