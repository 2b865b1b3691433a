package message

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

func init() {
	for name, e := range map[string]*errs.Error{
		"message_contact":  errs.New(errs.NotFound, "there is no such contact").At("input", "contactId"),
		"message_record":   errs.New(errs.NotFound, "there is no such record").At("input", "recordId"),
		"message_campaign": errs.New(errs.NotFound, "there is no such campaign").At("input", "campaignId"),
	} {
		db.RegisterConstraint(name, e)
	}
}

var (
	errNoThread  = errs.New(errs.NotFound, "there is no such SMS thread")
	errNoMessage = errs.New(errs.NotFound, "there is no such message")
	errNoFile    = errs.New(errs.NotFound, "there is no such file")
)

// query is SQL with its arguments; $1 is the organization. The text depends only
// on which conditions there are, so few statements are prepared.
type query struct {
	sql  strings.Builder
	args []any
}

func selectFor(who access.Actor, text string) *query {
	q := &query{args: []any{who.OrganizationID}}
	q.sql.WriteString(text)
	return q
}

// arg adds an argument and is its place.
func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

func (q *query) and(condition string) { q.sql.WriteString("\n  AND " + condition) }

func (q *query) equal(column string, v id.ID) {
	if !v.IsZero() {
		q.and(column + " = " + q.arg(v))
	}
}

// seenBy narrows the threads t to what the actor sees (R276, R286): all of the
// organization; or those of their branches and their own, which are assigned to
// them, hold a message of theirs or about a record of theirs, or are with a
// contact of theirs.
func (q *query) seenBy(who access.Actor) {
	if who.SeesAll() {
		return
	}
	user := q.arg(who.UserID)
	seen := `t.id IN (
    SELECT x.id FROM sms_thread x WHERE x.organization_id = $1 AND x.assigned_user_id = ` + user + `
    UNION SELECT x.thread_id FROM message x WHERE x.organization_id = $1 AND x.user_id = ` + user + `
    UNION SELECT x.thread_id FROM record k JOIN message x ON x.organization_id = k.organization_id AND x.record_id = k.id
      WHERE k.organization_id = $1 AND k.assigned_user_id = ` + user + `
    UNION SELECT x.id FROM contact k JOIN sms_thread x ON x.organization_id = k.organization_id AND x.contact_id = k.id
      WHERE k.organization_id = $1 AND k.assigned_user_id = ` + user + `)`
	if b := who.SeesBranches(); len(b) > 0 {
		seen = "(t.branch_id = ANY (" + q.arg(b) + "::uuid[]) OR " + seen + ")"
	}
	q.and(seen)
}

// readBy narrows the messages m of the threads t to what the actor reads. Who has
// no claim to a thread but that they wrote in it, or that it is about a record of
// theirs, reads on from there: to send from a number of others opens nothing of
// what was said to it before (R276).
func (q *query) readBy(who access.Actor) {
	if read := q.readable(who); read != "" {
		q.and(read)
	}
}

// readable is the condition of readBy, empty for who reads everything.
func (q *query) readable(who access.Actor) string { return Sight(who, q.arg) }

// Sight is what the actor reads, as a condition on messages m of threads t, empty
// for who reads everything; arg makes a place for a value, $1 is the organization.
// Reports count by it.
func Sight(who access.Actor, arg func(v any) string) string {
	if who.SeesAll() {
		return ""
	}
	user := arg(who.UserID)
	read := `(t.assigned_user_id = ` + user + `
    OR EXISTS (SELECT FROM contact k WHERE k.organization_id = $1 AND k.id = t.contact_id AND k.assigned_user_id = ` + user + `)
    OR EXISTS (SELECT FROM message x WHERE x.organization_id = $1 AND x.user_id = ` + user + ` AND x.thread_id = m.thread_id AND (x.at, x.id) <= (m.at, m.id))
    OR EXISTS (SELECT FROM message x JOIN record k ON k.organization_id = x.organization_id AND k.id = x.record_id
      WHERE x.organization_id = $1 AND x.thread_id = m.thread_id AND (x.at, x.id) <= (m.at, m.id) AND k.assigned_user_id = ` + user + `)`
	if b := who.SeesBranches(); len(b) > 0 {
		read += " OR t.branch_id = ANY (" + arg(b) + "::uuid[])"
	}
	return read + ")"
}

// into runs the query within the actor's tenant.
func (q *query) into(ctx context.Context, h bun.IDB, who access.Actor, dest any) error {
	return db.Select(access.With(ctx, who), h, dest, q.sql.String(), q.args...)
}

