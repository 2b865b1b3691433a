package transcript_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/patch"
	"switchboard/internal/recording"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
	"switchboard/internal/transcript"
	"switchboard/internal/twilio"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func sid(kind string, n int) string { return fmt.Sprintf("%s%032d", kind, n) }

// wav is some seconds of two channels of 16 bits at 8 kHz.
func wav(seconds int) []byte {
	n := seconds * 8000 * 4
	b := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(36+n))...)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = append(b, 1, 0, 2, 0)
	b = binary.LittleEndian.AppendUint32(b, 8000)
	b = binary.LittleEndian.AppendUint32(b, 32000)
	b = append(b, 4, 0, 16, 0)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	return append(b, make([]byte, n)...)
}

// said is what every provider hears.
var said = []struct{ speaker, text string }{{"CALLER", "My boiler is leaking again."}, {"USER", "We send somebody today."}}

// stage has an organization with one call and its stored recording of two channels,
// and providers that are scripted.
type stage struct {
	*testing.T
	db    *db.DB
	clock *clock.Fake
	svc   *transcript.Service
	run   *job.Runner
	org   id.ID
	call  id.ID
	rec   id.ID
	conn  id.ID
	line  id.ID
	admin access.Actor
	ctx   context.Context
	fake  *provider
}

// provider plays all three: it counts what was begun, and breaks as told.
type provider struct {
	mu      sync.Mutex                                         // guards all
	faults  []func(http.ResponseWriter, *http.Request, func()) // of handovers, one after the other
	always  func(http.ResponseWriter, *http.Request, func())
	begun   map[string]string // by our id, or by part: what it is called here
	posts   int               // handovers that came
	at      []time.Time
	pending int // looks that are answered with "not yet"
	huge    bool
	fails   bool
	deleted []string
	later   bool // the HTTP provider answers 202
	last    map[string]any
	keys    []string
	signed  []string
	clock   *clock.Fake
	auth    []string
	parts   []map[string]any
}

func newStage(t *testing.T, options ...func(*transcript.Installation)) *stage {
	t.Helper()
	s := &stage{T: t, clock: clock.NewFake(start)}
	s.fake = &provider{begun: map[string]string{}, clock: s.clock}
	s.db = testkit.DB(t, testkit.Clock(s.clock), testkit.MaxConns(8))
	srv := httptest.NewServer(s.fake)
	base, _ := url.Parse(srv.URL)
	tr := twilio.NewTransport(twilio.TransportOptions{BaseURL: base, Timeout: 500 * time.Millisecond, Wait: func(context.Context, time.Duration) error { return nil }})
	client, err := twilio.NewClient(twilio.Options{AccountSID: sid("AC", 1), AuthToken: "abcdef", Transport: tr})
	s.must(err)
	keys, err := secret.New()
	s.must(err)
	blobs, err := blob.OpenStore(t.Context(), "mem://", keys)
	s.must(err)
	quiet := slog.New(slog.DiscardHandler)
	of := func(context.Context, id.ID) (*twilio.Client, error) { return client, nil }
	public, _ := url.Parse("https://phone.example.com")
	set := transcript.Installation{GoogleURL: srv.URL, MayReachInside: true, ProviderTimeout: 30 * time.Second}
	for _, o := range options {
		o(&set)
	}
	s.svc = transcript.New(transcript.Deps{DB: s.db, Clock: s.clock, Logger: quiet, Keys: keys, Blobs: blobs, Base: public, Client: of,
		Hook: func(context.Context, id.ID) (string, error) {
			return "https://phone.example.com/twilio/x/y/transcript", nil
		},
		Recordings: recording.New(recording.Deps{DB: s.db, Clock: s.clock, Blobs: blobs, Logger: quiet, Client: of}),
		Contacts:   contact.New(contact.Deps{DB: s.db}), Installation: set})
	events, err := event.New(s.db, event.Options{Sealer: keys, Logger: quiet})
	s.must(err)
	s.run = job.New(s.db, s.clock, job.RunnerOptions{Logger: quiet})
	s.svc.Register(s.run, events)
	s.must(s.run.Start(t.Context()))
	t.Cleanup(func() { s.run.Stop(); s.svc.Close(); tr.Close(); srv.Close(); _ = blobs.Close() })

	s.org, s.call, s.rec, s.conn, s.line = id.New(id.Organization), id.New(id.Call), id.New(id.Recording), id.New(id.Connection), id.New(id.PhoneNumber)
	s.ctx = db.WithTenant(t.Context(), s.org)
	now := s.clock.Now()
	s.exec(`INSERT INTO organization (organization_id, name, updated_at) VALUES ($1, 'Acme', $2)`, s.org, now)
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at) VALUES ($1, $2, 'Main', $3, 'FULL', 'active', $4)`,
		s.org, s.conn, sid("AC", 1), now)
	s.admin = s.person("ada", access.SeesOrganization)
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, from_number, to_number, answered_by_user_id, started_at, ended_at, updated_at)
		VALUES ($1, $2, 'INBOUND', 'COMPLETED', $3, '+61400999888', '+61255501234', $5, $4, $4, $4)`, s.org, s.call, s.conn, now, s.admin.UserID)
	audio := wav(2)
	info, err := blobs.Put(t.Context(), s.org, bytes.NewReader(audio), 1<<30, blob.Audio)
	s.must(err)
	s.record(s.rec, s.call, 1, 2, info.Key, len(audio))
	t.Cleanup(func() {
		s.fake.mu.Lock()
		defer s.fake.mu.Unlock()
	})
	return s
}

