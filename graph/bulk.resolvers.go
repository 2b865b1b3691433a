package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/phone"
	"switchboard/internal/user"
)

func (r *bulkMessageResolver) Template(ctx context.Context, obj *message.Bulk) (*message.SavedTemplate, error) {
	panic(fmt.Errorf("not implemented: Template - template"))
}

func (r *bulkMessageResolver) PhoneNumber(ctx context.Context, obj *message.Bulk) (*number.PhoneNumber, error) {
	panic(fmt.Errorf("not implemented: PhoneNumber - phoneNumber"))
}

func (r *bulkMessageResolver) Campaign(ctx context.Context, obj *message.Bulk) (*contact.Campaign, error) {
	panic(fmt.Errorf("not implemented: Campaign - campaign"))
}

func (r *bulkMessageResolver) Counts(ctx context.Context, obj *message.Bulk) (*message.BulkCounts, error) {
	panic(fmt.Errorf("not implemented: Counts - counts"))
}

func (r *bulkMessageResolver) EstimatedCosts(ctx context.Context, obj *message.Bulk) ([]*message.Money, error) {
	panic(fmt.Errorf("not implemented: EstimatedCosts - estimatedCosts"))
}

func (r *bulkMessageResolver) Costs(ctx context.Context, obj *message.Bulk) ([]*message.Money, error) {
	panic(fmt.Errorf("not implemented: Costs - costs"))
}

func (r *bulkMessageResolver) Recipients(ctx context.Context, obj *message.Bulk, first *int, after *string, filter *model.BulkRecipientFilter) (*model.BulkRecipientConnection, error) {
	panic(fmt.Errorf("not implemented: Recipients - recipients"))
}

func (r *bulkMessageResolver) CreatedBy(ctx context.Context, obj *message.Bulk) (*user.User, error) {
	panic(fmt.Errorf("not implemented: CreatedBy - createdBy"))
}

func (r *bulkMessageUpdatedResolver) Actor(ctx context.Context, obj *model.BulkMessageUpdated) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *bulkMessageUpdatedResolver) BulkMessage(ctx context.Context, obj *model.BulkMessageUpdated) (*message.Bulk, error) {
	panic(fmt.Errorf("not implemented: BulkMessage - bulkMessage"))
}

func (r *bulkRecipientResolver) Given(ctx context.Context, obj *message.BulkRecipient) (string, error) {
	panic(fmt.Errorf("not implemented: Given - given"))
}

func (r *bulkRecipientResolver) To(ctx context.Context, obj *message.BulkRecipient) (*phone.E164, error) {
	panic(fmt.Errorf("not implemented: To - to"))
}

func (r *bulkRecipientResolver) Contact(ctx context.Context, obj *message.BulkRecipient) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *bulkRecipientResolver) Record(ctx context.Context, obj *message.BulkRecipient) (*contact.Record, error) {
	panic(fmt.Errorf("not implemented: Record - record"))
}

func (r *bulkRecipientResolver) Message(ctx context.Context, obj *message.BulkRecipient) (*message.Message, error) {
	panic(fmt.Errorf("not implemented: Message - message"))
}

func (r *mutationResolver) BulkMessageCreate(ctx context.Context, input model.BulkMessageCreateInput, idempotencyKey *string) (*model.BulkMessageCreatePayload, error) {
	panic(fmt.Errorf("not implemented: BulkMessageCreate - bulkMessageCreate"))
}

func (r *mutationResolver) BulkMessagePause(ctx context.Context, id id.ID) (*model.BulkMessagePausePayload, error) {
	panic(fmt.Errorf("not implemented: BulkMessagePause - bulkMessagePause"))
}

func (r *mutationResolver) BulkMessageResume(ctx context.Context, id id.ID) (*model.BulkMessageResumePayload, error) {
	panic(fmt.Errorf("not implemented: BulkMessageResume - bulkMessageResume"))
}

func (r *mutationResolver) BulkMessageCancel(ctx context.Context, id id.ID) (*model.BulkMessageCancelPayload, error) {
	panic(fmt.Errorf("not implemented: BulkMessageCancel - bulkMessageCancel"))
}

func (r *queryResolver) BulkMessages(ctx context.Context, first *int, after *string) (*model.BulkMessageConnection, error) {
	panic(fmt.Errorf("not implemented: BulkMessages - bulkMessages"))
}

func (r *queryResolver) BulkMessage(ctx context.Context, id id.ID) (*message.Bulk, error) {
	panic(fmt.Errorf("not implemented: BulkMessage - bulkMessage"))
}

func (r *subscriptionResolver) BulkMessageChanged(ctx context.Context, id id.ID) (<-chan *message.Bulk, error) {
	panic(fmt.Errorf("not implemented: BulkMessageChanged - bulkMessageChanged"))
}

func (r *Resolver) BulkMessage() exec.BulkMessageResolver { return &bulkMessageResolver{r} }

func (r *Resolver) BulkMessageUpdated() exec.BulkMessageUpdatedResolver {
	return &bulkMessageUpdatedResolver{r}
}

func (r *Resolver) BulkRecipient() exec.BulkRecipientResolver { return &bulkRecipientResolver{r} }

type (
	bulkMessageResolver        struct{ *Resolver }
	bulkMessageUpdatedResolver struct{ *Resolver }
	bulkRecipientResolver      struct{ *Resolver }
)
