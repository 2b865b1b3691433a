package call

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"switchboard/internal/id"
	"switchboard/internal/route"
)

// State is a call as its facts tell it. Two States are equal when their rows
// are, apart from ids of recordings and voicemails, created_at and updated_at.
type State struct {
	Call       Call
	Decision   *route.Decision
	Plan       Plan
	Legs       []Leg // in the order in which they were started
	Recordings []Recorded
	Voicemail  *LeftVoicemail
	// WelcomedAt is when the welcome prompt, which can carry a notice that the call is recorded (R121), was served.
	WelcomedAt *time.Time
	// Pauses are those of the recordings, in order.
	Pauses []RecordingPause
	// DueAt is when Twilio must be asked, should nothing more be heard.
	DueAt *time.Time
	// PauseDueAt is when people are told that a recording is still paused; nil when nothing is.
	PauseDueAt *time.Time
	// Step is the last step of the route that was served, from 1.
	Step int

	agent, callee *route.Target
	callees       []route.Target // of a call between colleagues, instead of callee
	placed        id.ID          // the leg of who called by themselves; zero: nobody did
	first         string         // what the agent's leg shows
	dialled       string         // how the callee is dialled, where that is not their number
	detect        bool           // whether a machine answers is to be found out
	hungUp        bool           // a person wants it over
	asked         bool           // Twilio was asked to dial
	servedAt      time.Time      // the last step
	strays        []id.ID        // calls of our own that ring at Twilio for nothing any more
	stepOver      bool           // the <Dial> of the last step is over
	ringRoom      bool           // a call of our own won the ring: the caller meets it in the room
	winnerGone    bool           // whoever won the last step hung up before the <Dial> was over
	room          *room          // who is in the call and how, as wanted and as it is
	askAt         *time.Time     // DueAt without what is to be done before
	drop          *Order         // the message to leave on a machine, from the moment on when it is to be left
	dropped       bool           // it began
}

// Recorded is a recording as far as facts tell.
type Recorded struct {
	SID             string
	CallSID         string // the leg that it records
	Source          string // Twilio's word for what began it
	ForVoicemail    bool
	Status          string // Twilio's word: in-progress, completed, absent, failed
	Channels        int
	StartedAt       time.Time
	OffsetSeconds   int
	DurationSeconds *int
}

// RecordingPause is a pause of all recordings of a call (R117, R118).
type RecordingPause struct {
	From      time.Time
	By        id.ID
	To        *time.Time // nil while it lasts
	ResumedBy id.ID
}

// LeftVoicemail is a voicemail that was left.
type LeftVoicemail struct {
	RecordingSID    string
	DurationSeconds *int
	ReceivedAt      time.Time
	OwnerID         id.ID
}

// Transitions is the one table of how a call's status changes: from a status to
// those that can follow. The empty status is a call that does not exist yet.
var Transitions = map[Status][]Status{
	"":         {Queued, Ringing, Rejected},
	Queued:     {Ringing, Canceled, Failed},
	Ringing:    {InProgress, Missed, Busy, Failed, Canceled},
	InProgress: {Completed, Voicemail, Missed},
}

// Corrections are the changes that news makes which comes after the end: it may
// overtake what happened before. They change how a call ended, never that it did.
var Corrections = map[Status][]Status{
	Missed:    {Voicemail, Completed, Busy, Failed},
	Voicemail: {Missed},
	Canceled:  {Completed, Busy, Failed, Missed},
	Completed: {Missed}, // whoever took the call was gone before the bridge
}

// Ended reports whether the status is one of a call that is over.
func (s Status) Ended() bool { return s != "" && Transitions[s] == nil }

// StateDiagram prints the table as a Mermaid state diagram.
func StateDiagram() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	name := func(s Status) string {
		if s == "" {
			return "[*]"
		}
		return string(s)
	}
	for _, from := range slices.Sorted(maps.Keys(Transitions)) {
		for _, to := range Transitions[from] {
			fmt.Fprintf(&b, "    %s --> %s\n", name(from), name(to))
		}
	}
	for _, from := range slices.Sorted(maps.Keys(Corrections)) {
		for _, to := range Corrections[from] {
			fmt.Fprintf(&b, "    %s --> %s : late news\n", name(from), name(to))
		}
	}
	for _, s := range []Status{Completed, Missed, Voicemail, Rejected, Busy, Failed, Canceled} {
		fmt.Fprintf(&b, "    %s --> [*]\n", name(s))
	}
	return b.String()
}

