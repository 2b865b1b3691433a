-- Transcripts: the text of recordings, as records of their own (R199-R207, R229, R230).

-- Which recordings of a number become text; NULL is what the organization's settings say.
ALTER TABLE phone_number
  ADD COLUMN transcription text,
  ADD CONSTRAINT number_transcription_known CHECK (transcription IN ('OFF', 'CALLS', 'VOICEMAILS', 'ALL'));

-- How an organization's recordings become text. No row: nothing does by itself.
CREATE TABLE transcription_settings (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  mode            text NOT NULL DEFAULT 'OFF',
  -- NULL is what the installation prefers.
  provider        text,
  language        text NOT NULL,
  max_seconds     int NOT NULL,
  monthly_minutes int,
  -- Names and technical terms that providers are told to expect.
  vocabulary      text[] NOT NULL DEFAULT '{}',
  google_model    text NOT NULL DEFAULT 'phone_call',
  http_url        text,
  version         bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id),
  CONSTRAINT transcription_mode_known CHECK (mode IN ('OFF', 'CALLS', 'VOICEMAILS', 'ALL')),
  CONSTRAINT transcription_provider_known CHECK (provider IN ('TWILIO', 'GOOGLE', 'HTTP')),
  CONSTRAINT transcription_length CHECK (max_seconds BETWEEN 1 AND 28800),
  CONSTRAINT transcription_cap CHECK (monthly_minutes >= 0)
);
CALL tenant_table('transcription_settings');

-- Sealed with the organization and the kind as associated data; never bound to the contract.
CREATE TABLE transcription_secret (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  -- GOOGLE_API_KEY, GOOGLE_SERVICE_ACCOUNT, HTTP_SECRET
  kind            text NOT NULL,
  sealed          bytea NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, kind)
);
CALL tenant_table('transcription_secret');

-- How many seconds of speech were handed to providers, by the organization's own months.
CREATE TABLE transcription_usage (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  month           date NOT NULL,
  seconds         bigint NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, month)
);
CALL tenant_table('transcription_usage');

-- The service that we made in a Twilio account for a language.
CREATE TABLE transcription_service (
  organization_id uuid NOT NULL,
  connection_id   uuid NOT NULL,
  language        text NOT NULL,
  service_sid     text NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, connection_id, language),
  CONSTRAINT transcription_service_connection FOREIGN KEY (organization_id, connection_id) REFERENCES twilio_connection (organization_id, id) ON DELETE CASCADE
);
CALL tenant_table('transcription_service');

