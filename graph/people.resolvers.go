package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/session"
	"switchboard/internal/tenant"
	"switchboard/internal/user"
)

func (r *apiKeyResolver) Role(ctx context.Context, obj *session.ApiKey) (*access.Role, error) {
	return loader.Load(ctx, loader.From(ctx).Roles, obj.RoleID)
}

func (r *apiKeyResolver) CreatedBy(ctx context.Context, obj *session.ApiKey) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.CreatedByID)
}

func (r *deviceResolver) User(ctx context.Context, obj *user.Device) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *mutationResolver) SessionCreate(ctx context.Context, input model.SessionCreateInput) (*model.SessionCreatePayload, error) {
	s, err := r.d.Sessions.SignIn(ctx, session.SignIn{Email: input.Email, Password: input.Password, Organization: given(input.Organization)})
	problems, err := userErrors(err)
	return &model.SessionCreatePayload{Session: s, UserErrors: problems}, err
}

func (r *mutationResolver) SessionRefresh(ctx context.Context, input model.SessionRefreshInput) (*model.SessionRefreshPayload, error) {
	s, err := r.d.Sessions.Refresh(ctx, input.RefreshToken)
	problems, err := userErrors(err)
	return &model.SessionRefreshPayload{Session: s, UserErrors: problems}, err
}

func (r *mutationResolver) SessionEnd(ctx context.Context, id *id.ID) (*model.SessionEndPayload, error) {
	ended, err := r.d.Sessions.End(ctx, access.From(ctx), of(id))
	problems, err := userErrors(err)
	return &model.SessionEndPayload{SessionID: idOrNull(ended), UserErrors: problems}, err
}

func (r *mutationResolver) PasswordChange(ctx context.Context, input model.PasswordChangeInput) (*model.PasswordChangePayload, error) {
	n, err := r.d.Sessions.PasswordChange(ctx, access.From(ctx), input.CurrentPassword, input.NewPassword)
	problems, err := userErrors(err)
	return &model.PasswordChangePayload{EndedSessions: unless(problems, n), UserErrors: problems}, err
}

func (r *mutationResolver) InvitationAccept(ctx context.Context, input model.InvitationAcceptInput) (*model.InvitationAcceptPayload, error) {
	s, err := r.d.Sessions.Accept(ctx, session.Acceptance{Token: input.Token, Password: input.Password, Name: given(input.Name)})
	problems, err := userErrors(err)
	return &model.InvitationAcceptPayload{Session: s, UserErrors: problems}, err
}

func (r *mutationResolver) APIKeyCreate(ctx context.Context, input model.APIKeyCreateInput) (*model.APIKeyCreatePayload, error) {
	k, secret, err := r.d.Sessions.CreateKey(ctx, access.From(ctx), session.NewKey{Name: input.Name, RoleID: input.RoleID})
	problems, err := userErrors(err)
	return &model.APIKeyCreatePayload{APIKey: k, Secret: unless(problems, secret), UserErrors: problems}, err
}

