package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// truth is how the ledger compares with what Cloud Run really did.
type truth struct {
	Runs       int            `json:"runs"`
	RunsBy     map[string]int `json:"runs_by_status"`
	Tasks      int            `json:"tasks"`
	TasksBy    map[string]int `json:"tasks_by_status_and_reason"`
	Rows       int            `json:"ledger_rows"`
	Accepted   int            `json:"executions_accepted"`
	Duplicates int            `json:"duplicates"`
	Lost       int            `json:"lost"`
	Unknown    int            `json:"launch_unknown"`
	Late       int            `json:"accepted_or_shown_after_the_settle_window"` // and cancelled; the gap that is documented
	Orphans    int            `json:"orphans"`
}

// ledger is what the database says at the end.
type ledger struct {
	tasks   []taskRow
	rows    map[uuid.UUID]ledgerRow
	orphans map[string]bool // by short name
	stopped map[uuid.UUID]bool
	runs    map[uuid.UUID]string
}

type taskRow struct {
	Run       uuid.UUID
	Step      int
	Index     int
	Status    string
	Reason    string
	Execution *uuid.UUID
}

type ledgerRow struct {
	ID      uuid.UUID
	SentAt  *time.Time
	Outcome string
	Name    string
}

func (c *chaos) read() (l ledger, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if l.tasks, err = collect[taskRow](ctx, c, `SELECT run_id, step_no, task_index, status, reason, execution_id FROM tasks`); err != nil {
		return l, err
	}
	rows, err := collect[ledgerRow](ctx, c, `SELECT id, sent_at, coalesce(outcome, ''), coalesce(cloud_run_execution_name, '') FROM executions`)
	if err != nil {
		return l, err
	}
	l.rows = map[uuid.UUID]ledgerRow{}
	for _, r := range rows {
		l.rows[r.ID] = r
	}
	type named struct{ Name string }
	orphans, err := collect[named](ctx, c, `SELECT cloud_run_execution_name FROM orphans WHERE ended_at IS NOT NULL`)
	if err != nil {
		return l, err
	}
	l.orphans = map[string]bool{}
	for _, o := range orphans {
		l.orphans[lifecycle.ShortName(o.Name)] = true
	}
	type ended struct {
		ID      uuid.UUID
		Status  string
		Stopped bool
	}
	runs, err := collect[ended](ctx, c, `SELECT id, CASE WHEN finished_at IS NULL THEN '' ELSE status END, stop_requested_at IS NOT NULL FROM runs`)
	l.runs, l.stopped = map[uuid.UUID]string{}, map[uuid.UUID]bool{}
	for _, r := range runs {
		l.runs[r.ID], l.stopped[r.ID] = r.Status, r.Stopped
	}
	return l, err
}

