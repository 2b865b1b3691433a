// Package contact is the people and businesses outside: customers, leads,
// accounts, the campaigns they are in and the business records (bookings,
// quotes, invoices, inquiries, complaints) that calls and messages are about.
// It also answers who is calling.
//
// It does not know calls or messages. The invariant: somebody without a number
// is nobody we know (D11); a number matches by its E.164 form and nothing less.
package contact

import (
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
	AssignedUserID    id.ID      `bun:"assigned_user_id,type:uuid,nullzero"`
	CreatedByID       id.ID      `bun:"created_by,type:uuid,nullzero"`
	LastCampaignID    id.ID      `bun:"last_campaign_id,type:uuid,nullzero"`
	LastPhoneNumberID id.ID      `bun:"last_phone_number_id,type:uuid,nullzero"`
	LastContactedAt   *time.Time `bun:"last_contacted_at"`
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

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	Kind           RecordKind `bun:"kind"`
	ExternalID     *string    `bun:"external_id"`
	Title          string     `bun:"title"`
	Status         string     `bun:"status"`
	ContactID      id.ID      `bun:"contact_id,type:uuid,nullzero"`
	AssignedUserID id.ID      `bun:"assigned_user_id,type:uuid,nullzero"` // R188
	StartsAt       *time.Time `bun:"starts_at"`
	Version        int        `bun:"version"`
	CreatedAt      time.Time  `bun:"created_at"`
	UpdatedAt      time.Time  `bun:"updated_at"`
}
