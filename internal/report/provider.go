package report

import (
	"time"

	"switchboard/internal/id"
)

// ProviderLogKind is which of Twilio's logs.
type ProviderLogKind string

// The logs.
const (
	ProviderCalls    ProviderLogKind = "CALLS"
	ProviderMessages ProviderLogKind = "MESSAGES"
)

// ProviderLogState is how an entry compares.
type ProviderLogState string

// The states.
const (
	Matched        ProviderLogState = "MATCHED"
	OnlyHere       ProviderLogState = "ONLY_HERE"
	OnlyAtProvider ProviderLogState = "ONLY_AT_PROVIDER"
	Different      ProviderLogState = "DIFFERENT"
)

// ProviderLogField is what can differ.
type ProviderLogField string

// The fields.
const (
	DiffersStatus   ProviderLogField = "STATUS"
	DiffersDuration ProviderLogField = "DURATION"
	DiffersPrice    ProviderLogField = "PRICE"
	DiffersSegments ProviderLogField = "SEGMENTS"
)

// ProviderLog is Twilio's log beside ours (R220).
type ProviderLog struct {
	Rows           []ProviderLogRow
	Matched        int
	OnlyHere       int
	OnlyAtProvider int
	Different      int
	IsComplete     bool
}

// ProviderLogRow is one entry of both logs.
type ProviderLogRow struct {
	State          ProviderLogState
	TwilioSID      string
	CallID         id.ID
	LegID          id.ID
	MessageID      id.ID
	Differences    []ProviderLogDifference
	StartedAt      *time.Time
	From           *string
	To             *string
	ProviderStatus *string
	Price          *CostAmount
}

// ProviderLogDifference is what differs.
type ProviderLogDifference struct {
	Field        ProviderLogField
	Ours, Theirs string
}
