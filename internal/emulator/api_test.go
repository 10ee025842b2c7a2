package emulator

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
)

func instant(context.Context, Task) Result { return Result{} }

// eachTransport runs a test with the real client over gRPC inside the process, over gRPC on a port, and over REST.
func eachTransport(t *testing.T, o func() Options, test func(*testing.T, *Server, clients)) {
	t.Run("gRPC inside", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, o())
		test(t, s, inside(t, s))
	})
	t.Run("gRPC on a port", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, o())
		conn, err := grpc.NewClient(listen(t, s), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		test(t, s, overGRPC(t, conn))
	})
	t.Run("REST", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, o())
		test(t, s, overREST(t, "http://"+listen(t, s)))
	})
}

func TestAnExecutionRunsFromCallToOutcome(t *testing.T) {
	t.Parallel()
	jobs := func() Options {
		return Options{Jobs: Jobs{"count": {Func: func(_ context.Context, task Task) Result {
			if task.Index == 2 {
				return Result{ExitCode: 3}
			}
			return Result{}
		}, Image: "example/count", Timeout: time.Hour, Env: map[string]string{"A": "1", "B": "2"}}}}
	}
	eachTransport(t, jobs, func(t *testing.T, _ *Server, c clients) {
		first := c.run(t, "count", tasks(5), env("B", "two", "C", "3"))
		if first.GetTaskCount() != 5 || !strings.HasPrefix(last(first.GetName()), "count-") {
			t.Errorf("the answer has task count %d and name %s", first.GetTaskCount(), first.GetName())
		}
		x := c.end(t, first.GetName())
		if x.GetSucceededCount() != 4 || x.GetFailedCount() != 1 || x.GetRunningCount() != 0 || x.GetReconciling() {
			t.Errorf("counts are wrong: %v", x)
		}
		if state, reason := completed(x); state != runpb.Condition_CONDITION_FAILED || reason != runpb.Condition_NON_ZERO_EXIT_CODE {
			t.Errorf("Completed is %s, %s", state, reason)
		}
		want := []string{"A=1", "B=two", "C=3"}
		var got []string
		for _, v := range x.GetTemplate().GetContainers()[0].GetEnv() {
			got = append(got, v.GetName()+"="+v.GetValue())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("environment in the template (-want +got):\n%s", diff)
		}
		if x.GetTemplate().GetContainers()[0].GetImage() != "example/count" || x.GetTemplate().GetTimeout().AsDuration() != time.Hour {
			t.Errorf("template is %v", x.GetTemplate())
		}
		for i, task := range c.listTasks(t, x.GetName()) {
			wantExit := int32(0)
			if i == 2 {
				wantExit = 3
			}
			if task.GetIndex() != int32(i) || task.GetLastAttemptResult().GetExitCode() != wantExit || task.GetCompletionTime() == nil {
				t.Errorf("task %d is %v", i, task)
			}
			one, err := c.tasks.GetTask(t.Context(), &runpb.GetTaskRequest{Name: task.GetName()})
			if err != nil || one.GetIndex() != int32(i) {
				t.Errorf("GetTask(%s): %v, %v", task.GetName(), one, err)
			}
		}
	})
}

func TestAnExecutionIsNotStartedWhileItsTasksWait(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := newServer(t, Options{Parallelism: 1, Jobs: Jobs{"slow": {Func: func(ctx context.Context, _ Task) Result {
		<-release
		return Result{}
	}}}})
	c := inside(t, s)
	a, b := c.run(t, "slow"), c.run(t, "slow")
	if x := c.get(t, a.GetName()); x.GetRunningCount() != 1 || x.GetStartTime() == nil {
		t.Errorf("the first does not run: %v", x)
	}
	x := c.get(t, b.GetName())
	if x.GetRunningCount() != 0 || x.GetStartTime() != nil || !x.GetReconciling() {
		t.Errorf("the second runs: %v", x)
	}
	for _, condition := range x.GetConditions() {
		if condition.GetState() != runpb.Condition_CONDITION_RECONCILING {
			t.Errorf("condition %s of a waiting execution is %s", condition.GetType(), condition.GetState())
		}
	}
	close(release)
	for _, name := range []string{a.GetName(), b.GetName()} {
		if x := c.end(t, name); x.GetSucceededCount() != 1 {
			t.Errorf("%v did not succeed", x)
		}
	}
}

