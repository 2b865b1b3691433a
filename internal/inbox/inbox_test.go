package inbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/inbox"
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

func newBox(t testing.TB, d *db.DB, o inbox.Options) *inbox.Box {
	t.Helper()
	o.Sealer, o.Logger = keys(), slog.New(slog.DiscardHandler)
	b, err := inbox.New(d, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newPost(kind inbox.Kind, key string) inbox.Post {
	return inbox.Post{
		Organization: id.New(id.Organization), Connection: id.New(id.Connection), Kind: kind, Key: key,
		Path: "/twilio/conn/key/status", Form: url.Values{"CallSid": {"CA1"}, "Body": {"it's a secret", "twice"}},
	}
}

// effects are counted in the database, by audit entries of the transaction.
func effect(answer inbox.Answer, err error) inbox.Effect {
	return func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
		if _, e := tx.Pgx().Exec(ctx, `INSERT INTO audit_entry (organization_id, id, action, detail, at) VALUES ($1, $2, 'effect', '{}', $3)`,
			db.TenantFrom(ctx), id.New(id.Audit), tx.Now); e != nil {
			return inbox.Answer{}, e
		}
		return answer, err
	}
}

func effects(t testing.TB, d *db.DB) (n int) {
	t.Helper()
	if err := d.WorkerPool().QueryRow(t.Context(), `SELECT count(*) FROM audit_entry`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// posts counts the stored posts by status.
func posts(t testing.TB, d *db.DB, status string) (n int) {
	t.Helper()
	if err := d.WorkerPool().QueryRow(t.Context(), `SELECT count(*) FROM twilio_post WHERE status = $1`, status).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

var hello = inbox.Answer{Status: 200, ContentType: "text/xml", Body: []byte("<Response><Say>Hello</Say></Response>")}

func TestAPostIsTakenOnceAndItsAnswerReplayed(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{})
	for _, kind := range []inbox.Kind{inbox.Callback, inbox.TwiML} {
		p := newPost(kind, "k")
		before := effects(t, d)
		for i := range 3 {
			got, err := b.Once(t.Context(), p, effect(hello, nil))
			if err != nil || cmp.Diff(hello, got) != "" {
				t.Errorf("%s %d: %v, %s", kind, i, err, cmp.Diff(hello, got))
			}
		}
		if n := effects(t, d) - before; n != 1 {
			t.Errorf("%s: %d effects", kind, n)
		}
		for name, q := range map[string]inbox.Post{
			"another key":          {Organization: p.Organization, Connection: p.Connection, Kind: kind, Key: "k2"},
			"another connection":   {Organization: p.Organization, Connection: id.New(id.Connection), Kind: kind, Key: "k"},
			"another organization": {Organization: id.New(id.Organization), Connection: p.Connection, Kind: kind, Key: "k"},
		} {
			before := effects(t, d)
			if _, err := b.Once(t.Context(), q, effect(hello, nil)); err != nil || effects(t, d) != before+1 {
				t.Errorf("%s with %s is another post: %v", kind, name, err)
			}
		}
	}
}

func TestACallbackWithoutWordsIsAnswered204(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{})
	p := newPost(inbox.Callback, "k")
	for range 2 {
		if got, err := b.Once(t.Context(), p, effect(inbox.Taken, nil)); err != nil || cmp.Diff(inbox.Taken, got) != "" {
			t.Errorf("%v, %+v", err, got)
		}
	}
	if effects(t, d) != 1 {
		t.Errorf("%d effects", effects(t, d))
	}
}

func TestTenCopiesAtOnceHaveOneEffectAndTenEqualAnswers(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t, testkit.MaxConns(16))
	b := newBox(t, d, inbox.Options{})
	for round := range 20 {
		p := newPost(inbox.TwiML, "k")
		before := effects(t, d)
		var n atomic.Int64
		var wg sync.WaitGroup
		answers := make([]inbox.Answer, 10)
		for i := range answers {
			wg.Go(func() {
				var err error
				answers[i], err = b.Once(t.Context(), p, func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
					return effect(inbox.Answer{Status: 200, Body: fmt.Appendf(nil, "answer %d", n.Add(1))}, nil)(ctx, tx)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, a := range answers {
			if diff := cmp.Diff(answers[0], a); diff != "" {
				t.Errorf("round %d: %s", round, diff)
			}
		}
		if got := effects(t, d) - before; got != 1 || n.Load() != 1 {
			t.Errorf("round %d: %d effects in the database, %d runs", round, got, n.Load())
		}
	}
}

// Ten copies of a callback whose effect fails: one run, one FAILED post, ten 2xx.
func TestTenCopiesOfAFailingCallbackRunItOnce(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t, testkit.MaxConns(16))
	b := newBox(t, d, inbox.Options{})
	p := newPost(inbox.Callback, "k")
	var n atomic.Int64
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			a, err := b.Once(t.Context(), p, func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
				n.Add(1)
				return effect(inbox.Answer{}, errors.New("a bug"))(ctx, tx)
			})
			if err != nil || a.Status != 204 {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	wg.Wait()
	if n.Load() != 1 || posts(t, d, "FAILED") != 1 || effects(t, d) != 0 {
		t.Errorf("%d runs, %d failed posts, %d effects", n.Load(), posts(t, d, "FAILED"), effects(t, d))
	}
}

func TestAFailedCallbackIsKeptAndTriedAgain(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]inbox.Effect{
		"an error": effect(inbox.Answer{}, errors.New("a bug")),
		"a panic":  func(context.Context, *db.Tx) (inbox.Answer, error) { panic("a bug") },
		"a statement that fails": func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
			_, err := tx.Pgx().Exec(ctx, `SELECT 1/0`)
			return inbox.Answer{}, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clk := clock.NewFake(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
			d := testkit.DB(t, testkit.Clock(clk))
			b := newBox(t, d, inbox.Options{Backoff: []time.Duration{time.Minute, time.Hour}})
			p := newPost(inbox.Callback, "k")
			received := clk.Now()
			for range 2 {
				if a, err := b.Once(t.Context(), p, broken); err != nil || a.Status != 204 {
					t.Fatalf("%+v, %v", a, err)
				}
			}
			if effects(t, d) != 0 || posts(t, d, "FAILED") != 1 {
				t.Fatalf("%d effects, %d failed posts", effects(t, d), posts(t, d, "FAILED"))
			}

			var got []inbox.Post
			fail := true
			b.Retry(func(ctx context.Context, tx *db.Tx, p inbox.Post) (inbox.Answer, error) {
				got = append(got, p)
				if db.TenantFrom(ctx) != p.Organization {
					t.Errorf("the tenant is %s", db.TenantFrom(ctx))
				}
				if fail {
					return effect(inbox.Answer{}, errors.New("still"))(ctx, tx)
				}
				return effect(inbox.Taken, nil)(ctx, tx)
			})
			sweep := func(step time.Duration) {
				t.Helper()
				clk.Advance(step)
				if err := b.RetryDue(t.Context(), clk.Now()); err != nil {
					t.Fatal(err)
				}
			}
			sweep(59 * time.Second)
			if len(got) != 0 {
				t.Fatal("tried before its time")
			}
			sweep(time.Second)
			want := p
			want.ReceivedAt, want.Attempts = received, 1
			if len(got) != 1 || cmp.Diff(want, got[0], cmp.Comparer(func(a, b id.ID) bool { return a == b })) != "" {
				t.Fatalf("%d tries, %s", len(got), cmp.Diff(want, got[0], cmp.Comparer(func(a, b id.ID) bool { return a == b })))
			}
			fail = false
			sweep(59 * time.Minute)
			if len(got) != 1 || effects(t, d) != 0 {
				t.Fatal("tried before its time")
			}
			sweep(time.Minute)
			if len(got) != 2 || got[1].Attempts != 2 || effects(t, d) != 1 || posts(t, d, "FAILED") != 0 {
				t.Errorf("%d tries, %d effects, %d failed posts", len(got), effects(t, d), posts(t, d, "FAILED"))
			}
			sweep(24 * time.Hour)
			if a, err := b.Once(t.Context(), p, broken); err != nil || a.Status != 204 || len(got) != 2 || effects(t, d) != 1 {
				t.Errorf("a late copy: %+v, %v", a, err)
			}
		})
	}
}

// TestLastStatementsThatAreRefusedAreAFailure leaves a write for the commit that breaks a rule of the table.
func TestLastStatementsThatAreRefusedAreAFailure(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	d := testkit.DB(t, testkit.Clock(clk))
	b := newBox(t, d, inbox.Options{})
	broken := true
	last := func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
		action := "effect"
		if broken {
			action = "" // audit_entry_action_length
		}
		batch := &pgx.Batch{}
		batch.Queue(`INSERT INTO audit_entry (organization_id, id, action, detail, at) VALUES ($1, $2, $3, '{}', $4)`, db.TenantFrom(ctx), id.New(id.Audit), action, tx.Now)
		tx.Last(batch)
		return inbox.Taken, nil
	}
	b.Retry(func(ctx context.Context, tx *db.Tx, _ inbox.Post) (inbox.Answer, error) { return last(ctx, tx) })
	if got, err := b.Once(t.Context(), newPost(inbox.Callback, "k"), last); err != nil || got.Status != 204 {
		t.Fatalf("%+v, %v", got, err)
	}
	if n := posts(t, d, "FAILED"); n != 1 || effects(t, d) != 0 {
		t.Fatalf("%d posts are kept as failed, %d effects", n, effects(t, d))
	}
	for range 2 { // refused again, then not
		clk.Advance(time.Minute)
		if err := b.RetryDue(t.Context(), clk.Now()); err != nil {
			t.Fatal(err)
		}
		if broken && (posts(t, d, "FAILED") != 1 || effects(t, d) != 0) {
			t.Fatal("a refused effect is done")
		}
		broken = false
	}
	if n := posts(t, d, "DONE"); n != 1 || effects(t, d) != 1 {
		t.Errorf("%d posts are done, %d effects", n, effects(t, d))
	}
	broken = true
	if _, err := b.Once(t.Context(), newPost(inbox.TwiML, "k"), last); !errors.Is(err, inbox.ErrFailed) {
		t.Errorf("a question whose effect is refused: %v", err)
	}
	// What a failed effect left for the commit goes with it.
	broken = false
	if _, err := b.Once(t.Context(), newPost(inbox.Callback, "other"), func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
		_, _ = last(ctx, tx)
		return inbox.Answer{}, errors.New("no")
	}); err != nil || effects(t, d) != 1 {
		t.Errorf("%v, %d effects", err, effects(t, d))
	}
}

