package report

import (
	"cmp"
	"context"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
)

// Source is where the numbers of a report come from; they are the same either way.
type Source string

// The sources.
const (
	Rollup Source = "ROLLUP"
	Scan   Source = "SCAN"
)

// Dashboard is the statistics dashboard (R215).
type Dashboard struct {
	Total        Totals
	Statuses     []StatusCount
	Branches     []Row
	PhoneNumbers []Row
	Users        []Row
	Days         []Row
	Hours        []Heat
	Service      ServiceLevel
	Source       Source
	CountedAt    time.Time

	// Asked is what was asked for, for the parts that are counted only when they
	// are wanted.
	Asked CallFilter
}

// Totals are counts and times of calls.
type Totals struct {
	Count, Answered, Missed, Voicemail int
	Inbound, Outbound, Internal        int
	TalkSeconds                        int
	AverageTalkSeconds                 *float64
	RingSeconds                        int
	AverageRingSeconds                 *float64
	DurationSeconds                    int
	AverageDurationSeconds             *float64
}

// StatusCount is how many calls have a status.
type StatusCount struct {
	Status call.Status
	Count  int
	Share  float64
}

// Channel is how people reach each other.
type Channel string

// The channels.
const (
	ChannelInbound     Channel = "CALL_INBOUND"
	ChannelOutbound    Channel = "CALL_OUTBOUND"
	ChannelInternal    Channel = "CALL_INTERNAL"
	ChannelVoicemail   Channel = "VOICEMAIL"
	ChannelSMSInbound  Channel = "SMS_INBOUND"
	ChannelSMSOutbound Channel = "SMS_OUTBOUND"
	ChannelMMS         Channel = "MMS"
)

// ChannelCount is how many went through a channel.
type ChannelCount struct {
	Channel Channel
	Count   *int // nil for messages that cannot be told
}

// Row is one group of a report.
type Row struct {
	Key    *string // a day or an id; nil for what belongs to none
	Label  string
	Totals Totals
}

// Heat is one hour of the week.
type Heat struct {
	Weekday int // 1 is Monday
	Hour    int
	Count   int
	Missed  int // nobody answered, with or without a voicemail
}

// ServiceLevel is how fast inbound calls were answered.
type ServiceLevel struct {
	WithinSeconds          int
	Offered                int
	AnsweredInTime         int
	Share                  *float64
	AverageAnswerSeconds   *float64
	MedianAnswerSeconds    *int
	NinetiethAnswerSeconds *int
	Abandoned              int
	AverageAbandonSeconds  *float64
}

// timed is a row of a report's time line.
type timed struct {
	sum    `bun:",extend"`
	Day    *string `bun:"day"`
	Week   *int    `bun:"week"`
	Hour   *int    `bun:"hour"`
	Status *string `bun:"status"`
}

// waited is one bar of the histogram of waiting.
type waited struct {
	How     string `bun:"waited"`
	Within  int    `bun:"wait"`
	Count   int    `bun:"count"`
	Seconds int    `bun:"seconds"`
}

// maxServiceSeconds is the longest answer that a service level may allow.
const maxServiceSeconds = 600

// Dashboard counts calls for the statistics dashboard (R215). It needs REPORT_VIEW
// and counts only what the actor sees in the call log, in a number of statements
// that does not depend on how much there is. Codes: errs.Invalid, errs.Forbidden.
func (s *Service) Dashboard(ctx context.Context, who access.Actor, f CallFilter, within int) (out *Dashboard, err error) {
	defer errs.Wrap(&err, "report.Dashboard")
	if err := who.Require(access.ReportView); err != nil {
		return nil, err
	}
	if within < 1 || within > maxServiceSeconds {
		return nil, errs.New(errs.Invalid, "a service level is within 1 to %d seconds", maxServiceSeconds).At("serviceLevelSeconds")
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	out = &Dashboard{Asked: f}
	err = s.db.InSnapshot(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		c, err := s.newCounter(ctx, tx, who, f, section{hour: true}, section{place: true}, section{person: true}, section{wait: true})
		if err != nil {
			return err
		}
		out.Source, out.CountedAt = c.source, tx.Now
		if err := c.timeline(ctx, out); err != nil {
			return err
		}
		for g, rows := range map[Group]*[]Row{ByBranch: &out.Branches, ByPhoneNumber: &out.PhoneNumbers, ByUser: &out.Users} {
			if *rows, err = c.rows(ctx, g); err != nil {
				return err
			}
		}
		out.Service, err = c.service(ctx, within)
		return err
	})
	return out, err
}

