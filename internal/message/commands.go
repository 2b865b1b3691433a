package message

import (
	"context"
	"log/slog"
	"net/url"
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
	"switchboard/internal/secret"
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
	Keys     *secret.Keyring
	// Base is the public address, where Twilio fetches files from.
	Base *url.URL
	// Country is the organization's default country, for numbers as typed (R018).
	Country func(ctx context.Context, q bun.IDB) (string, error)
}

// Service keeps threads and messages.
type Service struct {
	db       *db.DB
	numbers  Numbers
	contacts *contact.Service
	blob     *blob.Store
	keys     *secret.Keyring
	base     *url.URL
	log      *slog.Logger
	country  func(ctx context.Context, q bun.IDB) (string, error)
}

// New makes a Service and registers its jobs and sweeps: before the runner starts.
func New(d Deps) *Service {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	s := &Service{db: d.DB, numbers: d.Numbers, contacts: d.Contacts, blob: d.Blob, keys: d.Keys, base: d.Base, log: d.Logger, country: d.Country}
	if d.Jobs != nil {
		job.Handle(d.Jobs, s.carry)
		job.Handle(d.Jobs, s.fetchMedia)
		d.Jobs.Sweep("message.due", sweepEvery, s.sweep)
		d.Jobs.Sweep("message.uploads", time.Hour, s.sweepUploads)
	}
	return s
}

// The kinds of event that this package tells.
const (
	ReceivedEvent      event.Kind = "MESSAGE_RECEIVED"
	UpdatedEvent       event.Kind = "MESSAGE_UPDATED"
	ThreadUpdatedEvent event.Kind = "SMS_THREAD_UPDATED"
	ThreadReadEvent    event.Kind = "SMS_THREAD_READ" // private to its actor; the contract's events leave it out
	BulkUpdatedEvent   event.Kind = "BULK_MESSAGE_UPDATED"
	ConsentEvent       event.Kind = "CONSENT_CHANGED"
)

// MaxBody is the longest text, in characters (twilio error 21617).
const MaxBody = 1600

// Send is a message to send. A thread, or a number, or a contact, or a contact
// at a certain number says to whom.
type Send struct {
	To             string
	ContactID      id.ID
	ThreadID       id.ID
	Body           string
	PhoneNumberID  id.ID // an explicit sender (R080)
	RecordID       id.ID
	CampaignID     id.ID
	TemplateID     id.ID      // instead of a text
	MediaIDs       []id.ID    // uploads
	SendAt         *time.Time // nil: at once
	UseSenderName  bool       // R151
	AutomationID   id.ID
	BulkID         id.ID
	RetryOfID      id.ID
	Extra          Values // merged besides what contact, record, user and business have
	IdempotencyKey string
}

// check finds what can be said without looking anything up.
func (in *Send) check() error {
	in.Body = strings.TrimRight(in.Body, " \t\r\n")
	switch {
	case in.Body == "":
		return errs.New(errs.Required, "the message has no text; write one").At("input", "body")
	case strings.ContainsRune(in.Body, 0) || !utf8.ValidString(in.Body):
		return errs.New(errs.Invalid, "the text holds characters that cannot be sent; remove them").At("input", "body")
	case utf8.RuneCountInString(in.Body) > MaxBody:
		return errs.New(errs.Invalid, "the text has more than %d characters; shorten it or send it in parts", MaxBody).At("input", "body")
	case in.ThreadID.IsZero() && in.To == "" && in.ContactID.IsZero():
		return errs.New(errs.Required, "say to whom: a number, a contact or a thread").At("input", "to")
	case !in.ThreadID.IsZero() && (in.To != "" || !in.ContactID.IsZero()):
		return errs.New(errs.Invalid, "a thread says to whom; leave out the number and the contact").At("input", "threadId")
	case !in.ThreadID.IsZero() && !in.PhoneNumberID.IsZero():
		return errs.New(errs.Invalid, "an answer goes from the thread's own number; leave the sender out, or write to the number").At("input", "phoneNumberId")
	}
	return nil
}

