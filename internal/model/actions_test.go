package model

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/uuid"
)

// say writes a line of the story.
func (w *world) say(format string, args ...any) {
	w.t.Helper()
	w.t.Logf("%10s  %s", w.clock.Now().Sub(w.born), fmt.Sprintf(format, args...))
}

// trigger starts a run; cutting is what happens to the database meanwhile. The same key gives the same run.
func (w *world) trigger(workflow, key string, cutting *cut) {
	w.t.Helper()
	w.front.wire.set(cutting)
	digest := sha256.Sum256([]byte(workflow))
	run, replayed, err := w.front.engine.Trigger(w.ctx, engine.Trigger{Workflow: workflow, Key: key, Digest: digest[:], Actor: "model"})
	w.front.wire.set(nil)
	var made []string
	now := w.read()
	for id, r := range now.runs {
		if _, ok := w.ledger.runs[id]; !ok {
			made = append(made, r.name())
		}
	}
	line := "trigger " + workflow
	if key != "" {
		line += " with key " + key
	}
	if cutting != nil {
		line += ", " + cutting.String()
	}
	w.say("%s → %s %v", line, strings.Join(made, ", "), err)
	use, used := w.keys[workflow+"/"+key]
	switch {
	case len(made) > 1, used && use.run != "" && len(made) > 0:
		w.t.Fatalf("SAFETY: one trigger made %d runs, %v, after %v", len(made), made, use)
	case err != nil && cutting == nil:
		w.t.Fatalf("SAFETY: trigger: %v", err)
	case err == nil && !replayed && len(made) != 1:
		w.t.Fatalf("SAFETY: a trigger made no run, or more than one: %v", made)
	case err == nil && used && use.run != "" && use.run != run.ID.String():
		w.t.Fatalf("SAFETY: key %s gave run %s, and before %s", key, run.ID, use.run)
	}
	if key != "" && (err == nil || len(made) == 1) {
		id := run.ID.String()
		if err != nil {
			for other, r := range now.runs {
				if r.name() == made[0] {
					id = other
				}
			}
		}
		w.keys[workflow+"/"+key] = keyUse{id}
	}
}

func (c *cut) String() string {
	if c == nil {
		return "the database answers"
	}
	how := "before it arrives"
	if c.after {
		how = "after it was done"
	}
	if c.outage {
		how += ", and stays away"
	}
	return fmt.Sprintf("the database is cut off at %s %d, %s", cmp.Or(c.of, "statement"), c.at, how)
}

// tickOf is a tick of one process without new trouble. It may report only what is wrong with Cloud Run.
func (w *world) tickOf(p *process) {
	w.t.Helper()
	_, err := p.tick()
	w.say("tick of %s", p)
	w.mayFailOnly(err, "deadline exceeded", "DeadlineExceeded") // this machine was too busy
}

// mayFailOnly fails the test for an error in which something else stands than these words.
func (w *world) mayFailOnly(err error, words ...string) {
	w.t.Helper()
	if err == nil {
		return
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if !slices.ContainsFunc(words, func(word string) bool { return strings.Contains(line, word) }) {
			w.t.Fatalf("SAFETY: a tick that nothing disturbed failed: %s", line)
		}
	}
}

// ticks are ticks of several processes at once.
func (w *world) ticks(list []*process) {
	w.t.Helper()
	for _, p := range list {
		p.begin()
	}
	for _, p := range list {
		if _, ended := p.await(); !ended {
			w.t.Fatalf("a tick of %s is frozen", p)
		}
	}
}

// endExecution lets one execution end.
func (w *world) endExecution(x *execution, r emulator.Result) {
	w.t.Helper()
	x.ends = r
	w.gates.finish(x.name, r)
	w.say("execution %s of %s/%d ends: %s", x.short(), x.task.step, x.task.index, resultWords(r))
}

func resultWords(r emulator.Result) string {
	switch {
	case r.NoResult:
		return "without a result"
	case r.Signal != 0:
		return fmt.Sprintf("signal %d", r.Signal)
	case r.ExitCode != 0:
		return fmt.Sprintf("exit code %d", r.ExitCode)
	}
	return "success"
}

