package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/route"
	"switchboard/internal/tenant"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
	"time"
)

func (r *callResolver) FollowUp(ctx context.Context, obj *call.Call) (*followup.FollowUp, error) {
	return loader.From(ctx).CallFollowUps.Load(ctx, obj.ID)
}

func (r *contactResolver) FollowUps(ctx context.Context, obj *contact.Contact, first *int, after *string) (*model.FollowUpConnection, error) {
	if !access.From(ctx).Can(access.FollowUpView) {
		return emptyFollowUps(), nil
	}
	return r.followUps(ctx, page(first, after), followup.Filter{ContactID: obj.ID}, followup.Newest)
}

func (r *followUpResolver) From(ctx context.Context, obj *followup.FollowUp) (*route.Party, error) {
	return shown(ctx, obj.From(), loader.RevealedByFollowUp(access.From(ctx), obj))
}

func (r *followUpResolver) Contact(ctx context.Context, obj *followup.FollowUp) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *followUpResolver) Record(ctx context.Context, obj *followup.FollowUp) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *followUpResolver) Branch(ctx context.Context, obj *followup.FollowUp) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *followUpResolver) PhoneNumber(ctx context.Context, obj *followup.FollowUp) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *followUpResolver) Owner(ctx context.Context, obj *followup.FollowUp) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.OwnerID)
}

func (r *followUpResolver) Notes(ctx context.Context, obj *followup.FollowUp) ([]*followup.Note, error) {
	return all(loader.From(ctx).FollowUpNotes.Load(ctx, obj.ID))
}

func (r *followUpResolver) EscalatedTo(ctx context.Context, obj *followup.FollowUp) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.EscalatedToID)
}

func (r *followUpResolver) EscalatedToRole(ctx context.Context, obj *followup.FollowUp) (*access.Role, error) {
	return loader.Load(ctx, loader.From(ctx).Roles, obj.EscalatedToRoleID)
}

func (r *followUpResolver) Attempts(ctx context.Context, obj *followup.FollowUp, first *int, after *string) (*model.FollowUpAttemptConnection, error) {
	p := page(first, after)
	w, err := r.d.FollowUps.Attempts(ctx, access.From(ctx), obj, p)
	if err != nil {
		return nil, err
	}
	c := &model.FollowUpAttemptConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *followup.Attempt) *model.FollowUpAttemptEdge {
		return &model.FollowUpAttemptEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *followUpResolver) ClosedBy(ctx context.Context, obj *followup.FollowUp) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ClosedByID)
}

func (r *followUpResolver) ClosedByCall(ctx context.Context, obj *followup.FollowUp) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.ClosedByCallID)
}

func (r *followUpResolver) History(ctx context.Context, obj *followup.FollowUp, first *int, after *string) (*model.FollowUpEntryConnection, error) {
	p := page(first, after)
	w, err := r.d.FollowUps.History(ctx, access.From(ctx), obj, p)
	if err != nil {
		return nil, err
	}
	c := &model.FollowUpEntryConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *followup.Entry) *model.FollowUpEntryEdge {
		return &model.FollowUpEntryEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *followUpAttemptResolver) Call(ctx context.Context, obj *followup.Attempt) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *followUpAttemptResolver) Voicemail(ctx context.Context, obj *followup.Attempt) (*voicemail.Voicemail, error) {
	return loader.Load(ctx, loader.From(ctx).Voicemails, obj.VoicemailID)
}

func (r *followUpChangedResolver) Counts(ctx context.Context, obj *followup.Changed) (*followup.Counts, error) {
	return r.d.FollowUps.Counts(ctx, access.From(ctx))
}

func (r *followUpEntryResolver) Actor(ctx context.Context, obj *followup.Entry) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *followUpEntryResolver) Call(ctx context.Context, obj *followup.Entry) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *followUpEntryResolver) Voicemail(ctx context.Context, obj *followup.Entry) (*voicemail.Voicemail, error) {
	return loader.Load(ctx, loader.From(ctx).Voicemails, obj.VoicemailID)
}

