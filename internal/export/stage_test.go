package export_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/export"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// stage is exports with calls and contacts, in a real database and a real folder.
type stage struct {
	testing.TB
	db       *db.DB
	clk      *clock.Fake
	keys     *secret.Keyring
	folder   string
	jobs     *job.Runner
	svc      *export.Service
	org      id.ID
	boss     access.Actor
	line     id.ID
	contacts []id.ID

	mu sync.Mutex
	// authority is what the maker may do, and gate is asked before each batch.
	authority access.Actor
	refused   error
	gate      func(batch int)
	batches   int
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

var everything = access.SetOf(access.All...)

func newStage(t testing.TB, calls int) *stage {
	t.Helper()
	s := prepare(t, calls)
	s.start(10)
	return s
}

func prepare(t testing.TB, calls int) *stage {
	t.Helper()
	s := &stage{TB: t, clk: clock.NewFake(noon), folder: t.TempDir(), org: id.New(id.Organization), line: id.New(id.PhoneNumber)}
	s.db = testkit.DB(t, testkit.Clock(s.clk))
	var err error
	if s.keys, err = secret.New(); err != nil {
		t.Fatal(err)
	}
	connection, branch, role, maker := id.New(id.Connection), id.New(id.Branch), id.New(id.Role), id.New(id.User)
	s.exec(`INSERT INTO organization (organization_id, name, updated_at) VALUES ($1, 'Acme', $2)`, s.org, noon)
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at)
		VALUES ($1, $2, 'Twilio', 'ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'FULL', 'active', $3)`, s.org, connection, noon)
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'Sydney', $3)`, s.org, branch, noon)
	s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, branch_id, updated_at)
		VALUES ($1, $2, $3, '+61255501234', 'PN1', 'Main', 'AU', true, true, true, $4, $5)`, s.org, s.line, connection, branch, noon)
	s.exec(`INSERT INTO role (organization_id, id, name, updated_at) VALUES ($1, $2, 'Boss', $3)`, s.org, role, noon)
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, updated_at) VALUES ($1, $2, $3, 'b@acme.test', 'Bea Boss', $4, $5)`,
		s.org, maker, id.New(id.Login), role, noon)
	for _, name := range []string{"=HYPERLINK(\"http://evil\")", "Jane \"J\" Citizen", "+1 (555) 0100"} {
		c := id.New(id.Contact)
		s.exec(`INSERT INTO contact (organization_id, id, kind, name, email, updated_at) VALUES ($1, $2, 'CUSTOMER', $3, 'j@x.test', $4)`, s.org, c, name, noon)
		s.exec(`INSERT INTO contact_phone (organization_id, contact_id, e164, is_primary) VALUES ($1, $2, $3, true)`, s.org, c, fmt.Sprintf("+6140000000%d", len(s.contacts)))
		s.contacts = append(s.contacts, c)
	}
	s.boss = access.Actor{OrganizationID: s.org, UserID: maker, RoleID: role, Visibility: access.SeesOrganization, Permissions: everything}
	s.authority = s.boss
	s.addCalls(calls, connection, branch)
	return s
}

// addCalls makes n calls, one each second before noon, the newest with the greatest number.
func (s *stage) addCalls(n int, connection, branch id.ID) {
	s.Helper()
	const chunk = 20_000
	for from := 1; from <= n; from += chunk {
		s.insertCalls(n, from, min(n, from+chunk-1), connection, branch)
	}
}

func (s *stage) insertCalls(n, from, to int, connection, branch id.ID) {
	s.Helper()
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, phone_number_id, branch_id, contact_id, user_id, from_number, to_number, twilio_sid,
			started_at, answered_at, ended_at, ring_seconds, talk_seconds, duration_seconds, notes, created_at, updated_at)
		SELECT $1, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || overlay(overlay(substr(md5(n::text), 1, 18) PLACING '7' FROM 1) PLACING '8' FROM 5) || $5::text)::uuid,
			'INBOUND', 'COMPLETED', $2, $3, $4, CASE WHEN n % 3 = 0 THEN $6::uuid END, NULL, '+614' || lpad(n::text, 8, '0'), '+61255501234', 'CA' || md5(n::text),
			at, at + interval '3 seconds', at + interval '60 seconds', 3, 57, 60, 'note ' || n, at, at
		FROM (SELECT n, $7::timestamptz - make_interval(secs => ($8 - n)) AS at FROM generate_series($9::int, $10::int) n) x`,
		s.org, connection, s.line, branch, fmt.Sprintf("%02x", byte(id.Call)), s.contacts[0], noon, n, from, to)
}

