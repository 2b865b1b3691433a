package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
)

type sentView struct {
	ID, Status, StatusText, Body    string
	IsRetryable                     bool
	ScheduledAt                     *time.Time
	Encoding                        *string
	EstimatedCost                   *struct{ Amount, Currency string }
	RetryOf, Template, Record, User *ref
	Sender                          *struct{ E164, Reason string }
}

const sentFields = `id status statusText body isRetryable scheduledAt encoding estimatedCost { amount currency } retryOf { id } template { id } record { id } user { id name }
	sender { e164 reason }`

func (s *story) sent(id string) sentView {
	s.t.Helper()
	var out struct{ Node *sentView }
	s.Do(`query($id: ID!) { node(id: $id) { ... on Message { `+sentFields+` } } }`, demo.Vars{"id": id}, &out)
	if out.Node == nil {
		s.t.Fatalf("there is no message %s", id)
	}
	return *out.Node
}

func (s *story) recordOf(kind, title, contact string, more demo.Vars) string {
	s.t.Helper()
	input := demo.Vars{"kind": kind, "title": title, "contactId": contact}
	for k, v := range more {
		input[k] = v
	}
	var out struct{ RecordCreate struct{ Record ref } }
	s.Do(`mutation($i: RecordCreateInput!) { recordCreate(input: $i) { record { id } userErrors { code field message } } }`, demo.Vars{"i": input}, &out)
	return out.RecordCreate.Record.ID
}

func TestAMessageIsWrittenFromAContactARecordAndATemplate(t *testing.T) { // R134, R137, R158, R161, R163
	s := newStory(t)
	s.Number(officeNumber, nil)
	carol := s.contact("CUSTOMER", "Carol King", customer, nil)
	invoice := s.recordOf("INVOICE", "Invoice 7", carol, demo.Vars{"amount": demo.Vars{"amountMinor": 12000, "currency": "AUD"}})
	var made struct{ MessageTemplateCreate struct{ MessageTemplate ref } }
	s.Do(`mutation { messageTemplateCreate(input: {kind: TEMPLATE, name: "Please pay", purpose: INVOICE, recordKind: INVOICE,
		body: "Dear {{contact.firstName}}, {{record.amount}} is open. {{user.name}}"}) { messageTemplate { id } userErrors { code field message } } }`, nil, &made)
	template := made.MessageTemplateCreate.MessageTemplate.ID

	id := s.sendAs(s.Admin, demo.Vars{"recordId": invoice, "templateId": template}, nil)
	s.Settle()
	m := s.sent(id)
	if m.Status != "DELIVERED" || !strings.HasPrefix(m.Body, "Dear Carol, 120.00 AUD is open. ") || m.Template == nil || m.Record == nil || m.Record.ID != invoice ||
		m.StatusText != "It arrived on the phone." || m.Encoding == nil || *m.Encoding != "GSM7" || m.EstimatedCost == nil || m.EstimatedCost.Currency != "USD" {
		t.Errorf("the invoice went out as %+v", m)
	}
	// Without the permission nobody sends one (R158), and nothing is sent with a gap.
	fay := s.User("fay", "FIELDWORKER", "")
	s.Do(`mutation($r: ID!, $u: ID) { recordUpdate(id: $r, input: {assignedUserId: $u}) { userErrors { code field message } } }`, demo.Vars{"r": invoice, "u": fay.ID}, nil)
	if code := s.try(fay.Client, sendMutation, demo.Vars{"i": demo.Vars{"recordId": invoice, "body": "pay"}}, nil); code != "FORBIDDEN" {
		t.Errorf("a fieldworker sends an invoice: %s", code)
	}
	if code := s.try(s.Admin, sendMutation, demo.Vars{"i": demo.Vars{"contactId": carol, "templateId": template}}, nil); code != "INVALID" {
		t.Errorf("a template of an invoice without one: %s", code)
	}
	if n := len(s.Emulator.Messages()); n != 1 {
		t.Errorf("Twilio has %d messages", n)
	}
	s.clean()
}

