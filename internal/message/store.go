package message

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"strings"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// Filter says which threads.
type Filter struct {
	IsOpen        *bool
	PhoneNumberID id.ID
	BranchID      id.ID
	ContactID     id.ID
	Number        phone.E164
}

// seen is the visibility of threads: $1 organization, $2 sees all, $3 branches, $4 user (R276, R286).
const seen = `t.organization_id = $1 AND ($2 OR t.branch_id = ANY($3::uuid[]) OR t.assigned_user_id = $4
  OR EXISTS (SELECT FROM message own WHERE own.organization_id = t.organization_id AND own.thread_id = t.id AND own.user_id = $4)
  OR EXISTS (SELECT FROM contact k WHERE k.organization_id = t.organization_id AND k.id = t.contact_id AND k.assigned_user_id = $4))`

func seenBy(who access.Actor) []any {
	branches := who.SeesBranches()
	if branches == nil {
		branches = []id.ID{}
	}
	return []any{who.OrganizationID, who.SeesAll(), branches, who.UserID}
}

const threadsSQL = `
SELECT t.* FROM sms_thread t
WHERE ` + seen + `
  AND ($5::boolean IS NULL OR t.is_open = $5)
  AND ($6::uuid IS NULL OR t.phone_number_id = $6)
  AND ($7::uuid IS NULL OR t.branch_id = $7)
  AND ($8::uuid IS NULL OR t.contact_id = $8)
  AND ($9 = '' OR t.their_number = $9)
  AND (t.last_message_at, t.id) < ($10, $11)
ORDER BY t.last_message_at DESC, t.id DESC
LIMIT $12`

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
	rows := []*Thread{}
	args := append(seenBy(who), f.IsOpen, f.PhoneNumberID, f.BranchID, f.ContactID, string(f.Number), after.At, after.ID, limit+1)
	if err := db.Select(ctx, s.db.App(), &rows, threadsSQL, args...); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(t *Thread) db.Keyset { return db.Keyset{At: t.LastMessageAt, ID: t.ID} }), nil
}

// Thread is one thread. Absent and forbidden both give errs.NotFound.
func (s *Service) Thread(ctx context.Context, who access.Actor, thread id.ID) (*Thread, error) {
	rows, err := s.threadsByIDs(ctx, s.db.App(), who, []id.ID{thread})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errs.New(errs.NotFound, "there is no such SMS thread")
	}
	return rows[0], nil
}

// ThreadsByIDs are those of the threads that the actor of the context may see.
func (s *Service) ThreadsByIDs(ctx context.Context, ids []id.ID) ([]*Thread, error) {
	return s.threadsByIDs(ctx, s.db.App(), access.From(ctx), ids)
}

func (s *Service) threadsByIDs(ctx context.Context, q bun.IDB, who access.Actor, ids []id.ID) (rows []*Thread, err error) {
	defer errs.Wrap(&err, "message.ThreadsByIDs")
	if !who.Can(access.SMSView) {
		return nil, nil
	}
	err = db.Select(ctx, q, &rows, `SELECT t.* FROM sms_thread t WHERE `+seen+` AND t.id = ANY($5::uuid[])`, append(seenBy(who), ids)...)
	return rows, err
}

// Messages lists the messages of a thread that the caller has already been shown, newest first.
func (s *Service) Messages(ctx context.Context, thread *Thread, page db.Page) (w db.Window[*Message], err error) {
	defer errs.Wrap(&err, "message.Messages(%s)", thread.ID)
	limit, after, err := page.Keyset()
	if err != nil {
		return w, err
	}
	rows := []*Message{}
	err = db.Select(ctx, s.db.App(), &rows, `
SELECT m.* FROM message m
WHERE m.organization_id = $1 AND m.thread_id = $2 AND (m.at, m.id) < ($3, $4)
ORDER BY m.at DESC, m.id DESC
LIMIT $5`, thread.OrganizationID, thread.ID, after.At, after.ID, limit+1)
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(m *Message) db.Keyset { return db.Keyset{At: m.At, ID: m.ID} }), nil
}

