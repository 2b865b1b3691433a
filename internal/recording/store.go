package recording

import (
	"context"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// stored are the columns of the table.
const stored = `recording.organization_id, recording.id, recording.call_id, recording.twilio_sid, recording.purpose, recording.status, recording.channels,
	recording.offset_seconds, recording.duration_seconds, recording.started_at, recording.media_state, recording.media_error, recording.blob_key,
	recording.content_type, recording.size_bytes, recording.attempts, recording.due_at, recording.created_at, recording.updated_at,
	recording.deleted_at, recording.deleted_by, recording.delete_reason, recording.gone_at_twilio_at, recording.erase_due_at, recording.erase_attempts,
	recording.noted_pauses, recording.first_side`

// Subjects are what a legal hold may be on that keeps a recording, as a list in SQL
// for the aliases of From: itself and what it belongs to. KeptBy looks the other way.
const Subjects = `recording.id, recording.call_id, call.contact_id, call.record_id,
	(SELECT of.id FROM voicemail of WHERE of.organization_id = recording.organization_id AND of.recording_id = recording.id)`

// Held is the SQL condition that a legal hold keeps a recording, for the aliases of From.
const Held = `is_held(recording.organization_id, ` + Subjects + `)`

// kept is which recordings a hold on $2 keeps, by what that is: each of Subjects, in
// a form that an index serves.
var kept = map[id.Kind]string{
	id.Recording: "recording.id = $2",
	id.Call:      "recording.call_id = $2",
	id.Contact:   "call.contact_id = $2",
	id.Record:    "call.record_id = $2",
	id.Voicemail: "recording.id = (SELECT of.recording_id FROM voicemail of WHERE of.organization_id = $1 AND of.id = $2)",
}

// KeptBy are the recordings of the context's tenant, but those deleted, that a legal
// hold on the subject keeps.
func KeptBy(ctx context.Context, tx *db.Tx, subject id.ID) (ids []id.ID, err error) {
	defer errs.Wrap(&err, "recording.KeptBy(%s)", subject)
	where, ok := kept[subject.Kind()]
	if !ok {
		return nil, nil
	}
	var rows []struct {
		ID id.ID `bun:"id,type:uuid"`
	}
	err = db.Select(ctx, tx, &rows, `SELECT recording.id`+From+` WHERE recording.organization_id = $1 AND recording.status <> 'DELETED' AND `+where, db.TenantFrom(ctx), subject)
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids, err
}

// columns are what readers get: with the links of the call (R278), and whether it is held.
const columns = stored + `, call.contact_id, call.record_id, call.branch_id, call.phone_number_id, call.direction, call.notices, ` + Held + ` AS is_held`

// From are the tables that Where speaks of: recording and call.
const From = ` FROM recording JOIN call ON call.organization_id = recording.organization_id AND call.id = recording.call_id`

// May reports whether the actor's role allows hearing recordings of the purpose.
func May(who access.Actor, p Purpose) bool { return who.Can(permission(p)) }

func permission(p Purpose) access.Permission {
	if p == OfVoicemail {
		return access.VoicemailListen
	}
	return access.RecordingListen
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

// Filter narrows a list of recordings. The zero Filter is all conversations that
// are not deleted.
type Filter struct {
	Purpose       Purpose // empty: of conversations
	Status        []RecordingStatus
	MediaState    []MediaState
	CallID        id.ID
	BranchID      id.ID
	PhoneNumberID id.ID
	UserID        id.ID // answered or started by
	ContactID     id.ID
	RecordID      id.ID
	Direction     call.Direction
	StartedFrom   time.Time
	StartedBefore time.Time
	MinSeconds    *int
	MaxSeconds    *int
	IsHeld        *bool
	HasTranscript *bool
	IsHeardByMe   *bool
}

// Where is the SQL condition for what the filter lets through of what the actor
// sees, over the tables of From. arg adds an argument to the statement and is its
// place. The text depends only on which conditions there are. It asks for no
// permission: see Filter.Permission.
func Where(f Filter, who access.Actor, arg func(any) string) string {
	if f.Purpose == "" {
		f.Purpose = OfCall
	}
	w := []string{"recording.organization_id = " + arg(who.OrganizationID), "recording.purpose = " + arg(string(f.Purpose)), seenBy(who, f.Purpose, arg)}
	and := func(condition string) { w = append(w, condition) }
	equal := func(column string, v id.ID) {
		if !v.IsZero() {
			and(column + " = " + arg(v))
		}
	}
	if len(f.Status) > 0 {
		and("recording.status = ANY (" + arg(words(f.Status)) + "::text[])")
	} else {
		and("recording.status <> 'DELETED'")
	}
	if len(f.MediaState) > 0 {
		and("recording.media_state = ANY (" + arg(words(f.MediaState)) + "::text[])")
	}
	equal("recording.call_id", f.CallID)
	equal("call.branch_id", f.BranchID)
	equal("call.phone_number_id", f.PhoneNumberID)
	equal("call.contact_id", f.ContactID)
	equal("call.record_id", f.RecordID)
	if !f.UserID.IsZero() {
		u := arg(f.UserID)
		and("(call.user_id = " + u + " OR call.answered_by_user_id = " + u + ")")
	}
	if f.Direction != "" {
		and("call.direction = " + arg(string(f.Direction)))
	}
	if !f.StartedFrom.IsZero() {
		and("recording.started_at >= " + arg(f.StartedFrom))
	}
	if !f.StartedBefore.IsZero() {
		and("recording.started_at < " + arg(f.StartedBefore))
	}
	if f.MinSeconds != nil {
		and("recording.duration_seconds >= " + arg(*f.MinSeconds))
	}
	if f.MaxSeconds != nil {
		and("recording.duration_seconds <= " + arg(*f.MaxSeconds))
	}
	if f.IsHeld != nil {
		and(Held + " = " + arg(*f.IsHeld))
	}
	if f.HasTranscript != nil {
		and("EXISTS (SELECT FROM transcript t WHERE t.organization_id = recording.organization_id AND t.recording_id = recording.id AND t.status = 'COMPLETED') = " + arg(*f.HasTranscript))
	}
	if f.IsHeardByMe != nil {
		and(heardBy(arg(who.ID())) + " = " + arg(*f.IsHeardByMe))
	}
	return strings.Join(w, " AND ")
}

func heardBy(actor string) string {
	return "EXISTS (SELECT FROM recording_ledger l WHERE l.organization_id = recording.organization_id AND l.recording_id = recording.id AND l.actor_id = " + actor +
		" AND l.kind IN ('LISTENED', 'DOWNLOADED'))"
}

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = string(x)
	}
	return out
}

