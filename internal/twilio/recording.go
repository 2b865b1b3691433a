package twilio

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v2010 "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/errs"
)

// Recording is a recording as Twilio has it.
type Recording struct {
	SID, CallSID, ConferenceSID string
	Status                      string // in-progress, paused, stopped, processing, completed, absent, deleted
	StartedAt                   time.Time
	DurationSeconds             int
	Channels                    int
	Source                      string
	ErrorCode                   int
}

// recordingJSON is our own reading, because twilio-go takes the price of a call's
// recording for a number while Twilio writes it as text.
type recordingJSON struct {
	SID           string  `json:"sid"`
	CallSID       string  `json:"call_sid"`
	ConferenceSID *string `json:"conference_sid"`
	Status        string  `json:"status"`
	StartTime     *string `json:"start_time"`
	Duration      *string `json:"duration"`
	Channels      int     `json:"channels"`
	Source        string  `json:"source"`
	ErrorCode     *int    `json:"error_code"`
}

func (x recordingJSON) recording() Recording {
	return Recording{SID: x.SID, CallSID: x.CallSID, ConferenceSID: str(x.ConferenceSID), Status: x.Status, StartedAt: when(x.StartTime),
		DurationSeconds: digits(x.Duration), Channels: x.Channels, Source: x.Source, ErrorCode: num(x.ErrorCode)}
}

// ListRecordings lists the recordings of a call.
func (c *Client) ListRecordings(ctx context.Context, callSID string) (recordings []Recording, err error) {
	if err := CheckSID(CallSID, callSID); err != nil {
		return nil, err
	}
	err = pages(func(token, page string) (*string, error) {
		p, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListRecordingResponse, error) {
			return s.PageRecording(&v2010.ListRecordingParams{CallSid: &callSID, PageSize: set(pageSize)}, token, page)
		})
		if err != nil {
			return nil, err
		}
		for _, x := range p.Recordings {
			recordings = append(recordings, Recording{
				SID: str(x.Sid), CallSID: str(x.CallSid), ConferenceSID: str(x.ConferenceSid), Status: str(x.Status),
				StartedAt: when(x.StartTime), DurationSeconds: digits(x.Duration), Channels: num(x.Channels), Source: str(x.Source), ErrorCode: num(x.ErrorCode),
			})
		}
		return p.NextPageUri, nil
	})
	return recordings, err
}

// maxListed bounds what RecordingsBetween reads: pages of a thousand.
const maxListed = 20

// RecordingsBetween lists the recordings that were made between two times, without
// those deleted, by SID. A long list is cut: then complete is false.
func (c *Client) RecordingsBetween(ctx context.Context, from, to time.Time) (sids map[string]bool, complete bool, err error) {
	sids = map[string]bool{}
	n := 0
	err = pages(func(token, page string) (*string, error) {
		if n++; n > maxListed {
			return nil, errStop
		}
		p, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListRecordingResponse, error) {
			return s.PageRecording(&v2010.ListRecordingParams{DateCreatedAfter: &from, DateCreatedBefore: &to, PageSize: set(1000)}, token, page)
		})
		if err != nil {
			return nil, err
		}
		for _, x := range p.Recordings {
			if str(x.Status) != "deleted" {
				sids[str(x.Sid)] = true
			}
		}
		return p.NextPageUri, nil
	})
	return sids, err == nil && n <= maxListed, err
}

// FetchRecording looks up one recording. One that was deleted is NotFound.
func (c *Client) FetchRecording(ctx context.Context, sid string) (Recording, error) {
	if err := CheckSID(RecordingSID, sid); err != nil {
		return Recording{}, err
	}
	var x recordingJSON
	err := c.raw(ctx, http.MethodGet, c.path("Recordings", sid+".json"), nil, &x)
	return x.recording(), err
}

// RecordingRequest starts a recording of a running call.
type RecordingRequest struct {
	Channels, Track, Trim string
	StatusCallback        string
	StatusCallbackEvent   []string
}

// StartRecording records a running call. One that does not run gives error 21220.
func (c *Client) StartRecording(ctx context.Context, callSID string, r RecordingRequest) (Recording, error) {
	if err := CheckSID(CallSID, callSID); err != nil {
		return Recording{}, err
	}
	form := url.Values{}
	for k, v := range map[string]string{"RecordingChannels": r.Channels, "RecordingTrack": r.Track, "Trim": r.Trim, "RecordingStatusCallback": r.StatusCallback} {
		if v != "" {
			form.Set(k, v)
		}
	}
	if len(r.StatusCallbackEvent) > 0 {
		form["RecordingStatusCallbackEvent"] = r.StatusCallbackEvent
	}
	var x recordingJSON
	err := c.raw(ctx, http.MethodPost, c.path("Calls", callSID, "Recordings.json"), form, &x)
	return x.recording(), err
}

// CurrentRecording stands for the one active recording of a call.
const CurrentRecording = "Twilio.CURRENT"

// The states that UpdateRecording takes.
const (
	RecordingPaused  = "paused"
	RecordingResumed = "in-progress"
	RecordingStopped = "stopped"
)

// UpdateRecording pauses, resumes or stops a recording. A pause leaves silence of
// the same length, so that times stay true.
func (c *Client) UpdateRecording(ctx context.Context, callSID, sid, status string) (Recording, error) {
	return c.updateRecording(ctx, callSID, sid, status, "silence")
}

