// Package report answers questions about many rows at once. It only reads, and
// only what other nouns keep; the days of a report are those of the
// organization's time zone.
package report

import (
	"context"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Group is what statistics are grouped by.
type Group string

// The groups.
const (
	ByDay         Group = "DAY"
	ByBranch      Group = "BRANCH"
	ByPhoneNumber Group = "PHONE_NUMBER"
	ByUser        Group = "USER"
	ByStatus      Group = "STATUS"
)

// Statistics are counts and mean times of calls (R215).
type Statistics struct {
	Total StatisticsRow
	Rows  []StatisticsRow
}

// StatisticsRow is one group, or the total.
type StatisticsRow struct {
	Key                *string  // a day, a status or an id; nil for the total
	Label              string   // what to show for it
	Count              int      // all calls
	Answered           int      // answered by somebody
	Missed             int      // answered by nobody, without a voicemail
	Voicemail          int      // ended with a voicemail
	AverageTalkSeconds *float64 // of answered calls
	AverageRingSeconds *float64 // of all calls that rang
}

// MaxDays is the longest range of one question.
const MaxDays = 366

// Filter is the range and what to count. From and Until are moments: the edge
// turns days into them in the organization's time zone.
type Filter struct {
	From, Until   time.Time // Until is excluded
	Direction     string    // "" for all ways
	BranchID      id.ID
	PhoneNumberID id.ID
	UserID        id.ID  // answered or started by
	TimeZone      string // IANA, for the days; "" is UTC
	GroupBy       Group  // "" for the total only
}

// CallFilter is which calls a report counts; everything that is given must hold.
type CallFilter struct {
	From, Until     time.Time // Until is excluded
	TimeZone        string    // IANA, for the days; "" is UTC
	BranchIDs       []id.ID
	PhoneNumberIDs  []id.ID
	UserIDs         []id.ID // answered or started by
	Directions      []call.Direction
	Statuses        []call.Status
	BusinessUnit    string
	CampaignID      id.ID
	ContactKind     contact.Kind
	ExcludeInternal bool
}

// Service answers reports.
type Service struct{ db *db.DB }

// New makes a Service.
func New(d *db.DB) *Service { return &Service{db: d} }

// group says how calls are put together.
type group struct {
	key   string // $4 is the time zone
	shown string // the key as text, of the counted rows k
	table string // of the noun that has the name of today
	none  string // what to show for calls that belong to none
}

var groups = map[Group]group{
	"":            {key: "0", shown: "''"},
	ByDay:         {key: "(c.started_at AT TIME ZONE $4)::date", shown: "to_char(k.key, 'YYYY-MM-DD')"},
	ByStatus:      {key: "c.status", shown: "k.key"},
	ByBranch:      {key: "c.branch_id", shown: "k.key::text", table: "branch", none: "No branch"},
	ByPhoneNumber: {key: "c.phone_number_id", shown: "k.key::text", table: "phone_number", none: "No number"},
	ByUser:        {key: "coalesce(c.answered_by_user_id, c.user_id)", shown: "k.key::text", table: `"user"`, none: "Nobody"},
}

// counted is one group as SQL counts it: with sums, of which the total is made.
type counted struct {
	Key       *string `bun:"key"`
	Label     string  `bun:"label"`
	Count     int     `bun:"count"`
	Answered  int     `bun:"answered"`
	Missed    int     `bun:"missed"`
	Voicemail int     `bun:"voicemail"`
	Talked    int     `bun:"talked"` // calls whose talk time is known
	Talk      int     `bun:"talk"`   // seconds of all of them
	Rang      int     `bun:"rang"`
	Ring      int     `bun:"ring"`
}

const counts = `count(*) AS count,
    count(*) FILTER (WHERE c.answered_at IS NOT NULL AND c.status <> 'VOICEMAIL') AS answered,
    count(*) FILTER (WHERE c.status = 'MISSED') AS missed,
    count(*) FILTER (WHERE c.status = 'VOICEMAIL') AS voicemail,
    count(c.talk_seconds) FILTER (WHERE c.answered_at IS NOT NULL AND c.status <> 'VOICEMAIL') AS talked,
    coalesce(sum(c.talk_seconds) FILTER (WHERE c.answered_at IS NOT NULL AND c.status <> 'VOICEMAIL'), 0) AS talk,
    count(c.ring_seconds) AS rang, coalesce(sum(c.ring_seconds), 0) AS ring`

func (c *counted) add(x counted) {
	c.Count += x.Count
	c.Answered += x.Answered
	c.Missed += x.Missed
	c.Voicemail += x.Voicemail
	c.Talked, c.Talk = c.Talked+x.Talked, c.Talk+x.Talk
	c.Rang, c.Ring = c.Rang+x.Rang, c.Ring+x.Ring
}

func (c *counted) row() StatisticsRow {
	return StatisticsRow{Key: c.Key, Label: c.Label, Count: c.Count, Answered: c.Answered, Missed: c.Missed, Voicemail: c.Voicemail,
		AverageTalkSeconds: mean(c.Talk, c.Talked), AverageRingSeconds: mean(c.Ring, c.Rang)}
}

func mean(sum, n int) *float64 {
	if n == 0 {
		return nil
	}
	m := float64(sum) / float64(n)
	return &m
}

// query is SQL with its arguments. The text depends only on which conditions
// there are, so few statements are prepared.
type query struct {
	sql  strings.Builder
	args []any
}

func (q *query) and(condition string, args ...any) {
	for _, a := range args {
		q.args = append(q.args, a)
		condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(q.args)), 1)
	}
	q.sql.WriteString("\n  AND " + condition)
}

