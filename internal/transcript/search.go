package transcript

import (
	"context"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
)

const (
	// searchReach is how many of the newest transcripts with the words are looked
	// through for those that somebody sees.
	searchReach = 10_000
	// maxMatches is how many segments of a transcript are named.
	maxMatches = 100
	// maxIndexed is how much of a transcript is found by its words, in bytes: what
	// PostgreSQL takes into one tsvector.
	maxIndexed = 400 << 10
)

// indexed is the text that a transcript is found by.
func indexed(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		if b.Len()+len(l)+1 > maxIndexed {
			break
		}
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.String()
}

// search reads transcripts with the words. Where something else leads to few of them
// they are looked through; else the index of words is asked, through transcript_search.
// It knows nothing of what the actor sees, so more is asked of it until there is
// enough, within reach.
func (s *Service) search(ctx context.Context, who access.Actor, f Filter, after db.Keyset, limit int) ([]*Transcript, error) {
	words, some, err := db.Words(f.Text, "filter", "text")
	if err != nil {
		return nil, err
	}
	var rows []*Transcript
	narrow := who.Visibility == access.SeesOwn && !who.System
	for _, x := range []id.ID{f.ContactID, f.RecordID, f.CallID} {
		narrow = narrow || !x.IsZero()
	}
	if narrow {
		rows, err = s.list(ctx, who, f, after, limit, nil, words)
	} else {
		rows, err = s.searchIndex(ctx, who, f, after, limit, words)
	}
	if err != nil {
		return nil, err
	}
	return rows, s.match(ctx, rows, some)
}

func (s *Service) searchIndex(ctx context.Context, who access.Actor, f Filter, after db.Keyset, limit int, words string) ([]*Transcript, error) {
	rows := []*Transcript{}
	if !f.Until.IsZero() && f.Until.Before(after.At) {
		after = db.Keyset{At: f.Until, ID: id.ID{}}
	}
	for ask, left := limit, searchReach; left > 0; ask *= 10 {
		ask = min(ask, left)
		left -= ask
		var hits []struct {
			At           time.Time `bun:"at"`
			TranscriptID id.ID     `bun:"transcript_id,type:uuid"`
		}
		if err := db.Select(ctx, s.DB.App(), &hits, `SELECT h.transcript_id, h.at FROM transcript_search($1, $2, $3, $4) h ORDER BY h.at DESC, h.transcript_id DESC`,
			words, after.At, after.ID, ask); err != nil {
			return nil, err
		}
		if len(hits) == 0 {
			break
		}
		ids := make([]id.ID, len(hits))
		for i, h := range hits {
			ids[i] = h.TranscriptID
		}
		more, err := s.list(ctx, who, f, after, limit-len(rows), ids, "")
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
		last := hits[len(hits)-1]
		after = db.Keyset{At: last.At, ID: last.TranscriptID}
		if len(rows) >= limit || len(hits) < ask || !f.From.IsZero() && after.At.Before(f.From) {
			break
		}
	}
	return rows, nil
}

// match names the segments of transcripts that hold one of the words.
func (s *Service) match(ctx context.Context, rows []*Transcript, words string) error {
	if len(rows) == 0 {
		return nil
	}
	ids, byID := make([]id.ID, len(rows)), make(map[id.ID]*Transcript, len(rows))
	for i, t := range rows {
		ids[i], byID[t.ID] = t.ID, t
	}
	var hits []struct {
		TranscriptID id.ID `bun:"transcript_id,type:uuid"`
		Position     int   `bun:"position"`
	}
	if err := db.Select(ctx, s.DB.App(), &hits, `SELECT w.id AS transcript_id, g.position FROM unnest($2::uuid[]) w (id)
		CROSS JOIN LATERAL (SELECT x.position FROM transcript_segment x
			WHERE x.organization_id = $1 AND x.transcript_id = w.id AND to_tsvector('simple', x.text) @@ to_tsquery('simple', $3) ORDER BY x.position LIMIT $4) g`,
		db.TenantFrom(ctx), ids, words, maxMatches); err != nil {
		return err
	}
	for _, h := range hits {
		byID[h.TranscriptID].Matches = append(byID[h.TranscriptID].Matches, h.Position)
	}
	return nil
}
