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

func (r *afterHoursResolver) Audio(ctx context.Context, obj *number.AfterHours) (*number.Audio, error) {
	return loader.Load(ctx, loader.From(ctx).Audio, obj.AudioID)
}

func (r *holidayResolver) Date(ctx context.Context, obj *number.Holiday) (*model.Date, error) {
	d := &model.Date{}
	return d, d.UnmarshalGQL(obj.Date)
}

func (r *ignoredNumberResolver) CreatedBy(ctx context.Context, obj *number.IgnoredNumber) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.CreatedByID)
}

func (r *menuResolver) PromptAudio(ctx context.Context, obj *number.Menu) (*number.Audio, error) {
	return loader.Load(ctx, loader.From(ctx).Audio, obj.PromptAudioID)
}

func (r *menuDestinationResolver) Team(ctx context.Context, obj *number.MenuDestination) (*number.Team, error) {
	return loader.Load(ctx, loader.From(ctx).Teams, obj.TeamID)
}

func (r *menuDestinationResolver) Branch(ctx context.Context, obj *number.MenuDestination) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *menuDestinationResolver) User(ctx context.Context, obj *number.MenuDestination) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *menuDestinationResolver) Menu(ctx context.Context, obj *number.MenuDestination) (*number.Menu, error) {
	return loader.Load(ctx, loader.From(ctx).Menus, obj.MenuID)
}

func (r *mutationResolver) TeamCreate(ctx context.Context, input model.TeamCreateInput) (*model.TeamCreatePayload, error) {
	t, err := r.d.Numbers.CreateTeam(ctx, access.From(ctx), number.TeamCreate{Name: input.Name, UserIDs: every(input.UserIds, deref)})
	problems, err := userErrors(err)
	return &model.TeamCreatePayload{Team: t, UserErrors: problems}, err
}

func (r *mutationResolver) TeamUpdate(ctx context.Context, id id.ID, input model.TeamUpdateInput) (*model.TeamUpdatePayload, error) {
	t, err := r.d.Numbers.UpdateTeam(ctx, access.From(ctx), id, number.TeamUpdate{Name: field(input.Name), UserIDs: each(input.UserIds, deref)})
	problems, err := userErrors(err)
	return &model.TeamUpdatePayload{Team: t, UserErrors: problems}, err
}

func (r *mutationResolver) TeamDelete(ctx context.Context, id id.ID) (*model.TeamDeletePayload, error) {
	err := r.d.Numbers.DeleteTeam(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.TeamDeletePayload{DeletedTeamID: unless(problems, id), UserErrors: problems}, err
}

func (r *mutationResolver) PhoneNumberUserSet(ctx context.Context, input model.PhoneNumberUserSetInput) (*model.PhoneNumberUserSetPayload, error) {
	n, err := r.d.Numbers.SetNumberUser(ctx, access.From(ctx), number.NumberUserSet{
		PhoneNumberID: input.PhoneNumberID, UserID: input.UserID, IncomingCalls: field(input.IncomingCalls),
		OutgoingCalls: field(input.OutgoingCalls), Sms: field(input.Sms), Mms: field(input.Mms),
	})
	problems, err := userErrors(err)
	return &model.PhoneNumberUserSetPayload{PhoneNumber: n, UserErrors: problems}, err
}

func (r *mutationResolver) OpeningHoursCreate(ctx context.Context, input model.OpeningHoursCreateInput) (*model.OpeningHoursCreatePayload, error) {
	h, err := r.d.Numbers.CreateHours(ctx, access.From(ctx), number.HoursCreate{
		Name: input.Name, TimeZone: input.TimeZone.Value(), Week: every(input.Week, openingSpan), Holidays: every(input.Holidays.Value(), holiday),
	})
	problems, err := userErrors(err)
	return &model.OpeningHoursCreatePayload{OpeningHours: h, UserErrors: problems}, err
}

func (r *mutationResolver) OpeningHoursUpdate(ctx context.Context, id id.ID, input model.OpeningHoursUpdateInput) (*model.OpeningHoursUpdatePayload, error) {
	h, err := r.d.Numbers.UpdateHours(ctx, access.From(ctx), id, number.HoursUpdate{
		Name: field(input.Name), TimeZone: field(input.TimeZone), Week: each(input.Week, openingSpan), Holidays: each(input.Holidays, holiday),
	})
	problems, err := userErrors(err)
	return &model.OpeningHoursUpdatePayload{OpeningHours: h, UserErrors: problems}, err
}

func (r *mutationResolver) OpeningHoursDelete(ctx context.Context, id id.ID) (*model.OpeningHoursDeletePayload, error) {
	err := r.d.Numbers.DeleteHours(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.OpeningHoursDeletePayload{DeletedOpeningHoursID: unless(problems, id), UserErrors: problems}, err
}

func (r *mutationResolver) MenuCreate(ctx context.Context, input model.MenuCreateInput) (*model.MenuCreatePayload, error) {
	m, err := r.d.Numbers.CreateMenu(ctx, access.From(ctx), menuCreate(input))
	problems, err := userErrors(err)
	return &model.MenuCreatePayload{Menu: m, UserErrors: problems}, err
}

func (r *mutationResolver) MenuUpdate(ctx context.Context, id id.ID, input model.MenuUpdateInput) (*model.MenuUpdatePayload, error) {
	m, err := r.d.Numbers.UpdateMenu(ctx, access.From(ctx), id, menuUpdate(input))
	problems, err := userErrors(err)
	return &model.MenuUpdatePayload{Menu: m, UserErrors: problems}, err
}

func (r *mutationResolver) MenuDelete(ctx context.Context, id id.ID) (*model.MenuDeletePayload, error) {
	err := r.d.Numbers.DeleteMenu(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.MenuDeletePayload{DeletedMenuID: unless(problems, id), UserErrors: problems}, err
}

func (r *mutationResolver) IgnoredNumberAdd(ctx context.Context, input model.IgnoredNumberAddInput) (*model.IgnoredNumberAddPayload, error) {
	rules, err := r.d.Numbers.AddIgnored(ctx, access.From(ctx), input.Rules, given(input.Note))
	problems, err := userErrors(err)
	return &model.IgnoredNumberAddPayload{IgnoredNumbers: rules, UserErrors: problems}, err
}

func (r *mutationResolver) IgnoredNumberRemove(ctx context.Context, id id.ID) (*model.IgnoredNumberRemovePayload, error) {
	err := r.d.Numbers.RemoveIgnored(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.IgnoredNumberRemovePayload{DeletedIgnoredNumberID: unless(problems, id), UserErrors: problems}, err
}

func (r *openingHoursResolver) IsOpenNow(ctx context.Context, obj *number.OpeningHours) (bool, error) {
	return obj.IsOpenAt(r.d.Clock.Now()), nil
}

func (r *phoneNumberUserResolver) User(ctx context.Context, obj *number.NumberUser) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *queryResolver) Teams(ctx context.Context, first *int, after *string) (*model.TeamConnection, error) {
	p := page(first, after)
	w, err := r.d.Numbers.Teams(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.TeamConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, t *number.Team) *model.TeamEdge {
		return &model.TeamEdge{Cursor: cursor, Node: t}
	})
	return c, err
}

func (r *queryResolver) Team(ctx context.Context, id id.ID) (*number.Team, error) {
	return absent(r.d.Numbers.Team(ctx, access.From(ctx), id))
}

func (r *queryResolver) OpeningHours(ctx context.Context, first *int, after *string) (*model.OpeningHoursConnection, error) {
	p := page(first, after)
	w, err := r.d.Numbers.HoursList(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.OpeningHoursConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, h *number.OpeningHours) *model.OpeningHoursEdge {
		return &model.OpeningHoursEdge{Cursor: cursor, Node: h}
	})
	return c, err
}

func (r *queryResolver) Menus(ctx context.Context, first *int, after *string) (*model.MenuConnection, error) {
	p := page(first, after)
	w, err := r.d.Numbers.Menus(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.MenuConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, m *number.Menu) *model.MenuEdge {
		return &model.MenuEdge{Cursor: cursor, Node: m}
	})
	return c, err
}

