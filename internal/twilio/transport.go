package twilio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	defaultTimeout = 15 * time.Second // Twilio's call creation can take over ten
	maxAnswer      = 8 << 20          // a page of a thousand numbers is about 2 MB
	maxErrorBody   = 64 << 10
	maxTries       = 3
	maxWait        = 2 * time.Second // a longer Retry-After is the caller's to keep
)

// TransportOptions configure a Transport; the zero value is production.
type TransportOptions struct {
	// BaseURL sends everything meant for *.twilio.com there instead, with the
	// meant host in X-Original-Host: the emulator.
	BaseURL *url.URL
	// Next carries the requests; nil is a pool of its own connections.
	Next http.RoundTripper
	// Timeout bounds each attempt; 0 is 15 seconds.
	Timeout time.Duration
	// Observe is told of every attempt, for metrics and logs. It gets no secrets
	// and no phone numbers.
	Observe func(Attempt)
	// Wait sleeps between attempts; nil is a timer that ends with ctx. Tests move a clock.
	Wait func(ctx context.Context, d time.Duration) error
}

// Attempt is one request to Twilio, for metrics and logs.
type Attempt struct {
	Method   string
	Host     string // api.twilio.com, also when the emulator answers
	Resource string // the path with {AC}, {CA}, … in place of SIDs; no query
	Status   int    // 0 when no answer came
	Code     int    // Twilio's error number
	Account  string // the SID that the request proved itself with: of an account, or of a key
	Try      int    // 1 for the first
	Duration time.Duration
	Err      error
}

// Transport is the one way to Twilio, shared by all clients. It gives every
// attempt a deadline, empties and closes every answer so that connections are
// used again, follows Retry-After where a repetition is safe, never repeats a
// request that may have taken effect, and sends credentials to *.twilio.com only.
// Errors, also those with a status, come as *Error.
type Transport struct {
	o      TransportOptions
	traced bool // Next reports through httptrace whether the request was written
}

// NewTransport makes a Transport.
func NewTransport(o TransportOptions) *Transport {
	if o.Next == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 16, 32
		t.ResponseHeaderTimeout = defaultTimeout
		o.Next = t
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	_, traced := o.Next.(*http.Transport)
	return &Transport{o: o, traced: traced}
}

// Emulated reports whether requests go elsewhere than to Twilio.
func (t *Transport) Emulated() bool { return t.o.BaseURL != nil }

// Close closes the idle connections.
func (t *Transport) Close() {
	if c, ok := t.o.Next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

type streamKey struct{}

// streamed marks a request whose good answer is too large to be read at once.
func streamed(ctx context.Context) context.Context { return context.WithValue(ctx, streamKey{}, true) }

// RoundTrip implements http.RoundTripper, but for the error: an answer that is
// not success is an *Error and no response. Redirects are success.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	safe := req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodDelete
	for try := 1; ; try++ {
		start := time.Now()
		resp, err := t.attempt(req, safe)
		t.observe(req, resp, err, try, time.Since(start))
		if err == nil {
			return resp, nil
		}
		delay, again := t.again(err, safe, try)
		if !again || t.o.Wait(req.Context(), delay) != nil {
			return nil, err
		}
		next, rerr := rewound(req)
		if rerr != nil {
			return nil, err
		}
		req = next
	}
}

// again decides whether the attempt may be repeated, and after how long.
func (t *Transport) again(err *Error, safe bool, try int) (time.Duration, bool) {
	if try >= maxTries || err.Ambiguous || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return 0, false
	}
	// Twilio says of 20429 that the request was never processed.
	if err.Code != 20429 && (!safe || (err.Status != 429 && err.Status < 500 && err.Status != 0)) {
		return 0, false
	}
	if err.RetryAfter > maxWait {
		return 0, false
	}
	delay := time.Duration(float64(250*time.Millisecond) * float64(int(1)<<(try-1)) * (0.5 + rand.Float64()))
	return max(delay, err.RetryAfter), true
}

func rewound(req *http.Request) (*http.Request, error) {
	next := req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return next, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("twilio: the body cannot be sent again")
	}
	body, err := req.GetBody()
	next.Body = body
	return next, err
}

