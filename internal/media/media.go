// Package media takes uploads and streams audio, greetings and pictures: to
// people after a permission check, to Twilio by an unguessable address whose
// signature expires. It speaks HTTP and decides nothing.
//
// The invariant: nothing is streamed to whoever could not read it through the
// contract at this moment.
package media

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/clock"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/secret"
)

// Open opens one thing for an actor, or returns errs.NotFound.
type Open func(ctx context.Context, who access.Actor, x id.ID) (io.ReadSeekCloser, blob.Info, error)

// Part is what is wanted of a recording.
type Part struct {
	Channel  string // CALLER or USER; empty: all of it
	Download bool   // to be saved rather than played
}

// File describes what was opened in part.
type File struct {
	ContentType string
	Name        string // for whoever saves it, without personal data
	IsSaved     bool   // it is nothing to play
}

// OpenPart opens one thing, or a part of it, for an actor, or returns errs.NotFound:
// because of a Gone, for what was deleted.
type OpenPart func(ctx context.Context, who access.Actor, x id.ID, p Part) (io.ReadSeekCloser, File, error)

// Gone is the cause of an error about something that was deleted and has left a
// tombstone, which is what it is as JSON.
type Gone interface {
	error
	json.Marshaler
}

// Options are what a Handler works with.
type Options struct {
	// Authenticate says who a bearer token speaks for.
	Authenticate func(ctx context.Context, bearer string) (access.Actor, error)
	// Resume says who a session or API key speaks for now; an error when it has ended.
	Resume func(ctx context.Context, organization, credential id.ID) (access.Actor, error)
	// Kinds says how each kind of thing is opened.
	Kinds map[id.Kind]Open
	// Parts says how each kind of thing is opened of which parts can be had.
	Parts map[id.Kind]OpenPart
	// Small says how the small picture of a thing is opened, for the kinds that have one.
	Small map[id.Kind]Open
	// Upload keeps what a person sends for a purpose (audio, message) and gives its id.
	Upload func(ctx context.Context, who access.Actor, purpose, name string, body io.Reader) (id.ID, string, int64, error)
	// Public opens audio and files for Twilio by the random part of its address, after checking the signature.
	Public func(ctx context.Context, token string, query url.Values) (io.ReadSeekCloser, blob.Info, error)
	Keys   *secret.Keyring
	Clock  clock.Clock
	Base   *url.URL // the public address
	Logger *slog.Logger
}

// LinkLifetime is how long a signed address works.
const LinkLifetime = 5 * time.Minute

// MaxUpload is the largest upload, in bytes, MaxImport that of a table to import.
const (
	MaxUpload = 10 << 20
	MaxImport = 50 << 20
)

// Handler serves /media and /twilio/media.
type Handler struct {
	o   Options
	mux *http.ServeMux
}

// New makes a Handler.
func New(o Options) *Handler {
	h := &Handler{o: o, mux: http.NewServeMux()}
	h.mux.HandleFunc("POST /media", h.upload)
	h.mux.HandleFunc("GET /media/{id}", h.stream)
	h.mux.HandleFunc("GET /twilio/media/{token}", h.play)
	return h
}

const (
	// uploadTime is how long somebody who may upload can take for it; the server
	// gives other requests far less.
	uploadTime = 2 * time.Minute
	// stall is how long a listener may leave what is sent to them untaken.
	stall = 30 * time.Second
)

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "private, no-store")
	p := paced{w, http.NewResponseController(w)}
	h.mux.ServeHTTP(p, r)
	_ = p.c.SetWriteDeadline(time.Time{}) // the next request on the connection may be another handler's
}

// paced gives every write a deadline of its own: a long recording may take its
// time, a listener who takes nothing may not.
type paced struct {
	http.ResponseWriter
	c *http.ResponseController
}

