package speech_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/speech"
)

// kindOf is the kind of failure, "" for none.
func kindOf(err error) speech.Kind {
	var e *speech.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if err != nil {
		return "no *speech.Error"
	}
	return ""
}

func TestSegmentsAreMadeFitToBeKept(t *testing.T) {
	t.Parallel()
	sure, over := 0.5, 7.0
	one := 1.0
	for name, c := range map[string]struct {
		why      string
		in, want []speech.Segment
	}{
		"order": {"a provider may answer channel by channel",
			[]speech.Segment{{StartMs: 20, EndMs: 30, Speaker: "USER", Text: "b"}, {StartMs: 10, EndMs: 15, Speaker: "CALLER", Text: "a", Confidence: &sure}},
			[]speech.Segment{{StartMs: 10, EndMs: 15, Speaker: "CALLER", Text: "a", Confidence: &sure}, {StartMs: 20, EndMs: 30, Speaker: "USER", Text: "b"}}},
		"times and confidence": {"what no recording has is brought back into it",
			[]speech.Segment{{StartMs: -5, EndMs: -9, Speaker: "SPEAKER_2", Text: "a", Confidence: &over}, {StartMs: 1 << 40, EndMs: 3, Speaker: "SPEAKER_99", Text: "b"}},
			[]speech.Segment{{Speaker: "SPEAKER_2", Text: "a", Confidence: &one}, {StartMs: 604800000, EndMs: 604800000, Speaker: "SPEAKER_99", Text: "b"}}},
		"text": {"the database takes no zero, and nobody reads an empty line",
			[]speech.Segment{{Speaker: "USER", Text: " a\x00 \n\tb\xff "}, {Speaker: "USER", Text: " \x00 "}},
			[]speech.Segment{{Speaker: "USER", Text: "a b"}}},
		"speakers": {"names that are not known are the first voice",
			[]speech.Segment{{Speaker: "", Text: "a"}, {Speaker: "SPEAKER_0", Text: "b"}, {Speaker: "SPEAKER_100", Text: "c"}, {Speaker: "Bob", Text: "d"}},
			[]speech.Segment{{Speaker: "SPEAKER_1", Text: "a"}, {Speaker: "SPEAKER_1", Text: "b"}, {Speaker: "SPEAKER_1", Text: "c"}, {Speaker: "SPEAKER_1", Text: "d"}}},
		"too long": {"a segment is cut at a space, its time in proportion",
			[]speech.Segment{{EndMs: 10_000, Speaker: "USER", Text: strings.Repeat("a", 4000) + " " + strings.Repeat("b", 4000)}},
			[]speech.Segment{{EndMs: 4999, Speaker: "USER", Text: strings.Repeat("a", 4000)}, {StartMs: 4999, EndMs: 9998, Speaker: "USER", Text: strings.Repeat("b", 4000)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := speech.Clean(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s:\n%s", c.why, diff)
			}
		})
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	t.Parallel()
	word := speech.Segment{Text: "a"}
	many := make([]speech.Segment, speech.MaxSegments+1)
	pieces := make([]speech.Segment, 0, speech.MaxSegments)
	for i := range many {
		many[i] = word
	}
	for range speech.MaxSegments - 1 {
		pieces = append(pieces, word)
	}
	pieces = append(pieces, speech.Segment{Text: strings.Repeat("b ", 6000)})
	for name, in := range map[string][]speech.Segment{
		"segments":         many,
		"segments, cut up": pieces,
		"text":             {{Text: strings.Repeat("a", speech.MaxText/2)}, {Text: strings.Repeat("b", speech.MaxText/2+1)}},
	} {
		if _, err := speech.Clean(in); kindOf(err) != speech.Refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := speech.Clean(many[1:]); err != nil || len(got) != speech.MaxSegments {
		t.Errorf("as many as are allowed: %d, %v", len(got), err)
	}
}

// It measures, so nothing runs beside it.
func TestMillionsOfEmptySegmentsDoNotFillTheMemory(t *testing.T) {
	const head, tail = `{"status":"COMPLETED","segments":[{}`, `]}`
	body := head + strings.Repeat(",{}", (speech.MaxAnswer-len(head)-len(tail))/3) + tail
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := speech.ReadResult(strings.NewReader(body), []string{""})
	runtime.ReadMemStats(&after)
	if kindOf(err) != speech.Refused {
		t.Errorf("they were taken: %v", err)
	}
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 160 { // reading 16 MB takes most of it
		t.Errorf("they took %d MB", took)
	}
}

// asked has an HTTP provider asked once that answers so.
func asked(t *testing.T, answer http.HandlerFunc) (speech.Progress, error) {
	t.Helper()
	srv := httptest.NewServer(answer)
	defer srv.Close()
	p := speech.NewHTTP(speech.HTTPOptions{URL: srv.URL, Secret: "s3cret", Client: srv.Client(), Now: func() time.Time { return time.Unix(1_000_000, 0) }})
	return p.Step(t.Context(), speech.Task{ID: "trans_1", Language: "en-AU", Speakers: []string{"CALLER", "USER"}, AudioURL: "https://phone.example.com/a", CallbackURL: "https://phone.example.com/c"}, nil)
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestBadAnswersOfTheHTTPProvider(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   speech.Kind
		says   string
		after  time.Duration
	}{
		"no JSON":              {says(200, `<html>`), speech.Unavailable, "guide", 0},
		"another JSON":         {says(200, `{"status":"COMPLETED","segments":{"a":1}}`), speech.Unavailable, "guide", 0},
		"half a JSON":          {says(200, `{"status":"COMPLETED","segments":[{"text":"a"}`), speech.Unavailable, "guide", 0},
		"no status":            {says(200, `{"segments":[]}`), speech.Unavailable, "status", 0},
		"it gave up":           {says(200, `{"status":"FAILED","reason":" no\n speech "}`), speech.Refused, "gave up: no speech", 0},
		"it does not say why":  {says(200, `{"status":"FAILED"}`), speech.Refused, "did not say why", 0},
		"too large":            {says(200, strings.Repeat(" ", speech.MaxAnswer+1)), speech.Refused, "16 MB", 0},
		"too many segments":    {says(200, `{"status":"COMPLETED","segments":[{}`+strings.Repeat(",{}", speech.MaxSegments)+`]}`), speech.Refused, "20000 segments", 0},
		"another key":          {says(401, ``), speech.NotConfigured, "key", 0},
		"another address":      {says(404, ``), speech.NotConfigured, "address", 0},
		"it moved":             {says(302, ``), speech.NotConfigured, "address", 0},
		"too fast":             {says(429, ``), speech.Unavailable, "429", 90 * time.Second},
		"down":                 {says(503, ``), speech.Unavailable, "503", 90 * time.Second},
		"it does not take it":  {says(415, ``), speech.Refused, "415", 0},
		"it breaks off midway": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, speech.Unavailable, "could not be reached", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := asked(t, c.answer)
			var e *speech.Error
			if !errors.As(err, &e) || e.Kind != c.want || !strings.Contains(e.Why, c.says) || e.After != c.after {
				t.Errorf("%+v", err)
			}
		})
	}
}

func TestTheHTTPProviderAnswersAtOnceOrLater(t *testing.T) {
	t.Parallel()
	var signature, key string
	p, err := asked(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		key = r.Header.Get("Idempotency-Key")
		if signature = r.Header.Get("Switchboard-Signature"); signature != speech.Sign(time.Unix(1_000_000, 0), body, "s3cret") {
			t.Errorf("signed %q", signature)
		}
		_, _ = io.WriteString(w, `{"status":"COMPLETED","language":"en-GB","confidence":2,"other":[1],
			"segments":[{"startMs":1500,"endMs":2000.7,"channel":2,"text":"yes"},{"startMs":-1,"endMs":1e300,"channel":7,"speaker":"SPEAKER_3","text":"hello"}]}`)
	})
	if err != nil {
		t.Fatal(err)
	}
	one := 1.0
	want := &speech.Result{Language: "en-GB", Confidence: &one, Segments: []speech.Segment{{Speaker: "SPEAKER_3", Text: "hello"}, {StartMs: 1500, EndMs: 2000, Speaker: "USER", Text: "yes"}}}
	if diff := cmp.Diff(want, p.Result); diff != "" || key != "trans_1" {
		t.Errorf("key %q:\n%s", key, diff)
	}
	p, err = asked(t, says(202, `whatever`))
	if err != nil || p.Result != nil || p.Wait == 0 || len(p.State) == 0 {
		t.Errorf("later: %+v, %v", p, err)
	}
	for name, body := range map[string]string{"no segments": `{"status":"COMPLETED"}`, "null": `{"status":"COMPLETED","segments":null}`, "none": `{"status":"COMPLETED","segments":[]}`} {
		if r, err := speech.ReadResult(strings.NewReader(body), []string{""}); err != nil || len(r.Segments) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
