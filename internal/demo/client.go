package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"switchboard/internal/clock"
)

// Vars are the variables of an operation.
type Vars = map[string]any

// Session is a pair of tokens.
type Session struct {
	AccessToken  string
	RefreshToken string
	ExpiresAt    time.Time
}

// Client speaks GraphQL to one server. It is safe for concurrent use.
type Client struct {
	// URL is the address of /graphql.
	URL string
	// HTTP carries requests and streams; NewClient makes one.
	HTTP *http.Client

	mu      sync.Mutex // guards session
	session Session
}

// NewClient makes a client with its own connections; "" is no token.
func NewClient(url, token string) *Client {
	return &Client{URL: url, HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: 30 * time.Second}}, session: Session{AccessToken: token}}
}

// As is a client of somebody else over the same connections.
func (c *Client) As(token string) *Client {
	return &Client{URL: c.URL, HTTP: c.HTTP, session: Session{AccessToken: token}}
}

// Close lets go of the connections that are idle.
func (c *Client) Close() { c.HTTP.CloseIdleConnections() }

// Token is the access token in use; "" for none.
func (c *Client) Token() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.AccessToken
}

func (c *Client) use(s Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
}

// Refresh trades the refresh token for a new pair. The access token stays out of it: it
// may have expired, and an expired token is refused before anything is looked at.
func (c *Client) Refresh(ctx context.Context) error {
	c.mu.Lock()
	token := c.session.RefreshToken
	c.mu.Unlock()
	if token == "" {
		return errors.New("this client has no refresh token; sign in")
	}
	var out struct{ SessionRefresh struct{ Session Session } }
	err := c.As("").Do(ctx, `mutation($input: SessionRefreshInput!) {
		sessionRefresh(input: $input) { session { accessToken refreshToken expiresAt } userErrors { code field message } }
	}`, Vars{"input": Vars{"refreshToken": token}}, &out)
	if err != nil {
		return err
	}
	c.use(out.SessionRefresh.Session)
	return nil
}

// Problem is one thing that went wrong: an error of the request, or a userError of
// a payload.
type Problem struct {
	// Code is a word of the contract's UserErrorCode.
	Code    string
	Message string
	// Path is where in the answer (an error) or the input (a userError).
	Path []string
	// User is true for a userError: a person can mend it.
	User bool
}

// Failure is what a server answered instead of what was asked for.
type Failure struct {
	// Operation is the query's first line.
	Operation string
	Status    int
	Problems  []Problem
}

// Error is every problem in one line.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", f.Operation)
	if len(f.Problems) == 0 {
		fmt.Fprintf(&b, " HTTP status %d", f.Status)
	}
	for i, p := range f.Problems {
		if i > 0 {
			b.WriteString(";")
		}
		fmt.Fprintf(&b, " %s", p.Message)
		if len(p.Path) > 0 {
			fmt.Fprintf(&b, " (%s at %s)", p.Code, strings.Join(p.Path, "."))
		} else if p.Code != "" {
			fmt.Fprintf(&b, " (%s)", p.Code)
		}
	}
	return b.String()
}

// HasCode reports whether an error is a Failure with a problem of this code.
func HasCode(err error, code string) bool {
	var f *Failure
	if errors.As(err, &f) {
		for _, p := range f.Problems {
			if p.Code == code {
				return true
			}
		}
	}
	return false
}

// maxAnswer is the largest answer a client reads.
const maxAnswer = 32 << 20

// Do sends a query or mutation and reads its data into out, unless out is nil. Errors
// and userErrors come back as a *Failure; out then holds what came all the same.
func (c *Client) Do(ctx context.Context, query string, vars Vars, out any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/graphql-response+json, application/json;q=0.9")
	if t := c.Token(); t != "" {
		r.Header.Set("Authorization", "Bearer "+t)
	}
	res, err := c.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	a := answer{}
	if err := json.Unmarshal(raw, &a); err != nil {
		return &Failure{Operation: operation(query), Status: res.StatusCode, Problems: []Problem{{Message: "the answer is no JSON: " + clip(string(raw), 200)}}}
	}
	return a.read(query, res.StatusCode, out)
}

// answer is the body of a GraphQL answer.
type answer struct {
	Data   json.RawMessage `json:"data"`
	Errors []struct {
		Message    string `json:"message"`
		Path       []any  `json:"path"`
		Extensions struct {
			Code string `json:"code"`
		} `json:"extensions"`
	} `json:"errors"`
}

func (a answer) read(query string, status int, out any) error {
	f := &Failure{Operation: operation(query), Status: status}
	for _, e := range a.Errors {
		p := Problem{Code: e.Extensions.Code, Message: e.Message}
		for _, x := range e.Path {
			p.Path = append(p.Path, fmt.Sprint(x))
		}
		f.Problems = append(f.Problems, p)
	}
	if status != 0 && status/100 != 2 && len(f.Problems) == 0 {
		return f
	}
	f.Problems = append(f.Problems, userErrors(a.Data)...)
	if out != nil && len(a.Data) > 0 && string(a.Data) != "null" {
		if err := json.Unmarshal(a.Data, out); err != nil && len(f.Problems) == 0 {
			return fmt.Errorf("%s: %w", f.Operation, err)
		}
	}
	if len(f.Problems) > 0 {
		return f
	}
	return nil
}

// userErrors collects those of every payload.
func userErrors(data json.RawMessage) (list []Problem) {
	if !bytes.Contains(data, []byte(`"userErrors"`)) {
		return nil
	}
	var payloads map[string]json.RawMessage
	if json.Unmarshal(data, &payloads) != nil {
		return nil
	}
	for name, raw := range payloads {
		var p struct {
			UserErrors []struct {
				Code, Message string
				Field         []string
			}
		}
		if json.Unmarshal(raw, &p) != nil {
			continue // a field that is no payload
		}
		for _, e := range p.UserErrors {
			list = append(list, Problem{Code: e.Code, Message: e.Message, Path: append([]string{name}, e.Field...), User: true})
		}
	}
	return list
}

// operation is what errors call an operation: its first field.
func operation(query string) string {
	_, body, _ := strings.Cut(query, "{")
	name := strings.TrimSpace(body)
	if i := strings.IndexAny(name, " ({}\n\t"); i > 0 {
		name = name[:i]
	}
	return clip(name, 60)
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// Until asks again and again, a little later each time, until the answer is yes. It
// is for conditions that no subscription tells.
func (c *Client) Until(ctx context.Context, what string, ask func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for wait := 5 * time.Millisecond; ; wait = min(wait*3/2, 250*time.Millisecond) {
		yes, err := ask(ctx)
		if yes && err == nil {
			return nil
		}
		if err == nil {
			after, stop := clock.Real{}.After(wait)
			select {
			case <-after:
				continue
			case <-ctx.Done():
				stop()
				err = ctx.Err()
			}
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("waited in vain until %s", what)
		}
		return err
	}
}

// Cursor is the present place in the event log: whatever happens from now on comes
// after it. It needs the permission LIVE_VIEW.
func (c *Client) Cursor(ctx context.Context) (string, error) {
	s, err := c.Watch(ctx, `subscription { liveCalls { ... on LiveCallsSnapshot { cursor } ... on LiveCallChanged { cursor } } }`, nil)
	if err != nil {
		return "", err
	}
	defer s.Stop()
	var out struct{ LiveCalls struct{ Cursor string } }
	err = s.Next(ctx, &out)
	return out.LiveCalls.Cursor, err
}
