// Package retention deletes what is older than the business keeps it, and keeps
// what is held (R223-R232).
//
// The invariants: a rule deletes what its preview names, neither more nor less;
// what is held is deleted by nobody; what is deleted goes one by one, each with
// its own tombstone; a transcript never goes with its recording (R229).
package retention

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// Kind is what a rule deletes.
type Kind string

// The kinds, each with rules of its own.
const (
	Recordings    Kind = "RECORDINGS"
	Voicemails    Kind = "VOICEMAILS"
	Transcripts   Kind = "TRANSCRIPTS"
	MessageMedia  Kind = "MESSAGE_MEDIA"
	MessageBodies Kind = "MESSAGE_BODIES"
)

// Kinds are all of them, in the order of the contract.
var Kinds = []Kind{Recordings, Voicemails, Transcripts, MessageMedia, MessageBodies}

// Rule deletes what is older than a period (R223, R224).
type Rule struct {
	bun.BaseModel `bun:"table:retention_rule,alias:rule"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	Kind           Kind       `bun:"kind"`
	BranchID       id.ID      `bun:"branch_id,type:uuid"` // zero: all branches without a rule of their own
	KeepDays       int        `bun:"keep_days"`           // D12
	IsOn           bool       `bun:"is_on"`
	NextRunAt      *time.Time `bun:"next_run_at"`
	Version        int        `bun:"version"`
	CreatedAt      time.Time  `bun:"created_at"`
	UpdatedAt      time.Time  `bun:"updated_at"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Rule) IsNode() {}

// Status is where a run stands.
type Status string

// The states of a run.
const (
	Running   Status = "RUNNING"
	Completed Status = "COMPLETED"
	Canceled  Status = "CANCELED"
)

// Run is one run of a rule.
type Run struct {
	bun.BaseModel `bun:"table:retention_run,alias:run"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	RuleID         id.ID      `bun:"rule_id,type:uuid"`
	Kind           Kind       `bun:"kind"`
	BranchID       id.ID      `bun:"branch_id,type:uuid"`
	CutoffAt       time.Time  `bun:"before"`
	Status         Status     `bun:"status"`
	FoundCount     int        `bun:"found_count"`
	DeletedCount   int        `bun:"deleted_count"`
	HeldCount      int        `bun:"held_count"`
	Bytes          int64      `bun:"bytes"`
	StartedByID    id.ID      `bun:"started_by,type:uuid"`
	StartedAt      time.Time  `bun:"started_at"`
	EndedAt        *time.Time `bun:"ended_at"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Run) IsNode() {}

// Preview is what a rule would delete if it ran now (R231).
type Preview struct {
	Kind         Kind
	KeepDays     int
	CutoffAt     time.Time // what is older than this goes
	Count        int
	HeldCount    int
	Bytes        int64
	OldestAt     *time.Time
	NewestAt     *time.Time
	Months       []Month
	SampleIDs    []id.ID // the oldest of them
	IsRuleOn     bool
	Confirmation string // proves that somebody saw this
}

// Month is what would go of one month.
type Month struct {
	Start time.Time // its first moment, in the organization's time zone
	Count int
}

// Hold keeps something, and all that belongs to it, from being deleted.
type Hold struct {
	bun.BaseModel `bun:"table:legal_hold,alias:hold"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	SubjectID      id.ID      `bun:"subject,type:uuid"`
	Reason         string     `bun:"reason"`
	PlacedByID     id.ID      `bun:"placed_by,type:uuid"`
	PlacedAt       time.Time  `bun:"placed_at"`
	ReleasedByID   id.ID      `bun:"released_by,type:uuid"`
	ReleasedAt     *time.Time `bun:"released_at"`
	ReleaseReason  *string    `bun:"release_reason"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Hold) IsNode() {}
