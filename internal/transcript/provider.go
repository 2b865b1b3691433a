package transcript

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/speech"
	"switchboard/internal/twilio"
)

// dial is the provider of a transcript, ready to be asked.
func (s *Service) dial(ctx context.Context, t *Transcript, r *row) (speech.Provider, error) {
	if t.Provider == Twilio {
		if t.ConnectionID.IsZero() {
			return nil, errs.New(errs.NotFound, "the Twilio account of the call is not connected any more")
		}
		return &atTwilio{s: s, t: t}, nil
	}
	own, err := s.secrets(ctx, s.DB.App())
	if err != nil {
		return nil, err
	}
	if p := s.problem(t.Provider, r, func(kind string) bool { return own[kind] != "" }); p != "" && t.Status != Deleted {
		return nil, speech.Fail(speech.NotConfigured, nil, "%s", p)
	}
	if t.Provider == Google {
		o := speech.GoogleOptions{ServiceAccount: own[googleAccount], APIKey: own[googleKey], Model: r.GoogleModel, BaseURL: s.GoogleURL, Client: s.plain, Now: s.Clock.Now}
		if o.ServiceAccount == "" && o.APIKey == "" {
			o.ServiceAccount, o.APIKey = s.GoogleAccount, s.GoogleKey
		}
		return speech.NewGoogle(o)
	}
	if r.HTTPURL == nil { // the operator's own, which may be inside
		return speech.NewHTTP(speech.HTTPOptions{URL: s.HTTPURL, Secret: s.HTTPSecret, Client: s.plain, Now: s.Clock.Now}), nil
	}
	return speech.NewHTTP(speech.HTTPOptions{URL: *r.HTTPURL, Secret: own[httpSecret], Client: s.guarded, Now: s.Clock.Now}), nil
}

// twilioState is what is remembered of the work at Twilio.
type twilioState struct {
	Recording string     `json:"recording"`
	Asking    *time.Time `json:"asking,omitempty"` // since when a request is on its way, or was lost
	SID       string     `json:"sid,omitempty"`
	Replaced  string     `json:"replaced,omitempty"` // the one that came to nothing; it goes before another is asked for
}

// again is what is remembered when a failed transcript is tried again. What Twilio
// may have begun is looked for still; what it refused is replaced.
func again(code *FailureCode, state []byte) ([]byte, error) {
	if len(state) == 0 {
		return nil, nil
	}
	var st twilioState
	if err := json.Unmarshal(state, &st); err != nil {
		return nil, err
	}
	if code != nil && *code == Refused && st.SID != "" {
		st.Replaced, st.SID = st.SID, ""
	}
	return json.Marshal(st)
}

// refOf is what the provider calls the work, by which its posts find it.
func refOf(p ProviderName, state []byte) *string {
	var st twilioState
	if p != Twilio || json.Unmarshal(state, &st) != nil || st.SID == "" {
		return nil
	}
	return &st.SID
}

// atTwilio has Conversational Intelligence transcribe a recording where it lies.
type atTwilio struct {
	s *Service
	t *Transcript
}

var _ speech.Provider = (*atTwilio)(nil)

const (
	// firstPoll is when Twilio is asked that did not post; then at every later one.
	firstPoll = 2 * time.Minute
	// lookFor is how long a request that was lost is looked for before it is made again.
	lookFor = 3 * time.Minute
	lookGap = 30 * time.Second
)

// Step implements speech.Provider.
func (p *atTwilio) Step(ctx context.Context, task speech.Task, raw []byte) (speech.Progress, error) {
	var st twilioState
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &st); err != nil {
			return speech.Progress{}, speech.Fail(speech.Unknown, err, "what was remembered of the work at Twilio cannot be read")
		}
	}
	c, err := p.s.Client(ctx, p.t.ConnectionID)
	if errs.IsCode(err, errs.NotFound) {
		return p.at(st, 0), speech.Fail(speech.NotConfigured, err, "the Twilio account of the call is not connected any more")
	}
	if err != nil {
		return p.at(st, 0), err
	}
	if st.Recording == "" {
		if st.Recording, err = p.recording(ctx); err != nil {
			return p.at(st, 0), err
		}
	}
	if st.Replaced != "" {
		if err := c.DeleteTranscript(ctx, st.Replaced); err != nil {
			return p.at(st, 0), twilioError(err)
		}
		st.Replaced = ""
	}
	now := p.s.Clock.Now()
	if st.SID == "" && st.Asking != nil {
		x, found, err := c.FindTranscript(ctx, st.Recording, task.ID)
		switch {
		case err != nil:
			return p.at(st, 0), twilioError(err)
		case found:
			st.SID, st.Asking = x.SID, nil
		case now.Sub(*st.Asking) < lookFor:
			return p.at(st, lookGap), nil
		default:
			st.Asking = nil
		}
	}
	if st.SID == "" {
		return p.start(ctx, c, task, st)
	}
	x, err := c.FetchTranscript(ctx, st.SID)
	if twilio.NotFound(err) {
		st.SID = ""
		return p.at(st, 0), speech.Fail(speech.Refused, err, "the transcript was deleted at Twilio")
	}
	if err != nil {
		return p.at(st, 0), twilioError(err)
	}
	switch x.Status {
	case twilio.TranscriptCompleted:
		return p.collect(ctx, c, task, st, x)
	case twilio.TranscriptFailed, twilio.TranscriptCanceled, twilio.TranscriptError:
		return p.at(st, 0), speech.Fail(speech.Refused, nil, "Twilio could not transcribe it (%s)", x.Status)
	}
	return p.at(st, firstPoll), nil
}

