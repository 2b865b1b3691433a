package report

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Live is what goes on right now (R280, R210).
type Live struct {
	Total        LiveCounts
	PhoneNumbers []LivePhoneNumber
	Branches     []LiveBranch
	Agents       []LiveAgent
	Day          string // YYYY-MM-DD: the organization's day that is today
	CountedAt    time.Time
	Cursor       string

	Tomorrow time.Time // when that day ends
}

// LiveCounts are live counts.
type LiveCounts struct {
	Ringing, InProgress, OnHold                 int
	AnsweredToday, MissedToday, VoicemailsToday int
	LongestRingStartedAt                        *time.Time
}

// LivePhoneNumber is the live counts of a number.
type LivePhoneNumber struct {
	PhoneNumberID id.ID
	Counts        LiveCounts
}

// LiveBranch is the live counts of a branch.
type LiveBranch struct {
	BranchID id.ID
	Counts   LiveCounts
}

// LiveAgent is a person and what they are on (R210).
type LiveAgent struct {
	UserID    id.ID
	State     call.PresenceState
	CallID    id.ID // zero when there is none, or the actor may not see it
	StartedAt *time.Time
}

// liveRow is the live or today's counts of one number and branch.
type liveRow struct {
	PhoneNumberID id.ID      `bun:"phone_number_id"`
	BranchID      id.ID      `bun:"branch_id"`
	Ringing       int        `bun:"ringing"`
	InProgress    int        `bun:"in_progress"`
	OnHold        int        `bun:"on_hold"`
	Answered      int        `bun:"answered"`
	Missed        int        `bun:"missed"`
	Voicemail     int        `bun:"voicemail"`
	Longest       *time.Time `bun:"longest"`
}

func (c *LiveCounts) add(r liveRow) {
	c.Ringing, c.InProgress, c.OnHold = c.Ringing+r.Ringing, c.InProgress+r.InProgress, c.OnHold+r.OnHold
	c.AnsweredToday, c.MissedToday, c.VoicemailsToday = c.AnsweredToday+r.Answered, c.MissedToday+r.Missed, c.VoicemailsToday+r.Voicemail
	if r.Longest != nil && (c.LongestRingStartedAt == nil || r.Longest.Before(*c.LongestRingStartedAt)) {
		c.LongestRingStartedAt = r.Longest
	}
}

// Live is the live dashboard as it is now (R280, R210). It needs LIVE_VIEW and
// counts what the actor sees. Calls that test a number are left out. Code:
// errs.Forbidden.
func (s *Service) Live(ctx context.Context, who access.Actor) (out *Live, err error) {
	defer errs.Wrap(&err, "report.Live")
	if err := who.Require(access.LiveView); err != nil {
		return nil, err
	}
	out = &Live{PhoneNumbers: []LivePhoneNumber{}, Branches: []LiveBranch{}, Agents: []LiveAgent{}}
	err = s.db.InSnapshot(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		var org struct {
			Zone string `bun:"time_zone"`
		}
		if err := db.Select(ctx, tx, &org, `SELECT time_zone FROM organization WHERE organization_id = $1`, who.OrganizationID); err != nil {
			return err
		}
		zone, err := time.LoadLocation(org.Zone)
		if err != nil {
			return err
		}
		y, m, d := tx.Now.In(zone).Date()
		today := clock.Midnight(y, m, d, zone)
		out.CountedAt, out.Tomorrow, out.Day = tx.Now, clock.Midnight(y, m, d+1, zone), today.In(zone).Format(time.DateOnly)
		rows, err := s.liveRows(ctx, tx, who, CallFilter{From: today, Until: out.Tomorrow, TimeZone: org.Zone})
		if err != nil {
			return err
		}
		out.fill(rows)
		agents, err := call.Agents(ctx, tx, who)
		for _, a := range agents {
			out.Agents = append(out.Agents, LiveAgent{UserID: a.UserID, State: a.State, CallID: a.CallID, StartedAt: a.StartedAt})
		}
		return err
	})
	return out, err
}

// liveRows are today's calls and those that go on, by number and branch.
func (s *Service) liveRows(ctx context.Context, tx *db.Tx, who access.Actor, today CallFilter) (all []liveRow, err error) {
	c, err := s.newCounter(ctx, tx, who, today, section{place: true})
	if err != nil {
		return nil, err
	}
	q := c.parts(section{place: true})
	q.sql.WriteString(`SELECT nullif(k.phone_number_id, ` + nobody + `) AS phone_number_id, nullif(k.branch_id, ` + nobody + `) AS branch_id, sum(k.answered)::bigint AS answered,
  coalesce(sum(k.n) FILTER (WHERE k.status = 'MISSED' AND k.direction <> 'OUTBOUND'), 0)::bigint AS missed, coalesce(sum(k.n) FILTER (WHERE k.status = 'VOICEMAIL'), 0)::bigint AS voicemail
FROM k GROUP BY 1, 2 HAVING sum(k.n) <> 0`)
	if err := db.Select(ctx, tx, &all, q.sql.String(), q.args...); err != nil {
		return nil, err
	}
	q = &query{args: []any{who.OrganizationID}}
	q.sql.WriteString(`SELECT c.phone_number_id, c.branch_id, count(*) FILTER (WHERE c.status <> 'IN_PROGRESS') AS ringing, count(*) FILTER (WHERE c.status = 'IN_PROGRESS') AS in_progress,
  count(*) FILTER (WHERE c.is_on_hold) AS on_hold, min(c.started_at) FILTER (WHERE c.status <> 'IN_PROGRESS') AS longest
FROM call c
WHERE c.organization_id = $1 AND c.ended_at IS NULL AND NOT c.is_test`)
	if !who.System {
		q.and(call.SeenBy("c", who, q.arg))
	}
	q.sql.WriteString("\nGROUP BY 1, 2")
	var live []liveRow
	err = db.Select(ctx, tx, &live, q.sql.String(), q.args...)
	return append(all, live...), err
}

// fill adds up the rows, those of numbers and branches in the order of their ids.
func (l *Live) fill(rows []liveRow) {
	numbers, branches := map[id.ID]*LiveCounts{}, map[id.ID]*LiveCounts{}
	add := func(to map[id.ID]*LiveCounts, x id.ID, r liveRow) {
		if x.IsZero() {
			return
		}
		if to[x] == nil {
			to[x] = &LiveCounts{}
		}
		to[x].add(r)
	}
	for _, r := range rows {
		l.Total.add(r)
		add(numbers, r.PhoneNumberID, r)
		add(branches, r.BranchID, r)
	}
	for x, c := range numbers {
		if *c != (LiveCounts{}) {
			l.PhoneNumbers = append(l.PhoneNumbers, LivePhoneNumber{x, *c})
		}
	}
	for x, c := range branches {
		if *c != (LiveCounts{}) {
			l.Branches = append(l.Branches, LiveBranch{x, *c})
		}
	}
	slices.SortFunc(l.PhoneNumbers, func(a, b LivePhoneNumber) int { return cmp.Compare(a.PhoneNumberID.String(), b.PhoneNumberID.String()) })
	slices.SortFunc(l.Branches, func(a, b LiveBranch) int { return cmp.Compare(a.BranchID.String(), b.BranchID.String()) })
}

// Same reports whether two dashboards show the same, whenever they were counted.
func (l *Live) Same(o *Live) bool {
	a, b := *l, *o
	a.CountedAt, a.Cursor, b.CountedAt, b.Cursor = time.Time{}, "", time.Time{}, ""
	return reflect.DeepEqual(a, b)
}
