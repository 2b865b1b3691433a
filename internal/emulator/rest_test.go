package emulator_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twilio/twilio-go/client"
	accounts "github.com/twilio/twilio-go/rest/accounts/v1"
	api "github.com/twilio/twilio-go/rest/api/v2010"
	iam "github.com/twilio/twilio-go/rest/iam/v1"
	messaging "github.com/twilio/twilio-go/rest/messaging/v1"

	"switchboard/internal/emulator"
)

// code is Twilio's error code in an error of its client.
func code(err error) int {
	var t *client.TwilioRestError
	if errors.As(err, &t) {
		return t.Code
	}
	return 0
}

// raw is a request as no client library would make it.
func (s *stage) raw(method, path, user, pass string, form url.Values) (int, http.Header, []byte) {
	s.Helper()
	q, err := http.NewRequestWithContext(s.ctx, method, s.rest.URL+path, strings.NewReader(form.Encode()))
	s.must(err)
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user != "" {
		q.SetBasicAuth(user, pass)
	}
	res, err := http.DefaultClient.Do(q)
	s.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	s.must(err)
	return res.StatusCode, res.Header, b
}

func TestNumbersAreListedInPages(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	want := map[string]bool{office: true}
	for i := range 6 {
		to := fmt.Sprintf("+1555000200%d", i)
		s.number(to)
		want[to] = true
	}
	got, err := s.tw.Api.ListIncomingPhoneNumber((&api.ListIncomingPhoneNumberParams{}).SetPageSize(3))
	s.must(err)
	seen := map[string]bool{}
	for _, n := range got {
		if seen[*n.PhoneNumber] {
			t.Errorf("%s twice", *n.PhoneNumber)
		}
		seen[*n.PhoneNumber] = true
	}
	if d := cmp.Diff(want, seen); d != "" {
		t.Error(d)
	}
	one, err := s.tw.Api.ListIncomingPhoneNumber((&api.ListIncomingPhoneNumberParams{}).SetPhoneNumber("+15550002003"))
	s.must(err)
	if len(one) != 1 || !one[0].Capabilities.Voice || *one[0].VoiceUrl != s.hooks.URL+"/voice" || one[0].TrunkSid != nil {
		t.Errorf("filtered list: %+v", one)
	}
	if status, _, _ := s.raw("GET", "/2010-04-01/Accounts/"+accountSID+"/IncomingPhoneNumbers.json?PageToken=PAnonsense", accountSID, authToken, nil); status != 400 {
		t.Errorf("bad PageToken: %d", status)
	}
}

func TestNumberUpdateFollowsThePrecedence(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	list, err := s.tw.Api.ListIncomingPhoneNumber(nil)
	s.must(err)
	sid := *list[0].Sid
	app, err := s.tw.Api.CreateApplication((&api.CreateApplicationParams{}).SetFriendlyName("board").SetVoiceUrl(s.hooks.URL + "/app"))
	s.must(err)
	n, err := s.tw.Api.UpdateIncomingPhoneNumber(sid, (&api.UpdateIncomingPhoneNumberParams{}).SetVoiceApplicationSid(*app.Sid))
	s.must(err)
	if *n.VoiceApplicationSid != *app.Sid {
		t.Fatal("the application was not set")
	}
	s.answer("/app", `<Response><Reject/></Response>`)
	call := s.call(mobile, office)
	if len(s.sent("/app")) != 1 || len(s.sent("/voice")) != 0 || s.status(call) != "no-answer" {
		t.Errorf("the application must beat VoiceUrl; call is %s", s.status(call))
	}
	n, err = s.tw.Api.UpdateIncomingPhoneNumber(sid, (&api.UpdateIncomingPhoneNumberParams{}).SetTrunkSid("TK"+strings.Repeat("a", 32)))
	s.must(err)
	if *n.VoiceApplicationSid != "" || n.TrunkSid == nil {
		t.Error("a trunk must delete the voice application")
	}
	before := len(s.sent(""))
	s.call(mobile, office)
	if len(s.sent("")) != before {
		t.Error("a number on a trunk sends no webhook")
	}
	n, err = s.tw.Api.UpdateIncomingPhoneNumber(sid, (&api.UpdateIncomingPhoneNumberParams{}).SetTrunkSid("").SetVoiceUrl(""))
	s.must(err)
	if n.TrunkSid != nil {
		t.Error("the empty string clears")
	}
	call = s.call(mobile, office)
	if s.status(call) != "failed" {
		t.Errorf("a number without VoiceUrl: %s", s.status(call))
	}
	if _, err = s.tw.Api.UpdateIncomingPhoneNumber(sid, (&api.UpdateIncomingPhoneNumberParams{}).SetVoiceUrl("nonsense")); code(err) != 21502 {
		t.Errorf("bad VoiceUrl: %v", err)
	}
	s.quiet()
}

