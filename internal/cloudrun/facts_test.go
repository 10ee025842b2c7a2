package cloudrun

import (
	"math"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"cloud-run-orchestrator/internal/lifecycle"
)

var (
	created   = time.Date(2026, 11, 23, 1, 2, 3, 4000, time.UTC)
	began     = created.Add(time.Second)
	ended     = created.Add(time.Minute)
	outOfTime = &timestamppb.Timestamp{Seconds: -1 << 40}
)

func env(name, value string) *runpb.EnvVar {
	return &runpb.EnvVar{Name: name, Values: &runpb.EnvVar_Value{Value: value}}
}

func end(state runpb.Condition_State, reason runpb.Condition_ExecutionReason, message string) []*runpb.Condition {
	c := &runpb.Condition{Type: "Completed", State: state, Message: message}
	if reason != 0 {
		c.Reasons = &runpb.Condition_ExecutionReason_{ExecutionReason: reason}
	}
	return []*runpb.Condition{{Type: "Started", State: runpb.Condition_CONDITION_SUCCEEDED, Message: "started"}, c}
}

// factsOf are the facts of an execution of aJob, whatever the test says of it, under the name anExecution.
func factsOf(t *testing.T, e *runpb.Execution) lifecycle.Facts {
	t.Helper()
	e.Name = anExecution
	f, ok := facts(aJob, e)
	if !ok || f.Name != anExecution || f.Job.Job != aJob {
		t.Fatalf("%s of %s, ok %t", f.Name, f.Job.Job, ok)
	}
	return f
}

