package cloudrun

import (
	"math"
	"strings"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"cloud-run-orchestrator/internal/lifecycle"
)

// completed is the type of the condition that tells how an execution or a task ended.
const completed = "Completed"

// timeoutWords are in the message of a task whose attempt took longer than its timeout.
const timeoutWords = "The configured timeout was reached"

// facts are what an execution of the job says, under its name in the job's form. ok is false when it is none of the job's.
func facts(job string, e *runpb.Execution) (f lifecycle.Facts, ok bool) {
	name, ok := executionOf(job, e.GetName())
	if !ok {
		return lifecycle.Facts{}, false
	}
	end := condition(e.GetConditions(), completed)
	f = lifecycle.Facts{
		Name:        name,
		StartedAt:   timeOf(e.GetStartTime()),
		CompletedAt: timeOf(e.GetCompletionTime()), // alone: a condition may show the end before all counts do
		TaskCount:   count(e.GetTaskCount()),
		Progress: lifecycle.Progress{
			Running:   count(e.GetRunningCount()),
			Succeeded: count(e.GetSucceededCount()),
			Failed:    count(e.GetFailedCount()),
			Cancelled: count(e.GetCancelledCount()),
			Retried:   count(e.GetRetriedCount()),
		},
		CancelledBy: end.GetExecutionReason() == runpb.Condition_CANCELLED,
		Message:     words(end.GetMessage()),
		LogURI:      clean(e.GetLogUri(), maxURI),
		Job:         templateFacts(job, e.GetParallelism(), e.GetTemplate()),
	}
	if created := timeOf(e.GetCreateTime()); created != nil {
		f.CreatedAt = *created
	}
	f.Marker, f.Origin, f.EnvHidden = marker(e.GetTemplate().GetContainers())
	return f, true
}

func templateFacts(job string, parallelism int32, template *runpb.TaskTemplate) lifecycle.JobFacts {
	j := lifecycle.JobFacts{
		Job:         job,
		MaxRetries:  count(template.GetMaxRetries()),
		Parallelism: count(parallelism),
		Timeout:     timeout(template.GetTimeout()),
	}
	for i, container := range template.GetContainers() {
		j.Containers = append(j.Containers, clean(container.GetName(), maxName))
		if i == 0 {
			j.Image = clean(container.GetImage(), maxName)
		}
	}
	return j
}

// marker finds our variables in any container. hidden says that no container shows any environment.
func marker(containers []*runpb.Container) (value string, o lifecycle.Origin, hidden bool) {
	hidden = true
	for _, container := range containers {
		for _, v := range container.GetEnv() {
			hidden = false
			if v.GetName() == lifecycle.MarkerEnv && value == "" {
				value, o = clean(v.GetValue(), maxName), origin(container.GetEnv())
			}
		}
	}
	return value, o, hidden
}

// origin is what our variables tell of the work.
func origin(env []*runpb.EnvVar) (o lifecycle.Origin) {
	for _, v := range env {
		switch v.GetName() {
		case lifecycle.RunIDEnv:
			o.RunID = clean(v.GetValue(), maxName)
		case lifecycle.RunEnv:
			o.Run = clean(v.GetValue(), maxName)
		case lifecycle.StepEnv:
			o.Step = clean(v.GetValue(), maxName)
		case lifecycle.TaskIndexesEnv:
			o.Indexes = clean(v.GetValue(), lifecycle.MaxEnvValue)
		case lifecycle.TaskAttemptsEnv:
			o.Attempts = clean(v.GetValue(), lifecycle.MaxEnvValue)
		}
	}
	return o
}

func taskFacts(t *runpb.Task) lifecycle.TaskFacts {
	end := condition(t.GetConditions(), completed)
	f := lifecycle.TaskFacts{
		Index:       int(t.GetIndex()),
		StartedAt:   timeOf(t.GetStartTime()),
		CompletedAt: timeOf(t.GetCompletionTime()),
		Retried:     count(t.GetRetried()),
		Message:     words(end.GetMessage()),
		LogURI:      clean(t.GetLogUri(), maxURI),
	}
	if result := t.GetLastAttemptResult(); result != nil && hasEnded(t, end) && !interrupted(result, end) {
		addResult(&f, result, end)
	}
	return f
}

// hasEnded: a task that Cloud Run itself tries again shows the result of the attempt before while the next one runs.
func hasEnded(t *runpb.Task, end *runpb.Condition) bool {
	return timeOf(t.GetCompletionTime()) != nil ||
		end.GetState() == runpb.Condition_CONDITION_FAILED || end.GetState() == runpb.Condition_CONDITION_SUCCEEDED
}

// interrupted: what a cancelled task leaves behind is not the result of its work.
func interrupted(result *runpb.TaskAttemptResult, end *runpb.Condition) bool {
	return codes.Code(result.GetStatus().GetCode()) == codes.Canceled || end.GetExecutionReason() == runpb.Condition_CANCELLED
}

func addResult(f *lifecycle.TaskFacts, result *runpb.TaskAttemptResult, end *runpb.Condition) {
	f.HasResult = true
	if m := result.GetStatus().GetMessage(); m != "" {
		f.Message = words(m)
	}
	f.OK = codes.Code(result.GetStatus().GetCode()) == codes.OK && result.GetExitCode() == 0 && result.GetTermSignal() == 0 &&
		end.GetState() != runpb.Condition_CONDITION_FAILED // an empty result would else look like success
	exit, signal := int(result.GetExitCode()), int(result.GetTermSignal())
	if f.OK || exit != 0 { // a failure with exit code 0 is one without an exit code: the field is only unset
		f.ExitCode = &exit
	}
	if signal != 0 {
		f.Signal = &signal
	}
	if !f.OK {
		f.TimedOut = strings.Contains(f.Message, timeoutWords)
		f.OutOfMemory = mentionsMemory(f.Message)
	}
}

// mentionsMemory guesses from the words that Cloud Run uses for services. How it reports a job's task has not been seen on the real service yet.
func mentionsMemory(message string) bool {
	m := strings.ToLower(message)
	return strings.Contains(m, "memory limit") || strings.Contains(m, "out of memory")
}

func condition(conditions []*runpb.Condition, kind string) *runpb.Condition {
	for _, c := range conditions {
		if c.GetType() == kind {
			return c
		}
	}
	return nil
}

// count is a number of things: a negative one is none.
func count(n int32) int { return max(int(n), 0) }

// timeout is 0 for a duration that is absent, and for one that cannot be: negative, or longer than the database's seconds reach.
func timeout(d *durationpb.Duration) time.Duration {
	if !d.IsValid() || d.AsDuration() < 0 || d.GetSeconds() > math.MaxInt32 {
		return 0
	}
	return d.AsDuration()
}

// timeOf is nil for a time that is absent, or out of range.
func timeOf(t *timestamppb.Timestamp) *time.Time {
	if !t.IsValid() {
		return nil
	}
	at := t.AsTime()
	return &at
}