// ByIDs are those of the messages whose threads the actor of the context may see.
func (s *Service) ByIDs(ctx context.Context, ids []id.ID) (rows []*Message, err error) {
	defer errs.Wrap(&err, "message.ByIDs")
	who := access.From(ctx)
	if !who.Can(access.SMSView) {
		return nil, nil
	}
	err = db.Select(ctx, s.db.App(), &rows, `
SELECT m.* FROM message m
JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
WHERE `+seen+` AND m.id = ANY($5::uuid[])`, append(seenBy(who), ids)...)
	return rows, err
}

// Get is one message. Absent and forbidden both give errs.NotFound.
func (s *Service) Get(ctx context.Context, who access.Actor, message id.ID) (*Message, error) {
	rows, err := s.ByIDs(access.With(ctx, who), []id.ID{message})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errs.New(errs.NotFound, "there is no such message")
	}
	return rows[0], nil
}

// MediaByMessages are the pictures and files of messages, in their order.
func (s *Service) MediaByMessages(ctx context.Context, messages []id.ID) (_ map[id.ID][]*Media, err error) {
	defer errs.Wrap(&err, "message.MediaByMessages")
	var rows []*Media
	err = db.Select(ctx, s.db.App(), &rows, `
SELECT mm.* FROM message_media mm
WHERE mm.organization_id = $1 AND mm.message_id = ANY($2::uuid[])
ORDER BY mm.message_id, mm.position`, db.TenantFrom(ctx), messages)
	out := make(map[id.ID][]*Media, len(messages))
	for _, m := range messages {
		out[m] = []*Media{}
	}
	for _, r := range rows {
		out[r.MessageID] = append(out[r.MessageID], r)
	}
	return out, err
}

// OptedOut says for each thread whether its other end asked for no messages (R155).
func (s *Service) OptedOut(ctx context.Context, threads []id.ID) (_ map[id.ID]bool, err error) {
	defer errs.Wrap(&err, "message.OptedOut")
	var rows []struct {
		ID id.ID `bun:"id"`
	}
	err = db.Select(ctx, s.db.App(), &rows, `
SELECT t.id FROM sms_thread t
JOIN opt_out o ON o.organization_id = t.organization_id AND o.phone_number_id = t.phone_number_id AND o.e164 = t.their_number
WHERE t.organization_id = $1 AND t.id = ANY($2::uuid[]) AND o.is_opted_out`, db.TenantFrom(ctx), threads)
	out := make(map[id.ID]bool, len(threads))
	for _, r := range rows {
		out[r.ID] = true
	}
	return out, err
}

// isOptedOut is the same for one pair, inside a transaction that is about to send.
func isOptedOut(ctx context.Context, tx *db.Tx, number id.ID, their string) (bool, error) {
	var row struct {
		Out bool `bun:"is_opted_out"`
	}
	err := db.Select(ctx, tx, &row, `SELECT is_opted_out FROM opt_out WHERE organization_id = $1 AND phone_number_id = $2 AND e164 = $3`,
		db.TenantFrom(ctx), number, their)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return row.Out, err
}

// setOptOut keeps the newest word of one person about one of our numbers.
func setOptOut(ctx context.Context, tx *db.Tx, number id.ID, their string, out bool, source string) error {
	if !strings.HasPrefix(their, "+") {
		return nil // a short code or a name cannot opt out
	}
	_, err := db.Exec(ctx, tx, `
INSERT INTO opt_out (organization_id, phone_number_id, e164, is_opted_out, source, changed_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization_id, phone_number_id, e164) DO UPDATE
SET is_opted_out = excluded.is_opted_out, source = excluded.source, changed_at = excluded.changed_at
WHERE opt_out.changed_at <= excluded.changed_at`, db.TenantFrom(ctx), number, their, out, source, tx.Now)
	return err
}

