package graph

import (
	"context"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/gate"
	"switchboard/internal/id"
	"switchboard/internal/user"
)

func (r *queryResolver) Can(ctx context.Context, userID *id.ID, action gate.Action, subjectID *id.ID) (*gate.Can, error) {
	return r.d.Gate.Can(ctx, access.From(ctx), of(userID), gate.Check{Action: action, Subject: of(subjectID)})
}

func (r *queryResolver) FieldworkerOptions(ctx context.Context) ([]*access.OptionRule, error) {
	return every(access.FieldworkerOptions, func(o access.OptionRule) *access.OptionRule { return &o }), nil
}

func (r *userResolver) FieldworkerOptions(ctx context.Context, obj *user.User) ([]*access.OptionState, error) {
	role, err := r.roleFor(ctx, obj)
	if role == nil || err != nil {
		return []*access.OptionState{}, err
	}
	return every(obj.Options(role), func(o access.OptionState) *access.OptionState { return &o }), nil
}

func (r *userResolver) Warnings(ctx context.Context, obj *user.User) ([]string, error) {
	if !access.From(ctx).Can(access.UserManage) {
		return []string{}, nil
	}
	role, err := loader.Load(ctx, loader.From(ctx).Roles, obj.RoleID)
	if role == nil || err != nil {
		return []string{}, err
	}
	return obj.Warnings(role), nil
}

func (r *viewerResolver) Can(ctx context.Context, obj *model.Viewer, checks []*model.CanCheckInput) ([]*gate.Can, error) {
	return r.d.Gate.Ask(ctx, access.From(ctx), every(checks, func(c *model.CanCheckInput) gate.Check {
		return gate.Check{Action: c.Action, Subject: given(c.SubjectID)}
	}))
}
