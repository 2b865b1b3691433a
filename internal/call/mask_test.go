package call_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

const (
	alice    = "+61400111001"
	bea      = "+61400111002"
	annsOwn  = "+61400222001"
	bobsOwn  = "+61400222002"
	otherAU  = "+61255501235"
	american = "+12025550100"
)

// masked is a stage with two fieldworkers who have phones, and customers.
type masked struct{ *stage }

func newMasked(t *testing.T) masked {
	t.Helper()
	s := masked{newStage(t)}
	s.ownPhone(s.ann, annsOwn)
	s.ownPhone(s.bob, bobsOwn)
	return s
}

func (s masked) ownPhone(user id.ID, e164 string) {
	s.t.Helper()
	s.exec(`INSERT INTO user_phone (organization_id, id, user_id, e164, is_primary) VALUES ($1, $2, $3, $4, true)`, s.org, id.New(id.UserPhone), user, e164)
}

func (s masked) customer(e164 string) id.ID {
	s.t.Helper()
	c := id.New(id.Contact)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Customer', $3)`, s.org, c, s.clock.Now())
	s.exec(`INSERT INTO contact_phone (organization_id, contact_id, e164, is_primary) VALUES ($1, $2, $3, true)`, s.org, c, e164)
	return c
}

func (s masked) record(kind string, customer, user id.ID, starts any) id.ID {
	s.t.Helper()
	r := id.New(id.Record)
	s.exec(`INSERT INTO record (organization_id, id, kind, title, contact_id, assigned_user_id, starts_at, updated_at) VALUES ($1, $2, $3, 'Lawn', $4, $5, $6, $7)`,
		s.org, r, kind, customer, user, starts, s.clock.Now())
	return r
}

