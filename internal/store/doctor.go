package store

import (
	"context"
	"errors"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const healthSQL = `
SELECT i.id, i.mode, i.oldest_release, i.launch_blocked_reason, i.database_mark, database_mark(), i.last_tick_at, i.last_tick_by,
       coalesce(m.version, 0), coalesce(m.dirty, false),
       (SELECT count(*) FROM runs WHERE finished_at IS NULL), (SELECT min(created_at) FROM runs WHERE finished_at IS NULL),
       (SELECT max(at) FROM events WHERE run_id IS NULL AND kind = 'launch_blocked'), clock()
FROM installation i
LEFT JOIN (SELECT max(version) AS version, bool_or(dirty) AS dirty FROM schema_migrations) m ON true`

// Health is what the database says of itself as a whole. ErrNotMigrated where there is no installation.
func (s *Store) Health(ctx context.Context) (h lifecycle.Health, err error) {
	err = s.pool.QueryRow(ctx, healthSQL).Scan(&h.Installation, &h.Mode, &h.OldestRelease, &h.LaunchBlockedReason, &h.Mark, &h.MarkNow, &h.LastTickAt, &h.LastTickBy,
		&h.SchemaVersion, &h.HalfMigrated, &h.UnfinishedRuns, &h.OldestRunAt, &h.LaunchBlockedAt, &h.Now)
	if errors.Is(err, pgx.ErrNoRows) {
		return h, ErrNotMigrated
	}
	return h, wrap(err, "read the installation")
}

const unsettledSQL = `
SELECT ` + rowColumns + `, count(*) OVER ()` + rowTables + `
WHERE x.status IN ('launching', 'launched', 'running') OR x.status = 'finished' AND x.next_look_at IS NOT NULL
ORDER BY x.id
LIMIT $1`

// Unsettled lists rows of which Cloud Run may know more than the ledger: those that live, and lost ones that are still looked for. all is their number without the limit.
func (s *Store) Unsettled(ctx context.Context, limit int) (list []Row, all int, err error) {
	rows, err := s.pool.Query(ctx, unsettledSQL, limit)
	if err != nil {
		return nil, 0, wrap(err, "list unsettled executions")
	}
	list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Row, err error) {
		err = scanInto(row, &r.Execution, &r.Run, &all)
		return r, err
	})
	return list, all, wrap(err, "list unsettled executions")
}

const orphansSQL = `
SELECT o.cloud_run_execution_name, o.execution_id, o.found_at, o.cancel_sent_at, o.ended_at, coalesce(w.name || '.' || r.number, '')
FROM orphans o
LEFT JOIN executions x ON x.id = o.execution_id
LEFT JOIN runs r ON r.id = x.run_id
LEFT JOIN workflows w ON w.id = r.workflow_id
WHERE o.ended_at IS NULL OR o.execution_id = ANY ($1)
ORDER BY o.found_at, o.cloud_run_execution_name`

// Orphans lists the orphans that have not ended, and all of some rows.
func (s *Store) Orphans(ctx context.Context, rows []uuid.UUID) ([]Orphan, error) {
	found, err := s.pool.Query(ctx, orphansSQL, rows)
	if err != nil {
		return nil, wrap(err, "list orphans")
	}
	list, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (o Orphan, err error) {
		err = row.Scan(&o.Name, &o.Row, &o.FoundAt, &o.CancelAt, &o.EndedAt, &o.Run)
		return o, err
	})
	return list, wrap(err, "list orphans")
}

// Doubtful are tasks of one step that failed although they may have run.
type Doubtful struct {
	Run   string // WORKFLOW.NUMBER
	Step  string
	Tasks int
	Since *time.Time // when the first of them failed
}

const doubtfulSQL = `
SELECT w.name || '.' || r.number, s.name, c.tasks,
       (SELECT min(t.finished_at) FROM tasks t WHERE t.run_id = s.run_id AND t.step_no = s.step_no AND t.status = 'failed' AND t.reason = c.reason)
FROM step_reasons c
JOIN steps s ON s.run_id = c.run_id AND s.step_no = c.step_no
JOIN runs r ON r.id = s.run_id
JOIN workflows w ON w.id = r.workflow_id
WHERE c.reason = $1 AND c.tasks > 0 AND (r.finished_at IS NULL OR r.finished_at > clock() - $2::interval)
ORDER BY r.created_at DESC, s.run_id, s.step_no
LIMIT $3`

// Doubtful counts tasks that failed for a reason, by step, in runs that are unfinished or ended not long ago, the newest first.
func (s *Store) Doubtful(ctx context.Context, reason string, since time.Duration, limit int) ([]Doubtful, error) {
	rows, err := s.pool.Query(ctx, doubtfulSQL, reason, since, limit)
	if err != nil {
		return nil, wrap(err, "count tasks that failed with %s", reason)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Doubtful])
	return list, wrap(err, "count tasks that failed with %s", reason)
}

const noteSQL = `
INSERT INTO events (run_id, at, kind, actor, subject, detail)
VALUES (nullif($1, '00000000-0000-0000-0000-000000000000'::uuid), clock(), $2, $3, $4, $5)`

// Note writes an event of a run, or with uuid.Nil one of the installation.
func (s *Store) Note(ctx context.Context, run uuid.UUID, e lifecycle.Event) error {
	_, err := s.pool.Exec(ctx, noteSQL, run, e.Kind, e.Actor, Clean(e.Subject, 500), Clean(e.Detail, 1000))
	return wrap(err, "note %s of run %s", e.Kind, run)
}
