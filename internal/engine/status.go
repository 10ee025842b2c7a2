package engine

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/workflow"

	"github.com/google/uuid"
)

// RunDetail is everything about one run that is not a list.
type RunDetail struct {
	Run        lifecycle.Run
	Steps      []StepDetail
	Waiting    []string
	Warnings   []string
	Executions int
	Retries    int
}

// StepDetail is a step with the full name of its job.
type StepDetail struct {
	lifecycle.Step
	Job   string
	Needs []string
}

// RunFilter chooses runs.
type RunFilter struct {
	Workflow string // empty: all
	Status   string // empty: all
	Page     Page
}

// RunSummary is a run as lists show it.
type RunSummary struct {
	Run     lifecycle.Run
	Waiting []string
}

// TaskFilter chooses tasks of a run.
type TaskFilter struct {
	Step   string // empty: all
	Status string // empty: all
	Page   Page
}

// Overview is the installation at a glance.
type Overview struct {
	Mode                lifecycle.Mode
	Installation        string
	SchemaVersion       int
	LaunchBlockedReason string
	UnfinishedRuns      int
	Workflows           int
	LastTickAt          *time.Time
	Now                 time.Time
}

// Overview is the installation at a glance.
func (e *Engine) Overview(ctx context.Context) (Overview, error) {
	here, err := e.Store.Installation(ctx)
	if err != nil {
		return Overview{}, err
	}
	o := Overview{
		Mode: here.Mode, Installation: here.ID.String(), SchemaVersion: here.SchemaVersion,
		LaunchBlockedReason: here.LaunchBlockedReason, LastTickAt: here.LastTickAt,
	}
	o.UnfinishedRuns, o.Workflows, o.Now, err = e.Store.Counts(ctx)
	return o, err
}

// Run is one run; ref is its UUID or WORKFLOW.NUMBER.
func (e *Engine) Run(ctx context.Context, ref string) (RunDetail, error) {
	run, err := e.find(ctx, ref)
	if err != nil {
		return RunDetail{}, err
	}
	steps, err := e.Store.Steps(ctx, run.ID)
	if err != nil {
		return RunDetail{}, err
	}
	d := RunDetail{Run: run}
	jobs := make([]string, 0, len(steps))
	for _, s := range steps {
		sd := StepDetail{Step: s.Step, Job: s.Job}
		for _, no := range s.Needs {
			sd.Needs = append(sd.Needs, steps[no].Name)
		}
		d.Steps = append(d.Steps, sd)
		d.Executions += s.Executions
		d.Retries += s.Retries
		jobs = append(jobs, s.Job)
	}
	waiting, err := e.waiting(ctx, run)
	if err != nil {
		return d, err
	}
	d.Waiting = append(waiting[run.ID], limits(run, d.Steps)...)
	retries, err := e.Store.JobRetries(ctx, jobs)
	for _, job := range sortedKeys(retries) {
		d.Warnings = append(d.Warnings, lifecycle.RetriesAdvice(job, retries[job]))
	}
	return d, err
}

// Runs lists runs, newest first.
func (e *Engine) Runs(ctx context.Context, f RunFilter) (list []RunSummary, next string, err error) {
	size, err := f.Page.size()
	if err != nil {
		return nil, "", err
	}
	var before struct {
		At time.Time
		ID uuid.UUID
	}
	if err := parseToken(f.Page.Token, &before); err != nil {
		return nil, "", err
	}
	if f.Workflow != "" {
		if _, err := e.Store.Workflow(ctx, f.Workflow); err != nil {
			return nil, "", e.notFoundAs(ctx, err, f.Workflow)
		}
	}
	if err := knownStatus(lifecycle.KindRun, f.Status); err != nil {
		return nil, "", err
	}
	runs, err := e.Store.Runs(ctx, store.RunFilter{Workflow: f.Workflow, Status: f.Status, Before: before.At, BeforeID: before.ID, Limit: size + 1})
	if err != nil {
		return nil, "", err
	}
	runs, more := cut(runs, size)
	if more {
		before.At, before.ID = runs[size-1].CreatedAt, runs[size-1].ID
		next = token(before)
	}
	waiting, err := e.waiting(ctx, runs...)
	for _, r := range runs {
		list = append(list, RunSummary{Run: r, Waiting: waiting[r.ID]})
	}
	return list, next, err
}

