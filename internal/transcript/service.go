package transcript

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"switchboard/internal/blob"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/recording"
	"switchboard/internal/secret"
	"switchboard/internal/twilio"
)

// Installation is what the operator set up for all organizations; what an
// organization sets up itself goes before it.
type Installation struct {
	Provider        ProviderName // "": Twilio
	HTTPURL         string
	HTTPSecret      string
	GoogleKey       string
	GoogleAccount   string
	GoogleURL       string // "": Google
	MayReachInside  bool   // tests and development: an organization's HTTP provider may be on this machine
	ProviderTimeout time.Duration
}

// Deps are what a Service needs.
type Deps struct {
	DB     *db.DB
	Clock  clock.Clock
	Logger *slog.Logger
	Keys   *secret.Keyring
	Blobs  *blob.Store
	Base   *url.URL // the public address
	// Client is the Twilio client of a connection of the context's tenant; Hook is
	// where that account is told to post about transcripts.
	Client func(ctx context.Context, connection id.ID) (*twilio.Client, error)
	Hook   func(ctx context.Context, connection id.ID) (string, error)

	Recordings *recording.Service
	Contacts   *contact.Service
	Installation
}

// Service is transcripts as the other packages use them.
type Service struct {
	Deps
	guarded *http.Client // to addresses that people gave
	plain   *http.Client // to Google, and to what the operator named
}

// New makes a Service.
func New(d Deps) *Service {
	if d.Clock == nil {
		d.Clock = clock.Real{}
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Provider == "" {
		d.Provider = Twilio
	}
	if d.ProviderTimeout == 0 {
		d.ProviderTimeout = 2 * time.Minute
	}
	guarded := blob.GuardedTransport(d.MayReachInside)
	guarded.ResponseHeaderTimeout = 0 // a provider that answers at once may need as long as the whole request
	plain := http.DefaultTransport.(*http.Transport).Clone()
	plain.MaxResponseHeaderBytes = 64 << 10
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Service{Deps: d,
		guarded: &http.Client{Transport: guarded, Timeout: d.ProviderTimeout, CheckRedirect: stay},
		plain:   &http.Client{Transport: plain, Timeout: d.ProviderTimeout, CheckRedirect: stay}}
}

// Close closes the idle connections.
func (s *Service) Close() {
	s.guarded.CloseIdleConnections()
	s.plain.CloseIdleConnections()
}

// Register has the service listen for stored recordings and do its work.
func (s *Service) Register(r *job.Runner, l *event.Log) {
	job.Handle(r, func(ctx context.Context, a workArgs) error { return s.work(ctx, a) })
	r.Sweep("transcript.due", sweepEvery, s.sweep)
	l.Register(event.Consumer{Name: "transcript.recordings", Kinds: []event.Kind{recording.EventUpdated}, Handle: s.hear, Pick: pickStored})
}

// stored reports whether an event says that audio is here now.
func stored(e event.Event) bool {
	var told struct {
		MediaState recording.MediaState `json:"mediaState"`
	}
	return json.Unmarshal(e.Data, &told) == nil && told.MediaState == recording.MediaStored
}

func pickStored(_ context.Context, events []event.Event) ([]event.Event, error) {
	out := make([]event.Event, 0, len(events))
	for _, e := range events {
		if stored(e) {
			out = append(out, e)
		}
	}
	return out, nil
}

// told makes an event of a transcript.
func told(kind event.Kind, t *Transcript, actor id.ID) event.Event {
	data, err := json.Marshal(map[string]any{"callId": t.CallID, "branchId": t.BranchID, "status": t.Status, "source": t.Source})
	if err != nil {
		panic("transcript: " + err.Error()) // ids and words only
	}
	return event.Event{OrganizationID: t.OrganizationID, Kind: kind, Subject: t.ID, ActorID: actor, Data: data}
}

func errAbsent() error { return errs.New(errs.NotFound, "there is no such transcript") }
