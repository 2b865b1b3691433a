package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/user"
)

func (r *maskedPairResolver) PhoneNumber(ctx context.Context, obj *call.MaskedPair) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *maskedPairResolver) Record(ctx context.Context, obj *call.MaskedPair) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *maskedPairResolver) Contact(ctx context.Context, obj *call.MaskedPair) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *maskedPairResolver) User(ctx context.Context, obj *call.MaskedPair) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *maskedPairResolver) IsActive(ctx context.Context, obj *call.MaskedPair) (bool, error) {
	return obj.Works(r.d.Clock.Now()), nil
}

func (r *maskedPairResolver) Warnings(ctx context.Context, obj *call.MaskedPair) ([]string, error) {
	return obj.Advice(), nil
}

func (r *mutationResolver) MaskedPairCreate(ctx context.Context, input model.MaskedPairCreateInput, idempotencyKey *string) (*model.MaskedPairCreatePayload, error) {
	p, err := r.d.Calls.CreateMask(ctx, access.From(ctx), call.MaskCreate{
		RecordID: input.RecordID, ContactID: given(input.ContactID), UserID: given(input.UserID), ExpiresAt: input.ExpiresAt.Value(),
	}, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.MaskedPairCreatePayload{MaskedPair: p, UserErrors: problems}, err
}

func (r *mutationResolver) MaskedPairEnd(ctx context.Context, id id.ID) (*model.MaskedPairEndPayload, error) {
	p, err := r.d.Calls.EndMask(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.MaskedPairEndPayload{MaskedPair: p, UserErrors: problems}, err
}

func (r *queryResolver) MaskedPairs(ctx context.Context, first *int, after *string, filter *model.MaskedPairFilter) (*model.MaskedPairConnection, error) {
	f := call.MaskFilter{}
	if filter != nil {
		f = call.MaskFilter{RecordID: given(filter.RecordID), UserID: given(filter.UserID), IsActive: filter.IsActive.Value()}
	}
	p := page(first, after)
	w, err := r.d.Calls.Masks(ctx, access.From(ctx), f, p)
	if err != nil {
		return nil, err
	}
	c := &model.MaskedPairConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *call.MaskedPair) *model.MaskedPairEdge {
		return &model.MaskedPairEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *queryResolver) MaskedPair(ctx context.Context, id id.ID) (*call.MaskedPair, error) {
	return absent(r.d.Calls.Mask(ctx, access.From(ctx), id))
}

func (r *Resolver) MaskedPair() exec.MaskedPairResolver { return &maskedPairResolver{r} }

type maskedPairResolver struct{ *Resolver }
