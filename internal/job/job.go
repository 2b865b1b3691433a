// Package job runs background work: jobs inserted in the transaction of their
// cause and carried out with retries (River), sweeps that look for what is due,
// and the keys that keep a command from acting twice.
//
// Jobs run at least once; whoever waits for an answer does not wait for a job,
// and business time is a row with due_at that a sweep finds, never a schedule of
// River's. The invariant: a job exists if and only if its cause was committed.
package job

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Args are a job's arguments: a small struct of ids with a Kind. A method
// Tenant() id.ID names its organization, InsertOpts() its queue and number of
// attempts, Timeout() time.Duration how long one attempt may take.
type Args = river.JobArgs

// Options of the jobs of one kind, for their method InsertOpts.
type Options = river.InsertOpts

// schema is where River's tables live.
const schema = "system"

// quiet is River's driver without NOTIFY: inside a business transaction it would
// make commits wait for each other. The Runner is woken after the commit instead.
type quiet struct{ *riverpgxv5.Driver }

// SupportsListenNotify is false.
func (quiet) SupportsListenNotify() bool { return false }

// SupportsListener is false.
func (quiet) SupportsListener() bool { return false }

// inserter is a River client that has no pool and works nothing.
var inserter = sync.OnceValue(func() *river.Client[riverTx] {
	c, err := river.NewClient(quiet{riverpgxv5.New(nil)}, &river.Config{Schema: schema})
	if err != nil {
		panic(fmt.Sprintf("job: %v", err)) // a constant configuration
	}
	return c
})

// Insert adds a job in the caller's transaction: it runs soon after the commit,
// and not at all after a rollback.
func Insert(ctx context.Context, tx *db.Tx, args Args) error {
	return InsertMany(ctx, tx, args)
}

// InsertMany adds jobs in the caller's transaction, in one round trip.
func InsertMany(ctx context.Context, tx *db.Tx, args ...Args) (err error) {
	if len(args) == 0 {
		return nil
	}
	defer errs.Wrap(&err, "job.Insert(%s)", args[0].Kind())
	many := make([]river.InsertManyParams, len(args))
	for i, a := range args {
		many[i].Args = a
	}
	p := tx.Pgx()
	inserted, err := inserter().InsertManyTx(ctx, p, many)
	if err != nil {
		return db.Translate(err)
	}
	key := databaseOf(p.Conn())
	tx.AfterCommit(func() { wake(key, inserted) })
	return nil
}

// Cancel returns an error that ends a job for good: no attempt follows.
func Cancel(err error) error { return river.JobCancel(err) }

// Snooze returns an error that puts a job off without counting an attempt. It is
// for machines that ask for a pause; business time belongs to a sweep.
func Snooze(d time.Duration) error { return river.JobSnooze(d) }

// Handle says how jobs with these arguments are done. Register before Start. The
// context has the job's organization as its tenant, if the arguments name one.
func Handle[A Args](r *Runner, fn func(ctx context.Context, args A) error) {
	r.mustBeNew()
	if err := river.AddWorkerSafely(r.workers, &worker[A]{fn: fn}); err != nil {
		panic("job: " + err.Error())
	}
	r.handlers++
}

type worker[A Args] struct {
	river.WorkerDefaults[A]
	fn func(ctx context.Context, args A) error
}

// Timeout is what the arguments say.
func (w *worker[A]) Timeout(j *river.Job[A]) time.Duration {
	if t, ok := any(j.Args).(interface{ Timeout() time.Duration }); ok {
		return t.Timeout()
	}
	return 0
}

// Work runs the handler.
func (w *worker[A]) Work(ctx context.Context, j *river.Job[A]) error {
	if t, ok := any(j.Args).(interface{ Tenant() id.ID }); ok {
		ctx = db.WithTenant(ctx, t.Tenant())
	}
	return w.fn(context.WithValue(ctx, attemptKey{}, Attempt{N: j.Attempt, Last: j.Attempt >= j.MaxAttempts}), j.Args)
}

// Attempt says which try this is.
type Attempt struct {
	N    int  // from 1
	Last bool // no other follows
}

type attemptKey struct{}

// AttemptFrom tells a handler which attempt it is; outside of a job it is the zero Attempt.
func AttemptFrom(ctx context.Context) Attempt {
	a, _ := ctx.Value(attemptKey{}).(Attempt)
	return a
}

// backoff is River's retry policy of ours: soon at first, then patient.
type backoff struct{ first, longest time.Duration }

// NextRetry gives the time of the next attempt.
func (b backoff) NextRetry(j *rivertype.JobRow) time.Time {
	d := b.first
	for range len(j.Errors) {
		if d *= 4; d >= b.longest {
			d = b.longest
			break
		}
	}
	// A tenth of jitter, from the job's own number, keeps a burst from coming back as one.
	d += time.Duration(j.ID%100) * d / 1000
	return time.Now().UTC().Add(d)
}
