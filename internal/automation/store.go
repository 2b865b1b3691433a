package automation

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/phone"
)

var (
	errNoAutomation = errs.New(errs.NotFound, "there is no such automation")
	errNoRun        = errs.New(errs.NotFound, "there is no such run of an automation")
	errNoNumber     = errs.New(errs.NotFound, "there is no such number").At("input", "phoneNumberId")
)

func init() { db.RegisterConstraint("automation_number", errNoNumber) }

const (
	ruleColumns = `a.organization_id, a.id, a.name, a.trigger, a.offset_minutes, a.conditions, a.recipients, a.extra_numbers, a.template_id, a.phone_number_id,
		a.quiet_from, a.quiet_until, a.quiet_action, a.is_enabled, a.enabled_at, a.looked_until, a.is_archived, a.created_by, a.version, a.created_at, a.updated_at`
	runColumns = `r.organization_id, r.id, r.automation_id, r.cause, r.recipient, r.record_id, r.contact_id, r.event_at, r.event, r.state, r.reason_code, r.reason,
		r.to_number, r.message_id, r.estimated_micros, r.currency, r.due_at, r.ran_at, r.created_at, r.updated_at`
)

// one reads a row; the error is other when there is none.
func one[T any](ctx context.Context, q bun.IDB, other error, query string, args ...any) (*T, error) {
	v := new(T)
	err := db.Select(ctx, q, v, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, other
	}
	return v, err
}

func byID(ctx context.Context, q bun.IDB, automation id.ID) (*Automation, error) {
	return one[Automation](ctx, q, errNoAutomation, `SELECT `+ruleColumns+` FROM automation a WHERE a.organization_id = $1 AND a.id = $2`, db.TenantFrom(ctx), automation)
}

func lock(ctx context.Context, tx *db.Tx, automation id.ID) (*Automation, error) {
	return one[Automation](ctx, tx, errNoAutomation, `SELECT `+ruleColumns+` FROM automation a WHERE a.organization_id = $1 AND a.id = $2 FOR NO KEY UPDATE`,
		db.TenantFrom(ctx), automation)
}

// hold keeps a rule as it is until the transaction ends.
func hold(ctx context.Context, tx *db.Tx, automation id.ID) (*Automation, error) {
	return one[Automation](ctx, tx, errNoAutomation, `SELECT `+ruleColumns+` FROM automation a WHERE a.organization_id = $1 AND a.id = $2 FOR SHARE`,
		db.TenantFrom(ctx), automation)
}

// holdTemplate keeps a template as it is until the transaction ends.
func holdTemplate(ctx context.Context, tx *db.Tx, template id.ID) (*message.SavedTemplate, error) {
	if _, err := db.Exec(ctx, tx, `SELECT FROM message_template WHERE organization_id = $1 AND id = $2 FOR SHARE`, db.TenantFrom(ctx), template); err != nil {
		return nil, err
	}
	return message.TemplateByID(ctx, tx, template)
}

// count counts alone: who makes another one waits.
func count(ctx context.Context, tx *db.Tx, org id.ID) (n int, err error) {
	if _, err := db.Exec(ctx, tx, `SELECT FROM organization WHERE organization_id = $1 FOR NO KEY UPDATE`, org); err != nil {
		return 0, err
	}
	err = db.Select(ctx, tx, &n, `SELECT count(*) FROM automation WHERE organization_id = $1 AND NOT is_archived`, org)
	return n, err
}

func insert(ctx context.Context, tx *db.Tx, a *Automation) error {
	_, err := tx.NewInsert().Model(a).Exec(ctx)
	return db.Translate(err)
}

func save(ctx context.Context, tx *db.Tx, a *Automation) error {
	_, err := tx.NewUpdate().Model(a).WherePK().ExcludeColumn("created_at", "created_by", "trigger").Exec(ctx)
	return db.Translate(err)
}

