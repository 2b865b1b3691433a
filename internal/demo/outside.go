package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/emulator"
)

// patience is how long anything is waited for unless Options say.
const patience = 30 * time.Second

// outside is the world at the other end of the lines: phones, devices and time.
type outside struct {
	e        *emulator.Emulator
	clk      clock.Clock
	patience time.Duration
}

func (o Options) outside() outside {
	w := outside{e: o.Emulator, clk: o.Clock, patience: cmp.Or(o.Patience, patience)}
	if w.clk == nil {
		w.clk = clock.Real{}
	}
	return w
}

// held reports whether time moves only when we move it.
func (w outside) held() bool {
	if p, ok := w.clk.(*Past); ok {
		return p.Held()
	}
	_, ok := w.clk.(interface{ Advance(time.Duration) })
	return ok
}

// pass lets time pass.
func (w outside) pass(ctx context.Context, d time.Duration) error {
	if w.held() {
		return w.e.Advance(ctx, d)
	}
	c, stop := w.clk.After(d)
	defer stop()
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until waits for something that the emulator does when time passes: prompts end,
// rings run out. A held clock is moved from one timer to the next until it has come.
func (w outside) until(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	if !w.held() {
		return w.told(w.e.WaitFor(ctx, done), what)
	}
	for {
		if err := w.e.WaitIdle(ctx); err != nil {
			return w.told(err, what)
		}
		if done() {
			return nil
		}
		at, ok := w.e.NextTimer()
		if !ok { // only the server can go on
			err := w.e.WaitFor(ctx, func() bool { _, timer := w.e.NextTimer(); return timer || done() })
			if err != nil {
				return w.told(err, what)
			}
			continue
		}
		if err := w.e.AdvanceTo(ctx, at); err != nil {
			return w.told(err, what)
		}
	}
}

// await waits for something that the server does to the emulator; time stands meanwhile.
func (w outside) await(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	return w.told(w.e.WaitFor(ctx, done), what)
}

// settle waits until every webhook has been answered.
func (w outside) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	return w.told(w.e.WaitIdle(ctx), "all webhooks are answered")
}

// told says what was waited for in vain, with what the emulator complained about.
func (w outside) told(err error, what string) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("waited in vain until %s", what)
	}
	var said []string
	for _, a := range w.e.Debugger() {
		said = append(said, fmt.Sprintf("%d %s", a.Code, a.Text))
	}
	if len(said) > 5 {
		said = said[len(said)-5:]
	}
	if len(said) > 0 {
		return fmt.Errorf("%w (the emulator's debugger: %s)", err, strings.Join(said, "; "))
	}
	return err
}

// leg is what one call rings at a target; "" when it does not ring there.
func (w outside) leg(parent, target string) string {
	for _, c := range w.e.Ringing(target) {
		if parent == "" || c.Parent == parent {
			return c.SID
		}
	}
	return ""
}

// rung are the targets that a call rings now.
func (w outside) rung(parent string) (targets []string) {
	for _, c := range w.e.Ringing("") {
		if c.Parent == parent {
			targets = append(targets, c.Target)
		}
	}
	return targets
}

// call places a call from outside and waits until it rings at every target.
func (w outside) call(ctx context.Context, from, to string, targets ...string) (sid string, err error) {
	if sid, err = w.e.PlaceCall(from, to); err != nil {
		return "", err
	}
	return sid, w.until(ctx, "it rings at "+strings.Join(targets, " and "), func() bool {
		for _, t := range targets {
			if w.leg(sid, t) == "" {
				return false
			}
		}
		return true
	})
}

// answer picks up what a call rings at a target and waits until the two are connected.
func (w outside) answer(ctx context.Context, parent, target string) (leg string, err error) {
	leg = w.leg(parent, target)
	if leg == "" {
		return "", fmt.Errorf("call %s does not ring at %s", parent, target)
	}
	if _, err := w.e.Answer(leg); err != nil {
		return "", err
	}
	return leg, w.until(ctx, "the two are connected", func() bool {
		c, _ := w.e.Call(leg)
		return c.Bridged != ""
	})
}

// hangUp ends a leg and waits until the call is over and everybody was told.
func (w outside) hangUp(ctx context.Context, sid string) error {
	if err := w.e.HangUp(sid); err != nil {
		return err
	}
	return w.over(ctx, sid)
}

// over waits until a call has ended and everybody was told.
func (w outside) over(ctx context.Context, sid string) error {
	err := w.until(ctx, "the call is over", func() bool {
		c, ok := w.e.Call(sid)
		return ok && !c.Ended.IsZero()
	})
	return join(err, w.settle(ctx))
}

// voicemail lets the caller of a call that nobody took speak after the tone.
func (w outside) voicemail(ctx context.Context, sid string, spoken time.Duration) error {
	err := w.until(ctx, "the voicemail's tone is heard", func() bool {
		c, _ := w.e.Call(sid)
		return c.Verb == "Record"
	})
	if err != nil {
		return err
	}
	if err := w.e.Speak(sid, spoken); err != nil {
		return err
	}
	if err := w.pass(ctx, spoken); err != nil {
		return err
	}
	if err := w.hangUp(ctx, sid); err != nil {
		return err
	}
	// The file is ready a moment after the recording ended.
	err = w.until(ctx, "the recording is ready", func() bool {
		for _, r := range w.e.Recordings() {
			if r.Call == sid && r.Source == "RecordVerb" && r.Status != "in-progress" && r.Status != "processing" {
				return true
			}
		}
		return false
	})
	return join(err, w.settle(ctx))
}

// text sends a text from outside and waits until the server took it.
func (w outside) text(ctx context.Context, from, to, body string, files ...emulator.Media) error {
	if _, err := w.e.SendText(from, to, body, files...); err != nil {
		return err
	}
	return w.settle(ctx)
}

// reached waits until a message of the server, known by its words, has arrived at an
// outside phone.
func (w outside) reached(ctx context.Context, to, body string) (emulator.Message, error) {
	return w.texted(ctx, to, func(m emulator.Message) bool { return m.Body == body })
}

// texted is reached for a message that is known by something else.
func (w outside) texted(ctx context.Context, to string, is func(emulator.Message) bool) (m emulator.Message, err error) {
	arrived := func() bool {
		for _, x := range w.e.MessagesTo(to) {
			if x.Direction != "inbound" && is(x) {
				m = x
				return true
			}
		}
		return false
	}
	if err := w.await(ctx, "the message is handed to Twilio", arrived); err != nil {
		return m, err
	}
	err = w.until(ctx, "the message is delivered", func() bool {
		return arrived() && (m.Status == "delivered" || m.Status == "undelivered" || m.Status == "failed")
	})
	return m, join(err, w.settle(ctx))
}
