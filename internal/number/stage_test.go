package number_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/emulator"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/number"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
	"switchboard/internal/twilio"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	accountSID = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	otherSID   = "ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	token      = "0123456789abcdef0123456789abcdef"
	newToken   = "fedcba9876543210fedcba9876543210"
	office     = "+61255501234"
	demoURL    = "https://demo.twilio.com/welcome/voice/"
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// stage is the service on a database of its own, with the real Twilio client
// pointed at an emulator.
type stage struct {
	*testing.T
	db     *db.DB
	clock  *clock.Fake
	em     *emulator.Emulator
	svc    *number.Service
	keys   *secret.Keyring
	runner *job.Runner
	admin  access.Actor
	sid    string // of the office number
	log    *syncBuffer

	transport *twilio.Transport
	restURL   string
}

type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func setup(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, clock: clock.NewFake(start), log: &syncBuffer{}}
	s.db = testkit.DB(t, testkit.Clock(s.clock))
	s.em = emulator.New(emulator.Options{Clock: s.clock, Seed: 1, Logger: slog.New(slog.DiscardHandler)})
	rest := httptest.NewServer(s.em)
	s.em.SetBaseURL(rest.URL)
	base, _ := url.Parse(rest.URL)
	s.restURL = rest.URL
	s.transport = twilio.NewTransport(twilio.TransportOptions{BaseURL: base, Timeout: 10 * time.Second,
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	t.Cleanup(func() {
		s.transport.Close()
		http.DefaultClient.CloseIdleConnections()
		s.em.Stop()
		rest.Close()
	})
	public, _ := url.Parse("https://phone.example.test")
	var err error
	s.keys, err = secret.New()
	s.must(err)
	blobs, err := blob.OpenStore(t.Context(), "mem://", s.keys)
	s.must(err)
	fetcher := blob.NewFetcher(blob.FetchOptions{Loopback: true})
	t.Cleanup(func() { fetcher.Close(); _ = blobs.Close() })
	s.svc = number.New(number.Deps{
		DB: s.db, Keys: s.keys, Twilio: s.transport, PublicURL: public, Blobs: blobs, Fetcher: fetcher, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	})
	s.must(s.em.AddAccount(accountSID, token, emulator.Full))
	s.sid = s.number(office, emulator.NumberSpec{FriendlyName: "Sydney", VoiceURL: demoURL})
	_, s.admin = s.organization("AU")
	return s
}

// run starts the jobs.
func (s *stage) run() *job.Runner {
	s.Helper()
	if s.runner == nil {
		s.runner = job.New(s.db, s.clock, job.RunnerOptions{Logger: slog.New(slog.DiscardHandler), FirstRetry: time.Millisecond})
		s.svc.Register(s.runner)
		s.must(s.runner.Start(context.Background()))
		s.Cleanup(s.runner.Stop)
	}
	return s.runner
}

func (s *stage) drain() {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 60*time.Second)
	defer cancel()
	s.must(s.run().Drain(ctx))
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) number(e164 string, spec emulator.NumberSpec) string {
	s.Helper()
	spec.E164 = e164
	sid, err := s.em.AddNumber(accountSID, spec)
	s.must(err)
	return sid
}

func (s *stage) exec(sql string, args ...any) {
	s.Helper()
	_, err := db.Exec(context.Background(), s.db.Worker(), sql, args...)
	s.must(err)
}

func (s *stage) count(sql string, args ...any) int {
	s.Helper()
	var n struct{ N int }
	s.must(db.Select(context.Background(), s.db.Worker(), &n, sql, args...))
	return n.N
}

func (s *stage) organization(country string) (id.ID, access.Actor) {
	s.Helper()
	org := id.New(id.Organization)
	s.exec(`INSERT INTO organization (organization_id, name, default_country, updated_at) VALUES ($1, 'Acme', $2, $3)`, org, country, start)
	user := s.user(org, "ann", false, "+61400000001")
	return org, access.Actor{OrganizationID: org, UserID: user, Visibility: access.SeesOrganization,
		Permissions: access.SetOf(access.NumberManage, access.ConnectionManage)}
}

