package emulator

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
)

// errTimeout is why an attempt ends that took too long.
var errTimeout = errors.New("the configured timeout was reached")

// pool runs so many attempts at once. Executions that have something to start queue, and take turns.
// Workers exist only while they run something. Server.mu guards it.
type pool struct {
	limit int
	busy  int
	queue []*execution
}

// attempt is one attempt of one task, begun.
type attempt struct {
	x      *execution
	index  int
	number int // from 0
}

// ending is how an attempt ended.
type ending struct {
	Result
	code codes.Code
}

func (s *Server) poolOf(x *execution) *pool {
	if x.job.Func != nil {
		return s.functions
	}
	return s.commands
}

// offer queues x when it can start something, and starts workers while there is room. The caller holds mu.
func (s *Server) offer(x *execution) {
	p := s.poolOf(x)
	p.enqueue(x)
	for p.busy < p.limit {
		a, ok := s.take(p)
		if !ok {
			return
		}
		p.busy++
		if x.job.Func == nil {
			s.processes.Add(1)
		}
		go s.work(p, a)
	}
}

func (p *pool) enqueue(x *execution) {
	if !x.queued && x.startable() {
		x.queued = true
		p.queue = append(p.queue, x)
	}
}

// take begins the attempt whose turn it is. The caller holds mu.
func (s *Server) take(p *pool) (attempt, bool) {
	for len(p.queue) > 0 && s.ctx.Err() == nil {
		x := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		x.queued = false
		if !x.startable() {
			continue
		}
		now := s.now()
		a := x.take(now)
		s.started = append(s.started, start{x: x, index: int32(a.index), attempt: int32(a.number), at: now.UnixNano()})
		p.enqueue(x)
		return a, true
	}
	return attempt{}, false
}

// work runs attempts until there is none to run.
func (s *Server) work(p *pool, a attempt) {
	if a.x.job.Func == nil {
		defer s.processes.Done()
	}
	for more := true; more; {
		e, closed := s.perform(a)
		if closed {
			return
		}
		a, more = s.settle(p, a, e)
	}
}

// settle records an ending and takes the next attempt for the same worker.
func (s *Server) settle(p *pool, a attempt, e ending) (attempt, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.x.settle(a, e, s.now())
	p.enqueue(a.x)
	next, ok := s.take(p)
	if !ok {
		p.busy--
	}
	return next, ok
}

// perform runs an attempt to its end. closed says that the Server ended it, so that nothing is to be recorded.
func (s *Server) perform(a attempt) (e ending, closed bool) {
	x := a.x
	ctx, cancel := context.WithTimeoutCause(x.ctx, x.timeout, errTimeout)
	defer cancel()
	var r Result
	if f := x.job.Func; f != nil {
		r = f(ctx, Task{Job: x.job.name, Execution: x.name, Index: a.index, Count: x.count, Attempt: a.number, Args: x.args, Env: x.env})
	} else {
		r = s.runProcess(ctx, a)
	}
	cause := context.Cause(ctx)
	return judge(r, cause), errors.Is(cause, errClosed)
}

// judge puts the end of an attempt into Cloud Run's words. cause is why its context ended, nil where it had not.
func judge(r Result, cause error) ending {
	code := codes.Unknown
	switch {
	case errors.Is(cause, errTimeout):
		r.Message, code = "The configured timeout was reached.", codes.DeadlineExceeded
	case errors.Is(cause, errCancelled):
		r.Message, code = "The task was cancelled.", codes.Canceled
	case r.ok():
		code = codes.OK
	case r.Message != "":
	case r.Signal != 0:
		r.Message = fmt.Sprintf("Container terminated on signal %d.", r.Signal)
	case r.ExitCode != 0:
		r.Message = "The container exited with an error."
	default:
		r.Message = "The system failed to run the task."
	}
	return ending{Result: r, code: code}
}
