package automation_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/automation"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/patch"
)

func ptr[T any](v T) *T { return &v }

func date(f *patch.Field[time.Time], at time.Time) { *f = patch.To(at) }

func TestEveryTriggerSendsOnce(t *testing.T) { // R165-R173
	eta := start.Add(40 * time.Minute)
	for trigger, x := range map[automation.Trigger]struct {
		kind  contact.RecordKind
		body  string
		event contact.EventKind // "": a date
		when  func(u *contact.RecordUpdate, at time.Time)
		want  string
	}{
		automation.ContactAttemptFailed: {contact.RecordInquiry, "We tried to call you, {{contact.firstName}}", contact.ContactAttemptFailed, nil, "We tried to call you, Ann"},
		automation.OnTheWay:             {contact.RecordBooking, "{{user.name}} at {{event.eta}}, {{record.trackingUrl}}", contact.OnTheWay, nil, "fay at 18:40, https://track.example.com/1"},
		automation.RunningLate:          {contact.RecordBooking, "Now at {{record.etaAt}}: {{event.note|late}}", contact.RunningLate, nil, "Now at 18:40: traffic"},
		automation.Arrived:              {contact.RecordBooking, "We are here", contact.Arrived, nil, "We are here"},
		automation.JobAccepted:          {contact.RecordBooking, "{{record.title}} is accepted", contact.JobAccepted, nil, "Roof is accepted"},
		automation.BookingConfirmed:     {contact.RecordBooking, "{{record.title}} is confirmed", contact.BookingConfirmed, nil, "Roof is confirmed"},
		automation.QuoteReminder: {contact.RecordQuote, "Until {{record.expiresAt}}", "",
			func(u *contact.RecordUpdate, at time.Time) { date(&u.ExpiresAt, at) }, "Until Mon 2 Mar 2026"},
		automation.BookingReminder: {contact.RecordBooking, "At {{record.startsAt:time}}", "",
			func(u *contact.RecordUpdate, at time.Time) { date(&u.StartsAt, at) }, "At 19:00"},
		automation.NextServiceDue: {contact.RecordBooking, "Due {{record.nextServiceAt}}", "",
			func(u *contact.RecordUpdate, at time.Time) { date(&u.NextServiceAt, at) }, "Due Mon 2 Mar 2026"},
		automation.InvoiceOutstanding: {contact.RecordInvoice, "Due {{record.dueAt}}", "",
			func(u *contact.RecordUpdate, at time.Time) { date(&u.DueAt, at) }, "Due Mon 2 Mar 2026"},
	} {
		t.Run(string(trigger), func(t *testing.T) {
			s := newStage(t)
			s.rule(trigger, x.body, x.kind, nil)
			more := contact.RecordUpdate{TrackingURL: patch.To("https://track.example.com/1")}
			if x.when != nil {
				x.when(&more, start.Add(time.Hour))
			}
			r := s.record(x.kind, more)
			other := s.record(contact.RecordComplaint, contact.RecordUpdate{})
			if x.event != "" {
				note := "traffic"
				s.happens(r, x.event, func(e *contact.EventAdd) { e.EtaAt, e.Note = &eta, &note })
				s.happens(other, x.event, func(e *contact.EventAdd) { e.EtaAt = &eta })
			}
			for range 3 { // events come again, and sweeps go on
				s.hear()
				s.settle()
				s.pass(90*time.Minute, 30*time.Minute)
			}
			if got := s.sent(mobile); len(got) != 1 || got[0] != x.want {
				t.Errorf("sent %q, want %q once; the runs are %v", got, x.want, s.ran(r))
			}
			if got := s.ran(other); len(got) != 0 {
				t.Errorf("a record of another kind has the runs %v", got)
			}
		})
	}
}

