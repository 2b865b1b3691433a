package message

import (
	"context"
	"strings"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
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
	return s.preview(access.With(ctx, who), who, d)
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
