package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/phone"
	"switchboard/internal/report"
	"switchboard/internal/route"
	"switchboard/internal/user"
)

func (r *contactResolver) Messages(ctx context.Context, obj *contact.Contact, first *int, after *string) (*model.MessageConnection, error) {
	return r.messages(ctx, message.LogFilter{ContactID: obj.ID}, first, after)
}

func (r *messageResolver) Thread(ctx context.Context, obj *message.Message) (*message.Thread, error) {
	return loader.Load(ctx, loader.From(ctx).Threads, obj.ThreadID)
}

func (r *messageResolver) StatusText(ctx context.Context, obj *message.Message) (string, error) {
	return obj.Text(), nil
}

func (r *messageResolver) IsRetryable(ctx context.Context, obj *message.Message) (bool, error) {
	return obj.Retryable(), nil
}

func (r *messageResolver) Contact(ctx context.Context, obj *message.Message) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *messageResolver) BulkMessage(ctx context.Context, obj *message.Message) (*message.Bulk, error) {
	return loader.Load(ctx, loader.From(ctx).Bulks, obj.BulkID)
}

func (r *messageResolver) Automation(ctx context.Context, obj *message.Message) (*automation.Automation, error) {
	return loader.Load(ctx, loader.From(ctx).Automations, obj.AutomationID)
}

func (r *messageResolver) Template(ctx context.Context, obj *message.Message) (*message.SavedTemplate, error) {
	return loader.Load(ctx, loader.From(ctx).Templates, obj.TemplateID)
}

func (r *messageResolver) RetryOf(ctx context.Context, obj *message.Message) (*message.Message, error) {
	return loader.Load(ctx, loader.From(ctx).Messages, obj.RetryOfID)
}

func (r *messageResolver) From(ctx context.Context, obj *message.Message) (*route.Party, error) {
	return party(ctx, obj.ThreadID, obj.From(), obj.Direction == message.Inbound)
}

func (r *messageResolver) To(ctx context.Context, obj *message.Message) (*route.Party, error) {
	return party(ctx, obj.ThreadID, obj.To(), obj.Direction == message.Outbound)
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
	return previewed(obj, first, of(skip), of(onlyProblems))
}

func (r *messagePreviewRecipientResolver) Given(ctx context.Context, obj *message.PreviewRecipient) (string, error) {
	return obj.Given, nil
}

func (r *messagePreviewRecipientResolver) To(ctx context.Context, obj *message.PreviewRecipient) (*phone.E164, error) {
	if obj.E164 == "" || obj.IsHidden {
		return nil, nil
	}
	return &obj.E164, nil
}

func (r *messagePreviewRecipientResolver) Contact(ctx context.Context, obj *message.PreviewRecipient) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *messagePreviewRecipientResolver) Record(ctx context.Context, obj *message.PreviewRecipient) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
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
	t, err := r.d.Messages.Start(ctx, access.From(ctx), message.StartThread{PhoneNumberID: given(input.PhoneNumberID), To: given(input.To), ContactID: given(input.ContactID)})
	problems, err := userErrors(err)
	return &model.SmsThreadStartPayload{Thread: t, UserErrors: problems}, err
}

func (r *mutationResolver) SmsThreadAssign(ctx context.Context, id id.ID, userID *id.ID) (*model.SmsThreadAssignPayload, error) {
	t, err := r.d.Messages.Assign(ctx, access.From(ctx), id, of(userID))
	problems, err := userErrors(err)
	return &model.SmsThreadAssignPayload{Thread: t, UserErrors: problems}, err
}

func (r *mutationResolver) SmsThreadRead(ctx context.Context, id id.ID, isRead bool) (*model.SmsThreadReadPayload, error) {
	t, err := r.d.Messages.Read(ctx, access.From(ctx), id, isRead)
	problems, err := userErrors(err)
	return &model.SmsThreadReadPayload{Thread: t, UserErrors: problems}, err
}

