package transcript

import (
	"context"
	"errors"
	"io"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/speech"
	"switchboard/internal/tenant"
)

const (
	sweepEvery = 5 * time.Second
	leaseFor   = 10 * time.Minute
	promiseFor = 2 * time.Minute
	atOnce     = 200
	// patience is how long a provider may take, all in all.
	patience = 24 * time.Hour
	// eraseTries is how often a deletion at the provider is tried: about a month.
	eraseTries = 40

	callerSpeaker = speech.Caller
	userSpeaker   = speech.User
)

// waits pass between the attempts that a provider did not answer usefully.
var waits = []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 8 * time.Hour}

// workArgs has the next step of a transcript done. Lease is the promise that was
// made to this job, in microseconds; 0 is none.
type workArgs struct {
	Organization id.ID `json:"organization"`
	Transcript   id.ID `json:"transcript"`
	Lease        int64 `json:"lease,omitempty"`
}

// Kind names the job.
func (workArgs) Kind() string { return "transcript.work" }

// Tenant is whose job it is.
func (a workArgs) Tenant() id.ID { return a.Organization }

// Timeout ends a step before its lease ends.
func (workArgs) Timeout() time.Duration { return leaseFor - time.Minute }

// InsertOpts allows few attempts: the sweep comes back.
func (workArgs) InsertOpts() job.Options { return job.Options{MaxAttempts: 2} }

