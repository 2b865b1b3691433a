package message

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/twilio"
)

// Channel is what consent is for.
type Channel string

// The channels.
const (
	SMSChannel   Channel = "SMS"
	MMSChannel   Channel = "MMS"
	VoiceChannel Channel = "VOICE"
)

// ConsentKind is what somebody said about messages or calls.
type ConsentKind string

// What may be said.
const (
	OptIn     ConsentKind = "OPT_IN"
	OptOut    ConsentKind = "OPT_OUT"
	AskedHelp ConsentKind = "HELP"
)

// ConsentSource is where a word about consent came from.
type ConsentSource string

// The sources.
const (
	ByKeyword  ConsentSource = "KEYWORD"  // R154
	ByProvider ConsentSource = "PROVIDER" // Twilio refused a message for it (T13)
	ByStaff    ConsentSource = "STAFF"
	ByImport   ConsentSource = "IMPORT"
)

// Consent is one word about consent. It is never changed.
type Consent struct {
	bun.BaseModel `bun:"table:consent,alias:cs"`

	OrganizationID id.ID         `bun:"organization_id,pk,type:uuid"`
	ID             id.ID         `bun:"id,pk,type:uuid"`
	E164           phone.E164    `bun:"e164"`
	ContactID      id.ID         `bun:"contact_id,type:uuid"`
	Channel        Channel       `bun:"channel"`
	PhoneNumberID  id.ID         `bun:"phone_number_id,type:uuid"` // zero: all of ours
	Kind           ConsentKind   `bun:"what"`
	Source         ConsentSource `bun:"source"`
	MessageID      id.ID         `bun:"message_id,type:uuid"`
	UserID         id.ID         `bun:"user_id,type:uuid"`
	Note           *string       `bun:"note"`
	At             time.Time     `bun:"at"`
	CreatedAt      time.Time     `bun:"created_at"`
}

// pair is one of our numbers and a number of theirs, as Twilio writes it.
type pair struct {
	number id.ID
	e164   string
}

// byNetwork is SQL for the numbers whose opt-outs the network keeps by itself,
// each alone: the toll-free ones of +1 (nanpTollFree), also inside a Messaging Service.
const byNetwork = `~ '^\+1(800|833|844|855|866|877|888)[0-9]{7}$'`

// optedOutSQL is SQL that gives those of the pairs p (number, e164) that must not be
// written to (R155). A word to one number of a Messaging Service is about every
// number of it, except that what the network keeps for a toll-free number only a
// word to that number takes back, and a word to it takes nothing else back. The
// newest word counts; of two at once, STOP. What staff wrote down is about all
// numbers, until staff take it back or the person says START to one.
const optedOutSQL = `
SELECT p.*, coalesce(w.newest OR w.own, false) AS by_word FROM p
JOIN phone_number n ON n.organization_id = $1 AND n.id = p.number
LEFT JOIN do_not_message d ON d.organization_id = $1 AND d.e164 = p.e164
LEFT JOIN LATERAL (
  SELECT (array_agg(o.is_opted_out ORDER BY o.changed_at DESC, o.is_opted_out DESC))[1] AS newest,
    (array_agg(o.is_opted_out ORDER BY o.changed_at DESC, o.is_opted_out DESC) FILTER (WHERE x.own))[1] AS own,
    max(o.changed_at) FILTER (WHERE x.own) AS own_at
  FROM opt_out o
  JOIN phone_number b ON b.organization_id = $1 AND b.id = o.phone_number_id
  CROSS JOIN LATERAL (SELECT b.id = n.id OR NOT b.e164 ` + byNetwork + ` AND NOT n.e164 ` + byNetwork + ` AS own) x
  WHERE o.organization_id = $1 AND o.e164 = p.e164 AND (b.id = n.id OR b.connection_id = n.connection_id AND b.messaging_service_sid = n.messaging_service_sid)
) w ON true
WHERE w.newest OR w.own OR (d.is_opted_out AND NOT (w.own IS FALSE AND w.own_at > d.changed_at))`

// holds says which of the pairs asked for no messages, true for those who said so
// themselves and false for those of whom staff wrote it down. The others are absent.
func holds(ctx context.Context, q bun.IDB, org id.ID, pairs []pair) (map[pair]bool, error) {
	out := map[pair]bool{}
	if len(pairs) == 0 {
		return out, nil
	}
	numbers, theirs := make([]id.ID, len(pairs)), make([]string, len(pairs))
	for i, p := range pairs {
		numbers[i], theirs[i] = p.number, p.e164
	}
	var rows []struct {
		Number id.ID  `bun:"number"`
		E164   string `bun:"e164"`
		ByWord bool   `bun:"by_word"`
	}
	err := db.Select(ctx, q, &rows, `WITH p AS (SELECT DISTINCT u.number, u.e164 FROM unnest($2::uuid[], $3::text[]) AS u(number, e164))`+optedOutSQL,
		org, numbers, theirs)
	for _, r := range rows {
		out[pair{r.Number, r.E164}] = r.ByWord
	}
	return out, err
}

