package recording

import (
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/blob"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/twilio"
)

// EventUpdated says that a recording began, ended or was stored.
const EventUpdated event.Kind = "RECORDING_UPDATED"

// Deps are what a Service needs.
type Deps struct {
	DB     *db.DB
	Clock  clock.Clock
	Blobs  *blob.Store
	Logger *slog.Logger
	// Client is the Twilio client of a connection of the context's tenant.
	Client func(ctx context.Context, connection id.ID) (*twilio.Client, error)
}

// Service is recordings as the other packages use them. It is a projection of
// package call: register it there, before package voicemail's.
type Service struct {
	Deps
	purged func(ctx context.Context, tx *db.Tx, recordings []id.ID, actor id.ID) error
}

var _ call.Projection = (*Service)(nil)

// New makes a Service.
func New(d Deps) *Service {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Clock == nil {
		d.Clock = clock.Real{}
	}
	return &Service{Deps: d}
}

var statusOf = map[string]RecordingStatus{"in-progress": InProgress, "paused": Paused, "completed": Completed, "absent": Absent, "failed": Failed}

// Apply keeps the rows of a call's recordings, and has the audio fetched once a
// recording is complete.
func (s *Service) Apply(ctx context.Context, tx *db.Tx, st call.State) (err error) {
	defer errs.Wrap(&err, "recording.Apply")
	if len(st.Recordings) == 0 {
		return nil
	}
	var rows []*Recording
	// Locked: what is written below is all that stands here, and our copy may become
	// stored at this moment.
	if err := db.Select(ctx, tx, &rows, `SELECT `+stored+` FROM recording
		WHERE recording.organization_id = $1 AND recording.call_id = $2 ORDER BY recording.id FOR NO KEY UPDATE`, st.Call.OrganizationID, st.Call.ID); err != nil {
		return err
	}
	known := map[string]*Recording{}
	for _, r := range rows {
		known[r.TwilioSID] = r
	}
	var (
		b     = &pgx.Batch{}
		jobs  []job.Args
		facts []event.Event
	)
	for _, x := range st.Recordings {
		old := known[x.SID]
		if old != nil && old.Status == Deleted {
			continue // whatever Twilio still tells of it
		}
		r := fold(st, x, old, tx.Now)
		entries, pauses := life(st, x, r)
		r.NotedPauses = pauses
		if old != nil && reflect.DeepEqual(*old, r) {
			continue
		}
		r.UpdatedAt = tx.Now
		b.Queue(upsert, r.OrganizationID, r.ID, r.CallID, r.TwilioSID, string(r.Purpose), string(r.Status), r.Channels, r.OffsetSeconds, r.DurationSeconds,
			r.StartedAt, string(r.MediaState), r.DueAt, r.UpdatedAt, r.NotedPauses, string(r.FirstSide))
		for _, e := range entries {
			queue(b, r.OrganizationID, tx.Now, e)
		}
		if r.Status == Completed && (old == nil || old.Status != Completed) {
			jobs = append(jobs, Fetch{Organization: r.OrganizationID, Recording: r.ID})
		}
		facts = append(facts, updated(r))
	}
	if b.Len() == 0 {
		return nil
	}
	if err := tx.Pgx().SendBatch(ctx, b).Close(); err != nil {
		return db.Translate(err)
	}
	if err := job.InsertMany(ctx, tx, jobs...); err != nil {
		return err
	}
	return event.Append(ctx, tx, facts...)
}

const upsert = `
	INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, channels, offset_seconds, duration_seconds, started_at, media_state, due_at, updated_at, noted_pauses, first_side)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
	ON CONFLICT ON CONSTRAINT recording_sid_unique DO UPDATE SET purpose = excluded.purpose, status = excluded.status, channels = excluded.channels,
		offset_seconds = excluded.offset_seconds, duration_seconds = excluded.duration_seconds, started_at = excluded.started_at,
		media_state = excluded.media_state, due_at = excluded.due_at, updated_at = excluded.updated_at, noted_pauses = excluded.noted_pauses,
		first_side = excluded.first_side
	WHERE recording.status <> 'DELETED'`

// fold is the row as it should be, with what only we know left as it is.
func fold(st call.State, x call.Recorded, old *Recording, now time.Time) Recording {
	r := Recording{OrganizationID: st.Call.OrganizationID, ID: id.New(id.Recording), CallID: st.Call.ID, TwilioSID: x.SID, MediaState: MediaPending}
	if old != nil {
		r = *old
	}
	r.Purpose, r.Status, r.Channels = OfCall, statusOf[x.Status], x.Channels
	if x.ForVoicemail {
		r.Purpose = OfVoicemail
	}
	if r.Status == "" {
		r.Status = InProgress
	}
	r.FirstSide = firstSide(st, x)
	r.OffsetSeconds, r.DurationSeconds, r.StartedAt = x.OffsetSeconds, x.DurationSeconds, x.StartedAt
	if old != nil && old.StartedAt.Equal(r.StartedAt) {
		r.StartedAt = old.StartedAt
	}
	switch {
	case r.Status == Absent || r.Status == Failed:
		r.MediaState, r.DueAt = MediaNone, nil
	case r.Status == Completed && r.MediaState == MediaPending && r.DueAt == nil:
		due := now.Add(firstLook)
		r.DueAt = &due
	}
	return r
}

func updated(r Recording) event.Event {
	data, err := json.Marshal(map[string]any{"callId": r.CallID, "purpose": r.Purpose, "status": r.Status, "mediaState": r.MediaState})
	if err != nil {
		panic("recording: " + err.Error()) // strings and ids only
	}
	return event.Event{OrganizationID: r.OrganizationID, Kind: EventUpdated, Subject: r.ID, Data: data}
}
