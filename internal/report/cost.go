package report

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

// CostAmount is an amount in millionths of a currency.
type CostAmount struct {
	Micros   int64
	Currency string // ISO 4217
}

// Amount is the number without its currency: "0.0079".
func (c CostAmount) Amount() string {
	return strings.TrimSuffix(message.Money{Micros: c.Micros, Currency: c.Currency}.String(), " "+c.Currency)
}

// CallCost is what a call costs (R102).
type CallCost struct {
	Known      []CostAmount
	Estimated  []CostAmount
	IsFinal    bool
	BilledLegs int
}

// LegCost is what a leg costs.
type LegCost struct {
	Amount        *CostAmount
	IsEstimate    bool
	BilledMinutes int
}

// UsageGroup is what usage is grouped by.
type UsageGroup string

// The groups of usage.
const (
	UsageByDay         UsageGroup = "DAY"
	UsageByBranch      UsageGroup = "BRANCH"
	UsageByPhoneNumber UsageGroup = "PHONE_NUMBER"
	UsageByUser        UsageGroup = "USER"
	UsageByAutomation  UsageGroup = "AUTOMATION"
	UsageByBulk        UsageGroup = "BULK"
	UsageByCall        UsageGroup = "CALL"
	UsageByKind        UsageGroup = "KIND"
)

// Usage is what calls and messages cost (R102, R174).
type Usage struct {
	Total UsageRow
	Rows  []UsageRow
}

// UsageRow is the usage of one group.
type UsageRow struct {
	Key       *string
	Label     string
	Calls     int
	Legs      int
	Minutes   int
	Messages  int
	Segments  int
	Known     []CostAmount
	Estimated []CostAmount
	Unpriced  int
}

// costs adds up amounts by currency.
type costs map[string]int64

func (c costs) add(a CostAmount) { c[a.Currency] += a.Micros }

func (c costs) list() []CostAmount {
	out := make([]CostAmount, 0, len(c))
	for currency, micros := range c {
		out = append(out, CostAmount{micros, currency})
	}
	slices.SortFunc(out, func(a, b CostAmount) int { return cmp.Compare(a.Currency, b.Currency) })
	return out
}

// CallCosts is what calls cost, for those that the actor has in hand; nothing
// without COST_VIEW.
func (s *Service) CallCosts(ctx context.Context, who access.Actor, calls []id.ID) (out map[id.ID]*CallCost, err error) {
	defer errs.Wrap(&err, "report.CallCosts")
	out = map[id.ID]*CallCost{}
	legs, r, err := s.legs(ctx, who, "l.call_id", calls)
	if err != nil || r == nil {
		return out, err
	}
	type sums struct {
		known, estimated costs
		cost             *CallCost
	}
	by := map[id.ID]*sums{}
	for _, x := range calls {
		by[x] = &sums{known: costs{}, estimated: costs{}, cost: &CallCost{IsFinal: true}}
	}
	for i := range legs {
		c, s := legs[i].cost(r), by[legs[i].CallID]
		if legs[i].EndedAt == nil {
			s.cost.IsFinal = false
		}
		if c == nil {
			continue
		}
		s.cost.BilledLegs++
		s.cost.IsFinal = s.cost.IsFinal && !c.IsEstimate
		switch {
		case c.Amount == nil:
		case c.IsEstimate:
			s.estimated.add(*c.Amount)
		default:
			s.known.add(*c.Amount)
		}
	}
	for x, s := range by {
		s.cost.Known, s.cost.Estimated = s.known.list(), s.estimated.list()
		out[x] = s.cost
	}
	return out, nil
}

// LegCosts is what legs cost, for those that the actor has in hand; nothing without
// COST_VIEW. Legs that are not billed are left out.
func (s *Service) LegCosts(ctx context.Context, who access.Actor, ids []id.ID) (out map[id.ID]*LegCost, err error) {
	defer errs.Wrap(&err, "report.LegCosts")
	out = map[id.ID]*LegCost{}
	legs, r, err := s.legs(ctx, who, "l.id", ids)
	if err != nil || r == nil {
		return out, err
	}
	for i := range legs {
		if c := legs[i].cost(r); c != nil {
			out[legs[i].ID] = c
		}
	}
	return out, nil
}

