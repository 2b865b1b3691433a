package graph

import (
	"context"

	"switchboard/graph/loader"
	"switchboard/internal/access"
	"switchboard/internal/user"
)

// roleFor is the role of a person whose options the actor may read: their own, or
// anybody's with USER_MANAGE; nil otherwise.
func (r *Resolver) roleFor(ctx context.Context, u *user.User) (*access.Role, error) {
	if !user.MayReadPrivate(access.From(ctx), u.ID) {
		return nil, nil
	}
	return loader.Load(ctx, loader.From(ctx).Roles, u.RoleID)
}
