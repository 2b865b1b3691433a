package contact

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/phone"
)

const importColumns = `i.organization_id, i.id, i.subject, i.status, i.upload_id, i.file_name, i.columns, i.kind, i.update_by, i.is_dry_run, i.country,
	i.row_count, i.done_count, i.created_count, i.updated_count, i.unchanged_count, i.failed_count, i.problem, i.failed_key, i.has_failed_file,
	i.created_by, i.created_by_key, i.told_at, i.ended_at, i.expires_at, i.version, i.created_at, i.updated_at`

const importRowColumns = `r.organization_id, r.import_id, r.line, r.status, r.subject_id, r.code, r.message, r.field, r.cells, r.created_at`

var errNoImport = errs.New(errs.NotFound, "there is no such import, or it is not yours")

// ImportCreate is a new import.
type ImportCreate struct {
	Subject  ImportSubject
	UploadID id.ID
	Columns  []ImportColumn // none: what they seem to be
	Kind     string         // of rows that say none
	UpdateBy ImportMatch
	DryRun   bool
	Country  string // of numbers without a country code; "" is the organization's
}

// CreateImport begins to import a file in the background. It needs CONTACT_IMPORT.
// Codes: errs.NotFound for the upload, errs.Invalid and errs.Required for the
// columns or, with the line, the file, errs.LimitReached for too many rows.
func (s *Service) CreateImport(ctx context.Context, who access.Actor, in ImportCreate, key string) (imp *Import, err error) {
	if err := who.Require(access.ContactImport); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	imp = &Import{OrganizationID: who.OrganizationID, ID: id.New(id.Import), Subject: in.Subject, Status: ImportQueued, UploadID: in.UploadID,
		UpdateBy: in.UpdateBy, IsDryRun: in.DryRun, CreatedByID: who.UserID, CreatedByKeyID: who.APIKeyID, Version: 1}
	if imp.UpdateBy == "" {
		imp.UpdateBy = MatchesNothing
	}
	if in.Kind != "" {
		if in.Subject == ImportsContacts && !Kind(in.Kind).Known() || in.Subject == ImportsRecords && !RecordKind(in.Kind).Known() {
			return nil, errs.New(errs.Invalid, "%q is not one of the kinds", in.Kind).At("kind")
		}
		imp.Kind = &in.Kind
	}
	if imp.CountryForNumbers, err = s.importCountry(ctx, who, in.Country); err != nil {
		return nil, err
	}
	if err := s.readWhole(ctx, who, imp, in.Columns); err != nil {
		return nil, err
	}
	mutation := "contactImportCreate"
	if in.Subject == ImportsRecords {
		mutation = "recordImportCreate"
	}
	err = s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		made, err := job.Once(ctx, tx, job.Key{User: actor(who), Mutation: mutation, Key: key}, in, func() (id.ID, error) {
			imp.CreatedAt, imp.UpdatedAt, imp.ExpiresAt = tx.Now, tx.Now, tx.Now.Add(importLifetime)
			// The file stays as long as the report of its rows.
			n, err := db.Exec(ctx, tx, `UPDATE import_upload SET expires_at = $3 WHERE organization_id = $1 AND id = $2`, who.OrganizationID, imp.UploadID, imp.ExpiresAt)
			if err != nil || n == 0 {
				return imp.ID, errors.Join(err, errNoUpload)
			}
			if _, err := tx.NewInsert().Model(imp).Exec(ctx); err != nil {
				return imp.ID, err
			}
			if err := audit.Write(ctx, tx, audit.Entry{ActorID: actor(who), Action: "contact.import", Subject: imp.ID,
				Detail: map[string]any{"subject": imp.Subject, "rows": imp.RowCount, "dryRun": imp.IsDryRun}}); err != nil {
				return imp.ID, err
			}
			return imp.ID, job.Insert(ctx, tx, importArgs{imp.OrganizationID, imp.ID, 0})
		})
		if err != nil || made == imp.ID {
			return err
		}
		imp, err = lockImport(ctx, tx, made)
		return err
	})
	if err != nil {
		return nil, err
	}
	return imp, nil
}

