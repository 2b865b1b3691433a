package call

import (
	"slices"
	"strings"
	"time"

	"switchboard/internal/route"
)

// sound folds the recordings and the voicemail.
func (t *tally) sound(st *State) {
	bySID := map[string]*Recorded{}
	get := func(sid string, at time.Time) *Recorded {
		r := bySID[sid]
		if r == nil {
			r = &Recorded{SID: sid, Status: wordInProgress, Channels: 1, StartedAt: at}
			bySID[sid] = r
		}
		return r
	}
	told := map[string]bool{} // recordings whose beginning Twilio told
	for _, f := range t.sounds {
		d := f.Data
		if d.SID == "" {
			continue
		}
		r := get(d.SID, f.At)
		if d.CallSID != "" {
			r.CallSID = d.CallSID
		}
		if d.Source != "" {
			r.Source = d.Source
		}
		if d.Source == "RecordVerb" {
			r.ForVoicemail = true
		}
		if d.Channels > 0 {
			r.Channels = max(r.Channels, d.Channels)
		}
		if !d.StartedAt.IsZero() && (!told[d.SID] || d.StartedAt.Before(r.StartedAt)) {
			r.StartedAt, told[d.SID] = d.StartedAt, true
		}
		if over(d.Status) && !over(r.Status) {
			r.Status = d.Status
			r.DurationSeconds = d.Seconds
		}
	}
	for _, f := range t.recorded {
		if f.Data.SID == "" {
			continue
		}
		r := get(f.Data.SID, f.At.Add(-time.Duration(value(f.Data.Seconds))*time.Second))
		r.ForVoicemail = true
	}
	for _, r := range bySID {
		r.StartedAt = notBefore(r.StartedAt, t.startedAt)
		r.OffsetSeconds = seconds(t.startedAt, r.StartedAt)
		st.Recordings = append(st.Recordings, *r)
		if !r.ForVoicemail && r.Status != wordAbsent {
			st.Call.IsRecorded = true
		}
	}
	slices.SortFunc(st.Recordings, func(a, b Recorded) int {
		if c := a.StartedAt.Compare(b.StartedAt); c != 0 {
			return c
		}
		return strings.Compare(a.SID, b.SID)
	})
	for _, r := range st.Recordings {
		if r.ForVoicemail && r.Status == wordCompleted && (r.DurationSeconds == nil || *r.DurationSeconds > 0) {
			st.Voicemail = &LeftVoicemail{RecordingSID: r.SID, DurationSeconds: r.DurationSeconds, OwnerID: t.start.Plan.VoicemailOwner,
				ReceivedAt: r.StartedAt.Add(time.Duration(value(r.DurationSeconds)) * time.Second)}
			break
		}
	}
}

// welcome folds when the welcome prompt was served.
func (t *tally) welcome(st *State) {
	for step, served := range t.served {
		if t.kindOf(step) == route.Welcome && st.Plan.Welcome.Given() && (st.WelcomedAt == nil || served.Before(*st.WelcomedAt)) {
			st.WelcomedAt = &served
		}
	}
}
