// Package webhook is the edge that Twilio posts to: signature, inbox, typed form,
// one call of a domain, TwiML. It decides nothing.
//
// The invariant: no post reaches a domain that was not signed with the account's
// own token for the configured public address; none is answered 2xx unless it is
// committed.
package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/inbox"
	"switchboard/internal/message"
	"switchboard/internal/twilio"
)

// Account is what is needed to believe a post: the tokens of the account that the
// connection belongs to, and the access key of its addresses (R017, D28).
type Account struct {
	Organization id.ID
	AccountSID   string
	Tokens       []string // the present one, and the former during a rotation
	AccessKeyOK  func(key string) bool
}

// Options are what a Handler works with.
type Options struct {
	Base *url.URL // the public address: what Twilio signed, never the Host header (T08)
	// Account knows a connection; errs.NotFound when there is none.
	Account func(ctx context.Context, connection id.ID) (Account, error)
	// Hooks are the addresses that we answer with.
	Hooks    func(ctx context.Context, connection id.ID) (call.Hooks, error)
	Box      *inbox.Box
	Calls    *call.Service
	Messages *message.Service
	// Transcripts takes the news of transcripts that Twilio makes.
	Transcripts interface {
		News(ctx context.Context, tx *db.Tx, connection id.ID, f twilio.TranscriptForm) error
	}
	Observe func(kind string, status int, took time.Duration)
	// Refused is told of posts that were not believed: whether they were signed by the
	// account, whether they had the access key, and what they were addressed to as this
	// server saw it, without the key. It must not wait.
	Refused func(connection id.ID, signed, keyOK bool, seen string)
	Clock   clock.Clock
	Logger  *slog.Logger
}

// Handler serves everything under /twilio/ but the audio.
type Handler struct {
	o      Options
	routes []route
}

// New makes a Handler and makes the box retry callbacks through it.
func New(o Options) *Handler {
	h := &Handler{o: o}
	h.routes = h.table()
	for i := range h.routes {
		h.routes[i].parts = strings.Split(h.routes[i].pattern, "/")
	}
	o.Box.Retry(h.again)
	return h
}

// MaxBody is the largest post, in bytes; Twilio's forms are a few kilobytes.
const MaxBody = 64 << 10

const prefix = "/twilio/"

// ServeHTTP takes one post.
//
// 404: not an address of ours. 403: not signed by the account, or with the wrong
// access key; nothing is stored. 400: signed, and not what such a post looks like.
// 503: not stored; Twilio goes to the fallback or tries again.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.o.Clock.Now()
	kind, status := "unknown", 0
	defer func() {
		if h.o.Observe != nil {
			h.o.Observe(kind, status, h.o.Clock.Now().Sub(start))
		}
	}()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	p, answer := h.read(w, r)
	if answer == nil {
		kind = p.route.name
		answer = h.take(r.Context(), p)
	}
	status = answer.Status
	if answer.ContentType != "" {
		w.Header().Set("Content-Type", answer.ContentType)
	}
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body)
}

// post is one verified post on its way.
type post struct {
	inbox.Post
	route   route
	args    args // the parts of the path that stand for something
	form    any  // what route.parse made of Form
	leg     *call.LegNews
	hooks   call.Hooks
	noHooks error // why there are none
}

func plain(status int, text string) *inbox.Answer {
	return &inbox.Answer{Status: status, ContentType: "text/plain; charset=utf-8", Body: []byte(text + "\n")}
}

