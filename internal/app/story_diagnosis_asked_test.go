package app_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/diagnose"
	"switchboard/internal/emulator"
	"switchboard/internal/id"
)

func (s *story) diagnosed(input demo.Vars) diagnosisView {
	s.t.Helper()
	return (&clinic{Stage: s.Stage, t: s.t}).diagnose(input)
}

// What Twilio and the carriers say of a message is named with its fix (R159, R270, R274).
func TestWhatBecameOfAMessageIsNamed(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	n := 0
	for code, want := range map[int]diagnose.Code{
		30003: diagnose.RecipientUnreachable, 30004: diagnose.CarrierBlocked, 30005: diagnose.InvalidNumber, 30006: diagnose.RecipientUnreachable, 30007: diagnose.CarrierFiltered,
		30008: diagnose.NotDelivered, 30011: diagnose.ContentRefused, 30019: diagnose.ContentRefused, 30022: diagnose.SendingTooFast, 30018: diagnose.SenderCountry,
		30032: diagnose.TollFreeUnverified, 30034: diagnose.A2PUnregistered, 30002: diagnose.AccountSuspended, 30450: diagnose.CarrierBlocked,
		-21408: diagnose.GeoPermission, -21612: diagnose.SenderCountry, -21608: diagnose.TrialAccount, -21614: diagnose.RecipientUnreachable, -21601: diagnose.CapabilityMissing,
		-21610: diagnose.OptedOut,
	} {
		n++
		to, behaviour := fmt.Sprintf("+120255502%02d", n), emulator.PhoneBehaviour{MessageStatus: "undelivered", MessageError: code}
		if code < 0 {
			behaviour = emulator.PhoneBehaviour{MessageRefuse: -code}
		}
		s.Emulator.Behave(to, behaviour)
		message := s.sendAs(s.Admin, demo.Vars{"to": to, "body": "Hello"}, nil)
		s.told()
		d := s.diagnosed(demo.Vars{"messageId": message})
		d.only(t, string(want), fmt.Sprint(code))
		if strings.Contains(asJSON(d), to) {
			t.Errorf("%d: the diagnosis shows the customer's number", code)
		}
		s.Emulator.Behave(to, emulator.PhoneBehaviour{})
		if want == diagnose.OptedOut {
			s.text(to, officeNumber, "START")
			s.told()
		}
		message = s.sendAs(s.Admin, demo.Vars{"to": to, "body": "Hello again"}, nil)
		s.told()
		s.diagnosed(demo.Vars{"messageId": message}).without(t, string(want), fmt.Sprintf("%d mended,", code))
	}
}

