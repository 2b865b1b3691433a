package recording

import (
	"context"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/tenant"
	"switchboard/internal/twilio"
)

const (
	// compareEvery is how long after one comparison of an account's recordings the next begins.
	compareEvery = 12 * time.Hour
	// compareStep is how soon the next day of a comparison follows.
	compareStep = 10 * time.Second
	// compareDay is how much is compared at once, and settle how old it has to be.
	compareDay, settle = 24 * time.Hour, 10 * time.Minute
	// skew is how far Twilio's day may differ from what it told us of the beginning.
	skew = time.Hour
	// maxOurs and maxAsked bound one step: what is read of ours, and asked about one by one.
	maxOurs, maxAsked = 20_000, 200
)

// atTwilio is the reason of a deletion that was found at Twilio.
const atTwilio = "deleted at Twilio"

// Compare is the job that compares a day of an account's recordings with ours (R282).
type Compare struct {
	Organization id.ID `json:"organization"`
	Connection   id.ID `json:"connection"`
}

// Kind names the job.
func (Compare) Kind() string { return "recording.compare" }

// Tenant is the organization that the job works in.
func (c Compare) Tenant() id.ID { return c.Organization }

// Timeout bounds one attempt.
func (Compare) Timeout() time.Duration { return lease - time.Minute }

// InsertOpts puts the job where it delays nothing; the sweep tries again.
func (Compare) InsertOpts() job.Options { return job.Options{Queue: job.Media, MaxAttempts: 1} }

// compareDue starts the comparisons that are due.
func (s *Service) compareDue(ctx context.Context, now time.Time) error {
	return s.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := db.Exec(ctx, tx, `INSERT INTO recording_comparison (organization_id, connection_id, due_at)
			SELECT c.organization_id, c.id, $1 FROM twilio_connection c
			WHERE NOT EXISTS (SELECT FROM recording_comparison x WHERE x.organization_id = c.organization_id AND x.connection_id = c.id)
			ON CONFLICT DO NOTHING`, now.Add(compareEvery)); err != nil {
			return err
		}
		var due []struct {
			OrganizationID id.ID `bun:"organization_id,type:uuid"`
			ConnectionID   id.ID `bun:"connection_id,type:uuid"`
		}
		if err := db.Select(ctx, tx, &due, `UPDATE recording_comparison SET due_at = $2
			WHERE (organization_id, connection_id) IN (SELECT organization_id, connection_id FROM recording_comparison WHERE due_at <= $1 ORDER BY due_at LIMIT 20 FOR UPDATE SKIP LOCKED)
			RETURNING organization_id, connection_id`, now, now.Add(lease)); err != nil {
			return err
		}
		jobs := make([]job.Args, len(due))
		for i, d := range due {
			jobs[i] = Compare{Organization: d.OrganizationID, Connection: d.ConnectionID}
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

// compare compares the next day. A recording that the list lacks is asked about by
// itself before anything is believed.
func (s *Service) compare(ctx context.Context, c Compare) (err error) {
	defer errs.Wrap(&err, "recording.compare(%s)", c.Connection)
	now := s.Clock.Now()
	next, due, failure := s.compareFrom(ctx, c, now)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if failure != nil {
		s.Logger.WarnContext(ctx, "recordings were not compared with Twilio's", "connection_id", c.Connection, "error", failure)
		return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := db.Exec(ctx, tx, `UPDATE recording_comparison SET due_at = $3::timestamptz + least(failures + 1, 12) * interval '1 hour', failures = failures + 1
				WHERE organization_id = $1 AND connection_id = $2`, c.Organization, c.Connection, now)
			return err
		})
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := db.Exec(ctx, tx, `UPDATE recording_comparison SET from_at = $3, due_at = $4, failures = 0 WHERE organization_id = $1 AND connection_id = $2`,
			c.Organization, c.Connection, next, due)
		return err
	})
}