// TestWhatGoesAheadIsAPartOfTheEffect sends a write of the effect together with the post.
func TestWhatGoesAheadIsAPartOfTheEffect(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	d := testkit.DB(t, testkit.Clock(clk))
	b := newBox(t, d, inbox.Options{})
	ahead := func(p inbox.Post, action string) inbox.Post {
		p.Ahead = func(b *pgx.Batch) {
			b.Queue(`INSERT INTO audit_entry (organization_id, id, action, detail, at) VALUES ($1, $2, $3, '{}', $4)`, p.Organization, id.New(id.Audit), action, clk.Now())
		}
		return p
	}
	ran := 0
	run := func(fail error) inbox.Effect {
		return func(context.Context, *db.Tx) (inbox.Answer, error) { ran++; return inbox.Taken, fail }
	}
	for why, x := range map[string]struct {
		action  string
		fail    error
		copies  int
		effects int
		status  string
	}{
		"it is committed with the post":          {action: "effect", copies: 1, effects: 1, status: "DONE"},
		"a repetition undoes it":                 {action: "effect", copies: 3, effects: 1, status: "DONE"},
		"it is undone with an effect that fails": {action: "effect", fail: errors.New("no"), copies: 2, status: "FAILED"},
		"refused, the effect has failed":         {action: "", copies: 2, status: "FAILED"},
	} {
		before, kept := effects(t, d), posts(t, d, x.status)
		ran = 0
		p := newPost(inbox.Callback, why)
		for range x.copies {
			if got, err := b.Once(t.Context(), ahead(p, x.action), run(x.fail)); err != nil || got.Status != 204 {
				t.Errorf("%s: %+v, %v", why, got, err)
			}
		}
		if n, m := effects(t, d)-before, posts(t, d, x.status)-kept; n != x.effects || m != 1 || ran > 1 {
			t.Errorf("%s: %d effects, %d posts are %s, it ran %d times", why, n, m, x.status, ran)
		}
	}
}

