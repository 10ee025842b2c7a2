package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"

	"github.com/google/uuid"
)

// listFrom is how many due executions of one job are worth a listing instead of a call each.
const listFrom = 25

// observe asks Cloud Run about live executions and records what became of them and of their tasks.
//
//	execution launched → running → finished, task dispatched → running → final, or → pending
func (e *Engine) observe(ctx context.Context, t *turn) (moved int, err error) {
	var errs []error
	for {
		rows, err := e.Store.ClaimDueLooks(ctx, e.claim(t))
		if err != nil || len(rows) == 0 {
			return moved, errors.Join(append(errs, err)...)
		}
		listed := e.listDue(ctx, t, rows)
		left := forEach(ctx, e, t, rows,
			func(ctx context.Context, x lifecycle.Execution) observed { return e.look(ctx, t.now, x, listed) },
			func(group []observed) {
				n, err := e.recordLooks(ctx, group)
				moved += n
				errs = append(errs, err)
			})
		errs = append(errs, e.Store.Release(ctx, ids(left), store.Undecided{Claim: claimOf(left)}))
		if len(rows) < page || t.over() {
			return moved, errors.Join(errs...)
		}
	}
}

// observed is what one look found.
type observed struct {
	row  lifecycle.Execution
	look lifecycle.Look
	err  error
}

// look asks about one execution, unless a listing has shown it already, and about its tasks where they differ.
func (e *Engine) look(ctx context.Context, now time.Time, x lifecycle.Execution, listed map[string]lifecycle.Facts) observed {
	o := observed{row: x}
	f, ok := listed[x.Name]
	if !ok {
		var err error
		f, err = e.CloudRun.Get(ctx, x.Name)
		switch {
		case errors.Is(err, lifecycle.ErrGone):
			o.look.Gone = true
			return o
		case err != nil:
			o.err = fmt.Errorf("look at %s: %w", x.Name, err)
			return o
		}
	}
	o.look.Facts = f
	if lifecycle.NeedsTasks(x, f) {
		tasks, err := e.CloudRun.Tasks(ctx, x.Name, x.TaskCount)
		switch {
		case err != nil:
			o.err = fmt.Errorf("list tasks of %s: %w", x.Name, err)
		case lifecycle.Told(tasks) < x.TaskCount && now.Sub(*f.CompletedAt) < e.SettleWindow: // a task that is told of late may have run
			o.err = fmt.Errorf("list tasks of %s: the ends of only %d of %d are told yet", x.Name, lifecycle.Told(tasks), x.TaskCount)
		}
		o.look.Tasks = tasks
	}
	return o
}

// listDue reads the newest executions of jobs of which many are due, a few pages each, by name. What it does not find is asked for one by one.
func (e *Engine) listDue(ctx context.Context, t *turn, rows []lifecycle.Execution) map[string]lifecycle.Facts {
	byJob := map[string][]lifecycle.Execution{}
	for _, x := range rows {
		byJob[x.Job] = append(byJob[x.Job], x)
	}
	found := map[string]lifecycle.Facts{}
	for job, due := range byJob {
		if len(due) >= listFrom {
			e.listJob(ctx, t, job, due, found)
		}
	}
	return found
}

func (e *Engine) listJob(ctx context.Context, t *turn, job string, due []lifecycle.Execution, found map[string]lifecycle.Facts) {
	want := make(map[string]bool, len(due))
	oldest := due[0].CreatedAt
	for _, x := range due {
		want[x.Name] = true
		if x.CreatedAt.Before(oldest) {
			oldest = x.CreatedAt
		}
	}
	token := ""
	for range len(due)/10 + 1 {
		list, next, err := e.CloudRun.List(ctx, job, token)
		if err != nil { // each is asked for by itself, and says what is wrong
			return
		}
		for _, f := range list {
			if want[f.Name] {
				found[f.Name] = f
				delete(want, f.Name)
			}
		}
		token = next
		if len(want) == 0 || next == "" || len(list) > 0 && list[len(list)-1].CreatedAt.Before(oldest.Add(-lifecycle.ListingMargin)) || t.over() {
			return
		}
	}
}

// recordLooks decides a group of looks and writes it at once. A look that failed changes nothing but the time of the next.
func (e *Engine) recordLooks(ctx context.Context, group []observed) (int, error) {
	var errs []error
	var moves []lifecycle.Move
	var failed []lifecycle.Execution // they fail together for the same reason, mostly: the first one's is shown
	var seen []observed
	var open []uuid.UUID
	for _, o := range group {
		if o.err != nil {
			errs = append(errs, o.err)
			if m, over := lifecycle.LooksOverdue(o.row, o.row.ClaimedAt); over {
				moves = append(moves, m)
			} else {
				failed = append(failed, o.row)
			}
			continue
		}
		seen = append(seen, o)
		if !o.look.Gone && lifecycle.NeedsTasks(o.row, o.look.Facts) {
			open = append(open, o.row.ID)
		}
	}
	if len(failed) > 0 {
		u := store.Undecided{Claim: claimOf(failed), After: 10 * time.Second, Why: errs[0].Error(), Looked: true}
		errs = append(errs, e.Store.Release(ctx, ids(failed), u))
	}
	attempts, err := e.attempts(ctx, open)
	if err != nil {
		return 0, errors.Join(append(errs, err)...)
	}
	for _, o := range seen {
		moves = append(moves, lifecycle.Observe(o.row, o.look, attempts[o.row.ID], e.SettleWindow, o.row.ClaimedAt))
	}
	moved := 0
	for _, m := range moves {
		if m.Status != m.Row.Status {
			moved++
		}
	}
	_, err = e.Store.RecordMoves(ctx, moves, nil)
	errs = append(errs, err, e.learn(ctx, seen))
	return moved, errors.Join(errs...)
}

func (e *Engine) attempts(ctx context.Context, executions []uuid.UUID) (map[uuid.UUID]map[int]lifecycle.Attempt, error) {
	if len(executions) == 0 {
		return nil, nil
	}
	return e.Store.Attempts(ctx, executions)
}

// learn keeps what first looks tell about jobs, and warns of those that repeat tasks by themselves: such repeats are not ours to prevent.
func (e *Engine) learn(ctx context.Context, seen []observed) error {
	type place struct {
		run  uuid.UUID
		step int
	}
	warned := map[place]bool{}
	var errs []error
	for _, o := range seen {
		if o.look.Gone || o.row.Image != "" {
			continue
		}
		f := o.look.Facts.Job
		f.Job = o.row.Job
		errs = append(errs, e.recordJob(ctx, f))
		if at := (place{o.row.RunID, o.row.StepNo}); f.MaxRetries > 0 && !warned[at] {
			warned[at] = true
			errs = append(errs, e.Store.WarnRetries(ctx, o.row.RunID, o.row.StepNo, lifecycle.RetriesAdvice(f.Job, f.MaxRetries)))
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) recordJob(ctx context.Context, f lifecycle.JobFacts) error {
	e.mu.Lock()
	known, ok := e.jobs[f.Job]
	e.mu.Unlock()
	if ok && known.Image == f.Image && known.MaxRetries == f.MaxRetries && known.Parallelism == f.Parallelism && known.Timeout == f.Timeout && slices.Equal(known.Containers, f.Containers) {
		return nil
	}
	if err := e.Store.RecordJob(ctx, f); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.jobs[f.Job] = f
	return nil
}
