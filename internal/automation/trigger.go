package automation

import (
	"slices"
	"strings"
	"time"

	"switchboard/internal/contact"
	"switchboard/internal/errs"
	"switchboard/internal/message"
)

// spec is what a trigger waits for: a date of a record, or an event.
type spec struct {
	kind   contact.RecordKind // of the record; "" is any
	event  contact.EventKind  // "" for a date
	column string             // of the date; "" for an event
	field  string             // what the contract calls the date
	date   func(*contact.Record) *time.Time
	what   string   // in words
	over   []string // statuses in which there is nothing to say any more, besides CANCELLED
}

var specs = map[Trigger]spec{
	ContactAttemptFailed: {event: contact.ContactAttemptFailed, what: "an attempt to reach the contact failed"},
	QuoteReminder: {kind: contact.RecordQuote, column: "expires_at", field: "expiresAt", date: func(r *contact.Record) *time.Time { return r.ExpiresAt },
		what: "the quote runs out", over: []string{"ACCEPTED", "DECLINED", "REJECTED", "COMPLETED", "PAID"}},
	BookingReminder: {kind: contact.RecordBooking, column: "starts_at", field: "startsAt", date: func(r *contact.Record) *time.Time { return r.StartsAt },
		what: "the booking starts", over: []string{"COMPLETED", "PAID"}},
	NextServiceDue: {column: "next_service_at", field: "nextServiceAt", date: func(r *contact.Record) *time.Time { return r.NextServiceAt },
		what: "the next service is due"},
	InvoiceOutstanding: {kind: contact.RecordInvoice, column: "due_at", field: "dueAt", date: func(r *contact.Record) *time.Time { return r.DueAt },
		what: "the invoice is due", over: []string{"PAID"}},
	OnTheWay:         {event: contact.OnTheWay, what: "the fieldworker is on the way", over: []string{"ARRIVED", "COMPLETED"}},
	RunningLate:      {event: contact.RunningLate, what: "the fieldworker runs late", over: []string{"ARRIVED", "COMPLETED"}},
	Arrived:          {event: contact.Arrived, what: "the fieldworker arrived", over: []string{"COMPLETED"}},
	JobAccepted:      {event: contact.JobAccepted, what: "the job was accepted", over: []string{"COMPLETED"}},
	BookingConfirmed: {kind: contact.RecordBooking, event: contact.BookingConfirmed, what: "the booking was confirmed", over: []string{"COMPLETED"}},
}

// Known reports whether t is one of the triggers.
func (t Trigger) Known() bool { return specs[t].what != "" }

// byDate reports whether the trigger is a date of a record.
func (t Trigger) byDate() bool { return specs[t].column != "" }

// triggerOf is the trigger that an event of a record is.
func triggerOf(k contact.EventKind) (Trigger, bool) {
	for t, s := range specs {
		if s.event == k {
			return t, true
		}
	}
	return "", false
}

// over reports whether a record stands where the trigger has nothing to say.
func (s spec) isOver(status string) bool {
	status = strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToUpper(strings.TrimSpace(status)))
	return status == "CANCELLED" || status == "CANCELED" || slices.Contains(s.over, status)
}

// kindFor is the kind of record that a rule is about: its trigger's, else its
// template's; "" is any.
func kindFor(t Trigger, saved *message.SavedTemplate) contact.RecordKind {
	if k := specs[t].kind; k != "" || saved == nil || saved.RecordKind == nil {
		return k
	}
	return *saved.RecordKind
}

// fits is nil for a template that a trigger can fill in.
func fits(t Trigger, saved *message.SavedTemplate) error {
	if saved.IsArchived {
		return errs.New(errs.Conflict, "the template %q was archived; choose one in use", saved.Name)
	}
	if k := specs[t].kind; k != "" && saved.RecordKind != nil && *saved.RecordKind != k {
		return errs.New(errs.Invalid, "the template %q is for a record of the kind %s; the trigger %s needs one for the kind %s, or for a contact alone", saved.Name, *saved.RecordKind, t, k)
	}
	parsed, err := saved.Template()
	if err != nil {
		return err
	}
	for _, f := range parsed.Fields() {
		if t.byDate() && strings.HasPrefix(f.Path, "event.") && !f.HasFallback {
			return errs.New(errs.Invalid, "the template %q uses {{%s}}, which only events bring and the trigger %s does not; leave it out or write what stands there otherwise", saved.Name, f.Path, t)
		}
	}
	return nil
}
