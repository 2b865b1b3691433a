package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/tenant"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
	"time"
)

func (r *callResolver) FollowUp(ctx context.Context, obj *call.Call) (*followup.FollowUp, error) {
	panic(fmt.Errorf("not implemented: FollowUp - followUp"))
}

func (r *contactResolver) FollowUps(ctx context.Context, obj *contact.Contact, first *int, after *string) (*model.FollowUpConnection, error) {
	panic(fmt.Errorf("not implemented: FollowUps - followUps"))
}

func (r *followUpResolver) Contact(ctx context.Context, obj *followup.FollowUp) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *followUpResolver) Record(ctx context.Context, obj *followup.FollowUp) (*contact.Record, error) {
	panic(fmt.Errorf("not implemented: Record - record"))
}

func (r *followUpResolver) Branch(ctx context.Context, obj *followup.FollowUp) (*number.Branch, error) {
	panic(fmt.Errorf("not implemented: Branch - branch"))
}

func (r *followUpResolver) PhoneNumber(ctx context.Context, obj *followup.FollowUp) (*number.PhoneNumber, error) {
	panic(fmt.Errorf("not implemented: PhoneNumber - phoneNumber"))
}

func (r *followUpResolver) Owner(ctx context.Context, obj *followup.FollowUp) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Owner - owner"))
}

func (r *followUpResolver) Notes(ctx context.Context, obj *followup.FollowUp) ([]*followup.Note, error) {
	panic(fmt.Errorf("not implemented: Notes - notes"))
}

func (r *followUpResolver) EscalatedTo(ctx context.Context, obj *followup.FollowUp) (*user.User, error) {
	panic(fmt.Errorf("not implemented: EscalatedTo - escalatedTo"))
}

func (r *followUpResolver) EscalatedToRole(ctx context.Context, obj *followup.FollowUp) (*access.Role, error) {
	panic(fmt.Errorf("not implemented: EscalatedToRole - escalatedToRole"))
}

func (r *followUpResolver) Attempts(ctx context.Context, obj *followup.FollowUp, first *int, after *string) (*model.FollowUpAttemptConnection, error) {
	panic(fmt.Errorf("not implemented: Attempts - attempts"))
}

func (r *followUpResolver) ClosedBy(ctx context.Context, obj *followup.FollowUp) (*user.User, error) {
	panic(fmt.Errorf("not implemented: ClosedBy - closedBy"))
}

func (r *followUpResolver) ClosedByCall(ctx context.Context, obj *followup.FollowUp) (*call.Call, error) {
	panic(fmt.Errorf("not implemented: ClosedByCall - closedByCall"))
}

func (r *followUpResolver) History(ctx context.Context, obj *followup.FollowUp, first *int, after *string) (*model.FollowUpEntryConnection, error) {
	panic(fmt.Errorf("not implemented: History - history"))
}

func (r *followUpAttemptResolver) Call(ctx context.Context, obj *followup.Attempt) (*call.Call, error) {
	panic(fmt.Errorf("not implemented: Call - call"))
}

func (r *followUpAttemptResolver) Voicemail(ctx context.Context, obj *followup.Attempt) (*voicemail.Voicemail, error) {
	panic(fmt.Errorf("not implemented: Voicemail - voicemail"))
}

func (r *followUpChangedResolver) Counts(ctx context.Context, obj *followup.Changed) (*followup.Counts, error) {
	panic(fmt.Errorf("not implemented: Counts - counts"))
}

func (r *followUpEntryResolver) Actor(ctx context.Context, obj *followup.Entry) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *followUpEntryResolver) Call(ctx context.Context, obj *followup.Entry) (*call.Call, error) {
	panic(fmt.Errorf("not implemented: Call - call"))
}

func (r *followUpEntryResolver) Voicemail(ctx context.Context, obj *followup.Entry) (*voicemail.Voicemail, error) {
	panic(fmt.Errorf("not implemented: Voicemail - voicemail"))
}

func (r *followUpEntryResolver) User(ctx context.Context, obj *followup.Entry) (*user.User, error) {
	panic(fmt.Errorf("not implemented: User - user"))
}

func (r *followUpEntryResolver) Role(ctx context.Context, obj *followup.Entry) (*access.Role, error) {
	panic(fmt.Errorf("not implemented: Role - role"))
}

func (r *followUpNoteResolver) Author(ctx context.Context, obj *followup.Note) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Author - author"))
}

func (r *followUpSettingsResolver) EscalateTo(ctx context.Context, obj *followup.Settings) (*user.User, error) {
	panic(fmt.Errorf("not implemented: EscalateTo - escalateTo"))
}

func (r *followUpSettingsResolver) EscalateToRole(ctx context.Context, obj *followup.Settings) (*access.Role, error) {
	panic(fmt.Errorf("not implemented: EscalateToRole - escalateToRole"))
}

func (r *followUpUpdatedResolver) Actor(ctx context.Context, obj *model.FollowUpUpdated) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *followUpUpdatedResolver) FollowUp(ctx context.Context, obj *model.FollowUpUpdated) (*followup.FollowUp, error) {
	panic(fmt.Errorf("not implemented: FollowUp - followUp"))
}

