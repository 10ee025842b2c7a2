package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/cloudrun"
	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/testdb"
	"cloud-run-orchestrator/internal/workflow"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// world is a whole orchestrator with its own database and Cloud Run, in which stories happen.
type world struct {
	t      testing.TB
	db     *testdb.DB
	store  *store.Store
	run    *emulator.Server
	engine *engine.Engine

	mu     sync.Mutex
	ahead  time.Duration             // of Cloud Run's clock before this machine's
	faults map[string]emulator.Fault // by method, for every call until changed
	gates  map[string]chan struct{}  // of jobs that wait
}

type option func(*engine.Options)

// newWorld has the jobs ok, fail (exit code 3), wait (until release or the end), long (waits in the workflow of that name alone), sig (signal 9), and
// some that doctor dislikes.
func newWorld(t testing.TB, opts ...option) *world {
	t.Helper()
	w := &world{t: t, faults: map[string]emulator.Fault{}, gates: map[string]chan struct{}{"wait": make(chan struct{})}}
	var err error
	w.run, err = emulator.New(emulator.Options{
		Grace: 10 * time.Millisecond,
		Jobs: emulator.Jobs{
			"ok":   {Func: func(context.Context, emulator.Task) emulator.Result { return emulator.Result{} }},
			"fail": {Func: func(context.Context, emulator.Task) emulator.Result { return emulator.Result{ExitCode: 3} }},
			"sig":  {Func: func(context.Context, emulator.Task) emulator.Result { return emulator.Result{Signal: 9} }},
			"odd": {Func: func(_ context.Context, task emulator.Task) emulator.Result {
				if strings.HasSuffix(task.Env["ORCHESTRATOR_TASK_INDEX"], "1") {
					return emulator.Result{ExitCode: 7}
				}
				return emulator.Result{}
			}},
			"no-overrides": {Denied: []string{"run.jobs.runWithOverrides"}, Func: func(context.Context, emulator.Task) emulator.Result { return emulator.Result{} }},
			"no-reading":   {Denied: []string{"run.jobs.get"}, Func: func(context.Context, emulator.Task) emulator.Result { return emulator.Result{} }},
			"two":          {Containers: []string{"main", "proxy"}, Func: func(context.Context, emulator.Task) emulator.Result { return emulator.Result{} }},
			"hurried":      {Timeout: time.Minute, Func: func(context.Context, emulator.Task) emulator.Result { return emulator.Result{} }},
			"again":        {MaxRetries: 2, Func: func(context.Context, emulator.Task) emulator.Result { return emulator.Result{} }},
			"wait": {Func: func(ctx context.Context, _ emulator.Task) emulator.Result {
				select {
				case <-w.gates["wait"]:
					return emulator.Result{}
				case <-ctx.Done():
					return emulator.Result{Signal: 15}
				}
			}},
			"long": {Func: func(ctx context.Context, task emulator.Task) emulator.Result {
				if task.Env["ORCHESTRATOR_WORKFLOW"] != "long" {
					return emulator.Result{}
				}
				select {
				case <-w.gates["wait"]:
				case <-ctx.Done():
				}
				return emulator.Result{}
			}},
		},
		Intercept: w.intercept,
		Now:       w.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.run.Close)
	w.db = testdb.New(t)
	w.store, err = store.Open(t.Context(), store.Options{URL: w.db.DSN})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.store.Close)
	w.engine = w.newEngine(opts...)
	t.Cleanup(w.checkInvariants)
	return w
}