func (r *mutationResolver) APIKeyRevoke(ctx context.Context, id id.ID) (*model.APIKeyRevokePayload, error) {
	k, err := r.d.Sessions.RevokeKey(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.APIKeyRevokePayload{APIKey: k, UserErrors: problems}, err
}

func (r *mutationResolver) OrganizationUpdate(ctx context.Context, input model.OrganizationUpdateInput) (*model.OrganizationUpdatePayload, error) {
	var features []tenant.Feature
	for _, f := range input.Features.Value() {
		features = append(features, tenant.Feature{Name: f.Name, IsOn: f.IsOn})
	}
	o, err := r.d.Tenants.Update(ctx, access.From(ctx), tenant.Change{
		Name: field(input.Name), TimeZone: field(input.TimeZone), DefaultCountry: field(input.DefaultCountry),
		CompanyPhone: field(input.CompanyPhone), DisplayOfficeNumber: field(input.DisplayOfficeNumber), Features: features,
		HoldMusicID: field(input.HoldMusicID), DialFormat: field(input.DialFormat), CallCountries: each(input.CallCountries, same),
		MaxConcurrentCalls: field(input.MaxConcurrentCalls), MaxCallsPerUserHour: field(input.MaxCallsPerUserHour),
		CustomersMayCallFieldworkers: field(input.CustomersMayCallFieldworkers),
	})
	problems, err := userErrors(err)
	return &model.OrganizationUpdatePayload{Organization: o, UserErrors: problems}, err
}

func (r *mutationResolver) UserCreate(ctx context.Context, input model.UserCreateInput) (*model.UserCreatePayload, error) {
	u, invitation, err := r.d.Users.Create(ctx, access.From(ctx), user.Create{
		Email: input.Email, Name: input.Name, RoleID: input.RoleID, BranchIDs: every(input.BranchIds.Value(), deref),
		Phones: every(input.Phones.Value(), userPhone), IsFieldworker: field(input.IsFieldworker), IsGeneralFieldworker: given(input.IsGeneralFieldworker),
	})
	problems, err := userErrors(err)
	return &model.UserCreatePayload{User: u, Invitation: unless(problems, invitation), UserErrors: problems}, err
}

func (r *mutationResolver) UserUpdate(ctx context.Context, id id.ID, input model.UserUpdateInput) (*model.UserUpdatePayload, error) {
	u, err := r.d.Users.Update(ctx, access.From(ctx), id, user.Update{
		Name: field(input.Name), RoleID: field(input.RoleID), BranchIDs: each(input.BranchIds, deref), Phones: each(input.Phones, userPhone),
		IsFieldworker: field(input.IsFieldworker), IsGeneralFieldworker: field(input.IsGeneralFieldworker),
		RestrictBeforeStart: field(input.RestrictBeforeStart), InboundPhoneNumberID: field(input.InboundPhoneNumberID),
		Extension: field(input.Extension), SIPAddress: field(input.SipAddress),
		DisplayNotifications: field(input.DisplayNotifications), SilentNotifications: field(input.SilentNotifications),
		InternalClickToCall: field(input.InternalClickToCall), SIPDomainID: field(input.SipDomainID),
		Options: every(input.FieldworkerOptions.Value(), func(o *model.FieldworkerOptionInput) access.Switch {
			return access.Switch{Option: o.Option, IsOn: o.IsOn}
		}),
	})
	problems, err := userErrors(err)
	return &model.UserUpdatePayload{User: u, UserErrors: problems}, err
}

func (r *mutationResolver) UserDisable(ctx context.Context, id id.ID) (*model.UserDisablePayload, error) {
	u, err := r.d.Users.Disable(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.UserDisablePayload{User: u, UserErrors: problems}, err
}

func (r *mutationResolver) UserEnable(ctx context.Context, id id.ID) (*model.UserEnablePayload, error) {
	u, err := r.d.Users.Enable(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.UserEnablePayload{User: u, UserErrors: problems}, err
}

func (r *mutationResolver) UserDoNotDisturbSet(ctx context.Context, input model.UserDoNotDisturbSetInput) (*model.UserDoNotDisturbSetPayload, error) {
	u, err := r.d.Users.DoNotDisturbSet(ctx, access.From(ctx), user.DoNotDisturb{
		UserID: given(input.UserID), PhoneNumberID: given(input.PhoneNumberID), IsOn: input.IsOn,
	})
	problems, err := userErrors(err)
	return &model.UserDoNotDisturbSetPayload{User: u, UserErrors: problems}, err
}

func (r *mutationResolver) RoleCreate(ctx context.Context, input model.RoleCreateInput) (*model.RoleCreatePayload, error) {
	role, err := r.d.Roles.Create(ctx, access.From(ctx), access.NewRole{Name: input.Name, Permissions: input.Permissions, Visibility: input.Visibility})
	problems, err := userErrors(err)
	return &model.RoleCreatePayload{Role: role, UserErrors: problems}, err
}

func (r *mutationResolver) RoleUpdate(ctx context.Context, id id.ID, input model.RoleUpdateInput) (*model.RoleUpdatePayload, error) {
	role, err := r.d.Roles.Update(ctx, access.From(ctx), id, access.RoleChange{
		Name: field(input.Name), Permissions: each(input.Permissions, same), Visibility: field(input.Visibility),
	})
	problems, err := userErrors(err)
	return &model.RoleUpdatePayload{Role: role, UserErrors: problems}, err
}

func (r *mutationResolver) DeviceRegister(ctx context.Context, input model.DeviceRegisterInput) (*model.DeviceRegisterPayload, error) {
	d, err := r.d.Users.DeviceRegister(ctx, access.From(ctx), user.Register{Name: input.Name, Platform: input.Platform, ID: given(input.ID), PushToken: field(input.PushToken)})
	var token *number.VoiceToken
	var tokens []*number.VoiceToken
	if err == nil {
		token, tokens, err = r.voiceTokens(ctx, d)
	}
	problems, err := userErrors(err)
	return &model.DeviceRegisterPayload{Device: d, VoiceToken: token, VoiceTokens: tokens, UserErrors: problems}, err
}

func (r *mutationResolver) DeviceTokenRefresh(ctx context.Context, id id.ID) (*model.DeviceTokenRefreshPayload, error) {
	d, err := r.d.Users.DeviceTouch(ctx, access.From(ctx), id)
	var token *number.VoiceToken
	var tokens []*number.VoiceToken
	if err == nil {
		token, tokens, err = r.voiceTokens(ctx, d)
	}
	problems, err := userErrors(err)
	return &model.DeviceTokenRefreshPayload{Device: d, VoiceToken: token, VoiceTokens: tokens, UserErrors: problems}, err
}

func (r *mutationResolver) DeviceReport(ctx context.Context, input model.DeviceReportInput) (*model.DeviceReportPayload, error) {
	d, err := r.d.Users.DeviceReport(ctx, access.From(ctx), user.Report{
		ID: input.ID, Microphone: field(input.Microphone), Notifications: field(input.Notifications), Network: field(input.Network), PushToken: field(input.PushToken),
	})
	problems, err := userErrors(err)
	return &model.DeviceReportPayload{Device: d, UserErrors: problems}, err
}

func (r *mutationResolver) DeviceRemove(ctx context.Context, id id.ID) (*model.DeviceRemovePayload, error) {
	d, err := r.d.Users.DeviceRemove(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.DeviceRemovePayload{Device: d, UserErrors: problems}, err
}

func (r *organizationResolver) HoldMusic(ctx context.Context, obj *tenant.Organization) (*number.Audio, error) {
	return loader.Load(ctx, loader.From(ctx).Audio, obj.HoldMusicAudioID)
}

func (r *queryResolver) Organization(ctx context.Context) (*tenant.Organization, error) {
	return r.d.Tenants.Get(ctx, access.From(ctx))
}

func (r *queryResolver) Users(ctx context.Context, first *int, after *string, filter *model.UserFilter) (*model.UserConnection, error) {
	f := user.Filter{}
	if filter != nil {
		f = user.Filter{Status: given(filter.Status), BranchID: given(filter.BranchID), RoleID: given(filter.RoleID)}
	}
	p := page(first, after)
	w, err := r.d.Users.List(ctx, access.From(ctx), f, p)
	if err != nil {
		return nil, err
	}
	c := &model.UserConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, u *user.User) *model.UserEdge { return &model.UserEdge{Cursor: cursor, Node: u} })
	if err == nil && asked(ctx, "totalCount") {
		c.TotalCount, err = r.d.Users.Count(ctx, access.From(ctx), f)
	}
	return c, err
}

func (r *queryResolver) User(ctx context.Context, id id.ID) (*user.User, error) {
	return absent(r.d.Users.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) Roles(ctx context.Context) ([]*access.Role, error) {
	return r.d.Roles.List(ctx, access.From(ctx))
}

func (r *queryResolver) APIKeys(ctx context.Context, first *int, after *string) (*model.APIKeyConnection, error) {
	p := page(first, after)
	w, err := r.d.Sessions.Keys(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.APIKeyConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, k *session.ApiKey) *model.APIKeyEdge {
		return &model.APIKeyEdge{Cursor: cursor, Node: k}
	})
	return c, err
}

func (r *queryResolver) Devices(ctx context.Context, first *int, after *string, userID *id.ID) (*model.DeviceConnection, error) {
	p := page(first, after)
	w, err := r.d.Users.Devices(ctx, access.From(ctx), of(userID), p)
	if err != nil {
		return nil, err
	}
	c := &model.DeviceConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, d *user.Device) *model.DeviceEdge {
		return &model.DeviceEdge{Cursor: cursor, Node: d}
	})
	return c, err
}

