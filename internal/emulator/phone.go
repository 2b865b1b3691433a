package emulator

import (
	"fmt"
	"strings"
	"time"
)

// What a phone does when it rings.
const (
	Ring      = ""          // rings until it is told otherwise
	Answers   = "answer"    // picks up after After
	Declines  = "decline"   // refuses after After
	IsBusy    = "busy"      // is engaged
	NoAnswer  = "no-answer" // nobody is there
	Fails     = "fail"      // cannot be reached
	Voicemail = "voicemail" // a machine picks up after After (20 s when 0) and speaks
)

// PhoneBehaviour lets an outside phone or a client act alone.
type PhoneBehaviour struct {
	Do    string        `json:"do"`
	After time.Duration `json:"after,omitempty"`
	// Speak, Press and HangUpAfter follow the answer.
	Speak       time.Duration `json:"speak,omitempty"`
	Press       string        `json:"press,omitempty"`
	HangUpAfter time.Duration `json:"hangUpAfter,omitempty"`
	// AnsweredBy is what answering machine detection makes of the phone, VerdictAfter the
	// answer. "" is machine_end_beep for a voicemail, when its greeting (Speak) is over, and
	// human for every other, after two seconds.
	AnsweredBy   string        `json:"answeredBy,omitempty"`
	VerdictAfter time.Duration `json:"verdictAfter,omitempty"`
	// MessageStatus is undelivered or failed, with MessageError as ErrorCode; "sent" gives
	// no handset receipt; "" is delivered.
	MessageStatus string `json:"messageStatus,omitempty"`
	MessageError  int    `json:"messageError,omitempty"`
	// MessageAfter passes before the handset has it, beside the usual step.
	MessageAfter time.Duration `json:"messageAfter,omitempty"`
	// MessageRefuse is the code with which a message to this phone is refused at once.
	MessageRefuse int `json:"messageRefuse,omitempty"`
}

// Behave sets what a phone (E.164, client:identity or sip:user@host) does by itself.
func (e *Emulator) Behave(target string, b PhoneBehaviour) {
	e.do(func() { e.phones[target] = b })
}

// arrive lets an outbound leg reach its party.
func (e *Emulator) arrive(c *call) {
	if identity, ok := strings.CutPrefix(c.target, "client:"); ok {
		if !e.rings(c, identity) {
			e.limitRing(c)
			return // not registered: nothing rings, nobody answers
		}
	}
	if strings.HasPrefix(c.target, "sip:") && !e.registered(c) {
		e.end(c, failed)
		return
	}
	if n := e.byNumber[c.target]; n != nil {
		e.ring(c)
		if !c.over() {
			c.peer = e.inbound(n, InboundCall{From: c.from, To: c.to}, c)
			if c.peer.over() && !c.over() { // it failed before it could know its peer
				e.end(c, peerStatus(c.peer, c))
			}
		}
		return
	}
	e.reach(c)
}

// reach does what the behaviour of the phone or client says.
func (e *Emulator) reach(c *call) {
	b := e.phones[c.target]
	switch b.Do {
	case Fails:
		c.sipCode = 404
		e.later(c, b.After, func() { e.end(c, failed) })
		return
	case IsBusy:
		e.later(c, b.After, func() { e.end(c, busy) })
		return
	}
	e.ring(c)
	if c.over() {
		return
	}
	switch b.Do {
	case Answers:
		e.later(c, b.After, func() { e.pickUp(c, b) })
	case Declines:
		e.later(c, b.After, func() { e.end(c, busy) })
	case Voicemail:
		if b.After == 0 {
			b.After = 20 * time.Second
		}
		if b.Speak == 0 {
			b.Speak = 5 * time.Second
		}
		e.later(c, b.After, func() { e.pickUp(c, b) })
	}
}

func (e *Emulator) ring(c *call) {
	e.setStatus(c, ringing)
	e.emit(c, "ringing")
	e.limitRing(c)
}

// limitRing is the Timeout of a call made by REST; a <Dial> times its own legs.
func (e *Emulator) limitRing(c *call) {
	if c.leg == nil && c.timeout > 0 {
		e.later(c, c.timeout, func() { e.end(c, noAnswer) })
	}
}

func (e *Emulator) pickUp(c *call, b PhoneBehaviour) {
	c.manner = b
	if b.Do == Voicemail {
		c.beep = e.at.Add(b.Speak)
	}
	e.answerCall(c)
	if c.over() {
		return
	}
	if b.Speak > 0 {
		e.speak(c, b.Speak, "")
	}
	if b.Press != "" {
		e.pressWhenAsked(c, b.Press)
	}
	if b.HangUpAfter > 0 {
		e.after(b.HangUpAfter, func() { e.end(c, completed) })
	}
}