func (r *mutationResolver) FollowUpAssign(ctx context.Context, id id.ID, userID *id.ID) (*model.FollowUpAssignPayload, error) {
	panic(fmt.Errorf("not implemented: FollowUpAssign - followUpAssign"))
}

func (r *mutationResolver) FollowUpUpdate(ctx context.Context, id id.ID, input model.FollowUpUpdateInput) (*model.FollowUpUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: FollowUpUpdate - followUpUpdate"))
}

func (r *mutationResolver) FollowUpResolve(ctx context.Context, id id.ID, input model.FollowUpResolveInput) (*model.FollowUpResolvePayload, error) {
	panic(fmt.Errorf("not implemented: FollowUpResolve - followUpResolve"))
}

func (r *mutationResolver) FollowUpReopen(ctx context.Context, id id.ID, note *string) (*model.FollowUpReopenPayload, error) {
	panic(fmt.Errorf("not implemented: FollowUpReopen - followUpReopen"))
}

func (r *mutationResolver) FollowUpCallBack(ctx context.Context, id id.ID, input *model.FollowUpCallBackInput, idempotencyKey *string) (*model.FollowUpCallBackPayload, error) {
	panic(fmt.Errorf("not implemented: FollowUpCallBack - followUpCallBack"))
}

func (r *mutationResolver) FollowUpSettingsUpdate(ctx context.Context, input model.FollowUpSettingsInput) (*model.FollowUpSettingsUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: FollowUpSettingsUpdate - followUpSettingsUpdate"))
}

func (r *mutationResolver) NotificationsMarkRead(ctx context.Context, ids []*id.ID, before *time.Time) (*model.NotificationsMarkReadPayload, error) {
	panic(fmt.Errorf("not implemented: NotificationsMarkRead - notificationsMarkRead"))
}

func (r *mutationResolver) NotificationPreferencesSet(ctx context.Context, input model.NotificationPreferencesInput) (*model.NotificationPreferencesSetPayload, error) {
	panic(fmt.Errorf("not implemented: NotificationPreferencesSet - notificationPreferencesSet"))
}

func (r *mutationResolver) NotificationDefaultsSet(ctx context.Context, input model.NotificationDefaultsInput) (*model.NotificationDefaultsSetPayload, error) {
	panic(fmt.Errorf("not implemented: NotificationDefaultsSet - notificationDefaultsSet"))
}

func (r *mutationResolver) VoicemailNotificationsSet(ctx context.Context, phoneNumberID id.ID, channels []followup.Channel) (*model.VoicemailNotificationsSetPayload, error) {
	panic(fmt.Errorf("not implemented: VoicemailNotificationsSet - voicemailNotificationsSet"))
}

func (r *mutationResolver) PushSubscriptionCreate(ctx context.Context, input model.PushSubscriptionCreateInput) (*model.PushSubscriptionCreatePayload, error) {
	panic(fmt.Errorf("not implemented: PushSubscriptionCreate - pushSubscriptionCreate"))
}

func (r *mutationResolver) PushSubscriptionDelete(ctx context.Context, id id.ID) (*model.PushSubscriptionDeletePayload, error) {
	panic(fmt.Errorf("not implemented: PushSubscriptionDelete - pushSubscriptionDelete"))
}

func (r *notificationResolver) Subject(ctx context.Context, obj *followup.Notification) (model.Node, error) {
	panic(fmt.Errorf("not implemented: Subject - subject"))
}

func (r *notificationResolver) Call(ctx context.Context, obj *followup.Notification) (*call.Call, error) {
	panic(fmt.Errorf("not implemented: Call - call"))
}

func (r *notificationResolver) Voicemail(ctx context.Context, obj *followup.Notification) (*voicemail.Voicemail, error) {
	panic(fmt.Errorf("not implemented: Voicemail - voicemail"))
}

func (r *notificationResolver) Message(ctx context.Context, obj *followup.Notification) (*message.Message, error) {
	panic(fmt.Errorf("not implemented: Message - message"))
}

func (r *notificationResolver) FollowUp(ctx context.Context, obj *followup.Notification) (*followup.FollowUp, error) {
	panic(fmt.Errorf("not implemented: FollowUp - followUp"))
}

func (r *notificationResolver) Actor(ctx context.Context, obj *followup.Notification) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *notificationResolver) Sendings(ctx context.Context, obj *followup.Notification) ([]*followup.Sending, error) {
	panic(fmt.Errorf("not implemented: Sendings - sendings"))
}

func (r *notificationChangedResolver) UnreadCount(ctx context.Context, obj *followup.NotificationChanged) (int, error) {
	panic(fmt.Errorf("not implemented: UnreadCount - unreadCount"))
}

func (r *notificationUpdatedResolver) Actor(ctx context.Context, obj *model.NotificationUpdated) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *notificationUpdatedResolver) Notification(ctx context.Context, obj *model.NotificationUpdated) (*followup.Notification, error) {
	panic(fmt.Errorf("not implemented: Notification - notification"))
}

