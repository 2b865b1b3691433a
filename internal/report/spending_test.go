package report_test

import (
	"context"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/report"
)

// automation makes one that is called so.
func (s *stage) automation(name string) id.ID {
	s.Helper()
	template, x := id.New(id.Template), id.New(id.Automation)
	s.exec(`INSERT INTO message_template (organization_id, id, kind, name, body, purpose, updated_at) VALUES ($1, $2, 'TEMPLATE', $3, 'x', 'REMINDER', $4)`, s.org, template, name, stageNow)
	s.exec(`INSERT INTO automation (organization_id, id, name, trigger, recipients, template_id, updated_at) VALUES ($1, $2, $3, 'ON_THE_WAY', '{CONTACT}', $4, $5)`,
		s.org, x, name, template, stageNow)
	return x
}

// written adds a message that went out, with its price or, negative, what it is expected to cost.
func (s *stage) written(thread id.ID, at time.Time, micros int64, user, automation, bulk id.ID) {
	s.Helper()
	s.exec(`INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, user_id, automation_id, bulk_id, at, updated_at, num_segments, price_micros, estimated_micros, price_currency)
		VALUES ($1, $2, $3, 'OUTBOUND', 'DELIVERED', 'x', '+1', '+2', $4, $5, $6, $7, $7, 2, CASE WHEN $8::bigint > 0 THEN $8 END, CASE WHEN $8 < 0 THEN -$8 END, 'USD')`,
		s.org, id.New(id.Message), thread, user, automation, bulk, at, micros)
}

func TestWhatAutomationsAndBulkMessagesCost(t *testing.T) { // R102, R174
	t.Parallel()
	s := newStage(t)
	who := s.costs()
	at := stageNow.Add(-time.Hour)
	s.texts(0, "+61491570156")
	var thread id.ID
	if err := db.Select(t.Context(), s.db.Worker(), &thread, `SELECT id FROM sms_thread WHERE organization_id = $1`, s.org); err != nil {
		t.Fatal(err)
	}
	reminder, review, bulk := s.automation("Reminder"), s.automation("Review"), id.New(id.Bulk)
	s.exec(`INSERT INTO bulk_message (organization_id, id, name, body, status, recipient_count, pending_count, updated_at) VALUES ($1, $2, 'Offer', 'x', 'DONE', 1, 0, $3)`, s.org, bulk, at)
	none := id.ID{}
	s.written(thread, at, 15_000, none, reminder, none)
	s.written(thread, at, -5_000, none, reminder, none)
	s.written(thread, at, 4_000, none, review, none)
	s.written(thread, at, 7_000, s.users[2], none, bulk)
	s.written(thread, at, 9_000, s.users[1], none, none)
	out := s.ended("OUTBOUND", "+61255500001", at, 0, s.users[1])
	s.leg(out, "CALLEE", "+61491570157", at, 60) // 0.0252 USD
	in := s.ended("INBOUND", "+61491570157", at, 0, none)
	s.exec(`UPDATE call SET answered_by_user_id = $2 WHERE id = $1`, in, s.users[1])
	s.leg(in, "CALLER", "+61255500001", at, 60) // 0.0085 USD
	if err := s.svc.Estimate(t.Context()); err != nil {
		t.Fatal(err)
	}

	usd := func(micros int64) []report.CostAmount {
		if micros == 0 {
			return []report.CostAmount{}
		}
		return []report.CostAmount{{Micros: micros, Currency: "USD"}}
	}
	row := func(label string, key id.ID, messages int, known, estimated int64) report.UsageRow {
		r := report.UsageRow{Label: label, Messages: messages, Segments: 2 * messages, Known: usd(known), Estimated: usd(estimated)}
		if !key.IsZero() {
			r.Key = new(key.String())
		}
		return r
	}
	for name, x := range map[string]struct {
		group      report.UsageGroup
		automation id.ID
		want       []report.UsageRow
	}{
		"by automation": {report.UsageByAutomation, none, []report.UsageRow{row("Reminder", reminder, 2, 15_000, 5_000), row("Review", review, 1, 4_000, 0), row("No automation", none, 2, 16_000, 0)}},
		"by bulk":       {report.UsageByBulk, none, []report.UsageRow{row("Offer", bulk, 1, 7_000, 0), row("No bulk message", none, 4, 28_000, 5_000)}},
		"of one":        {report.UsageByAutomation, reminder, []report.UsageRow{row("Reminder", reminder, 2, 15_000, 5_000)}},
		"one by kind":   {report.UsageByKind, review, []report.UsageRow{{Key: new("SMS_OUTBOUND"), Label: "SMS_OUTBOUND", Messages: 1, Segments: 2, Known: usd(4_000), Estimated: usd(0)}}},
	} {
		u, err := s.svc.Usage(t.Context(), who, report.UsageFilter{From: at.AddDate(0, 0, -1), Until: stageNow, AutomationID: x.automation, GroupBy: x.group})
		if err != nil {
			t.Fatal(err)
		}
		if d := gocmp.Diff(x.want, u.Rows); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if want := map[bool]int{true: 2}[x.automation.IsZero()]; u.Total.Calls != want { // an automation makes no calls
			t.Errorf("%s: %d calls in all", name, u.Total.Calls)
		}
	}

	// Caps of an automation and of a person count what those cost, and bar them alone.
	limit := func(in report.CapInput) *report.CostCap {
		t.Helper()
		in.Period, in.Currency, in.Action = report.CapMonth, "USD", report.CapBlock
		c, err := s.svc.SetCap(t.Context(), who, in)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	spent := map[string]int64{}
	for name, in := range map[string]report.CapInput{
		"reminder": {Scope: report.CapAutomation, AutomationID: reminder, AmountMinor: 2}, "review": {Scope: report.CapAutomation, AutomationID: review, AmountMinor: 2},
		"ann": {Scope: report.CapUser, UserID: s.users[1], AmountMinor: 3}, "ben": {Scope: report.CapUser, UserID: s.users[2], AmountMinor: 3},
	} {
		spent[name] = limit(in).SpentMicros
	}
	// Whoever answers spends nothing: ann's are the call that she made and what she wrote.
	if d := gocmp.Diff(map[string]int64{"reminder": 20_000, "review": 4_000, "ann": 34_200, "ben": 7_000}, spent); d != "" {
		t.Errorf("caps count (-want +got):\n%s", d)
	}
	for name, x := range map[string]struct {
		on    report.Spending
		about string // what bars it
	}{
		"the automation": {report.Spending{AutomationID: reminder, BranchID: s.branches[0]}, "0.02 USD a month for the automation Reminder"},
		"another":        {report.Spending{AutomationID: review, BranchID: s.branches[0]}, ""},
		"the person":     {report.Spending{UserID: s.users[1], BranchID: s.branches[0]}, "0.03 USD a month for User South"},
		"somebody else":  {report.Spending{UserID: s.users[2], BranchID: s.branches[0]}, ""},
		"nobody":         {report.Spending{BranchID: s.branches[0]}, ""},
	} {
		err := s.db.InTx(db.WithTenant(t.Context(), s.org), func(ctx context.Context, tx *db.Tx) error { return s.svc.MaySpend(ctx, tx, s.org, x.on) })
		e, barred := errs.As(err)
		if barred != (x.about != "") || barred && (e.Code != errs.LimitReached || e.Message != "the cap of "+x.about+" is reached; wait until 2026-11-01T00:00:00Z, or have an administrator raise it") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
