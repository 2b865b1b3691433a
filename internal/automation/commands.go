package automation

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
	"switchboard/internal/tenant"
)

// Deps are what a Service works with.
type Deps struct {
	DB       *db.DB
	Jobs     *job.Runner
	Events   *event.Log
	Messages *message.Service
	Logger   *slog.Logger
}

// Service keeps automations and runs them.
type Service struct {
	db       *db.DB
	messages *message.Service
	log      *slog.Logger

	dies func(where string) error // in tests, the process at this place
}

const (
	lookEvery = time.Minute     // at dates
	dueEvery  = 5 * time.Second // at runs
)

// New makes a Service and registers its consumer, jobs and sweeps: before the log
// and the runner start.
func New(d Deps) *Service {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	s := &Service{db: d.DB, messages: d.Messages, log: d.Logger}
	if d.Events != nil {
		d.Events.Register(event.Consumer{Name: "automation", Kinds: []event.Kind{contact.RecordEventAdded, call.EventEnded}, Handle: s.hear})
	}
	if d.Jobs != nil {
		job.Handle(d.Jobs, s.work)
		d.Jobs.Sweep("automation.dates", lookEvery, s.look)
		d.Jobs.Sweep("automation.due", dueEvery, s.wake)
	}
	return s
}

const (
	maxAutomations = 200
	maxName        = 100
	maxExtra       = 10
	maxOffset      = 90 * 24 * 60 // minutes
)

// Rule is what an automation is made from.
type Rule struct {
	Name          string
	Trigger       Trigger
	OffsetMinutes int
	Conditions    []Condition
	Recipients    []RecipientKind // nil: the contact
	ExtraNumbers  []string        // as typed
	TemplateID    id.ID
	PhoneNumberID id.ID
	QuietHours    patch.Field[QuietHours] // not mentioned: from 21:00 until 08:00
	IsEnabled     bool
}

