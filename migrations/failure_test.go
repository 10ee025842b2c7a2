package migrations_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"cloud-run-orchestrator/internal/testdb"
	"cloud-run-orchestrator/migrations"

	"github.com/golang-migrate/migrate/v4/database"
)

// files makes migrations out of pairs: the way up and the way down of 1, of 2, and so on.
func files(sql ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	names := []string{"000001_a.up.sql", "000001_a.down.sql", "000002_b.up.sql", "000002_b.down.sql"}
	for i, text := range sql {
		fsys[names[i]] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestAFailedMigrationIsRolledBackAndTheMendedOneCanBeApplied(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), testdb.Empty(t)
	target := migrations.Target{DSN: db.DSN}
	_, err := migrations.UpFiles(ctx, target, files("CREATE TABLE a (); SELECT 1/0;", ""))
	if got := sentence(err); got != "migration 1 failed and was rolled back, the database stays at version 0: division by zero" {
		t.Errorf("the error of the first migration: %s", got)
	}
	const a = "CREATE TABLE a (n integer)"
	_, err = migrations.UpFiles(ctx, target, files(a, "DROP TABLE a", "CREATE TABLE b (); CREATE TABLE a ();", "DROP TABLE b"))
	if got := sentence(err); got != `migration 2 failed and was rolled back, the database stays at version 1: relation "a" already exists` {
		t.Errorf("the error of the second: %s", got)
	}
	mended := files(a, "DROP TABLE a", "CREATE TABLE b ()", "DROP TABLE b; DROP TABLE nothing;")
	want(t, "the mended one")(migrations.UpFiles(ctx, target, mended))(1, 2)

	_, err = migrations.DownFiles(ctx, target, mended, 1)
	if got := sentence(err); got != `the way back of migration 2 failed and was rolled back, the database stays at version 2: table "nothing" does not exist` {
		t.Errorf("the error of the way back: %s", got)
	}
	mended = files(a, "DROP TABLE a; DROP TABLE nothing;", "CREATE TABLE b ()", "DROP TABLE b")
	want(t, "the mended way back")(migrations.DownFiles(ctx, target, mended, 1))(2, 1)
	if _, err = migrations.DownFiles(ctx, target, mended, 1); err == nil {
		t.Fatal("the broken way back of the first worked")
	}
	want(t, "the last way back")(migrations.DownFiles(ctx, target, files(a, "DROP TABLE a"), 1))(1, 0)
}

func TestAMigrationOutsideATransactionStaysDirtyWhenItFails(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), testdb.Empty(t)
	target := migrations.Target{DSN: db.DSN}
	_, err := migrations.UpFiles(ctx, target, files("CREATE TABLE a ()", "DROP TABLE a", "CREATE INDEX CONCURRENTLY i ON a (missing)", ""))
	if err == nil || !strings.Contains(err.Error(), `run "migrate force 2", else "migrate force 1"`) {
		t.Errorf("the error is %v", err)
	}
	if version, dirty, err := migrations.Version(ctx, target); version != 2 || !dirty || err != nil {
		t.Errorf("version %d, dirty %v, %v", version, dirty, err)
	}
}

func TestADirtyDatabaseIsExplainedWithTheCommandThatRepairsIt(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), testdb.New(t)
	target := migrations.Target{DSN: db.DSN}
	pairs := files("CREATE TABLE a ()", "DROP TABLE a", "CREATE TABLE b ()", "DROP TABLE b")
	execute(t, db, "UPDATE schema_migrations SET version = 2, dirty = true")
	_, err := migrations.UpFiles(ctx, target, pairs)
	const says = "migration 2 was begun and never recorded as done; it is one transaction, so its changes are there as a whole or not at all: " +
		`where they are there run "migrate force 2", else "migrate force 1", then "migrate up"`
	if sentence(err) != says {
		t.Errorf("got  %v\nwant %s", err, says)
	}
	if err := migrations.Force(ctx, target, 1); err != nil {
		t.Fatal(err)
	}
	want(t, "up after force")(migrations.UpFiles(ctx, target, pairs))(1, 2)
}

func TestADirtyWayBackOfTheFirstMigrationIsExplained(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), testdb.New(t)
	target := migrations.Target{DSN: db.DSN}
	execute(t, db, "UPDATE schema_migrations SET version = -1, dirty = true")
	_, err := migrations.UpFiles(ctx, target, files("CREATE TABLE a ()", "DROP TABLE a"))
	if err == nil || !strings.Contains(err.Error(), `where its tables are still there run "migrate force 1", else "migrate force 0"`) {
		t.Errorf("the error is %v", err)
	}
	if err := migrations.Force(ctx, target, 0); err != nil {
		t.Fatal(err)
	}
	want(t, "up after force")(migrations.UpFiles(ctx, target, files("CREATE TABLE a ()", "DROP TABLE a")))(0, 1)
}

func TestTheWaitForAnotherMigratorIsBounded(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), testdb.Empty(t)
	id, err := database.GenerateAdvisoryLockId(db.Name, "public", "schema_migrations")
	if err != nil {
		t.Fatal(err)
	}
	other, err := db.Pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	if _, err := other.Exec(ctx, "SELECT pg_advisory_lock($1)", id); err != nil {
		t.Fatal(err)
	}
	target := migrations.Target{DSN: db.DSN, LockWait: shortWait}
	pairs := files("CREATE TABLE a ()", "DROP TABLE a")
	_, err = migrations.UpFiles(ctx, target, pairs)
	if !lockCode(err) || !strings.HasPrefix(err.Error(), "another migration has been running for more than 200ms; try again when it has ended") {
		t.Errorf("the error is %v", err)
	}
	if _, err := other.Exec(ctx, "SELECT pg_advisory_unlock($1)", id); err != nil {
		t.Fatal(err)
	}
	want(t, "up afterwards")(migrations.UpFiles(ctx, target, pairs))(0, 1)
}

func TestTheWaitForATableIsBoundedAndLeavesNothingDirty(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), testdb.Empty(t)
	execute(t, db, "CREATE TABLE busy ()")
	other, err := db.Pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec(ctx, "LOCK TABLE busy"); err != nil {
		t.Fatal(err)
	}
	target := migrations.Target{DSN: db.DSN, LockWait: shortWait}
	pairs := files("ALTER TABLE busy ADD n integer", "ALTER TABLE busy DROP n")
	_, err = migrations.UpFiles(ctx, target, pairs)
	const says = "migration 1 failed and was rolled back, the database stays at version 0: a transaction held a table for more than 200ms; try again"
	if !lockCode(err) || err.Error() != says {
		t.Errorf("got  %v\nwant %s", err, says)
	}
	if err := other.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, "up afterwards")(migrations.UpFiles(ctx, target, pairs))(0, 1)
}

func TestForceRefusesAVersionThatDoesNotExist(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	for _, version := range []int{-1, migrations.Latest() + 1} {
		err := migrations.Force(t.Context(), migrations.Target{DSN: db.DSN}, version)
		if err == nil || !strings.Contains(err.Error(), "it must be a number from 0 to") {
			t.Errorf("%d: the error is %v", version, err)
		}
	}
}

// sentence is an error's text, which must be one line.
func sentence(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}
