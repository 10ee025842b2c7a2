package engine_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/testdb"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// goBack replaces the database by what it was when it was dumped. Cloud Run goes on as it is.
func (w *world) goBack(dump string, opts ...option) {
	w.t.Helper()
	w.db = testdb.Restored(w.t, dump)
	before := w.store
	var err error
	if w.store, err = store.Open(w.t.Context(), store.Options{URL: w.db.DSN}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		w.store.Close()
		w.store = before
	})
	w.t.Cleanup(w.checkInvariants)
	w.exec(`UPDATE installation SET clock_offset = $1`, w.ahead) // its clock did not go back
	w.engine = w.newEngine(opts...)
}

// forget lets Cloud Run forget all executions but the newest.
func (w *world) forget(keep int) {
	w.t.Helper()
	all := w.run.Started()
	for _, s := range all[:len(all)-keep] {
		w.erase(s.Execution)
	}
}

// erase lets Cloud Run forget one execution.
func (w *world) erase(execution string) {
	w.t.Helper()
	answer := httptest.NewRecorder()
	w.run.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(w.t.Context(), http.MethodDelete, "/v2/"+execution, nil))
	if answer.Code != http.StatusOK {
		w.t.Fatalf("delete %s: %s", execution, answer.Body)
	}
}

// restore asks once to go on from the database.
func (w *world) restore(to time.Time, giveUp bool, opts ...option) engine.Restored {
	w.t.Helper()
	opts = append(opts, func(o *engine.Options) { o.Budget = 20 * time.Second })
	r, err := w.newEngine(opts...).Restore(w.t.Context(), engine.Restore{To: to, GiveUp: giveUp, Actor: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Logf("restored: %+v", r)
	return r
}

// restored asks until it is done, and gives how many sends were put back.
func (w *world) restored(to time.Time, opts ...option) (remembered int, left []lifecycle.LeftAlone) {
	w.t.Helper()
	for range 20 {
		r := w.restore(to, false, opts...)
		remembered, left = remembered+r.Remembered, append(left, r.LeftAlone...)
		if r.Done {
			return remembered, left
		}
		w.later(2 * time.Second)
	}
	w.t.Fatal("the restore does not end")
	return 0, nil
}

// onePass is one tick that goes through its phases once.
func (w *world) onePass() {
	w.t.Helper()
	if _, err := w.newEngine(func(o *engine.Options) { o.Budget = time.Millisecond }).Tick(w.t.Context(), "test"); err != nil {
		w.t.Fatal(err)
	}
}

const twoSteps = `
name: two
max_executions: 5
steps:
  first:
    job: {name: ok}
    tasks: {count: 12}
  second:
    needs: [first]
    job: {name: wait}
    tasks: {count: 5}
`

func TestARestoreInTheMiddleOfARunSendsNothingTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoSteps)
	w.simple("other", "odd", 3)
	run := w.trigger("two")
	w.tickUntil(run, "begun", func(engine.RunDetail) bool { return len(w.run.Started()) >= 5 })
	dump, at := w.db.Dump(t), w.now()

	w.later(2 * time.Minute)
	w.tickUntil(run, "in its second step", func(d engine.RunDetail) bool { return d.Steps[1].Counts.Running == 5 })
	lost := w.trigger("other")
	w.finish(lost)
	started := len(w.run.Started())

	w.goBack(dump)
	for range 3 {
		_, _ = w.tick() // a scheduler that nobody has stopped
	}
	if n := len(w.run.Started()); n != started {
		t.Fatalf("%d executions were started from a restored database", n-started)
	}
	remembered, left := w.restored(at)
	if remembered < started-3-5-5 || remembered > started-3 {
		t.Errorf("%d sends were put back, of %d", remembered, started)
	}
	if len(left) != 3 || left[0].Run != lost || !left[0].Ended {
		t.Errorf("left alone: %+v", left)
	}
	w.release()
	if d := w.finish(run); d.Run.Status != lifecycle.Success {
		t.Errorf("the run is %s: %s", d.Run.Status, d.Run.Reason)
	}
	w.startedOnce(12 + 5 + 3)
	if next := w.trigger("other"); next != "other.2" {
		t.Errorf("the number of a run that the database has forgotten is given again: %s", next)
	} else {
		w.finish(next)
	}
	w.later(time.Hour)
	w.finds(false) // what is left alone does not block, and is told once
}