func TestRemindersFollowTheirDate(t *testing.T) { // R167, R169
	s := newStage(t)
	s.rule(automation.BookingReminder, "Tomorrow {{record.startsAt:time}}", contact.RecordBooking, func(r *automation.Rule) { r.OffsetMinutes = -24 * 60 })
	at := start.Add(48 * time.Hour)
	kept, moved, gone := s.record(contact.RecordBooking, contact.RecordUpdate{StartsAt: patch.To(at)}), s.record(contact.RecordBooking, contact.RecordUpdate{StartsAt: patch.To(at)}),
		s.record(contact.RecordBooking, contact.RecordUpdate{StartsAt: patch.To(at)})
	never := s.record(contact.RecordBooking, contact.RecordUpdate{})
	soon := s.record(contact.RecordBooking, contact.RecordUpdate{StartsAt: patch.To(start.Add(3 * time.Hour))}) // its day before is past
	s.happens(gone, contact.Cancelled, nil)
	move := func(to time.Time) {
		_, err := s.contacts.UpdateRecord(s.ctx, s.admin, moved.ID, contact.RecordUpdate{StartsAt: patch.To(to)})
		s.must(err)
	}
	s.pass(23*time.Hour, time.Hour)
	if got := s.sent(mobile); len(got) != 0 {
		t.Fatalf("too early: %q", got)
	}
	s.pass(2*time.Hour, 10*time.Minute)
	for what, x := range map[string]struct {
		r    *contact.Record
		want string
	}{"kept": {kept, "SENT"}, "moved": {moved, "SENT"}, "gone": {gone, "NOT_SENT TRIGGER_GONE"}, "never": {never, ""}, "soon": {soon, ""}} {
		if got := strings.Join(s.ran(x.r), ","); got != x.want {
			t.Errorf("%s: %s, want %s", what, got, x.want)
		}
	}
	// The date moves after its reminder: the new one has its own; back again has none.
	move(at.Add(72 * time.Hour))
	s.pass(73*time.Hour, time.Hour)
	if got := s.ran(moved); len(got) != 2 || got[1] != "SENT" {
		t.Errorf("moved: %v", got)
	}
	move(at)
	s.pass(time.Hour, time.Hour)
	if got := s.ran(moved); len(got) != 2 {
		t.Errorf("moved back: %v", got)
	}
}

func TestQuietHoursAreTheRecipients(t *testing.T) { // over midnight, where the recipient is, when the clocks change
	s := newStage(t)
	_, err := s.contacts.Update(s.ctx, s.admin, s.ann.ID, contact.Update{Timezone: patch.To("Europe/Berlin")})
	s.must(err)
	rule := s.rule(automation.Arrived, "Here", contact.RecordBooking, func(r *automation.Rule) {
		r.QuietHours = patch.To(automation.QuietHours{From: "21:00", Until: "08:00"})
		r.OffsetMinutes = 1
	})
	skips := s.rule(automation.Arrived, "Or not", contact.RecordBooking, func(r *automation.Rule) {
		r.QuietHours = patch.To(automation.QuietHours{From: "21:00", Until: "08:00", Action: automation.QuietSkip})
	})
	// The night to 29 March in Berlin: it is quiet from 20:00 to 06:00 UTC, an hour less than else.
	s.clock.Advance(time.Date(2026, 3, 28, 22, 0, 0, 0, time.UTC).Sub(s.clock.Now()))
	r := s.record(contact.RecordBooking, contact.RecordUpdate{})
	s.happens(r, contact.Arrived, nil)
	s.hear()
	s.pass(7*time.Hour+50*time.Minute, 10*time.Minute)
	if got := s.sent(mobile); len(got) != 0 {
		t.Fatalf("in the night: %q", got)
	}
	w, err := s.svc.Runs(s.ctx, s.admin, automation.RunFilter{AutomationID: rule.ID}, db.Page{})
	s.must(err)
	if len(w.Nodes) != 1 || w.Nodes[0].State != automation.Waiting || !w.Nodes[0].DueAt.Equal(time.Date(2026, 3, 29, 6, 0, 0, 0, time.UTC)) {
		t.Errorf("it waits: %+v", w.Nodes)
	}
	s.pass(20*time.Minute, 10*time.Minute)
	if got := s.sent(mobile); len(got) != 1 || got[0] != "Here" {
		t.Errorf("in the morning: %q", got)
	}
	w, err = s.svc.Runs(s.ctx, s.admin, automation.RunFilter{AutomationID: skips.ID}, db.Page{})
	s.must(err)
	if len(w.Nodes) != 1 || w.Nodes[0].ReasonCode == nil || *w.Nodes[0].ReasonCode != automation.Quiet {
		t.Errorf("one that skips: %+v", w.Nodes)
	}
}

