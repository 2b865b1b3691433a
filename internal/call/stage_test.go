package call_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/recording"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
	"switchboard/internal/twilio"
	"switchboard/internal/voicemail"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// hooks are addresses as package number makes them.
type hooks struct{}

func (hooks) TwiML(path string, _ url.Values) string {
	return "https://us.test/twilio/conn/key/" + path
}

func (hooks) Callback(path string, _ url.Values) string {
	return "https://us.test/twilio/conn/key/" + path
}

// stage is one organization with a number, a branch and two people.
type stage struct {
	t     testing.TB
	db    *db.DB
	clock *clock.Fake
	calls *call.Service
	recs  *recording.Service
	mails *voicemail.Service
	ctx   context.Context
	zero  time.Time // when the organization was made

	twilio     *twilio.Client // of the fake that a test starts
	restricted bool           // R242, for who asks

	org, conn, number, branch, role id.ID
	ann, bob                        id.ID
	annDev, bobDev                  id.ID
}

const (
	ours   = "+61255501234"
	theirs = "+61400999888"
)

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{t: t, clock: clock.NewFake(start)}
	s.db = testkit.DB(t, testkit.Clock(s.clock), testkit.MaxConns(8))
	keys, err := secret.New()
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.OpenStore(t.Context(), "mem://", keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	client := func(context.Context, id.ID) (*twilio.Client, error) { return s.twilio, nil }
	s.calls = call.New(call.Deps{DB: s.db, Clock: s.clock, Client: client, Hooks: func(context.Context, id.ID) (call.Hooks, error) { return hooks{}, nil },
		Audio: func(token string) string { return "https://us.test/twilio/media/" + token }})
	s.recs = recording.New(recording.Deps{DB: s.db, Clock: s.clock, Blobs: blobs, Client: client})
	s.mails = voicemail.New(s.db, s.recs, s.calls)
	s.calls.Project(s.recs)
	s.calls.Project(s.mails)
	s.settle()
	return s
}

// settle makes one more organization and works in it from now on.
func (s *stage) settle() {
	s.t.Helper()
	s.org, s.conn, s.number, s.branch, s.role = id.New(id.Organization), id.New(id.Connection), id.New(id.PhoneNumber), id.New(id.Branch), id.New(id.Role)
	s.ctx = db.WithTenant(s.t.Context(), s.org)
	now := s.clock.Now()
	s.zero = now
	s.exec(`INSERT INTO organization (organization_id, name, default_country, updated_at) VALUES ($1, 'Acme', 'AU', $2)`, s.org, now)
	s.exec(`INSERT INTO role (organization_id, id, name, permissions, visibility, updated_at) VALUES ($1, $2, 'Office', '{CALL_RECEIVE}', 'ORGANIZATION', $3)`, s.org, s.role, now)
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'Sydney', $3)`, s.org, s.branch, now)
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at)
		VALUES ($1, $2, 'Main', $3, 'FULL', 'active', $4)`, s.org, s.conn, sid("AC", 1), now)
	s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, is_enabled, is_default, branch_id, updated_at)
		VALUES ($1, $2, $3, $4, $5, 'Sydney', 'AU', true, true, true, true, true, $6, $7)`, s.org, s.number, s.conn, ours, sid("PN", 1), s.branch, now)
	s.ann, s.annDev = s.person("Ann")
	s.bob, s.bobDev = s.person("Bob")
}

// sipDomain is a SIP domain that is in use.
func (s *stage) sipDomain(name string) {
	s.t.Helper()
	s.exec(`INSERT INTO sip_domain (organization_id, id, connection_id, twilio_sid, domain_name, is_enabled, updated_at) VALUES ($1, $2, $3, 'SD' || md5($4::text), $4, true, $5)`,
		s.org, id.New(id.SIPDomain), s.conn, name, s.clock.Now())
}

func (s *stage) exec(sql string, args ...any) {
	s.t.Helper()
	err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Pgx().Exec(ctx, sql, args...)
		return err
	})
	if err != nil {
		s.t.Fatalf("%s: %v", strings.Join(strings.Fields(sql), " "), err)
	}
}

// person is a user of the branch with one device.
func (s *stage) person(name string) (user, device id.ID) {
	s.t.Helper()
	user, device = id.New(id.User), id.New(id.Device)
	now := s.clock.Now()
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, updated_at) VALUES ($1, $2, $3, $4, $5, $6, 'ACTIVE', $7)`,
		s.org, user, id.New(id.Login), strings.ToLower(name)+"@acme.test", name, s.role, now)
	s.exec(`INSERT INTO device (organization_id, id, user_id, name, platform, registered_at, last_seen_at) VALUES ($1, $2, $3, $4, 'WEB', $5, $5)`,
		s.org, device, user, name+"'s browser", now)
	s.exec(`INSERT INTO branch_user (organization_id, branch_id, user_id) VALUES ($1, $2, $3)`, s.org, s.branch, user)
	return user, device
}

// tx runs fn in a transaction of the organization.
func (s *stage) tx(fn func(ctx context.Context, tx *db.Tx) error) {
	s.t.Helper()
	if err := s.db.InTx(s.ctx, fn); err != nil {
		s.t.Fatal(err)
	}
}

// arrives is the request of Twilio for a call that comes in.
func (s *stage) arrives(n int, from string) twilio.Response {
	s.t.Helper()
	var doc twilio.Response
	s.tx(func(ctx context.Context, tx *db.Tx) (err error) {
		doc, err = s.calls.Inbound(ctx, tx, s.incoming(n, from))
		return err
	})
	return doc
}

func (s *stage) incoming(n int, from string) call.Incoming {
	return call.Incoming{Connection: s.conn, Hooks: hooks{}, Form: twilio.CallForm{CallSID: sid("CA", n), From: from, To: ours, Status: "ringing", Direction: "inbound"}}
}

// xml is a document as text.
func xml(t testing.TB, doc twilio.Response) string {
	t.Helper()
	b, err := doc.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// boss sees and may do everything.
func (s *stage) boss() access.Actor {
	return access.Actor{OrganizationID: s.org, UserID: s.ann, Permissions: access.SetOf(access.All...), Visibility: access.SeesOrganization}
}

// only is the one call there is.
func (s *stage) only() (*call.Call, []*call.Leg) {
	s.t.Helper()
	ctx := access.With(s.ctx, s.boss())
	w, err := s.calls.List(ctx, s.boss(), call.Filter{}, db.Page{})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(w.Nodes) != 1 {
		s.t.Fatalf("%d calls, want one", len(w.Nodes))
	}
	legs, err := s.calls.LegsByCalls(ctx, []id.ID{w.Nodes[0].ID})
	if err != nil {
		s.t.Fatal(err)
	}
	return w.Nodes[0], legs[w.Nodes[0].ID]
}

// legOf is the leg of a device.
func legOf(legs []*call.Leg, device id.ID) *call.Leg {
	for _, l := range legs {
		if l.DeviceID == device {
			return l
		}
	}
	return nil
}

// sec is a moment after the organization was made, in the whole seconds that Twilio tells.
func (s *stage) sec(n int) time.Time {
	return s.zero.Truncate(time.Second).Add(time.Duration(n) * time.Second)
}
