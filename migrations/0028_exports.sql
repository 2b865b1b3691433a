-- What the maker of an export sees narrows later on: the file is theirs only while they see all that was written into it.
ALTER TABLE export ADD COLUMN sight jsonb;
COMMENT ON COLUMN export.sight IS 'Visibility, branches and options of the maker while the file was written; NULL before its first page.';
