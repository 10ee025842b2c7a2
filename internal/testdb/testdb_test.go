package testdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/localpg"
	"cloud-run-orchestrator/migrations"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// asOther makes the test program another process that uses a database of its own, and says on which server.
const asOther = "TESTDB_TEST_AS_OTHER"

const serverSQL = "SELECT system_identifier::text || ' ' || pg_postmaster_start_time()::text FROM pg_control_system()"

func TestMain(m *testing.M) {
	if os.Getenv(asOther) != "" {
		if err := beOther(); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func beOther() error {
	ctx := context.Background()
	s, err := shared()
	if err != nil {
		return err
	}
	db, err := s.clone(ctx, s.template)
	if err != nil {
		return err
	}
	var where string
	if err := db.Pool.QueryRow(ctx, serverSQL).Scan(&where); err != nil {
		return err
	}
	db.Pool.Close()
	_, err = s.admin.Exec(ctx, "DROP DATABASE "+db.Name)
	fmt.Printf("%s own=%v", where, s.own != nil)
	return err
}

func TestEachTestHasAMigratedDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	first, second := New(t), New(t, Mode(lifecycle.Mock))
	if first.Name == second.Name {
		t.Fatal("two tests share a database")
	}
	for db, mode := range map[*DB]string{first: "emulator", second: "mock"} {
		if got := ask(t, db, "SELECT mode FROM installation"); got != mode {
			t.Errorf("the mode is %s, want %s", got, mode)
		}
		if got := ask(t, db, "SELECT version::text FROM schema_migrations WHERE NOT dirty"); got != fmt.Sprint(migrations.Latest()) {
			t.Errorf("the schema is at version %s", got)
		}
		number := ask(t, db, "SELECT oid::text FROM pg_database WHERE datname = current_database()")
		if mark := ask(t, db, "SELECT database_mark FROM installation"); !strings.HasSuffix(mark, "/"+number) {
			t.Errorf("the mark %s is not of database %s", mark, number)
		}
		conn, err := pgx.Connect(t.Context(), db.DSN)
		if err != nil {
			t.Fatalf("the DSN leads nowhere: %v", err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := ask(t, New(t, WithoutInstallation()), "SELECT count(*)::text FROM installation"); got != "0" {
		t.Errorf("%s installations where none was wanted", got)
	}
	if got := ask(t, Empty(t), "SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'"); got != "0" {
		t.Errorf("%s tables in an empty database", got)
	}
}

func TestADatabaseEndsWithItsTest(t *testing.T) {
	t.Parallel()
	name := ""
	t.Run("inner", func(t *testing.T) { name = New(t).Name })
	if exists(t, name) {
		t.Errorf("database %s is still there", name)
	}
}

// failed is a test that has failed.
type failed struct {
	testing.TB
	log string
}

func (f *failed) Failed() bool { return true }

func (f *failed) Logf(format string, args ...any) { f.log += fmt.Sprintf(format, args...) }

func TestTheDatabaseOfAFailedTestIsKeptAndNamed(t *testing.T) {
	t.Parallel()
	s := ownServer(t)
	db, err := s.clone(t.Context(), s.template)
	if err != nil {
		t.Fatal(err)
	}
	fake := &failed{TB: t}
	db.end(fake, s)
	if !strings.Contains(fake.log, "database kept: psql ") || !strings.Contains(fake.log, "dbname="+db.Name) {
		t.Errorf("the test says %q", fake.log)
	}
	if err := s.own.Stop(); err != nil { // as the process of the failed test does when it ends
		t.Fatal(err)
	}
	if err := sweep(t.Context(), s.admin); err != nil { // as the next process does when it begins
		t.Fatal(err)
	}
	if names := databases(t, s); names != db.Name {
		t.Errorf("the databases are %q, want %s", names, db.Name)
	}
}

func TestSweepTakesWhatWasForgotten(t *testing.T) {
	t.Parallel()
	s := ownServer(t)
	forgotten, err := s.clone(t.Context(), s.template)
	if err != nil {
		t.Fatal(err)
	}
	forgotten.Pool.Close()
	used, err := s.clone(t.Context(), s.template)
	if err != nil {
		t.Fatal(err)
	}
	defer used.Pool.Close()
	if err := used.Pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for databases(t, s) != used.Name { // a connection that was just closed counts for a moment
		if err := sweepOlder(t.Context(), s.admin, "-1 hour"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProcessesShareOneServer(t *testing.T) {
	t.Parallel()
	db := New(t)
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	want := ask(t, db, serverSQL)
	if got := other(t); got != fmt.Sprintf("%s own=%v", want, s.own != nil) {
		t.Errorf("another process uses server %q, this one %q", got, want)
	}
	if got := other(t, "TEST_DATABASE_URL="+db.DSN); got != want+" own=false" {
		t.Errorf("with TEST_DATABASE_URL: got %q, want %q", got, want)
	}
}

func TestServerOptions(t *testing.T) {
	t.Parallel()
	fast, durable := serverOptions(false), serverOptions(true)
	if fast.Durable || !durable.Durable || fast.Dir == durable.Dir || filepath.Dir(fast.Dir) != localpg.TestBase() {
		t.Errorf("got %+v and %+v", fast, durable)
	}
	if !fast.Temporary || !durable.Temporary || fast.Linger <= 0 {
		t.Errorf("got %+v and %+v", fast, durable)
	}
}

// other runs another process and returns what it says.
func other(t *testing.T, settings ...string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(append(os.Environ(), asOther+"=1"), settings...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func ask(t *testing.T, db *DB, sql string) (value string) {
	t.Helper()
	if err := db.Pool.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func exists(t *testing.T, name string) bool {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	var found string
	err = s.admin.QueryRow(t.Context(), "SELECT datname FROM pg_database WHERE datname = $1", name).Scan(&found)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return err == nil
}

// databases are the tests' databases on a server.
func databases(t *testing.T, s *server) (names string) {
	t.Helper()
	const list = "SELECT coalesce(string_agg(datname, ' '), '') FROM pg_database WHERE datname LIKE 't\\_%'"
	if err := s.admin.QueryRow(t.Context(), list).Scan(&names); err != nil {
		t.Fatal(err)
	}
	return names
}

// ownServer is a server that no other test uses, with an empty template.
func ownServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp(localpg.TestBase(), "testdb-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	options := localpg.Options{Dir: filepath.Join(dir, "pg"), Temporary: true}
	own, err := localpg.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), own.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool.Close()
		last, err := localpg.Start(context.Background(), options) // the test may have stopped its own use
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(last.Hold(0), own.Stop(), last.Stop()); err != nil {
			t.Error(err)
		}
	})
	return &server{own: own, admin: pool, template: "template1"}
}

func TestAVirtualClockMovesOnlyWhenItIsTold(t *testing.T) {
	t.Parallel()
	db := New(t)
	start := time.Date(2030, 1, 2, 3, 4, 5, 6789, time.UTC)
	c := db.VirtualClock(t, start)
	check := func(want time.Time) {
		t.Helper()
		var got time.Time
		if err := db.Pool.QueryRow(t.Context(), `SELECT clock()`).Scan(&got); err != nil {
			t.Fatal(err)
		}
		wall, mono := c.Local()
		if !got.Equal(want) || !c.Now().Equal(want) || !wall.Equal(want) || mono != want.Sub(start.Truncate(time.Microsecond)) {
			t.Errorf("database %s, now %s, wall %s, monotonic %s, want %s", got, c.Now(), wall, mono, want)
		}
	}
	check(start.Truncate(time.Microsecond))
	check(start.Truncate(time.Microsecond))
	c.Advance(t, 90*time.Second)
	check(start.Truncate(time.Microsecond).Add(90 * time.Second))
}
