package bench

import (
	"fmt"
	"strings"

	"switchboard/internal/id"
)

// callSource is every call of a slice with what is derived from its number n. All
// statements about calls read it, so that they agree without a look at the tables.
//
// Two thirds come in. Of ten, seven are answered, one and a half missed, one ends
// in a voicemail; the callers are contacts two times of three. OFFSET 0 keeps the
// planner from working an expression out again wherever it is used.
var callSource = fmt.Sprintf(`(
	SELECT *, %[1]s AS id, at + make_interval(secs => ring) AS answered, at + make_interval(secs => ring + talk) AS ended, %[2]s AS org
	FROM (
		SELECT n, o, at, k, dir, how,
			dir < 65 AS inbound,
			CASE WHEN how < 70 THEN 'COMPLETED' WHEN how < 85 THEN 'MISSED' WHEN how < 95 AND dir < 65 THEN 'VOICEMAIL'
				WHEN how < 95 THEN 'BUSY' WHEN dir < 65 THEN 'MISSED' ELSE 'FAILED' END AS status,
			(2 * k + %[3]s) %% {users} AS agent,
			(3 + %[4]s)::int AS ring,
			CASE WHEN how < 70 THEN (20 + %[5]s)::int WHEN how BETWEEN 85 AND 94 AND dir < 65 THEN (5 + %[6]s)::int ELSE 0 END AS talk,
			CASE WHEN %[7]s < 67 THEN %[8]s END AS contact,
			CASE WHEN how < 70 THEN CASE WHEN %[9]s < 36 THEN 1 WHEN %[9]s < 40 THEN 2 ELSE 0 END WHEN how BETWEEN 85 AND 94 AND dir < 65 THEN 1 ELSE 0 END AS recordings
		FROM (
			SELECT n, n %% {orgs} AS o, {until} - make_interval(secs => ({calls} - n) * ({days} * 86400.0 / {calls})) AS at,
				%[10]s AS dir, %[11]s AS how, %[12]s AS k
			FROM generate_series($1::bigint, $2::bigint) n
			OFFSET 0
		) x
		OFFSET 0
	) y
	OFFSET 0
) c`,
	sqlUID(id.Call, "at", "'call/' || n"), sqlUID(id.Organization, "{founded}", "'o/' || o"),
	random("n", 3, "{ring}"), random("n", 4, 22), random("n", 5, 600), random("n", 6, 90), random("n", 7, 100), random("n", 8, "{contacts}"), random("n", 9, 100),
	random("n", 10, 100), random("n", 11, 100), random("n", 12, "{numbers}"))

var insertCalls = `INSERT INTO call (organization_id, id, version, direction, status, end_reason, connection_id, phone_number_id, branch_id, contact_id,
		user_id, answered_by_user_id, answered_by_leg_id, from_number, to_number, twilio_sid, caller_id, caller_id_reason, route, is_recorded,
		started_at, answered_at, ended_at, ring_seconds, talk_seconds, duration_seconds, outcome, notes, created_at, updated_at)
	SELECT org, id, 6, CASE WHEN inbound THEN 'INBOUND' ELSE 'OUTBOUND' END, status,
		CASE status WHEN 'COMPLETED' THEN 'HUNG_UP' WHEN 'VOICEMAIL' THEN 'LEFT_VOICEMAIL' WHEN 'BUSY' THEN 'BUSY' WHEN 'FAILED' THEN 'FAILED'
			ELSE CASE WHEN how % 2 = 0 OR NOT inbound THEN 'NO_ANSWER' ELSE 'CALLER_HUNG_UP' END END,
		` + ref(id.Connection, "conn", "0") + `, ` + ref(id.PhoneNumber, "number", "k") + `, ` + ref(id.Branch, "branch", "k % {branches}") + `,
		CASE WHEN contact IS NOT NULL THEN ` + ref(id.Contact, "contact", "contact") + ` END,
		CASE WHEN NOT inbound THEN ` + ref(id.User, "user", "agent") + ` END,
		CASE WHEN inbound AND status = 'COMPLETED' THEN ` + ref(id.User, "user", "agent") + ` END,
		CASE WHEN status = 'COMPLETED' THEN ` + legID("CASE WHEN inbound THEN 1 + (agent - 2 * k + {users}) % {users} ELSE 1 END") + ` END,
		CASE WHEN inbound THEN ` + theirs + ` ELSE ` + numberE164("k") + ` END, CASE WHEN inbound THEN ` + numberE164("k") + ` ELSE ` + theirs + ` END,
		'CA' || md5('call/' || n), CASE WHEN NOT inbound THEN ` + numberE164("k") + ` END, CASE WHEN NOT inbound THEN 'BRANCH' END,
		CASE WHEN inbound THEN ($3::text[])[o * {numbers} + k + 1]::jsonb END, recordings > 0,
		at, CASE WHEN status = 'COMPLETED' THEN answered END, ended, ring, CASE WHEN status = 'COMPLETED' THEN talk END, ring + talk,
		CASE WHEN how < 10 THEN 'Booked' END, CASE WHEN how < 5 THEN 'Asked for a quote; wants it by Friday.' END, at, ended
	FROM ` + callSource

