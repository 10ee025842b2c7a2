package store

// rest is a name without its projects/P/: Cloud Run may write a project's number where it was asked by the id.
func rest(name string) string {
	return "substr(" + name + ", strpos(substr(" + name + ", length('projects/') + 1), '/') + length('projects/') + 1)"
}

// ledgerRules: executions and orphans.
var ledgerRules = []rule{
	{"every execution belongs to a step, with its job, its workflow and tasks that the step has", `
SELECT x.id::text
FROM executions x
JOIN runs r ON r.id = x.run_id
LEFT JOIN steps s ON s.run_id = x.run_id AND s.step_no = x.step_no
WHERE s.run_id IS NULL OR x.workflow_id <> r.workflow_id OR x.job <> s.job OR x.location <> split_part(x.job, '/jobs/', 1)
   OR lower(x.indexes) < 0 OR upper(x.indexes) > s.expanded`},
	{"an execution's task count is the number of its tasks", `
SELECT x.id::text
FROM executions x
WHERE x.task_count <> (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(x.indexes) AS r)`},
	{"the executions of steps are counted", `
SELECT s.run_id || '/' || s.name
FROM steps s
LEFT JOIN (SELECT run_id, step_no, count(*) AS n FROM executions GROUP BY run_id, step_no) c ON c.run_id = s.run_id AND c.step_no = s.step_no
WHERE s.executions <> coalesce(c.n, 0)`},
	{"no task is in two unfinished executions", `
SELECT id || ' repeats task ' || first || ' of run ' || run_id || '/' || step_no
FROM (
    SELECT x.id, x.run_id, x.step_no, lower(r) AS first,
           max(upper(r)) OVER (PARTITION BY x.run_id, x.step_no ORDER BY lower(r), x.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS past
    FROM executions x
    CROSS JOIN LATERAL unnest(x.indexes) AS r
    WHERE x.status <> 'finished'
) o
WHERE first < past`},
	{"every task of an unfinished execution is dispatched or running and points to it", `
SELECT x.id || ': ' || coalesce(c.n, 0) || ' of ' || x.task_count || ' tasks'
FROM executions x
LEFT JOIN (
    SELECT execution_id, count(*) AS n FROM tasks WHERE status IN ('dispatched', 'running') GROUP BY execution_id
) c ON c.execution_id = x.id
WHERE x.status <> 'finished' AND x.task_count <> coalesce(c.n, 0)`},
	{"no execution of Cloud Run has two rows", `
SELECT min(name)
FROM (
    SELECT cloud_run_execution_name AS name, ` + rest("cloud_run_execution_name") + ` AS rest FROM executions
    WHERE cloud_run_execution_name IS NOT NULL
) n
GROUP BY rest
HAVING count(*) > 1`},
	{"an orphan is noted once, and is no row's execution but that of a row that had ended without it", `
SELECT min(o.cloud_run_execution_name)
FROM orphans o
LEFT JOIN (
    SELECT id, outcome, launched_at, ` + rest("cloud_run_execution_name") + ` AS rest FROM executions
    WHERE cloud_run_execution_name IS NOT NULL AND EXISTS (SELECT FROM orphans)
) x ON x.rest = ` + rest("o.cloud_run_execution_name") + `
GROUP BY ` + rest("o.cloud_run_execution_name") + `
HAVING count(DISTINCT o.cloud_run_execution_name) > 1
    OR bool_or(x.id IS NOT NULL AND (x.id <> o.execution_id OR x.outcome IS NULL OR x.outcome <> 'lost' AND x.launched_at IS NOT NULL))`},
	{"an orphan is looked at until it has ended", `
SELECT cloud_run_execution_name
FROM orphans
WHERE (next_look_at IS NULL) <> (ended_at IS NOT NULL)`},
	{"every launched or running execution has a name and a time of its next look", `
SELECT id::text
FROM executions
WHERE status IN ('launched', 'running') AND (cloud_run_execution_name IS NULL OR next_look_at IS NULL)`},
	{"every claim expires, and every launching execution has one and the time of its send", `
SELECT id::text
FROM executions
WHERE (claim IS NULL) <> (claim_expires_at IS NULL) OR status = 'launching' AND (claim IS NULL OR sent_at IS NULL)`},
	{"what waits to be sent has no claim, no send and no name, and what has ended no claim", `
SELECT id::text
FROM executions
WHERE status = 'planned' AND (claim IS NOT NULL OR sent_at IS NOT NULL OR cloud_run_execution_name IS NOT NULL)
   OR status = 'finished' AND claim IS NOT NULL`},
	{"an execution has an end and an outcome when it is finished, and only then", `
SELECT id::text
FROM executions
WHERE (status = 'finished') <> (finished_at IS NOT NULL) OR (status = 'finished') <> (outcome IS NOT NULL)`},
	{"only executions that ended lost are looked for after their end", `
SELECT id::text
FROM executions
WHERE next_look_at IS NOT NULL AND outcome <> 'lost'`},
	{"no step has more live executions than it may", `
SELECT s.run_id || '/' || s.name || ': ' || count(*) || ' of ' || s.max_executions
FROM steps s
JOIN executions x ON x.run_id = s.run_id AND x.step_no = s.step_no AND x.status IN ('launching', 'launched', 'running')
WHERE s.max_executions IS NOT NULL
GROUP BY s.run_id, s.step_no, s.name, s.max_executions
HAVING count(*) > s.max_executions`},
	{"an execution is asked to stop only where its step is", `
SELECT x.id::text
FROM executions x
JOIN steps s ON s.run_id = x.run_id AND s.step_no = x.step_no
WHERE x.stop_requested_at IS NOT NULL AND (s.stop_requested_at IS NULL OR x.stop_scope = 'all' AND s.stop_scope <> 'all')`},
	// All of them are readings of the database's own clock; starts and ends that Cloud Run reports are not.
	{"the times that the database stamped on an execution are in order", `
SELECT id::text
FROM executions
WHERE sent_at < created_at OR sent_at < not_before OR claim_expires_at < sent_at OR launched_at < sent_at OR cancel_sent_at < stop_requested_at`},
	{"the times of an orphan are in order", `
SELECT cloud_run_execution_name
FROM orphans
WHERE ended_at < found_at OR cancel_sent_at < found_at`},
}
