package engine_test

import (
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Cloud Run forgets what has ended, the oldest first, and shows what still runs: the oldest that it shows may be older than all that it has forgotten.
func TestAnExecutionThatStillRunsDoesNotHideThatYoungerOnesAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("long", "long", 1)
	w.apply("name: busy\nmax_executions: 4\njob: {name: long}\ntasks: {count: 16}\n")
	long := w.trigger("long")
	w.tickUntil(long, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	w.later(10 * time.Minute)
	run := w.trigger("busy")
	w.onePass()
	dump, at := w.db.Dump(t), w.now()
	w.later(2 * time.Minute)
	w.finish(run)
	all := w.run.Started()
	for _, s := range all[1 : len(all)-6] {
		w.erase(s.Execution)
	}

	w.goBack(dump)
	keeps5 := func(o *engine.Options) { o.HistoryKept = 5 }
	w.restore(at, false, keeps5)
	w.later(10 * time.Second)
	r := w.restore(at, false, keeps5)
	if r.Done || len(r.Unseen) != 1 || r.Unseen[0].Steps != 1 {
		t.Fatalf("%+v", r)
	}
	if r = w.restore(at, true, keeps5); !r.Done || r.Stopped != 1 {
		t.Fatalf("%+v", r)
	}
	w.finish(run)
	if n := len(w.run.Started()); n != len(all) {
		t.Errorf("%d executions were started after the restore", n-len(all))
	}
	w.release()
	w.later(time.Minute)
	w.finish(long)
}

// What a restored database says of when a row was sent is not when it was sent last.
func TestALaunchIsNotTakenForLostByTheTimeThatARestoredDatabaseKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, roomy)
	w.simple("refused", "wait", 1)
	w.disturb("RunJob", emulator.Fault{Quota: true})
	run := w.trigger("refused")
	h := w.tickHolding("RunJob")
	h.await(1)
	dump, at := w.db.Dump(t), w.now()
	h.release()
	w.disturb("RunJob", emulator.Fault{HideFor: 2 * time.Minute})
	w.later(10 * time.Minute)
	w.tickUntil(run, "sent again", func(engine.RunDetail) bool { return len(w.run.Started()) == 1 })

	w.goBack(dump, roomy)
	for range 3 { // it is not listed yet
		_, _ = w.tick()
	}
	w.answer()
	w.later(4 * time.Minute)
	for range 3 { // it is, under a number that the row does not know
		_, _ = w.tick()
	}
	if remembered, left := w.restored(at, roomy); remembered != 1 || len(left) != 0 {
		t.Errorf("%d sends were put back, %+v left alone", remembered, left)
	}
	w.release()
	w.finish(run)
	w.startedOnce(1)
}

func TestASendIsPutBackWhereCloudRunsClockIsBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, roomy)
	w.simple("behind", "ok", 1)
	w.disturb("RunJob", emulator.Fault{Quota: true})
	run := w.trigger("behind")
	w.tickUntil(run, "refused", func(engine.RunDetail) bool { return w.count(`SELECT count(*) FROM executions WHERE send = 2`) == 1 })
	dump, at := w.db.Dump(t), w.now()
	w.answer()
	w.advance(20 * time.Second) // past its not_before, by the database's clock alone
	w.tickUntil(run, "sent", func(engine.RunDetail) bool { return len(w.run.Started()) == 1 })
	w.later(4 * time.Minute)
	w.goBack(dump, roomy)
	w.restore(at, false, roomy)
	w.later(4 * time.Minute)
	if _, left := w.restored(at, roomy); len(left) != 0 {
		t.Errorf("left alone: %+v", left)
	}
	w.finish(run)
	w.startedOnce(1)
}

func TestAListingThatIsCutShortSaysNothingOfWhatIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("many", "ok", 120) // more than one page
	w.finish(w.trigger("many"))
	w.simple("next", "ok", 1)
	run := w.trigger("next")
	dump, at := w.db.Dump(t), w.now()
	w.goBack(dump)
	w.restore(at.Add(-time.Hour), false)
	w.later(10 * time.Second)
	w.disturb("ListExecutions", emulator.Fault{Slow: 300 * time.Millisecond})
	hurried := w.newEngine(func(o *engine.Options) { o.Budget = 200 * time.Millisecond })
	for _, giveUp := range []bool{false, true} {
		r, err := hurried.Restore(t.Context(), engine.Restore{To: at.Add(-time.Hour), GiveUp: giveUp, Actor: "test"})
		if err != nil || r.Done || len(r.Unseen) > 0 || r.Stopped > 0 || !strings.Contains(strings.Join(r.Waiting, " "), "time of this call") {
			t.Errorf("%+v, %v", r, err)
		}
	}
	w.disturb("ListExecutions", emulator.Fault{})
	w.restored(at.Add(-time.Hour))
	w.finish(run)
}

const secondWaits = `
name: two
steps:
  first:
    job: {name: ok}
    tasks: {count: 2}
  second:
    needs: [first]
    job: {name: wait}
    tasks: {count: 3}
`

