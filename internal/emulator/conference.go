package emulator

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// conference is one conference of an account. Its name is free again once it is over.
type conference struct {
	account          *account
	sid, name        string
	status           string // init, in-progress, completed
	created, updated time.Time
	roomSettings
	fixed      bool // somebody has joined: the settings stand
	started    bool
	seats      []*participant // who is in, in the order of joining
	coming     []*participant // who is being called by REST
	everyone   []*participant
	labels     map[string]*participant
	sequence   int
	lane       *lane
	recordings []*recording
	notices    []*music
	reason     string // why it is over
	ender      string // the call that ended it
}

// roomSettings are fixed by the first participant (twilio: voice/twiml/conference).
type roomSettings struct {
	callback, method string
	events           map[string]bool
	region           string
	most             int
	record           *recordRequest // nil: not recorded
}

// participant is a call in a conference, or one that is called to join it.
type participant struct {
	room             *conference
	call             *call
	dial             *dial // nil when REST made it
	label            string
	created, updated time.Time
	connected, gone  bool
	muted, hold      bool
	startOnEnter     bool
	endOnExit        bool
	beep             string
	coach            string // the call that it coaches
	waitURL          string
	waitMethod       string
	silent           bool // waitUrl is empty: it waits in silence
	settings         roomSettings
	music            *music
	notices          []*music
	leaving          string // why it will have left, when known before
	kicked           bool
	met              bool // it was in the room with somebody
	speaks, hears    periods
	whispers         []*whisper
}

// whisper is a coach speaking to one participant only.
type whisper struct {
	to *call
	periods
}

// periods are stretches of time; the last one is open while its end is zero.
type periods []interval

func (p *periods) set(on bool, at time.Time) {
	l := *p
	open := len(l) > 0 && l[len(l)-1].to.IsZero()
	switch {
	case on && !open:
		*p = append(l, interval{from: at})
	case !on && open:
		l[len(l)-1].to = at
	}
}

// inside reports whether the participant is part of what goes on in the room.
func (p *participant) inside() bool { return p.connected && !p.gone && p.room.started && !p.hold }

const mostSeats = 250

// room is the open conference of a name, made when there is none.
func (e *Emulator) room(a *account, name string) *conference {
	key := a.sid + "/" + name
	if list := e.named[key]; len(list) > 0 && list[len(list)-1].status != completed {
		return list[len(list)-1]
	}
	r := &conference{account: a, sid: e.sid("CF"), name: name, status: "init", created: e.at, updated: e.at, labels: map[string]*participant{}, lane: &lane{}}
	e.rooms = append(e.rooms, r)
	e.roomBy[r.sid] = r
	e.named[key] = append(e.named[key], r)
	return r
}

// openRoom is the open conference of a name, or nil.
func (e *Emulator) openRoom(a *account, name string) *conference {
	if list := e.named[a.sid+"/"+name]; len(list) > 0 && list[len(list)-1].status != completed {
		return list[len(list)-1]
	}
	return nil
}

// goodLabel applies the rules of errors 16023 and 16024.
func goodLabel(s string) bool {
	return len([]rune(s)) <= 128 && !isSID(s, "CA") && !strings.Contains(s, "/") && !strings.Contains(strings.ToUpper(s), "%2F")
}

