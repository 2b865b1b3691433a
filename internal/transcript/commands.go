package transcript

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/patch"
	"switchboard/internal/recording"
	"switchboard/internal/speech"
	"switchboard/internal/tenant"
)

const (
	maxSubject     = 200
	maxCategories  = 20
	maxCategory    = 60
	maxNote        = 4000
	maxNotes       = 200
	maxCorrections = 500
	maxWordsEach   = 5000
)

// Create says which recording is to become text, and how.
type Create struct {
	RecordingID id.ID
	Language    string       // "": the organization's
	Provider    ProviderName // "": the organization's
}

// Create has a recording transcribed that was not yet, in this language (R199). It
// gives the one that there is already. Codes: errs.Forbidden, also while the feature
// is off; errs.NotFound for a recording that the actor may not hear; errs.Conflict
// while its audio is not here; errs.LimitReached, errs.Invalid.
func (s *Service) Create(ctx context.Context, who access.Actor, in Create, key string) (_ *Transcript, err error) {
	defer errs.Wrap(&err, "transcript.Create")
	if err := who.Require(access.TranscriptEdit); err != nil {
		return nil, err
	}
	r, err := s.Recordings.Get(ctx, who, in.RecordingID)
	if errs.IsCode(err, errs.NotFound) {
		if err := who.Require(access.RecordingListen); err != nil {
			return nil, err
		}
		return nil, errs.New(errs.NotFound, "there is no such recording").At("input", "recordingId")
	}
	if err != nil {
		return nil, err
	}
	if in.Language != "" {
		if err := checkLanguage(in.Language); err != nil {
			return nil, err
		}
	}
	var made id.ID
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.DB.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		made, err = job.Once(ctx, tx, job.Key{User: actorOf(who), Mutation: "transcriptCreate", Key: key}, in, func() (id.ID, error) {
			return s.create(ctx, tx, who, r, in)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, made)
}

// own is a transcript that the actor has just worked on.
func (s *Service) own(ctx context.Context, who access.Actor, transcript id.ID) (*Transcript, error) {
	t := &Transcript{}
	err := db.Select(ctx, s.DB.App(), t, `SELECT `+columns+` FROM transcript WHERE organization_id = $1 AND id = $2`, who.OrganizationID, transcript)
	return t, err
}

func (s *Service) create(ctx context.Context, tx *db.Tx, who access.Actor, r *recording.Recording, in Create) (made id.ID, err error) {
	o, err := tenant.Read(ctx, tx)
	if err != nil {
		return made, err
	}
	if err := o.Require(tenant.Transcription); err != nil {
		return made, err
	}
	settings, err := readSettings(ctx, tx, "")
	if err != nil {
		return made, err
	}
	if in.Language == "" {
		in.Language = settings.Language
	}
	if in.Provider == "" {
		in.Provider = s.provider(settings)
	}
	var there []struct {
		ID id.ID `bun:"id,type:uuid"`
	}
	if err := db.Select(ctx, tx, &there, `SELECT id FROM transcript WHERE organization_id = $1 AND recording_id = $2 AND language = $3 AND status NOT IN ('FAILED', 'DELETED')`,
		who.OrganizationID, r.ID, in.Language); err != nil {
		return made, err
	}
	if len(there) > 0 {
		return there[0].ID, nil
	}
	h, err := hearing(ctx, tx, r.ID)
	if err != nil {
		return made, err
	}
	if h == nil || h.MediaState != string(recording.MediaStored) {
		return made, errs.New(errs.Conflict, "the audio of this recording is not here: its mediaState is %s", r.MediaState).At("input", "recordingId")
	}
	own, err := s.secrets(ctx, tx)
	if err != nil {
		return made, err
	}
	if p := s.problem(in.Provider, settings, func(kind string) bool { return own[kind] != "" }); p != "" {
		return made, errs.New(errs.Conflict, "%s in the transcription settings first", p).At("input", "provider")
	}
	seconds := 0
	if h.DurationSeconds != nil {
		seconds = *h.DurationSeconds
	}
	if seconds > settings.MaxSeconds {
		return made, errs.New(errs.LimitReached, "%s", tooLong(seconds, settings.MaxSeconds).why).At("input", "recordingId")
	}
	if m := settings.MonthlyMinutes; m != nil {
		used, err := usedSeconds(ctx, tx, month(o, tx.Now))
		if err != nil {
			return made, err
		}
		if used+int64(max(seconds, 1)) > int64(*m)*60 {
			return made, errs.New(errs.LimitReached, "%s", overCap(*m).why)
		}
	}
	t := h.transcript(who.OrganizationID, in.Provider, in.Language)
	t.CreatedBy = who.UserID
	fresh, err := s.queue(ctx, tx, t)
	if err != nil {
		return made, err
	}
	if !fresh { // somebody else asked at the same moment
		return made, errs.New(errs.Conflict, "this recording is being transcribed already")
	}
	return t.ID, audit.Write(ctx, tx, audit.Entry{ActorID: actorOf(who), Action: "transcript.create", Subject: t.ID, Detail: map[string]any{"recording": r.ID, "provider": t.Provider, "language": t.Language}})
}

// locked is a transcript that the actor sees, locked.
func (s *Service) locked(ctx context.Context, tx *db.Tx, who access.Actor, transcript id.ID) (*Transcript, error) {
	if !who.Can(access.TranscriptView) {
		return nil, errAbsent()
	}
	q := transcripts(who)
	q.and("transcript.id = " + q.arg(transcript))
	q.sql.WriteString(" FOR NO KEY UPDATE")
	t := &Transcript{}
	err := db.Select(ctx, tx, t, q.sql.String(), q.args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errAbsent()
	}
	if err == nil && t.Status == Deleted {
		return nil, errs.New(errs.Conflict, "this transcript was deleted")
	}
	return t, err
}

// edit changes a transcript that the actor sees, under its lock, after what must come
// before any.
func (s *Service) edit(ctx context.Context, who access.Actor, transcript id.ID, fn func(ctx context.Context, tx *db.Tx, t *Transcript) error,
	before ...func(context.Context, *db.Tx) error) (*Transcript, error) {
	if err := who.Require(access.TranscriptEdit); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	if err := s.DB.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		for _, f := range before {
			if err := f(ctx, tx); err != nil {
				return err
			}
		}
		t, err := s.locked(ctx, tx, who, transcript)
		if err != nil {
			return err
		}
		return fn(ctx, tx, t)
	}); err != nil {
		return nil, err
	}
	return s.Get(ctx, who, transcript)
}

