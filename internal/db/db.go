// Package db opens the database and hands it out: transactions, tenants, keyset
// pages, errors. It knows no table of the product.
//
// PostgreSQL is either named by a URL or a private cluster that this package
// runs itself. Three roles exist: the owner migrates and then leaves, the app
// role is bound to the tenant of the context by row-level security, and the
// worker role sees every tenant.
//
// The invariant: no connection of the app pool ever carries another tenant than
// the one of the context it was checked out with.
package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"switchboard/internal/clock"
	"switchboard/internal/errs"
)

// Options say which database to open and how. The zero value is the private
// cluster in DefaultDataDir.
type Options struct {
	// URL is the owner's login to an existing database. Empty: a private cluster.
	URL string
	// DataDir is where the private cluster lives, in a folder of its own.
	DataDir string
	// Clock gives transactions their time; the machine's clock when nil.
	Clock clock.Clock
	// Logger takes what an operator may care about; slog.Default when nil.
	Logger *slog.Logger
	// Tracer sees every statement beside the statement counter, for telemetry.
	Tracer pgx.QueryTracer

	// MaxConns bounds the app pool (default 16).
	MaxConns int32
	// MaxWorkerConns bounds each of the two worker pools (default 8).
	MaxWorkerConns int32
	// StatementTimeout ends a statement of the app pool (default 5 s); the
	// worker pools get twelve times as long.
	StatementTimeout time.Duration
	// LockTimeout ends the wait for a lock (default 3 s).
	LockTimeout time.Duration

	// Migrate are further steps of the owner, after the migrations of the
	// product, in the same lock. They must be repeatable.
	Migrate []func(ctx context.Context, owner *pgx.Conn) error
	// SkipMigrations opens a database that is known to be migrated.
	SkipMigrations bool

	// Fast gives up durability for speed: for clusters that live as long as a test.
	Fast bool
}

func (o *Options) defaults() {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 16
	}
	if o.MaxWorkerConns <= 0 {
		o.MaxWorkerConns = 8
	}
	if o.StatementTimeout <= 0 {
		o.StatementTimeout = 5 * time.Second
	}
	if o.LockTimeout <= 0 {
		o.LockTimeout = 3 * time.Second
	}
}

// DB is an open, migrated database.
type DB struct {
	clock   clock.Clock
	cluster *Cluster // nil when the database is somebody else's

	appPool    *pgxpool.Pool // role app, exec mode, tenant at every checkout
	workPool   *pgxpool.Pool // role worker, exec mode, for bun
	workerPool *pgxpool.Pool // role worker, statement cache, for River and the relay

	app    *bun.DB
	worker *bun.DB
}

// Open starts the private cluster if need be, migrates as the owner and opens
// the pools. It refuses a login that would go around row-level security. Close
// the DB to release everything.
func Open(ctx context.Context, o Options) (_ *DB, err error) {
	o.defaults()
	d := &DB{clock: o.Clock}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()

	url := o.URL
	if url == "" {
		d.cluster, err = StartCluster(ctx, ClusterOptions{DataDir: o.DataDir, Fast: o.Fast, Logger: o.Logger})
		if err != nil {
			return nil, err
		}
		url = d.cluster.URL("switchboard")
	}
	base, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("DATABASE_URL is not a PostgreSQL URL; it looks like postgres://user:password@host:5432/database")
	}

	r, err := prepare(ctx, base.ConnConfig, o)
	if err != nil {
		return nil, err
	}
	if err := d.openPools(ctx, base, r, o); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *DB) openPools(ctx context.Context, base *pgxpool.Config, r roles, o Options) (err error) {
	d.appPool, err = newPool(ctx, base, poolOptions{
		role: r.app, owner: r.owner, mode: pgx.QueryExecModeExec, max: o.MaxConns,
		statement: o.StatementTimeout, lock: o.LockTimeout, tenant: true, tracer: o.Tracer,
	})
	if err != nil {
		return err
	}
	work := poolOptions{
		role: r.worker, owner: r.owner, mode: pgx.QueryExecModeExec, max: o.MaxWorkerConns,
		statement: 12 * o.StatementTimeout, lock: o.LockTimeout, tracer: o.Tracer,
	}
	if d.workPool, err = newPool(ctx, base, work); err != nil {
		return err
	}
	work.mode = pgx.QueryExecModeCacheStatement
	if d.workerPool, err = newPool(ctx, base, work); err != nil {
		return err
	}
	// The app role is tried now, so that a wrong set-up ends the start and not
	// the first request. The others connect when they are first used.
	if err := d.Ping(ctx); err != nil {
		return fmt.Errorf("opening the database as role %s: %w", r.app, err)
	}
	// database/sql must not bound the pool itself: it would then open
	// connections in the background with a context that has no tenant.
	d.app = bun.NewDB(stdlib.OpenDBFromPool(d.appPool), pgdialect.New())
	d.worker = bun.NewDB(stdlib.OpenDBFromPool(d.workPool), pgdialect.New())
	return nil
}

// Close releases the connections and stops the private cluster if this process
// started it. It may be called twice.
func (d *DB) Close() {
	for _, b := range []*bun.DB{d.app, d.worker} {
		if b != nil {
			_ = b.Close()
		}
	}
	for _, p := range []*pgxpool.Pool{d.appPool, d.workPool, d.workerPool} {
		if p != nil {
			p.Close()
		}
	}
	if d.cluster != nil {
		d.cluster.Stop()
	}
}

// App is bun on the app role: only the rows of the context's tenant exist.
func (d *DB) App() *bun.DB { return d.app }

// Worker is bun on the worker role: the rows of every tenant exist.
func (d *DB) Worker() *bun.DB { return d.worker }

// WorkerPool is the worker role with prepared statements, for River, the event
// relay and whatever else speaks pgx. Arguments in the SQL text would fill its
// statement cache: use $n.
func (d *DB) WorkerPool() *pgxpool.Pool { return d.workerPool }

// Clock is the clock that gives transactions their time.
func (d *DB) Clock() clock.Clock { return d.clock }

// Ping asks the database for a sign of life as the app role.
func (d *DB) Ping(ctx context.Context) error {
	return Translate(d.appPool.Ping(ctx))
}

// PoolStat is the state of one pool, for metrics.
type PoolStat struct {
	Name                string
	Total, Idle, InUse  int32
	Max                 int32
	WaitCount           int64         // checkouts that had to wait for a connection
	WaitDuration        time.Duration // what they waited in total
	Canceled            int64
	Opened, ClosedByAge int64
}

// Stats are the pools' states, always in the same order.
func (d *DB) Stats() []PoolStat {
	var out []PoolStat
	for _, p := range []struct {
		name string
		pool *pgxpool.Pool
	}{{"app", d.appPool}, {"worker", d.workPool}, {"worker_prepared", d.workerPool}} {
		s := p.pool.Stat()
		out = append(out, PoolStat{
			Name: p.name, Total: s.TotalConns(), Idle: s.IdleConns(), InUse: s.AcquiredConns(), Max: s.MaxConns(),
			WaitCount: s.EmptyAcquireCount(), WaitDuration: s.EmptyAcquireWaitTime(), Canceled: s.CanceledAcquireCount(),
			Opened: s.NewConnsCount(), ClosedByAge: s.MaxLifetimeDestroyCount() + s.MaxIdleDestroyCount(),
		})
	}
	return out
}

var errUnavailable = errs.New(errs.Unavailable, "the database does not answer at the moment; try again shortly")
