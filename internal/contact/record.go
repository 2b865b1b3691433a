package contact

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/tenant"
)

// statusOpen is the status of a record that has none of the business's own.
const statusOpen = "OPEN"

// RecordCreate is a new business record.
type RecordCreate struct {
	Kind           RecordKind
	Title          string
	Status         *string // OPEN unless told
	ExternalID     *string
	ContactID      id.ID
	AssignedUserID id.ID
	StartsAt       *time.Time
	// More is everything else that a record can hold. What is named above counts.
	More RecordUpdate
}

// CreateRecord adds a business record. Codes: errs.Required, errs.Invalid,
// errs.Taken for an external id of that kind, errs.NotFound for contact and user.
func (s *Service) CreateRecord(ctx context.Context, who access.Actor, in RecordCreate) (r *Record, err error) {
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		r, err = CreateRecordIn(ctx, tx, who, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// CreateRecordIn is CreateRecord within the caller's transaction.
func CreateRecordIn(ctx context.Context, tx *db.Tx, who access.Actor, in RecordCreate) (_ *Record, err error) {
	if err := who.Require(access.ContactEdit); err != nil {
		return nil, err
	}
	if !in.Kind.Known() {
		return nil, errs.New(errs.Invalid, "%q is not a kind of record", string(in.Kind)).At("kind")
	}
	r := newRecord(who.OrganizationID, in.Kind)
	if r.ExternalID, err = checkOptional(in.ExternalID, maxName, "externalId"); err != nil {
		return nil, err
	}
	more := in.More
	more.Title, more.Status = patch.To(in.Title), patch.From(in.Status != nil, in.Status)
	more.ContactID, more.AssignedUserID = patch.To(in.ContactID), patch.To(in.AssignedUserID)
	more.StartsAt = patch.From(in.StartsAt != nil, in.StartsAt)
	if err := r.apply(more); err != nil {
		return nil, err
	}
	if err := mayName(ctx, tx, who, r.ContactID); err != nil {
		return nil, err
	}
	r.CreatedAt, r.UpdatedAt = tx.Now, tx.Now
	if _, err := tx.NewInsert().Model(r).Exec(ctx); err != nil {
		return nil, err
	}
	return r, changed(ctx, tx, who, "record.create", r.ID, map[string]any{"kind": r.Kind})
}

func newRecord(org id.ID, kind RecordKind) *Record {
	return &Record{OrganizationID: org, ID: id.New(id.Record), Kind: kind, Status: statusOpen, Tags: []string{}, Data: map[string]string{}, Version: 1}
}

// mayName refuses a contact that the actor does not see: otherwise a record of
// one's own would open any contact whose id is known.
func mayName(ctx context.Context, q bun.IDB, who access.Actor, contact id.ID) error {
	if !seesOwnOnly(who) || contact.IsZero() {
		return nil
	}
	if _, err := one(ctx, q, who, contact, ""); err != nil {
		return errs.New(errs.NotFound, "there is no such contact").At("contactId")
	}
	return nil
}

// RecordUpdate changes a record: absent keeps, null clears.
type RecordUpdate struct {
	Title          patch.Field[string]
	Status         patch.Field[string]
	Tags           patch.Field[[]string]
	Service        patch.Field[string]
	Location       patch.Field[string]
	ContactID      patch.Field[id.ID]
	AssignedUserID patch.Field[id.ID]
	Amount         patch.Field[Money]
	StartsAt       patch.Field[time.Time]
	EndsAt         patch.Field[time.Time]
	DueAt          patch.Field[time.Time]
	ExpiresAt      patch.Field[time.Time]
	NextServiceAt  patch.Field[time.Time]
	EtaAt          patch.Field[time.Time]
	TrackingURL    patch.Field[string]
	URL            patch.Field[string]
	Data           patch.Field[[]Datum] // all of it
	ConfirmedAt    patch.Field[time.Time]
}

// UpdateRecord changes a record that the actor may see. What changes nothing
// leaves no trace. Codes: errs.NotFound, those of CreateRecord.
func (s *Service) UpdateRecord(ctx context.Context, who access.Actor, record id.ID, in RecordUpdate) (r *Record, err error) {
	if err := mayEdit(who); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if in.ContactID.Set {
			if err := tenant.BeforeDeleting(ctx, tx); err != nil {
				return err
			}
		}
		if r, err = lockRecord(ctx, tx, record); err != nil {
			return err
		}
		if !seesRecord(who, r) {
			return errNoRecord
		}
		before, was := r.content(), r.ContactID
		if err := r.apply(in); err != nil {
			return err
		}
		if r.content() == before {
			return nil
		}
		if in.ContactID.Has() {
			if err := mayName(ctx, tx, who, r.ContactID); err != nil {
				return err
			}
		}
		if was != r.ContactID {
			if err := tenant.MayUnlink(ctx, tx, was, "input", "contactId"); err != nil {
				return err
			}
		}
		if err := saveRecord(ctx, tx, r); err != nil {
			return err
		}
		return changed(ctx, tx, who, "record.update", r.ID, map[string]any{"fields": in.fields()})
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Record) apply(in RecordUpdate) (err error) {
	if in.Title.Set {
		if r.Title, err = checkText(in.Title.Value, maxTitle, "title"); err != nil {
			return err
		}
	}
	status := &r.Status
	if err := change(in.Status, &status, optional(maxWord, "status")); err != nil {
		return err
	}
	r.Status = statusOpen
	if status != nil {
		r.Status = *status
	}
	if in.Tags.Set {
		if r.Tags, err = checkTags(in.Tags.Value); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		in    patch.Field[string]
		dst   **string
		check func(*string) (*string, error)
	}{
		{in.Service, &r.Service, optional(maxWord, "service")}, {in.Location, &r.Location, optional(maxWord, "location")},
		{in.TrackingURL, &r.TrackingURL, checkURL("trackingUrl")}, {in.URL, &r.URL, checkURL("url")},
	} {
		if err := change(f.in, f.dst, f.check); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		in   patch.Field[time.Time]
		dst  **time.Time
	}{
		{"startsAt", in.StartsAt, &r.StartsAt}, {"endsAt", in.EndsAt, &r.EndsAt}, {"dueAt", in.DueAt, &r.DueAt},
		{"expiresAt", in.ExpiresAt, &r.ExpiresAt}, {"nextServiceAt", in.NextServiceAt, &r.NextServiceAt}, {"etaAt", in.EtaAt, &r.EtaAt},
		{"confirmedAt", in.ConfirmedAt, &r.ConfirmedAt},
	} {
		if f.in.Has() {
			if f.in.Value, err = checkTime(f.in.Value, f.name); err != nil {
				return err
			}
		}
		f.in.ApplyPtr(f.dst)
	}
	if r.StartsAt != nil && r.EndsAt != nil && r.EndsAt.Before(*r.StartsAt) && (in.StartsAt.Set || in.EndsAt.Set) {
		return errs.New(errs.Invalid, "the end is before the start").At("endsAt")
	}
	switch {
	case in.Amount.Has():
		m, err := checkMoney(in.Amount.Value)
		if err != nil {
			return err
		}
		r.AmountMinor, r.Currency = &m.AmountMinor, &m.Currency
	case in.Amount.Set:
		r.AmountMinor, r.Currency = nil, nil
	}
	if in.Data.Set {
		if r.Data, err = checkData(in.Data.Value); err != nil {
			return err
		}
	}
	if err := checkUser(in.AssignedUserID.Value); err != nil {
		return err
	}
	in.AssignedUserID.Apply(&r.AssignedUserID)
	if x := in.ContactID.Value; !x.IsZero() {
		if err := x.Want(id.Contact); err != nil {
			return errs.New(errs.Invalid, "%s", err).At("contactId")
		}
	}
	in.ContactID.Apply(&r.ContactID)
	return nil
}

// fields names what the change mentions, for the audit record: no values.
func (in RecordUpdate) fields() []string {
	return mentioned(
		"title", in.Title.Set, "status", in.Status.Set, "tags", in.Tags.Set, "service", in.Service.Set, "location", in.Location.Set,
		"contactId", in.ContactID.Set, "assignedUserId", in.AssignedUserID.Set, "amount", in.Amount.Set, "startsAt", in.StartsAt.Set,
		"endsAt", in.EndsAt.Set, "dueAt", in.DueAt.Set, "expiresAt", in.ExpiresAt.Set, "nextServiceAt", in.NextServiceAt.Set,
		"etaAt", in.EtaAt.Set, "trackingUrl", in.TrackingURL.Set, "url", in.URL.Set, "data", in.Data.Set, "confirmedAt", in.ConfirmedAt.Set,
	)
}

// mentioned takes names, each followed by whether it is meant.
func mentioned(pairs ...any) (out []string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1].(bool) {
			out = append(out, pairs[i].(string))
		}
	}
	return out
}

