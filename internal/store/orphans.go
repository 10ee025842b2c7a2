package store

import (
	"context"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const claimWatchedSQL = `
WITH mine AS MATERIALIZED (
    SELECT x.id FROM executions x
    WHERE x.next_look_at <= (SELECT clock()) AND x.status = 'finished' AND x.outcome = 'lost'
    ORDER BY x.next_look_at, x.id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
UPDATE executions x SET next_look_at = clock() + $1::interval
FROM mine, steps s
WHERE x.id = mine.id AND s.run_id = x.run_id AND s.step_no = x.step_no
RETURNING ` + executionColumns

// ClaimWatched takes rows that ended lost and are to be looked for once more; they come again after the lease unless Watched says otherwise.
func (s *Store) ClaimWatched(ctx context.Context, lease time.Duration, limit int) ([]lifecycle.Execution, error) {
	rows, err := s.pool.Query(ctx, claimWatchedSQL, lease, limit)
	if err != nil {
		return nil, wrap(err, "claim lost executions to look for")
	}
	list, err := pgx.CollectRows(rows, scanExecution)
	return list, wrap(err, "claim lost executions to look for")
}

const watchedSQL = `
WITH locked AS MATERIALIZED (
    SELECT id FROM executions WHERE id = ANY ($1) AND status = 'finished'
    ORDER BY id
    FOR UPDATE
)
UPDATE executions x SET next_look_at = u.next
FROM unnest($1::uuid[], $2::timestamptz[]) AS u(id, next), locked l
WHERE x.id = u.id AND l.id = x.id AND x.status = 'finished'`

// Watched sets when lost rows are looked for next; nil ends the watch.
func (s *Store) Watched(ctx context.Context, ids []uuid.UUID, next []*time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := s.pool.Exec(ctx, watchedSQL, ids, next)
	return wrap(err, "set the next look for %d lost executions", len(ids))
}

// Row is a row of the ledger, with the name of its run.
type Row struct {
	lifecycle.Execution
	Run string // WORKFLOW.NUMBER
}

func scanRow(row pgx.CollectableRow) (r Row, err error) {
	err = scanInto(row, &r.Execution, &r.Run)
	return r, err
}

const rowColumns = executionColumns + `, w.name || '.' || r.number`

const rowTables = `
FROM executions x
JOIN steps s ON s.run_id = x.run_id AND s.step_no = x.step_no
JOIN runs r ON r.id = x.run_id
JOIN workflows w ON w.id = r.workflow_id`

const rowsSQL = `
SELECT ` + rowColumns + rowTables + `
WHERE x.id = ANY ($1)`

// Rows reads the ledger's rows of some markers, by id.
func (s *Store) Rows(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Row, error) {
	rows, err := s.pool.Query(ctx, rowsSQL, ids)
	if err != nil {
		return nil, wrap(err, "read rows of markers")
	}
	list, err := pgx.CollectRows(rows, scanRow)
	byID := make(map[uuid.UUID]Row, len(list))
	for _, r := range list {
		byID[r.ID] = r
	}
	return byID, wrap(err, "read rows of markers")
}

const recordOrphanSQL = `
WITH named AS (
    UPDATE executions x SET cloud_run_execution_name = $2
    WHERE x.id = $1 AND x.status = 'finished' AND x.cloud_run_execution_name IS NULL
      AND NOT EXISTS (SELECT FROM executions o WHERE o.cloud_run_execution_name = $2)
), found AS (
    INSERT INTO orphans (cloud_run_execution_name, execution_id, found_at, next_look_at, ended_at)
    SELECT $2, $1, now, CASE WHEN $3 THEN NULL ELSE now END, CASE WHEN $3 THEN now END FROM clock() AS now
    WHERE NOT EXISTS (SELECT FROM executions o WHERE o.cloud_run_execution_name = $2 AND o.outcome IS DISTINCT FROM 'lost')
    ON CONFLICT (cloud_run_execution_name) DO NOTHING
    RETURNING found_at
)
INSERT INTO events (run_id, at, kind, actor, subject, detail)
    SELECT x.run_id, found.found_at, 'orphan', 'tick', 'execution ' || $2,
           CASE WHEN $3 THEN 'Cloud Run showed it after its row had ended; it has ended, its work is not counted'
                ELSE 'Cloud Run showed it after its row had ended; it is cancelled, its work is not counted' END
    FROM found LEFT JOIN executions x ON x.id = $1`

// RecordOrphan notes an execution of ours that is not its row's, with one event: it is to be cancelled unless it has ended. Repeating it changes nothing.
// An execution that a row has taken is no orphan, whatever the caller knew of it, unless that row ended lost first.
func (s *Store) RecordOrphan(ctx context.Context, row uuid.UUID, name string, ended bool) error {
	_, err := s.pool.Exec(ctx, recordOrphanSQL, row, name, ended)
	return wrap(err, "record orphan %s", name)
}

// Orphan is an execution that should not be there.
type Orphan struct {
	Name     string
	Row      uuid.UUID
	FoundAt  time.Time
	CancelAt *time.Time // when it was asked to stop last
	EndedAt  *time.Time
	Run      string // WORKFLOW.NUMBER, empty where its row is gone
}

const claimOrphansSQL = `
WITH mine AS MATERIALIZED (
    SELECT cloud_run_execution_name FROM orphans
    WHERE next_look_at <= (SELECT clock())
    ORDER BY next_look_at, cloud_run_execution_name
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
UPDATE orphans o SET next_look_at = clock() + $1::interval
FROM mine
WHERE o.cloud_run_execution_name = mine.cloud_run_execution_name
RETURNING o.cloud_run_execution_name, o.execution_id, o.found_at, o.cancel_sent_at, o.ended_at, ''`

// ClaimOrphans takes orphans that are to be looked at; they come again after the lease.
func (s *Store) ClaimOrphans(ctx context.Context, lease time.Duration, limit int) ([]Orphan, error) {
	rows, err := s.pool.Query(ctx, claimOrphansSQL, lease, limit)
	if err != nil {
		return nil, wrap(err, "claim orphans")
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Orphan])
	return list, wrap(err, "claim orphans")
}

const recordOrphanLookSQL = `
UPDATE orphans
    SET ended_at = CASE WHEN $2 THEN clock() END, next_look_at = CASE WHEN NOT $2 THEN clock() + $4::interval END,
        cancel_sent_at = CASE WHEN $3 THEN clock() ELSE cancel_sent_at END
WHERE cloud_run_execution_name = $1 AND ended_at IS NULL`

// RecordOrphanLook notes what a look at an orphan found: it has ended, or it was asked to stop and is looked at again after a while.
func (s *Store) RecordOrphanLook(ctx context.Context, name string, ended, cancelled bool, again time.Duration) error {
	_, err := s.pool.Exec(ctx, recordOrphanLookSQL, name, ended, cancelled, again)
	return wrap(err, "record orphan %s", name)
}
