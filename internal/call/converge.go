package call

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/twilio"
)

// action is one request to Twilio that brings the call nearer to what is wanted.
// Its name says what it is for, the same for every attempt: no two are under way
// at once, and one that is done is not done again.
type action struct {
	name  string
	verb  verb
	leg   id.ID
	sid   string // of the leg's call
	other string // the conference, or a recording
	value string
	once  bool      // an attempt that may have taken effect is never followed by another
	due   time.Time // zero: now
	n     int       // the attempt
}

// verb is what is asked.
type verb string

const (
	verbStart   verb = "start"  // a call of our own
	verbRoom    verb = "room"   // the leg is given the room's document
	verbEnd     verb = "end"    // the leg is hung up
	verbHold    verb = "hold"   // value: on or off
	verbMute    verb = "mute"   // value: on or off
	verbCoach   verb = "coach"  // value: whom
	verbDigits  verb = "digits" // the leg is given tones, then the room
	verbPause   verb = "pause"  // value: on or off
	verbRecord  verb = "record" // a recording is begun
	verbStop    verb = "stop"   // a recording is ended
	verbLearn   verb = "learn"  // which recordings there are
	verbAfter   verb = "after"  // the leg is sent on
	verbDropped verb = "drop"   // the leg is given the message
)

// The values of switches.
const (
	switchHold = "hold"
	switchMute = "mute"

	switchOn  = "on"
	switchOff = "off"
)

func switchName(what string, s *seat, n int) string {
	return what + "/" + s.leg.String() + "/" + strconv.Itoa(s.visits) + "/" + strconv.Itoa(n)
}

const (
	actLost    = 30 * time.Second // an attempt that says nothing for so long died with its process
	actTries   = 6
	endTries   = 60               // a leg that nobody wants is not left alone for an hour
	promoteIn  = 4 * time.Second  // for the <Dial> to ask by itself what to do with its first leg
	comeBackIn = 8 * time.Second  // for a leg that left the room on our order
	joinIn     = 15 * time.Second // for a leg that was given the room
	byeIn      = time.Minute      // for a farewell to be over
	roomTries  = 3
)

// plan is everything that is still to be asked of Twilio, and when. It depends on
// the facts alone.
func (s *State) plan() (out []action) {
	r := s.room
	if r == nil {
		return nil
	}
	add := func(a action) {
		if a, ok := r.next(a); ok {
			out = append(out, a)
		}
	}
	s.planRecordings(add)
	if !r.wanted {
		return out
	}
	dropped := s.dropNow() != nil
	for i := range r.seats {
		x := &r.seats[i]
		if x.sid != "" && x.alive && x.in && !x.joined {
			s.planRoom(x, add)
		}
		if r.ended == nil && !s.hungUp && x.alive && x.in && x.joined && r.sid != "" {
			r.planSwitches(x, add)
		}
	}
	for i := range r.seats {
		x := &r.seats[i]
		switch {
		case x.own && x.purpose != ForRoute && x.ringing && !x.out:
			add(action{name: startName(x.leg), verb: verbStart, leg: x.leg, once: true})
		case x.sid == "" || !x.alive:
		case x.role == outside && dropped && !s.hungUp:
			add(action{name: "drop", verb: verbDropped, leg: x.leg, sid: x.sid, once: true})
		case x.role == outside && r.sentOn && !s.hungUp:
			add(action{name: "after", verb: verbAfter, leg: x.leg, sid: x.sid, due: r.sentAt})
		case x.out && x.role == outside && x.parent && x.joined && s.Plan.Farewell.Given() && !s.hungUp && r.ended != nil:
			add(action{name: "after", verb: verbAfter, leg: x.leg, sid: x.sid})
			add(action{name: "end/" + x.leg.String(), verb: verbEnd, leg: x.leg, sid: x.sid, due: r.ended.Add(byeIn)})
		case x.out:
			s.planEnd(x, add)
		}
	}
	for i, f := range r.digits {
		if x := r.find(f.Data.Leg); x != nil && x.joined && x.alive && x.in {
			add(action{name: "digits/" + strconv.Itoa(i+1), verb: verbDigits, leg: x.leg, sid: x.sid, value: strconv.Itoa(i + 1), once: true})
			if a := r.acts["digits/"+strconv.Itoa(i+1)]; a == nil || !a.over() && a.word != actUnknown {
				break // one after the other
			}
		}
	}
	return out
}

