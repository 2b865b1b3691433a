package delivery_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/delivery"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// stage is a database with a log, jobs and deliveries that run, on a clock that
// stands still, and two organizations.
type stage struct {
	t    *testing.T
	d    *db.DB
	clk  *clock.Fake
	log  *event.Log
	jobs *job.Runner
	svc  *delivery.Service

	mu   sync.Mutex // guards show
	show func(who access.Actor, e event.Event) (delivery.Shown, error)
}

func newStage(t *testing.T, change ...func(*delivery.Deps)) *stage {
	t.Helper()
	t.Parallel()
	clk := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	d := testkit.DB(t, testkit.Clock(clk))
	keys, err := secret.New()
	must(t, err)
	quiet := slog.New(slog.DiscardHandler)
	log, err := event.New(d, event.Options{Sealer: keys, Logger: quiet})
	must(t, err)
	s := &stage{t: t, d: d, clk: clk, log: log, jobs: job.New(d, clk, job.RunnerOptions{Logger: quiet})}
	s.show = func(_ access.Actor, e event.Event) (delivery.Shown, error) {
		return delivery.Shown{Visible: true, Subject: "Thing", Data: json.RawMessage(`{"id":"` + e.Subject.String() + `"}`)}, nil
	}
	deps := delivery.Deps{DB: d, Keys: keys, Events: log, Loopback: true, Logger: quiet,
		Show: func(_ context.Context, who access.Actor, e event.Event) (delivery.Shown, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.show(who, e)
		}}
	for _, f := range change {
		f(&deps)
	}
	s.svc = delivery.New(deps, s.jobs)
	must(t, log.Start(t.Context()))
	must(t, s.jobs.Start(t.Context()))
	t.Cleanup(func() {
		s.jobs.Stop()
		log.Stop()
		s.svc.Close()
	})
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// person is somebody of an organization.
type person struct {
	*stage
	ctx context.Context
	who access.Actor
}

// found makes an organization and gives its administrator.
func (s *stage) found() *person {
	s.t.Helper()
	org := id.New(id.Organization)
	ctx := db.WithTenant(s.t.Context(), org)
	var admin *access.Role
	must(s.t, s.d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := db.Exec(ctx, tx, `INSERT INTO organization (organization_id, name, updated_at) VALUES ($1, 'Stage', $2)`, org, tx.Now); err != nil {
			return err
		}
		roles, err := access.CreateBuiltIn(ctx, tx)
		admin = roles[access.Admin]
		return err
	}))
	return s.as(access.Actor{OrganizationID: org, UserID: id.New(id.User), RoleID: admin.ID, Permissions: access.SetOf(access.All...), Visibility: access.SeesOrganization})
}

func (s *stage) as(who access.Actor) *person {
	return &person{stage: s, ctx: access.With(s.t.Context(), who), who: who}
}

// role makes a role with these permissions.
func (p *person) role(v access.Visibility, permissions ...access.Permission) id.ID {
	p.t.Helper()
	r, err := access.New(access.Deps{DB: p.d}).Create(p.ctx, p.who, access.NewRole{Name: fmt.Sprintf("Role %d", time.Now().UnixNano()), Permissions: permissions, Visibility: v})
	must(p.t, err)
	return r.ID
}

// endpoint makes one at the receiver, of the person's own role unless told.
func (p *person) endpoint(r *receiver, change ...func(*delivery.NewEndpoint)) *delivery.Endpoint {
	p.t.Helper()
	in := delivery.NewEndpoint{URL: r.URL + "/hooks?token=private", RoleID: p.who.RoleID}
	for _, f := range change {
		f(&in)
	}
	e, secret, err := p.svc.Create(p.ctx, p.who, in, "")
	must(p.t, err)
	r.addSecret(secret)
	return e
}

