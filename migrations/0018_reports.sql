-- Sums of calls for reports, what calls cost, and caps of costs.

-- The second in which a ring ended, coarser past a minute: the histogram of waiting.
CREATE FUNCTION call_wait(seconds int) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $f$
  SELECT (CASE WHEN seconds < 0 THEN 0 WHEN seconds <= 60 THEN seconds WHEN seconds <= 75 THEN 75 WHEN seconds <= 90 THEN 90
    WHEN seconds <= 120 THEN 120 WHEN seconds <= 180 THEN 180 WHEN seconds <= 300 THEN 300 WHEN seconds <= 600 THEN 600 ELSE 601 END)::smallint
$f$;

-- What became of a caller who was kept waiting: answered, gave up, or sent elsewhere. NULL for calls that nobody waited on.
CREATE FUNCTION call_waited(direction text, status text, end_reason text, answered_at timestamptz, ring_seconds int) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $f$
  SELECT CASE WHEN direction <> 'INBOUND' OR ring_seconds IS NULL THEN NULL
    WHEN status <> 'VOICEMAIL' AND answered_at IS NOT NULL THEN 'ANSWERED'
    WHEN status = 'MISSED' AND end_reason = 'CALLER_HUNG_UP' THEN 'GAVE_UP'
    WHEN status IN ('MISSED', 'VOICEMAIL') THEN 'OTHER' END
$f$;

-- What calls that ended add to the sums, or take away again. Only appended to, so that no call waits for another;
-- a sweep folds it into call_rollup.
CREATE TABLE call_rollup_delta (
  organization_id     uuid NOT NULL REFERENCES organization (organization_id),
  id                  bigint GENERATED ALWAYS AS IDENTITY,
  at                  timestamptz NOT NULL,
  direction           text NOT NULL,
  status              text NOT NULL,
  phone_number_id     uuid,
  branch_id           uuid,
  business_unit       text,
  user_id             uuid,
  answered_by_user_id uuid,
  -- How a caller's waiting ended, and in which second.
  waited              text,
  wait                smallint,
  wait_seconds        int,
  -- 1, or -1 for what a call was before it was corrected.
  n                   int NOT NULL,
  answered            int NOT NULL,
  -- Of the answered: those whose ring time is known, and its seconds.
  picked              int NOT NULL,
  pick                int NOT NULL,
  talked              int NOT NULL,
  talk                int NOT NULL,
  rang                int NOT NULL,
  ring                int NOT NULL,
  lasted              int NOT NULL,
  duration            int NOT NULL,
  created_at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id)
);
CREATE INDEX call_rollup_delta_by_day ON call_rollup_delta (organization_id, at);
CALL tenant_table('call_rollup_delta');

-- The sums, by the organization's clock. Each facet is all calls, put together by other things:
-- HOUR by hour, PLACE by number and branch, PERSON by who had it, WAIT by how long callers waited, and mixtures.
CREATE TABLE call_rollup (
  organization_id     uuid NOT NULL REFERENCES organization (organization_id),
  facet               text NOT NULL,
  day                 date NOT NULL,
  -- What a facet does not tell apart, or what there is none of, is -1, empty or all zeros: the key has no NULL.
  hour                smallint NOT NULL,
  direction           text NOT NULL,
  status              text NOT NULL,
  phone_number_id     uuid NOT NULL,
  branch_id           uuid NOT NULL,
  business_unit       text NOT NULL,
  user_id             uuid NOT NULL,
  answered_by_user_id uuid NOT NULL,
  waited              text NOT NULL,
  wait                smallint NOT NULL,
  n                   int NOT NULL,
  answered            int NOT NULL,
  picked              int NOT NULL,
  pick                bigint NOT NULL,
  talked              int NOT NULL,
  talk                bigint NOT NULL,
  rang                int NOT NULL,
  ring                bigint NOT NULL,
  lasted              int NOT NULL,
  duration            bigint NOT NULL,
  wait_seconds        bigint NOT NULL,
  created_at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, facet, day, hour, direction, status, phone_number_id, branch_id, business_unit, user_id, answered_by_user_id, waited, wait),
  CONSTRAINT call_rollup_facet_known CHECK (facet IN ('HOUR', 'PLACE', 'PERSON', 'PLACE_PERSON', 'PLACE_HOUR', 'PERSON_HOUR', 'WAIT', 'PLACE_WAIT', 'PERSON_WAIT'))
);
CREATE INDEX call_rollup_by_branch ON call_rollup (organization_id, facet, branch_id, day) WHERE facet IN ('PLACE', 'PLACE_PERSON', 'PLACE_HOUR', 'PLACE_WAIT');
CREATE INDEX call_rollup_by_number ON call_rollup (organization_id, facet, phone_number_id, day) WHERE facet IN ('PLACE', 'PLACE_PERSON', 'PLACE_HOUR', 'PLACE_WAIT');
CREATE INDEX call_rollup_by_user ON call_rollup (organization_id, facet, user_id, day) WHERE facet IN ('PERSON', 'PLACE_PERSON', 'PERSON_HOUR', 'PERSON_WAIT');
CREATE INDEX call_rollup_by_answerer ON call_rollup (organization_id, facet, answered_by_user_id, day) WHERE facet IN ('PERSON', 'PLACE_PERSON', 'PERSON_HOUR', 'PERSON_WAIT');
CALL tenant_table('call_rollup');