func TestACallbackThatFailsForEverIsGivenUp(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	d := testkit.DB(t, testkit.Clock(clk))
	b := newBox(t, d, inbox.Options{Backoff: []time.Duration{time.Minute, time.Minute}})
	broken := effect(inbox.Answer{}, errors.New("a bug"))
	if _, err := b.Once(t.Context(), newPost(inbox.Callback, "k"), broken); err != nil {
		t.Fatal(err)
	}
	if h, err := b.Health(t.Context()); err != nil || h != (inbox.Health{Retrying: 1}) {
		t.Errorf("health is %+v, %v", h, err)
	}
	tries := 0
	b.Retry(func(ctx context.Context, tx *db.Tx, _ inbox.Post) (inbox.Answer, error) {
		tries++
		return broken(ctx, tx)
	})
	for range 5 {
		clk.Advance(time.Hour)
		if err := b.RetryDue(t.Context(), clk.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if h, err := b.Health(t.Context()); err != nil || h != (inbox.Health{GivenUp: 1}) || tries != 2 {
		t.Errorf("%d tries, health is %+v, %v", tries, h, err)
	}
}

func TestAFailedQuestionGetsItsSafeAnswerAgain(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{})
	p := newPost(inbox.TwiML, "k")
	bug := errors.New("a bug")
	for range 2 { // also a copy that comes before the safe answer is stored
		_, err := b.Once(t.Context(), p, effect(inbox.Answer{}, bug))
		if !errors.Is(err, inbox.ErrFailed) || errs.IsCode(err, errs.Unavailable) {
			t.Errorf("got %v", err)
		}
		if effects(t, d) != 0 || posts(t, d, "FAILED") != 1 {
			t.Errorf("%d effects, %d failed posts", effects(t, d), posts(t, d, "FAILED"))
		}
	}
	safe := inbox.Answer{Status: 200, ContentType: "text/xml", Body: []byte("<Response><Record/></Response>")}
	if err := b.StoreAnswer(t.Context(), p, safe); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Once(t.Context(), p, effect(hello, nil)); err != nil || cmp.Diff(safe, got) != "" {
		t.Errorf("%v, %s", err, cmp.Diff(safe, got))
	}
	if effects(t, d) != 0 {
		t.Errorf("%d effects", effects(t, d))
	}
}

// A hot row that somebody holds (reliability scenario 13): the caller hears the safe answer soon.
func TestALockedRowFailsTheEffectSoonAndKeepsThePost(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{LockTimeout: 50 * time.Millisecond})
	p := newPost(inbox.TwiML, "k")
	ctx := db.WithTenant(t.Context(), p.Organization)
	err := d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		const hot = `INSERT INTO idempotency_key (organization_id, user_id, mutation, key, input_hash, expires_at) VALUES ($1, $1, 'm', 'hot', '', $2)`
		if _, err := tx.Pgx().Exec(ctx, hot, p.Organization, tx.Now); err != nil {
			return err
		}
		begin := time.Now()
		_, err := b.Once(t.Context(), p, func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
			_, err := tx.Pgx().Exec(ctx, hot, p.Organization, tx.Now)
			return hello, err
		})
		if !errors.Is(err, inbox.ErrFailed) || time.Since(begin) > 2*time.Second {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
		return nil
	})
	if err != nil || posts(t, d, "FAILED") != 1 {
		t.Errorf("%v, %d failed posts", err, posts(t, d, "FAILED"))
	}
}

