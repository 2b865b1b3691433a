package route

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// MaxTargets is how many devices and phones one <Dial> rings: it takes no more (T01).
const MaxTargets = 10

// MaxHops is how often our own forwarding may bring a call back to a number of
// ours. Two numbers that forward to each other would ring for ever.
const MaxHops = 3

// defaultRing is the ring time where a number says nothing useful, in seconds.
const defaultRing = 25

// decider gathers one decision.
type decider struct {
	s Snapshot
	d Decision

	// The details of all notes are one text, cut up at the end: a decision of 200
	// people has as many notes, and a caller waits for it.
	text strings.Builder
	ends []int

	branchPhones bool      // a fieldworker's personal phone is not rung (R028)
	masked       bool      // the parties of a masked call are not asked to press 1
	matched      []Contact // whose call it is, most likely first
}

func newDecider(s Snapshot) *decider {
	x := &decider{s: s}
	x.d.Mode = cmp.Or(s.Number.Mode, Branch)
	notes := 16 + 2*len(s.People)
	x.d.Trace, x.ends = make([]Trace, 0, notes), make([]int, 0, notes)
	x.text.Grow(512 + 64*len(s.People))
	return x
}

// done gives the notes their details.
func (x *decider) done() Decision {
	text, start := x.text.String(), 0
	for i, end := range x.ends {
		x.d.Trace[i].Detail = text[start:end]
		start = end
	}
	return x.d
}

// Decide says where a call goes and why. It never returns a decision without steps.
//
// In this order: numbers that take no calls, forwarding loops, masked pairs,
// opening hours, the menu, and then what the number's mode says.
func Decide(s Snapshot) Decision {
	x := newDecider(s)
	x.decide()
	return x.done()
}

func (x *decider) decide() {
	x.ignored()
	if x.refused() || x.looping() || x.pair() {
		return
	}
	lead := x.match()
	if x.closed() {
		return
	}
	x.welcome()
	if x.s.Menu != nil {
		x.ask(Step{Kind: MenuStep, Menu: x.s.Menu})
		return
	}
	x.route(lead)
}

// route is what the number's mode says, with what follows when nobody answers.
func (x *decider) route(lead *Contact) {
	if x.d.Mode == Layered {
		if to := x.layers(lead); to != nil {
			x.rings([]Target{*to}, x.least(x.ringSeconds(), x.s.Number.AgentTimeout))
		}
	} else {
		people := x.group()
		x.ring(people, x.preferred())
	}
	x.fallback()
}

// note says what a rule came to; the detail is given in pieces.
func (x *decider) note(rule string, v Verdict, user id.ID, detail ...string) {
	for _, piece := range detail {
		x.text.WriteString(piece)
	}
	x.ends = append(x.ends, x.text.Len())
	x.d.Trace = append(x.d.Trace, Trace{Rule: rule, Verdict: v, UserID: user})
}

func (x *decider) step(s Step) { x.d.Steps = append(x.d.Steps, s) }

// rings adds a RING step.
func (x *decider) rings(to []Target, seconds int) {
	if len(to) > 0 {
		x.step(Step{Kind: Ring, Targets: to, TimeoutSeconds: &seconds})
	}
}

// ringSeconds is how long the whole ringing phase lasts (D07).
func (x *decider) ringSeconds() int { return cmp.Or(max(x.s.Number.RingTimeout, 0), defaultRing) }

// least is the smallest of a time, the dial timeout and others that are set (D07).
func (x *decider) least(t int, others ...int) int {
	for _, o := range append(others, x.s.Number.DialTimeout) {
		if o > 0 {
			t = min(t, o)
		}
	}
	return t
}

// ignored suppresses the popup and nothing else (D08).
func (x *decider) ignored() {
	rule := x.s.IgnoredBy
	if rule == "" {
		return
	}
	x.d.Ignored = true
	what := "a number" // not the rule itself, which may show a number that the reader may not see
	if rule[0] == '#' {
		what = "a pattern"
	}
	x.note("IGNORED_NUMBER", Included, id.ID{}, "the caller is on the ignored list, by ", what, ": no popup is shown; the call is routed and logged as any other")
}

// refused handles numbers that take no calls (D26, R030).
func (x *decider) refused() bool {
	n := x.s.Number
	switch {
	case n.ID.IsZero():
		x.reject(NumberNotInUse, "NUMBER_KNOWN", "the number called is not one of ours: refused as busy")
	case !n.Enabled:
		x.reject(NumberDisabled, "NUMBER_ENABLED", "the number is disabled: refused as busy")
	case !n.ForInbound:
		x.reject(NumberNotInUse, "NUMBER_TAKES_CALLS", "the number is not used for inbound calls: refused as busy")
	default:
		return false
	}
	return true
}

// looping stops a call that our own forwarding brings back again and again.
func (x *decider) looping() bool {
	if x.s.Hops < MaxHops {
		return false
	}
	x.reject(ForwardingLoop, "FORWARDING_LOOP", "forwarding has brought this call back "+strconv.Itoa(x.s.Hops)+" times: refused as busy; look for numbers that forward to each other")
	return true
}