// seenBy narrows to what the actor sees: recordings of the calls that they see
// and, of voicemails, those that they follow up (R128, R129, D25).
func seenBy(who access.Actor, p Purpose, arg func(any) string) string {
	sees := call.SeenBy("call", who, arg)
	if who.SeesAll() || p != OfVoicemail {
		return sees
	}
	user := arg(who.UserID)
	return "(" + sees + ` OR EXISTS (SELECT FROM voicemail v WHERE v.organization_id = recording.organization_id AND v.recording_id = recording.id AND (v.owner_user_id = ` + user + `
		OR EXISTS (SELECT FROM phone_number_voicemail_user n WHERE n.organization_id = v.organization_id AND n.phone_number_id = v.phone_number_id AND n.user_id = ` + user + `))))`
}

// Permission is what reading the list needs.
func (f Filter) Permission() access.Permission { return permission(f.Purpose) }

// Check finds what no recording can fulfil. Code: errs.Invalid.
func (f Filter) Check() error {
	switch {
	case f.MinSeconds != nil && *f.MinSeconds < 0:
		return errs.New(errs.Invalid, "minSeconds is %d; it cannot be negative", *f.MinSeconds).At("filter", "minSeconds")
	case f.MaxSeconds != nil && *f.MaxSeconds < 0:
		return errs.New(errs.Invalid, "maxSeconds is %d; it cannot be negative", *f.MaxSeconds).At("filter", "maxSeconds")
	}
	return nil
}

// List is a page of recordings, newest first, within the actor's visibility
// (R123, R212). Codes: errs.Forbidden without RECORDING_LISTEN, of voicemails
// VOICEMAIL_LISTEN; errs.Invalid for the page.
func (s *Service) List(ctx context.Context, who access.Actor, f Filter, p db.Page) (w db.Window[*Recording], err error) {
	defer errs.Wrap(&err, "recording.List")
	if err := who.Require(f.Permission()); err != nil {
		return w, err
	}
	if err := f.Check(); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var args []any
	arg := func(v any) string { args = append(args, v); return "$" + strconv.Itoa(len(args)) }
	query := "SELECT " + columns + From + " WHERE " + Where(f, who, arg) +
		" AND (recording.started_at, recording.id) < (" + arg(after.At) + ", " + arg(after.ID) + ") ORDER BY recording.started_at DESC, recording.id DESC LIMIT " + arg(limit+1)
	var rows []*Recording
	if err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.DB.App(), &rows, query, args...); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(r *Recording) db.Keyset { return db.Keyset{At: r.StartedAt, ID: r.ID} }), nil
}

