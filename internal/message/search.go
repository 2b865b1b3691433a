package message

import (
	"context"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/id"
)

const (
	// searchReach is how many of the newest messages with the words are looked
	// through for those that somebody sees.
	searchReach = 10_000
	// fewestDigits are as many as a search for a part of a number takes.
	fewestDigits = 3
)

// digitsOf are the digits of what may be a part of a phone number, without the
// zeros that begin a number at home; empty for anything else.
func digitsOf(typed string) string {
	var digits strings.Builder
	for _, r := range typed {
		switch {
		case r >= '0' && r <= '9':
			digits.WriteRune(r)
		case !strings.ContainsRune(" +-()./\u00a0", r):
			return ""
		}
	}
	if d := strings.TrimLeft(digits.String(), "0"); len(d) >= fewestDigits {
		return d
	}
	return ""
}

// searchThreads narrows the threads t to those with the words in a message that
// the actor reads, with a contact whose name begins with them, or with their
// digits in the other end's number.
func (q *query) searchThreads(who access.Actor, f Filter) error {
	words, _, err := db.Words(f.Search, "filter", "search")
	if err != nil {
		return err
	}
	read := q.readable(who)
	var found string
	if narrow := who.Visibility == access.SeesOwn && !who.System || !f.ContactID.IsZero() || f.Number != ""; narrow {
		// There are few threads to look through.
		if read != "" {
			read = " AND " + read
		}
		found = `EXISTS (SELECT FROM message m
    WHERE m.organization_id = $1 AND m.thread_id = t.id AND to_tsvector('simple', m.body) @@ to_tsquery('simple', ` + q.arg(words) + `)` + read + `)`
	} else if read == "" {
		found = `t.id IN (SELECT h.thread_id FROM message_search(` + q.arg(words) + `, 'infinity', NULL, ` + q.arg(searchReach) + `) h)`
	} else {
		found = `t.id IN (SELECT m.thread_id FROM message_search(` + q.arg(words) + `, 'infinity', NULL, ` + q.arg(searchReach) + `) h
    JOIN message m ON m.organization_id = $1 AND m.id = h.message_id
    JOIN sms_thread t ON t.organization_id = $1 AND t.id = m.thread_id WHERE ` + read + `)`
	}
	if who.Can(access.ContactView) {
		name := q.arg(strings.TrimSpace(f.Search))
		// A range of bytes, which an index serves whatever was typed.
		found += ` OR t.contact_id IN (SELECT k.id FROM contact k
    WHERE k.organization_id = $1 AND lower(k.name) ~>=~ lower(` + name + `::text) AND lower(k.name) ~<~ (lower(` + name + `::text) || chr(1114111))` + strings.ReplaceAll(contact.NamedFor(who), "c.name", "k.name") + `)`
	}
	if d := digitsOf(f.Search); d != "" {
		found += ` OR ` + q.byNumber(who, d, true)
	}
	q.and("(" + found + ")")
	return nil
}

// searchMessages reads messages with the words. Where nothing else leads to few
// messages the index of words does, through message_search; it knows nothing of
// what the actor reads, so more is asked of it until there is enough, within reach.
func (s *Service) searchMessages(ctx context.Context, who access.Actor, f LogFilter, after db.Keyset, limit int) ([]*Message, error) {
	words, _, err := db.Words(f.Search, "filter", "search")
	if err != nil {
		return nil, err
	}
	for _, x := range []id.ID{f.ThreadID, f.ContactID, f.RecordID, f.BulkID, f.AutomationID} {
		if !x.IsZero() {
			return s.history(ctx, who, f, after, limit, nil, words)
		}
	}
	if who.Visibility == access.SeesOwn && !who.System || f.Number != "" {
		return s.history(ctx, who, f, after, limit, nil, words)
	}
	rows := []*Message{}
	if !f.Until.IsZero() && f.Until.Before(after.At) {
		after = db.Keyset{At: f.Until, ID: id.ID{}}
	}
	for ask, left := limit, searchReach; left > 0; ask *= 10 {
		ask = min(ask, left)
		left -= ask
		var hits []struct {
			At        time.Time `bun:"at"`
			MessageID id.ID     `bun:"message_id"`
		}
		q := selectFor(who, "")
		q.args = nil // the function knows the tenant
		q.sql.WriteString(`SELECT h.message_id, h.at FROM message_search(` + q.arg(words) + `, ` + q.arg(after.At) + `, ` + q.arg(after.ID) + `, ` + q.arg(ask) + `) h
ORDER BY h.at DESC, h.message_id DESC`)
		if err := q.into(ctx, s.db.App(), who, &hits); err != nil {
			return nil, err
		}
		if len(hits) == 0 {
			break
		}
		ids := make([]id.ID, len(hits))
		for i, h := range hits {
			ids[i] = h.MessageID
		}
		more, err := s.history(ctx, who, f, after, limit-len(rows), ids, "")
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
		last := hits[len(hits)-1]
		after = db.Keyset{At: last.At, ID: last.MessageID}
		if len(rows) >= limit || len(hits) < ask || !f.From.IsZero() && after.At.Before(f.From) {
			break
		}
	}
	return rows, nil
}