func TestFacts_are_what_the_execution_says(t *testing.T) {
	t.Parallel()
	got := factsOf(t, &runpb.Execution{
		Name: anExecution, Job: "report", Parallelism: 7, TaskCount: 9,
		CreateTime: timestamppb.New(created), StartTime: timestamppb.New(began), CompletionTime: timestamppb.New(ended),
		RunningCount: 1, SucceededCount: 2, FailedCount: 3, CancelledCount: 4, RetriedCount: 5,
		Conditions: end(runpb.Condition_CONDITION_FAILED, runpb.Condition_NON_ZERO_EXIT_CODE, "Task report-x7k2p-task3 failed"),
		LogUri:     "https://console.cloud.google.com/logs",
		Template: &runpb.TaskTemplate{
			Timeout: durationpb.New(10 * time.Minute), Retries: &runpb.TaskTemplate_MaxRetries{MaxRetries: 3},
			Containers: []*runpb.Container{
				{Name: "main", Image: "gcr.io/acme/report:1", Env: []*runpb.EnvVar{env("A", "b"), env(lifecycle.MarkerEnv, "i/r/1")}},
				{Name: "proxy", Image: "gcr.io/acme/proxy:1"},
			},
		},
	})
	want := lifecycle.Facts{
		Name: anExecution, Marker: "i/r/1", CreatedAt: created, StartedAt: &began, CompletedAt: &ended, TaskCount: 9,
		Progress: lifecycle.Progress{Running: 1, Succeeded: 2, Failed: 3, Cancelled: 4, Retried: 5},
		Message:  "Task report-x7k2p-task3 failed", LogURI: "https://console.cloud.google.com/logs",
		Job: lifecycle.JobFacts{
			Job: aJob, Containers: []string{"main", "proxy"}, Image: "gcr.io/acme/report:1", MaxRetries: 3, Parallelism: 7, Timeout: 10 * time.Minute,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

func TestFacts_bear_what_is_missing_or_new(t *testing.T) {
	t.Parallel()
	const reasonOfTomorrow = runpb.Condition_ExecutionReason(7)
	tests := []struct {
		name string
		in   *runpb.Execution
		want lifecycle.Facts
	}{
		{"nothing but a name", &runpb.Execution{}, lifecycle.Facts{EnvHidden: true}},
		{"times that cannot be", &runpb.Execution{CreateTime: outOfTime, StartTime: outOfTime, CompletionTime: outOfTime}, lifecycle.Facts{EnvHidden: true}},
		{"an end without its time is not an end yet", &runpb.Execution{TaskCount: 1, SucceededCount: 1, Conditions: end(runpb.Condition_CONDITION_SUCCEEDED, 0, "done")},
			lifecycle.Facts{EnvHidden: true, TaskCount: 1, Progress: lifecycle.Progress{Succeeded: 1}, Message: "done"}},
		{"a cancelled execution", &runpb.Execution{Conditions: end(runpb.Condition_CONDITION_FAILED, runpb.Condition_CANCELLED, "")},
			lifecycle.Facts{EnvHidden: true, CancelledBy: true}},
		{"one that is being cancelled", &runpb.Execution{Conditions: end(runpb.Condition_CONDITION_RECONCILING, runpb.Condition_CANCELLING, "")},
			lifecycle.Facts{EnvHidden: true}},
		{"a reason that is not known yet", &runpb.Execution{Conditions: end(runpb.Condition_CONDITION_FAILED, reasonOfTomorrow, "late")},
			lifecycle.Facts{EnvHidden: true, Message: "late"}},
		{"an end before the start", &runpb.Execution{StartTime: timestamppb.New(ended), CompletionTime: timestamppb.New(began)},
			lifecycle.Facts{EnvHidden: true, StartedAt: &ended, CompletedAt: &began}},
		{"counts below zero", &runpb.Execution{TaskCount: -1, RunningCount: -1, SucceededCount: -1, FailedCount: -1, CancelledCount: -1, RetriedCount: math.MinInt32, Parallelism: -1,
			Template: &runpb.TaskTemplate{Retries: &runpb.TaskTemplate_MaxRetries{MaxRetries: -1}, Timeout: durationpb.New(-time.Second)}}, lifecycle.Facts{EnvHidden: true}},
		{"the largest counts, and a timeout that no column of seconds holds", &runpb.Execution{TaskCount: math.MaxInt32, RetriedCount: math.MaxInt32,
			Template: &runpb.TaskTemplate{Timeout: &durationpb.Duration{Seconds: 1 << 32}}},
			lifecycle.Facts{EnvHidden: true, TaskCount: math.MaxInt32, Progress: lifecycle.Progress{Retried: math.MaxInt32}}},
		{"a timeout that is no duration", &runpb.Execution{Template: &runpb.TaskTemplate{Timeout: &durationpb.Duration{Seconds: 1, Nanos: -1}}}, lifecycle.Facts{EnvHidden: true}},
		{"a state and a common reason that are not known yet", &runpb.Execution{Conditions: []*runpb.Condition{{
			Type: "Completed", State: 99, Reasons: &runpb.Condition_Reason{Reason: 3}, // the number of CANCELLED, in another enum
		}}}, lifecycle.Facts{EnvHidden: true}},
		{"only a condition of another type", &runpb.Execution{Conditions: []*runpb.Condition{{Type: "Ready", Message: "words"}, nil}}, lifecycle.Facts{EnvHidden: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.want.Name, tt.want.Job.Job = anExecution, aJob
			if diff := cmp.Diff(tt.want, factsOf(t, tt.in)); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFacts_find_the_marker_in_any_container(t *testing.T) {
	t.Parallel()
	secret := &runpb.EnvVar{Name: "PASSWORD", Values: &runpb.EnvVar_ValueSource{ValueSource: &runpb.EnvVarSource{}}}
	tests := []struct {
		name       string
		containers []*runpb.Container
		marker     string
		hidden     bool
	}{
		{"no container", nil, "", true},
		{"containers without environment", []*runpb.Container{{}, {}}, "", true},
		{"an environment without it", []*runpb.Container{{}, {Env: []*runpb.EnvVar{env("A", "b")}}}, "", false},
		{"an environment of secrets", []*runpb.Container{{Env: []*runpb.EnvVar{secret}}}, "", false},
		{"in the first", []*runpb.Container{{Env: []*runpb.EnvVar{env(lifecycle.MarkerEnv, "i/r/1")}}, {}}, "i/r/1", false},
		{"in the second", []*runpb.Container{{Env: []*runpb.EnvVar{secret}}, {Env: []*runpb.EnvVar{env(lifecycle.MarkerEnv, "i/r/2")}}}, "i/r/2", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := factsOf(t, &runpb.Execution{Template: &runpb.TaskTemplate{Containers: tt.containers}})
			if f.Marker != tt.marker || f.EnvHidden != tt.hidden {
				t.Errorf("marker %q, hidden %t; want %q, %t", f.Marker, f.EnvHidden, tt.marker, tt.hidden)
			}
		})
	}
}

func TestTaskFacts_tell_how_the_last_attempt_ended(t *testing.T) {
	t.Parallel()
	zero, three, nine := 0, 3, 9
	at := timestamppb.New(ended)
	result := func(code codes.Code, message string, exit, signal int32) *runpb.TaskAttemptResult {
		return &runpb.TaskAttemptResult{Status: &rpcstatus.Status{Code: int32(code), Message: message}, ExitCode: exit, TermSignal: signal}
	}
	tests := []struct {
		name string
		in   *runpb.Task
		want lifecycle.TaskFacts
	}{
		{"not started", &runpb.Task{Index: 4}, lifecycle.TaskFacts{Index: 4}},
		{"running", &runpb.Task{StartTime: timestamppb.New(began), LogUri: "https://logs"}, lifecycle.TaskFacts{StartedAt: &began, LogURI: "https://logs"}},
		{"success", &runpb.Task{CompletionTime: at, LastAttemptResult: result(codes.OK, "", 0, 0)},
			lifecycle.TaskFacts{CompletedAt: &ended, HasResult: true, OK: true, ExitCode: &zero}},
		{"success without a status", &runpb.Task{CompletionTime: at, LastAttemptResult: &runpb.TaskAttemptResult{}},
			lifecycle.TaskFacts{CompletedAt: &ended, HasResult: true, OK: true, ExitCode: &zero}},
		{"success that only the condition tells", &runpb.Task{Conditions: end(runpb.Condition_CONDITION_SUCCEEDED, 0, ""), LastAttemptResult: &runpb.TaskAttemptResult{}},
			lifecycle.TaskFacts{HasResult: true, OK: true, ExitCode: &zero}},
		{"exit code", &runpb.Task{CompletionTime: at, Retried: 2, LastAttemptResult: result(codes.Internal, "exited with 3", 3, 0)},
			lifecycle.TaskFacts{CompletedAt: &ended, Retried: 2, HasResult: true, ExitCode: &three, Message: "exited with 3"}},
		{"exit code with an OK status", &runpb.Task{CompletionTime: at, LastAttemptResult: result(codes.OK, "", 3, 0)},
			lifecycle.TaskFacts{CompletedAt: &ended, HasResult: true, ExitCode: &three}},
		{"signal", &runpb.Task{CompletionTime: at, LastAttemptResult: result(codes.OK, "", 0, 9)},
			lifecycle.TaskFacts{CompletedAt: &ended, HasResult: true, Signal: &nine}},
		{"failed without exit code and signal", &runpb.Task{CompletionTime: at, LastAttemptResult: result(codes.Unknown, "no image", 0, 0)},
			lifecycle.TaskFacts{CompletedAt: &ended, HasResult: true, Message: "no image"}},
		{"an empty result of a failed task is no success", &runpb.Task{CompletionTime: at, Conditions: end(runpb.Condition_CONDITION_FAILED, 0, "it failed"), LastAttemptResult: &runpb.TaskAttemptResult{}},
			lifecycle.TaskFacts{CompletedAt: &ended, HasResult: true, Message: "it failed"}},
		{"timeout", &runpb.Task{CompletionTime: at, LastAttemptResult: result(codes.DeadlineExceeded, "Task failed with message: The configured timeout was reached.", 0, 9)},
			lifecycle.TaskFacts{CompletedAt: &ended, HasResult: true, Signal: &nine, TimedOut: true, Message: "Task failed with message: The configured timeout was reached."}},
		{"timeout in the condition", &runpb.Task{CompletionTime: at, Conditions: end(runpb.Condition_CONDITION_FAILED, 0, "The configured timeout was reached."), LastAttemptResult: result(codes.Unknown, "", 0, 0)},
			lifecycle.TaskFacts{CompletedAt: &ended, HasResult: true, TimedOut: true, Message: "The configured timeout was reached."}},
		{"memory", &runpb.Task{CompletionTime: at, LastAttemptResult: result(codes.Unknown, "Memory limit of 512 MiB exceeded with 515 MiB used.", 0, 9)},
			lifecycle.TaskFacts{CompletedAt: &ended, HasResult: true, Signal: &nine, OutOfMemory: true, Message: "Memory limit of 512 MiB exceeded with 515 MiB used."}},
		{"memory in other words", &runpb.Task{CompletionTime: at, LastAttemptResult: result(codes.Unknown, "The container ran Out of Memory", 0, 0)},
			lifecycle.TaskFacts{CompletedAt: &ended, HasResult: true, OutOfMemory: true, Message: "The container ran Out of Memory"}},
		{"success that talks of memory", &runpb.Task{CompletionTime: at, LastAttemptResult: result(codes.OK, "near the memory limit", 0, 0)},
			lifecycle.TaskFacts{CompletedAt: &ended, HasResult: true, OK: true, ExitCode: &zero, Message: "near the memory limit"}},
		{"the attempt before, while the next one runs", &runpb.Task{Retried: 1, Conditions: end(runpb.Condition_CONDITION_RECONCILING, 0, ""), LastAttemptResult: result(codes.Unknown, "", 3, 0)},
			lifecycle.TaskFacts{Retried: 1}},
		{"ended without any attempt", &runpb.Task{CompletionTime: at, Conditions: end(runpb.Condition_CONDITION_FAILED, runpb.Condition_CANCELLED, "cancelled")},
			lifecycle.TaskFacts{CompletedAt: &ended, Message: "cancelled"}},
		{"cancelled while it ran", &runpb.Task{CompletionTime: at, Conditions: end(runpb.Condition_CONDITION_FAILED, runpb.Condition_CANCELLED, "cancelled"), LastAttemptResult: result(codes.Unknown, "", 143, 0)},
			lifecycle.TaskFacts{CompletedAt: &ended, Message: "cancelled"}},
		{"cancelled, by its status", &runpb.Task{CompletionTime: at, LastAttemptResult: result(codes.Canceled, "stopped", 0, 15)},
			lifecycle.TaskFacts{CompletedAt: &ended}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, taskFacts(tt.in)); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClean_makes_texts_fit_to_be_stored(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"plain", "exit 1", "exit 1"},
		{"empty", "", ""},
		{"just fits", "0123456789", "0123456789"},
		{"too long", "0123456789a", "0123456…"},
		{"cut inside a character", "012345é789a", "012345…"},
		{"not UTF-8", "a\xff\xfeb", "a\uFFFDb"},
		{"NUL", "a\x00b", "ab"},
		{"NUL and too long", "\x00" + strings.Repeat("é", 6), "ééé…"},
		{"lines are kept", "a\nb", "a\nb"},
	}
	for _, tt := range tests {
		if got := clean(tt.in, 10); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestFacts_are_clean(t *testing.T) {
	t.Parallel()
	long := "\x00" + strings.Repeat("é", 5000)
	f := factsOf(t, &runpb.Execution{
		LogUri: long, Conditions: end(runpb.Condition_CONDITION_FAILED, 0, long),
		Template: &runpb.TaskTemplate{Containers: []*runpb.Container{{Name: long, Image: long, Env: []*runpb.EnvVar{env(lifecycle.MarkerEnv, long)}}}},
	})
	task := taskFacts(&runpb.Task{LogUri: long, CompletionTime: timestamppb.New(ended), LastAttemptResult: &runpb.TaskAttemptResult{Status: &rpcstatus.Status{Code: 2, Message: long}}})
	for name, text := range map[string]string{
		"log": f.LogURI, "message": f.Message, "container": f.Job.Containers[0], "image": f.Job.Image, "marker": f.Marker,
		"task's log": task.LogURI, "task's message": task.Message,
	} {
		if !strings.HasPrefix(text, "éé") || !strings.HasSuffix(text, "é…") || len(text) > maxURI {
			t.Errorf("the %s is not clean: %d bytes, %.20q", name, len(text), text)
		}
	}
}
