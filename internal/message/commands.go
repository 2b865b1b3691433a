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

	// Of those that Senders gives only.
	Country                   string
	IsDefault                 bool
	CanMMS                    bool
	NoSMS, NoMMS              bool   // R026: this user may not
	SenderName                string // R151; "": none
	IsChecked                 bool   // whether Twilio said of its registrations
	A2PStatus, TollFreeStatus string // R152, R153: what, in its words
}

// Numbers is what package number answers.
type Numbers interface {
	// Sender is one number of ours; errs.NotFound when there is none.
	Sender(ctx context.Context, q bun.IDB, number id.ID) (Number, error)
	// Receiver is the number of ours that a connection's message came to.
	Receiver(ctx context.Context, q bun.IDB, connection id.ID, e164 string) (Number, bool, error)
	// Senders are the enabled numbers, and besides them those that are named, in any
	// state: as the user may write from them.
	Senders(ctx context.Context, q bun.IDB, user id.ID, also []id.ID) ([]Number, error)
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
	// MaySpend refuses a message out that a cap of costs bars (R102); nil: none does.
	MaySpend func(ctx context.Context, tx *db.Tx, on Spending) error
}

// Spending is whom a message would be charged to.
type Spending struct {
	Organization, User, Branch, Automation id.ID
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
	maySpend func(ctx context.Context, tx *db.Tx, on Spending) error

	dies func(where string) error // in tests, the process at this place
}

