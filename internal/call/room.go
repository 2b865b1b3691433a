package call

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/id"
	"switchboard/internal/route"
)

// A bridge begins as a <Dial>, which couples two legs: neither can be put on hold,
// handed over or joined by a third. The first command that needs more turns it
// into a room, a conference named by the call (twilio.md 4c). The room is folded
// from facts like all of a call: what people ordered says what is wanted of each
// leg, what Twilio told and answered says what is; converge.go makes the one the
// other.

// room is who is in the call and how, as wanted and as it is.
type room struct {
	wanted bool   // the call is held in a room, or is to be
	on     bool   // ours to bring about: something was ordered or asked for
	sid    string // of the conference, once told
	seats  []seat
	ended  *time.Time // when it was over with the call; nil while it lasts or where there is no room
	asked  bool       // Twilio had to be asked for that

	transfer  *Transfer
	moving    bool      // the transfer is not settled
	mover     id.ID     // the leg of who transfers
	moved     string    // the order's key
	sentOn    bool      // nobody took the transfer: the outside party is sent on to voicemail or farewell
	sentAt    time.Time // since when
	digits    []*Fact   // tones to send
	pausedAt  *time.Time
	pause     int // how often it was paused
	told      bool
	notices   []NoticeCode
	acts      map[string]*act
	served    map[id.ID]int // documents of the room that each leg got
	servedAt  map[id.ID]time.Time
	recorded  bool // the outside party's leg was told to record
	conferred bool // a third leg was or is there
}

// role is what a party is to us.
type role string

const (
	outside role = "outside" // whom the business talks with
	staff   role = "staff"   // a colleague
	guest   role = "guest"   // somebody else outside, added or called for a transfer
	monitor role = "monitor" // listens in and counts for nothing
)

// seat is one party: what is wanted of it, and what Twilio told.
type seat struct {
	leg     id.ID
	role    role
	purpose Purpose
	target  route.Target
	sid     string
	parent  bool // the first leg, which ran the <Dial>
	child   bool // the leg that the <Dial> connected
	own     bool // a call of ours that claims its place
	by      id.ID
	mode    MonitorMode
	coached id.ID

	since          time.Time // of the order that called for it
	ringing, alive bool      // may still ring, or talk
	talks          bool      // is or was a party
	ended          *time.Time
	claimed        *time.Time

	in, out     bool // wanted: in the room; gone
	held, muted bool // wanted
	coach       string
	heldAt      time.Time // when that was last ordered
	mutedAt     time.Time

	joined             bool // told
	visits             int
	joinedAt, leftAt   time.Time
	entryMuted         bool
	entryCoach         string
	toldHeld, toldMute bool
}

// act is one thing that is asked of Twilio, through all its attempts.
type act struct {
	attempts   int
	askedAt    time.Time
	answeredAt time.Time
	word       string // of the last attempt; empty while it is under way
	value      string
	sid        string
	error      int
}

// What came of an attempt.
const (
	actDone    = "done"
	actRetry   = "retry"   // it did nothing; to be tried again
	actRefused = "refused" // it will never be done
	actUnknown = "unknown" // it may have taken effect
)

func (a *act) done() bool { return a != nil && a.word == actDone }

func (a *act) over() bool { return a != nil && (a.word == actDone || a.word == actRefused) }

// The words of what we do to the room ourselves.
const (
	roomServed   = "served"   // a leg got the room's document
	roomRecorded = "recorded" // the document began a recording
)

// needsRoom are the commands that a <Dial> cannot carry out.
var needsRoom = map[Command]bool{CommandHold: true, CommandMute: true, CommandTransfer: true, CommandAdd: true, CommandDigits: true, CommandMonitor: true}

// inRoom takes the facts that the room is made of.
func (t *tally) inRoom(f *Fact) {
	d := &f.Data
	switch f.Kind {
	case FactRoom:
		t.roomNews = append(t.roomNews, f)
	case FactCommand:
		t.orders = append(t.orders, f)
	case FactAction, FactActionAnswer:
		a := t.acts[d.Action]
		if a == nil {
			a = &act{}
			t.acts[d.Action] = a
		}
		switch {
		case f.Kind == FactAction && d.Step > a.attempts:
			a.attempts, a.askedAt, a.value, a.word = d.Step, f.At, d.Keys, ""
		case f.Kind == FactActionAnswer && d.Step >= a.attempts && a.word != actDone:
			a.word, a.answeredAt, a.error = d.Status, f.At, d.Error
			if d.SID != "" {
				a.sid = d.SID
			}
		}
		if d.Action == startName(d.Leg) && d.SID != "" {
			if v := t.view(d.Leg); v.sid == "" {
				v.sid = d.SID
			}
		}
	}
}

