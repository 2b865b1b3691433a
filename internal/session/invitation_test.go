package session_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/session"
	"switchboard/internal/user"
)

func accept(s *stage, token, pw string) (*session.Session, error) {
	return s.sessions.Accept(s.from(1), session.Acceptance{Token: token, Password: pw, Name: " Cid "})
}

func TestAnInvitationWorksOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	_, token := s.invite(ann, "cid@a.test", access.Office)
	_, err := accept(s, token, "short")
	want(t, err, errs.Invalid, "a short password")
	cid := s.must(accept(s, token, password))
	u, err := s.users.Get(cid.ctx, cid.who, cid.who.UserID)
	if err != nil || u.Status != user.Active || u.Name != "Cid" || u.Version != 2 {
		t.Errorf("after accepting: %+v, %v", u, err)
	}
	_, err = accept(s, token, password)
	want(t, err, errs.WrongCredentials, "a second use")
	s.must(s.signIn("cid@a.test", password))
}

func TestAnInvitationIsRefusedAlike(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	_, old := s.invite(ann, "old@a.test", access.Office)
	s.clk.Advance(72*time.Hour + time.Second)
	ann = s.must(s.signIn("ann@a.test", password)) // the old access token has ended

	_, replaced := s.invite(ann, "again@a.test", access.Office)
	_, renewed := s.invite(ann, "again@a.test", access.Sales)
	gone, disabled := s.invite(ann, "gone@a.test", access.Office)
	if _, err := s.users.Disable(ann.ctx, ann.who, gone.ID); err != nil {
		t.Fatal(err)
	}
	eve := s.found("Evil", "eve@b.test")
	_, known := s.invite(eve, "ann@a.test", access.Office)

	first := ""
	for name, token := range map[string]string{
		"unknown": "sbi_" + strings.Repeat("A", 43), "empty": "", "huge": strings.Repeat("x", 1<<20),
		"expired": old, "replaced by a newer one": replaced, "of a disabled person": disabled,
		"of a known login with a wrong password": known,
	} {
		_, err := accept(s, token, "a wrong password")
		want(t, err, errs.WrongCredentials, name)
		if first == "" {
			first = answer(err)
		}
		if answer(err) != first {
			t.Errorf("%s is told apart: %q and %q", name, answer(err), first)
		}
	}
	s.must(accept(s, renewed, password))
	// The wrong password has not used it up, and the right one opens the second membership.
	x := s.must(accept(s, known, password))
	if x.who.OrganizationID != eve.who.OrganizationID || x.who.LoginID != ann.who.LoginID {
		t.Errorf("joined as %+v", x.who)
	}
}

func TestInvitingTellsNothingOfOtherOrganizations(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann, eve := s.found("A", "ann@a.test"), s.found("B", "eve@b.test")
	for name, email := range map[string]string{"known elsewhere": "ann@a.test", "known nowhere": "zoe@a.test"} {
		u, inv, err := s.users.Create(eve.ctx, eve.who, user.Create{Email: email, Name: "X", RoleID: s.role(eve, access.Office)})
		if err != nil || u.Status != user.Invited || u.Version != 1 || !strings.HasPrefix(inv.Token, "sbi_") ||
			!inv.ExpiresAt.Equal(s.clk.Now().Add(72*time.Hour)) {
			t.Errorf("%s: %+v, %v, %v", name, u, inv.ExpiresAt, err)
		}
	}
	s.alive(ann.Session, "somebody else invited her")
}

