package emulator

import (
	"context"
	"errors"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errCancelled is why the tasks of a cancelled execution end.
var errCancelled = errors.New("the execution was cancelled")

func noExecution(p []string) error {
	return status.Errorf(codes.NotFound, "Resource '%s' of kind 'EXECUTION' in region '%s' in project '%s' does not exist.", p[3], p[1], p[0])
}

// find gives an execution by its full name. The caller holds mu. Faults: INVALID_ARGUMENT, NOT_FOUND.
func (s *Server) find(name string) (*execution, []string, error) {
	p, err := parts(executionForm, name)
	if err != nil {
		return nil, nil, err
	}
	if x, ok := s.executions[name]; ok && !s.now().Before(x.absent) {
		return x, p, nil
	}
	return nil, nil, noExecution(p)
}

// GetExecution shows an execution.
func (s *Server) GetExecution(_ context.Context, r *runpb.GetExecutionRequest) (*runpb.Execution, error) {
	s.lock()
	defer s.mu.Unlock()
	x, _, err := s.find(r.GetName())
	if err != nil {
		return nil, err
	}
	return x.view(), nil
}

// ListExecutions lists the executions of a job, or of all jobs where the job is "-", newest first.
func (s *Server) ListExecutions(_ context.Context, r *runpb.ListExecutionsRequest) (*runpb.ListExecutionsResponse, error) {
	p, err := parts(jobForm, r.GetParent())
	if err != nil {
		return nil, err
	}
	if p[2] != "-" {
		if _, _, err := s.findJob(r.GetParent()); err != nil {
			return nil, err
		}
	}
	size, err := pageSize(r.GetPageSize())
	if err != nil {
		return nil, err
	}
	list := r.GetParent() + "/executions"
	at, paged, err := readToken(list, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	s.lock()
	defer s.mu.Unlock()
	now := s.now()
	out := &runpb.ListExecutionsResponse{}
	for x := range s.historyAt(r.GetParent()).backwards(at.a, paged, now) {
		if len(out.Executions) == size {
			out.NextPageToken = pageToken(list, position{a: x.seq + 1})
			break
		}
		out.Executions = append(out.Executions, x.view())
	}
	return out, nil
}

// backwards gives executions newest first, without those that are hidden now; with limited only those before seq.
func (h *history) backwards(seq int64, limited bool, now time.Time) func(yield func(*execution) bool) {
	return func(yield func(*execution) bool) {
		if h == nil {
			return
		}
		i := len(h.executions)
		if limited {
			i = h.before(seq)
		}
		for i--; i >= 0; i-- {
			if x := h.executions[i]; !now.Before(x.hidden) && !now.Before(x.absent) && !yield(x) {
				return
			}
		}
	}
}

// CancelExecution asks an execution to end. Its operation is done when it has. FAILED_PRECONDITION after its end.
func (s *Server) CancelExecution(_ context.Context, r *runpb.CancelExecutionRequest) (*longrunningpb.Operation, error) {
	s.lock()
	defer s.mu.Unlock()
	x, p, err := s.find(r.GetName())
	if err != nil {
		return nil, err
	}
	if err := checkEtag(x, r.GetEtag()); err != nil {
		return nil, err
	}
	if !x.completed.IsZero() {
		return nil, status.Errorf(codes.FailedPrecondition, "Execution '%s' has already completed and cannot be cancelled.", x.short)
	}
	if r.GetValidateOnly() {
		return finished(locationOf(p)+"/operations/"+newUID(), x.view()), nil
	}
	if x.cancelling.IsZero() {
		x.requestCancel(s.now())
	}
	return s.newOperation(opCancel, x, locationOf(p)).view(), nil
}

// DeleteExecution forgets an execution. One that runs is cancelled on the way.
func (s *Server) DeleteExecution(_ context.Context, r *runpb.DeleteExecutionRequest) (*longrunningpb.Operation, error) {
	s.lock()
	defer s.mu.Unlock()
	x, p, err := s.find(r.GetName())
	if err != nil {
		return nil, err
	}
	if err := checkEtag(x, r.GetEtag()); err != nil {
		return nil, err
	}
	name := locationOf(p) + "/operations/" + newUID()
	if r.GetValidateOnly() {
		return finished(name, x.view()), nil
	}
	now := s.now()
	s.unlist(x, deleted)
	x.stop(now)
	v := x.view()
	v.DeleteTime = stamp(now)
	op := s.newOperation(opDelete, x, locationOf(p))
	op.fixed = finished(op.name, v)
	return op.view(), nil
}

func checkEtag(x *execution, etag string) error {
	if etag != "" && etag != x.view().GetEtag() {
		return status.Errorf(codes.Aborted, "the etag %q is not that of execution %s", etag, x.name)
	}
	return nil
}
