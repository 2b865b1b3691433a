package app_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/config"
	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

const manager = "+12025550177"

// fetch gets a file of the server.
func (s *story) fetch(ref, bearer string, header http.Header) (status int, body []byte, got http.Header) {
	s.t.Helper()
	if strings.HasPrefix(ref, "/") {
		ref = s.URL + ref
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, ref, nil)
	s.Must(err)
	for k, v := range header {
		r.Header[k] = v
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := s.Admin.HTTP.Do(r)
	s.Must(err)
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	s.Must(err)
	return res.StatusCode, body, res.Header
}

// upload keeps audio and gives its id.
func (s *story) upload(name string, audio []byte) string {
	s.t.Helper()
	return s.posted("?name="+name, "audio/wav", audio)
}

// file uploads a GIF for a message.
func (s *story) file(name string, gif []byte) string {
	s.t.Helper()
	return s.posted("?for=message&name="+name, "image/gif", gif)
}

// posted uploads a file and expects its type to be found.
func (s *story) posted(query, want string, body []byte) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+"/media"+query, bytes.NewReader(body))
	s.Must(err)
	r.Header.Set("Authorization", "Bearer "+s.Admin.Token())
	r.Header.Set("Content-Type", "application/octet-stream")
	res, err := s.Admin.HTTP.Do(r)
	s.Must(err)
	defer res.Body.Close()
	var out struct{ ID, ContentType string }
	s.Must(json.NewDecoder(res.Body).Decode(&out))
	if res.StatusCode != http.StatusCreated || out.ContentType != want {
		s.t.Fatalf("the upload gave %d %+v", res.StatusCode, out)
	}
	return out.ID
}

// wav is a second of a quiet tone.
func wav() []byte {
	const rate, n = 8000, 8000
	le := func(v uint32, size int) []byte {
		return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}[:size]
	}
	b := slices.Concat([]byte("RIFF"), le(36+n, 4), []byte("WAVEfmt "), le(16, 4), le(1, 2), le(1, 2), le(rate, 4), le(rate, 4), le(1, 2), le(8, 2), []byte("data"), le(n, 4))
	for i := range n {
		b = append(b, byte(128+i%32))
	}
	return b
}

// asked are the documents that Twilio asked for about one call, oldest first.
func (s *story) asked(sid string) (list []emulator.Delivery) {
	for _, d := range s.Emulator.Deliveries() {
		if d.Kind == emulator.KindTwiML && d.Resource == sid {
			list = append(list, d)
		}
	}
	return list
}

