package session_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/secret"
	"switchboard/internal/session"
	"switchboard/internal/tenant"
	"switchboard/internal/testkit"
	"switchboard/internal/user"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const password = "correct horse battery"

// stage is an installation with the services that signing in touches.
type stage struct {
	t        *testing.T
	d        *db.DB
	clk      *clock.Fake // nil with the machine's clock
	keys     *secret.Keyring
	sessions *session.Service
	users    *user.Service
	tenants  *tenant.Service
	roles    *access.Service
}

type noBranches struct{}

func (noBranches) SetForUser(ctx context.Context, tx *db.Tx, u id.ID, branches []id.ID) error {
	if _, err := db.Exec(ctx, tx, `DELETE FROM branch_user WHERE organization_id = $1 AND user_id = $2`, db.TenantFrom(ctx), u); err != nil {
		return err
	}
	for _, b := range branches {
		if _, err := db.Exec(ctx, tx, `INSERT INTO branch_user (organization_id, branch_id, user_id) VALUES ($1, $2, $3)`, db.TenantFrom(ctx), b, u); err != nil {
			return err
		}
	}
	return nil
}

func (noBranches) ForUsers(context.Context, []id.ID) (map[id.ID][]id.ID, error) { return nil, nil }

func open(t *testing.T) *stage {
	t.Helper()
	clk := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := over(t, testkit.DB(t, testkit.Clock(clk)), nil)
	s.clk = clk
	return s
}

// over is one node of an installation.
func over(t *testing.T, d *db.DB, keys *secret.Keyring) *stage {
	t.Helper()
	if keys == nil {
		var err error
		if keys, err = secret.New(); err != nil {
			t.Fatal(err)
		}
	}
	sessions, err := session.New(session.Deps{DB: d, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	users := user.New(user.Deps{DB: d, Sessions: sessions, Branches: noBranches{}})
	return &stage{t: t, d: d, keys: keys, sessions: sessions, users: users,
		tenants: tenant.New(tenant.Deps{DB: d, Founder: users}),
		roles:   access.New(access.Deps{DB: d, Changed: sessions.Live().RoleChanged})}
}

// person is somebody who has signed in.
type person struct {
	ctx context.Context
	who access.Actor
	*session.Session
}

// from is a request from an address of the test's own.
func (s *stage) from(n int) context.Context {
	return session.WithClientIP(s.t.Context(), netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}))
}

func (s *stage) must(x *session.Session, err error) *person {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	who, _, err := s.sessions.Authenticate(s.t.Context(), x.AccessToken)
	if err != nil {
		s.t.Fatal(err)
	}
	return &person{ctx: access.With(s.from(1), who), who: who, Session: x}
}

func (s *stage) found(name, email string) *person {
	s.t.Helper()
	_, first, err := s.tenants.Create(s.t.Context(), tenant.Founding{Name: name, AdminEmail: email})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.must(s.sessions.Accept(s.from(1), session.Acceptance{Token: first.Token, Password: password}))
}

func (s *stage) role(p *person, b access.BuiltInRole) id.ID {
	s.t.Helper()
	list, err := s.roles.List(p.ctx, p.who)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range list {
		if r.Is(b) {
			return r.ID
		}
	}
	s.t.Fatalf("no role %s", b)
	return id.ID{}
}

func (s *stage) invite(by *person, email string, b access.BuiltInRole) (*user.User, string) {
	s.t.Helper()
	u, inv, err := s.users.Create(by.ctx, by.who, user.Create{Email: email, Name: "Somebody", RoleID: s.role(by, b)})
	if err != nil {
		s.t.Fatal(err)
	}
	return u, inv.Token
}

func (s *stage) join(by *person, email string, b access.BuiltInRole) *person {
	s.t.Helper()
	_, token := s.invite(by, email, b)
	return s.must(s.sessions.Accept(s.from(1), session.Acceptance{Token: token, Password: password}))
}

func (s *stage) signIn(email, pw string) (*session.Session, error) {
	return s.sessions.SignIn(s.from(1), session.SignIn{Email: email, Password: pw})
}

// dead fails unless the access token is refused.
func (s *stage) dead(x *session.Session, why string) {
	s.t.Helper()
	if _, _, err := s.sessions.Authenticate(s.t.Context(), x.AccessToken); errs.CodeOf(err) != errs.Unauthenticated {
		s.t.Errorf("the access token still works although %s: %v", why, err)
	}
}

func (s *stage) alive(x *session.Session, why string) {
	s.t.Helper()
	if _, _, err := s.sessions.Authenticate(s.t.Context(), x.AccessToken); err != nil {
		s.t.Errorf("the access token works no more although %s: %v", why, err)
	}
}

func want(t *testing.T, err error, code errs.Code, why string) {
	t.Helper()
	if errs.CodeOf(err) != code {
		t.Errorf("%s: got %v, want %s", why, err, code)
	}
}

// answer is all that a client learns from an error.
func answer(err error) string {
	e, ok := errs.As(err)
	if !ok {
		return fmt.Sprint(err)
	}
	return fmt.Sprint(e.Code, e.Message, e.Field)
}
