package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/cloudrun"
	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// doctor looks with an engine that has the time for it.
func (w *world) doctor(fix bool) engine.Checkup {
	w.t.Helper()
	e := w.newEngine(func(o *engine.Options) { o.Budget = 20 * time.Second })
	c, err := e.Doctor(w.t.Context(), engine.Doctor{Fix: fix, Actor: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range c.Findings {
		w.t.Logf("%s: %s (%s): %s; %s; fixed %v", f.Kind, f.Subject, f.Run, f.Detail, f.Action, f.Fixed)
		if f.Subject == "" || f.Detail == "" || f.Action == "" {
			w.t.Errorf("a finding says too little: %+v", f)
		}
	}
	return c
}

// finds demands that doctor finds these kinds and nothing else, and gives the first finding.
func (w *world) finds(fix bool, kinds ...lifecycle.FindingKind) lifecycle.Finding {
	w.t.Helper()
	c := w.doctor(fix)
	var got []lifecycle.FindingKind
	for _, f := range c.Findings {
		got = append(got, f.Kind)
	}
	if diff := cmp.Diff(kinds, got); diff != "" {
		w.t.Fatalf("findings -want +got\n%s", diff)
	}
	if len(c.Findings) == 0 {
		return lifecycle.Finding{}
	}
	return c.Findings[0]
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// sent ticks until so many tasks were started by executions whose launch was not answered.
func (w *world) sent(run string, n int) {
	w.t.Helper()
	w.tickUntil(run, "sent", func(d engine.RunDetail) bool { return d.Run.Counts.Dispatched == n && len(w.run.Started()) == n })
}

func TestDoctorFindsNothingWrongWhereAllIsWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("done", "odd", 4)
	w.finish(w.trigger("done"))
	w.simple("live", "wait", 30)
	run := w.trigger("live")
	w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 30 })
	c := w.doctor(false)
	if len(c.Findings) > 0 || len(c.NotLooked) > 0 {
		t.Errorf("findings %+v, not looked at %q", c.Findings, c.NotLooked)
	}
	if len(c.Jobs) != 2 || c.Calls != 2 || c.Rows != 30 || c.Rules < 30 {
		t.Errorf("%d jobs, %d calls, %d rows, %d rules", len(c.Jobs), c.Calls, c.Rows, c.Rules)
	}
	for _, j := range c.Jobs {
		if !j.Complete || j.Back == nil || j.Listed != map[string]int{"odd": 4, "wait": 30}[lifecycle.ShortName(j.Job)] {
			t.Errorf("job %+v", j)
		}
	}
	w.release()
	for !w.ended(c.Jobs[0].Job) {
		time.Sleep(10 * time.Millisecond)
	}
	w.finds(true) // what has ended and is not recorded yet is recorded by the next tick
	w.finish(run)
	w.finds(true)
	w.startedOnce(34)
}

// ended says whether all executions of a job have ended.
func (w *world) ended(job string) bool {
	w.t.Helper()
	list, _, err := w.client().List(w.t.Context(), job, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return !slices.ContainsFunc(list, func(f lifecycle.Facts) bool { return f.CompletedAt == nil })
}

func TestDoctorGivesALostLaunchItsName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("lossy", "wait", 2)
	w.loseAnswers()
	run := w.trigger("lossy")
	w.sent(run, 2)
	w.exec(`UPDATE executions SET sent_at = clock() WHERE status = 'launching'`)
	w.finds(false) // they are in flight
	w.advance(4 * time.Second)
	f := w.finds(false, lifecycle.FindingLaunchFound, lifecycle.FindingLaunchFound)
	if f.Fixed || f.Run != run || !strings.HasPrefix(f.Subject, "step main, execution projects/") || w.event(run, "launch_found") != nil {
		t.Errorf("finding %+v", f)
	}
	if f := w.finds(true, lifecycle.FindingLaunchFound, lifecycle.FindingLaunchFound); !f.Fixed {
		t.Errorf("finding %+v", f)
	}
	if e := w.event(run, "launch_found"); e == nil || e.Actor != "test" {
		t.Errorf("event %+v", e)
	}
	w.finds(false)
	w.answer()
	w.release()
	if d := w.finish(run); d.Run.Status != lifecycle.Success {
		t.Errorf("run %s", d.Run.Status)
	}
	w.startedOnce(2)
}

