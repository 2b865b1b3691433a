package route

import (
	"time"

	"switchboard/internal/id"
)

// RingStrategy says in what order people ring (D01). The empty one is Simultaneous.
type RingStrategy string

// The strategies.
const (
	Simultaneous RingStrategy = "SIMULTANEOUS"
	Sequential   RingStrategy = "SEQUENTIAL"
	RoundRobin   RingStrategy = "ROUND_ROBIN"
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

	Hours     *Hours          // of the number; nil: always open (D02)
	Menu      *Menu           // of the number, with all its submenus; nil: none (R048)
	Groups    map[id.ID]Group // the teams and branches that a menu may lead to, by id
	IgnoredBy string          // the rule of the ignored list that the caller meets; "" for none (D08)
	Mask      *Mask           // the masked pair that caller and number belong to; nil: none
	Hops      int             // how often our own forwarding has brought this call back to a number of ours
	LastFirst id.ID           // who was rung first by the last call to the number (ROUND_ROBIN)
	Pace      Pace
}

// Group is a ring group that a menu leads to: a team, in its order, or a branch.
type Group struct {
	ID    id.ID
	Name  string
	Users []id.ID // of Snapshot.People
}

// Pace is how fast our own calls may be started (twilio.com/docs/voice/api/call-resource).
type Pace struct {
	PerSecond float64       // 0: one a second
	Backlog   time.Duration // how long calls that were asked for before keep the connection busy
}

// Hours are the opening hours of a number (D02).
type Hours struct {
	ID       id.ID
	Zone     string // IANA; an unknown one counts as UTC and is traced
	Week     []Span
	Holidays []Holiday
	Closed   AfterHours
}

// Span is a stretch of a week during which the business is open. To is after From;
// 24:00 is the end of the day.
type Span struct {
	Day  time.Weekday
	From int // minutes after midnight
	To   int
}

// Holiday is a date on which the week does not count: closed, or open as it says.
type Holiday struct {
	Date string // YYYY-MM-DD in the zone
	Name string
	Open []Span // Day is ignored; none: closed all day
}

// ClosedAction is what happens to a call outside opening hours.
type ClosedAction string

// The actions.
const (
	ClosedVoicemail ClosedAction = "VOICEMAIL"
	ClosedForward   ClosedAction = "FORWARD"
	ClosedHangUp    ClosedAction = "HANG_UP"
)

// AfterHours is the after-hours route: a prompt, then the action.
type AfterHours struct {
	Action    ClosedAction
	Say       string
	Audio     string // public token; wins over Say (R127)
	Numbers   []string
	Voicemail bool // after a forward that nobody answers
}

// Menu asks the caller for a key (R048). Submenus are whole: a menu never holds itself.
type Menu struct {
	ID             id.ID       `json:"id"`
	Name           string      `json:"name"`
	Say            string      `json:"say,omitempty"`
	Audio          string      `json:"audio,omitempty"` // public token; wins over Say
	TimeoutSeconds int         `json:"timeout"`
	Repeats        int         `json:"repeats"` // how often it asks again after a wrong key or none
	InvalidSay     string      `json:"invalid,omitempty"`
	Options        []Option    `json:"options"`
	Otherwise      Destination `json:"otherwise"` // when no key came, or only wrong ones
}

// Option is one key of a menu.
type Option struct {
	Key   string      `json:"key"` // 0-9, * or #
	Label string      `json:"label"`
	To    Destination `json:"to"`
}

// DestinationKind is what a key leads to.
type DestinationKind string

// The kinds of destination.
const (
	ToNumberRoute DestinationKind = "ROUTE"     // what the number's routing mode says
	ToTeam        DestinationKind = "TEAM"      // a team rings
	ToBranch      DestinationKind = "BRANCH"    // a branch rings
	ToUser        DestinationKind = "USER"      // a user rings
	ToForward     DestinationKind = "FORWARD"   // an external number rings
	ToVoicemail   DestinationKind = "VOICEMAIL" // the number's voicemail
	ToMenu        DestinationKind = "MENU"      // a submenu
	ToRepeat      DestinationKind = "REPEAT"    // the same menu again
	ToHangUp      DestinationKind = "HANG_UP"   // the farewell
)

// Destination is where a key leads.
type Destination struct {
	Kind   DestinationKind `json:"kind"`
	ID     id.ID           `json:"id,omitzero"` // of the team, branch or user
	Number string          `json:"number,omitempty"`
	Menu   *Menu           `json:"menu,omitempty"`
}

// Mask is a masked pair as far as routing goes: customer and fieldworker of a booking
// who reach each other through a number of ours (R103, R104).
type Mask struct {
	ID             id.ID
	RecordID       id.ID
	FromCustomer   bool // else the fieldworker calls
	Fieldworker    id.ID
	CustomerNumber string
	Expired        bool
	// BeforeStart: the booking has not begun, and the fieldworker may not be reached before (R242, D14).
	BeforeStart bool
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
	Strategy       RingStrategy
	ReachBy        ReachBy
	TeamID         id.ID // R025
	TeamName       string
	PreferredUser  bool // R054
	Screen         bool // whoever picks up a forwarded call presses 1 (R052)

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
	NoDetails          bool // sees no contact details, and so no caller's number (R241)
	GeneralFieldworker bool
	InBranch           bool // of the number's branch
	InTeam             bool // of the number's team
	Position           int  // in the team, from 0: the order in which they ring (R262)
	LineReceive        bool // their own switch for incoming calls of this number (R026)
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
	// NotReady is why the device cannot ring, such as "no microphone" (R075); "" when it can.
	NotReady string
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