func TestAMessageForLaterCanBeTakenBack(t *testing.T) { // R160
	s := newStory(t)
	s.Number(officeNumber, nil)
	later := s.Clock.Now().Add(5 * time.Minute)
	one := s.sendAs(s.Admin, demo.Vars{"to": customer, "body": "one", "sendAt": later}, nil)
	two := s.sendAs(s.Admin, demo.Vars{"to": customer, "body": "two", "sendAt": later}, nil)
	if m := s.sent(one); m.Status != "SCHEDULED" || m.ScheduledAt == nil || !m.ScheduledAt.Equal(later.Truncate(time.Microsecond)) {
		t.Errorf("it is %+v", m)
	}
	cancel := `mutation($m: ID!) { messageCancel(id: $m) { message { id status } userErrors { code field message } } }`
	for range 2 { // again succeeds
		s.Do(cancel, demo.Vars{"m": one}, nil)
	}
	s.PassSettling(6*time.Minute, 30*time.Second)
	if a, b := s.sent(one), s.sent(two); a.Status != "CANCELED" || b.Status != "DELIVERED" {
		t.Errorf("they are %s and %s", a.Status, b.Status)
	}
	if code := s.try(s.Admin, cancel, demo.Vars{"m": two}, nil); code != "CONFLICT" {
		t.Errorf("a delivered one is taken back: %s", code)
	}
	if code := s.try(s.Admin, sendMutation, demo.Vars{"i": demo.Vars{"to": customer, "body": "x", "sendAt": s.Clock.Now()}}, nil); code != "INVALID" {
		t.Errorf("a time that is now: %s", code)
	}
}

func TestAFailedMessageIsRetriedOnce(t *testing.T) { // R159, R160, R220
	s := newStory(t)
	s.Number(officeNumber, nil)
	s.Emulator.Behave(customer, emulator.PhoneBehaviour{MessageStatus: "undelivered", MessageError: 30003})
	id := s.sendAs(s.Admin, demo.Vars{"to": customer, "body": "Hello"}, nil)
	s.Settle()
	if m := s.sent(id); m.Status != "UNDELIVERED" || !m.IsRetryable || !strings.Contains(m.StatusText, "phone cannot be reached") {
		t.Fatalf("it is %+v", m)
	}
	s.Emulator.Behave(customer, emulator.PhoneBehaviour{})
	retry := `mutation($m: ID!) { messageRetry(id: $m) { message { id retryOf { id } } userErrors { code field message } } }`
	var a, b struct {
		MessageRetry struct {
			Message struct {
				ID      string
				RetryOf ref
			}
		}
	}
	s.Do(retry, demo.Vars{"m": id}, &a)
	s.Do(retry, demo.Vars{"m": id}, &b)
	s.Settle()
	again := a.MessageRetry.Message
	if again.ID != b.MessageRetry.Message.ID || again.RetryOf.ID != id || s.sent(again.ID).Status != "DELIVERED" || len(s.Emulator.Messages()) != 2 {
		t.Errorf("retried as %+v and %+v", again, b.MessageRetry.Message)
	}
	if code := s.try(s.Admin, retry, demo.Vars{"m": again.ID}, nil); code != "CONFLICT" {
		t.Errorf("a delivered one is sent again: %s", code)
	}
	var log struct {
		MessageTwilioLog *struct {
			Sid, Status string
			ErrorCode   *int
			Differences []string
		}
	}
	s.Do(`query($m: ID!) { messageTwilioLog(id: $m) { sid status errorCode differences } }`, demo.Vars{"m": id}, &log)
	if x := log.MessageTwilioLog; x == nil || x.Status != "undelivered" || number(x.ErrorCode) != 30003 || len(x.Differences) != 0 {
		t.Errorf("Twilio's log says %+v", x)
	}
}

