package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/lifecycle"

	"cloud.google.com/go/run/apiv2/runpb"
)

// mostTicks is how many undisturbed ticks, most of them at the time at which something is due, a run may take to its end.
const mostTicks = 240

// LIVENESS: when nothing disturbs any more and executions end, every run becomes final, and nothing of ours lives on without a row.
func (w *world) comesToRest() {
	w.t.Helper()
	w.calm()
	for w.heldCalls() > 0 {
		w.release(0)
	}
	for _, p := range w.processes {
		p.wire.set(nil)
		if p.frozenTick() {
			w.thawOne(p)
		}
	}
	w.check()
	w.say("nothing disturbs any more")
	w.rest = w.clock.Now()
	p := w.processes[0]
	for n := range mostTicks {
		w.endWhatHasARow()
		_, err := p.tick()
		w.mayFailOnly(err, "deadline exceeded", "DeadlineExceeded")
		w.check()
		left := w.unfinished()
		if len(left) == 0 && len(w.strays()) == 0 {
			w.say("all runs are final")
			return
		}
		due, err := w.store.NextDue(w.ctx, w.clock.Now())
		if err != nil {
			w.t.Fatal(err)
		}
		switch {
		case due.At != nil && n < mostTicks/4:
			w.advance(min(due.At.Sub(due.Now), time.Hour))
		case due.At != nil: // what cannot be decided is looked at for a day, twice a minute
			w.advance(max(due.At.Sub(due.Now), 15*time.Minute))
		case len(left) > 0 && len(w.truth.live()) == 0:
			w.t.Fatalf("LIVENESS: %v are not final, and nothing is due", left)
		default:
			w.advance(time.Hour)
		}
	}
	w.t.Fatalf("LIVENESS: after %d ticks and %s %v are not final, and %v live without a row%s",
		mostTicks, w.clock.Now().Sub(w.rest), w.unfinished(), w.strays(), w.unended())
}

// unended tells what has not ended, for the reader of a failure.
func (w *world) unended() string {
	var b strings.Builder
	for _, r := range w.ledger.rows {
		if r.FinishedAt == nil {
			fmt.Fprintf(&b, "\n  row %+v", r)
		}
	}
	for _, t := range w.ledger.tasks {
		if t.FinishedAt == nil {
			fmt.Fprintf(&b, "\n  task %+v", t)
		}
	}
	for _, x := range w.truth.live() {
		fmt.Fprintf(&b, "\n  execution %+v", *x)
	}
	return b.String()
}

// endWhatHasARow lets executions succeed that the ledger knows. The others must be ended by the orchestrator, only what is stubborn then by the test.
func (w *world) endWhatHasARow() {
	w.t.Helper()
	for _, x := range w.truth.live() {
		row := w.ledger.rows[x.row]
		_, orphan := w.ledger.orphans[x.name]
		if row.Name == x.name && !orphan || x.job == "stubborn" && w.isCancelling(x) {
			x.ends = emulator.Result{}
			w.gates.finish(x.name, x.ends)
		}
	}
	w.look()
}

func (w *world) isCancelling(x *execution) bool {
	w.t.Helper()
	v, err := w.run.GetExecution(w.ctx, &runpb.GetExecutionRequest{Name: x.name})
	if err != nil {
		w.t.Fatal(err)
	}
	return cancelling(v)
}

func (w *world) unfinished() (names []string) {
	for _, r := range w.ledger.runs {
		if r.FinishedAt == nil {
			names = append(names, r.name())
		}
	}
	return names
}

// strays are executions that live although no row stands for them. They are looked for as long as their row is watched; what nobody could find in that
// time, because Cloud Run showed it later or no tick came, is beyond what is promised.
func (w *world) strays() (names []string) {
	const surely = lifecycle.WatchFor - 4*time.Hour // what is hidden now is shown by then, and looks are an hour apart
	for _, x := range w.truth.live() {
		row := w.ledger.rows[x.row]
		if _, known := w.ledger.orphans[x.name]; known || row.FinishedAt == nil || w.rest.Sub(*row.FinishedAt) < surely {
			names = append(names, x.short())
		}
	}
	return names
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
