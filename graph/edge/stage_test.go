package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"switchboard/graph/edge"
	"switchboard/graph/edge/internal/testschema"
	"switchboard/internal/clock"
	"switchboard/internal/errs"
)

const (
	good    = "good-token"
	other   = "other-token"
	blind   = "blind-token" // may not introspect
	patient = 20 * time.Second
)

// stage is a server with the test schema, a clock that stands still and a log to look into.
type stage struct {
	t       *testing.T
	edge    *edge.Edge
	server  *httptest.Server
	clock   *clock.Fake
	schema  *testschema.Resolver
	log     *journal
	revoke  func() // ends the session of the good token
	expires time.Time
	ctx     context.Context
}

type journal struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func newStage(t *testing.T, change ...func(*edge.Options)) *stage {
	t.Helper()
	s := &stage{t: t, clock: clock.NewFake(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)), schema: testschema.New(), log: &journal{}}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(t.Context(), patient)
	t.Cleanup(cancel)
	done := make(chan struct{})
	s.revoke = sync.OnceFunc(func() { close(done) })
	s.expires = s.clock.Now().Add(time.Hour)
	o := edge.Options{
		Authenticate: func(_ context.Context, bearer string) (edge.Identity, error) {
			switch bearer {
			case good:
				return edge.Identity{Key: "ann", MayIntrospect: true, Expires: s.expires, Done: done}, nil
			case other:
				return edge.Identity{Key: "bob", MayIntrospect: true}, nil
			case blind:
				return edge.Identity{Key: "cy"}, nil
			case "past-token":
				return edge.Identity{Key: "dee", Expires: s.clock.Now()}, nil
			case "no-database":
				return edge.Identity{}, errs.New(errs.Unavailable, "the database is away")
			}
			return edge.Identity{}, errors.New("signature of " + bearer + " is wrong")
		},
		AuthenticateContext: func(ctx context.Context, who edge.Identity) context.Context {
			return context.WithValue(ctx, testschema.TenantKey{}, "tenant-of-"+who.Key)
		},
		Costly: func(mutation string) bool { return mutation == "spend" },
		Logger: slog.New(slog.NewJSONHandler(s.log, nil)),
		Clock:  s.clock,
	}
	for _, c := range change {
		c(&o)
	}
	s.edge = edge.New(testschema.NewExecutableSchema(testschema.Config{Resolvers: s.schema}), o)
	s.server = httptest.NewUnstartedServer(s.edge)
	s.server.Config = edge.HTTPServer(s.edge)
	s.server.Start()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.log.String())
		}
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := s.edge.Shutdown(ctx); err != nil {
			t.Errorf("streams left after the test: %v", err)
		}
		s.server.Close()
	})
	return s
}

func limits(change func(*edge.Limits)) func(*edge.Options) {
	return func(o *edge.Options) { change(&o.Limits) }
}

// reply is an HTTP answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	data   map[string]json.RawMessage
	errors []problem
	has    bool // a data entry is there
}

type problem struct {
	Message    string
	Path       []any
	Extensions struct {
		Code      string
		RequestID string `json:"requestId"`
		Field     []string
	}
}

func (r reply) code() string {
	if len(r.errors) == 0 {
		return ""
	}
	return r.errors[0].Extensions.Code
}

