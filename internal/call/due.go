package call

import (
	"time"

	"switchboard/internal/route"
)

// due says when Twilio must be asked, should nothing more be heard, or something
// be done that has to wait.
func (t *tally) due(st *State, w *winner) {
	var at time.Time
	switch {
	case st.Call.EndedAt != nil:
		for _, r := range st.Recordings {
			if r.Status == wordInProgress { // its end is still to be told
				at = st.Call.EndedAt.Add(askRecording)
			}
		}
	case t.room.on:
		at = t.lastRoom().Add(askAnswered)
	case w != nil:
		at = w.at.Add(askAnswered)
		if v := t.legs[w.leg]; v != nil && v.ended != nil {
			at = v.ended.At.Add(askSoon)
		}
		if r := t.dialled[w.step]; r != nil {
			at = r.At.Add(askSoon)
		}
	default:
		at = t.startedAt.Add(askSoon + time.Duration(t.start.Plan.RingSeconds)*time.Second)
		if t.request != nil {
			at = t.request.At.Add(askSoon + time.Duration(t.start.Plan.RingSeconds)*time.Second)
		}
		if st.Step > 0 {
			at = t.served[st.Step].Add(t.lasts(st.Step) + askSoon)
		}
	}
	if !at.IsZero() {
		st.DueAt = &at
	}
	st.askAt = st.DueAt
	if wake := st.wake(); wake != nil && (st.DueAt == nil || wake.Before(*st.DueAt)) {
		st.DueAt = wake
	}
}

// How long the network may be silent before Twilio is asked.
const (
	askSoon      = 30 * time.Second
	askRecording = time.Minute
	askAnswered  = 45 * time.Second // nothing stays in progress for a minute after its end could be known
	prompt       = time.Minute      // a prompt may take this long
)

// lasts is how long a step can take.
func (t *tally) lasts(step int) time.Duration {
	if t.decision == nil || step > len(t.decision.Steps) {
		return time.Duration(t.start.Plan.RingSeconds)*time.Second + 5*time.Second
	}
	var d time.Duration
	for i := step - 1; i >= 1 && speaks(t.decision.Steps[i-1].Kind); i-- {
		d += prompt
	}
	s := t.decision.Steps[step-1]
	switch s.Kind {
	case route.MenuStep:
		if s.Menu != nil {
			d += time.Duration(s.Menu.TimeoutSeconds) * time.Second
		}
	case route.Ring, route.Forward:
		return d + time.Duration(value(s.TimeoutSeconds))*time.Second + 5*time.Second
	case route.Voicemail:
		return d + prompt + time.Duration(t.start.Plan.VoicemailMax)*time.Second
	}
	return d + prompt
}
