// Package automation sends messages by rule: a trigger, conditions, recipients
// and a template (R164-R175).
//
// The invariants: one cause runs a rule once for each recipient; every run is
// kept, with the part that said no when nothing was sent; what a rule says it
// would do is decided by the same code that does it.
package automation

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/phone"
)

// RanEvent says that an automation ran; its subject is the run.
const RanEvent event.Kind = "AUTOMATION_RAN"

// Trigger is what starts an automation.
type Trigger string

// The triggers: events, and dates of a record.
const (
	ContactAttemptFailed Trigger = "CONTACT_ATTEMPT_FAILED" // R165
	QuoteReminder        Trigger = "QUOTE_REMINDER"         // R166, expires_at
	BookingReminder      Trigger = "BOOKING_REMINDER"       // R167, starts_at
	NextServiceDue       Trigger = "NEXT_SERVICE_DUE"       // R168, next_service_at
	InvoiceOutstanding   Trigger = "INVOICE_OUTSTANDING"    // R169, due_at
	OnTheWay             Trigger = "ON_THE_WAY"             // R170, R198
	RunningLate          Trigger = "RUNNING_LATE"           // R171
	Arrived              Trigger = "ARRIVED"                // R172
	JobAccepted          Trigger = "JOB_ACCEPTED"           // R173
	BookingConfirmed     Trigger = "BOOKING_CONFIRMED"      // R173
)

// RecipientKind is who an automation writes to.
type RecipientKind string

// The recipients.
const (
	ToContact      RecipientKind = "CONTACT"
	ToAssignedUser RecipientKind = "ASSIGNED_USER"
)

// Operator is how a condition compares.
type Operator string

// The operators.
const (
	In      Operator = "IN"
	NotIn   Operator = "NOT_IN"
	Present Operator = "PRESENT"
	Absent  Operator = "ABSENT"
	AtLeast Operator = "AT_LEAST"
	AtMost  Operator = "AT_MOST"
)

// Condition is something that must hold of the record.
type Condition struct {
	Field    string   `json:"field"` // kind, status, service, location, tag, amount or data.<key>
	Operator Operator `json:"operator"`
	Values   []string `json:"values"`
}

// QuietAction is what becomes of a message in the quiet hours.
type QuietAction string

// The actions.
const (
	QuietWait QuietAction = "WAIT"
	QuietSkip QuietAction = "SKIP"
)

// QuietHours are when nobody is written to, in the recipient's time zone.
type QuietHours struct {
	From, Until string // HH:MM
	Action      QuietAction
}

// Automation is a rule.
type Automation struct {
	bun.BaseModel `bun:"table:automation,alias:a"`

	OrganizationID id.ID           `bun:"organization_id,pk,type:uuid"`
	ID             id.ID           `bun:"id,pk,type:uuid"`
	Name           string          `bun:"name"`
	Trigger        Trigger         `bun:"trigger"`
	OffsetMinutes  int             `bun:"offset_minutes"` // after the trigger; negative: before the date
	Conditions     []Condition     `bun:"conditions,type:jsonb"`
	Recipients     []RecipientKind `bun:"recipients,array"`
	ExtraNumbers   []phone.E164    `bun:"extra_numbers,array"`
	TemplateID     id.ID           `bun:"template_id,type:uuid"`
	PhoneNumberID  id.ID           `bun:"phone_number_id,type:uuid"` // zero: chosen by D17
	QuietFrom      *string         `bun:"quiet_from"`
	QuietUntil     *string         `bun:"quiet_until"`
	QuietAction    QuietAction     `bun:"quiet_action"`
	IsEnabled      bool            `bun:"is_enabled"`
	EnabledAt      *time.Time      `bun:"enabled_at"`
	LookedUntil    *time.Time      `bun:"looked_until"`
	IsArchived     bool            `bun:"is_archived"`
	CreatedByID    id.ID           `bun:"created_by,type:uuid"`
	Version        int             `bun:"version"`
	CreatedAt      time.Time       `bun:"created_at"`
	UpdatedAt      time.Time       `bun:"updated_at"`
}

