package call

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

const (
	// The next statement of the batch begins after the lock was granted, so it sees
	// what the last holder committed.
	lockAndInsertFacts = `
		WITH held AS (SELECT organization_id, id FROM call WHERE organization_id = $1 AND id = $2 FOR UPDATE)
		INSERT INTO call_fact (organization_id, call_id, key, kind, at, data)
		SELECT held.organization_id, held.id, f.key, f.kind, f.at, f.data::json
		FROM held, unnest($3::text[], $4::text[], $5::timestamptz[], $6::text[]) AS f (key, kind, at, data)
		ON CONFLICT DO NOTHING
		RETURNING key`

	// Without facts nothing is joined, and a row that nothing asks for is not locked.
	lockCall = `SELECT id::text FROM call WHERE organization_id = $1 AND id = $2 FOR UPDATE`

	// The same for one fact, as most news is.
	lockAndInsertFact = `
		INSERT INTO call_fact (organization_id, call_id, key, kind, at, data)
		SELECT organization_id, id, $3::text, $4::text, $5::timestamptz, $6::text::json
		FROM call WHERE organization_id = $1 AND id = $2 FOR UPDATE
		ON CONFLICT DO NOTHING
		RETURNING key`

	insertFacts = `
		INSERT INTO call_fact (organization_id, call_id, key, kind, at, data)
		SELECT $1, $2, f.key, f.kind, f.at, f.data::json
		FROM unnest($3::text[], $4::text[], $5::timestamptz[], $6::text[]) AS f (key, kind, at, data)
		WHERE EXISTS (SELECT FROM call WHERE organization_id = $1 AND id = $2)
		ON CONFLICT DO NOTHING
		RETURNING key`

	selectFacts = `SELECT key, kind, at, data FROM call_fact WHERE organization_id = $1 AND call_id = $2`

	insertCall = `
		INSERT INTO call (organization_id, id, version, provider, direction, status, end_reason, connection_id, phone_number_id,
			contact_id, record_id, campaign_id, user_id, answered_by_user_id, answered_by_leg_id, from_number, to_number, twilio_sid,
			caller_id, caller_id_reason, is_recorded, started_at, answered_at, ended_at, ring_seconds, talk_seconds, duration_seconds,
			outcome, notes, due_at, updated_at, business_unit, is_ignored, is_on_hold, is_test, is_logged, room_sid, transfer, answerer,
			recording_paused_at, pause_due_at, notices, hops, masked_pair_id, branch_id, route)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31,
			$32, $33, $34, $35, $36, $37, $38::text::jsonb, $39, $40, $41, $42::text[], $43, $44, $45, $46::text::jsonb)
		ON CONFLICT (organization_id, twilio_sid) WHERE twilio_sid IS NOT NULL DO NOTHING
		RETURNING true`

	// Branch and masked pair stay as they are: a call outlives its branch, of which its facts go on telling.
	updateCall = `
		UPDATE call SET version = $3, provider = $4, direction = $5, status = $6, end_reason = $7, connection_id = $8, phone_number_id = $9,
			contact_id = $10, record_id = $11, campaign_id = $12, user_id = $13, answered_by_user_id = $14, answered_by_leg_id = $15,
			from_number = $16, to_number = $17, twilio_sid = $18, caller_id = $19, caller_id_reason = $20, is_recorded = $21, started_at = $22,
			answered_at = $23, ended_at = $24, ring_seconds = $25, talk_seconds = $26, duration_seconds = $27, outcome = $28, notes = $29,
			due_at = $30, updated_at = $31, business_unit = $32, is_ignored = $33, is_on_hold = $34, is_test = $35, is_logged = $36, room_sid = $37,
			transfer = $38::text::jsonb, answerer = $39, recording_paused_at = $40, pause_due_at = $41, notices = $42::text[], hops = $43
		WHERE organization_id = $1 AND id = $2`

	// Most news changes a leg and nothing else of the call.
	countCall = `UPDATE call SET version = $3, updated_at = $4 WHERE organization_id = $1 AND id = $2`

	updateLeg = `
		UPDATE call_leg SET updated_at = $3, twilio_sid = $4, status = $5, outcome = $6, started_at = $7, ringing_at = $8, answered_at = $9,
			ended_at = $10, duration_seconds = $11, purpose = $12, is_on_hold = $13, is_muted = $14, monitor_mode = $15, notice = $16, start_at = $17
		WHERE organization_id = $1 AND id = $2`

	// New legs are made together: one statement for all.
	upsertLegs = `
		INSERT INTO call_leg (organization_id, call_id, updated_at, id, kind, step, user_id, device_id, to_address, twilio_sid, status, outcome,
			started_at, ringing_at, answered_at, ended_at, duration_seconds, purpose, is_on_hold, is_muted, monitor_mode, notice, start_at)
		SELECT $1, $2, $3, l.*
		FROM unnest($4::uuid[], $5::text[], $6::int[], $7::uuid[], $8::uuid[], $9::text[], $10::text[], $11::text[], $12::text[],
			$13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::int[],
			$18::text[], $19::boolean[], $20::boolean[], $21::text[], $22::text[], $23::timestamptz[]) AS l
		ON CONFLICT (organization_id, id) DO UPDATE SET updated_at = excluded.updated_at, twilio_sid = excluded.twilio_sid, status = excluded.status,
			outcome = excluded.outcome, started_at = excluded.started_at, ringing_at = excluded.ringing_at, answered_at = excluded.answered_at,
			ended_at = excluded.ended_at, duration_seconds = excluded.duration_seconds,
			purpose = excluded.purpose, is_on_hold = excluded.is_on_hold, is_muted = excluded.is_muted, monitor_mode = excluded.monitor_mode,
			notice = excluded.notice, start_at = excluded.start_at
		WHERE call_leg.call_id = excluded.call_id`
)