// planRoom brings a leg into the room.
func (s *State) planRoom(x *seat, add func(action)) {
	r := s.room
	n := 1
	for n < roomTries && r.acts[roomName(x.leg, n)].over() {
		n++
	}
	due := time.Time{}
	if last := r.acts[roomName(x.leg, n-1)]; last != nil {
		due = last.answeredAt.Add(joinIn)
	}
	later := func(t time.Time) {
		if t.After(due) {
			due = t
		}
	}
	switch {
	case x.visits > 0: // it is elsewhere and comes back by itself
		later(x.leftAt.Add(comeBackIn))
		for i, f := range r.digits {
			if a := r.acts["digits/"+strconv.Itoa(i+1)]; a != nil && f.Data.Leg == x.leg && f.Data.Order != nil {
				later(a.askedAt.Add(comeBackIn + time.Duration(len(f.Data.Order.Digits))*time.Second/2))
			}
		}
	case x.own:
		later(x.claimed.Add(joinIn))
	case x.parent && !s.ringRoom:
		// Its <Dial> ends when the other leg is taken from it; then it asks by itself.
		c := r.second()
		switch {
		case c == nil:
			return
		case c.ended != nil:
			later(c.ended.Add(promoteIn))
		case c.joined:
			later(c.joinedAt.Add(promoteIn))
			if a := r.acts[roomName(c.leg, 1)]; a.done() {
				later(a.answeredAt.Add(promoteIn))
			}
		default:
			return
		}
		if r.served[x.leg] > 0 {
			later(s.lastServed(x.leg).Add(joinIn))
		}
	}
	add(action{name: roomName(x.leg, n), verb: verbRoom, leg: x.leg, sid: x.sid, due: due})
}

// lastServed is when a leg got the room's document last.
func (s *State) lastServed(leg id.ID) time.Time { return s.room.servedAt[leg] }

// planEnd hangs a leg up. The first leg of a <Dial> holds the second: it stays
// until that one is in the room.
func (s *State) planEnd(x *seat, add func(action)) {
	a := action{name: "end/" + x.leg.String(), verb: verbEnd, leg: x.leg, sid: x.sid}
	if x.parent {
		if c := s.room.second(); c != nil && c.alive && !c.joined {
			d := s.room.acts["drop"]
			switch {
			case c.in:
				return
			case s.dropNow() != nil && !d.over() && (d == nil || d.word != actUnknown):
				return
			}
		}
	}
	add(a)
}

// planSwitches holds, mutes and coaches.
func (r *room) planSwitches(x *seat, add func(action)) {
	onOff := func(on bool) string {
		if on {
			return switchOn
		}
		return switchOff
	}
	set := func(v verb, want, entry string, ordered time.Time) {
		value, n := entry, 1
		for ; ; n++ {
			a := r.acts[switchName(string(v), x, n)]
			if a == nil {
				break
			}
			switch {
			case a.done():
				value = a.value
			case a.word == actRefused:
				if a.value == want && !ordered.After(a.answeredAt) {
					return // it cannot be had
				}
			case a.value == want:
				add(action{name: switchName(string(v), x, n), verb: v, leg: x.leg, sid: x.sid, other: r.sid, value: want})
				return
			case a.word == "" || a.word == actUnknown:
				value = "" // it may or may not be so
			}
		}
		if value != want {
			add(action{name: switchName(string(v), x, n), verb: v, leg: x.leg, sid: x.sid, other: r.sid, value: want})
		}
	}
	set(verbHold, onOff(x.held), switchOff, x.heldAt)
	set(verbMute, onOff(x.muted), onOff(x.entryMuted), x.mutedAt)
	if x.role == monitor {
		set(verbCoach, x.coach, x.entryCoach, x.mutedAt)
	}
}

// planRecordings pauses what records, and what begins to.
func (s *State) planRecordings(add func(action)) {
	r := s.room
	if s.Call.EndedAt != nil {
		return
	}
	live := false
	for _, rec := range s.Recordings {
		if rec.ForVoicemail || rec.Status != wordInProgress || rec.CallSID == "" {
			continue
		}
		live = true
		if r.sentOn {
			add(action{name: "stop/" + rec.SID, verb: verbStop, sid: rec.CallSID, other: rec.SID})
			continue
		}
		value, n := switchOff, 1
		for ; r.acts[pauseName(rec.SID, n)].over(); n++ {
			if a := r.acts[pauseName(rec.SID, n)]; a.done() {
				value = a.value
			} else {
				return // it is gone
			}
		}
		want := switchOff
		if r.pausedAt != nil {
			want = switchOn
		}
		if a := r.acts[pauseName(rec.SID, n)]; value != want || a != nil {
			if a != nil {
				want = a.value // first what is under way
			}
			add(action{name: pauseName(rec.SID, n), verb: verbPause, sid: rec.CallSID, other: rec.SID, value: want})
		}
	}
	x := r.outside()
	switch {
	case s.Plan.Record == "" || live || s.Call.AnsweredAt == nil || r.sentOn:
	case r.pausedAt != nil && s.Call.TwilioSID != nil: // one may have begun that nobody told of yet
		add(action{name: "learn/" + strconv.Itoa(r.pause), verb: verbLearn, sid: *s.Call.TwilioSID})
	case r.pausedAt == nil && r.pause > 0 && r.on && x != nil && x.joined && x.alive && !r.recorded:
		// It was left out while it was paused.
		add(action{name: "record/1", verb: verbRecord, leg: x.leg, sid: x.sid, once: true})
	}
}

