// Package route decides where a call goes and which of our numbers is shown:
// a snapshot in, a decision and its trace out.
//
// It is pure: no I/O, no context, no clock. The invariant: the same snapshot
// gives the same decision, every decision has at least one step, and its trace
// says why for every rule that was looked at (R043).
package route

import (
	"strings"

	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// RoutingMode says which rules decide (D02).
type RoutingMode string

// The routing modes.
const (
	Branch  RoutingMode = "BRANCH"
	Layered RoutingMode = "LAYERED"
	Team    RoutingMode = "TEAM"
)

// StepKind is one kind of thing that happens to a call.
type StepKind string

// The kinds of step, in the order in which they can occur.
const (
	Welcome    StepKind = "WELCOME"
	MenuStep   StepKind = "MENU"   // a key decides what comes next (R048)
	ClosedStep StepKind = "CLOSED" // what callers hear outside opening hours (D02)
	Ring       StepKind = "RING"
	Forward    StepKind = "FORWARD"
	Voicemail  StepKind = "VOICEMAIL"
	Farewell   StepKind = "FAREWELL"
	Reject     StepKind = "REJECT"
)

// LegKind is what a leg of a call is. Package call uses it under its own name.
type LegKind string

// The kinds of leg.
const (
	Caller       LegKind = "CALLER"
	Device       LegKind = "DEVICE"
	UserPhone    LegKind = "USER_PHONE"
	SIP          LegKind = "SIP"
	ForwardPhone LegKind = "FORWARD"
	CompanyPhone LegKind = "COMPANY_PHONE"
	Callee       LegKind = "CALLEE"
	Customer     LegKind = "CUSTOMER" // of a masked call, when the fieldworker calls
	Guest        LegKind = "GUEST"    // an outside party added to a call (R101)
)

// EndReason is why a call ended. Package call uses it under its own name.
type EndReason string

// The reasons.
const (
	HungUp          EndReason = "HUNG_UP"
	CallerHungUp    EndReason = "CALLER_HUNG_UP"
	NoAnswer        EndReason = "NO_ANSWER"
	Declined        EndReason = "DECLINED"
	NobodyToRing    EndReason = "NOBODY_TO_RING"
	LeftVoicemail   EndReason = "LEFT_VOICEMAIL"
	NumberDisabled  EndReason = "NUMBER_DISABLED"
	NumberNotInUse  EndReason = "NUMBER_NOT_IN_USE"
	Busy            EndReason = "BUSY"
	Failed          EndReason = "FAILED"
	Canceled        EndReason = "CANCELED"
	EndedByUser     EndReason = "ENDED_BY_USER"
	EndedReconciled EndReason = "RECONCILED"
	ForwardingLoop  EndReason = "FORWARDING_LOOP" // the call forwards to itself; stopped at the third hop
	DroppedMessage  EndReason = "LEFT_MESSAGE"    // a saved message was left on an answering machine (R108)
	MaskExpired     EndReason = "MASK_EXPIRED"    // the masked number no longer stands for anybody
	Closed          EndReason = "CLOSED"          // outside opening hours (D02)
)

// Party is one end of a call: a number, or the word that stands for one.
type Party struct {
	E164    *phone.E164 `json:"e164,omitempty"`
	Display string      `json:"display"`
}

// PartyOf makes a Party of what a network says: a number, a word such as
// anonymous (D11), or the address of a device or SIP phone.
func PartyOf(text string) Party {
	if e, ok := phone.FromWire(text); ok {
		return Party{E164: &e, Display: string(e)}
	}
	switch {
	case strings.HasPrefix(text, "client:"):
		return Party{Display: "Device"}
	case strings.HasPrefix(text, "sip:"), strings.HasPrefix(text, "sips:"):
		return Party{Display: text}
	case phone.Anonymous(text):
		return Party{Display: "Anonymous"}
	}
	return Party{Display: text}
}

// Verdict is what a rule said.
type Verdict string

// The verdicts.
const (
	Chosen        Verdict = "CHOSEN"
	Included      Verdict = "INCLUDED"
	Skipped       Verdict = "SKIPPED"
	NotApplicable Verdict = "NOT_APPLICABLE"
)

// Trace is one rule of a decision and what it said (R043).
type Trace struct {
	Rule    string  `json:"rule"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	UserID  id.ID   `json:"user,omitzero"`
}

// Target is one thing that rings. LegID is the leg that will ring it: made with
// the decision, so that a callback finds it before anything else is known.
type Target struct {
	LegID    id.ID   `json:"leg,omitzero"`
	Kind     LegKind `json:"kind"`
	UserID   id.ID   `json:"user,omitzero"`
	DeviceID id.ID   `json:"device,omitzero"`
	Address  string  `json:"address"`
	Masked   bool    `json:"-"` // whoever reads it may not see the number

	// Screen asks whoever picks up to press 1, so that a machine never answers (R052).
	Screen bool `json:"screen,omitempty"`
	// Discreet is one whose person sees no caller's number (R241): what rings shows ours.
	Discreet bool `json:"discreet,omitempty"`
	// Own is rung by a call of our own, because the <Dial> has its ten (T01); After
	// is how long after the step began, in milliseconds, by the connection's pace.
	Own   bool `json:"own,omitempty"`
	After int  `json:"after,omitempty"`
}

// To is the other end.
func (t Target) To() Party {
	if t.Kind == Device {
		return Party{Display: "Device"}
	}
	if t.Masked {
		return Party{Display: phone.Mask(phone.E164(t.Address))}
	}
	return PartyOf(t.Address)
}

// Step is one step of a route. TimeoutSeconds is how long it rings.
type Step struct {
	Kind           StepKind `json:"kind"`
	Targets        []Target `json:"targets,omitempty"`
	TimeoutSeconds *int     `json:"timeoutSeconds,omitempty"`
	// Menu is what a MENU step asks, with the visit, from 1: a wrong key is another step.
	Menu  *Menu `json:"menu,omitempty"`
	Visit int   `json:"visit,omitempty"`
	// Tries is how often this menu got a wrong key or none; Visit counts every prompt of the call.
	Tries int `json:"tries,omitempty"`
	// Say and Audio are heard before a CLOSED step goes on; Audio is the file's public token and wins (R127).
	Say   string `json:"say,omitempty"`
	Audio string `json:"audio,omitempty"`
}

// Decision is where a call is sent, and why.
type Decision struct {
	Mode         RoutingMode `json:"mode"`
	Layer        *int        `json:"layer,omitempty"`
	Steps        []Step      `json:"steps"`
	Trace        []Trace     `json:"trace"`
	RejectReason *EndReason  `json:"rejectReason,omitempty"`
	ContactID    id.ID       `json:"contact,omitzero"`
	CampaignID   id.ID       `json:"campaign,omitzero"`
	// Ignored suppresses the popup and its notification; the call is routed and logged (D08).
	Ignored bool `json:"ignored,omitempty"`
	// MaskID is the masked pair that the call belongs to; RecordID its booking (R104).
	MaskID   id.ID `json:"mask,omitzero"`
	RecordID id.ID `json:"record,omitzero"`
	// First is who was rung first, where people take turns (ROUND_ROBIN).
	First id.ID `json:"first,omitzero"`
}

// NumberChoiceReason is why a number of ours was chosen (D17).
type NumberChoiceReason string

// The reasons, in the order of D17; THREAD is for replies in a thread.
const (
	Explicit         NumberChoiceReason = "EXPLICIT"
	BranchAndCountry NumberChoiceReason = "BRANCH_AND_COUNTRY"
	SameCountry      NumberChoiceReason = "COUNTRY"
	OwnBranch        NumberChoiceReason = "BRANCH"
	DefaultNumber    NumberChoiceReason = "DEFAULT"
	OwnThread        NumberChoiceReason = "THREAD"
)
