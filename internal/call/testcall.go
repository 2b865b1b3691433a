package call

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// TestInput is a test of a number.
type TestInput struct {
	PhoneNumberID id.ID  // shown; zero: chosen by the rules (R085)
	To            string // a phone of the actor, as typed; "": the primary one
}

// Test rings a phone of the actor, says which number it shows and why, and gives
// what to look at next (R085, R133). With a key it acts once. Codes are those of
// Start, and errs.Forbidden without NUMBER_MANAGE.
func (s *Service) Test(ctx context.Context, who access.Actor, in TestInput, key string) (_ *Call, steps []*TestStep, err error) {
	defer errs.Wrap(&err, "call.Test")
	if err := who.Require(access.NumberManage); err != nil {
		return nil, nil, err
	}
	if who.UserID.IsZero() {
		return nil, nil, errs.New(errs.Forbidden, "a test rings a phone of yours; an API key has none")
	}
	var call id.ID
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		call, err = job.Once(ctx, tx, job.Key{User: who.UserID, Mutation: "testCall", Key: key}, in, func() (id.ID, error) {
			number, err := ownPhone(ctx, tx, who, in.To)
			if err != nil {
				return id.ID{}, err
			}
			d := &draft{s: s, tx: tx, who: who, test: true, in: StartInput{To: string(number), PhoneNumberID: in.PhoneNumberID}}
			if err := d.fill(ctx); err != nil {
				return id.ID{}, err
			}
			// There is one leg: the phone that is called and rung is the same.
			d.start.Agent = &route.Target{LegID: id.New(id.Leg), Kind: route.UserPhone, UserID: who.UserID, Address: string(number)}
			d.start.Callee, d.start.Contact, d.start.Dialled, d.start.Notices, d.start.Plan.Record = nil, id.ID{}, "", nil, ""
			return s.keep(ctx, tx, d.start)
		})
		if err != nil {
			return err
		}
		steps, err = testSteps(ctx, tx, call)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	c, err := s.own(ctx, who, call)
	return c, steps, err
}

// ownPhone is a phone of the actor: no test rings anybody else.
func ownPhone(ctx context.Context, tx *db.Tx, who access.Actor, typed string) (phone.E164, error) {
	var want phone.E164
	if typed != "" {
		country, err := defaultCountry(ctx, tx)
		if err != nil {
			return "", err
		}
		if want, err = phone.Parse(typed, country); err != nil {
			return "", errs.New(errs.Invalid, "%s", err.Error()).At("to")
		}
	}
	var number phone.E164
	err := tx.Pgx().QueryRow(ctx, `SELECT e164 FROM user_phone WHERE organization_id = $1 AND user_id = $2 AND ($3 = '' OR e164 = $3)
		ORDER BY is_primary DESC, e164 LIMIT 1`, who.OrganizationID, who.UserID, string(want)).Scan(&number)
	switch {
	case errors.Is(err, pgx.ErrNoRows) && typed != "":
		return "", errs.New(errs.Invalid, "this is no phone of yours; add it to your phones first").At("to")
	case errors.Is(err, pgx.ErrNoRows):
		return "", errs.New(errs.Required, "you have no phone that could ring; give yourself one first").At("to")
	}
	return number, db.Translate(err)
}

// because is why a number was chosen, in words.
var because = map[route.NumberChoiceReason]string{
	route.Explicit:         "it was asked for",
	route.BranchAndCountry: "it is the number of your branch in the country that is called",
	route.SameCountry:      "it has the country that is called",
	route.OwnBranch:        "it is the number of your branch",
	route.DefaultNumber:    "it is the default number",
	route.OwnThread:        "it is the number of the conversation",
}

// tested is what a test call says.
func (w script) tested() twilio.Response {
	c := w.state.Call
	text := "This is a test call."
	if shown := c.CallerID(); shown != nil {
		text = fmt.Sprintf("This is a test call. Your phone shows the number %s, because %s.", digitByDigit(shown.E164), because[shown.Reason])
	}
	return twilio.Response{w.say(text), twilio.Pause{Seconds: 1}, w.say(text + " Goodbye."), twilio.Hangup{}}
}

// digitByDigit is a number as it is read aloud.
func digitByDigit(e phone.E164) string {
	return "plus " + strings.Join(strings.Split(strings.TrimPrefix(string(e), "+"), ""), " ")
}

// testSteps are what to look at after a change of the number that a test showed (R133).
func testSteps(ctx context.Context, tx *db.Tx, call id.ID) ([]*TestStep, error) {
	var (
		number                                 phone.E164
		reason                                 route.NumberChoiceReason
		enabled, inbound, welcome, mail, greet bool
		owner                                  string
		told                                   []string
	)
	err := tx.Pgx().QueryRow(ctx, `SELECT n.e164, c.caller_id_reason, n.is_enabled AND k.is_enabled, n.use_for_inbound_calls,
			n.welcome_text IS NOT NULL OR n.welcome_audio_id IS NOT NULL, n.voicemail_enabled,
			n.voicemail_greeting_text IS NOT NULL OR n.voicemail_greeting_audio_id IS NOT NULL, coalesce(o.name, ''),
			ARRAY(SELECT u.name FROM phone_number_voicemail_user x JOIN "user" u ON u.organization_id = $1 AND u.id = x.user_id
				WHERE x.organization_id = $1 AND x.phone_number_id = n.id AND u.status = 'ACTIVE' ORDER BY lower(u.name), u.id LIMIT 20)
		FROM call c
		JOIN phone_number n ON n.organization_id = $1 AND n.id = c.phone_number_id
		JOIN twilio_connection k ON k.organization_id = $1 AND k.id = n.connection_id
		LEFT JOIN "user" o ON o.organization_id = $1 AND o.id = n.voicemail_owner_id
		WHERE c.organization_id = $1 AND c.id = $2`, db.TenantFrom(ctx), call).
		Scan(&number, &reason, &enabled, &inbound, &welcome, &mail, &greet, &owner, &told)
	if err != nil {
		return nil, db.Translate(err)
	}
	open := enabled && inbound
	steps := []*TestStep{
		{What: "Look at the number that your phone shows.", Expected: fmt.Sprintf("It is %s, because %s.", number, because[reason]), IsReady: true},
		{What: fmt.Sprintf("Call %s from another phone.", number), Expected: "The people of the number ring.", IsReady: open},
	}
	if !open {
		steps[1].Expected = "Nobody rings: the number is switched off, or is not used for calls that come in."
	}
	if welcome {
		steps = append(steps, &TestStep{What: "Listen before anybody answers.", Expected: "The welcome prompt plays.", IsReady: open})
	}
	if !mail {
		return append(steps, &TestStep{What: "Let it ring until nobody answers.", Expected: "The call ends without voicemail, which is switched off.", IsReady: false}), nil
	}
	greeting := "The greeting plays, then a tone."
	if !greet {
		greeting = "A standard sentence asks for a message: no greeting is set."
	}
	saved, hears := "The message is saved as a voicemail.", "Nobody is told of a new voicemail."
	if owner != "" {
		saved = "The message is saved as a voicemail for " + owner + "."
	}
	if len(told) > 0 {
		hears = "These people are told of it: " + strings.Join(told, ", ") + "."
	}
	return append(steps,
		&TestStep{What: "Let it ring until nobody answers.", Expected: greeting, IsReady: open && greet},
		&TestStep{What: "Leave a message and hang up.", Expected: saved, IsReady: open},
		&TestStep{What: "See who is told.", Expected: hears, IsReady: open && len(told) > 0},
	), nil
}
