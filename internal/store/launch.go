package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Rows that a statement has found by their key are guarded with status || '' in place of status: the partial indexes by status are small
// when their statistics are made and large when they are used, and a guard that implies one makes the planner read it whole for every row.

// ToSend is a claimed row with what its container is to see.
type ToSend struct {
	lifecycle.Execution
	WorkflowID  uuid.UUID
	Workflow    string
	Version     int
	RunNumber   int64
	RunParams   json.RawMessage
	ScheduledAt time.Time
	StepTasks   int
	Attempts    []int
	Params      []json.RawMessage
}

// LaunchClaim bounds one claim of planned rows.
type LaunchClaim struct {
	Claim    uuid.UUID
	Length   time.Duration // how long the claim holds
	Limit    int           // as many as are sent at this moment
	Closed   []string      // locations to which nothing is sent now
	Only     string        // where it is not empty: the only location to which something is sent
	Workflow uuid.UUID     // with ClaimLimited
}

const toSendColumns = `
    RETURNING x.id, x.workflow_id, x.run_id, x.step_no, x.job, x.status, x.indexes, x.task_count, x.send, x.claim, x.sent_at, x.created_at
)
SELECT x.id, x.workflow_id, x.run_id, x.step_no, x.job, x.status, x.indexes::text, x.task_count, x.send, x.claim, x.sent_at, x.created_at,
       s.name, w.name, r.version, r.number, r.params, r.scheduled_at, coalesce(s.task_count, 0),
       t.attempts, t.params
FROM claimed x
JOIN runs r ON r.id = x.run_id
JOIN workflows w ON w.id = x.workflow_id
JOIN steps s ON s.run_id = x.run_id AND s.step_no = x.step_no
CROSS JOIN LATERAL (
    SELECT array_agg(t.attempt ORDER BY t.task_index) AS attempts, array_agg(t.params ORDER BY t.task_index) AS params
    FROM unnest(x.indexes) AS i
    CROSS JOIN LATERAL (
        SELECT task_index, attempt, params FROM tasks
        WHERE run_id = x.run_id AND step_no = x.step_no AND task_index >= lower(i) AND task_index < upper(i) AND execution_id = x.id
        OFFSET 0
    ) t
) t
ORDER BY x.id`

const claimPlannedSQL = `
WITH mine AS MATERIALIZED (
    SELECT x.id
    FROM executions x
    JOIN steps s ON s.run_id = x.run_id AND s.step_no = x.step_no
    JOIN runs r ON r.id = x.run_id
    WHERE x.status = 'planned' AND x.not_before <= (SELECT clock()) AND x.location <> ALL ($4::text[]) AND ($6 = '' OR x.location = $6)
      AND s.finished_at IS NULL AND s.stop_requested_at IS NULL
      AND s.max_executions IS NULL AND r.max_executions IS NULL
      AND (SELECT launch_blocked_reason = '' AND database_mark = database_mark() FROM installation)
    ORDER BY x.not_before, x.id
    LIMIT $3
    FOR UPDATE OF x SKIP LOCKED
), claimed AS (
    UPDATE executions x
        SET status = 'launching', claim = $1, sent_at = clock(), claim_expires_at = clock() + $2::interval, reason = ''
    FROM mine
    WHERE x.id = mine.id AND x.status || '' = ANY ($5)` + toSendColumns

// ClaimPlanned claims planned rows of workflows and steps without a limit of executions: they are this caller's to send, once, before the claim expires.
func (s *Store) ClaimPlanned(ctx context.Context, c LaunchClaim) ([]ToSend, error) {
	rows, err := s.pool.Query(ctx, claimPlannedSQL, c.Claim, c.Length, c.Limit, nonNil(c.Closed), lifecycle.Sources(lifecycle.KindExecution, lifecycle.Launching), c.Only)
	if err != nil {
		return nil, wrap(err, "claim planned executions")
	}
	list, err := pgx.CollectRows(rows, scanToSend)
	return list, wrap(err, "claim planned executions")
}

const limitedSQL = `
SELECT DISTINCT r.workflow_id
FROM steps s
JOIN runs r ON r.id = s.run_id
WHERE s.finished_at IS NULL AND s.status = 'running' AND s.stop_requested_at IS NULL AND s.dispatched > 0
  AND (s.max_executions IS NOT NULL OR r.max_executions IS NOT NULL)
  AND EXISTS (SELECT FROM executions x WHERE x.run_id = s.run_id AND x.step_no = s.step_no AND x.status = 'planned' AND x.not_before <= $1)
ORDER BY r.workflow_id`