func (r *queryResolver) IgnoredNumbers(ctx context.Context, first *int, after *string) (*model.IgnoredNumberConnection, error) {
	p := page(first, after)
	w, err := r.d.Numbers.IgnoredList(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.IgnoredNumberConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *number.IgnoredNumber) *model.IgnoredNumberEdge {
		return &model.IgnoredNumberEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *queryResolver) IgnoredNumberTest(ctx context.Context, input model.IgnoredNumberTestInput) (*number.IgnoredTest, error) {
	return r.d.Numbers.TestIgnored(ctx, access.From(ctx), input.From, input.Rule.Value())
}

func (r *teamResolver) Users(ctx context.Context, obj *number.Team) ([]*user.User, error) {
	return loader.LoadAll(ctx, loader.From(ctx).Users, obj.UserIDs)
}

func (r *teamResolver) PhoneNumbers(ctx context.Context, obj *number.Team) ([]*number.PhoneNumber, error) {
	return all(loader.From(ctx).TeamNumbers.Load(ctx, obj.ID))
}

func (r *Resolver) AfterHours() exec.AfterHoursResolver { return &afterHoursResolver{r} }

func (r *Resolver) Holiday() exec.HolidayResolver { return &holidayResolver{r} }

func (r *Resolver) IgnoredNumber() exec.IgnoredNumberResolver { return &ignoredNumberResolver{r} }

func (r *Resolver) Menu() exec.MenuResolver { return &menuResolver{r} }

func (r *Resolver) MenuDestination() exec.MenuDestinationResolver { return &menuDestinationResolver{r} }

func (r *Resolver) OpeningHours() exec.OpeningHoursResolver { return &openingHoursResolver{r} }

func (r *Resolver) PhoneNumberUser() exec.PhoneNumberUserResolver { return &phoneNumberUserResolver{r} }

func (r *Resolver) Team() exec.TeamResolver { return &teamResolver{r} }

type (
	afterHoursResolver      struct{ *Resolver }
	holidayResolver         struct{ *Resolver }
	ignoredNumberResolver   struct{ *Resolver }
	menuResolver            struct{ *Resolver }
	menuDestinationResolver struct{ *Resolver }
	openingHoursResolver    struct{ *Resolver }
	phoneNumberUserResolver struct{ *Resolver }
	teamResolver            struct{ *Resolver }
)
