package report

import (
	"context"
	"errors"
	"strings"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// What is kept: a trigger appends to call_rollup_delta what each call that ended
// adds, and takes back what it was when it is corrected, in the transaction that
// changes the call. fold moves deltas into call_rollup. Whoever reads adds up both,
// and the calls that go on, so that the sum is the scan's at every moment.

// measures are the sums that are kept, in the order of the tables.
var measures = []string{"n", "answered", "picked", "pick", "talked", "talk", "rang", "ring", "lasted", "duration", "wait_seconds"}

// each writes a list of the measures.
func each(f func(m string) string) string {
	out := make([]string, len(measures))
	for i, m := range measures {
		out[i] = f(m)
	}
	return strings.Join(out, ", ")
}

// nobody is what stands in call_rollup for no number, branch or person.
const nobody = "'00000000-0000-0000-0000-000000000000'::uuid"

const keys = "day, hour, direction, status, phone_number_id, branch_id, business_unit, user_id, answered_by_user_id, waited, wait"

// facets are what call_rollup holds: GROUPING(hour, phone_number_id, user_id, waited)
// and what is told apart.
var facets = []struct {
	name, mask, by string
}{
	{"HOUR", "7", "hour"},
	{"PLACE", "11", place},
	{"PERSON", "13", person},
	{"PLACE_PERSON", "9", place + ", " + person},
	{"PLACE_HOUR", "3", "hour, " + place},
	{"PERSON_HOUR", "5", "hour, " + person},
	{"WAIT", "14", waiting},
	{"PLACE_WAIT", "10", place + ", " + waiting},
	{"PERSON_WAIT", "12", person + ", " + waiting},
}

const (
	place   = "phone_number_id, branch_id, business_unit"
	person  = "user_id, answered_by_user_id"
	waiting = "waited, wait"
)

// intoRollup ends a statement that has the parts p of calls, with the zone as $2.
func intoRollup() string {
	var names, sets strings.Builder
	for i, f := range facets {
		names.WriteString(" WHEN " + f.mask + " THEN '" + f.name + "'")
		if i > 0 {
			sets.WriteString(", ")
		}
		sets.WriteString("(day, direction, status, " + f.by + ")")
	}
	return `, k AS (
  SELECT (at AT TIME ZONE $2)::date AS day, extract(hour FROM at AT TIME ZONE $2)::smallint AS hour, direction, status, coalesce(phone_number_id, ` + nobody + `) AS phone_number_id,
    coalesce(branch_id, ` + nobody + `) AS branch_id, coalesce(business_unit, '') AS business_unit, coalesce(user_id, ` + nobody + `) AS user_id,
    coalesce(answered_by_user_id, ` + nobody + `) AS answered_by_user_id, coalesce(waited, '') AS waited, coalesce(wait, -1) AS wait,
    ` + each(func(m string) string { return "coalesce(" + m + ", 0) AS " + m }) + `
  FROM p
)
INSERT INTO call_rollup (organization_id, facet, ` + keys + ", " + strings.Join(measures, ", ") + `)
SELECT $1::uuid, CASE GROUPING(hour, phone_number_id, user_id, waited)` + names.String() + ` END, day, coalesce(hour, -1), direction, status,
  coalesce(phone_number_id, ` + nobody + `), coalesce(branch_id, ` + nobody + `), coalesce(business_unit, ''), coalesce(user_id, ` + nobody + `),
  coalesce(answered_by_user_id, ` + nobody + `), coalesce(waited, ''), coalesce(wait, -1), ` + each(func(m string) string { return "sum(" + m + ")" }) + `
FROM k
GROUP BY GROUPING SETS (` + sets.String() + `)
HAVING GROUPING(waited) = 1 OR waited <> ''
ON CONFLICT (organization_id, facet, ` + keys + `) DO UPDATE SET ` + each(func(m string) string { return m + " = call_rollup." + m + " + excluded." + m })
}

var (
	// FoldSQL moves the oldest deltas of an organization ($1), in its time zone ($2),
	// so many ($3), into the sums. Whoever makes up many calls runs it after.
	FoldSQL = `WITH p AS (
  DELETE FROM call_rollup_delta d USING (SELECT id FROM call_rollup_delta WHERE organization_id = $1 ORDER BY id LIMIT $3) o
  WHERE d.organization_id = $1 AND d.id = o.id
  RETURNING d.*
)` + intoRollup()
	rebuildSQL = `WITH p AS (
  SELECT x.*, 1 AS n FROM call c, call_rollup_part(c) x WHERE c.organization_id = $1 AND c.ended_at IS NOT NULL AND c.is_logged AND NOT c.is_test
)` + intoRollup()
)

const (
	foldEvery = time.Minute
	foldBatch = 20_000
	foldMost  = 50 // batches of one organization at a time
)

// Fold moves what calls have added into the sums, and makes the sums anew of an
// organization whose time zone has changed. Reports say the same before and after.
func (s *Service) Fold(ctx context.Context) (err error) {
	defer errs.Wrap(&err, "report.Fold")
	var due []struct {
		ID id.ID `bun:"organization_id"`
	}
	if err := db.Select(ctx, s.db.Worker(), &due, `
SELECT o.organization_id FROM organization o WHERE EXISTS (SELECT FROM call_rollup_delta d WHERE d.organization_id = o.organization_id)
UNION SELECT s.organization_id FROM call_rollup_state s JOIN organization o USING (organization_id) WHERE s.time_zone <> o.time_zone`); err != nil {
		return err
	}
	var failed []error
	for _, o := range due {
		for range foldMost {
			more, err := s.fold(ctx, o.ID)
			failed = append(failed, err)
			if err != nil || !more { // the others go on
				break
			}
		}
	}
	return errors.Join(failed...)
}

// fold takes a batch of an organization's deltas; it reports whether there are more.
func (s *Service) fold(ctx context.Context, org id.ID) (more bool, err error) {
	other := false
	err = s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		kept, now, err := s.lockZone(ctx, tx, org)
		if err != nil {
			return err
		}
		if other = kept != now; other {
			return nil
		}
		var before struct {
			N int `bun:"n"`
		}
		if err := db.Select(ctx, tx, &before, `SELECT count(*) AS n FROM (SELECT FROM call_rollup_delta WHERE organization_id = $1 LIMIT $2) x`, org, foldBatch+1); err != nil {
			return err
		}
		if before.N == 0 {
			return nil
		}
		more = before.N > foldBatch
		_, err = db.Exec(ctx, tx, FoldSQL, org, now, foldBatch)
		return err
	})
	if err == nil && other {
		return false, s.Rebuild(ctx, org)
	}
	return more, err
}

