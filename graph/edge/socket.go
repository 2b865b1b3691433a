package edge

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"switchboard/internal/errs"
)

const (
	subprotocol = "graphql-transport-ws"
	longestOpID = 128
)

// The close codes of graphql-transport-ws, and three of RFC 6455 for what it has none
// for: 1001 when the server stops, 1009 for a frame too long (sent by the WebSocket
// layer) and 1013 for a reader that is too slow or silent; clients come back after
// 1001 and 1013. An ended token or session is 4403: the usual client takes 4401 as
// final, and after 4403 it connects again with whatever token it has by then.
const (
	closeGoingAway       = websocket.StatusGoingAway
	closeTryAgain        = websocket.StatusTryAgainLater
	closeInternal        = websocket.StatusCode(4500)
	closeInvalid         = websocket.StatusCode(4400)
	closeUnauthorized    = websocket.StatusCode(4401)
	closeForbidden       = websocket.StatusCode(4403)
	closeSubprotocol     = websocket.StatusCode(4406)
	closeInitTimeout     = websocket.StatusCode(4408)
	closeDuplicate       = websocket.StatusCode(4409)
	closeTooManyInits    = websocket.StatusCode(4429)
	reasonTooSlow        = "Reading too slowly"
	reasonInitTimeout    = "Connection initialisation timeout"
	reasonTooManyInits   = "Too many initialisation requests"
	reasonBadSubprotocol = "Subprotocol not acceptable"
)

var always = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// socket is one WebSocket. Its reader is the handler's own goroutine; one more writes,
// and every running operation has one. All have ended when serve returns.
type socket struct {
	edge   *Edge
	req    *Request
	header []string // Authorization of the upgrade
	conn   *websocket.Conn
	ctx    context.Context // ends with the socket
	cancel context.CancelFunc
	key    string         // whom the stream is counted for
	work   sync.WaitGroup // writer and operations
	heard  atomic.Bool    // a message came since the last ping
	acked  chan *watch    // hands the writer its timers
	acks   bool           // the reader's own: connection_ack was sent
	wake   chan struct{}  // something is queued or closing

	mu      sync.Mutex // guards the rest
	ops     map[string]*socketOp
	running int // goroutines of operations, also of those the client completed
	busy    int // of them queries and mutations, which a shutdown waits for
	queue   []frame
	queued  int // bytes
	closing *closing
	drain   bool
	room    chan struct{} // closed when a full queue has got room; nil while nobody waits
}

type socketOp struct {
	id      string
	cancel  context.CancelFunc
	stopped bool // guarded by socket.mu, like the next: nothing of it is sent any more
	counted bool // in socket.running
}

type frame struct {
	op   *socketOp // nil for messages about the connection
	body []byte
}

type closing struct {
	code   websocket.StatusCode
	reason string
	flush  bool // what is queued goes out first
}

// socket upgrades a request.
func (e *Edge) socket(a *answer, req *Request) {
	if !e.originAllowed(a.r) {
		a.refuse(http.StatusForbidden, errs.New(errs.Forbidden, "this origin may not connect"))
		return
	}
	key := "from " + req.ClientIP
	if err := e.streams.enter("opening "+key, e.limits.OpeningPerAddress); err != nil {
		status := http.StatusTooManyRequests
		if errs.IsCode(err, errs.Unavailable) {
			status = http.StatusServiceUnavailable
		}
		a.refuse(status, err)
		return
	}
	s := &socket{edge: e, req: req, header: a.r.Header.Values("Authorization"), key: "opening " + key,
		acked: make(chan *watch), wake: make(chan struct{}, 1), ops: map[string]*socketOp{}}
	defer func() { e.streams.leave(s.key) }()
	// The clock of the initialisation starts before the client can know of the socket.
	late, stop := e.opts.Clock.After(e.limits.SocketInit)
	defer stop()
	conn, err := websocket.Accept(a.w, a.r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // originAllowed has checked it
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return // Accept has answered
	}
	s.conn = conn
	s.conn.SetReadLimit(e.limits.Frame)
	s.ctx, s.cancel = context.WithCancel(a.ctx)
	s.serve(late)
}

func (s *socket) serve(late <-chan time.Time) {
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		s.write(late)
	}()
	if s.conn.Subprotocol() != subprotocol {
		s.close(closeSubprotocol, reasonBadSubprotocol)
	}
	s.read()
	s.cancel()
	s.work.Wait()
}

// read takes messages until the socket ends.
func (s *socket) read() {
	defer func() {
		if p := recover(); p != nil {
			_ = s.edge.recovered(s.ctx, p)
			s.close(closeInternal, "Internal server error")
			s.work.Wait()
		}
	}()
	for {
		kind, body, err := s.conn.Read(context.Background()) // the writer closes the connection to end this
		if err != nil {
			return
		}
		s.heard.Store(true)
		if s.isClosing() {
			continue // until the close handshake is through
		}
		if kind != websocket.MessageText {
			s.close(closeInvalid, "Invalid message: binary frame")
			continue
		}
		s.take(body)
	}
}

