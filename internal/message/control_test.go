package message_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/patch"
)

func TestAMessageForLaterGoesAtItsTime(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	later := start.Add(time.Hour)
	m := s.send(s.admin, message.Send{To: mobile, Body: "later", SendAt: &later})
	now := s.send(s.admin, message.Send{To: mobile, Body: "now"})
	if m.Status != message.Scheduled || !m.ScheduledAt.Equal(later) {
		t.Errorf("kept as %s for %v", m.Status, m.ScheduledAt)
	}
	s.pass(50*time.Minute, 10*time.Minute)
	if got := s.sent(); len(got) != 1 || got[0] != "now" || s.get(now).Status != message.Delivered {
		t.Errorf("it holds up the thread: %q", got)
	}
	s.pass(11*time.Minute, 30*time.Second)
	got := s.get(m)
	if got.Status != message.Delivered || got.At.Before(later) || len(s.sent()) != 2 {
		t.Errorf("%s at %v, Twilio got %q", got.Status, got.At, s.sent())
	}
	for name, c := range map[string]time.Time{"too soon": s.clock.Now().Add(30 * time.Second), "past": start, "too far": s.clock.Now().Add(400 * 24 * time.Hour)} {
		_, err := s.svc.Send(s.ctx, s.admin, message.Send{To: mobile, Body: name, SendAt: &c})
		s.wants(err, errs.Invalid, "input.sendAt")
	}
}

func TestWhatChangedMeanwhileStopsAMessageForLater(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why    string
		change func(s *stage)
		words  string
	}{
		"opted out":       {"R155", func(s *stage) { s.receive(mobile, office, "STOP") }, "asked for no messages"},
		"sender disabled": {"R013", func(s *stage) { s.exec(`UPDATE phone_number SET is_enabled = false WHERE id = $1`, s.office) }, "disabled"},
		"restricted": {"R242: a booking was made since", func(s *stage) {
			s.exec(`UPDATE "user" SET is_fieldworker = true, fieldworker_switched = '{RESTRICT_BEFORE_START}' WHERE id = $1`, s.owen.UserID)
		}, "before their booking begins"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			bob := s.contact("Bob", mobile)
			s.exec(`UPDATE contact SET assigned_user_id = $2 WHERE id = $1`, bob.ID, s.owen.UserID)
			s.record(contact.RecordBooking, bob.ID, contact.RecordUpdate{AssignedUserID: patch.To(s.owen.UserID), StartsAt: patch.To(start.Add(48 * time.Hour))})
			later := start.Add(5 * time.Minute)
			m := s.send(s.owen, message.Send{ContactID: bob.ID, Body: "later", SendAt: &later})
			c.change(s)
			s.pass(6*time.Minute, 30*time.Second)
			if got := s.get(m); got.Status != message.Failed || got.ErrorReason == nil || !strings.Contains(*got.ErrorReason, c.words) || len(s.sent()) != 0 || got.DueAt != nil {
				t.Errorf("%s: %s because %s, Twilio got %q", c.why, got.Status, deref(got.ErrorReason), s.sent())
			}
		})
	}
}

func TestAMessageIsTakenBackUntilItIsHandedOver(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	later := start.Add(time.Hour)
	one := s.send(s.admin, message.Send{To: mobile, Body: "later", SendAt: &later})
	two := s.send(s.admin, message.Send{To: mobile, Body: "waiting"})
	three := s.send(s.admin, message.Send{To: mobile, Body: "goes"})
	for _, m := range []*message.Message{one, two, two} { // again succeeds
		got, err := s.svc.Cancel(s.ctx, s.admin, m.ID)
		s.must(err)
		if got.Status != message.Canceled || got.DueAt != nil || got.Text() == "" {
			t.Errorf("%+v", got)
		}
	}
	s.must(s.jobs.Start(s.ctx))
	s.settle()
	s.pass(2*time.Hour, 30*time.Minute)
	if got := s.sent(); len(got) != 1 || got[0] != "goes" {
		t.Errorf("Twilio got %q", got)
	}
	_, err := s.svc.Cancel(s.ctx, s.admin, three.ID)
	s.wants(err, errs.Conflict, "")
	if e, _ := errs.As(err); !strings.Contains(e.Message, "DELIVERED") {
		t.Error(err)
	}
	_, err = s.svc.Cancel(s.ctx, s.owen, three.ID)
	s.wants(err, errs.NotFound, "")
}

