// Package speech is the port over those who turn speech into text: Google's
// Speech-to-Text and any provider that speaks the HTTP protocol of the guide.
// Twilio's own engine is asked by package transcript through package twilio, in the
// same terms.
//
// It keeps nothing: what a provider must remember of a task between two steps is
// handed back as State and kept by the caller. The invariant: a request that costs
// money is announced to the caller (Save) before it is made, so that nobody pays
// twice for one that may have got through.
package speech

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The speakers that are known by their channel.
const (
	Caller = "CALLER" // the outside party
	User   = "USER"   // our side
)

// The most that is taken of one transcript.
const (
	MaxSegments = 20_000
	MaxText     = 2 << 20 // bytes, of all segments
	maxSegment  = 5_000   // runes of one segment; longer ones are cut up
)

// Task is one recording that is to become text. ID is the same at every step.
type Task struct {
	ID         string
	Language   string // BCP 47, such as en-AU
	Vocabulary []string
	// Speakers are those of each channel, in order; one "" stands for voices that
	// are not told apart.
	Speakers []string
	Seconds  int
	// Open opens the audio at its start.
	Open        func(ctx context.Context) (io.ReadCloser, error)
	ContentType string // audio/wav or audio/mpeg
	Size        int64
	// AudioURL is where a provider may fetch the audio; CallbackURL is where it may
	// tell the result.
	AudioURL, CallbackURL string
	// Save keeps the state before a request is made that must not be made twice.
	Save func(ctx context.Context, state []byte) error
}

// Segment is a stretch of speech of one speaker.
type Segment struct {
	StartMs, EndMs int
	Speaker        string // Caller, User, or SPEAKER_1 and so on
	Text           string
	Confidence     *float64
}

// Result is a whole transcript.
type Result struct {
	Language   string // as the provider says; "" when it does not
	Confidence *float64
	Segments   []Segment
}

// Progress is where a task stands after a step: a Result, or what to remember and
// how long to wait before the next step.
type Progress struct {
	State  []byte
	Result *Result
	Wait   time.Duration
}

// Provider turns speech into text.
type Provider interface {
	// Step does what is next for the task: hands it over when the state is nil, asks
	// for it otherwise. What goes wrong is an *Error.
	Step(ctx context.Context, t Task, state []byte) (Progress, error)
	// Forget has the provider delete what it keeps of a task; what is gone is fine.
	Forget(ctx context.Context, state []byte) error
}

// Kind says what kind of failure it is.
type Kind string

// The kinds of failure.
const (
	NotConfigured Kind = "NOT_CONFIGURED"
	Refused       Kind = "REFUSED"
	NoAudio       Kind = "NO_AUDIO"
	Unavailable   Kind = "UNAVAILABLE"
	Unknown       Kind = "UNKNOWN" // it may have begun
)

// Error is what went wrong, in words for people. Only an Unavailable one is worth
// another try.
type Error struct {
	Kind  Kind
	Why   string
	After time.Duration // the provider asked for at least so long; 0: it did not
	cause error
}

func (e *Error) Error() string {
	if e.cause != nil {
		return "speech: " + e.Why + ": " + e.cause.Error()
	}
	return "speech: " + e.Why
}

func (e *Error) Unwrap() error { return e.cause }

func fault(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Why: fmt.Sprintf(format, args...)}
}

// Fail makes an *Error with its cause.
func Fail(k Kind, cause error, format string, args ...any) *Error {
	e := fault(k, format, args...)
	e.cause = cause
	return e
}

var errTooLarge = errors.New("the answer is too large")

// read reads an answer of at most limit bytes.
func read(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, errTooLarge
	}
	return b, err
}

// after reads Retry-After, at most an hour.
func after(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return min(time.Duration(n)*time.Second, time.Hour)
	}
	if at, err := http.ParseTime(v); err == nil && at.After(now) {
		return min(at.Sub(now), time.Hour)
	}
	return 0
}

// Clean makes a provider's segments fit to be kept: in order, with sane times,
// without what is empty, cut where one is too long. Too much is Refused.
func Clean(in []Segment) ([]Segment, error) {
	if len(in) > MaxSegments {
		return nil, tooMany()
	}
	out := make([]Segment, 0, len(in))
	size := 0
	for _, s := range in {
		s.Text = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(s.Text, ""), "\x00", "")), " ")
		if s.Text == "" {
			continue
		}
		if size += len(s.Text); size > MaxText {
			return nil, fault(Refused, "the provider answered more text than %d MB", MaxText>>20)
		}
		const week = 7 * 24 * 3600 * 1000
		s.StartMs = min(max(s.StartMs, 0), week)
		s.EndMs = min(max(s.EndMs, s.StartMs), week)
		s.Speaker = speaker(s.Speaker)
		if s.Confidence != nil {
			c := min(max(*s.Confidence, 0), 1)
			s.Confidence = &c
		}
		out = append(out, pieces(s)...)
	}
	if len(out) > MaxSegments {
		return nil, tooMany()
	}
	// A stable order by beginning.
	sortSegments(out)
	return out, nil
}

func tooMany() *Error {
	return fault(Refused, "the provider answered more than %d segments", MaxSegments)
}

// speaker is the name as it is kept; whatever is not known is the first voice.
func speaker(name string) string {
	if ValidSpeaker(name) {
		return name
	}
	return Voice(1)
}

// ValidSpeaker reports whether the name is CALLER, USER or SPEAKER_1 to SPEAKER_99.
func ValidSpeaker(name string) bool {
	if name == Caller || name == User {
		return true
	}
	n, ok := strings.CutPrefix(name, "SPEAKER_")
	if !ok || n == "" || len(n) > 2 || n[0] == '0' {
		return false
	}
	_, err := strconv.ParseUint(n, 10, 8)
	return err == nil
}

// Voice is the n-th voice that was told apart, from 1.
func Voice(n int) string { return "SPEAKER_" + strconv.Itoa(min(max(n, 1), 99)) }

// pieces cuts a segment that is too long at its spaces, with times in proportion.
func pieces(s Segment) (out []Segment) {
	total := utf8.RuneCountInString(s.Text)
	if total <= maxSegment {
		return []Segment{s}
	}
	length, done := s.EndMs-s.StartMs, 0
	for rest := s.Text; rest != ""; {
		cut, runes := len(rest), 0
		space := -1
		for i, r := range rest {
			if runes == maxSegment {
				if cut = i; space > 0 {
					cut = space
				}
				break
			}
			if r == ' ' {
				space = i
			}
			runes++
		}
		p := s
		p.Text = strings.TrimSpace(rest[:cut])
		p.StartMs = s.StartMs + length*done/total
		done += utf8.RuneCountInString(rest[:cut])
		p.EndMs = s.StartMs + length*min(done, total)/total
		out = append(out, p)
		rest = strings.TrimLeft(rest[cut:], " ")
	}
	return out
}
