package app_test

import (
	"testing"
	"time"

	"switchboard/internal/demo"
)

type totalsView struct {
	Count, Answered, Missed, Voicemail, Inbound, Outbound int
	AverageTalkSeconds                                    *float64
}

const dashboardQuery = `query($f: CallReportFilter!) { callDashboard(filter: $f) {
	total { count answered missed voicemail inbound outbound averageTalkSeconds } statuses { status count share } channels { channel count }
	branches { key label totals { count missed } } users { label totals { count } } days { key totals { count } } hours { weekday hour count missed }
	service { withinSeconds offered answeredInTime share medianAnswerSeconds abandoned averageAbandonSeconds } source countedAt } }`

type dashboardView struct {
	CallDashboard struct {
		Total    totalsView
		Statuses []struct {
			Status string
			Count  int
			Share  float64
		}
		Channels []struct {
			Channel string
			Count   *int
		}
		Branches, Users, Days []struct {
			Key    *string
			Label  string
			Totals totalsView
		}
		Hours   []struct{ Weekday, Hour, Count, Missed int }
		Service struct {
			WithinSeconds, Offered, AnsweredInTime, Abandoned int
			Share, AverageAbandonSeconds                      *float64
			MedianAnswerSeconds                               *int
		}
		Source string
	}
}

// What happens on the phones stands in the statistics at once, before and after the
// sums are folded (R208-R215).
func TestCallsStandInTheStatisticsAtOnce(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	s.Do(`mutation { organizationUpdate(input: {timeZone: "Asia/Kathmandu"}) { userErrors { code message } } }`, nil, nil)
	ann := s.User("ann", "OFFICE", "", branch)
	desk := s.Device(ann, "Desk")
	sid := s.dial(customer, officeNumber)
	s.Pass(4 * time.Second)
	s.answer(desk)
	s.Pass(65 * time.Second)
	s.hangUp(sid)
	missed := s.dial(customer, officeNumber)
	s.Pass(7 * time.Second)
	s.hangUp(missed)
	s.text(customer, officeNumber, "Hello?")

	filter := demo.Vars{"f": demo.Vars{"from": "2026-03-02", "to": "2026-03-02"}} // 14:45 there
	for _, folded := range []bool{false, true} {
		if folded {
			s.Pass(2 * time.Minute)
			s.Settle()
		}
		var out dashboardView
		s.Do(dashboardQuery, filter, &out)
		d := out.CallDashboard
		if d.Total.Count != 2 || d.Total.Answered != 1 || d.Total.Missed != 1 || d.Total.Inbound != 2 || d.Total.AverageTalkSeconds == nil || *d.Total.AverageTalkSeconds != 65 {
			t.Errorf("folded %v: the totals are %+v", folded, d.Total)
		}
		if d.Source != "ROLLUP" || len(d.Hours) != 1 || d.Hours[0].Weekday != 1 || d.Hours[0].Hour != 14 || d.Hours[0].Count != 2 || d.Hours[0].Missed != 1 {
			t.Errorf("folded %v: from %s, by the hour %+v", folded, d.Source, d.Hours)
		}
		if v := d.Service; v.Offered != 2 || v.AnsweredInTime != 1 || v.Abandoned != 1 || v.MedianAnswerSeconds == nil || *v.MedianAnswerSeconds != 4 || v.AverageAbandonSeconds == nil || *v.AverageAbandonSeconds != 7 {
			t.Errorf("folded %v: the service is %+v", folded, v)
		}
		if len(d.Branches) != 1 || d.Branches[0].Label != "Office" || len(d.Users) != 2 || d.Users[0].Label != "ann" || len(d.Days) != 1 || *d.Days[0].Key != "2026-03-02" || len(d.Statuses) != 2 {
			t.Errorf("folded %v: %+v", folded, d)
		}
		for _, c := range d.Channels {
			if want := map[string]int{"CALL_INBOUND": 2, "SMS_INBOUND": 1}[c.Channel]; c.Count == nil || *c.Count != want {
				t.Errorf("folded %v: %s has %v", folded, c.Channel, c.Count)
			}
		}
	}
	booking := s.recordOf("BOOKING", "Gutter cleaning", s.contact("CUSTOMER", "Alice", customer, nil), nil)
	s.Do(`mutation($c: ID!, $r: ID!) { callUpdate(id: $c, input: {recordId: $r}) { userErrors { code field message } } }`, demo.Vars{"c": s.call(missed).ID, "r": booking}, nil)
	onTheWay, _ := s.happens(s.Admin, demo.Vars{"recordId": booking, "event": "ON_THE_WAY"})
	var out struct {
		CallActivity struct {
			Total struct{ Missed, Received, Outgoing int }
			Rows  []struct{ Label string }
		}
		AnsweredByReport struct {
			Rows []struct {
				User     *ref
				Answered int
			}
			Unanswered int
		}
		RecentCalls struct {
			Nodes []struct {
				Call                    struct{ Status string }
				MessageCount, CallCount int
				RecordEvents            []struct{ ID string }
			}
		}
		Reports []struct {
			Name        string
			IsAvailable bool
		}
	}
	s.Do(`query($f: CallReportFilter!) { callActivity(filter: $f, groupBy: PHONE_NUMBER) { total { missed received outgoing } rows { label } }
		answeredByReport(filter: $f) { rows { user { id name } answered } unanswered }
		recentCalls { nodes { call { status } messageCount callCount recordEvents { id } } } reports { name isAvailable } }`, filter, &out)
	if a := out.CallActivity; a.Total.Missed != 1 || a.Total.Received != 1 || a.Total.Outgoing != 0 || len(a.Rows) != 1 {
		t.Errorf("the activity is %+v", a)
	}
	if a := out.AnsweredByReport; a.Unanswered != 1 || len(a.Rows) != 1 || name(a.Rows[0].User) != "ann" {
		t.Errorf("answered by %+v", a)
	}
	if n := out.RecentCalls.Nodes; len(n) != 2 || n[0].Call.Status != "MISSED" || n[0].MessageCount != 1 {
		t.Errorf("the recent calls are %+v", n)
	} else if e := n[0].RecordEvents; len(e) != 1 || e[0].ID != onTheWay || len(n[1].RecordEvents) != 0 {
		t.Errorf("beside the recent calls stand %+v, want the one of their record", n)
	}
	for _, r := range out.Reports {
		if !r.IsAvailable && r.Name != "INTERNAL_CALLS" && r.Name != "TRANSCRIPTS" {
			t.Errorf("the administrator has no %s", r.Name)
		}
	}
}