func TestACallThatNobodyAnsweredIsAFailedAttempt(t *testing.T) { // R165
	s := newStage(t)
	rule := s.rule(automation.ContactAttemptFailed, "We called, {{contact.firstName}}", "", nil)
	r := s.record(contact.RecordInquiry, contact.RecordUpdate{})
	ended := func(direction, status string, contact, record id.ID, answered *time.Time) {
		t.Helper()
		c := id.New(id.Call)
		s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, contact_id, record_id, from_number, to_number, started_at, answered_at, ended_at, updated_at)
			VALUES ($1, $2, $3, $4, (SELECT id FROM twilio_connection WHERE organization_id = $1), $5, $6, $7, $8, $9, $10, $9, $9)`,
			s.org, c, direction, status, contact, record, string(office), mobile, s.clock.Now(), answered)
		s.exec(`INSERT INTO event (organization_id, id, kind, subject, data, at) VALUES ($1, $2, 'CALL_ENDED', $3, '{}', $4)`, s.org, id.New(id.Event), c, s.clock.Now())
	}
	ended("OUTBOUND", "MISSED", s.ann.ID, r.ID, nil)
	ended("OUTBOUND", "BUSY", s.ann.ID, id.ID{}, nil)
	ended("OUTBOUND", "COMPLETED", s.ann.ID, r.ID, ptr(s.clock.Now()))
	ended("OUTBOUND", "CANCELED", s.ann.ID, r.ID, nil) // we hung up, or our own phone was not picked up
	ended("INBOUND", "MISSED", s.ann.ID, r.ID, nil)
	ended("OUTBOUND", "MISSED", id.ID{}, id.ID{}, nil) // to nobody we know
	for range 2 {
		s.hear()
		s.settle()
	}
	if got := s.sent(mobile); len(got) != 2 || got[0] != "We called, Ann" {
		t.Errorf("sent %q", got)
	}
	d, err := s.svc.DryRun(s.ctx, s.admin, automation.DryRunInput{AutomationID: rule.ID})
	s.must(err)
	if d.WouldSend != 2 || d.WouldNotSend != 0 || len(d.EstimatedCosts) != 1 || d.EstimatedCosts[0].Micros != 2*51_500 {
		t.Errorf("tried anew: %+v", d)
	}
}

func TestWhoAskedForNoMessagesGetsNone(t *testing.T) { // R155
	s := newStage(t)
	a := s.rule(automation.Arrived, "Here", contact.RecordBooking, nil)
	s.exec(`INSERT INTO opt_out (organization_id, phone_number_id, e164, is_opted_out, source, changed_at) VALUES ($1, $2, $3, true, 'KEYWORD', $4)`, s.org, s.office, mobile, start)
	r := s.record(contact.RecordBooking, contact.RecordUpdate{})
	s.happens(r, contact.Arrived, nil)
	s.hear()
	s.settle()
	if got := s.ran(r); len(got) != 1 || got[0] != "NOT_SENT OPTED_OUT" || len(s.sent(mobile)) != 0 {
		t.Errorf("%v, sent %q", got, s.sent(mobile))
	}
	x, err := s.svc.Explain(s.ctx, s.admin, a.ID, r.ID)
	s.must(err)
	if x.WouldSend || !slices.ContainsFunc(x.Steps, func(p automation.Step) bool {
		return p.Part == "recipient" && !p.Holds && strings.Contains(p.Message, "asked for no messages")
	}) {
		t.Errorf("explained: %+v", x.Steps)
	}
}

func TestARunThatIsKilledSendsOnce(t *testing.T) {
	s := newStage(t)
	s.rule(automation.Arrived, "Here", contact.RecordBooking, nil)
	r := s.record(contact.RecordBooking, contact.RecordUpdate{})
	s.happens(r, contact.Arrived, nil)
	s.hear()
	runs := s.jobs()
	if len(runs) != 1 {
		t.Fatalf("%d jobs", len(runs))
	}
	s.svc.Dies(func(string) error { return errors.New("killed") })
	if err := s.svc.Work(s.ctx, s.org, runs[0]); err == nil || len(s.sent(mobile)) != 0 || s.ran(r)[0] != "WAITING" {
		t.Fatalf("killed before the commit: %v, sent %q, %v", err, s.sent(mobile), s.ran(r))
	}
	s.svc.Dies(nil)
	s.pass(3*time.Minute, time.Minute) // its claim ends
	s.must(s.svc.Work(s.ctx, s.org, runs[0]))
	if got := s.sent(mobile); len(got) != 1 || s.ran(r)[0] != "SENT" {
		t.Errorf("sent %q, %v", got, s.ran(r))
	}
}

func TestATextToAFieldworkerHoldsNothingHidden(t *testing.T) { // R241, R103
	s := newStage(t)
	s.rule(automation.JobAccepted, "{{contact.name}} {{contact.phone|hidden}}", contact.RecordBooking, func(r *automation.Rule) {
		r.Recipients = []automation.RecipientKind{automation.ToAssignedUser}
	})
	s.rule(automation.Arrived, "{{contact.name}} {{contact.phone}}", contact.RecordBooking, func(r *automation.Rule) {
		r.Recipients = []automation.RecipientKind{automation.ToAssignedUser}
	})
	open, masked := s.record(contact.RecordBooking, contact.RecordUpdate{}), s.record(contact.RecordBooking, contact.RecordUpdate{})
	s.happens(open, contact.JobAccepted, nil)
	s.hear()
	s.settle()
	s.exec(`INSERT INTO masked_pair (organization_id, id, record_id, contact_id, user_id, phone_number_id, customer_number, fieldworker_number, expires_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, s.org, id.New(id.MaskedPair), masked.ID, s.ann.ID, s.fay.UserID, s.office, mobile, phone2, start.Add(time.Hour), start)
	s.happens(masked, contact.JobAccepted, nil)
	s.happens(masked, contact.Arrived, nil)
	s.hear()
	s.settle()
	if got := s.sent(phone2); len(got) != 2 || got[0] != "Ann Miller "+mobile || got[1] != "Ann Miller hidden" {
		t.Errorf("sent %q", got)
	}
	if got := s.ran(masked); len(got) != 2 || !slices.Contains(got, "NOT_SENT MISSING_FIELD") {
		t.Errorf("the runs are %v", got)
	}
}