func TestTakingBackRacesWithSending(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	var wg sync.WaitGroup
	canceled := make([]*message.Message, 20)
	for i := range canceled {
		m := s.send(s.admin, message.Send{To: mobile, Body: "text " + string(rune('a'+i))})
		wg.Go(func() {
			got, err := s.svc.Cancel(s.ctx, s.admin, m.ID)
			if err == nil {
				canceled[i] = got
			} else if !errs.IsCode(err, errs.Conflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.settle()
	sent := map[string]bool{}
	for _, b := range s.sent() {
		sent[b] = true
	}
	n := 0
	for i, m := range canceled {
		if m != nil {
			n++
		}
		if body := "text " + string(rune('a'+i)); sent[body] == (m != nil) {
			t.Errorf("%q: taken back %v, sent %v", body, m != nil, sent[body])
		}
	}
	t.Logf("%d taken back", n)
}

func TestARetryIsOneNewMessage(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: emulator.FateReset})
	bob := s.contact("Bob {{business.name}}", mobile)
	old := s.send(s.admin, message.Send{ContactID: bob.ID, Body: "hi {{contact.name}}", MediaIDs: []id.ID{s.upload(s.admin, jpeg, 0)}})
	s.drain()
	_, err := s.svc.Retry(s.ctx, s.admin, old.ID)
	s.wants(err, errs.Conflict, "") // UNKNOWN may have arrived
	s.settle()
	if got := s.get(old); got.Status != message.Failed || !got.Retryable() {
		t.Fatalf("%s, %v", got.Status, got.Retryable())
	}
	var wg sync.WaitGroup
	made := make([]id.ID, 8)
	for i := range made {
		wg.Go(func() {
			m, err := s.svc.Retry(s.ctx, s.admin, old.ID)
			if err != nil {
				t.Error(err)
				return
			}
			made[i] = m.ID
			if m.RetryOfID != old.ID || m.Body != "hi Bob {{business.name}}" || m.MediaCount != 1 {
				t.Errorf("%+v", m)
			}
		})
	}
	wg.Wait()
	for _, x := range made {
		if x != made[0] {
			t.Errorf("it was sent again twice: %v", made)
		}
	}
	s.settle()
	if got := s.get(&message.Message{ID: made[0]}); len(s.sent()) != 1 || got.Status != message.Delivered {
		t.Errorf("Twilio got %q; it is %s because %s", s.sent(), got.Status, deref(got.ErrorReason))
	}
}

func TestOnlySomeFailuresAreSentAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	for name, c := range map[string]struct {
		why    string
		status message.Status
		code   int
		reason string
		want   bool
	}{
		"phone away":       {"some hours later it may be on", message.Undelivered, 30003, "", true},
		"no reason":        {"once more", message.Undelivered, 30008, "", true},
		"queue full":       {"", message.Failed, 30001, "", true},
		"never taken":      {"ours to say", message.Failed, 0, "Twilio never took it; it is safe to send it again", true},
		"may have arrived": {"the carrier did not confirm", message.Undelivered, 30410, "", false},
		"opted out":        {"R155", message.Failed, 21610, "", false},
		"opted out here":   {"R155", message.Failed, 0, "the recipient asked for no messages from " + office, false},
		"no such number":   {"", message.Undelivered, 30005, "", false},
		"filtered":         {"again makes it worse", message.Undelivered, 30007, "", false},
		"landline":         {"", message.Failed, 21614, "", false},
		"unknown":          {"may have arrived", message.Unknown, 0, "", false},
		"delivered":        {"", message.Delivered, 0, "", false},
		"canceled":         {"somebody took it back", message.Canceled, 0, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := s.send(s.admin, message.Send{To: mobile, Body: name})
			s.exec(`UPDATE message SET status = $2, error_code = nullif($3, 0), error_reason = nullif($4, ''), tried_at = $5, due_at = NULL WHERE id = $1`,
				m.ID, c.status, c.code, c.reason, start)
			m = s.get(m)
			_, err := s.svc.Retry(s.ctx, s.admin, m.ID)
			if m.Retryable() != c.want || (err == nil) != c.want || err != nil && !errs.IsCode(err, errs.Conflict) {
				t.Errorf("%s: %v, %v", c.why, m.Retryable(), err)
			}
			if text := m.Text(); text == "" || strings.Contains(text, "!") || !strings.HasSuffix(text, ".") {
				t.Errorf("it says %q", text)
			}
		})
	}
}