// vanish makes Cloud Run forget an execution, though it should not.
func (w *world) vanish(x *execution) {
	w.t.Helper()
	w.forget(x.name)
	x.gone = true
	w.say("execution %s of %s/%d vanishes", x.short(), x.task.step, x.task.index)
}

func (w *world) forget(name string) {
	w.t.Helper()
	if _, err := w.run.DeleteExecution(w.ctx, &runpb.DeleteExecutionRequest{Name: name}); err != nil {
		w.t.Fatal(err)
	}
}

// cancelOutside is what somebody else does in the console.
func (w *world) cancelOutside(x *execution) {
	w.t.Helper()
	if _, err := w.run.CancelExecution(w.ctx, &runpb.CancelExecutionRequest{Name: x.name}); err != nil {
		w.t.Fatal(err)
	}
	x.outside = true
	w.say("somebody else cancels execution %s of %s/%d", x.short(), x.task.step, x.task.index)
}

// strangers run a job n times, each to its end, with the marker of another installation where marked. Cloud Run evicts what it does not keep then.
func (w *world) strangers(job string, n int, marked bool) {
	w.t.Helper()
	env := []*runpb.EnvVar{{Name: "STRANGER", Values: &runpb.EnvVar_Value{Value: "yes"}}}
	if marked {
		m := lifecycle.Marker{Installation: uuid.MustParse("01234567-89ab-7def-8123-456789abcdef"), Row: uuid.New(), Send: 1}
		env = append(env, &runpb.EnvVar{Name: lifecycle.MarkerEnv, Values: &runpb.EnvVar_Value{Value: m.String()}})
	}
	for range n {
		op, err := w.run.RunJob(w.ctx, &runpb.RunJobRequest{Name: location + "/jobs/" + job, Overrides: &runpb.RunJobRequest_Overrides{
			ContainerOverrides: []*runpb.RunJobRequest_Overrides_ContainerOverride{{Env: env}},
		}})
		if err != nil {
			w.t.Fatal(err)
		}
		x := new(runpb.Execution)
		if err := op.GetMetadata().UnmarshalTo(x); err != nil {
			w.t.Fatal(err)
		}
		w.waitFor("a stranger's execution", func() bool {
			w.gates.finish(x.GetName(), emulator.Result{})
			v, err := w.run.GetExecution(w.ctx, &runpb.GetExecutionRequest{Name: x.GetName()})
			return err == nil && v.GetCompletionTime() != nil
		})
	}
	w.say("somebody else runs %s %d times; %d old executions are evicted", job, n, w.evict(job))
}

// evict keeps the newest of a job's executions that have ended, as Cloud Run does.
func (w *world) evict(job string) (evicted int) {
	w.t.Helper()
	r, err := w.run.ListExecutions(w.ctx, &runpb.ListExecutionsRequest{Parent: location + "/jobs/" + job, PageSize: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	ended := 0
	for _, v := range r.GetExecutions() { // newest first
		if v.GetCompletionTime() == nil {
			continue
		}
		if ended++; ended <= historyKept {
			continue
		}
		w.forget(v.GetName())
		evicted++
		if x := w.truth.byName[v.GetName()]; x != nil {
			x.gone, x.evicted = true, true
		}
	}
	return evicted
}

// cancelRun asks a run to stop. A final one cannot be.
func (w *world) cancelRun(r runRow) {
	w.t.Helper()
	_, err := w.front.engine.Cancel(w.ctx, r.name(), "", "model")
	w.say("cancel %s → %v", r.name(), err)
	if final := r.FinishedAt != nil; final != errors.Is(err, lifecycle.ErrConflict) || !final && err != nil {
		w.t.Fatalf("SAFETY: the cancel of run %s, %s: %v", r.name(), r.Status, err)
	}
}

// thawOne lets a frozen tick go on to its end.
func (w *world) thawOne(p *process) {
	w.t.Helper()
	p.thaw()
	w.thawed = true
	if _, ended := p.await(); !ended {
		w.t.Fatalf("%s does not thaw", p)
	}
	w.say("%s goes on", p)
}

// idle are the processes that do not hang in a tick.
func (w *world) idle() []*process {
	var list []*process
	for _, p := range w.processes {
		if !p.frozenTick() {
			list = append(list, p)
		}
	}
	return list
}
