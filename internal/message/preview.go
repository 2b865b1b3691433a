package message

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// ProblemCode is what is wrong with a message before it is sent.
type ProblemCode string

// The problems; which of them keep a message from being sent, Problem says.
const (
	InvalidNumber     ProblemCode = "INVALID_NUMBER"
	NoPhoneNumber     ProblemCode = "NO_NUMBER"
	NotFound          ProblemCode = "NOT_FOUND"
	Duplicate         ProblemCode = "DUPLICATE"
	OptedOutProblem   ProblemCode = "OPTED_OUT" // R155
	NoSender          ProblemCode = "NO_SENDER"
	SenderUnusable    ProblemCode = "SENDER_UNUSABLE"
	SenderForbidden   ProblemCode = "SENDER_FORBIDDEN" // R026
	SameNumber        ProblemCode = "SAME_NUMBER"
	OneWaySender      ProblemCode = "ONE_WAY_SENDER" // R151
	NameUnsupported   ProblemCode = "SENDER_NAME_UNSUPPORTED"
	CountryNotAllowed ProblemCode = "COUNTRY_NOT_ALLOWED" // R149
	NotMobile         ProblemCode = "NOT_MOBILE"
	MMSUnsupported    ProblemCode = "MMS_UNSUPPORTED" // R143
	MediaTooLarge     ProblemCode = "MEDIA_TOO_LARGE" // R144
	MediaKind         ProblemCode = "MEDIA_TYPE"
	MissingField      ProblemCode = "MISSING_FIELD" // R163
	EmptyMessage      ProblemCode = "EMPTY"
	TooLong           ProblemCode = "TOO_LONG"
	UnusualCharacters ProblemCode = "UNUSUAL_CHARACTERS" // R156
	NotRegistered     ProblemCode = "NOT_REGISTERED"     // R152, R153
	Restricted        ProblemCode = "RESTRICTED"         // R242
	Unpriced          ProblemCode = "UNPRICED"           // R174
)

// PreviewProblem is something wrong with, or to know about, a message before it is sent.
type PreviewProblem struct {
	Code       ProblemCode
	IsBlocking bool
	Message    string // what is wrong and what to do
}

// ProblemCount is how many recipients a problem is about.
type ProblemCount struct {
	Code       ProblemCode
	IsBlocking bool
	Count      int
}

// Recipient names one recipient: a number as typed, a contact (whose phone it
// then is), or a record, whose contact it is.
type Recipient struct {
	To        string
	ContactID id.ID
	RecordID  id.ID
}

// Draft is a message before it is sent, to one or many: to a list, to what the
// filters find, or to the other end of a thread. The text may hold merge fields.
type Draft struct {
	Recipients    []Recipient
	Contacts      *contact.Filter
	Records       *contact.RecordFilter
	ThreadID      id.ID
	Body          string
	TemplateID    id.ID // instead of a text
	MediaIDs      []id.ID
	PhoneNumberID id.ID
	CampaignID    id.ID
	UseSenderName bool

	extra    Values   // merged besides
	verbatim bool     // the text was merged already: it is not read as a template again
	answer   *Thread  // an answer in it, whoever sees it
	files    []*Media // instead of uploads
}

// check finds what can be said without looking anything up.
func (d *Draft) check() error {
	d.Body = strings.TrimRight(d.Body, " \t\r\n")
	switch {
	case strings.ContainsRune(d.Body, 0) || !utf8.ValidString(d.Body):
		return errs.New(errs.Invalid, "the text holds characters that cannot be sent; remove them").At("input", "body")
	case d.Body != "" && !d.TemplateID.IsZero():
		return errs.New(errs.Invalid, "the message has a text and a template; leave one of them out").At("input", "templateId")
	case !d.ThreadID.IsZero() && !d.PhoneNumberID.IsZero():
		return errs.New(errs.Invalid, "an answer goes from the thread's own number; leave the sender out, or write to the number").At("input", "phoneNumberId")
	}
	return nil
}

