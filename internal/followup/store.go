package followup

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

func init() {
	for name, e := range map[string]*errs.Error{
		"follow_up_one_open": errs.New(errs.Conflict, "this caller has another open follow-up; work on that one"),
		"follow_up_owner":    errs.New(errs.NotFound, "there is no such user; choose one of your organization").At("userId"),
	} {
		db.RegisterConstraint(name, e)
	}
}

const columns = `f.organization_id, f.id, f.key, f.kind, f.status, f.caller_number, f.masked_pair_id, f.contact_id, f.record_id, f.branch_id, f.phone_number_id,
	f.owner_user_id, f.outcome, f.due_at, f.escalated_at, f.escalated_to_user_id, f.escalated_to_role_id, f.attempt_count, f.voicemail_count, f.note_count,
	f.first_attempt_at, f.last_attempt_at, f.closed_at, f.closed_by_user_id, f.closed_by_call_id, f.is_closed_by_call, f.version, f.created_at, f.updated_at`

const masked = `, mask.user_id AS mask_user_id, coalesce(mask.fieldworker_number, '') AS mask_user_number`

const joinMask = ` LEFT JOIN masked_pair mask ON mask.organization_id = f.organization_id AND mask.id = f.masked_pair_id`

// last is when a follow-up without a due time is due, in the order of due times.
const last = `'9999-12-31 00:00:00+00'::timestamptz`

// mayView is what whoever works on follow-ups needs.
const mayView = access.FollowUpView

var errNoFollowUp = errs.New(errs.NotFound, "there is no such follow-up")

type query struct {
	sql  strings.Builder
	args []any
}

func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

func (q *query) and(condition string) { q.sql.WriteString(" AND " + condition) }

func followUps(who access.Actor, what string) *query {
	q := &query{}
	q.sql.WriteString("SELECT " + what + " FROM follow_up f" + joinMask + " WHERE f.organization_id = " + q.arg(who.OrganizationID))
	return q
}

// seenBy narrows to what the actor sees.
func (q *query) seenBy(who access.Actor) { q.and(SeenBy("f", who, q.arg)) }

// SeenBy is the SQL condition that the actor sees the follow-up of the given
// alias: all of the organization; those of their branches; those they work on,
// that were escalated to them or their role, whose calls rang them, or of whose
// voicemails they are told (R128).
func SeenBy(alias string, who access.Actor, arg func(any) string) string {
	if who.SeesAll() {
		return "true"
	}
	user, attempts := arg(who.UserID), "SELECT FROM follow_up_attempt a JOIN %s WHERE a.organization_id = "+alias+".organization_id AND a.follow_up_id = "+alias+".id AND "
	own := alias + ".owner_user_id = " + user + " OR " + alias + ".escalated_to_user_id = " + user + " OR " + alias + ".escalated_to_role_id = " + arg(who.RoleID) +
		" OR EXISTS (" + fmt.Sprintf(attempts, "call_leg own ON own.organization_id = a.organization_id AND own.call_id = a.call_id") + "own.user_id = " + user + ")" +
		" OR " + alias + ".voicemail_count > 0 AND EXISTS (" + fmt.Sprintf(attempts, "voicemail v ON v.organization_id = a.organization_id AND v.id = a.voicemail_id"+
		" JOIN phone_number_voicemail_user n ON n.organization_id = v.organization_id AND n.phone_number_id = v.phone_number_id") + "n.user_id = " + user + ")"
	if b := who.SeesBranches(); len(b) > 0 {
		own += " OR " + alias + ".branch_id = ANY (" + arg(b) + "::uuid[])"
	}
	return "(" + own + ")"
}

// shown fills in what depends on who reads, and when.
func shown(who access.Actor, now time.Time, rows ...*FollowUp) {
	for _, f := range rows {
		f.FromMasked = call.Hides(who, f.MaskUserID, f.MaskUserNumber, f.CallerNumber) || who.HidesContactDetails()
		f.IsOverdue = f.overdue(now)
	}
}

func (f *FollowUp) overdue(now time.Time) bool {
	return f.IsOpen() && f.DueAt != nil && !f.DueAt.After(now)
}

