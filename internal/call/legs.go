package call

import (
	"slices"
	"time"

	"switchboard/internal/id"
	"switchboard/internal/route"
)

// inbound derives status, reason and legs of a call that came in.
func (t *tally) inbound(st *State, w *winner) {
	c := &st.Call
	endedAt, asked := t.end()
	if d := t.start.Decision; d != nil && d.RejectReason != nil {
		// Refusing ends the call at once; what Twilio says later adds nothing.
		c.Status, c.EndReason, c.EndedAt = Rejected, d.RejectReason, &t.startedAt
		t.legsOf(st, w, nil)
		return
	}
	c.Status = Ringing
	if w != nil {
		c.Status, c.AnsweredByID, c.AnsweredByLegID = InProgress, w.user, w.leg
		c.AnsweredAt = at(notBefore(w.at, t.startedAt))
	}
	leaving := t.kindOf(st.Step) == route.Voicemail
	if leaving {
		c.Status = InProgress
	}
	if endedAt == nil {
		t.legsOf(st, w, nil)
		return
	}
	c.EndedAt = at(notBefore(*endedAt, t.startedAt))
	var reason EndReason
	switch {
	case w != nil:
		c.Status, reason = Completed, route.HungUp
	case t.voicemailExpected(st):
		c.Status, reason = Voicemail, route.LeftVoicemail
	default:
		c.Status = Missed
		if reason = route.NoAnswer; t.callerGone(st) {
			reason = route.CallerHungUp
		}
	}
	gone := reason
	// Whoever talks and ends the call just hangs up.
	if t.endedByUser(*endedAt) && reason != route.LeftVoicemail && (w == nil || w.user != t.hangUp.Data.By) {
		reason, gone = route.EndedByUser, route.EndedByUser
	}
	t.legsOf(st, w, &gone)
	if reason == route.NoAnswer {
		reason = t.whyNobody(st)
	}
	if asked {
		reason = route.EndedReconciled
	}
	c.EndReason = &reason
}

// endedByUser reports that a colleague ended the call before it was over anyway.
func (t *tally) endedByUser(endedAt time.Time) bool {
	return t.hangUp != nil && !t.hangUp.At.Truncate(time.Second).After(endedAt)
}

// voicemailExpected reports that a voicemail was left, or that the <Record> heard
// something and its recording is still to be told.
func (t *tally) voicemailExpected(st *State) bool {
	if st.Voicemail != nil {
		return true
	}
	for _, f := range t.recorded {
		if value(f.Data.Seconds) == 0 {
			continue
		}
		i := slices.IndexFunc(st.Recordings, func(r Recorded) bool { return r.SID == f.Data.SID })
		if i < 0 || st.Recordings[i].Status == wordInProgress {
			return true
		}
	}
	return false
}

// kindOf is the kind of a step that was served.
func (t *tally) kindOf(step int) route.StepKind {
	if d := t.decision; d != nil && step >= 1 && step <= len(d.Steps) {
		return d.Steps[step-1].Kind
	}
	return ""
}

// callerGone reports that the caller gave up while it rang: the last step served
// rings, and its <Dial> was never over but for the caller's going.
func (t *tally) callerGone(st *State) bool {
	switch t.kindOf(st.Step) {
	case route.Ring, route.Forward:
		r := t.dialled[st.Step]
		return r == nil || r.Data.Status == wordCanceled || over(r.Data.Parent)
	case route.Welcome, route.MenuStep, route.ClosedStep, "":
		return true
	}
	return false
}

// whyNobody tells apart the ways in which nobody answers.
func (t *tally) whyNobody(st *State) EndReason {
	rung, declined := 0, 0
	for _, l := range st.Legs {
		if l.Kind == route.Caller {
			continue
		}
		rung++
		if l.Outcome != nil && *l.Outcome == Declined {
			declined++
		}
	}
	switch {
	case rung == 0 && closedNow(st.Decision):
		return route.Closed
	case rung == 0:
		return route.NobodyToRing
	case rung == declined:
		return route.Declined
	}
	return route.NoAnswer
}

