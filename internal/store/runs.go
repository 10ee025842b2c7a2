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

// NewRun is a run to be created, with its steps.
type NewRun struct {
	ID            uuid.UUID
	WorkflowID    uuid.UUID
	Workflow      string
	Version       int // the version that the steps were made from
	Mode          lifecycle.Mode
	Params        json.RawMessage
	Actor         string
	MaxExecutions int // 0: no limit
	Steps         []NewStep
	Key           string // Idempotency-Key, may be empty
	Digest        []byte
}

// NewStep is a step of a NewRun; its number is its place in the slice.
type NewStep struct {
	Name          string
	Needs         []int
	Job           string
	TaskCount     int
	Tolerated     int
	MaxExecutions int // 0: no limit
}

// ErrVersionChanged: another version was applied, or the workflow archived, between reading and writing. Read again.
var ErrVersionChanged = errors.New("the workflow has changed meanwhile")

const numberRunSQL = `
UPDATE workflows SET last_run_number = last_run_number + 1
WHERE id = $1 AND version = $2 AND archived_at IS NULL
RETURNING last_run_number`

const lockForRunSQL = `SELECT FROM workflows WHERE id = $1 FOR NO KEY UPDATE`

const keySQL = `SELECT run_id, digest FROM idempotency_keys WHERE workflow_id = $1 AND key = $2`

const insertRunSQL = `
WITH run AS (
    INSERT INTO runs (id, workflow_id, number, version, status, mode, params, origin, scheduled_at, created_by, max_executions, created_at)
    SELECT $1, $2, $3, $4, 'pending', $5, $6, 'trigger', now, $7, nullif($8, 0), now FROM clock() AS now
    RETURNING id, created_at
), key AS (
    INSERT INTO idempotency_keys (workflow_id, key, digest, run_id, created_at)
    SELECT $2, $9::text, $10, run.id, run.created_at FROM run WHERE $9::text <> ''
)
INSERT INTO events (run_id, at, kind, actor, subject)
    SELECT id, created_at, 'run_created', $7, 'run' FROM run`

const insertStepsSQL = `
INSERT INTO steps (run_id, step_no, name, status, needs, job, task_count, tolerated, max_executions)
SELECT $1, u.no - 1, u.name, 'pending', u.needs::integer[], u.job, u.task_count, u.tolerated, nullif(u.max_executions, 0)
FROM unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::integer[])
     WITH ORDINALITY AS u(name, needs, job, task_count, tolerated, max_executions, no)`

// Replay finds the run that was made under a key. uuid.Nil where the key is new; lifecycle.ErrConflict when it came with another body.
func (s *Store) Replay(ctx context.Context, workflow uuid.UUID, name, key string, digest []byte) (uuid.UUID, error) {
	id, err := usedKey(s.pool.QueryRow(ctx, keySQL, workflow, key), name, key, digest)
	return id, wrap(err, "look for the run of a key")
}

func usedKey(row pgx.Row, workflow, key string, digest []byte) (id uuid.UUID, err error) {
	var used []byte
	switch err := row.Scan(&id, &used); {
	case errors.Is(err, pgx.ErrNoRows):
		return uuid.Nil, nil
	case err != nil:
		return uuid.Nil, err
	case string(used) != string(digest):
		return uuid.Nil, lifecycle.Conflict("Idempotency-Key %q was used for workflow %q with another body; use a new key for a new run", key, workflow)
	}
	return id, nil
}

// CreateRun makes a run with its steps in one transaction that locks the workflow. Under a key that was used before it returns that run's id and replayed.
// Errors: ErrVersionChanged, or lifecycle.ErrConflict when the key came with another body.
func (s *Store) CreateRun(ctx context.Context, n NewRun) (id uuid.UUID, replayed bool, err error) {
	err = s.inTx(ctx, func(t tx) error {
		id, replayed = n.ID, false
		if _, err := t.Exec(ctx, lockForRunSQL, n.WorkflowID); err != nil {
			return err
		}
		if n.Key != "" {
			used, err := usedKey(t.QueryRow(ctx, keySQL, n.WorkflowID, n.Key), n.Workflow, n.Key, n.Digest)
			if err != nil {
				return err
			}
			if used != uuid.Nil {
				id, replayed = used, true
				return nil
			}
		}
		var number int64
		switch err := t.QueryRow(ctx, numberRunSQL, n.WorkflowID, n.Version).Scan(&number); {
		case errors.Is(err, pgx.ErrNoRows):
			return ErrVersionChanged
		case err != nil:
			return err
		}
		if _, err := t.Exec(ctx, insertRunSQL, n.ID, n.WorkflowID, number, n.Version, n.Mode, n.Params, n.Actor, n.MaxExecutions, n.Key, n.Digest); err != nil {
			return err
		}
		return insertSteps(ctx, t, n)
	})
	return id, replayed, wrap(err, "create a run of workflow %s", n.Workflow)
}

