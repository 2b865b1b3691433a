package retention

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
)

// EventRan says that a rule ran.
const EventRan event.Kind = "RETENTION_RAN"

const (
	batchSize = 200             // R228: each batch is a transaction
	leaseFor  = 2 * time.Minute // how long a run is left to the process that has it
	ruleWhy   = "older than the deletion rule keeps it"
)

// begin makes the run of a rule, unless one is under way.
func begin(ctx context.Context, tx *db.Tx, r *Rule, who id.ID) (run *Run, err error) {
	run = &Run{OrganizationID: r.OrganizationID, ID: id.New(id.RetentionRun), RuleID: r.ID, Kind: r.Kind, BranchID: r.BranchID,
		CutoffAt: before(tx.Now, r.KeepDays), Status: Running, StartedByID: who, StartedAt: tx.Now}
	t, err := totalOf(ctx, tx, r.Kind, r.BranchID, run.CutoffAt)
	if err != nil {
		return nil, err
	}
	run.FoundCount = t.Count
	mine := run.ID
	err = db.Select(ctx, tx, run, `
WITH made AS (
  INSERT INTO retention_run (organization_id, id, rule_id, kind, branch_id, before, found_count, due_at, started_by, started_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
  ON CONFLICT (organization_id, rule_id) WHERE status = 'RUNNING' DO NOTHING
  RETURNING *)
SELECT `+runColumns+` FROM made run
UNION ALL SELECT `+runColumns+` FROM retention_run run WHERE run.organization_id = $1 AND run.rule_id = $3 AND run.status = 'RUNNING' AND NOT EXISTS (SELECT FROM made)`,
		run.OrganizationID, run.ID, run.RuleID, string(run.Kind), run.BranchID, run.CutoffAt, run.FoundCount, tx.Now.Add(leaseFor), run.StartedByID, run.StartedAt)
	if err != nil || run.ID != mine {
		return run, err
	}
	return run, job.Insert(ctx, tx, workArgs{Organization: run.OrganizationID, Run: run.ID})
}

const runColumns = `run.organization_id, run.id, run.rule_id, run.kind, run.branch_id, run.before, run.status, run.found_count, run.deleted_count,
  run.held_count, run.bytes, run.started_by, run.started_at, run.ended_at`

// night begins the runs of the rules whose time has come.
func (s *Service) night(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "retention.night")
	var rules []*Rule
	err = s.d.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return db.Select(ctx, tx, &rules, `SELECT rule.* FROM retention_rule rule WHERE rule.next_run_at <= $1 ORDER BY rule.next_run_at LIMIT 500`, now)
	})
	for _, r := range rules {
		err = errors.Join(err, s.d.DB.InTx(db.WithTenant(ctx, r.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
			rule := &Rule{}
			err := db.Select(ctx, tx, rule, `SELECT rule.* FROM retention_rule rule WHERE rule.organization_id = $1 AND rule.id = $2 AND rule.next_run_at <= $3
FOR UPDATE`, r.OrganizationID, r.ID, now)
			if errors.Is(err, sql.ErrNoRows) {
				return nil // another process did
			}
			if err != nil {
				return err
			}
			if rule.NextRunAt, err = nextNight(ctx, tx, rule, now); err != nil {
				return err
			}
			if _, err := db.Exec(ctx, tx, `UPDATE retention_rule SET next_run_at = $3 WHERE organization_id = $1 AND id = $2`, rule.OrganizationID, rule.ID, rule.NextRunAt); err != nil {
				return err
			}
			_, err = begin(ctx, tx, rule, id.ID{})
			return err
		}))
	}
	return err
}

// Start begins a run of a rule now; while one is under way it is that one. Codes:
// errs.Forbidden, errs.NotFound, errs.Conflict for a rule that is off.
func (s *Service) Start(ctx context.Context, who access.Actor, rule id.ID) (run *Run, err error) {
	defer errs.Wrap(&err, "retention.Start(%s)", rule)
	if err := may(who); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		r := &Rule{}
		err := db.Select(ctx, tx, r, `SELECT rule.* FROM retention_rule rule WHERE rule.organization_id = $1 AND rule.id = $2 FOR UPDATE`, who.OrganizationID, rule)
		if errors.Is(err, sql.ErrNoRows) {
			return errs.New(errs.NotFound, "there is no such deletion rule").At("ruleId")
		}
		if err != nil {
			return err
		}
		if !r.IsOn {
			return errs.New(errs.Conflict, "the rule is off; switch it on with the confirmation of a preview, then it runs tonight or now").At("ruleId")
		}
		if run, err = begin(ctx, tx, r, who.UserID); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "retention.start", Subject: r.ID, Detail: map[string]any{"runId": run.ID.String()}})
	})
	if err != nil {
		return nil, err
	}
	return run, nil
}

