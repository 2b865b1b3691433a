package message

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

func init() {
	gone := errs.New(errs.Conflict, "somebody removed a recipient just now; try again").At("input", "audience")
	for name, e := range map[string]*errs.Error{
		"bulk_template":          errs.New(errs.NotFound, "there is no such template").At("input", "templateId"),
		"bulk_number":            errs.New(errs.NotFound, "there is no such number").At("input", "phoneNumberId"),
		"bulk_campaign":          errs.New(errs.NotFound, "there is no such campaign").At("input", "campaignId"),
		"bulk_recipient_contact": gone,
		"bulk_recipient_record":  gone,
	} {
		db.RegisterConstraint(name, e)
	}
}

var errNoBulk = errs.New(errs.NotFound, "there is no such bulk message")

// insertBulk writes a bulk message with its recipients, many at once.
func insertBulk(ctx context.Context, tx *db.Tx, b *Bulk, rows []*BulkRecipient) error {
	media := b.MediaIDs
	if media == nil {
		media = []id.ID{}
	}
	_, err := db.Exec(ctx, tx, `
INSERT INTO bulk_message (organization_id, id, name, body, template_id, media, phone_number_id, campaign_id, status, rate_per_second, send_at,
  recipient_count, skipped_count, pending_count, created_by, due_at, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17)`,
		b.OrganizationID, b.ID, b.Name, b.Body, b.TemplateID, media, b.PhoneNumberID, b.CampaignID, b.Status, b.RatePerSecond, b.ScheduledAt,
		b.RecipientCount, b.SkippedCount, b.PendingCount, b.CreatedByID, b.DueAt, b.CreatedAt)
	if err != nil {
		return err
	}
	const most = 2000
	for len(rows) > 0 {
		n := min(most, len(rows))
		if err := insertRecipients(ctx, tx, b, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func insertRecipients(ctx context.Context, tx *db.Tx, b *Bulk, rows []*BulkRecipient) error {
	n := len(rows)
	var (
		position                 = make([]int, n)
		given, state             = make([]string, n), make([]string, n)
		e164, reason, body       = make([]*string, n), make([]*string, n), make([]*string, n)
		currency, skipped, why   = make([]*string, n), make([]*string, n), make([]*string, n)
		contacts, records, sends = make([]id.ID, n), make([]id.ID, n), make([]id.ID, n)
		micros                   = make([]*int64, n)
	)
	for i, r := range rows {
		position[i], given[i], state[i] = r.Position, r.Given, string(r.State)
		e164[i], reason[i], body[i] = (*string)(r.E164), (*string)(r.SenderReason), r.Body
		currency[i], skipped[i], why[i] = r.Currency, (*string)(r.SkipCode), r.SkipReason
		contacts[i], records[i], sends[i] = r.ContactID, r.RecordID, r.PhoneNumberID
		micros[i] = r.EstimateMicros
	}
	_, err := db.Exec(ctx, tx, `
INSERT INTO bulk_recipient (organization_id, bulk_id, position, given, e164, contact_id, record_id, phone_number_id, sender_reason, body,
  estimated_micros, currency, state, skip_code, skip_reason, created_at)
SELECT $1, $2, x.*, $16
FROM unnest($3::int[], $4::text[], $5::text[], $6::uuid[], $7::uuid[], $8::uuid[], $9::text[], $10::text[], $11::bigint[], $12::text[], $13::text[],
  $14::text[], $15::text[]) AS x`,
		b.OrganizationID, b.ID, position, given, e164, contacts, records, sends, reason, body, micros, currency, state, skipped, why, b.CreatedAt)
	return err
}

func bulkByID(ctx context.Context, h bun.IDB, org, bulk id.ID) (*Bulk, error) {
	var b Bulk
	err := db.Select(ctx, h, &b, `SELECT b.* FROM bulk_message b WHERE b.organization_id = $1 AND b.id = $2`, org, bulk)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoBulk
	}
	return &b, err
}

func lockBulk(ctx context.Context, tx *db.Tx, org, bulk id.ID) (*Bulk, error) {
	var b Bulk
	err := db.Select(ctx, tx, &b, `SELECT b.* FROM bulk_message b WHERE b.organization_id = $1 AND b.id = $2 FOR UPDATE`, org, bulk)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoBulk
	}
	return &b, err
}

// saveBulk writes what may change about a locked bulk message.
func saveBulk(ctx context.Context, tx *db.Tx, b *Bulk) error {
	_, err := db.Exec(ctx, tx, `
UPDATE bulk_message SET status = $3, stop_reason = $4, skipped_count = $5, pending_count = $6, due_at = $7, started_at = $8, ended_at = $9,
  version = $10, updated_at = $11
WHERE organization_id = $1 AND id = $2`,
		b.OrganizationID, b.ID, b.Status, b.StopReason, b.SkippedCount, b.PendingCount, b.DueAt, b.StartedAt, b.EndedAt, b.Version, tx.Now)
	return err
}

// bulksSeenBy narrows the bulk messages b to those that the actor sees.
func (q *query) bulksSeenBy(who access.Actor) {
	if !who.SeesAll() {
		q.and("b.created_by = " + q.arg(who.UserID))
	}
}

// Bulks lists the bulk messages that the actor sees, newest first.
func (s *Service) Bulks(ctx context.Context, who access.Actor, page db.Page) (w db.Window[*Bulk], err error) {
	defer errs.Wrap(&err, "message.Bulks")
	if err := who.Require(access.SMSBulk); err != nil {
		return w, err
	}
	limit, after, err := page.Keyset()
	if err != nil {
		return w, err
	}
	q := selectFor(who, `SELECT b.* FROM bulk_message b WHERE b.organization_id = $1`)
	q.bulksSeenBy(who)
	q.and("(b.created_at, b.id) < (" + q.arg(after.At) + ", " + q.arg(after.ID) + ")")
	q.sql.WriteString("\nORDER BY b.created_at DESC, b.id DESC\nLIMIT " + q.arg(limit+1))
	rows := []*Bulk{}
	if err := q.into(ctx, s.db.App(), who, &rows); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(b *Bulk) db.Keyset { return db.Keyset{At: b.CreatedAt, ID: b.ID} }), nil
}

