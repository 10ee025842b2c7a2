package engine_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestTicksAtOnceStartEachTaskOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("many", "ok", 500)
	run := w.trigger("many")
	var group sync.WaitGroup
	for range 3 {
		e := w.newEngine(func(o *engine.Options) { o.Budget = 20 * time.Second })
		group.Go(func() {
			if _, err := e.Tick(t.Context(), "test"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if d := w.finish(run); d.Run.Status != lifecycle.Success || d.Executions != 500 {
		t.Errorf("run %s with %d executions", d.Run.Status, d.Executions)
	}
	w.startedOnce(500)
}

func TestAnAcceptedLaunchThatIsListedLateIsCancelledAndNotCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("hidden", "wait", 1)
	w.disturb("RunJob", emulator.Fault{After: status.Error(codes.Unavailable, "lost"), HideFor: 5 * time.Second})
	run := w.trigger("hidden")
	w.tickUntil(run, "launching", func(d engine.RunDetail) bool { return d.Run.Counts.Dispatched == 1 && len(w.run.Started()) == 1 })
	w.answer()
	w.advance(20 * time.Second) // past claim and settle window: a complete listing does not show it
	w.tickUntil(run, "sent again", func(engine.RunDetail) bool { return len(w.run.Started()) == 2 })

	w.tickUntil(run, "told of the late one", func(engine.RunDetail) bool {
		w.advance(time.Minute) // the watch looks once a minute
		return w.event(run, "orphan") != nil
	})
	late := w.run.Started()[0].Execution
	w.tickUntil(run, "rid of the late one", func(engine.RunDetail) bool {
		w.advance(time.Minute)
		return w.orphanEnded(late)
	})
	w.release()
	d := w.finish(run)
	if d.Run.Status != lifecycle.Success || d.Run.Counts.Success != 1 {
		t.Errorf("run %s with %+v", d.Run.Status, d.Run.Counts)
	}
	task := w.tasks(run)[0]
	if task.ExecutionName == late || task.Attempt != 1 || task.Returns != 1 {
		t.Errorf("task %+v", task)
	}
}

func TestAQuotaRefusalIsSentAgainUnderANewNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("throttled", "ok", 3)
	refusal, err := status.New(codes.ResourceExhausted, "Quota exceeded for quota metric 'Job run requests'").WithDetails(
		&errdetails.ErrorInfo{Reason: "RATE_LIMIT_EXCEEDED", Domain: "googleapis.com"})
	if err != nil {
		t.Fatal(err)
	}
	w.disturb("RunJob", emulator.Fault{Before: refusal.Err()})
	run := w.trigger("throttled")
	d := w.tickUntil(run, "waiting for the quota", func(d engine.RunDetail) bool { return strings.Contains(strings.Join(d.Waiting, " "), "quota") })
	if d.Run.Counts.Failed != 0 {
		t.Errorf("a refusal for a quota failed tasks: %+v", d.Run.Counts)
	}
	w.answer()
	w.advance(time.Minute)
	if d := w.finish(run); d.Run.Status != lifecycle.Success {
		t.Errorf("run %s: %s", d.Run.Status, d.Run.Reason)
	}
	w.startedOnce(3)
	again := 0 // the first refusal closes the location, so that it may be the only one
	for _, s := range w.run.Started() {
		m, ok := lifecycle.ParseMarker(s.Env[lifecycle.MarkerEnv])
		if !ok {
			t.Errorf("marker %q", s.Env[lifecycle.MarkerEnv])
		}
		if m.Send > 1 {
			again++
		}
	}
	if again == 0 {
		t.Error("nothing was sent under a new number")
	}
}

func TestAnExecutionThatVanishesIsLostAndNeverRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("gone", "wait", 1)
	run := w.trigger("gone")
	w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	w.disturb("GetExecution", emulator.Fault{Before: status.Error(codes.NotFound, "not found")})
	w.tickUntil(run, "still running after one look", func(engine.RunDetail) bool { return true })
	if d := w.detail(run); d.Run.FinishedAt != nil {
		t.Errorf("one look that found nothing ended the run: %+v", d.Run)
	}
	d := w.tickUntil(run, "final", func(d engine.RunDetail) bool {
		w.advance(10 * time.Second)
		return d.Run.FinishedAt != nil
	})
	task := w.tasks(run)[0]
	if d.Run.Status != lifecycle.Failed || task.Reason != lifecycle.ReasonLost {
		t.Errorf("run %s, task %+v", d.Run.Status, task)
	}
	w.startedOnce(1)
}

func TestAFailedLookChangesNoStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("blind", "ok", 2)
	run := w.trigger("blind")
	w.disturb("GetExecution", emulator.Fault{Before: status.Error(codes.PermissionDenied, "not yours")})
	d := w.tickUntil(run, "told why it cannot be read", func(d engine.RunDetail) bool {
		return strings.Contains(strings.Join(d.Waiting, " "), "not yours")
	})
	if d.Run.FinishedAt != nil {
		t.Errorf("a look that failed ended the run: %s", d.Run.Status)
	}
	w.disturb("GetExecution", emulator.Fault{})
	w.advance(time.Minute)
	if d := w.finish(run); d.Run.Status != lifecycle.Success {
		t.Errorf("run %s", d.Run.Status)
	}
}

func TestATickThatWasFrozenBetweenClaimAndSendSendsNothing(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	frozen := false
	w := newWorld(t, func(o *engine.Options) {
		start := time.Now()
		calls := 0
		o.Clock = func() (time.Time, time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if frozen { // the machine is suspended for an hour between any two readings, and its monotonic clock with it
				calls++
			}
			return time.Now().Add(time.Duration(calls) * time.Hour), time.Since(start)
		}
		frozen = true
	})
	w.simple("frozen", "ok", 1)
	run := w.trigger("frozen")
	if _, err := w.tick(); err != nil {
		t.Fatal(err)
	}
	if n := len(w.run.Started()); n != 0 {
		t.Fatalf("%d tasks were started by a tick that had been frozen", n)
	}
	mu.Lock()
	frozen = false
	mu.Unlock()
	if d := w.finish(run); d.Run.Status != lifecycle.Success {
		t.Errorf("run %s", d.Run.Status)
	}
	w.startedOnce(1)
}

func TestAMarkerThatTheDatabaseDoesNotKnowBlocksLaunching(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("restored", "ok", 2)
	first := w.trigger("restored")
	w.finish(first)
	if _, err := w.db.Pool.Exec(t.Context(), `DELETE FROM executions WHERE ctid = (SELECT min(ctid) FROM executions)`); err != nil {
		t.Fatal(err)
	}
	w.loseAnswers() // so that somebody lists
	second := w.trigger("restored")
	w.tickUntil(second, "blocked", func(engine.RunDetail) bool {
		o, err := w.engine.Overview(t.Context())
		return err == nil && strings.Contains(o.LaunchBlockedReason, "does not know")
	})
	w.answer()
	started := len(w.run.Started())
	third := w.trigger("restored")
	w.advance(time.Minute)
	if _, err := w.tick(); err != nil {
		t.Log(err)
	}
	if n := len(w.run.Started()); n != started {
		t.Errorf("%d tasks were started while launching was blocked", n-started)
	}
	if waits := strings.Join(w.detail(third).Waiting, " "); !strings.Contains(waits, "nothing is launched") {
		t.Errorf("the run waits for %q", waits)
	}
	if _, err := w.db.Pool.Exec(t.Context(), `UPDATE steps SET executions = 1 WHERE executions = 2 AND run_id = (SELECT id FROM runs WHERE number = 1)`); err != nil {
		t.Fatal(err)
	}
}

func TestACopyOfADatabaseLaunchesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.db.Pool.Exec(t.Context(), `UPDATE installation SET database_mark = 'another server/1/1'`); err != nil {
		t.Fatal(err)
	}
	w.simple("copied", "ok", 1)
	run := w.trigger("copied")
	if _, err := w.tick(); err != nil {
		t.Fatal(err)
	}
	if n := len(w.run.Started()); n != 0 {
		t.Errorf("%d tasks were started", n)
	}
	if waits := strings.Join(w.detail(run).Waiting, " "); !strings.Contains(waits, "restored or copied") {
		t.Errorf("the run waits for %q", waits)
	}
}

func TestAJobThatRepeatsTasksByItselfIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("twice", "again", 3)
	run := w.trigger("twice")
	d := w.finish(run)
	if len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "gcloud run jobs update again --max-retries 0") {
		t.Errorf("warnings %q", d.Warnings)
	}
	if e := w.event(run, "job_retries"); e == nil {
		t.Error("there is no event")
	}
}

func TestACancelInTheMiddleOfAnExpansionLeavesNoPendingTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("large", "wait", 30_000)
	run := w.trigger("large")
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = w.engine.Tick(t.Context(), "test")
	}()
	for w.detail(run).Steps[0].Expanded == 0 {
		time.Sleep(time.Millisecond)
	}
	w.cancel(run)
	<-done
	d := w.finish(run)
	if d.Run.Status != lifecycle.Cancelled || d.Run.Counts.Pending != 0 || d.Run.Counts.Cancelled != 30_000 {
		t.Errorf("run %s with %+v", d.Run.Status, d.Run.Counts)
	}
}

func TestLostAnswersInARowCloseALocationButForOneTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *engine.Options) { o.Concurrency = 2 })
	w.simple("deaf", "ok", 40)
	w.disturb("RunJob", emulator.Fault{Before: status.Error(codes.Unavailable, "no answer")})
	run := w.trigger("deaf")
	for w.run.Calls().Count["RunJob"] < 3 { // on a busy machine one tick has the time for two
		if _, err := w.tick(); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.run.Calls().Count["RunJob"]; n > 5 {
		t.Errorf("%d calls were made into the dark", n)
	}
	if waits := strings.Join(w.detail(run).Waiting, " "); !strings.Contains(waits, "were not answered") {
		t.Errorf("the run waits for %q", waits)
	}
	w.answer()
	d := w.tickUntil(run, "final", func(d engine.RunDetail) bool {
		w.advance(2 * time.Second)
		return d.Run.FinishedAt != nil
	})
	if d.Run.Status != lifecycle.Success {
		t.Errorf("run %s: %s", d.Run.Status, d.Run.Reason)
	}
	w.startedOnce(40)
}

