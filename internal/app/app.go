// Package app is the composition root: it opens what the configuration names,
// makes every domain once, puts the edges in front and runs it all. It is the
// only package that knows everybody, and it decides nothing.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"switchboard/graph"
	"switchboard/graph/edge"
	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/blob"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/config"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/delivery"
	"switchboard/internal/diagnose"
	"switchboard/internal/event"
	"switchboard/internal/export"
	"switchboard/internal/followup"
	"switchboard/internal/gate"
	"switchboard/internal/history"
	"switchboard/internal/id"
	"switchboard/internal/inbox"
	"switchboard/internal/job"
	"switchboard/internal/media"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/report"
	"switchboard/internal/retention"
	"switchboard/internal/secret"
	"switchboard/internal/session"
	"switchboard/internal/tenant"
	"switchboard/internal/transcript"
	"switchboard/internal/twilio"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
	"switchboard/internal/webhook"
)

// Options are what New works with besides the configuration. Tests give their
// own; the zero values are production's.
type Options struct {
	Clock  clock.Clock
	Logger *slog.Logger
	// DB is a database that is open already; New leaves closing it to its owner.
	DB *db.DB
	// Keys is the keyring, if it is not to come from the configuration.
	Keys *secret.Keyring
	// Listener serves the public side, if it is open already: its address is then
	// known before the configuration's PublicURL is made.
	Listener net.Listener
	// FetchLoopback lets audio be fetched from this machine, and webhooks be posted to it: demo and tests only.
	FetchLoopback bool
	// MayIntrospect lets anybody read the schema: the demo.
	MayIntrospect bool
}

// App is the whole server.
type App struct {
	Config config.Config
	Clock  clock.Clock
	Log    *slog.Logger

	DB       *db.DB
	Keys     *secret.Keyring
	Blobs    *blob.Store
	Provider *twilio.Transport
	Events   *event.Log
	Jobs     *job.Runner
	Inbox    *inbox.Box

	Tenants     *tenant.Service
	Roles       *access.Service
	Sessions    *session.Service
	Users       *user.Service
	Contacts    *contact.Service
	Numbers     *number.Service
	Calls       *call.Service
	Recordings  *recording.Service
	Voicemails  *voicemail.Service
	Transcripts *transcript.Service
	Messages    *message.Service
	Templates   *message.Templates
	Automations *automation.Service
	FollowUps   *followup.Service
	Deliveries  *delivery.Service
	Reports     *report.Service
	Diagnoses   *diagnose.Service
	Exports     *export.Service
	Retention   *retention.Service
	History     *history.Service

	Edge     *edge.Edge
	renderer *graph.Renderer
	Webhooks *webhook.Handler
	Media    *media.Handler

	prefix              string // the path of the public address
	public, privateSide *http.Server
	publicAt, privateAt net.Listener
	metrics             *metrics
	ways                ways // out, for notifications
	closers             []func()
	serving             errgroup.Group
	stop                sync.Once
}

// New opens everything and makes every part; nothing runs until Start. The
// database is migrated. Close what New opened with Stop, also after an error of Start.
func New(ctx context.Context, c config.Config, o Options) (_ *App, err error) {
	a := &App{Config: c, Clock: o.Clock, Log: o.Logger}
	if a.Clock == nil {
		a.Clock = clock.Real{}
	}
	if a.Log == nil {
		a.Log = newLogger(c)
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if err := a.open(ctx, c, o); err != nil {
		return nil, err
	}
	base, err := url.Parse(c.PublicURL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("PUBLIC_URL %q is not an address", c.PublicURL)
	}
	a.prefix = strings.TrimSuffix(base.Path, "/")
	if a.ways, err = a.notifiers(ctx, base, o); err != nil {
		return nil, err
	}
	if err := a.domains(base, o); err != nil {
		return nil, err
	}
	a.edges(base, o)
	return a, nil
}

// open opens what is outside of the process.
func (a *App) open(ctx context.Context, c config.Config, o Options) (err error) {
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
		return fmt.Errorf("DATA_DIR cannot be made: %w", err)
	}
	if a.Keys = o.Keys; a.Keys == nil {
		if a.Keys, err = keyring(c); err != nil {
			return err
		}
	}
	if a.DB = o.DB; a.DB == nil {
		if a.DB, err = db.Open(ctx, databaseOptions(c, a.Clock, a.Log)); err != nil {
			return err
		}
		a.closers = append(a.closers, a.DB.Close)
	}
	address, err := c.BlobStore()
	if err != nil {
		return err
	}
	if a.Blobs, err = blob.OpenStore(ctx, address, a.Keys); err != nil {
		return err
	}
	a.closers = append(a.closers, func() { _ = a.Blobs.Close() })
	a.metrics = newMetrics(a)
	transport := twilio.TransportOptions{Observe: a.observeProvider}
	if c.TwilioBaseURL != "" {
		if transport.BaseURL, err = url.Parse(c.TwilioBaseURL); err != nil {
			return fmt.Errorf("TWILIO_BASE_URL is not an address: %w", err)
		}
	}
	a.Provider = twilio.NewTransport(transport)
	a.closers = append(a.closers, a.Provider.Close)
	a.publicAt = o.Listener
	return nil
}