func collect[T any](ctx context.Context, c *chaos, sql string) ([]T, error) {
	rows, err := c.db.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

// unsettled counts runs that are not final, and executions that the ledger does not know, or that live on.
func (c *chaos) unsettled() (open, unknown int, err error) {
	l, err := c.read()
	if err != nil {
		return 0, 0, err
	}
	for _, status := range l.runs {
		if status == "" {
			open++
		}
	}
	for _, x := range c.run.Executions() {
		if x.Gone == "" && (x.Outcome == "running" || !l.knows(x)) {
			unknown++
		}
	}
	return open, unknown, nil
}

// owner is the ledger's row of an execution.
func (l ledger) owner(x emulator.Execution) ledgerRow {
	marker, _ := lifecycle.ParseMarker(x.Env[lifecycle.MarkerEnv])
	return l.rows[marker.Row]
}

// owned says whether an execution is the one whose end its row tells.
func (l ledger) owned(x emulator.Execution) bool {
	row := l.owner(x)
	return lifecycle.ShortName(row.Name) == lifecycle.ShortName(x.Name) && !l.orphans[lifecycle.ShortName(x.Name)]
}

func (l ledger) knows(x emulator.Execution) bool {
	return l.owned(x) || l.orphans[lifecycle.ShortName(x.Name)]
}

// compare demands that nothing was lost and nothing was repeated.
func (c *chaos) compare() truth {
	c.t.Helper()
	l, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	accepted := c.run.Executions()
	r := truth{Runs: len(l.runs), RunsBy: map[string]int{}, Tasks: len(l.tasks), TasksBy: map[string]int{}, Rows: len(l.rows), Accepted: len(accepted), Orphans: len(l.orphans)}
	for _, status := range l.runs {
		r.RunsBy[status]++
	}
	for key, id := range c.runs {
		if l.runs[uuid.MustParse(id)] == "" {
			r.Lost++
			c.t.Errorf("run %s of key %s has no end", id, key)
		}
	}
	if len(c.runs) != len(l.runs) {
		c.t.Errorf("%d runs were asked for, and there are %d", len(c.runs), len(l.runs))
	}
	c.compareSends(l, accepted, &r)
	c.compareTasks(l, accepted, &r)
	c.keepsItsRules()
	return r
}

// compareSends demands that each send was accepted once at most, and that a task has a second execution only where Cloud Run showed the first too late.
func (c *chaos) compareSends(l ledger, accepted []emulator.Execution, r *truth) {
	sends, owned := map[string]string{}, map[string]string{}
	for _, x := range accepted {
		marker := x.Env[lifecycle.MarkerEnv]
		if first, twice := sends[marker]; twice {
			r.Duplicates++
			c.t.Errorf("%s and %s are of one send, %s", first, x.Name, marker)
		}
		sends[marker] = x.Name
		task := x.Env["ORCHESTRATOR_RUN_ID"] + "/" + x.Env["ORCHESTRATOR_STEP"] + "/" + x.Env["ORCHESTRATOR_TASK_INDEX"]
		row := l.owner(x)
		switch {
		case l.owned(x):
			if first, twice := owned[task]; twice {
				r.Duplicates++
				c.t.Errorf("task %s was done by %s and by %s", task, first, x.Name)
			}
			owned[task] = x.Name
		case x.Gone != "" && !l.knows(x): // it vanished before anybody could see it
		case row.SentAt != nil && x.Created.Add(chaosLag).Before(row.SentAt.Add(chaosSettle)):
			r.Duplicates++
			c.t.Errorf("%s was accepted %s after it was sent, and its row %+v gave it up", x.Name, x.Created.Sub(*row.SentAt), row)
		default:
			r.Late++
		}
	}
}

// compareTasks demands that every task has the end that its execution had.
func (c *chaos) compareTasks(l ledger, accepted []emulator.Execution, r *truth) {
	byRow := map[uuid.UUID]emulator.Execution{}
	for _, x := range accepted {
		if l.owned(x) {
			byRow[l.owner(x).ID] = x
		}
	}
	for _, t := range l.tasks {
		r.TasksBy[fmt.Sprint(t.Status, " ", t.Reason)]++
		var x emulator.Execution
		if t.Execution != nil {
			x = byRow[*t.Execution]
		}
		ok := false
		switch {
		case t.Status == "success":
			ok = x.Outcome == "succeeded"
		case t.Status == "failed" && t.Reason == lifecycle.ReasonExitCode:
			ok = x.Outcome == "failed"
		case t.Status == "failed" && t.Reason == lifecycle.ReasonLost:
			ok = x.Gone != ""
		case t.Status == "failed" && t.Reason == lifecycle.ReasonCancelledOutside:
			ok = x.Outcome == "cancelled"
		case t.Status == "failed" && t.Reason == lifecycle.ReasonLaunchUnknown:
			r.Unknown++
			c.t.Errorf("task %+v: its launch is unknown", t)
			ok = true
		case t.Status == "cancelled":
			ok = l.stopped[t.Run] && !slices.Contains([]string{"succeeded", "failed"}, x.Outcome)
		}
		if !ok {
			r.Lost++
			c.t.Errorf("task %+v ended so, and its execution is %+v", t, x)
		}
	}
}

func (c *chaos) keepsItsRules() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := store.Open(ctx, store.Options{URL: c.dsn})
	if err != nil {
		c.t.Fatal(err)
	}
	defer st.Close()
	broken, err := st.Invariants(ctx)
	if err != nil || len(broken) > 0 {
		c.t.Errorf("the data breaks its rules: %+v %v", broken, err)
	}
}
