package message_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

// sender may also write to many.
func (s *stage) sender() access.Actor {
	who := s.admin
	who.Permissions = access.SetOf(append(who.Permissions.List(), access.SMSBulk)...)
	return who
}

func mobiles(n int) (list []message.Recipient) {
	for i := range n {
		list = append(list, message.Recipient{To: fmt.Sprintf("+614915%05d", 70200+i)})
	}
	return list
}

func (s *stage) bulk(list []message.Recipient, rate int) *message.Bulk {
	s.Helper()
	b, err := s.svc.CreateBulk(s.ctx, s.sender(), message.NewBulk{Name: "All", Draft: message.Draft{Body: "Hello", Recipients: list}, RatePerSecond: &rate})
	s.must(err)
	return b
}

func (s *stage) look(b *message.Bulk) (*message.Bulk, message.BulkCounts) {
	s.Helper()
	got, err := s.svc.Bulk(s.ctx, s.sender(), b.ID)
	s.must(err)
	counts, err := s.svc.CountsByBulks(access.With(s.ctx, s.admin), []id.ID{b.ID})
	s.must(err)
	return got, *counts[b.ID]
}

// reached are how often Twilio took a message to each.
func (s *stage) reached() map[string]int {
	out := map[string]int{}
	for _, m := range s.twilio.Messages() {
		if m.Direction == "outbound-api" {
			out[m.To]++
		}
	}
	return out
}

var errDied = errors.New("the process died here")

// A process that dies anywhere leaves nobody with two messages: who was claimed and
// not handed over fails aloud, all others get theirs.
func TestABulkMessageWhoseProcessDiesReachesNobodyTwice(t *testing.T) {
	t.Parallel()
	const all = 260 // more than a batch
	for why, c := range map[string]struct {
		where string
		nth   int
		lost  bool // what was claimed is never handed over
	}{
		"after the claim":            {"claimed", 1, true},
		"before the answers":         {"posted", 1, false},
		"after a later claim":        {"claimed", 2, true},
		"before the answers of that": {"posted", 2, false},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			var mu sync.Mutex
			n := 0
			s.svc.DieAt(func(where string) error {
				mu.Lock()
				defer mu.Unlock()
				if where == c.where {
					if n++; n == c.nth {
						return errDied
					}
				}
				return nil
			})
			b := s.bulk(mobiles(all), 1000)
			s.drain()
			s.pass(2*time.Minute, 5*time.Second)
			got, counts := s.look(b)
			if got.Status != message.BulkDone || counts.Waiting+counts.Unknown+counts.Queued > 0 || counts.Failed+counts.Delivered != all {
				t.Fatalf("it ends as %s with %+v", got.Status, counts)
			}
			if c.lost != (counts.Failed > 0) {
				t.Errorf("%d failed", counts.Failed)
			}
			reached := s.reached()
			if len(reached) != counts.Delivered {
				t.Errorf("%d were reached, %d are told of", len(reached), counts.Delivered)
			}
			for to, n := range reached {
				if n != 1 {
					t.Errorf("%s got %d", to, n)
				}
			}
		})
	}
}

// Whatever Twilio answers to single messages, each gets one or fails aloud, and the
// bulk message comes to its end.
func TestABulkMessageBearsEveryAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{timeout: 300 * time.Millisecond})
	fates := []string{emulator.FateOK, emulator.Fate429, emulator.Fate500, emulator.FateHTML, emulator.FateReset, emulator.LostReset, emulator.Lost500, emulator.LostHang,
		emulator.LostCut, emulator.FateHang, emulator.FateJunk}
	for _, f := range fates {
		s.twilio.PlanMessages(emulator.MessageStep{Fate: f}, emulator.MessageStep{Fate: f})
	}
	s.twilio.PlanMessages(emulator.MessageStep{Code: 21610}, emulator.MessageStep{Code: 21614})
	const all = 40
	b := s.bulk(mobiles(all), 1000)
	s.drain()
	s.pass(2*time.Minute, 2*time.Second)
	got, counts := s.look(b)
	if got.Status != message.BulkDone || counts.Waiting+counts.Unknown+counts.Queued > 0 || counts.Failed+counts.Delivered != all || counts.Delivered < all-12 {
		t.Fatalf("it ends as %s with %+v", got.Status, counts)
	}
	for to, n := range s.reached() {
		if n != 1 {
			t.Errorf("%s got %d", to, n)
		}
	}
	if n := s.count(`SELECT count(*) AS n FROM opt_out WHERE is_opted_out`); n != 1 {
		t.Errorf("%d opt-outs were learned, want 1", n)
	}
}

