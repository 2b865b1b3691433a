package followup

import (
	"context"
	"log/slog"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
	"switchboard/internal/notify"
	"switchboard/internal/secret"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

// The kinds of event about follow-ups and notifications.
const (
	EventUpdated  event.Kind = "FOLLOW_UP_UPDATED"
	EventNotified event.Kind = "NOTIFICATION_UPDATED"
)

// Deps are what follow-ups and notifications need.
type Deps struct {
	DB         *db.DB
	Jobs       *job.Runner
	Events     *event.Log
	Keys       *secret.Keyring
	Calls      *call.Service
	Voicemails *voicemail.Service
	Messages   *message.Service
	Contacts   *contact.Service
	Users      *user.Service
	// The ways out; nil is one that is not set up.
	WebPush *notify.WebPush
	Phones  *notify.Phones
	Mail    *notify.Mailer
	// Sees tells, for kinds of subject that this package does not know, whether
	// somebody may see one. A kind that is missing is seen by whoever was told.
	Sees map[id.Kind]func(ctx context.Context, who access.Actor, subject id.ID) (bool, error)
	// Loopback lets push services be on this machine and without https: development and tests only.
	Loopback bool
	// Logger takes what an operator may care about; slog.Default when nil.
	Logger *slog.Logger
}

// Service is follow-ups and notifications.
type Service struct{ d Deps }

// New makes a Service and registers its part in the log and the jobs.
func New(d Deps) *Service {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	s := &Service{d: d}
	d.Events.Register(event.Consumer{Name: "followup", Kinds: heard, Pick: s.pick, Handle: s.Hear})
	job.Handle(d.Jobs, s.send)
	d.Jobs.Sweep("followup.escalate", 5*time.Second, s.escalateDue)
	d.Jobs.Sweep("followup.send", time.Second, s.sendDue)
	d.Jobs.Sweep("followup.trim", time.Hour, s.trim)
	return s
}
