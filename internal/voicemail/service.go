package voicemail

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/recording"
)

// The kinds of event about voicemails.
const (
	EventReceived event.Kind = "VOICEMAIL_RECEIVED"
	EventUpdated  event.Kind = "VOICEMAIL_UPDATED"
)

// Service is voicemails as the other packages use them. It is a projection of
// package call: register it there, after package recording's.
type Service struct {
	d          *db.DB
	recordings *recording.Service
	calls      *call.Service
}

var _ call.Projection = (*Service)(nil)

// New makes a Service. It tells of the voicemails whose recordings are deleted
// (recording.Service.OnPurge), and calls back through calls.
func New(d *db.DB, recordings *recording.Service, calls *call.Service) *Service {
	s := &Service{d: d, recordings: recordings, calls: calls}
	recordings.OnPurge(s.purged)
	return s
}

// Apply keeps the row of the voicemail that was left on a call, once.
func (s *Service) Apply(ctx context.Context, tx *db.Tx, st call.State) (err error) {
	defer errs.Wrap(&err, "voicemail.Apply")
	v := st.Voicemail
	if v == nil {
		return nil
	}
	c := &st.Call
	var (
		voicemail id.ID
		made      bool
	)
	err = tx.Pgx().QueryRow(ctx, `
		INSERT INTO voicemail (organization_id, id, call_id, recording_id, phone_number_id, branch_id, contact_id, from_number, duration_seconds, owner_user_id, received_at, updated_at)
		SELECT $1, $2, $3, r.id, $4, call.branch_id, $5, $6, $7, $8, $9, $10
		FROM recording r JOIN call ON call.organization_id = r.organization_id AND call.id = r.call_id
		WHERE r.organization_id = $1 AND r.call_id = $3 AND r.twilio_sid = $11
		ON CONFLICT ON CONSTRAINT voicemail_recording_once DO UPDATE SET contact_id = excluded.contact_id, duration_seconds = excluded.duration_seconds,
			received_at = excluded.received_at, updated_at = excluded.updated_at, version = voicemail.version + 1
		WHERE (voicemail.contact_id, voicemail.duration_seconds, voicemail.received_at) IS DISTINCT FROM (excluded.contact_id, excluded.duration_seconds, excluded.received_at)
		RETURNING id, xmax = 0`,
		c.OrganizationID, id.New(id.Voicemail), c.ID, c.PhoneNumberID, c.ContactID, c.FromNumber, v.DurationSeconds, v.OwnerID, v.ReceivedAt, tx.Now, v.RecordingSID).
		Scan(&voicemail, &made)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // nothing new
	}
	if err != nil {
		return db.Translate(err)
	}
	kind := EventUpdated
	if made {
		kind = EventReceived
	}
	return event.Append(ctx, tx, told(kind, voicemail, c.ID, c.BranchID, id.ID{}))
}

func told(kind event.Kind, voicemail, call, branch, actor id.ID) event.Event {
	data, err := json.Marshal(map[string]any{"callId": call, "branchId": branch})
	if err != nil {
		panic("voicemail: " + err.Error()) // ids only
	}
	return event.Event{Kind: kind, Subject: voicemail, ActorID: actor, Data: data}
}

const columns = `voicemail.organization_id, voicemail.id, voicemail.call_id, voicemail.recording_id, voicemail.phone_number_id, voicemail.branch_id, voicemail.contact_id,
	voicemail.from_number, voicemail.duration_seconds, voicemail.owner_user_id, voicemail.heard_at, voicemail.heard_by_user_id, voicemail.received_at,
	voicemail.version, voicemail.created_at, voicemail.updated_at, call.masked_pair_id, mask.user_id AS mask_user_id, coalesce(mask.fieldworker_number, '') AS mask_user_number,
	call.record_id, recording.deleted_at, recording.deleted_by, recording.delete_reason, ` + recording.Held + ` AS is_held`

// from has the call, its masked pair (R103) and the recording beside the voicemail.
const from = ` FROM voicemail JOIN call ON call.organization_id = voicemail.organization_id AND call.id = voicemail.call_id
	JOIN recording ON recording.organization_id = voicemail.organization_id AND recording.id = voicemail.recording_id
	LEFT JOIN masked_pair mask ON mask.organization_id = call.organization_id AND mask.id = call.masked_pair_id`

// hide hides from the reader who left a voicemail on a masked call.
func hide(who access.Actor, rows ...*Voicemail) {
	for _, v := range rows {
		v.FromMasked = call.Hides(who, v.MaskUserID, v.MaskUserNumber, v.FromNumber)
	}
}

