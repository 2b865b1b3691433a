package notify

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	webpush "github.com/SherClockHolmes/webpush-go"
)

const (
	// MaxPush is the most that one web push may say, in bytes: what every push
	// service takes once it is encrypted (RFC 8030, 7.2).
	MaxPush     = 3 << 10
	maxEndpoint = 1024
	pushTTL     = 24 * time.Hour // how long a browser may be away and still be told
)

// Browser is where a browser is told, as its PushSubscription says.
type Browser struct {
	Endpoint string `json:"endpoint"`
	P256DH   string `json:"p256dh"`
	Auth     string `json:"auth"`
}

// WebPush tells browsers, signed with the installation's key (VAPID, RFC 8292).
type WebPush struct {
	private, public string
	subject         string
	client          *http.Client
}

// NewWebPushKey makes a private key, base64url.
func NewWebPushKey() (string, error) {
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(k.Bytes()), nil
}

// NewWebPush makes one. The subject, an https address or an e-mail address, tells
// push services whom to ask; the client must refuse addresses inside and follow no
// redirects: endpoints are given by clients.
func NewWebPush(private, subject string, client *http.Client) (*WebPush, error) {
	raw, err := unpadded(private)
	if err != nil {
		return nil, errors.New("the key of web push is not base64url")
	}
	k, err := ecdh.P256().NewPrivateKey(raw)
	if err != nil {
		return nil, errors.New("the key of web push is not a private key of P-256: 32 bytes, base64url")
	}
	return &WebPush{
		private: base64.RawURLEncoding.EncodeToString(k.Bytes()), public: base64.RawURLEncoding.EncodeToString(k.PublicKey().Bytes()),
		subject: strings.TrimPrefix(subject, "mailto:"), client: client,
	}, nil
}

// PublicKey is what browsers subscribe with: an uncompressed point, base64url.
func (w *WebPush) PublicKey() string { return w.public }

// Push is what a browser is told.
type Push struct {
	Body []byte
	// Topic replaces what was sent on the same topic and not fetched yet; letters, digits, - and _, 32 at most.
	Topic  string
	Urgent bool
}

// Send hands a push to the browser's push service, encrypted for the browser. The
// error is a *Problem.
func (w *WebPush) Send(ctx context.Context, to Browser, p Push) error {
	if len(p.Body) > MaxPush {
		return &Problem{Reason: fmt.Sprintf("it has %d bytes; %d are allowed", len(p.Body), MaxPush), Final: true}
	}
	urgency := webpush.UrgencyNormal
	if p.Urgent {
		urgency = webpush.UrgencyHigh
	}
	res, err := webpush.SendNotificationWithContext(ctx, p.Body, &webpush.Subscription{Endpoint: to.Endpoint, Keys: webpush.Keys{Auth: to.Auth, P256dh: to.P256DH}}, &webpush.Options{
		HTTPClient: w.client, Subscriber: w.subject, VAPIDPublicKey: w.public, VAPIDPrivateKey: w.private,
		TTL: int(pushTTL / time.Second), Topic: p.Topic, Urgency: urgency,
	})
	if err != nil {
		return &Problem{Reason: "the push service could not be reached"}
	}
	return answered(res, "the push service")
}

// CheckBrowser says what is wrong with a subscription, and which part; "" when
// nothing is. Where its name leads is looked at again at every connection; loopback,
// for tests and development, lets it be on this machine and without https.
func CheckBrowser(b Browser, public func(netip.Addr) bool, loopback bool) (part, problem string) {
	if len(b.Endpoint) > maxEndpoint {
		return "endpoint", fmt.Sprintf("the endpoint has more than %d characters", maxEndpoint)
	}
	u, err := url.Parse(b.Endpoint)
	if err != nil || u.Host == "" || u.Opaque != "" || strings.ContainsFunc(b.Endpoint, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "endpoint", "the endpoint is not a web address; send what the browser's PushSubscription says"
	}
	switch port, _ := strconv.Atoi(u.Port()); {
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback):
		return "endpoint", "the endpoint must begin with https://"
	case u.User != nil || u.Fragment != "":
		return "endpoint", "the endpoint must hold no user name, password or part after #"
	case u.Hostname() == "" || strings.Contains(u.Hostname(), "%"):
		return "endpoint", "the endpoint has no host that can be reached"
	case u.Port() != "" && port != 443 && (!loopback || port < 1024):
		return "endpoint", "the endpoint must use port 443"
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !public(ip) && (!loopback || !ip.Unmap().IsLoopback()) {
		return "endpoint", "the endpoint is not on the public internet"
	}
	if key, err := unpadded(b.P256DH); err != nil || len(key) != 65 {
		return "p256dh", "p256dh is not a public key: 65 bytes, base64url"
	} else if _, err := ecdh.P256().NewPublicKey(key); err != nil {
		return "p256dh", "p256dh is not a point of P-256"
	}
	if auth, err := unpadded(b.Auth); err != nil || len(auth) != 16 {
		return "auth", "auth is not a secret of 16 bytes, base64url"
	}
	return "", ""
}

// Host is the host of an endpoint that was checked.
func (b Browser) Host() string {
	u, err := url.Parse(b.Endpoint)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// unpadded reads base64url with or without its padding.
func unpadded(s string) ([]byte, error) {
	if len(s) > 128 {
		return nil, errors.New("too long")
	}
	return base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
}
