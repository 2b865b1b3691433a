-- Messages in full: the inbox, media out, bulk, templates, automations, consent.

ALTER TABLE phone_number
  -- R145, R146: who answers a text, or a text with pictures, of somebody unknown.
  ADD COLUMN sms_assignee_id     uuid,
  ADD COLUMN mms_assignee_id     uuid,
  -- R151: the name that one-way messages show instead of the number.
  ADD COLUMN sender_name         text,
  -- How many messages a second bulk sending hands over; NULL is what this kind of sender may.
  ADD COLUMN messages_per_second int,
  -- R152, R153: what Twilio says of the sender's registration, and when it said so.
  ADD COLUMN a2p_status          text,
  ADD COLUMN toll_free_status    text,
  ADD COLUMN service_inbound_url text,
  ADD COLUMN service_uses_number boolean,
  ADD COLUMN messaging_checked_at timestamptz,
  ADD CONSTRAINT number_sms_assignee FOREIGN KEY (organization_id, sms_assignee_id) REFERENCES "user" (organization_id, id) ON DELETE SET NULL (sms_assignee_id),
  ADD CONSTRAINT number_mms_assignee FOREIGN KEY (organization_id, mms_assignee_id) REFERENCES "user" (organization_id, id) ON DELETE SET NULL (mms_assignee_id),
  ADD CONSTRAINT number_sender_name CHECK (sender_name ~ '^[A-Za-z0-9 ]{1,11}$' AND sender_name ~ '[A-Za-z]'),
  ADD CONSTRAINT number_message_rate CHECK (messages_per_second BETWEEN 1 AND 1000);
CREATE INDEX phone_number_by_sms_assignee ON phone_number (organization_id, sms_assignee_id);
CREATE INDEX phone_number_by_mms_assignee ON phone_number (organization_id, mms_assignee_id);

-- R149: the countries that an account may write to, as Twilio said.
CREATE TABLE connection_country (
  organization_id uuid NOT NULL,
  connection_id   uuid NOT NULL,
  country         text NOT NULL,
  may_message     boolean NOT NULL,
  checked_at      timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, connection_id, country),
  CONSTRAINT connection_country_connection FOREIGN KEY (organization_id, connection_id) REFERENCES twilio_connection (organization_id, id) ON DELETE CASCADE
);
CALL tenant_table('connection_country');

-- When the senders of an account were last looked at.
ALTER TABLE twilio_connection ADD COLUMN messaging_checked_at timestamptz;

-- The Messaging Services whose inbound messages were made to come here, with what is given back.
CREATE TABLE messaging_takeover (
  organization_id uuid NOT NULL,
  connection_id   uuid NOT NULL,
  service_sid     text NOT NULL,
  previous_url    text NOT NULL,
  previous_method text NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, connection_id, service_sid),
  CONSTRAINT messaging_takeover_connection FOREIGN KEY (organization_id, connection_id) REFERENCES twilio_connection (organization_id, id) ON DELETE CASCADE
);
CALL tenant_table('messaging_takeover');
CREATE INDEX phone_number_by_service ON phone_number (organization_id, connection_id, messaging_service_sid) WHERE messaging_service_sid IS NOT NULL;

-- R174: what one part to a country really cost, learned from Twilio's log.
CREATE TABLE message_rate (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  country         text NOT NULL,
  kind            text NOT NULL,
  micros          bigint NOT NULL,
  currency        text NOT NULL,
  seen_at         timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, country, kind),
  CONSTRAINT message_rate_kind_known CHECK (kind IN ('SMS', 'MMS'))
);
CALL tenant_table('message_rate');

