package app_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

// picture is a PNG of so many pixels.
func picture(t *testing.T, w, h int) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for x := range w {
		for y := range h {
			m.Set(x, y, color.RGBA{uint8(x), uint8(y), uint8(x * y), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// uploadAs posts a file for a message and gives the status and the answer.
func (s *story) uploadAs(who *demo.Client, name, declared string, data []byte) (status int, out struct {
	ID, ContentType, Code string
	SizeBytes             int
}) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+"/media?for=message&name="+url.QueryEscape(name), bytes.NewReader(data))
	s.Must(err)
	r.Header.Set("Content-Type", declared)
	if who != nil {
		r.Header.Set("Authorization", "Bearer "+who.Token())
	}
	res, err := http.DefaultClient.Do(r)
	s.Must(err)
	defer res.Body.Close()
	s.Must(json.NewDecoder(res.Body).Decode(&out))
	return res.StatusCode, out
}

// get fetches an address, as Twilio or a browser does.
func (s *story) get(address string) (status int, kind string, body []byte) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, address, nil)
	s.Must(err)
	res, err := http.DefaultClient.Do(r)
	s.Must(err)
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	s.Must(err)
	return res.StatusCode, res.Header.Get("Content-Type"), body
}

type mediaView struct {
	ID, ContentType, State string
	URL, ThumbnailURL      *string
	SizeBytes              *int
}

// mediaOf are the files of the newest message with somebody.
func (s *story) mediaOf(who *demo.Client, message string) []mediaView {
	s.t.Helper()
	var out struct{ Node *struct{ Media []mediaView } }
	s.Must(who.Do(s.t.Context(), `query($id: ID!) { node(id: $id) { ... on Message { media { id contentType state url thumbnailUrl sizeBytes } } } }`, demo.Vars{"id": message}, &out))
	if out.Node == nil {
		return nil
	}
	return out.Node.Media
}

func TestAPictureIsSentFromAnUpload(t *testing.T) { // R142-R144
	s := newStory(t)
	branch, elsewhere := s.Branch("Office"), s.Branch("Elsewhere")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann, dan := s.User("ann", "OFFICE", "", branch), s.User("dan", "OFFICE", "", elsewhere)
	data := picture(t, 800, 600)

	for why, c := range map[string]struct {
		who      *demo.Client
		declared string
		data     []byte
		want     int
	}{
		"nobody":                       {nil, "image/png", data, 401},
		"a page that says picture":     {ann.Client, "image/png", []byte("<html><script>alert(1)</script>"), 415},
		"a program":                    {ann.Client, "image/png", []byte("MZ\x90\x00\x03\x00\x00\x00"), 415},
		"nothing":                      {ann.Client, "image/png", nil, 400},
		"more than a message carries":  {ann.Client, "image/png", append(bytes.Clone(data), make([]byte, 6_000_000)...), 413},
		"a picture that says document": {ann.Client, "application/pdf", data, 201},
	} {
		status, out := s.uploadAs(c.who, "x", c.declared, c.data)
		if status != c.want {
			t.Errorf("%s: %d %s, want %d", why, status, out.Code, c.want)
		}
		if status == 201 && out.ContentType != "image/png" {
			t.Errorf("%s: it is %s", why, out.ContentType)
		}
	}

	_, up := s.uploadAs(ann.Client, "plan.png", "image/png", data)
	if code := s.try(dan.Client, sendMutation, demo.Vars{"i": demo.Vars{"to": customer, "body": "Look", "mediaIds": []string{up.ID}}}, nil); code != "NOT_FOUND" {
		t.Errorf("another sends ann's upload: %s", code)
	}
	id := s.sendAs(ann.Client, demo.Vars{"to": customer, "body": "Look", "mediaIds": []string{up.ID}}, nil)
	s.Settle()
	if m := s.message(id); m.Status != "DELIVERED" {
		t.Errorf("it is %+v", m)
	}
	texts := s.Emulator.Messages()
	if last := texts[len(texts)-1]; last.Media != 1 || !strings.HasPrefix(last.SID, "MM") {
		t.Errorf("Twilio has %+v", last)
	}
	got := s.mediaOf(ann.Client, id)
	if len(got) != 1 || got[0].State != "STORED" || got[0].URL == nil || got[0].ThumbnailURL == nil {
		t.Fatalf("its files are %+v", got)
	}
	if status, kind, body := s.get(*got[0].URL); status != 200 || kind != "image/png" || !bytes.Equal(body, data) {
		t.Errorf("ann gets %d %s, %d bytes", status, kind, len(body))
	}
	if status, kind, body := s.get(*got[0].ThumbnailURL); status != 200 || kind != "image/jpeg" || len(body) == 0 || len(body) >= len(data) {
		t.Errorf("the small picture is %d %s, %d bytes", status, kind, len(body))
	}
	if seen := s.mediaOf(dan.Client, id); seen != nil {
		t.Errorf("another branch sees %+v", seen)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/media/"+got[0].ID, nil)
	s.Must(err)
	r.Header.Set("Authorization", "Bearer "+dan.Client.Token())
	res, err := http.DefaultClient.Do(r)
	s.Must(err)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("another branch fetches it: %d", res.StatusCode)
	}
	s.clean()
}