func TestNumberMovesToASubaccount(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	const sub = "ACcccccccccccccccccccccccccccccccc"
	s.must(s.e.AddSubaccount(accountSID, sub, "subtoken", emulator.Full))
	s.must(s.e.AddAccount("ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "other", emulator.Full))
	list, err := s.tw.Api.ListIncomingPhoneNumber(nil)
	s.must(err)
	sid := *list[0].Sid
	if _, err := s.tw.Api.UpdateIncomingPhoneNumber(sid, (&api.UpdateIncomingPhoneNumberParams{}).SetAccountSid("ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")); code(err) != 20404 {
		t.Errorf("to a stranger: %v", err)
	}
	n, err := s.tw.Api.UpdateIncomingPhoneNumber(sid, (&api.UpdateIncomingPhoneNumberParams{}).SetAccountSid(sub))
	s.must(err)
	if *n.AccountSid != sub {
		t.Errorf("account %s", *n.AccountSid)
	}
	if _, err := s.tw.Api.FetchIncomingPhoneNumber(sid, nil); code(err) != 20404 {
		t.Errorf("the parent's list still has it: %v", err)
	}
	s.must(s.e.UpdateNumber(office, func(n *emulator.NumberSpec) {
		n.VoiceURL = "http://127.0.0.1:1/voice"
		n.VoiceFallbackURL, n.StatusCallback = "", ""
	}))
	s.call(mobile, office)
	all := s.e.Deliveries()
	d := all[len(all)-1]
	if d.Account != sub || d.Signature != emulator.Sign("subtoken", d.URL, d.Form) {
		t.Error("webhooks of a moved number are signed with its new account's token")
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.must(s.e.AddAccount("ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "other", emulator.Full))
	s.must(s.e.AddSubaccount(accountSID, "ACcccccccccccccccccccccccccccccccc", "sub", emulator.Full))
	made, err := s.tw.Api.CreateNewKey((&api.CreateNewKeyParams{}).SetFriendlyName("board"))
	s.must(err)
	key := s.client(*made.Sid, *made.Secret)
	if _, err := key.Api.ListIncomingPhoneNumber(nil); err != nil {
		t.Errorf("a standard key lists numbers: %v", err)
	}
	for name, tc := range map[string]struct {
		why string
		err error
	}{
		"key on accounts": {"a standard key may not see the account", errorOf(key.Api.FetchAccount(accountSID))},
		"key on keys":     {"nor the keys", errorOf(key.Api.ListKey(nil))},
		"wrong token":     {"", errorOf(s.client(accountSID, "wrong").Api.ListIncomingPhoneNumber(nil))},
		"empty token":     {"", errorOf(s.client(accountSID, "").Api.ListIncomingPhoneNumber(nil))},
	} {
		if code(tc.err) != 20003 {
			t.Errorf("%s: %v (%s)", name, tc.err, tc.why)
		}
	}
	if _, err := s.tw.Api.FetchAccount("ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"); code(err) != 20404 {
		t.Errorf("another tenant's account: %v", err)
	}
	if _, err := s.tw.Api.ListIncomingPhoneNumber((&api.ListIncomingPhoneNumberParams{}).SetPathAccountSid("ACcccccccccccccccccccccccccccccccc")); err != nil {
		t.Errorf("the parent acts on its sub-account: %v", err)
	}
	a, err := s.tw.Api.FetchAccount(accountSID)
	s.must(err)
	if *a.Type != "Full" || *a.Status != "active" {
		t.Errorf("account %v %v", *a.Type, *a.Status)
	}
	keys, err := s.tw.Api.ListKey(nil)
	s.must(err)
	if len(keys) != 1 || *keys[0].FriendlyName != "board" {
		t.Errorf("keys %+v", keys)
	}
	s.must(s.tw.Api.DeleteKey(*made.Sid, nil))
	if err := s.tw.Api.DeleteKey(*made.Sid, nil); code(err) != 20404 {
		t.Errorf("deleted twice: %v", err)
	}
	if _, err := key.Api.ListIncomingPhoneNumber(nil); code(err) != 20003 {
		t.Errorf("a deleted key: %v", err)
	}
	modern, err := s.tw.IamV1.CreateNewKey((&iam.CreateNewKeyParams{}).SetAccountSid(accountSID).SetFriendlyName("modern"))
	s.must(err)
	if _, err := s.client(*modern.Sid, *modern.Secret).Api.ListCall(nil); err != nil {
		t.Errorf("a key made by iam: %v", err)
	}
	s.must(s.e.SetAccountStatus(accountSID, "suspended"))
	if _, err := s.tw.Api.ListCall(nil); code(err) != 20005 {
		t.Errorf("suspended account: %v", err)
	}
	if a, err := s.tw.Api.FetchAccount(accountSID); err != nil || *a.Status != "suspended" {
		t.Errorf("a suspended account shows its status: %v", err)
	}
}

// errorOf keeps the error of two results.
func errorOf[T any](_ T, err error) error { return err }

func TestTokenRotationSignsWithThePromotedToken(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	sec, err := s.tw.AccountsV1.CreateSecondaryAuthToken(nil)
	s.must(err)
	next := s.client(accountSID, *sec.SecondaryAuthToken)
	if _, err := next.Api.ListCall(nil); err != nil {
		t.Errorf("the secondary token works for REST at once: %v", err)
	}
	s.answer("/voice", `<Response><Reject/></Response>`)
	s.call(mobile, office) // the stage verifies with the old token
	s.must(s.tw.AccountsV1.DeleteSecondaryAuthToken(nil))
	sec, err = s.tw.AccountsV1.CreateSecondaryAuthToken(nil)
	s.must(err)
	next = s.client(accountSID, *sec.SecondaryAuthToken)
	var promoted *accounts.AccountsV1AuthTokenPromotion
	promoted, err = next.AccountsV1.UpdateAuthTokenPromotion(nil)
	s.must(err)
	if *promoted.AuthToken != *sec.SecondaryAuthToken {
		t.Error("another token was promoted")
	}
	if _, err := s.tw.Api.ListCall(nil); code(err) != 20003 {
		t.Errorf("the old token still works: %v", err)
	}
	_, err = s.e.AddNumber(accountSID, emulator.NumberSpec{E164: "+15550009999", VoiceURL: "http://127.0.0.1:1/voice"})
	s.must(err)
	s.call(mobile, "+15550009999")
	all := s.e.Deliveries()
	d := all[len(all)-1]
	if want := emulator.Sign(*promoted.AuthToken, d.URL, d.Form); d.Signature != want {
		t.Error("webhooks are not signed with the promoted token")
	}
}

func TestApplicationsCanBeMadeChangedFoundAndDeleted(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	app, err := s.tw.Api.CreateApplication((&api.CreateApplicationParams{}).SetFriendlyName("board").SetVoiceUrl("https://example.com/a"))
	s.must(err)
	_, err = s.tw.Api.UpdateApplication(*app.Sid, (&api.UpdateApplicationParams{}).SetVoiceUrl("https://example.com/b").SetStatusCallback("https://example.com/s"))
	s.must(err)
	list, err := s.tw.Api.ListApplication((&api.ListApplicationParams{}).SetFriendlyName("board"))
	s.must(err)
	if len(list) != 1 || *list[0].VoiceUrl != "https://example.com/b" || *list[0].StatusCallback != "https://example.com/s" || *list[0].VoiceMethod != "POST" {
		t.Errorf("list %+v", list)
	}
	if _, err := s.tw.Api.CreateApplication((&api.CreateApplicationParams{}).SetVoiceUrl("ftp://x")); code(err) != 21205 {
		t.Errorf("bad URL: %v", err)
	}
	s.must(s.tw.Api.DeleteApplication(*app.Sid, nil))
	if _, err := s.tw.Api.FetchApplication(*app.Sid, nil); code(err) != 20404 {
		t.Errorf("deleted: %v", err)
	}
}

func TestServicesShowTheirNumbersAndCallerIDsAreListed(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	mg, err := s.e.AddService(accountSID, emulator.ServiceSpec{Name: "texts", Numbers: []string{office}})
	s.must(err)
	s.must(s.e.AddCallerID(accountSID, mobile, "my mobile"))
	services, err := s.tw.MessagingV1.ListService((&messaging.ListServiceParams{}).SetPageSize(1))
	s.must(err)
	if len(services) != 1 || *services[0].Sid != mg {
		t.Fatalf("services %+v", services)
	}
	numbers, err := s.tw.MessagingV1.ListPhoneNumber(mg, &messaging.ListPhoneNumberParams{})
	s.must(err)
	if len(numbers) != 1 || *numbers[0].PhoneNumber != office {
		t.Errorf("numbers in the service %+v", numbers)
	}
	ids, err := s.tw.Api.ListOutgoingCallerId(nil)
	s.must(err)
	if len(ids) != 1 || *ids[0].PhoneNumber != mobile {
		t.Errorf("caller ids %+v", ids)
	}
}

func TestUnknownRequestsAreRefusedAloud(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	_, err := s.tw.Api.ListTranscription(nil)
	if code(err) != 20404 || !strings.Contains(err.Error(), "the emulator does not know GET api /2010-04-01/Accounts/AC/Transcriptions.json") {
		t.Errorf("transcriptions: %v", err)
	}
	_, err = s.tw.LookupsV2.FetchPhoneNumber(mobile, nil)
	if err == nil || !strings.Contains(err.Error(), "does not know GET lookups") {
		t.Errorf("lookups: %v", err)
	}
	list := s.e.Debugger()
	if len(list) != 2 || !strings.Contains(list[0].Text, "does not know GET api") {
		t.Errorf("debugger %+v", list)
	}
	alerts, err := s.tw.MonitorV1.ListAlert(nil)
	s.must(err)
	if len(alerts) != 2 {
		t.Errorf("%d alerts in the monitor, want 2", len(alerts))
	}
	_, err = s.tw.Api.FetchCall("CA"+strings.Repeat("0", 32), nil)
	if code(err) != 20404 || !strings.Contains(err.Error(), "was not found") {
		t.Errorf("unknown call: %v", err)
	}
}

func TestFormsAreLimited(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	path := "/2010-04-01/Accounts/" + accountSID + "/Messages.json"
	if status, _, _ := s.raw("POST", path, accountSID, authToken, url.Values{"Body": {strings.Repeat("x", 2<<20)}}); status != 413 {
		t.Errorf("2 MiB: %d", status)
	}
}

func TestSnapshotOutlivesTheEmulator(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	app, err := s.tw.Api.CreateApplication((&api.CreateApplicationParams{}).SetFriendlyName("board").SetVoiceUrl("https://example.com/a"))
	s.must(err)
	made, err := s.tw.Api.CreateNewKey(nil)
	s.must(err)
	b, err := s.e.Snapshot()
	s.must(err)
	later := newStage(t, emulator.Options{Seed: 2})
	blank := emulator.New(emulator.Options{})
	s.must(blank.Restore(b))
	again, err := blank.Snapshot()
	s.must(err)
	var x, y any
	s.must(json.Unmarshal(b, &x))
	s.must(json.Unmarshal(again, &y))
	if d := cmp.Diff(x, y); d != "" {
		t.Error(d)
	}
	if err := later.e.Restore(b); err == nil {
		t.Error("restoring over an account that exists must fail")
	}
	if !bytes.Contains(again, []byte(*app.Sid)) || !bytes.Contains(again, []byte(*made.Secret)) {
		t.Error("the application or the key is lost")
	}
	if err := blank.Restore([]byte(`{"version":9}`)); err == nil {
		t.Error("a snapshot of another version must fail")
	}
}

func TestCallsAreListedAndFiltered(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Reject reason="busy"/></Response>`)
	first := s.call(mobile, office)
	s.advance(time.Hour)
	s.answer("/voice", `<Response><Hangup/></Response>`)
	next := s.call(second, office)
	all, err := s.tw.Api.ListCall(nil)
	s.must(err)
	if len(all) != 2 || *all[0].Sid != next || *all[1].Sid != first {
		t.Fatalf("newest first: %+v", all)
	}
	if *all[1].Status != "busy" || *all[1].Duration != "0" || *all[0].Status != "completed" || *all[0].Direction != "inbound" {
		t.Errorf("statuses %s %s", *all[1].Status, *all[0].Status)
	}
	for name, p := range map[string]*api.ListCallParams{
		"status": (&api.ListCallParams{}).SetStatus("busy"),
		"from":   (&api.ListCallParams{}).SetFrom(mobile),
		"before": (&api.ListCallParams{}).SetStartTimeBefore(s.clock.Now().Add(-time.Minute)),
	} {
		got, err := s.tw.Api.ListCall(p)
		s.must(err)
		if len(got) != 1 || *got[0].Sid != first {
			t.Errorf("filter by %s: %d calls", name, len(got))
		}
	}
	s.must(s.tw.Api.DeleteCall(first, nil))
	if _, err := s.tw.Api.FetchCall(first, nil); code(err) != 20404 {
		t.Errorf("deleted: %v", err)
	}
}