func TestACopyDoesNotWaitForEverForTheFirst(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{LockTimeout: 50 * time.Millisecond})
	p := newPost(inbox.Callback, "k")
	_, err := b.Once(t.Context(), p, func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
		_, err := b.Once(t.Context(), p, effect(inbox.Taken, nil))
		if !errs.IsCode(err, errs.Unavailable) {
			t.Errorf("the copy got %v", err)
		}
		return inbox.Taken, nil
	})
	if err != nil || posts(t, d, "DONE") != 1 {
		t.Errorf("the first got %v; %d posts", err, posts(t, d, "DONE"))
	}
}

// The effect's connection dies under it: the post is kept by another one.
func TestALostConnectionKeepsThePost(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	d := testkit.DB(t, testkit.Clock(clk))
	b := newBox(t, d, inbox.Options{Backoff: []time.Duration{time.Minute, time.Minute}})
	die := func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
		if a, err := effect(hello, nil)(ctx, tx); err != nil {
			return a, err
		}
		_, err := tx.Pgx().Exec(ctx, `RESET ROLE`) // the login may end its own connections
		if err != nil {
			t.Error(err)
		}
		_, err = tx.Pgx().Exec(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
		if !tx.Pgx().Conn().IsClosed() {
			t.Errorf("the connection lives: %v", err)
		}
		return hello, err
	}
	if a, err := b.Once(t.Context(), newPost(inbox.Callback, "k"), die); err != nil || a.Status != 204 {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := b.Once(t.Context(), newPost(inbox.TwiML, "k"), die); !errors.Is(err, inbox.ErrFailed) {
		t.Fatalf("got %v", err)
	}
	if effects(t, d) != 0 || posts(t, d, "FAILED") != 2 {
		t.Errorf("%d effects, %d failed posts", effects(t, d), posts(t, d, "FAILED"))
	}
	// The same while it is tried again.
	b.Retry(func(ctx context.Context, tx *db.Tx, _ inbox.Post) (inbox.Answer, error) { return die(ctx, tx) })
	for range 3 {
		clk.Advance(time.Hour)
		if err := b.RetryDue(t.Context(), clk.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if h, err := b.Health(t.Context()); err != nil || h.Retrying != 0 || h.GivenUp != 2 {
		t.Errorf("health is %+v, %v", h, err)
	}
}

func TestWithoutADatabaseNothingIsAnswered(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{})
	d.Close()
	for _, kind := range []inbox.Kind{inbox.Callback, inbox.TwiML} {
		if a, err := b.Once(t.Context(), newPost(kind, "k"), effect(hello, nil)); !errs.IsCode(err, errs.Unavailable) || a.Status != 0 {
			t.Errorf("%s: %+v, %v", kind, a, err)
		}
	}
}

// Two posts whose effects lock the same rows in opposite order: PostgreSQL ends one, which runs again.
func TestADeadlockIsNoFailure(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{})
	org := id.New(id.Organization)
	var runs atomic.Int64
	meet := make(chan struct{}, 1)
	cross := func(keys ...string) inbox.Effect {
		return func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
			first := runs.Add(1) <= 2
			for i, k := range keys {
				if _, err := tx.Pgx().Exec(ctx, `INSERT INTO idempotency_key (organization_id, user_id, mutation, key, input_hash, expires_at)
					VALUES ($1, $1, 'm', $2, '', $3) ON CONFLICT DO NOTHING`, org, k, tx.Now); err != nil {
					return inbox.Answer{}, err
				}
				if i == 0 && first { // both have their first row before either wants its second
					select {
					case meet <- struct{}{}:
						meet <- struct{}{}
					case <-meet:
						<-meet
					}
				}
			}
			return inbox.Taken, nil
		}
	}
	var wg sync.WaitGroup
	for i, k := range [][]string{{"a", "b"}, {"b", "a"}} {
		wg.Go(func() {
			p := newPost(inbox.Callback, fmt.Sprint(i))
			p.Organization = org
			if _, err := b.Once(t.Context(), p, cross(k...)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := posts(t, d, "DONE"); n != 2 || runs.Load() < 3 {
		t.Errorf("%d posts are done after %d runs", n, runs.Load())
	}
}

func TestTheWorkGoesOnWhenTwilioHangsUp(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Once(ctx, newPost(inbox.Callback, "k"), effect(inbox.Taken, nil)); err != nil || effects(t, d) != 1 {
		t.Errorf("%v, %d effects", err, effects(t, d))
	}
}

func TestAnEffectThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{TwiMLTimeout: 30 * time.Millisecond})
	_, err := b.Once(t.Context(), newPost(inbox.TwiML, "k"), func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
		_, err := tx.Pgx().Exec(ctx, `SELECT pg_sleep(30)`)
		return hello, err
	})
	if !errors.Is(err, inbox.ErrFailed) || posts(t, d, "FAILED") != 1 {
		t.Errorf("got %v, %d failed posts", err, posts(t, d, "FAILED"))
	}
}

func TestBodiesAreSealed(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{})
	p := newPost(inbox.Callback, "k")
	if _, err := b.Once(t.Context(), p, effect(inbox.Taken, nil)); err != nil {
		t.Fatal(err)
	}
	var body []byte
	if err := d.WorkerPool().QueryRow(t.Context(), `SELECT body FROM twilio_post`).Scan(&body); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(body, []byte("secret")) || bytes.Contains(body, []byte("CA1")) || len(body) == 0 {
		t.Errorf("the body is %q", body)
	}
}

