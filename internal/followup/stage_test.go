package followup_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
	"switchboard/internal/recording"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	office = "+61255500001"
	carl   = "+61491570156" // a caller
	dora   = "+61491570157" // another
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// stage is an organization whose calls are written as package call would, with a
// log and jobs that run, on a clock that stands still.
type stage struct {
	*testing.T
	ctx    context.Context
	db     *db.DB
	clk    *clock.Fake
	log    *event.Log
	jobs   *job.Runner
	svc    *followup.Service
	mails  *voicemail.Service
	keys   *secret.Keyring
	org    id.ID
	branch id.ID
	line   id.ID
	conn   id.ID
	admin  access.Actor
	ann    access.Actor // of the branch
	bob    access.Actor // of the branch
	cat    access.Actor // sees only her own
	out    *outside
}

// outside takes what leaves.
type outside struct {
	mu     sync.Mutex // guards the rest
	posts  []posted
	status int
}

type posted struct {
	header http.Header
	path   string
	body   []byte
}

func newStage(t *testing.T, change ...func(*followup.Deps)) *stage {
	t.Helper()
	t.Parallel()
	s := &stage{T: t, clk: clock.NewFake(start), org: id.New(id.Organization), branch: id.New(id.Branch), line: id.New(id.PhoneNumber), conn: id.New(id.Connection), out: &outside{status: 201}}
	s.ctx = db.WithTenant(t.Context(), s.org)
	s.db = testkit.DB(t, testkit.Clock(s.clk))
	var err error
	s.keys, err = secret.New()
	s.must(err)
	s.exec(`INSERT INTO organization (organization_id, name, default_country, updated_at) VALUES ($1, 'Acme', 'AU', $2)`, s.org, start)
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'Sydney', $3)`, s.org, s.branch, start)
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at) VALUES ($1, $2, 'T', 'ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'FULL', 'active', $3)`, s.org, s.conn, start)
	s.line = s.number(office, s.branch)
	s.admin = s.user("ada", access.SeesOrganization, nil, access.All...)
	working := []access.Permission{access.CallReceive, access.CallMake, access.CallView, access.VoicemailListen, access.FollowUpView, access.FollowUpManage, access.SMSView, access.ContactView}
	s.ann = s.user("ann", access.SeesBranch, []id.ID{s.branch}, working...)
	s.bob = s.user("bob", access.SeesBranch, []id.ID{s.branch}, working...)
	s.cat = s.user("cat", access.SeesOwn, nil, access.CallReceive, access.CallMake, access.CallView, access.FollowUpView)
	s.open(change...)
	return s
}

// open starts the server's part; a test may close it and open another.
func (s *stage) open(change ...func(*followup.Deps)) {
	s.Helper()
	quiet := slog.New(slog.DiscardHandler)
	log, err := event.New(s.db, event.Options{Sealer: s.keys, Logger: quiet})
	s.must(err)
	s.log, s.jobs = log, job.New(s.db, s.clk, job.RunnerOptions{Logger: quiet})
	contacts := contact.New(contact.Deps{DB: s.db})
	calls := call.New(call.Deps{DB: s.db, Logger: quiet})
	s.mails = voicemail.New(s.db, recording.New(recording.Deps{DB: s.db}), calls)
	d := followup.Deps{DB: s.db, Jobs: s.jobs, Events: s.log, Keys: s.keys, Calls: calls, Voicemails: s.mails,
		Messages: message.New(message.Deps{DB: s.db, Contacts: contacts, Logger: quiet, Country: func(context.Context, bun.IDB) (string, error) { return "AU", nil }}),
		Contacts: contacts, Users: user.New(user.Deps{DB: s.db, Keys: s.keys}), Loopback: true, Logger: quiet}
	for _, f := range change {
		f(&d)
	}
	s.svc = followup.New(d)
	s.must(s.log.Start(s.Context()))
	s.must(s.jobs.Start(s.Context()))
	s.Cleanup(s.close)
}

func (s *stage) close() {
	s.jobs.Stop()
	s.log.Stop()
}

// settle waits until everything that was told is taken, and everything that is due is done.
func (s *stage) settle() {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 30*time.Second)
	defer cancel()
	for range 2 {
		s.must(s.log.Drain(ctx))
		s.must(s.jobs.Drain(ctx))
		s.must(s.jobs.RunSweeps(ctx))
		s.must(s.jobs.Drain(ctx))
	}
	s.must(s.log.Drain(ctx))
}

