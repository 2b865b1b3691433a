package message

import (
	"context"
	"strings"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/phone"
	"switchboard/internal/twilio"
)

// Receive takes a message that came to one of a connection's numbers (R138). A
// repetition changes nothing and gives nil, and so does a number that is not
// ours: the post is answered and kept all the same.
//
// The thread belongs to the number's branch, whose people see it (R276). To a
// disabled number it is stored and nobody is told (D26).
func (s *Service) Receive(ctx context.Context, tx *db.Tx, connection id.ID, f twilio.MessageForm) (_ *Message, err error) {
	defer errs.Wrap(&err, "message.Receive")
	number, ours, err := s.numbers.Receiver(ctx, tx, connection, f.To)
	if err != nil || !ours {
		return nil, err
	}
	who, err := s.contactOf(ctx, tx, f.From)
	if err != nil {
		return nil, err
	}
	thread, err := threadOf(ctx, tx, &Thread{PhoneNumberID: number.ID, TheirNumber: f.From, ContactID: who, BranchID: number.BranchID})
	if err != nil {
		return nil, err
	}
	m := &Message{
		OrganizationID: db.TenantFrom(ctx), ID: id.New(id.Message), ThreadID: thread.ID, Direction: Inbound, Status: Received,
		Body: strings.ReplaceAll(f.Body, "\x00", ""), FromNumber: f.From, ToNumber: f.To, TwilioSID: &f.MessageSID,
		ContactID: thread.ContactID, At: tx.Now, Version: 1,
	}
	if f.Segments > 0 {
		m.NumSegments = &f.Segments
	}
	if fresh, err := addMessage(ctx, tx, m); err != nil || !fresh {
		return nil, err
	}
	if err := s.expectMedia(ctx, tx, connection, m, f.Media); err != nil {
		return nil, err
	}
	// Twilio answers these words by itself; we only remember (R154).
	switch KeywordOf(f.Body, f.OptOutType) {
	case Stop:
		_, err = setOptOut(ctx, tx, number.ID, f.From, true, ByKeyword, tx.Now)
	case Start:
		_, err = setOptOut(ctx, tx, number.ID, f.From, false, ByKeyword, tx.Now)
	}
	if err != nil || !number.IsEnabled {
		return m, err
	}
	return m, s.tell(ctx, tx, m.ID, ReceivedEvent, id.ID{})
}

// contactOf is who has the number; zero when nobody has, or there is none (D11).
func (s *Service) contactOf(ctx context.Context, tx *db.Tx, number string) (id.ID, error) {
	e164, ok := phone.FromWire(number)
	if !ok {
		return id.ID{}, nil
	}
	found, err := s.contacts.Match(ctx, tx, e164)
	if err != nil || len(found) == 0 {
		return id.ID{}, err
	}
	return found[0].ContactID, nil
}

// expectMedia keeps what files a message has and has them copied (R143).
func (s *Service) expectMedia(ctx context.Context, tx *db.Tx, connection id.ID, m *Message, refs []twilio.MediaRef) error {
	jobs := make([]job.Args, len(refs))
	for i, ref := range refs {
		media := id.New(id.Media)
		jobs[i] = mediaArgs{Organization: m.OrganizationID, Connection: connection, Media: media}
		if _, err := db.Exec(ctx, tx, `
INSERT INTO message_media (organization_id, id, message_id, position, content_type, twilio_url)
VALUES ($1, $2, $3, $4, $5, $6)`, m.OrganizationID, media, m.ID, i, ref.ContentType, ref.URL); err != nil {
			return err
		}
	}
	return job.InsertMany(ctx, tx, jobs...)
}

// Apply takes news about a message of ours, in any order and number. News may
// come before the answer to the request that sent it: the message is found by our
// own id, which is in the callback's address.
func (s *Service) Apply(ctx context.Context, tx *db.Tx, message id.ID, f twilio.MessageStatusForm) (err error) {
	defer errs.Wrap(&err, "message.Apply(%s)", message)
	m, err := lock(ctx, tx, message)
	if errs.IsCode(err, errs.NotFound) {
		return nil // deleted since; Twilio need not know
	}
	if err != nil {
		return err
	}
	return s.learn(ctx, tx, m, news{sid: f.MessageSID, word: f.Status, code: f.ErrorCode})
}

// learn folds what Twilio says of a locked message into its row.
func (s *Service) learn(ctx context.Context, tx *db.Tx, m *Message, n news) error {
	was := *m
	if !m.hear(n, tx.Now) {
		s.log.Warn("news that is not about the message it came for", "message_id", m.ID.String(), "twilio_sid", n.sid)
		return nil
	}
	return s.change(ctx, tx, &was, m)
}

// optedOutCode is Twilio's for a recipient who asked for no messages (T13).
const optedOutCode = 21610

// change keeps what became of a message that we sent: the row, an opt-out that
// only Twilio knew of, the next message of the thread, and the event, if there is
// anything to see.
func (s *Service) change(ctx context.Context, tx *db.Tx, was, m *Message) error {
	changed, visible := m.changes(was)
	if !changed {
		return nil
	}
	if visible {
		m.Version++
	}
	if err := save(ctx, tx, m); err != nil {
		return err
	}
	moved := m.Status != was.Status && (was.Status == Pending || was.Status == Unknown)
	refused := m.ErrorCode != nil && *m.ErrorCode == optedOutCode && !eq(m.ErrorCode, was.ErrorCode)
	if moved || refused {
		t, err := lockThread(ctx, tx, m)
		if err != nil {
			return err
		}
		if refused {
			// Twilio knew it when it was asked: a START since then counts more.
			if _, err := setOptOut(ctx, tx, t.PhoneNumberID, t.TheirNumber, true, ByProvider, m.handed()); err != nil {
				return err
			}
		}
		if next, err := waiting(ctx, tx, m); err != nil {
			return err
		} else if !next.IsZero() {
			if err := job.Insert(ctx, tx, carryArgs{Organization: m.OrganizationID, Message: next}); err != nil {
				return err
			}
		}
	}
	if !visible {
		return nil
	}
	return s.tell(ctx, tx, m.ID, UpdatedEvent, id.ID{})
}
