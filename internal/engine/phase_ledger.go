package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/workflow"

	"github.com/google/uuid"
)

const (
	// expandChunk is how many tasks are inserted in one transaction.
	expandChunk = 10_000
	// packPage is how many tasks are packed in one statement.
	packPage = 1000
	// packWindow is how many planned executions of a step may wait for their launch.
	packWindow = 256
)

// unblock finds the steps whose needs have ended.
//
//	step pending → ready | skipped, run pending → running
func (e *Engine) unblock(ctx context.Context, t *turn) (int, error) {
	steps, err := pages(t, func() (int, error) { return e.Store.Unblock(ctx, t.now, page) })
	runs, err2 := pages(t, func() (int, error) { return e.Store.StartRuns(ctx, t.now, page) })
	return steps + runs, errors.Join(err, err2)
}

// pages repeats a bulk write until it moves less than a page.
func pages(t *turn, write func() (int, error)) (moved int, err error) {
	for {
		n, err := write()
		moved += n
		if err != nil || n < page || t.over() {
			return moved, err
		}
	}
}

// expand gives ready steps their tasks, a chunk at a time, so that other steps have their turn.
//
//	step ready → running, tasks → pending
func (e *Engine) expand(ctx context.Context, t *turn) (moved int, err error) {
	for {
		steps, err := e.Store.Expandable(ctx, 10)
		if err != nil || len(steps) == 0 {
			return moved, err
		}
		progress := false
		var errs []error
		for _, x := range steps {
			if t.over() {
				return moved, errors.Join(errs...)
			}
			n, err := e.expandChunk(ctx, x)
			moved += n
			progress = progress || n > 0
			errs = append(errs, err)
		}
		if err := errors.Join(errs...); err != nil || !progress || t.over() {
			return moved, err
		}
	}
}

func (e *Engine) expandChunk(ctx context.Context, x store.Expandable) (int, error) {
	spec, err := e.spec(ctx, x.WorkflowID, x.Version)
	if err != nil {
		return 0, err
	}
	to := min(x.Expanded+expandChunk, x.TaskCount)
	ok, err := e.Store.Expand(ctx, x, to, items(spec.Steps[x.StepNo], x.Expanded, to))
	if err != nil || !ok {
		return 0, err
	}
	return max(to-x.Expanded, 1), nil
}

// items are the params of the tasks [from, to), nil where the index says it all.
func items(s workflow.Step, from, to int) []json.RawMessage {
	if s.Tasks.Items == nil {
		return nil
	}
	return s.Tasks.Items[from:to]
}

// spec is the definition of a run.
func (e *Engine) spec(ctx context.Context, workflowID uuid.UUID, version int) (*workflow.Spec, error) {
	k := specKey{workflowID, version}
	if s := e.specs.get(k); s != nil {
		return s, nil
	}
	raw, err := e.Store.Spec(ctx, workflowID, version)
	if err != nil {
		return nil, err
	}
	return e.specs.put(k, raw)
}

// pack puts due tasks into executions, which are started by launch.
//
//	task pending → dispatched, execution → planned
func (e *Engine) pack(ctx context.Context, t *turn) (moved int, err error) {
	if some, err := e.Store.Packable(ctx); err != nil || !some {
		return 0, err
	}
	for {
		ids := make([]uuid.UUID, packPage)
		for i := range ids {
			ids[i] = newID()
		}
		n, err := e.Store.Pack(ctx, store.Packing{Now: t.now, IDs: ids, Window: packWindow})
		moved += n
		if err != nil || n < packPage || t.over() {
			return moved, err
		}
	}
}

// finish ends steps, then runs, in which nothing is left to do.
//
//	step → success | failed | cancelled, run → success | failed | cancelled
func (e *Engine) finish(ctx context.Context, t *turn) (int, error) {
	now, err := e.Store.Now(ctx) // not the pass's: what ends now may have begun after that
	if err != nil {
		return 0, err
	}
	steps, err := pages(t, func() (int, error) { return e.Store.FinishSteps(ctx, now, page) })
	runs, err2 := e.Store.FinishRuns(ctx, now, page)
	for _, r := range runs {
		f := Finished{ID: r.ID, Run: fmt.Sprintf("%s.%d", r.Workflow, r.Number), Workflow: r.Workflow, Status: r.Status, Reason: r.Reason, Tasks: r.Tasks, FailedTasks: r.Failed}
		t.finished = append(t.finished, f)
		e.logFinished(ctx, f)
	}
	return steps + len(runs), errors.Join(err, err2)
}