// A call that nobody takes: the ring group, the manager's mobile, the voicemail.
func TestAnUnansweredCallIsForwardedAndThenLeavesAVoicemail(t *testing.T) {
	folder := t.TempDir()
	s := newStory(t, stage.WithConfig(func(c *config.Config) { c.BlobURL = "file://" + folder }))
	branch, elsewhere := s.Branch("Office"), s.Branch("Elsewhere")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann, bob, dan := s.User("ann", "OFFICE", "", branch), s.User("bob", "OFFICE", ""), s.User("dan", "OFFICE", "", elsewhere)
	desk := s.Device(ann, "Desk")
	s.set(line, demo.Vars{
		"routing":   demo.Vars{"ringTimeoutSeconds": 20, "forwardingNumbers": []string{manager}},
		"voicemail": demo.Vars{"isEnabled": true, "greetingText": "This is the office.", "ownerId": bob.ID, "notifiedUserIds": []string{bob.ID}},
	})
	after := s.cursor()

	sid := s.dial(customer, officeNumber)
	s.wantRinging(desk)
	s.Pass(19 * time.Second)
	s.wantRinging(desk)
	s.Pass(2 * time.Second)
	s.wantRinging(manager) // R052, R053
	s.Pass(21 * time.Second)
	s.wantRinging()
	documents := s.asked(sid)
	if last := documents[len(documents)-1].Answer; !strings.Contains(last, "This is the office.") || !strings.Contains(last, "<Record") {
		t.Fatalf("after the forwarding number Twilio was told %s", last)
	}
	if c := s.call(sid); c.Status != "IN_PROGRESS" || c.AnsweredAt != nil {
		t.Errorf("while a voicemail is left the log says %s", c)
	}
	s.speakAndHangUp(sid, 10*time.Second)

	c := s.call(sid)
	if c.Status != "VOICEMAIL" || word(c.EndReason) != "LEFT_VOICEMAIL" || c.AnsweredBy != nil || c.Voicemail == nil {
		t.Fatalf("the log says %s", c)
	}
	if word(c.leg(desk).Outcome) != "TIMED_OUT" || word(c.leg(manager).Outcome) != "TIMED_OUT" {
		t.Errorf("the legs are %s", c)
	}
	v := *c.Voicemail
	if name(v.Owner) != "bob" || v.From.E164 != customer || v.Branch == nil || v.Branch.ID != branch || number(v.DurationSeconds) < 10 || v.HeardAt != nil { // R124, R129, D25
		t.Errorf("the voicemail is %+v", v)
	}
	for who, want := range map[stage.Person]int{ann: 1, bob: 1, dan: 0} { // R128, R023
		if told := s.facts(who.Client, after, "VOICEMAIL_RECEIVED"); len(told) != want {
			t.Errorf("%s was told of %d voicemails, want %d", who.ID, len(told), want)
		}
	}

	// The audio is not there at once; then Twilio is down; then it comes (T09).
	s.Settle()
	if state := s.call(sid).Voicemail.Recording.MediaState; state != "STORED" {
		t.Fatalf("the audio is %s", state)
	}
	r := s.call(sid).Voicemail.Recording
	if len(s.call(sid).Recordings) != 0 && s.call(sid).Recordings[0].ID != r.ID {
		t.Errorf("the call shows other recordings than its voicemail: %+v", s.call(sid).Recordings)
	}
	status, audio, header := s.fetch(*r.URL, "", nil)
	if status != 200 || !bytes.HasPrefix(audio, []byte("RIFF")) || header.Get("Content-Type") != "audio/wav" || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("the audio is served as %d %s, %d bytes", status, header.Get("Content-Type"), len(audio))
	}
	if status, part, _ := s.fetch(*r.URL, "", http.Header{"Range": {"bytes=100-199"}}); status != 206 || !bytes.Equal(part, audio[100:200]) {
		t.Errorf("a range is served as %d with %d bytes", status, len(part))
	}
	// R279: what lies on the disk is not what is heard.
	s.noFileHolds(folder, audio[44:1044])

	path := "/media/" + r.ID
	for _, x := range []struct {
		claim, bearer string
		want          int
	}{
		{"the owner listens", bob.Client.Token(), 200},
		{"a colleague of the branch listens", ann.Client.Token(), 200},
		{"another branch finds nothing", dan.Client.Token(), 404},
		{"nobody is refused", "", 401},
		{"a wrong token is refused", "x" + bob.Client.Token(), 401},
	} {
		if status, _, _ := s.fetch(path, x.bearer, nil); status != x.want {
			t.Errorf("%s: status %d, want %d", x.claim, status, x.want)
		}
	}
	tampered := strings.Replace(*r.URL, "sig=", "sig=A", 1)
	if status, _, _ := s.fetch(tampered, "", nil); status != 401 {
		t.Errorf("a forged address gives %d", status)
	}
	// A signed address works for five minutes, and no longer than the session.
	url := s.linkAs(bob.Client, v.ID)
	if status, _, _ := s.fetch(url, "", nil); status != 200 {
		t.Errorf("bob's address gives %d", status)
	}
	s.Clock.Advance(5*time.Minute + time.Second)
	if status, _, _ := s.fetch(url, "", nil); status != 401 {
		t.Errorf("after five minutes the address gives %d", status)
	}
	bob.Client = s.SignIn("bob")
	url = s.linkAs(bob.Client, v.ID)
	s.Must(bob.Client.Do(t.Context(), `mutation { sessionEnd { userErrors { code field message } } }`, nil, nil))
	if status, _, _ := s.fetch(url, "", nil); status != 401 {
		t.Errorf("after the end of the session the address gives %d", status)
	}
	s.clean()
}

// linkAs is the address of a voicemail's audio as somebody sees it.
func (s *story) linkAs(who *demo.Client, voicemail string) string {
	s.t.Helper()
	var out struct{ Voicemail *voicemailView }
	s.Must(who.Do(s.t.Context(), `query($id: ID!) { voicemail(id: $id) { `+voicemailFields+` } }`, demo.Vars{"id": voicemail}, &out))
	if out.Voicemail == nil || out.Voicemail.Recording.URL == nil {
		s.t.Fatalf("no address: %+v", out.Voicemail)
	}
	return *out.Voicemail.Recording.URL
}

// speakAndHangUp leaves a voicemail once the tone is heard.
func (s *story) speakAndHangUp(sid string, spoken time.Duration) {
	s.t.Helper()
	for range 100 {
		if c, _ := s.Emulator.Call(sid); c.Verb == "Record" {
			s.Must(s.Emulator.Speak(sid, spoken))
			s.Pass(spoken)
			s.hangUp(sid)
			s.idle()
			return
		}
		s.Pass(time.Second)
	}
	s.t.Fatalf("the tone was never heard")
}

