package call_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

func (s *stage) leg(c *call.Call, l *call.Leg, n int, word string, at, seq int, long ...int) {
	s.t.Helper()
	f := twilio.LegForm{AccountSID: sid("AC", 1), CallSID: sid("CA", n), ParentCallSID: *c.TwilioSID, Status: word, At: s.sec(at), Sequence: &seq}
	if len(long) > 0 {
		f.DurationSeconds = &long[0]
	}
	s.tx(func(ctx context.Context, tx *db.Tx) error { return s.calls.LegStatus(ctx, tx, c.ID, l.ID, f) })
}

func (s *stage) over(n int, word string, at, long int) {
	s.t.Helper()
	s.tx(func(ctx context.Context, tx *db.Tx) error {
		return s.calls.NumberStatus(ctx, tx, twilio.LegForm{AccountSID: sid("AC", 1), CallSID: sid("CA", n), Status: word, At: s.sec(at), DurationSeconds: &long})
	})
}

func (s *stage) afterDial(c *call.Call, step int, word, parent string, n, long int) twilio.Response {
	s.t.Helper()
	f := twilio.DialForm{CallForm: twilio.CallForm{CallSID: *c.TwilioSID, Status: parent}, DialStatus: word}
	if n > 0 {
		yes := true
		f.DialCallSID, f.DialDuration, f.Bridged = sid("CA", n), &long, &yes
	}
	var doc twilio.Response
	s.tx(func(ctx context.Context, tx *db.Tx) (err error) {
		doc, err = s.calls.AfterDial(ctx, tx, c.ID, step, f, hooks{})
		return err
	})
	return doc
}

func TestAnInboundCallRingsIsAnsweredAndEnds(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	doc := xml(t, s.arrives(1, theirs))
	for _, want := range []string{`<Dial action="https://us.test/twilio/conn/key/call/call_`, `timeout="20"`, `answerOnBridge="true"`, `<Identity>` + s.annDev.String() + `</Identity>`,
		`statusCallbackEvent="initiated ringing answered completed"`, `<Parameter name="call" value="call_`} {
		if !strings.Contains(doc, want) {
			t.Errorf("the answer lacks %s:\n%s", want, doc)
		}
	}
	c, legs := s.only()
	if c.Status != call.Ringing || len(legs) != 3 || c.BranchID != s.branch || c.PhoneNumberID != s.number || c.Version < 1 {
		t.Fatalf("%s with %d legs, version %d", c.Status, len(legs), c.Version)
	}
	ann, bob := legOf(legs, s.annDev), legOf(legs, s.bobDev)
	s.leg(c, ann, 11, "initiated", 0, 0)
	s.leg(c, ann, 11, "ringing", 1, 1)
	s.leg(c, bob, 12, "ringing", 1, 1)
	s.leg(c, bob, 12, "in-progress", 4, 2)
	s.leg(c, ann, 11, "canceled", 4, 2)
	c, legs = s.only()
	if c.Status != call.InProgress || c.AnsweredByID != s.bob || *c.RingSeconds != 4 {
		t.Fatalf("%s answered by %s after %v", c.Status, c.AnsweredByID, c.RingSeconds)
	}
	if l := legOf(legs, s.annDev); l.Outcome == nil || *l.Outcome != call.AnsweredElsewhere || l.AnsweredByID != s.bob {
		t.Fatalf("the other device learns %v by %s (R063)", l.Outcome, l.AnsweredByID)
	}
	s.clock.Advance(34 * time.Second)
	s.leg(c, bob, 12, "completed", 34, 3, 30)
	if doc := xml(t, s.afterDial(c, 1, "completed", "in-progress", 12, 30)); !strings.HasSuffix(doc, "<Response><Hangup/></Response>") {
		t.Errorf("after the bridge: %s", doc)
	}
	s.over(1, "completed", 34, 34)
	c, _ = s.only()
	if c.Status != call.Completed || *c.TalkSeconds != 30 || *c.DurationSeconds != 34 || *c.EndReason != route.HungUp {
		t.Fatalf("%s %s talk %d of %d", c.Status, *c.EndReason, *c.TalkSeconds, *c.DurationSeconds)
	}
	if got := s.events(c.ID); got != "CALL_STARTED CALL_UPDATED RING_STARTED RING_STARTED CALL_ANSWERED RING_ENDED RING_ENDED CALL_UPDATED CALL_UPDATED CALL_UPDATED CALL_ENDED" {
		t.Errorf("events: %s", got)
	}
}

// events are the kinds of a call's events in order.
func (s *stage) events(c id.ID) string {
	s.t.Helper()
	var kinds []string
	s.tx(func(ctx context.Context, tx *db.Tx) error {
		rows, err := tx.Pgx().Query(ctx, `SELECT kind FROM event WHERE organization_id = $1 AND subject = $2 ORDER BY log_id`, s.org, c)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k string
			if err := rows.Scan(&k); err != nil {
				return err
			}
			kinds = append(kinds, k)
		}
		return rows.Err()
	})
	return strings.Join(kinds, " ")
}
