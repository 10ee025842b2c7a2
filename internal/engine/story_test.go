package engine_test

import (
	"testing"

	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/go-cmp/cmp"
)

func TestARunOfOneStepSucceeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("five", "ok", 5)
	run := w.trigger("five")
	d := w.finish(run)

	if d.Run.Status != lifecycle.Success || d.Executions != 5 || d.Retries != 0 {
		t.Errorf("run %s with %d executions and %d retries", d.Run.Status, d.Executions, d.Retries)
	}
	want := lifecycle.Counts{Success: 5}
	if diff := cmp.Diff(want, d.Run.Counts); diff != "" {
		t.Error(diff)
	}
	for _, task := range w.tasks(run) {
		if task.Status != lifecycle.Success || task.ExecutionName == "" || task.DispatchedAt == nil || task.StartedAt == nil || task.FinishedAt == nil {
			t.Errorf("task %+v", task)
		}
	}
	w.startedOnce(5)
}

func TestAFailedTaskFailsItsRunAndSkipsWhatNeedsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(`
name: chain
steps:
  first: {job: {name: ok}, tasks: {count: 2}}
  second: {needs: [first], job: {name: odd}, tasks: {count: 4}}
  third: {needs: [second], job: {name: ok}, tasks: {count: 1}}
  last: {needs: [third], job: {name: ok}, tasks: {count: 1}}
`)
	run := w.trigger("chain")
	d := w.finish(run)
	got := map[string]lifecycle.Status{}
	for _, s := range d.Steps {
		got[s.Name] = s.Status
	}
	want := map[string]lifecycle.Status{"first": "success", "second": "failed", "third": "skipped", "last": "skipped"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if d.Run.Status != lifecycle.Failed || d.Run.Reason != "step second: 1 of 4 tasks failed" {
		t.Errorf("run %s: %s", d.Run.Status, d.Run.Reason)
	}
	for _, task := range w.tasks(run) {
		if task.Status == lifecycle.Failed && (task.Reason != lifecycle.ReasonExitCode || *task.ExitCode != 7) {
			t.Errorf("task %+v", task)
		}
	}
	w.startedOnce(6)
}

func TestToleratedFailuresLeaveTheRunSuccessful(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply("name: lenient\njob: {name: odd}\ntasks: {count: 4}\ntolerate: 25%\n")
	d := w.finish(w.trigger("lenient"))
	if d.Run.Status != lifecycle.Success || d.Run.Counts.Failed != 1 {
		t.Errorf("run %s with %+v", d.Run.Status, d.Run.Counts)
	}
}

func TestACancelledRunStopsItsLiveExecutions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply("name: long\njob: {name: wait}\ntasks: {count: 5}\nmax_executions: 2\n")
	run := w.trigger("long")
	w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 2 })
	w.cancel(run)
	d := w.finish(run)
	if d.Run.Status != lifecycle.Cancelled || d.Run.Reason != "cancelled by test" {
		t.Errorf("run %s: %s", d.Run.Status, d.Run.Reason)
	}
	if diff := cmp.Diff(lifecycle.Counts{Cancelled: 5}, d.Run.Counts); diff != "" {
		t.Error(diff)
	}
	w.startedOnce(2)
}

func TestALostAnswerIsFoundByItsMarker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("lossy", "ok", 8)
	w.loseAnswers()
	run := w.trigger("lossy")
	d := w.finish(run)
	if d.Run.Status != lifecycle.Success {
		t.Errorf("run %s: %s", d.Run.Status, d.Run.Reason)
	}
	w.startedOnce(8)
}

func TestARefusedJobFailsItsStepInCloudRunsWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("nojob", "missing", 40)
	d := w.finish(w.trigger("nojob"))
	if d.Run.Status != lifecycle.Failed {
		t.Errorf("run %s: %s", d.Run.Status, d.Run.Reason)
	}
	t.Log(d.Run.Reason)
	w.startedOnce(0)
}