func (x *decider) reject(why EndReason, rule, detail string) {
	x.note(rule, Chosen, id.ID{}, detail)
	x.d.RejectReason = &why
	x.step(Step{Kind: Reject})
}

// match settles whose call this is, and which lead layer 3 looks at. A caller
// without a number is nobody (D11). Whoever is more than a lead comes before leads
// (R180), those contacted last first; of several leads it is the one that a
// campaign contacted last, then the newest (D04).
func (x *decider) match() (lead *Contact) {
	if _, ok := phone.FromWire(x.s.From); !ok {
		x.note("CALLER", NotApplicable, id.ID{}, "the caller gave no number and matches no contact")
		return nil
	}
	if len(x.s.Contacts) == 0 {
		x.note("CALLER", NotApplicable, id.ID{}, "no contact has the caller's number")
		return nil
	}
	all := slices.Clone(x.s.Contacts)
	slices.SortFunc(all, func(a, b Contact) int {
		return cmp.Or(later(!a.IsLead, !b.IsLead), b.lastContact().Compare(a.lastContact()), b.CreatedAt.Compare(a.CreatedAt), compareID(b.ID, a.ID))
	})
	x.matched = all
	x.d.ContactID = all[0].ID
	if i := slices.IndexFunc(all, func(c Contact) bool { return c.IsLead }); i >= 0 {
		lead = &all[i]
		if k := lead.lastCampaign(func(k Campaign) bool { return !k.ContactedAt.IsZero() }); k != nil {
			x.d.CampaignID = k.ID
		}
	}
	if len(all) == 1 {
		x.note("CALLER", Chosen, id.ID{}, "one contact has the caller's number")
		return lead
	}
	x.note("CALLER", Chosen, id.ID{}, strconv.Itoa(len(all)), " contacts have the caller's number: leads come last, and of several leads the one that a campaign contacted last, then the newest")
	return lead
}

func (c Contact) lastContact() time.Time {
	var t time.Time
	if !c.IsLead {
		t = c.ContactedAt
	}
	for _, k := range c.Campaigns {
		if k.ContactedAt.After(t) {
			t = k.ContactedAt
		}
	}
	return t
}

// lastCampaign is the campaign that contacted the contact last, of those that fit.
func (c Contact) lastCampaign(fits func(Campaign) bool) *Campaign {
	var best *Campaign
	for i := range c.Campaigns {
		k := &c.Campaigns[i]
		if fits(*k) && (best == nil || cmp.Or(k.ContactedAt.Compare(best.ContactedAt), compareID(k.ID, best.ID)) > 0) {
			best = k
		}
	}
	return best
}

// later sorts true before false.
func later(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func compareID(a, b id.ID) int {
	x, y := a.UUID(), b.UUID()
	return bytes.Compare(x[:], y[:])
}

func (x *decider) person(user id.ID) *Person {
	for i := range x.s.People {
		if x.s.People[i].ID == user {
			return &x.s.People[i]
		}
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// usable reports whether a phone can be rung: it is a number, and not the one
// being called, which would ring for ever.
func usable(number, called string) bool {
	e, ok := phone.FromWire(number)
	return ok && string(e) != called
}

// fallback is what happens when nobody answers: external numbers (R052), then
// voicemail (R124) or the farewell (R051). A call is never dropped silently (D05).
func (x *decider) fallback() {
	x.forward("FORWARDING_NUMBERS", x.s.Number.ForwardingNumbers)
	x.end()
}

// forward adds a step that rings external numbers, where there are any (R052).
// Whoever picks up presses 1 where the number asks for it.
func (x *decider) forward(rule string, numbers []string) {
	n := x.s.Number
	var to []Target
	for _, f := range numbers {
		switch {
		case !usable(f, n.E164):
			x.note(rule, Skipped, id.ID{}, phone.Mask(phone.E164(f)), " cannot be rung")
		case len(to) == MaxTargets:
			x.note(rule, Skipped, id.ID{}, phone.Mask(phone.E164(f)), " does not ring: ", strconv.Itoa(MaxTargets), " ring at once")
		default:
			to = append(to, Target{Kind: ForwardPhone, Address: f, Screen: n.Screen})
		}
	}
	if len(to) > 0 {
		detail := "without an answer the call goes on to " + count(len(to), "forwarding number")
		if rule != "FORWARDING_NUMBERS" {
			detail = "the call goes to " + count(len(to), "external number")
		}
		x.note(rule, Included, id.ID{}, detail)
		t := x.least(x.ringSeconds())
		x.step(Step{Kind: Forward, Targets: to, TimeoutSeconds: &t})
	}
}

func (x *decider) welcome() {
	if x.s.Number.HasWelcome {
		x.step(Step{Kind: Welcome})
	}
}

// end is the number's voicemail, or the farewell where it is off.
func (x *decider) end() {
	if x.s.Number.Voicemail {
		x.note("VOICEMAIL", Included, id.ID{}, "without an answer the caller can leave a voicemail")
		x.step(Step{Kind: Voicemail})
		return
	}
	x.note("VOICEMAIL", NotApplicable, id.ID{}, "voicemail is off; the call ends with the farewell")
	x.step(Step{Kind: Farewell})
}
