package session_test

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/secret"
	"switchboard/internal/session"
)

func TestSigningInTellsNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	if _, err := s.users.Disable(ann.ctx, ann.who, bob.who.UserID); err != nil {
		t.Fatal(err)
	}
	s.invite(ann, "cid@a.test", access.Office)

	first, statements := "", 0
	for name, tc := range map[string]struct {
		why             string
		email, password string
		org             id.ID
	}{
		"unknown":       {"nobody has this e-mail", "zoe@a.test", password, id.ID{}},
		"wrong":         {"the password is another", "ann@a.test", "wrong password", id.ID{}},
		"empty":         {"there is no password", "ann@a.test", "", id.ID{}},
		"disabled":      {"the user is switched off, the password right", "bob@a.test", password, id.ID{}},
		"invited":       {"the invitation is not accepted", "cid@a.test", password, id.ID{}},
		"no e-mail":     {"this is none", "ann", password, id.ID{}},
		"NUL":           {"PostgreSQL takes no NUL", "ann\x00@a.test", password, id.ID{}},
		"elsewhere":     {"no member of that organization", "ann@a.test", password, id.New(id.Organization)},
		"huge password": {"more than argon2id should read", "ann@a.test", strings.Repeat("x", 1<<20), id.ID{}},
	} {
		ctx, counter := db.CountStatements(s.from(len(name)))
		_, err := s.sessions.SignIn(ctx, session.SignIn{Email: tc.email, Password: tc.password, Organization: tc.org})
		want(t, err, errs.WrongCredentials, name+": "+tc.why)
		if first == "" {
			first, statements = answer(err), counter.N()
		}
		if answer(err) != first {
			t.Errorf("%s is told apart: %q and %q", name, answer(err), first)
		}
		if counter.N() != statements {
			t.Errorf("%s takes another way of %d statements: %v", name, statements, counter.Statements())
		}
	}
}

func TestSigningInTakesAnyCaseOfTheEmail(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", " Ann@A.test ")
	again := s.must(s.signIn("aNN@a.TEST", password))
	if again.who.UserID != ann.who.UserID || again.SessionID() == ann.SessionID() {
		t.Errorf("signed in as %v, not as %v in a session of its own", again.who, ann.who)
	}
	if got := s.clk.Now().Add(10 * time.Minute); !again.ExpiresAt.Equal(got) {
		t.Errorf("the access token ends at %v, not in ten minutes", again.ExpiresAt)
	}
}

func (p *person) SessionID() id.ID { return p.who.SessionID }

func TestALoginWithSeveralOrganizationsNamesOne(t *testing.T) {
	t.Parallel()
	s := open(t)
	a, b := s.found("A", "ann@a.test"), s.found("B", "ann@a.test")
	if a.who.LoginID != b.who.LoginID || a.who.OrganizationID == b.who.OrganizationID {
		t.Fatal("one e-mail is not one login with two memberships")
	}
	_, err := s.signIn("ann@a.test", "wrong password")
	want(t, err, errs.WrongCredentials, "before the password is right nothing is told")
	_, err = s.signIn("ann@a.test", password)
	want(t, err, errs.Required, "two organizations")
	if e, _ := errs.As(err); e == nil || !slices.Equal(e.Field, []string{"organization"}) || !strings.Contains(e.Message, b.who.OrganizationID.String()) {
		t.Errorf("the answer does not name the field and the organizations: %v", err)
	}
	x := s.must(s.sessions.SignIn(s.from(1), session.SignIn{Email: "ann@a.test", Password: password, Organization: b.who.OrganizationID}))
	if x.who.OrganizationID != b.who.OrganizationID || x.who.UserID != b.who.UserID {
		t.Errorf("signed in to %v", x.who)
	}
}