-- R161: templates and canned responses, in one place.
CREATE TABLE message_template (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  kind            text NOT NULL,
  name            text NOT NULL,
  body            text NOT NULL,
  purpose         text NOT NULL,
  -- The kind of record whose fields it merges; NULL for those of a contact alone.
  record_kind     text,
  is_archived     boolean NOT NULL DEFAULT false,
  created_by      uuid,
  version         bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT template_creator FOREIGN KEY (organization_id, created_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT template_kind_known CHECK (kind IN ('TEMPLATE', 'CANNED_RESPONSE')),
  CONSTRAINT template_purpose_known CHECK (purpose IN ('CONFIRMATION', 'REMINDER', 'SERVICE_UPDATE', 'INVOICE', 'SUPPORT_REPLY', 'OTHER')),
  CONSTRAINT template_record_kind_known CHECK (record_kind IN ('BOOKING', 'QUOTE', 'INVOICE', 'INQUIRY', 'COMPLAINT'))
);
CREATE UNIQUE INDEX template_name_unique ON message_template (organization_id, lower(name)) WHERE NOT is_archived;
CREATE INDEX template_by_creator ON message_template (organization_id, created_by);
CALL tenant_table('message_template');

-- R136: one text to many.
CREATE TABLE bulk_message (
  organization_id  uuid NOT NULL REFERENCES organization (organization_id),
  id               uuid NOT NULL,
  name             text NOT NULL,
  body             text NOT NULL,
  template_id      uuid,
  media            uuid[] NOT NULL DEFAULT '{}',
  phone_number_id  uuid,
  campaign_id      uuid,
  status           text NOT NULL,
  -- How many messages a second each sender hands over; NULL is the sender's own.
  rate_per_second  int,
  send_at          timestamptz,
  -- What stopped it, in plain words.
  stop_reason      text,
  recipient_count  int NOT NULL,
  -- Recipients that were left out, and those not looked at yet.
  skipped_count    int NOT NULL DEFAULT 0,
  pending_count    int NOT NULL,
  created_by       uuid,
  -- When somebody must look after it; NULL when nothing is open.
  due_at           timestamptz,
  started_at       timestamptz,
  ended_at         timestamptz,
  version          bigint NOT NULL DEFAULT 1,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT bulk_template FOREIGN KEY (organization_id, template_id) REFERENCES message_template (organization_id, id),
  CONSTRAINT bulk_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id),
  CONSTRAINT bulk_campaign FOREIGN KEY (organization_id, campaign_id) REFERENCES campaign (organization_id, id) ON DELETE SET NULL (campaign_id),
  CONSTRAINT bulk_creator FOREIGN KEY (organization_id, created_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT bulk_status_known CHECK (status IN ('SCHEDULED', 'RUNNING', 'PAUSED', 'DONE', 'CANCELED')),
  CONSTRAINT bulk_rate CHECK (rate_per_second BETWEEN 1 AND 1000)
);
CREATE INDEX bulk_by_template ON bulk_message (organization_id, template_id);
CREATE INDEX bulk_by_number ON bulk_message (organization_id, phone_number_id);
CREATE INDEX bulk_by_campaign ON bulk_message (organization_id, campaign_id);
CREATE INDEX bulk_by_creator ON bulk_message (organization_id, created_by);
CREATE INDEX bulk_by_time ON bulk_message (organization_id, created_at DESC, id DESC);
CREATE INDEX bulk_due ON bulk_message (due_at) WHERE due_at IS NOT NULL;
CALL tenant_table('bulk_message');

-- One recipient each; who is left out says why.
CREATE TABLE bulk_recipient (
  organization_id uuid NOT NULL,
  bulk_id         uuid NOT NULL,
  position        int NOT NULL,
  -- As given, for those that no number was made of.
  given           text NOT NULL,
  e164            text,
  contact_id      uuid,
  record_id       uuid,
  phone_number_id uuid,
  sender_reason   text,
  body            text,
  -- R174: what it is expected to cost.
  estimated_micros bigint,
  currency        text,
  state           text NOT NULL,
  skip_code       text,
  skip_reason     text,
  message_id      uuid,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, bulk_id, position),
  CONSTRAINT bulk_recipient_bulk FOREIGN KEY (organization_id, bulk_id) REFERENCES bulk_message (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT bulk_recipient_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (contact_id),
  CONSTRAINT bulk_recipient_record FOREIGN KEY (organization_id, record_id) REFERENCES record (organization_id, id) ON DELETE SET NULL (record_id),
  CONSTRAINT bulk_recipient_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id),
  CONSTRAINT bulk_recipient_state_known CHECK (state IN ('PENDING', 'TAKEN', 'SKIPPED')),
  CONSTRAINT bulk_recipient_taken CHECK ((state = 'TAKEN') = (message_id IS NOT NULL))
);
-- Never twice to one person.
CREATE UNIQUE INDEX bulk_recipient_once ON bulk_recipient (organization_id, bulk_id, e164) WHERE state <> 'SKIPPED';
-- Who is next for each sender.
CREATE INDEX bulk_recipient_pending ON bulk_recipient (organization_id, bulk_id, phone_number_id, position) WHERE state = 'PENDING';
CREATE INDEX bulk_recipient_by_contact ON bulk_recipient (organization_id, contact_id);
CREATE INDEX bulk_recipient_by_record ON bulk_recipient (organization_id, record_id);
CREATE INDEX bulk_recipient_by_number ON bulk_recipient (organization_id, phone_number_id);
CREATE INDEX bulk_recipient_by_message ON bulk_recipient (organization_id, message_id);
CALL tenant_table('bulk_recipient');

