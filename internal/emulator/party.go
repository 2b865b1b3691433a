package emulator

import (
	"net/url"
	"strings"
	"time"
)

// party is the far end of a leg: how it behaves, what it hears and does.
type party struct {
	manner  PhoneBehaviour // that of the phone that answered
	amd     *detection
	sounds  []*sound
	beep    time.Time // since then a voicemail box records what it hears
	keys    string    // pressed by the other end, heard here
	micOff  bool
	waiting string     // keys to press when asked
	place   *place     // in a queue
	taker   *taker     // of a caller in a queue
	mate    *call      // the other end after that
	invite  url.Values // what a call from a SIP domain tells of itself
}

// sound is one <Say> or <Play> as it is played to a leg.
type sound struct {
	url, text string
	interval
	cut bool // it stopped before its end
}

// Heard is a sound that a voicemail box has recorded. From is how much of it was over when
// the box began to record: 0 is from its first word.
type Heard struct {
	URL     string  `json:"url,omitempty"`
	Text    string  `json:"text,omitempty"`
	From    float64 `json:"from"`
	Seconds float64 `json:"seconds"`
	Whole   bool    `json:"whole"`
}

// plays notes a sound that begins now on the leg.
func (e *Emulator) plays(c *call, url, text string, d time.Duration) *sound {
	s := &sound{url: url, text: text, interval: interval{e.at, e.at.Add(d)}}
	c.sounds = append(c.sounds, s)
	return s
}

// hush cuts off the sound that plays on the leg.
func (c *call) hush(at time.Time) {
	if n := len(c.sounds); n > 0 && c.sounds[n-1].to.After(at) {
		c.sounds[n-1].to, c.sounds[n-1].cut = at, true
	}
}

// left is what the voicemail box at the end of the leg has recorded until now.
func (c *call) left(now time.Time) (list []Heard) {
	if c.beep.IsZero() || c.beep.After(now) {
		return nil
	}
	for _, s := range c.sounds {
		from, to := s.from, s.to
		if from.Before(c.beep) {
			from = c.beep
		}
		if to.After(now) {
			to = now
		}
		if to.After(from) {
			list = append(list, Heard{URL: s.url, Text: s.text, From: from.Sub(s.from).Seconds(), Seconds: to.Sub(from).Seconds(),
				Whole: !s.cut && from.Equal(s.from) && to.Equal(s.to)})
		}
	}
	return list
}

// show adds what the far end has seen to the public view of a leg.
func (c *call) show(p *Call, now time.Time) {
	p.Left, p.Keys = c.left(now), c.keys
	if c.amd != nil {
		p.AnsweredBy = c.amd.verdict
	}
}

// patience is how long a party with keys to press waits for somebody to ask.
const patience = 10 * time.Second

// pressWhenAsked presses keys as a person would: a second after the answer when something
// listens by then, else when a <Gather> asks, and in the end anyway.
func (e *Emulator) pressWhenAsked(c *call, keys string) {
	answered := e.at
	press := func() {
		if keys := c.waiting; keys != "" && !c.over() {
			c.waiting = ""
			e.press(c, keys)
		}
	}
	c.waiting = keys
	e.after(time.Second, func() {
		switch {
		case c.waiting == "" || c.over():
		case c.gather != nil || c.taking != nil || c.other() != nil || c.frame == nil && c.verb != "fetch" && c.verb != "detect":
			press()
		default:
			e.when(answered.Add(patience), press)
		}
	})
}

// asked is told that a <Gather> begins: who has keys to press needs a second.
func (e *Emulator) asked(c *call) {
	if c.waiting == "" || c.answered.Equal(e.at) {
		return // the second after the answer does it
	}
	g := c.gather
	e.after(time.Second, func() {
		if keys := c.waiting; keys != "" && c.gather == g && !c.over() {
			c.waiting = ""
			e.press(c, keys)
		}
	})
}

// hear lets a leg hear the keys that the other end pressed.
func (c *call) hear(keys string) { c.keys += keys }

// Mute switches the microphone of the party of a leg off or on. Twilio does not see it.
func (e *Emulator) Mute(sid string, on bool) error {
	return e.onLeg(sid, func(c *call) { c.micOff = on })
}

// sipUser splits sip:user@host, without parameters and headers.
func sipUser(uri string) (user, host string) {
	uri = strings.TrimPrefix(uri, "sip:")
	uri, _, _ = strings.Cut(uri, ";")
	uri, _, _ = strings.Cut(uri, "?")
	user, host, _ = strings.Cut(uri, "@")
	host, _, _ = strings.Cut(host, ":")
	return user, strings.ToLower(host)
}
