package voicemail

import (
	"context"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/recording"
)

// Deletion is who deletes, and why.
type Deletion = recording.Deletion

// DeletionResult is how the deletion of one voicemail went.
type DeletionResult struct {
	ID      id.ID
	Outcome recording.DeletionOutcome
	Message *string // what is wrong and what to do
}

// Delete deletes voicemails for good with their audio, here and at Twilio, each for
// itself: the rows stay as tombstones, transcripts stay (R229). Deleting again
// succeeds. Codes: errs.Forbidden without VOICEMAIL_DELETE, and those of
// recording.CheckIDs and recording.Reason.
func (s *Service) Delete(ctx context.Context, who access.Actor, ids []id.ID, reason string) (_ []*DeletionResult, err error) {
	defer errs.Wrap(&err, "voicemail.Delete")
	if err := who.Require(access.VoicemailDelete); err != nil {
		return nil, err
	}
	if err := recording.CheckIDs(ids, id.Voicemail); err != nil {
		return nil, err
	}
	if reason, err = recording.Reason(reason); err != nil {
		return nil, err
	}
	before, err := s.Visible(ctx, who, ids)
	if err != nil {
		return nil, err
	}
	var mine []id.ID
	for _, v := range before {
		mine = append(mine, v.ID)
	}
	gone := map[id.ID]bool{}
	err = s.d.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		list, err := s.Purge(ctx, tx, mine, Deletion{ActorID: who.ID(), Why: reason})
		for _, x := range list {
			gone[x] = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.results(ctx, who, ids, before, gone)
}

// results say of each id how its deletion went.
func (s *Service) results(ctx context.Context, who access.Actor, ids []id.ID, before map[id.ID]*Voicemail, gone map[id.ID]bool) ([]*DeletionResult, error) {
	var left []id.ID
	for _, v := range before {
		if !gone[v.ID] {
			left = append(left, v.RecordingID)
		}
	}
	holds, err := s.recordings.HoldsOn(ctx, who, left)
	if err != nil {
		return nil, err
	}
	recs, err := s.recordings.ByIDs(db.WithTenant(ctx, who.OrganizationID), left)
	if err != nil {
		return nil, err
	}
	out := make([]*DeletionResult, len(ids))
	for i, x := range ids {
		d := &DeletionResult{ID: x}
		switch v := before[x]; {
		case gone[x]:
			d.Outcome = recording.OutcomeDeleted
		case v == nil || recs[v.RecordingID] == nil:
			d.Outcome, d.Message = recording.OutcomeNotFound, new("there is no such voicemail")
		case v.DeletedAt != nil:
			d.Outcome = recording.OutcomeWasDeleted
		default:
			d.Outcome, d.Message = recording.Kept(recs[v.RecordingID], holds[v.RecordingID])
		}
		out[i] = d
	}
	return out, nil
}

// Purge makes tombstones of those voicemails of the context's tenant that are not
// held and not gone already, with their audio (recording.Purge). It asks nobody's
// permission.
func (s *Service) Purge(ctx context.Context, tx *db.Tx, ids []id.ID, by Deletion) (gone []id.ID, err error) {
	defer errs.Wrap(&err, "voicemail.Purge")
	if len(ids) == 0 {
		return nil, nil
	}
	var rows []struct {
		ID          id.ID `bun:"id,type:uuid"`
		RecordingID id.ID `bun:"recording_id,type:uuid"`
	}
	if err := db.Select(ctx, tx, &rows, `SELECT id, recording_id FROM voicemail WHERE organization_id = $1 AND id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids); err != nil {
		return nil, err
	}
	of := make(map[id.ID]id.ID, len(rows))
	recs := make([]id.ID, len(rows))
	for i, r := range rows {
		of[r.RecordingID], recs[i] = r.ID, r.RecordingID
	}
	list, err := s.recordings.Purge(ctx, tx, recs, by)
	for _, x := range list {
		gone = append(gone, of[x])
	}
	return gone, err
}

// purged tells of the voicemails whose recordings became tombstones.
func (s *Service) purged(ctx context.Context, tx *db.Tx, recordings []id.ID, actor id.ID) error {
	var rows []*Voicemail
	if err := db.Select(ctx, tx, &rows, `UPDATE voicemail SET version = version + 1, updated_at = $3 WHERE organization_id = $1 AND recording_id = ANY ($2::uuid[])
		RETURNING voicemail.id, voicemail.call_id, voicemail.branch_id`, db.TenantFrom(ctx), recordings, tx.Now); err != nil {
		return err
	}
	facts := make([]event.Event, len(rows))
	for i, v := range rows {
		facts[i] = told(EventUpdated, v.ID, v.CallID, v.BranchID, actor)
		if actor.IsZero() {
			continue
		}
		if err := audit.Write(ctx, tx, audit.Entry{ActorID: actor, Action: "voicemail.delete", Subject: v.ID, Detail: map[string]any{"call": v.CallID}}); err != nil {
			return err
		}
	}
	return event.Append(ctx, tx, facts...)
}