func TestOneNumberGetsOneMessageForACause(t *testing.T) {
	s := newStage(t)
	s.rule(automation.Arrived, "Here", contact.RecordBooking, func(r *automation.Rule) {
		r.Recipients, r.ExtraNumbers = []automation.RecipientKind{automation.ToContact, automation.ToAssignedUser}, []string{mobile, "0491 570 158"}
	})
	r := s.record(contact.RecordBooking, contact.RecordUpdate{})
	s.happens(r, contact.Arrived, nil)
	s.hear()
	s.settle()
	if a, b, c := s.sent(mobile), s.sent(phone2), s.sent("+61491570158"); len(a) != 1 || len(b) != 1 || len(c) != 1 {
		t.Errorf("sent %q %q %q; %v", a, b, c, s.ran(r))
	}
}

func TestWhatIsPastWhenARuleIsSwitchedOnIsNotSent(t *testing.T) {
	s := newStage(t)
	reminder := s.rule(automation.BookingReminder, "x", contact.RecordBooking, func(r *automation.Rule) { r.IsEnabled = false })
	arrived := s.rule(automation.Arrived, "y", contact.RecordBooking, func(r *automation.Rule) { r.IsEnabled = false; r.OffsetMinutes = 30 })
	r := s.record(contact.RecordBooking, contact.RecordUpdate{StartsAt: patch.To(start.Add(10 * time.Minute))})
	s.happens(r, contact.Arrived, nil)
	s.clock.Advance(20 * time.Minute)
	for _, a := range []*automation.Automation{reminder, arrived} {
		_, err := s.svc.Update(s.ctx, s.admin, a.ID, automation.Change{IsEnabled: patch.To(true)})
		s.must(err)
	}
	s.hear()
	s.pass(time.Hour, 10*time.Minute)
	if got := s.ran(r); len(got) != 0 {
		t.Errorf("the runs are %v", got)
	}
	// An offset that puts a date into the past does not bring it back either.
	later := s.record(contact.RecordBooking, contact.RecordUpdate{StartsAt: patch.To(s.clock.Now().Add(time.Hour))})
	_, err := s.svc.Update(s.ctx, s.admin, reminder.ID, automation.Change{OffsetMinutes: patch.To(-120)})
	s.must(err)
	s.pass(2*time.Hour, 30*time.Minute)
	if got := s.ran(later); len(got) != 0 {
		t.Errorf("after the offset moved: %v", got)
	}
	x, err := s.svc.Explain(s.ctx, s.admin, reminder.ID, later.ID)
	s.must(err)
	if x.WouldSend {
		t.Errorf("explained: %+v", x.Steps)
	}
}

