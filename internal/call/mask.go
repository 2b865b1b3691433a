package call

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/tenant"
)

const (
	// maskLasts is how long a pair works unless told: after the booking begins, else from now.
	maskLasts = 24 * time.Hour
	// maskLongest is how long a pair can work.
	maskLongest = 90 * 24 * time.Hour
	// maskRemembered is how long after its end a call to a pair's number is known to have meant it.
	maskRemembered = 7 * 24 * time.Hour
	// contactedFirst is how recently a customer must have come to us for the fieldworker to be reached early (D13).
	contactedFirst = 24 * time.Hour
)

// Works reports whether the pair connects its people at a moment.
func (p *MaskedPair) Works(now time.Time) bool {
	return p.EndedAt == nil && p.ExpiresAt.After(now) && !p.MaskingOff
}

// Advice is what an administrator should know (R106, R107).
func (p *MaskedPair) Advice() []string {
	switch {
	case p.EndedAt != nil:
		return []string{}
	case p.MaskingOff:
		return []string{"masking is switched off: the number does not connect customer and fieldworker, who may see each other's numbers, and calls between them may be neither recorded nor logged"}
	case p.DirectAllowed:
		return []string{"customers may call the assigned fieldworker directly: such calls show personal numbers and may be neither recorded nor logged"}
	}
	return []string{}
}

// MaskCreate is a booking to mask.
type MaskCreate struct {
	RecordID  id.ID
	ContactID id.ID      // zero: the booking's
	UserID    id.ID      // zero: the booking's
	ExpiresAt *time.Time // nil: a day after the booking begins, else a day from now
}

// requireFeature refuses what the organization has switched off (R285).
func requireFeature(ctx context.Context, q bun.IDB, f tenant.FeatureName) error {
	o, err := tenant.Read(ctx, q)
	if err != nil || o.HasFeature(f) {
		return err
	}
	return errs.New(errs.Forbidden, "the feature %s is switched off; an administrator can switch it on in the organization's settings", f)
}

