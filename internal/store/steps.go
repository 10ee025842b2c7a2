package store

import (
	"context"
	"encoding/json"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Step is a step with what lists of tasks know it by.
type Step struct {
	lifecycle.Step
	Job        string
	Executions int
	Retries    int
}

const stepsSQL = `
SELECT run_id, step_no, name, status, needs, job, coalesce(task_count, 0), expanded, tolerated, coalesce(max_executions, 0),
       ` + pendingTasks + `, dispatched, running, success, failed, ` + cancelledTasks + `, ` + skippedTasks + `,
       stop_requested_at, coalesce(stop_as, ''), coalesce(stop_scope, ''), stop_reason, reason,
       ready_at, started_at, finished_at, executions, retries
FROM steps
WHERE run_id = $1
ORDER BY step_no`

// Steps lists the steps of a run in the order of the definition.
func (s *Store) Steps(ctx context.Context, run uuid.UUID) ([]Step, error) {
	rows, err := s.pool.Query(ctx, stepsSQL, run)
	if err != nil {
		return nil, wrap(err, "list steps of run %s", run)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (st Step, err error) {
		c := &st.Counts
		err = row.Scan(&st.RunID, &st.StepNo, &st.Name, &st.Status, &st.Needs, &st.Job, &st.TaskCount, &st.Expanded, &st.Tolerated, &st.MaxExecutions,
			&c.Pending, &c.Dispatched, &c.Running, &c.Success, &c.Failed, &c.Cancelled, &c.Skipped,
			&st.Stop.RequestedAt, &st.Stop.As, &st.Stop.Scope, &st.Stop.Reason, &st.Reason,
			&st.ReadyAt, &st.StartedAt, &st.FinishedAt, &st.Executions, &st.Retries)
		return st, err
	})
	return list, wrap(err, "list steps of run %s", run)
}

const unblockSQL = `
WITH judged AS (
    SELECT s.run_id, s.step_no,
           bool_and(coalesce(n.status = 'success', true)) AS met,
           bool_or(coalesce(n.finished_at IS NOT NULL AND n.status <> 'success', false)) AS never,
           string_agg(n.name || ' ' || n.status, ', ' ORDER BY n.step_no) FILTER (WHERE n.finished_at IS NOT NULL AND n.status <> 'success') AS why
    FROM steps s
    LEFT JOIN steps n ON n.run_id = s.run_id AND n.step_no = ANY (s.needs)
    WHERE s.finished_at IS NULL AND s.status = 'pending' AND s.stop_requested_at IS NULL
    GROUP BY s.run_id, s.step_no
), locked AS MATERIALIZED (
    SELECT s.run_id, s.step_no, j.met, j.why
    FROM judged j
    JOIN steps s ON s.run_id = j.run_id AND s.step_no = j.step_no
    WHERE (j.met OR j.never) AND s.status = 'pending' AND s.stop_requested_at IS NULL
    ORDER BY s.run_id, s.step_no
    LIMIT $2
    FOR NO KEY UPDATE OF s SKIP LOCKED
), moved AS (
    UPDATE steps s
        SET status = CASE WHEN l.met THEN 'ready' ELSE 'skipped' END,
            ready_at = CASE WHEN l.met THEN $1::timestamptz END,
            finished_at = CASE WHEN NOT l.met THEN $1::timestamptz END,
            reason = CASE WHEN NOT l.met THEN 'a step that it needs did not succeed: ' || l.why ELSE '' END
    FROM locked l
    WHERE s.run_id = l.run_id AND s.step_no = l.step_no AND s.status = ANY ($3) AND s.stop_requested_at IS NULL
    RETURNING s.run_id, s.name, s.status, s.reason
)
INSERT INTO events (run_id, at, kind, actor, subject, detail)
    SELECT run_id, $1, 'step_' || status, 'tick', 'step ' || name, reason FROM moved`

// Unblock makes pending steps ready whose needs have all succeeded, and skips those whose needs cannot succeed any more.
func (s *Store) Unblock(ctx context.Context, now time.Time, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, unblockSQL, now, limit, lifecycle.Sources(lifecycle.KindStep, lifecycle.Ready))
	return int(tag.RowsAffected()), wrap(err, "unblock steps")
}

const startRunsSQL = `
WITH due AS MATERIALIZED (
    SELECT r.id FROM runs r
    WHERE r.finished_at IS NULL AND r.status = ANY ($2)
      AND EXISTS (SELECT FROM steps s WHERE s.run_id = r.id AND s.ready_at IS NOT NULL)
    ORDER BY r.id
    LIMIT $3
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE runs r SET status = 'running', started_at = $1
FROM due
WHERE r.id = due.id AND r.status = ANY ($2)`

