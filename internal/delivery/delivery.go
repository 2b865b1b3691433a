// Package delivery tells others of events: signed posts to the addresses that an
// organization gives, tried again until they are answered, with every attempt kept.
// It posts outwards; what Twilio posts to us is package webhook's.
//
// Delivery is at least once: a post whose answer was not recorded is sent again,
// with the same delivery and event ids. The invariant: an endpoint is told nothing
// that a person with its role could not read at that moment.
package delivery

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/blob"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/event"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/secret"
	"switchboard/internal/voicemail"
)

// EventEndpointDisabled says that an endpoint is not posted to any more.
const EventEndpointDisabled event.Kind = "WEBHOOK_ENDPOINT_DISABLED"

// Test is the kind of a post that a person asked for. It is in no log.
const Test event.Kind = "WEBHOOK_TEST"

// EndpointStatus is whether an endpoint is posted to.
type EndpointStatus string

// The statuses of an endpoint.
const (
	Enabled  EndpointStatus = "ENABLED"
	Disabled EndpointStatus = "DISABLED"
)

// DisabledReason is why an endpoint is not posted to.
type DisabledReason string

// The reasons.
const (
	ByHand     DisabledReason = "BY_HAND"
	Failing    DisabledReason = "FAILING"
	Gone       DisabledReason = "GONE"
	KeyRevoked DisabledReason = "KEY_REVOKED"
)

// Status is where a delivery stands.
type Status string

// The statuses of a delivery.
const (
	Pending   Status = "PENDING"
	Delivered Status = "DELIVERED"
	Failed    Status = "FAILED"
	Held      Status = "HELD"
	Skipped   Status = "SKIPPED"
)

// Endpoint is an address that is told of events.
type Endpoint struct {
	OrganizationID  id.ID           `bun:"organization_id"`
	ID              id.ID           `bun:"id"`
	URL             string          `bun:"url"`
	Description     string          `bun:"description"`
	Kinds           []event.Kind    `bun:"kinds,array"` // empty: all
	RoleID          id.ID           `bun:"role_id"`
	Status          EndpointStatus  `bun:"status"`
	DisabledReason  *DisabledReason `bun:"disabled_reason"`
	DisabledAt      *time.Time      `bun:"disabled_at"`
	FailingSince    *time.Time      `bun:"failing_since"`
	FailedAttempts  int             `bun:"failed_attempts"`
	LastDeliveredAt *time.Time      `bun:"last_delivered_at"`
	CreatedByID     id.ID           `bun:"created_by"`
	CreatedAt       time.Time       `bun:"created_at"`
	UpdatedAt       time.Time       `bun:"updated_at"`
}

// Delivery is one event for one endpoint.
type Delivery struct {
	bun.BaseModel `bun:"table:webhook_delivery"`

	OrganizationID id.ID           `bun:"organization_id"`
	ID             id.ID           `bun:"id"`
	EndpointID     id.ID           `bun:"endpoint_id"`
	EventID        id.ID           `bun:"event_id"`
	Seq            *int64          `bun:"seq"` // nil for a test
	Kind           event.Kind      `bun:"kind"`
	SubjectID      id.ID           `bun:"subject"`
	ActorID        id.ID           `bun:"actor_id"`
	Data           json.RawMessage `bun:"data,type:jsonb"` // the event's own, not what is posted
	At             time.Time       `bun:"at"`
	Status         Status          `bun:"status"`
	AttemptCount   int             `bun:"attempts"`
	Tries          int             `bun:"tries"` // since it was last asked for
	DueAt          *time.Time      `bun:"due_at"`
	FinishedAt     *time.Time      `bun:"finished_at"`
	CreatedAt      time.Time       `bun:"created_at"`
}

// IsTest reports whether a person asked for it to try the endpoint.
func (d *Delivery) IsTest() bool { return d.Kind == Test }

// NextAttemptAt is when it is tried next; nil when it is not.
func (d *Delivery) NextAttemptAt() *time.Time { return d.DueAt }

// event is the event again, as the log had it.
func (d *Delivery) event() event.Event {
	e := event.Event{ID: d.EventID, OrganizationID: d.OrganizationID, Kind: d.Kind, Subject: d.SubjectID, Data: d.Data, ActorID: d.ActorID, At: d.At.UTC()}
	if d.Seq != nil {
		e.Seq = *d.Seq
	}
	return e
}

