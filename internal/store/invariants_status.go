package store

// statusRules: how a whole follows from its parts.
var statusRules = []rule{
	{"a run has ended when its status is final, and only then", `
SELECT id::text
FROM runs
WHERE (status IN ('success', 'failed', 'cancelled')) <> (finished_at IS NOT NULL)`},
	{"a step has ended when its status is final, and only then", `
SELECT run_id || '/' || name
FROM steps
WHERE (status IN ('success', 'failed', 'cancelled', 'skipped')) <> (finished_at IS NOT NULL)`},
	{"no final run has an unfinished step", `
SELECT r.id || '/' || s.name
FROM runs r
JOIN steps s ON s.run_id = r.id
WHERE r.finished_at IS NOT NULL AND s.finished_at IS NULL`},
	{"a run is running only once a step was ready", `
SELECT r.id::text
FROM runs r
WHERE r.status = 'running' AND NOT EXISTS (SELECT FROM steps s WHERE s.run_id = r.id AND s.ready_at IS NOT NULL)`},
	{"a pending step has no tasks yet, a ready one waits for its first, a running one had its start", `
SELECT run_id || '/' || name || ' ' || status
FROM steps
WHERE status = 'pending' AND (ready_at IS NOT NULL OR started_at IS NOT NULL OR expanded > 0)
   OR status = 'ready' AND (ready_at IS NULL OR started_at IS NOT NULL OR expanded > 0)
   OR status = 'running' AND (ready_at IS NULL OR started_at IS NULL)`},
	{"what a step needs is a step of its run", `
SELECT s.run_id || '/' || s.name || ' needs step ' || n
FROM steps s
CROSS JOIN LATERAL unnest(s.needs) AS n
WHERE NOT EXISTS (SELECT FROM steps o WHERE o.run_id = s.run_id AND o.step_no = n AND o.step_no <> s.step_no)`},
	{"a step becomes ready only when all that it needs has succeeded", `
SELECT s.run_id || '/' || s.name || ' needs ' || o.name || ' ' || o.status
FROM steps s
JOIN steps o ON o.run_id = s.run_id AND o.step_no = ANY (s.needs)
WHERE s.ready_at IS NOT NULL AND o.status <> 'success'`},
	{"a step is skipped only where something that it needs did not succeed, and has no tasks and no stop then", `
SELECT s.run_id || '/' || s.name
FROM steps s
WHERE s.status = 'skipped'
  AND (s.expanded > 0 OR s.stop_requested_at IS NOT NULL OR s.stopped
       OR NOT EXISTS (SELECT FROM steps o WHERE o.run_id = s.run_id AND o.step_no = ANY (s.needs) AND o.status IN ('failed', 'cancelled', 'skipped')))`},
	{"a step's stop ended it where the step never started, was not wholly expanded or has cancelled tasks, and only there", `
SELECT run_id || '/' || name
FROM steps
WHERE stopped <> (status IN ('success', 'failed', 'cancelled') AND stop_requested_at IS NOT NULL
                  AND (started_at IS NULL OR expanded IS DISTINCT FROM task_count OR cancelled > 0))`},
	{"a step ends as its stop and its tasks say", `
SELECT run_id || '/' || name || ' ' || status
FROM steps
WHERE status IN ('success', 'failed', 'cancelled')
  AND (status IS DISTINCT FROM CASE WHEN stopped THEN stop_as WHEN failed > tolerated THEN 'failed' ELSE 'success' END
       OR NOT stopped AND (expanded IS DISTINCT FROM task_count OR started_at IS NULL OR cancelled > 0))`},
	{"a run ends as its stop and its steps say", `
SELECT r.id || ' ' || r.status
FROM runs r
LEFT JOIN LATERAL (
    SELECT bool_or(s.stopped AND s.status = r.stop_as) AS by_stop, bool_or(s.status = 'failed') AS failed FROM steps s WHERE s.run_id = r.id
) p ON true
WHERE r.finished_at IS NOT NULL
  AND r.status <> CASE WHEN coalesce(p.by_stop, false) THEN r.stop_as WHEN p.failed THEN 'failed' ELSE 'success' END`},
	{"a stop says as what it ends and how far it reaches", `
SELECT what
FROM (SELECT 'run ' || id AS what, stop_requested_at, stop_as, stop_scope FROM runs
      UNION ALL SELECT 'step ' || run_id || '/' || name, stop_requested_at, stop_as, stop_scope FROM steps
      UNION ALL SELECT 'execution ' || id, stop_requested_at, stop_as, stop_scope FROM executions) x
WHERE (stop_requested_at IS NULL) <> (stop_as IS NULL) OR (stop_as IS NULL) <> (stop_scope IS NULL)`},
	{"the unfinished steps of a stopping run are stopping", `
SELECT s.run_id || '/' || s.name
FROM runs r
JOIN steps s ON s.run_id = r.id
WHERE r.stop_requested_at IS NOT NULL AND s.finished_at IS NULL
  AND (s.stop_requested_at IS NULL OR r.stop_scope = 'all' AND s.stop_scope <> 'all')`},
	{"no run has a number that its workflow has not given yet", `
SELECT r.id || ' ' || w.name || '.' || r.number
FROM runs r
JOIN workflows w ON w.id = r.workflow_id
WHERE r.number > w.last_run_number`},
	{"every unfinished run has the mode of its database", `
SELECT r.id || ' ' || r.mode
FROM runs r, installation i
WHERE r.finished_at IS NULL AND r.mode <> i.mode`},
	{"the times that the database stamped on runs and steps are in order", `
SELECT 'run ' || id FROM runs WHERE stop_requested_at < created_at
UNION ALL
SELECT 'step ' || run_id || '/' || name FROM steps WHERE started_at < ready_at`},
}
