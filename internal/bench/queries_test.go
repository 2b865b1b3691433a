package bench_test

import (
	"time"

	"switchboard/internal/bench"
	"switchboard/internal/demo"
)

// The four questions of a front end. A page of the call log:
const q1 = `query Log($first: Int!) { calls(first: $first) {
	nodes {
		id direction status endReason isRecorded startedAt answeredAt endedAt ringSeconds talkSeconds durationSeconds
		from { e164 display } to { e164 display }
		phoneNumber { id e164 name } branch { id name } contact { id name company } answeredBy { id name }
		recordings { id status channels durationSeconds startedAt }
	}
	pageInfo { hasNextPage }
} }`

// One call with everything:
const q2 = `query One($id: ID!) { call(id: $id) {
	id version direction status endReason isRecorded startedAt answeredAt endedAt ringSeconds talkSeconds durationSeconds outcome notes twilioSid
	from { e164 display } to { e164 display } callerId { e164 reason }
	phoneNumber { id e164 name } branch { id name } user { id name } answeredBy { id name }
	contact { id name company email phones { e164 label isPrimary } }
	legs { id kind status outcome step user { id name } device { id name platform } answeredBy { id name } startedAt ringingAt answeredAt endedAt durationSeconds }
	recordings { id status channels offsetSeconds durationSeconds sizeBytes contentType startedAt }
	voicemail { id durationSeconds heardAt receivedAt }
	route { mode trace { rule verdict detail } }
} }`

// The inbox:
const q3 = `query Inbox { smsThreads(first: 30) {
	nodes {
		id isOpen lastMessageAt them { e164 display }
		phoneNumber { id e164 name } contact { id name }
		lastMessage { id direction status body at }
	}
	pageInfo { hasNextPage }
} }`

// Thirty days of calls:
const q4 = `query Report($from: Date!, $to: Date!) { callStatistics(filter: {from: $from, to: $to}, groupBy: DAY) {
	total { count answered missed voicemail averageTalkSeconds averageRingSeconds }
	rows { key count answered missed voicemail averageTalkSeconds averageRingSeconds }
} }`

// The thirty days before the newest call, and their bounds in the zone of the organizations.
var (
	lastDay   = bench.Until.AddDate(0, 0, -1)
	firstDay  = lastDay.AddDate(0, 0, -29)
	q4Vars    = demo.Vars{"from": firstDay.Format(time.DateOnly), "to": lastDay.Format(time.DateOnly)}
	zone      = must1(time.LoadLocation(bench.Zone))
	daysFrom  = time.Date(firstDay.Year(), firstDay.Month(), firstDay.Day(), 0, 0, 0, 0, zone)
	daysUntil = time.Date(lastDay.Year(), lastDay.Month(), lastDay.Day()+1, 0, 0, 0, 0, zone)
)

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The same in SQL that answers with the text of the JSON; $1 is the organization.
const q1JSON = `SELECT json_build_object('data', json_build_object('calls', json_build_object(
	'nodes', coalesce((SELECT json_agg(json_build_object(
		'id', c.id, 'direction', c.direction, 'status', c.status, 'endReason', c.end_reason, 'isRecorded', c.is_recorded,
		'startedAt', c.started_at, 'answeredAt', c.answered_at, 'endedAt', c.ended_at,
		'ringSeconds', c.ring_seconds, 'talkSeconds', c.talk_seconds, 'durationSeconds', c.duration_seconds,
		'from', json_build_object('e164', c.from_number, 'display', c.from_number), 'to', json_build_object('e164', c.to_number, 'display', c.to_number),
		'phoneNumber', CASE WHEN n.id IS NOT NULL THEN json_build_object('id', n.id, 'e164', n.e164, 'name', n.name) END,
		'branch', CASE WHEN b.id IS NOT NULL THEN json_build_object('id', b.id, 'name', b.name) END,
		'contact', CASE WHEN k.id IS NOT NULL THEN json_build_object('id', k.id, 'name', k.name, 'company', k.company) END,
		'answeredBy', CASE WHEN u.id IS NOT NULL THEN json_build_object('id', u.id, 'name', u.name) END,
		'recordings', coalesce((SELECT json_agg(json_build_object('id', r.id, 'status', r.status, 'channels', r.channels,
				'durationSeconds', r.duration_seconds, 'startedAt', r.started_at) ORDER BY r.started_at, r.id)
			FROM recording r WHERE r.organization_id = $1 AND r.call_id = c.id AND r.purpose = 'CALL'), '[]')
		) ORDER BY c.started_at DESC, c.id DESC)
		FROM (SELECT * FROM page LIMIT $2) c
		LEFT JOIN phone_number n ON n.organization_id = $1 AND n.id = c.phone_number_id
		LEFT JOIN branch b ON b.organization_id = $1 AND b.id = c.branch_id
		LEFT JOIN contact k ON k.organization_id = $1 AND k.id = c.contact_id
		LEFT JOIN "user" u ON u.organization_id = $1 AND u.id = c.answered_by_user_id), '[]'),
	'pageInfo', json_build_object('hasNextPage', (SELECT count(*) > $2 FROM page)))))::text
FROM (SELECT) one`