// find is the oldest ringing leg of a target, which may also be a CallSid.
func (e *Emulator) find(target string) (*call, error) {
	if c := e.callBy[target]; c != nil {
		if c.status == ringing && c.direction != "inbound" {
			return c, nil
		}
		return nil, fmt.Errorf("emulator: call %s does not ring at a phone: it is %s", target, c.status)
	}
	for _, c := range e.calls {
		if c.target == target && c.status == ringing && c.peer == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("emulator: nothing rings at %s", target)
}

// Ringing returns the legs that ring at a phone or client, oldest first; "" is every one.
func (e *Emulator) Ringing(target string) (list []Call) {
	e.read(func() {
		for _, c := range e.calls {
			if c.status == ringing && c.target != "" && (target == "" || c.target == target) && e.byNumber[c.target] == nil {
				list = append(list, c.public())
			}
		}
	})
	return list
}

// Answer picks up what rings at a phone or client (or a CallSid) and returns the leg's SID.
func (e *Emulator) Answer(target string) (sid string, err error) {
	return e.onRinging(target, func(c *call) {
		b := e.phones[c.target]
		e.pickUp(c, PhoneBehaviour{AnsweredBy: b.AnsweredBy, VerdictAfter: b.VerdictAfter})
	})
}

// Decline refuses what rings at a phone or client.
func (e *Emulator) Decline(target string) (sid string, err error) {
	return e.onRinging(target, func(c *call) { e.end(c, busy) })
}

func (e *Emulator) onRinging(target string, act func(*call)) (sid string, err error) {
	e.do(func() {
		var c *call
		if c, err = e.find(target); err == nil {
			sid = c.sid
			act(c)
		}
	})
	return sid, err
}

// HangUp lets the party of a leg hang up.
func (e *Emulator) HangUp(sid string) error {
	return e.onLeg(sid, func(c *call) {
		switch {
		case !c.answered.IsZero():
			e.end(c, completed)
		case c.direction == "inbound":
			e.end(c, e.o.AbandonedStatus)
		default:
			e.end(c, busy) // hanging up a phone that rings is declining it
		}
	})
}

// Speak lets the party of a leg talk for a while from now on.
func (e *Emulator) Speak(sid string, d time.Duration) error {
	return e.onLeg(sid, func(c *call) { e.speak(c, d, "") })
}

// SpeakWords is Speak with words that a speech <Gather> understands.
func (e *Emulator) SpeakWords(sid, words string) error {
	return e.onLeg(sid, func(c *call) { e.speak(c, speaking(words), words) })
}

// Press lets the party of a leg press keys.
func (e *Emulator) Press(sid, digits string) error {
	if strings.Trim(digits, "0123456789*#ABCD") != "" || digits == "" {
		return fmt.Errorf("emulator: %q are not keys of a phone", clip(digits, 20))
	}
	return e.onLeg(sid, func(c *call) { e.press(c, digits) })
}

func (e *Emulator) onLeg(sid string, act func(*call)) (err error) {
	e.do(func() {
		c := e.callBy[sid]
		switch {
		case c == nil:
			err = fmt.Errorf("emulator: there is no call %s", sid)
		case c.over():
			err = fmt.Errorf("emulator: call %s is over: %s", sid, c.status)
		default:
			act(c)
		}
	})
	return err
}

func (e *Emulator) speak(c *call, d time.Duration, words string) {
	if c.answered.IsZero() || c.over() || d <= 0 || c.micOff {
		return
	}
	c.voice = append(c.voice, interval{e.at, e.at.Add(d)})
	e.listen(c, e.at.Add(d))
	if c.seat != nil {
		e.spoke(c.seat, d)
	}
	if g := c.gather; g != nil && words != "" && strings.Contains(g.node.attr("input", "dtmf"), "speech") {
		e.dropTimers(c)
		e.later(c, d+time.Second, func() {
			if c.gather == g {
				c.speech = words
				e.gathered(c, g)
			}
		})
	}
}

func (e *Emulator) press(c *call, digits string) {
	for _, r := range digits {
		d := string(r)
		switch {
		case c.over():
			return
		case c.gather != nil:
			e.gatherDigit(c, c.gather, d)
		case c.taking != nil:
			if strings.Contains(c.taking.node.attr("finishOnKey", "1234567890*#"), d) {
				e.taken(c, d)
			}
		case c.dial != nil && c.dial.bridged != nil && d == "*" && c.dial.node.flag("hangupOnStar", false):
			e.end(c.dial.bridged.call, completed)
		case c.taker != nil && c.mate != nil && d == "*" && c.taker.node.flag("hangupOnStar", false):
			e.endTaker(c.taker, completed)
		default:
			e.carryKey(c, d)
		}
	}
}