func (s *stage) exec(sql string, args ...any) {
	s.Helper()
	if _, err := db.Exec(context.Background(), s.db.Worker(), sql, args...); err != nil {
		s.Fatal(err)
	}
}

// start starts a server that reads so many rows at once.
func (s *stage) start(batch int) {
	s.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := blob.OpenStore(s.Context(), "file://"+filepath.ToSlash(s.folder), s.keys)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = store.Close() })
	s.jobs = job.New(s.db, s.clk, job.RunnerOptions{Logger: quiet})
	calls := call.New(call.Deps{DB: s.db, Clock: s.clk, Logger: quiet})
	recordings := recording.New(recording.Deps{DB: s.db, Clock: s.clk, Blobs: store})
	s.svc = export.New(export.Deps{
		DB: s.db, Blobs: store, Logger: quiet, Batch: batch, TellEvery: time.Nanosecond,
		Authority: s.who, Zone: func(context.Context) (string, error) { return "Australia/Sydney", nil },
		Keys:  func(context.Context, []id.ID) (map[id.ID]string, error) { return map[id.ID]string{}, nil },
		Users: user.New(user.Deps{DB: s.db}), Numbers: number.New(number.Deps{DB: s.db, Logger: quiet}),
		Contacts: contact.New(contact.Deps{DB: s.db}), Calls: calls, Recordings: recordings, Voicemails: voicemail.New(s.db, recordings, calls),
	})
	s.svc.Register(s.jobs)
	if err := s.jobs.Start(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(s.jobs.Stop)
}

// who is what the maker may do now; each batch asks.
func (s *stage) who(context.Context, id.ID, id.ID) (access.Actor, error) {
	s.mu.Lock()
	s.batches++
	gate, n := s.gate, s.batches
	s.mu.Unlock()
	if gate != nil {
		gate(n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.authority, s.refused
}

func (s *stage) holdAt(batch int) (reached <-chan struct{}, release func()) {
	at, free := make(chan struct{}), make(chan struct{})
	var once, freed sync.Once
	s.mu.Lock()
	s.batches = 0
	s.gate = func(n int) {
		if n == batch {
			once.Do(func() { close(at) })
			<-free
		}
	}
	s.mu.Unlock()
	release = func() { freed.Do(func() { close(free) }) }
	s.Cleanup(release)
	return at, release
}

func (s *stage) ctx() context.Context { return access.With(s.Context(), s.boss) }

func (s *stage) create(in export.NewExport) *export.Export {
	s.Helper()
	e, err := s.svc.Create(s.ctx(), s.boss, in, "")
	if err != nil {
		s.Fatal(err)
	}
	return e
}

// until waits for a state by asking; jobs run in real time.
func (s *stage) until(x id.ID, want ...export.Status) *export.Export {
	s.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		e, err := s.svc.Get(s.ctx(), s.boss, x)
		if err != nil {
			s.Fatal(err)
		}
		for _, w := range want {
			if e.Status == w {
				return e
			}
		}
		select {
		case <-deadline:
			s.Fatalf("the export is %s, want %v; problem %v", e.Status, want, e.Problem)
		case <-tick.C:
		}
	}
}

func (s *stage) read(x id.ID) []byte {
	s.Helper()
	f, _, err := s.svc.Open(s.ctx(), s.boss, x)
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		s.Fatal(err)
	}
	return b
}

func (s *stage) rows(x id.ID) [][]string {
	s.Helper()
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(s.read(x), []byte("\uFEFF")))).ReadAll()
	if err != nil {
		s.Fatal(err)
	}
	return rows
}

// files are the files in the store, whole or half written.
func (s *stage) files() (names []string) {
	s.Helper()
	err := filepath.WalkDir(s.folder, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return names
}

func (s *stage) count(sql string, args ...any) (n int) {
	s.Helper()
	if err := db.Select(context.Background(), s.db.Worker(), &n, sql, args...); err != nil {
		s.Fatal(err)
	}
	return n
}

func refused(t testing.TB, what string, err error, want errs.Code, words string) {
	t.Helper()
	if !errs.IsCode(err, want) || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: got %v, want %s with %q", what, err, want, words)
	}
}

// told are the events about an export in the order of the log.
func (s *stage) told(x id.ID) (data []string) {
	s.Helper()
	var rows []struct {
		Data string `bun:"data"`
	}
	if err := db.Select(context.Background(), s.db.Worker(), &rows, `SELECT e.data::text AS data FROM event e WHERE e.subject = $1 AND e.kind = $2 ORDER BY e.log_id`, x, string(event.Kind(export.Updated))); err != nil {
		s.Fatal(err)
	}
	for _, r := range rows {
		data = append(data, r.Data)
	}
	return data
}
