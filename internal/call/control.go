package call

import (
	"context"
	"regexp"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/tenant"
)

// control is one command in a call that goes on, given under the call's lock.
type control struct {
	ctx   context.Context
	tx    *db.Tx
	s     *Service
	who   access.Actor
	st    State
	facts []Fact
}

// maxCommands bounds the facts of a call: people cannot make it grow without end.
const maxCommands = 5000

func tooMuch() error {
	return errs.New(errs.LimitReached, "too much was done in this call; start another")
}

// order carries out a command: it looks whether the actor may and whether the call
// is in a state for it, at the moment when nobody else can change that. The facts
// that it adds say what is wanted; what Twilio is asked follows from them. With a
// key it acts once.
func (s *Service) order(ctx context.Context, who access.Actor, call id.ID, mutation, key string, input any, fn func(*control) error) (*Call, error) {
	if _, err := s.Get(ctx, who, call); err != nil {
		return nil, err
	}
	in := struct {
		Call  id.ID
		Input any
	}{call, input}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := job.Once(ctx, tx, job.Key{User: who.ID(), Mutation: mutation, Key: key}, in, func() (id.ID, error) {
			st, found, err := s.take(ctx, tx, call, who.UserID)
			switch {
			case err != nil:
				return id.ID{}, err
			case !found:
				return id.ID{}, absent()
			case st.Call.Version > maxCommands:
				return id.ID{}, tooMuch()
			}
			c := &control{ctx: ctx, tx: tx, s: s, who: who, st: st}
			if err := fn(c); err != nil || len(c.facts) == 0 {
				return call, err
			}
			_, _, err = s.take(ctx, tx, call, who.UserID, c.facts...)
			return call, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, call)
}

// add notes what was ordered. Under the lock each has a place of its own.
func (c *control) add(what Command, leg id.ID, o *Order) {
	c.facts = append(c.facts, Fact{Key: "order/" + id.New(id.Fact).String(), Kind: FactCommand, At: c.tx.Now,
		Data: FactData{Command: what, Leg: leg, By: c.who.UserID, Order: o, Sequence: ptr(int(c.st.Call.Version) + len(c.facts))}})
}

// live refuses what cannot be done because the call is not under way.
func (c *control) live() error {
	switch {
	case c.st.Call.EndedAt != nil:
		return errs.New(errs.Conflict, "the call is over: it is %s", c.st.Call.Status)
	case c.st.hungUp:
		return errs.New(errs.Conflict, "the call is being ended; it is %s", c.st.Call.Status)
	case c.st.Call.AnsweredAt == nil:
		return errs.New(errs.Conflict, "nobody has answered yet: the call is %s", c.st.Call.Status)
	case c.st.dropNow() != nil:
		return errs.New(errs.Conflict, "a message is being left on the machine; the call is %s", c.st.Call.Status)
	case c.st.room.sentOn:
		return errs.New(errs.Conflict, "nobody took the call, and it went on to voicemail; it is %s", c.st.Call.Status)
	case c.st.room.second() == nil && !c.st.ringRoom:
		return errs.New(errs.Conflict, "it is not known yet who answered; try again in a moment (the call is %s)", c.st.Call.Status)
	}
	return nil
}

// mine is the actor's own place in the call; nil when they have none.
func (c *control) mine() *seat {
	return c.st.room.side(func(s *seat) bool {
		return !c.who.UserID.IsZero() && s.by == c.who.UserID && s.talks && s.ended == nil && !s.out && s.role != monitor
	})
}

// part refuses whoever does not take part and may not control the calls of others.
func (c *control) part() error {
	if err := c.live(); err != nil {
		return err
	}
	if c.mine() != nil || c.who.Can(access.CallControl) {
		return nil
	}
	had := c.st.room.side(func(s *seat) bool {
		return s.by == c.who.UserID && !c.who.UserID.IsZero() && s.role != monitor && s.talks
	})
	if had == nil {
		return c.who.Require(access.CallControl)
	}
	return errs.New(errs.Conflict, "you have left the call; it is %s with %s", c.st.Call.Status, c.with())
}

// with is who of us has the call now.
func (c *control) with() string {
	x := c.st.room.side(func(s *seat) bool { return s.talks && s.ended == nil && !s.out && s.role == staff })
	if x == nil {
		return "nobody of yours"
	}
	return c.name(x.by)
}

func (c *control) name(user id.ID) string {
	name := "somebody"
	_ = c.tx.Pgx().QueryRow(c.ctx, `SELECT name FROM "user" WHERE organization_id = $1 AND id = $2`, c.who.OrganizationID, user).Scan(&name) // without one it is nobody we know
	return name
}

// feature refuses what the organization has switched off, naming the switch (R285).
func (c *control) feature(f tenant.FeatureName) error { return requireFeature(c.ctx, c.tx, f) }

// known refuses ids that are nobody's here before anything is said of the call.
func (c *control) known(leg id.ID, in PartyInput) error {
	if !leg.IsZero() && c.st.Find(leg) == nil {
		return errs.New(errs.NotFound, "there is no such party in the call").At("legId")
	}
	for _, x := range []struct {
		id           id.ID
		table, field string
	}{{in.UserID, `"user"`, "userId"}, {in.BranchID, "branch", "branchId"}, {in.ContactID, "contact", "contactId"}} {
		if x.id.IsZero() {
			continue
		}
		var is bool
		err := c.tx.Pgx().QueryRow(c.ctx, `SELECT EXISTS (SELECT FROM `+x.table+` WHERE organization_id = $1 AND id = $2)`, c.who.OrganizationID, x.id).Scan(&is)
		if err != nil {
			return db.Translate(err)
		}
		if !is {
			return errs.New(errs.NotFound, "there is no such %s", strings.Trim(x.table, `"`)).At(x.field)
		}
	}
	return nil
}

// still refuses what a transfer under way does not allow.
func (c *control) still() error {
	if c.st.room.moving {
		return errs.New(errs.Conflict, "%s is transferring it (%s); complete or cancel that first", c.name(c.st.room.transfer.ByID), c.st.room.transfer.Status)
	}
	return nil
}

// party is the party of a leg; without one the outside party, between colleagues
// the other one.
func (c *control) party(leg id.ID) (*seat, error) {
	r := c.st.room
	if leg.IsZero() {
		x := r.outside()
		if x == nil {
			mine := c.mine()
			x = r.side(func(s *seat) bool {
				return s.talks && s.ended == nil && s.role != monitor && (mine == nil || s.leg != mine.leg)
			})
		}
		if x == nil || x.ended != nil {
			return nil, errs.New(errs.Conflict, "the other party has left; the call is %s", c.st.Call.Status)
		}
		return x, nil
	}
	x := r.find(leg)
	switch {
	case x == nil || x.role == monitor || !x.talks && !x.ringing:
		return nil, errs.New(errs.NotFound, "there is no such party in the call").At("legId")
	case x.ended != nil || x.out:
		return nil, errs.New(errs.Conflict, "this party has left the call, which is %s", c.st.Call.Status).At("legId")
	case !x.talks:
		return nil, errs.New(errs.Conflict, "this party is still being rung").At("legId")
	}
	return x, nil
}

// refused reports that Twilio would not do what was ordered last.
func (r *room) refused(x *seat, what string, at time.Time) bool {
	var last *act
	for n := 1; ; n++ {
		a := r.acts[switchName(what, x, n)]
		if a == nil {
			break
		}
		last = a
	}
	return last != nil && last.word == actRefused && !at.After(last.answeredAt)
}

// Hold puts a party on hold; the others go on (R096, R098). Without a leg it is the
// outside party. Whoever takes part may; others need CALL_CONTROL. Codes:
// errs.NotFound, errs.Forbidden, errs.Conflict in another state, naming it.
func (s *Service) Hold(ctx context.Context, who access.Actor, call, leg id.ID, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Hold")
	return s.order(ctx, who, call, "callHold", key, leg, func(c *control) error {
		x, err := c.switched(leg)
		if err != nil {
			return err
		}
		if x.held && !c.st.room.refused(x, switchHold, x.heldAt) {
			return errs.New(errs.Conflict, "already on hold")
		}
		c.add(CommandHold, x.leg, nil)
		return nil
	})
}

// Resume takes a party off hold. Codes: those of Hold.
func (s *Service) Resume(ctx context.Context, who access.Actor, call, leg id.ID, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Resume")
	return s.order(ctx, who, call, "callResume", key, leg, func(c *control) error {
		x, err := c.switched(leg)
		if err != nil {
			return err
		}
		if !x.held && !c.st.room.refused(x, switchHold, x.heldAt) {
			return errs.New(errs.Conflict, "not on hold")
		}
		c.add(CommandResume, x.leg, nil)
		return nil
	})
}

func (c *control) switched(leg id.ID) (*seat, error) {
	if err := c.known(leg, PartyInput{}); err != nil {
		return nil, err
	}
	if err := c.part(); err != nil {
		return nil, err
	}
	if err := c.still(); err != nil {
		return nil, err
	}
	return c.party(leg)
}

// Mute silences a party: it hears the others, who do not hear it (R096). Without a
// leg it is the actor. Codes: those of Hold; errs.Required for whoever is not in the call.
func (s *Service) Mute(ctx context.Context, who access.Actor, call, leg id.ID, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Mute")
	return s.mute(ctx, who, call, leg, key, "callMute", CommandMute)
}

// Unmute lets a muted party be heard again. Codes: those of Mute.
func (s *Service) Unmute(ctx context.Context, who access.Actor, call, leg id.ID, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Unmute")
	return s.mute(ctx, who, call, leg, key, "callUnmute", CommandUnmute)
}

func (s *Service) mute(ctx context.Context, who access.Actor, call, leg id.ID, key, mutation string, what Command) (*Call, error) {
	return s.order(ctx, who, call, mutation, key, leg, func(c *control) error {
		if err := c.known(leg, PartyInput{}); err != nil {
			return err
		}
		if err := c.part(); err != nil {
			return err
		}
		x := c.mine()
		switch {
		case !leg.IsZero():
			var err error
			if x, err = c.party(leg); err != nil {
				return err
			}
		case x == nil:
			return errs.New(errs.Required, "you are not in this call: say which party").At("legId")
		}
		failed := c.st.room.refused(x, switchMute, x.mutedAt)
		switch {
		case what == CommandMute && x.muted && !failed:
			return errs.New(errs.Conflict, "already muted")
		case what == CommandUnmute && !x.muted && !failed:
			return errs.New(errs.Conflict, "not muted")
		}
		c.add(what, x.leg, nil)
		return nil
	})
}

// maxDigits is how often tones can be sent in a call: each time a leg comes back into
// the room, of which there is a bound.
const maxDigits = maxServed - 50

var tones = regexp.MustCompile(`^[0-9*#w]{1,32}$`)

// SendDigits sends key tones to a party, such as the menu of the company that is
// called (R097). Without a leg it is the outside party. Codes: those of Hold;
// errs.Invalid for other tones.
func (s *Service) SendDigits(ctx context.Context, who access.Actor, call id.ID, digits string, leg id.ID, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.SendDigits")
	in := struct {
		Digits string
		Leg    id.ID
	}{digits, leg}
	return s.order(ctx, who, call, "callSendDigits", key, in, func(c *control) error {
		if err := c.known(leg, PartyInput{}); err != nil {
			return err
		}
		if !tones.MatchString(digits) {
			return errs.New(errs.Invalid, "digits are 0-9, *, # and w for half a second; 1 to 32 of them").At("digits")
		}
		if err := c.part(); err != nil {
			return err
		}
		x, err := c.party(leg)
		if err != nil {
			return err
		}
		if n := len(c.st.room.digits); n >= maxDigits {
			return errs.New(errs.LimitReached, "tones were sent %d times in this call, which is the most", n)
		}
		c.add(CommandDigits, x.leg, &Order{Digits: digits})
		return nil
	})
}

// Remove takes a party out of the call, or stops ringing it (R101). Codes: those of
// Hold; errs.Conflict where only two are left.
func (s *Service) Remove(ctx context.Context, who access.Actor, call, leg id.ID, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Remove")
	return s.order(ctx, who, call, "callRemoveParticipant", key, leg, func(c *control) error {
		if err := c.known(leg, PartyInput{}); err != nil {
			return err
		}
		if err := c.part(); err != nil {
			return err
		}
		if err := c.still(); err != nil {
			return err
		}
		r := c.st.room
		x := r.find(leg)
		if x == nil || !x.ringing || x.role == monitor {
			var err error
			if x, err = c.party(leg); err != nil {
				return err
			}
			if r.parties() < 3 {
				return errs.New(errs.Conflict, "only two are in the call; hang up to end it")
			}
		}
		for i := range r.seats { // the other phones of whoever is rung, too
			if o := &r.seats[i]; o.leg == x.leg || x.ringing && o.ringing && o.since.Equal(x.since) && o.purpose == x.purpose {
				c.add(CommandRemove, o.leg, nil)
			}
		}
		return nil
	})
}

// parties is how many are in the call.
func (r *room) parties() (n int) {
	for _, s := range r.seats {
		if s.talks && s.ended == nil && !s.out && s.role != monitor {
			n++
		}
	}
	return n
}

// maxParties is how many can be in one call, with those who ring.
const maxParties = 20

// mayRing refuses legs beyond what a call can have: each is billed.
func (c *control) mayRing(n int) error {
	if len(c.st.room.seats)+n > 5*maxParties {
		return errs.New(errs.LimitReached, "too many were rung for this call; start another")
	}
	return nil
}

// PartyInput is whom to bring into a call: one of these.
type PartyInput struct {
	UserID    id.ID
	BranchID  id.ID // transfers only
	ContactID id.ID // added parties only
	To        string
}

// Add adds a party to the call (R101); every leg is billed (R102). Codes: those of
// Hold; errs.Forbidden when conferences are switched off or the number may not be
// called, errs.Invalid and errs.Required by field.
func (s *Service) Add(ctx context.Context, who access.Actor, call id.ID, in PartyInput, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Add")
	if err := who.Require(access.CallMake); err != nil {
		return nil, err
	}
	return s.order(ctx, who, call, "callAddParticipant", key, in, func(c *control) error {
		if err := c.known(id.ID{}, in); err != nil {
			return err
		}
		if err := c.part(); err != nil {
			return err
		}
		if err := c.feature(tenant.Conference); err != nil {
			return err
		}
		if err := c.still(); err != nil {
			return err
		}
		targets, err := c.targets(in)
		if err != nil {
			return err
		}
		if n := c.st.room.parties(); n >= maxParties {
			return errs.New(errs.LimitReached, "%d parties are in the call, which is the most", n)
		}
		if err := c.mayRing(len(targets)); err != nil {
			return err
		}
		c.add(CommandAdd, id.ID{}, &Order{Targets: targets, Purpose: ForAdded, ToUser: in.UserID, ToNumber: outsideOf(targets)})
		return nil
	})
}
