COMMENT ON COLUMN executions.not_found_at IS NULL;
ALTER TABLE executions DROP COLUMN undecided_since;
