package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/contact"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/phone"
	"switchboard/internal/user"
)

func (r *contactResolver) Messages(ctx context.Context, obj *contact.Contact, first *int, after *string) (*model.MessageConnection, error) {
	panic(fmt.Errorf("not implemented: Messages - messages"))
}

func (r *messageResolver) Thread(ctx context.Context, obj *message.Message) (*message.Thread, error) {
	return loader.Load(ctx, loader.From(ctx).Threads, obj.ThreadID)
}

func (r *messageResolver) StatusText(ctx context.Context, obj *message.Message) (string, error) {
	panic(fmt.Errorf("not implemented: StatusText - statusText"))
}

func (r *messageResolver) IsRetryable(ctx context.Context, obj *message.Message) (bool, error) {
	panic(fmt.Errorf("not implemented: IsRetryable - isRetryable"))
}

func (r *messageResolver) Contact(ctx context.Context, obj *message.Message) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *messageResolver) BulkMessage(ctx context.Context, obj *message.Message) (*message.Bulk, error) {
	panic(fmt.Errorf("not implemented: BulkMessage - bulkMessage"))
}

func (r *messageResolver) Automation(ctx context.Context, obj *message.Message) (*automation.Automation, error) {
	panic(fmt.Errorf("not implemented: Automation - automation"))
}

func (r *messageResolver) Template(ctx context.Context, obj *message.Message) (*message.SavedTemplate, error) {
	panic(fmt.Errorf("not implemented: Template - template"))
}

