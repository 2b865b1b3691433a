package graph

import (
	"context"

	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

// consents is a page of words about consent.
func (r *Resolver) consents(ctx context.Context, f message.ConsentFilter, p db.Page) (*model.ConsentConnection, error) {
	w, err := r.d.Messages.Consents(ctx, access.From(ctx), f, p)
	if err != nil {
		return nil, err
	}
	c := &model.ConsentConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *message.Consent) *model.ConsentEdge {
		return &model.ConsentEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

// senderWarnings are what keeps messages of numbers from arriving, in a constant
// number of statements.
func (r *Resolver) senderWarnings(ctx context.Context, numbers []id.ID) (map[id.ID][]string, error) {
	found, err := r.d.Numbers.ByIDs(ctx, numbers)
	if err != nil {
		return nil, err
	}
	connections := []id.ID{}
	seen := map[id.ID]bool{}
	for _, n := range found {
		if !seen[n.ConnectionID] {
			seen[n.ConnectionID] = true
			connections = append(connections, n.ConnectionID)
		}
	}
	countries, err := r.d.Numbers.Countries(ctx, connections)
	if err != nil {
		return nil, err
	}
	homes, err := r.d.Numbers.Homes(ctx, connections)
	if err != nil {
		return nil, err
	}
	senders, err := r.d.Numbers.AllSenders(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[id.ID][]string, len(found))
	for _, n := range found {
		out[n.ID] = message.SenderWarnings(n, countries[n.ConnectionID], homes[n.ConnectionID], senders)
	}
	return out, nil
}

// warningsOf are the warnings of one number, read anew after a change.
func (r *Resolver) warningsOf(ctx context.Context, number id.ID) ([]string, error) {
	loader.From(ctx).SenderWarnings.Clear(number)
	return all(loader.From(ctx).SenderWarnings.Load(ctx, number))
}
