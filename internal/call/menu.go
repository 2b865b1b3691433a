package call

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// nameLegs gives every target its leg.
func nameLegs(steps []route.Step) {
	for i := range steps {
		for j := range steps[i].Targets {
			steps[i].Targets[j].LegID = id.New(id.Leg)
		}
	}
}

// serve is from, with the facts of the steps that it serves. Calls of our own are
// booked at the connection's pace.
func (w script) serve(ctx context.Context, tx *db.Tx, step int) (doc twilio.Response, facts []Fact, err error) {
	doc, served := w.from(step)
	for _, n := range served {
		f := stepFact(n, tx.Now)
		if own := owned(w.state.Decision.Steps[n-1].Targets); own > 0 {
			if f.Data.Delay, err = book(ctx, tx, w.state.Call.ConnectionID, own, w.state.Plan.CallsPerSecond); err != nil {
				return nil, nil, err
			}
		}
		facts = append(facts, f)
	}
	return doc, facts, nil
}

// AfterMenu says what a key leads to, or the lack of one (R048). The settings of
// this moment count; the keys are those that the caller heard. Asked again for the
// same step it says the same.
func (s *Service) AfterMenu(ctx context.Context, tx *db.Tx, call id.ID, step int, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.AfterMenu(%d)", step)
	key := pressed(f.Digits)
	fact := Fact{Key: "keys/" + strconv.Itoa(step), Kind: FactKeys, At: tx.Now, Data: FactData{Step: step, Keys: key, Parent: f.Status}}
	var failure error
	st, found, err := s.takeWith(ctx, tx, call, id.ID{}, []Fact{fact}, func(st State) (more []Fact) {
		if over(f.Status) || st.Decision == nil || step != len(st.Decision.Steps) || st.Decision.Steps[step-1].Kind != route.MenuStep {
			return nil
		}
		more, failure = s.lead(ctx, tx, st, step, key, hooks)
		return more
	})
	switch {
	case err != nil || failure != nil:
		return nil, cmp.Or(failure, err)
	case !found || st.Decision == nil:
		return twilio.Response{twilio.Hangup{}}, nil
	case over(f.Status) || st.Call.EndedAt != nil:
		return twilio.Response{}, nil
	}
	doc, _ := script{state: st, hooks: hooks, audio: s.Audio}.from(step + 1)
	return doc, s.startDue(ctx, tx, st)
}

// pressed is a key as Twilio tells it, "" for none.
func pressed(digits string) string {
	if len(digits) > 1 {
		digits = digits[:1]
	}
	if !strings.Contains(route.MenuKeys, digits) {
		return ""
	}
	return digits
}

// lead adds to the route what a key leads to, and serves it.
func (s *Service) lead(ctx context.Context, tx *db.Tx, st State, step int, key string, hooks Hooks) ([]Fact, error) {
	at := st.Decision.Steps[step-1]
	sc, err := s.readScene(ctx, tx, look{number: st.Call.PhoneNumberID, from: st.Call.FromNumber, menu: at.Menu, turn: true})
	if err != nil {
		return nil, err
	}
	next := sc.AfterMenu(at, key)
	nameLegs(next.Steps)
	if err := tookTurn(ctx, tx, st.Call.PhoneNumberID, next.First); err != nil {
		return nil, err
	}
	routed := Fact{Key: "routed/" + strconv.Itoa(step), Kind: FactRouted, At: tx.Now, Data: FactData{Step: step + 1, Steps: next.Steps, Trace: next.Trace, Layer: next.Layer}}
	st.Decision = longer(st.Decision, &routed.Data)
	_, facts, err := script{state: st, hooks: hooks, audio: s.Audio}.serve(ctx, tx, step+1)
	return append([]Fact{routed}, facts...), err
}

// AfterPrompt serves a step whose time begins when the prompt before it is over.
func (s *Service) AfterPrompt(ctx context.Context, tx *db.Tx, call id.ID, step int, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.AfterPrompt(%d)", step)
	if over(f.Status) {
		return twilio.Response{}, nil
	}
	st, err := s.locked(ctx, tx, call)
	switch {
	case err != nil:
		return nil, err
	case st.Decision == nil || st.hungUp || step > len(st.Decision.Steps):
		return twilio.Response{twilio.Hangup{}}, nil
	case st.Call.EndedAt != nil:
		return twilio.Response{}, nil
	case st.Step >= step:
		doc, _ := script{state: st, hooks: hooks, audio: s.Audio}.from(step)
		return doc, nil
	}
	doc, facts, err := script{state: st, hooks: hooks, audio: s.Audio}.serve(ctx, tx, step)
	if err != nil {
		return nil, err
	}
	if st, _, err = s.take(ctx, tx, call, id.ID{}, facts...); err != nil {
		return nil, err
	}
	return doc, s.startDue(ctx, tx, st)
}

// tookTurn remembers who was rung first, where people take turns (ROUND_ROBIN).
func tookTurn(ctx context.Context, tx *db.Tx, number, first id.ID) error {
	if first.IsZero() {
		return nil
	}
	_, err := db.Exec(ctx, tx, `UPDATE phone_number SET last_first_user_id = $3 WHERE organization_id = $1 AND id = $2`, db.TenantFrom(ctx), number, first)
	return err
}

// notices are what there is to know about the settings that a call goes by (D10).
func (p Plan) notices() []NoticeCode {
	if p.Record == RecordFromRinging || p.Record == RecordFromRingingDual {
		return []NoticeCode{RecordedBeforeConsent}
	}
	return nil
}
