package migrations_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/testdb"
	"cloud-run-orchestrator/migrations"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var update = flag.Bool("update", false, "write what is found to the golden files")

// newUsers makes four users that belong to the test alone. Their names are those of IAM users, with what SQL would take for its own.
func newUsers(t *testing.T, db *testdb.DB) migrations.Users {
	t.Helper()
	mark := fmt.Sprintf("%d@my-project.iam", time.Now().UnixNano())
	u := migrations.Users{Workflows: `work"flows-` + mark, Trigger: "Trigger-" + mark, Status: "status-" + mark, Tick: "tick; DROP TABLE tasks --" + mark}
	for _, name := range []string{u.Workflows, u.Trigger, u.Status, u.Tick} {
		user := pgx.Identifier{name}.Sanitize()
		do(t, db, "CREATE ROLE "+user+" LOGIN PASSWORD 'secret'")
		t.Cleanup(func() {
			do(t, db, "DROP OWNED BY "+user)
			do(t, db, "DROP ROLE "+user)
		})
	}
	return u
}

func do(t *testing.T, db *testdb.DB, sql string) {
	t.Helper()
	if _, err := db.Pool.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// rightsSQL tells what a user may do, directly or as everybody: on whole tables and on columns, one line a table.
const rightsSQL = `
WITH tables AS (
    SELECT c.oid, c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
), found AS (
    SELECT t.relname, p.n, p.right AS what
    FROM tables t, (VALUES (1, 'SELECT'), (2, 'INSERT'), (3, 'UPDATE'), (4, 'DELETE'), (5, 'TRUNCATE'), (6, 'REFERENCES'), (7, 'TRIGGER')) AS p(n, "right")
    WHERE has_table_privilege($1, t.oid, p.right)
    UNION ALL
    SELECT t.relname, p.n, p.right || ' (' || string_agg(a.attname, ', ' ORDER BY a.attname) || ')'
    FROM tables t
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped,
         (VALUES (1, 'SELECT'), (2, 'INSERT'), (3, 'UPDATE'), (6, 'REFERENCES')) AS p(n, "right")
    WHERE NOT has_table_privilege($1, t.oid, p.right) AND has_column_privilege($1, t.oid, a.attnum, p.right)
    GROUP BY t.relname, p.n, p.right
), functions AS (
    SELECT p.oid::regprocedure::text AS relname, 1 AS n, 'EXECUTE' AS what
    FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND (p.prosecdef OR p.prorettype <> 'trigger'::regtype) AND has_function_privilege($1, p.oid, 'EXECUTE')
), schema AS (
    SELECT 'schema public' AS relname, 1 AS n, p AS what FROM unnest(ARRAY['USAGE', 'CREATE']) AS p WHERE has_schema_privilege($1, 'public', p)
)
SELECT relname || ': ' || string_agg(what, ', ' ORDER BY n)
FROM (SELECT * FROM found UNION ALL SELECT * FROM functions UNION ALL SELECT * FROM schema) x
GROUP BY relname
ORDER BY relname COLLATE "C"`

func rightsOf(t *testing.T, db *testdb.DB, user string) string {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), rightsSQL, user)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "\n") + "\n"
}

func allRights(t *testing.T, db *testdb.DB, u migrations.Users) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "workflows\n%s\ntrigger\n%s\nstatus\n%s\ntick\n%s", rightsOf(t, db, u.Workflows), rightsOf(t, db, u.Trigger), rightsOf(t, db, u.Status), rightsOf(t, db, u.Tick))
	return b.String()
}

func TestEachFunctionsUserMayDoWhatIsWrittenDownAndNothingElse(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	u := newUsers(t, db)
	if err := migrations.Grant(t.Context(), migrations.Target{DSN: db.DSN}, u); err != nil {
		t.Fatal(err)
	}
	got := allRights(t, db, u)
	golden := filepath.Join("testdata", "grants.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("rights (-want +got), or run the test with -update\n%s", diff)
	}
}

func TestGrantsTakeAwayWhatAUserHadBesides(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	u := newUsers(t, db)
	target := migrations.Target{DSN: db.DSN}
	if err := migrations.Grant(t.Context(), target, u); err != nil {
		t.Fatal(err)
	}
	want := allRights(t, db, u)
	status := pgx.Identifier{u.Status}.Sanitize()
	do(t, db, "GRANT ALL ON ALL TABLES IN SCHEMA public TO "+status)
	do(t, db, "GRANT UPDATE (status) ON tasks TO "+status)
	do(t, db, "GRANT CREATE ON SCHEMA public TO PUBLIC")
	do(t, db, "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
	do(t, db, "GRANT EXECUTE ON FUNCTION database_mark(), count_tasks_insert() TO PUBLIC")
	do(t, db, "GRANT EXECUTE ON FUNCTION count_executions() TO "+status)
	if err := migrations.Grant(t.Context(), target, u); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, allRights(t, db, u)); diff != "" {
		t.Errorf("rights after the second time (-want +got)\n%s", diff)
	}
}

func TestGrantsForUsersThatCannotBeChangeNothing(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	u := newUsers(t, db)
	before := allRights(t, db, u)
	var owner string
	if err := db.Pool.QueryRow(t.Context(), `SELECT current_user`).Scan(&owner); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*migrations.Users)
		want   string
	}{
		{func(u *migrations.Users) { u.Trigger = "nobody@my-project.iam" }, "the database server has no user nobody@my-project.iam; create it, then migrate again"},
		{func(u *migrations.Users) { u.Trigger, u.Tick = "nobody", "noone" }, "the database server has no user nobody, nor noone; create it, then migrate again"},
		{func(u *migrations.Users) { u.Trigger = owner }, "user " + owner + " has the rights of the user who owns the tables; each function needs a user of its own, that is a member of no other"},
		{func(u *migrations.Users) { u.Trigger = u.Status }, "user " + u.Status + " is to serve trigger and status; each function needs a user of its own"},
	} {
		bad := u
		c.change(&bad)
		err := migrations.Grant(t.Context(), migrations.Target{DSN: db.DSN}, bad)
		if !errors.Is(err, lifecycle.ErrInvalid) || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if diff := cmp.Diff(before, allRights(t, db, u)); diff != "" {
		t.Errorf("rights (-before +after)\n%s", diff)
	}
}

