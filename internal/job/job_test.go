package job_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// ping is a job of the tests.
type ping struct {
	Organization id.ID `json:"organization"`
	N            int   `json:"n"`
}

func (ping) Kind() string    { return "ping" }
func (p ping) Tenant() id.ID { return p.Organization }

// hard is a job with its own limits.
type hard struct {
	N int `json:"n"`
}

func (hard) Kind() string            { return "hard" }
func (hard) InsertOpts() job.Options { return job.Options{Queue: job.Bulk, MaxAttempts: 3} }
func (hard) Timeout() time.Duration  { return 50 * time.Millisecond }

func quick() job.RunnerOptions {
	return job.RunnerOptions{FirstRetry: time.Millisecond, Logger: silent()}
}

// silent is a log that nobody reads: the tests fail jobs on purpose.
func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func start(t testing.TB, r *job.Runner) *job.Runner {
	t.Helper()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func insert(t testing.TB, d *db.DB, org id.ID, args ...job.Args) {
	t.Helper()
	err := d.InTx(db.WithTenant(t.Context(), org), func(ctx context.Context, tx *db.Tx) error { return job.InsertMany(ctx, tx, args...) })
	if err != nil {
		t.Fatal(err)
	}
}

func drain(t testing.TB, r *job.Runner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := r.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}

func jobs(t testing.TB, d *db.DB, state string) (n int) {
	t.Helper()
	if err := d.WorkerPool().QueryRow(t.Context(), `SELECT count(*) FROM system.river_job WHERE state::text = $1`, state).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAJobRunsAsItsOrganization(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	r := job.New(d, clock.Real{}, quick())
	var mu sync.Mutex
	got := map[int]id.ID{}
	job.Handle(r, func(ctx context.Context, p ping) error {
		mu.Lock()
		defer mu.Unlock()
		if a := job.AttemptFrom(ctx); a.N != 1 || a.Last {
			t.Errorf("attempt is %+v", a)
		}
		got[p.N] = db.TenantFrom(ctx)
		return nil
	})
	start(t, r)
	one, two := id.New(id.Organization), id.New(id.Organization)
	insert(t, d, one, ping{one, 1}, ping{one, 2})
	insert(t, d, two, ping{two, 3})
	drain(t, r)
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 3 || got[1] != one || got[2] != one || got[3] != two {
		t.Errorf("ran %v", got)
	}
}

func TestARolledBackTransactionLeavesNoJob(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	r := job.New(d, clock.Real{}, quick())
	var ran atomic.Int64
	job.Handle(r, func(context.Context, ping) error { ran.Add(1); return nil })
	start(t, r)
	boom := errors.New("boom")
	err := d.InTx(db.WithTenant(t.Context(), id.New(id.Organization)), func(ctx context.Context, tx *db.Tx) error {
		if err := job.Insert(ctx, tx, ping{N: 1}); err != nil {
			t.Error(err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	drain(t, r)
	if n := jobs(t, d, "completed"); n != 0 || ran.Load() != 0 {
		t.Errorf("%d jobs ran, %d are completed", ran.Load(), n)
	}
}

func TestAFailedJobIsTriedAgainUntilItsAttemptsAreUsedUp(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	r := job.New(d, clock.Real{}, quick())
	var mu sync.Mutex
	tries := map[int]int{}
	job.Handle(r, func(ctx context.Context, h hard) error {
		mu.Lock()
		tries[h.N]++
		n := tries[h.N]
		mu.Unlock()
		switch h.N {
		case 1: // succeeds the second time
			if n < 2 {
				return errors.New("not yet")
			}
			return nil
		case 2: // never does
			if last := job.AttemptFrom(ctx).Last; last != (n == 3) {
				t.Errorf("attempt %d is the last: %v", n, last)
			}
			return errors.New("never")
		case 3: // says that no other try helps
			return job.Cancel(errors.New("pointless"))
		case 4:
			panic("a bug")
		default: // takes too long, and notices
			<-ctx.Done()
			return ctx.Err()
		}
	})
	start(t, r)
	insert(t, d, id.ID{}, hard{1}, hard{2}, hard{3}, hard{4}, hard{5})
	drain(t, r)
	mu.Lock()
	if want := map[int]int{1: 2, 2: 3, 3: 1, 4: 3, 5: 3}; fmt.Sprint(tries) != fmt.Sprint(want) {
		t.Errorf("tries %v, want %v", tries, want)
	}
	mu.Unlock()
	h, err := r.Health(t.Context())
	if err != nil || h.Discarded != 3 || h.Available+h.Running+h.Retryable != 0 {
		t.Errorf("health is %+v, %v", h, err)
	}
}

// The wake-up comes by NOTIFY outside of the transaction; a NOTIFY inside would
// make every commit of the installation wait for the one before.
func TestInsertDoesNotNotifyInsideTheTransaction(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	pooled, err := d.WorkerPool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := pooled.Hijack()
	defer func() { _ = c.Close(context.Background()) }()
	if _, err := c.Exec(t.Context(), `LISTEN "system.river_insert"`); err != nil {
		t.Fatal(err)
	}
	insert(t, d, id.ID{}, ping{N: 1}) // nobody runs jobs here, so nobody wakes
	if _, err := d.WorkerPool().Exec(t.Context(), `SELECT pg_notify('system.river_insert', 'the first')`); err != nil {
		t.Fatal(err)
	}
	n, err := c.WaitForNotification(t.Context())
	if err != nil || n.Payload != "the first" {
		t.Errorf("a notification came from the transaction: %+v, %v", n, err)
	}
}

func TestAJobIsStartedAtOnce(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	r := job.New(d, clock.Real{}, quick())
	ran := make(chan struct{}, 100)
	job.Handle(r, func(context.Context, ping) error { ran <- struct{}{}; return nil })
	start(t, r)
	insert(t, d, id.ID{}, ping{})
	<-ran // the producers run
	var took []time.Duration
	for i := range 21 {
		begin := time.Now()
		insert(t, d, id.ID{}, ping{N: i})
		<-ran
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	// Polling alone would need half of 100 ms.
	if p50 := took[len(took)/2]; p50 > 45*time.Millisecond {
		t.Errorf("half of the jobs began after more than %s", p50)
	} else {
		t.Logf("insert to work: p50 %s, max %s", p50, took[len(took)-1])
	}
}

func TestStopLetsARunningJobFinish(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	r := job.New(d, clock.Real{}, quick())
	begun, release := make(chan struct{}), make(chan struct{})
	job.Handle(r, func(ctx context.Context, _ ping) error {
		close(begun)
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	insert(t, d, id.ID{}, ping{})
	<-begun
	stopped := make(chan struct{})
	go func() { r.Stop(); close(stopped) }()
	close(release)
	<-stopped
	if n := jobs(t, d, "completed"); n != 1 {
		t.Errorf("%d jobs are completed", n)
	}
}

// orphan inserts a job that runs for a client which is gone: kill -9 leaves it like that.
func orphan(t testing.TB, d *db.DB, n int) {
	t.Helper()
	insert(t, d, id.ID{}, later{N: n})
	if _, err := d.WorkerPool().Exec(t.Context(), `UPDATE system.river_job SET state = 'running', attempt = 1,
		attempted_at = $1, attempted_by = ARRAY['a client that died'] WHERE kind = 'later' AND state = 'scheduled'`, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// later is a job that nobody fetches before the test has made it an orphan.
type later struct {
	N int `json:"n"`
}

func (later) Kind() string { return "later" }
func (later) InsertOpts() job.Options {
	return job.Options{ScheduledAt: time.Now().Add(time.Hour)}
}

func TestADeadNodesJobsAreTakenOverAndALivingNodesAreNot(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	var runs atomic.Int64
	begun, release, over := make(chan struct{}, 10), make(chan struct{}), make(chan int, 10)
	node := func() *job.Runner {
		r := job.New(d, clock.Real{}, job.RunnerOptions{Logger: silent(), RescueEvery: 30 * time.Millisecond})
		job.Handle(r, func(context.Context, ping) error {
			runs.Add(1)
			begun <- struct{}{}
			<-release
			return nil
		})
		job.Handle(r, func(_ context.Context, l later) error { over <- l.N; return nil })
		return start(t, r)
	}
	node()
	insert(t, d, id.ID{}, ping{N: 1})
	<-begun
	node()
	for n := range 3 { // each needs two looks
		orphan(t, d, n)
		select {
		case got := <-over:
			if got != n {
				t.Errorf("taken over: %d, want %d", got, n)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("nobody took the job over")
		}
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("the living node's job ran %d times", n)
	}
	close(release)
}
