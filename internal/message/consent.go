package message

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// Channel is what consent is for.
type Channel string

// The channels.
const (
	SMSChannel   Channel = "SMS"
	MMSChannel   Channel = "MMS"
	VoiceChannel Channel = "VOICE"
)

// ConsentKind is what somebody said about messages or calls.
type ConsentKind string

// What may be said.
const (
	OptIn     ConsentKind = "OPT_IN"
	OptOut    ConsentKind = "OPT_OUT"
	AskedHelp ConsentKind = "HELP"
)

// ConsentSource is where a word about consent came from.
type ConsentSource string

// The sources.
const (
	ByKeyword  ConsentSource = "KEYWORD"  // R154
	ByProvider ConsentSource = "PROVIDER" // Twilio refused a message for it (T13)
	ByStaff    ConsentSource = "STAFF"
	ByImport   ConsentSource = "IMPORT"
)

// Consent is one word about consent. It is never changed.
type Consent struct {
	bun.BaseModel `bun:"table:consent,alias:cs"`

	OrganizationID id.ID         `bun:"organization_id,pk,type:uuid"`
	ID             id.ID         `bun:"id,pk,type:uuid"`
	E164           phone.E164    `bun:"e164"`
	ContactID      id.ID         `bun:"contact_id,type:uuid"`
	Channel        Channel       `bun:"channel"`
	PhoneNumberID  id.ID         `bun:"phone_number_id,type:uuid"` // zero: all of ours
	Kind           ConsentKind   `bun:"what"`
	Source         ConsentSource `bun:"source"`
	MessageID      id.ID         `bun:"message_id,type:uuid"`
	UserID         id.ID         `bun:"user_id,type:uuid"`
	Note           *string       `bun:"note"`
	At             time.Time     `bun:"at"`
	CreatedAt      time.Time     `bun:"created_at"`
}