// sweep hands over what is due.
func (s *Service) sweep(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "transcript.sweep")
	return s.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var due []struct {
			Organization id.ID `bun:"organization_id,type:uuid"`
			Transcript   id.ID `bun:"id,type:uuid"`
		}
		until := now.Add(promiseFor).Truncate(time.Microsecond)
		if err := db.Select(ctx, tx, &due, `UPDATE transcript t SET leased_until = $2
			WHERE (t.organization_id, t.id) IN (SELECT d.organization_id, d.id FROM transcript d
				WHERE d.due_at <= $1 AND (d.leased_until IS NULL OR d.leased_until <= $1) ORDER BY d.due_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)
			RETURNING t.organization_id, t.id`, now, until, atOnce); err != nil {
			return err
		}
		jobs := make([]job.Args, len(due))
		for i, d := range due {
			jobs[i] = workArgs{Organization: d.Organization, Transcript: d.Transcript, Lease: until.UnixMicro()}
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

// errGone ends a step whose transcript was taken away meanwhile.
var errGone = errors.New("the transcript was deleted or taken over meanwhile")

// failure is why a transcript cannot be made.
type failure struct {
	code FailureCode
	why  string
}

// work does one step. What goes wrong at the provider is written down; only our own
// faults make the job fail.
func (s *Service) work(ctx context.Context, a workArgs) (err error) {
	defer errs.Wrap(&err, "transcript.work(%s)", a.Transcript)
	t, err := s.claim(ctx, a)
	if err != nil || t == nil {
		return err
	}
	if t.Status == Deleted {
		return s.erase(ctx, t)
	}
	h, settings, no, err := s.prepare(ctx, t)
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	if no != nil {
		return s.fail(ctx, t, no)
	}
	p, err := s.dial(ctx, t, settings)
	if err != nil {
		return s.putOff(ctx, t, t.ProviderState, err)
	}
	task := s.task(t, h, settings)
	progress, err := p.Step(ctx, task, t.ProviderState)
	if ctx.Err() != nil { // the server stops, or the step took too long: what was saved counts
		return ctx.Err()
	}
	switch {
	case errors.Is(err, errGone):
		return s.orphan(ctx, t, progress.State)
	case err != nil:
		return s.putOff(ctx, t, progress.State, err)
	case progress.Result != nil:
		return s.complete(ctx, t, progress)
	}
	return s.advance(ctx, t, progress)
}

// claim takes the transcript for this job; nil when there is nothing to do. Whatever
// makes it due before the lease ends is news.
func (s *Service) claim(ctx context.Context, a workArgs) (*Transcript, error) {
	var rows []*Transcript
	now := s.Clock.Now()
	until := now.Add(leaseFor).Truncate(time.Microsecond)
	var promise *time.Time
	if a.Lease != 0 {
		at := time.UnixMicro(a.Lease)
		promise = &at
	}
	err := db.Select(ctx, s.DB.App(), &rows, `UPDATE transcript SET leased_until = $4, due_at = $4
		WHERE organization_id = $1 AND id = $2 AND due_at <= $3 AND (leased_until IS NULL OR leased_until <= $3 OR leased_until = $5)
		RETURNING `+columns, a.Organization, a.Transcript, now, until, promise)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// prepare reads what is needed, and checks what must hold before the provider is
// asked first: the switch, the length, the month's minutes.
func (s *Service) prepare(ctx context.Context, t *Transcript) (h *heard, settings *row, no *failure, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if settings, err = readSettings(ctx, tx, ""); err != nil {
			return err
		}
		if h, err = hearing(ctx, tx, t.RecordingID); err != nil {
			return err
		}
		now := tx.Now
		if t.AskedAt != nil {
			if now.Sub(*t.AskedAt) > patience {
				no = &failure{TimedOut, "the provider did not finish within a day; try again"}
			}
			return nil
		}
		if h == nil || h.Status == "DELETED" || h.BlobKey == nil && t.Provider != Twilio {
			no = &failure{NoAudio, "the recording was deleted before it could be transcribed"}
			return nil
		}
		o, err := tenant.Read(ctx, tx)
		if err != nil {
			return err
		}
		if e := o.Require(tenant.Transcription); e != nil {
			no = &failure{NotConfigured, plain(e)}
			return nil
		}
		seconds := 0
		if t.DurationSeconds != nil {
			seconds = *t.DurationSeconds
		}
		if seconds > settings.MaxSeconds {
			no = tooLong(seconds, settings.MaxSeconds)
			return nil
		}
		reserve := max(seconds, 1)
		ok, err := takeMinutes(ctx, tx, month(o, now), reserve, settings.MonthlyMinutes)
		if err != nil {
			return err
		}
		if !ok {
			no = overCap(*settings.MonthlyMinutes)
			return nil
		}
		n, err := db.Exec(ctx, tx, `UPDATE transcript SET status = 'RUNNING', asked_at = $4, reserved_seconds = $5, attempts = 0, updated_at = $4
			WHERE organization_id = $1 AND id = $2 AND leased_until = $3 AND status IN ('QUEUED', 'RUNNING')`, t.OrganizationID, t.ID, t.LeasedUntil, now, reserve)
		if err != nil {
			return err
		}
		if n == 0 {
			return errGone
		}
		t.Status, t.AskedAt, t.ReservedSeconds, t.Attempts = Running, &now, &reserve, 0
		return nil
	})
	return h, settings, no, err
}

func plain(err error) string {
	if e, ok := errs.As(err); ok {
		return e.Message
	}
	return "it is not allowed"
}

func tooLong(seconds, most int) *failure {
	return &failure{TooLong, "the recording has " + minutes(seconds) + "; the setting maxSeconds allows " + minutes(most)}
}

func overCap(minutes int) *failure {
	return &failure{OverCap, "the month's cap of " + count(minutes) + " minutes (setting monthlyMinutes) is used up; raise it and try again, or wait for the next month"}
}

// takeMinutes books seconds of the month; false when the cap is reached.
func takeMinutes(ctx context.Context, tx *db.Tx, month string, seconds int, most *int) (bool, error) {
	org := db.TenantFrom(ctx)
	if _, err := db.Exec(ctx, tx, `INSERT INTO transcription_usage (organization_id, month, seconds) VALUES ($1, $2::date, 0) ON CONFLICT DO NOTHING`, org, month); err != nil {
		return false, err
	}
	n, err := db.Exec(ctx, tx, `UPDATE transcription_usage SET seconds = seconds + $3
		WHERE organization_id = $1 AND month = $2::date AND ($4::bigint IS NULL OR seconds + $3 <= $4::bigint * 60)`, org, month, seconds, most)
	return n > 0, err
}

