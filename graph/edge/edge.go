// Package edge is the guarded GraphQL transport around an executable schema:
// POST, GET, server-sent events and graphql-transport-ws on one address.
//
// It knows no schema, no database and no token format; all three come in through
// Options. The invariant: nothing reaches the schema that has not been counted
// against a limit first, over whichever transport it came, and no answer repeats
// what a refused body said.
package edge

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/rs/cors"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"switchboard/internal/clock"
	"switchboard/internal/errs"
)

// Identity is who a request speaks for, as Options.Authenticate found out.
type Identity struct {
	Key           string          // counts streams per person; empty counts them per address
	MayIntrospect bool            // whether __schema and __type are answered
	Expires       time.Time       // streams end then; the zero time never comes
	Done          <-chan struct{} // closed when the session is revoked: streams end at once; nil never closes
	Value         any             // whatever AuthenticateContext needs; the edge does not look inside
}

// Options configures New. Only Authenticate is required.
type Options struct {
	// Authenticate turns a bearer token into an identity. An error with the code
	// UNAVAILABLE is answered as such; any other means that the token is bad.
	Authenticate func(ctx context.Context, bearer string) (Identity, error)
	// Anonymous is the identity of a request without a token. It is held to
	// Limits.Anonymous, unless it may introspect (a laptop in development).
	Anonymous Identity
	// AuthenticateContext prepares the context of one operation: actor, tenant,
	// fresh loaders. It is called once for every operation, also on a socket.
	AuthenticateContext func(ctx context.Context, who Identity) context.Context
	// MaySocket refuses an identity a WebSocket or an event stream by returning an
	// error; without it only the anonymous are refused.
	MaySocket func(ctx context.Context, who Identity) error
	// Watch is asked once for every stream of an identity that has a Value and no
	// Done: a channel that is closed when the session is revoked, and what to call
	// when the stream has ended.
	Watch func(who Identity) (revoked <-chan struct{}, stop func())
	// PresentError says how an error of a resolver is shown; nil leaves it to the
	// default: an errs.Error with its code and message, anything else bland and logged.
	PresentError func(ctx context.Context, err error) *gqlerror.Error
	// Cost overrides what a field costs; ok false leaves it to the schema's own
	// complexity function and then to the default rule (see Field).
	Cost func(ctx context.Context, f Field) (cost int, ok bool)
	// Costly tells the mutations that cost money; Limits hold them to CostlyFields a document.
	Costly func(mutation string) bool
	// Extensions are gqlgen's, for tracing and the like. They see accepted operations only.
	Extensions []graphql.HandlerExtension
	// Observe is told about every operation when it has ended, refused ones too.
	Observe func(ctx context.Context, o Outcome)
	// Origins are the web origins that may call from another site, with at most one
	// * each; the server's own origin always may.
	Origins []string
	// ClientIP is the address of the peer; the default is the connection's.
	ClientIP func(r *http.Request) string
	Limits   Limits
	Logger   *slog.Logger
	Clock    clock.Clock
}

// Outcome is one operation as it ended, for metrics and logs.
type Outcome struct {
	Transport Transport
	Kind      string // query, mutation or subscription; empty when the document was refused
	Name      string // the client's name for it: untrusted, unbounded in variety
	Errors    int
	Refused   bool // nothing was executed
	Took      time.Duration
}

// Transport names how an operation came in.
type Transport string

// The transports.
const (
	POST   Transport = "post"
	GET    Transport = "get"
	SSE    Transport = "sse"
	Socket Transport = "socket"
)

// Edge serves one schema. It is an http.Handler; call Shutdown before the server's own.
type Edge struct {
	opts    Options
	limits  Limits
	schema  graphql.ExecutableSchema
	exec    *executor.Executor
	cors    *cors.Cors // nil when no foreign origin is allowed
	handler http.Handler
	slots   chan struct{} // one for every operation being executed
	signed  *documents
	public  *documents // the anonymous have their own, so that they cannot empty the other
	streams streams

	stopping sync.Once
	draining chan struct{} // closed when Shutdown begins
	killing  sync.Once
	killed   chan struct{} // closed when Shutdown has waited long enough
}

