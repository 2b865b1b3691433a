package contact

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/blob"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/sheet"
)

const (
	// importBatch is how many rows one transaction takes.
	importBatch = 500
	// importStretch is how many batches one job takes before it makes way for others.
	importStretch = 40
	// toldEvery is how often the progress of an import is told.
	toldEvery = time.Second
)

// importArgs are the arguments of the job that reads on in a file.
type importArgs struct {
	OrganizationID id.ID `json:"organizationId"`
	ImportID       id.ID `json:"importId"`
	From           int   `json:"from"` // the rows that were read when it was inserted
}

// Kind names the job.
func (importArgs) Kind() string { return "contact.import" }

// Tenant is whose it is.
func (a importArgs) Tenant() id.ID { return a.OrganizationID }

// Queue keeps it from what somebody waits for.
func (importArgs) InsertOpts() job.Options { return job.Options{Queue: job.Bulk, MaxAttempts: 10} }

// Timeout is for one stretch.
func (importArgs) Timeout() time.Duration { return 15 * time.Minute }

// Register says how imports are carried out and forgotten.
func (s *Service) Register(r *job.Runner) {
	job.Handle(r, s.carryOn)
	r.Sweep("contact.imports", time.Hour, s.sweepImports)
}

// carryOn reads a stretch of the file, a batch in one transaction with its place: a
// killed process leaves what was read and goes on there.
func (s *Service) carryOn(ctx context.Context, a importArgs) (err error) {
	defer errs.Wrap(&err, "contact.import")
	imp, key, err := s.importForJob(ctx, a)
	if err != nil || imp == nil {
		return err
	}
	if imp.EndedAt == nil {
		err = s.stretch(ctx, a, imp, key)
	}
	switch e, ok := errs.As(err); {
	case ok && e.Code != errs.Internal && e.Code != errs.Unavailable: // whoever reads the report can mend it
		if err = s.endImport(ctx, a, ImportFailed, e.Message); err != nil {
			return err
		}
	case err != nil && job.AttemptFrom(ctx).Last:
		return errors.Join(err, s.endImport(ctx, a, ImportFailed, "something went wrong here; import the file again, and what was read already stays as it is"))
	case err != nil:
		return err
	}
	return s.writeFailed(ctx, a)
}

// importForJob is the import and the key of its file; nil when it is forgotten.
func (s *Service) importForJob(ctx context.Context, a importArgs) (*Import, string, error) {
	var row struct {
		Import
		Key string `bun:"blob_key"`
	}
	err := db.Select(ctx, s.db.App(), &row, `SELECT `+importColumns+`, u.blob_key FROM contact_import i
		JOIN import_upload u ON u.organization_id = i.organization_id AND u.id = i.upload_id
		WHERE i.organization_id = $1 AND i.id = $2`, a.OrganizationID, a.ImportID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, "", nil
	}
	return &row.Import, row.Key, err
}

// principal is who began it: a user or an API key.
func (imp *Import) principal() id.ID {
	if imp.CreatedByID.IsZero() {
		return imp.CreatedByKeyID
	}
	return imp.CreatedByID
}

// importer is who imports, as they are now.
func (s *Service) importer(ctx context.Context, imp *Import) (access.Actor, error) {
	who, err := s.d.Actor(ctx, imp.OrganizationID, imp.principal())
	if errs.IsCode(err, errs.Unauthenticated) || err == nil && !who.Can(access.ContactImport) {
		return who, errs.New(errs.Forbidden, "whoever began it may import no more")
	}
	return who, err
}

func (s *Service) stretch(ctx context.Context, a importArgs, imp *Import, key string) error {
	who, err := s.importer(ctx, imp)
	if err != nil {
		return err
	}
	head, rows, done, err := s.openFile(ctx, a.OrganizationID, key)
	if err != nil {
		return err
	}
	defer done()
	plan, err := s.planOf(ctx, imp, head.Cells)
	if err != nil {
		return err
	}
	place := 0
	for n := 0; ; n++ {
		for ; place < imp.DoneCount; place++ { // read before this stretch, or by another
			if _, err := rows.Next(); err != nil {
				return readable(err)
			}
		}
		if n == importStretch {
			return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
				return job.Insert(ctx, tx, importArgs{a.OrganizationID, a.ImportID, place})
			})
		}
		batch, err := nextRows(rows)
		if err != nil {
			return err
		}
		if imp, err = s.importRows(ctx, who, a, plan, place, batch); err != nil || imp == nil || imp.EndedAt != nil {
			return err
		}
		if imp.DoneCount == place+len(batch) {
			place = imp.DoneCount
		} else { // another was quicker, and these rows are its
			return job.Snooze(time.Second)
		}
	}
}

