-- Deletion rules and what they did.

-- R223, R224, D12: one rule for each kind of thing, and one for each branch that wants another period.
CREATE TABLE retention_rule (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  kind            text NOT NULL,
  -- NULL: everything of branches without a rule of their own. A branch's rule that is off keeps the branch's things.
  branch_id       uuid,
  keep_days       int NOT NULL,
  is_on           boolean NOT NULL DEFAULT false,
  -- NULL while it is off.
  next_run_at     timestamptz,
  version         bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT retention_rule_branch FOREIGN KEY (organization_id, branch_id) REFERENCES branch (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT retention_rule_once UNIQUE NULLS NOT DISTINCT (organization_id, kind, branch_id),
  CONSTRAINT retention_rule_kind_known CHECK (kind IN ('RECORDINGS', 'VOICEMAILS', 'TRANSCRIPTS', 'MESSAGE_MEDIA', 'MESSAGE_BODIES')),
  CONSTRAINT retention_rule_days CHECK (keep_days BETWEEN 1 AND 3650),
  CONSTRAINT retention_rule_runs CHECK (is_on = (next_run_at IS NOT NULL))
);
CREATE INDEX retention_rule_by_branch ON retention_rule (organization_id, branch_id);
CREATE INDEX retention_rule_due ON retention_rule (next_run_at) WHERE next_run_at IS NOT NULL;
CALL tenant_table('retention_rule');

CREATE TABLE retention_run (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  rule_id         uuid,
  kind            text NOT NULL,
  branch_id       uuid,
  -- What is older than this goes: fixed when the run begins.
  before          timestamptz NOT NULL,
  status          text NOT NULL DEFAULT 'RUNNING',
  found_count     int NOT NULL,
  deleted_count   int NOT NULL DEFAULT 0,
  held_count      int NOT NULL DEFAULT 0,
  bytes           bigint NOT NULL DEFAULT 0,
  -- How far it is: written in the transaction of each batch.
  after_at        timestamptz NOT NULL DEFAULT '-infinity',
  after_id        uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  -- When somebody must take it up: moved ahead with each batch, so that a run whose process died goes on; NULL when it is over.
  due_at          timestamptz,
  started_by      uuid,
  started_at      timestamptz NOT NULL,
  ended_at        timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT retention_run_rule FOREIGN KEY (organization_id, rule_id) REFERENCES retention_rule (organization_id, id) ON DELETE SET NULL (rule_id),
  CONSTRAINT retention_run_starter FOREIGN KEY (organization_id, started_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT retention_run_status_known CHECK (status IN ('RUNNING', 'COMPLETED', 'CANCELED')),
  CONSTRAINT retention_run_ends CHECK ((ended_at IS NULL) = (status = 'RUNNING'))
);
CREATE INDEX retention_run_due ON retention_run (due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX retention_run_one ON retention_run (organization_id, rule_id) WHERE status = 'RUNNING';
CREATE INDEX retention_run_newest ON retention_run (organization_id, started_at DESC, id DESC);
CREATE INDEX retention_run_by_rule ON retention_run (organization_id, rule_id, started_at DESC, id DESC);
CREATE INDEX retention_run_by_starter ON retention_run (organization_id, started_by);
CALL tenant_table('retention_run');

-- A message whose text was deleted says so and stays in the log (R225).
ALTER TABLE message ADD COLUMN body_deleted_at timestamptz;
ALTER TABLE message_media
  DROP CONSTRAINT media_state_known,
  ADD CONSTRAINT media_state_known CHECK (state IN ('PENDING', 'STORED', 'FAILED', 'REFUSED', 'DELETED')),
  ADD COLUMN deleted_at timestamptz;
