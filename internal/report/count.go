package report

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// maxFilter is how many things one filter may name.
const maxFilter = 100

func (f *CallFilter) check() (err error) {
	if f.TimeZone, err = checkRange(f.From, f.Until, f.TimeZone); err != nil {
		return err
	}
	for field, n := range map[string]int{"branchIds": len(f.BranchIDs), "phoneNumberIds": len(f.PhoneNumberIDs), "userIds": len(f.UserIDs)} {
		if n > maxFilter {
			return errs.New(errs.Invalid, "%d were given; name %d at most", n, maxFilter).At("filter", field)
		}
	}
	return nil
}

// atPlace and ofPerson say what a filter looks at.
func (f *CallFilter) atPlace() bool {
	return len(f.BranchIDs) > 0 || len(f.PhoneNumberIDs) > 0 || f.BusinessUnit != ""
}
func (f *CallFilter) ofPerson() bool { return len(f.UserIDs) > 0 }

// odd is what no sums know.
func (f *CallFilter) odd() bool { return !f.CampaignID.IsZero() || f.ContactKind != "" }

// section is a part of a report: what it needs told apart.
type section struct {
	hour, place, person, wait bool
}

// counter counts the calls of one filter for one actor, in one snapshot.
type counter struct {
	who    access.Actor
	f      CallFilter
	tx     *db.Tx
	source Source
	// bounded is for an actor who sees branches: sums of those, and their own calls one by one.
	bounded bool
}

// newCounter chooses where the numbers come from, for all the sections of a report.
func (s *Service) newCounter(ctx context.Context, tx *db.Tx, who access.Actor, f CallFilter, sections ...section) (*counter, error) {
	c := &counter{who: who, f: f, tx: tx, source: Scan}
	switch {
	case s.scans || f.odd():
		return c, nil
	case who.System || who.SeesAll():
	case len(who.SeesBranches()) > 0:
		c.bounded = true
	default:
		return c, nil
	}
	for _, x := range sections {
		if c.facet(x) == "" {
			return c, nil
		}
	}
	var kept struct {
		Zone string `bun:"time_zone"`
	}
	err := db.Select(ctx, tx, &kept, `SELECT time_zone FROM call_rollup_state WHERE organization_id = $1`, who.OrganizationID)
	if errors.Is(err, sql.ErrNoRows) { // nothing was folded yet
		kept.Zone, err = f.TimeZone, nil
	}
	// The sums are of whole days.
	if zone, bad := time.LoadLocation(f.TimeZone); bad == nil && kept.Zone == f.TimeZone && isMidnight(f.From, zone) && isMidnight(f.Until, zone) {
		c.source = Rollup
	}
	return c, err
}

// isMidnight reports whether a day begins at t. There may be no 00:00.
func isMidnight(t time.Time, zone *time.Location) bool {
	l := t.In(zone)
	return l.Format(time.DateOnly) != l.Add(-time.Microsecond).Format(time.DateOnly)
}

// facet is the facet that answers a section; "" is none.
func (c *counter) facet(s section) string {
	p, w := s.place || c.f.atPlace() || c.bounded, s.person || c.f.ofPerson()
	switch {
	case s.hour && s.wait, p && w && (s.hour || s.wait):
		return ""
	case p && w:
		return "PLACE_PERSON"
	case s.hour && p:
		return "PLACE_HOUR"
	case s.hour && w:
		return "PERSON_HOUR"
	case s.hour:
		return "HOUR"
	case s.wait && p:
		return "PLACE_WAIT"
	case s.wait && w:
		return "PERSON_WAIT"
	case s.wait:
		return "WAIT"
	case p:
		return "PLACE"
	case w:
		return "PERSON"
	}
	return "HOUR"
}

// where narrows to what the filter says; x has the columns of a call.
func (c *counter) where(q *query, x string) {
	f := &c.f
	words := func(column string, list []string) {
		if len(list) > 0 {
			q.and(x+"."+column+" = ANY (?::text[])", list)
		}
	}
	words("direction", asText(f.Directions))
	words("status", asText(f.Statuses))
	if f.ExcludeInternal {
		q.and(x + ".direction <> 'INTERNAL'")
	}
	if len(f.BranchIDs) > 0 {
		q.and(q.among(x+".branch_id", f.BranchIDs))
	}
	if len(f.PhoneNumberIDs) > 0 {
		q.and(q.among(x+".phone_number_id", f.PhoneNumberIDs))
	}
	if f.BusinessUnit != "" {
		q.and(x+".business_unit = ?", f.BusinessUnit)
	}
	if len(f.UserIDs) > 0 {
		q.and("(" + q.among(x+".user_id", f.UserIDs) + " OR " + q.among(x+".answered_by_user_id", f.UserIDs) + ")")
	}
}

