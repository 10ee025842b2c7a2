package functions

import (
	"context"
	"net/http"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/engine"

	"github.com/danielgtaylor/huma/v2"
)

type runQuery struct {
	Workflow string `query:"workflow" maxLength:"200" doc:"only runs of this workflow"`
	Status   string `query:"status" enum:"pending,running,success,failed,cancelled" doc:"only runs with this status"`
	Paging
}

type taskQuery struct {
	RunRef
	Step   string `query:"step" maxLength:"200" doc:"only tasks of this step"`
	Status string `query:"status" enum:"pending,dispatched,running,success,failed,cancelled,skipped" doc:"only tasks with this status"`
	Paging
}

type runPage struct {
	RunRef
	Paging
}

type executionQuery struct {
	Run string `query:"run" required:"true" maxLength:"200" doc:"the run's UUID, or WORKFLOW.NUMBER"`
	Paging
}

type eventQuery struct {
	Run string `query:"run" maxLength:"200" doc:"only events of this run: its UUID, or WORKFLOW.NUMBER"`
	Paging
}

// statusRoutes are called by whoever may look. They change nothing.
func (f *Functions) statusRoutes() {
	const root = "/" + api.FunctionStatus
	get := func(id, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: root + path, Summary: summary, Description: description}
	}
	register(f, get("get-overview", "", "Read the overview", "The installation at a glance."), f.overview)
	register(f, get("list-runs", "/runs", "List runs", "Newest first."), f.listRuns)
	register(f, get("get-run", "/runs/{run}", "Read one run", "With its steps, and what it waits for."), f.getRun)
	register(f, get("list-tasks", "/runs/{run}/tasks", "List a run's tasks", "By step and index."), f.listTasks)
	register(f, get("list-run-executions", "/runs/{run}/executions", "List a run's executions", "Newest first."),
		func(ctx context.Context, in *runPage) (*reply[api.ExecutionList], error) {
			return f.listExecutions(ctx, in.Run, in.page())
		})
	register(f, get("list-run-events", "/runs/{run}/events", "List a run's events", "Newest first."),
		func(ctx context.Context, in *runPage) (*reply[api.EventList], error) {
			return f.listEvents(ctx, in.Run, in.page())
		})
	register(f, get("list-executions", "/executions", "List a run's executions", "Newest first."),
		func(ctx context.Context, in *executionQuery) (*reply[api.ExecutionList], error) {
			return f.listExecutions(ctx, in.Run, in.page())
		})
	register(f, get("list-events", "/events", "List events", "Of the whole installation or of one run, newest first."),
		func(ctx context.Context, in *eventQuery) (*reply[api.EventList], error) {
			return f.listEvents(ctx, in.Run, in.page())
		})
	f.mux.HandleFunc("GET "+root+"/openapi.json", f.openAPI)
}

func (f *Functions) overview(ctx context.Context, _ *struct{}) (*reply[api.Overview], error) {
	o, err := f.engine.Overview(ctx)
	if err != nil {
		return nil, err
	}
	return &reply[api.Overview]{Body: encodeOverview(o, f.version)}, nil
}

func (f *Functions) listRuns(ctx context.Context, in *runQuery) (*reply[api.RunList], error) {
	list, next, err := f.engine.Runs(ctx, engine.RunFilter{Workflow: in.Workflow, Status: in.Status, Page: in.page()})
	if err != nil {
		return nil, err
	}
	return &reply[api.RunList]{Body: api.RunList{Runs: encodeAll(list, encodeSummary), NextPageToken: next}}, nil
}

func (f *Functions) getRun(ctx context.Context, in *RunRef) (*reply[api.Run], error) {
	d, err := f.engine.Run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	out, err := encodeDetail(d)
	if err != nil {
		return nil, err
	}
	return &reply[api.Run]{Body: out}, nil
}

func (f *Functions) listTasks(ctx context.Context, in *taskQuery) (*reply[api.TaskList], error) {
	list, next, err := f.engine.Tasks(ctx, in.Run, engine.TaskFilter{Step: in.Step, Status: in.Status, Page: in.page()})
	if err != nil {
		return nil, err
	}
	return &reply[api.TaskList]{Body: api.TaskList{Tasks: encodeAll(list, encodeTask), NextPageToken: next}}, nil
}

func (f *Functions) listExecutions(ctx context.Context, run string, p engine.Page) (*reply[api.ExecutionList], error) {
	list, next, err := f.engine.Executions(ctx, run, p)
	if err != nil {
		return nil, err
	}
	return &reply[api.ExecutionList]{Body: api.ExecutionList{Executions: encodeAll(list, encodeExecution), NextPageToken: next}}, nil
}

func (f *Functions) listEvents(ctx context.Context, run string, p engine.Page) (*reply[api.EventList], error) {
	list, next, err := f.engine.Events(ctx, run, p)
	if err != nil {
		return nil, err
	}
	return &reply[api.EventList]{Body: api.EventList{Events: encodeAll(list, encodeEvent), NextPageToken: next}}, nil
}

// openAPI describes all four functions.
func (f *Functions) openAPI(w http.ResponseWriter, r *http.Request) {
	document, err := f.document()
	if err != nil {
		writeProblem(w, internalProblem(f.fail(r.Context(), "openapi", err)))
		return
	}
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(document)
}