// follow moves the runs that wait to where the rule now wants them.
func follow(ctx context.Context, tx *db.Tx, a *Automation) error {
	_, err := db.Exec(ctx, tx, `UPDATE automation_run SET due_at = event_at + make_interval(mins => $3), updated_at = $4
		WHERE organization_id = $1 AND automation_id = $2 AND state = 'WAITING'`, a.OrganizationID, a.ID, a.OffsetMinutes, tx.Now)
	return err
}

// cancel ends the runs that wait.
func cancel(ctx context.Context, tx *db.Tx, a *Automation) error {
	_, err := db.Exec(ctx, tx, `UPDATE automation_run SET state = 'CANCELED', reason_code = $3, reason = 'the automation was removed', due_at = NULL, ran_at = $4, updated_at = $4
		WHERE organization_id = $1 AND automation_id = $2 AND state = 'WAITING'`, a.OrganizationID, a.ID, string(Disabled), tx.Now)
	return err
}

// usersOf are the rules that are on and use a template; they stay on until the
// transaction ends.
func usersOf(ctx context.Context, tx *db.Tx, template id.ID) (out []*Automation, err error) {
	err = db.Select(ctx, tx, &out, `SELECT `+ruleColumns+` FROM automation a
		WHERE a.organization_id = $1 AND a.template_id = $2 AND a.is_enabled AND NOT a.is_archived ORDER BY a.id FOR SHARE`, db.TenantFrom(ctx), template)
	return out, err
}

// insertRuns keeps runs that are not there yet, and gives those that it kept.
func insertRuns(ctx context.Context, tx *db.Tx, runs []*Run) (kept []id.ID, err error) {
	if len(runs) == 0 {
		return nil, nil
	}
	var made []struct {
		ID id.ID `bun:"id"`
	}
	err = tx.NewInsert().Model(&runs).On("CONFLICT DO NOTHING").Returning("id").Scan(ctx, &made)
	for _, m := range made {
		kept = append(kept, m.ID)
	}
	return kept, db.Translate(err)
}

func saveRun(ctx context.Context, tx *db.Tx, r *Run) error {
	_, err := db.Exec(ctx, tx, `UPDATE automation_run SET state = $3, reason_code = $4, reason = $5, to_number = $6, message_id = $7, estimated_micros = $8, currency = $9,
			due_at = $10, ran_at = $11, updated_at = $12 WHERE organization_id = $1 AND id = $2`,
		r.OrganizationID, r.ID, string(r.State), r.ReasonCode, r.Reason, r.ToNumber, r.MessageID, r.EstimateMicros, r.Currency, r.DueAt, r.RanAt, tx.Now)
	return err
}

// Filter says which automations. The zero one is all that were not removed.
type Filter struct {
	Trigger   Trigger
	IsEnabled *bool
}

// List is a page of automations, newest first. It needs AUTOMATION_MANAGE.
func (s *Service) List(ctx context.Context, who access.Actor, f Filter, p db.Page) (w db.Window[*Automation], err error) {
	defer errs.Wrap(&err, "automation.List")
	if err := who.Require(access.AutomationManage); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []*Automation
	if err := db.Select(access.With(ctx, who), s.db.App(), &rows, `SELECT `+ruleColumns+` FROM automation a
		WHERE a.organization_id = $1 AND NOT a.is_archived AND (a.created_at, a.id) < ($2, $3) AND ($5::text = '' OR a.trigger = $5)
			AND ($6::boolean IS NULL OR a.is_enabled = $6)
		ORDER BY a.created_at DESC, a.id DESC LIMIT $4`, who.OrganizationID, after.At, after.ID, limit+1, string(f.Trigger), f.IsEnabled); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(a *Automation) db.Keyset { return db.Keyset{At: a.CreatedAt, ID: a.ID} }), nil
}

