package model

import (
	"math"

	"github.com/99designs/gqlgen/graphql"

	"switchboard/internal/errs"
)

// MarshalInt writes a whole number.
func MarshalInt(n int) graphql.Marshaler { return graphql.MarshalInt(n) }

// UnmarshalInt reads an Int, which has 32 bits (GraphQL specification, 3.5.1): what is
// larger is refused here, and not by a column of the database.
func UnmarshalInt(v any) (int, error) {
	n, err := UnmarshalInt64(v)
	return int(n), err
}

// MarshalInt64 writes a whole number.
func MarshalInt64(n int64) graphql.Marshaler { return graphql.MarshalInt64(n) }

// UnmarshalInt64 is UnmarshalInt for fields that are 64 bits wide in Go.
func UnmarshalInt64(v any) (int64, error) {
	n, err := graphql.UnmarshalInt64(v)
	if err == nil && (n < math.MinInt32 || n > math.MaxInt32) {
		return 0, errs.New(errs.Invalid, "%d is too large for an Int, which has 32 bits", n)
	}
	return n, err
}