func TestTasksOfAnExecutionThatIsGivenUpAreNotRunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(secondWaits)
	run := w.trigger("two")
	dump, at := w.db.Dump(t), w.now()
	w.later(2 * time.Minute)
	w.tickUntil(run, "in its second step", func(d engine.RunDetail) bool { return d.Steps[1].Counts.Running == 3 })
	for _, s := range w.run.Started()[:2] { // somebody deletes them
		w.erase(s.Execution)
	}

	w.goBack(dump)
	w.restore(at, false)
	w.later(10 * time.Second)
	if r := w.restore(at, false); r.Done || len(r.Waiting) != 3 || !strings.Contains(r.Waiting[0], "its tasks do not exist yet") {
		t.Fatalf("%+v", r)
	}
	if r := w.restore(at, true); !r.Done || len(r.LeftAlone) != 3 || r.Stopped != 1 {
		t.Fatalf("%+v", r)
	}
	d := w.finish(run)
	w.release()
	if d.Run.Status != lifecycle.Failed || !strings.Contains(d.Steps[1].Reason, "may have run") {
		t.Errorf("%s: %s", d.Run.Status, d.Steps[1].Reason)
	}
	if n := len(w.run.Started()); n != 2+3+2 {
		t.Errorf("%d executions, want those of the second step once", n)
	}
}

// A cancel that is repeated before the restore ends the second step at once, and its executions belong to nothing.
func TestACancelThatIsRepeatedAfterTheRestoreReachesWhatWasForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(secondWaits)
	run := w.trigger("two")
	w.onePass()
	dump, at := w.db.Dump(t), w.now()
	w.later(2 * time.Minute)
	w.tickUntil(run, "in its second step", func(d engine.RunDetail) bool { return d.Steps[1].Counts.Running == 3 })
	w.goBack(dump)
	w.restored(at)
	w.cancel(run)
	if d := w.finish(run); d.Run.Status != lifecycle.Cancelled || d.Steps[1].Counts.Cancelled != 3 {
		t.Errorf("%s, %+v", d.Run.Status, d.Steps[1].Counts)
	}
	if n := w.count(`SELECT count(*) FROM executions WHERE outcome = 'cancelled' AND cloud_run_execution_name IS NOT NULL`); n != 3 {
		t.Errorf("%d executions were asked to stop", n)
	}
	w.startedOnce(5)
}

func TestALookThatFailsKeepsNoRestoreFromItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("blind", "wait", 2)
	run := w.trigger("blind")
	w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 2 })
	dump, at := w.db.Dump(t), w.now()
	w.goBack(dump)
	w.disturb("GetExecution", emulator.Fault{Before: status.Error(codes.PermissionDenied, "not yours")})
	if remembered, left := w.restored(at); remembered != 0 || len(left) != 0 {
		t.Errorf("%d sends were put back, %+v left alone", remembered, left)
	}
	w.disturb("GetExecution", emulator.Fault{})
	w.release()
	w.later(time.Minute)
	w.finish(run)
	w.startedOnce(2)
}

func TestAJobThatNobodyMayReadIsGivenUpWithItsUnsentTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("shut", "ok", 2)
	run := w.trigger("shut")
	dump, at := w.db.Dump(t), w.now()
	w.finish(run)
	w.goBack(dump)
	w.disturb("ListExecutions", emulator.Fault{Before: status.Error(codes.PermissionDenied, "not yours")})
	w.restore(at, false)
	w.later(10 * time.Second)
	if r := w.restore(at, false); r.Done || len(r.Waiting) == 0 || !strings.Contains(r.Waiting[0], "not yours") {
		t.Fatalf("%+v", r)
	}
	if r := w.restore(at, true); !r.Done || r.Stopped != 1 {
		t.Fatalf("%+v", r)
	}
	w.disturb("ListExecutions", emulator.Fault{})
	w.finish(run)
	w.startedOnce(2)
}

// A backup that was made while launching was blocked has the time of that, which is no time of the restore.
func TestARestoreIntoTheTimeOfAnEarlierBlockWaitsForItsOwnSettleWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, roomy)
	w.simple("again", "wait", 2)
	run := w.trigger("again")
	first := w.now()
	w.restore(first, false, roomy)
	w.later(time.Minute)
	dump, at := w.db.Dump(t), w.now()
	w.later(4 * time.Minute)
	w.restored(first, roomy)
	w.disturb("RunJob", emulator.Fault{HideFor: 2 * time.Minute})
	w.tickUntil(run, "sent", func(engine.RunDetail) bool { return len(w.run.Started()) == 2 })

	w.goBack(dump, roomy)
	w.answer()
	if r := w.restore(at, false, roomy); r.Done || r.NextAt == nil {
		t.Fatalf("%+v", r)
	}
	w.later(4 * time.Minute)
	if remembered, left := w.restored(at, roomy); remembered != 2 || len(left) != 0 {
		t.Errorf("%d sends were put back, %+v left alone", remembered, left)
	}
	w.release()
	w.finish(run)
	w.startedOnce(2)
}
