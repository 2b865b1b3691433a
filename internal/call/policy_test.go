package call_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// What may be dialled: what nobody allowed is refused, however it is written.
func TestOnlyAllowedDestinationsAreCalled(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for name, x := range map[string]struct {
		why  string
		to   string
		code errs.Code
	}{
		"at home":             {"the country of our own numbers", "0400 999 888", ""},
		"abroad":              {"a country without a number of ours", "+33 1 23 45 67 89", errs.Forbidden},
		"emergency":           {"short numbers do not parse, and are known", "000", errs.Unsupported},
		"emergency elsewhere": {"112 works in most networks", "112", errs.Unsupported},
		"premium":             {"fraud dials these", "1902 123 456", errs.Forbidden},
		"satellite":           {"and these", "+881612345678", errs.Forbidden},
		"too short":           {"", "123", errs.Invalid},
	} {
		_, err := s.starts(s.office(s.ann), call.StartInput{To: x.to})
		if x.code == "" && err != nil || x.code != "" && !errs.IsCode(err, x.code) {
			t.Errorf("%s (%s): %v, want %q", name, x.why, err, x.code)
		}
	}
	s.exec(`UPDATE organization SET call_countries = '{FR}'`)
	if _, err := s.starts(s.office(s.ann), call.StartInput{To: "+33 1 23 45 67 89"}); err != nil {
		t.Errorf("an allowed country: %v", err)
	}
	if _, err := s.starts(s.office(s.ann), call.StartInput{To: theirs}); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("the list replaces the organization's own countries: %v", err)
	}
}

func TestTheCapsHoldAlsoForTwoAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(`UPDATE organization SET max_concurrent_calls = 3, max_calls_per_user_hour = 5`)
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex // guards what follows
		passed int
		other  []error
	)
	for range 8 {
		wg.Go(func() {
			_, err := s.starts(s.office(s.ann), call.StartInput{To: theirs})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				passed++
			case !errs.IsCode(err, errs.LimitReached):
				other = append(other, err)
			}
		})
	}
	wg.Wait()
	if passed != 3 || len(other) > 0 {
		t.Fatalf("%d of 8 calls at once passed, want 3; %v", passed, other)
	}
	s.exec(`UPDATE call SET ended_at = started_at, status = 'CANCELED'`)
	for i := range 3 {
		_, err := s.starts(s.office(s.ann), call.StartInput{To: theirs})
		if want := i == 2; want != errs.IsCode(err, errs.LimitReached) {
			t.Errorf("call %d of the hour: %v", i+4, err)
		}
	}
	if _, err := s.starts(s.office(s.bob), call.StartInput{To: theirs}); err != nil {
		t.Errorf("another person has an hour of their own: %v", err)
	}
	s.clock.Advance(61 * time.Minute)
	s.exec(`UPDATE call SET ended_at = started_at, status = 'CANCELED'`)
	if _, err := s.starts(s.office(s.ann), call.StartInput{To: theirs}); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// R026: a number of a team is shown by its team, and by those whose switch is on.
func TestANumberOfATeamIsItsTeamsAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	team := id.New(id.Team)
	s.exec(`INSERT INTO team (organization_id, id, name, updated_at) VALUES ($1, $2, 'Sales', $3)`, s.org, team, s.clock.Now())
	s.exec(`INSERT INTO team_user (organization_id, team_id, user_id, position) VALUES ($1, $2, $3, 0)`, s.org, team, s.ann)
	s.exec(`UPDATE phone_number SET routing_mode = 'TEAM', team_id = $1`, team)
	if _, err := s.starts(s.office(s.ann), call.StartInput{To: theirs, PhoneNumberID: s.number}); err != nil {
		t.Errorf("a member: %v", err)
	}
	_, err := s.starts(s.office(s.bob), call.StartInput{To: theirs, PhoneNumberID: s.number})
	if !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "team") {
		t.Errorf("somebody else who asks for it: %v", err)
	}
	if _, err := s.starts(s.office(s.bob), call.StartInput{To: theirs}); !errs.IsCode(err, errs.Conflict) {
		t.Errorf("it is not chosen for somebody else: %v", err)
	}
	s.exec(`INSERT INTO phone_number_user (organization_id, phone_number_id, user_id, outgoing_calls, updated_at) VALUES ($1, $2, $3, false, $4)`, s.org, s.number, s.ann, s.clock.Now())
	if _, err := s.starts(s.office(s.ann), call.StartInput{To: theirs, PhoneNumberID: s.number}); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "switched off") {
		t.Errorf("a member whose outgoing calls are off: %v", err)
	}
}

