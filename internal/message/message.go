// Package message holds the conversations by text: threads, messages, media and
// opt-outs.
//
// The invariants: one thread for each pair of our number and theirs; a message
// is a row before anybody is asked to send it, and it is handed to Twilio at
// most once; whoever asked for no messages gets none (R155).
package message

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// Thread is the conversation between one number of ours and one of theirs.
type Thread struct {
	bun.BaseModel `bun:"table:sms_thread,alias:t"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	PhoneNumberID  id.ID      `bun:"phone_number_id,type:uuid"`
	TheirNumber    string     `bun:"their_number"` // as Twilio said it
	ContactID      id.ID      `bun:"contact_id,type:uuid"`
	BranchID       id.ID      `bun:"branch_id,type:uuid"`
	AssignedUserID id.ID      `bun:"assigned_user_id,type:uuid"`
	IsOpen         bool       `bun:"is_open"`
	LastMessageID  id.ID      `bun:"last_message_id,type:uuid"`
	LastMessageAt  time.Time  `bun:"last_message_at"`
	LastInboundAt  *time.Time `bun:"last_inbound_at"`
	LastOutboundAt *time.Time `bun:"last_outbound_at"`
	ClosedAt       *time.Time `bun:"closed_at"`
	ClosedByID     id.ID      `bun:"closed_by,type:uuid"`
	Version        int        `bun:"version"`
	CreatedAt      time.Time  `bun:"created_at"`
	UpdatedAt      time.Time  `bun:"updated_at"`

	// Fresh says that it was made just now, where that was asked.
	Fresh bool `bun:"is_fresh,scanonly"`
}

// Them is their end.
func (t *Thread) Them() route.Party { return route.PartyOf(t.TheirNumber) }

// Direction is which way a message goes.
type Direction string

// The directions.
const (
	Inbound  Direction = "INBOUND"
	Outbound Direction = "OUTBOUND"
)

// Status is where a message stands.
type Status string

// The states of a message (twilio: messaging/guides/outbound-message-status-in-status-callbacks).
const (
	Scheduled   Status = "SCHEDULED"   // to be sent later
	Pending     Status = "PENDING"     // kept, not handed to Twilio yet
	Queued      Status = "QUEUED"      // handed to Twilio
	Sent        Status = "SENT"        // taken by the carrier; may be the last word
	Delivered   Status = "DELIVERED"   // confirmed by the handset
	Undelivered Status = "UNDELIVERED" // refused by the carrier
	Failed      Status = "FAILED"      // could not be sent
	Unknown     Status = "UNKNOWN"     // Twilio may or may not have it
	Canceled    Status = "CANCELED"    // taken back before it was sent
	Received    Status = "RECEIVED"    // came in
)

// Message is one text message.
type Message struct {
	bun.BaseModel `bun:"table:message,alias:m"`

	OrganizationID id.ID                     `bun:"organization_id,pk,type:uuid"`
	ID             id.ID                     `bun:"id,pk,type:uuid"`
	ThreadID       id.ID                     `bun:"thread_id,type:uuid"`
	Direction      Direction                 `bun:"direction"`
	Status         Status                    `bun:"status"`
	Body           string                    `bun:"body"`
	FromNumber     string                    `bun:"from_number"`
	ToNumber       string                    `bun:"to_number"`
	SenderReason   *route.NumberChoiceReason `bun:"sender_reason"` // D17
	TwilioSID      *string                   `bun:"twilio_sid"`
	ErrorCode      *int                      `bun:"error_code"`
	ErrorReason    *string                   `bun:"error_reason"` // R160
	NumSegments    *int                      `bun:"num_segments"`
	UserID         id.ID                     `bun:"user_id,type:uuid"`
	ContactID      id.ID                     `bun:"contact_id,type:uuid"`
	RecordID       id.ID                     `bun:"record_id,type:uuid"`
	CampaignID     id.ID                     `bun:"campaign_id,type:uuid"`
	BulkID         id.ID                     `bun:"bulk_id,type:uuid"`
	AutomationID   id.ID                     `bun:"automation_id,type:uuid"`
	TemplateID     id.ID                     `bun:"template_id,type:uuid"`
	RetryOfID      id.ID                     `bun:"retry_of,type:uuid"`
	SenderName     *string                   `bun:"sender_name"` // shown instead of the number (R151)
	ScheduledAt    *time.Time                `bun:"send_at"`
	Encoding       *Encoding                 `bun:"encoding"`
	MediaCount     int                       `bun:"media_count"`
	EstimateMicros *int64                    `bun:"estimated_micros"` // R174
	PriceMicros    *int64                    `bun:"price_micros"`
	PriceCurrency  *string                   `bun:"price_currency"` // of both
	SentAt         *time.Time                `bun:"sent_at"`
	DeliveredAt    *time.Time                `bun:"delivered_at"`
	At             time.Time                 `bun:"at"`
	BodyDeletedAt  *time.Time                `bun:"body_deleted_at"` // the text is gone (R225)
	Attempts       int                       `bun:"attempts"`
	TriedAt        *time.Time                `bun:"tried_at"` // claimed: nobody else sends it
	DueAt          *time.Time                `bun:"due_at"`
	Version        int                       `bun:"version"`
	CreatedAt      time.Time                 `bun:"created_at"`
	UpdatedAt      time.Time                 `bun:"updated_at"`

	// Warnings are what to know about it, of a message that was just made.
	Warnings []PreviewProblem `bun:"-"`
}

// Segments is how many parts the message was split into (R156).
func (m *Message) Segments() *int { return m.NumSegments }

// EstimatedCost is what it was expected to cost when it was written (R174).
func (m *Message) EstimatedCost() *Money { return m.money(m.EstimateMicros) }

// Cost is what Twilio charged; nil until known (R174).
func (m *Message) Cost() *Money { return m.money(m.PriceMicros) }

func (m *Message) money(micros *int64) *Money {
	if micros == nil || m.PriceCurrency == nil {
		return nil
	}
	return &Money{Micros: *micros, Currency: *m.PriceCurrency}
}

// From is who sent it.
func (m *Message) From() route.Party { return route.PartyOf(m.FromNumber) }

// To is who receives it.
func (m *Message) To() route.Party { return route.PartyOf(m.ToNumber) }

// Sender is our number and why it was chosen; nil for an inbound message.
func (m *Message) Sender() *call.ChosenNumber {
	if m.Direction != Outbound || m.SenderReason == nil {
		return nil
	}
	return &call.ChosenNumber{E164: phone.E164(m.FromNumber), Reason: *m.SenderReason}
}

// MediaState is whether our copy of a picture is there.
type MediaState string

// The states of media.
const (
	MediaPending MediaState = "PENDING"
	MediaStored  MediaState = "STORED"
	MediaFailed  MediaState = "FAILED"
	MediaRefused MediaState = "REFUSED" // too large, empty, or not what it says it is
	MediaDeleted MediaState = "DELETED" // by a person or a rule (R225)
)

// Media is one picture or file of a message.
type Media struct {
	bun.BaseModel `bun:"table:message_media,alias:mm"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	MessageID      id.ID      `bun:"message_id,type:uuid"` // zero: an upload that waits for its message
	Position       int        `bun:"position"`
	ContentType    string     `bun:"content_type"`
	TwilioURL      *string    `bun:"twilio_url"`
	State          MediaState `bun:"state"`
	BlobKey        *string    `bun:"blob_key"`
	SizeBytes      *int64     `bun:"size_bytes"`
	Name           *string    `bun:"name"`
	UploadedByID   id.ID      `bun:"uploaded_by,type:uuid"`
	UploadKeyID    id.ID      `bun:"uploaded_by_key,type:uuid"` // the API key that uploaded it, where no user did
	Width          *int       `bun:"width"`
	Height         *int       `bun:"height"`
	ThumbnailKey   *string    `bun:"thumbnail_key"`
	ThumbnailBytes *int64     `bun:"thumbnail_bytes"`
	Problem        *string    `bun:"problem"` // why there is no copy
	DeletedAt      *time.Time `bun:"deleted_at"`
	CreatedAt      time.Time  `bun:"created_at"`
}
