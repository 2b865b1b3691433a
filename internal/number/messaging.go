package number

import (
	"time"

	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// Messaging is a number as a sender of messages.
type Messaging struct {
	NumberID            id.ID
	ConnectionID        id.ID
	E164                phone.E164
	SmsAssigneeID       id.ID   // R145
	MmsAssigneeID       id.ID   // R146
	SenderName          *string // R151
	Rate                *int    // messages a second; nil: what this kind of sender may
	A2pStatus           *string // R153, in Twilio's word
	TollFreeStatus      *string // R152, in Twilio's word
	MessagingServiceSid *string
	ReceivesHere        *bool // nil when not known
	CheckedAt           *time.Time
}