func TestGuessingIsLimited(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.found("Acme", "ann@a.test")
	for _, email := range []string{"ann@a.test", "nobody@a.test"} {
		for i := range 10 {
			// Aliases of one document come here one by one, too.
			if _, err := s.signIn(email, "wrong password"); errs.CodeOf(err) != errs.WrongCredentials {
				t.Fatalf("guess %d for %s: %v", i, email, err)
			}
		}
		_, err := s.signIn(strings.ToUpper(email), password)
		want(t, err, errs.RateLimited, "the eleventh guess for "+email+", even a right one")
		if !strings.Contains(answer(err), "30 seconds") {
			t.Errorf("no hint when to try again: %v", err)
		}
	}
	if _, err := s.sessions.SignIn(s.from(2), session.SignIn{Email: "ann@a.test", Password: password}); err != nil {
		t.Errorf("a stranger keeps Ann out of her own account: %v", err)
	}
	s.clk.Advance(30 * time.Second)
	if _, err := s.signIn("ann@a.test", password); err != nil {
		t.Errorf("the limit does not end: %v", err)
	}
	for range 20 {
		if _, err := s.sessions.SignIn(s.from(2), session.SignIn{Email: "ann@a.test", Password: password}); err != nil {
			t.Fatalf("whoever knows the password is limited as a guesser: %v", err)
		}
	}
}