func (r *mutationResolver) SmsThreadClose(ctx context.Context, id id.ID) (*model.SmsThreadClosePayload, error) {
	t, err := r.d.Messages.Close(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.SmsThreadClosePayload{Thread: t, UserErrors: problems}, err
}

func (r *mutationResolver) SmsThreadReopen(ctx context.Context, id id.ID) (*model.SmsThreadReopenPayload, error) {
	t, err := r.d.Messages.Reopen(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.SmsThreadReopenPayload{Thread: t, UserErrors: problems}, err
}

func (r *mutationResolver) MessageCancel(ctx context.Context, id id.ID) (*model.MessageCancelPayload, error) {
	m, err := r.d.Messages.Cancel(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.MessageCancelPayload{Message: m, UserErrors: problems}, err
}

func (r *mutationResolver) MessageRetry(ctx context.Context, id id.ID) (*model.MessageRetryPayload, error) {
	m, err := r.d.Messages.Retry(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.MessageRetryPayload{Message: m, UserErrors: problems}, err
}

func (r *mutationResolver) MessageRelink(ctx context.Context, id id.ID, input model.MessageRelinkInput) (*model.MessageRelinkPayload, error) {
	m, err := r.d.Messages.Relink(ctx, access.From(ctx), id, message.Relink{ContactID: field(input.ContactID), RecordID: field(input.RecordID)})
	problems, err := userErrors(err)
	return &model.MessageRelinkPayload{Message: m, UserErrors: problems}, err
}

func (r *mutationResolver) TestMessage(ctx context.Context, input model.TestMessageInput, idempotencyKey *string) (*model.TestMessagePayload, error) {
	m, found, err := r.d.Messages.TestMessage(ctx, access.From(ctx), given(input.PhoneNumberID), input.To, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.TestMessagePayload{Message: m, Problems: pointers(found), UserErrors: problems}, err
}

func (r *mutationResolver) MessageSend(ctx context.Context, input model.MessageSendInput, idempotencyKey *string) (*model.MessageSendPayload, error) {
	m, err := r.d.Messages.Send(ctx, access.From(ctx), sending(input, of(idempotencyKey)))
	problems, err := userErrors(err)
	return &model.MessageSendPayload{Message: m, Warnings: warnings(m), UserErrors: problems}, err
}

func (r *queryResolver) SmsThreads(ctx context.Context, first *int, after *string, filter *model.SmsThreadFilter) (*model.SmsThreadConnection, error) {
	f, err := r.threadFilter(ctx, filter)
	if err != nil {
		return nil, err
	}
	return r.threads(ctx, f, page(first, after))
}

func (r *queryResolver) SmsThread(ctx context.Context, id id.ID) (*message.Thread, error) {
	return absent(r.d.Messages.Thread(ctx, access.From(ctx), id))
}

func (r *queryResolver) SmsInbox(ctx context.Context) (*message.Inbox, error) {
	return r.d.Messages.Inbox(ctx, access.From(ctx))
}

func (r *queryResolver) Messages(ctx context.Context, first *int, after *string, filter *model.MessageFilter) (*model.MessageConnection, error) {
	f, err := r.messageFilter(ctx, filter)
	if err != nil {
		return nil, err
	}
	return r.messages(ctx, f, first, after)
}

func (r *queryResolver) Message(ctx context.Context, id id.ID) (*message.Message, error) {
	return absent(r.d.Messages.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) MessagePreview(ctx context.Context, input model.MessagePreviewInput) (*message.Preview, error) {
	return r.d.Messages.Preview(ctx, access.From(ctx), previewDraft(input))
}

func (r *queryResolver) MessageTwilioLog(ctx context.Context, id id.ID) (*model.TwilioMessageLog, error) {
	x, err := absent(r.d.Messages.TwilioLog(ctx, access.From(ctx), id))
	if err != nil || x == nil {
		return nil, err
	}
	return twilioLog(x), nil
}

func (r *queryResolver) MessageStatistics(ctx context.Context, filter model.MessageStatisticsFilter, groupBy *model.MessageStatisticsGroup) (*model.MessageStatistics, error) {
	return r.messageStatistics(ctx, filter, report.Group(of(groupBy)))
}

func (r *recordResolver) Messages(ctx context.Context, obj *contact.Record, first *int, after *string) (*model.MessageConnection, error) {
	return r.messages(ctx, message.LogFilter{RecordID: obj.ID}, first, after)
}

func (r *smsInboxChangeResolver) Thread(ctx context.Context, obj *model.SmsInboxChange) (*message.Thread, error) {
	t, err := loader.Load(ctx, loader.From(ctx).Threads, obj.ThreadID)
	return required(t, err, "thread")
}

func (r *smsInboxChangeResolver) Message(ctx context.Context, obj *model.SmsInboxChange) (*message.Message, error) {
	return loader.Load(ctx, loader.From(ctx).Messages, obj.MessageID)
}

func (r *smsInboxChangeResolver) Inbox(ctx context.Context, obj *model.SmsInboxChange) (*message.Inbox, error) {
	return r.d.Messages.Inbox(ctx, access.From(ctx))
}

func (r *smsThreadResolver) PhoneNumber(ctx context.Context, obj *message.Thread) (*number.PhoneNumber, error) {
	n, err := loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
	return required(n, err, "number")
}

func (r *smsThreadResolver) Them(ctx context.Context, obj *message.Thread) (*route.Party, error) {
	return party(ctx, obj.ID, obj.Them(), true)
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
	return loader.Load(ctx, loader.From(ctx).Users, obj.ClosedByID)
}

func (r *smsThreadResolver) UnreadCount(ctx context.Context, obj *message.Thread) (int, error) {
	return loader.From(ctx).ThreadUnread.Load(ctx, obj.ID)
}

func (r *smsThreadResolver) ReplyProblem(ctx context.Context, obj *message.Thread) (*string, error) {
	return loader.From(ctx).ThreadReplyProblems.Load(ctx, obj.ID)
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
	return messagePage(ctx, p, w)
}

func (r *smsThreadResolver) LastMessage(ctx context.Context, obj *message.Thread) (*message.Message, error) {
	return loader.Load(ctx, loader.From(ctx).Messages, obj.LastMessageID)
}

func (r *smsThreadUpdatedResolver) Actor(ctx context.Context, obj *model.SmsThreadUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *smsThreadUpdatedResolver) Thread(ctx context.Context, obj *model.SmsThreadUpdated) (*message.Thread, error) {
	return loader.Load(ctx, loader.From(ctx).Threads, obj.ThreadID)
}

func (r *subscriptionResolver) SmsInboxChanged(ctx context.Context, after *string) (<-chan *model.SmsInboxChange, error) {
	return r.smsInboxChanged(ctx, after)
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