func (r *organizationResolver) FollowUpSettings(ctx context.Context, obj *tenant.Organization) (*followup.Settings, error) {
	panic(fmt.Errorf("not implemented: FollowUpSettings - followUpSettings"))
}

func (r *phoneNumberResolver) VoicemailNotificationChannels(ctx context.Context, obj *number.PhoneNumber) ([]followup.Channel, error) {
	panic(fmt.Errorf("not implemented: VoicemailNotificationChannels - voicemailNotificationChannels"))
}

func (r *queryResolver) FollowUps(ctx context.Context, first *int, after *string, filter *model.FollowUpFilter, orderBy followup.Order) (*model.FollowUpConnection, error) {
	panic(fmt.Errorf("not implemented: FollowUps - followUps"))
}

func (r *queryResolver) FollowUp(ctx context.Context, id id.ID) (*followup.FollowUp, error) {
	panic(fmt.Errorf("not implemented: FollowUp - followUp"))
}

func (r *queryResolver) FollowUpCounts(ctx context.Context) (*followup.Counts, error) {
	panic(fmt.Errorf("not implemented: FollowUpCounts - followUpCounts"))
}

func (r *queryResolver) Notifications(ctx context.Context, first *int, after *string, filter *model.NotificationFilter) (*model.NotificationConnection, error) {
	panic(fmt.Errorf("not implemented: Notifications - notifications"))
}

func (r *queryResolver) NotificationPreferences(ctx context.Context, userID *id.ID) ([]*followup.Preference, error) {
	panic(fmt.Errorf("not implemented: NotificationPreferences - notificationPreferences"))
}

func (r *queryResolver) NotificationChannels(ctx context.Context) ([]*followup.ChannelState, error) {
	panic(fmt.Errorf("not implemented: NotificationChannels - notificationChannels"))
}

func (r *queryResolver) WebPushKey(ctx context.Context) (*string, error) {
	panic(fmt.Errorf("not implemented: WebPushKey - webPushKey"))
}

func (r *queryResolver) PushSubscriptions(ctx context.Context) ([]*followup.PushSubscription, error) {
	panic(fmt.Errorf("not implemented: PushSubscriptions - pushSubscriptions"))
}

func (r *roleResolver) NotificationPreferences(ctx context.Context, obj *access.Role) ([]*followup.Preference, error) {
	panic(fmt.Errorf("not implemented: NotificationPreferences - notificationPreferences"))
}

func (r *subscriptionResolver) FollowUpChanged(ctx context.Context, after *string) (<-chan *followup.Changed, error) {
	panic(fmt.Errorf("not implemented: FollowUpChanged - followUpChanged"))
}

func (r *subscriptionResolver) NotificationChanged(ctx context.Context, after *string) (<-chan *followup.NotificationChanged, error) {
	panic(fmt.Errorf("not implemented: NotificationChanged - notificationChanged"))
}

func (r *voicemailResolver) FollowUp(ctx context.Context, obj *voicemail.Voicemail) (*followup.FollowUp, error) {
	panic(fmt.Errorf("not implemented: FollowUp - followUp"))
}

func (r *Resolver) FollowUp() exec.FollowUpResolver { return &followUpResolver{r} }

func (r *Resolver) FollowUpAttempt() exec.FollowUpAttemptResolver { return &followUpAttemptResolver{r} }

func (r *Resolver) FollowUpChanged() exec.FollowUpChangedResolver { return &followUpChangedResolver{r} }

func (r *Resolver) FollowUpEntry() exec.FollowUpEntryResolver { return &followUpEntryResolver{r} }

func (r *Resolver) FollowUpNote() exec.FollowUpNoteResolver { return &followUpNoteResolver{r} }

func (r *Resolver) FollowUpSettings() exec.FollowUpSettingsResolver {
	return &followUpSettingsResolver{r}
}

func (r *Resolver) FollowUpUpdated() exec.FollowUpUpdatedResolver { return &followUpUpdatedResolver{r} }

func (r *Resolver) Notification() exec.NotificationResolver { return &notificationResolver{r} }

func (r *Resolver) NotificationChanged() exec.NotificationChangedResolver {
	return &notificationChangedResolver{r}
}

func (r *Resolver) NotificationUpdated() exec.NotificationUpdatedResolver {
	return &notificationUpdatedResolver{r}
}

type (
	followUpResolver            struct{ *Resolver }
	followUpAttemptResolver     struct{ *Resolver }
	followUpChangedResolver     struct{ *Resolver }
	followUpEntryResolver       struct{ *Resolver }
	followUpNoteResolver        struct{ *Resolver }
	followUpSettingsResolver    struct{ *Resolver }
	followUpUpdatedResolver     struct{ *Resolver }
	notificationResolver        struct{ *Resolver }
	notificationChangedResolver struct{ *Resolver }
	notificationUpdatedResolver struct{ *Resolver }
)