func TestAnAddressIsLimitedOverAllEmails(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i := range 100 {
		_, err := s.sessions.Accept(s.from(1), session.Acceptance{Token: "sbi_none", Password: password})
		if errs.CodeOf(err) != errs.WrongCredentials {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	_, err := s.signIn("zoe@a.test", password)
	want(t, err, errs.RateLimited, "the address has used up its attempts")
	_, err = s.sessions.SignIn(s.from(2), session.SignIn{Email: "zoe@a.test", Password: password})
	want(t, err, errs.WrongCredentials, "another address has not")
}

func TestAuthenticateIsOneStatement(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	ctx, counter := db.CountStatements(t.Context())
	who, expires, err := s.sessions.Authenticate(ctx, ann.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if counter.N() != 1 {
		t.Errorf("%d statements: %v", counter.N(), counter.Statements())
	}
	if !who.Can(access.UserManage) || !who.SeesAll() || who.SessionID != ann.ID || who.LoginID.IsZero() || !expires.Equal(ann.ExpiresAt) {
		t.Errorf("unexpected actor %+v until %v", who, expires)
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	now := s.clk.Now()
	good := jwt.MapClaims{"iss": "switchboard", "aud": "switchboard-api", "sub": ann.who.UserID.String(), "sid": ann.ID.String(),
		"org": ann.who.OrganizationID.String(), "exp": now.Add(time.Minute).Unix(), "nbf": now.Unix()}
	but := func(k string, v any) jwt.MapClaims {
		c := jwt.MapClaims{}
		for k, v := range good {
			c[k] = v
		}
		if c[k] = v; v == nil {
			delete(c, k)
		}
		return c
	}
	key := s.keys.SigningKey()
	kid := secret.KeyID(key.Public().(ed25519.PublicKey))
	sign := func(c jwt.MapClaims, k ed25519.PrivateKey) string {
		t.Helper()
		tok := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
		tok.Header["kid"] = kid
		text, err := tok.SignedString(k)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, _, err := s.sessions.Authenticate(t.Context(), sign(good, key)); err != nil {
		t.Fatalf("the forger's tool is broken: %v", err)
	}
	_, foreign, _ := ed25519.GenerateKey(nil)
	b64 := func(v any) string { b, _ := json.Marshal(v); return base64.RawURLEncoding.EncodeToString(b) }
	unsigned := b64(map[string]string{"alg": "none", "kid": kid}) + "." + b64(good) + "."
	hs := b64(map[string]string{"alg": "HS256", "kid": kid}) + "." + b64(good)
	mac := hmac.New(sha256.New, key.Public().(ed25519.PublicKey))
	mac.Write([]byte(hs))

	first := ""
	for name, token := range map[string]string{
		"empty":              "",
		"nonsense":           "x.y.z",
		"too long":           strings.Repeat("a", 1<<20),
		"algorithm none":     unsigned,
		"HMAC by public key": hs + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"foreign key":        sign(good, foreign),
		"changed":            ann.AccessToken[:len(ann.AccessToken)-3] + "AAA",
		"other audience":     sign(but("aud", "elsewhere"), key),
		"no audience":        sign(but("aud", nil), key),
		"other issuer":       sign(but("iss", "elsewhere"), key),
		"expired":            sign(but("exp", now.Unix()-1), key),
		"no end":             sign(but("exp", nil), key),
		"not yet":            sign(but("nbf", now.Add(time.Hour).Unix()), key),
		"other user":         sign(but("sub", id.New(id.User).String()), key),
		"other organization": sign(but("org", id.New(id.Organization).String()), key),
		"id of another kind": sign(but("sid", ann.who.UserID.String()), key),
		"refresh token":      ann.RefreshToken,
		"unknown API key":    "sb_" + strings.Repeat("A", 43),
	} {
		_, _, err := s.sessions.Authenticate(t.Context(), token)
		want(t, err, errs.Unauthenticated, name)
		if first == "" {
			first = answer(err)
		}
		if answer(err) != first {
			t.Errorf("%s is told apart: %q and %q", name, answer(err), first)
		}
	}
	s.clk.Advance(10*time.Minute + time.Second)
	s.dead(ann.Session, "ten minutes have passed")
}

func TestARefreshTokenWorksOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	other := s.must(s.signIn("ann@a.test", password))

	second, err := s.sessions.Refresh(s.from(1), ann.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if second.ID != ann.ID || second.RefreshToken == ann.RefreshToken {
		t.Errorf("refreshing gave session %v with the same token", second.ID)
	}
	third, err := s.sessions.Refresh(s.from(1), second.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	s.alive(third, "it is the newest")

	// Not only the one before: any older token of the session.
	_, err = s.sessions.Refresh(s.from(1), ann.RefreshToken)
	want(t, err, errs.WrongCredentials, "the first token, used before")
	s.dead(third, "a token was used twice")
	_, err = s.sessions.Refresh(s.from(1), third.RefreshToken)
	want(t, err, errs.WrongCredentials, "the newest token of an ended session")
	s.alive(other.Session, "it is another session of the same person")
}

func TestMadeUpRefreshTokensEndNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(ann.RefreshToken, "sbr_"))
	if err != nil {
		t.Fatal(err)
	}
	raw[40] ^= 1 // another random part for the same session
	for name, token := range map[string]string{
		"other random part": "sbr_" + base64.RawURLEncoding.EncodeToString(raw),
		"cut":               ann.RefreshToken[:60],
		"empty":             "",
		"access token":      ann.AccessToken,
	} {
		ctx, counter := db.CountStatements(s.from(1))
		_, err := s.sessions.Refresh(ctx, token)
		want(t, err, errs.WrongCredentials, name)
		if counter.N() != 0 {
			t.Errorf("%s costs %d statements", name, counter.N())
		}
	}
	s.alive(ann.Session, "nobody had a token of it")
}

func TestASessionEndsAfterThirtyDaysUnused(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	s.clk.Advance(29 * 24 * time.Hour)
	next, err := s.sessions.Refresh(s.from(1), ann.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	s.clk.Advance(30*24*time.Hour + time.Second)
	_, err = s.sessions.Refresh(s.from(1), next.RefreshToken)
	want(t, err, errs.WrongCredentials, "thirty days are over")
}

func TestSigningOut(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	phone := s.must(s.signIn("ann@a.test", password))
	bob := s.join(ann, "bob@a.test", access.Office)
	eve := s.found("Evil", "eve@b.test")

	for name, p := range map[string]*person{"a colleague": bob, "another organization": eve} {
		_, err := s.sessions.End(p.ctx, p.who, ann.ID)
		want(t, err, errs.NotFound, name+" ends Ann's session")
	}
	_, err := s.sessions.End(ann.ctx, ann.who, id.New(id.Session))
	want(t, err, errs.NotFound, "a session that never was")
	s.alive(ann.Session, "others tried to end it")

	if got, err := s.sessions.End(ann.ctx, ann.who, phone.ID); err != nil || got != phone.ID {
		t.Fatalf("ending another session of one's own: %v", err)
	}
	s.dead(phone.Session, "it was ended from elsewhere")
	for range 2 {
		if got, err := s.sessions.End(ann.ctx, ann.who, id.ID{}); err != nil || got != ann.ID {
			t.Fatalf("signing out, also twice: %v", err)
		}
	}
	s.dead(ann.Session, "it was signed out")
	_, err = s.sessions.Refresh(s.from(1), ann.RefreshToken)
	want(t, err, errs.WrongCredentials, "refreshing what was signed out")
}

func TestAChangedPasswordEndsEveryOtherSession(t *testing.T) {
	t.Parallel()
	s := open(t)
	here, there := s.found("A", "ann@a.test"), s.found("B", "ann@a.test")
	other := s.must(s.sessions.SignIn(s.from(1), session.SignIn{Email: "ann@a.test", Password: password, Organization: here.who.OrganizationID}))
	bob := s.join(here, "bob@a.test", access.Office)
	next := "another good one"

	_, err := s.sessions.PasswordChange(here.ctx, here.who, "wrong password", next)
	want(t, err, errs.WrongCredentials, "a wrong present password")
	_, err = s.sessions.PasswordChange(here.ctx, here.who, password, "short")
	want(t, err, errs.Invalid, "nine characters are too few")
	s.alive(other.Session, "nothing was changed")

	n, err := s.sessions.PasswordChange(here.ctx, here.who, password, next)
	if err != nil || n != 2 {
		t.Fatalf("ended %d sessions: %v", n, err)
	}
	s.alive(here.Session, "it is the one that changed it")
	s.alive(bob.Session, "it is somebody else's")
	s.dead(other.Session, "the password was changed")
	s.dead(there.Session, "the password was changed, in another organization")
	_, err = s.sessions.SignIn(s.from(1), session.SignIn{Email: "ann@a.test", Password: password, Organization: here.who.OrganizationID})
	want(t, err, errs.WrongCredentials, "the old password")
	s.must(s.sessions.SignIn(s.from(1), session.SignIn{Email: "ann@a.test", Password: next, Organization: there.who.OrganizationID}))
}

func TestTheOperatorNeedsNoPassword(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	s.invite(ann, "cid@a.test", access.Office)
	x := s.must(s.sessions.IssueFor(t.Context(), "ANN@a.test", id.ID{}))
	if x.who.UserID != ann.who.UserID {
		t.Errorf("the token is that of %v", x.who.UserID)
	}
	for _, email := range []string{"cid@a.test", "zoe@a.test"} {
		_, err := s.sessions.IssueFor(t.Context(), email, id.ID{})
		want(t, err, errs.NotFound, email)
	}
}

func TestPasswordsAreKeptAsArgon2id(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.found("Acme", "ann@a.test")
	var hash string
	if err := db.Select(t.Context(), s.d.Worker(), &hash, `SELECT password_hash FROM system.login`); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(hash, password) {
		t.Errorf("stored as %q", hash)
	}
}

func TestTrimmingKeepsWhatStillCounts(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	count := func(table string) (n int) {
		t.Helper()
		if err := db.Select(t.Context(), s.d.Worker(), &n, `SELECT count(*) FROM `+table); err != nil {
			t.Fatal(err)
		}
		return n
	}
	s.invite(ann, "cid@a.test", access.Office)
	if err := s.sessions.Trim(t.Context(), s.clk.Now()); err != nil || count("session") != 1 || count("invitation") != 2 {
		t.Fatalf("trimmed what is of today: %v", err)
	}
	if err := s.sessions.Trim(context.Background(), s.clk.Now().Add(200*24*time.Hour)); err != nil || count("session") != 0 || count("invitation") != 1 {
		t.Errorf("%d sessions and %d invitations are left: %v", count("session"), count("invitation"), err)
	}
}

func TestASignInDuringAPasswordChangeIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	u := ann.who.LoginID.UUID()
	lock := int64(binary.BigEndian.Uint64(u[8:]))
	done := make(chan error, 1)
	err := s.d.InWorkerTx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		// What PasswordChange does, stopped before its end.
		if _, err := db.Exec(ctx, tx, `SELECT pg_advisory_xact_lock($1)`, lock); err != nil {
			return err
		}
		if _, err := db.Exec(ctx, tx, `SELECT set_login_password($1, 'another', $2)`, ann.who.LoginID, tx.Now); err != nil {
			return err
		}
		go func() {
			_, err := s.signIn("ann@a.test", password) // verified against the old hash
			done <- err
		}()
		for waiting := 0; waiting == 0; {
			if err := db.Select(ctx, s.d.Worker(), &waiting, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); err != nil {
				return err
			}
			if len(done) > 0 {
				t.Error("the sign-in did not wait for the change")
				return nil
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, <-done, errs.WrongCredentials, "a password that was changed meanwhile")
}