func absent() error { return errs.New(errs.NotFound, "there is no such recording") }

// Get is one recording that the actor may hear, or its tombstone: their role
// allows it and they see its call or, of a voicemail, follow it up. Everything
// else is errs.NotFound.
func (s *Service) Get(ctx context.Context, who access.Actor, recording id.ID) (_ *Recording, err error) {
	defer errs.Wrap(&err, "recording.Get")
	if !who.Known() {
		return nil, who.Require(access.RecordingListen)
	}
	m, err := s.Visible(ctx, who, []id.ID{recording})
	if err != nil {
		return nil, err
	}
	if m[recording] == nil {
		return nil, absent()
	}
	return m[recording], nil
}

// Visible are those of the recordings that the actor may hear, in one statement.
func (s *Service) Visible(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Recording, error) {
	out := map[id.ID]*Recording{}
	may := purposes(who)
	if !who.Known() || len(may) == 0 || len(ids) == 0 {
		return out, nil
	}
	var args []any
	arg := func(v any) string { args = append(args, v); return "$" + strconv.Itoa(len(args)) }
	query := "SELECT " + columns + From + " WHERE recording.organization_id = " + arg(who.OrganizationID) + " AND recording.id = ANY (" + arg(ids) + "::uuid[])"
	see := make([]string, len(may))
	for i, p := range may {
		see[i] = "recording.purpose = " + arg(p) + " AND " + seenBy(who, Purpose(p), arg)
	}
	query += " AND (" + strings.Join(see, " OR ") + ")"
	return byID(db.WithTenant(ctx, who.OrganizationID), s, query, args)
}

// ByIDs are recordings of the context's tenant by id, in one statement. It asks
// nobody's permission: it follows references from what the actor sees already.
func (s *Service) ByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Recording, error) {
	return byID(ctx, s, "SELECT "+columns+From+" WHERE recording.organization_id = $1 AND recording.id = ANY ($2::uuid[])", []any{db.TenantFrom(ctx), ids})
}

func byID(ctx context.Context, s *Service, query string, args []any) (map[id.ID]*Recording, error) {
	var rows []*Recording
	err := db.Select(ctx, s.DB.App(), &rows, query, args...)
	out := make(map[id.ID]*Recording, len(rows))
	for _, r := range rows {
		out[r.ID] = r
	}
	return out, err
}

// ByCalls are the recordings of calls that the actor sees already, in order, in
// one statement (R123), tombstones too; none for who may not listen. Voicemails
// are not among them.
func (s *Service) ByCalls(ctx context.Context, who access.Actor, calls []id.ID) (map[id.ID][]*Recording, error) {
	out := make(map[id.ID][]*Recording, len(calls))
	if !May(who, OfCall) {
		return out, nil
	}
	var rows []*Recording
	err := db.Select(ctx, s.DB.App(), &rows, "SELECT "+columns+From+`
		WHERE recording.organization_id = $1 AND recording.call_id = ANY ($2::uuid[]) AND recording.purpose = 'CALL'
		ORDER BY recording.call_id, recording.started_at, recording.id`, db.TenantFrom(ctx), calls)
	for _, r := range rows {
		out[r.CallID] = append(out[r.CallID], r)
	}
	return out, err
}

// HeardByMe says of recordings whether the actor has listened to them, in one statement.
func (s *Service) HeardByMe(ctx context.Context, who access.Actor, recordings []id.ID) (map[id.ID]bool, error) {
	var rows []struct {
		ID id.ID `bun:"id,type:uuid"`
	}
	err := db.Select(ctx, s.DB.App(), &rows, "SELECT recording.id FROM recording WHERE recording.organization_id = $1 AND recording.id = ANY ($2::uuid[]) AND "+heardBy("$3"),
		db.TenantFrom(ctx), recordings, who.ID())
	out := make(map[id.ID]bool, len(recordings))
	for _, r := range rows {
		out[r.ID] = true
	}
	return out, err
}
