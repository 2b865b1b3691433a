package testkit_test

import (
	"context"
	"testing"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for range 2 {
		d := testkit.DB(t)
		var name string
		if err := db.Select(t.Context(), d.App(), &name, "SELECT current_database()::text WHERE app_organization() IS NULL"); err != nil {
			t.Fatal(err)
		}
		names[name] = true
	}
	if len(names) != 2 {
		t.Errorf("two databases of one test are %v", names)
	}
}

func TestTheDatabaseIsGoneAfterTheTest(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("inner", func(t *testing.T) {
		if err := db.Select(t.Context(), testkit.DB(t).App(), &name, "SELECT current_database()::text"); err != nil {
			t.Fatal(err)
		}
	})
	var there bool
	err := db.Select(t.Context(), testkit.DB(t).Worker(), &there, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name)
	if err != nil || there {
		t.Errorf("database %q: there %v, error %v", name, there, err)
	}
}

func TestTransactionsTakeTheTestsClock(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 5, 1, 8, 0, 0, 0, time.UTC)
	c := clock.NewFake(at)
	d := testkit.DB(t, testkit.Clock(c), testkit.MaxConns(2))
	c.Advance(time.Hour)
	err := d.InTx(t.Context(), func(_ context.Context, tx *db.Tx) error {
		if !tx.Now.Equal(at.Add(time.Hour)) {
			t.Errorf("Now is %v", tx.Now)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