// happen writes events of a kind in one transaction and gives their subjects.
func (p *person) happen(kinds ...event.Kind) (subjects []id.ID) {
	p.t.Helper()
	must(p.t, p.d.InTx(p.ctx, func(ctx context.Context, tx *db.Tx) error {
		for _, k := range kinds {
			x := id.New(id.Call)
			subjects = append(subjects, x)
			if err := event.Append(ctx, tx, event.Event{Kind: k, Subject: x, ActorID: p.who.UserID, Data: json.RawMessage(`{"n":1}`)}); err != nil {
				return err
			}
		}
		return nil
	}))
	return subjects
}

// settle waits until everything that is due has been sent.
func (s *stage) settle() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	for range 2 {
		must(s.t, s.log.Drain(ctx))
		must(s.t, s.jobs.Drain(ctx))
		must(s.t, s.jobs.RunSweeps(ctx))
		must(s.t, s.jobs.Drain(ctx))
	}
}

func (s *stage) pass(d time.Duration) {
	s.t.Helper()
	s.clk.Advance(d)
	s.settle()
}

func (p *person) deliveries(e *delivery.Endpoint, status delivery.Status) []*delivery.Delivery {
	p.t.Helper()
	w, err := p.svc.Deliveries(p.ctx, p.who, e.ID, status, db.Page{First: 100})
	must(p.t, err)
	return w.Nodes
}

func (p *person) attempts(d *delivery.Delivery) []*delivery.Attempt {
	p.t.Helper()
	m, err := p.svc.AttemptsByDeliveries(p.ctx, p.who, []id.ID{d.ID})
	must(p.t, err)
	return m[d.ID]
}

func (p *person) get(e *delivery.Endpoint) *delivery.Endpoint {
	p.t.Helper()
	got, err := p.svc.Get(p.ctx, p.who, e.ID)
	must(p.t, err)
	return got
}

func code(err error) errs.Code { return errs.CodeOf(err) }

// post is what a receiver got.
type post struct {
	header    http.Header
	signature string
	raw       []byte
	verified  int // signatures that fit one of the secrets
	ID        string
	Kind      string
	At        time.Time
	Cursor    *string
	Org       string `json:"organizationId"`
	ActorID   *string
	Subject   struct{ Type, ID string }
	Facts     map[string]any
	Data      json.RawMessage
}

// receiver is somebody else's server.
type receiver struct {
	*httptest.Server
	t       *testing.T
	mu      sync.Mutex // guards the rest
	secrets []string
	posts   []post
	answer  func(n int, w http.ResponseWriter, r *http.Request, p post) // n counts from 0
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) addSecret(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, s)
}

func (r *receiver) answers(f func(n int, w http.ResponseWriter, r *http.Request, p post)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

func (r *receiver) says(status int) {
	r.answers(func(_ int, w http.ResponseWriter, _ *http.Request, _ post) { w.WriteHeader(status) })
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	raw, _ := io.ReadAll(req.Body)
	p := post{header: req.Header, signature: req.Header.Get("Switchboard-Signature"), raw: raw}
	_ = json.Unmarshal(raw, &p)
	r.mu.Lock()
	for _, s := range r.secrets {
		p.verified += verified(s, p.signature, raw)
	}
	n, answer := len(r.posts), r.answer
	r.posts = append(r.posts, p)
	r.mu.Unlock()
	if answer != nil {
		answer(n, w, req, p)
	}
}

func (r *receiver) all() []post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]post(nil), r.posts...)
}

func (r *receiver) kinds() (out []string) {
	for _, p := range r.all() {
		out = append(out, p.Kind)
	}
	return out
}

// verified counts the signatures that fit, as the guide tells receivers to check them.
func verified(secret, header string, body []byte) (n int) {
	t, rest, _ := strings.Cut(strings.TrimPrefix(header, "t="), ",")
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(t + "."))
	m.Write(body)
	for v := range strings.SplitSeq(rest, ",") {
		if sum, err := hex.DecodeString(strings.TrimPrefix(v, "v1=")); err == nil && hmac.Equal(sum, m.Sum(nil)) {
			n++
		}
	}
	return n
}