func insertSteps(ctx context.Context, t tx, n NewRun) error {
	var names, needs, jobs []string
	var counts, tolerated, limits []int
	for _, st := range n.Steps {
		names, needs, jobs = append(names, st.Name), append(needs, intArray(st.Needs)), append(jobs, st.Job)
		counts, tolerated, limits = append(counts, st.TaskCount), append(tolerated, st.Tolerated), append(limits, st.MaxExecutions)
	}
	_, err := t.Exec(ctx, insertStepsSQL, n.ID, names, needs, jobs, counts, tolerated, limits)
	return err
}

// intArray writes PostgreSQL's array literal; unnest cannot take arrays of arrays of different lengths.
func intArray(ns []int) string {
	b, _ := json.Marshal(ns)
	if len(ns) == 0 {
		return "{}"
	}
	b[0], b[len(b)-1] = '{', '}'
	return string(b)
}

// Tasks that do not exist as rows yet, or never will, are shown with the others.
const (
	pendingTasks   = `pending + CASE WHEN finished_at IS NULL THEN coalesce(task_count, 0) - expanded ELSE 0 END`
	cancelledTasks = `cancelled + CASE WHEN finished_at IS NOT NULL AND status <> 'skipped' THEN coalesce(task_count, 0) - expanded ELSE 0 END`
	skippedTasks   = `skipped + CASE WHEN status = 'skipped' THEN coalesce(task_count, 0) ELSE 0 END`
)

const runColumns = `
       r.id, w.name, r.number, r.version, r.status, r.mode, r.params, r.origin, r.created_by, coalesce(r.max_executions, 0),
       r.stop_requested_at, coalesce(r.stop_as, ''), coalesce(r.stop_scope, ''), r.stop_reason, r.reason,
       r.created_at, r.started_at, r.finished_at,
       c.task_count, c.pending, c.dispatched, c.running, c.success, c.failed, c.cancelled, c.skipped
FROM runs r
JOIN workflows w ON w.id = r.workflow_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(task_count), 0)::integer AS task_count,
           sum(` + pendingTasks + `)::integer AS pending, sum(dispatched)::integer AS dispatched,
           sum(running)::integer AS running, sum(success)::integer AS success, sum(failed)::integer AS failed,
           sum(` + cancelledTasks + `)::integer AS cancelled, sum(` + skippedTasks + `)::integer AS skipped
    FROM steps s WHERE s.run_id = r.id
) c`

func scanRun(row pgx.CollectableRow) (r lifecycle.Run, err error) {
	c := &r.Counts
	err = row.Scan(&r.ID, &r.Workflow, &r.Number, &r.Version, &r.Status, &r.Mode, &r.Params, &r.Origin, &r.CreatedBy, &r.MaxExecutions,
		&r.Stop.RequestedAt, &r.Stop.As, &r.Stop.Scope, &r.Stop.Reason, &r.Reason,
		&r.CreatedAt, &r.StartedAt, &r.FinishedAt,
		&r.TaskCount, &c.Pending, &c.Dispatched, &c.Running, &c.Success, &c.Failed, &c.Cancelled, &c.Skipped)
	return r, err
}

const runByIDSQL = `SELECT` + runColumns + `
WHERE r.id = $1`

// Run is one run. lifecycle.ErrNotFound where there is none.
func (s *Store) Run(ctx context.Context, id uuid.UUID) (lifecycle.Run, error) {
	return s.oneRun(ctx, runByIDSQL, id)
}

const runByNumberSQL = `SELECT` + runColumns + `
WHERE w.name = $1 AND r.number = $2`

