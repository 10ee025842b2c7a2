-- Since when looks at an execution settle nothing. What nobody can tell for a day ends; a day in which nobody looked must not count.
ALTER TABLE executions ADD COLUMN undecided_since timestamptz;
COMMENT ON COLUMN executions.not_found_at IS 'the first look that found nothing; of a launching row: that did not find its job';
