package message

import (
	"context"

	"github.com/uptrace/bun"

	"switchboard/internal/db"
)

// rates are the prices that the organization really paid (R174).
func (s *Service) rates(ctx context.Context, q bun.IDB) (Rates, error) {
	var rows []struct {
		Country  string   `bun:"country"`
		Kind     RateKind `bun:"kind"`
		Micros   int64    `bun:"micros"`
		Currency string   `bun:"currency"`
	}
	err := db.Select(ctx, q, &rows, `SELECT country, kind, micros, currency FROM message_rate WHERE organization_id = $1`, db.TenantFrom(ctx))
	out := make(Rates, len(rows))
	for _, r := range rows {
		out[RateKey{r.Country, r.Kind}] = Money{r.Micros, r.Currency}
	}
	return out, err
}