func TestOnlyTheOwnerOfTheTablesMakesGrants(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	u := newUsers(t, db)
	err := migrations.Grant(t.Context(), migrations.Target{DSN: as(db, u.Tick)}, u)
	if err == nil || err.Error() != "cannot make the grants: this user owns no tables here; they are made by the user who owns them" {
		t.Errorf("got %v", err)
	}
}

// as is the way into the database as one of the test's users.
func as(db *testdb.DB, user string) string {
	return db.DSN + " user='" + strings.ReplaceAll(user, `'`, `\'`) + "' password=secret"
}

// A user of a function that has been taken over asks for what another function may do.
func TestWhatAFunctionMayNotDoIsRefused(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	u := newUsers(t, db)
	if err := migrations.Grant(t.Context(), migrations.Target{DSN: db.DSN}, u); err != nil {
		t.Fatal(err)
	}
	writes := func(table, column string) []string {
		return []string{"INSERT INTO " + table + " DEFAULT VALUES", "UPDATE " + table + " SET " + column + " = NULL", "DELETE FROM " + table, "TRUNCATE " + table + " CASCADE"}
	}
	ledger := append(writes("executions", "status"), writes("tasks", "status")...)
	ledger = append(ledger, "SELECT FROM tasks", "SELECT FROM executions", "SELECT count(*) FROM orphans", "UPDATE quotas SET tokens = 0")
	counters := append(writes("step_blocks", "pending"), writes("step_reasons", "tasks")...)
	counters = append(counters, "UPDATE steps SET success = 1")
	makes := []string{"CREATE TABLE mine (x int)", "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "ALTER TABLE tasks DISABLE TRIGGER ALL",
		"DROP TABLE tasks", "UPDATE installation SET mode = 'mock'", "UPDATE installation SET clock_offset = '1 day'", "DELETE FROM schema_migrations",
		"UPDATE schema_migrations SET version = 9", "CREATE SCHEMA mine",
		// the counters are written with their owner's rights, by whatever table has this trigger
		`CREATE TEMP TABLE mine (run_id uuid, step_no integer, task_index integer, status text, reason text, attempt integer);
		 CREATE TRIGGER mine AFTER INSERT ON mine REFERENCING NEW TABLE AS new_tasks FOR EACH STATEMENT EXECUTE FUNCTION count_tasks_insert()`}
	definitions := append(writes("workflow_versions", "spec"), "INSERT INTO workflows (id) VALUES (NULL)", "UPDATE workflows SET description = ''", "DELETE FROM workflows")
	for _, c := range []struct {
		user    string
		refused [][]string
	}{
		{u.Workflows, [][]string{ledger, counters, makes, {
			"SELECT params FROM runs", "INSERT INTO runs DEFAULT VALUES", "UPDATE runs SET status = 'success'", "SELECT FROM steps", "INSERT INTO events DEFAULT VALUES",
			"SELECT FROM idempotency_keys", "UPDATE workflows SET last_run_number = 0", "UPDATE workflow_versions SET spec = '{}'", "DELETE FROM workflow_versions",
			"SELECT database_mark()", "UPDATE installation SET launch_blocked_reason = ''"}}},
		{u.Trigger, [][]string{ledger, counters, makes, definitions, {
			"UPDATE runs SET status = 'success'", "UPDATE steps SET status = 'success'", "UPDATE runs SET finished_at = now()", "DELETE FROM runs", "DELETE FROM steps",
			"UPDATE idempotency_keys SET digest = ''", "DELETE FROM events", "UPDATE events SET actor = 'somebody else'",
			"INSERT INTO events (seq, at, kind, actor, subject) OVERRIDING SYSTEM VALUE VALUES (7, now(), '', '', '')", "UPDATE installation SET launch_blocked_reason = ''"}}},
		{u.Status, [][]string{counters, makes, definitions, writes("executions", "status"), writes("tasks", "status"), writes("runs", "status"), writes("steps", "status"),
			writes("events", "kind"), writes("quotas", "tokens"), {"SELECT FROM idempotency_keys", "UPDATE installation SET launch_blocked_reason = ''", "SELECT FROM runs FOR UPDATE"}}},
		{u.Tick, [][]string{counters, makes, definitions, {
			"INSERT INTO runs DEFAULT VALUES", "INSERT INTO steps DEFAULT VALUES", "UPDATE runs SET params = '{}'", "UPDATE runs SET created_by = 'x'", "UPDATE steps SET job = ''",
			"DELETE FROM tasks", "DELETE FROM executions", "DELETE FROM events", "UPDATE events SET detail = ''", "INSERT INTO idempotency_keys DEFAULT VALUES"}}},
	} {
		conn, err := pgx.Connect(t.Context(), as(db, c.user))
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range c.refused {
			for _, sql := range list {
				_, err := conn.Exec(t.Context(), sql)
				if refusal, ok := errors.AsType[*pgconn.PgError](err); !ok || refusal.Code != "42501" {
					t.Errorf("%s: %s: %v, want that it is not allowed", c.user, sql, err)
				}
			}
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
