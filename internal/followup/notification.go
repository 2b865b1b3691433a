package followup

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// NotificationKind is what people are told of.
type NotificationKind string

// The kinds of notification.
const (
	ToldMissedCall          NotificationKind = "MISSED_CALL"
	ToldAnsweredElsewhere   NotificationKind = "ANSWERED_ELSEWHERE"
	ToldVoicemailReceived   NotificationKind = "VOICEMAIL_RECEIVED"
	ToldMessageReceived     NotificationKind = "MESSAGE_RECEIVED"
	ToldCallTransferred     NotificationKind = "CALL_TRANSFERRED"
	ToldFollowUpAssigned    NotificationKind = "FOLLOW_UP_ASSIGNED"
	ToldFollowUpEscalated   NotificationKind = "FOLLOW_UP_ESCALATED"
	ToldTranscriptCompleted NotificationKind = "TRANSCRIPT_COMPLETED"
	ToldExportReady         NotificationKind = "EXPORT_READY"
)

// NotificationKinds are all kinds, in the order of the contract.
var NotificationKinds = []NotificationKind{
	ToldMissedCall, ToldAnsweredElsewhere, ToldVoicemailReceived, ToldMessageReceived, ToldCallTransferred,
	ToldFollowUpAssigned, ToldFollowUpEscalated, ToldTranscriptCompleted, ToldExportReady,
}

// Channel is a way of notifying (R130).
type Channel string

// The channels.
const (
	InApp      Channel = "IN_APP"
	WebPush    Channel = "WEB_PUSH"
	MobilePush Channel = "MOBILE_PUSH"
	Email      Channel = "EMAIL"
)

// Channels are all channels, in the order of the contract.
var Channels = []Channel{InApp, WebPush, MobilePush, Email}

// SendingStatus is where the sending of a notification stands.
type SendingStatus string

// The states of a sending.
const (
	SendingPending SendingStatus = "PENDING"
	SendingSent    SendingStatus = "SENT"
	SendingSkipped SendingStatus = "SKIPPED"
	SendingFailed  SendingStatus = "FAILED"
)

// Notification is something that a person was told of.
type Notification struct {
	bun.BaseModel `bun:"table:notification,alias:n"`

	OrganizationID id.ID            `bun:"organization_id,pk,type:uuid"`
	ID             id.ID            `bun:"id,pk,type:uuid"`
	UserID         id.ID            `bun:"user_id,type:uuid"`
	Kind           NotificationKind `bun:"kind"`
	Key            string           `bun:"key"`
	SubjectID      id.ID            `bun:"subject,type:uuid"`
	CallID         id.ID            `bun:"call_id,type:uuid"`
	VoicemailID    id.ID            `bun:"voicemail_id,type:uuid"`
	MessageID      id.ID            `bun:"message_id,type:uuid"`
	FollowUpID     id.ID            `bun:"follow_up_id,type:uuid"`
	ActorID        id.ID            `bun:"actor_user_id,type:uuid"`
	IsSilent       bool             `bun:"is_silent"`
	ShowPopup      bool             `bun:"show_popup"`
	IsInApp        bool             `bun:"in_app"`
	At             time.Time        `bun:"at"`
	ReadAt         *time.Time       `bun:"read_at"`

	// Title is the words for who reads it, made when it is read.
	Title string `bun:"-"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Notification) IsNode() {}

// Sending is a notification on one way.
type Sending struct {
	NotificationID id.ID         `bun:"notification_id,type:uuid"`
	Channel        Channel       `bun:"channel"`
	Status         SendingStatus `bun:"status"`
	FinishedAt     *time.Time    `bun:"finished_at"`
	Reason         *string       `bun:"reason"`
}

// Preference is what somebody is told of, and how.
type Preference struct {
	Kind      NotificationKind
	Channels  []Channel
	IsDefault bool
}

// ChannelState is a way of notifying and whether it is set up.
type ChannelState struct {
	Channel Channel
	IsOn    bool
	Detail  string
}

// PushSubscription is a browser that notifies a person.
type PushSubscription struct {
	bun.BaseModel `bun:"table:push_subscription,alias:p"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	UserID         id.ID      `bun:"user_id,type:uuid"`
	SessionID      id.ID      `bun:"session_id,type:uuid"`
	Host           string     `bun:"host"`
	Name           string     `bun:"name"`
	EndpointHash   []byte     `bun:"endpoint_hash"`
	Sealed         []byte     `bun:"sealed"`
	LastSentAt     *time.Time `bun:"last_sent_at"`
	CreatedAt      time.Time  `bun:"created_at"`
	UpdatedAt      time.Time  `bun:"updated_at"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*PushSubscription) IsNode() {}

// NotificationChanged is a notification as it is after a change. How many are not
// read is asked for apart.
type NotificationChanged struct {
	Notification *Notification
	Cursor       string
}
