package store

// statusCounts counts tasks by status, in the order of the counters' columns.
const statusCounts = `count(*) FILTER (WHERE t.status = 'pending') AS pending, count(*) FILTER (WHERE t.status = 'dispatched') AS dispatched,
           count(*) FILTER (WHERE t.status = 'running') AS running, count(*) FILTER (WHERE t.status = 'success') AS success,
           count(*) FILTER (WHERE t.status = 'failed') AS failed, count(*) FILTER (WHERE t.status = 'cancelled') AS cancelled,
           count(*) FILTER (WHERE t.status = 'skipped') AS skipped`

// taskRules: tasks, and what is counted of them.
var taskRules = []rule{
	{"every task belongs to a step", `
SELECT t.run_id || '/' || t.step_no
FROM (SELECT DISTINCT run_id, step_no FROM tasks) t
WHERE NOT EXISTS (SELECT FROM steps s WHERE s.run_id = t.run_id AND s.step_no = t.step_no)`},
	{"the tasks of a step are numbered from 0 without a gap", `
SELECT run_id || '/' || step_no || ': ' || count(*) || ' tasks from ' || min(task_index) || ' to ' || max(task_index)
FROM tasks
GROUP BY run_id, step_no
HAVING min(task_index) <> 0 OR max(task_index) <> count(*) - 1`},
	{"the counters of steps equal their tasks", `
SELECT s.run_id || '/' || s.name
FROM steps s
LEFT JOIN (
    SELECT t.run_id, t.step_no, count(*) AS n, sum(t.attempt - 1) AS retries,
           ` + statusCounts + `
    FROM tasks t GROUP BY t.run_id, t.step_no
) c ON c.run_id = s.run_id AND c.step_no = s.step_no
WHERE (s.expanded, s.retries, s.pending, s.dispatched, s.running, s.success, s.failed, s.cancelled, s.skipped)
      IS DISTINCT FROM (coalesce(c.n, 0), coalesce(c.retries, 0), coalesce(c.pending, 0), coalesce(c.dispatched, 0), coalesce(c.running, 0),
                        coalesce(c.success, 0), coalesce(c.failed, 0), coalesce(c.cancelled, 0), coalesce(c.skipped, 0))`},
	// The block of a task is computed as the counting triggers do it.
	{"every block equals the tasks in it", `
SELECT coalesce(b.run_id, c.run_id) || '/' || coalesce(b.step_no, c.step_no) || ' block ' || coalesce(b.block, c.block)
FROM step_blocks b
FULL JOIN (
    SELECT t.run_id, t.step_no, CASE WHEN s.task_count <= 400 THEN t.task_index ELSE t.task_index::bigint * 400 / s.task_count END AS block,
           ` + statusCounts + `
    FROM tasks t JOIN steps s ON s.run_id = t.run_id AND s.step_no = t.step_no
    GROUP BY 1, 2, 3
) c ON c.run_id = b.run_id AND c.step_no = b.step_no AND c.block = b.block
WHERE (coalesce(b.pending, 0), coalesce(b.dispatched, 0), coalesce(b.running, 0), coalesce(b.success, 0), coalesce(b.failed, 0),
       coalesce(b.cancelled, 0), coalesce(b.skipped, 0))
      IS DISTINCT FROM (coalesce(c.pending, 0), coalesce(c.dispatched, 0), coalesce(c.running, 0), coalesce(c.success, 0), coalesce(c.failed, 0),
                        coalesce(c.cancelled, 0), coalesce(c.skipped, 0))`},
	{"the reasons of steps equal those of their failed tasks", `
SELECT coalesce(r.run_id, c.run_id) || '/' || coalesce(r.step_no, c.step_no) || ' ' || coalesce(r.reason, c.reason)
FROM step_reasons r
FULL JOIN (
    SELECT run_id, step_no, reason, count(*) AS n FROM tasks WHERE status = 'failed' AND reason <> '' GROUP BY run_id, step_no, reason
) c ON c.run_id = r.run_id AND c.step_no = r.step_no AND c.reason = r.reason
WHERE coalesce(r.tasks, 0) <> coalesce(c.n, 0)`},
	{"failed and cancelled tasks say why", `
SELECT run_id || '/' || step_no || '/' || task_index
FROM tasks
WHERE status IN ('failed', 'cancelled') AND reason = ''`},
	{"pending tasks are due at some time, and no others", `
SELECT run_id || '/' || step_no || '/' || task_index
FROM tasks
WHERE (status = 'pending') <> (due_at IS NOT NULL)`},
	{"a task has ended when its status is final, and only then", `
SELECT run_id || '/' || step_no || '/' || task_index
FROM tasks
WHERE (status IN ('success', 'failed', 'cancelled', 'skipped')) <> (finished_at IS NOT NULL)`},
	{"no final step has an unfinished task", `
SELECT s.run_id || '/' || s.name || '/' || t.task_index
FROM tasks t
JOIN steps s ON s.run_id = t.run_id AND s.step_no = t.step_no
WHERE t.status IN ('pending', 'dispatched', 'running') AND s.finished_at IS NOT NULL`},
	{"every dispatched or running task is in an unfinished execution that carries it", `
SELECT t.run_id || '/' || t.step_no || '/' || t.task_index
FROM tasks t
LEFT JOIN executions x ON x.id = t.execution_id
WHERE t.status IN ('dispatched', 'running')
  AND (x.id IS NULL OR x.status = 'finished' OR x.run_id <> t.run_id OR x.step_no <> t.step_no OR NOT x.indexes @> t.task_index)`},
	{"a task's end agrees with its execution's", `
SELECT t.run_id || '/' || t.step_no || '/' || t.task_index || ' ' || t.status || ' in ' || x.id || ' ' || x.outcome
FROM tasks t
JOIN executions x ON x.id = t.execution_id
WHERE t.status = 'success' AND x.outcome IN ('lost', 'rejected')
   OR t.status IN ('pending', 'failed', 'cancelled', 'skipped') AND x.outcome = 'success'
   OR t.status = 'pending' AND x.outcome = 'rejected'`},
}
