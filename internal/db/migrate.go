package db

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/migrate"

	"switchboard/migrations"
)

// roles are the names of the three roles of one database.
type roles struct{ owner, app, worker string }

// migrationTable holds what has run. It is bun/migrate's.
const migrationTable = "system.migration"

// migrationLock is the advisory lock of all processes that migrate one database.
const migrationLock = 0x5357_4244 // "SWBD"

// prepare connects as the owner, makes the roles, migrates, and leaves.
func prepare(ctx context.Context, base *pgx.ConnConfig, o Options) (roles, error) {
	cfg := base.Copy()
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "switchboard owner"
	}
	owner, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return roles{}, Translate(err)
	}
	defer owner.Close(context.WithoutCancel(ctx))

	r, err := readRoles(ctx, owner)
	if err != nil || o.SkipMigrations {
		return r, err
	}
	if len(o.Migrate) == 0 {
		if ok, err := upToDate(ctx, owner); ok || err != nil {
			return r, err
		}
	}

	if _, err := owner.Exec(ctx, "SELECT pg_advisory_lock($1)", migrationLock); err != nil {
		return r, Translate(err)
	}
	// Closing the connection unlocks.
	if err := makeRoles(ctx, owner, r); err != nil {
		return r, err
	}
	if err := runMigrations(ctx, cfg, r, o.Logger); err != nil {
		return r, fmt.Errorf("migrating the database: %w", err)
	}
	for _, step := range o.Migrate {
		if err := step(ctx, owner); err != nil {
			return r, fmt.Errorf("migrating the database: %w", err)
		}
	}
	return r, nil
}

// readRoles reads the roles the database was made with; a new database gets
// roles named after itself.
func readRoles(ctx context.Context, owner *pgx.Conn) (r roles, err error) {
	var database string
	var server int
	var made bool
	err = owner.QueryRow(ctx, `SELECT current_user::text, current_database()::text, current_setting('server_version_num')::int,
		to_regclass('system.installation') IS NOT NULL`).Scan(&r.owner, &database, &server, &made)
	if err != nil {
		return r, Translate(err)
	}
	if server < 15_00_00 {
		return r, fmt.Errorf("the database is PostgreSQL %d; version 15 or newer is needed", server/10000)
	}
	r.app, r.worker = database+"_app", database+"_worker"
	if len(r.worker) > 63 {
		return r, fmt.Errorf("the database's name %q is too long: its roles <name>_worker must fit 63 bytes", database)
	}
	if made {
		err = owner.QueryRow(ctx, "SELECT app_role::text, worker_role::text FROM system.installation").Scan(&r.app, &r.worker)
	}
	return r, Translate(err)
}

// makeRoles creates the two roles and lets the owner's login become them. A
// login with CREATEROLE can; where the roles exist and are granted, nothing is needed.
func makeRoles(ctx context.Context, owner *pgx.Conn, r roles) error {
	for _, role := range []string{r.app, r.worker} {
		name := pgx.Identifier{role}.Sanitize()
		_, err := owner.Exec(ctx, "CREATE ROLE "+name+" NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT")
		if err != nil && !isCode(err, "42710") && !isCode(err, "23505") && !isCode(err, "42501") { // exists, made at this moment, not allowed
			return Translate(err)
		}
		if _, err := owner.Exec(ctx, "SET ROLE "+name); err != nil {
			// From PostgreSQL 16 on, who creates a role administers it but may
			// not become it before granting that to itself.
			if _, err := owner.Exec(ctx, "GRANT "+name+" TO CURRENT_USER"); err != nil {
				return fmt.Errorf("the login %q can neither create nor become the role %s; give it CREATEROLE, or run as an administrator: "+
					"CREATE ROLE %s NOLOGIN; GRANT %s TO %s: %w", r.owner, role, name, name, pgx.Identifier{r.owner}.Sanitize(), err)
			}
		}
		if _, err := owner.Exec(ctx, "RESET ROLE"); err != nil {
			return Translate(err)
		}
	}
	_, err := owner.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS system")
	return Translate(err)
}

func isCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}

// upToDate tells in one round trip that there is nothing to do, which is the
// case at nearly every start.
func upToDate(ctx context.Context, owner *pgx.Conn) (bool, error) {
	var made bool
	err := owner.QueryRow(ctx, "SELECT to_regclass('system.migration') IS NOT NULL AND to_regclass('system.river_migration') IS NOT NULL").Scan(&made)
	if err != nil || !made {
		return false, Translate(err)
	}
	var done []string
	var jobs int
	err = owner.QueryRow(ctx, "SELECT (SELECT array_agg(name) FROM system.migration), (SELECT coalesce(max(version), 0) FROM system.river_migration)").Scan(&done, &jobs)
	if err != nil {
		return false, Translate(err)
	}
	all, err := numbered()
	if err != nil {
		return false, err
	}
	for _, m := range all {
		if !slices.Contains(done, m.number) {
			return false, nil
		}
	}
	river, err := riverMigrator(nil)
	if err != nil {
		return false, err
	}
	for _, m := range river.AllVersions() {
		if m.Version > jobs {
			return false, nil
		}
	}
	return true, nil
}

