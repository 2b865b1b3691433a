package recording

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

const columns = `recording.organization_id, recording.id, recording.call_id, recording.twilio_sid, recording.purpose, recording.status, recording.channels,
	recording.offset_seconds, recording.duration_seconds, recording.started_at, recording.media_state, recording.media_error, recording.blob_key,
	recording.content_type, recording.size_bytes, recording.attempts, recording.due_at, recording.created_at, recording.updated_at`

// May reports whether the actor's role allows hearing recordings of the purpose.
func May(who access.Actor, p Purpose) bool {
	if p == OfVoicemail {
		return who.Can(access.VoicemailListen)
	}
	return who.Can(access.RecordingListen)
}

// purposes are those that the actor may hear.
func purposes(who access.Actor) []string {
	out := []string{}
	for _, p := range []Purpose{OfCall, OfVoicemail} {
		if May(who, p) {
			out = append(out, string(p))
		}
	}
	return out
}

func absent() error { return errs.New(errs.NotFound, "there is no such recording") }

// Get is one recording that the actor may hear: their role allows it and they see
// its call or, of a voicemail, follow it up. Everything else is errs.NotFound.
func (s *Service) Get(ctx context.Context, who access.Actor, recording id.ID) (_ *Recording, err error) {
	defer errs.Wrap(&err, "recording.Get")
	if !who.Known() {
		return nil, who.Require(access.RecordingListen)
	}
	query := `SELECT ` + columns + ` FROM recording
		JOIN call ON call.organization_id = recording.organization_id AND call.id = recording.call_id
		WHERE recording.organization_id = $1 AND recording.id = $2 AND recording.purpose = ANY ($3::text[])`
	args := []any{who.OrganizationID, recording, purposes(who)}
	if !who.SeesAll() {
		args = append(args, who.UserID)
		query += ` AND (call.user_id = $4 OR call.answered_by_user_id = $4
			OR EXISTS (SELECT FROM call_leg own WHERE own.organization_id = $1 AND own.call_id = call.id AND own.user_id = $4)
			OR EXISTS (SELECT FROM voicemail v WHERE v.organization_id = $1 AND v.recording_id = recording.id AND (v.owner_user_id = $4
				OR EXISTS (SELECT FROM phone_number_voicemail_user n WHERE n.organization_id = $1 AND n.phone_number_id = v.phone_number_id AND n.user_id = $4)))`
		if b := who.SeesBranches(); len(b) > 0 {
			args = append(args, b)
			query += ` OR call.branch_id = ANY ($` + strconv.Itoa(len(args)) + `::uuid[])`
		}
		query += `)`
	}
	r := &Recording{}
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.DB.App(), r, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, absent()
	}
	return r, err
}

// ByIDs are recordings of the context's tenant by id, in one statement. It asks
// nobody's permission: it follows references from what the actor sees already.
func (s *Service) ByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Recording, error) {
	var rows []*Recording
	err := db.Select(ctx, s.DB.App(), &rows, `SELECT `+columns+` FROM recording
		WHERE recording.organization_id = $1 AND recording.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	out := make(map[id.ID]*Recording, len(rows))
	for _, r := range rows {
		out[r.ID] = r
	}
	return out, err
}

// ByCalls are the recordings of calls that the actor sees already, in order, in
// one statement (R123); none for who may not listen. Voicemails are not among them.
func (s *Service) ByCalls(ctx context.Context, who access.Actor, calls []id.ID) (map[id.ID][]*Recording, error) {
	out := make(map[id.ID][]*Recording, len(calls))
	if !May(who, OfCall) {
		return out, nil
	}
	var rows []*Recording
	err := db.Select(ctx, s.DB.App(), &rows, `SELECT `+columns+` FROM recording
		WHERE recording.organization_id = $1 AND recording.call_id = ANY ($2::uuid[]) AND recording.purpose = 'CALL'
		ORDER BY recording.call_id, recording.started_at, recording.id`, db.TenantFrom(ctx), calls)
	for _, r := range rows {
		out[r.CallID] = append(out[r.CallID], r)
	}
	return out, err
}
