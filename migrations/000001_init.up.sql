-- The whole schema of the first release. Statuses are text with CHECKs; ids are UUID v7 made by the application.
-- Lock order: workflows, runs, executions, tasks, steps, step_blocks, step_reasons, each by primary key.

-- One database is one installation, and has one mode for good.
CREATE TABLE installation (
    singleton             boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id                    uuid NOT NULL,
    mode                  text NOT NULL CHECK (mode IN ('live', 'emulator', 'mock')),
    created_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    paused_at             timestamptz,
    oldest_release        integer NOT NULL,          -- the oldest release that may use this schema
    database_mark         text NOT NULL,             -- system identifier, timeline and oid: what a restore changes
    launch_blocked_reason text NOT NULL DEFAULT '',  -- nothing is launched while it is set
    last_tick_at          timestamptz,
    clock_offset          interval NOT NULL DEFAULT '0' -- only tests set it
);

-- clock is the time by which claims expire and rows become due. VOLATILE: it moves within a transaction.
CREATE FUNCTION clock() RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = public, pg_temp
AS $$
BEGIN
    RETURN clock_timestamp() + coalesce((SELECT clock_offset FROM installation), interval '0');
END
$$;

-- database_mark is what a restore, a copy or a failover changes: the server's identity, its timeline and the database's own number.
-- The timeline is that of the log being written now; the control file shows the old one until the first checkpoint after a promotion.
CREATE FUNCTION database_mark() RETURNS text
    LANGUAGE sql STABLE
    SET search_path = public, pg_temp
AS $$
    SELECT system_identifier || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '/'
           || (SELECT oid FROM pg_database WHERE datname = current_database())
    FROM pg_control_system()
$$;

CREATE TABLE workflows (
    id              uuid PRIMARY KEY,
    name            text NOT NULL UNIQUE,
    description     text NOT NULL,
    version         integer NOT NULL CHECK (version >= 1),
    last_run_number bigint NOT NULL DEFAULT 0,
    paused_at       timestamptz,
    archived_at     timestamptz,
    next_run_at     timestamptz,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);

CREATE TABLE workflow_versions (
    workflow_id uuid NOT NULL REFERENCES workflows (id),
    version     integer NOT NULL CHECK (version >= 1),
    spec        jsonb NOT NULL,
    digest      bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    PRIMARY KEY (workflow_id, version)
);