// Get is one automation, also a removed one. It needs AUTOMATION_MANAGE.
func (s *Service) Get(ctx context.Context, who access.Actor, automation id.ID) (*Automation, error) {
	if !who.Can(access.AutomationManage) {
		return nil, errNoAutomation
	}
	return byID(access.With(ctx, who), s.db.App(), automation)
}

// ByIDs are automations by id, in one statement, for those with AUTOMATION_MANAGE.
func (s *Service) ByIDs(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Automation, error) {
	if !who.Can(access.AutomationManage) {
		return nil, nil
	}
	var rows []*Automation
	err := db.Select(access.With(ctx, who), s.db.App(), &rows, `SELECT `+ruleColumns+` FROM automation a
		WHERE a.organization_id = $1 AND a.id = ANY ($2::uuid[])`, who.OrganizationID, ids)
	out := make(map[id.ID]*Automation, len(rows))
	for _, a := range rows {
		out[a.ID] = a
	}
	return out, err
}

// RunFilter says which runs.
type RunFilter struct {
	AutomationID, RecordID id.ID
	State                  State
}

// Runs is a page of runs, newest first; nothing for who lacks AUTOMATION_MANAGE.
func (s *Service) Runs(ctx context.Context, who access.Actor, f RunFilter, p db.Page) (w db.Window[*Run], err error) {
	defer errs.Wrap(&err, "automation.Runs")
	limit, after, err := p.Keyset()
	if err != nil || !who.Can(access.AutomationManage) {
		return w, err
	}
	query := `SELECT ` + runColumns + ` FROM automation_run r
		WHERE r.organization_id = $1 AND (r.created_at, r.id) < ($2, $3) AND ($5::text = '' OR r.state = $5)`
	args := []any{who.OrganizationID, after.At, after.ID, limit + 1, string(f.State)}
	switch {
	case !f.AutomationID.IsZero() && !f.RecordID.IsZero():
		query, args = query+` AND r.automation_id = $6 AND r.record_id = $7`, append(args, f.AutomationID, f.RecordID)
	case !f.AutomationID.IsZero():
		query, args = query+` AND r.automation_id = $6`, append(args, f.AutomationID)
	default:
		query, args = query+` AND r.record_id = $6`, append(args, f.RecordID)
	}
	var rows []*Run
	if err := db.Select(access.With(ctx, who), s.db.App(), &rows, query+` ORDER BY r.created_at DESC, r.id DESC LIMIT $4`, args...); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(r *Run) db.Keyset { return db.Keyset{At: r.CreatedAt, ID: r.ID} }), nil
}

// RunsByIDs are runs by id, in one statement, for those with AUTOMATION_MANAGE.
func (s *Service) RunsByIDs(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Run, error) {
	if !who.Can(access.AutomationManage) {
		return nil, nil
	}
	var rows []*Run
	err := db.Select(access.With(ctx, who), s.db.App(), &rows, `SELECT `+runColumns+` FROM automation_run r
		WHERE r.organization_id = $1 AND r.id = ANY ($2::uuid[])`, who.OrganizationID, ids)
	out := make(map[id.ID]*Run, len(rows))
	for _, r := range rows {
		out[r.ID] = r
	}
	return out, err
}

// Run is one run. It needs AUTOMATION_MANAGE.
func (s *Service) Run(ctx context.Context, who access.Actor, run id.ID) (*Run, error) {
	found, err := s.RunsByIDs(ctx, who, []id.ID{run})
	if err == nil && found[run] == nil {
		err = errNoRun
	}
	return found[run], err
}

const (
	defaultDays = 30
	maxDays     = 366
)

