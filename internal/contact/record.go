package contact

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// RecordCreate is a new business record.
type RecordCreate struct {
	Kind           RecordKind
	Title          string
	Status         *string // OPEN unless told
	ExternalID     *string
	ContactID      id.ID
	AssignedUserID id.ID
	StartsAt       *time.Time
}

// CreateRecord adds a business record. Codes: errs.Required, errs.Invalid,
// errs.Taken for an external id of that kind, errs.NotFound for contact and user.
func (s *Service) CreateRecord(ctx context.Context, who access.Actor, in RecordCreate) (_ *Record, err error) {
	if err := who.Require(access.ContactEdit); err != nil {
		return nil, err
	}
	r := &Record{
		OrganizationID: who.OrganizationID, ID: id.New(id.Record), Kind: in.Kind, Status: "OPEN", ContactID: in.ContactID,
		AssignedUserID: in.AssignedUserID, StartsAt: in.StartsAt, Version: 1,
	}
	if !in.Kind.Known() {
		return nil, errs.New(errs.Invalid, "%q is not a kind of record", string(in.Kind)).At("kind")
	}
	if r.Title, err = checkText(in.Title, maxTitle, "title"); err != nil {
		return nil, err
	}
	status, err := checkOptional(in.Status, maxWord, "status")
	if err != nil {
		return nil, err
	}
	if status != nil {
		r.Status = *status
	}
	if r.ExternalID, err = checkOptional(in.ExternalID, maxName, "externalId"); err != nil {
		return nil, err
	}
	if err := checkUser(in.AssignedUserID); err != nil {
		return nil, err
	}
	if !in.ContactID.IsZero() {
		if err := in.ContactID.Want(id.Contact); err != nil {
			return nil, errs.New(errs.Invalid, "%s", err).At("contactId")
		}
	}
	if r.StartsAt != nil {
		if y := r.StartsAt.Year(); y < 1970 || y > 9999 {
			return nil, errs.New(errs.Invalid, "the start is not a time that can be kept").At("startsAt")
		}
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if seesOwnOnly(who) && !in.ContactID.IsZero() {
			// Otherwise a record of one's own would open any contact whose id is known.
			if _, err := one(ctx, tx, who, in.ContactID, ""); err != nil {
				return errs.New(errs.NotFound, "there is no such contact").At("contactId")
			}
		}
		r.Tags, r.Data = []string{}, map[string]string{}
		r.CreatedAt, r.UpdatedAt = tx.Now, tx.Now
		if _, err := tx.NewInsert().Model(r).Exec(ctx); err != nil {
			return err
		}
		return s.changed(ctx, tx, who, "record.create", r.ID, map[string]any{"kind": r.Kind})
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// RecordFilter says which records are wanted.
type RecordFilter struct {
	Kind           RecordKind // "" is any
	ContactID      id.ID
	AssignedUserID id.ID
}

const recordColumns = `r.organization_id, r.id, r.kind, r.external_id, r.title, r.status, r.tags, r.service, r.location, r.contact_id,
	r.assigned_user_id, r.amount_minor, r.currency, r.starts_at, r.ends_at, r.due_at, r.expires_at, r.next_service_at, r.eta_at, r.tracking_url,
	r.url, r.data, r.confirmed_at, r.source_updated_at, r.source_version, r.version, r.created_at, r.updated_at`

var errNoRecord = errs.New(errs.NotFound, "there is no such record, or you may not see it")

// Records is a page of the records that the actor sees, newest first: all, or
// with the visibility OWN those assigned to them.
func (s *Service) Records(ctx context.Context, who access.Actor, f RecordFilter, p db.Page) (w db.Window[*Record], err error) {
	if err := who.Require(access.ContactView); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	args := []any{who.OrganizationID, after.ID, limit + 1}
	var b strings.Builder
	b.WriteString(`SELECT ` + recordColumns + ` FROM record r WHERE r.organization_id = $1 AND r.id < $2`)
	next := func(condition string, v any) {
		args = append(args, v)
		b.WriteString(condition + "$" + strconv.Itoa(len(args)))
	}
	if seesOwnOnly(who) {
		next(` AND r.assigned_user_id = `, who.UserID)
	}
	if f.Kind != "" {
		next(` AND r.kind = `, string(f.Kind))
	}
	if !f.ContactID.IsZero() {
		next(` AND r.contact_id = `, f.ContactID)
	}
	if !f.AssignedUserID.IsZero() {
		next(` AND r.assigned_user_id = `, f.AssignedUserID)
	}
	b.WriteString(` ORDER BY r.id DESC LIMIT $3`)
	var rows []*Record
	if err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, b.String(), args...); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(r *Record) db.Keyset { return db.Keyset{At: r.CreatedAt, ID: r.ID} }), nil
}

// Record is one record that the actor sees, else errs.NotFound.
func (s *Service) Record(ctx context.Context, who access.Actor, record id.ID) (*Record, error) {
	if !who.Can(access.ContactView) {
		return nil, errNoRecord
	}
	found, err := s.RecordsByIDs(db.WithTenant(ctx, who.OrganizationID), []id.ID{record})
	if err != nil {
		return nil, err
	}
	r := found[record]
	if r == nil || (seesOwnOnly(who) && (who.UserID.IsZero() || r.AssignedUserID != who.UserID)) {
		return nil, errNoRecord
	}
	return r, nil
}

// SeesRecord reports whether the actor sees a record, for the nouns that link to one.
func SeesRecord(ctx context.Context, q bun.IDB, who access.Actor, record id.ID) (yes bool, err error) {
	if !who.Can(access.ContactView) {
		return false, nil
	}
	err = db.Select(ctx, q, &yes, `SELECT EXISTS (SELECT FROM record r WHERE r.organization_id = $1 AND r.id = $2
		AND (NOT $3::boolean OR r.assigned_user_id = $4))`, who.OrganizationID, record, seesOwnOnly(who), who.UserID)
	return yes, err
}

// RecordsByIDs are records of the context's tenant by id, in one statement.
func (s *Service) RecordsByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Record, error) {
	var rows []*Record
	err := db.Select(ctx, s.db.App(), &rows, `SELECT `+recordColumns+` FROM record r
		WHERE r.organization_id = $1 AND r.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	out := make(map[id.ID]*Record, len(rows))
	for _, r := range rows {
		out[r.ID] = r
	}
	return out, err
}
