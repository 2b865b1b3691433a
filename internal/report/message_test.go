package report_test

import (
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/report"
)

// texts makes a thread of a number and its branch, and gives how to add messages to it.
func (s *stage) texts(line int, their string) func(at time.Time, direction, status string, user id.ID, more ...any) {
	s.Helper()
	thread := id.New(id.Thread)
	s.exec(`UPDATE phone_number SET branch_id = $2 WHERE id = $1`, s.numbers[line], s.branches[line])
	s.exec(`INSERT INTO sms_thread (organization_id, id, phone_number_id, their_number, branch_id, last_message_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)`,
		s.org, thread, s.numbers[line], their, s.branches[line], time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC))
	return func(at time.Time, direction, status string, user id.ID, more ...any) {
		s.Helper()
		var segments, price, currency any
		for i, v := range []*any{&segments, &price, &currency} {
			if i < len(more) {
				*v = more[i]
			}
		}
		s.exec(`INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, user_id, at, updated_at, num_segments, price_micros, price_currency)
			VALUES ($1, $2, $3, $4, $5, 'x', '+1', '+2', $6, $7, $7, $8, $9, $10)`, s.org, id.New(id.Message), thread, direction, status, user, at, segments, price, currency)
	}
}

func TestMessagesAreCounted(t *testing.T) { // R281
	t.Parallel()
	s := newStage(t)
	day := func(d, h, m int) time.Time { return time.Date(2026, 10, d, h, m, 0, 0, sydney) }
	ann, ben := s.users[1], s.users[2]
	north, south := s.texts(0, "+61491570156"), s.texts(1, "+61491570157")
	// Two wait for one answer: it is the first that counts. 10 minutes.
	north(day(2, 9, 0), "INBOUND", "RECEIVED", id.ID{}, 1, -7500, "USD")
	north(day(2, 9, 5), "INBOUND", "RECEIVED", id.ID{}, 1)
	north(day(2, 9, 10), "OUTBOUND", "DELIVERED", ann, 2, 15000, "USD")
	north(day(2, 9, 11), "OUTBOUND", "SENT", ann, 1, 900, "AUD")
	// Late in the evening, answered the next day. 9 hours.
	north(day(2, 23, 30), "INBOUND", "RECEIVED", id.ID{})
	north(day(2, 23, 31), "OUTBOUND", "DELIVERED", id.ID{}, 1) // a machine's is no answer
	north(day(3, 8, 30), "OUTBOUND", "UNDELIVERED", ben, 1)
	// Never answered, and what was not sent.
	south(day(3, 10, 0), "INBOUND", "RECEIVED", id.ID{})
	south(day(3, 10, 5), "OUTBOUND", "SCHEDULED", ben)
	south(day(3, 10, 6), "OUTBOUND", "CANCELED", ben)
	south(day(3, 10, 7), "OUTBOUND", "PENDING", id.ID{})
	south(day(4, 0, 0), "INBOUND", "RECEIVED", id.ID{}) // the day after
	for i, their := range []string{"+61491570156", "+61491570156", "+61491570157"} {
		s.exec(`INSERT INTO consent (organization_id, id, e164, channel, phone_number_id, what, source, at) VALUES ($1, $2, $3, 'SMS', $4, 'OPT_OUT', 'KEYWORD', $5)`,
			s.org, id.New(id.Consent), their, s.numbers[i/2], day(2+i/2, 12, i))
	}
	ask := func(who access.Actor, f report.MessageFilter) *report.MessageStatistics {
		t.Helper()
		f.From, f.Until, f.TimeZone = day(2, 0, 0), day(4, 0, 0), "Australia/Sydney"
		ctx, counted := db.CountStatements(t.Context())
		got, err := s.svc.Messages(ctx, who, f)
		if err != nil {
			t.Fatal(err)
		}
		if counted.N() > 5 {
			t.Errorf("%d statements", counted.N())
		}
		return got
	}
	wants := func(what string, r report.MessageRow, label string, sent, received, delivered, failed, optedOut, segments int, reply float64, costs string) {
		t.Helper()
		mean, money := -1.0, ""
		if r.AverageFirstReplySeconds != nil {
			mean = *r.AverageFirstReplySeconds
		}
		for _, c := range r.Costs {
			money += c.String() + ";"
		}
		if r.Label != label || r.Sent != sent || r.Received != received || r.Delivered != delivered || r.Failed != failed || r.OptedOut != optedOut ||
			r.Segments != segments || mean != reply || money != costs {
			t.Errorf("%s: %+v, mean %v, costs %s", what, r, mean, money)
		}
	}
	const minute = 60.0
	whole := ask(s.admin, report.MessageFilter{})
	wants("total", whole.Total, "Total", 4, 4, 2, 1, 2, 5, (10*minute+540*minute)/2, "0.0009 AUD;0.0075 USD;")
	if len(whole.Rows) != 0 {
		t.Errorf("rows without a group: %+v", whole.Rows)
	}
	days := ask(s.admin, report.MessageFilter{GroupBy: report.ByDay})
	if len(days.Rows) != 2 {
		t.Fatalf("days: %+v", days.Rows)
	}
	wants("the first day", days.Rows[0], "2026-10-02", 3, 3, 2, 0, 1, 4, (10*minute+540*minute)/2, "0.0009 AUD;0.0075 USD;")
	wants("the second day", days.Rows[1], "2026-10-03", 1, 1, 0, 1, 1, 1, -1, "")
	wants("the total of the days", days.Total, "Total", 4, 4, 2, 1, 2, 5, (10*minute+540*minute)/2, "0.0009 AUD;0.0075 USD;")
	branches := ask(s.admin, report.MessageFilter{GroupBy: report.ByBranch})
	wants("the north", branches.Rows[0], "North", 4, 3, 2, 1, 1, 5, (10*minute+540*minute)/2, "0.0009 AUD;0.0075 USD;")
	wants("the south", branches.Rows[1], "South", 0, 1, 0, 0, 1, 0, -1, "")
	if k := branches.Rows[0].Key; k == nil || *k != s.branches[0].String() {
		t.Errorf("the key of a branch is %v", k)
	}
	numbers := ask(s.admin, report.MessageFilter{GroupBy: report.ByPhoneNumber})
	wants("the second line", numbers.Rows[1], "Line South", 0, 1, 0, 0, 1, 0, -1, "")
	users := ask(s.admin, report.MessageFilter{GroupBy: report.ByUser})
	if len(users.Rows) != 3 {
		t.Fatalf("users: %+v", users.Rows)
	}
	wants("ben", users.Rows[0], "User East", 1, 0, 0, 1, 0, 1, 540*minute, "")
	wants("ann", users.Rows[1], "User South", 2, 0, 1, 0, 0, 3, 10*minute, "0.0009 AUD;0.015 USD;")
	wants("nobody", users.Rows[2], "Nobody", 1, 4, 1, 0, 2, 1, -1, "-0.0075 USD;")
	states := ask(s.admin, report.MessageFilter{GroupBy: report.ByStatus})
	if len(states.Rows) != 7 {
		t.Errorf("states: %+v", states.Rows)
	}
	wants("of ann", ask(s.admin, report.MessageFilter{UserID: ann}).Total, "Total", 2, 0, 1, 0, 0, 3, 10*minute, "0.0009 AUD;0.015 USD;")
	wants("of the south", ask(s.admin, report.MessageFilter{BranchID: s.branches[1]}).Total, "Total", 0, 1, 0, 0, 1, 0, -1, "")

	only := func(v access.Visibility, user id.ID, branches ...id.ID) access.Actor {
		return access.Actor{OrganizationID: s.org, UserID: user, Visibility: v, BranchIDs: branches, Permissions: s.admin.Permissions}
	}
	wants("R276: seen from the south", ask(only(access.SeesBranch, s.users[0], s.branches[1]), report.MessageFilter{}).Total, "Total", 0, 1, 0, 0, 1, 0, -1, "")
	wants("seen by who wrote last", ask(only(access.SeesOwn, ben), report.MessageFilter{}).Total, "Total", 1, 0, 0, 1, 0, 1, -1, "")
	wants("seen by who has nothing", ask(only(access.SeesOwn, s.users[0]), report.MessageFilter{}).Total, "Total", 0, 0, 0, 0, 0, 0, -1, "")

	for name, f := range map[string]report.MessageFilter{
		"backwards": {From: day(3, 0, 0), Until: day(2, 0, 0)}, "a zone": {From: day(2, 0, 0), Until: day(3, 0, 0), TimeZone: "Mars/Base"},
		"too long": {From: day(1, 0, 0), Until: day(1, 0, 0).AddDate(2, 0, 0)}, "a group": {From: day(2, 0, 0), Until: day(3, 0, 0), GroupBy: "MOON"},
	} {
		if _, err := s.svc.Messages(t.Context(), s.admin, f); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	blind := s.admin
	blind.Permissions = nil
	if _, err := s.svc.Messages(t.Context(), blind, report.MessageFilter{}); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without REPORT_VIEW: %v", err)
	}
}
