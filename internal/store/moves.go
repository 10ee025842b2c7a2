package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// The tasks of an execution are always reached through LATERAL with a range of the primary key: tables that have just grown have no statistics yet,
// and the planner must not be free to read a whole step instead.
const recordMovesSQL = `
WITH input AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                         $9::integer[], $10::integer[], $11::integer[], $12::integer[], $13::integer[],
                         $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[])
        AS u(id, claim, was, status, outcome, reason, image, log_uri, running, succeeded, failed, cancelled, retried,
             started_at, finished_at, next_look_at, not_found_at)
), locked AS MATERIALIZED (
    SELECT x.id FROM executions x JOIN input i ON i.id = x.id
    WHERE x.claim = i.claim AND x.status = i.was
    ORDER BY x.id
    FOR UPDATE OF x
), moved AS (
    UPDATE executions x
        SET status = i.status, outcome = nullif(i.outcome, ''), reason = i.reason,
            image = CASE WHEN i.image <> '' THEN i.image ELSE x.image END,
            log_uri = CASE WHEN i.log_uri <> '' THEN i.log_uri ELSE x.log_uri END,
            running_count = i.running, succeeded_count = i.succeeded, failed_count = i.failed,
            cancelled_count = i.cancelled, retried_count = i.retried,
            started_at = coalesce(i.started_at, x.started_at), finished_at = i.finished_at,
            next_look_at = i.next_look_at, not_found_at = i.not_found_at, undecided_since = NULL,
            claim = NULL, claim_expires_at = NULL
    FROM input i, locked l
    WHERE x.id = i.id AND l.id = x.id AND x.claim = i.claim AND x.status = i.was
    RETURNING x.id, x.run_id, x.step_no
), parts AS (
    SELECT * FROM unnest($18::uuid[], $19::integer[], $20::integer[], $21::text[], $22::text[], $23::integer[], $24::integer[],
                         $25::timestamptz[], $26::timestamptz[], $27::timestamptz[], $28::boolean[])
        AS p(id, first, last, status, reason, exit_code, signal, started_at, finished_at, due_at, next_attempt)
), ordered AS (
    SELECT m.run_id, m.step_no, p.*, p.status = 'pending' AND s.stop_requested_at IS NOT NULL AS too_late
    FROM moved m
    JOIN parts p ON p.id = m.id
    JOIN steps s ON s.run_id = m.run_id AND s.step_no = m.step_no
    ORDER BY m.run_id, m.step_no, p.first
    OFFSET 0
), picked AS MATERIALIZED (
    SELECT t.task_index, o.*
    FROM ordered o
    CROSS JOIN LATERAL (
        SELECT task_index FROM tasks
        WHERE run_id = o.run_id AND step_no = o.step_no AND task_index BETWEEN o.first AND o.last AND execution_id = o.id
          AND status IN ('dispatched', 'running') AND status <> o.status
        ORDER BY task_index
        FOR NO KEY UPDATE
    ) t
), written AS (
    UPDATE tasks t
        SET status = CASE WHEN k.too_late THEN 'cancelled' ELSE k.status END,
            reason = CASE WHEN k.too_late THEN 'cancelled' ELSE k.reason END,
            exit_code = k.exit_code, signal = k.signal,
            started_at = CASE WHEN k.status <> 'pending' OR k.too_late THEN coalesce(k.started_at, t.started_at) END,
            dispatched_at = CASE WHEN k.status <> 'pending' OR k.too_late THEN t.dispatched_at END,
            finished_at = CASE WHEN k.too_late THEN clock() ELSE k.finished_at END,
            due_at = CASE WHEN NOT k.too_late THEN k.due_at END,
            attempt = t.attempt + (k.status = 'pending' AND k.next_attempt AND NOT k.too_late)::integer,
            returns = t.returns + (k.status = 'pending' AND NOT k.next_attempt AND NOT k.too_late)::integer
    FROM picked k
    WHERE t.run_id = k.run_id AND t.step_no = k.step_no AND t.task_index = k.task_index
      AND t.execution_id = k.id AND t.status IN ('dispatched', 'running')
)
SELECT id FROM moved`

// StepStop stops the step of an execution together with its move.
type StepStop struct {
	As     lifecycle.Status
	Reason string
}

// RecordMoves writes what was decided about claimed executions and their tasks, in one transaction; each row only while its claim and status are what they were.
// stops, by execution id, stop the steps of rows that moved. It returns the ids that moved; the others were somebody else's meanwhile.
// When the whole cannot be written it is tried row by row, and the error names the rows that fail alone.
func (s *Store) RecordMoves(ctx context.Context, moves []lifecycle.Move, stops map[uuid.UUID]StepStop) ([]uuid.UUID, error) {
	if len(moves) == 0 {
		return nil, nil
	}
	done, err := s.recordMoves(ctx, moves, stops)
	if err == nil || len(moves) == 1 || ctx.Err() != nil || errors.Is(err, ErrUnreachable) {
		return done, err
	}
	done = nil
	var errs []error
	for _, m := range moves {
		one, err := s.recordMoves(ctx, []lifecycle.Move{m}, stops)
		done, errs = append(done, one...), append(errs, err)
	}
	return done, errors.Join(errs...)
}

