package call

import (
	"context"
	"math"
	"regexp"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Warning is something that a device's Voice SDK warned of, or took back.
type Warning struct {
	Name    string // the SDK's own, such as high-rtt
	Value   *float64
	At      time.Time
	Cleared bool
}

const (
	maxWarnings     = 50  // in one report
	maxCallWarnings = 500 // of one call
	clockSkew       = 5 * time.Minute
)

var warningForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+){0,8}$`)

// ReportQuality keeps what a device of the actor warned of during a call (R275),
// and gives how much of it was new: a report may be sent again. Codes:
// errs.Invalid, errs.NotFound for a call that the device was no part of,
// errs.LimitReached.
func (s *Service) ReportQuality(ctx context.Context, who access.Actor, call, device id.ID, warnings []Warning) (n int, err error) {
	defer errs.Wrap(&err, "call.ReportQuality")
	if !who.Known() {
		return 0, who.Require("")
	}
	if len(warnings) > maxWarnings {
		return 0, errs.New(errs.LimitReached, "%d warnings were sent; send %d at most at once", len(warnings), maxWarnings).At("warnings")
	}
	now := s.Clock.Now()
	for _, w := range warnings {
		switch {
		case len(w.Name) > 64 || !warningForm.MatchString(w.Name):
			return 0, errs.New(errs.Invalid, "a warning has the name that the Voice SDK gives it, such as high-rtt").At("warnings", "name")
		case w.Value != nil && (math.IsNaN(*w.Value) || math.IsInf(*w.Value, 0)):
			return 0, errs.New(errs.Invalid, "a warning's value is a number").At("warnings", "value")
		case w.At.After(now.Add(clockSkew)):
			return 0, errs.New(errs.Invalid, "a warning is of the past; look at the device's clock").At("warnings", "at")
		}
	}
	err = s.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		var leg id.ID
		var started time.Time
		var kept int
		// The lock makes two reports at once count one after the other.
		rows, err := tx.Pgx().Query(ctx, `SELECT l.id, c.started_at FROM call_leg l
			JOIN call c ON c.organization_id = l.organization_id AND c.id = l.call_id
			JOIN device v ON v.organization_id = l.organization_id AND v.id = l.device_id
			WHERE l.organization_id = $1 AND l.call_id = $2 AND l.device_id = $3 AND v.user_id = $4
			ORDER BY l.answered_at DESC NULLS LAST, l.id DESC LIMIT 1 FOR NO KEY UPDATE OF l`, who.OrganizationID, call, device, who.UserID)
		if err != nil {
			return db.Translate(err)
		}
		for rows.Next() {
			if err := rows.Scan(&leg, &started); err != nil {
				rows.Close()
				return err
			}
		}
		if err := db.Translate(rows.Err()); err != nil {
			return err
		}
		if leg.IsZero() {
			return errs.New(errs.NotFound, "this call had no leg on such a device of yours").At("callId")
		}
		if err := tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM call_quality WHERE organization_id = $1 AND call_id = $2`, who.OrganizationID, call).Scan(&kept); err != nil {
			return db.Translate(err)
		}
		raised := 0
		for _, w := range warnings {
			if w.At.Before(started.Add(-clockSkew)) {
				return errs.New(errs.Invalid, "a warning is older than the call").At("warnings", "at")
			}
			if !w.Cleared {
				raised++
			}
		}
		if kept+raised > maxCallWarnings {
			return errs.New(errs.LimitReached, "a call keeps %d warnings at most", maxCallWarnings).At("warnings")
		}
		for _, w := range warnings {
			tag, err := s.keepWarning(ctx, tx, call, leg, w)
			if err != nil {
				return err
			}
			n += tag
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (s *Service) keepWarning(ctx context.Context, tx *db.Tx, call, leg id.ID, w Warning) (int, error) {
	org, at := db.TenantFrom(ctx), w.At.UTC().Truncate(time.Microsecond)
	if w.Cleared {
		tag, err := tx.Pgx().Exec(ctx, `UPDATE call_quality SET cleared_at = $4 WHERE organization_id = $1 AND id = (
				SELECT id FROM call_quality WHERE organization_id = $1 AND leg_id = $2 AND name = $3 AND at <= $4 ORDER BY at DESC LIMIT 1)
			AND cleared_at IS NULL`, org, leg, w.Name, at)
		return int(tag.RowsAffected()), db.Translate(err)
	}
	tag, err := tx.Pgx().Exec(ctx, `INSERT INTO call_quality (organization_id, id, call_id, leg_id, name, value, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT ON CONSTRAINT call_quality_once DO NOTHING`, org, id.New(id.Fact), call, leg, w.Name, w.Value, at)
	return int(tag.RowsAffected()), db.Translate(err)
}

// QualityByLegs are what the devices of legs of the context's tenant warned of, in
// the order in which they did, in one statement.
func (s *Service) QualityByLegs(ctx context.Context, legs []id.ID) (map[id.ID][]*QualityWarning, error) {
	var rows []*QualityWarning
	err := db.Select(ctx, s.DB.App(), &rows, `SELECT q.organization_id, q.id, q.call_id, q.leg_id, q.name, q.value, q.at, q.cleared_at
		FROM call_quality q WHERE q.organization_id = $1 AND q.leg_id = ANY ($2::uuid[]) ORDER BY q.leg_id, q.at, q.id`, db.TenantFrom(ctx), legs)
	out := make(map[id.ID][]*QualityWarning, len(legs))
	for _, q := range rows {
		out[q.LegID] = append(out[q.LegID], q)
	}
	return out, err
}
