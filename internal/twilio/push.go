package twilio

import (
	"context"
	"net/http"
	"net/url"

	"switchboard/internal/errs"
)

const notifyBase = "https://notify.twilio.com"

// PushKey is what wakes the mobile devices of an account: an APNs certificate with
// its key, or a Firebase secret (twilio.com/docs/notify/api/credential-resource).
type PushKey struct {
	Name        string
	Certificate string // APNs, PEM
	PrivateKey  string // APNs, PEM
	Sandbox     bool   // APNs, for development builds
	Secret      string // Firebase
}

// CreatePushCredential gives the account what wakes its devices and is the SID.
// When the error is Ambiguous it may exist: look for its name.
func (c *Client) CreatePushCredential(ctx context.Context, k PushKey) (sid string, err error) {
	form := url.Values{"FriendlyName": {k.Name}}
	if k.Secret != "" {
		form.Set("Type", "fcm")
		form.Set("Secret", k.Secret)
	} else {
		form.Set("Type", "apn")
		form.Set("Certificate", k.Certificate)
		form.Set("PrivateKey", k.PrivateKey)
		if form.Set("Sandbox", "false"); k.Sandbox {
			form.Set("Sandbox", "true")
		}
	}
	var x struct {
		SID string `json:"sid"`
	}
	if err := c.raw(ctx, http.MethodPost, notifyBase+"/v1/Credentials", form, &x); err != nil {
		return "", err
	}
	return x.SID, CheckSID(PushCredentialSID, x.SID)
}

// FindPushCredential is the SID of the credential with the name, "" when there is none.
func (c *Client) FindPushCredential(ctx context.Context, name string) (sid string, err error) {
	next := notifyBase + "/v1/Credentials?PageSize=50"
	for range maxPages {
		var page struct {
			Credentials []struct {
				SID  string `json:"sid"`
				Name string `json:"friendly_name"`
			} `json:"credentials"`
			Meta struct {
				Next *string `json:"next_page_url"`
			} `json:"meta"`
		}
		if err := c.raw(ctx, http.MethodGet, next, nil, &page); err != nil {
			return "", err
		}
		for _, x := range page.Credentials {
			if x.Name == name {
				return x.SID, nil
			}
		}
		if page.Meta.Next == nil || *page.Meta.Next == "" {
			return "", nil
		}
		u, err := url.Parse(*page.Meta.Next)
		if err != nil {
			return "", errs.New(errs.ProviderUnavailable, "Twilio's list of credentials is not readable")
		}
		next = notifyBase + u.RequestURI()
	}
	return "", nil
}

// DeletePushCredential takes a credential away; one that is gone is fine.
func (c *Client) DeletePushCredential(ctx context.Context, sid string) error {
	if err := CheckSID(PushCredentialSID, sid); err != nil {
		return err
	}
	err := c.raw(ctx, http.MethodDelete, notifyBase+"/v1/Credentials/"+sid, nil, nil)
	if NotFound(err) {
		return nil
	}
	return err
}