func (s *stage) pass(d time.Duration) {
	s.Helper()
	s.clk.Advance(d)
	s.settle()
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) refused(err error, want errs.Code) {
	s.Helper()
	if errs.CodeOf(err) != want {
		s.Errorf("got %v, want %s", err, want)
	}
}

func (s *stage) exec(sql string, args ...any) {
	s.Helper()
	_, err := db.Exec(context.WithoutCancel(s.ctx), s.db.Worker(), sql, args...)
	s.must(err)
}

func (s *stage) count(sql string, args ...any) (n int) {
	s.Helper()
	s.must(db.Select(s.ctx, s.db.Worker(), &n, sql, args...))
	return n
}

func (s *stage) number(e164 string, branch id.ID) id.ID {
	s.Helper()
	n := id.New(id.PhoneNumber)
	s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, branch_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, is_enabled, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, 'Line', 'AU', true, true, false, true, $7)`, s.org, n, s.conn, branch, e164, "PN"+n.String(), start)
	return n
}

func (s *stage) user(name string, v access.Visibility, branches []id.ID, permissions ...access.Permission) access.Actor {
	s.Helper()
	role, u := id.New(id.Role), id.New(id.User)
	words := make([]string, len(permissions))
	for i, p := range permissions {
		words[i] = string(p)
	}
	s.exec(`INSERT INTO role (organization_id, id, name, permissions, visibility, updated_at) VALUES ($1, $2, $3, $4, $5, $6)`, s.org, role, role.String(), words, string(v), start)
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, updated_at) VALUES ($1, $2, $3, $4, $5, $6, 'ACTIVE', $7)`,
		s.org, u, id.New(id.Login), name+"@example.com", name, role, start)
	for _, b := range branches {
		s.exec(`INSERT INTO branch_user (organization_id, branch_id, user_id) VALUES ($1, $2, $3)`, s.org, b, u)
	}
	return access.Actor{OrganizationID: s.org, UserID: u, RoleID: role, Visibility: v, Permissions: access.SetOf(permissions...), BranchIDs: branches}
}

func (s *stage) contact(name, number string, assigned id.ID) id.ID {
	s.Helper()
	c, err := contact.New(contact.Deps{DB: s.db}).Create(access.With(s.ctx, s.admin), s.admin, contact.Create{Kind: contact.KindCustomer, Name: name, Phones: []contact.PhoneInput{{Number: number}}})
	s.must(err)
	s.exec(`UPDATE contact SET assigned_user_id = $3 WHERE organization_id = $1 AND id = $2`, s.org, c.ID, assigned)
	return c.ID
}

// calling is a call as it ended.
type calling struct {
	id        id.ID
	direction call.Direction
	from, to  string
	status    call.Status
	line      id.ID
	branch    id.ID
	contact   id.ID
	by        id.ID // who started or answered it
	rang      []id.ID
	ignored   bool
	test      bool
	answered  *time.Time
	answerer  *call.Answerer
	reason    string
}

// inbound is a call from outside to the stage's line.
func (s *stage) inbound(from string, change ...func(*calling)) *calling {
	s.Helper()
	return s.write(&calling{direction: call.Inbound, from: from, to: office, status: call.Missed, rang: []id.ID{s.ann.UserID}}, change...)
}

// outbound is a call of ann's that was answered.
func (s *stage) outbound(to string, change ...func(*calling)) *calling {
	s.Helper()
	return s.write(&calling{direction: call.Outbound, from: office, to: to, status: call.Completed, by: s.ann.UserID, answered: new(s.clk.Now())}, change...)
}