// joinByDial is <Dial><Conference>.
func (e *Emulator) joinByDial(d *dial, n *node) {
	c := d.parent
	refuse := func(code int) { // the next verb runs, whatever the action is
		e.alert(Alert{Code: code, Account: c.account.sid, Resource: c.sid})
		e.closeDial(d)
		e.step(c)
	}
	label := n.attr("participantLabel", "")
	if n.text == "" || len([]rune(n.text)) > 128 {
		refuse(13237)
		return
	}
	if !goodLabel(label) {
		refuse(16023)
		return
	}
	e.checkRoom(c, n)
	open := e.openRoom(c.account, n.text)
	coach := n.attr("coach", "")
	if coach != "" && open.member(coach) == nil {
		refuse(13240)
		return
	}
	if open != nil && label != "" && open.labels[label] != nil {
		refuse(16025)
		return
	}
	if open != nil && len(open.seats)+len(open.coming) >= open.most {
		e.alert(Alert{Code: 16020, Account: c.account.sid, Resource: open.sid})
		e.endDial(d, failed)
		return
	}
	e.answerCall(c)
	if c.over() || d.over {
		return
	}
	p := &participant{call: c, dial: d, label: label, muted: n.flag("muted", false), startOnEnter: n.flag("startConferenceOnEnter", true),
		endOnExit: n.flag("endConferenceOnExit", false), beep: n.attr("beep", "true"), coach: coach, waitMethod: n.attr("waitMethod", http.MethodPost)}
	if ref, given := n.attrs["waitUrl"]; given {
		p.waitURL = e.absolute(c, ref)
		p.silent = p.waitURL == ""
	}
	p.settings = roomSettings{callback: e.absolute(c, n.attr("statusCallback", "")), method: n.attr("statusCallbackMethod", http.MethodPost),
		events: set(n.attr("statusCallbackEvent", "start end")), region: n.attr("region", "us1"), most: seatLimit(n.number("maxParticipants", mostSeats))}
	if wantsRecord(n.attr("record", "")) {
		p.settings.record = &recordRequest{source: "Conference", channels: 1, trim: n.attr("trim", "trim-silence"),
			callback: e.absolute(c, n.attr("recordingStatusCallback", "")), method: n.attr("recordingStatusCallbackMethod", http.MethodPost),
			events: set(n.attr("recordingStatusCallbackEvent", completed))}
	}
	d.seat = p
	e.invite(e.room(c.account, n.text), p)
	if d.recordMode() != "do-not-record" {
		e.recordDial(d)
	}
	d.limit = e.after(d.node.seconds("timeLimit", 14400), func() {
		e.leaveSeat(p, "participant_hung_up")
		e.endDial(d, joined)
	})
	e.takeSeat(p)
}

// checkRoom warns of values that mean nothing; the default stands then.
func (e *Emulator) checkRoom(c *call, n *node) {
	for _, x := range []struct {
		attr, values string
		code         int
	}{
		{"muted", "true false", 13230}, {"endConferenceOnExit", "true false", 13231}, {"startConferenceOnEnter", "true false", 13232},
		{"waitMethod", "GET POST", 13234}, {"beep", "true false onEnter onExit", 13235}, {"trim", "trim-silence do-not-trim", 13239},
	} {
		if v, given := n.attrs[x.attr]; given && !set(x.values)[v] {
			delete(n.attrs, x.attr)
			e.alert(Alert{Code: x.code, Level: "warning", Account: c.account.sid, Resource: c.sid})
		}
	}
}

// joined is the DialCallStatus of a conference.
const joined = "answered"

func seatLimit(n int) int { return min(max(n, 2), mostSeats) }

func wantsRecord(s string) bool { return s == "true" || s == "record-from-start" }

// invite gives a call a place in a room before it is in.
func (e *Emulator) invite(r *conference, p *participant) {
	p.room, p.created, p.updated = r, e.at, e.at
	if !r.fixed && r.most == 0 {
		r.roomSettings = p.settings // until somebody is in
	}
	if p.label != "" {
		r.labels[p.label] = p
	}
	r.coming = append(r.coming, p)
	p.call.seat = p
}

// takeSeat lets a participant in. The conference starts with the second one, once somebody in
// it starts conferences.
func (e *Emulator) takeSeat(p *participant) {
	r, c := p.room, p.call
	if p.gone || p.connected {
		return
	}
	r.coming = slices.DeleteFunc(r.coming, func(o *participant) bool { return o == p })
	if !r.fixed {
		r.fixed, r.roomSettings = true, p.settings
	}
	p.connected, p.updated = true, e.at
	r.status, r.updated = inProgress, e.at
	r.seats = append(r.seats, p)
	r.everyone = append(r.everyone, p)
	c.seats = append(c.seats, p)
	if p.dial == nil {
		c.verb = "Conference"
	}
	e.roomEvent(r, "participant-join", p, nil)
	if !r.started && len(r.seats) >= 2 && slices.ContainsFunc(r.seats, func(o *participant) bool { return o.startOnEnter }) {
		e.startRoom(r)
	} else if !r.started {
		e.waitMusic(p)
	}
	e.mixRoom(r)
}

