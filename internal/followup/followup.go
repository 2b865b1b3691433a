// Package followup is what people still owe to callers, and what people are told:
// an open item for each caller who was missed (R192), and notifications.
//
// It never decides that a call was missed (package call did) and speaks no protocol
// (package notify does). The invariants: a caller has one open item for each branch
// they called, and a person is told of one thing once.
package followup

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/route"
)

// Kind is what a follow-up is about.
type Kind string

// The kinds of follow-up.
const (
	MissedCall Kind = "MISSED_CALL"
	Voicemail  Kind = "VOICEMAIL" // one at least, with or without missed calls
)

// Status is where a follow-up stands (R193).
type Status string

// The states of a follow-up.
const (
	Pending          Status = "PENDING"
	Resolved         Status = "RESOLVED"
	NoActionRequired Status = "NO_ACTION_REQUIRED"
)

// Order is the order of a list.
type Order string

// The orders.
const (
	Newest Order = "NEWEST"
	Due    Order = "DUE"
)

// Change is what happened to a follow-up.
type Change string

// What may happen.
const (
	Opened       Change = "OPENED"
	Attempted    Change = "ATTEMPT"
	Assigned     Change = "ASSIGNED"
	Closed       Change = "CLOSED"
	ClosedByCall Change = "CLOSED_BY_CALL"
	Reopened     Change = "REOPENED"
	Noted        Change = "NOTED"
	OutcomeSet   Change = "OUTCOME_SET"
	DueSet       Change = "DUE_SET"
	Escalated    Change = "ESCALATED"
	CalledBack   Change = "CALLED_BACK"
	Relinked     Change = "RELINKED"
)

// FollowUp is a caller who was missed, until somebody reached them (R192-R195).
type FollowUp struct {
	bun.BaseModel `bun:"table:follow_up,alias:f"`

	OrganizationID        id.ID      `bun:"organization_id,pk,type:uuid"`
	ID                    id.ID      `bun:"id,pk,type:uuid"`
	Key                   string     `bun:"key"`
	Kind                  Kind       `bun:"kind"`
	Status                Status     `bun:"status"`
	CallerNumber          string     `bun:"caller_number"`
	MaskedPairID          id.ID      `bun:"masked_pair_id,type:uuid"`
	ContactID             id.ID      `bun:"contact_id,type:uuid"`
	RecordID              id.ID      `bun:"record_id,type:uuid"`
	BranchID              id.ID      `bun:"branch_id,type:uuid"`
	PhoneNumberID         id.ID      `bun:"phone_number_id,type:uuid"`
	OwnerID               id.ID      `bun:"owner_user_id,type:uuid"`
	Outcome               *string    `bun:"outcome"`
	DueAt                 *time.Time `bun:"due_at"`
	EscalatedAt           *time.Time `bun:"escalated_at"`
	EscalatedToID         id.ID      `bun:"escalated_to_user_id,type:uuid"`
	EscalatedToRoleID     id.ID      `bun:"escalated_to_role_id,type:uuid"`
	AttemptCount          int        `bun:"attempt_count"`
	VoicemailCount        int        `bun:"voicemail_count"`
	NoteCount             int        `bun:"note_count"`
	FirstAttemptAt        time.Time  `bun:"first_attempt_at"`
	LastAttemptAt         time.Time  `bun:"last_attempt_at"`
	ClosedAt              *time.Time `bun:"closed_at"`
	ClosedByID            id.ID      `bun:"closed_by_user_id,type:uuid"`
	ClosedByCallID        id.ID      `bun:"closed_by_call_id,type:uuid"`
	IsClosedAutomatically bool       `bun:"is_closed_by_call"`
	Version               int64      `bun:"version"`
	CreatedAt             time.Time  `bun:"created_at"`
	UpdatedAt             time.Time  `bun:"updated_at"`

	// Of the moment when it was read.
	IsOverdue bool `bun:"-"`
	// The fieldworker of its masked pair, and whether the caller is hidden from the reader.
	MaskUserID     id.ID  `bun:"mask_user_id,scanonly,type:uuid"`
	MaskUserNumber string `bun:"mask_user_number,scanonly"`
	FromMasked     bool   `bun:"-"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*FollowUp) IsNode() {}

// From is who called.
func (f *FollowUp) From() route.Party { return call.PartyOf(f.CallerNumber, f.FromMasked) }

// IsOpen reports whether somebody still has to reach the caller.
func (f *FollowUp) IsOpen() bool { return f.Status == Pending }

// Attempt is one call of a caller who was missed.
type Attempt struct {
	FollowUpID  id.ID     `bun:"follow_up_id,type:uuid"`
	CallID      id.ID     `bun:"call_id,type:uuid"`
	VoicemailID id.ID     `bun:"voicemail_id,type:uuid"`
	At          time.Time `bun:"at"`
}

// Entry is something that happened to a follow-up.
type Entry struct {
	bun.BaseModel `bun:"table:follow_up_entry,alias:entry"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	FollowUpID     id.ID      `bun:"follow_up_id,type:uuid"`
	Change         Change     `bun:"change"`
	At             time.Time  `bun:"at"`
	ActorID        id.ID      `bun:"actor_user_id,type:uuid"`
	CallID         id.ID      `bun:"call_id,type:uuid"`
	VoicemailID    id.ID      `bun:"voicemail_id,type:uuid"`
	UserID         id.ID      `bun:"user_id,type:uuid"`
	RoleID         id.ID      `bun:"role_id,type:uuid"`
	Status         *Status    `bun:"status"`
	Outcome        *string    `bun:"outcome"`
	Note           *string    `bun:"note"`
	DueAt          *time.Time `bun:"due_at"`
}

// Note is an entry with words (R195).
type Note struct {
	FollowUpID id.ID     `bun:"follow_up_id,type:uuid"`
	ID         id.ID     `bun:"id,type:uuid"`
	At         time.Time `bun:"at"`
	AuthorID   id.ID     `bun:"actor_user_id,type:uuid"`
	Text       string    `bun:"note"`
}

// Counts are how many follow-ups wait.
type Counts struct {
	Open       int `bun:"open"`
	Mine       int `bun:"mine"`
	Overdue    int `bun:"overdue"`
	Unassigned int `bun:"unassigned"`
}

// Changed is a follow-up as it is after a change. Counts are asked for apart.
type Changed struct {
	FollowUp *FollowUp
	Change   Change
	Cursor   string
}

// Settings are when follow-ups are due and to whom they are escalated.
type Settings struct {
	bun.BaseModel `bun:"table:follow_up_settings,alias:settings"`

	OrganizationID   id.ID     `bun:"organization_id,pk,type:uuid"`
	DueMinutes       *int      `bun:"due_minutes"`
	EscalateToID     id.ID     `bun:"escalate_to_user_id,type:uuid"`
	EscalateToRoleID id.ID     `bun:"escalate_to_role_id,type:uuid"`
	UpdatedAt        time.Time `bun:"updated_at"`
}
