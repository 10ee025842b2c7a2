package engine

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"cloud-run-orchestrator/internal/crash"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/workflow"

	"github.com/google/uuid"
)

// Trigger asks for a run.
type Trigger struct {
	Workflow string
	Params   map[string]json.RawMessage
	Key      string // Idempotency-Key, may be empty
	Digest   []byte // SHA-256 of the request's body; compared when the key was seen before
	Actor    string
}

// Trigger makes a run. With a Key that was used before it returns that run and replayed, or ErrConflict when the body differs.
func (e *Engine) Trigger(ctx context.Context, t Trigger) (run lifecycle.Run, replayed bool, err error) {
	ctx = crash.During(ctx, "request")
	for range 5 { // a definition applied between reading and writing is read again
		w, err := e.Workflow(ctx, t.Workflow)
		if err != nil {
			return run, false, err
		}
		if t.Key != "" {
			if id, err := e.Store.Replay(ctx, w.ID, w.Name, t.Key, t.Digest); err != nil || id != uuid.Nil {
				return e.replayed(ctx, id, err)
			}
		}
		spec, err := e.spec(ctx, w.ID, w.Version)
		if err != nil {
			return run, false, err
		}
		n, err := e.newRun(w, *spec, t)
		if err != nil {
			return run, false, err
		}
		id, replayed, err := e.Store.CreateRun(ctx, n)
		if errors.Is(err, store.ErrVersionChanged) {
			continue
		}
		if err != nil {
			return run, false, err
		}
		run, err = e.created(ctx, id)
		return run, replayed, err
	}
	return run, false, lifecycle.Conflict("workflow %q is being changed; trigger it again", t.Workflow)
}

func (e *Engine) replayed(ctx context.Context, id uuid.UUID, err error) (lifecycle.Run, bool, error) {
	if err != nil {
		return lifecycle.Run{}, false, err
	}
	run, err := e.created(ctx, id)
	return run, true, err
}

// created reads a run that is committed, and has a tick come for it. A request that is repeated does so again: perhaps the first one could not.
func (e *Engine) created(ctx context.Context, id uuid.UUID) (lifecycle.Run, error) {
	run, err := e.Store.Run(ctx, id)
	if run.FinishedAt == nil {
		e.wake(ctx)
	}
	return run, err
}

// newRun makes the run and its steps out of the definition.
func (e *Engine) newRun(w lifecycle.Workflow, spec workflow.Spec, t Trigger) (store.NewRun, error) {
	params, err := spec.RunParams(t.Params)
	if err != nil {
		return store.NewRun{}, paramsFault(err)
	}
	text, err := json.Marshal(params)
	if err != nil {
		return store.NewRun{}, err
	}
	if params == nil {
		text = []byte("{}")
	}
	n := store.NewRun{
		ID: newID(), WorkflowID: w.ID, Workflow: w.Name, Version: w.Version, Mode: e.Mode, Params: text, Actor: t.Actor,
		MaxExecutions: spec.MaxExecutions, Key: t.Key, Digest: t.Digest,
	}
	for no, s := range spec.Steps {
		count := s.Tasks.Len()
		n.Steps = append(n.Steps, store.NewStep{
			Name: s.Name, Needs: spec.Needs(no), Job: s.Job.FullName(), TaskCount: count,
			Tolerated: s.Tolerate.Of(count), MaxExecutions: s.MaxExecutions,
		})
	}
	return n, nil
}

func paramsFault(err error) error {
	var problems workflow.Problems
	if !errors.As(err, &problems) {
		return lifecycle.Invalid("%s", err)
	}
	f := &lifecycle.Fault{Kind: lifecycle.ErrInvalid, Message: "the params do not fit the workflow"}
	for _, p := range problems {
		f.Fields = append(f.Fields, lifecycle.FieldFault{Path: p.Path, Message: p.Message})
	}
	return f
}

// Cancel asks a run to stop: unsent work ends, live executions are cancelled by the ticks that follow. ErrConflict when the run is final.
// A run that is stopping already stays as it is, without error.
func (e *Engine) Cancel(ctx context.Context, ref, reason, actor string) (lifecycle.Run, error) {
	ctx = crash.During(ctx, "request")
	run, err := e.find(ctx, ref)
	if err != nil {
		return run, err
	}
	if reason == "" {
		reason = "cancelled by " + actor
	}
	tooLate, err := e.Store.StopRun(ctx, run.ID, lifecycle.Cancelled, reason, actor)
	if err != nil {
		return run, err
	}
	run, err = e.Store.Run(ctx, run.ID)
	if !tooLate {
		e.wake(ctx)
		return run, err
	}
	if err == nil {
		err = lifecycle.Conflict("run %s has already ended as %s; a final run cannot be cancelled", runName(run), run.Status)
	}
	return run, err
}

// find reads a run by its UUID or WORKFLOW.NUMBER.
func (e *Engine) find(ctx context.Context, ref string) (run lifecycle.Run, err error) {
	if id, parseErr := uuid.Parse(ref); parseErr == nil {
		run, err = e.Store.Run(ctx, id)
	} else {
		name, number, ok := splitRef(ref)
		if !ok {
			return run, lifecycle.Invalid("%q is not a run; write its UUID, or WORKFLOW.NUMBER as in nightly-report.42", ref)
		}
		run, err = e.Store.RunByNumber(ctx, name, number)
	}
	if errors.Is(err, lifecycle.ErrNotFound) {
		return run, lifecycle.NotFound("there is no run %q", ref)
	}
	return run, err
}

func splitRef(ref string) (name string, number int64, ok bool) {
	name, number, ok = lifecycle.RunNumber(ref)
	return name, number, ok && workflow.ValidName(name) == nil
}

func runName(r lifecycle.Run) string {
	return r.Workflow + "." + strconv.FormatInt(r.Number, 10)
}
