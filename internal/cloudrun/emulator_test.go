package cloudrun

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/lifecycle"
)

// onBothWays runs a test over an emulator's socket and over its connection inside the process, where no observer sees the wire.
func onBothWays(t *testing.T, o emulator.Options, test func(*testing.T, *Client)) {
	t.Parallel()
	t.Run("socket", func(t *testing.T) {
		t.Parallel()
		server := newEmulator(t, o)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go server.Serve(ln) // until the emulator is closed; a failure shows in the calls
		test(t, clientOf(t, Options{Endpoint: ln.Addr().String()}))
	})
	t.Run("in process", func(t *testing.T) {
		t.Parallel()
		conn, err := newEmulator(t, o).Dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		test(t, clientOf(t, Options{Conn: conn}))
	})
}

func newEmulator(t *testing.T, o emulator.Options) *emulator.Server {
	t.Helper()
	server, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// untilEnded reads an execution until it has ended.
func untilEnded(t *testing.T, c *Client, name string) lifecycle.Facts {
	t.Helper()
	for {
		f, err := c.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if f.CompletedAt != nil {
			return f
		}
		time.Sleep(time.Millisecond)
	}
}

func TestEmulator_runs_an_execution_to_its_end(t *testing.T) {
	job := func(_ context.Context, task emulator.Task) emulator.Result {
		return emulator.Result{ExitCode: task.Index * 3}
	}
	onBothWays(t, emulator.Options{Jobs: emulator.Jobs{"report": {Func: job, Containers: []string{"main", "proxy"}, Image: "report:1", MaxRetries: 1}}}, func(t *testing.T, c *Client) {
		answer := c.Run(t.Context(), lifecycle.Launch{
			Job: aJob, Container: "main", TaskCount: 2, SetArgs: true, Timeout: time.Minute,
			Env: []lifecycle.EnvVar{{Name: lifecycle.MarkerEnv, Value: "i/r/1"}},
		})
		if answer.Kind != named {
			t.Fatalf("answer %+v", answer)
		}
		got := untilEnded(t, c, answer.Name)
		want := lifecycle.Facts{
			Name: answer.Name, Marker: "i/r/1", TaskCount: 2, Progress: lifecycle.Progress{Succeeded: 1, Failed: 1, Retried: 1},
			Job: lifecycle.JobFacts{Job: aJob, Containers: []string{"main", "proxy"}, Image: "report:1", MaxRetries: 1, Timeout: time.Minute},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(lifecycle.Facts{}, "CreatedAt", "StartedAt", "CompletedAt", "Message", "LogURI")); diff != "" {
			t.Errorf("facts (-want +got):\n%s", diff)
		}
		if got.CreatedAt.IsZero() || got.StartedAt == nil || got.Message == "" {
			t.Errorf("created %v, started %v, message %q", got.CreatedAt, got.StartedAt, got.Message)
		}
		page, next, err := c.List(t.Context(), aJob, "")
		if err != nil || next != "" {
			t.Fatalf("next page %q, error %v", next, err)
		}
		if diff := cmp.Diff([]lifecycle.Facts{got}, page); diff != "" {
			t.Errorf("the list differs from the execution (-execution +list):\n%s", diff)
		}
		tasks, err := c.Tasks(t.Context(), answer.Name, 2)
		if err != nil {
			t.Fatal(err)
		}
		zero, three := 0, 3
		wantTasks := []lifecycle.TaskFacts{{Index: 0, HasResult: true, OK: true, ExitCode: &zero}, {Index: 1, HasResult: true, ExitCode: &three, Retried: 1}}
		if diff := cmp.Diff(wantTasks, tasks, cmpopts.IgnoreFields(lifecycle.TaskFacts{}, "StartedAt", "CompletedAt", "Message", "LogURI")); diff != "" {
			t.Errorf("tasks (-want +got):\n%s", diff)
		}
	})
}

func TestEmulator_cancels_an_execution(t *testing.T) {
	waits := func(ctx context.Context, _ emulator.Task) emulator.Result {
		<-ctx.Done()
		return emulator.Result{Signal: 15}
	}
	onBothWays(t, emulator.Options{Jobs: emulator.Jobs{"report": {Func: waits}}}, func(t *testing.T, c *Client) {
		answer := c.Run(t.Context(), lifecycle.Launch{Job: aJob, TaskCount: 2})
		if answer.Kind != named {
			t.Fatalf("answer %+v", answer)
		}
		if err := c.Cancel(t.Context(), answer.Name); err != nil {
			t.Fatal(err)
		}
		if f := untilEnded(t, c, answer.Name); !f.CancelledBy || f.Progress.Cancelled != 2 {
			t.Errorf("facts %+v, want it cancelled with both tasks", f)
		}
		if err := c.Cancel(t.Context(), answer.Name); err != nil {
			t.Errorf("cancel of an ended execution: %v", err)
		}
		tasks, err := c.Tasks(t.Context(), answer.Name, 2)
		if err != nil || len(tasks) != 2 || tasks[0].HasResult || tasks[1].HasResult {
			t.Errorf("tasks %+v, error %v, want two without a result of their own", tasks, err)
		}
	})
}

func TestEmulator_refuses_what_it_does_not_know(t *testing.T) {
	onBothWays(t, emulator.Options{Jobs: emulator.Jobs{"report": {Func: func(context.Context, emulator.Task) emulator.Result { return emulator.Result{} }}}}, func(t *testing.T, c *Client) {
		for code, launch := range map[string]lifecycle.Launch{
			"NOT_FOUND":        {Job: aJob + "-of-tomorrow", TaskCount: 1},
			"INVALID_ARGUMENT": {Job: aJob, TaskCount: 1, Container: "other"},
		} {
			if got := c.Run(t.Context(), launch); got.Kind != rejected || got.Code != code || got.Words == "" {
				t.Errorf("answer %+v, want a rejection, %s", got, code)
			}
		}
		if _, err := c.Get(t.Context(), anExecution); !errors.Is(err, lifecycle.ErrGone) {
			t.Errorf("get: %v", err)
		}
		if _, err := c.Tasks(t.Context(), anExecution, 1); !errors.Is(err, lifecycle.ErrGone) {
			t.Errorf("tasks: %v", err)
		}
		if err := c.Cancel(t.Context(), anExecution); !errors.Is(err, lifecycle.ErrGone) {
			t.Errorf("cancel: %v", err)
		}
	})
}

func TestEmulator_loses_an_answer_but_the_marker_is_found(t *testing.T) {
	faults := map[int]emulator.Fault{
		1: {After: status.Error(codes.Unavailable, "the answer was lost")},
		2: {DropMetadata: true},
	}
	o := emulator.Options{
		Jobs: emulator.Jobs{"report": {Func: func(context.Context, emulator.Task) emulator.Result { return emulator.Result{} }}},
		Intercept: func(_ context.Context, call emulator.Call) emulator.Fault {
			if call.Method != "RunJob" {
				return emulator.Fault{}
			}
			return faults[call.N]
		},
	}
	onBothWays(t, o, func(t *testing.T, c *Client) {
		for _, marker := range []string{"i/r/1", "i/r/2"} {
			got := c.Run(t.Context(), lifecycle.Launch{Job: aJob, TaskCount: 1, Env: []lifecycle.EnvVar{{Name: lifecycle.MarkerEnv, Value: marker}}})
			if got.Kind != unknown {
				t.Errorf("answer %+v, want unknown", got)
			}
		}
		page, _, err := c.List(t.Context(), aJob, "")
		if err != nil {
			t.Fatal(err)
		}
		var markers []string
		for _, f := range page {
			markers = append(markers, f.Marker)
		}
		if diff := cmp.Diff([]string{"i/r/2", "i/r/1"}, markers); diff != "" {
			t.Errorf("markers, newest first (-want +got):\n%s", diff)
		}
	})
}

func TestEmulator_only_the_servers_own_refusal_is_definite(t *testing.T) {
	faults := []struct {
		name  string
		fault emulator.Fault
		want  lifecycle.AnswerKind
		code  string
	}{
		{"a stream reset that looks like a quota", emulator.Fault{LoseBefore: emulator.ResetExhausted}, unknown, "RESOURCE_EXHAUSTED"},
		{"a stream reset that looks like a refusal", emulator.Fault{LoseBefore: emulator.ResetDenied}, unknown, "PERMISSION_DENIED"},
		{"the same after its effect", emulator.Fault{LoseAfter: emulator.ResetDenied}, unknown, "PERMISSION_DENIED"},
		{"a cut connection", emulator.Fault{LoseAfter: emulator.Cut}, unknown, "UNAVAILABLE"},
		{"a quota", emulator.Fault{Quota: true}, lifecycle.AnswerQuota, "RESOURCE_EXHAUSTED"},
		{"a quota in strange words", emulator.Fault{Quota: true, BadText: true}, unknown, "RESOURCE_EXHAUSTED"}, // its details cannot be read
		{"a refusal in strange words", emulator.Fault{Before: status.Error(codes.NotFound, "gone"), BadText: true}, rejected, "NOT_FOUND"},
		{"an answer that cannot be read", emulator.Fault{BadText: true}, unknown, "OK"},
		{"an answer with the project's number", emulator.Fault{ProjectNumber: true}, lifecycle.AnswerNamed, ""},
		{"an answer with unknown enums", emulator.Fault{UnknownEnum: true}, lifecycle.AnswerNamed, ""},
	}
	o := emulator.Options{
		Jobs:      emulator.Jobs{"report": {Func: func(context.Context, emulator.Task) emulator.Result { return emulator.Result{} }}},
		Intercept: func(_ context.Context, call emulator.Call) emulator.Fault { return faults[call.N-1].fault },
	}
	onBothWays(t, o, func(t *testing.T, c *Client) {
		for _, f := range faults {
			got := c.Run(t.Context(), lifecycle.Launch{Job: aJob, TaskCount: 1})
			if got.Kind != f.want || got.Code != f.code || !utf8.ValidString(got.Words) {
				t.Errorf("%s: %+v", f.name, got)
			}
		}
	})
}
