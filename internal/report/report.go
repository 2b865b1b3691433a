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

// Service answers reports.
type Service struct{ db *db.DB }

// New makes a Service.
func New(d *db.DB) *Service { return &Service{db: d} }

// group says how calls are put together.
type group struct {
	key    string // $4 is the time zone
	label  string // from the noun's own table, so that it is the name of today
	join   string
	none   string // what to show for calls that belong to none
	isName bool   // the key is an id: people look for the label
}

var groups = map[Group]group{
	ByDay:    {key: "to_char(c.started_at AT TIME ZONE $4, 'YYYY-MM-DD')"},
	ByStatus: {key: "c.status"},
	ByBranch: {key: "c.branch_id", label: "g.name", none: "No branch", isName: true,
		join: "LEFT JOIN branch g ON g.organization_id = c.organization_id AND g.id = c.branch_id"},
	ByPhoneNumber: {key: "c.phone_number_id", label: "g.name", none: "No number", isName: true,
		join: "LEFT JOIN phone_number g ON g.organization_id = c.organization_id AND g.id = c.phone_number_id"},
	ByUser: {key: "coalesce(c.answered_by_user_id, c.user_id)", label: "g.name", none: "Nobody", isName: true,
		join: `LEFT JOIN "user" g ON g.organization_id = c.organization_id AND g.id = coalesce(c.answered_by_user_id, c.user_id)`},
}

const counts = `count(*) AS count,
  count(*) FILTER (WHERE c.answered_at IS NOT NULL AND c.status <> 'VOICEMAIL') AS answered,
  count(*) FILTER (WHERE c.status = 'MISSED') AS missed,
  count(*) FILTER (WHERE c.status = 'VOICEMAIL') AS voicemail,
  avg(c.talk_seconds) FILTER (WHERE c.answered_at IS NOT NULL AND c.status <> 'VOICEMAIL')::float8 AS average_talk_seconds,
  avg(c.ring_seconds)::float8 AS average_ring_seconds`

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

// build is the question in SQL, the total first.
func build(who access.Actor, f Filter, g group) *query {
	q := &query{args: []any{who.OrganizationID, f.From, f.Until, f.TimeZone}}
	q.sql.WriteString("SELECT ")
	if g.key != "" {
		label := g.label
		if label == "" {
			label = g.key
		}
		q.sql.WriteString(g.key + "::text AS key, coalesce(max(" + label + "), '') AS label, ")
	}
	q.sql.WriteString(counts + "\nFROM call c " + g.join + `
WHERE c.organization_id = $1 AND c.started_at >= $2 AND c.started_at < $3 AND $4::text IS NOT NULL`)
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
	if g.key != "" {
		q.sql.WriteString("\nGROUP BY GROUPING SETS ((" + g.key + "), ())\nORDER BY grouping(" + g.key + ") DESC, ")
		if g.isName {
			q.sql.WriteString(g.key + " IS NULL, label, ")
		}
		q.sql.WriteString(g.key)
	}
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
	if f.TimeZone == "" {
		f.TimeZone = "UTC"
	}
	_, zone := time.LoadLocation(f.TimeZone)
	switch {
	case !ok && f.GroupBy != "":
		return nil, errs.New(errs.Invalid, "statistics cannot be grouped by %q", string(f.GroupBy)).At("groupBy")
	case zone != nil || f.TimeZone == "Local":
		return nil, errs.New(errs.Invalid, "%q is not a time zone; set one such as Australia/Sydney", f.TimeZone).At("timeZone")
	case !f.Until.After(f.From):
		return nil, errs.New(errs.Invalid, "the range ends before it begins; give `to` on or after `from`").At("filter", "to")
	case f.Until.Sub(f.From) >= (MaxDays+1)*24*time.Hour-maxShift:
		return nil, errs.New(errs.Invalid, "the range is longer than %d days; ask in parts", MaxDays).At("filter", "to")
	}
	var rows []struct {
		Key                *string  `bun:"key"`
		Label              string   `bun:"label"`
		Count              int      `bun:"count"`
		Answered           int      `bun:"answered"`
		Missed             int      `bun:"missed"`
		Voicemail          int      `bun:"voicemail"`
		AverageTalkSeconds *float64 `bun:"average_talk_seconds"`
		AverageRingSeconds *float64 `bun:"average_ring_seconds"`
	}
	q := build(who, f, g)
	if err := db.Select(access.With(ctx, who), s.db.App(), &rows, q.sql.String(), q.args...); err != nil {
		return nil, err
	}
	out := &Statistics{Rows: make([]StatisticsRow, 0, len(rows))}
	for i, r := range rows {
		x := StatisticsRow(r)
		if i == 0 {
			out.Total, out.Total.Key, out.Total.Label = x, nil, "Total"
			continue
		}
		switch {
		case x.Key == nil:
			x.Label = g.none
		case g.isName:
			x.Key = prefixed(*x.Key)
		}
		out.Rows = append(out.Rows, x)
	}
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
