package lifecycle

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// A launch's own environment tells the work that it carries, whatever its indexes and attempts are.
func TestAnExecutionTellsItsWork(t *testing.T) {
	t.Parallel()
	run := uuid.MustParse("0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11")
	for _, w := range []Work{
		{RunID: run, Run: "nightly.42", Step: "main", Indexes: One(0), Attempts: []int{1}},
		{RunID: run, Run: "a.b.7", Step: "load", Indexes: RangesOf(0, 1, 2, 9, 11, 12), Attempts: []int{1, 1, 1, 2, 3, 3}},
		{RunID: run, Run: "big.1", Step: "main", Indexes: Ranges{{0, 9999}}, Attempts: make1s(10_000)},
	} {
		d := Dispatch{
			Execution: Execution{RunID: w.RunID, Step: w.Step, Indexes: w.Indexes, TaskCount: w.Indexes.Len()},
			RunName:   w.Run, Attempts: w.Attempts, ScheduledAt: time.Now(), TaskParams: make([]json.RawMessage, w.Indexes.Len()),
		}
		env := map[string]string{}
		for _, v := range d.Launch(Marker{}).Env {
			env[v.Name] = v.Value
		}
		got, err := Origin{env[RunIDEnv], env[RunEnv], env[StepEnv], env[TaskIndexesEnv], env[TaskAttemptsEnv]}.Work()
		if diff := cmp.Diff(w, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
}

func make1s(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = 1
	}
	return list
}

func TestAnExecutionWhoseWorkCannotBeReadIsNoWork(t *testing.T) {
	t.Parallel()
	const run = "0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11"
	for _, c := range []struct {
		o    Origin
		want string
	}{
		{Origin{}, `ORCHESTRATOR_RUN_ID is "", which is no run's id`},
		{Origin{RunID: run}, `ORCHESTRATOR_TASK_INDEXES is "", which is no set of task indexes`},
		{Origin{RunID: run, Indexes: "1-"}, `ORCHESTRATOR_TASK_INDEXES is "1-", which is no set of task indexes`},
		{Origin{RunID: run, Indexes: "0-10000"}, `ORCHESTRATOR_TASK_INDEXES is "0-10000", which is no set of task indexes`},
		{Origin{RunID: run, Indexes: "0-1"}, `ORCHESTRATOR_TASK_ATTEMPTS is "": "" does not fit 2 tasks`},
		{Origin{RunID: run, Indexes: "0-1", Attempts: "1"}, `ORCHESTRATOR_TASK_ATTEMPTS is "1": it is for 1 tasks, not 2`},
		{Origin{RunID: run, Indexes: "0-1", Attempts: "3x1"}, `ORCHESTRATOR_TASK_ATTEMPTS is "3x1": "3x1" does not fit 2 tasks`},
		{Origin{RunID: run, Indexes: "0-1", Attempts: "1,0"}, `ORCHESTRATOR_TASK_ATTEMPTS is "1,0": "0" does not fit 2 tasks`},
		{Origin{RunID: run, Indexes: "0-1", Attempts: "99999999999999999999x1"}, `does not fit 2 tasks`},
	} {
		if _, err := c.o.Work(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.o, err, c.want)
		}
	}
}

func TestWhatFitsIntoARestoredDatabase(t *testing.T) {
	t.Parallel()
	row := []uuid.UUID{uuid.New()}
	for _, c := range []struct {
		name string
		s    Standing
		want Fit
	}{
		{"all its tasks wait", Standing{Step: true}, FitNow},
		{"rows that were never sent hold some", Standing{Step: true, Planned: row}, FitNow},
		{"its run is not known", Standing{}, FitNever},
		{"its step has ended", Standing{Step: true, Final: true}, FitNever},
		{"its tasks have ended", Standing{Step: true, Ended: 2}, FitNever},
		{"a task has ended, and another waits", Standing{Step: true, Ended: 1, Waiting: 1}, FitLater},
		{"a task has ended, and another is in a row that was never sent", Standing{Step: true, Ended: 1, Planned: row}, FitLater},
		{"an earlier execution holds some", Standing{Step: true, Live: row, Planned: row}, FitLater},
		{"tasks do not exist yet", Standing{Step: true, Missing: 3}, FitLater},
	} {
		if got, why := c.s.Fit(); got != c.want || (why == "") != (c.want == FitNow) {
			t.Errorf("%s: %d, %q", c.name, got, why)
		}
	}
}

func TestRunNumbers(t *testing.T) {
	t.Parallel()
	if w, n, ok := RunNumber("a.b.42"); w != "a.b" || n != 42 || !ok {
		t.Errorf("%s, %d, %v", w, n, ok)
	}
	for _, bad := range []string{"", "a", ".1", "a.", "a.0", "a.-1", "a.+1", "a.x"} {
		if _, _, ok := RunNumber(bad); ok {
			t.Errorf("%q is taken for a run", bad)
		}
	}
}
