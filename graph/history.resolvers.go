package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/history"
)

func (r *contactResolver) Timeline(ctx context.Context, obj *contact.Contact, first *int, after *string, filter *model.TimelineFilter) (*model.TimelineConnection, error) {
	return r.timeline(ctx, obj.ID, filter, page(first, after))
}

func (r *queryResolver) Search(ctx context.Context, text string, kinds []history.HitKind, first *int, after *string) (*model.SearchConnection, error) {
	p := page(first, after)
	w, err := r.d.History.Search(ctx, access.From(ctx), text, kinds, p)
	if err != nil {
		return nil, err
	}
	c := &model.SearchConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *history.Hit) *model.SearchEdge {
		return &model.SearchEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *recordResolver) Timeline(ctx context.Context, obj *contact.Record, first *int, after *string, filter *model.TimelineFilter) (*model.TimelineConnection, error) {
	return r.timeline(ctx, obj.ID, filter, page(first, after))
}

func (r *searchHitResolver) Node(ctx context.Context, obj *history.Hit) (model.Node, error) {
	return r.loaded(ctx, obj.NodeID)
}

func (r *timelineItemResolver) Node(ctx context.Context, obj *history.Item) (model.Node, error) {
	return r.loaded(ctx, obj.NodeID)
}

func (r *Resolver) SearchHit() exec.SearchHitResolver { return &searchHitResolver{r} }

func (r *Resolver) TimelineItem() exec.TimelineItemResolver { return &timelineItemResolver{r} }

type (
	searchHitResolver    struct{ *Resolver }
	timelineItemResolver struct{ *Resolver }
)