func (s masked) number2(e164, country string, branch any) id.ID {
	s.t.Helper()
	n := id.New(id.PhoneNumber)
	s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, is_enabled, branch_id, updated_at)
		VALUES ($1, $2, $3, $4, 'PN' || md5($4::text), $4, $5, true, true, true, true, $6, $7)`, s.org, n, s.conn, e164, country, branch, s.clock.Now())
	return n
}

func (s masked) pair(record id.ID) *call.MaskedPair {
	s.t.Helper()
	p, err := s.calls.CreateMask(access.With(s.ctx, s.boss()), s.boss(), call.MaskCreate{RecordID: record}, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func TestABookingIsMaskedOnce(t *testing.T) { // R103
	t.Parallel()
	s := newMasked(t)
	starts := s.clock.Now().Add(48 * time.Hour)
	record := s.record("BOOKING", s.customer(alice), s.ann, starts)
	first := s.pair(record)
	if first.PhoneNumberID != s.number || first.UserID != s.ann || first.CustomerNumber != alice || first.FieldworkerNumber != annsOwn || !first.Works(s.clock.Now()) {
		t.Fatalf("the pair is %+v", first)
	}
	if want := starts.Add(24 * time.Hour); !first.ExpiresAt.Equal(want) {
		t.Errorf("it works until %s, want a day after the booking begins, %s", first.ExpiresAt, want)
	}
	if again := s.pair(record); again.ID != first.ID {
		t.Error("asked again, the same booking got another pair")
	}
	until := s.clock.Now().Add(time.Hour)
	longer, err := s.calls.CreateMask(s.ctx, s.boss(), call.MaskCreate{RecordID: record, ExpiresAt: &until}, "k")
	if err != nil || longer.ID != first.ID || !longer.ExpiresAt.Equal(until) {
		t.Errorf("with another expiry: %+v, %v", longer, err)
	}
	ended, err := s.calls.EndMask(s.ctx, s.boss(), first.ID)
	if err != nil || ended.EndedAt == nil || ended.Works(s.clock.Now()) {
		t.Errorf("ended: %+v, %v", ended, err)
	}
	if next := s.pair(record); next.ID == first.ID {
		t.Error("an ended pair came back")
	}
	s.exec(`UPDATE user_phone SET e164 = '+61400222009' WHERE organization_id = $1 AND user_id = $2`, s.org, s.ann)
	if moved := s.pair(record); moved.FieldworkerNumber != "+61400222009" {
		t.Errorf("after the fieldworker's phone changed the pair still has %s", moved.FieldworkerNumber)
	}
}

func TestNoNumberMeansTwoCounterparts(t *testing.T) { // R103, T06
	t.Parallel()
	s := newMasked(t)
	customer := s.customer(alice)
	one := s.pair(s.record("BOOKING", customer, s.ann, nil))
	// The same customer with another fieldworker needs another number, as Ann with another customer does.
	_, err := s.calls.CreateMask(s.ctx, s.boss(), call.MaskCreate{RecordID: s.record("BOOKING", customer, s.bob, nil)}, "")
	if !errs.IsCode(err, errs.LimitReached) || !strings.Contains(err.Error(), "2 such numbers are needed, there are 1") {
		t.Fatalf("without another number: %v", err)
	}
	other := s.number2(american, "US", nil)
	two := s.pair(s.record("BOOKING", customer, s.bob, nil))
	if two.PhoneNumberID != other {
		t.Errorf("the second pair of a customer has the number of the first")
	}
	// Bob's other customer may use the first number: neither of them has it yet.
	if three := s.pair(s.record("BOOKING", s.customer(bea), s.bob, nil)); three.PhoneNumberID != one.PhoneNumberID {
		t.Errorf("a number that is free for both was not used")
	}
	// Somebody who is a customer here and a fieldworker there would be two counterparts too.
	cec, _ := s.person("Cec")
	s.ownPhone(cec, bea)
	if _, err := s.calls.CreateMask(s.ctx, s.boss(), call.MaskCreate{RecordID: s.record("BOOKING", customer, cec, nil)}, ""); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("a customer's phone that is also a fieldworker's: %v", err)
	}
}

func TestTheMaskedNumberIsOfBranchAndCountry(t *testing.T) { // D17
	t.Parallel()
	s := newMasked(t)
	s.number2(american, "US", s.branch)
	plain := s.number2(otherAU, "AU", nil)
	s.exec(`UPDATE phone_number SET branch_id = NULL WHERE organization_id = $1 AND id = $2`, s.org, s.number)
	s.exec(`UPDATE phone_number SET is_default = false WHERE organization_id = $1`, s.org)
	s.exec(`UPDATE phone_number SET branch_id = $3 WHERE organization_id = $1 AND id = $2`, s.org, plain, s.branch)
	if p := s.pair(s.record("BOOKING", s.customer(alice), s.ann, nil)); p.PhoneNumberID != plain {
		t.Error("the number is not the branch's of the customer's country")
	}
}

func TestWhatMaskingRefuses(t *testing.T) { // R277, R285
	t.Parallel()
	s := newMasked(t)
	record := s.record("BOOKING", s.customer(alice), s.ann, nil)
	past, far := s.clock.Now().Add(-time.Minute), s.clock.Now().Add(91*24*time.Hour)
	nobody := id.New(id.Contact)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Silent', $3)`, s.org, nobody, s.clock.Now())
	mute, _ := s.person("Mute")
	fieldworker := s.boss()
	fieldworker.UserID, fieldworker.Visibility = s.bob, access.SeesOwn
	for name, x := range map[string]struct {
		who  access.Actor
		in   call.MaskCreate
		code errs.Code
	}{
		"another's booking":             {fieldworker, call.MaskCreate{RecordID: record}, errs.NotFound},
		"no permission":                 {access.Actor{OrganizationID: s.org, UserID: s.ann, Permissions: access.SetOf(access.ContactView), Visibility: access.SeesOrganization}, call.MaskCreate{RecordID: record}, errs.Forbidden},
		"an expiry that is past":        {s.boss(), call.MaskCreate{RecordID: record, ExpiresAt: &past}, errs.Invalid},
		"an expiry too far away":        {s.boss(), call.MaskCreate{RecordID: record, ExpiresAt: &far}, errs.Invalid},
		"a booking without a customer":  {s.boss(), call.MaskCreate{RecordID: s.record("BOOKING", id.ID{}, s.ann, nil)}, errs.Required},
		"a booking without fieldworker": {s.boss(), call.MaskCreate{RecordID: s.record("BOOKING", s.customer(bea), id.ID{}, nil)}, errs.Required},
		"a customer without a phone":    {s.boss(), call.MaskCreate{RecordID: record, ContactID: nobody}, errs.Conflict},
		"a fieldworker without a phone": {s.boss(), call.MaskCreate{RecordID: record, UserID: mute}, errs.Conflict},
	} {
		if _, err := s.calls.CreateMask(s.ctx, x.who, x.in, ""); !errs.IsCode(err, x.code) {
			t.Errorf("%s: %v, want %s", name, err, x.code)
		}
	}
	pair := s.pair(record)
	s.exec(`UPDATE organization SET disabled_features = '{MASKING}' WHERE organization_id = $1`, s.org)
	if _, err := s.calls.CreateMask(s.ctx, s.boss(), call.MaskCreate{RecordID: record}, ""); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "MASKING") {
		t.Errorf("switched off: %v", err)
	}
	now, err := s.calls.Mask(s.ctx, s.boss(), pair.ID)
	if err != nil || now.Works(s.clock.Now()) || len(now.Advice()) != 1 {
		t.Errorf("a pair while masking is off: %+v, %v", now, err)
	}
	s.exec(`UPDATE organization SET disabled_features = '{}', customers_may_call_fieldworkers = true WHERE organization_id = $1`, s.org)
	if now, err = s.calls.Mask(s.ctx, s.boss(), pair.ID); err != nil || !now.Works(s.clock.Now()) || len(now.Advice()) != 1 || !strings.Contains(now.Advice()[0], "directly") { // R106
		t.Errorf("a pair while customers may call directly: %+v, %v", now, err)
	}
}

