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
