package media_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/clock"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/media"
	"switchboard/internal/secret"
)

// stage is a handler over one file, for one person with a session.
type stage struct {
	who   access.Actor
	file  id.ID
	clock *clock.Fake
	media *media.Handler
	ended bool // the session
	// upload stands in for the domain.
	upload func(body io.Reader) (int64, error)
}

const token = "a-token"

type page struct{ *bytes.Reader }

func (page) Close() error { return nil }

func newStage(t *testing.T) *stage {
	t.Helper()
	keys, err := secret.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{
		who:  access.Actor{OrganizationID: id.New(id.Organization), UserID: id.New(id.User), SessionID: id.New(id.Session)},
		file: id.New(id.Recording), clock: clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)),
	}
	base, _ := url.Parse("https://phone.test")
	s.media = media.New(media.Options{
		Authenticate: func(_ context.Context, bearer string) (access.Actor, error) {
			if bearer != token {
				return access.Actor{}, errs.New(errs.Unauthenticated, "no")
			}
			return s.who, nil
		},
		Resume: func(_ context.Context, org, credential id.ID) (access.Actor, error) {
			if s.ended || org != s.who.OrganizationID || credential != s.who.SessionID {
				return access.Actor{}, errs.New(errs.Unauthenticated, "no")
			}
			return s.who, nil
		},
		Kinds: map[id.Kind]media.Open{id.Recording: func(_ context.Context, who access.Actor, x id.ID) (io.ReadSeekCloser, blob.Info, error) {
			if x != s.file || who.UserID != s.who.UserID {
				return nil, blob.Info{}, errs.New(errs.NotFound, "no")
			}
			return page{bytes.NewReader([]byte("0123456789"))}, blob.Info{ContentType: "audio/wav", Size: 10}, nil
		}},
		Upload: func(_ context.Context, _ access.Actor, _, _ string, body io.Reader) (id.ID, string, int64, error) {
			n, err := s.upload(body)
			return id.New(id.Upload), "audio/wav", n, err
		},
		Keys: keys, Clock: s.clock, Base: base, Logger: slog.New(slog.DiscardHandler),
	})
	return s
}

func (s *stage) get(t *testing.T, address string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.media.ServeHTTP(w, r)
	return w
}

// An address in an <audio> opens one file for one session, for five minutes.
func TestALinkOpensOneFileForOneSession(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	link, err := s.media.Link(s.who, s.file)
	if err != nil {
		t.Fatal(err)
	}
	if w := s.get(t, link); w.Code != http.StatusOK || w.Body.String() != "0123456789" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	u, _ := url.Parse(link)
	forged := u.Query()
	claim := []byte(forged.Get("for"))
	claim[len(claim)-2] ^= 1 // in the last byte of the time
	forged.Set("for", string(claim))
	for name, address := range map[string]string{
		"another file":    strings.Replace(link, s.file.String(), id.New(id.Recording).String(), 1),
		"another time":    u.Path + "?" + forged.Encode(),
		"no signature":    u.Path,
		"half a claim":    u.Path + "?for=AAAA&sig=" + url.QueryEscape(u.Query().Get("sig")),
		"no text at all":  u.Path + "?for=%00&sig=%00",
		"another's claim": u.Path + "?for=" + strings.Repeat("A", 54) + "&sig=" + url.QueryEscape(u.Query().Get("sig")),
	} {
		if w := s.get(t, address); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	s.ended = true
	if w := s.get(t, link); w.Code != http.StatusUnauthorized {
		t.Errorf("after the session: %d", w.Code)
	}
	s.ended = false
	s.clock.Advance(media.LinkLifetime + time.Second)
	if w := s.get(t, link); w.Code != http.StatusUnauthorized {
		t.Errorf("after its time: %d", w.Code)
	}
}

func TestFilesHaveRangesAndNoPowersInABrowser(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.get(t, "/media/"+s.file.String(), "Authorization", "Bearer "+token, "Range", "bytes=2-4")
	if w.Code != http.StatusPartialContent || w.Body.String() != "234" || w.Header().Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	for k, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store", "Content-Security-Policy": "default-src 'none'; sandbox"} {
		if got := w.Header().Get(k); got != want {
			t.Errorf("%s: %q", k, got)
		}
	}
	for address, want := range map[string]int{
		"/media/" + id.New(id.Recording).String(): http.StatusNotFound,
		"/media/" + id.New(id.User).String():      http.StatusNotFound,
		"/media/nonsense":                         http.StatusNotFound,
	} {
		if w := s.get(t, address, "Authorization", "Bearer "+token); w.Code != want {
			t.Errorf("%s: %d", address, w.Code)
		}
	}
	if w := s.get(t, "/media/"+s.file.String(), "Authorization", "Bearer "+token, "Range", "bytes=99-"); w.Code != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range behind the end: %d", w.Code)
	}
}