// Create makes an automation. It needs AUTOMATION_MANAGE, SMS_SEND and the view of
// the whole organization, and SMS_SEND_INVOICE for invoices. Codes: errs.Required,
// errs.Invalid, errs.NotFound, errs.Conflict, errs.LimitReached.
func (s *Service) Create(ctx context.Context, who access.Actor, in Rule) (a *Automation, err error) {
	defer errs.Wrap(&err, "automation.Create")
	if err := who.Require(access.AutomationManage); err != nil {
		return nil, err
	}
	err = s.db.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if n, err := count(ctx, tx, who.OrganizationID); err != nil {
			return err
		} else if n >= maxAutomations {
			return errs.New(errs.LimitReached, "an organization has %d automations at most; remove one first", maxAutomations)
		}
		made, saved, err := in.read(ctx, tx, who)
		if err != nil {
			return err
		}
		a = made
		if err := a.within(who, saved); err != nil {
			return err
		}
		a.CreatedAt, a.UpdatedAt = tx.Now, tx.Now
		a.enable(in.IsEnabled, tx.Now)
		if err := insert(ctx, tx, a); err != nil {
			return err
		}
		return note(ctx, tx, who, "create", a)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// read checks a rule and makes an automation of it, which is off.
func (in Rule) read(ctx context.Context, tx *db.Tx, who access.Actor) (_ *Automation, _ *message.SavedTemplate, err error) {
	if !in.Trigger.Known() {
		return nil, nil, errs.New(errs.Invalid, "%q is no trigger", string(in.Trigger)).At("input", "trigger")
	}
	a := &Automation{OrganizationID: who.OrganizationID, ID: id.New(id.Automation), Trigger: in.Trigger, CreatedByID: who.UserID, Version: 1, QuietAction: QuietWait}
	if in.Recipients == nil {
		in.Recipients = []RecipientKind{ToContact}
	}
	if !in.QuietHours.Set {
		in.QuietHours = patch.To(QuietHours{From: "21:00", Until: "08:00", Action: QuietWait})
	}
	saved, err := a.apply(ctx, tx, Change{Name: patch.To(in.Name), OffsetMinutes: patch.To(in.OffsetMinutes), Conditions: patch.To(in.Conditions), Recipients: patch.To(in.Recipients),
		ExtraNumbers: patch.To(in.ExtraNumbers), TemplateID: patch.To(in.TemplateID), PhoneNumberID: patch.To(in.PhoneNumberID), QuietHours: in.QuietHours})
	return a, saved, err
}

// Change is what changes about an automation.
type Change struct {
	Name          patch.Field[string]
	OffsetMinutes patch.Field[int]
	Conditions    patch.Field[[]Condition]
	Recipients    patch.Field[[]RecipientKind]
	ExtraNumbers  patch.Field[[]string]
	TemplateID    patch.Field[id.ID]
	PhoneNumberID patch.Field[id.ID]
	QuietHours    patch.Field[QuietHours]
	IsEnabled     patch.Field[bool]
}

// Update changes an automation, or switches it on or off; runs that wait follow the
// new rule. What is past when it is switched on is not sent. It needs
// AUTOMATION_MANAGE.
func (s *Service) Update(ctx context.Context, who access.Actor, automation id.ID, in Change) (a *Automation, err error) {
	defer errs.Wrap(&err, "automation.Update(%s)", automation)
	return s.change(ctx, who, automation, "update", func(ctx context.Context, tx *db.Tx, a *Automation) error {
		offset, on := a.OffsetMinutes, a.IsEnabled
		if in.IsEnabled.Has() {
			on = in.IsEnabled.Value
		}
		saved, err := a.apply(ctx, tx, in)
		if err != nil {
			return err
		}
		if on { // whoever may write rules may stop one
			if err := a.within(who, saved); err != nil {
				return err
			}
		}
		switch {
		case on != a.IsEnabled:
			a.enable(on, tx.Now)
		case on && offset != a.OffsetMinutes: // what would have been past by now is not sent either
			a.enable(true, tx.Now)
		}
		return follow(ctx, tx, a)
	})
}

// Delete removes an automation. Its runs stay; those that wait are canceled. It
// needs AUTOMATION_MANAGE.
func (s *Service) Delete(ctx context.Context, who access.Actor, automation id.ID) (a *Automation, err error) {
	defer errs.Wrap(&err, "automation.Delete(%s)", automation)
	return s.change(ctx, who, automation, "delete", func(ctx context.Context, tx *db.Tx, a *Automation) error {
		a.IsArchived = true
		a.enable(false, tx.Now)
		return cancel(ctx, tx, a)
	})
}

func (s *Service) change(ctx context.Context, who access.Actor, automation id.ID, verb string, fn func(ctx context.Context, tx *db.Tx, a *Automation) error) (a *Automation, err error) {
	if err := who.Require(access.AutomationManage); err != nil {
		return nil, err
	}
	err = s.db.InTxAgain(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if a, err = lock(ctx, tx, automation); err != nil {
			return err
		}
		if a.IsArchived {
			return errs.New(errs.Conflict, "this automation was removed; make a new one")
		}
		if err := fn(ctx, tx, a); err != nil {
			return err
		}
		a.Version, a.UpdatedAt = a.Version+1, tx.Now
		if err := save(ctx, tx, a); err != nil {
			return err
		}
		return note(ctx, tx, who, verb, a)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// within refuses a rule that sends what its author may not: it writes to every
// customer of the organization, as long as it is on.
func (a *Automation) within(who access.Actor, saved *message.SavedTemplate) error {
	if err := who.Require(access.SMSSend); err != nil {
		return err
	}
	if !who.SeesAll() {
		return errs.New(errs.Forbidden, "an automation writes to all customers; that needs a role that sees the whole organization")
	}
	if kindFor(a.Trigger, saved) == contact.RecordInvoice {
		return who.Require(access.SMSSendInvoice) // R158
	}
	return nil
}

// enable switches the automation. What has its time before now is not looked at.
func (a *Automation) enable(on bool, now time.Time) {
	a.IsEnabled, a.EnabledAt, a.LookedUntil = on, nil, nil
	if on {
		a.EnabledAt, a.LookedUntil = &now, &now
	}
}

// apply checks and makes the changes, all but switching it. The template is checked
// whatever changes: it may have changed itself.
func (a *Automation) apply(ctx context.Context, tx *db.Tx, in Change) (saved *message.SavedTemplate, err error) {
	if in.Name.Set {
		if a.Name, err = checkName(in.Name.Value); err != nil {
			return nil, err
		}
	}
	in.OffsetMinutes.Apply(&a.OffsetMinutes)
	switch {
	case a.OffsetMinutes > maxOffset || a.OffsetMinutes < -maxOffset:
		return nil, errs.New(errs.Invalid, "the offset is %d minutes; 90 days (%d) is the most, before or after", a.OffsetMinutes, maxOffset).At("input", "offsetMinutes")
	case a.OffsetMinutes < 0 && !a.Trigger.byDate():
		return nil, errs.New(errs.Invalid, "nothing can be sent before an event; write 0 or the minutes after %s", a.Trigger).At("input", "offsetMinutes")
	}
	if in.Conditions.Set {
		if len(in.Conditions.Value) > maxConditions {
			return nil, errs.New(errs.LimitReached, "an automation has %d conditions at most", maxConditions).At("input", "conditions")
		}
		a.Conditions = slices.Clone(in.Conditions.Value)
		for i := range a.Conditions {
			a.Conditions[i].Values = slices.Clone(a.Conditions[i].Values)
			if err := a.Conditions[i].check(); err != nil {
				return nil, err
			}
		}
		if a.Conditions == nil {
			a.Conditions = []Condition{}
		}
	}
	if in.Recipients.Set {
		a.Recipients = []RecipientKind{}
		for _, r := range in.Recipients.Value {
			if r != ToContact && r != ToAssignedUser {
				return nil, errs.New(errs.Invalid, "%q is no recipient", string(r)).At("input", "recipients")
			}
			if !slices.Contains(a.Recipients, r) {
				a.Recipients = append(a.Recipients, r)
			}
		}
	}
	if in.ExtraNumbers.Set {
		if a.ExtraNumbers, err = readNumbers(ctx, tx, in.ExtraNumbers.Value); err != nil {
			return nil, err
		}
	}
	if len(a.Recipients)+len(a.ExtraNumbers) == 0 {
		return nil, errs.New(errs.Required, "nobody is written to; name a recipient or a number").At("input", "recipients")
	}
	if in.TemplateID.Set {
		a.TemplateID = in.TemplateID.Value
	}
	if in.PhoneNumberID.Set {
		if a.PhoneNumberID = in.PhoneNumberID.Value; !a.PhoneNumberID.IsZero() && a.PhoneNumberID.Want(id.PhoneNumber) != nil {
			return nil, errNoNumber
		}
	}
	if in.QuietHours.Set {
		if err := a.setQuiet(in.QuietHours); err != nil {
			return nil, err
		}
	}
	if saved, err = holdTemplate(ctx, tx, a.TemplateID); err == nil {
		err = fits(a.Trigger, saved)
	}
	if e, ok := errs.As(err); ok {
		err = errs.New(e.Code, "%s", e.Message).At("input", "templateId")
	}
	return saved, err
}

func checkName(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", errs.New(errs.Required, "the automation has no name; give it one").At("input", "name")
	case !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxName || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", errs.New(errs.Invalid, "an automation's name is a line of %d characters at most", maxName).At("input", "name")
	}
	return s, nil
}

func readNumbers(ctx context.Context, tx *db.Tx, typed []string) ([]phone.E164, error) {
	out := []phone.E164{}
	if len(typed) > maxExtra {
		return nil, errs.New(errs.LimitReached, "an automation writes to %d extra numbers at most", maxExtra).At("input", "extraNumbers")
	}
	if len(typed) == 0 {
		return out, nil
	}
	org, err := tenant.Read(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, t := range typed {
		e, err := phone.Parse(t, org.DefaultCountry)
		if err != nil {
			return nil, errs.New(errs.Invalid, "%s", sentence(err)).At("input", "extraNumbers")
		}
		if k := phone.KindOf(e); k == phone.Premium || k == phone.SharedCost {
			return nil, errs.New(errs.Invalid, "%s costs extra; give an ordinary number", phone.Mask(e)).At("input", "extraNumbers")
		}
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out, nil
}

func (a *Automation) setQuiet(in patch.Field[QuietHours]) error {
	if in.Null {
		a.QuietFrom, a.QuietUntil, a.QuietAction = nil, nil, QuietWait
		return nil
	}
	q := in.Value
	if q.Action == "" {
		q.Action = QuietWait
	}
	if q.Action != QuietWait && q.Action != QuietSkip {
		return errs.New(errs.Invalid, "%q is nothing that can be done in quiet hours", string(q.Action)).At("input", "quietHours")
	}
	if q.From == "" || q.Until == "" {
		return errs.New(errs.Required, "quiet hours need a beginning and an end, such as 21:00 and 08:00").At("input", "quietHours")
	}
	if err := (message.Quiet{From: q.From, To: q.Until}).Check(); err != nil {
		return errs.New(errs.Invalid, "%s", sentence(err)).At("input", "quietHours")
	}
	a.QuietFrom, a.QuietUntil, a.QuietAction = &q.From, &q.Until, q.Action
	return nil
}

// sentence is what an error tells people.
func sentence(err error) string {
	if e, ok := errs.As(err); ok {
		return e.Message
	}
	return err.Error()
}

func note(ctx context.Context, tx *db.Tx, who access.Actor, verb string, a *Automation) error {
	by := who.UserID
	if by.IsZero() {
		by = who.APIKeyID
	}
	return audit.Write(ctx, tx, audit.Entry{ActorID: by, Action: "automation." + verb, Subject: a.ID,
		Detail: map[string]any{"name": a.Name, "trigger": a.Trigger, "isEnabled": a.IsEnabled, "version": a.Version}})
}

// InUse refuses a change of a template that an automation, which is on, could no
// longer use (message.TemplatesDeps).
func InUse(ctx context.Context, tx *db.Tx, saved *message.SavedTemplate) error {
	rules, err := usersOf(ctx, tx, saved.ID)
	if err != nil {
		return err
	}
	for _, a := range rules {
		err := fits(a.Trigger, saved)
		switch {
		case err == nil:
		case saved.IsArchived:
			return errs.New(errs.Conflict, "the automation %q uses this template; switch it off or give it another template first", a.Name)
		default:
			return errs.New(errs.Conflict, "the automation %q could no longer use this template: %s", a.Name, sentence(err)).At("input", "body")
		}
	}
	return nil
}