// RecordFilter says which records are wanted.
type RecordFilter struct {
	Kind           RecordKind // "" is any
	ContactID      id.ID
	AssignedUserID id.ID
	// R135: the business's own words, exactly as they are written.
	Status, Tag, Service, Location       string
	StartsAfter, StartsBefore, DueBefore time.Time // zero is any; before excludes the moment itself
}

// where is the filter's condition on record r, after the arguments that are there.
// Its first argument is the organization.
func (f RecordFilter) where(who access.Actor, args []any) (string, []any) {
	var b strings.Builder
	b.WriteString(` r.organization_id = $1`)
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
	for _, w := range []struct{ condition, word string }{
		{` AND r.status = `, f.Status}, {` AND r.service = `, f.Service}, {` AND r.location = `, f.Location},
	} {
		if w.word != "" {
			next(w.condition, w.word)
		}
	}
	if f.Tag != "" {
		next(` AND r.tags @> ARRAY[`, f.Tag)
		b.WriteString(`]::text[]`)
	}
	for _, t := range []struct {
		condition string
		at        time.Time
	}{{` AND r.starts_at > `, f.StartsAfter}, {` AND r.starts_at < `, f.StartsBefore}, {` AND r.due_at < `, f.DueBefore}} {
		if !t.at.IsZero() {
			next(t.condition, t.at)
		}
	}
	return b.String(), args
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
	where, args := f.where(who, []any{who.OrganizationID, after.ID, limit + 1})
	var rows []*Record
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows,
		`SELECT `+recordColumns+` FROM record r WHERE`+where+` AND r.id < $2 ORDER BY r.id DESC LIMIT $3`, args...)
	if err != nil {
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
	if r == nil || !seesRecord(who, r) {
		return nil, errNoRecord
	}
	return r, nil
}

