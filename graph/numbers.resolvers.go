package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/user"
)

func (r *audioResolver) URL(ctx context.Context, obj *number.Audio) (string, error) {
	return r.d.Link(access.From(ctx), obj.ID)
}

func (r *branchResolver) Users(ctx context.Context, obj *number.Branch) ([]*user.User, error) {
	users, err := loader.From(ctx).BranchUsers.Load(ctx, obj.ID)
	if err != nil {
		return nil, err
	}
	return loader.LoadAll(ctx, loader.From(ctx).Users, users)
}

func (r *branchResolver) PhoneNumbers(ctx context.Context, obj *number.Branch) ([]*number.PhoneNumber, error) {
	return loader.From(ctx).BranchNumbers.Load(ctx, obj.ID)
}

func (r *mutationResolver) BranchCreate(ctx context.Context, input model.BranchCreateInput) (*model.BranchCreatePayload, error) {
	b, err := r.d.Numbers.CreateBranch(ctx, access.From(ctx), number.BranchCreate{
		Name: input.Name, TimeZone: input.TimeZone.Value(), UserIDs: every(input.UserIds.Value(), deref),
	})
	problems, err := userErrors(err)
	return &model.BranchCreatePayload{Branch: b, UserErrors: problems}, err
}

func (r *mutationResolver) BranchUpdate(ctx context.Context, id id.ID, input model.BranchUpdateInput) (*model.BranchUpdatePayload, error) {
	b, err := r.d.Numbers.UpdateBranch(ctx, access.From(ctx), id, number.BranchUpdate{
		Name: field(input.Name), TimeZone: field(input.TimeZone), UserIDs: each(input.UserIds, deref),
	})
	problems, err := userErrors(err)
	return &model.BranchUpdatePayload{Branch: b, UserErrors: problems}, err
}

