package report

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// ProviderLogKind is which of Twilio's logs.
type ProviderLogKind string

// The logs.
const (
	ProviderCalls    ProviderLogKind = "CALLS"
	ProviderMessages ProviderLogKind = "MESSAGES"
)

// ProviderLogState is how an entry compares.
type ProviderLogState string

// The states.
const (
	Matched        ProviderLogState = "MATCHED"
	OnlyHere       ProviderLogState = "ONLY_HERE"
	OnlyAtProvider ProviderLogState = "ONLY_AT_PROVIDER"
	Different      ProviderLogState = "DIFFERENT"
)

// ProviderLogField is what can differ.
type ProviderLogField string

// The fields.
const (
	DiffersStatus   ProviderLogField = "STATUS"
	DiffersDuration ProviderLogField = "DURATION"
	DiffersPrice    ProviderLogField = "PRICE"
	DiffersSegments ProviderLogField = "SEGMENTS"
)

// ProviderLog is Twilio's log beside ours (R220).
type ProviderLog struct {
	Rows           []ProviderLogRow
	Matched        int
	OnlyHere       int
	OnlyAtProvider int
	Different      int
	IsComplete     bool
}

// ProviderLogRow is one entry of both logs.
type ProviderLogRow struct {
	State          ProviderLogState
	TwilioSID      string
	CallID         id.ID
	LegID          id.ID
	MessageID      id.ID
	Differences    []ProviderLogDifference
	StartedAt      *time.Time
	From           *string
	To             *string
	ProviderStatus *string
	Price          *CostAmount
}

// ProviderLogDifference is what differs.
type ProviderLogDifference struct {
	Field        ProviderLogField
	Ours, Theirs string
}

const (
	providerDays    = 7
	providerMost    = 2000 // entries that are read of Twilio's log
	providerFetches = 50   // entries that are asked for one by one
	providerRows    = 1000
	// Around the range both logs are read a little further: the clocks differ.
	providerSkew = 5 * time.Minute
)

// ProviderLogFilter is which part of Twilio's log.
type ProviderLogFilter struct {
	From, Until     time.Time
	ConnectionID    id.ID
	Kind            ProviderLogKind
	OnlyDifferences bool
	Limit           int
}

// entry is one entry of a log: what is compared.
type entry struct {
	SID       string    `bun:"sid"`
	CallID    id.ID     `bun:"call_id"`
	LegID     id.ID     `bun:"leg_id"`
	MessageID id.ID     `bun:"message_id"`
	Kind      string    `bun:"kind"`
	StartedAt time.Time `bun:"started_at"`
	From      string    `bun:"from_number"`
	To        string    `bun:"to_number"`
	Status    string    `bun:"status"`
	Answered  bool      `bun:"answered"`
	Seconds   *int      `bun:"seconds"`
	Segments  *int      `bun:"segments"`
	Micros    *int64    `bun:"micros"`
	Currency  *string   `bun:"currency"`
}

func (e *entry) price() *CostAmount {
	if e.Micros == nil || e.Currency == nil {
		return nil
	}
	return &CostAmount{*e.Micros, *e.Currency}
}

