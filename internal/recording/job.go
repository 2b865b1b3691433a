package recording

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"time"

	"switchboard/internal/blob"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/sound"
	"switchboard/internal/twilio"
)

const (
	// maxAudio is the largest recording: eight hours of two channels.
	maxAudio = 1 << 30
	// firstLook is when the sweep takes over from a job that never ran.
	firstLook = time.Minute
	// lease is how long one attempt may take before another is made.
	lease = 10 * time.Minute
	// compact is from how many seconds on a recording is fetched as MP3, which has
	// neither a waveform nor single channels.
	compact = 60 * 60
)

// waits are the pauses between attempts. Twilio says 404 for a while after a
// recording has ended, and may be down for long; after the last one it is failed.
var waits = []time.Duration{
	2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
	10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour,
}

// Fetch is the job that fetches the audio of a recording. Try is the number of
// tries before it, so that one try is not made twice at once.
type Fetch struct {
	Organization id.ID `json:"organization"`
	Recording    id.ID `json:"recording"`
	Try          int   `json:"try"`
}

// Kind names the job.
func (Fetch) Kind() string { return "recording.fetch" }

// Tenant is the organization that the job works in.
func (f Fetch) Tenant() id.ID { return f.Organization }

// Timeout bounds one attempt.
func (Fetch) Timeout() time.Duration { return lease - time.Minute }

// InsertOpts puts the job where bytes are moved.
func (Fetch) InsertOpts() job.Options { return job.Options{Queue: job.Media, MaxAttempts: 5} }

// Register adds the jobs and the sweep to the runner.
func (s *Service) Register(r *job.Runner) {
	job.Handle(r, s.fetch)
	job.Handle(r, s.erase)
	job.Handle(r, s.compare)
	r.Sweep("recording.fetch", time.Second, s.sweep)
	r.Sweep("recording.erase", time.Second, s.eraseDue)
	r.Sweep("recording.compare", 10*time.Second, s.compareDue)
}

// sweep starts the attempts that are due.
func (s *Service) sweep(ctx context.Context, now time.Time) error {
	return s.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var due []*Recording
		if err := db.Select(ctx, tx, &due, `SELECT `+stored+` FROM recording
			WHERE recording.due_at <= $1 ORDER BY recording.due_at LIMIT 200 FOR UPDATE SKIP LOCKED`, now); err != nil {
			return err
		}
		var jobs []job.Args
		for _, r := range due {
			if r.MediaState != MediaPending || r.Status != Completed {
				if _, err := db.Exec(ctx, tx, `UPDATE recording SET due_at = NULL WHERE organization_id = $1 AND id = $2`, r.OrganizationID, r.ID); err != nil {
					return err
				}
				continue
			}
			// The next look, should this job die with its process.
			if _, err := db.Exec(ctx, tx, `UPDATE recording SET due_at = $3 WHERE organization_id = $1 AND id = $2`, r.OrganizationID, r.ID, now.Add(lease)); err != nil {
				return err
			}
			jobs = append(jobs, Fetch{Organization: r.OrganizationID, Recording: r.ID, Try: r.Attempts})
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

// fetch makes one attempt. A failed one is put off by due_at; only a database
// that is down makes the job itself fail.
func (s *Service) fetch(ctx context.Context, f Fetch) (err error) {
	defer errs.Wrap(&err, "recording.fetch(%s)", f.Recording)
	r, connection, err := s.claim(ctx, f)
	if err != nil || r == nil {
		return err
	}
	info, failure := s.download(ctx, connection, r)
	if errors.Is(failure, errTaken) {
		return nil
	}
	if failure == nil {
		if err := s.stored(ctx, r, info, s.peaks(ctx, r, info)); err != nil {
			_ = s.Blobs.Delete(ctx, r.OrganizationID, info.Key)
			return err
		}
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err() // the server stops: this try did not count
	}
	if r.BlobKey != nil && s.Blobs.Erase(ctx, r.OrganizationID, *r.BlobKey) == nil {
		r.BlobKey = nil
	}
	return s.putOff(ctx, r, failure)
}

// claim counts the attempt; nil when there is nothing to do, or another does it.
func (s *Service) claim(ctx context.Context, f Fetch) (r *Recording, connection id.ID, err error) {
	// A job that runs again took over from a process that died in its attempt.
	again := job.AttemptFrom(ctx).N > 1
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var rows []*Recording
		if err := db.Select(ctx, tx, &rows, `UPDATE recording SET attempts = $3 + 1, due_at = $4, updated_at = $5
			WHERE organization_id = $1 AND id = $2 AND status = 'COMPLETED' AND media_state = 'PENDING'
				AND (attempts = $3 OR $6::boolean AND attempts = $3 + 1)
			RETURNING `+stored, f.Organization, f.Recording, f.Try, tx.Now.Add(lease), tx.Now, again); err != nil || len(rows) == 0 {
			return err
		}
		r = rows[0]
		return tx.Pgx().QueryRow(ctx, `SELECT connection_id FROM call WHERE organization_id = $1 AND id = $2`, r.OrganizationID, r.CallID).Scan(&connection)
	})
	return r, connection, err
}

