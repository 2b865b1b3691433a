package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/delivery"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/user"
)

func (r *mutationResolver) WebhookEndpointCreate(ctx context.Context, input model.WebhookEndpointCreateInput, idempotencyKey *string) (*model.WebhookEndpointCreatePayload, error) {
	e, secret, err := r.d.Deliveries.Create(ctx, access.From(ctx), delivery.NewEndpoint{
		URL: input.URL, Kinds: input.Kinds.Value(), Description: given(input.Description), RoleID: input.RoleID,
	}, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.WebhookEndpointCreatePayload{WebhookEndpoint: e, Secret: wordOrNull(secret), UserErrors: problems}, err
}

func (r *mutationResolver) WebhookEndpointUpdate(ctx context.Context, id id.ID, input model.WebhookEndpointUpdateInput) (*model.WebhookEndpointUpdatePayload, error) {
	e, err := r.d.Deliveries.Update(ctx, access.From(ctx), id, delivery.Change{
		URL: field(input.URL), RoleID: field(input.RoleID), Kinds: each(input.Kinds, same), Description: field(input.Description),
	})
	problems, err := userErrors(err)
	return &model.WebhookEndpointUpdatePayload{WebhookEndpoint: e, UserErrors: problems}, err
}

func (r *mutationResolver) WebhookEndpointDelete(ctx context.Context, id id.ID) (*model.WebhookEndpointDeletePayload, error) {
	err := r.d.Deliveries.Delete(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.WebhookEndpointDeletePayload{DeletedID: unless(problems, id), UserErrors: problems}, err
}

func (r *mutationResolver) WebhookEndpointSecretRotate(ctx context.Context, id id.ID, graceHours *int) (*model.WebhookEndpointSecretRotatePayload, error) {
	e, secret, err := r.d.Deliveries.RotateSecret(ctx, access.From(ctx), id, graceHours)
	problems, err := userErrors(err)
	return &model.WebhookEndpointSecretRotatePayload{WebhookEndpoint: e, Secret: wordOrNull(secret), UserErrors: problems}, err
}

func (r *mutationResolver) WebhookEndpointEnable(ctx context.Context, id id.ID) (*model.WebhookEndpointEnablePayload, error) {
	e, err := r.d.Deliveries.Enable(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.WebhookEndpointEnablePayload{WebhookEndpoint: e, UserErrors: problems}, err
}

func (r *mutationResolver) WebhookEndpointDisable(ctx context.Context, id id.ID) (*model.WebhookEndpointDisablePayload, error) {
	e, err := r.d.Deliveries.Disable(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.WebhookEndpointDisablePayload{WebhookEndpoint: e, UserErrors: problems}, err
}

func (r *mutationResolver) WebhookEndpointTest(ctx context.Context, id id.ID) (*model.WebhookEndpointTestPayload, error) {
	d, err := r.d.Deliveries.Test(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.WebhookEndpointTestPayload{WebhookDelivery: d, UserErrors: problems}, err
}

func (r *mutationResolver) WebhookRedeliver(ctx context.Context, deliveryID id.ID) (*model.WebhookRedeliverPayload, error) {
	d, err := r.d.Deliveries.Redeliver(ctx, access.From(ctx), deliveryID)
	problems, err := userErrors(err)
	return &model.WebhookRedeliverPayload{WebhookDelivery: d, UserErrors: problems}, err
}

func (r *mutationResolver) WebhookReplay(ctx context.Context, endpointID id.ID, after string, force *bool) (*model.WebhookReplayPayload, error) {
	x, err := r.d.Deliveries.Replay(ctx, access.From(ctx), endpointID, after, of(force))
	problems, err := userErrors(err)
	return &model.WebhookReplayPayload{WebhookEndpoint: x.Endpoint, Count: unless(problems, x.Count), Next: wordOrNull(x.Next), UserErrors: problems}, err
}

func (r *queryResolver) WebhookEndpoints(ctx context.Context, first *int, after *string) (*model.WebhookEndpointConnection, error) {
	p := page(first, after)
	w, err := r.d.Deliveries.List(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.WebhookEndpointConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *delivery.Endpoint) *model.WebhookEndpointEdge {
		return &model.WebhookEndpointEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *queryResolver) WebhookEndpoint(ctx context.Context, id id.ID) (*delivery.Endpoint, error) {
	return absent(r.d.Deliveries.Get(ctx, access.From(ctx), id))
}

func (r *webhookDeliveryResolver) Kind(ctx context.Context, obj *delivery.Delivery) (*event.Kind, error) {
	if obj.IsTest() {
		return nil, nil
	}
	return &obj.Kind, nil
}

func (r *webhookDeliveryResolver) Cursor(ctx context.Context, obj *delivery.Delivery) (*string, error) {
	return wordOrNull(r.d.Deliveries.Cursor(obj)), nil
}

func (r *webhookDeliveryResolver) SubjectID(ctx context.Context, obj *delivery.Delivery) (*id.ID, error) {
	return idOrNull(obj.SubjectID), nil
}

func (r *webhookDeliveryResolver) Attempts(ctx context.Context, obj *delivery.Delivery) ([]*delivery.Attempt, error) {
	return all(loader.From(ctx).WebhookAttempts.Load(ctx, obj.ID))
}

func (r *webhookEndpointResolver) Role(ctx context.Context, obj *delivery.Endpoint) (*access.Role, error) {
	return loader.Load(ctx, loader.From(ctx).Roles, obj.RoleID)
}

func (r *webhookEndpointResolver) Deliveries(ctx context.Context, obj *delivery.Endpoint, first *int, after *string, status *delivery.Status) (*model.WebhookDeliveryConnection, error) {
	p := page(first, after)
	w, err := r.d.Deliveries.Deliveries(ctx, access.From(ctx), obj.ID, of(status), p)
	if err != nil {
		return nil, err
	}
	c := &model.WebhookDeliveryConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *delivery.Delivery) *model.WebhookDeliveryEdge {
		return &model.WebhookDeliveryEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *webhookEndpointResolver) CreatedBy(ctx context.Context, obj *delivery.Endpoint) (*user.User, error) {
	if obj.CreatedByID.Kind() != id.User {
		return nil, nil
	}
	return loader.Load(ctx, loader.From(ctx).Users, obj.CreatedByID)
}

func (r *webhookEndpointDisabledResolver) Actor(ctx context.Context, obj *model.WebhookEndpointDisabled) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *webhookEndpointDisabledResolver) WebhookEndpoint(ctx context.Context, obj *model.WebhookEndpointDisabled) (*delivery.Endpoint, error) {
	return loader.Load(ctx, loader.From(ctx).WebhookEndpoints, obj.EndpointID)
}

func (r *Resolver) WebhookDelivery() exec.WebhookDeliveryResolver { return &webhookDeliveryResolver{r} }

func (r *Resolver) WebhookEndpoint() exec.WebhookEndpointResolver { return &webhookEndpointResolver{r} }

func (r *Resolver) WebhookEndpointDisabled() exec.WebhookEndpointDisabledResolver {
	return &webhookEndpointDisabledResolver{r}
}

type (
	webhookDeliveryResolver         struct{ *Resolver }
	webhookEndpointResolver         struct{ *Resolver }
	webhookEndpointDisabledResolver struct{ *Resolver }
)
