package call_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// answered is a call that came in and that ann answered.
func (s *stage) answered(n int, from string) (*call.Call, *call.Leg) {
	s.t.Helper()
	s.exec(`UPDATE phone_number SET allow_transfer = true`)
	s.arrives(n, from)
	c, legs := s.only()
	l := legOf(legs, s.annDev)
	s.clock.Advance(6 * time.Second)
	s.leg(c, l, 10+n, "in-progress", 5, 1)
	return c, l
}

// able is a person who may do some more.
func (s *stage) able(user id.ID, more ...access.Permission) access.Actor {
	return access.Actor{OrganizationID: s.org, UserID: user, Visibility: access.SeesOwn,
		Permissions: access.SetOf(append([]access.Permission{access.CallMake, access.CallReceive, access.CallTransfer, access.CallInternal}, more...)...)}
}

// R242: neither is a customer added to a call, or a call handed to them, before the booking begins.
func TestNoCommandReachesACustomerBeforeTheBookingBegins(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.withTwilio()
	c, _ := s.answered(1, "+61400123123")
	customer, _ := s.booking(s.ann, 24*time.Hour)
	who := s.able(s.ann, access.ContactView)
	who.IsFieldworker, who.Switched = true, []access.FieldworkerOption{access.RestrictBeforeStart}
	for name, do := range map[string]func() error{
		"added by number": func() error { _, err := s.calls.Add(s.ctx, who, c.ID, call.PartyInput{To: theirs}, ""); return err },
		"added as contact": func() error {
			_, err := s.calls.Add(s.ctx, who, c.ID, call.PartyInput{ContactID: customer}, "")
			return err
		},
		"transferred to": func() error {
			_, err := s.calls.Transfer(s.ctx, who, c.ID, call.TransferInput{PartyInput: call.PartyInput{To: theirs}}, "")
			return err
		},
	} {
		if err := do(); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "before their booking") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// R103: a fieldworker does not learn the number of a customer from what a call would be, nor by adding them.
func TestAMaskedNumberIsNotLearnedByAskingOrAdding(t *testing.T) {
	t.Parallel()
	s := newMasked(t)
	s.withTwilio()
	customer := s.customer(alice)
	record := s.record("BOOKING", customer, s.ann, s.clock.Now().Add(-time.Hour))
	s.pair(record)
	who := s.able(s.ann, access.ContactView)
	who.IsFieldworker = true
	ctx := access.With(s.ctx, who)
	s.exec(`UPDATE contact SET assigned_user_id = $1 WHERE id = $2`, s.ann, customer)
	x, err := s.calls.ExplainCallerID(ctx, who, call.StartInput{RecordID: record})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Refused) > 0 || x.CallerID == nil || x.CallerID.E164 != ours {
		t.Fatalf("the call by the masked number: %+v", x)
	}
	if x.To != nil || x.Dialled != nil {
		t.Errorf("the explanation tells the customer's number: %v %v", *x.To, *x.Dialled)
	}
	c, _ := s.answered(1, "+61400123123")
	for name, do := range map[string]func() error{
		"added": func() error {
			_, err := s.calls.Add(ctx, who, c.ID, call.PartyInput{ContactID: customer}, "")
			return err
		},
		"transferred": func() error {
			_, err := s.calls.Transfer(ctx, who, c.ID, call.TransferInput{PartyInput: call.PartyInput{To: alice}}, "")
			return err
		},
	} {
		if err := do(); !errs.IsCode(err, errs.Forbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	legs, err := s.calls.LegsByCalls(ctx, []id.ID{c.ID})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range legs[c.ID] {
		if l.To().E164 != nil && string(*l.To().E164) == alice {
			t.Errorf("a leg shows the customer's number: %s %s", l.Kind, l.ToAddress)
		}
	}
}

// join is a leg of ours that was picked up.
func (s *stage) join(c, leg id.ID, n int, digits string) string {
	s.t.Helper()
	var doc twilio.Response
	s.tx(func(ctx context.Context, tx *db.Tx) (err error) {
		doc, err = s.calls.Join(ctx, tx, c, leg, twilio.CallForm{CallSID: sid("CA", n), Status: "in-progress", Digits: digits}, hooks{})
		return err
	})
	return xml(s.t, doc)
}

// R100: whoever has handed a call over has no say in it any more.
func TestWhoHandedACallOverDoesNotEndIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.withTwilio()
	c, _ := s.answered(1, theirs)
	who := s.able(s.ann)
	if _, err := s.calls.Transfer(s.ctx, who, c.ID, call.TransferInput{PartyInput: call.PartyInput{UserID: s.bob}}, ""); err != nil {
		t.Fatal(err)
	}
	_, legs := s.only()
	s.clock.Advance(time.Second)
	for _, l := range legs {
		if l.Purpose == call.ForTransfer {
			s.join(c.ID, l.ID, 30, "")
		}
	}
	if c = s.read(c); c.Transfer == nil || c.Transfer.Status != call.TransferCompleted {
		t.Fatalf("the transfer is %+v", c.Transfer)
	}
	if _, err := s.calls.HangUp(s.ctx, who, c.ID); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("who handed it over hung up: %v", err)
	}
	notes := call.UpdateInput{Notes: patch.To("Took it over.")}
	if _, err := s.calls.Update(s.ctx, s.able(s.bob), c.ID, notes); err != nil {
		t.Errorf("who took it over cannot write on it: %v", err)
	}
	if _, err := s.calls.HangUp(s.ctx, s.able(s.bob), c.ID); err != nil {
		t.Errorf("who took it over cannot end it: %v", err)
	}
}