// live is the condition that a voicemail is not deleted.
const live = "recording.status <> 'DELETED'"

// Filter narrows a list of voicemails. The zero Filter is all that are not deleted.
type Filter struct {
	IsHeard        *bool // by anybody
	IsHeardByMe    *bool
	PhoneNumberID  id.ID
	BranchID       id.ID
	OwnerID        id.ID
	IsUnassigned   *bool
	ContactID      id.ID
	RecordID       id.ID
	ReceivedFrom   time.Time
	ReceivedBefore time.Time
	MinSeconds     *int
	HasTranscript  *bool
	IsDeleted      bool // only deleted ones
}

// filter adds the filter's conditions.
func (q *query) filter(f Filter, who access.Actor) {
	equal := func(column string, v id.ID) {
		if !v.IsZero() {
			q.and(column + " = " + q.arg(v))
		}
	}
	is := func(condition string, v *bool) {
		if v != nil {
			q.and("(" + condition + ") = " + q.arg(*v))
		}
	}
	if f.IsDeleted {
		q.and("NOT " + live)
	} else {
		q.and(live)
	}
	is("voicemail.heard_at IS NOT NULL", f.IsHeard)
	if f.IsHeardByMe != nil {
		is("EXISTS (SELECT FROM voicemail_heard h WHERE h.organization_id = voicemail.organization_id AND h.voicemail_id = voicemail.id AND h.user_id = "+q.arg(who.UserID)+")", f.IsHeardByMe)
	}
	equal("voicemail.phone_number_id", f.PhoneNumberID)
	equal("voicemail.branch_id", f.BranchID)
	equal("voicemail.owner_user_id", f.OwnerID)
	is("voicemail.owner_user_id IS NULL", f.IsUnassigned)
	equal("voicemail.contact_id", f.ContactID)
	equal("call.record_id", f.RecordID)
	if !f.ReceivedFrom.IsZero() {
		q.and("voicemail.received_at >= " + q.arg(f.ReceivedFrom))
	}
	if !f.ReceivedBefore.IsZero() {
		q.and("voicemail.received_at < " + q.arg(f.ReceivedBefore))
	}
	if f.MinSeconds != nil {
		q.and("voicemail.duration_seconds >= " + q.arg(*f.MinSeconds))
	}
	is("EXISTS (SELECT FROM transcript t WHERE t.organization_id = voicemail.organization_id AND (t.voicemail_id = voicemail.id OR t.recording_id = voicemail.recording_id) AND t.status = 'COMPLETED')", f.HasTranscript)
}

type query struct {
	sql  strings.Builder
	args []any
}

func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

func (q *query) and(condition string) { q.sql.WriteString(" AND " + condition) }

func voicemails(who access.Actor) *query {
	q := &query{}
	q.sql.WriteString("SELECT " + columns + from + " WHERE voicemail.organization_id = " + q.arg(who.OrganizationID))
	return q
}

// seenBy narrows to what the actor sees.
func (q *query) seenBy(who access.Actor) { q.and(SeenBy("voicemail", who, q.arg)) }

// SeenBy is the SQL condition that the actor sees the voicemail of the given
// alias: all of the organization; those of their branches; those they own or are
// told of (R128, R129, D25); those of calls that rang them.
func SeenBy(alias string, who access.Actor, arg func(any) string) string {
	if who.SeesAll() {
		return "true"
	}
	user := arg(who.UserID)
	own := alias + ".owner_user_id = " + user +
		" OR EXISTS (SELECT FROM phone_number_voicemail_user n WHERE n.organization_id = " + alias + ".organization_id AND n.phone_number_id = " + alias + ".phone_number_id AND n.user_id = " + user + ")" +
		" OR EXISTS (SELECT FROM call_leg own WHERE own.organization_id = " + alias + ".organization_id AND own.call_id = " + alias + ".call_id AND own.user_id = " + user + ")"
	if b := who.SeesBranches(); len(b) > 0 {
		own += " OR " + alias + ".branch_id = ANY (" + arg(b) + "::uuid[])"
	}
	return "(" + own + ")"
}

