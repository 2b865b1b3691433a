package diagnose

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
)

// lookArgs is one regular look.
type lookArgs struct {
	Organization id.ID `json:"organization"`
	Subject      id.ID `json:"subject"`
	Live         bool  `json:"live"`
}

// Kind names the job.
func (lookArgs) Kind() string { return "diagnose.look" }

// Tenant is the job's organization.
func (a lookArgs) Tenant() id.ID { return a.Organization }

// InsertOpts puts it behind what people wait for; the next look comes anyway.
func (lookArgs) InsertOpts() job.Options { return job.Options{Queue: job.Bulk, MaxAttempts: 2} }

// Timeout bounds one attempt.
func (lookArgs) Timeout() time.Duration { return time.Minute }

// look examines one thing by itself. Twilio is asked about connections alone: one look
// at an account brings the rows of all its numbers in line.
func (s *Service) look(ctx context.Context, a lookArgs) error {
	x := s.exam(a.Organization, a.Live)
	var err error
	switch a.Subject.Kind() {
	case id.Organization:
		err = x.organization(ctx)
	case id.PhoneNumber:
		x.live = false
		err = x.itself(ctx, a.Subject, true, nil)
	case id.User:
		err = x.user(ctx, a.Subject, false)
	default:
		err = x.run(ctx, x.who, a.Subject)
	}
	if errs.IsCode(err, errs.NotFound) || errors.Is(err, sql.ErrNoRows) {
		return nil // the sweep forgets it
	}
	if err != nil {
		return err
	}
	return x.keep(ctx)
}

// dueRow is what a sweep takes up.
type dueRow struct {
	Organization id.ID `bun:"organization_id"`
	Subject      id.ID `bun:"subject"`
	Live         bool  `bun:"live"`
}

// due has everything looked at whose time has come, or of which something changed,
// which is first: somebody may be mending it.
func (s *Service) due(ctx context.Context, now time.Time) error {
	err := s.d.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := seed(ctx, tx, id.ID{}, now); err != nil {
			return err
		}
		if err := forget(ctx, tx); err != nil {
			return err
		}
		var rows []dueRow
		err := db.Select(ctx, tx, &rows, `
			WITH due AS (
				SELECT organization_id, subject, due_at <= $1 AS live FROM diagnosis_due WHERE due_at <= $1 OR asked_at IS NOT NULL
				ORDER BY asked_at IS NULL, due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
			UPDATE diagnosis_due d SET asked_at = NULL, looked_at = $1,
				due_at = CASE WHEN due.live THEN $1::timestamptz + make_interval(secs => $2) ELSE d.due_at END
			FROM due WHERE d.organization_id = due.organization_id AND d.subject = due.subject
			RETURNING d.organization_id, d.subject, due.live`, now, every.Seconds(), maxDue)
		if err != nil {
			return err
		}
		jobs := make([]job.Args, len(rows))
		for i, r := range rows {
			jobs[i] = lookArgs(r)
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
	if err != nil {
		return err
	}
	return s.countOpen(ctx)
}

// forget drops what is not in use any more, and ends what was found of it.
func forget(ctx context.Context, tx *db.Tx) error {
	var rows []struct {
		Organization id.ID  `bun:"organization_id"`
		ID           *id.ID `bun:"id"`
	}
	err := db.Select(ctx, tx, &rows, `
		WITH gone AS (
			DELETE FROM diagnosis_due d WHERE NOT EXISTS (SELECT FROM (`+inUse+`) s WHERE s.organization_id = d.organization_id AND s.id = d.subject)
			RETURNING d.organization_id, d.subject)
		UPDATE finding f SET cleared_at = $1 FROM gone
		WHERE f.organization_id = gone.organization_id AND f.subject = gone.subject AND f.cleared_at IS NULL
		RETURNING f.organization_id, f.id`, tx.Now)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := tell(ctx, tx, r.Organization, []id.ID{*r.ID}); err != nil {
			return err
		}
	}
	return nil
}

// hear has a thing looked at again of which something changed.
func (s *Service) hear(ctx context.Context, tx *db.Tx, e event.Event) error {
	subject := e.Subject
	if subject.Kind() == id.WebhookEndpoint {
		subject = e.OrganizationID
	}
	_, err := db.Exec(ctx, tx, `UPDATE diagnosis_due SET asked_at = $3 WHERE organization_id = $1 AND subject = $2 AND asked_at IS NULL`, e.OrganizationID, subject, tx.Now)
	return err
}

