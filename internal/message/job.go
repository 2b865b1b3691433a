package message

import (
	"context"
	"errors"
	"time"

	"switchboard/internal/blob"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/twilio"
)

// sendArgs has one message handed to Twilio.
type sendArgs struct {
	Organization id.ID `json:"organization"`
	Message      id.ID `json:"message"`
}

// Kind names the job.
func (sendArgs) Kind() string { return "message.send" }

// Tenant is whose job it is.
func (a sendArgs) Tenant() id.ID { return a.Organization }

// send hands a message to Twilio, at most once. The claim is committed before
// the request: whoever finds a claimed message without an answer asks Twilio what
// became of it and never sends it again blindly.
func (s *Service) send(ctx context.Context, a sendArgs) (err error) {
	defer errs.Wrap(&err, "message.send(%s)", a.Message)
	var m *Message
	var t Thread
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if m, err = lock(ctx, tx, a.Message); err != nil {
			return err
		}
		if m.Status != Pending || m.Attempts > 0 {
			m = nil // somebody has it, or had it
			return nil
		}
		if err := db.Select(ctx, tx, &t, `SELECT t.* FROM sms_thread t WHERE t.organization_id = $1 AND t.id = $2`, m.OrganizationID, m.ThreadID); err != nil {
			return err
		}
		due := tx.Now.Add(claimFor)
		m.Attempts, m.DueAt = 1, &due
		return save(ctx, tx, m)
	})
	if err != nil || m == nil {
		return err
	}
	sent, err := s.post(ctx, m, t.PhoneNumberID)
	return s.db.InTx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		m, lockErr := lock(ctx, tx, a.Message)
		if lockErr != nil {
			return lockErr
		}
		return s.answered(ctx, tx, m, sent, err)
	})
}

func (s *Service) post(ctx context.Context, m *Message, number id.ID) (twilio.Sent, error) {
	n, err := s.numbers.Sender(ctx, s.db.App(), number)
	if err != nil {
		return twilio.Sent{}, err
	}
	client, err := s.numbers.Client(ctx, n.ConnectionID)
	if err != nil {
		return twilio.Sent{}, err
	}
	callback, err := s.numbers.CallbackURL(ctx, n.ConnectionID, "message/"+m.ID.String())
	if err != nil {
		return twilio.Sent{}, err
	}
	return client.CreateMessage(ctx, twilio.MessageRequest{To: m.ToNumber, From: m.FromNumber, Body: m.Body, StatusCallback: callback})
}

// answered notes what the request to send came to.
func (s *Service) answered(ctx context.Context, tx *db.Tx, m *Message, sent twilio.Sent, err error) error {
	var refused *twilio.Error
	switch {
	case err == nil:
		return s.learn(ctx, tx, m, sent.SID, sent.Status, sent.ErrorCode, sent.Segments)
	case m.Status != Pending:
		return nil // a callback came first: it is there
	case twilio.Ambiguous(err):
		due := tx.Now.Add(firstLook)
		m.Status, m.DueAt = Unknown, &due
	case retryable(err):
		// Twilio never took it: the claim is given back, and the sweep tries again.
		after, _ := twilio.Retry(err)
		due := tx.Now.Add(max(after, time.Second))
		m.Attempts, m.DueAt = 0, &due
	case errors.As(err, &refused):
		m.Status, m.DueAt = Failed, nil
		explain(m, refused.Code)
		if refused.Code == optedOutCode {
			if err := s.refusedForOptOut(ctx, tx, m); err != nil {
				return err
			}
		}
	default:
		m.Status, m.DueAt = Failed, nil
		words := "it could not be sent; an administrator finds the reason in the log"
		if e, ok := errs.As(err); ok {
			words = e.Message
		} else {
			s.log.Error("message could not be sent", "message_id", m.ID.String(), "error", err)
		}
		m.ErrorReason = &words
	}
	if err := save(ctx, tx, m); err != nil {
		return err
	}
	return s.changed(ctx, tx, m, UpdatedEvent, id.ID{})
}

func retryable(err error) bool {
	_, ok := twilio.Retry(err)
	return ok || errs.IsCode(err, errs.Unavailable)
}

const (
	reconcileEvery = 5 * time.Second
	firstLook      = 3 * time.Second  // after an ambiguous answer
	giveUp         = 40 * time.Second // an unknown message that Twilio does not list by then was never taken
)

// reconcile looks after messages whose time has come: those to be tried again,
// those claimed by a process that died, and those that Twilio may or may not have.
func (s *Service) reconcile(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "message.reconcile")
	var due []struct {
		OrganizationID id.ID `bun:"organization_id"`
		ID             id.ID `bun:"id"`
	}
	if err := db.Select(ctx, s.db.Worker(), &due, `
SELECT organization_id, id FROM message WHERE due_at <= $1 ORDER BY due_at LIMIT 200`, now); err != nil {
		return err
	}
	var all []error
	for _, d := range due {
		all = append(all, s.lookAfter(db.WithTenant(ctx, d.OrganizationID), d.ID))
	}
	return errors.Join(all...)
}

