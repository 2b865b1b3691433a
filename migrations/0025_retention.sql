-- A branch's deletion rule protects what is the branch's: it does not go with the branch, because the general rule would
-- then delete what nobody has seen in a preview (R231).
ALTER TABLE retention_rule
  DROP CONSTRAINT retention_rule_branch,
  ADD CONSTRAINT retention_rule_branch FOREIGN KEY (organization_id, branch_id) REFERENCES branch (organization_id, id);
