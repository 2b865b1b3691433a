package tenant

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

func init() {
	db.RegisterConstraint("organization_hold_music", errs.New(errs.NotFound, "there is no such audio; upload it first").At("holdMusicId"))
}

const columns = `organization_id, name, time_zone, default_country, company_phone, display_office_number, disabled_features,
	hold_music_audio_id, dial_format, call_countries, max_concurrent_calls, max_calls_per_user_hour, customers_may_call_fieldworkers, created_at, updated_at`

// Read gives the organization of the context's tenant, inside or outside a
// transaction, for those who need its country, zone or switches.
func Read(ctx context.Context, q bun.IDB) (*Organization, error) {
	return byID(ctx, q, db.TenantFrom(ctx))
}

// ByIDs gives the organizations that exist within the context's tenant.
func (s *Service) ByIDs(ctx context.Context, ids []id.ID) (out []*Organization, err error) {
	err = db.Select(ctx, s.d.DB.App(), &out, `SELECT `+columns+` FROM organization WHERE organization_id = ANY($1) AND organization_id = $2`,
		ids, db.TenantFrom(ctx))
	return out, err
}

func byID(ctx context.Context, q bun.IDB, org id.ID) (*Organization, error) {
	return one(ctx, q, `SELECT `+columns+` FROM organization WHERE organization_id = $1`, org)
}

func lock(ctx context.Context, tx *db.Tx, org id.ID) (*Organization, error) {
	return one(ctx, tx, `SELECT `+columns+` FROM organization WHERE organization_id = $1 FOR NO KEY UPDATE`, org)
}

func one(ctx context.Context, q bun.IDB, query string, args ...any) (*Organization, error) {
	o := &Organization{}
	err := db.Select(ctx, q, o, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errs.New(errs.NotFound, "there is no such organization")
	}
	return o, err
}

func insert(ctx context.Context, tx *db.Tx, o *Organization) error {
	_, err := tx.NewInsert().Model(o).Exec(ctx)
	return db.Translate(err)
}

func update(ctx context.Context, tx *db.Tx, o *Organization) error {
	_, err := tx.NewUpdate().Model(o).WherePK().ExcludeColumn("created_at").Exec(ctx)
	return db.Translate(err)
}

// Any reports whether the installation has an organization.
func (s *Service) Any(ctx context.Context) (found bool, err error) {
	defer errs.Wrap(&err, "tenant.Any")
	var row struct {
		Found bool `bun:"found"`
	}
	err = db.Select(ctx, s.d.DB.Worker(), &row, `SELECT EXISTS (SELECT FROM organization) AS found`)
	return row.Found, err
}