// outbound derives status, reason and legs of a call that a person started: their
// own device or phone first, then the callee (R087).
func (t *tally) outbound(st *State, w *winner) {
	c := &st.Call
	agentAnswered := t.agentAnswered()
	if t.start.Test && agentAnswered != nil && t.start.Agent != nil { // the test is all there is to talk to (R085)
		w = &winner{step: 1, leg: t.start.Agent.LegID, at: *agentAnswered}
	}
	switch {
	case w != nil:
		c.Status = InProgress
		c.AnsweredAt = at(notBefore(w.at, t.startedAt))
		c.AnsweredByLegID, c.AnsweredByID = w.leg, w.user
	case t.first.ringing != nil, agentAnswered != nil, st.Step > 1:
		c.Status = Ringing
	default:
		c.Status = Queued
	}
	endedAt, asked := t.end()
	var reason EndReason
	switch {
	case t.answer != nil && t.answer.Data.Status == wordFailed:
		endedAt, asked, c.Status, reason = &t.answer.At, false, Failed, route.Failed
	case t.hangUp != nil && t.request == nil && !t.start.placed():
		endedAt, asked, c.Status, reason = &t.hangUp.At, false, Canceled, route.Canceled
	case endedAt != nil && w != nil && st.dropped:
		c.Status, reason = Completed, route.DroppedMessage
	case endedAt != nil && w != nil:
		c.Status, reason = Completed, route.HungUp
	case endedAt != nil:
		c.Status, reason = t.unanswered(st)
	default:
		t.legsOf(st, w, nil)
		return
	}
	c.EndedAt = at(notBefore(*endedAt, t.startedAt))
	if t.endedByUser(*endedAt) && t.hangUp.Data.By != t.start.User && (w == nil || t.hangUp.Data.By != w.user) {
		reason = route.EndedByUser
	}
	gone := reason
	t.legsOf(st, w, &gone)
	if asked {
		reason = route.EndedReconciled
	}
	c.EndReason = &reason
}

// unanswered is how an outbound call ended to which the callee did not answer.
func (t *tally) unanswered(st *State) (Status, EndReason) {
	word := ""
	if r := t.dialled[2]; r != nil {
		word = r.Data.Status
	}
	if x := t.start.Callee; x != nil && t.legs[x.LegID] != nil && t.legs[x.LegID].ended != nil {
		word = t.legs[x.LegID].ended.Data.Status
	}
	if word == "" && t.agentAnswered() == nil { // the person's own device did not answer
		end := t.asked
		if t.first.ended != nil {
			end = t.first.ended
		}
		switch {
		case t.hangUp != nil:
			return Canceled, route.Canceled
		case end.Data.Status == wordFailed:
			return Failed, route.Failed
		case end.Data.Status == wordBusy:
			return Canceled, route.Declined
		case end.Data.Status == wordNoAnswer, t.start.Agent != nil && t.start.Agent.Screen && end.Data.Status == wordCompleted:
			return Canceled, route.NoAnswer
		}
		return Canceled, route.Canceled
	}
	if t.start.Direction == Internal && word == wordBusy { // devices are not busy: they decline
		return Missed, route.Declined
	}
	switch word {
	case wordBusy:
		return Busy, route.Busy
	case wordFailed:
		return Failed, route.Failed
	case wordNoAnswer:
		return Missed, route.NoAnswer
	}
	return Canceled, route.Canceled
}

// legsOf makes the legs. gone is why the call ended, nil while it lasts.
func (t *tally) legsOf(st *State, w *winner, gone *EndReason) {
	c := &st.Call
	if t.start.Direction == Inbound {
		l := Leg{OrganizationID: c.OrganizationID, ID: t.start.CallerLeg, CallID: c.ID, Kind: route.Caller, ToAddress: c.FromNumber,
			TwilioSID: c.TwilioSID, StartedAt: t.startedAt, RingingAt: &t.startedAt, AnsweredAt: c.AnsweredAt, EndedAt: c.EndedAt, Status: LegRinging, Purpose: ForRoute}
		if c.Status == InProgress {
			l.Status = LegInProgress
		}
		if c.EndedAt != nil {
			l.Status = LegEnded
			l.Outcome = ptr(callerOutcome(c, gone))
			if t.first.ended != nil {
				l.DurationSeconds = t.first.ended.Data.Seconds
			}
		}
		st.Legs = append(st.Legs, l)
	}
	for i, targets := range t.steps() {
		for _, x := range targets {
			if l, ok := t.leg(st, i+1, x, w, gone); ok {
				st.Legs = append(st.Legs, l)
			}
		}
	}
}

func callerOutcome(c *Call, gone *EndReason) LegOutcome {
	switch {
	case c.Status == Rejected:
		return Declined
	case c.AnsweredAt != nil, c.Status == Voicemail: // a machine of ours is an answer too
		return Answered
	case gone != nil && *gone == route.CallerHungUp:
		return CallerHungUp
	case gone != nil && *gone == route.EndedByUser:
		return LegCanceled
	}
	return TimedOut
}

