package diagnose

import (
	"context"
	"strings"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

// messageErrors are what Twilio's error numbers of messages are called here
// (twilio: api/errors).
var messageErrors = map[int]Code{
	20003: TokenRefused, 20005: AccountClosed, 30002: AccountSuspended, 21608: TrialAccount, 10002: TrialAccount,
	21408: GeoPermission, 21601: CapabilityMissing, 21660: NumberGone,
	21606: SenderCountry, 21612: SenderCountry, 21709: SenderCountry, 30018: SenderCountry, 30024: SenderCountry,
	21610: OptedOut, 21211: InvalidNumber, 21604: InvalidNumber, 21401: InvalidNumber, 21421: InvalidNumber, 30005: InvalidNumber,
	21614: RecipientUnreachable, 21635: RecipientUnreachable, 30003: RecipientUnreachable, 30006: RecipientUnreachable,
	30007: CarrierFiltered, 30004: CarrierBlocked, 30450: CarrierBlocked,
	21602: ContentRefused, 21617: ContentRefused, 21620: ContentRefused, 21623: ContentRefused, 21658: ContentRefused, 30010: ContentRefused,
	30011: ContentRefused, 30019: ContentRefused, 11751: ContentRefused,
	20429: SendingTooFast, 21611: SendingTooFast, 30001: SendingTooFast, 30017: SendingTooFast, 30022: SendingTooFast, 30023: SendingTooFast, 30036: SendingTooFast,
	30034: A2PUnregistered, 30035: A2PUnregistered, 30032: TollFreeUnverified,
}

// of are the codes whose subject is the sending number rather than the message.
var ofNumber = []Code{CapabilityMissing, NumberGone, A2PUnregistered, TollFreeUnverified, NumberDisabled, NotUsedFor}

// message looks at a message: why it did not go or arrive (R270, R274).
func (x *exam) message(ctx context.Context, who access.Actor, which id.ID) error {
	m, err := x.s.d.Messages.Get(ctx, who, which)
	if err != nil {
		return err
	}
	threads, err := x.s.d.Messages.ThreadsByIDs(access.With(ctx, x.who), []id.ID{m.ThreadID})
	if err != nil {
		return err
	}
	if len(threads) == 0 {
		return errs.New(errs.NotFound, "there is no such message, or you may not see it").At("messageId")
	}
	number := threads[0].PhoneNumberID
	p := x.at(m.ID, false)
	if m.Direction == message.Inbound {
		p.ok(NotDelivered, "the message came in")
		return x.files(ctx, p, m)
	}
	switch {
	case m.ErrorCode != nil && m.Status != message.Delivered:
		c := messageErrors[*m.ErrorCode]
		spot := p
		for _, of := range ofNumber {
			if of == c {
				spot = x.at(number, false)
			}
		}
		x.twilioSaid(spot, messageErrors, NotDelivered, *m.ErrorCode, "the message", true)
	case m.Status == message.Failed || m.Status == message.Undelivered:
		x.ownRefusal(p, number, deref(m.ErrorReason))
	case m.Status == message.Unknown:
		p.warning(NotDelivered, "wait: Twilio is asked again by itself; do not send it twice", "it is not known whether Twilio took the message; it is being asked")
	case m.Status == message.Canceled:
		p.ok(NotDelivered, "somebody took it back before it was sent")
	case m.Status == message.Scheduled:
		p.ok(NotDelivered, "it is to be sent later")
	case m.Status == message.Sent:
		p.ok(NotDelivered, "the carrier took it; many confirm no more than that")
	case m.Status == message.Delivered:
		p.ok(NotDelivered, "the handset confirmed it")
	default:
		p.ok(NotDelivered, "it is on its way")
	}
	if err := x.answerable(ctx, p, m, number); err != nil {
		return err
	}
	if err := x.consented(ctx, p, m, number); err != nil {
		return err
	}
	return x.files(ctx, p, m)
}

// ownRefusal is a message that we did not hand over, by the words that were kept.
func (x *exam) ownRefusal(p spot, number id.ID, why string) {
	at := x.at(number, false)
	switch {
	case strings.HasPrefix(why, "the recipient asked for no messages"):
		p.problem(OptedOut, "", why)
	case strings.Contains(why, "disabled"):
		at.problem(NumberDisabled, "", why)
	case strings.Contains(why, "not used for messages"), strings.Contains(why, "may not send from"):
		at.problem(NotUsedFor, "", why)
	case strings.Contains(why, "cannot send"):
		at.problem(CapabilityMissing, "", why)
	case strings.Contains(why, "permission"):
		p.problem(Role, "give the role the permission, or have somebody else write", why)
	case why == "":
		p.problem(NotDelivered, "", "the message was not delivered, and no reason was given")
	default:
		p.problem(NotDelivered, "", why)
	}
}

// answerable is whether the recipient can answer (R151, R274).
func (x *exam) answerable(ctx context.Context, p spot, m *message.Message, sender id.ID) error {
	if x.has(SenderCountry) {
		return nil
	}
	if m.SenderName != nil {
		p.warning(SenderCountry, "", "the message showed the name "+*m.SenderName+" instead of a number: nobody can answer a name")
		return nil
	}
	found, err := x.s.d.Numbers.ByIDs(ctx, []id.ID{sender})
	if err != nil || found[sender] == nil {
		return err
	}
	n := found[sender]
	at := x.at(n.ID, false)
	switch here := n.ReceivesHere(); {
	case here != nil && !*here && n.CanSms:
		at.warning(WebhookChanged, "", "answers to "+shown(n)+" do not reach this server: somebody changed its address at Twilio")
	case !n.CanSms:
		at.warning(CapabilityMissing, "", shown(n)+" takes no text messages, so nobody can answer")
	default:
		p.ok(SenderCountry, "it shows %s, which can be answered", shown(n))
	}
	return nil
}

// consented is what the recipient said about messages, of those that nobody wrote by
// hand (R121, R155).
func (x *exam) consented(ctx context.Context, p spot, m *message.Message, sender id.ID) error {
	if x.has(OptedOut) {
		return nil
	}
	var said struct {
		Out   bool `bun:"opted_out"`
		In    bool `bun:"opted_in"`
		Wrote bool `bun:"wrote"`
	}
	err := db.Select(ctx, x.s.d.DB.App(), &said, `
		SELECT EXISTS (SELECT FROM opt_out o WHERE o.organization_id = $1 AND o.phone_number_id = $3 AND o.e164 = $2 AND o.is_opted_out)
				OR EXISTS (SELECT FROM do_not_message d WHERE d.organization_id = $1 AND d.e164 = $2 AND d.is_opted_out) AS opted_out,
			EXISTS (SELECT FROM consent c WHERE c.organization_id = $1 AND c.e164 = $2 AND c.what = 'OPT_IN') AS opted_in,
			EXISTS (SELECT FROM message i WHERE i.organization_id = $1 AND i.thread_id = $4 AND i.direction = 'INBOUND') AS wrote`,
		x.org, m.ToNumber, sender, m.ThreadID)
	if err != nil {
		return err
	}
	byHand := m.BulkID.IsZero() && m.AutomationID.IsZero()
	switch {
	case said.Out:
		p.warning(OptedOut, "", "the recipient has asked for no messages since: the next one is refused")
	case byHand || said.In || said.Wrote:
		p.ok(OptedOut, "the recipient has not asked for no messages")
	default:
		p.ok(OptedOut, "the recipient has not asked for no messages")
		p.warning(ConsentMissing, "", "it was sent by a rule or in bulk to somebody who never wrote to us and of whom no consent is recorded: carriers filter such messages, and the law may forbid them")
	}
	return nil
}

// files is whether the message's files are there.
func (x *exam) files(ctx context.Context, p spot, m *message.Message) error {
	found, err := x.s.d.Messages.MediaByMessages(ctx, []id.ID{m.ID})
	if err != nil {
		return err
	}
	for _, f := range found[m.ID] {
		switch f.State {
		case message.MediaFailed, message.MediaRefused:
			p.problem(MediaFailed, "", "a file of the message could not be copied: "+deref(f.Problem), fact("contentType", f.ContentType))
			return nil
		}
	}
	if len(found[m.ID]) > 0 {
		p.ok(MediaFailed, "its files are there")
	}
	return nil
}
