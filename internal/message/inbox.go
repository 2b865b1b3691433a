package message

import (
	"context"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// Inbox says how many threads wait for somebody, within what they see; each
// counts to MaxInboxCount.
type Inbox struct {
	Open       int `bun:"open"`
	Unread     int `bun:"unread"` // with messages that they have not read
	Mine       int `bun:"mine"`   // open and assigned to them
	Unassigned int `bun:"unassigned"`
}

const (
	// MaxInboxCount is how far the inbox counts threads.
	MaxInboxCount = 1000
	// MaxUnread is how far one thread counts unread messages.
	MaxUnread = 100
)

// Filter says which threads. The zero Filter is all of them.
type Filter struct {
	IsOpen         *bool
	IsMine         *bool // assigned to the actor
	IsUnassigned   *bool
	IsUnread       *bool // by the actor
	AssignedUserID id.ID
	PhoneNumberID  id.ID
	BranchID       id.ID
	ContactID      id.ID
	Number         phone.E164
	Search         string
}

// Threads lists threads, the most recent message first (R140). It needs SMS_VIEW.
func (s *Service) Threads(ctx context.Context, who access.Actor, f Filter, page db.Page) (w db.Window[*Thread], err error) {
	defer errs.Wrap(&err, "message.Threads")
	if err := who.Require(access.SMSView); err != nil {
		return w, err
	}
	limit, after, err := page.Keyset()
	if err != nil {
		return w, err
	}
	q := selectFor(who, `SELECT t.* FROM sms_thread t WHERE t.organization_id = $1`)
	q.seenBy(who)
	if err := q.filter(who, f); err != nil {
		return w, err
	}
	q.and("(t.last_message_at, t.id) < (" + q.arg(after.At) + ", " + q.arg(after.ID) + ")")
	q.sql.WriteString("\nORDER BY t.last_message_at DESC, t.id DESC\nLIMIT " + q.arg(limit+1))
	rows := []*Thread{}
	if err := q.into(ctx, s.db.App(), who, &rows); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(t *Thread) db.Keyset { return db.Keyset{At: t.LastMessageAt, ID: t.ID} }), nil
}

// filter narrows the threads t.
func (q *query) filter(who access.Actor, f Filter) error {
	if f.IsOpen != nil {
		q.and(either(*f.IsOpen, "t.is_open", "NOT t.is_open"))
	}
	if f.IsUnassigned != nil {
		q.and("t.assigned_user_id IS " + either(*f.IsUnassigned, "NULL", "NOT NULL"))
	}
	switch me := who.UserID; {
	case f.IsMine == nil:
	case me.IsZero():
		q.and(either(*f.IsMine, "false", "true")) // nothing is a machine's own
	case *f.IsMine:
		q.equal("t.assigned_user_id", me)
	default:
		q.and("t.assigned_user_id IS DISTINCT FROM " + q.arg(me))
	}
	if f.IsUnread != nil {
		unread := q.unread(who)
		q.and(either(*f.IsUnread, unread, "NOT "+unread))
	}
	q.equal("t.assigned_user_id", f.AssignedUserID)
	q.equal("t.phone_number_id", f.PhoneNumberID)
	q.equal("t.branch_id", f.BranchID)
	q.equal("t.contact_id", f.ContactID)
	if f.Number != "" {
		q.and(q.byNumber(who, string(f.Number), false))
	}
	if f.Search == "" {
		return nil
	}
	return q.searchThreads(who, f)
}

