package call_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/route"
)

// comes lets a call come in and says in how many statements that was taken.
func (s *stage) comes(n int) (statements int) {
	s.t.Helper()
	ctx, count := db.CountStatements(s.ctx)
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := s.calls.Inbound(ctx, tx, s.incoming(n, theirs))
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return count.N()
}

// D08, T14: thousands of rules are read once, and a change counts from the next call on.
func TestTheIgnoredListIsReadOnceAndIsNeverOld(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	latest := func() *call.Call {
		t.Helper()
		w, err := s.calls.List(access.With(s.ctx, s.boss()), s.boss(), call.Filter{}, db.Page{First: 1})
		if err != nil {
			t.Fatal(err)
		}
		return w.Nodes[0]
	}
	plain := s.comes(1)
	if c := latest(); c.IsIgnored {
		t.Error("ignored without a rule")
	}
	var rules []string
	for i := range 2000 {
		rules = append(rules, fmt.Sprintf("+1202%07d", i))
	}
	rules = append(rules, "#400999888#")
	uuids := make([]id.ID, len(rules))
	for i := range uuids {
		uuids[i] = id.New(id.IgnoredNumber)
	}
	s.exec(`INSERT INTO ignored_number (organization_id, id, rule) SELECT $1, x.id, x.rule FROM unnest($2::uuid[], $3::text[]) AS x (id, rule)`, s.org, uuids, rules)
	s.clock.Advance(time.Second)
	first := s.comes(2)
	if c := latest(); !c.IsIgnored {
		t.Error("a caller on the list is not ignored")
	}
	s.clock.Advance(time.Second)
	second := s.comes(3)
	if first != plain+1 || second != plain {
		t.Errorf("%d statements without rules, %d with the first call, %d with the next", plain, first, second)
	}
	// Another one goes and another comes: as many as before, and as new.
	s.exec(`DELETE FROM ignored_number WHERE organization_id = $1 AND rule = '#400999888#'`, s.org)
	s.exec(`INSERT INTO ignored_number (organization_id, id, rule, created_at) VALUES ($1, $2, '+12029999999', (SELECT max(created_at) FROM ignored_number))`, s.org, id.New(id.IgnoredNumber))
	s.clock.Advance(time.Second)
	if s.comes(4); latest().IsIgnored {
		t.Error("a rule that was removed still counts")
	}
}

// The scene has what the settings say: team with positions and switches, readiness, backlog.
func TestTheSceneReadsTeamsReadinessAndPace(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	now := s.clock.Now()
	team := id.New(id.Team)
	cec, cecDev := s.person("Cec")
	s.exec(`DELETE FROM branch_user WHERE organization_id = $1`, s.org)
	s.exec(`INSERT INTO team (organization_id, id, name, updated_at) VALUES ($1, $2, 'Line', $3)`, s.org, team, now)
	s.exec(`INSERT INTO team_user (organization_id, team_id, user_id, position) VALUES ($1, $2, $3, 1), ($1, $2, $4, 0), ($1, $2, $5, 2)`, s.org, team, s.ann, s.bob, cec)
	s.exec(`INSERT INTO phone_number_user (organization_id, phone_number_id, user_id, incoming_calls, updated_at) VALUES ($1, $2, $3, false, $4)`, s.org, s.number, cec, now)
	s.exec(`UPDATE device SET microphone = 'DENIED' WHERE organization_id = $1 AND id = $2`, s.org, s.annDev)
	s.exec(`UPDATE phone_number SET routing_mode = 'TEAM', team_id = $2, ring_strategy = 'SEQUENTIAL', business_unit = 'Sales', incoming_recording = 'FROM_RINGING',
		forwarding_numbers = '{+61255507777}' WHERE organization_id = $1`, s.org, team)
	doc := body(t, s.arrives(1, theirs), nil)
	if !strings.Contains(doc, s.bobDev.String()) || strings.Contains(doc, s.annDev.String()) || strings.Contains(doc, cecDev.String()) {
		t.Errorf("Bob rings alone (R026, R075):\n%s", doc)
	}
	c, legs := s.only()
	if *c.BusinessUnit != "Sales" || len(c.NoticeCodes) != 1 || c.NoticeCodes[0] != call.RecordedBeforeConsent || len(legs) != 2 || legs[1].To().Display != "Bob's browser" {
		t.Errorf("business unit %v, notices %v, %d legs", c.BusinessUnit, c.NoticeCodes, len(legs))
	}
	d, err := s.calls.DecisionsByCalls(access.With(s.ctx, s.boss()), s.boss(), []id.ID{c.ID})
	if err != nil {
		t.Fatal(err)
	}
	said := func(rule string, who id.ID, words string) {
		t.Helper()
		for _, x := range d[c.ID].Trace {
			if x.Rule == rule && x.UserID == who && strings.Contains(x.Detail, words) {
				return
			}
		}
		t.Errorf("the trace does not say %s of the user, with %q: %+v", rule, words, d[c.ID].Trace)
	}
	said("DEVICE_READY", s.ann, "the microphone is refused")
	said("USER_LINE_RECEIVE", cec, "switched off")
	// The forwarded leg is billed twice, and says so (R261).
	s.afterDial(c, 1, "no-answer", "ringing", 0, 0)
	c, legs = s.only()
	last := legs[len(legs)-1]
	if last.Kind != route.ForwardPhone || last.Notice == nil || *last.Notice != call.ForwardingBilled || len(c.NoticeCodes) != 2 {
		t.Errorf("forwarded: %s with notice %v, the call has %v", last.Kind, last.Notice, c.NoticeCodes)
	}
	for name, n := range map[string]int{"with the unit": 1, "with another": 0} {
		unit := map[int]string{1: "Sales", 0: "Support"}[n]
		if got, err := s.calls.Count(access.With(s.ctx, s.boss()), s.boss(), call.Filter{BusinessUnit: unit}); err != nil || got != n {
			t.Errorf("%s: %d calls, %v", name, got, err)
		}
	}
}

// Turns are booked on the connection: the second large ring begins behind the first.
func TestTwoLargeRingsShareThePace(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(`UPDATE twilio_connection SET calls_per_second = 2 WHERE organization_id = $1`, s.org)
	for n := range 12 { // four are calls of our own: two seconds
		s.clock.Advance(time.Second)
		s.person(fmt.Sprintf("Extra%02d", n))
	}
	now := s.clock.Now()
	turns := func(n int) (out []time.Duration) {
		t.Helper()
		s.arrives(n, theirs)
		s.tx(func(ctx context.Context, tx *db.Tx) error {
			rows, err := tx.Pgx().Query(ctx, `SELECT l.start_at FROM call_leg l JOIN call c ON c.organization_id = l.organization_id AND c.id = l.call_id
				WHERE l.organization_id = $1 AND c.twilio_sid = $2 AND l.start_at IS NOT NULL ORDER BY 1`, s.org, sid("CA", n))
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var at time.Time
				if err := rows.Scan(&at); err != nil {
					return err
				}
				out = append(out, at.Sub(now))
			}
			return rows.Err()
		})
		return out
	}
	// The first of the first call is handed over at once and waits no more.
	ms := time.Millisecond
	if got, want := fmt.Sprint(turns(1)), fmt.Sprint([]time.Duration{500 * ms, 1000 * ms, 1500 * ms}); got != want {
		t.Errorf("the first call: %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(turns(2)), fmt.Sprint([]time.Duration{2000 * ms, 2500 * ms, 3000 * ms, 3500 * ms}); got != want {
		t.Errorf("the second call: %s, want %s", got, want)
	}
}
