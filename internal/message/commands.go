package message

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// Number is what messages need to know of one of our numbers.
type Number struct {
	ID           id.ID
	ConnectionID id.ID
	BranchID     id.ID
	E164         phone.E164
	IsEnabled    bool // the number and its connection
	ForMessages  bool // R030
	CanSMS       bool
}

// Numbers is what package number answers.
type Numbers interface {
	// Sender is one number of ours; errs.NotFound when there is none.
	Sender(ctx context.Context, q bun.IDB, number id.ID) (Number, error)
	// Receiver is the number of ours that a connection's message came to.
	Receiver(ctx context.Context, q bun.IDB, connection id.ID, e164 string) (Number, bool, error)
	// ChooseSender picks the sender by D17.
	ChooseSender(ctx context.Context, q bun.IDB, who access.Actor, explicit id.ID, to phone.E164, country string) (Number, route.NumberChoiceReason, error)
	// Client speaks to the account of a connection.
	Client(ctx context.Context, connection id.ID) (*twilio.Client, error)
	// CallbackURL is the address of a path under the connection's webhooks.
	CallbackURL(ctx context.Context, connection id.ID, path string) (string, error)
}

// Deps are what a Service works with.
type Deps struct {
	DB       *db.DB
	Jobs     *job.Runner
	Numbers  Numbers
	Contacts *contact.Service
	Blob     *blob.Store
	Logger   *slog.Logger
	// Country is the organization's default country, for numbers as typed (R018).
	Country func(ctx context.Context, q bun.IDB) (string, error)
}

// Service keeps threads and messages.
type Service struct {
	db       *db.DB
	numbers  Numbers
	contacts *contact.Service
	blob     *blob.Store
	log      *slog.Logger
	country  func(ctx context.Context, q bun.IDB) (string, error)
}

// New makes a Service and registers its jobs and sweeps: before the runner starts.
func New(d Deps) *Service {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	s := &Service{db: d.DB, numbers: d.Numbers, contacts: d.Contacts, blob: d.Blob, log: d.Logger, country: d.Country}
	if d.Jobs != nil {
		job.Handle(d.Jobs, s.send)
		job.Handle(d.Jobs, s.fetchMedia)
		d.Jobs.Sweep("message.reconcile", reconcileEvery, s.reconcile)
	}
	return s
}

// The kinds of event that this package tells.
const (
	ReceivedEvent event.Kind = "MESSAGE_RECEIVED"
	UpdatedEvent  event.Kind = "MESSAGE_UPDATED"
)

// MaxBody is the longest text, in characters (twilio error 21617).
const MaxBody = 1600

// Send is a message to send. One of To, ContactID and ThreadID says to whom.
type Send struct {
	To             string
	ContactID      id.ID
	ThreadID       id.ID
	Body           string
	PhoneNumberID  id.ID // an explicit sender (R080)
	RecordID       id.ID
	CampaignID     id.ID
	IdempotencyKey string
}

