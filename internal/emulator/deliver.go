package emulator

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Kinds of deliveries.
const (
	KindTwiML      = "twiml"      // asks what to do with a call
	KindStatus     = "status"     // call progress
	KindRecording  = "recording"  // recording status
	KindAMD        = "amd"        // verdict of answering machine detection
	KindRoom       = "conference" // event of a conference
	KindMessage    = "message"    // inbound message, asks for a reply
	KindDelivery   = "delivery"   // status of an outbound message
	KindAudio      = "audio"      // the file of a <Play>
	KindMedia      = "media"      // the file of an outbound MMS
	KindTranscript = "transcript" // a transcript is there
)

// Delivery is one webhook: what was sent and what came back.
type Delivery struct {
	ID          int        `json:"id"`
	Kind        string     `json:"kind"`
	Account     string     `json:"account"`
	Resource    string     `json:"resource"` // SID of the call, message or recording's call
	Event       string     `json:"event,omitempty"`
	Method      string     `json:"method"`
	URL         string     `json:"url"`
	Form        url.Values `json:"form"`
	JSON        string     `json:"json,omitempty"` // the body, where it is no form
	Voice       bool       `json:"voice"`
	Idempotency string     `json:"idempotency"`
	Signature   string     `json:"signature"`
	Duplicate   bool       `json:"duplicate,omitempty"` // sent again by chaos
	At          time.Time  `json:"at"`                  // when it was due
	Held        bool       `json:"held,omitempty"`
	Done        bool       `json:"done"`
	Attempts    []Attempt  `json:"attempts,omitempty"`
	Status      int        `json:"status,omitempty"`
	ContentType string     `json:"contentType,omitempty"`
	Answer      string     `json:"answer,omitempty"`
	ErrorCode   int        `json:"errorCode,omitempty"`
}

// delivery is a Delivery with what the emulator does next.
type delivery struct {
	Delivery
	lane *lane
	jar  http.CookieJar
	done func(answer)
}

// lane keeps the webhooks of one call or message in order.
type lane struct {
	queue  []*delivery
	busy   int
	parked bool
}

func (l *lane) idle() bool { return l.busy == 0 && len(l.queue) == 0 }

// callback reports whether this is a notification, which may be late, doubled or held,
// and not a question whose answer the call waits for.
func (d *delivery) callback() bool {
	return d.Kind == KindStatus || d.Kind == KindRecording || d.Kind == KindDelivery || d.Kind == KindAMD || d.Kind == KindRoom || d.Kind == KindTranscript
}

// send puts a webhook on its way. The lock is held.
func (e *Emulator) send(a *account, d *delivery) {
	if d.URL == "" || a.typ == Test || e.stopped {
		return
	}
	e.deliveryNo++
	d.ID, d.Account, d.At = e.deliveryNo, a.sid, e.at
	if d.Idempotency == "" {
		d.Idempotency = e.token()
	}
	if d.Method == "" {
		d.Method = http.MethodPost
	}
	if u, err := url.Parse(d.URL); err == nil {
		target, signed := onWire(d.Method, u, d.Form)
		d.Signature = Sign(a.token, signedURL(&target, d.Voice), signed)
	}
	e.deliveries = append(e.deliveries, d)
	if len(e.deliveries) > e.o.Keep {
		e.deliveries = append(e.deliveries[:0:0], e.deliveries[len(e.deliveries)-e.o.Keep/2:]...)
	}
	if !d.callback() {
		e.enqueue(d)
		return
	}
	key := d.Resource + "/" + d.Kind + "/" + d.Event
	if !d.Duplicate && e.chance("duplicate?", key) < e.chaos.Duplicate {
		twin := &delivery{Delivery: d.Delivery, lane: d.lane, done: func(answer) {}}
		twin.Duplicate, twin.Form = true, maps.Clone(d.Form)
		if e.chance("duplicate", key) < 0.5 {
			twin.Idempotency = ""
		}
		e.after(time.Duration(e.chance("duplicate after", key)*float64(2*time.Second)), func() { e.send(a, twin) })
	}
	if wait := e.callbackDelay(key); wait > 0 && !d.Duplicate {
		e.after(wait, func() { e.holdOrEnqueue(d) })
		return
	}
	e.holdOrEnqueue(d)
}

func (e *Emulator) holdOrEnqueue(d *delivery) {
	if e.hold {
		d.Held = true
		e.held = append(e.held, d)
		return
	}
	e.enqueue(d)
}

func (e *Emulator) enqueue(d *delivery) {
	d.Held = false
	d.lane.queue = append(d.lane.queue, d)
	e.drive(d.lane)
}

