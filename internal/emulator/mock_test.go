package emulator

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
)

// mockAt makes a Mock whose clock stands at the seconds in clock.
func mockAt(t *testing.T, clock *atomic.Int64) clients {
	t.Helper()
	m := NewMock(MockOptions{Duration: 4 * time.Second, Now: func() time.Time { return time.Unix(clock.Load(), 0) }})
	t.Cleanup(m.Close)
	return inside(t, m)
}

func TestAMockExecutionSucceedsAfterAMoment(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	c := mockAt(t, &clock)
	x := c.run(t, "any-job-at-all", tasks(3), env("ORCHESTRATOR_LAUNCH", "m"))
	if !strings.HasPrefix(last(x.GetName()), "mock-") || x.GetTaskCount() != 3 || x.GetStartTime() != nil || x.GetTemplate().GetContainers()[0].GetEnv()[0].GetValue() != "m" {
		t.Errorf("at once: %v", x)
	}
	clock.Add(2)
	if x = c.get(t, x.GetName()); x.GetRunningCount() != 3 || x.GetStartTime() == nil || x.GetCompletionTime() != nil {
		t.Errorf("after two seconds: %v", x)
	}
	clock.Add(2)
	if x = c.get(t, x.GetName()); x.GetSucceededCount() != 3 || x.GetRunningCount() != 0 || x.GetCompletionTime().GetSeconds() != clock.Load() {
		t.Errorf("after four seconds: %v", x)
	}
	if state, _ := completed(x); state != runpb.Condition_CONDITION_SUCCEEDED {
		t.Errorf("Completed is %s", state)
	}
	for i, task := range c.listTasks(t, x.GetName()) {
		if task.GetIndex() != int32(i) || task.GetLastAttemptResult() == nil || task.GetCompletionTime() == nil {
			t.Errorf("task %d: %v", i, task)
		}
	}
	if diff := cmp.Diff([]string{x.GetName()}, c.list(t, somewhere+"/jobs/any-job-at-all", 0)); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func TestAMockKnowsTheNamesOfEarlierProcesses(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	x := mockAt(t, &clock).run(t, "a", tasks(10_000))
	later := mockAt(t, &clock)
	if got := later.get(t, x.GetName()); got.GetTaskCount() != 10_000 || !got.GetCreateTime().AsTime().Equal(x.GetCreateTime().AsTime()) || got.GetCompletionTime() != nil {
		t.Errorf("before the end: %v", got)
	}
	clock.Add(4)
	if got := later.get(t, x.GetName()); got.GetSucceededCount() != 10_000 {
		t.Errorf("after the end: %v", got)
	}
	if n := len(later.listTasks(t, x.GetName())); n != 10_000 {
		t.Errorf("%d tasks", n)
	}
}

func TestAMockClaimsNoNameOfOthers(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	c := mockAt(t, &clock)
	mine := c.run(t, "a").GetName()
	changed := mine[:len(mine)-1] + "0"
	if changed == mine {
		changed = mine[:len(mine)-1] + "g"
	}
	for _, name := range []string{
		changed,
		strings.Replace(mine, "/jobs/a/", "/jobs/b/", 1),
		strings.Replace(mine, "mock-", "a-", 1),
		somewhere + "/jobs/a/executions/mock-1",
		somewhere + "/jobs/a/executions/a-x7k2p",
	} {
		_, err := c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: name})
		wantCode(t, err, codes.NotFound)
		_, err = c.tasks.ListTasks(t.Context(), &runpb.ListTasksRequest{Parent: name}).Next()
		wantCode(t, err, codes.NotFound)
		wantCode(t, c.cancel(t, name), codes.NotFound)
	}
}

func TestAMockExecutionCanBeCancelledUntilItsEnd(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	c := mockAt(t, &clock)
	x, ended := c.run(t, "a", tasks(2)), c.run(t, "a")
	clock.Add(3)
	if err := c.cancel(t, x.GetName()); err != nil {
		t.Fatal(err)
	}
	clock.Add(3)
	x = c.get(t, x.GetName())
	if _, reason := completed(x); reason != runpb.Condition_CANCELLED || x.GetCancelledCount() != 2 || x.GetCompletionTime().GetSeconds() != clock.Load()-3 {
		t.Errorf("cancelled: %v", x)
	}
	wantCode(t, c.cancel(t, ended.GetName()), codes.FailedPrecondition)
	if x := c.get(t, ended.GetName()); x.GetSucceededCount() != 1 {
		t.Errorf("the other: %v", x)
	}
}

func TestAMockOperationEndsWithItsExecution(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	op, err := mockAt(t, &clock).jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/a"})
	if err != nil || op.Done() {
		t.Fatalf("done %v, %v", op.Done(), err)
	}
	later := mockAt(t, &clock).jobs.RunJobOperation(op.Name())
	clock.Add(4)
	if x, err := later.Poll(t.Context()); err != nil || x.GetSucceededCount() != 1 {
		t.Errorf("%v, %v", x, err)
	}
}

func TestAMockTakesWhateverContainersAreNamedAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	c := mockAt(t, new(atomic.Int64))
	x := c.run(t, "a", func(r *runpb.RunJobRequest) { r.Overrides = with(&override{Name: "main"}, &override{Name: "proxy"}) })
	if n := len(x.GetTemplate().GetContainers()); n != 2 {
		t.Errorf("%d containers", n)
	}
	_, err := c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/a", Overrides: with(&override{Env: []*runpb.EnvVar{envVar("K_X", "")}})})
	wantCode(t, err, codes.InvalidArgument)
	_, err = c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: "jobs/a"})
	wantCode(t, err, codes.InvalidArgument)
	j, err := c.jobs.GetJob(t.Context(), &runpb.GetJobRequest{Name: somewhere + "/jobs/a"})
	if err != nil || last(j.GetName()) != "a" {
		t.Errorf("job %v, %v", j, err)
	}
}

func TestAMockRemembersOnlyTheNewestOfAJob(t *testing.T) {
	t.Parallel()
	m := NewMock(MockOptions{})
	t.Cleanup(m.Close)
	var first string
	for i := range mockKept + 1 {
		op, err := m.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/a"})
		var x runpb.Execution
		if err := must(t, op, err).GetMetadata().UnmarshalTo(&x); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = x.GetName()
		}
	}
	names := inside(t, m).list(t, somewhere+"/jobs/a", 100)
	if len(names) != mockKept {
		t.Errorf("%d are listed, want %d", len(names), mockKept)
	}
	if x, err := m.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: first}); err != nil || x.GetTaskCount() != 1 {
		t.Errorf("the first is %v, %v", x, err)
	}
}
