package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Call states (twilio: voice/api/call-resource). "initiated" is seen in callbacks only.
const (
	queued     = "queued"
	initiated  = "initiated"
	ringing    = "ringing"
	inProgress = "in-progress"
	completed  = "completed"
	busy       = "busy"
	failed     = "failed"
	noAnswer   = "no-answer"
	canceled   = "canceled"
)

// interval is a stretch of time in which somebody was heard.
type interval struct{ from, to time.Time }

// call is one leg: Twilio on one side, one party (a phone, a client) on the other.
type call struct {
	account   *account
	sid       string
	parent    *call
	children  []*call
	from, to  string
	direction string // inbound, outbound-api, outbound-dial
	target    string // who rings; "" for inbound legs
	number    *number

	status                            string
	created, started, answered, ended time.Time
	queueTime                         time.Duration
	history                           []change

	forwardedFrom, callerName, verstat string

	plan
	gen       int // grows whenever what ran before no longer counts
	timers    []*timer
	frame     *frame
	verb      string
	documents int
	gather    *gather
	taking    *taking
	dial      *dial
	leg       *leg
	peer      *call // the other leg when a call goes to a number of our own

	events   map[string]bool
	sequence int
	lane     *lane
	jar      http.CookieJar

	voice      []interval
	bridges    []*bridged
	seat       *participant   // in a conference, or on the way there
	seats      []*participant // every one it ever had
	afterAsk   func()         // runs once the next question is answered
	settled    func()         // runs once the next document is under way
	speech     string
	recordings []*recording
	record     *recordRequest
	sipCode    int
	timeout    time.Duration
	timeLimit  time.Duration
	sendDigits string
	token      string
	params     map[string]string

	party
}

type change struct {
	at     time.Time
	status string
}

type frame struct {
	doc *document
	i   int
}

func (c *call) over() bool { return !c.ended.IsZero() }

// root is the call that the leg belongs to.
func (c *call) root() *call {
	for c.parent != nil {
		c = c.parent
	}
	return c
}

// other is the leg this one talks to.
func (c *call) other() *call {
	switch {
	case c.dial != nil && c.dial.bridged != nil:
		return c.dial.bridged.call
	case c.leg != nil && c.leg.dial.bridged == c.leg && !c.over():
		return c.leg.dial.parent
	}
	return c.mate
}

func (c *call) seconds() int {
	if c.answered.IsZero() || c.ended.IsZero() {
		return 0
	}
	return int((c.ended.Sub(c.answered) + 999*time.Millisecond) / time.Second)
}

func (e *Emulator) newCall(a *account, from, to, direction string) *call {
	c := &call{account: a, sid: e.sid("CA"), from: from, to: to, direction: direction, status: queued, created: e.at,
		plan: plan{callbackMethod: http.MethodPost}, events: map[string]bool{}, lane: &lane{}, jar: newJar()}
	c.history = []change{{e.at, queued}}
	e.calls = append(e.calls, c)
	e.callBy[c.sid] = c
	return c
}

// InboundCall is somebody calling a number of an account.
type InboundCall struct {
	From          string `json:"from"` // E.164, sip:, or a word such as anonymous
	To            string `json:"to"`
	ForwardedFrom string `json:"forwardedFrom,omitempty"`
	CallerName    string `json:"callerName,omitempty"`
	StirVerstat   string `json:"stirVerstat,omitempty"`
}

// PlaceCall lets an outside phone call a number of an account and returns the CallSid.
func (e *Emulator) PlaceCall(from, to string) (sid string, err error) {
	return e.PlaceInbound(InboundCall{From: from, To: to})
}

// PlaceInbound is PlaceCall with all that a carrier may tell about the caller.
func (e *Emulator) PlaceInbound(in InboundCall) (sid string, err error) {
	e.do(func() {
		n := e.byNumber[in.To]
		switch {
		case n == nil:
			err = fmt.Errorf("emulator: %s is not a number of any account", in.To)
		case in.From == "":
			err = errors.New("emulator: somebody has to call; give from")
		default:
			sid = e.inbound(n, in, nil).sid
		}
	})
	return sid, err
}

