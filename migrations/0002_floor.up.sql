-- The floor: the event log, background work, idempotency keys, Twilio's posts and the audit record.

-- Every fact that something happened. PostgreSQL is the log; the bus only carries copies.
CREATE TABLE event (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  -- The order of writing; identity values are not the order of commits, so no reader follows them.
  log_id          bigint GENERATED ALWAYS AS IDENTITY,
  -- The order of delivery, gapless over the installation; the relay stamps it after the commit.
  seq             bigint,
  kind            text NOT NULL,
  subject         uuid,
  data            jsonb NOT NULL,
  actor_id        uuid,
  at              timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT event_kind_length CHECK (length(kind) BETWEEN 1 AND 64)
);
CREATE UNIQUE INDEX event_seq ON event (seq);
CREATE INDEX event_unstamped ON event (log_id) WHERE seq IS NULL;
CREATE INDEX event_replay ON event (organization_id, seq);
CREATE INDEX event_kind_seq ON event (kind, seq);
CALL tenant_table('event');

-- An event that a consumer could not take, kept whole: the log may be trimmed before somebody looks.
CREATE TABLE event_parked (
  organization_id uuid NOT NULL,
  consumer        text NOT NULL,
  seq             bigint NOT NULL,
  id              uuid NOT NULL,
  kind            text NOT NULL,
  subject         uuid,
  data            jsonb NOT NULL,
  actor_id        uuid,
  at              timestamptz NOT NULL,
  attempts        integer NOT NULL,
  error           text NOT NULL,
  parked_at       timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, consumer, seq)
);
CREATE INDEX event_parked_consumer ON event_parked (consumer, seq);
CALL tenant_table('event_parked');

-- The one row that every stamper locks first, in a statement of its own; it stamps in the next one.
CREATE TABLE system.relay (
  one          boolean PRIMARY KEY DEFAULT true,
  last_seq     bigint NOT NULL DEFAULT 0,
  -- Names the subject on a shared NATS cluster.
  installation uuid NOT NULL DEFAULT gen_random_uuid(),
  created_at   timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT relay_one_row CHECK (one)
);
INSERT INTO system.relay DEFAULT VALUES;

-- Events up to here are gone; apart from the relay's row, so that trimming never holds up stamping.
CREATE TABLE system.event_floor (
  one        boolean PRIMARY KEY DEFAULT true,
  seq        bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT event_floor_one_row CHECK (one)
);
INSERT INTO system.event_floor DEFAULT VALUES;

-- How far each durable consumer has come; advanced in the handler's own transaction.
CREATE TABLE system.event_consumer (
  name       text PRIMARY KEY,
  last_seq   bigint NOT NULL,
  -- Failures of the event after last_seq; they outlive a restart.
  attempts   integer NOT NULL DEFAULT 0,
  error      text,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT event_consumer_name_length CHECK (length(name) BETWEEN 1 AND 64)
);

-- When each sweep last ran, over all nodes.
CREATE TABLE system.sweep (
  name       text PRIMARY KEY,
  ran_at     timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- A command given with a key acts once in 24 hours; written in the transaction of its effect.
CREATE TABLE idempotency_key (
  organization_id uuid NOT NULL,
  user_id         uuid NOT NULL,
  mutation        text NOT NULL,
  key             text NOT NULL,
  input_hash      bytea NOT NULL,
  result_id       uuid,
  expires_at      timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, user_id, mutation, key)
);
CREATE INDEX idempotency_key_expires ON idempotency_key (expires_at);
CALL tenant_table('idempotency_key');

