-- Exports: a list written to a file in the background; and the audit log, found by who, what and words.

CREATE TABLE export (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  kind            text NOT NULL,
  format          text NOT NULL,
  -- The filter of the list, as its domain reads it, and as it was given.
  filter          jsonb NOT NULL DEFAULT '{}',
  given           jsonb NOT NULL DEFAULT '{}',
  columns         text[] NOT NULL DEFAULT '{}',
  time_zone       text NOT NULL,
  delimiter       text NOT NULL DEFAULT 'COMMA',
  byte_order_mark boolean NOT NULL DEFAULT true,
  file_name       text NOT NULL,
  status          text NOT NULL DEFAULT 'QUEUED',
  row_count       bigint NOT NULL DEFAULT 0,
  estimated_rows  bigint,
  byte_count      bigint NOT NULL DEFAULT 0,
  problem         text,
  -- Where the file is, or will be: written here before the first byte is, so that a killed process leaves none behind.
  media_key       text,
  sha256          text,
  -- A user or an API key, and what they held then; their role is read anew for every batch.
  created_by      uuid NOT NULL,
  -- Which attempt it is, and until when one process alone writes it.
  attempt         integer NOT NULL DEFAULT 0,
  leased_until    timestamptz,
  asked_until     timestamptz,
  started_at      timestamptz,
  ended_at        timestamptz,
  expires_at      timestamptz,
  version         integer NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT export_kind_known CHECK (kind IN ('CALLS', 'MESSAGES', 'RECORDINGS', 'RECORDING_AUDIO', 'VOICEMAILS', 'TRANSCRIPTS', 'FOLLOW_UPS',
    'CONTACTS', 'RECORDS', 'AUDIT')),
  CONSTRAINT export_format_known CHECK (format IN ('CSV', 'XLSX', 'ZIP')),
  CONSTRAINT export_status_known CHECK (status IN ('QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELED', 'EXPIRED')),
  CONSTRAINT export_delimiter_known CHECK (delimiter IN ('COMMA', 'SEMICOLON', 'TAB')),
  CONSTRAINT export_done CHECK (status <> 'DONE' OR (media_key IS NOT NULL AND expires_at IS NOT NULL AND sha256 IS NOT NULL))
);
CREATE INDEX export_newest ON export (organization_id, created_at DESC, id DESC);
CREATE INDEX export_by_maker ON export (organization_id, created_by, created_at DESC, id DESC);
CREATE INDEX export_waiting ON export (organization_id, created_at) WHERE status IN ('QUEUED', 'RUNNING');
CREATE INDEX export_erase ON export (expires_at) WHERE media_key IS NOT NULL;
CALL tenant_table('export');

-- The audit log: where the request came from, and the ways to look for an entry.
ALTER TABLE audit_entry ADD COLUMN client_address text, ADD COLUMN user_agent text,
  ADD CONSTRAINT audit_entry_client_length CHECK (length(client_address) <= 64 AND length(user_agent) <= 256);
COMMENT ON COLUMN audit_entry.client_address IS 'The network address that the request came from, if a request did it.';
CREATE INDEX audit_entry_actor ON audit_entry (organization_id, actor_id, at DESC, id DESC);
CREATE INDEX audit_entry_action ON audit_entry (organization_id, action COLLATE "C", at DESC, id DESC);
-- The last byte of an id is its kind.
CREATE INDEX audit_entry_subject_kind ON audit_entry (organization_id, get_byte(uuid_send(subject), 15), at DESC, id DESC);
CREATE INDEX audit_entry_words ON audit_entry USING gin (organization_id, to_tsvector('simple', translate(action, '._', '  ') || ' ' || detail::text));
REVOKE TRUNCATE ON audit_entry FROM {{app}}, {{worker}};

-- As with messages, words are looked up in a function of the owner: under row-level security the planner may not use
-- their index. A condition that is NULL is none.
CREATE FUNCTION audit_search(words text, by_actor uuid, prefix text, among text[], without text[], about uuid, about_kind int, since timestamptz,
  until timestamptz, before timestamptz, before_id uuid, upto int) RETURNS TABLE (id uuid, at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT e.id, e.at FROM public.audit_entry e
  WHERE e.organization_id = public.app_organization()
    AND to_tsvector('simple', translate(e.action, '._', '  ') || ' ' || e.detail::text) @@ to_tsquery('simple', words)
    AND (by_actor IS NULL OR e.actor_id = by_actor)
    AND (prefix IS NULL OR starts_with(e.action, prefix))
    AND (among IS NULL OR e.action = ANY (among))
    AND (without IS NULL OR e.action <> ALL (without))
    AND (about IS NULL OR e.subject = about)
    AND (about_kind IS NULL OR get_byte(uuid_send(e.subject), 15) = about_kind)
    AND (since IS NULL OR e.at >= since)
    AND (until IS NULL OR e.at < until)
    AND (e.at, e.id) < (before, before_id)
  ORDER BY e.at DESC, e.id DESC
  LIMIT upto
$f$;