// A conversation keeps its order: who waits for an answer about another message gets
// this one after it.
func TestABulkMessageWaitsItsTurnInAConversation(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.PlanMessages(emulator.MessageStep{Fate: emulator.Fate429, RetryAfter: 8 * time.Second})
	first := s.send(s.admin, message.Send{To: mobiles(1)[0].To, Body: "First"})
	s.drain()
	s.bulk(mobiles(3), 1000)
	s.drain()
	s.pass(30*time.Second, 2*time.Second)
	if m := s.get(first); m.Status != message.Delivered {
		t.Fatalf("the first is %s", m.Status)
	}
	var order []string
	for _, m := range s.twilio.Messages() {
		if m.To == mobiles(1)[0].To {
			order = append(order, m.Body)
		}
	}
	if len(order) != 2 || order[0] != "First" || order[1] != "Hello" {
		t.Errorf("they got %q", order)
	}
}

// Who says STOP while it runs is left out from then on (R155).
func TestABulkMessageLeavesOutWhoSaysStopMeanwhile(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	b := s.bulk(mobiles(20), 10)
	s.drain()
	s.receive(mobiles(20)[15].To, office, "STOP")
	s.pass(5*time.Second, 500*time.Millisecond)
	got, counts := s.look(b)
	if got.Status != message.BulkDone || counts.Delivered != 19 || got.SkippedCount != 1 || s.reached()[mobiles(20)[15].To] != 0 {
		t.Errorf("it ends as %+v with %+v", got, counts)
	}
	rows, more, err := s.svc.BulkRecipients(access.With(s.ctx, s.sender()), got, message.RecipientFilter{Problem: message.OptedOutProblem}, db.Page{First: 1})
	if err != nil || more || len(rows) != 1 || rows[0].Position != 15 {
		t.Errorf("left out are %+v, %v", rows, err)
	}
}

// Two bulk messages from one sender share its rate, and each person gets both.
func TestBulkMessagesShareTheRateOfTheirSender(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.exec(`UPDATE phone_number SET messages_per_second = 5`)
	for range 2 {
		_, err := s.svc.CreateBulk(s.ctx, s.sender(), message.NewBulk{Name: "All", Draft: message.Draft{Body: "Hello", Recipients: mobiles(15)}})
		s.must(err)
	}
	s.drain()
	for second := 1; second <= 6; second++ {
		if n := len(s.sent()); n > 5*second {
			t.Errorf("%d were handed over in %d seconds", n, second)
		}
		s.pass(time.Second, 500*time.Millisecond)
	}
	s.pass(3*time.Second, 500*time.Millisecond)
	if n := len(s.sent()); n != 30 {
		t.Errorf("%d were handed over", n)
	}
}

// The same person may stand in two bulk messages, but never twice in one.
func TestARecipientStandsInABulkMessageOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	b := s.bulk(mobiles(2), 10)
	_, err := db.Exec(s.ctx, s.db.Worker(), `UPDATE bulk_recipient SET e164 = $1 WHERE bulk_id = $2`, mobiles(1)[0].To, b.ID)
	if err == nil {
		t.Error("one number stands in it twice")
	}
	if _, err := s.svc.CreateBulk(s.ctx, s.admin, message.NewBulk{Name: "x"}); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without the permission: %v", err)
	}
}
