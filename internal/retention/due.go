package retention

import (
	"context"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/recording"
	"switchboard/internal/transcript"
)

// source is where the things of a kind are found, as SQL. $1 is the organization.
type source struct {
	from   string // with a condition: what can be deleted at all
	id, at string
	branch string
	bytes  string
	held   string
}

// The conditions are those of the functions that delete, so that a preview is
// what then goes.
var sources = map[Kind]source{
	Recordings: {
		from: `recording JOIN call ON call.organization_id = recording.organization_id AND call.id = recording.call_id
  WHERE recording.organization_id = $1 AND recording.purpose = 'CALL' AND recording.status IN ('COMPLETED', 'ABSENT', 'FAILED')`,
		id: "recording.id", at: "recording.started_at", branch: "call.branch_id", bytes: "coalesce(recording.size_bytes, 0)", held: recording.Held,
	},
	Voicemails: {
		from: `voicemail JOIN call ON call.organization_id = voicemail.organization_id AND call.id = voicemail.call_id
  JOIN recording ON recording.organization_id = voicemail.organization_id AND recording.id = voicemail.recording_id
  WHERE voicemail.organization_id = $1 AND recording.status IN ('COMPLETED', 'ABSENT', 'FAILED')`,
		id: "voicemail.id", at: "voicemail.received_at", branch: "voicemail.branch_id", bytes: "coalesce(recording.size_bytes, 0)", held: recording.Held,
	},
	Transcripts: {
		from: `transcript WHERE transcript.organization_id = $1 AND transcript.status IN ('COMPLETED', 'FAILED')`,
		id:   "transcript.id", at: "transcript.recorded_at", branch: "transcript.branch_id", bytes: "0", held: transcript.Held,
	},
	MessageMedia: {
		from: `message m JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
  CROSS JOIN LATERAL (SELECT count(*) AS files, sum(coalesce(f.size_bytes, 0) + coalesce(f.thumbnail_bytes, 0)) AS bytes FROM message_media f
    WHERE f.organization_id = $1 AND f.message_id = m.id AND f.state <> 'DELETED') f
  WHERE m.organization_id = $1 AND m.media_count > 0 AND f.files > 0 AND ` + message.Settled,
		id: "m.id", at: "m.at", branch: "t.branch_id", bytes: "f.bytes", held: message.Held,
	},
	MessageBodies: {
		from: `message m JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
  WHERE m.organization_id = $1 AND m.body_deleted_at IS NULL AND m.body <> '' AND ` + message.Settled,
		id: "m.id", at: "m.at", branch: "t.branch_id", bytes: "octet_length(m.body)", held: message.Held,
	},
}

// due is a query of the things of a kind that are older than $2 and belong to the
// rule of branch $3, or to the general rule when that is NULL: what no rule of a
// branch speaks of.
func due(k Kind) string {
	s := sources[k]
	return `SELECT ` + s.id + ` AS id, ` + s.at + ` AS at, ` + s.bytes + ` AS bytes, ` + s.held + ` AS held
  FROM ` + s.from + ` AND ` + s.at + ` < $2
    AND CASE WHEN $3::uuid IS NOT NULL THEN ` + s.branch + ` = $3
      ELSE ` + s.branch + ` IS NULL OR NOT EXISTS (SELECT FROM retention_rule o
        WHERE o.organization_id = $1 AND o.kind = '` + string(k) + `' AND o.branch_id = ` + s.branch + `) END`
}

// item is one thing that is due.
type item struct {
	ID    id.ID     `bun:"id"`
	At    time.Time `bun:"at"`
	Bytes int64     `bun:"bytes"`
	Held  bool      `bun:"held"`
}

// next are the oldest things that are due after a place.
func next(ctx context.Context, tx *db.Tx, r *Run, after db.Keyset, limit int) (rows []item, err error) {
	s := sources[r.Kind]
	err = db.Select(ctx, tx, &rows, due(r.Kind)+` AND (`+s.at+`, `+s.id+`) > ($4, $5) ORDER BY `+s.at+`, `+s.id+` LIMIT $6`,
		r.OrganizationID, r.CutoffAt, r.BranchID, after.At, after.ID, limit)
	return rows, err
}

// total is what a rule would delete and what it would leave.
type total struct {
	Count  int        `bun:"count"`
	Held   int        `bun:"held"`
	Bytes  int64      `bun:"bytes"`
	Oldest *time.Time `bun:"oldest"`
	Newest *time.Time `bun:"newest"`
}

const totals = `count(*) FILTER (WHERE NOT d.held) AS count, count(*) FILTER (WHERE d.held) AS held,
  coalesce(sum(d.bytes) FILTER (WHERE NOT d.held), 0)::bigint AS bytes,
  min(d.at) FILTER (WHERE NOT d.held) AS oldest, max(d.at) FILTER (WHERE NOT d.held) AS newest`
