package emulator

import (
	"cmp"
	"net/http"
	"time"
)

// Recording states (twilio: voice/api/recording).
const (
	paused     = "paused"
	processing = "processing"
	absent     = "absent"
	deleted    = "deleted"
	stopped    = "stopped"
)

// recordRequest is how somebody asked for a recording.
type recordRequest struct {
	source   string
	channels int
	trim     string
	track    string
	callback string
	method   string
	events   map[string]bool
}

type recording struct {
	recordRequest
	sid              string
	call             *call       // always the parent of a two-leg call
	room             *conference // of the mix of a conference
	status           string
	started, stopped time.Time
	updated          time.Time
	past             []change
	gaps             []gap
	silent           bool
	duration         int // whole seconds
	length           time.Duration
	sound            [2][]span // of the finished file, by channel
	gone             bool
}

// gap is a pause; skipped ones leave no trace in the file, others are silent.
type gap struct {
	interval
	skip bool
}

// span is a stretch of sound in a finished file.
type span struct{ from, to time.Duration }

func (e *Emulator) recordingURL(r *recording) string {
	return e.o.BaseURL + "/2010-04-01/Accounts/" + r.call.account.sid + "/Recordings/" + r.sid
}

func (e *Emulator) startRecording(c *call, q recordRequest) *recording {
	return e.newRecording(c, nil, q)
}

// newRecording starts a recording of a call, or of a conference that the call is in.
func (e *Emulator) newRecording(c *call, room *conference, q recordRequest) *recording {
	q.channels, q.track, q.method = cmp.Or(q.channels, 1), cmp.Or(q.track, "both"), cmp.Or(q.method, http.MethodPost)
	r := &recording{recordRequest: q, sid: e.sid("RE"), call: c, room: room, status: inProgress, started: e.at, updated: e.at}
	if room != nil {
		room.recordings = append(room.recordings, r)
	} else {
		c.recordings = append(c.recordings, r)
	}
	e.recs = append(e.recs, r)
	e.recBy[r.sid] = r
	e.turn(r, inProgress)
	e.notifyRecording(r, inProgress)
	return r
}

// turn gives a recording its next status.
func (e *Emulator) turn(r *recording, status string) {
	r.status, r.updated = status, e.at
	r.past = append(r.past, change{e.at, status})
}

// seen is the status that a reader gets whose answer is as old as at (Chaos.ReadLag).
func (r *recording) seen(at time.Time) string {
	s := r.past[0].status
	for _, p := range r.past {
		if !p.at.After(at) {
			s = p.status
		}
	}
	return s
}

func (r *recording) active() bool { return r.stopped.IsZero() }

// pause and resume do nothing to a recording already in that state.
func (e *Emulator) pauseRecording(r *recording, skip bool) {
	if r.status != inProgress {
		return
	}
	e.turn(r, paused)
	r.gaps = append(r.gaps, gap{interval{from: e.at}, skip})
}

func (e *Emulator) resumeRecording(r *recording) {
	if r.status != paused {
		return
	}
	e.turn(r, inProgress)
	r.gaps[len(r.gaps)-1].to = e.at
}

// stopRecording ends a recording; its file is ready a little later.
func (e *Emulator) stopRecording(r *recording) {
	if !r.active() {
		return
	}
	if r.status == paused {
		r.gaps[len(r.gaps)-1].to = e.at
	}
	r.stopped = e.at
	e.turn(r, processing)
	e.mix(r)
	e.after(e.o.RecordingDelay, func() {
		if r.gone {
			return
		}
		e.turn(r, completed)
		if r.silent {
			e.turn(r, absent)
		}
		e.notifyRecording(r, r.status)
	})
}

