package api

import (
	"context"
	"fmt"
	"iter"
)

// AllWorkflows goes through the workflows of all pages.
func (c *Client) AllWorkflows(ctx context.Context) iter.Seq2[Workflow, error] {
	return all(Page{Size: MaxPageSize}, func(p Page) ([]Workflow, string, error) {
		list, err := c.Workflows(ctx, p)
		return list.Workflows, list.NextPageToken, err
	})
}

// AllWorkflowVersions goes through the versions of all pages, newest first.
func (c *Client) AllWorkflowVersions(ctx context.Context, name string) iter.Seq2[WorkflowVersion, error] {
	return all(Page{}, func(p Page) ([]WorkflowVersion, string, error) {
		list, err := c.WorkflowVersions(ctx, name, p)
		return list.Versions, list.NextPageToken, err
	})
}

// AllRuns goes through the runs of all pages, newest first, from the page that the filter names.
func (c *Client) AllRuns(ctx context.Context, f RunFilter) iter.Seq2[Run, error] {
	return all(f.Page, func(p Page) ([]Run, string, error) {
		f.Page = p
		list, err := c.Runs(ctx, f)
		return list.Runs, list.NextPageToken, err
	})
}

// AllTasks goes through the tasks of all pages, from the page that the filter names.
func (c *Client) AllTasks(ctx context.Context, run string, f TaskFilter) iter.Seq2[Task, error] {
	return all(f.Page, func(p Page) ([]Task, string, error) {
		f.Page = p
		list, err := c.Tasks(ctx, run, f)
		return list.Tasks, list.NextPageToken, err
	})
}

// AllExecutions goes through the executions of all pages, newest first.
func (c *Client) AllExecutions(ctx context.Context, run string) iter.Seq2[Execution, error] {
	return all(Page{Size: MaxPageSize}, func(p Page) ([]Execution, string, error) {
		list, err := c.Executions(ctx, run, p)
		return list.Executions, list.NextPageToken, err
	})
}

// AllEvents goes through the events of all pages, newest first.
func (c *Client) AllEvents(ctx context.Context, run string) iter.Seq2[Event, error] {
	return all(Page{Size: MaxPageSize}, func(p Page) ([]Event, string, error) {
		list, err := c.Events(ctx, run, p)
		return list.Events, list.NextPageToken, err
	})
}

// all asks for page after page while its user wants more. An error is its last pair.
func all[T any](first Page, fetch func(Page) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for p := first; ; {
			items, next, err := fetch(p)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			if next == p.Token {
				yield(none, fmt.Errorf("the list does not end: page %q follows itself", next))
				return
			}
			p.Token = next
		}
	}
}
