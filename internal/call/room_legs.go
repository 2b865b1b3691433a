package call

import (
	"slices"

	"switchboard/internal/route"
)

// is says how a switch of a party stands: what Twilio answered last on this visit,
// else what it told.
func (r *room) is(s *seat, what string, told bool) bool {
	if !s.joined {
		return false
	}
	value, any := "", false
	for n := 1; ; n++ {
		a := r.acts[switchName(what, s, n)]
		if a == nil {
			break
		}
		if a.done() {
			value, any = a.value, true
		} else if a.word == "" {
			any = false // under way: it tells sooner than it answers
			break
		}
	}
	if any {
		return value == switchOn
	}
	return told
}

// show writes the room into the rows.
func (t *tally) show(st *State, r *room) {
	c := &st.Call
	if r.sid != "" {
		c.RoomSID = text(r.sid)
	}
	c.Transfer = r.transfer
	r.showPause(st)
	if x := r.outside(); x != nil {
		c.IsOnHold = r.is(x, switchHold, x.toldHeld) && c.EndedAt == nil
	}
	for _, n := range r.notices {
		if !slices.Contains(c.NoticeCodes, n) {
			c.NoticeCodes = append(c.NoticeCodes, n)
		}
	}
	for i := range st.Legs {
		l := &st.Legs[i]
		s := r.find(l.ID)
		if s == nil {
			continue
		}
		l.IsOnHold = r.is(s, switchHold, s.toldHeld)
		l.IsMuted = r.is(s, switchMute, s.toldMute)
		if c.Direction == Internal && l.IsOnHold {
			c.IsOnHold = true
		}
	}
}

// ownLegs makes the rows of the calls that we started for the room.
func (t *tally) ownLegs(st *State, r *room) {
	for i := range r.seats {
		s := &r.seats[i]
		if !s.own || s.purpose == ForRoute {
			continue
		}
		st.Legs = append(st.Legs, t.ownLeg(st, r, s))
	}
}

// ownStep is the step of legs that no step of the route has.
const ownStep = 100

func (t *tally) ownLeg(st *State, r *room, s *seat) Leg {
	l := Leg{OrganizationID: st.Call.OrganizationID, ID: s.leg, CallID: st.Call.ID, Kind: s.target.Kind, Step: ownStep, UserID: s.target.UserID,
		DeviceID: s.target.DeviceID, ToAddress: s.target.Address, TwilioSID: text(s.sid), StartedAt: notBefore(s.since, t.startedAt), Status: LegQueued, Purpose: s.purpose}
	if s.purpose == ForMonitor {
		l.MonitorMode = &s.mode
	}
	switch s.purpose {
	case ForAdded, ForConsult, ForMonitor:
		l.Notice = ptr(ConferenceBilled)
	}
	v := t.legs[s.leg]
	if v == nil {
		v = &view{}
	}
	if v.ringing != nil {
		l.RingingAt, l.Status = at(notBefore(*v.ringing, l.StartedAt)), LegRinging
	}
	if s.claimed != nil {
		l.AnsweredAt, l.Status, l.Outcome = at(notBefore(*s.claimed, l.StartedAt)), LegInProgress, ptr(Answered)
	}
	ended := s.ended
	if ended == nil && st.Call.EndedAt != nil {
		ended = st.Call.EndedAt
	}
	if ended == nil {
		return l
	}
	l.EndedAt, l.Status = at(notBefore(*ended, l.StartedAt)), LegEnded
	if v.ended != nil {
		l.DurationSeconds = v.ended.Data.Seconds
	}
	if l.Outcome == nil {
		l.Outcome = ptr(t.ownOutcome(r, s, v))
	}
	return l
}

// ownOutcome is how a call of ours ended that had no place in the room.
func (t *tally) ownOutcome(r *room, s *seat, v *view) LegOutcome {
	device := s.target.Kind == route.Device || s.target.Kind == route.SIP
	_, declined := t.declined[s.leg]
	word := ""
	if v.ended != nil {
		word = v.ended.Data.Status
	}
	elsewhere := slices.ContainsFunc(r.seats, func(o seat) bool {
		return o.leg != s.leg && o.since.Equal(s.since) && o.purpose == s.purpose && o.claimed != nil
	})
	switch {
	case declined:
		return Declined
	case word == wordBusy && device:
		return Declined
	case word == wordBusy:
		return LegBusy
	case word == wordFailed:
		return failure(v.ended, device)
	case elsewhere:
		return AnsweredElsewhere
	case word == wordNoAnswer:
		return TimedOut
	case t.acts[startName(s.leg)] != nil && t.acts[startName(s.leg)].word == actRefused && word == "":
		return LegFailed
	case s.out:
		return LegCanceled
	case word == wordCompleted:
		return TimedOut
	}
	return LegCanceled
}