// drive sends the next of a lane.
func (e *Emulator) drive(l *lane) {
	if e.gate != nil {
		*e.gate = append(*e.gate, l)
		return
	}
	for len(l.queue) > 0 && (l.busy == 0 || e.o.Parallel || e.chaos.Parallel) && !e.stopped {
		d := l.queue[0]
		if d.crowds() {
			if e.crowd >= e.o.MessageWebhooks {
				if !l.parked {
					l.parked, e.parked = true, append(e.parked, l)
				}
				return
			}
			e.crowd++
		}
		l.queue = l.queue[1:]
		l.busy++
		e.inflight++
		a := e.account(d.Account)
		limit := int64(64 << 10)
		if d.Kind == KindAudio || d.Kind == KindMedia {
			limit = 16 << 20
		}
		o := outgoing{method: d.Method, url: d.URL, form: d.Form, json: d.JSON, voice: d.Voice, token: a.token, idempotency: d.Idempotency, jar: d.jar, limit: limit, plain: d.Kind == KindMedia}
		e.wg.Add(1)
		go func() {
			defer e.wg.Done()
			ans := e.carry(e.ctx, o, func(t Attempt) { e.read(func() { d.Attempts = append(d.Attempts, t) }) })
			e.do(func() {
				l.busy--
				e.inflight--
				e.finish(d, ans)
				e.drive(l)
				if d.crowds() {
					e.crowd--
					e.unpark()
				}
			})
		}()
	}
}

// crowds reports a webhook of which only so many go at once.
func (d *delivery) crowds() bool {
	return d.Kind == KindMessage || d.Kind == KindDelivery || d.Kind == KindMedia
}

// unpark lets lanes go on that waited for a place.
func (e *Emulator) unpark() {
	for len(e.parked) > 0 && e.crowd < e.o.MessageWebhooks {
		l := e.parked[0]
		e.parked = e.parked[1:]
		l.parked = false
		e.drive(l)
	}
}

func (e *Emulator) finish(d *delivery, ans answer) {
	d.Done, d.Status, d.ContentType, d.ErrorCode = true, ans.status, ans.contentType, ans.code
	if len(ans.body) <= 64<<10 && d.Kind != KindAudio && d.Kind != KindMedia {
		d.Answer = string(ans.body)
	}
	if e.stopped {
		return
	}
	if d.callback() && ans.code != 0 {
		code, level := 11200, "error"
		if ans.code != 11200 {
			code = ans.code
		}
		switch d.Kind {
		case KindStatus:
			code, level = 15003, "warning"
		case KindRoom:
			code, level = 16011, "warning"
		}
		e.alert(Alert{Code: code, Level: level, Text: describe(code) + ": " + ans.text, Account: d.Account, Resource: d.Resource, URL: d.URL, Method: d.Method})
	}
	if d.done != nil {
		d.done(ans)
	}
}

// token makes an idempotency token.
func (e *Emulator) token() string {
	h := e.random()
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}

// Deliveries returns every webhook sent or held so far, in the order in which they came
// into being.
func (e *Emulator) Deliveries() (list []Delivery) {
	e.read(func() {
		for _, d := range e.deliveries {
			list = append(list, d.copy())
		}
	})
	return list
}

func (d *delivery) copy() Delivery {
	c := d.Delivery
	c.Attempts = append([]Attempt(nil), d.Attempts...)
	return c
}

// Hold makes the emulator keep status callbacks back (true) or send them again (false);
// those already held stay held.
func (e *Emulator) Hold(on bool) { e.do(func() { e.hold = on }) }

// Held returns the callbacks that wait for Release, in the order in which they were due.
func (e *Emulator) Held() (list []Delivery) {
	e.read(func() {
		for _, d := range e.held {
			list = append(list, d.copy())
		}
	})
	return list
}

// Release sends held callbacks in the order given. An id that stands there twice, or was
// sent before, is sent again. Unknown ids are passed over.
func (e *Emulator) Release(ids ...int) {
	e.do(func() {
		l := &lane{} // one lane, so that the order asked for is the order that arrives
		for _, id := range ids {
			if i := slices.IndexFunc(e.held, func(d *delivery) bool { return d.ID == id }); i >= 0 {
				d := e.held[i]
				e.held = slices.Delete(e.held, i, i+1)
				d.lane = l
				e.enqueue(d)
				continue
			}
			if i := slices.IndexFunc(e.deliveries, func(d *delivery) bool { return d.ID == id }); i >= 0 {
				twin := &delivery{Delivery: e.deliveries[i].copy(), lane: l}
				twin.Duplicate, twin.Done, twin.Attempts = true, false, nil
				e.deliveryNo++
				twin.ID, twin.At = e.deliveryNo, e.at
				e.deliveries = append(e.deliveries, twin)
				e.enqueue(twin)
			}
		}
	})
}

// ReleaseAll sends every held callback in the order in which they were due.
func (e *Emulator) ReleaseAll() {
	e.do(func() {
		for _, d := range e.held {
			e.enqueue(d)
		}
		e.held = nil
	})
}
