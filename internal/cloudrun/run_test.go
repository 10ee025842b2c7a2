package cloudrun

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"cloud-run-orchestrator/internal/lifecycle"
)

const (
	unknown  = lifecycle.AnswerUnknown
	named    = lifecycle.AnswerNamed
	quota    = lifecycle.AnswerQuota
	rejected = lifecycle.AnswerRejected
)

func TestRun_tells_what_the_servers_status_means(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		code    codes.Code
		details []protoadapt.MessageV1
		want    lifecycle.AnswerKind
		spelled string
	}{
		{"cancelled", codes.Canceled, nil, unknown, "CANCELLED"},
		{"unknown", codes.Unknown, nil, unknown, "UNKNOWN"},
		{"invalid argument", codes.InvalidArgument, nil, rejected, "INVALID_ARGUMENT"},
		{"deadline exceeded", codes.DeadlineExceeded, nil, unknown, "DEADLINE_EXCEEDED"},
		{"not found", codes.NotFound, nil, rejected, "NOT_FOUND"},
		{"already exists", codes.AlreadyExists, nil, unknown, "ALREADY_EXISTS"},
		{"permission denied", codes.PermissionDenied, nil, rejected, "PERMISSION_DENIED"},
		{"resource exhausted without details", codes.ResourceExhausted, nil, unknown, "RESOURCE_EXHAUSTED"},
		{"resource exhausted by a quota", codes.ResourceExhausted, details(&errdetails.QuotaFailure{}), quota, "RESOURCE_EXHAUSTED"},
		{"resource exhausted with an error info", codes.ResourceExhausted, details(&errdetails.ErrorInfo{Reason: "RATE_LIMIT_EXCEEDED"}), quota, "RESOURCE_EXHAUSTED"},
		{"resource exhausted with other details", codes.ResourceExhausted, details(&errdetails.RetryInfo{}), unknown, "RESOURCE_EXHAUSTED"},
		{"failed precondition", codes.FailedPrecondition, nil, rejected, "FAILED_PRECONDITION"},
		{"aborted", codes.Aborted, nil, unknown, "ABORTED"},
		{"out of range", codes.OutOfRange, nil, rejected, "OUT_OF_RANGE"},
		{"unimplemented", codes.Unimplemented, nil, rejected, "UNIMPLEMENTED"},
		{"internal", codes.Internal, nil, unknown, "INTERNAL"},
		{"unavailable", codes.Unavailable, nil, unknown, "UNAVAILABLE"},
		{"unavailable with quota details", codes.Unavailable, details(&errdetails.QuotaFailure{}), unknown, "UNAVAILABLE"},
		{"data loss", codes.DataLoss, nil, unknown, "DATA_LOSS"},
		{"unauthenticated", codes.Unauthenticated, nil, rejected, "UNAUTHENTICATED"},
		{"a code that nobody knows", codes.Code(77), nil, unknown, "77"},
	}
	for _, headersFirst := range []bool{false, true} {
		s := &script{}
		c := s.client(t)
		for _, tt := range tests {
			refusal, err := status.New(tt.code, "because of "+tt.name).WithDetails(tt.details...)
			if err != nil {
				t.Fatal(err)
			}
			s.run = func(ctx context.Context, _ *runpb.RunJobRequest) (*longrunningpb.Operation, error) {
				if headersFirst {
					if err := grpc.SendHeader(ctx, metadata.Pairs("x-server", "scripted")); err != nil {
						t.Error(err)
					}
				}
				return nil, refusal.Err()
			}
			before := s.called()
			got := c.Run(t.Context(), lifecycle.Launch{Job: aJob})
			want := lifecycle.Answer{Kind: tt.want, Words: "because of " + tt.name, Code: tt.spelled}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, headers first %t (-want +got):\n%s", tt.name, headersFirst, diff)
			}
			if n := s.called() - before; n != 1 {
				t.Errorf("%s, headers first %t: %d calls came, want exactly 1", tt.name, headersFirst, n)
			}
		}
	}
}

func details(m protoadapt.MessageV1) []protoadapt.MessageV1 { return []protoadapt.MessageV1{m} }

