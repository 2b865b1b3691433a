package contact

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

var errNoCampaign = errs.New(errs.NotFound, "there is no such campaign, or you may not see it")

// CampaignUpdate changes a campaign: absent keeps, null clears.
type CampaignUpdate struct {
	Name           patch.Field[string]
	AssignedUserID patch.Field[id.ID]
	IsActive       patch.Field[bool]
}

// UpdateCampaign changes a campaign. Codes: errs.NotFound, those of CreateCampaign.
func (s *Service) UpdateCampaign(ctx context.Context, who access.Actor, campaign id.ID, in CampaignUpdate) (c *Campaign, err error) {
	if err := who.Require(access.ContactEdit); err != nil {
		return nil, err
	}
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if c, err = lockCampaign(ctx, tx, who, campaign); err != nil {
			return err
		}
		if in.Name.Set {
			if c.Name, err = checkText(in.Name.Value, maxName, "name"); err != nil {
				return err
			}
		}
		if err := checkUser(in.AssignedUserID.Value); err != nil {
			return err
		}
		in.AssignedUserID.Apply(&c.AssignedUserID)
		if in.IsActive.Has() {
			c.IsActive = in.IsActive.Value
		}
		c.UpdatedAt = tx.Now
		if _, err := tx.NewUpdate().Model(c).WherePK().Exec(ctx); err != nil {
			return err
		}
		return changed(ctx, tx, who, "campaign.update", c.ID, map[string]any{"fields": mentioned(
			"name", in.Name.Set, "assignedUserId", in.AssignedUserID.Set, "isActive", in.IsActive.Set)})
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func lockCampaign(ctx context.Context, tx *db.Tx, who access.Actor, campaign id.ID) (*Campaign, error) {
	c := &Campaign{}
	err := db.Select(ctx, tx, c, `SELECT `+campaignColumns(who)+` FROM campaign k WHERE k.organization_id = $1 AND k.id = $3 FOR NO KEY UPDATE OF k`,
		who.OrganizationID, who.UserID, campaign)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoCampaign
	}
	return c, err
}

// AddMembers adds contacts to a campaign; who is in it stays. Codes:
// errs.NotFound for the campaign or a contact, errs.LimitReached.
func (s *Service) AddMembers(ctx context.Context, who access.Actor, campaign id.ID, contacts []id.ID) (*Campaign, error) {
	return s.members(ctx, who, campaign, contacts, "campaign.addMembers", func(ctx context.Context, tx *db.Tx, contacts []id.ID) (int64, error) {
		if err := mayAddAll(ctx, tx, who, contacts); err != nil {
			return 0, err
		}
		return db.Exec(ctx, tx, `INSERT INTO campaign_member (organization_id, campaign_id, contact_id, created_at)
			SELECT $1, $2, m, $4 FROM unnest($3::uuid[]) AS m ORDER BY m ON CONFLICT DO NOTHING`, who.OrganizationID, campaign, contacts, tx.Now)
	})
}

// RemoveMembers takes contacts out of a campaign; who is not in it stays out. Of
// those whom the actor does not see nobody is taken out. Codes as of AddMembers.
func (s *Service) RemoveMembers(ctx context.Context, who access.Actor, campaign id.ID, contacts []id.ID) (*Campaign, error) {
	return s.members(ctx, who, campaign, contacts, "campaign.removeMembers", func(ctx context.Context, tx *db.Tx, contacts []id.ID) (int64, error) {
		return db.Exec(ctx, tx, `DELETE FROM campaign_member m USING contact c
			WHERE m.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND m.campaign_id = $3 AND m.contact_id = ANY ($4::uuid[])
				AND c.organization_id = m.organization_id AND c.id = m.contact_id`+Own(who), who.OrganizationID, who.UserID, campaign, contacts)
	})
}

func (s *Service) members(ctx context.Context, who access.Actor, campaign id.ID, contacts []id.ID, action string, do func(context.Context, *db.Tx, []id.ID) (int64, error)) (c *Campaign, err error) {
	if err := who.Require(access.ContactEdit); err != nil {
		return nil, err
	}
	if contacts, err = checkSet(contacts, id.Contact, MaxMembers, "contactIds"); err != nil {
		return nil, err
	}
	err = s.db.InTxAgain(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if _, err := lockCampaign(ctx, tx, who, campaign); err != nil {
			return err
		}
		n, err := do(ctx, tx, contacts)
		if err != nil {
			return err
		}
		if c, err = lockCampaign(ctx, tx, who, campaign); err != nil || n == 0 {
			return err
		}
		return changed(ctx, tx, who, action, campaign, map[string]any{"members": n})
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Member is a contact of a campaign.
type Member struct {
	Contact
	CampaignContactedAt *time.Time `bun:"campaign_contacted_at,scanonly"`
}

// Members is a page of those contacts of a campaign whom the actor sees, newest
// contact first.
func (s *Service) Members(ctx context.Context, who access.Actor, campaign id.ID, p db.Page) (w db.Window[*Member], err error) {
	if err := who.Require(access.ContactView); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []*Member
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, `SELECT `+contactColumns+`, m.last_contacted_at AS campaign_contacted_at
		FROM campaign_member m JOIN contact c ON c.organization_id = m.organization_id AND c.id = m.contact_id
		WHERE m.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND m.campaign_id = $3 AND c.id < $4`+Own(who)+`
		ORDER BY c.id DESC LIMIT $5`, who.OrganizationID, who.UserID, campaign, after.ID, limit+1)
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(m *Member) db.Keyset { return contactKey(&m.Contact) }), nil
}
