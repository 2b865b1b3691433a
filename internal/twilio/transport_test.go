package twilio_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/errs"
	"switchboard/internal/twilio"
)

// fake is a server in Twilio's place and a client that speaks to it.
type fake struct {
	*httptest.Server
	conns  atomic.Int64 // connections that were opened
	mu     sync.Mutex   // guards the rest
	seen   []twilio.Attempt
	waited []time.Duration
}

func newFake(t *testing.T, h http.HandlerFunc) (*fake, *twilio.Client) {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewUnstartedServer(h)
	f.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			f.conns.Add(1)
		}
	}
	f.Start()
	base, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	tr := twilio.NewTransport(twilio.TransportOptions{
		BaseURL: base,
		Observe: func(a twilio.Attempt) { f.mu.Lock(); f.seen = append(f.seen, a); f.mu.Unlock() },
		Wait: func(ctx context.Context, d time.Duration) error {
			f.mu.Lock()
			f.waited = append(f.waited, d)
			f.mu.Unlock()
			return ctx.Err()
		},
	})
	t.Cleanup(func() { tr.Close(); f.Close() })
	c, err := twilio.NewClient(twilio.Options{AccountSID: ac, AuthToken: token, Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	return f, c
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"code":%d,"message":%q,"more_info":"https://www.twilio.com/docs/errors/%d","status":%d}`, code, message, code, status)
}

var send = twilio.MessageRequest{To: "+61255501234", From: "+61255505678", Body: "hello"}

func TestErrorPagesDoNotCostConnections(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "<html>"+strings.Repeat("x", 4096)+"</html>")
	})
	for range 100 {
		if _, err := c.CreateMessage(t.Context(), send); !twilio.Ambiguous(err) {
			t.Fatalf("a page that is not Twilio's leaves the send open: %v", err)
		}
	}
	if n := f.conns.Load(); n != 1 {
		t.Fatalf("100 error pages took %d connections", n)
	}
}

func TestAnswersAreClassified(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		why       string
		answer    http.HandlerFunc
		post, get int // how often each is sent
		ambiguous bool
		code      int
		read      errs.Code
	}{
		"opted out": {why: "Twilio said no", answer: func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, 400, 21610, "Attempt to send to unsubscribed recipient")
		}, post: 1, get: 1, code: 21610, read: errs.OptedOut},
		"bad number":         {why: "Twilio said no", answer: func(w http.ResponseWriter, _ *http.Request) { refuse(w, 400, 21211, "Invalid 'To' +61255501234") }, post: 1, get: 1, code: 21211, read: errs.ProviderRefused},
		"too many requests":  {why: "never processed, so sent again", answer: func(w http.ResponseWriter, _ *http.Request) { refuse(w, 429, 20429, "Too Many Requests") }, post: 3, get: 3, code: 20429, read: errs.ProviderUnavailable},
		"Twilio's own error": {why: "it may have been done before it failed", answer: func(w http.ResponseWriter, _ *http.Request) { refuse(w, 500, 20500, "Internal") }, post: 1, get: 3, ambiguous: true, code: 20500, read: errs.ProviderUnavailable},
		"gateway's page":     {why: "something in between does not know", answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); _, _ = io.WriteString(w, "<html>") }, post: 1, get: 3, ambiguous: true, read: errs.ProviderUnavailable},
		"odd 400":            {why: "not in Twilio's words", answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400); _, _ = io.WriteString(w, "no") }, post: 1, get: 1, ambiguous: true, read: errs.ProviderUnavailable},
		"wrong credentials":  {why: "refused before anything is done", answer: func(w http.ResponseWriter, _ *http.Request) { refuse(w, 401, 20003, "Authenticate") }, post: 1, get: 1, code: 20003, read: errs.ProviderRefused},
		"junk as success":    {why: "done, but what?", answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); _, _ = io.WriteString(w, "junk") }, post: 1, get: 1, ambiguous: true},
		"other JSON": {why: "done, but what?", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			_, _ = io.WriteString(w, `{"sid":5}`)
		}, post: 1, get: 1, ambiguous: true},
		"cut answer": {why: "done, but what?", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(201)
			_, _ = io.WriteString(w, `{"sid":`)
		}, post: 1, get: 1, ambiguous: true},
		"dropped": {why: "read, then nothing", answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, post: 1, ambiguous: true, read: errs.ProviderUnavailable},
		"redirect": {why: "credentials are not carried elsewhere", answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/", http.StatusFound)
		}, post: 1, get: 1, ambiguous: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var posts, gets atomic.Int64
			_, client := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					posts.Add(1)
				} else {
					gets.Add(1)
				}
				_, _ = io.Copy(io.Discard, r.Body)
				c.answer(w, r)
			})
			_, err := client.CreateMessage(t.Context(), send)
			if err == nil || twilio.Ambiguous(err) != c.ambiguous || c.code != 0 && !twilio.IsCode(err, c.code) {
				t.Fatalf("%s: ambiguous = %v: %v", c.why, twilio.Ambiguous(err), err)
			}
			if int(posts.Load()) != c.post {
				t.Fatalf("%s: posted %d times", c.why, posts.Load())
			}
			if c.read != "" && !errs.IsCode(err, c.read) {
				t.Fatalf("%s: clients read %s", c.why, errs.CodeOf(err))
			}
			if strings.Contains(err.Error(), "+6125550") {
				t.Fatalf("the error holds a phone number: %v", err)
			}
			_, err = client.FetchMessage(t.Context(), sm)
			if err == nil || twilio.Ambiguous(err) {
				t.Fatalf("%s: reading is never ambiguous: %v", c.why, err)
			}
			if c.get != 0 && int(gets.Load()) != c.get {
				t.Fatalf("%s: read %d times", c.why, gets.Load())
			}
		})
	}
}

func TestNoConnectionIsNotAmbiguous(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, func(http.ResponseWriter, *http.Request) {})
	f.Close()
	_, err := c.CreateMessage(t.Context(), send)
	if err == nil || twilio.Ambiguous(err) {
		t.Fatalf("nothing was sent: %v", err)
	}
	if _, ok := twilio.Retry(err); !ok {
		t.Fatalf("it can be sent again: %v", err)
	}
}

func TestRetryAfterIsKept(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	f, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) {
		case 1:
			w.Header().Set("Retry-After", "2")
			refuse(w, 429, 20429, "Too Many Requests")
		case 2:
			_ = r.ParseForm()
			if r.PostForm.Get("Body") != "hello" {
				t.Error("the repetition lost its body")
			}
			w.WriteHeader(201)
			_, _ = io.WriteString(w, `{"sid":"`+sm+`","status":"queued","num_segments":"1"}`)
		default:
			w.Header().Set("Retry-After", "30")
			refuse(w, 429, 20429, "Too Many Requests")
		}
	})
	got, err := c.CreateMessage(t.Context(), send)
	if err != nil || got.SID != sm || got.Segments != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if diff := cmp.Diff([]time.Duration{2 * time.Second}, f.waited); diff != "" {
		t.Fatal(diff)
	}
	_, err = c.CreateMessage(t.Context(), send)
	after, ok := twilio.Retry(err)
	if !ok || after != 30*time.Second || n.Load() != 3 {
		t.Fatalf("a long wait is the caller's: %v, %v, %d requests", after, err, n.Load())
	}
}

func TestContextEndsARequest(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	_, c := newFake(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-release
	})
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := c.CreateMessage(ctx, send); done <- err }()
	<-arrived
	cancel()
	err := <-done
	if !errors.Is(err, context.Canceled) || !twilio.Ambiguous(err) {
		t.Fatalf("a request given up after it was sent is ambiguous: %v", err)
	}
	_, err = c.CreateMessage(ctx, send)
	if !errors.Is(err, context.Canceled) || twilio.Ambiguous(err) {
		t.Fatalf("one given up before is not: %v", err)
	}
}

func TestTimeoutIsAmbiguous(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-release }))
	t.Cleanup(func() { close(release); s.Close() })
	base, _ := url.Parse(s.URL)
	tr := twilio.NewTransport(twilio.TransportOptions{BaseURL: base, Timeout: 30 * time.Millisecond})
	t.Cleanup(tr.Close)
	c, err := twilio.NewClient(twilio.Options{AccountSID: ac, AuthToken: token, Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateMessage(t.Context(), send); !twilio.Ambiguous(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestAttemptsAreTalliedWithoutSecrets(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != ac || p != token || r.Header.Get("X-Original-Host") != "api.twilio.com" {
			t.Errorf("credentials %q %q, host %q", u, p, r.Header.Get("X-Original-Host"))
		}
		refuse(w, 404, 20404, "The requested resource /2010-04-01/x was not found")
	})
	_, err := c.FetchCall(t.Context(), ca)
	if !twilio.NotFound(err) {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) != 1 {
		t.Fatalf("%d attempts", len(f.seen))
	}
	a := f.seen[0]
	if a.Method != "GET" || a.Host != "api.twilio.com" || a.Resource != "/2010-04-01/Accounts/{AC}/Calls/{CA}.json" || a.Status != 404 || a.Code != 20404 || a.Try != 1 {
		t.Fatalf("%+v", a)
	}
}

func TestClientRefusesCredentialsThatCannotBeRight(t *testing.T) {
	t.Parallel()
	tr := twilio.NewTransport(twilio.TransportOptions{})
	t.Cleanup(tr.Close)
	for name, o := range map[string]twilio.Options{
		"no account":       {AuthToken: token, Transport: tr},
		"no token":         {AccountSID: ac, Transport: tr},
		"line break":       {AccountSID: ac, AuthToken: token + "\n", Transport: tr},
		"key of a service": {AccountSID: ac, KeySID: mg, KeySecret: token, Transport: tr},
	} {
		if _, err := twilio.NewClient(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := twilio.NewClient(twilio.Options{AccountSID: ac, AuthToken: token}); err == nil {
		t.Error("no transport: accepted")
	}
	cs, made := twilio.NewClients(4), 0
	for _, version := range []int64{1, 1, 2, 2, 1} {
		if _, err := cs.For("conn_1", version, func() (twilio.Options, error) {
			made++
			return twilio.Options{AccountSID: ac, AuthToken: token, Transport: tr}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if made != 2 {
		t.Errorf("two versions made %d clients", made)
	}
}
