package graph

import (
	"switchboard/graph/model"
	"switchboard/internal/errs"
)

// topLevel are the problems that no person can mend by changing the input: they
// are GraphQL errors with extensions.code. All others are userErrors.
var topLevel = map[errs.Code]bool{
	errs.Unauthenticated: true,
	errs.RateLimited:     true,
	errs.Unavailable:     true,
	errs.Resync:          true,
	errs.Internal:        true,
}

// userErrors splits an error into what a payload tells and what the operation
// fails with. The list is never nil.
func userErrors(err error) ([]*model.UserError, error) {
	if err == nil {
		return []*model.UserError{}, nil
	}
	e, ok := errs.As(err)
	if !ok || topLevel[e.Code] {
		return []*model.UserError{}, err
	}
	return []*model.UserError{{Code: e.Code, Field: e.Field, Message: e.Message}}, nil
}

// absent turns "not found" into null: absent and forbidden look alike.
func absent[T any](v *T, err error) (*T, error) {
	if errs.IsCode(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}