// ProviderLog sets Twilio's own log beside ours (R220). It needs CONNECTION_MANAGE
// and REPORT_VIEW, and a role that sees the whole organization: an account's log is
// not divided. Codes: errs.Forbidden, errs.Invalid, errs.Required, errs.NotFound,
// and what the provider says.
func (s *Service) ProviderLog(ctx context.Context, who access.Actor, f ProviderLogFilter) (out *ProviderLog, err error) {
	defer errs.Wrap(&err, "report.ProviderLog(%s)", f.Kind)
	for _, p := range []access.Permission{access.ConnectionManage, access.ReportView} {
		if err := who.Require(p); err != nil {
			return nil, err
		}
	}
	switch {
	case !who.System && !who.SeesAll():
		return nil, errs.New(errs.Forbidden, "Twilio's log is of the whole account; it needs a role that sees the whole organization")
	case f.Limit < 1 || f.Limit > providerRows:
		return nil, errs.New(errs.Invalid, "ask for 1 to %d rows", providerRows).At("limit")
	case !f.Until.After(f.From):
		return nil, errs.New(errs.Invalid, "the range ends before it begins; give `to` on or after `from`").At("filter", "to")
	case f.Until.Sub(f.From) >= (providerDays+1)*24*time.Hour-maxShift:
		return nil, errs.New(errs.Invalid, "the range is longer than %d days; ask in parts", providerDays).At("filter", "to")
	}
	ctx = access.With(ctx, who)
	if f.ConnectionID, err = s.connection(ctx, who, f.ConnectionID); err != nil {
		return nil, err
	}
	client, err := s.client(ctx, f.ConnectionID)
	if err != nil {
		return nil, err
	}
	read, ours, one := s.theirCalls, ourLegs, s.theirCall
	if f.Kind == ProviderMessages {
		read, ours, one = s.theirMessages, ourMessages, s.theirMessage
	}
	theirs, err := read(ctx, client, f)
	if err != nil {
		return nil, err
	}
	out = &ProviderLog{Rows: []ProviderLogRow{}, IsComplete: len(theirs) < providerMost}
	since := f.From.Add(-providerSkew)
	if !out.IsComplete { // what is older was not read
		since = theirs[len(theirs)-1].StartedAt
	}
	sids := make([]string, len(theirs))
	told := make(map[string]*entry, len(theirs))
	for i := range theirs {
		sids[i], told[theirs[i].SID] = theirs[i].SID, &theirs[i]
	}
	var kept []entry
	if err := db.Select(ctx, s.db.App(), &kept, ours, who.OrganizationID, f.ConnectionID, since, f.Until.Add(providerSkew), sids); err != nil {
		return nil, err
	}
	here := make(map[string]*entry, len(kept))
	fetches := 0
	for i := range kept {
		o := &kept[i]
		here[o.SID] = o
		if told[o.SID] != nil || o.StartedAt.Before(since) {
			continue
		}
		if fetches++; fetches > providerFetches {
			out.IsComplete = false
			continue
		}
		x, err := one(ctx, client, o.SID) // what never started stands in no list
		if err != nil {
			return nil, err
		}
		if x != nil {
			told[o.SID] = x
		} else {
			out.row(who, f, o, nil)
		}
	}
	for sid, t := range told {
		out.row(who, f, here[sid], t)
	}
	slices.SortFunc(out.Rows, func(a, b ProviderLogRow) int {
		return cmp.Or(b.StartedAt.Compare(*a.StartedAt), cmp.Compare(a.TwilioSID, b.TwilioSID))
	})
	out.Rows = out.Rows[:min(len(out.Rows), f.Limit)]
	return out, nil
}

// connection is the account that is asked: the one that was named, or the only one.
func (s *Service) connection(ctx context.Context, who access.Actor, x id.ID) (id.ID, error) {
	var rows []struct {
		ID id.ID `bun:"id"`
	}
	if err := db.Select(ctx, s.db.App(), &rows, `SELECT id FROM twilio_connection WHERE organization_id = $1 ORDER BY id`, who.OrganizationID); err != nil {
		return x, err
	}
	if x.IsZero() {
		switch len(rows) {
		case 0:
			return x, errs.New(errs.NotFound, "no Twilio account is connected; connect one first")
		case 1:
			return rows[0].ID, nil
		}
		return x, errs.New(errs.Required, "several Twilio accounts are connected; say which").At("filter", "connectionId")
	}
	for _, r := range rows {
		if r.ID == x {
			return x, nil
		}
	}
	return x, errs.New(errs.NotFound, "there is no such connection").At("filter", "connectionId")
}

func (s *Service) theirCalls(ctx context.Context, c *twilio.Client, f ProviderLogFilter) ([]entry, error) {
	list, err := c.ListCalls(ctx, twilio.CallFilter{StartedAfter: f.From.Add(-providerSkew), StartedBefore: f.Until.Add(providerSkew), Limit: providerMost})
	out := make([]entry, len(list))
	for i := range list {
		out[i] = callEntry(&list[i])
	}
	return out, err
}