// write keeps a call as package call would; nothing is told of it yet.
func (s *stage) write(c *calling, change ...func(*calling)) *calling {
	s.Helper()
	c.id, c.line, c.branch = id.New(id.Call), s.line, s.branch
	for _, f := range change {
		f(c)
	}
	now := s.clk.Now()
	var ended *time.Time
	if c.status.Ended() {
		ended = &now
	}
	var user, answeredBy id.ID
	if c.direction == call.Inbound {
		answeredBy = c.by
	} else {
		user = c.by
	}
	var reason *string
	if c.reason != "" {
		reason = &c.reason
	}
	s.exec(`INSERT INTO call (organization_id, id, direction, status, end_reason, connection_id, phone_number_id, branch_id, contact_id, user_id, answered_by_user_id, from_number, to_number,
			started_at, answered_at, ended_at, is_ignored, is_test, is_logged, answerer, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, true, $19, $14)`,
		s.org, c.id, string(c.direction), string(c.status), reason, s.conn, c.line, c.branch, c.contact, user, answeredBy, c.from, c.to, now, c.answered, ended, c.ignored, c.test, (*string)(c.answerer))
	for _, u := range c.rang {
		s.exec(`INSERT INTO call_leg (organization_id, id, call_id, kind, user_id, to_address, status, outcome, purpose, started_at, updated_at) VALUES ($1, $2, $3, 'DEVICE', $4, 'x', 'ENDED', 'TIMED_OUT', 'ROUTE', $5, $5)`,
			s.org, id.New(id.Leg), c.id, u, now)
	}
	return c
}

// voicemail leaves one on a call.
func (s *stage) voicemail(c *calling, owner id.ID) id.ID {
	s.Helper()
	rec, vm := id.New(id.Recording), id.New(id.Voicemail)
	s.exec(`INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, started_at, updated_at) VALUES ($1, $2, $3, $4, 'VOICEMAIL', 'COMPLETED', $5, $5)`, s.org, rec, c.id, "RE"+rec.String(), s.clk.Now())
	s.exec(`INSERT INTO voicemail (organization_id, id, call_id, recording_id, phone_number_id, branch_id, contact_id, from_number, duration_seconds, owner_user_id, received_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 12, $9, $10, $10)`, s.org, vm, c.id, rec, c.line, c.branch, c.contact, c.from, owner, s.clk.Now())
	return vm
}

// tell appends an event.
func (s *stage) tell(kind event.Kind, subject id.ID, data map[string]any) {
	s.Helper()
	raw, err := json.Marshal(data)
	s.must(err)
	s.must(s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		return event.Append(ctx, tx, event.Event{Kind: kind, Subject: subject, Data: raw})
	}))
}

func (s *stage) ended(calls ...*calling) {
	s.Helper()
	for _, c := range calls {
		s.tell(call.EventEnded, c.id, nil)
	}
	s.settle()
}

func (s *stage) received(vm id.ID, c *calling) {
	s.Helper()
	s.tell(voicemail.EventReceived, vm, map[string]any{"callId": c.id})
	s.settle()
}

// list is what somebody sees.
func (s *stage) list(who access.Actor, f followup.Filter) []*followup.FollowUp {
	s.Helper()
	w, err := s.svc.List(s.ctx, who, f, followup.Newest, db.Page{First: 100})
	s.must(err)
	return w.Nodes
}

// open1 is the one open follow-up there is.
func (s *stage) open1() *followup.FollowUp {
	s.Helper()
	rows := s.list(s.admin, followup.Filter{Status: []followup.Status{followup.Pending}})
	if len(rows) != 1 {
		s.Fatalf("%d follow-ups are open, want one", len(rows))
	}
	return rows[0]
}

func (s *stage) get(f *followup.FollowUp) *followup.FollowUp {
	s.Helper()
	got, err := s.svc.Get(s.ctx, s.admin, f.ID)
	s.must(err)
	return got
}

// history is what happened, oldest first.
func (s *stage) history(f *followup.FollowUp) (out []followup.Change) {
	s.Helper()
	w, err := s.svc.History(s.ctx, s.admin, f, db.Page{First: 100})
	s.must(err)
	for i := len(w.Nodes) - 1; i >= 0; i-- {
		out = append(out, w.Nodes[i].Change)
	}
	return out
}

// told are somebody's notifications, newest first.
func (s *stage) told(who access.Actor, kinds ...followup.NotificationKind) []*followup.Notification {
	s.Helper()
	w, err := s.svc.Notifications(s.ctx, who, followup.NotificationFilter{Kinds: kinds}, db.Page{First: 100})
	s.must(err)
	return w.Nodes
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	body := make([]byte, 0, 8<<10)
	buf := make([]byte, 8<<10)
	for {
		n, err := r.Body.Read(buf)
		body = append(body, buf[:n]...)
		if err != nil {
			break
		}
	}
	o.posts = append(o.posts, posted{header: r.Header.Clone(), path: r.URL.Path, body: body})
	w.WriteHeader(o.status)
}

func (o *outside) all() []posted {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]posted(nil), o.posts...)
}

func (o *outside) says(status int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.status = status
}
