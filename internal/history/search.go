package history

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/phone"
	"switchboard/internal/transcript"
)

const (
	// reach is how many of the newest rows with the words are looked through for
	// those that somebody sees, in one search of one kind.
	reach = 10_000
	// excerptLength is how many characters around the first word are shown.
	excerptLength = 200
)

// found is one row that a search found.
type found struct {
	ID   id.ID     `bun:"id"`
	At   time.Time `bun:"at"`
	Text string    `bun:"text"`
	Seen bool      `bun:"seen"`
}

// shelf is what one kind is searched by: a function of the owner that gives ids by
// the index of words, and the rows x of them that the actor sees.
type shelf struct {
	kind  HitKind
	needs access.Permission
	find  string // the function, with its column of ids
	key   string
	join  string
	text  string
	seen  func(who access.Actor, arg func(any) string) string
	// shown, where words may stand in what is hidden from the actor, is whether they stand in the rest.
	shown func(who access.Actor, words string, arg func(any) string) string
}

var shelves = []shelf{
	{ContactHit, access.ContactView, "contact_search", "id", "JOIN contact c ON c.organization_id = $1 AND c.id = h.id", "''",
		func(who access.Actor, _ func(any) string) string { return "true" + contact.Own(who) }, inShown},
	{RecordHit, access.ContactView, "record_search", "id", "JOIN record x ON x.organization_id = $1 AND x.id = h.id", "''",
		func(who access.Actor, arg func(any) string) string { return contact.RecordSeenBy("x", who, arg) }, nil},
	{CallHit, access.CallView, "call_search", "id", "JOIN call x ON x.organization_id = $1 AND x.id = h.id", "coalesce(x.outcome, '') || ' ' || coalesce(x.notes, '')",
		func(who access.Actor, arg func(any) string) string { return call.SeenBy("x", who, arg) }, nil},
	{MessageHit, access.SMSView, "message_search", "message_id",
		"JOIN message m ON m.organization_id = $1 AND m.id = h.message_id JOIN sms_thread t ON t.organization_id = $1 AND t.id = m.thread_id", "m.body",
		func(who access.Actor, arg func(any) string) string { return cmp.Or(message.Sight(who, arg), "true") }, nil},
	{TranscriptHit, access.TranscriptView, "transcript_search", "transcript_id", "JOIN transcript x ON x.organization_id = $1 AND x.id = h.transcript_id",
		`coalesce((SELECT string_agg(s.text, ' ' ORDER BY s.position) FROM transcript_segment s WHERE s.organization_id = $1 AND s.transcript_id = x.id), '')`,
		func(who access.Actor, arg func(any) string) string { return transcript.SeenBy("x", who, arg) }, nil},
}

// inShown is whether words stand in what the actor reads of the contact c: its e-mail,
// place and a name that is a number confirm nothing to who sees no details (R241).
func inShown(who access.Actor, words string, arg func(any) string) string {
	if !who.HidesContactDetails() {
		return "true"
	}
	return `to_tsvector('simple', c.name || ' ' || coalesce(c.company, '') || ' ' || coalesce(c.external_id, '') || ' ' || coalesce(c.service, '') || ' ' ||
		tag_words(c.tags)) @@ to_tsquery('simple', ` + arg(words) + `)` + contact.NamedFor(who)
}

// Search looks through contacts, records, calls, messages and transcripts at once,
// newest first (R178, R204, R278). A kind that the actor may not read is left out.
// Digits find contacts and calls by their number, unless numbers are hidden from
// the actor (R241). Codes: errs.Invalid.
func (s *Service) Search(ctx context.Context, who access.Actor, text string, kinds []HitKind, p db.Page) (w db.Window[*Hit], err error) {
	defer errs.Wrap(&err, "history.Search")
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	words, _, err := db.Words(text, "text")
	if err != nil {
		return w, err
	}
	ctx = access.With(ctx, who)
	hits := map[id.ID]*Hit{}
	for _, x := range shelves {
		if !who.Can(x.needs) || kinds != nil && !slices.Contains(kinds, x.kind) {
			continue
		}
		rows, err := s.look(ctx, who, x, words, after, limit+1)
		if err != nil {
			return w, err
		}
		for _, r := range rows {
			hits[r.ID] = &Hit{Kind: x.kind, At: r.At, NodeID: r.ID, Excerpt: excerpt(r.Text, text)}
		}
	}
	if number, ok, err := s.number(ctx, who, text); err != nil {
		return w, err
	} else if ok {
		if err := s.byNumber(ctx, who, number, kinds, after, limit+1, hits); err != nil {
			return w, err
		}
	}
	rows := make([]*Hit, 0, len(hits))
	for _, h := range hits {
		rows = append(rows, h)
	}
	slices.SortFunc(rows, func(a, b *Hit) int {
		return cmp.Or(b.At.Compare(a.At), slices.Compare(bytes(b.NodeID), bytes(a.NodeID)))
	})
	return db.NewWindow(rows[:min(len(rows), limit+1)], limit, func(h *Hit) db.Keyset { return db.Keyset{At: h.At, ID: h.NodeID} }), nil
}

func bytes(x id.ID) []byte { u := x.UUID(); return u[:] }

