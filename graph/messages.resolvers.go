package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/phone"
	"switchboard/internal/user"
)

func (r *messageResolver) Thread(ctx context.Context, obj *message.Message) (*message.Thread, error) {
	return loader.Load(ctx, loader.From(ctx).Threads, obj.ThreadID)
}

func (r *messageResolver) Media(ctx context.Context, obj *message.Message) ([]*message.Media, error) {
	return loader.From(ctx).MessageMedia.Load(ctx, obj.ID)
}

func (r *messageResolver) User(ctx context.Context, obj *message.Message) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *messageResolver) Record(ctx context.Context, obj *message.Message) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *messageResolver) Campaign(ctx context.Context, obj *message.Message) (*contact.Campaign, error) {
	return loader.Load(ctx, loader.From(ctx).Campaigns, obj.CampaignID)
}

func (r *messageMediaResolver) URL(ctx context.Context, obj *message.Media) (*string, error) {
	if obj.State != message.MediaStored {
		return nil, nil
	}
	return r.link(ctx, obj.ID)
}

func (r *messageReceivedResolver) Actor(ctx context.Context, obj *model.MessageReceived) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *messageReceivedResolver) Message(ctx context.Context, obj *model.MessageReceived) (*message.Message, error) {
	return loader.Load(ctx, loader.From(ctx).Messages, obj.MessageID)
}

func (r *messageUpdatedResolver) Actor(ctx context.Context, obj *model.MessageUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *messageUpdatedResolver) Message(ctx context.Context, obj *model.MessageUpdated) (*message.Message, error) {
	return loader.Load(ctx, loader.From(ctx).Messages, obj.MessageID)
}

func (r *mutationResolver) MessageSend(ctx context.Context, input model.MessageSendInput, idempotencyKey *string) (*model.MessageSendPayload, error) {
	m, err := r.d.Messages.Send(ctx, access.From(ctx), message.Send{
		To: given(input.To), ContactID: given(input.ContactID), ThreadID: given(input.ThreadID), Body: input.Body,
		PhoneNumberID: given(input.PhoneNumberID), RecordID: given(input.RecordID), CampaignID: given(input.CampaignID),
		IdempotencyKey: of(idempotencyKey),
	})
	problems, err := userErrors(err)
	return &model.MessageSendPayload{Message: m, Warnings: []string{}, UserErrors: problems}, err
}

func (r *queryResolver) SmsThreads(ctx context.Context, first *int, after *string, filter *model.SmsThreadFilter) (*model.SmsThreadConnection, error) {
	f := message.Filter{}
	if filter != nil {
		f = message.Filter{IsOpen: filter.IsOpen.Value(), PhoneNumberID: given(filter.PhoneNumberID), BranchID: given(filter.BranchID), ContactID: given(filter.ContactID)}
		if n := given(filter.Number); n != "" {
			o, err := r.d.Tenants.Get(ctx, access.From(ctx))
			if err != nil {
				return nil, err
			}
			if f.Number, err = phone.Parse(n, o.DefaultCountry); err != nil {
				return nil, err
			}
		}
	}
	return r.threads(ctx, f, page(first, after))
}

func (r *queryResolver) SmsThread(ctx context.Context, id id.ID) (*message.Thread, error) {
	return absent(r.d.Messages.Thread(ctx, access.From(ctx), id))
}

func (r *smsThreadResolver) PhoneNumber(ctx context.Context, obj *message.Thread) (*number.PhoneNumber, error) {
	n, err := loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
	if err == nil && n == nil {
		err = errs.New(errs.NotFound, "there is no such number")
	}
	return n, err
}

func (r *smsThreadResolver) Contact(ctx context.Context, obj *message.Thread) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *smsThreadResolver) Branch(ctx context.Context, obj *message.Thread) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *smsThreadResolver) AssignedUser(ctx context.Context, obj *message.Thread) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.AssignedUserID)
}

func (r *smsThreadResolver) IsOptedOut(ctx context.Context, obj *message.Thread) (bool, error) {
	return loader.From(ctx).OptedOutThreads.Load(ctx, obj.ID)
}

func (r *smsThreadResolver) Messages(ctx context.Context, obj *message.Thread, first *int, after *string) (*model.MessageConnection, error) {
	p := page(first, after)
	w, err := r.d.Messages.Messages(ctx, obj, p)
	if err != nil {
		return nil, err
	}
	c := &model.MessageConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, m *message.Message) *model.MessageEdge {
		return &model.MessageEdge{Cursor: cursor, Node: m}
	})
	return c, err
}

func (r *smsThreadResolver) LastMessage(ctx context.Context, obj *message.Thread) (*message.Message, error) {
	return loader.Load(ctx, loader.From(ctx).Messages, obj.LastMessageID)
}

func (r *Resolver) Message() exec.MessageResolver { return &messageResolver{r} }

func (r *Resolver) MessageMedia() exec.MessageMediaResolver { return &messageMediaResolver{r} }

func (r *Resolver) MessageReceived() exec.MessageReceivedResolver { return &messageReceivedResolver{r} }

func (r *Resolver) MessageUpdated() exec.MessageUpdatedResolver { return &messageUpdatedResolver{r} }

func (r *Resolver) SmsThread() exec.SmsThreadResolver { return &smsThreadResolver{r} }

type (
	messageResolver         struct{ *Resolver }
	messageMediaResolver    struct{ *Resolver }
	messageReceivedResolver struct{ *Resolver }
	messageUpdatedResolver  struct{ *Resolver }
	smsThreadResolver       struct{ *Resolver }
)