func TestATestMessageNamesItsNumberAndWhy(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	boss := s.admin
	boss.Permissions = access.SetOf(access.NumberManage, access.SMSView)
	m, _, err := s.svc.TestMessage(s.ctx, boss, id.ID{}, mobile, "k1")
	s.must(err)
	again, _, err := s.svc.TestMessage(s.ctx, boss, id.ID{}, mobile, "k1")
	s.must(err)
	if again.ID != m.ID || !strings.Contains(m.Body, office) || !strings.Contains(m.Body, "number of this country") || !strings.Contains(m.Body, "Acme") {
		t.Errorf("R085: %q", m.Body)
	}
	s.settle()
	if len(s.sent()) != 1 {
		t.Errorf("Twilio got %q", s.sent())
	}
	s.receive(other, office, "STOP")
	_, problems, err := s.svc.TestMessage(s.ctx, boss, s.office, other, "")
	s.wants(err, errs.OptedOut, "input.to")
	if len(problems) != 1 || problems[0].Code != message.OptedOutProblem {
		t.Errorf("%+v", problems)
	}
	if _, _, err = s.svc.TestMessage(s.ctx, boss, s.office, "", ""); !errs.IsCode(err, errs.Invalid) {
		t.Errorf("to nobody: %v", err)
	}
	_, _, err = s.svc.TestMessage(s.ctx, s.admin, id.ID{}, mobile, "")
	s.wants(err, errs.Forbidden, "")
}

func TestASenderNameIsShownAndLookedFor(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.exec(`UPDATE phone_number SET sender_name = 'Acme' WHERE id = $1`, s.office)
	s.must(s.twilio.AllowAlpha(accountSID, "Acme"))
	s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: emulator.LostReset})
	s.twilio.Hold(true)
	m := s.send(s.admin, message.Send{To: "+491701234567", PhoneNumberID: s.office, Body: "hello", UseSenderName: true})
	if deref(m.SenderName) != "Acme" || m.FromNumber != office || len(m.Warnings) == 0 {
		t.Errorf("kept as %+v", m)
	}
	s.drain()
	s.settle()
	s.pass(10*time.Minute, time.Minute)
	got := s.get(m)
	if all := s.twilio.Messages(); len(all) != 1 || all[0].From != "Acme" || got.TwilioSID == nil || *got.TwilioSID != all[0].SID {
		t.Errorf("%s, Twilio has %+v", got.Status, all)
	}
}

