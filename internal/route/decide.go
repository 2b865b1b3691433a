package route

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// MaxTargets is how many devices and phones ring at once: a <Dial> takes no more (T01).
const MaxTargets = 10

// defaultRing is the ring time where a number says nothing useful, in seconds.
const defaultRing = 25

// decider gathers one decision.
type decider struct {
	s Snapshot
	d Decision
}

// Decide says where a call goes and why. It never returns a decision without steps.
func Decide(s Snapshot) Decision {
	x := &decider{s: s}
	x.d.Mode = cmp.Or(s.Number.Mode, Branch)
	if x.refused() {
		return x.d
	}
	lead := x.match()
	if s.Number.HasWelcome {
		x.step(Step{Kind: Welcome})
	}
	var ring []Target
	if x.d.Mode == Layered {
		ring = x.layers(lead)
	} else {
		ring = x.branch()
	}
	if len(ring) > 0 {
		x.step(Step{Kind: Ring, Targets: ring, TimeoutSeconds: x.timeout(s.Number.AgentTimeout)})
	}
	x.fallback()
	return x.d
}

func (x *decider) note(rule string, v Verdict, user id.ID, format string, args ...any) {
	x.d.Trace = append(x.d.Trace, Trace{Rule: rule, Verdict: v, UserID: user, Detail: fmt.Sprintf(format, args...)})
}

func (x *decider) step(s Step) { x.d.Steps = append(x.d.Steps, s) }

// timeout is the smallest of the number's ring, dial and agent timeouts (D07).
func (x *decider) timeout(agent int) *int {
	n := x.s.Number
	t := cmp.Or(n.RingTimeout, defaultRing)
	for _, o := range []int{n.DialTimeout, agent} {
		if o > 0 {
			t = min(t, o)
		}
	}
	return &t
}