// CanBecome reports whether a call of status s can be found in status t some
// facts later.
func (s Status) CanBecome(t Status) bool {
	seen := map[Status]bool{}
	var walk func(Status) bool
	walk = func(at Status) bool {
		if at == t {
			return true
		}
		if seen[at] {
			return false
		}
		seen[at] = true
		return slices.ContainsFunc(Transitions[at], walk) || slices.ContainsFunc(Corrections[at], walk)
	}
	return walk(s)
}

// view is what the facts say of one leg at Twilio.
type view struct {
	sid        string
	first      time.Time // anything at all
	initiated  bool
	ringing    *time.Time
	inProgress *time.Time
	ended      *Fact // the first word that ends it
	request    *Fact // we asked Twilio to ring it, for a call of our own
}

func (v *view) take(f *Fact) {
	if v.sid == "" {
		v.sid = f.Data.SID
	}
	if v.first.IsZero() {
		v.first = f.At
	}
	switch f.Data.Status {
	case wordInitiated:
		v.initiated = true
	case wordRinging:
		if v.ringing == nil {
			v.ringing = &f.At
		}
	case wordInProgress:
		if v.inProgress == nil {
			v.inProgress = &f.At
		}
	default:
		if over(f.Data.Status) && v.ended == nil {
			v.ended = f
		}
	}
}

// answered is when the leg was answered. Completed without an answer before it
// is legal: the answer is then as long ago as the call was long (twilio.md 2.3).
func (v *view) answered() *time.Time {
	switch {
	case v.ended != nil && v.ended.Data.Status != wordCompleted:
		return nil
	case v.inProgress != nil:
		return v.inProgress
	case v.ended != nil && value(v.ended.Data.Seconds) > 0:
		at := v.ended.At.Add(-time.Duration(*v.ended.Data.Seconds) * time.Second)
		return &at
	}
	return nil
}

// tally is the facts of one call, sorted by what they speak of.
type tally struct {
	start     *Start
	startedAt time.Time
	first     view // the call at Twilio
	legs      map[id.ID]*view
	served    map[int]time.Time
	dialled   map[int]*Fact
	recorded  []*Fact // results of <Record>
	sounds    []*Fact // states of recordings
	declined  map[id.ID]time.Time
	hangUp    *Fact
	changes   []*Fact
	request   *Fact
	answer    *Fact
	asked     *Fact // the answer of Twilio that ends the call

	decision *route.Decision // with what keys added to it
	routed   []*Fact
	delays   map[int]int     // of the steps' own calls, milliseconds
	claims   map[id.ID]*Fact // the legs that may be connected
	drop     dropping

	orders   []*Fact         // what people ordered in the call
	acts     map[string]*act // what was asked of Twilio
	roomNews []*Fact
	notices  map[string]bool
	room     *room
}

func newTally() *tally {
	return &tally{legs: map[id.ID]*view{}, served: map[int]time.Time{}, dialled: map[int]*Fact{}, declined: map[id.ID]time.Time{},
		delays: map[int]int{}, claims: map[id.ID]*Fact{}, acts: map[string]*act{}, notices: map[string]bool{}}
}

// leg is the view of a leg, made where there is none.
func (t *tally) view(leg id.ID) *view {
	if t.legs[leg] == nil {
		t.legs[leg] = &view{}
	}
	return t.legs[leg]
}

// Fold makes the state of a call from its facts, in whatever order and number
// they come. Without the fact that started the call it is the zero State.
func Fold(facts []Fact) State {
	t := newTally()
	all := canonical(facts)
	for _, f := range all {
		t.take(f)
	}
	if t.start == nil {
		return State{}
	}
	st := t.state()
	// The number of facts: it grows with each, and is the same in every order.
	st.Call.Version = int64(len(all))
	return st
}

