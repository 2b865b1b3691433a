package number

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// Branch is a business location (R021).
type Branch struct {
	bun.BaseModel `bun:"table:branch,alias:branch"`

	OrganizationID id.ID     `bun:"organization_id,pk,type:uuid"`
	ID             id.ID     `bun:"id,pk,type:uuid"`
	Name           string    `bun:"name"`
	TimeZone       *string   `bun:"time_zone"`
	CreatedAt      time.Time `bun:"created_at"`
	UpdatedAt      time.Time `bun:"updated_at"`
}