func (s *stage) record(rec, call id.ID, n, seconds int, key string, size int) {
	s.Helper()
	s.exec(`INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, channels, duration_seconds, started_at, media_state, blob_key, content_type, size_bytes, updated_at)
		VALUES ($1, $2, $3, $4, 'CALL', 'COMPLETED', 2, $5, $6, 'STORED', $7, 'audio/wav', $8, $6)`, s.org, rec, call, sid("RE", n), seconds, s.clock.Now(), key, size)
}

// person is somebody with every permission of transcripts.
func (s *stage) person(name string, v access.Visibility) access.Actor {
	s.Helper()
	user, role, login := id.New(id.User), id.New(id.Role), id.New(id.Login)
	s.exec(`INSERT INTO role (organization_id, id, name, permissions, visibility, updated_at) VALUES ($1, $2, $3, '{}', $4, $5)`, s.org, role, name, v, s.clock.Now())
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, role_id, name, email, status, updated_at) VALUES ($1, $2, $3, $4, $5, $6, 'ACTIVE', $7)`,
		s.org, user, login, role, name, name+"@acme.test", s.clock.Now())
	return access.Actor{OrganizationID: s.org, UserID: user, Permissions: access.SetOf(access.All...), Visibility: v}
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) exec(sql string, args ...any) {
	s.Helper()
	s.must(s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Pgx().Exec(ctx, sql, args...)
		return err
	}))
}

func (s *stage) number(sql string, args ...any) (n int) {
	s.Helper()
	s.must(s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error { return tx.Pgx().QueryRow(ctx, sql, args...).Scan(&n) }))
	return n
}

// use chooses the provider.
func (s *stage) use(p transcript.ProviderName) {
	s.Helper()
	in := transcript.SettingsChange{Provider: patch.To(p), Language: patch.To("en-AU"), GoogleAPIKey: patch.To("AIzaSyTestTestTestTestTest"),
		HTTPURL: patch.To(s.httpURL()), HTTPSecret: patch.To("0123456789abcdef")}
	if _, err := s.svc.UpdateSettings(s.ctx, s.admin, in); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) httpURL() string { return s.svc.GoogleURL + "/http" }

// ask has the recording transcribed.
func (s *stage) ask() *transcript.Transcript {
	s.Helper()
	t, err := s.svc.Create(s.ctx, s.admin, transcript.Create{RecordingID: s.rec}, "")
	s.must(err)
	return t
}

func (s *stage) get(x id.ID) *transcript.Transcript {
	s.Helper()
	t, err := s.svc.Get(s.ctx, s.admin, x)
	s.must(err)
	return t
}

func (s *stage) settle() {
	s.Helper()
	s.must(s.run.Drain(s.Context()))
}

// until moves the clock from one due moment to the next until nothing is due or done says so.
func (s *stage) until(x id.ID, done func(*transcript.Transcript) bool) *transcript.Transcript {
	s.Helper()
	for range 300 {
		s.settle()
		t := s.get(x)
		if done(t) {
			return t
		}
		if t.DueAt == nil {
			s.Fatalf("nothing is due any more: %s %v", t.Status, t.FailureReason)
		}
		if wait := t.DueAt.Sub(s.clock.Now()); wait > 0 {
			s.clock.Advance(wait)
		}
		if t.LeasedUntil != nil && t.LeasedUntil.After(s.clock.Now()) {
			s.clock.Advance(t.LeasedUntil.Sub(s.clock.Now()))
		}
		s.clock.Advance(5 * time.Second)
		s.must(s.run.RunSweeps(s.Context()))
	}
	s.Fatalf("it never ended: %+v", s.get(x))
	return nil
}

func ended(t *transcript.Transcript) bool {
	return t.Status == transcript.Completed || t.Status == transcript.Failed
}

// lines are the segments as "SPEAKER text".
func (s *stage) lines(x id.ID) (out []string) {
	s.Helper()
	m, err := s.svc.Segments(s.ctx, []id.ID{x}, transcript.Window{First: 1000})
	s.must(err)
	for _, g := range m[x] {
		out = append(out, g.Speaker+" "+g.Text)
	}
	return out
}

// handover counts a request that begins work, or breaks it.
func (p *provider) handover(w http.ResponseWriter, r *http.Request, effect, answer func()) {
	p.posts++
	p.at = append(p.at, p.clock.Now())
	fault := p.always
	if len(p.faults) > 0 {
		fault, p.faults = p.faults[0], p.faults[1:]
	}
	if fault != nil {
		fault(w, r, effect)
		return
	}
	effect()
	answer()
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	send := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	path := r.URL.Path
	switch {
	case path == "/http":
		p.http(w, r, body, send)
	case strings.HasSuffix(path, ":longrunningrecognize") || strings.Contains(path, "/operations/"):
		p.google(w, r, body, send)
	case strings.HasPrefix(path, "/v2/"):
		p.twilio(w, r, send)
	default:
		http.NotFound(w, r)
	}
}

func (p *provider) http(w http.ResponseWriter, r *http.Request, body []byte, send func(int, any)) {
	_ = json.Unmarshal(body, &p.last)
	key := r.Header.Get("Idempotency-Key")
	p.keys, p.signed = append(p.keys, key), append(p.signed, r.Header.Get("Switchboard-Signature"))
	p.handover(w, r, func() { p.begun[key] = key }, func() {
		switch {
		case p.pending > 0:
			p.pending--
			w.WriteHeader(http.StatusAccepted)
		case p.later:
			w.WriteHeader(http.StatusAccepted)
		case p.fails:
			send(200, map[string]any{"status": "FAILED", "reason": "this is music"})
		default:
			send(200, p.result())
		}
	})
}

func (p *provider) result() map[string]any {
	var list []map[string]any
	for i, x := range said {
		text := x.text
		if p.huge {
			text = strings.Repeat("word ", 4<<20)
		}
		list = append(list, map[string]any{"startMs": i * 1000, "endMs": i*1000 + 900, "channel": i + 1, "text": text, "confidence": 0.8})
	}
	return map[string]any{"status": "COMPLETED", "language": "en-AU", "segments": list}
}

func (p *provider) google(w http.ResponseWriter, r *http.Request, body []byte, send func(int, any)) {
	p.auth = append(p.auth, r.Header.Get("X-Goog-Api-Key"))
	if r.Method == http.MethodPost {
		var in map[string]any
		_ = json.Unmarshal(body, &in)
		p.parts = append(p.parts, in)
		name := fmt.Sprintf("op%d", len(p.begun)+1)
		p.handover(w, r, func() { p.begun[name] = name }, func() { send(200, map[string]any{"name": name}) })
		return
	}
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	if p.pending > 0 {
		p.pending--
		send(200, map[string]any{"name": name})
		return
	}
	if p.fails {
		send(200, map[string]any{"name": name, "done": true, "error": map[string]any{"code": 3, "message": "this is music"}})
		return
	}
	var results []map[string]any
	for i, x := range said {
		text := x.text
		if p.huge {
			text = strings.Repeat("word ", 4<<20)
		}
		at := func(s int) string { return fmt.Sprintf("%d.%d00s", i, s) }
		results = append(results, map[string]any{"channelTag": i + 1, "resultEndTime": at(9), "alternatives": []map[string]any{{"transcript": text, "confidence": 0.8,
			"words": []map[string]any{{"startTime": at(0), "endTime": at(4), "word": "x"}, {"startTime": at(5), "endTime": at(9), "word": "y"}}}}})
	}
	send(200, map[string]any{"name": name, "done": true, "response": map[string]any{"results": results}})
}

func (p *provider) twilio(w http.ResponseWriter, r *http.Request, send func(int, any)) {
	_ = r.ParseForm()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	show := func(key, sid, status string) map[string]any {
		return map[string]any{"sid": sid, "customer_key": key, "status": status, "language_code": "en-AU", "service_sid": "GA00000000000000000000000000000001"}
	}
	switch {
	case parts[1] == "Services" && r.Method == http.MethodGet:
		send(404, map[string]any{"code": 20404, "status": 404, "message": "not found"})
	case parts[1] == "Services":
		send(201, map[string]any{"sid": "GA00000000000000000000000000000001", "unique_name": r.Form.Get("UniqueName"), "language_code": r.Form.Get("LanguageCode")})
	case len(parts) == 2 && r.Method == http.MethodPost:
		key := r.Form.Get("CustomerKey")
		gt := sid("GT", len(p.begun)+1)
		p.last = map[string]any{"channel": r.Form.Get("Channel")}
		p.handover(w, r, func() { p.begun[key] = gt }, func() { send(202, show(key, gt, "queued")) })
	case len(parts) == 2:
		list := []map[string]any{}
		for key, gt := range p.begun {
			list = append(list, show(key, gt, "completed"))
		}
		send(200, map[string]any{"transcripts": list, "meta": map[string]any{}})
	case len(parts) == 4:
		var list []map[string]any
		for i, x := range said {
			text := x.text
			if p.huge {
				text = strings.Repeat("word ", 4<<20)
			}
			list = append(list, map[string]any{"media_channel": i + 1, "sentence_index": i, "start_time": fmt.Sprintf("%d.0", i), "end_time": fmt.Sprintf("%d.9", i), "transcript": text, "confidence": "0.80"})
		}
		send(200, map[string]any{"sentences": list, "meta": map[string]any{}})
	case r.Method == http.MethodDelete:
		p.deleted = append(p.deleted, parts[2])
		w.WriteHeader(204)
	default:
		status := "completed"
		if p.pending > 0 {
			p.pending--
			status = "in-progress"
		}
		if p.fails {
			status = "failed"
		}
		send(200, show("", parts[2], status))
	}
}

// put stores audio and gives its key.
func (s *stage) put(audio []byte) string {
	s.Helper()
	info, err := s.svc.Blobs.Put(s.Context(), s.org, bytes.NewReader(audio), 1<<30, blob.Audio)
	s.must(err)
	return info.Key
}
