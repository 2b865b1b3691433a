-- Follow-up: callers who were missed, and who is told of what.

-- When follow-ups are due and to whom they are escalated; a missing row is the server's own settings.
CREATE TABLE follow_up_settings (
  organization_id     uuid NOT NULL PRIMARY KEY REFERENCES organization (organization_id),
  -- NULL: they have no due time.
  due_minutes         int,
  escalate_to_user_id uuid,
  escalate_to_role_id uuid,
  created_at          timestamptz NOT NULL DEFAULT now(),
  updated_at          timestamptz NOT NULL,
  CONSTRAINT follow_up_settings_user FOREIGN KEY (organization_id, escalate_to_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT follow_up_settings_role FOREIGN KEY (organization_id, escalate_to_role_id) REFERENCES role (organization_id, id),
  CONSTRAINT follow_up_settings_due CHECK (due_minutes BETWEEN 1 AND 43200),
  CONSTRAINT follow_up_settings_one_target CHECK (escalate_to_user_id IS NULL OR escalate_to_role_id IS NULL)
);
CREATE INDEX follow_up_settings_by_user ON follow_up_settings (organization_id, escalate_to_user_id);
CREATE INDEX follow_up_settings_by_role ON follow_up_settings (organization_id, escalate_to_role_id);
CALL tenant_table('follow_up_settings');

-- A caller whom somebody has to reach.
CREATE TABLE follow_up (
  organization_id      uuid NOT NULL REFERENCES organization (organization_id),
  id                   uuid NOT NULL,
  -- Who and where, as it was when it was opened: the caller's number, or the call of one without (D11), and the branch.
  key                  text NOT NULL,
  kind                 text NOT NULL,
  status               text NOT NULL DEFAULT 'PENDING',
  -- As the network said it, and as a number when it is one.
  caller_number        text NOT NULL,
  caller               text,
  masked_pair_id       uuid,
  contact_id           uuid,
  record_id            uuid,
  branch_id            uuid,
  phone_number_id      uuid,
  owner_user_id        uuid,
  outcome              text,
  -- The due time, and when the sweep looks at it: never again once it is escalated or closed.
  due_at               timestamptz,
  escalate_at          timestamptz,
  escalated_at         timestamptz,
  escalated_to_user_id uuid,
  escalated_to_role_id uuid,
  attempt_count        int NOT NULL DEFAULT 0,
  voicemail_count      int NOT NULL DEFAULT 0,
  note_count           int NOT NULL DEFAULT 0,
  first_attempt_at     timestamptz NOT NULL,
  last_attempt_at      timestamptz NOT NULL,
  closed_at            timestamptz,
  closed_by_user_id    uuid,
  closed_by_call_id    uuid,
  is_closed_by_call    boolean NOT NULL DEFAULT false,
  version              bigint NOT NULL DEFAULT 1,
  created_at           timestamptz NOT NULL DEFAULT now(),
  updated_at           timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT follow_up_mask FOREIGN KEY (organization_id, masked_pair_id) REFERENCES masked_pair (organization_id, id) ON DELETE SET NULL (masked_pair_id),
  CONSTRAINT follow_up_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (contact_id),
  CONSTRAINT follow_up_record FOREIGN KEY (organization_id, record_id) REFERENCES record (organization_id, id) ON DELETE SET NULL (record_id),
  CONSTRAINT follow_up_branch FOREIGN KEY (organization_id, branch_id) REFERENCES branch (organization_id, id) ON DELETE SET NULL (branch_id),
  CONSTRAINT follow_up_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id),
  CONSTRAINT follow_up_owner FOREIGN KEY (organization_id, owner_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT follow_up_escalated_to FOREIGN KEY (organization_id, escalated_to_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT follow_up_escalated_role FOREIGN KEY (organization_id, escalated_to_role_id) REFERENCES role (organization_id, id),
  CONSTRAINT follow_up_closed_by FOREIGN KEY (organization_id, closed_by_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT follow_up_closed_call FOREIGN KEY (organization_id, closed_by_call_id) REFERENCES call (organization_id, id) ON DELETE SET NULL (closed_by_call_id),
  CONSTRAINT follow_up_kind_known CHECK (kind IN ('MISSED_CALL', 'VOICEMAIL')),
  CONSTRAINT follow_up_status_known CHECK (status IN ('PENDING', 'RESOLVED', 'NO_ACTION_REQUIRED')),
  CONSTRAINT follow_up_closed CHECK ((status = 'PENDING') = (closed_at IS NULL)),
  CONSTRAINT follow_up_outcome_length CHECK (length(outcome) BETWEEN 1 AND 500)
);
-- One open item for a caller and branch, however many calls are missed at once.
CREATE UNIQUE INDEX follow_up_one_open ON follow_up (organization_id, key) WHERE status = 'PENDING';
CREATE INDEX follow_up_by_caller ON follow_up (organization_id, caller) WHERE status = 'PENDING';
CREATE INDEX follow_up_newest ON follow_up (organization_id, last_attempt_at DESC, id DESC);
CREATE INDEX follow_up_open ON follow_up (organization_id, last_attempt_at DESC, id DESC) WHERE status = 'PENDING';
CREATE INDEX follow_up_by_due ON follow_up (organization_id, coalesce(due_at, '9999-12-31 00:00:00+00'), id) WHERE status = 'PENDING';
CREATE INDEX follow_up_escalate ON follow_up (escalate_at) WHERE escalate_at IS NOT NULL;
CREATE INDEX follow_up_by_mask ON follow_up (organization_id, masked_pair_id);
CREATE INDEX follow_up_by_contact ON follow_up (organization_id, contact_id, last_attempt_at DESC, id DESC);
CREATE INDEX follow_up_by_record ON follow_up (organization_id, record_id);
CREATE INDEX follow_up_by_branch ON follow_up (organization_id, branch_id);
CREATE INDEX follow_up_by_number ON follow_up (organization_id, phone_number_id);
CREATE INDEX follow_up_by_owner ON follow_up (organization_id, owner_user_id, last_attempt_at DESC, id DESC);
CREATE INDEX follow_up_by_escalated_to ON follow_up (organization_id, escalated_to_user_id);
CREATE INDEX follow_up_by_escalated_role ON follow_up (organization_id, escalated_to_role_id);
CREATE INDEX follow_up_by_closer ON follow_up (organization_id, closed_by_user_id);
CREATE INDEX follow_up_by_closing_call ON follow_up (organization_id, closed_by_call_id);
CALL tenant_table('follow_up');

-- The calls of a caller who was missed. A call belongs to one follow-up, whatever is told of it and how often.
CREATE TABLE follow_up_attempt (
  organization_id uuid NOT NULL,
  call_id         uuid NOT NULL,
  follow_up_id    uuid NOT NULL,
  voicemail_id    uuid,
  -- The voicemail's owner when it was last looked at: giving it to somebody else gives them the follow-up.
  voicemail_owner uuid,
  at              timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, call_id),
  CONSTRAINT follow_up_attempt_of FOREIGN KEY (organization_id, follow_up_id) REFERENCES follow_up (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT follow_up_attempt_call FOREIGN KEY (organization_id, call_id) REFERENCES call (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT follow_up_attempt_voicemail FOREIGN KEY (organization_id, voicemail_id) REFERENCES voicemail (organization_id, id) ON DELETE SET NULL (voicemail_id)
);
CREATE INDEX follow_up_attempt_newest ON follow_up_attempt (organization_id, follow_up_id, at DESC, call_id DESC);
CREATE INDEX follow_up_attempt_by_voicemail ON follow_up_attempt (organization_id, voicemail_id);
CALL tenant_table('follow_up_attempt');

-- What happened to a follow-up. Nothing here is ever changed.
CREATE TABLE follow_up_entry (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  follow_up_id    uuid NOT NULL,
  change          text NOT NULL,
  at              timestamptz NOT NULL,
  -- A person; NULL: the server or an API key.
  actor_user_id   uuid,
  call_id         uuid,
  voicemail_id    uuid,
  user_id         uuid,
  role_id         uuid,
  status          text,
  outcome         text,
  note            text,
  due_at          timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT follow_up_entry_of FOREIGN KEY (organization_id, follow_up_id) REFERENCES follow_up (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT follow_up_entry_actor FOREIGN KEY (organization_id, actor_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT follow_up_entry_call FOREIGN KEY (organization_id, call_id) REFERENCES call (organization_id, id) ON DELETE SET NULL (call_id),
  CONSTRAINT follow_up_entry_voicemail FOREIGN KEY (organization_id, voicemail_id) REFERENCES voicemail (organization_id, id) ON DELETE SET NULL (voicemail_id),
  CONSTRAINT follow_up_entry_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT follow_up_entry_role FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id) ON DELETE SET NULL (role_id),
  CONSTRAINT follow_up_entry_change_known CHECK (change IN ('OPENED', 'ATTEMPT', 'ASSIGNED', 'CLOSED', 'CLOSED_BY_CALL', 'REOPENED', 'NOTED',
    'OUTCOME_SET', 'DUE_SET', 'ESCALATED', 'CALLED_BACK', 'RELINKED')),
  CONSTRAINT follow_up_entry_note_length CHECK (length(note) BETWEEN 1 AND 4000)
);
CREATE INDEX follow_up_entry_newest ON follow_up_entry (organization_id, follow_up_id, at DESC, id DESC);
CREATE UNIQUE INDEX follow_up_entry_one_call_back ON follow_up_entry (organization_id, follow_up_id, call_id) WHERE change = 'CALLED_BACK';
CREATE INDEX follow_up_entry_by_actor ON follow_up_entry (organization_id, actor_user_id);
CREATE INDEX follow_up_entry_by_call ON follow_up_entry (organization_id, call_id);
CREATE INDEX follow_up_entry_by_voicemail ON follow_up_entry (organization_id, voicemail_id);
CREATE INDEX follow_up_entry_by_user ON follow_up_entry (organization_id, user_id);
CREATE INDEX follow_up_entry_by_role ON follow_up_entry (organization_id, role_id);
CALL tenant_table('follow_up_entry');
REVOKE UPDATE ON follow_up_entry FROM {{app}}, {{worker}};

-- Something that a person was told of. The words are made when it is read: no name and no number is kept here.
CREATE TABLE notification (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  user_id         uuid NOT NULL,
  kind            text NOT NULL,
  -- What it tells, once for each person.
  key             text NOT NULL,
  -- What it is about, of any kind.
  subject         uuid,
  call_id         uuid,
  voicemail_id    uuid,
  message_id      uuid,
  follow_up_id    uuid,
  actor_user_id   uuid,
  is_silent       boolean NOT NULL,
  show_popup      boolean NOT NULL,
  in_app          boolean NOT NULL,
  at              timestamptz NOT NULL,
  read_at         timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT notification_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT notification_call FOREIGN KEY (organization_id, call_id) REFERENCES call (organization_id, id) ON DELETE SET NULL (call_id),
  CONSTRAINT notification_voicemail FOREIGN KEY (organization_id, voicemail_id) REFERENCES voicemail (organization_id, id) ON DELETE SET NULL (voicemail_id),
  CONSTRAINT notification_message FOREIGN KEY (organization_id, message_id) REFERENCES message (organization_id, id) ON DELETE SET NULL (message_id),
  CONSTRAINT notification_follow_up FOREIGN KEY (organization_id, follow_up_id) REFERENCES follow_up (organization_id, id) ON DELETE SET NULL (follow_up_id),
  CONSTRAINT notification_actor FOREIGN KEY (organization_id, actor_user_id) REFERENCES "user" (organization_id, id),
  CONSTRAINT notification_once UNIQUE (organization_id, user_id, key)
);
CREATE INDEX notification_newest ON notification (organization_id, user_id, at DESC, id DESC);
CREATE INDEX notification_new ON notification (organization_id, user_id) WHERE read_at IS NULL;
CREATE INDEX notification_age ON notification (at);
CREATE INDEX notification_by_call ON notification (organization_id, call_id);
CREATE INDEX notification_by_voicemail ON notification (organization_id, voicemail_id);
CREATE INDEX notification_by_message ON notification (organization_id, message_id);
CREATE INDEX notification_by_follow_up ON notification (organization_id, follow_up_id);
CREATE INDEX notification_by_actor ON notification (organization_id, actor_user_id);
CALL tenant_table('notification');

-- What a person chose to be told of, and what a role says for those who did not choose. No row: the server's own.
CREATE TABLE notification_preference (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  user_id         uuid,
  role_id         uuid,
  kind            text NOT NULL,
  channels        text[] NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT notification_preference_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT notification_preference_role FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT notification_preference_of_one CHECK ((user_id IS NULL) <> (role_id IS NULL))
);
CREATE UNIQUE INDEX notification_preference_of_user ON notification_preference (organization_id, user_id, kind) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX notification_preference_of_role ON notification_preference (organization_id, role_id, kind) WHERE role_id IS NOT NULL;
CALL tenant_table('notification_preference');

-- R130: how the voicemails of a number may be told of; no row: every way.
CREATE TABLE voicemail_notification (
  organization_id uuid NOT NULL,
  phone_number_id uuid NOT NULL,
  channels        text[] NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, phone_number_id),
  CONSTRAINT voicemail_notification_number FOREIGN KEY (organization_id, phone_number_id) REFERENCES phone_number (organization_id, id) ON DELETE CASCADE
);
CALL tenant_table('voicemail_notification');

-- A browser that notifies a person. Its address and keys are sealed: who has them can write to the browser.
CREATE TABLE push_subscription (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  user_id         uuid NOT NULL,
  -- It ends with the session that made it.
  session_id      uuid,
  host            text NOT NULL,
  name            text NOT NULL DEFAULT '',
  endpoint_hash   bytea NOT NULL,
  sealed          bytea NOT NULL,
  last_sent_at    timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT push_subscription_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT push_subscription_session FOREIGN KEY (organization_id, session_id) REFERENCES session (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT push_subscription_endpoint UNIQUE (organization_id, endpoint_hash)
);
CREATE INDEX push_subscription_by_user ON push_subscription (organization_id, user_id, created_at DESC, id DESC);
CREATE INDEX push_subscription_by_session ON push_subscription (organization_id, session_id);
CALL tenant_table('push_subscription');

-- A notification on one way to one target: a browser, a phone, or the person's address.
CREATE TABLE notification_sending (
  organization_id uuid NOT NULL,
  id              uuid NOT NULL,
  notification_id uuid NOT NULL,
  channel         text NOT NULL,
  target          uuid NOT NULL,
  status          text NOT NULL DEFAULT 'PENDING',
  attempts        int NOT NULL DEFAULT 0,
  -- When it is sent; while it is being sent, when it is given up for lost and sent again.
  due_at          timestamptz,
  finished_at     timestamptz,
  reason          text,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT notification_sending_of FOREIGN KEY (organization_id, notification_id) REFERENCES notification (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT notification_sending_once UNIQUE (organization_id, notification_id, channel, target),
  CONSTRAINT notification_sending_status_known CHECK (status IN ('PENDING', 'SENT', 'SKIPPED', 'FAILED')),
  CONSTRAINT notification_sending_due CHECK ((status = 'PENDING') = (due_at IS NOT NULL))
);
CREATE INDEX notification_sending_due ON notification_sending (due_at) WHERE due_at IS NOT NULL;
CALL tenant_table('notification_sending');

-- The key that web push is signed with, of the whole installation: browsers subscribe with its public half.
CREATE TABLE system.web_push_key (
  one        boolean PRIMARY KEY DEFAULT true,
  sealed     bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT web_push_key_one CHECK (one)
);
