package access

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
	db.RegisterConstraint("role_name_unique", errs.New(errs.Taken, "another role has this name").At("name"))
}

const roleColumns = `organization_id, id, name, built_in, permissions, visibility, created_at, updated_at`

// RoleByID reads one role of the context's tenant; errs.NotFound when there is none.
func RoleByID(ctx context.Context, q bun.IDB, role id.ID) (*Role, error) {
	return oneRole(ctx, q, `SELECT `+roleColumns+` FROM role WHERE organization_id = $1 AND id = $2`, db.TenantFrom(ctx), role)
}

func lockRole(ctx context.Context, tx *db.Tx, org, role id.ID) (*Role, error) {
	return oneRole(ctx, tx, `SELECT `+roleColumns+` FROM role WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE`, org, role)
}

// LockAdmin reads the role ADMIN of the context's tenant and holds it until the
// end of the transaction, so that whoever counts administrators counts alone.
func LockAdmin(ctx context.Context, tx *db.Tx) (*Role, error) {
	return oneRole(ctx, tx, `SELECT `+roleColumns+` FROM role WHERE organization_id = $1 AND built_in = 'ADMIN' FOR NO KEY UPDATE`, db.TenantFrom(ctx))
}

func oneRole(ctx context.Context, q bun.IDB, query string, args ...any) (*Role, error) {
	r := &Role{}
	err := db.Select(ctx, q, r, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errs.New(errs.NotFound, "there is no such role")
	}
	return r, err
}

func listRoles(ctx context.Context, q bun.IDB, org id.ID) (out []*Role, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+roleColumns+` FROM role WHERE organization_id = $1
		ORDER BY built_in IS NULL, created_at, id LIMIT 1000`, org)
	return out, err
}

func rolesByIDs(ctx context.Context, q bun.IDB, ids []id.ID) (out []*Role, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+roleColumns+` FROM role WHERE organization_id = $1 AND id = ANY($2)`, db.TenantFrom(ctx), ids)
	return out, err
}

func countRoles(ctx context.Context, q bun.IDB, org id.ID) (n int, err error) {
	err = db.Select(ctx, q, &n, `SELECT count(*) FROM role WHERE organization_id = $1`, org)
	return n, err
}

func insertRole(ctx context.Context, tx *db.Tx, r *Role) error {
	_, err := tx.NewInsert().Model(r).Exec(ctx)
	return db.Translate(err)
}

func updateRole(ctx context.Context, tx *db.Tx, r *Role) error {
	_, err := tx.NewUpdate().Model(r).Column("name", "permissions", "visibility", "updated_at").WherePK().Exec(ctx)
	return db.Translate(err)
}