func (s *stage) user(org id.ID, name string, fieldworker bool, primary string) id.ID {
	s.Helper()
	role, user := id.New(id.Role), id.New(id.User)
	s.exec(`INSERT INTO role (organization_id, id, name, updated_at) VALUES ($1, $2, $3, $4)`, org, role, role.String(), start)
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, is_fieldworker, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, 'ACTIVE', $7, $8)`, org, user, id.New(id.Login), name+"@demo.test", name, role, fieldworker, start)
	if primary != "" {
		s.exec(`INSERT INTO user_phone (organization_id, id, user_id, e164, is_primary) VALUES ($1, $2, $3, $4, true)`, org, id.New(id.UserPhone), user, primary)
	}
	return user
}

func (s *stage) ctx() context.Context { return access.With(s.Context(), s.admin) }

func (s *stage) values() number.ConnectionCreate {
	return number.ConnectionCreate{Name: "Main", AccountSid: accountSID, AuthToken: token, PhoneNumber: "+61 2 5550 1234", PhoneNumberSid: s.sid}
}

// connect connects the account and returns connection and number.
func (s *stage) connect() (*number.Connection, *number.PhoneNumber) {
	s.Helper()
	c, n, err := s.svc.CreateConnection(s.Context(), s.admin, s.values())
	s.must(err)
	return c, n
}

func (s *stage) get(n id.ID) *number.PhoneNumber {
	s.Helper()
	got, err := s.svc.Get(s.Context(), s.admin, n)
	s.must(err)
	return got
}

func (s *stage) connection(c id.ID) *number.Connection {
	s.Helper()
	got, err := s.svc.Connection(s.Context(), s.admin, c)
	s.must(err)
	return got
}

// spec is what the emulator has of a number.
func (s *stage) spec(e164 string) emulator.NumberSpec {
	s.Helper()
	spec, ok := s.em.Number(e164)
	if !ok {
		s.Fatal("the emulator has no number ", e164)
	}
	return spec
}

func (s *stage) numbers() map[string]*number.PhoneNumber {
	s.Helper()
	out := map[string]*number.PhoneNumber{}
	page := db.Page{First: 100}
	for {
		w, err := s.svc.List(s.Context(), s.admin, number.Filter{IncludeDisconnected: true}, page)
		s.must(err)
		for _, n := range w.Nodes {
			out[string(n.E164)] = n
		}
		if !w.HasNext {
			return out
		}
		page.After = w.EndCursor()
	}
}

// noSecretIn fails when a secret stands in clear text in anything that is kept or shown.
func (s *stage) noSecretIn(secrets ...string) {
	s.Helper()
	var rows []struct {
		Name string `bun:"name"`
		Row  string `bun:"row"`
	}
	s.must(db.Select(context.Background(), s.db.Worker(), &rows, `
		SELECT 'event' AS name, to_jsonb(t)::text AS row FROM event t
		UNION ALL SELECT 'audit_entry', to_jsonb(t)::text FROM audit_entry t
		UNION ALL SELECT 'twilio_connection', to_jsonb(t)::text FROM twilio_connection t
		UNION ALL SELECT 'phone_number', to_jsonb(t)::text FROM phone_number t
		UNION ALL SELECT 'twilio_secret', encode(t.sealed, 'escape') FROM twilio_secret t`))
	for _, x := range secrets {
		if x == "" {
			s.Fatal("an empty secret is in everything")
		}
		for _, r := range rows {
			if strings.Contains(r.Row, x) {
				s.Errorf("table %s holds a secret", r.Name)
			}
		}
		if strings.Contains(s.log.String(), x) {
			s.Error("the log holds a secret")
		}
	}
}

func (s *stage) accessKey(n *number.PhoneNumber) string {
	s.Helper()
	w, err := s.svc.Webhooks(s.Context(), s.admin, n)
	s.must(err)
	parts := strings.Split(strings.TrimPrefix(w.VoiceURL, "https://phone.example.test/twilio/"), "/")
	return parts[1]
}

func show(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func ptr[T any](v T) *T { return &v }

// client speaks to the emulator as the account's owner would.
func (s *stage) client(authToken string) *twilio.Client {
	s.Helper()
	c, err := twilio.NewClient(twilio.Options{AccountSID: accountSID, AuthToken: authToken, Transport: s.transport})
	s.must(err)
	return c
}
