package transcript

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

func init() {
	db.RegisterConstraint("transcript_contact", errs.New(errs.NotFound, "there is no such contact").At("contactId"))
	db.RegisterConstraint("transcript_record", errs.New(errs.NotFound, "there is no such record").At("recordId"))
}

const columns = `transcript.organization_id, transcript.id, transcript.call_id, transcript.recording_id, transcript.voicemail_id, transcript.source, transcript.contact_id,
	transcript.record_id, transcript.user_id, transcript.branch_id, transcript.phone_number_id, transcript.status, transcript.provider, transcript.language,
	transcript.confidence, transcript.is_automatic, transcript.created_by, transcript.failure_code, transcript.failure_reason, transcript.subject, transcript.categories,
	transcript.segment_count, transcript.is_corrected, transcript.duration_seconds, transcript.recorded_at, transcript.connection_id, transcript.provider_ref,
	transcript.provider_state, transcript.attempts, transcript.asked_at, transcript.leased_until, transcript.reserved_seconds, transcript.due_at, transcript.completed_at,
	transcript.deleted_at, transcript.deleted_by, transcript.deleted_reason, transcript.version, transcript.created_at, transcript.updated_at`

const noteColumns = `note.organization_id, note.id, note.transcript_id, note.text, note.flag, note.segment_index, note.at_ms, note.author_id, note.resolved_at, note.resolved_by, note.created_at`

// Filter narrows a list of transcripts. The zero Filter is all that are not deleted.
type Filter struct {
	Text                                                    string
	Statuses                                                []Status
	Source                                                  Source
	UserID, ContactID, RecordID, CallID, BranchID, NumberID id.ID
	Category, Subject                                       string
	Flag                                                    Flag
	Provider                                                ProviderName
	From, Until                                             time.Time
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

// transcripts begins a query of what the actor sees.
func transcripts(who access.Actor) *query {
	q := &query{}
	q.sql.WriteString("SELECT " + columns + " FROM transcript WHERE transcript.organization_id = " + q.arg(who.OrganizationID))
	q.and(SeenBy("transcript", who, q.arg))
	return q
}

// Where adds the conditions of a filter, but for the words, on the alias transcript.
// Domains that count or export transcripts ask the same (R205).
func (f Filter) Where(arg func(any) string) string {
	var all []string
	and := func(c string) { all = append(all, c) }
	if len(f.Statuses) > 0 {
		and("transcript.status = ANY (" + arg(f.Statuses) + "::text[])")
	} else {
		and("transcript.status <> 'DELETED'")
	}
	for _, x := range []struct {
		column string
		id     id.ID
	}{{"user_id", f.UserID}, {"contact_id", f.ContactID}, {"record_id", f.RecordID}, {"call_id", f.CallID}, {"branch_id", f.BranchID}, {"phone_number_id", f.NumberID}} {
		if !x.id.IsZero() {
			and("transcript." + x.column + " = " + arg(x.id))
		}
	}
	if f.Source != "" {
		and("transcript.source = " + arg(f.Source))
	}
	if f.Provider != "" {
		and("transcript.provider = " + arg(f.Provider))
	}
	if c := fold(f.Category); c != "" {
		and("EXISTS (SELECT FROM transcript_category k WHERE k.organization_id = transcript.organization_id AND k.transcript_id = transcript.id AND k.folded = " + arg(c) + ")")
	}
	if f.Flag != "" {
		and("EXISTS (SELECT FROM transcript_note n WHERE n.organization_id = transcript.organization_id AND n.transcript_id = transcript.id AND n.resolved_at IS NULL AND n.flag = " + arg(f.Flag) + ")")
	}
	if f.Subject != "" {
		and("strpos(lower(transcript.subject), lower(" + arg(f.Subject) + "::text)) > 0")
	}
	if !f.From.IsZero() {
		and("transcript.recorded_at >= " + arg(f.From))
	}
	if !f.Until.IsZero() {
		and("transcript.recorded_at < " + arg(f.Until))
	}
	return strings.Join(all, " AND ")
}

func (f Filter) check() error {
	if len(f.Category) > 400 || len(f.Subject) > 1000 {
		return errs.New(errs.Invalid, "this is too long to filter by").At("filter")
	}
	if strings.ContainsRune(f.Category+f.Subject, 0) {
		return errs.New(errs.Invalid, "a filter must not have a zero byte").At("filter")
	}
	if !f.From.IsZero() && !f.Until.IsZero() && !f.From.Before(f.Until) {
		return errs.New(errs.Invalid, "from must lie before until").At("filter", "from")
	}
	return nil
}

// List is a page of transcripts, newest first (R204). Codes: errs.Forbidden without
// TRANSCRIPT_VIEW, errs.Invalid.
func (s *Service) List(ctx context.Context, who access.Actor, f Filter, p db.Page) (w db.Window[*Transcript], err error) {
	defer errs.Wrap(&err, "transcript.List")
	if err := who.Require(access.TranscriptView); err != nil {
		return w, err
	}
	if err := f.check(); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	var rows []*Transcript
	if f.Text != "" {
		rows, err = s.search(ctx, who, f, after, limit+1)
	} else {
		rows, err = s.list(ctx, who, f, after, limit+1, nil, "")
	}
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(t *Transcript) db.Keyset { return db.Keyset{At: t.RecordedAt, ID: t.ID} }), nil
}

