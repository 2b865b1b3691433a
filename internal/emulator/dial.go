package emulator

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// dial is a <Dial> at work: the parent waits, the children ring, the first to answer is
// bridged (twilio: voice/twiml/dial).
type dial struct {
	parent  *call
	node    *node
	doc     *document
	legs    []*leg
	waiting []*node // not yet rung, when sequential
	bridged *leg
	since   time.Time
	timer   *timer
	limit   *timer
	rec     *recording
	last    string // how the last leg ended
	lastSID string // the last leg that had been answered
	rung    int
	over    bool

	seat     *participant // of a <Conference>
	stranded bool         // the child left and nobody has said so yet
	parting  url.Values   // what the action will hear of that, nil for nothing
}

// bridged is a stretch of time in which a leg heard another.
type bridged struct {
	who *call
	interval
}

// connect lets the two legs of a bridge hear each other.
func (e *Emulator) connect(a, b *call) {
	a.bridges = append(a.bridges, &bridged{b, interval{from: e.at}})
	b.bridges = append(b.bridges, &bridged{a, interval{from: e.at}})
}

// disconnect is the end of connect.
func (e *Emulator) disconnect(d *dial) {
	if d.bridged != nil {
		e.part(d.parent, d.bridged.call)
	}
}

// part lets two legs hear each other no more.
func (e *Emulator) part(a, b *call) {
	for _, c := range []*call{a, b} {
		if n := len(c.bridges); n > 0 && c.bridges[n-1].to.IsZero() {
			c.bridges[n-1].to = e.at
		}
	}
}

// leg is a child call of a dial.
type leg struct {
	dial        *dial
	call        *call
	url, method string // the document to run before the bridge
	screening   bool
}

func (e *Emulator) startDial(c *call, n *node) {
	d := &dial{parent: c, node: n, doc: c.frame.doc}
	c.dial = d
	nouns := d.nouns()
	bad := func(code int, text string) {
		e.alert(Alert{Code: code, Text: text, Account: c.account.sid, Resource: c.sid})
		e.endDial(d, failed)
	}
	for _, k := range nouns {
		if k.name == "Conference" {
			e.joinByDial(d, k)
			return
		}
		if k.name == "Queue" {
			c.dial = nil
			e.dialQueue(c, n, k, d.doc)
			return
		}
	}
	if len(nouns) > 10 {
		bad(13250, "")
		return
	}
	if len(nouns) == 0 {
		bad(13223, "Dial: nobody to dial")
		return
	}
	if id := d.callerID(); !e.mayShow(c, nouns, id) {
		bad(13214, "Dial: invalid callerId "+clip(id, 40))
		return
	}
	if !n.flag("answerOnBridge", false) {
		e.answerCall(c)
	}
	if mode := d.recordMode(); strings.HasPrefix(mode, "record-from-ringing") {
		e.recordDial(d)
	}
	if n.flag("sequential", false) {
		d.waiting = nouns
		e.ringNext(d)
		return
	}
	for _, k := range nouns {
		if d.over || c.over() {
			return
		}
		e.ringNoun(d, k)
	}
	e.armDial(d)
}

// nouns are the targets; the plain text of a <Dial> is a number.
func (d *dial) nouns() []*node {
	var list []*node
	if d.node.text != "" {
		list = append(list, &node{name: "Number", attrs: map[string]string{}, text: d.node.text})
	}
	for _, k := range d.node.kids {
		if nested["Dial"][k.name] {
			list = append(list, k)
		}
	}
	return list
}

func (d *dial) callerID() string {
	if id := d.node.attr("callerId", ""); id != "" {
		return id
	}
	return d.parent.from
}

var sipCaller = regexp.MustCompile(`^[A-Za-z0-9_.+-]+$`)

// mayShow applies the rule of error 13214: From or To of the inbound request, a number of
// the account or a verified one; clients and SIP targets take more.
func (e *Emulator) mayShow(c *call, nouns []*node, id string) bool {
	a := c.account
	// Only a call from the telephone network proves its From and To: a device or a SIP
	// phone may claim any.
	if c.number != nil && !strings.HasPrefix(c.from, "sip:") && !strings.HasPrefix(c.from, "client:") && (id == c.from || id == c.to) {
		return true
	}
	if n := e.byNumber[id]; n != nil && n.account == a {
		return true
	}
	if slices.ContainsFunc(a.callerIDs, func(v *callerID) bool { return v.e164 == id }) {
		return true
	}
	for _, k := range nouns {
		if k.name == "Number" || k.name == "Sip" && !sipCaller.MatchString(id) {
			return false
		}
	}
	return true
}