// Write writes now or, when the reader stalls, never.
func (p paced) Write(b []byte) (int, error) {
	_ = p.c.SetWriteDeadline(time.Now().Add(stall))
	return p.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (p paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// Link is an address at which the actor can hear or see the thing for five
// minutes: <audio> and <img> send no header. It is signed for their session or
// key and dies with it.
func (h *Handler) Link(who access.Actor, x id.ID) (string, error) {
	credential := who.SessionID
	if credential.IsZero() {
		credential = who.APIKeyID
	}
	expires := h.o.Clock.Now().Add(LinkLifetime).Unix()
	claim := claimOf(who.OrganizationID, credential, x, expires)
	signature, err := h.o.Keys.Sign(purpose, claim)
	if err != nil {
		return "", err
	}
	q := url.Values{"for": {base64.RawURLEncoding.EncodeToString(claim[:40])}, "sig": {base64.RawURLEncoding.EncodeToString(signature)}}
	u := *h.o.Base.JoinPath("media", x.String())
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// SmallLink is Link for the small picture of the thing.
func (h *Handler) SmallLink(who access.Actor, x id.ID) (string, error) {
	link, err := h.Link(who, x)
	return link + "&size=small", err
}

const purpose = "media link"

// claimOf is organization, credential, expiry and subject: 16+16+8+16 bytes.
func claimOf(organization, credential, x id.ID, expires int64) []byte {
	o, c, s := organization.UUID(), credential.UUID(), x.UUID()
	b := append(o[:], c[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(expires))
	return append(b, s[:]...)
}

// actor is who asks: by a signed address, else by a bearer token.
func (h *Handler) actor(r *http.Request, x id.ID) (access.Actor, error) {
	if sig := r.URL.Query().Get("sig"); sig != "" {
		refused := errs.New(errs.Unauthenticated, "this address has expired or is not ours; ask for a new one")
		head, err := base64.RawURLEncoding.DecodeString(r.URL.Query().Get("for"))
		signature, err2 := base64.RawURLEncoding.DecodeString(sig)
		if err != nil || err2 != nil || len(head) != 40 {
			return access.Actor{}, refused
		}
		subject := x.UUID()
		if h.o.Keys.Verify(purpose, append(head[:40:40], subject[:]...), signature) != nil {
			return access.Actor{}, refused
		}
		if h.o.Clock.Now().Unix() > int64(binary.BigEndian.Uint64(head[32:])) {
			return access.Actor{}, refused
		}
		return h.o.Resume(r.Context(), id.FromUUID([16]byte(head[:16])), id.FromUUID([16]byte(head[16:32])))
	}
	return h.bearer(r)
}

func (h *Handler) bearer(r *http.Request) (access.Actor, error) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return access.Actor{}, errs.New(errs.Unauthenticated, "sign in first: send a token as Authorization: Bearer …")
	}
	return h.o.Authenticate(r.Context(), strings.TrimSpace(token))
}

// stream gives a recording, a voicemail's audio, a greeting or a picture, with
// ranges. 401: no or a dead token; 404: absent, or not the actor's; 409: not
// stored yet, try again; 410: deleted, with its tombstone; 415: no such part.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request) {
	x, err := id.Parse(r.PathValue("id"))
	if err != nil {
		h.refuse(w, r, errs.New(errs.NotFound, "there is no such file"))
		return
	}
	who, err := h.actor(r, x)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	kinds, parts := h.o.Kinds, h.o.Parts
	if r.URL.Query().Get("size") == "small" {
		kinds, parts = h.o.Small, nil
	}
	ctx := access.With(r.Context(), who)
	if part, ok := parts[x.Kind()]; ok {
		h.part(w, r.WithContext(ctx), who, x, part)
		return
	}
	open, ok := kinds[x.Kind()]
	if !ok {
		h.refuse(w, r, errs.New(errs.NotFound, "there is no such file"))
		return
	}
	body, info, err := open(ctx, who, x)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer body.Close()
	h.serve(w, r, x.String(), body, info)
}

// part gives a recording or one side of it: ?channel=CALLER or USER, ?download=true.
// The signature of a link says who may have the thing, whatever part of it.
func (h *Handler) part(w http.ResponseWriter, r *http.Request, who access.Actor, x id.ID, open OpenPart) {
	q := r.URL.Query()
	p := Part{Channel: q.Get("channel"), Download: q.Get("download") == "true"}
	body, file, err := open(r.Context(), who, x, p)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer body.Close()
	if p.Download || file.IsSaved {
		w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s"`, file.Name))
	} else {
		w.Header().Set("Content-Disposition", fmt.Sprintf(`inline; filename="%s"`, file.Name))
	}
	// The audio of a recording never changes, so a range goes on where another ended (If-Range).
	w.Header().Set("ETag", `"`+strings.TrimSuffix(file.Name, ".wav")+`"`)
	w.Header().Set("Content-Type", file.ContentType)
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	http.ServeContent(w, r, "", time.Time{}, body)
}

// play gives Twilio the audio of a <Play>, or the picture of an MMS. 404 for
// anything else: Twilio needs no reasons.
func (h *Handler) play(w http.ResponseWriter, r *http.Request) {
	body, info, err := h.o.Public(r.Context(), r.PathValue("token"), r.URL.Query())
	if err != nil {
		h.refuse(w, r, errs.New(errs.NotFound, "there is no such file").Because(err))
		return
	}
	defer body.Close()
	w.Header().Set("Cache-Control", "private, max-age=300")
	h.serve(w, r, "audio", body, info)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, name string, body io.ReadSeeker, info blob.Info) {
	kind := "attachment"
	if strings.HasPrefix(info.ContentType, "audio/") || strings.HasPrefix(info.ContentType, "image/") {
		kind = "inline"
	}
	w.Header().Set("Content-Type", info.ContentType)
	w.Header().Set("Content-Disposition", fmt.Sprintf(`%s; filename="%s%s"`, kind, name, extensions[info.ContentType]))
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	http.ServeContent(w, r, "", time.Time{}, body)
}

var extensions = map[string]string{"audio/mpeg": ".mp3", "audio/wav": ".wav", "image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif",
	"image/webp": ".webp", "application/pdf": ".pdf", "text/vcard": ".vcf", "video/mp4": ".mp4", "video/3gpp": ".3gp", "text/csv; charset=utf-8": ".csv"}

// upload keeps the raw body, typed by its content; the id goes into a mutation.
// ?name= is what people call it; ?for=message is a file for an MMS, ?for=import a
// table to import, else it is audio.
func (h *Handler) upload(w http.ResponseWriter, r *http.Request) {
	who, err := h.bearer(r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	limit := int64(MaxUpload)
	if r.URL.Query().Get("for") == "import" {
		limit = MaxImport
	}
	if r.ContentLength > limit {
		h.refuse(w, r, errs.New(errs.LimitReached, "the file is larger than %d MB", limit>>20))
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTime))
	name := r.URL.Query().Get("name")
	if len(name) > 200 {
		h.refuse(w, r, errs.New(errs.Invalid, "the name has more than 200 bytes"))
		return
	}
	x, contentType, size, err := h.o.Upload(access.With(r.Context(), who), who, r.URL.Query().Get("for"), name, http.MaxBytesReader(w, r.Body, limit+1))
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errs.New(errs.Required, "the upload did not arrive whole; send it again")
	}
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"id": x, "contentType": contentType, "sizeBytes": size})
}

var statuses = map[errs.Code]int{
	errs.Unauthenticated: http.StatusUnauthorized, errs.WrongCredentials: http.StatusUnauthorized, errs.Forbidden: http.StatusForbidden,
	errs.NotFound: http.StatusNotFound, errs.Conflict: http.StatusConflict, errs.Invalid: http.StatusUnsupportedMediaType,
	errs.Required: http.StatusBadRequest, errs.LimitReached: http.StatusRequestEntityTooLarge, errs.RateLimited: http.StatusTooManyRequests,
	errs.Unavailable: http.StatusServiceUnavailable,
}

// refuse answers an error; only the words of an errs.Error are shown.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errs.As(err)
	status := http.StatusInternalServerError
	if ok {
		if s, known := statuses[e.Code]; known {
			status = s
		}
	}
	if !ok || status == http.StatusInternalServerError {
		h.o.Logger.Error("media request failed", "path", r.URL.Path, "error", err)
		e = errs.New(errs.Internal, "something went wrong on our side")
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="switchboard"`)
	}
	answer := map[string]any{"code": e.Code, "message": e.Message}
	if gone := Gone(nil); errors.As(err, &gone) {
		status, answer["tombstone"] = http.StatusGone, gone
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}
