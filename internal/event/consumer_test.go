package event_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/testkit"
)

// note is an effect in the handler's transaction: an audit entry.
func note(ctx context.Context, tx *db.Tx, e event.Event) error {
	_, err := tx.Pgx().Exec(ctx, `INSERT INTO audit_entry (organization_id, id, action, detail, at)
		VALUES ($1, $2, $3, jsonb_build_object('seq', $4::bigint), $5)`, e.OrganizationID, id.New(id.Audit), string(e.Kind), e.Seq, tx.Now)
	return err
}

// noted are the sequences of the effects, in the order in which they happened.
func noted(t testing.TB, d *db.DB) (seqs []int64) {
	t.Helper()
	rows, err := d.WorkerPool().Query(t.Context(), `SELECT (detail->>'seq')::bigint FROM audit_entry ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, n)
	}
	return seqs
}

// until polls a condition of the database.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestAConsumerTakesItsKindsOnceAndInOrder(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	l := newLog(t, d, event.Options{Ring: 16})
	var tenants sync.Map
	l.Register(event.Consumer{Name: "c", Kinds: []event.Kind{"call.ended"}, Handle: func(ctx context.Context, tx *db.Tx, e event.Event) error {
		var session id.ID
		if err := tx.Pgx().QueryRow(ctx, `SELECT app_organization()`).Scan(&session); err != nil {
			return err
		}
		if db.TenantFrom(ctx) != e.OrganizationID || session != e.OrganizationID {
			return fmt.Errorf("the tenant is %s and %s", db.TenantFrom(ctx), session)
		}
		tenants.Store(e.OrganizationID, true)
		return note(ctx, tx, e)
	}})
	start(t, l)
	one, two := id.New(id.Organization), id.New(id.Organization)
	for i := range 30 {
		add(t, d, one, "call.ended", i)
		add(t, d, two, "call.rang", i)
		add(t, d, two, "call.ended", i, i)
	}
	until(t, "90 effects", func() bool { return len(noted(t, d)) == 90 })
	if got := noted(t, d); !slices.IsSorted(got) || len(slices.Compact(got)) != 90 {
		t.Errorf("out of order or twice: %v", got)
	}
	for _, org := range []id.ID{one, two} {
		if _, ok := tenants.Load(org); !ok {
			t.Errorf("nothing came for %s", org)
		}
	}
}

// Nodes come and go in the middle of their work, two at a time.
func TestAConsumerActsExactlyOnceOverRestartsAndNodes(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t, testkit.MaxConns(16))
	org := id.New(id.Organization)
	const events = 200
	node := func() *event.Log {
		l := newLog(t, d, event.Options{Sweep: 20 * time.Millisecond, Ring: 16})
		l.Register(event.Consumer{Name: "c", Handle: note})
		if err := l.Start(t.Context()); err != nil {
			t.Error(err)
		}
		return l
	}
	node().Stop() // the consumer is known from here on
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range events {
			add(t, d, org, "n", i)
		}
	})
	var nodes sync.WaitGroup
	for range 2 {
		nodes.Go(func() {
			for round := range 8 {
				l := node()
				before := len(noted(t, d))
				until(t, "some progress", func() bool { n := len(noted(t, d)); return n > before+round || n >= events })
				l.Stop()
			}
		})
	}
	nodes.Wait()
	writing.Wait()
	last := node()
	until(t, "all effects", func() bool { return len(noted(t, d)) >= events })
	last.Stop()
	got := noted(t, d)
	for i, seq := range got {
		if seq != int64(i+1) {
			t.Fatalf("effect %d is of sequence %d: %v", i+1, seq, got)
		}
	}
	if len(got) != events {
		t.Errorf("%d effects of %d events", len(got), events)
	}
}

func TestAFailingHandlerIsTriedAgainAndThenParked(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	org := id.New(id.Organization)
	var tries, mended atomic.Int64
	l := newLog(t, d, event.Options{Backoff: []time.Duration{time.Millisecond, 2 * time.Millisecond}})
	l.Register(event.Consumer{Name: "c", Handle: func(ctx context.Context, tx *db.Tx, e event.Event) error {
		if err := note(ctx, tx, e); err != nil {
			return err
		}
		switch {
		case e.Kind == "bad" && mended.Load() == 0:
			tries.Add(1)
			return errors.New("the handler has a bug")
		case e.Kind == "panics" && mended.Load() == 0:
			panic("a worse bug")
		}
		return nil
	}})
	start(t, l)
	add(t, d, org, "good", 1)
	add(t, d, org, "bad", 2)
	add(t, d, org, "panics", 3)
	add(t, d, org, "good", 4)
	until(t, "the consumer went on", func() bool { return slices.Equal(noted(t, d), []int64{1, 4}) })
	if tries.Load() != 3 {
		t.Errorf("%d tries, want 3: one and one after each wait", tries.Load())
	}
	h, err := l.Health(t.Context())
	if err != nil || h.Parked() != 2 || len(h.Consumers) != 1 || h.Consumers[0].Lag != 0 {
		t.Errorf("health is %+v, %v", h, err)
	}
	var text string
	var attempts int
	err = d.WorkerPool().QueryRow(t.Context(), `SELECT error, attempts FROM event_parked WHERE kind = 'bad' AND data->>'n' = '2'`).Scan(&text, &attempts)
	if err != nil || text != "the handler has a bug" || attempts != 3 {
		t.Errorf("parked with %q after %d attempts, %v", text, attempts, err)
	}

	if n, err := l.Unpark(t.Context(), "c"); err == nil || n != 0 {
		t.Errorf("a handler that still fails: %d, %v", n, err)
	}
	mended.Store(1)
	if n, err := l.Unpark(t.Context(), "c"); err != nil || n != 2 {
		t.Errorf("unparked %d, %v", n, err)
	}
	if got := noted(t, d); !slices.Equal(got, []int64{1, 4, 2, 3}) {
		t.Errorf("effects %v", got)
	}
	if _, err := l.Unpark(t.Context(), "nobody"); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("an unknown consumer: %v", err)
	}
}

// The count of failures outlives the process, so a crash loop does not try for ever.
func TestFailuresAreCountedOverARestart(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	org := id.New(id.Organization)
	var tries atomic.Int64
	tried := make(chan struct{}, 10)
	node := func(wait time.Duration) *event.Log {
		l := newLog(t, d, event.Options{Backoff: []time.Duration{wait, wait}})
		l.Register(event.Consumer{Name: "c", Handle: func(context.Context, *db.Tx, event.Event) error {
			tries.Add(1)
			tried <- struct{}{}
			return errors.New("no")
		}})
		return start(t, l)
	}
	first := node(time.Hour)
	add(t, d, org, "n", 1)
	<-tried
	until(t, "the failure is counted", func() bool {
		h, err := first.Health(t.Context())
		return err == nil && h.Consumers[0].Attempts == 1 && h.Consumers[0].Error == "no"
	})
	first.Stop()
	second := node(time.Millisecond)
	until(t, "parked", func() bool {
		h, err := second.Health(t.Context())
		return err == nil && h.Parked() == 1
	})
	if tries.Load() != 3 {
		t.Errorf("%d tries over two lives, want 3", tries.Load())
	}
}

func TestTrimKeepsWhatAConsumerHasNotTaken(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	org := id.New(id.Organization)
	hold := make(chan struct{})
	l := newLog(t, d, event.Options{})
	l.Register(event.Consumer{Name: "c", Kinds: []event.Kind{"wanted"}, Handle: func(ctx context.Context, _ *db.Tx, _ event.Event) error {
		select {
		case <-hold:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	start(t, l)
	add(t, d, org, "other", 1, 2)
	add(t, d, org, "wanted", 3)
	add(t, d, org, "other", 4)
	until(t, "all stamped", func() bool { _, n := stamped(t, d); return n == 0 })
	later := time.Now().Add(100 * time.Hour)
	if err := l.Trim(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if got, _ := stamped(t, d); !slices.Equal(got, []int64{3, 4}) {
		t.Errorf("kept %v, want from the event that is being taken", got)
	}
	close(hold)
	if err := l.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Trim(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if got, _ := stamped(t, d); len(got) != 0 {
		t.Errorf("kept %v", got)
	}
}

// A consumer that is new in this release does not act on the past.
func TestANewConsumerBeginsNow(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	org := id.New(id.Organization)
	old := start(t, newLog(t, d, event.Options{}))
	s := subscribe(t, old, org, "")
	add(t, d, org, "n", 1)
	next(t, s)
	old.Stop()
	l := newLog(t, d, event.Options{})
	l.Register(event.Consumer{Name: "c", Handle: note})
	start(t, l)
	add(t, d, org, "n", 2)
	until(t, "one effect", func() bool { return len(noted(t, d)) > 0 })
	if got := noted(t, d); !slices.Equal(got, []int64{2}) {
		t.Errorf("effects %v", got)
	}
}

// What is picked comes once and in order, also when whole batches are left out;
// what is left out costs no transaction.
func TestAConsumerMayPickWhatItHandles(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	l := newLog(t, d, event.Options{Ring: 16})
	one, two := id.New(id.Organization), id.New(id.Organization)
	var asked, handled atomic.Int64
	l.Register(event.Consumer{
		Name: "c",
		Pick: func(_ context.Context, events []event.Event) ([]event.Event, error) {
			if asked.Add(1) == 2 {
				return nil, errors.New("not now")
			}
			return slices.DeleteFunc(slices.Clone(events), func(e event.Event) bool { return e.OrganizationID != one }), nil
		},
		Handle: func(ctx context.Context, tx *db.Tx, e event.Event) error {
			handled.Add(1)
			return note(ctx, tx, e)
		},
	})
	start(t, l)
	for i := range 200 {
		add(t, d, two, "n", i)
		if i%20 == 19 {
			add(t, d, one, "n", i)
		}
	}
	until(t, "10 effects", func() bool { return len(noted(t, d)) == 10 })
	if got := noted(t, d); !slices.IsSorted(got) || len(slices.Compact(got)) != 10 {
		t.Errorf("out of order or twice: %v", got)
	}
	if n := handled.Load(); n != 10 {
		t.Errorf("%d events were handled, want 10", n)
	}
}
