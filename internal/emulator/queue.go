package emulator

import (
	"net/http"
	"net/url"
	"slices"
	"time"
)

// queue keeps callers until somebody takes them (twilio: voice/twiml/enqueue).
type queue struct {
	account          *account
	sid, name        string
	most             int
	members          []*place
	takers           []*taker // who waits for a caller, longest first
	served           int
	waited           time.Duration // of the served, together
	created, updated time.Time
}

// place is where an enqueued leg stands, until it has left the queue and, if somebody took
// it, until they part.
type place struct {
	queue  *queue
	call   *call
	node   *node // the <Enqueue>
	resume *frame
	since  time.Time
	asked  time.Time // when the waitUrl was last asked
	taken  *taker
	took   time.Duration // how long it waited
}

// taker is a <Dial><Queue> at work.
type taker struct {
	call        *call
	node        *node // the <Dial>
	doc         *document
	queue       *queue
	url, method string // what the caller hears first
	place       *place
	bridged     time.Time
	timer       *timer
}

func (a *account) queue(name string) *queue {
	for _, q := range a.queues {
		if q.name == name || q.sid == name {
			return q
		}
	}
	return nil
}

func (e *Emulator) newQueue(a *account, name string, most int) *queue {
	q := &queue{account: a, sid: e.sid("QU"), name: name, most: most, created: e.at, updated: e.at}
	a.queues = append(a.queues, q)
	return q
}

func (q *queue) average() time.Duration {
	if q.served == 0 {
		return 0
	}
	return q.waited / time.Duration(q.served)
}

// startEnqueue is <Enqueue>. The queue is made when it does not exist.
func (e *Emulator) startEnqueue(c *call, n *node) {
	switch {
	case n.attr("workflowSid", "") != "":
		e.unknown(c.account.sid, c.sid, "the attribute workflowSid of <Enqueue>")
		e.applicationError(c)
		return
	case n.text == "":
		e.refuse(c, 14204, "")
		return
	case len([]rune(n.text)) > 64:
		e.refuse(c, 14205, "")
		return
	}
	e.answerCall(c)
	q := c.account.queue(n.text)
	if q == nil {
		q = e.newQueue(c.account, n.text, 1000)
	}
	p := &place{queue: q, call: c, node: n, resume: c.frame, since: e.at}
	most := q.most
	if m := n.number("maxQueueSize", 0); m > 0 {
		most = min(most, m)
	}
	if len(q.members) >= most {
		e.alert(Alert{Code: 14207, Level: "warning", Account: c.account.sid, Resource: c.sid})
		e.goOn(p, "queue-full")
		return
	}
	c.place = p
	q.members = append(q.members, p)
	e.askWait(p)
	e.match(q)
}

// askWait asks the waitUrl what the waiting caller hears. It repeats by itself.
func (e *Emulator) askWait(p *place) {
	c := p.call
	ref := p.node.attr("waitUrl", "")
	if ref == "" {
		return // Twilio's own music
	}
	to, err := p.resume.doc.resolve(ref)
	if err != nil {
		e.refuse(c, 14202, err.Error())
		return
	}
	p.asked = e.at
	q := p.queue
	f := url.Values{"QueueSid": {q.sid}, "QueuePosition": {itoa(slices.Index(q.members, p) + 1)}, "QueueTime": {itoa(int(e.at.Sub(p.since) / time.Second))},
		"AvgQueueTime": {itoa(int(q.average() / time.Second))}, "CurrentQueueSize": {itoa(len(q.members))}, "MaxQueueSize": {itoa(q.most)}}
	e.ask(c, to, p.node.attr("waitUrlMethod", http.MethodPost), f, func(a answer) {
		code, text := a.code, a.text
		var doc *document
		if code == 0 {
			doc, code, text = e.readTwiML(a, voiceVerbs, c.account.sid, c.sid)
		}
		if code != 0 { // the caller waits in silence
			e.alert(Alert{Code: code, Text: text, Account: c.account.sid, Resource: c.sid, URL: to})
			return
		}
		e.run(c, doc)
	})
}

