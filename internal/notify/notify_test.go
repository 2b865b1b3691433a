package notify_test

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"switchboard/internal/notify"
	"switchboard/internal/testkit"
)

func at(b *testkit.Browser, endpoint string) notify.Browser {
	return notify.Browser{Endpoint: endpoint, P256DH: b.P256DH, Auth: b.Auth}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// server answers with a status and keeps the last request.
type server struct {
	*httptest.Server
	status int
	header http.Header
	got    *http.Request
	body   []byte
}

func newServer(t *testing.T, status int) *server {
	s := &server{status: status, header: http.Header{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.got = r.Clone(context.Background())
		s.body, _ = io.ReadAll(r.Body)
		for k, v := range s.header {
			w.Header()[k] = v
		}
		w.WriteHeader(s.status)
	}))
	t.Cleanup(s.Close)
	return s
}

func pusher(t *testing.T) *notify.WebPush {
	t.Helper()
	key, err := notify.NewWebPushKey()
	must(t, err)
	w, err := notify.NewWebPush(key, "ops@example.com", http.DefaultClient)
	must(t, err)
	return w
}

func TestOnlyTheBrowserReadsWhatItIsPushed(t *testing.T) {
	t.Parallel()
	s, mine, other, w := newServer(t, 201), testkit.NewBrowser(t), testkit.NewBrowser(t), pusher(t)
	must(t, w.Send(t.Context(), at(mine, s.URL+"/push/abc"), notify.Push{Body: []byte(`{"title":"Missed call"}`), Topic: "01h455vb4pex5vsknk084sn02q", Urgent: true}))
	if got, err := mine.Read(s.body); err != nil || got != `{"title":"Missed call"}` {
		t.Errorf("the browser reads %q (%v)", got, err)
	}
	if got, err := other.Read(s.body); err == nil {
		t.Errorf("another browser reads %q", got)
	}
	if strings.Contains(string(s.body), "Missed") {
		t.Error("the words went in the clear")
	}
	h := s.got.Header
	if h.Get("TTL") != "86400" || h.Get("Urgency") != "high" || h.Get("Topic") != "01h455vb4pex5vsknk084sn02q" || h.Get("Content-Encoding") != "aes128gcm" {
		t.Errorf("the headers are %v", h)
	}
	if auth := h.Get("Authorization"); !strings.HasPrefix(auth, "vapid t=") || !strings.HasSuffix(auth, "k="+w.PublicKey()) {
		t.Errorf("it is signed %q", auth)
	}
}

func TestAnAnswerSaysWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		why         string
		status      int
		after       string
		ok          bool
		gone, final bool
		wait        time.Duration
	}{
		"created":   {why: "as RFC 8030 says", status: 201, ok: true},
		"gone":      {why: "the subscription ended", status: 410, gone: true, final: true},
		"not found": {why: "the subscription never was", status: 404, gone: true, final: true},
		"busy":      {why: "it says when", status: 429, after: "120", wait: 2 * time.Minute},
		"for years": {why: "an hour is the most", status: 429, after: "99999999999", wait: time.Hour},
		"long":      {why: "an hour is the most", status: 503, after: "86400", wait: time.Hour},
		"broken":    {why: "it may work later", status: 500},
		"too large": {why: "it will not shrink", status: 413, final: true},
		"redirect":  {why: "nobody follows", status: 302, final: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, b := newServer(t, x.status), testkit.NewBrowser(t)
			if x.after != "" {
				s.header.Set("Retry-After", x.after)
			}
			err := pusher(t).Send(t.Context(), at(b, s.URL), notify.Push{Body: []byte("{}")})
			if x.ok {
				if err != nil {
					t.Errorf("%v (%s)", err, x.why)
				}
				return
			}
			if p := notify.ProblemOf(err); err == nil || p.Gone != x.gone || p.Final != x.final || p.After != x.wait {
				t.Errorf("it says %+v (%s)", p, x.why)
			}
		})
	}
	s, b := newServer(t, 201), testkit.NewBrowser(t)
	if p := notify.ProblemOf(pusher(t).Send(t.Context(), at(b, s.URL), notify.Push{Body: make([]byte, notify.MaxPush+1)})); !p.Final || s.got != nil {
		t.Errorf("what is too large was sent: %+v", p)
	}
	s.Close()
	if p := notify.ProblemOf(pusher(t).Send(t.Context(), at(b, s.URL), notify.Push{Body: []byte("{}")})); p.Final || p.Gone || strings.Contains(p.Reason, "127.0.0.1") {
		t.Errorf("a server that is away: %+v", p)
	}
}

