-- What the doctor finds, when it looks again, and what it must remember to find it.

CREATE TABLE finding (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  code            text NOT NULL,
  severity        text NOT NULL,
  -- A number, connection, user, webhook endpoint or the organization; its id says which.
  subject         uuid NOT NULL,
  detail          text NOT NULL,
  fix             text NOT NULL,
  source          text NOT NULL,
  -- Keys and values, neither secrets nor numbers of customers.
  evidence        jsonb NOT NULL DEFAULT '[]',
  opened_at       timestamptz NOT NULL,
  last_seen_at    timestamptz NOT NULL,
  cleared_at      timestamptz,
  acknowledged_at timestamptz,
  acknowledged_by uuid,
  note            text,
  snooze_ends_at  timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT finding_acknowledger FOREIGN KEY (organization_id, acknowledged_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT finding_severity_known CHECK (severity IN ('WARNING', 'PROBLEM')),
  CONSTRAINT finding_note_length CHECK (length(note) <= 1000)
);
-- One open finding for what is wrong with a thing; when it comes back it is another.
CREATE UNIQUE INDEX finding_open_once ON finding (organization_id, subject, code) WHERE cleared_at IS NULL;
CREATE INDEX finding_newest ON finding (organization_id, opened_at DESC, id DESC);
CREATE INDEX finding_open_newest ON finding (organization_id, opened_at DESC, id DESC) WHERE cleared_at IS NULL;
CREATE INDEX finding_by_subject ON finding (organization_id, subject, opened_at DESC, id DESC);
CREATE INDEX finding_by_acknowledger ON finding (organization_id, acknowledged_by);
CALL tenant_table('finding');

-- When the doctor looks at a thing by itself again.
CREATE TABLE diagnosis_due (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  -- A number, connection, user or the organization.
  subject         uuid NOT NULL,
  due_at          timestamptz NOT NULL,
  -- Something about it changed: our own rows are looked at again, without asking Twilio.
  asked_at        timestamptz,
  looked_at       timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, subject)
);
CREATE INDEX diagnosis_due_next ON diagnosis_due (due_at);
CREATE INDEX diagnosis_due_asked ON diagnosis_due (asked_at) WHERE asked_at IS NOT NULL;
CALL tenant_table('diagnosis_due');

-- Posts to a connection's addresses that were refused although half of their proof was right: SIGNATURE counts those
-- with the right access key, ACCESS_KEY those with a right signature. Strangers have neither and are not counted.
CREATE TABLE refused_post (
  organization_id uuid NOT NULL,
  connection_id   uuid NOT NULL,
  why             text NOT NULL,
  -- Since the last post that was taken.
  count           bigint NOT NULL,
  first_at        timestamptz NOT NULL,
  last_at         timestamptz NOT NULL,
  -- What the last one was addressed to, as our server saw it.
  seen_url        text NOT NULL DEFAULT '',
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, connection_id, why),
  CONSTRAINT refused_post_connection FOREIGN KEY (organization_id, connection_id) REFERENCES twilio_connection (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT refused_post_why_known CHECK (why IN ('SIGNATURE', 'ACCESS_KEY')),
  CONSTRAINT refused_post_url_length CHECK (length(seen_url) <= 300)
);
CALL tenant_table('refused_post');
