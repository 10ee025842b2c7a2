package emulator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// MockOptions configure a Mock.
type MockOptions struct {
	// Duration is how long a simulated execution takes; its tasks run in the second half. 0 is one second.
	Duration time.Duration
	// Now is the clock that simulated executions follow; nil is time.Now.
	Now func() time.Time
}

// Mock answers the same API for any job in any project, and runs nothing: every execution succeeds after a moment.
//
// An execution's name carries all that Get and ListTasks answer, so a Mock in a later process goes on where this one ended.
// Lists and environments (of the newest 1,000 executions of a job) and cancels are known only to the process that they went to.
type Mock struct {
	runpb.UnimplementedJobsServer
	runpb.UnimplementedExecutionsServer
	runpb.UnimplementedTasksServer
	longrunningpb.UnimplementedOperationsServer

	duration time.Duration
	now      func() time.Time
	front    front

	mu        sync.Mutex
	byJob     map[string]*mockHistory // by the job's full name
	cancelled map[string]time.Time    // by the execution's full name
}

// mockKept is how many executions of a job a Mock remembers.
const mockKept = 1000

// mockHistory is what a process remembers of one job.
type mockHistory struct {
	names     []string // short names, oldest first
	templates map[string]*runpb.TaskTemplate
}

// NewMock makes a Mock.
func NewMock(o MockOptions) *Mock {
	m := &Mock{duration: o.Duration, now: o.Now, byJob: map[string]*mockHistory{}, cancelled: map[string]time.Time{}}
	if m.duration <= 0 {
		m.duration = time.Second
	}
	if m.now == nil {
		m.now = time.Now
	}
	m.front.serve(m, undisturbed, false)
	return m
}

// undisturbed lets every call through.
func undisturbed(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	return handle(ctx, req)
}

// Dial gives a connection inside the process, for the real client. Its owner closes it.
func (m *Mock) Dial() (*grpc.ClientConn, error) { return m.front.dial() }

// Close answers no further call.
func (m *Mock) Close() { m.front.close() }

// mockJob is the definition that every job name has.
func mockJob(short string) *job {
	return newJob(short, Job{Image: "mock", TaskCount: 1})
}

// GetJob shows a job: there is one for every name.
func (m *Mock) GetJob(_ context.Context, r *runpb.GetJobRequest) (*runpb.Job, error) {
	p, err := parts(jobForm, r.GetName())
	if err != nil {
		return nil, err
	}
	return mockJob(p[2]).view(r.GetName(), m.now(), nil), nil
}

// RunJob answers a simulated execution.
func (m *Mock) RunJob(_ context.Context, r *runpb.RunJobRequest) (*longrunningpb.Operation, error) {
	p, err := parts(jobForm, r.GetName())
	if err != nil {
		return nil, err
	}
	j := mockJob(p[2])
	if named := r.GetOverrides().GetContainerOverrides(); len(named) > 0 {
		j.Containers = nil // whatever container the caller names, the job has it
		for _, c := range named {
			j.Containers = append(j.Containers, c.GetName())
		}
	}
	x := &execution{job: j}
	if err := x.applyOverrides(r.GetOverrides()); err != nil {
		return nil, err
	}
	name := newMockName(m.now(), x.count)
	short := name.encode(r.GetName())
	m.remember(r.GetName(), short, x.template)
	return m.operation(r.GetName(), short, name), nil
}

func (m *Mock) remember(jobName, short string, t *runpb.TaskTemplate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.byJob[jobName]
	if h == nil {
		h = &mockHistory{templates: map[string]*runpb.TaskTemplate{}}
		m.byJob[jobName] = h
	}
	h.names = append(h.names, short)
	h.templates[short] = t
	if len(h.names) > mockKept {
		delete(h.templates, h.names[0])
		h.names = h.names[1:]
	}
}

// execution works out how a simulated execution stands now, without its single tasks.
func (m *Mock) execution(jobName, short string, name mockName) *execution {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := mockJob(last(jobName))
	x := &execution{
		name: jobName + "/executions/" + short, short: short, uid: short, job: j, template: j.template(), timeout: j.Timeout,
		count: name.count, created: name.created, changed: name.created,
	}
	if h := m.byJob[jobName]; h != nil && h.templates[short] != nil {
		x.template = h.templates[short]
		x.timeout = x.template.GetTimeout().AsDuration()
	}
	now, end := m.now(), name.created.Add(m.duration)
	if at := m.cancelled[x.name]; !at.IsZero() && at.Before(end) {
		now, x.cancelling = at, at
	}
	if start := name.created.Add(m.duration / 2); !now.Before(start) {
		x.started, x.changed, x.running = start, start, x.count
	}
	if !x.cancelling.IsZero() {
		x.completed, x.changed, x.running, x.cancelled = now, now, 0, x.count
	} else if !now.Before(end) {
		x.completed, x.changed, x.running, x.succeeded = end, end, 0, x.count
	}
	return x
}

