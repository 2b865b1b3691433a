-- Voice in full: routing by hours, menus and teams, calls held in rooms, masks, dropped messages, SIP.

-- The organization's rules for calls.
ALTER TABLE organization
  -- R098: heard by whoever is on hold; NULL is Twilio's own music.
  ADD COLUMN hold_music_audio_id uuid,
  -- R089: how a dialled destination is written; never the stored number.
  ADD COLUMN dial_format text NOT NULL DEFAULT 'E164',
  -- Countries that may be called; empty: those of the organization's own numbers.
  ADD COLUMN call_countries text[] NOT NULL DEFAULT '{}',
  -- Caps on calls that people start.
  ADD COLUMN max_concurrent_calls int NOT NULL DEFAULT 100,
  ADD COLUMN max_calls_per_user_hour int NOT NULL DEFAULT 60,
  -- R106: customers may call the assigned fieldworker without the masked number.
  ADD COLUMN customers_may_call_fieldworkers boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT organization_caps CHECK (max_concurrent_calls BETWEEN 1 AND 10000 AND max_calls_per_user_hour BETWEEN 1 AND 10000),
  ADD CONSTRAINT organization_hold_music FOREIGN KEY (organization_id, hold_music_audio_id) REFERENCES audio (organization_id, id);
CREATE INDEX organization_by_hold_music ON organization (organization_id, hold_music_audio_id);

ALTER TABLE "user"
  -- R088: off, an external application handles tel: links.
  ADD COLUMN internal_click_to_call boolean NOT NULL DEFAULT true;

-- R075: readiness as the device itself reports it. R284: a push token is a secret of the device.
ALTER TABLE device
  ADD COLUMN microphone    text NOT NULL DEFAULT 'UNKNOWN',
  ADD COLUMN notifications text NOT NULL DEFAULT 'UNKNOWN',
  ADD COLUMN network       text NOT NULL DEFAULT 'UNKNOWN',
  ADD COLUMN reported_at   timestamptz,
  ADD COLUMN push_sealed   bytea,
  ADD CONSTRAINT device_microphone_known CHECK (microphone IN ('UNKNOWN', 'GRANTED', 'DENIED', 'MISSING')),
  ADD CONSTRAINT device_notifications_known CHECK (notifications IN ('UNKNOWN', 'GRANTED', 'DENIED')),
  ADD CONSTRAINT device_network_known CHECK (network IN ('UNKNOWN', 'GOOD', 'POOR', 'OFFLINE'));

-- R025: a team, in the order in which it rings (R262).
CREATE TABLE team (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  name            text NOT NULL,
  version         bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT team_name_unique UNIQUE (organization_id, name)
);
CALL tenant_table('team');

