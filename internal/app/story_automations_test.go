package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
)

const (
	templateCreateMutation = `mutation($i: MessageTemplateCreateInput!) { messageTemplateCreate(input: $i) { messageTemplate { id } userErrors { code field message } } }`
	templateUpdateMutation = `mutation($t: ID!, $i: MessageTemplateUpdateInput!) { messageTemplateUpdate(id: $t, input: $i) { messageTemplate { id version } userErrors { code field message } } }`
	automationCreate       = `mutation($i: AutomationCreateInput!) { automationCreate(input: $i) { automation { id isEnabled warnings } userErrors { code field message } } }`
	automationUpdate       = `mutation($a: ID!, $i: AutomationUpdateInput!) { automationUpdate(id: $a, input: $i) { automation { id isEnabled } userErrors { code field message } } }`
)

// runView is a run of an automation.
type runView struct {
	ID, State          string
	ReasonCode, Reason *string
	Automation         ref
	Record, Contact    *ref
	Message            *struct {
		ID, Body   string
		Automation *ref
		Template   *ref
	}
	EstimatedCost *struct{ Amount, Currency string }
	DueAt, RanAt  *time.Time
}

const runFields = `id state reasonCode reason automation { id name } record { id } contact { id name } message { id body automation { id } template { id } }
	estimatedCost { amount currency } dueAt ranAt`

func (s *story) template(input demo.Vars) string {
	s.t.Helper()
	var out struct {
		MessageTemplateCreate struct{ MessageTemplate ref }
	}
	for k, v := range (demo.Vars{"kind": "TEMPLATE", "purpose": "OTHER"}) {
		if _, ok := input[k]; !ok {
			input[k] = v
		}
	}
	s.Do(templateCreateMutation, demo.Vars{"i": input}, &out)
	return out.MessageTemplateCreate.MessageTemplate.ID
}

func (s *story) automation(input demo.Vars) string {
	s.t.Helper()
	var out struct{ AutomationCreate struct{ Automation ref } }
	if _, ok := input["isEnabled"]; !ok {
		input["isEnabled"] = true
	}
	s.Do(automationCreate, demo.Vars{"i": input}, &out)
	return out.AutomationCreate.Automation.ID
}

func (s *story) runs(record string) []runView {
	s.t.Helper()
	var out struct {
		Record struct{ AutomationRuns struct{ Nodes []runView } }
	}
	s.Do(`query($r: ID!) { record(id: $r) { automationRuns { nodes { `+runFields+` } } } }`, demo.Vars{"r": record}, &out)
	return out.Record.AutomationRuns.Nodes
}

// texts are what a phone got from us, oldest first.
func (s *story) texts(phone string) (bodies []string) {
	for _, m := range s.Emulator.Messages() {
		if m.Direction == "outbound-api" && m.To == phone {
			bodies = append(bodies, m.Body)
		}
	}
	return bodies
}

