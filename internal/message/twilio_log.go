package message

import (
	"context"
	"fmt"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/twilio"
)

// TwilioLog is what Twilio's own log says of a message (R159, R220).
type TwilioLog struct {
	SID, Status, From, To string
	ErrorCode             int
	ErrorReason           *string
	Segments, MediaCount  int
	ServiceSID            string
	Cost                  *Money
	CreatedAt, SentAt     time.Time
	Differences           []string // from what is kept here, in words
}

// TwilioLog asks Twilio for its log entry of a message; nil when it has none. It
// changes nothing. Codes: errs.NotFound, errs.ProviderUnavailable, errs.ProviderRefused.
func (s *Service) TwilioLog(ctx context.Context, who access.Actor, message id.ID) (_ *TwilioLog, err error) {
	defer errs.Wrap(&err, "message.TwilioLog(%s)", message)
	ctx = access.With(ctx, who)
	m, err := s.Get(ctx, who, message)
	if err != nil || m.TwilioSID == nil {
		return nil, err
	}
	var t Thread
	if err := db.Select(ctx, s.db.App(), &t, `SELECT t.* FROM sms_thread t WHERE t.organization_id = $1 AND t.id = $2`, m.OrganizationID, m.ThreadID); err != nil {
		return nil, err
	}
	_, client, err := s.speakTo(ctx, t.PhoneNumberID)
	if err != nil {
		return nil, err
	}
	got, err := client.FetchMessage(ctx, *m.TwilioSID)
	if twilio.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	n := newsOf(&got)
	x := &TwilioLog{
		SID: got.SID, Status: got.Status, From: got.From, To: got.To, ErrorCode: got.ErrorCode, Segments: got.Segments, MediaCount: got.MediaCount,
		ServiceSID: got.ServiceSID, Cost: n.price, CreatedAt: got.CreatedAt, SentAt: got.SentAt, Differences: m.differences(&got, n.price),
	}
	hidden, err := s.HiddenEnds(ctx, []id.ID{t.ID})
	if err != nil {
		return nil, err
	}
	if theirs := &x.To; hidden[t.ID] {
		if m.Direction == Inbound {
			theirs = &x.From
		}
		*theirs = phone.Mask(phone.E164(*theirs))
	}
	if got.ErrorCode != 0 {
		x.ErrorReason = words(got.ErrorCode)
	}
	return x, nil
}

// differences are what Twilio says otherwise.
func (m *Message) differences(got *twilio.Sent, price *Money) []string {
	out := []string{}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if m.Direction == Outbound {
		if theirs, known := fromTwilio[got.Status]; !known {
			say("Twilio calls its state %s, which is not known here", got.Status)
		} else if next, changed := m.Status.Next(theirs); changed {
			say("Twilio says %s, which is %s; here it is %s, as no news of it came: it is looked up within the hour", got.Status, next, m.Status)
		} else if theirs != m.Status && rank[theirs] < rank[m.Status] {
			say("here it is %s already; Twilio still says %s", m.Status, got.Status)
		}
		if got.From != m.shown() {
			say("Twilio sent it from %s, here it is from %s", got.From, m.shown())
		}
	}
	ours := 0
	if m.ErrorCode != nil {
		ours = *m.ErrorCode
	}
	if got.ErrorCode != ours && got.ErrorCode != 0 {
		say("Twilio gives the error %d, here there is %s", got.ErrorCode, nonEmpty(digits(ours), "none"))
	}
	if m.NumSegments != nil && got.Segments != 0 && got.Segments != *m.NumSegments {
		say("Twilio counts %d parts, here there are %d", got.Segments, *m.NumSegments)
	}
	if got.MediaCount != m.MediaCount {
		say("Twilio has %d files, here there are %d", got.MediaCount, m.MediaCount)
	}
	if ours := m.Cost(); price != nil && ours != nil && *ours != *price {
		say("Twilio charged %s, here it is %s", price, ours)
	}
	return out
}

func digits(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
