package store

import (
	"context"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// TaskFilter chooses tasks of a run; it goes on after a step and index.
type TaskFilter struct {
	Run        uuid.UUID
	Step       int    // -1: all
	Status     string // empty: all
	AfterStep  int
	AfterIndex int // -1 begins with the first
	Limit      int
}

const tasksSQL = `
SELECT t.run_id, s.name, t.step_no, t.task_index, t.status, t.attempt, t.returns, t.params, t.exit_code, t.signal, t.reason,
       coalesce(x.cloud_run_execution_name, ''), coalesce(x.log_uri, ''), t.dispatched_at, t.started_at, t.finished_at
FROM tasks t
JOIN steps s ON s.run_id = t.run_id AND s.step_no = t.step_no
LEFT JOIN executions x ON x.id = t.execution_id
WHERE t.run_id = $1 AND ($2 < 0 OR t.step_no = $2) AND ($3 = '' OR t.status = $3)
  AND (t.step_no, t.task_index) > ($4, $5)`

const tasksPageSQL = tasksSQL + `
ORDER BY t.step_no, t.task_index
LIMIT $6`

// Failed and cancelled tasks are few among many, and have an index.
const tasksWithReasonPageSQL = tasksSQL + `
  AND t.reason <> ''
ORDER BY t.step_no, t.task_index
LIMIT $6`

// Tasks lists tasks by step and index.
func (s *Store) Tasks(ctx context.Context, f TaskFilter) ([]lifecycle.Task, error) {
	sql := tasksPageSQL
	if f.Status == string(lifecycle.Failed) || f.Status == string(lifecycle.Cancelled) {
		sql = tasksWithReasonPageSQL
	}
	rows, err := s.pool.Query(ctx, sql, f.Run, f.Step, f.Status, f.AfterStep, f.AfterIndex, f.Limit)
	if err != nil {
		return nil, wrap(err, "list tasks of run %s", f.Run)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t lifecycle.Task, err error) {
		err = row.Scan(&t.RunID, &t.Step, &t.StepNo, &t.Index, &t.Status, &t.Attempt, &t.Returns, &t.Params, &t.ExitCode, &t.Signal, &t.Reason,
			&t.ExecutionName, &t.LogURI, &t.DispatchedAt, &t.StartedAt, &t.FinishedAt)
		return t, err
	})
	return list, wrap(err, "list tasks of run %s", f.Run)
}

const attemptsSQL = `
SELECT x.id, t.task_index, t.attempt, t.returns
FROM executions x
CROSS JOIN LATERAL unnest(x.indexes) AS r
CROSS JOIN LATERAL (
    SELECT task_index, attempt, returns FROM tasks
    WHERE run_id = x.run_id AND step_no = x.step_no AND task_index >= lower(r) AND task_index < upper(r) AND execution_id = x.id
    OFFSET 0
) t
WHERE x.id = ANY ($1)`

// Attempts are what the tasks of some executions have behind them, by execution and index.
func (s *Store) Attempts(ctx context.Context, executions []uuid.UUID) (map[uuid.UUID]map[int]lifecycle.Attempt, error) {
	rows, err := s.pool.Query(ctx, attemptsSQL, executions)
	if err != nil {
		return nil, wrap(err, "read attempts")
	}
	all := make(map[uuid.UUID]map[int]lifecycle.Attempt, len(executions))
	var id uuid.UUID
	var index int
	var a lifecycle.Attempt
	_, err = pgx.ForEachRow(rows, []any{&id, &index, &a.Attempt, &a.Returns}, func() error {
		if all[id] == nil {
			all[id] = map[int]lifecycle.Attempt{}
		}
		all[id][index] = a
		return nil
	})
	return all, wrap(err, "read attempts")
}

// Packing bounds one call of Pack.
type Packing struct {
	Now    time.Time
	IDs    []uuid.UUID // for the executions, in ascending order; as many as rows at most
	Window int         // planned executions of one step at most
}

const packSQL = `
WITH room AS MATERIALIZED (
    SELECT s.run_id, s.step_no, s.job, r.workflow_id, s.ready_at,
           least($3::bigint, s.max_executions - l.of_step, r.max_executions - l.of_workflow) - p.planned AS n
    FROM steps s
    JOIN runs r ON r.id = s.run_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS planned FROM executions x WHERE x.run_id = s.run_id AND x.step_no = s.step_no AND x.status = 'planned'
    ) p
    CROSS JOIN LATERAL (
        SELECT count(*) AS of_workflow, count(*) FILTER (WHERE x.run_id = s.run_id AND x.step_no = s.step_no) AS of_step
        FROM executions x
        WHERE (s.max_executions IS NOT NULL OR r.max_executions IS NOT NULL)
          AND x.workflow_id = r.workflow_id AND x.status IN ('launching', 'launched', 'running')
    ) l
    WHERE s.finished_at IS NULL AND s.status = 'running' AND s.stop_requested_at IS NULL AND s.pending > 0
    ORDER BY s.ready_at, s.run_id, s.step_no
), due AS MATERIALIZED (
    SELECT t.run_id, t.step_no, t.task_index, room.job, room.workflow_id
    FROM room
    CROSS JOIN LATERAL (
        SELECT d.run_id, d.step_no, d.task_index FROM tasks d
        WHERE d.run_id = room.run_id AND d.step_no = room.step_no AND d.due_at <= $1
        ORDER BY d.due_at
        LIMIT greatest(room.n, 0)
        FOR NO KEY UPDATE SKIP LOCKED
    ) t
    LIMIT cardinality($2::uuid[])
), numbered AS (
    SELECT d.*, i.id
    FROM (SELECT due.*, row_number() OVER (ORDER BY run_id, step_no, task_index) AS n FROM due) d
    JOIN unnest($2::uuid[]) WITH ORDINALITY AS i(id, n) ON i.n = d.n
), planned AS (
    INSERT INTO executions (id, workflow_id, run_id, step_no, job, location, status, indexes, task_count, not_before, created_at)
    SELECT id, workflow_id, run_id, step_no, job, split_part(job, '/jobs/', 1), 'planned',
           int4multirange(int4range(task_index, task_index, '[]')), 1, $1, $1
    FROM numbered
)
UPDATE tasks t
    SET status = 'dispatched', execution_id = n.id, due_at = NULL, dispatched_at = $1, started_at = NULL, reason = ''
FROM numbered n
WHERE t.run_id = n.run_id AND t.step_no = n.step_no AND t.task_index = n.task_index AND t.status = ANY ($4)`

// Pack puts due tasks into planned executions of one task each. Only a window of a step's tasks is planned at a time, so that what waits for a quota or a limit is shown as pending.
func (s *Store) Pack(ctx context.Context, p Packing) (int, error) {
	tag, err := s.pool.Exec(ctx, packSQL, p.Now, p.IDs, p.Window, lifecycle.Sources(lifecycle.KindTask, lifecycle.Dispatched))
	return int(tag.RowsAffected()), wrap(err, "pack tasks")
}
