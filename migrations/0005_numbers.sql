-- Twilio connections, phone numbers, branches and who belongs to them.

CREATE TABLE branch (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  name            text NOT NULL,
  time_zone       text,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT branch_name_unique UNIQUE (organization_id, name)
);
CALL tenant_table('branch');

-- R023: the branch ring group.
CREATE TABLE branch_user (
  organization_id uuid NOT NULL,
  branch_id       uuid NOT NULL,
  user_id         uuid NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, branch_id, user_id),
  CONSTRAINT branch_user_branch FOREIGN KEY (organization_id, branch_id) REFERENCES branch (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT branch_user_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX branch_user_by_user ON branch_user (organization_id, user_id);
CALL tenant_table('branch_user');

CREATE TABLE twilio_connection (
  organization_id    uuid NOT NULL REFERENCES organization (organization_id),
  id                 uuid NOT NULL,
  name               text NOT NULL,
  is_enabled         boolean NOT NULL DEFAULT true,
  account_sid        text NOT NULL,
  -- TRIAL or FULL, as Twilio said last (R019).
  account_type       text NOT NULL,
  account_status     text NOT NULL,
  default_country    text,
  -- D23: the default recording modes; a number may override them.
  incoming_recording text NOT NULL DEFAULT 'OFF',
  outgoing_recording text NOT NULL DEFAULT 'OFF',
  -- Found again by name on reconnect, removed on disconnect.
  api_key_sid        text,
  application_sid    text,
  calls_per_second   int NOT NULL DEFAULT 1,
  import_status      text NOT NULL DEFAULT 'NONE',
  import_total       int NOT NULL DEFAULT 0,
  import_done        int NOT NULL DEFAULT 0,
  import_error       text,
  imported_at        timestamptz,
  checked_at         timestamptz,
  -- When the earlier auth token stops being accepted; NULL outside a rotation.
  rotation_ends_at   timestamptz,
  disconnected_at    timestamptz,
  version            bigint NOT NULL DEFAULT 1,
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT connection_account_sid CHECK (account_sid ~ '^AC[0-9a-f]{32}$'),
  CONSTRAINT connection_incoming_recording_known CHECK (incoming_recording IN ('OFF', 'FROM_RINGING', 'FROM_ANSWER', 'FROM_RINGING_DUAL', 'FROM_ANSWER_DUAL')),
  CONSTRAINT connection_outgoing_recording_known CHECK (outgoing_recording IN ('OFF', 'FROM_RINGING', 'FROM_ANSWER', 'FROM_RINGING_DUAL', 'FROM_ANSWER_DUAL')),
  CONSTRAINT connection_import_status_known CHECK (import_status IN ('NONE', 'RUNNING', 'DONE', 'FAILED'))
);
CREATE UNIQUE INDEX connection_account_once ON twilio_connection (organization_id, account_sid) WHERE disconnected_at IS NULL;
CALL tenant_table('twilio_connection');

-- Sealed with the organization and column as associated data; never bound to the contract (R005).
CREATE TABLE twilio_secret (
  organization_id uuid NOT NULL,
  connection_id   uuid NOT NULL,
  -- AUTH_TOKEN, PREVIOUS_AUTH_TOKEN, API_KEY_SECRET, ACCESS_KEY
  kind            text NOT NULL,
  sealed          bytea NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, connection_id, kind),
  CONSTRAINT twilio_secret_connection FOREIGN KEY (organization_id, connection_id) REFERENCES twilio_connection (organization_id, id) ON DELETE CASCADE
);
CALL tenant_table('twilio_secret');