// threadOf finds or makes the one thread of a pair and locks it.
func threadOf(ctx context.Context, tx *db.Tx, t Thread) (*Thread, error) {
	var row Thread
	err := db.Select(ctx, tx, &row, `
INSERT INTO sms_thread (organization_id, id, phone_number_id, their_number, contact_id, branch_id, assigned_user_id, last_message_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
ON CONFLICT ON CONSTRAINT thread_pair_unique DO UPDATE
SET contact_id = coalesce(sms_thread.contact_id, excluded.contact_id), updated_at = excluded.updated_at
RETURNING sms_thread.*`,
		db.TenantFrom(ctx), id.New(id.Thread), t.PhoneNumberID, t.TheirNumber, t.ContactID, t.BranchID, t.AssignedUserID, tx.Now)
	return &row, err
}

// addMessage inserts a message and moves its thread to the top. It reports false
// when Twilio's message is there already.
func addMessage(ctx context.Context, tx *db.Tx, m *Message) (bool, error) {
	n, err := db.Exec(ctx, tx, `
INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, sender_reason, twilio_sid,
  num_segments, user_id, contact_id, record_id, campaign_id, at, due_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (organization_id, twilio_sid) WHERE twilio_sid IS NOT NULL DO NOTHING`,
		m.OrganizationID, m.ID, m.ThreadID, m.Direction, m.Status, m.Body, m.FromNumber, m.ToNumber, m.SenderReason, m.TwilioSID,
		m.NumSegments, m.UserID, m.ContactID, m.RecordID, m.CampaignID, m.At, m.DueAt, tx.Now)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = db.Exec(ctx, tx, `
UPDATE sms_thread SET last_message_id = $3, last_message_at = $4, is_open = true, version = version + 1, updated_at = $5
WHERE organization_id = $1 AND id = $2 AND last_message_at <= $4`, m.OrganizationID, m.ThreadID, m.ID, m.At, tx.Now)
	return true, err
}

// lock reads a message for a change.
func lock(ctx context.Context, tx *db.Tx, message id.ID) (*Message, error) {
	var m Message
	err := db.Select(ctx, tx, &m, `SELECT m.* FROM message m WHERE m.organization_id = $1 AND m.id = $2 FOR UPDATE`, db.TenantFrom(ctx), message)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errs.New(errs.NotFound, "there is no such message")
	}
	return &m, err
}

// save writes what may change about a message that we sent.
func save(ctx context.Context, tx *db.Tx, m *Message) error {
	m.Version++
	_, err := db.Exec(ctx, tx, `
UPDATE message SET status = $3, twilio_sid = $4, error_code = $5, error_reason = $6, num_segments = $7, sent_at = $8, delivered_at = $9,
  attempts = $10, due_at = $11, version = $12, updated_at = $13
WHERE organization_id = $1 AND id = $2`,
		m.OrganizationID, m.ID, m.Status, m.TwilioSID, m.ErrorCode, m.ErrorReason, m.NumSegments, m.SentAt, m.DeliveredAt,
		m.Attempts, m.DueAt, m.Version, tx.Now)
	return err
}

// OpenMedia opens our copy of a picture or file, for those who see its thread.
func (s *Service) OpenMedia(ctx context.Context, who access.Actor, media id.ID) (_ io.ReadSeekCloser, info blob.Info, err error) {
	defer errs.Wrap(&err, "message.OpenMedia(%s)", media)
	ctx = access.With(ctx, who)
	var row Media
	err = db.Select(ctx, s.db.App(), &row, `SELECT mm.* FROM message_media mm WHERE mm.organization_id = $1 AND mm.id = $2`, who.OrganizationID, media)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, info, errs.New(errs.NotFound, "there is no such file")
	}
	if err != nil {
		return nil, info, err
	}
	if _, err := s.Get(ctx, who, row.MessageID); err != nil {
		return nil, info, errs.New(errs.NotFound, "there is no such file").Because(err)
	}
	if row.State != MediaStored || row.BlobKey == nil {
		return nil, info, errs.New(errs.Conflict, "the file is not here yet; try again in a moment")
	}
	return s.blob.Open(ctx, who.OrganizationID, *row.BlobKey)
}