// legs reads legs as they are billed, and the rates; no rates without COST_VIEW.
func (s *Service) legs(ctx context.Context, who access.Actor, column string, ids []id.ID) (legs []billed, r rates, err error) {
	if !who.Can(access.CostView) || len(ids) == 0 {
		return nil, nil, nil
	}
	err = s.db.InSnapshot(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if r, err = readRates(ctx, tx, who.OrganizationID); err != nil {
			return err
		}
		return db.Select(ctx, tx, &legs, "SELECT "+billedColumns+billedFrom+" WHERE l.organization_id = $1 AND "+column+" = ANY ($2::uuid[])", who.OrganizationID, ids)
	})
	return legs, r, err
}

// UsageFilter is what usage counts.
type UsageFilter struct {
	From, Until   time.Time
	TimeZone      string
	BranchID      id.ID
	PhoneNumberID id.ID
	UserID        id.ID
	AutomationID  id.ID
	GroupBy       UsageGroup
}

// usageKey is what usage is put together by: of a call c, of a message m of a thread t.
type usageKey struct {
	call, message string // "" for what has none of it
	table, none   string
}

var usageKeys = map[UsageGroup]usageKey{
	"":                 {call: "''", message: "''"},
	UsageByDay:         {call: "to_char(c.started_at AT TIME ZONE $4, 'YYYY-MM-DD')", message: "to_char(m.at AT TIME ZONE $4, 'YYYY-MM-DD')"},
	UsageByKind:        {call: "'CALL_' || c.direction", message: "CASE WHEN m.media_count > 0 THEN 'MMS' ELSE 'SMS' END || '_' || m.direction"},
	UsageByBranch:      {call: "c.branch_id::text", message: "t.branch_id::text", table: "branch", none: "No branch"},
	UsageByPhoneNumber: {call: "c.phone_number_id::text", message: "t.phone_number_id::text", table: "phone_number", none: "No number"},
	UsageByUser:        {call: "coalesce(c.answered_by_user_id, c.user_id)::text", message: "m.user_id::text", table: `"user"`, none: "Nobody"},
	UsageByAutomation:  {message: "m.automation_id::text", table: "automation", none: "No automation"},
	UsageByBulk:        {message: "m.bulk_id::text", table: "bulk_message", none: "No bulk message"},
	UsageByCall:        {call: "c.id::text"},
}

// maxUsageCalls is how many calls are told one by one.
const maxUsageCalls = 100

// spentRow is one group in one currency, as SQL adds it up.
type spentRow struct {
	Key       *string `bun:"key"`
	Calls     int     `bun:"calls"`
	Legs      int     `bun:"legs"`
	Minutes   int     `bun:"minutes"`
	Messages  int     `bun:"messages"`
	Segments  int     `bun:"segments"`
	Unpriced  int     `bun:"unpriced"`
	Currency  *string `bun:"currency"`
	Known     int64   `bun:"known"`
	Estimated int64   `bun:"estimated"`
}

