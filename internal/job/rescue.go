package job

import (
	"context"
	"time"

	"switchboard/internal/db"
)

// rescue gives the jobs of a node that died back to the queue. River does so
// itself, but only after the time that a job may take; this is within seconds.
//
// Every runner holds an advisory lock named by its client. A job that runs for a
// client without a lock in two looks in a row belongs to nobody: one look could
// fall into the moment in which a living node reconnects.
func (r *Runner) rescue(ctx context.Context, client string) {
	tick := time.NewTicker(r.o.RescueEvery)
	defer tick.Stop()
	name := "river client " + client
	defer func() { r.keeper.unlock(context.WithoutCancel(ctx), name) }()
	var suspects []int64
	for {
		ok, err := r.keeper.lock(ctx, name)
		if err == nil && ok {
			suspects, err = r.rescueOnce(ctx, suspects)
		}
		if err != nil || !ok {
			suspects = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// rescueOnce requeues those of the suspects that still are, and returns the new ones.
func (r *Runner) rescueOnce(ctx context.Context, suspects []int64) (next []int64, err error) {
	rows, err := r.d.WorkerPool().Query(ctx, `WITH held AS (
			SELECT ((classid::bigint << 32) | objid::bigint) AS key FROM pg_locks
			WHERE locktype = 'advisory' AND objsubid = 1 AND granted
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		), orphan AS (
			SELECT id, attempt >= max_attempts AS last FROM system.river_job
			WHERE state = 'running' AND attempted_by IS NOT NULL
				AND hashtextextended('river client ' || attempted_by[array_upper(attempted_by, 1)], 0) NOT IN (SELECT key FROM held)
		), back AS (
			UPDATE system.river_job j SET state = 'available', scheduled_at = clock_timestamp(),
				max_attempts = CASE WHEN o.last THEN j.max_attempts + 1 ELSE j.max_attempts END
			FROM orphan o WHERE j.id = o.id AND j.id = ANY ($1) AND j.state = 'running'
			RETURNING j.id
		)
		SELECT id, id IN (SELECT id FROM back) FROM orphan`, suspects)
	if err != nil {
		return nil, db.Translate(err)
	}
	defer rows.Close()
	rescued := 0
	for rows.Next() {
		var id int64
		var back bool
		if err := rows.Scan(&id, &back); err != nil {
			return nil, err
		}
		if back {
			rescued++
		} else {
			next = append(next, id)
		}
	}
	if rescued > 0 {
		r.o.Logger.Warn("jobs of a dead node taken over", "count", rescued)
	}
	return next, db.Translate(rows.Err())
}
