package twilio

import (
	"context"
	"encoding/json"
	"net/http"

	accounts "github.com/twilio/twilio-go/rest/accounts/v1"
	messaging "github.com/twilio/twilio-go/rest/messaging/v1"

	"switchboard/internal/errs"
)

// MessagingService is a pool of numbers that can take over the texts of a number.
type MessagingService struct {
	SID, Name        string
	InboundURL       string // "" with UseNumberWebhook false: texts that come in go nowhere
	InboundMethod    string
	UseNumberWebhook bool // texts go to the number's own URL
	FallbackURL      string
	StatusCallback   string
}

func messagingService(s *messaging.MessagingV1Service) MessagingService {
	return MessagingService{
		SID: str(s.Sid), Name: str(s.FriendlyName), InboundURL: str(s.InboundRequestUrl), InboundMethod: str(s.InboundMethod),
		UseNumberWebhook: s.UseInboundWebhookOnNumber != nil && *s.UseInboundWebhookOnNumber,
		FallbackURL:      str(s.FallbackUrl), StatusCallback: str(s.StatusCallback),
	}
}

// servicePage is how many rows a page of a messaging list has; Twilio gives 100 at most.
const servicePage = 100

// listed walks one of the lists of the messaging API.
func listed[P any](ctx context.Context, c *Client, get func(s *messaging.ApiService, token, page string) (P, error), take func(P) (next *string, err error)) error {
	return pages(func(token, page string) (*string, error) {
		p, err := sendTo(ctx, c, messaging.NewApiService, func(s *messaging.ApiService) (P, error) { return get(s, token, page) })
		if err != nil {
			return nil, err
		}
		return take(p)
	})
}

// ListServices gives the Messaging Services of the account page by page; an error of fn ends it.
func (c *Client) ListServices(ctx context.Context, fn func([]MessagingService) error) error {
	return listed(ctx, c, func(s *messaging.ApiService, token, page string) (*messaging.ListServiceResponse, error) {
		return s.PageService(&messaging.ListServiceParams{PageSize: set(servicePage)}, token, page)
	}, func(p *messaging.ListServiceResponse) (*string, error) {
		some := make([]MessagingService, 0, len(p.Services))
		for i := range p.Services {
			if x := messagingService(&p.Services[i]); CheckSID(MessagingServiceSID, x.SID) == nil {
				some = append(some, x)
			}
		}
		return p.Meta.NextPageUrl, fn(some)
	})
}

// ListServiceNumbers gives the SIDs of the numbers in a Messaging Service page by page; an error of fn ends it.
func (c *Client) ListServiceNumbers(ctx context.Context, service string, fn func(sids []string) error) error {
	if err := CheckSID(MessagingServiceSID, service); err != nil {
		return err
	}
	return listed(ctx, c, func(s *messaging.ApiService, token, page string) (*messaging.ListPhoneNumberResponse, error) {
		return s.PagePhoneNumber(service, &messaging.ListPhoneNumberParams{PageSize: set(servicePage)}, token, page)
	}, func(p *messaging.ListPhoneNumberResponse) (*string, error) {
		sids := make([]string, len(p.PhoneNumbers))
		for i, n := range p.PhoneNumbers {
			sids[i] = str(n.Sid)
		}
		return p.Meta.NextPageUrl, fn(sids)
	})
}

// FetchService reads one Messaging Service.
func (c *Client) FetchService(ctx context.Context, sid string) (MessagingService, error) {
	if err := CheckSID(MessagingServiceSID, sid); err != nil {
		return MessagingService{}, err
	}
	x, err := sendTo(ctx, c, messaging.NewApiService, func(s *messaging.ApiService) (*messaging.MessagingV1Service, error) {
		return s.FetchService(sid)
	})
	if err != nil {
		return MessagingService{}, err
	}
	return messagingService(x), nil
}

// ServiceOf finds the Messaging Service that a number belongs to; ok is false
// when it belongs to none. Twilio has no index for this: every service is asked.
func (c *Client) ServiceOf(ctx context.Context, numberSID string) (s MessagingService, ok bool, err error) {
	if err := CheckSID(PhoneNumberSID, numberSID); err != nil {
		return s, false, err
	}
	err = c.ListServices(ctx, func(some []MessagingService) error {
		for _, x := range some {
			_, err := sendTo(ctx, c, messaging.NewApiService, func(api *messaging.ApiService) (*messaging.MessagingV1PhoneNumber, error) {
				return api.FetchPhoneNumber(x.SID, numberSID)
			})
			if NotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			s, ok = x, true
			return errStop
		}
		return nil
	})
	return s, ok, err
}

