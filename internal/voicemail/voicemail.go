// Package voicemail is the messages that callers left.
//
// The audio is package recording's. The invariant: a call has a voicemail
// exactly when its voicemail recording completed with something to hear.
package voicemail

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/route"
)

// Voicemail is one message left on a call (R131).
type Voicemail struct {
	bun.BaseModel `bun:"table:voicemail,alias:voicemail"`

	OrganizationID  id.ID      `bun:"organization_id,pk,type:uuid"`
	ID              id.ID      `bun:"id,pk,type:uuid"`
	CallID          id.ID      `bun:"call_id,type:uuid"`
	RecordingID     id.ID      `bun:"recording_id,type:uuid"`
	PhoneNumberID   id.ID      `bun:"phone_number_id,type:uuid"`
	BranchID        id.ID      `bun:"branch_id,type:uuid"`
	ContactID       id.ID      `bun:"contact_id,type:uuid"`
	FromNumber      string     `bun:"from_number"`
	DurationSeconds *int       `bun:"duration_seconds"`
	OwnerID         id.ID      `bun:"owner_user_id,type:uuid"`
	HeardAt         *time.Time `bun:"heard_at"`
	HeardByID       id.ID      `bun:"heard_by_user_id,type:uuid"`
	ReceivedAt      time.Time  `bun:"received_at"`
	Version         int64      `bun:"version"`
	CreatedAt       time.Time  `bun:"created_at"`
	UpdatedAt       time.Time  `bun:"updated_at"`

	// Of its call and of its recording: a voicemail is deleted when its audio is.
	RecordID     id.ID      `bun:"record_id,scanonly,type:uuid"`
	DeletedAt    *time.Time `bun:"deleted_at,scanonly"`
	DeletedByID  id.ID      `bun:"deleted_by,scanonly,type:uuid"`
	DeleteReason *string    `bun:"delete_reason,scanonly"`
	IsHeld       bool       `bun:"is_held,scanonly"`

	// The call's masked pair, its fieldworker, and whether who left it is hidden from the reader.
	MaskedPairID   id.ID  `bun:"masked_pair_id,scanonly,type:uuid"`
	MaskUserID     id.ID  `bun:"mask_user_id,scanonly,type:uuid"`
	MaskUserNumber string `bun:"mask_user_number,scanonly"`
	FromMasked     bool   `bun:"-"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Voicemail) IsNode() {}

// From is who left it.
func (v *Voicemail) From() route.Party { return call.PartyOf(v.FromNumber, v.FromMasked) }
