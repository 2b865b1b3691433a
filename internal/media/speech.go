package media

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"switchboard/internal/blob"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// SpeechOptions are what a Speech works with.
type SpeechOptions struct {
	// Audio opens the audio of a transcript that is being made, after checking the signature.
	Audio func(ctx context.Context, org, transcript id.ID, signature string) (io.ReadSeekCloser, blob.Info, error)
	// Result takes what a provider found, after checking the signature.
	Result func(ctx context.Context, org, transcript id.ID, signature string, body io.Reader) error
	Logger *slog.Logger
}

// maxResult is the largest result, in bytes.
const maxResult = 16 << 20

// Speech serves /speech: where a provider of transcripts fetches the audio and tells
// the result (R200). Both addresses are signed, for one transcript, and expire.
type Speech struct {
	o   SpeechOptions
	mux *http.ServeMux
}

// NewSpeech makes a Speech.
func NewSpeech(o SpeechOptions) *Speech {
	s := &Speech{o: o, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /speech/{organization}/{transcript}/audio", s.audio)
	s.mux.HandleFunc("POST /speech/{organization}/{transcript}/result", s.result)
	return s
}

// ServeHTTP serves one request.
func (s *Speech) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "private, no-store")
	p := paced{w, http.NewResponseController(w)}
	s.mux.ServeHTTP(p, r)
	_ = p.c.SetWriteDeadline(time.Time{})
}

func subjects(r *http.Request) (org, transcript id.ID, ok bool) {
	org, err := id.ParseKind(r.PathValue("organization"), id.Organization)
	transcript, err2 := id.ParseKind(r.PathValue("transcript"), id.Transcript)
	return org, transcript, err == nil && err2 == nil
}

// audio gives the audio, with ranges. 404: a wrong or old address, or the work is over.
func (s *Speech) audio(w http.ResponseWriter, r *http.Request) {
	org, transcript, ok := subjects(r)
	if !ok {
		http.Error(w, "no such address", http.StatusNotFound)
		return
	}
	body, info, err := s.o.Audio(r.Context(), org, transcript, r.URL.Query().Get("s"))
	if err != nil {
		s.refuse(w, err)
		return
	}
	defer body.Close()
	w.Header().Set("Content-Type", info.ContentType)
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	http.ServeContent(w, r, "", time.Time{}, body)
}

// result takes the result. 204: taken, or known already; do not send it again. 404: a
// wrong or old address. 400: it is no result. 503: send it again.
func (s *Speech) result(w http.ResponseWriter, r *http.Request) {
	org, transcript, ok := subjects(r)
	if !ok {
		http.Error(w, "no such address", http.StatusNotFound)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTime))
	if err := s.o.Result(r.Context(), org, transcript, r.URL.Query().Get("s"), http.MaxBytesReader(w, r.Body, maxResult+1)); err != nil {
		s.refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Speech) refuse(w http.ResponseWriter, err error) {
	switch e, ok := errs.As(err); {
	case ok && e.Code == errs.NotFound:
		http.Error(w, "no such address", http.StatusNotFound)
	case ok && e.Code == errs.Invalid:
		http.Error(w, e.Message, http.StatusBadRequest)
	default:
		s.o.Logger.Error("a provider of transcripts could not be answered", "error", err)
		http.Error(w, "try again", http.StatusServiceUnavailable)
	}
}