// D22: a name is somebody's at its own domain alone.
func TestASIPNameOfAnotherDomainIsNobody(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.grant()
	s.sipDomain("one.sip.twilio.com")
	s.sipDomain("two.sip.twilio.com")
	s.exec(`UPDATE "user" SET sip_address = 'sip:desk@one.sip.us1.twilio.com' WHERE id = $1`, s.ann)
	s.exec(`UPDATE "user" SET sip_address = 'desk@two.sip.twilio.com' WHERE id = $1`, s.bob)
	for i, x := range []struct {
		domain string
		who    id.ID
	}{{"one.sip.twilio.com", s.ann}, {"two.sip.twilio.com", s.bob}} {
		n := 40 + i
		s.tx(func(ctx context.Context, tx *db.Tx) error {
			doc, err := s.calls.FromSIP(ctx, tx, call.Incoming{Connection: s.conn, Hooks: hooks{}, Form: twilio.CallForm{CallSID: sid("CA", n), From: "sip:desk@" + x.domain,
				To: "sip:" + theirs + "@" + x.domain, SIPDomain: x.domain, SIPUsername: "desk", Status: "ringing"}})
			if err != nil {
				return err
			}
			var got id.ID
			if err := tx.Pgx().QueryRow(ctx, `SELECT user_id FROM call WHERE twilio_sid = $1`, sid("CA", n)).Scan(&got); err != nil {
				t.Errorf("%s: %v: %s", x.domain, err, xml(t, doc))
			} else if got != x.who {
				t.Errorf("desk at %s calls as another", x.domain)
			}
			return nil
		})
	}
}

// out is a call that ann made on her device, and that was answered.
func (s *stage) out(detect bool) *call.Call {
	s.t.Helper()
	s.grant()
	params := map[string]string{"To": theirs}
	if detect {
		params["detectMachine"] = "true"
	}
	s.appCalls(1, s.annDev, params)
	c, legs := s.only()
	s.clock.Advance(6 * time.Second)
	s.leg(c, legs[1], 12, "in-progress", 5, 1)
	return c
}

