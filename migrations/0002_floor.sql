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
CREATE INDEX audit_entry_time ON audit_entry (organization_id, at DESC, id DESC);
CREATE INDEX audit_entry_subject ON audit_entry (organization_id, subject, at DESC, id DESC);
CALL tenant_table('audit_entry');

-- A subscription compares its cursor with the floor. The worker role has all of schema system (0001).
GRANT SELECT ON system.event_floor TO {{app}};
-- Facts are not rewritten by those who write them: the relay stamps and trims.
REVOKE UPDATE, DELETE ON event FROM {{app}};
REVOKE INSERT, UPDATE, DELETE ON event_parked FROM {{app}};
REVOKE UPDATE, DELETE ON audit_entry FROM {{app}}, {{worker}};