// Retry has a failed transcript made after all. Codes: errs.Forbidden, errs.NotFound,
// errs.Conflict unless it failed.
func (s *Service) Retry(ctx context.Context, who access.Actor, transcript id.ID, key string) (_ *Transcript, err error) {
	defer errs.Wrap(&err, "transcript.Retry")
	return s.edit(ctx, who, transcript, func(ctx context.Context, tx *db.Tx, t *Transcript) error {
		_, err := job.Once(ctx, tx, job.Key{User: actorOf(who), Mutation: "transcriptRetry", Key: key}, transcript, func() (id.ID, error) {
			if t.Status != Failed {
				return t.ID, errs.New(errs.Conflict, "only a failed transcript is tried again; this one is %s", t.Status)
			}
			o, err := tenant.Read(ctx, tx)
			if err != nil {
				return t.ID, err
			}
			if err := o.Require(tenant.Transcription); err != nil {
				return t.ID, err
			}
			var state []byte // elsewhere than at Twilio, to try again is to begin anew
			if t.Provider == Twilio {
				if state, err = again(t.FailureCode, t.ProviderState); err != nil {
					return t.ID, err
				}
			}
			n, err := db.Exec(ctx, tx, `UPDATE transcript SET status = 'QUEUED', failure_code = NULL, failure_reason = NULL, attempts = 0, asked_at = NULL,
					provider_state = $4::text::jsonb, provider_ref = $5, due_at = $3, leased_until = NULL,
					version = version + 1, updated_at = $3
				WHERE organization_id = $1 AND id = $2 AND NOT EXISTS (SELECT FROM transcript o WHERE o.organization_id = $1 AND o.recording_id = transcript.recording_id
					AND o.language = transcript.language AND o.status NOT IN ('FAILED', 'DELETED'))`, t.OrganizationID, t.ID, tx.Now, text(state), refOf(t.Provider, state))
			if err != nil {
				return t.ID, err
			}
			if n == 0 {
				return t.ID, errs.New(errs.Conflict, "there is another transcript of this recording in this language already")
			}
			if err := audit.Write(ctx, tx, audit.Entry{ActorID: actorOf(who), Action: "transcript.retry", Subject: t.ID}); err != nil {
				return t.ID, err
			}
			return t.ID, job.Insert(ctx, tx, workArgs{Organization: t.OrganizationID, Transcript: t.ID})
		})
		return err
	})
}