func TestDoctorTellsOfALaunchThatNobodyCanTellAndLeavesItAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("dark", "ok", 1)
	w.disturb("RunJob", emulator.Fault{Before: status.Error(codes.Unavailable, "no answer")})
	run := w.trigger("dark")
	w.tickUntil(run, "launching", func(d engine.RunDetail) bool { return w.calls("RunJob") == 1 })
	w.advance(20 * time.Second) // a listing would be complete by now
	for _, fix := range []bool{false, true, true} {
		f := w.finds(fix, lifecycle.FindingLaunchUnknown)
		if f.Fixed || f.Run != run || f.Since == nil {
			t.Errorf("finding %+v", f)
		}
	}
	if d := w.detail(run); d.Run.Counts.Dispatched != 1 {
		t.Errorf("doctor moved a task: %+v", d.Run.Counts)
	}
	w.answer()
	w.finish(run)
	w.finds(false)
}

// hidden makes a run whose first execution is accepted, listed only after its row has ended as lost, and never answered.
func (w *world) hidden() (run, late string) {
	w.t.Helper()
	w.simple("hidden", "wait", 1)
	w.disturb("RunJob", emulator.Fault{After: status.Error(codes.Unavailable, "lost"), HideFor: 2 * time.Second})
	run = w.trigger("hidden")
	w.sent(run, 1)
	w.answer()
	w.advance(20 * time.Second)
	w.tickUntil(run, "sent again", func(engine.RunDetail) bool { return len(w.run.Started()) == 2 })
	late = w.run.Started()[0].Execution
	for !w.lists(late) {
		time.Sleep(20 * time.Millisecond)
	}
	return run, late
}

// client speaks to the same Cloud Run as the engines do.
func (w *world) client() *cloudrun.Client {
	w.t.Helper()
	conn, err := w.run.Dial()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	c, err := cloudrun.New(w.t.Context(), cloudrun.Options{Conn: conn, CallDeadline: time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) lists(execution string) bool {
	w.t.Helper()
	list, _, err := w.client().List(w.t.Context(), lifecycle.JobOf(execution), "")
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.ContainsFunc(list, func(f lifecycle.Facts) bool { return f.Name == execution })
}

func TestDoctorTellsOfAnExecutionThatIsListedLateAndCancelsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run, late := w.hidden()
	f := w.finds(false, lifecycle.FindingOrphan)
	if f.Fixed || f.Run != run || !strings.Contains(f.Subject, late) || w.event(run, "orphan") != nil || w.calls("CancelExecution") != 0 {
		t.Errorf("finding %+v", f)
	}
	if f := w.finds(true, lifecycle.FindingOrphan); !f.Fixed {
		t.Errorf("finding %+v", f)
	}
	if e := w.event(run, "orphan"); e == nil || !strings.Contains(e.Subject, late) || w.calls("CancelExecution") != 1 {
		t.Errorf("event %+v, %d cancels", e, w.calls("CancelExecution"))
	}
	if f := w.finds(false, lifecycle.FindingOrphan); f.Fixed || !strings.Contains(f.Detail, "was asked to stop") {
		t.Errorf("finding %+v", f)
	}
	w.tickUntil(run, "rid of the late one", func(engine.RunDetail) bool {
		w.advance(time.Minute)
		return w.orphanEnded(late)
	})
	w.finds(true)
	w.release()
	if d := w.finish(run); d.Run.Status != lifecycle.Success || w.tasks(run)[0].ExecutionName == late {
		t.Errorf("run %s", d.Run.Status)
	}
}

func TestWhileLaunchingIsBlockedDoctorRecordsAndCancelsNoOrphan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run, _ := w.hidden()
	w.exec(`UPDATE installation SET launch_blocked_reason = 'somebody looks'`)
	f := w.finds(true, lifecycle.FindingLaunchBlocked, lifecycle.FindingOrphan)
	if f.Fixed || !strings.Contains(f.Detail, "somebody looks") {
		t.Errorf("finding %+v", f)
	}
	if w.event(run, "orphan") != nil || w.calls("CancelExecution") != 0 {
		t.Errorf("%d cancels", w.calls("CancelExecution"))
	}
	w.release()
	w.finish(run)
}