// MaxRecipients is the most that one message goes to.
const MaxRecipients = 10_000

// Preview is what would happen to a message; what it says is what then happens.
type Preview struct {
	All            []*PreviewRecipient
	SendableCount  int
	Segments       int
	EstimatedCosts []Money
	UnpricedCount  int
	Problems       []ProblemCount
}

// Preview says what would happen to a draft, for each recipient in their order;
// nothing is sent. It needs SMS_SEND.
func (s *Service) Preview(ctx context.Context, who access.Actor, d Draft) (p *Preview, err error) {
	defer errs.Wrap(&err, "message.Preview")
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	filtered := d.Contacts != nil || d.Records != nil
	switch {
	case !d.ThreadID.IsZero() && (filtered || len(d.Recipients) > 0):
		return nil, errs.New(errs.Invalid, "a thread says to whom; leave out the recipients").At("input", "threadId")
	case filtered && len(d.Recipients) > 0:
		return nil, errs.New(errs.Invalid, "give a list of recipients or filters, not both").At("input", "audience")
	case d.ThreadID.IsZero() && !filtered && len(d.Recipients) == 0:
		return nil, errs.New(errs.Required, "say to whom: a list, a filter or a thread").At("input", "audience")
	}
	ctx = access.With(ctx, who)
	if filtered {
		if d.Recipients, err = s.audience(ctx, who, d); err != nil {
			return nil, err
		}
	}
	if len(d.Recipients) > MaxRecipients {
		return nil, tooMany
	}
	// A moment of its own: what is read belongs together.
	err = s.db.InSnapshot(ctx, func(ctx context.Context, tx *db.Tx) error {
		x, err := s.plan(ctx, tx, who, &d)
		if err == nil {
			p = sum(x.all)
		}
		return err
	})
	return p, err
}

var tooMany = errs.New(errs.LimitReached, "a message goes to %d recipients at most; narrow the list down", MaxRecipients).At("input", "audience")

// audience are the recipients that the filters find now (R135).
func (s *Service) audience(ctx context.Context, who access.Actor, d Draft) (list []Recipient, err error) {
	f := contact.RecipientFilter{Contacts: d.Contacts, Records: d.Records}
	for {
		page, err := s.contacts.Recipients(ctx, who, f, contact.MaxRecipients)
		if err != nil {
			return nil, blame(err, "audience")
		}
		for _, x := range page {
			list = append(list, Recipient{ContactID: x.ContactID, RecordID: x.RecordID})
		}
		switch {
		case len(list) > MaxRecipients:
			return nil, tooMany
		case len(page) < contact.MaxRecipients:
			return list, nil
		}
		if f.After = page[len(page)-1].ContactID; d.Records != nil {
			f.After = page[len(page)-1].RecordID
		}
	}
}

