package report_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/report"
)

// stageNow is the stage's clock.
var stageNow = time.Date(2026, 10, 10, 0, 0, 0, 0, time.UTC)

func TestACallOutIsNotMissed(t *testing.T) { // R211, R215, R280
	t.Parallel()
	s := newStage(t)
	for _, direction := range []string{"INBOUND", "INTERNAL", "OUTBOUND"} {
		s.add(row{direction: direction, status: "MISSED", started: stageNow.Add(time.Hour), number: s.numbers[0], branch: s.branches[0]})
	}
	who := s.admin
	who.Permissions = access.SetOf(access.ReportView, access.LiveView)
	live, err := s.svc.Live(t.Context(), who)
	if err != nil || live.Total.MissedToday != 2 || live.Branches[0].Counts.MissedToday != 2 || live.PhoneNumbers[0].Counts.MissedToday != 2 {
		t.Errorf("live: %+v, %v", live, err)
	}
	f := report.CallFilter{From: stageNow, Until: stageNow.AddDate(0, 0, 1)}
	d, err := s.svc.Dashboard(t.Context(), who, f, 20)
	if err != nil || d.Total.Missed != 2 || d.Branches[0].Totals.Missed != 2 || d.Statuses[0].Count != 3 {
		t.Errorf("the dashboard: %+v, %v", d, err)
	}
	a, err := s.svc.Activity(t.Context(), who, f, report.ActivityByBranch)
	if err != nil || a.Total.Missed != 2 || a.Rows[0].Missed != 2 {
		t.Errorf("the activity: %+v, %v", a, err)
	}
}

func TestCallsOfAnUnknownCallerAreRelated(t *testing.T) { // R222
	t.Parallel()
	s := newStage(t)
	at := stageNow.Add(-time.Hour)
	known := id.New(id.Contact)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Carl', $3)`, s.org, known, at)
	carl := s.ended("INBOUND", "+61491570156", at, 0, id.ID{})
	again := s.ended("INBOUND", "+61491570156", at.Add(time.Minute), 0, id.ID{})
	back := s.ended("OUTBOUND", "+61255500001", at.Add(2*time.Minute), 1, s.users[1])
	s.exec(`UPDATE call SET to_number = '+61491570156' WHERE id = $1`, back)
	mobile := s.ended("INBOUND", "+61491570199", at.Add(3*time.Minute), 0, id.ID{}) // of the contact whom the second was linked to
	s.exec(`UPDATE call SET contact_id = $3 WHERE id IN ($1, $2)`, again, mobile, known)
	nobody := s.ended("INBOUND", "anonymous", at, 0, id.ID{})
	s.ended("INBOUND", "anonymous", at, 0, id.ID{})
	s.exec(`UPDATE call SET is_logged = true WHERE organization_id = $1`, s.org)
	calls := []*call.Call{
		{ID: carl, Direction: call.Inbound, FromNumber: "+61491570156"}, {ID: again, Direction: call.Inbound, FromNumber: "+61491570156"},
		{ID: back, Direction: call.Outbound, ToNumber: "+61491570156"}, {ID: nobody, Direction: call.Inbound, FromNumber: "anonymous"},
	}
	south := s.admin
	south.Visibility, south.BranchIDs, south.UserID = access.SeesBranch, s.branches[1:2], s.users[2]
	for _, x := range []struct {
		who  access.Actor
		want string
	}{{s.admin, "[2 3 2 0]"}, {south, "[1 1 0 0]"}} { // R276
		rows, err := s.svc.Recent(t.Context(), x.who, calls)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, r := range rows {
			got = append(got, r.CallCount)
		}
		if fmt.Sprint(got) != x.want {
			t.Errorf("who sees %s reads %v, want %s", x.who.Visibility, got, x.want)
		}
	}
}