// theirs is the outsider's number: a contact's, or one that nobody knows.
var theirs = `CASE WHEN contact IS NOT NULL THEN ` + contactE164("contact") + ` ELSE '+1917' || lpad((2000000 + ` + random("n", 13, 7_000_000) + `)::text, 7, '0') END`

func legID(i string) string { return sqlUID(id.Leg, "at", "'leg/' || n || '/' || ("+i+")") }

// An inbound call has the caller's leg and those of the ring group; an outbound one
// the person's own and the callee's.
var insertLegs = `INSERT INTO call_leg (organization_id, id, call_id, kind, step, user_id, device_id, to_address, twilio_sid, status, outcome,
		started_at, ringing_at, answered_at, ended_at, duration_seconds, created_at, updated_at)
	SELECT org, ` + legID("i") + `, id,
		CASE WHEN inbound THEN CASE i WHEN 0 THEN 'CALLER' ELSE 'DEVICE' END ELSE CASE i WHEN 0 THEN 'DEVICE' ELSE 'CALLEE' END END,
		CASE WHEN inbound THEN least(i, 1) ELSE i + 1 END,
		CASE WHEN rung IS NOT NULL THEN ` + ref(id.User, "user", "rung") + ` END, CASE WHEN rung IS NOT NULL THEN ` + ref(id.Device, "device", "2 * rung") + ` END,
		CASE WHEN rung IS NULL THEN ` + theirs + ` ELSE 'client:device-' || rung END, 'CA' || md5('leg/' || n || '/' || i), 'ENDED',
		CASE WHEN status = 'COMPLETED' THEN CASE WHEN rung IS NULL OR rung = agent THEN 'ANSWERED' ELSE 'ANSWERED_ELSEWHERE' END
			WHEN NOT inbound THEN CASE i WHEN 0 THEN 'ANSWERED' ELSE CASE status WHEN 'BUSY' THEN 'BUSY' WHEN 'FAILED' THEN 'FAILED' ELSE 'TIMED_OUT' END END
			WHEN how % 2 = 1 AND status = 'MISSED' THEN 'CALLER_HUNG_UP' ELSE 'TIMED_OUT' END,
		at, at + interval '1 second', CASE WHEN status = 'COMPLETED' AND (rung IS NULL OR rung = agent) THEN answered END,
		CASE WHEN status = 'COMPLETED' AND rung <> agent THEN answered ELSE ended END, CASE WHEN status = 'COMPLETED' AND (rung IS NULL OR rung = agent) THEN talk ELSE 0 END, at, ended
	FROM ` + callSource + `
	CROSS JOIN LATERAL (
		SELECT i, CASE WHEN inbound AND i > 0 THEN (2 * k + i - 1) % {users} WHEN NOT inbound AND i = 0 THEN agent END AS rung
		FROM generate_series(0, CASE WHEN inbound THEN {ring} ELSE 1 END) i
	) l`

func recordingID(i string) string {
	return sqlUID(id.Recording, "at", "'recording/' || n || '/' || ("+i+")")
}

var insertRecordings = `INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, channels, offset_seconds, duration_seconds, started_at,
		media_state, blob_key, content_type, size_bytes, attempts, created_at, updated_at)
	SELECT org, ` + recordingID("i") + `, id, 'RE' || md5('recording/' || n || '/' || i), CASE status WHEN 'VOICEMAIL' THEN 'VOICEMAIL' ELSE 'CALL' END, 'COMPLETED',
		CASE status WHEN 'VOICEMAIL' THEN 1 ELSE 2 END, ring + (i - 1) * talk / 2, talk / recordings, answered + make_interval(secs => (i - 1) * talk / 2),
		'STORED', 'recording/' || md5('blob/' || n || '/' || i), 'audio/mpeg', talk / recordings * 4000, 1, at, ended
	FROM ` + callSource + ` CROSS JOIN LATERAL generate_series(1, recordings) i`

var insertVoicemails = `INSERT INTO voicemail (organization_id, id, call_id, recording_id, phone_number_id, branch_id, contact_id, from_number, duration_seconds,
		owner_user_id, heard_at, heard_by_user_id, received_at, created_at, updated_at)
	SELECT org, ` + sqlUID(id.Voicemail, "at", "'voicemail/' || n") + `, id, ` + recordingID("1") + `, ` + ref(id.PhoneNumber, "number", "k") + `, ` + ref(id.Branch, "branch", "k % {branches}") + `,
		CASE WHEN contact IS NOT NULL THEN ` + ref(id.Contact, "contact", "contact") + ` END, ` + theirs + `, talk, ` + ref(id.User, "user", "agent") + `,
		CASE WHEN how % 3 > 0 THEN ended + interval '1 hour' END, CASE WHEN how % 3 > 0 THEN ` + ref(id.User, "user", "agent") + ` END, ended, at, ended
	FROM ` + callSource + ` WHERE status = 'VOICEMAIL'`