// inbound starts a call to one of our numbers. The peer is the leg that calls it when the
// caller is a call of our own.
func (e *Emulator) inbound(n *number, in InboundCall, peer *call) *call {
	c := e.newCall(n.account, in.From, in.To, "inbound")
	c.number, c.started, c.peer = n, e.at, peer
	c.forwardedFrom, c.callerName, c.verstat = in.ForwardedFrom, in.CallerName, in.StirVerstat
	e.setStatus(c, ringing)
	c.plan = plan{url: n.spec.VoiceURL, method: n.spec.VoiceMethod, fallback: n.spec.VoiceFallbackURL, fallbackMethod: n.spec.VoiceFallbackMethod,
		callback: n.spec.StatusCallback, callbackMethod: n.spec.StatusCallbackMethod}
	if app := n.account.app(n.spec.VoiceApplicationSID); app != nil {
		c.plan = app.plan()
	}
	c.events["completed"] = true
	if !n.spec.CallerIDLookup {
		c.callerName = ""
	}
	if n.spec.TrunkSID != "" { // the trunk has the call: no webhook of any kind
		c.callback = ""
		e.end(c, failed)
		return c
	}
	if c.url == "" || n.account.status != "active" || n.spec.NoVoice {
		e.end(c, failed) // and no debugger entry
		return c
	}
	e.fetch(c, c.url, c.method, url.Values{"CallToken": {e.newToken(c)}})
	return c
}

// newToken makes the CallToken with which a call made by REST may show the caller of this
// one, while this one lasts.
func (e *Emulator) newToken(c *call) string {
	c.token = `{"parentCallInfoToken":"` + e.random() + `"}`
	e.tokens[c.token] = c
	return c.token
}

// place starts an outbound leg: initiated, then ringing where there is something to ring.
func (e *Emulator) place(c *call) {
	c.started = e.at
	c.target = c.to
	if strings.HasPrefix(c.target, "client:") {
		c.target, _, _ = strings.Cut(c.target, "?")
	}
	if strings.HasPrefix(c.target, "sip:") {
		c.target, _, _ = strings.Cut(c.target, ";")
		c.target, _, _ = strings.Cut(c.target, "?")
	}
	e.setStatus(c, initiated)
	e.emit(c, "initiated")
	e.arrive(c)
}

// answerCall makes a leg in-progress. An answered outbound leg goes on to what it was made
// for.
func (e *Emulator) answerCall(c *call) {
	if c.over() || !c.answered.IsZero() {
		return
	}
	c.answered = e.at
	e.setStatus(c, inProgress)
	e.emit(c, "answered")
	if c.direction == "inbound" {
		if p := c.peer; p != nil {
			e.answerCall(p)
			if keys := strings.Trim(p.sendDigits, "wW"); keys != "" && !c.over() {
				e.after(time.Second, func() { e.press(c, keys) })
			}
		}
		return
	}
	e.dropTimers(c)
	c.hear(keys(c.sendDigits))
	e.detect(c)
	switch {
	case c.leg != nil:
		e.legAnswered(c.leg)
	default:
		e.begin(c)
	}
}

// begin runs the document of a call made by REST.
func (e *Emulator) begin(c *call) {
	if c.timeLimit > 0 {
		e.after(c.timeLimit, func() { e.end(c, completed) })
	}
	if c.record != nil {
		e.startRecording(c, *c.record)
	}
	if c.seat != nil {
		e.takeSeat(c.seat)
		return
	}
	e.afterVerdict(c, func(verdict url.Values) {
		if c.inline != "" {
			e.runInline(c, c.inline)
			return
		}
		e.fetch(c, c.url, c.method, verdict)
	})
}

func (e *Emulator) runInline(c *call, xml string) {
	doc, code, text := e.readTwiML(answer{contentType: "text/xml", body: []byte(xml)}, voiceVerbs, c.account.sid, c.sid)
	if code != 0 {
		e.alert(Alert{Code: code, Text: text, Account: c.account.sid, Resource: c.sid})
		e.applicationError(c)
		return
	}
	doc.base = nil
	e.run(c, doc)
}