// R017: the addresses in an answer hold the access key.
func TestAnswersAreSealed(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{})
	p := newPost(inbox.TwiML, "k")
	for range 2 {
		if got, err := b.Once(t.Context(), p, effect(hello, nil)); err != nil || cmp.Diff(hello, got) != "" {
			t.Fatalf("%v, %s", err, cmp.Diff(hello, got))
		}
	}
	var kept []byte
	if err := d.WorkerPool().QueryRow(t.Context(), `SELECT answer_body FROM twilio_post`).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(kept, []byte("Hello")) || len(kept) == 0 {
		t.Errorf("the answer is kept as %q", kept)
	}
}

func TestWhatIsNoPostIsRefused(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	b := newBox(t, d, inbox.Options{})
	for name, change := range map[string]func(*inbox.Post){
		"no key":          func(p *inbox.Post) { p.Key = "" },
		"a long key":      func(p *inbox.Post) { p.Key = string(make([]byte, inbox.MaxKey+1)) },
		"a zero byte":     func(p *inbox.Post) { p.Key = "a\x00" },
		"a long path":     func(p *inbox.Post) { p.Path = string(bytes.Repeat([]byte("a"), inbox.MaxPath+1)) },
		"a large body":    func(p *inbox.Post) { p.Form.Set("x", string(bytes.Repeat([]byte("a"), inbox.MaxBody))) },
		"no organization": func(p *inbox.Post) { p.Organization = id.ID{} },
		"an unknown kind": func(p *inbox.Post) { p.Kind = "EVENT" },
	} {
		p := newPost(inbox.Callback, "k")
		change(&p)
		if _, err := b.Once(t.Context(), p, effect(hello, nil)); err == nil || errs.IsCode(err, errs.Unavailable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if effects(t, d) != 0 {
		t.Errorf("%d effects", effects(t, d))
	}
}

func TestPostsAreDroppedAfterTheirTimeOrWithWhatTheyBrought(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	d := testkit.DB(t, testkit.Clock(clk))
	b := newBox(t, d, inbox.Options{})
	old, message := newPost(inbox.Callback, "old"), newPost(inbox.TwiML, "message")
	other := message
	other.Key = "other"
	take := func(p inbox.Post) {
		t.Helper()
		if _, err := b.Once(t.Context(), p, effect(hello, nil)); err != nil {
			t.Fatal(err)
		}
	}
	take(old)
	clk.Advance(30*24*time.Hour + time.Second)
	take(message)
	take(other)
	if err := b.Trim(t.Context(), clk.Now()); err != nil {
		t.Fatal(err)
	}
	if n := posts(t, d, "DONE"); n != 2 {
		t.Errorf("%d posts are left", n)
	}
	err := d.InTx(db.WithTenant(t.Context(), message.Organization), func(ctx context.Context, tx *db.Tx) error {
		return inbox.Drop(ctx, tx, message.Connection, message.Key)
	})
	if n := posts(t, d, "DONE"); err != nil || n != 1 {
		t.Errorf("%v, %d posts are left", err, n)
	}
}