func (q *query) equal(column string, v id.ID) {
	if !v.IsZero() {
		q.and(column+" = ?", v)
	}
}

// build is the question in SQL: counted first, named afterwards.
func build(who access.Actor, f Filter, g group) *query {
	q := &query{args: []any{who.OrganizationID, f.From, f.Until, f.TimeZone}}
	label, join := g.shown, ""
	if g.table != "" {
		label, join = "n.name", "\nLEFT JOIN "+g.table+" n ON n.organization_id = $1 AND n.id = k.key"
	}
	q.sql.WriteString("SELECT k.count, k.answered, k.missed, k.voicemail, k.talked, k.talk, k.rang, k.ring, " + g.shown + " AS key, coalesce(" + label + `, '') AS label
FROM (
  SELECT ` + g.key + ` AS key, ` + counts + `
  FROM call c
  WHERE c.organization_id = $1 AND c.started_at >= $2 AND c.started_at < $3 AND $4::text IS NOT NULL AND c.is_logged AND NOT c.is_test`)
	if f.Direction != "" {
		q.and("c.direction = ?", f.Direction)
	}
	q.equal("c.branch_id", f.BranchID)
	q.equal("c.phone_number_id", f.PhoneNumberID)
	if !f.UserID.IsZero() {
		q.and("(c.user_id = ? OR c.answered_by_user_id = ?)", f.UserID, f.UserID)
	}
	if !who.SeesAll() {
		// As in the call log: of their branches, and what they answered, started or were rung for.
		branches := who.SeesBranches()
		if branches == nil {
			branches = []id.ID{}
		}
		q.and(`(c.branch_id = ANY (?::uuid[]) OR c.user_id = ? OR c.answered_by_user_id = ? OR EXISTS (
    SELECT FROM call_leg own WHERE own.organization_id = $1 AND own.call_id = c.id AND own.user_id = ?))`, branches, who.UserID, who.UserID, who.UserID)
	}
	q.sql.WriteString("\n  GROUP BY 1) k" + join + "\nORDER BY k.key IS NULL, label, k.key")
	return q
}

// Calls counts calls. It needs REPORT_VIEW and counts only what the actor sees in
// the call log. Codes: errs.Invalid.
func (s *Service) Calls(ctx context.Context, who access.Actor, f Filter) (_ *Statistics, err error) {
	defer errs.Wrap(&err, "report.Calls(%s)", f.GroupBy)
	if err := who.Require(access.ReportView); err != nil {
		return nil, err
	}
	g, ok := groups[f.GroupBy]
	if !ok {
		return nil, errs.New(errs.Invalid, "statistics cannot be grouped by %q", string(f.GroupBy)).At("groupBy")
	}
	if f.TimeZone, err = checkRange(f.From, f.Until, f.TimeZone); err != nil {
		return nil, err
	}
	var rows []counted
	q := build(who, f, g)
	if err := db.Select(access.With(ctx, who), s.db.App(), &rows, q.sql.String(), q.args...); err != nil {
		return nil, err
	}
	total, out := counted{Label: "Total"}, &Statistics{Rows: make([]StatisticsRow, 0, len(rows))}
	for _, x := range rows {
		total.add(x)
		switch {
		case f.GroupBy == "":
			continue
		case x.Key == nil:
			x.Label = g.none
		case g.table != "":
			x.Key = prefixed(*x.Key)
		}
		out.Rows = append(out.Rows, x.row())
	}
	out.Total = total.row()
	return out, nil
}

// maxShift is how much shorter a year of days may be than so many times 24 hours.
const maxShift = 12 * time.Hour

// prefixed is an id as clients know it.
func prefixed(uuid string) *string {
	var ref id.ID
	if err := ref.Scan(uuid); err == nil {
		uuid = ref.String()
	}
	return &uuid
}
