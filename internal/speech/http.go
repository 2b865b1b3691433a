package speech

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxAnswer is the largest result that is read, in bytes.
	MaxAnswer = 16 << 20
	// again is how often a task is handed over anew that nothing was heard of. The
	// receiver knows it by its id, so that this only asks.
	again = 10 * time.Minute
)

// HTTPOptions configure the provider that is asked by HTTP.
type HTTPOptions struct {
	URL    string
	Secret string // signs the posts; "" signs nothing
	Client *http.Client
	Now    func() time.Time
}

// HTTP asks a provider by the protocol of the guide: a signed post with where the
// audio is; the answer is the result, or 202 and the result comes by callback. The
// same task may be posted many times; the receiver knows it by its id.
type HTTP struct{ o HTTPOptions }

var _ Provider = (*HTTP)(nil)

// NewHTTP makes an HTTP.
func NewHTTP(o HTTPOptions) *HTTP { return &HTTP{o} }

type httpRequest struct {
	ID          string    `json:"id"`
	Language    string    `json:"language"`
	Vocabulary  []string  `json:"vocabulary"`
	Seconds     int       `json:"durationSeconds"`
	Speakers    []string  `json:"speakers"`
	Audio       httpAudio `json:"audio"`
	CallbackURL string    `json:"callbackUrl"`
}

type httpAudio struct {
	URL         string `json:"url"`
	ContentType string `json:"contentType"`
	Size        int64  `json:"sizeBytes"`
}

type httpResult struct {
	Status     string       `json:"status"`
	Reason     string       `json:"reason"`
	Language   string       `json:"language"`
	Confidence *float64     `json:"confidence"`
	Segments   httpSegments `json:"segments"`
}

// httpSegments are read one by one: an answer of 16 MB may hold millions of empty
// ones, which are refused before they fill the memory.
type httpSegments []httpSegment

// UnmarshalJSON implements json.Unmarshaler.
func (s *httpSegments) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	*s = nil
	switch t, err := d.Token(); {
	case err != nil:
		return err
	case t == nil: // null
		return nil
	case t != json.Delim('['):
		return errors.New("the segments are no list")
	}
	for d.More() {
		if len(*s) == MaxSegments {
			return tooMany()
		}
		var x httpSegment
		if err := d.Decode(&x); err != nil {
			return err
		}
		*s = append(*s, x)
	}
	return nil
}

type httpSegment struct {
	StartMs    float64  `json:"startMs"`
	EndMs      float64  `json:"endMs"`
	Channel    *int     `json:"channel"` // from 1
	Speaker    string   `json:"speaker"`
	Text       string   `json:"text"`
	Confidence *float64 `json:"confidence"`
}

// Sign is the header Switchboard-Signature of a post, the same as that of webhooks.
func Sign(at time.Time, body []byte, secret string) string {
	t := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(t + "."))
	m.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(m.Sum(nil))
}

