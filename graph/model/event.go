package model

import (
	"time"

	"switchboard/internal/call"
	"switchboard/internal/id"
)

// Node is anything with an id. Which types it may be is the schema's to say.
type Node any

// Event is a fact with its place in the log.
type Event interface{ IsEvent() }

// EventHead is what every event has. The subject is loaded when a client asks
// for it, as it is then.
type EventHead struct {
	ID      id.ID
	Seq     string
	At      time.Time
	ActorID id.ID
}

// IsEvent marks the types that are events.
func (EventHead) IsEvent() {}

// The events, one type for each kind.
type (
	// CallStarted says that a call came in or was started.
	CallStarted struct {
		EventHead
		CallID id.ID
	}
	// CallAnswered says that somebody answered.
	CallAnswered struct {
		EventHead
		CallID id.ID
	}
	// CallEnded says that a call ended.
	CallEnded struct {
		EventHead
		CallID id.ID
	}
	// CallUpdated says that something else about a call changed.
	CallUpdated struct {
		EventHead
		CallID id.ID
	}
	// CallNoticed says that there is something to know about a call.
	CallNoticed struct {
		EventHead
		CallID id.ID
		Notice *call.Notice
	}
	// RingStarted says that a device or phone began to ring.
	RingStarted struct {
		EventHead
		CallID, LegID id.ID
	}
	// RingEnded says that a ring ended.
	RingEnded struct {
		EventHead
		CallID, LegID id.ID
	}
	// VoicemailReceived says that a voicemail was left.
	VoicemailReceived struct {
		EventHead
		VoicemailID id.ID
	}
	// VoicemailUpdated says that a voicemail was heard or assigned.
	VoicemailUpdated struct {
		EventHead
		VoicemailID id.ID
	}
	// SmsThreadUpdated says that a thread was opened, assigned, closed or reopened.
	SmsThreadUpdated struct {
		EventHead
		ThreadID id.ID
	}
	// BulkMessageUpdated says that a bulk message went on.
	BulkMessageUpdated struct {
		EventHead
		BulkMessageID id.ID
	}
	// AutomationRan says that an automation ran.
	AutomationRan struct {
		EventHead
		RunID id.ID
	}
	// ConsentChanged says that somebody's consent changed.
	ConsentChanged struct {
		EventHead
		ConsentID id.ID
	}
	// RecordingUpdated says that a recording began, ended or was stored.
	RecordingUpdated struct {
		EventHead
		RecordingID id.ID
	}
	// MessageReceived says that a message came in.
	MessageReceived struct {
		EventHead
		MessageID id.ID
	}
	// MessageUpdated says that a message changed its delivery state.
	MessageUpdated struct {
		EventHead
		MessageID id.ID
	}
	// PhoneNumberUpdated says that a number changed.
	PhoneNumberUpdated struct {
		EventHead
		PhoneNumberID id.ID
	}
	// TwilioConnectionUpdated says that a connection changed.
	TwilioConnectionUpdated struct {
		EventHead
		ConnectionID id.ID
	}
	// UserUpdated says that a user was created or changed.
	UserUpdated struct {
		EventHead
		UserID id.ID
	}
	// ContactUpdated says that a contact was created or changed.
	ContactUpdated struct {
		EventHead
		ContactID id.ID
	}
	// WebhookEndpointDisabled says that an endpoint is not posted to any more.
	WebhookEndpointDisabled struct {
		EventHead
		EndpointID id.ID
	}
	// RecordUpdated says that a record was created or changed.
	RecordUpdated struct {
		EventHead
		RecordID id.ID
	}
	// CostCapReached says that a cap of costs was reached.
	CostCapReached struct {
		EventHead
		CostCapID id.ID
	}
	// RecordEventAdded says that something happened to a record.
	RecordEventAdded struct {
		EventHead
		RecordID, EventID id.ID
	}
)

// SmsInboxChange is one change of the inbox, loaded when a client asks for it.
type SmsInboxChange struct {
	Seq                 string
	At                  time.Time
	Cause               SmsInboxCause
	ThreadID, MessageID id.ID
}
