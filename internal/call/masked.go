package call

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// readMask is the pair that a number and a caller belong to, also when it ended a
// short while ago; nil when there is none or masking is switched off (R103, R277).
func readMask(ctx context.Context, tx *db.Tx, org, number id.ID, from phone.E164) (*route.Mask, error) {
	m := &route.Mask{}
	var (
		contact    id.ID
		live       bool
		restricted bool
		exempt     bool
		starts     *time.Time
	)
	err := tx.Pgx().QueryRow(ctx, `SELECT p.id, p.record_id, p.contact_id, p.user_id, p.customer_number, p.customer_number = $3,
			p.ended_at IS NULL AND p.expires_at > $4 AS live, u.is_fieldworker AND 'RESTRICT_BEFORE_START' = ANY (u.fieldworker_switched),
			coalesce(r.kind = 'COMPLAINT' OR upper(replace(r.status, ' ', '_')) = $6, false), r.starts_at
		FROM masked_pair p
		JOIN organization o ON o.organization_id = p.organization_id
		LEFT JOIN record r ON r.organization_id = p.organization_id AND r.id = p.record_id
		JOIN "user" u ON u.organization_id = p.organization_id AND u.id = p.user_id
		WHERE p.organization_id = $1 AND p.phone_number_id = $2 AND $3 IN (p.customer_number, p.fieldworker_number)
			AND coalesce(p.ended_at, p.expires_at) > $5 AND 'MASKING' <> ALL (o.disabled_features)
		ORDER BY live DESC, coalesce(p.ended_at, p.expires_at) DESC, p.id LIMIT 1`, org, number, string(from), tx.Now, tx.Now.Add(-maskRemembered), onTheWay).
		Scan(&m.ID, &m.RecordID, &contact, &m.Fieldworker, &m.CustomerNumber, &m.FromCustomer, &live, &restricted, &exempt, &starts)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, db.Translate(err)
	}
	m.Expired = !live
	if m.Expired || !restricted || starts == nil || !starts.After(tx.Now) || exempt {
		return m, nil
	}
	first, err := cameFirst(ctx, tx, org, contact, m)
	m.BeforeStart = !first
	return m, err
}

// cameFirst reports whether the customer contacted us within the last day before
// we contacted them (D13). A customer's calls to the masked number itself do not
// open it to them: those are what D14 sends to the branch.
func cameFirst(ctx context.Context, tx *db.Tx, org, contact id.ID, m *route.Mask) (first bool, err error) {
	err = tx.Pgx().QueryRow(ctx, `SELECT `+firstContact("$2", "$3", "AND (c.masked_pair_id IS DISTINCT FROM $4 OR NOT $5::boolean)"),
		org, contact, tx.Now.Add(-contactedFirst), m.ID, m.FromCustomer).Scan(&first)
	return first, db.Translate(err)
}

// firstContact is SQL, of the organization $1: whether the first call or message with
// a contact since a moment came from them; of two at one moment, theirs is the first.
// What a call or a text is linked to is about the log, so those with a number of theirs
// count whoever they are linked to (R182). A fieldworker's call to a masked number comes
// in, and is none of the customer's. What was never sent, or was sent by an automation,
// is no contact of ours.
func firstContact(contact, since, calls string) string {
	ofCalls := ` LEFT JOIN masked_pair k ON k.organization_id = c.organization_id AND k.id = c.masked_pair_id
				WHERE c.organization_id = $1 AND c.started_at > ` + since + ` AND k.fieldworker_number IS DISTINCT FROM c.from_number ` + calls
	ofMessages := ` WHERE m.organization_id = $1 AND m.at > ` + since + ` AND (m.direction = 'INBOUND' OR m.sent_at IS NOT NULL AND m.automation_id IS NULL)`
	return `coalesce((SELECT x.direction = 'INBOUND' FROM (
			(SELECT c.direction, c.started_at AS at FROM call c` + ofCalls + ` AND c.contact_id = ` + contact + ` ORDER BY c.started_at, c.direction LIMIT 1)
			UNION ALL
			(SELECT c.direction, c.started_at FROM contact_phone p
				JOIN call c ON c.organization_id = p.organization_id AND CASE WHEN c.direction = 'INBOUND' THEN c.from_number ELSE c.to_number END = p.e164` +
		ofCalls + ` AND NOT c.is_test AND p.contact_id = ` + contact + ` ORDER BY c.started_at, c.direction LIMIT 1)
			UNION ALL
			(SELECT m.direction, m.at FROM message m` + ofMessages + ` AND m.contact_id = ` + contact + ` ORDER BY m.at, m.direction LIMIT 1)
			UNION ALL
			(SELECT m.direction, m.at FROM contact_phone p
				JOIN contact_phone o ON o.organization_id = p.organization_id AND o.e164 = p.e164
				JOIN sms_thread t ON t.organization_id = o.organization_id AND t.contact_id = o.contact_id AND t.their_number = o.e164
				JOIN message m ON m.organization_id = t.organization_id AND m.thread_id = t.id` +
		ofMessages + ` AND p.contact_id = ` + contact + ` ORDER BY m.at, m.direction LIMIT 1)
		) x ORDER BY x.at, x.direction LIMIT 1), false)`
}

