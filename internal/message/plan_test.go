package message_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
)

// jpeg is the beginning of a picture; what follows is nobody's business here.
const jpeg = "\xff\xd8\xff\xe0\x00\x10JFIF\x00 a picture"

// upload keeps a file of the size.
func (s *stage) upload(who access.Actor, head string, size int) id.ID {
	s.Helper()
	body := head
	if n := size - len(head); n > 0 {
		body += strings.Repeat("x", n)
	}
	m, err := s.svc.Upload(s.ctx, who, "file", strings.NewReader(body))
	s.must(err)
	return m.ID
}

func (s *stage) record(kind contact.RecordKind, about id.ID, more contact.RecordUpdate) *contact.Record {
	s.Helper()
	r, err := s.contacts.CreateRecord(s.ctx, s.admin, contact.RecordCreate{Kind: kind, Title: "The " + string(kind), ContactID: about, More: more,
		AssignedUserID: more.AssignedUserID.Value, StartsAt: given(more.StartsAt)})
	s.must(err)
	return r
}

func given(f patch.Field[time.Time]) *time.Time {
	if !f.Has() {
		return nil
	}
	return &f.Value
}

func (s *stage) template(body string) id.ID {
	s.Helper()
	t := id.New(id.Template)
	s.exec(`INSERT INTO message_template (organization_id, id, kind, name, body, purpose, updated_at) VALUES ($1, $2, 'TEMPLATE', $3, $4, 'OTHER', $5)`,
		s.org, t, t.String(), body, start)
	return t
}

