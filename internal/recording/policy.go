package recording

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

// DeletedAtTwilio is what a deletion at Twilio does to our copy (R282).
type DeletedAtTwilio string

// What it can do.
const (
	DeleteCopy DeletedAtTwilio = "DELETE_COPY"
	KeepCopy   DeletedAtTwilio = "KEEP_COPY"
)

// Policy is what becomes of an organization's recordings.
type Policy struct {
	bun.BaseModel `bun:"table:recording_policy,alias:policy"`

	OrganizationID      id.ID           `bun:"organization_id,pk,type:uuid"`
	WhenDeletedAtTwilio DeletedAtTwilio `bun:"when_deleted_at_twilio"`
	AreChannelsSwapped  bool            `bun:"are_channels_swapped"`
	CreatedAt           time.Time       `bun:"created_at"`
	UpdatedAt           time.Time       `bun:"updated_at"`
}

// PolicyChange is what changes about the policy.
type PolicyChange struct {
	WhenDeletedAtTwilio patch.Field[DeletedAtTwilio]
	AreChannelsSwapped  patch.Field[bool]
}

// Policy is what becomes of the recordings of the actor's organization.
func (s *Service) Policy(ctx context.Context, who access.Actor) (_ *Policy, err error) {
	defer errs.Wrap(&err, "recording.Policy")
	if !who.Known() {
		return nil, who.Require(access.RecordingListen)
	}
	p, err := s.policy(ctx, who.OrganizationID)
	return &p, err
}

// UpdatePolicy changes it. Codes: errs.Forbidden without SETTINGS_MANAGE, errs.Invalid.
func (s *Service) UpdatePolicy(ctx context.Context, who access.Actor, in PolicyChange) (_ *Policy, err error) {
	defer errs.Wrap(&err, "recording.UpdatePolicy")
	if err := who.Require(access.SettingsManage); err != nil {
		return nil, err
	}
	if f := in.WhenDeletedAtTwilio; f.Has() && f.Value != DeleteCopy && f.Value != KeepCopy {
		return nil, errs.New(errs.Invalid, "this is %s or %s", DeleteCopy, KeepCopy).At("whenDeletedAtTwilio")
	}
	var when *string // what is not given stays as it is at that moment
	if in.WhenDeletedAtTwilio.Has() {
		when = new(string(in.WhenDeletedAtTwilio.Value))
	}
	var swapped *bool
	if in.AreChannelsSwapped.Has() {
		swapped = &in.AreChannelsSwapped.Value
	}
	p := &Policy{}
	err = s.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if err := db.Select(ctx, tx, p, `INSERT INTO recording_policy AS policy (organization_id, when_deleted_at_twilio, are_channels_swapped, updated_at)
			VALUES ($1, coalesce($2::text, $5), coalesce($3::boolean, false), $4)
			ON CONFLICT (organization_id) DO UPDATE SET when_deleted_at_twilio = coalesce($2::text, policy.when_deleted_at_twilio),
				are_channels_swapped = coalesce($3::boolean, policy.are_channels_swapped), updated_at = $4
			RETURNING organization_id, when_deleted_at_twilio, are_channels_swapped, created_at, updated_at`,
			who.OrganizationID, when, swapped, tx.Now, string(DeleteCopy)); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "recording.policy", Subject: who.OrganizationID,
			Detail: map[string]any{"whenDeletedAtTwilio": p.WhenDeletedAtTwilio, "areChannelsSwapped": p.AreChannelsSwapped}})
	})
	return p, err
}
