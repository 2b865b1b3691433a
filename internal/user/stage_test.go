package user_test

import (
	"context"
	"encoding/json"
	"fmt"
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

type stage struct {
	t        *testing.T
	d        *db.DB
	clk      *clock.Fake
	keys     *secret.Keyring
	sessions *session.Service
	users    *user.Service
	roles    *access.Service
	tenants  *tenant.Service
}

// branches and lines stand for package number, which comes later in the house.
type branches struct{}

func (branches) SetForUser(ctx context.Context, tx *db.Tx, u id.ID, list []id.ID) error {
	org := db.TenantFrom(ctx)
	if _, err := db.Exec(ctx, tx, `DELETE FROM branch_user WHERE organization_id = $1 AND user_id = $2`, org, u); err != nil {
		return err
	}
	for _, b := range list {
		if _, err := db.Exec(ctx, tx, `INSERT INTO branch_user (organization_id, branch_id, user_id) VALUES ($1, $2, $3)`, org, b, u); err != nil {
			return errs.New(errs.NotFound, "there is no such branch").Because(err)
		}
	}
	return nil
}

func (branches) ForUsers(context.Context, []id.ID) (map[id.ID][]id.ID, error) { return nil, nil }

type lines struct{}

func (lines) AssignToUser(ctx context.Context, tx *db.Tx, u, number id.ID) error {
	org := db.TenantFrom(ctx)
	if _, err := db.Exec(ctx, tx, `UPDATE phone_number SET assigned_user_id = NULL WHERE organization_id = $1 AND assigned_user_id = $2`, org, u); err != nil {
		return err
	}
	if number.IsZero() {
		return nil
	}
	n, err := db.Exec(ctx, tx, `UPDATE phone_number SET assigned_user_id = $2 WHERE organization_id = $1 AND id = $3`, org, u, number)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "there is no such phone number")
	}
	return err
}

func open(t *testing.T) *stage {
	t.Helper()
	clk := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	d := testkit.DB(t, testkit.Clock(clk))
	keys, err := secret.New()
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := session.New(session.Deps{DB: d, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	users := user.New(user.Deps{DB: d, Keys: keys, Sessions: sessions, Branches: branches{}, Lines: lines{}})
	return &stage{t: t, d: d, clk: clk, keys: keys, sessions: sessions, users: users, roles: access.New(access.Deps{DB: d}),
		tenants: tenant.New(tenant.Deps{DB: d, Founder: users})}
}

type person struct {
	ctx context.Context
	who access.Actor
}

func (s *stage) accept(token string) *person {
	s.t.Helper()
	x, err := s.sessions.Accept(s.t.Context(), session.Acceptance{Token: token, Password: password})
	if err != nil {
		s.t.Fatal(err)
	}
	who, _, err := s.sessions.Authenticate(s.t.Context(), x.AccessToken)
	if err != nil {
		s.t.Fatal(err)
	}
	return &person{ctx: access.With(s.t.Context(), who), who: who}
}

func (s *stage) found(name, email string) *person {
	s.t.Helper()
	_, first, err := s.tenants.Create(s.t.Context(), tenant.Founding{Name: name, DefaultCountry: "AU", AdminEmail: email})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.accept(first.Token)
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

func (s *stage) invite(by *person, email string, role id.ID) (*user.User, string) {
	s.t.Helper()
	u, inv, err := s.users.Create(by.ctx, by.who, user.Create{Email: email, Name: "Somebody", RoleID: role})
	if err != nil {
		s.t.Fatal(err)
	}
	return u, inv.Token
}

func (s *stage) join(by *person, email string, b access.BuiltInRole) *person {
	s.t.Helper()
	_, token := s.invite(by, email, s.role(by, b))
	return s.accept(token)
}

// manager is somebody who manages people and may do little else.
func (s *stage) manager(by *person, email string, more ...access.Permission) *person {
	s.t.Helper()
	r, err := s.roles.Create(by.ctx, by.who, access.NewRole{Name: email, Visibility: access.SeesBranch, Permissions: append(more, access.UserManage)})
	if err != nil {
		s.t.Fatal(err)
	}
	_, token := s.invite(by, email, r.ID)
	return s.accept(token)
}

func (s *stage) branch(p *person, name string) id.ID {
	s.t.Helper()
	b := id.New(id.Branch)
	s.exec(p, `INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, $3, $4)`, p.who.OrganizationID, b, name, s.clk.Now())
	return b
}

func (s *stage) number(p *person, e164 string) id.ID {
	s.t.Helper()
	n, c := id.New(id.PhoneNumber), id.New(id.Connection)
	u := c.UUID()
	s.exec(p, `INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at)
		VALUES ($1, $2, 'Main', $3, 'FULL', 'active', $4)`, p.who.OrganizationID, c, fmt.Sprintf("AC%x", u), s.clk.Now())
	s.exec(p, `INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, updated_at)
		VALUES ($1, $2, $3, $4, $5, 'Line', 'AU', true, true, true, $6)`,
		p.who.OrganizationID, n, c, e164, fmt.Sprintf("PN%x", u), s.clk.Now())
	return n
}

func (s *stage) exec(p *person, query string, args ...any) {
	s.t.Helper()
	if _, err := db.Exec(p.ctx, s.d.App(), query, args...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) get(p *person, u id.ID) *user.User {
	s.t.Helper()
	x, err := s.users.Get(p.ctx, p.who, u)
	if err != nil {
		s.t.Fatal(err)
	}
	return x
}

type told struct {
	Subject id.ID           `bun:"subject"`
	Actor   id.ID           `bun:"actor_id"`
	Data    json.RawMessage `bun:"data"`
}

// told is the USER_UPDATED events about a user, oldest first.
func (s *stage) told(u id.ID) (out []told) {
	s.t.Helper()
	if err := db.Select(s.t.Context(), s.d.Worker(), &out, `SELECT subject, actor_id, data FROM event WHERE kind = 'USER_UPDATED' AND subject = $1 ORDER BY log_id`, u); err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *stage) audited(subject id.ID, action string) (n int) {
	s.t.Helper()
	if err := db.Select(s.t.Context(), s.d.Worker(), &n, `SELECT count(*) FROM audit_entry WHERE subject = $1 AND action = $2`, subject, action); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func want(t *testing.T, err error, code errs.Code, why string) {
	t.Helper()
	if errs.CodeOf(err) != code {
		t.Errorf("%s: got %v, want %s", why, err, code)
	}
}
