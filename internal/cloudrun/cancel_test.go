package cloudrun

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cloud-run-orchestrator/internal/lifecycle"
)

func TestCancel_asks_once_and_is_content_with_an_ended_execution(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code codes.Code
		want string // the error's text after the operation and the name; empty: no error
		gone bool
	}{
		{code: codes.OK},
		{code: codes.FailedPrecondition},
		{code: codes.NotFound, want: "NOT_FOUND: because", gone: true},
		{code: codes.Unavailable, want: "UNAVAILABLE: because"},
		{code: codes.PermissionDenied, want: "PERMISSION_DENIED: because"},
	}
	s := &script{}
	c := s.client(t)
	for _, tt := range tests {
		s.cancel = func(_ context.Context, r *runpb.CancelExecutionRequest) (*longrunningpb.Operation, error) {
			if r.Name != anExecution {
				t.Errorf("asked to cancel %s", r.Name)
			}
			return operation(t, nil), status.Error(tt.code, "because")
		}
		before := s.called()
		err := c.Cancel(t.Context(), anExecution)
		text := ""
		if err != nil {
			text = strings.TrimPrefix(err.Error(), "cancel execution "+anExecution+": ")
		}
		if text != tt.want || errors.Is(err, lifecycle.ErrGone) != tt.gone {
			t.Errorf("%v: error %q, gone %t", tt.code, text, errors.Is(err, lifecycle.ErrGone))
		}
		if n := s.called() - before; n != 1 {
			t.Errorf("%v: %d calls, want 1", tt.code, n)
		}
	}
}

func TestCancel_that_hangs_ends_at_its_deadline(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 10)
	s := &script{cancel: func(ctx context.Context, _ *runpb.CancelExecutionRequest) (*longrunningpb.Operation, error) {
		arrived <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	c := clientOf(t, Options{Endpoint: s.listen(t), CallDeadline: 500 * time.Millisecond})
	err := c.Cancel(t.Context(), anExecution)
	<-arrived // the server may count after the client has given up
	if status.Code(err) != codes.DeadlineExceeded || s.called() != 1 {
		t.Errorf("error %v after %d calls, want DEADLINE_EXCEEDED after 1", err, s.called())
	}
}
