package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

func (r *queryResolver) Viewer(ctx context.Context) (*model.Viewer, error) {
	who := access.From(ctx)
	o, err := r.d.Tenants.Get(ctx, who)
	if err != nil {
		return nil, err
	}
	role, err := r.d.Roles.Get(ctx, who, who.RoleID)
	if err != nil {
		return nil, err
	}
	v := &model.Viewer{Organization: o, Role: role, Permissions: who.Permissions.List(), SessionID: idOrNull(who.SessionID)}
	if who.UserID.IsZero() {
		v.APIKey, err = r.d.Sessions.Key(ctx, who, who.APIKeyID)
	} else {
		v.User, err = r.d.Users.Get(ctx, who, who.UserID)
	}
	if err == nil && asked(ctx, "unreadNotifications") {
		v.UnreadNotifications, err = r.d.FollowUps.Unread(ctx, who)
	}
	return v, err
}

func (r *queryResolver) Node(ctx context.Context, id id.ID) (model.Node, error) {
	return r.node(ctx, id)
}

func (r *queryResolver) Nodes(ctx context.Context, ids []*id.ID) ([]model.Node, error) {
	return r.nodes(ctx, ids)
}

func (r *subscriptionResolver) Events(ctx context.Context, after *string, types []event.Kind) (<-chan model.Event, error) {
	return r.events(ctx, after, types)
}

func (r *Resolver) Mutation() exec.MutationResolver { return &mutationResolver{r} }

func (r *Resolver) Query() exec.QueryResolver { return &queryResolver{r} }

func (r *Resolver) Subscription() exec.SubscriptionResolver { return &subscriptionResolver{r} }

type (
	mutationResolver     struct{ *Resolver }
	queryResolver        struct{ *Resolver }
	subscriptionResolver struct{ *Resolver }
)
