package number

import (
	"context"

	"github.com/uptrace/bun"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// MessageSender is a number as somebody may write from it.
type MessageSender struct {
	NumberID       id.ID      `bun:"id"`
	ConnectionID   id.ID      `bun:"connection_id"`
	BranchID       id.ID      `bun:"branch_id"`
	E164           phone.E164 `bun:"e164"`
	Country        string     `bun:"country"`
	IsDefault      bool       `bun:"is_default"`
	Takes          bool       `bun:"takes"` // as PhoneNumber.Takes
	CanSms         bool       `bun:"can_sms"`
	CanMms         bool       `bun:"can_mms"`
	UseForMessages bool       `bun:"use_for_messages"`
	MaySms         bool       `bun:"may_sms"` // R026: this user
	MayMms         bool       `bun:"may_mms"`
	SenderName     *string    `bun:"sender_name"`
	IsChecked      bool       `bun:"is_checked"` // Twilio said of its registrations
	A2pStatus      *string    `bun:"a2p_status"`
	TollFreeStatus *string    `bun:"toll_free_status"`
}

// MessageSenders are the numbers that D17 chooses from for a user's messages, the
// zero user being nobody in particular, and besides them those that are named, in
// any state. One statement.
func (s *Service) MessageSenders(ctx context.Context, q bun.IDB, user id.ID, also []id.ID) (rows []MessageSender, err error) {
	return rows, db.Select(ctx, q, &rows, `
		SELECT n.id, n.connection_id, n.branch_id, n.e164, n.country, n.is_default,
			n.is_enabled AND n.disconnected_at IS NULL AND c.is_enabled AND c.disconnected_at IS NULL AS takes,
			n.can_sms, n.can_mms, n.use_for_messages, coalesce(u.sms, true) AS may_sms, coalesce(u.mms, true) AS may_mms,
			n.sender_name, n.messaging_checked_at IS NOT NULL AS is_checked, n.a2p_status, n.toll_free_status`+fromNumber+`
		LEFT JOIN phone_number_user u ON u.organization_id = n.organization_id AND u.phone_number_id = n.id AND u.user_id = $2
			AND EXISTS (SELECT FROM team_user t WHERE t.organization_id = n.organization_id AND t.team_id = n.team_id AND t.user_id = $2)
		WHERE n.organization_id = $1 AND (n.id = ANY ($3::uuid[])
			OR n.is_enabled AND n.disconnected_at IS NULL AND c.is_enabled AND c.disconnected_at IS NULL)
		ORDER BY n.is_default DESC, n.id`, db.TenantFrom(ctx), user, also)
}
