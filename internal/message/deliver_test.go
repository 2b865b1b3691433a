package message_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"switchboard/internal/db"
	"switchboard/internal/emulator"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
	"switchboard/internal/twilio"
)

// settle lets a minute pass: by then every message has an end (reliability 9).
func (s *stage) settle() {
	s.Helper()
	s.pass(time.Minute, 4*time.Second)
	if n := s.count(`SELECT count(*) AS n FROM message WHERE status IN ('PENDING', 'UNKNOWN')`); n != 0 {
		s.Errorf("%d messages are open after a minute", n)
	}
}

func TestOneMessageIsNeverSentTwice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why   string
		fate  string
		times int
		first message.Status // right after the request
		last  message.Status
		sent  int
	}{
		"429":           {"never processed: tried again, not before Twilio wants it", emulator.Fate429, 4, message.Pending, message.Delivered, 1},
		"500":           {"may have been carried out: Twilio is asked, and has nothing", emulator.Fate500, 1, message.Unknown, message.Failed, 0},
		"HTML 503":      {"something in between: likewise", emulator.FateHTML, 1, message.Unknown, message.Failed, 0},
		"reset":         {"before Twilio did anything: likewise", emulator.FateReset, 1, message.Unknown, message.Failed, 0},
		"lost by reset": {"Twilio has it", emulator.LostReset, 1, message.Unknown, message.Delivered, 1},
		"lost by 500":   {"Twilio has it", emulator.Lost500, 1, message.Unknown, message.Delivered, 1},
		"lost by hang":  {"Twilio has it", emulator.LostHang, 1, message.Unknown, message.Delivered, 1},
	} {
		for _, callbacks := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, callbacks %v", name, callbacks), func(t *testing.T) {
				t.Parallel()
				o := options{}
				if c.fate == emulator.LostHang {
					o.timeout = 300 * time.Millisecond
				}
				s := newStage(t, o)
				s.twilio.Hold(!callbacks)
				s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: c.fate, Times: c.times})
				m := s.send(s.admin, message.Send{To: mobile, Body: "only once"})
				s.drain()
				if got := s.get(m); got.Status != c.first || got.ErrorReason != nil {
					t.Errorf("%s: first %s", c.why, got.Status)
				}
				s.settle()
				if !callbacks && c.last == message.Delivered {
					s.pass(10*time.Minute, time.Minute) // by asking alone
				}
				got := s.get(m)
				if got.Status != c.last || (got.ErrorReason != nil) != (c.last == message.Failed) || got.DueAt != nil {
					t.Errorf("%s: last %s because %s", c.why, got.Status, deref(got.ErrorReason))
				}
				if sent := s.sent(); len(sent) != c.sent {
					t.Errorf("%s: Twilio took %q", c.why, sent)
				}
			})
		}
	}
}

func TestAnAnswerThatSaysNothingIsNoAnswer(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"text": "OK", "JSON without a SID": `{"status":"queued"}`, "another shape": `["SM1"]`, "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.answerOnce(body)
			m := s.send(s.admin, message.Send{To: mobile, Body: "junk"})
			s.drain()
			if got := s.get(m); got.Status != message.Unknown {
				t.Errorf("it is %s", got.Status)
			}
			s.settle()
			if got := s.get(m); got.Status != message.Failed || len(s.sent()) != 0 {
				t.Errorf("it is %s, Twilio took %q", got.Status, s.sent())
			}
		})
	}
}

func TestChaosEndsWithinAMinute(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := newStage(t, options{timeout: 400 * time.Millisecond})
	s.twilio.SetChaos(emulator.Chaos{Seed: seed, TooMany: .15, ServerError: .1, HTML: .05, Reset: .05, Lost: .15, Reorder: .3, Duplicate: .3, Delay: .1, MaxDelay: 10 * time.Second})
	var all []*message.Message
	for i := range 60 { // five to each of twelve
		all = append(all, s.send(s.admin, message.Send{To: fmt.Sprintf("+614915701%02d", i%12), Body: fmt.Sprint("text ", i)}))
	}
	s.drain()
	s.pass(time.Minute, 4*time.Second)
	s.twilio.SetChaos(emulator.Chaos{})
	s.pass(10*time.Minute, 30*time.Second)

	took := map[string]string{} // text -> SID
	last := map[string]int{}    // recipient -> number of the last text
	for _, m := range s.twilio.Messages() {
		if took[m.Body] != "" {
			t.Errorf("%q was sent twice", m.Body)
		}
		took[m.Body] = m.SID
		var n int
		_, _ = fmt.Sscanf(m.Body, "text %d", &n)
		if n < last[m.To] {
			t.Errorf("%q came after a later one", m.Body)
		}
		last[m.To] = n
	}
	ends := map[message.Status]int{}
	for _, m := range all {
		got := s.get(m)
		ends[got.Status]++
		switch sid := took[got.Body]; {
		case sid != "" && (got.Status != message.Delivered || got.TwilioSID == nil || *got.TwilioSID != sid):
			t.Errorf("Twilio sent %q, and it is %s", got.Body, got.Status)
		case sid == "" && (got.Status != message.Failed || got.ErrorReason == nil):
			t.Errorf("Twilio never had %q, and it is %s", got.Body, got.Status)
		}
	}
	t.Logf("%v", ends)
}

func TestAConversationKeepsItsOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: emulator.Fate429, Times: 3})
	var want []string
	for i := range 6 {
		want = append(want, fmt.Sprint("part ", i))
		s.send(s.admin, message.Send{To: mobile, Body: want[i]})
		s.drain()
	}
	if got := s.sent(); len(got) != 0 {
		t.Errorf("%q overtook the first", got)
	}
	s.pass(6*time.Second, 2*time.Second)
	if diff := cmp.Diff(want, s.sent()); diff != "" {
		t.Error(diff)
	}
}

func TestALongRetryAfterIsKeptAndThenAllGo(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	const n = 100
	s.twilio.SetChaos(emulator.Chaos{TooMany: 1})
	for i := range n {
		s.send(s.admin, message.Send{To: fmt.Sprintf("+6149157%04d", i), Body: "hello"})
	}
	s.drain()
	s.pass(30*time.Second, 2*time.Second)
	if got := len(s.sent()); got != 0 {
		t.Fatalf("%d were taken", got)
	}
	if m := s.count(`SELECT count(*) AS n FROM message WHERE status = 'PENDING' AND attempts > 1`); m != n {
		t.Errorf("%d of %d were tried again", m, n)
	}
	// Their next attempts are spread.
	if m := s.count(`SELECT count(DISTINCT due_at) AS n FROM message`); m < n/2 {
		t.Errorf("all are due at %d instants", m)
	}
	s.twilio.SetChaos(emulator.Chaos{})
	s.settle()
	if got := len(s.sent()); got != n {
		t.Errorf("%d of %d were sent", got, n)
	}
}

func TestTheSameTextWaitsUntilTheFirstIsKnown(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.Hold(true) // no callback tells them apart
	s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: emulator.LostReset})
	one := s.send(s.admin, message.Send{To: mobile, Body: "ok"})
	s.drain()
	two := s.send(s.admin, message.Send{To: mobile, Body: "ok"})
	three := s.send(s.admin, message.Send{To: other, Body: "ok"})
	s.drain()
	if a, b, c := s.get(one).Status, s.get(two).Status, s.get(three).Status; a != message.Unknown || b != message.Pending || c != message.Queued {
		t.Errorf("%s, %s, %s", a, b, c)
	}
	s.settle()
	var sids []string
	for _, m := range s.twilio.Messages() {
		sids = append(sids, m.SID)
	}
	have := []string{*s.get(one).TwilioSID, *s.get(three).TwilioSID, *s.get(two).TwilioSID}
	if diff := cmp.Diff(sids, have); diff != "" {
		t.Errorf("each is its own: %s", diff)
	}
}

func TestAProcessThatDiesAfterItsClaimLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	for name, reached := range map[string]bool{"before the request": false, "after the request": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{idle: true})
			s.twilio.Hold(true)
			m := s.send(s.admin, message.Send{To: mobile, Body: "claimed"})
			// What it leaves behind: a claim, and no job.
			s.exec(`UPDATE message SET attempts = 1, tried_at = $2, due_at = $3 WHERE id = $1`, m.ID, start, start.Add(30*time.Second))
			s.exec(`DELETE FROM system.river_job`)
			want := message.Failed
			if reached {
				want = message.Delivered
				_, err := s.numbers.client.CreateMessage(s.ctx, twilio.MessageRequest{To: mobile, From: office, Body: "claimed"})
				s.must(err)
			}
			s.must(s.jobs.Start(s.ctx))
			s.settle()
			if got := s.get(m); got.Status != want || reached != (len(s.sent()) == 1) {
				t.Errorf("it is %s, Twilio took %q", got.Status, s.sent())
			}
		})
	}
}

// again is a job like the one that is running: jobs run at least once.
type again struct {
	Organization id.ID `json:"organization"`
	Message      id.ID `json:"message"`
}