// list reads rows after a place: of ids only when there are some, and with words only
// when there are some.
func (s *Service) list(ctx context.Context, who access.Actor, f Filter, after db.Keyset, limit int, ids []id.ID, words string) (rows []*Transcript, err error) {
	q := transcripts(who)
	q.and(f.Where(q.arg))
	if ids != nil {
		q.and("transcript.id = ANY (" + q.arg(ids) + "::uuid[])")
	}
	if words != "" {
		q.and("transcript.words @@ to_tsquery('simple', " + q.arg(words) + ")")
	}
	q.and("(transcript.recorded_at, transcript.id) < (" + q.arg(after.At) + ", " + q.arg(after.ID) + ")")
	q.sql.WriteString(" ORDER BY transcript.recorded_at DESC, transcript.id DESC LIMIT " + q.arg(limit))
	err = db.Select(ctx, s.DB.App(), &rows, q.sql.String(), q.args...)
	return rows, err
}

// Get is one transcript that the actor may read, or its tombstone. Everything else
// is errs.NotFound.
func (s *Service) Get(ctx context.Context, who access.Actor, transcript id.ID) (_ *Transcript, err error) {
	defer errs.Wrap(&err, "transcript.Get")
	if !who.Known() {
		return nil, who.Require(access.TranscriptView)
	}
	m, err := s.Visible(ctx, who, []id.ID{transcript})
	if err != nil {
		return nil, err
	}
	if m[transcript] == nil {
		return nil, errAbsent()
	}
	return m[transcript], nil
}

// Visible are those of the transcripts that the actor may read, in one statement.
func (s *Service) Visible(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Transcript, error) {
	return s.by(ctx, who, "transcript.id", ids, "", func(t *Transcript) id.ID { return t.ID })
}

func (s *Service) by(ctx context.Context, who access.Actor, column string, ids []id.ID, more string, key func(*Transcript) id.ID) (map[id.ID]*Transcript, error) {
	out := map[id.ID]*Transcript{}
	all, err := s.rows(ctx, who, column, ids, more+" ORDER BY transcript.created_at, transcript.id")
	for _, t := range all {
		out[key(t)] = t // the newest stays
	}
	return out, err
}

func (s *Service) rows(ctx context.Context, who access.Actor, column string, ids []id.ID, more string) (rows []*Transcript, err error) {
	if len(ids) == 0 || !who.Can(access.TranscriptView) && !who.Can(access.VoicemailListen) {
		return nil, nil
	}
	q := transcripts(who)
	if !who.Can(access.TranscriptView) {
		q.and("transcript.source = 'VOICEMAIL'") // who hears a voicemail may read it
	}
	q.and(column + " = ANY (" + q.arg(ids) + "::uuid[])")
	q.sql.WriteString(more)
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.DB.App(), &rows, q.sql.String(), q.args...)
	return rows, err
}

// ByCalls are the transcripts of calls that the actor may read, in the order of their
// recordings, in one statement.
func (s *Service) ByCalls(ctx context.Context, who access.Actor, calls []id.ID) (map[id.ID][]*Transcript, error) {
	return s.many(ctx, who, "transcript.call_id", calls, " ORDER BY transcript.recorded_at, transcript.created_at DESC, transcript.id DESC", func(t *Transcript) id.ID { return t.CallID })
}

// ByRecordings are the transcripts of recordings that the actor may read, newest first.
func (s *Service) ByRecordings(ctx context.Context, who access.Actor, recordings []id.ID) (map[id.ID][]*Transcript, error) {
	return s.many(ctx, who, "transcript.recording_id", recordings, " ORDER BY transcript.created_at DESC, transcript.id DESC", func(t *Transcript) id.ID { return t.RecordingID })
}

func (s *Service) many(ctx context.Context, who access.Actor, column string, ids []id.ID, more string, key func(*Transcript) id.ID) (map[id.ID][]*Transcript, error) {
	out := make(map[id.ID][]*Transcript, len(ids))
	all, err := s.rows(ctx, who, column, ids, " AND transcript.status <> 'DELETED'"+more)
	for _, t := range all {
		out[key(t)] = append(out[key(t)], t)
	}
	return out, err
}

// ByVoicemails are the newest transcripts of voicemails that the actor may read.
func (s *Service) ByVoicemails(ctx context.Context, who access.Actor, voicemails []id.ID) (map[id.ID]*Transcript, error) {
	return s.by(ctx, who, "transcript.voicemail_id", voicemails, " AND transcript.status <> 'DELETED'", func(t *Transcript) id.ID { return t.VoicemailID })
}

const (
	defaultSegments = 100
	mostSegments    = 1000
)

// Window is which of a transcript's segments are wanted.
type Window struct{ First, From int }