const q1Page = `WITH page AS (SELECT * FROM call WHERE organization_id = $1 ORDER BY started_at DESC, id DESC LIMIT $2 + 1) `

const q2JSON = `SELECT json_build_object('data', json_build_object('call', json_build_object(
	'id', c.id, 'version', c.version, 'direction', c.direction, 'status', c.status, 'endReason', c.end_reason, 'isRecorded', c.is_recorded,
	'startedAt', c.started_at, 'answeredAt', c.answered_at, 'endedAt', c.ended_at,
	'ringSeconds', c.ring_seconds, 'talkSeconds', c.talk_seconds, 'durationSeconds', c.duration_seconds, 'outcome', c.outcome, 'notes', c.notes, 'twilioSid', c.twilio_sid,
	'from', json_build_object('e164', c.from_number, 'display', c.from_number), 'to', json_build_object('e164', c.to_number, 'display', c.to_number),
	'callerId', CASE WHEN c.caller_id IS NOT NULL THEN json_build_object('e164', c.caller_id, 'reason', c.caller_id_reason) END,
	'phoneNumber', CASE WHEN n.id IS NOT NULL THEN json_build_object('id', n.id, 'e164', n.e164, 'name', n.name) END,
	'branch', CASE WHEN b.id IS NOT NULL THEN json_build_object('id', b.id, 'name', b.name) END,
	'user', CASE WHEN s.id IS NOT NULL THEN json_build_object('id', s.id, 'name', s.name) END,
	'answeredBy', CASE WHEN u.id IS NOT NULL THEN json_build_object('id', u.id, 'name', u.name) END,
	'contact', CASE WHEN k.id IS NOT NULL THEN json_build_object('id', k.id, 'name', k.name, 'company', k.company, 'email', k.email, 'phones', coalesce((
		SELECT json_agg(json_build_object('e164', p.e164, 'label', p.label, 'isPrimary', p.is_primary) ORDER BY p.is_primary DESC, p.e164)
		FROM contact_phone p WHERE p.organization_id = $1 AND p.contact_id = k.id), '[]')) END,
	'legs', coalesce((SELECT json_agg(json_build_object('id', l.id, 'kind', l.kind, 'status', l.status, 'outcome', l.outcome, 'step', l.step,
			'user', CASE WHEN lu.id IS NOT NULL THEN json_build_object('id', lu.id, 'name', lu.name) END,
			'device', CASE WHEN d.id IS NOT NULL THEN json_build_object('id', d.id, 'name', d.name, 'platform', d.platform) END,
			'answeredBy', CASE WHEN l.outcome = 'ANSWERED_ELSEWHERE' AND u.id IS NOT NULL THEN json_build_object('id', u.id, 'name', u.name) END,
			'startedAt', l.started_at, 'ringingAt', l.ringing_at, 'answeredAt', l.answered_at, 'endedAt', l.ended_at, 'durationSeconds', l.duration_seconds) ORDER BY l.step, l.id)
		FROM call_leg l
		LEFT JOIN "user" lu ON lu.organization_id = $1 AND lu.id = l.user_id
		LEFT JOIN device d ON d.organization_id = $1 AND d.id = l.device_id
		WHERE l.organization_id = $1 AND l.call_id = c.id), '[]'),
	'recordings', coalesce((SELECT json_agg(json_build_object('id', r.id, 'status', r.status, 'channels', r.channels, 'offsetSeconds', r.offset_seconds,
			'durationSeconds', r.duration_seconds, 'sizeBytes', r.size_bytes, 'contentType', r.content_type, 'startedAt', r.started_at) ORDER BY r.started_at, r.id)
		FROM recording r WHERE r.organization_id = $1 AND r.call_id = c.id AND r.purpose = 'CALL'), '[]'),
	'voicemail', (SELECT json_build_object('id', v.id, 'durationSeconds', v.duration_seconds, 'heardAt', v.heard_at, 'receivedAt', v.received_at)
		FROM voicemail v WHERE v.organization_id = $1 AND v.call_id = c.id LIMIT 1),
	'route', CASE WHEN c.route IS NOT NULL THEN json_build_object('mode', c.route->'mode', 'trace', (
		SELECT json_agg(json_build_object('rule', t->'rule', 'verdict', t->'verdict', 'detail', t->'detail')) FROM jsonb_array_elements(c.route->'trace') t)) END
	)))::text
FROM call c
LEFT JOIN phone_number n ON n.organization_id = $1 AND n.id = c.phone_number_id
LEFT JOIN branch b ON b.organization_id = $1 AND b.id = c.branch_id
LEFT JOIN contact k ON k.organization_id = $1 AND k.id = c.contact_id
LEFT JOIN "user" u ON u.organization_id = $1 AND u.id = c.answered_by_user_id
LEFT JOIN "user" s ON s.organization_id = $1 AND s.id = c.user_id
WHERE c.organization_id = $1 AND c.id = $2`

