package access

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// BuiltInRole is one of the roles that every organization starts with.
type BuiltInRole string

// The built-in roles.
const (
	Admin       BuiltInRole = "ADMIN"
	Dispatcher  BuiltInRole = "DISPATCHER"
	Office      BuiltInRole = "OFFICE"
	Sales       BuiltInRole = "SALES"
	Fieldworker BuiltInRole = "FIELDWORKER"
)

// Role is the master gate (R234): what its people may do and how far they see.
type Role struct {
	bun.BaseModel `bun:"table:role,alias:role"`

	OrganizationID id.ID        `bun:"organization_id,pk,type:uuid"`
	ID             id.ID        `bun:"id,pk,type:uuid"`
	Name           string       `bun:"name"`
	BuiltIn        *BuiltInRole `bun:"built_in"` // nil for a custom role
	Permissions    []Permission `bun:"permissions,array"`
	Visibility     Visibility   `bun:"visibility"`
	CreatedAt      time.Time    `bun:"created_at"`
	UpdatedAt      time.Time    `bun:"updated_at"`
}

// Is reports whether the role is the built-in one.
func (r *Role) Is(b BuiltInRole) bool { return r.BuiltIn != nil && *r.BuiltIn == b }
