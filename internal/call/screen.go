package call

import (
	"context"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// screenWaits is how long whoever picked up may think, in seconds.
const screenWaits = 8

// Screen is what whoever picks up a forwarded call hears: a machine does not press
// 1, so it never has the call (R052). The caller goes on hearing it ring.
func (s *Service) Screen(ctx context.Context, tx *db.Tx, call, leg id.ID, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.Screen")
	st, _, err := s.readIn(ctx, tx, call)
	if err != nil {
		return nil, err
	}
	if l := st.Find(leg); l == nil || over(f.Status) || !st.free(l) {
		return twilio.Response{twilio.Hangup{}}, nil
	}
	name := ""
	err = tx.Pgx().QueryRow(ctx, `SELECT coalesce((SELECT name FROM phone_number WHERE organization_id = $1 AND id = $2), '')`, db.TenantFrom(ctx), st.Call.PhoneNumberID).Scan(&name)
	if err != nil {
		return nil, db.Translate(err)
	}
	text := "You have a call. "
	if name != "" {
		text = "You have a call for " + name + ". "
	}
	w := script{state: st, hooks: hooks, audio: s.Audio}
	return twilio.Response{
		twilio.Gather{Action: hooks.TwiML(w.path("screened/"+leg.String()), nil), NumDigits: 1, NoFinishKey: true, TimeoutSeconds: screenWaits,
			Prompts: []twilio.Verb{w.say(text + "Press 1 to take it.")}},
		twilio.Hangup{},
	}, nil
}

// Screened takes the key: 1 takes the call, any other declines it.
func (s *Service) Screened(ctx context.Context, tx *db.Tx, call, leg id.ID, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.Screened")
	st, won, err := s.claim(ctx, tx, call, leg, f, f.Digits == "1")
	return s.claimed(st, won, leg, hooks), err
}

// Claim answers a leg that was picked up beside calls of our own: it is connected, or
// another was faster.
func (s *Service) Claim(ctx context.Context, tx *db.Tx, call, leg id.ID, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.Claim")
	st, won, err := s.claim(ctx, tx, call, leg, f, true)
	return s.claimed(st, won, leg, hooks), err
}

func (s *Service) claimed(st State, won bool, leg id.ID, hooks Hooks) twilio.Response {
	switch {
	case !won:
		return twilio.Response{twilio.Hangup{}}
	case st.ringRoom:
		return script{state: st, hooks: hooks, audio: s.Audio}.meet(leg)
	}
	return twilio.Response{} // Twilio bridges it with the caller
}

// meet sends a leg into the call's room.
func (w script) meet(leg id.ID) twilio.Response {
	return twilio.Response{twilio.Redirect{URL: w.hooks.TwiML(w.path("join/"+leg.String()), nil)}}
}