// mix works out what is to be heard in the file.
func (e *Emulator) mix(r *recording) {
	mine, theirs := r.voices()
	switch r.track {
	case "inbound":
		theirs = nil
	case "outbound":
		mine = nil
	}
	var heard time.Duration
	first, last := time.Duration(-1), time.Duration(0)
	for _, s := range append(append([]span(nil), mine...), theirs...) {
		heard += s.to - s.from
		if first < 0 || s.from < first {
			first = s.from
		}
		last = max(last, s.to)
	}
	if heard < time.Second {
		r.silent = true
		return
	}
	if r.source != "RecordVerb" && r.room == nil { // prompts are on the far channel of a call's recording
		for _, s := range r.call.sounds {
			theirs = append(theirs, r.spans([]interval{s.interval})...)
		}
	}
	r.length = r.place(r.stopped)
	if r.trim == "trim-silence" {
		r.length = last - first
		mine, theirs = shift(mine, first, r.length), shift(theirs, first, r.length)
	}
	r.duration = max(1, int(r.length.Round(time.Second)/time.Second))
	if e.o.SwapChannels {
		mine, theirs = theirs, mine
	}
	r.sound = [2][]span{mine, theirs}
}

// voices are the party's own and those that it heard; of a conference, the first to join
// and all the others.
func (r *recording) voices() (mine, theirs []span) {
	if r.room != nil {
		for i, p := range r.room.everyone {
			heard := r.spans(overlap(p.call.voice, p.speaks, r.stopped))
			if i == 0 {
				mine = heard
			} else {
				theirs = append(theirs, heard...)
			}
		}
		return mine, theirs
	}
	mine = r.spans(r.call.voice)
	for _, b := range r.call.bridges {
		theirs = append(theirs, r.spans(overlap(b.who.voice, []interval{b.interval}, r.stopped))...)
	}
	for _, p := range r.call.seats {
		for _, o := range p.room.everyone {
			if o == p {
				continue
			}
			theirs = append(theirs, r.spans(overlap(overlap(o.call.voice, o.speaks, r.stopped), p.hears, r.stopped))...)
			for _, w := range o.whispers {
				if w.to == r.call {
					theirs = append(theirs, r.spans(overlap(o.call.voice, w.periods, r.stopped))...)
				}
			}
		}
	}
	return mine, theirs
}

// overlap is what lies in both; what has no end yet ends at the given time.
func overlap(a, b []interval, end time.Time) (out []interval) {
	for _, x := range a {
		for _, y := range b {
			if y.to.IsZero() {
				y.to = end
			}
			from, to := x.from, x.to
			if from.Before(y.from) {
				from = y.from
			}
			if to.After(y.to) {
				to = y.to
			}
			if to.After(from) {
				out = append(out, interval{from, to})
			}
		}
	}
	return out
}

// place is where an instant lies in the file, skipped pauses taken out.
func (r *recording) place(at time.Time) time.Duration {
	d := at.Sub(r.started)
	for _, g := range r.gaps {
		if g.skip && g.from.Before(at) {
			to := g.to
			if to.After(at) {
				to = at
			}
			d -= to.Sub(g.from)
		}
	}
	return max(d, 0)
}

// spans cuts what was heard to the recorded time.
func (r *recording) spans(heard []interval) (out []span) {
	for _, h := range heard {
		for _, piece := range r.audible(h) {
			if s := (span{r.place(piece.from), r.place(piece.to)}); s.to > s.from {
				out = append(out, s)
			}
		}
	}
	return out
}

func (r *recording) audible(h interval) []interval {
	if h.from.Before(r.started) {
		h.from = r.started
	}
	if h.to.After(r.stopped) {
		h.to = r.stopped
	}
	pieces := []interval{h}
	for _, g := range r.gaps {
		var next []interval
		for _, p := range pieces {
			if !g.from.Before(p.to) || !g.to.After(p.from) {
				next = append(next, p)
				continue
			}
			next = append(next, interval{p.from, g.from}, interval{g.to, p.to})
		}
		pieces = next
	}
	out := pieces[:0]
	for _, p := range pieces {
		if p.to.After(p.from) {
			out = append(out, p)
		}
	}
	return out
}