// The server gives a request a few seconds; ten megabytes over a slow line take
// longer. The time of the server's own timeout has to pass for real.
func TestAnUploadOutlastsTheServersTimeout(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const timeout = 20 * time.Millisecond
	s.upload = func(body io.Reader) (int64, error) { return io.Copy(io.Discard, body) }
	srv := httptest.NewUnstartedServer(s.media)
	srv.Config.ReadTimeout, srv.Config.ReadHeaderTimeout = timeout, 10*time.Second
	srv.Start()
	defer srv.Close()

	pr, pw := io.Pipe()
	go func() {
		_, _ = pw.Write([]byte("first half"))
		<-time.After(3 * timeout)
		_, _ = pw.Write([]byte("second half"))
		_ = pw.Close()
	}()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/media", pr)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated || !strings.Contains(string(body), `"sizeBytes":21`) {
		t.Errorf("the upload: %d %s", resp.StatusCode, body)
	}
}

func TestUploadsAreBounded(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.upload = func(body io.Reader) (int64, error) { return io.Copy(io.Discard, body) }
	post := func(size int64, auth, query string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/media"+query, io.LimitReader(zeros{}, size))
		r.ContentLength = size
		r.Header.Set("Authorization", auth)
		w := httptest.NewRecorder()
		s.media.ServeHTTP(w, r)
		return w.Code
	}
	for name, x := range map[string]struct {
		size        int64
		auth, query string
		want        int
	}{
		"as large as may be": {media.MaxUpload, "Bearer " + token, "", http.StatusCreated},
		"larger":             {media.MaxUpload + 1, "Bearer " + token, "", http.StatusRequestEntityTooLarge},
		"4 GB":               {4 << 30, "Bearer " + token, "", http.StatusRequestEntityTooLarge},
		"nobody":             {10, "", "", http.StatusUnauthorized},
		"a bad token":        {10, "Bearer x", "", http.StatusUnauthorized},
		"a long name":        {10, "Bearer " + token, "?name=" + strings.Repeat("x", 201), http.StatusUnsupportedMediaType},
	} {
		if got := post(x.size, x.auth, x.query); got != x.want {
			t.Errorf("%s: %d, want %d", name, got, x.want)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Players ask for ranges of a recording, savers for the whole; what was deleted says so.
func TestARecordingIsStreamedInPartsAndSaved(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	deleted := id.New(id.Recording)
	var asked []media.Part
	s.media = media.New(media.Options{
		Authenticate: func(context.Context, string) (access.Actor, error) { return s.who, nil },
		Parts: map[id.Kind]media.OpenPart{id.Recording: func(_ context.Context, _ access.Actor, x id.ID, p media.Part) (io.ReadSeekCloser, media.File, error) {
			asked = append(asked, p)
			switch {
			case x == deleted:
				return nil, media.File{}, errs.New(errs.NotFound, "this recording was deleted").Because(buried{})
			case p.Channel == "LEFT":
				return nil, media.File{}, errs.New(errs.Invalid, "no such side")
			}
			return page{bytes.NewReader([]byte("0123456789"))}, media.File{ContentType: "audio/wav", Name: x.String() + p.Channel + ".wav"}, nil
		}},
		Clock: s.clock, Logger: slog.New(slog.DiscardHandler),
	})
	address := "https://phone.test/media/" + s.file.String()
	whole := s.get(t, address, "Authorization", "Bearer x")
	tag := whole.Header().Get("ETag")
	if whole.Code != 200 || whole.Body.String() != "0123456789" || tag == "" || whole.Header().Get("Accept-Ranges") != "bytes" || whole.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("%d %v", whole.Code, whole.Header())
	}
	for name, c := range map[string]struct {
		query  string
		header []string
		status int
		body   string
		kept   string // the disposition
	}{
		"a range":                     {"", []string{"Range", "bytes=2-4"}, 206, "234", "inline"},
		"the end":                     {"", []string{"Range", "bytes=-3"}, 206, "789", "inline"},
		"from the middle":             {"", []string{"Range", "bytes=8-"}, 206, "89", "inline"},
		"past the end":                {"", []string{"Range", "bytes=10-"}, 416, "", ""},
		"nonsense":                    {"", []string{"Range", "bytes=x"}, 416, "", ""},
		"going on with the same":      {"", []string{"Range", "bytes=8-", "If-Range", tag}, 206, "89", "inline"},
		"going on with another":       {"", []string{"Range", "bytes=8-", "If-Range", `"another"`}, 200, "0123456789", "inline"},
		"had already":                 {"", []string{"If-None-Match", tag}, 304, "", ""},
		"one side is another file":    {"?channel=USER", []string{"If-None-Match", tag}, 200, "0123456789", "inline"},
		"to be saved":                 {"?download=true", nil, 200, "0123456789", "attachment"},
		"one side to be saved":        {"?download=true&channel=CALLER", nil, 200, "0123456789", "attachment"},
		"no such side":                {"?channel=LEFT", nil, 415, "", ""},
		"a small picture of a sound":  {"?size=small", nil, 404, "", ""},
		"download must be true to be": {"?download=1", nil, 200, "0123456789", "inline"},
	} {
		w := s.get(t, address+c.query, append(c.header, "Authorization", "Bearer x")...)
		if w.Code != c.status || c.body != "" && w.Body.String() != c.body {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
		if got := w.Header().Get("Content-Disposition"); c.kept != "" && (!strings.HasPrefix(got, c.kept+`; filename="rec_`) || !strings.HasSuffix(got, `.wav"`)) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if !slices.Contains(asked, media.Part{Channel: "CALLER", Download: true}) || !slices.Contains(asked, media.Part{Channel: "USER"}) {
		t.Errorf("asked for %+v", asked)
	}
	head := httptest.NewRequestWithContext(t.Context(), http.MethodHead, address, nil)
	head.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	s.media.ServeHTTP(w, head)
	if w.Code != 200 || w.Header().Get("Content-Length") != "10" || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d, %s bytes, %q", w.Code, w.Header().Get("Content-Length"), w.Body)
	}
	tomb := s.get(t, "https://phone.test/media/"+deleted.String(), "Authorization", "Bearer x", "Range", "bytes=0-")
	if tomb.Code != http.StatusGone || !strings.Contains(tomb.Body.String(), `"tombstone":{"deletedAt":"2026-03-01T12:00:00Z"}`) || tomb.Header().Get("Content-Type") != "application/json" {
		t.Errorf("the tombstone: %d %s", tomb.Code, tomb.Body)
	}
}

type buried struct{}

func (buried) Error() string { return "deleted" }

func (buried) MarshalJSON() ([]byte, error) {
	return []byte(`{"deletedAt":"2026-03-01T12:00:00Z"}`), nil
}
