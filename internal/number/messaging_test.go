package number_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/patch"
)

const (
	american = "+12025550101"
	tollFree = "+18885550123"
	theirURL = "https://theirs.example.com/in?secret=1"
)

func (s *stage) service(spec emulator.ServiceSpec) string {
	s.Helper()
	sid, err := s.em.AddService(accountSID, spec)
	s.must(err)
	return sid
}

func (s *stage) messaging(n *number.PhoneNumber) *number.Messaging { return n.Messaging(s.admin) }

func word(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func said(p *bool) string {
	switch {
	case p == nil:
		return "unknown"
	case *p:
		return "here"
	}
	return "elsewhere"
}

func TestWhatTwilioKnowsOfSendersComesWithTheImport(t *testing.T) { // R149, R152, R153
	t.Parallel()
	s := setup(t)
	for _, n := range []string{american, "+12025550102", tollFree} {
		s.number(n, emulator.NumberSpec{})
	}
	sid := s.service(emulator.ServiceSpec{Name: "US", Numbers: []string{american}, Campaign: emulator.CampaignInProgress, Fields: map[string]string{"InboundRequestUrl": theirURL}})
	s.must(s.em.SetTollFree(tollFree, emulator.TollFreePending))
	s.must(s.em.SetGeoPermission(accountSID, "NZ", false))
	c, _ := s.connect()
	s.drain()
	all := s.numbers()
	for e164, want := range map[string][4]string{
		office: {"", "", "", "here"}, american: {sid, "IN_PROGRESS", "", "elsewhere"}, "+12025550102": {"", "", "", "elsewhere"}, tollFree: {"", "", "PENDING_REVIEW", "elsewhere"},
	} {
		m := s.messaging(all[e164])
		if got := [4]string{word(m.MessagingServiceSid), word(m.A2pStatus), word(m.TollFreeStatus), said(m.ReceivesHere)}; got != want || m.CheckedAt == nil {
			t.Errorf("%s is %v, want %v", e164, got, want)
		}
	}
	if m := all[american].Messaging(access.Actor{OrganizationID: s.admin.OrganizationID, UserID: s.admin.UserID}); m.MessagingServiceSid != nil || m.A2pStatus == nil {
		t.Errorf("who manages no numbers sees %s", show(m))
	}
	countries, err := s.svc.Countries(db.WithTenant(t.Context(), s.admin.OrganizationID), []id.ID{c.ID})
	s.must(err)
	if list := countries[c.ID]; !slices.Contains(list, "AU") || slices.Contains(list, "NZ") {
		t.Errorf("countries %v", list)
	}
	// Once a day, and a look that finds nothing changes nothing.
	version := s.numbers()[american].Version
	s.clock.Advance(25 * time.Hour)
	s.must(s.runner.RunSweeps(t.Context()))
	s.drain()
	if n := s.numbers()[american]; n.Version != version || !n.MessagingCheckedAt.After(start.Add(24*time.Hour)) {
		t.Errorf("version %d, checked %s", n.Version, n.MessagingCheckedAt)
	}
	s.must(s.em.SetCampaign(sid, emulator.CampaignVerified))
	s.must(s.em.SetGeoPermission(accountSID, "NZ", true))
	n, err := s.svc.RefreshMessaging(t.Context(), s.admin, all[american].ID)
	s.must(err)
	countries, _ = s.svc.Countries(db.WithTenant(t.Context(), s.admin.OrganizationID), []id.ID{c.ID})
	if word(n.A2pStatus) != "VERIFIED" || !slices.Contains(countries[c.ID], "NZ") {
		t.Errorf("after a refresh: %s, %v", word(n.A2pStatus), countries[c.ID])
	}
	// A write of other settings keeps what is known.
	n, _, err = s.update(n.ID, number.Update{Name: patch.To("US")})
	s.must(err)
	if word(n.A2pStatus) != "VERIFIED" || word(n.MessagingServiceSid) != sid {
		t.Errorf("%s", show(n))
	}
}

func TestWhatCannotBeAskedStaysAsItWas(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.number(american, emulator.NumberSpec{})
	sid := s.service(emulator.ServiceSpec{Name: "US", Numbers: []string{american}, Campaign: emulator.CampaignVerified})
	_, _ = s.connect()
	s.drain()
	n := s.numbers()[american]
	s.must(s.em.SetGeoPermission(accountSID, "NZ", false))
	for _, path := range []string{"/Services", "/Services/" + sid + "/PhoneNumbers", "/Usa2p"} {
		s.em.FailNext(emulator.Fault{Method: "GET", Path: path, Fate: emulator.FateRefuse, Code: 20003})
		got, err := s.svc.RefreshMessaging(t.Context(), s.admin, n.ID)
		if err != nil || word(got.MessagingServiceSid) != sid || word(got.A2pStatus) != "VERIFIED" {
			t.Errorf("%s: %s, %v", path, show(got), err)
		}
	}
	if n := s.count(`SELECT count(*) AS n FROM connection_country WHERE country = 'NZ' AND NOT may_message`); n != 1 {
		t.Error("what could be asked was not kept")
	}
}

func TestAServiceIsTakenOverAndGivenBack(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.number(american, emulator.NumberSpec{})
	sid := s.service(emulator.ServiceSpec{Name: "pool", Numbers: []string{office, american}, Fields: map[string]string{"InboundRequestUrl": theirURL, "InboundMethod": "GET"}})
	c, n := s.connect()
	s.drain()
	if w := s.get(n.ID).Warnings(); len(w) != 1 || !strings.Contains(w[0], "theirs.example.com") || strings.Contains(w[0], "secret") {
		t.Errorf("%v", w)
	}
	for range 2 { // again is no harm
		got, err := s.svc.ConnectMessagingService(t.Context(), s.admin, n.ID)
		s.must(err)
		if said(got.ReceivesHere()) != "here" || len(got.Warnings()) != 0 || said(s.numbers()[american].ReceivesHere()) != "here" {
			t.Errorf("%s", show(got))
		}
	}
	f := s.em.ServiceFields(sid)
	if !strings.HasPrefix(f["InboundRequestUrl"], "https://phone.example.test/twilio/"+c.ID.String()+"/") || !strings.Contains(f["InboundRequestUrl"], "/sms#") || f["InboundMethod"] != "POST" {
		t.Errorf("%v", f)
	}
	s.noSecretIn(s.accessKey(n), token)
	// Somebody changes it in the console.
	s.must(s.em.ChangeService(sid, map[string]string{"InboundRequestUrl": "https://else.example.com/"}))
	s.run()
	s.clock.Advance(5 * time.Hour)
	s.must(s.runner.RunSweeps(t.Context()))
	s.drain()
	w := must1(s.svc.Webhooks(t.Context(), s.admin, s.get(n.ID)))
	if len(w.Drift) != 1 || !strings.Contains(w.Drift[0], "else.example.com") || said(s.get(n.ID).ReceivesHere()) != "elsewhere" {
		t.Errorf("%s", show(w))
	}
	got, err := s.svc.ConnectMessagingService(t.Context(), s.admin, n.ID)
	s.must(err)
	if w = must1(s.svc.Webhooks(t.Context(), s.admin, got)); w.IsDrifted || said(got.ReceivesHere()) != "here" {
		t.Errorf("%s", show(w))
	}
	// One of two numbers goes: the service stays here. The last one gives it back.
	_, _, err = s.svc.Disconnect(t.Context(), s.admin, n.ID)
	s.must(err)
	if f := s.em.ServiceFields(sid); !strings.Contains(f["InboundRequestUrl"], c.ID.String()) {
		t.Errorf("%v", f)
	}
	_, _, err = s.svc.DisconnectConnection(t.Context(), s.admin, c.ID)
	s.must(err)
	if f := s.em.ServiceFields(sid); f["InboundRequestUrl"] != "https://else.example.com/" || s.count(`SELECT count(*) AS n FROM messaging_takeover`) != 0 {
		t.Errorf("%v", f)
	}
}

func TestOnlyOurAddressOfAServiceIsGivenBack(t *testing.T) {
	t.Parallel()
	s := setup(t)
	sid := s.service(emulator.ServiceSpec{Name: "pool", Numbers: []string{office}, Fields: map[string]string{"InboundRequestUrl": theirURL}})
	_, n := s.connect()
	_, err := s.svc.ConnectMessagingService(t.Context(), s.admin, n.ID)
	s.must(err)
	s.must(s.em.ChangeService(sid, map[string]string{"InboundRequestUrl": "https://else.example.com/"}))
	_, _, err = s.svc.Disconnect(t.Context(), s.admin, n.ID)
	s.must(err)
	if f := s.em.ServiceFields(sid); f["InboundRequestUrl"] != "https://else.example.com/" {
		t.Errorf("%v", f)
	}
}

func TestAServiceThatAsksTheNumberIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	if _, err := s.svc.ConnectMessagingService(t.Context(), s.admin, n.ID); !errs.IsCode(err, errs.Conflict) {
		t.Errorf("a number in no service: %v", err)
	}
	sid := s.service(emulator.ServiceSpec{Name: "pool", Numbers: []string{office}, Fields: map[string]string{"UseInboundWebhookOnNumber": "true", "InboundRequestUrl": theirURL}})
	got, err := s.svc.ConnectMessagingService(t.Context(), s.admin, n.ID)
	s.must(err)
	if said(got.ReceivesHere()) != "here" || s.em.ServiceFields(sid)["InboundRequestUrl"] != theirURL {
		t.Errorf("%s", show(got))
	}
	nobody := s.admin
	nobody.Permissions = access.SetOf(access.NumberManage)
	if _, err := s.svc.ConnectMessagingService(t.Context(), nobody, n.ID); !errs.IsCode(err, errs.Forbidden) {
		t.Error(err)
	}
	// A write that Twilio refuses leaves nothing behind.
	s.must(s.em.ChangeService(sid, map[string]string{"UseInboundWebhookOnNumber": "false"}))
	s.em.FailNext(emulator.Fault{Method: "POST", Path: "/Services/", Fate: emulator.FateRefuse, Code: 20001})
	if _, err := s.svc.ConnectMessagingService(t.Context(), s.admin, n.ID); !errs.IsCode(err, errs.ProviderRefused) {
		t.Errorf("refused: %v", err)
	}
	if n := s.count(`SELECT count(*) AS n FROM messaging_takeover`); n != 0 {
		t.Errorf("%d services are taken over", n)
	}
}