func nextRows(rows *sheet.Reader) (batch []sheet.Row, err error) {
	for len(batch) < importBatch {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return batch, nil
		}
		if err != nil {
			return nil, readable(err)
		}
		batch = append(batch, row)
	}
	return batch, nil
}

// importRows takes one batch, if the import is at its place still; no rows end the
// import. It returns the import as it is then, nil when it is forgotten.
func (s *Service) importRows(ctx context.Context, who access.Actor, a importArgs, plan *importPlan, place int, batch []sheet.Row) (imp *Import, err error) {
	err = s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		if imp, err = lockImport(ctx, tx, a.ImportID); err != nil || imp == nil || imp.EndedAt != nil || imp.DoneCount != place {
			return err
		}
		imp.Status = ImportRunning
		if len(batch) == 0 {
			imp.Status, imp.EndedAt = ImportDone, &tx.Now
		}
		results, err := s.takeRows(ctx, tx, who, imp, plan, batch)
		if err != nil {
			return err
		}
		imp.DoneCount += len(batch)
		for _, r := range results {
			switch r.Status {
			case Created:
				imp.CreatedCount++
			case Changed:
				imp.UpdatedCount++
			case Failed:
				imp.FailedCount++
			default:
				imp.UnchangedCount++
			}
		}
		if err := keepRows(ctx, tx, imp, batch, results); err != nil {
			return err
		}
		return s.saveImport(ctx, tx, imp)
	})
	return imp, err
}

// takeRows does what the rows say; a dry run takes it back.
func (s *Service) takeRows(ctx context.Context, tx *db.Tx, who access.Actor, imp *Import, plan *importPlan, batch []sheet.Row) ([]UpsertRow, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	back := func() error { return nil }
	if imp.IsDryRun {
		p := tx.Pgx()
		if _, err := p.Exec(ctx, `SAVEPOINT dry_run`); err != nil {
			return nil, db.Translate(err)
		}
		back = func() error {
			_, err := p.Exec(ctx, `ROLLBACK TO SAVEPOINT dry_run`)
			return db.Translate(err)
		}
	}
	results, err := plan.take(ctx, tx, who, batch)
	if err != nil {
		return nil, err
	}
	if !imp.IsDryRun {
		kind := RecordUpdated
		if imp.Subject == ImportsContacts {
			kind = Updated
		}
		var events []event.Event
		for _, r := range results {
			if r.Status == Created || r.Status == Changed {
				events = append(events, event.Event{OrganizationID: who.OrganizationID, Kind: kind, Subject: r.ID, ActorID: who.UserID})
			}
		}
		return results, event.Append(ctx, tx, events...)
	}
	for i := range results {
		if results[i].Status == Created {
			results[i].ID = id.ID{} // it is no more
		}
	}
	return results, back()
}

// keepRows keeps what became of each row, and of the refused ones what they were.
func keepRows(ctx context.Context, tx *db.Tx, imp *Import, batch []sheet.Row, results []UpsertRow) error {
	if len(batch) == 0 {
		return nil
	}
	rows := make([]*ImportRow, len(batch))
	for i, r := range results {
		x := &ImportRow{OrganizationID: imp.OrganizationID, ImportID: imp.ID, Line: batch[i].Line, Status: r.Status, SubjectID: r.ID, CreatedAt: tx.Now}
		if r.Status == Failed {
			x.Code, x.Message, x.Cells = &r.Code, &r.Message, batch[i].Cells
			if len(r.Field) > 2 { // without the place in the batch
				x.Field = r.Field[2:]
			}
		}
		rows[i] = x
	}
	_, err := tx.NewInsert().Model(&rows).Returning("NULL").Exec(ctx)
	return err
}

// saveImport keeps how far an import is, and tells of it: its end always, what is
// before it once in a while.
func (s *Service) saveImport(ctx context.Context, tx *db.Tx, imp *Import) error {
	tells := imp.EndedAt != nil || imp.ToldAt == nil || tx.Now.Sub(*imp.ToldAt) >= toldEvery
	if tells {
		imp.ToldAt = &tx.Now
	}
	imp.Version, imp.UpdatedAt = imp.Version+1, tx.Now
	if _, err := tx.NewUpdate().Model(imp).WherePK().Exec(ctx); err != nil || !tells {
		return err
	}
	if err := event.Append(ctx, tx, event.Event{OrganizationID: imp.OrganizationID, Kind: ImportUpdated, Subject: imp.ID}); err != nil || imp.EndedAt == nil {
		return err
	}
	return audit.Write(ctx, tx, audit.Entry{ActorID: imp.principal(), Action: "contact.importEnd", Subject: imp.ID, Detail: map[string]any{
		"status": imp.Status, "created": imp.CreatedCount, "updated": imp.UpdatedCount, "failed": imp.FailedCount, "rows": imp.DoneCount, "dryRun": imp.IsDryRun}})
}

