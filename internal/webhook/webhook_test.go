package webhook_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/inbox"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
	"switchboard/internal/twilio"
	"switchboard/internal/webhook"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	ours      = "+61255501234"
	theirs    = "+61400999888"
	accessKey = "THEACCESSKEY"
)

func sid(kind string, n int) string { return fmt.Sprintf("%s%032d", kind, n) }

// line is one organization with a connected number.
type line struct {
	org, connection id.ID
	account, token  string
}

// stage is two organizations behind one handler.
type stage struct {
	t     *testing.T
	db    *db.DB
	clock *clock.Fake
	calls *call.Service
	hooks *webhook.Handler
	base  *url.URL
	lines map[id.ID]line

	acme, other line
}

// hooks are addresses as package number makes them.
type hooks struct{ prefix string }

func (h hooks) TwiML(path string, _ url.Values) string    { return h.prefix + path }
func (h hooks) Callback(path string, _ url.Values) string { return h.prefix + path }

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, clock: clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)), lines: map[id.ID]line{}}
	s.db = testkit.DB(t, testkit.Clock(s.clock), testkit.MaxConns(4))
	keys, err := secret.New()
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	box, err := inbox.New(s.db, inbox.Options{Sealer: keys, Logger: quiet, LockTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	s.base, _ = url.Parse("https://phone.test")
	address := func(_ context.Context, connection id.ID) (call.Hooks, error) {
		return hooks{s.base.String() + "/twilio/" + connection.String() + "/" + accessKey + "/"}, nil
	}
	s.calls = call.New(call.Deps{DB: s.db, Clock: s.clock, Logger: quiet, Hooks: address})
	s.hooks = webhook.New(webhook.Options{
		Base: s.base, Box: box, Calls: s.calls, Clock: s.clock, Logger: quiet, Hooks: address,
		Account: func(_ context.Context, connection id.ID) (webhook.Account, error) {
			l, ok := s.lines[connection]
			if !ok {
				return webhook.Account{}, errs.New(errs.NotFound, "no")
			}
			return webhook.Account{Organization: l.org, AccountSID: l.account, Tokens: []string{l.token}, AccessKeyOK: func(k string) bool { return k == accessKey }}, nil
		},
	})
	s.acme, s.other = s.settle(1), s.settle(2)
	return s
}

func (s *stage) exec(org id.ID, sql string, args ...any) {
	s.t.Helper()
	err := s.db.InTx(db.WithTenant(s.t.Context(), org), func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Pgx().Exec(ctx, sql, args...)
		return err
	})
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s *stage) settle(n int) line {
	s.t.Helper()
	l := line{org: id.New(id.Organization), connection: id.New(id.Connection), account: sid("AC", n), token: fmt.Sprintf("token-%d", n)}
	now := s.clock.Now()
	s.exec(l.org, `INSERT INTO organization (organization_id, name, default_country, updated_at) VALUES ($1, 'Acme', 'AU', $2)`, l.org, now)
	s.exec(l.org, `INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at)
		VALUES ($1, $2, 'Main', $3, 'FULL', 'active', $4)`, l.org, l.connection, l.account, now)
	s.exec(l.org, `INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, is_enabled, is_default, forwarding_numbers, updated_at)
		VALUES ($1, $2, $3, $4, $5, 'Sydney', 'AU', true, true, true, true, true, '{+61400333222}', $6)`, l.org, id.New(id.PhoneNumber), l.connection, ours, sid("PN", n), now)
	s.lines[l.connection] = l
	return l
}

// request is a post of Twilio's, signed.
func (s *stage) request(l line, path string, form url.Values) *http.Request {
	s.t.Helper()
	target := "/twilio/" + l.connection.String() + "/" + accessKey + "/" + path
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(l.token, s.base.String()+target, form))
	return r
}