func (s *Store) recordMoves(ctx context.Context, moves []lifecycle.Move, stops map[uuid.UUID]StepStop) (done []uuid.UUID, err error) {
	args, err := moveArgs(moves)
	if err != nil {
		return nil, err
	}
	err = s.inTx(ctx, func(t tx) error {
		rows, err := t.Query(ctx, recordMovesSQL, args...)
		if err != nil {
			return err
		}
		if done, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil {
			return err
		}
		return stopSteps(ctx, t, done, stops)
	})
	if err != nil {
		return nil, wrap(err, "record %d executions from %s", len(moves), moves[0].Row.ID)
	}
	return done, nil
}

func moveArgs(moves []lifecycle.Move) ([]any, error) {
	var (
		ids, claims, taskIDs                           []uuid.UUID
		was, status, outcome, reason, image, logURI    []string
		running, succeeded, failed, cancelled, retried []int
		started, finished, nextLook, notFound          []*time.Time
		first, last                                    []int
		taskStatus, taskReason                         []string
		exitCode, signal                               []*int
		taskStarted, taskFinished, taskDue             []*time.Time
		nextAttempt                                    []bool
	)
	for _, m := range moves {
		if m.Status != m.Row.Status && !lifecycle.May(lifecycle.KindExecution, m.Row.Status, m.Status) {
			return nil, fmt.Errorf("execution %s cannot go from %s to %s", m.Row.ID, m.Row.Status, m.Status)
		}
		ids, claims = append(ids, m.Row.ID), append(claims, m.Row.Claim)
		was, status, outcome = append(was, string(m.Row.Status)), append(status, string(m.Status)), append(outcome, string(m.Outcome))
		reason, image, logURI = append(reason, Clean(m.Reason, 2000)), append(image, Clean(m.Image, 1000)), append(logURI, Clean(m.LogURI, 2000))
		p := m.Progress
		running, succeeded, failed = append(running, p.Running), append(succeeded, p.Succeeded), append(failed, p.Failed)
		cancelled, retried = append(cancelled, p.Cancelled), append(retried, p.Retried)
		started, finished = append(started, m.StartedAt), append(finished, m.FinishedAt)
		nextLook, notFound = append(nextLook, m.NextLookAt), append(notFound, m.NotFoundAt)
		for _, v := range m.Tasks {
			taskIDs = append(taskIDs, m.Row.ID)
			first, last = append(first, v.Indexes.From), append(last, v.Indexes.To)
			taskStatus, taskReason = append(taskStatus, string(v.Status)), append(taskReason, Clean(v.Reason, 500))
			exitCode, signal = append(exitCode, v.ExitCode), append(signal, v.Signal)
			taskStarted, taskFinished = append(taskStarted, v.StartedAt), append(taskFinished, v.FinishedAt)
			taskDue, nextAttempt = append(taskDue, v.DueAt), append(nextAttempt, v.NextAttempt)
		}
	}
	return []any{
		ids, claims, was, status, outcome, reason, image, logURI, running, succeeded, failed, cancelled, retried,
		started, finished, nextLook, notFound,
		taskIDs, first, last, taskStatus, taskReason, exitCode, signal, taskStarted, taskFinished, taskDue, nextAttempt,
	}, nil
}

const stopStepsOfSQL = `
WITH input AS (
    SELECT DISTINCT ON (x.run_id, x.step_no) x.run_id, x.step_no, u.stop_as, u.reason
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u(id, stop_as, reason)
    JOIN executions x ON x.id = u.id
    ORDER BY x.run_id, x.step_no
), locked AS MATERIALIZED (
    SELECT s.run_id, s.step_no FROM steps s JOIN input i ON i.run_id = s.run_id AND i.step_no = s.step_no
    WHERE s.finished_at IS NULL AND s.stop_requested_at IS NULL
    ORDER BY s.run_id, s.step_no
    FOR NO KEY UPDATE OF s
), stopped AS (
    UPDATE steps s
        SET stop_requested_at = clock(), stop_as = i.stop_as, stop_scope = 'unsent', stop_reason = i.reason
    FROM input i, locked l
    WHERE s.run_id = i.run_id AND s.step_no = i.step_no AND l.run_id = s.run_id AND l.step_no = s.step_no
      AND s.finished_at IS NULL AND s.stop_requested_at IS NULL
    RETURNING s.run_id, s.name, s.stop_reason
)
INSERT INTO events (run_id, at, kind, actor, subject, detail)
    SELECT run_id, clock(), 'step_stopped', 'tick', 'step ' || name, stop_reason FROM stopped`

func stopSteps(ctx context.Context, t tx, moved []uuid.UUID, stops map[uuid.UUID]StepStop) error {
	var ids []uuid.UUID
	var as, reasons []string
	for _, id := range moved {
		if stop, ok := stops[id]; ok {
			ids, as, reasons = append(ids, id), append(as, string(stop.As)), append(reasons, Clean(stop.Reason, 2000))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := t.Exec(ctx, stopStepsOfSQL, ids, as, reasons)
	return err
}
