package cloudrun

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	aJob        = "projects/acme/locations/europe-west1/jobs/report"
	anExecution = aJob + "/executions/report-x7k2p"

	anExecutionByNumber = "projects/1234567890/locations/europe-west1/jobs/report/executions/report-x7k2p"
)

// script is a Cloud Run that answers what a test tells it, and counts.
type script struct {
	runpb.UnimplementedJobsServer
	runpb.UnimplementedExecutionsServer
	runpb.UnimplementedTasksServer

	run    func(context.Context, *runpb.RunJobRequest) (*longrunningpb.Operation, error)
	get    func(context.Context, *runpb.GetExecutionRequest) (*runpb.Execution, error)
	list   func(context.Context, *runpb.ListExecutionsRequest) (*runpb.ListExecutionsResponse, error)
	tasks  func(context.Context, *runpb.ListTasksRequest) (*runpb.ListTasksResponse, error)
	cancel func(context.Context, *runpb.CancelExecutionRequest) (*longrunningpb.Operation, error)
	job    func(context.Context, *runpb.GetJobRequest) (*runpb.Job, error)
	test   func(context.Context, *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error)

	mu      sync.Mutex
	calls   int
	headers []metadata.MD
}

func (s *script) RunJob(ctx context.Context, r *runpb.RunJobRequest) (*longrunningpb.Operation, error) {
	s.count(ctx)
	return s.run(ctx, r)
}

func (s *script) GetExecution(ctx context.Context, r *runpb.GetExecutionRequest) (*runpb.Execution, error) {
	s.count(ctx)
	return s.get(ctx, r)
}

func (s *script) ListExecutions(ctx context.Context, r *runpb.ListExecutionsRequest) (*runpb.ListExecutionsResponse, error) {
	s.count(ctx)
	return s.list(ctx, r)
}

func (s *script) ListTasks(ctx context.Context, r *runpb.ListTasksRequest) (*runpb.ListTasksResponse, error) {
	s.count(ctx)
	return s.tasks(ctx, r)
}

func (s *script) CancelExecution(ctx context.Context, r *runpb.CancelExecutionRequest) (*longrunningpb.Operation, error) {
	s.count(ctx)
	return s.cancel(ctx, r)
}

func (s *script) GetJob(ctx context.Context, r *runpb.GetJobRequest) (*runpb.Job, error) {
	s.count(ctx)
	return s.job(ctx, r)
}

func (s *script) TestIamPermissions(ctx context.Context, r *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
	s.count(ctx)
	return s.test(ctx, r)
}

func (s *script) count(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.headers = append(s.headers, md)
}

func (s *script) called() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// lastHeader is one header of the newest call, empty where it was not sent.
func (s *script) lastHeader(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if values := s.headers[len(s.headers)-1].Get(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// listen serves the script on a socket and gives its address.
func (s *script) listen(t *testing.T, opts ...grpc.ServerOption) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(opts...)
	runpb.RegisterJobsServer(server, s)
	runpb.RegisterExecutionsServer(server, s)
	runpb.RegisterTasksServer(server, s)
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// client is a Client of the script, without long pauses between tries.
func (s *script) client(t *testing.T) *Client {
	t.Helper()
	return clientOf(t, Options{Endpoint: s.listen(t)})
}

func clientOf(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	c.pause = time.Millisecond
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// operation is RunJob's answer about an execution; nil leaves the metadata out.
func operation(t *testing.T, e *runpb.Execution) *longrunningpb.Operation {
	t.Helper()
	op := &longrunningpb.Operation{Name: "projects/acme/locations/europe-west1/operations/1"}
	if e != nil {
		meta, err := anypb.New(e)
		if err != nil {
			t.Fatal(err)
		}
		op.Metadata = meta
	}
	return op
}
