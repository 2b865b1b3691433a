package call

import (
	"context"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// move is one transfer as its facts tell it.
type move struct {
	f             *Fact
	done, taken   *Fact // TRANSFER_COMPLETE, TRANSFER_CANCEL
	ring, back    *ring
	by            id.ID
	kept, leaving *time.Time // when whom it is about and who transfers were gone
}

// transfers folds the transfers of the call, one after the other. Each begins when
// the one before it is settled, which the command saw to.
func (t *tally) transfers(r *room) {
	for _, f := range t.orders {
		if f.Data.Command != CommandTransfer || f.Data.Order == nil {
			continue
		}
		m := &move{f: f, by: f.Data.By}
		for _, g := range t.orders {
			if g.Data.Action != f.Key {
				continue
			}
			switch g.Data.Command {
			case CommandTransferComplete:
				if m.done == nil {
					m.done = g
				}
			case CommandTransferCancel:
				if m.taken == nil {
					m.taken = g
				}
			}
		}
		r.sentOn = false
		t.move(r, m)
	}
}

// move derives where one transfer stands, and what it wants of the legs. What
// happened first settles it; of one second, a command came before the network's news.
func (t *tally) move(r *room, m *move) {
	o := m.f.Data.Order
	x := &Transfer{Mode: TransferMode(o.Mode), Status: TransferRinging, ByID: m.by, ToUserID: o.ToUser, ToBranchID: o.ToBranch, ToNumber: o.ToNumber, StartedAt: m.f.At}
	r.transfer, r.mover, r.moved, r.moving = x, m.f.Data.Leg, m.f.Key, true
	m.kept, m.leaving = t.went(r.kept()), t.went(r.find(r.mover))
	purpose := ForTransfer
	if x.Mode == Warm {
		purpose = ForConsult
		r.conferred = true
	}
	m.ring = t.call(r, m.f, o.Targets, purpose, asStaff)
	settle := func(s TransferStatus, at time.Time) {
		at = notBefore(at, m.f.At)
		x.Status, x.EndedAt, r.moving = s, &at, false
	}
	var won *seat
	if m.ring.won >= 0 {
		won = &r.seats[m.ring.won]
	}
	leftFirst := func(than time.Time) bool { return m.leaving != nil && !m.leaving.After(than) }
	switch {
	case won != nil && x.Mode == Blind:
		settle(TransferCompleted, *won.claimed)
	case won != nil:
		x.Status = TransferConsulting
		at, how := time.Time{}, TransferStatus("")
		first := func(s TransferStatus, when *time.Time) {
			if when != nil && (how == "" || when.Before(at)) {
				at, how = *when, s
			}
		}
		second := func(f *Fact) *time.Time {
			if f == nil {
				return nil
			}
			at := f.At.Truncate(time.Second)
			return &at
		}
		first(TransferCanceled, second(m.taken))
		first(TransferCompleted, second(m.done))
		first(TransferCompleted, m.leaving) // whoever hangs up in front of the other has handed the call over
		first(TransferFailed, t.went(won))
		first(TransferFailed, m.kept)
		switch {
		case how == TransferCanceled:
			settle(how, m.taken.At)
		case how == TransferCompleted && m.done != nil:
			settle(how, m.done.At)
		case how != "":
			settle(how, notBefore(at, *won.claimed))
		}
	case m.kept != nil && (!m.ring.over || !m.kept.After(m.ring.end)) && (m.taken == nil || x.Mode == Warm):
		settle(TransferFailed, *m.kept)
	case m.taken != nil && x.Mode == Warm && !leftFirst(m.taken.At):
		settle(TransferCanceled, m.taken.At)
	case m.taken != nil:
		m.ring.stop(r)
		t.back(r, m, x, m.taken.At, TransferCanceled, settle)
	case m.ring.over && (x.Mode == Blind || leftFirst(m.ring.end)):
		t.back(r, m, x, m.ring.end, TransferFailed, settle)
	case m.ring.over:
		settle(TransferFailed, m.ring.end)
	}
	if !r.moving && x.Status != TransferCompleted {
		m.ring.stop(r)
	}
	if p := r.find(r.mover); p != nil && (x.Mode == Blind || x.Status == TransferCompleted) { // leaves at once, or when it is complete
		p.out = true
	}
}

// went is when a party left of its own; nil for one that we hung up.
func (t *tally) went(s *seat) *time.Time {
	if s == nil || t.acts["end/"+s.leg.String()] != nil {
		return nil
	}
	return s.ended
}

// back rings who transferred: nobody took it, or they took it back.
func (t *tally) back(r *room, m *move, x *Transfer, since time.Time, word TransferStatus, settle func(TransferStatus, time.Time)) {
	from := *m.f
	from.At = since
	m.back = t.call(r, &from, m.f.Data.Order.Return, ForReturn, asStaff)
	switch g := m.back; {
	case g.won >= 0:
		settle(word, *r.seats[g.won].claimed)
	case m.kept != nil && (!g.over || !m.kept.After(g.end)):
		settle(TransferFailed, *m.kept)
		g.stop(r)
	case g.over:
		settle(TransferFailed, g.end)
		r.sentOn, r.sentAt = r.outside() != nil && !r.attended(g.end), g.end
	default:
		x.Status = TransferReturning
	}
}

// attended reports whether at a moment somebody was in the call beside the outside
// party and who transfers.
func (r *room) attended(at time.Time) bool {
	return r.side(func(s *seat) bool {
		return s.talks && !s.out && s.role != outside && s.role != monitor && s.leg != r.mover &&
			(s.claimed == nil || !s.claimed.After(at)) && (s.ended == nil || s.ended.After(at))
	}) != nil
}

// TransferInput is to whom a call goes, and how.
type TransferInput struct {
	Mode TransferMode // BLIND unless told
	PartyInput
}

// Transfer hands a call over (R100): BLIND at once, WARM once it was talked about. It
// needs CALL_TRANSFER and a number that allows it (R099). Codes: errs.Forbidden,
// errs.NotFound, errs.Required and errs.Invalid by field, errs.Conflict in another
// state, naming it.
func (s *Service) Transfer(ctx context.Context, who access.Actor, call id.ID, in TransferInput, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Transfer")
	if err := who.Require(access.CallTransfer); err != nil {
		return nil, err
	}
	if in.Mode == "" {
		in.Mode = Blind
	}
	return s.order(ctx, who, call, "callTransfer", key, in, func(c *control) error {
		if err := c.known(id.ID{}, in.PartyInput); err != nil {
			return err
		}
		if err := c.part(); err != nil {
			return err
		}
		if !c.st.Plan.AllowTransfer {
			return errs.New(errs.Forbidden, "calls of this number are not transferred: its setting allowTransfer is off")
		}
		if err := c.still(); err != nil {
			return err
		}
		from := c.mine()
		if from == nil { // somebody else's call: whoever of us has it
			from = c.st.room.side(func(s *seat) bool { return s.talks && s.ended == nil && !s.out && s.role == staff })
		}
		if from == nil {
			return errs.New(errs.Conflict, "nobody of yours is in the call, which is %s", c.st.Call.Status)
		}
		targets, err := c.targets(in.PartyInput)
		if err != nil {
			return err
		}
		back, err := c.again(from)
		if err != nil {
			return err
		}
		if err := c.mayRing(len(targets) + len(back)); err != nil {
			return err
		}
		c.add(CommandTransfer, from.leg, &Order{Mode: string(in.Mode), Targets: targets, Return: back, Purpose: ForTransfer,
			ToUser: in.UserID, ToBranch: in.BranchID, ToNumber: outsideOf(targets)})
		return nil
	})
}

// transferring is the order of the transfer that is under way, if the actor may settle it.
func (c *control) transferring() (*Transfer, error) {
	switch r := c.st.room; {
	case c.st.Call.EndedAt != nil:
		return nil, errs.New(errs.Conflict, "the call is over: it is %s", c.st.Call.Status)
	case !r.moving && r.transfer != nil:
		return nil, errs.New(errs.Conflict, "no transfer is under way: the last one is %s", r.transfer.Status)
	case !r.moving:
		return nil, errs.New(errs.Conflict, "no transfer is under way")
	case c.who.UserID != r.transfer.ByID || c.who.UserID.IsZero():
		return r.transfer, c.who.Require(access.CallControl)
	}
	return c.st.room.transfer, nil
}

// CompleteTransfer finishes a warm transfer: who transferred leaves, the others talk.
// Codes: errs.Forbidden, errs.NotFound, errs.Conflict in another state, naming it.
func (s *Service) CompleteTransfer(ctx context.Context, who access.Actor, call id.ID, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.CompleteTransfer")
	if err := who.Require(access.CallTransfer); err != nil {
		return nil, err
	}
	return s.order(ctx, who, call, "callTransferComplete", key, nil, func(c *control) error {
		x, err := c.transferring()
		if err != nil {
			return err
		}
		if x.Status != TransferConsulting {
			return errs.New(errs.Conflict, "nobody has answered the transfer yet: it is %s", x.Status)
		}
		c.add(CommandTransferComplete, c.st.room.mover, nil)
		c.facts[0].Data.Action = c.st.room.moved
		return nil
	})
}

// CancelTransfer takes a transfer back: who transferred talks with the first party
// again, after a blind one once they were rung. Codes: those of CompleteTransfer.
func (s *Service) CancelTransfer(ctx context.Context, who access.Actor, call id.ID, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.CancelTransfer")
	if err := who.Require(access.CallTransfer); err != nil {
		return nil, err
	}
	return s.order(ctx, who, call, "callTransferCancel", key, nil, func(c *control) error {
		x, err := c.transferring()
		if err != nil {
			return err
		}
		if x.Status == TransferReturning {
			return errs.New(errs.Conflict, "the transfer is %s already", x.Status)
		}
		c.add(CommandTransferCancel, c.st.room.mover, nil)
		c.facts[0].Data.Action = c.st.room.moved
		return nil
	})
}
