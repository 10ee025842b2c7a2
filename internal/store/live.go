package store

import (
	"context"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const executionColumns = `x.id, x.run_id, x.step_no, s.name, x.job, x.status, coalesce(x.outcome, ''), x.indexes::text, x.task_count, x.send,
       coalesce(x.claim, '00000000-0000-0000-0000-000000000000'), x.sent_at, x.not_found_at, x.undecided_since, coalesce(x.cloud_run_execution_name, ''),
       x.image, x.log_uri, x.reason, x.stop_requested_at, coalesce(x.stop_as, ''), coalesce(x.stop_scope, ''), x.stop_reason, x.cancel_sent_at,
       x.running_count, x.succeeded_count, x.failed_count, x.cancelled_count, x.retried_count,
       x.created_at, x.launched_at, x.started_at, x.finished_at, clock()`

func scanExecution(row pgx.CollectableRow) (x lifecycle.Execution, err error) {
	err = scanInto(row, &x)
	return x, err
}

// scanInto reads executionColumns, and what a query selects after them.
func scanInto(row pgx.CollectableRow, x *lifecycle.Execution, after ...any) (err error) {
	var indexes string
	p := &x.Progress
	err = row.Scan(append([]any{&x.ID, &x.RunID, &x.StepNo, &x.Step, &x.Job, &x.Status, &x.Outcome, &indexes, &x.TaskCount, &x.Send,
		&x.Claim, &x.SentAt, &x.NotFoundAt, &x.UndecidedSince, &x.Name,
		&x.Image, &x.LogURI, &x.Reason, &x.Stop.RequestedAt, &x.Stop.As, &x.Stop.Scope, &x.Stop.Reason, &x.CancelSent,
		&p.Running, &p.Succeeded, &p.Failed, &p.Cancelled, &p.Retried,
		&x.CreatedAt, &x.LaunchedAt, &x.StartedAt, &x.FinishedAt, &x.ClaimedAt}, after...)...)
	if err != nil {
		return err
	}
	x.Indexes, err = parseMultirange(indexes)
	return err
}

// Claim bounds one claim of live rows.
type Claim struct {
	Token  uuid.UUID
	Length time.Duration
	Limit  int
	Due    time.Time // what is due later is left alone, so that one pass takes no row twice
}

const claimDueLooksSQL = `
WITH mine AS MATERIALIZED (
    SELECT x.id FROM executions x
    WHERE x.next_look_at <= $4 AND x.status IN ('launched', 'running')
      AND (x.claim_expires_at IS NULL OR x.claim_expires_at <= (SELECT clock()))
    ORDER BY x.next_look_at, x.id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE executions x SET claim = $1, claim_expires_at = clock() + $2::interval
FROM mine, steps s
WHERE x.id = mine.id AND s.run_id = x.run_id AND s.step_no = x.step_no AND x.status || '' IN ('launched', 'running')
RETURNING ` + executionColumns

// ClaimDueLooks claims launched and running rows that are to be looked at now.
func (s *Store) ClaimDueLooks(ctx context.Context, c Claim) ([]lifecycle.Execution, error) {
	return s.claim(ctx, claimDueLooksSQL, c, "claim executions to look at")
}

const claimUnknownSQL = `
WITH mine AS MATERIALIZED (
    SELECT x.id FROM executions x
    WHERE x.status = 'launching' AND x.claim_expires_at <= $4
    ORDER BY x.claim_expires_at, x.id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE executions x SET claim = $1, claim_expires_at = clock() + $2::interval
FROM mine, steps s
WHERE x.id = mine.id AND s.run_id = x.run_id AND s.step_no = x.step_no AND x.status || '' = 'launching'
RETURNING ` + executionColumns

// ClaimUnknown claims launching rows whose claim has expired: nobody knows what became of their send.
func (s *Store) ClaimUnknown(ctx context.Context, c Claim) ([]lifecycle.Execution, error) {
	return s.claim(ctx, claimUnknownSQL, c, "claim launches whose answer was lost")
}

const claimCancelsSQL = `
WITH mine AS MATERIALIZED (
    SELECT x.id FROM executions x
    WHERE x.stop_requested_at IS NOT NULL AND x.stop_scope = 'all' AND x.status IN ('launched', 'running')
      AND x.cancel_again_at <= $4
      AND (x.claim_expires_at IS NULL OR x.claim_expires_at <= (SELECT clock()))
    ORDER BY x.cancel_again_at, x.id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE executions x SET claim = $1, claim_expires_at = clock() + $2::interval
FROM mine, steps s
WHERE x.id = mine.id AND s.run_id = x.run_id AND s.step_no = x.step_no AND x.status || '' IN ('launched', 'running')
RETURNING ` + executionColumns

// ClaimCancels claims live rows that are to be asked to stop now.
func (s *Store) ClaimCancels(ctx context.Context, c Claim) ([]lifecycle.Execution, error) {
	return s.claim(ctx, claimCancelsSQL, c, "claim executions to cancel")
}

func (s *Store) claim(ctx context.Context, sql string, c Claim, op string) ([]lifecycle.Execution, error) {
	rows, err := s.pool.Query(ctx, sql, c.Token, c.Length, c.Limit, c.Due)
	if err != nil {
		return nil, wrap(err, "%s", op)
	}
	list, err := pgx.CollectRows(rows, scanExecution)
	return list, wrap(err, "%s", op)
}

const releaseSQL = `
WITH locked AS MATERIALIZED (
    SELECT x.id FROM executions x WHERE x.id = ANY ($1) AND x.claim = $2 AND x.status <> 'finished'
    ORDER BY x.id FOR UPDATE
)
UPDATE executions x
    SET claim = CASE WHEN x.status = 'launching' THEN x.claim END,
        claim_expires_at = CASE WHEN x.status = 'launching' THEN clock() + $3::interval END,
        next_look_at = CASE WHEN x.status IN ('launched', 'running') THEN clock() + $3::interval ELSE x.next_look_at END,
        reason = CASE WHEN $4 <> '' THEN $4 ELSE x.reason END,
        undecided_since = CASE WHEN $5 THEN coalesce(x.undecided_since, clock()) ELSE x.undecided_since END,
        not_found_at = CASE WHEN $6 THEN coalesce(x.not_found_at, clock()) ELSE x.not_found_at END
FROM locked l
WHERE x.id = l.id AND x.claim = $2 AND x.status <> 'finished'`

// Undecided is how a look at claimed rows ended that settles nothing.
type Undecided struct {
	Claim  uuid.UUID
	After  time.Duration // until the next look
	Why    string        // shown as what the rows wait for, where it is not empty
	Looked bool          // Cloud Run was asked; else there was no time for it
	Gone   bool          // the job was not found
}

// Release ends a claim without a decision.
func (s *Store) Release(ctx context.Context, ids []uuid.UUID, u Undecided) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := s.pool.Exec(ctx, releaseSQL, ids, u.Claim, u.After, Clean(u.Why, 1000), u.Looked, u.Gone)
	return wrap(err, "release %d executions from %s", len(ids), ids[0])
}

