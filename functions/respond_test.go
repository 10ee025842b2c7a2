package functions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
)

// sqlError is an error with a code of the PostgreSQL server.
type sqlError string

func (e sqlError) Error() string    { return "secret words of the database" }
func (e sqlError) SQLState() string { return string(e) }

func TestErrorsBecomeProblems(t *testing.T) {
	t.Parallel()
	const (
		down  = "the database cannot be reached or has no room for another connection; try again in a moment"
		fixed = "something went wrong inside the orchestrator"
	)
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		name   string
		err    error
		status int
		detail string
	}{
		{"a missing workflow", lifecycle.NotFound("there is no workflow %q", "a"), 404, `there is no workflow "a"`},
		{"a conflict", lifecycle.Conflict("run a.1 has ended already"), 409, "run a.1 has ended already"},
		{"an invalid request", lifecycle.Invalid("the page_token is not one of ours"), 422, "the page_token is not one of ours"},
		{"a fault below other words", fmt.Errorf("trigger a: store: %w", lifecycle.NotFound("there is no workflow")), 404, "there is no workflow"},
		{"a sentinel with words that are not for users", fmt.Errorf("row 17 of table runs: %w", lifecycle.ErrNotFound), 404, "there is no such thing"},
		{"an invalid sentinel", fmt.Errorf("x: %w", lifecycle.ErrInvalid), 422, "the request is not valid"},
		{"a conflicting sentinel", fmt.Errorf("x: %w", lifecycle.ErrConflict), 409, "the present state forbids this"},
		{"no connection", fmt.Errorf("runs: %w", refused), 503, down},
		{"no connection in time", fmt.Errorf("runs: %w", errors.Join(refused, context.DeadlineExceeded)), 503, down},
		{"no such host", fmt.Errorf("runs: %w", &net.DNSError{Name: "db"}), 503, down},
		{"a connection that broke", fmt.Errorf("runs: %w", io.ErrUnexpectedEOF), 503, down},
		{"too many connections", fmt.Errorf("runs: %w", sqlError("53300")), 503, down},
		{"a server that starts", sqlError("57P03"), 503, down},
		{"a server that stops", sqlError("57P01"), 503, down},
		{"a statement that is wrong", sqlError("42601"), 500, fixed},
		{"too slow", fmt.Errorf("runs: %w", context.DeadlineExceeded), 504, "the answer took too long; try again in a moment"},
		{"given up", fmt.Errorf("runs: %w", context.Canceled), 503, "the request was given up before it had an answer; send it again"},
		{"anything else", errors.New("password=hunter2"), 500, fixed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, log := withoutEngine(Options{})
			p := f.problemOf(t.Context(), huma.Operation{OperationID: "get-run", Method: http.MethodGet}, c.err)
			if p.Status != c.status || p.Detail != c.detail || p.Title != http.StatusText(c.status) {
				t.Errorf("got %+v", p.Problem)
			}
			logged := strings.Contains(log.String(), "level=ERROR") && strings.Contains(log.String(), "id="+p.ID)
			if c.status >= 500 != (p.ID != "") || c.status >= 500 != logged {
				t.Errorf("id %q, log %s", p.ID, log)
			}
			if !strings.Contains(log.String(), "operation=get-run") || !strings.Contains(log.String(), c.err.Error()) && !strings.Contains(log.String(), fmt.Sprintf("%q", c.err)) {
				t.Errorf("the log does not say what happened: %s", log)
			}
		})
	}
}

func TestACallerWhoHasGoneIsNoErrorInTheLog(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, log := withoutEngine(Options{})
	p := f.problemOf(ctx, huma.Operation{OperationID: "get-run", Method: http.MethodGet}, fmt.Errorf("runs: %w", context.Canceled))
	if p.Status != http.StatusServiceUnavailable || strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "get-run") {
		t.Errorf("got %+v, log %s", p.Problem, log)
	}
}

func TestFieldFaultsAreToldWithTheirPlace(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("apply: %w", &lifecycle.Fault{Kind: lifecycle.ErrInvalid, Message: "the definition has 2 faults", Fields: []lifecycle.FieldFault{
		{Path: "steps.load.tasks.count", Message: "must be from 1 to 1000000"},
		{Message: "must have a name"},
	}})
	f, _ := withoutEngine(Options{})
	for method, base := range map[string]string{http.MethodPut: "body", http.MethodGet: "query"} {
		p := f.problemOf(t.Context(), huma.Operation{Method: method}, err)
		want := []api.ProblemField{
			{Message: "must be from 1 to 1000000", Location: base + ".steps.load.tasks.count"},
			{Message: "must have a name", Location: base},
		}
		if d := cmp.Diff(want, p.Errors); d != "" || p.Detail != "the definition has 2 faults" || p.Status != 422 {
			t.Errorf("%s: %+v\n%s", method, p.Problem, d)
		}
	}
}
