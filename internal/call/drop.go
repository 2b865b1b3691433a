package call

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/tenant"
	"switchboard/internal/twilio"
)

// dropAction names the redirect of the outside party's leg to the message.
const dropAction = "drop"

// dropping is what the facts say of answering machines and of messages for them.
type dropping struct {
	words []*Fact // verdicts, corrections and orders, as they came
	heard bool    // the message began
}

func (x *dropping) take(f *Fact) {
	switch d := &f.Data; {
	case f.Kind == FactVerdict, f.Kind == FactCommand && (d.Command == CommandDrop || d.Command == CommandAnswerer):
		x.words = append(x.words, f)
	case f.Kind == FactActionAnswer && d.Action == dropAction && d.Status == actDone:
		x.heard = true
	}
}

// answererOf reads a verdict of the network.
func answererOf(word string) Answerer {
	switch {
	case strings.HasPrefix(word, "human"):
		return Human
	case strings.HasPrefix(word, "machine"):
		return Machine
	case word == "fax":
		return Fax
	}
	return UnknownAnswerer
}

// answerer is who answered: as a person corrected it last, else the first verdict (T10).
func (x *dropping) answerer() *Answerer {
	var said, told *Answerer
	for _, f := range x.words {
		switch {
		case f.Data.Command == CommandAnswerer:
			said = ptr(Answerer(f.Data.Status))
		case f.Kind == FactVerdict && told == nil:
			told = ptr(answererOf(f.Data.Status))
		}
	}
	if said != nil {
		return said
	}
	return told
}

// order is the message to leave and since when; nil while none is to be left. One
// that waits is left when the beep is heard or a person says that it is a machine;
// one ordered by a person also at once, if they say so or nothing is to be waited
// for any more. Who says that a person answered calls off what waits.
func (x *dropping) order(waiting *Order, detect bool) (*Order, time.Time) {
	known := !detect
	for _, f := range x.words {
		d := &f.Data
		switch {
		case d.Command == CommandDrop && d.Order != nil:
			if waiting = d.Order; known || waiting.Now {
				return waiting, f.At
			}
		case d.Command == CommandAnswerer:
			known = true
			switch Answerer(d.Status) {
			case Machine:
				if waiting != nil {
					return waiting, f.At
				}
			case Human:
				waiting = nil
			}
		case f.Kind == FactVerdict:
			known = true
			if waiting != nil && strings.HasPrefix(d.Status, "machine_end") {
				return waiting, f.At
			}
		}
	}
	return nil, time.Time{}
}

// drops settles who answered, and which message is left.
func (t *tally) drops(st *State, w *winner) {
	s := t.start
	if s.Direction != Outbound || s.Callee == nil {
		return
	}
	st.Call.Answerer = t.drop.answerer()
	o, since := t.drop.order(s.Drop, s.Detect)
	if o == nil || w == nil || w.leg != s.Callee.LegID {
		return
	}
	// What comes after the end has no effect; Twilio tells ends in whole seconds.
	if end, _ := t.end(); end != nil && end.Before(later(since, w.at).Truncate(time.Second)) && !t.drop.heard {
		return
	}
	st.drop = o
	st.dropped = t.drop.heard
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// dropNow is the message that the outside party's leg is to be sent to, from the
// moment on when it is to be left; nil when none is.
func (s *State) dropNow() *Order { return s.drop }

// dropping reports whether a message is to be left, or was.
func (s *State) dropping() bool { return s.drop != nil }

// Verdict takes what detection made of whoever answered a leg (T10).
func (s *Service) Verdict(ctx context.Context, tx *db.Tx, call, leg id.ID, f twilio.VerdictForm) (err error) {
	defer errs.Wrap(&err, "call.Verdict(%s)", f.AnsweredBy)
	_, _, err = s.take(ctx, tx, call, id.ID{}, Fact{Key: "verdict/" + leg.String(), Kind: FactVerdict, At: tx.Now, Data: FactData{Leg: leg, SID: f.CallSID, Status: f.AnsweredBy}})
	return err
}

// Drop is what the outside party's leg plays once it was sent to the message: all
// of it, from its first word, and then it hangs up (R109).
func (s *Service) Drop(ctx context.Context, tx *db.Tx, call id.ID, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.Drop")
	st, found, err := s.take(ctx, tx, call, id.ID{}, Fact{Key: "drop/heard", Kind: FactActionAnswer, At: tx.Now,
		Data: FactData{Action: dropAction, SID: f.CallSID, Status: actDone, Step: lastStep}})
	switch {
	case err != nil:
		return nil, err
	case over(f.Status):
		return twilio.Response{}, nil
	case !found || st.drop == nil:
		return twilio.Response{twilio.Hangup{}}, nil
	}
	return script{state: st, hooks: hooks, audio: s.Audio}.dropped(), nil
}

// lastStep stands after all attempts of an action.
const lastStep = 1000

func (w script) dropped() twilio.Response {
	o := w.state.drop
	w.state.Plan.Voice, w.state.Plan.Language = o.Voice, o.Language
	return append(twilio.Response(w.prompt(o.Message, "")), twilio.Hangup{})
}

// dropOrder is a saved message as an order keeps it. Code: errs.NotFound.
func dropOrder(ctx context.Context, tx *db.Tx, org, message id.ID) (*Order, error) {
	o := &Order{}
	err := tx.Pgx().QueryRow(ctx, `SELECT coalesce(m.text, ''), coalesce(a.public_token, ''), m.voice, m.language FROM drop_message m
		LEFT JOIN audio a ON a.organization_id = m.organization_id AND a.id = m.audio_id
		WHERE m.organization_id = $1 AND m.id = $2 AND m.removed_at IS NULL`, org, message).
		Scan(&o.Message.Text, &o.Message.Audio, &o.Voice, &o.Language)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errs.New(errs.NotFound, "there is no such message").At("dropMessageId")
	}
	return o, db.Translate(err)
}

