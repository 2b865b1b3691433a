// Package gate answers whether somebody may do something, and which gate says no.
// It knows no rule of its own: it asks, in their order, what the commands ask:
// the role, the option of a fieldworker, the feature, whether the thing is seen,
// whether the booking has begun, and the state of the thing.
//
// The invariant: what may not be seen answers exactly like what does not exist.
package gate

import (
	"switchboard/internal/access"
	"switchboard/internal/tenant"
)

// Gate is what says no.
type Gate string

// The gates, in the order in which they are asked.
const (
	None              Gate = "NONE"
	Role              Gate = "ROLE"
	FieldworkerOption Gate = "FIELDWORKER_OPTION"
	Feature           Gate = "FEATURE"
	Visibility        Gate = "VISIBILITY"
	BeforeStart       Gate = "BEFORE_START"
	State             Gate = "STATE"
)

// Can is the answer to whether somebody may do something.
type Can struct {
	Action     Action
	IsAllowed  bool
	Gate       Gate
	Permission *access.Permission
	Option     *access.FieldworkerOption
	Feature    *tenant.FeatureName
	Message    string
}
