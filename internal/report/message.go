package report

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

// MessageFilter is the range and what to count. From and Until are moments: the
// edge turns days into them in the organization's time zone.
type MessageFilter struct {
	From, Until   time.Time // Until is excluded
	BranchID      id.ID
	PhoneNumberID id.ID
	UserID        id.ID  // written by
	TimeZone      string // IANA, for the days; "" is UTC
	GroupBy       Group  // "" for the total only
}

// MessageStatistics are counts of messages (R281).
type MessageStatistics struct {
	Total MessageRow
	Rows  []MessageRow
}

// MessageRow is one group, or the total.
type MessageRow struct {
	Key                      *string // a day, a status or an id; nil for the total
	Label                    string  // what to show for it
	Sent                     int     // of ours: handed over, or tried
	Received                 int
	Delivered                int
	Failed                   int // refused, failed or undelivered
	OptedOut                 int // people who asked for no messages
	Segments                 int // parts sent
	AverageFirstReplySeconds *float64
	Costs                    []message.Money // what Twilio charged, by currency
}

// replyWithin is how late an answer counts as one.
const replyWithin = 7 * 24 * time.Hour

// messageKey says what messages are put together by, as text: of a message m of a
// thread t, of an answer r, and of a word of consent c about a number n.
type messageKey struct {
	message, reply, consent string // $4 is the time zone
	table, none             string
}

var messageKeys = map[Group]messageKey{
	"": {message: "''", reply: "''", consent: "''"},
	ByDay: {message: "to_char(m.at AT TIME ZONE $4, 'YYYY-MM-DD')", reply: "to_char(r.asked_at AT TIME ZONE $4, 'YYYY-MM-DD')",
		consent: "to_char(c.at AT TIME ZONE $4, 'YYYY-MM-DD')"},
	ByBranch: {message: "t.branch_id::text", reply: "r.branch_id::text", consent: "n.branch_id::text", table: "branch", none: "No branch"},
	ByPhoneNumber: {message: "t.phone_number_id::text", reply: "r.phone_number_id::text", consent: "c.phone_number_id::text",
		table: "phone_number", none: "No number"},
	ByUser:   {message: "m.user_id::text", reply: "r.user_id::text", consent: "c.user_id::text", table: `"user"`, none: "Nobody"},
	ByStatus: {message: "m.status"},
}

// tally is what one group adds up to.
type tally struct {
	Key       *string  `bun:"key"`
	IsTotal   bool     `bun:"is_total"`
	Sent      int      `bun:"sent"`
	Received  int      `bun:"received"`
	Delivered int      `bun:"delivered"`
	Failed    int      `bun:"failed"`
	Segments  int      `bun:"segments"`
	Currency  *string  `bun:"currency"`
	Micros    int64    `bun:"micros"`
	People    int      `bun:"people"`
	Seconds   *float64 `bun:"seconds"`
}

func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

// messages begins a question about messages m of threads t that the actor reads.
func (f MessageFilter) messages(who access.Actor, text string, until time.Time) *query {
	q := &query{args: []any{who.OrganizationID, f.From, until, f.TimeZone}}
	q.sql.WriteString(text + `
  FROM message m
  JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
  WHERE m.organization_id = $1 AND m.at >= $2 AND m.at < $3 AND $4::text IS NOT NULL`)
	if sight := message.Sight(who, q.arg); sight != "" {
		q.and(sight)
	}
	q.equal("t.branch_id", f.BranchID)
	q.equal("t.phone_number_id", f.PhoneNumberID)
	return q
}

// perKey ends a question about the rows k: one row for each key, and the total.
const perKey = "\nFROM k GROUP BY GROUPING SETS ((k.key), ())"

// refused is of messages m that Twilio never took: they cost nothing.
const refused = "(m.status = 'FAILED' AND m.twilio_sid IS NULL)"

const handed = "k.direction = 'OUTBOUND' AND (k.attempts > 0 OR k.twilio_sid IS NOT NULL OR k.status IN ('QUEUED', 'SENT', 'DELIVERED', 'UNDELIVERED', 'UNKNOWN'))"

