package report

import (
	"cmp"
	"context"
	"slices"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/phone"
)

// ActivityGroup is what activity is grouped by.
type ActivityGroup string

// The groups of activity.
const (
	ActivityByUser        ActivityGroup = "USER"
	ActivityByPhoneNumber ActivityGroup = "PHONE_NUMBER"
	ActivityByDay         ActivityGroup = "DAY"
	ActivityByBranch      ActivityGroup = "BRANCH"
)

// Activity is missed, received and outgoing calls (R211).
type Activity struct {
	Total  ActivityRow
	Rows   []ActivityRow
	Source Source
}

// ActivityRow is the activity of one group.
type ActivityRow struct {
	Key              *string
	Label            string
	Missed           int // inbound and internal, with or without a voicemail
	Received         int
	Outgoing         int
	OutgoingAnswered int
	TalkSeconds      int
}

// AnsweredBy says who answered (R213).
type AnsweredBy struct {
	Rows       []AnsweredByRow
	Unanswered int
	Source     Source
}

// AnsweredByRow is what one person answered.
type AnsweredByRow struct {
	UserID               id.ID // zero for phones of nobody
	Answered             int
	Share                float64
	TalkSeconds          int
	AverageTalkSeconds   *float64
	AverageAnswerSeconds *float64
}

// RecentCall is a call of the Recent Calls Log (R222).
type RecentCall struct {
	Call         *call.Call
	MessageCount int
	CallCount    int
}

// Activity counts missed, received and outgoing calls (R211). It needs REPORT_VIEW.
// Codes: errs.Invalid, errs.Forbidden.
func (s *Service) Activity(ctx context.Context, who access.Actor, f CallFilter, g ActivityGroup) (out *Activity, err error) {
	defer errs.Wrap(&err, "report.Activity(%s)", g)
	if err := who.Require(access.ReportView); err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	how, ok := by[Group(g)]
	if !ok || Group(g) == ByStatus {
		return nil, errs.New(errs.Invalid, "activity cannot be grouped by %q", string(g)).At("groupBy")
	}
	out = &Activity{Rows: []ActivityRow{}}
	err = s.db.InSnapshot(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		c, err := s.newCounter(ctx, tx, who, f, how.needs)
		if err != nil {
			return err
		}
		out.Source = c.source
		rows, err := c.group(ctx, Group(g))
		total := sum{Label: "Total"}
		for _, x := range rows {
			total.add(x)
			out.Rows = append(out.Rows, x.activity())
		}
		out.Total = total.activity()
		return err
	})
	return out, err
}

func (a *sum) activity() ActivityRow {
	return ActivityRow{Key: a.Key, Label: a.Label, Missed: a.Lost, Received: a.Taken, Outgoing: a.Outbound, OutgoingAnswered: a.Placed, TalkSeconds: a.Talk}
}

// AnsweredBy says who answered how many calls (R213): those that came in and those
// between colleagues, unless the filter names the directions. It needs REPORT_VIEW.
// Codes: errs.Invalid, errs.Forbidden.
func (s *Service) AnsweredBy(ctx context.Context, who access.Actor, f CallFilter) (out *AnsweredBy, err error) {
	defer errs.Wrap(&err, "report.AnsweredBy")
	if err := who.Require(access.ReportView); err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if len(f.Directions) == 0 {
		f.Directions = []call.Direction{call.Inbound, call.Internal}
	}
	out = &AnsweredBy{Rows: []AnsweredByRow{}}
	err = s.db.InSnapshot(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		c, err := s.newCounter(ctx, tx, who, f, section{person: true})
		if err != nil {
			return err
		}
		out.Source = c.source
		q := c.parts(section{person: true})
		q.sql.WriteString("SELECT nullif(k.answered_by_user_id, " + nobody + ")::text AS key, " + sumColumns + "\nFROM k GROUP BY 1")
		var rows []sum
		if err := db.Select(ctx, tx, &rows, q.sql.String(), q.args...); err != nil {
			return err
		}
		answered := 0
		for _, x := range rows {
			answered += x.Answered
		}
		for _, x := range rows {
			out.Unanswered += x.Count - x.Answered
			if x.Answered == 0 {
				continue
			}
			r := AnsweredByRow{Answered: x.Answered, Share: float64(x.Answered) / float64(answered), TalkSeconds: x.Talk,
				AverageTalkSeconds: mean(x.Talk, x.Talked), AverageAnswerSeconds: mean(x.Pick, x.Picked)}
			if x.Key != nil {
				if err := r.UserID.Scan(*x.Key); err != nil {
					return err
				}
			}
			out.Rows = append(out.Rows, r)
		}
		slices.SortFunc(out.Rows, func(a, b AnsweredByRow) int {
			return cmp.Or(cmp.Compare(b.Answered, a.Answered), cmp.Compare(a.UserID.String(), b.UserID.String()))
		})
		return nil
	})
	return out, err
}

