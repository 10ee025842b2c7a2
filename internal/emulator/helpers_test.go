package emulator

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	run "cloud.google.com/go/run/apiv2"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	somewhere = "projects/p/locations/europe-west1"
	patience  = 30 * time.Second // after which a test gives up waiting
)

// clients are the real ones, over gRPC or REST.
type clients struct {
	jobs       *run.JobsClient
	executions *run.ExecutionsClient
	tasks      *run.TasksClient
}

// dialer is a Server or a Mock.
type dialer interface {
	Dial() (*grpc.ClientConn, error)
}

func must[T any](t *testing.T, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func newServer(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := New(o)
	s = must(t, s, err)
	t.Cleanup(s.Close)
	return s
}

// inside connects over gRPC inside the process.
func inside(t *testing.T, d dialer) clients {
	t.Helper()
	conn, err := d.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return overGRPC(t, conn)
}

func overGRPC(t *testing.T, conn *grpc.ClientConn) clients {
	t.Helper()
	var c clients
	var err error
	ctx := t.Context()
	if c.jobs, err = run.NewJobsClient(ctx, option.WithGRPCConn(conn)); err != nil {
		t.Fatal(err)
	}
	if c.executions, err = run.NewExecutionsClient(ctx, option.WithGRPCConn(conn)); err != nil {
		t.Fatal(err)
	}
	if c.tasks, err = run.NewTasksClient(ctx, option.WithGRPCConn(conn)); err != nil {
		t.Fatal(err)
	}
	return c
}

func overREST(t *testing.T, url string) clients {
	t.Helper()
	opts := []option.ClientOption{option.WithEndpoint(url), option.WithHTTPClient(&http.Client{Timeout: patience})}
	var c clients
	var err error
	ctx := t.Context()
	if c.jobs, err = run.NewJobsRESTClient(ctx, opts...); err != nil {
		t.Fatal(err)
	}
	if c.executions, err = run.NewExecutionsRESTClient(ctx, opts...); err != nil {
		t.Fatal(err)
	}
	if c.tasks, err = run.NewTasksRESTClient(ctx, opts...); err != nil {
		t.Fatal(err)
	}
	return c
}

// listen serves s on a free port and gives its address.
func listen(t *testing.T, s *Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// run starts a job with changes to a plain request, and gives the execution of the answer's metadata.
func (c clients) run(t *testing.T, job string, change ...func(*runpb.RunJobRequest)) *runpb.Execution {
	t.Helper()
	req := &runpb.RunJobRequest{Name: somewhere + "/jobs/" + job, Overrides: &runpb.RunJobRequest_Overrides{}}
	for _, f := range change {
		f(req)
	}
	op, err := c.jobs.RunJob(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	x, err := op.Metadata()
	if err != nil || x == nil {
		t.Fatalf("metadata: %v, %v", x, err)
	}
	return x
}

func tasks(n int32) func(*runpb.RunJobRequest) {
	return func(r *runpb.RunJobRequest) { r.Overrides.TaskCount = n }
}

func env(pairs ...string) func(*runpb.RunJobRequest) {
	return func(r *runpb.RunJobRequest) {
		o := &runpb.RunJobRequest_Overrides_ContainerOverride{}
		for i := 0; i < len(pairs); i += 2 {
			o.Env = append(o.Env, envVar(pairs[i], pairs[i+1]))
		}
		r.Overrides.ContainerOverrides = append(r.Overrides.ContainerOverrides, o)
	}
}

func (c clients) get(t *testing.T, name string) *runpb.Execution {
	t.Helper()
	x, err := c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: name})
	return must(t, x, err)
}

// until asks for an execution until it is as wanted.
func (c clients) until(t *testing.T, name string, wanted func(*runpb.Execution) bool) *runpb.Execution {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		x := c.get(t, name)
		if wanted(x) {
			return x
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s never came so far: %v", name, x)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (c clients) end(t *testing.T, name string) *runpb.Execution {
	t.Helper()
	return c.until(t, name, func(x *runpb.Execution) bool { return x.GetCompletionTime() != nil })
}

func (c clients) listTasks(t *testing.T, parent string) []*runpb.Task {
	t.Helper()
	var all []*runpb.Task
	it := c.tasks.ListTasks(t.Context(), &runpb.ListTasksRequest{Parent: parent})
	for {
		task, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return all
		}
		all = append(all, must(t, task, err))
	}
}

func (c clients) cancel(t *testing.T, name string) error {
	t.Helper()
	_, err := c.executions.CancelExecution(t.Context(), &runpb.CancelExecutionRequest{Name: name})
	return err
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("error %v has code %s, want %s", err, got, want)
	}
}

// completed is the state and the reason of the Completed condition.
func completed(x *runpb.Execution) (runpb.Condition_State, runpb.Condition_ExecutionReason) {
	for _, c := range x.GetConditions() {
		if c.GetType() == "Completed" {
			return c.GetState(), c.GetExecutionReason()
		}
	}
	return runpb.Condition_STATE_UNSPECIFIED, 0
}