func (r *messageResolver) RetryOf(ctx context.Context, obj *message.Message) (*message.Message, error) {
	panic(fmt.Errorf("not implemented: RetryOf - retryOf"))
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

func (r *messageMediaResolver) ThumbnailURL(ctx context.Context, obj *message.Media) (*string, error) {
	if obj.ThumbnailKey == nil {
		return nil, nil
	}
	url, err := r.d.SmallLink(access.From(ctx), obj.ID)
	return &url, err
}

func (r *messagePreviewResolver) Recipients(ctx context.Context, obj *message.Preview, first *int, skip *int, onlyProblems *bool) ([]*message.PreviewRecipient, error) {
	panic(fmt.Errorf("not implemented: Recipients - recipients"))
}

func (r *messagePreviewRecipientResolver) Given(ctx context.Context, obj *message.PreviewRecipient) (string, error) {
	panic(fmt.Errorf("not implemented: Given - given"))
}

func (r *messagePreviewRecipientResolver) To(ctx context.Context, obj *message.PreviewRecipient) (*phone.E164, error) {
	panic(fmt.Errorf("not implemented: To - to"))
}

func (r *messagePreviewRecipientResolver) Contact(ctx context.Context, obj *message.PreviewRecipient) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *messagePreviewRecipientResolver) Record(ctx context.Context, obj *message.PreviewRecipient) (*contact.Record, error) {
	panic(fmt.Errorf("not implemented: Record - record"))
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

func (r *mutationResolver) SmsThreadStart(ctx context.Context, input model.SmsThreadStartInput) (*model.SmsThreadStartPayload, error) {
	panic(fmt.Errorf("not implemented: SmsThreadStart - smsThreadStart"))
}

func (r *mutationResolver) SmsThreadAssign(ctx context.Context, id id.ID, userID *id.ID) (*model.SmsThreadAssignPayload, error) {
	panic(fmt.Errorf("not implemented: SmsThreadAssign - smsThreadAssign"))
}

func (r *mutationResolver) SmsThreadRead(ctx context.Context, id id.ID, isRead bool) (*model.SmsThreadReadPayload, error) {
	panic(fmt.Errorf("not implemented: SmsThreadRead - smsThreadRead"))
}

func (r *mutationResolver) SmsThreadClose(ctx context.Context, id id.ID) (*model.SmsThreadClosePayload, error) {
	panic(fmt.Errorf("not implemented: SmsThreadClose - smsThreadClose"))
}

func (r *mutationResolver) SmsThreadReopen(ctx context.Context, id id.ID) (*model.SmsThreadReopenPayload, error) {
	panic(fmt.Errorf("not implemented: SmsThreadReopen - smsThreadReopen"))
}

func (r *mutationResolver) MessageCancel(ctx context.Context, id id.ID) (*model.MessageCancelPayload, error) {
	panic(fmt.Errorf("not implemented: MessageCancel - messageCancel"))
}

func (r *mutationResolver) MessageRetry(ctx context.Context, id id.ID) (*model.MessageRetryPayload, error) {
	panic(fmt.Errorf("not implemented: MessageRetry - messageRetry"))
}

func (r *mutationResolver) MessageRelink(ctx context.Context, id id.ID, input model.MessageRelinkInput) (*model.MessageRelinkPayload, error) {
	panic(fmt.Errorf("not implemented: MessageRelink - messageRelink"))
}

func (r *mutationResolver) TestMessage(ctx context.Context, input model.TestMessageInput, idempotencyKey *string) (*model.TestMessagePayload, error) {
	panic(fmt.Errorf("not implemented: TestMessage - testMessage"))
}

func (r *mutationResolver) MessageSend(ctx context.Context, input model.MessageSendInput, idempotencyKey *string) (*model.MessageSendPayload, error) {
	m, err := r.d.Messages.Send(ctx, access.From(ctx), message.Send{
		To: given(input.To), ContactID: given(input.ContactID), ThreadID: given(input.ThreadID), Body: given(input.Body),
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

func (r *queryResolver) SmsInbox(ctx context.Context) (*message.Inbox, error) {
	panic(fmt.Errorf("not implemented: SmsInbox - smsInbox"))
}

func (r *queryResolver) Messages(ctx context.Context, first *int, after *string, filter *model.MessageFilter) (*model.MessageConnection, error) {
	panic(fmt.Errorf("not implemented: Messages - messages"))
}

func (r *queryResolver) Message(ctx context.Context, id id.ID) (*message.Message, error) {
	panic(fmt.Errorf("not implemented: Message - message"))
}

func (r *queryResolver) MessagePreview(ctx context.Context, input model.MessagePreviewInput) (*message.Preview, error) {
	panic(fmt.Errorf("not implemented: MessagePreview - messagePreview"))
}

func (r *queryResolver) MessageTwilioLog(ctx context.Context, id id.ID) (*model.TwilioMessageLog, error) {
	panic(fmt.Errorf("not implemented: MessageTwilioLog - messageTwilioLog"))
}

func (r *queryResolver) MessageStatistics(ctx context.Context, filter model.MessageStatisticsFilter, groupBy *model.MessageStatisticsGroup) (*model.MessageStatistics, error) {
	panic(fmt.Errorf("not implemented: MessageStatistics - messageStatistics"))
}

func (r *recordResolver) Messages(ctx context.Context, obj *contact.Record, first *int, after *string) (*model.MessageConnection, error) {
	panic(fmt.Errorf("not implemented: Messages - messages"))
}

func (r *smsInboxChangeResolver) Thread(ctx context.Context, obj *model.SmsInboxChange) (*message.Thread, error) {
	panic(fmt.Errorf("not implemented: Thread - thread"))
}

func (r *smsInboxChangeResolver) Message(ctx context.Context, obj *model.SmsInboxChange) (*message.Message, error) {
	panic(fmt.Errorf("not implemented: Message - message"))
}

func (r *smsInboxChangeResolver) Inbox(ctx context.Context, obj *model.SmsInboxChange) (*message.Inbox, error) {
	panic(fmt.Errorf("not implemented: Inbox - inbox"))
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

func (r *smsThreadResolver) ClosedBy(ctx context.Context, obj *message.Thread) (*user.User, error) {
	panic(fmt.Errorf("not implemented: ClosedBy - closedBy"))
}

func (r *smsThreadResolver) UnreadCount(ctx context.Context, obj *message.Thread) (int, error) {
	panic(fmt.Errorf("not implemented: UnreadCount - unreadCount"))
}

func (r *smsThreadResolver) ReplyProblem(ctx context.Context, obj *message.Thread) (*string, error) {
	panic(fmt.Errorf("not implemented: ReplyProblem - replyProblem"))
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

func (r *smsThreadUpdatedResolver) Actor(ctx context.Context, obj *model.SmsThreadUpdated) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *smsThreadUpdatedResolver) Thread(ctx context.Context, obj *model.SmsThreadUpdated) (*message.Thread, error) {
	panic(fmt.Errorf("not implemented: Thread - thread"))
}

func (r *subscriptionResolver) SmsInboxChanged(ctx context.Context, after *string) (<-chan *model.SmsInboxChange, error) {
	panic(fmt.Errorf("not implemented: SmsInboxChanged - smsInboxChanged"))
}

func (r *Resolver) Message() exec.MessageResolver { return &messageResolver{r} }

func (r *Resolver) MessageMedia() exec.MessageMediaResolver { return &messageMediaResolver{r} }

func (r *Resolver) MessagePreview() exec.MessagePreviewResolver { return &messagePreviewResolver{r} }

func (r *Resolver) MessagePreviewRecipient() exec.MessagePreviewRecipientResolver {
	return &messagePreviewRecipientResolver{r}
}

func (r *Resolver) MessageReceived() exec.MessageReceivedResolver { return &messageReceivedResolver{r} }

func (r *Resolver) MessageUpdated() exec.MessageUpdatedResolver { return &messageUpdatedResolver{r} }

func (r *Resolver) SmsInboxChange() exec.SmsInboxChangeResolver { return &smsInboxChangeResolver{r} }

func (r *Resolver) SmsThread() exec.SmsThreadResolver { return &smsThreadResolver{r} }

func (r *Resolver) SmsThreadUpdated() exec.SmsThreadUpdatedResolver {
	return &smsThreadUpdatedResolver{r}
}

type (
	messageResolver                 struct{ *Resolver }
	messageMediaResolver            struct{ *Resolver }
	messagePreviewResolver          struct{ *Resolver }
	messagePreviewRecipientResolver struct{ *Resolver }
	messageReceivedResolver         struct{ *Resolver }
	messageUpdatedResolver          struct{ *Resolver }
	smsInboxChangeResolver          struct{ *Resolver }
	smsThreadResolver               struct{ *Resolver }
	smsThreadUpdatedResolver        struct{ *Resolver }
)
