package message

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
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
SELECT p.number, p.e164 FROM p
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

// optedOutMany says which of the pairs asked for no messages (R155), in one
// statement for any number of them. Those who did not are absent.
func optedOutMany(ctx context.Context, q bun.IDB, org id.ID, pairs []pair) (map[pair]bool, error) {
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
	}
	err := db.Select(ctx, q, &rows, `WITH p AS (SELECT DISTINCT u.number, u.e164 FROM unnest($2::uuid[], $3::text[]) AS u(number, e164))`+optedOutSQL,
		org, numbers, theirs)
	for _, r := range rows {
		out[pair{r.Number, r.E164}] = true
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
		Number id.ID  `bun:"phone_number_id"`
		Their  string `bun:"their_number"`
	}
	q := selectFor(who, `SELECT t.id, t.phone_number_id, t.their_number FROM sms_thread t WHERE t.organization_id = $1`)
	q.and("t.id = ANY (" + q.arg(threads) + "::uuid[])")
	q.seenBy(who)
	if err := q.into(ctx, s.db.App(), who, &rows); err != nil {
		return out, err
	}
	pairs := make([]pair, len(rows))
	for i, r := range rows {
		pairs[i] = pair{r.Number, r.Their}
	}
	held, err := optedOutMany(access.With(ctx, who), s.db.App(), who.OrganizationID, pairs)
	for i, r := range rows {
		if held[pairs[i]] {
			out[r.ID] = true
		}
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