// optedOutMany says which of the pairs asked for no messages (R155), in one
// statement for any number of them. Those who did not are absent.
func optedOutMany(ctx context.Context, q bun.IDB, org id.ID, pairs []pair) (map[pair]bool, error) {
	out, err := holds(ctx, q, org, pairs)
	for p := range out {
		out[p] = true
	}
	return out, err
}

// isOptedOut is the same for one pair, inside a transaction that is about to send.
func isOptedOut(ctx context.Context, tx *db.Tx, number id.ID, their string) (bool, error) {
	p := pair{number, their}
	out, err := optedOutMany(ctx, tx, db.TenantFrom(ctx), []pair{p})
	return out[p], err
}

// OptedOut says for each thread that the actor of the context may see whether
// its other end asked for no messages (R155).
func (s *Service) OptedOut(ctx context.Context, threads []id.ID) (_ map[id.ID]bool, err error) {
	defer errs.Wrap(&err, "message.OptedOut")
	out := make(map[id.ID]bool, len(threads))
	who := access.From(ctx)
	if !who.Can(access.SMSView) {
		return out, nil
	}
	var rows []struct {
		ID     id.ID  `bun:"id"`
		Number id.ID  `bun:"number"`
		E164   string `bun:"e164"`
		ByWord bool   `bun:"by_word"`
	}
	q := selectFor(who, `WITH p AS (SELECT t.id, t.phone_number_id AS number, t.their_number AS e164 FROM sms_thread t WHERE t.organization_id = $1`)
	q.and("t.id = ANY (" + q.arg(threads) + "::uuid[])")
	q.seenBy(who)
	q.sql.WriteString(")" + optedOutSQL)
	err = q.into(ctx, s.db.App(), who, &rows)
	for _, r := range rows {
		out[r.ID] = true
	}
	return out, err
}

// setOptOut keeps the newest word of one person about one of our numbers, and
// reports whether it is the newest. The pair's thread is locked.
func setOptOut(ctx context.Context, tx *db.Tx, number id.ID, their string, out bool, source ConsentSource, at time.Time) (bool, error) {
	if !strings.HasPrefix(their, "+") {
		return false, nil // a short code or a name cannot opt out
	}
	n, err := db.Exec(ctx, tx, `
INSERT INTO opt_out (organization_id, phone_number_id, e164, is_opted_out, source, changed_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization_id, phone_number_id, e164) DO UPDATE
SET is_opted_out = excluded.is_opted_out, source = excluded.source, changed_at = excluded.changed_at
WHERE opt_out.changed_at <= excluded.changed_at`, db.TenantFrom(ctx), number, their, out, source, at)
	return n > 0, err
}

// wordFor is what a text to one of our numbers asks for. What Twilio says of it
// counts more than the text. For the toll-free numbers of +1 the network knows
// STOP, START and UNSTOP only, and answers them by itself; HELP is for people.
func wordFor(to, body, twilioSays string) Keyword {
	if nanpTollFree(to) && KeywordOf("", twilioSays) == NoKeyword {
		switch strings.ToUpper(strings.TrimSpace(body)) {
		case "STOP":
			return Stop
		case "START", "UNSTOP":
			return Start
		case "HELP":
			return Help
		}
		return NoKeyword
	}
	return KeywordOf(body, twilioSays)
}