-- In which zone the days of the sums are; another one than the organization's means: to be made anew.
CREATE TABLE call_rollup_state (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  time_zone       text NOT NULL,
  rebuilt_at      timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id)
);
CALL tenant_table('call_rollup_state');

CREATE FUNCTION call_rollup_changed() RETURNS trigger LANGUAGE plpgsql AS $f$
DECLARE
  c    call;
  sign int;
BEGIN
  FOR sign IN SELECT unnest(CASE TG_OP WHEN 'INSERT' THEN ARRAY[1] WHEN 'DELETE' THEN ARRAY[-1] ELSE ARRAY[-1, 1] END) LOOP
    IF sign < 0 THEN c := OLD; ELSE c := NEW; END IF;
    CONTINUE WHEN c.ended_at IS NULL OR NOT c.is_logged OR c.is_test;
    INSERT INTO call_rollup_delta (organization_id, at, direction, status, phone_number_id, branch_id, business_unit, user_id, answered_by_user_id,
      waited, wait, wait_seconds, n, answered, picked, pick, talked, talk, rang, ring, lasted, duration)
    SELECT p.organization_id, p.at, p.direction, p.status, p.phone_number_id, p.branch_id, p.business_unit, p.user_id, p.answered_by_user_id,
      p.waited, p.wait, sign * p.wait_seconds, sign, sign * p.answered, sign * p.picked, sign * p.pick, sign * p.talked, sign * p.talk, sign * p.rang, sign * p.ring, sign * p.lasted, sign * p.duration
    FROM call_rollup_part(c) p;
  END LOOP;
  RETURN NULL;
END
$f$;

-- What one call adds. Whatever counts calls counts them by this.
CREATE FUNCTION call_rollup_part(c call) RETURNS TABLE (organization_id uuid, at timestamptz, direction text, status text, phone_number_id uuid, branch_id uuid,
  business_unit text, user_id uuid, answered_by_user_id uuid, waited text, wait smallint, wait_seconds int,
  answered int, picked int, pick int, talked int, talk int, rang int, ring int, lasted int, duration int) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $f$
  SELECT c.organization_id, c.started_at, c.direction, c.status, c.phone_number_id, c.branch_id, c.business_unit, c.user_id, c.answered_by_user_id,
    w.waited, CASE WHEN w.waited IS NOT NULL THEN call_wait(c.ring_seconds) END, CASE WHEN w.waited IS NOT NULL THEN c.ring_seconds END,
    a.answered::int, (a.answered AND c.ring_seconds IS NOT NULL)::int, CASE WHEN a.answered THEN coalesce(c.ring_seconds, 0) ELSE 0 END,
    (a.answered AND c.talk_seconds IS NOT NULL)::int, CASE WHEN a.answered THEN coalesce(c.talk_seconds, 0) ELSE 0 END,
    (c.ring_seconds IS NOT NULL)::int, coalesce(c.ring_seconds, 0), (c.duration_seconds IS NOT NULL)::int, coalesce(c.duration_seconds, 0)
  FROM (SELECT c.answered_at IS NOT NULL AND c.status <> 'VOICEMAIL' AS answered) a,
    (SELECT call_waited(c.direction, c.status, c.end_reason, c.answered_at, c.ring_seconds) AS waited) w
$f$;

CREATE TRIGGER call_rollup_added AFTER INSERT ON call FOR EACH ROW WHEN (NEW.ended_at IS NOT NULL) EXECUTE FUNCTION call_rollup_changed();
CREATE TRIGGER call_rollup_removed AFTER DELETE ON call FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION call_rollup_changed();
CREATE TRIGGER call_rollup_corrected AFTER UPDATE ON call FOR EACH ROW WHEN ((OLD.ended_at IS NOT NULL OR NEW.ended_at IS NOT NULL)
  AND (OLD.ended_at IS NULL, OLD.is_logged, OLD.is_test, OLD.started_at, OLD.direction, OLD.status, OLD.end_reason, OLD.phone_number_id, OLD.branch_id,
    OLD.business_unit, OLD.user_id, OLD.answered_by_user_id, OLD.answered_at, OLD.ring_seconds, OLD.talk_seconds, OLD.duration_seconds)
  IS DISTINCT FROM (NEW.ended_at IS NULL, NEW.is_logged, NEW.is_test, NEW.started_at, NEW.direction, NEW.status, NEW.end_reason, NEW.phone_number_id, NEW.branch_id,
    NEW.business_unit, NEW.user_id, NEW.answered_by_user_id, NEW.answered_at, NEW.ring_seconds, NEW.talk_seconds, NEW.duration_seconds))
  EXECUTE FUNCTION call_rollup_changed();

