package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/testdb"
	"cloud-run-orchestrator/migrations"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestMigrationsAreCompletePairs(t *testing.T) {
	t.Parallel()
	files, err := migrations.ReadFiles(migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	up, down := map[int]int{}, map[int]int{}
	for _, f := range files {
		if f.IsUp() {
			up[f.Number()]++
		} else {
			down[f.Number()]++
		}
	}
	for n := 1; n <= migrations.Latest(); n++ {
		if up[n] != 1 || down[n] != 1 {
			t.Errorf("migration %d has %d ways up and %d ways down; want one of each", n, up[n], down[n])
		}
	}
	if migrations.Latest() < 1 || len(up) != migrations.Latest() || len(down) != migrations.Latest() {
		t.Errorf("%d up and %d down files make %d migrations; the numbers must go on without a gap", len(up), len(down), migrations.Latest())
	}
	if migrations.OldestRelease > migrations.Latest() {
		t.Errorf("the oldest release is %d, newer than this one (%d)", migrations.OldestRelease, migrations.Latest())
	}
}

func TestReadFilesRefusesOtherNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"init.up.sql", "1_init.sql", "x1_init.down.sql"} {
		if _, err := migrations.ReadFiles(fstest.MapFS{name: {}}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

// schemaSQL describes everything that a migration may make, in an order of its own.
const schemaSQL = `
SELECT coalesce(string_agg(line, E'\n' ORDER BY line), '') FROM (
    SELECT format('column %s.%s %s null=%s default=%s', table_name, column_name, data_type, is_nullable, column_default)
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_migrations'
    UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'schema_migrations'
    UNION ALL SELECT format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 'schema_migrations'::regclass
    UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT format('type %s', typname) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
) AS lines (line)`

func TestUpDownUpGivesTheSameSchemaAndDownLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), testdb.Empty(t)
	target := migrations.Target{DSN: db.DSN}
	latest := migrations.Latest()
	want(t, "the first up")(migrations.Up(ctx, target, lifecycle.Mock))(0, latest)
	first := text(t, db, schemaSQL)
	if !strings.Contains(first, "column installation.database_mark") {
		t.Fatalf("the description of the schema is empty:\n%s", first)
	}
	want(t, "a second up")(migrations.Up(ctx, target, lifecycle.Mock))(latest, latest)
	want(t, "down")(migrations.Down(ctx, target, latest))(latest, 0)
	if left := text(t, db, schemaSQL); left != "" {
		t.Errorf("down left:\n%s", left)
	}
	want(t, "up again")(migrations.Up(ctx, target, lifecycle.Live))(0, latest)
	if diff := cmp.Diff(first, text(t, db, schemaSQL)); diff != "" {
		t.Errorf("the schema differs after down and up:\n%s", diff)
	}
	if _, err := migrations.Down(ctx, target, latest+1); !errors.Is(err, lifecycle.ErrInvalid) {
		t.Errorf("down by more than there is: %v", err)
	}
}

func TestUpInsertsTheInstallationOnce(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), testdb.Empty(t)
	target := migrations.Target{DSN: db.DSN}
	for range 2 {
		if _, err := migrations.Up(ctx, target, lifecycle.Emulator); err != nil {
			t.Fatal(err)
		}
	}
	row := text(t, db, "SELECT mode || ' ' || oldest_release || ' ' || (id::text) FROM installation")
	mode, rest, _ := strings.Cut(row, " ")
	release, id, _ := strings.Cut(rest, " ")
	if mode != "emulator" || release != fmt.Sprint(migrations.OldestRelease) {
		t.Errorf("the row is %s", row)
	}
	if parsed, err := uuid.Parse(id); err != nil || parsed.Version() != 7 {
		t.Errorf("the id %s is not a UUID v7: %v", id, err)
	}
	mark := strings.Split(text(t, db, "SELECT database_mark FROM installation"), "/")
	oid := text(t, db, "SELECT oid::text FROM pg_database WHERE datname = current_database()")
	if len(mark) != 3 || mark[0] == "" || mark[1] == "" || mark[2] != oid {
		t.Errorf("the mark is %v; want system identifier, timeline and %s", mark, oid)
	}
}

func TestUpRaisesTheOldestRelease(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	execute(t, db, "UPDATE installation SET oldest_release = 0")
	if _, err := migrations.Up(t.Context(), migrations.Target{DSN: db.DSN}, lifecycle.Emulator); err != nil {
		t.Fatal(err)
	}
	if got := text(t, db, "SELECT oldest_release::text FROM installation"); got != fmt.Sprint(migrations.OldestRelease) {
		t.Errorf("the oldest release is %s", got)
	}
}

