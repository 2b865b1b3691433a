package call

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// Purpose is why a leg is there.
type Purpose string

// The purposes.
const (
	ForRoute    Purpose = "ROUTE"
	ForTransfer Purpose = "TRANSFER"
	ForConsult  Purpose = "CONSULT"
	ForReturn   Purpose = "RETURN"
	ForAdded    Purpose = "ADDED"
	ForMonitor  Purpose = "MONITOR"
)

// MonitorMode is how a call is monitored.
type MonitorMode string

// The modes.
const (
	Listen  MonitorMode = "LISTEN"
	Whisper MonitorMode = "WHISPER"
	Barge   MonitorMode = "BARGE"
)

// TransferMode is how a call is transferred.
type TransferMode string

// The modes.
const (
	Blind TransferMode = "BLIND"
	Warm  TransferMode = "WARM"
)

// TransferStatus is where a transfer stands.
type TransferStatus string

// The states of a transfer.
const (
	TransferRinging    TransferStatus = "RINGING"
	TransferConsulting TransferStatus = "CONSULTING"
	TransferReturning  TransferStatus = "RETURNING"
	TransferCompleted  TransferStatus = "COMPLETED"
	TransferCanceled   TransferStatus = "CANCELED"
	TransferFailed     TransferStatus = "FAILED"
)

// Transfer is a transfer that is under way, or the last one (R100).
type Transfer struct {
	Mode       TransferMode   `json:"mode"`
	Status     TransferStatus `json:"status"`
	ByID       id.ID          `json:"by,omitzero"`
	ToUserID   id.ID          `json:"toUser,omitzero"`
	ToBranchID id.ID          `json:"toBranch,omitzero"`
	ToNumber   string         `json:"to,omitempty"`
	StartedAt  time.Time      `json:"startedAt"`
	EndedAt    *time.Time     `json:"endedAt,omitempty"`

	// Masked hides the number from whoever reads it.
	Masked bool `json:"-"`
}

// To is the outside number that it goes to; nil for colleagues and branches.
func (t *Transfer) To() *Party {
	if t.ToNumber == "" {
		return nil
	}
	p := PartyOf(t.ToNumber, t.Masked)
	return &p
}

// Answerer is who answered an outbound call (T10).
type Answerer string

// The answerers.
const (
	Human           Answerer = "HUMAN"
	Machine         Answerer = "MACHINE"
	Fax             Answerer = "FAX"
	UnknownAnswerer Answerer = "UNKNOWN"
)

// NoticeCode is something to know about a call or a leg.
type NoticeCode string

// The notices.
const (
	TwoLegsBilled         NoticeCode = "TWO_LEGS_BILLED"
	ForwardingBilled      NoticeCode = "FORWARDING_BILLED"
	ConferenceBilled      NoticeCode = "CONFERENCE_BILLED"
	RecordingStillPaused  NoticeCode = "RECORDING_STILL_PAUSED"
	RecordedBeforeConsent NoticeCode = "RECORDED_BEFORE_CONSENT"
	NumberExposed         NoticeCode = "NUMBER_EXPOSED"
)

var notices = map[NoticeCode]string{
	TwoLegsBilled:         StartNotice,
	ForwardingBilled:      "A forwarded call is billed twice: as a call in and as a call out.",
	ConferenceBilled:      "Every leg of a conference is billed.",
	RecordingStillPaused:  "The recording has been paused for long; resume it if that was forgotten.",
	RecordedBeforeConsent: "Recording began when it rang, before any consent prompt could be heard.",
	NumberExposed:         "The number of the other party is shown; calls past the system are neither recorded nor logged.",
}

// Notice is something to know about a call.
type Notice struct {
	Code NoticeCode
}

// Message says it in words.
func (n Notice) Message() string { return notices[n.Code] }

// Notices are what there is to know about the call.
func (c *Call) Notices() []*Notice {
	out := make([]*Notice, 0, len(c.NoticeCodes))
	for _, n := range c.NoticeCodes {
		out = append(out, &Notice{Code: n})
	}
	return out
}

// QualityWarning is what a device's Voice SDK warned of (R275).
type QualityWarning struct {
	bun.BaseModel `bun:"table:call_quality,alias:quality"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	CallID         id.ID      `bun:"call_id,type:uuid"`
	LegID          id.ID      `bun:"leg_id,type:uuid"`
	Name           string     `bun:"name"`
	Value          *float64   `bun:"value"`
	At             time.Time  `bun:"at"`
	ClearedAt      *time.Time `bun:"cleared_at"`
}

// PresenceState is whether somebody can be reached right now.
type PresenceState string

// The states of presence.
const (
	Free      PresenceState = "FREE"
	BeingRung PresenceState = "RINGING"
	OnCall    PresenceState = "ON_CALL"
	Away      PresenceState = "AWAY"
)

// Presence is whether a user can be reached right now.
type Presence struct {
	UserID       id.ID
	State        PresenceState
	CallID       id.ID // the call they are on; zero for none
	ReadyDevices int
}

// TransferTarget is where a call can go: a colleague or a branch (R100).
type TransferTarget struct {
	Presence  *Presence
	BranchID  id.ID
	FreeUsers int
}

// CallerIDExplanation is the number that a call would show, and why (D17).
type CallerIDExplanation struct {
	CallerID      *ChosenNumber
	PhoneNumberID id.ID
	To            *phone.E164
	Dialled       *string
	Trace         []route.Trace
	Refused       []*errs.Error // why it would be refused; none when it would not
	NoticeCodes   []NoticeCode
}

// TestStep is one thing to look at in a test of a number (R133).
type TestStep struct {
	What     string
	Expected string
	IsReady  bool
}

// MaskedPair is customer and fieldworker of a booking, who reach each other by
// calling one number of ours (R103).
type MaskedPair struct {
	bun.BaseModel `bun:"table:masked_pair,alias:masked_pair"`

	OrganizationID    id.ID      `bun:"organization_id,pk,type:uuid"`
	ID                id.ID      `bun:"id,pk,type:uuid"`
	RecordID          id.ID      `bun:"record_id,type:uuid"`
	ContactID         id.ID      `bun:"contact_id,type:uuid"`
	UserID            id.ID      `bun:"user_id,type:uuid"`
	PhoneNumberID     id.ID      `bun:"phone_number_id,type:uuid"`
	CustomerNumber    string     `bun:"customer_number"`    // never in the contract
	FieldworkerNumber string     `bun:"fieldworker_number"` // never in the contract
	ExpiresAt         time.Time  `bun:"expires_at"`
	EndedAt           *time.Time `bun:"ended_at"`
	CreatedByID       id.ID      `bun:"created_by,type:uuid,nullzero"`
	CreatedAt         time.Time  `bun:"created_at"`
	UpdatedAt         time.Time  `bun:"updated_at"`

	// How the organization stands to masking, where that was read.
	MaskingOff    bool `bun:"masking_off,scanonly"`
	DirectAllowed bool `bun:"direct_allowed,scanonly"`
}

// IsNode marks the type as one with an id.
func (*MaskedPair) IsNode() {}