// Usage adds up what calls and messages cost (R102, R174). It needs COST_VIEW and
// counts what the actor sees of the logs, in a number of statements that does not
// depend on how much there is. Codes: errs.Invalid, errs.Forbidden.
func (s *Service) Usage(ctx context.Context, who access.Actor, f UsageFilter) (out *Usage, err error) {
	defer errs.Wrap(&err, "report.Usage(%s)", f.GroupBy)
	if err := who.Require(access.CostView); err != nil {
		return nil, err
	}
	k, ok := usageKeys[f.GroupBy]
	if !ok {
		return nil, errs.New(errs.Invalid, "usage cannot be grouped by %q", string(f.GroupBy)).At("groupBy")
	}
	if f.TimeZone, err = checkRange(f.From, f.Until, f.TimeZone); err != nil {
		return nil, err
	}
	out = &Usage{Rows: []UsageRow{}}
	err = s.db.InSnapshot(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		total, err := f.spent(ctx, tx, who, usageKeys[""], false)
		if err != nil {
			return err
		}
		if out.Total = (UsageRow{Known: []CostAmount{}, Estimated: []CostAmount{}}); len(total) > 0 {
			out.Total = total[0]
		}
		out.Total.Key, out.Total.Label = nil, "Total"
		if f.GroupBy == "" {
			return nil
		}
		if out.Rows, err = f.spent(ctx, tx, who, k, f.GroupBy == UsageByCall); err != nil {
			return err
		}
		return f.label(ctx, tx, who, k, out.Rows)
	})
	return out, err
}

// spent adds up calls and messages by a key.
func (f *UsageFilter) spent(ctx context.Context, tx *db.Tx, who access.Actor, k usageKey, dearest bool) ([]UsageRow, error) {
	type group struct {
		row              UsageRow
		known, estimated costs
	}
	groups := map[string]*group{}
	take := func(q *query) error {
		var rows []spentRow
		if err := db.Select(ctx, tx, &rows, q.sql.String(), q.args...); err != nil {
			return err
		}
		for _, x := range rows {
			name := ""
			if x.Key != nil {
				name = "=" + *x.Key
			}
			g := groups[name]
			if g == nil {
				g = &group{row: UsageRow{Key: x.Key}, known: costs{}, estimated: costs{}}
				groups[name] = g
			}
			r := &g.row
			r.Calls, r.Legs, r.Minutes, r.Messages, r.Segments, r.Unpriced = r.Calls+x.Calls, r.Legs+x.Legs, r.Minutes+x.Minutes, r.Messages+x.Messages, r.Segments+x.Segments, r.Unpriced+x.Unpriced
			if x.Currency != nil && x.Known != 0 {
				g.known.add(CostAmount{x.Known, *x.Currency})
			}
			if x.Currency != nil && x.Estimated != 0 {
				g.estimated.add(CostAmount{x.Estimated, *x.Currency})
			}
		}
		return nil
	}
	if k.call != "" && f.AutomationID.IsZero() {
		for _, q := range f.calls(who, k.call, dearest) {
			if err := take(q); err != nil {
				return nil, err
			}
		}
	}
	if k.message != "" {
		if err := take(f.messages(who, k.message)); err != nil {
			return nil, err
		}
	}
	out := make([]UsageRow, 0, len(groups))
	for _, g := range groups {
		g.row.Known, g.row.Estimated = g.known.list(), g.estimated.list()
		out = append(out, g.row)
	}
	return out, nil
}