// among is the condition that a column is one of the ids. A few are asked for one by
// one: a kept plan takes every array for a long one, and would read everybody's rows.
func (q *query) among(column string, list []id.ID) string {
	if len(list) > 10 {
		return column + " = ANY (" + q.arg(list) + "::uuid[])"
	}
	few := make([]string, len(list))
	for i, x := range list {
		few[i] = q.arg(x)
	}
	return column + " IN (" + strings.Join(few, ", ") + ")"
}

func asText[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = string(x)
	}
	return out
}

// parts begins a statement with k: what the filter counts, as rows of call_rollup,
// some of them sums of many calls.
func (c *counter) parts(s section) *query {
	f := &c.f
	q := &query{args: []any{c.who.OrganizationID, f.From, f.Until, f.TimeZone}}
	if c.source == Scan {
		q.sql.WriteString("WITH k AS (")
		c.calls(q)
		if !c.who.System {
			q.and(call.SeenBy("c", c.who, q.arg))
		}
		q.sql.WriteString("\n)\n")
		return q
	}
	mine := func(x string) {
		if c.bounded {
			q.and(q.among(x+".branch_id", c.who.SeesBranches()))
		}
	}
	q.sql.WriteString("WITH k AS (\n  SELECT r." + strings.ReplaceAll(keys, ", ", ", r.") + ", " + each(func(m string) string { return "r." + m }) + `
  FROM call_rollup r
  WHERE r.organization_id = $1 AND r.facet = '` + c.facet(s) + "' AND r.day >= " + q.arg(c.day(f.From)) + "::date AND r.day < " + q.arg(c.day(f.Until)) + "::date")
	c.where(q, "r")
	mine("r")
	q.sql.WriteString("\n  UNION ALL\n  SELECT " + partKeys("d") + ", " + each(func(m string) string { return "coalesce(d." + m + ", 0)" }) + `
  FROM call_rollup_delta d
  WHERE d.organization_id = $1 AND d.at >= $2 AND d.at < $3 AND $4::text IS NOT NULL`)
	c.where(q, "d")
	mine("d")
	q.sql.WriteString("\n  UNION ALL\n  ")
	c.calls(q)
	q.and("c.ended_at IS NULL")
	mine("c")
	if c.bounded { // and their own of elsewhere
		u := q.arg(c.who.UserID)
		q.sql.WriteString("\n  UNION ALL\n  ")
		c.calls(q)
		q.and("(c.branch_id IS NULL OR c.branch_id <> ALL (?::uuid[]))", c.who.SeesBranches())
		q.and(`c.id IN (
    SELECT o.id FROM call o WHERE o.organization_id = $1 AND o.user_id = ` + u + ` AND o.started_at >= $2 AND o.started_at < $3
    UNION SELECT o.id FROM call o WHERE o.organization_id = $1 AND o.answered_by_user_id = ` + u + ` AND o.started_at >= $2 AND o.started_at < $3
    UNION SELECT l.call_id FROM call_leg l WHERE l.organization_id = $1 AND l.user_id = ` + u + `)`)
	}
	q.sql.WriteString("\n)\n")
	return q
}

// day is the day that begins at t in the organization's zone.
func (c *counter) day(t time.Time) string {
	zone, err := time.LoadLocation(c.f.TimeZone)
	if err != nil { // check has looked
		zone = time.UTC
	}
	return t.In(zone).Format(time.DateOnly)
}

// partKeys are the keys of call_rollup of one call or delta x.
func partKeys(x string) string {
	return "(" + x + ".at AT TIME ZONE $4)::date AS day, extract(hour FROM " + x + ".at AT TIME ZONE $4)::smallint AS hour, " + x + ".direction, " + x + ".status, coalesce(" +
		x + ".phone_number_id, " + nobody + ") AS phone_number_id, coalesce(" + x + ".branch_id, " + nobody + ") AS branch_id, coalesce(" + x + ".business_unit, '') AS business_unit, coalesce(" +
		x + ".user_id, " + nobody + ") AS user_id, coalesce(" + x + ".answered_by_user_id, " + nobody + ") AS answered_by_user_id, coalesce(" + x + ".waited, '') AS waited, coalesce(" + x + ".wait, -1) AS wait"
}