// Update is what changes about a transcript; absent keeps, null clears.
type Update struct {
	Subject    patch.Field[string]
	Categories patch.Field[[]string]
	ContactID  patch.Field[id.ID]
	RecordID   patch.Field[id.ID]
	Version    *int64
}

// Update organises a transcript (R203). Codes: errs.Forbidden, errs.NotFound,
// errs.Conflict for another version and where another link would take it out of a
// legal hold, errs.Invalid.
func (s *Service) Update(ctx context.Context, who access.Actor, transcript id.ID, in Update) (_ *Transcript, err error) {
	defer errs.Wrap(&err, "transcript.Update")
	subject, err := line(in.Subject.Value, maxSubject, "subject")
	if err != nil {
		return nil, err
	}
	categories, err := categoriesOf(in.Categories.Value)
	if err != nil {
		return nil, err
	}
	if err := who.Require(access.TranscriptEdit); err != nil {
		return nil, err
	}
	if in.ContactID.Has() {
		if _, err := s.Contacts.Get(ctx, who, in.ContactID.Value); err != nil {
			return nil, named(err, "there is no such contact", "contactId")
		}
	}
	if in.RecordID.Has() {
		if _, err := s.Contacts.Record(ctx, who, in.RecordID.Value); err != nil {
			return nil, named(err, "there is no such record", "recordId")
		}
	}
	return s.edit(ctx, who, transcript, func(ctx context.Context, tx *db.Tx, t *Transcript) error {
		if in.Version != nil && *in.Version != t.Version {
			return stale(t, "input", "version")
		}
		if in.Subject.Set {
			if t.Subject = &subject; subject == "" {
				t.Subject = nil
			}
		}
		if in.Categories.Set {
			t.Categories = categories
			if _, err := db.Exec(ctx, tx, `DELETE FROM transcript_category WHERE organization_id = $1 AND transcript_id = $2`, t.OrganizationID, t.ID); err != nil {
				return err
			}
			folded := make([]string, len(categories))
			for i, c := range categories {
				folded[i] = fold(c)
			}
			if _, err := db.Exec(ctx, tx, `INSERT INTO transcript_category (organization_id, transcript_id, folded, category) SELECT $1, $2, f, c FROM unnest($3::text[], $4::text[]) u (f, c)`,
				t.OrganizationID, t.ID, folded, categories); err != nil {
				return err
			}
		}
		if err := relink(ctx, tx, t, in); err != nil {
			return err
		}
		if t.Categories == nil {
			t.Categories = []string{}
		}
		if _, err := db.Exec(ctx, tx, `UPDATE transcript SET subject = $3, categories = $4, contact_id = $5, record_id = $6, is_linked_by_hand = is_linked_by_hand OR $7,
				version = version + 1, updated_at = $8 WHERE organization_id = $1 AND id = $2`,
			t.OrganizationID, t.ID, t.Subject, t.Categories, t.ContactID, t.RecordID, in.ContactID.Set || in.RecordID.Set, tx.Now); err != nil {
			return err
		}
		return event.Append(ctx, tx, told(EventUpdated, t, who.UserID))
	}, tenant.BeforeDeleting)
}

// relink links a transcript as a person says, but not out of a legal hold (R226): that
// of whom or what its call is about keeps it wherever it is linked to.
func relink(ctx context.Context, tx *db.Tx, t *Transcript, in Update) error {
	was := *t
	if in.ContactID.Set {
		t.ContactID = in.ContactID.Value
	}
	if in.RecordID.Set {
		t.RecordID = in.RecordID.Value
	}
	if t.ContactID == was.ContactID && t.RecordID == was.RecordID {
		return nil
	}
	var of struct {
		ContactID id.ID `bun:"contact_id,type:uuid,nullzero"`
		RecordID  id.ID `bun:"record_id,type:uuid,nullzero"`
	}
	if err := db.Select(ctx, tx, &of, `SELECT contact_id, record_id FROM call WHERE organization_id = $1 AND id = $2`, t.OrganizationID, t.CallID); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if t.ContactID != was.ContactID && of.ContactID != was.ContactID {
		if err := tenant.MayUnlink(ctx, tx, was.ContactID, "input", "contactId"); err != nil {
			return err
		}
	}
	if t.RecordID != was.RecordID && of.RecordID != was.RecordID {
		return tenant.MayUnlink(ctx, tx, was.RecordID, "input", "recordId")
	}
	return nil
}

