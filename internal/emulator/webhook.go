package emulator

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// ceiling is the longest any webhook may take, whatever its URL asks for
// (twilio: usage/webhooks/webhooks-connection-overrides).
const ceiling = 15 * time.Second

// Sign makes X-Twilio-Signature: the URL, then every field by name with its values, under
// HMAC-SHA1 (twilio: usage/security).
func Sign(token, rawURL string, form url.Values) string {
	names := make([]string, 0, len(form))
	for k := range form {
		names = append(names, k)
	}
	sort.Strings(names)
	m := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(m, rawURL)
	for _, k := range names {
		values := append([]string(nil), form[k]...)
		sort.Strings(values)
		for i, v := range values {
			if i > 0 && v == values[i-1] {
				continue
			}
			_, _ = io.WriteString(m, k+v)
		}
	}
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// signedURL is the URL as it goes into the signature: no userinfo, no fragment, and no
// port where voice goes over https.
func signedURL(u *url.URL, voice bool) string {
	s := *u
	s.User, s.Fragment, s.RawFragment = nil, "", ""
	if voice && s.Scheme == "https" && s.Port() != "" {
		s.Host = strings.TrimSuffix(s.Host, ":"+s.Port())
	}
	return s.String()
}

// overrides are the connection overrides in a URL's fragment.
type overrides struct {
	connect, read, total time.Duration
	retries              int
	policy               map[string]bool
}

// parseOverrides reads #rc=2&rp=5xx,ct&… ; what is out of range or unknown is named.
func parseOverrides(fragment string) (o overrides, bad []string) {
	o = overrides{connect: 5 * time.Second, read: ceiling, total: ceiling, retries: 1, policy: map[string]bool{"ct": true}}
	if fragment == "" {
		return o, nil
	}
	for _, pair := range strings.Split(fragment, "&") {
		k, v, _ := strings.Cut(pair, "=")
		n, err := strconv.Atoi(v)
		ms := func(d *time.Duration, most int) {
			if err != nil || n < 100 || n > most {
				bad = append(bad, k)
				return
			}
			*d = time.Duration(n) * time.Millisecond
		}
		switch k {
		case "ct":
			ms(&o.connect, 10_000)
		case "rt":
			ms(&o.read, 15_000)
		case "tt":
			ms(&o.total, 15_000)
		case "rc":
			if err != nil || n < 0 || n > 5 {
				bad = append(bad, k)
				continue
			}
			o.retries = n
		case "rp":
			o.policy = map[string]bool{}
			for _, p := range strings.Split(v, ",") {
				switch p {
				case "4xx", "5xx", "ct", "rt", "all":
					o.policy[p] = true
				default:
					bad = append(bad, k)
				}
			}
		case "sni", "e":
		default:
			// A fragment may also be just a fragment: unknown keys are passed over.
		}
	}
	return o, bad
}

// Attempt is one try of a delivery.
type Attempt struct {
	At     time.Time `json:"at"`
	URL    string    `json:"url"`
	Status int       `json:"status,omitempty"`
	Error  string    `json:"error,omitempty"`
}

// Answer is what a webhook came back with.
type answer struct {
	status      int
	contentType string
	body        []byte
	url         string // after redirects
	code        int    // Twilio's error code, 0 when the answer is usable as HTTP
	text        string
}

// outgoing is a webhook before it is sent.
type outgoing struct {
	method, url string
	form        url.Values
	json        string // the body instead of a form
	voice       bool
	token       string // the account's auth token
	idempotency string
	jar         http.CookieJar
	limit       int64
	plain       bool // a file is fetched: nothing is signed
}

// carry sends a webhook, with retries and redirects, and never fails: errors are part of
// the answer. It runs without the lock.
func (e *Emulator) carry(ctx context.Context, o outgoing, note func(Attempt)) answer {
	u, err := url.Parse(o.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return answer{url: o.url, code: 11100, text: "not an absolute http or https URL: " + clip(o.url, 200)}
	}
	over, bad := parseOverrides(u.Fragment)
	ctx, stop := e.deadline(ctx, min(over.total, ceiling))
	defer stop()
	var a answer
	for try := 0; ; try++ {
		var class string
		a, class = e.attempt(ctx, o, u, over, note)
		if class == "" || ctx.Err() != nil || try >= over.retries || !over.policy[class] && !over.policy["all"] {
			break
		}
	}
	if len(bad) > 0 && a.code == 0 {
		note(Attempt{At: e.clk.Now(), URL: o.url, Error: "bad connection override " + strings.Join(bad, ",")})
	}
	return a
}

// deadline is a context that ends when d has passed on the emulator's clock.
func (e *Emulator) deadline(ctx context.Context, d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	var t *timer
	// From the clock and not from logical time: a clock that jumped must not time out
	// what has only just begun.
	e.read(func() { t = e.when(e.clk.Now().Add(d), cancel) })
	return ctx, func() {
		e.read(func() { e.drop(t) })
		cancel()
	}
}

// attempt is one try, redirects and authentication included. The class says which retry
// policy covers the failure; "" is no failure or one that is never retried.
func (e *Emulator) attempt(ctx context.Context, o outgoing, u *url.URL, over overrides, note func(Attempt)) (answer, string) {
	method, form, auth := o.method, o.form, false
	for hop := 0; ; {
		ctx, stop := e.deadline(ctx, over.read)
		res, body, err := e.exchange(ctx, o, method, u, form, auth, over)
		stop()
		at := Attempt{At: e.clk.Now(), URL: u.Redacted()}
		if err != nil {
			at.Error = err.Error()
			note(at)
			code, class := classify(err)
			return answer{url: u.String(), code: code, text: describe(code) + ": " + clip(err.Error(), 200)}, class
		}
		at.Status = res.StatusCode
		note(at)
		if o.jar != nil {
			o.jar.SetCookies(u, res.Cookies())
		}
		if res.StatusCode == http.StatusUnauthorized && u.User != nil && !auth && res.Header.Get("WWW-Authenticate") != "" {
			auth = true
			continue
		}
		if to := res.Header.Get("Location"); res.StatusCode >= 300 && res.StatusCode < 400 && to != "" {
			if hop++; hop > 10 {
				return answer{url: u.String(), code: 11215, text: describe(11215)}, ""
			}
			next, err := u.Parse(to)
			if err != nil {
				return answer{url: u.String(), code: 11100, text: "redirect to " + clip(to, 200)}, ""
			}
			u = next
			if res.StatusCode != http.StatusTemporaryRedirect && res.StatusCode != http.StatusPermanentRedirect {
				method, form = http.MethodGet, nil // Digits are lost here, as at Twilio
			}
			continue
		}
		a := answer{status: res.StatusCode, contentType: res.Header.Get("Content-Type"), body: body, url: u.String()}
		switch {
		case res.StatusCode >= 500:
			a.code, a.text = 11200, "got HTTP "+itoa(res.StatusCode)+" from "+u.Redacted()
			return a, "5xx"
		case res.StatusCode >= 400:
			a.code, a.text = 11200, "got HTTP "+itoa(res.StatusCode)+" from "+u.Redacted()
			return a, "4xx"
		case res.StatusCode < 200 || res.StatusCode >= 300:
			a.code, a.text = 11200, "got HTTP "+itoa(res.StatusCode)+" from "+u.Redacted()
		}
		return a, ""
	}
}

// onWire is the URL as requested and the fields that are signed beside it: a GET carries
// the fields in its query.
func onWire(method string, u *url.URL, form url.Values) (target url.URL, signed url.Values) {
	target = *u
	target.User, target.Fragment, target.RawFragment = nil, "", ""
	if method != http.MethodGet {
		return target, form
	}
	if len(form) > 0 {
		if target.RawQuery != "" {
			target.RawQuery += "&"
		}
		target.RawQuery += form.Encode()
	}
	return target, nil
}

func (e *Emulator) exchange(ctx context.Context, o outgoing, method string, u *url.URL, form url.Values, auth bool, over overrides) (*http.Response, []byte, error) {
	target, signed := onWire(method, u, form)
	var body io.Reader
	if method != http.MethodGet {
		body = strings.NewReader(cmp.Or(o.json, form.Encode()))
	}
	connect, stop := e.deadline(ctx, over.connect)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	release := context.AfterFunc(connect, func() { cancel(errConnectTimeout) })
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { release() }})
	req, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, nil, err
	}
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	if o.json != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if !o.plain {
		req.Header.Set("X-Twilio-Signature", Sign(o.token, signedURL(&target, o.voice), signed))
		req.Header.Set("I-Twilio-Idempotency-Token", o.idempotency)
		req.Header.Set("X-Home-Region", "us1")
	}
	req.Header.Set("User-Agent", "TwilioProxy/1.1")
	req.Header.Set("Accept", "*/*")
	if auth {
		pass, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), pass)
	}
	if o.jar != nil {
		for _, c := range o.jar.Cookies(&target) {
			req.AddCookie(c)
		}
	}
	res, err := e.travel(req)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errConnectTimeout) {
			err = cause
		}
		return nil, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, o.limit+1))
	if err != nil {
		return nil, nil, errPartial{err}
	}
	return res, b, nil
}