// Totals are what an automation did over the last days, 30 unless told (R174).
func (s *Service) Totals(ctx context.Context, who access.Actor, automation id.ID, days *int) (_ *Totals, err error) {
	defer errs.Wrap(&err, "automation.Totals(%s)", automation)
	if err := who.Require(access.AutomationManage); err != nil {
		return nil, err
	}
	n := defaultDays
	if days != nil {
		n = *days
	}
	if n < 1 || n > maxDays {
		return nil, errs.New(errs.Invalid, "days is %d; give 1 to %d", n, maxDays).At("days")
	}
	since := s.db.Clock().Now().Add(-time.Duration(n) * 24 * time.Hour)
	var rows []struct {
		State     State  `bun:"state"`
		Currency  string `bun:"currency"`
		Count     int    `bun:"n"`
		Estimated *int64 `bun:"estimated"`
		Cost      *int64 `bun:"cost"`
		Paid      string `bun:"paid"`
	}
	err = db.Select(access.With(ctx, who), s.db.App(), &rows, `SELECT r.state, coalesce(r.currency, '') AS currency, coalesce(m.price_currency, '') AS paid,
			count(*) AS n, sum(r.estimated_micros)::bigint AS estimated, sum(m.price_micros)::bigint AS cost
		FROM automation_run r LEFT JOIN message m ON m.organization_id = r.organization_id AND m.id = r.message_id
		WHERE r.organization_id = $1 AND r.automation_id = $2 AND r.created_at >= $4 AND r.ran_at >= $3 AND r.state IN ('SENT', 'NOT_SENT')
		GROUP BY 1, 2, 3 ORDER BY 2, 3`, who.OrganizationID, automation, since, since.Add(-maxOffset*time.Minute-48*time.Hour))
	if err != nil {
		return nil, err
	}
	out := &Totals{EstimatedCosts: []message.Money{}, Costs: []message.Money{}}
	for _, r := range rows {
		if r.State == NotSent {
			out.NotSent += r.Count
			continue
		}
		out.Sent += r.Count
		out.EstimatedCosts = plus(out.EstimatedCosts, r.Estimated, r.Currency)
		out.Costs = plus(out.Costs, r.Cost, r.Paid)
	}
	return out, nil
}

// plus adds an amount to the sum of its currency.
func plus(sums []message.Money, micros *int64, currency string) []message.Money {
	if micros == nil || currency == "" {
		return sums
	}
	for i := range sums {
		if sums[i].Currency == currency {
			sums[i].Micros += *micros
			return sums
		}
	}
	return append(sums, message.Money{Micros: *micros, Currency: currency})
}

// person is a user as a recipient, and as who reads what is sent to them.
type person struct {
	ID            id.ID                      `bun:"id"`
	Name          string                     `bun:"name"`
	IsActive      bool                       `bun:"is_active"`
	IsFieldworker bool                       `bun:"is_fieldworker"`
	Switched      []access.FieldworkerOption `bun:"fieldworker_switched,array"`
	Permissions   []access.Permission        `bun:"permissions,array"`
	Visibility    access.Visibility          `bun:"visibility"`
	E164          phone.E164                 `bun:"e164"`
}

// people are users of the context's tenant, in one statement.
func people(ctx context.Context, q bun.IDB, ids []id.ID) (map[id.ID]*person, error) {
	out := map[id.ID]*person{}
	if len(ids) == 0 {
		return out, nil
	}
	var rows []*person
	err := db.Select(ctx, q, &rows, `SELECT u.id, u.name, u.status = 'ACTIVE' AS is_active, u.is_fieldworker, u.fieldworker_switched, r.permissions, r.visibility,
			coalesce((SELECT p.e164 FROM user_phone p WHERE p.organization_id = $1 AND p.user_id = u.id ORDER BY p.is_primary DESC, p.e164 LIMIT 1), '') AS e164
		FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE u.organization_id = $1 AND u.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	for _, p := range rows {
		out[p.ID] = p
	}
	return out, err
}

// actor is the person as they may act now.
func (p *person) actor(org id.ID) access.Actor {
	return access.Actor{OrganizationID: org, UserID: p.ID, Permissions: access.SetOf(p.Permissions...), Visibility: p.Visibility, IsFieldworker: p.IsFieldworker, Switched: p.Switched}
}
