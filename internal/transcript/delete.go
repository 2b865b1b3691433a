package transcript

import (
	"context"
	"strings"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/tenant"
)

const (
	maxDelete = 100
	maxReason = 500
)

// Deletion is who deletes and why.
type Deletion struct {
	ActorID id.ID // a user or API key; zero for a rule
	Why     string
}

// Purge turns transcripts of the context's tenant into tombstones, in the caller's
// transaction: text, notes and history are erased, the provider's copy is deleted by
// a job. What a legal hold keeps and what is gone already is left out (R230).
func (s *Service) Purge(ctx context.Context, tx *db.Tx, ids []id.ID, by Deletion) (gone []id.ID, err error) {
	defer errs.Wrap(&err, "transcript.Purge")
	if len(ids) == 0 {
		return nil, nil
	}
	if err := tenant.BeforeDeleting(ctx, tx); err != nil {
		return nil, err
	}
	org := db.TenantFrom(ctx)
	var user id.ID
	if by.ActorID.Kind() == id.User {
		user = by.ActorID
	}
	var rows []*Transcript
	if err := db.Select(ctx, tx, &rows, `UPDATE transcript SET status = 'DELETED', deleted_at = $3, deleted_by = $4, deleted_reason = $5, subject = NULL, categories = '{}', words = NULL,
			segment_count = 0, is_corrected = false, confidence = NULL, failure_code = NULL, failure_reason = NULL, attempts = 0, leased_until = NULL,
			due_at = CASE WHEN provider = 'TWILIO' AND provider_state IS NOT NULL THEN $3::timestamptz END,
			provider_state = CASE WHEN provider = 'TWILIO' THEN provider_state END, version = version + 1, updated_at = $3
		WHERE organization_id = $1 AND id = ANY ($2::uuid[]) AND status <> 'DELETED'
			AND NOT `+Held+`
		RETURNING `+columns, org, ids, tx.Now, user, by.Why); err != nil || len(rows) == 0 {
		return nil, err
	}
	var (
		jobs  []job.Args
		facts []event.Event
	)
	for _, t := range rows {
		gone = append(gone, t.ID)
		facts = append(facts, told(EventUpdated, t, by.ActorID))
		if t.DueAt != nil {
			jobs = append(jobs, workArgs{Organization: org, Transcript: t.ID})
		}
	}
	for _, table := range []string{"transcript_segment", "transcript_note", "transcript_correction", "transcript_category"} {
		if _, err := db.Exec(ctx, tx, `DELETE FROM `+table+` WHERE organization_id = $1 AND transcript_id = ANY ($2::uuid[])`, org, gone); err != nil {
			return nil, err
		}
	}
	if err := job.InsertMany(ctx, tx, jobs...); err != nil {
		return nil, err
	}
	return gone, event.Append(ctx, tx, facts...)
}

// Delete deletes transcripts that the actor sees, and gives those that are gone now.
// What a legal hold keeps stays: kept. Codes: errs.Forbidden, errs.Invalid,
// errs.Required, errs.NotFound for one that is not there.
func (s *Service) Delete(ctx context.Context, who access.Actor, ids []id.ID, reason string) (gone, kept []*Transcript, err error) {
	defer errs.Wrap(&err, "transcript.Delete")
	if err := who.Require(access.TranscriptDelete); err != nil {
		return nil, nil, err
	}
	reason = strings.TrimSpace(reason)
	switch {
	case reason == "":
		return nil, nil, errs.New(errs.Required, "say why; the audit log keeps it").At("reason")
	case utf8.RuneCountInString(reason) > maxReason || !utf8.ValidString(reason) || strings.ContainsRune(reason, 0):
		return nil, nil, errs.New(errs.Invalid, "the reason has %d characters at most", maxReason).At("reason")
	case len(ids) == 0:
		return nil, nil, errs.New(errs.Required, "name the transcripts").At("ids")
	case len(ids) > maxDelete:
		return nil, nil, errs.New(errs.LimitReached, "delete %d transcripts at a time", maxDelete).At("ids")
	}
	viewer := who
	if !viewer.Can(access.TranscriptView) {
		return nil, nil, who.Require(access.TranscriptView)
	}
	seen, err := s.Visible(ctx, viewer, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, x := range ids {
		if seen[x] == nil {
			return nil, nil, errs.New(errs.NotFound, "there is no transcript %s", x).At("ids")
		}
	}
	var done []id.ID
	ctx = db.WithTenant(ctx, who.OrganizationID)
	if err := s.DB.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		if done, err = s.Purge(ctx, tx, ids, Deletion{ActorID: actorOf(who), Why: reason}); err != nil {
			return err
		}
		for _, x := range done {
			if err := audit.Write(ctx, tx, audit.Entry{ActorID: actorOf(who), Action: "transcript.delete", Subject: x, Detail: map[string]any{"reason": reason, "call": seen[x].CallID}}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, nil, err
	}
	after, err := s.Visible(ctx, viewer, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, x := range ids {
		switch t := after[x]; {
		case t == nil:
		case t.Status == Deleted:
			gone = append(gone, t)
		default:
			kept = append(kept, t)
		}
	}
	return gone, kept, nil
}