func TestPricesAreLearnedAndLostNewsIsMended(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.Hold(true) // no callback
	m := s.send(s.admin, message.Send{To: mobile, Body: strings.Repeat("long ", 60)})
	s.drain()
	s.exec(`UPDATE message SET due_at = NULL`) // and nobody asks
	s.pass(9*time.Minute, 3*time.Minute)
	if got := s.get(m); got.Status != message.Queued || got.Cost() != nil || got.EstimatedCost() == nil {
		t.Fatalf("%s costs %v", got.Status, got.Cost())
	}
	s.pass(30*time.Minute, 5*time.Minute)
	got := s.get(m)
	if got.Status != message.Delivered || got.Cost() == nil {
		t.Fatalf("%s costs %v", got.Status, got.Cost())
	}
	p, err := s.svc.Preview(s.ctx, s.admin, message.Draft{Recipients: []message.Recipient{{To: other}}, Body: "one part"})
	s.must(err)
	if want := got.Cost().Micros / int64(*got.NumSegments); p.All[0].EstimatedCost.Micros != want {
		t.Errorf("R174: a part cost %d, the next is thought to cost %v", want, p.All[0].EstimatedCost)
	}
	log, err := s.svc.TwilioLog(s.ctx, s.admin, m.ID)
	s.must(err)
	if log == nil || log.SID != *got.TwilioSID || len(log.Differences) != 0 || log.Cost == nil {
		t.Errorf("%+v", log)
	}
	s.exec(`UPDATE message SET status = 'QUEUED', num_segments = 9 WHERE id = $1`, m.ID)
	log, err = s.svc.TwilioLog(s.ctx, s.admin, m.ID)
	s.must(err)
	if len(log.Differences) != 2 {
		t.Errorf("R220: %q", log.Differences)
	}
	if s.get(m).Status != message.Queued {
		t.Error("a question changed it")
	}
	in := s.receive(mobile, office, "hi")
	if log, err := s.svc.TwilioLog(s.ctx, s.admin, in.ID); err != nil || log != nil {
		t.Errorf("Twilio has none: %+v, %v", log, err)
	}
}

func TestNothingIsSentTwiceUnderTheFaultPlan(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{timeout: 300 * time.Millisecond})
	fates := []string{emulator.FateOK, emulator.Fate429, emulator.Fate500, emulator.FateHTML, emulator.FateReset, emulator.LostReset, emulator.Lost500, emulator.LostHang,
		emulator.LostCut, emulator.FateHang, emulator.FateJunk}
	took := map[string]bool{emulator.FateOK: true, emulator.Fate429: true, emulator.LostReset: true, emulator.Lost500: true, emulator.LostHang: true, emulator.LostCut: true}
	all := map[string]*message.Message{}
	for i, fate := range fates {
		s.twilio.PlanMessages(emulator.MessageStep{Fate: fate, RetryAfter: 2 * time.Second})
		all[fate] = s.send(s.admin, message.Send{To: "+6149157010" + string(rune('0'+i%10)), Body: "fate " + fate})
		s.drain()
	}
	s.settle()
	sent := map[string]int{}
	for _, b := range s.sent() {
		sent[b]++
	}
	for fate, m := range all {
		got := s.get(m)
		want := message.Failed
		if took[fate] {
			want = message.Delivered
		}
		if got.Status != want || sent["fate "+fate] > 1 || (sent["fate "+fate] == 1) != took[fate] {
			t.Errorf("%s: %s because %s, Twilio took %d", fate, got.Status, deref(got.ErrorReason), sent["fate "+fate])
		}
	}
}

func TestAMessageForLaterSurvivesARestart(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	later := start.Add(time.Hour)
	m := s.send(s.admin, message.Send{To: mobile, Body: "later", SendAt: &later})
	if n := s.count(`SELECT count(*) AS n FROM system.river_job`); n != 0 {
		t.Errorf("%d jobs hold it in memory", n)
	}
	// The process that took it is gone; another finds the row at its time.
	s.must(s.jobs.Start(s.ctx))
	s.pass(62*time.Minute, time.Minute)
	if got := s.get(m); got.Status != message.Delivered {
		t.Errorf("it is %s", got.Status)
	}
}
