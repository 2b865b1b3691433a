package twilio

import (
	"context"
	"net/http"
	"net/url"

	v2010 "github.com/twilio/twilio-go/rest/api/v2010"
)

// Account is a Twilio account.
type Account struct {
	SID, OwnerSID string
	Name          string
	Status        string // active, suspended, closed
	Type          string // Trial, Full
}

// FetchAccount reads the account itself. It needs the auth token: standard API
// keys are refused (20003).
func (c *Client) FetchAccount(ctx context.Context) (Account, error) {
	a, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Account, error) { return s.FetchAccount(c.account) })
	if err != nil {
		return Account{}, err
	}
	return Account{SID: str(a.Sid), OwnerSID: str(a.OwnerAccountSid), Name: str(a.FriendlyName), Status: str(a.Status), Type: str(a.Type)}, nil
}

// Probe tells whether the credentials work, by a request that every kind of key may make.
func (c *Client) Probe(ctx context.Context) error {
	_, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListIncomingPhoneNumberResponse, error) {
		return s.PageIncomingPhoneNumber(&v2010.ListIncomingPhoneNumberParams{PageSize: set(1)}, "", "")
	})
	return err
}

// Key is an API key. The secret is there only in the answer to CreateKey.
type Key struct{ SID, Name, Secret string }

// CreateKey makes a standard API key, as access tokens need.
func (c *Client) CreateKey(ctx context.Context, name string) (Key, error) {
	k, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010NewKey, error) {
		return s.CreateNewKey(&v2010.CreateNewKeyParams{FriendlyName: &name})
	})
	if err != nil {
		return Key{}, err
	}
	return Key{SID: str(k.Sid), Name: str(k.FriendlyName), Secret: str(k.Secret)}, nil
}

// ListKeys lists the API keys with the name, all when it is empty.
func (c *Client) ListKeys(ctx context.Context, name string) (keys []Key, err error) {
	err = pages(func(token, page string) (*string, error) {
		p, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListKeyResponse, error) {
			return s.PageKey(&v2010.ListKeyParams{PageSize: set(pageSize)}, token, page)
		})
		if err != nil {
			return nil, err
		}
		for _, k := range p.Keys {
			if name == "" || str(k.FriendlyName) == name {
				keys = append(keys, Key{SID: str(k.Sid), Name: str(k.FriendlyName)})
			}
		}
		return p.NextPageUri, nil
	})
	return keys, err
}

// DeleteKey deletes an API key; one that is gone is fine.
func (c *Client) DeleteKey(ctx context.Context, sid string) error {
	return c.delete(ctx, KeySID, sid, func(s *v2010.ApiService) error { return s.DeleteKey(sid, nil) })
}

func (c *Client) delete(ctx context.Context, kind SIDKind, sid string, fn func(*v2010.ApiService) error) error {
	if err := CheckSID(kind, sid); err != nil {
		return err
	}
	_, err := send(ctx, c, func(s *v2010.ApiService) (struct{}, error) { return struct{}{}, fn(s) })
	if NotFound(err) {
		return nil
	}
	return err
}

// Application is a TwiML App: where apps that call out are sent.
type Application struct {
	SID, Name                                string
	VoiceURL, VoiceMethod                    string
	VoiceFallbackURL, VoiceFallbackMethod    string
	StatusCallback, StatusCallbackMethod     string
	SMSURL, SMSMethod                        string
	SMSFallbackURL, SMSFallbackMethod        string
	SMSStatusCallback, MessageStatusCallback string
}

func application(a *v2010.ApiV2010Application) Application {
	return Application{
		SID: str(a.Sid), Name: str(a.FriendlyName), VoiceURL: str(a.VoiceUrl), VoiceMethod: str(a.VoiceMethod),
		VoiceFallbackURL: str(a.VoiceFallbackUrl), VoiceFallbackMethod: str(a.VoiceFallbackMethod),
		StatusCallback: str(a.StatusCallback), StatusCallbackMethod: str(a.StatusCallbackMethod),
		SMSURL: str(a.SmsUrl), SMSMethod: str(a.SmsMethod), SMSFallbackURL: str(a.SmsFallbackUrl), SMSFallbackMethod: str(a.SmsFallbackMethod),
		SMSStatusCallback: str(a.SmsStatusCallback), MessageStatusCallback: str(a.MessageStatusCallback),
	}
}