func TestRunsThatWaitFollowTheRule(t *testing.T) {
	s := newStage(t)
	a := s.rule(automation.Arrived, "{{contact.firstName}}", contact.RecordBooking, func(r *automation.Rule) { r.OffsetMinutes = 60 })
	r := s.record(contact.RecordBooking, contact.RecordUpdate{})
	s.happens(r, contact.Arrived, nil)
	s.hear()
	s.pass(30*time.Minute, 10*time.Minute)
	_, err := s.templates.Update(s.ctx, s.admin, a.TemplateID, message.TemplateChange{Body: patch.To("New: {{contact.firstName}}")})
	s.must(err)
	_, err = s.svc.Update(s.ctx, s.admin, a.ID, automation.Change{OffsetMinutes: patch.To(120)})
	s.must(err)
	s.pass(85*time.Minute, 5*time.Minute)
	if got := s.sent(mobile); len(got) != 0 {
		t.Fatalf("before its new time: %q", got)
	}
	s.pass(10*time.Minute, 5*time.Minute)
	if got := s.sent(mobile); len(got) != 1 || got[0] != "New: Ann" {
		t.Errorf("sent %q; %v", got, s.ran(r))
	}
	s.happens(r, contact.Arrived, nil)
	s.hear()
	_, err = s.svc.Delete(s.ctx, s.admin, a.ID)
	s.must(err)
	s.pass(3*time.Hour, time.Hour)
	if got := s.ran(r); len(got) != 2 || got[1] != "CANCELED DISABLED" {
		t.Errorf("after it was removed: %v", got)
	}
	if _, err := s.svc.Update(s.ctx, s.admin, a.ID, automation.Change{IsEnabled: patch.To(true)}); !errs.IsCode(err, errs.Conflict) {
		t.Errorf("a removed one was switched on: %v", err)
	}
}

func TestAThousandAreFoundInFewStatements(t *testing.T) {
	s := newStage(t)
	s.rule(automation.BookingReminder, "x", contact.RecordBooking, nil)
	at := start.Add(time.Hour)
	for i := range 1001 {
		s.exec(`INSERT INTO record (organization_id, id, kind, title, status, contact_id, starts_at, updated_at) VALUES ($1, $2, 'BOOKING', $3, 'OPEN', $4, $5, $6)`,
			s.org, id.New(id.Record), fmt.Sprint(i), s.ann.ID, at, start)
	}
	s.clock.Advance(time.Hour)
	ctx, n := db.CountStatements(s.ctx)
	s.must(s.svc.Look(ctx, s.clock.Now()))
	if n.N() > 20 {
		t.Errorf("%d statements:\n%s", n.N(), strings.Join(n.Statements(), "\n"))
	}
	if runs := s.jobs(); len(runs) != 1001 {
		t.Errorf("%d runs", len(runs))
	}
	s.must(s.svc.Look(s.ctx, s.clock.Now().Add(time.Minute)))
	if runs := s.jobs(); len(runs) != 0 {
		t.Errorf("%d runs again", len(runs))
	}
}
