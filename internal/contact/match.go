package contact

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// Candidate is a contact that has the number in question, with what routing
// and identification ask about it.
type Candidate struct {
	ContactID       id.ID
	Kind            Kind
	Name            string
	Company         *string
	Country         *string
	AssignedUserID  id.ID // the lead's own user (R032)
	LastContactedAt *time.Time
	CreatedAt       time.Time
	Campaigns       []Membership // the one that contacted them last first, then the newest
	Inbound         CallSaving   // how a call of theirs is saved by itself (R182)
	Outbound        CallSaving   // and a call to them
}

// Membership is a campaign that a candidate is in.
type Membership struct {
	CampaignID      id.ID
	AssignedUserID  id.ID
	IsActive        bool
	LastContactedAt *time.Time
}

// matchLimit bounds how many contacts of one number, and campaigns of one
// contact, are looked at: a switchboard's number may be that of a thousand people.
const matchLimit = 25

// permitted narrows contacts c to the kinds that identify callers (R179); $1 is the organization.
const permitted = ` AND (c.kind = ANY ((SELECT s.contact_kinds FROM caller_card_settings s WHERE s.organization_id = $1)::text[])
				OR NOT EXISTS (SELECT FROM caller_card_settings s WHERE s.organization_id = $1))`

// Match finds who has the number among the kinds that identify callers (R056), in
// one statement. Equality of E.164 is all that counts; an empty or withheld number
// matches nobody (D11).
//
// The order is that of preference. Whoever is more than a lead comes first
// (R180), those contacted last first; then the leads, the one that a campaign
// contacted last first, then the newest (D04).
func Match(ctx context.Context, q bun.IDB, number phone.E164) ([]Candidate, error) {
	return match(ctx, q, number, permitted)
}

// MatchAny is Match among all kinds: for texts, and for whoever would make a
// contact of a number that nobody has.
func MatchAny(ctx context.Context, q bun.IDB, number phone.E164) ([]Candidate, error) {
	return match(ctx, q, number, "")
}

func match(ctx context.Context, q bun.IDB, number phone.E164, only string) ([]Candidate, error) {
	if _, ok := phone.FromWire(string(number)); !ok {
		return nil, nil
	}
	var rows []struct {
		ID                 id.ID      `bun:"id"`
		Kind               Kind       `bun:"kind"`
		Name               string     `bun:"name"`
		Company            *string    `bun:"company"`
		Country            *string    `bun:"country"`
		AssignedUserID     id.ID      `bun:"assigned_user_id"`
		LastContactedAt    *time.Time `bun:"last_contacted_at"`
		CreatedAt          time.Time  `bun:"created_at"`
		CampaignID         id.ID      `bun:"campaign_id"`
		CampaignUserID     id.ID      `bun:"campaign_user_id"`
		CampaignIsActive   *bool      `bun:"campaign_is_active"`
		CampaignContactsAt *time.Time `bun:"campaign_contacted_at"`
		Inbound            CallSaving `bun:"inbound_saving"`
		Outbound           CallSaving `bun:"outbound_saving"`
	}
	err := db.Select(ctx, q, &rows, `
		WITH matched AS (
			SELECT c.id, c.kind, c.name, c.company, c.country, c.assigned_user_id, c.last_contacted_at, c.created_at,
				row_number() OVER (PARTITION BY c.kind = 'LEAD' ORDER BY
					CASE WHEN c.kind = 'LEAD' THEN (
						SELECT max(m.last_contacted_at) FROM campaign_member m
						WHERE m.organization_id = c.organization_id AND m.contact_id = c.id)
					ELSE c.last_contacted_at END DESC NULLS LAST, c.id DESC) AS place
			FROM contact_phone p
			JOIN contact c ON c.organization_id = p.organization_id AND c.id = p.contact_id
			WHERE p.organization_id = $1 AND p.e164 = $2`+only+`
		)
		SELECT c.id, c.kind, c.name, c.company, c.country, c.assigned_user_id, c.last_contacted_at, c.created_at,
			k.id AS campaign_id, k.assigned_user_id AS campaign_user_id, k.is_active AS campaign_is_active,
			k.last_contacted_at AS campaign_contacted_at, coalesce(s.inbound_saving, 'CONTACT') AS inbound_saving,
			coalesce(s.outbound_saving, 'CONTACT') AS outbound_saving
		FROM matched c
		LEFT JOIN caller_card_settings s ON s.organization_id = $1
		LEFT JOIN LATERAL (
			SELECT k.id, k.assigned_user_id, k.is_active, m.last_contacted_at
			FROM campaign_member m
			JOIN campaign k ON k.organization_id = m.organization_id AND k.id = m.campaign_id
			WHERE m.organization_id = $1 AND m.contact_id = c.id
			ORDER BY m.last_contacted_at DESC NULLS LAST, k.id DESC
			LIMIT $3
		) k ON true
		WHERE c.place <= $3
		ORDER BY c.kind = 'LEAD', c.place, k.last_contacted_at DESC NULLS LAST, k.id DESC`,
		db.TenantFrom(ctx), string(number), matchLimit)
	if err != nil {
		return nil, err
	}
	var out []Candidate
	for _, r := range rows {
		if n := len(out); n == 0 || out[n-1].ContactID != r.ID {
			out = append(out, Candidate{
				ContactID: r.ID, Kind: r.Kind, Name: r.Name, Company: r.Company, Country: r.Country,
				AssignedUserID: r.AssignedUserID, LastContactedAt: r.LastContactedAt, CreatedAt: r.CreatedAt, Inbound: r.Inbound, Outbound: r.Outbound,
			})
		}
		if !r.CampaignID.IsZero() {
			c := &out[len(out)-1]
			c.Campaigns = append(c.Campaigns, Membership{
				CampaignID: r.CampaignID, AssignedUserID: r.CampaignUserID, IsActive: r.CampaignIsActive != nil && *r.CampaignIsActive,
				LastContactedAt: r.CampaignContactsAt,
			})
		}
	}
	return out, nil
}