// R242, D13.
func TestAFieldworkerDoesNotCallACustomerBeforeTheBookingBegins(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		why    string
		change func(s *stage, customer, booking id.ID)
		free   bool
	}{
		"before":             {"the booking is tomorrow", func(*stage, id.ID, id.ID) {}, false},
		"begun":              {"", func(s *stage, _, b id.ID) { s.exec(`UPDATE record SET starts_at = $2 WHERE id = $1`, b, s.sec(-60)) }, true},
		"a complaint":        {"its kind is an exception", func(s *stage, _, b id.ID) { s.exec(`UPDATE record SET kind = 'COMPLAINT' WHERE id = $1`, b) }, true},
		"on the way":         {"so is this", func(s *stage, _, b id.ID) { s.exec(`UPDATE record SET status = 'On the way' WHERE id = $1`, b) }, true},
		"the customer wrote": {"they contacted us first", func(s *stage, c, _ id.ID) { s.cameIn(c, -time.Hour) }, true},
		"we wrote before":    {"then they did not contact us first", func(s *stage, c, _ id.ID) { s.wrote(c, -2*time.Hour, true); s.cameIn(c, -time.Hour) }, false},
		"a text that failed": {"it reached nobody", func(s *stage, c, _ id.ID) { s.wrote(c, -2*time.Hour, false); s.cameIn(c, -time.Hour) }, true},
		"long ago":           {"more than a day is no reason", func(s *stage, c, _ id.ID) { s.cameIn(c, -25*time.Hour) }, false},
		"an unsaved call":    {"what a call is linked to is about the log (R182)", func(s *stage, _, _ id.ID) { s.cameIn(id.ID{}, -time.Hour) }, true},
		"our unsaved call":   {"then they did not contact us first", func(s *stage, c, _ id.ID) { s.calledOut(-2 * time.Hour); s.cameIn(c, -time.Hour) }, false},
		"a shared number":    {"the call is of whoever else has it", func(s *stage, _, _ id.ID) { s.cameIn(s.shares(), -time.Hour) }, true},
		"a text shared":      {"so is the text, and we wrote first", func(s *stage, c, _ id.ID) { s.wrote(s.shares(), -2*time.Hour, true); s.cameIn(c, -time.Hour) }, false},
		"somebody shares it": {"the number is still the customer's", func(s *stage, _, _ id.ID) { s.shares(); s.exec(`UPDATE contact SET last_contacted_at = NULL`) }, false},
		"nobody restricts":   {"it is an option", func(s *stage, _, _ id.ID) { s.restricted = false }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.restricted = true
			customer, booking := s.booking(s.ann, 24*time.Hour)
			x.change(s, customer, booking)
			who := s.office(s.ann)
			who.Visibility, who.IsFieldworker = access.SeesOwn, true
			if s.restricted {
				who.Switched = []access.FieldworkerOption{access.RestrictBeforeStart}
			}
			for by, in := range map[string]call.StartInput{"the booking": {RecordID: booking}, "the number": {To: theirs}, "the contact": {ContactID: customer}} {
				c, err := s.starts(who, in)
				switch {
				case x.free && err != nil, !x.free && !errs.IsCode(err, errs.Forbidden):
					t.Errorf("called by %s (%s): %v", by, x.why, err)
				case x.free && c.ContactID != customer:
					t.Errorf("called by %s, the contact is %s", by, c.ContactID)
				}
			}
		})
	}
}

// booking is a customer with a booking of a fieldworker.
func (s *stage) booking(of id.ID, in time.Duration) (customer, record id.ID) {
	s.t.Helper()
	customer, record = id.New(id.Contact), id.New(id.Record)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, assigned_user_id, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Cus', $3, $4)`, s.org, customer, of, s.clock.Now())
	s.exec(`INSERT INTO contact_phone (organization_id, contact_id, e164, is_primary) VALUES ($1, $2, $3, true)`, s.org, customer, theirs)
	s.exec(`INSERT INTO record (organization_id, id, kind, title, contact_id, assigned_user_id, starts_at, updated_at) VALUES ($1, $2, 'BOOKING', 'Roof', $3, $4, $5, $6)`,
		s.org, record, customer, of, s.clock.Now().Add(in), s.clock.Now())
	return customer, record
}

// cameIn is a call of a contact some time ago.
func (s *stage) cameIn(contact id.ID, ago time.Duration) {
	s.t.Helper()
	at := s.clock.Now().Add(ago)
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, contact_id, from_number, to_number, started_at, ended_at, updated_at)
		VALUES ($1, $2, 'INBOUND', 'MISSED', $3, $4, $5, $6, $7, $7, $7)`, s.org, id.New(id.Call), s.conn, contact, theirs, ours, at)
}

// calledOut is a call of ours to their number that was linked to nobody.
func (s *stage) calledOut(ago time.Duration) {
	s.t.Helper()
	at := s.clock.Now().Add(ago)
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, from_number, to_number, started_at, ended_at, updated_at)
		VALUES ($1, $2, 'OUTBOUND', 'COMPLETED', $3, $4, $5, $6, $6, $6)`, s.org, id.New(id.Call), s.conn, ours, theirs, at)
}

// shares is somebody else who has the number, and whose calls and texts it finds.
func (s *stage) shares() (contact id.ID) {
	s.t.Helper()
	contact = id.New(id.Contact)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'ACCOUNT', 'House', $3)`, s.org, contact, s.clock.Now())
	s.exec(`INSERT INTO contact_phone (organization_id, contact_id, e164, is_primary) VALUES ($1, $2, $3, true)`, s.org, contact, theirs)
	s.exec(`UPDATE contact SET last_contacted_at = $2 WHERE name <> 'House' AND organization_id = $1`, s.org, s.clock.Now())
	return contact
}

// wrote is a text of ours to a contact some time ago.
func (s *stage) wrote(contact id.ID, ago time.Duration, sent bool) {
	s.t.Helper()
	at, thread := s.clock.Now().Add(ago), id.New(id.Thread)
	s.exec(`INSERT INTO sms_thread (organization_id, id, phone_number_id, their_number, contact_id, last_message_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)`,
		s.org, thread, s.number, theirs, contact, at)
	s.exec(`INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, contact_id, at, sent_at, updated_at)
		VALUES ($1, $2, $3, 'OUTBOUND', 'FAILED', 'Hello', $4, $5, $6, $7, CASE WHEN $8::boolean THEN $7::timestamptz END, $7)`,
		s.org, id.New(id.Message), thread, ours, theirs, contact, at, sent)
}