// heed keeps what the words of an inbound message say of consent (R154, R155). The
// words are Twilio's to answer: we only remember. A post that is tried again counts
// from when it first came, so that it does not undo a newer word.
func (s *Service) heed(ctx context.Context, tx *db.Tx, number Number, m *Message, f twilio.MessageForm) error {
	word := wordFor(f.To, f.Body, f.OptOutType)
	e164, ok := phone.FromWire(f.From)
	if word == NoKeyword || !ok { // a short code or a name cannot opt out
		return nil
	}
	said := tx.Now
	if !f.ReceivedAt.IsZero() && f.ReceivedAt.Before(said) {
		said = f.ReceivedAt
	}
	if word == Start && f.OptOutType == "" && strings.EqualFold(strings.TrimSpace(f.Body), "YES") {
		// A plain answer, unless they had asked for no messages.
		p := pair{number.ID, f.From}
		if held, err := holds(ctx, tx, db.TenantFrom(ctx), []pair{p}); err != nil || !held[p] {
			return err
		}
	}
	kind := AskedHelp
	if word != Help {
		kind = OptIn
		if word == Stop {
			kind = OptOut
		}
		if _, err := setOptOut(ctx, tx, number.ID, f.From, word == Stop, ByKeyword, said); err != nil {
			return err
		}
	}
	return s.note(ctx, tx, &Consent{E164: e164, ContactID: m.ContactID, Channel: SMSChannel, PhoneNumberID: number.ID, Kind: kind,
		Source: ByKeyword, MessageID: m.ID, At: said})
}

// heedRefusal keeps that Twilio refused a message because its recipient wants none
// (T13). Twilio knew that when it was asked: a START since then counts more.
func (s *Service) heedRefusal(ctx context.Context, tx *db.Tx, t *Thread, m *Message) error {
	p := pair{t.PhoneNumberID, t.TheirNumber}
	held, err := holds(ctx, tx, m.OrganizationID, []pair{p})
	if err != nil {
		return err
	}
	newest, err := setOptOut(ctx, tx, p.number, p.e164, true, ByProvider, m.handed())
	e164, ok := phone.FromWire(p.e164)
	if err != nil || !newest || held[p] || !ok {
		return err
	}
	return s.note(ctx, tx, &Consent{E164: e164, ContactID: m.ContactID, Channel: SMSChannel, PhoneNumberID: p.number, Kind: OptOut,
		Source: ByProvider, MessageID: m.ID, At: m.handed()})
}

