-- SMS threads, messages, media and opt-outs.

CREATE TABLE sms_thread (
  organization_id  uuid NOT NULL REFERENCES organization (organization_id),
  id               uuid NOT NULL,
  phone_number_id  uuid NOT NULL,
  their_number     text NOT NULL,
  contact_id       uuid,
  branch_id        uuid,
  assigned_user_id uuid,
  is_open          boolean NOT NULL DEFAULT true,
  last_message_id  uuid,
  last_message_at  timestamptz NOT NULL,
  version          bigint NOT NULL DEFAULT 1,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  -- One thread per pair of our number and theirs.
  CONSTRAINT thread_pair_unique UNIQUE (organization_id, phone_number_id, their_number),
  CONSTRAINT thread_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id),
  CONSTRAINT thread_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (contact_id),
  CONSTRAINT thread_branch FOREIGN KEY (organization_id, branch_id) REFERENCES branch (organization_id, id) ON DELETE SET NULL (branch_id),
  CONSTRAINT thread_assignee FOREIGN KEY (organization_id, assigned_user_id) REFERENCES "user" (organization_id, id)
);
CREATE INDEX thread_by_time ON sms_thread (organization_id, last_message_at DESC, id DESC);
CREATE INDEX thread_by_contact ON sms_thread (organization_id, contact_id);
CREATE INDEX thread_by_branch ON sms_thread (organization_id, branch_id);
CREATE INDEX thread_by_assignee ON sms_thread (organization_id, assigned_user_id);
CALL tenant_table('sms_thread');

CREATE TABLE message (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  thread_id       uuid NOT NULL,
  direction       text NOT NULL,
  status          text NOT NULL,
  body            text NOT NULL,
  from_number     text NOT NULL,
  to_number       text NOT NULL,
  -- D17: why this sender.
  sender_reason   text,
  twilio_sid      text,
  error_code      int,
  -- The plain words for it (R160).
  error_reason    text,
  num_segments    int,
  user_id         uuid,
  contact_id      uuid,
  record_id       uuid,
  campaign_id     uuid,
  sent_at         timestamptz,
  delivered_at    timestamptz,
  at              timestamptz NOT NULL,
  -- How often it was handed to Twilio, and when last: set from the claim until Twilio surely did not take it.
  attempts        int NOT NULL DEFAULT 0,
  tried_at        timestamptz,
  -- When somebody must look after it: send it, or ask Twilio what became of it. NULL when nothing is open.
  due_at          timestamptz,
  version         bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT message_thread FOREIGN KEY (organization_id, thread_id) REFERENCES sms_thread (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT message_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT message_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (contact_id),
  CONSTRAINT message_record FOREIGN KEY (organization_id, record_id) REFERENCES record (organization_id, id) ON DELETE SET NULL (record_id),
  CONSTRAINT message_campaign FOREIGN KEY (organization_id, campaign_id) REFERENCES campaign (organization_id, id) ON DELETE SET NULL (campaign_id),
  CONSTRAINT message_direction_known CHECK (direction IN ('INBOUND', 'OUTBOUND')),
  CONSTRAINT message_status_known CHECK (status IN ('PENDING', 'QUEUED', 'SENT', 'DELIVERED', 'UNDELIVERED', 'FAILED', 'UNKNOWN', 'RECEIVED'))
);
CREATE INDEX message_by_thread ON message (organization_id, thread_id, at DESC, id DESC);
CREATE UNIQUE INDEX message_by_sid ON message (organization_id, twilio_sid) WHERE twilio_sid IS NOT NULL;
CREATE INDEX message_due ON message (due_at) WHERE due_at IS NOT NULL;
-- What a thread has on its way: the next one waits for it.
CREATE INDEX message_open ON message (organization_id, thread_id, at, id) WHERE status IN ('PENDING', 'UNKNOWN');
-- With the thread, for what somebody with the visibility OWN sees.
CREATE INDEX message_by_user ON message (organization_id, user_id, thread_id);
CREATE INDEX message_by_contact ON message (organization_id, contact_id, at DESC);
CREATE INDEX message_by_record ON message (organization_id, record_id, at DESC);
CREATE INDEX message_by_campaign ON message (organization_id, campaign_id);
CALL tenant_table('message');

CREATE TABLE message_media (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  message_id      uuid NOT NULL,
  position        int NOT NULL,
  content_type    text NOT NULL,
  twilio_url      text,
  state           text NOT NULL DEFAULT 'PENDING',
  blob_key        text,
  size_bytes      bigint,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT media_message FOREIGN KEY (organization_id, message_id) REFERENCES message (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT media_position_unique UNIQUE (organization_id, message_id, position),
  CONSTRAINT media_state_known CHECK (state IN ('PENDING', 'STORED', 'FAILED', 'REFUSED'))
);
CALL tenant_table('message_media');

-- R155: who asked for no messages from which of our numbers. The last word counts.
CREATE TABLE opt_out (
  organization_id uuid NOT NULL,
  phone_number_id uuid NOT NULL,
  e164            text NOT NULL,
  is_opted_out    boolean NOT NULL,
  -- KEYWORD, or PROVIDER when Twilio refused with 21610 (T13).
  source          text NOT NULL,
  changed_at      timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, phone_number_id, e164),
  CONSTRAINT opt_out_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id)
);
CALL tenant_table('opt_out');