func pauseName(recording string, n int) string { return "pause/" + recording + "/" + strconv.Itoa(n) }

// tries is how often an action is attempted.
func (a *action) tries() int {
	if a.verb == verbEnd {
		return endTries
	}
	return actTries
}

// next is an action's next attempt; ok is false when none is to be made.
func (r *room) next(a action) (_ action, ok bool) {
	last := r.acts[a.name]
	later := func(t time.Time) {
		if t.After(a.due) {
			a.due = t
		}
	}
	switch {
	case last == nil:
		a.n = 1
		return a, true
	case last.over(), a.once && last.word != actRetry, last.attempts >= a.tries() && last.word != "":
		return a, false
	case last.word == "":
		later(last.askedAt.Add(actLost))
	default:
		wait := time.Second << (2 * min(last.attempts-1, 3))
		later(last.answeredAt.Add(wait))
	}
	a.n = last.attempts + 1
	return a, true
}

// next are the actions whose time has come.
func (s *State) next(now time.Time) []action {
	return slices.DeleteFunc(s.plan(), func(a action) bool { return a.due.After(now) })
}

// wake is when the first of the other actions is due; nil when none is.
func (s *State) wake() *time.Time {
	var first *time.Time
	for _, a := range s.plan() {
		if !a.due.IsZero() && (first == nil || a.due.Before(*first)) {
			first = &a.due
		}
	}
	return first
}

// Control is the job that makes a call what is wanted of it.
type Control struct {
	Organization id.ID `json:"organization"`
	Call         id.ID `json:"call"`
}

// Kind names the job.
func (Control) Kind() string { return "call.control" }

// Tenant is the organization that the job works in.
func (c Control) Tenant() id.ID { return c.Organization }

// InsertOpts: what an attempt leaves undone is found by the sweep.
func (Control) InsertOpts() job.Options { return job.Options{MaxAttempts: 3} }

// converging marks the context of the job that carries actions out: what it learns
// needs no other job.
type converging struct{}

// pursue has the actions carried out that a change calls for.
func (s *Service) pursue(ctx context.Context, tx *db.Tx, st *State) error {
	if ctx.Value(converging{}) != nil || len(st.next(tx.Now)) == 0 {
		return nil
	}
	return job.Insert(ctx, tx, Control{Organization: st.Call.OrganizationID, Call: st.Call.ID})
}

// control carries actions out, one after the other, until none is left.
func (s *Service) control(ctx context.Context, c Control) (err error) {
	defer errs.Wrap(&err, "call.control(%s)", c.Call)
	_, err = s.converge(ctx, c.Call)
	return err
}

// maxActions bounds one run; what is left has another.
const maxActions = 100

// converge does what next says until it says nothing more, and gives the state then.
func (s *Service) converge(ctx context.Context, call id.ID) (st State, err error) {
	ctx = context.WithValue(ctx, converging{}, true)
	for range maxActions {
		var a action
		err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			a = action{}
			known, found, err := s.take(ctx, tx, call, id.ID{})
			if err != nil || !found {
				return err
			}
			st = known
			list := st.next(tx.Now)
			if len(list) == 0 {
				return nil
			}
			a = list[0]
			st, _, err = s.take(ctx, tx, call, id.ID{}, Fact{Key: "action/" + a.name + "/" + strconv.Itoa(a.n), Kind: FactAction, At: tx.Now,
				Data: FactData{Action: a.name, Step: a.n, Leg: a.leg, Keys: a.value}})
			return err
		})
		if err != nil || a.name == "" {
			return st, err
		}
		more, answer := s.do(ctx, st, a)
		answer.Action, answer.Step, answer.Leg = a.name, a.n, a.leg
		if ctx.Err() != nil { // cut off: whether it was done will show
			ctx = context.WithoutCancel(ctx)
		}
		err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			facts := append(more, Fact{Key: "answered/" + a.name + "/" + strconv.Itoa(a.n), Kind: FactActionAnswer, Data: answer})
			for i := range facts {
				facts[i].At = told(facts[i].At, tx.Now)
			}
			st, _, err = s.take(ctx, tx, call, id.ID{}, facts...)
			return err
		})
		if err != nil {
			return st, err
		}
	}
	return st, errs.New(errs.Internal, "a call wants no end of actions")
}