// StartRuns makes pending runs running once a step of theirs is ready.
func (s *Store) StartRuns(ctx context.Context, now time.Time, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, startRunsSQL, now, lifecycle.Sources(lifecycle.KindRun, lifecycle.Running), limit)
	return int(tag.RowsAffected()), wrap(err, "start runs")
}

// Expandable is a step whose tasks do not all exist yet.
type Expandable struct {
	RunID      uuid.UUID
	StepNo     int
	WorkflowID uuid.UUID
	Version    int
	TaskCount  int
	Expanded   int
}

const expandableSQL = `
SELECT s.run_id, s.step_no, r.workflow_id, r.version, s.task_count, s.expanded
FROM steps s
JOIN runs r ON r.id = s.run_id
WHERE s.finished_at IS NULL AND s.status IN ('ready', 'running') AND s.stop_requested_at IS NULL
  AND s.task_count IS NOT NULL AND (s.status = 'ready' OR s.expanded < s.task_count)
ORDER BY s.expanded, s.ready_at, s.run_id, s.step_no
LIMIT $1`

// Expandable lists steps that need tasks, those with the fewest first, so that a large one does not keep the small ones waiting.
func (s *Store) Expandable(ctx context.Context, limit int) ([]Expandable, error) {
	rows, err := s.pool.Query(ctx, expandableSQL, limit)
	if err != nil {
		return nil, wrap(err, "list steps to expand")
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Expandable])
	return list, wrap(err, "list steps to expand")
}

const lockForExpandSQL = `
SELECT clock() FROM steps
WHERE run_id = $1 AND step_no = $2 AND expanded = $3 AND finished_at IS NULL AND status IN ('ready', 'running') AND stop_requested_at IS NULL
FOR NO KEY UPDATE SKIP LOCKED`

const insertTasksSQL = `
INSERT INTO tasks (run_id, step_no, task_index, status, due_at)
SELECT $1, $2, i, 'pending', $4
FROM generate_series($3::integer, $5::integer - 1) AS i`

const insertTasksWithParamsSQL = `
INSERT INTO tasks (run_id, step_no, task_index, status, due_at, params)
SELECT $1, $2, $3::integer + u.n - 1, 'pending', $4, u.params
FROM unnest($5::jsonb[]) WITH ORDINALITY AS u(params, n)`

const expandedSQL = `
UPDATE steps SET expanded = $4, status = 'running', started_at = coalesce(started_at, $5)
WHERE run_id = $1 AND step_no = $2 AND expanded = $3 AND finished_at IS NULL AND status IN ('ready', 'running')`

// Expand inserts the tasks [x.Expanded, to) of a step, params one each or nil, and notes it on the step, in one transaction that locks the step first.
// ok is false when somebody else expands it, or it stops.
func (s *Store) Expand(ctx context.Context, x Expandable, to int, params []json.RawMessage) (ok bool, err error) {
	err = s.inTx(ctx, func(t tx) error {
		rows, err := t.Query(ctx, lockForExpandSQL, x.RunID, x.StepNo, x.Expanded)
		if err != nil {
			return err
		}
		now, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
		if err != nil || len(now) == 0 {
			return err
		}
		insert, last := insertTasksSQL, any(to)
		if params != nil {
			insert, last = insertTasksWithParamsSQL, params
		}
		if _, err := t.Exec(ctx, insert, x.RunID, x.StepNo, x.Expanded, now[0], last); err != nil {
			return err
		}
		_, err = t.Exec(ctx, expandedSQL, x.RunID, x.StepNo, x.Expanded, to, now[0])
		ok = err == nil
		return err
	})
	return ok, wrap(err, "expand step %d of run %s", x.StepNo, x.RunID)
}

