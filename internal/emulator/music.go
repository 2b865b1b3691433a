package emulator

import (
	"cmp"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// DefaultMusic is what a party hears who waits or is on hold and for whom nobody chose
// anything. It is not fetched.
const DefaultMusic = "http://twimlets.com/holdmusic?Bucket=com.twilio.music.classical"

// musicVerbs may stand in the document of a waitUrl, holdUrl or announceUrl (error 13238).
var musicVerbs = set("Say Play Pause Redirect")

// music plays what a URL answers, a sound file or a document, to legs that wait, are on
// hold or are told something. It does not start over by itself: after the document comes
// silence (twilio: voice/twiml/conference).
type music struct {
	account *account
	about   string // SID for the debugger
	jar     http.CookieJar
	lane    *lane
	form    func() url.Values
	legs    []*call
	sounds  []*sound // that play now
	timer   *timer
	since   time.Time
	rush    int // documents in a row that took no time
	over    bool
	ended   func(problem string) // nil when nobody asks
}

// fetchMusic asks a URL what to play.
func (e *Emulator) fetchMusic(m *music, to, method string) {
	if m.over {
		return
	}
	if m.since.Equal(e.at) {
		m.rush++
	} else {
		m.since, m.rush = e.at, 0
	}
	if m.rush > 20 {
		e.musicFailed(m, Alert{Text: "the emulator stops music whose documents redirect without playing anything", URL: to})
		return
	}
	if m.lane == nil {
		m.lane = &lane{}
	}
	d := &delivery{Delivery: Delivery{Kind: KindTwiML, Resource: m.about, Method: cmp.Or(strings.ToUpper(method), http.MethodPost), URL: to, Form: m.form(), Voice: true}, lane: m.lane, jar: m.jar}
	d.done = func(a answer) {
		if m.over {
			return
		}
		if a.code != 0 {
			e.musicFailed(m, Alert{Code: a.code, Text: a.text, URL: to, Method: d.Method})
			return
		}
		if kind, _, _ := mime.ParseMediaType(a.contentType); playable[kind] {
			e.sing(m, a.url, "", playTime(a.body), func() { e.musicOver(m) })
			return
		}
		doc, code, text := e.readTwiML(a, voiceVerbs, m.account.sid, m.about)
		if code != 0 {
			e.musicFailed(m, Alert{Code: code, Text: text, URL: to, Method: d.Method})
			return
		}
		for _, n := range doc.verbs {
			if !musicVerbs[n.name] {
				e.musicFailed(m, Alert{Code: 13238, Text: describe(13238) + ": " + n.name, URL: to, Method: d.Method})
				return
			}
		}
		e.playOn(m, doc, 0)
	}
	e.send(m.account, d)
}

// playOn does the verbs of a document from the i-th on.
func (e *Emulator) playOn(m *music, doc *document, i int) {
	if m.over {
		return
	}
	if i >= len(doc.verbs) {
		e.musicOver(m)
		return
	}
	n := doc.verbs[i]
	next := func() { e.playOn(m, doc, i+1) }
	loop := n.number("loop", 1)
	if loop == 0 {
		loop = 1000
	}
	switch n.name {
	case "Say":
		text := spoken(n)
		e.sing(m, "", text, speaking(text)*time.Duration(loop), next)
		return
	case "Pause":
		m.timer = e.after(n.seconds("length", 1), next)
		return
	}
	if n.name == "Play" && n.text == "" {
		for _, c := range m.legs {
			e.tones(c, n.attr("digits", ""))
		}
		m.timer = e.after(dialing(n.attr("digits", "")), next)
		return
	}
	to, err := doc.resolve(n.text)
	switch {
	case err != nil:
		e.musicFailed(m, Alert{Code: 11100, Text: err.Error(), URL: n.text})
	case n.name == "Redirect":
		e.fetchMusic(m, to, n.attr("method", http.MethodPost))
	default:
		e.fetchSound(m.account, m.about, to, m.lane, m.jar, func(length time.Duration) {
			if m.over {
				return
			}
			if length == 0 {
				next()
				return
			}
			e.sing(m, to, "", length*time.Duration(loop), next)
		})
	}
}

// sing plays one sound to the legs.
func (e *Emulator) sing(m *music, file, text string, d time.Duration, next func()) {
	m.sounds = m.sounds[:0]
	for _, c := range m.legs {
		if !c.over() {
			m.sounds = append(m.sounds, e.plays(c, file, text, d))
		}
	}
	m.timer = e.after(d, next)
}

// musicFailed is music that cannot be played: silence, and an entry in the debugger list.
func (e *Emulator) musicFailed(m *music, a Alert) {
	a.Account, a.Resource = m.account.sid, m.about
	if a.Text == "" {
		a.Text = describe(a.Code)
	}
	e.alert(a)
	e.stopMusic(m)
	if m.ended != nil {
		m.ended(a.Text)
	}
}

func (e *Emulator) musicOver(m *music) {
	e.stopMusic(m)
	if m.ended != nil {
		m.ended("")
	}
}

// stopMusic ends music wherever it is.
func (e *Emulator) stopMusic(m *music) {
	if m == nil || m.over {
		return
	}
	m.over = true
	e.drop(m.timer)
	for _, s := range m.sounds {
		s.stop(e.at)
	}
}

// stop cuts a sound off.
func (s *sound) stop(at time.Time) {
	if s.to.After(at) {
		s.to, s.cut = at, true
	}
}

// hears is what the party of a leg hears at a time: the URL of a sound, the text of a
// <Say>, "room:" and a name, the SID of the leg at the other end, or "ringing".
func (c *call) hears(now time.Time) string {
	if c.over() {
		return ""
	}
	for i := len(c.sounds) - 1; i >= 0; i-- {
		if s := c.sounds[i]; !s.from.After(now) && s.to.After(now) {
			return cmp.Or(s.url, s.text)
		}
	}
	switch o := c.other(); {
	case c.seat != nil && c.seat.connected:
		if c.seat.inside() {
			return "room:" + c.seat.room.name
		}
	case o != nil:
		return o.sid
	case c.dial != nil && len(c.dial.legs) > 0 && !c.dial.stranded:
		return ringing
	}
	return ""
}

// tones lets the party of a leg hear keys. When the party is a number of our own, the call
// there gets them.
func (e *Emulator) tones(c *call, digits string) {
	k := keys(digits)
	if k == "" || c.over() {
		return
	}
	c.hear(k)
	if c.peer != nil && !c.peer.over() {
		e.press(c.peer, k)
	}
}

// carryKey lets those hear a key whom the leg talks to.
func (e *Emulator) carryKey(c *call, key string) {
	if o := c.other(); o != nil {
		e.tones(o, key)
		return
	}
	if p := c.seat; p != nil && p.inside() && !p.muted && p.coach == "" {
		for _, o := range slices.Clone(p.room.seats) {
			if o != p && o.inside() {
				e.tones(o.call, key)
			}
		}
	}
}

// keys are digits without the pauses between them.
func keys(digits string) string {
	return strings.NewReplacer("w", "", "W", "", " ", "").Replace(digits)
}

// dialing is how long keys take; w waits half a second and W a whole one.
func dialing(keys string) (d time.Duration) {
	for _, k := range keys {
		switch k {
		case 'w':
			d += 500 * time.Millisecond
		case 'W':
			d += time.Second
		default:
			d += 200 * time.Millisecond
		}
	}
	return d
}
