package message

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/inbox"
	"switchboard/internal/job"
	"switchboard/internal/tenant"
	"switchboard/internal/twilio"
)

// Deletion says who deletes, and why. The caller writes the audit log.
type Deletion struct {
	ActorID id.ID // zero: a rule
	Why     string
}

// Settled is the condition that a message m is over: what is still under way is
// not deleted. Held asks whether it is held, itself or with what it belongs to.
const (
	Settled = `m.status NOT IN ('SCHEDULED', 'PENDING', 'QUEUED', 'UNKNOWN')`
	Held    = `is_held(m.organization_id, m.id, m.thread_id, m.contact_id, m.record_id, t.contact_id)`
)

// erased is one message whose text or files go, as the job that asks Twilio needs it.
type erased struct {
	ID           id.ID   `bun:"id"`
	ConnectionID id.ID   `bun:"connection_id"`
	TwilioSID    *string `bun:"twilio_sid"`
	BlobKey      *string `bun:"blob_key"`
	ThumbnailKey *string `bun:"thumbnail_key"`
	Bytes        int64   `bun:"bytes"`
}

// PurgeBodies deletes the text of messages, in the caller's transaction, and gives
// those whose text went: what is held, under way or without text already is left
// out. Twilio's copy goes by a job. The messages stay in the log (R225).
func (s *Service) PurgeBodies(ctx context.Context, tx *db.Tx, ids []id.ID, by Deletion) (gone []id.ID, err error) {
	defer errs.Wrap(&err, "message.PurgeBodies")
	if err := tenant.BeforeDeleting(ctx, tx); err != nil {
		return nil, err
	}
	var rows []erased
	if err := db.Select(ctx, tx, &rows, `
UPDATE message m SET body = '', body_deleted_at = $3, version = m.version + 1, updated_at = $3
FROM sms_thread t JOIN phone_number n ON n.organization_id = t.organization_id AND n.id = t.phone_number_id
WHERE m.organization_id = $1 AND m.id = ANY ($2::uuid[]) AND m.body_deleted_at IS NULL AND m.body <> ''
  AND t.organization_id = $1 AND t.id = m.thread_id AND `+Settled+` AND NOT `+Held+`
RETURNING m.id, n.connection_id, m.twilio_sid`, db.TenantFrom(ctx), ids, tx.Now); err != nil {
		return nil, err
	}
	return s.erase(ctx, tx, rows, by, eraseArgs{Body: true})
}

// PurgeMedia deletes the files of messages, in the caller's transaction, and gives
// the messages whose files went, with the size of what went; as PurgeBodies else.
func (s *Service) PurgeMedia(ctx context.Context, tx *db.Tx, ids []id.ID, by Deletion) (gone []id.ID, bytes int64, err error) {
	defer errs.Wrap(&err, "message.PurgeMedia")
	if err := tenant.BeforeDeleting(ctx, tx); err != nil {
		return nil, 0, err
	}
	var rows []erased
	if err := db.Select(ctx, tx, &rows, `
WITH found AS (
  SELECT f.id, f.message_id, f.blob_key, f.thumbnail_key, n.connection_id, m.twilio_sid, coalesce(f.size_bytes, 0) + coalesce(f.thumbnail_bytes, 0) AS bytes
  FROM message_media f
  JOIN message m ON m.organization_id = f.organization_id AND m.id = f.message_id
  JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
  JOIN phone_number n ON n.organization_id = t.organization_id AND n.id = t.phone_number_id
  WHERE f.organization_id = $1 AND f.message_id = ANY ($2::uuid[]) AND f.state <> 'DELETED' AND `+Settled+` AND NOT `+Held+`
  FOR UPDATE OF f),
changed AS (
  UPDATE message_media f SET state = 'DELETED', blob_key = NULL, thumbnail_key = NULL, twilio_url = NULL, name = NULL, problem = NULL, deleted_at = $3
  FROM found WHERE f.organization_id = $1 AND f.id = found.id)
SELECT message_id AS id, connection_id, twilio_sid, blob_key, thumbnail_key, bytes FROM found ORDER BY message_id`, db.TenantFrom(ctx), ids, tx.Now); err != nil {
		return nil, 0, err
	}
	for _, r := range rows {
		bytes += r.Bytes
	}
	gone, err = s.erase(ctx, tx, rows, by, eraseArgs{Media: true})
	return gone, bytes, err
}

