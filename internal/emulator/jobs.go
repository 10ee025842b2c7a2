package emulator

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// findJob gives the definition behind a job's full name. Faults: INVALID_ARGUMENT, NOT_FOUND.
func (s *Server) findJob(name string) (*job, []string, error) {
	p, err := parts(jobForm, name)
	if err != nil {
		return nil, nil, err
	}
	if j, ok := s.jobs[p[2]]; ok {
		return j, p, nil
	}
	return nil, nil, status.Errorf(codes.NotFound, "Resource '%s' of kind 'JOB' in region '%s' in project '%s' does not exist.", p[2], p[1], p[0])
}

// GetJob shows a job.
func (s *Server) GetJob(_ context.Context, r *runpb.GetJobRequest) (*runpb.Job, error) {
	j, _, err := s.findJob(r.GetName())
	if err != nil {
		return nil, err
	}
	s.lock()
	defer s.mu.Unlock()
	return j.view(r.GetName(), s.born, s.byJob[r.GetName()]), nil
}

// ListJobs lists the jobs by name: all were made at the same time.
func (s *Server) ListJobs(_ context.Context, r *runpb.ListJobsRequest) (*runpb.ListJobsResponse, error) {
	if _, err := parts(locationForm, r.GetParent()); err != nil {
		return nil, err
	}
	size, err := pageSize(r.GetPageSize())
	if err != nil {
		return nil, err
	}
	list := r.GetParent() + "/jobs"
	at, _, err := readToken(list, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(s.jobs))
	from := min(max(int(at.a), 0), len(names))
	to := min(from+size, len(names))
	s.lock()
	defer s.mu.Unlock()
	out := &runpb.ListJobsResponse{}
	for _, short := range names[from:to] {
		name := list + "/" + short
		out.Jobs = append(out.Jobs, s.jobs[short].view(name, s.born, s.byJob[name]))
	}
	if to < len(names) {
		out.NextPageToken = pageToken(list, position{a: int64(to)})
	}
	return out, nil
}

// RunJob makes an execution and queues its tasks. As with the real one, two equal calls make two executions.
func (s *Server) RunJob(ctx context.Context, r *runpb.RunJobRequest) (*longrunningpb.Operation, error) {
	j, p, err := s.findJob(r.GetName())
	if err != nil {
		return nil, err
	}
	if r.GetEtag() != "" && r.GetEtag() != j.etag {
		return nil, status.Errorf(codes.Aborted, "the etag %q is not that of job %s, which is %q", r.GetEtag(), r.GetName(), j.etag)
	}
	x := &execution{job: j, uid: newUID()}
	if err := x.applyOverrides(r.GetOverrides()); err != nil {
		return nil, err
	}
	if r.GetValidateOnly() {
		return finished(locationOf(p)+"/operations/"+newUID(), &runpb.Execution{Job: j.name, TaskCount: int32(x.count), Template: x.template}), nil
	}
	x.tasks = make([]task, x.count)
	x.ctx, x.cancel = context.WithCancelCause(s.ctx)

	s.lock()
	defer s.mu.Unlock()
	location := historyOf(s.byLocation, locationOf(p))
	call := passageOf(ctx)
	if s.limits.Running > 0 && location.running >= s.limits.Running {
		x.cancel(nil)
		call.limit = true
		return nil, runningQuota.refusal(s.limits.Running, r.GetName())
	}
	now := s.now()
	x.created, x.changed = now, now
	s.add(x, r.GetName(), location)
	s.plan(x, call, now)
	op := s.newOperation(opRun, x, locationOf(p))
	s.offer(x)
	return op.view(), nil
}

// add names an execution and puts it into every index.
func (s *Server) add(x *execution, jobName string, location *history) {
	for x.short = x.job.name + "-" + suffix(); s.shortNames[x.short]; {
		x.short = x.job.name + "-" + suffix()
	}
	s.seq++
	x.seq, x.name = s.seq, jobName+"/executions/"+x.short
	if s.logDir != "" && x.job.Func == nil {
		x.logDir = filepath.Join(s.logDir, x.short)
	}
	s.shortNames[x.short] = true
	s.executions[x.name] = x
	x.siblings, x.location, x.atEnd = historyOf(s.byJob, jobName), location, s.ended
	x.siblings.add(x)
	location.add(x)
	location.running++
	s.accepted = append(s.accepted, x)
}

// history is the executions of one job or one location, oldest first.
type history struct {
	executions []*execution
	latest     *execution // the last one made, also when it was deleted since
	count      int        // ever made
	finished   int        // of executions, how many have ended
	running    int        // how many have not, also when they were deleted since
}

func historyOf(m map[string]*history, key string) *history {
	if m[key] == nil {
		m[key] = &history{}
	}
	return m[key]
}

func (h *history) add(x *execution) {
	h.executions = append(h.executions, x)
	h.latest = x
	h.count++
}

func (h *history) remove(x *execution) {
	i := h.before(x.seq)
	h.executions = slices.Delete(h.executions, i, i+1)
}

// before is the number of executions made before seq.
func (h *history) before(seq int64) int {
	i, _ := slices.BinarySearchFunc(h.executions, seq, func(x *execution, seq int64) int { return int(x.seq - seq) })
	return i
}

// historyAt finds the executions under a parent of the form of a job's name, where the job may be "-". It is nil where there are none.
func (s *Server) historyAt(jobName string) *history {
	if location, ok := strings.CutSuffix(jobName, "/jobs/-"); ok {
		return s.byLocation[location]
	}
	return s.byJob[jobName]
}
