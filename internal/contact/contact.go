// Package contact is the people and businesses outside: customers, leads,
// accounts, the campaigns they are in and the business records (bookings,
// quotes, invoices, inquiries, complaints) that calls and messages are about.
// It also answers who is calling.
//
// It does not know calls or messages. The invariant: somebody without a number
// is nobody we know (D11); a number matches by its E.164 form and nothing less.
package contact

import (
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// Kind is what kind of contact somebody is.
type Kind string

// The kinds of contact.
const (
	KindCustomer    Kind = "CUSTOMER"
	KindLead        Kind = "LEAD"
	KindAccount     Kind = "ACCOUNT"
	KindContact     Kind = "CONTACT"
	KindFieldworker Kind = "FIELDWORKER"
)

// Known reports whether k is one of the kinds.
func (k Kind) Known() bool {
	switch k {
	case KindCustomer, KindLead, KindAccount, KindContact, KindFieldworker:
		return true
	}
	return false
}

// Contact is a person or business outside.
type Contact struct {
	bun.BaseModel `bun:"table:contact,alias:contact"`

	OrganizationID    id.ID      `bun:"organization_id,pk,type:uuid"`
	ID                id.ID      `bun:"id,pk,type:uuid"`
	Kind              Kind       `bun:"kind"`
	ExternalID        *string    `bun:"external_id"`
	Name              string     `bun:"name"`
	Company           *string    `bun:"company"`
	Email             *string    `bun:"email"`
	Country           *string    `bun:"country"` // R187
	Status            *string    `bun:"status"`
	Tags              []string   `bun:"tags,array"`
	Timezone          *string    `bun:"timezone"` // IANA
	Service           *string    `bun:"service"`
	Location          *string    `bun:"location"`
	AssignedUserID    id.ID      `bun:"assigned_user_id,type:uuid,nullzero"`
	CreatedByID       id.ID      `bun:"created_by,type:uuid,nullzero"`
	AccountID         id.ID      `bun:"account_id,type:uuid,nullzero"` // R181
	LastCampaignID    id.ID      `bun:"last_campaign_id,type:uuid,nullzero"`
	LastPhoneNumberID id.ID      `bun:"last_phone_number_id,type:uuid,nullzero"`
	LastContactedAt   *time.Time `bun:"last_contacted_at"`
	SourceUpdatedAt   *time.Time `bun:"source_updated_at"` // as the other system says
	SourceVersion     *int64     `bun:"source_version"`
	Version           int        `bun:"version"`
	CreatedAt         time.Time  `bun:"created_at"`
	UpdatedAt         time.Time  `bun:"updated_at"`

	// IsOwn says that it is the reader's own, where that was asked.
	IsOwn bool `bun:"is_own,scanonly"`
}

// Phone is a phone of a contact.
type Phone struct {
	bun.BaseModel `bun:"table:contact_phone,alias:contact_phone"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ContactID      id.ID      `bun:"contact_id,pk,type:uuid"`
	E164           phone.E164 `bun:"e164,pk"`
	Label          string     `bun:"label"`
	IsPrimary      bool       `bun:"is_primary"`
	CreatedAt      time.Time  `bun:"created_at"`
}

// Campaign is a campaign and, by its assignee, layer 3 for its leads (R032, R185).
type Campaign struct {
	bun.BaseModel `bun:"table:campaign,alias:campaign"`

	OrganizationID id.ID     `bun:"organization_id,pk,type:uuid"`
	ID             id.ID     `bun:"id,pk,type:uuid"`
	Name           string    `bun:"name"`
	AssignedUserID id.ID     `bun:"assigned_user_id,type:uuid,nullzero"`
	IsActive       bool      `bun:"is_active"`
	MemberCount    int       `bun:"member_count,scanonly"`
	CreatedAt      time.Time `bun:"created_at"`
	UpdatedAt      time.Time `bun:"updated_at"`
}

// RecordKind is what kind of business record it is.
type RecordKind string

// The kinds of business record.
const (
	RecordBooking   RecordKind = "BOOKING"
	RecordQuote     RecordKind = "QUOTE"
	RecordInvoice   RecordKind = "INVOICE"
	RecordInquiry   RecordKind = "INQUIRY"
	RecordComplaint RecordKind = "COMPLAINT"
)

// Known reports whether k is one of the kinds.
func (k RecordKind) Known() bool {
	switch k {
	case RecordBooking, RecordQuote, RecordInvoice, RecordInquiry, RecordComplaint:
		return true
	}
	return false
}

// Record is a business record: what a call or message is about (R177).
type Record struct {
	bun.BaseModel `bun:"table:record,alias:record"`

	OrganizationID  id.ID             `bun:"organization_id,pk,type:uuid"`
	ID              id.ID             `bun:"id,pk,type:uuid"`
	Kind            RecordKind        `bun:"kind"`
	ExternalID      *string           `bun:"external_id"`
	Title           string            `bun:"title"`
	Status          string            `bun:"status"`
	Tags            []string          `bun:"tags,array"`
	Service         *string           `bun:"service"`
	Location        *string           `bun:"location"`
	ContactID       id.ID             `bun:"contact_id,type:uuid,nullzero"`
	AssignedUserID  id.ID             `bun:"assigned_user_id,type:uuid,nullzero"` // R188
	AmountMinor     *int64            `bun:"amount_minor"`                        // in the currency's smallest unit
	Currency        *string           `bun:"currency"`                            // ISO 4217; with an amount, and only then
	StartsAt        *time.Time        `bun:"starts_at"`
	EndsAt          *time.Time        `bun:"ends_at"`
	DueAt           *time.Time        `bun:"due_at"`     // of an invoice
	ExpiresAt       *time.Time        `bun:"expires_at"` // of a quote
	NextServiceAt   *time.Time        `bun:"next_service_at"`
	EtaAt           *time.Time        `bun:"eta_at"`       // R198
	TrackingURL     *string           `bun:"tracking_url"` // R198
	URL             *string           `bun:"url"`          // of the invoice or booking page
	Data            map[string]string `bun:"data,type:jsonb"`
	ConfirmedAt     *time.Time        `bun:"confirmed_at"`
	SourceUpdatedAt *time.Time        `bun:"source_updated_at"` // as the other system says
	SourceVersion   *int64            `bun:"source_version"`
	Version         int               `bun:"version"`
	CreatedAt       time.Time         `bun:"created_at"`
	UpdatedAt       time.Time         `bun:"updated_at"`
}

// Money is an amount in the smallest unit of its currency.
type Money struct {
	AmountMinor int64
	Currency    string
}

// Amount is what the record is about in money, if it says.
func (r *Record) Amount() *Money {
	if r.AmountMinor == nil || r.Currency == nil {
		return nil
	}
	return &Money{AmountMinor: *r.AmountMinor, Currency: *r.Currency}
}

// Datum is one of the business's own fields of a record.
type Datum struct{ Key, Value string }

// list is the map in the order of its keys.
func list(data map[string]string) []*Datum {
	out := make([]*Datum, 0, len(data))
	for _, k := range slices.Sorted(maps.Keys(data)) {
		out = append(out, &Datum{k, data[k]})
	}
	return out
}

// DataList is the record's own fields in the order of their keys.
func (r *Record) DataList() []*Datum { return list(r.Data) }

// EventKind is what happened to a record.
type EventKind string

// The kinds of event of a record (R164-R173).
const (
	ContactAttemptFailed EventKind = "CONTACT_ATTEMPT_FAILED"
	QuoteSent            EventKind = "QUOTE_SENT"
	BookingConfirmed     EventKind = "BOOKING_CONFIRMED"
	JobAccepted          EventKind = "JOB_ACCEPTED"
	OnTheWay             EventKind = "ON_THE_WAY"
	RunningLate          EventKind = "RUNNING_LATE"
	Arrived              EventKind = "ARRIVED"
	Completed            EventKind = "COMPLETED"
	InvoiceSent          EventKind = "INVOICE_SENT"
	Paid                 EventKind = "PAID"
	Cancelled            EventKind = "CANCELLED"
)

// RecordEvent is something that happened to a record, as somebody or another
// system told it.
type RecordEvent struct {
	bun.BaseModel `bun:"table:record_event,alias:record_event"`

	OrganizationID id.ID             `bun:"organization_id,pk,type:uuid"`
	ID             id.ID             `bun:"id,pk,type:uuid"`
	RecordID       id.ID             `bun:"record_id,type:uuid"`
	Kind           EventKind         `bun:"kind"`
	At             time.Time         `bun:"at"`
	ExternalID     *string           `bun:"external_id"`
	EtaAt          *time.Time        `bun:"eta_at"`
	TrackingURL    *string           `bun:"tracking_url"`
	Note           *string           `bun:"note"`
	Data           map[string]string `bun:"data,type:jsonb"`
	UserID         id.ID             `bun:"user_id,type:uuid,nullzero"`
	APIKeyID       id.ID             `bun:"api_key_id,type:uuid,nullzero"`
	CreatedAt      time.Time         `bun:"created_at"`
}

// DataList is the event's own fields in the order of their keys.
func (e *RecordEvent) DataList() []*Datum { return list(e.Data) }