// List is a page of voicemails, newest first. Codes: errs.Forbidden without
// VOICEMAIL_LISTEN, errs.Invalid for the page.
func (s *Service) List(ctx context.Context, who access.Actor, f Filter, p db.Page) (w db.Window[*Voicemail], err error) {
	defer errs.Wrap(&err, "voicemail.List")
	if err := who.Require(access.VoicemailListen); err != nil {
		return w, err
	}
	if f.MinSeconds != nil && *f.MinSeconds < 0 {
		return w, errs.New(errs.Invalid, "minSeconds is %d; it cannot be negative", *f.MinSeconds).At("filter", "minSeconds")
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	q := voicemails(who)
	q.seenBy(who)
	q.filter(f, who)
	q.and("(voicemail.received_at, voicemail.id) < (" + q.arg(after.At) + ", " + q.arg(after.ID) + ")")
	q.sql.WriteString(" ORDER BY voicemail.received_at DESC, voicemail.id DESC LIMIT " + q.arg(limit+1))
	var rows []*Voicemail
	if err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.App(), &rows, q.sql.String(), q.args...); err != nil {
		return w, err
	}
	hide(who, rows...)
	return db.NewWindow(rows, limit, func(v *Voicemail) db.Keyset { return db.Keyset{At: v.ReceivedAt, ID: v.ID} }), nil
}

func absent() error { return errs.New(errs.NotFound, "there is no such voicemail") }

// Get is one voicemail. What the actor may not see or hear is as absent as what
// is not there: errs.NotFound.
func (s *Service) Get(ctx context.Context, who access.Actor, voicemail id.ID) (_ *Voicemail, err error) {
	defer errs.Wrap(&err, "voicemail.Get")
	if !who.Known() {
		return nil, who.Require(access.VoicemailListen)
	}
	if !who.Can(access.VoicemailListen) {
		return nil, absent()
	}
	q := voicemails(who)
	q.and("voicemail.id = " + q.arg(voicemail))
	q.seenBy(who)
	v := &Voicemail{}
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.App(), v, q.sql.String(), q.args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, absent()
	}
	hide(who, v)
	return v, err
}

// Visible are those of the voicemails that the actor may see, in one statement.
func (s *Service) Visible(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Voicemail, error) {
	out := map[id.ID]*Voicemail{}
	if !who.Can(access.VoicemailListen) || len(ids) == 0 {
		return out, nil
	}
	q := voicemails(who)
	q.and("voicemail.id = ANY (" + q.arg(ids) + "::uuid[])")
	q.seenBy(who)
	var rows []*Voicemail
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.App(), &rows, q.sql.String(), q.args...)
	hide(who, rows...)
	for _, v := range rows {
		out[v.ID] = v
	}
	return out, err
}

// ByRecordings are the voicemails whose audio recordings are, as far as the actor
// may see them, in one statement.
func (s *Service) ByRecordings(ctx context.Context, who access.Actor, recordings []id.ID) (map[id.ID]*Voicemail, error) {
	out := map[id.ID]*Voicemail{}
	if !who.Can(access.VoicemailListen) || len(recordings) == 0 {
		return out, nil
	}
	q := voicemails(who)
	q.and("voicemail.recording_id = ANY (" + q.arg(recordings) + "::uuid[])")
	q.seenBy(who)
	var rows []*Voicemail
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.App(), &rows, q.sql.String(), q.args...)
	hide(who, rows...)
	for _, v := range rows {
		out[v.RecordingID] = v
	}
	return out, err
}

// ByIDs are voicemails of the context's tenant by id, in one statement. It asks
// nobody's permission: it follows references from what the actor sees already.
func (s *Service) ByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Voicemail, error) {
	var rows []*Voicemail
	err := db.Select(ctx, s.d.App(), &rows, `SELECT `+columns+from+`
		WHERE voicemail.organization_id = $1 AND voicemail.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	hide(access.From(ctx), rows...)
	out := make(map[id.ID]*Voicemail, len(rows))
	for _, v := range rows {
		out[v.ID] = v
	}
	return out, err
}

// ByCalls are the voicemails of calls that the actor sees already, in one
// statement; none for who may not listen.
func (s *Service) ByCalls(ctx context.Context, who access.Actor, calls []id.ID) (map[id.ID]*Voicemail, error) {
	out := make(map[id.ID]*Voicemail, len(calls))
	if !who.Can(access.VoicemailListen) {
		return out, nil
	}
	var rows []*Voicemail
	err := db.Select(ctx, s.d.App(), &rows, `SELECT `+columns+from+`
		WHERE voicemail.organization_id = $1 AND voicemail.call_id = ANY ($2::uuid[]) ORDER BY voicemail.received_at DESC, voicemail.id DESC`, db.TenantFrom(ctx), calls)
	hide(who, rows...)
	for _, v := range rows {
		out[v.CallID] = v
	}
	return out, err
}