const finishStepsSQL = `
WITH due AS MATERIALIZED (
    SELECT run_id, step_no FROM steps
    WHERE finished_at IS NULL AND pending + dispatched + running = 0
      AND (stop_requested_at IS NOT NULL OR (status = 'running' AND expanded = task_count))
    ORDER BY run_id, step_no
    LIMIT $2
    FOR NO KEY UPDATE SKIP LOCKED
), moved AS (
    UPDATE steps s
        SET (status, stopped, reason, finished_at) = (
            SELECT CASE WHEN by_stop THEN s.stop_as WHEN s.failed > s.tolerated THEN 'failed' ELSE 'success' END,
                   by_stop,
                   CASE WHEN by_stop OR s.failed > s.tolerated AND s.stop_as = 'failed' THEN s.stop_reason
                        WHEN s.failed > s.tolerated THEN format('%s of %s tasks failed', s.failed, s.task_count)
                             || CASE WHEN s.tolerated > 0 THEN format(', %s are tolerated', s.tolerated) ELSE '' END
                        ELSE '' END,
                   $1::timestamptz
            FROM (SELECT s.stop_requested_at IS NOT NULL
                         AND (s.status IN ('pending', 'ready') OR s.expanded IS DISTINCT FROM s.task_count OR s.cancelled > 0) AS by_stop) x)
    FROM due
    WHERE s.run_id = due.run_id AND s.step_no = due.step_no
      AND s.finished_at IS NULL AND s.pending + s.dispatched + s.running = 0
      AND (s.stop_requested_at IS NOT NULL OR (s.status = 'running' AND s.expanded = s.task_count))
    RETURNING s.run_id, s.name, s.status, s.reason, s.stop_requested_at IS NOT NULL AND NOT s.stopped AS too_late
)
INSERT INTO events (run_id, at, kind, actor, subject, detail)
    SELECT run_id, $1, 'step_' || status, 'tick', 'step ' || name, reason || CASE WHEN too_late THEN 'a stop came too late to change it' ELSE '' END
    FROM moved`

// FinishSteps ends steps in which nothing is left to do. It reads only the row that it updates.
func (s *Store) FinishSteps(ctx context.Context, now time.Time, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, finishStepsSQL, now, limit)
	return int(tag.RowsAffected()), wrap(err, "finish steps")
}

// FinishedRun is a run that has just become final.
type FinishedRun struct {
	ID       uuid.UUID
	Workflow string
	Number   int64
	Status   lifecycle.Status
	Reason   string
	Tasks    int
	Failed   int // tasks
}

const finishRunsSQL = `
WITH due AS MATERIALIZED (
    SELECT r.id FROM runs r
    WHERE r.finished_at IS NULL
      AND NOT EXISTS (SELECT FROM steps s WHERE s.run_id = r.id AND s.finished_at IS NULL)
    ORDER BY r.id
    LIMIT $2
    FOR NO KEY UPDATE SKIP LOCKED
), parts AS (
    SELECT due.id,
           bool_or(s.stopped AND r.stop_requested_at IS NOT NULL AND s.status = r.stop_as) AS by_stop,
           bool_or(s.status = 'failed') AS any_failed,
           sum(coalesce(s.task_count, 0))::integer AS tasks, sum(s.failed)::integer AS failed,
           (array_agg('step ' || s.name || ': ' || s.reason ORDER BY s.finished_at, s.step_no) FILTER (WHERE s.status = 'failed'))[1] AS why
    FROM due
    JOIN runs r ON r.id = due.id
    JOIN steps s ON s.run_id = due.id
    GROUP BY due.id
), moved AS (
    UPDATE runs r
        SET status = CASE WHEN p.by_stop THEN r.stop_as WHEN p.any_failed THEN 'failed' ELSE 'success' END,
            reason = CASE WHEN p.by_stop THEN r.stop_reason WHEN p.any_failed THEN p.why ELSE '' END,
            finished_at = $1
    FROM parts p
    WHERE r.id = p.id AND r.finished_at IS NULL
    RETURNING r.id, r.workflow_id, r.number, r.status, r.reason, p.tasks, p.failed, r.stop_requested_at IS NOT NULL AND NOT p.by_stop AS too_late
), noted AS (
    INSERT INTO events (run_id, at, kind, actor, subject, detail)
    SELECT id, $1, 'run_' || status, 'tick', 'run', reason || CASE WHEN too_late THEN 'a stop came too late to change it' ELSE '' END FROM moved
)
SELECT m.id, w.name, m.number, m.status, m.reason, m.tasks, m.failed
FROM moved m
JOIN workflows w ON w.id = m.workflow_id
ORDER BY m.id`

// FinishRuns ends runs whose steps have all ended.
func (s *Store) FinishRuns(ctx context.Context, now time.Time, limit int) ([]FinishedRun, error) {
	rows, err := s.pool.Query(ctx, finishRunsSQL, now, limit)
	if err != nil {
		return nil, wrap(err, "finish runs")
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[FinishedRun])
	return list, wrap(err, "finish runs")
}
