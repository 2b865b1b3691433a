package message

import (
	"slices"
	"strings"
	"time"

	"switchboard/internal/twilio"
)

// rank orders the states of a message that we sent. What is known is the highest
// that was heard, in whatever order it was heard: news of a lower rank is late.
// DELIVERED outlives a refusal, because the handset has it.
var rank = map[Status]int{Scheduled: -1, Pending: 0, Unknown: 1, Queued: 2, Sent: 3, Undelivered: 4, Failed: 5, Canceled: 5, Delivered: 6}

// fromTwilio are Twilio's words for the states of a message that we sent.
var fromTwilio = map[string]Status{
	"accepted": Queued, "scheduled": Queued, "queued": Queued, "sending": Queued, "sent": Sent,
	"delivered": Delivered, "read": Delivered, "partially_delivered": Delivered,
	"undelivered": Undelivered, "failed": Failed, "canceled": Failed,
}

// Next is the state after news of the other state. It gives the same last state
// for any order and number of the same news.
func (s Status) Next(news Status) (_ Status, changed bool) {
	if s == Received || rank[news] <= rank[s] {
		return s, false
	}
	return news, true
}

// Final reports whether no more news is expected.
func (s Status) Final() bool { return s == Received || rank[s] >= rank[Undelivered] }

// refused reports whether it did not get there.
func (s Status) refused() bool { return s == Failed || s == Undelivered }

// news is what Twilio says of a message that we sent, in a callback or an answer.
type news struct {
	sid, word      string
	code, segments int
	price          *Money // nil: not said yet
}

// newsOf is what one of Twilio's own messages says.
func newsOf(x *twilio.Sent) news {
	n := news{sid: x.SID, word: x.Status, code: x.ErrorCode, segments: x.Segments}
	if m, ok := ParsePrice(x.Price, x.PriceUnit); ok {
		n.price = &m
	}
	return n
}

// hear folds news into a message that we sent and reports whether it is about
// this message. The same news in any order and number gives the same message.
func (m *Message) hear(n news, now time.Time) bool {
	if m.Direction != Outbound || n.sid == "" || m.TwilioSID != nil && *m.TwilioSID != n.sid {
		return false
	}
	if m.TwilioSID == nil {
		m.TwilioSID = &n.sid
		if m.Status == Failed { // it was given up, and Twilio has it after all
			m.Status, m.ErrorCode, m.ErrorReason = Unknown, nil, nil
		}
	}
	said, known := fromTwilio[n.word]
	if !known { // a word of the future: Twilio has it, no more is known
		said = Queued
	}
	m.Status, _ = m.Status.Next(said)
	if m.SentAt == nil && (said == Sent || said == Undelivered || said == Delivered) {
		m.SentAt = &now // the last two come from beyond the carrier
	}
	if m.DeliveredAt == nil && said == Delivered {
		m.DeliveredAt = &now
	}
	if m.NumSegments == nil && n.segments > 0 {
		m.NumSegments = &n.segments
	}
	if n.price != nil {
		m.paid(*n.price)
	}
	switch {
	case !m.Status.refused():
		m.ErrorCode, m.ErrorReason = nil, nil
	case said.refused() && n.code != 0 && (m.ErrorCode == nil || *m.ErrorCode < n.code):
		m.ErrorCode = &n.code
		m.ErrorReason = words(n.code)
	case m.ErrorReason == nil:
		m.ErrorReason = words(0)
	}
	m.DueAt = m.nextLook(now)
	return true
}

// paid notes what Twilio charged (R174). An estimate in another currency is dropped:
// both share one.
func (m *Message) paid(price Money) {
	if m.PriceMicros != nil {
		return
	}
	if m.PriceCurrency != nil && *m.PriceCurrency != price.Currency {
		m.EstimateMicros = nil
	}
	m.PriceMicros, m.PriceCurrency = &price.Micros, &price.Currency
}

// words are what one of Twilio's codes means and what to do (R160, T13).
func words(code int) *string {
	reason, advice, _ := twilio.Reason(code)
	if reason == "" {
		reason, advice = "Twilio could not deliver it", "look it up in Twilio's message log"
	}
	w := reason + "; " + advice
	return &w
}

// patience is how long after it was handed over somebody asks about a message of
// which callbacks say no more. Twilio keeps one in its queue for ten hours; SENT
// is the last word where handsets confirm nothing.
var patience = map[Status]time.Duration{Unknown: 24 * time.Hour, Queued: 24 * time.Hour, Sent: time.Hour}