// Messages counts messages (R281). It needs REPORT_VIEW and counts only what the
// actor reads in the history log, in a number of statements that does not depend
// on how much there is. Codes: errs.Invalid.
func (s *Service) Messages(ctx context.Context, who access.Actor, f MessageFilter) (_ *MessageStatistics, err error) {
	defer errs.Wrap(&err, "report.Messages(%s)", f.GroupBy)
	if err := who.Require(access.ReportView); err != nil {
		return nil, err
	}
	by, ok := messageKeys[f.GroupBy]
	if !ok {
		return nil, errs.New(errs.Invalid, "statistics cannot be grouped by %q", string(f.GroupBy)).At("groupBy")
	}
	if f.TimeZone, err = checkRange(f.From, f.Until, f.TimeZone); err != nil {
		return nil, err
	}
	ctx = access.With(ctx, who)
	out := &sums{total: MessageRow{Label: "Total", Costs: []message.Money{}}, groups: map[string]*MessageRow{}}
	for _, x := range []struct {
		q    *query
		take func(r *MessageRow, x tally)
	}{
		{f.counted(who, by), func(r *MessageRow, x tally) {
			r.Sent, r.Received, r.Delivered, r.Failed, r.Segments = x.Sent, x.Received, x.Delivered, x.Failed, x.Segments
		}},
		{f.charged(who, by), func(r *MessageRow, x tally) {
			r.Costs = append(r.Costs, message.Money{Micros: x.Micros, Currency: *x.Currency})
		}},
		{f.answered(who, by), func(r *MessageRow, x tally) { r.AverageFirstReplySeconds = x.Seconds }},
		{f.optedOut(who, by), func(r *MessageRow, x tally) { r.OptedOut = x.People }},
	} {
		var rows []tally
		if err := db.Select(ctx, s.db.App(), &rows, x.q.sql.String(), x.q.args...); err != nil {
			return nil, err
		}
		for _, row := range rows {
			if r := out.row(row, f.GroupBy, by); r != nil {
				x.take(r, row)
			}
		}
	}
	return out.named(ctx, s.db, who, by)
}

// counted counts the messages.
func (f MessageFilter) counted(who access.Actor, by messageKey) *query {
	q := f.messages(who, "WITH k AS (SELECT "+by.message+` AS key, m.direction, m.status, m.attempts, m.twilio_sid, m.num_segments`, f.Until)
	q.equal("m.user_id", f.UserID)
	q.sql.WriteString(`)
SELECT k.key, GROUPING(k.key) = 1 AS is_total, count(*) FILTER (WHERE ` + handed + `) AS sent,
  count(*) FILTER (WHERE k.direction = 'INBOUND') AS received, count(*) FILTER (WHERE k.status = 'DELIVERED') AS delivered,
  count(*) FILTER (WHERE k.status IN ('FAILED', 'UNDELIVERED')) AS failed,
  coalesce(sum(k.num_segments) FILTER (WHERE ` + handed + `), 0) AS segments` + perKey)
	return q
}

// charged adds up what Twilio charged.
func (f MessageFilter) charged(who access.Actor, by messageKey) *query {
	q := f.messages(who, "WITH k AS (SELECT "+by.message+` AS key, m.price_micros, m.price_currency`, f.Until)
	q.and("m.price_micros IS NOT NULL AND m.price_currency IS NOT NULL")
	q.equal("m.user_id", f.UserID)
	q.sql.WriteString(`)
SELECT k.key, GROUPING(k.key) = 1 AS is_total, k.price_currency AS currency, sum(k.price_micros) AS micros
FROM k GROUP BY GROUPING SETS ((k.key, k.price_currency), (k.price_currency))
ORDER BY currency`)
	return q
}

// answered is the mean time from the first of their messages that waited to the
// first answer that a person wrote. Seen from the end of a thread each answer
// begins a run, which holds the messages it answers.
func (f MessageFilter) answered(who access.Actor, by messageKey) *query {
	q := f.messages(who, `WITH x AS (SELECT m.thread_id, m.at, m.direction, m.user_id, t.branch_id, t.phone_number_id,
    count(*) FILTER (WHERE m.direction = 'OUTBOUND') OVER (PARTITION BY m.thread_id ORDER BY m.at DESC, m.id DESC) AS run`, f.Until.Add(replyWithin))
	q.and(`(m.direction = 'INBOUND' OR m.user_id IS NOT NULL AND m.bulk_id IS NULL AND m.automation_id IS NULL AND m.status NOT IN ('SCHEDULED', 'CANCELED'))`)
	until := q.arg(f.Until)
	q.sql.WriteString(`
), r AS (
  SELECT min(x.at) FILTER (WHERE x.direction = 'INBOUND') AS asked_at, max(x.at) FILTER (WHERE x.direction = 'OUTBOUND') AS answered_at,
    max(x.user_id::text) FILTER (WHERE x.direction = 'OUTBOUND') AS user_id, x.branch_id, x.phone_number_id
  FROM x WHERE x.run > 0
  GROUP BY x.thread_id, x.run, x.branch_id, x.phone_number_id
), k AS (
  SELECT ` + or(by.reply, "NULL::text") + ` AS key, extract(epoch FROM r.answered_at - r.asked_at)::float8 AS seconds
  FROM r WHERE r.asked_at < ` + until)
	if !f.UserID.IsZero() {
		q.and("r.user_id = " + q.arg(f.UserID) + "::uuid::text")
	}
	q.sql.WriteString(`)
SELECT k.key, GROUPING(k.key) = 1 AS is_total, avg(k.seconds) AS seconds` + perKey)
	return q
}

