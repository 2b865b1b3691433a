package message_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/route"
)

func TestASentMessageIsDelivered(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	bob := s.contact("Bob", mobile)
	m := s.send(s.admin, message.Send{ContactID: bob.ID, Body: "on our way \n"})
	if m.Status != message.Pending || m.Body != "on our way" || m.FromNumber != office || m.ToNumber != mobile || *m.SenderReason != route.SameCountry || m.ContactID != bob.ID {
		t.Errorf("kept as %+v", m)
	}
	s.drain()
	if m = s.get(m); m.Status != message.Queued || m.TwilioSID == nil || *m.NumSegments != 1 {
		t.Fatalf("handed over: %+v", m)
	}
	s.must(s.twilio.Advance(s.ctx, 2*time.Second))
	m = s.get(m)
	if m.Status != message.Delivered || m.SentAt == nil || m.DeliveredAt == nil || !m.DeliveredAt.After(*m.SentAt) || m.DueAt != nil {
		t.Errorf("delivered: %+v", m)
	}
	// Written, handed over, sent, delivered.
	if n := s.events(m.ID); n != 4 || m.Version != 4 {
		t.Errorf("%d events, version %d", n, m.Version)
	}
	c, err := s.contacts.Get(s.ctx, s.admin, bob.ID) // R287
	s.must(err)
	if c.LastContactedAt == nil || !c.LastContactedAt.Equal(start) || c.LastPhoneNumberID != s.office {
		t.Errorf("the contact was contacted at %v from %s", c.LastContactedAt, c.LastPhoneNumberID)
	}
	s.pass(time.Hour, 10*time.Minute) // nothing is left to do but to learn the price (R174)
	if got := s.get(m); got.Version != m.Version+1 || got.Cost() == nil || got.EstimatedCost() == nil {
		t.Errorf("changed afterwards: %+v", got)
	}
}

func TestAReasonIsKeptForWhatDoesNotArrive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why    string
		phone  emulator.PhoneBehaviour
		refuse int
		want   message.Status
		code   int
		words  string
	}{
		"undelivered": {"R160: the carrier's reason", emulator.PhoneBehaviour{MessageStatus: "undelivered", MessageError: 30003}, 0, message.Undelivered, 30003, "phone"},
		"failed":      {"T13: unregistered 10DLC in plain words", emulator.PhoneBehaviour{MessageStatus: "failed", MessageError: 30034}, 0, message.Failed, 30034, "10DLC"},
		"refused":     {"Twilio says no at once", emulator.PhoneBehaviour{}, 21408, message.Failed, 21408, "country"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.twilio.Behave(mobile, c.phone)
			if c.refuse != 0 {
				s.twilio.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: emulator.FateRefuse, Code: c.refuse})
			}
			m := s.send(s.admin, message.Send{To: mobile, Body: "hello"})
			s.drain()
			s.pass(4*time.Second, time.Second)
			m = s.get(m)
			if m.Status != c.want || m.ErrorCode == nil || *m.ErrorCode != c.code || m.ErrorReason == nil || !strings.Contains(*m.ErrorReason, c.words) || m.DueAt != nil {
				t.Errorf("%s: %s %v %v", c.why, m.Status, m.ErrorCode, deref(m.ErrorReason))
			}
		})
	}
}

func deref(s *string) string {
	if s == nil {
		return "nothing"
	}
	return *s
}

