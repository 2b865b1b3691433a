package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/phone"
	"switchboard/internal/user"
)

func (r *bulkMessageResolver) Template(ctx context.Context, obj *message.Bulk) (*message.SavedTemplate, error) {
	return loader.Load(ctx, loader.From(ctx).Templates, obj.TemplateID)
}

func (r *bulkMessageResolver) PhoneNumber(ctx context.Context, obj *message.Bulk) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *bulkMessageResolver) Campaign(ctx context.Context, obj *message.Bulk) (*contact.Campaign, error) {
	return loader.Load(ctx, loader.From(ctx).Campaigns, obj.CampaignID)
}

func (r *bulkMessageResolver) Counts(ctx context.Context, obj *message.Bulk) (*message.BulkCounts, error) {
	return bulkCounts(ctx, obj)
}

func (r *bulkMessageResolver) EstimatedCosts(ctx context.Context, obj *message.Bulk) ([]*message.Money, error) {
	c, err := loader.From(ctx).BulkCosts.Load(ctx, obj.ID)
	if err != nil {
		return nil, err
	}
	return c.Estimated, nil
}

func (r *bulkMessageResolver) Costs(ctx context.Context, obj *message.Bulk) ([]*message.Money, error) {
	c, err := loader.From(ctx).BulkCosts.Load(ctx, obj.ID)
	if err != nil {
		return nil, err
	}
	return c.Charged, nil
}

func (r *bulkMessageResolver) Recipients(ctx context.Context, obj *message.Bulk, first *int, after *string, filter *model.BulkRecipientFilter) (*model.BulkRecipientConnection, error) {
	return r.bulkRecipients(ctx, obj, filter, page(first, after))
}

func (r *bulkMessageResolver) CreatedBy(ctx context.Context, obj *message.Bulk) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.CreatedByID)
}

func (r *bulkMessageUpdatedResolver) Actor(ctx context.Context, obj *model.BulkMessageUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *bulkMessageUpdatedResolver) BulkMessage(ctx context.Context, obj *model.BulkMessageUpdated) (*message.Bulk, error) {
	return loader.Load(ctx, loader.From(ctx).Bulks, obj.BulkMessageID)
}

func (r *bulkRecipientResolver) Given(ctx context.Context, obj *message.BulkRecipient) (string, error) {
	return obj.Given, nil
}

func (r *bulkRecipientResolver) To(ctx context.Context, obj *message.BulkRecipient) (*phone.E164, error) {
	return obj.E164, nil
}

func (r *bulkRecipientResolver) Contact(ctx context.Context, obj *message.BulkRecipient) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *bulkRecipientResolver) Record(ctx context.Context, obj *message.BulkRecipient) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *bulkRecipientResolver) Message(ctx context.Context, obj *message.BulkRecipient) (*message.Message, error) {
	return loader.Load(ctx, loader.From(ctx).Messages, obj.MessageID)
}

func (r *mutationResolver) BulkMessageCreate(ctx context.Context, input model.BulkMessageCreateInput, idempotencyKey *string) (*model.BulkMessageCreatePayload, error) {
	b, err := r.d.Messages.CreateBulk(ctx, access.From(ctx), newBulk(input, of(idempotencyKey)))
	problems, err := userErrors(err)
	return &model.BulkMessageCreatePayload{BulkMessage: b, UserErrors: problems}, err
}

func (r *mutationResolver) BulkMessagePause(ctx context.Context, id id.ID) (*model.BulkMessagePausePayload, error) {
	b, err := r.d.Messages.PauseBulk(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.BulkMessagePausePayload{BulkMessage: b, UserErrors: problems}, err
}

func (r *mutationResolver) BulkMessageResume(ctx context.Context, id id.ID) (*model.BulkMessageResumePayload, error) {
	b, err := r.d.Messages.ResumeBulk(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.BulkMessageResumePayload{BulkMessage: b, UserErrors: problems}, err
}

func (r *mutationResolver) BulkMessageCancel(ctx context.Context, id id.ID) (*model.BulkMessageCancelPayload, error) {
	b, err := r.d.Messages.CancelBulk(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.BulkMessageCancelPayload{BulkMessage: b, UserErrors: problems}, err
}

func (r *queryResolver) BulkMessages(ctx context.Context, first *int, after *string) (*model.BulkMessageConnection, error) {
	p := page(first, after)
	w, err := r.d.Messages.Bulks(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.BulkMessageConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, b *message.Bulk) *model.BulkMessageEdge {
		return &model.BulkMessageEdge{Cursor: cursor, Node: b}
	})
	return c, err
}

func (r *queryResolver) BulkMessage(ctx context.Context, id id.ID) (*message.Bulk, error) {
	return absent(r.d.Messages.Bulk(ctx, access.From(ctx), id))
}

func (r *subscriptionResolver) BulkMessageChanged(ctx context.Context, id id.ID) (<-chan *message.Bulk, error) {
	return r.bulkChanged(ctx, id)
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