-- When each sender may hand over its next message, over all bulks and processes.
CREATE TABLE message_pace (
  organization_id uuid NOT NULL,
  phone_number_id uuid NOT NULL,
  free_at         timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, phone_number_id),
  CONSTRAINT message_pace_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id) ON DELETE CASCADE
);
CALL tenant_table('message_pace');

-- R164: trigger, conditions, recipients, template.
CREATE TABLE automation (
  organization_id  uuid NOT NULL REFERENCES organization (organization_id),
  id               uuid NOT NULL,
  name             text NOT NULL,
  trigger          text NOT NULL,
  -- Minutes after the trigger, or before it when negative (dates only).
  offset_minutes   int NOT NULL DEFAULT 0,
  conditions       jsonb NOT NULL DEFAULT '[]',
  recipients       text[] NOT NULL,
  extra_numbers    text[] NOT NULL DEFAULT '{}',
  template_id      uuid NOT NULL,
  phone_number_id  uuid,
  quiet_from       text,
  quiet_until      text,
  -- Wait for the end of the quiet hours, or leave it.
  quiet_action     text NOT NULL DEFAULT 'WAIT',
  is_enabled       boolean NOT NULL DEFAULT false,
  -- Dates that passed before it was switched on are not looked at.
  enabled_at       timestamptz,
  -- How far its look at dates has come.
  looked_until     timestamptz,
  is_archived      boolean NOT NULL DEFAULT false,
  created_by       uuid,
  version          bigint NOT NULL DEFAULT 1,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT automation_template FOREIGN KEY (organization_id, template_id) REFERENCES message_template (organization_id, id),
  CONSTRAINT automation_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id),
  CONSTRAINT automation_creator FOREIGN KEY (organization_id, created_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT automation_trigger_known CHECK (trigger IN ('CONTACT_ATTEMPT_FAILED', 'QUOTE_REMINDER', 'BOOKING_REMINDER', 'NEXT_SERVICE_DUE',
    'INVOICE_OUTSTANDING', 'ON_THE_WAY', 'RUNNING_LATE', 'ARRIVED', 'JOB_ACCEPTED', 'BOOKING_CONFIRMED')),
  CONSTRAINT automation_quiet_known CHECK (quiet_action IN ('WAIT', 'SKIP'))
);
CREATE INDEX automation_by_template ON automation (organization_id, template_id);
CREATE INDEX automation_by_number ON automation (organization_id, phone_number_id);
CREATE INDEX automation_by_creator ON automation (organization_id, created_by);
CREATE INDEX automation_by_trigger ON automation (organization_id, trigger) WHERE is_enabled AND NOT is_archived;
CREATE INDEX automation_looks ON automation (looked_until) WHERE is_enabled AND NOT is_archived;
CALL tenant_table('automation');