func (e *Emulator) startRoom(r *conference) {
	r.started = true
	for _, p := range r.seats {
		if !p.hold {
			e.stopMusic(p.music)
		}
	}
	e.roomEvent(r, "conference-start", nil, nil)
	if q := r.record; q != nil {
		c := r.seats[0].call
		e.newRecording(c, r, *q)
	}
}

// mixRoom works out anew who hears whom.
func (e *Emulator) mixRoom(r *conference) {
	in := 0
	for _, p := range r.seats {
		if p.inside() {
			in++
		}
	}
	for _, p := range r.seats {
		e.mixSeat(p)
		p.met = p.met || p.inside() && in > 1
	}
}

func (e *Emulator) mixSeat(p *participant) {
	in := p.inside()
	p.hears.set(in, e.at)
	p.speaks.set(in && !p.muted && p.coach == "", e.at)
	t := p.room.member(p.coach)
	on := in && !p.muted && t != nil && t.inside()
	for _, w := range p.whispers {
		if t == nil || w.to != t.call {
			w.set(false, e.at)
		}
	}
	if n := len(p.whispers); t != nil && on && (n == 0 || p.whispers[n-1].to != t.call) {
		p.whispers = append(p.whispers, &whisper{to: t.call})
	}
	if n := len(p.whispers); n > 0 && t != nil && p.whispers[n-1].to == t.call {
		p.whispers[n-1].set(on, e.at)
	}
}

// member is who is in the room with that call, or nil.
func (r *conference) member(sid string) *participant {
	if r == nil || sid == "" {
		return nil
	}
	for _, p := range r.seats {
		if p.call.sid == sid {
			return p
		}
	}
	return nil
}

// seat is a participant by its path key, a CallSid or a label.
func (r *conference) seat(key string) *participant {
	if p := r.labels[key]; p != nil {
		return p
	}
	for _, list := range [][]*participant{r.seats, r.coming} {
		for _, p := range list {
			if p.call.sid == key {
				return p
			}
		}
	}
	return nil
}

// newMusic is music for one participant.
func (e *Emulator) newMusic(p *participant) *music {
	c := p.call
	return &music{account: c.account, about: c.sid, jar: c.root().jar, legs: []*call{c}, form: func() url.Values {
		f := e.form(c)
		f.Set("ConferenceSid", p.room.sid)
		f.Set("FriendlyName", p.room.name)
		return f
	}}
}

// waitMusic plays what a participant chose to hear until the conference starts.
func (e *Emulator) waitMusic(p *participant) {
	e.stopMusic(p.music)
	p.music = e.newMusic(p)
	switch {
	case p.silent:
	case p.waitURL == "":
		e.sing(p.music, DefaultMusic, "", forever, func() {})
	default:
		e.fetchMusic(p.music, p.waitURL, p.waitMethod)
	}
}

const forever = 24 * time.Hour

// holdSeat takes a participant out of what goes on in the room, and lets it hear a URL.
func (e *Emulator) holdSeat(p *participant, to, method string) {
	was := p.hold
	p.hold = true
	e.stopMusic(p.music)
	p.music = e.newMusic(p)
	e.mixRoom(p.room)
	if !was {
		e.roomEvent(p.room, "participant-hold", p, nil)
	}
	if to == "" {
		e.sing(p.music, DefaultMusic, "", forever, func() {})
		return
	}
	e.fetchMusic(p.music, to, method)
}

func (e *Emulator) unholdSeat(p *participant) {
	if !p.hold {
		return
	}
	p.hold = false
	e.stopMusic(p.music)
	e.roomEvent(p.room, "participant-unhold", p, nil)
	if !p.room.started {
		e.waitMusic(p)
	}
	e.mixRoom(p.room)
}