// fillTasks gives every task the state of its simulated execution.
func (x *execution) fillTasks() {
	var t task
	if !x.started.IsZero() {
		t = task{state: running, started: x.started.UnixNano(), attempts: 1}
	}
	if !x.completed.IsZero() {
		t.completed, t.state = x.completed.UnixNano(), cancelled
	}
	if x.succeeded > 0 {
		t.state, t.hasResult = succeeded, true
	}
	x.tasks = slices.Repeat([]task{t}, x.count)
}

// find reads the name of a simulated execution. Faults: INVALID_ARGUMENT, NOT_FOUND.
func (m *Mock) find(fullName string) (*execution, error) {
	p, err := parts(executionForm, fullName)
	if err != nil {
		return nil, err
	}
	jobName := parent(fullName)
	name, ok := decodeMockName(jobName, p[3])
	if !ok {
		return nil, noExecution(p)
	}
	return m.execution(jobName, p[3], name), nil
}

// GetExecution shows a simulated execution, made by this process or an earlier one.
func (m *Mock) GetExecution(_ context.Context, r *runpb.GetExecutionRequest) (*runpb.Execution, error) {
	x, err := m.find(r.GetName())
	if err != nil {
		return nil, err
	}
	return x.view(), nil
}

// ListExecutions lists what this process made for a job, newest first.
func (m *Mock) ListExecutions(_ context.Context, r *runpb.ListExecutionsRequest) (*runpb.ListExecutionsResponse, error) {
	p, err := parts(jobForm, r.GetParent())
	if err != nil {
		return nil, err
	}
	if p[2] == "-" {
		return nil, status.Error(codes.Unimplemented, "the mock lists the executions of one job at a time")
	}
	size, err := pageSize(r.GetPageSize())
	if err != nil {
		return nil, err
	}
	list := r.GetParent() + "/executions"
	at, _, err := readToken(list, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	names := m.newestFirst(r.GetParent())
	from := min(max(int(at.a), 0), len(names))
	to := min(from+size, len(names))
	out := &runpb.ListExecutionsResponse{}
	for _, short := range names[from:to] {
		name, _ := decodeMockName(r.GetParent(), short)
		out.Executions = append(out.Executions, m.execution(r.GetParent(), short, name).view())
	}
	if to < len(names) {
		out.NextPageToken = pageToken(list, position{a: int64(to)})
	}
	return out, nil
}

func (m *Mock) newestFirst(jobName string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.byJob[jobName]
	if h == nil {
		return nil
	}
	names := slices.Clone(h.names)
	slices.Reverse(names)
	return names
}

// CancelExecution ends a simulated execution at once, for as long as this process lives. FAILED_PRECONDITION after its end.
func (m *Mock) CancelExecution(_ context.Context, r *runpb.CancelExecutionRequest) (*longrunningpb.Operation, error) {
	x, err := m.find(r.GetName())
	if err != nil {
		return nil, err
	}
	if !x.completed.IsZero() {
		return nil, status.Errorf(codes.FailedPrecondition, "Execution '%s' has already completed and cannot be cancelled.", x.short)
	}
	m.mu.Lock()
	if m.cancelled[x.name].IsZero() {
		m.cancelled[x.name] = m.now()
	}
	m.mu.Unlock()
	jobName := parent(x.name)
	name, _ := decodeMockName(jobName, x.short)
	return m.operation(jobName, x.short, name), nil
}

// ListTasks lists the tasks of a simulated execution by index.
func (m *Mock) ListTasks(_ context.Context, r *runpb.ListTasksRequest) (*runpb.ListTasksResponse, error) {
	x, err := m.find(r.GetParent())
	if err != nil {
		return nil, err
	}
	size, err := pageSize(r.GetPageSize())
	if err != nil {
		return nil, err
	}
	list := r.GetParent() + "/tasks"
	at, _, err := readToken(list, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	x.fillTasks()
	one := func(yield func(*execution) bool) { yield(x) }
	return taskPage(one, list, at, size), nil
}

// operation is the long-running side of a call. Its name says whose it is: any process can answer for it.
func (m *Mock) operation(jobName, short string, name mockName) *longrunningpb.Operation {
	x := m.execution(jobName, short, name)
	id := strings.Split(jobName, "/")
	op := fmt.Sprintf("%s/operations/%s.%s", locationOf([]string{id[1], id[3]}), last(jobName), short)
	if x.completed.IsZero() {
		return &longrunningpb.Operation{Name: op, Metadata: pack(x.view())}
	}
	return finished(op, x.view())
}

// GetOperation shows the operation of a simulated execution.
func (m *Mock) GetOperation(_ context.Context, r *longrunningpb.GetOperationRequest) (*longrunningpb.Operation, error) {
	p, err := parts(operationForm, r.GetName())
	if err != nil {
		return nil, err
	}
	jobShort, short, _ := strings.Cut(p[2], ".")
	jobName := locationOf(p) + "/jobs/" + jobShort
	name, ok := decodeMockName(jobName, short)
	if !ok {
		return nil, status.Errorf(codes.NotFound, "Operation '%s' does not exist.", r.GetName())
	}
	return m.operation(jobName, short, name), nil
}
