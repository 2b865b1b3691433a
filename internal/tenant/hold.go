package tenant

import (
	"context"

	"switchboard/internal/db"
)

// BeforeDeleting has a transaction that deletes what a legal hold may keep wait for
// holds that are being placed, and those that come wait for it (R226). It must come
// before the transaction's first row lock; what a later statement finds free of holds
// is free until the transaction ends.
func BeforeDeleting(ctx context.Context, tx *db.Tx) error {
	return holds(ctx, tx, `SELECT pg_advisory_xact_lock_shared(hashtextextended('holds ' || $1::uuid::text, 0))`)
}

// BeforeHolding has a transaction that places a legal hold wait for deletions that
// are under way, and those that come wait for it. It must come before the
// transaction's first row lock.
func BeforeHolding(ctx context.Context, tx *db.Tx) error {
	return holds(ctx, tx, `SELECT pg_advisory_xact_lock(hashtextextended('holds ' || $1::uuid::text, 0))`)
}

func holds(ctx context.Context, tx *db.Tx, lock string) error {
	_, err := db.Exec(ctx, tx, lock, db.TenantFrom(ctx))
	return err
}