func TestParallelismOfAJobBoundsItsTasks(t *testing.T) {
	t.Parallel()
	begun, release := make(chan int, 10), make(chan struct{})
	s := newServer(t, Options{Jobs: Jobs{"two": {Parallelism: 2, Func: func(_ context.Context, task Task) Result {
		begun <- task.Index
		<-release
		return Result{}
	}}, "other": {Func: instant}}})
	c := inside(t, s)
	x := c.run(t, "two", tasks(5))
	<-begun
	<-begun
	c.end(t, c.run(t, "other").GetName()) // the full one is in nobody's way
	if got := c.get(t, x.GetName()); got.GetRunningCount() != 2 || len(begun) != 0 || got.GetParallelism() != 2 {
		t.Errorf("%d run, want 2", got.GetRunningCount())
	}
	close(release)
	if got := c.end(t, x.GetName()); got.GetSucceededCount() != 5 {
		t.Errorf("%d succeeded, want 5", got.GetSucceededCount())
	}
}

func TestRetriesAreAttemptsOfTheSameTask(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{Jobs: Jobs{"flaky": {MaxRetries: 2, Func: func(_ context.Context, task Task) Result {
		if task.Index == 0 && task.Attempt < 2 || task.Index == 1 {
			return Result{ExitCode: 1}
		}
		return Result{}
	}}}})
	c := inside(t, s)
	x := c.end(t, c.run(t, "flaky", tasks(3)).GetName())
	if x.GetSucceededCount() != 2 || x.GetFailedCount() != 1 || x.GetRetriedCount() != 2 {
		t.Errorf("succeeded %d, failed %d, retried %d; want 2, 1, 2", x.GetSucceededCount(), x.GetFailedCount(), x.GetRetriedCount())
	}
	list := c.listTasks(t, x.GetName())
	if list[0].GetRetried() != 2 || list[0].GetLastAttemptResult().GetExitCode() != 0 || list[1].GetRetried() != 2 || list[2].GetRetried() != 0 {
		t.Errorf("tasks: %v", list)
	}
	attempts := map[int][]int{}
	for _, st := range s.Started() {
		attempts[st.Index] = append(attempts[st.Index], st.Attempt)
	}
	if diff := cmp.Diff(map[int][]int{0: {0, 1, 2}, 1: {0, 1, 2}, 2: {0}}, attempts); diff != "" {
		t.Errorf("attempts started (-want +got):\n%s", diff)
	}
}

func TestCancelEndsWhatRunsAndWhatWaits(t *testing.T) {
	t.Parallel()
	jobs := func() Options {
		return Options{Parallelism: 2, Jobs: Jobs{"wait": {MaxRetries: 3, Func: func(ctx context.Context, task Task) Result {
			if task.Index == 0 {
				return Result{}
			}
			<-ctx.Done()
			return Result{Signal: 15}
		}}}}
	}
	eachTransport(t, jobs, func(t *testing.T, s *Server, c clients) {
		x := c.run(t, "wait", tasks(5))
		c.until(t, x.GetName(), func(x *runpb.Execution) bool { return x.GetSucceededCount() == 1 && x.GetRunningCount() == 2 })
		op, err := c.executions.CancelExecution(t.Context(), &runpb.CancelExecutionRequest{Name: x.GetName()})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := op.Metadata(); err != nil || m.GetName() != x.GetName() {
			t.Errorf("metadata of the cancel: %v, %v", m, err)
		}
		x = c.end(t, x.GetName())
		if x.GetSucceededCount() != 1 || x.GetCancelledCount() != 4 || x.GetFailedCount() != 0 {
			t.Errorf("counts: %v", x)
		}
		if state, reason := completed(x); state != runpb.Condition_CONDITION_FAILED || reason != runpb.Condition_CANCELLED {
			t.Errorf("Completed is %s, %s", state, reason)
		}
		if n := len(s.Started()); n != 3 {
			t.Errorf("%d tasks were started, want 3: the others waited", n)
		}
		if r := c.listTasks(t, x.GetName())[4].GetLastAttemptResult(); r != nil {
			t.Errorf("a task that never began has the result %v", r)
		}
		if err := c.cancel(t, x.GetName()); err == nil || !strings.Contains(err.Error(), "has already completed") {
			t.Errorf("a second cancel says %v", err)
		}
		_, err = s.CancelExecution(t.Context(), &runpb.CancelExecutionRequest{Name: x.GetName()})
		wantCode(t, err, codes.FailedPrecondition) // over REST the real client sees only the 400
	})
}

func TestManyCallsAtOnceAreEachTheirOwnExecution(t *testing.T) {
	t.Parallel()
	const callers, each = 20, 50
	s := newServer(t, Options{Jobs: Jobs{"a": {Func: instant}}, Parallelism: 3})
	c := inside(t, s)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if _, err := c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/a"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	names := map[string]bool{}
	for _, name := range c.list(t, somewhere+"/jobs/a", 77) {
		names[name] = true
		c.end(t, name)
	}
	if len(names) != callers*each || len(s.Started()) != callers*each {
		t.Errorf("%d names and %d tasks, want %d", len(names), len(s.Started()), callers*each)
	}
}

