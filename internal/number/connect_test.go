package number_test

import (
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

func TestFourValuesConnectAnAccount(t *testing.T) { // R001, R004, R008, R010, R015, R017
	t.Parallel()
	s := setup(t)
	c, n := s.connect()
	if c.Name != "Main" || !c.IsEnabled || c.AccountType != number.AccountFull || c.AccountStatus != "active" || c.ApplicationSid == nil || c.APIKeySid == nil {
		t.Errorf("%s", show(c))
	}
	if n.E164 != office || !n.IsEnabled || !n.IsDefault || n.Name != "Sydney" || n.Country != "AU" || n.Display() != "(02) 5550 1234" {
		t.Errorf("%s, %q", show(n), n.Display())
	}
	if caps := n.Capabilities(); !caps.Voice || !caps.Sms || !caps.Mms {
		t.Errorf("%+v", caps)
	}
	prefix := "https://phone.example.test/twilio/" + c.ID.String() + "/" + s.accessKey(n) + "/"
	got := s.spec(office)
	for what, x := range map[string][2]string{
		"calls":    {got.VoiceURL, prefix + "voice#rt=5000"},
		"fallback": {got.VoiceFallbackURL, prefix + "voice/fallback#rt=5000"},
		"status":   {got.StatusCallback, prefix + "status#rc=3&rp=all&ct=2000&rt=5000"},
		"messages": {got.SMSURL, prefix + "sms#rc=3&rp=all&ct=2000&rt=5000"},
		"method":   {got.VoiceMethod, "POST"},
	} {
		if x[0] != x[1] {
			t.Errorf("%s: %s, want %s", what, x[0], x[1])
		}
	}
	if !strings.Contains(prefix, "/"+s.accessKey(n)+"/") || len(s.accessKey(n)) < 20 {
		t.Errorf("the access key is guessable: %q", s.accessKey(n))
	}
	w, err := s.svc.Webhooks(t.Context(), s.admin, n)
	s.must(err)
	if w.IsDrifted || *w.PreviousVoiceURL != demoURL || w.VoiceURL != got.VoiceURL || w.CheckedAt == nil {
		t.Errorf("%s", show(w))
	}
	nobody := s.admin
	nobody.Permissions = access.SetOf(access.NumberManage)
	if w, err := s.svc.Webhooks(t.Context(), nobody, n); w != nil || err != nil {
		t.Error("webhooks are shown to those who do not manage connections")
	}
	s.noSecretIn(token, s.accessKey(n))
	if c.ImportStatus != number.ImportRunning { // R012: the others come by themselves
		t.Error(c.ImportStatus)
	}
	for kind, want := range map[string]int{"TWILIO_CONNECTION_UPDATED": 3, "PHONE_NUMBER_UPDATED": 1} {
		if n := s.count(`SELECT count(*) AS n FROM event WHERE kind = $1`, kind); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
}

func TestWrongValuesAreNamed(t *testing.T) { // R002, R003, R004, R007
	t.Parallel()
	s := setup(t)
	second := s.number("+61255501235", emulator.NumberSpec{})
	s.must(s.em.AddAccount(otherSID, newToken, emulator.Full))
	foreign, err := s.em.AddNumber(otherSID, emulator.NumberSpec{E164: "+61255509999"})
	s.must(err)
	for name, tc := range map[string]struct {
		why    string
		change func(*number.ConnectionCreate)
		code   errs.Code
		at     string
		says   string
	}{
		"MG for PN":        {"R003 names the mistake", func(v *number.ConnectionCreate) { v.PhoneNumberSid = "MG" + strings.Repeat("a", 32) }, errs.Invalid, "phoneNumberSid", "Messaging Service"},
		"PN for AC":        {"R002", func(v *number.ConnectionCreate) { v.AccountSid = s.sid }, errs.Invalid, "accountSid", "Phone Number"},
		"no SID":           {"R002", func(v *number.ConnectionCreate) { v.PhoneNumberSid = "" }, errs.Required, "phoneNumberSid", "PN"},
		"national number":  {"R002: full international form", func(v *number.ConnectionCreate) { v.PhoneNumber = "02 5550 1234" }, errs.Invalid, "phoneNumber", "country code"},
		"no token":         {"R001", func(v *number.ConnectionCreate) { v.AuthToken = "" }, errs.Required, "authToken", ""},
		"odd token":        {"R001", func(v *number.ConnectionCreate) { v.AuthToken = "a b" }, errs.Invalid, "authToken", ""},
		"wrong token":      {"R004", func(v *number.ConnectionCreate) { v.AuthToken = newToken }, errs.Invalid, "authToken", "auth token"},
		"another's number": {"R004", func(v *number.ConnectionCreate) { v.PhoneNumberSid = foreign; v.PhoneNumber = "+61255509999" }, errs.Invalid, "phoneNumberSid", "no number"},
		"another number":   {"R004: number and SID agree", func(v *number.ConnectionCreate) { v.PhoneNumberSid = second }, errs.Invalid, "phoneNumber", "another number"},
		"unknown account":  {"R004", func(v *number.ConnectionCreate) { v.AccountSid = "AC" + strings.Repeat("c", 32) }, errs.Invalid, "authToken", ""},
		"no name":          {"R008", func(v *number.ConnectionCreate) { v.Name = "" }, errs.Required, "name", ""},
		"country":          {"R018", func(v *number.ConnectionCreate) { v.DefaultCountry = ptr("Oz") }, errs.Invalid, "defaultCountry", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := s.values()
			tc.change(&v)
			_, _, err := s.svc.CreateConnection(t.Context(), s.admin, v)
			e, ok := errs.As(err)
			if !ok || e.Code != tc.code || len(e.Field) != 1 || e.Field[0] != tc.at || !strings.Contains(e.Message, tc.says) {
				t.Errorf("%s: got %v %v, want %s at %s", tc.why, err, e, tc.code, tc.at)
			}
			if err != nil && (strings.Contains(err.Error(), token) || strings.Contains(err.Error(), newToken)) {
				t.Error("the error holds a token")
			}
		})
	}
	if n := s.count(`SELECT count(*) AS n FROM twilio_connection`); n != 0 {
		t.Errorf("%d connections were half-written", n)
	}
	if s.spec(office).VoiceURL != demoURL {
		t.Error("a refused connection wrote to Twilio")
	}
	nobody := s.admin
	nobody.Permissions = access.SetOf(access.NumberManage)
	if _, _, err := s.svc.CreateConnection(t.Context(), nobody, s.values()); !errs.IsCode(err, errs.Forbidden) { // R005
		t.Error(err)
	}
}

func TestTrialAccountWarns(t *testing.T) { // R019
	t.Parallel()
	s := setup(t)
	s.must(s.em.AddAccount(otherSID, newToken, emulator.Trial))
	sid, err := s.em.AddNumber(otherSID, emulator.NumberSpec{E164: "+14155550100", NoMMS: true})
	s.must(err)
	c, n, err := s.svc.CreateConnection(t.Context(), s.admin, number.ConnectionCreate{
		Name: "Trial", AccountSid: otherSID, AuthToken: newToken, PhoneNumber: "+14155550100", PhoneNumberSid: sid, DefaultCountry: ptr("us"),
	})
	s.must(err)
	if c.AccountType != number.AccountTrial || len(c.Warnings()) != 1 || !strings.Contains(c.Warnings()[0], "verified") || *c.DefaultCountry != "US" {
		t.Errorf("%s %v", show(c), c.Warnings())
	}
	if n.Capabilities().Mms || !n.Capabilities().Voice { // R015, R020
		t.Errorf("%+v", n.Capabilities())
	}
}

func TestSeveralAccountsAndNumbers(t *testing.T) { // R006, R007
	t.Parallel()
	s := setup(t)
	s.connect()
	s.must(s.em.AddAccount(otherSID, newToken, emulator.Full))
	sid, err := s.em.AddNumber(otherSID, emulator.NumberSpec{E164: "+14155550100", NoVoice: true})
	s.must(err)
	_, n, err := s.svc.CreateConnection(t.Context(), s.admin, number.ConnectionCreate{
		Name: "US", AccountSid: otherSID, AuthToken: newToken, PhoneNumber: "+14155550100", PhoneNumberSid: sid,
	})
	s.must(err)
	if n.IsDefault {
		t.Error("the first number stays the default")
	}
	_, _, err = s.svc.Update(t.Context(), s.admin, n.ID, number.Update{Prompts: number.PromptUpdate{WelcomeText: patch.To("Hello")}})
	s.must(err)
	for e164, got := range s.numbers() {
		if has := got.WelcomeText != nil; has != (e164 == "+14155550100") {
			t.Errorf("%s has the other's setting", e164)
		}
	}
	senders, err := s.svc.Senders(s.ctx(), s.db.App())
	s.must(err)
	if len(senders) != 2 || senders[0].E164 != office || !senders[0].IsDefault || senders[1].CanVoice || senders[1].Country != "US" {
		t.Errorf("%s", show(senders))
	}
	// A device registers with each account, the default number's first.
	tokens, err := s.svc.VoiceTokens(s.ctx(), id.New(id.Device), s.admin.UserID, "WEB")
	s.must(err)
	if len(tokens) != 2 || tokens[1].ConnectionName != "US" {
		t.Fatalf("%d tokens", len(tokens))
	}
	for _, x := range tokens {
		if identity, err := s.em.RegisterToken(x.Token); err != nil || identity != x.Identity {
			t.Errorf("%s: %q %v", x.ConnectionName, identity, err)
		}
	}
}

func TestTheSameAccountIsTakenOnce(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c, n := s.connect()
	v := s.values()
	v.Name = "Again"
	_, _, err := s.svc.CreateConnection(t.Context(), s.admin, v)
	if e, ok := errs.As(err); !ok || e.Code != errs.Taken || !strings.Contains(e.Message, `"Main"`) {
		t.Error(err)
	}
	// After it was disconnected, it comes back as the same rows, with another key.
	key := s.accessKey(n)
	_, _, err = s.svc.DisconnectConnection(t.Context(), s.admin, c.ID)
	s.must(err)
	again, m, err := s.svc.CreateConnection(t.Context(), s.admin, v)
	s.must(err)
	if again.ID != c.ID || m.ID != n.ID || again.Name != "Again" || !m.IsEnabled || again.DisconnectedAt != nil || m.DisconnectedAt != nil {
		t.Errorf("%s %s", show(again), show(m))
	}
	if s.accessKey(m) == key {
		t.Error("the access key of before the disconnection is valid again")
	}
}

func TestANumberInOtherUseIsTakenOverOnlyWhenTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why  string
		spec emulator.NumberSpec
	}{
		"trunk":  {"a trunk beats every address", emulator.NumberSpec{TrunkSID: "TK" + strings.Repeat("a", 32)}},
		"app":    {"an App beats the address", emulator.NumberSpec{VoiceApplicationSID: "app"}},
		"smsapp": {"an App beats the address", emulator.NumberSpec{SMSApplicationSID: "app"}},
		"studio": {"a flow is somebody's work", emulator.NumberSpec{VoiceURL: "https://webhooks.twilio.com/v1/Accounts/AC1/Flows/FW1"}},
		"flex":   {"so is a contact centre", emulator.NumberSpec{SMSURL: "https://flex-api.twilio.com/v1/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			spec := tc.spec
			if spec.VoiceApplicationSID+spec.SMSApplicationSID != "" {
				app, err := s.em.AddApplication(accountSID, map[string]string{"FriendlyName": "Theirs"})
				s.must(err)
				if spec.VoiceApplicationSID != "" {
					spec.VoiceApplicationSID = app
				} else {
					spec.SMSApplicationSID = app
				}
			}
			s.must(s.em.UpdateNumber(office, func(x *emulator.NumberSpec) {
				x.VoiceURL, x.SMSURL, x.VoiceApplicationSID, x.SMSApplicationSID, x.TrunkSID = spec.VoiceURL, spec.SMSURL, spec.VoiceApplicationSID, spec.SMSApplicationSID, spec.TrunkSID
			}))
			before := s.spec(office)
			_, _, err := s.svc.CreateConnection(t.Context(), s.admin, s.values())
			if e, ok := errs.As(err); !ok || e.Code != errs.Conflict || e.Field[0] != "takeOver" {
				t.Fatalf("%s: %v", tc.why, err)
			}
			if s.count(`SELECT count(*) AS n FROM twilio_connection`) != 0 || s.spec(office) != before {
				t.Fatal("something was written")
			}
			v := s.values()
			v.TakeOver = true
			c, n, err := s.svc.CreateConnection(t.Context(), s.admin, v)
			s.must(err)
			if got := s.spec(office); got.TrunkSID != "" || got.VoiceApplicationSID != "" || got.SMSApplicationSID != "" || !strings.Contains(got.VoiceURL, c.ID.String()) {
				t.Errorf("%s", show(got))
			}
			_, notice, err := s.svc.Disconnect(t.Context(), s.admin, n.ID)
			s.must(err)
			got := s.spec(office)
			if got.TrunkSID != before.TrunkSID || got.VoiceApplicationSID != before.VoiceApplicationSID || got.SMSApplicationSID != before.SMSApplicationSID ||
				got.VoiceURL != before.VoiceURL || got.SMSURL != before.SMSURL || got.StatusCallback != before.StatusCallback {
				t.Errorf("given back %s, before %s", show(got), show(before))
			}
			if !strings.Contains(notice, "not released") {
				t.Error(notice)
			}
		})
	}
}

