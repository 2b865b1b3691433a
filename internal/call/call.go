// Package call is calls and their legs: what the network tells about them, what
// people do with them, and how they are read.
//
// It does not decide where a call goes (package route) and does not speak HTTP.
// The invariant: a call is the fold of its facts, each kept once; the same facts
// in any order and number give the same rows.
package call

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// Provider carries calls and messages (R254).
type Provider string

// The providers.
const Twilio Provider = "TWILIO"

// Direction is which way a call goes.
type Direction string

// The directions.
const (
	Inbound  Direction = "INBOUND"
	Outbound Direction = "OUTBOUND"
	Internal Direction = "INTERNAL"
)

// Status is where a call stands, or how it ended.
type Status string

// The states of a call.
const (
	Queued     Status = "QUEUED"
	Ringing    Status = "RINGING"
	InProgress Status = "IN_PROGRESS"
	Completed  Status = "COMPLETED"
	Missed     Status = "MISSED"
	Voicemail  Status = "VOICEMAIL"
	Rejected   Status = "REJECTED"
	Busy       Status = "BUSY"
	Failed     Status = "FAILED"
	Canceled   Status = "CANCELED"
)

// EndReason is why a call ended; the words are package route's.
type EndReason = route.EndReason

// LegKind is what a leg is; the words are package route's.
type LegKind = route.LegKind

// Party is one end of a call.
type Party = route.Party

// LegStatus is where a leg stands.
type LegStatus string

// The states of a leg.
const (
	LegQueued     LegStatus = "QUEUED"
	LegRinging    LegStatus = "RINGING"
	LegInProgress LegStatus = "IN_PROGRESS"
	LegEnded      LegStatus = "ENDED"
)

// LegOutcome is how a leg ended, decided by the server (T02).
type LegOutcome string

// The outcomes.
const (
	Answered          LegOutcome = "ANSWERED"
	AnsweredElsewhere LegOutcome = "ANSWERED_ELSEWHERE"
	Declined          LegOutcome = "DECLINED"
	TimedOut          LegOutcome = "TIMED_OUT"
	CallerHungUp      LegOutcome = "CALLER_HUNG_UP"
	LegCanceled       LegOutcome = "CANCELED"
	LegBusy           LegOutcome = "BUSY"
	Unreachable       LegOutcome = "UNREACHABLE"
	LegFailed         LegOutcome = "FAILED"
)

// ChosenNumber is a number of ours that was chosen, and why (D17).
type ChosenNumber struct {
	E164   phone.E164
	Reason route.NumberChoiceReason
}