// Cancel stops a run; what it deleted stays deleted. Stopping again succeeds.
// Codes: errs.Forbidden, errs.NotFound.
func (s *Service) Cancel(ctx context.Context, who access.Actor, run id.ID) (r *Run, err error) {
	defer errs.Wrap(&err, "retention.Cancel(%s)", run)
	if err := may(who); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if r, err = lockRun(ctx, tx, run); err != nil || r.Status != Running {
			return err
		}
		if err := end(ctx, tx, r, Canceled); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "retention.cancel", Subject: r.ID, Detail: map[string]any{"deleted": r.DeletedCount}})
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func lockRun(ctx context.Context, tx *db.Tx, run id.ID) (*Run, error) {
	r := &Run{}
	err := db.Select(ctx, tx, r, `SELECT `+runColumns+` FROM retention_run run WHERE run.organization_id = $1 AND run.id = $2 FOR UPDATE`, db.TenantFrom(ctx), run)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errs.New(errs.NotFound, "there is no such run")
	}
	return r, err
}

// endRuns ends what is under way of a rule.
func endRuns(ctx context.Context, tx *db.Tx, rule id.ID, as Status) (rows []*Run, err error) {
	if err := db.Select(ctx, tx, &rows, `SELECT `+runColumns+` FROM retention_run run WHERE run.organization_id = $1 AND run.rule_id = $2 AND run.status = 'RUNNING'
FOR UPDATE`, db.TenantFrom(ctx), rule); err != nil {
		return nil, err
	}
	for _, r := range rows {
		if err := end(ctx, tx, r, as); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// end ends a locked run and tells of it.
func end(ctx context.Context, tx *db.Tx, r *Run, as Status) error {
	now := tx.Now
	r.Status, r.EndedAt = as, &now
	if _, err := db.Exec(ctx, tx, `UPDATE retention_run SET status = $3, ended_at = $4, due_at = NULL WHERE organization_id = $1 AND id = $2`,
		r.OrganizationID, r.ID, string(as), now); err != nil {
		return err
	}
	data, err := json.Marshal(map[string]any{"kind": r.Kind, "status": as, "deleted": r.DeletedCount, "held": r.HeldCount})
	if err != nil {
		return err
	}
	if err := audit.Write(ctx, tx, audit.Entry{ActorID: r.StartedByID, Action: "retention.run", Subject: r.ID, Detail: map[string]any{
		"kind": r.Kind, "before": r.CutoffAt, "status": as, "found": r.FoundCount, "deleted": r.DeletedCount, "held": r.HeldCount, "bytes": r.Bytes}}); err != nil {
		return err
	}
	return event.Append(ctx, tx, event.Event{Kind: EventRan, Subject: r.ID, ActorID: r.StartedByID, Data: data, At: now})
}

// workArgs has a run go on.
type workArgs struct {
	Organization id.ID `json:"organization"`
	Run          id.ID `json:"run"`
}

// Kind names the job.
func (workArgs) Kind() string { return "retention.run" }

// Tenant is whose job it is.
func (a workArgs) Tenant() id.ID { return a.Organization }

// Timeout ends a turn before somebody else takes the run for abandoned.
func (workArgs) Timeout() time.Duration { return leaseFor - 10*time.Second }

// InsertOpts allows one attempt: a run that is not over is due again.
func (workArgs) InsertOpts() job.Options { return job.Options{Queue: job.Media, MaxAttempts: 1} }

// takeUp makes a job for each run that nobody is at.
func (s *Service) takeUp(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "retention.takeUp")
	return s.d.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var runs []workArgs
		if err := db.Select(ctx, tx, &runs, `
UPDATE retention_run SET due_at = $2
WHERE (organization_id, id) IN (SELECT organization_id, id FROM retention_run WHERE due_at <= $1 ORDER BY due_at LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING organization_id AS organization, id AS run`, now, now.Add(leaseFor)); err != nil {
			return err
		}
		jobs := make([]job.Args, len(runs))
		for i, r := range runs {
			jobs[i] = r
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

// work does batches of a run until it is over or the turn's time is.
func (s *Service) work(ctx context.Context, a workArgs) (err error) {
	defer errs.Wrap(&err, "retention.work(%s)", a.Run)
	for more := true; more && err == nil; {
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < 20*time.Second {
			return nil // due again when the lease ends
		}
		more, err = s.batch(ctx, a)
	}
	return err
}

// batch deletes the next things that are due, each by itself, and moves the place
// of the run with them (R228).
func (s *Service) batch(ctx context.Context, a workArgs) (more bool, err error) {
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		r, err := lockRun(ctx, tx, a.Run)
		if errs.IsCode(err, errs.NotFound) || err == nil && r.Status != Running {
			return nil
		}
		if err != nil {
			return err
		}
		var after db.Keyset
		if err := tx.Pgx().QueryRow(ctx, `SELECT CASE WHEN after_at = '-infinity' THEN '0001-01-01Z' ELSE after_at END, after_id FROM retention_run
WHERE organization_id = $1 AND id = $2`, r.OrganizationID, r.ID).Scan(&after.At, &after.ID); err != nil {
			return db.Translate(err)
		}
		rows, err := next(ctx, tx, r, after, batchSize)
		if err != nil {
			return err
		}
		var free []id.ID
		size := map[id.ID]int64{}
		for _, x := range rows {
			if x.Held {
				r.HeldCount++
				continue
			}
			free, size[x.ID] = append(free, x.ID), x.Bytes
		}
		if len(free) > 0 {
			gone, err := s.d.Purges[r.Kind](ctx, tx, free, r.StartedByID, ruleWhy)
			if err != nil {
				return err
			}
			for _, x := range gone {
				r.DeletedCount++
				r.Bytes += size[x]
			}
		}
		if more = len(rows) == batchSize; !more {
			if _, err := db.Exec(ctx, tx, `UPDATE retention_run SET deleted_count = $3, held_count = $4, bytes = $5 WHERE organization_id = $1 AND id = $2`,
				r.OrganizationID, r.ID, r.DeletedCount, r.HeldCount, r.Bytes); err != nil {
				return err
			}
			return end(ctx, tx, r, Completed)
		}
		last := rows[len(rows)-1]
		_, err = db.Exec(ctx, tx, `UPDATE retention_run SET deleted_count = $3, held_count = $4, bytes = $5, after_at = $6, after_id = $7, due_at = $8
WHERE organization_id = $1 AND id = $2`, r.OrganizationID, r.ID, r.DeletedCount, r.HeldCount, r.Bytes, last.At, last.ID, tx.Now.Add(leaseFor))
		return err
	})
	return more, err
}

// Runs are what rules did, newest first; of one rule if it is given. Codes: errs.Forbidden.
func (s *Service) Runs(ctx context.Context, who access.Actor, rule id.ID, p db.Page) (w db.Window[*Run], err error) {
	defer errs.Wrap(&err, "retention.Runs")
	if err := may(who); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	only, args := "", []any{who.OrganizationID, after.At, after.ID, limit + 1}
	if !rule.IsZero() {
		only, args = " AND run.rule_id = $5", append(args, rule)
	}
	var rows []*Run
	if err := db.Select(access.With(ctx, who), s.d.DB.App(), &rows, `SELECT `+runColumns+` FROM retention_run run
WHERE run.organization_id = $1 AND (run.started_at, run.id) < ($2, $3)`+only+` ORDER BY run.started_at DESC, run.id DESC LIMIT $4`, args...); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(r *Run) db.Keyset { return db.Keyset{At: r.StartedAt, ID: r.ID} }), nil
}