// download fetches the audio into our own store. Everything is checked before it
// counts: that it is audio by its content, never HTML or XML, and that all of it came.
func (s *Service) download(ctx context.Context, connection id.ID, r *Recording) (info blob.Info, err error) {
	client, err := s.Client(ctx, connection)
	if err != nil {
		return info, err
	}
	format := "wav"
	if r.DurationSeconds != nil && *r.DurationSeconds > compact {
		format = "mp3"
	}
	m, err := client.FetchRecordingMedia(ctx, r.TwilioSID, format, r.Channels > 1, maxAudio)
	if err != nil {
		return info, err
	}
	defer m.Close()
	if err := s.announce(ctx, r); err != nil {
		return info, err
	}
	w := &whole{r: m, want: m.Size}
	info, err = s.Blobs.PutAs(ctx, r.OrganizationID, *r.BlobKey, w, maxAudio, blob.Audio)
	if err != nil {
		return info, err
	}
	return info, w.check()
}

// errTaken ends an attempt whose recording was deleted, or is fetched by another.
var errTaken = errors.New("the recording was deleted or taken over meanwhile")

// announce writes down the key of the file that this attempt is to store, and deletes
// what an attempt left that died before it could say that its file was there.
func (s *Service) announce(ctx context.Context, r *Recording) error {
	if r.BlobKey != nil {
		if err := s.Blobs.Erase(ctx, r.OrganizationID, *r.BlobKey); err != nil {
			return err
		}
	}
	key := blob.NewKey()
	n, err := db.Exec(ctx, s.DB.App(), `UPDATE recording SET blob_key = $4 WHERE organization_id = $1 AND id = $2 AND media_state = 'PENDING' AND attempts = $3`,
		r.OrganizationID, r.ID, r.Attempts, key)
	if err == nil && n == 0 {
		err = errTaken
	}
	if err == nil {
		r.BlobKey = &key
	}
	return err
}

var errCut = errors.New("the audio was cut off on its way")

// whole watches that as much comes as was announced, by the length of the answer
// and by the header of a WAV file.
type whole struct {
	r    io.Reader
	want int64 // -1: not announced
	got  int64
	head []byte
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.got += int64(n)
	if room := 12 - len(w.head); room > 0 {
		w.head = append(w.head, p[:min(room, n)]...)
	}
	return n, err
}

func (w *whole) check() error {
	if w.want >= 0 && w.got != w.want {
		return errCut
	}
	if len(w.head) == 12 && string(w.head[:4]) == "RIFF" {
		// A length of all ones stands for one that was not known when the header was written.
		if n := binary.LittleEndian.Uint32(w.head[4:8]); n < 1<<31 && w.got < int64(n)+8 {
			return errCut
		}
	}
	return nil
}

