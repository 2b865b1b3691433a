package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/user"
)

func (r *mutationResolver) SipDomainsImport(ctx context.Context, connectionID id.ID) (*model.SipDomainsImportPayload, error) {
	panic(fmt.Errorf("not implemented: SipDomainsImport - sipDomainsImport"))
}

func (r *mutationResolver) SipDomainUpdate(ctx context.Context, id id.ID, isEnabled bool) (*model.SipDomainUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: SipDomainUpdate - sipDomainUpdate"))
}

func (r *mutationResolver) PushCredentialSet(ctx context.Context, input model.PushCredentialSetInput) (*model.PushCredentialSetPayload, error) {
	panic(fmt.Errorf("not implemented: PushCredentialSet - pushCredentialSet"))
}

func (r *pushCredentialResolver) Platform(ctx context.Context, obj *number.PushCredential) (user.Platform, error) {
	panic(fmt.Errorf("not implemented: Platform - platform"))
}

func (r *queryResolver) SipDomains(ctx context.Context, first *int, after *string, connectionID *id.ID) (*model.SipDomainConnection, error) {
	panic(fmt.Errorf("not implemented: SipDomains - sipDomains"))
}

func (r *sipDomainResolver) Connection(ctx context.Context, obj *number.SIPDomain) (*number.Connection, error) {
	panic(fmt.Errorf("not implemented: Connection - connection"))
}

func (r *sipDomainResolver) Checks(ctx context.Context, obj *number.SIPDomain) ([]*number.SIPCheck, error) {
	panic(fmt.Errorf("not implemented: Checks - checks"))
}

func (r *Resolver) PushCredential() exec.PushCredentialResolver { return &pushCredentialResolver{r} }

func (r *Resolver) SipDomain() exec.SipDomainResolver { return &sipDomainResolver{r} }

type (
	pushCredentialResolver struct{ *Resolver }
	sipDomainResolver      struct{ *Resolver }
)
