package cloudrun

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cloud-run-orchestrator/internal/lifecycle"
)

var allCodes = []codes.Code{
	codes.Canceled, codes.Unknown, codes.InvalidArgument, codes.DeadlineExceeded, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
	codes.ResourceExhausted, codes.FailedPrecondition, codes.Aborted, codes.OutOfRange, codes.Unimplemented, codes.Internal, codes.Unavailable,
	codes.DataLoss, codes.Unauthenticated,
}

// reads are the calls that change nothing, each failing with fail until it is nil.
func reads(s *script, fail func() error) map[string]func(context.Context, *Client) error {
	s.get = func(context.Context, *runpb.GetExecutionRequest) (*runpb.Execution, error) {
		return &runpb.Execution{Name: anExecution}, fail()
	}
	s.list = func(context.Context, *runpb.ListExecutionsRequest) (*runpb.ListExecutionsResponse, error) {
		return &runpb.ListExecutionsResponse{}, fail()
	}
	s.tasks = func(context.Context, *runpb.ListTasksRequest) (*runpb.ListTasksResponse, error) {
		return &runpb.ListTasksResponse{}, fail()
	}
	s.job = func(context.Context, *runpb.GetJobRequest) (*runpb.Job, error) { return &runpb.Job{Name: aJob}, fail() }
	s.test = func(context.Context, *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
		return &iampb.TestIamPermissionsResponse{}, fail()
	}
	return map[string]func(context.Context, *Client) error{
		"get job " + aJob:              func(ctx context.Context, c *Client) error { _, err := c.Job(ctx, aJob); return err },
		"test permissions on " + aJob:  func(ctx context.Context, c *Client) error { _, err := c.Permissions(ctx, aJob, nil); return err },
		"get execution " + anExecution: func(ctx context.Context, c *Client) error { _, err := c.Get(ctx, anExecution); return err },
		"list executions of " + aJob:   func(ctx context.Context, c *Client) error { _, _, err := c.List(ctx, aJob, ""); return err },
		"list tasks of " + anExecution: func(ctx context.Context, c *Client) error { _, err := c.Tasks(ctx, anExecution, 3); return err },
	}
}

func TestReads_are_repeated_until_they_succeed(t *testing.T) {
	t.Parallel()
	failures := 0
	s := &script{}
	c := s.client(t)
	for what, call := range reads(s, func() error {
		if failures++; failures <= 2 {
			return status.Error(codes.Unavailable, "later")
		}
		return nil
	}) {
		failures = 0
		before := s.called()
		if err := call(t.Context(), c); err != nil {
			t.Error(err)
		}
		if n := s.called() - before; n != 3 {
			t.Errorf("%s: %d calls, want 3", what, n)
		}
	}
}

func TestReads_are_repeated_only_for_faults_that_pass(t *testing.T) {
	t.Parallel()
	passing := map[codes.Code]bool{
		codes.Unavailable: true, codes.Internal: true, codes.Aborted: true, codes.DeadlineExceeded: true, codes.ResourceExhausted: true,
	}
	var code codes.Code
	s := &script{}
	c := s.client(t)
	for what, call := range reads(s, func() error { return status.Error(code, "because") }) {
		for _, code = range allCodes {
			want := 1
			if passing[code] {
				want = 3
			}
			before := s.called()
			err := call(t.Context(), c)
			if n := s.called() - before; n != want {
				t.Errorf("%s, %v: %d calls, want %d", what, code, n, want)
			}
			if wantText := what + ": " + codeName(code) + ": because"; err == nil || err.Error() != wantText {
				t.Errorf("error %q, want %q", err, wantText)
			}
			if status.Code(err) != code {
				t.Errorf("%s: the error's code is %v, want %v", what, status.Code(err), code)
			}
			if gone := errors.Is(err, lifecycle.ErrGone); gone != (code == codes.NotFound) {
				t.Errorf("%s, %v: gone is %t", what, code, gone)
			}
		}
	}
}

func TestReads_that_hang_are_tried_again(t *testing.T) {
	t.Parallel()
	var hung atomic.Bool
	s := &script{get: func(ctx context.Context, _ *runpb.GetExecutionRequest) (*runpb.Execution, error) {
		if !hung.Swap(true) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return &runpb.Execution{Name: anExecution}, nil
	}}
	c := clientOf(t, Options{Endpoint: s.listen(t), CallDeadline: 3 * time.Second})
	if f, err := c.Get(t.Context(), anExecution); err != nil || f.Name != anExecution {
		t.Errorf("facts %+v, error %v", f, err)
	}
}