// event is the newest event of a kind in a run, nil where there is none.
func (w *world) event(ref, kind string) *lifecycle.Event {
	w.t.Helper()
	list, _, err := w.engine.Events(w.t.Context(), ref, engine.Page{Size: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range list {
		if e.Kind == kind {
			return &e
		}
	}
	return nil
}

// orphanEnded says whether the ledger knows that an orphan has ended.
func (w *world) orphanEnded(name string) (ended bool) {
	w.t.Helper()
	err := w.db.Pool.QueryRow(w.t.Context(), `SELECT ended_at IS NOT NULL FROM orphans WHERE cloud_run_execution_name = $1`, name).Scan(&ended)
	if err != nil {
		w.t.Fatal(err)
	}
	return ended
}

func TestARestoreToBeforeALaunchBlocksLaunchingAndCancelsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("victim", "wait", 1)
	victim := w.trigger("victim")
	w.tickUntil(victim, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	for _, sql := range []string{ // everything as it was just before the claim
		`UPDATE tasks SET status = 'dispatched', started_at = NULL`,
		`UPDATE executions SET status = 'planned', cloud_run_execution_name = NULL, sent_at = NULL, next_look_at = NULL, launched_at = NULL, started_at = NULL,
		        claim = NULL, claim_expires_at = NULL, not_before = clock() + interval '1 hour'`,
	} {
		if _, err := w.db.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	w.simple("other", "wait", 1)
	w.loseAnswers() // so that somebody lists
	other := w.trigger("other")
	w.tickUntil(other, "blocked", func(engine.RunDetail) bool {
		w.advance(time.Second)
		o, err := w.engine.Overview(t.Context())
		return err == nil && strings.Contains(o.LaunchBlockedReason, "does not know")
	})
	if n := w.run.Calls().Count["CancelExecution"]; n != 0 {
		t.Errorf("%d executions were cancelled", n)
	}
}

func TestAnIdleTickLeavesTheOneTryOfAClosedLocationAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *engine.Options) { o.SettleWindow, o.Claim = 3*time.Minute, time.Minute })
	w.simple("fresh", "ok", 1)
	_, err := w.db.Pool.Exec(t.Context(), `INSERT INTO quotas (name, refilled_at, unknown_answers)
		VALUES ('run:projects/test-project/locations/europe-west1', clock() - interval '1 day', 3)`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.tick(); err != nil {
		t.Fatal(err)
	}
	if d := w.finish(w.trigger("fresh")); d.Run.Status != lifecycle.Success {
		t.Errorf("run %s", d.Run.Status)
	}
}

func TestWhatCannotMoveDoesNotKeepATickAwake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply("name: limited\njob: {name: wait}\ntasks: {count: 5}\nmax_executions: 1\n")
	run := w.trigger("limited")
	w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	w.advance(10 * time.Minute) // from now on looks are half a minute apart
	if _, err := w.tick(); err != nil {
		t.Fatal(err)
	}
	if waits := strings.Join(w.detail(run).Waiting, "; "); !strings.Contains(waits, "4 tasks wait, since at most 1 execution of this workflow") {
		t.Errorf("the run waits for %q", waits)
	}
	e := w.newEngine(func(o *engine.Options) { o.Budget = time.Minute })
	r, err := e.Tick(t.Context(), "test")
	if err != nil || r.Passes > 2 {
		t.Errorf("%d passes although nothing can move, error %v", r.Passes, err)
	}
	w.cancel(run)
	w.finish(run)
}

func TestTheWatchOfALostRowEndsAlsoWhenItsJobCannotBeListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("lost", "ok", 1)
	w.disturb("RunJob", emulator.Fault{Before: status.Error(codes.Unavailable, "no answer")})
	run := w.trigger("lost")
	w.tickUntil(run, "launching", func(d engine.RunDetail) bool {
		return d.Run.Counts.Dispatched == 1 && w.run.Calls().Count["RunJob"] == 1
	})
	w.answer()
	w.advance(20 * time.Second) // past claim and settle window: a complete listing does not show it
	w.finish(run)
	for _, sql := range []string{
		`ALTER TABLE executions DISABLE TRIGGER executions_final`,
		`UPDATE executions SET next_look_at = clock(), finished_at = clock() - interval '30 days' WHERE outcome = 'lost'`,
		`ALTER TABLE executions ENABLE TRIGGER executions_final`,
	} {
		if _, err := w.db.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	w.disturb("ListExecutions", emulator.Fault{Before: status.Error(codes.PermissionDenied, "no more")})
	if _, err := w.tick(); err == nil {
		t.Error("a listing that failed is no error of the tick")
	}
	var watched bool
	if err := w.db.Pool.QueryRow(t.Context(), `SELECT next_look_at IS NOT NULL FROM executions WHERE outcome = 'lost'`).Scan(&watched); err != nil || watched {
		t.Errorf("watched %v, error %v", watched, err)
	}
}

func TestAWorkflowWithALimitIsNotStarvedByALargeRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *engine.Options) { o.Concurrency = 2 })
	w.simple("large", "ok", 2000)
	w.apply("name: small\njob: {name: ok}\ntasks: {count: 1}\nmax_executions: 1\n")
	w.disturb("RunJob", emulator.Fault{Delay: 20 * time.Millisecond})
	large, small := w.trigger("large"), w.trigger("small")
	w.finish(small)
	if d := w.detail(large); d.Run.FinishedAt != nil {
		t.Error("the small run had to wait for the large one")
	}
}
