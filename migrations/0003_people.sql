-- Organizations, roles, people, their phones and devices, and how they sign in.

-- A login belongs to the installation; a user is its membership in one organization.
CREATE TABLE system.login (
  id            uuid PRIMARY KEY,
  email         text NOT NULL,
  password_hash text,
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL,
  CONSTRAINT login_email_unique UNIQUE (email),
  CONSTRAINT login_email_canonical CHECK (email = lower(email) AND length(email) <= 254)
);

CREATE TABLE organization (
  organization_id             uuid PRIMARY KEY,
  name                        text NOT NULL,
  time_zone                   text NOT NULL DEFAULT 'UTC',
  default_country             text NOT NULL DEFAULT 'US',
  -- R038: the Company Phone of layer 1.
  company_phone               text,
  address                     text,
  -- D15: on, forwarded legs show the office number; off, the customer's.
  display_office_number       boolean NOT NULL DEFAULT false,
  -- R285: switched-off features, by name.
  disabled_features           text[] NOT NULL DEFAULT '{}',
  created_at                  timestamptz NOT NULL DEFAULT now(),
  updated_at                  timestamptz NOT NULL
);
CALL tenant_table('organization');

CREATE TABLE role (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  name            text NOT NULL,
  -- ADMIN, DISPATCHER, OFFICE, SALES, FIELDWORKER for the built-in ones, else NULL.
  built_in        text,
  permissions     text[] NOT NULL DEFAULT '{}',
  -- Whose calls and threads are seen: ORGANIZATION, BRANCH or OWN.
  visibility      text NOT NULL DEFAULT 'OWN',
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT role_name_unique UNIQUE (organization_id, name),
  CONSTRAINT role_visibility_known CHECK (visibility IN ('ORGANIZATION', 'BRANCH', 'OWN'))
);
CALL tenant_table('role');

CREATE TABLE "user" (
  organization_id          uuid NOT NULL REFERENCES organization (organization_id),
  id                       uuid NOT NULL,
  login_id                 uuid NOT NULL, -- system.login; no foreign key: the tenant may not see logins
  email                    text NOT NULL,
  name                     text NOT NULL,
  role_id                  uuid NOT NULL,
  status                   text NOT NULL DEFAULT 'INVITED',
  is_fieldworker           boolean NOT NULL DEFAULT false,
  -- R024: shared cover, added to the ring group of numbers that ask for it.
  is_general_fieldworker   boolean NOT NULL DEFAULT false,
  -- R242: no calls and messages to a customer before the booking starts.
  restrict_before_start    boolean NOT NULL DEFAULT false,
  do_not_disturb           boolean NOT NULL DEFAULT false,
  extension                text,
  sip_address              text,
  display_notifications    boolean NOT NULL DEFAULT true,
  silent_notifications     boolean NOT NULL DEFAULT false,
  version                  bigint NOT NULL DEFAULT 1,
  created_at               timestamptz NOT NULL DEFAULT now(),
  updated_at               timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT user_role FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id),
  CONSTRAINT user_login_unique UNIQUE (organization_id, login_id),
  CONSTRAINT user_status_known CHECK (status IN ('INVITED', 'ACTIVE', 'DISABLED'))
);
CREATE INDEX user_by_role ON "user" (organization_id, role_id);
CREATE INDEX user_newest ON "user" (organization_id, created_at DESC, id DESC);
CALL tenant_table('"user"');

-- R288: several phones a user, one primary.
CREATE TABLE user_phone (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  user_id         uuid NOT NULL,
  label           text NOT NULL DEFAULT '',
  e164            text NOT NULL,
  is_primary      boolean NOT NULL DEFAULT false,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT user_phone_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT user_phone_unique UNIQUE (organization_id, user_id, e164)
);
CREATE UNIQUE INDEX user_phone_one_primary ON user_phone (organization_id, user_id) WHERE is_primary;
CREATE INDEX user_phone_by_number ON user_phone (organization_id, e164);
CALL tenant_table('user_phone');

