package recording_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/recording"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
	"switchboard/internal/twilio"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func sid(kind string, n int) string { return fmt.Sprintf("%s%032d", kind, n) }

// wav is a second of silence.
func wav() []byte {
	const data = 16000
	b := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, 36+data)...)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = append(b, 1, 0, 1, 0)
	b = binary.LittleEndian.AppendUint32(b, 8000)
	b = binary.LittleEndian.AppendUint32(b, 16000)
	b = append(b, 2, 0, 16, 0)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, data)
	return append(b, make([]byte, data)...)
}

type stage struct {
	t     *testing.T
	db    *db.DB
	clock *clock.Fake
	recs  *recording.Service
	run   *job.Runner
	org   id.ID
	call  id.ID
	ctx   context.Context

	conn  id.ID
	blobs *blob.Store

	mu      sync.Mutex                                        // guards what follows
	other   func(w http.ResponseWriter, r *http.Request) bool // answers what is no audio
	answers []func(http.ResponseWriter)
	asked   int
}

// newStage has one call with a complete recording, and a Twilio that gives one
// answer after the other, the last one for ever.
func newStage(t *testing.T, answers ...func(http.ResponseWriter)) *stage {
	t.Helper()
	s := &stage{t: t, clock: clock.NewFake(start), answers: answers}
	s.db = testkit.DB(t, testkit.Clock(s.clock), testkit.MaxConns(8))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.other != nil && s.other(w, r) {
			return
		}
		answer := s.answers[min(s.asked, len(s.answers)-1)]
		s.asked++
		answer(w)
	}))
	base, _ := url.Parse(srv.URL)
	tr := twilio.NewTransport(twilio.TransportOptions{BaseURL: base, Wait: func(context.Context, time.Duration) error { return nil }})
	client, err := twilio.NewClient(twilio.Options{AccountSID: sid("AC", 1), AuthToken: "abcdef", Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secret.New()
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.OpenStore(t.Context(), "mem://", keys)
	if err != nil {
		t.Fatal(err)
	}
	s.blobs = blobs
	s.recs = recording.New(recording.Deps{DB: s.db, Clock: s.clock, Blobs: blobs, Logger: slog.New(slog.DiscardHandler),
		Client: func(context.Context, id.ID) (*twilio.Client, error) { return client, nil }})
	s.run = job.New(s.db, s.clock, job.RunnerOptions{Logger: slog.New(slog.DiscardHandler)})
	s.recs.Register(s.run)
	if err := s.run.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.run.Stop(); tr.Close(); srv.Close(); _ = blobs.Close() })
	s.org, s.call = id.New(id.Organization), id.New(id.Call)
	s.ctx = db.WithTenant(t.Context(), s.org)
	s.seed()
	return s
}

func (s *stage) exec(sql string, args ...any) {
	s.t.Helper()
	if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Pgx().Exec(ctx, sql, args...)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) seed() {
	s.t.Helper()
	conn, now := id.New(id.Connection), s.clock.Now()
	s.conn = conn
	s.exec(`INSERT INTO organization (organization_id, name, updated_at) VALUES ($1, 'Acme', $2)`, s.org, now)
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at) VALUES ($1, $2, 'Main', $3, 'FULL', 'active', $4)`,
		s.org, conn, sid("AC", 1), now)
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, from_number, to_number, started_at, ended_at, updated_at)
		VALUES ($1, $2, 'INBOUND', 'COMPLETED', $3, '+61400999888', '+61255501234', $4, $4, $4)`, s.org, s.call, conn, now)
	s.apply("completed", 1, false)
}

func (s *stage) apply(status string, n int, voicemail bool) {
	s.t.Helper()
	long := 1
	st := call.State{Call: call.Call{OrganizationID: s.org, ID: s.call}, Recordings: []call.Recorded{{SID: sid("RE", n), Status: status, Channels: 1, StartedAt: start, DurationSeconds: &long, ForVoicemail: voicemail}}}
	if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error { return s.recs.Apply(ctx, tx, st) }); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) boss() access.Actor {
	return access.Actor{OrganizationID: s.org, UserID: id.New(id.User), Permissions: access.SetOf(access.All...), Visibility: access.SeesOrganization}
}

func (s *stage) only() *recording.Recording {
	s.t.Helper()
	m, err := s.recs.ByCalls(s.ctx, s.boss(), []id.ID{s.call})
	if err != nil || len(m[s.call]) != 1 {
		s.t.Fatalf("%d recordings, %v", len(m[s.call]), err)
	}
	return m[s.call][0]
}