// optedOut counts the people who asked for no messages.
func (f MessageFilter) optedOut(who access.Actor, by messageKey) *query {
	q := &query{args: []any{who.OrganizationID, f.From, f.Until, f.TimeZone}}
	q.sql.WriteString("WITH k AS (SELECT " + or(by.consent, "NULL::text") + ` AS key, c.e164
  FROM consent c
  LEFT JOIN phone_number n ON n.organization_id = c.organization_id AND n.id = c.phone_number_id
  WHERE c.organization_id = $1 AND c.at >= $2 AND c.at < $3 AND $4::text IS NOT NULL AND c.what = 'OPT_OUT' AND c.channel <> 'VOICE'`)
	if !who.SeesAll() {
		branches := who.SeesBranches()
		if branches == nil {
			branches = []id.ID{}
		}
		q.and(`(n.branch_id = ANY (?::uuid[]) OR c.user_id = ? OR EXISTS (
    SELECT FROM contact o WHERE o.organization_id = $1 AND o.id = c.contact_id AND o.assigned_user_id = ?))`, branches, who.UserID, who.UserID)
	}
	q.equal("n.branch_id", f.BranchID)
	q.equal("c.phone_number_id", f.PhoneNumberID)
	q.equal("c.user_id", f.UserID)
	q.sql.WriteString(`)
SELECT k.key, GROUPING(k.key) = 1 AS is_total, count(DISTINCT k.e164) AS people` + perKey)
	return q
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// sums gathers the rows of all questions.
type sums struct {
	total  MessageRow
	groups map[string]*MessageRow
}

// row is where a row of SQL adds to, nil for nowhere.
func (s *sums) row(x tally, g Group, by messageKey) *MessageRow {
	switch {
	case x.IsTotal:
		return &s.total
	case g == "", x.Key == nil && by.table == "":
		return nil
	}
	key := ""
	if x.Key != nil {
		key = *x.Key
	}
	if s.groups[key] == nil {
		s.groups[key] = &MessageRow{Key: x.Key, Label: key, Costs: []message.Money{}}
		if x.Key == nil {
			s.groups[key].Label = by.none
		}
	}
	return s.groups[key]
}

// named sorts the groups and gives them the names that they have today.
func (s *sums) named(ctx context.Context, d *db.DB, who access.Actor, by messageKey) (*MessageStatistics, error) {
	if by.table != "" && len(s.groups) > 0 {
		var names []struct {
			Key  string `bun:"key"`
			Name string `bun:"name"`
		}
		keys := make([]string, 0, len(s.groups))
		for k := range s.groups {
			if k != "" {
				keys = append(keys, k)
			}
		}
		err := db.Select(ctx, d.App(), &names, "SELECT id::text AS key, name FROM "+by.table+" WHERE organization_id = $1 AND id = ANY ($2::text[]::uuid[])", who.OrganizationID, keys)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			s.groups[n.Key].Label = n.Name
		}
		for k, r := range s.groups {
			if k != "" {
				r.Key = prefixed(k)
			}
		}
	}
	out := &MessageStatistics{Total: s.total, Rows: make([]MessageRow, 0, len(s.groups))}
	for _, r := range s.groups {
		out.Rows = append(out.Rows, *r)
	}
	slices.SortFunc(out.Rows, func(a, b MessageRow) int {
		if (a.Key == nil) != (b.Key == nil) { // what belongs to none comes last
			if a.Key == nil {
				return 1
			}
			return -1
		}
		if c := cmp.Compare(a.Label, b.Label); c != 0 || a.Key == nil {
			return c
		}
		return cmp.Compare(*a.Key, *b.Key)
	})
	return out, nil
}

// checkRange checks a range of days and gives the time zone.
func checkRange(from, until time.Time, timeZone string) (string, error) {
	if timeZone == "" {
		timeZone = "UTC"
	}
	_, zone := time.LoadLocation(timeZone)
	switch {
	case zone != nil || timeZone == "Local":
		return "", errs.New(errs.Invalid, "%q is not a time zone; set one such as Australia/Sydney", timeZone).At("timeZone")
	case !until.After(from):
		return "", errs.New(errs.Invalid, "the range ends before it begins; give `to` on or after `from`").At("filter", "to")
	case until.Sub(from) >= (MaxDays+1)*24*time.Hour-maxShift:
		return "", errs.New(errs.Invalid, "the range is longer than %d days; ask in parts", MaxDays).At("filter", "to")
	}
	return timeZone, nil
}