// SkipRecording pauses a recording so that the file is shorter by the pause (R119).
func (c *Client) SkipRecording(ctx context.Context, callSID, sid string) (Recording, error) {
	return c.updateRecording(ctx, callSID, sid, RecordingPaused, "skip")
}

func (c *Client) updateRecording(ctx context.Context, callSID, sid, status, behaviour string) (Recording, error) {
	if err := CheckSID(CallSID, callSID); err != nil {
		return Recording{}, err
	}
	if sid != CurrentRecording {
		if err := CheckSID(RecordingSID, sid); err != nil {
			return Recording{}, err
		}
	}
	form := url.Values{"Status": {status}}
	if status == RecordingPaused {
		form.Set("PauseBehavior", behaviour)
	}
	var x recordingJSON
	err := c.raw(ctx, http.MethodPost, c.path("Calls", callSID, "Recordings", sid+".json"), form, &x)
	return x.recording(), err
}

// DeleteRecording deletes a recording at Twilio; one that is gone is fine.
func (c *Client) DeleteRecording(ctx context.Context, sid string) error {
	return c.delete(ctx, RecordingSID, sid, func(s *v2010.ApiService) error { return s.DeleteRecording(sid, nil) })
}

func (c *Client) path(parts ...string) string {
	return apiBase + "/2010-04-01/Accounts/" + c.account + "/" + strings.Join(parts, "/")
}

// Media is a file that is being read from Twilio. Close it.
type Media struct {
	io.ReadCloser
	ContentType string
	Size        int64 // -1 when Twilio does not say
}

// ErrMediaTooLarge ends the reading of a file over the limit.
var ErrMediaTooLarge = errs.New(errs.LimitReached, "the file at Twilio is larger than allowed")

// FetchRecordingMedia opens the audio of a finished recording as "mp3" or "wav",
// with two channels when it has them and dual is set. Reading more than limit
// bytes gives ErrMediaTooLarge. It is NotFound for a while after the recording ends.
func (c *Client) FetchRecordingMedia(ctx context.Context, sid, format string, dual bool, limit int64) (*Media, error) {
	if err := CheckSID(RecordingSID, sid); err != nil {
		return nil, err
	}
	if format != "mp3" && format != "wav" {
		return nil, errs.New(errs.Invalid, "a recording comes as mp3 or wav")
	}
	address := c.path("Recordings", sid+"."+format)
	channels := 1
	if dual {
		channels = 2
	}
	m, err := c.open(ctx, address+"?RequestedChannels="+strconv.Itoa(channels), limit)
	var e *Error
	if dual && errors.As(err, &e) && e.Status == http.StatusBadRequest { // it has one channel
		return c.open(ctx, address+"?RequestedChannels=1", limit)
	}
	return m, err
}

// FetchMedia opens a file of a message by the URL that came with it, which must
// be Twilio's. Reading more than limit bytes gives ErrMediaTooLarge.
func (c *Client) FetchMedia(ctx context.Context, address string, limit int64) (*Media, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !c.transport.Emulated()) || !c.transport.mayFetch(u) {
		return nil, errs.New(errs.Invalid, "the file does not lie with Twilio")
	}
	return c.open(ctx, address, limit)
}

// mayFetch tells whether a file is Twilio's, or the emulator's in its place.
func (t *Transport) mayFetch(u *url.URL) bool {
	return twilioHost(u.Hostname()) && u.User == nil || t.Emulated() && u.Host == t.o.BaseURL.Host
}

// open follows redirects to where Twilio stores files, without the credentials
// once the host changes.
func (c *Client) open(ctx context.Context, address string, limit int64) (*Media, error) {
	follow := &http.Client{Transport: c.transport, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > 5 {
			return errors.New("too many redirects")
		}
		if req.URL.Scheme != "https" && !c.transport.Emulated() {
			return errors.New("a redirect to an address without TLS")
		}
		if req.URL.Host != via[0].URL.Host {
			req.Header.Del("Authorization")
		}
		return nil
	}}
	req, err := http.NewRequestWithContext(streamed(ctx), http.MethodGet, address, nil)
	if err != nil {
		return nil, &Error{Message: "the address is not readable", cause: err}
	}
	req.Header.Set("User-Agent", c.agent)
	req.SetBasicAuth(c.user, c.password)
	resp, err := follow.Do(req)
	if err != nil {
		return nil, bare(err, true)
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, &Error{Status: resp.StatusCode, Message: "the file does not come"}
	}
	if resp.ContentLength > limit {
		_ = resp.Body.Close()
		return nil, ErrMediaTooLarge
	}
	body := &capped{rc: resp.Body, left: limit}
	return &Media{ReadCloser: body, ContentType: resp.Header.Get("Content-Type"), Size: resp.ContentLength}, nil
}

// capped gives an error instead of the byte after the last allowed one.
type capped struct {
	rc   io.ReadCloser
	left int64
}

func (r *capped) Read(p []byte) (int, error) {
	if int64(len(p)) > r.left+1 {
		p = p[:r.left+1]
	}
	n, err := r.rc.Read(p)
	if int64(n) > r.left {
		n, err = int(r.left), ErrMediaTooLarge
	}
	r.left -= int64(n)
	return n, err
}

func (r *capped) Close() error { return r.rc.Close() }
