package tenant

import (
	"context"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// BeforeDeleting has a transaction that deletes what a legal hold may keep, or links it
// elsewhere, wait for holds that are being placed, and those that come wait for it
// (R226). It must come before the transaction's first row lock; what a later statement
// finds free of holds is free until the transaction ends.
func BeforeDeleting(ctx context.Context, tx *db.Tx) error {
	return holds(ctx, tx, `SELECT pg_advisory_xact_lock_shared(hashtextextended('holds ' || $1::uuid::text, 0))`)
}

// BeforeHolding has a transaction that places a legal hold wait for deletions that
// are under way, and those that come wait for it. It must come before the
// transaction's first row lock.
func BeforeHolding(ctx context.Context, tx *db.Tx) error {
	return holds(ctx, tx, `SELECT pg_advisory_xact_lock(hashtextextended('holds ' || $1::uuid::text, 0))`)
}

// MayUnlink refuses to take a thing from the contact or record that it is linked to
// while a legal hold on that keeps it (R226). Ask after BeforeDeleting and under the
// thing's lock. Codes: errs.Conflict.
func MayUnlink(ctx context.Context, tx *db.Tx, from id.ID, field ...string) error {
	if from.IsZero() {
		return nil
	}
	var held bool
	if err := db.Select(ctx, tx, &held, `SELECT is_held($1, $2::uuid)`, db.TenantFrom(ctx), from); err != nil || !held {
		return err
	}
	return errs.New(errs.Conflict, "it is kept by a legal hold on its %s; release the hold first", from.Kind()).At(field...)
}

func holds(ctx context.Context, tx *db.Tx, lock string) error {
	_, err := db.Exec(ctx, tx, lock, db.TenantFrom(ctx))
	return err
}
