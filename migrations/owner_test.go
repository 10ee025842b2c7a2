package migrations_test

import (
	"fmt"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/testdb"
	"cloud-run-orchestrator/migrations"

	"github.com/jackc/pgx/v5"
)

// owned makes a user as a managed server has it for migrations: no superuser, but a member of the role that owns the database and may read statistics.
func owned(t *testing.T, db *testdb.DB) (user string) {
	t.Helper()
	mark := time.Now().UnixNano()
	group := pgx.Identifier{fmt.Sprintf("admins-%d", mark)}.Sanitize()
	user = fmt.Sprintf(`mig'rate"%d@my-project.iam`, mark)
	quoted := pgx.Identifier{user}.Sanitize()
	do(t, db, "CREATE ROLE "+group+" CREATEROLE CREATEDB IN ROLE pg_monitor")
	do(t, db, "CREATE ROLE "+quoted+" LOGIN PASSWORD 'secret' IN ROLE "+group)
	do(t, db, "ALTER DATABASE "+db.Name+" OWNER TO "+group)
	t.Cleanup(func() {
		do(t, db, "ALTER DATABASE "+db.Name+" OWNER TO CURRENT_USER")
		do(t, db, "DROP OWNED BY "+quoted+", "+group)
		do(t, db, "DROP ROLE "+quoted+", "+group)
	})
	return user
}

func TestAMigratingUserWhoIsNoSuperuserIsEnough(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	target := migrations.Target{DSN: as(db, owned(t, db))}
	u := newUsers(t, db)
	for range 2 { // it is repeated with every release
		if _, err := migrations.Up(t.Context(), target, lifecycle.Live); err != nil {
			t.Fatal(err)
		}
		if err := migrations.Grant(t.Context(), target, u); err != nil {
			t.Fatal(err)
		}
	}
	const id = "00000000-0000-7000-8000-000000000001"
	for _, c := range []struct{ user, sql string }{
		{u.Workflows, `INSERT INTO workflows (id, name, description, version, created_at, updated_at) VALUES ('` + id + `', 'w', '', 1, clock(), clock())`},
		{u.Workflows, `INSERT INTO workflow_versions (workflow_id, version, spec, digest, created_at, created_by) VALUES ('` + id + `', 1, '{}', '', clock(), 'x')`},
		{u.Trigger, `INSERT INTO runs (id, workflow_id, number, version, status, mode, params, origin, scheduled_at, created_by, created_at)
			VALUES ('` + id + `', '` + id + `', 1, 1, 'pending', 'live', '{}', 'trigger', clock(), 'x', clock())`},
		{u.Trigger, `INSERT INTO steps (run_id, step_no, name, status, job, task_count) VALUES ('` + id + `', 0, 'main', 'pending', 'projects/p/locations/l/jobs/j', 1)`},
		{u.Trigger, `INSERT INTO events (run_id, at, kind, actor, subject) VALUES ('` + id + `', clock(), 'run_created', 'x', 'run')`},
		{u.Tick, `INSERT INTO tasks (run_id, step_no, task_index, status, due_at) VALUES ('` + id + `', 0, 0, 'pending', clock())`},
		{u.Tick, `UPDATE installation SET database_mark = database_mark() WHERE database_mark = database_mark()`},
	} {
		conn, err := pgx.Connect(t.Context(), as(db, c.user))
		if err != nil {
			t.Fatal(err)
		}
		if tag, err := conn.Exec(t.Context(), c.sql); err != nil || tag.RowsAffected() != 1 {
			t.Errorf("%s: %s: %v, %v", c.user, c.sql, tag, err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	var pending int
	if err := db.Pool.QueryRow(t.Context(), `SELECT pending FROM steps`).Scan(&pending); err != nil || pending != 1 {
		t.Errorf("%d pending tasks are counted, %v", pending, err)
	}
}
