package number

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"time"

	"github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/blob"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/secret"
	"switchboard/internal/twilio"
)

// The events of this package; the number or the connection is their subject.
const (
	NumberUpdated     event.Kind = "PHONE_NUMBER_UPDATED"
	ConnectionUpdated event.Kind = "TWILIO_CONNECTION_UPDATED"
	userUpdated       event.Kind = "USER_UPDATED" // its branches changed
)

// Deps are what the Service needs.
type Deps struct {
	DB   *db.DB
	Keys *secret.Keyring
	// Twilio is the one way to Twilio, shared by all accounts.
	Twilio *twilio.Transport
	// PublicURL is where Twilio reaches this server.
	PublicURL *url.URL
	Blobs     *blob.Store
	Fetcher   *blob.Fetcher
	Logger    *slog.Logger // slog.Default when nil
}

// Service keeps connections, numbers, branches and audio.
type Service struct {
	db      *db.DB
	clock   clock.Clock
	keys    *secret.Keyring
	twilio  *twilio.Transport
	base    *url.URL
	blobs   *blob.Store
	fetcher *blob.Fetcher
	logger  *slog.Logger

	accounts  *lru.Cache[id.ID, *account] // what secret.go keeps in memory
	strangers *lru.Cache[id.ID, *account] // ids that no connection has
	loading   singleflight.Group
	changes   changeCount
}

// New makes a Service.
func New(d Deps) *Service {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	accounts, err := lru.New[id.ID, *account](maxAccounts)
	if err != nil { // only a size below one is an error
		panic(err)
	}
	strangers, err := lru.New[id.ID, *account](maxStrangers)
	if err != nil {
		panic(err)
	}
	return &Service{
		db: d.DB, clock: d.DB.Clock(), keys: d.Keys, twilio: d.Twilio, base: d.PublicURL, blobs: d.Blobs, fetcher: d.Fetcher,
		logger: d.Logger, accounts: accounts, strangers: strangers,
	}
}

// How often the sweeps look for what is due, and how old a look at Twilio may be.
const (
	sweepEvery  = 10 * time.Minute
	driftEvery  = 4 * time.Hour
	repairAfter = 15 * time.Minute
)

// Register tells the runner of this package's jobs and sweeps. Call it before
// the runner starts.
func (s *Service) Register(r *job.Runner) {
	job.Handle(r, s.runImport)
	job.Handle(r, s.runDrift)
	job.Handle(r, s.runSetup)
	job.Handle(r, s.runMessaging)
	r.Sweep("number.rotation", sweepEvery, s.endRotations)
	r.Sweep("number.drift", sweepEvery, s.findDrift)
	r.Sweep("number.repair", sweepEvery, s.findUnfinished)
	r.Sweep("number.messaging", sweepEvery, s.findMessaging)
}

// told says in the log of events and in the audit record what somebody did.
// The detail holds no values that a person typed, and never a secret.
func told(ctx context.Context, tx *db.Tx, who access.Actor, kind event.Kind, action string, subject id.ID, detail map[string]any) error {
	if kind != "" {
		err := event.Append(ctx, tx, event.Event{OrganizationID: who.OrganizationID, Kind: kind, Subject: subject, ActorID: who.UserID})
		if err != nil {
			return err
		}
	}
	if action == "" {
		return nil
	}
	actor := who.UserID
	if actor.IsZero() {
		actor = who.APIKeyID
	}
	return audit.Write(ctx, tx, audit.Entry{OrganizationID: who.OrganizationID, ActorID: actor, Action: action, Subject: subject, Detail: detail})
}

// at puts the field to blame on an error that people read; others stay as they are.
func at(err error, field ...string) error {
	if err == nil {
		return nil
	}
	e, ok := errs.As(err)
	if !ok {
		return err
	}
	c := *e
	return c.At(field...)
}

// inWords is an error as it may be shown and stored: never what is internal.
func inWords(err error, otherwise string) string {
	if e, ok := errs.As(err); ok && e.Code != errs.Internal {
		return e.Message
	}
	return otherwise
}

// quiet is an error for the log, without the addresses that twilio-go may hold.
func quiet(err error) slog.Attr { return slog.String("error", err.Error()) }

func jsonOf(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil { // only our own plain structs come here
		panic(err)
	}
	return b
}
