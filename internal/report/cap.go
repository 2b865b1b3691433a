package report

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

// CapReached is the kind of event that says that a cap was reached.
const CapReached event.Kind = "COST_CAP_REACHED"

// CapScope is what a cap is about.
type CapScope string

// The scopes.
const (
	CapOrganization CapScope = "ORGANIZATION"
	CapBranch       CapScope = "BRANCH"
	CapAutomation   CapScope = "AUTOMATION"
	CapUser         CapScope = "USER"
)

// CapPeriod is for how long a cap counts, by the organization's clock.
type CapPeriod string

// The periods.
const (
	CapDay   CapPeriod = "DAY"
	CapMonth CapPeriod = "MONTH"
)

// CapAction is what happens when a cap is reached.
type CapAction string

// The actions.
const (
	CapWarn  CapAction = "WARN"
	CapBlock CapAction = "BLOCK"
)

// CostCap is a cap of costs (R102).
type CostCap struct {
	OrganizationID id.ID      `bun:"organization_id"`
	ID             id.ID      `bun:"id"`
	Scope          CapScope   `bun:"scope"`
	BranchID       id.ID      `bun:"branch_id"`
	AutomationID   id.ID      `bun:"automation_id"`
	UserID         id.ID      `bun:"user_id"`
	Period         CapPeriod  `bun:"period"`
	AmountMinor    int64      `bun:"amount_minor"`
	Currency       string     `bun:"currency"`
	Action         CapAction  `bun:"action"`
	PeriodStart    *time.Time `bun:"period_start"`
	SpentMicros    int64      `bun:"spent_micros"`
	CountedAt      *time.Time `bun:"counted_at"`
	ReachedAt      *time.Time `bun:"reached_at"`
	ToldPeriod     *time.Time `bun:"told_period"`
	CreatedAt      time.Time  `bun:"created_at"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*CostCap) IsNode() {}

// Limit is how much may be spent in a period.
func (c *CostCap) Limit() contact.Money {
	return contact.Money{AmountMinor: c.AmountMinor, Currency: c.Currency}
}

// Spent is what the period that runs has cost so far.
func (c *CostCap) Spent() CostAmount { return CostAmount{Micros: c.SpentMicros, Currency: c.Currency} }

// IsReached reports whether nothing is left.
func (c *CostCap) IsReached() bool { return c.SpentMicros >= c.limitMicros() }

// limitMicros is the limit in millionths.
func (c *CostCap) limitMicros() int64 {
	micros := c.AmountMinor
	for range 6 - decimals(c.Currency) {
		micros *= 10
	}
	return micros
}

// decimals are the places of a currency's smallest unit (ISO 4217).
func decimals(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	}
	return 2
}

const (
	maxCaps   = 50
	capsEvery = time.Minute
	// capFresh is how old what a cap has been counted at may be when it is asked whether it bars.
	capFresh = 2 * time.Minute
)

const capColumns = `k.organization_id, k.id, k.scope, k.branch_id, k.automation_id, k.user_id, k.period, k.amount_minor, k.currency, k.action,
  k.period_start, k.spent_micros, k.counted_at, k.reached_at, k.told_period, k.created_at`

// counting is a cap with what it takes to count it.
type counting struct {
	CostCap  `bun:",extend"`
	TimeZone string `bun:"time_zone"`
	About    string `bun:"about"` // the name of what it is about
}

// countingColumns are read with o, the organization, and the three names.
const countingColumns = capColumns + `, o.time_zone, coalesce(b.name, a.name, u.name, '') AS about`

const countingFrom = `
FROM cost_cap k
JOIN organization o ON o.organization_id = k.organization_id
LEFT JOIN branch b ON b.organization_id = k.organization_id AND b.id = k.branch_id
LEFT JOIN automation a ON a.organization_id = k.organization_id AND a.id = k.automation_id
LEFT JOIN "user" u ON u.organization_id = k.organization_id AND u.id = k.user_id`

// start is when the period began that a moment lies in, and end when it ends, by
// the organization's clock.
func (c *counting) bounds(now time.Time) (start, end time.Time) {
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	y, m, d := now.In(zone).Date()
	if c.Period == CapMonth {
		return clock.Midnight(y, m, 1, zone), clock.Midnight(y, m+1, 1, zone)
	}
	return clock.Midnight(y, m, d, zone), clock.Midnight(y, m, d+1, zone)
}

// spentSQL adds up what a period has cost in a currency: legs that ended in it and
// messages of it, by their price or what is expected. Args: organization, currency,
// from, until.
const (
	spentOnCalls = `SELECT coalesce(sum(coalesce(l.price_micros, l.estimated_micros)), 0)::bigint AS micros FROM call_leg l
JOIN call c ON c.organization_id = l.organization_id AND c.id = l.call_id
WHERE l.organization_id = $1 AND l.ended_at >= $3 AND l.ended_at < $4 AND l.twilio_sid IS NOT NULL AND coalesce(l.price_currency, l.estimated_currency) = $2`
	spentOnMessages = `SELECT coalesce(sum(coalesce(m.price_micros, m.estimated_micros)), 0)::bigint AS micros FROM message m
JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
WHERE m.organization_id = $1 AND m.at >= $3 AND m.at < $4 AND m.price_currency = $2 AND m.direction = 'OUTBOUND' AND m.status NOT IN ('SCHEDULED', 'CANCELED') AND NOT ` + refused
)

// spent counts what the cap's period that now lies in has cost.
func (c *counting) spent(ctx context.Context, tx *db.Tx, now time.Time) (micros int64, err error) {
	from, until := c.bounds(now)
	args := []any{c.OrganizationID, c.Currency, from, until}
	calls, messages := spentOnCalls, spentOnMessages
	switch c.Scope {
	case CapBranch:
		calls, messages, args = calls+" AND c.branch_id = $5", messages+" AND t.branch_id = $5", append(args, c.BranchID)
	case CapUser: // what a person starts and writes; whoever answers spends nothing
		calls, messages, args = calls+" AND c.user_id = $5 AND c.direction <> 'INBOUND'", messages+" AND m.user_id = $5", append(args, c.UserID)
	case CapAutomation:
		calls, messages, args = "SELECT 0::bigint AS micros WHERE $1::uuid IS NOT NULL AND $2::text IS NOT NULL AND $3::timestamptz IS NOT NULL AND $4::timestamptz IS NOT NULL AND $5::uuid IS NOT NULL", messages+" AND m.automation_id = $5", append(args, c.AutomationID)
	}
	for _, q := range []string{calls, messages} {
		var row struct {
			Micros int64 `bun:"micros"`
		}
		if err := db.Select(ctx, tx, &row, q, args...); err != nil {
			return 0, err
		}
		micros += row.Micros
	}
	return micros, nil
}

// CapInput is a cap to set.
type CapInput struct {
	Scope        CapScope
	BranchID     id.ID
	AutomationID id.ID
	UserID       id.ID
	Period       CapPeriod
	AmountMinor  int64
	Currency     string
	Action       CapAction
}

func (in *CapInput) check() error {
	for _, x := range []struct {
		field string
		scope CapScope
		id    id.ID
	}{{"branchId", CapBranch, in.BranchID}, {"automationId", CapAutomation, in.AutomationID}, {"userId", CapUser, in.UserID}} {
		switch {
		case in.Scope == x.scope && x.id.IsZero():
			return errs.New(errs.Required, "say which: %s", x.field).At("input", x.field)
		case in.Scope != x.scope && !x.id.IsZero():
			return errs.New(errs.Invalid, "a cap of scope %s takes no %s; leave it out or choose the scope %s", in.Scope, x.field, x.scope).At("input", x.field)
		}
	}
	in.Currency = strings.ToUpper(strings.TrimSpace(in.Currency))
	switch {
	case in.AmountMinor < 1 || in.AmountMinor > 1_000_000_000:
		return errs.New(errs.Invalid, "a cap is 1 to 1,000,000,000, in the smallest unit of its currency").At("input", "amountMinor")
	case len(in.Currency) != 3 || strings.ContainsFunc(in.Currency, func(r rune) bool { return r < 'A' || r > 'Z' }):
		return errs.New(errs.Invalid, "a currency is three letters, such as USD").At("input", "currency")
	}
	return nil
}

// SetCap sets a cap, or changes the one of the same scope, period and currency. It
// needs SETTINGS_MANAGE. Codes: errs.Required, errs.Invalid, errs.NotFound,
// errs.LimitReached.
func (s *Service) SetCap(ctx context.Context, who access.Actor, in CapInput) (c *CostCap, err error) {
	defer errs.Wrap(&err, "report.SetCap(%s)", in.Scope)
	if err := who.Require(access.SettingsManage); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	var made id.ID
	err = s.db.InTxAgain(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		org := who.OrganizationID
		for _, x := range []struct {
			table, what, field string
			id                 id.ID
		}{{"branch", "branch", "branchId", in.BranchID}, {"automation", "automation", "automationId", in.AutomationID}, {`"user"`, "user", "userId", in.UserID}} {
			if x.id.IsZero() {
				continue
			}
			var found struct {
				N int `bun:"n"`
			}
			if err := db.Select(ctx, tx, &found, "SELECT count(*) AS n FROM "+x.table+" WHERE organization_id = $1 AND id = $2", org, x.id); err != nil {
				return err
			}
			if found.N == 0 {
				return errs.New(errs.NotFound, "there is no such %s", x.what).At("input", x.field)
			}
		}
		var row struct {
			ID id.ID `bun:"id"`
		}
		if err := db.Select(ctx, tx, &row, `
INSERT INTO cost_cap (organization_id, id, scope, branch_id, automation_id, user_id, period, amount_minor, currency, action, created_by, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT ON CONSTRAINT cost_cap_once DO UPDATE SET amount_minor = excluded.amount_minor, action = excluded.action, updated_at = excluded.updated_at,
  told_period = CASE WHEN cost_cap.amount_minor = excluded.amount_minor THEN cost_cap.told_period END
RETURNING id`, org, id.New(id.CostCap), in.Scope, in.BranchID, in.AutomationID, in.UserID, in.Period, in.AmountMinor, in.Currency, in.Action, who.ID(), tx.Now); err != nil {
			return err
		}
		var n struct {
			N int `bun:"n"`
		}
		if err := db.Select(ctx, tx, &n, `SELECT count(*) AS n FROM cost_cap WHERE organization_id = $1`, org); err != nil {
			return err
		}
		if n.N > maxCaps {
			return errs.New(errs.LimitReached, "an organization has %d caps at most; remove one first", maxCaps)
		}
		made = row.ID
		if err := s.look(ctx, tx, made); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "cost_cap.set", Subject: made, Detail: map[string]any{
			"scope": in.Scope, "period": in.Period, "amountMinor": in.AmountMinor, "currency": in.Currency, "action": in.Action}})
	})
	if err != nil {
		return nil, err
	}
	who.Visibility = access.SeesOrganization // who has set it sees it
	return s.cap(ctx, who, made)
}

// RemoveCap removes a cap. It needs SETTINGS_MANAGE. Removing one that is gone succeeds.
func (s *Service) RemoveCap(ctx context.Context, who access.Actor, x id.ID) (err error) {
	defer errs.Wrap(&err, "report.RemoveCap(%s)", x)
	if err := who.Require(access.SettingsManage); err != nil {
		return err
	}
	return s.db.InTxAgain(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		n, err := db.Exec(ctx, tx, `DELETE FROM cost_cap WHERE organization_id = $1 AND id = $2`, who.OrganizationID, x)
		if err != nil || n == 0 {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "cost_cap.remove", Subject: x})
	})
}

// Caps are the caps that the actor sees, newest first, counted now: those of the
// organization and of automations for who sees all of it, else those of the actor's
// branches and their own. It needs COST_VIEW.
func (s *Service) Caps(ctx context.Context, who access.Actor) (out []*CostCap, err error) {
	defer errs.Wrap(&err, "report.Caps")
	if err := who.Require(access.CostView); err != nil {
		return nil, err
	}
	return s.caps(ctx, who, id.ID{})
}

// Cap is one cap that the actor sees. Codes: errs.NotFound, also without COST_VIEW.
func (s *Service) Cap(ctx context.Context, who access.Actor, x id.ID) (c *CostCap, err error) {
	defer errs.Wrap(&err, "report.Cap(%s)", x)
	if !who.Can(access.CostView) {
		return nil, errs.New(errs.NotFound, "there is no such cap")
	}
	return s.cap(ctx, who, x)
}

func (s *Service) cap(ctx context.Context, who access.Actor, x id.ID) (*CostCap, error) {
	all, err := s.caps(ctx, who, x)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errs.New(errs.NotFound, "there is no such cap")
	}
	return all[0], nil
}

// caps are those that the actor sees, or one of them.
func (s *Service) caps(ctx context.Context, who access.Actor, only id.ID) (out []*CostCap, err error) {
	q := &query{args: []any{who.OrganizationID}}
	q.sql.WriteString("SELECT " + countingColumns + countingFrom + " WHERE k.organization_id = $1")
	if !who.SeesAll() {
		q.and("(k.branch_id = ANY (?::uuid[]) OR k.user_id = ?)", who.SeesBranches(), who.UserID)
	}
	q.equal("k.id", only)
	q.sql.WriteString(" ORDER BY k.created_at DESC, k.id DESC")
	out = []*CostCap{}
	err = s.db.InSnapshot(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		var rows []*counting
		if err := db.Select(ctx, tx, &rows, q.sql.String(), q.args...); err != nil {
			return err
		}
		for _, c := range rows {
			if err := c.fresh(ctx, tx, tx.Now, 0); err != nil {
				return err
			}
			out = append(out, &c.CostCap)
		}
		return nil
	})
	return out, err
}

// fresh counts the cap unless that was done within age in this period.
func (c *counting) fresh(ctx context.Context, tx *db.Tx, now time.Time, age time.Duration) (err error) {
	start, _ := c.bounds(now)
	if age > 0 && c.CountedAt != nil && c.PeriodStart != nil && c.PeriodStart.Equal(start) && now.Sub(*c.CountedAt) < age {
		return nil
	}
	c.PeriodStart, c.CountedAt = &start, &now
	c.SpentMicros, err = c.spent(ctx, tx, now)
	return err
}

// sweepCaps counts every cap and tells of those that were reached.
func (s *Service) sweepCaps(ctx context.Context, _ time.Time) (err error) {
	defer errs.Wrap(&err, "report.sweepCaps")
	var all []struct {
		Organization id.ID `bun:"organization_id"`
		ID           id.ID `bun:"id"`
	}
	if err := db.Select(ctx, s.db.Worker(), &all, `SELECT organization_id, id FROM cost_cap ORDER BY organization_id, id`); err != nil {
		return err
	}
	var failed []error
	for _, c := range all {
		err := s.db.InTxAgain(db.WithTenant(ctx, c.Organization), func(ctx context.Context, tx *db.Tx) error { return s.look(ctx, tx, c.ID) })
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// look counts a cap and tells, once in a period, that it is reached.
func (s *Service) look(ctx context.Context, tx *db.Tx, x id.ID) error {
	var c counting
	err := db.Select(ctx, tx, &c, "SELECT "+countingColumns+countingFrom+" WHERE k.organization_id = $1 AND k.id = $2 FOR UPDATE OF k", db.TenantFrom(ctx), x)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.fresh(ctx, tx, tx.Now, 0); err != nil {
		return err
	}
	if c.IsReached() && (c.ToldPeriod == nil || !c.ToldPeriod.Equal(*c.PeriodStart)) {
		c.ToldPeriod, c.ReachedAt = c.PeriodStart, &tx.Now
		data := fmt.Sprintf(`{"scope":%q,"period":%q,"action":%q,"currency":%q,"limitMinor":%d,"spentMicros":%d}`, c.Scope, c.Period, c.Action, c.Currency, c.AmountMinor, c.SpentMicros)
		if err := event.Append(ctx, tx, event.Event{Kind: CapReached, Subject: c.ID, Data: []byte(data)}); err != nil {
			return err
		}
	}
	_, err = db.Exec(ctx, tx, `UPDATE cost_cap SET period_start = $3, spent_micros = $4, counted_at = $5, reached_at = $6, told_period = $7 WHERE organization_id = $1 AND id = $2`,
		c.OrganizationID, c.ID, c.PeriodStart, c.SpentMicros, c.CountedAt, c.ReachedAt, c.ToldPeriod)
	return err
}

// Spending is what somebody is about to spend on.
type Spending struct {
	UserID, BranchID, AutomationID id.ID
}

// MaySpend refuses what a cap bars (R102): what the sweep has counted within two
// minutes counts. Only calls and messages out are asked about; emergency calls are
// not. Code: errs.LimitReached, which names the cap.
func (s *Service) MaySpend(ctx context.Context, tx *db.Tx, org id.ID, on Spending) (err error) {
	defer errs.Wrap(&err, "report.MaySpend")
	var rows []*counting
	if err := db.Select(ctx, tx, &rows, "SELECT "+countingColumns+countingFrom+` WHERE k.organization_id = $1 AND k.action = 'BLOCK'
  AND (k.scope = 'ORGANIZATION' OR k.branch_id = $2 OR k.user_id = $3 OR k.automation_id = $4)`, org, on.BranchID, on.UserID, on.AutomationID); err != nil {
		return err
	}
	slices.SortFunc(rows, func(a, b *counting) int { return cmp.Compare(a.Scope, b.Scope) })
	for _, c := range rows {
		if err := c.fresh(ctx, tx, tx.Now, capFresh); err != nil {
			return err
		}
		if c.IsReached() {
			_, end := c.bounds(tx.Now)
			return errs.New(errs.LimitReached, "the cap of %s a %s for %s is reached; wait until %s, or have an administrator raise it", amountOf(c.limitMicros(), c.Currency),
				strings.ToLower(string(c.Period)), c.of(), end.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

func amountOf(micros int64, currency string) string {
	return CostAmount{micros, currency}.Amount() + " " + currency
}

// of is what the cap is about, in words.
func (c *counting) of() string {
	switch c.Scope {
	case CapBranch:
		return "the branch " + c.About
	case CapAutomation:
		return "the automation " + c.About
	case CapUser:
		return c.About
	}
	return "the organization"
}