CREATE TABLE team_user (
  organization_id uuid NOT NULL,
  team_id         uuid NOT NULL,
  user_id         uuid NOT NULL,
  position        int NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, team_id, user_id),
  CONSTRAINT team_user_team FOREIGN KEY (organization_id, team_id) REFERENCES team (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT team_user_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX team_user_by_user ON team_user (organization_id, user_id);
CALL tenant_table('team_user');

-- R026: what a user of a number's team does on that number; a missing row is everything.
CREATE TABLE phone_number_user (
  organization_id uuid NOT NULL,
  phone_number_id uuid NOT NULL,
  user_id         uuid NOT NULL,
  incoming_calls  boolean NOT NULL DEFAULT true,
  outgoing_calls  boolean NOT NULL DEFAULT true,
  sms             boolean NOT NULL DEFAULT true,
  mms             boolean NOT NULL DEFAULT true,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, phone_number_id, user_id),
  CONSTRAINT number_user_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT number_user_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX phone_number_user_by_user ON phone_number_user (organization_id, user_id);
CALL tenant_table('phone_number_user');

-- D02: opening hours, shared by numbers. The week and the holidays are read whole.
CREATE TABLE opening_hours (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  name            text NOT NULL,
  time_zone       text NOT NULL,
  week            jsonb NOT NULL DEFAULT '[]',
  holidays        jsonb NOT NULL DEFAULT '[]',
  version         bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT opening_hours_name_unique UNIQUE (organization_id, name)
);
CALL tenant_table('opening_hours');

-- R048: a menu. Its options are read whole; those that lead to another menu name it.
CREATE TABLE menu (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  name            text NOT NULL,
  prompt_text     text,
  prompt_audio_id uuid,
  invalid_text    text,
  timeout_seconds int NOT NULL DEFAULT 5,
  repeats         int NOT NULL DEFAULT 2,
  options         jsonb NOT NULL DEFAULT '[]',
  otherwise       jsonb NOT NULL DEFAULT '{"kind": "ROUTE"}',
  version         bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT menu_name_unique UNIQUE (organization_id, name),
  CONSTRAINT menu_prompt_audio FOREIGN KEY (organization_id, prompt_audio_id) REFERENCES audio (organization_id, id),
  CONSTRAINT menu_timeout_range CHECK (timeout_seconds BETWEEN 1 AND 60),
  CONSTRAINT menu_repeats_range CHECK (repeats BETWEEN 0 AND 5)
);
CREATE INDEX menu_by_audio ON menu (organization_id, prompt_audio_id);
CALL tenant_table('menu');

-- R057, R058, D08, D27: callers for whom no popup is shown.
CREATE TABLE ignored_number (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  rule            text NOT NULL,
  note            text NOT NULL DEFAULT '',
  created_by      uuid,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT ignored_number_once UNIQUE (organization_id, rule),
  CONSTRAINT ignored_number_length CHECK (length(rule) BETWEEN 3 AND 202),
  CONSTRAINT ignored_number_creator FOREIGN KEY (organization_id, created_by) REFERENCES "user" (organization_id, id)
);
CREATE INDEX ignored_number_by_creator ON ignored_number (organization_id, created_by);
CREATE INDEX ignored_number_newest ON ignored_number (organization_id, created_at DESC, id DESC);
CALL tenant_table('ignored_number');
-- The list is compiled once and kept in memory; this tells every node that it changed.
ALTER TABLE organization ADD COLUMN ignored_version bigint NOT NULL DEFAULT 0;
CREATE FUNCTION ignored_number_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE organization SET ignored_version = ignored_version + 1 WHERE organization_id IN (SELECT organization_id FROM changed);
  RETURN NULL;
END
$$;
CREATE TRIGGER ignored_number_added AFTER INSERT ON ignored_number REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION ignored_number_changed();
CREATE TRIGGER ignored_number_edited AFTER UPDATE ON ignored_number REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION ignored_number_changed();
CREATE TRIGGER ignored_number_removed AFTER DELETE ON ignored_number REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION ignored_number_changed();

ALTER TABLE phone_number
  ADD COLUMN team_id            uuid,
  -- R054
  ADD COLUMN preferred_user     boolean NOT NULL DEFAULT false,
  -- R052: whoever picks up a forwarded call presses 1, so that a machine never answers.
  ADD COLUMN screening          boolean NOT NULL DEFAULT true,
  ADD COLUMN opening_hours_id   uuid,
  ADD COLUMN closed_action      text NOT NULL DEFAULT 'VOICEMAIL',
  ADD COLUMN closed_text        text,
  ADD COLUMN closed_audio_id    uuid,
  ADD COLUMN closed_numbers     text[] NOT NULL DEFAULT '{}',
  ADD COLUMN menu_id            uuid,
  -- ROUND_ROBIN: who was rung first last time.
  ADD COLUMN last_first_user_id uuid,
  ADD CONSTRAINT number_team FOREIGN KEY (organization_id, team_id) REFERENCES team (organization_id, id),
  ADD CONSTRAINT number_opening_hours FOREIGN KEY (organization_id, opening_hours_id) REFERENCES opening_hours (organization_id, id),
  ADD CONSTRAINT number_closed_audio FOREIGN KEY (organization_id, closed_audio_id) REFERENCES audio (organization_id, id),
  ADD CONSTRAINT number_menu FOREIGN KEY (organization_id, menu_id) REFERENCES menu (organization_id, id),
  ADD CONSTRAINT number_last_first FOREIGN KEY (organization_id, last_first_user_id) REFERENCES "user" (organization_id, id),
  ADD CONSTRAINT number_closed_action_known CHECK (closed_action IN ('VOICEMAIL', 'FORWARD', 'HANG_UP'));
CREATE INDEX number_by_team ON phone_number (organization_id, team_id);
CREATE INDEX number_by_opening_hours ON phone_number (organization_id, opening_hours_id);
CREATE INDEX number_by_closed_audio ON phone_number (organization_id, closed_audio_id);
CREATE INDEX number_by_menu ON phone_number (organization_id, menu_id);
CREATE INDEX number_by_last_first ON phone_number (organization_id, last_first_user_id);

-- Our own calls are started at the connection's pace (T01): until when it is spoken for.
ALTER TABLE twilio_connection ADD COLUMN calls_booked_until timestamptz;

-- R103, R104, R277: customer and fieldworker of a booking reach each other through a number of ours.
CREATE TABLE masked_pair (
  organization_id    uuid NOT NULL REFERENCES organization (organization_id),
  id                 uuid NOT NULL,
  record_id          uuid NOT NULL,
  contact_id         uuid NOT NULL,
  user_id            uuid NOT NULL,
  phone_number_id    uuid NOT NULL,
  customer_number    text NOT NULL,
  -- The fieldworker's own phone when the pair was made: a call from it is theirs.
  fieldworker_number text NOT NULL,
  expires_at         timestamptz NOT NULL,
  ended_at           timestamptz,
  created_by         uuid,
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT masked_pair_record FOREIGN KEY (organization_id, record_id) REFERENCES record (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT masked_pair_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT masked_pair_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT masked_pair_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id),
  CONSTRAINT masked_pair_creator FOREIGN KEY (organization_id, created_by) REFERENCES "user" (organization_id, id)
);
-- Whoever calls a masked number means one counterpart: no number serves two live pairs of the same person.
CREATE UNIQUE INDEX masked_pair_customer_once ON masked_pair (organization_id, phone_number_id, customer_number) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX masked_pair_fieldworker_once ON masked_pair (organization_id, phone_number_id, fieldworker_number) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX masked_pair_record_once ON masked_pair (organization_id, record_id, contact_id, user_id) WHERE ended_at IS NULL;
CREATE INDEX masked_pair_by_record ON masked_pair (organization_id, record_id);
CREATE INDEX masked_pair_by_contact ON masked_pair (organization_id, contact_id);
CREATE INDEX masked_pair_by_user ON masked_pair (organization_id, user_id);
CREATE INDEX masked_pair_by_number ON masked_pair (organization_id, phone_number_id);
CREATE INDEX masked_pair_by_creator ON masked_pair (organization_id, created_by);
CREATE INDEX masked_pair_due ON masked_pair (expires_at) WHERE ended_at IS NULL;
CALL tenant_table('masked_pair');

-- R108: a message for answering machines, kept by an administrator and the same for everybody.
CREATE TABLE drop_message (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  name            text NOT NULL,
  text            text,
  audio_id        uuid,
  voice           text NOT NULL DEFAULT 'Polly.Joanna',
  language        text NOT NULL DEFAULT 'en-US',
  removed_at      timestamptz,
  version         bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT drop_message_audio FOREIGN KEY (organization_id, audio_id) REFERENCES audio (organization_id, id),
  CONSTRAINT drop_message_says_something CHECK (text IS NOT NULL OR audio_id IS NOT NULL)
);
CREATE UNIQUE INDEX drop_message_name ON drop_message (organization_id, name) WHERE removed_at IS NULL;
CREATE INDEX drop_message_by_audio ON drop_message (organization_id, audio_id);
CALL tenant_table('drop_message');

-- R255, R256, D22: the SIP domains of an account, and which of them are used.
CREATE TABLE sip_domain (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  connection_id   uuid NOT NULL,
  twilio_sid      text NOT NULL,
  domain_name     text NOT NULL,
  friendly_name   text NOT NULL DEFAULT '',
  is_enabled      boolean NOT NULL DEFAULT false,
  -- What the set-up lacks, as looked at last: a list of codes.
  missing         text[] NOT NULL DEFAULT '{}',
  -- Where its calls and the news of them went before us; given back when it is used no more.
  previous_url    text,
  previous_status text,
  checked_at      timestamptz,
  removed_at      timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT sip_domain_connection FOREIGN KEY (organization_id, connection_id) REFERENCES twilio_connection (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT sip_domain_once UNIQUE (organization_id, connection_id, twilio_sid)
);
CALL tenant_table('sip_domain');
-- R257: the user's VoIP server.
ALTER TABLE "user"
  ADD COLUMN sip_domain_id uuid,
  ADD CONSTRAINT user_sip_domain FOREIGN KEY (organization_id, sip_domain_id) REFERENCES sip_domain (organization_id, id) ON DELETE SET NULL (sip_domain_id);
CREATE INDEX user_by_sip_domain ON "user" (organization_id, sip_domain_id);
CREATE UNIQUE INDEX user_by_sip_address ON "user" (organization_id, lower(sip_address)) WHERE sip_address IS NOT NULL AND status <> 'DISABLED';
CREATE UNIQUE INDEX user_by_extension ON "user" (organization_id, extension) WHERE extension IS NOT NULL AND status <> 'DISABLED';

-- What mobile devices are woken with: one of each kind an account (twilio.com/docs/voice/sdks).
CREATE TABLE push_credential (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  connection_id   uuid NOT NULL,
  -- IOS or ANDROID.
  platform        text NOT NULL,
  twilio_sid      text NOT NULL,
  is_sandbox      boolean NOT NULL DEFAULT false,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT push_credential_connection FOREIGN KEY (organization_id, connection_id) REFERENCES twilio_connection (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT push_credential_once UNIQUE (organization_id, connection_id, platform),
  CONSTRAINT push_credential_platform_known CHECK (platform IN ('IOS', 'ANDROID'))
);
CALL tenant_table('push_credential');

-- Calls: what is folded from their facts beside what 0006 has.
ALTER TABLE call
  ADD COLUMN business_unit       text,
  ADD COLUMN is_ignored          boolean NOT NULL DEFAULT false,
  ADD COLUMN is_on_hold          boolean NOT NULL DEFAULT false,
  ADD COLUMN is_test             boolean NOT NULL DEFAULT false,
  -- INTERNAL calls stand in the log only where the organization wants them (R094).
  ADD COLUMN is_logged           boolean NOT NULL DEFAULT true,
  -- A <Dial> becomes a room at the first hold, transfer or added party.
  ADD COLUMN room_sid            text,
  -- The transfer that is under way or was the last.
  ADD COLUMN transfer            jsonb,
  -- HUMAN, MACHINE, FAX, UNKNOWN: who answered an outbound call (T10).
  ADD COLUMN answerer            text,
  ADD COLUMN recording_paused_at timestamptz,
  -- When people are told that a recording is still paused; NULL when nothing is.
  ADD COLUMN pause_due_at        timestamptz,
  ADD COLUMN notices             text[] NOT NULL DEFAULT '{}',
  ADD COLUMN masked_pair_id      uuid,
  ADD COLUMN hops                int NOT NULL DEFAULT 0,
  ADD CONSTRAINT call_masked_pair FOREIGN KEY (organization_id, masked_pair_id) REFERENCES masked_pair (organization_id, id) ON DELETE SET NULL (masked_pair_id),
  ADD CONSTRAINT call_answerer_known CHECK (answerer IN ('HUMAN', 'MACHINE', 'FAX', 'UNKNOWN'));
CREATE INDEX call_by_masked_pair ON call (organization_id, masked_pair_id);
CREATE INDEX call_pause_due ON call (pause_due_at) WHERE pause_due_at IS NOT NULL;

ALTER TABLE call_leg
  -- ROUTE, TRANSFER, CONSULT, RETURN, ADDED, MONITOR.
  ADD COLUMN purpose      text NOT NULL DEFAULT 'ROUTE',
  ADD COLUMN is_on_hold   boolean NOT NULL DEFAULT false,
  ADD COLUMN is_muted     boolean NOT NULL DEFAULT false,
  ADD COLUMN monitor_mode text,
  ADD COLUMN notice       text,
  -- A leg of our own that waits for its turn.
  ADD COLUMN start_at     timestamptz,
  DROP CONSTRAINT leg_kind_known,
  ADD CONSTRAINT leg_kind_known CHECK (kind IN ('CALLER', 'DEVICE', 'USER_PHONE', 'SIP', 'FORWARD', 'COMPANY_PHONE', 'CALLEE', 'CUSTOMER', 'GUEST')),
  ADD CONSTRAINT leg_purpose_known CHECK (purpose IN ('ROUTE', 'TRANSFER', 'CONSULT', 'RETURN', 'ADDED', 'MONITOR')),
  ADD CONSTRAINT leg_monitor_known CHECK (monitor_mode IN ('LISTEN', 'WHISPER', 'BARGE'));
CREATE INDEX leg_start_due ON call_leg (start_at) WHERE start_at IS NOT NULL;
-- Parties outside that were brought into calls, for the caps.
CREATE INDEX leg_guests ON call_leg (organization_id, started_at) WHERE kind = 'GUEST';
CREATE INDEX leg_talking ON call_leg (organization_id, user_id) WHERE status = 'IN_PROGRESS';

-- R275: what a device's Voice SDK warned of during a call.
CREATE TABLE call_quality (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  call_id         uuid NOT NULL,
  leg_id          uuid NOT NULL,
  -- The SDK's own name, such as high-rtt.
  name            text NOT NULL,
  value           double precision,
  at              timestamptz NOT NULL,
  cleared_at      timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT call_quality_call FOREIGN KEY (organization_id, call_id) REFERENCES call (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT call_quality_leg FOREIGN KEY (organization_id, leg_id) REFERENCES call_leg (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT call_quality_once UNIQUE (organization_id, leg_id, name, at)
);
CREATE INDEX call_quality_by_call ON call_quality (organization_id, call_id);
CALL tenant_table('call_quality');
