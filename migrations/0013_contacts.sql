-- The caller card, contacts that are merged and deleted, and imports of files.

ALTER TABLE contact
  -- R181: the account that a customer or contact belongs to.
  ADD COLUMN account_id uuid,
  ADD CONSTRAINT contact_account FOREIGN KEY (organization_id, account_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (account_id),
  ADD CONSTRAINT contact_account_is_another CHECK (account_id <> id);
CREATE INDEX contact_by_account ON contact (organization_id, account_id, id);
CREATE INDEX contact_by_email ON contact (organization_id, lower(email));

-- A record outlives its contact.
ALTER TABLE record
  DROP CONSTRAINT record_contact,
  ADD CONSTRAINT record_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (contact_id);
-- A contact outlives the campaign and the number that contacted it last.
ALTER TABLE contact
  DROP CONSTRAINT contact_last_campaign,
  ADD CONSTRAINT contact_last_campaign FOREIGN KEY (organization_id, last_campaign_id) REFERENCES campaign (organization_id, id) ON DELETE SET NULL (last_campaign_id);

-- R179-R184. No row: the defaults.
CREATE TABLE caller_card_settings (
  organization_id             uuid NOT NULL REFERENCES organization (organization_id),
  contact_kinds               text[] NOT NULL,
  record_kinds               text[] NOT NULL,
  hides_leads                boolean NOT NULL,
  shows_related_accounts_only boolean NOT NULL,
  inbound_saving             text NOT NULL,
  outbound_saving            text NOT NULL,
  opens_inbound              boolean NOT NULL,
  opens_outbound             boolean NOT NULL,
  quick_create_contacts      text[] NOT NULL,
  quick_create_records       text[] NOT NULL,
  updated_at                 timestamptz NOT NULL,
  created_at                 timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id),
  CONSTRAINT caller_card_somebody_identifies CHECK (cardinality(contact_kinds) > 0),
  CONSTRAINT caller_card_saving_known CHECK (inbound_saving IN ('OFF', 'CONTACT', 'CONTACT_AND_RECORD') AND outbound_saving IN ('OFF', 'CONTACT', 'CONTACT_AND_RECORD'))
);
CALL tenant_table('caller_card_settings');

-- Contacts and records that are gone: nothing of them but the id, and for a contact that was merged the one that
-- answers in its place.
CREATE TABLE tombstone (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  merged_into     uuid,
  -- Of a merged contact: its other system goes on sending it, and makes no second one of it.
  external_id     text,
  removed_by      uuid,
  removed_at      timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT tombstone_survivor FOREIGN KEY (organization_id, merged_into) REFERENCES contact (organization_id, id) ON DELETE SET NULL (merged_into)
);
CREATE INDEX tombstone_by_survivor ON tombstone (organization_id, merged_into);
CREATE UNIQUE INDEX tombstone_external ON tombstone (organization_id, external_id) WHERE external_id IS NOT NULL;
CALL tenant_table('tombstone');

-- Calls are folded from facts that go on naming a contact or record that is gone, and something may be linked to it
-- in the very moment that it goes. So whoever links looks: it waits for the one that is going, then takes the
-- survivor, or nothing.
CREATE FUNCTION follow_removed_contact() RETURNS trigger LANGUAGE plpgsql AS $f$
DECLARE
  survivor uuid;
BEGIN
  WHILE NEW.contact_id IS NOT NULL LOOP
    PERFORM FROM contact c WHERE c.organization_id = NEW.organization_id AND c.id = NEW.contact_id FOR KEY SHARE;
    EXIT WHEN FOUND;
    SELECT t.merged_into INTO survivor FROM tombstone t WHERE t.organization_id = NEW.organization_id AND t.id = NEW.contact_id;
    EXIT WHEN NOT FOUND; -- it never was: the foreign key says so
    NEW.contact_id := survivor;
  END LOOP;
  RETURN NEW;
END
$f$;
CREATE FUNCTION follow_removed_record() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
  PERFORM FROM record r WHERE r.organization_id = NEW.organization_id AND r.id = NEW.record_id FOR KEY SHARE;
  IF NOT FOUND AND EXISTS (SELECT FROM tombstone t WHERE t.organization_id = NEW.organization_id AND t.id = NEW.record_id) THEN
    NEW.record_id := NULL;
  END IF;
  RETURN NEW;
END
$f$;
-- Every table that links to a contact by contact_id calls this, and the one below if it has a record_id.
CREATE PROCEDURE links_to_contact(t regclass) LANGUAGE plpgsql AS $f$
BEGIN
  EXECUTE format('CREATE TRIGGER follow_removed_contact_insert BEFORE INSERT ON %s FOR EACH ROW WHEN (NEW.contact_id IS NOT NULL) EXECUTE FUNCTION follow_removed_contact()', t);
  EXECUTE format('CREATE TRIGGER follow_removed_contact_update BEFORE UPDATE OF contact_id ON %s FOR EACH ROW '
    'WHEN (NEW.contact_id IS NOT NULL AND NEW.contact_id IS DISTINCT FROM OLD.contact_id) EXECUTE FUNCTION follow_removed_contact()', t);
