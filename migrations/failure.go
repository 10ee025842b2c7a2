package migrations

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	codeLockNotAvailable      = "55P03"
	codeUndefinedTable        = "42P01"
	codeInsufficientPrivilege = "42501"
)

const versionSQL = `SELECT version, dirty FROM schema_migrations LIMIT 1`

// readVersion reads the library's table without making it.
func readVersion(ctx context.Context, conn *pgx.Conn) (version int, dirty bool, err error) {
	err = conn.QueryRow(ctx, versionSQL).Scan(&version, &dirty)
	var refusal *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows), errors.As(err, &refusal) && refusal.Code == codeUndefinedTable:
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("read the schema's version: %w", err)
	}
	return max(version, 0), dirty, nil
}

// explain turns an error of the library into one sentence that says what to do. The version of a migration that failed and was rolled back is
// set back too, so that the mended one can simply be applied.
func (r runner) explain(ctx context.Context, conn *pgx.Conn, err error) error {
	var dirty migrate.ErrDirty
	if errors.As(err, &dirty) {
		return dirtyError(dirty.Version)
	}
	refusal := serverError(err)
	if refusal == nil {
		return fmt.Errorf("migrate: %w", err)
	}
	words := refusal.Message
	if refusal.Detail != "" {
		words += ": " + refusal.Detail
	}
	failed, ok := r.failedFile(err)
	switch {
	case !ok && refusal.Code == codeLockNotAvailable:
		return fmt.Errorf("another migration has been running for more than %s; try again when it has ended: %w", r.target.lockWait(), refusal)
	case !ok:
		return fmt.Errorf("migrate: %w", refusal)
	case refusal.Code == codeLockNotAvailable:
		words = fmt.Sprintf("a transaction held a table for more than %s; try again", r.target.lockWait())
	}
	stays, err := takeBack(context.WithoutCancel(ctx), conn, failed)
	if err != nil {
		return fmt.Errorf("%s failed: %s (%w)", failed.name(), words, err)
	}
	return &failure{fmt.Sprintf("%s failed and was rolled back, the database stays at version %d: %s", failed.name(), stays, words), refusal}
}

// failure is a sentence that wraps the server's own error without repeating it.
type failure struct {
	text string
	err  error
}

func (e *failure) Error() string { return e.text }

func (e *failure) Unwrap() error { return e.err }

func dirtyError(version int) error {
	if version < 1 {
		return errors.New("the way back of migration 1 was begun and never recorded as done; it is one transaction: " +
			`where its tables are still there run "migrate force 1", else "migrate force 0"`)
	}
	return fmt.Errorf("migration %d was begun and never recorded as done; it is one transaction, so its changes are there as a whole or not at all: "+
		`where they are there run "migrate force %d", else "migrate force %d", then "migrate up"`, version, version, version-1)
}

// serverError finds the server's answer in an error of the library, which does not unwrap.
func serverError(err error) *pgconn.PgError {
	if byValue, ok := errors.AsType[database.Error](err); ok {
		err = byValue.OrigErr
	} else if byPointer, ok := errors.AsType[*database.Error](err); ok {
		err = byPointer.OrigErr
	}
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return nil
	}
	return refusal
}

// failedFile is the file whose own SQL failed. It tells such a failure from one before or after it, when the version in the database may be
// that of another migrator at work.
func (r runner) failedFile(err error) (file, bool) {
	failed, ok := errors.AsType[database.Error](err)
	if !ok {
		return file{}, false
	}
	files, err := readFiles(r.fsys)
	if err != nil {
		return file{}, false
	}
	for _, f := range files {
		if bytes.Equal(f.sql, failed.Query) {
			return f, true
		}
	}
	return file{}, false
}

const takeBackSQL = `
UPDATE schema_migrations
SET version = $1, dirty = false
WHERE version = $2
  AND dirty`

const takeBackFirstSQL = `
DELETE FROM schema_migrations
WHERE version = $1
  AND dirty`

// takeBack undoes the dirty mark of a file that was rolled back; stays is the version that the database then has.
func takeBack(ctx context.Context, conn *pgx.Conn, failed file) (stays int, err error) {
	dirty, stays := failed.number, failed.number-1
	if !failed.up {
		dirty, stays = failed.number-1, failed.number
		if dirty == 0 {
			dirty = -1 // the library's word for none
		}
	}
	if !failed.transactional() {
		return stays, dirtyError(dirty)
	}
	if stays == 0 {
		_, err = conn.Exec(ctx, takeBackFirstSQL, dirty)
	} else {
		_, err = conn.Exec(ctx, takeBackSQL, stays, dirty)
	}
	if err != nil {
		return stays, errors.Join(dirtyError(dirty), err)
	}
	return stays, nil
}
