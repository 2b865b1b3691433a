package call

import (
	"context"
	"slices"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// Most rings are decided by Twilio: the first leg of a <Dial> that answers is
// bridged. Two kinds cannot be: where whoever picks up must press 1 (R052), and
// where some legs are calls of our own, of which the <Dial> knows nothing (T01).
// There a leg that was picked up asks, and under the call's lock one is told yes.

// The words of a claim.
const (
	claimWon      = "won"
	claimLost     = "lost"
	claimDeclined = "declined"
)

// claim lets a leg that was picked up ask for the call, and says whether it has it.
// With accepts false the person does not want it. Asked again it says the same. A
// call of our own that has it meets the caller in the room (State.ringRoom); a leg
// of the <Dial> is bridged by an empty document. Whoever has it not hangs up.
func (s *Service) claim(ctx context.Context, tx *db.Tx, call, leg id.ID, f twilio.CallForm, accepts bool) (_ State, won bool, err error) {
	defer errs.Wrap(&err, "call.claim")
	picked := Fact{Key: "leg/" + leg.String() + "/" + f.CallSID + "/picked", Kind: FactLegStatus, At: tx.Now, Data: FactData{Leg: leg, SID: f.CallSID, Status: wordInProgress}}
	st, found, err := s.takeWith(ctx, tx, call, id.ID{}, []Fact{picked}, func(st State) []Fact {
		word := claimLost
		switch l := st.Find(leg); {
		case l == nil || over(f.Status):
		case !accepts:
			word = claimDeclined
		case st.free(l):
			word = claimWon
		}
		return []Fact{{Key: "claim/" + leg.String(), Kind: FactClaim, At: tx.Now, Data: FactData{Leg: leg, SID: f.CallSID, Status: word}}}
	})
	if err != nil || !found {
		return st, false, err
	}
	return st, st.Call.AnsweredByLegID == leg && st.Call.EndedAt == nil && !st.stepOver, nil
}

// free reports whether a leg may have the call: its step rings still and nobody has it.
func (s *State) free(l *Leg) bool {
	return s.Call.EndedAt == nil && !s.hungUp && !s.stepOver && l.Step == s.Step && (l.Outcome == nil && l.EndedAt == nil) &&
		(s.Call.AnsweredAt == nil || s.winnerGone)
}

// claim takes what a leg was told.
func (t *tally) claim(f *Fact) {
	d := &f.Data
	if v := t.view(d.Leg); v.sid == "" {
		v.sid = d.SID
	}
	switch d.Status {
	case claimWon:
		if t.claims[d.Leg] == nil {
			t.claims[d.Leg] = f
		}
	case claimDeclined:
		if _, ok := t.declined[d.Leg]; !ok {
			t.declined[d.Leg] = f.At
		}
	}
}

// claims reports whether whoever picks up in a step asks us for the call.
func claims(targets []route.Target) bool {
	return slices.ContainsFunc(targets, func(x route.Target) bool { return x.Screen || x.Own })
}

func (t *tally) claimed(step int) bool {
	d := t.decision
	return d != nil && step >= 1 && step <= len(d.Steps) && claims(d.Steps[step-1].Targets)
}

// connects reports whether the result of a <Dial> says that somebody was connected.
// Where legs claim, one that was picked up and not connected ends as completed too.
func connects(f *Fact, claimed bool) bool {
	return bridged(f) && (!claimed || f.Data.Bridged != nil)
}

// apart reports whether the result of a <Dial> says that nobody was connected.
func apart(result *Fact) bool {
	return result != nil && result.Data.Bridged != nil && !*result.Data.Bridged
}

// ring notes how the last step stands.
func (t *tally) ring(st *State, w *winner) {
	st.stepOver = t.dialled[st.Step] != nil
	st.servedAt = t.served[st.Step]
	t.stray(st, w)
	if w == nil {
		return
	}
	st.ringRoom = w.target.Own
	v := t.legs[w.leg]
	st.winnerGone = t.claimed(w.step) && !w.target.Own && (w.step < st.Step || !st.stepOver && v != nil && v.ended != nil)
}

// turn is when a call of our own is to be started.
func (t *tally) turn(step int, x route.Target) time.Time {
	first := x.After
	for _, o := range t.decision.Steps[step-1].Targets {
		if o.Own {
			first = min(first, o.After)
		}
	}
	return t.served[step].Add(time.Duration(t.delays[step]+x.After-first) * time.Millisecond)
}

// route puts what keys added behind the decision that the call began with.
func (t *tally) route() {
	t.decision = t.start.Decision
	if t.decision == nil || len(t.routed) == 0 {
		return
	}
	slices.SortStableFunc(t.routed, func(a, b *Fact) int { return a.Data.Step - b.Data.Step })
	for _, f := range t.routed {
		if f.Data.Step == len(t.decision.Steps)+1 { // what stood there first stands
			t.decision = longer(t.decision, &f.Data)
		}
	}
}

// longer is a decision with what a key added.
func longer(d *route.Decision, by *FactData) *route.Decision {
	out := *d
	out.Steps, out.Trace = slices.Concat(d.Steps, by.Steps), slices.Concat(d.Trace, by.Trace)
	if by.Layer != nil {
		out.Layer = by.Layer
	}
	return &out
}

// speaks reports whether a step only says something and goes on.
func speaks(k route.StepKind) bool { return k == route.Welcome || k == route.ClosedStep }

// closedNow reports whether a call came outside opening hours.
func closedNow(d *route.Decision) bool {
	return d != nil && slices.ContainsFunc(d.Trace, func(x route.Trace) bool { return x.Rule == "OPENING_HOURS" && x.Verdict == route.Chosen })
}
