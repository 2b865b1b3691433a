package automation

import (
	"strings"
	"testing"
	"time"

	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

func ptr[T any](v T) *T { return &v }

func moment(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		panic(err)
	}
	return t
}

func zone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}

// booking is a snapshot of which everything holds: a reminder a day before.
func booking(change func(s *snapshot)) *snapshot {
	starts := moment("2026-03-03 09:00")
	kind := contact.RecordBooking
	r := &contact.Record{ID: id.New(id.Record), Kind: kind, Title: "Roof", Status: "CONFIRMED", StartsAt: &starts, Tags: []string{"vip"}, AmountMinor: ptr(int64(12_000)), Currency: ptr("AUD"),
		Data: map[string]string{"warranty": "2"}}
	c := &contact.Contact{ID: id.New(id.Contact), Name: "Ann Miller"}
	s := &snapshot{
		now:      moment("2026-03-02 09:00"),
		rule:     &Automation{Trigger: BookingReminder, OffsetMinutes: -1440, IsEnabled: true, Recipients: []RecipientKind{ToContact}},
		template: &message.SavedTemplate{Name: "T", Body: "Hi {{contact.firstName}}, {{record.startsAt:time}}", RecordKind: &kind},
		run:      &Run{RecordID: r.ID, EventAt: starts, Recipient: string(ToContact)},
		record:   r, contact: c, whom: "the contact", to: "+61491570156",
		facts: message.MergeFacts{Contact: c, Record: r, Phone: "+61491570156"},
		zones: []*time.Location{time.UTC}, zone: time.UTC,
	}
	if change != nil {
		change(s)
	}
	return s
}

func quiet(from, until string, action QuietAction) func(a *Automation) {
	return func(a *Automation) { a.QuietFrom, a.QuietUntil, a.QuietAction = &from, &until, action }
}

