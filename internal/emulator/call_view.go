package emulator

import (
	"maps"
	"time"
)

// Call is one leg as the emulator sees it.
type Call struct {
	SID       string    `json:"sid"`
	Parent    string    `json:"parent,omitempty"`
	Account   string    `json:"account"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	Direction string    `json:"direction"`
	Status    string    `json:"status"`
	Verb      string    `json:"verb,omitempty"` // what Twilio is doing on this leg
	Target    string    `json:"target,omitempty"`
	Bridged   string    `json:"bridged,omitempty"` // the leg at the other end
	Created   time.Time `json:"created"`
	Answered  time.Time `json:"answered,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`
	Seconds   int       `json:"seconds"`
	Records   []string  `json:"recordings,omitempty"`
	// Parameters are the custom parameters that a <Client> gives to the device.
	Parameters map[string]string `json:"parameters,omitempty"`
	// Hears is what the party hears now: the URL of a sound, the text of a <Say>, "room:" and
	// the name of a conference, the leg at the other end, or "ringing".
	Hears string `json:"hears,omitempty"`
	// Conference is the name of the conference that the leg is in; Label is its label there,
	// Coaching the leg that it coaches.
	Conference string `json:"conference,omitempty"`
	Label      string `json:"label,omitempty"`
	Muted      bool   `json:"muted,omitempty"`
	Held       bool   `json:"held,omitempty"`
	Coaching   string `json:"coaching,omitempty"`
	// AnsweredBy is the verdict of answering machine detection.
	AnsweredBy string `json:"answeredBy,omitempty"`
	// Left is what a voicemail box at the end of the leg has recorded since its beep.
	Left []Heard `json:"left,omitempty"`
	// Keys are those that the party heard: the other end pressed them, or <Play digits> and
	// SendDigits played them.
	Keys string `json:"keys,omitempty"`
}

// shown is the public view of a leg as it is now.
func (e *Emulator) shown(c *call) Call {
	p := c.public()
	c.show(&p, e.clk.Now())
	p.Hears = c.hears(e.clk.Now())
	if s := c.seat; s != nil && s.connected {
		p.Conference, p.Label, p.Muted, p.Held, p.Coaching = s.room.name, s.label, s.muted, s.hold, s.coach
	}
	return p
}

func (c *call) public() Call {
	p := Call{SID: c.sid, Account: c.account.sid, From: c.from, To: c.to, Direction: c.direction, Status: c.status, Verb: c.verb,
		Target: c.target, Created: c.created, Answered: c.answered, Ended: c.ended, Seconds: c.seconds(), Parameters: maps.Clone(c.params)}
	if c.parent != nil {
		p.Parent = c.parent.sid
	}
	if o := c.other(); o != nil {
		p.Bridged = o.sid
	}
	for _, r := range c.recordings {
		p.Records = append(p.Records, r.sid)
	}
	if c.over() {
		p.Verb = ""
	}
	return p
}

// Calls returns every leg, oldest first.
func (e *Emulator) Calls() (list []Call) {
	e.read(func() {
		for _, c := range e.calls {
			list = append(list, e.shown(c))
		}
	})
	return list
}

// Call returns one leg.
func (e *Emulator) Call(sid string) (p Call, ok bool) {
	e.read(func() {
		if c := e.callBy[sid]; c != nil {
			p, ok = e.shown(c), true
		}
	})
	return p, ok
}