// waitVerbs are what a waitUrl may answer, takeVerbs what the url of a <Queue> may.
var (
	waitVerbs = set("Play Say Pause Hangup Redirect Leave Gather")
	takeVerbs = set("Play Say Pause Redirect")
)

// mayRun reports whether a verb has a meaning while the leg is in a queue.
func (e *Emulator) mayRun(c *call, n *node) bool {
	p := c.place
	if p == nil || p.taken == nil && waitVerbs[n.name] || p.taken != nil && takeVerbs[n.name] {
		return true
	}
	e.alert(Alert{Code: 12200, Level: "warning", Text: "Schema validation warning: <" + n.name + "> is not allowed in a queue", Account: c.account.sid, Resource: c.sid})
	return false
}

// queueDocumentEnds is told that a document of a leg in a queue has no more verbs: the
// waitUrl begins anew, the document of who takes the caller ends with the bridge.
func (e *Emulator) queueDocumentEnds(p *place) {
	if p.taken != nil {
		e.bridgeQueue(p.taken)
		return
	}
	e.later(p.call, time.Second-e.at.Sub(p.asked), func() { e.askWait(p) }) // never in a tight circle
}

// leaveQueue is <Leave>.
func (e *Emulator) leaveQueue(c *call) {
	if p := c.place; p != nil && p.taken == nil {
		e.goOn(p, "leave")
		return
	}
	e.step(c)
}

// out takes a place out of its queue.
func (e *Emulator) out(p *place) {
	p.queue.members = slices.DeleteFunc(p.queue.members, func(o *place) bool { return o == p })
	if p.took == 0 {
		p.took = e.at.Sub(p.since)
	}
	p.call.place, p.call.mate = nil, nil
}

func (p *place) report(outcome string) url.Values {
	return url.Values{"QueueSid": {p.queue.sid}, "QueueTime": {itoa(int(p.took / time.Second))}, "QueueResult": {outcome}}
}

// goOn takes the caller out of the queue and to the action, or the verb after <Enqueue>.
func (e *Emulator) goOn(p *place, outcome string) {
	c := p.call
	e.out(p)
	e.supersede(c)
	c.gather = nil
	c.frame = p.resume
	if p.node.attr("action", "") == "" {
		e.step(c)
		return
	}
	e.act(c, p.node, p.report(outcome))
}

// goneFrom tells the action of an <Enqueue> whose answer no longer matters.
func (e *Emulator) goneFrom(p *place, outcome string) {
	e.out(p)
	if p.node.attr("action", "") == "" {
		return
	}
	if to, err := p.resume.doc.resolve(p.node.attr("action", "")); err == nil {
		e.tell(p.call, to, p.node.attr("method", http.MethodPost), p.report(outcome))
	}
}

// dialQueue is <Dial><Queue>: the head of the queue, or the next to come.
func (e *Emulator) dialQueue(c *call, n, noun *node, doc *document) {
	t := &taker{call: c, node: n, doc: doc, method: noun.attr("method", http.MethodPost)}
	c.taker = t
	if ref := noun.attr("url", ""); ref != "" {
		u, err := doc.resolve(ref)
		if err != nil {
			e.refuse(c, 14211, err.Error())
			return
		}
		t.url = u
	}
	if n.attr("record", "do-not-record") != "do-not-record" && n.attr("record", "") != "false" {
		e.unknown(c.account.sid, c.sid, "the attribute record of <Dial> with <Queue>")
	}
	if !n.flag("answerOnBridge", false) {
		e.answerCall(c)
	}
	if t.queue = c.account.queue(noun.text); t.queue == nil {
		e.endTaker(t, failed)
		return
	}
	t.queue.takers = append(t.queue.takers, t)
	t.timer = e.after(n.seconds("timeout", 30), func() { e.endTaker(t, noAnswer) })
	e.match(t.queue)
}