func startName(leg id.ID) string { return "start/" + leg.String() }

// foldRoom derives the room. w is whom the first leg was connected with.
func (t *tally) foldRoom(st *State, w *winner) *room {
	r := &room{acts: t.acts, served: map[id.ID]int{}, servedAt: map[id.ID]time.Time{}}
	st.room = r
	for _, f := range t.orders {
		r.on = r.on || needsRoom[f.Data.Command]
	}
	for name := range t.acts {
		r.on = r.on || strings.HasPrefix(name, "room/")
	}
	r.on = r.on || st.ringRoom || st.dropping()
	r.wanted = r.on || t.start.Plan.Conference && w != nil && !w.leg.IsZero() && t.dialled[w.step] == nil
	t.pauses(st, r)
	t.parties(r, w)
	t.hear(r)
	t.monitors(r)
	t.added(r)
	t.transfers(r)
	t.rest(st, r)
	return r
}

// parties are the two that the <Dial> connects.
func (t *tally) parties(r *room, w *winner) {
	s := t.start
	p := seat{parent: true, purpose: ForRoute, sid: t.sid(), since: t.startedAt, role: outside, leg: s.CallerLeg, target: route.Target{Kind: route.Caller, Address: s.From}}
	if s.Direction != Inbound && s.Agent != nil {
		p.role, p.leg, p.target, p.by = staff, s.Agent.LegID, *s.Agent, s.Agent.UserID
	}
	switch {
	case t.first.ended != nil:
		p.ended = &t.first.ended.At
	case t.asked != nil:
		p.ended = &t.asked.At
	}
	p.talks = w != nil
	r.seats = append(r.seats, p)
	if w == nil || w.leg.IsZero() || w.leg == p.leg {
		return
	}
	c := seat{child: true, purpose: ForRoute, leg: w.leg, target: w.target, since: w.at, role: staff, by: w.user, talks: true}
	if s.Direction == Outbound {
		c.role = outside
	}
	if w.target.Own {
		c.child, c.own, c.claimed = false, true, &w.at
	}
	if v := t.legs[w.leg]; v != nil {
		c.sid = v.sid
		if v.ended != nil {
			c.ended = &v.ended.At
		}
	}
	// A <Dial> that is over took its leg with it, unless that was on its way to the room.
	if d := t.dialled[w.step]; d != nil && c.ended == nil && c.child && t.acts[roomName(w.leg, 1)] == nil {
		c.ended = &d.At
	}
	r.seats = append(r.seats, c)
}

func roomName(leg id.ID, n int) string { return "room/" + leg.String() + "/" + strconv.Itoa(n) }

// own is the seat of a call that we start.
func (t *tally) own(r *room, f *Fact, x route.Target, purpose Purpose, as role) seat {
	s := seat{own: true, leg: x.LegID, target: x, purpose: purpose, role: as, by: x.UserID, since: f.At}
	if v := t.legs[x.LegID]; v != nil {
		s.sid = v.sid
		if v.ended != nil {
			s.ended = &v.ended.At
		}
	}
	if a := t.acts[startName(x.LegID)]; a != nil && a.word == actRefused && s.ended == nil {
		s.ended = &a.answeredAt
	}
	if d, ok := t.declined[x.LegID]; ok && s.ended == nil {
		s.ended = &d
	}
	if c := t.claims[x.LegID]; c != nil {
		s.claimed, s.talks = &c.At, as != monitor
	}
	return s
}

// ring is calls of ours of which one can have the place.
type ring struct {
	at    time.Time
	seats []int // of the room
	won   int   // index into the room's seats; -1 for nobody
	over  bool  // nobody can have it any more
	end   time.Time
}

