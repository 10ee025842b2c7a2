package model

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// snapshot is what the database says at one moment.
type snapshot struct {
	at      time.Time
	runs    map[string]runRow
	steps   map[string]stepRow // by run/number
	tasks   map[string]taskRow // by run/number/index
	rows    map[string]ledgerRow
	orphans map[string]bool // by name: it has ended
	blocked string
	events  int
}

type runRow struct {
	ID         string
	Workflow   string
	Number     int64
	Status     string
	Reason     string
	StopAs     string
	Limit      int
	FinishedAt *time.Time
}

func (r runRow) name() string { return fmt.Sprintf("%s.%d", r.Workflow, r.Number) }

type stepRow struct {
	Run, Name, Status, StopAs, StopScope, Reason string
	No, Tolerated, Expanded, TaskCount, Limit    int
	Needs                                        []int
	FinishedAt                                   *time.Time
}

func (s stepRow) key() string { return fmt.Sprintf("%s/%d", s.Run, s.No) }

type taskRow struct {
	Run                  string
	StepNo, Index        int
	Step, Status, Reason string
	Attempt, Returns     int
	ExitCode, Signal     *int
	Row                  string
	FinishedAt           *time.Time
}

func (t taskRow) key() string { return fmt.Sprintf("%s/%d/%d", t.Run, t.StepNo, t.Index) }

// ledgerRow is one row of the ledger.
type ledgerRow struct {
	ID, Workflow, Run       string
	StepNo                  int
	Job, Status, Outcome    string
	Send                    int
	SentAt                  *time.Time
	Name, Reason, StopScope string
	CancelSentAt            *time.Time
	FinishedAt              *time.Time
}

// read takes a snapshot in one transaction.
func (w *world) read() snapshot {
	w.t.Helper()
	s := snapshot{at: w.clock.Now(), runs: map[string]runRow{}, steps: map[string]stepRow{}, tasks: map[string]taskRow{}, rows: map[string]ledgerRow{}, orphans: map[string]bool{}}
	tx, err := w.db.Pool.BeginTx(w.ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		w.t.Fatal(err)
	}
	defer tx.Rollback(w.ctx)
	for _, r := range rowsOf[runRow](w, tx, `SELECT r.id::text, w.name, r.number, r.status, r.reason, coalesce(r.stop_as, ''), coalesce(r.max_executions, 0), r.finished_at
		FROM runs r JOIN workflows w ON w.id = r.workflow_id`) {
		s.runs[r.ID] = r
	}
	for _, r := range rowsOf[stepRow](w, tx, `SELECT run_id::text, name, status, coalesce(stop_as, ''), coalesce(stop_scope, ''), reason, step_no, tolerated, expanded, coalesce(task_count, 0), coalesce(max_executions, 0), needs, finished_at FROM steps`) {
		s.steps[r.key()] = r
	}
	for _, r := range rowsOf[taskRow](w, tx, `SELECT t.run_id::text, t.step_no, t.task_index, s.name, t.status, t.reason, t.attempt, t.returns, t.exit_code, t.signal, coalesce(t.execution_id::text, ''), t.finished_at
		FROM tasks t JOIN steps s ON s.run_id = t.run_id AND s.step_no = t.step_no`) {
		s.tasks[r.key()] = r
	}
	for _, r := range rowsOf[ledgerRow](w, tx, `SELECT x.id::text, w.name, x.run_id::text, x.step_no, x.job, x.status, coalesce(x.outcome, ''), x.send, x.sent_at,
		coalesce(x.cloud_run_execution_name, ''), x.reason, coalesce(x.stop_scope, ''), x.cancel_sent_at, x.finished_at
		FROM executions x JOIN workflows w ON w.id = x.workflow_id`) {
		s.rows[r.ID] = r
	}
	type orphanRow struct {
		Name  string
		Ended bool
	}
	for _, r := range rowsOf[orphanRow](w, tx, `SELECT cloud_run_execution_name, ended_at IS NOT NULL FROM orphans`) {
		s.orphans[r.Name] = r.Ended
	}
	if err := tx.QueryRow(w.ctx, `SELECT launch_blocked_reason, (SELECT count(*) FROM events) FROM installation`).Scan(&s.blocked, &s.events); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func rowsOf[T any](w *world, tx pgx.Tx, sql string) []T {
	w.t.Helper()
	rows, err := tx.Query(w.ctx, sql)
	if err != nil {
		w.t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}