var errConnectTimeout = errors.New("connection timed out")

// errPartial is a failure after the answer had begun: never retried.
type errPartial struct{ error }

func (p errPartial) Unwrap() error { return p.error }

// classify names a transport failure as Twilio does and says which retry policy covers it.
func classify(err error) (code int, class string) {
	var (
		partial errPartial
		dns     *net.DNSError
		op      *net.OpError
		record  tls.RecordHeaderError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		cert    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &partial):
		return 11206, ""
	case errors.Is(err, errConnectTimeout):
		return 11205, "ct"
	case errors.As(err, &dns):
		return 11210, "ct"
	case errors.As(err, &record), errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &cert):
		return 11220, "ct"
	case errors.As(err, &op) && op.Op == "dial":
		return 11205, "ct"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return 11205, "rt"
	}
	return 11206, "rt"
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// Replay sends a recorded delivery again, the same bytes under the same signature and
// idempotency token, and returns what came back.
func (e *Emulator) Replay(ctx context.Context, d Delivery) (status int, body []byte, err error) {
	var token string
	e.read(func() {
		if a := e.account(d.Account); a != nil {
			token = a.token
		}
	})
	a := e.carry(ctx, outgoing{method: d.Method, url: d.URL, form: d.Form, voice: d.Voice, token: token,
		idempotency: d.Idempotency, limit: 1 << 20}, func(Attempt) {})
	if a.status == 0 {
		return 0, nil, errors.New(a.text)
	}
	return a.status, bytes.Clone(a.body), nil
}
