package number_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/patch"
	"switchboard/internal/testkit"
)

// many gives the account n more numbers.
func (s *stage) many(n int) {
	s.Helper()
	for i := range n {
		s.number(fmt.Sprintf("+614%08d", 20000000+i), emulator.NumberSpec{FriendlyName: fmt.Sprint("Mobile ", i), NoMMS: i%2 == 0})
	}
}

func TestImportBringsAllNumbersDisabledWithProgress(t *testing.T) { // R012, D18
	t.Parallel()
	s := setup(t)
	s.many(420) // three pages of Twilio's list
	c, _ := s.connect()
	s.drain()
	c = s.connection(c.ID)
	if i := c.Import(); i.Status != number.ImportDone || i.Done != 421 || i.Total != 421 || i.Error != nil || i.FinishedAt == nil {
		t.Errorf("%s", show(i))
	}
	all := s.numbers()
	enabled := 0
	for _, n := range all {
		if n.IsEnabled {
			enabled++
		}
		if n.CanVoice != true || n.Country != "AU" {
			t.Errorf("%s", show(n))
		}
	}
	if len(all) != 421 || enabled != 1 || !all[office].IsEnabled {
		t.Errorf("%d numbers, %d enabled", len(all), enabled)
	}
	if m := all["+61420000000"]; m.CanMms || m.Name != "Mobile 0" || !all["+61420000001"].CanMms {
		t.Errorf("%s", show(m))
	}
	if n := s.count(`SELECT count(*) AS n FROM event WHERE kind = 'TWILIO_CONNECTION_UPDATED' AND subject = $1`, c.ID); n < 12 {
		t.Errorf("only %d events tell of the progress", n)
	}
	if got := s.spec("+61420000000").VoiceURL; got != "" {
		t.Error("an imported number was written at Twilio:", got)
	}
}

func TestImportMayBeRepeatedAndKeepsWhatPeopleSet(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.many(60)
	c, _ := s.connect()
	s.drain()
	m := s.numbers()["+61420000000"]
	_, _, err := s.svc.Update(t.Context(), s.admin, m.ID, number.Update{Name: patch.To("Ours"), IsEnabled: patch.To(true)})
	s.must(err)
	gone := s.numbers()["+61420000001"]
	_, _, err = s.svc.Disconnect(t.Context(), s.admin, gone.ID)
	s.must(err)
	versions := map[string]int{}
	for e, n := range s.numbers() {
		versions[e] = n.Version
	}
	s.must(s.em.UpdateNumber("+61420000002", func(x *emulator.NumberSpec) { x.NoSMS = true }))
	s.number("+61255500077", emulator.NumberSpec{})
	_, err = s.svc.ImportNumbers(t.Context(), s.admin, c.ID)
	s.must(err)
	s.drain()
	for e, n := range s.numbers() {
		changed := n.Version != versions[e]
		switch e {
		case "+61420000000":
			if n.Name != "Ours" || !n.IsEnabled || changed {
				t.Errorf("%s", show(n))
			}
		case "+61420000001": // it comes back as the same row, disabled
			if n.ID != gone.ID || n.DisconnectedAt != nil || n.IsEnabled {
				t.Errorf("%s", show(n))
			}
		case "+61420000002":
			if n.CanSms {
				t.Error("a lost capability is still shown (R015)")
			}
		case "+61255500077":
			if n.IsEnabled {
				t.Error("a new number is enabled (D18)")
			}
		default:
			if changed {
				t.Errorf("%s changed without a reason", e)
			}
		}
	}
}

func TestAKilledImportGoesOn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.many(130)
	c, _ := s.connect()
	// The second batch waits for a row that somebody else holds; there its
	// connection to the database dies, and with it everything uncommitted.
	held, err := s.db.Worker().BeginTx(t.Context(), nil)
	s.must(err)
	_, err = held.ExecContext(t.Context(), `INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, updated_at)
		VALUES (?, ?, ?, '+61420000010', ?, 'x', 'AU', true, true, true, ?)`, s.admin.OrganizationID, id.New(id.PhoneNumber), c.ID, sidOf(s, "+61420000010"), start)
	s.must(err)
	s.run()
	s.waitFor(func() bool { return s.kill() > 0 })
	if i := s.connection(c.ID).Import(); i.Status != number.ImportRunning || i.Done != 100 {
		t.Errorf("half-way: %s", show(i))
	}
	s.must(held.Rollback())
	s.drain()
	if i := s.connection(c.ID).Import(); i.Status != number.ImportDone || i.Done != 131 {
		t.Errorf("%s", show(i))
	}
	if n := len(s.numbers()); n != 131 {
		t.Errorf("%d numbers", n)
	}
}

