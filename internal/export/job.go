package export

import (
	"context"
	"errors"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/blob"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/sheet"
)

const (
	// leaseFor is how long whoever writes may say nothing before they are taken for dead.
	leaseFor = 2 * time.Minute
	// askFor is how long a job that was asked for is waited for.
	askFor = time.Minute
	// maxAttempts is how often an export is begun.
	maxAttempts = 5
	// longest is the longest that one export may take.
	longest = 6 * time.Hour
	// maxBytes is the largest file.
	maxBytes = 50 << 30
)

// writeArgs has one export written.
type writeArgs struct {
	Organization id.ID `json:"organization"`
	Export       id.ID `json:"export"`
}

// Kind names the job.
func (writeArgs) Kind() string { return "export.write" }

// Tenant is whose job it is.
func (a writeArgs) Tenant() id.ID { return a.Organization }

// Timeout ends what would never end.
func (writeArgs) Timeout() time.Duration { return longest }

// InsertOpts allows one attempt: what is not done is found by the sweep.
func (writeArgs) InsertOpts() job.Options { return job.Options{Queue: job.Export, MaxAttempts: 1} }

// eraseArgs has the file of an export erased.
type eraseArgs struct {
	Organization id.ID `json:"organization"`
	Export       id.ID `json:"export"`
}

// Kind names the job.
func (eraseArgs) Kind() string { return "export.erase" }

// Tenant is whose job it is.
func (a eraseArgs) Tenant() id.ID { return a.Organization }

// InsertOpts allows few attempts: the sweep finds it again.
func (eraseArgs) InsertOpts() job.Options { return job.Options{Queue: job.Media, MaxAttempts: 2} }

// Register has the service's jobs and sweeps run.
func (s *Service) Register(r *job.Runner) {
	job.Handle(r, s.write)
	job.Handle(r, s.erase)
	r.Sweep("export.due", 5*time.Second, s.sweep)
	r.Sweep("export.expire", time.Minute, s.expire)
}

// ask has a job write the export.
func ask(ctx context.Context, tx *db.Tx, e *Export) error {
	if _, err := db.Exec(ctx, tx, `UPDATE export SET asked_until = $3 WHERE organization_id = $1 AND id = $2`, e.OrganizationID, e.ID, tx.Now.Add(askFor)); err != nil {
		return err
	}
	return job.Insert(ctx, tx, writeArgs{e.OrganizationID, e.ID})
}

// eraseSoon has the file erased, unless somebody may be writing it: the sweep does
// that when their lease is over.
func (s *Service) eraseSoon(ctx context.Context, tx *db.Tx, e *Export) error {
	if e.MediaKey == nil || e.LeasedUntil != nil && e.LeasedUntil.After(tx.Now) {
		return nil
	}
	return job.Insert(ctx, tx, eraseArgs{e.OrganizationID, e.ID})
}

// sweep finds the exports that nobody writes, such as those of a killed process.
func (s *Service) sweep(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "export.sweep")
	return s.d.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var due []writeArgs
		err := db.Select(ctx, tx, &due, `UPDATE export x SET asked_until = $2
			WHERE (x.organization_id, x.id) IN (
				SELECT organization_id, id FROM (
					SELECT x.organization_id, x.id, row_number() OVER (PARTITION BY x.organization_id ORDER BY x.created_at, x.id)
						+ (SELECT count(*) FROM export r WHERE r.organization_id = x.organization_id AND r.status = 'RUNNING' AND r.leased_until > $1) AS place
					FROM export x
					WHERE (x.asked_until IS NULL OR x.asked_until <= $1) AND (x.status = 'QUEUED' OR x.status = 'RUNNING' AND x.leased_until <= $1)) p
				WHERE p.place <= $3)
			RETURNING x.organization_id AS organization, x.id AS export`, now, now.Add(askFor), running)
		if err != nil {
			return err
		}
		args := make([]job.Args, len(due))
		for i, a := range due {
			args[i] = a
		}
		return job.InsertMany(ctx, tx, args...)
	})
}

// expire erases what is old, and what was ended.
func (s *Service) expire(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "export.expire")
	var due []eraseArgs
	err = db.Select(ctx, s.d.DB.Worker(), &due, `SELECT x.organization_id AS organization, x.id AS export FROM export x
		WHERE x.media_key IS NOT NULL AND x.expires_at <= $1 AND (x.leased_until IS NULL OR x.leased_until <= $1) ORDER BY x.expires_at LIMIT 500`, now)
	for _, a := range due {
		err = errors.Join(err, s.erase(db.WithTenant(ctx, a.Organization), a))
	}
	return err
}

// erase erases the file of an export that was ended or is old.
func (s *Service) erase(ctx context.Context, a eraseArgs) (err error) {
	defer errs.Wrap(&err, "export.erase(%s)", a.Export)
	now := s.d.DB.Clock().Now()
	e, err := one(ctx, s.d.DB.App(), a.Organization, a.Export)
	if err != nil || e.MediaKey == nil || e.ExpiresAt == nil || e.ExpiresAt.After(now) || e.LeasedUntil != nil && e.LeasedUntil.After(now) {
		return err
	}
	if err := s.d.Blobs.Erase(ctx, e.OrganizationID, *e.MediaKey); err != nil {
		return err
	}
	return s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		e, err := lock(ctx, tx, a.Organization, a.Export)
		if err != nil || e.MediaKey == nil {
			return err
		}
		e.MediaKey = nil
		if e.Status != Done {
			return save(ctx, tx, e)
		}
		e.Status = Expired
		if err := save(ctx, tx, e); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Entry{Action: "export.expire", Subject: e.ID, Detail: map[string]any{"kind": e.Kind}}); err != nil {
			return err
		}
		return tell(ctx, tx, e, id.ID{})
	})
}

// errLost says that the export is not ours to write any more: it was ended, or
// somebody else took us for dead.
var errLost = errors.New("export: ended or taken over")

// claim takes an export to write it, with the key of what a former attempt left. It
// gives nil when there is nothing to do: it ended, somebody else writes it, or others
// have to end first.
func (s *Service) claim(ctx context.Context, a writeArgs) (e *Export, left bool, err error) {
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		n, err := turn(ctx, tx, a.Organization, a.Export)
		if err != nil {
			return err
		}
		x, err := lock(ctx, tx, a.Organization, a.Export)
		if err != nil {
			return err
		}
		dead := x.Status == Running && x.LeasedUntil != nil && !x.LeasedUntil.After(tx.Now)
		switch {
		case x.Status != Queued && !dead:
			return nil
		case n >= running: // the one that ends asks for it
			if x.AskedUntil != nil {
				x.AskedUntil = nil
				return save(ctx, tx, x)
			}
			return nil
		case x.Attempt >= maxAttempts:
			x.LeasedUntil = nil
			return s.ended(ctx, tx, x, Failed, "it was interrupted too often; make it again, narrowed down")
		}
		if left = x.MediaKey != nil; !left {
			x.MediaKey = new(blob.NewKey())
		}
		x.Status, x.Attempt, x.LeasedUntil, x.AskedUntil = Running, x.Attempt+1, new(tx.Now.Add(leaseFor)), nil
		x.RowCount, x.ByteCount, x.Sight = 0, 0, nil
		if x.StartedAt == nil {
			x.StartedAt = &tx.Now
		}
		if err := save(ctx, tx, x); err != nil {
			return err
		}
		e = x
		return tell(ctx, tx, x, id.ID{})
	})
	return e, left, err
}

// ended closes a locked export, and asks for the next one to be written.
func (s *Service) ended(ctx context.Context, tx *db.Tx, e *Export, as Status, problem string) error {
	e.Status, e.EndedAt, e.LeasedUntil = as, &tx.Now, nil
	action, detail := "export.complete", map[string]any{"kind": e.Kind, "rows": e.RowCount, "bytes": e.ByteCount}
	if as == Failed {
		e.Problem, e.ExpiresAt = &problem, &tx.Now
		action, detail["problem"] = "export.fail", problem
	}
	if err := save(ctx, tx, e); err != nil {
		return err
	}
	if err := audit.Write(ctx, tx, audit.Entry{ActorID: e.CreatedByID, Action: action, Subject: e.ID, Detail: detail}); err != nil {
		return err
	}
	if err := tell(ctx, tx, e, id.ID{}); err != nil {
		return err
	}
	return s.askNext(ctx, tx, e.OrganizationID)
}

// askNext has another export of the organization written now that one has ended.
func (s *Service) askNext(ctx context.Context, tx *db.Tx, org id.ID) error {
	rows, err := next(ctx, tx, org, 1)
	if err != nil || len(rows) == 0 {
		return err
	}
	return ask(ctx, tx, rows[0])
}