func databaseOptions(c config.Config, clk clock.Clock, log *slog.Logger) db.Options {
	return db.Options{URL: c.DatabaseURL, DataDir: c.DataDir, Clock: clk, Logger: log, MaxConns: int32(c.DatabaseMax)}
}

// domains makes the floor's long-lived parts and every domain, in import order.
func (a *App) domains(base *url.URL, o Options) (err error) {
	if a.Events, err = event.New(a.DB, event.Options{Sealer: a.Keys, NATS: a.Config.NATSURL, Keep: a.Config.EventRetention, Logger: a.Log}); err != nil {
		return err
	}
	a.Jobs = job.New(a.DB, a.Clock, job.RunnerOptions{Logger: a.Log})
	if a.Inbox, err = inbox.New(a.DB, inbox.Options{Sealer: a.Keys, Logger: a.Log, Keep: a.Config.PostRetention}); err != nil {
		return err
	}
	if a.Sessions, err = session.New(session.Deps{DB: a.DB, Keys: a.Keys}); err != nil {
		return err
	}
	fetcher := blob.NewFetcher(blob.FetchOptions{Limit: media.MaxUpload, Loopback: o.FetchLoopback})
	a.closers = append(a.closers, fetcher.Close)
	a.Roles = access.New(access.Deps{DB: a.DB, Changed: a.Sessions.Live().RoleChanged})
	a.Numbers = number.New(number.Deps{DB: a.DB, Keys: a.Keys, Twilio: a.Provider, PublicURL: base, Blobs: a.Blobs, Fetcher: fetcher, Logger: a.Log})
	a.Users = user.New(user.Deps{DB: a.DB, Keys: a.Keys, Sessions: a.Sessions, Branches: a.Numbers, Lines: a.Numbers})
	a.Tenants = tenant.New(tenant.Deps{DB: a.DB, Founder: a.Users})
	a.Contacts = contact.New(contact.Deps{DB: a.DB, Linked: linked, Files: a.Blobs, Actor: a.Sessions.Behalf})
	a.voice()
	a.transcripts(base, o)
	a.Messages = message.New(message.Deps{DB: a.DB, Jobs: a.Jobs, Numbers: senders{a}, Contacts: a.Contacts, Blob: a.Blobs, Keys: a.Keys, Base: base, Logger: a.Log, Country: a.country, MaySpend: a.mayMessage})
	a.Templates = message.NewTemplates(message.TemplatesDeps{DB: a.DB, Contacts: a.Contacts, InUse: automation.InUse})
	a.Automations = automation.New(automation.Deps{DB: a.DB, Jobs: a.Jobs, Events: a.Events, Messages: a.Messages, Logger: a.Log})
	a.followUps(o)
	a.Deliveries = delivery.New(delivery.Deps{DB: a.DB, Keys: a.Keys, Events: a.Events, Show: a.show, Loopback: o.FetchLoopback, Logger: a.Log}, a.Jobs)
	a.closers = append(a.closers, a.Deliveries.Close)
	a.Reports = report.New(report.Deps{DB: a.DB, Jobs: a.Jobs, Client: a.Numbers.Credentials})
	a.Retention = retention.New(retention.Deps{DB: a.DB, Jobs: a.Jobs, Keys: a.Keys, Logger: a.Log, Purges: a.purges(), Noted: a.held})
	a.History = history.New(a.DB, func(ctx context.Context) (string, error) { return a.country(ctx, a.DB.App()) })

	a.Diagnoses = diagnose.New(diagnose.Deps{DB: a.DB, Base: base, Numbers: a.Numbers, Users: a.Users, Calls: a.Calls, Messages: a.Messages, Automations: a.Automations, MaySpend: a.mayMessage, Logger: a.Log})
	a.Diagnoses.Register(a.Jobs, a.Events)
	a.exports()
	a.Sessions.Register(a.Jobs)
	a.Contacts.Register(a.Jobs)
	a.Numbers.Register(a.Jobs)
	a.Jobs.Sweep("event.trim", 10*time.Minute, a.Events.Trim)
	a.Jobs.Sweep("inbox.retry", 5*time.Second, a.Inbox.RetryDue)
	a.Jobs.Sweep("inbox.trim", time.Hour, a.Inbox.Trim)
	a.Jobs.Sweep("session.trim", time.Hour, a.Sessions.Trim)
	return nil
}

