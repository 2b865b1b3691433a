// Package report answers questions about many rows at once. It only reads, and
// only what other nouns keep; the days of a report are those of the
// organization's time zone.
package report

import (
	"context"
	"fmt"
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
	Direction     string    // "" for both ways
	BranchID      id.ID
	PhoneNumberID id.ID
	UserID        id.ID
	TimeZone      string // IANA, for the days
	GroupBy       Group  // "" for the total only
}

// Service answers reports.
type Service struct{ db *db.DB }

// New makes a Service.
func New(d *db.DB) *Service { return &Service{db: d} }

// groups says, for each group, the key and the label of a row. A label comes
// from the noun's own table, so that a deleted branch is still counted.
var groups = map[Group]struct{ key, label, join string }{
	ByDay:         {key: "to_char(c.started_at AT TIME ZONE $8, 'YYYY-MM-DD')", label: "to_char(c.started_at AT TIME ZONE $8, 'YYYY-MM-DD')"},
	ByStatus:      {key: "c.status", label: "c.status"},
	ByBranch:      {key: "c.branch_id::text", label: "b.name", join: "LEFT JOIN branch b ON b.organization_id = c.organization_id AND b.id = c.branch_id"},
	ByPhoneNumber: {key: "c.phone_number_id::text", label: "n.name", join: "LEFT JOIN phone_number n ON n.organization_id = c.organization_id AND n.id = c.phone_number_id"},
	ByUser: {key: "coalesce(c.answered_by_user_id, c.user_id)::text", label: "u.name",
		join: `LEFT JOIN "user" u ON u.organization_id = c.organization_id AND u.id = coalesce(c.answered_by_user_id, c.user_id)`},
}

const statisticsSQL = `
SELECT %[1]s AS key, coalesce(max(%[2]s), '') AS label,
  count(*) AS count,
  count(*) FILTER (WHERE c.answered_at IS NOT NULL AND c.status <> 'VOICEMAIL') AS answered,
  count(*) FILTER (WHERE c.status = 'MISSED') AS missed,
  count(*) FILTER (WHERE c.status = 'VOICEMAIL') AS voicemail,
  avg(c.talk_seconds) FILTER (WHERE c.answered_at IS NOT NULL AND c.status <> 'VOICEMAIL')::float8 AS average_talk_seconds,
  avg(c.ring_seconds)::float8 AS average_ring_seconds
FROM call c
%[3]s
WHERE c.organization_id = $1
  AND c.started_at >= $2 AND c.started_at < $3
  AND ($4 = '' OR c.direction = $4)
  AND ($5::uuid IS NULL OR c.branch_id = $5)
  AND ($6::uuid IS NULL OR c.phone_number_id = $6)
  AND ($7::uuid IS NULL OR coalesce(c.answered_by_user_id, c.user_id) = $7)
  AND $8::text IS NOT NULL
  AND ($9 OR c.branch_id = ANY($10::uuid[]) OR c.user_id = $11 OR c.answered_by_user_id = $11)
GROUP BY GROUPING SETS ((%[1]s), ())
ORDER BY grouping(%[1]s) DESC, %[1]s`

// Calls counts calls. It needs REPORT_VIEW and counts only what the actor may see.
func (s *Service) Calls(ctx context.Context, who access.Actor, f Filter) (_ *Statistics, err error) {
	defer errs.Wrap(&err, "report.Calls(%s)", f.GroupBy)
	if err := who.Require(access.ReportView); err != nil {
		return nil, err
	}
	by := f.GroupBy
	if by == "" {
		by = ByStatus // the total is the same whatever the groups
	}
	g, ok := groups[by]
	switch {
	case !ok:
		return nil, errs.New(errs.Invalid, "statistics cannot be grouped by %s", f.GroupBy).At("groupBy")
	case !f.Until.After(f.From):
		return nil, errs.New(errs.Invalid, "the range ends before it begins; give `to` on or after `from`").At("filter", "to")
	case f.Until.Sub(f.From) > (MaxDays+1)*24*time.Hour:
		return nil, errs.New(errs.Invalid, "the range is longer than %d days; ask in parts", MaxDays).At("filter", "to")
	}
	sql := fmt.Sprintf(statisticsSQL, g.key, g.label, g.join)
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
	err = db.Select(ctx, s.db.App(), &rows, sql,
		who.OrganizationID, f.From, f.Until, f.Direction, f.BranchID, f.PhoneNumberID, f.UserID, f.TimeZone,
		who.SeesAll(), who.SeesBranches(), who.UserID)
	if err != nil {
		return nil, err
	}
	out := &Statistics{Total: StatisticsRow{Label: "Total"}, Rows: []StatisticsRow{}}
	for i, r := range rows {
		x := StatisticsRow(r)
		switch {
		case i == 0: // the grand total sorts first
			x.Key, x.Label = nil, "Total"
			out.Total = x
		case f.GroupBy != "":
			out.Rows = append(out.Rows, named(by, x))
		}
	}
	return out, nil
}

// named gives a row the key a client knows: ids are prefixed text. What belongs
// to no branch, number or user is a group of its own, without a key.
func named(by Group, x StatisticsRow) StatisticsRow {
	if by == ByDay || by == ByStatus {
		return x
	}
	if x.Key == nil {
		x.Label = map[Group]string{ByBranch: "No branch", ByPhoneNumber: "No number", ByUser: "Nobody"}[by]
		return x
	}
	var ref id.ID
	if err := ref.Scan(*x.Key); err == nil {
		key := ref.String()
		x.Key = &key
	}
	return x
}