// end finishes a leg and everything that hangs on it. The first end wins.
func (e *Emulator) end(c *call, status string) {
	if c.over() {
		return
	}
	c.ended = e.at
	delete(e.tokens, c.token)
	e.setStatus(c, status)
	e.supersede(c)
	c.gather = nil
	if c.taking != nil {
		e.taken(c, "hangup")
	}
	if c.seat != nil {
		e.leaveSeat(c.seat, "participant_hung_up")
	}
	e.unqueue(c)
	if c.dial != nil {
		e.dialAbandoned(c.dial)
	}
	for _, r := range c.recordings {
		e.stopRecording(r)
	}
	e.emit(c, "completed")
	if l := c.leg; l != nil {
		e.legEnded(l, status)
	}
	if p := c.peer; p != nil && !p.over() {
		c.peer, p.peer = nil, nil
		e.end(p, peerStatus(c, p))
	}
	c.settle()
}

// settle does what waited for the next document.
func (c *call) settle() {
	if then := c.settled; then != nil {
		c.settled = nil
		then()
	}
}

// peerStatus is how the other half of a call between two of our own numbers ends.
func peerStatus(c, p *call) string {
	switch {
	case !p.answered.IsZero():
		return completed
	case c.direction == "inbound" && c.status == busy:
		return busy
	case c.direction == "inbound" && c.status == failed:
		return failed
	}
	return noAnswer
}

// supersede makes everything that was to happen on the leg not happen.
func (e *Emulator) supersede(c *call) {
	c.gen++
	e.dropTimers(c)
}

func (e *Emulator) dropTimers(c *call) {
	c.hush(e.at)
	for _, t := range c.timers {
		e.drop(t)
	}
	c.timers = nil
}

// later does fn on the leg unless something supersedes it.
func (e *Emulator) later(c *call, d time.Duration, fn func()) *timer {
	gen := c.gen
	t := e.after(d, func() {
		if c.gen == gen {
			fn()
		}
	})
	live := c.timers[:0]
	for _, x := range c.timers {
		if x.index >= 0 {
			live = append(live, x)
		}
	}
	c.timers = append(live, t)
	return t
}

func (e *Emulator) setStatus(c *call, s string) {
	c.status = s
	c.history = append(c.history, change{e.at, s})
}

// form is what every request about a call carries (twilio: voice/twiml).
func (e *Emulator) form(c *call) url.Values {
	f := url.Values{}
	for k, v := range map[string]string{
		"CallSid": c.sid, "AccountSid": c.account.sid, "ApiVersion": "2010-04-01", "From": c.from, "To": c.to,
		"Caller": c.from, "Called": c.to, "CallStatus": c.status, "Direction": c.direction,
	} {
		f.Set(k, v)
	}
	for name, party := range map[string]string{"From": c.from, "Caller": c.from, "To": c.to, "Called": c.to} {
		if isE164(party) {
			f.Set(name+"City", "")
			f.Set(name+"State", "")
			f.Set(name+"Zip", "")
			f.Set(name+"Country", country(party))
		}
	}
	for k, v := range c.invite {
		f[k] = v
	}
	if c.parent != nil {
		f.Set("ParentCallSid", c.parent.sid)
	}
	for k, v := range map[string]string{"ForwardedFrom": c.forwardedFrom, "CallerName": c.callerName, "StirVerstat": c.verstat} {
		if v != "" {
			f.Set(k, v)
		}
	}
	return f
}

// emit tells the status callback, if it asked for the event.
func (e *Emulator) emit(c *call, event string) {
	if c.callback == "" || !c.events[event] {
		return
	}
	f := e.form(c)
	f.Set("CallbackSource", "call-progress-events")
	f.Set("SequenceNumber", itoa(c.sequence))
	f.Set("Timestamp", rfc2822(e.at))
	c.sequence++
	if event == "completed" {
		f.Set("CallDuration", itoa(c.seconds()))
		if c.status == completed {
			f.Set("Duration", itoa((c.seconds()+59)/60))
		}
		if code := c.sip(); code != 0 {
			f.Set("SipResponseCode", itoa(code))
		}
		if c.record != nil && len(c.recordings) > 0 {
			r := c.recordings[0]
			f.Set("RecordingUrl", e.recordingURL(r))
			f.Set("RecordingSid", r.sid)
			f.Set("RecordingDuration", itoa(r.duration))
		}
	}
	e.send(c.account, &delivery{Delivery: Delivery{Kind: KindStatus, Resource: c.sid, Event: event, Method: c.callbackMethod, URL: c.callback, Form: f, Voice: true},
		lane: c.root().lane, jar: c.root().jar})
}

