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

// Definition is a definition to be stored.
type Definition struct {
	ID          uuid.UUID // for a workflow that is new
	Name        string
	Description string
	Spec        json.RawMessage
	Digest      []byte
	Actor       string
	OnlyNew     bool // an existing workflow with another definition is ErrConflict
}

const lockWorkflowSQL = `
SELECT w.id, w.version, w.archived_at IS NOT NULL, v.digest
FROM workflows w
JOIN workflow_versions v ON v.workflow_id = w.id AND v.version = w.version
WHERE w.name = $1
FOR NO KEY UPDATE OF w`

const insertWorkflowSQL = `
INSERT INTO workflows (id, name, description, version, created_at, updated_at)
VALUES ($1, $2, $3, 1, clock(), clock())
ON CONFLICT (name) DO NOTHING`

const updateWorkflowSQL = `
UPDATE workflows SET description = $2, version = $3, archived_at = NULL, updated_at = clock() WHERE id = $1`

const insertVersionSQL = `
INSERT INTO workflow_versions (workflow_id, version, spec, digest, created_at, created_by)
VALUES ($1, $2, $3, $4, clock(), $5)`

// Apply stores a definition as the newest version, unless it equals the present one. It is one transaction that locks the workflow.
func (s *Store) Apply(ctx context.Context, d Definition) (created, changed bool, err error) {
	err = s.inTx(ctx, func(t tx) error {
		tag, err := t.Exec(ctx, insertWorkflowSQL, d.ID, d.Name, d.Description)
		if err != nil {
			return err
		}
		if created = tag.RowsAffected() == 1; created {
			changed = true
			_, err = t.Exec(ctx, insertVersionSQL, d.ID, 1, d.Spec, d.Digest, d.Actor)
			return err
		}
		var id uuid.UUID
		var version int
		var archived bool
		var digest []byte
		if err := t.QueryRow(ctx, lockWorkflowSQL, d.Name).Scan(&id, &version, &archived, &digest); err != nil {
			return err
		}
		equal := string(digest) == string(d.Digest)
		switch {
		case equal && !archived:
			return nil
		case d.OnlyNew && !archived:
			return lifecycle.Conflict("workflow %q already exists with another definition", d.Name)
		case equal:
			_, err = t.Exec(ctx, updateWorkflowSQL, id, d.Description, version)
			changed = true
			return err
		}
		changed = true
		if _, err := t.Exec(ctx, insertVersionSQL, id, version+1, d.Spec, d.Digest, d.Actor); err != nil {
			return err
		}
		_, err = t.Exec(ctx, updateWorkflowSQL, id, d.Description, version+1)
		return err
	})
	return created, changed, wrap(err, "apply workflow %s", d.Name)
}

const workflowColumns = `
       w.id, w.name, w.description, w.version, w.created_at, w.updated_at, v.created_by, w.archived_at, v.spec,
       r.id, r.number, r.status, r.mode, r.created_at, r.finished_at
FROM workflows w
JOIN workflow_versions v ON v.workflow_id = w.id AND v.version = w.version
LEFT JOIN runs r ON r.workflow_id = w.id AND r.number = w.last_run_number`

const workflowSQL = `SELECT` + workflowColumns + `
WHERE w.name = $1`

// Workflow is one workflow, archived ones too. lifecycle.ErrNotFound where there is none.
func (s *Store) Workflow(ctx context.Context, name string) (lifecycle.Workflow, error) {
	rows, err := s.pool.Query(ctx, workflowSQL, name)
	if err != nil {
		return lifecycle.Workflow{}, wrap(err, "read workflow %s", name)
	}
	w, err := pgx.CollectExactlyOneRow(rows, scanWorkflow)
	if errors.Is(err, pgx.ErrNoRows) {
		return w, lifecycle.ErrNotFound
	}
	return w, wrap(err, "read workflow %s", name)
}

const workflowsSQL = `SELECT` + workflowColumns + `
WHERE w.archived_at IS NULL AND w.name > $1
ORDER BY w.name
LIMIT $2`