// leg is one leg of a step; ok is false for one that was never tried.
func (t *tally) leg(st *State, step int, x route.Target, w *winner, gone *EndReason) (_ Leg, ok bool) {
	var notice *NoticeCode
	v := t.legs[x.LegID]
	servedAt, served := t.served[step]
	agent := t.start.Direction != Inbound && step == 1
	if agent {
		v, servedAt, served = &t.first, t.startedAt, true
		if x.Kind == route.UserPhone && !t.start.Test { // R102: besides the leg to the callee
			notice = ptr(TwoLegsBilled)
		}
	}
	if t.start.Direction == Inbound && billedTwice(x.Kind) && (served || v != nil) {
		n := ForwardingBilled // R261
		notice = &n
		if !slices.Contains(st.Call.NoticeCodes, n) {
			st.Call.NoticeCodes = append(st.Call.NoticeCodes, n)
		}
	}
	_, declined := t.declined[x.LegID]
	if v == nil && !served && !declined {
		return Leg{}, false
	}
	if v == nil {
		v = &view{}
	}
	if !served {
		servedAt = v.first
	}
	l := Leg{OrganizationID: st.Call.OrganizationID, ID: x.LegID, CallID: st.Call.ID, Kind: x.Kind, Step: step, UserID: x.UserID, DeviceID: x.DeviceID,
		ToAddress: x.Address, StartedAt: notBefore(servedAt, t.startedAt), Status: LegQueued, Purpose: ForRoute, Notice: notice}
	if sid := v.sid; sid != "" {
		l.TwilioSID = &sid
	} else if agent {
		l.TwilioSID = st.Call.TwilioSID
	}
	if x.Own && v.request == nil && served {
		turn := t.turn(step, x)
		l.StartAt = &turn
	}
	if v.ringing != nil {
		l.RingingAt, l.Status = at(notBefore(*v.ringing, l.StartedAt)), LegRinging
	}
	if v.ended != nil {
		l.DurationSeconds = v.ended.Data.Seconds
	}
	e := t.ending(step, x, v, w, gone, st.Call.EndedAt)
	if agent {
		e = t.agentEnding(v, gone, st.Call.EndedAt)
	}
	if e.answered != nil {
		l.AnsweredAt, l.Status = at(notBefore(*e.answered, l.StartedAt)), LegInProgress
	}
	if e.ended != nil {
		l.EndedAt, l.Status = at(notBefore(*e.ended, l.StartedAt)), LegEnded
	}
	l.Outcome = e.outcome
	if l.EndedAt != nil || t.dialled[step] != nil || st.Step > step || w != nil && w.step == step {
		l.StartAt = nil
	}
	if e.outcome != nil && *e.outcome == AnsweredElsewhere && w != nil {
		l.AnsweredByID = w.user
	}
	return l, true
}

// billedTwice reports whether a call that came in goes out again to a telephone.
func billedTwice(k LegKind) bool {
	switch k {
	case route.ForwardPhone, route.UserPhone, route.CompanyPhone, route.Customer:
		return true
	}
	return false
}

// ending is how a leg stands: when it was answered, when and how it ended.
type ending struct {
	answered, ended *time.Time
	outcome         *LegOutcome
}

func closed(when time.Time, how LegOutcome) ending { return ending{ended: &when, outcome: &how} }

// ending settles how a leg ended (R062, R063, T02). What Twilio says of a leg that
// was taken back is the same whether another answered, the caller gave up or its
// time was up, so the other facts decide; while they do not, it has no outcome.
func (t *tally) ending(step int, x route.Target, v *view, w *winner, gone *EndReason, callEnded *time.Time) ending {
	result := t.dialled[step]
	lost := w != nil && w.step == step && w.leg != x.LegID
	declinedAt, declined := t.declined[x.LegID]
	if w != nil && w.leg == x.LegID {
		e := ending{answered: &w.at, outcome: ptr(Answered)}
		switch {
		case v.ended != nil:
			e.ended = &v.ended.At
		case result != nil && !x.Own && !t.room.on: // a call of our own goes on in the room
			e.ended = &result.At
		case callEnded != nil:
			e.ended = callEnded
		}
		return e
	}
	if v.ended == nil {
		switch {
		case declined:
			return closed(declinedAt, Declined)
		case lost:
			return closed(w.at, AnsweredElsewhere)
		case result != nil:
			return closed(result.At, t.unheard(result))
		case gone != nil && callEnded != nil:
			return closed(*callEnded, takenBack(*gone))
		}
		return ending{}
	}
	endedAt, word := v.ended.At, v.ended.Data.Status
	device := x.Kind == route.Device || x.Kind == route.SIP
	switch {
	case declined:
		return closed(endedAt, Declined)
	case word == wordBusy && device:
		return closed(endedAt, Declined)
	case word == wordBusy:
		return closed(endedAt, LegBusy)
	case word == wordFailed:
		return closed(endedAt, failure(v.ended, device))
	case lost && !endedAt.Before(w.at.Truncate(time.Second)):
		return closed(endedAt, AnsweredElsewhere)
	}
	// no-answer, canceled, or completed without an answer, and nobody else was faster.
	if word == wordNoAnswer && t.ranOut(step, v, endedAt) {
		return closed(endedAt, TimedOut)
	}
	switch {
	case result == nil && gone == nil && !lost:
		return ending{ended: &endedAt} // why is not known yet
	case gone != nil && (*gone == route.CallerHungUp || *gone == route.EndedByUser || *gone == route.Canceled) && near(endedAt, *callEnded):
		return closed(endedAt, takenBack(*gone))
	case result != nil && (result.Data.Status == wordCanceled || over(result.Data.Parent)):
		return closed(endedAt, CallerHungUp)
	case word == wordCanceled && lost:
		return closed(endedAt, LegCanceled)
	case word == wordCanceled:
		return closed(endedAt, TimedOut)
	case word == wordCompleted && t.claimed(step): // picked up, and nobody pressed 1
		return closed(endedAt, TimedOut)
	case v.ringing == nil && device:
		return closed(endedAt, Unreachable)
	case device:
		return closed(endedAt, Declined)
	}
	return closed(endedAt, TimedOut)
}

