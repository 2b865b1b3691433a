package graph

import (
	"context"
	"fmt"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/gate"
	"switchboard/internal/id"
	"switchboard/internal/user"
)

func (r *queryResolver) Can(ctx context.Context, userID *id.ID, action gate.Action, subjectID *id.ID) (*gate.Can, error) {
	panic(fmt.Errorf("not implemented: Can - can"))
}

func (r *queryResolver) FieldworkerOptions(ctx context.Context) ([]*access.OptionRule, error) {
	panic(fmt.Errorf("not implemented: FieldworkerOptions - fieldworkerOptions"))
}

func (r *userResolver) FieldworkerOptions(ctx context.Context, obj *user.User) ([]*access.OptionState, error) {
	panic(fmt.Errorf("not implemented: FieldworkerOptions - fieldworkerOptions"))
}

func (r *userResolver) Warnings(ctx context.Context, obj *user.User) ([]string, error) {
	panic(fmt.Errorf("not implemented: Warnings - warnings"))
}

func (r *viewerResolver) Can(ctx context.Context, obj *model.Viewer, checks []*model.CanCheckInput) ([]*gate.Can, error) {
	panic(fmt.Errorf("not implemented: Can - can"))
}