func TestAnAPIKeyActsByItsRole(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	k, secret, err := s.sessions.CreateKey(ann.ctx, ann.who, session.NewKey{Name: " Exporter ", RoleID: s.role(ann, access.Dispatcher)})
	if err != nil {
		t.Fatal(err)
	}
	if k.Name != "Exporter" || !strings.HasPrefix(secret, "sb_") || len(secret) != 46 || !strings.HasPrefix(secret, k.Hint) || len(k.Hint) > 8 {
		t.Errorf("key %+v", k)
	}
	var leaks int
	if err := db.Select(t.Context(), s.d.Worker(), &leaks, `SELECT count(*) FROM api_key WHERE api_key::text LIKE '%' || $1 || '%'`, secret[3:]); err != nil || leaks != 0 {
		t.Errorf("the secret is stored: %v", err)
	}

	s.clk.Advance(90 * time.Second)
	who, expires, err := s.sessions.Authenticate(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	if who.APIKeyID != k.ID || !who.UserID.IsZero() || !expires.IsZero() || !who.Can(access.CallControl) || who.Can(access.UserManage) || !who.SeesAll() {
		t.Errorf("unexpected actor %+v until %v", who, expires)
	}
	read, err := s.sessions.Key(access.With(t.Context(), who), who, k.ID)
	if err != nil || read.LastUsedAt == nil || !read.LastUsedAt.Equal(s.clk.Now().Truncate(time.Minute)) {
		t.Errorf("last used at %v, to the minute: %v", read, err)
	}
	ctx, counter := db.CountStatements(t.Context())
	if _, _, err := s.sessions.Authenticate(ctx, secret); err != nil || counter.N() != 1 {
		t.Errorf("a second use within the minute takes %v, %v", counter.Statements(), err)
	}

	disable := func(status string) {
		t.Helper()
		if err := s.d.InTx(ann.ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := db.Exec(ctx, tx, `UPDATE "user" SET status = $3 WHERE organization_id = $1 AND id = $2`, ann.who.OrganizationID, ann.who.UserID, status)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	disable("DISABLED")
	_, _, err = s.sessions.Authenticate(t.Context(), secret)
	want(t, err, errs.Unauthenticated, "a key of somebody who is disabled")
	_, err = s.sessions.Resume(t.Context(), ann.who.OrganizationID, k.ID)
	want(t, err, errs.Unauthenticated, "what such a key signed")
	disable("ACTIVE")
	if _, _, err := s.sessions.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("once they are enabled again: %v", err)
	}

	for range 2 {
		if k, err = s.sessions.RevokeKey(ann.ctx, ann.who, k.ID); err != nil || k.RevokedAt == nil {
			t.Fatalf("revoking, also twice: %v", err)
		}
	}
	_, _, err = s.sessions.Authenticate(t.Context(), secret)
	want(t, err, errs.Unauthenticated, "a revoked key")
}

func TestAnAPIKeyIsRefusedWhen(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann, eve := s.found("Acme", "ann@a.test"), s.found("Evil", "eve@b.test")
	admin := s.role(ann, access.Admin)
	weak := ann.who
	weak.Permissions = access.SetOf(access.APIKeyManage, access.CallView)
	_, secret, err := s.sessions.CreateKey(ann.ctx, ann.who, session.NewKey{Name: "Machine", RoleID: admin})
	if err != nil {
		t.Fatal(err)
	}
	machine, _, err := s.sessions.Authenticate(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	narrow := ann.who
	narrow.IsFieldworker, narrow.Switched = true, []access.FieldworkerOption{access.DisplayContactDetails}
	for name, tc := range map[string]struct {
		why  string
		who  access.Actor
		key  session.NewKey
		want errs.Code
	}{
		"shedding an option":   {"R234: a key has none", narrow, session.NewKey{Name: "x", RoleID: admin}, errs.Forbidden},
		"above one's own role": {"nobody gives away more than they have", weak, session.NewKey{Name: "x", RoleID: admin}, errs.Forbidden},
		"no permission":        {"API_KEY_MANAGE", access.Actor{OrganizationID: ann.who.OrganizationID, UserID: ann.who.UserID}, session.NewKey{Name: "x", RoleID: admin}, errs.Forbidden},
		"made by a key":        {"a leaked key must not multiply", machine, session.NewKey{Name: "x", RoleID: admin}, errs.Forbidden},
		"role of others":       {"another organization's role", ann.who, session.NewKey{Name: "x", RoleID: s.role(eve, access.Office)}, errs.NotFound},
		"no name":              {"keys are told apart by name", ann.who, session.NewKey{Name: " ", RoleID: admin}, errs.Required},
	} {
		_, _, err := s.sessions.CreateKey(access.With(t.Context(), tc.who), tc.who, tc.key)
		want(t, err, tc.want, name+": "+tc.why)
	}
	_, err = s.sessions.RevokeKey(eve.ctx, eve.who, machine.APIKeyID)
	want(t, err, errs.NotFound, "another organization revokes it")
	_, err = s.sessions.Key(eve.ctx, eve.who, machine.APIKeyID)
	want(t, err, errs.NotFound, "another organization reads it")
	if got, err := s.sessions.KeysByIDs(eve.ctx, []id.ID{machine.APIKeyID}); err != nil || len(got) != 0 {
		t.Errorf("another organization loads it: %v, %v", got, err)
	}
	_, err = s.sessions.PasswordChange(access.With(t.Context(), machine), machine, password, "another good one")
	want(t, err, errs.Forbidden, "a key has no password")
	_, err = s.sessions.End(access.With(t.Context(), machine), machine, id.ID{})
	want(t, err, errs.NotFound, "a key has no session")
}

func TestKeysAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann, eve := s.found("Acme", "ann@a.test"), s.found("Evil", "eve@b.test")
	for _, name := range []string{"one", "two", "three"} {
		if _, _, err := s.sessions.CreateKey(ann.ctx, ann.who, session.NewKey{Name: name, RoleID: s.role(ann, access.Office)}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	page := db.Page{First: 2}
	for {
		w, err := s.sessions.Keys(ann.ctx, ann.who, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range w.Nodes {
			names = append(names, k.Name)
		}
		if page.After = w.EndCursor(); !w.HasNext {
			break
		}
	}
	if got := strings.Join(names, " "); got != "three two one" {
		t.Errorf("listed %q", got)
	}
	if w, err := s.sessions.Keys(eve.ctx, eve.who, db.Page{}); err != nil || len(w.Nodes) != 0 {
		t.Errorf("another organization lists them: %v, %v", w.Nodes, err)
	}
}