func shift(in []span, by, length time.Duration) (out []span) {
	for _, s := range in {
		s = span{max(s.from-by, 0), min(s.to-by, length)}
		if s.to > s.from {
			out = append(out, s)
		}
	}
	return out
}

// notifyRecording tells the recording's callback, if it asked for the event.
func (e *Emulator) notifyRecording(r *recording, event string) {
	if r.callback == "" || len(r.events) > 0 && !r.events[event] || len(r.events) == 0 && event != completed {
		return
	}
	f := map[string]string{
		"AccountSid": r.call.account.sid, "CallSid": r.call.sid, "RecordingSid": r.sid, "RecordingUrl": e.recordingURL(r), "RecordingStatus": event,
		"RecordingChannels": itoa(r.channels), "RecordingStartTime": rfc2822(r.started), "RecordingSource": r.source, "RecordingTrack": r.track, "ErrorCode": "0",
	}
	if event == completed {
		f["RecordingDuration"] = itoa(r.duration)
	}
	about, l, jar := r.call.sid, r.call.root().lane, r.call.root().jar
	if r.room != nil {
		delete(f, "CallSid")
		f["ConferenceSid"] = r.room.sid
		about, l, jar = r.room.sid, r.room.lane, nil
	}
	form := map[string][]string{}
	for k, v := range f {
		form[k] = []string{v}
	}
	e.send(r.call.account, &delivery{Delivery: Delivery{Kind: KindRecording, Resource: about, Event: r.sid + "/" + event, Method: r.method, URL: r.callback, Form: form, Voice: true},
		lane: l, jar: jar})
}

// startBackground is <Start>: what it starts goes on while the document does, and after it.
func (e *Emulator) startBackground(c *call, n *node) (known bool) {
	for _, k := range n.kids {
		if k.name != "Recording" {
			e.unknown(c.account.sid, c.sid, "<Start><"+clip(k.name, 40)+">")
			e.applicationError(c)
			return false
		}
		q := recordRequest{source: "StartCallRecordingTwiML", channels: 2, trim: k.attr("trim", "do-not-trim"), track: k.attr("recordingTrack", "both"),
			method: k.attr("recordingStatusCallbackMethod", http.MethodPost), events: set(k.attr("recordingStatusCallbackEvent", completed))}
		switch to := k.attr("recordingStatusCallback", ""); {
		case to == "":
		case webURL(to):
			q.callback = to
		default: // relative URLs do not work here, and nobody is called back
			e.alert(Alert{Code: 11200, Text: "recordingStatusCallback of <Start><Recording> must be an absolute URL: " + clip(to, 200), Account: c.account.sid, Resource: c.sid})
		}
		e.startRecording(c, q)
	}
	return true
}

// Recording is one recording as the emulator sees it.
type Recording struct {
	SID      string    `json:"sid"`
	Call     string    `json:"call"`
	Room     string    `json:"conference,omitempty"` // SID, of a conference's recording
	Status   string    `json:"status"`
	Source   string    `json:"source"`
	Channels int       `json:"channels"`
	Started  time.Time `json:"started"`
	Seconds  int       `json:"seconds"`
	Deleted  bool      `json:"deleted,omitempty"`
	URL      string    `json:"url"`
}

// Recordings returns every recording, oldest first, the deleted ones included.
func (e *Emulator) Recordings() (list []Recording) {
	e.read(func() {
		for _, r := range e.recs {
			x := Recording{SID: r.sid, Call: r.call.sid, Status: r.status, Source: r.source, Channels: r.channels, Started: r.started,
				Seconds: r.duration, Deleted: r.gone, URL: e.recordingURL(r)}
			if r.room != nil {
				x.Room = r.room.sid
			}
			list = append(list, x)
		}
	})
	return list
}