func TestACutShortBeginningIsFinished(t *testing.T) {
	t.Parallel()
	s := setup(t)
	// The key is made, then Twilio fails for good.
	s.em.FailNext(emulator.Fault{Method: "POST", Path: "Applications", Fate: emulator.FateRefuse, Code: 20001})
	if _, _, err := s.svc.CreateConnection(t.Context(), s.admin, s.values()); !errs.IsCode(err, errs.ProviderRefused) {
		t.Fatal(err)
	}
	if s.spec(office).VoiceURL != demoURL {
		t.Error("the number was written before the account was ready")
	}
	before := s.count(`SELECT count(*) AS n FROM twilio_connection WHERE application_sid IS NULL`)
	if before != 1 {
		t.Fatalf("%d connections remain", before)
	}
	c, n := s.connect() // the same call goes on with the same row
	if s.count(`SELECT count(*) AS n FROM twilio_connection`) != 1 || !n.IsEnabled || c.ApplicationSid == nil {
		t.Errorf("%s", show(c))
	}
}

func TestTheSweepFinishesWhatACrashLeft(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.em.FailNext(emulator.Fault{Method: "POST", Path: "Keys", Fate: emulator.FateRefuse, Code: 20001})
	if _, _, err := s.svc.CreateConnection(t.Context(), s.admin, s.values()); err == nil {
		t.Fatal("no error")
	}
	s.run()
	s.must(s.runner.RunSweeps(t.Context()))
	s.drain()
	if s.count(`SELECT count(*) AS n FROM twilio_connection WHERE application_sid IS NOT NULL`) != 0 {
		t.Error("the sweep did not wait for the one who is at it")
	}
	s.clock.Advance(time.Hour)
	s.must(s.runner.RunSweeps(t.Context()))
	s.drain()
	if s.count(`SELECT count(*) AS n FROM twilio_connection WHERE application_sid IS NOT NULL AND api_key_sid IS NOT NULL`) != 1 {
		t.Error("the sweep did not finish the connection")
	}
}

