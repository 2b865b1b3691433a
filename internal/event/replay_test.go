package event_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/testkit"
)

// Readers come in with cursors of any age while writers write: each event once,
// in order, over the seam between table, ring and live end.
func TestReplayMeetsTheLiveEndWithoutASeam(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t, testkit.MaxConns(16))
	l := start(t, newLog(t, d, event.Options{Ring: 32, Buffer: 4})) // so small that readers fall out of the ring
	ours, theirs := id.New(id.Organization), id.New(id.Organization)
	const writers, each, readers = 4, 100, 12
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var written sync.WaitGroup
	for w := range writers {
		written.Go(func() {
			for i := range each {
				add(t, d, ours, event.Kind([]string{"odd", "even"}[i%2]), w*each+i)
				if i%3 == 0 {
					add(t, d, theirs, "odd", -1)
				}
			}
		})
	}
	var wg sync.WaitGroup
	for reader := range readers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(reader)))
			var kinds []event.Kind
			want := writers * each
			if reader%3 == 0 {
				kinds, want = []event.Kind{"even"}, want/2
			}
			seen := map[int]bool{}
			last, after := int64(0), l.Cursor(ours, 0)
			for len(seen) < want {
				ctx, cancel := context.WithCancel(t.Context())
				s, err := l.Subscribe(ctx, event.SubscribeOptions{Organization: ours, After: after, Kinds: kinds})
				if err != nil {
					t.Error(err)
					cancel()
					return
				}
				for n := 1 + r.IntN(120); n > 0 && len(seen) < want; n-- {
					var e event.Event
					select {
					case e = <-s.C():
					case <-time.After(20 * time.Second):
						t.Errorf("reader %d stands at %d of %d", reader, len(seen), want)
						cancel()
						return
					}
					if e.Seq <= last || seen[number(t, e)] || e.OrganizationID != ours {
						t.Errorf("reader %d: %d (sequence %d) after %d", reader, number(t, e), e.Seq, last)
						cancel()
						return
					}
					seen[number(t, e)], last = true, e.Seq
				}
				after = l.Cursor(ours, last) // breaks off and comes back
				cancel()
			}
		})
	}
	written.Wait()
	wg.Wait()
}

// PostgreSQL ends every connection again and again, as a restart does, in the
// middle of stamping, replaying and consuming.
func TestLostConnectionsLoseNoEvent(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t, testkit.MaxConns(16))
	org := id.New(id.Organization)
	l := newLog(t, d, event.Options{Sweep: 20 * time.Millisecond, Ring: 16})
	l.Register(event.Consumer{Name: "c", Handle: note})
	start(t, l)
	cut := func() {
		c, err := d.WorkerPool().Acquire(t.Context())
		if err != nil {
			return // it was cut itself
		}
		h := c.Hijack()
		defer func() { _ = h.Close(context.Background()) }()
		if _, err := h.Exec(t.Context(), `RESET ROLE`); err != nil {
			return
		}
		_, _ = h.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	}
	// A commit whose answer is lost may have happened: its event then counts too.
	acknowledged := map[int]bool{}
	for i := range 120 {
		if i%10 == 9 {
			cut()
		}
		if err := tryAdd(t.Context(), d, org, "n", i); err == nil {
			acknowledged[i] = true
		}
	}
	if len(acknowledged) < 60 {
		t.Fatalf("only %d of 120 writes went through", len(acknowledged))
	}
	d.WorkerPool().Reset() // for the test's own queries
	until(t, "all stamped", func() bool { seqs, n := stamped(t, d); return n == 0 && len(seqs) >= len(acknowledged) })
	seqs, _ := stamped(t, d)
	s := subscribe(t, l, org, l.Cursor(org, 0))
	for want := range seqs {
		e := next(t, s)
		if e.Seq != int64(want+1) {
			t.Fatalf("got sequence %d, want %d", e.Seq, want+1)
		}
		delete(acknowledged, number(t, e))
	}
	if len(acknowledged) > 0 {
		t.Errorf("acknowledged and lost: %v", acknowledged)
	}
	until(t, "all consumed", func() bool { return len(noted(t, d)) >= len(seqs) })
	if got := noted(t, d); !slices.Equal(got, seqs) {
		t.Errorf("consumed %v of %d", got, len(seqs))
	}
}

func TestCursorsAreSealedForTheirOrganization(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	l := start(t, newLog(t, d, event.Options{}))
	ours, theirs := id.New(id.Organization), id.New(id.Organization)
	good := l.Cursor(ours, 0)
	if good != l.Cursor(ours, 0) || good == l.Cursor(ours, 1) || good == l.Cursor(theirs, 0) {
		t.Error("a cursor says one place of one organization, always in the same words")
	}
	if seq, err := l.OpenCursor(ours, l.Cursor(ours, 12345)); err != nil || seq != 12345 {
		t.Errorf("opened as %d, %v", seq, err)
	}
	for name, after := range map[string]string{
		"of another organization": l.Cursor(theirs, 0), "garbage": "garbage", "no base64": "%%%", "cut": good[:len(good)-2],
		"long": string(slices.Repeat([]byte("A"), 5000)), "changed": flip(good),
	} {
		_, err := l.Subscribe(t.Context(), event.SubscribeOptions{Organization: ours, After: after})
		if !errs.IsCode(err, errs.Invalid) {
			t.Errorf("cursor %s: got %v", name, err)
		}
	}
	// The database was set back to an older state, or the cursor is of another installation.
	if _, err := l.Subscribe(t.Context(), event.SubscribeOptions{Organization: ours, After: l.Cursor(ours, 99)}); !errs.IsCode(err, errs.Resync) {
		t.Errorf("a cursor of the future: got %v", err)
	}
}

func flip(s string) string {
	b := []byte(s)
	if b[10] == 'A' {
		b[10] = 'B'
	} else {
		b[10] = 'A'
	}
	return string(b)
}

func TestASlowReaderIsCutAndNobodyWaitsForIt(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	l := start(t, newLog(t, d, event.Options{SlowAfter: 50 * time.Millisecond, Buffer: 2}))
	org := id.New(id.Organization)
	slow, quick := subscribe(t, l, org, ""), subscribe(t, l, org, "")
	add(t, d, org, "n", 1, 2, 3, 4, 5, 6, 7, 8)
	var last event.Event
	for want := 1; want <= 8; want++ {
		if last = next(t, quick); number(t, last) != want {
			t.Errorf("the quick reader got %d, want %d", number(t, last), want)
		}
	}
	until(t, "the slow reader, which reads nothing, is cut", func() bool { return l.Counters().Cut == 1 })
	if err := ended(t, slow); !errors.Is(err, event.ErrSlow) {
		t.Errorf("the slow reader ended with %v", err)
	}
	add(t, d, org, "n", 9)
	if got := number(t, next(t, quick)); got != 9 {
		t.Errorf("the quick reader then got %d", got)
	}
}

func TestTrimmedEventsAskForAResync(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	d := testkit.DB(t, testkit.Clock(clk))
	l := start(t, newLog(t, d, event.Options{}))
	org := id.New(id.Organization)
	s := subscribe(t, l, org, "")
	old := make([]int, 700) // more than one batch
	add(t, d, org, "old", old...)
	for range old {
		next(t, s)
	}
	clk.Advance(72*time.Hour + time.Second)
	add(t, d, org, "young", 1)
	young := next(t, s)
	if err := l.Trim(t.Context(), clk.Now()); err != nil {
		t.Fatal(err)
	}
	if seqs, _ := stamped(t, d); len(seqs) != 1 || seqs[0] != young.Seq {
		t.Errorf("kept %v", seqs)
	}
	if _, err := l.Subscribe(t.Context(), event.SubscribeOptions{Organization: org, After: l.Cursor(org, 3)}); !errs.IsCode(err, errs.Resync) {
		t.Errorf("an old cursor: got %v", err)
	}
	if e := next(t, subscribe(t, l, org, l.Cursor(org, 700))); e.ID != young.ID {
		t.Errorf("from the floor came %+v", e)
	}
	// A node that starts later knows the floor too, and a cursor that is at it is not too old.
	other := start(t, newLog(t, d, event.Options{}))
	if _, err := other.Subscribe(t.Context(), event.SubscribeOptions{Organization: org, After: l.Cursor(org, 699)}); !errs.IsCode(err, errs.Resync) {
		t.Errorf("an old cursor at another node: got %v", err)
	}
	if e := next(t, subscribe(t, other, org, l.Cursor(org, 700))); e.ID != young.ID {
		t.Errorf("another node gave %+v", e)
	}
	// The sequence goes on after everything is trimmed.
	clk.Advance(100 * time.Hour)
	if err := l.Trim(t.Context(), clk.Now()); err != nil {
		t.Fatal(err)
	}
	add(t, d, org, "new", 2)
	if e := next(t, s); e.Seq != 702 {
		t.Errorf("the next sequence is %d", e.Seq)
	}
}

// A reader in the middle of a replay whose events are trimmed under it is told, not skipped ahead.
func TestAReplayOverTheFloorIsNotMistakenForAWholeOne(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	d := testkit.DB(t, testkit.Clock(clk))
	l := start(t, newLog(t, d, event.Options{Ring: 8, Buffer: 1, SlowAfter: time.Minute}))
	org := id.New(id.Organization)
	add(t, d, org, "old", make([]int, 600)...)
	s := subscribe(t, l, org, l.Cursor(org, 0))
	next(t, s) // the first page is read, its second event waits in the buffer
	clk.Advance(73 * time.Hour)
	if err := l.Trim(t.Context(), clk.Now()); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, s); !errs.IsCode(err, errs.Resync) {
		t.Errorf("the reader ended with %v", err)
	}
}