func TestATestMessageTriesTheChoiceOfTheSender(t *testing.T) { // R085
	s := newStory(t)
	s.Number(officeNumber, nil)
	test := `mutation($i: TestMessageInput!, $k: String) { testMessage(input: $i, idempotencyKey: $k) { message { id body sender { e164 reason } } problems { code isBlocking message } userErrors { code field message } } }`
	var out struct {
		TestMessage struct {
			Message  *sentView
			Problems []struct {
				Code       string
				IsBlocking bool
			}
		}
	}
	for range 2 {
		s.Do(test, demo.Vars{"i": demo.Vars{"to": customer}, "k": "once"}, &out)
	}
	s.Settle()
	if m := out.TestMessage.Message; m == nil || !strings.Contains(m.Body, officeNumber) || len(s.Emulator.Messages()) != 1 {
		t.Errorf("the test is %+v", out.TestMessage)
	}
	ann := s.User("ann", "OFFICE", "")
	if code := s.try(ann.Client, test, demo.Vars{"i": demo.Vars{"to": customer}}, nil); code != "FORBIDDEN" {
		t.Errorf("the office tests numbers: %s", code)
	}
}

func TestAPreviewOfTenThousandIsAnswered(t *testing.T) { // R135, R155, R156, R174
	s := newStory(t)
	s.Number(officeNumber, nil)
	s.contact("CUSTOMER", "Carol King", customer, nil)
	const n = 10_000
	list := make([]demo.Vars, n)
	for i := range list {
		list[i] = demo.Vars{"to": fmt.Sprintf("+614915%05d", 70000+i)}
	}
	list[0], list[7] = demo.Vars{"to": customer}, demo.Vars{"to": "nonsense"}
	var out struct {
		MessagePreview struct {
			RecipientCount, SendableCount, Segments, UnpricedCount int
			EstimatedCosts                                         []struct{ Amount, Currency string }
			Problems                                               []struct {
				Code  string
				Count int
			}
			Recipients []struct {
				Index              int
				Given, Body        string
				To                 *string
				IsSendable         bool
				Contact            *ref
				Sender             *struct{ Reason string }
				Problems           []struct{ Code, Message string }
				Encoding, Country  *string
				EstimatedCost      *struct{ Amount string }
				SenderName, Record *string
			}
		}
	}
	began := time.Now()
	s.Do(`query($i: MessagePreviewInput!) { messagePreview(input: $i) { recipientCount sendableCount segments unpricedCount estimatedCosts { amount currency }
		problems { code count } recipients(first: 8) { index given body to isSendable contact { id } sender { reason } problems { code message } } } }`,
		demo.Vars{"i": demo.Vars{"audience": demo.Vars{"recipients": list}, "body": "hi {{contact.firstName|there}}"}}, &out)
	t.Logf("answered after %v", time.Since(began))
	p := out.MessagePreview
	if p.RecipientCount != n || p.SendableCount != n-1 || p.Segments != n-1 || len(p.EstimatedCosts)+p.UnpricedCount == 0 {
		t.Errorf("%+v", p)
	}
	if len(p.Recipients) != 8 || p.Recipients[0].Body != "hi Carol" || p.Recipients[0].Contact == nil || p.Recipients[1].Body != "hi there" || p.Recipients[7].To != nil ||
		p.Recipients[7].IsSendable || p.Recipients[7].Problems[0].Code != "INVALID_NUMBER" || p.Recipients[0].Sender == nil {
		t.Errorf("%+v", p.Recipients)
	}
	if !slices.ContainsFunc(p.Problems, func(x struct {
		Code  string
		Count int
	}) bool {
		return x.Code == "INVALID_NUMBER" && x.Count == 1
	}) {
		t.Errorf("%+v", p.Problems)
	}
	if len(s.Emulator.Messages()) != 0 {
		t.Error("a preview sent something")
	}
}
