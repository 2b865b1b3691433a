package diagnose_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/diagnose"
	"switchboard/internal/emulator"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/number"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
	"switchboard/internal/twilio"
	"switchboard/internal/user"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// stage is the doctor with an organization that has a connection, a number, a branch
// and Ann, who has a device in it. Twilio is the emulator.
type stage struct {
	*testing.T
	db      *db.DB
	clock   *clock.Fake
	em      *emulator.Emulator
	between atomic.Pointer[func(r *http.Request)] // what happens before Twilio takes a request
	numbers *number.Service
	calls   *call.Service
	svc     *diagnose.Service
	jobs    *job.Runner

	org, branch, role, ann id.ID
	boss                   access.Actor
	connection             *number.Connection
	line                   *number.PhoneNumber
	accounts               int
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, clock: clock.NewFake(start), org: id.New(id.Organization), branch: id.New(id.Branch), role: id.New(id.Role)}
	s.db = testkit.DB(t, testkit.Clock(s.clock))
	quiet := slog.New(slog.DiscardHandler)
	s.em = emulator.New(emulator.Options{Clock: s.clock, Seed: 1, Logger: quiet})
	rest := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fn := s.between.Load(); fn != nil {
			(*fn)(r)
		}
		s.em.ServeHTTP(w, r)
	}))
	s.em.SetBaseURL(rest.URL)
	base, err := url.Parse(rest.URL)
	s.must(err)
	transport := twilio.NewTransport(twilio.TransportOptions{BaseURL: base, Timeout: 10 * time.Second, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	t.Cleanup(func() {
		transport.Close()
		s.em.Stop()
		rest.Close()
	})
	keys, err := secret.New()
	s.must(err)
	blobs, err := blob.OpenStore(t.Context(), "mem://", keys)
	s.must(err)
	t.Cleanup(func() { _ = blobs.Close() })
	public := &url.URL{Scheme: "https", Host: "phone.example.test"}
	s.numbers = number.New(number.Deps{DB: s.db, Keys: keys, Twilio: transport, PublicURL: public, Blobs: blobs, Logger: quiet})
	s.calls = call.New(call.Deps{DB: s.db, Clock: s.clock, Logger: quiet})
	s.svc = diagnose.New(diagnose.Deps{DB: s.db, Base: public, Numbers: s.numbers, Users: user.New(user.Deps{DB: s.db}), Calls: s.calls, Logger: quiet})
	s.jobs = job.New(s.db, s.clock, job.RunnerOptions{Logger: quiet})
	log, err := event.New(s.db, event.Options{Sealer: keys, Logger: quiet})
	s.must(err)
	s.svc.Register(s.jobs, log)
	s.must(s.jobs.Start(t.Context()))
	t.Cleanup(s.jobs.Stop)

	s.exec(`INSERT INTO organization (organization_id, name, default_country, updated_at) VALUES ($1, 'Acme', 'AU', $2)`, s.org, start)
	s.exec(`INSERT INTO role (organization_id, id, name, permissions, updated_at) VALUES ($1, $2, 'Office', '{CALL_RECEIVE}', $3)`, s.org, s.role, start)
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'Sydney', $3)`, s.org, s.branch, start)
	s.ann = s.person("ann")
	s.exec(`INSERT INTO device (organization_id, id, user_id, name, platform, registered_at, last_seen_at) VALUES ($1, $2, $3, 'Desk', 'WEB', $4, $4)`, s.org, id.New(id.Device), s.ann, start)
	s.exec(`INSERT INTO branch_user (organization_id, branch_id, user_id) VALUES ($1, $2, $3)`, s.org, s.branch, s.ann)
	s.boss = access.Actor{OrganizationID: s.org, UserID: s.ann, RoleID: s.role, Visibility: access.SeesOrganization, Permissions: access.SetOf(access.All...)}
	s.connection, s.line = s.connect()
	s.exec(`UPDATE phone_number SET branch_id = $2, is_enabled = true WHERE organization_id = $1`, s.org, s.branch)
	return s
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) exec(sql string, args ...any) {
	s.Helper()
	_, err := db.Exec(context.Background(), s.db.Worker(), sql, args...)
	s.must(err)
}

func (s *stage) count(sql string, args ...any) (n int) {
	s.Helper()
	s.must(db.Select(context.Background(), s.db.Worker(), &n, sql, args...))
	return n
}

func (s *stage) person(name string) id.ID {
	s.Helper()
	x := id.New(id.User)
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, updated_at) VALUES ($1, $2, $3, $4, $5, $6, 'ACTIVE', $7)`,
		s.org, x, id.New(id.Login), name+"@acme.test", name, s.role, start)
	return x
}

// connect connects one more account with a number.
func (s *stage) connect() (*number.Connection, *number.PhoneNumber) {
	s.Helper()
	s.accounts++
	account, token, e164 := fmt.Sprintf("AC%032x", s.accounts), fmt.Sprintf("%032x", s.accounts), fmt.Sprintf("+6125550%04d", s.accounts)
	s.must(s.em.AddAccount(account, token, emulator.Full))
	sid, err := s.em.AddNumber(account, emulator.NumberSpec{E164: e164})
	s.must(err)
	c, n, err := s.numbers.CreateConnection(s.Context(), s.boss, number.ConnectionCreate{Name: fmt.Sprintf("Account %d", s.accounts), AccountSid: account, AuthToken: token, PhoneNumber: e164, PhoneNumberSid: sid})
	s.must(err)
	return c, n
}

func (s *stage) ctx() context.Context { return access.With(s.Context(), s.boss) }

// diagnose is what the doctor says to somebody who asks.
func (s *stage) diagnose(in diagnose.Input) *diagnose.Diagnosis {
	s.Helper()
	d, err := s.svc.Diagnose(s.Context(), s.boss, in)
	s.must(err)
	return d
}

// sweep lets the regular looks run that are due.
func (s *stage) sweep() {
	s.Helper()
	s.must(s.jobs.RunSweeps(s.Context()))
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	s.must(s.jobs.Drain(ctx))
}

// later lets time pass until every regular look was due.
func (s *stage) later() {
	s.Helper()
	s.clock.Advance(time.Minute)
	s.sweep() // what is new gets its time
	s.clock.Advance(31 * time.Minute)
	s.sweep()
}

// open are the open findings of a code.
func (s *stage) open(code diagnose.Code) (all []*diagnose.Finding) {
	s.Helper()
	yes := true
	w, err := s.svc.List(s.Context(), s.boss, diagnose.Filter{IsOpen: &yes, Codes: []diagnose.Code{code}}, db.Page{})
	s.must(err)
	return w.Nodes
}

// named reports whether a diagnosis names a code, and what the check came to.
func named(d *diagnose.Diagnosis, code diagnose.Code) bool {
	for _, f := range d.Findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

// told is how many events tell of findings.
func (s *stage) told() int {
	s.Helper()
	return s.count(`SELECT count(*) FROM event WHERE kind = $1`, string(diagnose.EventUpdated))
}

// hooks are addresses that Twilio never calls.
type hooks struct{}

func (hooks) TwiML(path string, _ url.Values) string { return "https://phone.example.test/" + path }

func (hooks) Callback(path string, _ url.Values) string { return "https://phone.example.test/" + path }
