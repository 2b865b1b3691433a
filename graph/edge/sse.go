package edge

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"switchboard/internal/errs"
)

// events answers one operation as server-sent events: the "distinct connections mode"
// of the graphql-sse protocol, whose events are next and complete and nothing else.
// An error that ends a stream (token expired, session revoked, a failed source) is
// therefore a next with errors, then complete. At shutdown and for a slow reader the
// connection just ends, without complete, so that the client comes back.
func (e *Edge) events(a *answer, req *Request, p *params) {
	from := e.opts.Clock.Now()
	release, err := e.acquire()
	if err != nil {
		a.refuse(http.StatusServiceUnavailable, err)
		return
	}
	defer func() { release() }()
	if err := e.maySocket(a.ctx, req); err != nil {
		a.refuseStream(err)
		return
	}
	key := streamKey(req)
	if err := e.streams.enter(key, e.limits.StreamsPerIdentity); err != nil {
		status := http.StatusTooManyRequests
		if errs.IsCode(err, errs.Unavailable) {
			status = http.StatusServiceUnavailable
		}
		a.refuse(status, err)
		return
	}
	defer e.streams.leave(key)

	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	ctx, oc, refused := e.open(ctx, req, p)
	if refused == nil {
		refused = e.presentIf(ctx, allowed(req, oc, a))
	}
	s := &eventStream{edge: e, w: a.w, c: http.NewResponseController(a.w)}
	if refused != nil {
		e.observe(ctx, req, oc, len(refused), true, from)
		if a.status != 0 { // a mutation by GET never becomes a stream
			a.refused(refused)
			return
		}
		if s.start() && s.next(&graphql.Response{Errors: refused}) {
			s.complete()
		}
		return
	}
	if oc.Operation.Operation == ast.Subscription {
		release()
		release = func() {}
	}
	watch := e.watch(req.Who)
	defer watch.stop()
	if !s.start() {
		return
	}

	answers := make(chan *graphql.Response)
	finished := make(chan gqlerror.List, 1)
	go func() {
		finished <- e.execute(ctx, oc, func(r *graphql.Response) bool {
			own := *r
			own.Data = slices.Clone(r.Data) // gqlgen writes the next answer over this one
			select {
			case answers <- &own:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	draining := e.draining
	if oc.Operation.Operation != ast.Subscription {
		draining = e.killed // it may finish
	}
	failures := s.run(ctx, draining, watch, answers, finished)
	cancel()
	if !s.finished {
		<-finished // the resolver has ended with its context
	}
	e.observe(ctx, req, oc, failures, false, from)
}

type eventStream struct {
	edge     *Edge
	w        http.ResponseWriter
	c        *http.ResponseController
	buffer   bytes.Buffer
	finished bool // the executing goroutine has reported
}

// run relays answers until the stream ends, whoever ends it.
func (s *eventStream) run(ctx context.Context, draining <-chan struct{}, watch *watch, answers <-chan *graphql.Response, finished <-chan gqlerror.List) (failures int) {
	e := s.edge
	goodbye := func(why error) {
		if s.next(&graphql.Response{Errors: gqlerror.List{e.present(ctx, gqlerror.Wrap(why))}}) {
			s.complete()
		}
	}
	for {
		select { // an ended session outranks an event that waits
		case <-watch.expired:
			goodbye(expired())
			return failures
		case <-watch.revoked:
			goodbye(revoked())
			return failures
		default:
		}
		select {
		case <-watch.expired:
			goodbye(expired())
			return failures
		case <-watch.revoked:
			goodbye(revoked())
			return failures
		case <-draining:
			return failures
		case <-ctx.Done():
			return failures
		case <-watch.ping:
			watch.rearm()
			if !s.write([]byte(":\n\n")) {
				return failures
			}
		case r := <-answers:
			failures += len(r.Errors)
			if !s.next(r) {
				return failures
			}
		case list := <-finished:
			s.finished = true
			failures += len(list)
			if len(list) > 0 && !s.next(&graphql.Response{Errors: list}) {
				return failures
			}
			s.complete()
			return failures
		}
	}
}

func (s *eventStream) start() bool {
	h := s.w.Header()
	h.Set("Content-Type", typeEvents+"; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")
	s.w.WriteHeader(http.StatusOK)
	return s.write([]byte(":\n\n")) // lets the client see that it is connected
}

func (s *eventStream) next(r *graphql.Response) bool {
	s.buffer.Reset()
	s.buffer.WriteString("event: next\ndata: ")
	body := appendResponse(s.buffer.AvailableBuffer(), r)
	for i, c := range body { // a line break is space in JSON and an end in an event
		if c == '\n' || c == '\r' {
			body[i] = ' '
		}
	}
	s.buffer.Write(body)
	s.buffer.WriteString("\n\n")
	return s.write(s.buffer.Bytes())
}

func (s *eventStream) complete() { s.write([]byte("event: complete\ndata:\n\n")) }

// write sends bytes now or never: a reader that stalls is cut at the deadline.
func (s *eventStream) write(b []byte) bool {
	_ = s.c.SetWriteDeadline(time.Now().Add(s.edge.limits.Write))
	if _, err := s.w.Write(b); err != nil {
		return false
	}
	return s.c.Flush() == nil
}

func (a *answer) refuseStream(err error) {
	switch errs.CodeOf(err) {
	case errs.Unauthenticated:
		a.w.Header().Set("WWW-Authenticate", `Bearer realm="graphql"`)
		a.refuse(http.StatusUnauthorized, err)
	case errs.Unavailable:
		a.refuse(http.StatusServiceUnavailable, err)
	default:
		a.refuse(http.StatusForbidden, err)
	}
}

func expired() error { return errs.New(errs.Unauthenticated, "the token has expired; refresh it") }
func revoked() error { return errs.New(errs.Unauthenticated, "the session has ended; sign in again") }

// watch is what can end a stream from the side of its identity, and its keep-alive.
type watch struct {
	edge    *Edge
	expired <-chan time.Time // nil: never
	revoked <-chan struct{}  // nil: never
	ping    <-chan time.Time
	stops   [3]func()
}

func (e *Edge) watch(who Identity) *watch {
	w := &watch{edge: e, revoked: who.Done, stops: [3]func(){func() {}, func() {}, func() {}}}
	if e.opts.Watch != nil && w.revoked == nil && who.Value != nil {
		w.revoked, w.stops[2] = e.opts.Watch(who)
	}
	if !who.Expires.IsZero() {
		w.expired, w.stops[0] = e.opts.Clock.After(who.Expires.Sub(e.opts.Clock.Now()))
	}
	w.rearm()
	return w
}

func (w *watch) rearm() {
	w.stops[1]()
	w.ping, w.stops[1] = w.edge.opts.Clock.After(w.edge.limits.Ping)
}

func (w *watch) stop() {
	for _, stop := range w.stops {
		stop()
	}
}