func TestADeletedExecutionIsGone(t *testing.T) {
	t.Parallel()
	eachTransport(t, func() Options { return Options{Jobs: Jobs{"a": {Func: instant}}} }, func(t *testing.T, _ *Server, c clients) {
		keep, gone := c.run(t, "a"), c.run(t, "a")
		c.end(t, gone.GetName())
		op, err := c.executions.DeleteExecution(t.Context(), &runpb.DeleteExecutionRequest{Name: gone.GetName()})
		if err != nil || !op.Done() {
			t.Fatalf("delete: done %v, %v", op.Done(), err)
		}
		_, err = c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: gone.GetName()})
		wantCode(t, err, codes.NotFound)
		if diff := cmp.Diff([]string{keep.GetName()}, c.list(t, somewhere+"/jobs/a", 10)); diff != "" {
			t.Errorf("list after the delete (-want +got):\n%s", diff)
		}
	})
}

func TestAJobAnswersInEveryProjectAndRegion(t *testing.T) {
	t.Parallel()
	eachTransport(t, func() Options { return Options{Jobs: Jobs{"a": {Func: instant, TaskCount: 2}, "b": {Func: instant}}} }, func(t *testing.T, _ *Server, c clients) {
		name := "projects/123/locations/us-central1/jobs/a"
		op, err := c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		m, err := op.Metadata()
		x := must(t, m, err)
		if !strings.HasPrefix(x.GetName(), name+"/executions/a-") || x.GetTaskCount() != 2 {
			t.Errorf("execution %s with %d tasks", x.GetName(), x.GetTaskCount())
		}
		j, err := c.jobs.GetJob(t.Context(), &runpb.GetJobRequest{Name: name})
		if err != nil || j.GetExecutionCount() != 1 || j.GetTemplate().GetTemplate().GetContainers()[0].GetName() != "a" {
			t.Errorf("job %v, %v", j, err)
		}
		var names []string
		it := c.jobs.ListJobs(t.Context(), &runpb.ListJobsRequest{Parent: "projects/x/locations/y", PageSize: 1})
		for j, err := range it.All() {
			names = append(names, must(t, j, err).GetName())
		}
		if diff := cmp.Diff([]string{"projects/x/locations/y/jobs/a", "projects/x/locations/y/jobs/b"}, names); diff != "" {
			t.Errorf("jobs (-want +got):\n%s", diff)
		}
	})
}

func TestUnknownThingsAreNotFound(t *testing.T) {
	t.Parallel()
	eachTransport(t, func() Options { return Options{Jobs: Jobs{"a": {Func: instant}}} }, func(t *testing.T, _ *Server, c clients) {
		ctx := t.Context()
		_, err := c.jobs.RunJob(ctx, &runpb.RunJobRequest{Name: somewhere + "/jobs/nope"})
		wantCode(t, err, codes.NotFound)
		if err == nil || !strings.Contains(err.Error(), "Resource 'nope' of kind 'JOB' in region 'europe-west1' in project 'p' does not exist.") {
			t.Errorf("the words are %v", err)
		}
		_, err = c.jobs.GetJob(ctx, &runpb.GetJobRequest{Name: somewhere + "/jobs/nope"})
		wantCode(t, err, codes.NotFound)
		_, err = c.executions.GetExecution(ctx, &runpb.GetExecutionRequest{Name: somewhere + "/jobs/a/executions/a-00000"})
		wantCode(t, err, codes.NotFound)
		wantCode(t, c.cancel(t, somewhere+"/jobs/a/executions/a-00000"), codes.NotFound)
		_, err = c.tasks.GetTask(ctx, &runpb.GetTaskRequest{Name: somewhere + "/jobs/a/executions/a-00000/tasks/a-00000-task0"})
		wantCode(t, err, codes.NotFound)
		x := c.run(t, "a")
		_, err = c.tasks.GetTask(ctx, &runpb.GetTaskRequest{Name: x.GetName() + "/tasks/" + last(x.GetName()) + "-task1"})
		wantCode(t, err, codes.NotFound)
		_, err = c.jobs.GetOperation(ctx, &longrunningpb.GetOperationRequest{Name: somewhere + "/operations/none"})
		wantCode(t, err, codes.NotFound)
		_, err = c.executions.ListExecutions(ctx, &runpb.ListExecutionsRequest{Parent: somewhere + "/jobs/nope"}).Next()
		wantCode(t, err, codes.NotFound)
	})
}
