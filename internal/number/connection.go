package number

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// AccountType is the kind of a Twilio account.
type AccountType string

// The kinds of account.
const (
	AccountTrial AccountType = "TRIAL"
	AccountFull  AccountType = "FULL"
)

// ImportStatus is where an import stands.
type ImportStatus string

// The states of an import.
const (
	ImportNone    ImportStatus = "NONE"
	ImportRunning ImportStatus = "RUNNING"
	ImportDone    ImportStatus = "DONE"
	ImportFailed  ImportStatus = "FAILED"
)

// Connection is a connected Twilio account. Its secrets live in a table of
// their own, which this struct does not know (R005).
type Connection struct {
	bun.BaseModel `bun:"table:twilio_connection,alias:twilio_connection"`

	OrganizationID    id.ID         `bun:"organization_id,pk,type:uuid"`
	ID                id.ID         `bun:"id,pk,type:uuid"`
	Name              string        `bun:"name"`
	IsEnabled         bool          `bun:"is_enabled"`
	AccountSid        string        `bun:"account_sid"`
	AccountType       AccountType   `bun:"account_type"`
	AccountStatus     string        `bun:"account_status"`
	DefaultCountry    *string       `bun:"default_country"`
	IncomingRecording RecordingMode `bun:"incoming_recording"`
	OutgoingRecording RecordingMode `bun:"outgoing_recording"`
	APIKeySid         *string       `bun:"api_key_sid"`
	ApplicationSid    *string       `bun:"application_sid"`
	CallsPerSecond    int           `bun:"calls_per_second"`
	ImportStatus      ImportStatus  `bun:"import_status"`
	ImportTotal       int           `bun:"import_total"`
	ImportDone        int           `bun:"import_done"`
	ImportError       *string       `bun:"import_error"`
	ImportedAt        *time.Time    `bun:"imported_at"`
	CheckedAt         *time.Time    `bun:"checked_at"`
	RotationEndsAt    *time.Time    `bun:"rotation_ends_at"`
	DisconnectedAt    *time.Time    `bun:"disconnected_at"`
	Version           int           `bun:"version"`
	CreatedAt         time.Time     `bun:"created_at"`
	UpdatedAt         time.Time     `bun:"updated_at"`
}

// Import is how the last import of a connection stands (R012).
type Import struct {
	Status     ImportStatus
	Done       int
	Total      int
	Error      *string
	FinishedAt *time.Time
}

// Import is how the last import stands.
func (c *Connection) Import() Import {
	return Import{Status: c.ImportStatus, Done: c.ImportDone, Total: c.ImportTotal, Error: c.ImportError, FinishedAt: c.ImportedAt}
}

// Warnings are what an administrator should know (R019).
func (c *Connection) Warnings() []string {
	out := []string{}
	if c.AccountType == AccountTrial {
		out = append(out, "this is a trial account: calls and messages reach only numbers verified in the Twilio Console and a few destinations; upgrade it at Twilio to lift that")
	}
	switch c.AccountStatus {
	case "", "active":
	case "suspended":
		out = append(out, "Twilio has suspended the account: no calls or messages pass until that is settled in the Twilio Console")
	default:
		out = append(out, "Twilio says that the account is "+c.AccountStatus+": no calls or messages pass")
	}
	if !c.IsEnabled && c.DisconnectedAt == nil {
		out = append(out, "the connection is switched off: its numbers take no calls or messages through the system")
	}
	return out
}
