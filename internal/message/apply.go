package message

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
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
	thread, err := s.conversation(ctx, tx, number, f)
	if err != nil {
		return nil, err
	}
	m := &Message{
		OrganizationID: db.TenantFrom(ctx), ID: id.New(id.Message), ThreadID: thread.ID, Direction: Inbound, Status: Received,
		Body: strings.ReplaceAll(f.Body, "\x00", ""), FromNumber: f.From, ToNumber: f.To, TwilioSID: &f.MessageSID,
		ContactID: thread.ContactID, MediaCount: len(f.Media), At: tx.Now, Version: 1,
	}
	// What somebody has read ends with a moment: no two of theirs share one.
	if last := thread.LastInboundAt; last != nil && !m.At.After(*last) {
		m.At = last.Add(time.Microsecond)
	}
	if f.Segments > 0 {
		m.NumSegments = &f.Segments
	}
	added, err := place(ctx, tx, m, thread.next)
	if err != nil || !added.Fresh {
		return nil, err
	}
	if err := s.expectMedia(ctx, tx, connection, m, f.Media); err != nil {
		return nil, err
	}
	err = s.heed(ctx, tx, number, m, f)
	if err != nil || !number.IsEnabled {
		return m, err
	}
	told := []event.Event{{Kind: ReceivedEvent, Subject: m.ID}}
	if thread.LastMessageID.IsZero() || !thread.IsOpen || added.AssigneeID != thread.AssignedUserID {
		told = append(told, event.Event{Kind: ThreadUpdatedEvent, Subject: thread.ID})
	}
	last := &pgx.Batch{}
	if err := event.Queue(ctx, tx, last, told...); err != nil {
		return nil, err
	}
	tx.Last(last)
	return m, nil
}

// answering is a locked thread and who is to answer it when nobody does yet.
type answering struct {
	Thread        `bun:",extend"`
	PreferredUser bool  `bun:"preferred_user"`
	DefaultID     id.ID `bun:"default_id"`
	ContactUserID id.ID `bun:"contact_user_id"`

	next id.ID
}

// conversation finds or makes the thread of an inbound message and locks it, with the
// contact that it is from, and says who answers it unless somebody does: for an
// unknown sender the number's assignee of texts (R145) or of pictures (R146), for
// a known one the user of the contact where the number asks for it (R055, R147).
// Somebody unknown becomes a contact, unless they hide (D11)
// or nobody is to be told (D26).
func (s *Service) conversation(ctx context.Context, tx *db.Tx, number Number, f twilio.MessageForm) (*answering, error) {
	a := &answering{}
	err := db.Select(ctx, tx, a, `
INSERT INTO sms_thread (organization_id, id, phone_number_id, their_number, branch_id, last_message_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $6)
ON CONFLICT ON CONSTRAINT thread_pair_unique DO UPDATE SET branch_id = excluded.branch_id
RETURNING sms_thread.*,
  (SELECT n.preferred_user FROM phone_number n WHERE n.organization_id = $1 AND n.id = $3) AS preferred_user,
  (SELECT CASE WHEN $7 > 0 THEN n.mms_assignee_id ELSE n.sms_assignee_id END FROM phone_number n WHERE n.organization_id = $1 AND n.id = $3) AS default_id,
  (SELECT k.assigned_user_id FROM contact k WHERE k.organization_id = $1 AND k.id = sms_thread.contact_id) AS contact_user_id`,
		db.TenantFrom(ctx), id.New(id.Thread), number.ID, f.From, number.BranchID, tx.Now, len(f.Media))
	if err != nil {
		return nil, err
	}
	known := !a.ContactID.IsZero()
	if e164, ok := phone.FromWire(f.From); ok && !known {
		found, err := s.contacts.Match(ctx, tx, e164)
		if err != nil {
			return nil, err
		}
		if known = len(found) > 0; known {
			a.ContactID = found[0].ContactID
		}
		for _, c := range found {
			if a.ContactUserID = c.AssignedUserID; !a.ContactUserID.IsZero() {
				break
			}
		}
		if !known && number.IsEnabled {
			if a.ContactID, _, err = s.contacts.MatchOrCreate(ctx, tx, e164, contact.KindLead); err != nil {
				return nil, err
			}
		}
	}
	switch {
	case !known:
		a.next = a.DefaultID
	case a.PreferredUser:
		a.next = a.ContactUserID
	}
	return a, nil
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
	if len(refs) == 0 {
		return nil
	}
	n := len(refs)
	jobs, ids, types, urls := make([]job.Args, n), make([]id.ID, n), make([]string, n), make([]string, n)
	for i, ref := range refs {
		ids[i], types[i], urls[i] = id.New(id.Media), ref.ContentType, ref.URL
		jobs[i] = mediaArgs{Organization: m.OrganizationID, Connection: connection, Media: ids[i]}
	}
	_, err := db.Exec(ctx, tx, `
INSERT INTO message_media (organization_id, id, message_id, position, content_type, twilio_url)
SELECT $1, x.id, $2, x.n - 1, x.content_type, x.url
FROM unnest($3::uuid[], $4::text[], $5::text[]) WITH ORDINALITY AS x (id, content_type, url, n)`, m.OrganizationID, m.ID, ids, types, urls)
	if err != nil {
		return err
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
	s.hears(m, n, tx.Now)
	return s.change(ctx, tx, &was, m)
}

// hears is Message.hear with a word about news that came to the wrong message.
func (s *Service) hears(m *Message, n news, now time.Time) {
	if !m.hear(n, now) {
		s.log.Warn("news that is not about the message it came for", "message_id", m.ID.String(), "twilio_sid", n.sid)
	}
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
	if moved, refused := m.since(was); moved || refused {
		t, err := lockThread(ctx, tx, m)
		if err != nil {
			return err
		}
		if refused {
			if err := s.heedRefusal(ctx, tx, t, m); err != nil {
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
	return event.Append(ctx, tx, m.updated())
}

// since says whether a message no longer waits for Twilio, so that the next of its
// thread may go, and whether Twilio just said that the recipient wants none.
func (m *Message) since(was *Message) (moved, refused bool) {
	return m.Status != was.Status && (was.Status == Pending || was.Status == Unknown),
		m.ErrorCode != nil && *m.ErrorCode == optedOutCode && !eq(m.ErrorCode, was.ErrorCode)
}

// updated is the event of a change of it. One of a bulk message says so, for who
// watches that.
func (m *Message) updated() event.Event {
	e := event.Event{Kind: UpdatedEvent, Subject: m.ID}
	if !m.BulkID.IsZero() {
		e.Data = []byte(`{"bulkId":"` + m.BulkID.String() + `"}`)
	}
	return e
}