func (d *dial) recordMode() string {
	switch m := d.node.attr("record", "do-not-record"); m {
	case "true":
		return "record-from-answer"
	case "false":
		return "do-not-record"
	default:
		return m
	}
}

// ringNoun makes the child leg of one noun and rings it.
func (e *Emulator) ringNoun(d *dial, n *node) {
	p := d.parent
	to, params := n.text, map[string]string{}
	switch n.name {
	case "Client":
		for _, k := range n.kids {
			switch k.name {
			case "Identity":
				to = k.text
			case "Parameter":
				params[k.attr("name", "")] = k.attr("value", "")
			}
		}
		to = "client:" + to
	case "Number":
		to = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(to)
	}
	c := e.newCall(p.account, d.callerID(), to, "outbound-dial")
	c.parent, c.lane, c.jar = p, nil, nil
	p.children = append(p.children, c)
	c.params, c.sendDigits = params, n.attr("sendDigits", "")
	l := &leg{dial: d, call: c, method: n.attr("method", http.MethodPost)}
	c.leg = l
	d.legs = append(d.legs, l)
	d.rung++
	if ref := n.attr("url", ""); ref != "" {
		u, err := d.doc.resolve(ref)
		if err != nil {
			e.alert(Alert{Code: 11100, Text: err.Error(), Account: p.account.sid, Resource: c.sid, URL: ref})
			e.end(c, failed)
			return
		}
		l.url = u
	}
	if ref := n.attr("statusCallback", ""); ref != "" {
		if u, err := d.doc.resolve(ref); err == nil {
			c.callback, c.callbackMethod = u, n.attr("statusCallbackMethod", http.MethodPost)
		} else {
			e.alert(Alert{Code: 11100, Text: err.Error(), Account: p.account.sid, Resource: c.sid, URL: ref})
		}
	}
	c.events = eventSet(strings.Fields(n.attr("statusCallbackEvent", "completed")))
	e.nounDetection(c, n, d.doc)
	if n.name == "Number" && !isE164(to) {
		e.alert(Alert{Code: 13223, Account: p.account.sid, Resource: c.sid})
		e.end(c, failed)
		return
	}
	if n.name == "Number" && p.account.voiceOff[country(to)] {
		e.alert(Alert{Code: 13227, Account: p.account.sid, Resource: c.sid})
		e.end(c, failed)
		return
	}
	e.place(c)
}

func eventSet(names []string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		for _, w := range strings.Fields(n) {
			m[w] = true
		}
	}
	return m
}

// armDial starts the ring timeout, to which Twilio adds five seconds.
func (e *Emulator) armDial(d *dial) {
	if d.over || d.bridged != nil {
		return
	}
	secs := min(max(d.node.number("timeout", 30), 5), 600)
	e.drop(d.timer)
	d.timer = e.after(time.Duration(secs)*time.Second+5*time.Second, func() { e.dialTimeout(d) })
}

func (e *Emulator) dialTimeout(d *dial) {
	for _, l := range slices.Clone(d.legs) {
		if l.call.answered.IsZero() && !l.call.over() {
			e.end(l.call, noAnswer)
		}
	}
}

// ringNext rings the next noun of a sequential dial.
func (e *Emulator) ringNext(d *dial) {
	if len(d.waiting) == 0 {
		e.endDial(d, d.last)
		return
	}
	n := d.waiting[0]
	d.waiting = d.waiting[1:]
	before := len(d.waiting)
	e.ringNoun(d, n)
	if !d.over && len(d.waiting) == before {
		e.armDial(d)
	}
}

// legAnswered screens the leg that somebody picked up, or bridges it.
func (e *Emulator) legAnswered(l *leg) {
	if l.url == "" {
		e.bridge(l)
		return
	}
	l.screening = true
	e.fetch(l.call, l.url, l.method, nil)
}

// screened is the end of the document on the callee's side: it is bridged.
func (e *Emulator) screened(l *leg) {
	l.screening = false
	e.bridge(l)
}