// lock reads a follow-up of an organization and holds it.
func lock(ctx context.Context, tx *db.Tx, org, item id.ID) (*FollowUp, error) {
	f := &FollowUp{}
	err := db.Select(ctx, tx, f, `SELECT `+columns+` FROM follow_up f WHERE f.organization_id = $1 AND f.id = $2 FOR UPDATE`, org, item)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoFollowUp
	}
	return f, err
}

// save writes a follow-up that is locked, with what happened to it.
func (s *Service) save(ctx context.Context, tx *db.Tx, f *FollowUp, happened ...Entry) error {
	f.Version++
	var look *time.Time // when it is escalated
	if f.IsOpen() && f.EscalatedAt == nil {
		look = f.DueAt
	}
	if _, err := db.Exec(ctx, tx, `UPDATE follow_up SET kind = $3, status = $4, contact_id = $5, record_id = $6, owner_user_id = $7, outcome = $8, due_at = $9, escalate_at = $10,
			escalated_at = $11, escalated_to_user_id = $12, escalated_to_role_id = $13, attempt_count = $14, voicemail_count = $15, note_count = $16,
			first_attempt_at = $17, last_attempt_at = $18, closed_at = $19, closed_by_user_id = $20, closed_by_call_id = $21, is_closed_by_call = $22, version = $23, updated_at = $24
		WHERE organization_id = $1 AND id = $2`,
		f.OrganizationID, f.ID, string(f.Kind), string(f.Status), f.ContactID, f.RecordID, f.OwnerID, f.Outcome, f.DueAt, look,
		f.EscalatedAt, f.EscalatedToID, f.EscalatedToRoleID, f.AttemptCount, f.VoicemailCount, f.NoteCount,
		f.FirstAttemptAt, f.LastAttemptAt, f.ClosedAt, f.ClosedByID, f.ClosedByCallID, f.IsClosedAutomatically, f.Version, tx.Now); err != nil {
		return err
	}
	return s.note(ctx, tx, f, happened...)
}

// Told is what the event of a follow-up carries.
type Told struct {
	Change   Change `json:"change"`
	Status   Status `json:"status"`
	BranchID id.ID  `json:"branchId"`
	OwnerID  id.ID  `json:"ownerId"`
	Version  int64  `json:"version"`
}

// note keeps what happened to a follow-up and tells of it.
func (s *Service) note(ctx context.Context, tx *db.Tx, f *FollowUp, happened ...Entry) error {
	events := make([]event.Event, len(happened))
	for i, e := range happened {
		if e.At.IsZero() {
			e.At = tx.Now
		}
		actor := e.ActorID
		if actor.Kind() != id.User {
			actor = id.ID{} // an API key is no person
		}
		if _, err := db.Exec(ctx, tx, `INSERT INTO follow_up_entry (organization_id, id, follow_up_id, change, at, actor_user_id, call_id, voicemail_id, user_id, role_id, status, outcome, note, due_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
			ON CONFLICT (organization_id, follow_up_id, call_id) WHERE change = 'CALLED_BACK' DO NOTHING`,
			f.OrganizationID, id.New(id.Fact), f.ID, string(e.Change), e.At, actor, e.CallID, e.VoicemailID, e.UserID, e.RoleID, (*string)(e.Status), e.Outcome, e.Note, e.DueAt); err != nil {
			return err
		}
		data, err := json.Marshal(Told{Change: e.Change, Status: f.Status, BranchID: f.BranchID, OwnerID: f.OwnerID, Version: f.Version})
		if err != nil {
			return err
		}
		events[i] = event.Event{OrganizationID: f.OrganizationID, Kind: EventUpdated, Subject: f.ID, ActorID: e.ActorID, Data: data}
	}
	return event.Append(ctx, tx, events...)
}

// pages reads the rows of a query that ends with a page.
func pages[T any](ctx context.Context, q bun.IDB, x *query) (rows []T, err error) {
	err = db.Select(ctx, q, &rows, x.sql.String(), x.args...)
	return rows, err
}