func TestTheCustomerHearsThatTheFieldworkerIsOnTheWay(t *testing.T) { // R161-R164, R170, R175, R198, R240
	s := newStory(t)
	s.Number(officeNumber, nil)
	fay := s.User("fay", "FIELDWORKER", "")
	carol := s.contact("CUSTOMER", "Carol Miller", customer, demo.Vars{"timezone": "Europe/Berlin"})
	tmpl := s.template(demo.Vars{"name": "On the way", "purpose": "SERVICE_UPDATE", "recordKind": "BOOKING",
		"body": "Hi {{contact.firstName|there}}, {{user.firstName}} will be there at {{event.eta}}. Watch: {{record.trackingUrl}}"})
	rule := s.automation(demo.Vars{"name": "On the way", "trigger": "ON_THE_WAY", "templateId": tmpl, "quietHours": nil})
	booking := s.record("BOOKING", carol, demo.Vars{"externalId": "b-1", "assignedUserId": fay.ID, "startsAt": s.Clock.Now().Add(time.Hour),
		"trackingUrl": "https://track.example.com/b-1"})

	crm := s.key("CRM", "CONTACT_VIEW", "RECORD_EVENT_ADD")
	from := s.cursor()
	told := demo.Vars{"recordKind": "BOOKING", "recordExternalId": "b-1", "event": "ON_THE_WAY", "externalId": "e-1", "etaAt": s.Clock.Now().Add(25 * time.Minute)}
	s.happens(crm, told)
	s.told()
	want := "Hi Carol, fay will be there at 10:25. Watch: https://track.example.com/b-1"
	if got := s.texts(customer); len(got) != 1 || got[0] != want {
		t.Fatalf("the phone got %q, want %q", got, want)
	}
	s.happens(crm, told) // the same event again
	s.told()
	if got := s.texts(customer); len(got) != 1 {
		t.Errorf("told twice, the phone got %q", got)
	}
	list := s.runs(booking)
	if len(list) != 1 || list[0].State != "SENT" || list[0].Automation.ID != rule || list[0].Message == nil || list[0].Message.Body != want ||
		list[0].Message.Automation == nil || list[0].Message.Automation.ID != rule || list[0].Message.Template == nil || list[0].EstimatedCost == nil || list[0].RanAt == nil || list[0].DueAt != nil {
		t.Errorf("the runs are %+v", list)
	}
	if got := types(s.facts(s.Admin, from, "AUTOMATION_RAN")); len(got) != 1 || got[0] != "AutomationRan" {
		t.Errorf("the log tells %v", got)
	}

	// By the fieldworker's own hand.
	s.happens(fay.Client, demo.Vars{"recordId": booking, "event": "ON_THE_WAY", "etaAt": s.Clock.Now().Add(35 * time.Minute)})
	s.told()
	if got := s.texts(customer); len(got) != 2 || !strings.Contains(got[1], "at 10:35") {
		t.Errorf("from the fieldworker the phone got %q", got)
	}
	var out struct {
		Automation struct {
			Totals struct {
				Sent, NotSent  int
				EstimatedCosts []struct{ Amount, Currency string }
			}
			Runs struct{ Nodes []runView }
		}
	}
	s.Do(`query($a: ID!) { automation(id: $a) { totals { sent notSent estimatedCosts { amount currency } } runs(filter: {state: SENT}) { nodes { `+runFields+` } } } }`, demo.Vars{"a": rule}, &out)
	if x := out.Automation; x.Totals.Sent != 2 || x.Totals.NotSent != 0 || len(x.Totals.EstimatedCosts) != 1 || x.Totals.EstimatedCosts[0].Currency != "USD" || len(x.Runs.Nodes) != 2 {
		t.Errorf("the automation did %+v", x)
	}
	s.clean()
}