-- Before the tenant is known a webhook has only its connection's id; the signature and the key are checked afterwards.
CREATE FUNCTION find_connection(wanted uuid) RETURNS TABLE (organization_id uuid, connection_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT c.organization_id, c.id FROM public.twilio_connection c WHERE c.id = wanted
$f$;
CREATE UNIQUE INDEX connection_by_id ON twilio_connection (id);

-- Audio that a person uploaded or named, checked by content and kept by us (R126, R045).
CREATE TABLE audio (
  organization_id  uuid NOT NULL REFERENCES organization (organization_id),
  id               uuid NOT NULL,
  name             text NOT NULL DEFAULT '',
  content_type     text NOT NULL,
  size_bytes       bigint NOT NULL,
  blob_key         text NOT NULL,
  -- The unguessable part of the address Twilio plays it from.
  public_token     text NOT NULL,
  created_by       uuid,
  created_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT audio_creator FOREIGN KEY (organization_id, created_by) REFERENCES "user" (organization_id, id)
);
CREATE UNIQUE INDEX audio_by_token ON audio (public_token);
CREATE INDEX audio_by_creator ON audio (organization_id, created_by);
CALL tenant_table('audio');
CREATE FUNCTION find_audio(wanted text) RETURNS TABLE (organization_id uuid, audio_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT a.organization_id, a.id FROM public.audio a WHERE a.public_token = wanted
$f$;

CREATE TABLE phone_number (
  organization_id             uuid NOT NULL REFERENCES organization (organization_id),
  id                          uuid NOT NULL,
  connection_id               uuid NOT NULL,
  e164                        text NOT NULL,
  twilio_sid                  text NOT NULL,
  name                        text NOT NULL,
  country                     text NOT NULL,
  can_voice                   boolean NOT NULL,
  can_sms                     boolean NOT NULL,
  can_mms                     boolean NOT NULL,
  trunk_sid                   text,
  messaging_service_sid       text,
  -- R013, D18: ours to switch; the number stays active at Twilio.
  is_enabled                  boolean NOT NULL DEFAULT false,
  is_default                  boolean NOT NULL DEFAULT false,
  disconnected_at             timestamptz,

  branch_id                   uuid,
  business_unit               text,
  -- R041, D19: layer 4.
  assigned_user_id            uuid,
  routing_mode                text NOT NULL DEFAULT 'BRANCH',
  ring_strategy               text NOT NULL DEFAULT 'SIMULTANEOUS',
  -- D21: how a user is reached.
  reach_by                    text NOT NULL DEFAULT 'DEVICES',
  include_general_fieldworker boolean NOT NULL DEFAULT false,
  ring_timeout_seconds        int NOT NULL DEFAULT 25,
  dial_timeout_seconds        int,
  agent_timeout_seconds       int,
  -- R039, D06: layer 2 reads this of the organization's default outbound number.
  call_forwarding_number      text,
  -- R052: tried when nobody answers.
  forwarding_numbers          text[] NOT NULL DEFAULT '{}',

  use_for_inbound_calls       boolean NOT NULL DEFAULT true,
  use_for_caller_id           boolean NOT NULL DEFAULT true,
  use_for_messages            boolean NOT NULL DEFAULT true,
  allow_transfer              boolean NOT NULL DEFAULT true,
  bridge                      text NOT NULL DEFAULT 'PROMOTE',

  welcome_text                text,
  welcome_audio_id            uuid,
  farewell_text               text,
  farewell_audio_id           uuid,
  voice                       text NOT NULL DEFAULT 'Polly.Joanna',
  language                    text NOT NULL DEFAULT 'en-US',

  voicemail_enabled           boolean NOT NULL DEFAULT true,
  voicemail_greeting_text     text,
  voicemail_greeting_audio_id uuid,
  voicemail_max_seconds       int NOT NULL DEFAULT 120,
  -- D25: the one owner of the follow-up.
  voicemail_owner_id          uuid,

  -- NULL: as the connection says (D23).
  incoming_recording          text,
  outgoing_recording          text,

  -- twilio.md 7.1: what Twilio had before us, and what we wrote.
  previous_webhooks           jsonb,
  written_webhooks            jsonb,
  drift                       jsonb,
  drift_checked_at            timestamptz,

  version                     bigint NOT NULL DEFAULT 1,
  created_at                  timestamptz NOT NULL DEFAULT now(),
  updated_at                  timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT number_connection FOREIGN KEY (organization_id, connection_id) REFERENCES twilio_connection (organization_id, id),
  CONSTRAINT number_branch FOREIGN KEY (organization_id, branch_id) REFERENCES branch (organization_id, id),
  CONSTRAINT number_assigned_user FOREIGN KEY (organization_id, assigned_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT number_voicemail_owner FOREIGN KEY (organization_id, voicemail_owner_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT number_welcome_audio FOREIGN KEY (organization_id, welcome_audio_id) REFERENCES audio (organization_id, id),
  CONSTRAINT number_farewell_audio FOREIGN KEY (organization_id, farewell_audio_id) REFERENCES audio (organization_id, id),
  CONSTRAINT number_greeting_audio FOREIGN KEY (organization_id, voicemail_greeting_audio_id) REFERENCES audio (organization_id, id),
  CONSTRAINT number_e164 CHECK (e164 ~ '^\+[1-9][0-9]{4,14}$'),
  CONSTRAINT number_routing_mode_known CHECK (routing_mode IN ('BRANCH', 'LAYERED', 'TEAM')),
  CONSTRAINT number_ring_strategy_known CHECK (ring_strategy IN ('SIMULTANEOUS', 'SEQUENTIAL', 'ROUND_ROBIN')),
  CONSTRAINT number_reach_by_known CHECK (reach_by IN ('DEVICES', 'PRIMARY_PHONE', 'SIP_ADDRESS')),
  CONSTRAINT number_bridge_known CHECK (bridge IN ('PROMOTE', 'CONFERENCE')),
  CONSTRAINT number_ring_timeout_range CHECK (ring_timeout_seconds BETWEEN 5 AND 600),
  CONSTRAINT number_voicemail_range CHECK (voicemail_max_seconds BETWEEN 5 AND 3600),
  CONSTRAINT number_incoming_recording_known CHECK (incoming_recording IN ('OFF', 'FROM_RINGING', 'FROM_ANSWER', 'FROM_RINGING_DUAL', 'FROM_ANSWER_DUAL')),
  CONSTRAINT number_outgoing_recording_known CHECK (outgoing_recording IN ('OFF', 'FROM_RINGING', 'FROM_ANSWER', 'FROM_RINGING_DUAL', 'FROM_ANSWER_DUAL'))
);
-- One row a number and connection: a disconnected number comes back as the same row.
CREATE UNIQUE INDEX number_once ON phone_number (organization_id, e164) WHERE disconnected_at IS NULL;
CREATE UNIQUE INDEX number_sid_once ON phone_number (organization_id, connection_id, twilio_sid);
CREATE UNIQUE INDEX number_one_default ON phone_number (organization_id) WHERE is_default;
CREATE UNIQUE INDEX number_one_per_user ON phone_number (organization_id, assigned_user_id) WHERE assigned_user_id IS NOT NULL;
CREATE INDEX number_by_branch ON phone_number (organization_id, branch_id);
CREATE INDEX number_by_connection ON phone_number (organization_id, connection_id, e164);
CREATE INDEX number_by_voicemail_owner ON phone_number (organization_id, voicemail_owner_id);
CREATE INDEX number_by_welcome_audio ON phone_number (organization_id, welcome_audio_id);
CREATE INDEX number_by_farewell_audio ON phone_number (organization_id, farewell_audio_id);
CREATE INDEX number_by_greeting_audio ON phone_number (organization_id, voicemail_greeting_audio_id);
CALL tenant_table('phone_number');

-- R128: who is told of a new voicemail.
CREATE TABLE phone_number_voicemail_user (
  organization_id uuid NOT NULL,
  phone_number_id uuid NOT NULL,
  user_id         uuid NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, phone_number_id, user_id),
  CONSTRAINT voicemail_user_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT voicemail_user_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX voicemail_user_by_user ON phone_number_voicemail_user (organization_id, user_id);
CALL tenant_table('phone_number_voicemail_user');

-- R072: do not disturb for one line.
CREATE TABLE user_line_dnd (
  organization_id uuid NOT NULL,
  user_id         uuid NOT NULL,
  phone_number_id uuid NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, user_id, phone_number_id),
  CONSTRAINT user_line_dnd_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT user_line_dnd_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX user_line_dnd_by_number ON user_line_dnd (organization_id, phone_number_id);
CALL tenant_table('user_line_dnd');

ALTER TABLE contact
  ADD CONSTRAINT contact_last_number FOREIGN KEY (organization_id, last_phone_number_id) REFERENCES phone_number (organization_id, id);
CREATE INDEX contact_by_last_number ON contact (organization_id, last_phone_number_id);
