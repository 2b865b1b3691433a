package recording

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// DeletedAtTwilio is what a deletion at Twilio does to our copy (R282).
type DeletedAtTwilio string

// What it can do.
const (
	DeleteCopy DeletedAtTwilio = "DELETE_COPY"
	KeepCopy   DeletedAtTwilio = "KEEP_COPY"
)

// Policy is what becomes of an organization's recordings.
type Policy struct {
	bun.BaseModel `bun:"table:recording_policy,alias:policy"`

	OrganizationID      id.ID           `bun:"organization_id,pk,type:uuid"`
	WhenDeletedAtTwilio DeletedAtTwilio `bun:"when_deleted_at_twilio"`
	AreChannelsSwapped  bool            `bun:"are_channels_swapped"`
	CreatedAt           time.Time       `bun:"created_at"`
	UpdatedAt           time.Time       `bun:"updated_at"`
}