// Step posts the task, or posts it again to ask what became of it.
func (p *HTTP) Step(ctx context.Context, t Task, _ []byte) (Progress, error) {
	if t.AudioURL == "" {
		return Progress{}, fault(NotConfigured, "the HTTP provider needs a public address of this server; set PUBLIC_URL")
	}
	vocabulary := t.Vocabulary
	if vocabulary == nil {
		vocabulary = []string{}
	}
	body, err := json.Marshal(httpRequest{ID: t.ID, Language: t.Language, Vocabulary: vocabulary, Seconds: t.Seconds, Speakers: t.Speakers,
		Audio: httpAudio{URL: t.AudioURL, ContentType: t.ContentType, Size: t.Size}, CallbackURL: t.CallbackURL})
	if err != nil {
		return Progress{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.o.URL, bytes.NewReader(body))
	if err != nil {
		return Progress{}, Fail(NotConfigured, err, "the address of the HTTP provider cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Switchboard-Transcription/1")
	req.Header.Set("Idempotency-Key", t.ID)
	if p.o.Secret != "" {
		req.Header.Set("Switchboard-Signature", Sign(p.o.Now(), body, p.o.Secret))
	}
	resp, err := p.o.Client.Do(req)
	if err != nil {
		return Progress{}, unreached(err, "the HTTP provider")
	}
	defer func() { _ = resp.Body.Close() }()
	if e := status("the HTTP provider", resp, p.o.Now()); e != nil {
		return Progress{}, e
	}
	if resp.StatusCode == http.StatusAccepted {
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
		return Progress{State: []byte(`{"accepted":true}`), Wait: again}, nil
	}
	r, err := ReadResult(resp.Body, t.Speakers)
	if err != nil {
		return Progress{}, err
	}
	return Progress{State: []byte(`{"accepted":true}`), Result: r}, nil
}

// Forget does nothing: what the provider keeps is between it and the organization.
func (p *HTTP) Forget(context.Context, []byte) error { return nil }

// ReadResult reads what a provider answers, or posts to the callback address.
func ReadResult(r io.Reader, speakers []string) (*Result, error) {
	b, err := read(r, MaxAnswer)
	if errors.Is(err, errTooLarge) {
		return nil, fault(Refused, "the answer of the HTTP provider is larger than %d MB", MaxAnswer>>20)
	}
	if err != nil {
		return nil, Fail(Unavailable, err, "the answer of the HTTP provider was cut off")
	}
	var x httpResult
	err = json.Unmarshal(b, &x)
	if e := (*Error)(nil); errors.As(err, &e) {
		return nil, e
	}
	if err != nil {
		return nil, Fail(Unavailable, err, "what the HTTP provider answered is not the JSON that the guide describes")
	}
	switch x.Status {
	case "COMPLETED":
	case "FAILED":
		return nil, fault(Refused, "the HTTP provider gave up: %s", said(x.Reason))
	default:
		return nil, fault(Unavailable, "the HTTP provider answered without a status COMPLETED or FAILED")
	}
	segments := make([]Segment, len(x.Segments))
	for i, s := range x.Segments {
		who := s.Speaker
		if s.Channel != nil && *s.Channel >= 1 && *s.Channel <= len(speakers) && speakers[*s.Channel-1] != "" {
			who = speakers[*s.Channel-1]
		}
		if who == "" && len(speakers) == 1 {
			who = speakers[0]
		}
		segments[i] = Segment{StartMs: whole(s.StartMs), EndMs: whole(s.EndMs), Speaker: who, Text: s.Text, Confidence: s.Confidence}
	}
	return Finish(x.Language, x.Confidence, segments)
}

// whole is a number of milliseconds; what is none is 0.
func whole(ms float64) int {
	if !(ms >= 0 && ms < 1e9) {
		return 0
	}
	return int(ms)
}

// said is what a provider said, short and on one line.
func said(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")), " ")
	if s == "" {
		return "it did not say why"
	}
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}

// status is what a status other than success means.
func status(who string, resp *http.Response, now time.Time) *Error {
	s := resp.StatusCode
	switch {
	case s >= 200 && s < 300:
		return nil
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return fault(NotConfigured, "%s refused our key (status %d); enter it again in the transcription settings", who, s)
	case s == http.StatusNotFound || s >= 300 && s < 400:
		return fault(NotConfigured, "%s is not at this address (status %d); check it in the transcription settings", who, s)
	case s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s == http.StatusConflict || s == http.StatusTooEarly || s >= 500:
		e := fault(Unavailable, "%s answered with status %d", who, s)
		e.After = after(resp.Header, now)
		return e
	}
	return fault(Refused, "%s will not take the audio (status %d)", who, s)
}

// unreached says why no answer came, without the address.
func unreached(err error, who string) *Error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return Fail(Unavailable, err, "%s took too long to answer", who)
	}
	return Fail(Unavailable, err, "%s could not be reached", who)
}