// Limited lists the workflows that have planned rows under a limit of executions.
func (s *Store) Limited(ctx context.Context, now time.Time) ([]uuid.UUID, error) {
	rows, err := s.pool.Query(ctx, limitedSQL, now)
	if err != nil {
		return nil, wrap(err, "list workflows with a limit")
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	return list, wrap(err, "list workflows with a limit")
}

const lockLimitSQL = `SELECT pg_advisory_xact_lock(hashtextextended('max_executions/' || $1::text, 0))`

const claimLimitedSQL = `
WITH live AS MATERIALIZED (
    SELECT run_id, step_no, count(*) AS n FROM executions
    WHERE workflow_id = $7 AND status IN ('launching', 'launched', 'running')
    GROUP BY run_id, step_no
), within_step AS (
    SELECT x.id, x.not_before, r.max_executions,
           s.max_executions IS NULL
           OR row_number() OVER (PARTITION BY x.run_id, x.step_no ORDER BY x.not_before, x.id) + coalesce(l.n, 0) <= s.max_executions AS fits
    FROM executions x
    JOIN steps s ON s.run_id = x.run_id AND s.step_no = x.step_no
    JOIN runs r ON r.id = x.run_id
    LEFT JOIN live l ON l.run_id = x.run_id AND l.step_no = x.step_no
    WHERE x.workflow_id = $7 AND x.status = 'planned' AND x.not_before <= (SELECT clock()) AND x.location <> ALL ($4::text[]) AND ($6 = '' OR x.location = $6)
      AND s.finished_at IS NULL AND s.stop_requested_at IS NULL
      AND (s.max_executions IS NOT NULL OR r.max_executions IS NOT NULL)
      AND (SELECT launch_blocked_reason = '' AND database_mark = database_mark() FROM installation)
), within AS (
    SELECT id, max_executions IS NULL
           OR row_number() OVER (ORDER BY not_before, id) + (SELECT coalesce(sum(n), 0) FROM live) <= max_executions AS fits
    FROM within_step WHERE fits
), mine AS MATERIALIZED (
    SELECT x.id FROM executions x
    WHERE x.id IN (SELECT id FROM within WHERE fits) AND x.status = 'planned'
    ORDER BY x.id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE executions x
        SET status = 'launching', claim = $1, sent_at = clock(), claim_expires_at = clock() + $2::interval, reason = ''
    FROM mine
    WHERE x.id = mine.id AND x.status || '' = ANY ($5)` + toSendColumns

// ClaimLimited is ClaimPlanned for one workflow with a limit of executions: what is live is counted under the workflow's lock, in the same transaction.
// With an error it returns no row: what was not surely committed must not be sent.
func (s *Store) ClaimLimited(ctx context.Context, c LaunchClaim) (list []ToSend, err error) {
	err = s.inTx(ctx, func(t tx) error {
		if _, err := t.Exec(ctx, lockLimitSQL, c.Workflow); err != nil {
			return err
		}
		rows, err := t.Query(ctx, claimLimitedSQL, c.Claim, c.Length, c.Limit, nonNil(c.Closed), lifecycle.Sources(lifecycle.KindExecution, lifecycle.Launching), c.Only, c.Workflow)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, scanToSend)
		return err
	})
	if err != nil { // nothing was claimed, or nobody knows whether it was
		return nil, wrap(err, "claim planned executions of workflow %s", c.Workflow)
	}
	return list, nil
}