func (again) Kind() string { return "message.carry" }

func TestASecondJobLeavesAMessageThatIsOnItsWay(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: emulator.LostHang})
	m := s.send(s.admin, message.Send{To: mobile, Body: "slow"})
	s.must(s.twilio.WaitFor(s.ctx, func() bool { return len(s.twilio.Messages()) == 1 }))
	s.must(s.in(s.org, func(ctx context.Context, tx *db.Tx) error { return job.Insert(ctx, tx, again{s.org, m.ID}) }))
	s.waitUntil(`SELECT count(*) AS n FROM system.river_job WHERE state = 'completed'`, 1)
	if got := s.get(m); got.Status != message.Pending || got.Version != 1 || len(s.sent()) != 1 {
		t.Errorf("it is %s in version %d, Twilio took %q", got.Status, got.Version, s.sent())
	}
}

func TestNewsThatOvertakesTheAnswerCounts(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.SetChaos(emulator.Chaos{CallbackFirst: true})
	m := s.send(s.admin, message.Send{To: mobile, Body: "fast"})
	s.drain()
	s.must(s.twilio.Advance(s.ctx, 2*time.Second))
	if got := s.get(m); got.Status != message.Delivered || *got.NumSegments != 1 {
		t.Errorf("%+v", got)
	}
}

func TestATwilioThatFindsItAfterAllIsBelieved(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: emulator.FateReset})
	m := s.send(s.admin, message.Send{To: mobile, Body: "late"})
	s.drain()
	s.settle()
	if got := s.get(m); got.Status != message.Failed {
		t.Fatalf("it is %s", got.Status)
	}
	// SENT may be the last word, so it must show although FAILED ranks higher.
	s.apply(m.ID, twilio.MessageStatusForm{MessageSID: newSID(), Status: "sent"})
	if got := s.get(m); got.Status != message.Sent || got.ErrorReason != nil || got.SentAt == nil {
		t.Errorf("it is %s because %s", got.Status, deref(got.ErrorReason))
	}
}

func TestAskingGoesOnWhileTwilioIsDown(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.Hold(true)
	s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: emulator.LostReset})
	m := s.send(s.admin, message.Send{To: mobile, Body: "hello"})
	s.drain()
	s.twilio.SetChaos(emulator.Chaos{ServerError: 1})
	s.pass(2*time.Minute, 4*time.Second)
	if got := s.get(m); got.Status != message.Unknown {
		t.Errorf("without an answer it became %s", got.Status)
	}
	s.twilio.SetChaos(emulator.Chaos{})
	s.pass(time.Minute, 4*time.Second)
	if got := s.get(m); got.TwilioSID == nil {
		t.Errorf("it is %s", got.Status)
	}
}

func TestTwilioThatTakesNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.SetChaos(emulator.Chaos{TooMany: 1})
	m := s.send(s.admin, message.Send{To: mobile, Body: "hello"})
	s.drain()
	s.pass(12*time.Minute, 20*time.Second)
	if got := s.get(m); got.Status != message.Failed || got.ErrorReason == nil || got.DueAt != nil {
		t.Errorf("it is %s because %s", got.Status, deref(got.ErrorReason))
	}
}

func TestANumberDisabledMeanwhileSendsNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	m := s.send(s.admin, message.Send{To: mobile, Body: "hello"})
	s.exec(`UPDATE phone_number SET is_enabled = false WHERE id = $1`, s.office)
	s.must(s.jobs.Start(s.ctx))
	s.drain()
	if got := s.get(m); got.Status != message.Failed || got.ErrorReason == nil || len(s.sent()) != 0 {
		t.Errorf("it is %s because %s", got.Status, deref(got.ErrorReason))
	}
}

func (s *stage) apply(m id.ID, f twilio.MessageStatusForm) {
	s.Helper()
	s.must(s.in(s.org, func(ctx context.Context, tx *db.Tx) error { return s.svc.Apply(ctx, tx, m, f) }))
}