// SetServiceInbound says where a Messaging Service sends what comes in to its
// numbers, "" for nowhere, and returns the service as read back afterwards.
func (c *Client) SetServiceInbound(ctx context.Context, sid, address, method string) (MessagingService, error) {
	if err := CheckSID(MessagingServiceSID, sid); err != nil {
		return MessagingService{}, err
	}
	if method == "" {
		method = http.MethodPost
	}
	_, err := sendTo(ctx, c, messaging.NewApiService, func(s *messaging.ApiService) (*messaging.MessagingV1Service, error) {
		return s.UpdateService(sid, &messaging.UpdateServiceParams{InboundRequestUrl: &address, InboundMethod: &method})
	})
	if err != nil {
		return MessagingService{}, err
	}
	return c.FetchService(ctx, sid)
}

// CampaignVerified is Twilio's word for a Messaging Service that may send to the
// United States (A2P 10DLC), TollFreeApproved that for a toll-free number.
const (
	CampaignVerified = "VERIFIED"
	TollFreeApproved = "TWILIO_APPROVED"
)

// CampaignStatus is how far the A2P 10DLC campaign of a Messaging Service is, in
// Twilio's word; "" when it has none.
func (c *Client) CampaignStatus(ctx context.Context, service string) (status string, err error) {
	if err := CheckSID(MessagingServiceSID, service); err != nil {
		return "", err
	}
	err = listed(ctx, c, func(s *messaging.ApiService, token, page string) (*messaging.ListUsAppToPersonResponse, error) {
		return s.PageUsAppToPerson(service, &messaging.ListUsAppToPersonParams{PageSize: set(servicePage)}, token, page)
	}, func(p *messaging.ListUsAppToPersonResponse) (*string, error) {
		for _, x := range p.Compliance {
			status = better(status, str(x.CampaignStatus), CampaignVerified)
		}
		return p.Meta.NextPageUrl, nil
	})
	if NotFound(err) { // that is how a service without one is answered, too
		err = nil
	}
	return status, err
}

// TollFreeStatuses are how far the verifications of toll-free numbers are, by the
// number's SID, in Twilio's words.
func (c *Client) TollFreeStatuses(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	err := listed(ctx, c, func(s *messaging.ApiService, token, page string) (*messaging.ListTollfreeVerificationResponse, error) {
		return s.PageTollfreeVerification(&messaging.ListTollfreeVerificationParams{PageSize: set(servicePage)}, token, page)
	}, func(p *messaging.ListTollfreeVerificationResponse) (*string, error) {
		for _, x := range p.Verifications {
			n := str(x.TollfreePhoneNumberSid)
			out[n] = better(out[n], str(x.Status), TollFreeApproved)
		}
		return p.Meta.NextPageUrl, nil
	})
	return out, err
}

// better keeps the first word that was said, unless a later one is the good one.
func better(was, word, good string) string {
	if was == "" || word == good {
		return word
	}
	return was
}

// MessageCountries are the countries (ISO) that the account may send messages to,
// false for those that it may not.
func (c *Client) MessageCountries(ctx context.Context) (map[string]bool, error) {
	got, err := sendTo(ctx, c, accounts.NewApiService, func(s *accounts.ApiService) (*accounts.AccountsV1MessagingGeopermissions, error) {
		return s.FetchMessagingGeopermissions(nil)
	})
	if err != nil {
		return nil, err
	}
	var list []struct {
		Country string `json:"country_code"`
		Enabled bool   `json:"enabled"`
	}
	b, err := json.Marshal(got.Permissions) // twilio-go has no type for it
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		return nil, unreadable(err, true)
	}
	out := make(map[string]bool, len(list))
	for _, x := range list {
		if len(x.Country) == 2 {
			out[x.Country] = x.Enabled
		}
	}
	if len(out) == 0 {
		return nil, errs.New(errs.ProviderUnavailable, "Twilio did not say which countries the account may write to; try again later")
	}
	return out, nil
}