CREATE TABLE transcript (
  organization_id  uuid NOT NULL REFERENCES organization (organization_id),
  id               uuid NOT NULL,
  -- R229: nothing that goes takes its transcript along.
  call_id          uuid,
  recording_id     uuid,
  voicemail_id     uuid,
  source           text NOT NULL,
  -- R278: the links of the call, kept the same by a trigger unless a person changed them.
  contact_id       uuid,
  record_id        uuid,
  is_linked_by_hand boolean NOT NULL DEFAULT false,
  -- Who talked, and whose line it was.
  user_id          uuid,
  branch_id        uuid,
  phone_number_id  uuid,
  status           text NOT NULL,
  provider         text NOT NULL,
  language         text NOT NULL,
  confidence       double precision,
  is_automatic     boolean NOT NULL,
  -- Who asked for it.
  created_by       uuid,
  failure_code     text,
  failure_reason   text,
  subject          text,
  categories       text[] NOT NULL DEFAULT '{}',
  segment_count    int NOT NULL DEFAULT 0,
  is_corrected     boolean NOT NULL DEFAULT false,
  -- What it is found by: the corrected words, as messages are.
  words            tsvector,
  duration_seconds int,
  recorded_at      timestamptz NOT NULL,
  -- Where the work stands: what the provider calls it, and when somebody must look after it.
  connection_id    uuid,
  provider_ref     text,
  provider_state   jsonb,
  attempts         int NOT NULL DEFAULT 0,
  asked_at         timestamptz,
  -- Who works on it has it until then; the moment tells one worker from the next.
  leased_until     timestamptz,
  -- How many seconds of the month it took, given back when the provider did nothing.
  reserved_seconds int,
  due_at           timestamptz,
  completed_at     timestamptz,
  deleted_at       timestamptz,
  deleted_by       uuid,
  deleted_reason   text,
  version          bigint NOT NULL DEFAULT 1,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT transcript_call FOREIGN KEY (organization_id, call_id) REFERENCES call (organization_id, id) ON DELETE SET NULL (call_id),
  CONSTRAINT transcript_recording FOREIGN KEY (organization_id, recording_id) REFERENCES recording (organization_id, id) ON DELETE SET NULL (recording_id),
  CONSTRAINT transcript_voicemail FOREIGN KEY (organization_id, voicemail_id) REFERENCES voicemail (organization_id, id) ON DELETE SET NULL (voicemail_id),
  CONSTRAINT transcript_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (contact_id),
  CONSTRAINT transcript_record FOREIGN KEY (organization_id, record_id) REFERENCES record (organization_id, id) ON DELETE SET NULL (record_id),
  CONSTRAINT transcript_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT transcript_branch FOREIGN KEY (organization_id, branch_id) REFERENCES branch (organization_id, id) ON DELETE SET NULL (branch_id),
  CONSTRAINT transcript_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id),
  CONSTRAINT transcript_connection FOREIGN KEY (organization_id, connection_id) REFERENCES twilio_connection (organization_id, id) ON DELETE SET NULL (connection_id),
  CONSTRAINT transcript_creator FOREIGN KEY (organization_id, created_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT transcript_deleter FOREIGN KEY (organization_id, deleted_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT transcript_status_known CHECK (status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'DELETED')),
  CONSTRAINT transcript_source_known CHECK (source IN ('CALL', 'VOICEMAIL')),
  CONSTRAINT transcript_provider_known CHECK (provider IN ('TWILIO', 'GOOGLE', 'HTTP')),
  CONSTRAINT transcript_failure_known CHECK (failure_code IN ('NOT_CONFIGURED', 'REFUSED', 'TOO_LONG', 'OVER_CAP', 'NO_AUDIO', 'UNAVAILABLE', 'UNKNOWN', 'TIMED_OUT')),
  CONSTRAINT transcript_failed_says_why CHECK (status <> 'FAILED' OR failure_code IS NOT NULL AND failure_reason IS NOT NULL),
  CONSTRAINT transcript_tombstone CHECK ((status = 'DELETED') = (deleted_at IS NOT NULL))
);
-- R199: by itself a recording is transcribed once, also when its transcript was deleted since.
CREATE UNIQUE INDEX transcript_once ON transcript (organization_id, recording_id) WHERE is_automatic;
CREATE UNIQUE INDEX transcript_one_each_language ON transcript (organization_id, recording_id, language) WHERE status NOT IN ('FAILED', 'DELETED');
CREATE INDEX transcript_by_time ON transcript (organization_id, recorded_at DESC, id DESC);
CREATE INDEX transcript_by_call ON transcript (organization_id, call_id, recorded_at);
CREATE INDEX transcript_by_recording ON transcript (organization_id, recording_id);
CREATE INDEX transcript_by_voicemail ON transcript (organization_id, voicemail_id);
CREATE INDEX transcript_by_contact ON transcript (organization_id, contact_id, recorded_at DESC, id DESC);
CREATE INDEX transcript_by_record ON transcript (organization_id, record_id, recorded_at DESC, id DESC);
CREATE INDEX transcript_by_user ON transcript (organization_id, user_id, recorded_at DESC, id DESC);
CREATE INDEX transcript_by_branch ON transcript (organization_id, branch_id, recorded_at DESC, id DESC);
CREATE INDEX transcript_by_phone_number ON transcript (organization_id, phone_number_id, recorded_at DESC, id DESC);
CREATE INDEX transcript_by_connection ON transcript (organization_id, connection_id, provider_ref);
CREATE INDEX transcript_by_creator ON transcript (organization_id, created_by);
CREATE INDEX transcript_by_deleter ON transcript (organization_id, deleted_by);
CREATE INDEX transcript_due ON transcript (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX transcript_words ON transcript USING gin (organization_id, words);
CALL tenant_table('transcript');

CREATE TABLE transcript_segment (
  organization_id uuid NOT NULL,
  transcript_id   uuid NOT NULL,
  position        int NOT NULL,
  start_ms        int NOT NULL,
  end_ms          int NOT NULL,
  speaker         text NOT NULL,
  text            text NOT NULL,
  -- The provider's words; NULL until a person corrected them.
  original_text   text,
  confidence      double precision,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, transcript_id, position),
  CONSTRAINT segment_transcript FOREIGN KEY (organization_id, transcript_id) REFERENCES transcript (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT segment_times CHECK (start_ms >= 0 AND end_ms >= start_ms),
  CONSTRAINT segment_speaker CHECK (speaker ~ '^(CALLER|USER|SPEAKER_[1-9][0-9]?)$')
);
CALL tenant_table('transcript_segment');

-- R201: what people changed, a row for each time.
CREATE TABLE transcript_correction (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  transcript_id   uuid NOT NULL,
  version         bigint NOT NULL,
  user_id         uuid,
  at              timestamptz NOT NULL,
  changes         jsonb NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT correction_transcript FOREIGN KEY (organization_id, transcript_id) REFERENCES transcript (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT correction_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id)
);
CREATE INDEX correction_by_transcript ON transcript_correction (organization_id, transcript_id, at DESC, id DESC);
CREATE INDEX correction_by_user ON transcript_correction (organization_id, user_id);
CALL tenant_table('transcript_correction');

-- R202: notes and flags.
CREATE TABLE transcript_note (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  transcript_id   uuid NOT NULL,
  text            text NOT NULL,
  flag            text,
  segment_index   int,
  at_ms           int,
  author_id       uuid,
  resolved_at     timestamptz,
  resolved_by     uuid,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT transcript_note_transcript FOREIGN KEY (organization_id, transcript_id) REFERENCES transcript (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT transcript_note_author FOREIGN KEY (organization_id, author_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT transcript_note_resolver FOREIGN KEY (organization_id, resolved_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT transcript_note_flag_known CHECK (flag IN ('DISCUSSION_POINT', 'FOLLOW_UP', 'COACHING', 'COMPLIANCE', 'COMPLAINT', 'PRAISE'))
);
CREATE INDEX transcript_note_by_transcript ON transcript_note (organization_id, transcript_id, created_at, id);
CREATE INDEX transcript_note_open ON transcript_note (organization_id, flag, transcript_id) WHERE resolved_at IS NULL;
CREATE INDEX transcript_note_by_author ON transcript_note (organization_id, author_id);
CREATE INDEX transcript_note_by_resolver ON transcript_note (organization_id, resolved_by);
CALL tenant_table('transcript_note');

-- R203: where transcripts are found by category; folded is the category in small letters.
CREATE TABLE transcript_category (
  organization_id uuid NOT NULL,
  transcript_id   uuid NOT NULL,
  folded          text NOT NULL,
  category        text NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, transcript_id, folded),
  CONSTRAINT transcript_category_transcript FOREIGN KEY (organization_id, transcript_id) REFERENCES transcript (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX transcript_category_by_word ON transcript_category (organization_id, folded, transcript_id);
CALL tenant_table('transcript_category');

-- R278: a call that is linked anew takes its transcripts along; of a voicemail, the voicemail does.
CREATE FUNCTION transcript_follows_call() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
  UPDATE transcript SET
    contact_id = CASE WHEN is_linked_by_hand OR voicemail_id IS NOT NULL THEN contact_id ELSE NEW.contact_id END,
    record_id = CASE WHEN is_linked_by_hand THEN record_id ELSE NEW.record_id END,
    user_id = CASE WHEN source = 'CALL' THEN COALESCE(NEW.answered_by_user_id, NEW.user_id) END,
    branch_id = NEW.branch_id
  WHERE organization_id = NEW.organization_id AND call_id = NEW.id;
  RETURN NULL;
END $f$;
CREATE TRIGGER call_transcripts AFTER UPDATE OF contact_id, record_id, branch_id, user_id, answered_by_user_id ON call
  FOR EACH ROW WHEN (OLD.contact_id IS DISTINCT FROM NEW.contact_id OR OLD.record_id IS DISTINCT FROM NEW.record_id
    OR OLD.branch_id IS DISTINCT FROM NEW.branch_id OR OLD.user_id IS DISTINCT FROM NEW.user_id
    OR OLD.answered_by_user_id IS DISTINCT FROM NEW.answered_by_user_id)
  EXECUTE FUNCTION transcript_follows_call();
CREATE FUNCTION transcript_follows_voicemail() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
  UPDATE transcript SET contact_id = NEW.contact_id
  WHERE organization_id = NEW.organization_id AND voicemail_id = NEW.id AND NOT is_linked_by_hand;
  RETURN NULL;
END $f$;
CREATE TRIGGER voicemail_transcripts AFTER UPDATE OF contact_id ON voicemail
  FOR EACH ROW WHEN (OLD.contact_id IS DISTINCT FROM NEW.contact_id) EXECUTE FUNCTION transcript_follows_voicemail();

-- Search goes through a function of the owner, as that of messages does: under row-level security the planner may not
-- use the words' index, because matching could leak.
CREATE FUNCTION transcript_search(query text, before timestamptz, before_id uuid, upto int) RETURNS TABLE (transcript_id uuid, at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT t.id, t.recorded_at FROM public.transcript t
  WHERE t.organization_id = public.app_organization() AND t.words @@ to_tsquery('simple', query) AND t.status <> 'DELETED'
    AND (t.recorded_at, t.id) < (before, COALESCE(before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
  ORDER BY t.recorded_at DESC, t.id DESC
  LIMIT upto
$f$;
REVOKE EXECUTE ON FUNCTION transcript_search(text, timestamptz, uuid, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION transcript_search(text, timestamptz, uuid, int) TO {{app}}, {{worker}};
