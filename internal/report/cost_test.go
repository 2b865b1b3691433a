package report_test

import (
	"context"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/report"
	"switchboard/internal/tenant"
)

// leg adds a leg of a call that ended after so many seconds.
func (s *stage) leg(call id.ID, kind, to string, from time.Time, seconds int) id.ID {
	s.Helper()
	x := id.New(id.Leg)
	s.exec(`INSERT INTO call_leg (organization_id, id, call_id, kind, to_address, twilio_sid, status, started_at, answered_at, ended_at, duration_seconds, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, 'ENDED', $7, $7, $8, $9, $7)`, s.org, x, call, kind, to, "CA"+x.String(), from, from.Add(time.Duration(seconds)*time.Second), seconds)
	return x
}

// ended adds a call that ended.
func (s *stage) ended(direction, from string, at time.Time, branch int, user id.ID) id.ID {
	s.Helper()
	x := id.New(id.Call)
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, phone_number_id, branch_id, user_id, from_number, to_number, started_at, answered_at, ended_at, updated_at)
		VALUES ($1, $2, $3, 'COMPLETED', $4, $5, $6, $7, $8, 'b', $9, $9, $10, $9)`, s.org, x, direction, s.connection, s.numbers[branch], s.branches[branch], user, from, at, at.Add(time.Minute))
	return x
}

func (s *stage) costs() access.Actor {
	who := s.admin
	who.Permissions = access.SetOf(access.CostView, access.SettingsManage, access.ReportView, access.SMSView)
	return who
}

func TestEveryBegunMinuteOfEveryLegIsCounted(t *testing.T) { // R102
	t.Parallel()
	s := newStage(t)
	who := s.costs()
	at := time.Date(2026, 10, 9, 12, 0, 0, 0, time.UTC)
	in := s.ended("INBOUND", "+61491570156", at, 0, id.ID{})
	s.leg(in, "CALLER", "+61255500001", at, 61)
	forward := s.leg(in, "FORWARD", "+61491570157", at, 60)
	s.leg(in, "DEVICE", "client:x", at, 0) // rang only
	out := s.ended("OUTBOUND", "+61255500001", at, 1, s.users[1])
	far := s.leg(out, "CALLEE", "+88213000000", at, 30) // a network without a price
	costs, err := s.svc.CallCosts(t.Context(), who, []id.ID{in, out})
	if err != nil {
		t.Fatal(err)
	}
	c := costs[in] // two minutes in, one to Australia
	if c.BilledLegs != 2 || c.IsFinal || len(c.Known) != 0 || len(c.Estimated) != 1 || c.Estimated[0] != (report.CostAmount{Micros: 2*8500 + 25200, Currency: "USD"}) {
		t.Errorf("a forwarded call costs %+v", c)
	}
	legs, err := s.svc.LegCosts(t.Context(), who, []id.ID{forward, far})
	if err != nil || legs[forward].BilledMinutes != 1 || !legs[forward].IsEstimate || legs[forward].Amount.Amount() != "0.0252" || legs[far].Amount != nil || legs[far].BilledMinutes != 1 {
		t.Errorf("%+v, %v", legs, err)
	}
	blind := who
	blind.Permissions = access.SetOf(access.ReportView)
	if none, err := s.svc.CallCosts(t.Context(), blind, []id.ID{in}); err != nil || len(none) != 0 {
		t.Errorf("without COST_VIEW: %+v, %v", none, err)
	}

	if err := s.svc.Estimate(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What Twilio says counts more, in its own currency.
	s.exec(`UPDATE call_leg SET price_micros = 40000, price_currency = 'AUD' WHERE id = $1`, forward)
	f := report.UsageFilter{From: at.AddDate(0, 0, -1), Until: at.AddDate(0, 0, 1), GroupBy: report.UsageByBranch}
	u, err := s.svc.Usage(t.Context(), who, f)
	if err != nil || len(u.Rows) != 2 {
		t.Fatalf("%+v, %v", u, err)
	}
	if r := u.Rows[0]; r.Label != "North" || r.Calls != 1 || r.Legs != 2 || r.Minutes != 3 || len(r.Known) != 1 || r.Known[0] != (report.CostAmount{Micros: 40000, Currency: "AUD"}) ||
		len(r.Estimated) != 1 || r.Estimated[0] != (report.CostAmount{Micros: 17000, Currency: "USD"}) || r.Unpriced != 0 {
		t.Errorf("the north: %+v", r)
	}
	if r := u.Rows[1]; r.Label != "South" || r.Unpriced != 1 || len(r.Known)+len(r.Estimated) != 0 {
		t.Errorf("the south: %+v", r)
	}
	if r := u.Total; r.Calls != 2 || r.Legs != 3 || r.Minutes != 4 || r.Unpriced != 1 {
		t.Errorf("the total: %+v", r)
	}
	for _, g := range []report.UsageGroup{report.UsageByDay, report.UsageByKind, report.UsageByUser, report.UsageByPhoneNumber, report.UsageByCall, report.UsageByAutomation, report.UsageByBulk} {
		f.GroupBy = g
		ctx, counted := db.CountStatements(t.Context())
		got, err := s.svc.Usage(ctx, who, f)
		if err != nil {
			t.Fatalf("by %s: %v", g, err)
		}
		calls := 0
		for _, r := range got.Rows {
			calls += r.Calls
		}
		if want := map[report.UsageGroup]int{report.UsageByAutomation: 0, report.UsageByBulk: 0}; calls != 2 && (calls != 0 || want[g] != 0 || g != report.UsageByAutomation && g != report.UsageByBulk) {
			t.Errorf("by %s: %+v", g, got.Rows)
		}
		if counted.N() > 8 {
			t.Errorf("by %s: %d statements", g, counted.N())
		}
	}
	only := who
	only.Visibility, only.BranchIDs, only.UserID = access.SeesBranch, s.branches[1:2], s.users[2]
	f.GroupBy = ""
	if got, err := s.svc.Usage(t.Context(), only, f); err != nil || got.Total.Calls != 1 {
		t.Errorf("R276: seen from the south: %+v, %v", got, err)
	}
	if _, err := s.svc.Usage(t.Context(), s.admin, f); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without COST_VIEW: %v", err)
	}
}

func TestACapTellsOnceAndBars(t *testing.T) { // R102
	t.Parallel()
	s := newStage(t)
	who := s.costs()
	now := time.Date(2026, 10, 10, 0, 0, 0, 0, time.UTC)                                             // the stage's clock
	s.exec(`UPDATE organization SET time_zone = 'Asia/Kathmandu' WHERE organization_id = $1`, s.org) // 05:45 of the tenth
	set := func(in report.CapInput) *report.CostCap {
		t.Helper()
		c, err := s.svc.SetCap(t.Context(), who, in)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	may := func(on report.Spending) error {
		return s.db.InTx(access.With(t.Context(), who), func(ctx context.Context, tx *db.Tx) error { return s.svc.MaySpend(ctx, tx, s.org, on) })
	}
	spend := func(at time.Time, branch int, user id.ID) {
		c := s.ended("OUTBOUND", "+61255500001", at, branch, user)
		s.leg(c, "CALLEE", "+61491570157", at, 60) // 0.0252 USD
		if err := s.svc.Estimate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	north := set(report.CapInput{Scope: report.CapBranch, BranchID: s.branches[0], Period: report.CapDay, AmountMinor: 5, Currency: "usd", Action: report.CapBlock})
	set(report.CapInput{Scope: report.CapOrganization, Period: report.CapMonth, AmountMinor: 4, Currency: "USD", Action: report.CapWarn})
	spend(now.Add(-6*time.Hour), 0, s.users[0]) // yesterday there
	spend(now.Add(-time.Hour), 0, s.users[0])
	spend(now.Add(-time.Hour), 1, s.users[0])
	told := func() (n int) {
		var row struct {
			N int `bun:"n"`
		}
		if err := db.Select(t.Context(), s.db.Worker(), &row, `SELECT count(*) AS n FROM event WHERE kind = $1`, string(report.CapReached)); err != nil {
			t.Fatal(err)
		}
		return row.N
	}
	look := func() {
		t.Helper()
		if err := s.svc.SweepCaps(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if n := told(); n != 1 { // the organization's month: 0.0756
		t.Errorf("%d caps were told", n)
	}
	if err := may(report.Spending{UserID: s.users[0], BranchID: s.branches[0]}); err != nil {
		t.Errorf("0.0252 of 0.05: %v", err)
	}
	spend(now.Add(-time.Minute), 0, s.users[0])
	look()
	look()
	if n := told(); n != 2 {
		t.Errorf("%d caps were told", n)
	}
	err := may(report.Spending{UserID: s.users[0], BranchID: s.branches[0]})
	if !errs.IsCode(err, errs.LimitReached) {
		t.Fatalf("0.0504 of 0.05: %v", err)
	}
	if e, _ := errs.As(err); e.Message != "the cap of 0.05 USD a day for the branch North is reached; wait until 2026-10-10T18:15:00Z, or have an administrator raise it" {
		t.Errorf("it says %q", e.Message)
	}
	if err := may(report.Spending{UserID: s.users[0], BranchID: s.branches[1]}); err != nil {
		t.Errorf("another branch, and a cap that only warns: %v", err)
	}
	same := set(report.CapInput{Scope: report.CapBranch, BranchID: s.branches[0], Period: report.CapDay, AmountMinor: 6, Currency: "USD", Action: report.CapBlock})
	if same.ID != north.ID || same.IsReached() || same.Spent().Amount() != "0.0504" {
		t.Errorf("raised: %+v", same)
	}
	if err := may(report.Spending{BranchID: s.branches[0]}); err != nil {
		t.Errorf("after it was raised: %v", err)
	}
	all, err := s.svc.Caps(t.Context(), who)
	if err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := s.svc.RemoveCap(t.Context(), who, north.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.svc.Cap(t.Context(), who, north.ID); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("a removed cap: %v", err)
	}
	for name, in := range map[string]report.CapInput{
		"no branch":          {Scope: report.CapBranch, Period: report.CapDay, AmountMinor: 5, Currency: "USD", Action: report.CapWarn},
		"a branch too many":  {Scope: report.CapUser, UserID: s.users[0], BranchID: s.branches[0], Period: report.CapDay, AmountMinor: 5, Currency: "USD", Action: report.CapWarn},
		"nothing":            {Scope: report.CapOrganization, Period: report.CapDay, Currency: "USD", Action: report.CapWarn},
		"no currency":        {Scope: report.CapOrganization, Period: report.CapDay, AmountMinor: 5, Currency: "$", Action: report.CapWarn},
		"somebody elsewhere": {Scope: report.CapUser, UserID: id.New(id.User), Period: report.CapDay, AmountMinor: 5, Currency: "USD", Action: report.CapWarn},
	} {
		if _, err := s.svc.SetCap(t.Context(), who, in); err == nil {
			t.Errorf("%s: it was set", name)
		}
	}
	if _, err := s.svc.SetCap(t.Context(), s.admin, report.CapInput{}); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without SETTINGS_MANAGE: %v", err)
	}
	var written struct {
		N int `bun:"n"`
	}
	if err := db.Select(t.Context(), s.db.Worker(), &written, `SELECT count(*) AS n FROM audit_entry WHERE action LIKE 'cost_cap.%'`); err != nil || written.N != 4 {
		t.Errorf("%d audit entries, %v", written.N, err)
	}
}

func TestReportsSayWhatIsMissing(t *testing.T) { // R221
	t.Parallel()
	who := access.Actor{OrganizationID: id.New(id.Organization), Visibility: access.SeesOrganization, Permissions: access.SetOf(access.CallView, access.ReportView)}
	found := map[report.Name]*report.Availability{}
	ask := func() {
		for _, a := range report.Available(who, []tenant.FeatureName{"INTERNAL_CALL_LOG", "TRANSCRIPTION"}) {
			found[a.Name] = a
		}
	}
	ask()
	if a := found[report.CallLog]; !a.IsAvailable || a.Message != nil {
		t.Errorf("the call log: %+v", a)
	}
	if a := found[report.ProviderLogReport]; a.IsAvailable || len(a.MissingPermissions) != 1 || a.MissingPermissions[0] != access.ConnectionManage || *a.Message != "your role needs the permission CONNECTION_MANAGE" {
		t.Errorf("Twilio's log: %+v", a)
	}
	if a := found[report.InternalCalls]; a.IsAvailable || a.MissingFeature == nil || *a.MissingFeature != "INTERNAL_CALL_LOG" || len(a.MissingPermissions) != 0 {
		t.Errorf("internal calls: %+v", a)
	}
	if a := found[report.TranscriptsReport]; a.IsAvailable || a.MissingFeature == nil || len(a.MissingPermissions) != 1 {
		t.Errorf("transcripts: %+v", a)
	}
	who.Permissions = access.SetOf(access.ConnectionManage, access.ReportView)
	for v, want := range map[access.Visibility]bool{access.SeesOrganization: true, access.SeesBranch: false} {
		who.Visibility = v
		ask()
		if a := found[report.ProviderLogReport]; a.IsAvailable != want || len(a.MissingPermissions) != 0 || !want && *a.Message != "it needs a role that sees the whole organization" {
			t.Errorf("Twilio's log, for who sees %s: %+v", v, a)
		}
	}
}
