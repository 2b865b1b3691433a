package message

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/contact"
	"switchboard/internal/id"
)

// TemplateKind is what a template is.
type TemplateKind string

// The kinds of template.
const (
	WholeMessage   TemplateKind = "TEMPLATE"
	CannedResponse TemplateKind = "CANNED_RESPONSE"
)

// Purpose is what a template is for (R162).
type Purpose string

// The purposes.
const (
	ForConfirmation  Purpose = "CONFIRMATION"
	ForReminder      Purpose = "REMINDER"
	ForServiceUpdate Purpose = "SERVICE_UPDATE"
	ForInvoice       Purpose = "INVOICE"
	ForSupportReply  Purpose = "SUPPORT_REPLY"
	ForOther         Purpose = "OTHER"
)

// SavedTemplate is a text to be used again (R161).
type SavedTemplate struct {
	bun.BaseModel `bun:"table:message_template,alias:tp"`

	OrganizationID id.ID               `bun:"organization_id,pk,type:uuid"`
	ID             id.ID               `bun:"id,pk,type:uuid"`
	Kind           TemplateKind        `bun:"kind"`
	Name           string              `bun:"name"`
	Body           string              `bun:"body"`
	Purpose        Purpose             `bun:"purpose"`
	RecordKind     *contact.RecordKind `bun:"record_kind"` // nil: the fields of a contact alone
	IsArchived     bool                `bun:"is_archived"`
	CreatedByID    id.ID               `bun:"created_by,type:uuid"`
	Version        int                 `bun:"version"`
	CreatedAt      time.Time           `bun:"created_at"`
	UpdatedAt      time.Time           `bun:"updated_at"`
}
