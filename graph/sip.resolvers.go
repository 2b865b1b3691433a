package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/user"
)

func (r *mutationResolver) SipDomainsImport(ctx context.Context, connectionID id.ID) (*model.SipDomainsImportPayload, error) {
	d, err := r.d.Numbers.ImportSIPDomains(ctx, access.From(ctx), connectionID)
	problems, err := userErrors(err)
	return &model.SipDomainsImportPayload{SipDomains: d, UserErrors: problems}, err
}

func (r *mutationResolver) SipDomainUpdate(ctx context.Context, id id.ID, isEnabled bool) (*model.SipDomainUpdatePayload, error) {
	d, err := r.d.Numbers.EnableSIPDomain(ctx, access.From(ctx), id, isEnabled)
	problems, err := userErrors(err)
	return &model.SipDomainUpdatePayload{SipDomain: d, UserErrors: problems}, err
}

func (r *mutationResolver) PushCredentialSet(ctx context.Context, input model.PushCredentialSetInput) (*model.PushCredentialSetPayload, error) {
	p, err := r.d.Numbers.SetPush(ctx, access.From(ctx), number.PushSet{
		ConnectionID: input.ConnectionID, Platform: input.Platform, Certificate: given(input.Certificate), PrivateKey: given(input.PrivateKey),
		IsSandbox: given(input.IsSandbox), Secret: given(input.Secret),
	})
	problems, err := userErrors(err)
	return &model.PushCredentialSetPayload{PushCredential: p, UserErrors: problems}, err
}

func (r *pushCredentialResolver) Platform(ctx context.Context, obj *number.PushCredential) (user.Platform, error) {
	return user.Platform(obj.Platform), nil
}

func (r *queryResolver) SipDomains(ctx context.Context, first *int, after *string, connectionID *id.ID) (*model.SipDomainConnection, error) {
	p := page(first, after)
	w, err := r.d.Numbers.SIPDomains(ctx, access.From(ctx), of(connectionID), p)
	if err != nil {
		return nil, err
	}
	c := &model.SipDomainConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, d *number.SIPDomain) *model.SipDomainEdge {
		return &model.SipDomainEdge{Cursor: cursor, Node: d}
	})
	return c, err
}

func (r *sipDomainResolver) Connection(ctx context.Context, obj *number.SIPDomain) (*number.Connection, error) {
	return loader.Load(ctx, loader.From(ctx).Connections, obj.ConnectionID)
}

func (r *sipDomainResolver) Checks(ctx context.Context, obj *number.SIPDomain) ([]*number.SIPCheck, error) {
	return obj.Needs(), nil
}

func (r *Resolver) PushCredential() exec.PushCredentialResolver { return &pushCredentialResolver{r} }

func (r *Resolver) SipDomain() exec.SipDomainResolver { return &sipDomainResolver{r} }

type (
	pushCredentialResolver struct{ *Resolver }
	sipDomainResolver      struct{ *Resolver }
)
