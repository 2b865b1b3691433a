package contact

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/sheet"
)

// What an import takes at most.
const (
	MaxImportFile = 50 << 20 // bytes
	MaxImportRows = 200_000
	// maxUploads is how many files one person may have lying here.
	maxUploads = 50
	// uploadLifetime is how long a file waits for its import, importLifetime how long it
	// and the report of its rows are kept.
	uploadLifetime = 24 * time.Hour
	importLifetime = 7 * 24 * time.Hour
	previewRows    = 20
)

var (
	errNoUpload = errs.New(errs.NotFound, "there is no such upload, or it has expired; send the file again").At("uploadId")
	errNoFiles  = errs.New(errs.Unavailable, "this server keeps no files")
)

// Upload keeps a file for an import. It needs CONTACT_IMPORT. Codes: errs.Required
// for nothing, errs.LimitReached, errs.Invalid for what is no text.
func (s *Service) Upload(ctx context.Context, who access.Actor, name string, body io.Reader) (upload id.ID, size int64, err error) {
	if err := who.Require(access.ContactImport); err != nil {
		return upload, 0, err
	}
	if s.d.Files == nil {
		return upload, 0, errNoFiles
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	var n struct{ Count int }
	err = db.Select(ctx, s.db.App(), &n, `SELECT count(*) AS count FROM import_upload WHERE organization_id = $1 AND (uploaded_by = $2 OR uploaded_by_key = $3)`,
		who.OrganizationID, who.UserID, who.APIKeyID)
	if err != nil {
		return upload, 0, err
	}
	if n.Count >= maxUploads {
		return upload, 0, errs.New(errs.LimitReached, "%d files of yours are kept here, which is the most; wait until they expire", n.Count)
	}
	info, err := s.d.Files.Put(ctx, who.OrganizationID, body, MaxImportFile, func(head []byte) (string, error) {
		if _, err := sheet.NewReader(strings.NewReader(string(head))); err != nil {
			return "", readable(err)
		}
		return "text/csv", nil
	})
	if err != nil {
		return upload, 0, err
	}
	upload = id.New(id.Upload)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := db.Exec(ctx, tx, `INSERT INTO import_upload (organization_id, id, blob_key, name, size, uploaded_by, uploaded_by_key, expires_at, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, who.OrganizationID, upload, info.Key, fileName(name), info.Size, who.UserID, who.APIKeyID,
			tx.Now.Add(uploadLifetime), tx.Now)
		return err
	})
	if err != nil {
		_ = s.d.Files.Delete(context.WithoutCancel(ctx), who.OrganizationID, info.Key)
		return id.ID{}, 0, err
	}
	return upload, info.Size, nil
}

// fileName is the name of a file as it is shown.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.TrimSpace(name))
	if r := []rune(name); len(r) > maxName {
		name = string(r[:maxName])
	}
	if name == "" {
		return "import.csv"
	}
	return name
}

// readable makes what is wrong with a file something that a person can mend.
func readable(err error) error {
	var p *sheet.Problem
	if errors.As(err, &p) {
		return errs.New(errs.Invalid, "%s", p.Error())
	}
	return err
}

// upload is the key of a file that the actor sent, and its name.
func (s *Service) upload(ctx context.Context, who access.Actor, upload id.ID, now time.Time) (key, name string, err error) {
	if err := upload.Want(id.Upload); err != nil {
		return "", "", errs.New(errs.Invalid, "%s", err).At("uploadId")
	}
	if s.d.Files == nil {
		return "", "", errNoFiles
	}
	var row struct {
		Key  string `bun:"blob_key"`
		Name string `bun:"name"`
	}
	err = db.Select(ctx, s.db.App(), &row, `SELECT blob_key, name FROM import_upload
		WHERE organization_id = $1 AND id = $2 AND expires_at > $3 AND (uploaded_by = $4 OR uploaded_by_key = $5)`,
		who.OrganizationID, upload, now, who.UserID, who.APIKeyID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", errNoUpload
	}
	return row.Key, row.Name, err
}

// openFile begins to read a stored file: its head, and what follows.
func (s *Service) openFile(ctx context.Context, org id.ID, key string) (head sheet.Row, rows *sheet.Reader, done func() error, err error) {
	f, _, err := s.d.Files.Open(ctx, org, key)
	if errs.IsCode(err, errs.NotFound) {
		err = errNoUpload
	}
	if err != nil {
		return head, nil, nil, err
	}
	fail := func(err error) (sheet.Row, *sheet.Reader, func() error, error) {
		_ = f.Close()
		return sheet.Row{}, nil, nil, readable(err)
	}
	if rows, err = sheet.NewReader(f); err != nil {
		return fail(err)
	}
	head, err = rows.Next()
	if errors.Is(err, io.EOF) {
		return fail(errs.New(errs.Required, "the file has no rows"))
	}
	if err != nil {
		return fail(err)
	}
	for i, c := range head.Cells {
		head.Cells[i] = cellText(c)
	}
	return head, rows, f.Close, nil
}

// count reads a file to its end. Codes: errs.Invalid with the line, errs.LimitReached.
func count(ctx context.Context, rows *sheet.Reader, each func(sheet.Row)) (n int, err error) {
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, readable(err)
		}
		if n++; n > MaxImportRows {
			return n, errs.New(errs.LimitReached, "the file has more than %d rows; split it and import the parts one after the other", MaxImportRows)
		}
		if n%1000 == 0 && ctx.Err() != nil {
			return n, ctx.Err()
		}
		if each != nil {
			each(row)
		}
	}
}

// cellText is a cell as it was before somebody's export defused it.
func cellText(s string) string { return strings.TrimSpace(sheet.Undefuse(s)) }

// Preview is the beginning of a file and what its columns seem to hold. Nothing is
// kept. Codes: errs.NotFound, errs.Invalid with the line, errs.LimitReached.
func (s *Service) Preview(ctx context.Context, who access.Actor, upload id.ID) (_ *ImportPreview, err error) {
	if err := who.Require(access.ContactImport); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	key, _, err := s.upload(ctx, who, upload, s.db.Clock().Now())
	if err != nil {
		return nil, err
	}
	head, rows, done, err := s.openFile(ctx, who.OrganizationID, key)
	if err != nil {
		return nil, err
	}
	defer done()
	p := &ImportPreview{Encoding: rows.Encoding(), Separator: rows.Separator(), Columns: []*PreviewColumn{}, Rows: []*PreviewRow{}, Warnings: []string{}}
	longer := 0
	p.RowCount, err = count(ctx, rows, func(r sheet.Row) {
		if len(r.Cells) > len(head.Cells) {
			longer++
		}
		if len(p.Rows) < previewRows {
			p.Rows = append(p.Rows, &PreviewRow{Line: r.Line, Cells: shorten(r.Cells)})
		}
	})
	if err != nil {
		return nil, err
	}
	people, things := guess(head.Cells, contactWords, string(FieldPhone)), guess(head.Cells, recordWords)
	seen := map[string]bool{}
	for i, h := range head.Cells {
		c := &PreviewColumn{Column: i, Header: h}
		if f := ImportField(people[i]); f != "" {
			c.ContactField = &f
		}
		if f := RecordImportField(things[i]); f != "" {
			c.RecordField = &f
		}
		p.Columns = append(p.Columns, c)
		switch {
		case h == "":
			p.Warnings = append(p.Warnings, fmt.Sprintf("column %d has no head", i+1))
		case seen[strings.ToLower(h)]:
			p.Warnings = append(p.Warnings, fmt.Sprintf("the head %q is there twice; only the first of them is guessed", h))
		}
		seen[strings.ToLower(h)] = true
	}
	if longer > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d rows have more cells than the head; what is beyond it is left out", longer))
	}
	if p.RowCount == 0 {
		p.Warnings = append(p.Warnings, "the file has a head and no rows")
	}
	return p, nil
}

// shorten keeps a preview small.
func shorten(cells []string) []string {
	out := make([]string, len(cells))
	for i, c := range cells {
		if r := []rune(c); len(r) > maxName {
			c = string(r[:maxName]) + "…"
		}
		out[i] = c
	}
	return out
}

// The heads that people and programs give to columns, without anything but letters and digits.
var (
	contactWords = map[string][]string{
		string(FieldKind):              {"kind", "type", "contacttype", "recordtype"},
		string(FieldName):              {"name", "fullname", "contactname", "customername", "displayname", "customer", "client", "clientname"},
		string(FieldFirstName):         {"firstname", "givenname", "first", "forename"},
		string(FieldLastName):          {"lastname", "familyname", "surname", "last"},
		string(FieldCompany):           {"company", "companyname", "organization", "organisation", "business", "accountname"},
		string(FieldEmail):             {"email", "emailaddress", "mail", "email1value"},
		string(FieldCountry):           {"country", "countrycode"},
		string(FieldStatus):            {"status", "stage", "leadstatus"},
		string(FieldTags):              {"tags", "tag", "labels", "groups", "groupmembership"},
		string(FieldTimezone):          {"timezone", "tz"},
		string(FieldService):           {"service", "product", "interest"},
		string(FieldLocation):          {"location", "city", "town", "suburb", "region"},
		string(FieldExternalID):        {"externalid", "id", "contactid", "customerid", "leadid", "crmid", "customernumber", "customerno"},
		string(FieldPhone):             {"phone", "phonenumber", "telephone", "tel", "mobile", "mobilephone", "cell", "cellphone", "number", "homephone", "workphone", "businessphone", "phone1", "phone2", "phone3", "phone1value", "phone2value"},
		string(FieldAssignedUserEmail): {"assigneduseremail", "assignedto", "owner", "owneremail", "salesrep", "accountmanager"},
		string(FieldAccountExternalID): {"accountexternalid", "accountid", "companyid"},
	}
	recordWords = map[string][]string{
		string(RecordFieldKind):              {"kind", "type", "recordtype"},
		string(RecordFieldTitle):             {"title", "name", "subject", "job", "jobname", "summary", "description"},
		string(RecordFieldStatus):            {"status", "stage", "state"},
		string(RecordFieldExternalID):        {"externalid", "id", "recordid", "bookingid", "quoteid", "invoiceid", "jobid", "invoicenumber", "quotenumber", "bookingnumber", "reference"},
		string(RecordFieldContactExternalID): {"contactexternalid", "contactid", "customerid", "clientid", "customernumber"},
		string(RecordFieldContactPhone):      {"contactphone", "customerphone", "phone", "mobile", "phonenumber", "telephone"},
		string(RecordFieldContactEmail):      {"contactemail", "customeremail", "email"},
		string(RecordFieldAssignedUserEmail): {"assigneduseremail", "assignedto", "fieldworker", "technician", "owner", "owneremail"},
		string(RecordFieldStartsAt):          {"startsat", "start", "starttime", "startdate", "date", "bookingdate", "appointment"},
		string(RecordFieldEndsAt):            {"endsat", "end", "endtime", "enddate", "finish"},
		string(RecordFieldDueAt):             {"dueat", "due", "duedate"},
		string(RecordFieldExpiresAt):         {"expiresat", "expires", "expirydate", "validuntil"},
		string(RecordFieldNextServiceAt):     {"nextserviceat", "nextservice", "nextservicedate"},
		string(RecordFieldTags):              {"tags", "tag", "labels"},
		string(RecordFieldService):           {"service", "product", "jobtype"},
		string(RecordFieldLocation):          {"location", "address", "site", "suburb", "city"},
		string(RecordFieldAmount):            {"amount", "total", "price", "value", "totalamount"},
		string(RecordFieldCurrency):          {"currency", "currencycode"},
		string(RecordFieldTrackingURL):       {"trackingurl", "tracking", "trackinglink"},
		string(RecordFieldURL):               {"url", "link", "invoiceurl", "page"},
	}
)

// guess is what each column seems to hold; "" where that is not known. A field is
// guessed once, except those that several columns may hold.
func guess(heads []string, words map[string][]string, several ...string) []string {
	out := make([]string, len(heads))
	taken := map[string]bool{}
	for i, h := range heads {
		plain := strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return unicode.ToLower(r)
			}
			return -1
		}, h)
		for field, known := range words {
			if slices.Contains(known, plain) && (!taken[field] || slices.Contains(several, field)) {
				out[i], taken[field] = field, true
			}
		}
	}
	return out
}

// usedBlob is a stored file that is forgotten.
type usedBlob struct {
	OrganizationID id.ID   `bun:"organization_id"`
	Key            *string `bun:"blob_key"`
}

// sweepImports forgets the files, and the reports of their rows, that are kept no longer.
func (s *Service) sweepImports(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "contact.sweepImports")
	const batch = 20
	for found := batch; found == batch; {
		var ended, uploads []usedBlob
		err := s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			if err := db.Select(ctx, tx, &ended, `
				WITH due AS (
					SELECT i.organization_id, i.id, i.failed_key FROM contact_import i
					WHERE i.expires_at <= $1 AND i.upload_id IS NOT NULL LIMIT $2 FOR UPDATE SKIP LOCKED
				), forgotten AS (
					DELETE FROM contact_import_row r USING due d WHERE r.organization_id = d.organization_id AND r.import_id = d.id
				)
				UPDATE contact_import i SET upload_id = NULL, failed_key = NULL, version = i.version + 1, updated_at = $1,
					status = CASE WHEN i.ended_at IS NULL THEN 'FAILED' ELSE i.status END, ended_at = coalesce(i.ended_at, $1),
					problem = CASE WHEN i.ended_at IS NULL THEN 'it did not end in time' ELSE i.problem END
				FROM due d WHERE i.organization_id = d.organization_id AND i.id = d.id
				RETURNING i.organization_id, d.failed_key AS blob_key`, now, batch); err != nil {
				return err
			}
			return db.Select(ctx, tx, &uploads, `
				DELETE FROM import_upload u WHERE (u.organization_id, u.id) IN (
					SELECT x.organization_id, x.id FROM import_upload x WHERE x.expires_at <= $1
						AND NOT EXISTS (SELECT FROM contact_import i WHERE i.organization_id = x.organization_id AND i.upload_id = x.id)
					LIMIT $2 FOR UPDATE SKIP LOCKED)
				RETURNING u.organization_id, u.blob_key`, now, batch)
		})
		if err != nil {
			return err
		}
		for _, b := range slices.Concat(ended, uploads) {
			if b.Key == nil || s.d.Files == nil {
				continue
			}
			if err := s.d.Files.Delete(ctx, b.OrganizationID, *b.Key); err != nil && !errs.IsCode(err, errs.NotFound) {
				return err
			}
		}
		found = max(len(ended), len(uploads))
	}
	return nil
}
