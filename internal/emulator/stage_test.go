package emulator_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/twilio/twilio-go"
	"github.com/twilio/twilio-go/client"

	"switchboard/internal/clock"
	"switchboard/internal/emulator"
)

const (
	accountSID = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	authToken  = "0123456789abcdef0123456789abcdef"
	office     = "+15550001111"
	mobile     = "+15557654321"
	second     = "+15557654322"
)

// post is one webhook as the server under test saw it.
type post struct {
	Path string
	Form url.Values
	Head http.Header
}

// stage is an emulator on a held clock, a webhook server and a real Twilio client.
type stage struct {
	*testing.T
	e     *emulator.Emulator
	clock *clock.Fake
	rest  *httptest.Server
	hooks *httptest.Server
	ctx   context.Context
	tw    *twilio.RestClient

	mu      sync.Mutex // guards the rest
	posts   []post
	answers map[string]http.HandlerFunc
}

func newStage(t *testing.T, o emulator.Options) *stage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	s := &stage{T: t, ctx: ctx, answers: map[string]http.HandlerFunc{}, clock: clock.NewFake(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))}
	if o.Clock == nil {
		o.Clock = s.clock
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	s.e = emulator.New(o)
	s.rest = httptest.NewServer(s.e)
	s.e.SetBaseURL(s.rest.URL)
	s.hooks = httptest.NewServer(http.HandlerFunc(s.serve))
	s.e.Start()
	t.Cleanup(func() {
		cancel()
		s.e.Stop()
		s.hooks.Close()
		s.rest.Close()
	})
	s.must(s.e.AddAccount(accountSID, authToken, emulator.Full))
	s.number(office)
	s.tw = s.client(accountSID, authToken)
	return s
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// number adds a number whose webhooks are /voice, /fallback, /status and /sms.
func (s *stage) number(e164 string) {
	s.Helper()
	_, err := s.e.AddNumber(accountSID, emulator.NumberSpec{E164: e164, VoiceURL: s.hooks.URL + "/voice", VoiceFallbackURL: s.hooks.URL + "/fallback",
		StatusCallback: s.hooks.URL + "/status", SMSURL: s.hooks.URL + "/sms"})
	s.must(err)
}

// answer sets what a path answers: TwiML, or any handler.
func (s *stage) answer(path, xml string) {
	s.handle(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		_, _ = w.Write([]byte(xml))
	})
}

func (s *stage) handle(path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = h
}

// serve checks every signature with Twilio's own validator.
func (s *stage) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	h := s.answers[r.URL.Path]
	s.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		s.Error(err)
	}
	params := map[string]string{}
	for k := range r.PostForm {
		params[k] = r.PostForm.Get(k)
	}
	v := client.NewRequestValidator(authToken)
	if !v.Validate(s.hooks.URL+r.RequestURI, params, r.Header.Get("X-Twilio-Signature")) {
		s.Errorf("wrong signature on %s", r.RequestURI)
	}
	s.mu.Lock()
	s.posts = append(s.posts, post{r.URL.Path, r.Form, r.Header.Clone()})
	s.mu.Unlock()
	if h == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h(w, r)
}

// sent returns the webhooks a path has got.
func (s *stage) sent(path string) (list []post) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.posts {
		if path == "" || p.Path == path {
			list = append(list, p)
		}
	}
	return list
}

// statuses are the values of one field in the webhooks of a path.
func (s *stage) values(path, field string) (list []string) {
	for _, p := range s.sent(path) {
		list = append(list, p.Form.Get(field))
	}
	return list
}

func (s *stage) last(path string) url.Values {
	s.Helper()
	list := s.sent(path)
	if len(list) == 0 {
		s.Fatalf("nothing was sent to %s; sent: %v", path, s.values("", "CallSid"))
	}
	return list[len(list)-1].Form
}

func (s *stage) idle() {
	s.Helper()
	s.must(s.e.WaitIdle(s.ctx))
}

func (s *stage) advance(d time.Duration) {
	s.Helper()
	s.must(s.e.Advance(s.ctx, d))
}

func (s *stage) call(from, to string) string {
	s.Helper()
	sid, err := s.e.PlaceCall(from, to)
	s.must(err)
	s.idle()
	return sid
}

func (s *stage) pickUp(target string) string {
	s.Helper()
	sid, err := s.e.Answer(target)
	s.must(err)
	s.idle()
	return sid
}

func (s *stage) status(sid string) string {
	s.Helper()
	c, ok := s.e.Call(sid)
	if !ok {
		s.Fatalf("no call %s", sid)
	}
	return c.Status
}

// quiet fails when the debugger list is not empty.
func (s *stage) quiet() {
	s.Helper()
	for _, a := range s.e.Debugger() {
		s.Errorf("debugger entry %d: %s", a.Code, a.Text)
	}
}

// codes are the error codes in the debugger list.
func (s *stage) codes() (list []int) {
	for _, a := range s.e.Debugger() {
		list = append(list, a.Code)
	}
	return list
}

// fresh makes a connection for every request: on a kept one Go would repeat a GET that was
// reset, and hide the fault.
var fresh = &http.Transport{DisableKeepAlives: true}

// redirect sends every Twilio product to the emulator.
type redirect struct{ to *url.URL }

func (t redirect) RoundTrip(q *http.Request) (*http.Response, error) {
	q2 := q.Clone(q.Context())
	q2.Header.Set("X-Original-Host", q.URL.Host)
	q2.URL.Scheme, q2.URL.Host, q2.Host = t.to.Scheme, t.to.Host, q.URL.Host
	res, err := fresh.RoundTrip(q2)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() // Twilio's client leaves the bodies of errors open
	b, err := io.ReadAll(res.Body)
	res.Body = io.NopCloser(bytes.NewReader(b))
	return res, err
}

func (s *stage) client(user, pass string) *twilio.RestClient {
	s.Helper()
	to, err := url.Parse(s.rest.URL)
	s.must(err)
	c := &client.Client{Credentials: client.NewCredentials(user, pass), HTTPClient: &http.Client{Transport: redirect{to},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	c.SetAccountSid(accountSID)
	return twilio.NewRestClientWithParams(twilio.ClientParams{Client: c})
}