// CancelSent is one call of CancelExecution that Cloud Run took, or did not.
type CancelSent struct {
	ID    uuid.UUID
	Claim uuid.UUID
	OK    bool
	Again time.Duration // until it is asked again, should it still live
	Why   string        // it was not taken
}

const recordCancelsSQL = `
WITH input AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::interval[], $5::text[]) AS u(id, claim, ok, again, why)
), locked AS MATERIALIZED (
    SELECT x.id FROM executions x JOIN input i ON i.id = x.id
    WHERE x.claim = i.claim AND x.status || '' IN ('launched', 'running')
    ORDER BY x.id FOR UPDATE OF x
)
UPDATE executions x
    SET cancel_sent_at = CASE WHEN i.ok THEN coalesce(x.cancel_sent_at, clock()) ELSE x.cancel_sent_at END,
        cancel_again_at = clock() + i.again, next_look_at = least(x.next_look_at, clock() + interval '1 second'),
        reason = i.why, claim = NULL, claim_expires_at = NULL
FROM input i, locked l
WHERE x.id = i.id AND l.id = x.id AND x.claim = i.claim AND x.status || '' IN ('launched', 'running')`

// RecordCancels notes which executions were asked to stop, and when they are asked again.
func (s *Store) RecordCancels(ctx context.Context, sent []CancelSent) error {
	if len(sent) == 0 {
		return nil
	}
	var ids, claims []uuid.UUID
	var oks []bool
	var again []time.Duration
	var why []string
	for _, c := range sent {
		ids, claims, oks = append(ids, c.ID), append(claims, c.Claim), append(oks, c.OK)
		again, why = append(again, c.Again), append(why, Clean(c.Why, 1000))
	}
	_, err := s.pool.Exec(ctx, recordCancelsSQL, ids, claims, oks, again, why)
	return wrap(err, "record cancels of %d executions from %s", len(ids), ids[0])
}

