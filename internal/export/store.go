package export

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
	"switchboard/internal/id"
)

const columns = `x.organization_id, x.id, x.kind, x.format, x.filter, x.given, x.columns, x.time_zone, x.delimiter, x.byte_order_mark, x.file_name, x.status,
	x.row_count, x.estimated_rows, x.byte_count, x.problem, x.media_key, x.sight, x.sha256, x.created_by, x.attempt, x.leased_until, x.asked_until,
	x.started_at, x.ended_at, x.expires_at, x.version, x.created_at, x.updated_at`

func one(ctx context.Context, q bun.IDB, org, export id.ID) (*Export, error) {
	return read(ctx, q, `SELECT `+columns+` FROM export x WHERE x.organization_id = $1 AND x.id = $2`, org, export)
}

func lock(ctx context.Context, tx *db.Tx, org, export id.ID) (*Export, error) {
	return read(ctx, tx, `SELECT `+columns+` FROM export x WHERE x.organization_id = $1 AND x.id = $2 FOR NO KEY UPDATE`, org, export)
}

func read(ctx context.Context, q bun.IDB, query string, org, export id.ID) (*Export, error) {
	e := &Export{}
	err := db.Select(ctx, q, e, query, org, export)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, absent()
	}
	return e, err
}

func many(ctx context.Context, q bun.IDB, org id.ID, ids []id.ID) (rows []*Export, err error) {
	err = db.Select(ctx, q, &rows, `SELECT `+columns+` FROM export x WHERE x.organization_id = $1 AND x.id = ANY ($2::uuid[])`, org, ids)
	return rows, err
}

// page reads a page; the zero maker is everybody.
func page(ctx context.Context, q bun.IDB, org, maker id.ID, f Filter, after db.Keyset, limit int) (rows []*Export, err error) {
	var b strings.Builder
	args := []any{org}
	and := func(condition string, v any) {
		args = append(args, v)
		b.WriteString(" AND " + strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(args))))
	}
	b.WriteString(`SELECT ` + columns + ` FROM export x WHERE x.organization_id = $1`)
	if !maker.IsZero() {
		and("x.created_by = ?", maker)
	}
	if f.Kind != "" {
		and("x.kind = ?", string(f.Kind))
	}
	if len(f.Statuses) > 0 {
		all := make([]string, len(f.Statuses))
		for i, x := range f.Statuses {
			all[i] = string(x)
		}
		and("x.status = ANY (?::text[])", all)
	}
	args = append(args, after.At, after.ID, limit)
	n := len(args)
	b.WriteString(" AND (x.created_at, x.id) < ($" + strconv.Itoa(n-2) + ", $" + strconv.Itoa(n-1) + ") ORDER BY x.created_at DESC, x.id DESC LIMIT $" + strconv.Itoa(n))
	err = db.Select(ctx, q, &rows, b.String(), args...)
	return rows, err
}

func insert(ctx context.Context, tx *db.Tx, e *Export) error {
	_, err := db.Exec(ctx, tx, `INSERT INTO export (organization_id, id, kind, format, filter, given, columns, time_zone, delimiter, byte_order_mark,
			file_name, status, created_by, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5::text::jsonb, $6::text::jsonb, $7::text[], $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		e.OrganizationID, e.ID, string(e.Kind), string(e.Format), string(e.Filter), string(e.Given), e.Columns, e.TimeZone, string(e.Delimiter), e.WithByteOrderMark,
		e.FileName, string(e.Status), e.CreatedByID, e.Version, e.CreatedAt, e.UpdatedAt)
	return err
}

// save writes what changes about a locked export.
func save(ctx context.Context, tx *db.Tx, e *Export) error {
	e.Version, e.UpdatedAt = e.Version+1, tx.Now
	seen, err := e.Sight.written()
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, tx, `UPDATE export SET status = $3, row_count = $4, estimated_rows = $5, byte_count = $6, problem = $7, media_key = $8, sha256 = $9,
			attempt = $10, leased_until = $11, asked_until = $12, started_at = $13, ended_at = $14, expires_at = $15, version = $16, updated_at = $17, sight = $18::text::jsonb
		WHERE organization_id = $1 AND id = $2`,
		e.OrganizationID, e.ID, string(e.Status), e.RowCount, e.EstimatedRowCount, e.ByteCount, e.Problem, e.MediaKey, e.SHA256,
		e.Attempt, e.LeasedUntil, e.AskedUntil, e.StartedAt, e.EndedAt, e.ExpiresAt, e.Version, e.UpdatedAt, seen)
	return err
}

// waiting is how many exports wait or run.
func waiting(ctx context.Context, tx *db.Tx, org id.ID) (n int, err error) {
	err = tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM export WHERE organization_id = $1 AND status IN ('QUEUED', 'RUNNING')`, org).Scan(&n)
	return n, db.Translate(err)
}

// turn waits for the organization's turn to hand out exports, until the transaction
// ends, and counts the others that are being written.
func turn(ctx context.Context, tx *db.Tx, org, but id.ID) (n int, err error) {
	if _, err := tx.Pgx().Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('export ' || $1::text, 0))`, org.String()); err != nil {
		return 0, db.Translate(err)
	}
	err = tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM export WHERE organization_id = $1 AND id <> $2 AND status = 'RUNNING' AND leased_until > $3`, org, but, tx.Now).Scan(&n)
	return n, db.Translate(err)
}

// next are the exports that could be written now and that nobody was asked to write lately.
func next(ctx context.Context, tx *db.Tx, org id.ID, limit int) (rows []*Export, err error) {
	err = db.Select(ctx, tx, &rows, `SELECT `+columns+` FROM export x WHERE x.organization_id = $1 AND (x.asked_until IS NULL OR x.asked_until <= $2)
		AND (x.status = 'QUEUED' OR x.status = 'RUNNING' AND x.leased_until <= $2) ORDER BY x.created_at, x.id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED`, org, tx.Now, limit)
	return rows, err
}

func lately(ctx context.Context, tx *db.Tx, who access.Actor, export id.ID) (known bool, err error) {
	err = tx.Pgx().QueryRow(ctx, `SELECT EXISTS (SELECT FROM audit_entry WHERE organization_id = $1 AND subject = $2 AND actor_id = $3
		AND action = 'export.download' AND at > $4)`, who.OrganizationID, export, who.ID(), tx.Now.Add(-again)).Scan(&known)
	return known, db.Translate(err)
}

// went writes how far the one who writes has come and what they see, and holds the
// lease; false when it is not theirs any more.
func went(ctx context.Context, tx *db.Tx, e *Export, until time.Time) (bool, error) {
	seen, err := e.Sight.written()
	if err != nil {
		return false, err
	}
	n, err := db.Exec(ctx, tx, `UPDATE export SET row_count = $4, byte_count = $5, estimated_rows = $6, leased_until = $7, version = version + 1, updated_at = $8, sight = $9::text::jsonb
		WHERE organization_id = $1 AND id = $2 AND attempt = $3 AND status = 'RUNNING'`,
		e.OrganizationID, e.ID, e.Attempt, e.RowCount, e.ByteCount, e.EstimatedRowCount, until, tx.Now, seen)
	return n == 1, err
}