// edges puts the protocols in front.
func (a *App) edges(base *url.URL, o Options) {
	a.Media = media.New(media.Options{
		Authenticate: func(ctx context.Context, bearer string) (access.Actor, error) {
			who, _, err := a.Sessions.Authenticate(ctx, bearer)
			return who, err
		},
		Resume: a.Sessions.Resume, Keys: a.Keys, Clock: a.Clock, Base: base, Logger: a.Log,
		Kinds: a.openers(), Parts: map[id.Kind]media.OpenPart{id.Recording: a.openRecording, id.Export: a.openExport}, Small: map[id.Kind]media.Open{id.Media: a.Messages.OpenThumbnail}, Upload: a.upload, Public: a.publicFile,
	})
	a.Webhooks = webhook.New(webhook.Options{
		Base: base, Account: a.webhookAccount, Hooks: a.hooks, Box: a.Inbox, Calls: a.Calls, Messages: a.Messages, Transcripts: a.Transcripts, Clock: a.Clock, Logger: a.Log, Refused: a.Diagnoses.RefusedPost,
		Observe: func(kind string, status int, took time.Duration) {
			a.metrics.webhooks.WithLabelValues(kind, strconv.Itoa(status)).Observe(took.Seconds())
		},
	})
	r := graph.New(graph.Domains{
		Tenants: a.Tenants, Roles: a.Roles, Sessions: a.Sessions, Users: a.Users, Contacts: a.Contacts, Numbers: a.Numbers,
		Calls: a.Calls, Recordings: a.Recordings, Voicemails: a.Voicemails, Transcripts: a.Transcripts, Messages: a.Messages, Templates: a.Templates, Automations: a.Automations, Deliveries: a.Deliveries, FollowUps: a.FollowUps, Reports: a.Reports, Diagnoses: a.Diagnoses,
		Retention: a.Retention, History: a.History, Exports: a.Exports, Audit: a.auditLog, AuditByIDs: a.auditEntries, Accessed: a.accessed,
		Gate:   gate.New(gate.Deps{DB: a.DB, Contacts: a.Contacts, Calls: a.Calls, Recordings: a.Recordings, Voicemails: a.Voicemails, Messages: a.Messages, FollowUps: a.FollowUps, Transcripts: a.Transcripts}),
		Events: a.Events, Clock: a.Clock, Link: a.Media.Link, SmallLink: a.Media.SmallLink,
	})
	a.renderer = r.Renderer()
	a.Edge = edge.New(r.Executable(), a.edgeOptions(r, o))
	a.public = edge.HTTPServer(a.Handler())
	a.public.ErrorLog = slog.NewLogLogger(a.Log.Handler(), slog.LevelWarn)
	a.privateSide = &http.Server{Handler: a.private(), ReadHeaderTimeout: 3 * time.Second, ErrorLog: a.public.ErrorLog}
}

// Handler is the public side.
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/graphql", a.Edge)
	mux.Handle("/media", a.Media)
	mux.Handle("/media/", a.attributed(a.Media))
	mux.Handle("/twilio/media/", a.Media)
	mux.Handle("/twilio/", a.Webhooks)
	mux.Handle("/speech/", a.speech())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.HandleFunc("GET /{$}", a.home)
	return under(a.prefix, mux)
}

// under serves everything below the path of the public address too, for a proxy
// that leaves it on; one that takes it off is served as well.
func under(prefix string, h http.Handler) http.Handler {
	if prefix == "" {
		return h
	}
	stripped := http.StripPrefix(prefix, h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix+"/") {
			stripped.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Start runs everything. It returns when the server can be used.
func (a *App) Start(ctx context.Context) (err error) {
	if a.publicAt == nil {
		address := net.JoinHostPort(a.Config.Host, strconv.Itoa(a.Config.Port))
		if a.publicAt, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address); err != nil {
			return fmt.Errorf("cannot listen on %s: %w; choose another PORT", address, err)
		}
	}
	if a.privateAt, err = (&net.ListenConfig{}).Listen(ctx, "tcp", a.Config.PrivateAddr); err != nil {
		return fmt.Errorf("cannot listen on %s: %w; choose another PRIVATE_ADDR", a.Config.PrivateAddr, err)
	}
	if err := a.Events.Start(ctx); err != nil {
		return err
	}
	if err := a.Jobs.Start(ctx); err != nil {
		return err
	}
	a.Sessions.Live().Start()
	for server, at := range map[*http.Server]net.Listener{a.public: a.publicAt, a.privateSide: a.privateAt} {
		a.serving.Go(func() error {
			if err := server.Serve(at); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	return nil
}

// Wait returns when a server died, or nil after Stop.
func (a *App) Wait() error { return a.serving.Wait() }

// Stop refuses new work, lets what runs finish, and closes everything. It may be
// called more than once.
func (a *App) Stop() {
	a.stop.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), a.Config.ShutdownTimeout)
		defer cancel()
		_ = a.Edge.Shutdown(ctx)
		for server, at := range map[*http.Server]net.Listener{a.public: a.publicAt, a.privateSide: a.privateAt} {
			if err := server.Shutdown(ctx); err != nil {
				_ = server.Close()
			}
			if at != nil {
				_ = at.Close()
			}
		}
		_ = a.serving.Wait()
		a.Jobs.Stop()
		a.Sessions.Live().Stop()
		a.Events.Stop()
		a.close()
	})
}

func (a *App) close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		a.closers[i]()
	}
	a.closers = nil
}

// PublicAddr and PrivateAddr are where the server listens.
func (a *App) PublicAddr() net.Addr  { return a.publicAt.Addr() }
func (a *App) PrivateAddr() net.Addr { return a.privateAt.Addr() }

func newLogger(c config.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel))
	o := &slog.HandlerOptions{Level: level}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}