// flushAll writes what was noticed, and has those connections looked at whose posts
// or token are refused.
func (s *Service) flushAll(ctx context.Context, _ time.Time) error { return s.flush(ctx) }

func (s *Service) flush(ctx context.Context) error {
	s.mu.Lock()
	posts, tokens := s.posts, s.tokens
	if len(posts)+len(tokens) == 0 {
		s.mu.Unlock()
		return nil
	}
	s.posts, s.tokens = map[noticed]*refusedCount{}, map[string]bool{}
	s.mu.Unlock()
	return s.d.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		for k, c := range posts {
			// Those before a post that was taken do not count any more; with an old key, those
			// before a day without any.
			_, err := db.Exec(ctx, tx, `
				INSERT INTO refused_post AS r (organization_id, connection_id, why, count, first_at, last_at, seen_url)
				SELECT c.organization_id, c.id, $2, $3, $4, $5, $6 FROM twilio_connection c WHERE c.id = $1
				ON CONFLICT (organization_id, connection_id, why) DO UPDATE SET last_at = excluded.last_at, seen_url = excluded.seen_url,
					(count, first_at) = (SELECT CASE WHEN t.taken THEN excluded.count ELSE r.count + excluded.count END, CASE WHEN t.taken THEN excluded.first_at ELSE r.first_at END
						FROM (SELECT CASE WHEN r.why = $7 THEN r.last_at <= excluded.first_at - make_interval(secs => $8) ELSE EXISTS (
							SELECT FROM twilio_post p WHERE p.organization_id = r.organization_id AND p.connection_id = r.connection_id AND p.received_at > r.last_at) END AS taken) t)`,
				k.connection, k.why, c.n, c.first, c.last, c.seen, wrongKey, refusedFor.Seconds())
			if err != nil {
				return err
			}
			if _, err := db.Exec(ctx, tx, dueNow+` AND c.id = $2
				AND EXISTS (SELECT FROM refused_post r WHERE r.organization_id = c.organization_id AND r.connection_id = c.id AND r.why = $3 AND r.count >= $4)
				AND NOT EXISTS (SELECT FROM finding f WHERE f.organization_id = c.organization_id AND f.subject = c.id AND f.code = $5 AND f.cleared_at IS NULL)`,
				tx.Now, k.connection, k.why, map[string]int{wrongSignature: refusedEnough, wrongKey: 1}[k.why],
				string(map[string]Code{wrongSignature: ProxyBreaksSignatures, wrongKey: AccessKeyOld}[k.why])); err != nil {
				return err
			}
		}
		sids := make([]string, 0, len(tokens))
		for sid := range tokens {
			sids = append(sids, sid)
		}
		_, err := db.Exec(ctx, tx, dueNow+` AND (c.account_sid = ANY ($2::text[]) OR c.api_key_sid = ANY ($2::text[]))
			AND NOT EXISTS (SELECT FROM finding f WHERE f.organization_id = c.organization_id AND f.subject = c.id AND f.code = 'TOKEN_REFUSED' AND f.cleared_at IS NULL)`,
			tx.Now, sids)
		return err
	})
}

// dueNow has connections looked at now, though not more than once a minute.
const dueNow = `UPDATE diagnosis_due d SET due_at = $1 FROM twilio_connection c
	WHERE d.organization_id = c.organization_id AND d.subject = c.id AND d.due_at > $1
		AND (d.looked_at IS NULL OR d.looked_at <= $1::timestamptz - interval '1 minute')`

// countOpen counts what is open, for the metrics.
func (s *Service) countOpen(ctx context.Context) error {
	return s.d.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var rows []struct {
			Severity Severity `bun:"severity"`
			N        int64    `bun:"n"`
		}
		if err := db.Select(ctx, tx, &rows, `SELECT severity, count(*) AS n FROM finding WHERE cleared_at IS NULL GROUP BY severity`); err != nil {
			return err
		}
		var problems, warnings int64
		for _, r := range rows {
			if r.Severity == Problem {
				problems = r.N
			} else {
				warnings = r.N
			}
		}
		s.problems.Store(problems)
		s.warnings.Store(warnings)
		return nil
	})
}

// Open is how many findings of all organizations were open when last counted.
func (s *Service) Open() (problems, warnings int64) { return s.problems.Load(), s.warnings.Load() }