// Attempt is one post and what came of it.
type Attempt struct {
	ID         id.ID     `bun:"id"`
	DeliveryID id.ID     `bun:"delivery_id"`
	Number     int       `bun:"number"`
	At         time.Time `bun:"at"`
	DurationMs int       `bun:"duration_ms"`
	StatusCode *int      `bun:"status_code"` // nil: no answer
	Error      *string   `bun:"error"`
	Answer     *string   `bun:"answer"` // its first kilobyte; nil for eyes that could not see what was sent
}

const (
	maxEndpoints    = 20
	maxURL          = 2048
	maxDescription  = 200
	maxTests        = 10 // a minute and endpoint
	maxReplay       = 10_000
	maxGrace        = 168 // hours
	defaultGrace    = 24
	atOnce          = 4 // posts to one endpoint
	postFor         = 10 * time.Second
	maxAnswer       = 64 << 10
	keptAnswer      = 1 << 10
	failingFor      = 24 * time.Hour
	failingAttempts = 20
	keepFor         = 30 * 24 * time.Hour
	holdFor         = 7 * 24 * time.Hour
	maxRetryAfter   = 24 * time.Hour
)

// needs is what a role must have to hear of a kind at all. Kinds that are not here
// need nothing but that their subject is visible. What is meant for one person alone
// does not stand here: an endpoint is no person, so it is not told.
var needs = map[event.Kind]access.Permission{
	call.EventStarted: access.CallView, call.EventAnswered: access.CallView, call.EventEnded: access.CallView, call.EventUpdated: access.CallView,
	call.EventNotice: access.CallView, call.EventRingStarted: access.CallView, call.EventRingEnded: access.CallView,
	voicemail.EventReceived: access.VoicemailListen, voicemail.EventUpdated: access.VoicemailListen,
	recording.EventUpdated: access.RecordingListen,
	message.ReceivedEvent:  access.SMSView, message.UpdatedEvent: access.SMSView, message.ThreadUpdatedEvent: access.SMSView,
	message.BulkUpdatedEvent: access.SMSBulk, message.ConsentEvent: access.SMSView, automation.RanEvent: access.AutomationManage,
	contact.Updated: access.ContactView, contact.RecordUpdated: access.ContactView, contact.RecordEventAdded: access.ContactView,
	number.ConnectionUpdated: access.ConnectionManage, followup.EventUpdated: access.FollowUpView,
	EventEndpointDisabled: access.WebhookManage,
}

// personal are the kinds that are meant for one person alone: an endpoint is none.
var personal = map[event.Kind]bool{followup.EventNotified: true}

// Shown is what an actor may see of an event now.
type Shown struct {
	Visible bool            // the event is one that the actor is told of
	Facts   map[string]any  // what the event itself says beside its subject
	Subject string          // its subject's type in the contract
	Data    json.RawMessage // the subject; nil when it is gone
}

// Deps are what deliveries need.
type Deps struct {
	DB     *db.DB
	Keys   *secret.Keyring
	Events *event.Log
	// Show reads an event and its subject as the actor may see them now.
	Show func(ctx context.Context, who access.Actor, e event.Event) (Shown, error)
	// Loopback lets endpoints be on this machine and without https: development and tests only.
	Loopback bool
	// Logger takes what an operator may care about; slog.Default when nil.
	Logger *slog.Logger
}

// Service is the endpoints and deliveries.
type Service struct {
	d      Deps
	client *http.Client
}

// New makes a Service and registers its part in the log and the jobs.
func New(d Deps, jobs *job.Runner) *Service {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	s := &Service{d: d}
	s.client = &http.Client{Transport: blob.GuardedTransport(d.Loopback), Timeout: postFor,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	d.Events.Register(event.Consumer{Name: "delivery", Handle: s.fanOut, Pick: s.pick})
	job.Handle(jobs, func(ctx context.Context, a sendArgs) error { return s.Send(ctx, a.Endpoint) })
	jobs.Sweep("delivery.due", sweepEvery, s.sweep)
	jobs.Sweep("delivery.trim", time.Hour, s.trim)
	return s
}

// Close closes the idle connections.
func (s *Service) Close() { s.client.CloseIdleConnections() }
