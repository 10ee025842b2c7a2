package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const nextDueSQL = `
SELECT least(
           (SELECT min(not_before) FROM executions WHERE status = 'planned' AND not_before > $1),
           (SELECT min(claim_expires_at) FROM executions WHERE status = 'launching' AND claim_expires_at > $1),
           (SELECT min(next_look_at) FROM executions WHERE next_look_at > $1),
           (SELECT min(cancel_again_at) FROM executions
            WHERE stop_requested_at IS NOT NULL AND status IN ('launched', 'running') AND cancel_again_at > $1),
           (SELECT min(next_look_at) FROM orphans WHERE next_look_at > $1),
           (SELECT min(q.not_before) FROM quotas q
            WHERE q.not_before > $1 AND EXISTS (SELECT FROM executions x WHERE x.status = 'planned' AND q.name = 'run:' || x.location)),
           (SELECT min(d.due_at)
            FROM steps s
            CROSS JOIN LATERAL (
                SELECT t.due_at FROM tasks t
                WHERE t.run_id = s.run_id AND t.step_no = s.step_no AND t.due_at > $1
                ORDER BY t.due_at LIMIT 1
            ) d
            WHERE s.finished_at IS NULL AND s.pending > 0)),
       EXISTS (SELECT FROM runs WHERE finished_at IS NULL),
       clock()`

// Due says when something is due next.
type Due struct {
	At     *time.Time // nil when nothing is
	Active bool       // unfinished runs are left
	Now    time.Time
}

// NextDue is the earliest due time, look, not-before or claim expiry after the given time. What was due before it and did not move
// waits for something else, and must not keep a tick awake. Each part is the first entry of an index.
func (s *Store) NextDue(ctx context.Context, after time.Time) (d Due, err error) {
	err = s.pool.QueryRow(ctx, nextDueSQL, after).Scan(&d.At, &d.Active, &d.Now)
	return d, wrap(err, "find what is due next")
}

const packableSQL = `
SELECT EXISTS (
    SELECT FROM steps WHERE finished_at IS NULL AND status = 'running' AND stop_requested_at IS NULL AND pending > 0)`

// Packable says whether any step has tasks that Pack might take. It costs an idle tick next to nothing.
func (s *Store) Packable(ctx context.Context) (ok bool, err error) {
	err = s.pool.QueryRow(ctx, packableSQL).Scan(&ok)
	return ok, wrap(err, "look for tasks to pack")
}

const launchableSQL = `
SELECT EXISTS (SELECT FROM executions WHERE status = 'planned' AND not_before <= (SELECT clock()))`

// Launchable says whether any planned row is due. It costs an idle tick next to nothing.
func (s *Store) Launchable(ctx context.Context) (ok bool, err error) {
	err = s.pool.QueryRow(ctx, launchableSQL).Scan(&ok)
	return ok, wrap(err, "look for executions to launch")
}

// Waiting is why executions of an unfinished run have not ended.
type Waiting struct {
	RunID    uuid.UUID
	Step     string
	Status   string
	Location string
	Reason   string
	N        int
	Next     *time.Time // the earliest time at which something happens to them
}

const waitingSQL = `
SELECT x.run_id, s.name, x.status, x.location, x.reason, count(*)::integer,
       min(CASE x.status WHEN 'planned' THEN x.not_before WHEN 'launching' THEN x.claim_expires_at ELSE x.next_look_at END)
FROM (
    SELECT run_id, step_no, status, location, reason, not_before, claim_expires_at, next_look_at
    FROM executions WHERE run_id = ANY ($1) AND status = 'planned'
    UNION ALL
    SELECT x.run_id, x.step_no, x.status, x.location, x.reason, x.not_before, x.claim_expires_at, x.next_look_at
    FROM runs r
    JOIN executions x ON x.workflow_id = r.workflow_id AND x.run_id = r.id AND x.status IN ('launching', 'launched', 'running')
    WHERE r.id = ANY ($1)
) x
JOIN steps s ON s.run_id = x.run_id AND s.step_no = x.step_no
GROUP BY x.run_id, s.step_no, s.name, x.status, x.location, x.reason
ORDER BY x.run_id, s.step_no, x.status, x.reason`

// Waiting groups the unfinished executions of some runs by what they wait for.
func (s *Store) Waiting(ctx context.Context, runs []uuid.UUID) ([]Waiting, error) {
	if len(runs) == 0 {
		return nil, nil
	}
	rows, err := s.pool.Query(ctx, waitingSQL, runs)
	if err != nil {
		return nil, wrap(err, "read what runs wait for")
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Waiting])
	return list, wrap(err, "read what runs wait for")
}