// Send keeps a message and has it sent right after. It needs SMS_SEND. Codes:
// errs.Invalid, errs.Required, errs.NotFound, errs.OptedOut, errs.Conflict,
// errs.IdempotencyReused.
func (s *Service) Send(ctx context.Context, who access.Actor, in Send) (m *Message, err error) {
	defer errs.Wrap(&err, "message.Send")
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	ctx = access.With(ctx, who)
	// Other nouns are asked before the transaction, which has only one connection.
	// What they say counts only if the message is not there already.
	to, problem := s.recipient(ctx, who, in)
	var made id.ID
	err = s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		made, err = job.Once(ctx, tx, job.Key{User: actorOf(who), Mutation: "messageSend", Key: in.IdempotencyKey}, in, func() (id.ID, error) {
			if problem != nil {
				return id.ID{}, problem
			}
			return s.keep(ctx, tx, who, in, to)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	// Who sent a message sees it, whatever else they may see.
	m = &Message{}
	return m, db.Select(ctx, s.db.App(), m, `SELECT m.* FROM message m WHERE m.organization_id = $1 AND m.id = $2`, who.OrganizationID, made)
}

// actorOf is the person, or the key that acts in their place.
func actorOf(who access.Actor) id.ID {
	if who.UserID.IsZero() {
		return who.APIKeyID
	}
	return who.UserID
}

// SendIn is Send within the caller's transaction, without an idempotency key: the
// caller knows by a row of its own that it sends once. What is refused is refused
// before anything is written, so that the transaction can go on.
func (s *Service) SendIn(ctx context.Context, tx *db.Tx, who access.Actor, in Send) (m *Message, err error) {
	defer errs.Wrap(&err, "message.SendIn")
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	ctx = access.With(ctx, who)
	to, err := s.recipient(ctx, who, in)
	if err != nil {
		return nil, err
	}
	made, err := s.keep(ctx, tx, who, in, to)
	if err != nil {
		return nil, err
	}
	return lock(ctx, tx, made)
}

// recipient is whom a message goes to.
type recipient struct {
	e164      phone.E164 // zero: as typed, or the thread's
	contactID id.ID
	country   string // of the contact: breaks ties (D16)
}

func (s *Service) recipient(ctx context.Context, who access.Actor, in Send) (to recipient, err error) {
	if !in.RecordID.IsZero() {
		if _, err := s.contacts.Record(ctx, who, in.RecordID); err != nil {
			return to, blame(err, "recordId")
		}
	}
	if in.ContactID.IsZero() {
		return to, nil
	}
	c, err := s.contacts.Get(ctx, who, in.ContactID)
	if err != nil {
		return to, blame(err, "contactId")
	}
	to.contactID = c.ID
	if c.Country != nil {
		to.country = *c.Country
	}
	if in.To != "" {
		return to, nil
	}
	phones, err := s.contacts.PhonesByContacts(ctx, []id.ID{c.ID})
	if err != nil {
		return to, err
	}
	if len(phones[c.ID]) == 0 {
		return to, errs.New(errs.Conflict, "the contact has no phone number; add one or give a number").At("input", "contactId")
	}
	to.e164 = phones[c.ID][0].E164 // the primary one
	return to, nil
}

// blame names the field of the input that an error is about.
func blame(err error, field string) error {
	e, ok := errs.As(err)
	if !ok { // nil is none
		return err
	}
	return errs.New(e.Code, "%s", e.Message).At("input", field).Because(err)
}

// optedOut is what to say of somebody who asked for no messages (R155).
func optedOut(from string) string {
	return "the recipient asked for no messages from " + from + "; they can text START to it"
}

// keep chooses the sender, and makes the row and the job.
func (s *Service) keep(ctx context.Context, tx *db.Tx, who access.Actor, in Send, r recipient) (id.ID, error) {
	to, number, reason, err := s.address(ctx, tx, who, in, &r)
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
	if r.contactID.IsZero() {
		if r.contactID, err = s.contactOf(ctx, tx, to); err != nil {
			return id.ID{}, err
		}
	}
	thread, err := threadOf(ctx, tx, &Thread{PhoneNumberID: number.ID, TheirNumber: to, ContactID: r.contactID, BranchID: number.BranchID})
	if err != nil {
		return id.ID{}, err
	}
	if out, err := isOptedOut(ctx, tx, number.ID, to); err != nil {
		return id.ID{}, err
	} else if out {
		return id.ID{}, errs.New(errs.OptedOut, "%s", optedOut(string(number.E164))).At("input", "to")
	}
	m := &Message{
		OrganizationID: who.OrganizationID, ID: id.New(id.Message), ThreadID: thread.ID, Direction: Outbound, Status: Pending,
		Body: in.Body, FromNumber: string(number.E164), ToNumber: to, SenderReason: &reason, UserID: who.UserID,
		ContactID: r.contactID, RecordID: in.RecordID, CampaignID: in.CampaignID, At: tx.Now, DueAt: at(tx.Now, claimFor),
	}
	if _, err := addMessage(ctx, tx, m); err != nil {
		return id.ID{}, err
	}
	if !m.ContactID.IsZero() { // R287
		if err := s.contacts.Touch(ctx, tx, m.ContactID, in.CampaignID, number.ID, tx.Now); err != nil {
			return id.ID{}, err
		}
	}
	if err := job.Insert(ctx, tx, carryArgs{Organization: who.OrganizationID, Message: m.ID}); err != nil {
		return id.ID{}, err
	}
	return m.ID, s.tell(ctx, tx, m.ID, UpdatedEvent, who.UserID)
}

// address is the number it goes to, and the one it goes from. A reply goes from
// the thread's own number.
func (s *Service) address(ctx context.Context, tx *db.Tx, who access.Actor, in Send, r *recipient) (to string, n Number, why route.NumberChoiceReason, err error) {
	if !in.ThreadID.IsZero() {
		t, err := s.thread(ctx, tx, who, in.ThreadID)
		if err != nil {
			return "", n, "", blame(err, "threadId")
		}
		if !strings.HasPrefix(t.TheirNumber, "+") {
			return "", n, "", errs.New(errs.Conflict, "%s cannot receive replies; write to a phone number instead", t.TheirNumber).At("input", "threadId")
		}
		r.contactID = t.ContactID
		n, err = s.numbers.Sender(ctx, tx, t.PhoneNumberID)
		return t.TheirNumber, n, route.OwnThread, blame(err, "threadId")
	}
	if in.To != "" {
		home, err := s.country(ctx, tx)
		if err != nil {
			return "", n, "", err
		}
		if r.e164, err = phone.Parse(in.To, home); err != nil {
			return "", n, "", blame(err, "to")
		}
	}
	n, why, err = s.numbers.ChooseSender(ctx, tx, who, in.PhoneNumberID, r.e164, r.country)
	return string(r.e164), n, why, blame(err, "phoneNumberId")
}

// tell appends an event about a message.
func (s *Service) tell(ctx context.Context, tx *db.Tx, message id.ID, kind event.Kind, actor id.ID) error {
	return event.Append(ctx, tx, event.Event{Kind: kind, Subject: message, ActorID: actor, At: tx.Now})
}
