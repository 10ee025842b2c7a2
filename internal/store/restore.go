package store

import (
	"context"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// A restored database has forgotten sends. The statements below put them back as launching rows whose claim has expired, so that recover and
// observe do with them what they do with every send whose answer was lost.

const restoreJobsSQL = `
SELECT s.job FROM steps s JOIN runs r ON r.id = s.run_id WHERE r.finished_at IS NULL
UNION
SELECT job FROM jobs
ORDER BY job`

// RestoreJobs lists the jobs of which executions may have run that this database has forgotten, but for those of workflows that never ran.
func (s *Store) RestoreJobs(ctx context.Context) ([]string, error) {
	rows, err := s.pool.Query(ctx, restoreJobsSQL)
	if err != nil {
		return nil, wrap(err, "list jobs to restore")
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return jobs, wrap(err, "list jobs to restore")
}

const lookNowSQL = `
WITH live AS MATERIALIZED (
    SELECT id FROM executions WHERE status IN ('launched', 'running') AND next_look_at > clock()
    ORDER BY id
    FOR UPDATE SKIP LOCKED
)
UPDATE executions x SET next_look_at = clock()
FROM live
WHERE x.id = live.id AND x.status IN ('launched', 'running')`

// LookNow makes all live executions due to be looked at.
func (s *Store) LookNow(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, lookNowSQL)
	return wrap(err, "make live executions due")
}

// Send is a send that the database has forgotten.
type Send struct {
	Row   uuid.UUID
	Send  int
	At    time.Time // creation of the execution that it started, by Cloud Run's clock
	Claim uuid.UUID // a new token: nobody holds it
}

const rememberSendSQL = `
UPDATE executions x
    SET status = 'launching', send = $2, sent_at = greatest(x.created_at, m.at), not_before = least(x.not_before, greatest(x.created_at, m.at)),
        claim = $4, claim_expires_at = clock(), not_found_at = NULL, undecided_since = NULL, reason = ''
FROM (SELECT least($3::timestamptz, clock()) AS at) m
WHERE x.id = $1 AND (x.status = ANY ($5) AND x.send <= $2 OR x.status = 'launching' AND x.send < $2)`

// RememberSend notes on a row that it was sent. ok is false where it has ended, or was sent as often already.
func (s *Store) RememberSend(ctx context.Context, m Send) (ok bool, err error) {
	tag, err := s.pool.Exec(ctx, rememberSendSQL, m.Row, m.Send, m.At, m.Claim, lifecycle.Sources(lifecycle.KindExecution, lifecycle.Launching))
	return tag.RowsAffected() == 1, wrap(err, "remember send %d of execution %s", m.Send, m.Row)
}

const rememberRowSQL = `
WITH step AS MATERIALIZED (
    SELECT s.run_id, s.step_no, s.job, r.workflow_id
    FROM steps s JOIN runs r ON r.id = s.run_id
    WHERE s.run_id = $5 AND s.name = $6 AND s.job = $7 AND s.finished_at IS NULL
), free AS MATERIALIZED (
    SELECT t.run_id, t.step_no, t.task_index, a.attempt
    FROM step
    CROSS JOIN unnest($8::integer[], $9::integer[]) AS a(index, attempt)
    JOIN tasks t ON t.run_id = step.run_id AND t.step_no = step.step_no AND t.task_index = a.index
    WHERE t.due_at IS NOT NULL
    ORDER BY t.run_id, t.step_no, t.task_index
    FOR NO KEY UPDATE OF t
), remembered AS (
    INSERT INTO executions (id, workflow_id, run_id, step_no, job, location, status, indexes, task_count, send, sent_at, claim, claim_expires_at, not_before, created_at)
    SELECT $1, workflow_id, run_id, step_no, job, split_part(job, '/jobs/', 1), 'launching', $10::int4multirange, cardinality($8::integer[]), $2, at, $4, clock(), at, at
    FROM step, least($3, clock()) AS at
    WHERE (SELECT count(*) FROM free) = cardinality($8::integer[])
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
UPDATE tasks t
    SET status = 'dispatched', execution_id = r.id, due_at = NULL, attempt = greatest(t.attempt, f.attempt), dispatched_at = least($3, clock()), started_at = NULL, reason = ''
FROM free f, remembered r
WHERE t.run_id = f.run_id AND t.step_no = f.step_no AND t.task_index = f.task_index AND t.status = ANY ($11)`

// RememberRow makes the row of a send anew, with its tasks. ok is false, and nothing changed, unless all of them are pending in a step of that job.
func (s *Store) RememberRow(ctx context.Context, m Send, job string, w lifecycle.Work) (ok bool, err error) {
	tag, err := s.pool.Exec(ctx, rememberRowSQL, m.Row, m.Send, m.At, m.Claim, w.RunID, w.Step, job, w.Indexes.List(), w.Attempts,
		multirange(w.Indexes), lifecycle.Sources(lifecycle.KindTask, lifecycle.Dispatched))
	return tag.RowsAffected() > 0, wrap(err, "remember execution %s", m.Row)
}

const standingSQL = `
SELECT s.finished_at IS NOT NULL, cardinality($4::integer[]) - count(t.task_index),
       coalesce(array_agg(DISTINCT x.id) FILTER (WHERE t.status IN ('dispatched', 'running') AND x.status = 'planned'), '{}'),
       coalesce(array_agg(DISTINCT x.id) FILTER (WHERE t.status IN ('dispatched', 'running') AND x.status <> 'planned'), '{}'),
       count(*) FILTER (WHERE t.finished_at IS NOT NULL), count(*) FILTER (WHERE t.due_at IS NOT NULL)
FROM steps s
LEFT JOIN tasks t ON t.run_id = s.run_id AND t.step_no = s.step_no AND t.task_index = ANY ($4)
LEFT JOIN executions x ON x.id = t.execution_id
WHERE s.run_id = $1 AND s.name = $2 AND s.job = $3
GROUP BY s.run_id, s.step_no`

// Standing says what the tasks of some work are in the database.
func (s *Store) Standing(ctx context.Context, job string, w lifecycle.Work) (st lifecycle.Standing, err error) {
	rows, err := s.pool.Query(ctx, standingSQL, w.RunID, w.Step, job, w.Indexes.List())
	if err != nil {
		return st, wrap(err, "read the tasks of step %s of run %s", w.Step, w.RunID)
	}
	_, err = pgx.ForEachRow(rows, []any{&st.Final, &st.Missing, &st.Planned, &st.Live, &st.Ended, &st.Waiting}, func() error { return nil })
	st.Step = err == nil && rows.CommandTag().RowsAffected() == 1
	return st, wrap(err, "read the tasks of step %s of run %s", w.Step, w.RunID)
}

const unplanSQL = `
WITH due AS MATERIALIZED (
    SELECT id FROM executions WHERE id = ANY ($1) AND status = 'planned'
    ORDER BY id
    FOR UPDATE
), ended AS (
    UPDATE executions x SET status = 'finished', outcome = 'cancelled', reason = $2, finished_at = clock()
    FROM due
    WHERE x.id = due.id AND x.status || '' = 'planned'
    RETURNING x.id, x.run_id, x.step_no, x.indexes
` + tasksOfEnded + `
UPDATE tasks t SET status = 'pending', due_at = clock(), execution_id = NULL, dispatched_at = NULL
FROM picked k
WHERE t.run_id = k.run_id AND t.step_no = k.step_no AND t.task_index = k.task_index
  AND t.execution_id = k.id AND t.status = ANY ($3)`

// Unplan ends rows that were never sent, and their tasks wait again.
func (s *Store) Unplan(ctx context.Context, rows []uuid.UUID, reason string) error {
	_, err := s.pool.Exec(ctx, unplanSQL, rows, Clean(reason, 500), lifecycle.Sources(lifecycle.KindTask, lifecycle.Pending))
	return wrap(err, "free the tasks of planned executions %v", rows)
}

const leaveAloneSQL = `
WITH found AS (
    INSERT INTO left_alone (cloud_run_execution_name, execution_id, run, why, found_at)
    VALUES ($1, $2, $3, $4, clock())
    ON CONFLICT (cloud_run_execution_name) DO NOTHING
    RETURNING run
)
INSERT INTO events (at, kind, actor, subject, detail)
    SELECT clock(), 'left_alone', $5, 'execution ' || $1, 'of run ' || run || ': ' || $4 FROM found`

const keepNumberSQL = `
UPDATE workflows SET last_run_number = $2 WHERE name = $1 AND last_run_number < $2`

// LeaveAlone notes that an execution is known and belongs to nothing, with one event, and that its run's number is taken.
func (s *Store) LeaveAlone(ctx context.Context, l lifecycle.LeftAlone, actor string) error {
	if workflow, number, ok := lifecycle.RunNumber(l.Run); ok {
		if _, err := s.pool.Exec(ctx, keepNumberSQL, workflow, number); err != nil {
			return wrap(err, "keep the number of run %s", l.Run)
		}
	}
	_, err := s.pool.Exec(ctx, leaveAloneSQL, l.Name, l.Row, Clean(l.Run, 200), Clean(l.Why, 500), actor)
	return wrap(err, "leave execution %s alone", l.Name)
}

const leftAloneSQL = `SELECT cloud_run_execution_name FROM left_alone WHERE cloud_run_execution_name = ANY ($1)`

// LeftAlone says which of these executions are known to belong to nothing.
func (s *Store) LeftAlone(ctx context.Context, names []string) (map[string]bool, error) {
	rows, err := s.pool.Query(ctx, leftAloneSQL, names)
	if err != nil {
		return nil, wrap(err, "look for executions that are left alone")
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	known := make(map[string]bool, len(list))
	for _, name := range list {
		known[name] = true
	}
	return known, wrap(err, "look for executions that are left alone")
}

// unseenSteps are those of a job, in runs from before a time, that have tasks which are not sent, as far as the database knows.
const unseenSteps = `
FROM steps s JOIN runs r ON r.id = s.run_id
WHERE s.job = $1 AND s.finished_at IS NULL AND s.stop_requested_at IS NULL AND r.created_at < $2
  AND (s.pending > 0 OR s.expanded IS DISTINCT FROM s.task_count
       OR EXISTS (SELECT FROM executions x WHERE x.run_id = s.run_id AND x.step_no = s.step_no AND x.status = 'planned'))`

const countUnseenSQL = `SELECT count(*)` + unseenSteps

// CountUnseen is the number of steps that StopUnseen would stop.
func (s *Store) CountUnseen(ctx context.Context, job string, before time.Time) (n int, err error) {
	err = s.pool.QueryRow(ctx, countUnseenSQL, job, before).Scan(&n)
	return n, wrap(err, "count steps of job %s", job)
}

const stopUnseenSQL = `
WITH locked AS MATERIALIZED (
    SELECT s.run_id, s.step_no` + unseenSteps + `
    ORDER BY s.run_id, s.step_no
    FOR NO KEY UPDATE OF s
)` + stopLocked

const stopForgottenSQL = `
WITH locked AS MATERIALIZED (
    SELECT s.run_id, s.step_no FROM steps s
    WHERE s.run_id = $1 AND s.name = $2 AND s.finished_at IS NULL AND s.stop_requested_at IS NULL
    FOR NO KEY UPDATE OF s
)` + stopLocked

const stopLocked = `, stopped AS (
    UPDATE steps s SET stop_requested_at = clock(), stop_as = 'failed', stop_scope = 'unsent', stop_reason = $3
    FROM locked l
    WHERE s.run_id = l.run_id AND s.step_no = l.step_no AND s.finished_at IS NULL AND s.stop_requested_at IS NULL
    RETURNING s.run_id, s.name
)
INSERT INTO events (run_id, at, kind, actor, subject, detail)
    SELECT run_id, clock(), 'step_stopped', $4, 'step ' || name, $3 FROM stopped`

// StopUnseen stops the steps of a job whose unsent tasks may have run in a time of which nothing can be seen any more: those of runs created before
// its end. It gives their number.
func (s *Store) StopUnseen(ctx context.Context, job string, before time.Time, reason, actor string) (int, error) {
	tag, err := s.pool.Exec(ctx, stopUnseenSQL, job, before, Clean(reason, 1000), actor)
	return int(tag.RowsAffected()), wrap(err, "stop steps of job %s", job)
}

// StopForgotten stops the step of an execution that is given up: its tasks may have run there, and must not run again. It gives the number of steps.
func (s *Store) StopForgotten(ctx context.Context, run uuid.UUID, step, reason, actor string) (int, error) {
	tag, err := s.pool.Exec(ctx, stopForgottenSQL, run, step, Clean(reason, 1000), actor)
	return int(tag.RowsAffected()), wrap(err, "stop step %s of run %s", step, run)
}

const unblockLaunchSQL = `
WITH unblocked AS (
    UPDATE installation SET launch_blocked_reason = '', database_mark = database_mark() WHERE launch_blocked_reason = $1 RETURNING 1
)
INSERT INTO events (at, kind, actor, subject, detail)
    SELECT clock(), 'restored', $2, 'installation', $3 FROM unblocked`

// UnblockLaunch lets launching go on from this database, under its present mark. ok is false where it is blocked for another reason meanwhile.
func (s *Store) UnblockLaunch(ctx context.Context, reason, actor, detail string) (ok bool, err error) {
	tag, err := s.pool.Exec(ctx, unblockLaunchSQL, reason, actor, Clean(detail, 1000))
	return tag.RowsAffected() == 1, wrap(err, "unblock launching")
}
