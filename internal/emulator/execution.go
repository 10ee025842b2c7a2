package emulator

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
)

// execution is one run of a job. Server.mu guards all that changes.
type execution struct {
	seq        int64 // in order of creation, over all jobs
	name       string
	short      string
	uid        string
	job        *job
	template   *runpb.TaskTemplate // never changes, so that answers may share it
	args       []string            // of the first container
	env        map[string]string   // of the first container
	timeout    time.Duration
	count      int
	logDir     string // empty: the output is dropped
	ctx        context.Context
	cancel     context.CancelCauseFunc
	created    time.Time
	started    time.Time // of the first task; zero while all of them wait
	completed  time.Time
	changed    time.Time
	cancelling time.Time // when the cancel was asked for
	hidden     time.Time // until then no list shows it
	absent     time.Time // until then nothing shows it
	vanishAt   time.Time // zero is never
	cancelAt   time.Time // zero is never
	siblings   *history  // all executions of its job
	location   *history
	operations []*operation
	atEnd      func(*execution) // called once, when it has ended
	gone       departure
	call       int  // the number of the RunJob call that made it
	unanswered bool // that call's answer was lost

	tasks     []task
	next      int   // the first task that no worker has taken
	again     []int // failed tasks that wait for their next attempt
	queued    bool
	running   int
	succeeded int
	failed    int
	cancelled int
	retried   int           // tasks with more than one attempt
	failure   string        // the first task that failed for good, and why
	ended     chan struct{} // closed at the end; nil until somebody waits
}

type taskState uint8

const (
	waiting taskState = iota
	running
	succeeded
	failed
	cancelled
)

// task is kept small: there may be millions. Times are Unix nanoseconds, 0 is never.
type task struct {
	state     taskState
	hasResult bool
	attempts  int16 // begun so far
	exit      int32
	signal    int32
	code      codes.Code
	message   string
	started   int64 // of the last attempt
	completed int64
}

// startable says whether a worker may take a task now.
func (x *execution) startable() bool {
	if !x.completed.IsZero() || !x.cancelling.IsZero() {
		return false
	}
	if x.job.Parallelism > 0 && x.running >= x.job.Parallelism {
		return false
	}
	return x.next < x.count || len(x.again) > 0
}

// take begins the next attempt. It must be startable.
func (x *execution) take(now time.Time) attempt {
	var index int
	if x.next < x.count {
		index = x.next
		x.next++
	} else {
		index, x.again = x.again[0], x.again[1:]
	}
	t := &x.tasks[index]
	t.state, t.started = running, now.UnixNano()
	t.attempts++
	if t.attempts == 2 {
		x.retried++
	}
	x.running++
	x.changed = now
	if x.started.IsZero() {
		x.started = now
	}
	return attempt{x: x, index: index, number: int(t.attempts) - 1}
}

// settle records how an attempt ended, and ends the execution after its last task.
func (x *execution) settle(a attempt, e ending, now time.Time) {
	t := &x.tasks[a.index]
	x.running--
	x.changed = now
	t.hasResult = !e.NoResult
	t.exit, t.signal, t.code, t.message = int32(e.ExitCode), int32(e.Signal), e.code, e.Message
	switch {
	case !x.cancelling.IsZero():
		x.finish(t, cancelled, now)
	case e.code == codes.OK:
		x.finish(t, succeeded, now)
	case a.number < x.job.MaxRetries:
		t.state = waiting
		x.again = append(x.again, a.index)
	default:
		x.finish(t, failed, now)
		if x.failure == "" {
			x.failure = fmt.Sprintf("Task %s failed with message: %s", x.taskName(a.index), e.Message)
		}
	}
	x.endIfDone(now)
}

// finish ends a task for good.
func (x *execution) finish(t *task, state taskState, now time.Time) {
	t.state, t.completed = state, now.UnixNano()
	switch state {
	case succeeded:
		x.succeeded++
	case failed:
		x.failed++
	case cancelled:
		x.cancelled++
	}
}

// requestCancel ends the tasks that do not run at once, and asks those that run to end.
func (x *execution) requestCancel(now time.Time) {
	x.cancelling, x.changed = now, now
	for i := range x.tasks {
		if t := &x.tasks[i]; t.state == waiting {
			x.finish(t, cancelled, now)
		}
	}
	x.cancel(errCancelled)
	x.endIfDone(now)
}

func (x *execution) endIfDone(now time.Time) {
	if x.succeeded+x.failed+x.cancelled < x.count {
		return
	}
	x.completed = now
	x.cancel(nil)
	if x.ended != nil {
		close(x.ended)
	}
	x.atEnd(x)
}

// done is closed when the execution has ended.
func (x *execution) done() <-chan struct{} {
	if x.ended == nil {
		x.ended = make(chan struct{})
		if !x.completed.IsZero() {
			close(x.ended)
		}
	}
	return x.ended
}

func (x *execution) taskName(index int) string { return fmt.Sprintf("%s-task%d", x.short, index) }

// applyOverrides makes the execution's own template out of its job's. Faults are INVALID_ARGUMENT.
func (x *execution) applyOverrides(o *runpb.RunJobRequest_Overrides) error {
	x.template, x.timeout, x.count = x.job.template(), x.job.Timeout, x.job.TaskCount
	if o.GetTaskCount() != 0 {
		x.count = int(o.GetTaskCount())
	}
	if o.GetTimeout() != nil {
		x.timeout = o.GetTimeout().AsDuration()
		x.template.Timeout = durationpb.New(x.timeout)
	}
	if err := overrideContainers(x.template.GetContainers(), o); err != nil {
		return err
	}
	first := x.template.GetContainers()[0]
	x.args = first.GetArgs()
	x.env = make(map[string]string, len(first.GetEnv()))
	for _, v := range first.GetEnv() {
		x.env[v.GetName()] = v.GetValue()
	}
	return nil
}