func (s *Service) lookAfter(ctx context.Context, message id.ID) error {
	var m *Message
	var t Thread
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if m, err = lock(ctx, tx, message); err != nil {
			return err
		}
		if m.DueAt == nil || m.DueAt.After(tx.Now) {
			m = nil
			return nil
		}
		if err := db.Select(ctx, tx, &t, `SELECT t.* FROM sms_thread t WHERE t.organization_id = $1 AND t.id = $2`, m.OrganizationID, m.ThreadID); err != nil {
			return err
		}
		due := tx.Now.Add(claimFor)
		again := m.Status == Pending && m.Attempts == 0
		if m.Status == Pending && m.Attempts > 0 {
			m.Status = Unknown // whoever claimed it is gone
			due = tx.Now.Add(firstLook)
		}
		m.DueAt = &due
		if err := save(ctx, tx, m); err != nil {
			return err
		}
		if again {
			return job.Insert(ctx, tx, sendArgs{Organization: m.OrganizationID, Message: m.ID})
		}
		return nil
	})
	if err != nil || m == nil || m.Status == Pending {
		return err
	}
	found, err := s.ask(ctx, m, t.PhoneNumberID)
	if err != nil {
		return err // due again later
	}
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		m, err := lock(ctx, tx, message)
		if err != nil {
			return err
		}
		switch {
		case found != nil:
			return s.learn(ctx, tx, m, found.SID, found.Status, found.ErrorCode, found.Segments)
		case m.Status == Unknown && tx.Now.Sub(m.At) >= giveUp:
			m.Status, m.DueAt = Failed, nil
			words := "Twilio never took it; it is safe to send it again"
			m.ErrorReason = &words
		case m.Status == Unknown:
			due := tx.Now.Add(2 * firstLook)
			m.DueAt = &due
		default:
			return nil
		}
		if err := save(ctx, tx, m); err != nil {
			return err
		}
		return s.changed(ctx, tx, m, UpdatedEvent, id.ID{})
	})
}

// ask looks a message up at Twilio: by its SID, else among the recent ones of
// this pair with the same text that no other message of ours is.
func (s *Service) ask(ctx context.Context, m *Message, number id.ID) (*twilio.Sent, error) {
	n, err := s.numbers.Sender(ctx, s.db.App(), number)
	if err != nil {
		return nil, err
	}
	client, err := s.numbers.Client(ctx, n.ConnectionID)
	if err != nil {
		return nil, err
	}
	if m.TwilioSID != nil {
		got, err := client.FetchMessage(ctx, *m.TwilioSID)
		return &got, err
	}
	list, err := client.ListMessages(ctx, twilio.MessageFilter{To: m.ToNumber, From: m.FromNumber, SentAfter: m.At.Add(-time.Minute)})
	if err != nil {
		return nil, err
	}
	for _, got := range list {
		if got.Body != m.Body || got.CreatedAt.Before(m.At.Add(-time.Minute)) {
			continue
		}
		var taken struct {
			ID id.ID `bun:"id"`
		}
		err := db.Select(ctx, s.db.App(), &taken, `SELECT id FROM message WHERE organization_id = $1 AND twilio_sid = $2`, m.OrganizationID, got.SID)
		if err == nil {
			continue // another message of ours with the same words
		}
		return &got, nil
	}
	return nil, nil
}

// mediaArgs has one picture copied from Twilio.
type mediaArgs struct {
	Organization id.ID `json:"organization"`
	Connection   id.ID `json:"connection"`
	Media        id.ID `json:"media"`
}

// Kind names the job.
func (mediaArgs) Kind() string { return "message.media" }

// Tenant is whose job it is.
func (a mediaArgs) Tenant() id.ID { return a.Organization }

// maxMedia is the largest file that is copied, in bytes: what Twilio sends is smaller.
const maxMedia = 16 << 20

// fetchMedia copies one file of a message, checked by its content (R143, R144).
func (s *Service) fetchMedia(ctx context.Context, a mediaArgs) (err error) {
	defer errs.Wrap(&err, "message.fetchMedia(%s)", a.Media)
	var row Media
	if err := db.Select(ctx, s.db.App(), &row, `SELECT mm.* FROM message_media mm WHERE mm.organization_id = $1 AND mm.id = $2`, a.Organization, a.Media); err != nil {
		return err
	}
	if row.State != MediaPending || row.TwilioURL == nil {
		return nil
	}
	client, err := s.numbers.Client(ctx, a.Connection)
	if err != nil {
		return err
	}
	media, err := client.FetchMedia(ctx, *row.TwilioURL, maxMedia)
	if err != nil {
		if job.AttemptFrom(ctx).Last {
			return s.mediaState(ctx, a, MediaFailed, nil)
		}
		return err
	}
	defer media.Close()
	info, err := s.blob.Put(ctx, a.Organization, media, maxMedia, blob.Any)
	if errs.IsCode(err, errs.Invalid) || errs.IsCode(err, errs.LimitReached) {
		return s.mediaState(ctx, a, MediaRefused, nil)
	}
	if err != nil {
		return err
	}
	return s.mediaState(ctx, a, MediaStored, &info)
}

func (s *Service) mediaState(ctx context.Context, a mediaArgs, state MediaState, info *blob.Info) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var key, contentType *string
		var size *int64
		if info != nil {
			key, contentType, size = &info.Key, &info.ContentType, &info.Size
		}
		n, err := db.Exec(ctx, tx, `
UPDATE message_media SET state = $3, blob_key = $4, size_bytes = $5, content_type = coalesce($6, content_type)
WHERE organization_id = $1 AND id = $2 AND state = 'PENDING'`, a.Organization, a.Media, state, key, size, contentType)
		if err != nil || n == 0 {
			return err
		}
		var row Media
		if err := db.Select(ctx, tx, &row, `SELECT mm.* FROM message_media mm WHERE mm.organization_id = $1 AND mm.id = $2`, a.Organization, a.Media); err != nil {
			return err
		}
		return s.changed(ctx, tx, &Message{ID: row.MessageID}, UpdatedEvent, id.ID{})
	})
}