// match gives the longest waiting caller to who has waited longest for one.
func (e *Emulator) match(q *queue) {
	for len(q.members) > 0 && len(q.takers) > 0 {
		p, t := q.members[0], q.takers[0]
		q.members, q.takers = q.members[1:], q.takers[1:]
		e.drop(t.timer)
		p.took, p.taken, t.place = e.at.Sub(p.since), t, p
		q.served++
		q.waited += p.took
		c := p.call
		e.supersede(c)
		c.gather = nil
		if t.url == "" {
			e.bridgeQueue(t)
			continue
		}
		e.fetch(c, t.url, t.method, url.Values{"QueueSid": {q.sid}, "QueueTime": {itoa(int(p.took / time.Second))}, "DequeingCallSid": {t.call.sid}})
	}
}

func (e *Emulator) bridgeQueue(t *taker) {
	a, b := t.call, t.place.call
	e.answerCall(a)
	t.bridged = e.at
	a.mate, b.mate = b, a
	e.connect(a, b)
	a.verb, b.verb = "bridged", "bridged"
	t.timer = e.after(t.node.seconds("timeLimit", 14400), func() { e.endTaker(t, completed) })
}

func (t *taker) report(e *Emulator, status string) url.Values {
	f := url.Values{"DialCallStatus": {status}, "DialBridged": {"false"}}
	if t.place != nil {
		f.Set("DialCallSid", t.place.call.sid)
	}
	if !t.bridged.IsZero() {
		f.Set("DialBridged", "true")
		f.Set("DialCallDuration", itoa(int(e.at.Sub(t.bridged)/time.Second)))
	}
	return f
}

// closeTaker ends a <Dial><Queue> for the one who dialled.
func (e *Emulator) closeTaker(t *taker) {
	if !t.bridged.IsZero() {
		e.part(t.call, t.place.call)
	}
	t.call.taker, t.call.mate = nil, nil
	e.drop(t.timer)
	if t.queue != nil {
		t.queue.takers = slices.DeleteFunc(t.queue.takers, func(o *taker) bool { return o == t })
	}
}

// endTaker parts the two: each goes on with its own document.
func (e *Emulator) endTaker(t *taker, status string) {
	c, f := t.call, t.report(e, status)
	e.closeTaker(t)
	if p := t.place; p != nil && p.call.place == p {
		e.goOn(p, t.outcome())
	}
	if c.over() {
		return
	}
	if t.node.attr("action", "") == "" {
		e.step(c)
		return
	}
	e.act(c, t.node, f)
}

func (t *taker) outcome() string {
	if t.bridged.IsZero() {
		return "bridging-in-process"
	}
	return "bridged"
}

// unqueue is the end of a leg, or its taking over by REST, as far as queues are concerned.
func (e *Emulator) unqueue(c *call) {
	if p := c.place; p != nil {
		t, outcome := p.taken, "hangup"
		switch {
		case t != nil && !c.over() && !t.bridged.IsZero():
			outcome = "redirected-from-bridged"
		case !c.over():
			outcome = "redirected"
		case t != nil:
			outcome = t.outcome()
		}
		e.goneFrom(p, outcome)
		if t != nil {
			e.endTaker(t, completed)
		}
	}
	if t := c.taker; t != nil {
		status := canceled
		if !t.bridged.IsZero() {
			status = completed
		}
		f := t.report(e, status)
		e.closeTaker(t)
		if p := t.place; p != nil && p.call.place == p {
			e.goOn(p, t.outcome())
		}
		if ref := t.node.attr("action", ""); ref != "" {
			if to, err := t.doc.resolve(ref); err == nil {
				e.tell(c, to, t.node.attr("method", http.MethodPost), f)
			}
		}
	}
}