// giveBack returns the minutes of a transcript that the provider did nothing for.
func giveBack(ctx context.Context, tx *db.Tx, t *Transcript) error {
	if t.ReservedSeconds == nil || t.AskedAt == nil {
		return nil
	}
	o, err := tenant.Read(ctx, tx)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, tx, `UPDATE transcription_usage SET seconds = greatest(seconds - $3, 0) WHERE organization_id = $1 AND month = $2::date`,
		t.OrganizationID, month(o, *t.AskedAt), *t.ReservedSeconds)
	return err
}

// task is what a provider needs to know.
func (s *Service) task(t *Transcript, h *heard, settings *row) speech.Task {
	x := speech.Task{ID: t.ID.String(), Language: t.Language, Vocabulary: settings.Vocabulary, Speakers: []string{""}}
	if t.DurationSeconds != nil {
		x.Seconds = *t.DurationSeconds
	}
	x.Open = func(ctx context.Context) (io.ReadCloser, error) {
		if h == nil || h.BlobKey == nil {
			return nil, errs.New(errs.NotFound, "the audio is gone")
		}
		f, _, err := s.Blobs.Open(ctx, t.OrganizationID, *h.BlobKey)
		return f, err
	}
	if h != nil {
		x.Speakers = h.speakers()
		if h.ContentType != nil {
			x.ContentType = *h.ContentType
		}
		if h.SizeBytes != nil {
			x.Size = *h.SizeBytes
		}
	}
	if t.Provider == HTTP {
		x.AudioURL, x.CallbackURL = s.links(t)
	}
	x.Save = func(ctx context.Context, state []byte) error {
		n, err := db.Exec(ctx, s.DB.App(), `UPDATE transcript SET provider_state = $4::text::jsonb, updated_at = $5
			WHERE organization_id = $1 AND id = $2 AND leased_until = $3 AND status = 'RUNNING'`, t.OrganizationID, t.ID, t.LeasedUntil, string(state), s.Clock.Now())
		if err == nil && n == 0 {
			err = errGone
		}
		return err
	}
	return x
}

// advance keeps where the work stands and when to look again: at once where more is to
// be handed over, and where the provider's news came while this step was under way. A
// request that is being looked for counts as a failed attempt still.
func (s *Service) advance(ctx context.Context, t *Transcript, p speech.Progress) error {
	gone := false
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		wait := p.Wait
		if wait <= time.Second {
			wait = 0
		}
		var rows []struct {
			Soon bool `bun:"soon"`
		}
		if err := db.Select(ctx, tx, &rows, `UPDATE transcript SET provider_state = $4::text::jsonb, provider_ref = $5,
				due_at = CASE WHEN due_at <= $7::timestamptz THEN $7::timestamptz ELSE $6::timestamptz END, leased_until = NULL,
				attempts = CASE WHEN $5::text IS NOT NULL OR provider <> 'TWILIO' THEN 0 ELSE attempts END, updated_at = $7
			WHERE organization_id = $1 AND id = $2 AND leased_until = $3 AND status = 'RUNNING' RETURNING due_at <= $7 AS soon`,
			t.OrganizationID, t.ID, t.LeasedUntil, text(p.State), refOf(t.Provider, p.State), tx.Now.Add(wait), tx.Now); err != nil {
			return err
		}
		if gone = len(rows) == 0; gone || !rows[0].Soon {
			return nil
		}
		return job.Insert(ctx, tx, workArgs{Organization: t.OrganizationID, Transcript: t.ID})
	})
	if err == nil && gone {
		return s.orphan(ctx, t, p.State)
	}
	return err
}

func text(b []byte) *string {
	if len(b) == 0 {
		return nil
	}
	v := string(b)
	return &v
}