func (s *stage) facts(c *call.Call) (n int) {
	s.t.Helper()
	s.tx(func(ctx context.Context, tx *db.Tx) error {
		return tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM call_fact WHERE call_id = $1`, c.ID).Scan(&n)
	})
	return n
}

// fill gives a call so many facts of a command that it cannot have more.
func (s *stage) fill(c *call.Call, key string, n int, data string) {
	s.t.Helper()
	s.exec(`INSERT INTO call_fact (organization_id, call_id, key, kind, at, data) SELECT $1, $2, $6 || i, 'COMMAND', $3, $4::json FROM generate_series(1, $5::int) i`,
		s.org, c.ID, s.clock.Now(), data, n, key)
}

func TestNothingMakesACallGrowForEver(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.withTwilio()
	c := s.out(true)
	s.exec(`INSERT INTO drop_message (organization_id, id, name, text, voice, language, updated_at) VALUES ($1, $2, 'Call back', 'Call back.', 'Polly.Amy', 'en-GB', $3)`,
		s.org, id.New(id.DropMessage), s.clock.Now())
	var message id.ID
	s.tx(func(ctx context.Context, tx *db.Tx) error {
		return tx.Pgx().QueryRow(ctx, `SELECT id FROM drop_message`).Scan(&message)
	})
	who := s.able(s.ann)
	_, legs := s.only()
	s.fill(c, "tones", 150, `{"command":"DIGITS","leg":"`+legs[1].ID.String()+`","order":{"digits":"1"}}`)
	if _, err := s.calls.SendDigits(s.ctx, who, c.ID, "1", id.ID{}, ""); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("tones, each of which sends the leg out of the room: %v", err)
	}
	s.fill(c, "mutes", 5001, `{"command":"MUTE"}`)
	before := s.facts(c)
	if _, err := s.calls.SetAnswerer(s.ctx, who, c.ID, call.Fax); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("who answered: %v", err)
	}
	if _, err := s.calls.DropMessage(s.ctx, who, c.ID, message, false, ""); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("messages that wait: %v", err)
	}
	if _, err := s.calls.Mute(s.ctx, who, c.ID, id.ID{}, ""); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("commands: %v", err)
	}
	if after := s.facts(c); after != before {
		t.Errorf("%d facts became %d", before, after)
	}
	if _, err := s.calls.HangUp(s.ctx, who, c.ID); err != nil {
		t.Errorf("it can be ended all the same: %v", err)
	}
}

func TestCommandsDoNotUseUpTheNotes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.withTwilio()
	c := s.out(false)
	s.fill(c, "mutes", 600, `{"command":"MUTE"}`)
	if _, err := s.calls.Update(s.ctx, s.able(s.ann), c.ID, call.UpdateInput{Notes: patch.To("Busy hands.")}); err != nil {
		t.Error(err)
	}
}

// R093, R101: a call between colleagues has names for its ends; whoever is added is shown a number.
func TestWhoIsAddedToACallBetweenColleaguesIsShownANumber(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f, r := s.withTwilio()
	s.grant()
	s.appCalls(1, s.annDev, map[string]string{"userId": s.bob.String()})
	c, legs := s.only()
	s.clock.Advance(6 * time.Second)
	s.leg(c, legOf(legs, s.bobDev), 12, "in-progress", 5, 1)
	if _, err := s.calls.Add(s.ctx, s.able(s.ann), c.ID, call.PartyInput{To: theirs}, ""); err != nil {
		t.Fatal(err)
	}
	s.drain(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.calls) != 1 || f.calls[0]["from"] != ours || f.calls[0]["to"] != theirs {
		t.Errorf("asked for %v", f.calls)
	}
}

// R100: whoever is in the call already is not rung for it with their branch.
func TestABranchIsRungWithoutThoseInTheCall(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.withTwilio()
	c, _ := s.answered(1, theirs)
	who := s.able(s.ann)
	if _, err := s.calls.Add(s.ctx, who, c.ID, call.PartyInput{UserID: s.bob}, ""); err != nil {
		t.Fatal(err)
	}
	_, legs := s.only()
	s.clock.Advance(time.Second)
	for _, l := range legs {
		if l.Purpose == call.ForAdded {
			s.join(c.ID, l.ID, 30, "")
		}
	}
	if _, err := s.calls.Transfer(s.ctx, who, c.ID, call.TransferInput{PartyInput: call.PartyInput{BranchID: s.branch}}, ""); !errs.IsCode(err, errs.Conflict) {
		t.Errorf("the branch is those two: %v", err)
	}
}

// Every leg costs: neither transfers nor monitors are rung without end for one call.
func TestNoCallRingsWithoutEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.withTwilio()
	c, _ := s.answered(1, theirs)
	rung, err := json.Marshal(map[string]any{"command": call.CommandAdd,
		"order": call.Order{Targets: []route.Target{{LegID: id.New(id.Leg), Kind: route.Guest, Address: "+61400123123"}}}})
	if err != nil {
		t.Fatal(err)
	}
	s.fill(c, "adds", 100, string(rung))
	who := s.able(s.ann)
	if _, err := s.calls.Transfer(s.ctx, who, c.ID, call.TransferInput{PartyInput: call.PartyInput{UserID: s.bob}}, ""); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("a transfer: %v", err)
	}
	if _, err := s.calls.Add(s.ctx, who, c.ID, call.PartyInput{UserID: s.bob}, ""); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("a party: %v", err)
	}
	boss := s.boss()
	boss.UserID = s.bob
	if _, err := s.calls.Monitor(s.ctx, boss, c.ID, call.MonitorInput{Mode: call.Listen}, ""); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("a monitor: %v", err)
	}
}
