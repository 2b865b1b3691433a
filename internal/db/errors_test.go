package db_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

func TestTranslateTellsWhatAPersonCanActOn(t *testing.T) {
	t.Parallel()
	db.RegisterConstraint("translate_test_key", errs.New(errs.Taken, "this name is taken").At("name"))
	pg := func(code, message string) error {
		return fmt.Errorf("somewhere: %w", &pgconn.PgError{Code: code, Message: message})
	}
	for name, c := range map[string]struct {
		why  string
		err  error
		want errs.Code
	}{
		"registered constraint":  {"its package said what it means", &pgconn.PgError{Code: "23505", ConstraintName: "translate_test_key"}, errs.Taken},
		"unknown constraint":     {"nobody foresaw it: ours to mend", &pgconn.PgError{Code: "23505", ConstraintName: "nobody_key"}, errs.Internal},
		"connection exception":   {"the wire broke", pg("08006", "connection failure"), errs.Unavailable},
		"too many connections":   {"the server is full", pg("53300", "sorry, too many clients already"), errs.Unavailable},
		"disk full":              {"an operator must act, a client may wait", pg("53100", "could not extend file"), errs.Unavailable},
		"shutting down":          {"it comes back", pg("57P01", "terminating connection due to administrator command"), errs.Unavailable},
		"starting up":            {"it is coming", pg("57P03", "the database system is starting up"), errs.Unavailable},
		"read only":              {"a failover is under way", pg("25006", "cannot execute INSERT in a read-only transaction"), errs.Unavailable},
		"lock timeout":           {"somebody holds it too long", pg("55P03", "canceling statement due to lock timeout"), errs.Unavailable},
		"statement timeout":      {"too slow for now", pg("57014", "canceling statement due to statement timeout"), errs.Unavailable},
		"cancelled by a person":  {"not the database's fault", pg("57014", "canceling statement due to user request"), errs.Internal},
		"deadlock":               {"a second try may succeed", pg("40P01", "deadlock detected"), errs.Unavailable},
		"serialization":          {"a second try may succeed", pg("40001", "could not serialize access"), errs.Unavailable},
		"bad connection":         {"database/sql gave up", driver.ErrBadConn, errs.Unavailable},
		"cut off":                {"the server went away", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), errs.Unavailable},
		"cannot connect":         {"nobody listens", &pgconn.ConnectError{}, errs.Unavailable},
		"an error of a person's": {"kept as it is", errs.New(errs.Conflict, "no"), errs.Conflict},
		"division by zero":       {"our mistake", pg("22012", "division by zero"), errs.Internal},
		"row-level security":     {"our mistake", pg("42501", "new row violates row-level security policy"), errs.Internal},
	} {
		if got := errs.CodeOf(db.Translate(c.err)); got != c.want {
			t.Errorf("%s (%s): %s, want %s", name, c.why, got, c.want)
		}
	}
	for _, same := range []error{nil, sql.ErrNoRows, context.Canceled, errRollBack} {
		if got := db.Translate(same); got != same {
			t.Errorf("%v became %v", same, got)
		}
	}
}

func TestTranslateKeepsTheCauseAndTheField(t *testing.T) {
	t.Parallel()
	r := openNotes(t)
	db.RegisterConstraint("note_body_key", errs.New(errs.Taken, "another note says that; choose other words").At("input", "body"))
	r.add(t, r.a, "x")
	err := r.InTx(db.WithTenant(t.Context(), r.a), func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewRaw("INSERT INTO note (organization_id, id, body) VALUES (?, ?, 'x')", r.a, id.New(id.Record)).Exec(ctx)
		return err
	})
	e, ok := errs.As(err)
	if !ok || e.Code != errs.Taken || len(e.Field) != 2 || !db.IsUnique(err, "note_body_key") || db.IsUnique(err, "note_pkey") {
		t.Errorf("got %#v", err)
	}
}

func TestALostConnectionIsUnavailableAndThePoolRecovers(t *testing.T) {
	t.Parallel()
	r := openNotes(t, func(o *db.Options) { o.MaxConns = 1 })
	err := r.InTx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		var me int
		if err := db.Select(ctx, tx, &me, "SELECT pg_backend_pid()"); err != nil {
			return err
		}
		exec1(t, connect(t, r.url), "SELECT pg_terminate_backend($1)", me)
		return db.Select(ctx, tx, &me, "SELECT 1")
	})
	if errs.CodeOf(err) != errs.Unavailable {
		t.Errorf("after the connection was cut: %v", err)
	}
	if err := r.Ping(t.Context()); err != nil {
		t.Errorf("the pool did not recover: %v", err)
	}
}

func TestASlowStatementAndALongWaitAreUnavailable(t *testing.T) {
	t.Parallel()
	r := openNotes(t, func(o *db.Options) { o.StatementTimeout, o.LockTimeout = 700*time.Millisecond, 20*time.Millisecond })
	ctx := db.WithTenant(t.Context(), r.a)
	if _, err := db.Exec(ctx, r.App(), "SELECT pg_sleep($1)", 20); errs.CodeOf(err) != errs.Unavailable {
		t.Errorf("slow: %v", err)
	}
	owner := connect(t, r.url)
	exec1(t, owner, "BEGIN")
	exec1(t, owner, "LOCK TABLE note")
	if _, err := db.Exec(ctx, r.App(), "UPDATE note SET body = $1", "x"); errs.CodeOf(err) != errs.Unavailable {
		t.Errorf("locked: %v", err)
	}
}

func TestACancelledRequestIsNotTheDatabasesFault(t *testing.T) {
	t.Parallel()
	r := openNotes(t)
	ctx, cancel := context.WithCancel(db.WithTenant(t.Context(), r.a))
	err := r.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		cancel()
		return db.Select(ctx, tx, new(int), "SELECT 1")
	})
	if !errors.Is(err, context.Canceled) || errs.CodeOf(err) != errs.Internal {
		t.Errorf("cancelled: %v", err)
	}
}
