package store

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Violation is a rule of the data that does not hold.
type Violation struct {
	Name   string
	Detail string
}

// invariants are what must be true of the data after every transaction. Each query returns what breaks its rule.
var invariants = []struct{ name, sql string }{
	{"counters of steps equal their tasks", `
SELECT s.run_id || '/' || s.name
FROM steps s
LEFT JOIN LATERAL (
    SELECT count(*) AS n,
           count(*) FILTER (WHERE status = 'pending') AS pending, count(*) FILTER (WHERE status = 'dispatched') AS dispatched,
           count(*) FILTER (WHERE status = 'running') AS running, count(*) FILTER (WHERE status = 'success') AS success,
           count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
           count(*) FILTER (WHERE status = 'skipped') AS skipped, coalesce(sum(attempt - 1), 0) AS retries
    FROM tasks t WHERE t.run_id = s.run_id AND t.step_no = s.step_no
) c ON true
WHERE (s.expanded, s.pending, s.dispatched, s.running, s.success, s.failed, s.cancelled, s.skipped, s.retries)
      IS DISTINCT FROM (c.n, c.pending, c.dispatched, c.running, c.success, c.failed, c.cancelled, c.skipped, c.retries)`},
	{"blocks add up to their step", `
SELECT s.run_id || '/' || s.name
FROM steps s
LEFT JOIN LATERAL (
    SELECT coalesce(sum(pending), 0) AS pending, coalesce(sum(dispatched), 0) AS dispatched, coalesce(sum(running), 0) AS running,
           coalesce(sum(success), 0) AS success, coalesce(sum(failed), 0) AS failed, coalesce(sum(cancelled), 0) AS cancelled
    FROM step_blocks b WHERE b.run_id = s.run_id AND b.step_no = s.step_no
) b ON true
WHERE (s.pending, s.dispatched, s.running, s.success, s.failed, s.cancelled)
      IS DISTINCT FROM (b.pending, b.dispatched, b.running, b.success, b.failed, b.cancelled)`},
	{"reasons add up to the failed tasks", `
SELECT s.run_id || '/' || s.name
FROM steps s
WHERE s.failed <> (SELECT coalesce(sum(tasks), 0) FROM step_reasons r WHERE r.run_id = s.run_id AND r.step_no = s.step_no)`},
	{"executions of steps are counted", `
SELECT s.run_id || '/' || s.name
FROM steps s
WHERE s.executions <> (SELECT count(*) FROM executions x WHERE x.run_id = s.run_id AND x.step_no = s.step_no)`},
	{"no task is in two unfinished executions", `
SELECT a.id || ' and ' || b.id
FROM executions a
JOIN executions b ON b.run_id = a.run_id AND b.step_no = a.step_no AND b.id > a.id AND a.indexes && b.indexes
WHERE a.status <> 'finished' AND b.status <> 'finished'`},
	{"every task of an unfinished execution is dispatched or running", `
SELECT x.id || '/' || coalesce(t.task_index::text, 'no task') || ' ' || coalesce(t.status, '')
FROM executions x
CROSS JOIN LATERAL unnest(x.indexes) AS r
CROSS JOIN LATERAL generate_series(lower(r), upper(r) - 1) AS i
LEFT JOIN tasks t ON t.run_id = x.run_id AND t.step_no = x.step_no AND t.task_index = i
WHERE x.status <> 'finished' AND (t.status IS NULL OR t.status NOT IN ('dispatched', 'running') OR t.execution_id <> x.id)`},
	{"every dispatched or running task is in an unfinished execution", `
SELECT t.run_id || '/' || t.step_no || '/' || t.task_index
FROM tasks t
LEFT JOIN executions x ON x.id = t.execution_id
WHERE t.status IN ('dispatched', 'running') AND (x.status IS NULL OR x.status = 'finished')`},
	{"no final run has an unfinished step, and no final step an unfinished task", `
SELECT r.id || '/' || s.name
FROM runs r
JOIN steps s ON s.run_id = r.id
WHERE r.finished_at IS NOT NULL AND s.finished_at IS NULL
   OR s.finished_at IS NOT NULL AND EXISTS (SELECT FROM tasks t WHERE t.run_id = s.run_id AND t.step_no = s.step_no AND t.finished_at IS NULL)`},
	{"a step ends as its parts and its stop say", `
SELECT s.run_id || '/' || s.name || ' ' || s.status
FROM steps s
WHERE s.status IN ('success', 'failed', 'cancelled')
  AND s.status <> CASE WHEN s.stopped THEN s.stop_as WHEN s.failed > s.tolerated THEN 'failed' ELSE 'success' END
   OR s.stopped AND s.stop_requested_at IS NULL
   OR s.status = 'success' AND s.expanded IS DISTINCT FROM s.task_count`},
	{"a run ends as its steps and its stop say", `
SELECT r.id || ' ' || r.status
FROM runs r
JOIN LATERAL (
    SELECT bool_or(s.stopped AND s.status = r.stop_as) AS by_stop, bool_or(s.status = 'failed') AS failed FROM steps s WHERE s.run_id = r.id
) p ON true
WHERE r.finished_at IS NOT NULL
  AND r.status <> CASE WHEN coalesce(p.by_stop, false) THEN r.stop_as WHEN p.failed THEN 'failed' ELSE 'success' END`},
}

// Invariants lists the rules of the data that are broken: none, in a sound database. It reads everything, so it is for tests and for people.
func (s *Store) Invariants(ctx context.Context) ([]Violation, error) {
	var broken []Violation
	for _, i := range invariants {
		rows, err := s.pool.Query(ctx, i.sql+"\nLIMIT 10")
		if err != nil {
			return nil, wrap(err, "check that %s", i.name)
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, wrap(err, "check that %s", i.name)
		}
		if len(list) > 0 {
			broken = append(broken, Violation{i.name, strings.Join(list, ", ")})
		}
	}
	return broken, nil
}
