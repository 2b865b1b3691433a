package diagnose

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

// Input says what to look at: one thing, or the organization when nothing is named.
type Input struct {
	PhoneNumberID, UserID, MessageID, CallID, AutomationID, ConnectionID id.ID
	Live                                                                 bool
}

// subject is the one thing that is named.
func (in Input) subject() (field string, subject id.ID, err error) {
	for name, x := range map[string]struct {
		id   id.ID
		kind id.Kind
	}{"phoneNumberId": {in.PhoneNumberID, id.PhoneNumber}, "userId": {in.UserID, id.User}, "messageId": {in.MessageID, id.Message}, "callId": {in.CallID, id.Call},
		"automationId": {in.AutomationID, id.Automation}, "connectionId": {in.ConnectionID, id.Connection}} {
		switch {
		case x.id.IsZero():
		case !subject.IsZero():
			return "", id.ID{}, errs.New(errs.Invalid, "name one thing to look at").At("input")
		default:
			if err := x.id.Want(x.kind); err != nil {
				return "", id.ID{}, errs.New(errs.Invalid, "%s", err).At("input", name)
			}
			field, subject = name, x.id
		}
	}
	return field, subject, nil
}

func (s *Service) exam(org id.ID, live bool) *exam {
	return &exam{s: s, org: org, who: access.System(org), now: s.d.DB.Clock().Now(), live: live, made: map[pair]int{}}
}

// Diagnose looks at one thing and says what is wrong with it and what to do. What it
// finds of numbers, connections and people is kept as the regular look would. It needs
// DIAGNOSE. Codes: errs.Forbidden, errs.NotFound for what is not there or may not be
// seen, errs.Invalid for more than one thing.
func (s *Service) Diagnose(ctx context.Context, who access.Actor, in Input) (_ *Diagnosis, err error) {
	defer errs.Wrap(&err, "diagnose.Diagnose")
	if err := who.Require(access.Diagnose); err != nil {
		return nil, err
	}
	ctx = access.With(ctx, who)
	field, subject, err := in.subject()
	if err != nil {
		return nil, err
	}
	if err := s.sees(ctx, who, subject); err != nil {
		if e, ok := errs.As(err); ok && e.Code == errs.NotFound {
			return nil, errs.New(errs.NotFound, "%s", e.Message).At("input", field)
		}
		return nil, err
	}
	x := s.exam(who.OrganizationID, in.Live)
	x.byPerson = true
	if err := x.run(ctx, who, subject); err != nil {
		return nil, err
	}
	if err := x.keep(ctx); err != nil {
		return nil, err
	}
	if subject.IsZero() {
		subject = who.OrganizationID
	}
	d := x.diagnosis(subject)
	for i := range d.Findings {
		d.Findings[i].Evidence = hide(who, d.Findings[i].Evidence)
	}
	return d, nil
}

// sees refuses what the actor may not see; calls, messages and automations are read as
// them later.
func (s *Service) sees(ctx context.Context, who access.Actor, subject id.ID) (err error) {
	switch subject.Kind() {
	case id.PhoneNumber:
		_, err = s.d.Numbers.Get(ctx, who, subject)
	case id.User:
		_, err = s.d.Users.Get(ctx, who, subject)
	case id.Connection:
		_, err = s.d.Numbers.Connection(ctx, who, subject)
	}
	return err
}

// run examines whatever is named.
func (x *exam) run(ctx context.Context, who access.Actor, subject id.ID) (err error) {
	switch subject.Kind() {
	case id.PhoneNumber:
		return x.number(ctx, subject)
	case id.User:
		return x.user(ctx, subject, true)
	case id.Message:
		return x.message(ctx, who, subject)
	case id.Call:
		return x.call(ctx, who, subject)
	case id.Automation:
		return x.automation(ctx, who, subject)
	case id.Connection:
		_, err = x.connection(ctx, subject, func(ctx context.Context) error { return x.s.d.Numbers.Look(ctx, subject) })
		return err
	}
	return x.whole(ctx)
}

// Acknowledge says that a finding is known. It needs DIAGNOSE. Codes: errs.Forbidden,
// errs.NotFound, errs.Invalid for the note.
func (s *Service) Acknowledge(ctx context.Context, who access.Actor, finding id.ID, note *string) (_ *Finding, err error) {
	defer errs.Wrap(&err, "diagnose.Acknowledge(%s)", finding)
	if note != nil {
		text := strings.TrimSpace(*note)
		switch {
		case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
			return nil, errs.New(errs.Invalid, "the note holds characters that cannot be stored; type it anew").At("note")
		case utf8.RuneCountInString(text) > 1000:
			return nil, errs.New(errs.Invalid, "the note is longer than 1000 characters").At("note")
		}
		if note = &text; text == "" {
			note = nil
		}
	}
	return s.change(ctx, who, finding, "finding.acknowledge", func(f *Finding, now time.Time) error {
		f.AcknowledgedAt, f.AcknowledgedByID = &now, who.UserID
		if note != nil {
			f.Note = note
		}
		return nil
	})
}

// maxSnooze is how long a finding may be put aside.
const maxSnooze = 90 * 24 * time.Hour

// Snooze puts a finding aside until a time; nil ends that. It needs DIAGNOSE. Codes:
// errs.Forbidden, errs.NotFound, errs.Invalid for the time.
func (s *Service) Snooze(ctx context.Context, who access.Actor, finding id.ID, until *time.Time) (_ *Finding, err error) {
	defer errs.Wrap(&err, "diagnose.Snooze(%s)", finding)
	return s.change(ctx, who, finding, "finding.snooze", func(f *Finding, now time.Time) error {
		if until != nil && (!until.After(now) || until.Sub(now) > maxSnooze) {
			return errs.New(errs.Invalid, "a finding is put aside until a time within the next 90 days; choose one").At("until")
		}
		f.SnoozeEndsAt = until
		return nil
	})
}

func (s *Service) change(ctx context.Context, who access.Actor, finding id.ID, action string, fn func(f *Finding, now time.Time) error) (f *Finding, err error) {
	if err := who.Require(access.Diagnose); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if f, err = findingFor(ctx, tx, who.OrganizationID, finding); err != nil {
			return err
		}
		if err := fn(f, tx.Now); err != nil {
			return err
		}
		var by any
		if !f.AcknowledgedByID.IsZero() {
			by = f.AcknowledgedByID
		}
		if _, err := db.Exec(ctx, tx, `UPDATE finding SET acknowledged_at = $3, acknowledged_by = $4, note = $5, snooze_ends_at = $6 WHERE organization_id = $1 AND id = $2`,
			f.OrganizationID, f.ID, f.AcknowledgedAt, by, f.Note, f.SnoozeEndsAt); err != nil {
			return err
		}
		actor := who.UserID
		if actor.IsZero() {
			actor = who.APIKeyID
		}
		if err := audit.Write(ctx, tx, audit.Entry{OrganizationID: who.OrganizationID, ActorID: actor, Action: action, Subject: f.ID, Detail: map[string]any{"code": f.Code}}); err != nil {
			return err
		}
		return event.Append(ctx, tx, event.Event{OrganizationID: who.OrganizationID, Kind: EventUpdated, Subject: f.ID, ActorID: who.UserID})
	})
	if err != nil {
		return nil, err
	}
	f.hide(who)
	return f, nil
}