-- R065, R066, T03: every device has its own client identity, which is its id.
CREATE TABLE device (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  user_id         uuid NOT NULL,
  name            text NOT NULL,
  platform        text NOT NULL,
  registered_at   timestamptz NOT NULL,
  last_seen_at    timestamptz NOT NULL,
  removed_at      timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT device_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT device_platform_known CHECK (platform IN ('WEB', 'IOS', 'ANDROID'))
);
CREATE INDEX device_by_user ON device (organization_id, user_id, last_seen_at DESC);
CALL tenant_table('device');

CREATE TABLE session (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  user_id         uuid NOT NULL,
  login_id        uuid NOT NULL,
  -- SHA-256 of the newest refresh token. Tokens name their session and are signed: any other of its tokens is an older
  -- one, whose second use ends the session.
  refresh_hash    bytea NOT NULL,
  user_agent      text NOT NULL DEFAULT '',
  expires_at      timestamptz NOT NULL,
  refreshed_at    timestamptz NOT NULL,
  ended_at        timestamptz,
  end_reason      text,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT session_user_fk FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id)
);
CREATE INDEX session_by_user ON session (organization_id, user_id);
CREATE INDEX session_by_login ON session (login_id);
CALL tenant_table('session');

CREATE TABLE invitation (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  user_id         uuid NOT NULL,
  token_hash      bytea NOT NULL,
  expires_at      timestamptz NOT NULL,
  used_at         timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT invitation_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id)
);
CREATE INDEX invitation_by_user ON invitation (organization_id, user_id);
CREATE UNIQUE INDEX invitation_by_token ON invitation (token_hash);
CALL tenant_table('invitation');

CREATE TABLE api_key (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  name            text NOT NULL,
  role_id         uuid NOT NULL,
  -- The first characters, so that a person can tell keys apart; the key itself is kept as SHA-256 only.
  hint            text NOT NULL,
  hash            bytea NOT NULL,
  created_by      uuid NOT NULL,
  last_used_at    timestamptz,
  revoked_at      timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT api_key_role FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id),
  CONSTRAINT api_key_creator FOREIGN KEY (organization_id, created_by) REFERENCES "user" (organization_id, id)
);
CREATE UNIQUE INDEX api_key_by_hash ON api_key (hash);
CREATE INDEX api_key_by_role ON api_key (organization_id, role_id);
CREATE INDEX api_key_by_creator ON api_key (organization_id, created_by);
CALL tenant_table('api_key');

-- Look-ups before the tenant is known. Each returns ids and hashes only.
CREATE FUNCTION find_login(wanted text) RETURNS TABLE (login_id uuid, password_hash text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT l.id, l.password_hash FROM system.login l WHERE l.email = wanted
$f$;
CREATE FUNCTION find_memberships(wanted uuid) RETURNS TABLE (organization_id uuid, user_id uuid, status text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT u.organization_id, u.id, u.status FROM public."user" u WHERE u.login_id = wanted ORDER BY u.id LIMIT 100
$f$;
CREATE FUNCTION find_invitation(wanted bytea) RETURNS TABLE (organization_id uuid, invitation_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT i.organization_id, i.id FROM public.invitation i WHERE i.token_hash = wanted
$f$;
CREATE FUNCTION find_api_key(wanted bytea) RETURNS TABLE (organization_id uuid, api_key_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT k.organization_id, k.id FROM public.api_key k WHERE k.hash = wanted AND k.revoked_at IS NULL
$f$;
-- The one way to write logins: made with no password, given one by an invitation or a change of password.
CREATE FUNCTION ensure_login(new_id uuid, wanted text, at timestamptz) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
BEGIN
  INSERT INTO system.login (id, email, updated_at) VALUES (new_id, wanted, at) ON CONFLICT (email) DO NOTHING;
  RETURN (SELECT id FROM system.login WHERE email = wanted);
END $f$;
CREATE FUNCTION set_login_password(wanted uuid, hash text, at timestamptz) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  UPDATE system.login SET password_hash = hash, updated_at = at WHERE id = wanted
$f$;
-- A changed password ends every session of the login, in every organization.
CREATE FUNCTION end_login_sessions(wanted uuid, except_session uuid, reason text, at timestamptz)
RETURNS TABLE (organization_id uuid, session_id uuid)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  UPDATE public.session s SET ended_at = at, end_reason = reason
  WHERE s.login_id = wanted AND s.ended_at IS NULL AND s.id IS DISTINCT FROM except_session
  RETURNING s.organization_id, s.id
$f$;