// CreateMask lets customer and fieldworker of a booking reach each other through
// a number of ours (R103). Asked again for the same booking it gives the same pair,
// with another expiry where one is given; when a phone of theirs has changed since,
// a new one. With a key it acts once. Codes: errs.Forbidden, also when masking is
// switched off; errs.NotFound, errs.Required, errs.Invalid by field; errs.Conflict
// when somebody has no primary phone; errs.LimitReached when no number is free.
func (s *Service) CreateMask(ctx context.Context, who access.Actor, in MaskCreate, key string) (_ *MaskedPair, err error) {
	defer errs.Wrap(&err, "call.CreateMask")
	if err := who.Require(access.ContactEdit); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	var pair id.ID
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		pair, err = job.Once(ctx, tx, job.Key{User: who.ID(), Mutation: "maskedPairCreate", Key: key}, in, func() (id.ID, error) {
			if err := requireFeature(ctx, tx, tenant.Masking); err != nil {
				return id.ID{}, err
			}
			p, err := booking(ctx, tx, who, in)
			if err != nil {
				return id.ID{}, err
			}
			return p.settle(ctx, tx, in.ExpiresAt != nil)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.maskByID(ctx, who, pair)
}

// booking is the pair that a booking would have, without a number.
func booking(ctx context.Context, tx *db.Tx, who access.Actor, in MaskCreate) (*MaskedPair, error) {
	if seen, err := contact.SeesRecord(ctx, tx, who, in.RecordID); err != nil {
		return nil, err
	} else if !seen {
		return nil, errs.New(errs.NotFound, "there is no such record").At("recordId")
	}
	var r struct {
		ContactID id.ID      `bun:"contact_id,type:uuid"`
		UserID    id.ID      `bun:"assigned_user_id,type:uuid"`
		StartsAt  *time.Time `bun:"starts_at"`
	}
	if err := db.Select(ctx, tx, &r, `SELECT contact_id, assigned_user_id, starts_at FROM record WHERE organization_id = $1 AND id = $2`, who.OrganizationID, in.RecordID); err != nil {
		return nil, err
	}
	p := &MaskedPair{OrganizationID: who.OrganizationID, ID: id.New(id.MaskedPair), RecordID: in.RecordID, ContactID: r.ContactID, UserID: r.UserID, CreatedByID: who.UserID,
		CreatedAt: tx.Now, UpdatedAt: tx.Now}
	if !in.ContactID.IsZero() {
		if err := mayLink(ctx, tx, who, in.ContactID, id.ID{}); err != nil {
			return nil, err
		}
		p.ContactID = in.ContactID
	}
	if !in.UserID.IsZero() {
		p.UserID = in.UserID
	}
	switch {
	case p.ContactID.IsZero():
		return nil, errs.New(errs.Required, "this record has no contact; say which customer is meant").At("contactId")
	case p.UserID.IsZero():
		return nil, errs.New(errs.Required, "nobody is assigned to this record; say which fieldworker is meant").At("userId")
	}
	if err := p.phones(ctx, tx); err != nil {
		return nil, err
	}
	return p, p.expiry(in.ExpiresAt, r.StartsAt, tx.Now)
}

// phones reads the primary phones of both.
func (p *MaskedPair) phones(ctx context.Context, tx *db.Tx) error {
	var active bool
	err := tx.Pgx().QueryRow(ctx, `SELECT u.status = 'ACTIVE', coalesce(f.e164, ''), coalesce(c.e164, '')
		FROM "user" u
		LEFT JOIN user_phone f ON f.organization_id = u.organization_id AND f.user_id = u.id AND f.is_primary
		LEFT JOIN contact_phone c ON c.organization_id = u.organization_id AND c.contact_id = $3 AND c.is_primary
		WHERE u.organization_id = $1 AND u.id = $2`, p.OrganizationID, p.UserID, p.ContactID).Scan(&active, &p.FieldworkerNumber, &p.CustomerNumber)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && !active:
		return errs.New(errs.NotFound, "there is no such user who may take calls").At("userId")
	case err != nil:
		return db.Translate(err)
	case p.CustomerNumber == "":
		return errs.New(errs.Conflict, "this customer has no primary phone; give the contact one first").At("contactId")
	case p.FieldworkerNumber == "":
		return errs.New(errs.Conflict, "this fieldworker has no primary phone; they or an administrator can set one in the user's settings").At("userId")
	case p.FieldworkerNumber == p.CustomerNumber:
		return errs.New(errs.Conflict, "customer and fieldworker have the same phone; there is nothing to mask").At("contactId")
	}
	return nil
}

// expiry is until when the pair works: as asked, else a day after the booking
// begins, else a day from now.
func (p *MaskedPair) expiry(asked, starts *time.Time, now time.Time) error {
	longest := now.Add(maskLongest)
	switch {
	case asked == nil:
		p.ExpiresAt = now.Add(maskLasts)
		if starts != nil && starts.After(now) {
			p.ExpiresAt = starts.Add(maskLasts)
		}
		if p.ExpiresAt.After(longest) {
			p.ExpiresAt = longest
		}
	case !asked.After(now):
		return errs.New(errs.Invalid, "this time is past; give one that is to come").At("expiresAt")
	case asked.After(longest):
		return errs.New(errs.Invalid, "a masked pair works for %d days at most", int(maskLongest.Hours()/24)).At("expiresAt")
	default:
		p.ExpiresAt = asked.UTC()
	}
	return nil
}

// settle gives the pair a number, or finds the one there is, and is its id.
func (p *MaskedPair) settle(ctx context.Context, tx *db.Tx, extend bool) (id.ID, error) {
	// Those that the sweep has not come to yet hold no number.
	if _, err := db.Exec(ctx, tx, `UPDATE masked_pair SET ended_at = expires_at, updated_at = $2
		WHERE organization_id = $1 AND ended_at IS NULL AND expires_at <= $2 AND (customer_number = ANY ($3::text[]) OR fieldworker_number = ANY ($3::text[]))`,
		p.OrganizationID, tx.Now, []string{p.CustomerNumber, p.FieldworkerNumber}); err != nil {
		return id.ID{}, err
	}
	if live, err := p.existing(ctx, tx, extend); err != nil || !live.IsZero() {
		return live, err
	}
	free, taken, err := p.candidates(ctx, tx)
	if err != nil {
		return id.ID{}, err
	}
	for len(free.Numbers) > 0 {
		next := free.Numbers[0]
		if chosen, err := route.ChooseNumber(free); err == nil { // else none fits better than another
			next = chosen.Number
		}
		made, err := db.Exec(ctx, tx, `INSERT INTO masked_pair (organization_id, id, record_id, contact_id, user_id, phone_number_id, customer_number, fieldworker_number,
				expires_at, created_by, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) ON CONFLICT DO NOTHING`,
			p.OrganizationID, p.ID, p.RecordID, p.ContactID, p.UserID, next.ID, p.CustomerNumber, p.FieldworkerNumber, p.ExpiresAt, p.CreatedByID, tx.Now)
		if err != nil {
			return id.ID{}, err
		}
		if made == 1 {
			return p.ID, audit.Write(ctx, tx, audit.Entry{ActorID: p.CreatedByID, Action: "masked_pair.create", Subject: p.ID,
				Detail: map[string]any{"recordId": p.RecordID, "contactId": p.ContactID, "userId": p.UserID, "phoneNumberId": next.ID}})
		}
		// Somebody was faster: with the same booking, or with this number for one of the two.
		if live, err := p.existing(ctx, tx, extend); err != nil || !live.IsZero() {
			return live, err
		}
		taken++
		free.Numbers = slices.DeleteFunc(free.Numbers, func(n route.OwnNumber) bool { return n.ID == next.ID })
	}
	return id.ID{}, errs.New(errs.LimitReached,
		"no number is free for this pair: each that takes calls and may be shown already connects this customer or this fieldworker with somebody else; %d such numbers are needed, there are %d. Enable another number, or end a pair",
		taken+1, taken)
}

// existing is the live pair of the same booking and people. One with a phone
// that is no longer theirs is ended.
func (p *MaskedPair) existing(ctx context.Context, tx *db.Tx, extend bool) (id.ID, error) {
	var found id.ID
	var customer, fieldworker string
	err := tx.Pgx().QueryRow(ctx, `SELECT id, customer_number, fieldworker_number FROM masked_pair
		WHERE organization_id = $1 AND record_id = $2 AND contact_id = $3 AND user_id = $4 AND ended_at IS NULL FOR UPDATE`,
		p.OrganizationID, p.RecordID, p.ContactID, p.UserID).Scan(&found, &customer, &fieldworker)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return id.ID{}, nil
	case err != nil:
		return id.ID{}, db.Translate(err)
	case customer != p.CustomerNumber || fieldworker != p.FieldworkerNumber:
		_, err = db.Exec(ctx, tx, `UPDATE masked_pair SET ended_at = $3, updated_at = $3 WHERE organization_id = $1 AND id = $2`, p.OrganizationID, found, tx.Now)
		return id.ID{}, err
	case extend:
		_, err = db.Exec(ctx, tx, `UPDATE masked_pair SET expires_at = $3, updated_at = $4 WHERE organization_id = $1 AND id = $2`, p.OrganizationID, found, p.ExpiresAt, tx.Now)
	}
	return found, err
}

