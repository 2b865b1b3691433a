package emulator

import (
	"encoding/binary"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// run puts a document in control of the leg.
func (e *Emulator) run(c *call, doc *document) {
	e.supersede(c)
	c.frame = &frame{doc: doc}
	e.step(c)
	c.settle()
}

// step does the next verb of the leg's document.
func (e *Emulator) step(c *call) {
	if c.over() || c.frame == nil {
		return
	}
	f := c.frame
	if f.i >= len(f.doc.verbs) {
		e.endOfDocument(c)
		return
	}
	n := f.doc.verbs[f.i]
	f.i++
	c.verb = n.name
	next := func() { e.step(c) }
	if !e.mayRun(c, n) {
		next()
		return
	}
	screening := c.leg != nil && c.leg.screening
	switch n.name {
	case "Say", "Play":
		e.answerCall(c)
		e.prompt(c, n, next)
	case "Pause":
		// As the first verb it delays the pickup (twilio: voice/twiml/pause).
		e.later(c, n.seconds("length", 1), func() {
			e.answerCall(c)
			next()
		})
	case "Gather":
		e.answerCall(c)
		e.startGather(c, n)
	case "Record":
		e.answerCall(c)
		e.startTaking(c, n)
	case "Hangup":
		e.answerCall(c)
		e.end(c, completed)
	case "Reject":
		e.reject(c, n)
	case "Redirect":
		to, err := f.doc.resolve(n.text)
		if err != nil {
			e.refuse(c, 11100, err.Error())
			return
		}
		e.fetch(c, to, n.attr("method", http.MethodPost), nil)
	case "Start":
		if e.startBackground(c, n) {
			next()
		}
	case "Dial":
		if screening {
			e.refuse(c, 13201, "")
			return
		}
		e.startDial(c, n)
	case "Enqueue":
		e.startEnqueue(c, n)
	case "Leave":
		e.leaveQueue(c)
	case "Refer":
		e.startRefer(c, n)
	default:
		e.unknown(c.account.sid, c.sid, "the verb <"+n.name+">")
		e.applicationError(c)
	}
}

// refuse logs what is wrong with a document and ends the call as Twilio does.
func (e *Emulator) refuse(c *call, code int, text string) {
	e.alert(Alert{Code: code, Text: text, Account: c.account.sid, Resource: c.sid, URL: c.url})
	e.applicationError(c)
}

// endOfDocument is what happens when no verb is left.
func (e *Emulator) endOfDocument(c *call) {
	if c.place != nil {
		e.queueDocumentEnds(c.place)
		return
	}
	if c.leg != nil && c.leg.screening {
		e.screened(c.leg)
		return
	}
	e.answerCall(c)
	e.end(c, completed)
}

func (e *Emulator) reject(c *call, n *node) {
	switch {
	case !c.answered.IsZero(): // only the first verb can refuse
		e.end(c, completed)
	case n.attr("reason", "rejected") == "busy":
		e.end(c, busy)
	default:
		e.end(c, noAnswer)
	}
}

// prompt says or plays something, then goes on.
func (e *Emulator) prompt(c *call, n *node, next func()) {
	loop := n.number("loop", 1)
	if loop == 0 {
		loop = 1000
	}
	file, text := "", ""
	play := func(once time.Duration) {
		d := once * time.Duration(loop)
		e.plays(c, file, text, d)
		e.later(c, d, next)
	}
	if n.name == "Say" {
		if limit := 4096; len([]rune(n.text)) > limit {
			e.alert(Alert{Code: 13521, Level: "warning", Account: c.account.sid, Resource: c.sid})
		}
		text = spoken(n)
		play(speaking(text))
		return
	}
	if n.text == "" { // digits only
		keys := n.attr("digits", "")
		for range min(loop, 100) {
			e.tones(c, keys)
		}
		if !c.over() {
			play(dialing(keys))
		}
		return
	}
	to, err := c.frame.doc.resolve(n.text)
	if err != nil {
		e.refuse(c, 11100, err.Error())
		return
	}
	gen := c.gen
	e.fetchSound(c.account, c.sid, to, c.root().lane, c.root().jar, func(length time.Duration) {
		switch {
		case c.gen != gen || c.over():
		case length == 0: // the file is passed over, the call goes on
			next()
		default:
			file = to
			play(length)
		}
	})
}

// fetchSound fetches a sound file; what cannot be played is complained about and has no
// length.
func (e *Emulator) fetchSound(a *account, about, to string, l *lane, jar http.CookieJar, then func(time.Duration)) {
	e.send(a, &delivery{Delivery: Delivery{Kind: KindAudio, Resource: about, Method: http.MethodGet, URL: to, Form: url.Values{}, Voice: true},
		lane: l, jar: jar, done: func(ans answer) {
			kind, _, _ := mime.ParseMediaType(ans.contentType)
			code, text := ans.code, ans.text
			if code == 0 && !playable[kind] {
				code, text = 12300, "Invalid Content-Type of audio: "+clip(ans.contentType, 100)
			}
			if code != 0 {
				e.alert(Alert{Code: code, Text: text, Account: a.sid, Resource: about, URL: to, Method: http.MethodGet})
				then(0)
				return
			}
			then(playTime(ans.body))
		}})
}

// spoken is the text of a <Say> without its markup.
func spoken(n *node) string {
	var b strings.Builder
	b.WriteString(n.text)
	for _, k := range n.kids {
		b.WriteString(spoken(k))
	}
	return b.String()
}

// speaking is how long a text takes: fifteen characters a second.
func speaking(text string) time.Duration {
	return max(time.Second, time.Duration(len([]rune(text)))*time.Second/15).Round(100 * time.Millisecond)
}

var playable = set("audio/mpeg audio/mp3 audio/wav audio/wave audio/x-wav audio/aiff audio/x-aifc audio/x-aiff audio/x-gsm audio/gsm audio/ulaw")

// playTime is how long an audio file takes: exact for WAV, a guess at 64 kbit/s else.
func playTime(b []byte) time.Duration {
	if len(b) > 44 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WAVE" {
		if rate := binary.LittleEndian.Uint32(b[28:32]); rate > 0 {
			return time.Duration(float64(len(b)-44) / float64(rate) * float64(time.Second))
		}
	}
	return max(time.Second, time.Duration(len(b))*time.Second/8000)
}

