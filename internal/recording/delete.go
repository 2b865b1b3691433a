package recording

import (
	"context"
	"encoding/json"
	"strings"
	"time"
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

// DeletionOutcome is how the deletion of one thing went.
type DeletionOutcome string

// The outcomes.
const (
	OutcomeDeleted    DeletionOutcome = "DELETED"
	OutcomeWasDeleted DeletionOutcome = "WAS_DELETED"
	OutcomeHeld       DeletionOutcome = "HELD"
	OutcomeInProgress DeletionOutcome = "IN_PROGRESS"
	OutcomeNotFound   DeletionOutcome = "NOT_FOUND"
)

// DeletionResult is how the deletion of one recording went.
type DeletionResult struct {
	ID      id.ID
	Outcome DeletionOutcome
	Message *string // what is wrong and what to do
}

// Deletion is who deletes, and why.
type Deletion struct {
	ActorID id.ID  // a user or API key; zero for a rule
	Why     string // a person's reason, or the rule
}

// MaxDelete is how many things one command deletes.
const MaxDelete = 100

// MaxReason is the longest reason, in characters.
const MaxReason = 500

// Reason reads a person's reason for a deletion. Code: errs.Invalid.
func Reason(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }):
		return "", errs.New(errs.Invalid, "the reason holds characters that cannot be shown").At("reason")
	case utf8.RuneCountInString(s) > MaxReason:
		return "", errs.New(errs.Invalid, "the reason has more than %d characters", MaxReason).At("reason")
	}
	return s, nil
}

// CheckIDs reads the ids of what one command is to delete. Codes: errs.Required,
// errs.LimitReached, errs.Invalid.
func CheckIDs(ids []id.ID, kind id.Kind) error {
	switch {
	case len(ids) == 0:
		return errs.New(errs.Required, "name at least one").At("ids")
	case len(ids) > MaxDelete:
		return errs.New(errs.LimitReached, "there are %d ids; %d are allowed at once", len(ids), MaxDelete).At("ids")
	}
	for _, x := range ids {
		if err := x.Want(kind); err != nil {
			return errs.New(errs.Invalid, "%s", err).At("ids")
		}
	}
	return nil
}

// Delete deletes recordings for good, here and at Twilio (R225-R228), each for
// itself: the rows stay as tombstones, transcripts stay (R229). Deleting again
// succeeds. Codes: errs.Forbidden without RECORDING_DELETE; errs.Required,
// errs.LimitReached and errs.Invalid for the list and the reason.
func (s *Service) Delete(ctx context.Context, who access.Actor, ids []id.ID, reason string) (_ []*DeletionResult, err error) {
	defer errs.Wrap(&err, "recording.Delete")
	if err := who.Require(access.RecordingDelete); err != nil {
		return nil, err
	}
	if err := CheckIDs(ids, id.Recording); err != nil {
		return nil, err
	}
	if reason, err = Reason(reason); err != nil {
		return nil, err
	}
	before, err := s.Visible(ctx, who, ids)
	if err != nil {
		return nil, err
	}
	var mine []id.ID
	for _, x := range ids {
		if r := before[x]; r != nil && r.Purpose == OfCall {
			mine = append(mine, x)
		}
	}
	gone := map[id.ID]bool{}
	if len(mine) > 0 {
		if err := s.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
			list, err := s.Purge(ctx, tx, mine, Deletion{ActorID: who.ID(), Why: reason})
			for _, x := range list {
				gone[x] = true
			}
			return err
		}); err != nil {
			return nil, err
		}
	}
	return s.results(ctx, who, ids, before, gone)
}

// results say of each id how its deletion went.
func (s *Service) results(ctx context.Context, who access.Actor, ids []id.ID, before map[id.ID]*Recording, gone map[id.ID]bool) ([]*DeletionResult, error) {
	var left []id.ID
	for _, x := range ids {
		if !gone[x] && before[x] != nil {
			left = append(left, x)
		}
	}
	holds, err := s.HoldsOn(ctx, who, left)
	if err != nil {
		return nil, err
	}
	out := make([]*DeletionResult, len(ids))
	for i, x := range ids {
		out[i] = result(x, before[x], gone[x], holds[x])
	}
	return out, nil
}

func result(x id.ID, r *Recording, gone bool, hold string) *DeletionResult {
	d := &DeletionResult{ID: x}
	switch {
	case gone:
		d.Outcome = OutcomeDeleted
	case r == nil:
		d.Outcome, d.Message = OutcomeNotFound, new("there is no such recording")
	case r.Purpose != OfCall:
		d.Outcome, d.Message = OutcomeNotFound, new("this is the audio of a voicemail; delete the voicemail")
	case r.Status == Deleted:
		d.Outcome = OutcomeWasDeleted
	default:
		d.Outcome, d.Message = Kept(r, hold)
	}
	return d
}

// Kept says why a recording was not deleted.
func Kept(r *Recording, hold string) (DeletionOutcome, *string) {
	switch {
	case hold != "":
		return OutcomeHeld, new("a legal hold keeps it: " + hold)
	case r.Status == InProgress || r.Status == Paused:
		return OutcomeInProgress, new("it is still being recorded; end the call first")
	}
	return OutcomeWasDeleted, nil // by somebody else, just now
}