func (s *Service) importCountry(ctx context.Context, who access.Actor, country string) (string, error) {
	country = strings.ToUpper(strings.TrimSpace(country))
	if country == "" {
		return defaultCountry(ctx, s.db.App(), who.OrganizationID)
	}
	if phone.CallingCode(country) == 0 {
		return "", errs.New(errs.Invalid, "%q is not a country; use its two letters, such as AU", country).At("countryForNumbers")
	}
	return country, nil
}

// readWhole reads the file to its end before anything is promised: how many rows it
// has, and what its columns hold.
func (s *Service) readWhole(ctx context.Context, who access.Actor, imp *Import, columns []ImportColumn) error {
	key, name, err := s.upload(ctx, who, imp.UploadID, s.db.Clock().Now())
	if err != nil {
		return err
	}
	head, rows, done, err := s.openFile(ctx, who.OrganizationID, key)
	if err != nil {
		return err
	}
	defer done()
	if imp.RowCount, err = count(ctx, rows, nil); err != nil {
		return err
	}
	if imp.RowCount == 0 {
		return errs.New(errs.Required, "the file has a head and no rows").At("uploadId")
	}
	imp.FileName = name
	imp.Columns, err = mapped(imp.Subject, head.Cells, columns)
	return err
}

// mapped is what each column of the file holds.
func mapped(subject ImportSubject, heads []string, columns []ImportColumn) ([]ImportColumn, error) {
	out := make([]ImportColumn, len(heads))
	words, several := contactWords, map[string]bool{string(FieldPhone): true}
	needs := []string{string(FieldName), string(FieldFirstName), string(FieldLastName), string(FieldCompany), string(FieldExternalID)}
	if subject == ImportsRecords {
		words, several = recordWords, map[string]bool{string(RecordFieldData): true}
		needs = []string{string(RecordFieldTitle), string(RecordFieldExternalID)}
	}
	for i, h := range heads {
		out[i] = ImportColumn{Column: i, Header: h}
	}
	if columns == nil {
		for i, field := range guess(heads, words, string(FieldPhone)) {
			if field != string(FieldPhone) || subject == ImportsContacts {
				out[i].Field = field
			}
		}
	}
	taken, keys := map[string]bool{}, map[string]bool{}
	for i, c := range columns {
		at := strconv.Itoa(i)
		switch {
		case c.Column < 0 || c.Column >= len(heads):
			return nil, errs.New(errs.Invalid, "the file has no column %d; its columns are 0 to %d", c.Column, len(heads)-1).At("columns", at, "column")
		case out[c.Column].Field != "":
			return nil, errs.New(errs.Invalid, "column %d is there twice; a column holds one thing", c.Column).At("columns", at, "column")
		case taken[c.Field] && !several[c.Field]:
			return nil, errs.New(errs.Invalid, "two columns hold the %s; choose one of them", c.Field).At("columns", at, "field")
		case c.Field == string(RecordFieldData) && subject == ImportsRecords:
			if !datumKey.MatchString(c.Key) || keys[c.Key] {
				return nil, errs.New(errs.Invalid, "a field of your own needs a key of its own: a small letter, then up to 39 letters, digits and underscores").At("columns", at, "key")
			}
			keys[c.Key] = true
		}
		taken[c.Field] = true
		out[c.Column].Field, out[c.Column].Key = c.Field, c.Key
	}
	for _, c := range out {
		taken[c.Field] = true
	}
	for _, f := range needs {
		if taken[f] {
			return out, nil
		}
	}
	return nil, errs.New(errs.Required, "no column holds what things are called; say which one does: %s", strings.Join(needs, " or ")).At("columns")
}

// seesImport reports whether it is the actor's own, or they see all.
func seesImport(who access.Actor, imp *Import) bool {
	return who.Can(access.ContactImport) && (imp.principal() == actor(who) || who.Can(access.SettingsManage))
}

// Import is one import that the actor sees, else errs.NotFound.
func (s *Service) Import(ctx context.Context, who access.Actor, imp id.ID) (*Import, error) {
	found, err := s.ImportsByIDs(ctx, who, []id.ID{imp})
	if err != nil {
		return nil, err
	}
	if found[imp] == nil {
		return nil, errNoImport
	}
	return found[imp], nil
}