func callEntry(x *twilio.Call) entry {
	e := entry{SID: x.SID, StartedAt: x.StartedAt, From: x.From, To: x.To, Status: x.Status, Answered: x.Status == "completed"}
	if e.StartedAt.IsZero() {
		e.StartedAt = x.CreatedAt
	}
	if twilio.Ended(x.Status) {
		e.Seconds = &x.DurationSeconds
	}
	if p, ok := message.ParsePrice(x.Price, x.PriceUnit); ok {
		e.Micros, e.Currency = &p.Micros, &p.Currency
	}
	return e
}

func (s *Service) theirCall(ctx context.Context, c *twilio.Client, sid string) (*entry, error) {
	x, err := c.FetchCall(ctx, sid)
	if twilio.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := callEntry(&x)
	return &e, nil
}

func (s *Service) theirMessages(ctx context.Context, c *twilio.Client, f ProviderLogFilter) ([]entry, error) {
	list, err := c.ListMessages(ctx, twilio.MessageFilter{SentAfter: f.From.Add(-providerSkew), SentBefore: f.Until.Add(providerSkew), Limit: providerMost})
	out := make([]entry, len(list))
	for i := range list {
		out[i] = messageEntry(&list[i])
	}
	return out, err
}

func messageEntry(x *twilio.Sent) entry {
	e := entry{SID: x.SID, StartedAt: x.CreatedAt, From: x.From, To: x.To, Status: x.Status}
	if x.Segments > 0 {
		e.Segments = &x.Segments
	}
	if p, ok := message.ParsePrice(x.Price, x.PriceUnit); ok {
		e.Micros, e.Currency = &p.Micros, &p.Currency
	}
	return e
}

func (s *Service) theirMessage(ctx context.Context, c *twilio.Client, sid string) (*entry, error) {
	x, err := c.FetchMessage(ctx, sid)
	if twilio.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := messageEntry(&x)
	return &e, nil
}

const (
	ourLegs = `SELECT l.twilio_sid AS sid, l.call_id, l.id AS leg_id, l.kind, l.started_at, CASE WHEN l.kind = 'CALLER' THEN c.from_number ELSE coalesce(c.caller_id, c.from_number) END AS from_number,
  CASE WHEN l.kind = 'CALLER' THEN c.to_number ELSE l.to_address END AS to_number, l.status, l.kind = 'CALLER' OR l.answered_at IS NOT NULL AS answered, l.duration_seconds AS seconds,
  l.price_micros AS micros, l.price_currency AS currency
FROM call_leg l JOIN call c ON c.organization_id = l.organization_id AND c.id = l.call_id
WHERE l.organization_id = $1 AND c.connection_id = $2 AND l.twilio_sid IS NOT NULL AND l.id IN (
  SELECT x.id FROM call o JOIN call_leg x ON x.organization_id = o.organization_id AND x.call_id = o.id
  WHERE o.organization_id = $1 AND o.started_at >= $3::timestamptz - interval '1 day' AND o.started_at < $4 AND x.started_at >= $3 AND x.started_at < $4
  UNION SELECT x.id FROM call_leg x WHERE x.organization_id = $1 AND x.twilio_sid = ANY ($5::text[]))
ORDER BY l.started_at DESC LIMIT 5000`
	ourMessages = `SELECT m.twilio_sid AS sid, m.id AS message_id, m.direction AS kind, coalesce(m.sent_at, m.at) AS started_at, m.from_number, m.to_number, m.status, true AS answered,
  m.num_segments AS segments, m.price_micros AS micros, CASE WHEN m.price_micros IS NOT NULL THEN m.price_currency END AS currency
FROM message m
JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
JOIN phone_number n ON n.organization_id = t.organization_id AND n.id = t.phone_number_id
WHERE m.organization_id = $1 AND n.connection_id = $2 AND m.twilio_sid IS NOT NULL AND (m.at >= $3 AND m.at < $4 OR m.twilio_sid = ANY ($5::text[]))
ORDER BY m.at DESC LIMIT 5000`
)

