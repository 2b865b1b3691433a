package db_test

import (
	"context"
	"testing"

	"switchboard/internal/db"
	"switchboard/internal/id"
)

func TestASnapshotReadsOneMomentAndCannotWrite(t *testing.T) {
	t.Parallel()
	r := openNotes(t)
	ctx := db.WithTenant(t.Context(), r.a)
	if _, err := db.Exec(ctx, r.App(), "INSERT INTO note (organization_id, id, body) VALUES ($1, $2, $3)", r.a, id.New(id.Node), "x"); err != nil {
		t.Fatal(err)
	}
	err := r.InSnapshot(ctx, func(ctx context.Context, tx *db.Tx) error {
		count := func() (n int) {
			var row struct {
				N int `bun:"n"`
			}
			if err := db.Select(ctx, tx, &row, "SELECT count(*) AS n FROM note"); err != nil {
				t.Fatal(err)
			}
			return row.N
		}
		before := count()
		if _, err := db.Exec(context.WithoutCancel(ctx), r.App(), "DELETE FROM note"); err != nil {
			t.Fatal(err)
		}
		if after := count(); after != before || before == 0 {
			t.Errorf("%d rows, then %d in the same snapshot", before, after)
		}
		if _, err := db.Exec(ctx, tx, "DELETE FROM note"); err == nil {
			t.Error("a snapshot wrote")
		}
		return nil
	})
	if err == nil {
		t.Error("a failed statement was committed")
	}
}
