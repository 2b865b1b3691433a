package number

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// SIPDomain is a Twilio SIP domain of a connection (R255, D22).
type SIPDomain struct {
	bun.BaseModel `bun:"table:sip_domain,alias:sip"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	ConnectionID   id.ID      `bun:"connection_id,type:uuid"`
	TwilioSid      string     `bun:"twilio_sid"`
	DomainName     string     `bun:"domain_name"`
	FriendlyName   string     `bun:"friendly_name"`
	IsEnabled      bool       `bun:"is_enabled"`
	Missing        []SIPNeed  `bun:"missing,array"`
	PreviousURL    *string    `bun:"previous_url"`
	CheckedAt      *time.Time `bun:"checked_at"`
	RemovedAt      *time.Time `bun:"removed_at"`
	CreatedAt      time.Time  `bun:"created_at"`
	UpdatedAt      time.Time  `bun:"updated_at"`
}

// IsNode marks the type as one with an id.
func (*SIPDomain) IsNode() {}

// SIPNeed is one thing that a SIP domain needs (R256).
type SIPNeed string

// The needs, in the order in which they are set up.
const (
	NeedsFriendlyName            SIPNeed = "FRIENDLY_NAME"
	NeedsSIPURI                  SIPNeed = "SIP_URI"
	NeedsCallCredentials         SIPNeed = "CALL_CREDENTIALS"
	NeedsRegistration            SIPNeed = "REGISTRATION"
	NeedsRegistrationCredentials SIPNeed = "REGISTRATION_CREDENTIALS"
	NeedsWebhook                 SIPNeed = "WEBHOOK"
)

// SIPCheck is whether a SIP domain has what it needs.
type SIPCheck struct {
	Code SIPNeed
	IsOk bool
	Fix  *string
}

// PushCredential is what wakes the mobile devices of an account.
type PushCredential struct {
	bun.BaseModel `bun:"table:push_credential,alias:push"`

	OrganizationID id.ID     `bun:"organization_id,pk,type:uuid"`
	ID             id.ID     `bun:"id,pk,type:uuid"`
	ConnectionID   id.ID     `bun:"connection_id,type:uuid"`
	Platform       string    `bun:"platform"`
	TwilioSid      string    `bun:"twilio_sid"`
	IsSandbox      bool      `bun:"is_sandbox"`
	CreatedAt      time.Time `bun:"created_at"`
	UpdatedAt      time.Time `bun:"updated_at"`
}