// row compares an entry of ours, nil for none, with theirs, and counts it.
func (p *ProviderLog) row(who access.Actor, f ProviderLogFilter, ours, theirs *entry) {
	shown := theirs
	if shown == nil {
		shown = ours
	}
	if shown.StartedAt.Before(f.From) || !shown.StartedAt.Before(f.Until) {
		if ours == nil || theirs == nil || ours.StartedAt.Before(f.From) || !ours.StartedAt.Before(f.Until) {
			return // of the margin
		}
	}
	r := ProviderLogRow{State: Matched, TwilioSID: shown.SID, StartedAt: &shown.StartedAt, Differences: []ProviderLogDifference{}}
	switch {
	case theirs == nil:
		r.State = OnlyHere
		p.OnlyHere++
	case ours == nil:
		r.State = OnlyAtProvider
		p.OnlyAtProvider++
	default:
		if r.Differences = differences(f.Kind, ours, theirs); len(r.Differences) > 0 {
			r.State = Different
			p.Different++
		} else {
			p.Matched++
		}
	}
	if f.OnlyDifferences && r.State == Matched {
		return
	}
	if ours != nil {
		r.CallID, r.LegID, r.MessageID = ours.CallID, ours.LegID, ours.MessageID
	}
	if theirs != nil {
		r.ProviderStatus, r.Price = &theirs.Status, theirs.price()
	}
	hidden := who.HidesContactDetails() || !who.Can(access.ContactView) || ours != nil && ours.Kind == string(route.UserPhone)
	from, to := call.PartyOf(shown.From, hidden).Display, call.PartyOf(shown.To, hidden).Display
	r.From, r.To = &from, &to
	p.Rows = append(p.Rows, r)
}

// differences are what two entries of the same thing do not agree on.
func differences(kind ProviderLogKind, ours, theirs *entry) []ProviderLogDifference {
	out := []ProviderLogDifference{}
	differs := func(field ProviderLogField, a, b string) {
		out = append(out, ProviderLogDifference{field, a, b})
	}
	if kind == ProviderMessages {
		if want, known := messageStates[theirs.Status]; known && want != ours.Status {
			differs(DiffersStatus, ours.Status, theirs.Status)
		}
		if ours.Segments != nil && theirs.Segments != nil && *ours.Segments != *theirs.Segments {
			differs(DiffersSegments, strconv.Itoa(*ours.Segments), strconv.Itoa(*theirs.Segments))
		}
	} else {
		over, ended := twilio.Ended(theirs.Status), ours.Status == string(call.LegEnded)
		if over != ended || over && ours.Answered != theirs.Answered && ours.Kind != string(route.Caller) {
			differs(DiffersStatus, ours.Status, theirs.Status)
		}
		// Ours may be reckoned from the callbacks, to the second.
		if over && ours.Seconds != nil && theirs.Seconds != nil && max(*ours.Seconds-*theirs.Seconds, *theirs.Seconds-*ours.Seconds) > 1 {
			differs(DiffersDuration, strconv.Itoa(*ours.Seconds), strconv.Itoa(*theirs.Seconds))
		}
	}
	if a, b := ours.price(), theirs.price(); a != nil && b != nil && *a != *b {
		differs(DiffersPrice, a.Amount()+" "+a.Currency, b.Amount()+" "+b.Currency)
	}
	return out
}

// messageStates are Twilio's words for the states of a message.
var messageStates = map[string]string{
	"accepted": "QUEUED", "scheduled": "QUEUED", "queued": "QUEUED", "sending": "QUEUED", "sent": "SENT", "delivered": "DELIVERED", "read": "DELIVERED",
	"undelivered": "UNDELIVERED", "failed": "FAILED", "canceled": "FAILED", "receiving": "RECEIVED", "received": "RECEIVED",
}