// columns are the facts as arrays of columns.
func columns(facts []Fact) (args [4]any, err error) {
	var (
		keys, kinds, data []string
		at                []time.Time
	)
	for _, f := range facts {
		b, err := json.Marshal(f.Data)
		if err != nil {
			return args, err
		}
		keys, kinds, at, data = append(keys, f.Key), append(kinds, string(f.Kind)), append(at, f.At), append(data, string(withoutNUL(b)))
	}
	return [4]any{keys, kinds, at, data}, nil
}

// withoutNUL drops the escape \u0000, which JSON allows and jsonb refuses.
func withoutNUL(b []byte) []byte {
	if !bytes.Contains(b, []byte(`\u0000`)) {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] != '\\' || i+1 == len(b):
			out = append(out, b[i])
		case bytes.HasPrefix(b[i:], []byte(`\u0000`)):
			i += 5
		default:
			out = append(out, b[i], b[i+1])
			i++
		}
	}
	return out
}

func scanFact(row pgx.CollectableRow) (f Fact, err error) {
	var data []byte
	if err = row.Scan(&f.Key, (*string)(&f.Kind), &f.At, &data); err == nil {
		err = json.Unmarshal(data, &f.Data)
	}
	f.At = f.At.UTC()
	return f, err
}

// history is what is known of a call after facts were added: all facts there are,
// and the keys of those that were new. Both are empty when there is no such call.
type history struct {
	all   []Fact
	fresh map[string]bool
	read  bool // the batch was answered
}

// queue has a batch lock the call, add the facts and read all there are.
func (h *history) queue(b *pgx.Batch, org, call id.ID, facts []Fact) error {
	args, err := columns(facts)
	if err != nil {
		return err
	}
	insert := b.Queue(lockAndInsertFacts, org, call, args[0], args[1], args[2], args[3])
	if len(facts) == 1 {
		insert.SQL = lockAndInsertFact
		insert.Arguments = []any{org, call, facts[0].Key, string(facts[0].Kind), facts[0].At, args[3].([]string)[0]}
	}
	if len(facts) == 0 {
		insert.SQL, insert.Arguments = lockCall, []any{org, call}
	}
	insert.Query(func(rows pgx.Rows) error {
		keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if len(facts) == 0 {
			keys = nil
		}
		h.fresh = make(map[string]bool, len(keys))
		for _, k := range keys {
			h.fresh[k] = true
		}
		return err
	})
	b.Queue(selectFacts, org, call).Query(func(rows pgx.Rows) (err error) {
		h.all, err = pgx.CollectRows(rows, scanFact)
		h.read = err == nil
		return err
	})
	return nil
}

// lockAndAdd locks the call, adds the facts and reads all there are, in one round trip.
func lockAndAdd(ctx context.Context, tx *db.Tx, call id.ID, facts []Fact) (*history, error) {
	h, b := &history{}, &pgx.Batch{}
	if err := h.queue(b, db.TenantFrom(ctx), call, facts); err != nil {
		return nil, err
	}
	return h, db.Translate(tx.Pgx().SendBatch(ctx, b).Close())
}