// DropMessage leaves a saved message on the answering machine, and the actor is
// free at once (R108-R110): when the beep is heard, or at once with now or when
// there is nothing to wait for. With a key it acts once. Codes: errs.Forbidden, also
// when the feature is switched off or another's call is meant; errs.NotFound;
// errs.Conflict for a call in a state that has no machine, naming it.
func (s *Service) DropMessage(ctx context.Context, who access.Actor, call, message id.ID, now bool, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.DropMessage")
	c, err := s.talking(ctx, who, call)
	if err != nil {
		return nil, err
	}
	in := struct {
		Call, Message id.ID
		Now           bool
	}{call, message, now}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := job.Once(ctx, tx, job.Key{User: who.UserID, Mutation: "voicemailDrop", Key: key}, in, func() (id.ID, error) {
			if err := requireFeature(ctx, tx, tenant.VoicemailDrop); err != nil {
				return id.ID{}, err
			}
			o, err := dropOrder(ctx, tx, who.OrganizationID, message)
			if err != nil {
				return id.ID{}, err
			}
			o.Now = now
			st, _, err := s.take(ctx, tx, call, who.UserID)
			switch {
			case err != nil:
				return id.ID{}, err
			case st.room.gone(who.UserID):
				return id.ID{}, notOnCall()
			case st.Call.EndedAt != nil:
				return id.ID{}, errs.New(errs.Conflict, "the call is over (%s)", st.Call.Status)
			case st.Call.Version > maxCommands:
				return id.ID{}, tooMuch()
			case st.drop != nil:
				return id.ID{}, errs.New(errs.Conflict, "a message is being left already (%s)", st.Call.Status)
			case now && st.Call.AnsweredAt == nil:
				return id.ID{}, errs.New(errs.Conflict, "nobody has answered yet (%s); leave out now to have the message left at the beep", st.Call.Status)
			}
			_, _, err = s.take(ctx, tx, call, who.UserID, Fact{Key: "drop/" + id.New(id.Fact).String(), Kind: FactCommand, At: tx.Now,
				Data: FactData{Command: CommandDrop, By: who.UserID, Order: o}})
			return call, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, c.ID)
}

// SetAnswerer corrects who answered (T10): HUMAN calls off a message that waits for
// the beep, MACHINE has it left. Codes: errs.Forbidden, errs.NotFound, errs.Invalid,
// errs.Conflict for a call that is over or was not answered, naming its state.
func (s *Service) SetAnswerer(ctx context.Context, who access.Actor, call id.ID, a Answerer) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.SetAnswerer")
	if _, err := s.talking(ctx, who, call); err != nil {
		return nil, err
	}
	switch a {
	case Human, Machine, Fax, UnknownAnswerer:
	default:
		return nil, errs.New(errs.Invalid, "this is no answerer").At("answerer")
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		st, _, err := s.take(ctx, tx, call, who.UserID)
		switch {
		case err != nil:
			return err
		case st.room.gone(who.UserID):
			return notOnCall()
		case st.Call.EndedAt != nil:
			return errs.New(errs.Conflict, "the call is over (%s)", st.Call.Status)
		case st.Call.Version > maxCommands:
			return tooMuch()
		case st.Call.AnsweredAt == nil:
			return errs.New(errs.Conflict, "nobody has answered yet (%s)", st.Call.Status)
		case st.Call.Answerer != nil && *st.Call.Answerer == a:
			return nil // as it is, by the network's word or a person's: nothing new
		}
		_, _, err = s.take(ctx, tx, call, who.UserID, Fact{Key: "answerer/" + id.New(id.Fact).String(), Kind: FactCommand, At: tx.Now,
			Data: FactData{Command: CommandAnswerer, By: who.UserID, Status: string(a)}})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, call)
}

// talking is an outbound call that the actor takes part in and that goes on.
func (s *Service) talking(ctx context.Context, who access.Actor, call id.ID) (*Call, error) {
	if err := who.Require(access.CallMake); err != nil {
		return nil, err
	}
	c, err := s.Get(ctx, who, call)
	switch {
	case err != nil:
		return nil, err
	case c.Direction != Outbound:
		return nil, errs.New(errs.Conflict, "this is no outbound call (%s, %s): it has no answering machine", c.Direction, c.Status)
	case !c.tookPart(who):
		return nil, notOnCall()
	}
	return c, nil
}

func notOnCall() error { return errs.New(errs.Forbidden, "only who is on the call can do this") }