func stale(t *Transcript, field ...string) error {
	return errs.New(errs.Conflict, "somebody changed this transcript meanwhile: read it again (version %d) and repeat what is still needed", t.Version).At(field...)
}

func named(err error, message string, field string) error {
	if errs.IsCode(err, errs.NotFound) {
		return errs.New(errs.NotFound, "%s", message).At("input", field)
	}
	return err
}

// line is a short text on one line.
func line(text string, most int, field string) (string, error) {
	text = strings.Join(strings.Fields(text), " ")
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || utf8.RuneCountInString(text) > most {
		return "", errs.New(errs.Invalid, "write %d characters at most", most).At("input", field)
	}
	return text, nil
}

func categoriesOf(in []string) ([]string, error) {
	out, seen := []string{}, map[string]bool{}
	for _, c := range in {
		c, err := line(c, maxCategory, "categories")
		if err != nil {
			return nil, err
		}
		if f := fold(c); f != "" && !seen[f] {
			seen[f] = true
			out = append(out, c)
		}
	}
	if len(out) > maxCategories {
		return nil, errs.New(errs.LimitReached, "a transcript has %d categories at most", maxCategories).At("input", "categories")
	}
	return out, nil
}

// fold is a category as it is compared.
func fold(c string) string { return strings.ToLower(strings.Join(strings.Fields(c), " ")) }

// SegmentChange is one corrected segment; nil keeps.
type SegmentChange struct {
	Index   int
	Text    *string
	Speaker *string
}

// Correct corrects segments of the version that the actor read, and keeps what was
// there before (R201). Codes: errs.Forbidden, errs.NotFound, errs.Conflict for
// another version or a transcript that is not complete, errs.Invalid.
func (s *Service) Correct(ctx context.Context, who access.Actor, transcript id.ID, version int64, in []SegmentChange) (_ *Transcript, err error) {
	defer errs.Wrap(&err, "transcript.Correct")
	if len(in) == 0 || len(in) > maxCorrections {
		return nil, errs.New(errs.Invalid, "correct 1 to %d segments at a time", maxCorrections).At("segments")
	}
	wanted := map[int]SegmentChange{}
	for i, c := range in {
		at := func(e *errs.Error, field string) error { return e.At("segments", count(i), field) }
		if _, twice := wanted[c.Index]; twice {
			return nil, at(errs.New(errs.Invalid, "the segment %d stands here twice", c.Index), "index")
		}
		if c.Text != nil {
			t := strings.Join(strings.Fields(*c.Text), " ")
			if !utf8.ValidString(t) || strings.ContainsRune(t, 0) || utf8.RuneCountInString(t) > maxWordsEach {
				return nil, at(errs.New(errs.Invalid, "a segment has %d characters at most", maxWordsEach), "text")
			}
			c.Text = &t
		}
		if c.Speaker != nil && !speech.ValidSpeaker(*c.Speaker) {
			return nil, at(errs.New(errs.Invalid, "write CALLER, USER or SPEAKER_1 to SPEAKER_99"), "speaker")
		}
		wanted[c.Index] = c
	}
	return s.edit(ctx, who, transcript, func(ctx context.Context, tx *db.Tx, t *Transcript) error {
		switch {
		case t.Status != Completed:
			return errs.New(errs.Conflict, "there is nothing to correct: this transcript is %s", t.Status)
		case version != t.Version:
			return stale(t, "version")
		}
		return s.correct(ctx, tx, who, t, wanted)
	})
}