// Thread is one thread. Absent and forbidden both give errs.NotFound.
func (s *Service) Thread(ctx context.Context, who access.Actor, thread id.ID) (_ *Thread, err error) {
	defer errs.Wrap(&err, "message.Thread(%s)", thread)
	return s.thread(ctx, s.db.App(), who, thread)
}

func (s *Service) thread(ctx context.Context, h bun.IDB, who access.Actor, thread id.ID) (*Thread, error) {
	rows, err := s.threadsByIDs(ctx, h, who, []id.ID{thread})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errNoThread
	}
	return rows[0], nil
}

// ThreadsByIDs are those of the threads that the actor of the context may see.
func (s *Service) ThreadsByIDs(ctx context.Context, ids []id.ID) (_ []*Thread, err error) {
	defer errs.Wrap(&err, "message.ThreadsByIDs")
	return s.threadsByIDs(ctx, s.db.App(), access.From(ctx), ids)
}

func (s *Service) threadsByIDs(ctx context.Context, h bun.IDB, who access.Actor, ids []id.ID) (rows []*Thread, err error) {
	if !who.Can(access.SMSView) {
		return nil, nil
	}
	q := selectFor(who, `SELECT t.* FROM sms_thread t WHERE t.organization_id = $1`)
	q.and("t.id = ANY (" + q.arg(ids) + "::uuid[])")
	q.seenBy(who)
	return rows, q.into(ctx, h, who, &rows)
}

// Messages lists the messages of a thread that the actor of the context has
// already been shown, newest first: those that they read.
func (s *Service) Messages(ctx context.Context, thread *Thread, page db.Page) (w db.Window[*Message], err error) {
	defer errs.Wrap(&err, "message.Messages(%s)", thread.ID)
	limit, after, err := page.Keyset()
	if err != nil {
		return w, err
	}
	who := access.From(ctx)
	text := `
SELECT m.* FROM message m
WHERE m.organization_id = $1`
	if !who.SeesAll() {
		text = `
SELECT m.* FROM message m
JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
WHERE m.organization_id = $1`
	}
	q := selectFor(who, text)
	q.and("m.thread_id = " + q.arg(thread.ID))
	q.readBy(who)
	q.and("(m.at, m.id) < (" + q.arg(after.At) + ", " + q.arg(after.ID) + ")")
	q.sql.WriteString("\nORDER BY m.at DESC, m.id DESC\nLIMIT " + q.arg(limit+1))
	rows := []*Message{}
	if err := q.into(ctx, s.db.App(), who, &rows); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(m *Message) db.Keyset { return db.Keyset{At: m.At, ID: m.ID} }), nil
}

// ByIDs are those of the messages that the actor of the context reads.
func (s *Service) ByIDs(ctx context.Context, ids []id.ID) (rows []*Message, err error) {
	defer errs.Wrap(&err, "message.ByIDs")
	who := access.From(ctx)
	if !who.Can(access.SMSView) {
		return nil, nil
	}
	q := selectFor(who, `
SELECT m.* FROM message m
JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
WHERE m.organization_id = $1`)
	q.and("m.id = ANY (" + q.arg(ids) + "::uuid[])")
	q.readBy(who)
	return rows, q.into(ctx, s.db.App(), who, &rows)
}

// Get is one message. Absent and forbidden both give errs.NotFound.
func (s *Service) Get(ctx context.Context, who access.Actor, message id.ID) (*Message, error) {
	rows, err := s.ByIDs(access.With(ctx, who), []id.ID{message})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errNoMessage
	}
	return rows[0], nil
}

// MediaByMessages are the pictures and files of messages, in their order: of
// those messages that the actor of the context may see.
func (s *Service) MediaByMessages(ctx context.Context, messages []id.ID) (_ map[id.ID][]*Media, err error) {
	defer errs.Wrap(&err, "message.MediaByMessages")
	out := make(map[id.ID][]*Media, len(messages))
	for _, m := range messages {
		out[m] = []*Media{}
	}
	who := access.From(ctx)
	if !who.Can(access.SMSView) {
		return out, nil
	}
	var rows []*Media
	q := selectFor(who, `
SELECT mm.* FROM message_media mm
JOIN message m ON m.organization_id = mm.organization_id AND m.id = mm.message_id
JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
WHERE mm.organization_id = $1`)
	q.and("mm.message_id = ANY (" + q.arg(messages) + "::uuid[])")
	q.readBy(who)
	q.sql.WriteString("\nORDER BY mm.message_id, mm.position")
	err = q.into(ctx, s.db.App(), who, &rows)
	for _, r := range rows {
		out[r.MessageID] = append(out[r.MessageID], r)
	}
	return out, err
}

