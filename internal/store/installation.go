package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Installation is the one row that says whose database this is.
type Installation struct {
	ID                  uuid.UUID
	Mode                lifecycle.Mode
	OldestRelease       int
	LaunchBlockedReason string
	LastTickAt          *time.Time
	SchemaVersion       int
}

// ErrNotMigrated: the schema is missing or has no installation.
var ErrNotMigrated = errors.New(`the database is not prepared; run "orchestrator init", or the migration job ("migrate up")`)

const installationSQL = `
SELECT i.id, i.mode, i.oldest_release, i.launch_blocked_reason, i.last_tick_at,
       (SELECT max(version) FROM schema_migrations WHERE NOT dirty)
FROM installation i`

// Installation reads the row. ErrNotMigrated where there is none.
func (s *Store) Installation(ctx context.Context) (Installation, error) {
	var i Installation
	var version *int
	err := s.pool.QueryRow(ctx, installationSQL).Scan(&i.ID, &i.Mode, &i.OldestRelease, &i.LaunchBlockedReason, &i.LastTickAt, &version)
	var pg *pgconn.PgError
	if errors.Is(err, pgx.ErrNoRows) || errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3D000") { // undefined_table, invalid_catalog_name
		return i, ErrNotMigrated
	}
	if pg != nil && pg.Code == "42501" { // insufficient_privilege
		cfg := s.pool.Config().ConnConfig
		return i, fmt.Errorf(`user %q may not use the tables of database %q (%s); the migration job ("migrate up") makes the grants of the functions' users`, cfg.User, cfg.Database, pg.Message)
	}
	if err != nil {
		return i, wrap(err, "read the installation")
	}
	if version == nil {
		return i, fmt.Errorf("a migration of the database failed half-way; repair it with \"migrate force\": %w", ErrNotMigrated)
	}
	i.SchemaVersion = *version
	return i, nil
}

const beginTickSQL = `
WITH was AS (
    SELECT launch_blocked_reason AS reason FROM installation
), begun AS (
    UPDATE installation i
        SET last_tick_at = clock(),
            last_tick_by = $2,
            launch_blocked_reason = CASE
                WHEN i.launch_blocked_reason = '' AND i.database_mark <> database_mark()
                THEN 'this database was restored or copied: it is ' || database_mark() || ', not ' || i.database_mark
                ELSE i.launch_blocked_reason END
    WHERE i.mode = $1
    RETURNING i.id, i.mode, i.launch_blocked_reason
), noted AS (
    INSERT INTO events (at, kind, actor, subject, detail)
    SELECT clock(), 'launch_blocked', 'tick', 'installation', begun.launch_blocked_reason
    FROM begun, was
    WHERE was.reason = '' AND begun.launch_blocked_reason <> ''
)
SELECT id, mode, launch_blocked_reason FROM begun
UNION ALL
SELECT id, mode, launch_blocked_reason FROM installation WHERE mode <> $1`

// BeginTick notes that a tick of this mode came and who called it, and blocks launching when the database is not the one that it was: a copy does not know what its original
// has sent since. A database of another mode is left alone; the caller compares.
func (s *Store) BeginTick(ctx context.Context, mode lifecycle.Mode, by string) (Installation, error) {
	var i Installation
	err := s.pool.QueryRow(ctx, beginTickSQL, mode, Clean(by, 200)).Scan(&i.ID, &i.Mode, &i.LaunchBlockedReason)
	return i, wrap(err, "begin the tick")
}

const blockLaunchSQL = `
WITH blocked AS (
    UPDATE installation SET launch_blocked_reason = $1 WHERE launch_blocked_reason = '' RETURNING 1
)
INSERT INTO events (at, kind, actor, subject, detail)
    SELECT clock(), 'launch_blocked', 'tick', 'installation', $1 FROM blocked`

// BlockLaunch stops every further launch until somebody has looked. A reason that is there already stays.
func (s *Store) BlockLaunch(ctx context.Context, reason string) error {
	_, err := s.pool.Exec(ctx, blockLaunchSQL, Clean(reason, 1000))
	return wrap(err, "block launching")
}

const overviewSQL = `
SELECT (SELECT count(*) FROM runs WHERE finished_at IS NULL),
       (SELECT count(*) FROM workflows WHERE archived_at IS NULL),
       clock()`

// Counts are the numbers of the overview.
func (s *Store) Counts(ctx context.Context) (unfinishedRuns, workflows int, now time.Time, err error) {
	err = s.pool.QueryRow(ctx, overviewSQL).Scan(&unfinishedRuns, &workflows, &now)
	return unfinishedRuns, workflows, now, wrap(err, "read the overview")
}