type numberedFile struct{ number, name, file string }

// SchemaVersion names the schema that Open makes: a digest of all migrations.
func SchemaVersion() string {
	h := sha256.New()
	all, err := numbered()
	if err != nil {
		return err.Error()
	}
	for _, m := range all {
		text, _ := fs.ReadFile(migrations.Files, m.file) // embedded: always there
		fmt.Fprintf(h, "%s %d\n%s", m.file, len(text), text)
	}
	if river, err := riverMigrator(nil); err == nil {
		for _, m := range river.AllVersions() {
			fmt.Fprintf(h, "river %d\n", m.Version)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// numbered lists the embedded migrations in order.
func numbered() ([]numberedFile, error) {
	files, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		return nil, err
	}
	var out []numberedFile
	for _, f := range files { // sorted by Glob
		number, name, ok := strings.Cut(strings.TrimSuffix(f, ".sql"), "_")
		if !ok || len(number) != 4 || strings.Trim(number, "0123456789") != "" {
			return nil, fmt.Errorf("migration %s is not called NNNN_name.sql", f)
		}
		if n := len(out); n > 0 && out[n-1].number == number {
			return nil, fmt.Errorf("migrations %s and %s have the same number", out[n-1].file, f)
		}
		out = append(out, numberedFile{number, name, f})
	}
	return out, nil
}

// runMigrations applies the product's own migrations by bun/migrate and then River's.
func runMigrations(ctx context.Context, cfg *pgx.ConnConfig, r roles, log *slog.Logger) error {
	pc, err := pgxpool.ParseConfig(cfg.ConnString())
	if err != nil {
		return err
	}
	pc.ConnConfig, pc.MaxConns = cfg, 2
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return err
	}
	defer pool.Close()
	b := bun.NewDB(stdlib.OpenDBFromPool(pool), pgdialect.New())
	defer func() { _ = b.Close() }()

	all, err := numbered()
	if err != nil {
		return err
	}
	set := migrate.NewMigrations()
	words := r.words()
	for _, m := range all {
		text, err := fs.ReadFile(migrations.Files, m.file)
		if err != nil {
			return err
		}
		sql := words.Replace(string(text))
		set.Add(migrate.Migration{Name: m.number, Comment: m.name, Up: func(ctx context.Context, runner *migrate.Migrator, this *migrate.Migration) error {
			return b.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.Tx.ExecContext(ctx, sql); err != nil {
					return fmt.Errorf("%s: %w", m.file, inFile(err, sql))
				}
				// Marked in the same transaction: a process that dies here has
				// done all or nothing. The runner marks once more, in vain.
				_, err := tx.NewInsert().Model(this).ModelTableExpr(migrationTable).On("CONFLICT (name) DO NOTHING").Exec(ctx)
				return err
			})
		}})
	}
	if _, err := b.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS system.migration (
		id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
		name text NOT NULL UNIQUE,
		group_id bigint,
		migrated_at timestamptz NOT NULL DEFAULT now()
	)`); err != nil {
		return err
	}
	runner := migrate.NewMigrator(b, set, migrate.WithTableName(migrationTable),
		migrate.WithMarkAppliedOnSuccess(true), migrate.WithUpsert(true))
	group, err := runner.Migrate(ctx)
	if err != nil {
		return err
	}
	if len(group.Migrations) > 0 {
		log.Info("database migrated", "count", len(group.Migrations), "last", group.Migrations[len(group.Migrations)-1].Name)
	}
	return migrateRiver(ctx, pool, r)
}

// words replaces the roles' names in a migration.
func (r roles) words() *strings.Replacer {
	name := func(s string) string { return pgx.Identifier{s}.Sanitize() }
	text := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	return strings.NewReplacer(
		"{{app}}", name(r.app), "{{worker}}", name(r.worker), "{{owner}}", name(r.owner),
		"{{app_text}}", text(r.app), "{{worker_text}}", text(r.worker), "{{owner_text}}", text(r.owner))
}

// inFile adds the line that PostgreSQL complains about.
func inFile(err error, sql string) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Position < 1 {
		return err
	}
	n, line := int32(1), 1
	for _, c := range sql {
		if n == pg.Position {
			break
		}
		if c == '\n' {
			line++
		}
		n++
	}
	return fmt.Errorf("line %d: %w", line, err)
}

// riverMigrator knows River's migrations; without a pool it can only list them.
func riverMigrator(pool *pgxpool.Pool) (*rivermigrate.Migrator[pgx.Tx], error) {
	return rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: "system", Logger: slog.New(slog.DiscardHandler)})
}

// migrateRiver brings River's tables up to date and lets the app role insert jobs.
func migrateRiver(ctx context.Context, pool *pgxpool.Pool, r roles) error {
	m, err := riverMigrator(pool)
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	// A job is inserted in the transaction of its effect, so by the app role
	// too. RETURNING and ON CONFLICT need the right to read and a column to
	// update; jobs therefore hold ids and nothing else.
	_, err = pool.Exec(ctx, r.words().Replace(`GRANT SELECT, INSERT, UPDATE (kind) ON system.river_job TO {{app}}`))
	return err
}