// do asks Twilio, outside of any transaction.
func (s *Service) do(ctx context.Context, st State, a action) (more []Fact, answer FactData) {
	client, err := s.Client(ctx, st.Call.ConnectionID)
	var hooks Hooks
	if err == nil {
		hooks, err = s.Hooks(ctx, st.Call.ConnectionID)
	}
	if err == nil {
		more, answer.SID, err = s.ask1(ctx, client, hooks, st, a)
	}
	answer.Status = actDone
	switch {
	case err == nil:
	case a.verb == verbEnd && (twilio.IsCode(err, 21220) || twilio.NotFound(err)): // it was over
	case twilio.Ambiguous(err), ctx.Err() != nil:
		answer.Status = actUnknown
	default:
		answer.Status = actRefused
		var e *twilio.Error
		if errors.As(err, &e) {
			answer.Error = e.Code
		}
		// A party that has just joined, or a recording that has just begun, may not be known everywhere yet.
		_, again := twilio.Retry(err)
		if again || twilio.NotFound(err) && a.verb != verbRoom && a.n < 3 {
			answer.Status = actRetry
		}
		if a.n >= a.tries() {
			answer.Status = actRefused
		}
		if answer.Status == actRefused {
			s.Logger.WarnContext(ctx, "Twilio refused what a call needs", "call_id", st.Call.ID, "action", string(a.verb), "error", err)
		}
	}
	return more, answer
}

func (s *Service) ask1(ctx context.Context, client *twilio.Client, hooks Hooks, st State, a action) (more []Fact, sid string, err error) {
	w := script{state: st, hooks: hooks, audio: s.Audio}
	redirect := func(path string) error {
		_, err := client.UpdateCall(ctx, a.sid, twilio.CallUpdate{URL: hooks.TwiML(w.path(path), nil)})
		return err
	}
	on := a.value == switchOn
	switch a.verb {
	case verbStart:
		x := st.room.find(a.leg)
		made, err := client.CreateCall(ctx, w.callFor(x))
		return nil, made.SID, err
	case verbRoom:
		return nil, "", redirect("room/" + a.leg.String())
	case verbDigits:
		return nil, "", redirect("digits/" + a.leg.String() + "/" + a.value)
	case verbAfter:
		return nil, "", redirect("after")
	case verbDropped:
		return nil, "", redirect("drop")
	case verbEnd:
		_, err = client.UpdateCall(ctx, a.sid, twilio.CallUpdate{Status: wordCompleted})
	case verbHold:
		_, err = client.UpdateParticipant(ctx, a.other, a.sid, twilio.ParticipantUpdate{Hold: &on, HoldURL: w.holdURL()})
	case verbMute:
		_, err = client.UpdateParticipant(ctx, a.other, a.sid, twilio.ParticipantUpdate{Muted: &on})
	case verbCoach:
		_, err = client.UpdateParticipant(ctx, a.other, a.sid, twilio.ParticipantUpdate{Coach: &a.value})
	case verbPause:
		switch {
		case !on:
			_, err = client.UpdateRecording(ctx, a.sid, a.other, twilio.RecordingResumed)
		case st.Plan.PauseSilent:
			_, err = client.UpdateRecording(ctx, a.sid, a.other, twilio.RecordingPaused)
		default:
			_, err = client.SkipRecording(ctx, a.sid, a.other)
		}
	case verbStop:
		_, err = client.UpdateRecording(ctx, a.sid, a.other, twilio.RecordingStopped)
	case verbRecord:
		var rec twilio.Recording
		rec, err = client.StartRecording(ctx, a.sid, twilio.RecordingRequest{Channels: "dual",
			StatusCallback: hooks.Callback(w.path("recording"), nil), StatusCallbackEvent: recordingEvents})
		return nil, rec.SID, err
	case verbLearn:
		more, err = s.learnRecordings(ctx, client, st, a)
	}
	return more, "", err
}

// learnRecordings asks which recordings of the call run that nobody told of.
func (s *Service) learnRecordings(ctx context.Context, client *twilio.Client, st State, a action) (more []Fact, err error) {
	sids := []string{a.sid}
	if x := st.room.outside(); x != nil && x.sid != "" && x.sid != a.sid {
		sids = append(sids, x.sid)
	}
	for _, sid := range sids {
		list, err := client.ListRecordings(ctx, sid)
		if err != nil {
			return nil, err
		}
		for _, x := range list {
			if x.Status == wordInProgress && !slices.ContainsFunc(st.Recordings, func(r Recorded) bool { return r.SID == x.SID }) {
				more = append(more, Fact{Key: "recording/" + x.SID + "/" + wordInProgress, Kind: FactRecordingStatus, Data: FactData{
					SID: x.SID, CallSID: sid, Status: wordInProgress, Channels: x.Channels, StartedAt: x.StartedAt, Source: x.Source}})
			}
		}
	}
	return more, nil
}