// Check fills in what was not said and refuses what is too much.
func (w Window) Check() (Window, error) {
	switch {
	case w.First == 0:
		w.First = defaultSegments
	case w.First < 0 || w.First > mostSegments:
		return w, errs.New(errs.Invalid, "first is %d; ask for 1 to %d", w.First, mostSegments).At("first")
	}
	if w.From < 0 {
		return w, errs.New(errs.Invalid, "fromIndex is %d; indexes begin at 0", w.From).At("fromIndex")
	}
	return w, nil
}

// Segments are some of the segments of transcripts that the actor sees already, in
// one statement.
func (s *Service) Segments(ctx context.Context, transcripts []id.ID, w Window) (map[id.ID][]*Segment, error) {
	var rows []*Segment
	err := db.Select(ctx, s.DB.App(), &rows, `SELECT transcript_id, position, start_ms, end_ms, speaker, text, original_text, confidence FROM transcript_segment
		WHERE organization_id = $1 AND transcript_id = ANY ($2::uuid[]) AND position >= $3 AND position < $4 ORDER BY transcript_id, position`,
		db.TenantFrom(ctx), transcripts, w.From, w.From+w.First)
	out := make(map[id.ID][]*Segment, len(transcripts))
	for _, x := range rows {
		out[x.TranscriptID] = append(out[x.TranscriptID], x)
	}
	return out, err
}

// Texts are the whole texts of transcripts that the actor sees already, a line for
// each segment, in one statement.
func (s *Service) Texts(ctx context.Context, transcripts []id.ID) (map[id.ID]*string, error) {
	var rows []struct {
		ID   id.ID  `bun:"transcript_id,type:uuid"`
		Text string `bun:"text"`
	}
	err := db.Select(ctx, s.DB.App(), &rows, `SELECT transcript_id, string_agg(speaker || ': ' || text, E'\n' ORDER BY position) AS text FROM transcript_segment
		WHERE organization_id = $1 AND transcript_id = ANY ($2::uuid[]) AND text <> '' GROUP BY transcript_id`, db.TenantFrom(ctx), transcripts)
	out := make(map[id.ID]*string, len(transcripts))
	for _, x := range rows {
		t := x.Text
		out[x.ID] = &t
	}
	return out, err
}

// NotesOf are the notes on transcripts that the actor sees already, oldest first, in
// one statement.
func (s *Service) NotesOf(ctx context.Context, transcripts []id.ID) (map[id.ID][]*Note, error) {
	var rows []*Note
	err := db.Select(ctx, s.DB.App(), &rows, `SELECT `+noteColumns+` FROM transcript_note note
		WHERE note.organization_id = $1 AND note.transcript_id = ANY ($2::uuid[]) ORDER BY note.created_at, note.id`, db.TenantFrom(ctx), transcripts)
	out := make(map[id.ID][]*Note, len(transcripts))
	for _, n := range rows {
		out[n.TranscriptID] = append(out[n.TranscriptID], n)
	}
	return out, err
}

// Note is one note on a transcript that the actor may read, else errs.NotFound.
func (s *Service) Note(ctx context.Context, who access.Actor, note id.ID) (_ *Note, err error) {
	defer errs.Wrap(&err, "transcript.Note")
	none := errs.New(errs.NotFound, "there is no such note")
	if !who.Can(access.TranscriptView) {
		return nil, none
	}
	n := &Note{}
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.DB.App(), n, `SELECT `+noteColumns+` FROM transcript_note note WHERE note.organization_id = $1 AND note.id = $2`, who.OrganizationID, note)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	if _, err := s.Get(ctx, who, n.TranscriptID); errs.IsCode(err, errs.NotFound) {
		return nil, none
	} else if err != nil {
		return nil, err
	}
	return n, nil
}

// Corrections is a page of what people changed in a transcript that the actor sees
// already, newest first (R201).
func (s *Service) Corrections(ctx context.Context, transcript id.ID, p db.Page) (w db.Window[*Correction], err error) {
	defer errs.Wrap(&err, "transcript.Corrections")
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []struct {
		ID      id.ID     `bun:"id,type:uuid"`
		Version int64     `bun:"version"`
		UserID  id.ID     `bun:"user_id,type:uuid,nullzero"`
		At      time.Time `bun:"at"`
		Changes []*Change `bun:"changes,type:jsonb"`
	}
	if err := db.Select(ctx, s.DB.App(), &rows, `SELECT id, version, user_id, at, changes FROM transcript_correction
		WHERE organization_id = $1 AND transcript_id = $2 AND (at, id) < ($3, $4) ORDER BY at DESC, id DESC LIMIT $5`,
		db.TenantFrom(ctx), transcript, after.At, after.ID, limit+1); err != nil {
		return w, err
	}
	out := make([]*Correction, len(rows))
	for i, r := range rows {
		out[i] = &Correction{ID: r.ID, TranscriptID: transcript, ByID: r.UserID, At: r.At, Version: r.Version, Changes: r.Changes}
	}
	return db.NewWindow(out, limit, func(c *Correction) db.Keyset { return db.Keyset{At: c.At, ID: c.ID} }), nil
}
