package migrations

import (
	"context"
	"errors"
	"fmt"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Execer is a connection or a pool.
type Execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// The mark changes when a database is restored or copied: to another server, to another point in time, or under another name.
const installSQL = `
INSERT INTO installation (id, mode, oldest_release, database_mark)
SELECT $1, $2, $3, database_mark()
ON CONFLICT DO NOTHING`

const raiseOldestReleaseSQL = `
UPDATE installation
SET oldest_release = $1
WHERE oldest_release < $1`

// Install inserts the installation's row with a new id and this mode; a row that is there keeps both.
func Install(ctx context.Context, db Execer, mode lifecycle.Mode) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if _, err := db.Exec(ctx, installSQL, id, string(mode), OldestRelease); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if _, err := db.Exec(ctx, raiseOldestReleaseSQL, OldestRelease); err != nil {
		return fmt.Errorf("raise the oldest release: %w", err)
	}
	return nil
}

const (
	hasInstallationSQL = `SELECT to_regclass('installation') IS NOT NULL`
	modeSQL            = `SELECT mode FROM installation`
	oldestReleaseSQL   = `SELECT oldest_release FROM installation`
)

// checkOwner refuses a database that belongs to another mode or to another program.
func checkOwner(ctx context.Context, conn *pgx.Conn, mode lifecycle.Mode) error {
	version, dirty, err := readVersion(ctx, conn)
	if err != nil {
		return err
	}
	var ours bool
	if err := conn.QueryRow(ctx, hasInstallationSQL).Scan(&ours); err != nil {
		return fmt.Errorf("look for the installation: %w", err)
	}
	if !ours {
		if version > 0 && !dirty {
			return lifecycle.Conflict("this database holds the tables of another program (its schema_migrations is at version %d); use another database", version)
		}
		return nil
	}
	var has lifecycle.Mode
	err = conn.QueryRow(ctx, modeSQL).Scan(&has)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read the installation's mode: %w", err)
	}
	if err == nil && has != mode {
		return lifecycle.Conflict(`this database belongs to mode %s, and this is mode %s; use another database, or "orchestrator init --mode %s" where no run is unfinished`,
			has, mode, mode)
	}
	return nil
}

// newerButOpen is the version of a database that a newer release has migrated, where this one may still use it, else 0.
func newerButOpen(ctx context.Context, conn *pgx.Conn) (int, error) {
	version, _, err := readVersion(ctx, conn)
	if err != nil || version <= Latest() {
		return 0, err
	}
	var oldest int
	if err := conn.QueryRow(ctx, oldestReleaseSQL).Scan(&oldest); err != nil {
		return 0, fmt.Errorf("read the oldest release: %w", err)
	}
	if oldest > Latest() {
		return 0, lifecycle.Conflict("this database is at version %d and needs a release that knows migration %d; this one knows up to %d", version, oldest, Latest())
	}
	return version, nil
}

const (
	// The lock lets runs be read, and no new one begin, until the mode has changed.
	lockRunsSQL = `LOCK TABLE runs IN SHARE MODE`

	changeModeSQL = `
UPDATE installation
SET mode = $1
WHERE NOT EXISTS (SELECT FROM runs WHERE finished_at IS NULL)`

	unfinishedSQL = `SELECT count(*) FROM runs WHERE finished_at IS NULL`
)

// ChangeMode gives the installation another mode. The error is of kind lifecycle.ErrConflict where a run is unfinished, and
// lifecycle.ErrNotFound where there is no installation.
func ChangeMode(ctx context.Context, t Target, mode lifecycle.Mode) error {
	_, err := within(ctx, t, func(ctx context.Context, conn *pgx.Conn) (Result, error) {
		var ours bool
		if err := conn.QueryRow(ctx, hasInstallationSQL).Scan(&ours); err != nil {
			return Result{}, fmt.Errorf("look for the installation: %w", err)
		}
		if !ours {
			return Result{}, lifecycle.NotFound(`this database is empty; "orchestrator init" or "migrate up" makes its tables`)
		}
		return Result{}, pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return changeMode(ctx, tx, mode) })
	})
	return err
}

func changeMode(ctx context.Context, tx pgx.Tx, mode lifecycle.Mode) error {
	if _, err := tx.Exec(ctx, lockRunsSQL); err != nil {
		return fmt.Errorf("change the mode: %w", err)
	}
	tag, err := tx.Exec(ctx, changeModeSQL, string(mode))
	if err != nil {
		return fmt.Errorf("change the mode: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return nil
	}
	var unfinished int
	if err := tx.QueryRow(ctx, unfinishedSQL).Scan(&unfinished); err != nil {
		return fmt.Errorf("count unfinished runs: %w", err)
	}
	if unfinished == 0 {
		return lifecycle.NotFound(`this database has no installation yet; run "migrate up"`)
	}
	return lifecycle.Conflict("the mode cannot change while runs are unfinished (%d now); wait for them or cancel them", unfinished)
}
