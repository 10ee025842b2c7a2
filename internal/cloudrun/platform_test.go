package cloudrun

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"

	"cloud-run-orchestrator/internal/lifecycle"
)

// text is one field of a message, as no library of ours would write it.
func text(field protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), value)
}

// answers is a client of a server that answers every call with one message and OK.
func answers(t *testing.T, message []byte) (*Client, *rawServer) {
	t.Helper()
	server := newRawServer(t, func(s stream) {
		err := errors.Join(
			s.headers(false, ":status", "200", "content-type", "application/grpc"),
			s.message(false, message),
			s.headers(true, "grpc-status", "0"))
		if err != nil {
			t.Errorf("answer: %v", err)
		}
	})
	return clientOf(t, Options{Endpoint: server.addr}), server
}

func TestRun_is_unknown_when_the_answer_is_not_text(t *testing.T) {
	t.Parallel()
	const bad = "report\xff"
	execution := text(1, anExecution+"\xff")
	metadata := append(text(1, "type.googleapis.com/google.cloud.run.v2.Execution"), text(2, string(execution))...)
	for name, message := range map[string][]byte{
		"the operation's name":  text(1, bad),
		"the metadata's type":   text(2, string(text(1, bad))),
		"the execution's name":  append(text(1, "operations/1"), text(2, string(metadata))...),
		"no message of any use": {0xff, 0xff},
	} {
		c, server := answers(t, message)
		got := c.Run(t.Context(), lifecycle.Launch{Job: aJob})
		if got.Kind != unknown || got.Words == "" || !utf8.ValidString(got.Words) || server.requests.Load() != 1 {
			t.Errorf("%s: %+v after %d calls, want unknown after 1", name, got, server.requests.Load())
		}
	}
}

func TestReads_of_what_is_not_text_are_errors_that_tell_nothing(t *testing.T) {
	t.Parallel()
	execution := append(text(1, anExecution), text(26, "https://\xff")...) // its log_uri
	for name, call := range map[string]struct {
		message []byte
		read    func(context.Context, *Client) error
	}{
		"get":   {execution, func(ctx context.Context, c *Client) error { _, err := c.Get(ctx, anExecution); return err }},
		"list":  {text(1, string(execution)), func(ctx context.Context, c *Client) error { _, _, err := c.List(ctx, aJob, ""); return err }},
		"tasks": {text(1, string(text(1, "\xff"))), func(ctx context.Context, c *Client) error { _, err := c.Tasks(ctx, anExecution, 1); return err }},
	} {
		c, _ := answers(t, call.message)
		if err := call.read(t.Context(), c); err == nil || errors.Is(err, lifecycle.ErrGone) || !utf8.ValidString(err.Error()) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestReads_clean_the_words_of_an_error(t *testing.T) {
	t.Parallel()
	server := newRawServer(t, func(s stream) {
		err := s.headers(true, ":status", "200", "content-type", "application/grpc", "grpc-status", "9",
			"grpc-message", "no%00 %ff%fe idea "+strings.Repeat("%C3%A9", maxWords))
		if err != nil {
			t.Errorf("answer: %v", err)
		}
	})
	c := clientOf(t, Options{Endpoint: server.addr})
	_, getErr := c.Get(t.Context(), anExecution)
	_, _, listErr := c.List(t.Context(), aJob, "")
	_, tasksErr := c.Tasks(t.Context(), anExecution, 1)
	for _, err := range []error{getErr, listErr, tasksErr} {
		if err == nil || !utf8.ValidString(err.Error()) || strings.Contains(err.Error(), "\x00") || len(err.Error()) > maxWords+200 ||
			!strings.Contains(err.Error(), "FAILED_PRECONDITION: no \uFFFD idea éé") {
			t.Errorf("error %.300q", err)
		}
	}
}

// What a table of facts cannot show: that the client library hands numbers on which it does not know.
func TestReads_bear_numbers_that_nobody_knows_yet(t *testing.T) {
	t.Parallel()
	odd := func() []*runpb.Condition {
		return []*runpb.Condition{
			{Type: "Completed", State: 99, Severity: 99, Message: "tomorrow\x00", Reasons: &runpb.Condition_ExecutionReason_{ExecutionReason: 99}},
			{Type: "Completed", State: runpb.Condition_CONDITION_FAILED, Reasons: &runpb.Condition_ExecutionReason_{ExecutionReason: runpb.Condition_CANCELLED}},
		}
	}
	s := &script{
		get: func(context.Context, *runpb.GetExecutionRequest) (*runpb.Execution, error) {
			return &runpb.Execution{Name: anExecution, LaunchStage: 99, Conditions: odd()}, nil
		},
		tasks: func(context.Context, *runpb.ListTasksRequest) (*runpb.ListTasksResponse, error) {
			return &runpb.ListTasksResponse{Tasks: []*runpb.Task{{Conditions: odd(), LastAttemptResult: &runpb.TaskAttemptResult{Status: &rpcstatus.Status{Code: -7}}}}}, nil
		},
	}
	c := s.client(t)
	f, err := c.Get(t.Context(), anExecution)
	want := lifecycle.Facts{Name: anExecution, EnvHidden: true, Message: "tomorrow", Job: lifecycle.JobFacts{Job: aJob}}
	if diff := cmp.Diff(want, f); err != nil || diff != "" {
		t.Errorf("error %v, facts (-want +got):\n%s", err, diff)
	}
	tasks, err := c.Tasks(t.Context(), anExecution, 1)
	if diff := cmp.Diff([]lifecycle.TaskFacts{{Message: "tomorrow"}}, tasks); err != nil || diff != "" {
		t.Errorf("error %v, tasks (-want +got):\n%s", err, diff)
	}
}

// An index that the execution cannot have must not stand in for one that is listed late: that task may have run.
func TestTasks_leaves_out_indexes_that_cannot_be_and_keeps_results(t *testing.T) {
	t.Parallel()
	done := &runpb.TaskAttemptResult{Status: &rpcstatus.Status{}}
	at := timestamppb.New(ended)
	s := &script{tasks: func(_ context.Context, r *runpb.ListTasksRequest) (*runpb.ListTasksResponse, error) {
		if r.PageToken == "" {
			return &runpb.ListTasksResponse{NextPageToken: "p2", Tasks: []*runpb.Task{
				{Index: -1, CompletionTime: at, LastAttemptResult: done},
				{Index: 1, CompletionTime: at, LastAttemptResult: done},
				{Index: 3, CompletionTime: at, LastAttemptResult: done},
				{Index: 1 << 30, CompletionTime: at, LastAttemptResult: done},
			}}, nil
		}
		return &runpb.ListTasksResponse{Tasks: []*runpb.Task{{Index: 1}}}, nil // an older state, which a page shows later
	}}
	tasks, err := s.client(t).Tasks(t.Context(), anExecution, 3)
	if err != nil || len(tasks) != 1 || tasks[0].Index != 1 || !tasks[0].OK {
		t.Errorf("tasks %+v, error %v; want the one of index 1, with its success", tasks, err)
	}
}
