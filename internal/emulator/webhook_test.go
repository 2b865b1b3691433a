package emulator_test

import (
	"context"
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
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

func respond(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// twilio: usage/security, the published example.
func TestSignatureVector(t *testing.T) {
	t.Parallel()
	form := url.Values{"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675310"}, "Digits": {"1234"}, "From": {"+14158675310"}, "To": {"+18005551212"}}
	if got := emulator.Sign("12345", "https://example.com/myapp.php?foo=1&bar=2", form); got != "L/OH5YylLD5NRKLltdqwSvS0BnU=" {
		t.Errorf("signature %s", got)
	}
	form.Set("FromCity", "")
	if emulator.Sign("12345", "https://example.com/", form) == emulator.Sign("12345", "https://example.com/", url.Values{}) {
		t.Error("fields are not signed")
	}
	with := emulator.Sign("12345", "https://example.com/", url.Values{"A": {""}})
	if with == emulator.Sign("12345", "https://example.com/", url.Values{}) {
		t.Error("an empty value is part of the message: its name stands there")
	}
}

// roundTrip is a transport made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestVoiceOverHTTPSDropsThePortAndMessagesKeepIt(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	type seen struct {
		host, signature, user string
		form                  url.Values
	}
	var got []seen
	e := emulator.New(emulator.Options{Seed: 1, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		_ = r.ParseForm()
		user, _, _ := r.BasicAuth()
		got = append(got, seen{r.URL.String(), r.Header.Get("X-Twilio-Signature"), user, r.PostForm})
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "text/xml")
		_, _ = w.WriteString("<Response><Reject/></Response>")
		return w.Result(), nil
	})})
	t.Cleanup(e.Stop)
	if err := e.AddAccount(accountSID, authToken, emulator.Full); err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddNumber(accountSID, emulator.NumberSpec{E164: office, VoiceURL: "https://u:p@board.test:8443/voice?x=1#rc=2", SMSURL: "https://board.test:8443/sms"}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.PlaceCall(mobile, office); err != nil {
		t.Fatal(err)
	}
	if err := e.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.SendText(mobile, office, "hi"); err != nil {
		t.Fatal(err)
	}
	if err := e.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 2 || got[0].host != "https://board.test:8443/voice?x=1" || got[0].user != "" {
		t.Fatalf("requests %+v", got)
	}
	if want := emulator.Sign(authToken, "https://board.test/voice?x=1", got[0].form); got[0].signature != want {
		t.Error("voice over https: port, userinfo and fragment are not signed")
	}
	if want := emulator.Sign(authToken, "https://board.test:8443/sms", got[1].form); got[1].signature != want {
		t.Error("messages: the port is signed")
	}
}

func TestFallbackGetsErrorCodeAndURL(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why    string
		answer http.HandlerFunc
		code   string
	}{
		"not xml":        {"unclosed", respond(200, "text/xml", "<Response><Say>"), "12100"},
		"wrong root":     {"", respond(200, "text/xml", "<Answer/>"), "12100"},
		"wrong type":     {"", respond(200, "application/json", "{}"), "12300"},
		"no content":     {"a call needs a document", respond(204, "", ""), "12300"},
		"empty":          {"", respond(200, "text/xml", "  "), "11770"},
		"too large":      {"over 64 kB", respond(200, "text/xml", "<Response>"+strings.Repeat(" ", 70<<10)+"</Response>"), "11750"},
		"server error":   {"", respond(500, "text/xml", "<Response/>"), "11200"},
		"not found":      {"", respond(404, "text/xml", "<Response/>"), "11200"},
		"cut off":        {"", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "11206"},
		"redirect loops": {"ten at most", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/voice", http.StatusFound) }, "11215"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.handle("/voice", tc.answer)
			s.answer("/fallback", `<Response><Say>Sorry.</Say></Response>`)
			sid := s.call(mobile, office)
			s.advance(5 * time.Second)
			f := s.last("/fallback")
			if f.Get("ErrorCode") != tc.code || f.Get("ErrorUrl") != s.hooks.URL+"/voice" || f.Get("CallSid") != sid {
				t.Errorf("%s: ErrorCode %q ErrorUrl %q", tc.why, f.Get("ErrorCode"), f.Get("ErrorUrl"))
			}
			if got := s.status(sid); got != "completed" {
				t.Errorf("the fallback's document continues the call, which is %s", got)
			}
		})
	}
}

func TestWithoutFallbackTheCallFails(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.handle("/fallback", respond(500, "text/plain", ""))
	s.handle("/voice", respond(500, "text/plain", ""))
	sid := s.call(mobile, office)
	if got := s.status(sid); got != "failed" {
		t.Errorf("unanswered call is %s", got)
	}
	if d := cmp.Diff([]int{11200, 11200}, s.codes()); d != "" {
		t.Error(d)
	}
}

func TestSchemaWarningsChangeNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><say>no</say><Say Voice="alice">yes</Say></Response>`)
	sid := s.call(mobile, office)
	s.advance(2 * time.Second)
	if d := cmp.Diff([]int{12200, 12200}, s.codes()); d != "" || s.status(sid) != "completed" {
		t.Errorf("call %s: %s", s.status(sid), d)
	}
}

func TestRetriesFollowTheFragment(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, fragment string
		status, tries int
	}{
		"default":        {"only connection failures are retried", "", 500, 1},
		"5xx":            {"", "#rc=3&rp=5xx", 500, 4},
		"5xx but 404":    {"", "#rc=3&rp=5xx", 404, 1},
		"4xx":            {"", "#rc=1&rp=4xx,5xx", 404, 2},
		"all":            {"", "#rc=2&rp=all", 503, 3},
		"none":           {"", "#rc=0&rp=all", 500, 1},
		"out of range":   {"a bad count keeps the default", "#rc=9&rp=all", 500, 2},
		"just an anchor": {"", "#section", 500, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.handle("/voice", respond(tc.status, "text/plain", ""))
			s.must(s.e.UpdateNumber(office, func(n *emulator.NumberSpec) { n.VoiceURL += tc.fragment; n.VoiceFallbackURL = "" }))
			s.call(mobile, office)
			posts := s.sent("/voice")
			if len(posts) != tc.tries {
				t.Errorf("%s: %d tries, want %d", tc.why, len(posts), tc.tries)
			}
			for _, p := range posts {
				if a, b := p.Head.Get("I-Twilio-Idempotency-Token"), posts[0].Head.Get("I-Twilio-Idempotency-Token"); a != b || a == "" {
					t.Errorf("idempotency tokens %q and %q", a, b)
				}
			}
		})
	}
}

func TestConnectionFailureIsRetriedOnce(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	s := newStage(t, emulator.Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		tries.Add(1)
		return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	})})
	s.call(mobile, office)
	if got := tries.Load(); got != 6 { // two for the voice URL, its fallback and the status callback each
		t.Errorf("%d tries, want 6", got)
	}
	if d := cmp.Diff([]int{11205, 11205, 15003}, s.codes()); d != "" {
		t.Error(d)
	}
}

func TestSlowWebhookEndsInTime(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, fragment string
		after         time.Duration
	}{
		"default": {"the ceiling", "", 15 * time.Second},
		"rt":      {"read timeout", "#rt=4000&rp=ct", 4 * time.Second},
		"tt":      {"all tries together", "#tt=6000&rc=3&rp=all", 6 * time.Second},
		"rt, bad": {"out of range: the default", "#rt=60000", 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slowWebhook(t, tc.fragment, tc.after)
		})
	}
}

func slowWebhook(t *testing.T, fragment string, after time.Duration) {
	s := newStage(t, emulator.Options{})
	s.must(s.e.UpdateNumber(office, func(n *emulator.NumberSpec) { n.VoiceURL += fragment }))
	arrived := make(chan struct{})
	s.handle("/voice", func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	s.answer("/fallback", `<Response><Reject/></Response>`)
	_, err := s.e.PlaceCall(mobile, office)
	s.must(err)
	<-arrived
	s.clock.Advance(after - time.Second)
	if n := len(s.sent("/fallback")); n != 0 {
		t.Fatal("gave up early")
	}
	s.clock.Advance(time.Second)
	s.idle()
	if got := s.last("/fallback").Get("ErrorCode"); got != "11205" {
		t.Errorf("ErrorCode %s", got)
	}
}

func TestBasicAuthComesOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	var given []string
	s.handle("/voice", func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		given = append(given, user+":"+pass)
		if user == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="board"`)
			w.WriteHeader(401)
			return
		}
		respond(200, "text/xml", "<Response><Reject/></Response>")(w, r)
	})
	s.must(s.e.UpdateNumber(office, func(n *emulator.NumberSpec) {
		n.VoiceURL = strings.Replace(n.VoiceURL, "http://", "http://ann:secret@", 1)
	}))
	s.call(mobile, office)
	if d := cmp.Diff([]string{":", "ann:secret"}, given); d != "" {
		t.Error(d)
	}
	s.quiet()
}

func TestGETCarriesTheFieldsInTheQuery(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.must(s.e.UpdateNumber(office, func(n *emulator.NumberSpec) { n.VoiceURL += "?line=1"; n.VoiceMethod = "GET" }))
	s.answer("/voice", `<Response><Reject/></Response>`)
	sid := s.call(mobile, office)
	f := s.last("/voice")
	if f.Get("CallSid") != sid || f.Get("line") != "1" || !f.Has("FromCity") {
		t.Errorf("query %v", f)
	}
	s.quiet()
}