func TestBadMessagesAreRefusedBeforeTheyAreKept(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob")
	amy := s.contact("Amy", other)
	s.receive(mobile, office, "hello")
	s.receive("Acme", office, "our offer")
	threads, err := s.svc.Threads(s.ctx, s.admin, message.Filter{}, db.Page{})
	s.must(err)
	thread := map[string]id.ID{}
	for _, x := range threads.Nodes {
		thread[x.TheirNumber] = x.ID
	}
	off := s.number(s.org, s.connection, "+61255500002", "AU", s.north, false)
	s.exec(`UPDATE phone_number SET is_enabled = false WHERE id = $1`, off)
	voice := s.number(s.org, s.connection, "+61255500003", "AU", s.north, false)
	s.exec(`UPDATE phone_number SET can_sms = false WHERE id = $1`, voice)
	calls := s.number(s.org, s.connection, "+61255500004", "AU", s.north, false)
	s.exec(`UPDATE phone_number SET use_for_messages = false WHERE id = $1`, calls)

	for name, c := range map[string]struct {
		why   string
		in    message.Send
		code  errs.Code
		field string
	}{
		"no text":          {"nothing to send", message.Send{To: mobile, Body: " \n"}, errs.Required, "input.body"},
		"NUL":              {"no phone shows it and PostgreSQL cannot keep it", message.Send{To: mobile, Body: "a\x00b"}, errs.Invalid, "input.body"},
		"broken UTF-8":     {"likewise", message.Send{To: mobile, Body: "a\xff"}, errs.Invalid, "input.body"},
		"1601 characters":  {"twilio error 21617", message.Send{To: mobile, Body: strings.Repeat("ä", 1601)}, errs.Invalid, "input.body"},
		"to nobody":        {"", message.Send{Body: "x"}, errs.Required, "input.to"},
		"no number":        {"", message.Send{To: "bob", Body: "x"}, errs.Invalid, "input.to"},
		"to ourselves":     {"twilio error 21266", message.Send{To: office, PhoneNumberID: s.office, Body: "x"}, errs.Invalid, "input.to"},
		"thread and to":    {"which of them?", message.Send{ThreadID: thread[mobile], To: other, Body: "x"}, errs.Invalid, "input.threadId"},
		"thread and from":  {"an answer goes from the thread's own number", message.Send{ThreadID: thread[mobile], PhoneNumberID: s.usa, Body: "x"}, errs.Invalid, "input.phoneNumberId"},
		"unknown thread":   {"", message.Send{ThreadID: id.New(id.Thread), Body: "x"}, errs.NotFound, "input.threadId"},
		"wrong kind of id": {"", message.Send{ThreadID: amy.ID, Body: "x"}, errs.NotFound, "input.threadId"},
		"one-way sender":   {"R151: a name takes no replies", message.Send{ThreadID: thread["Acme"], Body: "x"}, errs.Conflict, "input.threadId"},
		"unknown contact":  {"", message.Send{ContactID: id.New(id.Contact), Body: "x"}, errs.NotFound, "input.contactId"},
		"no phone":         {"", message.Send{ContactID: bob.ID, Body: "x"}, errs.Conflict, "input.contactId"},
		"unknown record":   {"", message.Send{To: mobile, RecordID: id.New(id.Record), Body: "x"}, errs.NotFound, "input.recordId"},
		"unknown campaign": {"", message.Send{To: mobile, CampaignID: id.New(id.Campaign), Body: "x"}, errs.NotFound, "input.campaignId"},
		"unknown sender":   {"", message.Send{To: mobile, PhoneNumberID: id.New(id.PhoneNumber), Body: "x"}, errs.NotFound, "input.phoneNumberId"},
		"disabled sender":  {"R013", message.Send{To: mobile, PhoneNumberID: off, Body: "x"}, errs.Conflict, "input.phoneNumberId"},
		"voice only":       {"R030", message.Send{To: mobile, PhoneNumberID: voice, Body: "x"}, errs.Conflict, "input.phoneNumberId"},
		"for calls only":   {"R030", message.Send{To: mobile, PhoneNumberID: calls, Body: "x"}, errs.Conflict, "input.phoneNumberId"},
		"key too long":     {"", message.Send{To: mobile, Body: "x", IdempotencyKey: strings.Repeat("k", 300)}, errs.Invalid, "idempotencyKey"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.svc.Send(s.ctx, s.admin, c.in)
			s.wants(err, c.code, c.field)
		})
	}
	s.wants(func() error { _, err := s.svc.Send(s.ctx, access.Actor{}, message.Send{}); return err }(), errs.Unauthenticated, "")
	reader := s.admin
	reader.Permissions = access.SetOf(access.SMSView)
	s.wants(func() error { _, err := s.svc.Send(s.ctx, reader, message.Send{To: mobile, Body: "x"}); return err }(), errs.Forbidden, "")
	if n := s.count(`SELECT count(*) AS n FROM message WHERE direction = 'OUTBOUND'`); n != 0 {
		t.Errorf("%d messages were kept", n)
	}
	if m := s.send(s.admin, message.Send{To: mobile, Body: strings.Repeat("ä", message.MaxBody)}); len(m.Body) != 2*message.MaxBody {
		t.Error("1600 characters were cut")
	}
}

func TestTheSenderIsChosenAndItsReasonKept(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	s.receive("+15557654321", office, "hi from the States")
	threads, err := s.svc.Threads(s.ctx, s.admin, message.Filter{Number: "+15557654321"}, db.Page{})
	s.must(err)
	american := s.contact("Abe", "+15557654322")
	for name, c := range map[string]struct {
		why  string
		who  access.Actor
		in   message.Send
		from string
		want route.NumberChoiceReason
	}{
		"explicit":           {"R080", s.admin, message.Send{To: mobile, PhoneNumberID: s.usa}, usa, route.Explicit},
		"branch and country": {"R081 before R083", s.bea, message.Send{To: mobile}, office, route.BranchAndCountry},
		"country":            {"R083: a US customer sees the US number", s.bea, message.Send{To: "+1 555 765 4321"}, usa, route.SameCountry},
		"contact":            {"the same by contact", s.admin, message.Send{ContactID: american.ID}, usa, route.SameCountry},
		"branch":             {"no number of that country", s.bea, message.Send{To: "+4915112345678"}, office, route.OwnBranch},
		"default":            {"R084", s.admin, message.Send{To: "+4915112345678"}, office, route.DefaultNumber},
		"thread":             {"a reply goes from the thread's own number, whatever the country", s.admin, message.Send{ThreadID: threads.Nodes[0].ID}, office, route.OwnThread},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.Body = "hello"
			m := s.send(c.who, c.in)
			if m.FromNumber != c.from || *m.SenderReason != c.want || string(m.Sender().E164) != c.from {
				t.Errorf("%s: from %s because %s", c.why, m.FromNumber, *m.SenderReason)
			}
		})
	}
}