func TestFieldworkersSeeTheirOwnPairs(t *testing.T) {
	t.Parallel()
	s := newMasked(t)
	mine, yours := s.pair(s.record("BOOKING", s.customer(alice), s.ann, nil)), s.pair(s.record("BOOKING", s.customer(bea), s.bob, nil))
	ann := access.Actor{OrganizationID: s.org, UserID: s.ann, Permissions: access.SetOf(access.ContactView), Visibility: access.SeesOwn}
	list := func(who access.Actor, f call.MaskFilter) (ids []id.ID) {
		w, err := s.calls.Masks(s.ctx, who, f, db.Page{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range w.Nodes {
			ids = append(ids, p.ID)
		}
		return ids
	}
	if got := list(ann, call.MaskFilter{}); len(got) != 1 || got[0] != mine.ID {
		t.Errorf("Ann sees %v", got)
	}
	if _, err := s.calls.Mask(s.ctx, ann, yours.ID); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("Bob's pair, asked by Ann: %v", err)
	}
	no := false
	if got := list(s.boss(), call.MaskFilter{}); len(got) != 2 || got[0] != yours.ID {
		t.Errorf("the boss sees %v", got)
	}
	if got := list(s.boss(), call.MaskFilter{IsActive: &no}); len(got) != 0 {
		t.Errorf("among those that do not work: %v", got)
	}
	if got := list(s.boss(), call.MaskFilter{UserID: s.ann, RecordID: mine.RecordID}); len(got) != 1 {
		t.Errorf("Ann's: %v", got)
	}
}

// R103-R105: both directions ring through our number, and the call knows its booking.
func TestMaskedCallsRingThroughOurNumber(t *testing.T) {
	t.Parallel()
	s := newMasked(t)
	customer := s.customer(alice)
	pair := s.pair(s.record("BOOKING", customer, s.ann, nil))
	ann := access.Actor{OrganizationID: s.org, UserID: s.ann, Permissions: access.SetOf(access.CallView, access.ContactView, access.RouteExplain), Visibility: access.SeesOwn}
	for i, x := range []struct{ from, rings string }{{alice, s.annDev.String()}, {annsOwn, alice}} {
		n := i + 1
		doc := xml(t, s.arrives(n, x.from))
		if !strings.Contains(doc, `callerId="`+ours+`"`) || !strings.Contains(doc, x.rings) || strings.Contains(doc, s.bobDev.String()) {
			t.Errorf("a call from %s is answered\n%s", x.from, doc)
		}
		if rest := strings.ReplaceAll(doc, ">"+x.rings+"<", ""); strings.Contains(rest, alice) || strings.Contains(rest, annsOwn) {
			t.Errorf("a call from %s shows who calls:\n%s", x.from, doc)
		}
		ctx := access.With(s.ctx, ann)
		w, err := s.calls.List(ctx, ann, call.Filter{RecordID: pair.RecordID}, db.Page{})
		if err != nil || len(w.Nodes) != n {
			t.Fatalf("Ann's calls about the booking: %d, %v", len(w.Nodes), err)
		}
		c := w.Nodes[0]
		if c.MaskedPairID != pair.ID || c.ContactID != customer {
			t.Errorf("the call of %s is of pair %s and contact %s", x.from, c.MaskedPairID, c.ContactID)
		}
		legs, err := s.calls.LegsByCalls(ctx, []id.ID{c.ID})
		if err != nil {
			t.Fatal(err)
		}
		seen := c.From().Display + c.To().Display
		for _, l := range legs[c.ID] {
			seen += l.To().Display
		}
		if strings.Contains(seen, alice) {
			t.Errorf("the fieldworker reads the customer's number: %s", seen)
		}
		admin := s.boss()
		admin.UserID = s.bob
		all, err := s.calls.Get(access.With(s.ctx, admin), admin, c.ID)
		if err != nil || all.From().Display != x.from {
			t.Errorf("an administrator reads %+v, %v", all.From(), err)
		}
		office := access.Actor{OrganizationID: s.org, UserID: s.bob, Permissions: access.SetOf(access.CallView, access.ContactView), Visibility: access.SeesOrganization}
		if c, err = s.calls.Get(access.With(s.ctx, office), office, c.ID); err != nil || strings.Contains(c.From().Display, annsOwn) || x.from == alice && c.From().Display != alice {
			t.Errorf("the office reads %+v, %v", c.From(), err)
		}
		s.over(n, "completed", 30, 30)
	}
}

// R103: what a masked call hides stays hidden when its booking or its customer is
// deleted, and the call goes on.
func TestADeletedBookingUnmasksNothing(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(s masked, pair *call.MaskedPair) error{
		"the booking": func(s masked, pair *call.MaskedPair) error {
			_, _, err := contact.New(contact.Deps{DB: s.db}).DeleteRecords(s.ctx, s.boss(), []id.ID{pair.RecordID})
			return err
		},
		"the customer": func(s masked, pair *call.MaskedPair) error {
			_, _, err := contact.New(contact.Deps{DB: s.db}).Delete(s.ctx, s.boss(), []id.ID{pair.ContactID})
			return err
		},
		"a customer who is merged": func(s masked, pair *call.MaskedPair) error {
			keep := s.customer(bea)
			other, err := s.calls.CreateMask(s.ctx, s.boss(), call.MaskCreate{RecordID: pair.RecordID, ContactID: keep}, "")
			if err != nil {
				return err
			}
			if _, err = contact.New(contact.Deps{DB: s.db}).Merge(s.ctx, s.boss(), keep, []id.ID{pair.ContactID}); err != nil {
				return err
			}
			if other, err = s.calls.Mask(s.ctx, s.boss(), other.ID); err == nil && !other.Works(s.clock.Now()) {
				s.t.Error("of two pairs of a merged customer none is left")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMasked(t)
			s.number2(otherAU, "AU", nil)
			pair := s.pair(s.record("BOOKING", s.customer(alice), s.ann, nil))
			s.arrives(1, alice)
			s.clock.Advance(time.Second)
			s.arrives(2, annsOwn)
			if err := remove(s, pair); err != nil {
				t.Fatal(err)
			}
			s.over(1, "completed", 30, 30) // the calls still change
			s.over(2, "completed", 30, 30)
			ann := access.Actor{OrganizationID: s.org, UserID: s.ann, Permissions: access.SetOf(access.CallView, access.ContactView), Visibility: access.SeesOrganization}
			bob := ann
			bob.UserID = s.bob
			w, err := s.calls.List(access.With(s.ctx, ann), ann, call.Filter{}, db.Page{})
			if err != nil || len(w.Nodes) != 2 {
				t.Fatalf("%d calls, %v", len(w.Nodes), err)
			}
			for _, c := range w.Nodes {
				if c.MaskedPairID != pair.ID || c.EndedAt == nil {
					t.Errorf("the call from %s is of pair %s and ended at %v", c.FromNumber, c.MaskedPairID, c.EndedAt)
				}
			}
			if from := w.Nodes[1].From().Display; from == alice {
				t.Error("the fieldworker reads the customer's number")
			}
			if c, err := s.calls.Get(access.With(s.ctx, bob), bob, w.Nodes[0].ID); err != nil || c.From().Display == annsOwn {
				t.Errorf("a colleague reads %q of the fieldworker, %v", c.From().Display, err)
			}
			if p, err := s.calls.Mask(s.ctx, s.boss(), pair.ID); err != nil || p.EndedAt == nil {
				t.Errorf("the pair is %+v, %v", p, err)
			}
			if doc := xml(t, s.arrives(3, alice)); name == "the booking" && strings.Contains(doc, `callerId="`+ours+`"`) {
				t.Errorf("a pair without a booking connects:\n%s", doc)
			}
			s.arrives(4, annsOwn)
		})
	}
}

func TestBeforeTheBookingTheBranchRings(t *testing.T) { // D13, D14, R242
	t.Parallel()
	for name, x := range map[string]struct {
		why        string
		kind       string
		restricted bool
		before     func(s masked, customer id.ID)
		branch     bool
	}{
		"not begun":              {"D14", "BOOKING", true, nil, true},
		"not restricted":         {"R242 is off", "BOOKING", false, nil, false},
		"a complaint":            {"D13", "COMPLAINT", true, nil, false},
		"on the way":             {"D13", "BOOKING", true, func(s masked, c id.ID) { s.exec(`UPDATE record SET status = 'On the way' WHERE contact_id = $1`, c) }, false},
		"the customer came":      {"D13: the customer contacted us first", "BOOKING", true, func(s masked, c id.ID) { s.earlier(c, "INBOUND", alice) }, false},
		"their call is unsaved":  {"what it is linked to is about the log (R182)", "BOOKING", true, func(s masked, _ id.ID) { s.earlier(id.ID{}, "INBOUND", alice) }, false},
		"we called the customer": {"that is no contact of theirs", "BOOKING", true, func(s masked, c id.ID) { s.earlier(c, "OUTBOUND", ours) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMasked(t)
			s.exec(`UPDATE "user" SET fieldworker_switched = CASE WHEN $3::boolean THEN '{RESTRICT_BEFORE_START}'::text[] ELSE '{}' END, is_fieldworker = true WHERE organization_id = $1 AND id = $2`, s.org, s.ann, x.restricted)
			customer := s.customer(alice)
			s.pair(s.record(x.kind, customer, s.ann, s.clock.Now().Add(time.Hour)))
			if x.before != nil {
				x.before(s, customer)
			}
			doc := xml(t, s.arrives(1, alice))
			if got := strings.Contains(doc, s.bobDev.String()); got != x.branch {
				t.Errorf("the branch rings: %v (%s)\n%s", got, x.why, doc)
			}
			if x.branch && x.before == nil { // a second try opens nothing
				if doc := xml(t, s.arrives(2, alice)); !strings.Contains(doc, s.bobDev.String()) {
					t.Errorf("called twice, the customer gets through to the fieldworker")
				}
			}
		})
	}
}

// R242: a fieldworker's call to the masked number comes in, and is no contact of the customer's.
func TestDiallingTheMaskedNumberDoesNotOpenACustomer(t *testing.T) {
	t.Parallel()
	s := newMasked(t)
	s.exec(`UPDATE "user" SET is_fieldworker = true, fieldworker_switched = '{RESTRICT_BEFORE_START}' WHERE organization_id = $1 AND id = $2`, s.org, s.ann)
	customer := s.customer(alice)
	booking := s.record("BOOKING", customer, s.ann, s.clock.Now().Add(time.Hour))
	s.pair(booking)
	ann := s.office(s.ann)
	ann.Visibility, ann.IsFieldworker, ann.Switched = access.SeesOwn, true, []access.FieldworkerOption{access.RestrictBeforeStart}
	early := func() *errs.Error {
		t.Helper()
		refused, err := call.TooEarly(s.ctx, s.db.App(), ann, s.clock.Now(), []call.Contacting{{RecordID: booking}})
		if err != nil {
			t.Fatal(err)
		}
		return refused[0]
	}
	for n := range 2 { // nor is the masked number opened by a second try
		if doc := xml(t, s.arrives(n+1, annsOwn)); strings.Contains(doc, alice) {
			t.Errorf("try %d rings the customer:\n%s", n+1, doc)
		}
		if early() == nil {
			t.Errorf("after try %d the customer may be called", n+1)
		}
		s.clock.Advance(time.Second)
	}
	s.arrives(3, alice)
	if err := early(); err != nil {
		t.Errorf("after the customer called: %v", err)
	}
}

// earlier is a call of an hour ago.
func (s masked) earlier(customer id.ID, direction, from string) {
	s.t.Helper()
	s.exec(`INSERT INTO call (organization_id, id, version, provider, direction, status, connection_id, contact_id, from_number, to_number, started_at, ended_at, updated_at)
		VALUES ($1, $2, 1, 'TWILIO', $3, 'COMPLETED', $4, $5, $6, $7, $8, $8, $8)`, s.org, id.New(id.Call), direction, s.conn, customer, from, ours, s.clock.Now().Add(-time.Hour))
}

func TestAMaskedNumberThatExpiredTakesItsOwnRoute(t *testing.T) {
	t.Parallel()
	s := newMasked(t)
	s.pair(s.record("BOOKING", s.customer(alice), s.ann, nil))
	s.clock.Advance(25 * time.Hour)
	if doc := xml(t, s.arrives(1, alice)); !strings.Contains(doc, s.bobDev.String()) {
		t.Errorf("after its end a masked number rings\n%s", doc)
	}
	if c, _ := s.only(); !c.MaskedPairID.IsZero() {
		t.Error("the call is of a pair that had ended")
	}
	s.tx(func(ctx context.Context, tx *db.Tx) error {
		return s.calls.NumberStatus(ctx, tx, twilio.LegForm{CallSID: sid("CA", 1), Status: "completed"})
	})
}
