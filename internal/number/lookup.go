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
