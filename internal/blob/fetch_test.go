package blob_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchboard/internal/blob"
	"switchboard/internal/errs"
)

func TestURLsOfPeopleNeverReachInside(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ConnState: func(net.Conn, http.ConnState) { hits.Add(1) }}}
	s.Start()
	t.Cleanup(s.Close)
	port := l.Addr().(*net.TCPAddr).Port

	strict := blob.NewFetcher(blob.FetchOptions{Timeout: 2 * time.Second})
	t.Cleanup(strict.Close)
	// The dial check is what guards names and odd spellings; the rule against ports must not hide that.
	guarded := &http.Client{Transport: blob.GuardedTransport(false), Timeout: 2 * time.Second}
	t.Cleanup(guarded.CloseIdleConnections)
	for _, host := range []string{
		"127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "localhost.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
		"0.0.0.0", "[::]", "169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[fe80::1]", "[fc00::1]", "[64:ff9b::7f00:1]", "255.255.255.255",
	} {
		for _, address := range []string{"http://" + host + "/x", fmt.Sprintf("http://%s:%d/x", host, port), "https://" + host + "/x"} {
			if body, err := strict.Fetch(t.Context(), address); !errs.IsCode(err, errs.Invalid) {
				t.Errorf("%s: %v, %v", address, body, err)
			}
			if resp, err := guarded.Get(address); err == nil {
				_ = resp.Body.Close()
				t.Errorf("%s was dialled", address)
			}
		}
	}
	for _, address := range []string{
		"file:///etc/passwd", "gopher://127.0.0.1/", "ftp://example.com/a.mp3", "data:audio/wav;base64,AAAA", "javascript:1", "//example.com/x", "/x", "", "http://",
		"https://user:pass@example.com/x", "https://example.com:22/x", "http://exa mple.com", "http://[::1", "https://" + strings.Repeat("a", 3000),
	} {
		if err := strict.Check(address); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%q passed: %v", address, err)
		}
		if _, err := strict.Fetch(t.Context(), address); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%q was fetched: %v", address, err)
		}
	}
	if err := strict.Check("https://example.com/greeting.mp3"); err != nil {
		t.Error(err)
	}
	if n := hits.Load(); n != 0 {
		t.Fatalf("%d connections reached the listener", n)
	}
}

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700:4700::1111": true, "::ffff:8.8.8.8": true, "1.1.1.1": true, "100.128.0.1": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.31.255.255": false, "192.168.0.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "0.1.2.3": false, "192.0.0.8": false, "192.0.2.1": false, "198.18.0.1": false, "198.51.100.1": false, "203.0.113.1": false,
		"224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "::": false, "::1": false, "fe80::1%eth0": false, "fc00::1": false, "fec0::1": false,
		"ff02::1": false, "::ffff:10.0.0.1": false, "::10.0.0.1": false, "64:ff9b::a00:1": false, "64:ff9b:1::1": false, "2002:7f00:1::": false,
		"2001::1": false, "2001:db8::1": false, "100::1": false,
	} {
		if got := blob.Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("Public(%s) = %v", address, got)
		}
	}
	if blob.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestFetchReadsAFileAndItsLimitsHold(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var inside atomic.Int64
	private := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) }))
	t.Cleanup(private.Close)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			_, _ = w.Write(wav(100))
		case "/large":
			w.Header().Set("Content-Length", "4000000000")
		case "/endless":
			w.(http.Flusher).Flush()
			for {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		case "/slow":
			w.(http.Flusher).Flush()
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/moved":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/metadata":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		case "/userinfo":
			u, _ := url.Parse(private.URL)
			http.Redirect(w, r, "http://u:p@"+u.Host+"/", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(release) })
	f := blob.NewFetcher(blob.FetchOptions{Loopback: true, Limit: 100_000, Timeout: 300 * time.Millisecond})
	t.Cleanup(f.Close)
	for path, code := range map[string]errs.Code{
		"/ok": "", "/moved": "", "/large": errs.LimitReached, "/endless": errs.LimitReached, "/slow": errs.Invalid, "/loop": errs.Invalid,
		"/file": errs.Invalid, "/metadata": errs.Invalid, "/userinfo": errs.Invalid, "/missing": errs.Invalid,
	} {
		body, err := f.Fetch(t.Context(), s.URL+path)
		if err == nil {
			_, err = io.Copy(io.Discard, body)
			_ = body.Close()
		}
		if errs.CodeOf(err) != code {
			t.Errorf("%s: %v", path, err)
		}
	}
	if inside.Load() != 0 {
		t.Error("a redirect with credentials was followed")
	}
}
