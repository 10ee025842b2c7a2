package model

import (
	"cloud-run-orchestrator/internal/emulator"
	"fmt"
	"testing"
	"time"
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

// Cloud Run forgets the oldest executions that have ended, and keeps those that run. An old one that still runs proves nothing about those that ended after it.
func TestAnOldExecutionThatStillRunsDoesNotProveThatNothingWasForgotten(t *testing.T) {
	t.Parallel()
	w := story(t, 1, "name: job\njob: {name: alpha}\ntasks: {count: 1}\n")
	p := w.processes[0]
	w.trigger("job", "", nil)
	w.tickOf(p)
	w.check()
	w.advance(2 * time.Minute)
	w.trigger("job", "", nil)
	w.disturb("RunJob", lostAnswer)
	w.tickOf(p)
	w.check()
	w.endExecution(w.truth.all[1], emulator.Result{})
	w.check()
	w.strangers("alpha", historyKept, false)
	w.check()
	if !w.truth.all[1].evicted {
		t.Fatal("the second execution was not evicted")
	}
	w.advance(settleWindow + time.Minute)
	w.tickOf(p)
	w.check()
	w.comesToRest()
}

// A tick decides that a launch was never accepted, and stands still before it writes that down. Meanwhile it is accepted, and another tick finds it.
func TestADecisionThatWasOvertakenIsNotWritten(t *testing.T) {
	t.Parallel()
	w := story(t, 2, "name: job\njob: {name: alpha}\ntasks: {count: 1}\n")
	w.trigger("job", "", nil)
	w.disturb("RunJob", hangsForNow)
	w.tickOf(w.processes[0])
	w.check()
	w.advance(settleWindow + time.Minute)
	slow := w.processes[1]
	slow.freezeAt(0, "begin", stopped) // the only transaction of this tick writes what it decided
	slow.begin()
	if _, ended := slow.await(); ended {
		t.Fatal("the tick ended before it could freeze")
	}
	w.release(0)
	w.check()
	w.advance(claimLength + time.Second)
	w.tickOf(w.processes[0])
	w.check()
	w.thawOne(slow)
	w.check()
	w.comesToRest()
}

// A name is a fact: it is recorded also by a tick whose claim has ended while it stood still.
func TestANameThatComesLateIsStillItsRows(t *testing.T) {
	t.Parallel()
	w := story(t, 2, "name: job\njob: {name: alpha}\ntasks: {count: 1}\n")
	w.trigger("job", "", nil)
	slow := w.processes[0]
	slow.freezeAt(0, "cloud_run_execution_name = i.name", stopped)
	slow.begin()
	if _, ended := slow.await(); ended {
		t.Fatal("the tick ended before it could freeze")
	}
	w.check()
	w.advance(claimLength + time.Second)
	w.thawOne(slow)
	w.check()
	if row := w.ledger.rows[w.truth.all[0].row]; row.Name == "" {
		t.Errorf("the row did not take its name: %+v", row)
	}
	w.comesToRest()
}

// A process that stood still between its claim and its call looks at both of its clocks, of which one may have stood still too, and sends nothing.
func TestWhoeverStoodStillAfterTheClaimSendsNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []pauseKind{stopped, suspended, setBack} {
		w := story(t, 1, "name: job\njob: {name: alpha}\ntasks: {count: 1}\n")
		w.trigger("job", "", nil)
		slow := w.processes[0]
		slow.freezeSends(kind)
		slow.begin()
		if _, ended := slow.await(); ended {
			t.Fatal("the tick ended before it could freeze")
		}
		w.advance(claimLength - callDeadline)
		w.thawOne(slow)
		w.check()
		w.comesToRest()
	}
}
