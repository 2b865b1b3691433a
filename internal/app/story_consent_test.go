package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
)

const poolNumber = "+12025550111"

type consentView struct {
	Number, Note          *string
	Channel, Kind, Source string
	Contact, User         *ref
	PhoneNumber           *struct{ E164 string }
	Message               *struct{ Body string }
}

const consentFields = `number channel kind source note contact { id name } user { id name } phoneNumber { e164 } message { body }`

func (s *story) consents(who *demo.Client, filter demo.Vars) []consentView {
	s.t.Helper()
	var out struct{ Consents struct{ Nodes []consentView } }
	s.Must(who.Do(s.t.Context(), `query($f: ConsentFilter) { consents(first: 50, filter: $f) { nodes { `+consentFields+` } pageInfo { hasNextPage } } }`, demo.Vars{"f": filter}, &out))
	return out.Consents.Nodes
}

type senderView struct {
	SenderKind                                                 string
	SmsAssignee, MmsAssignee                                   *ref
	SenderName, A2pStatus, TollFreeStatus, MessagingServiceSid *string
	MessagesPerSecond                                          int
	ReceivesHere                                               *bool
	Countries, Warnings                                        []string
	CheckedAt                                                  *string
}

const senderFields = `messaging { senderKind smsAssignee { id name } mmsAssignee { id name } senderName messagesPerSecond a2pStatus tollFreeStatus messagingServiceSid receivesHere countries warnings checkedAt }`

func (s *story) sender(line string) senderView {
	s.t.Helper()
	var out struct {
		PhoneNumber struct{ Messaging senderView }
	}
	s.Do(`query($id: ID!) { phoneNumber(id: $id) { `+senderFields+` } }`, demo.Vars{"id": line}, &out)
	return out.PhoneNumber.Messaging
}

func (s *story) refresh(line string) senderView {
	s.t.Helper()
	s.Do(`mutation($id: ID!) { numberMessagingRefresh(id: $id) { phoneNumber { id } userErrors { code message } } }`, demo.Vars{"id": line}, nil)
	return s.sender(line)
}

// pool puts numbers into a Messaging Service and has the server see it.
func (s *story) pool(spec emulator.ServiceSpec, lines ...string) (sid string) {
	s.t.Helper()
	sid, err := s.Emulator.AddService(s.AccountSID, spec)
	s.Must(err)
	for _, line := range lines {
		s.refresh(line)
	}
	return sid
}

func TestStopToOneNumberOfAServiceHoldsForAll(t *testing.T) { // R154, R155
	s := newStory(t)
	office, second := s.Number(officeNumber, nil), s.Number(poolNumber, nil)
	s.pool(emulator.ServiceSpec{Name: "pool", Numbers: []string{officeNumber, poolNumber}, Fields: map[string]string{"UseInboundWebhookOnNumber": "true"}}, office, second)
	carol := s.contact("CUSTOMER", "Carol", customer, nil)
	after := s.cursor()
	s.text(customer, officeNumber, "Stop")
	for _, line := range []string{office, second} {
		if code := s.try(s.Admin, sendMutation, demo.Vars{"i": demo.Vars{"to": customer, "body": "news", "phoneNumberId": line}}, nil); code != "OPTED_OUT" {
			t.Errorf("sending after STOP: %q", code)
		}
	}
	for _, body := range []string{"HELP", "START"} {
		s.Pass(time.Second)
		s.text(customer, poolNumber, body)
	}
	for _, line := range []string{office, second} {
		s.sendAs(s.Admin, demo.Vars{"to": customer, "body": "welcome back", "phoneNumberId": line}, nil)
	}
	s.Settle()
	for _, m := range s.Emulator.Messages() {
		if m.ErrorCode != 0 || m.Direction == "outbound-api" && m.Body != "welcome back" {
			t.Errorf("%s: %d", m.Body, m.ErrorCode)
		}
	}
	var words []string
	for _, c := range s.consents(s.Admin, demo.Vars{"contactId": carol}) {
		words = append(words, c.Kind+" "+word(c.Number)+" to "+c.PhoneNumber.E164+" by "+c.Source+": "+c.Message.Body)
		if c.Contact == nil || c.Contact.ID != carol {
			t.Errorf("%+v", c)
		}
	}
	if want := []string{"OPT_IN " + customer + " to " + poolNumber + " by KEYWORD: START", "HELP " + customer + " to " + poolNumber + " by KEYWORD: HELP", "OPT_OUT " + customer + " to " + officeNumber + " by KEYWORD: Stop"}; !slices.Equal(words, want) {
		t.Errorf("the history is %q", words)
	}
	if told := s.facts(s.Admin, after, "CONSENT_CHANGED"); len(told) != 3 {
		t.Errorf("told %v", types(told))
	}
	s.clean()
}