func (t *tally) take(f *Fact) {
	t.drop.take(f)
	d := &f.Data
	switch f.Kind {
	case FactStarted:
		if t.start == nil && d.Start != nil {
			t.start, t.startedAt = d.Start, f.At
		}
	case FactStep:
		if _, ok := t.served[d.Step]; !ok {
			t.served[d.Step], t.delays[d.Step] = f.At, d.Delay
		}
	case FactRouted:
		t.routed = append(t.routed, f)
	case FactLegStatus:
		t.view(d.Leg).take(f)
	case FactClaim:
		t.claim(f)
	case FactCallStatus:
		t.first.take(f)
	case FactDialResult:
		if t.dialled[d.Step] == nil {
			t.dialled[d.Step] = f
		}
	case FactRecordingStatus:
		t.sounds = append(t.sounds, f)
	case FactRecordResult:
		t.recorded = append(t.recorded, f)
	case FactCommand:
		t.command(f)
		t.inRoom(f)
	case FactRoom, FactAction, FactActionAnswer:
		t.inRoom(f)
	case FactNotice:
		t.notices[f.Key] = true
	case FactRESTRequest:
		if !d.Leg.IsZero() {
			if v := t.view(d.Leg); v.request == nil {
				v.request = f
			}
			break
		}
		if t.request == nil {
			t.request = f
		}
	case FactRESTAnswer:
		if !d.Leg.IsZero() {
			if d.Status != wordRetry {
				t.view(d.Leg).take(f)
			}
			break
		}
		// An attempt that did nothing is made again; what came of it counts.
		if t.answer == nil && d.Status != wordRetry {
			t.answer = f
		}
	case FactReconciled:
		if t.asked == nil && over(d.Status) {
			t.asked = f
		}
	}
}

func (t *tally) command(f *Fact) {
	switch f.Data.Command {
	case CommandDecline:
		if _, ok := t.declined[f.Data.Leg]; !ok {
			t.declined[f.Data.Leg] = f.At
		}
	case CommandHangUp:
		if t.hangUp == nil {
			t.hangUp = f
		}
	case CommandUpdate:
		t.changes = append(t.changes, f)
	}
}

// state derives everything from the tally.
func (t *tally) state() State {
	s := t.start
	t.route()
	st := State{Decision: t.decision, Plan: s.Plan, agent: s.Agent, callee: s.Callee, callees: s.Callees, first: s.First, dialled: s.Dialled, detect: s.Detect, hungUp: t.hangUp != nil, asked: t.request != nil}
	st.Call = Call{
		OrganizationID: s.Organization, ID: s.Call, Provider: Twilio, Direction: s.Direction, ConnectionID: s.Connection,
		PhoneNumberID: s.Number, BranchID: s.Branch, ContactID: s.Contact, RecordID: s.Record, CampaignID: s.Campaign, UserID: s.User,
		FromNumber: s.From, ToNumber: s.To, StartedAt: t.startedAt, BusinessUnit: text(s.BusinessUnit), IsTest: s.Test, IsLogged: !s.Unlogged,
		MaskedPairID: s.MaskedPair, Hops: s.Hops, NoticeCodes: slices.Clone(s.Notices),
	}
	if s.placed() && s.Agent != nil {
		st.placed = s.Agent.LegID
	}
	if s.Decision != nil {
		st.Call.IsIgnored = s.Decision.Ignored
	}
	if s.CallerID != "" {
		number, reason := s.CallerID, s.CallerIDReason
		st.Call.CallerNumber, st.Call.CallerNumberReason = &number, &reason
	}
	if sid := t.sid(); sid != "" {
		st.Call.TwilioSID = &sid
	}
	for n := range t.served {
		st.Step = max(st.Step, n)
	}
	t.sound(&st)
	t.welcome(&st)
	w := t.winner()
	t.ring(&st, w)
	t.drops(&st, w)
	t.room = t.foldRoom(&st, w)
	if s.Direction == Inbound {
		t.inbound(&st, w)
	} else {
		t.outbound(&st, w)
	}
	t.ownLegs(&st, t.room)
	t.show(&st, t.room)
	t.write(&st)
	t.times(&st)
	t.due(&st, w)
	return st
}

// text is a pointer to a text, nil for the empty one.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (t *tally) sid() string {
	for _, sid := range []string{t.start.SID, t.first.sid} {
		if sid != "" {
			return sid
		}
	}
	if t.answer != nil {
		return t.answer.Data.SID
	}
	return ""
}

// steps are the targets of each step, from 1.
func (t *tally) steps() [][]route.Target {
	s := t.start
	if d := t.decision; d != nil {
		out := make([][]route.Target, len(d.Steps))
		for i, step := range d.Steps {
			out[i] = step.Targets
		}
		return out
	}
	out := make([][]route.Target, 0, 2)
	for _, x := range []*route.Target{s.Agent, s.Callee} {
		if x != nil {
			out = append(out, []route.Target{*x})
		}
	}
	if len(s.Callees) > 0 {
		out = append(out, s.Callees)
	}
	return out
}

// winner is the leg that was connected with the first one.
type winner struct {
	step   int
	leg    id.ID // zero: somebody, the facts do not say who
	user   id.ID
	at     time.Time
	target route.Target
}