// gather is a <Gather> at work.
type gather struct {
	node   *node
	digits string
	wait   *timer
}

func (e *Emulator) startGather(c *call, n *node) {
	g := &gather{node: n}
	c.gather = g
	c.speech = ""
	e.asked(c)
	kids := n.kids
	var next func()
	next = func() {
		if c.gather != g {
			return
		}
		if g.digits != "" { // barged in
			return
		}
		if len(kids) == 0 {
			e.gatherWait(c, g)
			return
		}
		k := kids[0]
		kids = kids[1:]
		switch k.name {
		case "Say", "Play":
			e.prompt(c, k, next)
		case "Pause":
			e.later(c, k.seconds("length", 1), next)
		default:
			next()
		}
	}
	next()
}

// gatherWait counts the timeout, which begins after the prompts and anew with each digit.
func (e *Emulator) gatherWait(c *call, g *gather) {
	e.drop(g.wait)
	g.wait = e.later(c, g.node.seconds("timeout", 5), func() { e.gathered(c, g) })
}

func (e *Emulator) gatherDigit(c *call, g *gather, d string) {
	if !strings.Contains(g.node.attr("input", "dtmf"), "dtmf") {
		return
	}
	finish := "#"
	if v, ok := g.node.attrs["finishOnKey"]; ok {
		finish = v
	}
	if g.digits == "" {
		e.dropTimers(c) // the key cuts the prompt short
	}
	if finish != "" && strings.Contains(finish, d) {
		e.gathered(c, g)
		return
	}
	g.digits += d
	if n := g.node.number("numDigits", 0); n > 0 && len(g.digits) >= n {
		e.gathered(c, g)
		return
	}
	e.gatherWait(c, g)
}

