package message_test

import (
	"context"
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
	"switchboard/internal/twilio"
)

func (s *stage) threads(who access.Actor, f message.Filter) []*message.Thread {
	s.Helper()
	w, err := s.svc.Threads(s.ctx, who, f, db.Page{First: db.MaxFirst})
	s.must(err)
	return w.Nodes
}

func TestATextFromOutsideIsAnsweredInItsThread(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	bob := s.contact("Bob", mobile)
	_, err := s.twilio.SendText(mobile, office, "are you open today?")
	s.must(err)
	s.must(s.twilio.WaitIdle(s.ctx))

	list := s.threads(s.bea, message.Filter{})
	if len(list) != 1 {
		t.Fatalf("%d threads", len(list))
	}
	th := list[0]
	if th.TheirNumber != mobile || th.PhoneNumberID != s.office || th.BranchID != s.north || th.ContactID != bob.ID || !th.IsOpen || th.Version != 2 {
		t.Errorf("the thread is %+v", th)
	}
	in, err := s.svc.Get(s.ctx, s.bea, th.LastMessageID)
	s.must(err)
	if in.Body != "are you open today?" || in.Direction != message.Inbound || in.Status != message.Received || in.ContactID != bob.ID || in.Sender() != nil || *in.NumSegments != 1 {
		t.Errorf("the message is %+v", in)
	}
	if n := s.count(`SELECT count(*) AS n FROM event WHERE kind = 'MESSAGE_RECEIVED' AND subject = $1`, in.ID); n != 1 {
		t.Errorf("%d events", n)
	}

	s.clock.Advance(time.Minute)
	out := s.send(s.bea, message.Send{ThreadID: th.ID, Body: "until six"})
	s.drain()
	s.must(s.twilio.Advance(s.ctx, 2*time.Second))
	if out = s.get(out); out.ThreadID != th.ID || out.FromNumber != office || out.Status != message.Delivered || out.ContactID != bob.ID {
		t.Errorf("the answer is %+v", out)
	}
	w, err := s.svc.Messages(access.With(s.ctx, s.bea), th, db.Page{})
	s.must(err)
	if len(w.Nodes) != 2 || w.Nodes[0].ID != out.ID || w.Nodes[1].ID != in.ID {
		t.Errorf("the thread holds %d messages", len(w.Nodes))
	}
	th, err = s.svc.Thread(s.ctx, s.bea, th.ID)
	s.must(err)
	if th.LastMessageID != out.ID || !th.LastMessageAt.Equal(out.At) {
		t.Errorf("the last message is %s at %v", th.LastMessageID, th.LastMessageAt)
	}
}