// Match is MatchAny: who wrote is known whatever their kind.
func (s *Service) Match(ctx context.Context, q bun.IDB, number phone.E164) ([]Candidate, error) {
	return MatchAny(ctx, q, number)
}

// MatchOrCreate is whom MatchAny prefers, or a new contact of the kind that is called
// like its number when nobody has it. Two who ask for one number at once get one
// contact: the second waits for the first one's transaction. An empty or withheld
// number is nobody (D11) and gives no contact.
func (s *Service) MatchOrCreate(ctx context.Context, tx *db.Tx, e164 phone.E164, kind Kind) (contact id.ID, created bool, err error) {
	if _, ok := phone.FromWire(string(e164)); !ok {
		return id.ID{}, false, nil
	}
	org := db.TenantFrom(ctx)
	if !kind.Known() || org.IsZero() {
		return id.ID{}, false, errs.New(errs.Internal, "a new contact needs a tenant and a kind")
	}
	if _, err := tx.Pgx().Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, numberLock(org, e164)); err != nil {
		return id.ID{}, false, db.Translate(err)
	}
	// A statement of its own: it sees what was committed before the lock was ours.
	there, err := MatchAny(ctx, tx, e164)
	if err != nil {
		return id.ID{}, false, err
	}
	if len(there) > 0 {
		return there[0].ContactID, false, nil
	}
	country, err := defaultCountry(ctx, tx, org)
	if err != nil {
		return id.ID{}, false, err
	}
	c := &Contact{OrganizationID: org, ID: id.New(id.Contact), Kind: kind, Name: phone.Display(e164, country), Version: 1, CreatedAt: tx.Now, UpdatedAt: tx.Now}
	if err := insert(ctx, tx, c, []*Phone{{E164: e164, IsPrimary: true}}); err != nil {
		return id.ID{}, false, err
	}
	return c.ID, true, event.Append(ctx, tx, event.Event{OrganizationID: org, Kind: Updated, Subject: c.ID})
}

// numberLock is the advisory lock of a number in an organization. Two that share
// one by chance make each other wait, no more.
func numberLock(org id.ID, e164 phone.E164) int64 {
	h := sha256.Sum256([]byte("contact number " + org.String() + " " + string(e164)))
	return int64(binary.BigEndian.Uint64(h[:]))
}

// Lead is the first lead of the candidates: the one whose user or campaign
// decides layer 3 (D04).
func Lead(candidates []Candidate) (Candidate, bool) {
	for _, c := range candidates {
		if c.Kind == KindLead {
			return c, true
		}
	}
	return Candidate{}, false
}