// attempt sends the request once. The error is nil or an *Error.
func (t *Transport) attempt(orig *http.Request, safe bool) (*http.Response, *Error) {
	stream := orig.Context().Value(streamKey{}) != nil
	ctx, cancel := orig.Context(), context.CancelFunc(func() {})
	if !stream {
		ctx, cancel = context.WithTimeout(ctx, t.o.Timeout)
	}
	defer cancel()
	var written atomic.Bool
	written.Store(!t.traced)
	req := orig.Clone(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { written.Store(true) },
	}))
	if !twilioHost(req.URL.Hostname()) {
		req.Header.Del("Authorization")
	} else if t.o.BaseURL != nil {
		req.Header.Set("X-Original-Host", req.URL.Host)
		req.URL.Scheme, req.URL.Host, req.Host = t.o.BaseURL.Scheme, t.o.BaseURL.Host, ""
	}
	resp, err := t.o.Next.RoundTrip(req)
	if err != nil {
		return nil, &Error{Message: "no answer: " + plainCause(err), Ambiguous: !safe && written.Load(), cause: err}
	}
	if stream && resp.StatusCode < 400 {
		return resp, nil
	}
	limit := int64(maxAnswer)
	if resp.StatusCode >= 400 {
		limit = maxErrorBody
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	_ = resp.Body.Close()
	switch {
	case resp.StatusCode >= 400:
		return nil, refused(resp, body, safe)
	case err != nil:
		return nil, &Error{Status: resp.StatusCode, Message: "the answer was cut off", Ambiguous: !safe, cause: err}
	case int64(len(body)) > limit:
		return nil, &Error{Status: resp.StatusCode, Message: "the answer is too large", Ambiguous: !safe}
	case resp.StatusCode < 300 && resp.StatusCode != http.StatusNoContent && !json.Valid(body):
		return nil, &Error{Status: resp.StatusCode, Message: "the answer is not JSON", Ambiguous: !safe}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil
}

// refused turns an answer with an error status into an *Error. An answer that is
// not in Twilio's form comes from something in between, and says nothing about
// whether Twilio carried the request out.
func refused(resp *http.Response, body []byte, safe bool) *Error {
	e := &Error{Status: resp.StatusCode, Message: http.StatusText(resp.StatusCode), RetryAfter: retryAfter(resp.Header)}
	var said struct {
		Code    json.Number `json:"code"` // a number, or text in some products
		Message string      `json:"message"`
	}
	if err := json.Unmarshal(body, &said); err == nil && said.Message != "" {
		code, _ := strconv.Atoi(said.Code.String())
		e.Code, e.Message = code, redact(said.Message)
		e.Ambiguous = !safe && resp.StatusCode >= 500
		return e
	}
	if e.Message == "" {
		e.Message = "an answer that is not from Twilio"
	}
	e.Ambiguous = !safe && resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusTooManyRequests
	return e
}

// retryAfter reads seconds or an HTTP date against the answer's own Date.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil && s > 0 {
		return min(time.Duration(s)*time.Second, time.Hour)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil || at.Before(now) {
		return 0
	}
	return min(at.Sub(now), time.Hour)
}

func twilioHost(host string) bool {
	return host == "twilio.com" || strings.HasSuffix(host, ".twilio.com")
}

// plainCause says why there was no answer without the URL, which url.Error repeats.
func plainCause(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var ne net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "the request was given up"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return "it took too long"
	}
	return redact(err.Error())
}

func (t *Transport) observe(req *http.Request, resp *http.Response, err *Error, try int, took time.Duration) {
	if t.o.Observe == nil {
		return
	}
	a := Attempt{Method: req.Method, Host: req.URL.Host, Resource: Resource(req.URL.Path), Try: try, Duration: took}
	a.Account, _, _ = req.BasicAuth()
	if resp != nil {
		a.Status = resp.StatusCode
	}
	if err != nil {
		a.Status, a.Code, a.Err = err.Status, err.Code, err
	}
	t.o.Observe(a)
}

var sidInPath = regexp.MustCompile(`\b([A-Z]{2})[0-9a-fA-F]{32}\b`)

// Resource is a path with the kinds of its SIDs instead of the SIDs, so that
// metrics stay few: /2010-04-01/Accounts/{AC}/Calls/{CA}.json.
func Resource(path string) string { return redact(sidInPath.ReplaceAllString(path, "{$1}")) }

// unreadable is the error of an answer that is JSON of another shape.
func unreadable(err error, safe bool) *Error {
	return &Error{Message: fmt.Sprintf("the answer is not understood: %T", err), Ambiguous: !safe, cause: err}
}
