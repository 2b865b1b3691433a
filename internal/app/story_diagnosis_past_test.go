package app_test

import (
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/diagnose"
)

// What was disconnected is named, and gone when it is back (R014, R268).
func TestWhatWasDisconnectedIsNamed(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	c.Do(`mutation($n: ID!) { phoneNumberDisconnect(id: $n) { userErrors { code field message } } }`, demo.Vars{"n": c.number}, nil)
	c.diagnose(demo.Vars{"phoneNumberId": c.number}).only(t, string(diagnose.NumberDisconnected), "the number was disconnected")
	c.importNumbers()
	c.set(demo.Vars{"isEnabled": true})
	c.diagnose(demo.Vars{"phoneNumberId": c.number}).without(t, string(diagnose.NumberDisconnected), "imported again,")
	c.Do(`mutation($c: ID!) { twilioConnectionDisconnect(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": c.ConnectionID}, nil)
	c.diagnose(demo.Vars{"connectionId": c.ConnectionID}).only(t, string(diagnose.ConnectionDisconnected), "the account was disconnected")
}

// Why a call reached nobody, though nothing of ours was wrong, is read from what became
// of its legs and from Twilio's debugger (R273).
func TestWhyALegFailedIsNamed(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch, "recording": demo.Vars{"incoming": "FROM_ANSWER"}})
	ann := s.User("ann", "OFFICE", "", branch)
	desk := s.Device(ann, "Desk")
	missed := func() (sid string, input demo.Vars) {
		sid = s.dial(customer, officeNumber)
		s.PassSettling(30*time.Second, 10*time.Second)
		_ = s.Emulator.HangUp(sid)
		s.settled()
		return sid, demo.Vars{"callId": s.call(sid).ID}
	}
	_, healthy := missed()
	s.diagnosed(healthy).without(t, string(diagnose.DeviceNotReady), "a call that rang")

	s.Emulator.UnregisterClient(s.AccountSID, desk)
	_, gone := missed()
	d := s.diagnosed(gone)
	d.only(t, string(diagnose.DeviceNotReady), "the device is not registered at Twilio any more")
	if len(d.Findings) != 1 || d.Findings[0].Subject == nil || d.Findings[0].Subject.ID != ann.ID {
		t.Errorf("the finding is of %+v, want ann", d.Findings)
	}
	s.Must(s.Emulator.RegisterClient(s.AccountSID, desk))
	sid, back := missed()
	s.diagnosed(back).without(t, string(diagnose.DeviceNotReady), "registered again,")

	leg := s.call(sid).leg(desk)
	s.Must(s.Emulator.AddAlert(s.AccountSID, 64105, *leg.TwilioSid))
	s.diagnosed(back).only(t, string(diagnose.CallFailed), "Twilio's debugger has an error of the leg")
	_, next := missed()
	s.diagnosed(next).without(t, string(diagnose.CallFailed), "the next call,")
}

// What became of a rule's messages is named until it is otherwise (R121, R154, R272).
func TestWhatARuleMetIsNamed(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	fay := s.User("fay", "FIELDWORKER", "")
	carol := s.contact("CUSTOMER", "Carol", customer, nil)
	tmpl := s.template(demo.Vars{"name": "Coming", "purpose": "SERVICE_UPDATE", "recordKind": "BOOKING", "body": "We come."})
	rule := s.automation(demo.Vars{"name": "Coming", "trigger": "ON_THE_WAY", "templateId": tmpl, "quietHours": nil})
	booking := s.record("BOOKING", carol, demo.Vars{"startsAt": s.Clock.Now().Add(time.Hour), "assignedUserId": fay.ID})
	comes := func() {
		s.happens(s.Admin, demo.Vars{"recordId": booking, "event": "ON_THE_WAY"})
		s.told()
		s.Pass(time.Minute)
		s.told()
	}
	option := func(on bool) {
		s.change(fay, demo.Vars{"fieldworkerOptions": []demo.Vars{{"option": "NOTIFY_ON_THE_WAY", "isOn": on}}})
	}
	option(false)
	comes()
	s.diagnosed(demo.Vars{"automationId": rule}).only(t, string(diagnose.AutomationRefused), "fay's customers are not told")
	option(true)
	comes()
	s.diagnosed(demo.Vars{"automationId": rule}).without(t, string(diagnose.AutomationRefused), "switched on,")

	thread := s.threads(s.Admin)[0]
	sent := demo.Vars{"messageId": thread.Messages.Nodes[0].ID}
	s.diagnosed(sent).only(t, string(diagnose.ConsentMissing), "Carol never wrote to us")
	s.text(customer, officeNumber, "Thank you")
	s.told()
	s.diagnosed(sent).without(t, string(diagnose.ConsentMissing), "she wrote,")

	reminds := s.automation(demo.Vars{"name": "Tomorrow", "trigger": "BOOKING_REMINDER", "offsetMinutes": -1440, "templateId": tmpl, "quietHours": nil})
	soon := s.record("BOOKING", carol, demo.Vars{"startsAt": s.Clock.Now().Add(25 * time.Hour)})
	s.told()
	s.Pass(30 * time.Hour) // nothing runs meanwhile
	s.Admin = s.SignIn("admin")
	s.told()
	s.diagnosed(demo.Vars{"automationId": reminds}).only(t, string(diagnose.AutomationTooLate), "its time was more than a day ago")
	s.Do(`mutation($r: ID!, $i: RecordUpdateInput!) { recordUpdate(id: $r, input: $i) { userErrors { code field message } } }`,
		demo.Vars{"r": soon, "i": demo.Vars{"startsAt": s.Clock.Now().Add(48 * time.Hour)}}, nil)
	s.told()
	s.Pass(time.Minute)
	s.told()
	s.diagnosed(demo.Vars{"automationId": reminds}).without(t, string(diagnose.AutomationTooLate), "put off,")
}