func (r *userResolver) Email(ctx context.Context, obj *user.User) (*string, error) {
	if !user.MayReadPrivate(access.From(ctx), obj.ID) {
		return nil, nil
	}
	return &obj.Email, nil
}

func (r *userResolver) Role(ctx context.Context, obj *user.User) (*access.Role, error) {
	return loader.Load(ctx, loader.From(ctx).Roles, obj.RoleID)
}

func (r *userResolver) DoNotDisturbLines(ctx context.Context, obj *user.User) ([]*number.PhoneNumber, error) {
	lines, err := loader.From(ctx).UserQuietLines.Load(ctx, obj.ID)
	if err != nil {
		return nil, err
	}
	return loader.LoadAll(ctx, loader.From(ctx).Numbers, lines)
}

func (r *userResolver) Branches(ctx context.Context, obj *user.User) ([]*number.Branch, error) {
	branches, err := loader.From(ctx).UserBranches.Load(ctx, obj.ID)
	if err != nil {
		return nil, err
	}
	return loader.LoadAll(ctx, loader.From(ctx).Branches, branches)
}

func (r *userResolver) Phones(ctx context.Context, obj *user.User) ([]*user.Phone, error) {
	if !user.MayReadPrivate(access.From(ctx), obj.ID) {
		return nil, nil
	}
	return all(loader.From(ctx).UserPhones.Load(ctx, obj.ID)) // null is for those who may not see them
}