func (s *Service) correct(ctx context.Context, tx *db.Tx, who access.Actor, t *Transcript, wanted map[int]SegmentChange) error {
	var all []*Segment
	if err := db.Select(ctx, tx, &all, `SELECT transcript_id, position, start_ms, end_ms, speaker, text, original_text, confidence FROM transcript_segment
		WHERE organization_id = $1 AND transcript_id = $2 ORDER BY position`, t.OrganizationID, t.ID); err != nil {
		return err
	}
	var (
		changes   []*Change
		positions []int
		texts     []string
		who2      []string
		originals []*string
		lines     = make([]string, len(all))
	)
	for i, x := range all {
		c, ok := wanted[x.Index]
		delete(wanted, x.Index)
		if ok {
			change := &Change{Index: x.Index, TextBefore: x.Text, TextAfter: x.Text, SpeakerBefore: x.Speaker, SpeakerAfter: x.Speaker}
			if c.Text != nil {
				change.TextAfter = *c.Text
			}
			if c.Speaker != nil {
				change.SpeakerAfter = *c.Speaker
			}
			if change.TextAfter != x.Text || change.SpeakerAfter != x.Speaker {
				original := x.OriginalText
				if original == nil && change.TextAfter != x.Text {
					before := x.Text
					original = &before
				}
				if original != nil && *original == change.TextAfter {
					original = nil // the provider's own words again
				}
				x.Text = change.TextAfter
				changes, positions, texts = append(changes, change), append(positions, x.Index), append(texts, change.TextAfter)
				who2, originals = append(who2, change.SpeakerAfter), append(originals, original)
			}
		}
		lines[i] = x.Text
	}
	for i := range wanted {
		return errs.New(errs.NotFound, "there is no segment %d; the last one is %d", i, len(all)-1).At("segments")
	}
	if len(changes) == 0 {
		return nil
	}
	if _, err := db.Exec(ctx, tx, `UPDATE transcript_segment x SET text = u.t, speaker = u.w, original_text = u.o
		FROM unnest($3::int[], $4::text[], $5::text[], $6::text[]) u (p, t, w, o) WHERE x.organization_id = $1 AND x.transcript_id = $2 AND x.position = u.p`,
		t.OrganizationID, t.ID, positions, texts, who2, originals); err != nil {
		return err
	}
	b, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	if _, err := db.Exec(ctx, tx, `INSERT INTO transcript_correction (organization_id, id, transcript_id, version, user_id, at, changes) VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)`,
		t.OrganizationID, id.New(id.Fact), t.ID, t.Version+1, who.UserID, tx.Now, string(b)); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, tx, `UPDATE transcript SET is_corrected = true, words = to_tsvector('simple', $3::text), version = version + 1, updated_at = $4
		WHERE organization_id = $1 AND id = $2`, t.OrganizationID, t.ID, indexed(lines), tx.Now); err != nil {
		return err
	}
	return event.Append(ctx, tx, told(EventUpdated, t, who.UserID))
}

// NewNote is a note to be written.
type NewNote struct {
	Text         string
	Flag         *Flag
	SegmentIndex *int
	AtMs         *int
}

