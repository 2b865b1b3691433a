package automation

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/id"
)

// rule is an automation with the kind of record that its template is for.
type rule struct {
	Automation
	TemplateKind contact.RecordKind `bun:"template_kind"`
}

// wants is the kind of record that the rule is about; "" is any.
func (a *rule) wants(t Trigger) contact.RecordKind {
	if k := specs[t].kind; k != "" {
		return k
	}
	return a.TemplateKind
}

// started are the rules of the context's tenant that wait for a trigger and did so
// when it came.
func started(ctx context.Context, q bun.IDB, t Trigger, at time.Time) (out []*rule, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+ruleColumns+`, coalesce(tp.record_kind, '') AS template_kind FROM automation a
		JOIN message_template tp ON tp.organization_id = a.organization_id AND tp.id = a.template_id
		WHERE a.organization_id = $1 AND a.trigger = $2 AND a.is_enabled AND NOT a.is_archived AND a.enabled_at <= $3 ORDER BY a.id`,
		db.TenantFrom(ctx), string(t), at)
	return out, err
}

// kindOf is the kind of a record; "" for none.
func kindOf(ctx context.Context, q bun.IDB, record id.ID) (kind contact.RecordKind, err error) {
	if record.IsZero() {
		return "", nil
	}
	err = db.Select(ctx, q, &kind, `SELECT r.kind FROM record r WHERE r.organization_id = $1 AND r.id = $2`, db.TenantFrom(ctx), record)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return kind, err
}

const eventColumns = `e.id, e.record_id, rec.contact_id, e.at, e.eta_at, e.note, e.data`

// eventOf is an event of a record; nil when it has gone.
func eventOf(ctx context.Context, q bun.IDB, org, event id.ID) (*recordEvent, error) {
	return gone(one[recordEvent](ctx, q, errNoRun, `SELECT `+eventColumns+` FROM record_event e
		JOIN record rec ON rec.organization_id = e.organization_id AND rec.id = e.record_id
		WHERE e.organization_id = $1 AND e.id = $2`, org, event))
}

// gone is nil instead of an error.
func gone[T any](v *T, err error) (*T, error) {
	if err == errNoRun {
		return nil, nil
	}
	return v, err
}

// failed are calls of ours that a contact did not answer: nobody picked up, or the
// line was busy. A machine that picked up heard us.
const failed = `c.direction = 'OUTBOUND' AND c.status IN ('MISSED', 'BUSY') AND c.answered_at IS NULL AND NOT c.is_test AND c.contact_id IS NOT NULL`

// missedBy is the run that the end of a call asks for; nil for a call that did not fail.
func missedBy(ctx context.Context, q bun.IDB, call id.ID) (*Run, error) {
	x, err := gone(one[missed](ctx, q, errNoRun, `SELECT c.id, c.record_id, c.contact_id, coalesce(c.ended_at, c.started_at) AS at FROM call c
		WHERE c.organization_id = $1 AND c.id = $2 AND `+failed, db.TenantFrom(ctx), call))
	if x == nil || err != nil {
		return nil, err
	}
	return x.run(), nil
}

