package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/user"
)

func (r *maskedPairResolver) PhoneNumber(ctx context.Context, obj *call.MaskedPair) (*number.PhoneNumber, error) {
	panic(fmt.Errorf("not implemented: PhoneNumber - phoneNumber"))
}

func (r *maskedPairResolver) Record(ctx context.Context, obj *call.MaskedPair) (*contact.Record, error) {
	panic(fmt.Errorf("not implemented: Record - record"))
}

func (r *maskedPairResolver) Contact(ctx context.Context, obj *call.MaskedPair) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *maskedPairResolver) User(ctx context.Context, obj *call.MaskedPair) (*user.User, error) {
	panic(fmt.Errorf("not implemented: User - user"))
}

func (r *maskedPairResolver) IsActive(ctx context.Context, obj *call.MaskedPair) (bool, error) {
	panic(fmt.Errorf("not implemented: IsActive - isActive"))
}

func (r *maskedPairResolver) Warnings(ctx context.Context, obj *call.MaskedPair) ([]string, error) {
	panic(fmt.Errorf("not implemented: Warnings - warnings"))
}

func (r *mutationResolver) MaskedPairCreate(ctx context.Context, input model.MaskedPairCreateInput, idempotencyKey *string) (*model.MaskedPairCreatePayload, error) {
	panic(fmt.Errorf("not implemented: MaskedPairCreate - maskedPairCreate"))
}

func (r *mutationResolver) MaskedPairEnd(ctx context.Context, id id.ID) (*model.MaskedPairEndPayload, error) {
	panic(fmt.Errorf("not implemented: MaskedPairEnd - maskedPairEnd"))
}

func (r *queryResolver) MaskedPairs(ctx context.Context, first *int, after *string, filter *model.MaskedPairFilter) (*model.MaskedPairConnection, error) {
	panic(fmt.Errorf("not implemented: MaskedPairs - maskedPairs"))
}

func (r *queryResolver) MaskedPair(ctx context.Context, id id.ID) (*call.MaskedPair, error) {
	panic(fmt.Errorf("not implemented: MaskedPair - maskedPair"))
}

func (r *Resolver) MaskedPair() exec.MaskedPairResolver { return &maskedPairResolver{r} }

type maskedPairResolver struct{ *Resolver }
