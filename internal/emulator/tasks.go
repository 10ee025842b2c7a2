package emulator

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// GetTask shows one task of an execution.
func (s *Server) GetTask(_ context.Context, r *runpb.GetTaskRequest) (*runpb.Task, error) {
	if _, err := parts(taskForm, r.GetName()); err != nil {
		return nil, err
	}
	s.lock()
	defer s.mu.Unlock()
	x, p, err := s.find(parent(r.GetName()))
	if err != nil {
		return nil, err
	}
	short := last(r.GetName())
	digits, _ := strings.CutPrefix(short, x.short+"-task")
	index, err := strconv.Atoi(digits)
	if err != nil || index < 0 || index >= x.count || x.taskName(index) != short {
		return nil, status.Errorf(codes.NotFound, "Resource '%s' of kind 'TASK' in region '%s' in project '%s' does not exist.", short, p[1], p[0])
	}
	return x.taskView(index), nil
}

// ListTasks lists tasks by index. Execution and job may be "-": then the newest executions come first.
func (s *Server) ListTasks(_ context.Context, r *runpb.ListTasksRequest) (*runpb.ListTasksResponse, error) {
	p, err := parts(executionForm, r.GetParent())
	if err != nil {
		return nil, err
	}
	if p[2] == "-" && p[3] != "-" {
		return nil, status.Errorf(codes.InvalidArgument, "%q: with - as its job the execution must be - too", r.GetParent())
	}
	size, err := pageSize(r.GetPageSize())
	if err != nil {
		return nil, err
	}
	list := r.GetParent() + "/tasks"
	at, paged, err := readToken(list, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	s.lock()
	defer s.mu.Unlock()
	executions := s.historyAt(parent(r.GetParent())).backwards(at.a+1, paged, s.now())
	if p[3] != "-" {
		x, _, err := s.find(r.GetParent())
		if err != nil {
			return nil, err
		}
		executions = func(yield func(*execution) bool) { yield(x) }
	}
	return taskPage(executions, list, at, size), nil
}

// taskPage takes tasks from executions until the page is full; at is where the page begins.
func taskPage(executions func(func(*execution) bool), list string, at position, size int) *runpb.ListTasksResponse {
	out := &runpb.ListTasksResponse{}
	for x := range executions {
		from := 0
		if x.seq == at.a {
			from = max(int(at.b), 0)
		}
		for i := from; i < x.count; i++ {
			if len(out.Tasks) == size {
				out.NextPageToken = pageToken(list, position{a: x.seq, b: int64(i)})
				return out
			}
			out.Tasks = append(out.Tasks, x.taskView(i))
		}
	}
	return out
}

// logFile is where an attempt's output goes.
func logFile(dir string, index, attempt int) string {
	return filepath.Join(dir, fmt.Sprintf("task-%d-attempt-%d.log", index, attempt))
}
