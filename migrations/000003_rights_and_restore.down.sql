DROP TABLE left_alone;
ALTER TABLE installation DROP COLUMN last_tick_by;
CREATE OR REPLACE FUNCTION database_mark() RETURNS text
    LANGUAGE sql STABLE SECURITY INVOKER
    SET search_path = public, pg_temp
AS $$
    SELECT system_identifier || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '/'
           || (SELECT oid FROM pg_database WHERE datname = current_database())
    FROM pg_control_system()
$$;