// HoldsOn are the reasons of the legal holds that keep recordings, of each the
// oldest; in one statement.
func (s *Service) HoldsOn(ctx context.Context, who access.Actor, recordings []id.ID) (map[id.ID]string, error) {
	out := map[id.ID]string{}
	if len(recordings) == 0 {
		return out, nil
	}
	var rows []struct {
		ID     id.ID  `bun:"id,type:uuid"`
		Reason string `bun:"reason"`
	}
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.DB.App(), &rows, `SELECT recording.id, h.reason`+From+`
		JOIN LATERAL (SELECT hold.reason FROM legal_hold hold WHERE hold.organization_id = recording.organization_id AND hold.released_at IS NULL
			AND hold.subject IN (`+Subjects+`) ORDER BY hold.placed_at, hold.id LIMIT 1) h ON true
		WHERE recording.organization_id = $1 AND recording.id = ANY ($2::uuid[])`, who.OrganizationID, recordings)
	for _, r := range rows {
		out[r.ID] = r.Reason
	}
	return out, err
}

// OnPurge sets what else is to be done, in the same transaction, when recordings
// become tombstones. Package voicemail tells of its own.
func (s *Service) OnPurge(f func(ctx context.Context, tx *db.Tx, recordings []id.ID, actor id.ID) error) {
	s.purged = f
}

// Purge makes tombstones of those recordings of the context's tenant that are not
// held, not gone already and not being made, and has their audio erased here and
// at Twilio by a job. It asks nobody's permission. Whatever deletes recordings
// comes here: people one by one, rules in batches.
func (s *Service) Purge(ctx context.Context, tx *db.Tx, ids []id.ID, by Deletion) (gone []id.ID, err error) {
	defer errs.Wrap(&err, "recording.Purge")
	return s.purge(ctx, tx, ids, by, false)
}

// purge is Purge; of what is gone at Twilio already, nothing is to be erased there.
func (s *Service) purge(ctx context.Context, tx *db.Tx, ids []id.ID, by Deletion, atTwilio bool) (gone []id.ID, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if err := tenant.BeforeDeleting(ctx, tx); err != nil {
		return nil, err
	}
	var reason *string
	if by.Why != "" {
		reason = &by.Why
	}
	var rows []*Recording
	// The order of locks is that of the ids, for all who delete.
	if err := db.Select(ctx, tx, &rows, `WITH those AS MATERIALIZED (SELECT id FROM recording WHERE organization_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE)
		UPDATE recording SET status = 'DELETED', media_state = 'NONE', media_error = NULL, due_at = NULL, deleted_at = $3, deleted_by = $4, delete_reason = $5,
			gone_at_twilio_at = CASE WHEN $6::boolean THEN coalesce(recording.gone_at_twilio_at, $3) ELSE recording.gone_at_twilio_at END,
			erase_due_at = $7, erase_attempts = 0, updated_at = $3
		FROM those, call
		WHERE recording.organization_id = $1 AND recording.id = those.id AND call.organization_id = recording.organization_id AND call.id = recording.call_id
			AND recording.status NOT IN ('DELETED', 'IN_PROGRESS', 'PAUSED') AND NOT `+Held+`
		RETURNING `+stored, db.TenantFrom(ctx), ids, tx.Now, by.ActorID, reason, atTwilio, tx.Now.Add(firstLook)); err != nil || len(rows) == 0 {
		return nil, err
	}
	entries := make([]LedgerEntry, len(rows))
	jobs := make([]job.Args, len(rows))
	facts := make([]event.Event, len(rows))
	var mails []id.ID
	for i, r := range rows {
		gone = append(gone, r.ID)
		entries[i] = LedgerEntry{RecordingID: r.ID, Kind: DeletedHere, ActorID: by.ActorID, Reason: reason}
		jobs[i] = Erase{Organization: r.OrganizationID, Recording: r.ID}
		facts[i] = updated(*r)
		facts[i].ActorID = by.ActorID
		if r.Purpose == OfVoicemail {
			mails = append(mails, r.ID)
		}
		if by.ActorID.IsZero() {
			continue // the rule's run is what is on record
		}
		if err := audit.Write(ctx, tx, audit.Entry{ActorID: by.ActorID, Action: "recording.delete", Subject: r.ID, Detail: map[string]any{"call": r.CallID, "reason": by.Why}}); err != nil {
			return nil, err
		}
	}
	if err := Note(ctx, tx, entries...); err != nil {
		return nil, err
	}
	if err := job.InsertMany(ctx, tx, jobs...); err != nil {
		return nil, err
	}
	if err := event.Append(ctx, tx, facts...); err != nil {
		return nil, err
	}
	if s.purged != nil && len(mails) > 0 {
		if err := s.purged(ctx, tx, mails, by.ActorID); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// Tombstone is the cause of an error that says that a recording was deleted.
type Tombstone struct {
	DeletedAt time.Time
	Reason    *string
}

// Error says so.
func (t *Tombstone) Error() string { return "the recording was deleted" }

// MarshalJSON is what an answer over HTTP holds.
func (t *Tombstone) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"deletedAt": t.DeletedAt.UTC().Format(time.RFC3339), "deleteReason": t.Reason})
}

// buried is the error for a recording that was deleted: errs.NotFound because of
// its Tombstone.
func buried(r *Recording) error {
	t := &Tombstone{Reason: r.DeleteReason}
	if r.DeletedAt != nil {
		t.DeletedAt = *r.DeletedAt
	}
	return errs.New(errs.NotFound, "this recording was deleted on %s", t.DeletedAt.UTC().Format(time.DateOnly)).Because(t)
}