// AddNote writes a note on a transcript, or flags a point of it (R202). Codes:
// errs.Forbidden, errs.NotFound, errs.Required, errs.Invalid, errs.LimitReached.
func (s *Service) AddNote(ctx context.Context, who access.Actor, transcript id.ID, in NewNote, key string) (_ *Note, err error) {
	defer errs.Wrap(&err, "transcript.AddNote")
	in.Text = strings.TrimSpace(in.Text)
	switch {
	case in.Text == "" && in.Flag == nil:
		return nil, errs.New(errs.Required, "write a note, or choose a flag").At("input", "text")
	case !utf8.ValidString(in.Text) || strings.ContainsRune(in.Text, 0) || utf8.RuneCountInString(in.Text) > maxNote:
		return nil, errs.New(errs.Invalid, "a note has %d characters at most", maxNote).At("input", "text")
	case in.AtMs != nil && (*in.AtMs < 0 || *in.AtMs > 1e9):
		return nil, errs.New(errs.Invalid, "atMs counts milliseconds from the start of the recording").At("input", "atMs")
	}
	var made id.ID
	if _, err := s.edit(ctx, who, transcript, func(ctx context.Context, tx *db.Tx, t *Transcript) error {
		if in.SegmentIndex != nil && (*in.SegmentIndex < 0 || *in.SegmentIndex >= t.SegmentCount) {
			return errs.New(errs.NotFound, "there is no segment %d", *in.SegmentIndex).At("input", "segmentIndex")
		}
		made, err = job.Once(ctx, tx, job.Key{User: actorOf(who), Mutation: "transcriptNoteAdd", Key: key}, map[string]any{"id": transcript, "note": in}, func() (id.ID, error) {
			var n int
			if err := db.Select(ctx, tx, &n, `SELECT count(*) FROM transcript_note WHERE organization_id = $1 AND transcript_id = $2`, t.OrganizationID, t.ID); err != nil {
				return id.ID{}, err
			}
			if n >= maxNotes {
				return id.ID{}, errs.New(errs.LimitReached, "a transcript has %d notes at most; delete some", maxNotes)
			}
			x := id.New(id.TranscriptNote)
			if _, err := db.Exec(ctx, tx, `INSERT INTO transcript_note (organization_id, id, transcript_id, text, flag, segment_index, at_ms, author_id, created_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, t.OrganizationID, x, t.ID, in.Text, in.Flag, in.SegmentIndex, in.AtMs, who.UserID, tx.Now); err != nil {
				return id.ID{}, err
			}
			return x, event.Append(ctx, tx, told(EventUpdated, t, who.UserID))
		})
		return err
	}); err != nil {
		return nil, err
	}
	return s.Note(ctx, who, made)
}

// ResolveNote marks a note as dealt with, or opens it again. Doing so twice changes
// nothing. Codes: errs.Forbidden, errs.NotFound.
func (s *Service) ResolveNote(ctx context.Context, who access.Actor, note id.ID, resolved bool) (_ *Note, err error) {
	defer errs.Wrap(&err, "transcript.ResolveNote")
	if err := who.Require(access.TranscriptEdit); err != nil {
		return nil, err
	}
	n, err := s.Note(ctx, who, note)
	if err != nil {
		return nil, err
	}
	if _, err := s.edit(ctx, who, n.TranscriptID, func(ctx context.Context, tx *db.Tx, t *Transcript) error {
		k, err := db.Exec(ctx, tx, `UPDATE transcript_note SET resolved_at = CASE WHEN $3::boolean THEN $4::timestamptz END, resolved_by = CASE WHEN $3::boolean THEN $5::uuid END
			WHERE organization_id = $1 AND id = $2 AND (resolved_at IS NOT NULL) <> $3::boolean`, t.OrganizationID, note, resolved, tx.Now, who.UserID)
		if err != nil || k == 0 {
			return err
		}
		return event.Append(ctx, tx, told(EventUpdated, t, who.UserID))
	}); err != nil {
		return nil, err
	}
	return s.Note(ctx, who, note)
}

// DeleteNote deletes a note: one's own, or anybody's with TRANSCRIPT_DELETE. Codes:
// errs.Forbidden, errs.NotFound.
func (s *Service) DeleteNote(ctx context.Context, who access.Actor, note id.ID) (err error) {
	defer errs.Wrap(&err, "transcript.DeleteNote")
	if err := who.Require(access.TranscriptEdit); err != nil {
		return err
	}
	n, err := s.Note(ctx, who, note)
	if err != nil {
		return err
	}
	if n.AuthorID.IsZero() || n.AuthorID != who.UserID {
		if err := who.Require(access.TranscriptDelete); err != nil {
			return errs.New(errs.Forbidden, "this is another's note: deleting it needs the permission %s", access.TranscriptDelete)
		}
	}
	return s.DB.InTxAgain(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if err := tenant.BeforeDeleting(ctx, tx); err != nil {
			return err
		}
		t, err := s.locked(ctx, tx, who, n.TranscriptID)
		if err != nil {
			return err
		}
		var held bool
		if err := db.Select(ctx, tx, &held, `SELECT `+Held+` FROM transcript WHERE organization_id = $1 AND id = $2`, t.OrganizationID, t.ID); err != nil {
			return err
		}
		if held {
			return errs.New(errs.Conflict, "a legal hold keeps this transcript and its notes")
		}
		if _, err := db.Exec(ctx, tx, `DELETE FROM transcript_note WHERE organization_id = $1 AND id = $2`, t.OrganizationID, note); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Entry{ActorID: actorOf(who), Action: "transcript.note.delete", Subject: t.ID}); err != nil {
			return err
		}
		return event.Append(ctx, tx, told(EventUpdated, t, who.UserID))
	})
}