func (s *Service) endImport(ctx context.Context, a importArgs, status ImportStatus, problem string) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		imp, err := lockImport(ctx, tx, a.ImportID)
		if err != nil || imp == nil || imp.EndedAt != nil {
			return err
		}
		imp.Status, imp.EndedAt, imp.Problem = status, &tx.Now, &problem
		return s.saveImport(ctx, tx, imp)
	})
}

// writeFailed writes the refused rows of an ended import to a file. Its key is kept
// before its first byte, so that what a killed process leaves is erased.
func (s *Service) writeFailed(ctx context.Context, a importArgs) (err error) {
	imp, _, err := s.importForJob(ctx, a)
	if err != nil || imp == nil || imp.EndedAt == nil || imp.FailedCount == 0 || imp.HasFailedFile {
		return err
	}
	if imp.FailedKey != nil {
		if err := s.d.Files.Erase(ctx, a.OrganizationID, *imp.FailedKey); err != nil && !errs.IsCode(err, errs.NotFound) {
			return err
		}
	}
	key := blob.NewKey()
	if _, err := db.Exec(ctx, s.db.App(), `UPDATE contact_import SET failed_key = $3 WHERE organization_id = $1 AND id = $2`, a.OrganizationID, a.ImportID, key); err != nil {
		return err
	}
	w, err := s.d.Files.Create(ctx, a.OrganizationID, key)
	if err != nil {
		return err
	}
	if err := s.failedRows(ctx, imp, sheet.NewCSV(w, sheet.CSVOptions{ByteOrderMark: true})); err != nil {
		w.Abort()
		return err
	}
	if _, err := w.Close(); err != nil {
		return err
	}
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if imp, err = lockImport(ctx, tx, a.ImportID); err != nil || imp == nil {
			return err
		}
		imp.HasFailedFile, imp.Version, imp.UpdatedAt = true, imp.Version+1, tx.Now
		if _, err := tx.NewUpdate().Model(imp).WherePK().Exec(ctx); err != nil {
			return err
		}
		return event.Append(ctx, tx, event.Event{OrganizationID: imp.OrganizationID, Kind: ImportUpdated, Subject: imp.ID})
	})
}

// failedRows writes the refused rows as they were, each with its line and why. The
// file can be mended and imported again: what is put before a formula is taken away then.
func (s *Service) failedRows(ctx context.Context, imp *Import, w *sheet.CSV) error {
	cells := []sheet.Cell{}
	for _, c := range imp.Columns {
		cells = append(cells, sheet.Text(c.Header))
	}
	if err := w.Row(append(cells, sheet.Text("line"), sheet.Text("problem"))); err != nil {
		return err
	}
	for last, more := 0, true; more; {
		var rows []*ImportRow
		err := db.Select(ctx, s.db.App(), &rows, `SELECT `+importRowColumns+` FROM contact_import_row r
			WHERE r.organization_id = $1 AND r.import_id = $2 AND r.status = 'FAILED' AND r.line > $3 ORDER BY r.line LIMIT $4`,
			imp.OrganizationID, imp.ID, last, importBatch)
		if err != nil {
			return err
		}
		for _, r := range rows {
			cells = cells[:0]
			for i := range imp.Columns {
				text := ""
				if i < len(r.Cells) {
					text = r.Cells[i]
				}
				cells = append(cells, sheet.Text(text))
			}
			why := ""
			if r.Message != nil {
				why = *r.Message
			}
			if err := w.Row(append(cells, sheet.Int(int64(r.Line)), sheet.Text(why))); err != nil {
				return err
			}
			last = r.Line
		}
		more = len(rows) == importBatch
	}
	return w.Close()
}

// OpenFailed opens the refused rows of an import as a file, for whoever sees the
// import. Codes: errs.NotFound, errs.Conflict while it is not written.
func (s *Service) OpenFailed(ctx context.Context, who access.Actor, imp id.ID) (io.ReadSeekCloser, blob.Info, error) {
	x, err := s.Import(ctx, who, imp)
	if err != nil {
		return nil, blob.Info{}, err
	}
	if !x.HasFailedFile || x.FailedKey == nil {
		return nil, blob.Info{}, errs.New(errs.Conflict, "there are no refused rows to read; the import runs still, has none, or has expired")
	}
	f, info, err := s.d.Files.Open(ctx, who.OrganizationID, *x.FailedKey)
	info.ContentType = "text/csv; charset=utf-8"
	return f, info, err
}

func lockImport(ctx context.Context, tx *db.Tx, imp id.ID) (*Import, error) {
	x := &Import{}
	err := db.Select(ctx, tx, x, `SELECT `+importColumns+` FROM contact_import i WHERE i.organization_id = $1 AND i.id = $2 FOR NO KEY UPDATE`, db.TenantFrom(ctx), imp)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("contact: lock an import: %w", err)
	}
	return x, nil
}
