package db

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"switchboard/internal/errs"
	"switchboard/internal/id"
)

type tenantKey struct{}

// WithTenant returns a context whose checkouts of the app pool see the rows of
// the organization and no others. The zero ID is no tenant: no rows at all.
func WithTenant(ctx context.Context, org id.ID) context.Context {
	return context.WithValue(ctx, tenantKey{}, org)
}

// TenantFrom is the organization that WithTenant put into the context, or the zero ID.
func TenantFrom(ctx context.Context) id.ID {
	org, _ := ctx.Value(tenantKey{}).(id.ID)
	return org
}

// carriesTenant marks a checkout whose one batch sets the tenant itself.
type carriesTenant struct{}

func tenantText(org id.ID) string {
	if org.IsZero() {
		return ""
	}
	return pgtype.UUID{Bytes: org.UUID(), Valid: true}.String()
}

const (
	setTenant      = "SELECT set_config('app.organization_id', $1, false)"
	setTenantLocal = "SELECT set_config('app.organization_id', $1, true)"
)

// setTenantAtCheckout is pgxpool's PrepareConn. It runs at EVERY checkout: to
// remember what a connection was set to and skip the statement would trust that
// no SQL ever touched the setting, on its own or by rolling back.
func setTenantAtCheckout(ctx context.Context, c *pgx.Conn) (bool, error) {
	if ctx.Value(carriesTenant{}) != nil {
		return true, nil
	}
	_, err := c.Exec(ctx, setTenant, pgx.QueryExecModeCacheStatement, tenantText(TenantFrom(ctx)))
	return err == nil, err
}

// Batch runs the statements in one round trip and one transaction as the
// organization, for the paths where a round trip for the tenant counts. Results
// are taken by the functions given to Queue(…).Query, QueryRow and Exec; the
// first error ends the batch, undoes it and is returned. It sets its own tenant
// and does not look at the context's.
func (d *DB) Batch(ctx context.Context, org id.ID, b *pgx.Batch) error {
	full := &pgx.Batch{}
	full.Queue(setTenantLocal, tenantText(org))
	for _, q := range b.QueuedQueries {
		// These would end the implicit transaction and with it the tenant.
		switch word, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(q.SQL)), " "); strings.TrimRight(word, ";") {
		case "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "PREPARE":
			return fmt.Errorf("db: a batch is one transaction already; it cannot hold %s", word)
		}
		full.QueuedQueries = append(full.QueuedQueries, q)
	}
	conn, err := d.appPool.Acquire(context.WithValue(ctx, carriesTenant{}, true))
	if err != nil {
		return Translate(err)
	}
	defer conn.Release()
	if err := prepareAll(ctx, conn.Conn(), full); err != nil {
		return Translate(err)
	}
	return Translate(conn.SendBatch(ctx, full).Close())
}

// prepareAll has every statement of the batch prepared on the connection. It is
// a look-up once that is so; the pool's exec mode would plan them anew each time.
func prepareAll(ctx context.Context, c *pgx.Conn, b *pgx.Batch) error {
	for _, q := range b.QueuedQueries {
		if _, err := c.Prepare(ctx, q.SQL, q.SQL); err != nil {
			return err
		}
	}
	return nil
}

type poolOptions struct {
	role, owner     string
	mode            pgx.QueryExecMode
	max             int32
	statement, lock time.Duration
	tenant          bool
	tracer          pgx.QueryTracer
}

func newPool(ctx context.Context, base *pgxpool.Config, o poolOptions) (*pgxpool.Pool, error) {
	cfg := base.Copy()
	cfg.MaxConns = o.max
	cfg.MinConns = 0
	cfg.MaxConnIdleTime = 5 * time.Minute
	// A limit on age lets backends give memory back and follows a database that
	// moved behind its name.
	cfg.MaxConnLifetime = 30 * time.Minute
	cfg.MaxConnLifetimeJitter = 5 * time.Minute
	cfg.ConnConfig.DefaultQueryExecMode = o.mode
	cfg.ConnConfig.StatementCacheCapacity = 256
	cfg.ConnConfig.Tracer = counterTracer{}
	if o.tracer != nil {
		cfg.ConnConfig.Tracer = multitracer.New(counterTracer{}, o.tracer)
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "switchboard"
	}
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error { return become(ctx, c, o) }
	if o.tenant {
		cfg.PrepareConn = setTenantAtCheckout
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

// become gives a new connection its role and limits in one round trip, and
// refuses a role that row-level security does not bind.
func become(ctx context.Context, c *pgx.Conn, o poolOptions) error {
	// Quoted by hand: SET takes no parameters.
	set := fmt.Sprintf(`SET ROLE %s; SET statement_timeout = %d; SET lock_timeout = %d; SET idle_in_transaction_session_timeout = %d; SET TimeZone = 'UTC';
		SELECT current_user::text, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user`,
		pgx.Identifier{o.role}.Sanitize(), o.statement.Milliseconds(), o.lock.Milliseconds(), (4 * o.statement).Milliseconds())
	results, err := c.PgConn().Exec(ctx, set).ReadAll()
	if err != nil {
		return err
	}
	last := results[len(results)-1]
	if len(last.Rows) != 1 {
		return fmt.Errorf("db: role %s is not in pg_roles", o.role)
	}
	user, unbound := string(last.Rows[0][0]), string(last.Rows[0][1]) == "t"
	if user != o.role || user == o.owner || unbound {
		return errs.New(errs.Internal, "the database role %q is superuser, bypasses row-level security or owns the tables; "+
			"tenants would not be kept apart, so nothing is started", user)
	}
	return nil
}
