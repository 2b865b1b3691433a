package job

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
)

const (
	// fetchCooldown is River's; its default of 100 ms is the median wait of a job.
	fetchCooldown = 5 * time.Millisecond
	// fetchPoll bounds the wait of a job whose wake-up was lost.
	fetchPoll = 100 * time.Millisecond
	// stopTimeout is how long Stop waits; running jobs are cancelled somewhat earlier.
	stopTimeout = 10 * time.Second
)

// Queues. A job names another than default in its InsertOpts.
const (
	Default = river.QueueDefault
	// Bulk is for work in masses that must not hold up the rest.
	Bulk = "bulk"
	// Media is for what moves bytes: recordings, voicemails, attachments.
	Media = "media"
	// Delivery is for what waits for servers of others.
	Delivery = "delivery"
	// Export is for what writes long files.
	Export = "export"
)

// RunnerOptions are optional altogether.
type RunnerOptions struct {
	// Queues are the names with the number of jobs that run at once on this node
	// (default 10, bulk 4, media 4, delivery 32, export 4).
	Queues map[string]int
	// Logger takes what an operator may care about; slog.Default when nil.
	Logger *slog.Logger
	// Timeout bounds one attempt of a job that says nothing else (default 30 s).
	Timeout time.Duration
	// FirstRetry is the wait after the first failure (default 100 ms); every other
	// one is four times as long, up to LongestRetry (default 15 min).
	FirstRetry, LongestRetry time.Duration
	// RescueEvery is how often a node looks for the jobs of dead ones (default 2 s);
	// it takes them over at the second look.
	RescueEvery time.Duration
}

// Runner works jobs and sweeps on one node; any number of nodes may share a database.
type Runner struct {
	d   *db.DB
	clk clock.Clock
	o   RunnerOptions

	workers  *river.Workers
	handlers int
	sweeps   []*sweep
	client   *river.Client[riverTx]
	keeper   keeper

	wakeMu sync.Mutex // guards toWake
	toWake map[string]struct{}
	woken  chan struct{}

	life    sync.Mutex // guards started and stopped
	started bool
	stopped bool
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	key     string
}

