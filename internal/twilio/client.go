package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	vendor "github.com/twilio/twilio-go/client"
	v2010 "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/errs"
)

const (
	apiBase      = "https://api.twilio.com"
	accountsBase = "https://accounts.twilio.com"
	pageSize     = 200
	maxPages     = 500
)

// Options say which account a Client acts on and how it proves itself: by the
// auth token, or by an API key and its secret.
type Options struct {
	AccountSID           string
	AuthToken            string
	KeySID, KeySecret    string
	Transport            *Transport // shared by all clients
	ApplicationUserAgent string
}

// Client acts on one Twilio account. It is small, immutable and safe for
// concurrent use; its connections are the Transport's.
type Client struct {
	account, user, password string
	http                    *http.Client
	transport               *Transport
	agent                   string
}

// NewClient makes a Client without talking to Twilio. Code: errs.Invalid,
// errs.Required for values that cannot be right.
func NewClient(o Options) (*Client, error) {
	if err := CheckSID(AccountSID, o.AccountSID); err != nil {
		return nil, err
	}
	if o.Transport == nil {
		return nil, errors.New("twilio: a client needs a transport")
	}
	c := &Client{account: o.AccountSID, user: o.AccountSID, password: o.AuthToken, transport: o.Transport, agent: o.ApplicationUserAgent}
	if o.KeySID != "" {
		if err := CheckSID(KeySID, o.KeySID); err != nil {
			return nil, err
		}
		c.user, c.password = o.KeySID, o.KeySecret
	}
	if err := CheckSecret(c.password); err != nil {
		return nil, err
	}
	if c.agent == "" {
		c.agent = "switchboard"
	}
	c.http = &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return c, nil
}

// CheckSecret returns an error unless the auth token or key secret is letters and
// digits, as all of Twilio's are. Codes: errs.Required, errs.Invalid.
func CheckSecret(secret string) error {
	if secret == "" {
		return errs.New(errs.Required, "enter the auth token")
	}
	for _, c := range []byte(secret) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return errs.New(errs.Invalid, "the auth token has a character that no auth token has; copy it again")
		}
	}
	if len(secret) > 128 {
		return errs.New(errs.Invalid, "this is too long for an auth token")
	}
	return nil
}

// AccountSID is the account that the client acts on.
func (c *Client) AccountSID() string { return c.account }

// Clients keeps one Client per account and version of its credentials.
type Clients struct {
	cache *lru.Cache[string, *Client]
}

// NewClients makes a cache for at most n clients.
func NewClients(n int) *Clients {
	cache, err := lru.New[string, *Client](max(n, 1))
	if err != nil { // only a size below one is an error
		panic(err)
	}
	return &Clients{cache: cache}
}

// For returns the client of a connection at one version of its credentials, and
// asks for those only when it has none. The connection is any unique text.
func (cs *Clients) For(connection string, version int64, credentials func() (Options, error)) (*Client, error) {
	key := connection + "/" + strconv.FormatInt(version, 10)
	if c, ok := cs.cache.Get(key); ok {
		return c, nil
	}
	o, err := credentials()
	if err != nil {
		return nil, err
	}
	c, err := NewClient(o)
	if err == nil {
		cs.cache.Add(key, c)
	}
	return c, err
}

// call is one request on behalf of a Client: what twilio-go, which knows no
// context, takes for a client.
type call struct {
	c    *Client
	ctx  context.Context //nolint:containedctx // it lives for one request
	safe bool
}

var _ vendor.BaseClient = (*call)(nil)

func (r *call) AccountSid() string       { return r.c.account }
func (r *call) SetTimeout(time.Duration) {}
func (r *call) SetOauth(vendor.OAuth)    {}
func (r *call) OAuth() vendor.OAuth      { return nil }

// SendRequest sends what twilio-go has put together. Unlike twilio-go's own it
// leaves the values of a query as they are.
func (r *call) SendRequest(method, rawURL string, data url.Values, _ map[string]any, _ ...byte) (*http.Response, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, &Error{Message: "the address is not readable", cause: err}
	}
	var body io.Reader
	r.safe = method == http.MethodGet || method == http.MethodDelete
	if r.safe {
		if len(data) > 0 {
			u.RawQuery = data.Encode()
		}
	} else {
		body = strings.NewReader(data.Encode())
	}
	req, err := http.NewRequestWithContext(r.ctx, method, u.String(), body)
	if err != nil {
		return nil, &Error{Message: "the request cannot be made", cause: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", r.c.agent)
	req.SetBasicAuth(r.c.user, r.c.password)
	resp, err := r.c.http.Do(req)
	if err != nil {
		return nil, bare(err, r.safe)
	}
	if resp.StatusCode >= 300 {
		_ = resp.Body.Close()
		return nil, &Error{Status: resp.StatusCode, Message: "an unexpected redirect", Ambiguous: !r.safe}
	}
	return resp, nil
}

// bare takes the url.Error off, which would show the whole address.
func bare(err error, safe bool) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Message: "no answer: " + plainCause(err), Ambiguous: !safe, cause: err}
}

// send runs one call of twilio-go's v2010 API under the context.
func send[T any](ctx context.Context, c *Client, fn func(*v2010.ApiService) (T, error)) (T, error) {
	return sendTo(ctx, c, v2010.NewApiService, fn)
}

// sendTo is the same for any of twilio-go's APIs; each knows its own host.
func sendTo[A, T any](ctx context.Context, c *Client, api func(*vendor.RequestHandler) A, fn func(A) (T, error)) (T, error) {
	r := &call{c: c, ctx: ctx}
	// A RequestHandler of our own, because twilio-go's constructor takes region and edge from the environment.
	v, err := fn(api(&vendor.RequestHandler{Client: r}))
	if err == nil {
		return v, nil
	}
	var e *Error
	if !errors.As(err, &e) {
		e = unreadable(err, r.safe)
	}
	var none T
	return none, e
}

// raw sends a request that twilio-go has no type for, or the wrong one.
func (c *Client) raw(ctx context.Context, method, address string, form url.Values, to any) error {
	r := &call{c: c, ctx: ctx}
	resp, err := r.SendRequest(method, address, form, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if to == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(to); err != nil {
		return unreadable(err, r.safe)
	}
	return nil
}

// pages walks a v2010 list. get returns the address of the next page, nil or
// empty at the end; fn may end the walk with errStop.
func pages(get func(token, page string) (next *string, err error)) error {
	token, page, last := "", "", ""
	for range maxPages {
		next, err := get(token, page)
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return err
		}
		if next == nil || *next == "" {
			return nil
		}
		u, err := url.Parse(*next)
		if err != nil || *next == last {
			return &Error{Message: "the list does not end"}
		}
		last = *next
		token, page = u.Query().Get("PageToken"), u.Query().Get("Page")
	}
	return &Error{Message: fmt.Sprintf("the list has more than %d pages", maxPages)}
}

var errStop = errors.New("twilio: enough")

// set is a pointer to a value that is to be sent, nil for the zero value.
func set[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func list(v []string) *[]string {
	if len(v) == 0 {
		return nil
	}
	return &v
}

func str(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func num(p *int) int {
	if p == nil {
		return 0
	}
	return *p
}

// digits is a number that Twilio writes as text; 0 when it is null or odd.
func digits(p *string) int {
	n, err := strconv.Atoi(str(p))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func when(p *string) time.Time {
	t, _ := moment(str(p))
	return t
}