func (r *followUpEntryResolver) User(ctx context.Context, obj *followup.Entry) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *followUpEntryResolver) Role(ctx context.Context, obj *followup.Entry) (*access.Role, error) {
	return loader.Load(ctx, loader.From(ctx).Roles, obj.RoleID)
}

func (r *followUpNoteResolver) Author(ctx context.Context, obj *followup.Note) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.AuthorID)
}

func (r *followUpSettingsResolver) EscalateTo(ctx context.Context, obj *followup.Settings) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.EscalateToID)
}

func (r *followUpSettingsResolver) EscalateToRole(ctx context.Context, obj *followup.Settings) (*access.Role, error) {
	return loader.Load(ctx, loader.From(ctx).Roles, obj.EscalateToRoleID)
}

func (r *followUpUpdatedResolver) Actor(ctx context.Context, obj *model.FollowUpUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *followUpUpdatedResolver) FollowUp(ctx context.Context, obj *model.FollowUpUpdated) (*followup.FollowUp, error) {
	return loader.Load(ctx, loader.From(ctx).FollowUps, obj.FollowUpID)
}

func (r *mutationResolver) FollowUpAssign(ctx context.Context, id id.ID, userID *id.ID) (*model.FollowUpAssignPayload, error) {
	f, err := r.d.FollowUps.Assign(ctx, access.From(ctx), id, of(userID))
	problems, err := userErrors(err)
	return &model.FollowUpAssignPayload{FollowUp: f, UserErrors: problems}, err
}

func (r *mutationResolver) FollowUpUpdate(ctx context.Context, id id.ID, input model.FollowUpUpdateInput) (*model.FollowUpUpdatePayload, error) {
	f, err := r.d.FollowUps.Update(ctx, access.From(ctx), id, followup.Edit{Note: field(input.Note), DueAt: field(input.DueAt), Outcome: field(input.Outcome)})
	problems, err := userErrors(err)
	return &model.FollowUpUpdatePayload{FollowUp: f, UserErrors: problems}, err
}

func (r *mutationResolver) FollowUpResolve(ctx context.Context, id id.ID, input model.FollowUpResolveInput) (*model.FollowUpResolvePayload, error) {
	f, err := r.d.FollowUps.Resolve(ctx, access.From(ctx), id, followup.Resolution{Status: given(input.Status), Outcome: field(input.Outcome), Note: input.Note.Value()})
	problems, err := userErrors(err)
	return &model.FollowUpResolvePayload{FollowUp: f, UserErrors: problems}, err
}

func (r *mutationResolver) FollowUpReopen(ctx context.Context, id id.ID, note *string) (*model.FollowUpReopenPayload, error) {
	f, err := r.d.FollowUps.Reopen(ctx, access.From(ctx), id, note)
	problems, err := userErrors(err)
	return &model.FollowUpReopenPayload{FollowUp: f, UserErrors: problems}, err
}

