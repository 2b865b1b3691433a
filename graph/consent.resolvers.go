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

func (r *consentResolver) Number(ctx context.Context, obj *message.Consent) (*phone.E164, error) {
	panic(fmt.Errorf("not implemented: Number - number"))
}

func (r *consentResolver) Contact(ctx context.Context, obj *message.Consent) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *consentResolver) PhoneNumber(ctx context.Context, obj *message.Consent) (*number.PhoneNumber, error) {
	panic(fmt.Errorf("not implemented: PhoneNumber - phoneNumber"))
}

func (r *consentResolver) Message(ctx context.Context, obj *message.Consent) (*message.Message, error) {
	panic(fmt.Errorf("not implemented: Message - message"))
}

func (r *consentResolver) User(ctx context.Context, obj *message.Consent) (*user.User, error) {
	panic(fmt.Errorf("not implemented: User - user"))
}

func (r *consentChangedResolver) Actor(ctx context.Context, obj *model.ConsentChanged) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *consentChangedResolver) Consent(ctx context.Context, obj *model.ConsentChanged) (*message.Consent, error) {
	panic(fmt.Errorf("not implemented: Consent - consent"))
}

func (r *contactResolver) Consents(ctx context.Context, obj *contact.Contact, first *int, after *string) (*model.ConsentConnection, error) {
	panic(fmt.Errorf("not implemented: Consents - consents"))
}

func (r *mutationResolver) ConsentRecord(ctx context.Context, input model.ConsentRecordInput) (*model.ConsentRecordPayload, error) {
	panic(fmt.Errorf("not implemented: ConsentRecord - consentRecord"))
}

func (r *mutationResolver) NumberMessagingUpdate(ctx context.Context, id id.ID, input model.NumberMessagingUpdateInput) (*model.NumberMessagingUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: NumberMessagingUpdate - numberMessagingUpdate"))
}

func (r *mutationResolver) NumberMessagingRefresh(ctx context.Context, id id.ID) (*model.NumberMessagingRefreshPayload, error) {
	panic(fmt.Errorf("not implemented: NumberMessagingRefresh - numberMessagingRefresh"))
}

func (r *mutationResolver) MessagingServiceConnect(ctx context.Context, phoneNumberID id.ID) (*model.MessagingServiceConnectPayload, error) {
	panic(fmt.Errorf("not implemented: MessagingServiceConnect - messagingServiceConnect"))
}

func (r *numberMessagingResolver) SenderKind(ctx context.Context, obj *number.Messaging) (message.SenderKind, error) {
	panic(fmt.Errorf("not implemented: SenderKind - senderKind"))
}

func (r *numberMessagingResolver) SmsAssignee(ctx context.Context, obj *number.Messaging) (*user.User, error) {
	panic(fmt.Errorf("not implemented: SmsAssignee - smsAssignee"))
}

func (r *numberMessagingResolver) MmsAssignee(ctx context.Context, obj *number.Messaging) (*user.User, error) {
	panic(fmt.Errorf("not implemented: MmsAssignee - mmsAssignee"))
}

func (r *numberMessagingResolver) MessagesPerSecond(ctx context.Context, obj *number.Messaging) (int, error) {
	panic(fmt.Errorf("not implemented: MessagesPerSecond - messagesPerSecond"))
}

func (r *numberMessagingResolver) Countries(ctx context.Context, obj *number.Messaging) ([]string, error) {
	panic(fmt.Errorf("not implemented: Countries - countries"))
}

func (r *numberMessagingResolver) Warnings(ctx context.Context, obj *number.Messaging) ([]string, error) {
	panic(fmt.Errorf("not implemented: Warnings - warnings"))
}

func (r *phoneNumberResolver) Messaging(ctx context.Context, obj *number.PhoneNumber) (*number.Messaging, error) {
	panic(fmt.Errorf("not implemented: Messaging - messaging"))
}

func (r *queryResolver) Consents(ctx context.Context, first *int, after *string, filter *model.ConsentFilter) (*model.ConsentConnection, error) {
	panic(fmt.Errorf("not implemented: Consents - consents"))
}

func (r *Resolver) Consent() exec.ConsentResolver { return &consentResolver{r} }

func (r *Resolver) ConsentChanged() exec.ConsentChangedResolver { return &consentChangedResolver{r} }

func (r *Resolver) NumberMessaging() exec.NumberMessagingResolver { return &numberMessagingResolver{r} }

type (
	consentResolver         struct{ *Resolver }
	consentChangedResolver  struct{ *Resolver }
	numberMessagingResolver struct{ *Resolver }
)