// call puts the legs of an order into the room. off ends the ring: it was taken
// back, or what it was for is gone.
func (t *tally) call(r *room, f *Fact, targets []route.Target, purpose Purpose, as func(route.Target) role) *ring {
	g := &ring{at: f.At, won: -1, over: true, end: f.At}
	for _, x := range targets {
		s := t.own(r, f, x, purpose, as(x))
		if s.claimed != nil && g.won < 0 {
			g.won = len(r.seats)
		}
		if s.ended == nil {
			g.over = false
		} else if s.ended.After(g.end) {
			g.end = *s.ended
		}
		g.seats = append(g.seats, len(r.seats))
		r.seats = append(r.seats, s)
	}
	for _, i := range g.seats {
		s := &r.seats[i]
		s.ringing = g.won < 0 && s.ended == nil
		s.out = g.won >= 0 && g.won != i
		s.in = g.won == i
	}
	if g.won >= 0 {
		g.over = false
	}
	return g
}

// stop takes a ring back.
func (g *ring) stop(r *room) {
	for _, i := range g.seats {
		r.seats[i].ringing, r.seats[i].in, r.seats[i].out = false, false, true
	}
}

func asStaff(x route.Target) role {
	if x.UserID.IsZero() {
		return guest
	}
	return staff
}

// hear folds what Twilio told of the conference.
func (t *tally) hear(r *room) {
	for _, f := range t.roomNews {
		d := &f.Data
		if d.Status == roomServed {
			r.served[d.Leg], r.servedAt[d.Leg] = max(r.served[d.Leg], d.Step), f.At
			r.recorded = r.recorded || d.Keys == roomRecorded
			continue
		}
		if d.Room != "" {
			r.sid = d.Room
		}
	}
}

// visit folds what was told of one party. Seats that come later hear it too.
func (t *tally) visit(s *seat) {
	in := func(f *Fact) {
		s.joined, s.joinedAt, s.visits = true, f.At, s.visits+1
		s.entryMuted = f.Data.Muted != nil && *f.Data.Muted
		s.entryCoach, s.toldHeld, s.toldMute = f.Data.Coach, false, s.entryMuted
	}
	for _, f := range t.roomNews {
		d := &f.Data
		if d.Status == roomServed || d.Leg != s.leg && (d.SID == "" || d.SID != s.sid) {
			continue
		}
		switch d.Status {
		case "participant-join":
			in(f)
		case "participant-leave":
			if s.joined {
				s.joined, s.leftAt = false, f.At
			}
		case "participant-hold", "participant-unhold":
			if !s.joined {
				in(f)
			}
			s.toldHeld = d.Status == "participant-hold"
		case "participant-mute", "participant-unmute":
			if !s.joined {
				in(f)
			}
			s.toldMute = d.Status == "participant-mute"
		}
	}
}

// added are the parties that were added to the call.
func (t *tally) added(r *room) {
	for _, f := range t.orders {
		if o := f.Data.Order; f.Data.Command == CommandAdd && o != nil {
			t.call(r, f, o.Targets, ForAdded, asStaff)
			r.conferred = true
		}
	}
}

// rest settles what follows from all of it.
func (t *tally) rest(st *State, r *room) {
	for i := range r.seats {
		s := &r.seats[i]
		s.alive = s.ended == nil
		t.visit(s)
		s.joined = s.joined && s.alive
		if s.parent || s.child {
			s.in = true
		}
		if s.own && s.claimed != nil && s.purpose == ForRoute {
			s.in = true
		}
	}
	t.toggles(r)
	for _, f := range t.orders {
		switch f.Data.Command {
		case CommandRemove:
			if s := r.find(f.Data.Leg); s != nil {
				s.out, s.ringing = true, false
			}
		case CommandDigits:
			r.digits = append(r.digits, f)
		}
	}
	if d := st.dropNow(); d != nil {
		for i := range r.seats {
			if s := &r.seats[i]; s.role != outside {
				s.out, s.ringing = true, false
			} else {
				s.in = false
			}
		}
	}
	r.end()
	if r.ended != nil && r.moving {
		r.transfer.Status, r.transfer.EndedAt, r.moving = TransferFailed, r.ended, false
	}
	hungUp := t.hangUp != nil
	for i := range r.seats {
		s := &r.seats[i]
		if r.on && (r.ended != nil || hungUp) {
			s.out, s.ringing = true, false
		}
		s.in = s.in && !s.out && s.alive && r.wanted
		if s.role == outside && r.sentOn {
			s.in = false
		}
	}
	for i := range r.seats {
		if s := &r.seats[i]; s.role == monitor {
			r.quiet(s)
		}
	}
	if r.conferred {
		r.notices = append(r.notices, ConferenceBilled)
	}
}