// timeline counts by day, by hour of the week and by status; the totals are their sum.
func (c *counter) timeline(ctx context.Context, out *Dashboard) error {
	q := c.parts(section{hour: true})
	q.sql.WriteString(`SELECT to_char(k.day, 'YYYY-MM-DD') AS day, k.week, k.hour, k.status, ` + sumColumns + `
FROM (SELECT k.*, extract(isodow FROM k.day)::int AS week FROM k) k
GROUP BY GROUPING SETS ((k.day), (k.week, k.hour), (k.status))
HAVING sum(k.n) <> 0
ORDER BY k.day, k.week, k.hour`)
	var rows []timed
	if err := db.Select(ctx, c.tx, &rows, q.sql.String(), q.args...); err != nil {
		return err
	}
	var total sum
	statuses := map[call.Status]int{}
	out.Days, out.Hours, out.Statuses = []Row{}, []Heat{}, []StatusCount{}
	for _, r := range rows {
		switch {
		case r.Day != nil:
			out.Days = append(out.Days, Row{Key: r.Day, Label: *r.Day, Totals: r.totals()})
		case r.Week != nil:
			out.Hours = append(out.Hours, Heat{Weekday: *r.Week, Hour: *r.Hour, Count: r.Count, Missed: r.Lost})
		case r.Status != nil:
			total.add(r.sum)
			statuses[call.Status(*r.Status)] = r.Count
		}
	}
	out.Total = total.totals()
	for _, st := range allStatuses {
		if n := statuses[st]; n != 0 {
			out.Statuses = append(out.Statuses, StatusCount{Status: st, Count: n, Share: float64(n) / float64(total.Count)})
		}
	}
	return nil
}

var allStatuses = []call.Status{call.Queued, call.Ringing, call.InProgress, call.Completed, call.Missed, call.Voicemail, call.Rejected, call.Busy, call.Failed, call.Canceled}

// rows counts by one thing, by name; what belongs to none comes last.
func (c *counter) rows(ctx context.Context, g Group) ([]Row, error) {
	groups, err := c.group(ctx, g)
	out := make([]Row, len(groups))
	for i, x := range groups {
		out[i] = Row{Key: x.Key, Label: x.Label, Totals: x.totals()}
	}
	return out, err
}

// byLabel orders groups by name; what belongs to none comes last.
func byLabel(a *string, labelA string, b *string, labelB string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Or(cmp.Compare(labelA, labelB), cmp.Compare(*a, *b))
}

// service is how fast callers were answered.
func (c *counter) service(ctx context.Context, within int) (out ServiceLevel, err error) {
	q := c.parts(section{wait: true})
	q.sql.WriteString(`SELECT k.waited, k.wait, sum(k.n)::bigint AS count, sum(k.wait_seconds)::bigint AS seconds FROM k WHERE k.waited <> '' GROUP BY 1, 2 HAVING sum(k.n) <> 0 ORDER BY 2`)
	var rows []waited
	if err := db.Select(ctx, c.tx, &rows, q.sql.String(), q.args...); err != nil {
		return out, err
	}
	out.WithinSeconds = within
	answered, waiting, gone := 0, 0, 0
	for _, r := range rows {
		out.Offered += r.Count
		switch r.How {
		case "ANSWERED":
			answered, waiting = answered+r.Count, waiting+r.Seconds
			if r.Within <= within {
				out.AnsweredInTime += r.Count
			}
		case "GAVE_UP":
			out.Abandoned, gone = out.Abandoned+r.Count, gone+r.Seconds
		}
	}
	out.Share, out.AverageAnswerSeconds, out.AverageAbandonSeconds = mean(out.AnsweredInTime, out.Offered), mean(waiting, answered), mean(gone, out.Abandoned)
	out.MedianAnswerSeconds, out.NinetiethAnswerSeconds = percentile(rows, answered, 50), percentile(rows, answered, 90)
	return out, nil
}