func TestAMessageCarriesItsRecordAndCampaign(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob", mobile)
	k, err := s.contacts.CreateCampaign(s.ctx, s.admin, contact.CampaignCreate{Name: "Spring"})
	s.must(err)
	r, err := s.contacts.CreateRecord(s.ctx, s.admin, contact.RecordCreate{Kind: contact.RecordInvoice, Title: "Invoice 7", ContactID: bob.ID})
	s.must(err)
	m := s.send(s.admin, message.Send{To: mobile, Body: "your invoice", RecordID: r.ID, CampaignID: k.ID})
	if m.RecordID != r.ID || m.CampaignID != k.ID || m.ContactID != bob.ID {
		t.Errorf("kept %+v", m)
	}
	c, err := s.contacts.Get(s.ctx, s.admin, bob.ID)
	s.must(err)
	if c.LastCampaignID != k.ID || c.LastPhoneNumberID != s.office {
		t.Errorf("R287: the contact has campaign %s and number %s", c.LastCampaignID, c.LastPhoneNumberID)
	}
}

func TestOneKeySendsOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	in := message.Send{To: mobile, Body: "hello", IdempotencyKey: "k1"}
	first := s.send(s.admin, in)
	s.drain()
	if again := s.send(s.admin, in); again.ID != first.ID || again.Status != message.Queued {
		t.Errorf("the same key gave %s, %s", again.ID, again.Status)
	}
	in.Body = "hello there"
	_, err := s.svc.Send(s.ctx, s.admin, in)
	s.wants(err, errs.IdempotencyReused, "idempotencyKey")
	if m := s.send(s.bea, in); m.ID == first.ID {
		t.Error("another person's key is the same")
	}

	// At once: each gets the one message, or is told that it is being made.
	const n = 12
	in = message.Send{To: other, Body: "at once", IdempotencyKey: "k2"}
	ids := make([]id.ID, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			m, err := s.svc.Send(s.ctx, s.admin, in)
			switch {
			case err == nil:
				ids[i] = m.ID
			case !errs.IsCode(err, errs.InProgress):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.drain()
	slices.SortFunc(ids, func(a, b id.ID) int { return strings.Compare(a.String(), b.String()) })
	ids = slices.DeleteFunc(slices.Compact(ids), id.ID.IsZero)
	if len(ids) != 1 {
		t.Errorf("%d messages were made", len(ids))
	}
	if got := slices.DeleteFunc(s.sent(), func(b string) bool { return b != "at once" }); len(got) != 1 {
		t.Errorf("Twilio got %d", len(got))
	}
}

func TestAKeyOutlivesItsContact(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob", mobile)
	in := message.Send{ContactID: bob.ID, Body: "hello", IdempotencyKey: "k1"}
	first := s.send(s.admin, in)
	s.exec(`DELETE FROM contact WHERE id = $1`, bob.ID)
	if again := s.send(s.admin, in); again.ID != first.ID || !again.ContactID.IsZero() {
		t.Errorf("got %+v", again)
	}
}

func TestSendsDoNotStarveOfConnections(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob", mobile)
	// Many more than the pool has connections: a second one taken inside of a
	// transaction would make all of them wait for each other.
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if _, err := s.svc.Send(s.ctx, s.admin, message.Send{ContactID: bob.ID, Body: fmt.Sprint("text ", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.count(`SELECT count(*) AS n FROM message`); n != 40 {
		t.Errorf("%d messages", n)
	}
	if n := s.count(`SELECT count(*) AS n FROM sms_thread`); n != 1 {
		t.Errorf("%d threads", n)
	}
}

func TestNothingIsKeptWhenSendingFailsHalfWay(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	// The campaign is looked for when the thread is there already.
	_, err := s.svc.Send(s.ctx, s.admin, message.Send{To: mobile, CampaignID: id.New(id.Campaign), Body: "x", IdempotencyKey: "k"})
	s.wants(err, errs.NotFound, "input.campaignId")
	if n := s.count(`SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM sms_thread) + (SELECT count(*) FROM system.river_job) + (SELECT count(*) FROM idempotency_key) AS n`); n != 0 {
		t.Errorf("%d rows were left", n)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := s.svc.Send(ctx, s.admin, message.Send{To: mobile, Body: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