type moneyView struct{ Amount, Currency string }

// A call costs what Twilio says once it has said it, and both logs agree; a cap bars
// what comes next (R102, R174, R220).
func TestACallCostsWhatTwilioSaysAndACapBars(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann := s.User("ann", "OFFICE", "", branch)
	desk := s.Device(ann, "Desk")
	sid := s.dial(customer, officeNumber)
	s.answer(desk)
	s.Pass(65 * time.Second)
	s.hangUp(sid)
	call := s.call(sid)

	type costView struct {
		Node struct {
			Cost struct {
				Known, Estimated []moneyView
				IsFinal          bool
				BilledLegs       int
			}
		}
	}
	cost := func() (out costView) {
		t.Helper()
		s.Do(`query($id: ID!) { node(id: $id) { ... on Call { cost { known { amount currency } estimated { amount currency } isFinal billedLegs } } } }`, demo.Vars{"id": call.ID}, &out)
		return out
	}
	// Two minutes each of 0.0085 and 0.004.
	if c := cost().Node.Cost; c.IsFinal || c.BilledLegs != 2 || len(c.Known) != 0 || len(c.Estimated) != 1 || c.Estimated[0] != (moneyView{"0.025", "USD"}) {
		t.Errorf("at first it costs %+v", c)
	}
	s.PassSettling(30*time.Minute, 5*time.Minute)
	s.Admin = s.SignIn("admin")
	ann.Client = s.SignIn("ann")
	if c := cost().Node.Cost; !c.IsFinal || len(c.Estimated) != 0 || len(c.Known) != 1 || c.Known[0] != (moneyView{"0.025", "USD"}) {
		t.Errorf("later it costs %+v", c)
	}
	stray, err := s.Emulator.PlaceCall(customer, "+12025550188") // a number of the account that is not ours
	if err == nil {
		s.idle()
		_ = s.Emulator.HangUp(stray)
	}
	var logs struct {
		ProviderLog struct {
			Rows                                         []struct{ State, TwilioSid, ProviderStatus string }
			Matched, OnlyHere, OnlyAtProvider, Different int
			IsComplete                                   bool
		}
		Usage struct {
			Total struct {
				Calls, Legs, Minutes int
				Known                []moneyView
			}
			Rows []struct{ Label string }
		}
	}
	s.Do(`{ providerLog(filter: {from: "2026-03-02", to: "2026-03-02", kind: CALLS}) { rows { state twilioSid providerStatus } matched onlyHere onlyAtProvider different isComplete }
		usage(filter: {from: "2026-03-02", to: "2026-03-02"}, groupBy: KIND) { total { calls legs minutes known { amount currency } } rows { label } } }`, nil, &logs)
	if p := logs.ProviderLog; p.Matched != 2 || p.OnlyHere != 0 || p.Different != 0 || !p.IsComplete {
		t.Errorf("the logs side by side: %+v", p)
	}
	if u := logs.Usage; u.Total.Calls != 1 || u.Total.Legs != 2 || u.Total.Minutes != 4 || len(u.Total.Known) != 1 || u.Total.Known[0].Amount != "0.025" || len(u.Rows) != 1 || u.Rows[0].Label != "CALL_INBOUND" {
		t.Errorf("the usage is %+v", u)
	}

	after := s.cursor()
	var set struct {
		CostCapSet struct {
			CostCap struct {
				ID        string
				IsReached bool
			}
		}
	}
	s.Do(`mutation { costCapSet(input: {scope: ORGANIZATION, period: MONTH, amountMinor: 2, currency: "USD", action: BLOCK}) {
		costCap { id isReached spent { amount } } userErrors { code field message } } }`, nil, &set)
	if !set.CostCapSet.CostCap.IsReached {
		t.Errorf("the cap is %+v", set)
	}
	for what, mutation := range map[string]string{
		"a message": `mutation { messageSend(input: {to: "` + customer + `", body: "Hi"}) { message { id } userErrors { code field message } } }`,
		"a call":    `mutation { callStart(input: {to: "` + customer + `"}) { call { id } userErrors { code field message } } }`,
	} {
		if code := s.try(ann.Client, mutation, nil, nil); code != "LIMIT_REACHED" {
			t.Errorf("%s past the cap: %q", what, code)
		}
	}
	told := false
	for _, f := range s.facts(s.Admin, after) {
		told = told || f.Type == "CostCapReached"
	}
	if !told {
		t.Error("COST_CAP_REACHED was not told")
	}
	s.Do(`mutation($id: ID!) { costCapRemove(id: $id) { deletedCostCapId userErrors { code field message } } }`, demo.Vars{"id": set.CostCapSet.CostCap.ID}, nil)
	if code := s.try(ann.Client, `mutation { messageSend(input: {to: "`+customer+`", body: "Hi"}) { message { id } userErrors { code field message } } }`, nil, nil); code != "" {
		t.Errorf("without the cap: %q", code)
	}
}