// BulksByIDs are those of the bulk messages that the actor sees.
func (s *Service) BulksByIDs(ctx context.Context, who access.Actor, ids []id.ID) (_ map[id.ID]*Bulk, err error) {
	defer errs.Wrap(&err, "message.BulksByIDs")
	out := make(map[id.ID]*Bulk, len(ids))
	if !who.Can(access.SMSBulk) {
		return out, nil
	}
	var rows []*Bulk
	q := selectFor(who, `SELECT b.* FROM bulk_message b WHERE b.organization_id = $1`)
	q.and("b.id = ANY (" + q.arg(ids) + "::uuid[])")
	q.bulksSeenBy(who)
	err = q.into(ctx, s.db.App(), who, &rows)
	for _, b := range rows {
		out[b.ID] = b
	}
	return out, err
}

// CountsByBulks says where the messages of bulk messages stand that the actor of
// the context was shown, in one statement. Who was not taken is in the row itself.
func (s *Service) CountsByBulks(ctx context.Context, bulks []id.ID) (_ map[id.ID]*BulkCounts, err error) {
	defer errs.Wrap(&err, "message.CountsByBulks")
	out := make(map[id.ID]*BulkCounts, len(bulks))
	for _, b := range bulks {
		out[b] = &BulkCounts{}
	}
	var rows []struct {
		Bulk   id.ID  `bun:"bulk_id"`
		Status Status `bun:"status"`
		Count  int    `bun:"n"`
	}
	err = db.Select(ctx, s.db.App(), &rows, `
SELECT m.bulk_id, m.status, count(*) AS n FROM message m
WHERE m.organization_id = $1 AND m.bulk_id = ANY ($2::uuid[])
GROUP BY m.bulk_id, m.status`, db.TenantFrom(ctx), bulks)
	for _, r := range rows {
		c := out[r.Bulk]
		switch r.Status {
		case Pending, Scheduled:
			c.Waiting += r.Count
		case Queued:
			c.Queued += r.Count
		case Sent:
			c.Sent += r.Count
		case Delivered:
			c.Delivered += r.Count
		case Unknown:
			c.Unknown += r.Count
		default:
			c.Failed += r.Count
		}
	}
	return out, err
}

// BulkCosts are what bulk messages are expected to cost and what Twilio charged for
// them so far, in each currency (R174).
type BulkCosts struct{ Estimated, Charged []*Money }

