package session

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
)

// row is a stored session.
type row struct {
	bun.BaseModel `bun:"table:session,alias:session"`

	OrganizationID id.ID     `bun:"organization_id,pk,type:uuid"`
	ID             id.ID     `bun:"id,pk,type:uuid"`
	UserID         id.ID     `bun:"user_id,type:uuid"`
	LoginID        id.ID     `bun:"login_id,type:uuid"`
	RefreshHash    []byte    `bun:"refresh_hash"`
	UserAgent      string    `bun:"user_agent"`
	ExpiresAt      time.Time `bun:"expires_at"`
	RefreshedAt    time.Time `bun:"refreshed_at"`
	CreatedAt      time.Time `bun:"created_at"`
}

// login is a row of the installation; the zero login is "none".
type login struct {
	ID           id.ID  `bun:"login_id"`
	PasswordHash string `bun:"password_hash"`
}

type membership struct {
	OrganizationID id.ID  `bun:"organization_id"`
	UserID         id.ID  `bun:"user_id"`
	Status         string `bun:"status"`
}

// none turns "no row" into no error: the zero value says it.
func none(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

func findLogin(ctx context.Context, q bun.IDB, email string) (l login, err error) {
	err = none(db.Select(ctx, q, &l, `SELECT login_id, coalesce(password_hash, '') AS password_hash FROM find_login($1)`, email))
	return l, err
}

func memberships(ctx context.Context, q bun.IDB, login id.ID) (out []membership, err error) {
	err = db.Select(ctx, q, &out, `SELECT organization_id, user_id, status FROM find_memberships($1)`, login)
	return out, err
}

// lockLogin orders changes of a password and what relies on it: alone for a
// change, shared for a session made by the present one.
func lockLogin(ctx context.Context, tx *db.Tx, login id.ID, alone bool) error {
	query := `SELECT pg_advisory_xact_lock_shared($1)`
	if alone {
		query = `SELECT pg_advisory_xact_lock($1)`
	}
	u := login.UUID()
	_, err := db.Exec(ctx, tx, query, int64(binary.BigEndian.Uint64(u[8:])))
	return err
}

func ensureLogin(ctx context.Context, q bun.IDB, fresh id.ID, email string, at time.Time) (login id.ID, err error) {
	err = db.Select(ctx, q, &login, `SELECT ensure_login($1, $2, $3)`, fresh, email, at)
	return login, err
}

func setPassword(ctx context.Context, tx *db.Tx, login id.ID, hash string, at time.Time) error {
	_, err := db.Exec(ctx, tx, `SELECT set_login_password($1, $2, $3)`, login, hash, at)
	return err
}

// collectIDs runs a statement that gives ids.
func collectIDs(ctx context.Context, tx *db.Tx, query string, args ...any) ([]id.ID, error) {
	rows, err := tx.Pgx().Query(ctx, query, append([]any{pgx.QueryExecModeCacheStatement}, args...)...)
	if err != nil {
		return nil, db.Translate(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	return out, db.Translate(err)
}

func endLoginSessions(ctx context.Context, tx *db.Tx, login, except id.ID, reason string, at time.Time) ([]id.ID, error) {
	return collectIDs(ctx, tx, `SELECT session_id FROM end_login_sessions($1, $2, $3, $4)`, login, except, reason, at)
}

// holdActive reports whether the user may sign in and keeps that so until the
// end of the transaction.
func holdActive(ctx context.Context, tx *db.Tx, org, user id.ID) (bool, error) {
	var status string
	err := none(db.Select(ctx, tx, &status, `SELECT status FROM "user" WHERE organization_id = $1 AND id = $2 FOR SHARE`, org, user))
	return status == "ACTIVE", err
}

func emailOf(ctx context.Context, q bun.IDB, org, user id.ID) (email string, err error) {
	err = db.Select(ctx, q, &email, `SELECT email FROM "user" WHERE organization_id = $1 AND id = $2`, org, user)
	return email, err
}

func insertSession(ctx context.Context, tx *db.Tx, r row) error {
	_, err := tx.NewInsert().Model(&r).Exec(ctx)
	return db.Translate(err)
}

// lockSession reads a session that may go on; nil when it may not.
func lockSession(ctx context.Context, tx *db.Tx, org, sid id.ID) (*row, error) {
	r := &row{}
	err := db.Select(ctx, tx, r, `SELECT s.id, s.user_id, s.refresh_hash FROM session s
		JOIN "user" u ON u.organization_id = s.organization_id AND u.id = s.user_id
		WHERE s.organization_id = $1 AND s.id = $2 AND s.ended_at IS NULL AND s.expires_at > $3 AND u.status = 'ACTIVE'
		FOR UPDATE OF s`, org, sid, tx.Now)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return r, err
}

func rotate(ctx context.Context, tx *db.Tx, org, sid id.ID, hash []byte, at, expires time.Time) error {
	_, err := db.Exec(ctx, tx, `UPDATE session SET refresh_hash = $3, refreshed_at = $4, expires_at = $5
		WHERE organization_id = $1 AND id = $2`, org, sid, hash, at, expires)
	return err
}

func sessionOwner(ctx context.Context, q bun.IDB, org, sid id.ID) (user id.ID, err error) {
	err = none(db.Select(ctx, q, &user, `SELECT user_id FROM session WHERE organization_id = $1 AND id = $2`, org, sid))
	return user, err
}

func endSession(ctx context.Context, tx *db.Tx, org, sid id.ID, reason string, at time.Time) (bool, error) {
	n, err := db.Exec(ctx, tx, `UPDATE session SET ended_at = $4, end_reason = $3
		WHERE organization_id = $1 AND id = $2 AND ended_at IS NULL`, org, sid, reason, at)
	return n > 0, err
}

func endUserSessions(ctx context.Context, tx *db.Tx, org, user id.ID, reason string, at time.Time) ([]id.ID, error) {
	return collectIDs(ctx, tx, `UPDATE session SET ended_at = $4, end_reason = $3
		WHERE organization_id = $1 AND user_id = $2 AND ended_at IS NULL RETURNING id`, org, user, reason, at)
}

// keysOf are the API keys that a user made and that work.
func keysOf(ctx context.Context, tx *db.Tx, org, user id.ID) ([]id.ID, error) {
	return collectIDs(ctx, tx, `SELECT id FROM api_key WHERE organization_id = $1 AND created_by = $2 AND revoked_at IS NULL`, org, user)
}

func trim(ctx context.Context, q bun.IDB, before time.Time) error {
	if _, err := db.Exec(ctx, q, `DELETE FROM session WHERE ended_at < $1 OR expires_at < $1`, before); err != nil {
		return err
	}
	// One that was taken up tells that its user was here.
	_, err := db.Exec(ctx, q, `DELETE FROM invitation WHERE expires_at < $1 AND used_at IS NULL`, before)
	return err
}

type invited struct {
	OrganizationID id.ID  `bun:"organization_id"`
	ID             id.ID  `bun:"invitation_id"`
	UserID         id.ID  `bun:"user_id"`
	Email          string `bun:"email"`
}

func findInvitation(ctx context.Context, q bun.IDB, hash []byte) (i invited, err error) {
	err = none(db.Select(ctx, q, &i, `SELECT organization_id, invitation_id FROM find_invitation($1)`, hash))
	return i, err
}

// openInvitation reads one that can still be taken up; nil when it cannot.
func openInvitation(ctx context.Context, q bun.IDB, org, inv id.ID, now time.Time) (*invited, error) {
	i := &invited{}
	err := db.Select(ctx, q, i, `SELECT u.id AS user_id, u.email FROM invitation i
		JOIN "user" u ON u.organization_id = i.organization_id AND u.id = i.user_id
		WHERE i.organization_id = $1 AND i.id = $2 AND i.used_at IS NULL AND i.expires_at > $3 AND u.status = 'INVITED'`, org, inv, now)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return i, err
}

func useInvitation(ctx context.Context, tx *db.Tx, org, inv id.ID, at time.Time) (bool, error) {
	n, err := db.Exec(ctx, tx, `UPDATE invitation SET used_at = $3
		WHERE organization_id = $1 AND id = $2 AND used_at IS NULL AND expires_at > $3`, org, inv, at)
	return n > 0, err
}

func endInvitations(ctx context.Context, tx *db.Tx, org, user id.ID, at time.Time) error {
	_, err := db.Exec(ctx, tx, `UPDATE invitation SET expires_at = $3
		WHERE organization_id = $1 AND user_id = $2 AND used_at IS NULL AND expires_at > $3`, org, user, at)
	return err
}

func insertInvitation(ctx context.Context, tx *db.Tx, org, inv, user id.ID, hash []byte, expires, at time.Time) error {
	_, err := db.Exec(ctx, tx, `INSERT INTO invitation (organization_id, id, user_id, token_hash, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, org, inv, user, hash, expires, at)
	return err
}

func hasAccepted(ctx context.Context, q bun.IDB, org, user id.ID) (yes bool, err error) {
	err = db.Select(ctx, q, &yes, `SELECT EXISTS (SELECT FROM invitation
		WHERE organization_id = $1 AND user_id = $2 AND used_at IS NOT NULL)`, org, user)
	return yes, err
}

func activate(ctx context.Context, tx *db.Tx, org, user id.ID, name string, at time.Time) (bool, error) {
	n, err := db.Exec(ctx, tx, `UPDATE "user" SET status = 'ACTIVE', name = coalesce(nullif($3, ''), name),
		version = version + 1, updated_at = $4 WHERE organization_id = $1 AND id = $2 AND status = 'INVITED'`, org, user, name, at)
	return n > 0, err
}

const keyColumns = `organization_id, id, name, role_id, hint, created_by, last_used_at, revoked_at, created_at`

func findKey(ctx context.Context, q bun.IDB, hash []byte) (org id.ID, err error) {
	err = none(db.Select(ctx, q, &org, `SELECT organization_id FROM find_api_key($1)`, hash))
	return org, err
}

func keyByID(ctx context.Context, q bun.IDB, org, key id.ID) (*ApiKey, error) {
	return oneKey(ctx, q, `SELECT `+keyColumns+` FROM api_key WHERE organization_id = $1 AND id = $2`, org, key)
}

func lockKey(ctx context.Context, tx *db.Tx, org, key id.ID) (*ApiKey, error) {
	return oneKey(ctx, tx, `SELECT `+keyColumns+` FROM api_key WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE`, org, key)
}

func oneKey(ctx context.Context, q bun.IDB, query string, org, key id.ID) (*ApiKey, error) {
	k := &ApiKey{}
	err := db.Select(ctx, q, k, query, org, key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoKey
	}
	return k, err
}

func keysByIDs(ctx context.Context, q bun.IDB, org id.ID, ids []id.ID) (out []*ApiKey, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+keyColumns+` FROM api_key WHERE organization_id = $1 AND id = ANY($2)`, org, ids)
	return out, err
}

func listKeys(ctx context.Context, q bun.IDB, org id.ID, after db.Keyset, limit int) (out []*ApiKey, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+keyColumns+` FROM api_key
		WHERE organization_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4`, org, after.At, after.ID, limit)
	return out, err
}

func countKeys(ctx context.Context, q bun.IDB, org id.ID) (n int, err error) {
	err = db.Select(ctx, q, &n, `SELECT count(*) FROM api_key WHERE organization_id = $1 AND revoked_at IS NULL`, org)
	return n, err
}

func insertKey(ctx context.Context, tx *db.Tx, k *ApiKey, hash []byte) error {
	_, err := db.Exec(ctx, tx, `INSERT INTO api_key (organization_id, id, name, role_id, hint, hash, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, k.OrganizationID, k.ID, k.Name, k.RoleID, k.Hint, hash, k.CreatedByID, k.CreatedAt)
	return err
}

func revokeKey(ctx context.Context, tx *db.Tx, org, key id.ID, at time.Time) error {
	_, err := db.Exec(ctx, tx, `UPDATE api_key SET revoked_at = $3 WHERE organization_id = $1 AND id = $2`, org, key, at)
	return err
}

func touchKey(ctx context.Context, d *db.DB, org, key id.ID, minute time.Time) error {
	_, err := db.Exec(db.WithTenant(ctx, org), d.App(), `UPDATE api_key SET last_used_at = $3
		WHERE organization_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at < $3)`, org, key, minute)
	return err
}

// loadActor reads in one round trip who a session belongs to and what they may
// do; false when the session has ended.
func loadActor(ctx context.Context, d *db.DB, b bearer, now time.Time) (a access.Actor, ok bool, err error) {
	a = access.Actor{OrganizationID: b.org, SessionID: b.session}
	var permissions []access.Permission
	batch := &pgx.Batch{}
	batch.Queue(`SELECT u.id, u.login_id, u.role_id, r.permissions, r.visibility, u.is_fieldworker, u.fieldworker_switched,
			ARRAY(SELECT m.branch_id FROM branch_user m WHERE m.organization_id = $1 AND m.user_id = u.id ORDER BY m.branch_id)
		FROM session s
		JOIN "user" u ON u.organization_id = s.organization_id AND u.id = s.user_id
		JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE s.organization_id = $1 AND s.id = $2 AND s.user_id = $3 AND s.ended_at IS NULL AND s.expires_at > $4 AND u.status = 'ACTIVE'`,
		b.org, b.session, b.user, now).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			ok = true
			if err := rows.Scan(&a.UserID, &a.LoginID, &a.RoleID, &permissions, &a.Visibility, &a.IsFieldworker,
				&a.Switched, &a.BranchIDs); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err := d.Batch(ctx, b.org, batch); err != nil {
		return access.Actor{}, false, err
	}
	a.Permissions = access.SetOf(permissions...)
	return a, ok, nil
}

// loadKeyActor is loadActor for an API key, which is refused while who made it is
// disabled: they know its secret.
func loadKeyActor(ctx context.Context, d *db.DB, org id.ID, hash []byte) (a access.Actor, used *time.Time, ok bool, err error) {
	a = access.Actor{OrganizationID: org}
	var permissions []access.Permission
	batch := &pgx.Batch{}
	batch.Queue(`SELECT k.id, k.role_id, r.permissions, r.visibility, k.last_used_at
		FROM api_key k JOIN role r ON r.organization_id = k.organization_id AND r.id = k.role_id
		WHERE k.organization_id = $1 AND k.hash = $2 AND k.revoked_at IS NULL
			AND NOT EXISTS (SELECT FROM "user" u WHERE u.organization_id = $1 AND u.id = k.created_by AND u.status = 'DISABLED')`, org, hash).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			ok = true
			if err := rows.Scan(&a.APIKeyID, &a.RoleID, &permissions, &a.Visibility, &used); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err := d.Batch(ctx, org, batch); err != nil {
		return access.Actor{}, nil, false, err
	}
	a.Permissions = access.SetOf(permissions...)
	return a, used, ok, nil
}
