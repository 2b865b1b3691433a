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
	"switchboard/internal/job"
	"switchboard/internal/twilio"
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
	Missed             int      // inbound and internal: answered by nobody, without a voicemail
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

// Deps are what a Service works with.
type Deps struct {
	DB *db.DB
	// Jobs has the sums folded, prices asked for and caps looked at; nil for a
	// Service that only answers.
	Jobs *job.Runner
	// Client is the Twilio client of a connection of the context's tenant.
	Client func(ctx context.Context, connection id.ID) (*twilio.Client, error)
}

// Service answers reports.
type Service struct {
	db     *db.DB
	client func(ctx context.Context, connection id.ID) (*twilio.Client, error)
	scans  bool // never asks the sums: to compare with, in tests
}

// New makes a Service and registers its jobs and sweeps: before the runner starts.
func New(d Deps) *Service {
	s := &Service{db: d.DB, client: d.Client}
	if d.Jobs != nil {
		job.Handle(d.Jobs, s.readPrices)
		d.Jobs.Sweep("report.fold", foldEvery, func(ctx context.Context, _ time.Time) error { return s.Fold(ctx) })
		d.Jobs.Sweep("report.estimate", estimateEvery, func(ctx context.Context, _ time.Time) error { return s.estimate(ctx) })
		d.Jobs.Sweep("report.prices", callPrices, s.sweepPrices)
		d.Jobs.Sweep("report.caps", capsEvery, s.sweepCaps)
	}
	return s
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

// Calls counts calls. It needs REPORT_VIEW and counts only what the actor sees in
// the call log. Codes: errs.Invalid.
func (s *Service) Calls(ctx context.Context, who access.Actor, f Filter) (out *Statistics, err error) {
	defer errs.Wrap(&err, "report.Calls(%s)", f.GroupBy)
	if err := who.Require(access.ReportView); err != nil {
		return nil, err
	}
	g := f.GroupBy
	if g == "" {
		g = ByStatus // for the total
	}
	how, ok := by[g]
	if !ok {
		return nil, errs.New(errs.Invalid, "statistics cannot be grouped by %q", string(f.GroupBy)).At("groupBy")
	}
	all := CallFilter{From: f.From, Until: f.Until, TimeZone: f.TimeZone, BranchIDs: one(f.BranchID), PhoneNumberIDs: one(f.PhoneNumberID), UserIDs: one(f.UserID)}
	if f.Direction != "" {
		all.Directions = []call.Direction{call.Direction(f.Direction)}
	}
	if err := all.check(); err != nil {
		return nil, err
	}
	out = &Statistics{Rows: []StatisticsRow{}}
	err = s.db.InSnapshot(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		c, err := s.newCounter(ctx, tx, who, all, how.needs)
		if err != nil {
			return err
		}
		rows, err := c.group(ctx, g)
		total := sum{Label: "Total"}
		for _, x := range rows {
			total.add(x)
			if f.GroupBy != "" {
				out.Rows = append(out.Rows, x.row())
			}
		}
		out.Total = total.row()
		return err
	})
	return out, err
}

func (a *sum) row() StatisticsRow {
	return StatisticsRow{Key: a.Key, Label: a.Label, Count: a.Count, Answered: a.Answered, Missed: a.Missed, Voicemail: a.Voicemail,
		AverageTalkSeconds: mean(a.Talk, a.Talked), AverageRingSeconds: mean(a.Ring, a.Rang)}
}

// one is a filter of one thing; none of the zero id.
func one(x id.ID) []id.ID {
	if x.IsZero() {
		return nil
	}
	return []id.ID{x}
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
