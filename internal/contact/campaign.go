package contact

import (
	"context"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// MaxMembers is how many contacts a campaign takes at its creation.
const MaxMembers = 1000

// CampaignCreate is a new campaign.
type CampaignCreate struct {
	Name           string
	AssignedUserID id.ID
	ContactIDs     []id.ID
}

// CreateCampaign adds a campaign with its members. Codes: errs.Required,
// errs.Invalid, errs.LimitReached, errs.NotFound for the user or a contact.
func (s *Service) CreateCampaign(ctx context.Context, who access.Actor, in CampaignCreate) (_ *Campaign, err error) {
	if err := who.Require(access.ContactEdit); err != nil {
		return nil, err
	}
	c := &Campaign{OrganizationID: who.OrganizationID, ID: id.New(id.Campaign), AssignedUserID: in.AssignedUserID, IsActive: true}
	if c.Name, err = checkText(in.Name, maxName, "name"); err != nil {
		return nil, err
	}
	if err := checkUser(in.AssignedUserID); err != nil {
		return nil, err
	}
	if len(in.ContactIDs) > MaxMembers {
		return nil, errs.New(errs.LimitReached, "a campaign takes %d contacts at a time", MaxMembers).At("contactIds")
	}
	members := make([]id.ID, 0, len(in.ContactIDs))
	seen := make(map[id.ID]bool, len(in.ContactIDs))
	for _, x := range in.ContactIDs {
		if err := x.Want(id.Contact); err != nil {
			return nil, errs.New(errs.Invalid, "%s", err).At("contactIds")
		}
		if !seen[x] {
			seen[x] = true
			members = append(members, x)
		}
	}
	c.MemberCount = len(members)
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		c.CreatedAt, c.UpdatedAt = tx.Now, tx.Now
		if _, err := tx.NewInsert().Model(c).Exec(ctx); err != nil {
			return err
		}
		if len(members) > 0 {
			if seesOwnOnly(who) {
				if err := mayAddAll(ctx, tx, who, members); err != nil {
					return err
				}
			}
			_, err := db.Exec(ctx, tx, `
				INSERT INTO campaign_member (organization_id, campaign_id, contact_id, created_at)
				SELECT $1, $2, m, $4 FROM unnest($3::uuid[]) AS m`, who.OrganizationID, c.ID, members, tx.Now)
			if err != nil {
				return err
			}
		}
		return changed(ctx, tx, who, "campaign.create", c.ID, map[string]any{"members": len(members)})
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// mayAddAll refuses contacts that the actor does not see, as if they did not exist.
func mayAddAll(ctx context.Context, tx *db.Tx, who access.Actor, members []id.ID) error {
	var n struct{ Count int }
	err := db.Select(ctx, tx, &n, `SELECT count(*) AS count FROM contact c
		WHERE c.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND c.id = ANY ($3::uuid[])`+Own(who), who.OrganizationID, who.UserID, members)
	if err == nil && n.Count != len(members) {
		err = errs.New(errs.NotFound, "one of the contacts does not exist").At("contactIds")
	}
	return err
}

// campaignColumns is SQL: of the members those are counted whom the actor, $2 of the
// organization $1, sees.
func campaignColumns(who access.Actor) string {
	count := `SELECT count(*) FROM campaign_member m WHERE m.organization_id = k.organization_id AND m.campaign_id = k.id AND ($2::uuid IS NULL OR $2 = $2)`
	if own := Own(who); own != "" {
		count += ` AND EXISTS (SELECT FROM contact c WHERE c.organization_id = m.organization_id AND c.id = m.contact_id` + own + `)`
	}
	return `k.organization_id, k.id, k.name, k.assigned_user_id, k.is_active, k.created_at, k.updated_at, (` + count + `) AS member_count`
}

// Campaigns is a page of the organization's campaigns, newest first.
func (s *Service) Campaigns(ctx context.Context, who access.Actor, p db.Page) (w db.Window[*Campaign], err error) {
	if err := who.Require(access.ContactView); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []*Campaign
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, `SELECT `+campaignColumns(who)+` FROM campaign k
		WHERE k.organization_id = $1 AND k.id < $3 ORDER BY k.id DESC LIMIT $4`, who.OrganizationID, who.UserID, after.ID, limit+1)
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(c *Campaign) db.Keyset { return db.Keyset{At: c.CreatedAt, ID: c.ID} }), nil
}

// Campaign is one campaign, else errs.NotFound.
func (s *Service) Campaign(ctx context.Context, who access.Actor, campaign id.ID) (*Campaign, error) {
	found, err := s.CampaignsByIDs(ctx, who, []id.ID{campaign})
	if err == nil && found[campaign] == nil {
		err = errNoCampaign
	}
	return found[campaign], err
}

// CampaignsByIDs are campaigns by id, in one statement; none for who sees no contacts.
func (s *Service) CampaignsByIDs(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Campaign, error) {
	if !who.Can(access.ContactView) {
		return nil, nil
	}
	var rows []*Campaign
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, `SELECT `+campaignColumns(who)+` FROM campaign k
		WHERE k.organization_id = $1 AND k.id = ANY ($3::uuid[])`, who.OrganizationID, who.UserID, ids)
	out := make(map[id.ID]*Campaign, len(rows))
	for _, c := range rows {
		out[c.ID] = c
	}
	return out, err
}