func (p *atTwilio) at(st twilioState, wait time.Duration) speech.Progress {
	b, err := json.Marshal(st)
	if err != nil {
		panic("transcript: " + err.Error()) // strings and times
	}
	return speech.Progress{State: b, Wait: wait}
}

// recording is the SID of the recording, which must still be at Twilio.
func (p *atTwilio) recording(ctx context.Context) (string, error) {
	h, err := hearing(ctx, p.s.DB.App(), p.t.RecordingID)
	if err != nil {
		return "", err
	}
	if h == nil || h.Status == "DELETED" {
		return "", speech.Fail(speech.NoAudio, nil, "the recording was deleted before it could be transcribed")
	}
	return h.TwilioSID, nil
}

// start asks for the transcript once.
func (p *atTwilio) start(ctx context.Context, c *twilio.Client, task speech.Task, st twilioState) (speech.Progress, error) {
	service, err := p.service(ctx, c, task.Language)
	if err != nil {
		return p.at(st, 0), err
	}
	now := p.s.Clock.Now()
	st.Asking = &now
	if err := task.Save(ctx, p.at(st, 0).State); err != nil {
		return speech.Progress{}, err
	}
	var who []string
	for _, x := range task.Speakers {
		if x != "" {
			who = append(who, x)
		}
	}
	x, err := c.CreateTranscript(ctx, twilio.TranscriptRequest{ServiceSID: service, RecordingSID: st.Recording, CustomerKey: task.ID, Participants: who, StartedAt: p.t.RecordedAt})
	var e *twilio.Error
	switch {
	case err == nil:
		st.SID, st.Asking = x.SID, nil
		return p.at(st, firstPoll), nil
	case errors.As(err, &e) && e.Ambiguous: // it is looked for before it is asked again
		return p.at(st, 0), speech.Fail(speech.Unavailable, err, "Twilio did not say whether it has begun; it is being checked")
	case twilio.NotFound(err): // somebody deleted our service
		st.Asking = nil
		if _, err := db.Exec(ctx, p.s.DB.App(), `DELETE FROM transcription_service WHERE organization_id = $1 AND connection_id = $2 AND language = $3`,
			p.t.OrganizationID, p.t.ConnectionID, task.Language); err != nil {
			return p.at(st, 0), err
		}
		return p.at(st, 0), speech.Fail(speech.Unavailable, err, "our transcription service at Twilio was deleted; it is made again")
	}
	st.Asking = nil
	return p.at(st, 0), twilioError(err)
}

// service is ours in the account for the language, made when it is missing.
func (p *atTwilio) service(ctx context.Context, c *twilio.Client, language string) (string, error) {
	var known []string
	if err := db.Select(ctx, p.s.DB.App(), &known, `SELECT service_sid FROM transcription_service WHERE organization_id = $1 AND connection_id = $2 AND language = $3`,
		p.t.OrganizationID, p.t.ConnectionID, language); err != nil {
		return "", err
	}
	if len(known) > 0 {
		return known[0], nil
	}
	hook, err := p.s.Hook(ctx, p.t.ConnectionID)
	if err != nil {
		return "", err
	}
	// Its name is found again; two installations on one account do not share it.
	name := strings.ReplaceAll("switchboard-"+p.t.ConnectionID.String()+"-"+language, "_", "-")
	x, err := c.EnsureIntelligenceService(ctx, name, language, hook)
	if err != nil {
		return "", twilioError(err)
	}
	_, err = db.Exec(ctx, p.s.DB.App(), `INSERT INTO transcription_service (organization_id, connection_id, language, service_sid) VALUES ($1, $2, $3, $4)
		ON CONFLICT (organization_id, connection_id, language) DO UPDATE SET service_sid = excluded.service_sid`, p.t.OrganizationID, p.t.ConnectionID, language, x.SID)
	return x.SID, err
}

// errTooMuch ends the reading of sentences.
var errTooMuch = errors.New("too many sentences")