// Why people did not ring is read from what was decided then, and why there is no
// recording (R122, R271, R273).
func TestACallSaysWhyItDidNotRingAndWasNotRecorded(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	calls := func(answers bool) demo.Vars {
		sid, err := c.Emulator.PlaceInbound(emulator.InboundCall{From: doctorCaller, To: doctorNumber})
		c.Must(err)
		c.Must(c.Emulator.WaitIdle(t.Context()))
		if answers {
			_, err = c.Emulator.Answer("client:" + c.desk)
			c.Must(err)
			c.Must(c.Emulator.WaitIdle(t.Context()))
			c.Must(c.Emulator.Speak(sid, 3*time.Second)) // of silence there is no recording
		}
		c.Pass(5 * time.Second)
		_ = c.Emulator.HangUp(sid)
		c.Settle()
		var out struct {
			Calls struct{ Nodes []struct{ ID string } }
		}
		c.Do(`{ calls(first: 1) { nodes { id } } }`, nil, &out)
		return demo.Vars{"callId": out.Calls.Nodes[0].ID}
	}
	var last demo.Vars
	lastID := func() id.ID {
		x, err := id.Parse(last["callId"].(string))
		c.Must(err)
		return x
	}
	for _, a := range []struct {
		why     string
		code    diagnose.Code
		answers bool // the desk is picked up while it is broken
		before  func()
		after   func() // on the call itself
		mend    func()
	}{
		{why: "on the list (R057)", code: diagnose.IgnoredCaller, answers: true,
			before: func() {
				c.Do(`mutation($r: [String!]!) { ignoredNumberAdd(input: {rules: $r}) { userErrors { code field message } } }`, demo.Vars{"r": []string{doctorCaller}}, nil)
			},
			mend: func() {
				var out struct {
					IgnoredNumbers struct{ Nodes []struct{ ID string } }
				}
				c.Do(`{ ignoredNumbers { nodes { id } } }`, nil, &out)
				c.Do(`mutation($i: ID!) { ignoredNumberRemove(id: $i) { userErrors { code field message } } }`, demo.Vars{"i": out.IgnoredNumbers.Nodes[0].ID}, nil)
			}},
		{why: "she does not want to be disturbed (R072)", code: diagnose.DoNotDisturb, before: func() { c.quiet(true) }, mend: func() { c.quiet(false) }},
		{why: "the microphone is refused (R075)", code: diagnose.DeviceNotReady, before: func() { c.microphone("DENIED") }, mend: func() { c.microphone("GRANTED") }},
		{why: "the number was off (D26)", code: diagnose.NumberDisabled, before: func() { c.set(demo.Vars{"isEnabled": false}) }, mend: func() { c.set(demo.Vars{"isEnabled": true}) }},
		{why: "nobody asked for it (R271)", code: diagnose.RecordingOff, answers: true,
			before: func() { c.set(demo.Vars{"recording": demo.Vars{"incoming": "OFF"}}) },
			mend:   func() { c.set(demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER"}}) }},
		{why: "our copy failed (R123)", code: diagnose.MediaFailed, answers: true, before: func() {},
			after: func() {
				c.sql(`UPDATE recording SET media_state = 'FAILED', media_error = 'it is empty' WHERE organization_id = $1 AND call_id = $2`, lastID())
			}, mend: func() {}},
		{why: "the provider refused (R199)", code: diagnose.TranscriptionFailed, answers: true, before: func() {},
			after: func() {
				c.sql(`INSERT INTO transcript (organization_id, id, call_id, source, status, provider, language, is_automatic, failure_code, failure_reason, recorded_at, updated_at)
					VALUES ($1, $2, $3, 'CALL', 'FAILED', 'HTTP', 'en-US', false, 'REFUSED', 'the provider refused the audio', $4, $4)`, id.New(id.Transcript), lastID(), c.Clock.Now())
			}, mend: func() {}},
	} {
		a.before()
		last = calls(a.answers)
		if a.after != nil {
			a.after()
		}
		c.diagnose(last).only(t, string(a.code), a.why)
		a.mend()
		c.diagnose(calls(true)).without(t, string(a.code), a.why+": mended,")
	}
}

// Why a rule sent nothing is said part by part, and gone when it would send (R175, R272).
func TestAnAutomationSaysWhyItSentNothing(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Office")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	carol := s.contact("CUSTOMER", "Carol", customer, demo.Vars{"timezone": "Europe/Berlin"})
	tmpl := s.template(demo.Vars{"name": "On the way", "purpose": "SERVICE_UPDATE", "recordKind": "BOOKING", "body": "We come. {{record.trackingUrl}}"})
	rule := s.automation(demo.Vars{"name": "On the way", "trigger": "ON_THE_WAY", "templateId": tmpl, "quietHours": nil})
	booking := s.record("BOOKING", carol, demo.Vars{"startsAt": s.Clock.Now().Add(time.Hour), "trackingUrl": "https://track.example.com/1"})
	input := demo.Vars{"automationId": rule}
	comes := func() {
		s.happens(s.Admin, demo.Vars{"recordId": booking, "event": "ON_THE_WAY"})
		s.told()
		s.Pass(time.Minute)
	}
	update := func(in demo.Vars) {
		s.Do(automationUpdate, demo.Vars{"a": rule, "i": in}, nil)
	}
	record := func(in demo.Vars) {
		s.Do(`mutation($r: ID!, $i: RecordUpdateInput!) { recordUpdate(id: $r, input: $i) { userErrors { code field message } } }`, demo.Vars{"r": booking, "i": in}, nil)
	}
	number := func(in demo.Vars) {
		s.Do(`mutation($n: ID!, $i: PhoneNumberUpdateInput!) { phoneNumberUpdate(id: $n, input: $i) { userErrors { code field message } } }`, demo.Vars{"n": line, "i": in}, nil)
	}
	// spent makes what the rule sent cost a dollar.
	spent := func() {
		org, err := id.Parse(s.OrganizationID)
		s.Must(err)
		n, err := db.Exec(t.Context(), s.App.DB.Worker(), `UPDATE message SET price_micros = 1000000, price_currency = 'USD' WHERE organization_id = $1 AND automation_id IS NOT NULL`, org)
		if s.Must(err); n == 0 {
			t.Fatal("the rule has sent nothing")
		}
	}
	// limit sets a cap of cents a month that bars, as one raises it too.
	limit := func(scope demo.Vars, cents int) {
		in := demo.Vars{"period": "MONTH", "amountMinor": cents, "currency": "USD", "action": "BLOCK"}
		maps.Copy(in, scope)
		s.made("costCapSet", "CostCapSetInput", "costCap", in)
	}
	s.diagnosed(input).only(t, string(diagnose.AutomationTrigger), "nothing happened yet")
	for _, a := range []struct {
		why          string
		code         diagnose.Code
		quiet        bool // nothing happens while it is broken
		break_, mend func()
	}{
		{"the rule is off", diagnose.AutomationDisabled, true, func() { update(demo.Vars{"isEnabled": false}) }, func() { update(demo.Vars{"isEnabled": true}) }},
		{"a condition", diagnose.AutomationCondition, false,
			func() {
				update(demo.Vars{"conditions": []demo.Vars{{"field": "tag", "operator": "IN", "values": []string{"vip"}}}})
			},
			func() { update(demo.Vars{"conditions": []demo.Vars{}}) }},
		{"nobody to write to", diagnose.AutomationNoRecipient, false, func() { record(demo.Vars{"contactId": nil}) }, func() { record(demo.Vars{"contactId": carol}) }},
		{"a field without a value (R163)", diagnose.AutomationTemplate, false, func() { record(demo.Vars{"trackingUrl": nil}) }, func() { record(demo.Vars{"trackingUrl": "https://track.example.com/2"}) }},
		{"no number sends", diagnose.AutomationSender, false, func() { number(demo.Vars{"isEnabled": false}) }, func() { number(demo.Vars{"isEnabled": true}) }},
		{"in the quiet hours", diagnose.QuietHours, false,
			func() {
				update(demo.Vars{"quietHours": demo.Vars{"from": "00:00", "until": "23:59", "action": "SKIP"}})
			}, func() { update(demo.Vars{"quietHours": nil}) }},
		{"they asked for no messages (R155)", diagnose.OptedOut, false, func() { s.text(customer, officeNumber, "STOP"); s.told() }, func() { s.text(customer, officeNumber, "START"); s.told() }},
		{"a cap is reached (R102)", diagnose.AutomationCapped, true, func() {
			spent()
			limit(demo.Vars{"scope": "ORGANIZATION"}, 1)
		}, func() { limit(demo.Vars{"scope": "ORGANIZATION"}, 100000) }},
		{"the cap of the branch is reached (R102)", diagnose.AutomationCapped, true, func() { limit(demo.Vars{"scope": "BRANCH", "branchId": branch}, 1) },
			func() { limit(demo.Vars{"scope": "BRANCH", "branchId": branch}, 100000) }},
		{"its own cap is reached (R102)", diagnose.AutomationCapped, true, func() { limit(demo.Vars{"scope": "AUTOMATION", "automationId": rule}, 1) },
			func() { limit(demo.Vars{"scope": "AUTOMATION", "automationId": rule}, 100000) }},
	} {
		s.Admin = s.SignIn("admin") // tokens live for minutes
		a.break_()
		if !a.quiet {
			comes()
		}
		s.diagnosed(input).only(t, string(a.code), a.why)
		a.mend()
		if a.quiet {
			comes()
		}
		s.diagnosed(input).without(t, string(a.code), a.why+": mended,")
	}
}

// A registration that carriers of the United States want is missing (R152, R153).
func TestRegistrationsAreFindings(t *testing.T) {
	s := newStory(t)
	line, free := s.Number(officeNumber, nil), s.Number("+18335550100", nil)
	service, err := s.Emulator.AddService(s.AccountSID, emulator.ServiceSpec{Name: "Office", Numbers: []string{officeNumber}, Campaign: emulator.CampaignVerified,
		Fields: map[string]string{"UseInboundWebhookOnNumber": "true"}})
	s.Must(err)
	s.Must(s.Emulator.SetTollFree("+18335550100", emulator.TollFreeApproved))
	for _, c := range []struct {
		number     string
		code       diagnose.Code
		break_, ok func() error
	}{
		{line, diagnose.A2PUnregistered, func() error { return s.Emulator.SetCampaign(service, "") }, func() error { return s.Emulator.SetCampaign(service, emulator.CampaignVerified) }},
		{line, diagnose.GeoPermission, func() error { return s.Emulator.SetGeoPermission(s.AccountSID, "US", false) }, func() error { return s.Emulator.SetGeoPermission(s.AccountSID, "US", true) }},
		{free, diagnose.TollFreeUnverified, func() error { return s.Emulator.SetTollFree("+18335550100", "") }, func() error { return s.Emulator.SetTollFree("+18335550100", emulator.TollFreeApproved) }},
	} {
		named := func(want bool) {
			t.Helper()
			s.diagnosed(demo.Vars{"phoneNumberId": c.number})      // Twilio is asked about senders beside the account,
			d := s.diagnosed(demo.Vars{"phoneNumberId": c.number}) // so what it said is sure to be there now
			found := false
			for _, f := range d.Findings {
				found = found || f.Code == string(c.code)
			}
			if found != want {
				t.Errorf("%s named %t:\n%s", c.code, found, d.text())
			}
		}
		named(false)
		s.Must(c.break_())
		named(true)
		s.Must(c.ok())
		named(false)
	}
}

// Findings are for those with DIAGNOSE, of one's own organization, one thing at a time;
// they can be acknowledged and put aside, and each change is told.
func TestFindingsAreAcknowledgedPutAsideAndPrivate(t *testing.T) {
	s := newStory(t)
	number := s.Number(doctorNumber, nil) // it rings nobody
	fay := s.User("fay", "FIELDWORKER", "")
	from := s.cursor()
	c := &clinic{Stage: s.Stage, t: t, number: number}
	c.diagnose(demo.Vars{"phoneNumberId": number}).only(t, "NOBODY_TO_RING", "a number without a branch", diagnose.RecordingOff)
	var f findingView
	for _, x := range c.findings(demo.Vars{"isOpen": true}) {
		if x.Code == "NOBODY_TO_RING" {
			f = x
		}
	}
	if f.ID == "" || f.Subject == nil || f.Subject.ID != number {
		t.Fatalf("what is kept is %+v", c.findings(nil))
	}
	refused := func(who *demo.Client, input demo.Vars, code string) {
		t.Helper()
		err := who.Do(t.Context(), diagnosisQuery, demo.Vars{"i": input}, nil)
		if err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("%v is answered %v, want %s", input, err, code)
		}
	}
	other := s.Another("Other")
	refused(fay.Client, demo.Vars{"phoneNumberId": number}, "DIAGNOSE")
	refused(other.Admin, demo.Vars{"phoneNumberId": number}, "no such")
	refused(s.Admin, demo.Vars{"phoneNumberId": number, "userId": fay.ID}, "one thing")
	refused(s.Admin, demo.Vars{"phoneNumberId": fay.ID}, "num_")
	for who, client := range map[string]*demo.Client{"a fieldworker": fay.Client, "another organization": other.Admin} {
		var out struct{ Node, Finding *struct{ ID string } }
		s.Must(client.Do(t.Context(), `query($f: ID!) { node(id: $f) { id } finding(id: $f) { id } }`, demo.Vars{"f": f.ID}, &out))
		if out.Node != nil || out.Finding != nil {
			t.Errorf("%s reads the finding", who)
		}
	}
	var out struct {
		FindingAcknowledge, FindingSnooze struct{ Finding *findingView }
	}
	s.Do(`mutation($f: ID!) { findingAcknowledge(id: $f, note: " Ann looks ") { finding { id isOpen acknowledgedAt note } userErrors { code field message } } }`, demo.Vars{"f": f.ID}, &out)
	if x := out.FindingAcknowledge.Finding; x == nil || !x.IsOpen || x.AcknowledgedAt == nil || x.Note == nil || *x.Note != "Ann looks" {
		t.Errorf("acknowledged it is %+v", x)
	}
	snooze := `mutation($f: ID!, $u: Time) { findingSnooze(id: $f, until: $u) { finding { id } userErrors { code field message } } }`
	s.Do(snooze, demo.Vars{"f": f.ID, "u": s.Clock.Now().Add(time.Hour)}, &out)
	if open := c.findings(demo.Vars{"isOpen": true}); len(open) != 0 {
		t.Errorf("put aside, there is open %+v", open)
	}
	if open := c.findings(demo.Vars{"isOpen": true, "includeSnoozed": true, "severity": "PROBLEM", "subjectId": number}); len(open) != 1 {
		t.Errorf("with those put aside, there is open %+v", open)
	}
	if err := s.Admin.Do(t.Context(), snooze, demo.Vars{"f": f.ID, "u": s.Clock.Now().Add(100 * 24 * time.Hour)}, nil); err == nil || !strings.Contains(err.Error(), "90 days") {
		t.Errorf("for a hundred days: %v", err)
	}
	var line struct {
		PhoneNumber struct{ Findings []findingView }
	}
	s.Do(`query($n: ID!) { phoneNumber(id: $n) { findings { id code } } }`, demo.Vars{"n": number}, &line)
	if len(line.PhoneNumber.Findings) != 1 {
		t.Errorf("the number has %+v", line.PhoneNumber.Findings)
	}
	if got := types(s.facts(s.Admin, from, "FINDING_UPDATED")); len(got) != 3 || got[0] != "FindingUpdated" {
		t.Errorf("the log tells %v", got)
	}
	if got := types(s.facts(fay.Client, from, "FINDING_UPDATED")); len(got) != 0 {
		t.Errorf("a fieldworker is told %v", got)
	}
}

// Every code has a story that breaks it: one of the table, or one that is named here.
func TestEveryCodeOfTheDoctorIsBroken(t *testing.T) {
	t.Parallel()
	covered := map[diagnose.Code]bool{
		diagnose.IgnoredCaller: true, diagnose.MediaFailed: true, diagnose.TranscriptionFailed: true, diagnose.A2PUnregistered: true, diagnose.TollFreeUnverified: true,
		diagnose.RecipientUnreachable: true, diagnose.CarrierBlocked: true, diagnose.CarrierFiltered: true, diagnose.InvalidNumber: true, diagnose.ContentRefused: true,
		diagnose.SendingTooFast: true, diagnose.NotDelivered: true, diagnose.OptedOut: true, diagnose.AutomationTrigger: true, diagnose.AutomationDisabled: true,
		diagnose.AutomationCondition: true, diagnose.AutomationNoRecipient: true, diagnose.AutomationTemplate: true, diagnose.AutomationSender: true,
		diagnose.QuietHours: true, diagnose.AutomationCapped: true, diagnose.NumberDisconnected: true, diagnose.ConnectionDisconnected: true, diagnose.CallFailed: true,
		diagnose.ConsentMissing: true, diagnose.AutomationTooLate: true, diagnose.AutomationRefused: true,
	}
	for _, a := range ailments {
		covered[a.code] = true
	}
	for _, code := range diagnose.Codes(false) {
		if !covered[code] {
			t.Errorf("no story breaks %s", code)
		}
	}
}