// newEngine is another process over the same database and Cloud Run.
func (w *world) newEngine(opts ...option) *engine.Engine {
	w.t.Helper()
	conn, err := w.run.Dial()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	client, err := cloudrun.New(w.t.Context(), cloudrun.Options{Conn: conn, CallDeadline: time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	o := engine.Options{
		Store: w.store, CloudRun: client, Mode: lifecycle.Emulator, Defaults: workflow.Defaults{Project: "test-project", Region: "europe-west1"},
		Log:          slog.New(slog.DiscardHandler),
		CallDeadline: time.Second, Claim: 3 * time.Second, SettleWindow: 5 * time.Second, Budget: time.Second, HistoryKept: 900, Concurrency: 16,
	}
	for _, opt := range opts {
		opt(&o)
	}
	return engine.New(o)
}

func (w *world) intercept(_ context.Context, c emulator.Call) emulator.Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults[c.Method]
}

// disturb makes every call of a method go wrong in this way; the zero Fault ends it.
func (w *world) disturb(method string, f emulator.Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[method] = f
}

// loseAnswers: RunJob starts executions and its answers are lost.
func (w *world) loseAnswers() {
	w.disturb("RunJob", emulator.Fault{After: status.Error(codes.Unavailable, "connection lost")})
}

func (w *world) answer() { w.disturb("RunJob", emulator.Fault{}) }

// release lets the job wait end.
func (w *world) release() { close(w.gates["wait"]) }

// apply stores a definition.
func (w *world) apply(yaml string) {
	w.t.Helper()
	doc, err := workflow.Parse("test.yaml", []byte(yaml))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.engine.Apply(w.t.Context(), engine.Apply{Name: doc.Name(), Document: doc.JSON(), Actor: "test"}); err != nil {
		w.t.Fatal(err)
	}
}

// simple stores a workflow of some tasks of one job.
func (w *world) simple(name, job string, tasks int) {
	w.t.Helper()
	w.apply(fmt.Sprintf("name: %s\njob: {name: %s}\ntasks: {count: %d}\n", name, job, tasks))
}

// trigger starts a run.
func (w *world) trigger(name string) string {
	w.t.Helper()
	run, _, err := w.engine.Trigger(w.t.Context(), engine.Trigger{Workflow: name, Actor: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprintf("%s.%d", name, run.Number)
}

// cancel asks a run to stop.
func (w *world) cancel(ref string) {
	w.t.Helper()
	if _, err := w.engine.Cancel(w.t.Context(), ref, "", "test"); err != nil {
		w.t.Fatal(err)
	}
}

// tick is one tick that may fail.
func (w *world) tick() (engine.Report, error) {
	w.t.Helper()
	return w.engine.Tick(w.t.Context(), "test")
}

// advance moves the database's clock on.
func (w *world) advance(d time.Duration) {
	w.t.Helper()
	if _, err := w.db.Pool.Exec(w.t.Context(), `UPDATE installation SET clock_offset = clock_offset + $1::interval`, d); err != nil {
		w.t.Fatal(err)
	}
}

// later moves every clock on, the database's and Cloud Run's.
func (w *world) later(d time.Duration) {
	w.t.Helper()
	w.mu.Lock()
	w.ahead += d
	w.mu.Unlock()
	w.advance(d)
}

// now is Cloud Run's clock.
func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

// detail is all about a run.
func (w *world) detail(ref string) engine.RunDetail {
	w.t.Helper()
	d, err := w.engine.Run(w.t.Context(), ref)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// tickUntil ticks until the run is as wanted.
func (w *world) tickUntil(ref, what string, wanted func(engine.RunDetail) bool) engine.RunDetail {
	w.t.Helper()
	limit := time.Now().Add(60 * time.Second)
	for {
		_, err := w.tick()
		d := w.detail(ref)
		if wanted(d) {
			return d
		}
		if time.Now().After(limit) {
			w.t.Fatalf("%s is not %s: %+v\nwaiting %q\nlast error %v", ref, what, d.Run, d.Waiting, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// finish ticks until the run is final.
func (w *world) finish(ref string) engine.RunDetail {
	w.t.Helper()
	return w.tickUntil(ref, "final", func(d engine.RunDetail) bool { return d.Run.FinishedAt != nil })
}

// tasks are all tasks of a run.
func (w *world) tasks(ref string) []lifecycle.Task {
	w.t.Helper()
	var all []lifecycle.Task
	page := engine.Page{Size: 1000}
	for {
		list, next, err := w.engine.Tasks(w.t.Context(), ref, engine.TaskFilter{Page: page})
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, list...)
		if next == "" {
			return all
		}
		page.Token = next
	}
}

// startedOnce fails when a task was started twice, by what the container saw.
func (w *world) startedOnce(wantTasks int) {
	w.t.Helper()
	seen := map[string]int{}
	for _, s := range w.run.Started() {
		seen[s.Env["ORCHESTRATOR_RUN_ID"]+"/"+s.Env["ORCHESTRATOR_STEP"]+"/"+s.Env["ORCHESTRATOR_TASK_INDEX"]]++
	}
	for task, n := range seen {
		if n != 1 {
			w.t.Errorf("task %s was started %d times", task, n)
		}
	}
	if len(seen) != wantTasks {
		w.t.Errorf("%d tasks were started, want %d", len(seen), wantTasks)
	}
}

func (w *world) checkInvariants() {
	if w.t.Failed() {
		return
	}
	broken, err := w.store.Invariants(context.WithoutCancel(w.t.Context()))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, b := range broken {
		w.t.Errorf("invariant %s: %s", b.Name, b.Detail)
	}
}

// fillFinished leaves a finished run of so many separate tasks, as they look long after: analyzed and vacuumed.
func (w *world) fillFinished(tasks int) {
	w.t.Helper()
	w.simple("history", "ok", 1)
	run := w.trigger("history")
	w.finish(run)
	for _, sql := range []string{
		`WITH old AS (SELECT * FROM steps WHERE step_no = 0), id AS (SELECT gen_random_uuid() AS id)
		 INSERT INTO runs (id, workflow_id, number, version, status, mode, origin, scheduled_at, created_by, created_at, started_at, finished_at)
		 SELECT id.id, r.workflow_id, r.number + 1, r.version, r.status, r.mode, r.origin, r.scheduled_at, r.created_by, r.created_at, r.started_at, r.finished_at
		 FROM runs r, id`,
		`UPDATE workflows SET last_run_number = last_run_number + 1`,
		`INSERT INTO steps (run_id, step_no, name, status, job, task_count, expanded, started_at, finished_at)
		 SELECT r.id, 0, 'main', 'success', 'projects/p/locations/l/jobs/ok', $1, $1, r.started_at, r.finished_at FROM runs r WHERE r.number = 2`,
		`INSERT INTO executions (id, workflow_id, run_id, step_no, job, location, status, outcome, indexes, task_count, not_before, cloud_run_execution_name, created_at, launched_at, started_at, finished_at)
		 SELECT gen_random_uuid(), r.workflow_id, r.id, 0, 'projects/p/locations/l/jobs/ok', 'projects/p/locations/l', 'finished', 'success',
		        int4multirange(int4range(i, i, '[]')), 1, r.created_at, 'projects/p/locations/l/jobs/ok/executions/ok-' || i, r.created_at, r.created_at, r.created_at, r.finished_at
		 FROM runs r, generate_series(0, $1 - 1) AS i WHERE r.number = 2`,
		`INSERT INTO tasks (run_id, step_no, task_index, status, execution_id, dispatched_at, started_at, finished_at)
		 SELECT x.run_id, 0, lower(x.indexes), 'success', x.id, x.created_at, x.started_at, x.finished_at
		 FROM executions x JOIN runs r ON r.id = x.run_id WHERE r.number = 2`,
		`VACUUM ANALYZE`,
	} {
		args := []any{tasks}
		if !strings.Contains(sql, "$1") {
			args = nil
		}
		if _, err := w.db.Pool.Exec(w.t.Context(), sql, args...); err != nil {
			w.t.Fatalf("%s: %v", sql, err)
		}
	}
}
