package history_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/history"
	"switchboard/internal/id"
)

func TestASearchConfirmsNoHiddenDetail(t *testing.T) { // R241
	t.Parallel()
	s := newStage(t)
	s.contact("Ann Zander", "ann@example.com", "12 Secret Street", "gold")
	s.contact("(02) 5550 1234", "", "", "silver")
	open := s.who(s.fay)
	closed := open
	closed.IsFieldworker, closed.Switched = true, []access.FieldworkerOption{access.DisplayContactDetails}
	for text, x := range map[string]struct {
		why          string
		open, closed string
	}{
		"ann@example.com":  {"the e-mail is hidden", "CONTACT", ""},
		"secret street":    {"so is where they are", "CONTACT", ""},
		"zander secret":    {"nor do words that are shown help", "CONTACT", ""},
		"5550 1234":        {"a name that is a number is hidden like any", "CONTACT", ""},
		"silver":           {"and nothing leads to it", "CONTACT", ""},
		"zander":           {"the name is shown", "CONTACT", "CONTACT"},
		"globex zand":      {"so is the company", "CONTACT", "CONTACT"},
		"gold":             {"R178: tags are found", "CONTACT", "CONTACT"},
		"gold copper":      {"all words must be there", "", ""},
		"nobody@nowhere.x": {"what nobody has", "", ""},
	} {
		if got := s.found(open, text); got != x.open {
			t.Errorf("with details shown %q finds %q, want %q", text, got, x.open)
		}
		if got := s.found(closed, text); got != x.closed {
			t.Errorf("with details hidden %q finds %q, want %q: %s", text, got, x.closed, x.why)
		}
	}
}