// relatedSince is how long before a call what else there was with the same party counts.
const relatedSince = 7 * 24 * time.Hour

// Recent is what belongs to calls of the log (R222), in the order of the calls: the
// actor sees them. Messages are counted for those who see messages.
func (s *Service) Recent(ctx context.Context, who access.Actor, calls []*call.Call) (out []*RecentCall, err error) {
	defer errs.Wrap(&err, "report.Recent")
	out = make([]*RecentCall, len(calls))
	at := make(map[id.ID]*RecentCall, len(calls))
	ids, theirs := make([]id.ID, len(calls)), make([]*string, len(calls))
	for i, c := range calls {
		out[i] = &RecentCall{Call: c}
		at[c.ID], ids[i] = out[i], c.ID
		outside := c.FromNumber
		if c.Direction == call.Outbound {
			outside = c.ToNumber
		}
		if e, ok := phone.FromWire(outside); ok && c.Direction != call.Internal { // who shows no number is nobody else (D11)
			theirs[i] = (*string)(&e)
		}
	}
	if len(calls) == 0 {
		return out, nil
	}
	q := &query{args: []any{who.OrganizationID, ids, relatedSince.Seconds(), theirs}}
	messages := "0"
	if who.Can(access.SMSView) {
		sight := ""
		if x := message.Sight(who, q.arg); x != "" {
			sight = " AND " + x
		}
		messages = `(SELECT count(*) FROM message m JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
    WHERE t.organization_id = $1 AND t.their_number = p.their AND m.at >= p.started_at - make_interval(secs => $3)` + sight + `)`
	}
	q.sql.WriteString(`WITH p AS (SELECT c.id, c.started_at, c.contact_id, x.their
  FROM unnest($2::uuid[], $4::text[]) AS x (id, their) JOIN call c ON c.organization_id = $1 AND c.id = x.id)
SELECT p.id, ` + messages + ` AS messages,
  (SELECT count(*) FROM call o WHERE o.organization_id = $1 AND o.id <> p.id AND o.started_at >= p.started_at - make_interval(secs => $3) AND o.is_logged
    AND (o.contact_id = p.contact_id OR (CASE WHEN o.direction = 'INBOUND' THEN o.from_number ELSE o.to_number END) = p.their)
    AND ` + call.SeenBy("o", who, q.arg) + `) AS calls
FROM p`)
	var rows []struct {
		ID       id.ID `bun:"id"`
		Messages int   `bun:"messages"`
		Calls    int   `bun:"calls"`
	}
	if err := db.Select(access.With(ctx, who), s.db.App(), &rows, q.sql.String(), q.args...); err != nil {
		return nil, err
	}
	for _, r := range rows {
		at[r.ID].MessageCount, at[r.ID].CallCount = r.Messages, r.Calls
	}
	return out, nil
}

// maxRecordEvents is how many events of its record are told with a call.
const maxRecordEvents = 10

// RecordEventsSince are the events of the records of calls since each began, newest
// first: their ids, for calls that the actor has in hand.
func (s *Service) RecordEventsSince(ctx context.Context, who access.Actor, calls []id.ID) (out map[id.ID][]id.ID, err error) {
	defer errs.Wrap(&err, "report.RecordEventsSince")
	var rows []struct {
		Call  id.ID `bun:"call_id"`
		Event id.ID `bun:"event_id"`
	}
	err = db.Select(access.With(ctx, who), s.db.App(), &rows, `SELECT c.id AS call_id, e.id AS event_id FROM call c
CROSS JOIN LATERAL (SELECT e.id, e.at FROM record_event e WHERE e.organization_id = $1 AND e.record_id = c.record_id AND e.at >= c.started_at ORDER BY e.at DESC, e.id DESC LIMIT $3) e
WHERE c.organization_id = $1 AND c.id = ANY ($2::uuid[]) ORDER BY e.at DESC, e.id DESC`, who.OrganizationID, calls, maxRecordEvents)
	out = map[id.ID][]id.ID{}
	for _, r := range rows {
		out[r.Call] = append(out[r.Call], r.Event)
	}
	return out, err
}