func (r *userResolver) InboundPhoneNumber(ctx context.Context, obj *user.User) (*number.PhoneNumber, error) {
	numbers, err := loader.From(ctx).UserNumbers.Load(ctx, obj.ID)
	if err != nil || len(numbers) == 0 {
		return nil, err
	}
	return loader.Load(ctx, loader.From(ctx).Numbers, numbers[0])
}

func (r *userResolver) SipDomain(ctx context.Context, obj *user.User) (*number.SIPDomain, error) {
	return loader.Load(ctx, loader.From(ctx).SIPDomains, obj.SIPDomainID)
}

func (r *userUpdatedResolver) Actor(ctx context.Context, obj *model.UserUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *userUpdatedResolver) User(ctx context.Context, obj *model.UserUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *Resolver) ApiKey() exec.ApiKeyResolver { return &apiKeyResolver{r} }

func (r *Resolver) Device() exec.DeviceResolver { return &deviceResolver{r} }

func (r *Resolver) Organization() exec.OrganizationResolver { return &organizationResolver{r} }

func (r *Resolver) Role() exec.RoleResolver { return &roleResolver{r} }

func (r *Resolver) User() exec.UserResolver { return &userResolver{r} }

func (r *Resolver) UserUpdated() exec.UserUpdatedResolver { return &userUpdatedResolver{r} }

func (r *Resolver) Viewer() exec.ViewerResolver { return &viewerResolver{r} }

type (
	apiKeyResolver       struct{ *Resolver }
	deviceResolver       struct{ *Resolver }
	organizationResolver struct{ *Resolver }
	roleResolver         struct{ *Resolver }
	userResolver         struct{ *Resolver }
	userUpdatedResolver  struct{ *Resolver }
	viewerResolver       struct{ *Resolver }
)