func TestEventsOfARecordStandBesideItsCalls(t *testing.T) { // R222
	t.Parallel()
	s := newStage(t)
	at := stageNow.Add(-time.Hour)
	first, second, other := s.ended("INBOUND", "+61491570156", at, 0, id.ID{}), s.ended("INBOUND", "+61491570156", at.Add(20*time.Minute), 0, id.ID{}), s.ended("INBOUND", "+61491570199", at, 0, id.ID{})
	job, quote := id.New(id.Record), id.New(id.Record)
	for _, r := range []id.ID{job, quote} {
		s.exec(`INSERT INTO record (organization_id, id, kind, title, updated_at) VALUES ($1, $2, 'BOOKING', 'x', $3)`, s.org, r, at)
	}
	s.exec(`UPDATE call SET record_id = $3 WHERE id IN ($1, $2)`, first, second, job)
	happens := func(record id.ID, kind string, after time.Duration) id.ID {
		x := id.New(id.RecordEvent)
		s.exec(`INSERT INTO record_event (organization_id, id, record_id, kind, at) VALUES ($1, $2, $3, $4, $5)`, s.org, x, record, kind, at.Add(after))
		return x
	}
	happens(job, "QUOTE_SENT", -time.Minute) // before the calls
	confirmed, arrived := happens(job, "BOOKING_CONFIRMED", 30*time.Second), happens(job, "ARRIVED", 30*time.Minute)
	happens(quote, "QUOTE_SENT", 30*time.Minute)
	got, err := s.svc.RecordEventsSince(t.Context(), s.admin, []id.ID{first, second, other})
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(map[id.ID][]id.ID{first: {arrived, confirmed}, second: {arrived}}, got, cmpopts.EquateComparable(id.ID{})); d != "" {
		t.Errorf("the events since (-want +got):\n%s", d)
	}
	for range 12 {
		happens(job, "RUNNING_LATE", 40*time.Minute)
	}
	if got, err = s.svc.RecordEventsSince(t.Context(), s.admin, []id.ID{first, second}); err != nil || len(got[first]) != 10 || len(got[second]) != 10 {
		t.Errorf("%d and %d of many, %v", len(got[first]), len(got[second]), err)
	}
	eve := s.admin
	eve.OrganizationID = id.New(id.Organization)
	if got, err = s.svc.RecordEventsSince(t.Context(), eve, []id.ID{first}); err != nil || len(got) != 0 {
		t.Errorf("another organization reads %v, %v", got, err)
	}
}

func TestACapCanBeChangedWhenThereIsRoomForNoMore(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	who := s.costs()
	in := report.CapInput{Scope: report.CapOrganization, Period: report.CapDay, AmountMinor: 5, Action: report.CapWarn}
	for i := range 51 {
		in.Currency = "A" + string(rune('A'+i/26)) + string(rune('A'+i%26))
		_, err := s.svc.SetCap(t.Context(), who, in)
		if want := map[bool]errs.Code{true: errs.LimitReached}[i == 50]; errs.CodeOf(err) != want {
			t.Fatalf("the %d. cap: %v", i+1, err)
		}
	}
	in.Currency, in.AmountMinor = "AAA", 7
	if c, err := s.svc.SetCap(t.Context(), who, in); err != nil || c.AmountMinor != 7 {
		t.Errorf("raised: %+v, %v", c, err)
	}
	if all, err := s.svc.Caps(t.Context(), who); err != nil || len(all) != 50 {
		t.Errorf("%d caps, %v", len(all), err)
	}
}

func TestWhatTwilioNeverTookCostsNothing(t *testing.T) { // R102
	t.Parallel()
	s := newStage(t)
	who := s.costs()
	write := s.texts(0, "+61491570156")
	at := stageNow.Add(-time.Hour)
	for range 3 {
		write(at, "OUTBOUND", "FAILED", s.users[1], 1)
	}
	s.exec(`UPDATE message SET estimated_micros = 50000, price_currency = 'USD', attempts = 1 WHERE organization_id = $1`, s.org)
	s.exec(`UPDATE message SET twilio_sid = 'SM' || id::text WHERE id = (SELECT id FROM message WHERE organization_id = $1 LIMIT 1)`, s.org) // it failed at the carrier
	c, err := s.svc.SetCap(t.Context(), who, report.CapInput{Scope: report.CapOrganization, Period: report.CapMonth, AmountMinor: 500, Currency: "USD", Action: report.CapWarn})
	if err != nil || c.SpentMicros != 50000 {
		t.Errorf("spent: %+v, %v", c, err)
	}
	u, err := s.svc.Usage(t.Context(), who, report.UsageFilter{From: at.AddDate(0, 0, -1), Until: stageNow.AddDate(0, 0, 1)})
	if err != nil || u.Total.Messages != 1 || len(u.Total.Estimated) != 1 || u.Total.Estimated[0].Micros != 50000 {
		t.Errorf("used: %+v, %v", u.Total, err)
	}
}