func TestConsentThatStaffHeardIsKeptAndHolds(t *testing.T) { // R241
	s := newStory(t)
	s.Number(officeNumber, nil)
	fin, dan := s.User("fin", "FIELDWORKER", ""), s.User("dan", "OFFICE", "")
	carol := s.contact("CUSTOMER", "Carol", customer, nil)
	s.text(customer, officeNumber, "Hello")
	const record = `mutation($i: ConsentRecordInput!) { consentRecord(input: $i) { consents { ` + consentFields + ` } userErrors { code field message } } }`
	in := demo.Vars{"contactId": carol, "channel": "SMS", "kind": "OPT_OUT", "note": "on the phone"}
	s.Do(record, demo.Vars{"i": in}, nil)
	if list := s.threads(s.Admin); !list[0].IsOptedOut {
		t.Errorf("after staff's word the thread is %+v", list[0])
	}
	if code := s.try(s.Admin, sendMutation, demo.Vars{"i": demo.Vars{"to": customer, "body": "news"}}, nil); code != "OPTED_OUT" {
		t.Errorf("sending: %q", code)
	}
	in["kind"] = "OPT_IN"
	s.Do(record, demo.Vars{"i": in}, nil)
	s.sendAs(s.Admin, demo.Vars{"to": customer, "body": "welcome back"}, nil)
	s.Settle()
	s.text(customer, officeNumber, "STOP")
	err := s.Admin.Do(t.Context(), record, demo.Vars{"i": in}, nil)
	if !demo.HasCode(err, "CONFLICT") || !strings.Contains(err.Error(), "START") {
		t.Errorf("an opt-in against STOP: %v", err)
	}
	if list := s.consents(dan.Client, nil); len(list) != 3 || word(list[0].Number) != customer || word(list[2].Note) != "on the phone" || name(list[2].User) == "" {
		t.Errorf("the office sees %+v", list)
	}
	if list := s.consents(fin.Client, nil); len(list) != 0 {
		t.Errorf("a fieldworker sees %+v", list)
	}
	var out struct {
		Contact struct {
			Consents struct{ Nodes []consentView }
		}
	}
	s.Do(`query($id: ID!) { contact(id: $id) { consents(first: 2) { nodes { `+consentFields+` } pageInfo { hasNextPage } } } }`, demo.Vars{"id": carol}, &out)
	if len(out.Contact.Consents.Nodes) != 2 {
		t.Errorf("%+v", out)
	}
	s.clean()
}

