package migrations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Users are the database users of the functions. Each gets what its function needs, and no more.
type Users struct {
	Workflows string
	Trigger   string
	Status    string
	Tick      string
}

// grant is a right of one function on one table, as in "UPDATE (paused_at)".
type grant struct{ right, table string }

// Everybody asks whether the database is prepared, and what time it is.
var common = []grant{
	{"SELECT", "installation"},
	{"SELECT", "schema_migrations"},
}

// rights are what each function may do. Counters, the heat strip and the error clusters are kept by triggers with their owner's rights, so nobody
// may write them. UPDATE is given by column where a table holds what another function decides; a row lock needs a column that may be updated.
// A release that needs less keeps the rights of the one before it, which is at work while the new one is rolled out.
var rights = map[string][]grant{
	"workflows": {
		{"SELECT, INSERT (id, name, description, version, created_at, updated_at), UPDATE (description, version, archived_at, updated_at)", "workflows"},
		{"SELECT, INSERT", "workflow_versions"},
		{"SELECT (id, workflow_id, number, status, mode, created_at, finished_at)", "runs"}, // the last one, without its params
	},
	"trigger": {
		{"SELECT, UPDATE (last_run_number)", "workflows"},
		{"SELECT", "workflow_versions"},
		{"SELECT, INSERT (id, workflow_id, number, version, status, mode, params, origin, scheduled_at, created_by, max_executions, created_at), UPDATE (stop_requested_at, stop_as, stop_scope, stop_reason)", "runs"},
		{"SELECT, INSERT", "idempotency_keys"},
		{"SELECT, INSERT (run_id, step_no, name, status, needs, job, task_count, tolerated, max_executions), UPDATE (stop_requested_at, stop_as, stop_scope, stop_reason)", "steps"},
		{"SELECT, INSERT (run_id, at, kind, actor, subject, detail)", "events"}, // with numbers of its own choice it could keep tick from writing any
	},
	"status": {
		{"SELECT", "workflows"},
		{"SELECT", "workflow_versions"},
		{"SELECT", "runs"},
		{"SELECT", "steps"},
		{"SELECT", "step_blocks"},
		{"SELECT", "step_reasons"},
		{"SELECT", "tasks"},
		{"SELECT", "executions"},
		{"SELECT", "events"},
		{"SELECT", "jobs"},
		{"SELECT", "quotas"},
	},
	"tick": {
		{"UPDATE (last_tick_at, last_tick_by, launch_blocked_reason, database_mark)", "installation"},
		{"SELECT, UPDATE (last_run_number)", "workflows"}, // a restore must not give a number twice
		{"SELECT", "workflow_versions"},
		{"SELECT, UPDATE (status, reason, started_at, finished_at)", "runs"},
		{"SELECT, UPDATE (status, expanded, stop_requested_at, stop_as, stop_scope, stop_reason, stopped, reason, ready_at, started_at, finished_at)", "steps"},
		{"SELECT", "step_blocks"},
		{"SELECT", "step_reasons"},
		{"SELECT, INSERT, UPDATE", "tasks"},
		{"SELECT, INSERT, UPDATE", "executions"},
		{"SELECT, INSERT, UPDATE", "orphans"},
		{"SELECT, INSERT", "left_alone"},
		{"SELECT, INSERT, UPDATE", "jobs"},
		{"SELECT, INSERT, UPDATE", "quotas"},
		{"SELECT, INSERT", "events"},
		{"SELECT", "idempotency_keys"},
	},
}

// named are the users by their functions, in a fixed order.
func (u Users) named() []namedUser {
	return []namedUser{{"workflows", u.Workflows}, {"trigger", u.Trigger}, {"status", u.Status}, {"tick", u.Tick}}
}

type namedUser struct{ function, user string }

const (
	// Two at once would change the same rows of the catalog, which PostgreSQL refuses.
	lockGrantsSQL = `SELECT pg_advisory_xact_lock(hashtextextended('grants', 0))`

	missingUsersSQL = `
SELECT u.name
FROM unnest($1::text[]) AS u(name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = u.name)
ORDER BY u.name`

	// Tables of others that share the schema are not ours to grant.
	ownTablesSQL = `
SELECT quote_ident(relname)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND pg_has_role(relowner, 'USAGE')
ORDER BY relname`

	// Who may attach such a trigger function to a table of their own, a temporary one is enough, writes the counters with the owner's rights.
	// Firing a trigger needs no right. What an extension has made is not ours.
	ownFunctionsSQL = `
SELECT p.oid::regprocedure::text
FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef AND pg_has_role(p.proowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION
SELECT 'public.clock()'
ORDER BY 1`

	ownersSQL = `
SELECT u.name
FROM unnest($1::text[]) AS u(name), pg_class c
WHERE c.oid = to_regclass('public.installation') AND pg_has_role(u.name, c.relowner, 'MEMBER')
ORDER BY u.name`

	schemaRightsSQL = `SELECT has_schema_privilege($1, 'public', 'USAGE'), has_schema_privilege($1, 'public', 'CREATE')`
)

