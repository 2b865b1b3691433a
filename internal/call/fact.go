package call

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// FactKind is what a fact tells.
type FactKind string

// The kinds of fact.
const (
	FactStarted         FactKind = "STARTED"          // the call came in, or a person started it
	FactStep            FactKind = "STEP"             // a step of the route was served
	FactLegStatus       FactKind = "LEG_STATUS"       // a child leg changed
	FactCallStatus      FactKind = "CALL_STATUS"      // the call at Twilio, its first leg, changed
	FactDialResult      FactKind = "DIAL_RESULT"      // a <Dial> is over
	FactRecordingStatus FactKind = "RECORDING_STATUS" // a recording changed
	FactRecordResult    FactKind = "RECORD_RESULT"    // a <Record> is over
	FactCommand         FactKind = "COMMAND"          // a person declined, hung up or wrote something
	FactRESTRequest     FactKind = "REST_REQUEST"     // we are about to ask Twilio to dial
	FactRESTAnswer      FactKind = "REST_ANSWER"      // what Twilio answered
	FactReconciled      FactKind = "RECONCILED"       // Twilio was asked what became of it
	FactRouted          FactKind = "ROUTED"           // steps that a key or the time added to the route
	FactKeys            FactKind = "KEYS"             // a <Gather> is over: the keys pressed, perhaps none
	FactClaim           FactKind = "CLAIM"            // a leg was picked up and asks to be connected; Status says won or lost
	FactRoom            FactKind = "ROOM"             // news of the call's conference
	FactAction          FactKind = "ACTION"           // we are about to ask Twilio to change something
	FactActionAnswer    FactKind = "ACTION_ANSWER"    // what Twilio answered
	FactNotice          FactKind = "NOTICE"           // people were told of something, once
	FactVerdict         FactKind = "VERDICT"          // who answered, as the network or a person says (T10)
)

// Fact is one thing that is known about a call. At is the time its source gives,
// else when it was first stored. A second fact with the same Key is the same fact.
type Fact struct {
	Key  string
	Kind FactKind
	At   time.Time
	Data FactData
}

