package edge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"switchboard/internal/errs"
)

const (
	requestIDHeader = "X-Request-Id"
	typeGraphQL     = "application/graphql-response+json"
	typeJSON        = "application/json"
	typeEvents      = "text/event-stream"
	longestToken    = 8 << 10
)

// serve is the guard: every refusal that needs no schema happens here, cheapest first.
func (e *Edge) serve(w http.ResponseWriter, r *http.Request) {
	req := &Request{ID: newID(), ClientIP: e.opts.ClientIP(r), UserAgent: first(r.UserAgent(), 256)}
	ctx := with(r.Context(), req)
	h := w.Header()
	h.Set(requestIDHeader, req.ID)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept")
	a := &answer{edge: e, w: w, r: r, ctx: ctx, media: typeJSON}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			a.refuse(http.StatusInternalServerError, e.recovered(ctx, p))
		}
	}()

	switch r.Method {
	case http.MethodPost:
		req.Transport = POST
	case http.MethodGet:
		req.Transport = GET
	case http.MethodOptions:
		h.Set("Allow", "GET, POST, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", "GET, POST, OPTIONS")
		a.refuse(http.StatusMethodNotAllowed, errs.New(errs.Unsupported, "use POST, or GET for queries"))
		return
	}
	if e.isDraining() {
		h.Set("Connection", "close")
		a.refuse(http.StatusServiceUnavailable, errs.New(errs.Unavailable, "the server is stopping; try again"))
		return
	}
	if r.Method == http.MethodGet && r.Header.Get("Upgrade") != "" {
		req.Transport = Socket
		e.socket(a, req)
		return
	}
	media, ok := negotiate(r.Header.Values("Accept"))
	if !ok {
		a.refuse(http.StatusNotAcceptable, errs.New(errs.Unsupported, "accept %s, %s or %s", typeGraphQL, typeJSON, typeEvents))
		return
	}
	if media == typeEvents {
		req.Transport = SSE
	} else {
		a.media = media
	}

	who, anonymous, err := e.authenticate(ctx, r.Header.Values("Authorization"))
	if err != nil {
		a.refuseIdentity(err)
		return
	}
	e.identify(req, who, anonymous)

	var p *params
	if r.Method == http.MethodGet {
		p, err = e.fromURL(r.URL.RawQuery)
	} else {
		p, err = e.fromBody(w, r, anonymous)
	}
	if err != nil {
		var status statusError
		if errors.As(err, &status) {
			a.refuse(status.status, status.error)
		} else {
			a.refuse(http.StatusBadRequest, err)
		}
		return
	}
	// The body is read; a deadline left on the connection would cancel the request
	// when it passes, because the server goes on reading to notice a client that left.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if media == typeEvents {
		e.events(a, req, p)
		return
	}
	e.single(a, req, p)
}

// single answers a query or mutation over POST or GET.
func (e *Edge) single(a *answer, req *Request, p *params) {
	from := e.opts.Clock.Now()
	release, err := e.acquire()
	if err != nil {
		a.refuse(http.StatusServiceUnavailable, err)
		return
	}
	defer release()
	ctx, oc, refused := e.open(a.ctx, req, p)
	if refused == nil {
		refused = allowed(req, oc, a)
		refused = e.presentIf(ctx, refused)
	}
	if refused != nil {
		e.observe(ctx, req, oc, len(refused), true, from)
		a.refused(refused)
		return
	}
	var response *graphql.Response
	ended := e.execute(ctx, oc, func(r *graphql.Response) bool { response = r; return true })
	switch {
	case response != nil:
		e.observe(ctx, req, oc, len(response.Errors), false, from)
		a.write(http.StatusOK, response)
	case len(ended) > 0:
		e.observe(ctx, req, oc, len(ended), false, from)
		a.refused(ended)
	default: // an extension swallowed the answer
		a.refuse(http.StatusInternalServerError, internal())
	}
}

func (e *Edge) presentIf(ctx context.Context, list gqlerror.List) gqlerror.List {
	if list == nil {
		return nil
	}
	return e.presentAll(ctx, list)
}

// allowed refuses kinds of operation that a transport does not carry. A GET never
// mutates, so that no link and no image can (there are no cookies either).
func allowed(req *Request, oc *graphql.OperationContext, a *answer) gqlerror.List {
	switch kind := oc.Operation.Operation; {
	case kind == ast.Mutation && a.r.Method == http.MethodGet:
		a.w.Header().Set("Allow", "POST")
		a.status = http.StatusMethodNotAllowed
		return refuse(errs.New(errs.Unsupported, "send mutations by POST"))
	case kind == ast.Subscription && req.Transport != SSE:
		return refuse(errs.New(errs.Unsupported, "subscribe over WebSocket (%s) or with Accept: %s", subprotocol, typeEvents))
	}
	return nil
}

// authenticate finds out who sends the Authorization headers given.
func (e *Edge) authenticate(ctx context.Context, headers []string) (who Identity, anonymous bool, err error) {
	switch len(headers) {
	case 0:
		return e.opts.Anonymous, true, nil
	case 1:
	default:
		return who, false, badToken()
	}
	token, ok := bearer(headers[0])
	if !ok {
		return who, false, badToken()
	}
	who, err = e.opts.Authenticate(ctx, token)
	if err != nil {
		return Identity{}, false, err
	}
	if !who.Expires.IsZero() && !e.opts.Clock.Now().Before(who.Expires) {
		return Identity{}, false, badToken()
	}
	return who, false, nil
}

