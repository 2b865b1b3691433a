package route

import (
	"time"

	"switchboard/internal/id"
)

// ReachBy says how a user is reached (D21).
type ReachBy string

// The ways. The empty ReachBy is ByDevices.
const (
	ByDevices    ReachBy = "DEVICES"
	ByPhone      ReachBy = "PRIMARY_PHONE"
	BySIPAddress ReachBy = "SIP_ADDRESS"
)

// Snapshot is everything a decision looks at, as it stood at one moment.
type Snapshot struct {
	At   time.Time
	From string // the caller as the network gave it

	Number               Number
	People               []Person  // everybody whom a rule may name, in any order
	Contacts             []Contact // whose number the caller's is
	CompanyPhone         string    // R038
	CallForwardingNumber string    // of the organization's default number (D06)
}

// Number is the number called. The zero Number is one that is not ours.
type Number struct {
	ID             id.ID
	E164           string
	BranchID       id.ID
	AssignedUserID id.ID // layer 4
	Enabled        bool
	ForInbound     bool // R030
	Mode           RoutingMode
	ReachBy        ReachBy

	IncludeGeneralFieldworker bool // R024
	RingTimeout               int  // seconds (R069)
	DialTimeout               int  // 0: the ring timeout (R070)
	AgentTimeout              int  // 0: the ring timeout (R071)
	ForwardingNumbers         []string

	HasWelcome  bool
	HasFarewell bool
	Voicemail   bool
}

// Person is a user as far as routing goes.
type Person struct {
	ID                 id.ID
	Name               string
	Active             bool
	Fieldworker        bool
	GeneralFieldworker bool
	InBranch           bool // of the number's branch
	MayReceive         bool // the role permits receiving calls (R073)
	DoNotDisturb       bool
	LineDoNotDisturb   bool // for this number (R072)
	Phone              string
	SIPAddress         string
	Devices            []Handset
}

// Handset is one registered device.
type Handset struct {
	ID       id.ID
	Name     string
	LastSeen time.Time
}

// Contact is one contact that has the caller's number.
type Contact struct {
	ID             id.ID
	IsLead         bool
	AssignedUserID id.ID
	ContactedAt    time.Time // by anybody, last; zero: never
	CreatedAt      time.Time
	Campaigns      []Campaign
}

// Campaign is one campaign that a contact belongs to.
type Campaign struct {
	ID             id.ID
	Name           string
	AssignedUserID id.ID
	ContactedAt    time.Time // it contacted this contact last; zero: never
}
