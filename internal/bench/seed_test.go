package bench_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"switchboard/internal/bench"
	"switchboard/internal/id"
)

func TestTheSeedIsTheSameEveryTimeAndHangsTogether(t *testing.T) {
	t.Parallel()
	s := bench.Scale{Organizations: 3, Calls: 600, Messages: 600}
	digest := func() (sum string, owner *pgxpool.Pool) {
		owner, _ = seeded(t, s)
		err := owner.QueryRow(t.Context(), `SELECT md5(string_agg(x, '' ORDER BY x)) FROM (
			SELECT md5(c::text) AS x FROM call c UNION ALL SELECT md5(l::text) FROM call_leg l UNION ALL SELECT md5(r::text) FROM recording r
			UNION ALL SELECT md5(v::text) FROM voicemail v UNION ALL SELECT md5(m::text) FROM message m UNION ALL SELECT md5(t::text) FROM sms_thread t) x`).Scan(&sum)
		if err != nil {
			t.Fatal(err)
		}
		return sum, owner
	}
	first, owner := digest()
	if again, _ := digest(); again != first {
		t.Error("two seeds of one scale differ")
	}
	// Foreign keys hold by themselves; these are what no constraint says.
	for why, sql := range map[string]string{
		"a call says that it is recorded as its recordings do": `SELECT count(*) FROM call c WHERE is_recorded <>
			EXISTS (SELECT FROM recording r WHERE r.organization_id = c.organization_id AND r.call_id = c.id)`,
		"who answered has the leg that was answered": `SELECT count(*) FROM call c WHERE answered_by_leg_id IS NOT NULL AND NOT EXISTS (
			SELECT FROM call_leg l WHERE l.organization_id = c.organization_id AND l.call_id = c.id AND l.id = c.answered_by_leg_id
			AND l.outcome = 'ANSWERED' AND l.user_id IS NOT DISTINCT FROM c.answered_by_user_id)`,
		"a voicemail ends its call": `SELECT count(*) FROM call c WHERE (status = 'VOICEMAIL') <>
			EXISTS (SELECT FROM voicemail v WHERE v.organization_id = c.organization_id AND v.call_id = c.id)`,
		"a thread ends with its newest message": `SELECT count(*) FROM sms_thread t WHERE (last_message_id, last_message_at) IS DISTINCT FROM (
			SELECT (m.id, m.at) FROM message m WHERE m.organization_id = t.organization_id AND m.thread_id = t.id ORDER BY m.at DESC, m.id DESC LIMIT 1)`,
	} {
		var n int
		if err := owner.QueryRow(t.Context(), sql).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d rows do not, error %v", why, n, err)
		}
	}
	rows, err := owner.Query(t.Context(), `SELECT organization_id, id, 'call' FROM call UNION ALL SELECT organization_id, id, 'leg' FROM call_leg
		UNION ALL SELECT organization_id, id, 'msg' FROM message UNION ALL SELECT organization_id, id, 'thread' FROM sms_thread`)
	if err != nil {
		t.Fatal(err)
	}
	orgs := map[id.ID]bool{}
	for o := range s.Organizations {
		orgs[s.Organization(o)] = true
	}
	n := 0
	var org, x id.ID
	var kind string
	_, err = pgx.ForEachRow(rows, []any{&org, &x, &kind}, func() error {
		n++
		if !orgs[org] || x.Kind().String() != kind {
			t.Errorf("%s of %s is a %s", x, org, kind)
		}
		return nil
	})
	if err != nil || n < 2000 {
		t.Errorf("%d ids, error %v", n, err)
	}
}