// come are the runs of the dates of a trigger that have come and have no run yet,
// atOnce at most, of all organizations.
func come(ctx context.Context, tx *db.Tx, t Trigger, now time.Time) ([]*Run, error) {
	var rows []struct {
		Organization id.ID     `bun:"organization_id"`
		Automation   id.ID     `bun:"automation_id"`
		Record       id.ID     `bun:"record_id"`
		Contact      id.ID     `bun:"contact_id"`
		At           time.Time `bun:"at"`
		Recipient    string    `bun:"recipient"`
		Offset       int       `bun:"offset_minutes"`
	}
	column := specs[t].column // a constant
	err := db.Select(ctx, tx, &rows, `
		SELECT a.organization_id, a.id AS automation_id, x.id AS record_id, x.contact_id, x.`+column+` AS at, w.recipient, a.offset_minutes
		FROM automation a
		JOIN message_template tp ON tp.organization_id = a.organization_id AND tp.id = a.template_id
		JOIN record x ON x.organization_id = a.organization_id
			AND x.`+column+` > greatest(a.enabled_at, a.looked_until - make_interval(mins => $4)) - make_interval(mins => a.offset_minutes)
			AND x.`+column+` <= $2::timestamptz - make_interval(mins => a.offset_minutes)
			AND ($3::text = '' OR x.kind = $3) AND (tp.record_kind IS NULL OR tp.record_kind = x.kind)
		CROSS JOIN LATERAL unnest(a.recipients || (SELECT coalesce(array_agg('`+numberPrefix+`' || n), '{}') FROM unnest(a.extra_numbers) n)) AS w (recipient)
		WHERE a.trigger = $1 AND a.is_enabled AND NOT a.is_archived
			AND NOT EXISTS (SELECT FROM automation_run r WHERE r.organization_id = a.organization_id AND r.automation_id = a.id
				AND r.cause = 'date:' || x.id || ':' || floor(extract(epoch FROM x.`+column+`))::bigint AND r.recipient = w.recipient)
		ORDER BY x.`+column+`, x.id LIMIT $5`, string(t), now, string(specs[t].kind), int(overlap/time.Minute), atOnce)
	runs := make([]*Run, len(rows))
	for i, r := range rows {
		due := r.At.Add(time.Duration(r.Offset) * time.Minute)
		runs[i] = &Run{OrganizationID: r.Organization, ID: id.New(id.AutomationRun), AutomationID: r.Automation, Cause: dateCause(r.Record, r.At), Recipient: r.Recipient,
			RecordID: r.Record, ContactID: r.Contact, EventAt: r.At, State: Waiting, DueAt: &due, CreatedAt: tx.Now, UpdatedAt: tx.Now}
	}
	return runs, err
}

// looked notes how far the look at dates has come.
func looked(ctx context.Context, tx *db.Tx, t Trigger, now time.Time) error {
	_, err := db.Exec(ctx, tx, `UPDATE automation SET looked_until = $2 WHERE trigger = $1 AND is_enabled AND NOT is_archived AND looked_until < $2`, string(t), now)
	return err
}

// claim is a run that waits, and its rule, as they are until the transaction ends;
// nil when there is nothing to do. The rule first, as everywhere.
func claim(ctx context.Context, tx *db.Tx, run id.ID) (*Run, *Automation, error) {
	org := db.TenantFrom(ctx)
	r, err := gone(one[Run](ctx, tx, errNoRun, `SELECT `+runColumns+` FROM automation_run r WHERE r.organization_id = $1 AND r.id = $2 AND r.state = 'WAITING'`, org, run))
	if r == nil || err != nil {
		return nil, nil, err
	}
	a, err := hold(ctx, tx, r.AutomationID)
	if err != nil {
		return nil, nil, err
	}
	r, err = gone(one[Run](ctx, tx, errNoRun, `SELECT `+runColumns+` FROM automation_run r WHERE r.organization_id = $1 AND r.id = $2 AND r.state = 'WAITING' FOR UPDATE`, org, run))
	return r, a, err
}

// wroteTo reports whether the same cause wrote to the same number already, for
// another recipient. Runs of one cause wait for each other.
func wroteTo(ctx context.Context, tx *db.Tx, a *Automation, r *Run, s *snapshot) (yes bool, err error) {
	if s.to == "" || len(a.Recipients)+len(a.ExtraNumbers) < 2 {
		return false, nil
	}
	if _, err := db.Exec(ctx, tx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, uuid(a.ID)+r.Cause); err != nil {
		return false, err
	}
	err = db.Select(ctx, tx, &yes, `SELECT EXISTS (SELECT FROM automation_run WHERE organization_id = $1 AND automation_id = $2 AND cause = $3 AND state = 'SENT' AND to_number = $4)`,
		a.OrganizationID, a.ID, r.Cause, string(s.to))
	return yes, err
}