func TestASubscriptionIsCheckedBeforeItIsKept(t *testing.T) {
	t.Parallel()
	public := func(a netip.Addr) bool { return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() }
	good := at(testkit.NewBrowser(t), "https://push.example.com/send/abc")
	for name, x := range map[string]struct {
		why      string
		change   func(b *notify.Browser)
		loopback bool
		part     string
	}{
		"good":             {why: "as a browser says it"},
		"padded":           {why: "some libraries pad", change: func(b *notify.Browser) { b.P256DH, b.Auth = b.P256DH+"=", b.Auth+"==" }},
		"http":             {why: "anybody could read along", change: func(b *notify.Browser) { b.Endpoint = "http://push.example.com/x" }, part: "endpoint"},
		"private":          {why: "our own network is not asked", change: func(b *notify.Browser) { b.Endpoint = "https://10.0.0.1/x" }, part: "endpoint"},
		"metadata":         {why: "nor the cloud's", change: func(b *notify.Browser) { b.Endpoint = "https://169.254.169.254/x" }, part: "endpoint"},
		"loopback":         {why: "nor this machine", change: func(b *notify.Browser) { b.Endpoint = "https://127.0.0.1/x" }, part: "endpoint"},
		"loopback in test": {why: "the switch is explicit", change: func(b *notify.Browser) { b.Endpoint = "http://127.0.0.1:4711/x" }, loopback: true},
		"other port":       {why: "push services use 443", change: func(b *notify.Browser) { b.Endpoint = "https://push.example.com:6379/x" }, part: "endpoint"},
		"user":             {why: "credentials are not ours to send", change: func(b *notify.Browser) { b.Endpoint = "https://a:b@push.example.com/x" }, part: "endpoint"},
		"line break":       {why: "it becomes a request", change: func(b *notify.Browser) { b.Endpoint = "https://push.example.com/x\r\nHost: y" }, part: "endpoint"},
		"long":             {why: "it is kept", change: func(b *notify.Browser) { b.Endpoint += strings.Repeat("x", 2000) }, part: "endpoint"},
		"no point": {why: "no secret could be agreed on", change: func(b *notify.Browser) {
			b.P256DH = base64.RawURLEncoding.EncodeToString(append([]byte{4}, make([]byte, 64)...))
		}, part: "p256dh"},
		"short key":    {why: "it is no key", change: func(b *notify.Browser) { b.P256DH = "AAAA" }, part: "p256dh"},
		"short secret": {why: "RFC 8291 says 16 bytes", change: func(b *notify.Browser) { b.Auth = "AAAA" }, part: "auth"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := good
			if x.change != nil {
				x.change(&b)
			}
			if part, problem := notify.CheckBrowser(b, public, x.loopback); part != x.part || (part == "") != (problem == "") {
				t.Errorf("it says %q: %q, want %q (%s)", part, problem, x.part, x.why)
			}
		})
	}
}

func TestAKeyOfWebPushIsChecked(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"empty": "", "words": "not a key", "zero": base64.RawURLEncoding.EncodeToString(make([]byte, 32)), "short": "AAAA"} {
		if _, err := notify.NewWebPush(key, "a@example.com", nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestAPhoneIsToldThroughTheProviderSigned(t *testing.T) {
	t.Parallel()
	s := newServer(t, 200)
	p, err := notify.NewPhones(s.URL+"/push", "a secret of some length", http.DefaultClient)
	must(t, err)
	when := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	must(t, p.Send(t.Context(), when, "key-1", []byte(`{"title":"x"}`)))
	if got := s.got.Header.Get("Switchboard-Signature"); got != notify.Signature(when, s.body, "a secret of some length") || s.got.Header.Get("Idempotency-Key") != "key-1" {
		t.Errorf("signed %q", got)
	}
	if got := s.got.Header.Get("Switchboard-Signature"); got == notify.Signature(when, s.body, "another secret") {
		t.Error("any secret signs the same")
	}
	s.status = 410
	if p := notify.ProblemOf(p.Send(t.Context(), when, "key-2", []byte(`{}`))); !p.Gone || !p.Final {
		t.Errorf("a token that is worth nothing: %+v", p)
	}
	for _, bad := range []string{"", "ftp://x", "https://a:b@x/", "push.example.com"} {
		if _, err := notify.NewPhones(bad, "secret", nil); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := notify.NewPhones("https://x.example.com", "", nil); err == nil {
		t.Error("nothing need be signed")
	}
}
