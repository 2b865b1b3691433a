package transcript

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/recording"
	"switchboard/internal/tenant"
)

// heard is a recording with what its transcript takes from its call (R278).
type heard struct {
	RecordingID     id.ID     `bun:"recording_id,type:uuid"`
	Purpose         Source    `bun:"purpose"`
	Status          string    `bun:"status"`
	MediaState      string    `bun:"media_state"`
	TwilioSID       string    `bun:"twilio_sid"`
	Channels        int       `bun:"channels"`
	OffsetSeconds   int       `bun:"offset_seconds"`
	DurationSeconds *int      `bun:"duration_seconds"`
	StartedAt       time.Time `bun:"started_at"`
	BlobKey         *string   `bun:"blob_key"`
	ContentType     *string   `bun:"content_type"`
	SizeBytes       *int64    `bun:"size_bytes"`
	CallID          id.ID     `bun:"call_id,type:uuid"`
	FirstSide       string    `bun:"first_side"`
	ConnectionID    id.ID     `bun:"connection_id,type:uuid"`
	PhoneNumberID   id.ID     `bun:"phone_number_id,type:uuid,nullzero"`
	BranchID        id.ID     `bun:"branch_id,type:uuid,nullzero"`
	ContactID       id.ID     `bun:"contact_id,type:uuid,nullzero"`
	RecordID        id.ID     `bun:"record_id,type:uuid,nullzero"`
	UserID          id.ID     `bun:"user_id,type:uuid,nullzero"`
	VoicemailID     id.ID     `bun:"voicemail_id,type:uuid,nullzero"`
	NumberMode      *Mode     `bun:"transcription"`
	IsSwapped       bool      `bun:"is_swapped"`
}

// hearing reads a recording of the context's tenant with its call; nil when it is gone.
func hearing(ctx context.Context, q bun.IDB, recording id.ID) (*heard, error) {
	h := &heard{}
	err := db.Select(ctx, q, h, `SELECT r.id AS recording_id, r.purpose, r.status, r.media_state, r.twilio_sid, r.channels, r.offset_seconds, r.duration_seconds,
			r.started_at, r.blob_key, r.content_type, r.size_bytes, r.first_side, c.id AS call_id, c.connection_id, c.phone_number_id, c.branch_id,
			CASE WHEN v.id IS NULL THEN c.contact_id ELSE v.contact_id END AS contact_id, c.record_id,
			CASE WHEN r.purpose = 'CALL' THEN coalesce(c.answered_by_user_id, c.user_id) END AS user_id, v.id AS voicemail_id, n.transcription,
			coalesce(p.are_channels_swapped, false) AS is_swapped
		FROM recording r JOIN call c ON c.organization_id = r.organization_id AND c.id = r.call_id
		LEFT JOIN voicemail v ON v.organization_id = r.organization_id AND v.recording_id = r.id
		LEFT JOIN phone_number n ON n.organization_id = c.organization_id AND n.id = c.phone_number_id
		LEFT JOIN recording_policy p ON p.organization_id = r.organization_id
		WHERE r.organization_id = $1 AND r.id = $2`, db.TenantFrom(ctx), recording)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return h, err
}

// speakers are who is on each channel; the recording says whose voice the first has.
func (h *heard) speakers() []string {
	if h.Purpose == OfVoicemail {
		return []string{callerSpeaker}
	}
	if h.Channels < 2 {
		return []string{""}
	}
	if (h.FirstSide == string(recording.User)) != h.IsSwapped {
		return []string{userSpeaker, callerSpeaker}
	}
	return []string{callerSpeaker, userSpeaker}
}

// hear has the text made of a recording that is stored now, where the settings say
// so (R199).
func (s *Service) hear(ctx context.Context, tx *db.Tx, e event.Event) (err error) {
	defer errs.Wrap(&err, "transcript.hear(%s)", e.Subject)
	if !stored(e) {
		return nil
	}
	o, err := tenant.Read(ctx, tx)
	if err != nil {
		return err
	}
	if !o.HasFeature(tenant.Transcription) {
		return nil
	}
	h, err := hearing(ctx, tx, e.Subject)
	if err != nil || h == nil || h.MediaState != "STORED" {
		return err
	}
	settings, err := readSettings(ctx, tx, "")
	if err != nil {
		return err
	}
	mode := settings.Mode
	if h.NumberMode != nil {
		mode = *h.NumberMode
	}
	if !mode.Takes(h.Purpose) {
		return nil
	}
	t := h.transcript(o.ID, s.provider(settings), settings.Language)
	t.IsAutomatic = true
	_, err = s.queue(ctx, tx, t)
	return err
}

// transcript is a new one of the recording.
func (h *heard) transcript(org id.ID, p ProviderName, language string) *Transcript {
	return &Transcript{OrganizationID: org, ID: id.New(id.Transcript), CallID: h.CallID, RecordingID: h.RecordingID, VoicemailID: h.VoicemailID, Source: h.Purpose,
		ContactID: h.ContactID, RecordID: h.RecordID, UserID: h.UserID, BranchID: h.BranchID, PhoneNumberID: h.PhoneNumberID, ConnectionID: h.ConnectionID,
		Status: Queued, Provider: p, Language: language, DurationSeconds: h.DurationSeconds, RecordedAt: h.StartedAt}
}

// queue keeps a new transcript and has it made; false when there is one already.
func (s *Service) queue(ctx context.Context, tx *db.Tx, t *Transcript) (bool, error) {
	n, err := db.Exec(ctx, tx, `INSERT INTO transcript (organization_id, id, call_id, recording_id, voicemail_id, source, contact_id, record_id, user_id, branch_id,
			phone_number_id, connection_id, status, provider, language, is_automatic, created_by, duration_seconds, recorded_at, due_at, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'QUEUED', $13, $14, $15, $16, $17, $18, $19, $19, $19)
		ON CONFLICT DO NOTHING`,
		t.OrganizationID, t.ID, t.CallID, t.RecordingID, t.VoicemailID, t.Source, t.ContactID, t.RecordID, t.UserID, t.BranchID,
		t.PhoneNumberID, t.ConnectionID, t.Provider, t.Language, t.IsAutomatic, t.CreatedBy, t.DurationSeconds, t.RecordedAt, tx.Now)
	if err != nil || n == 0 {
		return false, err
	}
	return true, job.Insert(ctx, tx, workArgs{Organization: t.OrganizationID, Transcript: t.ID})
}