// calls are the questions about legs: how many calls, and what their legs cost by
// currency.
func (f *UsageFilter) calls(who access.Actor, key string, dearest bool) []*query {
	begin := func(text string) *query {
		q := &query{args: []any{who.OrganizationID, f.From, f.Until, f.TimeZone}}
		q.sql.WriteString(text + `
  FROM call c
  JOIN call_leg l ON l.organization_id = c.organization_id AND l.call_id = c.id
  WHERE c.organization_id = $1 AND c.started_at >= $2 AND c.started_at < $3 AND $4::text IS NOT NULL AND l.twilio_sid IS NOT NULL AND l.billed_minutes > 0`)
		if !who.System {
			q.and(call.SeenBy("c", who, q.arg))
		}
		q.equal("c.branch_id", f.BranchID)
		q.equal("c.phone_number_id", f.PhoneNumberID)
		if !f.UserID.IsZero() {
			q.and("coalesce(c.answered_by_user_id, c.user_id) = ?", f.UserID)
		}
		return q
	}
	if dearest {
		q := begin(`SELECT x.* FROM (SELECT ` + key + ` AS key, count(*) AS legs, sum(l.billed_minutes)::bigint AS minutes,
    count(*) FILTER (WHERE l.price_micros IS NULL AND l.estimated_micros IS NULL) AS unpriced, coalesce(l.price_currency, l.estimated_currency) AS currency,
    coalesce(sum(l.price_micros), 0)::bigint AS known, coalesce(sum(l.estimated_micros) FILTER (WHERE l.price_micros IS NULL), 0)::bigint AS estimated`)
		q.sql.WriteString("\n  GROUP BY 1, coalesce(l.price_currency, l.estimated_currency)) x ORDER BY x.known + x.estimated DESC, x.key LIMIT " + q.arg(maxUsageCalls))
		return []*query{q}
	}
	many := begin("SELECT " + key + " AS key, count(DISTINCT c.id) AS calls")
	many.sql.WriteString("\n  GROUP BY 1")
	cost := begin(`SELECT ` + key + ` AS key, count(*) AS legs, sum(l.billed_minutes)::bigint AS minutes,
  count(*) FILTER (WHERE l.price_micros IS NULL AND l.estimated_micros IS NULL) AS unpriced, coalesce(l.price_currency, l.estimated_currency) AS currency,
  coalesce(sum(l.price_micros), 0)::bigint AS known, coalesce(sum(l.estimated_micros) FILTER (WHERE l.price_micros IS NULL), 0)::bigint AS estimated`)
	cost.sql.WriteString("\n  GROUP BY 1, coalesce(l.price_currency, l.estimated_currency)")
	return []*query{many, cost}
}

// messages is the question about messages: those that Twilio took, and those received.
func (f *UsageFilter) messages(who access.Actor, key string) *query {
	q := MessageFilter{From: f.From, TimeZone: f.TimeZone, BranchID: f.BranchID, PhoneNumberID: f.PhoneNumberID}.messages(who, `SELECT `+key+` AS key, count(*) AS messages,
  coalesce(sum(m.num_segments), 0)::bigint AS segments, count(*) FILTER (WHERE m.direction = 'OUTBOUND' AND m.price_micros IS NULL AND m.estimated_micros IS NULL) AS unpriced,
  m.price_currency AS currency, coalesce(sum(m.price_micros), 0)::bigint AS known, coalesce(sum(m.estimated_micros) FILTER (WHERE m.price_micros IS NULL), 0)::bigint AS estimated`, f.Until)
	q.and(strings.ReplaceAll("(k.direction = 'INBOUND' OR "+handed+")", "k.", "m.") + " AND NOT " + refused)
	q.equal("m.user_id", f.UserID)
	q.equal("m.automation_id", f.AutomationID)
	q.sql.WriteString("\n  GROUP BY 1, m.price_currency")
	return q
}

// label sorts the groups and gives them their names; calls come by what they cost.
func (f *UsageFilter) label(ctx context.Context, tx *db.Tx, who access.Actor, k usageKey, rows []UsageRow) error {
	named := map[string]string{}
	if k.table != "" {
		keys := make([]sum, len(rows))
		for i, r := range rows {
			keys[i].Key = r.Key
		}
		var err error
		if named, err = namesOf(ctx, tx, who.OrganizationID, k.table, keys); err != nil {
			return err
		}
	}
	for i := range rows {
		r := &rows[i]
		switch {
		case r.Key == nil:
			r.Label = k.none
		case k.table != "":
			r.Label, r.Key = named[*r.Key], prefixed(*r.Key)
		case f.GroupBy == UsageByCall:
			r.Key, r.Calls = prefixed(*r.Key), 1
			r.Label = *r.Key
		default:
			r.Label = *r.Key
		}
	}
	slices.SortFunc(rows, func(a, b UsageRow) int {
		if f.GroupBy == UsageByCall {
			if c := cmp.Compare(b.micros(), a.micros()); c != 0 {
				return c
			}
		}
		return byLabel(a.Key, a.Label, b.Key, b.Label)
	})
	return nil
}

func (r *UsageRow) micros() (n int64) {
	for _, a := range append(slices.Clone(r.Known), r.Estimated...) {
		n += a.Micros
	}
	return n
}