// erase has the copies deleted that the rows no longer name, and tells.
func (s *Service) erase(ctx context.Context, tx *db.Tx, rows []erased, by Deletion, what eraseArgs) (gone []id.ID, err error) {
	what.Organization = db.TenantFrom(ctx)
	jobs := map[id.ID]*eraseArgs{}
	posts := map[id.ID][]string{}
	for _, r := range rows {
		j := jobs[r.ID]
		if j == nil {
			x := what
			j = &x
			j.Message, j.Connection = r.ID, r.ConnectionID
			if r.TwilioSID != nil {
				j.SID = *r.TwilioSID
				// The post that brought it holds the text too.
				posts[r.ConnectionID] = append(posts[r.ConnectionID], "sms "+twilio.MessageForm{MessageSID: j.SID}.Key())
			}
			jobs[r.ID] = j
			gone = append(gone, r.ID)
		}
		for _, key := range []*string{r.BlobKey, r.ThumbnailKey} {
			if key != nil {
				j.Files = append(j.Files, *key)
			}
		}
	}
	for connection, keys := range posts {
		if err := inbox.Forget(ctx, tx, connection, keys); err != nil {
			return nil, err
		}
	}
	args := make([]job.Args, 0, len(jobs))
	for _, x := range gone {
		if err := s.tell(ctx, tx, x, UpdatedEvent, by.ActorID); err != nil {
			return nil, err
		}
		args = append(args, *jobs[x])
	}
	return gone, job.InsertMany(ctx, tx, args...)
}

// eraseArgs has copies of a message deleted, at Twilio and in the store.
type eraseArgs struct {
	Organization id.ID    `json:"organization"`
	Connection   id.ID    `json:"connection"`
	Message      id.ID    `json:"message"`
	SID          string   `json:"sid"`
	Body         bool     `json:"body"`
	Media        bool     `json:"media"`
	Files        []string `json:"files"`
}

// Kind names the job.
func (eraseArgs) Kind() string { return "message.erase" }

// Tenant is whose job it is.
func (a eraseArgs) Tenant() id.ID { return a.Organization }

// Timeout is enough for ten files.
func (eraseArgs) Timeout() time.Duration { return time.Minute }

// InsertOpts gives Twilio days to come back.
func (eraseArgs) InsertOpts() job.Options { return job.Options{Queue: job.Media, MaxAttempts: 25} }

// eraseCopies deletes the copies. All of it may be repeated: what is gone is fine.
func (s *Service) eraseCopies(ctx context.Context, a eraseArgs) (err error) {
	defer errs.Wrap(&err, "message.erase(%s)", a.Message)
	for _, key := range a.Files {
		var used bool
		// A bulk message's files are shared by its messages.
		if err := s.db.App().NewRaw(`SELECT EXISTS (SELECT FROM message_media WHERE organization_id = ? AND (blob_key = ? OR thumbnail_key = ?))`,
			a.Organization, key, key).Scan(ctx, &used); err != nil {
			return db.Translate(err)
		}
		if !used {
			if err := s.blob.Delete(ctx, a.Organization, key); err != nil {
				return err
			}
		}
	}
	if a.SID == "" {
		return nil
	}
	client, err := s.numbers.Client(ctx, a.Connection)
	if errs.IsCode(err, errs.NotFound) || errs.IsCode(err, errs.Conflict) {
		return job.Cancel(fmt.Errorf("the account is disconnected, so its copy stays at Twilio: %w", err))
	}
	if err != nil {
		return err
	}
	if a.Media {
		err = client.DeleteMessageMedia(ctx, a.SID)
	}
	if a.Body {
		err = errors.Join(err, client.RedactMessage(ctx, a.SID))
	}
	return err
}