// take handles one message.
func (s *socket) take(body []byte) {
	members, err := object(body, s.edge.limits.Nesting)
	if err != nil {
		s.invalid(err.Error())
		return
	}
	var kind, id string
	if json.Unmarshal(members["type"], &kind) != nil || members["type"][0] != '"' {
		s.invalid("type must be a string")
		return
	}
	if raw := members["id"]; raw != nil && (raw[0] != '"' || json.Unmarshal(raw, &id) != nil) {
		s.invalid("id must be a string")
		return
	}
	payload := members["payload"]
	if string(payload) == "null" {
		payload = nil
	}
	if payload != nil && payload[0] != '{' {
		s.invalid("payload must be an object")
		return
	}
	switch kind {
	case "connection_init":
		s.init(payload)
	case "ping":
		s.pong(payload)
	case "pong":
	case "subscribe":
		s.subscribe(id, payload)
	case "complete":
		if members["id"] == nil || id == "" || len(id) > longestOpID {
			s.invalid("id is missing or too long")
			return
		}
		s.complete(id)
	default:
		s.invalid("unknown type")
	}
}

func (s *socket) invalid(why string) { s.close(closeInvalid, "Invalid message: "+why) }

func (s *socket) pong(payload json.RawMessage) {
	if payload == nil {
		s.tell([]byte(`{"type":"pong"}`))
		return
	}
	s.tell(append(append([]byte(`{"type":"pong","payload":`), payload...), '}'))
}

// init authenticates: by the payload's Authorization (any case), else by the upgrade's.
func (s *socket) init(payload json.RawMessage) {
	if s.acks {
		s.close(closeTooManyInits, reasonTooManyInits)
		return
	}
	headers, err := s.edge.initToken(payload, s.header)
	if err != nil {
		s.invalid(err.Error())
		return
	}
	e := s.edge
	ctx, cancel := context.WithTimeout(s.ctx, e.limits.SocketInit)
	defer cancel()
	who, anonymous, err := e.authenticate(ctx, headers)
	if err == nil {
		e.identify(s.req, who, anonymous)
		err = e.maySocket(ctx, s.req)
	}
	if err == nil {
		err = s.count()
	}
	switch errs.CodeOf(err) {
	case "":
	case errs.Unavailable:
		s.close(closeTryAgain, "Unavailable")
		return
	case errs.LimitReached:
		s.close(closeForbidden, "Forbidden: too many sockets")
		return
	default:
		s.close(closeForbidden, "Forbidden")
		return
	}
	w := e.watch(who)
	s.heard.Store(true)
	select {
	case s.acked <- w:
		s.acks = true
		s.tell([]byte(`{"type":"connection_ack"}`))
	case <-s.ctx.Done():
		w.stop()
	}
}

// count moves the socket from the address to the identity.
func (s *socket) count() error {
	key := streamKey(s.req)
	if err := s.edge.streams.move(s.key, key, s.edge.limits.StreamsPerIdentity); err != nil {
		return err
	}
	s.key = key
	return nil
}

func (e *Edge) initToken(payload json.RawMessage, upgrade []string) (headers []string, err error) {
	m, err := e.mapping(payload, "payload")
	if err != nil {
		return nil, err
	}
	for key, v := range m {
		if !strings.EqualFold(key, "authorization") {
			continue
		}
		text, ok := v.(string)
		if !ok {
			return nil, malformed("Authorization must be a string")
		}
		headers = append(headers, text) // two are refused by authenticate
	}
	if headers == nil {
		headers = upgrade
	}
	return headers, nil
}

// subscribe starts an operation of any kind.
func (s *socket) subscribe(id string, payload json.RawMessage) {
	if id == "" || len(id) > longestOpID {
		s.invalid("id is missing or too long")
		return
	}
	if payload == nil {
		s.invalid("payload is missing")
		return
	}
	members, err := object(payload, s.edge.limits.Nesting)
	if err != nil {
		s.invalid(err.Error())
		return
	}
	p, err := s.edge.request(members)
	if err != nil {
		s.invalid(err.Error())
		return
	}
	if !s.acks {
		s.close(closeUnauthorized, "Unauthorized")
		return
	}
	// The identity is the socket's, the request id the operation's own.
	req := *s.req
	req.ID = newID()
	ctx, cancel := context.WithCancel(s.ctx)
	op := &socketOp{id: id, cancel: cancel}
	if refusal := s.begin(op); refusal != nil {
		cancel()
		if errs.IsCode(refusal, errs.Conflict) {
			s.close(closeDuplicate, "Subscriber for "+id+" already exists")
			return
		}
		ctx = with(ctx, &req)
		s.fail(op, gqlerror.List{s.edge.present(ctx, gqlerror.Wrap(refusal))})
		return
	}
	from := s.edge.opts.Clock.Now()
	ctx, oc, refused := s.open(ctx, &req, p)
	if refused != nil {
		s.edge.observe(ctx, &req, nil, len(refused), true, from)
		s.fail(op, refused)
		s.end(op, false)
		return
	}
	single := oc.Operation.Operation != ast.Subscription
	if single {
		s.mu.Lock()
		s.busy++
		s.mu.Unlock()
	}
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		defer s.end(op, single)
		s.run(ctx, &req, op, oc, from)
	}()
}