// refused handles numbers that take no calls (D26, R030).
func (x *decider) refused() bool {
	n := x.s.Number
	var why EndReason
	switch {
	case n.ID.IsZero():
		why = NumberNotInUse
		x.note("NUMBER_KNOWN", Chosen, id.ID{}, "the number called is not one of ours: refused as busy")
	case !n.Enabled:
		why = NumberDisabled
		x.note("NUMBER_ENABLED", Chosen, id.ID{}, "the number is disabled: refused as busy")
	case !n.ForInbound:
		why = NumberNotInUse
		x.note("NUMBER_TAKES_CALLS", Chosen, id.ID{}, "the number is not used for inbound calls: refused as busy")
	default:
		return false
	}
	x.d.RejectReason = &why
	x.step(Step{Kind: Reject})
	return true
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
	x.note("CALLER", Chosen, id.ID{}, "%d contacts have the caller's number: leads come last, and of several leads the one that a campaign contacted last, then the newest", len(all))
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

// branch is the ring group of the number's branch (R023) and the General
// Fieldworker where the number asks for it (R024).
func (x *decider) branch() []Target {
	n := x.s.Number
	if x.d.Mode == Team {
		x.note("TEAM", NotApplicable, id.ID{}, "the number has no team; its branch rings")
	}
	if n.BranchID.IsZero() {
		x.note("BRANCH_GROUP", NotApplicable, id.ID{}, "the number belongs to no branch")
	}
	people := slices.Clone(x.s.People)
	slices.SortFunc(people, func(a, b Person) int { return cmp.Or(cmp.Compare(a.Name, b.Name), compareID(a.ID, b.ID)) })
	var all []ringing
	inGroup := 0
	for _, p := range people {
		inBranch := p.InBranch && !n.BranchID.IsZero()
		cover := p.GeneralFieldworker && n.IncludeGeneralFieldworker
		switch {
		case inBranch:
			inGroup++
		case cover:
			x.note("GENERAL_FIELDWORKER", Included, p.ID, "%s is the General Fieldworker, which the number includes", p.Name)
		default:
			continue
		}
		if x.available(p) {
			all = append(all, x.reach(p)...)
		}
	}
	if !n.BranchID.IsZero() && inGroup == 0 {
		x.note("BRANCH_GROUP", Skipped, id.ID{}, "nobody belongs to the number's branch")
	}
	return x.limit(all)
}

// available says whether a person may be rung now, and notes why not.
func (x *decider) available(p Person) bool {
	switch {
	case !p.Active:
		x.note("USER_ACTIVE", Skipped, p.ID, "%s is not an active user", p.Name)
	case !p.MayReceive:
		x.note("USER_ROLE", Skipped, p.ID, "the role of %s does not permit receiving calls", p.Name)
	case p.DoNotDisturb:
		x.note("USER_DO_NOT_DISTURB", Skipped, p.ID, "%s is not to be disturbed", p.Name)
	case p.LineDoNotDisturb:
		x.note("USER_LINE_DO_NOT_DISTURB", Skipped, p.ID, "%s is not to be disturbed by calls to this number", p.Name)
	default:
		return true
	}
	return false
}

// ringing is a target with what the limit of ten needs.
type ringing struct {
	Target
	seen time.Time
	what string
}

// reach is what rings for a person in a ring group (D21).
func (x *decider) reach(p Person) []ringing {
	switch x.s.Number.ReachBy {
	case ByPhone:
		switch {
		case p.Fieldworker && !p.GeneralFieldworker:
			x.note("USER_PHONE", Skipped, p.ID, "a ring group does not ring the personal phone of a fieldworker (R028)")
		case !usable(p.Phone, x.s.Number.E164):
			x.note("USER_PHONE", Skipped, p.ID, "%s has no valid primary phone", p.Name)
		default:
			x.note("USER_PHONE", Included, p.ID, "the primary phone of %s rings", p.Name)
			return []ringing{{Target: Target{Kind: UserPhone, UserID: p.ID, Address: p.Phone}, what: "the phone of " + p.Name}}
		}
		return nil
	case BySIPAddress:
		if p.SIPAddress == "" {
			x.note("USER_SIP_ADDRESS", Skipped, p.ID, "%s has no SIP address", p.Name)
			return nil
		}
		x.note("USER_SIP_ADDRESS", Included, p.ID, "the SIP address of %s rings", p.Name)
		return []ringing{{Target: Target{Kind: SIP, UserID: p.ID, Address: p.SIPAddress}, what: "the SIP address of " + p.Name}}
	}
	if len(p.Devices) == 0 {
		x.note("USER_DEVICE", Skipped, p.ID, "%s has no registered device", p.Name)
		return nil
	}
	x.note("USER_DEVICE", Included, p.ID, "%s has %s", p.Name, count(len(p.Devices), "device"))
	all := make([]ringing, 0, len(p.Devices))
	for _, h := range p.Devices {
		all = append(all, ringing{
			Target: Target{Kind: Device, UserID: p.ID, DeviceID: h.ID, Address: "client:" + h.ID.String()},
			seen:   h.LastSeen, what: h.Name + " of " + p.Name,
		})
	}
	return all
}

func count(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// limit keeps the ten most recently seen (T01) and names the rest.
func (x *decider) limit(all []ringing) []Target {
	slices.SortStableFunc(all, func(a, b ringing) int {
		return cmp.Or(b.seen.Compare(a.seen), compareID(a.DeviceID, b.DeviceID))
	})
	out := make([]Target, 0, min(len(all), MaxTargets))
	for i, r := range all {
		if i >= MaxTargets {
			x.note("DEVICE_LIMIT", Skipped, r.UserID, "%s does not ring: %d ring at once, those seen last", r.what, MaxTargets)
			continue
		}
		out = append(out, r.Target)
	}
	return out
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
	n := x.s.Number
	var to []Target
	for _, f := range n.ForwardingNumbers {
		switch {
		case !usable(f, n.E164):
			x.note("FORWARDING_NUMBERS", Skipped, id.ID{}, "%s cannot be rung", phone.Mask(phone.E164(f)))
		case len(to) == MaxTargets:
			x.note("FORWARDING_NUMBERS", Skipped, id.ID{}, "%s does not ring: %d ring at once", phone.Mask(phone.E164(f)), MaxTargets)
		default:
			to = append(to, Target{Kind: ForwardPhone, Address: f})
		}
	}
	if len(to) > 0 {
		x.note("FORWARDING_NUMBERS", Included, id.ID{}, "without an answer the call goes on to %s", count(len(to), "forwarding number"))
		x.step(Step{Kind: Forward, Targets: to, TimeoutSeconds: x.timeout(0)})
	}
	if n.Voicemail {
		x.note("VOICEMAIL", Included, id.ID{}, "without an answer the caller can leave a voicemail")
		x.step(Step{Kind: Voicemail})
		return
	}
	x.note("VOICEMAIL", NotApplicable, id.ID{}, "voicemail is off; the call ends with the farewell")
	x.step(Step{Kind: Farewell})
}
