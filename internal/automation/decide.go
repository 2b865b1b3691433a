package automation

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/message"
	"switchboard/internal/phone"
)

// useful is how late a message is still of use.
const useful = 24 * time.Hour

// The parts of a rule, as steps name them.
const (
	partRule      = "rule"
	partTrigger   = "trigger"
	partCondition = "condition"
	partRecipient = "recipient"
	partQuiet     = "quiet hours"
	partTemplate  = "template"
	partSender    = "sender"
)

// snapshot is all that decides about one run for one recipient.
type snapshot struct {
	now      time.Time
	rule     *Automation
	template *message.SavedTemplate
	run      *Run
	record   *contact.Record  // nil: there is none
	contact  *contact.Contact // of the record or the call; nil: there is none

	whom    string     // the recipient in words
	to      phone.E164 // "": there is no number
	noPhone string     // why not
	silent  string     // of whom customers are not told that they are on the way (R240); "": nobody
	already bool       // the same cause wrote to this number for another recipient
	facts   message.MergeFacts
	hidden  bool             // the recipient may not see all of the contact
	zones   []*time.Location // where the recipient may be
	zone    *time.Location   // in which times are written

	// Of an explanation: the run that was for the same cause, and whether its time
	// came when nobody looked.
	before *Run
	missed bool

	// What sending says; nil: it was not asked.
	verdict []message.PreviewProblem
}

// decision is what becomes of a run. A time after the snapshot's is when to look
// again.
type decision struct {
	steps  []Step
	send   bool
	at     time.Time
	body   string
	values message.Values
	reason Reason // of the first part that says no
	words  string
}

func (d *decision) yes(part, format string, args ...any) {
	d.steps = append(d.steps, Step{part, true, fmt.Sprintf(format, args...)})
}

func (d *decision) no(part string, why Reason, format string, args ...any) {
	words := fmt.Sprintf(format, args...)
	if d.steps = append(d.steps, Step{part, false, words}); d.reason == "" {
		d.reason, d.words = why, words
	}
}

// decide says what becomes of a run, and why, part by part. Runs, dry runs and
// explanations all ask it.
func decide(s *snapshot) *decision {
	d := &decision{at: s.now}
	s.decideRule(d)
	s.decideTrigger(d)
	s.decideConditions(d)
	s.decideRecipient(d)
	s.decideTime(d)
	s.decideTemplate(d)
	s.decideSending(d)
	d.send = d.reason == ""
	return d
}

func (s *snapshot) decideRule(d *decision) {
	switch {
	case s.rule.IsArchived:
		d.no(partRule, Disabled, "the automation was removed")
	case !s.rule.IsEnabled:
		d.no(partRule, Disabled, "the automation is off; switch it on to have it send")
	default:
		d.yes(partRule, "the automation is on")
	}
	if b := s.before; b != nil && b.State != Waiting {
		what := "sent a message"
		if b.State != Sent {
			what = "sent nothing"
			if b.Reason != nil {
				what += " (" + *b.Reason + ")"
			}
		}
		d.no(partRule, TriggerGone, "it ran for this already and %s; it runs once for each date", what)
	}
}

// planned is when the rule wants its message sent.
func (s *snapshot) planned() time.Time { return s.run.EventAt.Add(s.rule.offset()) }