func TestARestoreFindsTheSendThatFollowedALostOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("chain", "wait", 2)
	w.disturb("RunJob", emulator.Fault{Before: status.Error(codes.Unavailable, "no route")})
	run := w.trigger("chain")
	w.tickUntil(run, "sent", func(engine.RunDetail) bool { return w.calls("RunJob") == 2 })
	dump, at := w.db.Dump(t), w.now()

	w.answer()
	w.later(10 * time.Second)
	w.tickUntil(run, "sent again", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 2 })
	w.later(2 * time.Minute)
	w.goBack(dump)
	if remembered, left := w.restored(at); remembered != 2 || len(left) != 0 {
		t.Errorf("%d sends were put back, %+v left alone", remembered, left)
	}
	w.release()
	w.finish(run)
	w.startedOnce(2)
}

func TestWhatCloudRunHasForgottenSinceTheRestoredPointIsNotRunAgainUnasked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("early", "ok", 3)
	w.finish(w.trigger("early"))
	w.apply("name: busy\nmax_executions: 2\njob: {name: ok}\ntasks: {count: 30}\n")
	w.apply("name: calm\nmax_executions: 1\njob: {name: odd}\ntasks: {count: 3}\n")
	w.later(10 * time.Minute)
	run, calm := w.trigger("busy"), w.trigger("calm")
	w.onePass()
	dump, at := w.db.Dump(t), w.now()
	w.later(2 * time.Minute)
	w.finish(run)
	started := len(w.run.Started())
	w.forget(10)

	w.goBack(dump)
	w.later(time.Minute)
	keeps5 := func(o *engine.Options) { o.HistoryKept = 5 }
	if r := w.restore(at, false, keeps5); r.Done || r.NextAt == nil {
		t.Fatalf("%+v", r)
	}
	w.later(10 * time.Second)
	r := w.restore(at, false, keeps5)
	if r.Done || len(r.Unseen) != 1 || !strings.HasSuffix(r.Unseen[0].Job, "/ok") || r.Unseen[0].Steps != 1 {
		t.Fatalf("%+v", r)
	}
	if r = w.restore(at, true, keeps5); !r.Done || r.Stopped != 1 {
		t.Fatalf("%+v", r)
	}
	if d := w.finish(run); d.Run.Status != lifecycle.Failed || !strings.Contains(d.Steps[0].Reason, "may have run") {
		t.Errorf("%s: %s", d.Run.Status, d.Steps[0].Reason)
	}
	w.finish(calm)
	if n := len(w.run.Started()); n > started+3 {
		t.Errorf("%d executions were started after the restore", n-started)
	}
}

func TestAPointThatIsNamedTooLateIsTheLastTickThatTheDatabaseKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply("name: busy\nmax_executions: 2\njob: {name: ok}\ntasks: {count: 30}\n")
	run := w.trigger("busy")
	w.onePass()
	dump := w.db.Dump(t)
	w.later(2 * time.Minute)
	w.finish(run)
	w.later(2 * time.Minute)
	w.forget(10)

	w.goBack(dump)
	keeps5, late := func(o *engine.Options) { o.HistoryKept = 5 }, w.now()
	w.later(time.Second)
	w.restore(late, false, keeps5)
	w.later(10 * time.Second)
	if r := w.restore(late, false, keeps5); r.Done || len(r.Unseen) != 1 || r.Unseen[0].Steps != 1 {
		t.Errorf("%+v", r)
	}
}

func TestARestoreThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		opt  option
		to   time.Time
		kind error
		want string
	}{
		{func(*engine.Options) {}, time.Now().Add(time.Hour), lifecycle.ErrInvalid, "which is still to come"},
		{func(o *engine.Options) { o.Mode = lifecycle.Mock }, time.Now(), lifecycle.ErrConflict, "belongs to mode emulator"},
	} {
		_, err := w.newEngine(c.opt).Restore(t.Context(), engine.Restore{To: c.to, Actor: "test"})
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v", err)
		}
	}
	if here, err := w.store.Installation(t.Context()); err != nil || here.LaunchBlockedReason != "" {
		t.Errorf("%+v, %v", here, err)
	}
}