// Call is one call: one row, many legs.
type Call struct {
	bun.BaseModel `bun:"table:call,alias:call"`

	OrganizationID     id.ID                     `bun:"organization_id,pk,type:uuid"`
	ID                 id.ID                     `bun:"id,pk,type:uuid"`
	Version            int64                     `bun:"version"`
	Provider           Provider                  `bun:"provider"`
	Direction          Direction                 `bun:"direction"`
	Status             Status                    `bun:"status"`
	EndReason          *EndReason                `bun:"end_reason"`
	ConnectionID       id.ID                     `bun:"connection_id,type:uuid"`
	PhoneNumberID      id.ID                     `bun:"phone_number_id,type:uuid"`
	BranchID           id.ID                     `bun:"branch_id,type:uuid"`
	ContactID          id.ID                     `bun:"contact_id,type:uuid"`
	RecordID           id.ID                     `bun:"record_id,type:uuid"`
	CampaignID         id.ID                     `bun:"campaign_id,type:uuid"`
	UserID             id.ID                     `bun:"user_id,type:uuid"`
	AnsweredByID       id.ID                     `bun:"answered_by_user_id,type:uuid"`
	AnsweredByLegID    id.ID                     `bun:"answered_by_leg_id,type:uuid"`
	FromNumber         string                    `bun:"from_number"`
	ToNumber           string                    `bun:"to_number"`
	TwilioSID          *string                   `bun:"twilio_sid"`
	CallerNumber       *phone.E164               `bun:"caller_id"`
	CallerNumberReason *route.NumberChoiceReason `bun:"caller_id_reason"`
	IsRecorded         bool                      `bun:"is_recorded"`
	StartedAt          time.Time                 `bun:"started_at"`
	AnsweredAt         *time.Time                `bun:"answered_at"`
	EndedAt            *time.Time                `bun:"ended_at"`
	RingSeconds        *int                      `bun:"ring_seconds"`
	TalkSeconds        *int                      `bun:"talk_seconds"`
	DurationSeconds    *int                      `bun:"duration_seconds"`
	Outcome            *string                   `bun:"outcome"`
	Notes              *string                   `bun:"notes"`
	CreatedAt          time.Time                 `bun:"created_at"`
	BusinessUnit       *string                   `bun:"business_unit"`
	IsIgnored          bool                      `bun:"is_ignored"` // D08
	IsOnHold           bool                      `bun:"is_on_hold"`
	IsTest             bool                      `bun:"is_test"`
	IsLogged           bool                      `bun:"is_logged"` // R094
	RoomSID            *string                   `bun:"room_sid"`
	Transfer           *Transfer                 `bun:"transfer,type:jsonb"`
	Answerer           *Answerer                 `bun:"answerer"`
	RecordingPausedAt  *time.Time                `bun:"recording_paused_at"`
	NoticeCodes        []NoticeCode              `bun:"notices,array"`
	MaskedPairID       id.ID                     `bun:"masked_pair_id,type:uuid"`
	Hops               int                       `bun:"hops"`

	// LegsThen are the legs as they were when the call was read; nil where they
	// were not read with it.
	LegsThen []*Leg `bun:"-"`

	// The fieldworker of its masked pair, and what is hidden from whoever reads it.
	MaskUserID     id.ID  `bun:"mask_user_id,scanonly,type:uuid"`
	MaskUserNumber string `bun:"mask_user_number,scanonly"`
	FromMasked     bool   `bun:"-"`
	ToMasked       bool   `bun:"-"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Call) IsNode() {}

// From is who called.
func (c *Call) From() Party { return c.end(c.FromNumber, c.FromMasked) }

// To is who was called.
func (c *Call) To() Party { return c.end(c.ToNumber, c.ToMasked) }

// end is one end of the call; colleagues are called by their names.
func (c *Call) end(address string, hidden bool) Party {
	if c.Direction == Internal {
		return Party{Display: address}
	}
	return PartyOf(address, hidden)
}

// CallerID is the number shown and why; nil where none was chosen.
func (c *Call) CallerID() *ChosenNumber {
	if c.CallerNumber == nil || c.CallerNumberReason == nil {
		return nil
	}
	return &ChosenNumber{E164: *c.CallerNumber, Reason: *c.CallerNumberReason}
}

// Live reports whether the call still goes on.
func (c *Call) Live() bool { return c.EndedAt == nil }

// Leg is one leg of a call.
type Leg struct {
	bun.BaseModel `bun:"table:call_leg,alias:leg"`

	OrganizationID  id.ID        `bun:"organization_id,pk,type:uuid"`
	ID              id.ID        `bun:"id,pk,type:uuid"`
	CallID          id.ID        `bun:"call_id,type:uuid"`
	Kind            LegKind      `bun:"kind"`
	Step            int          `bun:"step"`
	UserID          id.ID        `bun:"user_id,type:uuid"`
	DeviceID        id.ID        `bun:"device_id,type:uuid"`
	ToAddress       string       `bun:"to_address"`
	TwilioSID       *string      `bun:"twilio_sid"`
	Status          LegStatus    `bun:"status"`
	Outcome         *LegOutcome  `bun:"outcome"`
	AnsweredByID    id.ID        `bun:"answered_by_user_id,scanonly,type:uuid"` // who answered instead (R063)
	StartedAt       time.Time    `bun:"started_at"`
	RingingAt       *time.Time   `bun:"ringing_at"`
	AnsweredAt      *time.Time   `bun:"answered_at"`
	EndedAt         *time.Time   `bun:"ended_at"`
	DurationSeconds *int         `bun:"duration_seconds"`
	Purpose         Purpose      `bun:"purpose"`
	IsOnHold        bool         `bun:"is_on_hold"`
	IsMuted         bool         `bun:"is_muted"`
	MonitorMode     *MonitorMode `bun:"monitor_mode"`
	Notice          *NoticeCode  `bun:"notice"`
	StartAt         *time.Time   `bun:"start_at"` // when a leg of our own has its turn

	DeviceName string `bun:"device_name,scanonly"`
	// The call's masked pair, and its fieldworker.
	MaskedPairID   id.ID  `bun:"masked_pair_id,scanonly,type:uuid"`
	MaskUserID     id.ID  `bun:"mask_user_id,scanonly,type:uuid"`
	MaskUserNumber string `bun:"mask_user_number,scanonly"`
	// Masked hides the other end from whoever reads it.
	Masked bool `bun:"-"`
}

// To is the other end of the leg: of a device its name.
func (l *Leg) To() Party {
	if l.Kind == route.Device && l.DeviceName != "" {
		return Party{Display: l.DeviceName}
	}
	return route.Target{Kind: l.Kind, Address: l.ToAddress, Masked: l.Masked}.To()
}
