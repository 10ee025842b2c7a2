package model

import (
	"fmt"
	"testing"
)

// What rapid has found, told short.

// story is a world with one workflow and some processes.
func story(t *testing.T, processes int, yaml string) *world {
	t.Helper()
	w := newWorld(t)
	w.apply(yaml)
	for i := range processes {
		w.processes = append(w.processes, w.start(fmt.Sprintf("process %d", i), 1, 0))
	}
	return w
}

func (w *world) cutTick(p *process, c *cut) {
	w.t.Helper()
	p.wire.set(c)
	_, err := p.tick()
	p.wire.set(nil)
	w.say("tick of %s, %s → %v", p, c, oneLine(err))
	w.check()
}

// The claim of a workflow with a limit is a transaction of its own. When its commit failed the rows were sent all the same, and later once more.
func TestRowsWhoseClaimWasNotCommittedAreNotSent(t *testing.T) {
	t.Parallel()
	w := story(t, 1, "name: limited\njob: {name: alpha}\ntasks: {count: 1}\nmax_executions: 9\n")
	for _, after := range []bool{false, true} {
		for n := range 5 { // the first ones are of the connection and of other phases
			w.trigger("limited", "", nil)
			w.cutTick(w.processes[0], &cut{at: n + 1, of: "commit", after: after})
			w.tickOf(w.processes[0])
			w.check()
		}
	}
	w.comesToRest()
}
