package message_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
	"switchboard/internal/phone"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
	"switchboard/internal/twilio"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	accountSID = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	authToken  = "0123456789abcdef0123456789abcdef"
	office     = "+61255500001" // of the branch north, the default
	usa        = "+15550001111" // of the branch south
	mobile     = "+61491570156"
	other      = "+61491570157"
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// stage is an organization with its messages, jobs, and Twilio on a held clock.
type stage struct {
	testing.TB
	ctx      context.Context
	db       *db.DB
	clock    *clock.Fake
	svc      *message.Service
	contacts *contact.Service
	jobs     *job.Runner
	twilio   *emulator.Emulator
	numbers  *numbers
	wire     *wire
	hooks    *httptest.Server

	org, connection  id.ID
	north, south     id.ID // branches
	office, usa      id.ID // numbers
	admin, bea, owen access.Actor

	mu    sync.Mutex // guards posts
	posts []url.Values
}

type options struct {
	timeout time.Duration // of a request to Twilio
	idle    bool          // jobs are not worked
}

func newStage(t testing.TB, o options) *stage {
	t.Helper()
	s := &stage{TB: t, clock: clock.NewFake(start)}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	s.db = testkit.DB(t, testkit.Clock(s.clock))
	s.twilio = emulator.New(emulator.Options{Clock: s.clock, Seed: 1})
	rest := httptest.NewServer(s.twilio)
	s.twilio.SetBaseURL(rest.URL)
	s.hooks = httptest.NewServer(http.HandlerFunc(s.serve))
	s.twilio.Start()

	base, err := url.Parse(rest.URL)
	s.must(err)
	if o.timeout == 0 {
		o.timeout = 20 * time.Second
	}
	s.wire = &wire{next: &http.Transport{MaxIdleConnsPerHost: 16}}
	tr := twilio.NewTransport(twilio.TransportOptions{BaseURL: base, Next: s.wire, Timeout: o.timeout,
		Wait: func(context.Context, time.Duration) error { return nil }})
	client, err := twilio.NewClient(twilio.Options{AccountSID: accountSID, AuthToken: authToken, Transport: tr})
	s.must(err)
	keys, err := secret.New()
	s.must(err)
	store, err := blob.OpenStore(s.ctx, "mem://", keys)
	s.must(err)

	files, err := url.Parse(s.hooks.URL)
	s.must(err)
	quiet := slog.New(slog.DiscardHandler)
	s.jobs = job.New(s.db, s.clock, job.RunnerOptions{FirstRetry: time.Millisecond, Logger: quiet})
	s.contacts = contact.New(contact.Deps{DB: s.db})
	s.numbers = &numbers{client: client, hooks: s.hooks.URL}
	s.svc = message.New(message.Deps{DB: s.db, Jobs: s.jobs, Numbers: s.numbers, Contacts: s.contacts, Blob: store, Keys: keys, Base: files, Logger: quiet,
		Country: func(context.Context, bun.IDB) (string, error) { return "AU", nil }})
	if !o.idle {
		s.must(s.jobs.Start(s.ctx))
	}
	t.Cleanup(func() {
		s.twilio.Stop()
		s.jobs.Stop()
		cancel()
		s.hooks.Close()
		rest.Close()
		tr.Close()
		_ = store.Close()
	})

	s.must(s.twilio.AddAccount(accountSID, authToken, emulator.Full))
	for _, n := range []string{office, usa} {
		_, err := s.twilio.AddNumber(accountSID, emulator.NumberSpec{E164: n, SMSURL: s.hooks.URL + "/sms"})
		s.must(err)
	}
	s.org = s.organization()
	s.connection, s.north, s.south = s.connect(s.org, accountSID), s.branch(s.org, "North"), s.branch(s.org, "South")
	s.office = s.number(s.org, s.connection, office, "AU", s.north, true)
	s.usa = s.number(s.org, s.connection, usa, "US", s.south, false)
	s.admin = s.actor(s.org, "ann", access.SeesOrganization)
	s.bea = s.actor(s.org, "bea", access.SeesBranch, s.north)
	s.owen = s.actor(s.org, "owen", access.SeesOwn)
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
	_, err := db.Exec(context.WithoutCancel(s.ctx), s.db.Worker(), sql, args...)
	s.must(err)
}