// percentile is the second within which so many of a hundred were answered; nil when nobody was.
func percentile(rows []waited, answered, percent int) *int {
	n := 0
	for _, r := range rows {
		if r.How != "ANSWERED" {
			continue
		}
		if n += r.Count; n*100 >= answered*percent {
			return &r.Within
		}
	}
	return nil
}

// Channels counts calls and messages by channel (R215), for a dashboard that was
// counted. Messages need SMS_VIEW too; those that were sent or came in count. Where
// statuses of calls are asked for there is no number of messages.
func (s *Service) Channels(ctx context.Context, who access.Actor, d *Dashboard) (out []ChannelCount, err error) {
	defer errs.Wrap(&err, "report.Channels")
	t := d.Total
	add := func(c Channel, n int) { out = append(out, ChannelCount{Channel: c, Count: &n}) }
	add(ChannelInbound, t.Inbound)
	add(ChannelOutbound, t.Outbound)
	add(ChannelInternal, t.Internal)
	add(ChannelVoicemail, t.Voicemail)
	f := d.Asked
	if !who.Can(access.SMSView) || len(f.Statuses) > 0 {
		return append(out, ChannelCount{Channel: ChannelSMSInbound}, ChannelCount{Channel: ChannelSMSOutbound}, ChannelCount{Channel: ChannelMMS}), nil
	}
	q := MessageFilter{From: f.From, TimeZone: f.TimeZone}.messages(who, `SELECT count(*) FILTER (WHERE m.media_count = 0 AND m.direction = 'INBOUND') AS received,
  count(*) FILTER (WHERE m.media_count = 0 AND m.direction = 'OUTBOUND') AS sent, count(*) FILTER (WHERE m.media_count > 0) AS mms`, f.Until)
	q.and(strings.ReplaceAll("(k.direction = 'INBOUND' OR "+handed+")", "k.", "m."))
	if len(f.Directions) > 0 {
		q.and("m.direction = ANY (?::text[])", asText(f.Directions))
	}
	if len(f.BranchIDs) > 0 {
		q.and("t.branch_id = ANY (?::uuid[])", f.BranchIDs)
	}
	if len(f.PhoneNumberIDs) > 0 {
		q.and("t.phone_number_id = ANY (?::uuid[])", f.PhoneNumberIDs)
	}
	if len(f.UserIDs) > 0 {
		q.and("m.user_id = ANY (?::uuid[])", f.UserIDs)
	}
	if f.ContactKind != "" {
		q.and("EXISTS (SELECT FROM contact o WHERE o.organization_id = $1 AND o.id = m.contact_id AND o.kind = ?)", string(f.ContactKind))
	}
	if f.BusinessUnit != "" {
		q.and("EXISTS (SELECT FROM phone_number n WHERE n.organization_id = $1 AND n.id = t.phone_number_id AND n.business_unit = ?)", f.BusinessUnit)
	}
	if !f.CampaignID.IsZero() {
		q.and("EXISTS (SELECT FROM bulk_message b WHERE b.organization_id = $1 AND b.id = m.bulk_id AND b.campaign_id = ?)", f.CampaignID)
	}
	var n struct {
		Received int `bun:"received"`
		Sent     int `bun:"sent"`
		MMS      int `bun:"mms"`
	}
	if err := db.Select(access.With(ctx, who), s.db.App(), &n, q.sql.String(), q.args...); err != nil {
		return nil, err
	}
	add(ChannelSMSInbound, n.Received)
	add(ChannelSMSOutbound, n.Sent)
	add(ChannelMMS, n.MMS)
	return out, nil
}