func scanToSend(row pgx.CollectableRow) (x ToSend, err error) {
	var indexes string
	err = row.Scan(&x.ID, &x.WorkflowID, &x.RunID, &x.StepNo, &x.Job, &x.Status, &indexes, &x.TaskCount, &x.Send, &x.Claim, &x.SentAt, &x.CreatedAt,
		&x.Step, &x.Workflow, &x.Version, &x.RunNumber, &x.RunParams, &x.ScheduledAt, &x.StepTasks,
		&x.Attempts, &x.Params)
	if err != nil {
		return x, err
	}
	x.Indexes, err = parseMultirange(indexes)
	return x, err
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Named is a name that Cloud Run gave to one send of one row.
type Named struct {
	ID   uuid.UUID
	Send int
	Name string
}

const recordNamedSQL = `
WITH input AS (
    SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS u(id, send, name)
), locked AS MATERIALIZED (
    SELECT x.id FROM executions x JOIN input i ON i.id = x.id
    WHERE x.send = i.send AND x.status || '' = ANY ($4)
    ORDER BY x.id
    FOR UPDATE OF x
)
UPDATE executions x
    SET status = 'launched', cloud_run_execution_name = i.name, launched_at = clock(), next_look_at = clock() + $5::interval,
        claim = NULL, claim_expires_at = NULL, reason = '', not_found_at = NULL, undecided_since = NULL,
        cancel_again_at = CASE WHEN x.stop_requested_at IS NOT NULL THEN clock() END
FROM input i, locked l
WHERE x.id = i.id AND l.id = x.id AND x.send = i.send AND x.status || '' = ANY ($4)
  AND NOT EXISTS (SELECT FROM orphans o WHERE o.cloud_run_execution_name = i.name)
RETURNING x.id`

// RecordNamed makes rows launched under the names that Cloud Run gave them. A name is a fact, so the guard is (id, send, launching) whoever holds the claim.
// It returns the ids of the rows that took their name; the others had ended or were sent again, or the name is that of an orphan, which is cancelled.
func (s *Store) RecordNamed(ctx context.Context, names []Named, firstLook time.Duration) ([]uuid.UUID, error) {
	done, err := s.recordNamed(ctx, names, firstLook)
	if err == nil || len(names) == 1 || ctx.Err() != nil || errors.Is(err, ErrUnreachable) {
		return done, err
	}
	var errs []error
	for _, n := range names { // one bad row must not take the others with it
		one, err := s.recordNamed(ctx, []Named{n}, firstLook)
		done, errs = append(done, one...), append(errs, err)
	}
	return done, errors.Join(errs...)
}

func (s *Store) recordNamed(ctx context.Context, names []Named, firstLook time.Duration) ([]uuid.UUID, error) {
	ids, sends, texts := make([]uuid.UUID, len(names)), make([]int, len(names)), make([]string, len(names))
	for i, n := range names {
		ids[i], sends[i], texts[i] = n.ID, n.Send, n.Name
	}
	rows, err := s.pool.Query(ctx, recordNamedSQL, ids, sends, texts, lifecycle.Sources(lifecycle.KindExecution, lifecycle.Launched), firstLook)
	if err != nil {
		return nil, wrap(err, "record names of %v", ids)
	}
	done, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	return done, wrap(err, "record names of %v", ids)
}

// BackToPlanned is a claimed row that was certainly not started.
type BackToPlanned struct {
	ID      uuid.UUID
	Claim   uuid.UUID
	Refused bool          // by a quota, so the send number is raised; else it was never sent
	Delay   time.Duration // until it may be sent
	Reason  string
}

const backToPlannedSQL = `
WITH input AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::interval[], $5::text[]) AS u(id, claim, refused, delay, reason)
), locked AS MATERIALIZED (
    SELECT x.id FROM executions x JOIN input i ON i.id = x.id
    WHERE x.claim = i.claim AND x.status || '' = ANY ($6)
    ORDER BY x.id
    FOR UPDATE OF x
)
UPDATE executions x
    SET status = 'planned', claim = NULL, claim_expires_at = NULL, sent_at = NULL,
        send = x.send + i.refused::integer, not_before = clock() + i.delay, reason = i.reason
FROM input i, locked l
WHERE x.id = i.id AND l.id = x.id AND x.claim = i.claim AND x.status || '' = ANY ($6)`

// GiveBack returns claimed rows to planned: refused by a quota, or not sent at all.
func (s *Store) GiveBack(ctx context.Context, back []BackToPlanned) error {
	var ids, claims []uuid.UUID
	var refused []bool
	var delays []time.Duration
	var reasons []string
	for _, b := range back {
		ids, claims, refused = append(ids, b.ID), append(claims, b.Claim), append(refused, b.Refused)
		delays, reasons = append(delays, b.Delay), append(reasons, b.Reason)
	}
	_, err := s.pool.Exec(ctx, backToPlannedSQL, ids, claims, refused, delays, reasons, lifecycle.Sources(lifecycle.KindExecution, lifecycle.Planned))
	return wrap(err, "give back %v", ids)
}
