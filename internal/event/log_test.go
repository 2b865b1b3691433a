package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var keys = sync.OnceValue(func() *secret.Keyring {
	k, err := secret.New()
	if err != nil {
		panic(err)
	}
	return k
})

// newLog makes a log that is not started.
func newLog(t testing.TB, d *db.DB, o event.Options) *event.Log {
	t.Helper()
	o.Sealer, o.Logger = keys(), slog.New(slog.DiscardHandler)
	l, err := event.New(d, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func start(t testing.TB, l *event.Log) *event.Log {
	t.Helper()
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	return l
}

// add appends one event for each number, in one transaction.
func add(t testing.TB, d *db.DB, org id.ID, kind event.Kind, numbers ...int) {
	t.Helper()
	if err := tryAdd(t.Context(), d, org, kind, numbers...); err != nil {
		t.Error(err)
	}
}

func tryAdd(ctx context.Context, d *db.DB, org id.ID, kind event.Kind, numbers ...int) error {
	return d.InTx(db.WithTenant(ctx, org), func(ctx context.Context, tx *db.Tx) error {
		events := make([]event.Event, len(numbers))
		for i, n := range numbers {
			events[i] = event.Event{Kind: kind, Data: json.RawMessage(fmt.Sprintf(`{"n": %d}`, n))}
		}
		return event.Append(ctx, tx, events...)
	})
}

func number(t testing.TB, e event.Event) int {
	t.Helper()
	var v struct{ N int }
	if err := json.Unmarshal(e.Data, &v); err != nil {
		t.Error(err)
	}
	return v.N
}

// next waits for one event.
func next(t testing.TB, s *event.Subscription) event.Event {
	t.Helper()
	select {
	case e, ok := <-s.C():
		if !ok {
			t.Fatalf("the subscription ended: %v", s.Err())
		}
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event within 20 s")
	}
	return event.Event{}
}

func subscribe(t testing.TB, l *event.Log, org id.ID, after string, kinds ...event.Kind) *event.Subscription {
	t.Helper()
	s, err := l.Subscribe(t.Context(), event.SubscribeOptions{Organization: org, After: after, Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ended waits for the end of a subscription and returns its error.
func ended(t testing.TB, s *event.Subscription) error {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case _, ok := <-s.C():
			if !ok {
				return s.Err()
			}
		case <-deadline:
			t.Fatal("the subscription does not end")
		}
	}
}

// stamped reads the whole log.
func stamped(t testing.TB, d *db.DB) (seqs []int64, unstamped int) {
	t.Helper()
	rows, err := d.WorkerPool().Query(t.Context(), `SELECT seq FROM event ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq *int64
		if err := rows.Scan(&seq); err != nil {
			t.Fatal(err)
		}
		if seq == nil {
			unstamped++
		} else {
			seqs = append(seqs, *seq)
		}
	}
	return seqs, unstamped
}

func TestAnEventReachesItsOrganizationAndNoOther(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	d := testkit.DB(t, testkit.Clock(clock.NewFake(at)))
	l := start(t, newLog(t, d, event.Options{}))
	ours, theirs := id.New(id.Organization), id.New(id.Organization)
	s := subscribe(t, l, ours, "")
	actor, subject := id.New(id.User), id.New(id.Call)

	add(t, d, theirs, "call.rang", 1)
	err := d.InTx(db.WithTenant(t.Context(), ours), func(ctx context.Context, tx *db.Tx) error {
		return event.Append(ctx, tx, event.Event{Kind: "call.answered", Subject: subject, ActorID: actor, Data: json.RawMessage(`{"n": 2, "text": "a\u0000\\u0000b"}`)})
	})
	if err != nil {
		t.Fatal(err)
	}
	e := next(t, s)
	if e.OrganizationID != ours || e.Kind != "call.answered" || e.Subject != subject || e.ActorID != actor || !e.At.Equal(at) ||
		e.ID.Kind() != id.Event || e.Seq != 2 || number(t, e) != 2 {
		t.Errorf("got %+v", e)
	}
	var v struct{ Text string }
	if err := json.Unmarshal(e.Data, &v); err != nil || v.Text != `a\u0000b` {
		t.Errorf("the text is %q, %v: a zero byte goes, an escaped backslash stays", v.Text, err)
	}
}

func TestARolledBackTransactionLeavesNoEvent(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	l := start(t, newLog(t, d, event.Options{}))
	org := id.New(id.Organization)
	s := subscribe(t, l, org, "")
	boom := errors.New("boom")
	err := d.InTx(db.WithTenant(t.Context(), org), func(ctx context.Context, tx *db.Tx) error {
		if err := event.Append(ctx, tx, event.Event{Kind: "lost"}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	add(t, d, org, "kept", 1)
	if e := next(t, s); e.Kind != "kept" || e.Seq != 1 {
		t.Errorf("got %+v", e)
	}
}

func TestAppendRefusesWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	org := id.New(id.Organization)
	for name, c := range map[string]struct {
		why   string
		org   id.ID
		event event.Event
	}{
		"no organization": {why: "nobody could read it", event: event.Event{Kind: "x"}},
		"no kind":         {why: "nobody could want it", org: org},
		"long kind":       {why: "kinds are words", org: org, event: event.Event{Kind: event.Kind(make([]byte, 65))}},
		"no JSON":         {why: "it could not be stored", org: org, event: event.Event{Kind: "x", Data: json.RawMessage(`{`)}},
		"large data":      {why: "the ring and the bus hold it", org: org, event: event.Event{Kind: "x", Data: json.RawMessage(`"` + string(slices.Repeat([]byte("a"), event.MaxData)) + `"`)}},
	} {
		err := d.InTx(db.WithTenant(t.Context(), c.org), func(ctx context.Context, tx *db.Tx) error { return event.Append(ctx, tx, c.event) })
		if !errs.IsCode(err, errs.Internal) {
			t.Errorf("%s: got %v, but %s", name, err, c.why)
		}
	}
}

// Identity values are not the order of commits: the transaction that began first ends last.
func TestALateCommitterIsNotSkipped(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	l := start(t, newLog(t, d, event.Options{}))
	org := id.New(id.Organization)
	s := subscribe(t, l, org, "")
	err := d.InTx(db.WithTenant(t.Context(), org), func(ctx context.Context, tx *db.Tx) error {
		if err := event.Append(ctx, tx, event.Event{Kind: "early", Data: json.RawMessage(`{"n": 1}`)}); err != nil {
			return err
		}
		add(t, d, org, "late", 2)
		if e := next(t, s); e.Kind != "late" || e.Seq != 1 {
			t.Errorf("first came %+v", e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := next(t, s); e.Kind != "early" || e.Seq != 2 {
		t.Errorf("then came %+v", e)
	}
}

// Three nodes stamp at once while writers commit and roll back; every node's
// subscriber gets everything, once and in order, without a gap in the sequence.
func TestThreeRelaysLoseNothingAndLeaveNoGap(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t, testkit.MaxConns(16))
	org := id.New(id.Organization)
	const writers, each = 8, 40
	var subs []*event.Subscription
	for range 3 {
		l := start(t, newLog(t, d, event.Options{Sweep: 20 * time.Millisecond}))
		subs = append(subs, subscribe(t, l, org, ""))
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	var committed atomic.Int64
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for i := range each {
				n := 1 + r.IntN(3)
				var numbers []int
				for j := range n {
					numbers = append(numbers, w*1_000_000+i*10+j)
				}
				boom := errors.New("boom")
				err := d.InTx(db.WithTenant(t.Context(), org), func(ctx context.Context, tx *db.Tx) error {
					for _, x := range numbers {
						if err := event.Append(ctx, tx, event.Event{Kind: "n", Data: json.RawMessage(fmt.Sprintf(`{"n": %d}`, x))}); err != nil {
							return err
						}
					}
					if r.IntN(4) == 0 {
						return boom
					}
					return nil
				})
				if err == nil {
					committed.Add(int64(n))
				} else if !errors.Is(err, boom) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i, s := range subs {
		last := map[int]int{}
		for want := int64(1); want <= committed.Load(); want++ {
			e := next(t, s)
			if e.Seq != want {
				t.Fatalf("node %d: got sequence %d, want %d", i, e.Seq, want)
			}
			n := number(t, e)
			if w := n / 1_000_000; n <= last[w] && last[w] != 0 {
				t.Fatalf("node %d: writer %d's %d came after its %d", i, w, n, last[w])
			} else {
				last[w] = n
			}
		}
	}
	seqs, unstamped := stamped(t, d)
	if unstamped != 0 || int64(len(seqs)) != committed.Load() || seqs[len(seqs)-1] != committed.Load() {
		t.Errorf("%d committed, %d stamped up to %d, %d unstamped", committed.Load(), len(seqs), seqs[len(seqs)-1], unstamped)
	}
}

// What a process committed before it died is delivered by whoever relays next.
func TestWhatWasCommittedWithoutARelayIsDelivered(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	org := id.New(id.Organization)
	idle := newLog(t, d, event.Options{})
	add(t, d, org, "n", 1, 2, 3) // committed; the process dies before its relay stamps

	l := start(t, newLog(t, d, event.Options{}))
	s := subscribe(t, l, org, idle.Cursor(org, 0))
	for want := 1; want <= 3; want++ {
		if got := number(t, next(t, s)); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	if h, err := l.Health(t.Context()); err != nil || h.Outbox != 0 || h.Lag != 0 {
		t.Errorf("health is %+v, %v", h, err)
	}
}

// A stamped event whose copy never came (its node died between commit and publish) is read from the table.
func TestANodeReadsWhatItWasNotTold(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	org := id.New(id.Organization)
	l := start(t, newLog(t, d, event.Options{Sweep: 20 * time.Millisecond}))
	s := subscribe(t, l, org, "")
	// As another node does it, all in the database.
	_, err := d.WorkerPool().Exec(t.Context(), `WITH r AS (UPDATE system.relay SET last_seq = last_seq + 1 RETURNING last_seq)
		INSERT INTO event (organization_id, id, seq, kind, data, at) SELECT $1, $2, last_seq, 'n', '{"n": 7}', $3 FROM r`,
		org, id.New(id.Event), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := number(t, next(t, s)); got != 7 {
		t.Errorf("got %d", got)
	}
	if c := l.Counters(); c.Filled != 1 || c.Stamped != 0 || c.LastSeq != 1 {
		t.Errorf("counters are %+v", c)
	}
}

func TestStopEndsSubscriptions(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	l := start(t, newLog(t, d, event.Options{}))
	org := id.New(id.Organization)
	s := subscribe(t, l, org, "")
	ctx, cancel := context.WithCancel(t.Context())
	gone, err := l.Subscribe(ctx, event.SubscribeOptions{Organization: org})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := ended(t, gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a reader that left ended with %v", err)
	}
	l.Stop()
	if err := ended(t, s); !errors.Is(err, event.ErrStopped) {
		t.Errorf("the others ended with %v", err)
	}
	if _, err := l.Subscribe(t.Context(), event.SubscribeOptions{Organization: org}); !errs.IsCode(err, errs.Unavailable) {
		t.Errorf("a late one got %v", err)
	}
	if n := l.Counters().Subscribers; n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

func TestHeadIsBeforeWhatComes(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	l := newLog(t, d, event.Options{})
	org := id.New(id.Organization)
	if seq, err := l.Head(t.Context(), org); err != nil || seq != 0 {
		t.Errorf("head of a log that does not run is %d, %v", seq, err)
	}
	start(t, l)
	s := subscribe(t, l, org, "")
	add(t, d, org, "n", 1, 2)
	next(t, s)
	next(t, s)
	seq, err := l.Head(t.Context(), org)
	if err != nil || seq != 2 {
		t.Errorf("head is %d, %v", seq, err)
	}
	add(t, d, org, "n", 3)
	if got := number(t, next(t, subscribe(t, l, org, l.Cursor(org, seq)))); got != 3 {
		t.Errorf("after the head came %d", got)
	}
}

// The app role can neither change nor remove what happened, nor read another tenant's.
func TestTheAppRoleOnlyAppendsAndReads(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	ours, theirs := id.New(id.Organization), id.New(id.Organization)
	add(t, d, ours, "n", 1)
	ctx := db.WithTenant(t.Context(), ours)
	for _, q := range []string{`UPDATE event SET kind = 'x'`, `DELETE FROM event`, `UPDATE system.relay SET last_seq = 0`, `DELETE FROM event_parked`} {
		if _, err := db.Exec(ctx, d.App(), q); err == nil {
			t.Errorf("the app role may %s", q)
		}
	}
	var n int
	if err := db.Select(db.WithTenant(t.Context(), theirs), d.App(), &n, `SELECT count(*) FROM event`); err != nil || n != 0 {
		t.Errorf("another tenant sees %d events, %v", n, err)
	}
}
