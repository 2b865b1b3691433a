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

func (r *consentResolver) Number(ctx context.Context, obj *message.Consent) (*phone.E164, error) {
	who := access.From(ctx)
	if obj.ContactID.IsZero() {
		if contact.Own(who) != "" {
			return nil, nil
		}
		return &obj.E164, nil
	}
	phones, err := loader.From(ctx).ContactPhones.Load(ctx, obj.ContactID)
	if err != nil || phones == nil { // nil says nothing of them; none is an empty list
		return nil, err
	}
	return &obj.E164, nil
}

func (r *consentResolver) Contact(ctx context.Context, obj *message.Consent) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *consentResolver) PhoneNumber(ctx context.Context, obj *message.Consent) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *consentResolver) Message(ctx context.Context, obj *message.Consent) (*message.Message, error) {
	return loader.Load(ctx, loader.From(ctx).Messages, obj.MessageID)
}

func (r *consentResolver) User(ctx context.Context, obj *message.Consent) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *consentChangedResolver) Actor(ctx context.Context, obj *model.ConsentChanged) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *consentChangedResolver) Consent(ctx context.Context, obj *model.ConsentChanged) (*message.Consent, error) {
	return loader.Load(ctx, loader.From(ctx).Consents, obj.ConsentID)
}

func (r *contactResolver) Consents(ctx context.Context, obj *contact.Contact, first *int, after *string) (*model.ConsentConnection, error) {
	return r.consents(ctx, message.ConsentFilter{ContactID: obj.ID}, page(first, after))
}

func (r *mutationResolver) ConsentRecord(ctx context.Context, input model.ConsentRecordInput) (*model.ConsentRecordPayload, error) {
	list, err := r.d.Messages.RecordConsent(ctx, access.From(ctx), message.ConsentRecord{
		Number: given(input.Number), ContactID: given(input.ContactID), Channel: input.Channel, Kind: input.Kind, Note: given(input.Note),
	})
	problems, err := userErrors(err)
	return &model.ConsentRecordPayload{Consents: list, UserErrors: problems}, err
}

func (r *mutationResolver) NumberMessagingUpdate(ctx context.Context, id id.ID, input model.NumberMessagingUpdateInput) (*model.NumberMessagingUpdatePayload, error) {
	n, err := r.d.Numbers.UpdateMessaging(ctx, access.From(ctx), id, number.MessagingUpdate{
		SmsAssigneeID: field(input.SmsAssigneeID), MmsAssigneeID: field(input.MmsAssigneeID), SenderName: field(input.SenderName),
		MessagesPerSecond: field(input.MessagesPerSecond),
	})
	warnings := []string{}
	if err == nil {
		warnings, err = r.warningsOf(ctx, id)
	}
	problems, err := userErrors(err)
	return &model.NumberMessagingUpdatePayload{PhoneNumber: n, Warnings: warnings, UserErrors: problems}, err
}

func (r *mutationResolver) NumberMessagingRefresh(ctx context.Context, id id.ID) (*model.NumberMessagingRefreshPayload, error) {
	n, err := r.d.Numbers.RefreshMessaging(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.NumberMessagingRefreshPayload{PhoneNumber: n, UserErrors: problems}, err
}

func (r *mutationResolver) MessagingServiceConnect(ctx context.Context, phoneNumberID id.ID) (*model.MessagingServiceConnectPayload, error) {
	n, err := r.d.Numbers.ConnectMessagingService(ctx, access.From(ctx), phoneNumberID)
	problems, err := userErrors(err)
	return &model.MessagingServiceConnectPayload{PhoneNumber: n, UserErrors: problems}, err
}

func (r *numberMessagingResolver) SenderKind(ctx context.Context, obj *number.Messaging) (message.SenderKind, error) {
	return message.SenderKindOf(string(obj.E164)), nil
}

func (r *numberMessagingResolver) SmsAssignee(ctx context.Context, obj *number.Messaging) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.SmsAssigneeID)
}

func (r *numberMessagingResolver) MmsAssignee(ctx context.Context, obj *number.Messaging) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.MmsAssigneeID)
}

func (r *numberMessagingResolver) MessagesPerSecond(ctx context.Context, obj *number.Messaging) (int, error) {
	if obj.Rate != nil {
		return *obj.Rate, nil
	}
	return message.DefaultRate(message.SenderKindOf(string(obj.E164))), nil
}

func (r *numberMessagingResolver) Countries(ctx context.Context, obj *number.Messaging) ([]string, error) {
	return loader.From(ctx).Countries.Load(ctx, obj.ConnectionID)
}

func (r *numberMessagingResolver) Warnings(ctx context.Context, obj *number.Messaging) ([]string, error) {
	return all(loader.From(ctx).SenderWarnings.Load(ctx, obj.NumberID))
}

func (r *phoneNumberResolver) Messaging(ctx context.Context, obj *number.PhoneNumber) (*number.Messaging, error) {
	return obj.Messaging(access.From(ctx)), nil
}

func (r *queryResolver) Consents(ctx context.Context, first *int, after *string, filter *model.ConsentFilter) (*model.ConsentConnection, error) {
	f := message.ConsentFilter{}
	if filter != nil {
		f = message.ConsentFilter{ContactID: given(filter.ContactID), Number: given(filter.Number), Channel: given(filter.Channel)}
	}
	return r.consents(ctx, f, page(first, after))
}

func (r *Resolver) Consent() exec.ConsentResolver { return &consentResolver{r} }

func (r *Resolver) ConsentChanged() exec.ConsentChangedResolver { return &consentChangedResolver{r} }

func (r *Resolver) NumberMessaging() exec.NumberMessagingResolver { return &numberMessagingResolver{r} }

type (
	consentResolver         struct{ *Resolver }
	consentChangedResolver  struct{ *Resolver }
	numberMessagingResolver struct{ *Resolver }
)