// Send keeps a message and has it sent right after. It needs SMS_SEND. Codes:
// Invalid, Required, NotFound, OptedOut, Conflict, IdempotencyReused.
func (s *Service) Send(ctx context.Context, who access.Actor, in Send) (m *Message, err error) {
	defer errs.Wrap(&err, "message.Send")
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	in.Body = strings.TrimRight(in.Body, " \t\r\n")
	switch {
	case in.Body == "":
		return nil, errs.New(errs.Required, "the message has no text; write one").At("input", "body")
	case strings.ContainsRune(in.Body, 0) || !utf8.ValidString(in.Body):
		return nil, errs.New(errs.Invalid, "the text holds characters that cannot be sent; remove them").At("input", "body")
	case utf8.RuneCountInString(in.Body) > MaxBody:
		return nil, errs.New(errs.Invalid, "the text has more than %d characters; shorten it or send it in parts", MaxBody).At("input", "body")
	case in.To == "" && in.ContactID.IsZero() && in.ThreadID.IsZero():
		return nil, errs.New(errs.Required, "say to whom: a number, a contact or a thread").At("input", "to")
	}
	actor := who.UserID
	if actor.IsZero() {
		actor = who.APIKeyID
	}
	ctx = access.With(ctx, who)
	var made id.ID
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		made, err = job.Once(ctx, tx, job.Key{User: actor, Mutation: "messageSend", Key: in.IdempotencyKey}, in, func() (id.ID, error) {
			return s.keep(ctx, tx, who, in)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, made)
}

// own reads a message that the actor just sent, whatever else they may see.
func (s *Service) own(ctx context.Context, message id.ID) (*Message, error) {
	var m Message
	err := db.Select(ctx, s.db.App(), &m, `SELECT m.* FROM message m WHERE m.organization_id = $1 AND m.id = $2`, db.TenantFrom(ctx), message)
	return &m, err
}

// keep finds recipient and sender, and makes the row and the job.
func (s *Service) keep(ctx context.Context, tx *db.Tx, who access.Actor, in Send) (id.ID, error) {
	to, number, reason, contactID, err := s.address(ctx, tx, who, in)
	if err != nil {
		return id.ID{}, err
	}
	switch {
	case !number.IsEnabled:
		return id.ID{}, errs.New(errs.Conflict, "number %s is disabled; enable it or choose another", number.E164).At("input", "phoneNumberId")
	case !number.CanSMS:
		return id.ID{}, errs.New(errs.Conflict, "number %s cannot send text messages; choose one with SMS", number.E164).At("input", "phoneNumberId")
	case !number.ForMessages:
		return id.ID{}, errs.New(errs.Conflict, "number %s is not used for messages; change its usage or choose another", number.E164).At("input", "phoneNumberId")
	case string(number.E164) == to:
		return id.ID{}, errs.New(errs.Invalid, "sender and recipient are the same number").At("input", "to")
	}
	if out, err := isOptedOut(ctx, tx, number.ID, to); err != nil {
		return id.ID{}, err
	} else if out {
		return id.ID{}, errs.New(errs.OptedOut, "the recipient asked for no messages from %s; they can text START to it", number.E164).At("input", "to")
	}
	if contactID.IsZero() {
		if found, err := s.contacts.Match(ctx, tx, phone.E164(to)); err != nil {
			return id.ID{}, err
		} else if len(found) > 0 {
			contactID = found[0].ContactID
		}
	}
	thread, err := threadOf(ctx, tx, Thread{PhoneNumberID: number.ID, TheirNumber: to, ContactID: contactID, BranchID: number.BranchID})
	if err != nil {
		return id.ID{}, err
	}
	due := tx.Now.Add(claimFor)
	m := &Message{
		OrganizationID: who.OrganizationID, ID: id.New(id.Message), ThreadID: thread.ID, Direction: Outbound, Status: Pending,
		Body: in.Body, FromNumber: string(number.E164), ToNumber: to, SenderReason: &reason, UserID: who.UserID,
		ContactID: contactID, RecordID: in.RecordID, CampaignID: in.CampaignID, At: tx.Now, DueAt: &due,
	}
	if _, err := addMessage(ctx, tx, m); err != nil {
		return id.ID{}, err
	}
	if !contactID.IsZero() {
		if err := s.contacts.Touch(ctx, tx, contactID, in.CampaignID, number.ID, tx.Now); err != nil {
			return id.ID{}, err
		}
	}
	if err := job.Insert(ctx, tx, sendArgs{Organization: who.OrganizationID, Message: m.ID}); err != nil {
		return id.ID{}, err
	}
	return m.ID, s.changed(ctx, tx, m, UpdatedEvent, who.UserID)
}

// address is who gets it and who sends it. A reply goes from the thread's own number.
func (s *Service) address(ctx context.Context, tx *db.Tx, who access.Actor, in Send) (to string, n Number, why route.NumberChoiceReason, contactID id.ID, err error) {
	if !in.ThreadID.IsZero() {
		rows, err := s.threadsByIDs(ctx, tx, who, []id.ID{in.ThreadID})
		if err != nil {
			return "", n, "", id.ID{}, err
		}
		if len(rows) == 0 {
			return "", n, "", id.ID{}, errs.New(errs.NotFound, "there is no such SMS thread").At("input", "threadId")
		}
		t := rows[0]
		if !strings.HasPrefix(t.TheirNumber, "+") {
			return "", n, "", id.ID{}, errs.New(errs.Conflict, "%s cannot receive replies; send to a phone number instead", t.TheirNumber).At("input", "threadId")
		}
		n, err := s.numbers.Sender(ctx, tx, t.PhoneNumberID)
		return t.TheirNumber, n, route.OwnThread, t.ContactID, err
	}
	var country string
	e164 := phone.E164("")
	if !in.ContactID.IsZero() {
		c, err := s.contacts.Get(ctx, who, in.ContactID)
		if err != nil {
			return "", n, "", id.ID{}, err
		}
		contactID = c.ID
		if c.Country != nil {
			country = *c.Country
		}
		if in.To == "" {
			phones, err := s.contacts.PhonesByContacts(ctx, []id.ID{c.ID})
			if err != nil {
				return "", n, "", id.ID{}, err
			}
			if len(phones[c.ID]) == 0 {
				return "", n, "", id.ID{}, errs.New(errs.Conflict, "the contact has no phone number; add one or give `to`").At("input", "contactId")
			}
			e164 = phones[c.ID][0].E164
		}
	}
	if in.To != "" {
		home, err := s.country(ctx, tx)
		if err != nil {
			return "", n, "", id.ID{}, err
		}
		if e164, err = phone.Parse(in.To, home); err != nil {
			e, _ := errs.As(err)
			return "", n, "", id.ID{}, e.At("input", "to")
		}
	}
	n, why, err = s.numbers.ChooseSender(ctx, tx, who, in.PhoneNumberID, e164, country)
	return string(e164), n, why, contactID, err
}

// changed tells of a message.
func (s *Service) changed(ctx context.Context, tx *db.Tx, m *Message, kind event.Kind, actor id.ID) error {
	return event.Append(ctx, tx, event.Event{Kind: kind, Subject: m.ID, ActorID: actor, At: tx.Now})
}

// claimFor is how long a send may take before somebody asks Twilio about it.
const claimFor = 30 * time.Second
