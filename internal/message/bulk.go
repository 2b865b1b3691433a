package message

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// BulkStatus is where a bulk message stands.
type BulkStatus string

// The states of a bulk message.
const (
	BulkScheduled BulkStatus = "SCHEDULED"
	BulkRunning   BulkStatus = "RUNNING"
	BulkPaused    BulkStatus = "PAUSED"
	BulkDone      BulkStatus = "DONE"
	BulkCanceled  BulkStatus = "CANCELED"
)

// Bulk is one text to many (R136).
type Bulk struct {
	bun.BaseModel `bun:"table:bulk_message,alias:b"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	Name           string     `bun:"name"`
	Body           string     `bun:"body"` // with its merge fields
	TemplateID     id.ID      `bun:"template_id,type:uuid"`
	MediaIDs       []id.ID    `bun:"media,array"`
	PhoneNumberID  id.ID      `bun:"phone_number_id,type:uuid"`
	CampaignID     id.ID      `bun:"campaign_id,type:uuid"`
	Status         BulkStatus `bun:"status"`
	RatePerSecond  *int       `bun:"rate_per_second"` // of each sender
	ScheduledAt    *time.Time `bun:"send_at"`
	StopReason     *string    `bun:"stop_reason"`
	RecipientCount int        `bun:"recipient_count"`
	SkippedCount   int        `bun:"skipped_count"`
	PendingCount   int        `bun:"pending_count"`
	CreatedByID    id.ID      `bun:"created_by,type:uuid"`
	DueAt          *time.Time `bun:"due_at"`
	StartedAt      *time.Time `bun:"started_at"`
	EndedAt        *time.Time `bun:"ended_at"`
	Version        int        `bun:"version"`
	CreatedAt      time.Time  `bun:"created_at"`
	UpdatedAt      time.Time  `bun:"updated_at"`
}

// BulkCounts says where the recipients of a bulk message stand.
type BulkCounts struct {
	Pending   int // not looked at yet
	Skipped   int
	Waiting   int // taken, not handed over yet
	Queued    int
	Sent      int
	Delivered int
	Failed    int
	Unknown   int
}

// RecipientState is whether a recipient was written to.
type RecipientState string

// The states of a recipient.
const (
	RecipientPending RecipientState = "PENDING"
	RecipientTaken   RecipientState = "TAKEN"
	RecipientSkipped RecipientState = "SKIPPED"
)

// BulkRecipient is one recipient of a bulk message.
type BulkRecipient struct {
	bun.BaseModel `bun:"table:bulk_recipient,alias:br"`

	OrganizationID id.ID                     `bun:"organization_id,pk,type:uuid"`
	BulkID         id.ID                     `bun:"bulk_id,pk,type:uuid"`
	Position       int                       `bun:"position,pk"`
	Given          string                    `bun:"given"`
	E164           *phone.E164               `bun:"e164"`
	ContactID      id.ID                     `bun:"contact_id,type:uuid"`
	RecordID       id.ID                     `bun:"record_id,type:uuid"`
	PhoneNumberID  id.ID                     `bun:"phone_number_id,type:uuid"`
	SenderReason   *route.NumberChoiceReason `bun:"sender_reason"`
	Body           *string                   `bun:"body"` // merged
	State          RecipientState            `bun:"state"`
	SkipCode       *ProblemCode              `bun:"skip_code"`
	SkipReason     *string                   `bun:"skip_reason"`
	MessageID      id.ID                     `bun:"message_id,type:uuid"`
	CreatedAt      time.Time                 `bun:"created_at"`
}

// Problem is why the recipient was left out; nil when they were not.
func (r *BulkRecipient) Problem() *PreviewProblem {
	if r.SkipCode == nil {
		return nil
	}
	p := &PreviewProblem{Code: *r.SkipCode, IsBlocking: true}
	if r.SkipReason != nil {
		p.Message = *r.SkipReason
	}
	return p
}