func TestUpRefusesADatabaseThatIsNotOurs(t *testing.T) {
	t.Parallel()
	latest := migrations.Latest()
	tests := []struct{ name, sql, want string }{
		{"of another mode", "UPDATE installation SET mode = 'mock'",
			`this database belongs to mode mock, and this is mode emulator; use another database, or "orchestrator init --mode emulator" where no run is unfinished`},
		{"of another program", "DROP TABLE installation CASCADE",
			fmt.Sprintf("this database holds the tables of another program (its schema_migrations is at version %d); use another database", latest)},
		{"closed by a newer release", fmt.Sprintf("UPDATE schema_migrations SET version = %d; UPDATE installation SET oldest_release = %d", latest+2, latest+1),
			fmt.Sprintf("this database is at version %d and needs a release that knows migration %d; this one knows up to %d", latest+2, latest+1, latest)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			execute(t, db, test.sql)
			before := text(t, db, schemaSQL)
			_, err := migrations.Up(t.Context(), migrations.Target{DSN: db.DSN}, lifecycle.Emulator)
			if !errors.Is(err, lifecycle.ErrConflict) || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if diff := cmp.Diff(before, text(t, db, schemaSQL)); diff != "" {
				t.Errorf("the refused database was changed:\n%s", diff)
			}
		})
	}
}

func TestUpLeavesANewerDatabaseThatIsStillOpenToThisRelease(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	newer := migrations.Latest() + 3
	execute(t, db, fmt.Sprintf("UPDATE schema_migrations SET version = %d", newer))
	want(t, "up")(migrations.Up(t.Context(), migrations.Target{DSN: db.DSN}, lifecycle.Emulator))(newer, newer)
}

func TestSixMigratorsAtOnceMakeOneInstallation(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if _, err := migrations.Up(t.Context(), migrations.Target{DSN: db.DSN}, lifecycle.Mock); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := text(t, db, "SELECT count(*)::text FROM installation"); got != "1" {
		t.Errorf("%s installations", got)
	}
	version, dirty, err := migrations.Version(t.Context(), migrations.Target{DSN: db.DSN})
	if version != migrations.Latest() || dirty || err != nil {
		t.Errorf("version %d, dirty %v, %v", version, dirty, err)
	}
}

func TestChangeMode(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), testdb.New(t)
	target := migrations.Target{DSN: db.DSN}
	execute(t, db, `
		INSERT INTO workflows (id, name, description, version, created_at, updated_at) VALUES (gen_random_uuid(), 'w', '', 1, clock(), clock());
		INSERT INTO workflow_versions (workflow_id, version, spec, digest, created_at, created_by) SELECT id, 1, '{}', '', clock(), 'me' FROM workflows;
		INSERT INTO runs (id, workflow_id, number, version, status, mode, origin, created_by, scheduled_at, created_at)
		SELECT gen_random_uuid(), id, 1, 1, 'pending', 'emulator', 'trigger', 'me', clock(), clock() FROM workflows`)
	err := migrations.ChangeMode(ctx, target, lifecycle.Live)
	if !errors.Is(err, lifecycle.ErrConflict) || err.Error() != "the mode cannot change while runs are unfinished (1 now); wait for them or cancel them" {
		t.Errorf("with an unfinished run: %v", err)
	}
	execute(t, db, "UPDATE runs SET status = 'cancelled', finished_at = clock()")
	if err := migrations.ChangeMode(ctx, target, lifecycle.Live); err != nil {
		t.Fatal(err)
	}
	if got := text(t, db, "SELECT mode FROM installation"); got != "live" {
		t.Errorf("the mode is %s", got)
	}
	if got := text(t, db, "SELECT mode FROM runs"); got != "emulator" {
		t.Errorf("the finished run is now of mode %s", got)
	}
}

func TestChangeModeNeedsAnInstallation(t *testing.T) {
	t.Parallel()
	for name, db := range map[string]*testdb.DB{"empty": testdb.Empty(t), "no row": testdb.New(t, testdb.WithoutInstallation())} {
		err := migrations.ChangeMode(t.Context(), migrations.Target{DSN: db.DSN}, lifecycle.Live)
		if !errors.Is(err, lifecycle.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// want checks what a migration gives: want(t, "up")(migrations.Up(...))(from, to).
func want(t *testing.T, what string) func(migrations.Result, error) func(from, to int) {
	t.Helper()
	return func(got migrations.Result, err error) func(from, to int) {
		t.Helper()
		return func(from, to int) {
			t.Helper()
			if err != nil || got.From != from || got.To != to {
				t.Fatalf("%s: got %+v, %v; want from %d to %d", what, got, err, from, to)
			}
		}
	}
}

func text(t *testing.T, db *testdb.DB, sql string) (value string) {
	t.Helper()
	if err := db.Pool.QueryRow(context.Background(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func execute(t *testing.T, db *testdb.DB, sql string) {
	t.Helper()
	if _, err := db.Pool.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// lockCode is the server's code of a wait for a lock that took too long.
func lockCode(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == "55P03"
}

const shortWait = 200 * time.Millisecond
