package followup

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

// What an organization has that chose nothing: half a working day.
const defaultDueMinutes = 240

// maxDueMinutes is thirty days.
const maxDueMinutes = 43200

// Settings are those of the actor's organization.
func (s *Service) Settings(ctx context.Context, who access.Actor) (_ *Settings, err error) {
	defer errs.Wrap(&err, "followup.Settings")
	if !who.Known() {
		return nil, who.Require("")
	}
	return settings(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), who.OrganizationID)
}

func settings(ctx context.Context, q bun.IDB, org id.ID) (*Settings, error) {
	x := &Settings{OrganizationID: org}
	err := db.Select(ctx, q, x, `SELECT organization_id, due_minutes, escalate_to_user_id, escalate_to_role_id, updated_at
		FROM follow_up_settings WHERE organization_id = $1`, org)
	if errors.Is(err, sql.ErrNoRows) {
		x.DueMinutes = new(defaultDueMinutes)
		return x, nil
	}
	return x, err
}

// SettingsChange is what changes about the settings.
type SettingsChange struct {
	DueMinutes       patch.Field[int]
	EscalateToID     patch.Field[id.ID]
	EscalateToRoleID patch.Field[id.ID]
}

// SetSettings changes when follow-ups are due and to whom they are escalated; open
// ones keep their due time. It needs SETTINGS_MANAGE.
func (s *Service) SetSettings(ctx context.Context, who access.Actor, in SettingsChange) (x *Settings, err error) {
	defer errs.Wrap(&err, "followup.SetSettings")
	if err := who.Require(access.SettingsManage); err != nil {
		return nil, err
	}
	org := who.OrganizationID
	if m := in.DueMinutes; m.Set && !m.Null && (m.Value < 1 || m.Value > maxDueMinutes) {
		return nil, errs.New(errs.Invalid, "dueMinutes is %d; give 1 to %d, or null for none", m.Value, maxDueMinutes).At("dueMinutes")
	}
	given := func(f patch.Field[id.ID]) bool { return f.Set && !f.Null && !f.Value.IsZero() }
	if given(in.EscalateToID) && given(in.EscalateToRoleID) {
		return nil, errs.New(errs.Invalid, "escalate to one person or to one role, not both").At("escalateToRoleId")
	}
	err = s.d.DB.InTx(db.WithTenant(ctx, org), func(ctx context.Context, tx *db.Tx) error {
		// Two at once are one after the other.
		if _, err := db.Exec(ctx, tx, `INSERT INTO follow_up_settings (organization_id, due_minutes, updated_at) VALUES ($1, $2, $3)
			ON CONFLICT (organization_id) DO UPDATE SET updated_at = excluded.updated_at`, org, defaultDueMinutes, tx.Now); err != nil {
			return err
		}
		if x, err = settings(ctx, tx, org); err != nil {
			return err
		}
		if in.DueMinutes.Set {
			x.DueMinutes = nil
			if !in.DueMinutes.Null {
				x.DueMinutes = &in.DueMinutes.Value
			}
		}
		if in.EscalateToID.Set {
			x.EscalateToID = in.EscalateToID.Value
			if given(in.EscalateToID) {
				x.EscalateToRoleID = id.ID{}
				if err := s.mayWork(ctx, tx, org, x.EscalateToID, "escalateToUserId"); err != nil {
					return err
				}
			}
		}
		if in.EscalateToRoleID.Set {
			x.EscalateToRoleID = in.EscalateToRoleID.Value
			if given(in.EscalateToRoleID) {
				x.EscalateToID = id.ID{}
				role, err := access.RoleByID(ctx, tx, x.EscalateToRoleID)
				if err != nil {
					return errs.New(errs.NotFound, "there is no such role").At("escalateToRoleId")
				}
				if !role.Allows(access.FollowUpView) {
					return errs.New(errs.Invalid, "the role %s lacks the permission %s; its people could not see what is escalated", role.Name, access.FollowUpView).At("escalateToRoleId")
				}
			}
		}
		if _, err := db.Exec(ctx, tx, `UPDATE follow_up_settings SET due_minutes = $2, escalate_to_user_id = $3, escalate_to_role_id = $4, updated_at = $5
			WHERE organization_id = $1`, org, x.DueMinutes, x.EscalateToID, x.EscalateToRoleID, tx.Now); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "followUpSettings.update", Subject: org,
			Detail: map[string]any{"dueMinutes": x.DueMinutes, "escalateToUserId": x.EscalateToID, "escalateToRoleId": x.EscalateToRoleID}})
	})
	if err != nil {
		return nil, err
	}
	return x, nil
}
