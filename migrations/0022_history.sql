-- What one search over everything reads. As with messages, words are looked up in a function of the owner: under row-level
-- security the planner may not use their index. Each function gives the newest first, from a place on.

CREATE INDEX contact_words ON contact USING gin (organization_id, to_tsvector('simple', name || ' ' || coalesce(company, '') || ' ' ||
  coalesce(email, '') || ' ' || coalesce(external_id, '') || ' ' || coalesce(service, '') || ' ' || coalesce(location, '')));
CREATE FUNCTION contact_search(words text, before timestamptz, before_id uuid, upto int) RETURNS TABLE (id uuid, at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT c.id, c.created_at FROM public.contact c
  WHERE c.organization_id = public.app_organization()
    AND to_tsvector('simple', c.name || ' ' || coalesce(c.company, '') || ' ' || coalesce(c.email, '') || ' ' || coalesce(c.external_id, '') || ' ' ||
      coalesce(c.service, '') || ' ' || coalesce(c.location, '')) @@ to_tsquery('simple', words)
    AND (c.created_at, c.id) < (before, before_id)
  ORDER BY c.created_at DESC, c.id DESC
  LIMIT upto
$f$;

CREATE INDEX record_words ON record USING gin (organization_id, to_tsvector('simple', title || ' ' || coalesce(external_id, '') || ' ' ||
  coalesce(service, '') || ' ' || coalesce(location, '') || ' ' || data::text));
CREATE FUNCTION record_search(words text, before timestamptz, before_id uuid, upto int) RETURNS TABLE (id uuid, at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT r.id, r.created_at FROM public.record r
  WHERE r.organization_id = public.app_organization()
    AND to_tsvector('simple', r.title || ' ' || coalesce(r.external_id, '') || ' ' || coalesce(r.service, '') || ' ' || coalesce(r.location, '') || ' ' ||
      r.data::text) @@ to_tsquery('simple', words)
    AND (r.created_at, r.id) < (before, before_id)
  ORDER BY r.created_at DESC, r.id DESC
  LIMIT upto
$f$;

-- Few calls have words; all have an outside number.
CREATE INDEX call_words ON call USING gin (organization_id, to_tsvector('simple', coalesce(outcome, '') || ' ' || coalesce(notes, '')))
  WHERE outcome IS NOT NULL OR notes IS NOT NULL;
CREATE FUNCTION call_search(words text, before timestamptz, before_id uuid, upto int) RETURNS TABLE (id uuid, at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $f$
  SELECT c.id, c.started_at FROM public.call c
  WHERE c.organization_id = public.app_organization() AND (c.outcome IS NOT NULL OR c.notes IS NOT NULL)
    AND to_tsvector('simple', coalesce(c.outcome, '') || ' ' || coalesce(c.notes, '')) @@ to_tsquery('simple', words)
    AND (c.started_at, c.id) < (before, before_id)
  ORDER BY c.started_at DESC, c.id DESC
  LIMIT upto
$f$;
CREATE INDEX call_by_outside ON call (organization_id, (CASE WHEN direction = 'INBOUND' THEN from_number ELSE to_number END), started_at DESC, id DESC);
CREATE INDEX recording_by_call_start ON recording (organization_id, call_id, started_at);