END
$f$;
CREATE PROCEDURE links_to_record(t regclass) LANGUAGE plpgsql AS $f$
BEGIN
  EXECUTE format('CREATE TRIGGER follow_removed_record_insert BEFORE INSERT ON %s FOR EACH ROW WHEN (NEW.record_id IS NOT NULL) EXECUTE FUNCTION follow_removed_record()', t);
  EXECUTE format('CREATE TRIGGER follow_removed_record_update BEFORE UPDATE OF record_id ON %s FOR EACH ROW '
    'WHEN (NEW.record_id IS NOT NULL AND NEW.record_id IS DISTINCT FROM OLD.record_id) EXECUTE FUNCTION follow_removed_record()', t);
END
$f$;
REVOKE EXECUTE ON PROCEDURE links_to_contact(regclass), links_to_record(regclass) FROM PUBLIC;
CALL links_to_contact('call');
CALL links_to_contact('voicemail');
CALL links_to_contact('sms_thread');
CALL links_to_contact('message');
CALL links_to_contact('bulk_recipient');
CALL links_to_contact('automation_run');
CALL links_to_contact('consent');
-- Words about consent are only ever added; whose they are follows the contact.
GRANT UPDATE (contact_id) ON consent TO {{app}}, {{worker}};
CALL links_to_record('call');
CALL links_to_record('message');
CALL links_to_record('bulk_recipient');
CALL links_to_record('automation_run');

-- A file of contacts or records that somebody sent; its bytes are in the blob store.
CREATE TABLE import_upload (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  blob_key        text NOT NULL,
  name            text NOT NULL,
  size            bigint NOT NULL,
  uploaded_by     uuid,
  uploaded_by_key uuid,
  expires_at      timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT import_upload_uploader FOREIGN KEY (organization_id, uploaded_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT import_upload_uploader_key FOREIGN KEY (organization_id, uploaded_by_key) REFERENCES api_key (organization_id, id)
);
CREATE INDEX import_upload_by_uploader ON import_upload (organization_id, uploaded_by);
CREATE INDEX import_upload_by_uploader_key ON import_upload (organization_id, uploaded_by_key);
CREATE INDEX import_upload_expires ON import_upload (expires_at);
CALL tenant_table('import_upload');

-- An import: how the file is read and how far it is. Its place moves in the transaction of the rows.
CREATE TABLE contact_import (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  subject         text NOT NULL,
  status          text NOT NULL,
  -- NULL when the file and the report of its rows are forgotten.
  upload_id       uuid,
  file_name       text NOT NULL,
  columns         jsonb NOT NULL,
  kind            text,
  update_by       text NOT NULL,
  is_dry_run      boolean NOT NULL,
  country         text NOT NULL,
  row_count       int NOT NULL,
  done_count      int NOT NULL DEFAULT 0,
  created_count   int NOT NULL DEFAULT 0,
  updated_count   int NOT NULL DEFAULT 0,
  unchanged_count int NOT NULL DEFAULT 0,
  failed_count    int NOT NULL DEFAULT 0,
  problem         text,
  -- The refused rows as a file in the blob store.
  failed_key      text,
  -- That file is written to its end.
  has_failed_file boolean NOT NULL DEFAULT false,
  created_by      uuid,
  created_by_key  uuid,
  told_at         timestamptz,
  ended_at        timestamptz,
  expires_at      timestamptz NOT NULL,
  version         bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT contact_import_upload FOREIGN KEY (organization_id, upload_id) REFERENCES import_upload (organization_id, id) ON DELETE SET NULL (upload_id),
  CONSTRAINT contact_import_creator FOREIGN KEY (organization_id, created_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT contact_import_creator_key FOREIGN KEY (organization_id, created_by_key) REFERENCES api_key (organization_id, id),
  CONSTRAINT contact_import_subject_known CHECK (subject IN ('CONTACTS', 'RECORDS')),
  CONSTRAINT contact_import_status_known CHECK (status IN ('QUEUED', 'RUNNING', 'DONE', 'CANCELED', 'FAILED')),
  CONSTRAINT contact_import_match_known CHECK (update_by IN ('NOTHING', 'NUMBER', 'EMAIL')),
  CONSTRAINT contact_import_ended_has_time CHECK ((ended_at IS NULL) = (status IN ('QUEUED', 'RUNNING')))
);
CREATE INDEX contact_import_by_upload ON contact_import (organization_id, upload_id);
CREATE INDEX contact_import_by_creator ON contact_import (organization_id, created_by, id);
CREATE INDEX contact_import_by_creator_key ON contact_import (organization_id, created_by_key, id);
CREATE INDEX contact_import_expires ON contact_import (expires_at) WHERE upload_id IS NOT NULL;
CALL tenant_table('contact_import');

-- What became of each row.
CREATE TABLE contact_import_row (
  organization_id uuid NOT NULL,
  import_id       uuid NOT NULL,
  line            int NOT NULL,
  status          text NOT NULL,
  -- The contact or record, which may be gone by now.
  subject_id      uuid,
  code            text,
  message         text,
  field           text[],
  -- Of a refused row, as it was.
  cells           text[],
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, import_id, line),
  CONSTRAINT contact_import_row_import FOREIGN KEY (organization_id, import_id) REFERENCES contact_import (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX contact_import_row_by_status ON contact_import_row (organization_id, import_id, status, line);
CALL tenant_table('contact_import_row');
