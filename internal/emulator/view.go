package emulator

import (
	"fmt"
	"path/filepath"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// stamp is a time of the API; the zero time is left out.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// nanos is a time that is kept as Unix nanoseconds; 0 is the zero time.
func nanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// view is the execution as the API shows it.
func (x *execution) view() *runpb.Execution {
	return &runpb.Execution{
		Name: x.name, Uid: x.uid, Job: x.job.name, Generation: 1, ObservedGeneration: 1, Creator: "emulator",
		CreateTime: stamp(x.created), StartTime: stamp(x.started), CompletionTime: stamp(x.completed), UpdateTime: stamp(x.changed),
		TaskCount: int32(x.count), Parallelism: int32(x.job.Parallelism), Template: x.template,
		RunningCount: int32(x.running), SucceededCount: int32(x.succeeded), FailedCount: int32(x.failed),
		CancelledCount: int32(x.cancelled), RetriedCount: int32(x.retried),
		Reconciling: x.completed.IsZero(), Conditions: x.conditions(), LogUri: fileURI(x.logDir),
		Etag: fmt.Sprintf("%q", fmt.Sprint(x.changed.UnixNano())),
	}
}

func (x *execution) conditions() []*runpb.Condition {
	completed := x.pending("Completed", "Waiting for execution to complete.")
	switch {
	case x.completed.IsZero() && x.cancelling.IsZero():
	case x.completed.IsZero():
		completed.Message, completed.LastTransitionTime = "The execution is being cancelled.", stamp(x.cancelling)
		completed.Reasons = executionReason(runpb.Condition_CANCELLING)
	case !x.cancelling.IsZero():
		completed.State, completed.LastTransitionTime = runpb.Condition_CONDITION_FAILED, stamp(x.completed)
		completed.Message = "The execution was cancelled."
		completed.Reasons = executionReason(runpb.Condition_CANCELLED)
	case x.failed > 0:
		completed.State, completed.LastTransitionTime = runpb.Condition_CONDITION_FAILED, stamp(x.completed)
		completed.Message = x.failure
		completed.Reasons = executionReason(runpb.Condition_NON_ZERO_EXIT_CODE)
	default:
		completed.State, completed.LastTransitionTime = runpb.Condition_CONDITION_SUCCEEDED, stamp(x.completed)
		completed.Message = fmt.Sprintf("Execution completed successfully in %.2fs.", x.completed.Sub(x.created).Seconds())
	}
	resources := x.pending("ResourcesAvailable", "Waiting for a free place to run.")
	started := x.pending("Started", "Waiting for the first task to start.")
	if !x.started.IsZero() {
		resources.State, resources.LastTransitionTime = runpb.Condition_CONDITION_SUCCEEDED, stamp(x.started)
		resources.Message = "Provisioned imported containers."
		started.State, started.LastTransitionTime = runpb.Condition_CONDITION_SUCCEEDED, stamp(x.started)
		started.Message = fmt.Sprintf("Started deployed execution in %.2fs.", x.started.Sub(x.created).Seconds())
	}
	return []*runpb.Condition{completed, resources, started}
}

// pending is a condition that has not been met yet.
func (x *execution) pending(kind, message string) *runpb.Condition {
	return &runpb.Condition{Type: kind, State: runpb.Condition_CONDITION_RECONCILING, Message: message, LastTransitionTime: stamp(x.created)}
}

func executionReason(r runpb.Condition_ExecutionReason) *runpb.Condition_ExecutionReason_ {
	return &runpb.Condition_ExecutionReason_{ExecutionReason: r}
}

// taskView is one task of the execution as the API shows it.
func (x *execution) taskView(index int) *runpb.Task {
	t := &x.tasks[index]
	v := &runpb.Task{
		Name: x.name + "/tasks/" + x.taskName(index), Uid: fmt.Sprintf("%s-%d", x.uid, index), Job: x.job.name, Execution: x.short,
		Index: int32(index), Generation: 1, ObservedGeneration: 1, CreateTime: stamp(x.created), UpdateTime: stamp(x.changed),
		ScheduledTime: stamp(nanos(t.started)), StartTime: stamp(nanos(t.started)), CompletionTime: stamp(nanos(t.completed)),
		Containers: x.template.GetContainers(), MaxRetries: int32(x.job.MaxRetries), Timeout: durationpb.New(x.timeout),
		Retried: max(int32(t.attempts)-1, 0), Reconciling: t.completed == 0, Conditions: x.taskConditions(t),
	}
	if x.logDir != "" && t.attempts > 0 {
		v.LogUri = fileURI(logFile(x.logDir, index, int(t.attempts)-1))
	}
	if t.hasResult {
		v.LastAttemptResult = &runpb.TaskAttemptResult{
			Status: status.New(t.code, t.message).Proto(), ExitCode: t.exit, TermSignal: t.signal,
		}
	}
	return v
}

func (x *execution) taskConditions(t *task) []*runpb.Condition {
	started := x.pending("Started", "")
	if t.attempts > 0 {
		started.State, started.LastTransitionTime = runpb.Condition_CONDITION_SUCCEEDED, stamp(nanos(t.started))
	}
	completed := x.pending("Completed", "")
	if t.completed != 0 {
		completed.LastTransitionTime = stamp(nanos(t.completed))
	}
	switch t.state {
	case succeeded:
		completed.State = runpb.Condition_CONDITION_SUCCEEDED
	case failed:
		completed.State, completed.Message = runpb.Condition_CONDITION_FAILED, t.message
		completed.Reasons = executionReason(runpb.Condition_NON_ZERO_EXIT_CODE)
	case cancelled:
		completed.State, completed.Message = runpb.Condition_CONDITION_FAILED, "The task was cancelled."
		completed.Reasons = executionReason(runpb.Condition_CANCELLED)
	}
	return []*runpb.Condition{completed, started}
}

func fileURI(path string) string {
	if path == "" {
		return ""
	}
	return "file://" + filepath.ToSlash(path)
}

// view is the job as the API shows it in one project and region.
func (j *job) view(name string, born time.Time, h *history) *runpb.Job {
	ready := &runpb.Condition{Type: "Ready", State: runpb.Condition_CONDITION_SUCCEEDED, LastTransitionTime: stamp(born)}
	v := &runpb.Job{
		Name: name, Generation: 1, ObservedGeneration: 1, Creator: "emulator", CreateTime: stamp(born), UpdateTime: stamp(born), Etag: j.etag,
		TerminalCondition: ready,
		Template:          &runpb.ExecutionTemplate{Parallelism: int32(j.Parallelism), TaskCount: int32(j.TaskCount), Template: j.template()},
	}
	if h == nil || h.latest == nil {
		return v
	}
	x := h.latest
	v.ExecutionCount = int32(h.count)
	v.LatestCreatedExecution = &runpb.ExecutionReference{
		Name: x.short, CreateTime: stamp(x.created), CompletionTime: stamp(x.completed), CompletionStatus: x.completionStatus(),
	}
	return v
}

func (x *execution) completionStatus() runpb.ExecutionReference_CompletionStatus {
	switch {
	case x.started.IsZero() && x.completed.IsZero():
		return runpb.ExecutionReference_EXECUTION_PENDING
	case x.completed.IsZero():
		return runpb.ExecutionReference_EXECUTION_RUNNING
	case !x.cancelling.IsZero():
		return runpb.ExecutionReference_EXECUTION_CANCELLED
	case x.failed > 0:
		return runpb.ExecutionReference_EXECUTION_FAILED
	}
	return runpb.ExecutionReference_EXECUTION_SUCCEEDED
}

// failedStatus is the error of an operation whose execution has failed tasks.
func (x *execution) failedStatus() *status.Status { return status.New(codes.Aborted, x.failure) }