// candidates are the numbers that neither of the two has in a live pair, as D17
// chooses among them, and how many there are that one of them has.
func (p *MaskedPair) candidates(ctx context.Context, tx *db.Tx) (free route.Choice, taken int, err error) {
	free.To = phone.E164(p.CustomerNumber)
	if err = tx.Pgx().QueryRow(ctx, `SELECT coalesce((SELECT c.country FROM contact c WHERE c.organization_id = $1 AND c.id = $2), ''),
			coalesce((SELECT array_agg(b.branch_id ORDER BY b.created_at, b.branch_id) FROM branch_user b WHERE b.organization_id = $1 AND b.user_id = $3), '{}')`,
		p.OrganizationID, p.ContactID, p.UserID).Scan(&free.ContactCountry, &free.Branches); err != nil {
		return free, 0, db.Translate(err)
	}
	var rows []struct {
		ID        id.ID      `bun:"id,type:uuid"`
		E164      phone.E164 `bun:"e164"`
		Country   string     `bun:"country"`
		BranchID  id.ID      `bun:"branch_id,type:uuid"`
		IsDefault bool       `bun:"is_default"`
		Taken     bool       `bun:"taken"`
	}
	if err = db.Select(ctx, tx, &rows, `SELECT n.id, n.e164, n.country, n.branch_id, n.is_default,
			EXISTS (SELECT FROM masked_pair p WHERE p.organization_id = $1 AND p.phone_number_id = n.id AND p.ended_at IS NULL
				AND (p.customer_number = ANY ($2::text[]) OR p.fieldworker_number = ANY ($2::text[]))) AS taken
		FROM phone_number n JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
		WHERE n.organization_id = $1 AND n.is_enabled AND n.can_voice AND n.use_for_caller_id AND n.use_for_inbound_calls AND n.disconnected_at IS NULL
			AND c.is_enabled AND c.disconnected_at IS NULL
		ORDER BY n.is_default DESC, n.e164`, p.OrganizationID, []string{p.CustomerNumber, p.FieldworkerNumber}); err != nil {
		return free, 0, err
	}
	for _, n := range rows {
		if n.Taken {
			taken++
			continue
		}
		free.Numbers = append(free.Numbers, route.OwnNumber{ID: n.ID, E164: n.E164, Country: n.Country, BranchID: n.BranchID, IsDefault: n.IsDefault})
	}
	return free, taken, nil
}

// EndMask ends a pair at once; calls under way go on. Ending an ended one changes
// nothing. Codes: errs.Forbidden, errs.NotFound.
func (s *Service) EndMask(ctx context.Context, who access.Actor, pair id.ID) (_ *MaskedPair, err error) {
	defer errs.Wrap(&err, "call.EndMask")
	if err := who.Require(access.ContactEdit); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	if _, err := s.maskByID(ctx, who, pair); err != nil {
		return nil, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		n, err := db.Exec(ctx, tx, `UPDATE masked_pair SET ended_at = least($3, expires_at), updated_at = $3 WHERE organization_id = $1 AND id = $2 AND ended_at IS NULL`,
			who.OrganizationID, pair, tx.Now)
		if err != nil || n == 0 {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "masked_pair.end", Subject: pair})
	})
	if err != nil {
		return nil, err
	}
	return s.maskByID(ctx, who, pair)
}

