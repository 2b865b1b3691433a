package job

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/errs"
)

// sweep is one regular look for what is due.
type sweep struct {
	name    string
	every   time.Duration
	fn      func(ctx context.Context, now time.Time) error
	turn    chan struct{} // holds one token: who has it runs the sweep on this node
	failure atomic.Value  // string: the error of the last run, "" after a good one
}

// Sweep runs fn every so often on the Runner's clock, on one node at a time, with
// the time that counts as now. fn looks for rows that are due by then; it may be
// late, and it may run again for rows it did not finish. Register before Start.
func (r *Runner) Sweep(name string, every time.Duration, fn func(ctx context.Context, now time.Time) error) {
	r.mustBeNew()
	if name == "" || every <= 0 || fn == nil {
		panic("job: a sweep needs a name, an interval and a function")
	}
	for _, s := range r.sweeps {
		if s.name == name {
			panic("job: two sweeps are called " + name)
		}
	}
	s := &sweep{name: name, every: every, fn: fn, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	r.sweeps = append(r.sweeps, s)
}

// RunSweeps runs every sweep that is due now, one after the other in the order of
// their registration, and returns their errors. It waits for a run that is under
// way on this node. Tests call it after moving the clock.
func (r *Runner) RunSweeps(ctx context.Context) error {
	var all []error
	for _, s := range r.sweeps {
		_, err := r.sweepOnce(ctx, s)
		all = append(all, err)
	}
	return errors.Join(all...)
}

func (r *Runner) loop(ctx context.Context, s *sweep) {
	for {
		wait, err := r.sweepOnce(ctx, s)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.o.Logger.Error("sweep failed", "sweep", s.name, "error", err)
		}
		c, stop := r.clk.After(wait)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-c:
		}
	}
}

// sweepOnce runs the sweep if it is due and free, and says when to look again.
func (r *Runner) sweepOnce(ctx context.Context, s *sweep) (wait time.Duration, err error) {
	defer errs.Wrap(&err, "sweep %s", s.name)
	select {
	case <-s.turn:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	now := r.clk.Now()

	free, err := r.keeper.lock(ctx, "sweep "+s.name)
	if err != nil || !free {
		return s.every, err // another node is at it
	}
	defer r.keeper.unlock(context.WithoutCancel(ctx), "sweep "+s.name)

	// A clock that went back must not stop the sweep until its time comes again.
	// The slack is for what timestamptz rounds off.
	var ran time.Time
	slack := min(s.every/20, 50*time.Millisecond)
	err = r.d.WorkerPool().QueryRow(ctx, `INSERT INTO system.sweep AS x (name, ran_at) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET ran_at = $2 WHERE x.ran_at <= $3 OR x.ran_at > $2
		RETURNING ran_at`, s.name, now, now.Add(slack-s.every)).Scan(&ran)
	if errors.Is(err, pgx.ErrNoRows) {
		err = r.d.WorkerPool().QueryRow(ctx, `SELECT ran_at FROM system.sweep WHERE name = $1`, s.name).Scan(&ran)
		return max(ran.Add(s.every).Sub(now), time.Millisecond), db.Translate(err)
	}
	if err != nil {
		return s.every, db.Translate(err)
	}
	err = s.run(ctx, now)
	if err != nil {
		s.failure.Store(err.Error())
	} else {
		s.failure.Store("")
	}
	return s.every, err
}

func (s *sweep) run(ctx context.Context, now time.Time) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s.fn(ctx, now)
}

// keeper holds this node's advisory locks on one connection of its own. When the
// connection dies, the locks go, and another node may start what this one still
// runs: sweeps bear that, because they lock the rows they work on.
type keeper struct {
	d    *db.DB
	mu   sync.Mutex // guards the rest, and the connection's use
	conn *pgx.Conn
	held map[string]bool
	shut bool
}

// lock tries to take the lock; it never waits for another node.
func (k *keeper) lock(ctx context.Context, name string) (ok bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.shut {
		return false, nil
	}
	if k.conn == nil || k.conn.IsClosed() {
		c, err := k.d.WorkerPool().Acquire(ctx)
		if err != nil {
			return false, db.Translate(err)
		}
		// Out of the pool: its size and its end are not affected.
		k.conn, k.held = c.Hijack(), map[string]bool{}
	}
	if k.held[name] { // advisory locks count; ours do not
		return true, nil
	}
	err = k.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, 0))`, name).Scan(&ok)
	if err != nil {
		k.drop()
	} else if ok {
		k.held[name] = true
	}
	return ok, db.Translate(err)
}

func (k *keeper) unlock(ctx context.Context, name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conn == nil || !k.held[name] {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	delete(k.held, name)
	if _, err := k.conn.Exec(ctx, `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, name); err != nil {
		k.drop() // which unlocks
	}
}

// drop is called with mu held.
func (k *keeper) drop() {
	if k.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = k.conn.Close(ctx)
		cancel()
		k.conn = nil
	}
}

func (k *keeper) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shut = true
	k.drop()
}