func badToken() error {
	return errs.New(errs.Unauthenticated, "the token is not valid; sign in again")
}

func bearer(header string) (token string, ok bool) {
	scheme, token, ok := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > longestToken {
		return "", false
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return "", false
		}
	}
	return token, true
}

// negotiate chooses the media type of the answer (GraphQL over HTTP, "Accept").
// Without a preference it is application/json, which old clients expect.
func negotiate(accept []string) (media string, ok bool) {
	if len(accept) == 0 {
		return typeJSON, true
	}
	best, quality := "", 0.0
	for _, header := range accept {
		for part := range strings.SplitSeq(header, ",") {
			offered, parameters, err := mime.ParseMediaType(strings.TrimSpace(part))
			if err != nil {
				continue
			}
			q := 1.0
			if text, given := parameters["q"]; given {
				if q, err = strconv.ParseFloat(text, 64); err != nil {
					continue
				}
			}
			if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
				continue
			}
			switch offered {
			case typeGraphQL, typeJSON, typeEvents:
			case "*/*", "application/*":
				offered, q = typeJSON, q-0.0005 // named types first
			case "text/*":
				offered, q = typeEvents, q-0.0005
			default:
				continue
			}
			if q > quality {
				best, quality = offered, q
			}
		}
	}
	return best, best != ""
}

type statusError struct {
	status int
	error
}

// fromBody reads a POST.
func (e *Edge) fromBody(w http.ResponseWriter, r *http.Request, anonymous bool) (*params, error) {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, given := parameters["charset"]
	if err != nil || media != typeJSON || given && !strings.EqualFold(charset, "utf-8") {
		return nil, statusError{http.StatusUnsupportedMediaType, errs.New(errs.Unsupported, "send the content type %s in utf-8", typeJSON)}
	}
	if c := r.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return nil, statusError{http.StatusUnsupportedMediaType, errs.New(errs.Unsupported, "send the body uncompressed")}
	}
	most := e.limits.Body
	if anonymous {
		most = e.limits.AnonymousBody
	}
	tooLong := statusError{http.StatusRequestEntityTooLarge, errs.New(errs.LimitReached, "the body is too long; %d bytes are allowed", most)}
	if r.ContentLength > most {
		return nil, tooLong
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, tooLong
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, statusError{http.StatusRequestTimeout, errs.New(errs.Invalid, "the body did not arrive in time")}
	case err != nil:
		return nil, errs.New(errs.Invalid, "the body could not be read")
	}
	return e.parse(body)
}

// answer writes one HTTP answer in the negotiated form.
type answer struct {
	edge   *Edge
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context
	media  string
	status int // overrides the status of a refusal
}

// refuse answers a request that never became an operation.
func (a *answer) refuse(status int, err error) {
	a.status = status
	a.refused(gqlerror.List{a.edge.present(a.ctx, gqlerror.Wrap(err))})
}

// refuseIdentity answers a failed authentication; the reason is for the log.
func (a *answer) refuseIdentity(err error) {
	if errs.IsCode(err, errs.Unavailable) {
		a.refuse(http.StatusServiceUnavailable, err)
		return
	}
	if errs.IsCode(err, errs.Internal) {
		a.edge.opts.Logger.WarnContext(a.ctx, "graphql: authentication refused", "request_id", a.w.Header().Get(requestIDHeader), "error", err.Error())
	}
	a.w.Header().Set("WWW-Authenticate", `Bearer realm="graphql", error="invalid_token"`)
	a.refuse(http.StatusUnauthorized, badToken())
}

// refused answers with request errors. With application/json a well-formed request
// gets 200 whatever the document holds; application/graphql-response+json says 400.
func (a *answer) refused(list gqlerror.List) {
	status := a.status
	if status == 0 {
		switch codeOf(list) {
		case errs.Unavailable:
			status = http.StatusServiceUnavailable
		case errs.RateLimited:
			status = http.StatusTooManyRequests
		default:
			status = http.StatusOK
			if a.media == typeGraphQL {
				status = http.StatusBadRequest
			}
		}
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		a.w.Header().Set("Retry-After", "1")
	}
	a.write(status, &graphql.Response{Errors: list})
}

func (a *answer) write(status int, response *graphql.Response) {
	body := appendResponse(make([]byte, 0, len(response.Data)+256), response)
	h := a.w.Header()
	h.Set("Content-Type", a.media+"; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c := http.NewResponseController(a.w)
	_ = c.SetWriteDeadline(time.Now().Add(a.edge.limits.Write))
	a.w.WriteHeader(status)
	if _, err := a.w.Write(body); err == nil {
		_ = c.Flush()
	}
	_ = c.SetWriteDeadline(time.Time{}) // the next request on the connection may be another handler's
}

func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func newID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func first(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// HTTPServer is an http.Server with the timeouts that slow clients cannot outlast.
// There is no write timeout: streams set a deadline for each write instead.
func HTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 3 * time.Second,
		ReadTimeout:       5 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
}