func (c *call) sip() int {
	if c.sipCode != 0 {
		return c.sipCode
	}
	switch c.status {
	case completed:
		return 200
	case busy:
		return 486
	case noAnswer, canceled:
		return 487
	case failed:
		return 404
	}
	return 0
}

func rfc2822(t time.Time) string { return t.UTC().Format(time.RFC1123Z) }

// fetch asks a URL what to do with the leg and does it.
func (e *Emulator) fetch(c *call, to, method string, extra url.Values) {
	if c.documents++; c.documents > 500 {
		e.alert(Alert{Text: "the emulator ends a call after 500 documents: a loop of redirects", Account: c.account.sid, Resource: c.sid, URL: to})
		e.end(c, completed)
		return
	}
	e.supersede(c)
	c.verb = "fetch"
	e.ask(c, to, method, extra, func(a answer) { e.obey(c, a, to, method, extra, false) })
}

// ask sends a TwiML request; then runs with the answer unless the leg moved on meanwhile.
func (e *Emulator) ask(c *call, to, method string, extra url.Values, then func(answer)) {
	f := e.form(c)
	for k, v := range extra {
		f[k] = v
	}
	gen := c.gen
	after := c.afterAsk
	c.afterAsk = nil
	e.send(c.account, &delivery{Delivery: Delivery{Kind: KindTwiML, Resource: c.sid, Method: cmp.Or(method, http.MethodPost), URL: to, Form: f, Voice: true},
		lane: c.root().lane, jar: c.root().jar, done: func(a answer) {
			if c.gen == gen && !c.over() {
				then(a)
			}
			if after != nil {
				after()
			}
		}})
}

// obey runs what a URL answered, or tries the fallback with the error.
func (e *Emulator) obey(c *call, a answer, asked, method string, extra url.Values, isFallback bool) {
	code, text := a.code, a.text
	var doc *document
	if code == 0 {
		doc, code, text = e.readTwiML(a, voiceVerbs, c.account.sid, c.sid)
	}
	if code == 0 {
		e.run(c, doc)
		return
	}
	e.alert(Alert{Code: code, Text: text, Account: c.account.sid, Resource: c.sid, URL: asked, Method: method})
	if isFallback || c.fallback == "" {
		e.applicationError(c)
		return
	}
	f := url.Values{}
	for k, v := range extra {
		f[k] = v
	}
	f.Set("ErrorCode", itoa(code))
	f.Set("ErrorUrl", asked)
	e.ask(c, c.fallback, c.fallbackMethod, f, func(a answer) { e.obey(c, a, c.fallback, c.fallbackMethod, f, true) })
}

// applicationError is the voice that says "an application error has occurred".
func (e *Emulator) applicationError(c *call) {
	if c.answered.IsZero() {
		e.end(c, failed)
		return
	}
	e.end(c, completed)
}

// tell sends a request whose answer no longer matters: the call is over or taken away.
func (e *Emulator) tell(c *call, to, method string, extra url.Values) {
	f := e.form(c)
	for k, v := range extra {
		f[k] = v
	}
	e.send(c.account, &delivery{Delivery: Delivery{Kind: KindTwiML, Resource: c.sid, Method: cmp.Or(method, http.MethodPost), URL: to, Form: f, Voice: true},
		lane: c.root().lane, jar: c.root().jar, done: func(a answer) {
			if a.code != 0 {
				e.alert(Alert{Code: a.code, Text: a.text, Account: c.account.sid, Resource: c.sid, URL: to, Method: method})
			}
		}})
}