-- What Twilio posted to us, each post taken once. Bodies are sealed and dropped after 30 days.
CREATE TABLE twilio_post (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  connection_id   uuid NOT NULL,
  kind            text NOT NULL,
  -- The natural key of a callback, the idempotency token of a TwiML request.
  key             text NOT NULL,
  path            text NOT NULL,
  body            bytea NOT NULL,
  status          text NOT NULL,
  answer_status   integer,
  answer_type     text,
  answer_body     bytea,
  attempts        integer NOT NULL DEFAULT 1,
  error           text,
  received_at     timestamptz NOT NULL,
  -- When a FAILED callback is tried again; NULL when it is not.
  due_at          timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT twilio_post_unique UNIQUE (organization_id, connection_id, kind, key),
  CONSTRAINT twilio_post_kind_known CHECK (kind IN ('CALLBACK', 'TWIML')),
  CONSTRAINT twilio_post_status_known CHECK (status IN ('DONE', 'FAILED')),
  CONSTRAINT twilio_post_key_length CHECK (length(key) BETWEEN 1 AND 512)
);
CREATE INDEX twilio_post_due ON twilio_post (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX twilio_post_failed ON twilio_post (received_at) WHERE status = 'FAILED';
CREATE INDEX twilio_post_received ON twilio_post (received_at);
CALL tenant_table('twilio_post');

-- Who did what. Kept when events are trimmed; nobody but the owner can change it.
CREATE TABLE audit_entry (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  actor_id        uuid,
  action          text NOT NULL,
  subject         uuid,
  detail          jsonb NOT NULL,
  at              timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT audit_entry_action_length CHECK (length(action) BETWEEN 1 AND 64)
);
CREATE INDEX audit_entry_subject ON audit_entry (organization_id, subject, id);
CALL tenant_table('audit_entry');

-- River, the job queue, as its own migrations 1 to 8 leave it (a test compares them). Written out here so that
-- the schema has one history.
CREATE TABLE system.river_migration (
  line       text NOT NULL,
  version    bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT line_length CHECK (char_length(line) > 0 AND char_length(line) < 128),
  CONSTRAINT version_gte_1 CHECK (version >= 1),
  PRIMARY KEY (line, version)
);
INSERT INTO system.river_migration (line, version) SELECT 'main', v FROM generate_series(1, 8) v;

CREATE TYPE system.river_job_state AS ENUM (
  'available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', 'running', 'scheduled'
);

CREATE TABLE system.river_job (
  id            bigserial PRIMARY KEY,
  state         system.river_job_state NOT NULL DEFAULT 'available',
  attempt       smallint NOT NULL DEFAULT 0,
  max_attempts  smallint NOT NULL DEFAULT 25,
  attempted_at  timestamptz,
  created_at    timestamptz NOT NULL DEFAULT now(),
  finalized_at  timestamptz,
  scheduled_at  timestamptz NOT NULL DEFAULT now(),
  priority      smallint NOT NULL DEFAULT 1,
  args          jsonb NOT NULL,
  attempted_by  text[],
  errors        jsonb[],
  kind          text NOT NULL,
  metadata      jsonb NOT NULL DEFAULT '{}',
  queue         text NOT NULL DEFAULT 'default',
  tags          varchar(255)[] NOT NULL DEFAULT '{}',
  unique_key    bytea,
  unique_states bit(8),
  CONSTRAINT finalized_or_finalized_at_null CHECK (
    (finalized_at IS NULL AND state NOT IN ('cancelled', 'completed', 'discarded'))
    OR (finalized_at IS NOT NULL AND state IN ('cancelled', 'completed', 'discarded'))
  ),
  CONSTRAINT max_attempts_is_positive CHECK (max_attempts > 0),
  CONSTRAINT priority_in_range CHECK (priority >= 1 AND priority <= 4),
  CONSTRAINT queue_length CHECK (char_length(queue) > 0 AND char_length(queue) < 128),
  CONSTRAINT kind_length CHECK (char_length(kind) > 0 AND char_length(kind) < 128)
);
CREATE INDEX river_job_kind ON system.river_job (kind);
CREATE INDEX river_job_state_and_finalized_at_index ON system.river_job (state, finalized_at) WHERE finalized_at IS NOT NULL;
CREATE INDEX river_job_prioritized_fetching_index ON system.river_job (state, queue, priority, scheduled_at, id);
CREATE INDEX river_job_args_index ON system.river_job USING gin (args);
CREATE INDEX river_job_metadata_index ON system.river_job USING gin (metadata);

CREATE FUNCTION system.river_job_state_in_bitmask(bitmask bit(8), state system.river_job_state)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $f$
  SELECT CASE state
    WHEN 'available' THEN get_bit(bitmask, 7)
    WHEN 'cancelled' THEN get_bit(bitmask, 6)
    WHEN 'completed' THEN get_bit(bitmask, 5)
    WHEN 'discarded' THEN get_bit(bitmask, 4)
    WHEN 'pending'   THEN get_bit(bitmask, 3)
    WHEN 'retryable' THEN get_bit(bitmask, 2)
    WHEN 'running'   THEN get_bit(bitmask, 1)
    WHEN 'scheduled' THEN get_bit(bitmask, 0)
    ELSE 0
  END = 1;
$f$;
CREATE UNIQUE INDEX river_job_unique_idx ON system.river_job (unique_key)
  WHERE unique_key IS NOT NULL AND unique_states IS NOT NULL
    AND system.river_job_state_in_bitmask(unique_states, state);

CREATE UNLOGGED TABLE system.river_leader (
  elected_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  leader_id  text NOT NULL,
  name       text PRIMARY KEY DEFAULT 'default',
  CONSTRAINT name_length CHECK (name = 'default'),
  CONSTRAINT leader_id_length CHECK (char_length(leader_id) > 0 AND char_length(leader_id) < 128)
);

CREATE TABLE system.river_queue (
  name       text PRIMARY KEY NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  metadata   jsonb NOT NULL DEFAULT '{}',
  paused_at  timestamptz,
  updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE system.river_notification (
  id         bigserial PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT now(),
  payload    text NOT NULL,
  topic      text NOT NULL,
  CONSTRAINT topic_length CHECK (length(topic) > 0 AND length(topic) < 128)
);
CREATE INDEX river_notification_created_at_idx ON system.river_notification (created_at);
CREATE INDEX river_notification_topic_id_idx ON system.river_notification (topic, id);

-- Who may do what here, beyond what tenant_table grants.
DO $do$
DECLARE
  app    text := current_database() || '_app';
  worker text := current_database() || '_worker';
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA system TO %I, %I', app, worker);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON system.relay, system.event_floor, system.event_consumer,
    system.sweep, system.river_job, system.river_leader, system.river_queue, system.river_notification TO %I', worker);
  EXECUTE format('GRANT SELECT ON system.river_migration TO %I', worker);
  EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA system TO %I', worker);

  -- A subscription compares its cursor with the floor.
  EXECUTE format('GRANT SELECT ON system.event_floor TO %I', app);
  -- Facts are not rewritten by those who write them; the relay stamps, and trims.
  EXECUTE format('REVOKE UPDATE, DELETE ON event FROM %I', app);
  EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON event_parked FROM %I', app);
  EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON audit_entry FROM %I, %I', app, worker);

  -- A job is inserted by the transaction that wants it, as app: it sees no job of another organization.
  EXECUTE format('GRANT INSERT, SELECT, UPDATE (kind) ON system.river_job TO %I', app);
  EXECUTE format('GRANT USAGE ON SEQUENCE system.river_job_id_seq TO %I', app);
  EXECUTE 'ALTER TABLE system.river_job ENABLE ROW LEVEL SECURITY';
  EXECUTE 'ALTER TABLE system.river_job FORCE ROW LEVEL SECURITY';
  EXECUTE format($p$CREATE POLICY river_job_app ON system.river_job TO %I
    USING (metadata->>'organization_id' IS NOT DISTINCT FROM (SELECT app_organization())::text)$p$, app);
  EXECUTE format('CREATE POLICY river_job_worker ON system.river_job TO %I USING (true) WITH CHECK (true)', worker);
  EXECUTE format('CREATE POLICY river_job_owner ON system.river_job TO %I USING (true) WITH CHECK (true)', current_user);
END $do$;
