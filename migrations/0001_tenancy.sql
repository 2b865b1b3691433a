-- The floor that every other migration stands on: who may see what.

-- Nothing is anybody's by default. Functions of the product may be called by
-- its two roles; tables are granted one by one, by tenant_table or by hand.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public, system TO {{app}}, {{worker}};
ALTER DEFAULT PRIVILEGES FOR ROLE {{owner}} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE {{owner}} IN SCHEMA public, system GRANT EXECUTE ON FUNCTIONS TO {{app}}, {{worker}};
ALTER DEFAULT PRIVILEGES FOR ROLE {{owner}} IN SCHEMA public, system GRANT USAGE, SELECT ON SEQUENCES TO {{app}}, {{worker}};
-- Schema system holds what has no tenant. Background work may use all of it;
-- the app role gets what a migration grants it.
ALTER DEFAULT PRIVILEGES FOR ROLE {{owner}} IN SCHEMA system GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {{worker}};

-- Both are trusted extensions: the owner of the database may create them.
CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- The roles this database was made with. A copy or a renamed database keeps them.
CREATE TABLE system.installation (
	one boolean PRIMARY KEY DEFAULT true,
	app_role name NOT NULL,
	worker_role name NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT installation_one CHECK (one)
);
REVOKE INSERT, UPDATE, DELETE ON system.installation FROM {{worker}};
INSERT INTO system.installation (app_role, worker_role) VALUES ({{app_text}}, {{worker_text}});

-- The tenant of this session, or NULL: then every policy is false. The setting
-- is made at each checkout of a connection and never by a query.
CREATE FUNCTION app_organization() RETURNS uuid
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN nullif(pg_catalog.current_setting('app.organization_id', true), '')::uuid;

-- tenant_table makes row-level security the barrier of one table: forced, also
-- for the owner, with one policy for each role. It may be called again.
--
-- The sub-select lets the planner evaluate the setting once for a statement and
-- use it as an index condition.
CREATE PROCEDURE tenant_table(t regclass)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $procedure$
DECLARE
	policy text;
BEGIN
	IF NOT EXISTS (
		SELECT FROM pg_attribute
		WHERE attrelid = t AND attname = 'organization_id' AND atttypid = 'uuid'::regtype AND attnotnull AND NOT attisdropped
	) THEN
		RAISE EXCEPTION 'table % has no column organization_id uuid NOT NULL', t;
	END IF;

	EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
	EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);

	FOREACH policy IN ARRAY ARRAY['tenant_app', 'tenant_worker', 'tenant_owner'] LOOP
		EXECUTE format('DROP POLICY IF EXISTS %I ON %s', policy, t);
	END LOOP;
	EXECUTE format('CREATE POLICY tenant_app ON %s TO %I USING (organization_id = (SELECT public.app_organization())) '
		'WITH CHECK (organization_id = (SELECT public.app_organization()))', t, {{app_text}});
	EXECUTE format('CREATE POLICY tenant_worker ON %s TO %I USING (true) WITH CHECK (true)', t, {{worker_text}});
	EXECUTE format('CREATE POLICY tenant_owner ON %s TO %I USING (true) WITH CHECK (true)', t, {{owner_text}});

	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I, %I', t, {{app_text}}, {{worker_text}});
END
$procedure$;
REVOKE EXECUTE ON PROCEDURE tenant_table(regclass) FROM {{app}}, {{worker}};