func TestAMaskedCallIsFoundByTheNumberThatIsShown(t *testing.T) { // R103
	t.Parallel()
	s := newStage(t)
	customer := s.contact("Ann Zander", "", "", "gold")
	s.exec(`INSERT INTO contact_phone (organization_id, contact_id, e164, is_primary) VALUES ($1, $2, $3, true)`, s.org, customer, customers)
	booking, pair := id.New(id.Record), id.New(id.MaskedPair)
	s.exec(`INSERT INTO record (organization_id, id, kind, title, contact_id, assigned_user_id, updated_at) VALUES ($1, $2, 'BOOKING', 'Lawn', $3, $4, $5)`,
		s.org, booking, customer, s.fay, start)
	s.exec(`INSERT INTO masked_pair (organization_id, id, record_id, contact_id, user_id, phone_number_id, customer_number, fieldworker_number, expires_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, s.org, pair, booking, customer, s.fay, s.number, customers, faysOwn, start.Add(time.Hour), start)
	s.call(customer, customers, pair)
	s.call(customer, faysOwn, pair)
	bob := s.user("Bob")
	for name, x := range map[string]struct {
		who              access.Actor
		customers, fayes string
	}{
		"a colleague":                {s.who(bob), "CALL CONTACT", ""},
		"who sees no contacts":       {s.who(bob, access.ContactView), "", ""},
		"the fieldworker themselves": {s.who(s.fay), "CONTACT", ""},
		"a program":                  {s.who(id.ID{}), "CALL CONTACT", ""},
	} {
		if got := s.found(x.who, customers); got != x.customers {
			t.Errorf("%s finds by the customer's number %q, want %q", name, got, x.customers)
		}
		if got := s.found(x.who, faysOwn); got != x.fayes {
			t.Errorf("%s finds by the fieldworker's own number %q, want %q", name, got, x.fayes)
		}
	}
	s.call(id.ID{}, "+61400333003", id.ID{})
	if got := s.found(s.who(bob, access.ContactView), "+61400333003"); got != "CALL" {
		t.Errorf("a call that is not masked is found as %q", got)
	}
}

func TestATimelineIsSearchedByWhatWasSaid(t *testing.T) { // R178, R278
	t.Parallel()
	s := newStage(t)
	customer := s.contact("Ann Zander", "", "", "gold")
	s.said(s.call(customer, customers, id.ID{}), customer, "CALL", "the gutter leaks")
	s.said(s.call(customer, customers, id.ID{}), customer, "VOICEMAIL", "the roof leaks")
	s.exec(`INSERT INTO record (organization_id, id, kind, title, contact_id, data, updated_at) VALUES ($1, $2, 'BOOKING', 'Lawn', $3, '{"colour": "green"}', $4)`,
		s.org, id.New(id.Record), customer, start)
	kinds := func(who access.Actor, text string) string {
		t.Helper()
		w, err := s.svc.Timeline(s.ctx, who, customer, history.TimelineFilter{Text: text}, db.Page{})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, x := range w.Nodes {
			out = append(out, string(x.Kind))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	for text, want := range map[string]string{
		"gutter": "RECORDING TRANSCRIPT", "roof": "TRANSCRIPT VOICEMAIL", "leaks": "RECORDING TRANSCRIPT TRANSCRIPT VOICEMAIL",
		"green": "RECORD", "lawn": "RECORD", "roof gutter": "",
	} {
		if got := kinds(s.who(s.fay), text); got != want {
			t.Errorf("%q finds %q, want %q", text, got, want)
		}
	}
	if got := kinds(s.who(s.fay, access.TranscriptView), "leaks"); got != "" {
		t.Errorf("who reads no transcripts finds %q by what was said", got)
	}
	// The one search finds the conversation by it, too.
	if got := s.found(s.who(s.fay), "gutter"); got != "TRANSCRIPT" {
		t.Errorf("a search for what was said finds %q", got)
	}
	if got := s.found(s.who(s.fay, access.TranscriptView), "gutter"); got != "" {
		t.Errorf("who reads no transcripts finds %q by a search", got)
	}
}

func TestASearchFindsOnesOwnContactsAndRecords(t *testing.T) { // R178, R243
	t.Parallel()
	s := newStage(t)
	record := func(title string, of, contact id.ID) {
		s.exec(`INSERT INTO record (organization_id, id, kind, title, contact_id, assigned_user_id, updated_at) VALUES ($1, $2, 'BOOKING', $3, $4, $5, $6)`,
			s.org, id.New(id.Record), title, contact, of, start)
	}
	bob := s.user("Bob")
	booked, assigned, others := s.contact("Zander Booked", "", "", "gold"), s.contact("Zander Assigned", "", "", "gold"), s.contact("Zander Other", "", "", "gold")
	s.exec(`UPDATE contact SET assigned_user_id = $3 WHERE organization_id = $1 AND id = $2`, s.org, assigned, s.fay)
	record("Gutter of hers", s.fay, booked)
	record("Gutter of Bob", bob, others)
	s.exec(`INSERT INTO contact_phone (organization_id, contact_id, e164, is_primary) VALUES ($1, $2, $3, true)`, s.org, others, customers)
	all := s.who(s.fay)
	own, narrowed := all, all
	own.Visibility = access.SeesOwn
	narrowed.IsFieldworker, narrowed.Switched = true, []access.FieldworkerOption{access.WholeCustomerBase}
	for name, x := range map[string]struct {
		who                        access.Actor
		contacts, records, numbers string
	}{
		"who sees all":                    {all, "CONTACT CONTACT CONTACT", "RECORD RECORD", "CONTACT"},
		"who sees their own":              {own, "CONTACT CONTACT", "RECORD", ""},
		"who does not see the whole base": {narrowed, "CONTACT CONTACT", "RECORD", ""},
	} {
		for text, want := range map[string]string{"zander": x.contacts, "gutter": x.records, customers: x.numbers} {
			if got := s.found(x.who, text); got != want {
				t.Errorf("%s finds by %q %q, want %q", name, text, got, want)
			}
		}
	}
}
