package graph

import (
	"context"

	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/history"
	"switchboard/internal/id"
	"switchboard/internal/retention"
)

// loaded is any object by its id for those who may see it, read together with
// the others of its kind that an answer points at.
func (r *Resolver) loaded(ctx context.Context, x id.ID) (model.Node, error) {
	l := loader.From(ctx)
	switch x.Kind() {
	case id.Call:
		return there(loader.Load(ctx, l.Calls, x))
	case id.Recording:
		return there(loader.Load(ctx, l.SeenRecordings, x))
	case id.Voicemail:
		return there(loader.Load(ctx, l.Voicemails, x))
	case id.Message:
		return there(loader.Load(ctx, l.Messages, x))
	case id.Contact:
		return there(loader.Load(ctx, l.Contacts, x))
	case id.Record:
		return there(loader.Load(ctx, l.Records, x))
	case id.RecordEvent:
		return there(loader.Load(ctx, l.RecordEvents, x))
	case id.FollowUp:
		return there(loader.Load(ctx, l.FollowUps, x))
	}
	return r.node(ctx, x)
}

// there is null for what is absent.
func there[T any](v *T, err error) (model.Node, error) {
	if v == nil || err != nil {
		return nil, err
	}
	return v, nil
}

func (r *Resolver) timeline(ctx context.Context, subject id.ID, f *model.TimelineFilter, p db.Page) (*model.TimelineConnection, error) {
	in := history.TimelineFilter{}
	if f != nil {
		in = history.TimelineFilter{Kinds: f.Kinds.Value(), From: given(f.From), Before: given(f.Before), Text: given(f.Text)}
	}
	w, err := r.d.History.Timeline(ctx, access.From(ctx), subject, in, p)
	if err != nil {
		return nil, err
	}
	c := &model.TimelineConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *history.Item) *model.TimelineEdge {
		return &model.TimelineEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

// deletionRules are the deletion rules as automations list them (R176), read only
// where they are asked for; none for those who may not manage them.
func (r *Resolver) deletionRules(ctx context.Context) ([]*retention.Rule, error) {
	if !asked(ctx, "retentionRules") {
		return []*retention.Rule{}, nil
	}
	rules, err := r.d.Retention.Rules(ctx, access.From(ctx))
	if errs.IsCode(err, errs.Forbidden) {
		err = nil
	}
	return all(rules, err)
}
