package number

import (
	"context"

	"github.com/uptrace/bun"

	"switchboard/internal/db"
	"switchboard/internal/id"
)

// ByID is a number of the context's tenant, in any state. Code: errs.NotFound.
func (s *Service) ByID(ctx context.Context, q bun.IDB, number id.ID) (*PhoneNumber, error) {
	return numberByID(ctx, q, db.TenantFrom(ctx), number, "")
}

// AssignedTo is the number that each user has as their own (R041), in one statement.
func (s *Service) AssignedTo(ctx context.Context, users []id.ID) (map[id.ID][]id.ID, error) {
	var rows []struct {
		UserID id.ID `bun:"assigned_user_id"`
		ID     id.ID `bun:"id"`
	}
	err := db.Select(ctx, s.db.App(), &rows, `
		SELECT assigned_user_id, id FROM phone_number
		WHERE organization_id = $1 AND assigned_user_id = ANY($2::uuid[]) AND disconnected_at IS NULL`, db.TenantFrom(ctx), users)
	out := make(map[id.ID][]id.ID, len(rows))
	for _, r := range rows {
		out[r.UserID] = append(out[r.UserID], r.ID)
	}
	return out, err
}

const selectSIPDomain = `SELECT x.organization_id, x.id, x.connection_id, x.twilio_sid, x.domain_name, x.friendly_name, x.is_enabled, x.missing,
	x.previous_url, x.previous_status, x.checked_at, x.removed_at, x.created_at, x.updated_at FROM sip_domain x`

// SIPDomainsByIDs are SIP domains of the context's tenant by id, in one statement.
func (s *Service) SIPDomainsByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*SIPDomain, error) {
	var rows []*SIPDomain
	err := db.Select(ctx, s.db.App(), &rows, selectSIPDomain+` WHERE x.organization_id = $1 AND x.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	return byID(rows, func(x *SIPDomain) id.ID { return x.ID }), err
}

// PushCredentialsByConnections are what wakes the mobile devices of connections of
// the context's tenant, in one statement.
func (s *Service) PushCredentialsByConnections(ctx context.Context, connections []id.ID) (map[id.ID][]*PushCredential, error) {
	var rows []*PushCredential
	err := db.Select(ctx, s.db.App(), &rows, `
		SELECT organization_id, id, connection_id, platform, twilio_sid, is_sandbox, created_at, updated_at FROM push_credential
		WHERE organization_id = $1 AND connection_id = ANY ($2::uuid[]) ORDER BY platform`, db.TenantFrom(ctx), connections)
	out := make(map[id.ID][]*PushCredential, len(connections))
	for _, x := range rows {
		out[x.ConnectionID] = append(out[x.ConnectionID], x)
	}
	return out, err
}