-- R175: each run, with its reason when nothing was sent.
CREATE TABLE automation_run (
  organization_id  uuid NOT NULL,
  id               uuid NOT NULL,
  automation_id    uuid NOT NULL,
  -- What it ran for: the same thing never runs it twice for the same recipient.
  cause            text NOT NULL,
  recipient        text NOT NULL,
  record_id        uuid,
  contact_id       uuid,
  event_at         timestamptz NOT NULL,
  event            jsonb NOT NULL DEFAULT '{}',
  state            text NOT NULL,
  reason_code      text,
  reason           text,
  to_number        text,
  message_id       uuid,
  estimated_micros bigint,
  currency         text,
  due_at           timestamptz,
  ran_at           timestamptz,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT automation_run_once UNIQUE (organization_id, automation_id, cause, recipient),
  CONSTRAINT automation_run_rule FOREIGN KEY (organization_id, automation_id) REFERENCES automation (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT automation_run_record FOREIGN KEY (organization_id, record_id) REFERENCES record (organization_id, id) ON DELETE SET NULL (record_id),
  CONSTRAINT automation_run_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (contact_id),
  CONSTRAINT automation_run_state_known CHECK (state IN ('WAITING', 'SENT', 'NOT_SENT', 'CANCELED'))
);
CREATE INDEX automation_run_due ON automation_run (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX automation_run_by_rule ON automation_run (organization_id, automation_id, created_at DESC, id DESC);
CREATE INDEX automation_run_by_record ON automation_run (organization_id, record_id, created_at DESC, id DESC);
CREATE INDEX automation_run_by_contact ON automation_run (organization_id, contact_id);
CREATE INDEX automation_run_by_message ON automation_run (organization_id, message_id);
CALL tenant_table('automation_run');

ALTER TABLE sms_thread
  ADD COLUMN last_inbound_at  timestamptz,
  ADD COLUMN last_outbound_at timestamptz,
  ADD COLUMN closed_at        timestamptz,
  ADD COLUMN closed_by        uuid,
  ADD CONSTRAINT thread_closer FOREIGN KEY (organization_id, closed_by) REFERENCES "user" (organization_id, id);
CREATE INDEX thread_by_closer ON sms_thread (organization_id, closed_by);
CREATE INDEX thread_by_number ON sms_thread (organization_id, phone_number_id, last_message_at DESC, id DESC);
-- What waits for somebody, or for anybody.
CREATE INDEX thread_open ON sms_thread (organization_id, assigned_user_id, last_message_at DESC, id DESC) WHERE is_open;

-- Until when each person has read a thread.
CREATE TABLE sms_thread_read (
  organization_id uuid NOT NULL,
  thread_id       uuid NOT NULL,
  user_id         uuid NOT NULL,
  read_until      timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, user_id, thread_id),
  CONSTRAINT thread_read_thread FOREIGN KEY (organization_id, thread_id) REFERENCES sms_thread (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT thread_read_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX thread_read_by_thread ON sms_thread_read (organization_id, thread_id);
CALL tenant_table('sms_thread_read');

ALTER TABLE message
  DROP CONSTRAINT message_status_known,
  ADD CONSTRAINT message_status_known CHECK (status IN ('SCHEDULED', 'PENDING', 'QUEUED', 'SENT', 'DELIVERED', 'UNDELIVERED', 'FAILED', 'UNKNOWN', 'CANCELED', 'RECEIVED')),
  -- R151: what the recipient sees instead of the number.
  ADD COLUMN sender_name      text,
  ADD COLUMN send_at          timestamptz,
  ADD COLUMN encoding         text,
  ADD COLUMN media_count      int NOT NULL DEFAULT 0,
  -- R174: what it was expected to cost, and what Twilio charged, in millionths.
  ADD COLUMN estimated_micros bigint,
  ADD COLUMN price_micros     bigint,
  ADD COLUMN price_currency   text,
  ADD COLUMN bulk_id          uuid,
  ADD COLUMN automation_id    uuid,
  ADD COLUMN template_id      uuid,
  -- The message that this one tries again.
  ADD COLUMN retry_of         uuid,
  ADD CONSTRAINT message_bulk FOREIGN KEY (organization_id, bulk_id) REFERENCES bulk_message (organization_id, id) ON DELETE SET NULL (bulk_id),
  ADD CONSTRAINT message_automation FOREIGN KEY (organization_id, automation_id) REFERENCES automation (organization_id, id) ON DELETE SET NULL (automation_id),
  ADD CONSTRAINT message_template FOREIGN KEY (organization_id, template_id) REFERENCES message_template (organization_id, id) ON DELETE SET NULL (template_id);
CREATE INDEX message_by_bulk ON message (organization_id, bulk_id, status) WHERE bulk_id IS NOT NULL;
CREATE INDEX message_by_automation ON message (organization_id, automation_id) WHERE automation_id IS NOT NULL;
CREATE INDEX message_by_template ON message (organization_id, template_id) WHERE template_id IS NOT NULL;
CREATE INDEX message_by_time ON message (organization_id, at DESC, id DESC);
CREATE INDEX message_unread ON message (organization_id, thread_id, at) WHERE direction = 'INBOUND';
CREATE INDEX message_unpriced ON message (at) WHERE direction = 'OUTBOUND' AND twilio_sid IS NOT NULL AND price_micros IS NULL;
CREATE INDEX message_retries ON message (organization_id, retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX message_words ON message USING gin (organization_id, to_tsvector('simple', body));

-- A file that waits for the message it goes out with has none yet.
ALTER TABLE message_media
  ALTER COLUMN message_id DROP NOT NULL,
  ADD COLUMN name            text,
  -- The user or the key that sent it: nobody else puts it into a message.
  ADD COLUMN uploaded_by     uuid,
  ADD COLUMN uploaded_by_key uuid,
  ADD COLUMN width           int,
  ADD COLUMN height          int,
  ADD COLUMN thumbnail_key   text,
  ADD COLUMN thumbnail_bytes bigint,
  ADD COLUMN problem         text,
  ADD CONSTRAINT media_uploader FOREIGN KEY (organization_id, uploaded_by) REFERENCES "user" (organization_id, id),
  ADD CONSTRAINT media_uploader_key FOREIGN KEY (organization_id, uploaded_by_key) REFERENCES api_key (organization_id, id);
CREATE INDEX media_by_blob ON message_media (organization_id, blob_key);
CREATE INDEX media_by_uploader ON message_media (organization_id, uploaded_by);
CREATE INDEX media_by_uploader_key ON message_media (organization_id, uploaded_by_key);
CREATE INDEX media_unused ON message_media (created_at) WHERE message_id IS NULL;

-- A word to one number of a Messaging Service is about all of them.
CREATE INDEX opt_out_by_e164 ON opt_out (organization_id, e164);

-- Who must not be written to by any number of the organization.
CREATE TABLE do_not_message (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  e164            text NOT NULL,
  is_opted_out    boolean NOT NULL,
  changed_at      timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, e164)
);
CALL tenant_table('do_not_message');

-- Every word about consent, in either direction; never changed.
CREATE TABLE consent (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  e164            text NOT NULL,
  contact_id      uuid,
  channel         text NOT NULL,
  -- Of one number of ours, or of all.
  phone_number_id uuid,
  what            text NOT NULL,
  source          text NOT NULL,
  message_id      uuid,
  user_id         uuid,
  note            text,
  at              timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT consent_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (contact_id),
  CONSTRAINT consent_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id),
  CONSTRAINT consent_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT consent_channel_known CHECK (channel IN ('SMS', 'MMS', 'VOICE')),
  CONSTRAINT consent_what_known CHECK (what IN ('OPT_IN', 'OPT_OUT', 'HELP')),
  CONSTRAINT consent_source_known CHECK (source IN ('KEYWORD', 'PROVIDER', 'STAFF', 'IMPORT'))
);
CREATE INDEX consent_by_number ON consent (organization_id, e164, at DESC, id DESC);
CREATE INDEX consent_by_contact ON consent (organization_id, contact_id, at DESC, id DESC);
CREATE INDEX consent_by_our_number ON consent (organization_id, phone_number_id);
CREATE INDEX consent_by_user ON consent (organization_id, user_id);
CALL tenant_table('consent');
REVOKE UPDATE, DELETE ON consent FROM {{app}}, {{worker}};

-- Search goes through a function of the owner: under row-level security the
-- planner may not use the words' index, because matching could leak.
CREATE FUNCTION message_search(words text, before timestamptz, before_id uuid, upto int) RETURNS TABLE (message_id uuid, thread_id uuid, at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT m.id, m.thread_id, m.at FROM public.message m
  WHERE m.organization_id = public.app_organization() AND to_tsvector('simple', m.body) @@ to_tsquery('simple', words) AND (m.at, m.id) < (before, before_id)
  ORDER BY m.at DESC, m.id DESC
  LIMIT upto
$f$;