// calls is the calls c of the range, one row each.
func (c *counter) calls(q *query) {
	f := &c.f
	q.sql.WriteString("SELECT " + partKeys("p") + ", " + each(func(m string) string {
		if m == "n" {
			return "1 AS n"
		}
		return "coalesce(p." + m + ", 0) AS " + m
	}) + `
  FROM call c, call_rollup_part(c) p
  WHERE c.organization_id = $1 AND c.started_at >= $2 AND c.started_at < $3 AND $4::text IS NOT NULL AND c.is_logged AND NOT c.is_test`)
	c.where(q, "c")
	if !f.CampaignID.IsZero() {
		q.and("c.campaign_id = ?", f.CampaignID)
	}
	if f.ContactKind != "" {
		q.and("EXISTS (SELECT FROM contact o WHERE o.organization_id = $1 AND o.id = c.contact_id AND o.kind = ?)", string(f.ContactKind))
	}
}

// sum is what a group adds up to.
type sum struct {
	Key       *string `bun:"key"` // of the groups by one thing
	Label     string  `bun:"-"`
	Count     int     `bun:"count"`
	Answered  int     `bun:"answered"`
	Missed    int     `bun:"missed"`
	Voicemail int     `bun:"voicemail"`
	Inbound   int     `bun:"inbound"`
	Outbound  int     `bun:"outbound"`
	Internal  int     `bun:"internal"`
	Taken     int     `bun:"taken"`  // answered, and not outbound
	Placed    int     `bun:"placed"` // answered, and outbound
	Lost      int     `bun:"lost"`   // ended unanswered, and not outbound
	Picked    int     `bun:"picked"`
	Pick      int     `bun:"pick"`
	Talked    int     `bun:"talked"`
	Talk      int     `bun:"talk"`
	Rang      int     `bun:"rang"`
	Ring      int     `bun:"ring"`
	Lasted    int     `bun:"lasted"`
	Duration  int     `bun:"duration"`
}

// sumColumns are the columns of a sum, of rows k.
const sumColumns = `coalesce(sum(k.n), 0)::bigint AS count, coalesce(sum(k.answered), 0)::bigint AS answered,
  coalesce(sum(k.n) FILTER (WHERE k.status = 'MISSED' AND k.direction <> 'OUTBOUND'), 0)::bigint AS missed, coalesce(sum(k.n) FILTER (WHERE k.status = 'VOICEMAIL'), 0)::bigint AS voicemail,
  coalesce(sum(k.n) FILTER (WHERE k.direction = 'INBOUND'), 0)::bigint AS inbound, coalesce(sum(k.n) FILTER (WHERE k.direction = 'OUTBOUND'), 0)::bigint AS outbound,
  coalesce(sum(k.n) FILTER (WHERE k.direction = 'INTERNAL'), 0)::bigint AS internal, coalesce(sum(k.answered) FILTER (WHERE k.direction <> 'OUTBOUND'), 0)::bigint AS taken,
  coalesce(sum(k.answered) FILTER (WHERE k.direction = 'OUTBOUND'), 0)::bigint AS placed,
  coalesce(sum(k.n - k.answered) FILTER (WHERE k.direction <> 'OUTBOUND' AND k.status NOT IN ('QUEUED', 'RINGING', 'IN_PROGRESS', 'REJECTED')), 0)::bigint AS lost,
  coalesce(sum(k.picked), 0)::bigint AS picked, coalesce(sum(k.pick), 0)::bigint AS pick, coalesce(sum(k.talked), 0)::bigint AS talked, coalesce(sum(k.talk), 0)::bigint AS talk,
  coalesce(sum(k.rang), 0)::bigint AS rang, coalesce(sum(k.ring), 0)::bigint AS ring, coalesce(sum(k.lasted), 0)::bigint AS lasted, coalesce(sum(k.duration), 0)::bigint AS duration`

