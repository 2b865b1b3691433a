package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/user"
)

func (r *afterHoursResolver) Audio(ctx context.Context, obj *number.AfterHours) (*number.Audio, error) {
	panic(fmt.Errorf("not implemented: Audio - audio"))
}

func (r *holidayResolver) Date(ctx context.Context, obj *number.Holiday) (*model.Date, error) {
	panic(fmt.Errorf("not implemented: Date - date"))
}

func (r *ignoredNumberResolver) CreatedBy(ctx context.Context, obj *number.IgnoredNumber) (*user.User, error) {
	panic(fmt.Errorf("not implemented: CreatedBy - createdBy"))
}

func (r *menuResolver) PromptAudio(ctx context.Context, obj *number.Menu) (*number.Audio, error) {
	panic(fmt.Errorf("not implemented: PromptAudio - promptAudio"))
}

func (r *menuDestinationResolver) Team(ctx context.Context, obj *number.MenuDestination) (*number.Team, error) {
	panic(fmt.Errorf("not implemented: Team - team"))
}

func (r *menuDestinationResolver) Branch(ctx context.Context, obj *number.MenuDestination) (*number.Branch, error) {
	panic(fmt.Errorf("not implemented: Branch - branch"))
}

func (r *menuDestinationResolver) User(ctx context.Context, obj *number.MenuDestination) (*user.User, error) {
	panic(fmt.Errorf("not implemented: User - user"))
}

func (r *menuDestinationResolver) Menu(ctx context.Context, obj *number.MenuDestination) (*number.Menu, error) {
	panic(fmt.Errorf("not implemented: Menu - menu"))
}

func (r *mutationResolver) TeamCreate(ctx context.Context, input model.TeamCreateInput) (*model.TeamCreatePayload, error) {
	panic(fmt.Errorf("not implemented: TeamCreate - teamCreate"))
}

func (r *mutationResolver) TeamUpdate(ctx context.Context, id id.ID, input model.TeamUpdateInput) (*model.TeamUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: TeamUpdate - teamUpdate"))
}

func (r *mutationResolver) TeamDelete(ctx context.Context, id id.ID) (*model.TeamDeletePayload, error) {
	panic(fmt.Errorf("not implemented: TeamDelete - teamDelete"))
}

func (r *mutationResolver) PhoneNumberUserSet(ctx context.Context, input model.PhoneNumberUserSetInput) (*model.PhoneNumberUserSetPayload, error) {
	panic(fmt.Errorf("not implemented: PhoneNumberUserSet - phoneNumberUserSet"))
}

func (r *mutationResolver) OpeningHoursCreate(ctx context.Context, input model.OpeningHoursCreateInput) (*model.OpeningHoursCreatePayload, error) {
	panic(fmt.Errorf("not implemented: OpeningHoursCreate - openingHoursCreate"))
}

func (r *mutationResolver) OpeningHoursUpdate(ctx context.Context, id id.ID, input model.OpeningHoursUpdateInput) (*model.OpeningHoursUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: OpeningHoursUpdate - openingHoursUpdate"))
}

func (r *mutationResolver) OpeningHoursDelete(ctx context.Context, id id.ID) (*model.OpeningHoursDeletePayload, error) {
	panic(fmt.Errorf("not implemented: OpeningHoursDelete - openingHoursDelete"))
}

func (r *mutationResolver) MenuCreate(ctx context.Context, input model.MenuCreateInput) (*model.MenuCreatePayload, error) {
	panic(fmt.Errorf("not implemented: MenuCreate - menuCreate"))
}

func (r *mutationResolver) MenuUpdate(ctx context.Context, id id.ID, input model.MenuUpdateInput) (*model.MenuUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: MenuUpdate - menuUpdate"))
}

func (r *mutationResolver) MenuDelete(ctx context.Context, id id.ID) (*model.MenuDeletePayload, error) {
	panic(fmt.Errorf("not implemented: MenuDelete - menuDelete"))
}

func (r *mutationResolver) IgnoredNumberAdd(ctx context.Context, input model.IgnoredNumberAddInput) (*model.IgnoredNumberAddPayload, error) {
	panic(fmt.Errorf("not implemented: IgnoredNumberAdd - ignoredNumberAdd"))
}

func (r *mutationResolver) IgnoredNumberRemove(ctx context.Context, id id.ID) (*model.IgnoredNumberRemovePayload, error) {
	panic(fmt.Errorf("not implemented: IgnoredNumberRemove - ignoredNumberRemove"))
}

func (r *openingHoursResolver) IsOpenNow(ctx context.Context, obj *number.OpeningHours) (bool, error) {
	panic(fmt.Errorf("not implemented: IsOpenNow - isOpenNow"))
}

func (r *phoneNumberUserResolver) User(ctx context.Context, obj *number.NumberUser) (*user.User, error) {
	panic(fmt.Errorf("not implemented: User - user"))
}

func (r *queryResolver) Teams(ctx context.Context, first *int, after *string) (*model.TeamConnection, error) {
	panic(fmt.Errorf("not implemented: Teams - teams"))
}

func (r *queryResolver) Team(ctx context.Context, id id.ID) (*number.Team, error) {
	panic(fmt.Errorf("not implemented: Team - team"))
}

func (r *queryResolver) OpeningHours(ctx context.Context, first *int, after *string) (*model.OpeningHoursConnection, error) {
	panic(fmt.Errorf("not implemented: OpeningHours - openingHours"))
}

func (r *queryResolver) Menus(ctx context.Context, first *int, after *string) (*model.MenuConnection, error) {
	panic(fmt.Errorf("not implemented: Menus - menus"))
}

func (r *queryResolver) IgnoredNumbers(ctx context.Context, first *int, after *string) (*model.IgnoredNumberConnection, error) {
	panic(fmt.Errorf("not implemented: IgnoredNumbers - ignoredNumbers"))
}

func (r *queryResolver) IgnoredNumberTest(ctx context.Context, input model.IgnoredNumberTestInput) (*number.IgnoredTest, error) {
	panic(fmt.Errorf("not implemented: IgnoredNumberTest - ignoredNumberTest"))
}

func (r *teamResolver) Users(ctx context.Context, obj *number.Team) ([]*user.User, error) {
	panic(fmt.Errorf("not implemented: Users - users"))
}

func (r *teamResolver) PhoneNumbers(ctx context.Context, obj *number.Team) ([]*number.PhoneNumber, error) {
	panic(fmt.Errorf("not implemented: PhoneNumbers - phoneNumbers"))
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