func TestARunThatDidNotSendExplainsItself(t *testing.T) { // R175, R272
	s := newStory(t)
	s.Number(officeNumber, nil)
	carol := s.contact("CUSTOMER", "Carol", customer, demo.Vars{"timezone": "Europe/Berlin"})
	tmpl := s.template(demo.Vars{"name": "Reminder", "recordKind": "INVOICE", "body": "{{record.title}}: {{record.amount}} is due {{record.dueAt}}. {{record.url}}"})
	rule := s.automation(demo.Vars{"name": "Due", "trigger": "INVOICE_OUTSTANDING", "offsetMinutes": 60, "templateId": tmpl, "quietHours": nil,
		"conditions": []demo.Vars{{"field": "amount", "operator": "AT_LEAST", "values": []string{"10"}}}})
	due := s.Clock.Now().Add(2 * time.Hour)
	amount := func(n int) demo.Vars { return demo.Vars{"amountMinor": n, "currency": "AUD"} }
	records := map[string]string{
		"sent":      s.record("INVOICE", carol, demo.Vars{"dueAt": due, "amount": amount(12_000), "url": "https://pay.example.com/1"}),
		"condition": s.record("INVOICE", carol, demo.Vars{"dueAt": due, "amount": amount(999), "url": "https://pay.example.com/2"}),
		"field":     s.record("INVOICE", carol, demo.Vars{"dueAt": due, "amount": amount(12_000)}),
		"paid":      s.record("INVOICE", carol, demo.Vars{"dueAt": due, "amount": amount(12_000), "url": "https://pay.example.com/3"}),
		"nobody":    s.record("INVOICE", s.contact("CUSTOMER", "Dan", "+12025550190", nil), demo.Vars{"dueAt": due, "amount": amount(12_000), "url": "https://pay.example.com/4"}),
		"undated":   s.record("INVOICE", carol, demo.Vars{"amount": amount(12_000), "url": "https://pay.example.com/5"}),
	}
	s.Do(`mutation($r: ID!) { recordUpdate(id: $r, input: {contactId: null}) { userErrors { code field message } } }`, demo.Vars{"r": records["nobody"]}, nil)
	s.happens(s.Admin, demo.Vars{"recordId": records["paid"], "event": "PAID"})
	s.told()
	s.PassSettling(3*time.Hour+2*time.Minute, 30*time.Minute)
	s.told()
	s.Admin = s.SignIn("admin")

	if got := s.texts(customer); len(got) != 1 || got[0] != "Roof: 120.00 AUD is due Mon 2 Mar 2026. https://pay.example.com/1" {
		t.Errorf("the phone got %q", got)
	}
	for what, want := range map[string]struct{ code, words string }{
		"condition": {"CONDITION", "amount is at least 10: the record has 9.99"},
		"field":     {"MISSING_FIELD", "{{record.url}}"},
		"paid":      {"TRIGGER_GONE", "PAID"},
		"nobody":    {"NO_RECIPIENT", "no contact"},
	} {
		list := s.runs(records[what])
		if len(list) != 1 || list[0].State != "NOT_SENT" || list[0].ReasonCode == nil || *list[0].ReasonCode != want.code || !strings.Contains(*list[0].Reason, want.words) {
			t.Errorf("%s: %+v", what, list)
		}
	}
	if list := s.runs(records["undated"]); len(list) != 0 {
		t.Errorf("without a date: %+v", list)
	}
	explain := func(record string) (would bool, steps string) {
		t.Helper()
		var out struct {
			AutomationExplain struct {
				WouldSend bool
				SendAt    *time.Time
				Steps     []struct {
					Part, Message string
					Holds         bool
				}
			}
		}
		s.Do(`query($a: ID!, $r: ID!) { automationExplain(id: $a, recordId: $r) { wouldSend sendAt steps { part holds message } } }`, demo.Vars{"a": rule, "r": record}, &out)
		for _, x := range out.AutomationExplain.Steps {
			if !x.Holds {
				steps += x.Part + ": " + x.Message + "\n"
			}
		}
		return out.AutomationExplain.WouldSend, steps
	}
	for what, words := range map[string]string{
		"sent": "it ran for this already and sent a message", "condition": "condition: amount is at least 10", "field": "template: there is nothing to put in for {{record.url}}",
		"paid": "trigger: the record's status is PAID", "nobody": "recipient: the record has no contact", "undated": "trigger: the record has no dueAt",
	} {
		if would, steps := explain(records[what]); would || !strings.Contains(steps, words) {
			t.Errorf("%s: would send %v: %s", what, would, steps)
		}
	}
	next := s.record("INVOICE", carol, demo.Vars{"dueAt": s.Clock.Now().Add(time.Hour), "amount": amount(12_000), "url": "https://pay.example.com/6"})
	if would, steps := explain(next); !would {
		t.Errorf("one to come: %s", steps)
	}

	// The same over the last days, saved and not.
	type dry struct {
		WouldSend, WouldNotSend int
		EstimatedCosts          []struct{ Amount, Currency string }
		Rows                    []struct {
			Body, ReasonCode *string
			Record           *ref
		}
	}
	var saved, unsaved struct{ AutomationDryRun dry }
	const query = `query($i: AutomationDryRunInput!) { automationDryRun(input: $i) { wouldSend wouldNotSend estimatedCosts { amount currency } rows { body reasonCode record { id } } } }`
	s.Do(query, demo.Vars{"i": demo.Vars{"id": rule, "days": 7}}, &saved)
	var codes []string
	for _, r := range saved.AutomationDryRun.Rows {
		if r.ReasonCode != nil {
			codes = append(codes, *r.ReasonCode)
		}
	}
	slices.Sort(codes)
	if x := saved.AutomationDryRun; x.WouldSend != 1 || x.WouldNotSend != 4 || len(x.EstimatedCosts) != 1 || strings.Join(codes, " ") != "CONDITION MISSING_FIELD NO_RECIPIENT TRIGGER_GONE" {
		t.Errorf("tried anew: %+v %v", x, codes)
	}
	s.Do(query, demo.Vars{"i": demo.Vars{"rule": demo.Vars{"name": "Any", "trigger": "INVOICE_OUTSTANDING", "templateId": tmpl}}}, &unsaved)
	if x := unsaved.AutomationDryRun; x.WouldSend != 2 || x.WouldNotSend != 3 {
		t.Errorf("without the condition: %+v", x)
	}
	if got := s.texts(customer); len(got) != 1 {
		t.Errorf("trying sent %q", got)
	}
	s.clean()
}