// seesRecord reports whether the record lies within the actor's visibility.
func seesRecord(who access.Actor, r *Record) bool {
	return !seesOwnOnly(who) || !who.UserID.IsZero() && r.AssignedUserID == who.UserID
}

// RecordSeenBy is the SQL condition that the actor sees the record of the given alias.
func RecordSeenBy(alias string, who access.Actor, arg func(any) string) string {
	if !seesOwnOnly(who) {
		return "true"
	}
	return alias + ".assigned_user_id = " + arg(who.UserID)
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

// RecordsNamed are records by id, in one statement, as a call or a message of the
// actor's speaks of them: one that they do not see says what it is and whom it is
// for, and no more (R243).
func (s *Service) RecordsNamed(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Record, error) {
	if !who.Can(access.ContactView) {
		return nil, nil
	}
	out, err := s.RecordsByIDs(db.WithTenant(ctx, who.OrganizationID), ids)
	for x, r := range out {
		if !seesRecord(who, r) {
			out[x] = &Record{OrganizationID: r.OrganizationID, ID: r.ID, Kind: r.Kind, ExternalID: r.ExternalID, Title: r.Title, Status: r.Status,
				Tags: []string{}, ContactID: r.ContactID, AssignedUserID: r.AssignedUserID, StartsAt: r.StartsAt, Version: r.Version,
				CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
		}
	}
	return out, err
}

// lockRecord is a record of the tenant, whoever asks.
func lockRecord(ctx context.Context, tx *db.Tx, record id.ID) (*Record, error) {
	r := &Record{}
	err := db.Select(ctx, tx, r, `SELECT `+recordColumns+` FROM record r WHERE r.organization_id = $1 AND r.id = $2 FOR NO KEY UPDATE OF r`,
		db.TenantFrom(ctx), record)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoRecord
	}
	return r, err
}

func saveRecord(ctx context.Context, tx *db.Tx, r *Record) error {
	r.Version, r.UpdatedAt = r.Version+1, tx.Now
	_, err := tx.NewUpdate().Model(r).WherePK().Exec(ctx)
	return err
}