// CostsByBulks adds up the costs of bulk messages that the actor of the context was shown.
func (s *Service) CostsByBulks(ctx context.Context, bulks []id.ID) (_ map[id.ID]*BulkCosts, err error) {
	defer errs.Wrap(&err, "message.CostsByBulks")
	out := make(map[id.ID]*BulkCosts, len(bulks))
	for _, b := range bulks {
		out[b] = &BulkCosts{Estimated: []*Money{}, Charged: []*Money{}}
	}
	var rows []struct {
		Bulk      id.ID  `bun:"bulk_id"`
		Charged   bool   `bun:"charged"`
		Currency  string `bun:"currency"`
		SumMicros int64  `bun:"micros"`
	}
	err = db.Select(ctx, s.db.App(), &rows, `
SELECT r.bulk_id, false AS charged, r.currency, sum(r.estimated_micros)::bigint AS micros FROM bulk_recipient r
WHERE r.organization_id = $1 AND r.bulk_id = ANY ($2::uuid[]) AND r.state <> 'SKIPPED' AND r.currency IS NOT NULL
GROUP BY r.bulk_id, r.currency
UNION ALL
SELECT m.bulk_id, true, m.price_currency, sum(m.price_micros)::bigint FROM message m
WHERE m.organization_id = $1 AND m.bulk_id = ANY ($2::uuid[]) AND m.price_micros IS NOT NULL AND m.price_currency IS NOT NULL
GROUP BY m.bulk_id, m.price_currency
ORDER BY currency`, db.TenantFrom(ctx), bulks)
	for _, r := range rows {
		c, m := out[r.Bulk], &Money{r.SumMicros, r.Currency}
		if r.Charged {
			c.Charged = append(c.Charged, m)
		} else {
			c.Estimated = append(c.Estimated, m)
		}
	}
	return out, err
}

// RecipientFilter says which recipients are wanted.
type RecipientFilter struct {
	State   RecipientState // "" is any
	Problem ProblemCode    // "" is any
}

// BulkRecipients lists the recipients of a bulk message that the actor of the
// context was shown, in their order. Numbers that they may not see are left out (R241).
func (s *Service) BulkRecipients(ctx context.Context, b *Bulk, f RecipientFilter, page db.Page) (rows []*BulkRecipient, hasNext bool, err error) {
	defer errs.Wrap(&err, "message.BulkRecipients(%s)", b.ID)
	limit, err := page.Limit()
	if err != nil {
		return nil, false, err
	}
	after, err := parsePosition(page.After)
	if err != nil {
		return nil, false, err
	}
	who := access.From(ctx)
	q := selectFor(who, `SELECT br.* FROM bulk_recipient br WHERE br.organization_id = $1`)
	q.and("br.bulk_id = " + q.arg(b.ID))
	q.and("br.position > " + q.arg(after))
	if f.State != "" {
		q.and("br.state = " + q.arg(f.State))
	}
	if f.Problem != "" {
		q.and("br.skip_code = " + q.arg(f.Problem))
	}
	q.sql.WriteString("\nORDER BY br.position\nLIMIT " + q.arg(limit+1))
	if err := q.into(ctx, s.db.App(), who, &rows); err != nil {
		return nil, false, err
	}
	if hasNext = len(rows) > limit; hasNext {
		rows = rows[:limit]
	}
	var contacts []id.ID
	for _, r := range rows {
		if !r.ContactID.IsZero() {
			contacts = append(contacts, r.ContactID)
		}
	}
	hidden, err := contact.Masked(access.With(ctx, who), s.db.App(), who, contacts)
	for _, r := range rows {
		if hidden[r.ContactID] || who.HidesContactDetails() {
			if e, err := phone.Parse(r.Given, ""); err == nil && r.E164 != nil && e == *r.E164 {
				r.Given = phone.Mask(e)
			}
			r.E164 = nil
		}
	}
	return rows, hasNext, err
}

// Cursor is the place of the recipient in the list.
func (r *BulkRecipient) Cursor() string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, uint32(r.Position)))
}