// Tasks lists the tasks of a run by step and index.
func (e *Engine) Tasks(ctx context.Context, ref string, f TaskFilter) (list []lifecycle.Task, next string, err error) {
	size, err := f.Page.size()
	if err != nil {
		return nil, "", err
	}
	after := struct{ Step, Index int32 }{0, -1} // as the database has them: a made-up token must not reach it with more
	if err := parseToken(f.Page.Token, &after); err != nil {
		return nil, "", err
	}
	if err := knownStatus(lifecycle.KindTask, f.Status); err != nil {
		return nil, "", err
	}
	run, err := e.find(ctx, ref)
	if err != nil {
		return nil, "", err
	}
	step := -1
	if f.Step != "" {
		if step, err = e.stepNo(ctx, run, f.Step); err != nil {
			return nil, "", err
		}
	}
	list, err = e.Store.Tasks(ctx, store.TaskFilter{
		Run: run.ID, Step: step, Status: f.Status, AfterStep: int(after.Step), AfterIndex: int(after.Index), Limit: size + 1,
	})
	if err != nil {
		return nil, "", err
	}
	list, more := cut(list, size)
	if more {
		after.Step, after.Index = int32(list[size-1].StepNo), int32(list[size-1].Index)
		next = token(after)
	}
	return list, next, nil
}

func (e *Engine) stepNo(ctx context.Context, run lifecycle.Run, name string) (int, error) {
	steps, err := e.Store.Steps(ctx, run.ID)
	if err != nil {
		return 0, err
	}
	var names []string
	for _, s := range steps {
		if s.Name == name {
			return s.StepNo, nil
		}
		names = append(names, s.Name)
	}
	if near, ok := workflow.Nearest(name, names); ok {
		return 0, lifecycle.NotFound("run %s has no step %q; did you mean %q?", runName(run), name, near)
	}
	return 0, lifecycle.NotFound("run %s has no step %q", runName(run), name)
}

// Executions lists the executions of a run, newest first.
func (e *Engine) Executions(ctx context.Context, ref string, p Page) (list []lifecycle.Execution, next string, err error) {
	size, err := p.size()
	if err != nil {
		return nil, "", err
	}
	var below struct{ ID *uuid.UUID }
	if err := parseToken(p.Token, &below); err != nil {
		return nil, "", err
	}
	run, err := e.find(ctx, ref)
	if err != nil {
		return nil, "", err
	}
	if list, err = e.Store.Executions(ctx, run.ID, below.ID, size+1); err != nil {
		return nil, "", err
	}
	list, more := cut(list, size)
	if more {
		below.ID = &list[size-1].ID
		next = token(below)
	}
	return list, next, nil
}

// Events lists the events of a run, newest first; of everything where ref is empty.
func (e *Engine) Events(ctx context.Context, ref string, p Page) (list []lifecycle.Event, next string, err error) {
	size, err := p.size()
	if err != nil {
		return nil, "", err
	}
	below := struct{ Seq int64 }{math.MaxInt64}
	if err := parseToken(p.Token, &below); err != nil {
		return nil, "", err
	}
	var of *uuid.UUID
	if ref != "" {
		run, err := e.find(ctx, ref)
		if err != nil {
			return nil, "", err
		}
		of = &run.ID
	}
	if list, err = e.Store.Events(ctx, of, below.Seq, size+1); err != nil {
		return nil, "", err
	}
	list, more := cut(list, size)
	if more {
		below.Seq = list[size-1].Seq
		next = token(below)
	}
	return list, next, nil
}

// notFoundAs names the nearest workflow in place of a bare ErrNotFound.
func (e *Engine) notFoundAs(ctx context.Context, err error, workflowName string) error {
	if err == lifecycle.ErrNotFound {
		return e.noWorkflow(ctx, workflowName)
	}
	return err
}

// knownStatus refuses a filter by a status that nothing of the kind ever has.
func knownStatus(k lifecycle.Kind, status string) error {
	known := lifecycle.Statuses(k)
	if status == "" || slices.Contains(known, lifecycle.Status(status)) {
		return nil
	}
	names := make([]string, len(known))
	for i, s := range known {
		names[i] = string(s)
	}
	return lifecycle.Invalid("status: a %s is never %q; write %s", k, status, strings.Join(names, ", "))
}
