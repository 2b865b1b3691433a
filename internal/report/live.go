package report

import (
	"time"

	"switchboard/internal/call"
	"switchboard/internal/id"
)

// Live is what goes on right now (R280, R210).
type Live struct {
	Total        LiveCounts
	PhoneNumbers []LivePhoneNumber
	Branches     []LiveBranch
	Agents       []LiveAgent
	Day          string // YYYY-MM-DD: the organization's day that is today
	CountedAt    time.Time
	Cursor       string

	tomorrow time.Time // when that day ends
}

// LiveCounts are live counts.
type LiveCounts struct {
	Ringing, InProgress, OnHold                 int
	AnsweredToday, MissedToday, VoicemailsToday int
	LongestRingStartedAt                        *time.Time
}

// LivePhoneNumber is the live counts of a number.
type LivePhoneNumber struct {
	PhoneNumberID id.ID
	Counts        LiveCounts
}

// LiveBranch is the live counts of a branch.
type LiveBranch struct {
	BranchID id.ID
	Counts   LiveCounts
}

// LiveAgent is a person and what they are on (R210).
type LiveAgent struct {
	UserID    id.ID
	State     call.PresenceState
	CallID    id.ID // zero when there is none, or the actor may not see it
	StartedAt *time.Time
}
