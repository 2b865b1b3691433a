package emulator_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

func TestFilesOfAnMMSAreFetchedAndWeighed(t *testing.T) { // twilio: 21620, 30019
	t.Parallel()
	for name, tc := range map[string]struct {
		why, kind string
		size      int
		status    int
		count     int
		want      int
	}{
		"image":             {"", "image/png", 1000, 200, 1, 0},
		"parameters":        {"of the content type", "image/jpeg; charset=x", 1000, 200, 1, 0},
		"five megabytes":    {"the most of all images together", "image/gif", 5 << 20, 200, 1, 0},
		"one byte more":     {"", "image/gif", 5<<20 + 1, 200, 1, 30019},
		"two large images":  {"together too much", "image/jpeg", 3 << 20, 200, 2, 30019},
		"a document":        {"", "application/pdf", 500 << 10, 200, 1, 0},
		"a large document":  {"500 KB at most", "application/pdf", 500<<10 + 1, 200, 1, 30019},
		"a large video":     {"", "video/mp4", 500<<10 + 1, 200, 1, 30019},
		"a program":         {"no such type", "application/octet-stream", 10, 200, 1, 12300},
		"a page":            {"a login page in place of a file", "text/html", 10, 200, 1, 12300},
		"not there":         {"", "image/png", 10, 404, 1, 21620},
		"not for everybody": {"no credentials are sent", "image/png", 10, 401, 1, 21620},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{MessageDelay: -1})
			var mu sync.Mutex
			var heads []http.Header
			files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				heads = append(heads, r.Header.Clone())
				mu.Unlock()
				w.Header().Set("Content-Type", tc.kind)
				w.WriteHeader(tc.status)
				_, _ = w.Write(bytes.Repeat([]byte{1}, tc.size))
			}))
			defer files.Close()
			urls := []string{}
			for range tc.count {
				urls = append(urls, files.URL+"/f")
			}
			m, err := s.text(mobile, "look", func(p *api.CreateMessageParams) { p.SetMediaUrl(urls) })
			s.must(err)
			if !strings.HasPrefix(*m.Sid, "MM") || *m.NumMedia != map[int]string{1: "1", 2: "2"}[tc.count] {
				t.Errorf("created %s with %s files", *m.Sid, *m.NumMedia)
			}
			s.idle()
			got := s.e.Messages()[0]
			if got.ErrorCode != tc.want || (got.Status == "delivered") != (tc.want == 0) {
				t.Errorf("%s %d, want %d %s", got.Status, got.ErrorCode, tc.want, tc.why)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, h := range heads {
				for _, no := range []string{"X-Twilio-Signature", "Authorization", "I-Twilio-Idempotency-Token"} {
					if h.Get(no) != "" {
						t.Errorf("the file was fetched with %s", no)
					}
				}
			}
			if len(heads) == 0 {
				t.Error("nothing was fetched")
			}
		})
	}
}

func TestMMSGoesWhereTheCountryTakesIt(t *testing.T) { // twilio: 21612, 30011
	t.Parallel()
	const kiwi = "+6421555123"
	s := newStage(t, emulator.Options{MessageDelay: -1})
	pic := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write([]byte("x"))
	}))
	t.Cleanup(pic.Close)
	s.number("+15550001112")
	s.number("+15550001113")
	converting := s.service(emulator.ServiceSpec{Name: "converts", Numbers: []string{"+15550001112"}})
	strict := s.service(emulator.ServiceSpec{Name: "strict", Numbers: []string{"+15550001113"}, Fields: map[string]string{"MmsConverter": "false"}})
	for _, tc := range []struct {
		why, how, service, to string
		refused               int
		failed                int
		prefix                string
	}{
		{"", "", "", mobile, 0, 0, "MM"},
		{"", "", "", australian, 0, 0, "MM"},
		{"no MMS there", "", "", kiwi, 21612, 0, ""},
		{"the service turns files into links", "", converting, kiwi, 0, 0, "SM"},
		{"unless told not to", "", strict, kiwi, 21612, 0, ""},
		{"found out on the way", emulator.MMSFails, "", kiwi, 0, 30011, "MM"},
		{"links for everybody", emulator.MMSConverted, "", kiwi, 0, 0, "SM"},
		{"delivered after all", emulator.MMSDelivered, "", kiwi, 0, 0, "MM"},
	} {
		if tc.how != "" {
			s.must(s.e.SetMMS("NZ", tc.how))
		}
		m, err := s.text(tc.to, "look", func(p *api.CreateMessageParams) {
			p.SetMediaUrl([]string{pic.URL + "/p.png"})
			if tc.service != "" {
				by(tc.service)(p)
			}
		})
		if code(err) != tc.refused {
			t.Errorf("%s: %v, want %d", tc.why, err, tc.refused)
		}
		if err != nil {
			continue
		}
		s.idle()
		f, err := s.tw.Api.FetchMessage(*m.Sid, nil)
		s.must(err)
		got := 0
		if f.ErrorCode != nil {
			got = int(*f.ErrorCode)
		}
		if got != tc.failed || !strings.HasPrefix(*f.Sid, tc.prefix) || (tc.prefix == "SM") != (*f.Body == "look "+pic.URL+"/p.png") {
			t.Errorf("%s: %d %s %q", tc.why, got, *f.Sid, *f.Body)
		}
	}
}

// Twilio redirects to a store of another name. Credentials stay behind: Go's client leaves
// them, and one that carries them on is refused there.
func TestFilesLieOnAnotherHost(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	store := strings.Replace(s.rest.URL, "127.0.0.1", "localhost", 1)
	s.e.SetStorageURL(store)
	sid, err := s.e.SendText(mobile, office, "look", emulator.Media{ContentType: "image/png", Data: []byte("picture")})
	s.must(err)
	s.idle()
	at := s.last("/sms").Get("MediaUrl0")
	get := func(to string, auth, follow bool) (int, string, string) {
		t.Helper()
		q, err := http.NewRequestWithContext(s.ctx, "GET", to, nil)
		s.must(err)
		if auth {
			q.SetBasicAuth(accountSID, authToken)
		}
		hc := &http.Client{}
		if !follow {
			hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		}
		res, err := hc.Do(q)
		s.must(err)
		b, err := readAll(res)
		s.must(err)
		return res.StatusCode, string(b), res.Header.Get("Location")
	}
	status, _, location := get(at, true, false)
	if status != 307 || !strings.HasPrefix(location, store+"/_storage/") {
		t.Fatalf("%d to %s", status, location)
	}
	for name, tc := range map[string]struct {
		to           string
		auth, follow bool
		want         int
	}{
		"followed without the credentials": {at, true, true, 200},
		"the address is the key":           {location, false, true, 200},
		"credentials carried on":           {location, true, true, 400},
		"nobody asks who reads":            {at, false, true, 200},
	} {
		if status, body, _ := get(tc.to, tc.auth, tc.follow); status != tc.want || status == 200 && body != "picture" {
			t.Errorf("%s: %d %q, want %d", name, status, body, tc.want)
		}
	}
	s.must(s.e.SetMediaAuth(accountSID, true))
	if status, _, _ := get(at, false, false); status != 401 {
		t.Errorf("without credentials where they are wanted: %d", status)
	}
	list, err := s.tw.Api.ListMedia(sid, nil)
	s.must(err)
	s.must(s.tw.Api.DeleteMedia(sid, *list[0].Sid, nil))
	for _, to := range []string{at, location} {
		if status, _, _ := get(to, to == at, true); status != 404 {
			t.Errorf("deleted: %d", status)
		}
	}
}
