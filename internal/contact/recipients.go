package contact

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// MaxRecipients is how many recipients one page has at most.
const MaxRecipients = 5000

// RecipientFilter says to whom something goes (R135): to contacts, to those whom
// records are about, or, with both, to those of them that both filters let through.
type RecipientFilter struct {
	Contacts *Filter
	Records  *RecordFilter
	// After is where to go on: the RecordID of the last recipient where there are
	// records, else its ContactID.
	After id.ID
}

// Recipient is a contact, and the record that made it one. The number is for
// sending and not for showing: it is there whether or not the actor may see it.
type Recipient struct {
	ContactID id.ID      `bun:"contact_id"`
	RecordID  id.ID      `bun:"record_id"` // zero where no records were asked for
	Name      string     `bun:"name"`
	E164      phone.E164 `bun:"e164"`    // the primary phone; "" when they have none
	Country   string     `bun:"country"` // of the contact; "" when nobody said
}

// Recipients is a page of recipients whom the actor sees, in the order of their
// ids, oldest first: whoever is added meanwhile comes last. A contact comes once
// for each of its records. It needs CONTACT_VIEW.
func (s *Service) Recipients(ctx context.Context, who access.Actor, f RecipientFilter, limit int) ([]Recipient, error) {
	if err := who.Require(access.ContactView); err != nil {
		return nil, err
	}
	if f.Contacts == nil && f.Records == nil {
		return nil, errs.New(errs.Required, "say which contacts or records").At("filter")
	}
	limit = min(max(limit, 1), MaxRecipients)
	ctx = db.WithTenant(ctx, who.OrganizationID)
	where, args := ` WHERE c.organization_id = $1`, []any{who.OrganizationID}
	if f.Contacts != nil {
		var err error
		if where, args, err = s.where(ctx, who, *f.Contacts); err != nil {
			return nil, err
		}
	}
	from, record, key := `contact c`, `NULL::uuid`, `c.id`
	if f.Records != nil {
		var more string
		more, args = f.Records.where(who, args)
		where += ` AND` + more
		from, record, key = `record r JOIN contact c ON c.organization_id = r.organization_id AND c.id = r.contact_id`, `r.id`, `r.id`
	}
	n := len(args)
	var out []Recipient
	err := db.Select(ctx, s.db.App(), &out, `SELECT c.id AS contact_id, `+record+` AS record_id, c.name, COALESCE(p.e164, '') AS e164, COALESCE(c.country, '') AS country
		FROM `+from+`
		LEFT JOIN LATERAL (
			SELECT p.e164 FROM contact_phone p WHERE p.organization_id = $1 AND p.contact_id = c.id
			ORDER BY p.is_primary DESC, p.e164 LIMIT 1
		) p ON true`+where+` AND `+key+` > $`+strconv.Itoa(n+1)+` ORDER BY `+key+` LIMIT $`+strconv.Itoa(n+2),
		append(args, f.After.UUID(), limit)...)
	return out, err
}

// MergeData is what texts about contacts and records merge, in two statements: the
// records, and the contacts with those of the records. It reads the tenant of the
// context and asks nobody's permission: whoever calls it has.
func (s *Service) MergeData(ctx context.Context, contacts, records []id.ID) (map[id.ID]*Contact, map[id.ID]*Record, error) {
	if db.TenantFrom(ctx).IsZero() {
		return nil, nil, errs.New(errs.Internal, "merge data needs a tenant")
	}
	r, err := s.RecordsByIDs(ctx, records)
	if err != nil {
		return nil, nil, err
	}
	wanted := make(map[id.ID]bool, len(contacts)+len(r))
	for _, x := range contacts {
		wanted[x] = true
	}
	for _, x := range r {
		if !x.ContactID.IsZero() {
			wanted[x.ContactID] = true
		}
	}
	c, err := s.ByIDs(ctx, slices.Collect(maps.Keys(wanted)))
	return c, r, err
}
