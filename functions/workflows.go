package functions

import (
	"context"
	"net/http"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/engine"

	"github.com/danielgtaylor/huma/v2"
)

// Paging is the part of a list's query that chooses the page.
type Paging struct {
	Size  int    `query:"page_size" minimum:"1" maximum:"1000" default:"50" doc:"how many at most"`
	Token string `query:"page_token" maxLength:"1000" doc:"next_page_token of the page before"`
}

func (p Paging) page() engine.Page { return engine.Page{Size: p.Size, Token: p.Token} }

// reply is an answer with one status for all cases.
type reply[T any] struct{ Body T }

// coded is an answer whose status depends on what happened.
type coded[T any] struct {
	Status int
	Body   T
}

// WorkflowName is the path of one workflow.
type WorkflowName struct {
	Name string `path:"name" doc:"the workflow's name"`
}

type workflowPut struct {
	WorkflowName
	Caller
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"refuse to change a workflow that exists already"`
	RawBody     []byte `contentType:"application/json"`
}

type workflowDelete struct {
	WorkflowName
	Caller
}

type workflowVersions struct {
	WorkflowName
	Paging
}

// workflowRoutes are called by whoever may decide what runs. All may be repeated: a definition that is there already makes no new version.
func (f *Functions) workflowRoutes() {
	const root = "/" + api.FunctionWorkflows
	register(f, huma.Operation{
		OperationID: "list-workflows", Method: http.MethodGet, Path: root,
		Summary: "List workflows", Description: "By name, without the archived ones.",
	}, f.listWorkflows)
	register(f, huma.Operation{
		OperationID: "get-workflow", Method: http.MethodGet, Path: root + "/{name}",
		Summary: "Read one workflow", Description: "At its newest version, with the definition.",
	}, f.getWorkflow)
	register(f, huma.Operation{
		OperationID: "put-workflow", Method: http.MethodPut, Path: root + "/{name}", SkipValidateBody: true,
		Summary: "Apply a definition", Description: "Answers 201 when the workflow is new. A definition that equals the present one makes no new version.",
	}, f.putWorkflow)
	register(f, huma.Operation{
		OperationID: "archive-workflow", Method: http.MethodDelete, Path: root + "/{name}",
		Summary: "Archive a workflow", Description: "It takes no more runs and leaves the lists; applying it again brings it back.",
	}, f.archiveWorkflow)
	register(f, huma.Operation{
		OperationID: "list-workflow-versions", Method: http.MethodGet, Path: root + "/{name}/versions",
		Summary: "List a workflow's versions", Description: "Newest first.",
	}, f.listWorkflowVersions)

	put := f.api.OpenAPI().Paths[root+"/{name}"].Put
	put.RequestBody.Content["application/json"].Schema = &huma.Schema{
		Type: huma.TypeObject, Description: "The workflow's definition.", AdditionalProperties: true,
	}
	// huma leaves out that what a pointer to a struct describes may be null.
	lastRun := f.api.OpenAPI().Components.Schemas.Map()["Workflow"].Properties
	lastRun["last_run"] = &huma.Schema{
		Description: lastRun["last_run"].Description, AnyOf: []*huma.Schema{{Ref: lastRun["last_run"].Ref}, {Type: "null"}},
	}
	put.Responses["201"] = &huma.Response{Description: "The workflow is new", Content: put.Responses["200"].Content}
}

func (f *Functions) listWorkflows(ctx context.Context, in *struct{ Paging }) (*reply[api.WorkflowList], error) {
	list, next, err := f.engine.Workflows(ctx, in.page())
	if err != nil {
		return nil, err
	}
	out := api.WorkflowList{Workflows: make([]api.Workflow, 0, len(list)), NextPageToken: next}
	for _, w := range list {
		shown, err := encodeWorkflow(w)
		if err != nil {
			return nil, err
		}
		out.Workflows = append(out.Workflows, shown)
	}
	return &reply[api.WorkflowList]{Body: out}, nil
}

func (f *Functions) getWorkflow(ctx context.Context, in *WorkflowName) (*reply[api.Workflow], error) {
	w, err := f.engine.Workflow(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	out, err := encodeWorkflow(w)
	if err != nil {
		return nil, err
	}
	out.Definition = w.Spec
	return &reply[api.Workflow]{Body: out}, nil
}

func (f *Functions) putWorkflow(ctx context.Context, in *workflowPut) (*coded[api.Workflow], error) {
	applied, err := f.engine.Apply(ctx, engine.Apply{
		Name: in.Name, Document: in.RawBody, Actor: f.actorOf(in.Caller), OnlyNew: in.IfNoneMatch != "",
	})
	if err != nil {
		return nil, err
	}
	out, err := encodeWorkflow(applied.Workflow)
	if err != nil {
		return nil, err
	}
	out.Definition, out.Warnings = applied.Workflow.Spec, applied.Warnings
	status := http.StatusOK
	if applied.Created {
		status = http.StatusCreated
	}
	return &coded[api.Workflow]{Status: status, Body: out}, nil
}

func (f *Functions) archiveWorkflow(ctx context.Context, in *workflowDelete) (*struct{}, error) {
	return nil, f.engine.Archive(ctx, in.Name, f.actorOf(in.Caller))
}

func (f *Functions) listWorkflowVersions(ctx context.Context, in *workflowVersions) (*reply[api.WorkflowVersionList], error) {
	list, next, err := f.engine.WorkflowVersions(ctx, in.Name, in.page())
	if err != nil {
		return nil, err
	}
	out := api.WorkflowVersionList{Versions: encodeAll(list, encodeVersion), NextPageToken: next}
	return &reply[api.WorkflowVersionList]{Body: out}, nil
}