// announce lets one participant, or everybody who is in, hear a URL.
func (e *Emulator) announce(r *conference, p *participant, to, method string) {
	var m *music
	if p != nil {
		m = e.newMusic(p)
		p.notices = append(p.notices, m)
	} else {
		m = &music{account: r.account, about: r.sid, form: func() url.Values {
			return url.Values{"AccountSid": {r.account.sid}, "ApiVersion": {"2010-04-01"}, "ConferenceSid": {r.sid}, "FriendlyName": {r.name}}
		}}
		for _, s := range r.seats {
			m.legs = append(m.legs, s.call)
		}
		r.notices = append(r.notices, m)
	}
	m.ended = func(problem string) {
		if problem == "" {
			e.roomEvent(r, "announcement-end", p, map[string]string{"AnnounceUrl": to})
			return
		}
		e.roomEvent(r, "announcement-fail", p, map[string]string{"AnnounceUrl": to, "ReasonAnnouncementFailed": problem})
	}
	e.fetchMusic(m, to, method)
}

// leaveSeat takes a participant out of the room; what its call does next is up to the caller.
// The room may end with it.
func (e *Emulator) leaveSeat(p *participant, reason string) {
	if p.gone {
		return
	}
	r := p.room
	e.unseat(p, reason)
	if r.status == completed {
		return
	}
	switch {
	case p.connected && p.endOnExit:
		e.endRoom(r, "participant-with-end-conference-on-exit-"+p.parting(), p)
	case len(r.seats)+len(r.coming) == 0:
		e.endRoom(r, "last-participant-"+p.parting(), p)
	default:
		e.mixRoom(r)
	}
}

func (p *participant) parting() string {
	if p.kicked {
		return "kicked"
	}
	return "left"
}

// unseat frees the place of a participant and tells of it.
func (e *Emulator) unseat(p *participant, reason string) {
	r, c := p.room, p.call
	p.gone, p.updated = true, e.at
	c.seat = nil
	if r.labels[p.label] == p {
		delete(r.labels, p.label)
	}
	r.seats = slices.DeleteFunc(r.seats, func(o *participant) bool { return o == p })
	r.coming = slices.DeleteFunc(r.coming, func(o *participant) bool { return o == p })
	e.stopMusic(p.music)
	for _, m := range p.notices {
		e.stopMusic(m)
	}
	for _, s := range c.sounds {
		s.stop(e.at)
	}
	p.hears.set(false, e.at)
	p.speaks.set(false, e.at)
	for _, w := range p.whispers {
		w.set(false, e.at)
	}
	if p.leaving != "" {
		reason = p.leaving
	}
	if !p.connected {
		reason = "participant_add_failed"
	}
	e.roomEvent(r, "participant-leave", p, map[string]string{"ParticipantCallStatus": c.restStatus(c.status), "ReasonParticipantLeft": reason})
}

// endRoom ends a conference. The calls in it go on with their documents, unless REST ended
// it, which hangs everybody up.
func (e *Emulator) endRoom(r *conference, reason string, by *participant) {
	if r.status == completed {
		return
	}
	viaAPI := by == nil
	r.status, r.reason, r.updated = completed, reason, e.at
	rest := append(slices.Clone(r.seats), r.coming...)
	told := "moderator_ended_conference"
	if viaAPI {
		told = "conference_ended_via_api"
	}
	for _, p := range rest {
		e.unseat(p, told)
	}
	for _, m := range r.notices {
		e.stopMusic(m)
	}
	for _, rec := range r.recordings {
		e.stopRecording(rec)
	}
	extra := map[string]string{"ReasonConferenceEnded": reason, "Reason": strings.ReplaceAll(reason, "-", " ")}
	if by != nil {
		r.ender = by.call.sid
		extra["CallSidEndingConference"] = by.call.sid
		if by.label != "" {
			extra["ParticipantLabelEndingConference"] = by.label
		}
	}
	e.roomEvent(r, "conference-end", nil, extra)
	for _, p := range rest {
		switch {
		case p.call.over():
		case p.call.answered.IsZero():
			e.cancel(p.call)
		case p.dial != nil && !viaAPI:
			e.endDial(p.dial, joined)
		default:
			e.end(p.call, completed)
		}
	}
}