// until moves the clock until the audio has the state.
func (s *stage) until(state recording.MediaState) *recording.Recording {
	s.t.Helper()
	for range 200 {
		if err := s.run.Drain(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		if r := s.only(); r.MediaState == state {
			return r
		}
		s.clock.Advance(20 * time.Second)
		if err := s.run.RunSweeps(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
	s.t.Fatalf("the audio is %s", s.only().MediaState)
	return nil
}

func status(n int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(n) }
}

func send(contentType string, b []byte, announced int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", contentType)
		if announced > 0 {
			w.Header().Set("Content-Length", fmt.Sprint(announced))
		}
		_, _ = w.Write(b)
	}
}

// reliability 8: 404 for a while, errors, pages instead of audio, cut bodies, then the audio: stored once, byte for byte.
func TestTheAudioIsStoredOnceAndWhole(t *testing.T) {
	t.Parallel()
	audio := wav()
	s := newStage(t, status(404), status(404), status(500), send("audio/x-wav", []byte("<html><body>sorry</body></html>"), 0),
		send("audio/x-wav", []byte(`<?xml version="1.0"?><Error/>`), 0), send("audio/x-wav", audio[:8000], len(audio)), send("audio/x-wav", audio[:8000], 0), send("audio/x-wav", audio, len(audio)))
	if err := s.run.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := s.only(); r.MediaState != recording.MediaPending || r.MediaError == nil {
		t.Errorf("being fetched: %s", r.MediaState)
	}
	if _, _, err := s.recs.Open(s.ctx, s.boss(), s.only().ID, recording.Playing{}); !errs.IsCode(err, errs.Conflict) {
		t.Errorf("opened before it was there: %v", err)
	}
	r := s.until(recording.MediaStored)
	if *r.SizeBytes != int64(len(audio)) || *r.ContentType != "audio/wav" || r.DueAt != nil || r.MediaError != nil {
		t.Errorf("%d bytes of %s", *r.SizeBytes, *r.ContentType)
	}
	f, info, err := s.recs.Open(s.ctx, s.boss(), r.ID, recording.Playing{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, audio) || info.Size != int64(len(audio)) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if _, err := f.Seek(100, io.SeekStart); err != nil {
		t.Error(err)
	}
	s.apply("completed", 1, false)
	if again := s.until(recording.MediaStored); *again.BlobKey != *r.BlobKey {
		t.Error("it was fetched again")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked != 8 {
		t.Errorf("Twilio was asked %d times", s.asked)
	}
}

func TestAudioThatNeverComesIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newStage(t, status(404))
	for range 16 { // the waits add up to more than a day
		s.clock.Advance(13 * time.Hour)
		if err := s.run.RunSweeps(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.run.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r := s.only()
	if r.MediaState != recording.MediaGone || !strings.Contains(*r.MediaError, "no longer") || r.DueAt != nil {
		t.Errorf("%s after %d attempts", r.MediaState, r.Attempts)
	}
	kinds, all := s.ledger(r.ID)
	if last := len(kinds) - 1; slices.Index(kinds, "NOT_STORED") != last || *all[last].Reason != *r.MediaError || !all[last].ActorID.IsZero() {
		t.Errorf("its ledger says %v", kinds)
	}
}

// T09: who listens needs the permission of the purpose and must see the call; each is written down once.
func TestListeningNeedsPermissionAndIsWrittenDown(t *testing.T) {
	t.Parallel()
	audio := wav()
	s := newStage(t, send("audio/x-wav", audio, len(audio)))
	r := s.until(recording.MediaStored)
	who := s.boss()
	for name, change := range map[string]func(*access.Actor){
		"no permission":       func(a *access.Actor) { a.Permissions = access.SetOf(access.VoicemailListen, access.CallView) },
		"sees their own only": func(a *access.Actor) { a.Visibility = access.SeesOwn },
		"another branch":      func(a *access.Actor) { a.Visibility, a.BranchIDs = access.SeesBranch, []id.ID{id.New(id.Branch)} },
		"another tenant":      func(a *access.Actor) { a.OrganizationID = id.New(id.Organization) },
	} {
		x := who
		change(&x)
		if _, _, err := s.recs.Open(s.ctx, x, r.ID, recording.Playing{}); !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 3 {
		f, _, err := s.recs.Open(s.ctx, who, r.ID, recording.Playing{})
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	n := 0
	if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		return tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM audit_entry WHERE organization_id = $1 AND action = 'recording.listen'`, s.org).Scan(&n)
	}); err != nil || n != 1 {
		t.Errorf("%d entries for one listening, %v", n, err)
	}
}

func TestNothingHeardIsNothingToFetch(t *testing.T) {
	t.Parallel()
	s := newStage(t, status(404))
	s.apply("absent", 2, true)
	all, err := s.recs.ByCalls(s.ctx, s.boss(), []id.ID{s.call})
	if err != nil || len(all[s.call]) != 1 {
		t.Fatalf("%d recordings of the call, %v", len(all[s.call]), err)
	}
	var state string
	if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		return tx.Pgx().QueryRow(ctx, `SELECT media_state FROM recording WHERE organization_id = $1 AND twilio_sid = $2`, s.org, sid("RE", 2)).Scan(&state)
	}); err != nil || state != string(recording.MediaNone) {
		t.Errorf("%s, %v", state, err)
	}
}
