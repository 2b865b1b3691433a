-- What messages merge into their texts, and what other systems tell about business records.

ALTER TABLE contact
  -- IANA zone, for quiet hours.
  ADD COLUMN timezone          text,
  ADD COLUMN service           text,
  ADD COLUMN location          text,
  -- When, and as which version, the other system last changed it: what is older is not taken over.
  ADD COLUMN source_updated_at timestamptz,
  ADD COLUMN source_version    bigint;
-- R135: lists are filtered by these words, each with its own index. Tags are looked through: their
-- operators are not leakproof, so row-level security keeps them out of an index.
CREATE INDEX contact_by_status ON contact (organization_id, status, id) WHERE status IS NOT NULL;
CREATE INDEX contact_by_service ON contact (organization_id, service, id) WHERE service IS NOT NULL;
CREATE INDEX contact_by_location ON contact (organization_id, location, id) WHERE location IS NOT NULL;

ALTER TABLE record
  ADD COLUMN tags              text[] NOT NULL DEFAULT '{}',
  ADD COLUMN service           text,
  ADD COLUMN location          text,
  ADD COLUMN amount_minor      bigint,
  ADD COLUMN currency          text,
  ADD COLUMN due_at            timestamptz,
  ADD COLUMN ends_at           timestamptz,
  ADD COLUMN expires_at        timestamptz,
  ADD COLUMN next_service_at   timestamptz,
  -- R198: when the fieldworker will be there, and where to watch them come.
  ADD COLUMN eta_at            timestamptz,
  ADD COLUMN tracking_url      text,
  ADD COLUMN url               text,
  -- The business's own fields: a flat map of texts.
  ADD COLUMN data              jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN confirmed_at      timestamptz,
  ADD COLUMN source_updated_at timestamptz,
  ADD COLUMN source_version    bigint,
  ADD CONSTRAINT record_amount_has_currency CHECK ((amount_minor IS NULL) = (currency IS NULL)),
  ADD CONSTRAINT record_currency CHECK (currency ~ '^[A-Z]{3}$'),
  ADD CONSTRAINT record_tracking_url CHECK (tracking_url LIKE 'https://%'),
  ADD CONSTRAINT record_url CHECK (url LIKE 'https://%'),
  ADD CONSTRAINT record_data_flat CHECK (jsonb_typeof(data) = 'object');
CREATE INDEX record_by_status ON record (organization_id, status, id);
CREATE INDEX record_by_service ON record (organization_id, service, id) WHERE service IS NOT NULL;
CREATE INDEX record_by_location ON record (organization_id, location, id) WHERE location IS NOT NULL;
-- Reminders look for what starts, is due, expires or is to be serviced soon (R166-R169).
CREATE INDEX record_by_start ON record (organization_id, starts_at) WHERE starts_at IS NOT NULL;
CREATE INDEX record_by_due ON record (organization_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX record_by_expiry ON record (organization_id, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX record_by_next_service ON record (organization_id, next_service_at) WHERE next_service_at IS NOT NULL;

-- What happened to a record, in whatever order it is told (R164-R173).
CREATE TABLE record_event (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  record_id       uuid NOT NULL,
  kind            text NOT NULL,
  at              timestamptz NOT NULL,
  external_id     text,
  eta_at          timestamptz,
  -- R198: where the customer follows the fieldworker.
  tracking_url    text,
  note            text,
  data            jsonb NOT NULL DEFAULT '{}',
  user_id         uuid,
  api_key_id      uuid,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT record_event_record FOREIGN KEY (organization_id, record_id) REFERENCES record (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT record_event_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT record_event_api_key FOREIGN KEY (organization_id, api_key_id) REFERENCES api_key (organization_id, id),
  CONSTRAINT record_event_data_flat CHECK (jsonb_typeof(data) = 'object'),
  CONSTRAINT record_event_kind_known CHECK (kind IN ('CONTACT_ATTEMPT_FAILED', 'QUOTE_SENT', 'BOOKING_CONFIRMED', 'JOB_ACCEPTED',
    'ON_THE_WAY', 'RUNNING_LATE', 'ARRIVED', 'COMPLETED', 'INVOICE_SENT', 'PAID', 'CANCELLED'))
);
CREATE UNIQUE INDEX record_event_external ON record_event (organization_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX record_event_by_record ON record_event (organization_id, record_id, at, id);
CREATE INDEX record_event_by_kind ON record_event (organization_id, kind, at);
CREATE INDEX record_event_by_user ON record_event (organization_id, user_id);
CREATE INDEX record_event_by_api_key ON record_event (organization_id, api_key_id);
CALL tenant_table('record_event');

-- What became of each row of a batch that came with an idempotency key: the answer to its
-- repetition. Kept as long as the key.
CREATE TABLE upsert_batch (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  answer          jsonb NOT NULL,
  expires_at      timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id)
);
CREATE INDEX upsert_batch_expires ON upsert_batch (organization_id, expires_at);
CALL tenant_table('upsert_batch');
