-- Contacts, campaigns and business records.

CREATE TABLE contact (
  organization_id        uuid NOT NULL REFERENCES organization (organization_id),
  id                     uuid NOT NULL,
  kind                   text NOT NULL,
  external_id            text,
  name                   text NOT NULL,
  company                text,
  email                  text,
  country                text,
  status                 text,
  tags                   text[] NOT NULL DEFAULT '{}',
  assigned_user_id       uuid,
  created_by             uuid,
  -- R287: the campaign, number and time of the last contact.
  last_campaign_id       uuid,
  last_phone_number_id   uuid,
  last_contacted_at      timestamptz,
  version                bigint NOT NULL DEFAULT 1,
  created_at             timestamptz NOT NULL DEFAULT now(),
  updated_at             timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT contact_assignee FOREIGN KEY (organization_id, assigned_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT contact_creator FOREIGN KEY (organization_id, created_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT contact_kind_known CHECK (kind IN ('CUSTOMER', 'LEAD', 'ACCOUNT', 'CONTACT', 'FIELDWORKER'))
);
CREATE UNIQUE INDEX contact_external ON contact (organization_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX contact_by_assignee ON contact (organization_id, assigned_user_id);
CREATE INDEX contact_by_creator ON contact (organization_id, created_by);
-- Byte order, for names that begin so: the bounds are a range whatever the prefix holds.
CREATE INDEX contact_by_name ON contact (organization_id, lower(name) text_pattern_ops, id);
CALL tenant_table('contact');

CREATE TABLE contact_phone (
  organization_id uuid NOT NULL,
  contact_id      uuid NOT NULL,
  e164            text NOT NULL,
  label           text NOT NULL DEFAULT '',
  is_primary      boolean NOT NULL DEFAULT false,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, contact_id, e164),
  CONSTRAINT contact_phone_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE CASCADE,
  -- D11: an empty number never matches anybody.
  CONSTRAINT contact_phone_e164 CHECK (e164 ~ '^\+[1-9][0-9]{4,14}$')
);
CREATE INDEX contact_phone_by_number ON contact_phone (organization_id, e164);
CALL tenant_table('contact_phone');

CREATE TABLE campaign (
  organization_id  uuid NOT NULL REFERENCES organization (organization_id),
  id               uuid NOT NULL,
  name             text NOT NULL,
  assigned_user_id uuid,
  is_active        boolean NOT NULL DEFAULT true,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT campaign_assignee FOREIGN KEY (organization_id, assigned_user_id) REFERENCES "user" (organization_id, id)
);
CREATE INDEX campaign_by_assignee ON campaign (organization_id, assigned_user_id);
CALL tenant_table('campaign');

CREATE TABLE campaign_member (
  organization_id   uuid NOT NULL,
  campaign_id       uuid NOT NULL,
  contact_id        uuid NOT NULL,
  -- D04: the campaign that contacted a lead last decides.
  last_contacted_at timestamptz,
  created_at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, campaign_id, contact_id),
  CONSTRAINT campaign_member_campaign FOREIGN KEY (organization_id, campaign_id) REFERENCES campaign (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT campaign_member_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX campaign_member_by_contact ON campaign_member (organization_id, contact_id);
CALL tenant_table('campaign_member');

ALTER TABLE contact
  ADD CONSTRAINT contact_last_campaign FOREIGN KEY (organization_id, last_campaign_id) REFERENCES campaign (organization_id, id);
CREATE INDEX contact_by_last_campaign ON contact (organization_id, last_campaign_id);

CREATE TABLE record (
  organization_id  uuid NOT NULL REFERENCES organization (organization_id),
  id               uuid NOT NULL,
  kind             text NOT NULL,
  external_id      text,
  title            text NOT NULL,
  status           text NOT NULL DEFAULT 'OPEN',
  contact_id       uuid,
  -- R188: the fieldworker assigned to a booking.
  assigned_user_id uuid,
  starts_at        timestamptz,
  version          bigint NOT NULL DEFAULT 1,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT record_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id),
  CONSTRAINT record_assignee FOREIGN KEY (organization_id, assigned_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT record_kind_known CHECK (kind IN ('BOOKING', 'QUOTE', 'INVOICE', 'INQUIRY', 'COMPLAINT'))
);
CREATE UNIQUE INDEX record_external ON record (organization_id, kind, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX record_by_contact ON record (organization_id, contact_id);
CREATE INDEX record_by_assignee ON record (organization_id, assigned_user_id);
CALL tenant_table('record');
