package call

import (
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
	"switchboard/internal/user"
)

// FromApp takes a call that a device makes by itself through the Voice SDK: it is
// connected at once with whom its parameters name, by the rules of Start. The
// identity in From is the token's and can be trusted; all parameters are the
// client's and cannot (twilio.md 2.1). What is refused is said in words.
//
// The parameters are those of StartInput: To, contactId, recordId, campaignId,
// userId, phoneNumberId, dropMessageId, detectMachine; and key, with which the call
// is made once, also if callStart was tried with the same.
func (s *Service) FromApp(ctx context.Context, tx *db.Tx, in Incoming) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.FromApp")
	if over(in.Form.Status) {
		return twilio.Response{}, nil
	}
	device, err := id.ParseKind(strings.TrimPrefix(in.Form.From, "client:"), id.Device)
	if err != nil || !strings.HasPrefix(in.Form.From, "client:") {
		return refusal(errs.New(errs.NotFound, "this device is not known; sign in again")), nil
	}
	who, err := s.owner(ctx, tx, device)
	if err != nil {
		return spoken(err)
	}
	input, key, err := appInput(in.Form)
	if err != nil {
		return spoken(err)
	}
	return s.place(ctx, tx, who, input, key, in, route.Target{Kind: route.Device, UserID: who.UserID, DeviceID: device, Address: in.Form.From})
}

// place connects somebody who calls by themselves, on what from is, with whom they
// call. Asked again for the same call it says the same.
func (s *Service) place(ctx context.Context, tx *db.Tx, who access.Actor, input StartInput, key string, in Incoming, from route.Target) (twilio.Response, error) {
	st, err := s.bySID(ctx, tx, in.Form.CallSID)
	if err != nil {
		return nil, err
	}
	if st.Call.ID.IsZero() {
		from.LegID = id.New(id.Leg)
		call, err := s.startOnce(ctx, tx, who, input, key, &FirstLeg{SID: in.Form.CallSID, Connection: in.Connection, Target: from})
		if err != nil {
			return spoken(err)
		}
		if st, _, err = s.readIn(ctx, tx, call); err != nil {
			return nil, err
		}
	}
	switch {
	case st.Call.TwilioSID == nil || *st.Call.TwilioSID != in.Form.CallSID:
		return refusal(errs.New(errs.Conflict, "this call is under way already")), nil
	case st.Call.EndedAt != nil || st.hungUp:
		return twilio.Response{twilio.Hangup{}}, nil
	}
	return twilio.Response{script{state: st, hooks: in.Hooks, audio: s.Audio}.callee()}, nil
}

// owner is whose device it is, as they may act now. Codes: errs.NotFound,
// errs.Conflict for a removed device, errs.Forbidden for who is switched off.
func (s *Service) owner(ctx context.Context, tx *db.Tx, device id.ID) (access.Actor, error) {
	var user id.ID
	var removed bool
	err := tx.Pgx().QueryRow(ctx, `SELECT user_id, removed_at IS NOT NULL FROM device WHERE organization_id = $1 AND id = $2`, db.TenantFrom(ctx), device).Scan(&user, &removed)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return access.Actor{}, errs.New(errs.NotFound, "this device is not known; sign in again")
	case err != nil:
		return access.Actor{}, db.Translate(err)
	case removed:
		return access.Actor{}, errs.New(errs.Conflict, "this device was removed; register it anew")
	}
	return s.person(ctx, tx, user)
}

// person is a user as they may act now, where no session says so: on a phone.
// Code: errs.Forbidden for who is switched off.
func (s *Service) person(ctx context.Context, tx *db.Tx, who id.ID) (access.Actor, error) {
	a, err := user.Acting(ctx, tx, who)
	if errs.IsCode(err, errs.NotFound) || errs.IsCode(err, errs.Forbidden) {
		return access.Actor{}, errs.New(errs.Forbidden, "your user is switched off; ask an administrator")
	}
	return a, err
}

// The longest parameters of an app's call, in characters.
const (
	maxTo  = 64
	maxKey = 200
)

// appInput reads the parameters of an app's call.
func appInput(f twilio.CallForm) (in StartInput, key string, err error) {
	take := func(dst *string, name, value string, limit int) {
		if utf8.RuneCountInString(value) > limit && err == nil {
			err = errs.New(errs.Invalid, "the parameter %s is longer than %d characters", name, limit)
		}
		*dst = strings.TrimSpace(value)
	}
	take(&in.To, "To", f.To, maxTo)
	take(&key, "key", f.Param("key"), maxKey)
	for name, x := range map[string]struct {
		dst  *id.ID
		kind id.Kind
	}{
		"contactId": {&in.ContactID, id.Contact}, "recordId": {&in.RecordID, id.Record}, "campaignId": {&in.CampaignID, id.Campaign},
		"userId": {&in.UserID, id.User}, "phoneNumberId": {&in.PhoneNumberID, id.PhoneNumber}, "dropMessageId": {&in.DropMessageID, id.DropMessage},
	} {
		var text string
		take(&text, name, f.Param(name), maxTo)
		if text == "" || err != nil {
			continue
		}
		if *x.dst, err = id.ParseKind(text, x.kind); err != nil {
			err = errs.New(errs.Invalid, "the parameter %s is not what it should be", name)
		}
	}
	var detect string
	take(&detect, "detectMachine", f.Param("detectMachine"), 5)
	in.DetectMachine = detect == "true"
	return in, key, err
}

// spoken says what a person can mend; what they cannot is an error.
func spoken(err error) (twilio.Response, error) {
	e, ok := errs.As(err)
	if !ok || e.Code == errs.Internal || e.Code == errs.Unavailable {
		return nil, err
	}
	return refusal(e), nil
}

func refusal(e *errs.Error) twilio.Response {
	return twilio.Response{twilio.Say{Text: sentence(e.Message)}, twilio.Hangup{}}
}

// sentence makes a message one: a capital, and a stop.
func sentence(text string) string {
	r := []rune(strings.TrimSpace(text))
	if len(r) == 0 {
		return ""
	}
	r[0] = unicode.ToUpper(r[0])
	return strings.TrimRight(string(r), ".") + "."
}
