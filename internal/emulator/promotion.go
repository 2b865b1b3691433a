package emulator

import (
	"fmt"
	"net/url"
	"slices"
)

// When the action of a <Dial> is requested whose child leg was given a document of its own.
// Twilio promises no order.
const (
	PromotionFirst = "first" // and answered before the child's document begins
	PromotionLast  = "last"  // once the child's document is under way
	PromotionNever = "never" // not at all: the parent hears nothing until it is updated or hangs up
)

// SetPromotion changes Options.Promotion.
func (e *Emulator) SetPromotion(order string) error {
	switch order {
	case "", PromotionFirst, PromotionLast, PromotionNever:
		e.do(func() { e.o.Promotion = order })
		return nil
	}
	return fmt.Errorf("emulator: promotion is first, last or never, and not %q", clip(order, 20))
}

// takeOver stops what the leg was doing because a new document comes by REST, which begin
// starts. A <Dial> hears of it through its action, whose answer is ignored (twilio changelog
// 2021-05-24). A conference is left.
func (e *Emulator) takeOver(c *call, begin func()) {
	e.supersede(c)
	c.gather = nil
	if t := c.taking; t != nil {
		c.taking = nil
		e.stopRecording(t.rec)
	}
	if p := c.seat; p != nil {
		e.leaveSeat(p, "participant_updated_via_api")
	}
	e.unqueue(c)
	if c.dial != nil {
		e.dialAbandoned(c.dial)
	}
	if c.leg == nil {
		begin()
		return
	}
	gen := c.gen
	e.depart(c.leg, func() {
		if c.gen == gen && !c.over() {
			begin()
		}
	})
}

// depart takes a child out of its dial because it gets a document of its own. The parent's
// action hears no duration and the parent goes on (twilio: voice/twiml/dial); when, is
// Options.Promotion.
func (e *Emulator) depart(l *leg, begin func()) {
	d := l.dial
	l.call.leg = nil
	d.legs = slices.DeleteFunc(d.legs, func(o *leg) bool { return o == l })
	if d.over {
		begin()
		return
	}
	if d.bridged != l {
		d.last = completed
		if !slices.ContainsFunc(d.legs, func(o *leg) bool { return !o.call.over() }) {
			e.endDial(d, completed)
		}
		begin()
		return
	}
	f := e.report(d, completed)
	f.Del("DialCallDuration")
	e.disconnect(d)
	d.bridged, d.stranded = nil, true
	e.drop(d.limit)
	if d.rec != nil {
		e.stopRecording(d.rec)
	}
	switch e.o.Promotion {
	case PromotionNever:
		begin()
	case PromotionLast:
		d.parting = f
		l.call.settled = func() { e.promoted(d, f) }
		begin()
	default:
		d.parent.afterAsk = begin
		e.promoted(d, f)
		if d.parent.afterAsk != nil { // nothing was asked
			d.parent.afterAsk = nil
			begin()
		}
	}
}

// promoted lets the parent go on whose child has a document of its own.
func (e *Emulator) promoted(d *dial, f url.Values) {
	if d.over {
		return
	}
	e.closeDial(d)
	if d.node.attr("action", "") == "" {
		e.step(d.parent)
		return
	}
	e.act(d.parent, d.node, f)
}
