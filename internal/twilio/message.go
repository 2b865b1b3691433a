package twilio

import (
	"context"
	"time"

	v2010 "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/errs"
)

// MessageRequest sends a message. From or ServiceSID says who sends it.
type MessageRequest struct {
	To, From, ServiceSID string
	Body                 string
	MediaURLs            []string
	StatusCallback       string
	ValiditySeconds      int
	SendAt               time.Time // needs ServiceSID
}

// Sent is a message as Twilio has it.
type Sent struct {
	SID, AccountSID, ServiceSID string
	From, To, Body              string
	Status, Direction           string
	Segments, MediaCount        int
	ErrorCode                   int
	CreatedAt, SentAt           time.Time
	Price, PriceUnit            string // empty until rated
}

func sent(x *v2010.ApiV2010Message) Sent {
	return Sent{
		SID: str(x.Sid), AccountSID: str(x.AccountSid), ServiceSID: str(x.MessagingServiceSid), From: str(x.From), To: str(x.To), Body: str(x.Body),
		Status: str(x.Status), Direction: str(x.Direction), Segments: digits(x.NumSegments), MediaCount: digits(x.NumMedia),
		ErrorCode: num(x.ErrorCode), CreatedAt: when(x.DateCreated), SentAt: when(x.DateSent), Price: str(x.Price), PriceUnit: str(x.PriceUnit),
	}
}

// CreateMessage sends a message. When the error is Ambiguous it may be under
// way: look for it with ListMessages and never send it again blindly.
func (c *Client) CreateMessage(ctx context.Context, r MessageRequest) (Sent, error) {
	if r.To == "" || r.From == "" && r.ServiceSID == "" {
		return Sent{}, errs.New(errs.Invalid, "a message needs a number to send to and one to send from")
	}
	p := &v2010.CreateMessageParams{
		To: &r.To, From: set(r.From), MessagingServiceSid: set(r.ServiceSID), Body: set(r.Body), MediaUrl: list(r.MediaURLs),
		StatusCallback: set(r.StatusCallback), ValidityPeriod: set(r.ValiditySeconds), SendAt: since(r.SendAt),
	}
	if !r.SendAt.IsZero() {
		p.ScheduleType = set("fixed")
	}
	x, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Message, error) { return s.CreateMessage(p) })
	if err != nil {
		return Sent{}, err
	}
	return sent(x), nil
}

func checkMessage(sid string) error { return CheckSID(MessageSID, sid) }

// FetchMessage reads one message.
func (c *Client) FetchMessage(ctx context.Context, sid string) (Sent, error) {
	if err := checkMessage(sid); err != nil {
		return Sent{}, err
	}
	x, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Message, error) { return s.FetchMessage(sid, nil) })
	if err != nil {
		return Sent{}, err
	}
	return sent(x), nil
}

// CancelMessage cancels a scheduled message.
func (c *Client) CancelMessage(ctx context.Context, sid string) error {
	if err := checkMessage(sid); err != nil {
		return err
	}
	_, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Message, error) {
		return s.UpdateMessage(sid, &v2010.UpdateMessageParams{Status: set("canceled")})
	})
	return err
}

// DeleteMessage deletes a message at Twilio; one that is gone is fine.
func (c *Client) DeleteMessage(ctx context.Context, sid string) error {
	return c.delete(ctx, MessageSID, sid, func(s *v2010.ApiService) error { return s.DeleteMessage(sid, nil) })
}

// RedactMessage empties the text of a finished message at Twilio; one that is gone
// is fine (twilio: messaging/api/message-resource, redact a message).
func (c *Client) RedactMessage(ctx context.Context, sid string) error {
	if err := checkMessage(sid); err != nil {
		return err
	}
	empty := ""
	_, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Message, error) {
		return s.UpdateMessage(sid, &v2010.UpdateMessageParams{Body: &empty})
	})
	if NotFound(err) {
		return nil
	}
	return err
}

// DeleteMessageMedia deletes the files of a message at Twilio; what is gone is fine.
func (c *Client) DeleteMessageMedia(ctx context.Context, sid string) error {
	if err := checkMessage(sid); err != nil {
		return err
	}
	list, err := send(ctx, c, func(s *v2010.ApiService) ([]v2010.ApiV2010Media, error) { return s.ListMedia(sid, nil) })
	if NotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, x := range list {
		if err := c.delete(ctx, MediaSID, str(x.Sid), func(s *v2010.ApiService) error { return s.DeleteMedia(sid, str(x.Sid), nil) }); err != nil {
			return err
		}
	}
	return nil
}

// MessageFilter narrows ListMessages.
type MessageFilter struct {
	To, From              string
	SentAfter, SentBefore time.Time
	Limit                 int // 0 is 100
}

// ListMessages lists messages, newest first.
func (c *Client) ListMessages(ctx context.Context, f MessageFilter) (messages []Sent, err error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	err = c.ScanMessages(ctx, f, min(f.Limit, 1000), func(page []Sent) bool {
		messages = append(messages, page[:min(len(page), f.Limit-len(messages))]...)
		return len(messages) < f.Limit
	})
	return messages, err
}

// ScanMessages gives the messages that the filter lets through, newest first, in
// pages of up to a thousand, until do has enough. The filter's limit does not count.
func (c *Client) ScanMessages(ctx context.Context, f MessageFilter, size int, do func(page []Sent) (more bool)) error {
	params := &v2010.ListMessageParams{
		To: set(f.To), From: set(f.From), DateSentAfter: since(f.SentAfter), DateSentBefore: since(f.SentBefore), PageSize: set(size),
	}
	return pages(func(token, page string) (*string, error) {
		p, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListMessageResponse, error) {
			return s.PageMessage(params, token, page)
		})
		if err != nil {
			return nil, err
		}
		list := make([]Sent, len(p.Messages))
		for i := range p.Messages {
			list[i] = sent(&p.Messages[i])
		}
		if !do(list) {
			return nil, errStop
		}
		return p.NextPageUri, nil
	})
}
