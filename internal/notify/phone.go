package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Phones hands notifications for phones to one HTTP address, the provider: the
// place where those that reach Apple's and Google's services are put.
type Phones struct {
	url, secret string
	client      *http.Client
}

// NewPhones makes one for an address that the operator configured.
func NewPhones(address, secret string, client *http.Client) (*Phones, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Fragment != "" {
		return nil, errors.New("give it as https://push.example.com/path, without user or fragment")
	}
	if secret == "" {
		return nil, errors.New("it needs a secret that signs what is sent")
	}
	return &Phones{url: address, secret: secret, client: client}, nil
}

// Signature is the header Switchboard-Signature: t=<seconds>,v1=<hex of HMAC-SHA256
// over the seconds, a point and the body>, as with webhooks.
func Signature(at time.Time, body []byte, secret string) string {
	t := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(t + "."))
	m.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(m.Sum(nil))
}

// Send posts a JSON object, signed at a time. An answer of 404 or 410 says that
// the phone's token is worth nothing any more. The error is a *Problem.
func (p *Phones) Send(ctx context.Context, at time.Time, key string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return &Problem{Reason: "the push provider's address is not one", Final: true}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Switchboard")
	req.Header.Set("Idempotency-Key", key)
	req.Header.Set("Switchboard-Signature", Signature(at, body, p.secret))
	res, err := p.client.Do(req)
	if err != nil {
		return &Problem{Reason: "the push provider could not be reached"}
	}
	return answered(res, "the push provider")
}