func (r *mutationResolver) BranchDelete(ctx context.Context, id id.ID) (*model.BranchDeletePayload, error) {
	err := r.d.Numbers.DeleteBranch(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.BranchDeletePayload{DeletedBranchID: unless(problems, id), UserErrors: problems}, err
}

func (r *mutationResolver) TwilioConnectionCreate(ctx context.Context, input model.TwilioConnectionCreateInput) (*model.TwilioConnectionCreatePayload, error) {
	c, n, err := r.d.Numbers.CreateConnection(ctx, access.From(ctx), number.ConnectionCreate{
		Name: input.Name, AccountSid: input.AccountSid, AuthToken: input.AuthToken, PhoneNumber: input.PhoneNumber,
		PhoneNumberSid: input.PhoneNumberSid, DefaultCountry: input.DefaultCountry.Value(), TakeOver: given(input.TakeOver),
	})
	problems, err := userErrors(err)
	return &model.TwilioConnectionCreatePayload{TwilioConnection: c, PhoneNumber: n, UserErrors: problems}, err
}

func (r *mutationResolver) TwilioConnectionUpdate(ctx context.Context, id id.ID, input model.TwilioConnectionUpdateInput) (*model.TwilioConnectionUpdatePayload, error) {
	c, err := r.d.Numbers.UpdateConnection(ctx, access.From(ctx), id, number.ConnectionUpdate{
		Name: field(input.Name), IsEnabled: field(input.IsEnabled), AuthToken: field(input.AuthToken), DefaultCountry: field(input.DefaultCountry),
		IncomingRecording: field(input.IncomingRecording), OutgoingRecording: field(input.OutgoingRecording), CallsPerSecond: field(input.CallsPerSecond),
	})
	problems, err := userErrors(err)
	return &model.TwilioConnectionUpdatePayload{TwilioConnection: c, UserErrors: problems}, err
}

func (r *mutationResolver) TwilioConnectionImport(ctx context.Context, id id.ID) (*model.TwilioConnectionImportPayload, error) {
	c, err := r.d.Numbers.ImportNumbers(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.TwilioConnectionImportPayload{TwilioConnection: c, UserErrors: problems}, err
}

func (r *mutationResolver) TwilioConnectionDisconnect(ctx context.Context, id id.ID) (*model.TwilioConnectionDisconnectPayload, error) {
	c, notice, err := r.d.Numbers.DisconnectConnection(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.TwilioConnectionDisconnectPayload{TwilioConnection: c, Notice: unless(problems, notice), UserErrors: problems}, err
}

func (r *mutationResolver) PhoneNumberUpdate(ctx context.Context, id id.ID, input model.PhoneNumberUpdateInput) (*model.PhoneNumberUpdatePayload, error) {
	n, warnings, err := r.d.Numbers.Update(ctx, access.From(ctx), id, numberUpdate(input))
	problems, err := userErrors(err)
	return &model.PhoneNumberUpdatePayload{PhoneNumber: n, Warnings: warnings, UserErrors: problems}, err
}

func (r *mutationResolver) PhoneNumberSetDefault(ctx context.Context, id id.ID) (*model.PhoneNumberSetDefaultPayload, error) {
	n, err := r.d.Numbers.SetDefault(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.PhoneNumberSetDefaultPayload{PhoneNumber: n, UserErrors: problems}, err
}

func (r *mutationResolver) PhoneNumberDisconnect(ctx context.Context, id id.ID) (*model.PhoneNumberDisconnectPayload, error) {
	n, notice, err := r.d.Numbers.Disconnect(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.PhoneNumberDisconnectPayload{PhoneNumber: n, Notice: unless(problems, notice), UserErrors: problems}, err
}

func (r *mutationResolver) PhoneNumberWebhooksWrite(ctx context.Context, id id.ID) (*model.PhoneNumberWebhooksWritePayload, error) {
	n, err := r.d.Numbers.WriteWebhooks(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.PhoneNumberWebhooksWritePayload{PhoneNumber: n, UserErrors: problems}, err
}

func (r *phoneNumberResolver) TwilioSid(ctx context.Context, obj *number.PhoneNumber) (*string, error) {
	if !number.MaySeeProvider(access.From(ctx)) {
		return nil, nil
	}
	return &obj.TwilioSid, nil
}

func (r *phoneNumberResolver) Connection(ctx context.Context, obj *number.PhoneNumber) (*number.Connection, error) {
	return loader.Load(ctx, loader.From(ctx).Connections, obj.ConnectionID)
}

func (r *phoneNumberResolver) Branch(ctx context.Context, obj *number.PhoneNumber) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *phoneNumberResolver) AssignedUser(ctx context.Context, obj *number.PhoneNumber) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.AssignedUserID)
}

func (r *phoneNumberResolver) Webhooks(ctx context.Context, obj *number.PhoneNumber) (*number.NumberWebhooks, error) {
	return r.d.Numbers.Webhooks(ctx, access.From(ctx), obj)
}

func (r *phoneNumberUpdatedResolver) Actor(ctx context.Context, obj *model.PhoneNumberUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *phoneNumberUpdatedResolver) PhoneNumber(ctx context.Context, obj *model.PhoneNumberUpdated) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *promptSettingsResolver) WelcomeAudio(ctx context.Context, obj *number.PromptSettings) (*number.Audio, error) {
	return loader.Load(ctx, loader.From(ctx).Audio, obj.WelcomeAudioID)
}

func (r *promptSettingsResolver) FarewellAudio(ctx context.Context, obj *number.PromptSettings) (*number.Audio, error) {
	return loader.Load(ctx, loader.From(ctx).Audio, obj.FarewellAudioID)
}

func (r *queryResolver) Branches(ctx context.Context, first *int, after *string) (*model.BranchConnection, error) {
	p := page(first, after)
	w, err := r.d.Numbers.Branches(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.BranchConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, b *number.Branch) *model.BranchEdge {
		return &model.BranchEdge{Cursor: cursor, Node: b}
	})
	return c, err
}

func (r *queryResolver) Branch(ctx context.Context, id id.ID) (*number.Branch, error) {
	return absent(r.d.Numbers.Branch(ctx, access.From(ctx), id))
}

func (r *queryResolver) PhoneNumbers(ctx context.Context, first *int, after *string, filter *model.PhoneNumberFilter) (*model.PhoneNumberConnection, error) {
	f := number.Filter{}
	if filter != nil {
		f = number.Filter{BranchID: given(filter.BranchID), ConnectionID: given(filter.ConnectionID), IsEnabled: filter.IsEnabled.Value(), IncludeDisconnected: given(filter.IncludeDisconnected), BusinessUnit: given(filter.BusinessUnit)}
	}
	return r.numbers(ctx, f, page(first, after))
}

func (r *queryResolver) PhoneNumber(ctx context.Context, id id.ID) (*number.PhoneNumber, error) {
	return absent(r.d.Numbers.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) TwilioConnections(ctx context.Context, first *int, after *string) (*model.TwilioConnectionConnection, error) {
	p := page(first, after)
	w, err := r.d.Numbers.Connections(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.TwilioConnectionConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *number.Connection) *model.TwilioConnectionEdge {
		return &model.TwilioConnectionEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *routingSettingsResolver) Team(ctx context.Context, obj *number.RoutingSettings) (*number.Team, error) {
	return loader.Load(ctx, loader.From(ctx).Teams, obj.TeamID)
}

func (r *routingSettingsResolver) TeamUsers(ctx context.Context, obj *number.RoutingSettings) ([]*number.NumberUser, error) {
	if obj.TeamID.IsZero() {
		return []*number.NumberUser{}, nil
	}
	return all(loader.From(ctx).NumberUsers.Load(ctx, obj.NumberID))
}

func (r *routingSettingsResolver) OpeningHours(ctx context.Context, obj *number.RoutingSettings) (*number.OpeningHours, error) {
	return loader.Load(ctx, loader.From(ctx).Hours, obj.OpeningHoursID)
}

func (r *routingSettingsResolver) Menu(ctx context.Context, obj *number.RoutingSettings) (*number.Menu, error) {
	return loader.Load(ctx, loader.From(ctx).Menus, obj.MenuID)
}

func (r *twilioConnectionResolver) PushCredentials(ctx context.Context, obj *number.Connection) ([]*number.PushCredential, error) {
	return all(loader.From(ctx).PushCredentials.Load(ctx, obj.ID))
}

func (r *twilioConnectionResolver) PhoneNumbers(ctx context.Context, obj *number.Connection, first *int, after *string) (*model.PhoneNumberConnection, error) {
	return r.numbers(ctx, number.Filter{ConnectionID: obj.ID}, page(first, after))
}

func (r *twilioConnectionUpdatedResolver) Actor(ctx context.Context, obj *model.TwilioConnectionUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *twilioConnectionUpdatedResolver) TwilioConnection(ctx context.Context, obj *model.TwilioConnectionUpdated) (*number.Connection, error) {
	return loader.Load(ctx, loader.From(ctx).Connections, obj.ConnectionID)
}

func (r *voicemailSettingsResolver) GreetingAudio(ctx context.Context, obj *number.VoicemailSettings) (*number.Audio, error) {
	return loader.Load(ctx, loader.From(ctx).Audio, obj.GreetingAudioID)
}

func (r *voicemailSettingsResolver) Owner(ctx context.Context, obj *number.VoicemailSettings) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.OwnerID)
}

func (r *voicemailSettingsResolver) NotifiedUsers(ctx context.Context, obj *number.VoicemailSettings) ([]*user.User, error) {
	return loader.LoadAll(ctx, loader.From(ctx).Users, obj.NotifiedUserIDs)
}

func (r *Resolver) Audio() exec.AudioResolver { return &audioResolver{r} }

func (r *Resolver) Branch() exec.BranchResolver { return &branchResolver{r} }

func (r *Resolver) PhoneNumber() exec.PhoneNumberResolver { return &phoneNumberResolver{r} }

func (r *Resolver) PhoneNumberUpdated() exec.PhoneNumberUpdatedResolver {
	return &phoneNumberUpdatedResolver{r}
}

func (r *Resolver) PromptSettings() exec.PromptSettingsResolver { return &promptSettingsResolver{r} }

func (r *Resolver) RoutingSettings() exec.RoutingSettingsResolver { return &routingSettingsResolver{r} }

func (r *Resolver) TwilioConnection() exec.TwilioConnectionResolver {
	return &twilioConnectionResolver{r}
}

func (r *Resolver) TwilioConnectionUpdated() exec.TwilioConnectionUpdatedResolver {
	return &twilioConnectionUpdatedResolver{r}
}

func (r *Resolver) VoicemailSettings() exec.VoicemailSettingsResolver {
	return &voicemailSettingsResolver{r}
}

type (
	audioResolver                   struct{ *Resolver }
	branchResolver                  struct{ *Resolver }
	phoneNumberResolver             struct{ *Resolver }
	phoneNumberUpdatedResolver      struct{ *Resolver }
	promptSettingsResolver          struct{ *Resolver }
	routingSettingsResolver         struct{ *Resolver }
	twilioConnectionResolver        struct{ *Resolver }
	twilioConnectionUpdatedResolver struct{ *Resolver }
	voicemailSettingsResolver       struct{ *Resolver }
)
