package number

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// Team is the users responsible for a line, in the order in which they ring (R025, R262).
type Team struct {
	bun.BaseModel `bun:"table:team,alias:team"`

	OrganizationID id.ID     `bun:"organization_id,pk,type:uuid"`
	ID             id.ID     `bun:"id,pk,type:uuid"`
	Name           string    `bun:"name"`
	UserIDs        []id.ID   `bun:"user_ids,array,scanonly"` // in ringing order
	Version        int       `bun:"version"`
	CreatedAt      time.Time `bun:"created_at"`
	UpdatedAt      time.Time `bun:"updated_at"`
}

// NumberUser is what a user of a number's team does on that number (R026). Without
// a row everything is on.
type NumberUser struct {
	bun.BaseModel `bun:"table:phone_number_user,alias:number_user"`

	OrganizationID id.ID     `bun:"organization_id,pk,type:uuid"`
	PhoneNumberID  id.ID     `bun:"phone_number_id,pk,type:uuid"`
	UserID         id.ID     `bun:"user_id,pk,type:uuid"`
	IncomingCalls  bool      `bun:"incoming_calls"`
	OutgoingCalls  bool      `bun:"outgoing_calls"`
	Sms            bool      `bun:"sms"`
	Mms            bool      `bun:"mms"`
	UpdatedAt      time.Time `bun:"updated_at"`
}

// OpeningHours is when a business is open (D02).
type OpeningHours struct {
	bun.BaseModel `bun:"table:opening_hours,alias:hours"`

	OrganizationID id.ID         `bun:"organization_id,pk,type:uuid"`
	ID             id.ID         `bun:"id,pk,type:uuid"`
	Name           string        `bun:"name"`
	TimeZone       string        `bun:"time_zone"`
	Week           []OpeningSpan `bun:"week,type:jsonb"`
	Holidays       []Holiday     `bun:"holidays,type:jsonb"`
	Version        int           `bun:"version"`
	CreatedAt      time.Time     `bun:"created_at"`
	UpdatedAt      time.Time     `bun:"updated_at"`
}

// Weekday is a day of the week, as the contract spells it.
type Weekday string

// The days, in the order of time.Weekday.
const (
	Sunday    Weekday = "SUNDAY"
	Monday    Weekday = "MONDAY"
	Tuesday   Weekday = "TUESDAY"
	Wednesday Weekday = "WEDNESDAY"
	Thursday  Weekday = "THURSDAY"
	Friday    Weekday = "FRIDAY"
	Saturday  Weekday = "SATURDAY"
)

// OpeningSpan is a stretch of a day; times are HH:MM, 24:00 being the end of the day.
type OpeningSpan struct {
	Day  Weekday `json:"day"`
	From string  `json:"from"`
	To   string  `json:"to"`
}

// Holiday is a day on which the week does not count.
type Holiday struct {
	Date string        `json:"date"` // YYYY-MM-DD
	Name string        `json:"name"`
	Open []HolidaySpan `json:"open"` // none: closed all day
}

// HolidaySpan is a stretch of a holiday.
type HolidaySpan struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// AfterHours is what happens to a number's calls outside its opening hours.
type AfterHours struct {
	Action  route.ClosedAction
	Text    *string
	AudioID id.ID // wins over the text (R127)
	Numbers []phone.E164
}

// Menu asks callers for a key (R048).
type Menu struct {
	bun.BaseModel `bun:"table:menu,alias:menu"`

	OrganizationID id.ID           `bun:"organization_id,pk,type:uuid"`
	ID             id.ID           `bun:"id,pk,type:uuid"`
	Name           string          `bun:"name"`
	PromptText     *string         `bun:"prompt_text"`
	PromptAudioID  id.ID           `bun:"prompt_audio_id,type:uuid,nullzero"`
	InvalidText    *string         `bun:"invalid_text"`
	TimeoutSeconds int             `bun:"timeout_seconds"`
	Repeats        int             `bun:"repeats"`
	Options        []MenuOption    `bun:"options,type:jsonb"`
	Otherwise      MenuDestination `bun:"otherwise,type:jsonb"`
	Version        int             `bun:"version"`
	CreatedAt      time.Time       `bun:"created_at"`
	UpdatedAt      time.Time       `bun:"updated_at"`
}

// MenuOption is one key of a menu.
type MenuOption struct {
	Key   string          `json:"key"`
	Label string          `json:"label"`
	To    MenuDestination `json:"to"`
}

// MenuDestination is where a key leads.
type MenuDestination struct {
	Kind     route.DestinationKind `json:"kind"`
	TeamID   id.ID                 `json:"team,omitzero"`
	BranchID id.ID                 `json:"branch,omitzero"`
	UserID   id.ID                 `json:"user,omitzero"`
	Number   *phone.E164           `json:"number,omitempty"`
	MenuID   id.ID                 `json:"menu,omitzero"`
}

// IgnoredNumber is a rule of the ignored list (R058, D08, D27).
type IgnoredNumber struct {
	bun.BaseModel `bun:"table:ignored_number,alias:ignored"`

	OrganizationID id.ID     `bun:"organization_id,pk,type:uuid"`
	ID             id.ID     `bun:"id,pk,type:uuid"`
	Rule           string    `bun:"rule"`
	Note           string    `bun:"note"`
	CreatedByID    id.ID     `bun:"created_by,type:uuid,nullzero"`
	CreatedAt      time.Time `bun:"created_at"`
}

// IgnoredTest is whether a caller is ignored, and by which rule.
type IgnoredTest struct {
	IsIgnored bool
	Rule      *string
	Number    *phone.E164
	Problem   *string
}

// IsNode marks the type as one with an id.
func (*Team) IsNode() {}

// IsNode marks the type as one with an id.
func (*OpeningHours) IsNode() {}

// IsNode marks the type as one with an id.
func (*Menu) IsNode() {}

// IsNode marks the type as one with an id.
func (*IgnoredNumber) IsNode() {}