func TestALostAnswerIsAskedAfter(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.em.FailNext(emulator.Fault{Method: "POST", Path: "IncomingPhoneNumbers", Fate: emulator.LostReset})
	_, n := s.connect()
	if !n.IsEnabled || n.Drift != nil {
		t.Errorf("%s", show(n))
	}
}

func TestARefusedWriteLeavesTheNumberDisabled(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.em.FailNext(emulator.Fault{Method: "POST", Path: "IncomingPhoneNumbers", Fate: emulator.FateRefuse, Code: 20001})
	if _, _, err := s.svc.CreateConnection(t.Context(), s.admin, s.values()); !errs.IsCode(err, errs.ProviderRefused) {
		t.Fatal(err)
	}
	n := s.numbers()[office]
	if n.IsEnabled {
		t.Error("a number that Twilio refused is enabled")
	}
	w, err := s.svc.Webhooks(t.Context(), s.admin, n)
	s.must(err)
	if !w.IsDrifted {
		t.Error("the number does not say that nothing was written")
	}
	got, _, err := s.svc.Update(t.Context(), s.admin, n.ID, number.Update{IsEnabled: patch.To(true)})
	s.must(err)
	if !got.IsEnabled || got.Drift != nil || *must1(s.svc.Webhooks(t.Context(), s.admin, got)).PreviousVoiceURL != demoURL {
		t.Errorf("%s", show(got))
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestDisconnectGivesEverythingBackAndReleasesNothing(t *testing.T) { // R014
	t.Parallel()
	s := setup(t)
	for _, e := range []string{"+61255501240", "+61255501241", "+61255501242"} {
		s.number(e, emulator.NumberSpec{VoiceURL: "https://old.example.com/" + e, SMSURL: "https://old.example.com/sms", StatusCallback: "https://old.example.com/s"})
	}
	c, n := s.connect()
	s.drain()
	for e164, x := range s.numbers() {
		if e164 != office {
			_, _, err := s.svc.Update(t.Context(), s.admin, x.ID, number.Update{IsEnabled: patch.To(true)})
			s.must(err)
		}
	}
	// Somebody changed one by hand: that stays.
	s.must(s.em.UpdateNumber("+61255501241", func(x *emulator.NumberSpec) { x.VoiceURL = "https://theirs.example.com/" }))
	key, app := *c.APIKeySid, *c.ApplicationSid

	d, notice, err := s.svc.DisconnectConnection(t.Context(), s.admin, c.ID)
	s.must(err)
	if d.DisconnectedAt == nil || d.IsEnabled || d.APIKeySid != nil || !strings.Contains(notice, "nothing was released") {
		t.Errorf("%s %q", show(d), notice)
	}
	for e164, want := range map[string]string{
		office: demoURL, "+61255501240": "https://old.example.com/+61255501240", "+61255501241": "https://theirs.example.com/",
		"+61255501242": "https://old.example.com/+61255501242",
	} {
		got := s.spec(e164)
		if got.VoiceURL != want {
			t.Errorf("%s: calls go to %s, want %s", e164, got.VoiceURL, want)
		}
		if e164 != office && (got.SMSURL != "https://old.example.com/sms" || got.StatusCallback != "https://old.example.com/s") {
			t.Errorf("%s: %s", e164, show(got))
		}
		x := s.numbers()[e164]
		if x.DisconnectedAt == nil || x.IsEnabled || x.IsDefault {
			t.Errorf("%s", show(x))
		}
	}
	if s.count(`SELECT count(*) AS n FROM twilio_secret`) != 0 {
		t.Error("secrets are kept")
	}
	if _, err := s.svc.WebhookAuth(t.Context(), c.ID); !errs.IsCode(err, errs.NotFound) {
		t.Error("posts of a disconnected account are still believed")
	}
	if _, err := s.svc.Credentials(s.ctx(), c.ID); !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
	ctx := db.WithTenant(t.Context(), s.admin.OrganizationID)
	if senders, err := s.svc.Senders(ctx, s.db.App()); err != nil || len(senders) != 0 {
		t.Error(senders, err)
	}
	s.noKeyOrApp(key, app)
	if _, _, err := s.svc.DisconnectConnection(t.Context(), s.admin, c.ID); err != nil {
		t.Error("a second disconnection fails:", err)
	}
	if _, err := s.svc.SetDefault(t.Context(), s.admin, n.ID); !errs.IsCode(err, errs.Conflict) {
		t.Error(err)
	}
}

// noKeyOrApp fails when Twilio still has what we made.
func (s *stage) noKeyOrApp(key, app string) {
	s.Helper()
	c := s.client(token)
	keys, err := c.ListKeys(s.Context(), "")
	s.must(err)
	for _, k := range keys {
		if k.SID == key {
			s.Error("the API key is still there")
		}
	}
	apps, err := c.ListApplications(s.Context(), "")
	s.must(err)
	for _, a := range apps {
		if a.SID == app {
			s.Error("the TwiML App is still there")
		}
	}
}

func TestDisconnectWaitsForTwilioButNotForARefusedToken(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c, n := s.connect()
	s.em.FailNext(emulator.Fault{Path: "IncomingPhoneNumbers", Fate: emulator.Fate500, Times: 3})
	if _, _, err := s.svc.Disconnect(t.Context(), s.admin, n.ID); !errs.IsCode(err, errs.ProviderUnavailable) {
		t.Error(err)
	}
	if s.get(n.ID).DisconnectedAt != nil {
		t.Error("the number is disconnected although its addresses stand at Twilio")
	}
	s.em.FailNext(emulator.Fault{Fate: emulator.FateRefuse, Code: 20003, Times: 50})
	_, notice, err := s.svc.DisconnectConnection(t.Context(), s.admin, c.ID)
	if err != nil || !strings.Contains(notice, "refuses the auth token") {
		t.Error(notice, err)
	}
}

func TestConnectionsOfOthersDoNotExist(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c, n := s.connect()
	_, stranger := s.organization("US")
	ctx := access.With(t.Context(), stranger)
	for name, err := range map[string]error{
		"connection": second(s.svc.Connection(ctx, stranger, c.ID)),
		"update":     second(s.svc.UpdateConnection(ctx, stranger, c.ID, number.ConnectionUpdate{Name: patch.To("x")})),
		"import":     second(s.svc.ImportNumbers(ctx, stranger, c.ID)),
		"disconnect": third(s.svc.DisconnectConnection(ctx, stranger, c.ID)),
		"number":     second(s.svc.Get(ctx, stranger, n.ID)),
		"settings":   third(s.svc.Update(ctx, stranger, n.ID, number.Update{Name: patch.To("x")})),
		"default":    second(s.svc.SetDefault(ctx, stranger, n.ID)),
		"release":    third(s.svc.Disconnect(ctx, stranger, n.ID)),
		"webhooks":   second(s.svc.WriteWebhooks(ctx, stranger, n.ID)),
		"client":     second(s.svc.Credentials(ctx, c.ID)),
		"hooks":      second(s.svc.Hooks(ctx, c.ID)),
		"by e164":    second(s.svc.ForCall(ctx, s.db.App(), c.ID, office)),
	} {
		if !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w, err := s.svc.Webhooks(ctx, stranger, n); w != nil || err != nil {
		t.Error("another organization reads the webhooks")
	}
	byID, err := s.svc.ByIDs(ctx, []id.ID{n.ID})
	if err != nil || len(byID) != 0 {
		t.Error(byID, err)
	}
	conns, err := s.svc.ConnectionsByIDs(ctx, []id.ID{c.ID})
	if err != nil || len(conns) != 0 {
		t.Error(conns, err)
	}
	if _, _, err := s.svc.Update(ctx, stranger, n.ID, number.Update{}); !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
	// The same account may serve another organization of the installation, but not by accident.
	v := s.values()
	_, _, err = s.svc.CreateConnection(ctx, stranger, v)
	if e, ok := errs.As(err); !ok || e.Code != errs.Conflict || e.Field[0] != "takeOver" {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }
