package session_test

import (
	"context"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/session"
	"switchboard/internal/testkit"
	"switchboard/internal/user"
)

// within is the promise: a live socket ends in five seconds.
const within = 5 * time.Second

func ends(t *testing.T, w *session.Watch, why string) {
	t.Helper()
	select {
	case <-w.Done():
	case <-time.After(within):
		t.Errorf("the socket lives on although %s", why)
	}
}

func lives(t *testing.T, w *session.Watch, why string) {
	t.Helper()
	select {
	case <-w.Done():
		t.Errorf("the socket ended although %s", why)
	default:
	}
}

func TestSocketsEndWithWhatTheyWereOpenedBy(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	here := over(t, d, nil)
	there := over(t, d, here.keys) // another node: it tells this one nothing
	live := here.sessions.Live()
	live.Start()
	t.Cleanup(live.Stop)

	ann := here.found("Acme", "ann@a.test")
	stays := here.join(ann, "stays@a.test", access.Dispatcher)
	witness := live.Watch(stays.who)
	t.Cleanup(witness.Stop)

	for name, tc := range map[string]struct {
		why string
		do  func(p *person) error
	}{
		"signed out elsewhere": {"the other node ended the session", func(p *person) error {
			_, err := there.sessions.End(p.ctx, p.who, id.ID{})
			return err
		}},
		"disabled elsewhere": {"the user was switched off", func(p *person) error {
			_, err := there.users.Disable(ann.ctx, ann.who, p.who.UserID)
			return err
		}},
		"password elsewhere": {"the password was changed from another session", func(p *person) error {
			other, err := there.signIn(mail("password elsewhere"), password)
			if err != nil {
				return err
			}
			q := there.must(other, nil)
			_, err = there.sessions.PasswordChange(q.ctx, q.who, password, "another good one")
			return err
		}},
		"role changed elsewhere": {"they have another role", func(p *person) error {
			_, err := there.users.Update(ann.ctx, ann.who, p.who.UserID, user.Update{RoleID: patch.To(there.role(ann, access.Sales))})
			return err
		}},
		"reused token elsewhere": {"a refresh token was used twice", func(p *person) error {
			if _, err := there.sessions.Refresh(p.ctx, p.RefreshToken); err != nil {
				return err
			}
			_, _ = there.sessions.Refresh(p.ctx, p.RefreshToken)
			return nil
		}},
		"branch given elsewhere": {"they see another branch", func(p *person) error {
			branch := id.New(id.Branch)
			return d.InTx(p.ctx, func(ctx context.Context, tx *db.Tx) error {
				if _, err := db.Exec(ctx, tx, `INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'North', $3)`,
					p.who.OrganizationID, branch, tx.Now); err != nil {
					return err
				}
				return noBranches{}.SetForUser(ctx, tx, p.who.UserID, []id.ID{branch})
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := there.join(ann, mail(name), access.Office)
			w, second := live.Watch(p.who), live.Watch(p.who)
			defer w.Stop()
			defer second.Stop()
			if err := tc.do(p); err != nil {
				t.Fatal(err)
			}
			ends(t, w, tc.why)
			ends(t, second, tc.why)
			lives(t, witness, "nothing happened to its person")
		})
	}
	t.Run("role's permissions elsewhere", func(t *testing.T) {
		t.Parallel()
		r, err := there.roles.Create(ann.ctx, ann.who, access.NewRole{Name: "Desk", Visibility: access.SeesOwn, Permissions: []access.Permission{access.CallReceive}})
		if err != nil {
			t.Fatal(err)
		}
		_, secret, err := there.sessions.CreateKey(ann.ctx, ann.who, session.NewKey{Name: "x", RoleID: r.ID})
		if err != nil {
			t.Fatal(err)
		}
		who, _, err := here.sessions.Authenticate(t.Context(), secret)
		if err != nil {
			t.Fatal(err)
		}
		w := live.Watch(who)
		defer w.Stop()
		if _, err := there.roles.Update(ann.ctx, ann.who, r.ID, access.RoleChange{Permissions: patch.To([]access.Permission{})}); err != nil {
			t.Fatal(err)
		}
		ends(t, w, "the role of its API key allows nothing any more")
	})
}

func mail(name string) string {
	out := []byte(name)
	for i, c := range out {
		if c < 'a' || c > 'z' {
			out[i] = '.'
		}
	}
	return string(out) + "@a.test"
}

func TestWhatThisProcessEndsEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t) // its clock stands still: nothing is found by looking
	ann := s.found("Acme", "ann@a.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	out := s.must(s.signIn("bob@a.test", password))
	k, secret, err := s.sessions.CreateKey(ann.ctx, ann.who, session.NewKey{Name: "x", RoleID: s.role(ann, access.Office)})
	if err != nil {
		t.Fatal(err)
	}
	machine, _, err := s.sessions.Authenticate(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	live := s.sessions.Live()
	own, signedOut, disabled, key := live.Watch(ann.who), live.Watch(out.who), live.Watch(bob.who), live.Watch(machine)

	if _, err := s.sessions.End(out.ctx, out.who, id.ID{}); err != nil {
		t.Fatal(err)
	}
	ends(t, signedOut, "it was signed out")
	lives(t, disabled, "another session of the same person ended")
	if _, err := s.users.Disable(ann.ctx, ann.who, bob.who.UserID); err != nil {
		t.Fatal(err)
	}
	ends(t, disabled, "the user was switched off")
	if _, err := s.sessions.RevokeKey(ann.ctx, ann.who, k.ID); err != nil {
		t.Fatal(err)
	}
	ends(t, key, "the key was revoked")
	lives(t, own, "nothing happened to its person")

	own.Stop()
	if _, err := s.sessions.End(ann.ctx, ann.who, id.ID{}); err != nil {
		t.Fatal(err)
	}
	lives(t, own, "it had stopped before its session ended")
}