// ImportsByIDs are those of the imports that the actor sees, in one statement.
func (s *Service) ImportsByIDs(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Import, error) {
	var rows []*Import
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, `SELECT `+importColumns+` FROM contact_import i
		WHERE i.organization_id = $1 AND i.id = ANY ($2::uuid[])`, who.OrganizationID, ids)
	out := make(map[id.ID]*Import, len(rows))
	for _, x := range rows {
		if seesImport(who, x) {
			out[x.ID] = x
		}
	}
	return out, err
}

// Imports is a page of the actor's imports, newest first; with SETTINGS_MANAGE of all.
func (s *Service) Imports(ctx context.Context, who access.Actor, p db.Page) (w db.Window[*Import], err error) {
	if err := who.Require(access.ContactImport); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	query, args := `SELECT `+importColumns+` FROM contact_import i WHERE i.organization_id = $1 AND i.id < $2`, []any{who.OrganizationID, after.ID, limit + 1}
	switch {
	case who.Can(access.SettingsManage):
	case who.UserID.IsZero():
		query, args = query+` AND i.created_by_key = $4`, append(args, who.APIKeyID)
	default:
		query, args = query+` AND i.created_by = $4`, append(args, who.UserID)
	}
	var rows []*Import
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, query+` ORDER BY i.id DESC LIMIT $3`, args...)
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(x *Import) db.Keyset { return db.Keyset{At: x.CreatedAt, ID: x.ID} }), nil
}

// ImportRows is a page of what became of the rows of an import that the actor sees,
// in the order of the file; "" is every status. The cursor is the line.
func (s *Service) ImportRows(ctx context.Context, who access.Actor, imp id.ID, status UpsertStatus, first *int, after string) (rows []*ImportRow, more bool, err error) {
	if _, err := s.Import(ctx, who, imp); err != nil {
		return nil, false, err
	}
	p := db.Page{}
	if first != nil {
		p.First = *first
	}
	limit, err := p.Limit()
	if err != nil {
		return nil, false, err
	}
	last := 0
	if after != "" {
		if last, err = strconv.Atoi(after); err != nil || last < 0 {
			return nil, false, errs.New(errs.Invalid, "this is no cursor of ours").At("after")
		}
	}
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, `SELECT `+importRowColumns+` FROM contact_import_row r
		WHERE r.organization_id = $1 AND r.import_id = $2 AND r.line > $3 AND ($4 = '' OR r.status = $4) ORDER BY r.line LIMIT $5`,
		who.OrganizationID, imp, last, string(status), limit+1)
	if err != nil {
		return nil, false, err
	}
	if more = len(rows) > limit; more {
		rows = rows[:limit]
	}
	return rows, more, nil
}

// Cursor is the place of the row.
func (r *ImportRow) Cursor() string { return fmt.Sprint(r.Line) }

// ContactID is the contact of a row of a file of contacts.
func (r *ImportRow) ContactID() id.ID { return r.subject(id.Contact) }

// RecordID is the record of a row of a file of records.
func (r *ImportRow) RecordID() id.ID { return r.subject(id.Record) }

func (r *ImportRow) subject(kind id.Kind) id.ID {
	if r.SubjectID.Kind() == kind {
		return r.SubjectID
	}
	return id.ID{}
}

// Problem is why the row was refused; nil when it was not.
func (r *ImportRow) Problem() error {
	if r.Code == nil || r.Message == nil {
		return nil
	}
	return errs.New(*r.Code, "%s", *r.Message).At(r.Field...)
}

// CancelImport ends an import; what was read stays as it is. One that ended is left
// as it is. Codes: errs.NotFound.
func (s *Service) CancelImport(ctx context.Context, who access.Actor, imp id.ID) (x *Import, err error) {
	if err := who.Require(access.ContactImport); err != nil {
		return nil, err
	}
	err = s.db.InTxAgain(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if x, err = lockImport(ctx, tx, imp); err != nil {
			return err
		}
		if x == nil || !seesImport(who, x) {
			return errNoImport
		}
		if x.EndedAt != nil {
			return nil
		}
		x.Status, x.EndedAt = ImportCanceled, &tx.Now
		if err := s.saveImport(ctx, tx, x); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Entry{ActorID: actor(who), Action: "contact.importCancel", Subject: imp}); err != nil {
			return err
		}
		return job.Insert(ctx, tx, importArgs{x.OrganizationID, x.ID, x.DoneCount}) // for the file of what was refused
	})
	if err != nil {
		return nil, err
	}
	return x, nil
}