// peaks are those of the audio that was just stored; nil for what cannot be read,
// which is heard all the same.
func (s *Service) peaks(ctx context.Context, r *Recording, info blob.Info) *sound.Peaks {
	if info.ContentType != "audio/wav" {
		return nil
	}
	f, _, err := s.Blobs.Open(ctx, r.OrganizationID, info.Key)
	if err != nil {
		return nil
	}
	defer f.Close()
	p, err := sound.ReadPeaks(f)
	if err != nil {
		s.Logger.WarnContext(ctx, "a recording has no waveform", "recording_id", r.ID, "error", err)
		return nil
	}
	return &p
}

// stored notes that the audio is ours, in the transaction that makes it so.
func (s *Service) stored(ctx context.Context, r *Recording, info blob.Info, peaks *sound.Peaks) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		n, err := db.Exec(ctx, tx, `UPDATE recording SET media_state = 'STORED', media_error = NULL, content_type = $4, size_bytes = $5, due_at = NULL, updated_at = $6
			WHERE organization_id = $1 AND id = $2 AND media_state = 'PENDING' AND blob_key = $3`, r.OrganizationID, r.ID, info.Key, info.ContentType, info.Size, tx.Now)
		switch {
		case err != nil:
			return err
		case n == 0:
			return errs.New(errs.Conflict, "the recording was stored or deleted meanwhile")
		}
		if peaks != nil {
			if _, err := db.Exec(ctx, tx, `INSERT INTO recording_waveform (organization_id, recording_id, channels, peaks) VALUES ($1, $2, $3, $4)
				ON CONFLICT (organization_id, recording_id) DO UPDATE SET channels = excluded.channels, peaks = excluded.peaks`, r.OrganizationID, r.ID, peaks.Channels, peaks.Levels); err != nil {
				return err
			}
		}
		if err := Note(ctx, tx, LedgerEntry{RecordingID: r.ID, Kind: Stored, Key: new("stored")}); err != nil {
			return err
		}
		done := *r
		done.MediaState = MediaStored
		return event.Append(ctx, tx, updated(done))
	})
}

// putOff waits before the next attempt, or gives up. The sentence is for people.
func (s *Service) putOff(ctx context.Context, r *Recording, failure error) error {
	why := "Twilio could not be reached"
	state, next := MediaPending, time.Duration(0)
	var e *twilio.Error
	switch {
	case errors.Is(failure, errCut) || errors.Is(failure, io.ErrUnexpectedEOF):
		why = "the audio was cut off on its way"
	case errs.IsCode(failure, errs.Invalid):
		why = "what Twilio sent is no audio"
	case errs.IsCode(failure, errs.LimitReached):
		why, state = "the recording is too large to be kept", MediaFailed
	case twilio.NotFound(failure):
		why = "Twilio does not have the audio yet"
	case errors.As(failure, &e) && e.Status != 0:
		why = "Twilio answered with status " + strconv.Itoa(e.Status)
	}
	if state == MediaPending {
		if r.Attempts <= len(waits) {
			next = waits[r.Attempts-1]
		} else if state = MediaFailed; twilio.NotFound(failure) {
			state, why = MediaGone, "Twilio no longer has the audio"
		}
	}
	s.Logger.WarnContext(ctx, "a recording was not fetched", "recording_id", r.ID, "attempt", r.Attempts, "why", why, "error", failure)
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var due *time.Time
		if next > 0 {
			due = new(tx.Now.Add(next))
		}
		n, err := db.Exec(ctx, tx, `UPDATE recording SET media_state = $3, media_error = $4, due_at = $5, updated_at = $6, blob_key = $7
			WHERE organization_id = $1 AND id = $2 AND media_state = 'PENDING' AND attempts = $8`, r.OrganizationID, r.ID, string(state), why, due, tx.Now, r.BlobKey, r.Attempts)
		if err != nil || n == 0 || state == MediaPending {
			return err
		}
		if err := Note(ctx, tx, LedgerEntry{RecordingID: r.ID, Kind: NotStored, Reason: &why, Key: new("not stored")}); err != nil {
			return err
		}
		given := *r
		given.MediaState = state
		return event.Append(ctx, tx, updated(given))
	})
}