// orphan remembers for a tombstone what the provider made meanwhile, so that it is
// deleted there too.
func (s *Service) orphan(ctx context.Context, t *Transcript, state []byte) error {
	if t.Provider != Twilio || len(state) == 0 {
		return nil
	}
	now := s.Clock.Now()
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		n, err := db.Exec(ctx, tx, `UPDATE transcript SET provider_state = $3::text::jsonb, provider_ref = $4, due_at = $5
			WHERE organization_id = $1 AND id = $2 AND status = 'DELETED'`, t.OrganizationID, t.ID, string(state), refOf(t.Provider, state), now)
		if err != nil || n == 0 {
			return err
		}
		return job.Insert(ctx, tx, workArgs{Organization: t.OrganizationID, Transcript: t.ID})
	})
}

// putOff waits before the next attempt, or gives up.
func (s *Service) putOff(ctx context.Context, t *Transcript, state []byte, cause error) error {
	var e *speech.Error
	if !errors.As(cause, &e) {
		e = speech.Fail(speech.Unavailable, cause, "the provider could not be asked")
	}
	s.Logger.WarnContext(ctx, "a transcript was not made", "transcript_id", t.ID, "provider", t.Provider, "attempt", t.Attempts+1, "why", e.Why, "error", cause)
	t.ProviderState = state
	if e.Kind != speech.Unavailable {
		return s.fail(ctx, t, &failure{FailureCode(e.Kind), e.Why})
	}
	if t.Attempts >= len(waits) {
		return s.fail(ctx, t, &failure{Unavailable, e.Why + "; it was tried " + count(t.Attempts+1) + " times"})
	}
	now := s.Clock.Now()
	n, err := db.Exec(ctx, s.DB.App(), `UPDATE transcript SET attempts = attempts + 1, provider_state = $4::text::jsonb, provider_ref = $5, due_at = $6, leased_until = NULL,
			updated_at = $7
		WHERE organization_id = $1 AND id = $2 AND leased_until = $3 AND status IN ('QUEUED', 'RUNNING')`,
		t.OrganizationID, t.ID, t.LeasedUntil, text(state), refOf(t.Provider, state), now.Add(max(waits[t.Attempts], e.After)), now)
	if err == nil && n == 0 {
		return s.orphan(ctx, t, state)
	}
	return err
}

// fail ends the work and says why.
func (s *Service) fail(ctx context.Context, t *Transcript, f *failure) error {
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error { return s.failIn(ctx, tx, t, f) })
	if errors.Is(err, errGone) {
		return s.orphan(ctx, t, t.ProviderState)
	}
	return err
}

func (s *Service) failIn(ctx context.Context, tx *db.Tx, t *Transcript, f *failure) error {
	switch f.code {
	case NotConfigured, Refused, NoAudio, Unavailable:
		if err := giveBack(ctx, tx, t); err != nil {
			return err
		}
	}
	n, err := db.Exec(ctx, tx, `UPDATE transcript SET status = 'FAILED', failure_code = $4, failure_reason = $5, provider_state = $6::text::jsonb, provider_ref = $7,
			due_at = NULL, leased_until = NULL, reserved_seconds = NULL, version = version + 1, updated_at = $8
		WHERE organization_id = $1 AND id = $2 AND leased_until = $3 AND status IN ('QUEUED', 'RUNNING')`,
		t.OrganizationID, t.ID, t.LeasedUntil, f.code, f.why, text(t.ProviderState), refOf(t.Provider, t.ProviderState), tx.Now)
	if err != nil {
		return err
	}
	if n == 0 {
		return errGone
	}
	t.Status = Failed
	return event.Append(ctx, tx, told(EventCompleted, t, t.CreatedBy))
}

// complete keeps the text.
func (s *Service) complete(ctx context.Context, t *Transcript, p speech.Progress) error {
	state := p.State
	if len(state) == 0 && t.Provider == Twilio {
		state = t.ProviderState
	}
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		n, err := db.Exec(ctx, tx, `SELECT FROM transcript WHERE organization_id = $1 AND id = $2 AND leased_until = $3 AND status IN ('QUEUED', 'RUNNING') FOR UPDATE`,
			t.OrganizationID, t.ID, t.LeasedUntil)
		if err != nil {
			return err
		}
		if n == 0 {
			return errGone
		}
		return s.finish(ctx, tx, t, state, p.Result)
	})
	if errors.Is(err, errGone) {
		return s.orphan(ctx, t, state)
	}
	return err
}

