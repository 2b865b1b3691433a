package voicemail

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// DropMessage is a saved message for answering machines (R108).
type DropMessage struct {
	bun.BaseModel `bun:"table:drop_message,alias:drop_message"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	Name           string     `bun:"name"`
	Text           *string    `bun:"text"`
	AudioID        id.ID      `bun:"audio_id,type:uuid,nullzero"` // wins over the text
	Voice          string     `bun:"voice"`
	Language       string     `bun:"language"`
	RemovedAt      *time.Time `bun:"removed_at"`
	Version        int        `bun:"version"`
	CreatedAt      time.Time  `bun:"created_at"`
	UpdatedAt      time.Time  `bun:"updated_at"`
}

// IsNode marks the type as one with an id.
func (*DropMessage) IsNode() {}