func (r *mutationResolver) FollowUpCallBack(ctx context.Context, id id.ID, input *model.FollowUpCallBackInput, idempotencyKey *string) (*model.FollowUpCallBackPayload, error) {
	in := of(input)
	f, c, err := r.d.FollowUps.CallBack(ctx, access.From(ctx), id, followup.CallBack{
		DeviceID: given(in.DeviceID), RingMyPhone: given(in.RingMyPhone), RingMySIP: given(in.RingMySip), PhoneNumberID: given(in.PhoneNumberID),
	}, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.FollowUpCallBackPayload{FollowUp: f, Call: c, Notices: noticesOf(c), UserErrors: problems}, err
}

func (r *mutationResolver) FollowUpSettingsUpdate(ctx context.Context, input model.FollowUpSettingsInput) (*model.FollowUpSettingsUpdatePayload, error) {
	x, err := r.d.FollowUps.SetSettings(ctx, access.From(ctx), followup.SettingsChange{
		DueMinutes: field(input.DueMinutes), EscalateToID: field(input.EscalateToUserID), EscalateToRoleID: field(input.EscalateToRoleID),
	})
	problems, err := userErrors(err)
	return &model.FollowUpSettingsUpdatePayload{FollowUpSettings: x, UserErrors: problems}, err
}

func (r *mutationResolver) NotificationsMarkRead(ctx context.Context, ids []*id.ID, before *time.Time) (*model.NotificationsMarkReadPayload, error) {
	read, left, err := r.d.FollowUps.MarkRead(ctx, access.From(ctx), every(ids, deref), before)
	problems, err := userErrors(err)
	return &model.NotificationsMarkReadPayload{ReadCount: unless(problems, read), UnreadCount: unless(problems, left), UserErrors: problems}, err
}

func (r *mutationResolver) NotificationPreferencesSet(ctx context.Context, input model.NotificationPreferencesInput) (*model.NotificationPreferencesSetPayload, error) {
	rows, err := r.d.FollowUps.SetPreferences(ctx, access.From(ctx), given(input.UserID), every(input.Preferences, preference))
	problems, err := userErrors(err)
	rows, err = all(rows, err)
	return &model.NotificationPreferencesSetPayload{NotificationPreferences: rows, UserErrors: problems}, err
}

func (r *mutationResolver) NotificationDefaultsSet(ctx context.Context, input model.NotificationDefaultsInput) (*model.NotificationDefaultsSetPayload, error) {
	role, err := r.d.FollowUps.SetDefaults(ctx, access.From(ctx), input.RoleID, every(input.Preferences, preference))
	problems, err := userErrors(err)
	return &model.NotificationDefaultsSetPayload{Role: role, UserErrors: problems}, err
}

func (r *mutationResolver) VoicemailNotificationsSet(ctx context.Context, phoneNumberID id.ID, channels []followup.Channel) (*model.VoicemailNotificationsSetPayload, error) {
	problems, err := userErrors(r.d.FollowUps.SetVoicemailChannels(ctx, access.From(ctx), phoneNumberID, channels))
	if err != nil || len(problems) > 0 {
		return &model.VoicemailNotificationsSetPayload{UserErrors: problems}, err
	}
	n, err := loader.Load(ctx, loader.From(ctx).Numbers, phoneNumberID)
	return &model.VoicemailNotificationsSetPayload{PhoneNumber: n, UserErrors: problems}, err
}

func (r *mutationResolver) PushSubscriptionCreate(ctx context.Context, input model.PushSubscriptionCreateInput) (*model.PushSubscriptionCreatePayload, error) {
	x, err := r.d.FollowUps.Subscribe(ctx, access.From(ctx), followup.Browser{Endpoint: input.Endpoint, P256DH: input.P256dh, Auth: input.Auth}, given(input.Name))
	problems, err := userErrors(err)
	return &model.PushSubscriptionCreatePayload{PushSubscription: x, UserErrors: problems}, err
}

func (r *mutationResolver) PushSubscriptionDelete(ctx context.Context, id id.ID) (*model.PushSubscriptionDeletePayload, error) {
	problems, err := userErrors(r.d.FollowUps.Unsubscribe(ctx, access.From(ctx), id))
	return &model.PushSubscriptionDeletePayload{DeletedID: unless(problems, id), UserErrors: problems}, err
}

func (r *notificationResolver) Subject(ctx context.Context, obj *followup.Notification) (model.Node, error) {
	return r.subject(ctx, obj.SubjectID)
}

func (r *notificationResolver) Call(ctx context.Context, obj *followup.Notification) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *notificationResolver) Voicemail(ctx context.Context, obj *followup.Notification) (*voicemail.Voicemail, error) {
	return loader.Load(ctx, loader.From(ctx).Voicemails, obj.VoicemailID)
}

func (r *notificationResolver) Message(ctx context.Context, obj *followup.Notification) (*message.Message, error) {
	return loader.Load(ctx, loader.From(ctx).Messages, obj.MessageID)
}

func (r *notificationResolver) FollowUp(ctx context.Context, obj *followup.Notification) (*followup.FollowUp, error) {
	return loader.Load(ctx, loader.From(ctx).FollowUps, obj.FollowUpID)
}