// A service config may come from a connection that somebody else has dialled.
func TestRun_is_not_repeated_by_a_service_config(t *testing.T) {
	t.Parallel()
	s := &script{run: func(context.Context, *runpb.RunJobRequest) (*longrunningpb.Operation, error) {
		return nil, status.Error(codes.Unavailable, "later")
	}}
	conn, err := grpc.NewClient(s.listen(t), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(
		`{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":4,"initialBackoff":"0.001s","maxBackoff":"0.001s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := clientOf(t, Options{Conn: conn})
	if got := c.Run(t.Context(), lifecycle.Launch{Job: aJob}); got.Kind != unknown || s.called() != 1 {
		t.Errorf("%+v after %d calls, want unknown after 1", got, s.called())
	}
}

func TestRun_needs_a_name_in_the_answer(t *testing.T) {
	t.Parallel()
	started := &runpb.Execution{Name: anExecution, Job: aJob}
	unreadable := operation(t, started)
	unreadable.Metadata.Value = []byte{0xff}
	otherKind := operation(t, started)
	otherKind.Metadata.TypeUrl = "type.googleapis.com/google.cloud.run.v2.Job"
	ended := operation(t, started)
	ended.Done = true
	ended.Result = &longrunningpb.Operation_Error{Error: status.New(codes.Internal, "container").Proto()}
	tests := []struct {
		name string
		op   *longrunningpb.Operation
		want lifecycle.Answer
	}{
		{"with a name", operation(t, started), lifecycle.Answer{Kind: named, Name: anExecution}},
		{"with a name, in a large answer", operation(t, &runpb.Execution{Name: anExecution, Creator: strings.Repeat("x", 8<<20)}), lifecycle.Answer{Kind: named, Name: anExecution}},
		{"with a name, ended at once", ended, lifecycle.Answer{Kind: named, Name: anExecution}},
		{"with a project number", operation(t, &runpb.Execution{Name: anExecutionByNumber}), lifecycle.Answer{Kind: named, Name: anExecution}},
		{"with the name of another job's execution", operation(t, &runpb.Execution{Name: aJob + "-2/executions/report-2-x"}), lifecycle.Answer{Words: "the answer does not name an execution of the job: " + aJob + "-2/executions/report-2-x", Code: "OK"}},
		{"without metadata", operation(t, nil), lifecycle.Answer{Words: "the answer does not name an execution of the job: ", Code: "OK"}},
		{"without a name", operation(t, &runpb.Execution{}), lifecycle.Answer{Words: "the answer does not name an execution of the job: ", Code: "OK"}},
		{"with a short name", operation(t, &runpb.Execution{Name: "report-x7k2p"}), lifecycle.Answer{Words: "the answer does not name an execution of the job: report-x7k2p", Code: "OK"}},
		{"with the job's name", operation(t, &runpb.Execution{Name: aJob}), lifecycle.Answer{Words: "the answer does not name an execution of the job: " + aJob, Code: "OK"}},
		{"with a name that cannot be stored", operation(t, &runpb.Execution{Name: anExecution + "\x00"}), lifecycle.Answer{Words: "the answer does not name an execution of the job: " + anExecution, Code: "OK"}},
		{"with unreadable metadata", unreadable, lifecycle.Answer{Code: "OK"}},
		{"with metadata of another kind", otherKind, lifecycle.Answer{Code: "OK"}},
	}
	s := &script{}
	c := s.client(t)
	for _, tt := range tests {
		s.run = func(context.Context, *runpb.RunJobRequest) (*longrunningpb.Operation, error) { return tt.op, nil }
		got := c.Run(t.Context(), lifecycle.Launch{Job: aJob})
		if tt.want.Kind == unknown && tt.want.Words == "" && strings.HasPrefix(got.Words, "the answer cannot be read: ") {
			got.Words = "" // the rest is the library's
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestRun_gives_up_at_its_deadline_and_never_asks_twice(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 10)
	s := &script{run: func(ctx context.Context, _ *runpb.RunJobRequest) (*longrunningpb.Operation, error) {
		arrived <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	c := clientOf(t, Options{Endpoint: s.listen(t), CallDeadline: 500 * time.Millisecond})
	got := c.Run(t.Context(), lifecycle.Launch{Job: aJob})
	<-arrived // the server may count after the client has given up
	if got.Kind != unknown || got.Code != "DEADLINE_EXCEEDED" || s.called() != 1 {
		t.Errorf("%+v after %d calls, want unknown, DEADLINE_EXCEEDED after 1", got, s.called())
	}
}

func TestRun_is_unknown_when_the_caller_hangs_up(t *testing.T) {
	t.Parallel()
	ctx, hangUp := context.WithCancel(t.Context())
	s := &script{run: func(ctx context.Context, _ *runpb.RunJobRequest) (*longrunningpb.Operation, error) {
		hangUp()
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	got := s.client(t).Run(ctx, lifecycle.Launch{Job: aJob})
	if got.Kind != unknown || got.Code != "CANCELLED" || s.called() != 1 {
		t.Errorf("%+v after %d calls, want unknown, CANCELLED after 1", got, s.called())
	}
}

func TestRun_is_unknown_when_nobody_listens(t *testing.T) {
	t.Parallel()
	c := clientOf(t, Options{Endpoint: "127.0.0.1:1"})
	if got := c.Run(t.Context(), lifecycle.Launch{Job: aJob}); got.Kind != unknown || got.Code != "UNAVAILABLE" {
		t.Errorf("%+v, want unknown, UNAVAILABLE", got)
	}
}

func TestRun_is_unknown_when_the_request_cannot_be_written(t *testing.T) {
	t.Parallel()
	s := &script{}
	got := s.client(t).Run(t.Context(), lifecycle.Launch{Job: aJob, Env: []lifecycle.EnvVar{{Name: "A", Value: "\xff"}}})
	if got.Kind != unknown || s.called() != 0 {
		t.Errorf("%+v after %d calls, want unknown after none", got, s.called())
	}
}

func TestRun_sends_what_the_launch_says(t *testing.T) {
	t.Parallel()
	type override = runpb.RunJobRequest_Overrides_ContainerOverride
	marker := lifecycle.EnvVar{Name: lifecycle.MarkerEnv, Value: "i/r/1"}
	markerSent := &runpb.EnvVar{Name: lifecycle.MarkerEnv, Values: &runpb.EnvVar_Value{Value: "i/r/1"}}
	tests := []struct {
		name   string
		launch lifecycle.Launch
		want   *runpb.RunJobRequest_Overrides
	}{
		{"nothing but the job", lifecycle.Launch{}, &runpb.RunJobRequest_Overrides{}},
		{"everything",
			lifecycle.Launch{Container: "main", TaskCount: 10000, SetArgs: true, Args: []string{"--day", "1"}, Env: []lifecycle.EnvVar{marker, {Name: "EMPTY"}}, Timeout: 90 * time.Second},
			&runpb.RunJobRequest_Overrides{TaskCount: 10000, Timeout: durationpb.New(90 * time.Second), ContainerOverrides: []*override{{
				Name: "main", Args: []string{"--day", "1"}, Env: []*runpb.EnvVar{markerSent, {Name: "EMPTY", Values: &runpb.EnvVar_Value{}}},
			}}}},
		{"the job's own args", lifecycle.Launch{Container: "main", TaskCount: 1, Args: []string{"ignored"}, Env: []lifecycle.EnvVar{marker}},
			&runpb.RunJobRequest_Overrides{TaskCount: 1, ContainerOverrides: []*override{{Name: "main", Env: []*runpb.EnvVar{markerSent}}}}},
		{"no args at all", lifecycle.Launch{TaskCount: 1, SetArgs: true},
			&runpb.RunJobRequest_Overrides{TaskCount: 1, ContainerOverrides: []*override{{ClearArgs: true}}}},
		{"a container whose name is not known", lifecycle.Launch{TaskCount: 1, Env: []lifecycle.EnvVar{marker}},
			&runpb.RunJobRequest_Overrides{TaskCount: 1, ContainerOverrides: []*override{{Env: []*runpb.EnvVar{markerSent}}}}},
		{"a container's name alone", lifecycle.Launch{Container: "main"},
			&runpb.RunJobRequest_Overrides{ContainerOverrides: []*override{{Name: "main"}}}},
	}
	var got *runpb.RunJobRequest
	s := &script{run: func(_ context.Context, r *runpb.RunJobRequest) (*longrunningpb.Operation, error) {
		got = proto.CloneOf(r)
		return operation(t, &runpb.Execution{Name: anExecution}), nil
	}}
	c := s.client(t)
	for _, tt := range tests {
		tt.launch.Job = aJob
		if answer := c.Run(t.Context(), tt.launch); answer.Kind != named {
			t.Fatalf("%s: %+v", tt.name, answer)
		}
		want := &runpb.RunJobRequest{Name: aJob, Overrides: tt.want}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if got := s.lastHeader("x-goog-request-params"); got != "location=europe-west1" {
		t.Errorf("routing header %q, want the job's region", got)
	}
}

func TestRun_cleans_the_words_of_a_refusal(t *testing.T) {
	t.Parallel()
	server := newRawServer(t, func(s stream) {
		err := s.headers(true, ":status", "200", "content-type", "application/grpc", "grpc-status", "7",
			"grpc-message", "no%00 %ff%fe permission "+strings.Repeat("%C3%A9", maxWords))
		if err != nil {
			t.Errorf("answer: %v", err)
		}
	})
	got := clientOf(t, Options{Endpoint: server.addr}).Run(t.Context(), lifecycle.Launch{Job: aJob})
	if got.Kind != rejected || !utf8.ValidString(got.Words) || strings.Contains(got.Words, "\x00") || len(got.Words) > maxWords {
		t.Errorf("%d bytes of %v: %q", len(got.Words), got.Kind, got.Words)
	}
	if !strings.HasPrefix(got.Words, "no \uFFFD permission éé") || !strings.HasSuffix(got.Words, "é…") {
		t.Errorf("words are lost: %q", got.Words)
	}
}
