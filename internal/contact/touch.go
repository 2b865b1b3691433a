package contact

import (
	"context"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

// TouchMany is Touch for several contacts at once, each with the number that wrote
// to them, in a constant number of statements.
func TouchMany(ctx context.Context, tx *db.Tx, contacts, numbers []id.ID, campaign id.ID, at time.Time) error {
	if len(contacts) == 0 {
		return nil
	}
	org := db.TenantFrom(ctx)
	var rows []struct {
		ID id.ID `bun:"id"`
	}
	err := db.Select(ctx, tx, &rows, `
		UPDATE contact c SET last_contacted_at = $4, last_phone_number_id = COALESCE(x.number, c.last_phone_number_id),
			last_campaign_id = COALESCE($5, c.last_campaign_id), version = c.version + 1, updated_at = $6
		FROM unnest($2::uuid[], $3::uuid[]) AS x (id, number)
		WHERE c.organization_id = $1 AND c.id = x.id AND (c.last_contacted_at IS NULL OR c.last_contacted_at < $4)
		RETURNING c.id`, org, contacts, numbers, at, campaign, tx.Now)
	if err != nil {
		return err
	}
	if !campaign.IsZero() { // D04
		if _, err := db.Exec(ctx, tx, `
			UPDATE campaign_member SET last_contacted_at = $4
			WHERE organization_id = $1 AND campaign_id = $2 AND contact_id = ANY ($3::uuid[]) AND (last_contacted_at IS NULL OR last_contacted_at < $4)`,
			org, campaign, contacts, at); err != nil {
			return err
		}
	}
	events := make([]event.Event, len(rows))
	for i, r := range rows {
		events[i] = event.Event{OrganizationID: org, Kind: Updated, Subject: r.ID}
	}
	return event.Append(ctx, tx, events...)
}
