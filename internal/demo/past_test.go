package demo_test

import (
	"testing"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/demo"
)

func fired(c <-chan time.Time) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestThePastStandsStillUntilItIsMoved(t *testing.T) {
	t.Parallel()
	p := demo.NewPast(24 * time.Hour)
	began := p.Now()
	if ago := (clock.Real{}).Now().Sub(began); ago < 24*time.Hour || ago > 25*time.Hour {
		t.Errorf("it stands %v before now", ago)
	}
	soon, _ := p.After(time.Minute)
	later, _ := p.After(time.Hour)
	dropped, drop := p.After(time.Minute)
	at, _ := p.After(0)
	drop()
	if !fired(at) || fired(soon) {
		t.Error("a wait of nothing is over at once, one of a minute is not")
	}
	p.Advance(2 * time.Minute)
	if got := p.Now().Sub(began); got != 2*time.Minute {
		t.Errorf("it moved by %v", got)
	}
	if !fired(soon) || fired(later) || fired(dropped) {
		t.Error("after two minutes only the wait of one minute is over")
	}
	if !p.Held() {
		t.Error("it is not held")
	}
}

func TestTheReleasedPastIsTheMachinesTime(t *testing.T) {
	t.Parallel()
	p := demo.NewPast(time.Hour)
	between, _ := p.After(30 * time.Minute)
	ahead, stopAhead := p.After(time.Hour + 50*time.Millisecond)
	far, _ := p.After(48 * time.Hour)
	p.Release()
	p.Release()
	if p.Held() || (clock.Real{}).Now().Sub(p.Now()).Abs() > time.Minute {
		t.Errorf("it is held: %v, and shows %v", p.Held(), p.Now())
	}
	if !fired(between) {
		t.Error("a time that the jump passed over did not wake its waiter")
	}
	if fired(far) {
		t.Error("the day after tomorrow has come")
	}
	select {
	case <-ahead:
	case <-time.After(20 * time.Second):
		t.Error("a waiter from before the release never woke")
	}
	stopAhead()
	moment, _ := p.After(time.Millisecond)
	select {
	case <-moment:
	case <-time.After(20 * time.Second):
		t.Error("a waiter from after the release never woke")
	}
}