const q3JSON = `WITH page AS (SELECT * FROM sms_thread WHERE organization_id = $1 ORDER BY last_message_at DESC, id DESC LIMIT 31)
SELECT json_build_object('data', json_build_object('smsThreads', json_build_object(
	'nodes', coalesce((SELECT json_agg(json_build_object('id', t.id, 'isOpen', t.is_open, 'lastMessageAt', t.last_message_at,
		'them', json_build_object('e164', t.their_number, 'display', t.their_number),
		'phoneNumber', json_build_object('id', n.id, 'e164', n.e164, 'name', n.name),
		'contact', CASE WHEN k.id IS NOT NULL THEN json_build_object('id', k.id, 'name', k.name) END,
		'lastMessage', CASE WHEN m.id IS NOT NULL THEN json_build_object('id', m.id, 'direction', m.direction, 'status', m.status, 'body', m.body, 'at', m.at) END
		) ORDER BY t.last_message_at DESC, t.id DESC)
		FROM (SELECT * FROM page LIMIT 30) t
		JOIN phone_number n ON n.organization_id = $1 AND n.id = t.phone_number_id
		LEFT JOIN contact k ON k.organization_id = $1 AND k.id = t.contact_id
		LEFT JOIN message m ON m.organization_id = $1 AND m.id = t.last_message_id), '[]'),
	'pageInfo', json_build_object('hasNextPage', (SELECT count(*) > 30 FROM page)))))::text
FROM (SELECT) one`

const q4Rows = `SELECT to_char(started_at AT TIME ZONE $4, 'YYYY-MM-DD') AS day, count(*), count(*) FILTER (WHERE answered_at IS NOT NULL AND status <> 'VOICEMAIL'),
	count(*) FILTER (WHERE status = 'MISSED' AND direction <> 'OUTBOUND'), count(*) FILTER (WHERE status = 'VOICEMAIL'),
	avg(talk_seconds) FILTER (WHERE answered_at IS NOT NULL AND status <> 'VOICEMAIL')::float8, avg(ring_seconds)::float8
FROM call WHERE organization_id = $1 AND started_at >= $2 AND started_at < $3
GROUP BY GROUPING SETS ((1), ()) ORDER BY grouping(to_char(started_at AT TIME ZONE $4, 'YYYY-MM-DD')) DESC, 1`

const q4JSON = `WITH x (key, count, answered, missed, voicemail, "averageTalkSeconds", "averageRingSeconds") AS (` + q4Rows + `)
SELECT json_build_object('data', json_build_object('callStatistics', json_build_object(
	'total', (SELECT json_build_object('count', count, 'answered', answered, 'missed', missed, 'voicemail', voicemail,
		'averageTalkSeconds', "averageTalkSeconds", 'averageRingSeconds', "averageRingSeconds") FROM x WHERE key IS NULL),
	'rows', (SELECT coalesce(json_agg(x ORDER BY key), '[]') FROM x WHERE key IS NOT NULL))))::text`