// compareFrom makes one step, and says where and when the next one is due.
func (s *Service) compareFrom(ctx context.Context, c Compare, now time.Time) (next *time.Time, due time.Time, err error) {
	ours, err := s.ours(ctx, c, now)
	if err != nil {
		return nil, due, err
	}
	if len(ours) == 0 { // the end
		return nil, now.Add(compareEvery), nil
	}
	client, err := s.Client(ctx, c.Connection)
	if err != nil {
		return nil, due, err
	}
	first, last := ours[0].StartedAt, ours[len(ours)-1].StartedAt
	there, _, err := client.RecordingsBetween(ctx, first.Add(-skew), last.Add(skew))
	if err != nil {
		return nil, due, err
	}
	var gone []id.ID
	asked := 0
	next = new(last.Add(time.Microsecond))
	for _, r := range ours {
		if there[r.TwilioSID] {
			continue
		}
		if asked++; asked > maxAsked {
			next = new(r.StartedAt)
			break
		}
		x, err := client.FetchRecording(ctx, r.TwilioSID)
		switch {
		case twilio.NotFound(err):
			gone = append(gone, r.ID)
		case err != nil:
			return nil, due, err
		case x.Status == "deleted":
			gone = append(gone, r.ID)
		}
	}
	return next, now.Add(compareStep), s.Gone(ctx, c.Organization, gone)
}

// ours are the recordings of the next day that has any, oldest first.
func (s *Service) ours(ctx context.Context, c Compare, now time.Time) ([]*Recording, error) {
	var rows []*Recording
	const live = ` FROM recording JOIN call ON call.organization_id = recording.organization_id AND call.id = recording.call_id AND call.connection_id = $2
		WHERE recording.organization_id = $1 AND recording.status = 'COMPLETED' AND recording.gone_at_twilio_at IS NULL
			AND recording.started_at >= coalesce((SELECT from_at FROM recording_comparison WHERE organization_id = $1 AND connection_id = $2), '-infinity') AND recording.started_at < $3`
	err := db.Select(db.WithTenant(ctx, c.Organization), s.DB.App(), &rows, `SELECT `+stored+live+`
			AND recording.started_at < (SELECT min(recording.started_at) + $4 * interval '1 second'`+live+`)
		ORDER BY recording.started_at, recording.id LIMIT $5`, c.Organization, c.Connection, now.Add(-settle), int(compareDay/time.Second), maxOurs)
	return rows, err
}

// Gone notes that recordings are no longer at Twilio, though we did not delete
// them there (R282). What the policy says becomes of our copies; a hold keeps them,
// and what was never stored leaves only its tombstone.
func (s *Service) Gone(ctx context.Context, organization id.ID, ids []id.ID) (err error) {
	defer errs.Wrap(&err, "recording.Gone")
	if len(ids) == 0 {
		return nil
	}
	policy, err := s.policy(ctx, organization)
	if err != nil {
		return err
	}
	return s.DB.InTx(db.WithTenant(ctx, organization), func(ctx context.Context, tx *db.Tx) error {
		if err := tenant.BeforeDeleting(ctx, tx); err != nil {
			return err
		}
		var rows []*Recording
		if err := db.Select(ctx, tx, &rows, `WITH those AS MATERIALIZED (SELECT id FROM recording WHERE organization_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE)
			UPDATE recording SET gone_at_twilio_at = $3, updated_at = $3, due_at = NULL,
				media_state = CASE WHEN media_state IN ('PENDING', 'FAILED') THEN 'GONE' ELSE media_state END
			FROM those WHERE recording.organization_id = $1 AND recording.id = those.id AND gone_at_twilio_at IS NULL AND status <> 'DELETED'
			RETURNING `+stored, organization, ids, tx.Now); err != nil || len(rows) == 0 {
			return err
		}
		entries := make([]LedgerEntry, len(rows))
		var purge []id.ID
		for i, r := range rows {
			entries[i] = LedgerEntry{RecordingID: r.ID, Kind: GoneAtSource, Key: new("gone")}
			if policy.WhenDeletedAtTwilio == DeleteCopy || r.MediaState != MediaStored {
				purge = append(purge, r.ID)
			}
		}
		if err := Note(ctx, tx, entries...); err != nil {
			return err
		}
		purged, err := s.purge(ctx, tx, purge, Deletion{Why: atTwilio}, true)
		if err != nil {
			return err
		}
		told := map[id.ID]bool{}
		for _, x := range purged {
			told[x] = true
		}
		var facts []event.Event
		for _, r := range rows {
			if !told[r.ID] {
				facts = append(facts, updated(*r))
			}
		}
		return event.Append(ctx, tx, facts...)
	})
}
