-- The database's mark, whoever asks: on a managed server the functions' users may not read the server's identity, and perhaps nobody may. What is
-- hidden from the owner of the schema too is told as such, and such a mark tells fewer restores apart.
CREATE OR REPLACE FUNCTION database_mark() RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    server   text;
    timeline text;
BEGIN
    BEGIN
        SELECT system_identifier::text INTO server FROM pg_control_system();
    EXCEPTION WHEN insufficient_privilege THEN
        server := 'hidden';
    END;
    BEGIN
        timeline := substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);
    EXCEPTION WHEN insufficient_privilege THEN
        timeline := 'hidden';
    END;
    RETURN server || '/' || timeline || '/' || (SELECT oid FROM pg_database WHERE datname = current_database());
END
$$;

-- Executions of ours from after the point to which this database was restored, whose work belongs to nothing in it. They are left alone, and known.
CREATE TABLE left_alone (
    cloud_run_execution_name text PRIMARY KEY,
    execution_id             uuid NOT NULL,
    run                      text NOT NULL, -- WORKFLOW.NUMBER, as its environment tells it
    why                      text NOT NULL,
    found_at                 timestamptz NOT NULL
);

-- Who called the last tick, as far as it is known.
ALTER TABLE installation ADD COLUMN last_tick_by text NOT NULL DEFAULT '';
