package job_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/testkit"
)

// command runs an effect under a key and returns what it made.
type command struct {
	d    *db.DB
	runs atomic.Int64
}

func (c *command) do(ctx context.Context, org id.ID, k job.Key, input any) (made id.ID, err error) {
	err = c.d.InTx(db.WithTenant(ctx, org), func(ctx context.Context, tx *db.Tx) error {
		made, err = job.Once(ctx, tx, k, input, func() (id.ID, error) {
			c.runs.Add(1)
			return id.New(id.Message), nil
		})
		return err
	})
	return made, err
}

type input struct {
	To   string
	Tags map[string]int
	N    float64
}

func TestACommandWithAKeyActsOnce(t *testing.T) {
	t.Parallel()
	c := command{d: testkit.DB(t)}
	org, user := id.New(id.Organization), id.New(id.User)
	key := job.Key{User: user, Mutation: "messageSend", Key: "k1"}
	in := input{To: "x", Tags: map[string]int{"a": 1, "b": 2}, N: 1.5}
	first, err := c.do(t.Context(), org, key, in)
	if err != nil || first.IsZero() {
		t.Fatal(first, err)
	}
	for name, x := range map[string]struct {
		why   string
		org   id.ID
		key   job.Key
		input any
		same  bool
		code  errs.Code
	}{
		"the same again":         {"a repetition gets what was made", org, key, in, true, ""},
		"equal input":            {"the order of a map says nothing", org, key, map[string]any{"N": 1.5, "Tags": map[string]any{"b": 2, "a": 1}, "To": "x"}, true, ""},
		"other input":            {"a key stands for one command", org, key, input{To: "y"}, false, errs.IdempotencyReused},
		"another key":            {"it is another command", org, job.Key{User: user, Mutation: "messageSend", Key: "k2"}, in, false, ""},
		"another mutation":       {"keys are per mutation", org, job.Key{User: user, Mutation: "callStart", Key: "k1"}, in, false, ""},
		"another user":           {"keys are per user", org, job.Key{User: id.New(id.User), Mutation: "messageSend", Key: "k1"}, in, false, ""},
		"another organization":   {"keys are per organization", id.New(id.Organization), key, in, false, ""},
		"no key":                 {"then nothing is remembered", org, job.Key{User: user, Mutation: "messageSend"}, in, false, ""},
		"a key that is too long": {"it comes from outside", org, job.Key{User: user, Mutation: "m", Key: strings.Repeat("x", job.MaxKey+1)}, in, false, errs.Invalid},
		"a key with a zero byte": {"PostgreSQL takes none", org, job.Key{User: user, Mutation: "m", Key: "a\x00"}, in, false, errs.Invalid},
		"no user":                {"our own mistake", org, job.Key{Mutation: "m", Key: "a"}, in, false, errs.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.do(t.Context(), x.org, x.key, x.input)
			switch {
			case x.code != "" && !errs.IsCode(err, x.code):
				t.Errorf("got %v, want %s: %s", err, x.code, x.why)
			case x.code == "" && err != nil:
				t.Errorf("got %v: %s", err, x.why)
			case x.code == "" && (got == first) != x.same:
				t.Errorf("made %s after %s: %s", got, first, x.why)
			}
		})
	}
}

func TestARolledBackCommandForgetsItsKey(t *testing.T) {
	t.Parallel()
	c := command{d: testkit.DB(t)}
	org := id.New(id.Organization)
	key := job.Key{User: id.New(id.User), Mutation: "m", Key: "k"}
	boom := errors.New("boom")
	err := c.d.InTx(db.WithTenant(t.Context(), org), func(ctx context.Context, tx *db.Tx) error {
		_, err := job.Once(ctx, tx, key, 1, func() (id.ID, error) { return id.ID{}, boom })
		return err
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	// Also with other input: nothing happened under this key.
	if _, err := c.do(t.Context(), org, key, 2); err != nil || c.runs.Load() != 1 {
		t.Errorf("%v, %d runs", err, c.runs.Load())
	}
}

func TestTheSecondCallerIsToldThatTheFirstStillRuns(t *testing.T) {
	t.Parallel()
	c := command{d: testkit.DB(t)}
	org := id.New(id.Organization)
	key := job.Key{User: id.New(id.User), Mutation: "m", Key: "k"}
	var made id.ID
	err := c.d.InTx(db.WithTenant(t.Context(), org), func(ctx context.Context, tx *db.Tx) (err error) {
		made, err = job.Once(ctx, tx, key, 1, func() (id.ID, error) {
			if _, err := c.do(t.Context(), org, key, 1); !errs.IsCode(err, errs.InProgress) {
				t.Errorf("during the effect: %v", err)
			}
			return id.New(id.Message), nil
		})
		if _, err := c.do(t.Context(), org, key, 1); !errs.IsCode(err, errs.InProgress) {
			t.Errorf("before the commit: %v", err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.do(t.Context(), org, key, 1); err != nil || again != made {
		t.Errorf("after the commit: %s, %v; want %s", again, err, made)
	}
	if c.runs.Load() != 0 {
		t.Errorf("%d further effects", c.runs.Load())
	}
}

func TestManyAtOnceActOnce(t *testing.T) {
	t.Parallel()
	c := command{d: testkit.DB(t)}
	org := id.New(id.Organization)
	for round := range 20 {
		key := job.Key{User: id.New(id.User), Mutation: "m", Key: "k"}
		before := c.runs.Load()
		var wg sync.WaitGroup
		var mu sync.Mutex
		made := map[id.ID]int{}
		for range 8 {
			wg.Go(func() {
				got, err := c.do(t.Context(), org, key, round)
				if errs.IsCode(err, errs.InProgress) {
					return
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				made[got]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if c.runs.Load()-before != 1 || len(made) != 1 {
			t.Errorf("round %d: %d effects, made %v", round, c.runs.Load()-before, made)
		}
	}
}

func TestKeysAreForgottenAfterADay(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(begin)
	c := command{d: testkit.DB(t, testkit.Clock(clk))}
	org := id.New(id.Organization)
	key := job.Key{User: id.New(id.User), Mutation: "m", Key: "k"}
	first, err := c.do(t.Context(), org, key, 1)
	if err != nil {
		t.Fatal(err)
	}
	clk.Advance(job.KeyLifetime - time.Second)
	r := job.New(c.d, clk, quick())
	t.Cleanup(r.Stop)
	if err := r.RunSweeps(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := c.do(t.Context(), org, key, 1); err != nil || again != first {
		t.Errorf("a second before its end: %s, %v", again, err)
	}
	clk.Advance(time.Second)
	second, err := c.do(t.Context(), org, key, "other input") // also before a sweep came by
	if err != nil || second == first {
		t.Errorf("after a day: %s, %v", second, err)
	}
	clk.Advance(job.KeyLifetime)
	if err := r.RunSweeps(t.Context()); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := c.d.WorkerPool().QueryRow(t.Context(), `SELECT count(*) FROM idempotency_key`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d keys are left, %v", n, err)
	}
}