// sum adds up what happens to the recipients.
func sum(all []*PreviewRecipient) *Preview {
	p := &Preview{All: all}
	type key struct {
		code     ProblemCode
		blocking bool
	}
	counts, costs := map[key]int{}, map[string]int64{}
	for _, r := range all {
		once := map[key]bool{}
		for _, x := range r.Problems {
			if k := (key{x.Code, x.IsBlocking}); !once[k] {
				once[k] = true
				counts[k]++
			}
		}
		if !r.IsSendable() {
			continue
		}
		p.SendableCount++
		p.Segments += r.Segments
		if r.EstimatedCost == nil {
			p.UnpricedCount++
			continue
		}
		costs[r.EstimatedCost.Currency] += r.EstimatedCost.Micros
	}
	for k, n := range counts {
		p.Problems = append(p.Problems, ProblemCount{k.code, k.blocking, n})
	}
	slices.SortFunc(p.Problems, func(a, b ProblemCount) int {
		return cmp.Or(-compareBool(a.IsBlocking, b.IsBlocking), -cmp.Compare(a.Count, b.Count), cmp.Compare(a.Code, b.Code))
	})
	for _, currency := range slices.Sorted(maps.Keys(costs)) {
		p.EstimatedCosts = append(p.EstimatedCosts, Money{costs[currency], currency})
	}
	return p
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// RecipientCount is how many recipients were given or found.
func (p *Preview) RecipientCount() int { return len(p.All) }

// PreviewRecipient is what would happen to one recipient.
type PreviewRecipient struct {
	Index         int
	Given         string
	E164          phone.E164 // empty when none could be made of what was given
	Country       string     // ISO; empty when not known
	ContactID     id.ID
	RecordID      id.ID
	PhoneNumberID id.ID // our sender
	Sender        *call.ChosenNumber
	SenderName    *string
	Body          string
	Encoding      Encoding
	Segments      int
	EstimatedCost *Money
	Problems      []PreviewProblem
	IsHidden      bool // the number is not for the actor to see (R241)

	from           Number
	asked          Recipient
	about, belongs id.ID // whom the text speaks of, and whose the number is
}

func (r *PreviewRecipient) say(p *PreviewProblem) {
	if p != nil {
		r.Problems = append(r.Problems, *p)
	}
}

func (r *PreviewRecipient) blocked() bool { return !r.IsSendable() }

// refused is what keeps it from being sent, the first thing of it; nil when it is sent.
func (r *PreviewRecipient) refused() error {
	for _, p := range r.Problems {
		if p.IsBlocking {
			return refusal(p, r.asked)
		}
	}
	return nil
}

// warnings are what to know about it.
func (r *PreviewRecipient) warnings() (out []PreviewProblem) {
	for _, p := range r.Problems {
		if !p.IsBlocking {
			out = append(out, p)
		}
	}
	return out
}

// Refusal is the problem behind an error of Send.
type Refusal struct{ Problem PreviewProblem }

func (r *Refusal) Error() string { return string(r.Problem.Code) }

// refusal is a problem as an error at the field that it is about.
func refusal(p PreviewProblem, asked Recipient) error {
	whom := "to"
	switch {
	case asked.To != "":
	case !asked.ContactID.IsZero():
		whom = "contactId"
	case !asked.RecordID.IsZero():
		whom = "recordId"
	}
	at := map[ProblemCode]struct {
		code  errs.Code
		field string
	}{
		InvalidNumber: {errs.Invalid, "to"}, NoPhoneNumber: {errs.Conflict, whom}, NotFound: {errs.NotFound, whom}, Duplicate: {errs.Conflict, "to"},
		OptedOutProblem: {errs.OptedOut, "to"}, NoSender: {errs.Conflict, "phoneNumberId"}, SenderUnusable: {errs.Conflict, "phoneNumberId"},
		SenderForbidden: {errs.Forbidden, "phoneNumberId"}, SameNumber: {errs.Invalid, "to"}, CountryNotAllowed: {errs.Conflict, "to"},
		NotMobile: {errs.Conflict, "to"}, MMSUnsupported: {errs.Conflict, "mediaIds"}, MediaTooLarge: {errs.Invalid, "mediaIds"}, MediaKind: {errs.Invalid, "mediaIds"},
		MissingField: {errs.Invalid, "body"}, EmptyMessage: {errs.Required, "body"}, TooLong: {errs.Invalid, "body"}, Restricted: {errs.Forbidden, "to"},
	}[p.Code]
	if p.Code == NotFound && !asked.RecordID.IsZero() && strings.Contains(p.Message, "record") || p.Code == Restricted && strings.Contains(p.Message, "INVOICE") {
		at.field = "recordId"
	}
	return errs.New(at.code, "%s", p.Message).At("input", at.field).Because(&Refusal{p})
}

// IsSendable reports whether it would be sent.
func (r *PreviewRecipient) IsSendable() bool {
	for _, p := range r.Problems {
		if p.IsBlocking {
			return false
		}
	}
	return true
}

// Amount is the money as a decimal number, without its currency.
func (m Money) Amount() string {
	s, _, _ := strings.Cut(m.String(), " ")
	return s
}