func TestTemplatesAndAutomationsAreCheckedWhenTheyAreSaved(t *testing.T) { // R161-R164
	s := newStory(t)
	s.Number(officeNumber, nil)
	tmpl := s.template(demo.Vars{"name": "Booked", "recordKind": "BOOKING", "body": "{{contact.name}} {{record.startsAt}}"})
	plain := s.template(demo.Vars{"name": "Thanks", "kind": "CANNED_RESPONSE", "body": "Thank you, {{contact.firstName|friend}}!"})
	for name, x := range map[string]struct {
		mutation, input string
		in              demo.Vars
		code, field     string
		words           string
	}{
		"unknown field":   {"messageTemplateCreate", "MessageTemplateCreateInput", demo.Vars{"kind": "TEMPLATE", "purpose": "OTHER", "name": "x", "body": "{{contact.fistName}}"}, "INVALID", "input body", "did you mean {{contact.firstName}}"},
		"of another kind": {"messageTemplateCreate", "MessageTemplateCreateInput", demo.Vars{"kind": "TEMPLATE", "purpose": "OTHER", "name": "x", "recordKind": "INVOICE", "body": "{{record.startsAt}}"}, "INVALID", "input body", "BOOKING"},
		"name taken":      {"messageTemplateCreate", "MessageTemplateCreateInput", demo.Vars{"kind": "TEMPLATE", "purpose": "OTHER", "name": "BOOKED", "body": "x"}, "TAKEN", "input name", "another template"},
		"before an event": {"automationCreate", "AutomationCreateInput", demo.Vars{"name": "x", "trigger": "ARRIVED", "templateId": plain, "offsetMinutes": -5}, "INVALID", "input offsetMinutes", "before"},
		"wrong template":  {"automationCreate", "AutomationCreateInput", demo.Vars{"name": "x", "trigger": "INVOICE_OUTSTANDING", "templateId": tmpl}, "INVALID", "input templateId", "INVOICE"},
		"nobody":          {"automationCreate", "AutomationCreateInput", demo.Vars{"name": "x", "trigger": "ARRIVED", "templateId": plain, "recipients": []string{}}, "REQUIRED", "input recipients", "nobody"},
		"a condition":     {"automationCreate", "AutomationCreateInput", demo.Vars{"name": "x", "trigger": "ARRIVED", "templateId": plain, "conditions": []demo.Vars{{"field": "colour", "operator": "PRESENT"}}}, "INVALID", "input conditions", "colour"},
		"quiet hours":     {"automationCreate", "AutomationCreateInput", demo.Vars{"name": "x", "trigger": "ARRIVED", "templateId": plain, "quietHours": demo.Vars{"from": "25:00", "until": "08:00"}}, "INVALID", "input quietHours", "23:59"},
		"a number":        {"automationCreate", "AutomationCreateInput", demo.Vars{"name": "x", "trigger": "ARRIVED", "templateId": plain, "extraNumbers": []string{"12"}}, "INVALID", "input extraNumbers", ""},
	} {
		if code, field, words := s.problem(s.Admin, x.mutation, x.input, nil, x.in); code != x.code || field != x.field || !strings.Contains(words, x.words) {
			t.Errorf("%s: %s at %q: %s", name, code, field, words)
		}
	}
	rule := s.automation(demo.Vars{"name": "Tomorrow", "trigger": "BOOKING_REMINDER", "offsetMinutes": -1440, "templateId": tmpl})
	if code := s.try(s.Admin, `mutation($t: ID!) { messageTemplateArchive(id: $t) { messageTemplate { id } userErrors { code field message } } }`, demo.Vars{"t": tmpl}, nil); code != "CONFLICT" {
		t.Errorf("a template in use was archived: %s", code)
	}
	if code := s.try(s.Admin, templateUpdateMutation, demo.Vars{"t": tmpl, "i": demo.Vars{"recordKind": "QUOTE", "body": "{{record.expiresAt}}"}}, nil); code != "CONFLICT" {
		t.Errorf("a template in use became one of quotes: %s", code)
	}
	if code := s.try(s.Admin, templateUpdateMutation, demo.Vars{"t": tmpl, "i": demo.Vars{"body": "See you {{record.startsAt:date}}"}}, nil); code != "" {
		t.Errorf("a text that fits was refused: %s", code)
	}
	s.Do(automationUpdate, demo.Vars{"a": rule, "i": demo.Vars{"isEnabled": false}}, nil)
	s.Do(`mutation($t: ID!) { messageTemplateArchive(id: $t) { messageTemplate { id } userErrors { code field message } } }`, demo.Vars{"t": tmpl}, nil)
	if code := s.try(s.Admin, automationUpdate, demo.Vars{"a": rule, "i": demo.Vars{"isEnabled": true}}, nil); code != "CONFLICT" {
		t.Errorf("switched on with an archived template: %s", code)
	}

	var seen struct {
		MessageTemplates struct {
			Nodes []struct {
				ID     string
				Fields []struct{ Path string }
			}
		}
		MergeFields            []struct{ Path string }
		MessageTemplatePreview struct {
			Body              string
			Segments          int
			Missing, Problems []string
		}
		Automation struct{ Warnings []string }
	}
	carol := s.contact("CUSTOMER", "Carol {{business.phone}}", customer, nil)
	s.Do(`query($c: ID!, $a: ID!) { messageTemplates(filter: {search: "THANK"}) { nodes { id fields { path } } } mergeFields(recordKind: QUOTE) { path }
		messageTemplatePreview(input: {body: "{{contact.name}} {{contact.company}} {{contact.phone}}", contactId: $c}) { body segments missing problems }
		automation(id: $a) { warnings } }`, demo.Vars{"c": carol, "a": rule}, &seen)
	if x := seen.MessageTemplates.Nodes; len(x) != 1 || x[0].ID != plain || len(x[0].Fields) != 1 || x[0].Fields[0].Path != "contact.firstName" {
		t.Errorf("found %+v", x)
	}
	if !slices.Contains(seen.MergeFields, struct{ Path string }{"record.expiresAt"}) {
		t.Errorf("the fields of a quote are %v", seen.MergeFields)
	}
	if x := seen.MessageTemplatePreview; x.Body != "Carol {{business.phone}} {{contact.company}} "+customer || len(x.Missing) != 1 || x.Segments != 1 || len(x.Problems) != 0 {
		t.Errorf("the preview is %+v", x)
	}
	if x := strings.Join(seen.Automation.Warnings, "\n"); !strings.Contains(x, "archived") || !strings.Contains(x, "startsAt") {
		t.Errorf("the automation warns of %s", x)
	}
	s.clean()
}