// maskFor is the live pair of a booking that a user calls about, for calls that we
// start: without a record that of the contact; nil when there is none or masking
// is switched off. Only the fieldworker of a pair calls by it.
func maskFor(ctx context.Context, tx *db.Tx, org, record, contact, user id.ID) (*MaskedPair, error) {
	if record.IsZero() && contact.IsZero() || user.IsZero() {
		return nil, nil
	}
	p := &MaskedPair{}
	err := db.Select(ctx, tx, p, `SELECT `+maskColumns+` FROM masked_pair p JOIN organization o ON o.organization_id = p.organization_id
		WHERE p.organization_id = $1 AND ($2::uuid IS NULL OR p.record_id = $2) AND ($3::uuid IS NULL OR p.contact_id = $3) AND p.user_id = $4
			AND p.ended_at IS NULL AND p.expires_at > $5 AND 'MASKING' <> ALL (o.disabled_features)
		ORDER BY p.created_at DESC, p.id LIMIT 1`, org, record, contact, user, tx.Now)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// ofMask notes on a call that came in which booking it is about: its record, its
// contact, and who called when that was the fieldworker (R104).
func (s *Start) ofMask(ctx context.Context, tx *db.Tx, m *route.Mask) error {
	if m == nil || m.Expired || s.Decision == nil || s.Decision.MaskID.IsZero() {
		return nil
	}
	s.MaskedPair, s.Record = m.ID, m.RecordID
	if !m.FromCustomer {
		s.User = m.Fieldworker
	}
	err := tx.Pgx().QueryRow(ctx, `SELECT contact_id FROM masked_pair WHERE organization_id = $1 AND id = $2`, s.Organization, m.ID).Scan(&s.Contact)
	return db.Translate(err)
}

// maskOf is what readers of calls and legs learn of the pair of a call, and
// joinMask where that comes from.
const (
	maskOf   = `mask.user_id AS mask_user_id, coalesce(mask.fieldworker_number, '') AS mask_user_number`
	joinMask = ` LEFT JOIN masked_pair mask ON mask.organization_id = call.organization_id AND mask.id = call.masked_pair_id`
)

// Hides reports whether the reader may not see the number of one end of a call that
// is no number of ours. Of a masked call the customer's is hidden from the
// fieldworker of the pair and from those who may not see contacts, the fieldworker's
// from all but themselves and administrators (R103). Who sees no contact details
// sees none of any call (R241).
func Hides(who access.Actor, fieldworker id.ID, theirs, address string) bool {
	switch {
	case who.System:
		return false
	case who.HidesContactDetails() && (fieldworker.IsZero() || address != theirs):
		return true
	case fieldworker.IsZero():
		return false
	case address == theirs:
		return private(who, route.UserPhone, fieldworker)
	}
	return who.UserID == fieldworker || !who.Can(access.ContactView)
}

// hide hides from the reader the end of a call that is no number of ours.
func (c *Call) hide(who access.Actor) {
	if c.Transfer != nil {
		c.Transfer.Masked = Hides(who, c.MaskUserID, c.MaskUserNumber, c.Transfer.ToNumber)
	}
	if c.Direction == Inbound {
		c.FromMasked = Hides(who, c.MaskUserID, c.MaskUserNumber, c.FromNumber)
	} else {
		c.ToMasked = Hides(who, c.MaskUserID, c.MaskUserNumber, c.ToNumber)
	}
}

// hide is the same for a leg; the phones of colleagues are private anyway.
func (l *Leg) hide(who access.Actor) {
	l.Masked = private(who, l.Kind, l.UserID)
	switch l.Kind {
	case route.Caller, route.Callee, route.Customer, route.Guest:
		l.Masked = l.Masked || Hides(who, l.MaskUserID, l.MaskUserNumber, l.ToAddress)
	}
}

// PartyOf is one end of a call, as its reader may see it.
func PartyOf(address string, hidden bool) Party {
	if e, ok := phone.FromWire(address); ok && hidden {
		return Party{Display: phone.Mask(e)}
	}
	if hidden && !phone.Anonymous(address) {
		return Party{Display: phone.Mask("?")} // a SIP address, or what a network sent for a number
	}
	return route.PartyOf(address)
}