func parsePosition(cursor string) (int, error) {
	if cursor == "" {
		return -1, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != 4 || binary.BigEndian.Uint32(b) > MaxRecipients {
		return 0, errs.New(errs.Invalid, "after is not a cursor of this list; use the endCursor or a cursor of an earlier page").At("after")
	}
	return int(binary.BigEndian.Uint32(b)), nil
}

// bulkSender is one of the numbers that a bulk message still has somebody to write from.
type bulkSender struct {
	ID            id.ID      `bun:"id"`
	ConnectionID  id.ID      `bun:"connection_id"`
	BranchID      id.ID      `bun:"branch_id"`
	E164          phone.E164 `bun:"e164"`
	Rate          *int       `bun:"messages_per_second"`
	Takes         bool       `bun:"takes"`
	CanSMS        bool       `bun:"can_sms"`
	ForMessages   bool       `bun:"use_for_messages"`
	AccountStatus string     `bun:"account_status"`

	freeAt time.Time // when it may hand over its next message
}

// sendersLeft are the senders of those who are still to be written to, by their id.
// It jumps from one to the next along the index of the pending ones.
func sendersLeft(ctx context.Context, tx *db.Tx, b *Bulk) (rows []*bulkSender, err error) {
	return rows, db.Select(ctx, tx, &rows, `
WITH RECURSIVE left_over (id) AS (
  (SELECT r.phone_number_id FROM bulk_recipient r
    WHERE r.organization_id = $1 AND r.bulk_id = $2 AND r.state = 'PENDING' ORDER BY r.phone_number_id LIMIT 1)
  UNION ALL
  SELECT (SELECT r.phone_number_id FROM bulk_recipient r
    WHERE r.organization_id = $1 AND r.bulk_id = $2 AND r.state = 'PENDING' AND r.phone_number_id > l.id ORDER BY r.phone_number_id LIMIT 1)
  FROM left_over l WHERE l.id IS NOT NULL)
SELECT n.id, n.connection_id, n.branch_id, n.e164, n.messages_per_second, n.can_sms, n.use_for_messages, c.account_status,
  n.is_enabled AND n.disconnected_at IS NULL AND c.is_enabled AND c.disconnected_at IS NULL AS takes
FROM left_over l
JOIN phone_number n ON n.organization_id = $1 AND n.id = l.id
JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
ORDER BY n.id`, b.OrganizationID, b.ID)
}

// unsent reports whether a message of the bulk message was not handed over yet.
func unsent(ctx context.Context, tx *db.Tx, b *Bulk) (bool, error) {
	var row struct {
		Open bool `bun:"open"`
	}
	err := db.Select(ctx, tx, &row, `SELECT EXISTS (SELECT FROM message m WHERE m.organization_id = $1 AND m.bulk_id = $2 AND m.status = 'PENDING') AS open`,
		b.OrganizationID, b.ID)
	return row.Open, err
}

// lockPace locks the pace of senders, in the order of their ids, and reads it. A
// sender that was idle is free now.
func lockPace(ctx context.Context, tx *db.Tx, org id.ID, senders []*bulkSender) error {
	ids := make([]id.ID, len(senders))
	for i, n := range senders {
		ids[i] = n.ID
	}
	var rows []struct {
		ID     id.ID     `bun:"phone_number_id"`
		FreeAt time.Time `bun:"free_at"`
	}
	err := db.Select(ctx, tx, &rows, `
INSERT INTO message_pace AS p (organization_id, phone_number_id, free_at)
SELECT $1, u.id, $3 FROM unnest($2::uuid[]) AS u (id) ORDER BY u.id
ON CONFLICT (organization_id, phone_number_id) DO UPDATE SET free_at = greatest(p.free_at, excluded.free_at)
RETURNING phone_number_id, free_at`, org, ids, tx.Now)
	for _, r := range rows {
		for _, n := range senders {
			if n.ID == r.ID {
				n.freeAt = r.FreeAt
			}
		}
	}
	return err
}

func savePace(ctx context.Context, tx *db.Tx, org id.ID, senders []*bulkSender) error {
	ids, free := make([]id.ID, len(senders)), make([]time.Time, len(senders))
	for i, n := range senders {
		ids[i], free[i] = n.ID, n.freeAt
	}
	_, err := db.Exec(ctx, tx, `
UPDATE message_pace p SET free_at = x.free_at FROM unnest($2::uuid[], $3::timestamptz[]) AS x (id, free_at)
WHERE p.organization_id = $1 AND p.phone_number_id = x.id`, org, ids, free)
	return err
}

// pendingOf are the next recipients of each sender, as many as it has room for.
func pendingOf(ctx context.Context, tx *db.Tx, b *Bulk, senders []*bulkSender, room []int) (rows []*BulkRecipient, err error) {
	ids := make([]id.ID, len(senders))
	for i, n := range senders {
		ids[i] = n.ID
	}
	return rows, db.Select(ctx, tx, &rows, `
SELECT x.* FROM unnest($3::uuid[], $4::int[]) AS w (id, room)
CROSS JOIN LATERAL (
  SELECT r.* FROM bulk_recipient r
  WHERE r.organization_id = $1 AND r.bulk_id = $2 AND r.phone_number_id = w.id AND r.state = 'PENDING'
  ORDER BY r.position LIMIT w.room) x
ORDER BY x.phone_number_id, x.e164`, b.OrganizationID, b.ID, ids, room)
}

// threadsFor finds or makes the threads of messages to many and moves them to the
// top, locked in the order of their pairs. It gives them by pair.
func threadsFor(ctx context.Context, tx *db.Tx, list []*bulkMessage) (map[pair]id.ID, error) {
	n := len(list)
	var (
		ids, numbers, contacts = make([]id.ID, n), make([]id.ID, n), make([]id.ID, n)
		branches, messages     = make([]id.ID, n), make([]id.ID, n)
		theirs                 = make([]string, n)
	)
	for i, x := range list {
		ids[i], numbers[i], contacts[i], branches[i] = id.New(id.Thread), x.from.ID, x.ContactID, x.from.BranchID
		theirs[i], messages[i] = x.ToNumber, x.ID
	}
	var rows []struct {
		ID     id.ID  `bun:"id"`
		Number id.ID  `bun:"phone_number_id"`
		Their  string `bun:"their_number"`
	}
	err := db.Select(ctx, tx, &rows, `
INSERT INTO sms_thread AS t (organization_id, id, phone_number_id, their_number, contact_id, branch_id, last_message_id, last_message_at, last_outbound_at, updated_at)
SELECT $1, x.id, x.number, x.their, x.contact, x.branch, x.message, $8, $8, $8
FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[]) AS x (id, number, their, contact, branch, message)
ORDER BY x.number, x.their
ON CONFLICT ON CONSTRAINT thread_pair_unique DO UPDATE
SET contact_id = coalesce(t.contact_id, excluded.contact_id), branch_id = excluded.branch_id, is_open = true, closed_at = NULL, closed_by = NULL,
  last_message_id = CASE WHEN t.last_message_id IS NULL OR t.last_message_at <= excluded.last_message_at THEN excluded.last_message_id ELSE t.last_message_id END,
  last_message_at = greatest(t.last_message_at, excluded.last_message_at), last_outbound_at = greatest(t.last_outbound_at, excluded.last_outbound_at),
  version = t.version + 1, updated_at = excluded.updated_at
RETURNING t.id, t.phone_number_id, t.their_number`, db.TenantFrom(ctx), ids, numbers, theirs, contacts, branches, messages, tx.Now)
	out := make(map[pair]id.ID, len(rows))
	for _, r := range rows {
		out[pair{r.Number, r.Their}] = r.ID
	}
	return out, err
}

// busyThreads are those of the locked threads of new messages in which another
// message must be dealt with first, as inWay says it for one.
func busyThreads(ctx context.Context, tx *db.Tx, org id.ID, list []*bulkMessage) (map[id.ID]bool, error) {
	threads, bodies := make([]id.ID, len(list)), make([]string, len(list))
	for i, x := range list {
		threads[i], bodies[i] = x.ThreadID, x.Body
	}
	var rows []struct {
		ID id.ID `bun:"thread_id"`
	}
	err := db.Select(ctx, tx, &rows, `
SELECT DISTINCT o.thread_id FROM unnest($2::uuid[], $3::text[]) AS x (thread, body)
JOIN message o ON o.organization_id = $1 AND o.thread_id = x.thread AND o.status IN ('PENDING', 'UNKNOWN')
WHERE o.status = 'PENDING' OR o.body = x.body`, org, threads, bodies)
	out := make(map[id.ID]bool, len(rows))
	for _, r := range rows {
		out[r.ID] = true
	}
	return out, err
}

// insertMany keeps the messages of a bulk message.
func insertMany(ctx context.Context, tx *db.Tx, b *Bulk, list []*bulkMessage) error {
	n := len(list)
	var (
		ids, threads, contacts, records     = make([]id.ID, n), make([]id.ID, n), make([]id.ID, n), make([]id.ID, n)
		bodies, from, to, reasons, encoding = make([]string, n), make([]string, n), make([]string, n), make([]route.NumberChoiceReason, n), make([]string, n)
		currency                            = make([]*string, n)
		micros                              = make([]*int64, n)
		attempts                            = make([]int, n)
		tried, due                          = make([]*time.Time, n), make([]*time.Time, n)
	)
	for i, m := range list {
		ids[i], threads[i], contacts[i], records[i] = m.ID, m.ThreadID, m.ContactID, m.RecordID
		bodies[i], from[i], to[i], reasons[i], encoding[i] = m.Body, m.FromNumber, m.ToNumber, *m.SenderReason, string(*m.Encoding)
		currency[i], micros[i] = m.PriceCurrency, m.EstimateMicros
		attempts[i], tried[i], due[i] = m.Attempts, m.TriedAt, m.DueAt
	}
	_, err := db.Exec(ctx, tx, `
INSERT INTO message (organization_id, direction, status, bulk_id, user_id, campaign_id, template_id, media_count, at, updated_at,
  id, thread_id, contact_id, record_id, body, from_number, to_number, sender_reason, encoding, price_currency, estimated_micros, attempts, tried_at, due_at)
SELECT $1, 'OUTBOUND', 'PENDING', $2, $3, $4, $5, $6, $7, $7, x.*
FROM unnest($8::uuid[], $9::uuid[], $10::uuid[], $11::uuid[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
  $18::bigint[], $19::int[], $20::timestamptz[], $21::timestamptz[]) AS x`,
		b.OrganizationID, b.ID, b.CreatedByID, b.CampaignID, b.TemplateID, len(b.MediaIDs), tx.Now,
		ids, threads, contacts, records, bodies, from, to, reasons, encoding, currency, micros, attempts, tried, due)
	return err
}

// settle writes what became of recipients: taken with their message, left out with
// the reason, or back to be written to.
func settle(ctx context.Context, tx *db.Tx, b *Bulk, rows []*BulkRecipient) error {
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	position, state, messages, codes, why := make([]int, n), make([]string, n), make([]id.ID, n), make([]*string, n), make([]*string, n)
	for i, r := range rows {
		position[i], state[i], messages[i], codes[i], why[i] = r.Position, string(r.State), r.MessageID, (*string)(r.SkipCode), r.SkipReason
	}
	_, err := db.Exec(ctx, tx, `
UPDATE bulk_recipient r SET state = x.state, message_id = x.message, skip_code = x.code, skip_reason = x.why
FROM unnest($3::int[], $4::text[], $5::uuid[], $6::text[], $7::text[]) AS x (position, state, message, code, why)
WHERE r.organization_id = $1 AND r.bulk_id = $2 AND r.position = x.position`, b.OrganizationID, b.ID, position, state, messages, codes, why)
	return err
}

// lockMany reads messages for a change, in the order of their ids.
func lockMany(ctx context.Context, tx *db.Tx, org id.ID, ids []id.ID) (rows []*Message, err error) {
	return rows, db.Select(ctx, tx, &rows, `SELECT m.* FROM message m WHERE m.organization_id = $1 AND m.id = ANY ($2::uuid[]) ORDER BY m.id FOR UPDATE`, org, ids)
}

// revision is a message before and after a change.
type revision struct {
	was Message
	now *Message
}

// changeMany is change for many locked messages: a constant number of statements,
// but for those who asked for no messages.
func (s *Service) changeMany(ctx context.Context, tx *db.Tx, list []revision) error {
	var changed []*Message
	var told []event.Event
	var moved, threads []id.ID
	var refused []*Message
	for _, r := range list {
		any, visible := r.now.changes(&r.was)
		if !any {
			continue
		}
		if visible {
			r.now.Version++
			told = append(told, r.now.updated())
		}
		changed = append(changed, r.now)
		m, no := r.now.since(&r.was)
		if m || no {
			threads = append(threads, r.now.ThreadID)
			moved = append(moved, r.now.ThreadID)
		}
		if no {
			refused = append(refused, r.now)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if err := saveMany(ctx, tx, changed); err != nil {
		return err
	}
	locked, err := lockThreads(ctx, tx, threads)
	if err != nil {
		return err
	}
	for _, m := range refused {
		if t := locked[m.ThreadID]; t != nil {
			// Twilio knew it when it was asked: a START since then counts more.
			if _, err := setOptOut(ctx, tx, t.PhoneNumberID, t.TheirNumber, true, ByProvider, m.handed()); err != nil {
				return err
			}
		}
	}
	next, err := waitingIn(ctx, tx, moved)
	if err != nil {
		return err
	}
	if err := job.InsertMany(ctx, tx, next...); err != nil {
		return err
	}
	return event.Append(ctx, tx, told...)
}

// saveMany is save for many messages.
func saveMany(ctx context.Context, tx *db.Tx, list []*Message) error {
	n := len(list)
	var (
		ids                         = make([]id.ID, n)
		status                      = make([]string, n)
		sid, reason, currency       = make([]*string, n), make([]*string, n), make([]*string, n)
		code, segments              = make([]*int, n), make([]*int, n)
		sent, delivered, tried, due = make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
		attempts, version           = make([]int, n), make([]int, n)
		price                       = make([]*int64, n)
	)
	for i, m := range list {
		ids[i], status[i], sid[i], reason[i], currency[i] = m.ID, string(m.Status), m.TwilioSID, m.ErrorReason, m.PriceCurrency
		code[i], segments[i] = m.ErrorCode, m.NumSegments
		sent[i], delivered[i], tried[i], due[i] = m.SentAt, m.DeliveredAt, m.TriedAt, m.DueAt
		attempts[i], version[i], price[i] = m.Attempts, m.Version, m.PriceMicros
	}
	_, err := db.Exec(ctx, tx, `
UPDATE message m SET status = x.status, twilio_sid = x.sid, error_code = x.code, error_reason = x.reason, num_segments = x.segments, sent_at = x.sent,
  delivered_at = x.delivered, attempts = x.attempts, tried_at = x.tried, due_at = x.due, version = x.version, updated_at = $16, price_micros = x.price,
  price_currency = x.currency
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::int[], $6::text[], $7::int[], $8::timestamptz[], $9::timestamptz[], $10::int[], $11::timestamptz[],
  $12::timestamptz[], $13::bigint[], $14::bigint[], $15::text[])
  AS x (id, status, sid, code, reason, segments, sent, delivered, attempts, tried, due, version, price, currency)
WHERE m.organization_id = $1 AND m.id = x.id`,
		list[0].OrganizationID, ids, status, sid, code, reason, segments, sent, delivered, attempts, tried, due, version, price, currency, tx.Now)
	return err
}

// lockThreads locks threads in the order of their pairs.
func lockThreads(ctx context.Context, tx *db.Tx, ids []id.ID) (map[id.ID]*Thread, error) {
	out := make(map[id.ID]*Thread, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	var rows []*Thread
	err := db.Select(ctx, tx, &rows, `
SELECT t.id, t.phone_number_id, t.their_number FROM sms_thread t
WHERE t.organization_id = $1 AND t.id = ANY ($2::uuid[]) ORDER BY t.phone_number_id, t.their_number FOR UPDATE`, db.TenantFrom(ctx), ids)
	for _, t := range rows {
		out[t.ID] = t
	}
	return out, err
}

// waitingIn are the jobs for what waits in locked threads, as waiting says it for one.
func waitingIn(ctx context.Context, tx *db.Tx, threads []id.ID) ([]job.Args, error) {
	if len(threads) == 0 {
		return nil, nil
	}
	org := db.TenantFrom(ctx)
	var rows []struct {
		ID       id.ID `bun:"id"`
		Attempts int   `bun:"attempts"`
	}
	err := db.Select(ctx, tx, &rows, `
SELECT DISTINCT ON (o.thread_id) o.id, o.attempts FROM message o
WHERE o.organization_id = $1 AND o.thread_id = ANY ($2::uuid[]) AND o.status = 'PENDING'
ORDER BY o.thread_id, o.at, o.id`, org, threads)
	var out []job.Args
	for _, r := range rows {
		if r.Attempts == 0 {
			out = append(out, carryArgs{Organization: org, Message: r.ID})
		}
	}
	return out, err
}
