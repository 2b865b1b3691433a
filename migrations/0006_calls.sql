-- Calls, their legs, the facts they are folded from, recordings and voicemails.

CREATE TABLE call (
  organization_id     uuid NOT NULL REFERENCES organization (organization_id),
  id                  uuid NOT NULL,
  version             bigint NOT NULL DEFAULT 1,
  provider            text NOT NULL DEFAULT 'TWILIO',
  direction           text NOT NULL,
  status              text NOT NULL,
  end_reason          text,
  connection_id       uuid NOT NULL,
  phone_number_id     uuid,
  branch_id           uuid,
  contact_id          uuid,
  record_id           uuid,
  campaign_id         uuid,
  -- The person who started it (outbound, internal).
  user_id             uuid,
  answered_by_user_id uuid,
  answered_by_leg_id  uuid,
  -- As Twilio said it: may be a word such as "anonymous" (D11).
  from_number         text NOT NULL,
  to_number           text NOT NULL,
  twilio_sid          text,
  caller_id           text,
  caller_id_reason    text,
  -- The route decision and its trace, as decided then (R043).
  route               jsonb,
  is_recorded         boolean NOT NULL DEFAULT false,
  started_at          timestamptz NOT NULL,
  answered_at         timestamptz,
  ended_at            timestamptz,
  ring_seconds        int,
  talk_seconds        int,
  duration_seconds    int,
  outcome             text,
  notes               text,
  -- When a sweep must ask Twilio what became of it; NULL when nothing is open.
  due_at              timestamptz,
  created_at          timestamptz NOT NULL DEFAULT now(),
  updated_at          timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT call_connection FOREIGN KEY (organization_id, connection_id) REFERENCES twilio_connection (organization_id, id),
  CONSTRAINT call_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id),
  CONSTRAINT call_branch FOREIGN KEY (organization_id, branch_id) REFERENCES branch (organization_id, id) ON DELETE SET NULL (branch_id),
  CONSTRAINT call_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (contact_id),
  CONSTRAINT call_record FOREIGN KEY (organization_id, record_id) REFERENCES record (organization_id, id) ON DELETE SET NULL (record_id),
  CONSTRAINT call_campaign FOREIGN KEY (organization_id, campaign_id) REFERENCES campaign (organization_id, id) ON DELETE SET NULL (campaign_id),
  CONSTRAINT call_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT call_answered_by FOREIGN KEY (organization_id, answered_by_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT call_direction_known CHECK (direction IN ('INBOUND', 'OUTBOUND', 'INTERNAL')),
  CONSTRAINT call_status_known CHECK (status IN ('QUEUED', 'RINGING', 'IN_PROGRESS', 'COMPLETED', 'MISSED', 'VOICEMAIL', 'REJECTED', 'BUSY', 'FAILED', 'CANCELED')),
  CONSTRAINT call_ended_has_time CHECK ((ended_at IS NULL) = (status IN ('QUEUED', 'RINGING', 'IN_PROGRESS')))
);
CREATE UNIQUE INDEX call_by_sid ON call (organization_id, twilio_sid) WHERE twilio_sid IS NOT NULL;
CREATE INDEX call_by_start ON call (organization_id, started_at DESC, id DESC);
CREATE INDEX call_live ON call (organization_id, started_at) WHERE ended_at IS NULL;
CREATE INDEX call_due ON call (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX call_by_connection ON call (organization_id, connection_id, started_at DESC);
CREATE INDEX call_by_number ON call (organization_id, phone_number_id, started_at DESC);
CREATE INDEX call_by_branch ON call (organization_id, branch_id, started_at DESC);
CREATE INDEX call_by_contact ON call (organization_id, contact_id, started_at DESC);
CREATE INDEX call_by_record ON call (organization_id, record_id, started_at DESC);
CREATE INDEX call_by_campaign ON call (organization_id, campaign_id);
CREATE INDEX call_by_user ON call (organization_id, user_id, started_at DESC);
CREATE INDEX call_by_answerer ON call (organization_id, answered_by_user_id, started_at DESC);
CALL tenant_table('call');

CREATE TABLE call_leg (
  organization_id  uuid NOT NULL,
  id               uuid NOT NULL,
  call_id          uuid NOT NULL,
  kind             text NOT NULL,
  step             int NOT NULL DEFAULT 0,
  user_id          uuid,
  device_id        uuid,
  to_address       text NOT NULL,
  twilio_sid       text,
  status           text NOT NULL,
  outcome          text,
  started_at       timestamptz NOT NULL,
  ringing_at       timestamptz,
  answered_at      timestamptz,
  ended_at         timestamptz,
  duration_seconds int,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT leg_call FOREIGN KEY (organization_id, call_id) REFERENCES call (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT leg_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT leg_device FOREIGN KEY (organization_id, device_id) REFERENCES device (organization_id, id),
  CONSTRAINT leg_kind_known CHECK (kind IN ('CALLER', 'DEVICE', 'USER_PHONE', 'SIP', 'FORWARD', 'COMPANY_PHONE', 'CALLEE')),
  CONSTRAINT leg_status_known CHECK (status IN ('QUEUED', 'RINGING', 'IN_PROGRESS', 'ENDED')),
  CONSTRAINT leg_outcome_known CHECK (outcome IN ('ANSWERED', 'ANSWERED_ELSEWHERE', 'DECLINED', 'TIMED_OUT', 'CALLER_HUNG_UP', 'CANCELED', 'BUSY', 'UNREACHABLE', 'FAILED'))
);
CREATE INDEX leg_by_call ON call_leg (organization_id, call_id, id);
CREATE INDEX leg_by_user ON call_leg (organization_id, user_id);
CREATE INDEX leg_by_device ON call_leg (organization_id, device_id);
CREATE INDEX leg_ringing ON call_leg (organization_id, user_id) WHERE status = 'RINGING';
CALL tenant_table('call_leg');

-- What a call is folded from: posts, the decision, commands, REST answers, each kept once.
CREATE TABLE call_fact (
  organization_id uuid NOT NULL,
  call_id         uuid NOT NULL,
  -- The natural key of the fact: a second one with the same key is the same fact.
  key             text NOT NULL,
  kind            text NOT NULL,
  at              timestamptz NOT NULL,
  -- Read whole and never searched: the text as it was written.
  data            json NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, call_id, key),
  CONSTRAINT fact_call FOREIGN KEY (organization_id, call_id) REFERENCES call (organization_id, id) ON DELETE CASCADE
);
CALL tenant_table('call_fact');

CREATE TABLE recording (
  organization_id  uuid NOT NULL,
  id               uuid NOT NULL,
  call_id          uuid NOT NULL,
  twilio_sid       text NOT NULL,
  -- CALL or VOICEMAIL
  purpose          text NOT NULL,
  status           text NOT NULL,
  channels         int NOT NULL DEFAULT 1,
  offset_seconds   int NOT NULL DEFAULT 0,
  duration_seconds int,
  started_at       timestamptz NOT NULL,
  -- Our copy: PENDING until it is stored, GONE when Twilio no longer has it.
  media_state      text NOT NULL DEFAULT 'PENDING',
  media_error      text,
  blob_key         text,
  content_type     text,
  size_bytes       bigint,
  attempts         int NOT NULL DEFAULT 0,
  due_at           timestamptz,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT recording_call FOREIGN KEY (organization_id, call_id) REFERENCES call (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT recording_sid_unique UNIQUE (organization_id, call_id, twilio_sid),
  CONSTRAINT recording_purpose_known CHECK (purpose IN ('CALL', 'VOICEMAIL')),
  CONSTRAINT recording_status_known CHECK (status IN ('IN_PROGRESS', 'PAUSED', 'COMPLETED', 'ABSENT', 'FAILED', 'DELETED')),
  CONSTRAINT recording_media_state_known CHECK (media_state IN ('PENDING', 'STORED', 'FAILED', 'NONE', 'GONE'))
);
CREATE INDEX recording_due ON recording (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX recording_by_start ON recording (organization_id, started_at DESC, id DESC);
CALL tenant_table('recording');

CREATE TABLE voicemail (
  organization_id  uuid NOT NULL,
  id               uuid NOT NULL,
  call_id          uuid NOT NULL,
  recording_id     uuid NOT NULL,
  phone_number_id  uuid,
  branch_id        uuid,
  contact_id       uuid,
  from_number      text NOT NULL,
  duration_seconds int,
  -- D25: the one owner of the follow-up.
  owner_user_id    uuid,
  heard_at         timestamptz,
  heard_by_user_id uuid,
  received_at      timestamptz NOT NULL,
  version          bigint NOT NULL DEFAULT 1,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT voicemail_call FOREIGN KEY (organization_id, call_id) REFERENCES call (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT voicemail_recording FOREIGN KEY (organization_id, recording_id) REFERENCES recording (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT voicemail_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id),
  CONSTRAINT voicemail_branch FOREIGN KEY (organization_id, branch_id) REFERENCES branch (organization_id, id) ON DELETE SET NULL (branch_id),
  CONSTRAINT voicemail_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (contact_id),
  CONSTRAINT voicemail_owner FOREIGN KEY (organization_id, owner_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT voicemail_heard_by FOREIGN KEY (organization_id, heard_by_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT voicemail_recording_once UNIQUE (organization_id, recording_id)
);
CREATE INDEX voicemail_by_time ON voicemail (organization_id, received_at DESC, id DESC);
CREATE INDEX voicemail_by_call ON voicemail (organization_id, call_id);
CREATE INDEX voicemail_by_number ON voicemail (organization_id, phone_number_id);
CREATE INDEX voicemail_by_branch ON voicemail (organization_id, branch_id);
CREATE INDEX voicemail_by_contact ON voicemail (organization_id, contact_id);
CREATE INDEX voicemail_by_owner ON voicemail (organization_id, owner_user_id);
CREATE INDEX voicemail_by_hearer ON voicemail (organization_id, heard_by_user_id);
CALL tenant_table('voicemail');