// Part is a part of a message that can be deleted.
type Part string

// The parts.
const (
	PartBody  Part = "BODY"
	PartMedia Part = "MEDIA"
)

// maxDelete is how many messages one command deletes of (R228).
const maxDelete = 100

// Delete deletes the text or the files of single messages that the actor reads
// (R225), here and at Twilio, and gives those messages as they are now, and an error
// with its place for each one that is refused; without parts both go. Deleting
// again succeeds. Codes: errs.Forbidden, errs.Invalid; of one message
// errs.NotFound, and errs.Conflict while it is held or under way.
func (s *Service) Delete(ctx context.Context, who access.Actor, ids []id.ID, parts []Part, reason string) (rows []*Message, refused []*errs.Error, err error) {
	defer errs.Wrap(&err, "message.Delete")
	if err := who.Require(access.SMSDelete); err != nil {
		return nil, nil, err
	}
	if len(ids) == 0 || len(ids) > maxDelete {
		return nil, nil, errs.New(errs.Invalid, "name 1 to %d messages", maxDelete).At("ids")
	}
	if utf8.RuneCountInString(reason) > 500 || !utf8.ValidString(reason) || strings.ContainsRune(reason, 0) {
		return nil, nil, errs.New(errs.Invalid, "the reason has more than 500 characters, or such that cannot be shown").At("reason")
	}
	ctx = access.With(ctx, who)
	seen, err := s.ByIDs(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	read := map[id.ID]bool{}
	for _, m := range seen {
		read[m.ID] = true
	}
	todo := make([]id.ID, 0, len(ids))
	for i, x := range ids {
		if !read[x] {
			refused = append(refused, errs.New(errs.NotFound, "there is no such message, or you may not see it").At("ids", strconv.Itoa(i)))
			continue
		}
		todo = append(todo, x)
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		by := Deletion{ActorID: actorOf(who), Why: reason}
		if len(parts) == 0 {
			parts = []Part{PartBody, PartMedia}
		}
		for _, part := range parts {
			var gone []id.ID
			switch part {
			case PartBody:
				gone, err = s.PurgeBodies(ctx, tx, todo, by)
			case PartMedia:
				gone, _, err = s.PurgeMedia(ctx, tx, todo, by)
			default:
				err = errs.New(errs.Invalid, "%q is no part of a message", string(part)).At("parts")
			}
			if err != nil {
				return err
			}
			for _, x := range gone {
				if err := audit.Write(ctx, tx, audit.Entry{ActorID: by.ActorID, Action: "message.delete", Subject: x, Detail: map[string]any{"part": part, "reason": reason}}); err != nil {
					return err
				}
			}
		}
		var stays []struct {
			ID   id.ID `bun:"id"`
			Held bool  `bun:"held"`
		}
		if err := db.Select(ctx, tx, &stays, `SELECT m.id, `+Held+` AS held FROM message m JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
WHERE m.organization_id = $1 AND m.id = ANY ($2::uuid[]) AND (`+Held+` OR NOT (`+Settled+`))`, who.OrganizationID, todo); err != nil {
			return err
		}
		for _, x := range stays {
			why := "it is still under way; cancel it or wait until it is sent"
			if x.Held {
				why = "it is under a legal hold; release the hold first"
			}
			refused = append(refused, errs.New(errs.Conflict, "%s", why).At("ids", strconv.Itoa(slices.Index(ids, x.ID))))
			todo = slices.DeleteFunc(todo, func(y id.ID) bool { return y == x.ID })
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	rows, err = s.ByIDs(ctx, todo)
	return rows, refused, err
}