// threadSource is the threads t with their numbers and contacts; messages n belong
// to thread n % threads, the p-th of it.
var threadSource = `(
	SELECT t, o, k, contact, ` + sqlUID(id.Organization, "{founded}", "'o/' || o") + ` AS org, ` + sqlUID(id.Thread, "{founded}", "'thread/' || t") + ` AS thread,
		CASE WHEN contact IS NOT NULL THEN ` + contactE164("contact") + ` ELSE '+1332' || lpad((2000000 + t)::text, 7, '0') END AS them
	FROM (
		SELECT t, t % {orgs} AS o, (t / {orgs}) % {numbers} AS k,
			CASE WHEN (t / {orgs} / {numbers}) < {contacts} AND ` + random("t", 21, 100) + ` < 80 THEN t / {orgs} / {numbers} END AS contact
		FROM {these} t
		OFFSET 0
	) x
	OFFSET 0
) s`

// messageAt is when message n was: the threads take turns, up to Until.
const messageAt = `({until} - make_interval(secs => ({messages} - (%s)) * ({days} * 86400.0 / {messages})))`

func messageID(n string) string {
	return sqlUID(id.Message, fmt.Sprintf(messageAt, n), "'message/' || ("+n+")")
}

// last is the newest message of thread t.
const last = `(t + (({messages} - 1 - t) / {threads}) * {threads})`

var insertThreads = `INSERT INTO sms_thread (organization_id, id, phone_number_id, their_number, contact_id, branch_id, assigned_user_id, is_open,
		last_message_id, last_message_at, created_at, updated_at)
	SELECT org, thread, ` + ref(id.PhoneNumber, "number", "k") + `, them, CASE WHEN contact IS NOT NULL THEN ` + ref(id.Contact, "contact", "contact") + ` END,
		` + ref(id.Branch, "branch", "k % {branches}") + `, CASE WHEN t % 3 = 0 THEN ` + ref(id.User, "user", "t % {users}") + ` END, t % 10 > 0,
		` + messageID(last) + `, ` + fmt.Sprintf(messageAt, last) + `, ` + fmt.Sprintf(messageAt, "t") + `, ` + fmt.Sprintf(messageAt, last) + `
	FROM ` + strings.ReplaceAll(threadSource, "{these}", "generate_series(0, least({threads}, {messages}) - 1)")

var insertMessages = `INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, sender_reason, twilio_sid, num_segments,
		user_id, contact_id, sent_at, delivered_at, at, attempts, created_at, updated_at)
	SELECT org, id, thread, CASE WHEN inbound THEN 'INBOUND' ELSE 'OUTBOUND' END, CASE WHEN inbound THEN 'RECEIVED' WHEN r < 90 THEN 'DELIVERED' WHEN r < 97 THEN 'SENT' ELSE 'UNDELIVERED' END,
		(ARRAY['Yes, that works.', 'Your booking is confirmed for tomorrow at nine. Reply STOP to opt out.', 'Can you come a little later? The gate code has changed, I will send it in a minute.',
			'On my way.', 'Thank you!', 'Please call me back when you have a moment, it is about the invoice from last week.'])[r % 6 + 1],
		CASE WHEN inbound THEN them ELSE ours END, CASE WHEN inbound THEN ours ELSE them END, CASE WHEN NOT inbound THEN 'THREAD' END, 'SM' || md5('message/' || n), 1,
		CASE WHEN NOT inbound THEN ` + ref(id.User, "user", "n % {users}") + ` END, CASE WHEN contact IS NOT NULL THEN ` + ref(id.Contact, "contact", "contact") + ` END,
		CASE WHEN NOT inbound THEN at + interval '1 second' END, CASE WHEN NOT inbound AND r < 90 THEN at + interval '3 seconds' END, at, CASE WHEN inbound THEN 0 ELSE 1 END, at, at
	FROM (
		SELECT n, s.*, ` + messageID("n") + ` AS id, ` + fmt.Sprintf(messageAt, "n") + ` AS at, ` + random("n", 22, 100) + ` AS r, (n / {threads}) % 2 = 0 AS inbound, ` + numberE164("k") + ` AS ours
		FROM generate_series($1::bigint, $2::bigint) n
		JOIN LATERAL ` + strings.ReplaceAll(threadSource, "{these}", "(SELECT n % {threads} AS t)") + ` ON true
	) m`