// write writes one export.
func (s *Service) write(ctx context.Context, a writeArgs) (err error) {
	defer errs.Wrap(&err, "export.write(%s)", a.Export)
	e, left, err := s.claim(ctx, a)
	if err != nil || e == nil {
		return err
	}
	if left {
		err = s.renew(ctx, e)
	}
	var info blob.Info
	if err == nil {
		info, err = s.file(ctx, e)
	}
	after := context.WithoutCancel(ctx)
	if err == nil {
		err = s.close(after, e, func(ctx context.Context, tx *db.Tx, x *Export) error {
			x.RowCount, x.EstimatedRowCount, x.ByteCount, x.SHA256, x.ExpiresAt = e.RowCount, &e.RowCount, info.Size, &info.SHA256, new(tx.Now.Add(keep))
			return s.ended(ctx, tx, x, Done, "")
		})
		if err == nil {
			return nil
		}
	}
	// Whatever went wrong: what was written must not stay. Its key is kept until it is gone.
	var kept *string
	if gone := s.d.Blobs.Erase(after, e.OrganizationID, *e.MediaKey); gone != nil {
		s.d.Logger.Error("export: the file could not be erased", "export", e.ID, "error", gone)
		kept = e.MediaKey
	}
	switch known, told := problem(err); {
	case errors.Is(err, errLost):
		return s.freed(after, e, kept)
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded): // the server stops
		return s.close(after, e, func(ctx context.Context, tx *db.Tx, x *Export) error {
			x.Status, x.LeasedUntil, x.MediaKey, x.RowCount, x.ByteCount, x.Attempt = Queued, nil, kept, 0, 0, x.Attempt-1
			return save(ctx, tx, x)
		})
	case ctx.Err() != nil:
		return s.fail(after, e, kept, "it took longer than six hours; narrow it down")
	case told:
		return s.fail(after, e, kept, known)
	}
	// The database or the store is away: again later, and not for ever.
	if e.Attempt >= maxAttempts {
		s.d.Logger.Error("export: given up", "export", e.ID, "error", err)
		return errors.Join(err, s.fail(after, e, kept, "it could not be written; make it again, and ask the operator if that fails too"))
	}
	return errors.Join(err, s.close(after, e, func(ctx context.Context, tx *db.Tx, x *Export) error {
		x.Status, x.LeasedUntil, x.MediaKey, x.AskedUntil = Queued, nil, kept, new(tx.Now.Add(askFor))
		return save(ctx, tx, x)
	}))
}

// problem is what people can mend about an error.
func problem(err error) (string, bool) {
	if errors.Is(err, sheet.ErrTooManyRows) {
		return "a workbook holds 1,048,575 rows; export CSV, or narrow it down", true
	}
	e, ok := errs.As(err)
	if !ok {
		return "", false
	}
	switch e.Code {
	case errs.Forbidden, errs.Unauthenticated, errs.Invalid, errs.NotFound, errs.LimitReached, errs.Required, errs.Unsupported:
		return e.Message, true
	}
	return "", false
}

// renew erases what a former attempt left and only then forgets its key.
func (s *Service) renew(ctx context.Context, e *Export) error {
	if err := s.d.Blobs.Erase(ctx, e.OrganizationID, *e.MediaKey); err != nil {
		return err
	}
	key := blob.NewKey()
	err := s.close(ctx, e, func(ctx context.Context, tx *db.Tx, x *Export) error {
		x.MediaKey = &key
		return save(ctx, tx, x)
	})
	if err == nil {
		e.MediaKey = &key
	}
	return err
}

// fail ends an export, with the key of a file that could not be erased: the sweep
// does it.
func (s *Service) fail(ctx context.Context, e *Export, kept *string, why string) error {
	return s.close(ctx, e, func(ctx context.Context, tx *db.Tx, x *Export) error {
		x.MediaKey, x.RowCount, x.ByteCount = kept, e.RowCount, 0
		return s.ended(ctx, tx, x, Failed, why)
	})
}

// close changes the export, if it is still ours; errLost when not.
func (s *Service) close(ctx context.Context, e *Export, change func(ctx context.Context, tx *db.Tx, x *Export) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		x, err := lock(ctx, tx, e.OrganizationID, e.ID)
		if err != nil {
			return err
		}
		if x.Status != Running || x.Attempt != e.Attempt {
			return errLost
		}
		return change(ctx, tx, x)
	})
}

// freed lets go of an export that was ended while we wrote it.
func (s *Service) freed(ctx context.Context, e *Export, kept *string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		x, err := lock(ctx, tx, e.OrganizationID, e.ID)
		if err != nil || x.Attempt != e.Attempt || x.Status == Running {
			return err
		}
		x.MediaKey, x.LeasedUntil, x.ByteCount = kept, nil, 0
		if err := save(ctx, tx, x); err != nil {
			return err
		}
		return s.askNext(ctx, tx, e.OrganizationID)
	})
}

