// Package export writes lists to files in the background (R216, R217, R283): what
// a person sees in a list, row for row and as they see it, as CSV, as an Excel
// workbook, or the audio of recordings in an archive.
//
// Rows are read page by page with the list's own function, as the person who asked
// and with the role that they have at that moment; the file goes straight into the
// store, encrypted, so that a million rows need no more memory than a page.
//
// The invariants: nothing is in a file that its maker could not have read in the
// list; an export has one file or none; what was not finished leaves no bytes
// behind.
package export

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// Updated is the kind of event that says that an export went on.
const Updated = "EXPORT_UPDATED"

// Kind is what is exported.
type Kind string

// What can be exported.
const (
	Calls          Kind = "CALLS"
	Messages       Kind = "MESSAGES"
	Recordings     Kind = "RECORDINGS"
	RecordingAudio Kind = "RECORDING_AUDIO"
	Voicemails     Kind = "VOICEMAILS"
	Transcripts    Kind = "TRANSCRIPTS"
	FollowUps      Kind = "FOLLOW_UPS"
	Contacts       Kind = "CONTACTS"
	Records        Kind = "RECORDS"
	Audit          Kind = "AUDIT"
)

// Format is the kind of file.
type Format string

// The kinds of file.
const (
	CSV  Format = "CSV"
	XLSX Format = "XLSX"
	ZIP  Format = "ZIP"
)

// Status is where an export stands.
type Status string

// The states of an export.
const (
	Queued   Status = "QUEUED"
	Running  Status = "RUNNING"
	Done     Status = "DONE"
	Failed   Status = "FAILED"
	Canceled Status = "CANCELED"
	Expired  Status = "EXPIRED"
)

// Delimiter separates the fields of a CSV file.
type Delimiter string

// The delimiters.
const (
	Comma     Delimiter = "COMMA"
	Semicolon Delimiter = "SEMICOLON"
	Tab       Delimiter = "TAB"
)

// Export is a list written to a file.
type Export struct {
	bun.BaseModel `bun:"table:export,alias:x"`

	OrganizationID    id.ID           `bun:"organization_id,pk,type:uuid"`
	ID                id.ID           `bun:"id,pk,type:uuid"`
	Kind              Kind            `bun:"kind"`
	Format            Format          `bun:"format"`
	Filter            json.RawMessage `bun:"filter,type:jsonb"` // as the list's domain reads it
	Given             json.RawMessage `bun:"given,type:jsonb"`  // as it was given
	Columns           []string        `bun:"columns,array"`
	TimeZone          string          `bun:"time_zone"`
	Delimiter         Delimiter       `bun:"delimiter"`
	WithByteOrderMark bool            `bun:"byte_order_mark"`
	FileName          string          `bun:"file_name"`
	Status            Status          `bun:"status"`
	RowCount          int             `bun:"row_count"`
	EstimatedRowCount *int            `bun:"estimated_rows"`
	ByteCount         int64           `bun:"byte_count"`
	Problem           *string         `bun:"problem"`
	MediaKey          *string         `bun:"media_key"`
	Sight             *sight          `bun:"sight,type:jsonb"` // of its maker, while it was written
	SHA256            *string         `bun:"sha256"`
	CreatedByID       id.ID           `bun:"created_by,type:uuid"` // a user or an API key
	Attempt           int             `bun:"attempt"`
	LeasedUntil       *time.Time      `bun:"leased_until"`
	AskedUntil        *time.Time      `bun:"asked_until"`
	StartedAt         *time.Time      `bun:"started_at"`
	EndedAt           *time.Time      `bun:"ended_at"`
	ExpiresAt         *time.Time      `bun:"expires_at"`
	Version           int             `bun:"version"`
	CreatedAt         time.Time       `bun:"created_at"`
	UpdatedAt         time.Time       `bun:"updated_at"`
}

// Condition is something that an export was narrowed to.
type Condition struct{ Field, Value string }

// Conditions lists what the export was narrowed to, by the names of the contract.
func (e *Export) Conditions() []Condition {
	var given map[string]json.RawMessage
	if json.Unmarshal(e.Given, &given) != nil {
		return []Condition{}
	}
	out := make([]Condition, 0, len(given))
	for name, raw := range given {
		value := string(raw)
		var text string
		if json.Unmarshal(raw, &text) == nil {
			value = text
		}
		out = append(out, Condition{name, value})
	}
	slices.SortFunc(out, func(a, b Condition) int { return strings.Compare(a.Field, b.Field) })
	return out
}

// Column is one that an export can have.
type Column struct {
	Name        string // in the contract
	Title       string // in the file
	Description string
	IsDefault   bool
}
