package number

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// Audio is a prompt or greeting kept by us (R045, R126).
type Audio struct {
	bun.BaseModel `bun:"table:audio,alias:audio"`

	OrganizationID id.ID     `bun:"organization_id,pk,type:uuid"`
	ID             id.ID     `bun:"id,pk,type:uuid"`
	Name           string    `bun:"name"`
	ContentType    string    `bun:"content_type"`
	SizeBytes      int       `bun:"size_bytes"`
	BlobKey        string    `bun:"blob_key"`
	PublicToken    string    `bun:"public_token"`
	CreatedByID    id.ID     `bun:"created_by,type:uuid,nullzero"`
	CreatedAt      time.Time `bun:"created_at"`
}