func (s *stage) send(r *http.Request) (int, string) {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.hooks.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// post sends a signed form and wants it taken.
func (s *stage) post(l line, path string, form url.Values, token ...string) string {
	s.t.Helper()
	r := s.request(l, path, form)
	if len(token) > 0 {
		r.Header.Set(twilio.IdempotencyHeader, token[0])
	}
	status, body := s.send(r)
	if status/100 != 2 {
		s.t.Fatalf("%s: %d %s", path, status, body)
	}
	return body
}

func (l line) form(n int, pairs ...string) url.Values {
	v := url.Values{"AccountSid": {l.account}, "CallSid": {sid("CA", n)}, "From": {theirs}, "To": {ours}, "CallStatus": {"ringing"}, "Direction": {"inbound"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func (s *stage) count(org id.ID, table string) (n int) {
	s.t.Helper()
	err := s.db.InTx(db.WithTenant(s.t.Context(), org), func(ctx context.Context, tx *db.Tx) error {
		return tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM `+table).Scan(&n)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// lock holds a table until released.
func (s *stage) lock(table string) (release func()) {
	s.t.Helper()
	locked, free, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		err := s.db.InWorkerTx(context.WithoutCancel(s.t.Context()), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Pgx().Exec(ctx, `LOCK TABLE `+table+` IN ACCESS EXCLUSIVE MODE`)
			close(locked)
			<-free
			return err
		})
		if err != nil {
			s.t.Error(err)
		}
	}()
	<-locked
	return func() { close(free); <-done }
}

func (s *stage) only(l line) *call.Call {
	s.t.Helper()
	who := access.System(l.org)
	w, err := s.calls.List(access.With(s.t.Context(), who), who, call.Filter{}, db.Page{})
	if err != nil || len(w.Nodes) != 1 {
		s.t.Fatalf("%d calls, %v", len(w.Nodes), err)
	}
	return w.Nodes[0]
}

// verbs are the elements directly below <Response>, in order.
func verbs(t *testing.T, doc string) (out []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(doc))
	for depth := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s is no XML: %v", doc, err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			if depth++; depth == 2 {
				out = append(out, x.Name.Local)
			}
		case xml.EndElement:
			depth--
		}
	}
}

// reliability 16, R017, D28.
func TestWhatTwilioDidNotSendIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	l := s.acme
	cut := func(r *http.Request) {
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader("AccountSid=AC"), broken{}))
	}
	for name, x := range map[string]struct {
		why    string
		path   string
		form   url.Values
		change func(r *http.Request)
		want   int
	}{
		"not signed": {"", "voice", l.form(1), func(r *http.Request) { r.Header.Del(twilio.SignatureHeader) }, 403},
		"another token": {"", "voice", l.form(1), func(r *http.Request) {
			r.Header.Set(twilio.SignatureHeader, s.request(s.other, "voice", l.form(1)).Header.Get(twilio.SignatureHeader))
		}, 403},
		"another key":     {"the key is in the signed address", "voice", l.form(1), func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, accessKey, "X", 1) }, 403},
		"another account": {"a signature proves the token, not the account", "voice", l.form(1, "AccountSid", s.other.account), nil, 403},
		"no account":      {"", "voice", l.form(1, "AccountSid", ""), nil, 403},
		"another's address": {"", "voice", l.form(1), func(r *http.Request) {
			r.URL.Path = strings.Replace(r.URL.Path, l.connection.String(), s.other.connection.String(), 1)
		}, 403},
		"a field moved":   {"fields have no boundaries in what is signed", "voice", l.form(1), moved, 403},
		"GET":             {"", "voice", l.form(1), func(r *http.Request) { r.Method = http.MethodGet }, 405},
		"JSON":            {"", "voice", l.form(1), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 415},
		"too large":       {"", "voice", l.form(1, "CallerName", strings.Repeat("x", webhook.MaxBody)), nil, 413},
		"cut":             {"", "voice", l.form(1), cut, 400},
		"no such address": {"", "voice/other", l.form(1), nil, 404},
		"no such call id": {"", "call/call_x/dial/1", l.form(1), nil, 404},
		"an id of a leg":  {"", "call/" + id.New(id.Leg).String() + "/dial/1", l.form(1), nil, 404},
		"a negative step": {"", "call/" + id.New(id.Call).String() + "/dial/-1", l.form(1), nil, 404},
		"no call":         {"", "voice", l.form(1, "CallSid", ""), nil, 400},
		"a message's SID": {"", "voice", l.form(1, "CallSid", sid("SM", 1)), nil, 400},
		"a long name":     {"", "voice", l.form(1, "CallerName", strings.Repeat("x", 300)), nil, 400},
	} {
		r := s.request(l, x.path, x.form)
		if x.change != nil {
			x.change(r)
		}
		if got, body := s.send(r); got != x.want {
			t.Errorf("%s (%s): %d %s, want %d", name, x.why, got, body, x.want)
		}
	}
	if n := s.count(l.org, "twilio_post") + s.count(l.org, "call") + s.count(s.other.org, "twilio_post"); n != 0 {
		t.Errorf("%d rows were kept of what was refused", n)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// moved makes "AccountSid=AC…" into "AccountSi=dAC…", which has the same signature.
func moved(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), "AccountSid=", "AccountSi=d", 1)))
}

// reliability 17: what was captured is sent again, with another idempotency token
// too, which no signature covers; and after the call is over.
func TestAReplayHasNoEffect(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	l := s.acme
	first := s.post(l, "voice", l.form(1), "one")
	if got := verbs(t, first); !slices.Equal(got, []string{"Dial"}) {
		t.Fatalf("%v", got)
	}
	before := s.only(l)
	if again := s.post(l, "voice", l.form(1), "one"); again != first {
		t.Errorf("the same post: %s", again)
	}
	if again := s.post(l, "voice", l.form(1), "two"); again != first {
		t.Errorf("with another token: %s", again)
	}
	if c := s.only(l); c.Version != before.Version {
		t.Errorf("the call changed from version %d to %d", before.Version, c.Version)
	}
	ended := l.form(1, "CallStatus", "completed", "CallDuration", "5", "Timestamp", "Mon, 02 Mar 2026 09:00:05 +0000", "SequenceNumber", "0")
	for range 3 {
		s.post(l, "status", ended)
	}
	over := s.only(l)
	if over.EndedAt == nil || over.Version != before.Version+1 {
		t.Errorf("%s, version %d after %d", over.Status, over.Version, before.Version)
	}
	path := "call/" + over.ID.String()
	for _, late := range []struct {
		path string
		form url.Values
	}{
		{"voice", l.form(1)},
		{"voice/fallback", l.form(1, "ErrorCode", "11200")},
	} {
		if got := verbs(t, s.post(l, late.path, late.form, "three")); len(got) != 0 {
			t.Errorf("%s after the end: %v", late.path, got)
		}
	}
	if got := verbs(t, s.post(l, path+"/dial/1", l.form(1, "CallStatus", "completed", "DialCallStatus", "no-answer"))); len(got) != 0 {
		t.Errorf("the dial after the end: %v", got)
	}
	if c := s.only(l); c.Status != over.Status || !c.EndedAt.Equal(*over.EndedAt) {
		t.Errorf("the ended call is %s at %s", c.Status, c.EndedAt)
	}
}

// reliability 16 and 17: a valid signature of one organization with ids of another in the path.
func TestASignatureReachesNothingOfAnotherOrganization(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	victim, l := s.other, s.acme
	s.post(victim, "voice", victim.form(7))
	before := s.only(victim)
	legs, err := s.calls.LegsByCalls(access.With(t.Context(), access.System(victim.org)), []id.ID{before.ID})
	if err != nil {
		t.Fatal(err)
	}
	facts := s.count(victim.org, "call_fact")
	path := "call/" + before.ID.String()
	for _, x := range []struct {
		path string
		form url.Values
	}{
		{path + "/status", l.form(7, "CallStatus", "completed")},
		{path + "/leg/" + legs[before.ID][0].ID.String(), l.form(7, "CallStatus", "in-progress")},
		{path + "/recording", l.form(7, "RecordingSid", sid("RE", 1), "RecordingStatus", "completed", "RecordingDuration", "9")},
		{path + "/dial/1", l.form(7, "DialCallStatus", "completed", "DialCallSid", sid("CA", 8), "CallStatus", "in-progress")},
		{path + "/voicemail/2", l.form(7, "RecordingSid", sid("RE", 1), "CallStatus", "in-progress")},
		{path + "/bridge", l.form(7, "CallStatus", "in-progress")},
		{"status", l.form(7, "CallStatus", "completed")},
	} {
		if doc := s.post(l, x.path, x.form); doc != "" && !slices.Equal(verbs(t, doc), []string{"Hangup"}) {
			t.Errorf("%s: %s", x.path, doc)
		}
	}
	if c := s.only(victim); c.Version != before.Version || s.count(victim.org, "call_fact") != facts {
		t.Errorf("the other organization's call is %s, version %d after %d", c.Status, c.Version, before.Version)
	}
	if n := s.count(l.org, "call") + s.count(l.org, "call_fact"); n != 0 {
		t.Errorf("%d rows came over", n)
	}
}

// What callers and networks say is text, never an instruction.
func TestNothingThatIsSaidBecomesAVerb(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	l := s.acme
	const evil = `</Say></Number></Dial><Dial><Number>+19005550100</Number></Dial><Say a="&quot;`
	s.exec(l.org, `UPDATE phone_number SET welcome_text = $2, voicemail_greeting_text = $2, forwarding_numbers = '{}' WHERE organization_id = $1`, l.org, evil)
	doc := s.post(l, "voice", l.form(1, "From", evil, "CallerName", evil))
	if got := verbs(t, doc); !slices.Equal(got, []string{"Say", "Say", "Record"}) {
		t.Errorf("%v: %s", got, doc)
	}
	if strings.Contains(doc, "<Number>") {
		t.Errorf("a number is dialled: %s", doc)
	}
}

// reliability 13: the caller hears something useful, and hears it again when asked again.
func TestWhenDecidingFailsTheCallerGetsTheNumbersForwarding(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	l := s.acme
	release := s.lock("contact_phone") // who is calling cannot be found out
	defer release()
	first := s.post(l, "voice", l.form(1), "one")
	if got := verbs(t, first); !slices.Equal(got, []string{"Dial"}) || !strings.Contains(first, "+61400333222") {
		t.Fatalf("the caller hears %s", first)
	}
	if again := s.post(l, "voice", l.form(1), "one"); again != first {
		t.Errorf("asked again: %s", again)
	}
	c, who := s.only(l), access.System(l.org)
	d, err := s.calls.DecisionsByCalls(access.With(t.Context(), who), who, []id.ID{c.ID})
	if err != nil || !c.Live() || d[c.ID].Trace[0].Rule != "FALLBACK" {
		t.Errorf("the call is %s, its route %+v, %v", c.Status, d[c.ID], err)
	}
}

func TestWithoutADatabaseTwilioIsToldToTryAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.request(s.acme, "voice", s.acme.form(1))
	s.db.Close()
	if status, body := s.send(r); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", status, body)
	}
}
