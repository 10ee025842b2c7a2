package engine

import (
	"context"
	"errors"
	"math"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/workflow"
)

// Apply is a definition to be applied.
type Apply struct {
	Name     string // must equal the definition's own name
	Document []byte // the definition as JSON
	Actor    string
	OnlyNew  bool // an existing workflow with another definition is a conflict
}

// Applied is what became of it.
type Applied struct {
	Workflow lifecycle.Workflow
	Created  bool     // the workflow is new
	Changed  bool     // there is a new version; false when the definition equals the present one
	Warnings []string // legal now, perhaps not what was meant
}

// Apply stores a definition as the workflow's newest version, unless it equals the present one.
// Faults: ErrInvalid with one FieldFault per problem; ErrConflict with OnlyNew.
func (e *Engine) Apply(ctx context.Context, a Apply) (Applied, error) {
	doc, err := workflow.Parse("", a.Document)
	if err != nil {
		return Applied{}, definitionFault(err)
	}
	spec, err := doc.Spec(e.Defaults)
	if err != nil {
		return Applied{}, definitionFault(err)
	}
	if spec.Name != a.Name {
		return Applied{}, lifecycle.Invalid("the definition is named %q but was sent to %q; send it to its own name", spec.Name, a.Name)
	}
	digest := spec.Digest()
	created, changed, err := e.Store.Apply(ctx, store.Definition{
		ID: newID(), Name: spec.Name, Description: spec.Description, Spec: spec.Canonical(), Digest: digest[:], Actor: a.Actor, OnlyNew: a.OnlyNew,
	})
	if err != nil {
		return Applied{}, err
	}
	w, err := e.Store.Workflow(ctx, spec.Name)
	if err != nil {
		return Applied{}, err
	}
	applied := Applied{Workflow: w, Created: created, Changed: changed}
	for _, p := range doc.Warnings {
		applied.Warnings = append(applied.Warnings, p.Path+": "+p.Message)
	}
	return applied, nil
}

// definitionFault turns the problems of a definition into one fault with a field each.
func definitionFault(err error) error {
	var problems workflow.Problems
	if !errors.As(err, &problems) {
		return err
	}
	f := &lifecycle.Fault{Kind: lifecycle.ErrInvalid, Message: "the definition is not valid"}
	for _, p := range problems {
		f.Fields = append(f.Fields, lifecycle.FieldFault{Path: p.Path, Message: p.Message})
	}
	return f
}

// Workflow is one workflow at its newest version. ErrNotFound names the nearest existing name.
func (e *Engine) Workflow(ctx context.Context, name string) (lifecycle.Workflow, error) {
	w, err := e.Store.Workflow(ctx, name)
	if errors.Is(err, lifecycle.ErrNotFound) || err == nil && w.ArchivedAt != nil {
		return w, e.noWorkflow(ctx, name)
	}
	return w, err
}

func (e *Engine) noWorkflow(ctx context.Context, name string) error {
	names, err := e.Store.WorkflowNames(ctx)
	if err != nil {
		return err
	}
	if near, ok := workflow.Nearest(name, names); ok {
		return lifecycle.NotFound("there is no workflow %q; did you mean %q?", name, near)
	}
	return lifecycle.NotFound("there is no workflow %q", name)
}

// Workflows lists workflows by name, without the archived ones.
func (e *Engine) Workflows(ctx context.Context, p Page) (list []lifecycle.Workflow, next string, err error) {
	size, err := p.size()
	if err != nil {
		return nil, "", err
	}
	var after struct{ Name string }
	if err := parseToken(p.Token, &after); err != nil {
		return nil, "", err
	}
	if list, err = e.Store.Workflows(ctx, after.Name, size+1); err != nil {
		return nil, "", err
	}
	list, more := cut(list, size)
	if more {
		after.Name = list[size-1].Name
		next = token(after)
	}
	return list, next, nil
}

// WorkflowVersions lists a workflow's versions, newest first.
func (e *Engine) WorkflowVersions(ctx context.Context, name string, p Page) (list []lifecycle.WorkflowVersion, next string, err error) {
	size, err := p.size()
	if err != nil {
		return nil, "", err
	}
	below := struct{ Version int32 }{math.MaxInt32}
	if err := parseToken(p.Token, &below); err != nil {
		return nil, "", err
	}
	w, err := e.Workflow(ctx, name)
	if err != nil {
		return nil, "", err
	}
	if list, err = e.Store.Versions(ctx, w.ID, int(below.Version), size+1); err != nil {
		return nil, "", err
	}
	list, more := cut(list, size)
	if more {
		below.Version = int32(list[size-1].Version)
		next = token(below)
	}
	return list, next, nil
}

// Archive hides a workflow and refuses new runs of it; applying it again brings it back. ErrConflict while a run of it is unfinished.
func (e *Engine) Archive(ctx context.Context, name, actor string) error {
	w, err := e.Workflow(ctx, name)
	if err != nil {
		return err
	}
	ok, err := e.Store.Archive(ctx, w.ID)
	if err == nil && !ok {
		return lifecycle.Conflict("workflow %q has unfinished runs; wait for them or cancel them first", name)
	}
	if err == nil {
		e.Log.Info("workflow archived", "workflow", name, "actor", actor)
	}
	return err
}