// Workflows lists workflows that are not archived, by name, after the given one.
func (s *Store) Workflows(ctx context.Context, after string, limit int) ([]lifecycle.Workflow, error) {
	rows, err := s.pool.Query(ctx, workflowsSQL, after, limit)
	if err != nil {
		return nil, wrap(err, "list workflows")
	}
	list, err := pgx.CollectRows(rows, scanWorkflow)
	return list, wrap(err, "list workflows")
}

func scanWorkflow(row pgx.CollectableRow) (w lifecycle.Workflow, err error) {
	var id *uuid.UUID
	var number *int64
	var status *lifecycle.Status
	var mode *lifecycle.Mode
	var created, finished *time.Time
	err = row.Scan(&w.ID, &w.Name, &w.Description, &w.Version, &w.CreatedAt, &w.UpdatedAt, &w.UpdatedBy, &w.ArchivedAt, &w.Spec,
		&id, &number, &status, &mode, &created, &finished)
	if id != nil {
		w.LastRun = &lifecycle.RunRef{ID: *id, Number: *number, Status: *status, Mode: *mode, CreatedAt: *created, FinishedAt: finished}
	}
	return w, err
}

const workflowNamesSQL = `SELECT name FROM workflows WHERE archived_at IS NULL ORDER BY updated_at DESC LIMIT 1000`

// WorkflowNames are the names to suggest from, for somebody who mistyped one.
func (s *Store) WorkflowNames(ctx context.Context) ([]string, error) {
	rows, err := s.pool.Query(ctx, workflowNamesSQL)
	if err != nil {
		return nil, wrap(err, "list workflow names")
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, wrap(err, "list workflow names")
}

const versionsSQL = `
SELECT v.version, v.created_at, v.created_by, v.spec
FROM workflow_versions v
WHERE v.workflow_id = $1 AND v.version < $2
ORDER BY v.version DESC
LIMIT $3`

// Versions lists a workflow's versions below the given one, newest first.
func (s *Store) Versions(ctx context.Context, workflow uuid.UUID, below, limit int) ([]lifecycle.WorkflowVersion, error) {
	rows, err := s.pool.Query(ctx, versionsSQL, workflow, below, limit)
	if err != nil {
		return nil, wrap(err, "list versions of workflow %s", workflow)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v lifecycle.WorkflowVersion, err error) {
		err = row.Scan(&v.Version, &v.CreatedAt, &v.CreatedBy, &v.Spec)
		return v, err
	})
	return list, wrap(err, "list versions of workflow %s", workflow)
}

const specSQL = `SELECT spec FROM workflow_versions WHERE workflow_id = $1 AND version = $2`

// Spec is the definition of one version. It never changes, so callers may keep it.
func (s *Store) Spec(ctx context.Context, workflow uuid.UUID, version int) (spec json.RawMessage, err error) {
	err = s.pool.QueryRow(ctx, specSQL, workflow, version).Scan(&spec)
	return spec, wrap(err, "read version %d of workflow %s", version, workflow)
}

const archiveSQL = `
UPDATE workflows w SET archived_at = clock(), updated_at = clock()
WHERE w.id = $1 AND w.archived_at IS NULL
  AND NOT EXISTS (SELECT FROM runs r WHERE r.workflow_id = w.id AND r.finished_at IS NULL)`

// Archive hides a workflow. ok is false while a run of it is unfinished, or when it is archived already.
// It is one transaction that locks the workflow before it looks for runs, so that it sees those that were being made.
func (s *Store) Archive(ctx context.Context, workflow uuid.UUID) (ok bool, err error) {
	err = s.inTx(ctx, func(t tx) error {
		if _, err := t.Exec(ctx, lockForRunSQL, workflow); err != nil {
			return err
		}
		tag, err := t.Exec(ctx, archiveSQL, workflow)
		ok = err == nil && tag.RowsAffected() == 1
		return err
	})
	return ok, wrap(err, "archive workflow %s", workflow)
}