// addFacts adds facts to a call that is locked and returns those that were new.
func addFacts(ctx context.Context, tx *db.Tx, call id.ID, facts []Fact) ([]Fact, error) {
	args, err := columns(facts)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Pgx().Query(ctx, insertFacts, db.TenantFrom(ctx), call, args[0], args[1], args[2], args[3])
	if err != nil {
		return nil, db.Translate(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, db.Translate(err)
	}
	fresh := map[string]bool{}
	for _, k := range keys {
		fresh[k] = true
	}
	var out []Fact
	for _, f := range facts {
		if fresh[f.Key] {
			out = append(out, f)
		}
	}
	return out, nil
}

func (st *State) callArgs(now time.Time) []any {
	c := &st.Call
	var transfer *string
	if c.Transfer != nil {
		b, err := json.Marshal(c.Transfer)
		if err != nil {
			panic("call: a transfer is no JSON: " + err.Error()) // strings, ids and times only
		}
		transfer = new(string(withoutNUL(b)))
	}
	notices := make([]string, len(c.NoticeCodes))
	for i, n := range c.NoticeCodes {
		notices[i] = string(n)
	}
	return []any{
		c.OrganizationID, c.ID, c.Version, string(c.Provider), string(c.Direction), string(c.Status), c.EndReason, c.ConnectionID, c.PhoneNumberID,
		c.ContactID, c.RecordID, c.CampaignID, c.UserID, c.AnsweredByID, c.AnsweredByLegID, c.FromNumber, c.ToNumber, c.TwilioSID,
		c.CallerNumber, c.CallerNumberReason, c.IsRecorded, c.StartedAt, c.AnsweredAt, c.EndedAt, c.RingSeconds, c.TalkSeconds, c.DurationSeconds,
		c.Outcome, c.Notes, st.DueAt, now, c.BusinessUnit, c.IsIgnored, c.IsOnHold, c.IsTest, c.IsLogged, c.RoomSID, transfer, (*string)(c.Answerer),
		c.RecordingPausedAt, st.PauseDueAt, notices, c.Hops,
	}
}

func queueLegs(b *pgx.Batch, st *State, legs []Leg, now time.Time) {
	if len(legs) == 0 {
		return
	}
	var (
		ids, users, devices      []id.ID
		kinds, to, status        []string
		steps                    []int
		sids, outcomes           []*string
		started                  []time.Time
		ringing, answered, ended []*time.Time
		lasted                   []*int
		purposes                 []string
		held, muted              []bool
		modes, told              []*string
		turns                    []*time.Time
	)
	for _, l := range legs {
		ids, users, devices = append(ids, l.ID), append(users, l.UserID), append(devices, l.DeviceID)
		kinds, to, status = append(kinds, string(l.Kind)), append(to, l.ToAddress), append(status, string(l.Status))
		steps, sids, outcomes = append(steps, l.Step), append(sids, l.TwilioSID), append(outcomes, (*string)(l.Outcome))
		started, ringing, answered = append(started, l.StartedAt), append(ringing, l.RingingAt), append(answered, l.AnsweredAt)
		ended, lasted = append(ended, l.EndedAt), append(lasted, l.DurationSeconds)
		purposes, held, muted = append(purposes, string(l.Purpose)), append(held, l.IsOnHold), append(muted, l.IsMuted)
		modes, told, turns = append(modes, (*string)(l.MonitorMode)), append(told, (*string)(l.Notice)), append(turns, l.StartAt)
	}
	b.Queue(upsertLegs, st.Call.OrganizationID, st.Call.ID, now, ids, kinds, steps, users, devices, to, sids, status, outcomes, started, ringing, answered, ended, lasted,
		purposes, held, muted, modes, told, turns)
}

// create writes a new call. made is false when Twilio's SID has a call already:
// then st is that call as it is.
func (s *Service) create(ctx context.Context, tx *db.Tx, facts []Fact, actor id.ID) (st State, made bool, err error) {
	st = Fold(facts)
	var decision *string
	if st.Decision != nil {
		b, err := json.Marshal(st.Decision)
		if err != nil {
			return st, false, err
		}
		decision = new(string(withoutNUL(b)))
	}
	args, err := columns(facts)
	if err != nil {
		return st, false, err
	}
	b := &pgx.Batch{}
	b.Queue(insertCall, append(st.callArgs(tx.Now), st.Call.MaskedPairID, st.Call.BranchID, decision)...).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&made)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	b.Queue(insertFacts, st.Call.OrganizationID, st.Call.ID, args[0], args[1], args[2], args[3])
	if err := tx.Pgx().SendBatch(ctx, b).Close(); err != nil {
		return st, false, db.Translate(err)
	}
	if !made {
		st, err = s.bySID(ctx, tx, *st.Call.TwilioSID)
		return st, false, err
	}
	b = &pgx.Batch{}
	queueLegs(b, &st, st.Legs, tx.Now)
	if err := event.Queue(ctx, tx, b, news(State{}, st, actor)...); err != nil {
		return st, false, err
	}
	return st, true, db.Translate(tx.Pgx().SendBatch(ctx, b).Close())
}