// gathered ends a <Gather>: the action gets the input, or the next verb runs.
func (e *Emulator) gathered(c *call, g *gather) {
	c.gather = nil
	e.drop(g.wait)
	if g.digits == "" && c.speech == "" && !g.node.flag("actionOnEmptyResult", false) {
		e.step(c)
		return
	}
	extra := url.Values{}
	if c.speech != "" {
		extra.Set("SpeechResult", c.speech)
		extra.Set("Confidence", "0.9")
	} else {
		extra.Set("Digits", g.digits)
	}
	e.act(c, g.node, extra)
}

// act requests a verb's action; without one the document that holds the verb.
func (e *Emulator) act(c *call, n *node, extra url.Values) {
	to, err := e.actionURL(c, n)
	if err != nil {
		e.refuse(c, 11100, err.Error())
		return
	}
	e.fetch(c, to, n.attr("method", http.MethodPost), extra)
}

func (e *Emulator) actionURL(c *call, n *node) (string, error) {
	return c.frame.doc.resolve(n.attr("action", ""))
}

// taking is a <Record> at work.
type taking struct {
	node    *node
	rec     *recording
	silence *timer
}

func (e *Emulator) startTaking(c *call, n *node) {
	most := n.seconds("maxLength", 3600)
	if most < time.Second || most > 14400*time.Second {
		e.alert(Alert{Code: 13617, Level: "warning", Account: c.account.sid, Resource: c.sid})
		most = 3600 * time.Second
	}
	r := e.startRecording(c, recordRequest{source: "RecordVerb", channels: 1, trim: n.attr("trim", "trim-silence"),
		callback: e.absolute(c, n.attr("recordingStatusCallback", "")), method: n.attr("recordingStatusCallbackMethod", http.MethodPost),
		events: set(n.attr("recordingStatusCallbackEvent", completed))})
	t := &taking{node: n, rec: r}
	c.taking = t
	e.later(c, most, func() { e.taken(c, "") })
	e.listen(c, e.at)
}

// absolute resolves a callback URL; a bad one is complained about and dropped.
func (e *Emulator) absolute(c *call, ref string) string {
	if ref == "" {
		return ""
	}
	to, err := c.frame.doc.resolve(ref)
	if err != nil {
		e.alert(Alert{Code: 11100, Text: err.Error(), Account: c.account.sid, Resource: c.sid, URL: ref})
		return ""
	}
	return to
}

// listen restarts the silence timeout of a <Record> from the last sound.
func (e *Emulator) listen(c *call, from time.Time) {
	t := c.taking
	if t == nil {
		return
	}
	e.drop(t.silence)
	if quiet := t.node.seconds("timeout", 5); quiet > 0 {
		t.silence = e.later(c, from.Add(quiet).Sub(e.at), func() { e.taken(c, "") })
	}
}

// taken ends a <Record>. Nothing heard: the next verb runs (twilio: voice/twiml/record).
func (e *Emulator) taken(c *call, key string) {
	t := c.taking
	c.taking = nil
	e.dropTimers(c)
	e.stopRecording(t.rec)
	if t.rec.silent {
		if key != "hangup" {
			e.step(c)
		}
		return
	}
	extra := url.Values{"RecordingUrl": {e.recordingURL(t.rec)}, "RecordingSid": {t.rec.sid}, "RecordingDuration": {itoa(t.rec.duration)}}
	if key != "" {
		extra.Set("Digits", key)
	}
	if key != "hangup" {
		e.act(c, t.node, extra)
		return
	}
	if to, err := e.actionURL(c, t.node); err == nil {
		e.tell(c, to, t.node.attr("method", http.MethodPost), extra)
	}
}
