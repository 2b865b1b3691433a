package job_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/job"
	"switchboard/internal/testkit"
)

var begin = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

func TestSweepsGoByTheClock(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(begin)
	d := testkit.DB(t, testkit.Clock(clk))
	r := job.New(d, clk, quick())
	var ran []time.Time
	r.Sweep("minutely", time.Minute, func(_ context.Context, now time.Time) error { ran = append(ran, now); return nil })
	t.Cleanup(r.Stop)
	for _, step := range []time.Duration{0, time.Second, 58 * time.Second, time.Second, time.Hour, 30 * time.Second} {
		clk.Advance(step)
		if err := r.RunSweeps(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := []time.Time{begin, begin.Add(time.Minute), begin.Add(61 * time.Minute)}
	if !slices.EqualFunc(ran, want, time.Time.Equal) {
		t.Errorf("ran at %v, want %v: once when due, and once after a long pause", ran, want)
	}
	clk.Advance(-30 * time.Minute) // somebody sets the clock back
	if err := r.RunSweeps(t.Context()); err != nil || len(ran) != 4 {
		t.Errorf("after the clock went back: %d runs, %v", len(ran), err)
	}
}

func TestAStartedRunnerSweepsWhenTheClockMoves(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(begin)
	d := testkit.DB(t, testkit.Clock(clk))
	r := job.New(d, clk, quick())
	ran := make(chan time.Time, 10)
	r.Sweep("minutely", time.Minute, func(_ context.Context, now time.Time) error { ran <- now; return nil })
	start(t, r)
	if at := <-ran; !at.Equal(begin) {
		t.Errorf("first at %s", at)
	}
	if err := r.RunSweeps(t.Context()); err != nil { // nothing is due, and the first run is over
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !waiting(clk) { // until the sweep looks at the clock again
		<-tick.C
	}
	clk.Advance(time.Minute)
	if at := <-ran; !at.Equal(begin.Add(time.Minute)) {
		t.Errorf("then at %s", at)
	}
}

// waiting tells that a sweep waits for the next minute.
func waiting(clk *clock.Fake) bool {
	at, ok := clk.Next()
	return ok && at.Equal(begin.Add(time.Minute))
}

func TestASweepRunsOnOneNodeAtATime(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(begin)
	d := testkit.DB(t, testkit.Clock(clk))
	var now, most, runs atomic.Int64
	begun, release := make(chan struct{}, 10), make(chan struct{})
	node := func() *job.Runner {
		r := job.New(d, clk, quick())
		r.Sweep("s", time.Second, func(context.Context, time.Time) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			runs.Add(1)
			begun <- struct{}{}
			<-release
			return nil
		})
		t.Cleanup(r.Stop)
		return r
	}
	one, two := node(), node()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := one.RunSweeps(t.Context()); err != nil {
			t.Error(err)
		}
	})
	<-begun
	clk.Advance(time.Minute) // due again, while the first still runs
	if err := two.RunSweeps(t.Context()); err != nil {
		t.Error(err)
	}
	if runs.Load() != 1 {
		t.Error("the second node did not leave it to the first")
	}
	close(release)
	wg.Wait()
	if err := two.RunSweeps(t.Context()); err != nil || runs.Load() != 2 || most.Load() != 1 {
		t.Errorf("%d runs, %d at once, %v", runs.Load(), most.Load(), err)
	}
}

func TestAFailingSweepIsReportedAndRunsAgain(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(begin)
	d := testkit.DB(t, testkit.Clock(clk))
	r := job.New(d, clk, quick())
	fail := true
	r.Sweep("bad", time.Second, func(context.Context, time.Time) error {
		if fail {
			return errors.New("no luck")
		}
		return nil
	})
	panics := true
	r.Sweep("worse", time.Second, func(context.Context, time.Time) error {
		if panics {
			panic("a bug")
		}
		return nil
	})
	t.Cleanup(r.Stop)
	err := r.RunSweeps(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no luck") || !strings.Contains(err.Error(), "a bug") {
		t.Errorf("got %v", err)
	}
	h, err := r.Health(t.Context())
	if err != nil || len(h.Failing) != 2 || h.Failing["bad"] != "no luck" {
		t.Errorf("health is %+v, %v", h, err)
	}
	fail, panics = false, false
	clk.Advance(time.Second)
	if err := r.RunSweeps(t.Context()); err != nil {
		t.Error(err)
	}
	if h, err := r.Health(t.Context()); err != nil || len(h.Failing) != 0 {
		t.Errorf("health is %+v, %v", h, err)
	}
}
