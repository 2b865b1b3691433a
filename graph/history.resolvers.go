package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/contact"
	"switchboard/internal/history"
)

func (r *contactResolver) Timeline(ctx context.Context, obj *contact.Contact, first *int, after *string, filter *model.TimelineFilter) (*model.TimelineConnection, error) {
	panic(fmt.Errorf("not implemented: Timeline - timeline"))
}

func (r *queryResolver) Search(ctx context.Context, text string, kinds []history.HitKind, first *int, after *string) (*model.SearchConnection, error) {
	panic(fmt.Errorf("not implemented: Search - search"))
}

func (r *recordResolver) Timeline(ctx context.Context, obj *contact.Record, first *int, after *string, filter *model.TimelineFilter) (*model.TimelineConnection, error) {
	panic(fmt.Errorf("not implemented: Timeline - timeline"))
}

func (r *searchHitResolver) Node(ctx context.Context, obj *history.Hit) (model.Node, error) {
	panic(fmt.Errorf("not implemented: Node - node"))
}

func (r *timelineItemResolver) Node(ctx context.Context, obj *history.Item) (model.Node, error) {
	panic(fmt.Errorf("not implemented: Node - node"))
}

func (r *Resolver) SearchHit() exec.SearchHitResolver { return &searchHitResolver{r} }

func (r *Resolver) TimelineItem() exec.TimelineItemResolver { return &timelineItemResolver{r} }

type (
	searchHitResolver    struct{ *Resolver }
	timelineItemResolver struct{ *Resolver }
)