// bySID reads the state of the call that has Twilio's SID.
func (s *Service) bySID(ctx context.Context, tx *db.Tx, sid string) (State, error) {
	rows, err := tx.Pgx().Query(ctx, `SELECT f.key, f.kind, f.at, f.data FROM call c
		JOIN call_fact f ON f.organization_id = c.organization_id AND f.call_id = c.id
		WHERE c.organization_id = $1 AND c.twilio_sid = $2`, db.TenantFrom(ctx), sid)
	if err != nil {
		return State{}, db.Translate(err)
	}
	facts, err := pgx.CollectRows(rows, scanFact)
	return Fold(facts), db.Translate(err)
}

// save writes what changed and tells of it: every version has its event, so that
// whoever follows the events arrives at the version of the row.
func (s *Service) save(ctx context.Context, tx *db.Tx, before State, after State, actor id.ID, last func(*pgx.Batch)) error {
	b := &pgx.Batch{}
	was := before.Call
	was.Version = after.Call.Version
	if reflect.DeepEqual(was, after.Call) && reflect.DeepEqual(before.DueAt, after.DueAt) && reflect.DeepEqual(before.PauseDueAt, after.PauseDueAt) {
		b.Queue(countCall, after.Call.OrganizationID, after.Call.ID, after.Call.Version, tx.Now)
	} else {
		b.Queue(updateCall, after.callArgs(tx.Now)...)
	}
	if d := after.Decision; d != nil && before.Decision != nil && len(d.Steps) != len(before.Decision.Steps) {
		route, err := json.Marshal(d)
		if err != nil {
			return err
		}
		b.Queue(`UPDATE call SET route = $3::text::jsonb WHERE organization_id = $1 AND id = $2`, after.Call.OrganizationID, after.Call.ID, string(withoutNUL(route)))
	}
	var made []Leg
	for _, l := range after.Legs {
		switch old := before.Find(l.ID); {
		case old == nil:
			made = append(made, l)
		case !reflect.DeepEqual(*old, l):
			b.Queue(updateLeg, l.OrganizationID, l.ID, tx.Now, l.TwilioSID, string(l.Status), (*string)(l.Outcome),
				l.StartedAt, l.RingingAt, l.AnsweredAt, l.EndedAt, l.DurationSeconds,
				string(l.Purpose), l.IsOnHold, l.IsMuted, (*string)(l.MonitorMode), (*string)(l.Notice), l.StartAt)
		}
	}
	queueLegs(b, &after, made, tx.Now)
	sounds := !reflect.DeepEqual(before.Recordings, after.Recordings) || !reflect.DeepEqual(before.Voicemail, after.Voicemail)
	told := news(before, after, actor)
	projected := sounds || after.Voicemail != nil && before.Call.ContactID != after.Call.ContactID
	if !projected { // what projections tell of comes before the call
		if err := event.Queue(ctx, tx, b, told...); err != nil {
			return err
		}
	}
	if last != nil && !projected {
		last(b)
		return nil
	}
	if err := tx.Pgx().SendBatch(ctx, b).Close(); err != nil || !projected {
		return db.Translate(err)
	}
	for _, p := range s.projections {
		if err := p.Apply(ctx, tx, after); err != nil {
			return err
		}
	}
	return event.Append(ctx, tx, told...)
}

// readIn is the state of a call of the context's tenant, and its facts; the zero
// State when there is none.
func (s *Service) readIn(ctx context.Context, tx *db.Tx, call id.ID) (State, []Fact, error) {
	rows, err := tx.Pgx().Query(ctx, selectFacts, db.TenantFrom(ctx), call)
	if err != nil {
		return State{}, nil, db.Translate(err)
	}
	facts, err := pgx.CollectRows(rows, scanFact)
	return Fold(facts), facts, db.Translate(err)
}
