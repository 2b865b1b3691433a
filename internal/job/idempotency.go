package job

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// KeyLifetime is how long an idempotency key is remembered.
const KeyLifetime = 24 * time.Hour

// MaxKey is the longest idempotency key, in bytes.
const MaxKey = 255

// Key is a client's idempotency key with what it is unique for, within the
// tenant of the context. An empty Key.Key means that the client gave none.
type Key struct {
	User     id.ID
	Mutation string
	Key      string
}

// Once runs the effect of a command unless it ran before. With the same key and
// input it returns the id of what the command made then. It returns an
// errs.IdempotencyReused for the same key with other input, an errs.InProgress
// while the first run is not committed, and an errs.Invalid for a key that is
// too long. All is part of the caller's transaction: a rollback forgets the key.
func Once(ctx context.Context, tx *db.Tx, k Key, input any, effect func() (id.ID, error)) (_ id.ID, err error) {
	if k.Key == "" {
		return effect()
	}
	if len(k.Key) > MaxKey || bytes.IndexByte([]byte(k.Key), 0) >= 0 {
		return id.ID{}, errs.New(errs.Invalid, "the idempotency key is too long or has a zero byte; use up to %d characters, a UUID for example", MaxKey).At("idempotencyKey")
	}
	org := db.TenantFrom(ctx)
	if org.IsZero() || k.User.IsZero() || k.Mutation == "" {
		return id.ID{}, errs.New(errs.Internal, "an idempotency key needs a tenant, a user and a mutation")
	}
	hash, err := hashOf(input)
	if err != nil {
		return id.ID{}, fmt.Errorf("job.Once(%s): %w", k.Mutation, err)
	}

	// The lock is held to the end of the transaction and never waited for. The
	// row is read in a statement of its own: it began after the lock was granted,
	// so it sees what the last holder committed.
	var free bool
	var known *struct {
		hash    []byte
		result  id.ID
		expires time.Time
	}
	b := &pgx.Batch{}
	b.Queue(`SELECT pg_try_advisory_xact_lock($1)`, k.lock(org)).QueryRow(func(row pgx.Row) error { return row.Scan(&free) })
	b.Queue(`SELECT input_hash, result_id, expires_at FROM idempotency_key
		WHERE organization_id = $1 AND user_id = $2 AND mutation = $3 AND key = $4`, org, k.User, k.Mutation, k.Key).
		QueryRow(func(row pgx.Row) error {
			var r struct {
				hash    []byte
				result  id.ID
				expires time.Time
			}
			err := row.Scan(&r.hash, &r.result, &r.expires)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			known = &r
			return err
		})
	if err := tx.Pgx().SendBatch(ctx, b).Close(); err != nil {
		return id.ID{}, db.Translate(err)
	}
	switch {
	case known != nil && known.expires.After(tx.Now) && !bytes.Equal(known.hash, hash):
		return id.ID{}, errs.New(errs.IdempotencyReused, "this idempotency key was used with other input; take a new key for a new command").At("idempotencyKey")
	case known != nil && known.expires.After(tx.Now):
		return known.result, nil
	case !free:
		return id.ID{}, errs.New(errs.InProgress, "the command with this idempotency key is still running; ask again shortly").At("idempotencyKey")
	}
	made, err := effect()
	if err != nil {
		return id.ID{}, err
	}
	_, err = tx.Pgx().Exec(ctx, `INSERT INTO idempotency_key (organization_id, user_id, mutation, key, input_hash, result_id, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (organization_id, user_id, mutation, key) DO UPDATE
		SET input_hash = excluded.input_hash, result_id = excluded.result_id, expires_at = excluded.expires_at`,
		org, k.User, k.Mutation, k.Key, hash, made, tx.Now.Add(KeyLifetime))
	return made, db.Translate(err)
}

// lock is the key's advisory lock. Two keys that share one by chance make each
// other wait, no more.
func (k Key) lock(org id.ID) int64 {
	h := sha256.New()
	for _, part := range []string{"idempotency", org.String(), k.User.String(), k.Mutation, k.Key} {
		_ = binary.Write(h, binary.BigEndian, uint32(len(part)))
		h.Write([]byte(part))
	}
	return int64(binary.BigEndian.Uint64(h.Sum(nil)))
}

// hashOf is the hash of the input's canonical JSON: keys sorted, numbers as written.
func hashOf(input any) ([]byte, error) {
	b, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if b, err = json.Marshal(v); err != nil {
		return nil, err
	}
	h := sha256.Sum256(b)
	return h[:], nil
}

// expireKeys forgets keys whose time is over, in batches.
func (r *Runner) expireKeys(ctx context.Context, now time.Time) error {
	for {
		tag, err := r.d.WorkerPool().Exec(ctx, `DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM idempotency_key WHERE expires_at <= $1 LIMIT 1000))`, now)
		if err != nil || tag.RowsAffected() < 1000 {
			return db.Translate(err)
		}
	}
}
