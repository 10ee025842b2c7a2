package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Page asks for one page of a list.
type Page struct {
	Size  int    // 1..1000; 0 leaves it to the server
	Token string // the next_page_token of the page before, empty for the first
}

// RunFilter chooses runs; an empty field chooses all.
type RunFilter struct {
	Workflow string
	Status   string
	Page     Page
}

// TaskFilter chooses tasks of a run; an empty field chooses all.
type TaskFilter struct {
	Step   string
	Status string
	Page   Page
}

// Overview is the installation at a glance. JSON that is none of ours is a *Foreign.
func (c *Client) Overview(ctx context.Context) (Overview, error) {
	a, err := c.send(ctx, call{method: http.MethodGet, function: FunctionStatus, path: "/"})
	if err != nil {
		return Overview{}, err
	}
	if a.status != http.StatusOK {
		return Overview{}, a.failure()
	}
	var o Overview
	if !a.isJSON() || json.Unmarshal(a.body, &o) != nil || o.Mode == "" || o.Installation == "" {
		return Overview{}, a.foreign()
	}
	return o, nil
}

// Workflows is one page of workflows, by name.
func (c *Client) Workflows(ctx context.Context, p Page) (WorkflowList, error) {
	return get[WorkflowList](ctx, c, FunctionWorkflows, "/", p.values())
}

// Workflow is one workflow with its definition.
func (c *Client) Workflow(ctx context.Context, name string) (Workflow, error) {
	path, err := below("", name, "")
	if err != nil {
		return Workflow{}, err
	}
	return get[Workflow](ctx, c, FunctionWorkflows, path, nil)
}

// PutWorkflow applies a definition, JSON of at most MaxDefinitionBytes. With onlyNew an existing workflow with another definition is a conflict.
func (c *Client) PutWorkflow(ctx context.Context, name string, doc []byte, onlyNew bool) (w Workflow, created bool, err error) {
	path, err := below("", name, "")
	if err != nil {
		return Workflow{}, false, err
	}
	q := call{method: http.MethodPut, function: FunctionWorkflows, path: path, body: doc}
	if onlyNew {
		q.header = map[string]string{"If-None-Match": "*"}
	}
	status, err := c.json(ctx, q, &w)
	return w, status == http.StatusCreated, err
}

// WorkflowVersions is one page of a workflow's versions, newest first.
func (c *Client) WorkflowVersions(ctx context.Context, name string, p Page) (WorkflowVersionList, error) {
	path, err := below("", name, "/versions")
	if err != nil {
		return WorkflowVersionList{}, err
	}
	return get[WorkflowVersionList](ctx, c, FunctionWorkflows, path, p.values())
}

// ArchiveWorkflow hides a workflow and ends new runs of it.
func (c *Client) ArchiveWorkflow(ctx context.Context, name string) error {
	path, err := below("", name, "")
	if err != nil {
		return err
	}
	_, err = c.json(ctx, call{method: http.MethodDelete, function: FunctionWorkflows, path: path}, nil)
	return err
}

// Trigger starts a run. Under a key it may be repeated safely: the same key and request give the same run.
func (c *Client) Trigger(ctx context.Context, workflow string, r TriggerRequest, key string) (Run, error) {
	path, err := below("", workflow, "")
	if err != nil {
		return Run{}, err
	}
	q := call{method: http.MethodPost, function: FunctionTrigger, path: path}
	if q.body, err = json.Marshal(r); err != nil {
		return Run{}, fmt.Errorf("trigger %s: params: %w", workflow, err)
	}
	if key != "" {
		q.header = map[string]string{IdempotencyKeyHeader: key}
	}
	var run Run
	_, err = c.json(ctx, q, &run)
	return run, err
}

// Cancel asks a run to stop.
func (c *Client) Cancel(ctx context.Context, run string, r CancelRequest) (Run, error) {
	path, err := below("/runs", run, "/cancel")
	if err != nil {
		return Run{}, err
	}
	q := call{method: http.MethodPost, function: FunctionTrigger, path: path}
	if q.body, err = json.Marshal(r); err != nil {
		return Run{}, fmt.Errorf("cancel %s: %w", run, err)
	}
	var answered Run
	_, err = c.json(ctx, q, &answered)
	return answered, err
}

// Run is one run with its steps.
func (c *Client) Run(ctx context.Context, run string) (Run, error) {
	path, err := below("/runs", run, "")
	if err != nil {
		return Run{}, err
	}
	return get[Run](ctx, c, FunctionStatus, path, nil)
}

// Runs is one page of runs, newest first.
func (c *Client) Runs(ctx context.Context, f RunFilter) (RunList, error) {
	query := f.Page.values()
	setIf(query, "workflow", f.Workflow)
	setIf(query, "status", f.Status)
	return get[RunList](ctx, c, FunctionStatus, "/runs", query)
}

// Tasks is one page of a run's tasks, by step and index.
func (c *Client) Tasks(ctx context.Context, run string, f TaskFilter) (TaskList, error) {
	path, err := below("/runs", run, "/tasks")
	if err != nil {
		return TaskList{}, err
	}
	query := f.Page.values()
	setIf(query, "step", f.Step)
	setIf(query, "status", f.Status)
	return get[TaskList](ctx, c, FunctionStatus, path, query)
}

// Executions is one page of a run's executions, newest first.
func (c *Client) Executions(ctx context.Context, run string, p Page) (ExecutionList, error) {
	path, err := below("/runs", run, "/executions")
	if err != nil {
		return ExecutionList{}, err
	}
	return get[ExecutionList](ctx, c, FunctionStatus, path, p.values())
}

// Events is one page of a run's events, newest first.
func (c *Client) Events(ctx context.Context, run string, p Page) (EventList, error) {
	path, err := below("/runs", run, "/events")
	if err != nil {
		return EventList{}, err
	}
	return get[EventList](ctx, c, FunctionStatus, path, p.values())
}

// Tick moves everything that is due. Where phases failed it answers the report and a *TickError.
func (c *Client) Tick(ctx context.Context) (TickReport, error) {
	a, err := c.send(ctx, call{method: http.MethodPost, function: FunctionTick, path: "/", timeout: tickTimeout})
	if err != nil {
		return TickReport{}, err
	}
	var report TickReport
	isReport := a.media == "application/json" && json.Unmarshal(a.body, &report) == nil && report.Phases != nil
	switch {
	case isReport && len(report.Errors) > 0:
		return report, &TickError{Errors: report.Errors}
	case isReport && a.status == http.StatusOK:
		return report, nil
	case a.status == http.StatusOK:
		return TickReport{}, a.foreign()
	}
	return TickReport{}, a.failure()
}

func (p Page) values() url.Values {
	query := url.Values{}
	if p.Size > 0 {
		query.Set("page_size", strconv.Itoa(p.Size))
	}
	setIf(query, "page_token", p.Token)
	return query
}

func setIf(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// below makes a path with one name in it. Names that a path would lose are refused here, as the server would refuse them if it could see them.
func below(before, name, after string) (string, error) {
	if name == "" || name == "." || name == ".." {
		return "", &Problem{Title: "Invalid", Status: http.StatusUnprocessableEntity, Detail: fmt.Sprintf("%q is not a name", name)}
	}
	return before + "/" + url.PathEscape(name) + after, nil
}