func TestANumberShowsWhatItMaySendAndWhy(t *testing.T) { // R145, R149, R151-R153
	s := newStory(t)
	line := s.Number(officeNumber, nil)
	s.company(demo.Vars{"defaultCountry": "US"})
	ann, fin := s.User("ann", "OFFICE", ""), s.User("fin", "FIELDWORKER", "")
	s.Must(s.Emulator.SetGeoPermission(s.AccountSID, "US", false))
	sid := s.pool(emulator.ServiceSpec{Name: "US", Numbers: []string{officeNumber}, Campaign: emulator.CampaignInProgress, Fields: map[string]string{"UseInboundWebhookOnNumber": "true"}}, line)
	v := s.sender(line)
	says := func(part string) bool {
		return slices.ContainsFunc(v.Warnings, func(w string) bool { return strings.Contains(w, part) })
	}
	if v.SenderKind != "LONG_CODE" || v.MessagesPerSecond != 1 || word(v.A2pStatus) != "IN_PROGRESS" || word(v.MessagingServiceSid) != sid || v.ReceivesHere == nil || !*v.ReceivesHere ||
		v.CheckedAt == nil || slices.Contains(v.Countries, "US") || !slices.Contains(v.Countries, "AU") || len(v.Warnings) != 2 || !says("A2P 10DLC") || !says("Geo permissions") {
		t.Errorf("%+v", v)
	}
	// What it says is what happens.
	if code := s.try(s.Admin, sendMutation, demo.Vars{"i": demo.Vars{"to": customer, "body": "news"}}, nil); code != "CONFLICT" {
		t.Errorf("a text to a country that is off: %q", code)
	}
	s.Must(s.Emulator.SetGeoPermission(s.AccountSID, "US", true))
	s.Must(s.Emulator.SetCampaign(sid, emulator.CampaignVerified))
	if v = s.refresh(line); len(v.Warnings) != 0 || word(v.A2pStatus) != "VERIFIED" {
		t.Errorf("%+v", v)
	}
	s.sendAs(s.Admin, demo.Vars{"to": "+12025550198", "body": "news"}, nil)
	s.Settle()

	const update = `mutation($id: ID!, $i: NumberMessagingUpdateInput!) { numberMessagingUpdate(id: $id, input: $i) { phoneNumber { ` + senderFields + ` } warnings userErrors { code field message } } }`
	var out struct {
		NumberMessagingUpdate struct {
			PhoneNumber struct{ Messaging senderView }
			Warnings    []string
		}
	}
	s.Do(update, demo.Vars{"id": line, "i": demo.Vars{"smsAssigneeId": ann.ID, "senderName": "Acme", "messagesPerSecond": 5}}, &out)
	v = out.NumberMessagingUpdate.PhoneNumber.Messaging
	if name(v.SmsAssignee) != "ann" || v.MmsAssignee != nil || word(v.SenderName) != "Acme" || v.MessagesPerSecond != 5 || !says("one way") || !says(officeNumber) ||
		!slices.Equal(v.Warnings, out.NumberMessagingUpdate.Warnings) {
		t.Errorf("%+v", out)
	}
	s.Do(update, demo.Vars{"id": line, "i": demo.Vars{"smsAssigneeId": nil, "senderName": nil, "messagesPerSecond": nil}}, nil)
	if v = s.sender(line); v.SmsAssignee != nil || v.SenderName != nil || v.MessagesPerSecond != 1 || len(v.Warnings) != 0 {
		t.Errorf("cleared: %+v", v)
	}
	s.Must(ann.Client.Do(t.Context(), `query($id: ID!) { phoneNumber(id: $id) { `+senderFields+` } }`, demo.Vars{"id": line}, nil))
	if code := s.try(fin.Client, update, demo.Vars{"id": line, "i": demo.Vars{}}, nil); code != "FORBIDDEN" {
		t.Errorf("a fieldworker changes a number: %q", code)
	}
}

func TestAServiceThatIsTakenOverSendsItsTextsHere(t *testing.T) {
	s := newStory(t)
	line := s.Number(officeNumber, nil)
	const theirs = "https://theirs.example.com/in"
	sid := s.pool(emulator.ServiceSpec{Name: "pool", Numbers: []string{officeNumber}, Fields: map[string]string{"InboundRequestUrl": theirs}}, line)
	if v := s.sender(line); v.ReceivesHere == nil || *v.ReceivesHere || !slices.ContainsFunc(v.Warnings, func(w string) bool { return strings.Contains(w, "connect the service") }) {
		t.Errorf("before: %+v", v)
	}
	s.Do(`mutation($id: ID!) { messagingServiceConnect(phoneNumberId: $id) { phoneNumber { id } userErrors { code message } } }`, demo.Vars{"id": line}, nil)
	if v := s.sender(line); v.ReceivesHere == nil || !*v.ReceivesHere {
		t.Errorf("after: %+v", v)
	}
	s.text(customer, officeNumber, "Are you there?")
	if list := s.threads(s.Admin); len(list) != 1 || list[0].Messages.Nodes[0].Body != "Are you there?" {
		t.Errorf("the inbox shows %+v", list)
	}
	// A number of the service that was never imported is answered, too.
	_, err := s.Emulator.AddNumber(s.AccountSID, emulator.NumberSpec{E164: poolNumber})
	s.Must(err)
	other, err := s.Emulator.AddService(s.AccountSID, emulator.ServiceSpec{Name: "rest", Numbers: []string{poolNumber}, Fields: map[string]string{"InboundRequestUrl": s.Emulator.ServiceFields(sid)["InboundRequestUrl"]}})
	s.Must(err)
	s.text(customer, poolNumber, "And there?")
	if list := s.threads(s.Admin); len(list) != 1 || len(list[0].Messages.Nodes) != 1 {
		t.Errorf("a text to a number that is not ours (%s): %+v", other, list)
	}
	// Somebody replies; status callbacks carry the service.
	id := s.sendAs(s.Admin, demo.Vars{"threadId": s.threads(s.Admin)[0].ID, "body": "Yes"}, nil)
	s.Settle()
	if m := s.message(id); m.Status != "DELIVERED" {
		t.Errorf("%+v", m)
	}
	s.clean()
	s.Do(`mutation($id: ID!) { phoneNumberDisconnect(id: $id) { notice userErrors { code } } }`, demo.Vars{"id": line}, nil)
	if f := s.Emulator.ServiceFields(sid); f["InboundRequestUrl"] != theirs {
		t.Errorf("given back: %v", f)
	}
}
