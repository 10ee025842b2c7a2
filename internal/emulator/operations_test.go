package emulator

import (
	"context"
	"strings"
	"testing"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	run "cloud.google.com/go/run/apiv2"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestAnOperationEndsWithItsExecution(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	jobs := Jobs{
		"fail": {Func: func(context.Context, Task) Result { return Result{ExitCode: 1} }},
		"work": {Func: func(context.Context, Task) Result { <-release; return Result{} }},
		"cancel": {TaskCount: 2, Func: func(ctx context.Context, task Task) Result {
			if task.Index == 0 {
				return Result{ExitCode: 1}
			}
			<-ctx.Done()
			return Result{Signal: 15}
		}},
	}
	s := newServer(t, Options{Jobs: jobs})
	c := inside(t, s)
	start := func(job string) *run.RunJobOperation {
		op, err := c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/" + job})
		return must(t, op, err)
	}
	work, fail, stopped := start("work"), start("fail"), start("cancel")
	if work.Done() {
		t.Error("the operation is done before its execution")
	}
	m, err := stopped.Metadata()
	name := must(t, m, err).GetName()
	c.until(t, name, func(x *runpb.Execution) bool { return x.GetFailedCount() == 1 })
	if err := c.cancel(t, name); err != nil {
		t.Fatal(err)
	}
	close(release)
	wait := func(op *run.RunJobOperation) (*runpb.Execution, error) {
		_, err := s.WaitOperation(t.Context(), &longrunningpb.WaitOperationRequest{Name: op.Name(), Timeout: durationpb.New(patience)})
		if err != nil {
			t.Fatal(err)
		}
		return op.Poll(t.Context())
	}
	if x, err := wait(work); err != nil || x.GetSucceededCount() != 1 || !work.Done() {
		t.Errorf("success: %v, %v", x, err)
	}
	if _, err := wait(fail); err == nil || !strings.Contains(err.Error(), "failed with message: The container exited with an error.") {
		t.Errorf("the operation of a failed execution says %v", err)
	}
	if x, err := wait(stopped); err != nil || x.GetCancelledCount() != 1 {
		t.Errorf("a cancelled execution ends its operation with %v, %v; want no error", x, err)
	}
	it := c.jobs.ListOperations(t.Context(), &longrunningpb.ListOperationsRequest{Name: somewhere, PageSize: 3})
	var names []string
	for op, err := range it.All() {
		names = append(names, must(t, op, err).GetName())
	}
	if len(names) != 4 || names[3] != work.Name() {
		t.Errorf("operations are %v, want four with %s last", names, work.Name())
	}
}