// kill ends the backends of this database that wait for a lock and says how many they were.
func (s *stage) kill() int {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), testkit.AdminURL(s))
	s.must(err)
	defer func() { _ = conn.Close(context.Background()) }()
	var name struct {
		N string `bun:"n"`
	}
	s.must(db.Select(s.Context(), s.db.Worker(), &name, `SELECT current_database() AS n`))
	var n int
	s.must(conn.QueryRow(s.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = $1 AND wait_event_type = 'Lock' AND query LIKE '%phone_number%'`, name.N).Scan(&n))
	return n
}

func sidOf(s *stage, e164 string) string {
	n, ok, err := s.client(token).FindNumber(s.Context(), e164)
	if err != nil || !ok {
		s.Fatal(e164, ok, err)
	}
	return n.SID
}

// waitFor asks again and again until it is so; the database does the waiting.
func (s *stage) waitFor(ok func() bool) {
	s.Helper()
	for !ok() {
		s.exec(`SELECT pg_sleep(0.01)`)
	}
}

// rest does at Twilio what the product never does.
func (s *stage) rest(method, sid string, form url.Values) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method,
		s.restURL+"/2010-04-01/Accounts/"+accountSID+"/IncomingPhoneNumbers/"+sid+".json", strings.NewReader(form.Encode()))
	s.must(err)
	req.SetBasicAuth(accountSID, token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	s.must(err)
	_ = resp.Body.Close()
	if resp.StatusCode >= 300 {
		s.Fatal(resp.Status)
	}
}

func TestAnImportThatNobodyWorksOnIsTakenUp(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.many(10)
	c, _ := s.connect()
	// The job is lost with its database's newest minutes; only the row is left.
	s.exec(`DELETE FROM system.river_job`)
	s.run()
	s.must(s.runner.RunSweeps(t.Context()))
	s.drain()
	if s.connection(c.ID).ImportStatus != number.ImportRunning {
		t.Error("the sweep did not wait")
	}
	s.clock.Advance(time.Hour)
	s.must(s.runner.RunSweeps(t.Context()))
	s.drain()
	if i := s.connection(c.ID).Import(); i.Status != number.ImportDone || i.Done != 11 {
		t.Errorf("%s", show(i))
	}
}

func TestAFailedImportSaysWhyInWords(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault emulator.Fault
		says  string
	}{
		"token refused":   {emulator.Fault{Fate: emulator.FateRefuse, Code: 20003, Times: 3}, "auth token"},
		"Twilio is down":  {emulator.Fault{Path: "IncomingPhoneNumbers", Fate: emulator.Fate500, Times: 100}, "not answering"},
		"not from Twilio": {emulator.Fault{Path: "IncomingPhoneNumbers", Fate: emulator.FateHTML, Times: 100}, "not answering"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			c, _ := s.connect()
			s.em.FailNext(tc.fault)
			s.run()
			s.waitFor(func() bool { return s.connection(c.ID).ImportStatus != number.ImportRunning })
			i := s.connection(c.ID).Import()
			if i.Status != number.ImportFailed || i.Error == nil || !strings.Contains(*i.Error, tc.says) {
				t.Errorf("%s", show(i))
			}
			s.noSecretIn(token)
		})
	}
}

func TestANumberOfAnotherConnectionIsLeftThere(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c, _ := s.connect()
	s.drain()
	// The number moved to a second account, which is connected too.
	s.must(s.em.AddSubaccount(accountSID, otherSID, newToken, emulator.Full))
	sid, err := s.em.AddNumber(otherSID, emulator.NumberSpec{E164: "+61255501299"})
	s.must(err)
	_, _, err = s.svc.CreateConnection(t.Context(), s.admin, number.ConnectionCreate{
		Name: "Second", AccountSid: otherSID, AuthToken: newToken, PhoneNumber: "+61255501299", PhoneNumberSid: sid,
	})
	s.must(err)
	s.drain()
	s.rest("POST", s.sid, url.Values{"AccountSid": {otherSID}})
	v := number.ConnectionCreate{Name: "Second", AccountSid: otherSID, AuthToken: newToken, PhoneNumber: office, PhoneNumberSid: s.sid}
	if _, _, err := s.svc.CreateConnection(t.Context(), s.admin, v); !errs.IsCode(err, errs.Taken) {
		t.Error(err)
	}
	if n := s.numbers()[office]; n.ConnectionID != c.ID || n.DisconnectedAt != nil {
		t.Errorf("%s", show(n))
	}
}

func TestDriftIsNoticedAndMended(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c, n := s.connect()
	s.drain()
	s.run()
	look := func() *number.NumberWebhooks {
		t.Helper()
		s.clock.Advance(5 * time.Hour)
		s.must(s.runner.RunSweeps(t.Context()))
		s.drain()
		w, err := s.svc.Webhooks(t.Context(), s.admin, s.get(n.ID))
		s.must(err)
		return w
	}
	if w := look(); w.IsDrifted || !w.CheckedAt.After(start) {
		t.Errorf("%s", show(w))
	}
	quiet := s.get(n.ID).Version
	look()
	if s.get(n.ID).Version != quiet {
		t.Error("a look that found nothing changed the number")
	}
	s.must(s.em.UpdateNumber(office, func(x *emulator.NumberSpec) { x.VoiceURL, x.SMSURL = "https://theirs.example.com/voice?secret=1", "" }))
	w := look()
	if !w.IsDrifted || len(w.Drift) != 2 || !strings.Contains(w.Drift[0], "theirs.example.com") || strings.Contains(w.Drift[0], "secret") {
		t.Errorf("%s", show(w))
	}
	if got := s.count(`SELECT count(*) AS n FROM event WHERE kind = 'PHONE_NUMBER_UPDATED' AND subject = $1`, n.ID); got != 2 {
		t.Errorf("%d events", got)
	}
	fixed, err := s.svc.WriteWebhooks(t.Context(), s.admin, n.ID)
	s.must(err)
	w = must1(s.svc.Webhooks(t.Context(), s.admin, fixed))
	if w.IsDrifted || s.spec(office).VoiceURL != w.VoiceURL || *w.PreviousVoiceURL != "https://theirs.example.com/voice?secret=1" {
		t.Errorf("%s", show(w))
	}
	s.must(s.em.UpdateNumber(office, func(x *emulator.NumberSpec) { x.TrunkSID = "TK" + strings.Repeat("a", 32) }))
	if w = look(); len(w.Drift) != 1 || !strings.Contains(w.Drift[0], "trunk") || len(s.get(n.ID).Warnings()) != 1 { // D22
		t.Errorf("%s %v", show(w), s.get(n.ID).Warnings())
	}
	s.must(s.em.SetAccountStatus(accountSID, "suspended"))
	look()
	if got := s.connection(c.ID); got.AccountStatus != "suspended" || len(got.Warnings()) != 1 {
		t.Errorf("%s", show(got))
	}
}

func TestANumberThatIsGoneAtTwilioSaysSo(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	s.drain()
	s.rest("DELETE", s.sid, nil)
	s.run()
	s.clock.Advance(5 * time.Hour)
	s.must(s.runner.RunSweeps(t.Context()))
	s.drain()
	w := must1(s.svc.Webhooks(t.Context(), s.admin, s.get(n.ID)))
	if len(w.Drift) != 1 || !strings.Contains(w.Drift[0], "released or moved") {
		t.Errorf("%s", show(w))
	}
	if _, _, err := s.svc.Disconnect(t.Context(), s.admin, n.ID); err != nil {
		t.Error("a number that is gone cannot be disconnected:", err)
	}
}

func TestANewTokenIsTriedAndTheOldOneStaysADay(t *testing.T) { // R005
	t.Parallel()
	s := setup(t)
	c, _ := s.connect()
	s.drain()
	auth := func() number.Auth {
		t.Helper()
		a, err := s.svc.WebhookAuth(t.Context(), c.ID)
		s.must(err)
		return a
	}
	before := auth()
	if len(before.Tokens) != 1 || before.Tokens[0] != token || before.AccountSID != accountSID || before.Organization != s.admin.OrganizationID {
		t.Error("the token does not verify webhooks")
	}
	_, err := s.svc.UpdateConnection(t.Context(), s.admin, c.ID, number.ConnectionUpdate{AuthToken: patch.To(newToken)})
	if e, ok := errs.As(err); !ok || e.Code != errs.Invalid || e.Field[0] != "authToken" {
		t.Error(err)
	}
	if got := auth(); len(got.Tokens) != 1 {
		t.Error("a token that Twilio refuses is kept")
	}
	next := s.promote()
	got, err := s.svc.UpdateConnection(t.Context(), s.admin, c.ID, number.ConnectionUpdate{AuthToken: patch.To(next)})
	s.must(err)
	if got.RotationEndsAt == nil || !got.RotationEndsAt.Equal(start.Add(24*time.Hour)) {
		t.Errorf("%s", show(got))
	}
	// At once, although what is kept in memory is younger than five seconds.
	if a := auth(); len(a.Tokens) != 2 || a.Tokens[0] != next || a.Tokens[1] != token {
		t.Errorf("%d tokens", len(a.Tokens))
	}
	client, err := s.svc.Credentials(s.ctx(), c.ID)
	s.must(err)
	if _, err := client.FetchAccount(t.Context()); err != nil {
		t.Error("the client still uses the old token:", err)
	}
	s.clock.Advance(24 * time.Hour)
	if a := auth(); len(a.Tokens) != 1 {
		t.Error("the old token is valid after its day")
	}
	s.must(s.run().RunSweeps(t.Context()))
	if s.connection(c.ID).RotationEndsAt != nil || s.count(`SELECT count(*) AS n FROM twilio_secret WHERE kind = 'PREVIOUS_AUTH_TOKEN'`) != 0 {
		t.Error("the sweep left the old token")
	}
	s.noSecretIn(token, next)
}

// promote makes a new auth token the account's primary one, as in the Console.
func (s *stage) promote() string {
	s.Helper()
	_, err := s.client(token).CreateSecondaryToken(s.Context())
	s.must(err)
	next, err := s.client(token).PromoteToken(s.Context())
	s.must(err)
	return next
}

func TestWebhooksAreBelievedWithoutAskingTheDatabase(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c, n := s.connect()
	first, err := s.svc.WebhookAuth(t.Context(), c.ID)
	s.must(err)
	if !first.AccessKeyOK(s.accessKey(n)) || first.AccessKeyOK("") || first.AccessKeyOK("x") {
		t.Error("the access key is not told apart")
	}
	ctx, counter := db.CountStatements(t.Context())
	for range 100 {
		_, err := s.svc.WebhookAuth(ctx, c.ID)
		s.must(err)
		_, err = s.svc.Credentials(access.With(ctx, s.admin), c.ID)
		s.must(err)
	}
	if counter.N() != 0 {
		t.Errorf("%d statements", counter.N())
	}
	// Another node disconnects the account: this one notices within five seconds.
	s.exec(`UPDATE twilio_connection SET disconnected_at = $1 WHERE id = $2`, start, c.ID)
	if _, err := s.svc.WebhookAuth(t.Context(), c.ID); err != nil {
		t.Error(err)
	}
	s.clock.Advance(5 * time.Second)
	if _, err := s.svc.WebhookAuth(t.Context(), c.ID); !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
	// Addresses that do not exist are not asked for each time either.
	unknown := id.New(id.Connection)
	ctx, counter = db.CountStatements(context.Background())
	for range 100 {
		if _, err := s.svc.WebhookAuth(ctx, unknown); !errs.IsCode(err, errs.NotFound) {
			t.Fatal(err)
		}
	}
	if counter.N() > 1 {
		t.Errorf("%d statements for an address that does not exist", counter.N())
	}
}

func TestConnectionSettings(t *testing.T) { // R008, R009, R018, D23
	t.Parallel()
	s := setup(t)
	c, n := s.connect()
	got, err := s.svc.UpdateConnection(t.Context(), s.admin, c.ID, number.ConnectionUpdate{
		Name: patch.To("Renamed"), IsEnabled: patch.To(false), DefaultCountry: patch.To("nz"), IncomingRecording: patch.To(number.RecordingFromRinging),
		OutgoingRecording: patch.To(number.RecordingFromAnswerDual), CallsPerSecond: patch.To(5),
	})
	s.must(err)
	if got.Name != "Renamed" || got.IsEnabled || *got.DefaultCountry != "NZ" || got.CallsPerSecond != 5 || len(got.Warnings()) != 1 {
		t.Errorf("%s", show(got))
	}
	n = s.get(n.ID)
	if r := n.Recording(); r.Incoming != nil || r.EffectiveIncoming != number.RecordingFromRinging || r.EffectiveOutgoing != number.RecordingFromAnswerDual {
		t.Errorf("%s", show(r))
	}
	if n.Takes() || !n.IsEnabled {
		t.Error("a number of a connection that is switched off takes calls (R009)")
	}
	if senders := must1(s.svc.Senders(s.ctx(), s.db.App())); len(senders) != 0 {
		t.Error("it is also a sender")
	}
	if len(n.Warnings()) != 1 || !strings.Contains(n.Warnings()[0], "consent") { // D10
		t.Error(n.Warnings())
	}
	for name, in := range map[string]number.ConnectionUpdate{
		"cps":     {CallsPerSecond: patch.To(31)},
		"mode":    {IncomingRecording: patch.To(number.RecordingMode("LOUD"))},
		"country": {DefaultCountry: patch.To("ZZ")},
		"token":   {AuthToken: patch.To("not a token")},
	} {
		if _, err := s.svc.UpdateConnection(t.Context(), s.admin, c.ID, in); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err = s.svc.UpdateConnection(t.Context(), s.admin, c.ID, number.ConnectionUpdate{DefaultCountry: patch.Clear[string]()})
	if err != nil || got.DefaultCountry != nil || got.Name != "Renamed" {
		t.Error(got, err)
	}
	_, err = s.svc.UpdateConnection(t.Context(), s.admin, c.ID, number.ConnectionUpdate{Name: patch.Clear[string]()})
	if !errs.IsCode(err, errs.Required) {
		t.Error(err)
	}
}