func TestCapsAreSeenAsFarAsWhatTheyAreAbout(t *testing.T) { // R276
	t.Parallel()
	s := newStage(t)
	who := s.costs()
	named := map[string]id.ID{}
	for name, in := range map[string]report.CapInput{
		"all": {Scope: report.CapOrganization}, "north": {Scope: report.CapBranch, BranchID: s.branches[0]}, "south": {Scope: report.CapBranch, BranchID: s.branches[1]},
		"one": {Scope: report.CapUser, UserID: s.users[1]}, "two": {Scope: report.CapUser, UserID: s.users[2]},
	} {
		in.Period, in.AmountMinor, in.Currency, in.Action = report.CapDay, 5, "USD", report.CapWarn
		c, err := s.svc.SetCap(t.Context(), who, in)
		if err != nil {
			t.Fatal(err)
		}
		named[name] = c.ID
	}
	south, own := who, who
	south.Visibility, south.BranchIDs, south.UserID = access.SeesBranch, s.branches[1:2], s.users[1]
	own.Visibility, own.UserID = access.SeesOwn, s.users[2]
	for name, x := range map[string]struct {
		who  access.Actor
		sees []string
	}{
		"the organization": {who, []string{"all", "north", "south", "one", "two"}}, "the south": {south, []string{"south", "one"}}, "their own": {own, []string{"two"}},
		"a machine": {access.Actor{OrganizationID: s.org, APIKeyID: id.New(id.APIKey), Visibility: access.SeesOwn, Permissions: who.Permissions}, nil},
	} {
		list, err := s.svc.Caps(t.Context(), x.who)
		if err != nil || len(list) != len(x.sees) {
			t.Errorf("who sees %s sees %d caps, %v", name, len(list), err)
		}
		for cap, of := range named {
			want := errs.NotFound
			for _, y := range x.sees {
				if y == cap {
					want = ""
				}
			}
			if _, err := s.svc.Cap(t.Context(), x.who, of); errs.CodeOf(err) != want {
				t.Errorf("who sees %s asks for the cap of %s: %v", name, cap, err)
			}
		}
	}
	// Whoever may set them all sees what they have set.
	if c, err := s.svc.SetCap(t.Context(), south, report.CapInput{Scope: report.CapOrganization, Period: report.CapMonth, AmountMinor: 5, Currency: "USD", Action: report.CapWarn}); err != nil || c == nil {
		t.Errorf("set: %+v, %v", c, err)
	}
}

func TestChannelsAreOfTheFilter(t *testing.T) { // R215
	t.Parallel()
	s := newStage(t)
	who := s.costs()
	write := s.texts(0, "+61491570156")
	at := stageNow.Add(-time.Hour)
	write(at, "OUTBOUND", "DELIVERED", s.users[1])
	write(at, "INBOUND", "RECEIVED", id.ID{})
	write(at, "INBOUND", "RECEIVED", id.ID{})
	campaign, bulk, lead := id.New(id.Campaign), id.New(id.Bulk), id.New(id.Contact)
	s.exec(`UPDATE phone_number SET business_unit = 'Care' WHERE id = $1`, s.numbers[0])
	s.exec(`INSERT INTO campaign (organization_id, id, name, updated_at) VALUES ($1, $2, 'Spring', $3)`, s.org, campaign, at)
	s.exec(`INSERT INTO bulk_message (organization_id, id, name, body, campaign_id, status, recipient_count, pending_count, updated_at) VALUES ($1, $2, 'Offer', 'x', $3, 'DONE', 1, 0, $4)`, s.org, bulk, campaign, at)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'LEAD', 'Carl', $3)`, s.org, lead, at)
	s.exec(`UPDATE message SET bulk_id = $2 WHERE organization_id = $1 AND direction = 'OUTBOUND'`, s.org, bulk)
	s.exec(`UPDATE message SET contact_id = $2 WHERE id = (SELECT id FROM message WHERE organization_id = $1 AND direction = 'INBOUND' LIMIT 1)`, s.org, lead)
	for name, x := range map[string]struct {
		change func(*report.CallFilter)
		want   string
	}{
		"all":           {func(*report.CallFilter) {}, "2 1 0"},
		"in":            {func(f *report.CallFilter) { f.Directions = []call.Direction{call.Inbound} }, "2 0 0"},
		"out":           {func(f *report.CallFilter) { f.Directions = []call.Direction{call.Outbound, call.Internal} }, "0 1 0"},
		"internal":      {func(f *report.CallFilter) { f.Directions = []call.Direction{call.Internal} }, "0 0 0"},
		"missed":        {func(f *report.CallFilter) { f.Statuses = []call.Status{call.Missed} }, "- - -"},
		"of leads":      {func(f *report.CallFilter) { f.ContactKind = contact.KindLead }, "1 0 0"},
		"of a unit":     {func(f *report.CallFilter) { f.BusinessUnit = "Care" }, "2 1 0"},
		"of another":    {func(f *report.CallFilter) { f.BusinessUnit = "Sales" }, "0 0 0"},
		"of a campaign": {func(f *report.CallFilter) { f.CampaignID = campaign }, "0 1 0"},
		"a branch":      {func(f *report.CallFilter) { f.BranchIDs = s.branches[1:] }, "0 0 0"},
		"a number":      {func(f *report.CallFilter) { f.PhoneNumberIDs = s.numbers[:1] }, "2 1 0"},
		"a person":      {func(f *report.CallFilter) { f.UserIDs = s.users[:2] }, "0 1 0"},
	} {
		f := report.CallFilter{From: at.AddDate(0, 0, -1), Until: stageNow.AddDate(0, 0, 1)}
		x.change(&f)
		d, err := s.svc.Dashboard(t.Context(), who, f, 20)
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.svc.Channels(t.Context(), who, d)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list[len(list)-3:] {
			if c.Count == nil {
				got = append(got, "-")
				continue
			}
			got = append(got, fmt.Sprint(*c.Count))
		}
		if strings.Join(got, " ") != x.want {
			t.Errorf("%s: received, sent and MMS are %v, want %s", name, got, x.want)
		}
	}
}

func TestOneOrganizationsSumsDoNotStopTheOthers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.add(row{direction: "INBOUND", status: "MISSED", started: stageNow})
	for range 8 { // before and after it, whichever way they are gone through
		org, conn := id.New(id.Organization), id.New(id.Connection)
		s.exec(`INSERT INTO organization (organization_id, name, time_zone, updated_at) VALUES ($1, 'Lost', 'Mars/Base', $2)`, org, stageNow)
		s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at)
			VALUES ($1, $2, 'Twilio', 'AC' || md5($3::text), 'FULL', 'active', $4)`, org, conn, org.String(), stageNow)
		s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, from_number, to_number, started_at, ended_at, updated_at)
			VALUES ($1, $2, 'INBOUND', 'MISSED', $3, 'a', 'b', $4, $4, $4)`, org, id.New(id.Call), conn, stageNow)
	}
	if err := s.svc.Fold(t.Context()); err == nil {
		t.Error("nobody is told that the sums of some cannot be made")
	}
	var left struct {
		N int `bun:"n"`
	}
	if err := db.Select(t.Context(), s.db.Worker(), &left, `SELECT count(*) AS n FROM call_rollup_delta WHERE organization_id = $1`, s.org); err != nil || left.N != 0 {
		t.Errorf("%d parts of the others are not folded, %v", left.N, err)
	}
}
