package message

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
	db.RegisterConstraint("template_name_unique", errs.New(errs.Taken, "another template in use has this name; choose another one").At("input", "name"))
}

const templateColumns = `tp.organization_id, tp.id, tp.kind, tp.name, tp.body, tp.purpose, tp.record_kind, tp.is_archived, tp.created_by, tp.version, tp.created_at, tp.updated_at`

var errNoTemplate = errs.New(errs.NotFound, "there is no such template")

// TemplateByID is a template of the context's tenant, also an archived one, else
// errs.NotFound.
func TemplateByID(ctx context.Context, q bun.IDB, template id.ID) (*SavedTemplate, error) {
	return oneTemplate(ctx, q, template, `SELECT `+templateColumns+` FROM message_template tp WHERE tp.organization_id = $1 AND tp.id = $2`)
}

func lockTemplate(ctx context.Context, tx *db.Tx, template id.ID) (*SavedTemplate, error) {
	return oneTemplate(ctx, tx, template, `SELECT `+templateColumns+` FROM message_template tp WHERE tp.organization_id = $1 AND tp.id = $2 FOR NO KEY UPDATE`)
}

func oneTemplate(ctx context.Context, q bun.IDB, template id.ID, query string) (*SavedTemplate, error) {
	t := &SavedTemplate{}
	err := db.Select(ctx, q, t, query, db.TenantFrom(ctx), template)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoTemplate
	}
	return t, err
}

func templatesByIDs(ctx context.Context, q bun.IDB, ids []id.ID) (out []*SavedTemplate, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+templateColumns+` FROM message_template tp WHERE tp.organization_id = $1 AND tp.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	return out, err
}

// listTemplates looks through them: there are few, and words of a text have no index.
func listTemplates(ctx context.Context, q bun.IDB, f TemplateFilter, after db.Keyset, limit int) (out []*SavedTemplate, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+templateColumns+` FROM message_template tp
		WHERE tp.organization_id = $1 AND (tp.created_at, tp.id) < ($2, $3) AND ($5::boolean OR NOT tp.is_archived)
			AND ($6::text = '' OR tp.kind = $6) AND ($7::text = '' OR tp.purpose = $7) AND ($8::text = '' OR tp.record_kind = $8 OR tp.record_kind IS NULL)
			AND ($9::text = '' OR strpos(lower(tp.name), lower($9)) > 0 OR strpos(lower(tp.body), lower($9)) > 0)
		ORDER BY tp.created_at DESC, tp.id DESC LIMIT $4`,
		db.TenantFrom(ctx), after.At, after.ID, limit, f.WithArchived, string(f.Kind), string(f.Purpose), string(f.RecordKind), f.Search)
	return out, err
}

// countTemplates counts alone: who makes another one waits.
func countTemplates(ctx context.Context, tx *db.Tx, org id.ID) (n int, err error) {
	if _, err := db.Exec(ctx, tx, `SELECT FROM organization WHERE organization_id = $1 FOR NO KEY UPDATE`, org); err != nil {
		return 0, err
	}
	err = db.Select(ctx, tx, &n, `SELECT count(*) FROM message_template WHERE organization_id = $1 AND NOT is_archived`, org)
	return n, err
}

func insertTemplate(ctx context.Context, tx *db.Tx, t *SavedTemplate) error {
	_, err := db.Exec(ctx, tx, `INSERT INTO message_template (organization_id, id, kind, name, body, purpose, record_kind, created_by, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)`,
		t.OrganizationID, t.ID, string(t.Kind), t.Name, t.Body, string(t.Purpose), t.RecordKind, t.CreatedByID, t.Version, t.CreatedAt)
	return err
}

func saveTemplate(ctx context.Context, tx *db.Tx, t *SavedTemplate) error {
	_, err := db.Exec(ctx, tx, `UPDATE message_template SET name = $3, body = $4, purpose = $5, record_kind = $6, is_archived = $7, version = $8, updated_at = $9
		WHERE organization_id = $1 AND id = $2`, t.OrganizationID, t.ID, t.Name, t.Body, string(t.Purpose), t.RecordKind, t.IsArchived, t.Version, t.UpdatedAt)
	return err
}

// userName is what a person of the context's tenant is called; "" for nobody.
func userName(ctx context.Context, q bun.IDB, user id.ID) (name string, err error) {
	if user.IsZero() {
		return "", nil
	}
	err = db.Select(ctx, q, &name, `SELECT u.name FROM "user" u WHERE u.organization_id = $1 AND u.id = $2`, db.TenantFrom(ctx), user)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return name, err
}
