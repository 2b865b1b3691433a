package emulator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

// outbox are the statuses of outbound messages, oldest first.
func (s *stage) outbox() (list []string) {
	for _, m := range s.e.Messages() {
		if m.Direction != "inbound" {
			list = append(list, m.Status)
		}
	}
	return list
}

func (s *stage) service(spec emulator.ServiceSpec) string {
	s.Helper()
	mg, err := s.e.AddService(accountSID, spec)
	s.must(err)
	return mg
}

// by sends through a Messaging Service.
func by(mg string) func(*api.CreateMessageParams) {
	return func(p *api.CreateMessageParams) { p.From = nil; p.SetMessagingServiceSid(mg) }
}

func TestASenderKeepsItsPace(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	const free = "+15550001112"
	s.number(free)
	s.e.SetMessageRate(office, 1)
	for _, body := range []string{"one", strings.Repeat("a", 161), "three", "four"} {
		_, err := s.text(mobile, body, nil)
		s.must(err)
		s.advance(0) // the answer comes before the text goes on its way
	}
	_, err := s.text(mobile, "other sender", func(p *api.CreateMessageParams) { p.SetFrom(free) })
	s.must(err)
	for _, step := range []struct {
		why  string
		wait time.Duration
		want string
	}{
		{"the first goes at once, and another sender never waits", 0, "delivered queued queued queued delivered"},
		{"a part per second", time.Second, "delivered delivered queued queued delivered"},
		{"two parts take two seconds", time.Second, "delivered delivered queued queued delivered"},
		{"", time.Second, "delivered delivered delivered queued delivered"},
	} {
		s.advance(step.wait)
		if got := strings.Join(s.outbox(), " "); got != step.want {
			t.Errorf("%s: %s, want %s", step.why, got, step.want)
		}
	}
	s.e.SetMessageRate(office, 0)
	s.idle()
	if got := s.outbox()[3]; got != "delivered" {
		t.Errorf("without a rate nothing waits: %s", got)
	}
	s.e.SetMessageRate("", 0.1)
	for range 2 {
		_, err := s.text(mobile, "x", func(p *api.CreateMessageParams) { p.SetFrom(free) })
		s.must(err)
		s.idle()
	}
	if got := s.outbox(); got[5] != "delivered" || got[6] != "queued" {
		t.Errorf("the rate of everybody: %v", got[5:])
	}
}

func TestAQueueHoldsTenHours(t *testing.T) { // twilio: 21611, 30001
	t.Parallel()
	s := newStage(t, emulator.Options{})
	const beside = "+15550001112"
	s.number(beside)
	for _, n := range []string{office, beside} {
		s.e.SetMessageRate(n, 1.0/3600)
	}
	mg := s.service(emulator.ServiceSpec{Name: "pool", Numbers: []string{office, beside}})
	for i := range 10 {
		_, err := s.text(fmt.Sprintf("+1555800%04d", i), "x", nil)
		s.must(err)
	}
	if _, err := s.text(mobile, "one too many", nil); code(err) != 21611 {
		t.Errorf("a full queue: %v", err)
	}
	for i := range 11 {
		_, err := s.text(fmt.Sprintf("+1555900%04d", i), "x", by(mg))
		s.must(err)
	}
	s.advance(2 * time.Second)
	from, codes := map[string]int{}, map[int]int{}
	for _, m := range s.e.Messages()[10:] {
		from[m.From]++
		codes[m.ErrorCode]++
	}
	if d := cmp.Diff(map[string]int{beside: 10, office: 1}, from); d != "" {
		t.Errorf("a service takes the shortest queue: %s", d)
	}
	if codes[0] != 11 {
		t.Errorf("codes %v", codes)
	}
	for range 2 { // the first of the other queue has gone: one finds its place
		_, err := s.text(mobile, "overflow", by(mg))
		s.must(err)
		s.advance(time.Second)
	}
	if m := s.e.MessagesTo(mobile); len(m) != 2 || m[0].Status != "queued" || m[1].Status != "failed" || m[1].ErrorCode != 30001 {
		t.Errorf("where every queue is full: %+v", m)
	}
}

func TestAMessageExpiresInTheQueue(t *testing.T) { // twilio: ValidityPeriod, 30001
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	s.e.SetMessageRate(office, 0.1)
	for _, seconds := range []int{36000, 5, 36000} {
		_, err := s.text(mobile, "x", func(p *api.CreateMessageParams) { p.SetValidityPeriod(seconds) })
		s.must(err)
	}
	s.advance(6 * time.Second)
	if f := s.last("/delivery"); f.Get("MessageStatus") != "failed" || f.Get("ErrorCode") != "30001" {
		t.Errorf("callback %v", f)
	}
	s.advance(4 * time.Second)
	if d := cmp.Diff([]string{"delivered", "failed", "delivered"}, s.outbox()); d != "" {
		t.Errorf("what expired takes no turn: %s", d)
	}
}