func (s *stage) count(sql string, args ...any) int {
	s.Helper()
	var row struct{ N int }
	s.must(db.Select(s.ctx, s.db.Worker(), &row, sql, args...))
	return row.N
}

func (s *stage) organization() id.ID {
	s.Helper()
	org := id.New(id.Organization)
	s.exec(`INSERT INTO organization (organization_id, name, default_country, updated_at) VALUES ($1, 'Acme', 'AU', $2)`, org, start)
	return org
}

func (s *stage) connect(org id.ID, account string) id.ID {
	s.Helper()
	c := id.New(id.Connection)
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at)
		VALUES ($1, $2, 'Twilio', $3, 'FULL', 'active', $4)`, org, c, account, start)
	return c
}

func (s *stage) branch(org id.ID, name string) id.ID {
	s.Helper()
	b := id.New(id.Branch)
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, $3, $4)`, org, b, name, start)
	return b
}

func (s *stage) number(org, connection id.ID, e164, country string, branch id.ID, isDefault bool) id.ID {
	s.Helper()
	n := id.New(id.PhoneNumber)
	s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, is_enabled, is_default, branch_id, updated_at)
		VALUES ($1, $2, $3, $4, $5, $4, $6, true, true, true, true, $7, $8, $9)`, org, n, connection, e164, "PN"+n.String(), country, isDefault, branch, start)
	return n
}

// actor adds a user who may send and see messages, contacts and records.
func (s *stage) actor(org id.ID, name string, v access.Visibility, branches ...id.ID) access.Actor {
	s.Helper()
	role, user := id.New(id.Role), id.New(id.User)
	s.exec(`INSERT INTO role (organization_id, id, name, permissions, updated_at) VALUES ($1, $2, $3, '{SMS_SEND,SMS_VIEW,SMS_SEND_INVOICE,CONTACT_VIEW,CONTACT_EDIT}', $4)`,
		org, role, role.String(), start)
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		org, user, id.New(id.Login), name+"@demo.test", name, role, start)
	return access.Actor{OrganizationID: org, UserID: user, Visibility: v, BranchIDs: branches,
		Permissions: access.SetOf(access.SMSSend, access.SMSView, access.SMSSendInvoice, access.ContactView, access.ContactEdit)}
}

func (s *stage) contact(name string, numbers ...string) *contact.Contact {
	s.Helper()
	in := contact.Create{Kind: contact.KindCustomer, Name: name}
	for _, n := range numbers {
		in.Phones = append(in.Phones, contact.PhoneInput{Number: n})
	}
	c, err := s.contacts.Create(s.ctx, s.admin, in)
	s.must(err)
	return c
}

// in runs fn as the organization, in a transaction.
func (s *stage) in(org id.ID, fn func(ctx context.Context, tx *db.Tx) error) error {
	return s.db.InTx(db.WithTenant(s.ctx, org), fn)
}

// serve takes the emulator's posts as the webhook edge does.
func (s *stage) serve(w http.ResponseWriter, r *http.Request) {
	if media, ok := strings.CutPrefix(r.URL.Path, "/twilio/media/"); ok {
		s.file(w, r, media)
		return
	}
	body, _ := io.ReadAll(r.Body)
	form, err := twilio.ParseForm(body)
	if err == nil {
		s.mu.Lock()
		s.posts = append(s.posts, form)
		s.mu.Unlock()
		err = s.take(r.URL.Path, form)
	}
	if err != nil {
		s.Errorf("%s: %v", r.URL.Path, err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// file gives Twilio a file of a message.
func (s *stage) file(w http.ResponseWriter, r *http.Request, media string) {
	x, err := id.Parse(media)
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	f, info, err := s.svc.OpenPublic(s.ctx, x, r.URL.Query(), s.clock.Now())
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	defer func() { _ = f.Close() }()
	w.Header().Set("Content-Type", info.ContentType)
	_, _ = io.Copy(w, f)
}

func (s *stage) take(path string, form url.Values) error {
	if path == "/sms" {
		f, err := twilio.ParseMessage(form)
		if err != nil {
			return err
		}
		return s.in(s.org, func(ctx context.Context, tx *db.Tx) error {
			_, err := s.svc.Receive(ctx, tx, s.connection, f)
			return err
		})
	}
	f, err := twilio.ParseMessageStatus(form)
	if err != nil {
		return err
	}
	m, err := id.ParseKind(strings.TrimPrefix(path, "/message/"), id.Message)
	if err != nil {
		return err
	}
	return s.in(s.org, func(ctx context.Context, tx *db.Tx) error { return s.svc.Apply(ctx, tx, m, f) })
}

// receive takes a text as if Twilio had posted it.
func (s *stage) receive(from, to, body string) *message.Message {
	s.Helper()
	var m *message.Message
	s.must(s.in(s.org, func(ctx context.Context, tx *db.Tx) (err error) {
		m, err = s.svc.Receive(ctx, tx, s.connection, text(from, to, body))
		return err
	}))
	return m
}

// text is what Twilio posts for a text, with a SID of its own.
func text(from, to, body string) twilio.MessageForm {
	return twilio.MessageForm{AccountSID: accountSID, MessageSID: newSID(), From: from, To: to, Body: body, Segments: 1}
}

func deliveredForm(sid string) twilio.MessageStatusForm {
	return twilio.MessageStatusForm{AccountSID: accountSID, MessageSID: sid, Status: "delivered"}
}

func newSID() string {
	u := id.New(id.Message).UUID()
	const hex = "0123456789abcdef"
	b := []byte("SM")
	for _, c := range u {
		b = append(b, hex[c>>4], hex[c&15])
	}
	return string(b)
}

func (s *stage) send(who access.Actor, in message.Send) *message.Message {
	s.Helper()
	m, err := s.svc.Send(s.ctx, who, in)
	s.must(err)
	return m
}

// drain waits for the jobs that are ready.
func (s *stage) drain() {
	s.Helper()
	s.must(s.jobs.Drain(s.ctx))
}

// pass lets time go by in steps, with all that comes of it.
func (s *stage) pass(d, step time.Duration) {
	s.Helper()
	for ; d > 0; d -= step {
		s.must(s.twilio.Advance(s.ctx, min(d, step)))
		s.must(s.jobs.RunSweeps(s.ctx))
		s.drain()
		s.must(s.twilio.WaitIdle(s.ctx))
	}
}

func (s *stage) get(m *message.Message) *message.Message {
	s.Helper()
	got, err := s.svc.Get(s.ctx, s.admin, m.ID)
	s.must(err)
	return got
}

func (s *stage) events(subject id.ID) int {
	s.Helper()
	return s.count(`SELECT count(*) AS n FROM event WHERE subject = $1`, subject)
}

// sent are the texts that Twilio took from a request of ours, oldest first.
func (s *stage) sent() (bodies []string) {
	for _, m := range s.twilio.Messages() {
		if m.Direction == "outbound-api" {
			bodies = append(bodies, m.Body)
		}
	}
	return bodies
}

// wants fails unless err has the code and blames the field.
func (s *stage) wants(err error, code errs.Code, field string) {
	s.Helper()
	e, ok := errs.As(err)
	if !ok || e.Code != code || strings.Join(e.Field, ".") != field {
		s.Errorf("got %v (%+v), want %s at %q", err, e, code, field)
	}
}

func ptr[T any](v T) *T { return &v }

// wire is the way to Twilio, on which an answer can be replaced.
type wire struct {
	next *http.Transport
	once atomic.Pointer[string]
}

// answerOnce makes the next request get this body, with the status 201, and
// nobody see the request.
func (s *stage) answerOnce(body string) { s.wire.once.Store(&body) }

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if body := w.once.Swap(nil); body != nil {
		return &http.Response{StatusCode: http.StatusCreated, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(*body)), Request: r}, nil
	}
	return w.next.RoundTrip(r)
}

func (w *wire) CloseIdleConnections() { w.next.CloseIdleConnections() }

// numbers answers for package number, from the same tables.
type numbers struct {
	client *twilio.Client
	hooks  string
}

type numberRow struct {
	ID           id.ID      `bun:"id"`
	ConnectionID id.ID      `bun:"connection_id"`
	BranchID     id.ID      `bun:"branch_id"`
	E164         phone.E164 `bun:"e164"`
	Country      string     `bun:"country"`
	IsDefault    bool       `bun:"is_default"`
	IsEnabled    bool       `bun:"is_enabled"`
	ForMessages  bool       `bun:"for_messages"`
	CanSMS       bool       `bun:"can_sms"`
}

func (r numberRow) number() message.Number {
	return message.Number{ID: r.ID, ConnectionID: r.ConnectionID, BranchID: r.BranchID, E164: r.E164, IsEnabled: r.IsEnabled, ForMessages: r.ForMessages, CanSMS: r.CanSMS}
}

const selectNumber = `SELECT n.id, n.connection_id, n.branch_id, n.e164, n.country, n.is_default, n.is_enabled AND c.is_enabled AS is_enabled,
	n.use_for_messages AS for_messages, n.can_sms FROM phone_number n
	JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id WHERE n.organization_id = $1`

func (*numbers) Sender(ctx context.Context, q bun.IDB, number id.ID) (message.Number, error) {
	var r numberRow
	err := db.Select(ctx, q, &r, selectNumber+` AND n.id = $2`, db.TenantFrom(ctx), number)
	if errors.Is(err, sql.ErrNoRows) {
		return message.Number{}, errs.New(errs.NotFound, "there is no such number")
	}
	return r.number(), err
}

func (*numbers) Receiver(ctx context.Context, q bun.IDB, connection id.ID, e164 string) (message.Number, bool, error) {
	var r numberRow
	err := db.Select(ctx, q, &r, selectNumber+` AND n.connection_id = $2 AND n.e164 = $3`, db.TenantFrom(ctx), connection, e164)
	if errors.Is(err, sql.ErrNoRows) {
		return message.Number{}, false, nil
	}
	return r.number(), err == nil, err
}

func (s *numbers) Senders(ctx context.Context, q bun.IDB, user id.ID, also []id.ID) (out []message.Number, err error) {
	var all []struct {
		numberRow
		CanMMS         bool    `bun:"can_mms"`
		NoSMS          bool    `bun:"no_sms"`
		NoMMS          bool    `bun:"no_mms"`
		SenderName     *string `bun:"sender_name"`
		IsChecked      bool    `bun:"is_checked"`
		A2PStatus      *string `bun:"a2p_status"`
		TollFreeStatus *string `bun:"toll_free_status"`
	}
	err = db.Select(ctx, q, &all, `SELECT n.id, n.connection_id, n.branch_id, n.e164, n.country, n.is_default, n.is_enabled AND c.is_enabled AS is_enabled,
		n.use_for_messages AS for_messages, n.can_sms, n.can_mms, NOT coalesce(u.sms, true) AS no_sms, NOT coalesce(u.mms, true) AS no_mms,
		n.sender_name, n.messaging_checked_at IS NOT NULL AS is_checked, n.a2p_status, n.toll_free_status
		FROM phone_number n
		JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
		LEFT JOIN phone_number_user u ON u.organization_id = n.organization_id AND u.phone_number_id = n.id AND u.user_id = $2
		WHERE n.organization_id = $1 AND (n.is_enabled OR n.id = ANY ($3::uuid[]))`, db.TenantFrom(ctx), user, also)
	for _, r := range all {
		n := r.number()
		n.Country, n.IsDefault, n.CanMMS, n.NoSMS, n.NoMMS = r.Country, r.IsDefault, r.CanMMS, r.NoSMS, r.NoMMS
		n.IsChecked = r.IsChecked
		n.SenderName, n.A2PStatus, n.TollFreeStatus = orEmpty(r.SenderName), orEmpty(r.A2PStatus), orEmpty(r.TollFreeStatus)
		out = append(out, n)
	}
	return out, err
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (s *numbers) Client(context.Context, id.ID) (*twilio.Client, error) { return s.client, nil }

func (s *numbers) CallbackURL(_ context.Context, _ id.ID, path string) (string, error) {
	return s.hooks + "/" + path, nil
}