-- The calls that were there before.
INSERT INTO call_rollup_delta (organization_id, at, direction, status, phone_number_id, branch_id, business_unit, user_id, answered_by_user_id,
  waited, wait, wait_seconds, n, answered, picked, pick, talked, talk, rang, ring, lasted, duration)
SELECT p.organization_id, p.at, p.direction, p.status, p.phone_number_id, p.branch_id, p.business_unit, p.user_id, p.answered_by_user_id,
  p.waited, p.wait, p.wait_seconds, 1, p.answered, p.picked, p.pick, p.talked, p.talk, p.rang, p.ring, p.lasted, p.duration
FROM call c, call_rollup_part(c) p WHERE c.ended_at IS NOT NULL AND c.is_logged AND NOT c.is_test;

-- R102: what a leg costs, in millionths. Twilio charges for each begun minute and says so some time after the leg has
-- ended; until then the estimate stands, by what a minute cost last, else by the list.
ALTER TABLE call_leg
  ADD COLUMN billed_minutes    int,
  ADD COLUMN estimated_micros  bigint,
  ADD COLUMN estimated_currency text,
  ADD COLUMN price_micros      bigint,
  ADD COLUMN price_currency    text,
  ADD COLUMN price_asked_at    timestamptz,
  ADD COLUMN price_asks        int NOT NULL DEFAULT 0,
  ADD CONSTRAINT leg_price_currency CHECK ((price_micros IS NULL) = (price_currency IS NULL)),
  ADD CONSTRAINT leg_estimate_currency CHECK ((estimated_micros IS NULL) = (estimated_currency IS NULL));
CREATE INDEX leg_unestimated ON call_leg (ended_at) WHERE billed_minutes IS NULL AND twilio_sid IS NOT NULL AND ended_at IS NOT NULL;
CREATE INDEX leg_unpriced ON call_leg (ended_at) WHERE price_micros IS NULL AND billed_minutes > 0 AND price_asks < 8;

-- What a minute to a country cost last, learned from Twilio.
CREATE TABLE call_rate (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  country         text NOT NULL,
  kind            text NOT NULL,
  micros          bigint NOT NULL,
  currency        text NOT NULL,
  seen_at         timestamptz NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, country, kind),
  CONSTRAINT call_rate_kind_known CHECK (kind IN ('INBOUND', 'OUTBOUND', 'CLIENT', 'SIP'))
);
CALL tenant_table('call_rate');

-- R102: caps of costs.
CREATE TABLE cost_cap (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  scope           text NOT NULL,
  branch_id       uuid,
  automation_id   uuid,
  user_id         uuid,
  period          text NOT NULL,
  -- In the smallest unit of the currency.
  amount_minor    bigint NOT NULL,
  currency        text NOT NULL,
  action          text NOT NULL,
  -- What the period that began then has cost, in millionths, as it was last counted.
  period_start    timestamptz,
  spent_micros    bigint NOT NULL DEFAULT 0,
  counted_at      timestamptz,
  -- When it was reached, and in which period that was told.
  reached_at      timestamptz,
  told_period     timestamptz,
  created_by      uuid,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (organization_id, id),
  CONSTRAINT cost_cap_branch FOREIGN KEY (organization_id, branch_id) REFERENCES branch (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT cost_cap_automation FOREIGN KEY (organization_id, automation_id) REFERENCES automation (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT cost_cap_user FOREIGN KEY (organization_id, user_id) REFERENCES "user" (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT cost_cap_scope_known CHECK (scope IN ('ORGANIZATION', 'BRANCH', 'AUTOMATION', 'USER')),
  CONSTRAINT cost_cap_subject CHECK ((scope = 'BRANCH') = (branch_id IS NOT NULL) AND (scope = 'AUTOMATION') = (automation_id IS NOT NULL) AND (scope = 'USER') = (user_id IS NOT NULL)),
  CONSTRAINT cost_cap_period_known CHECK (period IN ('DAY', 'MONTH')),
  CONSTRAINT cost_cap_action_known CHECK (action IN ('WARN', 'BLOCK')),
  CONSTRAINT cost_cap_amount CHECK (amount_minor > 0),
  CONSTRAINT cost_cap_once UNIQUE NULLS NOT DISTINCT (organization_id, scope, branch_id, automation_id, user_id, period, currency)
);
CREATE INDEX cost_cap_by_branch ON cost_cap (organization_id, branch_id);
CREATE INDEX cost_cap_by_automation ON cost_cap (organization_id, automation_id);
CREATE INDEX cost_cap_by_user ON cost_cap (organization_id, user_id);
CALL tenant_table('cost_cap');
-- What is spent in a period is added up from these.
CREATE INDEX leg_by_end ON call_leg (organization_id, ended_at) WHERE ended_at IS NOT NULL AND twilio_sid IS NOT NULL;
