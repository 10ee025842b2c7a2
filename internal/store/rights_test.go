package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/testdb"
	"cloud-run-orchestrator/migrations"

	"github.com/jackc/pgx/v5"
)

// usedBy are the functions of the statements that not only tick needs, or not tick at all.
var usedBy = map[string]string{
	"installationSQL": "workflows trigger status tick",

	"insertVersionSQL":  "workflows",
	"insertWorkflowSQL": "workflows",
	"updateWorkflowSQL": "workflows",
	"lockWorkflowSQL":   "workflows",
	"archiveSQL":        "workflows",
	"versionsSQL":       "workflows",
	"workflowsSQL":      "workflows tick",
	"workflowSQL":       "workflows trigger status",
	"workflowNamesSQL":  "workflows trigger status",
	"lockForRunSQL":     "workflows trigger",

	"specSQL":        "trigger tick",
	"numberRunSQL":   "trigger",
	"keySQL":         "trigger",
	"insertRunSQL":   "trigger",
	"insertStepsSQL": "trigger",
	"stopRunSQL":     "trigger",
	"stopStepsSQL":   "trigger",

	"runByIDSQL":     "trigger status",
	"runByNumberSQL": "trigger status",
	"runsSQL":        "status",
	"stepsSQL":       "status",
	"tasksSQL":       "status",
	"executionsSQL":  "status",
	"eventsSQL":      "status",
	"overviewSQL":    "status",
	"waitingSQL":     "status",
	"jobRetriesSQL":  "status",
	"gatesSQL":       "status tick",
	"nowSQL":         "status tick",
}

// A statement that a function's user may not execute would fail in production alone, so each is planned as that user.
func TestEveryStatementIsAllowedToTheFunctionsThatNeedIt(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	pooled, err := db.Pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pooled.Release()
	conn := pooled.Conn()
	exec := func(sql string) error {
		_, err := conn.Exec(t.Context(), sql)
		return err
	}
	must := func(sql string) {
		t.Helper()
		if err := exec(sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	user := func(function string) string { return function + "_" + strings.ToLower(db.Name) }
	for _, f := range []string{"workflows", "trigger", "status", "tick"} {
		must("CREATE ROLE " + user(f))
		defer must(fmt.Sprintf("RESET ROLE; DROP OWNED BY %s; DROP ROLE %s", user(f), user(f)))
	}
	if err := migrations.Grant(t.Context(), migrations.Target{DSN: db.DSN}, migrations.Users{
		Workflows: user("workflows"), Trigger: user("trigger"), Status: user("status"), Tick: user("tick"),
	}); err != nil {
		t.Fatal(err)
	}
	statements := statementsOf(t, ".")
	for name := range usedBy {
		if statements[name] == "" {
			t.Errorf("there is no statement %s", name)
		}
	}
	for _, i := range invariants {
		statements["invariant: "+i.name] = i.sql
	}
	delete(statements, "longStatementsSQL") // a setting
	for name, sql := range statements {
		functions := usedBy[name]
		if functions == "" {
			functions = "tick"
		}
		d, err := conn.Prepare(t.Context(), name, sql)
		if err != nil {
			t.Fatal(err)
		}
		execute := "EXPLAIN EXECUTE " + pgx.Identifier{name}.Sanitize()
		if n := len(d.ParamOIDs); n > 0 {
			execute += "(" + strings.Join(slices.Repeat([]string{"NULL"}, n), ", ") + ")"
		}
		for f := range strings.FieldsSeq(functions) {
			must("SET ROLE " + user(f))
			if err := exec(execute); err != nil {
				t.Errorf("%s as %s: %v", name, f, err)
			}
			must("RESET ROLE")
		}
	}
}