func (s *stage) do(r *http.Request) reply {
	s.t.Helper()
	response, err := s.server.Client().Do(r.WithContext(s.ctx))
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	out := reply{status: response.StatusCode, header: response.Header, body: string(body)}
	var decoded struct {
		Data   json.RawMessage
		Errors []problem
	}
	if strings.Contains(response.Header.Get("Content-Type"), "json") && len(body) > 0 {
		if err := json.Unmarshal(body, &decoded); err != nil {
			s.t.Fatalf("answer is no JSON: %v: %s", err, body)
		}
	}
	out.errors, out.has = decoded.Errors, decoded.Data != nil
	if out.has && string(decoded.Data) != "null" {
		if err := json.Unmarshal(decoded.Data, &out.data); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

// request builds a request; headers are pairs.
func (s *stage) request(method, path, body string, headers ...string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequest(method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return r
}

// raw posts a body as JSON with a good token.
func (s *stage) raw(body string, headers ...string) reply {
	s.t.Helper()
	return s.do(s.request("POST", "/", body, append([]string{"Content-Type", "application/json", "Authorization", "Bearer " + good}, headers...)...))
}

func (s *stage) post(query string, headers ...string) reply {
	s.t.Helper()
	return s.raw(asBody(query), headers...)
}

func asBody(query string) string {
	b, _ := json.Marshal(map[string]any{"query": query})
	return string(b)
}

// signal waits for a name on a channel of the schema.
func (s *stage) signal(c <-chan string, want string) {
	s.t.Helper()
	select {
	case got := <-c:
		if got != want {
			s.t.Fatalf("signal is %q, want %q", got, want)
		}
	case <-s.ctx.Done():
		s.t.Fatalf("no signal %q", want)
	}
}

// wire is a WebSocket client that speaks raw messages.
type wire struct {
	s    *stage
	conn *websocket.Conn
}

type wireMessage struct {
	ID      string
	Type    string
	Payload json.RawMessage
}

func (s *stage) dial(headers ...string) *wire {
	s.t.Helper()
	return s.dialAs([]string{"graphql-transport-ws"}, headers...)
}

func (s *stage) dialAs(protocols []string, headers ...string) *wire {
	s.t.Helper()
	w, response, err := s.tryDial(protocols, headers...)
	if err != nil {
		s.t.Fatalf("dial: %v (%v)", err, response)
	}
	return w
}

func (s *stage) tryDial(protocols []string, headers ...string) (*wire, *http.Response, error) {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	conn, response, err := websocket.Dial(s.ctx, strings.Replace(s.server.URL, "http", "ws", 1), &websocket.DialOptions{Subprotocols: protocols, HTTPHeader: h})
	if err != nil {
		return nil, response, err
	}
	conn.SetReadLimit(64 << 20)
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	return &wire{s, conn}, response, nil
}

// open dials and initialises with a token.
func (s *stage) open(token string) *wire {
	s.t.Helper()
	w := s.dial()
	w.send(`{"type":"connection_init","payload":{"Authorization":"Bearer ` + token + `"}}`)
	w.expect("", "connection_ack")
	return w
}

func (w *wire) send(text string) {
	w.s.t.Helper()
	if err := w.conn.Write(w.s.ctx, websocket.MessageText, []byte(text)); err != nil {
		w.s.t.Fatalf("send: %v", err)
	}
}

func (w *wire) subscribe(id, query string) {
	w.s.t.Helper()
	w.send(`{"id":"` + id + `","type":"subscribe","payload":` + asBody(query) + `}`)
}

func (w *wire) next() wireMessage {
	w.s.t.Helper()
	_, body, err := w.conn.Read(w.s.ctx)
	if err != nil {
		w.s.t.Fatalf("read: %v", err)
	}
	var m wireMessage
	if err := json.Unmarshal(body, &m); err != nil {
		w.s.t.Fatalf("message is no JSON: %s", body)
	}
	return m
}

func (w *wire) expect(id, kind string) string {
	w.s.t.Helper()
	m := w.next()
	if m.ID != id || m.Type != kind {
		w.s.t.Fatalf("message is %q %q %s, want %q %q", m.ID, m.Type, m.Payload, id, kind)
	}
	return string(m.Payload)
}

// closed reads until the server closes and checks the code; it returns what came before.
func (w *wire) closed(code int, reason string) []wireMessage {
	w.s.t.Helper()
	var before []wireMessage
	for {
		_, body, err := w.conn.Read(w.s.ctx)
		if err != nil {
			var ce websocket.CloseError
			if !errors.As(err, &ce) {
				w.s.t.Fatalf("socket ended without a close frame: %v", err)
			}
			if int(ce.Code) != code || !strings.Contains(ce.Reason, reason) {
				w.s.t.Fatalf("closed with %d %q, want %d %q", ce.Code, ce.Reason, code, reason)
			}
			return before
		}
		var m wireMessage
		_ = json.Unmarshal(body, &m)
		before = append(before, m)
	}
}

// feedOf opens an event stream.
type feedOf struct {
	s        *stage
	response *http.Response
	lines    *bufio.Reader
	cancel   context.CancelFunc
}

func (s *stage) stream(query string, headers ...string) *feedOf {
	s.t.Helper()
	r := s.request("POST", "/", asBody(query), append([]string{"Content-Type", "application/json", "Accept", "text/event-stream", "Authorization", "Bearer " + good}, headers...)...)
	ctx, cancel := context.WithCancel(s.ctx)
	response, err := s.server.Client().Do(r.WithContext(ctx))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cancel(); response.Body.Close() })
	return &feedOf{s, response, bufio.NewReader(response.Body), cancel}
}

// event reads one event; comments have the name ":", the end of the stream "EOF".
func (f *feedOf) event() (name, data string) {
	f.s.t.Helper()
	for {
		line, err := f.lines.ReadString('\n')
		if err != nil {
			return "EOF", ""
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, ":"):
			name = ":"
		case strings.HasPrefix(line, "event: "):
			name = line[len("event: "):]
		case strings.HasPrefix(line, "data:"):
			data = strings.TrimPrefix(line[len("data:"):], " ")
		case line == "" && name != "":
			return name, data
		}
	}
}

func (f *feedOf) expect(name, part string) {
	f.s.t.Helper()
	gotName, data := f.event()
	if gotName != name || !strings.Contains(data, part) {
		f.s.t.Fatalf("event is %q %q, want %q %q", gotName, data, name, part)
	}
}