func TestWhoAnswersMessagesCanAnswerThem(t *testing.T) { // R145, R146, R151
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	org := s.admin.OrganizationID
	may, mute, gone := s.user(org, "may", false, ""), s.user(org, "mute", false, ""), s.user(org, "gone", false, "")
	s.exec(`UPDATE role SET permissions = '{SMS_VIEW,SMS_SEND}' WHERE id IN (SELECT role_id FROM "user" WHERE id = ANY ($1::uuid[]))`, []id.ID{may, gone})
	s.exec(`UPDATE role SET permissions = '{SMS_VIEW}' WHERE id IN (SELECT role_id FROM "user" WHERE id = $1)`, mute)
	s.exec(`UPDATE "user" SET status = 'DISABLED' WHERE id = $1`, gone)
	for why, c := range map[string]struct {
		in    number.MessagingUpdate
		code  errs.Code
		field string
	}{
		"somebody who may":        {number.MessagingUpdate{SmsAssigneeID: patch.To(may)}, "", ""},
		"somebody who only reads": {number.MessagingUpdate{SmsAssigneeID: patch.To(mute)}, errs.Conflict, "smsAssigneeId"},
		"somebody disabled":       {number.MessagingUpdate{MmsAssigneeID: patch.To(gone)}, errs.Conflict, "mmsAssigneeId"},
		"nobody of ours":          {number.MessagingUpdate{SmsAssigneeID: patch.To(id.New(id.User))}, errs.NotFound, "smsAssigneeId"},
		"no user":                 {number.MessagingUpdate{SmsAssigneeID: patch.To(n.ID)}, errs.Invalid, "smsAssigneeId"},
		"a name":                  {number.MessagingUpdate{SenderName: patch.To("Acme 24")}, "", ""},
		"a name of digits":        {number.MessagingUpdate{SenderName: patch.To("24 24")}, errs.Invalid, "senderName"},
		"a long name":             {number.MessagingUpdate{SenderName: patch.To("Acme Limited")}, errs.Invalid, "senderName"},
		"a name with a sign":      {number.MessagingUpdate{SenderName: patch.To("Acmé")}, errs.Invalid, "senderName"},
		"a name that ends open":   {number.MessagingUpdate{SenderName: patch.To("Acme ")}, errs.Invalid, "senderName"},
		"too slow":                {number.MessagingUpdate{MessagesPerSecond: patch.To(0)}, errs.Invalid, "messagesPerSecond"},
		"too fast":                {number.MessagingUpdate{MessagesPerSecond: patch.To(1001)}, errs.Invalid, "messagesPerSecond"},
		"fast":                    {number.MessagingUpdate{MessagesPerSecond: patch.To(1000)}, "", ""},
	} {
		_, err := s.svc.UpdateMessaging(t.Context(), s.admin, n.ID, c.in)
		e, _ := errs.As(err)
		if c.code == "" && err != nil || c.code != "" && (e == nil || e.Code != c.code || strings.Join(e.Field, ".") != c.field) {
			t.Errorf("%s: %v", why, err)
		}
	}
	for _, who := range []patch.Field[id.ID]{patch.To(may), patch.Clear[id.ID]()} { // somebody, and then nobody
		_, err := s.svc.UpdateMessaging(t.Context(), s.admin, n.ID, number.MessagingUpdate{MmsAssigneeID: who})
		s.must(err)
	}
	got := s.get(n.ID)
	if m := s.messaging(got); m.SmsAssigneeID != may || !m.MmsAssigneeID.IsZero() || word(m.SenderName) != "Acme 24" || m.Rate == nil || *m.Rate != 1000 {
		t.Errorf("%s", show(m))
	}
	_, err := s.svc.UpdateMessaging(t.Context(), access.Actor{OrganizationID: org, UserID: may}, n.ID, number.MessagingUpdate{})
	if !errs.IsCode(err, errs.Forbidden) {
		t.Error(err)
	}
	if n := s.count(`SELECT count(*) AS n FROM audit_entry WHERE action = 'number.messaging'`); n != 5 {
		t.Errorf("%d audit entries", n)
	}
}