func (s *snapshot) decideTrigger(d *decision) {
	t, kind := specs[s.rule.Trigger], kindFor(s.rule.Trigger, s.template)
	date := s.rule.Trigger.byDate()
	switch r := s.record; {
	case r == nil && (date || !s.run.RecordID.IsZero()):
		d.no(partTrigger, TriggerGone, "the record is not there any more")
		return
	case r == nil && kind != "":
		d.no(partTemplate, BadTemplate, "there was no record, and the template needs one of the kind %s; use a template for a contact alone", kind)
		return
	case r == nil:
	case kind != "" && r.Kind != kind:
		d.no(partTrigger, TriggerGone, "the record is of the kind %s; this automation is about the kind %s", r.Kind, kind)
		return
	case date && t.date(r) == nil:
		d.no(partTrigger, TriggerGone, "the record has no %s; fill it in to have it reminded", t.field)
		return
	case t.isOver(r.Status):
		d.no(partTrigger, TriggerGone, "the record's status is %s: there is nothing to say any more", r.Status)
		return
	case date && t.date(r).Unix() != s.run.EventAt.Unix():
		d.no(partTrigger, TriggerGone, "the record's %s moved to %s; the automation runs for that date instead", t.field, s.clock(*t.date(r)))
		return
	}
	planned := s.planned()
	switch {
	case s.rule.EnabledAt != nil && planned.Before(*s.rule.EnabledAt):
		d.no(partTrigger, TooLate, "its time was %s, before the automation was switched on; what is past by then is not sent", s.clock(planned))
	case s.missed:
		d.no(partTrigger, TooLate, "its time was %s, and the record did not say so then; what is past is not sent afterwards", s.clock(planned))
	case date:
		d.yes(partTrigger, "%s at %s (%s), so its time is %s", t.what, s.clock(s.run.EventAt), t.field, s.clock(planned))
	default:
		d.yes(partTrigger, "%s at %s, so its time is %s", t.what, s.clock(s.run.EventAt), s.clock(planned))
	}
}

func (s *snapshot) decideConditions(d *decision) {
	if len(s.rule.Conditions) == 0 {
		d.yes(partCondition, "there are no conditions")
		return
	}
	for i := range s.rule.Conditions {
		c := &s.rule.Conditions[i]
		switch {
		case s.record == nil:
			d.no(partCondition, NoCondition, "%s: there is no record to look at", c.words())
		case c.holds(s.record):
			d.yes(partCondition, "%s: it does", c.words())
		default:
			have := "nothing"
			if v := c.valuesOf(s.record); len(v) > 0 {
				have = strings.Join(v, ", ")
			}
			d.no(partCondition, NoCondition, "%s: the record has %s; change the record or the condition", c.words(), have)
		}
	}
}

func (s *snapshot) decideRecipient(d *decision) {
	switch {
	case s.silent != "":
		d.no(partRecipient, Refused, "the fieldworker option %s is off for %s: customers are not told when they are on the way or late; switch it on to have it sent", access.NotifyOnTheWay, s.silent)
	case s.to == "":
		d.no(partRecipient, NoRecipient, "%s", s.noPhone)
	case s.already:
		d.no(partRecipient, NoRecipient, "%s has the same number as another recipient, who was written to already", s.whom)
	default:
		d.yes(partRecipient, "%s is written to at %s", s.whom, phone.Mask(s.to))
	}
}

// quiet are the hours of a rule as package message knows them.
func (a *Automation) quiet() message.Quiet {
	if q := a.QuietHours(); q != nil {
		return message.Quiet{From: q.From, To: q.Until}
	}
	return message.Quiet{}
}

func (a *Automation) offset() time.Duration { return time.Duration(a.OffsetMinutes) * time.Minute }

func (s *snapshot) decideTime(d *decision) {
	quiet, planned := s.rule.quiet(), s.planned()
	d.at = planned
	if d.at.Before(s.now) {
		d.at = s.now
	}
	if s.to == "" {
		return
	}
	if late := s.now.Sub(quiet.NextForAll(planned, s.zones)); late > useful {
		d.no(partTrigger, TooLate, "its time was %s, which is more than a day ago: it is of no use any more", s.clock(planned))
		return
	}
	free := quiet.NextForAll(d.at, s.zones)
	switch q := s.rule.QuietHours(); {
	case q == nil:
		d.yes(partQuiet, "there are no quiet hours")
	case !free.After(d.at):
		d.yes(partQuiet, "it is %s for the recipient, outside of the quiet hours from %s until %s", s.local(d.at), q.From, q.Until)
	case q.Action == QuietSkip:
		d.no(partQuiet, Quiet, "it is %s for the recipient, within the quiet hours from %s until %s, in which this automation sends nothing; have it wait instead to send afterwards", s.local(d.at), q.From, q.Until)
	default:
		d.yes(partQuiet, "it is %s for the recipient, within the quiet hours from %s until %s: it waits until %s", s.local(d.at), q.From, q.Until, s.clock(free))
		d.at = free
	}
}