// file writes the file and makes it visible.
func (s *Service) file(ctx context.Context, e *Export) (info blob.Info, err error) {
	w, err := s.d.Blobs.Create(ctx, e.OrganizationID, *e.MediaKey)
	if err != nil {
		return info, err
	}
	defer w.Abort()
	p := &progress{s: s, e: e, w: w}
	if e.Kind == RecordingAudio {
		err = s.archive(ctx, e, w, p)
	} else {
		err = s.table(ctx, e, w, p)
	}
	if err != nil {
		return info, err
	}
	return w.Close()
}

// authority is who asked for the export, as they are now; an error when they may not
// have it any more, or see less than what was written.
func (s *Service) authority(ctx context.Context, e *Export) (context.Context, access.Actor, error) {
	who, err := s.d.Authority(ctx, e.OrganizationID, e.CreatedByID)
	if errs.IsCode(err, errs.Unauthenticated) {
		err = errs.New(errs.Forbidden, "whoever asked for it is no active user any more, or the API key was revoked")
	}
	if err != nil {
		return ctx, who, err
	}
	err = s.permits(who, e)
	e.Sight = sightOf(who)
	return access.With(ctx, who), who, err
}

// table writes rows.
func (s *Service) table(ctx context.Context, e *Export, w *blob.Writer, p *progress) (err error) {
	src := s.sources[e.Kind]
	zone, err := time.LoadLocation(e.TimeZone)
	if err != nil {
		return errs.New(errs.Invalid, "the server does not know the time zone %s; choose another", e.TimeZone)
	}
	most, out := maxCSV, sheet.Writer(nil)
	if e.Format == XLSX {
		most = maxXLSX
		if out, err = sheet.NewXLSX(w, sheet.XLSXOptions{Sheet: string(e.Kind), Location: zone, Columns: len(e.Columns)}); err != nil {
			return err
		}
	} else {
		out = sheet.NewCSV(w, sheet.CSVOptions{Delimiter: map[Delimiter]byte{Comma: ',', Semicolon: ';', Tab: '\t'}[e.Delimiter], ByteOrderMark: e.WithByteOrderMark, Location: zone})
	}
	n := &names{s: s, kept: map[id.ID]string{}}
	for after, first := "", true; first || after != ""; first = false {
		rctx, who, err := s.authority(ctx, e)
		if err != nil {
			return err
		}
		if n.who = who; first {
			if err := s.begin(rctx, e, src, who, out); err != nil {
				return err
			}
		}
		after, err = src.page(rctx, n, e.Filter, e.Columns, after, s.d.Batch, func(cells []sheet.Cell) error {
			if e.RowCount++; e.RowCount > most {
				e.RowCount--
				if e.Format == XLSX {
					return sheet.ErrTooManyRows
				}
				return errs.New(errs.LimitReached, "an export has %d rows at most; narrow it down", most)
			}
			return out.Row(cells)
		})
		if err != nil {
			return err
		}
		if err := p.went(ctx); err != nil {
			return err
		}
	}
	return out.Close()
}

// begin counts the rows and writes the headings.
func (s *Service) begin(ctx context.Context, e *Export, src source, who access.Actor, out sheet.Writer) (err error) {
	if e.EstimatedRowCount, err = src.estimate(ctx, who, e.Filter); err != nil {
		return err
	}
	if n := e.EstimatedRowCount; n != nil && e.Format == XLSX && *n > maxXLSX {
		return sheet.ErrTooManyRows
	}
	titles := map[string]string{}
	for _, c := range src.offered(who) {
		titles[c.Name] = c.Title
	}
	heads := make([]sheet.Cell, len(e.Columns))
	for i, name := range e.Columns {
		heads[i] = sheet.Text(titles[name])
	}
	return out.Row(heads)
}

// progress writes down how far an export is.
type progress struct {
	s    *Service
	e    *Export
	w    *blob.Writer
	told time.Time
	last time.Time
}

// went keeps the export ours and tells clients, not too often; errLost when it is
// ours no more.
func (p *progress) went(ctx context.Context) error {
	if p.e.ByteCount = p.w.Size(); p.e.ByteCount > maxBytes {
		return errs.New(errs.LimitReached, "a file has %d GB at most; narrow the export down", int64(maxBytes)>>30)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p.last = time.Now()
	speak := p.last.Sub(p.told) >= p.s.d.TellEvery
	return p.s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		ours, err := went(ctx, tx, p.e, tx.Now.Add(leaseFor))
		switch {
		case err != nil:
			return err
		case !ours:
			return errLost
		case speak:
			p.told = p.last
			return tell(ctx, tx, p.e, id.ID{})
		}
		return nil
	})
}

// copied is went while a long file is copied: the lease is held and an
// end is noticed.
func (p *progress) copied(ctx context.Context) error {
	if time.Since(p.last) < 5*time.Second {
		return nil
	}
	return p.went(ctx)
}