// note adds a word to the history and tells it.
func (s *Service) note(ctx context.Context, tx *db.Tx, c *Consent) error {
	c.OrganizationID, c.ID, c.CreatedAt = db.TenantFrom(ctx), id.New(id.Consent), tx.Now
	if _, err := db.Exec(ctx, tx, `
INSERT INTO consent (organization_id, id, e164, contact_id, channel, phone_number_id, what, source, message_id, user_id, note, at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, c.OrganizationID, c.ID, string(c.E164), c.ContactID, c.Channel, c.PhoneNumberID,
		c.Kind, c.Source, c.MessageID, c.UserID, c.Note, c.At, c.CreatedAt); err != nil {
		return err
	}
	return event.Append(ctx, tx, event.Event{Kind: ConsentEvent, Subject: c.ID, ActorID: c.UserID, At: tx.Now})
}

// ConsentRecord is what somebody said to staff.
type ConsentRecord struct {
	Number    string // as typed; or
	ContactID id.ID  // all their phones
	Channel   Channel
	Kind      ConsentKind
	Note      string
}

// maxNote is the longest note, in characters.
const maxNote = 500

func (in *ConsentRecord) check() error {
	in.Note = strings.TrimSpace(in.Note)
	switch {
	case in.Number == "" && in.ContactID.IsZero():
		return errs.New(errs.Required, "say whose consent it is: a number or a contact").At("input", "number")
	case in.Number != "" && !in.ContactID.IsZero():
		return errs.New(errs.Invalid, "say whose consent it is by a number or by a contact, not both").At("input", "contactId")
	case in.Channel != SMSChannel && in.Channel != MMSChannel && in.Channel != VoiceChannel:
		return errs.New(errs.Invalid, "choose what it is for: SMS, MMS or VOICE").At("input", "channel")
	case in.Kind != OptIn && in.Kind != OptOut:
		return errs.New(errs.Invalid, "say OPT_IN or OPT_OUT; who asks for help says so by text").At("input", "kind")
	case utf8.RuneCountInString(in.Note) > maxNote || !utf8.ValidString(in.Note) || strings.ContainsRune(in.Note, 0):
		return errs.New(errs.Invalid, "the note has more than %d characters, or some that cannot be kept; shorten it", maxNote).At("input", "note")
	}
	return nil
}

// RecordConsent keeps what somebody said to staff, and gives one word for each of
// their numbers. An opt-out of texts or pictures is one of both and holds for all
// numbers of the organization; what somebody sent by STOP only they take back. It
// needs CONTACT_EDIT. Codes: errs.Forbidden, errs.NotFound, errs.Invalid,
// errs.Required, errs.Conflict.
func (s *Service) RecordConsent(ctx context.Context, who access.Actor, in ConsentRecord) (list []*Consent, err error) {
	defer errs.Wrap(&err, "message.RecordConsent")
	if err := who.Require(access.ContactEdit); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	err = s.db.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		numbers, err := s.whose(ctx, tx, who, in)
		if err != nil {
			return err
		}
		if in.Channel != VoiceChannel {
			if err := doNotMessage(ctx, tx, who, in, numbers); err != nil {
				return err
			}
		}
		list = make([]*Consent, 0, len(numbers))
		for _, n := range numbers {
			c := &Consent{E164: n.E164, ContactID: n.ContactID, Channel: in.Channel, Kind: in.Kind, Source: ByStaff, UserID: who.UserID, At: tx.Now}
			if in.Note != "" {
				c.Note = &in.Note
			}
			if err := s.note(ctx, tx, c); err != nil {
				return err
			}
			if err := audit.Write(ctx, tx, audit.Entry{ActorID: actorOf(who), Action: "consent.record", Subject: c.ID,
				Detail: map[string]any{"channel": c.Channel, "kind": c.Kind, "contactId": c.ContactID}}); err != nil {
				return err
			}
			list = append(list, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// theirs is a number and whose it is.
type theirs struct {
	E164      phone.E164 `bun:"e164"`
	ContactID id.ID      `bun:"contact_id"`
}

// whose are the numbers that a word is about: the one that was typed, or all of a
// contact. Who sees only what is theirs names a number of a contact of theirs (R241).
func (s *Service) whose(ctx context.Context, tx *db.Tx, who access.Actor, in ConsentRecord) (rows []theirs, err error) {
	if !in.ContactID.IsZero() {
		switch sees, err := contact.Sees(ctx, tx, who, in.ContactID); {
		case err != nil:
			return nil, err
		case !sees:
			return nil, errs.New(errs.NotFound, "there is no such contact").At("input", "contactId")
		}
		err = db.Select(ctx, tx, &rows, `SELECT p.e164, p.contact_id FROM contact_phone p WHERE p.organization_id = $1 AND p.contact_id = $2 ORDER BY p.e164`,
			who.OrganizationID, in.ContactID)
		if err == nil && len(rows) == 0 {
			err = errs.New(errs.Conflict, "this contact has no phone; add one first, or give the number").At("input", "contactId")
		}
		return rows, err
	}
	country, err := s.country(ctx, tx)
	if err != nil {
		return nil, err
	}
	e164, err := phone.Parse(in.Number, country)
	if err != nil {
		return nil, errs.New(errs.Invalid, "%s", err).At("input", "number")
	}
	if own := contact.Own(who) + contact.Unmasked(who); own != "" {
		err := db.Select(ctx, tx, &rows, `
SELECT p.e164, p.contact_id FROM contact_phone p JOIN contact c ON c.organization_id = p.organization_id AND c.id = p.contact_id
WHERE p.organization_id = $1 AND p.e164 = $3`+own+` ORDER BY p.contact_id LIMIT 1`, who.OrganizationID, who.UserID, string(e164))
		if err == nil && len(rows) == 0 {
			err = errs.New(errs.NotFound, "none of your contacts has this number").At("input", "number")
		}
		return rows, err
	}
	known, err := s.contactOf(ctx, tx, string(e164))
	return []theirs{{E164: e164, ContactID: known}}, err
}

// doNotMessage keeps the word of staff about texts for all our numbers.
func doNotMessage(ctx context.Context, tx *db.Tx, who access.Actor, in ConsentRecord, numbers []theirs) error {
	e164s := make([]string, len(numbers))
	for i, n := range numbers {
		e164s[i] = string(n.E164)
	}
	if in.Kind == OptIn {
		if err := mayOptIn(ctx, tx, who, in.Channel, e164s); err != nil {
			return err
		}
	}
	_, err := db.Exec(ctx, tx, `
INSERT INTO do_not_message (organization_id, e164, is_opted_out, changed_at) SELECT $1, u, $3, $4 FROM unnest($2::text[]) AS u ORDER BY u
ON CONFLICT (organization_id, e164) DO UPDATE SET is_opted_out = excluded.is_opted_out, changed_at = excluded.changed_at
WHERE do_not_message.changed_at <= excluded.changed_at`, who.OrganizationID, e164s, in.Kind == OptOut, tx.Now)
	return err
}

// mayOptIn refuses to take back for somebody what only they may take back.
func mayOptIn(ctx context.Context, tx *db.Tx, who access.Actor, channel Channel, e164s []string) error {
	if channel == MMSChannel {
		var row struct {
			Out bool `bun:"is_out"`
		}
		if err := db.Select(ctx, tx, &row, `
SELECT EXISTS (SELECT FROM do_not_message WHERE organization_id = $1 AND e164 = ANY ($2::text[]) AND is_opted_out) AS is_out`, who.OrganizationID, e164s); err != nil {
			return err
		} else if row.Out {
			return errs.New(errs.Conflict, "they want no texts, and pictures come as texts do: record an opt-in for SMS, if that is what they said").At("input", "channel")
		}
	}
	var rows []struct {
		NumberID id.ID  `bun:"phone_number_id"`
		Number   string `bun:"number"`
		E164     string `bun:"e164"`
	}
	if err := db.Select(ctx, tx, &rows, `
SELECT o.phone_number_id, n.e164 AS number, o.e164 FROM opt_out o JOIN phone_number n ON n.organization_id = o.organization_id AND n.id = o.phone_number_id
WHERE o.organization_id = $1 AND o.e164 = ANY ($2::text[]) AND o.is_opted_out AND n.disconnected_at IS NULL ORDER BY n.e164`, who.OrganizationID, e164s); err != nil {
		return err
	}
	pairs := make([]pair, len(rows))
	for i, r := range rows {
		pairs[i] = pair{r.NumberID, r.E164}
	}
	held, err := holds(ctx, tx, who.OrganizationID, pairs)
	if err != nil {
		return err
	}
	for i, r := range rows {
		if held[pairs[i]] {
			return errs.New(errs.Conflict, "they asked for no messages from %s by STOP, which only they can take back: they must text START to it", r.Number).At("input", "kind")
		}
	}
	return nil
}

// ConsentFilter says which words. The zero ConsentFilter is all of them.
type ConsentFilter struct {
	ContactID id.ID
	Number    string // as typed
	Channel   Channel
}

// consentsFor begins a query for the words cs that the actor sees: those of contacts that
// they see, and for whoever sees all contacts also those of nobody. With a number in
// the query also those of whom they reach through a masked number are left out.
func consentsFor(who access.Actor, byNumber bool) *query {
	q := selectFor(who, `SELECT cs.* FROM consent cs WHERE cs.organization_id = $1`)
	own := contact.Own(who)
	if byNumber {
		own += contact.Unmasked(who)
	}
	if own == "" {
		return q
	}
	q.arg(who.UserID) // $2
	q.and(`EXISTS (SELECT FROM contact c WHERE c.organization_id = $1 AND c.id = cs.contact_id` + own + `)`)
	return q
}

// Consents lists words about consent, newest first. It needs CONTACT_VIEW.
func (s *Service) Consents(ctx context.Context, who access.Actor, f ConsentFilter, page db.Page) (w db.Window[*Consent], err error) {
	defer errs.Wrap(&err, "message.Consents")
	if err := who.Require(access.ContactView); err != nil {
		return w, err
	}
	limit, after, err := page.Keyset()
	if err != nil {
		return w, err
	}
	q := consentsFor(who, f.Number != "")
	q.equal("cs.contact_id", f.ContactID)
	if f.Number != "" {
		country, err := s.country(access.With(ctx, who), s.db.App())
		if err != nil {
			return w, err
		}
		e164, err := phone.Parse(f.Number, country)
		if err != nil {
			return w, errs.New(errs.Invalid, "%s", err).At("filter", "number")
		}
		q.and("cs.e164 = " + q.arg(string(e164)))
	}
	if f.Channel != "" {
		q.and("cs.channel = " + q.arg(string(f.Channel)))
	}
	q.and("(cs.at, cs.id) < (" + q.arg(after.At) + ", " + q.arg(after.ID) + ")")
	q.sql.WriteString("\nORDER BY cs.at DESC, cs.id DESC\nLIMIT " + q.arg(limit+1))
	rows := []*Consent{}
	if err := q.into(ctx, s.db.App(), who, &rows); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(c *Consent) db.Keyset { return db.Keyset{At: c.At, ID: c.ID} }), nil
}

// ConsentsByIDs are those of the words that the actor of the context sees.
func (s *Service) ConsentsByIDs(ctx context.Context, ids []id.ID) (rows []*Consent, err error) {
	defer errs.Wrap(&err, "message.ConsentsByIDs")
	who := access.From(ctx)
	if !who.Can(access.ContactView) {
		return nil, nil
	}
	q := consentsFor(who, false)
	q.and("cs.id = ANY (" + q.arg(ids) + "::uuid[])")
	return rows, q.into(ctx, s.db.App(), who, &rows)
}