func TestOnePairHasOneThread(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	const pairs = 20
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range pairs {
		for k := range 3 { // two come in and one goes out, all of them the first
			wg.Go(func() {
				<-start
				their := fmt.Sprintf("+614915702%02d", i)
				var err error
				if k < 2 {
					err = s.in(s.org, func(ctx context.Context, tx *db.Tx) error {
						_, err := s.svc.Receive(ctx, tx, s.connection, text(their, office, fmt.Sprint("first ", k)))
						return err
					})
				} else {
					_, err = s.svc.Send(s.ctx, s.admin, message.Send{To: their, Body: "hello"})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	close(start)
	wg.Wait()
	list := s.threads(s.admin, message.Filter{})
	if len(list) != pairs {
		t.Errorf("%d threads for %d pairs", len(list), pairs)
	}
	for _, th := range list {
		w, err := s.svc.Messages(access.With(s.ctx, s.admin), th, db.Page{})
		s.must(err)
		if len(w.Nodes) != 3 || th.LastMessageID.IsZero() {
			t.Errorf("%d messages in one thread", len(w.Nodes))
		}
	}
}

func TestARepeatedPostIsOneMessage(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	f := text(mobile, office, "STOP")
	f.Media = []twilio.MediaRef{{URL: "https://api.twilio.com/x", ContentType: "image/png"}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	fresh := 0
	for range 10 {
		wg.Go(func() {
			err := s.in(s.org, func(ctx context.Context, tx *db.Tx) error {
				m, err := s.svc.Receive(ctx, tx, s.connection, f)
				if m != nil {
					mu.Lock()
					fresh++
					mu.Unlock()
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for what, sql := range map[string]string{
		"message": `SELECT count(*) AS n FROM message`, "file": `SELECT count(*) AS n FROM message_media`,
		"event": `SELECT count(*) AS n FROM event WHERE kind = 'MESSAGE_RECEIVED'`, "contact": `SELECT count(*) AS n FROM contact`,
		"job": `SELECT count(*) AS n FROM system.river_job`, "opt-out": `SELECT count(*) AS n FROM opt_out`, "thread": `SELECT count(*) AS n FROM sms_thread WHERE version = 2`,
	} {
		if n := s.count(sql); n != 1 {
			t.Errorf("%d of %s", n, what)
		}
	}
	if fresh != 1 {
		t.Errorf("%d of them were fresh", fresh)
	}
	was := s.threads(s.admin, message.Filter{})[0]
	s.clock.Advance(time.Hour)
	s.must(s.in(s.org, func(ctx context.Context, tx *db.Tx) error {
		_, err := s.svc.Receive(ctx, tx, s.connection, f)
		return err
	}))
	if now := s.threads(s.admin, message.Filter{})[0]; now.Version != was.Version || !now.UpdatedAt.Equal(was.UpdatedAt) {
		t.Error("an hour later it changes the thread")
	}
}

func TestADisabledNumberStoresAndTellsNobody(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"number":     `UPDATE phone_number SET is_enabled = false WHERE id = $1`,
		"connection": `UPDATE twilio_connection SET is_enabled = false WHERE id = (SELECT connection_id FROM phone_number WHERE id = $1)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.exec(sql, s.office)
			_, err := s.twilio.SendText(mobile, office, "hello", emulator.Media{ContentType: "image/png", Data: png})
			s.must(err)
			s.must(s.twilio.WaitIdle(s.ctx))
			s.drain()
			if n := s.count(`SELECT count(*) AS n FROM message`); n != 1 {
				t.Errorf("D26: %d messages are stored", n)
			}
			if n := s.count(`SELECT count(*) AS n FROM message_media WHERE state = 'STORED'`); n != 1 {
				t.Errorf("%d files are stored", n)
			}
			if n := s.count(`SELECT count(*) AS n FROM event`); n != 0 {
				t.Errorf("D26: %d events tell of it", n)
			}
		})
	}
}

func TestANumberThatIsNotOursLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	if m := s.receive(mobile, "+61255509999", "hello"); m != nil {
		t.Errorf("kept %+v", m)
	}
	if n := s.count(`SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM sms_thread) + (SELECT count(*) FROM event) AS n`); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestWhoWritesIsMatchedByNumberOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob", mobile)
	for name, c := range map[string]struct {
		why, from string
		want      id.ID
	}{
		"known":      {"", mobile, bob.ID},
		"anonymous":  {"D11", "anonymous", id.ID{}},
		"restricted": {"D11: Twilio's number for it", "+266696687", id.ID{}},
		"short code": {"", "12345", id.ID{}},
		"a name":     {"R151", "Acme", id.ID{}},
	} {
		t.Run(name, func(t *testing.T) {
			m := s.receive(c.from, office, "hello")
			if m == nil || m.ContactID != c.want || m.FromNumber != c.from {
				t.Errorf("%s: got %+v", c.why, m)
			}
		})
	}
	if n := s.count(`SELECT count(*) AS n FROM contact`); n != 1 {
		t.Errorf("there are %d contacts, want Bob alone", n)
	}
	// The thread keeps its contact.
	s.exec(`DELETE FROM contact_phone WHERE contact_id = $1`, bob.ID)
	if m := s.receive(mobile, office, "and again"); m.ContactID != bob.ID {
		t.Errorf("the second message has contact %s", m.ContactID)
	}
}

func TestAThreadFollowsItsNumberToAnotherBranch(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	s.receive(mobile, usa, "hello")
	if n := len(s.threads(s.bea, message.Filter{})); n != 0 {
		t.Fatalf("R276: the other branch sees %d threads", n)
	}
	s.exec(`UPDATE phone_number SET branch_id = $2 WHERE id = $1`, s.usa, s.north)
	s.receive(mobile, usa, "hello again")
	if n := len(s.threads(s.bea, message.Filter{})); n != 1 {
		t.Errorf("R276: the number's branch sees %d threads", n)
	}
}

func TestKeywordsOptOutAndIn(t *testing.T) {
	t.Parallel()
	for body, c := range map[string]struct {
		why, says string
		want      message.Keyword
	}{
		"STOP": {"", "", message.Stop}, "stop": {"any case", "", message.Stop}, " StopAll\n": {"spaces around", "", message.Stop},
		"UNSUBSCRIBE": {"", "", message.Stop}, "cancel": {"", "", message.Stop}, "End": {"", "", message.Stop}, "quit": {"", "", message.Stop},
		"revoke": {"since April 2025", "", message.Stop}, "OPTOUT": {"since April 2025", "", message.Stop},
		"START": {"", "", message.Start}, "yes": {"", "", message.Start}, "Unstop": {"", "", message.Start},
		"HELP": {"", "", message.Help}, "info": {"", "", message.Help},
		"stop it":      {"the word alone", "", message.NoKeyword},
		"please STOP":  {"the word alone", "", message.NoKeyword},
		"STOP.":        {"the word alone", "", message.NoKeyword},
		"":             {"a picture without text", "", message.NoKeyword},
		"ARRET":        {"Advanced Opt-Out has words of its own", "STOP", message.Stop},
		"stop ":        {"what Twilio says counts more", "HELP", message.Help},
		"demarrer":     {"", "START", message.Start},
		"hello":        {"an unknown type says nothing", "MAYBE", message.NoKeyword},
		"unsubscribe!": {"", "", message.NoKeyword},
	} {
		if got := message.KeywordOf(body, c.says); got != c.want {
			t.Errorf("%q with %q: %q, want %q (%s)", body, c.says, got, c.want, c.why)
		}
	}
}

func TestWhoOptedOutGetsNothingUntilStart(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	text := func(body string) {
		t.Helper()
		_, err := s.twilio.SendText(mobile, office, body)
		s.must(err)
		s.must(s.twilio.WaitIdle(s.ctx))
		s.clock.Advance(time.Second)
	}
	text("hello")
	th := s.threads(s.admin, message.Filter{})[0]
	optedOut := func() bool {
		t.Helper()
		m, err := s.svc.OptedOut(access.With(s.ctx, s.admin), []id.ID{th.ID})
		s.must(err)
		return m[th.ID]
	}
	for _, step := range []struct {
		body string
		want bool
	}{{"HELP", false}, {" Stop ", true}, {"hello?", true}, {"help", true}, {"START", false}, {"STOP", true}, {"unstop", false}} {
		text(step.body)
		if got := optedOut(); got != step.want || got != s.twilio.OptedOut(office, mobile) {
			t.Errorf("after %q opted out is %v", step.body, got)
		}
		for _, in := range []message.Send{{To: mobile, Body: "news"}, {ThreadID: th.ID, Body: "news"}} {
			_, err := s.svc.Send(s.ctx, s.admin, in)
			if errs.IsCode(err, errs.OptedOut) != step.want {
				t.Errorf("after %q sending gives %v", step.body, err)
			}
		}
		// R155: it is about this pair.
		if _, err := s.svc.Send(s.ctx, s.admin, message.Send{To: other, Body: "news"}); err != nil {
			t.Errorf("another recipient: %v", err)
		}
		s.drain()
	}
	for _, m := range s.twilio.Messages() {
		if m.ErrorCode != 0 {
			t.Errorf("Twilio had to refuse %q", m.Body)
		}
	}
}

func TestAnOptOutWhileAMessageWaitsStopsIt(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	m := s.send(s.admin, message.Send{To: mobile, Body: "news"})
	s.receive(mobile, office, "STOP")
	s.must(s.jobs.Start(s.ctx))
	s.drain()
	if got := s.get(m); got.Status != message.Failed || got.ErrorReason == nil || len(s.sent()) != 0 {
		t.Errorf("it is %s because %s", got.Status, deref(got.ErrorReason))
	}
}

func TestAnOptOutThatOnlyTwilioKnewIsRemembered(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: emulator.FateRefuse, Code: 21610})
	m := s.send(s.admin, message.Send{To: mobile, Body: "news"})
	s.drain()
	if got := s.get(m); got.Status != message.Failed || *got.ErrorCode != 21610 || got.ErrorReason == nil {
		t.Errorf("T13: it is %s, %v, %s", got.Status, got.ErrorCode, deref(got.ErrorReason))
	}
	_, err := s.svc.Send(s.ctx, s.admin, message.Send{To: mobile, Body: "more news"})
	s.wants(err, errs.OptedOut, "input.to")
	if n := s.count(`SELECT count(*) AS n FROM opt_out WHERE source = 'PROVIDER' AND is_opted_out`); n != 1 {
		t.Errorf("%d opt-outs", n)
	}
	s.clock.Advance(time.Minute)
	s.receive(mobile, office, "START")
	s.send(s.admin, message.Send{To: mobile, Body: "welcome back"})

	// Twilio's older word, heard late, does not undo a newer START.
	s.exec(`UPDATE message SET status = 'UNKNOWN', tried_at = $2, error_code = NULL, error_reason = NULL WHERE id = $1`, m.ID, start)
	s.apply(m.ID, twilio.MessageStatusForm{MessageSID: newSID(), Status: "failed", ErrorCode: 21610})
	s.send(s.admin, message.Send{To: mobile, Body: "and again"})
}

func TestATextFromOutsideIsKeptWhateverItHolds(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	for body, want := range map[string]string{"a\x00b": "ab", "": "", "'; DROP TABLE message; --": "'; DROP TABLE message; --", "👍🏽 ünï": "👍🏽 ünï"} {
		if m := s.receive(mobile, office, body); s.get(m).Body != want {
			t.Errorf("%q is kept as %q", body, s.get(m).Body)
		}
	}
}