// Grant gives the functions' users exactly what their functions need, and takes away what they had besides. It is one transaction, so a function
// that is at work notices nothing. The error is of kind lifecycle.ErrInvalid where a user does not exist, serves two functions, or has the owner's rights.
func Grant(ctx context.Context, t Target, u Users) error {
	_, err := within(ctx, t, func(ctx context.Context, conn *pgx.Conn) (Result, error) {
		return Result{}, pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return grantAll(ctx, tx, u) })
	})
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok && refusal.Code == codeInsufficientPrivilege {
		return &failure{fmt.Sprintf("cannot make the grants: %s; they are made by the user who owns the tables", refusal.Message), refusal}
	}
	return err
}

func grantAll(ctx context.Context, tx pgx.Tx, u Users) error {
	if err := u.check(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, lockGrantsSQL); err != nil {
		return fmt.Errorf("make the grants: %w", err)
	}
	tables, err := namesIn(ctx, tx, ownTablesSQL)
	if err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	if len(tables) == 0 {
		return errors.New("cannot make the grants: this user owns no tables here; they are made by the user who owns them")
	}
	functions, err := namesIn(ctx, tx, ownFunctionsSQL)
	if err != nil {
		return fmt.Errorf("list the functions: %w", err)
	}
	all := objects{strings.Join(tables, ", "), strings.Join(functions, ", ")}
	statements := []string{"REVOKE ALL ON FUNCTION " + all.functions + " FROM PUBLIC"}
	for _, n := range u.named() {
		schema, err := schemaRights(ctx, tx, n.user)
		if err != nil {
			return err
		}
		statements = append(append(statements, schema...), n.statements(all)...)
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make the grants: %s: %w", sql, err)
		}
	}
	return nil
}

// objects are what rights are given on, as SQL lists them.
type objects struct{ tables, functions string }

func namesIn(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// schemaRights are the statements after which a user may use the schema and make nothing in it, as is so by default.
func schemaRights(ctx context.Context, tx pgx.Tx, user string) (list []string, err error) {
	var usage, create bool
	if err := tx.QueryRow(ctx, schemaRightsSQL, user).Scan(&usage, &create); err != nil {
		return nil, fmt.Errorf("read the rights of user %s: %w", user, err)
	}
	if create {
		list = append(list, "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "REVOKE CREATE ON SCHEMA public FROM "+pgx.Identifier{user}.Sanitize())
	}
	if !usage {
		list = append(list, "GRANT USAGE ON SCHEMA public TO "+pgx.Identifier{user}.Sanitize())
	}
	return list, nil
}

// check refuses users that are not there, one that would have the rights of two functions, and one that has the owner's: no grant would limit it, and
// what is taken away from the owner itself is missing to every trigger and foreign key.
func (u Users) check(ctx context.Context, tx pgx.Tx) error {
	var names []string
	of := map[string]string{}
	for _, n := range u.named() {
		if other, twice := of[n.user]; twice {
			return lifecycle.Invalid("user %s is to serve %s and %s; each function needs a user of its own", n.user, other, n.function)
		}
		of[n.user] = n.function
		names = append(names, n.user)
	}
	missing, err := namesIn(ctx, tx, missingUsersSQL, names)
	if err != nil {
		return fmt.Errorf("look for the functions' users: %w", err)
	}
	if len(missing) > 0 {
		return lifecycle.Invalid("the database server has no user %s; create it, then migrate again", strings.Join(missing, ", nor "))
	}
	owners, err := namesIn(ctx, tx, ownersSQL, names)
	if err != nil {
		return fmt.Errorf("look for the functions' users: %w", err)
	}
	if len(owners) > 0 {
		return lifecycle.Invalid("user %s has the rights of the user who owns the tables; each function needs a user of its own, that is a member of no other", strings.Join(owners, " and "))
	}
	return nil
}

// statements take everything away and give what is needed. The user's name comes from outside, all else is written here.
func (n namedUser) statements(all objects) []string {
	user := pgx.Identifier{n.user}.Sanitize()
	list := []string{
		"REVOKE ALL ON " + all.tables + " FROM " + user,
		"REVOKE ALL ON FUNCTION " + all.functions + " FROM " + user,
		"GRANT EXECUTE ON FUNCTION clock() TO " + user,
	}
	if n.function == "tick" {
		list = append(list, "GRANT EXECUTE ON FUNCTION database_mark() TO "+user)
	}
	for _, g := range slices.Concat(common, rights[n.function]) {
		list = append(list, fmt.Sprintf("GRANT %s ON %s TO %s", g.right, g.table, user))
	}
	return list
}
