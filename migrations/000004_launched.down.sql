ALTER TABLE quotas DROP COLUMN launched_at;