func (p *atTwilio) collect(ctx context.Context, c *twilio.Client, task speech.Task, st twilioState, x twilio.Transcript) (speech.Progress, error) {
	var segments []speech.Segment
	size := 0
	err := c.Sentences(ctx, st.SID, func(some []twilio.Sentence) error {
		for _, s := range some {
			who := speech.Voice(s.Channel)
			if i := s.Channel - 1; i >= 0 && i < len(task.Speakers) && task.Speakers[i] != "" {
				who = task.Speakers[i]
			}
			if size += len(s.Text); size > speech.MaxText || len(segments) >= speech.MaxSegments {
				return errTooMuch
			}
			segments = append(segments, speech.Segment{StartMs: int(s.Start.Milliseconds()), EndMs: int(s.End.Milliseconds()), Speaker: who, Text: s.Text, Confidence: s.Confidence})
		}
		return nil
	})
	if errors.Is(err, errTooMuch) {
		return p.at(st, 0), speech.Fail(speech.Refused, err, "Twilio answered more text than is kept")
	}
	if err != nil {
		return p.at(st, 0), twilioError(err)
	}
	r, err := speech.Finish(x.Language, nil, segments)
	if err != nil {
		return p.at(st, 0), err
	}
	out := p.at(st, 0)
	out.Result = r
	return out, nil
}

// Forget implements speech.Provider: it deletes Twilio's copies. One whose request
// was lost is looked for as long as it may not be listed yet.
func (p *atTwilio) Forget(ctx context.Context, raw []byte) error {
	var st twilioState
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &st); err != nil {
			return err
		}
	}
	if st == (twilioState{Recording: st.Recording}) {
		return nil
	}
	c, err := p.s.Client(ctx, p.t.ConnectionID)
	if err != nil {
		return err
	}
	if st.SID == "" && st.Asking != nil {
		x, found, err := c.FindTranscript(ctx, st.Recording, p.t.ID.String())
		switch {
		case err != nil:
			return err
		case !found && p.s.Clock.Now().Sub(*st.Asking) < lookFor:
			return speech.Fail(speech.Unavailable, nil, "Twilio may not list the transcript yet")
		}
		st.SID = x.SID
	}
	for _, sid := range []string{st.Replaced, st.SID} {
		if sid == "" {
			continue
		}
		if err := c.DeleteTranscript(ctx, sid); err != nil {
			return err
		}
	}
	return nil
}

// twilioError is what went wrong at Twilio, in the terms of package speech.
func twilioError(err error) error {
	var s *speech.Error
	var e *twilio.Error
	switch {
	case errors.As(err, &s):
		return err
	case !errors.As(err, &e):
		return speech.Fail(speech.Unavailable, err, "Twilio could not be asked")
	case twilio.Unauthorized(err):
		return speech.Fail(speech.NotConfigured, err, "Twilio refused the credentials; enter the Account SID and auth token of the connection again")
	case e.Status == 429 || e.Status >= 500 || e.Status == 0 || e.Ambiguous || e.Status < 400:
		x := speech.Fail(speech.Unavailable, err, "Twilio did not answer usefully")
		if e.Status != 0 {
			x = speech.Fail(speech.Unavailable, err, "Twilio did not answer usefully (status %d)", e.Status)
		}
		x.After = min(e.RetryAfter, time.Hour)
		return x
	}
	return speech.Fail(speech.Refused, err, "Twilio will not transcribe it: %s", short(e.Message))
}

func short(s string) string {
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}

// News takes Twilio's post that a transcript is there: it is fetched now and not at
// the next look. What is not known, done or deleted changes nothing.
func (s *Service) News(ctx context.Context, tx *db.Tx, connection id.ID, f twilio.TranscriptForm) (err error) {
	defer errs.Wrap(&err, "transcript.News")
	ours, _ := id.ParseKind(f.CustomerKey, id.Transcript)
	return s.nudge(ctx, tx, `connection_id = $2 AND (provider_ref = $3 OR provider_ref IS NULL AND id = $4)`, connection, f.SID, ours)
}

// nudge makes running work due.
func (s *Service) nudge(ctx context.Context, tx *db.Tx, where string, args ...any) error {
	org := db.TenantFrom(ctx)
	var rows []struct {
		ID id.ID `bun:"id,type:uuid"`
	}
	args = append([]any{org}, args...)
	args = append(args, tx.Now)
	if err := db.Select(ctx, tx, &rows, `UPDATE transcript SET due_at = least(due_at, $`+strconv.Itoa(len(args))+`) WHERE organization_id = $1 AND status = 'RUNNING' AND `+where+` RETURNING id`, args...); err != nil {
		return err
	}
	for _, r := range rows {
		if err := job.Insert(ctx, tx, workArgs{Organization: org, Transcript: r.ID}); err != nil {
			return err
		}
	}
	return nil
}

func count(n int) string { return strconv.Itoa(n) }

// minutes is a length for people.
func minutes(seconds int) string {
	if seconds < 120 {
		return count(seconds) + " seconds"
	}
	return count((seconds+59)/60) + " minutes"
}