CREATE TABLE runs (
    id                uuid PRIMARY KEY,
    workflow_id       uuid NOT NULL REFERENCES workflows (id),
    number            bigint NOT NULL CHECK (number >= 1),
    version           integer NOT NULL,
    status            text NOT NULL CHECK (status IN ('pending', 'running', 'success', 'failed', 'cancelled')),
    mode              text NOT NULL CHECK (mode IN ('live', 'emulator', 'mock')),
    params            jsonb NOT NULL DEFAULT '{}',
    origin            text NOT NULL CHECK (origin IN ('trigger', 'schedule', 'retry')),
    scheduled_at      timestamptz NOT NULL,
    retry_of          uuid,
    created_by        text NOT NULL,
    max_executions    integer CHECK (max_executions >= 1),
    deadline_at       timestamptz,
    stop_requested_at timestamptz,
    stop_as           text CHECK (stop_as IN ('failed', 'cancelled')),
    stop_scope        text CHECK (stop_scope IN ('unsent', 'all')),
    stop_reason       text NOT NULL DEFAULT '',
    paused_at         timestamptz,
    reason            text NOT NULL DEFAULT '',
    created_at        timestamptz NOT NULL,
    started_at        timestamptz,
    finished_at       timestamptz,
    UNIQUE (workflow_id, number),
    FOREIGN KEY (workflow_id, version) REFERENCES workflow_versions (workflow_id, version),
    CHECK ((status IN ('success', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK ((stop_requested_at IS NULL) = (stop_as IS NULL) AND (stop_as IS NULL) = (stop_scope IS NULL))
);
CREATE INDEX runs_newest ON runs (created_at DESC, id DESC);
CREATE INDEX runs_status_newest ON runs (status, created_at DESC, id DESC);
CREATE INDEX runs_unfinished ON runs (id) WHERE finished_at IS NULL;

CREATE TABLE idempotency_keys (
    workflow_id uuid NOT NULL REFERENCES workflows (id),
    key         text NOT NULL,
    digest      bytea NOT NULL, -- SHA-256 of the request's body
    run_id      uuid NOT NULL,  -- kept apart from the run, which may be gone before
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (workflow_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE steps (
    run_id            uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step_no           integer NOT NULL CHECK (step_no >= 0),
    name              text NOT NULL,
    status            text NOT NULL CHECK (status IN ('pending', 'ready', 'running', 'success', 'failed', 'cancelled', 'skipped')),
    needs             integer[] NOT NULL DEFAULT '{}', -- step_no of this run
    job               text NOT NULL,                   -- full name
    task_count        integer CHECK (task_count >= 0), -- NULL until it is known
    tolerated         integer NOT NULL DEFAULT 0 CHECK (tolerated >= 0),
    max_executions    integer CHECK (max_executions >= 1),
    carried_over      integer NOT NULL DEFAULT 0,      -- tasks taken over from the run that this one retries
    expanded          integer NOT NULL DEFAULT 0,      -- tasks that exist as rows
    executions        integer NOT NULL DEFAULT 0,      -- rows of the ledger
    retries           integer NOT NULL DEFAULT 0,      -- attempts after the first
    pending           integer NOT NULL DEFAULT 0 CHECK (pending >= 0),
    dispatched        integer NOT NULL DEFAULT 0 CHECK (dispatched >= 0),
    running           integer NOT NULL DEFAULT 0 CHECK (running >= 0),
    success           integer NOT NULL DEFAULT 0 CHECK (success >= 0),
    failed            integer NOT NULL DEFAULT 0 CHECK (failed >= 0),
    cancelled         integer NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    skipped           integer NOT NULL DEFAULT 0 CHECK (skipped >= 0),
    stop_requested_at timestamptz,
    stop_as           text CHECK (stop_as IN ('failed', 'cancelled')),
    stop_scope        text CHECK (stop_scope IN ('unsent', 'all')),
    stop_reason       text NOT NULL DEFAULT '',
    stopped           boolean NOT NULL DEFAULT false,  -- its stop is what ended it
    deadline_at       timestamptz,
    reason            text NOT NULL DEFAULT '',
    ready_at          timestamptz,
    started_at        timestamptz,
    finished_at       timestamptz,
    PRIMARY KEY (run_id, step_no),
    UNIQUE (run_id, name),
    CHECK (expanded <= task_count),
    CHECK ((status IN ('success', 'failed', 'cancelled', 'skipped')) = (finished_at IS NOT NULL)),
    CHECK (finished_at IS NULL OR pending + dispatched + running = 0),
    CHECK ((stop_requested_at IS NULL) = (stop_as IS NULL) AND (stop_as IS NULL) = (stop_scope IS NULL))
) WITH (fillfactor = 50);
CREATE INDEX steps_unfinished ON steps (run_id, step_no) WHERE finished_at IS NULL;
CREATE INDEX steps_stopping ON steps (run_id, step_no) WHERE finished_at IS NULL AND stop_requested_at IS NOT NULL;

-- The heat strip: tasks in 400 blocks of indexes, or one block a task where there are fewer.
CREATE TABLE step_blocks (
    run_id     uuid NOT NULL,
    step_no    integer NOT NULL,
    block      integer NOT NULL CHECK (block BETWEEN 0 AND 399),
    pending    integer NOT NULL DEFAULT 0,
    dispatched integer NOT NULL DEFAULT 0,
    running    integer NOT NULL DEFAULT 0,
    success    integer NOT NULL DEFAULT 0,
    failed     integer NOT NULL DEFAULT 0,
    cancelled  integer NOT NULL DEFAULT 0,
    skipped    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, step_no, block),
    FOREIGN KEY (run_id, step_no) REFERENCES steps (run_id, step_no) ON DELETE CASCADE
) WITH (fillfactor = 50);

-- Failed tasks by reason.
CREATE TABLE step_reasons (
    run_id  uuid NOT NULL,
    step_no integer NOT NULL,
    reason  text NOT NULL,
    tasks   integer NOT NULL,
    PRIMARY KEY (run_id, step_no, reason),
    FOREIGN KEY (run_id, step_no) REFERENCES steps (run_id, step_no) ON DELETE CASCADE
);

-- No index names a status, nor anything else that the normal path changes but due_at, so most updates of a task stay HOT. No foreign key out of it: a million rows are inserted at once.
CREATE TABLE tasks (
    run_id        uuid NOT NULL,
    step_no       integer NOT NULL,
    task_index    integer NOT NULL CHECK (task_index >= 0),
    attempt       integer NOT NULL DEFAULT 1 CHECK (attempt >= 1), -- the present one, or the next of a pending task
    returns       integer NOT NULL DEFAULT 0 CHECK (returns >= 0), -- times it went back without using up an attempt
    exit_code     integer,
    execution_id  uuid,
    due_at        timestamptz,  -- set while pending: when it may be packed
    dispatched_at timestamptz,
    started_at    timestamptz,
    finished_at   timestamptz,
    signal        integer,
    status        text NOT NULL CHECK (status IN ('pending', 'dispatched', 'running', 'success', 'failed', 'cancelled', 'skipped')),
    reason        text NOT NULL DEFAULT '',
    params        jsonb,        -- NULL where the index says it all
    PRIMARY KEY (run_id, step_no, task_index),
    CHECK ((status IN ('success', 'failed', 'cancelled', 'skipped')) = (finished_at IS NOT NULL)),
    CHECK ((status = 'pending') = (due_at IS NOT NULL)),
    CHECK (status NOT IN ('dispatched', 'running') OR execution_id IS NOT NULL),
    CHECK (status NOT IN ('failed', 'cancelled') OR reason <> '')
) WITH (fillfactor = 70);
CREATE INDEX tasks_due ON tasks (run_id, step_no, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX tasks_with_reason ON tasks (run_id, step_no, task_index) WHERE reason <> ''; -- failed and cancelled ones

-- The ledger. One row is at most one accepted RunJob call.
CREATE TABLE executions (
    id                       uuid PRIMARY KEY,
    workflow_id              uuid NOT NULL REFERENCES workflows (id),
    run_id                   uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step_no                  integer NOT NULL,
    job                      text NOT NULL,             -- full name
    location                 text NOT NULL,             -- projects/P/locations/L, the scope of Cloud Run's quotas
    status                   text NOT NULL CHECK (status IN ('planned', 'launching', 'launched', 'running', 'finished')),
    outcome                  text CHECK (outcome IN ('success', 'failed', 'cancelled', 'lost', 'rejected')),
    indexes                  int4multirange NOT NULL CHECK (NOT isempty(indexes)),
    task_count               integer NOT NULL CHECK (task_count BETWEEN 1 AND 10000),
    send                     integer NOT NULL DEFAULT 1 CHECK (send >= 1), -- part of the marker; raised after a refusal
    claim                    uuid,                      -- who works on it now
    claim_expires_at         timestamptz,
    sent_at                  timestamptz,
    not_before               timestamptz NOT NULL,      -- a planned row is not sent before
    next_look_at             timestamptz,               -- when Cloud Run is asked about it next; of a lost row: when it is looked for again
    not_found_at             timestamptz,               -- the first look that found nothing
    cancel_sent_at           timestamptz,
    cancel_again_at          timestamptz,
    cloud_run_execution_name text UNIQUE,
    image                    text NOT NULL DEFAULT '',
    running_count            integer NOT NULL DEFAULT 0,
    succeeded_count          integer NOT NULL DEFAULT 0,
    failed_count             integer NOT NULL DEFAULT 0,
    cancelled_count          integer NOT NULL DEFAULT 0,
    retried_count            integer NOT NULL DEFAULT 0,
    log_uri                  text NOT NULL DEFAULT '',
    stop_requested_at        timestamptz,
    stop_as                  text CHECK (stop_as IN ('failed', 'cancelled')),
    stop_scope               text CHECK (stop_scope IN ('unsent', 'all')),
    stop_reason              text NOT NULL DEFAULT '',
    reason                   text NOT NULL DEFAULT '',
    created_at               timestamptz NOT NULL,
    launched_at              timestamptz,
    started_at               timestamptz,
    finished_at              timestamptz,
    CHECK ((status = 'finished') = (finished_at IS NOT NULL) AND (finished_at IS NULL) = (outcome IS NULL)),
    CHECK ((claim IS NULL) = (claim_expires_at IS NULL)),
    CHECK (status <> 'planned' OR (sent_at IS NULL AND claim IS NULL AND cloud_run_execution_name IS NULL)),
    CHECK (status <> 'launching' OR (sent_at IS NOT NULL AND claim IS NOT NULL)),
    CHECK (status NOT IN ('launched', 'running') OR (cloud_run_execution_name IS NOT NULL AND next_look_at IS NOT NULL)),
    CHECK ((stop_requested_at IS NULL) = (stop_as IS NULL) AND (stop_as IS NULL) = (stop_scope IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX executions_planned ON executions (not_before, id) WHERE status = 'planned';
CREATE INDEX executions_planned_step ON executions (run_id, step_no) WHERE status = 'planned';
CREATE INDEX executions_launching ON executions (claim_expires_at, id) WHERE status = 'launching';
CREATE INDEX executions_look ON executions (next_look_at, id) WHERE next_look_at IS NOT NULL;
CREATE INDEX executions_live ON executions (workflow_id, run_id, step_no) WHERE status IN ('launching', 'launched', 'running');
CREATE INDEX executions_stopping ON executions (cancel_again_at, id) WHERE stop_requested_at IS NOT NULL AND status IN ('launched', 'running');
CREATE INDEX executions_newest ON executions (run_id, id DESC);

-- Executions of ours that Cloud Run showed after their row had ended without them. They are cancelled until they end.
CREATE TABLE orphans (
    cloud_run_execution_name text PRIMARY KEY,
    execution_id             uuid NOT NULL,
    found_at                 timestamptz NOT NULL,
    cancel_sent_at           timestamptz,
    next_look_at             timestamptz, -- NULL once it has ended
    ended_at                 timestamptz,
    CHECK ((next_look_at IS NULL) = (ended_at IS NOT NULL))
);
CREATE INDEX orphans_look ON orphans (next_look_at) WHERE next_look_at IS NOT NULL;

-- Facts about Cloud Run jobs, as their executions' templates told them last.
CREATE TABLE jobs (
    job             text PRIMARY KEY, -- full name
    containers      text[] NOT NULL,
    image           text NOT NULL,
    max_retries     integer NOT NULL,
    parallelism     integer NOT NULL,
    timeout_seconds integer NOT NULL,
    seen_at         timestamptz NOT NULL
);

CREATE TABLE events (
    seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id  uuid REFERENCES runs (id) ON DELETE CASCADE, -- NULL for what concerns the whole installation
    at      timestamptz NOT NULL,
    kind    text NOT NULL,
    actor   text NOT NULL,
    subject text NOT NULL,
    detail  text NOT NULL DEFAULT ''
);
CREATE INDEX events_run ON events (run_id, seq DESC);
CREATE INDEX events_age ON events (at);

-- Shared token buckets, and what launches in a location have learned: one row a location and kind of call.
CREATE TABLE quotas (
    name            text PRIMARY KEY,
    tokens          double precision NOT NULL DEFAULT 0,
    refilled_at     timestamptz NOT NULL,
    unknown_answers integer NOT NULL DEFAULT 0,  -- in a row
    not_before      timestamptz                  -- nothing of it is sent before
);

-- Final is final.
CREATE FUNCTION refuse_change_of_final_status() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% is final: % cannot become %', TG_TABLE_NAME, OLD.status, NEW.status USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER runs_final BEFORE UPDATE ON runs FOR EACH ROW
    WHEN (OLD.finished_at IS NOT NULL AND (NEW.status <> OLD.status OR NEW.finished_at IS DISTINCT FROM OLD.finished_at))
    EXECUTE FUNCTION refuse_change_of_final_status();
CREATE TRIGGER steps_final BEFORE UPDATE ON steps FOR EACH ROW
    WHEN (OLD.finished_at IS NOT NULL AND (NEW.status <> OLD.status OR NEW.finished_at IS DISTINCT FROM OLD.finished_at))
    EXECUTE FUNCTION refuse_change_of_final_status();
CREATE TRIGGER tasks_final BEFORE UPDATE ON tasks FOR EACH ROW
    WHEN (OLD.finished_at IS NOT NULL AND (NEW.status <> OLD.status OR NEW.finished_at IS DISTINCT FROM OLD.finished_at))
    EXECUTE FUNCTION refuse_change_of_final_status();
CREATE TRIGGER executions_final BEFORE UPDATE ON executions FOR EACH ROW
    WHEN (OLD.finished_at IS NOT NULL AND (NEW.status <> OLD.status OR NEW.outcome <> OLD.outcome OR NEW.finished_at IS DISTINCT FROM OLD.finished_at))
    EXECUTE FUNCTION refuse_change_of_final_status();

-- Counters. They change with the statement that changes the tasks, whoever writes it, so that status pages and finish never count rows.
-- The step's row is locked first: it guards its blocks and reasons too.
DO $do$
DECLARE
    op     text;
    source text;
BEGIN
    FOR op, source IN VALUES
        ('insert', 'SELECT run_id, step_no, task_index, status, reason, attempt, 1 AS n FROM new_tasks'),
        ('delete', 'SELECT run_id, step_no, task_index, status, reason, attempt, -1 AS n FROM old_tasks'),
        ('update', 'SELECT run_id, step_no, task_index, status, reason, attempt, 1 AS n FROM new_tasks
              UNION ALL
              SELECT run_id, step_no, task_index, status, reason, attempt, -1 FROM old_tasks')
    LOOP
        EXECUTE replace(replace($fn$
CREATE FUNCTION count_tasks_OP() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM FROM steps s
    WHERE (s.run_id, s.step_no) IN (SELECT run_id, step_no FROM (SOURCE) x)
    ORDER BY s.run_id, s.step_no
    FOR NO KEY UPDATE;

    UPDATE steps s
        SET pending = s.pending + d.pending,
            dispatched = s.dispatched + d.dispatched,
            running = s.running + d.running,
            success = s.success + d.success,
            failed = s.failed + d.failed,
            cancelled = s.cancelled + d.cancelled,
            skipped = s.skipped + d.skipped,
            retries = s.retries + d.retries
    FROM (SELECT run_id, step_no,
                   coalesce(sum(n) FILTER (WHERE status = 'pending'), 0)::integer AS pending,
                   coalesce(sum(n) FILTER (WHERE status = 'dispatched'), 0)::integer AS dispatched,
                   coalesce(sum(n) FILTER (WHERE status = 'running'), 0)::integer AS running,
                   coalesce(sum(n) FILTER (WHERE status = 'success'), 0)::integer AS success,
                   coalesce(sum(n) FILTER (WHERE status = 'failed'), 0)::integer AS failed,
                   coalesce(sum(n) FILTER (WHERE status = 'cancelled'), 0)::integer AS cancelled,
                   coalesce(sum(n) FILTER (WHERE status = 'skipped'), 0)::integer AS skipped,
                   sum(n * (attempt - 1))::integer AS retries
          FROM (SOURCE) x
          GROUP BY run_id, step_no) d
    WHERE s.run_id = d.run_id AND s.step_no = d.step_no;

    INSERT INTO step_blocks AS b (run_id, step_no, block, pending, dispatched, running, success, failed, cancelled, skipped)
        SELECT x.run_id, x.step_no,
               CASE WHEN s.task_count <= 400 THEN x.task_index ELSE x.task_index::bigint * 400 / s.task_count END AS block,
               coalesce(sum(x.n) FILTER (WHERE x.status = 'pending'), 0),
               coalesce(sum(x.n) FILTER (WHERE x.status = 'dispatched'), 0),
               coalesce(sum(x.n) FILTER (WHERE x.status = 'running'), 0),
               coalesce(sum(x.n) FILTER (WHERE x.status = 'success'), 0),
               coalesce(sum(x.n) FILTER (WHERE x.status = 'failed'), 0),
               coalesce(sum(x.n) FILTER (WHERE x.status = 'cancelled'), 0),
               coalesce(sum(x.n) FILTER (WHERE x.status = 'skipped'), 0)
        FROM (SOURCE) x JOIN steps s ON s.run_id = x.run_id AND s.step_no = x.step_no
        GROUP BY x.run_id, x.step_no, block
        ORDER BY x.run_id, x.step_no, block
    ON CONFLICT (run_id, step_no, block) DO UPDATE
        SET pending = b.pending + excluded.pending,
            dispatched = b.dispatched + excluded.dispatched,
            running = b.running + excluded.running,
            success = b.success + excluded.success,
            failed = b.failed + excluded.failed,
            cancelled = b.cancelled + excluded.cancelled,
            skipped = b.skipped + excluded.skipped;

    INSERT INTO step_reasons AS r (run_id, step_no, reason, tasks)
        SELECT x.run_id, x.step_no, x.reason, sum(x.n)
        FROM (SOURCE) x JOIN steps s ON s.run_id = x.run_id AND s.step_no = x.step_no
        WHERE x.status = 'failed'
        GROUP BY x.run_id, x.step_no, x.reason
        HAVING sum(x.n) <> 0
        ORDER BY x.run_id, x.step_no, x.reason
    ON CONFLICT (run_id, step_no, reason) DO UPDATE
        SET tasks = r.tasks + excluded.tasks;
    RETURN NULL;
END
$$
        $fn$, 'SOURCE', source), 'count_tasks_OP', 'count_tasks_' || op);
    END LOOP;
END
$do$;

CREATE TRIGGER tasks_counted_insert AFTER INSERT ON tasks
    REFERENCING NEW TABLE AS new_tasks FOR EACH STATEMENT EXECUTE FUNCTION count_tasks_insert();
CREATE TRIGGER tasks_counted_update AFTER UPDATE ON tasks
    REFERENCING OLD TABLE AS old_tasks NEW TABLE AS new_tasks FOR EACH STATEMENT EXECUTE FUNCTION count_tasks_update();
CREATE TRIGGER tasks_counted_delete AFTER DELETE ON tasks
    REFERENCING OLD TABLE AS old_tasks FOR EACH STATEMENT EXECUTE FUNCTION count_tasks_delete();

CREATE FUNCTION count_executions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM FROM steps s
    WHERE (s.run_id, s.step_no) IN (SELECT run_id, step_no FROM new_executions)
    ORDER BY s.run_id, s.step_no
    FOR NO KEY UPDATE;

    UPDATE steps s
        SET executions = s.executions + d.n
    FROM (SELECT run_id, step_no, count(*)::integer AS n FROM new_executions GROUP BY run_id, step_no) d
    WHERE s.run_id = d.run_id AND s.step_no = d.step_no;
    RETURN NULL;
END
$$;
CREATE TRIGGER executions_counted AFTER INSERT ON executions
    REFERENCING NEW TABLE AS new_executions FOR EACH STATEMENT EXECUTE FUNCTION count_executions();
