-- Legal holds: what nobody may delete, neither a rule nor a person, until the hold is released.

CREATE TABLE legal_hold (
  organization_id uuid NOT NULL REFERENCES organization (organization_id),
  id              uuid NOT NULL,
  -- A call, recording, voicemail, transcript, thread, message, contact or record; its id says which.
  subject         uuid NOT NULL,
  reason          text NOT NULL,
  placed_by       uuid,
  placed_at       timestamptz NOT NULL,
  released_by     uuid,
  released_at     timestamptz,
  release_reason  text,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id),
  CONSTRAINT legal_hold_placer FOREIGN KEY (organization_id, placed_by) REFERENCES "user" (organization_id, id),
  CONSTRAINT legal_hold_releaser FOREIGN KEY (organization_id, released_by) REFERENCES "user" (organization_id, id)
);
CREATE UNIQUE INDEX legal_hold_once ON legal_hold (organization_id, subject) WHERE released_at IS NULL;
CREATE INDEX legal_hold_newest ON legal_hold (organization_id, placed_at DESC, id DESC);
CREATE INDEX legal_hold_by_placer ON legal_hold (organization_id, placed_by);
CREATE INDEX legal_hold_by_releaser ON legal_hold (organization_id, released_by);
CALL tenant_table('legal_hold');

-- Whether any of the subjects is held: what is asked is a thing and all that it belongs to, such as a recording, its
-- call, and that call's contact and record. Whatever deletes asks this in the statement that deletes.
CREATE FUNCTION is_held(org uuid, VARIADIC subjects uuid[]) RETURNS boolean
LANGUAGE sql STABLE AS $f$
  SELECT EXISTS (SELECT FROM legal_hold h WHERE h.organization_id = org AND h.subject = ANY (subjects) AND h.released_at IS NULL)
$f$;
