package contact

import (
	"context"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// RecordsSeen are those of the records that the actor sees, in one statement.
func RecordsSeen(ctx context.Context, q bun.IDB, who access.Actor, ids []id.ID) (map[id.ID]*Record, error) {
	out := make(map[id.ID]*Record, len(ids))
	if len(ids) == 0 || !who.Can(access.ContactView) {
		return out, nil
	}
	var rows []*Record
	err := db.Select(ctx, q, &rows, `SELECT `+recordColumns+` FROM record r
		WHERE r.organization_id = $1 AND r.id = ANY ($2::uuid[])`, who.OrganizationID, ids)
	for _, r := range rows {
		if seesRecord(who, r) {
			out[r.ID] = r
		}
	}
	return out, err
}

// Seen are contacts with whether the actor sees them (IsOwn), in one statement.
func Seen(ctx context.Context, q bun.IDB, who access.Actor, ids []id.ID) (map[id.ID]*Contact, error) {
	out := make(map[id.ID]*Contact, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	var rows []*Contact
	own, args := `true`, []any{who.OrganizationID, ids}
	if seesOwnOnly(who) {
		own, args = isOwnContact, []any{who.OrganizationID, who.UserID, ids}
	}
	err := db.Select(ctx, q, &rows, `SELECT `+contactColumns+`, `+own+` AS is_own FROM contact c
		WHERE c.organization_id = $1 AND c.id = ANY ($`+[]string{"2", "3"}[len(args)-2]+`::uuid[])`, args...)
	for _, c := range rows {
		c.IsOwn = c.IsOwn && who.Can(access.ContactView)
		out[c.ID] = c
	}
	return out, err
}

// PhonesOf are the phones of contacts of the context's tenant, primary first, in
// one statement: for sending, whether or not somebody sees them.
func PhonesOf(ctx context.Context, q bun.IDB, contacts []id.ID) (map[id.ID][]*Phone, error) {
	return phonesOf(ctx, q, contacts)
}

// Masked says which contacts have phones that the actor does not see: because they
// reach them through a masked number (R103), or see no details at all (R241). It
// takes one statement.
func Masked(ctx context.Context, q bun.IDB, who access.Actor, contacts []id.ID) (map[id.ID]bool, error) {
	if who.HidesContactDetails() { // R241
		out := make(map[id.ID]bool, len(contacts))
		for _, c := range contacts {
			out[c] = true
		}
		return out, nil
	}
	if len(contacts) == 0 || !seesOwnOnly(who) {
		return nil, nil
	}
	var rows []struct {
		ID id.ID `bun:"id"`
	}
	err := db.Select(ctx, q, &rows, `SELECT c.id FROM contact c
		WHERE c.organization_id = $1 AND c.id = ANY ($3::uuid[]) AND NOT (true`+unmasked+`)`, who.OrganizationID, who.UserID, contacts)
	out := make(map[id.ID]bool, len(rows))
	for _, r := range rows {
		out[r.ID] = true
	}
	return out, err
}

// MatchMany is whom Match prefers for each of the numbers, in one statement.
func MatchMany(ctx context.Context, q bun.IDB, numbers []phone.E164) (map[phone.E164]id.ID, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	var rows []struct {
		E164 phone.E164 `bun:"e164"`
		ID   id.ID      `bun:"id"`
	}
	err := db.Select(ctx, q, &rows, `
		SELECT DISTINCT ON (p.e164) p.e164, c.id
		FROM contact_phone p
		JOIN contact c ON c.organization_id = p.organization_id AND c.id = p.contact_id
		WHERE p.organization_id = $1 AND p.e164 = ANY ($2::text[])
		ORDER BY p.e164, c.kind = 'LEAD', CASE WHEN c.kind = 'LEAD' THEN (
				SELECT max(m.last_contacted_at) FROM campaign_member m
				WHERE m.organization_id = c.organization_id AND m.contact_id = c.id)
			ELSE c.last_contacted_at END DESC NULLS LAST, c.id DESC`, db.TenantFrom(ctx), numbers)
	out := make(map[phone.E164]id.ID, len(rows))
	for _, r := range rows {
		out[r.E164] = r.ID
	}
	return out, err
}