func TestEachPartOfARuleHasItsSay(t *testing.T) { // R164-R175
	t.Parallel()
	blocked := func(code message.ProblemCode) []message.PreviewProblem {
		return []message.PreviewProblem{{Code: code, IsBlocking: true, Message: "no"}}
	}
	for name, x := range map[string]struct {
		why    string
		change func(s *snapshot)
		reason Reason // "": it sends
		part   string
		words  string
		at     string // when; "": now
	}{
		"all holds":         {why: "nothing says no", change: func(*snapshot) {}},
		"off":               {"a rule that is off sends nothing", func(s *snapshot) { s.rule.IsEnabled = false }, Disabled, "rule", "switch it on", ""},
		"removed":           {"nor one that is gone", func(s *snapshot) { s.rule.IsArchived = true }, Disabled, "rule", "removed", ""},
		"no record":         {"its record was deleted", func(s *snapshot) { s.record = nil }, TriggerGone, "trigger", "not there", ""},
		"of another kind":   {"quotes have a start too", func(s *snapshot) { s.record.Kind = contact.RecordQuote }, TriggerGone, "trigger", "QUOTE", ""},
		"no date":           {"there is nothing to remind of", func(s *snapshot) { s.record.StartsAt = nil }, TriggerGone, "trigger", "startsAt", ""},
		"moved":             {"another run is for the new date", func(s *snapshot) { s.record.StartsAt = ptr(moment("2026-03-09 09:00")) }, TriggerGone, "trigger", "Mon 9 Mar 2026 09:00", ""},
		"cancelled":         {"nobody comes", func(s *snapshot) { s.record.Status = "Canceled" }, TriggerGone, "trigger", "Canceled", ""},
		"over":              {"it is done", func(s *snapshot) { s.record.Status = "COMPLETED" }, TriggerGone, "trigger", "COMPLETED", ""},
		"switched on later": {"what is past by then is not sent", func(s *snapshot) { s.rule.EnabledAt = ptr(moment("2026-03-02 09:01")) }, TooLate, "trigger", "switched on", ""},
		"a day late":        {"a reminder of yesterday helps nobody", func(s *snapshot) { s.now = moment("2026-03-03 09:01") }, TooLate, "trigger", "more than a day ago", ""},
		"an hour late":      {why: "a restart takes its time", change: func(s *snapshot) { s.now = moment("2026-03-02 10:00") }, at: "2026-03-02 10:00"},
		"to come":           {why: "explained before its time", change: func(s *snapshot) { s.now = moment("2026-03-01 10:00") }, at: "2026-03-02 09:00"},
		"condition holds": {why: "capitals do not count", change: func(s *snapshot) {
			s.rule.Conditions = []Condition{{"tag", In, []string{"VIP", "gold"}}, {"amount", AtLeast, []string{"120"}}}
		}},
		"condition does not": {"all must hold", func(s *snapshot) {
			s.rule.Conditions = []Condition{{"tag", In, []string{"vip"}}, {"data.warranty", AtLeast, []string{"3"}}}
		}, NoCondition, "condition", "data.warranty is at least 3: the record has 2", ""},
		"no number":         {"there is nobody to write to", func(s *snapshot) { s.to, s.noPhone = "", "the contact has no phone number; add one" }, NoRecipient, "recipient", "add one", ""},
		"twice":             {"one person gets one message", func(s *snapshot) { s.already = true }, NoRecipient, "recipient", "same number", ""},
		"missing":           {"nothing half-written is sent", func(s *snapshot) { s.facts.Contact = nil }, MissingField, "template", "{{contact.firstName}}", ""},
		"hidden":            {"R241", func(s *snapshot) { s.facts.Contact, s.hidden, s.whom = nil, true, "Fay" }, MissingField, "template", "Fay may not see it", ""},
		"archived":          {"somebody put the text away", func(s *snapshot) { s.template.IsArchived = true }, BadTemplate, "template", "archived", ""},
		"gone":              {"or it is not there", func(s *snapshot) { s.template = nil }, BadTemplate, "template", "gone", ""},
		"of another record": {"it fits no more", func(s *snapshot) { s.template.RecordKind = ptr(contact.RecordInvoice) }, BadTemplate, "template", "INVOICE", ""},
		"opted out":         {"R155", func(s *snapshot) { s.verdict = blocked(message.OptedOutProblem) }, OptedOut, "recipient", "no", ""},
		"no sender":         {"D17 found none", func(s *snapshot) { s.verdict = blocked(message.NoSender) }, BadSender, "sender", "no", ""},
		"refused":           {"for a reason of later making", func(s *snapshot) { s.verdict = blocked(message.Restricted) }, Refused, "sender", "no", ""},
		"only a warning":    {why: "it is sent all the same", change: func(s *snapshot) { s.verdict = []message.PreviewProblem{{Code: message.NotRegistered}} }},
		"quiet, waits":      {why: "over midnight, until the morning", change: func(s *snapshot) { quiet("08:30", "08:00", QuietWait)(s.rule) }, at: "2026-03-03 08:00"},
		"quiet, skips":      {"it is not wanted later", func(s *snapshot) { quiet("08:30", "10:00", QuietSkip)(s.rule) }, Quiet, "quiet hours", "09:00", ""},
		"not quiet elsewhere": {why: "it is evening in Sydney", change: func(s *snapshot) {
			quiet("21:00", "08:00", QuietWait)(s.rule)
			s.zones = []*time.Location{zone("Australia/Sydney")}
		}},
		"quiet elsewhere": {why: "it is four in New York", change: func(s *snapshot) {
			quiet("21:00", "08:00", QuietWait)(s.rule)
			s.zones = []*time.Location{zone("America/New_York")}
		}, at: "2026-03-02 13:00"},
		"quiet in one of two": {why: "the number may be in either", change: func(s *snapshot) {
			quiet("21:00", "10:30", QuietWait)(s.rule)
			s.zones = []*time.Location{zone("Europe/Athens"), zone("Europe/Berlin")}
		}, at: "2026-03-02 09:30"},
		"the clocks go on":     {why: "eight comes an hour sooner on 29 March in Berlin", change: night("2026-03-28 22:00", "Europe/Berlin"), at: "2026-03-29 06:00"},
		"the clocks go back":   {why: "and an hour later on 25 October", change: night("2026-10-24 22:00", "Europe/Berlin"), at: "2026-10-25 07:00"},
		"waited for the night": {why: "a night is not lateness", change: func(s *snapshot) { night("2026-03-28 22:00", "Europe/Berlin")(s); s.now = moment("2026-03-30 05:59") }, at: "2026-03-30 06:00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := booking(x.change)
			d := decide(s)
			if d.reason != x.reason || d.send != (x.reason == "") || !strings.Contains(d.words, x.words) {
				t.Fatalf("%s: %q %q, want %q %q", x.why, d.reason, d.words, x.reason, x.words)
			}
			for _, step := range d.steps {
				if !step.Holds {
					if step.Part != x.part {
						t.Errorf("%s: the part %q says no, want %q", x.why, step.Part, x.part)
					}
					break
				}
			}
			want := s.now
			if x.at != "" {
				want = moment(x.at)
			}
			if d.send && !d.at.Equal(want) {
				t.Errorf("%s: at %s, want %s", x.why, d.at.UTC(), want)
			}
			if d.send && d.body != "Hi Ann, 09:00" && !strings.HasPrefix(d.body, "Hi Ann, ") {
				t.Errorf("%s: the text is %q", x.why, d.body)
			}
		})
	}
}

// night is a reminder whose time falls into the night of a place.
func night(at, place string) func(s *snapshot) {
	return func(s *snapshot) {
		quiet("21:00", "08:00", QuietWait)(s.rule)
		s.zones, s.now = []*time.Location{zone(place)}, moment(at)
		s.run.EventAt = moment(at).Add(24 * time.Hour)
		s.record.StartsAt = &s.run.EventAt
	}
}

func TestConditionsCompare(t *testing.T) {
	t.Parallel()
	r := booking(nil).record
	for name, x := range map[string]struct {
		c    Condition
		want bool
		why  string
	}{
		"none of":          {Condition{"status", NotIn, []string{"cancelled"}}, true, "it is another"},
		"none of, is":      {Condition{"status", NotIn, []string{"confirmed"}}, false, "capitals do not count"},
		"none of, absent":  {Condition{"service", NotIn, []string{"Roofing"}}, true, "what is not there is none of them"},
		"in, absent":       {Condition{"service", In, []string{"Roofing"}}, false, "nor one of them"},
		"present":          {Condition{"tag", Present, nil}, true, "there is one"},
		"absent":           {Condition{"data.gate", Absent, nil}, true, "nobody wrote it"},
		"at most":          {Condition{"amount", AtMost, []string{"119.99"}}, false, "120.00 is more"},
		"the same amount":  {Condition{"amount", In, []string{"120"}}, true, "120 is 120.00"},
		"kind":             {Condition{"kind", In, []string{"booking"}}, true, "kinds are words"},
		"no number to ask": {Condition{"data.gate", AtLeast, []string{"0"}}, false, "nothing is not zero"},
	} {
		if err := x.c.check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := x.c.holds(r); got != x.want {
			t.Errorf("%s: %v: %s", name, got, x.why)
		}
	}
}