func TestWhoeverWasNotReachedIsTold(t *testing.T) { // R165
	o := newOutbound(t)
	carla := o.contact("LEAD", "Carla", callee, nil)
	tmpl := o.template(demo.Vars{"name": "Missed you", "body": "Hi {{contact.firstName}}, we tried to call you."})
	o.automation(demo.Vars{"name": "Missed you", "trigger": "CONTACT_ATTEMPT_FAILED", "templateId": tmpl, "quietHours": nil})
	o.start(demo.Vars{"contactId": carla}, nil)
	o.rings(o.desk)
	o.answer(o.desk)
	o.wantRinging(callee)
	o.decline(callee)
	o.Pass(5 * time.Second)
	o.told()
	o.told()
	if got := o.texts(callee); len(got) != 1 || got[0] != "Hi Carla, we tried to call you." {
		t.Errorf("the phone got %q", got)
	}
	// One that is picked up tells nobody.
	o.Pass(time.Minute)
	id := o.start(demo.Vars{"contactId": carla}, nil)
	o.rings(o.desk)
	o.answer(o.desk)
	o.wantRinging(callee)
	o.answer(callee)
	o.Pass(10 * time.Second)
	o.hangUp(o.callByID(id).TwilioSid)
	o.told()
	if got := o.texts(callee); len(got) != 1 {
		t.Errorf("after a talk the phone has %q", got)
	}
	o.clean()
}