func TestDoctorBlocksLaunchingForASendThatTheDatabaseDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("restored", "wait", 1)
	run := w.trigger("restored")
	w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	w.exec(`UPDATE tasks SET status = 'dispatched', started_at = NULL`) // everything as it was just before the claim
	w.exec(`UPDATE executions SET status = 'planned', cloud_run_execution_name = NULL, sent_at = NULL, next_look_at = NULL, launched_at = NULL, started_at = NULL,
	        claim = NULL, claim_expires_at = NULL, not_before = clock() + interval '1 hour'`)
	if f := w.finds(false, lifecycle.FindingUnknownSend); f.Fixed {
		t.Errorf("finding %+v", f)
	}
	w.finds(true, lifecycle.FindingLaunchBlocked, lifecycle.FindingUnknownSend)
	o, err := w.engine.Overview(t.Context())
	if err != nil || !strings.Contains(o.LaunchBlockedReason, "does not know") {
		t.Errorf("blocked for %q, error %v", o.LaunchBlockedReason, err)
	}
	if n := w.calls("CancelExecution"); n != 0 {
		t.Errorf("%d executions were cancelled", n)
	}
}

func TestDoctorNeverTouchesWhatBelongsToOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("shared", "wait", 1)
	run := w.trigger("shared")
	w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	job := lifecycle.JobOf(w.run.Started()[0].Execution)
	theirs := lifecycle.Marker{Installation: uuid.New(), Row: uuid.New(), Send: 1}
	for range 2 {
		a := w.client().Run(t.Context(), lifecycle.Launch{Job: job, TaskCount: 1, Env: []lifecycle.EnvVar{{Name: lifecycle.MarkerEnv, Value: theirs.String()}}})
		if a.Kind != lifecycle.AnswerNamed {
			t.Fatalf("%+v", a)
		}
	}
	for _, fix := range []bool{false, true} {
		if f := w.finds(fix, lifecycle.FindingOtherInstallation); !strings.Contains(f.Detail, "2 executions") || f.Severity() != lifecycle.SeverityNote {
			t.Errorf("finding %+v", f)
		}
	}
	if n := w.calls("CancelExecution"); n != 0 {
		t.Errorf("%d executions were cancelled", n)
	}
	w.release()
	w.finish(run)
}

func TestDoctorTellsOfAnExecutionThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("gone", "wait", 1)
	w.disturb("RunJob", emulator.Fault{HideFor: time.Hour})
	run := w.trigger("gone")
	w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	w.finds(false) // asked for by itself, it is there
	w.disturb("GetExecution", emulator.Fault{Before: status.Error(codes.NotFound, "not found")})
	w.exec(`UPDATE executions SET launched_at = clock()`)
	w.finds(false) // it may only be shown late
	w.advance(10 * time.Second)
	for _, fix := range []bool{false, true} {
		if f := w.finds(fix, lifecycle.FindingExecutionGone); f.Fixed || f.Run != run {
			t.Errorf("finding %+v", f)
		}
	}
	if d := w.detail(run); d.Run.Counts.Running != 1 {
		t.Errorf("doctor moved a task: %+v", d.Run.Counts)
	}
	w.tickUntil(run, "final", func(d engine.RunDetail) bool {
		w.advance(10 * time.Second)
		return d.Run.FinishedAt != nil
	})
	w.finds(false)
}

func TestDoctorCountsTasksThatMayHaveRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("undecided", "ok", 3)
	w.loseAnswers()
	w.disturb("ListExecutions", emulator.Fault{Before: status.Error(codes.PermissionDenied, "no")})
	run := w.trigger("undecided")
	w.sent(run, 3)
	w.tickUntil(run, "given up", func(d engine.RunDetail) bool {
		if d.Run.FinishedAt == nil {
			w.later(25 * time.Hour)
		}
		return d.Run.FinishedAt != nil
	})
	f := w.finds(true, lifecycle.FindingJobUnreadable, lifecycle.FindingTasksUnknown)
	if !strings.Contains(f.Action, "roles/run.viewer") || !strings.Contains(f.Detail, "PERMISSION_DENIED") {
		t.Errorf("finding %+v", f)
	}
	w.disturb("ListExecutions", emulator.Fault{})
	c := w.doctor(false)
	at := slices.IndexFunc(c.Findings, func(f lifecycle.Finding) bool { return f.Kind == lifecycle.FindingTasksUnknown })
	if at < 0 || !strings.HasPrefix(c.Findings[at].Detail, "3 tasks") || c.Findings[at].Run != run || c.Findings[at].Since == nil {
		t.Errorf("findings %+v", c.Findings)
	}
}

func TestDoctorTellsOfLiveExecutionsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("blind", "wait", 2)
	w.disturb("RunJob", emulator.Fault{HideFor: time.Hour})
	run := w.trigger("blind")
	w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 2 })
	w.disturb("GetExecution", emulator.Fault{Before: status.Error(codes.PermissionDenied, "not yours")})
	w.finds(true, lifecycle.FindingJobUnreadable)
	w.disturb("GetExecution", emulator.Fault{})
	w.release()
	w.finish(run)
}

func TestDoctorTellsWhatIsWrongWithTheInstallation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("nojob", "missing", 1)
	f := w.finds(false, lifecycle.FindingJobGone)
	if !strings.Contains(f.Detail, "nojob would start it") || !strings.Contains(f.Action, "gcloud run jobs create missing") {
		t.Errorf("finding %+v", f)
	}
	if err := w.engine.Archive(t.Context(), "nojob", "test"); err != nil {
		t.Fatal(err)
	}
	w.finds(false)

	w.simple("waiting", "ok", 1)
	run := w.trigger("waiting")
	w.finds(false)
	w.advance(10 * time.Minute)
	w.finds(true, lifecycle.FindingNoTick)

	w.exec(`UPDATE steps SET retries = 5`)
	if f := w.finds(true, lifecycle.FindingNoTick, lifecycle.FindingRule); f.Fixed {
		t.Errorf("finding %+v", f)
	}
	w.exec(`UPDATE steps SET retries = 0`)
	w.finish(run)

	w.exec(`UPDATE installation SET database_mark = 'another server/1/1'`)
	w.finds(true, lifecycle.FindingDatabaseMark)
	w.exec(`UPDATE installation SET database_mark = database_mark()`)
	w.finds(true)
}