// FactData is what facts hold; each kind uses some of the fields.
type FactData struct {
	Start *Start `json:"start,omitempty"`

	Leg      id.ID  `json:"leg,omitzero"`
	Step     int    `json:"step,omitempty"`
	SID      string `json:"sid,omitempty"`
	Status   string `json:"status,omitempty"` // Twilio's word
	Parent   string `json:"parent,omitempty"` // the state of the first leg at that moment, Twilio's word
	Sequence *int   `json:"seq,omitempty"`
	Seconds  *int   `json:"seconds,omitempty"`
	SIPCode  int    `json:"sip,omitempty"`
	Error    int    `json:"error,omitempty"`
	Bridged  *bool  `json:"bridged,omitempty"`

	CallSID string `json:"call,omitempty"`  // of a recording: the leg that it records
	Muted   *bool  `json:"muted,omitempty"` // of news of the room
	Coach   string `json:"coach,omitempty"` // the call that alone hears a party of the room

	Channels  int       `json:"channels,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	Source    string    `json:"source,omitempty"`

	Command Command `json:"command,omitempty"`
	By      id.ID   `json:"by,omitzero"`
	Change  *Change `json:"change,omitempty"`

	Steps  []route.Step  `json:"steps,omitempty"` // ROUTED: they stand from Step on
	Trace  []route.Trace `json:"trace,omitempty"`
	Layer  *int          `json:"layer,omitempty"` // ROUTED: the layer that won
	Delay  int           `json:"delay,omitempty"` // STEP: when the first call of our own has its turn, milliseconds after it
	Keys   string        `json:"keys,omitempty"`
	Action string        `json:"action,omitempty"` // names what is asked of Twilio, the same for each attempt
	Room   string        `json:"room,omitempty"`   // the conference's SID
	Order  *Order        `json:"order,omitempty"`  // what a person asked for in the call
}

// Order is what a person asked for while the call goes on. Each command uses some of the fields.
type Order struct {
	Mode     string         `json:"mode,omitempty"`    // of a transfer or monitor
	Targets  []route.Target `json:"targets,omitempty"` // legs to ring, their ids made
	Return   []route.Target `json:"return,omitempty"`  // legs of who transfers, rung when nobody answers
	Purpose  Purpose        `json:"purpose,omitempty"`
	ToUser   id.ID          `json:"toUser,omitzero"`
	ToBranch id.ID          `json:"toBranch,omitzero"`
	ToNumber string         `json:"to,omitempty"`
	Digits   string         `json:"digits,omitempty"`
	Message  Prompt         `json:"message,omitzero"` // of a voicemail drop
	Voice    string         `json:"voice,omitempty"`
	Language string         `json:"language,omitempty"`
	Now      bool           `json:"now,omitempty"` // a drop that does not wait for the beep
	Coach    id.ID          `json:"coach,omitzero"`
}

// Command is what a person did.
type Command string

// The commands.
const (
	CommandDecline Command = "DECLINE"
	CommandHangUp  Command = "HANG_UP"
	CommandUpdate  Command = "UPDATE"

	CommandHold             Command = "HOLD"
	CommandResume           Command = "RESUME"
	CommandMute             Command = "MUTE"
	CommandUnmute           Command = "UNMUTE"
	CommandTransfer         Command = "TRANSFER"
	CommandTransferComplete Command = "TRANSFER_COMPLETE"
	CommandTransferCancel   Command = "TRANSFER_CANCEL"
	CommandAdd              Command = "ADD"
	CommandRemove           Command = "REMOVE"
	CommandDigits           Command = "DIGITS"
	CommandRecordingPause   Command = "RECORDING_PAUSE"
	CommandRecordingResume  Command = "RECORDING_RESUME"
	CommandMonitor          Command = "MONITOR"
	CommandMonitorStop      Command = "MONITOR_STOP"
	CommandDrop             Command = "DROP"
	CommandAnswerer         Command = "ANSWERER"
)

// Change is what a person wrote about a call. Nil keeps; empty clears.
type Change struct {
	Outcome *string `json:"outcome,omitempty"`
	Notes   *string `json:"notes,omitempty"`
	Contact *id.ID  `json:"contact,omitempty"`
	Record  *id.ID  `json:"record,omitempty"`
}

// Start is how a call began, with every setting that it will need: a rebuild
// reads this and never today's settings.
type Start struct {
	Organization   id.ID                    `json:"org"`
	Call           id.ID                    `json:"call"`
	Connection     id.ID                    `json:"connection"`
	Direction      Direction                `json:"direction"`
	SID            string                   `json:"sid,omitempty"`
	From           string                   `json:"from"`
	To             string                   `json:"to"`
	Number         id.ID                    `json:"number,omitzero"`
	Branch         id.ID                    `json:"branch,omitzero"`
	Contact        id.ID                    `json:"contact,omitzero"`
	Record         id.ID                    `json:"record,omitzero"`
	Campaign       id.ID                    `json:"campaign,omitzero"`
	User           id.ID                    `json:"user,omitzero"`
	CallerID       phone.E164               `json:"callerId,omitempty"`
	CallerIDReason route.NumberChoiceReason `json:"callerIdReason,omitempty"`
	CallerLeg      id.ID                    `json:"callerLeg,omitzero"` // inbound
	Decision       *route.Decision          `json:"decision,omitempty"` // inbound
	Agent          *route.Target            `json:"agent,omitempty"`    // outbound: rung first, or who calls by themselves: then SID is their leg
	First          string                   `json:"first,omitempty"`    // outbound: the number that the agent's leg shows (D15)
	Callee         *route.Target            `json:"callee,omitempty"`   // outbound: rung then
	Callees        []route.Target           `json:"callees,omitempty"`  // internal: a colleague's devices, rung then instead of Callee
	Dialled        string                   `json:"dialled,omitempty"`  // the callee's number in the organization's dial format (R089)
	BusinessUnit   string                   `json:"businessUnit,omitempty"`
	Test           bool                     `json:"test,omitempty"`     // R085
	Unlogged       bool                     `json:"unlogged,omitempty"` // R094
	MaskedPair     id.ID                    `json:"mask,omitzero"`
	Hops           int                      `json:"hops,omitempty"`
	Notices        []NoticeCode             `json:"notices,omitempty"`
	Detect         bool                     `json:"detect,omitempty"` // answering machines (T10)
	Drop           *Order                   `json:"drop,omitempty"`   // the message to leave when a machine answers (R109)
	Plan           Plan                     `json:"plan"`
}

// Plan is the settings of the number that a call goes by.
type Plan struct {
	Record         RecordMode `json:"record,omitempty"`
	Welcome        Prompt     `json:"welcome,omitzero"`
	Farewell       Prompt     `json:"farewell,omitzero"`
	Greeting       Prompt     `json:"greeting,omitzero"`
	Voice          string     `json:"voice,omitempty"`
	Language       string     `json:"language,omitempty"`
	VoicemailMax   int        `json:"voicemailMax,omitempty"`
	VoicemailOwner id.ID      `json:"voicemailOwner,omitzero"`
	ShowOffice     bool       `json:"showOffice,omitempty"` // D15
	RingSeconds    int        `json:"ringSeconds,omitempty"`

	AllowTransfer  bool    `json:"allowTransfer,omitempty"` // R099
	Conference     bool    `json:"conference,omitempty"`    // held in a conference from the first answer (Bridge)
	HoldMusic      string  `json:"holdMusic,omitempty"`     // public token of the organization's audio (R098)
	PauseSilent    bool    `json:"pauseSilent,omitempty"`   // a pause is silence rather than a shorter file (R119)
	MaskNumbers    bool    `json:"mask,omitempty"`          // no personal number in TwiML or callbacks to the other side (R103)
	CallsPerSecond float64 `json:"callsPerSecond,omitempty"`
}

// Prompt is what a caller hears: audio, by its public token, wins over text (R127).
type Prompt struct {
	Text  string `json:"text,omitempty"`
	Audio string `json:"audio,omitempty"`
}

// Given reports whether there is anything to hear.
func (p Prompt) Given() bool { return p != Prompt{} }

// RecordMode is when a call is recorded (R111-R114); empty is off.
type RecordMode string

// The modes.
const (
	RecordOff             RecordMode = "OFF"
	RecordFromRinging     RecordMode = "FROM_RINGING"
	RecordFromAnswer      RecordMode = "FROM_ANSWER"
	RecordFromRingingDual RecordMode = "FROM_RINGING_DUAL"
	RecordFromAnswerDual  RecordMode = "FROM_ANSWER_DUAL"
)

// attribute is the mode in TwiML.
func (m RecordMode) attribute() string {
	switch m {
	case "", RecordOff:
		return ""
	}
	return "record-" + strings.ToLower(strings.ReplaceAll(string(m), "_", "-"))
}

// Twilio's words for the state of a leg, in the order in which they can come.
const (
	wordQueued     = "queued"
	wordInitiated  = "initiated"
	wordRinging    = "ringing"
	wordInProgress = "in-progress"
	wordCompleted  = "completed"
	wordBusy       = "busy"
	wordFailed     = "failed"
	wordNoAnswer   = "no-answer"
	wordCanceled   = "canceled"
	wordAbsent     = "absent"

	wordRetry = "retry" // ours: an attempt that did nothing
)

// rank orders Twilio's words: a lower one never overwrites a higher one.
func rank(word string) int {
	switch word {
	case wordQueued:
		return 0
	case wordInitiated:
		return 1
	case wordRinging:
		return 2
	case wordInProgress:
		return 3
	case wordCompleted, wordBusy, wordFailed, wordNoAnswer, wordCanceled, wordAbsent:
		return 4
	}
	return -1
}

// over reports whether a leg with this word has ended.
func over(word string) bool { return rank(word) == 4 }

var kindRank = map[FactKind]int{
	FactStarted: 0, FactRESTRequest: 1, FactRESTAnswer: 2, FactStep: 3, FactCallStatus: 4, FactLegStatus: 5,
	FactCommand: 6, FactDialResult: 7, FactRecordingStatus: 8, FactRecordResult: 9, FactReconciled: 10,
	FactVerdict: 11, FactKeys: 12, FactRouted: 13, FactClaim: 14, FactAction: 15, FactActionAnswer: 16, FactRoom: 17, FactNotice: 18,
}

// canonical puts the facts into the one order in which they are folded, each once.
func canonical(facts []Fact) []*Fact {
	all := make([]*Fact, len(facts)) // facts are large: places are moved instead
	for i := range facts {
		all[i] = &facts[i]
	}
	slices.SortFunc(all, func(a, b *Fact) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		if c := cmp.Or(cmp.Compare(rank(a.Data.Status), rank(b.Data.Status)), cmp.Compare(kindRank[a.Kind], kindRank[b.Kind]),
			cmp.Compare(value(a.Data.Sequence), value(b.Data.Sequence)), cmp.Compare(a.Key, b.Key)); c != 0 {
			return c
		}
		if a == b || reflect.DeepEqual(a.Data, b.Data) {
			return 0 // the same fact twice
		}
		// Told in two ways: settled by its text.
		x, _ := json.Marshal(a.Data)
		y, _ := json.Marshal(b.Data)
		return cmp.Compare(string(x), string(y))
	})
	seen := make(map[string]bool, len(all))
	return slices.DeleteFunc(all, func(f *Fact) bool {
		if seen[f.Key] {
			return true
		}
		seen[f.Key] = true
		return false
	})
}

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