func either(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// readUntil is until when the actor has read the thread t.
func (q *query) readUntil(who access.Actor) string {
	return `coalesce((SELECT y.read_until FROM sms_thread_read y
    WHERE y.organization_id = $1 AND y.user_id = ` + q.arg(who.UserID) + ` AND y.thread_id = t.id), '-infinity')`
}

// unread is the condition that the actor has not read all of the thread t. Those
// who see a part of it are asked about that part.
func (q *query) unread(who access.Actor) string {
	if who.UserID.IsZero() {
		return "false" // nothing is unread to a machine
	}
	until := q.readUntil(who)
	newer := "coalesce(t.last_inbound_at > " + until + ", false)"
	if read := q.readable(who); read != "" {
		newer = "(" + newer + ` AND EXISTS (SELECT FROM message m
    WHERE m.organization_id = $1 AND m.thread_id = t.id AND m.direction = 'INBOUND' AND m.at > ` + until + ` AND ` + read + `))`
	}
	return newer
}

// Inbox counts the threads that wait for the actor, in one statement. It needs SMS_VIEW.
func (s *Service) Inbox(ctx context.Context, who access.Actor) (_ *Inbox, err error) {
	defer errs.Wrap(&err, "message.Inbox")
	if err := who.Require(access.SMSView); err != nil {
		return nil, err
	}
	q := selectFor(who, "")
	from := "sms_thread t WHERE t.organization_id = $1"
	if !who.SeesAll() {
		q.sql.WriteString("WITH seen AS MATERIALIZED (SELECT t.* FROM sms_thread t WHERE t.organization_id = $1")
		q.seenBy(who)
		q.sql.WriteString(")\n")
		from = "seen t WHERE true"
	}
	limit := q.arg(MaxInboxCount)
	count := func(condition string) string {
		return "(SELECT count(*) FROM (SELECT FROM " + from + " AND " + condition + " LIMIT " + limit + ") x)"
	}
	mine := "false"
	if !who.UserID.IsZero() {
		mine = "t.is_open AND t.assigned_user_id = " + q.arg(who.UserID)
	}
	q.sql.WriteString("SELECT " + count("t.is_open") + " AS open,\n" + count(q.unread(who)) + " AS unread,\n" +
		count(mine) + " AS mine,\n" + count("t.is_open AND t.assigned_user_id IS NULL") + " AS unassigned")
	row := &Inbox{}
	return row, q.into(ctx, s.db.App(), who, row)
}

// Unread says how many messages of their ends the actor of the context has not
// read, for each of the threads that they see, to MaxUnread.
func (s *Service) Unread(ctx context.Context, threads []id.ID) (_ map[id.ID]int, err error) {
	defer errs.Wrap(&err, "message.Unread")
	out := make(map[id.ID]int, len(threads))
	who := access.From(ctx)
	if !who.Can(access.SMSView) || who.UserID.IsZero() {
		return out, nil
	}
	var rows []struct {
		ID id.ID `bun:"id"`
		N  int   `bun:"n"`
	}
	q := selectFor(who, "")
	until := q.readUntil(who)
	read := q.readable(who)
	if read != "" {
		read = " AND " + read
	}
	q.sql.WriteString(`
SELECT t.id, c.n FROM sms_thread t
CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
  SELECT FROM message m
  WHERE m.organization_id = $1 AND m.thread_id = t.id AND m.direction = 'INBOUND' AND m.at > ` + until + read + `
  LIMIT ` + q.arg(MaxUnread) + `) x) c
WHERE t.organization_id = $1`)
	q.and("t.id = ANY (" + q.arg(threads) + "::uuid[])")
	q.seenBy(who)
	err = q.into(ctx, s.db.App(), who, &rows)
	for _, r := range rows {
		out[r.ID] = r.N
	}
	return out, err
}

// ReplyProblems says why no answer can reach the other end and what to do, for
// those of the threads that the actor of the context sees and that have such a problem.
func (s *Service) ReplyProblems(ctx context.Context, threads []id.ID) (_ map[id.ID]*string, err error) {
	defer errs.Wrap(&err, "message.ReplyProblems")
	out := make(map[id.ID]*string, len(threads))
	who := access.From(ctx)
	if !who.Can(access.SMSView) {
		return out, nil
	}
	var rows []struct {
		ID           id.ID      `bun:"id"`
		Number       id.ID      `bun:"phone_number_id"`
		Their        string     `bun:"their_number"`
		Ours         phone.E164 `bun:"e164"`
		Disconnected bool       `bun:"disconnected"`
		Disabled     bool       `bun:"disabled"`
		CanSMS       bool       `bun:"can_sms"`
		ForMessages  bool       `bun:"use_for_messages"`
	}
	q := selectFor(who, `
SELECT t.id, t.phone_number_id, t.their_number, n.e164, n.disconnected_at IS NOT NULL OR c.disconnected_at IS NOT NULL AS disconnected,
  NOT (n.is_enabled AND c.is_enabled) AS disabled, n.can_sms, n.use_for_messages
FROM sms_thread t
JOIN phone_number n ON n.organization_id = t.organization_id AND n.id = t.phone_number_id
JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
WHERE t.organization_id = $1`)
	q.and("t.id = ANY (" + q.arg(threads) + "::uuid[])")
	q.seenBy(who)
	if err := q.into(ctx, s.db.App(), who, &rows); err != nil {
		return out, err
	}
	pairs := make([]pair, len(rows))
	for i, r := range rows {
		pairs[i] = pair{r.Number, r.Their}
	}
	held, err := optedOutMany(access.With(ctx, who), s.db.App(), who.OrganizationID, pairs)
	for i, r := range rows {
		var why string
		switch {
		case !addressable(r.Their):
			why = r.Their + " cannot receive replies; write to a phone number instead" // R151
		case held[pairs[i]]:
			why = optedOut(string(r.Ours))
		case r.Disconnected:
			why = "number " + string(r.Ours) + " is disconnected; connect it again, or write from another number"
		case r.Disabled:
			why = "number " + string(r.Ours) + " is disabled; enable it, or write from another number"
		case !r.CanSMS:
			why = "number " + string(r.Ours) + " cannot send text messages; write from another number"
		case !r.ForMessages:
			why = "number " + string(r.Ours) + " is not used for messages; change its usage, or write from another number"
		default:
			continue
		}
		out[r.ID] = &why
	}
	return out, err
}

// HiddenEnds says for which of the threads the other end's number is hidden from the
// actor of the context, who reaches them through a masked number (R103).
func (s *Service) HiddenEnds(ctx context.Context, threads []id.ID) (_ map[id.ID]bool, err error) {
	defer errs.Wrap(&err, "message.HiddenEnds")
	who := access.From(ctx)
	condition := hiddenEnd(who, "$2")
	if condition == "" {
		return nil, nil
	}
	out := make(map[id.ID]bool, len(threads))
	if who.HidesContactDetails() {
		for _, t := range threads {
			out[t] = true
		}
		return out, nil
	}
	var rows []struct {
		ID id.ID `bun:"id"`
	}
	err = db.Select(access.With(ctx, who), s.db.App(), &rows, `SELECT t.id FROM sms_thread t
WHERE t.organization_id = $1 AND t.id = ANY ($3::uuid[]) AND `+condition, who.OrganizationID, who.UserID, threads)
	for _, r := range rows {
		out[r.ID] = true
	}
	return out, err
}

// hiddenEnd is SQL for the threads t of which the actor, whose place in the query is
// user, does not see the other end's number; "" for who sees them all.
func hiddenEnd(who access.Actor, user string) string {
	hidden := contact.Hidden(who, user)
	if hidden == "" || who.HidesContactDetails() {
		return hidden
	}
	return `EXISTS (SELECT FROM contact_phone p JOIN contact c ON c.organization_id = p.organization_id AND c.id = p.contact_id
  WHERE p.organization_id = $1 AND p.e164 = t.their_number AND ` + hidden + `)`
}

// byNumber is the condition that the other end's number of a thread t is this one,
// or has these digits. A number that is hidden from the actor has none: to find it
// would confirm it (R103, R241).
func (q *query) byNumber(who access.Actor, number string, part bool) string {
	if who.HidesContactDetails() {
		return "false"
	}
	place := q.arg(number)
	condition := "t.their_number = " + place
	if part {
		condition = "t.their_number LIKE '%' || " + place + "::text || '%'"
	}
	if contact.Hidden(who, "") != "" {
		condition = "(" + condition + " AND NOT " + hiddenEnd(who, q.arg(who.UserID)) + ")"
	}
	return condition
}

// addressable reports whether an end of a thread is a number that can be written
// to: not a name, and not hidden (R151, D11).
func addressable(their string) bool {
	_, ok := phone.FromWire(their)
	return ok
}

// Told is a message that the actor hears of when it comes in: one that they read,
// unless their number's team switched them off for such messages (R026). Otherwise
// errs.NotFound.
func (s *Service) Told(ctx context.Context, who access.Actor, message id.ID) (_ *Message, err error) {
	defer errs.Wrap(&err, "message.Told(%s)", message)
	m, err := s.Get(ctx, who, message)
	if err != nil || m.Direction != Inbound || who.UserID.IsZero() {
		return m, err
	}
	var row struct {
		Off bool `bun:"off"`
	}
	err = db.Select(access.With(ctx, who), s.db.App(), &row, `
SELECT EXISTS (
  SELECT FROM sms_thread t
  JOIN phone_number n ON n.organization_id = t.organization_id AND n.id = t.phone_number_id
  JOIN team_user tu ON tu.organization_id = n.organization_id AND tu.team_id = n.team_id AND tu.user_id = $3
  JOIN phone_number_user x ON x.organization_id = n.organization_id AND x.phone_number_id = n.id AND x.user_id = $3
  WHERE t.organization_id = $1 AND t.id = $2 AND NOT CASE WHEN $4 > 0 THEN x.mms ELSE x.sms END) AS off`,
		who.OrganizationID, m.ThreadID, who.UserID, m.MediaCount)
	if err != nil {
		return nil, err
	}
	if row.Off {
		return nil, errNoMessage
	}
	return m, nil
}

// LogFilter says which messages. The zero LogFilter is all of them.
type LogFilter struct {
	Direction     Direction
	Statuses      []Status
	ThreadID      id.ID
	ContactID     id.ID
	RecordID      id.ID
	PhoneNumberID id.ID // ours
	BranchID      id.ID
	UserID        id.ID // who wrote it
	BulkID        id.ID
	AutomationID  id.ID
	Number        phone.E164 // theirs
	HasMedia      *bool
	From, Until   time.Time // Until is excluded
	Search        string
}

// List is a page of the history log (R141): messages in and out that the actor
// reads, newest first. It needs SMS_VIEW.
func (s *Service) List(ctx context.Context, who access.Actor, f LogFilter, page db.Page) (w db.Window[*Message], err error) {
	defer errs.Wrap(&err, "message.List")
	if err := who.Require(access.SMSView); err != nil {
		return w, err
	}
	limit, after, err := page.Keyset()
	if err != nil {
		return w, err
	}
	if f.Search != "" {
		rows, err := s.searchMessages(ctx, who, f, after, limit+1)
		return db.NewWindow(rows, limit, messageKey), err
	}
	rows, err := s.history(ctx, who, f, after, limit+1, nil, "")
	return db.NewWindow(rows, limit, messageKey), err
}

func messageKey(m *Message) db.Keyset { return db.Keyset{At: m.At, ID: m.ID} }

// history reads messages: those of ids, unless it is nil, and with the words, unless
// there are none.
func (s *Service) history(ctx context.Context, who access.Actor, f LogFilter, after db.Keyset, limit int, ids []id.ID, words string) ([]*Message, error) {
	q := selectFor(who, `
SELECT m.* FROM message m
JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
WHERE m.organization_id = $1`)
	q.seenBy(who) // the few threads of somebody are a way to their messages
	q.readBy(who)
	if ids != nil {
		q.and("m.id = ANY (" + q.arg(ids) + "::uuid[])")
	}
	if words != "" {
		q.and("to_tsvector('simple', m.body) @@ to_tsquery('simple', " + q.arg(words) + ")")
	}
	if f.Direction != "" {
		q.and("m.direction = " + q.arg(f.Direction))
	}
	if f.Statuses != nil {
		words := make([]string, len(f.Statuses))
		for i, x := range f.Statuses {
			words[i] = string(x)
		}
		q.and("m.status = ANY (" + q.arg(words) + "::text[])")
	}
	q.equal("m.thread_id", f.ThreadID)
	q.equal("m.contact_id", f.ContactID)
	q.equal("m.record_id", f.RecordID)
	q.equal("t.phone_number_id", f.PhoneNumberID)
	q.equal("t.branch_id", f.BranchID)
	q.equal("m.user_id", f.UserID)
	q.equal("m.bulk_id", f.BulkID)
	q.equal("m.automation_id", f.AutomationID)
	if f.Number != "" {
		q.and(q.byNumber(who, string(f.Number), false))
	}
	if f.HasMedia != nil {
		q.and("m.media_count " + either(*f.HasMedia, "> 0", "= 0"))
	}
	if !f.From.IsZero() {
		q.and("m.at >= " + q.arg(f.From))
	}
	if !f.Until.IsZero() {
		q.and("m.at < " + q.arg(f.Until))
	}
	q.and("(m.at, m.id) < (" + q.arg(after.At) + ", " + q.arg(after.ID) + ")")
	q.sql.WriteString("\nORDER BY m.at DESC, m.id DESC\nLIMIT " + q.arg(limit))
	rows := []*Message{}
	return rows, q.into(ctx, s.db.App(), who, &rows)
}