// threadOf finds or makes the one thread of a pair and locks it. It belongs to
// the branch that its number has now (R276).
func threadOf(ctx context.Context, tx *db.Tx, t *Thread) (*Thread, error) {
	var row Thread
	err := db.Select(ctx, tx, &row, `
INSERT INTO sms_thread (organization_id, id, phone_number_id, their_number, contact_id, branch_id, last_message_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
ON CONFLICT ON CONSTRAINT thread_pair_unique DO UPDATE
SET contact_id = coalesce(sms_thread.contact_id, excluded.contact_id), branch_id = excluded.branch_id
RETURNING sms_thread.*, sms_thread.xmax = 0 AS is_fresh`,
		db.TenantFrom(ctx), id.New(id.Thread), t.PhoneNumberID, t.TheirNumber, t.ContactID, t.BranchID, tx.Now)
	return &row, err
}

// placed is what became of a message that came in.
type placed struct {
	Fresh      bool  `bun:"fresh"`       // it was not there yet
	AssigneeID id.ID `bun:"assignee_id"` // of the thread now
}

// place inserts a message that came in and moves its locked thread to the top, in
// one statement, unless Twilio's message is there already. The thread opens again,
// gets the message's contact when it had none, and the assignee when it had none
// and they may answer it.
func place(ctx context.Context, tx *db.Tx, m *Message, assignee id.ID) (p placed, err error) {
	err = db.Select(ctx, tx, &p, `
WITH fresh AS (
  INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, twilio_sid, num_segments, contact_id,
    media_count, at, updated_at)
  VALUES ($1, $2, $3, 'INBOUND', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
  ON CONFLICT (organization_id, twilio_sid) WHERE twilio_sid IS NOT NULL DO NOTHING
  RETURNING id
), moved AS (
  UPDATE sms_thread t SET is_open = true, closed_at = NULL, closed_by = NULL, version = t.version + 1, updated_at = $13,
    -- A transaction that began earlier may come later.
    last_message_id = CASE WHEN t.last_message_id IS NULL OR t.last_message_at <= $12 THEN $2 ELSE t.last_message_id END,
    last_message_at = greatest(t.last_message_at, $12), last_inbound_at = greatest(t.last_inbound_at, $12),
    contact_id = coalesce(t.contact_id, $10), assigned_user_id = coalesce(t.assigned_user_id, (`+mayAnswer+` AND u.id = $14))
  FROM fresh
  WHERE t.organization_id = $1 AND t.id = $3
  RETURNING t.assigned_user_id
)
SELECT EXISTS (SELECT FROM fresh) AS fresh, (SELECT assigned_user_id FROM moved) AS assignee_id`,
		m.OrganizationID, m.ID, m.ThreadID, m.Status, m.Body, m.FromNumber, m.ToNumber, m.TwilioSID, m.NumSegments, m.ContactID, m.MediaCount, m.At, tx.Now, assignee)
	return p, err
}

// follow moves the thread of a message of ours that is on its way to the top, and
// opens it again. The person who wrote it has read what it answers.
func follow(ctx context.Context, tx *db.Tx, m *Message) error {
	reader := m.UserID
	if !m.BulkID.IsZero() || !m.AutomationID.IsZero() {
		reader = id.ID{}
	}
	_, err := db.Exec(ctx, tx, `
WITH moved AS (
  UPDATE sms_thread t SET is_open = true, closed_at = NULL, closed_by = NULL, version = t.version + 1, updated_at = $5,
    -- A transaction that began earlier may come later.
    last_message_id = CASE WHEN t.last_message_id IS NULL OR t.last_message_at <= $4 THEN $3 ELSE t.last_message_id END,
    last_message_at = greatest(t.last_message_at, $4), last_outbound_at = greatest(t.last_outbound_at, $4)
  WHERE t.organization_id = $1 AND t.id = $2
  RETURNING t.last_inbound_at
)
INSERT INTO sms_thread_read (organization_id, thread_id, user_id, read_until)
SELECT $1, $2, $6, moved.last_inbound_at FROM moved WHERE $6::uuid IS NOT NULL AND moved.last_inbound_at IS NOT NULL
ON CONFLICT (organization_id, user_id, thread_id) DO UPDATE SET read_until = greatest(sms_thread_read.read_until, excluded.read_until)`,
		m.OrganizationID, m.ThreadID, m.ID, m.At, tx.Now, reader)
	return err
}