func TestAPictureThatComesInIsCopiedAtOnce(t *testing.T) { // R143, R144
	s := newStory(t)
	branch, elsewhere := s.Branch("Office"), s.Branch("Elsewhere")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann, dan := s.User("ann", "OFFICE", "", branch), s.User("dan", "OFFICE", "", elsewhere)
	// Twilio's files lie on another host, which gets no credentials.
	var mu sync.Mutex
	var told []string
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		told = append(told, r.Header.Get("Authorization"))
		mu.Unlock()
		s.Emulator.ServeHTTP(w, r)
	}))
	defer storage.Close()
	s.Emulator.SetStorageURL(strings.Replace(storage.URL, "127.0.0.1", "localhost", 1))
	data := picture(t, 640, 480)
	_, err := s.Emulator.SendText(customer, officeNumber, "Here", emulator.Media{ContentType: "image/png", Data: data},
		emulator.Media{ContentType: "image/png", Data: []byte("<html><script>alert(1)</script>")})
	s.Must(err)
	s.Settle()
	thread := s.threads(ann.Client)[0]
	message := thread.Messages.Nodes[0].ID
	got := s.mediaOf(ann.Client, message)
	if len(got) != 2 || got[0].State != "STORED" || got[0].ThumbnailURL == nil || got[1].State != "REFUSED" || got[1].URL != nil {
		t.Fatalf("its files are %+v", got)
	}
	if status, kind, body := s.get(*got[0].URL); status != 200 || kind != "image/png" || !bytes.Equal(body, data) {
		t.Errorf("ann gets %d %s, %d bytes", status, kind, len(body))
	}
	if seen := s.mediaOf(dan.Client, message); seen != nil {
		t.Errorf("another branch sees %+v", seen)
	}
	mu.Lock()
	if len(told) == 0 || strings.Join(told, "") != "" {
		t.Errorf("the other host was told %q", told)
	}
	mu.Unlock()
	s.Pass(6 * time.Minute)
	if status, _, _ := s.get(*got[0].URL); status != http.StatusUnauthorized {
		t.Errorf("after five minutes its address gives %d", status)
	}
	s.clean()
}

// overheard notes where the emulator fetches files from.
type overheard struct {
	mu    sync.Mutex // guards files
	files []string
}

func (o *overheard) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.Path, "/twilio/media/") {
		o.mu.Lock()
		o.files = append(o.files, r.URL.String())
		o.mu.Unlock()
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestTheAddressOfASentPictureExpiresAndCannotBeForged(t *testing.T) { // R143
	way := &overheard{}
	s := newStory(t, stage.WithEmulator(func(o *emulator.Options) { o.Transport = way }))
	s.Number(officeNumber, nil)
	data := picture(t, 20, 20)
	_, up := s.uploadAs(s.Admin, "a.png", "image/png", data)
	for _, to := range []string{customer, "+12025560001"} {
		s.sendAs(s.Admin, demo.Vars{"to": to, "body": "Look", "mediaIds": []string{up.ID}}, nil)
	}
	s.Settle()
	way.mu.Lock()
	files := way.files
	way.mu.Unlock()
	if len(files) < 2 {
		t.Fatalf("Twilio fetched %v", files)
	}
	address, err := url.Parse(files[0])
	s.Must(err)
	changed := func(change func(u *url.URL, q url.Values)) string {
		u, q := *address, address.Query()
		change(&u, q)
		u.RawQuery = q.Encode()
		return u.String()
	}
	if status, kind, body := s.get(files[0]); status != 200 || kind != "image/png" || !bytes.Equal(body, data) {
		t.Errorf("Twilio gets %d %s, %d bytes", status, kind, len(body))
	}
	for why, forged := range map[string]string{
		"no signature":              changed(func(_ *url.URL, q url.Values) { q.Del("s") }),
		"a signature of another":    changed(func(u *url.URL, _ url.Values) { o, _ := url.Parse(files[len(files)-1]); u.Path = o.Path }),
		"a later end":               changed(func(_ *url.URL, q url.Values) { _, mac, _ := strings.Cut(q.Get("s"), "."); q.Set("s", "zzzzzz."+mac) }),
		"another organization":      changed(func(_ *url.URL, q url.Values) { q.Set("o", "org_01h455vb4pex5vsknk084sn02q") }),
		"the upload, not a message": changed(func(u *url.URL, _ url.Values) { u.Path = "/twilio/media/" + up.ID }),
	} {
		if status, _, _ := s.get(forged); status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", why, status)
		}
	}
	s.Pass(13 * time.Hour)
	if status, _, _ := s.get(files[0]); status != http.StatusNotFound {
		t.Errorf("when its time is over it gives %d", status)
	}
}