func TestOldMessagesAreForgotten(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1, KeepMessages: 100})
	mg := s.service(emulator.ServiceSpec{Name: "later", Numbers: []string{office}})
	first, err := s.text(mobile, "first", nil)
	s.must(err)
	due, err := s.text(mobile, "due", func(p *api.CreateMessageParams) {
		p.SetMessagingServiceSid(mg).SetScheduleType("fixed").SetSendAt(s.clock.Now().Add(time.Hour))
	})
	s.must(err)
	var last *api.ApiV2010Message
	for range 400 {
		last, err = s.text(mobile, "x", func(p *api.CreateMessageParams) { p.StatusCallback = nil })
		s.must(err)
	}
	s.idle()
	if n := len(s.e.Messages()); n > 101 || n < 50 {
		t.Errorf("%d messages are kept", n)
	}
	if d := cmp.Diff(map[string]int{"delivered": 401, "scheduled": 1}, s.e.MessageCounts()); d != "" {
		t.Errorf("the counts hold them all: %s", d)
	}
	for sid, want := range map[string]int{*first.Sid: 20404, *due.Sid: 0, *last.Sid: 0} {
		if _, err := s.tw.Api.FetchMessage(sid, nil); code(err) != want {
			t.Errorf("%v, want %d", err, want)
		}
	}
	list, err := s.tw.Api.ListMessage((&api.ListMessageParams{}).SetTo(mobile).SetFrom(office).SetLimit(1))
	s.must(err)
	if len(list) != 1 || *list[0].Sid != *last.Sid {
		t.Errorf("listed %+v", list)
	}
}

func TestMessagesAreListedByBothEnds(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	s.number("+15550001112")
	for _, m := range [][2]string{{office, mobile}, {office, second}, {"+15550001112", mobile}} {
		_, err := s.text(m[1], m[0], func(p *api.CreateMessageParams) { p.SetFrom(m[0]) })
		s.must(err)
	}
	_, err := s.e.SendText(mobile, office, "in")
	s.must(err)
	for name, tc := range map[string]struct {
		to, from string
		want     int
	}{
		"all": {"", "", 4}, "to": {mobile, "", 2}, "from": {"", office, 2}, "both": {mobile, office, 1}, "inbound": {office, mobile, 1}, "nobody": {"+15550009999", "", 0},
	} {
		p := &api.ListMessageParams{}
		if tc.to != "" {
			p.SetTo(tc.to)
		}
		if tc.from != "" {
			p.SetFrom(tc.from)
		}
		list, err := s.tw.Api.ListMessage(p)
		s.must(err)
		if len(list) != tc.want {
			t.Errorf("%s: %d messages, want %d", name, len(list), tc.want)
		}
	}
}

func TestOnlySoManyWebhooksOfMessagesGoAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1, MessageWebhooks: 3})
	var now, most atomic.Int32
	gate := make(chan struct{})
	s.handle("/delivery", func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-gate
		w.WriteHeader(http.StatusNoContent)
	})
	for range 20 {
		_, err := s.text(mobile, "x", nil)
		s.must(err)
	}
	s.must(s.e.WaitFor(s.ctx, func() bool { return now.Load() == 3 }))
	close(gate)
	s.idle()
	if most.Load() != 3 || len(s.sent("/delivery")) != 40 {
		t.Errorf("%d at once, %d in all", most.Load(), len(s.sent("/delivery")))
	}
}

// BenchmarkSend creates messages while the history grows: an operation costs the same
// however many came before.
func BenchmarkSend(b *testing.B) {
	e := emulator.New(emulator.Options{MessageDelay: -1})
	defer e.Stop()
	if err := e.AddAccount(accountSID, authToken, emulator.Full); err != nil {
		b.Fatal(err)
	}
	if _, err := e.AddNumber(accountSID, emulator.NumberSpec{E164: office}); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		form := url.Values{"From": {office}, "To": {fmt.Sprintf("+1333%07d", i%1_000_000)}, "Body": {"Hello there"}}
		q := httptest.NewRequest("POST", "/2010-04-01/Accounts/"+accountSID+"/Messages.json", strings.NewReader(form.Encode()))
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.SetBasicAuth(accountSID, authToken)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, q)
		if w.Code != 201 {
			b.Fatal(w.Body)
		}
	}
}