func TestReads_that_always_hang_end_at_their_deadline(t *testing.T) {
	t.Parallel()
	s := &script{get: func(ctx context.Context, _ *runpb.GetExecutionRequest) (*runpb.Execution, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	c := clientOf(t, Options{Endpoint: s.listen(t), CallDeadline: 150 * time.Millisecond})
	_, err := c.Get(t.Context(), anExecution)
	if status.Code(err) != codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want DEADLINE_EXCEEDED, which is not the caller's own", err)
	}
}

func TestReads_end_with_the_callers_context(t *testing.T) {
	t.Parallel()
	ctx, hangUp := context.WithCancel(t.Context())
	s := &script{}
	s.get = func(context.Context, *runpb.GetExecutionRequest) (*runpb.Execution, error) {
		hangUp()
		return nil, status.Error(codes.Unavailable, "later")
	}
	c := s.client(t)
	c.pause = time.Hour
	if _, err := c.Get(ctx, anExecution); !errors.Is(err, context.Canceled) || s.called() != 1 {
		t.Errorf("error %v after %d calls, want the caller's cancellation after 1", err, s.called())
	}
}

func TestList_passes_pages_on_as_they_come(t *testing.T) {
	t.Parallel()
	newest := &runpb.Execution{Name: aJob + "/executions/report-3"}
	older := &runpb.Execution{Name: aJob + "/executions/report-2"}
	oldest := &runpb.Execution{Name: aJob + "/executions/report-1"}
	var asked []string
	s := &script{list: func(_ context.Context, r *runpb.ListExecutionsRequest) (*runpb.ListExecutionsResponse, error) {
		asked = append(asked, fmt.Sprintf("%s %d %q", lifecycle.ShortName(r.Parent), r.PageSize, r.PageToken))
		if r.PageToken == "" {
			return &runpb.ListExecutionsResponse{Executions: []*runpb.Execution{newest, older}, NextPageToken: "p2"}, nil
		}
		return &runpb.ListExecutionsResponse{Executions: []*runpb.Execution{oldest}}, nil
	}}
	c := s.client(t)
	var got []string
	token := ""
	for {
		page, next, err := c.List(t.Context(), aJob, token)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page {
			got = append(got, lifecycle.ShortName(f.Name))
		}
		if token = next; token == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"report-3", "report-2", "report-1"}, got); diff != "" {
		t.Errorf("executions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`report 100 ""`, `report 100 "p2"`}, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if got := s.lastHeader("x-goog-request-params"); got != "parent=projects%2Facme%2Flocations%2Feurope-west1%2Fjobs%2Freport" {
		t.Errorf("routing header %q", got)
	}
}

func TestList_of_a_job_that_never_ran_is_empty(t *testing.T) {
	t.Parallel()
	s := &script{list: func(context.Context, *runpb.ListExecutionsRequest) (*runpb.ListExecutionsResponse, error) {
		return &runpb.ListExecutionsResponse{}, nil
	}}
	page, next, err := s.client(t).List(t.Context(), aJob, "")
	if len(page) != 0 || next != "" || err != nil {
		t.Errorf("%v, %q, %v", page, next, err)
	}
}

func TestList_goes_on_after_a_page_without_executions(t *testing.T) {
	t.Parallel()
	s := &script{list: func(_ context.Context, r *runpb.ListExecutionsRequest) (*runpb.ListExecutionsResponse, error) {
		if r.PageToken == "" {
			return &runpb.ListExecutionsResponse{NextPageToken: "p2"}, nil
		}
		return &runpb.ListExecutionsResponse{Executions: []*runpb.Execution{{Name: anExecution}}, NextPageToken: "p3"}, nil
	}}
	page, next, err := s.client(t).List(t.Context(), aJob, "")
	if err != nil || len(page) != 1 || page[0].Name != anExecution || next != "p3" {
		t.Errorf("%v, %q, %v", page, next, err)
	}
}

func TestGet_takes_answers_of_any_size(t *testing.T) {
	t.Parallel()
	large := &runpb.Execution{Name: anExecution, Template: &runpb.TaskTemplate{Containers: []*runpb.Container{{
		Args: []string{strings.Repeat("x", 8<<20)},
		Env:  []*runpb.EnvVar{{Name: lifecycle.MarkerEnv, Values: &runpb.EnvVar_Value{Value: "i/r/1"}}},
	}}}}
	s := &script{get: func(context.Context, *runpb.GetExecutionRequest) (*runpb.Execution, error) { return large, nil }}
	got, err := s.client(t).Get(t.Context(), anExecution)
	if err != nil || got.Marker != "i/r/1" {
		t.Errorf("marker %q, error %v", got.Marker, err)
	}
}

func TestTasks_reads_every_page_and_orders_by_index(t *testing.T) {
	t.Parallel()
	pages := map[string]*runpb.ListTasksResponse{
		"":   {Tasks: []*runpb.Task{{Index: 3}, {Index: 0}}, NextPageToken: "p2"},
		"p2": {Tasks: []*runpb.Task{{Index: 3, Retried: 1}, {Index: 1}}, NextPageToken: "p3"}, // the list moved on
		"p3": {NextPageToken: "p4"},
		"p4": {Tasks: []*runpb.Task{{Index: 2}}},
	}
	failed := map[string]bool{}
	s := &script{tasks: func(_ context.Context, r *runpb.ListTasksRequest) (*runpb.ListTasksResponse, error) {
		if r.Parent != anExecution || r.PageSize != 100 {
			t.Errorf("asked for %d tasks of %s", r.PageSize, r.Parent)
		}
		if !failed[r.PageToken] {
			failed[r.PageToken] = true
			return nil, status.Error(codes.Internal, "once per page")
		}
		return pages[r.PageToken], nil
	}}
	tasks, err := s.client(t).Tasks(t.Context(), anExecution, 4)
	if err != nil {
		t.Fatal(err)
	}
	want := []lifecycle.TaskFacts{{Index: 0}, {Index: 1}, {Index: 2}, {Index: 3, Retried: 1}}
	if diff := cmp.Diff(want, tasks); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
}

func TestTasks_refuses_a_list_without_end(t *testing.T) {
	t.Parallel()
	s := &script{tasks: func(context.Context, *runpb.ListTasksRequest) (*runpb.ListTasksResponse, error) {
		return &runpb.ListTasksResponse{Tasks: []*runpb.Task{{Index: 0}}, NextPageToken: "again"}, nil
	}}
	_, err := s.client(t).Tasks(t.Context(), anExecution, 5)
	want := "list tasks of " + anExecution + ": still more pages after 15, for 5 tasks"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}
