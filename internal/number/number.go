// Package number is how an organization reaches the telephone network: its
// Twilio accounts, their phone numbers with every setting, the branches they
// belong to, and the audio they play.
//
// It routes nothing: it holds what routing reads. The invariants: no auth token,
// API key secret or access key leaves this package except to Twilio itself or,
// inside a webhook address, to an administrator; nothing is ever released at
// Twilio (R014); no request to Twilio is made inside a database transaction.
package number

import (
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// PhoneNumber is a number and its settings.
type PhoneNumber struct {
	bun.BaseModel `bun:"table:phone_number,alias:phone_number"`

	OrganizationID      id.ID      `bun:"organization_id,pk,type:uuid"`
	ID                  id.ID      `bun:"id,pk,type:uuid"`
	ConnectionID        id.ID      `bun:"connection_id,type:uuid"`
	E164                phone.E164 `bun:"e164"`
	TwilioSid           string     `bun:"twilio_sid"`
	Name                string     `bun:"name"`
	Country             string     `bun:"country"`
	CanVoice            bool       `bun:"can_voice"`
	CanSms              bool       `bun:"can_sms"`
	CanMms              bool       `bun:"can_mms"`
	TrunkSid            *string    `bun:"trunk_sid"`
	MessagingServiceSid *string    `bun:"messaging_service_sid"`
	IsEnabled           bool       `bun:"is_enabled"`
	IsDefault           bool       `bun:"is_default"`
	DisconnectedAt      *time.Time `bun:"disconnected_at"`

	BranchID                  id.ID        `bun:"branch_id,type:uuid,nullzero"`
	BusinessUnit              *string      `bun:"business_unit"`
	AssignedUserID            id.ID        `bun:"assigned_user_id,type:uuid,nullzero"`
	RoutingMode               RoutingMode  `bun:"routing_mode"`
	RingStrategy              RingStrategy `bun:"ring_strategy"`
	ReachBy                   ReachBy      `bun:"reach_by"`
	IncludeGeneralFieldworker bool         `bun:"include_general_fieldworker"`
	RingTimeoutSeconds        int          `bun:"ring_timeout_seconds"`
	DialTimeoutSeconds        *int         `bun:"dial_timeout_seconds"`
	AgentTimeoutSeconds       *int         `bun:"agent_timeout_seconds"`
	CallForwardingNumber      *phone.E164  `bun:"call_forwarding_number"`
	ForwardingNumbers         []phone.E164 `bun:"forwarding_numbers,array"`

	TeamID          id.ID              `bun:"team_id,type:uuid,nullzero"` // R025
	PreferredUser   bool               `bun:"preferred_user"`             // R054
	Screening       bool               `bun:"screening"`                  // R052
	OpeningHoursID  id.ID              `bun:"opening_hours_id,type:uuid,nullzero"`
	ClosedAction    route.ClosedAction `bun:"closed_action"`
	ClosedText      *string            `bun:"closed_text"`
	ClosedAudioID   id.ID              `bun:"closed_audio_id,type:uuid,nullzero"`
	ClosedNumbers   []phone.E164       `bun:"closed_numbers,array"`
	MenuID          id.ID              `bun:"menu_id,type:uuid,nullzero"`
	LastFirstUserID id.ID              `bun:"last_first_user_id,type:uuid,nullzero"`

	UseForInboundCalls bool   `bun:"use_for_inbound_calls"`
	UseForCallerID     bool   `bun:"use_for_caller_id"`
	UseForMessages     bool   `bun:"use_for_messages"`
	AllowTransfer      bool   `bun:"allow_transfer"`
	BridgeKind         Bridge `bun:"bridge"`

	WelcomeText     *string `bun:"welcome_text"`
	WelcomeAudioID  id.ID   `bun:"welcome_audio_id,type:uuid,nullzero"`
	FarewellText    *string `bun:"farewell_text"`
	FarewellAudioID id.ID   `bun:"farewell_audio_id,type:uuid,nullzero"`
	Voice           string  `bun:"voice"`
	Language        string  `bun:"language"`

	VoicemailEnabled         bool    `bun:"voicemail_enabled"`
	VoicemailGreetingText    *string `bun:"voicemail_greeting_text"`
	VoicemailGreetingAudioID id.ID   `bun:"voicemail_greeting_audio_id,type:uuid,nullzero"`
	VoicemailMaxSeconds      int     `bun:"voicemail_max_seconds"`
	VoicemailOwnerID         id.ID   `bun:"voicemail_owner_id,type:uuid,nullzero"`
	// VoicemailUserIDs are the people told of a new voicemail (R128).
	VoicemailUserIDs []id.ID `bun:"voicemail_user_ids,array,scanonly"`

	SmsAssigneeID      id.ID      `bun:"sms_assignee_id,type:uuid,nullzero"` // R145
	MmsAssigneeID      id.ID      `bun:"mms_assignee_id,type:uuid,nullzero"` // R146
	SenderName         *string    `bun:"sender_name"`                        // R151
	MessagesPerSecond  *int       `bun:"messages_per_second"`
	A2pStatus          *string    `bun:"a2p_status"`
	TollFreeStatus     *string    `bun:"toll_free_status"`
	ServiceInboundURL  *string    `bun:"service_inbound_url"`
	ServiceUsesNumber  *bool      `bun:"service_uses_number"`
	MessagingCheckedAt *time.Time `bun:"messaging_checked_at"`

	IncomingRecording *RecordingMode `bun:"incoming_recording"`
	OutgoingRecording *RecordingMode `bun:"outgoing_recording"`
	// What the connection says where the number does not (D23).
	ConnectionIncomingRecording RecordingMode `bun:"connection_incoming,scanonly"`
	ConnectionOutgoingRecording RecordingMode `bun:"connection_outgoing,scanonly"`
	// Whether the connection is in use (R009).
	ConnectionIsEnabled bool `bun:"connection_is_enabled,scanonly"`
	// What the warnings look at: the people of the team, where TEAM mode rings
	// them, and who is alone in a branch's ring group (R028).
	TeamSize        int     `bun:"team_size,scanonly"`
	LoneFieldworker *string `bun:"lone_fieldworker,scanonly"`

	PreviousWebhooks json.RawMessage `bun:"previous_webhooks,type:jsonb,nullzero"`
	WrittenWebhooks  json.RawMessage `bun:"written_webhooks,type:jsonb,nullzero"`
	Drift            json.RawMessage `bun:"drift,type:jsonb,nullzero"`
	DriftCheckedAt   *time.Time      `bun:"drift_checked_at"`

	Version   int       `bun:"version"`
	CreatedAt time.Time `bun:"created_at"`
	UpdatedAt time.Time `bun:"updated_at"`
}

// Capabilities are what a number can do; they differ by country and type (R015, R020).
type Capabilities struct {
	Voice bool
	Sms   bool
	Mms   bool
}

// RoutingSettings are how inbound calls are routed.
type RoutingSettings struct {
	Mode                      RoutingMode
	RingStrategy              RingStrategy
	ReachBy                   ReachBy
	IncludeGeneralFieldworker bool
	RingTimeoutSeconds        int
	DialTimeoutSeconds        *int
	AgentTimeoutSeconds       *int
	CallForwardingNumber      *phone.E164
	ForwardingNumbers         []phone.E164
	AllowTransfer             bool
	Bridge                    Bridge
	NumberID                  id.ID // whose settings these are
	TeamID                    id.ID
	PreferredUser             bool
	Screening                 bool
	OpeningHoursID            id.ID
	AfterHours                *AfterHours
	MenuID                    id.ID
}

// UsageSettings are what a number is used for (R030).
type UsageSettings struct {
	InboundCalls bool
	CallerID     bool
	Messages     bool
}

// PromptSettings are what the caller hears (R044-R051). Audio wins over text.
type PromptSettings struct {
	WelcomeText     *string
	WelcomeAudioID  id.ID
	FarewellText    *string
	FarewellAudioID id.ID
	Voice           string
	Language        string
}

// VoicemailSettings are those of a number's voicemail (R124-R129).
type VoicemailSettings struct {
	IsEnabled       bool
	GreetingText    *string
	GreetingAudioID id.ID // wins over the text (R127)
	MaxSeconds      int
	OwnerID         id.ID   // the one owner of the follow-up (R129, D25)
	NotifiedUserIDs []id.ID // R128
}

// RecordingSettings are those of a number's calls (D23).
type RecordingSettings struct {
	Incoming          *RecordingMode
	Outgoing          *RecordingMode
	EffectiveIncoming RecordingMode
	EffectiveOutgoing RecordingMode
}

// NumberWebhooks are what Twilio is told to call. The addresses hold the access
// key: they are for administrators.
type NumberWebhooks struct {
	VoiceURL           string
	MessageURL         string
	StatusURL          string
	PreviousVoiceURL   *string
	PreviousMessageURL *string
	IsDrifted          bool
	Drift              []string
	CheckedAt          *time.Time
}

// Display is the number as people of its country write it.
func (n *PhoneNumber) Display() string { return phone.Display(n.E164, n.Country) }

// Capabilities are what the number can do.
func (n *PhoneNumber) Capabilities() Capabilities {
	return Capabilities{Voice: n.CanVoice, Sms: n.CanSms, Mms: n.CanMms}
}

// Routing is how its inbound calls are routed.
func (n *PhoneNumber) Routing() RoutingSettings {
	forwarding := n.ForwardingNumbers
	if forwarding == nil {
		forwarding = []phone.E164{}
	}
	closed := n.ClosedNumbers
	if closed == nil {
		closed = []phone.E164{}
	}
	return RoutingSettings{
		Mode: n.RoutingMode, RingStrategy: n.RingStrategy, ReachBy: n.ReachBy,
		IncludeGeneralFieldworker: n.IncludeGeneralFieldworker, RingTimeoutSeconds: n.RingTimeoutSeconds,
		DialTimeoutSeconds: n.DialTimeoutSeconds, AgentTimeoutSeconds: n.AgentTimeoutSeconds,
		CallForwardingNumber: n.CallForwardingNumber, ForwardingNumbers: forwarding,
		AllowTransfer: n.AllowTransfer, Bridge: n.BridgeKind,
		NumberID: n.ID, TeamID: n.TeamID, PreferredUser: n.PreferredUser, Screening: n.Screening, OpeningHoursID: n.OpeningHoursID,
		AfterHours: &AfterHours{Action: n.ClosedAction, Text: n.ClosedText, AudioID: n.ClosedAudioID, Numbers: closed}, MenuID: n.MenuID,
	}
}

// Usage is what it is used for.
func (n *PhoneNumber) Usage() UsageSettings {
	return UsageSettings{InboundCalls: n.UseForInboundCalls, CallerID: n.UseForCallerID, Messages: n.UseForMessages}
}

// Prompts are what its callers hear.
func (n *PhoneNumber) Prompts() PromptSettings {
	return PromptSettings{
		WelcomeText: n.WelcomeText, WelcomeAudioID: n.WelcomeAudioID, FarewellText: n.FarewellText,
		FarewellAudioID: n.FarewellAudioID, Voice: n.Voice, Language: n.Language,
	}
}

// Voicemail is its voicemail.
func (n *PhoneNumber) Voicemail() VoicemailSettings {
	return VoicemailSettings{
		IsEnabled: n.VoicemailEnabled, GreetingText: n.VoicemailGreetingText, GreetingAudioID: n.VoicemailGreetingAudioID,
		MaxSeconds: n.VoicemailMaxSeconds, OwnerID: n.VoicemailOwnerID, NotifiedUserIDs: n.VoicemailUserIDs,
	}
}

// Recording is how its calls are recorded, with what the connection says where the number does not.
func (n *PhoneNumber) Recording() RecordingSettings {
	return RecordingSettings{
		Incoming: n.IncomingRecording, Outgoing: n.OutgoingRecording,
		EffectiveIncoming: effective(n.IncomingRecording, n.ConnectionIncomingRecording),
		EffectiveOutgoing: effective(n.OutgoingRecording, n.ConnectionOutgoingRecording),
	}
}

func effective(own *RecordingMode, connection RecordingMode) RecordingMode {
	switch {
	case own != nil:
		return *own
	case connection == "":
		return RecordingOff
	}
	return connection
}

// Warnings are what an administrator should know about the number.
func (n *PhoneNumber) Warnings() []string {
	out := []string{}
	if n.TrunkSid != nil {
		out = append(out, "the number is on a SIP trunk at Twilio, which takes all its calls: none reach the system until it is taken off the trunk (D22)")
	}
	if w := n.elsewhereByService(); w != "" {
		out = append(out, w)
	}
	if n.UseForInboundCalls && !n.CanVoice {
		out = append(out, "the number cannot take or make calls")
	}
	if n.UseForMessages && !n.CanSms && !n.CanMms {
		out = append(out, "the number cannot send or receive messages")
	}
	if n.Recording().EffectiveIncoming.FromRinging() {
		out = append(out, warnFromRinging)
	}
	return append(out, n.routingWarnings()...)
}

// routingWarnings are what an administrator should know about the way calls go.
func (n *PhoneNumber) routingWarnings() []string {
	var out []string
	switch {
	case n.RoutingMode == RouteTeam && n.TeamID.IsZero():
		out = append(out, "the number routes to a team and has none, so nobody rings: choose its team, or another mode")
	case n.RoutingMode == RouteTeam && n.TeamSize == 0:
		out = append(out, "the number's team has no people, so nobody rings: add some to the team")
	}
	if n.LoneFieldworker != nil {
		out = append(out, "branch routing does not send calls straight to one fieldworker's own phone, and "+*n.LoneFieldworker+
			" is alone in this ring group: "+insteadOfOnePhone)
	}
	if !n.OpeningHoursID.IsZero() && n.ClosedText == nil && n.ClosedAudioID.IsZero() && n.ClosedAction != route.ClosedVoicemail {
		out = append(out, "callers outside opening hours are told nothing: add a text or an audio for them")
	}
	if n.forwardsCalls() {
		out = append(out, warnTwoLegs)
	}
	return out
}

// forwardsCalls reports whether calls leave by a second leg that is paid for.
func (n *PhoneNumber) forwardsCalls() bool {
	return len(n.ForwardingNumbers) > 0 || n.CallForwardingNumber != nil || n.ReachBy == ReachPrimaryPhone || n.RoutingMode == RouteLayered ||
		!n.OpeningHoursID.IsZero() && n.ClosedAction == route.ClosedForward
}

// warnTwoLegs is R261's warning.
const warnTwoLegs = "forwarded calls are charged twice, for the call that comes in and for the one that goes out to the phone"

// insteadOfOnePhone is R029: what there is in place of R028.
const insteadOfOnePhone = "add people to the branch's ring group, forward to an external number, let voicemail answer, or use masked (privacy) routing"

// warnFromRinging is D10's warning.
const warnFromRinging = "recording begins when it rings, before any consent prompt is heard; where the law asks for consent first, choose recording from the answer"

// RoutingMode is which rules route a call (D02).
type RoutingMode string

// The routing modes.
const (
	RouteBranch  RoutingMode = "BRANCH"
	RouteLayered RoutingMode = "LAYERED"
	RouteTeam    RoutingMode = "TEAM"
)

// RingStrategy is in what order people ring (D01).
type RingStrategy string

// The ring strategies.
const (
	RingSimultaneous RingStrategy = "SIMULTANEOUS"
	RingSequential   RingStrategy = "SEQUENTIAL"
	RingRoundRobin   RingStrategy = "ROUND_ROBIN"
)

// ReachBy is how a user is reached (D21).
type ReachBy string

// The ways to reach a user.
const (
	ReachDevices      ReachBy = "DEVICES"
	ReachPrimaryPhone ReachBy = "PRIMARY_PHONE"
	ReachSIPAddress   ReachBy = "SIP_ADDRESS"
)

// Bridge is how two parties are held together.
type Bridge string

// The kinds of bridge.
const (
	BridgePromote    Bridge = "PROMOTE"
	BridgeConference Bridge = "CONFERENCE"
)

// RecordingMode is whether and from when calls are recorded (R111-R114).
type RecordingMode string

// The recording modes.
const (
	RecordingOff             RecordingMode = "OFF"
	RecordingFromRinging     RecordingMode = "FROM_RINGING"
	RecordingFromAnswer      RecordingMode = "FROM_ANSWER"
	RecordingFromRingingDual RecordingMode = "FROM_RINGING_DUAL"
	RecordingFromAnswerDual  RecordingMode = "FROM_ANSWER_DUAL"
)

// FromRinging reports whether it begins before the call is answered, and so before any consent prompt is heard (D10).
func (m RecordingMode) FromRinging() bool {
	return m == RecordingFromRinging || m == RecordingFromRingingDual
}

// Dual reports whether caller and user are kept on separate channels (R114).
func (m RecordingMode) Dual() bool {
	return m == RecordingFromRingingDual || m == RecordingFromAnswerDual
}

// Known reports whether m is one of the modes.
func (m RecordingMode) Known() bool {
	switch m {
	case RecordingOff, RecordingFromRinging, RecordingFromAnswer, RecordingFromRingingDual, RecordingFromAnswerDual:
		return true
	}
	return false
}