// bridge connects the leg with the parent and stops the others (first answer wins).
func (e *Emulator) bridge(l *leg) {
	d := l.dial
	if d.over || d.bridged != nil {
		return
	}
	d.bridged, d.since = l, e.at
	l.call.verb = "bridged"
	e.drop(d.timer)
	for _, o := range slices.Clone(d.legs) {
		if o == l || o.call.over() {
			continue
		}
		if o.call.answered.IsZero() {
			e.end(o.call, e.o.LoserStatus)
		} else {
			e.end(o.call, completed)
		}
	}
	e.answerCall(d.parent)
	if strings.HasPrefix(d.recordMode(), "record-from-answer") {
		e.recordDial(d)
	}
	e.connect(d.parent, l.call)
	d.limit = e.after(d.node.seconds("timeLimit", 14400), func() { e.end(l.call, completed) })
}

// recordDial begins the recording that the <Dial> asked for; it belongs to the parent.
func (e *Emulator) recordDial(d *dial) {
	n, c := d.node, d.parent
	channels := 1
	if strings.HasSuffix(d.recordMode(), "-dual") {
		channels = 2
	}
	d.rec = e.startRecording(c, recordRequest{source: "DialVerb", channels: channels, trim: n.attr("trim", "do-not-trim"), track: n.attr("recordingTrack", "both"),
		callback: e.absolute(c, n.attr("recordingStatusCallback", "")), method: n.attr("recordingStatusCallbackMethod", http.MethodPost),
		events: set(n.attr("recordingStatusCallbackEvent", completed))})
}

// legEnded is told that a child is over.
func (e *Emulator) legEnded(l *leg, status string) {
	d := l.dial
	if d.over {
		return
	}
	d.last = status
	if !l.call.answered.IsZero() {
		d.lastSID = l.call.sid
	}
	if d.bridged == l {
		e.endDial(d, completed)
		return
	}
	if d.bridged != nil {
		return
	}
	for _, o := range d.legs {
		if !o.call.over() {
			return
		}
	}
	if d.node.flag("sequential", false) {
		e.drop(d.timer)
		e.ringNext(d)
		return
	}
	if d.rung == len(d.nouns()) {
		e.endDial(d, status)
	}
}

// report is what the action learns.
func (e *Emulator) report(d *dial, status string) url.Values {
	f := url.Values{"DialCallStatus": {status}, "DialBridged": {"false"}}
	if d.seat != nil {
		f.Set("DialBridged", trueFalse(d.seat.met))
	}
	if d.bridged != nil {
		f.Set("DialBridged", "true")
		f.Set("DialCallSid", d.bridged.call.sid)
		f.Set("DialCallDuration", itoa(int(e.at.Sub(d.since)/time.Second)))
	} else if d.lastSID != "" {
		f.Set("DialCallSid", d.lastSID)
	}
	if d.rec != nil {
		f.Set("RecordingUrl", e.recordingURL(d.rec))
	}
	return f
}

// closeDial ends what the dial started and leaves the parent alone.
func (e *Emulator) closeDial(d *dial) {
	d.over = true
	d.parent.dial = nil
	e.disconnect(d)
	e.drop(d.timer)
	e.drop(d.limit)
	if d.rec != nil {
		e.stopRecording(d.rec)
	}
}

// endDial goes on with the parent: the action, or the next verb.
func (e *Emulator) endDial(d *dial, status string) {
	if d.over {
		return
	}
	e.closeDial(d)
	c := d.parent
	if c.over() {
		return
	}
	if !d.node.has("action") || d.node.attrs["action"] == "" {
		e.step(c)
		return
	}
	e.act(c, d.node, e.report(d, status))
}

// dialAbandoned is the parent's end while it dials, or its taking over by REST: the
// children go too, and the action is told although its answer no longer matters.
func (e *Emulator) dialAbandoned(d *dial) {
	f := d.parting
	if !d.stranded {
		f = e.report(d, d.outcome())
	}
	e.closeDial(d)
	if f != nil {
		e.tellAction(d, f)
	}
	for _, l := range slices.Clone(d.legs) {
		if l.call.answered.IsZero() {
			e.end(l.call, canceled)
		} else {
			e.end(l.call, completed)
		}
	}
}

// outcome is the DialCallStatus of a dial that is cut short.
func (d *dial) outcome() string {
	switch {
	case d.seat != nil:
		return joined
	case d.bridged != nil:
		return completed
	}
	return canceled
}

// tellAction requests the action and ignores what it answers.
func (e *Emulator) tellAction(d *dial, f url.Values) {
	if d.node.attr("action", "") == "" {
		return
	}
	if to, err := d.doc.resolve(d.node.attr("action", "")); err == nil {
		e.tell(d.parent, to, d.node.attr("method", http.MethodPost), f)
	}
}
