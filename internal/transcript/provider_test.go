package transcript_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/transcript"
	"switchboard/internal/twilio"
)

type fault = func(http.ResponseWriter, *http.Request, func())

func answers(status int, header ...string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ func()) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"code": 20001, "message": "no", "error": {"message": "no", "status": "X"}}`)
	}
}

// lost takes effect, and its answer does not arrive.
func lost(w http.ResponseWriter, _ *http.Request, effect func()) {
	effect()
	panic(http.ErrAbortHandler)
}

// dead breaks off before anything is done.
func dead(http.ResponseWriter, *http.Request, func()) { panic(http.ErrAbortHandler) }

func junk(w http.ResponseWriter, _ *http.Request, _ func()) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `<html>{"sid":`)
}

// what is expected of one provider.
type want struct {
	status transcript.Status
	code   transcript.FailureCode
	begun  int
}

var done = want{status: transcript.Completed, begun: 1}

func failed(code transcript.FailureCode, begun int) want {
	return want{transcript.Failed, code, begun}
}

// R200: whatever goes wrong at a provider, a transcript is made, or fails and says
// why; and nothing that may have begun is begun again.
func TestEveryProviderKeepsItsWordWhateverGoesWrong(t *testing.T) {
	t.Parallel()
	type providers = map[transcript.ProviderName]want
	same := func(w want) providers {
		return providers{transcript.Twilio: w, transcript.Google: w, transcript.HTTP: w}
	}
	for name, c := range map[string]struct {
		why    string
		script func(*provider)
		want   providers
	}{
		"success":    {"the plain way", func(*provider) {}, same(done)},
		"slow":       {"work takes its time", func(p *provider) { p.pending = 3 }, same(done)},
		"503 once":   {"what failed and did not begin is begun later", func(p *provider) { p.faults = []fault{answers(503)} }, same(done)},
		"500 once":   {"Google's 500 does not say whether it began", func(p *provider) { p.faults = []fault{answers(500)} }, providers{transcript.Twilio: done, transcript.Google: failed(transcript.Unknown, 0), transcript.HTTP: done}},
		"429":        {"too much at once is put off", func(p *provider) { p.faults = []fault{answers(429, "Retry-After", "90")} }, same(done)},
		"refused":    {"a wrong key is not tried again", func(p *provider) { p.always = answers(401) }, same(failed(transcript.NotConfigured, 0))},
		"bad audio":  {"what is not taken is not tried again", func(p *provider) { p.always = answers(400) }, same(failed(transcript.Refused, 0))},
		"lost":       {"an answer that was lost is looked up by our own id", func(p *provider) { p.faults = []fault{lost} }, providers{transcript.Twilio: done, transcript.Google: failed(transcript.Unknown, 1), transcript.HTTP: done}},
		"dead":       {"nobody there: given up in the end", func(p *provider) { p.always = dead }, providers{transcript.Twilio: failed(transcript.Unavailable, 0), transcript.Google: failed(transcript.Unknown, 0), transcript.HTTP: failed(transcript.Unavailable, 0)}},
		"wrong JSON": {"an answer that nobody can read is none", func(p *provider) { p.faults = []fault{junk} }, providers{transcript.Twilio: done, transcript.Google: failed(transcript.Unknown, 0), transcript.HTTP: done}},
		"huge":       {"an answer without end is not kept", func(p *provider) { p.huge = true }, providers{transcript.Twilio: failed(transcript.Unavailable, 1), transcript.Google: failed(transcript.Refused, 1), transcript.HTTP: failed(transcript.Refused, 1)}},
		"gives up":   {"the provider says that it cannot", func(p *provider) { p.fails = true }, same(failed(transcript.Refused, 1))},
	} {
		for provider, want := range c.want {
			t.Run(name+" "+string(provider), func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				s.use(provider)
				c.script(s.fake)
				x := s.until(s.ask().ID, ended)
				code := transcript.FailureCode("")
				if x.FailureCode != nil {
					code = *x.FailureCode
				}
				s.fake.mu.Lock()
				begun := len(s.fake.begun)
				at := slices.Clone(s.fake.at)
				s.fake.mu.Unlock()
				if x.Status != want.status || code != want.code || begun != want.begun {
					t.Fatalf("%s: it is %s %s (%v), begun %d times; want %+v", c.why, x.Status, code, word(x.FailureReason), begun, want)
				}
				if x.Status == transcript.Failed && len(word(x.FailureReason)) < 10 {
					t.Errorf("it does not say why: %q", word(x.FailureReason))
				}
				if x.DueAt != nil {
					t.Errorf("something is due still: %v", x.DueAt)
				}
				used := s.number(`SELECT coalesce(max(seconds), 0) FROM transcription_usage WHERE organization_id = $1`, s.org)
				if free := code == transcript.NotConfigured || code == transcript.Refused || code == transcript.Unavailable; (used == 0) != free {
					t.Errorf("%d seconds of the month were used", used)
				}
				if name == "429" && at[1].Sub(at[0]) < 90*time.Second {
					t.Errorf("it was asked again after %s", at[1].Sub(at[0]))
				}
				if x.Status != transcript.Completed {
					return
				}
				lines := s.lines(x.ID)
				if len(lines) != 2 || lines[0] != "CALLER "+said[0].text || lines[1] != "USER "+said[1].text {
					t.Errorf("it reads %q", lines)
				}
				if x.Confidence == nil || *x.Confidence < 0.7 || x.SegmentCount != 2 || x.CompletedAt == nil {
					t.Errorf("it is %+v", x)
				}
			})
		}
	}
}

func word(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// Twilio's post comes twice, late, for strangers: it changes nothing but when the
// result is fetched.
func TestNewsOfATranscriptMayComeAnyNumberOfTimes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.use(transcript.Twilio)
	s.fake.pending = 1
	x := s.ask()
	news := func(connection id.ID, f twilio.TranscriptForm) {
		t.Helper()
		s.must(s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error { return s.svc.News(ctx, tx, connection, f) }))
		s.settle()
	}
	news(s.conn, twilio.TranscriptForm{SID: sid("GT", 9), CustomerKey: "nonsense"})
	s.settle()
	if got := s.get(x.ID); got.Status != transcript.Running {
		t.Fatalf("it is %s", got.Status)
	}
	s.fake.mu.Lock()
	s.fake.pending = 0
	s.fake.mu.Unlock()
	news(id.New(id.Connection), twilio.TranscriptForm{SID: sid("GT", 1), CustomerKey: x.ID.String()})
	if got := s.get(x.ID); got.Status != transcript.Running {
		t.Fatalf("another account's post was believed: %s", got.Status)
	}
	for range 3 {
		news(s.conn, twilio.TranscriptForm{SID: sid("GT", 1), CustomerKey: x.ID.String()})
	}
	if got := s.get(x.ID); got.Status != transcript.Completed || s.clock.Now() != start {
		t.Fatalf("it is %s after %s", got.Status, s.clock.Now().Sub(start))
	}
	if n := s.number(`SELECT count(*) FROM event WHERE kind = 'TRANSCRIPT_COMPLETED' AND subject = $1`, x.ID); n != 1 {
		t.Errorf("%d events for one transcript", n)
	}
}

// The HTTP provider tells the result later, to a signed address, twice; and fetches
// the audio from another.
func TestAnHTTPProviderMayAnswerLater(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.use(transcript.HTTP)
	s.fake.later = true
	x := s.ask()
	s.settle()
	s.fake.mu.Lock()
	task, signature := s.fake.last, s.fake.signed[0]
	s.fake.mu.Unlock()
	if task["id"] != x.ID.String() || task["language"] != "en-AU" || !strings.Contains(signature, ",v1=") {
		t.Fatalf("it was posted as %v, signed %q", task, signature)
	}
	sig := func(address string) string {
		_, s, _ := strings.Cut(address, "?s=")
		return s
	}
	audioURL, callback := task["audio"].(map[string]any)["url"].(string), task["callbackUrl"].(string)
	if !strings.HasPrefix(callback, "https://phone.example.com/speech/"+s.org.String()+"/"+x.ID.String()+"/result?s=") {
		t.Fatalf("the result goes to %s", callback)
	}
	f, info, err := s.svc.OpenAudio(t.Context(), s.org, x.ID, sig(audioURL))
	s.must(err)
	_ = f.Close()
	if info.Size != int64(len(wav(2))) {
		t.Errorf("the audio has %d bytes", info.Size)
	}
	good := `{"status":"COMPLETED","segments":[{"startMs":0,"endMs":900,"channel":1,"text":"hello there"}]}`
	for name, c := range map[string]struct {
		org, x id.ID
		sig    string
		body   string
		code   errs.Code
	}{
		"the audio's signature":  {s.org, x.ID, sig(audioURL), good, errs.NotFound},
		"no signature":           {s.org, x.ID, "", good, errs.NotFound},
		"another transcript":     {s.org, id.New(id.Transcript), sig(callback), good, errs.NotFound},
		"another organization":   {id.New(id.Organization), x.ID, sig(callback), good, errs.NotFound},
		"no JSON":                {s.org, x.ID, sig(callback), "hello", errs.Invalid},
		"JSON that is no result": {s.org, x.ID, sig(callback), `{"segments":[]}`, errs.Invalid},
	} {
		if err := s.svc.Take(t.Context(), c.org, c.x, c.sig, strings.NewReader(c.body)); !errs.IsCode(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 2 {
		s.must(s.svc.Take(t.Context(), s.org, x.ID, sig(callback), strings.NewReader(good)))
	}
	if got := s.lines(x.ID); len(got) != 1 || got[0] != "CALLER hello there" {
		t.Errorf("it reads %q", got)
	}
	s.must(s.svc.Take(t.Context(), s.org, x.ID, sig(callback), strings.NewReader(`{"status":"FAILED","reason":"late"}`)))
	if got := s.get(x.ID); got.Status != transcript.Completed {
		t.Errorf("a late answer made it %s", got.Status)
	}
	if _, _, err := s.svc.OpenAudio(t.Context(), s.org, x.ID, sig(audioURL)); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("the audio is open after the work: %v", err)
	}
	s.clock.Advance(25 * time.Hour)
	if err := s.svc.Take(t.Context(), s.org, x.ID, sig(callback), strings.NewReader(good)); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("an old address works: %v", err)
	}
}

// R230: what is deleted while a provider works on it stays deleted, here and there.
func TestWhatIsDeletedMeanwhileStaysDeleted(t *testing.T) {
	t.Parallel()
	for _, p := range []transcript.ProviderName{transcript.Twilio, transcript.Google, transcript.HTTP} {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.use(p)
			s.fake.pending, s.fake.later = 2, true
			x := s.ask()
			s.settle()
			if got := s.get(x.ID); got.Status != transcript.Running {
				t.Fatalf("it is %s", got.Status)
			}
			gone, kept, err := s.svc.Delete(s.ctx, s.admin, []id.ID{x.ID}, "asked to")
			s.must(err)
			if len(gone) != 1 || len(kept) != 0 {
				t.Fatalf("%d gone, %d kept", len(gone), len(kept))
			}
			for range 5 {
				s.settle()
				s.clock.Advance(3 * time.Minute)
				s.must(s.run.RunSweeps(t.Context()))
			}
			s.settle()
			got := s.get(x.ID)
			if got.Status != transcript.Deleted || got.DueAt != nil || got.ProviderRef != nil || len(s.lines(x.ID)) != 0 || word(got.DeletedReason) != "asked to" {
				t.Errorf("it is %+v", got)
			}
			s.fake.mu.Lock()
			defer s.fake.mu.Unlock()
			if want := map[bool]int{true: 1}[p == transcript.Twilio]; len(s.fake.deleted) != want {
				t.Errorf("%d copies were deleted at the provider, want %d", len(s.fake.deleted), want)
			}
		})
	}
}

// R114: who speaks on a channel is what the recording says, whichever of a call's it is.
func TestTheRecordingSaysWhoIsOnItsFirstChannel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		side    string
		swapped bool
		want    string
	}{
		"the outside party's leg": {"CALLER", false, "CALLER"},
		"our own leg":             {"USER", false, "USER"},
		"an account that swaps":   {"CALLER", true, "USER"},
		"our own leg, swapped":    {"USER", true, "CALLER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.use(transcript.Twilio)
			s.exec(`UPDATE recording SET first_side = $2 WHERE organization_id = $1`, s.org, c.side)
			s.exec(`INSERT INTO recording_policy (organization_id, when_deleted_at_twilio, are_channels_swapped, updated_at) VALUES ($1, 'KEEP_COPY', $2, $3)`, s.org, c.swapped, start)
			x := s.until(s.ask().ID, ended)
			if got := s.lines(x.ID); len(got) != 2 || got[0] != c.want+" "+said[0].text {
				t.Errorf("the first channel is %v, want %s", got, c.want)
			}
		})
	}
}

// R230: what Twilio refused is deleted there when it is tried again, and nothing of
// either try is left when the transcript is deleted.
func TestNothingOfARefusedTryStaysAtTwilio(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.use(transcript.Twilio)
	s.fake.fails = true
	x := s.until(s.ask().ID, ended)
	if x.Status != transcript.Failed || *x.FailureCode != transcript.Refused {
		t.Fatalf("it is %s: %v", x.Status, word(x.FailureReason))
	}
	first := *x.ProviderRef
	s.fake.mu.Lock()
	s.fake.fails, s.fake.begun = false, map[string]string{"another's": first} // so that the next one is another
	s.fake.mu.Unlock()
	if _, err := s.svc.Retry(s.ctx, s.admin, x.ID, ""); err != nil {
		t.Fatal(err)
	}
	if x = s.until(x.ID, ended); x.Status != transcript.Completed || *x.ProviderRef == first {
		t.Fatalf("it is %s by %s: %v", x.Status, word(x.ProviderRef), word(x.FailureReason))
	}
	second := *x.ProviderRef
	if _, _, err := s.svc.Delete(s.ctx, s.admin, []id.ID{x.ID}, "asked to"); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	if diff := cmp.Diff([]string{first, second}, s.fake.deleted); diff != "" {
		t.Errorf("deleted at Twilio:\n%s", diff)
	}
}

// R230: a request whose answer was lost may be listed late: its deletion waits for it.
func TestALostRequestIsDeletedWhenTwilioListsIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.use(transcript.Twilio)
	late := func() {}
	s.fake.faults = append(s.fake.faults, func(w http.ResponseWriter, _ *http.Request, effect func()) {
		late = effect
		w.WriteHeader(http.StatusBadGateway)
	})
	x := s.ask()
	s.settle()
	if _, _, err := s.svc.Delete(s.ctx, s.admin, []id.ID{x.ID}, "asked to"); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.fake.mu.Lock()
	late()
	s.fake.mu.Unlock()
	if got := s.until(x.ID, func(t *transcript.Transcript) bool { return t.DueAt == nil }); got.ProviderState != nil {
		t.Errorf("it remembers %s", got.ProviderState)
	}
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	if len(s.fake.deleted) != 1 {
		t.Errorf("%d copies were deleted at Twilio", len(s.fake.deleted))
	}
}

// Google takes a minute at a time: what is longer goes in parts, whose times add up.
func TestGoogleGetsLongRecordingsInParts(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.use(transcript.Google)
	audio := wav(130)
	info := s.put(audio)
	long := id.New(id.Recording)
	s.record(long, s.call, 2, 130, info, len(audio))
	s.rec = long
	x := s.until(s.ask().ID, ended)
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	if x.Status != transcript.Completed || len(s.fake.parts) != 3 || x.SegmentCount != 6 {
		t.Fatalf("%s in %d parts with %d segments: %s", x.Status, len(s.fake.parts), x.SegmentCount, word(x.FailureReason))
	}
	c := s.fake.parts[0]["config"].(map[string]any)
	if c["encoding"] != "LINEAR16" || c["sampleRateHertz"] != 8000.0 || c["audioChannelCount"] != 2.0 || c["enableSeparateRecognitionPerChannel"] != true || c["model"] != "phone_call" || c["languageCode"] != "en-AU" {
		t.Errorf("the settings were %v", c)
	}
	if s.fake.auth[0] != "AIzaSyTestTestTestTestTest" {
		t.Errorf("the key came as %q", s.fake.auth[0])
	}
	m, err := s.svc.Segments(s.ctx, []id.ID{x.ID}, transcript.Window{First: 10})
	s.must(err)
	last := m[x.ID][5]
	if last.StartMs < 100_000 || last.EndMs > 131_000 {
		t.Errorf("the last segment is at %d to %d", last.StartMs, last.EndMs)
	}
}
