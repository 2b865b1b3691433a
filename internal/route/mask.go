package route

import "switchboard/internal/id"

// pair routes a call between customer and fieldworker of a booking, who reach
// each other through the number called (R103, R104). It returns false when the
// number's own route is taken. No note of it holds a number of theirs.
func (x *decider) pair() bool {
	m := x.s.Mask
	if m == nil {
		return false
	}
	if m.Expired {
		if x.routes() {
			x.note("MASK", Skipped, m.Fieldworker, "the masked number no longer stands for anybody; the number's own route is taken")
			return false
		}
		x.reject(MaskExpired, "MASK", "the masked number no longer stands for anybody and the number has no route of its own: refused as busy")
		return true
	}
	x.d.MaskID, x.d.RecordID = m.ID, m.RecordID
	if m.FromCustomer {
		x.match()
	}
	if m.BeforeStart {
		x.note("MASK", Skipped, m.Fieldworker, "the booking has not begun: the branch rings instead (R242, D14)")
		if x.closed() {
			return true
		}
		x.welcome()
		x.ring(x.branch(), nil)
		x.fallback()
		return true
	}
	if m.FromCustomer {
		x.toFieldworker(m)
	} else {
		x.toCustomer(m)
	}
	return true
}

func (x *decider) toFieldworker(m *Mask) {
	x.welcome()
	if p := x.person(m.Fieldworker); p == nil {
		x.note("MASK", Skipped, m.Fieldworker, "the fieldworker of the booking does not exist any more")
	} else {
		x.note("MASK", Chosen, m.Fieldworker, "the customer of a booking calls: its fieldworker, ", p.Name, ", rings")
		x.masked = true
		if t := x.turn(p); t != nil {
			seconds := x.least(x.ringSeconds(), x.s.Number.AgentTimeout)
			x.rings(x.targets(t.rings, seconds), seconds)
		}
		x.masked = false
	}
	x.fallback()
}

// toCustomer rings the customer. Nobody else is rung when they do not answer: the
// fieldworker wanted them, not the office.
func (x *decider) toCustomer(m *Mask) {
	if usable(m.CustomerNumber, x.s.Number.E164) {
		x.note("MASK", Chosen, m.Fieldworker, "the fieldworker of a booking calls: its customer rings")
		x.rings([]Target{{Kind: Customer, Address: m.CustomerNumber}}, x.least(x.ringSeconds()))
	} else {
		x.note("MASK", Skipped, m.Fieldworker, "the fieldworker of a booking calls, but its customer has no number that can be rung")
	}
	x.step(Step{Kind: Farewell})
}

// routes reports whether the number leads anywhere without the masked pair.
func (x *decider) routes() bool {
	s, n := x.s, x.s.Number
	if n.Voicemail || len(n.ForwardingNumbers) > 0 || s.Menu != nil || s.Hours != nil {
		return true
	}
	if x.d.Mode == Layered {
		return !n.AssignedUserID.IsZero() || s.CallForwardingNumber != "" || s.CompanyPhone != ""
	}
	return n.BranchID != id.ID{} || x.d.Mode == Team && n.TeamID != id.ID{} || n.IncludeGeneralFieldworker
}
