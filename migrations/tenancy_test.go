package migrations_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/testkit"
	"switchboard/migrations"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// withoutTenant are the tables that belong to the installation, and why. All
// others have a tenant and every wall there is.
var withoutTenant = map[string]string{
	"system.installation":   "the names of the database roles",
	"system.migration":      "which migrations have run",
	"system.relay":          "one stamper for all tenants keeps the sequence gapless",
	"system.event_floor":    "where the kept part of the log begins",
	"system.event_consumer": "a consumer reads the log of all tenants in order",
	"system.sweep":          "a sweep looks at all tenants at once",
	"system.login":          "a person signs in to the installation; a user is the membership in one organization",
	"system.web_push_key":   "browsers subscribe with the key of the installation, sealed",

	"system.river_job":          "River: jobs name their tenant inside, by ids only",
	"system.river_leader":       "River: one leader for the installation",
	"system.river_migration":    "River: which of its migrations have run",
	"system.river_notification": "River: its notices without LISTEN",
	"system.river_queue":        "River: pauses of queues",
}

func owner(t *testing.T) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), testkit.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func rows[T any](t *testing.T, c *pgx.Conn, sql string, args ...any) []T {
	t.Helper()
	r, err := c.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(r, pgx.RowToStructByName[T])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const ours = `c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND nspname NOT LIKE 'pg\_t%')`

func TestEveryTableIsTenantedOrInTheList(t *testing.T) {
	t.Parallel()
	c := owner(t)
	type table struct {
		Name            string
		Enabled, Forced bool
		Tenant          bool   // organization_id uuid NOT NULL
		Created         bool   // created_at timestamptz NOT NULL
		Key             string // columns of the primary key
		Policies        []string
		Kind            string
		Owner           string
		PublicMay       bool
	}
	all := rows[table](t, c, `
		SELECT n.nspname || '.' || c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced, c.relkind::text AS kind,
			pg_get_userbyid(c.relowner)::text AS owner,
			EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND a.atttypid = 'uuid'::regtype AND a.attnotnull) AS tenant,
			EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'created_at' AND a.atttypid = 'timestamptz'::regtype AND a.attnotnull) AS created,
			coalesce((SELECT string_agg(a.attname, ',' ORDER BY k.n) FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k (attnum, n)
				JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum WHERE i.indrelid = c.oid AND i.indisprimary), '') AS key,
			coalesce((SELECT array_agg(p.polname || ' to ' || (SELECT string_agg(pg_get_userbyid(r), ',') FROM unnest(p.polroles) r) || ' ' || p.polcmd::text || ' using ' ||
				pg_get_expr(p.polqual, p.polrelid) || ' check ' || pg_get_expr(p.polwithcheck, p.polrelid) || CASE WHEN p.polpermissive THEN '' ELSE ' restrictive' END
				ORDER BY p.polname) FROM pg_policy p WHERE p.polrelid = c.oid), '{}') AS policies,
			EXISTS (SELECT FROM aclexplode(c.relacl) x WHERE x.grantee = 0) AS public_may
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND `+ours+` ORDER BY 1`)
	var app, worker, login string
	if err := c.QueryRow(t.Context(), "SELECT app_role::text, worker_role::text, current_user::text FROM system.installation").Scan(&app, &worker, &login); err != nil {
		t.Fatal(err)
	}
	const tenant = "(organization_id = ( SELECT app_organization() AS app_organization))"
	walls := []string{
		fmt.Sprintf("tenant_app to %s * using %s check %s", app, tenant, tenant),
		fmt.Sprintf("tenant_owner to %s * using true check true", login),
		fmt.Sprintf("tenant_worker to %s * using true check true", worker),
	}
	seen := map[string]bool{}
	for _, x := range all {
		seen[x.Name] = true
		if x.Owner != login {
			t.Errorf("%s belongs to %s, not to the owner", x.Name, x.Owner)
		}
		if x.PublicMay {
			t.Errorf("%s is granted to everybody", x.Name)
		}
		if _, ok := withoutTenant[x.Name]; ok {
			if !strings.HasPrefix(x.Name, "system.") {
				t.Errorf("%s has no tenant; it belongs into schema system", x.Name)
			}
			continue
		}
		switch {
		case strings.HasPrefix(x.Name, "system."):
			t.Errorf("%s is in schema system but not in the list of this test; add it with the reason, or give it a tenant", x.Name)
		case x.Kind == "v":
			t.Errorf("%s is a view: it runs as its owner and goes around the tenant; write the query or a function", x.Name)
		case !x.Tenant:
			t.Errorf("%s has no column organization_id uuid NOT NULL", x.Name)
		case !x.Enabled || !x.Forced || !slices.Equal(x.Policies, walls):
			t.Errorf("%s: row-level security enabled %v, forced %v, policies %q; end its migration with CALL tenant_table('%s')", x.Name, x.Enabled, x.Forced, x.Policies, x.Name)
		case x.Key != "organization_id" && !strings.HasPrefix(x.Key, "organization_id,"):
			t.Errorf("%s has the primary key (%s); it must begin with organization_id", x.Name, x.Key)
		case !x.Created:
			t.Errorf("%s has no column created_at timestamptz NOT NULL", x.Name)
		}
	}
	for name := range withoutTenant {
		if !seen[name] {
			t.Errorf("%s stands in the list of this test but does not exist", name)
		}
	}
}

// Foreign-key checks ignore row-level security: a key without the organization
// would let a row point into another tenant. And without an index on the
// referring side every deletion reads the whole table.
func TestForeignKeysStayInTheirTenantAndHaveAnIndex(t *testing.T) {
	t.Parallel()
	type key struct {
		Name, From, To  string
		Columns         []string
		Foreign         []string
		Indexed, System bool
	}
	for _, k := range rows[key](t, owner(t), `
		SELECT f.conname::text AS name, f.conrelid::regclass::text AS from, f.confrelid::regclass::text AS to,
			(SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY k (attnum, n)
				JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum) AS columns,
			(SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY k (attnum, n)
				JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum) AS foreign,
			EXISTS (SELECT FROM pg_index i WHERE i.indrelid = f.conrelid AND i.indisvalid
				AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) ~ 'IS NOT NULL\)$')
				AND (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey) AS indexed,
			f.connamespace = 'system'::regnamespace AS system
		FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid WHERE f.contype = 'f' AND `+ours+` ORDER BY 1`) {
		if !k.Indexed {
			t.Errorf("%s: no index on %s begins with (%s)", k.Name, k.From, strings.Join(k.Columns, ", "))
		}
		if k.System {
			continue
		}
		i := slices.Index(k.Columns, "organization_id")
		if i < 0 || k.Foreign[i] != "organization_id" && (k.To != "organization" || k.Foreign[i] != "id") {
			t.Errorf("%s: %s (%s) -> %s (%s) does not carry the organization", k.Name, k.From, strings.Join(k.Columns, ", "), k.To, strings.Join(k.Foreign, ", "))
		}
		if strings.HasPrefix(k.To, "system.") {
			t.Errorf("%s: a tenant's row must not hold a row of %s", k.Name, k.To)
		}
	}
}

// A unique key without the organization would tell one tenant what another has.
func TestUniqueKeysDoNotSpanTenants(t *testing.T) {
	t.Parallel()
	type key struct{ Name, Of, Columns string }
	for _, k := range rows[key](t, owner(t), `
		SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS of, pg_get_indexdef(i.indexrelid) AS columns
		FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE i.indisunique AND n.nspname = 'public' AND `+ours+`
			AND NOT EXISTS (SELECT FROM unnest(i.indkey) k JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k WHERE a.attname = 'organization_id')
		ORDER BY 1`) {
		if _, ok := acrossTenants[k.Name]; !ok {
			t.Errorf("%s is unique across tenants; begin it with organization_id, or add it here with the reason", k.Columns)
		}
	}
}

// acrossTenants are the unique keys that span tenants on purpose.
var acrossTenants = map[string]string{
	"event_seq":           "the relay stamps one sequence for the installation; no tenant writes it",
	"api_key_by_hash":     "looked up before the tenant is known; the hash of a random secret, nobody's choice",
	"invitation_by_token": "looked up before the tenant is known; the hash of a random secret, nobody's choice",
	"audio_by_token":      "looked up before the tenant is known; random, nobody's choice",
	"connection_by_id":    "looked up before the tenant is known; a random id, nobody's choice",
}

func TestFunctionsThatRunAsTheOwnerAreFenced(t *testing.T) {
	t.Parallel()
	type function struct {
		Name               string
		Definer, PublicMay bool
		Config             []string
	}
	for _, f := range rows[function](t, owner(t), `
		SELECT p.oid::regprocedure::text AS name, p.prosecdef AS definer, coalesce(p.proconfig, '{}') AS config,
			p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) x WHERE x.grantee = 0) AS public_may
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname IN ('public', 'system') AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1`) {
		path := slices.ContainsFunc(f.Config, func(s string) bool { return strings.HasPrefix(s, "search_path=") })
		if f.Definer && !path {
			t.Errorf("%s runs as the owner without a search_path of its own", f.Name)
		}
		if f.PublicMay && !strings.HasPrefix(f.Name, "system.river_") {
			t.Errorf("%s may be called by everybody", f.Name)
		}
	}
}

func TestNoRoleGoesAroundRowLevelSecurity(t *testing.T) {
	t.Parallel()
	type role struct {
		Name          string
		Super, Bypass bool
		Login         bool
	}
	for _, r := range rows[role](t, owner(t), `
		SELECT rolname::text AS name, rolsuper AS super, rolbypassrls AS bypass, rolcanlogin AS login
		FROM pg_roles r, system.installation i WHERE r.rolname IN (i.app_role, i.worker_role, current_user)`) {
		if r.Super || r.Bypass {
			t.Errorf("role %s: superuser %v, bypasses row-level security %v", r.Name, r.Super, r.Bypass)
		}
	}
}

func TestMigrationsReadNoClock(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		text, err := fs.ReadFile(migrations.Files, f)
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			code, _, _ := strings.Cut(strings.ToLower(line), "--")
			for _, word := range []string{"now()", "current_timestamp", "clock_timestamp", "current_date", "localtimestamp"} {
				if strings.Contains(code, word) && !(word == "now()" && strings.Contains(code, "created_at") || strings.Contains(code, "migrated_at")) {
					t.Errorf("%s:%d reads the clock; time is an argument", f, n+1)
				}
			}
		}
	}
}

// mayUse is all that a request may do to tables without a tenant.
var mayUse = map[string]string{
	"system.event_floor": "SELECT",        // a subscription compares its cursor with it
	"system.river_job":   "INSERT,SELECT", // a job is inserted with its effect; River reads the row back
}

func TestRequestsReachTablesWithoutATenantOnlyAsListed(t *testing.T) {
	t.Parallel()
	type grant struct{ Name, May string }
	got := map[string]string{}
	for _, g := range rows[grant](t, owner(t), `
		SELECT c.oid::regclass::text AS name, string_agg(p, ',' ORDER BY p) AS may
		FROM pg_class c, system.installation i, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
		WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace = 'system'::regnamespace AND has_table_privilege(i.app_role, c.oid, p)
		GROUP BY 1`) {
		got[g.Name] = g.May
	}
	if !maps.Equal(got, mayUse) {
		t.Errorf("the app role may %v; want %v", got, mayUse)
	}
}
