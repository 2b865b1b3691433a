-- The second layer of permissions: options that narrow what a fieldworker's role allows (R233, R248).

ALTER TABLE "user" ADD COLUMN fieldworker_switched text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN "user".fieldworker_switched IS 'The options that stand otherwise than by default; the table of them is in package access.';

-- R242 is one option among the others.
UPDATE "user" SET fieldworker_switched = '{RESTRICT_BEFORE_START}' WHERE restrict_before_start;
ALTER TABLE "user" DROP COLUMN restrict_before_start;
