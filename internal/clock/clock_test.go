package clock_test

import (
	"testing"
	"time"

	"switchboard/internal/clock"
)

func TestAFakeClockWakesWhoseTimeHasCome(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	f := clock.NewFake(start)
	soon, _ := f.After(time.Second)
	late, _ := f.After(time.Hour)
	never, stop := f.After(time.Second)
	stop()
	stop()
	if at, ok := f.Next(); !ok || !at.Equal(start.Add(time.Second)) {
		t.Errorf("next is %v %v", at, ok)
	}
	f.Advance(2 * time.Second)
	if at := <-soon; !at.Equal(start.Add(2 * time.Second)) {
		t.Errorf("woken at %v", at)
	}
	select {
	case <-late:
		t.Error("woken too early")
	case <-never:
		t.Error("woken after stop")
	default:
	}
	now, _ := f.After(-time.Second)
	<-now
	if !f.Now().Equal(start.Add(2 * time.Second)) {
		t.Error("the clock moved by itself")
	}
}

func TestTheRealClockGoes(t *testing.T) {
	t.Parallel()
	c, stop := clock.Real{}.After(0)
	defer stop()
	<-c
	if (clock.Real{}).Now().Location() != time.UTC {
		t.Error("not UTC")
	}
}