// open is Edge.open with a panic turned into a refusal: a socket outlives one bad operation.
func (s *socket) open(ctx context.Context, req *Request, p *params) (_ context.Context, _ *graphql.OperationContext, refused gqlerror.List) {
	defer func() {
		if v := recover(); v != nil {
			ctx = with(ctx, req)
			refused = gqlerror.List{s.edge.present(ctx, gqlerror.Wrap(s.edge.recovered(ctx, v)))}
		}
	}()
	return s.edge.open(ctx, req, p)
}

// begin registers an operation.
func (s *socket) begin(op *socketOp) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ops[op.id] != nil {
		return errs.New(errs.Conflict, "the id is in use")
	}
	if s.drain {
		return errs.New(errs.Unavailable, "the server is stopping; connect again")
	}
	if s.running >= s.edge.limits.SocketOperations {
		return errs.New(errs.LimitReached, "too many operations run on this socket; complete one of %d", s.edge.limits.SocketOperations)
	}
	s.ops[op.id] = op
	s.running++
	op.counted = true
	return nil
}

func (s *socket) end(op *socketOp, single bool) {
	op.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if single {
		s.busy--
	}
	s.over(op)
	s.goIfDrained()
}

// stop frees the id of an operation; the caller holds mu.
func (s *socket) stop(op *socketOp) {
	if s.ops[op.id] == op {
		delete(s.ops, op.id)
	}
}

// over is stop for an operation whose goroutine is at its end; the caller holds mu.
func (s *socket) over(op *socketOp) {
	s.stop(op)
	if op.counted {
		op.counted = false
		s.running--
	}
}

func (s *socket) complete(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op := s.ops[id]
	if op == nil {
		return // unknown or already over: the protocol says to ignore it
	}
	op.stopped = true
	op.cancel()
	s.stop(op)
}

func (s *socket) run(ctx context.Context, req *Request, op *socketOp, oc *graphql.OperationContext, from time.Time) {
	e := s.edge
	if oc.Operation.Operation != ast.Subscription {
		release, err := e.acquire()
		if err != nil {
			list := gqlerror.List{e.present(ctx, gqlerror.Wrap(err))}
			e.observe(ctx, req, oc, 1, true, from)
			s.fail(op, list)
			return
		}
		defer release()
	}
	failures := 0
	ended := e.execute(ctx, oc, func(r *graphql.Response) bool {
		failures += len(r.Errors)
		return s.push(ctx, op, message(op.id, "next", r))
	})
	e.observe(ctx, req, oc, failures+len(ended), false, from)
	if len(ended) > 0 {
		s.fail(op, ended)
		return
	}
	s.finish(op, message(op.id, "complete", nil))
}

// fail sends error, which ends the operation.
func (s *socket) fail(op *socketOp, list gqlerror.List) { s.finish(op, message(op.id, "error", list)) }

// finish sends the last message of an operation and frees its id in one step: whoever
// reads the message may use the id again.
func (s *socket) finish(op *socketOp, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.edge.limits
	switch {
	case s.closing != nil || op.stopped:
	case len(s.queue) >= l.QueuedMessages+l.SocketOperations: // refusals nobody reads
		s.closeLocked(&closing{code: closeTryAgain, reason: reasonTooSlow})
	default: // no need to wait: running operations are counted, and each has one last message
		s.enqueueLocked(op, body)
	}
	s.over(op)
}

func message(id, kind string, payload any) []byte {
	b := append(make([]byte, 0, 256), `{"id":`...)
	b = appendJSON(b, id)
	b = append(b, `,"type":"`...)
	b = append(b, kind...)
	b = append(b, '"')
	switch p := payload.(type) {
	case nil:
	case *graphql.Response:
		b = appendResponse(append(b, `,"payload":`...), p)
	default:
		b = appendJSON(append(b, `,"payload":`...), p)
	}
	return append(b, '}')
}