// CreateApplication makes a TwiML App; the SID of a is ignored.
func (c *Client) CreateApplication(ctx context.Context, a Application) (Application, error) {
	got, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Application, error) {
		return s.CreateApplication(&v2010.CreateApplicationParams{
			FriendlyName: set(a.Name), VoiceUrl: set(a.VoiceURL), VoiceMethod: set(a.VoiceMethod),
			VoiceFallbackUrl: set(a.VoiceFallbackURL), VoiceFallbackMethod: set(a.VoiceFallbackMethod),
			StatusCallback: set(a.StatusCallback), StatusCallbackMethod: set(a.StatusCallbackMethod),
			SmsUrl: set(a.SMSURL), SmsMethod: set(a.SMSMethod), SmsFallbackUrl: set(a.SMSFallbackURL), SmsFallbackMethod: set(a.SMSFallbackMethod),
			SmsStatusCallback: set(a.SMSStatusCallback), MessageStatusCallback: set(a.MessageStatusCallback),
		})
	})
	if err != nil {
		return Application{}, err
	}
	return application(got), nil
}

// UpdateApplication writes every URL of a, an empty one too; empty methods stay as they are.
func (c *Client) UpdateApplication(ctx context.Context, a Application) (Application, error) {
	if err := CheckSID(ApplicationSID, a.SID); err != nil {
		return Application{}, err
	}
	got, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Application, error) {
		return s.UpdateApplication(a.SID, &v2010.UpdateApplicationParams{
			FriendlyName: set(a.Name), VoiceUrl: &a.VoiceURL, VoiceMethod: set(a.VoiceMethod),
			VoiceFallbackUrl: &a.VoiceFallbackURL, VoiceFallbackMethod: set(a.VoiceFallbackMethod),
			StatusCallback: &a.StatusCallback, StatusCallbackMethod: set(a.StatusCallbackMethod),
			SmsUrl: &a.SMSURL, SmsMethod: set(a.SMSMethod), SmsFallbackUrl: &a.SMSFallbackURL, SmsFallbackMethod: set(a.SMSFallbackMethod),
			SmsStatusCallback: &a.SMSStatusCallback, MessageStatusCallback: &a.MessageStatusCallback,
		})
	})
	if err != nil {
		return Application{}, err
	}
	return application(got), nil
}

// ListApplications lists the TwiML Apps with the name, all when it is empty.
func (c *Client) ListApplications(ctx context.Context, name string) (apps []Application, err error) {
	err = pages(func(token, page string) (*string, error) {
		p, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListApplicationResponse, error) {
			return s.PageApplication(&v2010.ListApplicationParams{FriendlyName: set(name), PageSize: set(pageSize)}, token, page)
		})
		if err != nil {
			return nil, err
		}
		for i := range p.Applications {
			if a := application(&p.Applications[i]); name == "" || a.Name == name {
				apps = append(apps, a)
			}
		}
		return p.NextPageUri, nil
	})
	return apps, err
}

// DeleteApplication deletes a TwiML App; one that is gone is fine.
func (c *Client) DeleteApplication(ctx context.Context, sid string) error {
	return c.delete(ctx, ApplicationSID, sid, func(s *v2010.ApiService) error { return s.DeleteApplication(sid, nil) })
}

// CreateSecondaryToken makes the auth token that will be the next. It works for
// requests at once and signs no webhooks before PromoteToken.
func (c *Client) CreateSecondaryToken(ctx context.Context) (token string, err error) {
	var t struct {
		Token string `json:"secondary_auth_token"`
	}
	err = c.raw(ctx, http.MethodPost, accountsBase+"/v1/AuthTokens/Secondary", url.Values{}, &t)
	return t.Token, err
}

// PromoteToken makes the secondary auth token the primary one: from now on
// Twilio signs with it, and the old one is gone.
func (c *Client) PromoteToken(ctx context.Context) (token string, err error) {
	var t struct {
		Token string `json:"auth_token"`
	}
	err = c.raw(ctx, http.MethodPost, accountsBase+"/v1/AuthTokens/Promote", url.Values{}, &t)
	return t.Token, err
}

// DeleteSecondaryToken gives up a rotation; one that is gone is fine.
func (c *Client) DeleteSecondaryToken(ctx context.Context) error {
	err := c.raw(ctx, http.MethodDelete, accountsBase+"/v1/AuthTokens/Secondary", nil, nil)
	if NotFound(err) {
		return nil
	}
	return err
}
