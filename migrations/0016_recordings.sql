-- The life of recordings, and the inbox of voicemails.

-- A tombstone has status DELETED, media_state NONE and, until the store has erased it, its blob_key.
ALTER TABLE recording
  ADD COLUMN deleted_at        timestamptz,
  -- A user or API key; NULL when a rule or Twilio's console did.
  ADD COLUMN deleted_by        uuid,
  ADD COLUMN delete_reason     text,
  -- R282: since when Twilio is known to have it no longer.
  ADD COLUMN gone_at_twilio_at timestamptz,
  -- When the erasing of a tombstone's audio, here and at Twilio, is to be tried next; NULL when nothing is left to do.
  ADD COLUMN erase_due_at      timestamptz,
  ADD COLUMN erase_attempts    int NOT NULL DEFAULT 0,
  -- Whose voice the first of two channels has: that of the recorded leg.
  ADD COLUMN first_side        text NOT NULL DEFAULT 'CALLER',
  -- How many pauses and resumptions stand in the ledger.
  ADD COLUMN noted_pauses      int NOT NULL DEFAULT 0,
  ADD CONSTRAINT recording_tombstone CHECK ((status = 'DELETED') = (deleted_at IS NOT NULL)),
  ADD CONSTRAINT recording_first_side_known CHECK (first_side IN ('CALLER', 'USER')),
  ADD CONSTRAINT recording_reason_length CHECK (length(delete_reason) <= 500);
CREATE INDEX recording_erase_due ON recording (erase_due_at) WHERE erase_due_at IS NOT NULL;
CREATE INDEX recording_newest ON recording (organization_id, purpose, started_at DESC, id DESC) WHERE status <> 'DELETED';
-- What Twilio's console may delete behind our back.
CREATE INDEX recording_at_twilio ON recording (organization_id, started_at) WHERE status = 'COMPLETED' AND gone_at_twilio_at IS NULL;

-- What happened to a recording; kept when its audio is gone.
CREATE TABLE recording_ledger (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  recording_id    uuid NOT NULL,
  kind            text NOT NULL,
  at              timestamptz NOT NULL,
  -- A user or API key; NULL for callers, rules and the network.
  actor_id        uuid,
  reason          text,
  -- What can happen once only has a key, and is noted once.
  key             text,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT recording_ledger_recording FOREIGN KEY (organization_id, recording_id) REFERENCES recording (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT recording_ledger_once UNIQUE (organization_id, recording_id, key),
  CONSTRAINT recording_ledger_reason_length CHECK (length(reason) <= 1000),
  CONSTRAINT recording_ledger_kind_known CHECK (kind IN ('CONSENT_PLAYED', 'CONSENT_MISSING', 'STARTED', 'PAUSED', 'RESUMED', 'COMPLETED', 'STORED', 'NOT_STORED',
    'LISTENED', 'DOWNLOADED', 'EXPORTED', 'HOLD_PLACED', 'HOLD_RELEASED', 'DELETED', 'AUDIO_ERASED', 'DELETED_AT_TWILIO', 'GONE_AT_TWILIO'))
);
CREATE INDEX recording_ledger_newest ON recording_ledger (organization_id, recording_id, at DESC, id DESC);
-- Who listened, and when last.
CREATE INDEX recording_ledger_listeners ON recording_ledger (organization_id, recording_id, actor_id, at DESC) WHERE kind IN ('LISTENED', 'DOWNLOADED');
CALL tenant_table('recording_ledger');
REVOKE UPDATE, DELETE ON recording_ledger FROM {{app}}, {{worker}};

-- The loudness of what is stored: for each channel 1000 peaks of a byte each.
CREATE TABLE recording_waveform (
  organization_id uuid NOT NULL,
  recording_id    uuid NOT NULL,
  channels        int NOT NULL,
  peaks           bytea NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, recording_id),
  CONSTRAINT recording_waveform_recording FOREIGN KEY (organization_id, recording_id) REFERENCES recording (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT recording_waveform_whole CHECK (channels BETWEEN 1 AND 2 AND length(peaks) = channels * 1000)
);
CALL tenant_table('recording_waveform');

-- What becomes of an organization's recordings; no row: the defaults.
CREATE TABLE recording_policy (
  organization_id        uuid NOT NULL PRIMARY KEY REFERENCES organization (organization_id),
  when_deleted_at_twilio text NOT NULL DEFAULT 'DELETE_COPY',
  are_channels_swapped   boolean NOT NULL DEFAULT false,
  created_at             timestamptz NOT NULL DEFAULT now(),
  updated_at             timestamptz NOT NULL,
  CONSTRAINT recording_policy_known CHECK (when_deleted_at_twilio IN ('DELETE_COPY', 'KEEP_COPY'))
);
CALL tenant_table('recording_policy');

-- How far each account's recordings have been compared with ours (R282).
CREATE TABLE recording_comparison (
  organization_id uuid NOT NULL,
  connection_id   uuid NOT NULL,
  -- The day that is compared next begins here; NULL: the oldest that we have.
  from_at         timestamptz,
  due_at          timestamptz NOT NULL,
  failures        int NOT NULL DEFAULT 0,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, connection_id),
  CONSTRAINT recording_comparison_connection FOREIGN KEY (organization_id, connection_id) REFERENCES twilio_connection (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX recording_comparison_due ON recording_comparison (due_at);
CALL tenant_table('recording_comparison');

-- What is new at a number. A voicemail is deleted when its recording is.
CREATE INDEX voicemail_new ON voicemail (organization_id, phone_number_id) WHERE heard_at IS NULL;

-- Who has heard a voicemail. The first of them stands in the voicemail too.
CREATE TABLE voicemail_heard (
  organization_id uuid NOT NULL,
  voicemail_id    uuid NOT NULL,
  user_id         uuid NOT NULL,
  heard_at        timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, voicemail_id, user_id),
  CONSTRAINT voicemail_heard_voicemail FOREIGN KEY (organization_id, voicemail_id) REFERENCES voicemail (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT voicemail_heard_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX voicemail_heard_by_user ON voicemail_heard (organization_id, user_id);
CALL tenant_table('voicemail_heard');