func (r *notificationResolver) Actor(ctx context.Context, obj *followup.Notification) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *notificationResolver) Sendings(ctx context.Context, obj *followup.Notification) ([]*followup.Sending, error) {
	return all(loader.From(ctx).NotificationSendings.Load(ctx, obj.ID))
}

func (r *notificationChangedResolver) UnreadCount(ctx context.Context, obj *followup.NotificationChanged) (int, error) {
	return r.d.FollowUps.Unread(ctx, access.From(ctx))
}

func (r *notificationUpdatedResolver) Actor(ctx context.Context, obj *model.NotificationUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *notificationUpdatedResolver) Notification(ctx context.Context, obj *model.NotificationUpdated) (*followup.Notification, error) {
	return absent(r.d.FollowUps.Notification(ctx, access.From(ctx), obj.NotificationID))
}

func (r *organizationResolver) FollowUpSettings(ctx context.Context, obj *tenant.Organization) (*followup.Settings, error) {
	return r.d.FollowUps.Settings(ctx, access.From(ctx))
}

func (r *phoneNumberResolver) VoicemailNotificationChannels(ctx context.Context, obj *number.PhoneNumber) ([]followup.Channel, error) {
	return all(loader.From(ctx).NumberVoicemailChannels.Load(ctx, obj.ID))
}

func (r *queryResolver) FollowUps(ctx context.Context, first *int, after *string, filter *model.FollowUpFilter, orderBy followup.Order) (*model.FollowUpConnection, error) {
	return r.followUps(ctx, page(first, after), followUpFilter(filter), orderBy)
}

func (r *queryResolver) FollowUp(ctx context.Context, id id.ID) (*followup.FollowUp, error) {
	return absent(r.d.FollowUps.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) FollowUpCounts(ctx context.Context) (*followup.Counts, error) {
	return r.d.FollowUps.Counts(ctx, access.From(ctx))
}

func (r *queryResolver) Notifications(ctx context.Context, first *int, after *string, filter *model.NotificationFilter) (*model.NotificationConnection, error) {
	var f followup.NotificationFilter
	if filter != nil {
		f = followup.NotificationFilter{IsRead: filter.IsRead.Value(), Kinds: filter.Kinds.Value()}
	}
	p := page(first, after)
	w, err := r.d.FollowUps.Notifications(ctx, access.From(ctx), f, p)
	if err != nil {
		return nil, err
	}
	c := &model.NotificationConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *followup.Notification) *model.NotificationEdge {
		return &model.NotificationEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *queryResolver) NotificationPreferences(ctx context.Context, userID *id.ID) ([]*followup.Preference, error) {
	return all(r.d.FollowUps.Preferences(ctx, access.From(ctx), of(userID)))
}

func (r *queryResolver) NotificationChannels(ctx context.Context) ([]*followup.ChannelState, error) {
	return r.d.FollowUps.ChannelStates(), nil
}

func (r *queryResolver) WebPushKey(ctx context.Context) (*string, error) {
	return wordOrNull(r.d.FollowUps.WebPushKey()), nil
}

func (r *queryResolver) PushSubscriptions(ctx context.Context) ([]*followup.PushSubscription, error) {
	return all(r.d.FollowUps.Subscriptions(ctx, access.From(ctx)))
}

func (r *roleResolver) NotificationPreferences(ctx context.Context, obj *access.Role) ([]*followup.Preference, error) {
	return all(loader.From(ctx).RoleNotifications.Load(ctx, obj.ID))
}

func (r *subscriptionResolver) FollowUpChanged(ctx context.Context, after *string) (<-chan *followup.Changed, error) {
	return r.followUpChanged(ctx, after)
}

func (r *subscriptionResolver) NotificationChanged(ctx context.Context, after *string) (<-chan *followup.NotificationChanged, error) {
	return r.notificationChanged(ctx, after)
}

func (r *voicemailResolver) FollowUp(ctx context.Context, obj *voicemail.Voicemail) (*followup.FollowUp, error) {
	return loader.From(ctx).VoicemailFollowUps.Load(ctx, obj.ID)
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