// New puts the guard around a schema. It panics when an extension refuses the
// schema, or when there is no Authenticate.
func New(es graphql.ExecutableSchema, o Options) *Edge {
	if o.Authenticate == nil {
		panic("edge: Options.Authenticate is required")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.ClientIP == nil {
		o.ClientIP = peer
	}
	limits := o.Limits.withDefaults()
	e := &Edge{
		opts:     o,
		limits:   limits,
		schema:   es,
		exec:     executor.New(es),
		slots:    make(chan struct{}, limits.Concurrent),
		signed:   newDocuments(limits.CachedDocuments, limits.CachedBytes),
		public:   newDocuments(max(limits.CachedDocuments/4, 1), max(limits.CachedBytes/4, 1)),
		draining: make(chan struct{}),
		killed:   make(chan struct{}),
	}
	e.streams.init(limits.Streams)
	e.exec.SetQueryCache(prepared{})
	e.exec.SetErrorPresenter(e.present)
	e.exec.SetRecoverFunc(e.recovered)
	for _, x := range o.Extensions {
		e.exec.Use(x)
	}
	e.handler = http.HandlerFunc(e.serve)
	if len(o.Origins) > 0 {
		e.cors = cors.New(cors.Options{
			AllowedOrigins: o.Origins,
			AllowedMethods: []string{http.MethodGet, http.MethodPost},
			AllowedHeaders: []string{"Accept", "Authorization", "Content-Type"},
			ExposedHeaders: []string{requestIDHeader, "Retry-After"},
			MaxAge:         600,
		})
		e.handler = e.cors.Handler(e.handler)
	}
	return e
}

// ServeHTTP answers one request.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.handler.ServeHTTP(w, r) }

// Shutdown refuses new work, lets queries and mutations on sockets finish, closes
// sockets with 1001 and ends event streams. It returns when all are gone; when ctx
// ends first it closes what is left and returns ctx's error.
func (e *Edge) Shutdown(ctx context.Context) error {
	e.stopping.Do(func() { close(e.draining) })
	select {
	case <-e.streams.gone():
		return nil
	case <-ctx.Done():
		e.killing.Do(func() { close(e.killed) })
		return ctx.Err()
	}
}

// Streams is how many sockets and event streams are open, for a gauge.
func (e *Edge) Streams() int { return e.streams.count() }

func (e *Edge) isDraining() bool {
	select {
	case <-e.draining:
		return true
	default:
		return false
	}
}

// acquire takes one of the slots for executing operations; it never waits, because a
// queue here would only hide the overload from the load balancer.
func (e *Edge) acquire() (release func(), err error) {
	select {
	case e.slots <- struct{}{}:
		return func() { <-e.slots }, nil
	default:
		return nil, errs.New(errs.Unavailable, "too many operations at once; try again in a second")
	}
}

// Request is what the edge knows about the request behind a context.
type Request struct {
	ID        string // also in X-Request-Id and extensions.requestId
	Transport Transport
	ClientIP  string
	UserAgent string // at most 256 bytes
	Who       Identity
	Anonymous bool // no token came

	limits *DocumentLimits
}

type requestKey struct{}

// From is the request behind an operation's context; ok is false outside of one.
func From(ctx context.Context) (r Request, ok bool) {
	p, ok := ctx.Value(requestKey{}).(*Request)
	if !ok {
		return Request{}, false
	}
	return *p, true
}

func with(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// identify completes a request with who it speaks for.
func (e *Edge) identify(r *Request, who Identity, anonymous bool) {
	r.Who, r.Anonymous, r.limits = who, anonymous, &e.limits.Signed
	if anonymous && !who.MayIntrospect {
		r.limits = &e.limits.Anonymous
	}
}

func (e *Edge) maySocket(ctx context.Context, r *Request) error {
	if e.opts.MaySocket != nil {
		return e.opts.MaySocket(ctx, r.Who)
	}
	if r.Anonymous {
		return errs.New(errs.Unauthenticated, "sign in to open a stream")
	}
	return nil
}

// params is a GraphQL request as every transport delivers it.
type params struct {
	Query         string
	OperationName string
	Variables     map[string]any
	Extensions    map[string]any
}

// open prepares one operation: document, variables, limits. The returned context is
// the operation's own. A refusal has been presented already.
func (e *Edge) open(ctx context.Context, r *Request, p *params) (context.Context, *graphql.OperationContext, gqlerror.List) {
	ctx = with(ctx, r)
	if e.opts.AuthenticateContext != nil {
		ctx = e.opts.AuthenticateContext(ctx, r.Who)
	}
	ctx = graphql.StartOperationTrace(ctx)
	store := e.signed
	if r.limits == &e.limits.Anonymous {
		store = e.public
	}
	doc, refused := e.prepare(store, r.limits, p.Query)
	if refused != nil {
		return ctx, nil, e.presentAll(ctx, refused)
	}
	oc, list := e.exec.CreateOperationContext(context.WithValue(ctx, preparedKey{}, doc), &graphql.RawParams{
		Query:         p.Query,
		OperationName: p.OperationName,
		Variables:     p.Variables,
		Extensions:    p.Extensions,
	})
	if len(list) == 0 {
		list = e.permit(ctx, r, doc, oc)
	}
	if len(list) > 0 {
		return ctx, nil, e.presentAll(graphql.WithOperationContext(ctx, oc), list)
	}
	oc.DisableIntrospection = !r.Who.MayIntrospect
	return graphql.WithOperationContext(ctx, oc), oc, nil
}

// execute runs an opened operation and hands every answer to emit until emit says no.
// The list is non-empty when the operation ended in an error instead of completing.
// Queries and mutations get the deadline; subscriptions live as long as ctx.
func (e *Edge) execute(ctx context.Context, oc *graphql.OperationContext, emit func(*graphql.Response) bool) (ended gqlerror.List) {
	defer func() {
		if p := recover(); p != nil {
			ended = gqlerror.List{e.present(ctx, e.recovered(ctx, p))}
		}
	}()
	streaming := oc.Operation.Operation == ast.Subscription
	if !streaming {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.limits.Execution)
		defer cancel()
	}
	end := &ending{}
	ctx = context.WithValue(ctx, endingKey{}, end)
	next, ctx := e.exec.DispatchOperation(ctx, oc)
	for answered := false; ; answered = true {
		response := next(ctx)
		if response == nil {
			if err := end.err(); err != nil {
				return gqlerror.List{e.present(ctx, err)}
			}
			if !answered && !streaming && ctx.Err() != nil {
				return gqlerror.List{e.present(ctx, ctx.Err())}
			}
			return nil
		}
		response.Errors = e.trim(response.Errors)
		if len(response.Data) == 0 && len(response.Errors) > 0 {
			return response.Errors
		}
		if !emit(response) || !streaming {
			return nil
		}
	}
}

func (e *Edge) observe(ctx context.Context, r *Request, oc *graphql.OperationContext, errors int, refused bool, from time.Time) {
	if e.opts.Observe == nil {
		return
	}
	o := Outcome{Transport: r.Transport, Errors: errors, Refused: refused, Took: e.opts.Clock.Now().Sub(from)}
	if oc != nil && oc.Operation != nil {
		o.Kind, o.Name = string(oc.Operation.Operation), oc.Operation.Name
	}
	e.opts.Observe(ctx, o)
}

type endingKey struct{}

// ending is how a resolver ends its stream with an error.
type ending struct {
	mu  sync.Mutex // guards why
	why error
}

func (e *ending) err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.why
}

// Fail makes the subscription behind ctx end with err instead of completing, once its
// resolver closes the channel: "the cursor is too old", "you read too slowly". The
// first error stays.
func Fail(ctx context.Context, err error) {
	end, ok := ctx.Value(endingKey{}).(*ending)
	if !ok {
		return
	}
	end.mu.Lock()
	defer end.mu.Unlock()
	if end.why == nil {
		end.why = err
	}
}