// RunByNumber is one run. lifecycle.ErrNotFound where there is none.
func (s *Store) RunByNumber(ctx context.Context, workflow string, number int64) (lifecycle.Run, error) {
	return s.oneRun(ctx, runByNumberSQL, workflow, number)
}

func (s *Store) oneRun(ctx context.Context, sql string, args ...any) (lifecycle.Run, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return lifecycle.Run{}, wrap(err, "read run %v", args)
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanRun)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, lifecycle.ErrNotFound
	}
	return r, wrap(err, "read run %v", args)
}

// RunFilter chooses runs; empty fields choose all.
type RunFilter struct {
	Workflow string
	Status   string
	// Before is the last run of the page before: only older ones follow. The zero value begins with the newest.
	Before   time.Time
	BeforeID uuid.UUID
	Limit    int
}

const runsSQL = `SELECT` + runColumns + `
WHERE ($1 = '' OR r.workflow_id = (SELECT id FROM workflows WHERE name = $1))
  AND ($2 = '' OR r.status = $2)
  AND ($3::timestamptz IS NULL OR (r.created_at, r.id) < ($3, $4))
ORDER BY r.created_at DESC, r.id DESC
LIMIT $5`

// Runs lists runs, newest first.
func (s *Store) Runs(ctx context.Context, f RunFilter) ([]lifecycle.Run, error) {
	var before *time.Time
	if !f.Before.IsZero() {
		before = &f.Before
	}
	rows, err := s.pool.Query(ctx, runsSQL, f.Workflow, f.Status, before, f.BeforeID, f.Limit)
	if err != nil {
		return nil, wrap(err, "list runs")
	}
	list, err := pgx.CollectRows(rows, scanRun)
	return list, wrap(err, "list runs")
}

const stopRunSQL = `
WITH run AS (
    SELECT id, finished_at FROM runs WHERE id = $1 FOR NO KEY UPDATE
), stopped AS (
    UPDATE runs r
        SET stop_requested_at = coalesce(r.stop_requested_at, clock()), stop_as = coalesce(r.stop_as, $2),
            stop_scope = 'all', stop_reason = CASE WHEN r.stop_as IS NULL THEN $3 ELSE r.stop_reason END
    FROM run
    WHERE r.id = run.id AND r.finished_at IS NULL AND r.stop_scope IS DISTINCT FROM 'all'
    RETURNING r.id
)
INSERT INTO events (run_id, at, kind, actor, subject, detail)
    SELECT run.id, clock(), CASE WHEN run.finished_at IS NULL THEN 'stop_requested' ELSE 'stop_too_late' END, $4, 'run', $3
    FROM run
    WHERE run.finished_at IS NOT NULL OR EXISTS (SELECT FROM stopped)
RETURNING kind = 'stop_too_late'`

const stopStepsSQL = `
WITH locked AS (
    SELECT run_id, step_no FROM steps WHERE run_id = $1 AND finished_at IS NULL ORDER BY step_no FOR NO KEY UPDATE
)
UPDATE steps s
    SET stop_requested_at = coalesce(s.stop_requested_at, r.stop_requested_at), stop_as = coalesce(s.stop_as, r.stop_as),
        stop_scope = 'all', stop_reason = CASE WHEN s.stop_as IS NULL THEN r.stop_reason ELSE s.stop_reason END
FROM locked, runs r
WHERE s.run_id = locked.run_id AND s.step_no = locked.step_no AND s.finished_at IS NULL
  AND r.id = s.run_id AND r.stop_scope = 'all'`

// StopRun asks a run and its unfinished steps to stop, live executions included. It is one transaction. tooLate: the run had ended, nothing changed.
func (s *Store) StopRun(ctx context.Context, run uuid.UUID, as lifecycle.Status, reason, actor string) (tooLate bool, err error) {
	err = s.inTx(ctx, func(t tx) error {
		err := t.QueryRow(ctx, stopRunSQL, run, as, Clean(reason, 1000), actor).Scan(&tooLate)
		if errors.Is(err, pgx.ErrNoRows) { // it is stopping already
			return nil
		}
		if err != nil || tooLate {
			return err
		}
		_, err = t.Exec(ctx, stopStepsSQL, run)
		return err
	})
	return tooLate, wrap(err, "stop run %s", run)
}