// toggles are hold and mute as ordered, the last word counting. A transfer holds
// whom it is about until it is settled; nobody else's order comes between.
func (t *tally) toggles(r *room) {
	for _, f := range t.orders {
		d := &f.Data
		if d.Command == CommandTransfer {
			if x := r.kept(); x != nil {
				x.held, x.heldAt = r.moving && f.Key == r.moved, f.At
				if r.transfer.EndedAt != nil && f.Key == r.moved {
					x.heldAt = *r.transfer.EndedAt
				}
			}
			continue
		}
		s := r.find(d.Leg)
		if s == nil {
			continue
		}
		switch d.Command {
		case CommandHold, CommandResume:
			s.held, s.heldAt = d.Command == CommandHold, f.At
		case CommandMute, CommandUnmute:
			s.muted, s.mutedAt = d.Command == CommandMute, f.At
		}
	}
}

// end says when the call is over: its outside party has gone, or all others have
// and nobody rings; between colleagues, when fewer than two are left.
func (r *room) end() {
	if !r.on {
		return
	}
	var theirs, ours []time.Time // when those ended who had a part in it
	left, rings := 0, false
	x := r.outside()
	if x != nil && x.ended != nil {
		theirs = append(theirs, *x.ended)
	}
	for i := range r.seats {
		s := &r.seats[i]
		switch {
		case s.role == monitor || s == x:
		case s.ringing:
			rings = true
		case s.ended != nil && (s.talks || s.own): // who rang in vain held the call until then
			ours = append(ours, *s.ended)
		case s.talks:
			left++
		}
	}
	slices.SortFunc(ours, time.Time.Compare)
	need := 1
	if x == nil {
		need = 2
	}
	if left < need && !rings && !r.sentOn && len(ours) > 0 {
		n := len(ours) - 1
		if x == nil && left == 0 && n > 0 {
			n--
		}
		theirs = append(theirs, ours[n])
	}
	if len(theirs) > 0 {
		at := slices.MinFunc(theirs, time.Time.Compare)
		r.ended = &at
	}
}

// gone reports whether a person has left the call to others of us, who go on.
func (r *room) gone(user id.ID) bool {
	if user.IsZero() {
		return false
	}
	had, others := false, false
	for _, s := range r.seats {
		here := s.ended == nil && !s.out
		switch {
		case !s.talks || s.role == monitor || s.role == outside:
		case s.by == user && here:
			return false
		case s.by == user:
			had = true
		case here:
			others = true
		}
	}
	return had && others
}

// find is the seat of a leg, nil when it has none.
func (r *room) find(leg id.ID) *seat {
	if r == nil || leg.IsZero() {
		return nil
	}
	i := slices.IndexFunc(r.seats, func(s seat) bool { return s.leg == leg })
	if i < 0 {
		return nil
	}
	return &r.seats[i]
}

// outside is the party that the business talks with; nil in calls between colleagues.
func (r *room) outside() *seat {
	i := slices.IndexFunc(r.seats, func(s seat) bool { return s.role == outside })
	if i < 0 {
		return nil
	}
	return &r.seats[i]
}

// kept is whom a transfer is about: the outside party, else whoever of the two does
// not transfer.
func (r *room) kept() *seat {
	if x := r.outside(); x != nil {
		return x
	}
	return r.side(func(s *seat) bool { return (s.parent || s.child) && s.leg != r.mover })
}

func (r *room) first() *seat { return r.side(func(s *seat) bool { return s.parent }) }

func (r *room) second() *seat { return r.side(func(s *seat) bool { return s.child }) }

func (r *room) side(is func(*seat) bool) *seat {
	for i := range r.seats {
		if is(&r.seats[i]) {
			return &r.seats[i]
		}
	}
	return nil
}

// lastRoom is when something was heard of the room last.
func (t *tally) lastRoom() time.Time {
	last := t.startedAt
	for _, list := range [][]*Fact{t.orders, t.roomNews} {
		for _, f := range list {
			last = later(last, f.At)
		}
	}
	for _, a := range t.acts {
		last = later(last, later(a.askedAt, a.answeredAt))
	}
	for _, s := range t.room.seats {
		if s.claimed != nil {
			last = later(last, *s.claimed)
		}
	}
	return last
}
