package store

import (
	"context"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const executionsSQL = `
SELECT ` + executionColumns + `
FROM executions x
JOIN steps s ON s.run_id = x.run_id AND s.step_no = x.step_no
WHERE x.run_id = $1 AND ($2::uuid IS NULL OR x.id < $2)
ORDER BY x.id DESC
LIMIT $3`

// Executions lists the ledger's rows of a run, newest first, below the given id.
func (s *Store) Executions(ctx context.Context, run uuid.UUID, below *uuid.UUID, limit int) ([]lifecycle.Execution, error) {
	rows, err := s.pool.Query(ctx, executionsSQL, run, below, limit)
	if err != nil {
		return nil, wrap(err, "list executions of run %s", run)
	}
	list, err := pgx.CollectRows(rows, scanExecution)
	return list, wrap(err, "list executions of run %s", run)
}

const eventsSQL = `
SELECT e.seq, e.at, e.run_id, coalesce(w.name || '.' || r.number, ''), e.kind, e.actor, e.subject, e.detail
FROM events e
LEFT JOIN runs r ON r.id = e.run_id
LEFT JOIN workflows w ON w.id = r.workflow_id
WHERE ($1::uuid IS NULL OR e.run_id = $1) AND e.seq < $2
ORDER BY e.seq DESC
LIMIT $3`

// Events lists events of a run, or of everything where run is nil, newest first, below the given number.
func (s *Store) Events(ctx context.Context, run *uuid.UUID, below int64, limit int) ([]lifecycle.Event, error) {
	rows, err := s.pool.Query(ctx, eventsSQL, run, below, limit)
	if err != nil {
		return nil, wrap(err, "list events")
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e lifecycle.Event, err error) {
		err = row.Scan(&e.Seq, &e.At, &e.RunID, &e.Run, &e.Kind, &e.Actor, &e.Subject, &e.Detail)
		return e, err
	})
	return list, wrap(err, "list events")
}