// RunsByIDs are runs by id, for those who may see them.
func (s *Service) RunsByIDs(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Run, error) {
	if may(who) != nil {
		return nil, nil
	}
	var rows []*Run
	err := db.Select(access.With(ctx, who), s.d.DB.App(), &rows, `SELECT `+runColumns+` FROM retention_run run WHERE run.organization_id = $1 AND run.id = ANY ($2::uuid[])`,
		who.OrganizationID, ids)
	out := make(map[id.ID]*Run, len(rows))
	for _, r := range rows {
		out[r.ID] = r
	}
	return out, err
}

// LastRuns are the last runs of rules that the actor sees already.
func (s *Service) LastRuns(ctx context.Context, who access.Actor, rules []id.ID) (map[id.ID]*Run, error) {
	if may(who) != nil {
		return nil, nil
	}
	var rows []*Run
	err := db.Select(access.With(ctx, who), s.d.DB.App(), &rows, `SELECT `+runColumns+` FROM unnest($2::uuid[]) rule (id)
CROSS JOIN LATERAL (SELECT * FROM retention_run x WHERE x.organization_id = $1 AND x.rule_id = rule.id ORDER BY x.started_at DESC, x.id DESC LIMIT 1) run`,
		who.OrganizationID, rules)
	out := make(map[id.ID]*Run, len(rows))
	for _, r := range rows {
		out[r.RuleID] = r
	}
	return out, err
}