// MaskFilter narrows a list of masked pairs. The zero MaskFilter is all of them.
type MaskFilter struct {
	RecordID id.ID
	UserID   id.ID
	IsActive *bool
}

const maskColumns = `p.organization_id, p.id, p.record_id, p.contact_id, p.user_id, p.phone_number_id, p.customer_number, p.fieldworker_number, p.expires_at, p.ended_at,
	p.created_by, p.created_at, p.updated_at, 'MASKING' = ANY (o.disabled_features) AS masking_off, o.customers_may_call_fieldworkers AS direct_allowed`

// masks asks for the pairs that the actor sees: all, or with the visibility OWN
// those of which they are the fieldworker.
func masks(who access.Actor) *query {
	q := &query{}
	q.sql.WriteString(`SELECT ` + maskColumns + ` FROM masked_pair p JOIN organization o ON o.organization_id = p.organization_id WHERE p.organization_id = ` + q.arg(who.OrganizationID))
	if who.SeesOwnContacts() {
		q.and("p.user_id = " + q.arg(who.UserID))
	}
	return q
}

// Masks is a page of the masked pairs that the actor sees, newest first. Codes:
// errs.Forbidden without CONTACT_VIEW, errs.Invalid for the page.
func (s *Service) Masks(ctx context.Context, who access.Actor, f MaskFilter, p db.Page) (w db.Window[*MaskedPair], err error) {
	defer errs.Wrap(&err, "call.Masks")
	if err := who.Require(access.ContactView); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	q := masks(who)
	if !f.RecordID.IsZero() {
		q.and("p.record_id = " + q.arg(f.RecordID))
	}
	if !f.UserID.IsZero() {
		q.and("p.user_id = " + q.arg(f.UserID))
	}
	if f.IsActive != nil {
		q.and("(p.ended_at IS NULL AND p.expires_at > " + q.arg(s.Clock.Now()) + " AND 'MASKING' <> ALL (o.disabled_features)) = " + q.arg(*f.IsActive))
	}
	q.and("(p.created_at, p.id) < (" + q.arg(after.At) + ", " + q.arg(after.ID) + ")")
	q.sql.WriteString(" ORDER BY p.created_at DESC, p.id DESC LIMIT " + strconv.Itoa(limit+1))
	var rows []*MaskedPair
	if err := db.Select(in(ctx, who), s.DB.App(), &rows, q.sql.String(), q.args...); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(p *MaskedPair) db.Keyset { return db.Keyset{At: p.CreatedAt, ID: p.ID} }), nil
}

// Mask is one masked pair. What the actor may not see is as absent as what is not
// there: errs.NotFound.
func (s *Service) Mask(ctx context.Context, who access.Actor, pair id.ID) (_ *MaskedPair, err error) {
	defer errs.Wrap(&err, "call.Mask")
	if !who.Can(access.ContactView) {
		if !who.Known() {
			return nil, who.Require(access.ContactView)
		}
		return nil, errNoMask
	}
	return s.maskByID(ctx, who, pair)
}

var errNoMask = errs.New(errs.NotFound, "there is no such masked pair")

func (s *Service) maskByID(ctx context.Context, who access.Actor, pair id.ID) (*MaskedPair, error) {
	q := masks(who)
	q.and("p.id = " + q.arg(pair))
	p := &MaskedPair{}
	err := db.Select(in(ctx, who), s.DB.App(), p, q.sql.String(), q.args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoMask
	}
	return p, err
}

// VisibleMasks are those of the pairs that the actor may see, in one statement.
func (s *Service) VisibleMasks(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*MaskedPair, error) {
	out := map[id.ID]*MaskedPair{}
	if !who.Can(access.ContactView) || len(ids) == 0 {
		return out, nil
	}
	q := masks(who)
	q.and("p.id = ANY (" + q.arg(ids) + "::uuid[])")
	var rows []*MaskedPair
	err := db.Select(in(ctx, who), s.DB.App(), &rows, q.sql.String(), q.args...)
	for _, p := range rows {
		out[p.ID] = p
	}
	return out, err
}

// endMasks is the sweep that ends pairs whose time is over.
func (s *Service) endMasks(ctx context.Context, now time.Time) error {
	return s.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := db.Exec(ctx, tx, `UPDATE masked_pair SET ended_at = expires_at, updated_at = $1 WHERE (organization_id, id) IN (
			SELECT organization_id, id FROM masked_pair WHERE ended_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT 500 FOR UPDATE SKIP LOCKED)`, now)
		return err
	})
}