// expel removes a participant and hangs it up.
func (e *Emulator) expel(p *participant) {
	p.kicked, p.leaving = true, "participant_updated_via_api"
	if p.call.answered.IsZero() {
		e.cancel(p.call)
		return
	}
	e.end(p.call, completed)
}

// roomTokens are the words of statusCallbackEvent that ask for each event.
var roomTokens = map[string]string{"conference-start": "start", "conference-end": "end", "participant-join": "join", "participant-leave": "leave",
	"participant-mute": "mute", "participant-unmute": "mute", "participant-hold": "hold", "participant-unhold": "hold", "participant-modify": "modify",
	"participant-speech-start": "speaker", "participant-speech-stop": "speaker", "announcement-end": "announcement", "announcement-fail": "announcement"}

// roomEvent tells the callback of a conference, if it asked for the event.
func (e *Emulator) roomEvent(r *conference, event string, p *participant, extra map[string]string) {
	if r.callback == "" || !r.events[roomTokens[event]] {
		return
	}
	f := url.Values{"ConferenceSid": {r.sid}, "FriendlyName": {r.name}, "AccountSid": {r.account.sid}, "SequenceNumber": {itoa(r.sequence)},
		"Timestamp": {rfc2822(e.at)}, "StatusCallbackEvent": {event}}
	if p != nil {
		f.Set("CallSid", p.call.sid)
		if p.label != "" {
			f.Set("ParticipantLabel", p.label)
		}
		for k, v := range map[string]bool{"Muted": p.muted, "Hold": p.hold, "Coaching": p.coach != "", "EndConferenceOnExit": p.endOnExit, "StartConferenceOnEnter": p.startOnEnter} {
			f.Set(k, trueFalse(v))
		}
		if p.coach != "" {
			f.Set("CallSidToCoach", p.coach)
		}
	}
	for k, v := range extra {
		f.Set(k, v)
	}
	e.send(r.account, &delivery{Delivery: Delivery{Kind: KindRoom, Resource: r.sid, Event: itoa(r.sequence) + "/" + event, Method: r.method, URL: r.callback, Form: f, Voice: true}, lane: r.lane})
	r.sequence++
}

func trueFalse(on bool) string {
	if on {
		return "true"
	}
	return "false"
}

// spoke tells of a participant that speaks for a while.
func (e *Emulator) spoke(p *participant, d time.Duration) {
	if !p.inside() || p.muted {
		return
	}
	e.roomEvent(p.room, "participant-speech-start", p, nil)
	e.after(d, func() {
		if !p.gone {
			e.roomEvent(p.room, "participant-speech-stop", p, nil)
		}
	})
}

// Participant is one party of a conference as the emulator sees it.
type Participant struct {
	Call      string `json:"call"`
	Label     string `json:"label,omitempty"`
	Status    string `json:"status"`
	Muted     bool   `json:"muted,omitempty"`
	Held      bool   `json:"held,omitempty"`
	Coaching  string `json:"coaching,omitempty"`
	EndOnExit bool   `json:"endOnExit,omitempty"`
}

// Conference is one conference as the emulator sees it.
type Conference struct {
	SID          string        `json:"sid"`
	Account      string        `json:"account"`
	Name         string        `json:"name"`
	Status       string        `json:"status"`
	Started      bool          `json:"started"`
	Created      time.Time     `json:"created"`
	Reason       string        `json:"reason,omitempty"` // why it ended
	Participants []Participant `json:"participants"`
}

// Conferences returns every conference, oldest first.
func (e *Emulator) Conferences() (list []Conference) {
	e.read(func() {
		for _, r := range e.rooms {
			c := Conference{SID: r.sid, Account: r.account.sid, Name: r.name, Status: r.status, Started: r.started, Created: r.created, Reason: r.reason, Participants: []Participant{}}
			for _, seats := range [][]*participant{r.seats, r.coming} {
				for _, p := range seats {
					c.Participants = append(c.Participants, Participant{Call: p.call.sid, Label: p.label, Status: p.state(), Muted: p.muted, Held: p.hold,
						Coaching: p.coach, EndOnExit: p.endOnExit})
				}
			}
			list = append(list, c)
		}
	})
	return list
}
