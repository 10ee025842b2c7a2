-- When Cloud Run last took a launch in a location. What is planned there waits its turn for a long time only while others are launched.
ALTER TABLE quotas ADD COLUMN launched_at timestamptz;
COMMENT ON COLUMN quotas.launched_at IS 'the last launch there that was answered with a name; a minute late at most';