// New makes a Runner on the clock that sweeps go by. Register handlers and
// sweeps, then Start it.
func New(d *db.DB, clk clock.Clock, o RunnerOptions) *Runner {
	if o.Queues == nil {
		o.Queues = map[string]int{Default: 10, Bulk: 4, Media: 4, Delivery: 32, Export: 4}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.FirstRetry <= 0 {
		o.FirstRetry = 100 * time.Millisecond
	}
	if o.LongestRetry <= 0 {
		o.LongestRetry = 15 * time.Minute
	}
	if o.RescueEvery <= 0 {
		o.RescueEvery = 2 * time.Second
	}
	r := &Runner{
		d: d, clk: clk, o: o, workers: river.NewWorkers(),
		toWake: map[string]struct{}{}, woken: make(chan struct{}, 1), keeper: keeper{d: d},
	}
	r.Sweep("idempotency.expire", time.Hour, r.expireKeys)
	return r
}

func (r *Runner) mustBeNew() {
	r.life.Lock()
	defer r.life.Unlock()
	if r.started {
		panic("job: handlers and sweeps are registered before Start")
	}
}

// Start begins to work.
func (r *Runner) Start(ctx context.Context) (err error) {
	defer errs.Wrap(&err, "job.Start")
	r.life.Lock()
	defer r.life.Unlock()
	if r.started || r.stopped {
		return errors.New("started twice")
	}
	conn, err := r.d.WorkerPool().Acquire(ctx)
	if err != nil {
		return db.Translate(err)
	}
	r.key = databaseOf(conn.Conn())
	conn.Release()

	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if r.handlers > 0 {
		queues := map[string]river.QueueConfig{}
		for name, n := range r.o.Queues {
			queues[name] = river.QueueConfig{MaxWorkers: n}
		}
		client, err := river.NewClient(riverpgxv5.New(r.d.WorkerPool()), &river.Config{
			Schema:               schema,
			Queues:               queues,
			Workers:              r.workers,
			Logger:               slog.New(calm{r.o.Logger.Handler()}),
			FetchCooldown:        fetchCooldown,
			FetchPollInterval:    fetchPoll,
			JobTimeout:           r.o.Timeout,
			RescueStuckJobsAfter: r.o.Timeout + 30*time.Second,
			RetryPolicy:          backoff{r.o.FirstRetry, r.o.LongestRetry},
			SoftStopTimeout:      stopTimeout - 2*time.Second,
			ReindexerSchedule:    river.NeverSchedule(), // wants the tables' owner
		})
		if err != nil {
			cancel()
			return err
		}
		if err := client.Start(run); err != nil {
			cancel()
			return db.Translate(err)
		}
		r.client = client
		r.wg.Go(func() { r.rescue(run, client.ID()) })
	}
	r.started, r.cancel = true, cancel
	enlist(r.key, r)
	r.wg.Go(func() { r.notify(run) })
	for _, s := range r.sweeps {
		r.wg.Go(func() { r.loop(run, s) })
	}
	return nil
}

// Stop takes no new work, lets running jobs finish for eight seconds, cancels
// what is left and returns within about ten. A cancelled job runs again.
func (r *Runner) Stop() {
	r.life.Lock()
	if r.stopped {
		r.life.Unlock()
		return
	}
	r.stopped = true
	started, client := r.started, r.client
	r.life.Unlock()
	if started {
		discharge(r.key, r)
		if client != nil {
			ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
			if err := client.Stop(ctx); err != nil {
				r.o.Logger.Error("jobs did not end in time", "error", err)
			}
			cancel()
		}
		r.cancel()
		r.wg.Wait()
	}
	r.keeper.close()
}

// Drain waits until no job is ready or running: what follows from all that was
// committed before the call, with the retries that are due soon. It is for tests
// and for the end of a demonstration.
func (r *Runner) Drain(ctx context.Context) (err error) {
	defer errs.Wrap(&err, "job.Drain")
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for {
		var busy bool
		err := r.d.WorkerPool().QueryRow(ctx, `SELECT EXISTS (SELECT FROM system.river_job WHERE state IN ('available', 'running', 'pending'))`).Scan(&busy)
		if err != nil || !busy {
			return db.Translate(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// Health is what an operator looks at.
type Health struct {
	Available, Running, Retryable int64
	// Discarded jobs have used up their attempts in the last days.
	Discarded int64
	// Failing are the sweeps whose last run on this node failed, with the error.
	Failing map[string]string
}

// Health asks the database how the jobs do.
func (r *Runner) Health(ctx context.Context) (h Health, err error) {
	defer errs.Wrap(&err, "job.Health")
	err = r.d.WorkerPool().QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'available'), count(*) FILTER (WHERE state = 'running'),
			count(*) FILTER (WHERE state = 'retryable'), count(*) FILTER (WHERE state = 'discarded')
		FROM system.river_job WHERE state IN ('available', 'running', 'retryable', 'discarded')`).
		Scan(&h.Available, &h.Running, &h.Retryable, &h.Discarded)
	h.Failing = map[string]string{}
	for _, s := range r.sweeps {
		if e, ok := s.failure.Load().(string); ok && e != "" {
			h.Failing[s.name] = e
		}
	}
	return h, db.Translate(err)
}

// calm keeps River's account of every failed job for who looks for it: a job
// that fails is tried again, and one that is given up shows in Health.
type calm struct{ slog.Handler }

// Enabled is true for errors, and for warnings where debugging is on.
func (c calm) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelError && c.Handler.Enabled(ctx, l) || l >= slog.LevelWarn && c.Handler.Enabled(ctx, slog.LevelDebug)
}