func (a *sum) add(b sum) {
	a.Count, a.Answered, a.Missed, a.Voicemail = a.Count+b.Count, a.Answered+b.Answered, a.Missed+b.Missed, a.Voicemail+b.Voicemail
	a.Inbound, a.Outbound, a.Internal = a.Inbound+b.Inbound, a.Outbound+b.Outbound, a.Internal+b.Internal
	a.Taken, a.Placed, a.Lost = a.Taken+b.Taken, a.Placed+b.Placed, a.Lost+b.Lost
	a.Picked, a.Pick, a.Talked, a.Talk = a.Picked+b.Picked, a.Pick+b.Pick, a.Talked+b.Talked, a.Talk+b.Talk
	a.Rang, a.Ring, a.Lasted, a.Duration = a.Rang+b.Rang, a.Ring+b.Ring, a.Lasted+b.Lasted, a.Duration+b.Duration
}

func (a *sum) totals() Totals {
	return Totals{
		Count: a.Count, Answered: a.Answered, Missed: a.Missed, Voicemail: a.Voicemail, Inbound: a.Inbound, Outbound: a.Outbound, Internal: a.Internal,
		TalkSeconds: a.Talk, AverageTalkSeconds: mean(a.Talk, a.Talked), RingSeconds: a.Ring, AverageRingSeconds: mean(a.Ring, a.Rang),
		DurationSeconds: a.Duration, AverageDurationSeconds: mean(a.Duration, a.Lasted),
	}
}

// whose is who had a call: whoever answered, else whoever started it.
const whose = "CASE WHEN k.answered_by_user_id <> " + nobody + " THEN k.answered_by_user_id ELSE k.user_id END"

// what calls are put together by: the key, the table of its names, what it needs.
var by = map[Group]struct {
	key, table, none string
	needs            section
}{
	ByDay:         {key: "to_char(k.day, 'YYYY-MM-DD')"},
	ByStatus:      {key: "k.status"},
	ByBranch:      {key: "nullif(k.branch_id, " + nobody + ")::text", table: "branch", none: "No branch", needs: section{place: true}},
	ByPhoneNumber: {key: "nullif(k.phone_number_id, " + nobody + ")::text", table: "phone_number", none: "No number", needs: section{place: true}},
	ByUser:        {key: "nullif(" + whose + ", " + nobody + ")::text", table: `"user"`, none: "Nobody", needs: section{person: true}},
}

// group adds up by one thing, by name; what belongs to none comes last.
func (c *counter) group(ctx context.Context, g Group) (rows []sum, err error) {
	q := c.parts(by[g].needs)
	q.sql.WriteString("SELECT " + by[g].key + " AS key, " + sumColumns + "\nFROM k GROUP BY 1 HAVING sum(k.n) <> 0")
	if err := db.Select(ctx, c.tx, &rows, q.sql.String(), q.args...); err != nil {
		return nil, err
	}
	return rows, c.label(ctx, g, rows)
}

// label gives groups the keys and names that clients know them by, and sorts them.
func (c *counter) label(ctx context.Context, g Group, rows []sum) (err error) {
	var names map[string]string
	if by[g].table != "" {
		if names, err = namesOf(ctx, c.tx, c.who.OrganizationID, by[g].table, rows); err != nil {
			return err
		}
	}
	for i := range rows {
		switch x := &rows[i]; {
		case x.Key == nil:
			x.Label = by[g].none
		case by[g].table != "":
			x.Key, x.Label = prefixed(*x.Key), names[*x.Key]
		default:
			x.Label = *x.Key
		}
	}
	slices.SortFunc(rows, func(a, b sum) int { return byLabel(a.Key, a.Label, b.Key, b.Label) })
	return nil
}

// namesOf gives ids of one kind the names that they have today.
func namesOf(ctx context.Context, tx *db.Tx, org id.ID, table string, rows []sum) (map[string]string, error) {
	keys := make([]string, 0, len(rows))
	for _, r := range rows {
		if r.Key != nil {
			keys = append(keys, *r.Key)
		}
	}
	out := make(map[string]string, len(keys))
	if len(keys) == 0 {
		return out, nil
	}
	var found []struct {
		Key  string `bun:"key"`
		Name string `bun:"name"`
	}
	err := db.Select(ctx, tx, &found, "SELECT id::text AS key, name FROM "+table+" WHERE organization_id = $1 AND id = ANY ($2::text[]::uuid[])", org, keys)
	for _, n := range found {
		out[n.Key] = n.Name
	}
	return out, err
}