func TestCookiesLiveAsLongAsTheCall(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.handle("/voice", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "step", Value: "1"})
		respond(200, "text/xml", `<Response><Redirect>/two</Redirect></Response>`)(w, r)
	})
	s.answer("/two", `<Response><Reject/></Response>`)
	s.call(mobile, office)
	if got := s.sent("/two")[0].Head.Get("Cookie"); got != "step=1" {
		t.Errorf("cookie %q", got)
	}
	s.call(mobile, office)
	if got := s.sent("/voice")[1].Head.Get("Cookie"); got != "" {
		t.Errorf("another call sends %q", got)
	}
}

func TestRefusedCallbackIsAWarning(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Reject/></Response>`)
	s.handle("/status", respond(500, "text/plain", ""))
	s.call(mobile, office)
	list := s.e.Debugger()
	if len(list) != 1 || list[0].Code != 15003 || list[0].Level != "warning" {
		t.Errorf("debugger %+v", list)
	}
}

func TestHeldCallbacksAreReleasedInAnyOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{HoldCallbacks: true})
	s.answer("/out", `<Response/>`)
	s.create(mobile, nil)
	s.pickUp(mobile)
	held := s.e.Held()
	if len(held) != 4 || len(s.sent("/progress")) != 0 {
		t.Fatalf("%d held, %d sent", len(held), len(s.sent("/progress")))
	}
	if len(s.sent("/out")) != 1 {
		t.Error("questions are never held")
	}
	s.e.Release(held[3].ID, held[1].ID, held[3].ID)
	s.idle()
	if d := cmp.Diff([]string{"completed", "ringing", "completed"}, s.values("/progress", "CallStatus")); d != "" {
		t.Error(d)
	}
	s.e.ReleaseAll()
	s.idle()
	if d := cmp.Diff([]string{"completed", "ringing", "completed", "initiated", "in-progress"}, s.values("/progress", "CallStatus")); d != "" {
		t.Error(d)
	}
}

func TestReplaySendsTheSameBytes(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Reject/></Response>`)
	s.call(mobile, office)
	d := s.e.Deliveries()[0]
	if d.Kind != emulator.KindTwiML || d.Status != 200 || !strings.Contains(d.Answer, "<Reject/>") || len(d.Attempts) != 1 || !d.Done {
		t.Fatalf("delivery %+v", d)
	}
	status, body, err := s.e.Replay(s.ctx, d)
	s.must(err)
	if status != 200 || !strings.Contains(string(body), "<Reject/>") {
		t.Errorf("replayed: %d %s", status, body)
	}
	p := s.sent("/voice")
	if len(p) != 2 || cmp.Diff(p[0].Form, p[1].Form) != "" || p[0].Head.Get("X-Twilio-Signature") != d.Signature || p[1].Head.Get("X-Twilio-Signature") != d.Signature ||
		p[0].Head.Get("I-Twilio-Idempotency-Token") != p[1].Head.Get("I-Twilio-Idempotency-Token") {
		t.Error("the second request differs from the first")
	}
}

func TestPlayChecksTheFile(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	wav := append([]byte("RIFF    WAVEfmt "), make([]byte, 28+3*16000)...)
	wav[28], wav[29] = 0x80, 0x3e // 16,000 bytes a second: three seconds
	s.handle("/hello.wav", respond(200, "audio/wav", string(wav)))
	s.handle("/hello.txt", respond(200, "text/plain", "hello"))
	s.answer("/voice", `<Response><Play>/hello.txt</Play><Play>/missing.mp3</Play><Play>/hello.wav</Play></Response>`)
	s.handle("/missing.mp3", respond(404, "text/plain", ""))
	sid := s.call(mobile, office)
	s.advance(2900 * time.Millisecond)
	if got := s.status(sid); got != "in-progress" {
		t.Errorf("while it plays: %s", got)
	}
	s.advance(200 * time.Millisecond)
	if d := cmp.Diff([]int{12300, 11200}, s.codes()); d != "" || s.status(sid) != "completed" {
		t.Errorf("call %s, %s", s.status(sid), d)
	}
}

func TestRelativeURLInInlineTwiMLIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	sid := s.create(mobile, func(p *api.CreateCallParams) {
		p.Url = nil
		p.SetTwiml(`<Response><Redirect>/next</Redirect></Response>`)
	})
	s.pickUp(mobile)
	if d := cmp.Diff([]int{11100}, s.codes()); d != "" || s.status(sid) != "completed" {
		t.Errorf("call %s, %s", s.status(sid), d)
	}
}