// winner is whoever was connected: the leg that the result of the <Dial> names,
// else the one that answered first by Twilio's time.
func (t *tally) winner() *winner {
	var left *winner
	for i, targets := range t.steps() {
		step := i + 1
		if t.start.Direction != Inbound && step == 1 {
			continue // the person's own device; the callee's answer counts
		}
		var best *winner
		result, claimed := t.dialled[step], claims(targets)
		for _, x := range targets {
			v := t.legs[x.LegID]
			if v == nil {
				continue
			}
			at := v.answered()
			named := result != nil && connects(result, claimed) && result.Data.SID != "" && result.Data.SID == v.sid
			if claimed {
				at = nil
				if f := t.claims[x.LegID]; f != nil {
					at = &f.At
				}
			}
			if named && at == nil {
				at = t.since(result, v)
			}
			if at == nil || t.declinedBefore(x.LegID, *at) {
				continue
			}
			w := &winner{step: step, leg: x.LegID, user: x.UserID, at: *at, target: x}
			if named {
				return w
			}
			// Who claims after another did so because that one was gone.
			if best == nil || w.at.Before(best.at) != claimed {
				best = w
			}
		}
		if best != nil && claimed && !best.target.Own && apart(result) {
			// It was told that it has the call, and was gone before the bridge.
			left, best = best, nil
		}
		switch {
		case best != nil:
			return best
		case result != nil && connects(result, claimed) && len(targets) == 1:
			return &winner{step: step, leg: targets[0].LegID, user: targets[0].UserID, at: *t.since(result, nil), target: targets[0]}
		case result != nil && connects(result, claimed):
			return &winner{step: step, at: *t.since(result, nil)}
		}
	}
	if end, _ := t.end(); end != nil {
		return nil
	}
	return left // a live call that was answered does not ring again
}

func (t *tally) declinedBefore(leg id.ID, at time.Time) bool {
	d, ok := t.declined[leg]
	return ok && d.Before(at.Truncate(time.Second))
}

// bridged reports whether the result of a <Dial> says that somebody was connected.
func bridged(f *Fact) bool {
	return (f.Data.Status == wordCompleted || f.Data.Status == "answered") && (f.Data.Bridged == nil || *f.Data.Bridged)
}

// since is when a connection began whose answer nobody told: its length before its end.
func (t *tally) since(result *Fact, v *view) *time.Time {
	end := result.At
	if v != nil && v.ended != nil {
		end = v.ended.At
	}
	at := end.Add(-time.Duration(value(result.Data.Seconds)) * time.Second)
	return &at
}

// end is when and how the call ended at Twilio; nil while it lasts.
func (t *tally) end() (at *time.Time, asked bool) {
	switch {
	case t.room != nil && t.room.on:
		return t.room.ended, t.room.asked
	case t.first.ended != nil:
		return &t.first.ended.At, false
	case t.asked != nil:
		return &t.asked.At, true
	}
	return nil, false
}

// write folds what people wrote, the last word counting.
func (t *tally) write(st *State) {
	set := func(dst **string, v *string) {
		switch {
		case v == nil:
		case *v == "":
			*dst = nil
		default:
			*dst = v
		}
	}
	for _, f := range t.changes {
		c := f.Data.Change
		if c == nil {
			continue
		}
		set(&st.Call.Outcome, c.Outcome)
		set(&st.Call.Notes, c.Notes)
		if c.Contact != nil {
			st.Call.ContactID = *c.Contact
		}
		if c.Record != nil {
			st.Call.RecordID = *c.Record
		}
	}
}

// times fills in the seconds. Twilio tells whole seconds, so parts of one count for nothing.
func (t *tally) times(st *State) {
	c := &st.Call
	until := c.AnsweredAt
	if until == nil {
		until = c.EndedAt
	}
	if until != nil {
		n := seconds(c.StartedAt, *until)
		c.RingSeconds = &n
	}
	if c.EndedAt == nil {
		return
	}
	n := seconds(c.StartedAt, *c.EndedAt)
	c.DurationSeconds = &n
	if c.AnsweredAt != nil {
		talk := seconds(*c.AnsweredAt, *c.EndedAt)
		c.TalkSeconds = &talk
	}
}

func seconds(from, to time.Time) int {
	return max(0, int(to.Truncate(time.Second).Sub(from.Truncate(time.Second))/time.Second))
}

// notBefore keeps a time that Twilio tells in whole seconds from lying before
// one of ours with parts of a second.
func notBefore(t, floor time.Time) time.Time {
	if t.Before(floor) {
		return floor
	}
	return t
}