// lockZone locks an organization's sums and gives the zone they are in and the one
// they are to be in.
func (s *Service) lockZone(ctx context.Context, tx *db.Tx, org id.ID) (kept, now string, err error) {
	if _, err := db.Exec(ctx, tx, `INSERT INTO call_rollup_state (organization_id, time_zone)
SELECT organization_id, time_zone FROM organization WHERE organization_id = $1 ON CONFLICT DO NOTHING`, org); err != nil {
		return "", "", err
	}
	var row struct {
		Kept string `bun:"kept"`
		Now  string `bun:"now"`
	}
	err = db.Select(ctx, tx, &row, `SELECT s.time_zone AS kept, o.time_zone AS now FROM call_rollup_state s JOIN organization o USING (organization_id)
WHERE s.organization_id = $1 FOR UPDATE OF s`, org)
	return row.Kept, row.Now, err
}

// Rebuild makes the sums of an organization anew from its calls, in its time zone.
// Calls go on meanwhile: what they add is in no snapshot and so stays to be folded.
func (s *Service) Rebuild(ctx context.Context, org id.ID) (err error) {
	defer errs.Wrap(&err, "report.Rebuild(%s)", org)
	for attempt := 1; ; attempt++ {
		err = s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			// One snapshot for what is deleted and what is counted.
			for _, sql := range []string{`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`, `SET LOCAL statement_timeout = '10min'`} {
				if _, err := tx.Pgx().Exec(ctx, sql); err != nil {
					return err
				}
			}
			_, now, err := s.lockZone(ctx, tx, org)
			if err != nil {
				return err
			}
			for _, sql := range []string{`DELETE FROM call_rollup WHERE organization_id = $1`, `DELETE FROM call_rollup_delta WHERE organization_id = $1`} {
				if _, err := db.Exec(ctx, tx, sql, org); err != nil {
					return err
				}
			}
			if _, err := db.Exec(ctx, tx, rebuildSQL, org, now); err != nil {
				return err
			}
			_, err = db.Exec(ctx, tx, `UPDATE call_rollup_state SET time_zone = $2, rebuilt_at = $3 WHERE organization_id = $1`, org, now, tx.Now)
			return err
		})
		if err == nil || attempt == 3 || ctx.Err() != nil { // a fold was in the way
			return err
		}
	}
}
