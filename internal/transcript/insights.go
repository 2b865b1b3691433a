package transcript

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/speech"
)

const (
	// maxRead and maxReadEach bound what insights read: the newest transcripts, and
	// the beginning of each.
	maxRead     = 1000
	maxReadEach = 10_000
	maxThemes   = 30
	maxIssues   = 30
	maxCounts   = 50
	maxOpen     = 50
	maxOfIssue  = 10
	longest     = 366 * 24 * time.Hour
	// A theme rises when its share is so much larger than before, and it is no accident.
	rises, fewest = 1.5, 3
)

// Range is what insights look at.
type Range struct {
	From, Until time.Time
	Filter      Filter // of it: user, branch, number, contact, category, source
	CallerOnly  bool
}

// doc is one transcript as insights read it.
type doc struct {
	ID         id.ID     `bun:"id,type:uuid"`
	ContactID  id.ID     `bun:"contact_id,type:uuid,nullzero"`
	RecordID   id.ID     `bun:"record_id,type:uuid,nullzero"`
	Language   string    `bun:"language"`
	Categories []string  `bun:"categories,array"`
	RecordedAt time.Time `bun:"recorded_at"`
	Text       string    `bun:"text"`

	terms map[string]bool
}

// Insights are what customers talk about (R219). The work is bounded: of many
// transcripts the newest are read, and the answer says how many. Codes:
// errs.Forbidden, errs.Invalid.
func (s *Service) Insights(ctx context.Context, who access.Actor, r Range) (_ *Insights, err error) {
	defer errs.Wrap(&err, "transcript.Insights")
	if err := who.Require(access.TranscriptView); err != nil {
		return nil, err
	}
	switch {
	case !r.From.Before(r.Until):
		return nil, errs.New(errs.Invalid, "from must lie before until").At("filter", "from")
	case r.Until.Sub(r.From) > longest:
		return nil, errs.New(errs.Invalid, "look at 366 days at most").At("filter", "until")
	}
	if err := r.Filter.check(); err != nil {
		return nil, err
	}
	r.Filter.Statuses = []Status{Completed}
	out := &Insights{Themes: []*Theme{}, RepeatedIssues: []*Issue{}, Categories: []*CategoryCount{}, Flags: []*FlagCount{}, Users: []*UserCount{}, OpenNotes: []*Note{}}
	err = s.DB.InSnapshot(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		now, before := r.Filter, r.Filter
		now.From, now.Until = r.From, r.Until
		before.From, before.Until = r.From.Add(r.From.Sub(r.Until)), r.From
		if err := s.counts(ctx, tx, who, now, out); err != nil {
			return err
		}
		docs, err := read(ctx, tx, who, now, r.CallerOnly)
		if err != nil {
			return err
		}
		former, err := read(ctx, tx, who, before, r.CallerOnly)
		if err != nil {
			return err
		}
		out.ReadCount = len(docs)
		out.IsComplete = out.ReadCount >= out.TranscriptCount
		out.Themes = themes(docs, former)
		out.RepeatedIssues = issues(docs, out.Themes)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, s.resolve(ctx, who, out)
}

// scope is a query of what the actor sees within a filter, for counting.
func scope(who access.Actor, selected, joins string, f Filter) *query {
	q := &query{}
	q.sql.WriteString("SELECT " + selected + " FROM transcript" + joins + " WHERE transcript.organization_id = " + q.arg(who.OrganizationID))
	q.and(SeenBy("transcript", who, q.arg))
	q.and(f.Where(q.arg))
	return q
}

func (s *Service) counts(ctx context.Context, tx *db.Tx, who access.Actor, f Filter, out *Insights) error {
	var total struct {
		Count   int   `bun:"n"`
		Seconds int64 `bun:"seconds"`
	}
	q := scope(who, "count(*) AS n, coalesce(sum(transcript.duration_seconds), 0) AS seconds", "", f)
	if err := db.Select(ctx, tx, &total, q.sql.String(), q.args...); err != nil {
		return err
	}
	out.TranscriptCount, out.Minutes = total.Count, int((total.Seconds+59)/60)

	var cats []struct {
		Category string `bun:"category"`
		Count    int    `bun:"n"`
	}
	q = scope(who, "min(k.category) AS category, count(*) AS n", " JOIN transcript_category k ON k.organization_id = transcript.organization_id AND k.transcript_id = transcript.id", f)
	q.sql.WriteString(" GROUP BY k.folded ORDER BY n DESC, k.folded LIMIT " + q.arg(maxCounts))
	if err := db.Select(ctx, tx, &cats, q.sql.String(), q.args...); err != nil {
		return err
	}
	for _, c := range cats {
		out.Categories = append(out.Categories, &CategoryCount{c.Category, c.Count})
	}

	var flags []struct {
		Flag  Flag `bun:"flag"`
		Count int  `bun:"n"`
		Open  int  `bun:"open"`
	}
	notes := " JOIN transcript_note note ON note.organization_id = transcript.organization_id AND note.transcript_id = transcript.id"
	q = scope(who, "note.flag, count(*) AS n, count(*) FILTER (WHERE note.resolved_at IS NULL) AS open", notes, f)
	q.sql.WriteString(" AND note.flag IS NOT NULL GROUP BY note.flag ORDER BY n DESC, note.flag")
	if err := db.Select(ctx, tx, &flags, q.sql.String(), q.args...); err != nil {
		return err
	}
	for _, x := range flags {
		out.Flags = append(out.Flags, &FlagCount{x.Flag, x.Count, x.Open})
	}

	var users []struct {
		UserID  id.ID `bun:"user_id,type:uuid"`
		Count   int   `bun:"n"`
		Seconds int64 `bun:"seconds"`
	}
	q = scope(who, "transcript.user_id, count(*) AS n, coalesce(sum(transcript.duration_seconds), 0) AS seconds", "", f)
	q.sql.WriteString(" AND transcript.user_id IS NOT NULL GROUP BY transcript.user_id ORDER BY n DESC, transcript.user_id LIMIT " + q.arg(maxCounts))
	if err := db.Select(ctx, tx, &users, q.sql.String(), q.args...); err != nil {
		return err
	}
	for _, u := range users {
		out.Users = append(out.Users, &UserCount{u.UserID, u.Count, int((u.Seconds + 59) / 60)})
	}

	var open []*Note
	q = scope(who, noteColumns, notes, f)
	q.sql.WriteString(" AND note.resolved_at IS NULL ORDER BY note.created_at DESC, note.id DESC LIMIT " + q.arg(maxOpen))
	if err := db.Select(ctx, tx, &open, q.sql.String(), q.args...); err != nil {
		return err
	}
	if len(open) > 0 {
		out.OpenNotes = open
	}
	return nil
}

// read reads the newest transcripts with their words.
func read(ctx context.Context, tx *db.Tx, who access.Actor, f Filter, callerOnly bool) (docs []*doc, err error) {
	q := scope(who, "transcript.id, transcript.contact_id, transcript.record_id, transcript.language, transcript.categories, transcript.recorded_at", "", f)
	q.sql.WriteString(" ORDER BY transcript.recorded_at DESC, transcript.id DESC LIMIT " + q.arg(maxRead))
	speaker := ""
	if callerOnly {
		speaker = " AND x.speaker = " + q.arg(speech.Caller)
	}
	err = db.Select(ctx, tx, &docs, `SELECT t.*, coalesce((SELECT left(string_agg(x.text, E'\n' ORDER BY x.position), `+q.arg(maxReadEach)+`) FROM transcript_segment x
		WHERE x.organization_id = $1 AND x.transcript_id = t.id`+speaker+`), '') AS text FROM (`+q.sql.String()+`) t ORDER BY t.recorded_at DESC, t.id DESC`, q.args...)
	for _, d := range docs {
		d.terms = termsOf(d.Text, d.Language)
	}
	return docs, err
}

// termsOf are the words of a text and the pairs that follow each other, without the
// words that every text has.
func termsOf(text, language string) map[string]bool {
	out := map[string]bool{}
	lang, _, _ := strings.Cut(language, "-")
	former := ""
	for _, line := range strings.Split(text, "\n") {
		former = ""
		for _, w := range strings.FieldsFunc(strings.ToLower(line), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' && r != '’' }) {
			w = strings.Trim(w, "'’")
			if i := strings.IndexAny(w, "'’"); i > 0 { // he's, l'eau
				w = w[:i]
			}
			if len([]rune(w)) < 3 || len(w) > 60 || isStop(w, lang) || !strings.ContainsFunc(w, unicode.IsLetter) {
				former = ""
				continue
			}
			out[w] = true
			if former != "" && former != w {
				out[former+" "+w] = true
			}
			former = w
		}
	}
	return out
}

func frequencies(docs []*doc) map[string]int {
	n := map[string]int{}
	for _, d := range docs {
		for t := range d.terms {
			n[t]++
		}
	}
	return n
}

// themes are the most frequent terms, by how many transcripts hold them. A pair
// stands for its words where they hardly come without each other.
func themes(docs, former []*doc) []*Theme {
	now, before := frequencies(docs), frequencies(former)
	var all []*Theme
	for words, n := range now {
		if n < 2 {
			continue
		}
		share := float64(n) / float64(len(docs))
		was := 0.0
		if len(former) > 0 {
			was = float64(before[words]) / float64(len(former))
		}
		all = append(all, &Theme{Words: words, TranscriptCount: n, PreviousCount: before[words], IsRising: n >= fewest && share >= rises*was})
	}
	absorbed := map[string]bool{}
	for _, t := range all {
		if a, b, pair := strings.Cut(t.Words, " "); pair {
			for _, w := range []string{a, b} {
				if 10*t.TranscriptCount >= 8*now[w] {
					absorbed[w] = true
				}
			}
		}
	}
	all = slices.DeleteFunc(all, func(t *Theme) bool { return absorbed[t.Words] })
	slices.SortFunc(all, func(a, b *Theme) int {
		return cmp.Or(cmp.Compare(b.TranscriptCount, a.TranscriptCount), cmp.Compare(strings.Count(b.Words, " "), strings.Count(a.Words, " ")), cmp.Compare(a.Words, b.Words))
	})
	if all == nil {
		all = []*Theme{}
	}
	return all[:min(len(all), maxThemes)]
}

// issues are contacts and records with several transcripts that share a theme or a
// category; one issue for the same transcripts.
func issues(docs []*doc, found []*Theme) []*Issue {
	type key struct {
		contact, record id.ID
		words           string
		category        bool
	}
	by := map[key][]*doc{}
	var order []key
	add := func(k key, d *doc) {
		if len(by[k]) == 0 {
			order = append(order, k)
		}
		by[k] = append(by[k], d)
	}
	for _, d := range docs {
		var words []key
		for _, c := range d.Categories {
			words = append(words, key{words: fold(c), category: true})
		}
		for _, t := range found {
			if d.terms[t.Words] {
				words = append(words, key{words: t.Words})
			}
		}
		for _, w := range words {
			if !d.ContactID.IsZero() {
				w.contact, w.record = d.ContactID, id.ID{}
				add(w, d)
			}
			if !d.RecordID.IsZero() {
				w.contact, w.record = id.ID{}, d.RecordID
				add(w, d)
			}
		}
	}
	out := []*Issue{}
	same := map[string]bool{} // of the same owner with the same transcripts: one is enough
	slices.SortStableFunc(order, func(a, b key) int {
		byKind := 0
		if a.category != b.category {
			byKind = 1
			if a.category {
				byKind = -1
			}
		}
		return cmp.Or(cmp.Compare(len(by[b]), len(by[a])), byKind, cmp.Compare(strings.Count(b.words, " "), strings.Count(a.words, " ")), cmp.Compare(a.words, b.words))
	})
	for _, k := range order {
		list := by[k]
		if len(list) < 2 {
			continue
		}
		var sign strings.Builder
		sign.WriteString(k.contact.String() + k.record.String())
		for _, d := range list {
			sign.WriteString(d.ID.String())
		}
		if same[sign.String()] {
			continue
		}
		same[sign.String()] = true
		i := &Issue{Words: k.words, IsCategory: k.category, ContactID: k.contact, RecordID: k.record, TranscriptCount: len(list), LastAt: list[0].RecordedAt}
		for _, d := range list[:min(len(list), maxOfIssue)] {
			i.Transcripts = append(i.Transcripts, &Transcript{ID: d.ID})
		}
		if out = append(out, i); len(out) == maxIssues {
			break
		}
	}
	return out
}

// resolve reads the transcripts that issues name.
func (s *Service) resolve(ctx context.Context, who access.Actor, out *Insights) error {
	var ids []id.ID
	for _, i := range out.RepeatedIssues {
		for _, t := range i.Transcripts {
			ids = append(ids, t.ID)
		}
	}
	found, err := s.Visible(ctx, who, ids)
	if err != nil {
		return err
	}
	for _, i := range out.RepeatedIssues {
		some := i.Transcripts
		i.Transcripts = []*Transcript{}
		for _, t := range some {
			if x := found[t.ID]; x != nil {
				i.Transcripts = append(i.Transcripts, x)
			}
		}
	}
	return nil
}