// New makes a Service and registers its jobs and sweeps: before the runner starts.
func New(d Deps) *Service {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.MaySpend == nil {
		d.MaySpend = func(context.Context, *db.Tx, Spending) error { return nil }
	}
	s := &Service{db: d.DB, numbers: d.Numbers, contacts: d.Contacts, blob: d.Blob, keys: d.Keys, base: d.Base, log: d.Logger, country: d.Country, maySpend: d.MaySpend}
	if d.Jobs != nil {
		job.Handle(d.Jobs, s.carry)
		job.Handle(d.Jobs, s.bulk)
		job.Handle(d.Jobs, s.fetchMedia)
		job.Handle(d.Jobs, s.eraseCopies)
		job.Handle(d.Jobs, s.readPrices)
		d.Jobs.Sweep("message.due", sweepEvery, s.sweep)
		d.Jobs.Sweep("message.prices", pricesEvery, s.sweepPrices)
		d.Jobs.Sweep("message.bulk", bulkEvery, s.sweepBulk)
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

// draft is the message before it is sent.
func (in *Send) draft() *Draft {
	d := &Draft{ThreadID: in.ThreadID, Body: in.Body, TemplateID: in.TemplateID, MediaIDs: in.MediaIDs, PhoneNumberID: in.PhoneNumberID,
		CampaignID: in.CampaignID, UseSenderName: in.UseSenderName, extra: in.Extra}
	if r := (Recipient{To: in.To, ContactID: in.ContactID, RecordID: in.RecordID}); r != (Recipient{}) {
		d.Recipients = []Recipient{r}
	}
	return d
}

// check finds what can be said without looking anything up.
func (in *Send) check() error {
	in.Body = strings.TrimRight(in.Body, " \t\r\n")
	switch {
	case in.Body == "" && in.TemplateID.IsZero() && len(in.MediaIDs) == 0:
		return errs.New(errs.Required, "the message has no text; write one").At("input", "body")
	case utf8.RuneCountInString(in.Body) > MaxBody:
		return errs.New(errs.Invalid, "the text has more than %d characters; shorten it or send it in parts", MaxBody).At("input", "body")
	case in.ThreadID.IsZero() && in.To == "" && in.ContactID.IsZero() && in.RecordID.IsZero():
		return errs.New(errs.Required, "say to whom: a number, a contact, a record or a thread").At("input", "to")
	case !in.ThreadID.IsZero() && (in.To != "" || !in.ContactID.IsZero()):
		return errs.New(errs.Invalid, "a thread says to whom; leave out the number and the contact").At("input", "threadId")
	}
	return in.draft().check()
}

// The time of a message to be sent later.
const (
	minAhead = time.Minute
	maxAhead = 366 * 24 * time.Hour
)

// Send keeps a message and has it sent right after, or at its time. It needs
// SMS_SEND. What Preview says is what happens: an error tells the first thing that
// keeps it from being sent (Refusal), Message.Warnings the rest. Codes:
// errs.Invalid, errs.Required, errs.NotFound, errs.OptedOut, errs.Conflict,
// errs.Forbidden, errs.LimitReached, errs.IdempotencyReused.
func (s *Service) Send(ctx context.Context, who access.Actor, in Send) (m *Message, err error) {
	defer errs.Wrap(&err, "message.Send")
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	return s.once(ctx, who, "messageSend", in.IdempotencyKey, in, func(ctx context.Context, tx *db.Tx) (*Message, error) { return s.keep(ctx, tx, who, in) })
}

// once runs a command that makes a message, unless it ran before with this key.
func (s *Service) once(ctx context.Context, who access.Actor, mutation, key string, in any, do func(ctx context.Context, tx *db.Tx) (*Message, error)) (*Message, error) {
	ctx = access.With(ctx, who)
	var made *Message
	var message id.ID
	err := s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		made = &Message{}
		message, err = job.Once(ctx, tx, job.Key{User: actorOf(who), Mutation: mutation, Key: key}, in, func() (id.ID, error) {
			if made, err = do(ctx, tx); err != nil {
				return id.ID{}, err
			}
			return made.ID, nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	// Who sent a message sees it, whatever else they may see.
	m := &Message{}
	err = db.Select(ctx, s.db.App(), m, `SELECT m.* FROM message m WHERE m.organization_id = $1 AND m.id = $2`, who.OrganizationID, message)
	m.Warnings = made.Warnings
	return m, err
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
	return s.keep(access.With(ctx, who), tx, who, in)
}

// blame names the field of the input that an error is about.
func blame(err error, field string) error {
	e, ok := errs.As(err)
	if !ok { // nil is none
		return err
	}
	return errs.New(e.Code, "%s", e.Message).At("input", field).Because(err)
}

const askedForNone = "the recipient asked for no messages"

// optedOut is what to say of somebody who asked for no messages (R155).
func optedOut(from string) string {
	return askedForNone + " from " + from + "; they can text START to it"
}

// keep decides about a message, and makes the row and the job.
func (s *Service) keep(ctx context.Context, tx *db.Tx, who access.Actor, in Send) (*Message, error) {
	if in.SendAt != nil {
		switch ahead := in.SendAt.Sub(tx.Now); {
		case ahead < minAhead:
			return nil, errs.New(errs.Invalid, "a message for later is sent in a minute at the earliest; choose a later time, or leave it out to send at once").At("input", "sendAt")
		case ahead > maxAhead:
			return nil, errs.New(errs.Invalid, "a message can wait for a year at most; choose an earlier time").At("input", "sendAt")
		}
	}
	return s.keepDraft(ctx, tx, who, in, in.draft())
}

func (s *Service) keepDraft(ctx context.Context, tx *db.Tx, who access.Actor, in Send, d *Draft) (*Message, error) {
	p, err := s.plan(ctx, tx, who, d)
	if err != nil {
		return nil, err
	}
	r := p.all[0]
	if err := r.refused(); err != nil {
		return nil, err
	}
	if err := s.maySpend(ctx, tx, Spending{who.OrganizationID, who.UserID, r.from.BranchID, in.AutomationID}); err != nil {
		return nil, err
	}
	thread := p.thread
	if thread == nil {
		if thread, err = threadOf(ctx, tx, &Thread{PhoneNumberID: r.PhoneNumberID, TheirNumber: string(r.E164), ContactID: r.belongs, BranchID: r.from.BranchID}); err != nil {
			return nil, err
		}
	}
	m := r.message(who, thread.ID, tx.Now)
	m.CampaignID, m.TemplateID, m.AutomationID, m.BulkID, m.RetryOfID, m.MediaCount = in.CampaignID, in.TemplateID, in.AutomationID, in.BulkID, in.RetryOfID, len(p.files)
	if in.SendAt != nil {
		m.Status, m.ScheduledAt, m.DueAt = Scheduled, at(*in.SendAt, 0), at(*in.SendAt, 0)
	}
	if err := insert(ctx, tx, m); err != nil {
		return nil, err
	}
	if err := attach(ctx, tx, m.OrganizationID, []id.ID{m.ID}, p.files); err != nil {
		return nil, err
	}
	if m.Status == Pending {
		if err := s.wrote(ctx, tx, m, r.PhoneNumberID); err != nil {
			return nil, err
		}
		if err := job.Insert(ctx, tx, carryArgs{Organization: m.OrganizationID, Message: m.ID}); err != nil {
			return nil, err
		}
	}
	return m, s.tell(ctx, tx, m.ID, UpdatedEvent, who.UserID)
}

// message is the recipient's message as it is kept.
func (r *PreviewRecipient) message(who access.Actor, thread id.ID, now time.Time) *Message {
	m := &Message{
		OrganizationID: who.OrganizationID, ID: id.New(id.Message), ThreadID: thread, Direction: Outbound, Status: Pending,
		Body: r.Body, FromNumber: string(r.from.E164), ToNumber: string(r.E164), SenderReason: &r.Sender.Reason, SenderName: r.SenderName, UserID: who.UserID,
		ContactID: r.belongs, RecordID: r.RecordID, Encoding: &r.Encoding, At: now, DueAt: at(now, claimFor), Version: 1, Warnings: r.warnings(),
	}
	if r.EstimatedCost != nil {
		m.EstimateMicros, m.PriceCurrency = &r.EstimatedCost.Micros, &r.EstimatedCost.Currency
	}
	return m
}

// insert keeps a message of ours.
func insert(ctx context.Context, tx *db.Tx, m *Message) error {
	_, err := db.Exec(ctx, tx, `
INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, sender_reason, sender_name, user_id, contact_id,
  record_id, campaign_id, bulk_id, automation_id, template_id, retry_of, send_at, encoding, media_count, estimated_micros, price_currency, at, due_at, updated_at)
VALUES ($1, $2, $3, 'OUTBOUND', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)`,
		m.OrganizationID, m.ID, m.ThreadID, m.Status, m.Body, m.FromNumber, m.ToNumber, m.SenderReason, m.SenderName, m.UserID, m.ContactID,
		m.RecordID, m.CampaignID, m.BulkID, m.AutomationID, m.TemplateID, m.RetryOfID, m.ScheduledAt, m.Encoding, m.MediaCount, m.EstimateMicros, m.PriceCurrency,
		m.At, m.DueAt, tx.Now)
	return err
}

// wrote moves the thread of a message that is on its way to the top, and notes when
// the contact was written to (R287).
func (s *Service) wrote(ctx context.Context, tx *db.Tx, m *Message, number id.ID) error {
	written := *m
	if m.ScheduledAt != nil { // they may not have looked since
		written.UserID = id.ID{}
	}
	if err := follow(ctx, tx, &written); err != nil {
		return err
	}
	if m.ContactID.IsZero() {
		return nil
	}
	return s.contacts.Touch(ctx, tx, m.ContactID, m.CampaignID, number, tx.Now)
}

// tell appends an event about a message.
func (s *Service) tell(ctx context.Context, tx *db.Tx, message id.ID, kind event.Kind, actor id.ID) error {
	return event.Append(ctx, tx, event.Event{Kind: kind, Subject: message, ActorID: actor, At: tx.Now})
}