func TestWhatAPreviewSaysIsWhatThenHappens(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	n := 0
	fresh := func() string { n++; return fmt.Sprintf("+6149157%04d", 2000+n) }
	american := func() string { n++; return fmt.Sprintf("+1212555%04d", 1000+n) }

	off := s.number(s.org, s.connection, "+61255500002", "AU", s.north, false)
	s.exec(`UPDATE phone_number SET is_enabled = false WHERE id = $1`, off)
	forbidden := s.number(s.org, s.connection, "+61255500003", "NZ", s.north, false)
	s.exec(`INSERT INTO phone_number_user (organization_id, phone_number_id, user_id, sms, mms, updated_at) VALUES ($1, $2, $3, false, true, $4)`,
		s.org, forbidden, s.admin.UserID, start)
	noPictures := s.number(s.org, s.connection, "+61255500004", "NZ", s.north, false)
	s.exec(`INSERT INTO phone_number_user (organization_id, phone_number_id, user_id, sms, mms, updated_at) VALUES ($1, $2, $3, true, false, $4)`,
		s.org, noPictures, s.admin.UserID, start)
	textOnly := s.number(s.org, s.connection, "+15550001112", "US", s.south, false)
	s.exec(`UPDATE phone_number SET can_mms = false WHERE id = $1`, textOnly)
	named := s.number(s.org, s.connection, "+61255500005", "AU", s.north, false)
	s.exec(`UPDATE phone_number SET sender_name = 'Acme' WHERE id = $1`, named)
	s.exec(`INSERT INTO connection_country (organization_id, connection_id, country, may_message, checked_at) VALUES ($1, $2, 'FR', false, $3)`, s.org, s.connection, start)
	s.exec(`INSERT INTO message_rate (organization_id, country, kind, micros, currency, seen_at) VALUES ($1, 'AU', 'SMS', 40000, 'AUD', $2)`, s.org, start)

	s.exec(`UPDATE phone_number SET messaging_checked_at = $1`, start)

	bob := s.contact("Bob Brown", fresh())
	nobody := s.contact("Nobody")
	invoice := s.record(contact.RecordInvoice, bob.ID, contact.RecordUpdate{Amount: patch.To(contact.Money{AmountMinor: 12000, Currency: "AUD"})})
	booking := s.record(contact.RecordBooking, bob.ID, contact.RecordUpdate{StartsAt: patch.To(start.Add(48 * time.Hour)), AssignedUserID: patch.To(s.owen.UserID)})
	lonely := s.record(contact.RecordQuote, id.ID{}, contact.RecordUpdate{})
	long, err := s.contacts.CreateRecord(s.ctx, s.admin, contact.RecordCreate{Kind: contact.RecordQuote, Title: strings.Repeat("t", 150), ContactID: bob.ID})
	s.must(err)
	bracy := s.contact("{{business.name}}", fresh())
	stopped := fresh()
	s.receive(stopped, office, "STOP")
	answered := fresh()
	s.receive(answered, usa, "hello")
	threads, err := s.svc.Threads(s.ctx, s.admin, message.Filter{}, db.Page{})
	s.must(err)
	i := slices.IndexFunc(threads.Nodes, func(x *message.Thread) bool { return x.TheirNumber == answered })
	thread := threads.Nodes[i].ID

	clerk := s.admin
	clerk.Permissions = access.SetOf(access.SMSSend, access.SMSView, access.ContactView)
	driver := s.owen
	driver.IsFieldworker, driver.Switched = true, []access.FieldworkerOption{access.RestrictBeforeStart}
	machine := s.admin
	machine.UserID, machine.APIKeyID = id.ID{}, id.New(id.APIKey)

	type M = message.Send
	cases := map[string]struct {
		why  string
		who  access.Actor
		in   M
		want message.ProblemCode // the first that blocks
		also []message.ProblemCode
		body string // as the preview shows it, of one that is sent
	}{
		"a number":              {"goes out as it is", s.admin, M{To: fresh(), Body: "hello"}, "", nil, "hello"},
		"as typed":              {"R018: the home country", s.admin, M{To: "0491 570 156", Body: "hello"}, "", nil, "hello"},
		"no number":             {"", s.admin, M{To: "bob", Body: "hello"}, message.InvalidNumber, nil, ""},
		"contact":               {"their primary phone, with their first name", s.admin, M{ContactID: bob.ID, Body: "hi {{contact.firstName}}"}, "", nil, "hi Bob"},
		"contact without phone": {"", s.admin, M{ContactID: nobody.ID, Body: "hello"}, message.NoPhoneNumber, nil, ""},
		"contact of others":     {"R243", s.owen, M{ContactID: bracy.ID, Body: "hello"}, message.NotFound, nil, ""},
		"record":                {"R134: its contact", s.admin, M{RecordID: invoice.ID, Body: "{{record.amount}} please"}, "", nil, "120.00 AUD please"},
		"record without one":    {"", s.admin, M{RecordID: lonely.ID, Body: "hello"}, message.NoPhoneNumber, nil, ""},
		"unknown record":        {"", s.admin, M{To: fresh(), RecordID: id.New(id.Record), Body: "hello"}, message.NotFound, nil, ""},
		"invoice by a clerk":    {"R158", clerk, M{RecordID: invoice.ID, Body: "hello"}, message.Restricted, nil, ""},
		"before the booking":    {"R242", driver, M{RecordID: booking.ID, Body: "hello"}, message.Restricted, nil, ""},
		"by its contact":        {"R242: the same", driver, M{ContactID: bob.ID, Body: "hello"}, message.Restricted, nil, ""},
		"opted out":             {"R155", s.admin, M{To: stopped, PhoneNumberID: s.office, Body: "hello"}, message.OptedOutProblem, nil, ""},
		"disabled sender":       {"R013", s.admin, M{To: fresh(), PhoneNumberID: off, Body: "hello"}, message.SenderUnusable, nil, ""},
		"sender switched off":   {"R026", s.admin, M{To: fresh(), PhoneNumberID: forbidden, Body: "hello"}, message.SenderForbidden, nil, ""},
		"a machine's":           {"R026 is about people", machine, M{To: fresh(), PhoneNumberID: forbidden, Body: "hello"}, "", nil, "hello"},
		"files switched off":    {"R026: MMS has its own switch", s.admin, M{To: fresh(), PhoneNumberID: noPictures, Body: "look", MediaIDs: []id.ID{s.upload(s.admin, jpeg, 0)}}, message.SenderForbidden, nil, ""},
		"texts are on":          {"likewise", s.admin, M{To: fresh(), PhoneNumberID: noPictures, Body: "look"}, "", nil, "look"},
		"to ourselves":          {"", s.admin, M{To: office, PhoneNumberID: s.office, Body: "hello"}, message.SameNumber, nil, ""},
		"closed country":        {"R149", s.admin, M{To: "+33612345678", Body: "hello"}, message.CountryNotAllowed, nil, ""},
		"landline":              {"no text arrives there", s.admin, M{To: "+61255501234", Body: "hello"}, message.NotMobile, nil, ""},
		"missing field":         {"R163", s.admin, M{ContactID: bob.ID, Body: "for {{contact.company}}"}, message.MissingField, nil, ""},
		"unknown field":         {"R163: with what was meant", s.admin, M{ContactID: bob.ID, Body: "{{contact.frstName}}"}, message.MissingField, nil, ""},
		"fallback":              {"", s.admin, M{ContactID: bob.ID, Body: "for {{contact.company|you}}"}, "", nil, "for you"},
		"a name like a field":   {"text of a contact is never expanded", s.admin, M{ContactID: bracy.ID, Body: "hi {{contact.name}}"}, "", nil, "hi {{business.name}}"},
		"template":              {"R161", s.admin, M{ContactID: bob.ID, TemplateID: s.template("{{user.firstName}} of {{business.name}}")}, "", nil, "ann of Acme"},
		"too long when merged":  {"", s.admin, M{RecordID: long.ID, Body: strings.Repeat("a", 1500) + "{{record.title}}"}, message.TooLong, nil, ""},
		"nothing when merged":   {"", s.admin, M{ContactID: bob.ID, Body: "{{contact.company|}}"}, message.EmptyMessage, nil, ""},
		"emoji":                 {"R156", s.admin, M{To: fresh(), Body: strings.Repeat("a", 80) + "🙂"}, "", []message.ProblemCode{message.UnusualCharacters}, strings.Repeat("a", 80) + "🙂"},
		"to America":            {"R153: not registered", s.admin, M{To: american(), Body: "hello"}, "", []message.ProblemCode{message.NotRegistered}, "hello"},
		"picture to America":    {"R143: from a number with MMS", s.admin, M{To: american(), MediaIDs: []id.ID{s.upload(s.admin, jpeg, 0)}}, "", []message.ProblemCode{message.NotRegistered}, ""},
		"no MMS":                {"R143", s.admin, M{To: american(), PhoneNumberID: textOnly, MediaIDs: []id.ID{s.upload(s.admin, jpeg, 0)}}, message.MMSUnsupported, nil, ""},
		"large file":            {"R144", s.admin, M{To: american(), MediaIDs: []id.ID{s.upload(s.admin, "%PDF-1.4\n", 700_000)}}, message.MediaTooLarge, nil, ""},
		"webp":                  {"R144: phones do not take it", s.admin, M{To: american(), MediaIDs: []id.ID{s.upload(s.admin, "RIFF\x24\x00\x00\x00WEBPVP8 ", 60)}}, message.MediaKind, nil, ""},
		"unpriced":              {"R174: nobody knows", s.admin, M{To: "+6791234567", Body: "hello"}, "", []message.ProblemCode{message.Unpriced}, "hello"},
		"sender name":           {"R151: one-way", s.admin, M{To: "+491701234567", PhoneNumberID: named, UseSenderName: true, Body: "hello"}, "", []message.ProblemCode{message.OneWaySender}, "hello"},
		"name in America":       {"R150: the number instead", s.admin, M{To: american(), PhoneNumberID: named, UseSenderName: true, Body: "hello"}, "", []message.ProblemCode{message.NameUnsupported}, "hello"},
		"answer":                {"from the thread's own number", s.admin, M{ThreadID: thread, Body: "hello"}, "", nil, "hello"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := message.Draft{ThreadID: c.in.ThreadID, Body: c.in.Body, TemplateID: c.in.TemplateID, MediaIDs: c.in.MediaIDs, PhoneNumberID: c.in.PhoneNumberID, UseSenderName: c.in.UseSenderName}
			if c.in.ThreadID.IsZero() {
				d.Recipients = []message.Recipient{{To: c.in.To, ContactID: c.in.ContactID, RecordID: c.in.RecordID}}
			}
			p, err := s.svc.Preview(s.ctx, c.who, d)
			if err != nil {
				t.Fatal(err)
			}
			said := p.All[0]
			var first message.ProblemCode
			var warned []message.ProblemCode
			for _, x := range said.Problems {
				if x.Message == "" {
					t.Errorf("%s says nothing", x.Code)
				}
				switch {
				case !x.IsBlocking:
					warned = append(warned, x.Code)
				case first == "":
					first = x.Code
				}
			}
			if first != c.want || first == "" && said.Body != c.body {
				t.Errorf("%s: the preview says %q and %+v", c.why, said.Body, said.Problems)
			}
			for _, w := range c.also {
				if !slices.Contains(warned, w) {
					t.Errorf("%s: the preview warns of %v", c.why, warned)
				}
			}
			m, err := s.svc.Send(s.ctx, c.who, c.in)
			var refused *message.Refusal
			if errors.As(err, &refused) != (first != "") || refused != nil && refused.Problem.Code != first {
				t.Fatalf("the preview says %q, sending %v", first, err)
			}
			if err != nil {
				if e, ok := errs.As(err); !ok || len(e.Field) != 2 || p.SendableCount != 0 {
					t.Errorf("%v at %v, %d sendable", err, e.Field, p.SendableCount)
				}
				return
			}
			var after []message.ProblemCode
			for _, x := range m.Warnings {
				after = append(after, x.Code)
			}
			if m.Body != said.Body || m.ToNumber != string(said.E164) || m.FromNumber != string(said.Sender.E164) || *m.SenderReason != said.Sender.Reason ||
				*m.Encoding != said.Encoding || deref(m.SenderName) != deref(said.SenderName) || m.MediaCount != len(c.in.MediaIDs) || p.SendableCount != 1 {
				t.Errorf("said %+v\nsent %+v", said, m)
			}
			if diff := cmp.Diff(said.EstimatedCost, m.EstimatedCost()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(warned, after); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPreviewOfMany(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	const n = message.MaxRecipients
	bob := s.contact("Bob Brown", "+61491570006")
	d := message.Draft{Body: "hi {{contact.firstName|there}}, it is {{business.name}}"}
	for i := range n {
		to := message.Recipient{To: fmt.Sprintf("+614915%05d", 70000+i)}
		switch i {
		case 3:
			to = message.Recipient{To: "0491 570 001"} // the same as the second, as typed
		case 5:
			to = message.Recipient{To: "nonsense"}
		case 6:
			to = message.Recipient{ContactID: bob.ID}
		}
		d.Recipients = append(d.Recipients, to)
	}
	s.receive("+61491570008", office, "STOP")
	few := d
	few.Recipients = d.Recipients[:10]
	count := func(d message.Draft) (*message.Preview, int, time.Duration) {
		ctx, counter := db.CountStatements(s.ctx)
		began := time.Now()
		p, err := s.svc.Preview(ctx, s.admin, d)
		s.must(err)
		return p, counter.N(), time.Since(began)
	}
	_, small, _ := count(few)
	p, large, took := count(d)
	t.Logf("%d recipients took %v and %d statements", n, took, large)
	if small != large || large > 20 {
		t.Errorf("10 recipients cost %d statements, %d cost %d", small, n, large)
	}
	if p.RecipientCount() != n || p.SendableCount != n-3 || p.All[6].Body != "hi Bob, it is Acme" || p.All[0].Body != "hi there, it is Acme" {
		t.Errorf("%d of %d, %q, %q", p.SendableCount, p.RecipientCount(), p.All[6].Body, p.All[0].Body)
	}
	want := []message.ProblemCount{{Code: message.Duplicate, IsBlocking: true, Count: 1}, {Code: message.InvalidNumber, IsBlocking: true, Count: 1}, {Code: message.OptedOutProblem, IsBlocking: true, Count: 1}}
	if diff := cmp.Diff(want, p.Problems); diff != "" {
		t.Error(diff)
	}
	if len(p.EstimatedCosts) != 1 || p.EstimatedCosts[0].Micros != 51500*int64(n-3) || p.Segments != n-3 {
		t.Errorf("%v for %d parts", p.EstimatedCosts, p.Segments)
	}
	d.Recipients = append(d.Recipients, message.Recipient{To: mobile})
	_, err := s.svc.Preview(s.ctx, s.admin, d)
	s.wants(err, errs.LimitReached, "input.audience")
}

func TestOnlyWhoeverIsWrittenToMakesADuplicate(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob", mobile)
	p, err := s.svc.Preview(s.ctx, s.admin, message.Draft{Body: "for {{record.title}}", Recipients: []message.Recipient{
		{ContactID: bob.ID}, {RecordID: s.record(contact.RecordQuote, bob.ID, contact.RecordUpdate{}).ID}, {RecordID: s.record(contact.RecordBooking, bob.ID, contact.RecordUpdate{}).ID}}})
	s.must(err)
	var got []message.ProblemCode
	for _, r := range p.All {
		for _, x := range r.Problems {
			got = append(got, x.Code)
		}
	}
	if diff := cmp.Diff([]message.ProblemCode{message.MissingField, message.Duplicate}, got); diff != "" || p.SendableCount != 1 {
		t.Error(diff)
	}
}

func TestWhoeverOnlyReadsAThreadMergesNoMoreThanAName(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob Brown", mobile)
	s.exec(`UPDATE contact SET email = 'bob@demo.test' WHERE id = $1`, bob.ID)
	in := s.receive(mobile, office, "hello")
	s.exec(`UPDATE sms_thread SET assigned_user_id = $2 WHERE id = $1`, in.ThreadID, s.owen.UserID)
	p, err := s.svc.Preview(s.ctx, s.owen, message.Draft{ThreadID: in.ThreadID, Body: "{{contact.name}} {{contact.email|-}} {{contact.phone|-}}"})
	s.must(err)
	if got := p.All[0].Body; got != "Bob Brown - -" {
		t.Errorf("R243: it says %q", got)
	}
}

func TestAFilterFindsItsRecipients(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob, amy := s.contact("Bob", mobile), s.contact("Amy", other)
	s.contact("Zoe", "+61491570158")
	for _, c := range []id.ID{bob.ID, amy.ID} {
		s.record(contact.RecordQuote, c, contact.RecordUpdate{Status: patch.To("OPEN"), Tags: patch.To([]string{"spring"})})
	}
	s.record(contact.RecordQuote, bob.ID, contact.RecordUpdate{Tags: patch.To([]string{"spring"})})
	p, err := s.svc.Preview(s.ctx, s.admin, message.Draft{Records: &contact.RecordFilter{Kind: contact.RecordQuote, Tag: "spring"}, Body: "{{record.title}} for {{contact.name}}"})
	s.must(err)
	var got []string
	for _, r := range p.All {
		if r.IsSendable() {
			got = append(got, r.Body)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"The QUOTE for Amy", "The QUOTE for Bob"}, got); diff != "" || len(p.All) != 3 || p.Problems[0].Code != message.Duplicate {
		t.Errorf("%s; %+v", diff, p.Problems)
	}
	for name, c := range map[string]struct {
		d     message.Draft
		code  errs.Code
		field string
	}{
		"nobody":            {message.Draft{Body: "x"}, errs.Required, "input.audience"},
		"list and filter":   {message.Draft{Body: "x", Contacts: &contact.Filter{}, Recipients: []message.Recipient{{To: mobile}}}, errs.Invalid, "input.audience"},
		"text and template": {message.Draft{Body: "x", TemplateID: id.New(id.Template), Contacts: &contact.Filter{}}, errs.Invalid, "input.templateId"},
		"unknown template":  {message.Draft{TemplateID: id.New(id.Template), Contacts: &contact.Filter{}}, errs.NotFound, "input.templateId"},
		"unknown sender":    {message.Draft{Body: "x", PhoneNumberID: id.New(id.PhoneNumber), Contacts: &contact.Filter{}}, errs.NotFound, "input.phoneNumberId"},
		"unknown upload":    {message.Draft{MediaIDs: []id.ID{id.New(id.Media)}, Contacts: &contact.Filter{}}, errs.NotFound, "input.mediaIds.0"},
		"half a field":      {message.Draft{Body: "hi {{contact.name", Contacts: &contact.Filter{}}, errs.Invalid, "input.body"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.svc.Preview(s.ctx, s.admin, c.d)
			s.wants(err, c.code, c.field)
		})
	}
}

func TestANumberThatIsHiddenStaysHiddenInAPreview(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob", mobile)
	s.exec(`UPDATE contact SET assigned_user_id = $2 WHERE id = $1`, bob.ID, s.owen.UserID)
	booking := s.record(contact.RecordBooking, bob.ID, contact.RecordUpdate{AssignedUserID: patch.To(s.owen.UserID)})
	preview := func() *message.PreviewRecipient {
		p, err := s.svc.Preview(s.ctx, s.owen, message.Draft{Recipients: []message.Recipient{{ContactID: bob.ID}}, Body: "call {{contact.phone|us}}"})
		s.must(err)
		return p.All[0]
	}
	if r := preview(); r.IsHidden || r.Body != "call "+mobile {
		t.Errorf("%+v", r)
	}
	s.exec(`INSERT INTO masked_pair (organization_id, id, phone_number_id, record_id, contact_id, user_id, customer_number, fieldworker_number, created_at, expires_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, '+61491570999', $8, $9, $8)`, s.org, id.New(id.MaskedPair), s.office, booking.ID, bob.ID, s.owen.UserID, mobile, start, start.Add(time.Hour))
	if r := preview(); !r.IsHidden || r.Given != "Bob" || r.Body != "call us" || !r.IsSendable() {
		t.Errorf("R103: %+v", r)
	}
}

func TestPlansWithinATransactionSendOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	bob := s.contact("Bob", mobile)
	s.exec(`UPDATE contact SET assigned_user_id = $2 WHERE id = $1`, bob.ID, s.bea.UserID)
	var m *message.Message
	s.must(s.in(s.org, func(ctx context.Context, tx *db.Tx) (err error) {
		_, err = s.svc.SendIn(ctx, tx, access.System(s.org), message.Send{To: "nonsense", Body: "x"})
		var refused *message.Refusal
		if !errors.As(err, &refused) || refused.Problem.Code != message.InvalidNumber {
			t.Errorf("got %v", err)
		}
		m, err = s.svc.SendIn(ctx, tx, access.System(s.org), message.Send{ContactID: bob.ID, Body: "{{user.name}} comes at {{event.eta}}", Extra: message.Values{"event.eta": "soon"}})
		return err
	}))
	s.settle()
	if got := s.get(m); got.Status != message.Delivered || got.Body != "bea comes at soon" || !got.UserID.IsZero() {
		t.Errorf("%+v", got)
	}
	if phone.E164(m.ToNumber) != mobile {
		t.Error(m.ToNumber)
	}
}