// QuietHours are when nobody is written to; nil when never.
func (a *Automation) QuietHours() *QuietHours {
	if a.QuietFrom == nil || a.QuietUntil == nil {
		return nil
	}
	return &QuietHours{From: *a.QuietFrom, Until: *a.QuietUntil, Action: a.QuietAction}
}

// State is where a run stands.
type State string

// The states of a run.
const (
	Waiting  State = "WAITING"
	Sent     State = "SENT"
	NotSent  State = "NOT_SENT"
	Canceled State = "CANCELED"
)

// Reason is which part of a rule said no (R175).
type Reason string

// The reasons.
const (
	Disabled     Reason = "DISABLED"
	TriggerGone  Reason = "TRIGGER_GONE"
	NoCondition  Reason = "CONDITION"
	NoRecipient  Reason = "NO_RECIPIENT"
	OptedOut     Reason = "OPTED_OUT"
	MissingField Reason = "MISSING_FIELD"
	BadTemplate  Reason = "TEMPLATE"
	BadSender    Reason = "SENDER"
	Quiet        Reason = "QUIET_HOURS"
	TooLate      Reason = "TOO_LATE"
	Refused      Reason = "REFUSED"
)

// Run is one run of an automation for one recipient.
type Run struct {
	bun.BaseModel `bun:"table:automation_run,alias:r"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	AutomationID   id.ID      `bun:"automation_id,type:uuid"`
	Cause          string     `bun:"cause"`
	Recipient      string     `bun:"recipient"`
	RecordID       id.ID      `bun:"record_id,type:uuid"`
	ContactID      id.ID      `bun:"contact_id,type:uuid"`
	EventAt        time.Time  `bun:"event_at"`
	Event          EventData  `bun:"event,type:jsonb"`
	State          State      `bun:"state"`
	ReasonCode     *Reason    `bun:"reason_code"`
	Reason         *string    `bun:"reason"`
	ToNumber       *string    `bun:"to_number"`
	MessageID      id.ID      `bun:"message_id,type:uuid"`
	EstimateMicros *int64     `bun:"estimated_micros"`
	Currency       *string    `bun:"currency"`
	DueAt          *time.Time `bun:"due_at"`
	RanAt          *time.Time `bun:"ran_at"`
	CreatedAt      time.Time  `bun:"created_at"`
	UpdatedAt      time.Time  `bun:"updated_at"`
}

// EventData is what an event brought: merged as event.*.
type EventData struct {
	EtaAt       *time.Time `json:"etaAt,omitempty"`
	TrackingURL string     `json:"trackingUrl,omitempty"`
	Note        string     `json:"note,omitempty"`
}

// EstimatedCost is what its message was expected to cost (R174).
func (r *Run) EstimatedCost() *message.Money {
	if r.EstimateMicros == nil || r.Currency == nil {
		return nil
	}
	return &message.Money{Micros: *r.EstimateMicros, Currency: *r.Currency}
}

// Totals are what an automation did (R174).
type Totals struct {
	Sent, NotSent  int
	EstimatedCosts []message.Money
	Costs          []message.Money
}

// DryRun is what an automation would have done.
type DryRun struct {
	WouldSend, WouldNotSend int
	EstimatedCosts          []message.Money
	Rows                    []*DryRunRow
}

// DryRunRow is one run that would have been.
type DryRunRow struct {
	RecordID, ContactID id.ID
	At                  time.Time
	Body                *string
	ReasonCode          *Reason
	Reason              *string
}

// Explanation is what an automation would do for one record now (R175).
type Explanation struct {
	WouldSend bool
	SendAt    *time.Time
	Steps     []Step
}

// Step is one step of an explanation.
type Step struct {
	Part    string // rule, trigger, condition, recipient, template, sender or quiet hours
	Holds   bool
	Message string
}
