package emulator_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"switchboard/internal/clock"
	"switchboard/internal/emulator"
)

// tests closes the connections of the test's own HTTP clients before leaks are counted.
type tests struct{ *testing.M }

func (m tests) Run() int {
	code := m.M.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

func TestStopEndsWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	arrived := make(chan struct{})
	s.handle("/voice", func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	_, err := s.e.PlaceCall(mobile, office)
	s.must(err)
	<-arrived
	s.e.Stop()
	s.e.Stop() // once more does nothing
	if err := s.e.WaitFor(s.ctx, func() bool { return false }); err == nil {
		t.Error("waiting for a stopped emulator must fail")
	}
}

func TestWaitIdleWaitsForTheContextToo(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	arrived := make(chan struct{})
	s.handle("/voice", func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	_, err := s.e.PlaceCall(mobile, office)
	s.must(err)
	<-arrived
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := s.e.WaitIdle(ctx); err == nil {
		t.Error("a webhook is on its way, yet it is idle")
	}
}

func TestEventsKeepTheirTimeWhenTheClockJumps(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Dial timeout="20" action="/dial"><Number statusCallback="/leg">`+second+`</Number></Dial></Response>`)
	s.answer("/dial", `<Response/>`)
	s.call(mobile, office)
	s.clock.Advance(time.Hour) // one jump, not step by step
	s.idle()
	if got := s.last("/leg").Get("Timestamp"); got != "Fri, 20 Nov 2026 09:00:25 +0000" {
		t.Errorf("the ring ended at %s", got)
	}
}

func TestRealClockRunsByItself(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{Clock: clock.Real{}, MessageDelay: time.Millisecond})
	_, err := s.text(mobile, "hello", nil)
	s.must(err)
	s.must(s.e.WaitFor(s.ctx, func() bool { return s.e.Messages()[0].Status == "delivered" }))
	if err := s.e.Advance(s.ctx, time.Second); err == nil {
		t.Error("the wall clock cannot be moved")
	}
}

func TestSameSeedSameSIDs(t *testing.T) {
	t.Parallel()
	sids := func(seed uint64) (list []string) {
		s := newStage(t, emulator.Options{Seed: seed})
		s.answer("/voice", ringThree)
		s.call(mobile, office)
		for _, c := range s.e.Calls() {
			list = append(list, c.SID)
		}
		return list
	}
	a, b, c := sids(5), sids(5), sids(6)
	for i := range a {
		if a[i] != b[i] || a[i] == c[i] {
			t.Errorf("leg %d: %s, %s and %s", i, a[i], b[i], c[i])
		}
	}
}
