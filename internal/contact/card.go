package contact

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// CallSaving is how a call is saved by itself (R182).
type CallSaving string

// How a call is saved by itself.
const (
	SavesNothing          CallSaving = "OFF"
	SavesContact          CallSaving = "CONTACT"
	SavesContactAndRecord CallSaving = "CONTACT_AND_RECORD"
)

// CallerCardSettings say who identifies callers and what the caller card does.
type CallerCardSettings struct {
	bun.BaseModel `bun:"table:caller_card_settings,alias:caller_card_settings"`

	OrganizationID           id.ID        `bun:"organization_id,pk,type:uuid"`
	ContactKinds             []Kind       `bun:"contact_kinds,array"`         // R179
	RecordKinds              []RecordKind `bun:"record_kinds,array"`          // R179
	HidesLeads               bool         `bun:"hides_leads"`                 // R180
	ShowsRelatedAccountsOnly bool         `bun:"shows_related_accounts_only"` // R181
	InboundSaving            CallSaving   `bun:"inbound_saving"`              // R182
	OutboundSaving           CallSaving   `bun:"outbound_saving"`
	OpensInbound             bool         `bun:"opens_inbound"` // R183
	OpensOutbound            bool         `bun:"opens_outbound"`
	QuickCreateContacts      []Kind       `bun:"quick_create_contacts,array"` // R184
	QuickCreateRecords       []RecordKind `bun:"quick_create_records,array"`
	UpdatedAt                *time.Time   `bun:"updated_at"`
}

// OpeningReason is why nothing opens by itself.
type OpeningReason string

// Why nothing opens by itself.
const (
	OpensOff       OpeningReason = "OFF"
	NoMatch        OpeningReason = "NO_MATCH"
	SeveralMatches OpeningReason = "SEVERAL_MATCHES"
	NotYours       OpeningReason = "NOT_YOURS"
)

// Opening is what to open without being asked: a contact, a record, or nothing and why.
type Opening struct {
	Contact *Contact
	Record  *Record
	Reason  *OpeningReason
}

// CallerCard is who has a number, and what to do about it.
type CallerCard struct {
	Number              *phone.E164 // nil when it is empty, withheld or hidden
	Contacts            []*Contact
	Accounts            []*Contact
	Records             []*Record
	HiddenLeadCount     int
	Opening             *Opening
	Saving              CallSaving
	QuickCreateContacts []Kind
	QuickCreateRecords  []RecordKind
}