func (s *snapshot) decideTemplate(d *decision) {
	if s.template == nil {
		d.no(partTemplate, BadTemplate, "the template is gone; choose another one")
		return
	}
	if err := fits(s.rule.Trigger, s.template); err != nil {
		d.no(partTemplate, BadTemplate, "%s", sentence(err))
		return
	}
	parsed, err := s.template.Template()
	if err != nil {
		d.no(partTemplate, BadTemplate, "%s", sentence(err))
		return
	}
	d.values = message.Values{}
	for _, f := range s.template.FieldSet() { // what may not be seen is nothing, whatever sending knows
		d.values[f.Path] = nil
	}
	for path, v := range s.facts.Values() {
		d.values[path] = v
	}
	body, missing := parsed.Expand(d.values, s.zone)
	var paths []string
	for _, m := range missing {
		if p := "{{" + m.Path + "}}"; !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	n := utf8.RuneCountInString(body)
	switch {
	case len(paths) > 0 && s.hidden:
		d.no(partTemplate, MissingField, "there is nothing to put in for %s, or %s may not see it; leave it out of the template, or write what stands there otherwise, such as {{contact.firstName|there}}", strings.Join(paths, ", "), s.whom)
	case len(paths) > 0:
		d.no(partTemplate, MissingField, "there is nothing to put in for %s; fill it in, or write what stands there otherwise, such as {{contact.firstName|there}}", strings.Join(paths, ", "))
	case n > message.MaxBody:
		d.no(partTemplate, BadTemplate, "with its fields the text has %d characters; %d is the most: shorten the template", n, message.MaxBody)
	case strings.TrimSpace(body) == "":
		d.no(partTemplate, BadTemplate, "with its fields the text is empty; change the template")
	default:
		d.body = strings.TrimRight(body, " \t\r\n")
		d.yes(partTemplate, "the text is whole: %q uses nothing that is missing", s.template.Name)
	}
}

// refusals are which part each problem of sending belongs to.
var refusals = map[message.ProblemCode]struct {
	part   string
	reason Reason
}{
	message.OptedOutProblem: {partRecipient, OptedOut}, message.InvalidNumber: {partRecipient, NoRecipient}, message.NoPhoneNumber: {partRecipient, NoRecipient},
	message.NotFound: {partRecipient, NoRecipient}, message.NotMobile: {partRecipient, NoRecipient},
	message.NoSender: {partSender, BadSender}, message.SenderUnusable: {partSender, BadSender}, message.SenderForbidden: {partSender, BadSender},
	message.SameNumber: {partSender, BadSender}, message.CountryNotAllowed: {partSender, BadSender}, message.NotRegistered: {partSender, BadSender},
	message.MissingField: {partTemplate, MissingField}, message.EmptyMessage: {partTemplate, BadTemplate}, message.TooLong: {partTemplate, BadTemplate},
}

func (s *snapshot) decideSending(d *decision) {
	if s.verdict == nil || s.to == "" {
		return
	}
	fine := true
	for _, p := range s.verdict {
		if !p.IsBlocking {
			continue
		}
		fine = false
		x, ok := refusals[p.Code]
		if !ok {
			x.part, x.reason = partSender, Refused
		}
		d.no(x.part, x.reason, "%s", p.Message)
	}
	if fine {
		d.yes(partSender, "there is a number to send from, and nothing that keeps it from sending")
	}
}

// clock writes a time where the message goes.
func (s *snapshot) clock(t time.Time) string {
	zone := s.zone
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone).Format("Mon 2 Jan 2006 15:04")
}

// local is the time of day for the recipient, wherever they may be.
func (s *snapshot) local(t time.Time) string {
	var all []string
	for _, z := range s.zones {
		if x := t.In(z).Format("15:04"); !slices.Contains(all, x) && len(all) < 4 {
			all = append(all, x)
		}
	}
	if len(all) == 0 {
		return t.UTC().Format("15:04")
	}
	return strings.Join(all, " or ")
}