// noFileHolds reads every file of a folder and looks for the audio in it.
func (s *story) noFileHolds(folder string, audio []byte) {
	s.t.Helper()
	files := 0
	s.Must(filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if bytes.Contains(b, audio) || bytes.Contains(b, []byte("RIFF")) {
			s.t.Errorf("the file %s holds the audio as it is heard", filepath.Base(path))
		}
		return err
	}))
	if files == 0 {
		s.t.Error("nothing is stored")
	}
}

// Audio before text (R127); what Twilio plays comes from an address that nobody can
// guess or prolong.
func TestAnAudioGreetingIsPlayedInsteadOfTheText(t *testing.T) {
	s := newStory(t)
	tone := wav()
	greeting := s.upload("greeting", tone)
	s.Number(officeNumber, demo.Vars{
		"voicemail": demo.Vars{"isEnabled": true, "greetingText": "Never said.", "greetingAudioId": greeting},
	})
	sid := s.dial(customer, officeNumber)
	documents := s.asked(sid)
	if len(documents) != 1 || strings.Contains(documents[0].Answer, "Never said") || !strings.Contains(documents[0].Answer, "<Play>") {
		t.Fatalf("Twilio was told %s", documents[0].Answer)
	}
	_, rest, _ := strings.Cut(documents[0].Answer, "<Play>")
	address, _, _ := strings.Cut(rest, "</Play>")
	address = strings.ReplaceAll(address, "&amp;", "&")
	if status, audio, _ := s.fetch(address, "", nil); status != 200 || !bytes.Equal(audio, tone) {
		t.Errorf("the greeting is served as %d, %d bytes; want its %d", status, len(audio), len(tone))
	}
	played := slices.ContainsFunc(s.Emulator.Deliveries(), func(d emulator.Delivery) bool { return d.Kind == emulator.KindAudio && d.Status == 200 })
	if !played {
		t.Error("Twilio did not fetch the greeting")
	}
	for claim, forged := range map[string]string{
		"without a signature":   strings.SplitN(address, "?", 2)[0],
		"with a forged one":     address[:len(address)-4] + "AAAA",
		"of another audio":      strings.Replace(address, "/twilio/media/", "/twilio/media/A", 1),
		"by the audio's own id": s.URL + "/twilio/media/" + greeting,
	} {
		if status, _, _ := s.fetch(forged, "", nil); status != 404 {
			t.Errorf("the greeting %s: status %d, want 404", claim, status)
		}
	}
	s.Clock.Advance(26 * time.Hour)
	if status, _, _ := s.fetch(address, "", nil); status != 404 {
		t.Errorf("the greeting's address a day later: status %d, want 404", status)
	}
}

// The file is not there at once, then Twilio is down, then the line is cut: none of it
// is stored as audio, and the audio comes in the end.
func TestTheAudioOfAVoicemailIsFetchedUntilItIsThere(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, demo.Vars{"voicemail": demo.Vars{"isEnabled": true}})
	for _, f := range []emulator.Fault{
		{Method: "GET", Path: "/Recordings/", Fate: emulator.FateRefuse, Code: 20404, Times: 2},
		{Method: "GET", Path: "/Recordings/", Fate: emulator.Fate500},
		{Method: "GET", Path: "/Recordings/", Fate: emulator.FateHTML},
		{Method: "GET", Path: "/Recordings/", Fate: emulator.FateReset},
	} {
		s.Emulator.FailNext(f)
	}
	sid := s.dial(customer, officeNumber)
	s.speakAndHangUp(sid, 5*time.Second)
	s.Settle()
	c := s.call(sid)
	if c.Voicemail == nil || c.Voicemail.Recording.MediaState != "PENDING" || c.Voicemail.Recording.URL != nil { // "being fetched" is visible
		t.Fatalf("after the first refusal the voicemail is %+v", c.Voicemail)
	}
	if status, _, _ := s.fetch("/media/"+c.Voicemail.Recording.ID, s.Admin.Token(), nil); status != 409 {
		t.Errorf("audio that is not there yet is answered %d, want 409", status)
	}
	waited := time.Duration(0)
	for ; s.call(sid).Voicemail.Recording.MediaState == "PENDING" && waited < 10*time.Minute; waited += 5 * time.Second {
		s.Pass(5 * time.Second)
		s.Settle()
	}
	r := s.call(sid).Voicemail.Recording
	if r.MediaState != "STORED" || number(r.SizeBytes) < 1000 {
		t.Fatalf("after %v the audio is %+v", waited, r)
	}
	if _, audio, _ := s.fetch("/media/"+r.ID, s.Admin.Token(), nil); !bytes.HasPrefix(audio, []byte("RIFF")) || len(audio) != number(r.SizeBytes) {
		t.Errorf("the audio has %d bytes, the row says %d", len(audio), number(r.SizeBytes))
	}
}