// nextLook is when to ask about a message that Twilio has, should no callback
// come; nil when nothing more is expected.
func (m *Message) nextLook(now time.Time) *time.Time {
	age := now.Sub(m.handed())
	if m.Status.Final() || age >= patience[m.Status] {
		return nil
	}
	return at(now, min(max(3*age, time.Minute), 6*time.Hour))
}

// handed is when the message was handed to Twilio.
func (m *Message) handed() time.Time {
	if m.TriedAt != nil {
		return *m.TriedAt
	}
	return m.At
}

func at(now time.Time, d time.Duration) *time.Time {
	t := now.Add(d).UTC().Truncate(time.Microsecond)
	return &t
}

// fail ends a message for a reason of our own.
func (m *Message) fail(reason string) {
	m.Status, m.DueAt, m.ErrorReason = Failed, nil, &reason
}

// changes compares a message with what it was: whether there is anything to
// keep, and whether anybody can see it.
func (m *Message) changes(was *Message) (any, visible bool) {
	visible = m.Status != was.Status || !eq(m.TwilioSID, was.TwilioSID) || !eq(m.ErrorCode, was.ErrorCode) || !eq(m.ErrorReason, was.ErrorReason) ||
		!eq(m.NumSegments, was.NumSegments) || !same(m.SentAt, was.SentAt) || !same(m.DeliveredAt, was.DeliveredAt) ||
		!eq(m.PriceMicros, was.PriceMicros)
	return visible || m.Attempts != was.Attempts || !same(m.TriedAt, was.TriedAt) || !same(m.DueAt, was.DueAt), visible
}

func eq[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func same(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }

// Text says where a message stands, in plain words, with what to do (R160).
func (m *Message) Text() string {
	reason := "nobody said why"
	if m.ErrorReason != nil {
		reason = *m.ErrorReason
	}
	switch m.Status {
	case Scheduled:
		return "It waits for its time; until then it can be taken back."
	case Pending:
		if m.Attempts > 0 && m.TriedAt == nil {
			return "Twilio takes no messages at the moment; it is tried again by itself."
		}
		return "It is about to be sent."
	case Queued:
		return "Twilio has it and hands it to the carrier."
	case Sent:
		return "The carrier has it; some carriers and countries never confirm more."
	case Delivered:
		return "It arrived on the phone."
	case Undelivered:
		return "The carrier did not deliver it: " + reason + "."
	case Failed:
		return "It was not sent: " + reason + "."
	case Unknown:
		return "Twilio may or may not have it; it is being looked up. Do not send it again yet."
	case Canceled:
		return "It was taken back before it was sent."
	}
	return "It came in."
}

// onceMore are the refusals that a repetition can mend besides those that Twilio
// says to try again: the phone was away, the reason is unknown, the limit is the
// day's, the number was being set up.
var onceMore = []int{30003, 30008, 30023, 30035}

// mayHaveArrived are refusals after which the message may be on the phone all the same.
var mayHaveArrived = []int{30410}

// Retryable reports whether sending it again is right: it surely did not arrive,
// and would not be refused for the same reason.
func (m *Message) Retryable() bool {
	if m.Direction != Outbound || !m.Status.refused() {
		return false
	}
	if m.ErrorCode == nil {
		return m.ErrorReason == nil || !strings.HasPrefix(*m.ErrorReason, askedForNone)
	}
	_, _, again := twilio.Reason(*m.ErrorCode)
	return (again || slices.Contains(onceMore, *m.ErrorCode)) && !slices.Contains(mayHaveArrived, *m.ErrorCode)
}

// Keyword is what a message of one word asks for (R154).
type Keyword string

// The keywords.
const (
	NoKeyword Keyword = ""
	Stop      Keyword = "STOP"
	Start     Keyword = "START"
	Help      Keyword = "HELP"
)

// keywords are those that Twilio answers by itself (twilio: support 223134027).
// The message must be the word alone, in any case.
var keywords = map[string]Keyword{
	"STOP": Stop, "STOPALL": Stop, "UNSUBSCRIBE": Stop, "CANCEL": Stop, "END": Stop, "QUIT": Stop, "REVOKE": Stop, "OPTOUT": Stop,
	"START": Start, "YES": Start, "UNSTOP": Start,
	"HELP": Help, "INFO": Help,
}

// KeywordOf is what a text asks for. What Twilio says of it (Advanced Opt-Out)
// counts more than the text.
func KeywordOf(body, twilioSays string) Keyword {
	switch k := Keyword(strings.ToUpper(strings.TrimSpace(twilioSays))); k {
	case Stop, Start, Help:
		return k
	}
	return keywords[strings.ToUpper(strings.TrimSpace(body))]
}
