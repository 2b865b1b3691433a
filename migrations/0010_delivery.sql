-- Webhooks out: who is told of events, what each of them was told, and how that went.

CREATE TABLE webhook_endpoint (
  organization_id   uuid NOT NULL REFERENCES organization (organization_id),
  id                uuid NOT NULL,
  url               text NOT NULL,
  description       text NOT NULL DEFAULT '',
  -- The kinds of event; empty: all.
  kinds             text[] NOT NULL DEFAULT '{}',
  -- What it may see, like an API key.
  role_id           uuid NOT NULL,
  status            text NOT NULL DEFAULT 'ENABLED',
  disabled_reason   text,
  disabled_at       timestamptz,
  -- The first failure since the last success, and the attempts since then.
  failing_since     timestamptz,
  failed_attempts   integer NOT NULL DEFAULT 0,
  last_delivered_at timestamptz,
  -- Until when one process alone sends to it, and until when a job has been asked to.
  leased_until      timestamptz,
  asked_until       timestamptz,
  -- A user or an API key. One made by a key ends with the key.
  created_by        uuid NOT NULL,
  created_at        timestamptz NOT NULL DEFAULT now(),
  updated_at        timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT webhook_endpoint_role FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id),
  CONSTRAINT webhook_endpoint_url_length CHECK (length(url) BETWEEN 1 AND 2048),
  CONSTRAINT webhook_endpoint_status_known CHECK (status IN ('ENABLED', 'DISABLED')),
  CONSTRAINT webhook_endpoint_reason_known CHECK (disabled_reason IN ('BY_HAND', 'FAILING', 'GONE', 'KEY_REVOKED')),
  CONSTRAINT webhook_endpoint_disabled CHECK ((status = 'DISABLED') = (disabled_reason IS NOT NULL AND disabled_at IS NOT NULL))
);
CREATE INDEX webhook_endpoint_by_role ON webhook_endpoint (organization_id, role_id);
CREATE INDEX webhook_endpoint_newest ON webhook_endpoint (organization_id, created_at DESC, id DESC);
CALL tenant_table('webhook_endpoint');

-- The keys that sign, sealed. The one without an end is the endpoint's own, the other is that before the last rotation.
CREATE TABLE webhook_secret (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  endpoint_id     uuid NOT NULL,
  sealed          bytea NOT NULL,
  ends_at         timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT webhook_secret_endpoint FOREIGN KEY (organization_id, endpoint_id) REFERENCES webhook_endpoint (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX webhook_secret_by_endpoint ON webhook_secret (organization_id, endpoint_id);
CREATE INDEX webhook_secret_ends ON webhook_secret (ends_at) WHERE ends_at IS NOT NULL;
CREATE UNIQUE INDEX webhook_secret_one_current ON webhook_secret (organization_id, endpoint_id) WHERE ends_at IS NULL;
CALL tenant_table('webhook_secret');

-- One event for one endpoint. The event is copied: it is kept here for longer than in the log. What it is about is
-- read when it is sent and never stored.
CREATE TABLE webhook_delivery (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  endpoint_id     uuid NOT NULL,
  event_id        uuid NOT NULL,
  -- NULL for a test, which is in no log.
  seq             bigint,
  kind            text NOT NULL,
  subject         uuid,
  actor_id        uuid,
  data            jsonb NOT NULL,
  at              timestamptz NOT NULL,
  status          text NOT NULL,
  -- All attempts, and those since it was last asked for.
  attempts        integer NOT NULL DEFAULT 0,
  tries           integer NOT NULL DEFAULT 0,
  -- When it is sent; while it is being sent, when it is given up for lost and sent again. NULL when nothing follows.
  due_at          timestamptz,
  finished_at     timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT webhook_delivery_endpoint FOREIGN KEY (organization_id, endpoint_id) REFERENCES webhook_endpoint (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT webhook_delivery_once UNIQUE (organization_id, endpoint_id, event_id),
  CONSTRAINT webhook_delivery_status_known CHECK (status IN ('PENDING', 'DELIVERED', 'FAILED', 'HELD', 'SKIPPED')),
  CONSTRAINT webhook_delivery_due CHECK ((status = 'PENDING') = (due_at IS NOT NULL))
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (organization_id, endpoint_id, due_at, seq) WHERE status = 'PENDING';
CREATE INDEX webhook_delivery_newest ON webhook_delivery (organization_id, endpoint_id, created_at DESC, id DESC);
CREATE INDEX webhook_delivery_by_status ON webhook_delivery (organization_id, endpoint_id, status, created_at DESC, id DESC);
CREATE INDEX webhook_delivery_replay ON webhook_delivery (organization_id, endpoint_id, seq);
CREATE INDEX webhook_delivery_age ON webhook_delivery (created_at);
CREATE INDEX webhook_delivery_held ON webhook_delivery (created_at) WHERE status = 'HELD';
CALL tenant_table('webhook_delivery');

CREATE TABLE webhook_attempt (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  delivery_id     uuid NOT NULL,
  number          integer NOT NULL,
  at              timestamptz NOT NULL,
  duration_ms     integer NOT NULL,
  -- NULL when there was no answer.
  status_code     integer,
  error           text,
  -- The first kilobyte of it.
  answer          text NOT NULL DEFAULT '',
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT webhook_attempt_delivery FOREIGN KEY (organization_id, delivery_id) REFERENCES webhook_delivery (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX webhook_attempt_by_delivery ON webhook_attempt (organization_id, delivery_id, number);
CALL tenant_table('webhook_attempt');