func TestDoctorOfAnotherModeOrSchemaLooksAtTheDatabaseAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("any", "ok", 1)
	w.finish(w.trigger("any"))
	lists := w.calls("ListExecutions")
	look := func(opt option) engine.Checkup {
		t.Helper()
		c, err := w.newEngine(func(o *engine.Options) { o.Budget = 20 * time.Second }, opt).Doctor(t.Context(), engine.Doctor{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	mock := func(o *engine.Options) { o.Mode = lifecycle.Mock }
	if c := look(mock); len(c.Findings) != 1 || c.Findings[0].Kind != lifecycle.FindingMode || len(c.NotLooked) != 1 || c.Rules == 0 {
		t.Errorf("%+v", c)
	}
	if _, err := w.newEngine(mock).Doctor(t.Context(), engine.Doctor{Fix: true}); !errors.Is(err, lifecycle.ErrConflict) {
		t.Errorf("a fix in another mode: %v", err)
	}
	if n := w.calls("ListExecutions"); n != lists {
		t.Errorf("%d listings of another mode's Cloud Run", n-lists)
	}
	if c := look(func(o *engine.Options) { o.Schema = 99 }); len(c.Findings) != 1 || c.Findings[0].Kind != lifecycle.FindingSchema {
		t.Errorf("%+v", c.Findings)
	}
	w.exec(`UPDATE schema_migrations SET dirty = true`)
	if c := look(mock); len(c.Findings) != 1 || c.Findings[0].Kind != lifecycle.FindingSchema || c.Rules != 0 {
		t.Errorf("%+v", c.Findings)
	}
	w.exec(`UPDATE schema_migrations SET dirty = false`)
}

func TestDoctorSaysWhatItDidNotReach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("slow", "wait", 1)
	run := w.trigger("slow")
	w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	c, err := w.newEngine(func(o *engine.Options) { o.Budget = time.Nanosecond }).Doctor(t.Context(), engine.Doctor{Fix: true})
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(c.NotLooked, "; "); len(c.Findings) > 0 || c.Rules != 0 || !strings.Contains(all, "jobs/wait: the time was spent") ||
		!strings.Contains(all, "1 executions that no listing showed") || !strings.Contains(all, "the rules of the data") {
		t.Errorf("%+v, %q", c.Findings, all)
	}
	w.release()
	w.finish(run)
}

func TestAListingOfDoctorIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("busy", "ok", 1)
	w.finish(w.trigger("busy"))
	job := lifecycle.JobOf(w.run.Started()[0].Execution)
	client := w.client()
	for i := range 1010 {
		a := client.Run(t.Context(), lifecycle.Launch{Job: job, TaskCount: 1, Env: []lifecycle.EnvVar{{Name: "OTHER", Value: fmt.Sprint(i)}}})
		if a.Kind != lifecycle.AnswerNamed {
			t.Fatalf("%+v", a)
		}
	}
	c := w.doctor(false)
	if len(c.Jobs) != 1 || c.Jobs[0].Complete || c.Jobs[0].Listed != 1000 || c.Calls != 10 {
		t.Errorf("%+v with %d calls", c.Jobs, c.Calls)
	}
	if all := strings.Join(c.NotLooked, "; "); !strings.Contains(all, "before the newest 1000") || len(c.Findings) > 0 {
		t.Errorf("%+v, not looked at %q", c.Findings, all)
	}
}

func TestASecondExecutionOfOneLaunchIsLeftAloneWhileLaunchingIsBlocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("twin", "wait", 1)
	w.loseAnswers()
	run := w.trigger("twin")
	w.sent(run, 1)
	w.answer()
	first := w.run.Started()[0]
	a := w.client().Run(t.Context(), lifecycle.Launch{Job: lifecycle.JobOf(first.Execution), TaskCount: 1, Env: []lifecycle.EnvVar{{Name: lifecycle.MarkerEnv, Value: first.Env[lifecycle.MarkerEnv]}}})
	if a.Kind != lifecycle.AnswerNamed {
		t.Fatalf("%+v", a)
	}
	w.exec(`UPDATE installation SET launch_blocked_reason = 'somebody looks'`)
	w.advance(4 * time.Second)
	w.tickUntil(run, "launched", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	w.finds(true, lifecycle.FindingLaunchBlocked, lifecycle.FindingOrphan)
	if w.event(run, "orphan") != nil || w.calls("CancelExecution") != 0 {
		t.Errorf("%d cancels", w.calls("CancelExecution"))
	}
	w.exec(`UPDATE installation SET launch_blocked_reason = ''`)
	if f := w.finds(true, lifecycle.FindingOrphan); !f.Fixed || w.calls("CancelExecution") != 1 {
		t.Errorf("finding %+v, %d cancels", f, w.calls("CancelExecution"))
	}
	w.release()
	w.finish(run)
}
