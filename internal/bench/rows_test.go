package bench_test

import (
	"encoding/binary"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"switchboard/internal/id"
)

// answerJSON answers with the one text that the statement gives.
func answerJSON(sql string, args ...any) func(*pgxpool.Pool, http.ResponseWriter, *http.Request) error {
	return func(pool *pgxpool.Pool, w http.ResponseWriter, r *http.Request) error {
		rows, err := pool.Query(r.Context(), sql, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		if !rows.Next() {
			return pgx.ErrNoRows
		}
		w.Header().Set("Content-Type", "application/json")
		_, err = w.Write(rows.RawValues()[0])
		return err
	}
}

// out is JSON under way. Rows are read in PostgreSQL's binary form and appended.
type out []byte

func (o out) raw(s string) out { return append(o, s...) }

func (o out) key(name string) out {
	if c := o[len(o)-1]; c != '{' && c != '[' {
		o = append(o, ',')
	}
	o = append(o, '"')
	o = append(o, name...)
	return append(o, '"', ':')
}

// comma stands between the values of an array.
func (o out) comma() out {
	if o[len(o)-1] != '[' {
		o = append(o, ',')
	}
	return o
}

func (o out) null() out { return append(o, "null"...) }

func (o out) text(v []byte) out {
	if v == nil {
		return o.null()
	}
	o = append(o, '"')
	for _, c := range v {
		switch {
		case c == '"', c == '\\':
			o = append(o, '\\', c)
		case c < 0x20:
			o = append(o, `\u00`...)
			o = append(o, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			o = append(o, c)
		}
	}
	return append(o, '"')
}

func (o out) uid(v []byte) out {
	if v == nil {
		return o.null()
	}
	o = append(o, '"')
	o = append(o, id.FromUUID([16]byte(v)).String()...)
	return append(o, '"')
}

func (o out) whole(v []byte) out {
	switch len(v) {
	case 4:
		return strconv.AppendInt(o, int64(int32(binary.BigEndian.Uint32(v))), 10)
	case 8:
		return strconv.AppendInt(o, int64(binary.BigEndian.Uint64(v)), 10)
	}
	return o.null()
}

func (o out) float(v []byte) out {
	if v == nil {
		return o.null()
	}
	return strconv.AppendFloat(o, math.Float64frombits(binary.BigEndian.Uint64(v)), 'g', -1, 64)
}

func (o out) boolean(v []byte) out { return strconv.AppendBool(o, v[0] == 1) }

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func (o out) moment(v []byte) out {
	if v == nil {
		return o.null()
	}
	o = append(o, '"')
	o = time.UnixMicro(epoch+int64(binary.BigEndian.Uint64(v))).UTC().AppendFormat(o, time.RFC3339Nano)
	return append(o, '"')
}

// party is a number of either side, as from and to show it.
func (o out) party(v []byte) out {
	return o.raw(`{"e164":`).text(v).raw(`,"display":`).text(v).raw("}")
}

// named is an object of an id and texts, null when there is no id.
func (o out) named(v [][]byte, names ...string) out {
	if v[0] == nil {
		return o.null()
	}
	o = o.raw(`{"id":`).uid(v[0])
	for i, n := range names {
		o = o.key(n).text(v[i+1])
	}
	return o.raw("}")
}

const recordingColumns = `r.id, r.status, r.channels, r.duration_seconds, r.started_at`

func (o out) recording(v [][]byte) out {
	return o.raw(`{"id":`).uid(v[0]).key("status").text(v[1]).key("channels").whole(v[2]).key("durationSeconds").whole(v[3]).key("startedAt").moment(v[4])
}

func (o out) head(v [][]byte) out {
	return o.raw(`{"id":`).uid(v[0]).key("direction").text(v[1]).key("status").text(v[2]).key("endReason").text(v[3]).key("isRecorded").boolean(v[4]).
		key("startedAt").moment(v[5]).key("answeredAt").moment(v[6]).key("endedAt").moment(v[7]).
		key("ringSeconds").whole(v[8]).key("talkSeconds").whole(v[9]).key("durationSeconds").whole(v[10]).
		key("from").party(v[11]).key("to").party(v[12]).
		key("phoneNumber").named(v[13:16], "e164", "name").key("branch").named(v[16:18], "name").
		key("contact").named(v[18:21], "name", "company")
}

const headColumns = `c.id, c.direction, c.status, c.end_reason, c.is_recorded, c.started_at, c.answered_at, c.ended_at,
	c.ring_seconds, c.talk_seconds, c.duration_seconds, c.from_number, c.to_number, n.id, n.e164, n.name, b.id, b.name, k.id, k.name, k.company, u.id, u.name`

const headJoins = `
	LEFT JOIN phone_number n ON n.organization_id = $1 AND n.id = c.phone_number_id
	LEFT JOIN branch b ON b.organization_id = $1 AND b.id = c.branch_id
	LEFT JOIN contact k ON k.organization_id = $1 AND k.id = c.contact_id
	LEFT JOIN "user" u ON u.organization_id = $1 AND u.id = c.answered_by_user_id`

const q1Rows = `WITH c AS (SELECT * FROM call WHERE organization_id = $1 ORDER BY started_at DESC, id DESC LIMIT $2)
	SELECT ` + headColumns + `, ` + recordingColumns + ` FROM c` + headJoins + `
	LEFT JOIN recording r ON r.organization_id = $1 AND r.call_id = c.id AND r.purpose = 'CALL'
	ORDER BY c.started_at DESC, c.id DESC, r.started_at, r.id`

func send(w http.ResponseWriter, o out) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(o)
	return err
}

func buffer() out { return make(out, 0, 48<<10) }

func logByRows(org id.ID, first int) func(*pgxpool.Pool, http.ResponseWriter, *http.Request) error {
	return func(pool *pgxpool.Pool, w http.ResponseWriter, r *http.Request) error {
		rows, err := pool.Query(r.Context(), q1Rows, org, first+1)
		if err != nil {
			return err
		}
		o := buffer().raw(`{"data":{"calls":{"nodes":[`)
		var last [16]byte
		n := 0
		for rows.Next() {
			v := rows.RawValues()
			if x := [16]byte(v[0]); x != last {
				if n++; n > first {
					continue
				}
				if last = x; n > 1 {
					o = o.raw("]},")
				}
				o = o.head(v).key("answeredBy").named(v[21:23], "name").key("recordings").raw("[")
			}
			if v[23] != nil && n <= first {
				o = o.comma().recording(v[23:]).raw("}")
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if n > 0 {
			o = o.raw("]}")
		}
		return send(w, o.raw(`],"pageInfo":{"hasNextPage":`+strconv.FormatBool(n > first)+`}}}}`))
	}
}

const (
	q2Call = `SELECT ` + headColumns + `, c.version, c.outcome, c.notes, c.twilio_sid, c.caller_id, c.caller_id_reason, s.id, s.name, k.email,
		CASE WHEN c.route IS NOT NULL THEN json_build_object('mode', c.route->'mode', 'trace', (
			SELECT json_agg(json_build_object('rule', t->'rule', 'verdict', t->'verdict', 'detail', t->'detail')) FROM jsonb_array_elements(c.route->'trace') t))::text END,
		v.id, v.duration_seconds, v.heard_at, v.received_at
		FROM call c` + headJoins + `
		LEFT JOIN "user" s ON s.organization_id = $1 AND s.id = c.user_id
		LEFT JOIN voicemail v ON v.organization_id = $1 AND v.call_id = c.id
		WHERE c.organization_id = $1 AND c.id = $2`
	q2Phones = `SELECT p.e164, p.label, p.is_primary FROM contact_phone p
		WHERE p.organization_id = $1 AND p.contact_id = (SELECT contact_id FROM call WHERE organization_id = $1 AND id = $2) ORDER BY p.is_primary DESC, p.e164`
	q2Legs = `SELECT l.id, l.kind, l.status, l.outcome, l.step, u.id, u.name, d.id, d.name, d.platform, l.started_at, l.ringing_at, l.answered_at, l.ended_at, l.duration_seconds
		FROM call_leg l
		LEFT JOIN "user" u ON u.organization_id = $1 AND u.id = l.user_id
		LEFT JOIN device d ON d.organization_id = $1 AND d.id = l.device_id
		WHERE l.organization_id = $1 AND l.call_id = $2 ORDER BY l.step, l.id`
	q2Recordings = `SELECT ` + recordingColumns + `, r.offset_seconds, r.size_bytes, r.content_type FROM recording r
		WHERE r.organization_id = $1 AND r.call_id = $2 AND r.purpose = 'CALL' ORDER BY r.started_at, r.id`
)

// callByRows asks for the call and what hangs on it in one round trip.
func callByRows(org, call id.ID) func(*pgxpool.Pool, http.ResponseWriter, *http.Request) error {
	return func(pool *pgxpool.Pool, w http.ResponseWriter, r *http.Request) error {
		o := buffer().raw(`{"data":{"call":`)
		var route, email, answerer out
		var voicemail out
		b := &pgx.Batch{}
		each := func(sql string, row func(v [][]byte)) {
			b.Queue(sql, org, call).Query(func(rows pgx.Rows) error {
				for rows.Next() {
					row(rows.RawValues())
				}
				return rows.Err()
			})
		}
		hasContact := false
		each(q2Call, func(v [][]byte) {
			o = o.head(v)
			hasContact = v[18] != nil
			answerer = out{}.named(v[21:23], "name")
			email = out{}.text(v[31])
			if route = out("null"); v[32] != nil {
				route = append(out{}, v[32]...)
			}
			if voicemail = out("null"); v[33] != nil {
				voicemail = out{}.raw(`{"id":`).uid(v[33]).key("durationSeconds").whole(v[34]).key("heardAt").moment(v[35]).key("receivedAt").moment(v[36]).raw("}")
			}
			if hasContact {
				o = o[:len(o)-1] // the contact goes on
				o = o.key("email").raw(string(email)).key("phones").raw("[")
			}
			// What belongs to the call comes after its contact's phones.
			rest := out("{").key("answeredBy").raw(string(answerer)).key("version").whole(v[23]).key("outcome").text(v[24]).key("notes").text(v[25]).key("twilioSid").text(v[26]).key("callerId")
			if v[27] == nil {
				rest = rest.null()
			} else {
				rest = rest.raw(`{"e164":`).text(v[27]).key("reason").text(v[28]).raw("}")
			}
			answerer, email = rest.key("user").named(v[29:31], "name"), answerer
		})
		each(q2Phones, func(v [][]byte) {
			o = o.comma().raw(`{"e164":`).text(v[0]).key("label").text(v[1]).key("isPrimary").boolean(v[2]).raw("}")
		})
		first := true
		each(q2Legs, func(v [][]byte) {
			if first {
				first = false
				o = o.closeContact(hasContact).raw("," + string(answerer[1:])).key("legs").raw("[")
			}
			o = o.comma().raw(`{"id":`).uid(v[0]).key("kind").text(v[1]).key("status").text(v[2]).key("outcome").text(v[3]).key("step").whole(v[4]).
				key("user").named(v[5:7], "name").key("device").named(v[7:10], "name", "platform").key("answeredBy")
			if string(v[3]) == "ANSWERED_ELSEWHERE" {
				o = o.raw(string(email))
			} else {
				o = o.null()
			}
			o = o.key("startedAt").moment(v[10]).key("ringingAt").moment(v[11]).key("answeredAt").moment(v[12]).key("endedAt").moment(v[13]).key("durationSeconds").whole(v[14]).raw("}")
		})
		recordings := out("[")
		each(q2Recordings, func(v [][]byte) {
			recordings = recordings.comma().recording(v).key("offsetSeconds").whole(v[5]).key("sizeBytes").whole(v[6]).key("contentType").text(v[7]).raw("}")
		})
		if err := pool.SendBatch(r.Context(), b).Close(); err != nil {
			return err
		}
		o = o.raw("]").key("recordings").raw(string(recordings) + "]").key("voicemail").raw(string(voicemail)).key("route").raw(string(route))
		return send(w, o.raw("}}}"))
	}
}

func (o out) closeContact(open bool) out {
	if open {
		return o.raw("]}")
	}
	return o
}

const q3Rows = `WITH t AS (SELECT * FROM sms_thread WHERE organization_id = $1 ORDER BY last_message_at DESC, id DESC LIMIT 31)
	SELECT t.id, t.is_open, t.last_message_at, t.their_number, n.id, n.e164, n.name, k.id, k.name, m.id, m.direction, m.status, m.body, m.at
	FROM t
	JOIN phone_number n ON n.organization_id = $1 AND n.id = t.phone_number_id
	LEFT JOIN contact k ON k.organization_id = $1 AND k.id = t.contact_id
	LEFT JOIN message m ON m.organization_id = $1 AND m.id = t.last_message_id
	ORDER BY t.last_message_at DESC, t.id DESC`

func inboxByRows(org id.ID) func(*pgxpool.Pool, http.ResponseWriter, *http.Request) error {
	return func(pool *pgxpool.Pool, w http.ResponseWriter, r *http.Request) error {
		rows, err := pool.Query(r.Context(), q3Rows, org)
		if err != nil {
			return err
		}
		o := buffer().raw(`{"data":{"smsThreads":{"nodes":[`)
		n := 0
		for rows.Next() {
			if n++; n > 30 {
				continue
			}
			v := rows.RawValues()
			o = o.comma().raw(`{"id":`).uid(v[0]).key("isOpen").boolean(v[1]).key("lastMessageAt").moment(v[2]).key("them").party(v[3]).
				key("phoneNumber").named(v[4:7], "e164", "name").key("contact").named(v[7:9], "name").key("lastMessage").named(v[9:13], "direction", "status", "body")
			if v[9] != nil {
				o = o[:len(o)-1]
				o = o.key("at").moment(v[13]).raw("}")
			}
			o = o.raw("}")
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return send(w, o.raw(`],"pageInfo":{"hasNextPage":`+strconv.FormatBool(n > 30)+`}}}}`))
	}
}

func reportByRows(org id.ID) func(*pgxpool.Pool, http.ResponseWriter, *http.Request) error {
	return func(pool *pgxpool.Pool, w http.ResponseWriter, r *http.Request) error {
		rows, err := pool.Query(r.Context(), q4Rows, q4Args(org)...)
		if err != nil {
			return err
		}
		o := buffer().raw(`{"data":{"callStatistics":{"total":`)
		for n := 0; rows.Next(); n++ {
			v := rows.RawValues()
			switch n {
			case 0:
				o = o.raw("{")
			case 1:
				o = o.key("rows").raw("[")
				fallthrough
			default:
				o = o.comma().raw(`{"key":`).text(v[0])
			}
			o = o.key("count").whole(v[1]).key("answered").whole(v[2]).key("missed").whole(v[3]).key("voicemail").whole(v[4]).
				key("averageTalkSeconds").float(v[5]).key("averageRingSeconds").float(v[6]).raw("}")
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return send(w, o.raw("]}}}"))
	}
}

func q4Args(org id.ID) []any { return []any{org, daysFrom, daysUntil, zone.String()} }

// prefixed is the text of ours for a UUID.
func prefixed(v string) string {
	var u pgtype.UUID
	if err := u.Scan(v); err != nil {
		return v
	}
	return id.FromUUID(u.Bytes).String()
}