// mayAnswer is the users u who may answer the thread t by a message with $11
// files: active, allowed to read and to write, and not switched off for the number
// by its team (R026).
var mayAnswer = `SELECT u.id FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
      WHERE u.organization_id = $1 AND u.status = 'ACTIVE' AND ` + access.MaySQL("u", "r", access.SMSView, access.SMSSend) + `
        AND NOT EXISTS (SELECT FROM phone_number n
          JOIN team_user tu ON tu.organization_id = n.organization_id AND tu.team_id = n.team_id AND tu.user_id = u.id
          JOIN phone_number_user x ON x.organization_id = n.organization_id AND x.phone_number_id = n.id AND x.user_id = u.id
          WHERE n.organization_id = $1 AND n.id = t.phone_number_id AND NOT CASE WHEN $11 > 0 THEN x.mms ELSE x.sms END)`

// lock reads a message for a change. Whoever also locks its thread does so afterwards.
func lock(ctx context.Context, tx *db.Tx, message id.ID) (*Message, error) {
	var m Message
	err := db.Select(ctx, tx, &m, `SELECT m.* FROM message m WHERE m.organization_id = $1 AND m.id = $2 FOR UPDATE`, db.TenantFrom(ctx), message)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoMessage
	}
	return &m, err
}

func lockThread(ctx context.Context, tx *db.Tx, m *Message) (*Thread, error) {
	var t Thread
	err := db.Select(ctx, tx, &t, `SELECT t.* FROM sms_thread t WHERE t.organization_id = $1 AND t.id = $2 FOR UPDATE`, m.OrganizationID, m.ThreadID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoThread
	}
	return &t, err
}

// inWay reports whether another message of the locked thread must be dealt with
// before this one is sent.
func inWay(ctx context.Context, tx *db.Tx, m *Message) (bool, error) {
	var row struct {
		Busy bool `bun:"busy"`
	}
	err := db.Select(ctx, tx, &row, `
SELECT EXISTS (
  SELECT FROM message o
  WHERE o.organization_id = $1 AND o.thread_id = $2 AND o.id <> $3 AND (
    o.status = 'PENDING' AND (o.tried_at IS NOT NULL OR (o.at, o.id) < ($4, $3)) OR
    o.status = 'UNKNOWN' AND o.body = $5)
) AS busy`, m.OrganizationID, m.ThreadID, m.ID, m.At, m.Body)
	return row.Busy, err
}

// waiting is the message of the locked thread that is to be sent next, zero when
// there is none or it waits for Twilio to take it.
func waiting(ctx context.Context, tx *db.Tx, m *Message) (id.ID, error) {
	var row struct {
		ID       id.ID `bun:"id"`
		Attempts int   `bun:"attempts"`
	}
	err := db.Select(ctx, tx, &row, `
SELECT o.id, o.attempts FROM message o
WHERE o.organization_id = $1 AND o.thread_id = $2 AND o.status = 'PENDING'
ORDER BY o.at, o.id
LIMIT 1`, m.OrganizationID, m.ThreadID)
	if errors.Is(err, sql.ErrNoRows) || row.Attempts > 0 {
		return id.ID{}, nil
	}
	return row.ID, err
}

// save writes what may change about a message that we sent.
func save(ctx context.Context, tx *db.Tx, m *Message) error {
	_, err := db.Exec(ctx, tx, `
UPDATE message SET status = $3, twilio_sid = $4, error_code = $5, error_reason = $6, num_segments = $7, sent_at = $8, delivered_at = $9,
  attempts = $10, tried_at = $11, due_at = $12, version = $13, updated_at = $14, price_micros = $15, price_currency = $16, estimated_micros = $17
WHERE organization_id = $1 AND id = $2`,
		m.OrganizationID, m.ID, m.Status, m.TwilioSID, m.ErrorCode, m.ErrorReason, m.NumSegments, m.SentAt, m.DeliveredAt,
		m.Attempts, m.TriedAt, m.DueAt, m.Version, tx.Now, m.PriceMicros, m.PriceCurrency, m.EstimateMicros)
	return err
}

// knownSIDs are those of Twilio's messages that are a message of ours.
func (s *Service) knownSIDs(ctx context.Context, org id.ID, list []twilio.Sent) (map[string]bool, error) {
	sids := make([]string, len(list))
	for i, x := range list {
		sids[i] = x.SID
	}
	var rows []struct {
		SID string `bun:"twilio_sid"`
	}
	err := db.Select(ctx, s.db.App(), &rows, `SELECT twilio_sid FROM message WHERE organization_id = $1 AND twilio_sid = ANY ($2::text[])`, org, sids)
	known := make(map[string]bool, len(rows))
	for _, r := range rows {
		known[r.SID] = true
	}
	return known, err
}
