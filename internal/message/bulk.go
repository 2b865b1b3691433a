package message

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// BulkStatus is where a bulk message stands.
type BulkStatus string

// The states of a bulk message.
const (
	BulkScheduled BulkStatus = "SCHEDULED"
	BulkRunning   BulkStatus = "RUNNING"
	BulkPaused    BulkStatus = "PAUSED"
	BulkDone      BulkStatus = "DONE"
	BulkCanceled  BulkStatus = "CANCELED"
)

// Bulk is one text to many (R136).
type Bulk struct {
	bun.BaseModel `bun:"table:bulk_message,alias:b"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	Name           string     `bun:"name"`
	Body           string     `bun:"body"` // with its merge fields
	TemplateID     id.ID      `bun:"template_id,type:uuid"`
	MediaIDs       []id.ID    `bun:"media,array"`
	PhoneNumberID  id.ID      `bun:"phone_number_id,type:uuid"`
	CampaignID     id.ID      `bun:"campaign_id,type:uuid"`
	Status         BulkStatus `bun:"status"`
	RatePerSecond  *int       `bun:"rate_per_second"` // of each sender
	ScheduledAt    *time.Time `bun:"send_at"`
	StopReason     *string    `bun:"stop_reason"`
	RecipientCount int        `bun:"recipient_count"`
	SkippedCount   int        `bun:"skipped_count"`
	PendingCount   int        `bun:"pending_count"`
	CreatedByID    id.ID      `bun:"created_by,type:uuid"`
	DueAt          *time.Time `bun:"due_at"`
	StartedAt      *time.Time `bun:"started_at"`
	EndedAt        *time.Time `bun:"ended_at"`
	Version        int        `bun:"version"`
	CreatedAt      time.Time  `bun:"created_at"`
	UpdatedAt      time.Time  `bun:"updated_at"`
}

// BulkCounts says where the recipients of a bulk message stand.
type BulkCounts struct {
	Pending   int // not looked at yet
	Skipped   int
	Waiting   int // taken, not handed over yet
	Queued    int
	Sent      int
	Delivered int
	Failed    int
	Unknown   int
}

// RecipientState is whether a recipient was written to.
type RecipientState string

// The states of a recipient.
const (
	RecipientPending RecipientState = "PENDING"
	RecipientTaken   RecipientState = "TAKEN"
	RecipientSkipped RecipientState = "SKIPPED"
)

// BulkRecipient is one recipient of a bulk message.
type BulkRecipient struct {
	bun.BaseModel `bun:"table:bulk_recipient,alias:br"`

	OrganizationID id.ID                     `bun:"organization_id,pk,type:uuid"`
	BulkID         id.ID                     `bun:"bulk_id,pk,type:uuid"`
	Position       int                       `bun:"position,pk"`
	Given          string                    `bun:"given"`
	E164           *phone.E164               `bun:"e164"`
	ContactID      id.ID                     `bun:"contact_id,type:uuid"`
	RecordID       id.ID                     `bun:"record_id,type:uuid"`
	PhoneNumberID  id.ID                     `bun:"phone_number_id,type:uuid"`
	SenderReason   *route.NumberChoiceReason `bun:"sender_reason"`
	Body           *string                   `bun:"body"`             // merged
	EstimateMicros *int64                    `bun:"estimated_micros"` // R174
	Currency       *string                   `bun:"currency"`
	State          RecipientState            `bun:"state"`
	SkipCode       *ProblemCode              `bun:"skip_code"`
	SkipReason     *string                   `bun:"skip_reason"`
	MessageID      id.ID                     `bun:"message_id,type:uuid"`
	CreatedAt      time.Time                 `bun:"created_at"`
}

// Problem is why the recipient was left out; nil when they were not.
func (r *BulkRecipient) Problem() *PreviewProblem {
	if r.SkipCode == nil {
		return nil
	}
	p := &PreviewProblem{Code: *r.SkipCode, IsBlocking: true}
	if r.SkipReason != nil {
		p.Message = *r.SkipReason
	}
	return p
}

// NewBulk is a bulk message to make.
type NewBulk struct {
	Draft
	Name           string
	SendAt         *time.Time // nil: at once
	RatePerSecond  *int
	IdempotencyKey string
}

const (
	maxBulkName = 200
	maxRate     = 1000
)

// check finds what can be said without looking anything up.
func (in *NewBulk) check() error {
	in.Name = strings.TrimSpace(in.Name)
	switch {
	case in.Name == "":
		return errs.New(errs.Required, "the bulk message has no name; write one").At("input", "name")
	case utf8.RuneCountInString(in.Name) > maxBulkName || !utf8.ValidString(in.Name) || strings.ContainsRune(in.Name, 0):
		return errs.New(errs.Invalid, "the name is too long or holds characters that cannot be kept; write up to %d", maxBulkName).At("input", "name")
	case in.RatePerSecond != nil && (*in.RatePerSecond < 1 || *in.RatePerSecond > maxRate):
		return errs.New(errs.Invalid, "the rate is %d; it may be 1 to %d messages a second", *in.RatePerSecond, maxRate).At("input", "ratePerSecond")
	}
	if err := in.Draft.check(); err != nil {
		return err
	}
	filtered := in.Contacts != nil || in.Records != nil
	switch {
	case in.Body == "" && in.TemplateID.IsZero() && len(in.MediaIDs) == 0:
		return errs.New(errs.Required, "the message has no text; write one").At("input", "body")
	case utf8.RuneCountInString(in.Body) > 2*MaxBody: // what the fields become counts
		return errs.New(errs.Invalid, "the text is too long; a message has %d characters at most", MaxBody).At("input", "body")
	case filtered && len(in.Recipients) > 0:
		return errs.New(errs.Invalid, "give a list of recipients or filters, not both").At("input", "audience")
	case !filtered && len(in.Recipients) == 0:
		return errs.New(errs.Required, "say to whom: a list or a filter").At("input", "audience")
	case len(in.Recipients) > MaxRecipients:
		return tooMany
	}
	return nil
}

// CreateBulk keeps one text to many (R135, R136): who it goes to and what each of
// them gets is decided now, as Preview says it. It needs SMS_BULK and SMS_SEND.
// What is wrong with one recipient is kept with them; errors are about the whole.
// Codes: errs.Required, errs.Invalid, errs.NotFound, errs.LimitReached, errs.Conflict
// when nobody can be written to, errs.IdempotencyReused.
func (s *Service) CreateBulk(ctx context.Context, who access.Actor, in NewBulk) (_ *Bulk, err error) {
	defer errs.Wrap(&err, "message.CreateBulk")
	if err := who.Require(access.SMSBulk); err != nil {
		return nil, err
	}
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	ctx = access.With(ctx, who)
	// The filters are asked before the transaction, which has only one connection.
	// What they say counts only if the bulk message is not there already.
	list, problem := in.Recipients, error(nil)
	if in.Contacts != nil || in.Records != nil {
		list, problem = s.audience(ctx, who, in.Draft)
	}
	var made id.ID
	err = s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		made, err = job.Once(ctx, tx, job.Key{User: actorOf(who), Mutation: "bulkMessageCreate", Key: in.IdempotencyKey}, in, func() (id.ID, error) {
			if problem != nil {
				return id.ID{}, problem
			}
			return s.keepBulk(ctx, tx, who, in, list)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return bulkByID(ctx, s.db.App(), who.OrganizationID, made)
}

// keepBulk decides about every recipient and writes them down.
func (s *Service) keepBulk(ctx context.Context, tx *db.Tx, who access.Actor, in NewBulk, list []Recipient) (id.ID, error) {
	if len(list) == 0 {
		return id.ID{}, errs.New(errs.Conflict, "the filter finds nobody; widen it").At("input", "audience")
	}
	d := in.Draft
	d.Recipients, d.Contacts, d.Records = list, nil, nil
	p, err := s.plan(ctx, tx, who, &d)
	if err != nil {
		return id.ID{}, err
	}
	b := &Bulk{
		OrganizationID: who.OrganizationID, ID: id.New(id.Bulk), Name: in.Name, Body: p.body, TemplateID: in.TemplateID, MediaIDs: in.MediaIDs,
		PhoneNumberID: in.PhoneNumberID, CampaignID: in.CampaignID, Status: BulkRunning, RatePerSecond: in.RatePerSecond, RecipientCount: len(p.all),
		CreatedByID: who.UserID, DueAt: at(tx.Now, leaseFor), CreatedAt: tx.Now,
	}
	if p.text != nil && !in.TemplateID.IsZero() {
		if saved, err := TemplateByID(ctx, tx, in.TemplateID); err != nil {
			return id.ID{}, err
		} else {
			b.Body = saved.Body
		}
	}
	if in.SendAt != nil {
		switch ahead := in.SendAt.Sub(tx.Now); {
		case ahead < minAhead:
			return id.ID{}, errs.New(errs.Invalid, "a bulk message for later begins in a minute at the earliest; choose a later time, or leave it out to begin at once").At("input", "sendAt")
		case ahead > maxAhead:
			return id.ID{}, errs.New(errs.Invalid, "a bulk message can wait for a year at most; choose an earlier time").At("input", "sendAt")
		}
		b.Status, b.ScheduledAt, b.DueAt = BulkScheduled, at(*in.SendAt, 0), at(*in.SendAt, 0)
	}
	rows := make([]*BulkRecipient, len(p.all))
	for i, r := range p.all {
		rows[i] = r.bulk(b)
		if rows[i].State == RecipientPending {
			b.PendingCount++
		} else {
			b.SkippedCount++
		}
	}
	if b.PendingCount == 0 {
		return id.ID{}, nobody(p.all)
	}
	if err := s.maySpend(ctx, tx, Spending{Organization: who.OrganizationID, User: who.UserID}); err != nil {
		return id.ID{}, err
	}
	if err := insertBulk(ctx, tx, b, rows); err != nil {
		return id.ID{}, err
	}
	if b.Status == BulkRunning {
		if err := job.Insert(ctx, tx, bulkArgs{Organization: b.OrganizationID, Bulk: b.ID}); err != nil {
			return id.ID{}, err
		}
	}
	return b.ID, tellBulk(ctx, tx, who, "create", b)
}

// bulk is the recipient as they are kept.
func (r *PreviewRecipient) bulk(b *Bulk) *BulkRecipient {
	row := &BulkRecipient{
		OrganizationID: b.OrganizationID, BulkID: b.ID, Position: r.Index, Given: r.Given, ContactID: r.belongs, RecordID: r.RecordID,
		PhoneNumberID: r.PhoneNumberID, State: RecipientPending, CreatedAt: b.CreatedAt,
	}
	if row.ContactID.IsZero() {
		row.ContactID = r.ContactID
	}
	if r.E164 != "" {
		row.E164 = &r.E164
	}
	if r.Sender != nil {
		row.SenderReason = &r.Sender.Reason
	}
	for _, p := range r.Problems {
		if p.IsBlocking {
			row.State, row.SkipCode, row.SkipReason = RecipientSkipped, &p.Code, &p.Message
			return row
		}
	}
	row.Body = &r.Body
	if c := r.EstimatedCost; c != nil {
		row.EstimateMicros, row.Currency = &c.Micros, &c.Currency
	}
	return row
}

// nobody says why none of the recipients can be written to.
func nobody(all []*PreviewRecipient) error {
	sum := sum(all)
	var counts []string
	first := ""
	for _, c := range sum.Problems {
		if !c.IsBlocking {
			continue
		}
		counts = append(counts, fmt.Sprintf("%d %s", c.Count, c.Code))
		for _, r := range all {
			for _, p := range r.Problems {
				if p.Code == c.Code && p.IsBlocking {
					first = cmp.Or(first, p.Message)
				}
			}
		}
	}
	return errs.New(errs.Conflict, "none of the %d recipients can be written to (%s): %s", len(all), strings.Join(counts, ", "), first).At("input", "audience")
}

// tellBulk appends the event and the audit entry of what a person did.
func tellBulk(ctx context.Context, tx *db.Tx, who access.Actor, verb string, b *Bulk) error {
	if err := event.Append(ctx, tx, event.Event{Kind: BulkUpdatedEvent, Subject: b.ID, ActorID: who.UserID}); err != nil {
		return err
	}
	return audit.Write(ctx, tx, audit.Entry{ActorID: actorOf(who), Action: "bulkMessage." + verb, Subject: b.ID,
		Detail: map[string]any{"recipients": b.RecipientCount, "pending": b.PendingCount, "skipped": b.SkippedCount}})
}

// PauseBulk stops handing over messages; what was handed over goes on. It needs
// SMS_BULK. Codes: errs.NotFound, errs.Conflict when it has ended.
func (s *Service) PauseBulk(ctx context.Context, who access.Actor, bulk id.ID) (_ *Bulk, err error) {
	defer errs.Wrap(&err, "message.PauseBulk(%s)", bulk)
	return s.changeBulk(ctx, who, bulk, "pause", func(_ *db.Tx, b *Bulk) (bool, error) {
		if b.Status == BulkPaused {
			return false, nil
		}
		b.Status, b.DueAt, b.StopReason = BulkPaused, nil, nil
		return true, nil
	})
}

// ResumeBulk goes on with a paused bulk message. It needs SMS_BULK and SMS_SEND.
// Codes: errs.NotFound, errs.Conflict when it has ended.
func (s *Service) ResumeBulk(ctx context.Context, who access.Actor, bulk id.ID) (_ *Bulk, err error) {
	defer errs.Wrap(&err, "message.ResumeBulk(%s)", bulk)
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	return s.changeBulk(ctx, who, bulk, "resume", func(tx *db.Tx, b *Bulk) (bool, error) {
		if b.Status != BulkPaused {
			return false, nil
		}
		b.Status, b.StopReason, b.DueAt = BulkRunning, nil, at(tx.Now, 0)
		if b.ScheduledAt != nil && b.ScheduledAt.After(tx.Now) {
			b.Status, b.DueAt = BulkScheduled, b.ScheduledAt
		}
		return true, nil
	})
}

// CancelBulk ends a bulk message: whoever was not written to yet is not. It needs
// SMS_BULK. Codes: errs.NotFound, errs.Conflict when it was handed over to the last.
func (s *Service) CancelBulk(ctx context.Context, who access.Actor, bulk id.ID) (_ *Bulk, err error) {
	defer errs.Wrap(&err, "message.CancelBulk(%s)", bulk)
	return s.changeBulk(ctx, who, bulk, "cancel", func(tx *db.Tx, b *Bulk) (bool, error) {
		if b.Status == BulkCanceled {
			return false, nil
		}
		b.Status, b.DueAt, b.EndedAt = BulkCanceled, nil, at(tx.Now, 0)
		return true, nil
	})
}

// changeBulk runs what a person does to a bulk message that they see, under its lock.
func (s *Service) changeBulk(ctx context.Context, who access.Actor, bulk id.ID, verb string, do func(tx *db.Tx, b *Bulk) (bool, error)) (b *Bulk, err error) {
	if err := who.Require(access.SMSBulk); err != nil {
		return nil, err
	}
	err = s.db.InTxAgain(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if b, err = lockBulk(ctx, tx, who.OrganizationID, bulk); err != nil {
			return err
		}
		if !b.seenBy(who) {
			return errNoBulk
		}
		switch {
		case b.Status == BulkDone:
			return errs.New(errs.Conflict, "the bulk message was handed over to the last; there is nothing left to %s", verb).At("id")
		case b.Status == BulkCanceled && verb != "cancel":
			return errs.New(errs.Conflict, "the bulk message was canceled; make a new one").At("id")
		}
		changed, err := do(tx, b)
		if err != nil || !changed {
			return err
		}
		b.Version++
		if err := saveBulk(ctx, tx, b); err != nil {
			return err
		}
		return tellBulk(ctx, tx, who, verb, b)
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// seenBy reports whether the actor sees the bulk message: those of the whole
// organization see all, others what they made.
func (b *Bulk) seenBy(who access.Actor) bool {
	return who.Can(access.SMSBulk) && (who.SeesAll() || !who.UserID.IsZero() && b.CreatedByID == who.UserID)
}

// Bulk is one bulk message. Absent and forbidden both give errs.NotFound.
func (s *Service) Bulk(ctx context.Context, who access.Actor, bulk id.ID) (_ *Bulk, err error) {
	defer errs.Wrap(&err, "message.Bulk(%s)", bulk)
	b, err := bulkByID(access.With(ctx, who), s.db.App(), who.OrganizationID, bulk)
	if err == nil && !b.seenBy(who) {
		return nil, errNoBulk
	}
	return b, err
}
