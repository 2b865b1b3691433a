// Package diagnose is the doctor: it looks at a number, a person, a message, a call,
// an automation or a connection, names what is wrong with it and says what to do.
// It changes nothing but its own findings.
//
// The invariant: what it names is there. A check that could not be made, such as one
// that Twilio did not answer, is left out with the reason and finds nothing, nor does
// it clear what was found before.
package diagnose

import (
	"time"

	"switchboard/internal/event"
	"switchboard/internal/id"
)

// EventUpdated says that a finding was opened, cleared, acknowledged or put aside.
const EventUpdated event.Kind = "FINDING_UPDATED"

// Result is what came of a check.
type Result string

// What can come of a check.
const (
	OK      Result = "OK"
	Warn    Result = "WARNING"
	Bad     Result = "PROBLEM"
	Skipped Result = "SKIPPED"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	Warning Severity = "WARNING"
	Problem Severity = "PROBLEM"
)

// Diagnosis is what was looked at and found.
type Diagnosis struct {
	SubjectID id.ID
	At        time.Time
	IsLive    bool
	Checks    []Check
	Findings  []Found
}

// Check is one thing that was looked at.
type Check struct {
	Code   Code
	Title  string
	Result Result
	Detail string
}

// Found is one thing that is not in order.
type Found struct {
	Code      Code
	Severity  Severity
	SubjectID id.ID
	Detail    string
	Fix       string
	Source    string
	Evidence  []Evidence
	FindingID id.ID // as it is kept; zero for what is asked for only
}

// Evidence is a fact behind a finding: neither a secret nor a hidden number.
type Evidence struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Finding is what the doctor found, kept until it is gone.
type Finding struct {
	OrganizationID   id.ID      `bun:"organization_id"`
	ID               id.ID      `bun:"id"`
	Code             Code       `bun:"code"`
	Severity         Severity   `bun:"severity"`
	SubjectID        id.ID      `bun:"subject"`
	Detail           string     `bun:"detail"`
	Fix              string     `bun:"fix"`
	Source           string     `bun:"source"`
	Evidence         []Evidence `bun:"evidence,type:jsonb"`
	OpenedAt         time.Time  `bun:"opened_at"`
	LastSeenAt       time.Time  `bun:"last_seen_at"`
	ClearedAt        *time.Time `bun:"cleared_at"`
	AcknowledgedAt   *time.Time `bun:"acknowledged_at"`
	AcknowledgedByID id.ID      `bun:"acknowledged_by"`
	Note             *string    `bun:"note"`
	SnoozeEndsAt     *time.Time `bun:"snooze_ends_at"`
}

// IsNode marks what node gives.
func (*Finding) IsNode() {}

// IsOpen reports whether it was there when last looked at.
func (f *Finding) IsOpen() bool { return f.ClearedAt == nil }

// Title is what was looked at, in a few words.
func (f *Finding) Title() string { return f.Code.Title() }