// finish writes a result to a row that the caller has locked.
func (s *Service) finish(ctx context.Context, tx *db.Tx, t *Transcript, state []byte, r *speech.Result) error {
	n := len(r.Segments)
	starts, ends, who, words, sure := make([]int, n), make([]int, n), make([]string, n), make([]string, n), make([]*float64, n)
	for i, x := range r.Segments {
		starts[i], ends[i], who[i], words[i], sure[i] = x.StartMs, x.EndMs, x.Speaker, x.Text, x.Confidence
	}
	if _, err := db.Exec(ctx, tx, `DELETE FROM transcript_segment WHERE organization_id = $1 AND transcript_id = $2`, t.OrganizationID, t.ID); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, tx, `INSERT INTO transcript_segment (organization_id, transcript_id, position, start_ms, end_ms, speaker, text, confidence)
		SELECT $1, $2, u.n - 1, u.s, u.e, u.w, u.t, u.c FROM unnest($3::int[], $4::int[], $5::text[], $6::text[], $7::float8[]) WITH ORDINALITY AS u (s, e, w, t, c, n)`,
		t.OrganizationID, t.ID, starts, ends, who, words, sure); err != nil {
		return err
	}
	language := t.Language
	if r.Language != "" && languageForm.MatchString(r.Language) {
		language = r.Language
	}
	// Twilio's copy is remembered: it is deleted with ours. What else was remembered is the text once more.
	var ref, kept *string
	if t.Provider == Twilio {
		ref, kept = refOf(t.Provider, state), text(state)
	}
	if _, err := db.Exec(ctx, tx, `UPDATE transcript SET status = 'COMPLETED', language = $3, confidence = $4, segment_count = $5, words = to_tsvector('simple', $6::text),
			provider_state = $7::text::jsonb, provider_ref = $8, failure_code = NULL, failure_reason = NULL, due_at = NULL, leased_until = NULL, attempts = 0,
			completed_at = $9, version = version + 1, updated_at = $9
		WHERE organization_id = $1 AND id = $2`, t.OrganizationID, t.ID, language, r.Confidence, n, indexed(words), kept, ref, tx.Now); err != nil {
		return err
	}
	t.Status = Completed
	return event.Append(ctx, tx, told(EventCompleted, t, t.CreatedBy))
}

// erase deletes the provider's copy of what is a tombstone here.
func (s *Service) erase(ctx context.Context, t *Transcript) error {
	settings, err := readSettings(ctx, s.DB.App(), "")
	if err != nil {
		return err
	}
	p, err := s.dial(ctx, t, settings)
	if err == nil {
		err = p.Forget(ctx, t.ProviderState)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := s.Clock.Now()
	if err == nil || errs.IsCode(err, errs.NotFound) { // a connection that is gone took its account along
		_, err = db.Exec(ctx, s.DB.App(), `UPDATE transcript SET provider_ref = NULL, provider_state = NULL, due_at = NULL, leased_until = NULL
			WHERE organization_id = $1 AND id = $2 AND leased_until = $3`, t.OrganizationID, t.ID, t.LeasedUntil)
		return err
	}
	var due *time.Time
	if t.Attempts >= eraseTries {
		s.Logger.ErrorContext(ctx, "a deleted transcript could not be deleted at the provider; look after it there", "transcript_id", t.ID, "provider_state", string(t.ProviderState), "error", err)
	} else {
		s.Logger.WarnContext(ctx, "a transcript was not deleted at the provider yet", "transcript_id", t.ID, "attempt", t.Attempts+1, "error", err)
		wait := 24 * time.Hour
		if t.Attempts < len(waits) {
			wait = waits[t.Attempts]
		}
		at := now.Add(wait)
		due = &at
	}
	_, err = db.Exec(ctx, s.DB.App(), `UPDATE transcript SET attempts = attempts + 1, due_at = $4, leased_until = NULL
		WHERE organization_id = $1 AND id = $2 AND leased_until = $3`, t.OrganizationID, t.ID, t.LeasedUntil, due)
	return err
}