// look reads rows of one kind with the words. The function knows nothing of what
// the actor sees, so more is asked of it until there is enough, within reach.
func (s *Service) look(ctx context.Context, who access.Actor, x shelf, words string, after db.Keyset, limit int) (rows []found, err error) {
	for n, left := limit, reach; left > 0 && len(rows) < limit; n *= 10 {
		n = min(n, left)
		left -= n
		q := ask(who)
		seen := x.seen(who, q.arg)
		if x.shown != nil {
			seen += " AND " + x.shown(who, words, q.arg)
		}
		sql := "SELECT h." + x.key + " AS id, h.at, CASE WHEN seen.it THEN " + x.text + " ELSE '' END AS text, seen.it AS seen FROM " + x.find + "(" + q.arg(words) + ", " + q.arg(after.At) + ", " +
			q.arg(after.ID) + ", " + q.arg(n) + ") h " + x.join + " CROSS JOIN LATERAL (SELECT (" + seen + ") AS it) seen WHERE $2::uuid IS NULL OR true ORDER BY h.at DESC, h." + x.key + " DESC"
		var page []found
		if err := db.Select(ctx, s.db.App(), &page, sql, q.args...); err != nil {
			return nil, err
		}
		for _, r := range page {
			if r.Seen && len(rows) < limit {
				rows = append(rows, r)
			}
		}
		if len(page) < n {
			break
		}
		after = db.Keyset{At: page[len(page)-1].At, ID: page[len(page)-1].ID}
	}
	return rows, nil
}

// number is what was typed as a number, if it is one and the actor sees numbers.
func (s *Service) number(ctx context.Context, who access.Actor, text string) (phone.E164, bool, error) {
	if who.HidesContactDetails() || strings.ContainsFunc(text, unicode.IsLetter) {
		return "", false, nil
	}
	country, err := s.country(ctx)
	if err != nil {
		return "", false, err
	}
	n, err := phone.Parse(text, country)
	return n, err == nil, nil
}

// byNumber adds contacts with a number and calls from and to it.
func (s *Service) byNumber(ctx context.Context, who access.Actor, n phone.E164, kinds []HitKind, after db.Keyset, limit int, hits map[id.ID]*Hit) error {
	for _, x := range []struct {
		kind  HitKind
		needs access.Permission
		sql   string
		at    string
		seen  func(arg func(any) string) string
	}{
		{ContactHit, access.ContactView, `SELECT c.id, c.created_at AS at FROM contact_phone p JOIN contact c ON c.organization_id = p.organization_id AND c.id = p.contact_id
WHERE p.organization_id = $1 AND p.e164 = $3`, "c.created_at, c.id", func(func(any) string) string { return "true" + contact.Own(who) + contact.Unmasked(who) }},
		{CallHit, access.CallView, `SELECT c.id, c.started_at AS at FROM call c LEFT JOIN masked_pair m ON m.organization_id = c.organization_id AND m.id = c.masked_pair_id
WHERE c.organization_id = $1 AND (CASE WHEN c.direction = 'INBOUND' THEN c.from_number ELSE c.to_number END) = $3`,
			"c.started_at, c.id", func(arg func(any) string) string { return call.SeenBy("c", who, arg) + " AND " + unmasked(who) }},
	} {
		if !who.Can(x.needs) || kinds != nil && !slices.Contains(kinds, x.kind) {
			continue
		}
		q := ask(who)
		q.args = append(q.args, string(n))
		sql := x.sql + " AND $2::uuid IS NOT DISTINCT FROM $2::uuid AND " + x.seen(q.arg) + " AND (" + x.at + ") < (" + q.arg(after.At) + ", " + q.arg(after.ID) + ") ORDER BY " +
			strings.ReplaceAll(x.at, ",", " DESC,") + " DESC LIMIT " + q.arg(limit)
		var rows []found
		if err := db.Select(ctx, s.db.App(), &rows, sql, q.args...); err != nil {
			return err
		}
		for _, r := range rows {
			hits[r.ID] = &Hit{Kind: x.kind, At: r.At, NodeID: r.ID}
		}
	}
	return nil
}

// unmasked is whether the actor reads the number $3 of the call c with the masked
// pair m, as call.Hides says of each (R103); who calls by their own phone is not
// found by it.
func unmasked(who access.Actor) string {
	if !who.Can(access.ContactView) {
		return "m.id IS NULL"
	}
	return "(m.id IS NULL OR m.user_id IS DISTINCT FROM $2 AND m.fieldworker_number <> $3)"
}

// excerpt is what stands around the first of the words; nil where it does not stand
// as it was typed.
func excerpt(text, typed string) *string {
	runes, lower := []rune(text), []rune(strings.ToLower(text))
	if len(lower) != len(runes) { // letters whose small form is longer
		lower = runes
	}
	at := -1
	for _, w := range strings.Fields(strings.ToLower(typed)) {
		if i := indexRunes(lower, []rune(w)); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	from := max(0, at-excerptLength/4)
	to := min(len(runes), from+excerptLength)
	out := strings.TrimSpace(string(runes[from:to]))
	if from > 0 {
		out = "…" + out
	}
	if to < len(runes) {
		out += "…"
	}
	return &out
}

func indexRunes(text, word []rune) int {
	for i := 0; i+len(word) <= len(text); i++ {
		if slices.Equal(text[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}
