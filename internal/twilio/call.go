package twilio

import (
	"context"
	"strings"
	"time"

	v2010 "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/errs"
)

// CallRequest starts a call. Exactly one of URL, TwiML and ApplicationSID says what happens on it.
type CallRequest struct {
	To, From                       string
	URL, Method                    string
	TwiML                          string // at most 4000 characters
	ApplicationSID                 string
	FallbackURL                    string
	StatusCallback                 string
	StatusCallbackEvent            []string // initiated ringing answered completed
	TimeoutSeconds                 int
	TimeLimitSeconds               int
	SendDigits                     string
	CallerID, CallToken            string
	MachineDetection               string // Enable, DetectMessageEnd
	AsyncAMD                       bool
	AsyncAMDStatusCallback         string
	Record                         bool
	RecordingChannels              string
	RecordingStatusCallback        string
	RecordingStatusCallbackEvent   []string
	ClientNotificationURL          string
	SIPAuthUsername, SIPAuthSecret string
}

// Call is a leg as Twilio has it. It may lag behind the callbacks by seconds.
type Call struct {
	SID, ParentSID, AccountSID string
	From, To                   string
	Status, Direction          string
	CreatedAt                  time.Time
	StartedAt, EndedAt         time.Time // zero until then
	DurationSeconds            int
	AnsweredBy, ForwardedFrom  string
	PhoneNumberSID             string
	QueueTime                  time.Duration
	Price, PriceUnit           string // empty until rated
}

func callOf(x *v2010.ApiV2010Call) Call {
	return Call{
		SID: str(x.Sid), ParentSID: str(x.ParentCallSid), AccountSID: str(x.AccountSid), From: str(x.From), To: str(x.To),
		Status: str(x.Status), Direction: str(x.Direction), CreatedAt: when(x.DateCreated), StartedAt: when(x.StartTime), EndedAt: when(x.EndTime),
		DurationSeconds: digits(x.Duration), AnsweredBy: str(x.AnsweredBy), ForwardedFrom: str(x.ForwardedFrom),
		PhoneNumberSID: str(x.PhoneNumberSid), QueueTime: time.Duration(digits(x.QueueTime)) * time.Millisecond,
		Price: str(x.Price), PriceUnit: str(x.PriceUnit),
	}
}

// CreateCall starts a call. When the error is Ambiguous the phone may be
// ringing: look for it with ListCalls before starting another.
func (c *Client) CreateCall(ctx context.Context, r CallRequest) (Call, error) {
	ways := 0
	for _, w := range []string{r.URL, r.TwiML, r.ApplicationSID} {
		if w != "" {
			ways++
		}
	}
	if ways != 1 || r.To == "" || r.From == "" {
		return Call{}, errs.New(errs.Invalid, "a call needs a number to call, a caller ID and one of URL, TwiML or TwiML App")
	}
	p := &v2010.CreateCallParams{
		To: &r.To, From: &r.From, Url: set(r.URL), Method: set(r.Method), Twiml: set(r.TwiML), ApplicationSid: set(r.ApplicationSID),
		FallbackUrl: set(r.FallbackURL), StatusCallback: set(r.StatusCallback), StatusCallbackEvent: list(r.StatusCallbackEvent),
		Timeout: set(r.TimeoutSeconds), TimeLimit: set(r.TimeLimitSeconds), SendDigits: set(r.SendDigits),
		CallerId: set(r.CallerID), CallToken: set(r.CallToken), MachineDetection: set(r.MachineDetection),
		AsyncAmdStatusCallback: set(r.AsyncAMDStatusCallback), Record: set(r.Record), RecordingChannels: set(r.RecordingChannels),
		RecordingStatusCallback: set(r.RecordingStatusCallback), RecordingStatusCallbackEvent: list(r.RecordingStatusCallbackEvent),
		ClientNotificationUrl: set(r.ClientNotificationURL), SipAuthUsername: set(r.SIPAuthUsername), SipAuthPassword: set(r.SIPAuthSecret),
	}
	if r.AsyncAMD {
		p.AsyncAmd = set("true")
	}
	x, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Call, error) { return s.CreateCall(p) })
	if err != nil {
		return Call{}, err
	}
	return callOf(x), nil
}

// CallUpdate changes a running call: its status, or the document it is on.
type CallUpdate struct {
	Status         string // canceled (before it rings out), completed (any time)
	URL, Method    string
	TwiML          string
	FallbackURL    string
	StatusCallback string
}

// UpdateCall changes a running call. One that is over gives error 21220.
func (c *Client) UpdateCall(ctx context.Context, sid string, u CallUpdate) (Call, error) {
	if err := CheckSID(CallSID, sid); err != nil {
		return Call{}, err
	}
	x, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Call, error) {
		return s.UpdateCall(sid, &v2010.UpdateCallParams{
			Status: set(u.Status), Url: set(u.URL), Method: set(u.Method), Twiml: set(u.TwiML),
			FallbackUrl: set(u.FallbackURL), StatusCallback: set(u.StatusCallback),
		})
	})
	if err != nil {
		return Call{}, err
	}
	return callOf(x), nil
}

// FetchCall reads one leg.
func (c *Client) FetchCall(ctx context.Context, sid string) (Call, error) {
	if err := CheckSID(CallSID, sid); err != nil {
		return Call{}, err
	}
	x, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Call, error) { return s.FetchCall(sid, nil) })
	if err != nil {
		return Call{}, err
	}
	return callOf(x), nil
}

// CallFilter narrows ListCalls.
type CallFilter struct {
	To, From, ParentSID         string
	Status                      string
	StartedAfter, StartedBefore time.Time
	Limit                       int // 0 is 100
}

// ListCalls lists legs, newest first. Calls that still wait in the queue have not
// started: they come only without a time.
func (c *Client) ListCalls(ctx context.Context, f CallFilter) (calls []Call, err error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	params := &v2010.ListCallParams{
		To: set(f.To), From: set(f.From), ParentCallSid: set(f.ParentSID), Status: set(f.Status),
		StartTimeAfter: since(f.StartedAfter), StartTimeBefore: since(f.StartedBefore), PageSize: set(min(f.Limit, 1000)),
	}
	err = pages(func(token, page string) (*string, error) {
		p, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListCallResponse, error) { return s.PageCall(params, token, page) })
		if err != nil {
			return nil, err
		}
		for i := range p.Calls {
			if calls = append(calls, callOf(&p.Calls[i])); len(calls) == f.Limit {
				return nil, errStop
			}
		}
		return p.NextPageUri, nil
	})
	return calls, err
}

func since(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Ended reports whether a status is the last that a leg has.
func Ended(status string) bool {
	switch strings.ToLower(status) {
	case "completed", "busy", "failed", "no-answer", "canceled":
		return true
	}
	return false
}