// near allows for the whole seconds in which Twilio tells times.
func near(a, b time.Time) bool { return a.Sub(b).Abs() <= 2*time.Second }

// ranOut reports whether a leg rang for as long as it was meant to.
func (t *tally) ranOut(step int, v *view, endedAt time.Time) bool {
	limit := t.start.Plan.RingSeconds
	if d := t.decision; d != nil && step <= len(d.Steps) {
		limit = value(d.Steps[step-1].TimeoutSeconds)
	}
	from := v.first
	if at, ok := t.served[step]; ok && (from.IsZero() || at.Before(from)) {
		from = at
	}
	return endedAt.Sub(from) >= time.Duration(limit-3)*time.Second
}

// unheard is the outcome of a leg that said nothing before its <Dial> was over.
func (t *tally) unheard(result *Fact) LegOutcome {
	if result.Data.Status == wordCanceled || over(result.Data.Parent) {
		return CallerHungUp
	}
	return TimedOut
}

// takenBack is the outcome of a leg that rang when the call ended.
func takenBack(why EndReason) LegOutcome {
	switch why {
	case route.CallerHungUp:
		return CallerHungUp
	case route.EndedByUser, route.Canceled:
		return LegCanceled
	}
	return TimedOut
}

// failure tells a phone or device that cannot be reached from one that failed.
func failure(f *Fact, device bool) LegOutcome {
	switch f.Data.SIPCode {
	case 404, 408, 410, 480, 484, 604:
		return Unreachable
	}
	if device {
		return Unreachable
	}
	return LegFailed
}

// agentEnding is how the person's own device fared in an outbound call.
func (t *tally) agentEnding(v *view, gone *EndReason, callEnded *time.Time) ending {
	if a := t.agentAnswered(); a != nil {
		e := ending{answered: a, outcome: ptr(Answered)}
		if v.ended != nil {
			e.ended = &v.ended.At
		} else {
			e.ended = callEnded
		}
		return e
	}
	if v.ended == nil {
		switch {
		case callEnded == nil:
			return ending{}
		case gone != nil && *gone == route.Failed:
			return closed(*callEnded, LegFailed)
		}
		return closed(*callEnded, LegCanceled)
	}
	endedAt := v.ended.At
	switch v.ended.Data.Status {
	case wordBusy:
		return closed(endedAt, Declined)
	case wordFailed:
		return closed(endedAt, failure(v.ended, false))
	case wordNoAnswer:
		return closed(endedAt, TimedOut)
	case wordCompleted: // something picked up and no key was pressed
		if t.hangUp == nil {
			return closed(endedAt, TimedOut)
		}
	}
	return closed(endedAt, LegCanceled)
}

// agentAnswered is when the person who started the call was there: when they
// called by themselves from its beginning, on a phone that has to press a key once
// one was pressed.
func (t *tally) agentAnswered() *time.Time {
	switch s := t.start; {
	case s.placed():
		return &t.startedAt
	case s.Agent != nil && s.Agent.Screen:
		pressed, ok := t.served[2]
		if !ok {
			return nil
		}
		if t.first.inProgress == nil || t.first.inProgress.After(pressed) {
			return &pressed
		}
		return t.first.inProgress
	}
	return t.first.answered()
}

func at(t time.Time) *time.Time { return &t }

func ptr[T any](v T) *T { return &v }

// Find is a leg by its id.
func (s *State) Find(leg id.ID) *Leg {
	for i := range s.Legs {
		if s.Legs[i].ID == leg {
			return &s.Legs[i]
		}
	}
	return nil
}
