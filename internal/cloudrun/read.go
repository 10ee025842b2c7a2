package cloudrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/cenkalti/backoff/v5"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"

	"cloud-run-orchestrator/internal/lifecycle"
)

// pageSize is the largest page that is known to work; the largest that is allowed is not documented.
const pageSize = 100

// tries is how often a read is made at most, all within the call's deadline.
const tries = 3

// Get reads one execution by its full name, which is the name in the facts too, however Cloud Run writes the project.
// An execution that Cloud Run does not know is lifecycle.ErrGone. An answer about another one is an error.
func (c *Client) Get(ctx context.Context, name string) (lifecycle.Facts, error) {
	what := "get execution " + name
	execution, err := read(ctx, c, what, func(ctx context.Context) (*runpb.Execution, error) {
		return c.executions.GetExecution(ctx, &runpb.GetExecutionRequest{Name: name}, gax.WithGRPCOptions(anySize()))
	})
	if err != nil {
		return lifecycle.Facts{}, err
	}
	f, ok := facts(jobOf(name), execution)
	if !ok || f.Name != name {
		return lifecycle.Facts{}, fmt.Errorf("%s: %w", what, otherName(execution.GetName()))
	}
	return f, nil
}

// List reads one page of a job's executions, newest first, at most 100 of them. pageToken is the next of the page before, empty for the first page;
// next is empty after the last. A job that Cloud Run does not know is lifecycle.ErrGone. A page that shows anything but executions of the job is an error:
// left out, it would let a launch that is there look absent.
func (c *Client) List(ctx context.Context, job, pageToken string) (page []lifecycle.Facts, next string, err error) {
	what := "list executions of " + job
	answer, err := read(ctx, c, what, func(ctx context.Context) (*runpb.ListExecutionsResponse, error) {
		request := &runpb.ListExecutionsRequest{Parent: job, PageSize: pageSize, PageToken: pageToken}
		it := c.executions.ListExecutions(ctx, request, gax.WithGRPCOptions(anySize()))
		if _, err := it.Next(); err != nil && !errors.Is(err, iterator.Done) {
			return nil, err
		}
		return onePage[*runpb.ListExecutionsResponse](it.Response)
	})
	if err != nil {
		return nil, "", err
	}
	page = make([]lifecycle.Facts, 0, len(answer.GetExecutions()))
	for _, execution := range answer.GetExecutions() {
		f, ok := facts(job, execution)
		if !ok {
			return nil, "", fmt.Errorf("%s: %w", what, otherName(execution.GetName()))
		}
		page = append(page, f)
	}
	return page, answer.GetNextPageToken(), nil
}

// Tasks reads all tasks of an execution, by index, each once. taskCount is the number that is expected: a task whose index is not below it is left out, and
// a list that does not end long after it is an error.
// An execution that Cloud Run does not know is lifecycle.ErrGone.
func (c *Client) Tasks(ctx context.Context, execution string, taskCount int) ([]lifecycle.TaskFacts, error) {
	byIndex := make(map[int]lifecycle.TaskFacts, taskCount) // the order of the list is not documented
	what := "list tasks of " + execution
	token := ""
	for range taskCount + 10 {
		page, err := read(ctx, c, what, func(ctx context.Context) (*runpb.ListTasksResponse, error) {
			return c.taskPage(ctx, execution, token)
		})
		if err != nil {
			return nil, err
		}
		for _, task := range page.GetTasks() {
			f := taskFacts(task)
			if f.Index < 0 || f.Index >= taskCount || byIndex[f.Index].HasResult && !f.HasResult { // a result stays, whatever a later page says
				continue
			}
			byIndex[f.Index] = f
		}
		if token = page.GetNextPageToken(); token == "" {
			return slices.SortedFunc(maps.Values(byIndex), func(a, b lifecycle.TaskFacts) int { return cmp.Compare(a.Index, b.Index) }), nil
		}
	}
	return nil, fmt.Errorf("%s: still more pages after %d, for %d tasks", what, taskCount+10, taskCount)
}

func (c *Client) taskPage(ctx context.Context, execution, token string) (*runpb.ListTasksResponse, error) {
	request := &runpb.ListTasksRequest{Parent: execution, PageSize: pageSize, PageToken: token}
	it := c.tasks.ListTasks(ctx, request, gax.WithGRPCOptions(anySize()))
	if _, err := it.Next(); err != nil && !errors.Is(err, iterator.Done) {
		return nil, err
	}
	return onePage[*runpb.ListTasksResponse](it.Response)
}

// onePage takes the page that an iterator has read last out of it.
func onePage[T any](response any) (T, error) {
	page, ok := response.(T)
	if !ok {
		return page, fmt.Errorf("the client library gave a page of type %T", response)
	}
	return page, nil
}

// read makes a call that changes nothing, and repeats it when the fault may pass by itself. A try has a share of the deadline, so that one that hangs
// leaves time for the next.
func read[T any](ctx context.Context, c *Client, what string, call func(context.Context) (T, error)) (T, error) {
	whole, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	var last error
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = c.pause
	answer, err := backoff.Retry(whole, func() (T, error) {
		var answer T
		answer, last = callWithin(whole, c.deadline/tries, call)
		if last != nil && !mayPass(last) {
			return answer, backoff.Permanent(last)
		}
		return answer, last
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(tries))
	if err != nil {
		return answer, failed(ctx, what, last)
	}
	return answer, nil
}

func callWithin[T any](ctx context.Context, limit time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return call(ctx)
}

func mayPass(err error) bool {
	switch statusOf(err).Code() {
	case codes.Unavailable, codes.Internal, codes.Aborted, codes.DeadlineExceeded, codes.ResourceExhausted:
		return true
	}
	return false
}