// read refuses what cannot be a post of Twilio's, cheapest check first.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (post, *inbox.Answer) {
	rest, ok := strings.CutPrefix(r.URL.Path, prefix)
	parts := strings.SplitN(rest, "/", 3)
	if !ok || len(parts) != 3 {
		return post{}, plain(http.StatusNotFound, "no such address")
	}
	connection, err := id.ParseKind(parts[0], id.Connection)
	route, args, found := h.find(parts[2])
	if err != nil || !found {
		return post{}, plain(http.StatusNotFound, "no such address")
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return post{}, plain(http.StatusMethodNotAllowed, "this address takes POST")
	}
	want, parse := "application/x-www-form-urlencoded", twilio.ParseForm
	if route.json {
		want, parse = "application/json", twilio.ParseMembers
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != want {
		return post{}, plain(http.StatusUnsupportedMediaType, want+" is expected")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return post{}, plain(http.StatusRequestEntityTooLarge, "the post is too large")
	case err != nil:
		return post{}, plain(http.StatusBadRequest, "the post is cut short")
	}
	account, err := h.o.Account(r.Context(), connection)
	switch {
	case errs.IsCode(err, errs.NotFound):
		return post{}, plain(http.StatusNotFound, "no such address")
	case err != nil:
		h.o.Logger.Error("webhook cannot look its connection up", "connection_id", connection.String(), "error", err)
		return post{}, plain(http.StatusServiceUnavailable, "try again")
	}
	// The key is compared whether or not the signature holds, so that neither tells of the other.
	keyOK := account.AccessKeyOK(parts[1])
	if signed := twilio.Verify(account.Tokens, h.o.Base, r, body); !signed || !keyOK {
		h.o.Logger.Warn("refused a post that is not signed by the account, or has the wrong access key",
			"connection_id", connection.String(), "organization_id", account.Organization.String(), "signed", signed)
		if h.o.Refused != nil {
			h.o.Refused(connection, signed, keyOK, seenAs(r, parts[2]))
		}
		return post{}, plain(http.StatusForbidden, "not signed by the account")
	}
	form, err := parse(body)
	if err != nil {
		return post{}, plain(http.StatusBadRequest, "the post is not a form")
	}
	if sid := form.Get("AccountSid"); sid != account.AccountSID {
		return post{}, plain(http.StatusForbidden, "the post is about another account")
	}
	p := post{route: route, args: args}
	p.Post = inbox.Post{Organization: account.Organization, Connection: connection, Kind: route.kind, Path: parts[2], Form: form}
	if p.form, err = route.parse(form); err != nil {
		e, _ := errs.As(err)
		if e == nil {
			e = errs.New(errs.Invalid, "the post lacks what it must have")
		}
		return post{}, plain(http.StatusBadRequest, e.Message)
	}
	p.Key = route.key(p, r.Header.Get("I-Twilio-Idempotency-Token"), r.URL.RawQuery)
	return p, nil
}

// seenAs is what a request was addressed to, as this server and the proxy before it
// say: to compare with the public address, and never to be believed.
func seenAs(r *http.Request, path string) string {
	seen := r.Host + prefix + "…/" + path
	if r.URL.RawQuery != "" {
		seen += "?…"
	}
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix"} {
		if v := r.Header.Get(name); v != "" {
			seen += " " + name + "=" + v
		}
	}
	if len(seen) > 300 {
		seen = seen[:300]
	}
	return strings.ToValidUTF8(strings.ReplaceAll(seen, "\x00", ""), "")
}

// take has the post take effect once and answers it.
func (h *Handler) take(ctx context.Context, p post) *inbox.Answer {
	ctx = db.WithTenant(ctx, p.Organization)
	// Before the transaction: they may ask the database, which must not want a second connection.
	p.hooks, p.noHooks = h.o.Hooks(ctx, p.Connection)
	if p.route.prepare != nil {
		p.route.prepare(&p)
	}
	answer, err := h.o.Box.Once(ctx, p.Post, func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
		return p.route.effect(ctx, tx, p)
	})
	switch {
	case err == nil:
		return &answer
	case errors.Is(err, inbox.ErrFailed):
		h.o.Logger.Error("a caller gets the safe answer: the effect of a post failed",
			"organization_id", p.Organization.String(), "path", p.Path, "error", err)
		safe := h.safe(ctx, p)
		if err := h.o.Box.StoreAnswer(ctx, p.Post, safe); err != nil {
			h.o.Logger.Error("the safe answer could not be stored", "path", p.Path, "error", err)
		}
		return &safe
	}
	h.o.Logger.Error("a post could not be kept", "organization_id", p.Organization.String(), "path", p.Path, "error", err)
	return plain(http.StatusServiceUnavailable, "try again")
}

// again runs a callback that failed before.
func (h *Handler) again(ctx context.Context, tx *db.Tx, kept inbox.Post) (inbox.Answer, error) {
	route, args, found := h.find(kept.Path)
	if !found {
		return inbox.Taken, nil // an address of an earlier version
	}
	form, err := route.parse(kept.Form)
	if err != nil {
		return inbox.Answer{}, err
	}
	return route.effect(ctx, tx, post{Post: kept, route: route, args: args, form: form})
}

// requestKey is what makes a TwiML request one: Twilio's own token for all its
// tries, else what it asks.
func requestKey(p post, token, query string) string {
	if token != "" && len(token) <= 128 {
		return p.Path + " " + token
	}
	sum := sha256.Sum256([]byte(query + "\n" + p.Form.Encode()))
	return p.Path + " " + hex.EncodeToString(sum[:])
}

// document turns TwiML into an answer.
func document(doc twilio.Response, err error) (inbox.Answer, error) {
	if err != nil {
		return inbox.Answer{}, err
	}
	body, err := doc.Bytes()
	if err != nil {
		return inbox.Answer{}, err
	}
	return inbox.Answer{Status: http.StatusOK, ContentType: twilio.ContentType, Body: body}, nil
}
