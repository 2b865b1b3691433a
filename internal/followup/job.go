package followup

import (
	"context"
	"errors"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
)

const (
	atOnce  = 200             // rows that a sweep takes in one transaction
	sendFor = 2 * time.Minute // how long one attempt at sending may take before another is made
	keepFor = 90 * 24 * time.Hour
)

// escalateDue escalates what is overdue, each in a transaction of its own.
func (s *Service) escalateDue(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "followup.escalateDue")
	var all []error
	for {
		var due []struct {
			Organization id.ID `bun:"organization_id"`
			ID           id.ID `bun:"id"`
		}
		if err := db.Select(ctx, s.d.DB.Worker(), &due, `SELECT organization_id, id FROM follow_up WHERE escalate_at <= $1 ORDER BY escalate_at LIMIT $2`, now, atOnce); err != nil {
			return errors.Join(append(all, err)...)
		}
		failed := len(all)
		for _, x := range due {
			if err := s.d.DB.InWorkerTx(db.WithTenant(ctx, x.Organization), func(ctx context.Context, tx *db.Tx) error {
				return s.escalate(ctx, tx, x.Organization, x.ID, now)
			}); err != nil {
				all = append(all, err)
			}
		}
		if len(due) < atOnce || len(all) > failed {
			return errors.Join(all...)
		}
	}
}

// escalate gives an overdue follow-up to whoever the settings name, and tells them
// and its owner. It stays its owner's.
func (s *Service) escalate(ctx context.Context, tx *db.Tx, org, item id.ID, now time.Time) error {
	f, err := lock(ctx, tx, org, item)
	if err != nil || !f.IsOpen() || f.EscalatedAt != nil || f.DueAt == nil || f.DueAt.After(now) {
		return err
	}
	set, err := settings(ctx, tx, org)
	if err != nil {
		return err
	}
	f.EscalatedAt, f.EscalatedToID, f.EscalatedToRoleID = &tx.Now, set.EscalateToID, set.EscalateToRoleID
	if err := s.save(ctx, tx, f, Entry{Change: Escalated, UserID: f.EscalatedToID, RoleID: f.EscalatedToRoleID, DueAt: f.DueAt}); err != nil {
		return err
	}
	told := []id.ID{f.EscalatedToID, f.OwnerID}
	if !f.EscalatedToRoleID.IsZero() {
		of, err := ids(ctx, tx, `SELECT id FROM "user" WHERE organization_id = $1 AND role_id = $2 AND status = 'ACTIVE' ORDER BY id LIMIT $3`, org, f.EscalatedToRoleID, maxTold)
		if err != nil {
			return err
		}
		told = append(told, of...)
	}
	all, err := people(ctx, tx, org, told)
	if err != nil {
		return err
	}
	var users []id.ID
	for u, p := range all {
		if p.Can(mayView) {
			users = append(users, u)
		}
	}
	return s.Notify(ctx, tx, Notice{Kind: ToldFollowUpEscalated, Users: users, Key: "escalated " + f.ID.String() + " " + version(f), SubjectID: f.ID, FollowUpID: f.ID})
}

// sendArgs has one notification sent on one way. Attempt is the number of attempts
// before it, so that one attempt is not made twice at once.
type sendArgs struct {
	Organization id.ID `json:"organization"`
	Sending      id.ID `json:"sending"`
	Attempt      int   `json:"attempt"`
}

// Kind names the job.
func (sendArgs) Kind() string { return "followup.send" }

// Tenant is whose job it is.
func (a sendArgs) Tenant() id.ID { return a.Organization }

// Timeout ends an attempt before another may be made.
func (sendArgs) Timeout() time.Duration { return sendFor - 30*time.Second }

// InsertOpts allows few attempts: what is not done is due again.
func (sendArgs) InsertOpts() job.Options { return job.Options{Queue: job.Delivery, MaxAttempts: 2} }

// sendDue hands what is due to jobs.
func (s *Service) sendDue(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "followup.sendDue")
	for more := true; more; {
		if err := s.d.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			var due []sendArgs
			if err := db.Select(ctx, tx, &due, `UPDATE notification_sending x SET due_at = $2
				WHERE (x.organization_id, x.id) IN (SELECT y.organization_id, y.id FROM notification_sending y WHERE y.due_at <= $1 ORDER BY y.due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
				RETURNING x.organization_id AS organization, x.id AS sending, x.attempts AS attempt`, now, now.Add(sendFor), atOnce); err != nil {
				return err
			}
			more = len(due) == atOnce
			jobs := make([]job.Args, len(due))
			for i, d := range due {
				jobs[i] = d
			}
			return job.InsertMany(ctx, tx, jobs...)
		}); err != nil {
			return err
		}
	}
	return nil
}

// trim forgets notifications whose time is over, and subscriptions of sessions that ended.
func (s *Service) trim(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "followup.trim")
	for _, old := range []struct {
		query string
		arg   time.Time
	}{
		{`DELETE FROM notification WHERE ctid = ANY (ARRAY(SELECT ctid FROM notification WHERE at < $1 LIMIT 1000))`, now.Add(-keepFor)},
		{`DELETE FROM push_subscription WHERE ctid = ANY (ARRAY(SELECT p.ctid FROM push_subscription p JOIN session s ON s.organization_id = p.organization_id AND s.id = p.session_id
			WHERE s.ended_at IS NOT NULL OR s.expires_at <= $1 LIMIT 1000))`, now},
	} {
		for {
			n, err := db.Exec(ctx, s.d.DB.Worker(), old.query, old.arg)
			if err != nil {
				return err
			}
			if n < 1000 {
				break
			}
		}
	}
	return nil
}