func TestTheSameNewsInAnyOrderGivesTheSameRow(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := newStage(t, options{idle: true})
	for name, set := range map[string]struct {
		why  string
		news []url.Values
		want message.Status
		code int
	}{
		"delivered":     {"the usual", news("queued", "sending", "sent", "delivered"), message.Delivered, 0},
		"sent":          {"no handset receipt", news("queued", "sent"), message.Sent, 0},
		"undelivered":   {"the error text is kept", news("queued", "sent", "undelivered 30003", "undelivered"), message.Undelivered, 30003},
		"both refusals": {"one code whichever comes first", news("sent", "undelivered 30003", "failed 30008"), message.Failed, 30008},
		"codeless":      {"a refusal without a code has words all the same", news("failed"), message.Failed, 0},
		"after all":     {"the handset has it: no error is left", news("sent", "undelivered 30003", "failed 30008", "delivered"), message.Delivered, 0},
		"unheard of":    {"a word of the future", news("teleported", "sent"), message.Sent, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var first *message.Message
			for range 20 {
				m := s.send(s.admin, message.Send{To: mobile, Body: "hello"})
				sid := newSID()
				order := append(slices.Clone(set.news), set.news...)
				r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
				changes := 1
				before := 1
				for _, form := range order {
					form.Set("AccountSid", accountSID)
					form.Set("MessageSid", sid)
					f, err := twilio.ParseMessageStatus(form)
					s.must(err)
					s.apply(m.ID, f)
					if v := s.get(m).Version; v != before {
						changes, before = changes+1, v
					}
				}
				got := s.get(m)
				if got.Status != set.want || (got.ErrorCode != nil) != (set.code != 0) || got.ErrorCode != nil && *got.ErrorCode != set.code {
					t.Fatalf("%s: %s with %v after %v", set.why, got.Status, got.ErrorCode, order)
				}
				if refused := got.Status == message.Failed || got.Status == message.Undelivered; refused != (got.ErrorReason != nil) {
					t.Errorf("%s: the reason is %s", set.why, deref(got.ErrorReason))
				}
				// At most one event for each change.
				if n := s.events(m.ID); n != changes || got.Version != changes {
					t.Errorf("%d events and version %d for %d changes", n, got.Version, changes)
				}
				if first == nil {
					first = got
				}
				// The version counts the changes, of which there are fewer when the last comes first.
				ignore := cmpopts.IgnoreFields(message.Message{}, "BaseModel", "ID", "TwilioSID", "Version", "CreatedAt", "UpdatedAt")
				if diff := cmp.Diff(first, got, ignore, cmp.Comparer(func(a, b id.ID) bool { return a == b })); diff != "" {
					t.Fatalf("%s: %s\nafter %v", set.why, diff, order)
				}
			}
		})
	}
}

// news are forms: a word, with an error code or without.
func news(said ...string) (out []url.Values) {
	for _, x := range said {
		var word, code string
		_, _ = fmt.Sscan(x, &word, &code)
		f := url.Values{"MessageStatus": {word}}
		if code != "" {
			f.Set("ErrorCode", code)
		}
		out = append(out, f)
	}
	return out
}

func TestNewsOfAnotherMessageChangesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	m := s.send(s.admin, message.Send{To: mobile, Body: "hello"})
	s.apply(m.ID, twilio.MessageStatusForm{MessageSID: newSID(), Status: "sent"})
	was := s.get(m)
	s.apply(m.ID, twilio.MessageStatusForm{MessageSID: newSID(), Status: "failed", ErrorCode: 30008})
	in := s.receive(mobile, office, "hi")
	s.apply(in.ID, twilio.MessageStatusForm{MessageSID: *in.TwilioSID, Status: "failed", ErrorCode: 30008})
	s.apply(id.New(id.Message), twilio.MessageStatusForm{MessageSID: newSID(), Status: "failed"})
	if got := s.get(m); got.Version != was.Version || got.Status != message.Sent {
		t.Errorf("it is %s", got.Status)
	}
	if got := s.get(in); got.Status != message.Received || got.Version != 1 {
		t.Errorf("an inbound message is %s", got.Status)
	}
	// Deleted since, and news all the same.
	s.exec(`DELETE FROM message WHERE id = $1`, m.ID)
	s.apply(m.ID, twilio.MessageStatusForm{MessageSID: *was.TwilioSID, Status: "delivered"})
	if _, err := s.svc.Get(s.ctx, s.admin, m.ID); err == nil {
		t.Error("it came back")
	}
}

func TestADeletedMessageEndsItsJobs(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	m := s.send(s.admin, message.Send{To: mobile, Body: "hello"})
	s.exec(`DELETE FROM message WHERE id = $1`, m.ID)
	s.must(s.jobs.Start(s.ctx))
	s.drain()
	h, err := s.jobs.Health(s.ctx)
	if err := errors.Join(err); err != nil || h.Retryable+h.Discarded != 0 || len(s.sent()) != 0 {
		t.Errorf("%+v, %v, sent %q", h, err, s.sent())
	}
}