const markStoppingSQL = `
WITH due AS MATERIALIZED (
    SELECT x.id, s.stop_requested_at, s.stop_as, s.stop_reason
    FROM steps s
    JOIN runs r ON r.id = s.run_id
    JOIN executions x ON x.workflow_id = r.workflow_id AND x.run_id = s.run_id AND x.step_no = s.step_no
                     AND x.status IN ('launching', 'launched', 'running')
    WHERE s.finished_at IS NULL AND s.stop_requested_at IS NOT NULL AND s.stop_scope = 'all'
      AND x.stop_scope IS DISTINCT FROM 'all'
    ORDER BY x.id
    LIMIT $1
    FOR UPDATE OF x SKIP LOCKED
)
UPDATE executions x
    SET stop_requested_at = d.stop_requested_at, stop_as = d.stop_as, stop_scope = 'all', stop_reason = d.stop_reason,
        cancel_again_at = clock()
FROM due d
WHERE x.id = d.id AND x.status || '' IN ('launching', 'launched', 'running')`

// MarkStopping passes the stops of steps on to their live executions.
func (s *Store) MarkStopping(ctx context.Context, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, markStoppingSQL, limit)
	return int(tag.RowsAffected()), wrap(err, "mark executions that stop")
}

// tasksOfEnded locks the tasks that rows carried when they ended planned.
const tasksOfEnded = `), ordered AS (
    SELECT e.run_id, e.step_no, e.id, lower(r) AS first, upper(r) AS past
    FROM ended e
    CROSS JOIN LATERAL unnest(e.indexes) AS r
    ORDER BY e.run_id, e.step_no, lower(r)
    OFFSET 0
), picked AS MATERIALIZED (
    SELECT o.run_id, o.step_no, t.task_index, o.id
    FROM ordered o
    CROSS JOIN LATERAL (
        SELECT task_index FROM tasks
        WHERE run_id = o.run_id AND step_no = o.step_no AND task_index >= o.first AND task_index < o.past AND execution_id = o.id
          AND status = 'dispatched'
        ORDER BY task_index
        FOR NO KEY UPDATE
    ) t
)`

const cancelPlannedSQL = `
WITH due AS MATERIALIZED (
    SELECT x.id
    FROM steps s
    JOIN executions x ON x.run_id = s.run_id AND x.step_no = s.step_no AND x.status = 'planned'
    WHERE s.finished_at IS NULL AND s.stop_requested_at IS NOT NULL
    ORDER BY x.id
    LIMIT $2
    FOR UPDATE OF x SKIP LOCKED
), ended AS (
    UPDATE executions x SET status = 'finished', outcome = 'cancelled', reason = 'cancelled', finished_at = $1
    FROM due
    WHERE x.id = due.id AND x.status || '' = 'planned'
    RETURNING x.id, x.run_id, x.step_no, x.indexes
` + tasksOfEnded + `, written AS (
    UPDATE tasks t SET status = 'cancelled', reason = 'cancelled', finished_at = $1, dispatched_at = NULL
    FROM picked k
    WHERE t.run_id = k.run_id AND t.step_no = k.step_no AND t.task_index = k.task_index
      AND t.execution_id = k.id AND t.status = 'dispatched'
)
SELECT id FROM ended`

// CancelPlanned ends planned executions of stopping steps, with their tasks.
func (s *Store) CancelPlanned(ctx context.Context, now time.Time, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, cancelPlannedSQL, now, limit)
	return int(tag.RowsAffected()), wrap(err, "cancel planned executions")
}

const cancelPendingSQL = `
WITH due AS MATERIALIZED (
    SELECT t.run_id, t.step_no, t.task_index
    FROM steps s
    JOIN tasks t ON t.run_id = s.run_id AND t.step_no = s.step_no AND t.due_at IS NOT NULL
    WHERE s.finished_at IS NULL AND s.stop_requested_at IS NOT NULL AND s.pending > 0
    ORDER BY t.run_id, t.step_no, t.task_index
    LIMIT $2
    FOR UPDATE OF t SKIP LOCKED
)
UPDATE tasks t SET status = 'cancelled', reason = 'cancelled', finished_at = $1, due_at = NULL
FROM due
WHERE t.run_id = due.run_id AND t.step_no = due.step_no AND t.task_index = due.task_index AND t.status = 'pending'`

// CancelPending ends pending tasks of stopping steps.
func (s *Store) CancelPending(ctx context.Context, now time.Time, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, cancelPendingSQL, now, limit)
	return int(tag.RowsAffected()), wrap(err, "cancel pending tasks")
}
