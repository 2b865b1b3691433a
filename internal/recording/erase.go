package recording

import (
	"context"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/twilio"
)

// eraseWaits are the pauses between attempts to erase; the last one repeats until
// maxErase. Twilio refuses while a recording is being made ready, and may be down.
var eraseWaits = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// maxErase is after how many attempts an operator must look: more than a month.
const maxErase = 40

// Erase is the job that erases the audio of a tombstone, here and at Twilio.
type Erase struct {
	Organization id.ID `json:"organization"`
	Recording    id.ID `json:"recording"`
	Try          int   `json:"try"`
}

// Kind names the job.
func (Erase) Kind() string { return "recording.erase" }

// Tenant is the organization that the job works in.
func (e Erase) Tenant() id.ID { return e.Organization }

// Timeout bounds one attempt.
func (Erase) Timeout() time.Duration { return 2 * time.Minute }

// InsertOpts puts the job where bytes are moved.
func (Erase) InsertOpts() job.Options { return job.Options{Queue: job.Media, MaxAttempts: 5} }

// eraseDue starts the attempts that are due.
func (s *Service) eraseDue(ctx context.Context, now time.Time) error {
	return s.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var due []*Recording
		if err := db.Select(ctx, tx, &due, `UPDATE recording SET erase_due_at = $2
			WHERE (organization_id, id) IN (SELECT organization_id, id FROM recording WHERE erase_due_at <= $1 ORDER BY erase_due_at LIMIT 200 FOR UPDATE SKIP LOCKED)
			RETURNING `+stored, now, now.Add(lease)); err != nil {
			return err
		}
		jobs := make([]job.Args, len(due))
		for i, r := range due {
			jobs[i] = Erase{Organization: r.OrganizationID, Recording: r.ID, Try: r.EraseAttempts}
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

// erase makes one attempt: our copy first, then Twilio's. What is done is noted at
// once; what fails is put off.
func (s *Service) erase(ctx context.Context, e Erase) (err error) {
	defer errs.Wrap(&err, "recording.erase(%s)", e.Recording)
	var (
		r          *Recording
		connection id.ID
	)
	again := job.AttemptFrom(ctx).N > 1
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var rows []*Recording
		if err := db.Select(ctx, tx, &rows, `UPDATE recording SET erase_attempts = $3 + 1, erase_due_at = $4
			WHERE organization_id = $1 AND id = $2 AND status = 'DELETED' AND erase_due_at IS NOT NULL AND (erase_attempts = $3 OR $5::boolean AND erase_attempts = $3 + 1)
			RETURNING `+stored, e.Organization, e.Recording, e.Try, tx.Now.Add(lease), again); err != nil || len(rows) == 0 {
			return err
		}
		r = rows[0]
		return tx.Pgx().QueryRow(ctx, `SELECT connection_id FROM call WHERE organization_id = $1 AND id = $2`, r.OrganizationID, r.CallID).Scan(&connection)
	})
	if err != nil || r == nil {
		return err
	}
	failure := s.eraseCopy(ctx, r)
	if failure == nil && r.GoneAtTwilioAt == nil {
		failure = s.eraseAtTwilio(ctx, r, connection)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.eraseLater(ctx, r, failure)
}

// eraseCopy erases our copy, if there is one.
func (s *Service) eraseCopy(ctx context.Context, r *Recording) error {
	if r.BlobKey == nil {
		return nil
	}
	if err := s.Blobs.Erase(ctx, r.OrganizationID, *r.BlobKey); err != nil {
		return err
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := db.Exec(ctx, tx, `UPDATE recording SET blob_key = NULL, size_bytes = NULL, content_type = NULL, updated_at = $3 WHERE organization_id = $1 AND id = $2`,
			r.OrganizationID, r.ID, tx.Now); err != nil {
			return err
		}
		if _, err := db.Exec(ctx, tx, `DELETE FROM recording_waveform WHERE organization_id = $1 AND recording_id = $2`, r.OrganizationID, r.ID); err != nil {
			return err
		}
		return Note(ctx, tx, LedgerEntry{RecordingID: r.ID, Kind: AudioErased, Key: new("erased")})
	})
}

// eraseAtTwilio deletes the recording at Twilio; that it is gone already is fine.
func (s *Service) eraseAtTwilio(ctx context.Context, r *Recording, connection id.ID) error {
	client, err := s.Client(ctx, connection)
	if err != nil {
		return err
	}
	if err := client.DeleteRecording(ctx, r.TwilioSID); err != nil {
		return err
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := db.Exec(ctx, tx, `UPDATE recording SET gone_at_twilio_at = coalesce(gone_at_twilio_at, $3), updated_at = $3 WHERE organization_id = $1 AND id = $2`,
			r.OrganizationID, r.ID, tx.Now); err != nil {
			return err
		}
		if err := Note(ctx, tx, LedgerEntry{RecordingID: r.ID, Kind: DeletedAtSource, Key: new("deleted at twilio")}); err != nil {
			return err
		}
		return event.Append(ctx, tx, updated(*r))
	})
}

// eraseLater puts off what failed, or closes the matter.
func (s *Service) eraseLater(ctx context.Context, r *Recording, failure error) error {
	var due *time.Time
	if failure != nil {
		if r.EraseAttempts < maxErase {
			due = new(s.Clock.Now().Add(eraseWaits[min(r.EraseAttempts, len(eraseWaits))-1]))
			s.Logger.WarnContext(ctx, "a deleted recording was not erased yet", "recording_id", r.ID, "attempt", r.EraseAttempts, "unauthorized", twilio.Unauthorized(failure), "error", failure)
		} else {
			s.Logger.ErrorContext(ctx, "a deleted recording could not be erased; look after it at Twilio", "recording_id", r.ID, "twilio_sid", r.TwilioSID, "error", failure)
		}
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := db.Exec(ctx, tx, `UPDATE recording SET erase_due_at = $3 WHERE organization_id = $1 AND id = $2`, r.OrganizationID, r.ID, due)
		return err
	})
}
