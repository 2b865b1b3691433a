-- R103: what a masked call hides is known by its pair, so a pair outlives its booking and its customer: it ends with them.
ALTER TABLE masked_pair
  ALTER COLUMN record_id DROP NOT NULL,
  ALTER COLUMN contact_id DROP NOT NULL,
  DROP CONSTRAINT masked_pair_record,
  DROP CONSTRAINT masked_pair_contact,
  ADD CONSTRAINT masked_pair_record FOREIGN KEY (organization_id, record_id) REFERENCES record (organization_id, id) ON DELETE SET NULL (record_id),
  ADD CONSTRAINT masked_pair_contact FOREIGN KEY (organization_id, contact_id) REFERENCES contact (organization_id, id) ON DELETE SET NULL (contact_id),
  -- Whoever deletes a booking or a customer ends the pair first.
  ADD CONSTRAINT masked_pair_live_has_both CHECK (ended_at IS NOT NULL OR record_id IS NOT NULL AND contact_id IS NOT NULL);

-- R178: tags are found by a search, too. For PostgreSQL array_to_string is only stable, as elements of other types could be.
CREATE FUNCTION tag_words(tags text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $f$
  SELECT array_to_string(tags, ' ')
$f$;
DROP INDEX contact_words;
CREATE INDEX contact_words ON contact USING gin (organization_id, to_tsvector('simple', name || ' ' || coalesce(company, '') || ' ' ||
  coalesce(email, '') || ' ' || coalesce(external_id, '') || ' ' || coalesce(service, '') || ' ' || coalesce(location, '') || ' ' || tag_words(tags)));
CREATE OR REPLACE FUNCTION contact_search(words text, before timestamptz, before_id uuid, upto int) RETURNS TABLE (id uuid, at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT c.id, c.created_at FROM public.contact c
  WHERE c.organization_id = public.app_organization()
    AND to_tsvector('simple', c.name || ' ' || coalesce(c.company, '') || ' ' || coalesce(c.email, '') || ' ' || coalesce(c.external_id, '') || ' ' ||
      coalesce(c.service, '') || ' ' || coalesce(c.location, '') || ' ' || public.tag_words(c.tags)) @@ to_tsquery('simple', words)
    AND (c.created_at, c.id) < (before, before_id)
  ORDER BY c.created_at DESC, c.id DESC
  LIMIT upto
$f$;
