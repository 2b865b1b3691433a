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
// repetition changes nothing. It returns nil for a number that is not ours: the
// post is answered and kept all the same.
//
// The thread belongs to the number's branch, whose people see it (R276). To a
// disabled number it is stored and nobody is told (D26).
func (s *Service) Receive(ctx context.Context, tx *db.Tx, connection id.ID, f twilio.MessageForm) (_ *Message, err error) {
	defer errs.Wrap(&err, "message.Receive")
	number, ours, err := s.numbers.Receiver(ctx, tx, connection, f.To)
	if err != nil || !ours {
		return nil, err
	}
	var who id.ID
	if e164, ok := phone.FromWire(f.From); ok {
		found, err := s.contacts.Match(ctx, tx, e164)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			who = found[0].ContactID
		}
	}
	thread, err := threadOf(ctx, tx, Thread{PhoneNumberID: number.ID, TheirNumber: f.From, ContactID: who, BranchID: number.BranchID})
	if err != nil {
		return nil, err
	}
	m := &Message{
		OrganizationID: db.TenantFrom(ctx), ID: id.New(id.Message), ThreadID: thread.ID, Direction: Inbound, Status: Received,
		Body: strings.ReplaceAll(f.Body, "\x00", ""), FromNumber: f.From, ToNumber: f.To, TwilioSID: &f.MessageSID,
		ContactID: thread.ContactID, At: tx.Now,
	}
	if f.Segments > 0 {
		m.NumSegments = &f.Segments
	}
	if fresh, err := addMessage(ctx, tx, m); err != nil || !fresh {
		return nil, err
	}
	for i, ref := range f.Media {
		media := id.New(id.Media)
		if _, err := db.Exec(ctx, tx, `
INSERT INTO message_media (organization_id, id, message_id, position, content_type, twilio_url)
VALUES ($1, $2, $3, $4, $5, $6)`, m.OrganizationID, media, m.ID, i, ref.ContentType, ref.URL); err != nil {
			return nil, err
		}
		if err := job.Insert(ctx, tx, mediaArgs{Organization: m.OrganizationID, Connection: connection, Media: media}); err != nil {
			return nil, err
		}
	}
	// Twilio answers these words by itself; we only remember (R154).
	switch KeywordOf(f.Body, f.OptOutType) {
	case Stop:
		err = setOptOut(ctx, tx, number.ID, f.From, true, "KEYWORD")
	case Start:
		err = setOptOut(ctx, tx, number.ID, f.From, false, "KEYWORD")
	}
	if err != nil {
		return nil, err
	}
	if !number.IsEnabled {
		return m, nil
	}
	return m, s.changed(ctx, tx, m, ReceivedEvent, id.ID{})
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
	return s.learn(ctx, tx, m, f.MessageSID, f.Status, f.ErrorCode, 0)
}

// learn folds what Twilio says of a message into its row.
func (s *Service) learn(ctx context.Context, tx *db.Tx, m *Message, sid, status string, code, segments int) error {
	before := *m
	if m.Direction != Outbound {
		return nil
	}
	if m.TwilioSID == nil && sid != "" {
		m.TwilioSID = &sid
	}
	if m.TwilioSID != nil && sid != "" && *m.TwilioSID != sid {
		s.log.Warn("news about another message came to this one's address", "message_id", m.ID.String(), "twilio_sid", sid)
		return nil
	}
	if news, known := fromTwilio[status]; known {
		m.Status, _ = m.Status.Next(news)
		switch {
		case m.Status == Sent && m.SentAt == nil:
			m.SentAt = &tx.Now
		case m.Status == Delivered && m.DeliveredAt == nil:
			m.DeliveredAt = &tx.Now
		}
	}
	if segments > 0 && m.NumSegments == nil {
		m.NumSegments = &segments
	}
	if code != 0 && m.ErrorCode == nil && (m.Status == Failed || m.Status == Undelivered) {
		explain(m, code)
		if code == optedOutCode {
			if err := s.refusedForOptOut(ctx, tx, m); err != nil {
				return err
			}
		}
	}
	if m.Status.Final() || m.Status == Sent {
		m.DueAt = nil
	}
	if same(&before, m) {
		return nil
	}
	if err := save(ctx, tx, m); err != nil {
		return err
	}
	return s.changed(ctx, tx, m, UpdatedEvent, id.ID{})
}

func same(a, b *Message) bool {
	return a.Status == b.Status && eq(a.TwilioSID, b.TwilioSID) && eq(a.ErrorCode, b.ErrorCode) && eq(a.NumSegments, b.NumSegments) &&
		(a.DueAt == nil) == (b.DueAt == nil)
}

func eq[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// optedOutCode is Twilio's for a recipient who asked for no messages (T13).
const optedOutCode = 21610

// explain gives the plain words for one of Twilio's codes (R160).
func explain(m *Message, code int) {
	m.ErrorCode = &code
	reason, advice, _ := twilio.Reason(code)
	if reason == "" {
		reason, advice = "Twilio could not deliver it", "look the code up in Twilio's error list"
	}
	words := reason + "; " + advice
	m.ErrorReason = &words
}

// refusedForOptOut remembers an opt-out that only Twilio knew of.
func (s *Service) refusedForOptOut(ctx context.Context, tx *db.Tx, m *Message) error {
	var t Thread
	if err := db.Select(ctx, tx, &t, `SELECT t.* FROM sms_thread t WHERE t.organization_id = $1 AND t.id = $2`, m.OrganizationID, m.ThreadID); err != nil {
		return err
	}
	return setOptOut(ctx, tx, t.PhoneNumberID, t.TheirNumber, true, "PROVIDER")
}
